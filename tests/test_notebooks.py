"""The stored chapters: slim, executed in order, in the form of a chapter, and compared exactly."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys

import nbformat
import pytest
import tables
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from slim import DROPPED, ROOT, chapters, is_explorer, main, slim

LONGEST_CELL = 30  # a whole thought may take more than a dozen lines; what is longer is a program
LONGEST_LINE = 79  # what a page 1280 pixels wide shows without scrolling
OPENING = ("**Question.**", "**Answer.**", "**Time.**", "**Needs.**")
CLOSING = ("## Key points", "## What would prove this wrong")


def faults(notebook) -> list[str]:
    """Return what keeps a notebook from being a chapter, each fault with the cell it is in."""
    return [*faults_of_form(notebook), *faults_of_cells(notebook)]


def faults_of_form(notebook) -> list[str]:
    prose = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    headings = re.findall(r"^#+ .*$", "\n\n".join(prose), re.MULTILINE)
    found = []
    if sum(heading.startswith("# ") for heading in headings) != 1:
        found.append("a chapter has one heading of the first level")
    opening = notebook.cells[0].source if prose else ""
    if not opening.startswith("# "):
        found.append("the first cell is not the opening with the heading")
    found += [f"the opening lacks {word}" for word in OPENING if word not in opening]
    if [heading.strip() for heading in headings if heading.strip() in CLOSING] != list(CLOSING):
        found.append(f"the closing sections are not {' and '.join(CLOSING)}")
    return found


def faults_of_cells(notebook) -> list[str]:
    found = ["the notebook stores widget state"] if "widgets" in notebook.metadata else []
    code = [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]
    for count, cell in enumerate(code, start=1):
        where = f"cell [{count}] {cell.source.splitlines()[0]!r}"
        lines = [line for line in cell.source.splitlines() if line.strip()]
        length = sum(not line.strip().startswith("#") for line in lines)
        if cell.execution_count != count:
            found.append(f"{where} has the execution count {cell.execution_count}")
        if length > LONGEST_CELL:
            found.append(f"{where} has {length} lines of code, more than {LONGEST_CELL}")
        if max(map(len, lines)) > LONGEST_LINE:
            found.append(f"{where} has a line of more than {LONGEST_LINE} characters")
        if lines[-1].rstrip().endswith(";"):
            found.append(f"{where} ends in a semicolon, which nbval does not honour")
        for output in cell.outputs:
            stored = DROPPED & set(output.get("data", {}))
            if is_explorer(output):
                stored -= {"image/png"}
            if output.output_type == "error":
                found.append(f"{where} stores an error: {output.ename}")
            if output.get("name") == "stderr":
                found.append(f"{where} stores a warning: {output.text[:60]!r}")
            if stored:
                found.append(f"{where} stores {sorted(stored)}")
        if any("<Figure size" in o.get("data", {}).get("text/plain", "") for o in cell.outputs):
            found += [f"{where} {fault}" for fault in faults_of_figure(cell, lines)]
    return found


def faults_of_figure(cell, lines: list[str]) -> list[str]:
    found = [] if lines[-1] == "plt.show()" else ["draws a figure and does not end in plt.show()"]
    render = cell.metadata.get("mystnb", {})
    figure, image = render.get("figure", {}), render.get("image", {})
    if not figure.get("caption", "").strip():
        found.append("draws a figure without a caption")
    if not figure.get("name", "").startswith("fig-"):
        found.append("draws a figure without a name that starts with fig-")
    if len(image.get("alt", "")) < 20:
        found.append("draws a figure without an alt text that says what is seen")
    return found


def figure_cell(count: int):
    return new_code_cell(
        "fig, ax = plt.subplots()\nplt.show()",
        execution_count=count,
        metadata={
            "mystnb": {
                "figure": {"caption": "A line.", "name": "fig-line"},
                "image": {"alt": "A straight line rises from the origin."},
            }
        },
        outputs=[
            new_output("display_data", data={"text/plain": "<Figure size 640x360 with 1 Axes>"})
        ],
    )


@pytest.fixture
def chapter():
    """The smallest chapter without a fault."""
    return new_notebook(
        cells=[
            new_markdown_cell("# A title\n\n" + "\n".join(OPENING)),
            new_code_cell(
                "print(1)", execution_count=1, outputs=[new_output("stream", text="1\n")]
            ),
            figure_cell(2),
            new_markdown_cell("\n\n".join(CLOSING)),
        ]
    )


def test_every_notebook_is_a_page_of_the_book():
    """A chapter outside _toc.yml would be stored, and tested, and never read."""
    assert sorted(chapters()) == sorted(ROOT.glob("chapters/*.ipynb"))


@pytest.mark.parametrize("path", sorted(ROOT.glob("chapters/*.ipynb")), ids=lambda path: path.stem)
def test_a_stored_chapter_has_no_fault(path):
    assert faults(nbformat.read(path, as_version=4)) == []


@pytest.mark.parametrize("path", sorted(ROOT.glob("chapters/*.ipynb")), ids=lambda path: path.stem)
def test_columns_are_printed_under_a_head_that_names_them(path):
    """So that the page shows a table. Not the report of a fit, whose lines say their units."""
    printed = [
        output.text
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
        if output.output_type == "stream" and ".report()" not in cell.source
    ]
    columns = [
        text
        for text in printed
        if sum(len(tables.cells(line)) >= tables.LEAST for line in text.splitlines())
        >= tables.LEAST
    ]
    assert [text for text in columns if not tables.found(text)] == []


def test_the_smallest_chapter_has_no_fault(chapter):
    assert faults(chapter) == []


def change(cell, **fields):
    for name, value in fields.items():
        cell[name] = value


STORED_PICTURE = {"data": {"image/png": "iVBO"}}
EXPLORER_PAGE = {"data": {"text/html": "<div></div>"}}


@pytest.mark.parametrize(
    ("break_it", "fault"),
    [
        (lambda nb: change(nb.cells[1], execution_count=None), "execution count None"),
        (lambda nb: change(nb.cells[2], execution_count=3), "execution count 3"),
        (lambda nb: change(nb.cells[1], source="x = 1\n" * 31), "31 lines of code"),
        (lambda nb: change(nb.cells[1], source="x" * 80), "a line of more than 79 characters"),
        (lambda nb: change(nb.cells[1], source="ax.set_xlabel('x');"), "semicolon"),
        (
            lambda nb: nb.cells[1].outputs.append(new_output("error", ename="ZeroDivisionError")),
            "stores an error: ZeroDivisionError",
        ),
        (
            lambda nb: nb.cells[1].outputs.append(new_output("stream", name="stderr", text="oh")),
            "stores a warning: 'oh'",
        ),
        (lambda nb: nb.cells[2].outputs[0].update(STORED_PICTURE), "stores ['image/png']"),
        (lambda nb: nb.cells[2].outputs[0].update(EXPLORER_PAGE), "stores ['text/html']"),
        (lambda nb: nb.metadata.update(widgets={}), "widget state"),
        (lambda nb: change(nb.cells[2], source="plt.plot()"), "does not end in plt.show()"),
        (lambda nb: nb.cells[2].metadata.mystnb.figure.pop("caption"), "without a caption"),
        (lambda nb: nb.cells[2].metadata.mystnb.figure.update(name="line"), "starts with fig-"),
        (lambda nb: nb.cells[2].metadata.mystnb.image.update(alt="A line"), "alt text"),
        (lambda nb: change(nb.cells[0], source="No heading"), "first cell is not the opening"),
        (lambda nb: change(nb.cells[0], source="# Title"), "the opening lacks **Question.**"),
        (lambda nb: nb.cells.append(new_markdown_cell("# Again")), "one heading of the first"),
        (lambda nb: nb.cells.pop(), "the closing sections are not"),
        (lambda nb: change(nb.cells[-1], source=CLOSING[0]), "the closing sections are not"),
    ],
)
def test_every_fault_is_found(chapter, break_it, fault):
    """The gate itself: one defect planted in a faultless chapter gives that fault."""
    break_it(chapter)
    found = faults(chapter)
    assert found
    assert any(fault in text for text in found), found


def test_a_slim_explorer_keeps_the_one_picture_that_github_shows(chapter):
    """Its page of pictures and its widget are dropped like those of any cell."""
    data = {"text/plain": "Explorer of width: 1, 2"} | {kind: "..." for kind in DROPPED}
    chapter.cells[1].outputs = [new_output("display_data", data=data)]
    slim(chapter)
    assert set(chapter.cells[1].outputs[0].data) == {"text/plain", "image/png"}
    assert faults(chapter) == []


def test_a_slim_notebook_keeps_its_text_and_drops_the_rest(chapter):
    chapter.metadata.widgets = {"state": {}}
    chapter.cells[1].metadata.execution = {"iopub.status.busy": "2026-01-01T00:00:00Z"}
    chapter.cells[2].outputs[0].data |= {kind: "..." for kind in DROPPED}
    slim(chapter)
    assert faults(chapter) == []
    assert chapter.cells[2].outputs[0].data == {"text/plain": "<Figure size 640x360 with 1 Axes>"}
    assert "execution" not in chapter.cells[1].metadata


TINY = """
import matplotlib.pyplot as plt
from cait_helpers.teaching import explore
---
print(f"{2**0.5:.4f}")
---
fig, ax = plt.subplots(figsize=(2, 1))
plt.show()
---
def draw(power):
    fig, ax = plt.subplots(figsize=(2, 1))
    return f"A line of power {power}"
