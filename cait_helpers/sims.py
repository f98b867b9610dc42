"""From a SIMS recording to fractions against depth, with errors and checks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.polynomial import Polynomial
from numpy.polynomial.legendre import legvander
from numpy.typing import ArrayLike, NDArray
from scipy.constants import e

from . import profile_checks
from .checks import (
    CHARGE,
    ION_DENSITY,
    LARGEST,
    Array,
    require,
    require_all,
    require_kind,
    require_whole,
    told,
)
from .exports import Recording
from .profile_checks import Check
from .resolution import Resolution
from .tables import SimsError, Source


@dataclass(frozen=True, eq=False)
class Profile:
    """A normalised depth profile; n sputter cycles, ions named by their channels.

    Expected counts of a model are ``fraction_model * scale + background``.

    Attributes
    ----------
    native, foreign : str
    edges : ndarray, shape (n + 1,)
        Depths (m) where the cycles begin and end; ``depth`` (n,) are their middles.
    lag : dict of str to float
        How much deeper (m) the slice of an ion lies, where species are counted in turn.
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
    drift : ndarray, shape (n, 3)
        Relative changes of ``scale`` with depth, linear to cubic, that the counting noise of the
        matrix signal leaves open: each with an independent coefficient of variance one.
    used : ndarray of bool, shape (n,)
        False in the surface transient and in cycles that are left out.
    checks : tuple of Check
    assumptions : tuple of str
        What was taken for granted because nobody has stated it, in words.
    recording : Recording or None
        What it was made from.
    """

    native: str
    foreign: str
    edges: Array
    lag: dict[str, float]
    fraction: dict[str, Array]
    sigma: dict[str, Array]
    counts: dict[str, Array]
    scale: dict[str, Array]
    scale_error: dict[str, float]
    background: dict[str, float]
    drift: Array
    used: NDArray[np.bool_]
    checks: tuple[Check, ...] = ()
    assumptions: tuple[str, ...] = ()
    recording: Recording | None = None

    @property
    def source(self) -> Source | None:
        """The export as it was read."""
        return None if self.recording is None else self.recording.source

    @property
    def depth(self) -> Array:
        """Middle of each cycle's slice (m), shape (n,)."""
        return (self.edges[1:] + self.edges[:-1]) / 2

    @property
    def ok(self) -> bool:
        """Whether every check passes."""
        return all(check.passed for check in self.checks)

    def report(self) -> str:
        """One line a check, then one an assumption."""
        return "\n".join([*map(str, self.checks), *(f"note   {a}" for a in self.assumptions)])


# --- the steps ------------------------------------------------------------------------------


def _row(
    name: str, values: ArrayLike, least: int, low: float = -LARGEST, high: float = LARGEST
) -> Array:
    """One number a cycle, ``least`` of them or more."""
    array = require_all(name, values, low, high)
    if array.ndim != 1 or array.size < least:
        raise ValueError(f"{name} has shape {array.shape}; it takes (n,) with n >= {least}")
    return array


def _mask(used: ArrayLike, matrix: Array, least: int) -> NDArray[np.bool_]:
    """Which cycles of a matrix signal are used, ``least`` of them or more, with a signal."""
    try:
        mask = np.asarray(used)
    except ValueError:  # ragged
        mask = np.array(None)
    if mask.dtype != bool or mask.shape != matrix.shape or mask.sum() < least:
        raise ValueError(
            f"used = {told(used)} does not tell, true or false, which {least} cycles or more of"
            f" {matrix.size} are used"
        )
    if not matrix[mask].mean() > 0:
        raise ValueError("matrix has no signal in the cycles that are used")
    return mask


def dead_time_correct(counts: ArrayLike, pulses: float) -> Array:
    """Ions that arrived, from ions counted, one at most for each mass in each primary pulse.

    Poisson: a pulse stays without a count with probability exp(-arrived/pulses). ``counts``
    (any shape) and primary ``pulses`` are per cycle, inf for no dead time. ValueError unless
    0 <= counts < pulses.
    """
    counts = require_all("counts", counts, 0.0, LARGEST)
    pulses = require("pulses", pulses, 1, np.inf)
    if pulses == np.inf:
        return counts
    if not np.all(counts < pulses):
        most = counts.max()
        raise ValueError(f"counts must lie in [0, pulses = {pulses:g}); they reach {most:g}")
    return -pulses * np.log1p(-counts / pulses)


