"""Read what instruments export: every number, with its unit, or a refusal that says why."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from .checks import Array
from .tables import (
    NUMBER,
    Row,
    SimsError,
    Source,
    Table,
    axis_of,
    decoded,
    even,
    fail,
    find_header,
    read_source,
    rows_of,
    split_unit,
)


@dataclass(frozen=True, eq=False)
class Recording:
    """One SIMS depth profile as exported.

    Attributes
    ----------
    path : Path
    format : str
        ``"SurfaceLab"``, ``"CAMECA"`` or ``"CSV"`` (any table).
    unit : str
        ``"counts"`` (per cycle) or ``"counts/s"``.
    time : dict of str to ndarray, shape (m,)
        Sputter time of each channel (s): the start of the cycle for SurfaceLab and tables (one
        axis for all), the middle of the counting interval for CAMECA (one axis each, peak
        jumping). Depth (m) if ``axis`` is ``"depth"``.
    intensity : dict of str to ndarray, shape (m,)
        What the export states, in ``unit``, of the channels that are sound.
    exposure : dict of str to float
        Counts per unit of intensity: 1 for counts, counting time times detector yield (s) for
        rates; nan if the export does not tell.
    dead_time_corrected : dict of str to (bool or None)
        Whether the export says so; None if it says nothing.
    total_time : float
        Sputter time (s) at the end of the crater, or of the data (m for a depth axis).
    meta : dict
        Masses (SurfaceLab), comments (tables) or the named values of the header (CAMECA).
    total_stated : bool
        Whether the export states ``total_time``; else it is the end of the data.
    axis : str
        ``"time"``, or ``"depth"`` for an export without times.
    depth : dict of str to ndarray, shape (m,)
        The depths (m) that the export states beside its times, if it does.
    detector : dict of str to str
        ``"counter"``, ``"faraday"`` (a current: counting errors are unknown) or ``"scatter"``
        (errors from the scatter).
    unsound : dict of str to str
        Why a channel cannot be used: a ratio, a concentration, a damaged column.
    fractions_tell : bool
        Whether no header but fractions in the counts tell that dead time is corrected.
    notes : tuple of str
        What the reader left out, in words.
    source : Source or None
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
    total_stated: bool = False
    axis: str = "time"
    depth: dict[str, Array] = field(default_factory=dict)
    detector: dict[str, str] = field(default_factory=dict)
    unsound: dict[str, str] = field(default_factory=dict)
    fractions_tell: bool = False
    notes: tuple[str, ...] = ()
    source: Source | None = None

    @property
    def channels(self) -> tuple[str, ...]:
        """The ions that are there and sound, in the order of the file."""
        return tuple(self.intensity)

    def counts(self, ion: str) -> Array:
        """Detected ions of one channel, shape (m,); SimsError if it is not there or not sound."""
        if ion in self.unsound:
            raise SimsError(self.unsound[ion])
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

    ION-TOF SurfaceLab text (three header lines, or four with ``#``), CAMECA IMS ASCII (``***``
    sections) and tables: text separated by tabs, semicolons or commas, or an Excel sheet, whose
    header names the axis with its unit (``time / s``, ``Depth (nm)``) and the ions. Decimal point
    or comma; UTF-8, UTF-16 or Latin-1. Only the channels that are asked for must be sound.

    Raises
    ------
    SimsError
        If the file is not exactly one of these layouts, is truncated, or holds a number that
        cannot be a time or a count; the text names file, line and what was expected.
    """
    source = read_source(path)
    if source.is_workbook:
        return _read_table(source)
    lines, _ = decoded(source)
    if any(line.startswith("***") for line in lines):
        return _read_cameca(source, lines)
    for i in range(2, min(len(lines), 40)):  # the third line of the header, or a later one
        cells = lines[i].split("\t")
        if any(map(axis_of, cells)) and any(cell.startswith("Intensity") for cell in cells):
            return _read_surfacelab(source, lines, i)
    return _read_table(source)


# --- headers --------------------------------------------------------------------------------

_COUNTS = {"counts", "count", "cts", "cnt"}
_RATES = {"counts/s", "count/s", "cts/s", "cnt/s", "c/s", "cps", "counts/sec"}
_NO_COUNTS = re.compile(r"cm\W?3|at\.?\s?%|wt\.?\s?%|ppm|atoms|conc|mol|^a\.?\s?u\.?$|arb|norm|^%$")
_NUMBERING = {"data point", "data point #", "cycle", "scan", "index", "no", "nr"}
_DEAD_TIME_CORRECTED = {
    "Intensity": None,
    "Intensity (Raw)": False,
    "Intensity (Poisson Corrected)": True,
    "Intensity (Raw. Poisson Corrected)": True,
}


@dataclass
class _Channel:
    """A column of intensities: place, name, unit, correction and why it is no use."""

    place: int
    label: str
    unit: str = "counts"
    corrected: bool | None = None
    why: str = ""


def _described(cell: str, place: int) -> _Channel:
    """The channel that the header of a table describes."""
    name, unit = split_unit(cell)
    kind = unit.casefold()
    if not unit or kind in _COUNTS:
        return _Channel(place, name)
    if kind in _RATES:
        return _Channel(place, name, unit="counts/s")
    if _NO_COUNTS.search(kind[:60]):
        return _Channel(place, name, why=f"counts, not {unit!r}, whose errors nobody can know")
    return _Channel(place, cell, why="" if "/" not in cell else "an ion, not a ratio of two")


def _told_apart(path: Path, line: int, channels: list[_Channel], masses: list[str]) -> dict:
    """Give channels of equal labels names of their own; why the label alone is refused."""
    unsound, seen = {}, Counter(channel.label for channel in channels)
    twins: dict[str, list[str]] = {}
    pairs = Counter((c.label, m) for c, m in zip(channels, masses, strict=True))
    for channel, mass in zip(channels, masses, strict=True):
        label = channel.label
        if not label:
            channel.label = f"column {channel.place + 1}"
            channel.why = channel.why or "a channel label, not a blank"
        elif seen[label] > 1:
            known = mass[:1].isdigit() and pairs[label, mass] == 1
            channel.label += f" (m/z {mass})" if known else f" (column {channel.place + 1})"
            twins.setdefault(label, []).append(channel.label)
    for label, names in twins.items():
        unsound[label] = (
            f"{path}, line {line}: expected different channel labels, found {label!r} twice:"
            f" ask for {' or '.join(map(repr, names))}"
        )
    return unsound


# --- the layouts ----------------------------------------------------------------------------


def _read_surfacelab(source: Source, lines: list[str], head: int) -> Recording:
    """The text export of SurfaceLab: labels, masses and quantities above the numbers."""
    path = source.path
    rows = [(line, [cell.strip() for cell in text.split("\t")]) for line, text in
            enumerate(lines[head - 2 :], head - 1)]  # fmt: skip
    quantities = rows[2][1]
    quantities[0] = quantities[0].lstrip("# ")
    while quantities and not quantities[-1]:
        quantities.pop()
    [(_, labels)] = even(path, [(head + 1, quantities), rows[0]])
    [(_, masses)] = even(path, [(head + 1, quantities), rows[1]])
    places = {"time": [], "depth": [], "channel": []}
    for i, quantity in enumerate(quantities):
        if axis := axis_of(quantity):
            places.setdefault(axis[0], []).append((i, axis[1]))
        elif quantity.casefold() not in _NUMBERING and not quantity.startswith(("Dose", "Fluence")):
            places["channel"].append(i)
    channels = []
    for i in places["channel"]:
        channel = _Channel(i, labels[i], corrected=_DEAD_TIME_CORRECTED.get(quantities[i]))
        if "background" in quantities[i].casefold():
            channel.why = f"{labels[i]} as it was counted, not {quantities[i][:60]!r}: the errors"
            channel.why += " of what a background was taken from are unknown"
        elif quantities[i] not in _DEAD_TIME_CORRECTED:
            known = ", ".join(map(repr, _DEAD_TIME_CORRECTED))
            channel.why = f"{labels[i]} to be one of {known}, not {quantities[i][:60]!r}"
        elif " / " in labels[i]:
            channel.why = "an ion, not a ratio of two"
        channels.append(channel)
    masses = [masses[channel.place] for channel in channels]
    twins = _told_apart(path, head - 1, channels, masses)
    named = {channel.label: mass for channel, mass in zip(channels, masses, strict=True)}
    meta = {"m/z": {label: _mass(mass) for label, mass in named.items()}}
    meta["comments"] = [line.lstrip("# ") for line in lines[: head - 2]]
    below = even(path, [(head + 1, quantities), *rows[3:]])
    return _assemble(source, "SurfaceLab", below, places, channels, twins, meta, head + 1)


def _mass(cell: str) -> float:
    return float(cell.replace(",", ".")) if NUMBER.fullmatch(cell) else np.nan


_LAYOUTS = (
    "'time / s, Li+, K+, ...' (a table), or 'Sputter Time (s)' above the data (SurfaceLab text),"
    " or '*** ... ***' sections (CAMECA ASCII)"
)


def _read_table(source: Source) -> Recording:
    """A table whose header names the axis, with its unit, and the ions."""
    path, (rows, seen) = source.path, rows_of(source)
    head = find_header(path, rows, seen, _LAYOUTS)
    line, cells = rows[head]
    cells = [cell.lstrip("# ") if i == 0 else cell for i, cell in enumerate(cells)]
    places = {"time": [], "depth": [], "current": []}
    channels = []
    for i, cell in enumerate(cells):
        if axis := axis_of(cell):
            places[axis[0]].append((i, axis[1]))
        elif (cell or i + 1 < len(cells)) and cell.casefold() not in _NUMBERING:
            channels.append(_described(cell, i))
    if places["current"] and not channels:
        fail(path, line, "a depth profile", "a recorded current")
    twins = _told_apart(path, line, channels, [""] * len(channels))
    meta = {"comments": [", ".join(cells).strip("#, ") for _, cells in rows[:head]]}
    below = even(path, [(line, cells), *rows[head + 1 :]])
    return _assemble(source, "CSV", below, places, channels, twins, meta, line)


def _assemble(
    source: Source,
    layout: str,
    rows: list[Row],
    places: dict[str, list],
    channels: list[_Channel],
    unsound: dict[str, str],
    meta: dict[str, object],
    head: int,
) -> Recording:
    """The recording of a table: an axis, the channels, and what is wrong with some of them."""
    path, table = source.path, Table(source.path, rows)
    axes = {}
    for what in ("time", "depth"):
        if len(places[what]) > 1:
            fail(path, head, f"one {what} axis", f"{len(places[what])}")
        for i, unit in places[what]:
            values, why = table.column(i)
            axes[what] = _checked_axis(table, values * unit, why)
    if not axes or not channels:
        fail(path, head, "a time or a depth, and a channel", ", ".join(c.label for c in channels))
    axis = "time" if "time" in axes else "depth"
    found = {}
    for channel in channels:
        values, why = table.column(channel.place, whole=channel.corrected is False)
        found[channel.label] = values
        why = why or _unsound_values(table, channel.label, values)
        if channel.why:
            why = f"{path}, line {head}: expected {channel.why}"
        if why:
            unsound[channel.label] = why
    sound = [channel for channel in channels if channel.label not in unsound]
    if not sound:
        raise SimsError(next(iter(unsound.values())))
    unit = Counter(channel.unit for channel in sound).most_common(1)[0][0]
    for channel in [c for c in sound if c.unit != unit]:
        unsound[channel.label] = f"{path}, line {head}: expected {channel.label} in {unit}"
        sound.remove(channel)

    # the scan that was running when the measurement was stopped has no counts yet
    time, notes, keep = axes[axis], (), len(rows)
    step = np.median(np.diff(time))
    if abs(time[0] - step / 2) < 0.01 * step:
        time, notes = time - time[0], ("its times are the middles of the scans",)
    if keep > 2 and all(found[c.label][-1] == 0 for c in sound):
        keep -= 1
        notes += (f"the last scan, line {rows[-1][0]}, is empty: it is no cycle",)
    total = time[keep] if keep < len(rows) else _cycle_edges(time, middle=False)[-1]
    names = [channel.label for channel in sound]
    # dead time cannot leave whole numbers: a fraction tells that it has been corrected
    whole = {n: bool(np.all(found[n][:keep] == np.round(found[n][:keep]))) for n in names}
    silent = [c.label for c in sound if c.corrected is None and unit == "counts"]
    told = layout == "SurfaceLab" and not all(whole[name] for name in silent)
    corrected = {c.label: c.corrected for c in sound}
    corrected |= {name: True for name in silent if told or not whole[name]}
    return Recording(
        path=path,
        format=layout,
        unit=unit,
        time=dict.fromkeys(names, time[:keep]),
        intensity={name: found[name][:keep] for name in names},
        exposure=dict.fromkeys(names, 1.0 if unit == "counts" else np.nan),
        dead_time_corrected=corrected,
        total_time=float(total),
        meta=meta,
        axis=axis,
        depth=dict.fromkeys(names, axes["depth"][:keep]) if len(axes) == 2 else {},
        detector=dict.fromkeys(names, "counter"),
        unsound=unsound,
        fractions_tell=any(told or not whole[name] for name in silent),
        notes=notes,
        source=source,
    )


def _checked_axis(table: Table, values: Array, why: str) -> Array:
    """Refuse an axis with fewer than two values, with blanks, or that does not increase."""
    if values.size < 2:
        fail(table.path, table.rows[-1][0], "at least two cycles", f"{values.size}")
    if why:
        raise SimsError(why)
    for bad, expected in (
        (np.isnan(values), "a sputter time, not a blank"),
        (np.diff(values, prepend=-1e-30) <= 0, "a time that increases, from 0 s on"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            raise SimsError(table.where(row, expected, f"{values[row]:g}"))
    return values


def _unsound_values(table: Table, ion: str, values: Array) -> str:
    for bad, expected in (
        (np.isnan(values), f"an intensity of {ion}, not a blank"),
        (values < 0, f"{ion} not negative"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            return table.where(row, expected, f"{values[row]:g}")
    return ""


def _read_cameca(source: Source, lines: list[str]) -> Recording:
    """The ASCII export of CAMECA instruments: a block of columns for each species."""
    path = source.path
    heads = [i for i, line in enumerate(lines) if re.match(r" *(Time|Depth) *\[", line[:20])]
    sep = "\t" if heads and "\t" in lines[heads[0]] else ";"
    bare = [line.rstrip(sep + " ") for line in lines]
    starts = [i for i, line in enumerate(bare) if line == "*** DATA START ***"]
    if not starts:
        fail(path, 1, "a section '*** DATA START ***'", "none in the file")
    start = starts[0]
    end = next((i for i in range(start, len(bare)) if bare[i] == "*** DATA END ***"), None)
    if end is None:
        fail(path, len(lines), "'*** DATA END ***'", "the end of the file: truncated")
    heads = [i for i in heads if i > start]
    if not heads or heads[0] > end:
        fail(path, start + 1, "a header line 'Time[s];...;I[cnt/s]' in the data", "none")
    if len(starts) > 1 or len(heads) > 1:
        names = [bare[i - 2].strip() for i in heads]
        fail(path, heads[-1] + 1, "one profile in a file", f"several: {', '.join(names)[:200]}")
    head = heads[0]
    blocks = _blocks(path, head, bare[head].split(sep), bare[head - 1].split(sep))

    rows = [(i + 1, [cell.strip() for cell in bare[i].split(sep)]) for i in range(head + 1, end)]
    while rows and rows[-1][1] == [""]:
        rows.pop()
    if not rows:
        fail(path, head + 1, "at least two cycles below", "none")
    columns = max(close for _, _, close, _ in blocks)
    for line, cells in rows:
        # a species may end before the others do; within a block nothing is missing
        if all(len(cells) != close for _, _, close, _ in blocks):
            fail(path, line, f"{columns} columns as in the header", f"{len(cells)}")
        cells.extend([""] * (columns - len(cells)))
    time, depth, intensity, unsound, left_out = {}, {}, {}, {}, []
    axis = "time" if any("time" in kinds for *_, kinds in blocks) else "depth"
    for ion, begin, close, kinds in blocks:
        if "current" in kinds:  # of the primary beam
            left_out.append(f"{ion}, a current, is no channel")
            continue
        part = [(line, cells[begin:close]) for line, cells in rows]
        while part and not any(part[-1][1]):
            part.pop()
        try:
            time[ion], depth[ion], intensity[ion] = _species(path, head, ion, part, kinds, axis)
        except SimsError as error:
            unsound[ion] = str(error)
    if not intensity:
        raise SimsError(next(iter(unsound.values()), f"{path}: no species is counted"))
    labels = list(intensity)
    meta, exposure, detector, stated = _cameca_settings(path, lines, sep, labels)
    total = max(float(_cycle_edges(t, middle=True)[-1]) for t in time.values())
    if stated and axis == "time":
        line, total = stated
        last = max(t[-1] for t in time.values())
        if total < last - 1:  # it is stated in whole seconds
            fail(path, line, f"at least the {last:g} s of the data", f"{total:g} s")
    return Recording(
        path=path,
        format="CAMECA",
        unit="counts/s",
        time=time,
        intensity=intensity,
        exposure=exposure,
        dead_time_corrected=dict.fromkeys(labels),
        total_time=total,
        meta=meta,
        total_stated=bool(stated) and axis == "time",
        axis=axis,
        depth={ion: d for ion, d in depth.items() if d is not None and axis == "time"},
        detector=detector,
        unsound=unsound,
        notes=tuple(left_out),
        source=source,
    )


_Block = tuple[str, int, int, list[str]]  # species, first and last column, what they hold


def _blocks(path: Path, head: int, header: list[str], names: list[str]) -> list[_Block]:
    """The block of columns of each species, whose name stands above its first column."""
    kinds = []
    for cell in header:
        what = axis_of(cell.strip())
        unit = split_unit(cell.strip())[1].casefold()
        kinds.append(what[0] if what else "rate" if unit in _RATES else cell.strip() or "blank")
    begins = [i for i, cell in enumerate(names) if cell.strip()]
    first = kinds[0]
    if begins != [i for i, kind in enumerate(kinds) if kind == first]:
        fail(path, head, f"one species above each {header[0].strip()!r}", repr(names)[:200])
    blocks = []
    for begin, close in zip(begins, [*begins[1:], len(kinds)], strict=True):
        inside = kinds[begin:close]
        if not 2 <= len(inside) <= 3 or "depth" in inside[2:] or "time" in inside[1:]:
            fail(path, head + 1, "blocks 'Time[s];Depth[nm];I[cnt/s]'", repr(header)[:200])
        blocks.append((names[begin].strip(), begin, close, inside))
    for name, count in Counter(block[0] for block in blocks).items():
        if count > 1:
            fail(path, head, "different channel labels", f"{name!r} twice")
    return blocks


def _species(
    path: Path, head: int, ion: str, rows: list[Row], kinds: list[str], axis: str
) -> tuple[Array, Array | None, Array]:
    """Axis, depths if they are stated, and rates (counts/s) of one species."""
    if kinds[-1] != "rate" or axis not in kinds:
        fail(path, head + 1, f"{ion} in counts/s against {axis}", f"{', '.join(kinds)}")
    if len(rows) < 2:
        fail(path, rows[-1][0] if rows else head + 1, f"two cycles of {ion}", f"{len(rows)}")
    table, depth = Table(path, rows), None
    if "depth" in kinds:
        depth, why = table.column(kinds.index("depth"))
        depth = None if why or np.isnan(depth).any() else depth * 1e-9
    if axis == "depth":
        values, why = table.column(kinds.index("depth"))
        values = _checked_axis(table, values * 1e-9, why)
    else:
        values = _checked_axis(table, *table.column(kinds.index("time")))
    rate, why = table.column(len(kinds) - 1)
    if why := why or _unsound_values(table, ion, rate):
        raise SimsError(why)
    return values, depth, np.where(rate <= 1e-3, 0.0, rate)  # a zero is written as 1E-3


def _cameca_settings(
    path: Path, lines: list[str], sep: str, labels: list[str]
) -> tuple[dict[str, object], dict[str, float], dict[str, str], tuple[int, float] | None]:
    """The ``name;value`` lines, exposure and detector of each species, the total time and its line.

    Rates are corrected for the yield of the electron multiplier, so that one count in a
    counting time CT reads 1/(CT yield): the counts are the rate times CT times yield.
    """

    def positive(line: int, cell: str) -> float:
        [value], why = Table(path, [(line, [cell])]).column(0)
        if why or not value > 0:
            fail(path, line, "a positive number", repr(cell[:40]))
        return float(value)

    meta: dict[str, object] = {}
    exposure, detector = dict.fromkeys(labels, np.nan), dict.fromkeys(labels, "counter")
    with_multiplier, detected, total, columns = set(), 1.0, None, []
    for line, text in enumerate(lines, 1):
        cells = [cell.strip() for cell in text.split(sep)]
        if text.startswith("***"):
            columns = []
        elif cells[0] == "Species" and "CT(s)" in cells:
            columns = cells
        elif columns and cells[0] in exposure and len(cells) == len(columns):
            row = dict(zip(columns, cells, strict=True))
            exposure[cells[0]] = positive(line, row["CT(s)"])
            if row.get("Detector", "").startswith("FC"):
                detector[cells[0]] = "faraday"
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
    return meta, exposure, detector, total
