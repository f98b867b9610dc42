"""Read SIMS depth-profile exports: every number, with its unit, or a refusal that says why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Row = tuple[int, list[str]]  # line number and cells


class SimsError(ValueError):
    """A SIMS export that cannot be read safely: names file, line and what was expected."""


@dataclass(frozen=True, eq=False)
class Recording:
    """One SIMS depth profile as exported.

    Attributes
    ----------
    path : Path
    format : str
        ``"SurfaceLab"``, ``"CAMECA"`` or ``"CSV"``.
    unit : str
        ``"counts"`` (per cycle) or ``"counts/s"``.
    time : dict of str to ndarray, shape (m,)
        Sputter time of each channel (s): the start of the cycle for SurfaceLab and CSV (one axis
        for all), the middle of the counting interval for CAMECA (one axis each, peak jumping).
    intensity : dict of str to ndarray, shape (m,)
        What the export states, in ``unit``.
    exposure : dict of str to float
        Counts per unit of intensity: 1 for counts, counting time times detector yield (s) for
        rates; nan if the export does not tell.
    dead_time_corrected : dict of str to (bool or None)
        Whether the export says so; None if it says nothing.
    total_time : float
        Sputter time (s) at the end of the crater.
    meta : dict
        Masses (SurfaceLab), comments (CSV) or the named values of the header (CAMECA).
    """

    path: Path
    format: str
    unit: str
    time: dict[str, Array]
    intensity: dict[str, Array]
    exposure: dict[str, float]
    dead_time_corrected: dict[str, bool | None]
    total_time: float
    meta: dict[str, object]

    @property
    def channels(self) -> tuple[str, ...]:
        """The ions that are there, in the order of the file."""
        return tuple(self.intensity)

    def counts(self, ion: str) -> Array:
        """Detected ions of one channel, shape (m,); SimsError if the ion is not in the file."""
        if ion not in self.intensity:
            there = ", ".join(self.channels)
            raise SimsError(f"{self.path}: no channel {ion!r}; there are {there}")
        return self.intensity[ion] * self.exposure[ion]

    def cycles(self, *ions: str) -> tuple[Array, dict[str, Array], dict[str, float]]:
        """Edges (s), shape (m + 1,), of the sputter cycles, the counts of ``ions``, and their lags.

        The edges are those of the first ion. An instrument that jumps from peak to peak counts
        the others of a cycle later or earlier by a constant lag (s); so no count is interpolated,
        and their scatter stays Poisson's. Channels whose lag is not constant are refused.
        """
        counts = {ion: self.counts(ion) for ion in ions}
        size = min(self.time[ion].size for ion in ions)
        time = self.time[ions[0]][:size]
        if size < 2:
            raise SimsError(f"{self.path}: the channels {', '.join(ions)} share no two cycles")
        lags = {}
        for ion in ions:
            late = self.time[ion][:size] - time
            lags[ion] = float(np.median(late))
            if np.max(np.abs(late - lags[ion])) > 0.2 * np.median(np.diff(time)):
                raise SimsError(
                    f"{self.path}: the time of {ion} against that of {ions[0]} is not constant:"
                    f" from {late.min():g} to {late.max():g} s; expected one sequence of species"
                )
        edges = _cycle_edges(time, middle=self.format == "CAMECA")
        return edges, {ion: c[:size] for ion, c in counts.items()}, lags


def _cycle_edges(time: Array, middle: bool) -> Array:
    step = np.diff(time)
    if not middle:
        return np.append(time, time[-1] + np.median(step))
    edges = np.concatenate([time - np.append(step[0], step) / 2, [time[-1] + step[-1] / 2]])
    return np.maximum(edges, 0.0)


def read_sims(path: str | Path) -> Recording:
    """Read a SIMS depth-profile export; the layout is told by the content, not by the name.

    ION-TOF SurfaceLab text (three header lines, tabs, decimal point or comma), CAMECA IMS ASCII
    (``***`` sections, ``;`` or tabs) and plain CSV (``# ...`` comments, then
    ``time / s, Li+, K+, ...`` in counts per cycle, time at the start of the cycle).

    Raises
    ------
    SimsError
        If the file is not exactly one of these layouts, is truncated, or holds a number that
        cannot be a time or a count; the text names file, line and what was expected.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError:
        text = path.read_text(encoding="latin-1")
    lines = text.rstrip(" \n").split("\n")
    if lines == [""]:
        _fail(path, 1, "a SIMS export", "an empty file")
    if any(line.startswith("***") for line in lines):
        return _read_cameca(path, lines)
    if len(lines) > 2 and lines[2].startswith("Sputter Time"):
        return _read_surfacelab(path, lines)
    return _read_csv(path, lines)


# --- what the layouts share -----------------------------------------------------------------


def _fail(path: Path, line: int, expected: str, found: str) -> NoReturn:
    raise SimsError(f"{path}, line {line}: expected {expected}, found {found}")