def steady_reference(
    matrix: ArrayLike, used: ArrayLike | None = None, variance: ArrayLike | None = None
) -> tuple[Array, Array]:
    """The matrix signal to divide by, and its relative error; both shape (n,).

    Drift is slow and beam flicker is fast. A cubic over the ``used`` cycles follows the first
    without the counting noise of a single cycle. What scatters about it beyond Poisson is the
    beam and is kept, by its share of the scatter (a Wiener filter): pure counting noise gives
    the cubic, strong flicker the plain point-by-point ratio. ``variance`` of counting, if it is
    not Poisson's (dead time was corrected), has the shape of ``matrix``.
    """
    matrix = _row("matrix", matrix, 5)
    used = _mask(np.ones(matrix.size, bool) if used is None else used, matrix, 5)
    cycle = np.linspace(-1, 1, matrix.size)
    floor = 1e-3 * matrix[used].mean()
    smooth = np.maximum(Polynomial.fit(cycle[used], matrix[used], 3)(cycle), floor)
    square = np.sum((matrix - smooth)[used] ** 2) / (used.sum() - 4)
    variance = matrix + 1 if variance is None else _row("variance", variance, 5, 0.0)
    if variance.shape != matrix.shape:
        raise ValueError(f"variance has shape {variance.shape}, the matrix {matrix.shape}")
    counting = max(variance[used].mean() - 1, 0.0)
    kept = max(0.0, 1 - counting / max(square, 1e-300))
    reference = np.maximum(smooth + kept * (matrix - smooth), floor)
    # what is kept of the counting noise and what is lost of the flicker have this share of it
    return reference, np.sqrt(kept * variance) / reference


def reference_drift(matrix: ArrayLike, used: ArrayLike) -> Array:
    """How far the cubic of `steady_reference` may be off: three relative changes, shape (n, 3).

    Times independent coefficients of mean zero and variance one they scatter as the cubic does by
    counting noise; its mean is left out, for the levels of the signals are fitted anyway.
    """
    matrix = _row("matrix", matrix, 4)
    used = _mask(used, matrix, 4)
    basis = legvander(np.linspace(-1, 1, matrix.size), 3)
    covariance = np.linalg.inv(basis[used].T @ basis[used]) / matrix[used].mean()
    return basis[:, 1:] @ np.linalg.cholesky(covariance[1:, 1:])


def front_cycle(native: ArrayLike) -> int:
    """First cycle behind which the native signal stays above half of its deepest quarter.

    Zero if it never falls below. Judged on a running mean, for low counts.
    """
    native = _row("native", native, 4)
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
    edges = _edges(edges)
    crater_depth = require("crater_depth", crater_depth, 1e-12, 1.0, "m")
    total_time = require("total_time", total_time, 1e-30, 1e30)
    rate_ratio = require("rate_ratio", rate_ratio, 1e-6, 1e6)
    y = np.ones(edges.size - 1)
    if native_fraction is not None:
        y = np.clip(_per_slice("native_fraction", native_fraction, edges), 0, 1)
    rate = rate_ratio + (1 - rate_ratio) * y
    # before the first cycle the rate is that of the first, after the last that of the last
    depth = rate[0] * edges[0] + np.append(0.0, np.cumsum(rate * np.diff(edges)))
    sputtered = depth[-1] + (total_time - edges[-1]) * rate[-1]
    if not sputtered > 0:
        raise ValueError(f"total_time = {total_time:g} lies too far before the last of the edges")
    return depth * crater_depth / sputtered


def _edges(edges: ArrayLike) -> Array:
    edges = _row("edges", edges, 2, -1e30, 1e30)
    if not (np.diff(edges) > 0).all():
        raise ValueError("edges must increase")
    return edges


def _per_slice(name: str, values: ArrayLike, edges: Array) -> Array:
    array = _row(name, values, 1)
    if array.size != edges.size - 1:
        raise ValueError(f"{name} has {array.size} values for {edges.size} edges of slices")
    return array


def exchanged_charge(edges: ArrayLike, foreign_fraction: ArrayLike, ion_density: float) -> float:
    """Charge per area (C/m^2) of the foreign ions found: e N times the integral of the fraction."""
    edges = _edges(edges)
    fraction = _per_slice("foreign_fraction", foreign_fraction, edges)
    ion_density = require("ion_density", ion_density, *ION_DENSITY)
    return float(e * ion_density * np.sum(np.diff(edges) * fraction))


