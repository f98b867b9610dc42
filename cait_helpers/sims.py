"""SIMS: read a depth-profile export, turn counts into fractions, blur a model like the instrument.

Three steps, in the order of the data: :func:`read_sims`, :func:`normalise`, and
:func:`blur`, which takes the depth resolution to the *model* (data are never deconvolved).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

import numpy as np
from numpy.polynomial import Polynomial
from numpy.typing import ArrayLike, NDArray
from scipy.constants import e
from scipy.special import erfcx, ndtr

from .checks import require

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


def _fail(path: Path, line: int, expected: str, found: str) -> NoReturn:
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
    for bad, expected in (
        (np.isnan(time), "a sputter time, not a blank"),
        (np.isnan(counts), f"an intensity of {ion}, not a blank"),
        (counts < 0, f"{ion} not negative"),
        (np.diff(time, prepend=-1e-9) <= 0, "a time that increases, from 0 s on"),
    ):
        if bad.any():
            row = int(np.argmax(bad))
            _fail(path, lines[row], expected, f"{counts[row]:g} at {time[row]:g} s")


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
    mass, *table = _numbers(path, [(2, masses[1:]), *rows])  # one decimal mark for both
    corrected = {
        ion: _QUANTITIES[quantity] for ion, quantity in zip(labels, quantities, strict=True)
    }
    meta = {"m/z": dict(zip(labels, mass, strict=True))}
    return _one_axis(path, "SurfaceLab", corrected, rows, table, meta)


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
    return _one_axis(path, "CSV", dict.fromkeys(labels), rows, _numbers(path, rows), meta)


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
    corrected: dict[str, bool | None],
    rows: list[tuple[int, list[str]]],
    table: list[list[float]],
    meta: dict[str, object],
) -> Recording:
    """The recording of a plain table: one time column, then the channels of ``corrected``."""
    time, *columns = np.array(table).T
    intensity = dict(zip(corrected, columns, strict=True))
    for ion, counts in intensity.items():
        _check_channel(path, [line for line, _ in rows], ion, time, counts)
    return Recording(
        path=path,
        format=layout,
        unit="counts",
        time=dict.fromkeys(corrected, time),
        intensity=intensity,
        exposure=dict.fromkeys(corrected, 1.0),
        dead_time_corrected=corrected,
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
    for i, j in zip([0, *begins[1:]], ends, strict=True):
        if (
            header[i] != "Time[s]"
            or not 2 <= j - i <= 3
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
        while len(cells) > len(header) and not cells[-1]:
            cells.pop()
        # only the last cycle may be interrupted, and then between two species
        if len(cells) != len(header) and not (i == end - 1 and len(cells) in ends):
            _fail(path, i + 1, f"{len(header)} columns as in the header", f"{len(cells)}")
        rows.append((i + 1, cells + [""] * (len(header) - len(cells))))
    if not rows:
        _fail(path, head + 1, "at least two cycles below", "none")
    lines_of = [line for line, _ in rows]
    values = np.array(_numbers(path, rows)).reshape(-1, len(header))

    meta, exposure = _cameca_tables(path, lines, sep, labels)
    time, intensity = {}, {}
    for ion, i, j in zip(labels, begins, ends, strict=True):
        block = values[:, [i, j - 1]]
        if ion != labels[0] and np.isnan(block[-1:]).all():
            block = block[:-1]
        _check_channel(path, lines_of, ion, block[:, 0], block[:, 1])
        time[ion] = block[:, 0]
        # the export writes a count of zero as 1E-3 counts/s
        intensity[ion] = np.where(block[:, 1] <= 1e-3, 0.0, block[:, 1])
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


# --- from counts to fractions ---------------------------------------------------------------


@dataclass(frozen=True)
class Check:
    """One test of a profile: passed if ``low <= value <= high``."""

    name: str
    value: float
    low: float
    high: float
    message: str

    @property
    def passed(self) -> bool:
        """False as well if the value is nan."""
        return bool(self.low <= self.value <= self.high)


@dataclass(frozen=True, eq=False)
class Profile:
    """A normalised depth profile; n sputter cycles, ions named by their channels.

    Expected counts of a model are ``fraction_model * scale + background``.

    Attributes
    ----------
    native, foreign : str
    edges : ndarray, shape (n + 1,)
        Depths (m) where the cycles begin and end; ``depth`` (n,) are their middles.
    fraction, sigma : dict of str to ndarray, shape (n,)
        Share of the ion of all mobile ions in the bulk, and its counting error: Poisson with
        variance counts + 1 (the posterior of a flat prior: not zero at zero counts).
    counts : dict of str to ndarray, shape (n,)
        Counts, dead time corrected (where ``pulses`` is given), for a Poisson likelihood.
    scale : dict of str to ndarray, shape (n,)
        Counts above background at fraction one; it follows the matrix signal.
    scale_error : dict of str to float
        Relative standard error of the scale, the same for all depths.
    background : dict of str to float
        Counts per cycle.
    used : ndarray of bool, shape (n,)
        False in the surface transient.
    checks : tuple of Check
    """

    native: str
    foreign: str
    edges: Array
    fraction: dict[str, Array]
    sigma: dict[str, Array]
    counts: dict[str, Array]
    scale: dict[str, Array]
    scale_error: dict[str, float]
    background: dict[str, float]
    used: NDArray[np.bool_]
    checks: tuple[Check, ...]

    @property
    def depth(self) -> Array:
        """Middle of each cycle's slice (m), shape (n,)."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    @property
    def ok(self) -> bool:
        """Whether every check passes."""
        return all(check.passed for check in self.checks)

    def report(self) -> str:
        """One line a check."""
        return "\n".join(
            f"{'ok    ' if c.passed else 'FAILED'} {c.name}: {c.value:.3g}"
            f" (allowed {c.low:.3g} to {c.high:.3g}): {c.message}"
            for c in self.checks
        )