def _split(path: Path, lines: list[str], start: int, sep: str, columns: int) -> list[Row]:
    """The cells of the lines from ``start``; a separator ends every line, or none."""
    rows = [(line, text.split(sep)) for line, text in enumerate(lines, 1) if line >= start]
    if not rows:
        _fail(path, start - 1, "at least two cycles below", "none")
    tail = [""] if rows[0][1][columns:] == [""] else []
    for line, cells in rows:
        if len(cells) != columns + len(tail) or cells[columns:] != tail:
            _fail(path, line, f"{columns} columns as in the header", f"{len(cells) - len(tail)}")
    return [(line, cells[:columns]) for line, cells in rows]


_NUMBER = re.compile(r"[+-]?\d+([.,]\d*)?([eE][+-]?\d{1,2})?", re.ASCII)


def _numbers(path: Path, rows: list[Row]) -> list[list[float]]:
    """Parse the cells of numbered rows; one decimal mark for the whole file, blank is nan."""
    mark = ""
    table = []
    for line, cells in rows:
        values = []
        for cell in map(str.strip, cells):
            if cell and not _NUMBER.fullmatch(cell):
                _fail(path, line, "a number", repr(cell))
            here = "," if "," in cell else "." if "." in cell else ""
            mark = mark or here
            if here and here != mark:
                _fail(path, line, f"the decimal mark {mark!r} of the lines before", repr(cell))
            values.append(float(cell.replace(",", ".")) if cell else np.nan)
        table.append(values)
    return table


def _check_labels(path: Path, line: int, labels: list[str]) -> None:
    for i, label in enumerate(labels):
        if not label:
            _fail(path, line, f"a channel label in column {i + 1} of {len(labels)}", "a blank")
        if label in labels[:i]:
            _fail(path, line, "different channel labels", f"{label!r} twice")


def _check_channel(path: Path, rows: list[Row], ion: str, time: Array, counts: Array) -> None:
    """Refuse fewer than two cycles, missing or negative values, and time that stands still."""
    if time.size < 2:
        _fail(path, rows[-1][0], f"at least two cycles of {ion}", f"{time.size}")
    for bad, expected in (
        (np.isnan(time), "a sputter time, not a blank"),
        (np.isnan(counts), f"an intensity of {ion}, not a blank"),
        (counts < 0, f"{ion} not negative"),
        (np.diff(time, prepend=-1e-9) <= 0, "a time that increases, from 0 s on"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            _fail(path, rows[row][0], expected, f"{counts[row]:g} at {time[row]:g} s")


# --- the layouts ----------------------------------------------------------------------------

_DEAD_TIME_CORRECTED = {
    "Intensity": None,
    "Intensity (Raw)": False,
    "Intensity (Poisson Corrected)": True,
    "Intensity (Raw. Poisson Corrected)": True,
}


def _read_surfacelab(path: Path, lines: list[str]) -> Recording:
    time, *quantities = lines[2].removesuffix("\t").split("\t")
    if time != "Sputter Time (s)" or not quantities:
        _fail(path, 3, "'Sputter Time (s)' and a quantity for each channel", repr(lines[2]))
    columns = len(quantities) + 1
    [(_, (_, *labels))] = _split(path, lines[:1], 1, "\t", columns)
    [(_, (_, *masses))] = _split(path, lines[:2], 2, "\t", columns)
    _check_labels(path, 1, labels)
    for label, quantity in zip(labels, quantities, strict=True):
        if quantity not in _DEAD_TIME_CORRECTED:
            known = ", ".join(map(repr, _DEAD_TIME_CORRECTED))
            _fail(path, 3, f"{label} to be one of {known}", repr(quantity))
    rows = _split(path, lines, 4, "\t", columns)
    mass, *table = _numbers(path, [(2, masses), *rows])  # one decimal mark for both
    meta = {"m/z": dict(zip(labels, mass, strict=True))}
    corrected = [_DEAD_TIME_CORRECTED[quantity] for quantity in quantities]
    corrected = dict(zip(labels, corrected, strict=True))
    return _plain(path, "SurfaceLab", corrected, rows, table, meta)


def _read_csv(path: Path, lines: list[str]) -> Recording:
    head = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines) - 1)
    time, *labels = map(str.strip, lines[head].split(","))
    if time != "time / s" or not labels:
        layouts = (
            "'time / s, Li+, K+, ...' (CSV), or 'Sputter Time (s)' in line 3 (SurfaceLab text),"
            " or '*** ... ***' sections (CAMECA ASCII)"
        )
        _fail(path, head + 1, layouts, repr(lines[head][:60]))
    _check_labels(path, head + 1, labels)
    rows = _split(path, lines, head + 2, ",", len(labels) + 1)
    meta = {"comments": [line[1:].strip() for line in lines[:head]]}
    return _plain(path, "CSV", dict.fromkeys(labels), rows, _numbers(path, rows), meta)


def _plain(
    path: Path,
    layout: str,
    corrected: dict[str, bool | None],
    rows: list[Row],
    table: list[list[float]],
    meta: dict[str, object],
) -> Recording:
    """The recording of a table of one time column, then counts of the ions in ``corrected``."""
    time, *columns = np.array(table).T
    intensity = dict(zip(corrected, columns, strict=True))
    for ion, counts in intensity.items():
        _check_channel(path, rows, ion, time, counts)
    times, exposure = dict.fromkeys(corrected, time), dict.fromkeys(corrected, 1.0)
    total = float(_cycle_edges(time, middle=False)[-1])
    return Recording(path, layout, "counts", times, intensity, exposure, corrected, total, meta)