def charge_found(profile: Profile, ion_density: float) -> Array:
    """Charge per area (C/m^2) of the foreign ions down to the end of each cycle, shape (n,).

    In the transient the fraction is taken from the first ten cycles after it, in cycles that are
    left out from their neighbours.
    """
    require_kind("profile", profile, Profile)
    ion_density = require("ion_density", ion_density, *ION_DENSITY)
    fraction, used = profile.fraction[profile.foreign], profile.used
    cycle = np.arange(used.size)
    there = np.flatnonzero(used)
    filled = np.interp(cycle, there, fraction[there])
    filled[: there[0]] = fraction[there[:10]].mean()
    return e * ion_density * np.cumsum(np.diff(profile.edges) * filled)


def settled_cycle(matrix: ArrayLike) -> int:
    """First cycle behind the surface transient, as the matrix signal shows it.

    Twice the number of cycles after which the next few lie on the line through those behind them,
    to 3 standard errors and 1 %: what relaxes exponentially goes on below the noise.
    """
    matrix = _row("matrix", matrix, 1)
    block = max(5, matrix.size // 40)
    x = np.arange(4 * block)
    for start in range(matrix.size // 8):
        near = matrix[start : start + block]
        ahead = matrix[start + block : start + 5 * block]
        slope, level = np.polyfit(x[: ahead.size], ahead, 1)
        scatter = np.std(ahead - level - slope * x[: ahead.size])
        # at the middle of the block the line is known to 2.6 standard errors of a mean of ahead
        error = scatter * np.sqrt(1 / block + 2.6**2 / ahead.size)
        line = level - slope * (block + 1) / 2
        if abs(near.mean() - line) <= 3 * error + 0.01 * abs(line):
            return 2 * start
    return matrix.size // 4


def scatter_variance(signal: ArrayLike) -> Array:
    """Variance of each value of a smooth signal, shape (n,), from second differences near it.

    By their median over 41 values: a front, where the signal does bend, is not noise.
    """
    signal = _row("signal", signal, 5)
    bend = np.abs(np.diff(signal, 2)) / np.sqrt(6)
    reach = min(20, (signal.size - 3) // 2)
    windows = sliding_window_view(np.pad(bend, reach + 1, mode="reflect"), 2 * reach + 1)
    noise = 1.4826 * np.median(windows, axis=-1)[: signal.size]
    return np.maximum(noise, 1e-7 * np.abs(signal).max()) ** 2


# --- all steps ------------------------------------------------------------------------------


def normalise(
    recording: Recording,
    native: str,
    foreign: str,
    matrix: str,
    crater_depth: float,
    *,
    transient: float | None = None,
    background: float | Mapping[str, float] | None = None,
    pulses: float | None = None,
    rate_ratio: float = 1.0,
    charge: float | None = None,
    ion_density: float | None = None,
    resolution: Resolution | None = None,
    leave_out: Sequence[int] = (),
) -> Profile:
    """Turn counts against time into fractions against depth, with errors and checks.

    In this order: dead time, background, ratio to the matrix signal, depth from the crater,
    native scaled to its bulk level, foreign scaled by n_native + n_foreign = N over the replaced
    zone. Both scales are ratios of sums of counts: the weighted regression through the origin
    for Poisson weights, free of the bias of fits to few counts. A failed check does not raise
    here; a fit refuses it.

    Parameters
    ----------
    recording : Recording
    native, foreign, matrix : str
        Channel names.
    crater_depth : float
        Depth (m) of the crater at the end of the sputter time.
    transient : float, optional
        Depth (m) of the surface transient, not used; by default as `settled_cycle` says. Never
        less than two widths of the resolution, which meets no glass above the surface.
    background : float or mapping of str to float, optional
        Counts per cycle, of both ions or of each channel named. By default that of the foreign
        ion is its mean deep in untouched glass, and that of the native ion is zero.
    pulses : float, optional
        Primary pulses per cycle: corrects for dead time; ``inf`` states that there is none.
    rate_ratio : float
        Sputter rate of the replaced over that of the unreplaced glass.
    charge, ion_density : float, optional
        Charge per area (C/m^2) that has passed and N (m^-3), for the charge balance.
    resolution : Resolution, optional
        Depth resolution of the profile, for the transient.
    leave_out : sequence of int, optional
        Numbers of cycles, from one on, that are not used.

    Raises
    ------
    SimsError
        If a channel is missing or cannot be counted, or dead time would be corrected twice.
    ValueError
        If an argument is out of its range.
    """
    require_kind("recording", recording, Recording)
    ions = (native, foreign, matrix)
    for name, ion in zip(("native", "foreign", "matrix"), ions, strict=True):
        require_kind(name, ion, str)
    if len(set(ions)) < 3:
        raise ValueError(f"native, foreign, matrix = {ions} must be three different channels")
    crater_depth = require("crater_depth", crater_depth, 1e-9, 1e-4, "m")
    if resolution is not None:
        require_kind("resolution", resolution, Resolution)
    if pulses is not None:
        pulses = require("pulses", pulses, 1, np.inf)
    if isinstance(leave_out, str | bytes) or not np.iterable(leave_out):
        raise ValueError(f"leave_out = {told(leave_out)} is not a list of cycles")
    leave_out = tuple(require_whole("leave_out", number, 1) for number in leave_out)
    if transient is not None:
        transient = require("transient", transient, 0, crater_depth / 2, "m")
    rate_ratio = require("rate_ratio", rate_ratio, 0.1, 10)
    if charge is not None:
        charge = require("charge", charge, *CHARGE)
        ion_density = require("ion_density", ion_density, *ION_DENSITY)
    stated = _stated_background(background, ions)
    time, raw, lags = recording.cycles(*ions)
    signals = _signals(recording, raw, pulses, leave_out)
    crater = crater_depth, recording.total_time, rate_ratio
    ground = _ground(signals, ions, stated, time, crater, transient, resolution)
    reference, used, zone = ground.reference, ground.used, ground.zone

    base, deep = _foreign_background(signals, foreign, stated, ground)
    net = ground.net | {foreign: signals.above(foreign, base)}
    # positive unless there is no replaced zone: then foreign fractions are nan and checks fail
    found, replaced = net[foreign][zone].sum(), (reference * (1 - ground.y))[zone].sum()
    foreign_level = found / replaced if min(found, replaced) > 0 else np.nan
    scale = {native: ground.native_level * reference, foreign: foreign_level * reference}
    fraction = {ion: net[ion] / scale[ion] for ion in scale}
    sigma = {
        ion: np.hypot(np.sqrt(signals.variance[ion]) / scale[ion], fraction[ion] * ground.flicker)
        for ion in scale
    }
    level = {native: stated.get(native, 0.0) * signals.gain[native], foreign: base}
    profile = Profile(
        native=native,
        foreign=foreign,
        edges=ground.edges,
        lag={ion: lags[ion] * float(ground.edges[-1] / time[-1]) for ion in scale},
        fraction=fraction,
        sigma=sigma,
        counts={ion: signals.counts[ion] for ion in scale},
        scale=scale,
        scale_error=_scale_errors(signals, ground, (native, foreign), sigma[native], replaced),
        background=level,
        drift=reference_drift(signals.mended(signals.counts[matrix]), used),
        used=used,
        assumptions=(
            *recording.notes,
            *_counting_notes(recording, ions, pulses, leave_out),
            *_depth_notes(recording, transient, ground.start, resolution),
            *_background_notes(native, foreign, stated, base),
        ),
        recording=recording,
    )
    found = None if charge is None else float(charge_found(profile, ion_density)[-1] / charge)
    checks = profile_checks.all_checks(profile, recording, signals, ground, deep, pulses, found)
    return replace(profile, checks=checks)


@dataclass(frozen=True, eq=False)
class Signals:
    """Counts of the three channels without dead time, their variance, and which are whole.

    ``raw`` as recorded; ``gain`` is effective counts over recorded ones, where the errors come
    from the scatter. ``partial`` lists cycles, from zero on, whose matrix signal is not like that
    of their neighbours; neither they nor those that are left out are ``whole``.
    """

    path: Path
    raw: dict[str, Array]
    counts: dict[str, Array]
    variance: dict[str, Array]
    gain: dict[str, float]
    partial: NDArray[np.intp]
    whole: NDArray[np.bool_]

    def above(self, ion: str, background: float) -> Array:
        """Counts above a background (counts a cycle), shape (n,)."""
        net = self.counts[ion] - background
        if net.sum() <= 0:
            raise SimsError(f"{self.path}: no counts of {ion} above its background")
        return net

    def mended(self, values: Array) -> Array:
        """Values with those of cycles that are not whole taken from their neighbours."""
        cycle = np.arange(values.size)
        return np.interp(cycle, cycle[self.whole], values[self.whole])


@dataclass(frozen=True, eq=False)
class Ground:
    """Depths, the reference and the native scale: what does not depend on the foreign ion."""

    edges: Array
    start: float
    used: NDArray[np.bool_]
    bulk: NDArray[np.bool_]
    zone: NDArray[np.bool_]
    front: int
    net: dict[str, Array]
    reference: Array
    flicker: Array
    native_level: float
    y: Array


def _ground(
    signals: Signals,
    ions: tuple[str, str, str],
    stated: Mapping[str, float],
    time: Array,
    crater: tuple[float, float, float],
    transient: float | None,
    resolution: Resolution | None,
) -> Ground:
    """Time to depth, the reference to divide by and the level of the native ion in the glass."""
    native, _, matrix = ions
    crater_depth, total_time, rate_ratio = crater
    net = {
        ion: signals.above(ion, stated.get(ion, 0.0) * signals.gain[ion])
        for ion in (native, matrix)
    }
    settled = settled_cycle(signals.mended(net[matrix])) if transient is None else 0
    y, cycle = None, np.arange(time.size - 1)
    for _ in range(2):  # fractions need the used cycles; these the depth, and it the fraction
        edges = sputter_depth(time, crater_depth, total_time, y, rate_ratio)
        start = float(edges[settled]) if transient is None else transient
        if resolution is not None:
            start = max(start, 2 * resolution.width)
        used = (edges[:-1] >= start * (1 - 1e-9)) & signals.whole
        if used.sum() < 20:
            raise SimsError(
                f"{signals.path}: {used.sum()} cycles are left to use, at least 20 are needed"
            )
        reference, flicker = steady_reference(
            signals.mended(net[matrix]), used, signals.mended(signals.variance[matrix])
        )
        front = front_cycle(signals.mended(net[native] / reference))
        bulk = used & (cycle >= min((front + cycle.size) // 2, cycle.size - 5))
        if not bulk.any():
            raise SimsError(f"{signals.path}: no cycle is left deep in the glass")
        # no less than its own error: background alone leaves a profile whose checks fail
        least = 1 + np.sqrt(signals.counts[native][bulk].sum())
        native_level = max(net[native][bulk].sum(), least) / reference[bulk].sum()
        y = net[native] / (native_level * reference)
    zone = used & (cycle < front)
    return Ground(edges, start, used, bulk, zone, front, net, reference, flicker, native_level, y)


def _scale_errors(
    signals: Signals, ground: Ground, ions: tuple[str, str], sigma: Array, replaced: float
) -> dict[str, float]:
    """Relative standard errors of the two scales."""
    native, foreign = ions
    counts = signals.counts[native][ground.bulk].sum()
    flicker = np.mean(ground.flicker[ground.bulk] ** 2) / ground.bulk.sum()
    native_error = float(np.sqrt(1 / max(counts, 1) + flicker))
    found = signals.counts[foreign][ground.zone].sum()
    if not min(found, replaced) > 0:
        return {native: native_error, foreign: float("nan")}
    spread = np.sum((ground.reference * sigma)[ground.zone] ** 2)
    spread += (native_error * (ground.reference * ground.y)[ground.zone].sum()) ** 2
    return {native: native_error, foreign: float(np.sqrt(1 / found + spread / replaced**2))}


# --- counts ---------------------------------------------------------------------------------


def _signals(
    recording: Recording, raw: dict[str, Array], pulses: float | None, leave_out: Sequence[int]
) -> Signals:
    """Counts without dead time, and which cycles are whole."""
    path, size = recording.path, next(iter(raw.values())).size
    whole = np.ones(size, dtype=bool)
    for number in leave_out:
        if not 1 <= number <= size:
            raise ValueError(f"leave_out = {number} is outside [1, {size}], the cycles there are")
        whole[number - 1] = False
    if whole.sum() < 20:
        raise SimsError(f"{path}: {whole.sum()} common cycles, at least 20 are needed")
    arrived = {ion: _arrived(recording, ion, counts, pulses) for ion, counts in raw.items()}
    counts, variance, gain = ({ion: three[i] for ion, three in arrived.items()} for i in range(3))
    *_, matrix = counts.values()
    partial = np.flatnonzero(profile_checks.unlike_neighbours(matrix) & whole)
    whole[partial] = False
    return Signals(path, raw, counts, variance, gain, partial, whole)


def _arrived(
    recording: Recording, ion: str, raw: Array, pulses: float | None
) -> tuple[Array, Array, float]:
    """Counts of one channel without dead time, their variance and gain; never corrected twice."""
    path = recording.path
    detector = recording.detector.get(ion, "counter")
    if detector != "counter":
        # effective counts: no cycle scatters less than as many counts would
        intensity = recording.intensity[ion][: raw.size]
        noise = scatter_variance(intensity)
        gain = float(np.max(intensity / noise))
        counts, exposure = gain * intensity, recording.exposure[ion]
        return counts, gain**2 * noise + 1, gain / exposure if exposure > 0 else gain
    if not recording.exposure[ion] > 0:
        raise SimsError(f"{path}: no counting time for {ion}: its errors are unknown")
    if pulses is None or pulses == np.inf:
        return raw, raw + 1, 1.0
    why = ""
    fractions = bool(np.any(raw != np.round(raw)))
    if recording.dead_time_corrected[ion] and not recording.fractions_tell:
        why = "the export says it is Poisson corrected"
    elif recording.unit != "counts":
        why = "it holds rates"
    elif recording.dead_time_corrected[ion] or fractions:
        why = "its counts are not whole numbers, so they are corrected already"
    if why:
        raise SimsError(f"{path}: pulses given, but no dead time left in {ion}: {why}")
    return dead_time_correct(raw, pulses), (raw + 1) / (1 - raw / pulses), 1.0


def _stated_background(
    background: float | Mapping[str, float] | None, ions: tuple[str, str, str]
) -> dict[str, float]:
    """Counts a cycle of each channel for which they are stated."""
    if background is None:
        return {}
    if not isinstance(background, Mapping):
        background = dict.fromkeys(ions[:2], background)
    if not set(background) <= set(ions):
        raise ValueError(f"background names {sorted(background)}; allowed are {ions}")
    return {ion: require(f"background of {ion}", b, 0, 1e9) for ion, b in background.items()}


def _foreign_background(
    signals: Signals, foreign: str, stated: Mapping[str, float], ground: Ground
) -> tuple[float, float]:
    """Background of the foreign ion, and its deep signal as a share of that in the replaced zone.

    Deep in untouched glass there is no foreign ion, so its mean there is the background, unless
    it is stated. More than a twentieth of the signal is no background, and is not taken off.
    """
    counts = signals.counts[foreign]
    deep = counts[ground.bulk].mean()
    high = counts[ground.zone].mean() if ground.zone.any() else 0.0
    if foreign in stated:
        base = stated[foreign] * signals.gain[foreign]
        return base, float((deep - base) / max(high - base, 1e-300))
    share = float(deep / max(high, 1e-300))
    return (float(deep) if share < profile_checks.FOREIGN_IN_GLASS else 0.0), share


# --- what nobody has stated -----------------------------------------------------------------


def _counting_notes(
    recording: Recording, ions: tuple[str, ...], pulses: float | None, leave_out: Sequence[int]
) -> list[str]:
    notes = []
    for ion in ions:
        told, intensity = recording.dead_time_corrected[ion], recording.intensity[ion]
        fractions = bool(np.any(intensity != np.round(intensity)))
        if recording.detector.get(ion) == "faraday":
            continue
        if recording.detector.get(ion) == "scatter":
            notes.append(f"errors of {ion} from its scatter, not from counting")
        elif recording.unit == "counts/s":
            notes.append(f"dead time of {ion} corrected by the instrument (assumed)")
        elif (told and recording.fractions_tell) or (told is None and fractions):
            notes.append(f"dead time of {ion} corrected: its counts are not whole (assumed)")
    if pulses == np.inf:
        notes.append("no dead time, as stated")
    if leave_out:
        notes.append(f"left out, as stated: cycles {', '.join(map(str, leave_out))}")
    return notes


def _depth_notes(
    recording: Recording, transient: float | None, start: float, resolution: Resolution | None
) -> list[str]:
    notes = []
    if not recording.total_stated:
        total = recording.total_time
        end = f"{total:g} s" if recording.axis == "time" else f"{total * 1e9:.1f} nm"
        notes.append(f"crater reached at {end}, the end of the export (assumed)")
    if resolution is not None and start == 2 * resolution.width and start != transient:
        why = "two widths of the resolution, which meets no glass above the surface"
    elif transient is None and start == 0:
        return [*notes, "no surface transient is seen in the matrix signal: all cycles are used"]
    elif transient is None:
        why = "until the matrix signal has settled (proposed)"
    else:
        return notes
    return [*notes, f"the first {start * 1e9:.1f} nm are not used: {why}"]


def _background_notes(
    native: str, foreign: str, stated: Mapping[str, float], base: float
) -> list[str]:
    notes = []
    if foreign not in stated:
        notes.append(
            f"background of {foreign} {base:.2g} counts a cycle, its mean deep in the glass"
        )
    if native not in stated:
        notes.append(f"no background under {native} (assumed)")
    return notes
