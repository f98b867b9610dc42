"""Tables as instruments and spreadsheets write them: bytes, cells, numbers and units."""

from __future__ import annotations

import codecs
import csv
import hashlib
import io
import os
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import numpy as np

from .checks import Array, require_kind

Row = tuple[int, list[str]]  # line number and cells

_MOST_BYTES = 32 * 2**20  # the exports of a long profile have some 5 MB
_MOST_CELLS = 4_000_000


class SimsError(ValueError):
    """An export that cannot be read safely: names file, line and what was expected."""


def fail(path: Path, line: int, expected: str, found: str) -> NoReturn:
    """Raise a SimsError."""
    raise SimsError(f"{path}, line {line}: expected {expected}, found {found}")


# --- from bytes to cells --------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Source:
    """A file as it was read: its path and its bytes."""

    path: Path
    data: bytes = field(repr=False)

    @property
    def sha256(self) -> str:
        """Hash of the bytes that were read."""
        return hashlib.sha256(self.data).hexdigest()

    @property
    def is_workbook(self) -> bool:
        """Whether the bytes are those of an Excel workbook (xlsx)."""
        return self.data[:4] == b"PK\x03\x04"


def read_source(path: str | Path) -> Source:
    """Read the bytes of a regular file of a sensible size; SimsError for anything else."""
    path = Path(require_kind("path", path, str, os.PathLike))
    try:
        if not path.is_file():  # to open a pipe would wait for ever
            found = "a folder" if path.is_dir() else "a device" if path.exists() else "nothing"
            raise SimsError(f"{path}: expected a file, found {found}")
        with path.open("rb") as file:
            data = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise SimsError(str(error)) from None
    if len(data) > _MOST_BYTES:
        raise SimsError(f"{path}: more than {_MOST_BYTES // 2**20} MB: not one depth profile")
    return Source(path, data)


def decoded(source: Source) -> tuple[list[str], str]:
    """The lines of a text file and its encoding: told by its first bytes, else UTF-8 or Latin-1."""
    data = source.data
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        encodings = ["utf-16"]
    elif len(data) > 3 and data[1] == 0 < data[0]:
        encodings = ["utf-16-le"]
    else:
        encodings = ["utf-8-sig", "latin-1"]
    for encoding in encodings:
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip(" \n")
        if not text:
            fail(source.path, 1, "an export", "an empty file")
        return text.split("\n"), encoding
    fail(source.path, 1, "text or an Excel workbook (xlsx)", "binary data")


def rows_of(source: Source) -> tuple[list[Row], str]:
    """The cells of each line of a table, and in words what kind of file it is."""
    if source.is_workbook:
        return _sheet(source), "an Excel sheet"
    lines, encoding = decoded(source)
    for sep, name in (("\t", "tabs"), (";", "semicolons"), (",", "commas")):
        rows = [(i, _cells(source.path, i, text, sep)) for i, text in enumerate(lines, 1)]
        if header_place(rows) is not None:
            return rows, f"{encoding} text separated by {name}"
    return [(i, [text]) for i, text in enumerate(lines, 1)], f"{encoding} text"


def _cells(path: Path, line: int, text: str, sep: str) -> list[str]:
    cells = text.split(sep)
    if '"' in text:
        try:
            cells = next(csv.reader([text], delimiter=sep), [""])
        except csv.Error:
            fail(path, line, "cells of a table", repr(text[:60]))
    return [cell.strip() for cell in cells]


def _sheet(source: Source) -> list[Row]:
    """The rows of the one sheet of an Excel workbook that holds data."""
    try:
        import openpyxl
    except ImportError:
        raise SimsError(
            f"{source.path}: to read an Excel workbook install openpyxl, or save the sheet as text"
        ) from None
    filled, room = {}, _MOST_CELLS
    try:
        with zipfile.ZipFile(io.BytesIO(source.data)) as parts:
            if sum(part.file_size for part in parts.infolist()) > 8 * _MOST_BYTES:
                raise SimsError("it is too large")
        book = openpyxl.load_workbook(io.BytesIO(source.data), read_only=True, data_only=True)
        for sheet in book.worksheets:
            rows = []
            for line, values in enumerate(sheet.iter_rows(values_only=True), 1):
                room -= len(values) + 1
                if room < 0:
                    raise SimsError("it has too many cells")
                cells = ["" if value is None else str(value).strip() for value in values]
                if any(cells):
                    rows.append((line, cells))
            if rows:
                filled[sheet.title] = rows
    except Exception as error:  # whatever a damaged archive makes the library raise
        raise SimsError(f"{source.path}: an Excel workbook that cannot be read: {error}") from None
    if len(filled) != 1:
        names = ", ".join(filled) or "none"
        raise SimsError(f"{source.path}: expected one sheet with data, found {names}")
    [rows] = filled.values()
    width = max(i + 1 for _, cells in rows for i, cell in enumerate(cells) if cell)
    return [(line, (cells + [""] * width)[:width]) for line, cells in rows]


