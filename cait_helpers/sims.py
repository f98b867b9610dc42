"""SIMS: read a depth-profile export, turn counts into fractions, blur a model like the instrument.

Three steps, in the order of the data: :func:`read_sims`, :func:`normalise`, and
:func:`blur`, which takes the depth resolution to the *model* (data are never deconvolved).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

# --- reading --------------------------------------------------------------------------------


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
        Masses (SurfaceLab) or the header tables (CAMECA), as written.
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
            raise SimsError(
                f"{self.path}: no channel {ion!r}; there are {', '.join(self.channels)}"
            )
        return self.intensity[ion] * self.exposure[ion]

    def cycles(self, *ions: str) -> tuple[Array, dict[str, Array]]:
        """Edges (s), shape (m + 1,), of the sputter cycles and the counts of ``ions`` in them.

        Channels with a time axis of their own are interpolated linearly to that of the first
        ion, inside the range where all are known. (An interpolated count scatters a little
        less than Poisson: errors taken from it are on the safe side.)
        """
        counts = {ion: self.counts(ion) for ion in ions}
        first = max(self.time[ion][0] for ion in ions)
        last = min(self.time[ion][-1] for ion in ions)
        time = self.time[ions[0]]
        time = time[(time >= first) & (time <= last)]
        if time.size < 2:
            raise SimsError(f"{self.path}: the channels {', '.join(ions)} share no two cycles")
        return (
            _cycle_edges(time, middle=self.format == "CAMECA"),
            {ion: np.interp(time, self.time[ion], c) for ion, c in counts.items()},
        )


def _cycle_edges(time: Array, middle: bool) -> Array:
    step = np.diff(time)
    if middle:
        edges = np.concatenate([time - np.append(step[0], step) / 2, [time[-1] + step[-1] / 2]])
        return np.maximum(edges, 0.0)
    return np.append(time, time[-1] + np.median(step))


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
    raw = path.read_bytes()
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = raw.decode("latin-1")
    lines = re.sub("\r\n?", "\n", text).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    if not lines:
        raise SimsError(f"{path}, line 1: expected a SIMS export, found an empty file")
    if any(line.startswith("***") for line in lines):
        return _read_cameca(path, lines)
    if len(lines) > 2 and lines[2].startswith("Sputter Time"):
        return _read_surfacelab(path, lines)
    return _read_csv(path, lines)


def _fail(path: Path, line: int, expected: str, found: object) -> NoReturn:
    found = found if isinstance(found, str) else repr(found)
    raise SimsError(f"{path}, line {line}: expected {expected}, found {found}")


_NUMBER = re.compile(r"[+-]?\d+([.,]\d*)?([eE][+-]?\d{1,2})?", re.ASCII)


def _numbers(path: Path, rows: list[tuple[int, list[str]]]) -> list[list[float]]:
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


def _check_channel(path: Path, lines: list[int], ion: str, time: Array, counts: Array) -> None:
    """Refuse fewer than two cycles, missing or negative values, and time that stands still."""
    if time.size < 2:
        _fail(path, lines[-1], f"at least two cycles of {ion}", f"{time.size}")
    for bad, what in (
        (~np.isfinite(time), "a sputter time"),
        (~np.isfinite(counts), f"an intensity of {ion}"),
    ):
        if bad.any():
            _fail(path, lines[int(np.argmax(bad))], what, "a blank")
    if (counts < 0).any():
        row = int(np.argmax(counts < 0))
        _fail(path, lines[row], f"{ion} not negative", f"{counts[row]:g}")
    if time[0] < 0:
        _fail(path, lines[0], "a sputter time not negative", f"{time[0]:g}")
    if (np.diff(time) <= 0).any():
        row = int(np.argmax(np.diff(time) <= 0)) + 1
        _fail(path, lines[row], f"a time after {time[row - 1]:g} s", f"{time[row]:g} s")


def _unique(path: Path, line: int, labels: list[str]) -> list[str]:
    for i, label in enumerate(labels):
        if not label:
            _fail(path, line, f"a channel label in column {i + 1} of {len(labels)}", "a blank")
        if label in labels[:i]:
            _fail(path, line, "different channel labels", f"{label!r} twice")
    return labels


_QUANTITIES = {
    "Intensity": None,
    "Intensity (Raw)": False,
    "Intensity (Poisson Corrected)": True,
    "Intensity (Raw. Poisson Corrected)": True,
}


def _read_surfacelab(path: Path, lines: list[str]) -> Recording:
    labels, masses, quantities = (line.split("\t") for line in lines[:3])
    if quantities[0] != "Sputter Time (s)":
        _fail(path, 3, "'Sputter Time (s)'", repr(quantities[0]))
    quantities = quantities[1:-1] if quantities[-1] == "" else quantities[1:]
    n = len(quantities)
    for line, cells in ((1, labels), (2, masses)):
        if len(cells) == n + 2 and cells[-1] == "":
            cells.pop()
        if len(cells) != n + 1 or cells[0]:
            _fail(path, line, f"a blank and {n} cells, as in line 3", f"{len(cells)} cells")
    labels = _unique(path, 1, labels[1:])
    for i, quantity in enumerate(quantities):
        if quantity not in _QUANTITIES:
            known = ", ".join(map(repr, _QUANTITIES))
            _fail(path, 3, f"{labels[i]} to be one of {known}", repr(quantity))
    rows = _rows(path, lines, 3, "\t", n + 1)
    mass, *table = _numbers(path, [(2, masses[1:]), *rows])
    meta = {"m/z": dict(zip(labels, mass, strict=True))}
    corrected = [_QUANTITIES[quantity] for quantity in quantities]
    return _one_axis(path, "SurfaceLab", labels, corrected, [r[0] for r in rows], table, meta)


def _read_csv(path: Path, lines: list[str]) -> Recording:
    head = 0
    while head < len(lines) - 1 and lines[head].startswith("#"):
        head += 1
    cells = [cell.strip() for cell in lines[head].split(",")]
    if cells[0] != "time / s" or len(cells) < 2:
        layouts = (
            "'time / s, Li+, K+, ...' (CSV), or 'Sputter Time (s)' in line 3 (SurfaceLab text),"
            " or '*** ... ***' sections (CAMECA ASCII)"
        )
        _fail(path, head + 1, layouts, repr(lines[head][:60]))
    labels = _unique(path, head + 1, cells[1:])
    rows = _rows(path, lines, head + 1, ",", len(cells))
    meta = {"comments": [line[1:].strip() for line in lines[:head]]}
    numbers = _numbers(path, rows)
    return _one_axis(path, "CSV", labels, [None] * len(labels), [r[0] for r in rows], numbers, meta)


def _rows(
    path: Path, lines: list[str], start: int, sep: str, columns: int
) -> list[tuple[int, list[str]]]:
    """Split the data lines; all have the same number of cells (a trailing tab on all or none)."""
    rows = [(i + 1, lines[i].split(sep)) for i in range(start, len(lines))]
    if not rows:
        _fail(path, start, "at least two cycles below", "none")
    tail = [""] if sep == "\t" and rows[0][1][columns:] == [""] else []
    for line, cells in rows:
        if len(cells) != columns + len(tail) or cells[columns:] != tail:
            _fail(path, line, f"{columns} columns as in the header", f"{len(cells) - len(tail)}")
    return [(line, cells[:columns]) for line, cells in rows]


def _one_axis(
    path: Path,
    layout: str,
    labels: list[str],
    corrected: list[bool | None],
    lines: list[int],
    table: list[list[float]],
    meta: dict[str, object],
) -> Recording:
    values = np.array(table).reshape(-1, len(labels) + 1)
    values.setflags(write=False)
    time = values[:, 0]
    for i, ion in enumerate(labels):
        _check_channel(path, lines, ion, time, values[:, i + 1])
    return Recording(
        path=path,
        format=layout,
        unit="counts",
        time=dict.fromkeys(labels, time),
        intensity={ion: values[:, i + 1] for i, ion in enumerate(labels)},
        exposure=dict.fromkeys(labels, 1.0),
        dead_time_corrected=dict(zip(labels, corrected, strict=True)),
        total_time=float(_cycle_edges(time, middle=False)[-1]),
        meta=meta,
    )


def _read_cameca(path: Path, lines: list[str]) -> Recording:
    marks = {line.strip(): i for i, line in enumerate(lines) if line.startswith("***")}
    start, end = marks.get("*** DATA START ***"), marks.get("*** DATA END ***")
    if start is None:
        _fail(path, 1, "a section '*** DATA START ***'", "none in the file")
    if end is None or end < start:
        _fail(path, len(lines), "'*** DATA END ***'", "the end of the file: truncated")
    head = next((i for i in range(start, end) if lines[i].startswith("Time[s]")), None)
    if head is None:
        _fail(path, start + 1, "a header line 'Time[s];...;I[cnt/s]' in the data", "none")
    sep = ";" if ";" in lines[head] else "\t"

    # the header tells the blocks: Time[s], perhaps Depth, then the intensity, for each species
    header = [cell.strip() for cell in lines[head].rstrip(sep + " ").split(sep)]
    begins = [i for i, cell in enumerate(header) if cell == "Time[s]"]
    ends = [*begins[1:], len(header)]
    for i, j in zip(begins, ends, strict=True):
        if (
            not 2 <= j - i <= 3
            or header[j - 1] not in ("I[cnt/s]", "I[c/s]")
            or any(not cell.startswith("Depth") for cell in header[i + 1 : j - 1])
        ):
            _fail(path, head + 1, "blocks 'Time[s];Depth[nm];I[cnt/s]'", sep.join(header[i:j]))
    names = [cell.strip() for cell in lines[head - 1].split(sep)]
    if [i for i, cell in enumerate(names) if cell] != begins:
        _fail(path, head, "one species above each 'Time[s]'", repr(lines[head - 1]))
    labels = _unique(path, head, [names[i] for i in begins])

    while not lines[end - 1].strip(sep + " \t"):
        end -= 1
    rows = []
    for i in range(head + 1, end):
        cells = lines[i].split(sep)
        if any(cell.strip() for cell in cells[len(header) :]):
            _fail(path, i + 1, f"{len(header)} columns as in the header", f"{len(cells)}")
        rows.append((i + 1, (cells + [""] * len(header))[: len(header)]))
    if not rows:
        _fail(path, head + 1, "at least two cycles below", "none")
    lines_of = [line for line, _ in rows]
    values = np.array(_numbers(path, rows)).reshape(-1, len(header))

    meta, exposure = _cameca_tables(path, lines, sep, labels)
    time, intensity = {}, {}
    for ion, i, j in zip(labels, begins, ends, strict=True):
        block = values[:, [i, j - 1]]
        # only the last cycle may be interrupted, and then between two species
        if ion != labels[0] and np.isnan(block[-1:]).all():
            block = block[:-1]
        _check_channel(path, lines_of, ion, block[:, 0], block[:, 1])
        time[ion] = block[:, 0]
        # the export writes a count of zero as 1E-3 counts/s
        intensity[ion] = np.where(block[:, 1] <= 1e-3, 0.0, block[:, 1])
        time[ion].setflags(write=False)
        intensity[ion].setflags(write=False)
    return Recording(
        path=path,
        format="CAMECA",
        unit="counts/s",
        time=time,
        intensity=intensity,
        exposure=exposure,
        dead_time_corrected=dict.fromkeys(labels, None),
        total_time=_cameca_total(path, lines, sep, time),
        meta=meta,
    )


def _cameca_tables(
    path: Path, lines: list[str], sep: str, labels: list[str]
) -> tuple[dict[str, object], dict[str, float]]:
    """The ``name;value`` lines of all sections, and the exposure of each species.

    Rates are corrected for the yield of the electron multiplier, so that one count in a
    counting time CT reads 1/(CT yield): the counts are the rate times CT times yield.
    """
    meta: dict[str, object] = {}
    exposure = dict.fromkeys(labels, np.nan)
    with_multiplier = []
    columns: list[str] = []
    for i, line in enumerate(lines):
        cells = [cell.strip() for cell in line.split(sep)]
        if line.startswith("***"):
            columns = []
        elif cells[0] == "Species" and "CT(s)" in cells:
            columns = cells
        elif columns and cells[0] in labels and len(cells) == len(columns):
            row = dict(zip(columns, cells, strict=True))
            exposure[cells[0]] = _positive(path, i + 1, row["CT(s)"])
            with_multiplier += [cells[0]] if row.get("Detector") == "EM" else []
        elif len(cells) == 2:
            meta.setdefault(cells[0], cells[1])
            if cells[0] == "EM yield (%)" and cells[1]:
                for ion in with_multiplier:
                    exposure[ion] *= _positive(path, i + 1, cells[1]) / 100
    return meta, exposure


def _cameca_total(path: Path, lines: list[str], sep: str, time: dict[str, Array]) -> float:
    """Total sputter time (s): as stated, or the end of the last cycle."""
    last = max(t[-1] for t in time.values())
    for i, line in enumerate(lines):
        name, _, value = line.partition(sep)
        if name == "Total sputtering time (s)" and value.strip(sep + " "):
            total = _positive(path, i + 1, value.strip(sep + " "))
            # stated in whole seconds
            if not last - 1 <= total:
                _fail(path, i + 1, f"at least the {last:g} s of the data", f"{total:g} s")
            return total
    return max(float(_cycle_edges(t, middle=True)[-1]) for t in time.values())


def _positive(path: Path, line: int, cell: str) -> float:
    [[value]] = _numbers(path, [(line, [cell])])
    if not value > 0:
        _fail(path, line, "a positive number", repr(cell))
    return value
