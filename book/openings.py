"""What the chapters say of themselves: title, question, needs; and how long they take to read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
from slim import chapters

# A formula and a figure are looked at for half a minute, a line of code is read in three seconds.
WORDS_A_MINUTE, MINUTES_A_PICTURE, MINUTES_A_CODE_LINE = 150, 0.5, 0.05


@dataclass(frozen=True)
class Opening:
    """The head of a chapter. ``name`` is that of its file, without suffix."""

    name: str
    title: str
    question: str
    needs: str
    minutes: int

    @property
    def needed(self) -> list[str]:
        """The chapters that the needs name."""
        return re.findall(r"\{doc\}`(?:[^`<]*<)?(\w+)>?`", self.needs)


def read(path: Path) -> Opening:
    """Read the opening of a notebook, and count what there is to read."""
    cells = nbformat.read(path, as_version=4).cells
    first = cells[0].source

    def said(word: str) -> str:
        found = re.search(rf"\*\*{word}\.\*\*(.*?)(?=\n\s*\n|\Z)", first, re.DOTALL)
        if found is None:
            raise ValueError(f"{path.name}: the opening lacks **{word}.**")
        return " ".join(found[1].split())

    prose = "\n\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    words, formulas = re.subn(r"\$\$.*?\$\$", "", prose, flags=re.DOTALL)
    code = [line for c in cells if c.cell_type == "code" for line in c.source.splitlines() if line]
    pictures = formulas + sum("mystnb" in cell.metadata for cell in cells)
    minutes = (
        len(words.split()) / WORDS_A_MINUTE
        + pictures * MINUTES_A_PICTURE
        + len(code) * MINUTES_A_CODE_LINE
    )
    title = first.splitlines()[0].lstrip("# ")
    return Opening(path.stem, title, said("Question"), said("Needs"), round(minutes))


def map_of_the_book() -> str:
    """Return the chapters in reading order as a Markdown definition list, which fits a phone."""
    return "\n\n".join(
        f"{{doc}}`{o.title} <{o.name}>`\n: {o.question}\n: *Needs:* {o.needs}\n"
        f": *Time to read:* {o.minutes} minutes."
        for o in map(read, chapters())
    )