def even(path: Path, rows: list[Row]) -> list[Row]:
    """The rows below a header, each as long as it; a separator ends every line, or none."""
    (start, head), *below = rows
    if not below:
        fail(path, start, "at least two cycles below", "none")
    columns = len(head) - (head[-1] == "")
    tail = [""] if below[0][1][columns:] == [""] else []
    for line, cells in below:
        if len(cells) != columns + len(tail) or cells[columns:] != tail:
            fail(path, line, f"{columns} columns as in the header", f"{len(cells) - len(tail)}")
    return [(line, cells[:columns]) for line, cells in below]


# --- from cells to numbers ------------------------------------------------------------------

_SHAPE = r"[+-]?\d+(?:[.,]\d*)?(?:[eE][+-]?\d{1,3})?"
NUMBER = re.compile(_SHAPE, re.ASCII)
_NUMBERS = re.compile(rf"(?:{_SHAPE}\n)*+", re.ASCII)
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}", re.ASCII)


class Table:
    """Numbered rows of cells as numbers: one decimal mark in all of them, a blank is nan."""

    def __init__(self, path: Path, rows: list[Row]) -> None:
        self.path, self.rows = path, rows
        marked = (
            cell
            for _, cells in rows
            for cell in cells
            if ("." in cell or "," in cell) and NUMBER.fullmatch(cell)
        )
        first = next(marked, "")
        self.mark = "," if "," in first else "."
        # "12,415" alone may be thousands; any other number with the mark tells what it is
        self.sure = not (_THOUSANDS.fullmatch(first) and all(map(_THOUSANDS.fullmatch, marked)))

    def where(self, row: int, expected: str, found: str) -> str:
        """What is wrong with a row, in the words of `fail`."""
        return f"{self.path}, line {self.rows[row][0]}: expected {expected}, found {found}"

    def column(self, i: int, whole: bool = False) -> tuple[Array, str]:
        """The numbers of a column, and what is wrong with the first that is none ("" if sound).

        A column of ``whole`` numbers that holds 3.012 may mean 3012: that is not guessed.
        """
        cells = [cells[i] for _, cells in self.rows]
        other = "." if self.mark == "," else ","
        text = "\n".join(cells) + "\n"
        why = ""
        if _NUMBERS.fullmatch(text) and other not in text:
            values = np.array(text.replace(",", ".").split("\n")[:-1], dtype=float)
        else:
            values, why = self._one_by_one(cells, other)
        if not why and np.isinf(values).any():
            why = self.where(int(np.argmax(np.isinf(values))), "a number below 1e308", "more")
        marked = [cell for cell in cells if self.mark in cell]
        integers = any(cell.strip("+-0") for cell in cells if self.mark not in cell)
        mixed = integers and all(map(_THOUSANDS.fullmatch, marked))
        if not why and marked and (whole or mixed or not self.sure):
            for row, cell in enumerate(cells):
                if _THOUSANDS.fullmatch(cell):
                    return values, self.where(row, "a number of one meaning", repr(cell))
        return values, why

    def _one_by_one(self, cells: list[str], other: str) -> tuple[Array, str]:
        values, why = np.full(len(cells), np.nan), ""
        for row, cell in enumerate(cells):
            if not cell:
                continue
            if not NUMBER.fullmatch(cell):
                why = why or self.where(row, "a number", repr(cell[:40]))
                continue
            if other in cell:
                expected = f"the decimal mark {self.mark!r} of the lines before"
                why = why or self.where(row, expected, repr(cell))
            values[row] = float(cell.replace(",", "."))
        return values, why


# --- headers --------------------------------------------------------------------------------

