"""From a SIMS recording to fractions against depth, with errors and checks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial
from numpy.polynomial.legendre import legvander
from numpy.typing import ArrayLike, NDArray
from scipy.constants import e

from .checks import CHARGE, ION_DENSITY, Array, require
from .exports import Recording
from .tables import SimsError


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

    def __str__(self) -> str:
        verdict = "ok    " if self.passed else "FAILED"
        allowed = f"(allowed {self.low:.3g} to {self.high:.3g})"
        return f"{verdict} {self.name}: {self.value:.3g} {allowed}: {self.message}"


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
        False in the surface transient.
    checks : tuple of Check
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
        return "\n".join(map(str, self.checks))


# --- the steps ------------------------------------------------------------------------------


def dead_time_correct(counts: ArrayLike, pulses: float) -> Array:
    """Ions that arrived, from ions counted, one at most for each mass in each primary pulse.

    Poisson: a pulse stays without a count with probability exp(-arrived/pulses). ``counts``
    (any shape) and primary ``pulses`` are per cycle. ValueError unless 0 <= counts < pulses.
    """
    counts = np.asarray(counts, dtype=float)
    pulses = require("pulses", pulses, 1, 1e15)
    if not (np.all(counts >= 0) and np.all(counts < pulses)):
        most = counts.max()
        raise ValueError(f"counts must lie in [0, pulses = {pulses:g}); they reach {most:g}")
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
    floor = 1e-3 * matrix[used].mean()
    smooth = np.maximum(Polynomial.fit(cycle[used], matrix[used], 3)(cycle), floor)
    square = np.sum((matrix - smooth)[used] ** 2) / (used.sum() - 4)
    kept = max(0.0, 1 - matrix[used].mean() / max(square, 1e-300))
    reference = np.maximum(smooth + kept * (matrix - smooth), floor)
    return reference, kept * np.sqrt(matrix + 1) / reference


def reference_drift(matrix: ArrayLike, used: ArrayLike) -> Array:
    """How far the cubic of `steady_reference` may be off: three relative changes, shape (n, 3).

    Times independent coefficients of mean zero and variance one they scatter as the cubic does by
    counting noise; its mean is left out, for the levels of the signals are fitted anyway.
    """
    matrix, used = np.asarray(matrix, dtype=float), np.asarray(used, dtype=bool)
    basis = legvander(np.linspace(-1, 1, matrix.size), 3)
    covariance = np.linalg.inv(basis[used].T @ basis[used]) / matrix[used].mean()
    return basis[:, 1:] @ np.linalg.cholesky(covariance[1:, 1:])


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
    y = np.ones(edges.size - 1) if native_fraction is None else np.clip(native_fraction, 0, 1)
    rate = rate_ratio + (1 - rate_ratio) * y
    # before the first cycle the rate is that of the first, after the last that of the last
    depth = rate[0] * edges[0] + np.append(0.0, np.cumsum(rate * np.diff(edges)))
    return depth * crater_depth / (depth[-1] + (total_time - edges[-1]) * rate[-1])


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
    for Poisson weights, free of the bias of fits to few counts. A failed check does not raise
    here; a fit refuses it.

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
        charge = require("charge", charge, *CHARGE)
        ion_density = require("ion_density", ion_density, *ION_DENSITY)
    if not isinstance(background, Mapping):
        background = dict.fromkeys((native, foreign), 0.0 if background is None else background)
    if not set(background) <= set(ions):
        raise ValueError(f"background names {sorted(background)}; allowed are {ions}")
    level = {ion: require(f"background of {ion}", background.get(ion, 0.0), 0, 1e9) for ion in ions}

    time, raw, lags = recording.cycles(*ions)
    cycle = np.arange(time.size - 1)
    if cycle.size < 20:
        raise SimsError(f"{recording.path}: {cycle.size} common cycles, at least 20 are needed")
    counts, variance, net = {}, {}, {}
    for ion in ions:
        counts[ion], variance[ion] = _arrived(recording, ion, raw[ion], pulses)
        net[ion] = counts[ion] - level[ion]
        if net[ion].sum() <= 0:
            raise SimsError(f"{recording.path}: no counts of {ion} above its background")

    y = None
    for _ in range(2):  # fractions need the used cycles; these the depth, and it the fraction
        edges = sputter_depth(time, crater_depth, recording.total_time, y, rate_ratio)
        used = edges[:-1] >= transient * (1 - 1e-9)
        reference, reference_error = steady_reference(net[matrix], used)
        front = front_cycle(net[native] / reference)
        bulk = cycle >= min((front + cycle.size) // 2, cycle.size - 5)
        # no less than its own error: background alone leaves a profile whose checks fail
        bulk_counts = max(net[native][bulk].sum(), 1 + np.sqrt(counts[native][bulk].sum()))
        native_level = bulk_counts / reference[bulk].sum()
        y = net[native] / (native_level * reference)
    zone = used & (cycle < front)
    # positive unless there is no replaced zone: then foreign fractions are nan and checks fail
    found, replaced = net[foreign][zone].sum(), (reference * (1 - y))[zone].sum()
    foreign_level = found / replaced if min(found, replaced) > 0 else np.nan

    scale = {native: native_level * reference, foreign: foreign_level * reference}
    fraction = {ion: net[ion] / scale[ion] for ion in scale}
    sigma = {
        ion: np.hypot(np.sqrt(variance[ion]) / scale[ion], fraction[ion] * reference_error)
        for ion in scale
    }
    native_error = np.sqrt(
        1 / max(counts[native][bulk].sum(), 1) + np.mean(reference_error[bulk] ** 2) / bulk.sum()
    )
    foreign_error = np.nan
    if foreign_level > 0:
        spread = np.sum((reference * sigma[native])[zone] ** 2)
        spread += (native_error * (reference * y)[zone].sum()) ** 2
        foreign_error = np.sqrt(1 / counts[foreign][zone].sum() + spread / replaced**2)

    steady = [raw[native][bulk], raw[matrix][used]]
    place = float(edges[front] / edges[-1])
    where = "depth, as a share of the profile, where the native ion falls below half"
    span = float(reference[used].max() / reference[used].min())
    checks = [
        _swap_check(net, reference, used),
        _bulk_check(fraction[native][bulk]),
        Check("front inside the profile", place, 1e-3, 0.9, where),
        _mass_check(fraction, sigma, used),
        _matrix_check(net[matrix], y, used),
        Check("beam steady", span, 1.0, 2.0, "largest over smallest matrix signal"),
        _saturation_check(raw, pulses, steady),
        _dead_time_check(recording, ions, pulses),
    ]
    if charge is not None:
        # in the transient the fraction is taken from the first ten cycles after it
        filled = np.where(used, fraction[foreign], fraction[foreign][used][:10].mean())
        found = exchanged_charge(edges, filled, ion_density) / charge
        text = "charge of the foreign ions found over the charge passed"
        checks.append(Check("charge balance", found, 0.94, 1.06, text))
    return Profile(
        native=native,
        foreign=foreign,
        edges=edges,
        lag={ion: lags[ion] * float(edges[-1] / time[-1]) for ion in scale},
        fraction=fraction,
        sigma=sigma,
        counts={ion: counts[ion] for ion in scale},
        scale=scale,
        scale_error={native: float(native_error), foreign: float(foreign_error)},
        background={ion: level[ion] for ion in scale},
        drift=reference_drift(counts[matrix], used),
        used=used,
        checks=tuple(checks),
    )


def _arrived(
    recording: Recording, ion: str, raw: Array, pulses: float | None
) -> tuple[Array, Array]:
    """Counts of one channel without dead time, and their variance; never corrected twice."""
    path = recording.path
    if not recording.exposure[ion] > 0:
        raise SimsError(f"{path}: no counting time for {ion}: its errors are unknown")
    if pulses is None:
        return raw, raw + 1
    why = ""
    if recording.dead_time_corrected[ion]:
        why = "the export says it is Poisson corrected"
    elif recording.unit != "counts":
        why = "it holds rates"
    elif recording.dead_time_corrected[ion] is None and np.any(raw != np.round(raw)):
        why = "its counts are not whole numbers, so they are corrected already"
    if why:
        raise SimsError(f"{path}: pulses given, but no dead time left in {ion}: {why}")
    return dead_time_correct(raw, pulses), (raw + 1) / (1 - raw / pulses)


# --- the checks -----------------------------------------------------------------------------


def _swap_check(net: dict[str, Array], reference: Array, used: Array) -> Check:
    """The native ion is the one that fills the deep glass; the foreign one came from the beam."""
    native, foreign, _ = net
    quarter = np.flatnonzero(used).size // 4

    def share_deep(ion: str) -> float:
        signal = (net[ion] / reference)[used]
        ends = max(signal[-quarter:].mean(), 0.0), max(signal[:quarter].mean(), 0.0)
        return ends[0] / max(sum(ends), 1e-300)

    value = share_deep(native) - share_deep(foreign)
    text = "deep minus shallow: share of native signal in the deep quarter less that of foreign"
    return Check("ions not swapped", float(value), 0.0, 1.0, text)


def _dead_time_check(recording: Recording, ions: tuple[str, ...], pulses: float | None) -> Check:
    """Raw counts of a time-of-flight instrument need their pulses."""
    raw = sum(recording.dead_time_corrected[ion] is False for ion in ions)
    text = "channels of raw counts whose dead time is not corrected: give the pulses a cycle"
    return Check("dead time corrected", float(raw if pulses is None else 0), 0.0, 0.0, text)


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
    worst = max((part.mean() for part in residual), key=abs)
    error = max(np.sqrt(part.sum()) / part.size for part in errors)
    limit = min(max(0.05, 4 * error), 0.2)
    text = "largest native + foreign - 1, by eighths"
    return Check("mass balance", float(worst), -limit, limit, text)


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


def _saturation_check(raw: dict[str, Array], pulses: float | None, steady: list[Array]) -> Check:
    """Counts per pulse if known; else the scatter, which saturation makes less than Poisson.

    If a share p of the pulses counts, it is 1 - p: ``steady`` counts of 200 cycles tell p = 1/2.
    """
    name = "counts not saturated"
    if pulses is not None:
        value = max(c.max() for c in raw.values()) / pulses
        return Check(name, float(value), 0.0, 0.8, "largest counts per primary pulse")
    squares, free = 0.0, 0
    for part in steady:
        x = np.linspace(-1, 1, part.size)
        squares += np.sum((part - Polynomial.fit(x, part, 3)(x)) ** 2) / max(part.mean(), 1)
        free += part.size - 4
    low = max(0.0, 1 - 3.5 * np.sqrt(2 / free))  # chi squared / free scatters by sqrt(2 / free)
    text = "scatter of the counts over that of a Poisson process"
    return Check(name, float(squares / free), low, np.inf, text)