def dead_time_correct(counts: ArrayLike, pulses: float) -> Array:
    """Ions that arrived, from ions counted, one at most for each mass in each primary pulse.

    Poisson: a pulse stays without a count with probability exp(-arrived/pulses).

    Parameters
    ----------
    counts : array_like
        Counts per cycle, raw.
    pulses : float
        Primary ion pulses per cycle.

    Raises
    ------
    ValueError
        If a count is negative or not below the number of pulses.
    """
    counts = np.asarray(counts, dtype=float)
    pulses = require("pulses", pulses, 1, 1e15)
    if not (np.all(counts >= 0) and np.all(counts < pulses)):
        raise ValueError(
            f"counts must lie in [0, pulses = {pulses:g}); they reach {counts.max():g}"
        )
    return -pulses * np.log1p(-counts / pulses)


def steady_reference(matrix: ArrayLike, used: ArrayLike | None = None) -> tuple[Array, Array]:
    """The matrix signal to divide by, and its relative error; both shape (n,).

    Drift is slow and beam flicker is fast. A cubic over the ``used`` cycles follows the first
    without the counting noise of a single cycle. What scatters about it beyond Poisson is the
    beam and is kept, by its share of the scatter (a Wiener filter): pure counting noise gives
    the cubic, strong flicker the plain point-by-point ratio.
    """
    matrix = np.asarray(matrix, dtype=float)
    used = np.ones(matrix.size, bool) if used is None else np.asarray(used, dtype=bool)
    cycle = np.linspace(-1, 1, matrix.size)
    smooth = Polynomial.fit(cycle[used], matrix[used], 3)(cycle)
    mean = matrix[used].mean()
    smooth = np.maximum(smooth, 1e-3 * mean)
    dispersion = np.mean((matrix - smooth)[used] ** 2) / mean * used.sum() / (used.sum() - 4)
    kept = max(0.0, 1 - 1 / max(dispersion, 1e-300))
    reference = np.maximum(smooth + kept * (matrix - smooth), 1e-3 * mean)
    return reference, kept * np.sqrt(matrix + 1) / reference