_AXES = {
    "time": (
        "time|sputter time|sputtertime|sputtering time|elapsed time|relative time|t|zeit",
        {"s": 1, "sec": 1, "seconds": 1, "ms": 1e-3, "min": 60, "h": 3600, "hours": 3600},
    ),
    "depth": (
        "depth|sputter depth|tiefe",
        {"nm": 1e-9, "um": 1e-6, "µm": 1e-6, "μm": 1e-6, "å": 1e-10, "a": 1e-10, "m": 1},
    ),
    "current": (
        "current|i|strom|backside current|measured current",
        {"a": 1, "ma": 1e-3, "ua": 1e-6, "µa": 1e-6, "μa": 1e-6, "na": 1e-9, "pa": 1e-12},
    ),
}


def split_unit(cell: str) -> tuple[str, str]:
    """Name and unit of ``name / unit``, ``name (unit)`` or ``name [unit]``; or no unit."""
    for opening, closing in ("()", "[]"):
        name, found, unit = cell.rpartition(opening)
        if found and unit.endswith(closing):
            return name.strip(), unit[:-1].strip()
    name, _, unit = cell.partition("/")
    return name.strip(), unit.strip()


def axis_of(cell: str) -> tuple[str, float] | None:
    """Which axis a header names (time, depth, current) and its unit in SI; None if none."""
    if len(cell) > 60:
        return None
    name, unit = (part.casefold() for part in split_unit(cell.lstrip("# ")))
    for what, (names, units) in _AXES.items():
        if name in names.split("|") and unit in units:
            return what, float(units[unit])
    return None


def header_place(rows: list[Row]) -> int | None:
    """Which of the first rows names an axis and something else; a ``#`` before it is no matter."""
    for i, (_, cells) in enumerate(rows[:100]):
        if len(cells) > 1 and any(map(axis_of, cells)):
            return i
    return None


def find_header(path: Path, rows: list[Row], seen: str, known: str) -> int:
    """`header_place`, or a refusal that says what was seen and what is ``known``."""
    head = header_place(rows)
    if head is not None:
        return head
    names = "|".join(names for names, _ in _AXES.values()).split("|")
    for line, [text] in ((line, cells[:1]) for line, cells in rows[:100]):
        for cell in re.split("[\t;,]", text[:1000]):
            if cell.strip("# ").casefold() in names and cell.strip() != text.strip():
                fail(path, line, "the unit of the axis, as in 'time / s'", repr(cell.strip()))
    first = " | ".join(repr(", ".join(cells)[:50]) for _, cells in rows[:3])
    fail(path, rows[0][0], known, f"{seen} that begins with {first}")


# --- recorded currents ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Record:
    """A recorded current: ``time`` (s) from zero on and ``current`` (A), shape (m,)."""

    source: Source
    time: Array
    current: Array
    notes: tuple[str, ...] = ()


def read_current(path: str | Path) -> Record:
    """Read a recorded current: a table of a time and a current, each with its unit.

    A time that does not start at zero is shifted, and that is noted. Raises SimsError as
    `read_sims` does, also if time does not increase or there is more than one current.
    """
    source = read_source(path)
    path = source.path
    rows, seen = rows_of(source)
    head = find_header(path, rows, seen, "'time / s, current / A'")
    line, cells = rows[head]
    axes = [(i, *axis) for i, cell in enumerate(cells) if (axis := axis_of(cell))]
    if sorted(what for _, what, _ in axes) != ["current", "time"]:
        fail(path, line, "one 'time / s' and one 'current / A'", repr(", ".join(cells)[:60]))
    table, found = Table(path, even(path, rows[head:])), {}
    for i, what, unit in axes:
        values, why = table.column(i)
        blank = np.isnan(values)
        if why or blank.any():
            raise SimsError(why or table.where(int(np.argmax(blank)), f"a {what}", "a blank"))
        found[what] = values * unit
    time = found["time"]
    if time.size < 2:
        fail(path, rows[-1][0], "at least two lines of data", f"{time.size}")
    late = np.diff(time) <= 0
    if late.any():
        row = int(np.argmax(late)) + 1
        raise SimsError(table.where(row, f"a time after {time[row - 1]:g} s", f"{time[row]:g} s"))
    notes = ()
    if time[0] != 0:
        notes = (f"the recorded current starts at {time[0]:g} s: its clock is shifted to zero",)
    return Record(source, time - time[0], found["current"], notes)
