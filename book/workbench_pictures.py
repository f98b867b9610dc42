"""Draw the pictures of the form that the chapter on own profiles shows (needs a browser).

    python book/workbench_pictures.py http://127.0.0.1:8866/?token=...

with the address that `make app` prints: the form is filled there with the rubidium run, once with
a thickness in the wrong unit.
"""

from __future__ import annotations

import sys
from pathlib import Path

from browser import open_browser

ROOT = Path(__file__).resolve().parents[1]
ENTRIES = {
    "Exposed area": "20", "Temperature": "50", "Voltage": "10", "Crater depth": "220",
    "Pulses per cycle": "65536", "Thickness": "0.5",
}  # fmt: skip


def main(address: str) -> None:
    """Fill the form as a reader would, and keep two pictures of it."""
    with open_browser() as browser:
        tab = browser.new_page(viewport={"width": 1100, "height": 4000})
        tab.set_default_timeout(300_000)
        tab.goto(address)
        with tab.expect_file_chooser() as chooser:
            tab.get_by_role("button", name="Choose files").click()
        files = ("rb_on_lbo.txt", "rb_on_lbo_current.csv")
        chooser.value.set_files([ROOT / "data" / name for name in files])
        tab.get_by_text("SurfaceLab, 220 cycles").wait_for()
        tab.get_by_label("Composition").select_option(label="Li3B7O12 at 2.2 g/cm^3")
        tab.get_by_label("Unit of: Thickness").select_option("m")
        for label, text in ENTRIES.items():
            tab.get_by_label(label, exact=True).fill(text)
            tab.keyboard.press("Tab")
        tab.get_by_text("Did you mean 0.5 mm?").wait_for()
        _keep(tab, "workbench_form.png", "1. Files", "3. From counts")
        tab.get_by_label("Unit of: Thickness").select_option("mm")
        tab.locator("button:enabled", has_text="Fit").click()
        tab.get_by_text("Fitted in").wait_for()
        tab.wait_for_timeout(1000)
        _keep(tab, "workbench_fit.png", "3. From counts", "6. How sure?")


def _keep(tab, name: str, first: str, behind: str) -> None:
    """The page from one heading to another, as a picture of few colours."""
    from PIL import Image

    path = ROOT / "book/assets" / name
    top, end = (
        tab.get_by_role("heading", name=text).bounding_box()["y"] for text in (first, behind)
    )
    clip = {"x": 0, "y": top - 8, "width": 1100, "height": end - top - 4}
    tab.screenshot(path=path, clip=clip)
    Image.open(path).convert("RGB").quantize(64).save(path, optimize=True)


if __name__ == "__main__":
    main(sys.argv[1])