explore(draw, power=[1, 2])
"""


def test_nbval_passes_a_stored_notebook_and_fails_it_when_one_digit_is_changed(tmp_path):
    """A figure and an explorer are stored as text; a number, and a text of an explorer, count.

    Both notebooks are compared in one run with the settings of ``make test``.
    """
    cells = [new_code_cell(source.strip()) for source in TINY.split("---")]
    right = tmp_path / "right.ipynb"
    nbformat.write(new_notebook(cells=cells), right)
    main([right])
    changed = right.read_text()
    for old, new in (("1.4142", "1.4143"), ("power: 1, 2", "power: 1, 3")):
        assert old in changed
        changed = changed.replace(old, new)
    (tmp_path / "wrong.ipynb").write_text(changed)

    shutil.copy(ROOT / "conftest.py", tmp_path)
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--nbval", tmp_path]
    outcome = subprocess.run(
        [*map(str, command), "-p", "no:cacheprovider"], cwd=ROOT, capture_output=True, text=True
    )
    failed = re.findall(r"^FAILED \S*?(\w+)\.ipynb::Cell (\d)", outcome.stdout, re.MULTILINE)
    assert sorted(failed) == [("wrong", "1"), ("wrong", "3")], outcome.stdout
    assert "2 failed, 6 passed" in outcome.stdout
