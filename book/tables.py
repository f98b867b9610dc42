"""Tables that a cell has printed in columns, as tables of the page.

The notebooks keep the printed text, which strict nbval compares and every viewer shows. On a page a
table in a fixed font is hard to read and too wide for a phone.
"""

from __future__ import annotations

import re

from docutils import nodes

# A number, or a dash where there is none.
NUMBER = re.compile(r"[-+−]?\d[\d.,]*(e[-+]?\d+)?(\(\d+\))?( ?%| \+/- [\d.]+| [a-zA-Z]{1,4})?|–")
LEAST = 3  # columns, and lines: what is smaller is a sentence with numbers in it


def cells(line: str) -> list[str]:
    """Return what stands between two blanks or more."""
    return re.split(r" {2,}", line.strip())


def found(text: str) -> tuple[str, list[list[str]], str] | None:
    """Return what a text says before its table, the rows with the head first, and what after it.

    The lines of a table have the same number of cells. Its head has no number beside the first
    cell, which may be empty. None if there is no such table, or more than one: then the text stays
    as it is.
    """
    lines = text.rstrip("\n").split("\n")
    for top, head in enumerate(lines[: 1 - LEAST]):
        count = len(cells(lines[top + 1]))
        names = cells(head)
        if head.startswith("  ") and len(names) == count - 1:
            names = ["", *names]
        body = [names]
        for line in lines[top + 1 :]:
            if len(cells(line)) != count:
                break
            body.append(cells(line))
        rest = lines[top + len(body) :]
        if min(count, len(body)) < LEAST or len(names) != count:
            continue
        if any(len(cells(line)) >= LEAST for line in rest):
            return None  # it goes on differently
        numbers = [sum(bool(NUMBER.fullmatch(cell)) for cell in row[1:]) for row in body]
        if numbers[0] == 0 and all(2 * n >= count - 1 for n in numbers[1:]):
            return "\n".join(lines[:top]), body, "\n".join(rest)
    return None


def table(rows: list[list[str]]) -> nodes.table:
    """Return the node of a table, of which the first row is the head."""
    group = nodes.tgroup(cols=len(rows[0]))
    group += [nodes.colspec(colwidth=1) for _ in rows[0]]
    head, body = nodes.thead(), nodes.tbody()
    for number, row in enumerate(rows):
        line = nodes.row()
        line += [nodes.entry("", nodes.paragraph("", cell)) for cell in row]
        (body if number else head).append(line)
    group += [head, body]
    whole = nodes.table(classes=["printed"])
    whole += group
    return whole


def set_tables(app, doctree) -> None:
    """Put tables in the place of what cells have printed in columns."""
    for block in list(doctree.findall(nodes.literal_block)):
        if "stream" not in block.get("classes", ()) or (parts := found(block.astext())) is None:
            continue
        before, rows, after = parts
        texts = [block.deepcopy(), block.deepcopy()]
        for copy, text in zip(texts, (before, after), strict=True):
            copy.rawsource, copy.children = text, []
            copy += nodes.Text(text)
        block.parent.replace(
            block, [*texts[: bool(before)], table(rows), *texts[1 : 1 + bool(after)]]
        )