def front_cycle(native: ArrayLike) -> int:
    """First cycle behind which the native signal stays above half of its deepest quarter.

    Zero if it never falls below. Judged on a running mean, for low counts.
    """
    native = np.asarray(native, dtype=float)
    half = native[-(native.size // 4) :].mean() / 2
    width = native.size // 40 + 1
    mean = np.convolve(np.pad(native, width, mode="edge"), np.ones(2 * width + 1), "valid")
    below = np.flatnonzero(mean < half * (2 * width + 1))
    return int(below[-1]) + 1 if below.size else 0


def sputter_depth(
    edges: ArrayLike,
    crater_depth: float,
    total_time: float,
    native_fraction: ArrayLike | None = None,
    rate_ratio: float = 1.0,
) -> Array:
    """Depth (m) of the cycle edges (s), shape (n + 1,); the crater is reached at ``total_time``.

    Replaced glass sputters ``rate_ratio`` times as fast as unreplaced glass, and a mixture in
    proportion to the native fraction, shape (n,); 1 is a constant rate.
    """
    edges = np.asarray(edges, dtype=float)
    y = 1.0 if native_fraction is None else np.clip(native_fraction, 0, 1)
    relative_rate = rate_ratio + (1 - rate_ratio) * y
    depth = np.concatenate([[0.0], np.cumsum(relative_rate * np.diff(edges))])
    # before the first cycle the rate is that of the first, after the last that of the last
    rates = np.broadcast_to(relative_rate, edges.size - 1)
    depth += edges[0] * rates[0]
    return depth * crater_depth / (depth[-1] + (total_time - edges[-1]) * rates[-1])


def exchanged_charge(edges: ArrayLike, foreign_fraction: ArrayLike, ion_density: float) -> float:
    """Charge per area (C/m^2) of the foreign ions found: e N times the integral of the fraction."""
    return float(e * ion_density * np.sum(np.diff(edges) * np.asarray(foreign_fraction)))


def normalise(
    recording: Recording,
    native: str,
    foreign: str,
    matrix: str,
    crater_depth: float,
    *,
    transient: float = 0.0,
    background: float | Mapping[str, float] | None = None,
    pulses: float | None = None,
    rate_ratio: float = 1.0,
    charge: float | None = None,
    ion_density: float | None = None,
) -> Profile:
    """Turn counts against time into fractions against depth, with errors and checks.

    In this order: dead time, background, ratio to the matrix signal, depth from the crater,
    native scaled to its bulk level, foreign scaled by n_native + n_foreign = N over the replaced
    zone. Both scales are ratios of sums of counts: the weighted regression through the origin
    for Poisson weights, free of the bias of fits to few counts.

    Parameters
    ----------
    recording : Recording
    native, foreign, matrix : str
        Channel names.
    crater_depth : float
        Depth (m) of the crater at the end of the sputter time.
    transient : float
        Depth (m) of the surface transient, not used.
    background : float or mapping of str to float, optional
        Counts per cycle, of both ions or of each channel named.
    pulses : float, optional
        Primary pulses per cycle: corrects for dead time.
    rate_ratio : float
        Sputter rate of the replaced over that of the unreplaced glass.
    charge, ion_density : float, optional
        Charge per area (C/m^2) that has passed and N (m^-3), for the charge balance.

    Returns
    -------
    Profile
        With ``checks``; a failed check does not raise here, a fit refuses it.

    Raises
    ------
    SimsError
        If a channel is missing or cannot be counted, or dead time would be corrected twice.
    ValueError
        If an argument is out of its range.
    """
    ions = (native, foreign, matrix)
    if len(set(ions)) < 3:
        raise ValueError(f"native, foreign, matrix = {ions} must be three different channels")
    crater_depth = require("crater_depth", crater_depth, 1e-9, 1e-4, "m")
    transient = require("transient", transient, 0, crater_depth / 2, "m")
    rate_ratio = require("rate_ratio", rate_ratio, 0.1, 10)
    if charge is not None:
        charge = require("charge", charge, 1e-6, 1e6, "C/m^2")
        ion_density = require("ion_density", ion_density, 1e25, 1e30, "m^-3")
    if not isinstance(background, Mapping):
        background = dict.fromkeys((native, foreign), 0.0 if background is None else background)
    if not set(background) <= set(ions):
        raise ValueError(f"background names {sorted(background)}; allowed are {ions}")
    level = {ion: require(f"background of {ion}", background.get(ion, 0.0), 0, 1e9) for ion in ions}

    time, raw = recording.cycles(*ions)
    n = time.size - 1
    if n < 20:
        raise SimsError(f"{recording.path}: {n} common cycles, at least 20 are needed")
    counts, variance, net = {}, {}, {}
    for ion in ions:
        if not recording.exposure[ion] > 0:
            raise SimsError(f"{recording.path}: no counting time for {ion}: its errors are unknown")
        counts[ion], variance[ion] = raw[ion], raw[ion] + 1
        if pulses is not None:
            _refuse_second_correction(recording, ion)
            counts[ion] = dead_time_correct(raw[ion], pulses)
            variance[ion] = (raw[ion] + 1) / (1 - raw[ion] / pulses)
        net[ion] = counts[ion] - level[ion]
        if net[ion].sum() <= 0:
            raise SimsError(f"{recording.path}: no counts of {ion} above its background")

    used = np.ones(n, bool)
    y = None
    for _ in range(2):  # fractions need the used cycles; these the depth, and it the fraction
        edges = sputter_depth(time, crater_depth, recording.total_time, y, rate_ratio)
        used = edges[:-1] >= transient * (1 - 1e-9)
        reference, reference_error = steady_reference(net[matrix], used)
        front = front_cycle(net[native] / reference)
        bulk = np.arange(n) >= (front + n) // 2
        if net[native][bulk].sum() <= 0:
            raise SimsError(f"{recording.path}: no counts of {native} in the bulk: is it native?")
        native_level = net[native][bulk].sum() / reference[bulk].sum()
        y = net[native] / (native_level * reference)
    zone = used & (np.arange(n) < front)
    # positive unless there is no replaced zone: then foreign fractions are nan and checks fail
    found, replaced = net[foreign][zone].sum(), (reference * (1 - y))[zone].sum()
    foreign_level = found / replaced if min(found, replaced) > 0 else np.nan

    scale = {native: native_level * reference, foreign: foreign_level * reference}
    fraction = {ion: net[ion] / scale[ion] for ion in (native, foreign)}
    sigma = {
        ion: np.hypot(np.sqrt(variance[ion]) / scale[ion], fraction[ion] * reference_error)
        for ion in (native, foreign)
    }
    native_error = np.sqrt(
        1 / counts[native][bulk].sum() + np.mean(reference_error[bulk] ** 2) / bulk.sum()
    )
    foreign_error = np.nan
    if foreign_level > 0:
        spread = np.sum((reference * sigma[native])[zone] ** 2)
        spread += (native_error * (reference * y)[zone].sum()) ** 2
        foreign_error = np.sqrt(1 / counts[foreign][zone].sum() + spread / replaced**2)
    checks = [
        _bulk_check(fraction[native][bulk]),
        Check(
            "front inside the profile",
            float(edges[front] / edges[-1]),
            1e-3,
            0.9,
            "depth, as a share of the profile, where the native ion falls below half",
        ),
        _mass_check(fraction, sigma, used),
        _matrix_check(net[matrix], y, used),
        Check(
            "beam steady",
            float(reference[used].max() / reference[used].min()),
            1.0,
            2.0,
            "largest over smallest matrix signal",
        ),
        _saturation_check(recording, native, matrix, raw, bulk, used, pulses),
    ]
    if charge is not None:
        # in the transient the fraction is taken from the first ten cycles after it
        filled = np.where(used, fraction[foreign], fraction[foreign][used][:10].mean())
        checks.append(
            Check(
                "charge balance",
                exchanged_charge(edges, filled, ion_density) / charge,
                0.9,
                1.1,
                "charge of the foreign ions found over the charge passed",
            )
        )
    return Profile(
        native=native,
        foreign=foreign,
        edges=edges,
        fraction=fraction,
        sigma=sigma,
        counts={ion: counts[ion] for ion in (native, foreign)},
        scale=scale,
        scale_error={native: float(native_error), foreign: float(foreign_error)},
        background={ion: level[ion] for ion in (native, foreign)},
        used=used,
        checks=tuple(checks),
    )


def _refuse_second_correction(recording: Recording, ion: str) -> None:
    corrected = recording.dead_time_corrected[ion]
    counts = recording.intensity[ion]
    if corrected or recording.unit != "counts":
        why = "the export says it is Poisson corrected" if corrected else "it holds rates"
    elif corrected is None and np.any(counts != np.round(counts)):
        why = "its counts are not whole numbers, so they are corrected already"
    else:
        return
    raise SimsError(f"{recording.path}: pulses given, but no dead time left in {ion}: {why}")


def _bulk_check(native: Array) -> Check:
    """A straight line through the deep half behind the front must be level."""
    x = np.linspace(-0.5, 0.5, native.size)
    change = (x @ native) / (x @ x)
    scatter = np.std(native - native.mean() - change * x) / np.sqrt(x @ x)
    limit = min(max(0.02, 4 * scatter), 0.3)
    text = "relative change of the native signal over the deep half behind the front"
    return Check("bulk level reached", float(change), -limit, limit, text)


def _mass_check(fraction: dict[str, Array], sigma: dict[str, Array], used: Array) -> Check:
    """Eight stretches of the profile; in each, native and foreign ions must add up to one."""
    residual = np.array_split((sum(fraction.values()) - 1)[used], 8)
    errors = np.array_split(sum(s**2 for s in sigma.values())[used], 8)
    means = np.array([part.mean() for part in residual])
    error = max(np.sqrt(part.sum()) / part.size for part in errors)
    limit = min(max(0.05, 4 * error), 0.2)
    worst = float(means[np.argmax(np.abs(means))])
    return Check("mass balance", worst, -limit, limit, "largest native + foreign - 1, by eighths")


def _matrix_check(matrix: Array, y: Array, used: Array) -> Check:
    """Drift may be smooth; a step where the glass is replaced is a matrix effect."""
    x = np.linspace(-1, 1, matrix.size)
    terms = np.stack([np.ones_like(x), x, x**2, 1 - y])[:, used]
    signal = matrix[used] / matrix[used].mean()
    step, *_ = np.linalg.lstsq(terms.T, signal)
    scatter = np.std(signal - step @ terms) * np.sqrt(np.linalg.pinv(terms @ terms.T)[3, 3])
    limit = min(0.05 + 3 * scatter, 0.2)
    text = "step of the matrix signal between unreplaced and replaced glass, beside its drift"
    return Check("matrix flat", float(step[3]), -limit, limit, text)


def _saturation_check(
    recording: Recording,
    native: str,
    matrix: str,
    raw: dict[str, Array],
    bulk: Array,
    used: Array,
    pulses: float | None,
) -> Check:
    """Counts per pulse if known; else the scatter, which saturation makes less than Poisson.

    If a share p of the pulses counts, it is 1 - p: a recording of 200 cycles tells p = 1/2.
    """
    name = "counts not saturated"
    if pulses is not None:
        value = max(c.max() for c in raw.values()) / pulses
        return Check(name, float(value), 0.0, 0.8, "largest counts per primary pulse")
    if recording.unit == "counts":
        parts = [raw[native][bulk], raw[matrix][used]]
    else:
        parts = [raw[native][bulk]]  # the others are interpolated
    squares, free = 0.0, 0
    for part in parts:
        cycle = np.linspace(-1, 1, part.size)
        squares += np.sum((part - Polynomial.fit(cycle, part, 3)(cycle)) ** 2) / max(part.mean(), 1)
        free += part.size - 4
    # chi squared has the relative standard deviation sqrt(2/free)
    value, low = float(squares / free), max(0.0, 1 - 3.5 * np.sqrt(2 / free))
    return Check(name, value, low, np.inf, "scatter of the counts over that of a Poisson process")


# --- the depth resolution -------------------------------------------------------------------


@dataclass(frozen=True)
class Resolution:
    """Response of the instrument to a thin layer, against depth, with unit area.

    A Gaussian of standard deviation ``sigma`` (m), convolved with a double exponential that
    rises with ``decay_up`` (m) ahead of the layer and falls with ``decay_down`` (m) behind it
    (the analytic form of Dowsett and coworkers). Zero decay lengths leave the Gaussian.
    """

    sigma: float
    decay_up: float = 0.0
    decay_down: float = 0.0

    def __post_init__(self) -> None:
        require("sigma", self.sigma, 1e-12, 1e-6, "m")
        for name in ("decay_up", "decay_down"):
            # a tail below sigma/20 cannot be seen and would need more digits than there are
            value = require(name, getattr(self, name), 0, 1e-6, "m")
            if 0 < value < self.sigma / 20:
                raise ValueError(f"{name} = {value:g} m is below sigma/20: give 0 instead")

    @property
    def shift(self) -> float:
        """Mean of the response (m): how much deeper than it is a layer appears."""
        return self.decay_down - self.decay_up

    @property
    def width(self) -> float:
        """Standard deviation of the response (m)."""
        return float(np.sqrt(self.sigma**2 + self.decay_up**2 + self.decay_down**2))

    def density(self, depth: ArrayLike) -> Array:
        """The response (1/m) at a depth (m) relative to the layer."""
        z = np.asarray(depth, dtype=float)
        if self.decay_up + self.decay_down == 0:
            return np.exp(-((z / self.sigma) ** 2) / 2) / (self.sigma * np.sqrt(2 * np.pi))
        falling, rising = self._tails(z)
        total = self.decay_up + self.decay_down
        return (self.decay_down * falling + self.decay_up * rising) / total

    def _tails(self, u: Array) -> tuple[Array | float, Array | float]:
        """Gaussian convolved with each normalised one-sided exponential (1/m)."""
        gauss = np.exp(-((u / self.sigma) ** 2) / 2)

        def tail(decay: float, v: Array) -> Array | float:
            if decay == 0:
                return 0.0
            a = (self.sigma / decay - v / self.sigma) / np.sqrt(2)
            # far in the tail erfcx overflows: there the exponential alone is left
            far = np.exp(np.minimum(self.sigma**2 / (2 * decay**2) - v / decay, 0)) / decay
            return np.where(a < -12, far, gauss * erfcx(np.maximum(a, -12)) / (2 * decay))

        return tail(self.decay_down, u), tail(self.decay_up, -u)

    def _bend(self, u: Array) -> Array:
        """What the response adds to the integral of a ramp max(x, 0), u after its kink (m^2).

        The ramp's response is the second antiderivative of the density, its integral W the
        third. An exponential tail T solves T = G - decay T', so each antiderivative follows
        from the Gaussian's. Depths count from the mean of the response, where W approaches
        u^2/2 + width^2/2 behind the kink: what is returned is local, and nothing cancels.
        """
        up, down, sigma = self.decay_up, self.decay_down, self.sigma
        shortest = min((d for d in (up, down) if d > 0), default=sigma)
        reach = (8.5 + sigma / shortest) * sigma + abs(self.shift)
        total = up + down or 1.0
        out = np.where(u > 0, self.width**2 / 2, 0.0)
        for decay, side, sign in ((down, u >= reach, -1), (up, u <= -reach, 1)):
            if decay > 0:
                v = np.abs(u[side] + self.shift)
                tail = np.exp(sigma**2 / (2 * decay**2) - v / decay)
                out[side] += sign * decay**3 / total * tail
        near = np.abs(u) < reach
        v = u[near] + self.shift
        cdf = ndtr(v / sigma)
        gauss = sigma / np.sqrt(2 * np.pi) * np.exp(-((v / sigma) ** 2) / 2)
        falling, rising = self._tails(v)
        out[near] = (
            ((v**2 + sigma**2) * cdf + v * gauss) / 2
            - self.shift * (v * cdf + gauss)
            + (up**2 - up * down + down**2) * cdf
            - down**4 / total * falling
            + up**4 / total * rising
            - np.maximum(u[near], 0) ** 2 / 2
        )
        return out


def gaussian_resolution(sigma: float) -> Resolution:
    """A Gaussian depth resolution, standard deviation ``sigma`` (m)."""
    return Resolution(sigma)


def dowsett_resolution(decay_up: float, decay_down: float, sigma: float) -> Resolution:
    """A Gaussian with exponential tails: leading and trailing decay lengths and sigma (m)."""
    return Resolution(sigma, decay_up, decay_down)


def blur(
    x: ArrayLike, f: ArrayLike, edges: ArrayLike, resolution: Resolution | None = None
) -> Array:
    """Mean over each depth slice of a piecewise-linear profile, as the instrument sees it.

    Exact on any mesh, however much finer than the slices its front is: the profile is a sum of
    ramps, and the response to a ramp has a closed form. Outside the mesh the profile keeps its
    first and last value: at the surface, mixing is taken to find more of the same.

    Parameters
    ----------
    x : array_like, shape (n,)
        Nodes (m), strictly increasing, n >= 2.
    f : array_like, shape (n,)
        Values at the nodes.
    edges : array_like, shape (m + 1,)
        Edges of the slices (m), strictly increasing.
    resolution : Resolution, optional
        None gives the plain means.

    Returns
    -------
    ndarray, shape (m,)

    Raises
    ------
    ValueError
        If shapes do not fit or nodes or edges do not increase.
    """
    x, f, edges = (np.asarray(a, dtype=float) for a in (x, f, edges))
    if x.ndim != 1 or x.shape != f.shape or x.size < 2:
        raise ValueError(f"x and f need one shape (n,) with n >= 2, not {x.shape} and {f.shape}")
    if edges.ndim != 1 or edges.size < 2 or not np.all(np.diff(edges) > 0):
        raise ValueError("edges must have the shape (m + 1,) with m >= 1 and increase strictly")
    step = np.diff(x)
    if not np.all(step > 0):
        raise ValueError("x must increase strictly")
    rise = f - f[0]  # so that a constant stays exactly what it is
    slope = np.diff(f) / step
    shift = resolution.shift if resolution else 0.0

    # the integral of the unblurred profile, up to each edge
    area = np.concatenate([[0.0], np.cumsum(step * (rise[1:] + rise[:-1]) / 2)])
    inside = np.clip(edges - shift, x[0], x[-1])
    k = np.minimum(np.searchsorted(x, inside, side="right") - 1, x.size - 2)
    d = inside - x[k]
    integral = area[k] + d * (rise[k] + slope[k] * d / 2)
    integral += np.maximum(edges - shift - x[-1], 0) * rise[-1]
    if resolution:
        kink = np.diff(slope, prepend=0.0, append=0.0)
        bent = kink != 0
        integral += resolution._bend((edges - shift)[:, None] - x[bent]) @ kink[bent]
    return f[0] + np.diff(integral) / np.diff(edges)
