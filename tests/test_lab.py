"""JupyterLab in a real browser: sliders that compute, and chapters without the book's markup."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import time
import urllib.request

import export
import nbformat
import pytest
from browser import NO_BROWSER, open_browser
from nbformat.v4 import new_code_cell, new_notebook
from slim import ROOT, slim

CELL = """
import matplotlib.pyplot as plt
from cait_helpers.teaching import Sweep, explore

def draw(width):
    plt.figure(figsize=(2, 1))
    return f"A line of width {1e9 * width:g} nm"

explore(draw, width=Sweep((1, 11), "nm", 1e-9))
"""


# Short chapters that have sliders, and between them every kind of role.
CHAPTERS = ("experiment", "landscape", "front")
# What a role, a directive or a label looks like where nothing has read it.
MARKUP = re.compile(r"\{[\w:-]+\}`|:::|\(eq-[\w-]+\)|^\([\w-]+\)=$", re.MULTILINE)


@pytest.fixture(scope="module")
def lab(tmp_path_factory):
    """The address of a JupyterLab as `make lab` starts it, with the copies of the chapters.

    Another notebook holds the cell above, not yet executed.
    """
    home = tmp_path_factory.mktemp("home")
    assert export.write(home / "lab") == []
    for name in ("data", "benchmarks"):
        (home / name).symlink_to(ROOT / name)
    notebook = slim(new_notebook(cells=[new_code_cell(CELL.strip())]))  # which names its kernel
    nbformat.write(notebook, home / "one.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--port={port}", "--ip=127.0.0.1", "--no-browser", "--IdentityProvider.token="]
    command = [sys.executable, "-m", "jupyterlab", "--allow-root", *options, str(home)]
    environment = {
        **os.environ,
        "JUPYTER_CONFIG_PATH": str(ROOT / "book" / "jupyter"),
        "JUPYTERLAB_WORKSPACES_DIR": str(home / "workspaces"),
    }
    log = (home / "log").open("w")
    server = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT
    )
    address, patience = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while time.monotonic() < patience:
        try:
            with urllib.request.urlopen(f"{address}/api"):
                break
        except OSError:
            time.sleep(0.2)
    yield address
    server.terminate()
    server.wait(30)
    log.close()


def open_notebook(browser, lab: str, path: str):
    """Return a tab with a notebook whose kernel waits, and no other network than this machine."""
    tab = browser.new_page(viewport={"width": 1280, "height": 2_000})  # nothing below the window
    tab.set_default_timeout(90_000)
    tab.route(
        "**/*", lambda route: route.continue_() if lab in route.request.url else route.abort()
    )
    name = re.sub(r"\W", "-", path)  # a workspace of its own, or it opens what others have open
    tab.goto(f"{lab}/lab/workspaces/{name}/tree/{path}")
    tab.locator(".jp-Cell").first.wait_for()
    tab.get_by_text(
        "(ipykernel) | Idle"
    ).wait_for()  # the notebook's own sign is idle from the first
    return tab


def wait_for_the_last_cell(tab, cells: int) -> None:
    """Wait until it has run or another has failed, however long a busy machine takes.

    JupyterLab adds cells to a page one after the other: the last one there need not be the last.
    """
    last = tab.locator(".jp-CodeCell .jp-InputPrompt").nth(cells - 1)
    error = tab.locator("[data-mime-type$='jupyter.error'], [data-mime-type$='jupyter.stderr']")
    done = last.filter(has_text=re.compile(r"\[\d+\]"))
    done.or_(error).first.wait_for(timeout=600_000)
    assert error.all_inner_texts() == []


@pytest.mark.skipif(**NO_BROWSER)
def test_a_sweep_is_computed_while_its_slider_moves_in_jupyterlab(lab):
    """From the keyboard; between the two frames that the page would have, and typed as well."""
    with open_browser() as browser:
        tab = open_notebook(browser, lab, "one.ipynb")
        tab.locator(".jp-CodeCell .cm-content").click()
        tab.locator(".jp-CodeCell .cm-focused").wait_for()
        tab.keyboard.press("Control+Enter")
        picture = tab.locator(".jupyter-widgets img")
        picture.wait_for()
        assert picture.get_attribute("alt") == "A line of width 1 nm"
        tab.locator(".noUi-handle").focus()
        for step in (1, 2):
            tab.keyboard.press("ArrowRight")
            tab.locator(
                f".jupyter-widgets img[alt='A line of width {1 + 0.1 * step:g} nm']"
            ).wait_for()
        number = tab.locator(".widget-readout")
        number.fill("7.3")
        number.press("Enter")
        tab.locator(".jupyter-widgets img[alt='A line of width 7.3 nm']").wait_for()


@pytest.mark.skipif(**NO_BROWSER)
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_in_jupyterlab_shows_no_markup_and_no_solution_and_its_sliders_move(lab, chapter):
    """Opened, and run from the first cell to the last."""
    notebook = nbformat.reads(export.copies()[f"{chapter}.ipynb"], as_version=4)
    cells = sum(cell.cell_type == "code" for cell in notebook.cells)
    with open_browser() as browser:
        tab = open_notebook(browser, lab, f"lab/{chapter}.ipynb")
        tab.get_by_role("menuitem", name="Run", exact=True).click()
        run_all = tab.get_by_role("menuitem", name="Run All Cells", exact=True)
        run_all.hover()  # a menu takes a press only where it has seen the mouse come
        run_all.click()
        run_all.wait_for(state="hidden")
        wait_for_the_last_cell(tab, cells)
        read = tab.locator(".jp-MarkdownOutput").all_inner_texts()
        assert len(read) > 15
        assert [text for text in read if MARKUP.search(text)] == []
        assert tab.locator("details").count() > 1
        assert tab.locator("details[open]").count() == 0
        explorers = tab.locator(".jupyter-widgets.widget-vbox:has(img)").all()
        assert explorers
        for explorer in explorers:
            before = explorer.locator("img").get_attribute("alt")
            explorer.locator(".noUi-handle").first.focus()
            tab.keyboard.press("ArrowRight")
            explorer.locator(f"img:not([alt={before!r}])").wait_for()


def test_a_copy_that_somebody_has_changed_is_left_alone(tmp_path):
    """Written a second time: their notebook stays as it is, and all others are written."""
    assert export.write(tmp_path) == []
    mine = tmp_path / "front.ipynb"
    mine.write_text(mine.read_text(encoding="utf-8").replace("# Why", "# My"), encoding="utf-8")
    changed = mine.read_text(encoding="utf-8")
    (tmp_path / "fit.ipynb").unlink()
    assert export.write(tmp_path) == ["front.ipynb"]
    assert mine.read_text(encoding="utf-8") == changed
    assert (tmp_path / "fit.ipynb").exists()


def test_no_copy_holds_markup_that_only_the_book_understands():
    """Whichever program shows it: roles, directives and labels of equations are gone."""
    copies = export.copies()
    for name, text in copies.items():
        sources = (
            [cell.source for cell in nbformat.reads(text, as_version=4).cells]
            if name.endswith(".ipynb")
            else [text]
        )
        assert [source for source in sources if MARKUP.search(source)] == [], name
        for source in sources:
            linked = set(re.findall(r"\]\((\w+\.(?:md|ipynb))\)", source))
            assert linked <= set(copies), name


def test_a_copy_holds_the_pictures_that_its_prose_shows():
    """Their files are not beside it: they lie in the cell, under the names that it shows."""
    text = nbformat.reads(export.copies()["your_profiles.ipynb"], as_version=4)
    shown = [
        (cell, name)
        for cell in text.cells
        for name in re.findall(r"!\[[^\]]{20,}\]\(attachment:(.*?)\)", cell.source)
    ]
    assert len(shown) == 2
    assert all(len(cell.attachments[name]["image/png"]) > 10_000 for cell, name in shown)


def test_a_copy_says_of_a_solution_what_it_prints():
    """The code of a solution lies in the fold of its exercise, and so does its answer."""
    text = nbformat.reads(export.copies()["experiment.ipynb"], as_version=4)
    (fold,) = [cell.source for cell in text.cells if "half as thick:" in cell.source]
    assert fold.count("<details>") == 1
    assert fold.rstrip().endswith("</details>")