def _read_cameca(path: Path, lines: list[str]) -> Recording:
    sep = "\t" if any(line.startswith("Time[s]\t") for line in lines) else ";"
    bare = [line.rstrip(sep + " ") for line in lines]
    marks = {line: i for i, line in enumerate(bare) if line.startswith("***")}
    start, end = marks.get("*** DATA START ***"), marks.get("*** DATA END ***")
    if start is None:
        _fail(path, 1, "a section '*** DATA START ***'", "none in the file")
    if end is None or end < start:
        _fail(path, len(lines), "'*** DATA END ***'", "the end of the file: truncated")
    head = next((i for i in range(start, end) if bare[i].startswith("Time[s]")), None)
    if head is None:
        _fail(path, start + 1, "a header line 'Time[s];...;I[cnt/s]' in the data", "none")

    # a block of columns for each species; the line above names the species
    header = [cell.strip() for cell in bare[head].split(sep)]
    if not re.fullmatch(r"(Time\[s\];(Depth[^;]*;)?I\[c(nt)?/s\];)+", ";".join(header) + ";"):
        _fail(path, head + 1, "blocks 'Time[s];Depth[nm];I[cnt/s]'", repr(bare[head]))
    begins = [i for i, cell in enumerate(header) if cell == "Time[s]"]
    ends = [*begins[1:], len(header)]
    names = [cell.strip() for cell in bare[head - 1].split(sep)]
    if [i for i, cell in enumerate(names) if cell] != begins:
        _fail(path, head, "one species above each 'Time[s]'", repr(bare[head - 1]))
    labels = [names[i] for i in begins]
    _check_labels(path, head, labels)

    rows = [(i + 1, bare[i].split(sep)) for i in range(head + 1, end)]
    while rows and rows[-1][1] == [""]:
        rows.pop()
    if not rows:
        _fail(path, head + 1, "at least two cycles below", "none")
    for line, cells in rows:
        # only the last cycle may be interrupted, and then between two species
        if len(cells) != len(header) and not (line == rows[-1][0] and len(cells) in ends):
            _fail(path, line, f"{len(header)} columns as in the header", f"{len(cells)}")
    table = _numbers(path, rows)
    time, intensity = {}, {}
    for ion, i, j in zip(labels, begins, ends, strict=True):
        block = np.array([row[i:j] for row in table if len(row) >= j]).reshape(-1, j - i)
        time[ion], rate = block[:, 0], block[:, -1]
        _check_channel(path, rows, ion, time[ion], rate)
        intensity[ion] = np.where(rate <= 1e-3, 0.0, rate)  # a zero is written as 1E-3

    meta, exposure, stated = _cameca_settings(path, lines, sep, labels)
    total = max(float(_cycle_edges(t, middle=True)[-1]) for t in time.values())
    if stated:
        line, total = stated
        last = max(t[-1] for t in time.values())
        if total < last - 1:  # it is stated in whole seconds
            _fail(path, line, f"at least the {last:g} s of the data", f"{total:g} s")
    unknown = dict.fromkeys(labels)
    return Recording(path, "CAMECA", "counts/s", time, intensity, exposure, unknown, total, meta)


def _cameca_settings(
    path: Path, lines: list[str], sep: str, labels: list[str]
) -> tuple[dict[str, object], dict[str, float], tuple[int, float] | None]:
    """The ``name;value`` lines, the exposure of each species, the total time and its line.

    Rates are corrected for the yield of the electron multiplier, so that one count in a
    counting time CT reads 1/(CT yield): the counts are the rate times CT times yield.
    """

    def positive(line: int, cell: str) -> float:
        [[value]] = _numbers(path, [(line, [cell])])
        if not value > 0:
            _fail(path, line, "a positive number", repr(cell))
        return value

    meta: dict[str, object] = {}
    exposure = dict.fromkeys(labels, np.nan)
    with_multiplier, detected, total, columns = set(), 1.0, None, []
    for line, text in enumerate(lines, 1):
        cells = [cell.strip() for cell in text.split(sep)]
        if text.startswith("***"):
            columns = []
        elif cells[0] == "Species" and "CT(s)" in cells:
            columns = cells
        elif columns and cells[0] in labels and len(cells) == len(columns):
            row = dict(zip(columns, cells, strict=True))
            exposure[cells[0]] = positive(line, row["CT(s)"])
            if row.get("Detector") == "EM":
                with_multiplier.add(cells[0])
        elif len(cells) == 2 and cells[0] not in meta:
            meta[cells[0]] = cells[1]
            if cells[0] == "EM yield (%)" and cells[1]:
                detected = positive(line, cells[1]) / 100
            elif cells[0] == "Total sputtering time (s)" and cells[1]:
                total = line, positive(line, cells[1])
    for ion in with_multiplier:
        exposure[ion] *= detected
    return meta, exposure, total
