"""Print the book: the single page that Sphinx makes of it, by a browser, with page numbers.

python book/pdf.py                           _build/singlehtml -> _build/book.pdf
"""

from __future__ import annotations

from browser import open_browser
from slim import ROOT

SOURCE = ROOT / "_build" / "singlehtml" / "index.html"
TARGET = ROOT / "_build" / "book.pdf"
FOOTER = (
    '<div style="width: 100%; text-align: center; font-size: 8pt">'
    '<span class="pageNumber"></span></div>'
)


def main() -> None:
    with open_browser() as browser:
        page = browser.new_page()
        page.set_default_timeout(300_000)  # the mathematics of the whole book at once
        page.goto(SOURCE.as_uri())
        page.evaluate("async () => { await window.MathJax?.startup?.promise; }")
        page.pdf(
            path=TARGET,
            format="A4",
            margin={"top": "18mm", "bottom": "20mm", "left": "18mm", "right": "18mm"},
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=FOOTER,
            print_background=True,
            outline=True,
            tagged=True,
        )
    print(f"{TARGET.relative_to(ROOT)}: {TARGET.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
