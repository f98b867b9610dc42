"""The checks of a normalised profile: each names what is wrong, and where."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

from .checks import Array

if TYPE_CHECKING:
    from .exports import Recording
    from .sims import Ground, Profile, Signals


#: Deep foreign signal over that in the replaced zone: more is no background
FOREIGN_IN_GLASS = 0.05
_TOTALS = {"total", "sum", "tic", "total ion", "total ions", "total counts"}


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


def all_checks(
    profile: Profile,
    recording: Recording,
    signals: Signals,
    ground: Ground,
    deep: float,
    pulses: float | None,
    charge: float | None,
) -> tuple[Check, ...]:
    """All checks of a profile; ``charge`` is found over passed, if that is known."""
    native, foreign, matrix = signals.raw
    used, reference, y = ground.used, ground.reference, ground.y
    ions = tuple(signals.raw)
    counters = [ion for ion in ions if recording.detector.get(ion, "counter") == "counter"]
    raw = {ion: signals.raw[ion] for ion in counters}
    steady = [raw[i][part] for i, part in ((native, ground.bulk), (matrix, used)) if i in raw]
    net = {i: profile.counts[i] - profile.background[i] for i in (native, foreign)}
    place = float(ground.edges[ground.front] / ground.edges[-1])
    where = "depth, as a share of the profile, where the native ion falls below half"
    span = float(reference[used].max() / reference[used].min())
    found = [
        _swap_check(net, reference, used),
        _bulk_check(profile.fraction[native][ground.bulk]),
        Check("front inside the profile", place, 1e-3, 0.9, where),
        _mass_check(profile.fraction, profile.sigma, used),
        _matrix_check(ground.net[matrix], y, used),
        Check("beam steady", span, 1.0, 2.0, "largest over smallest matrix signal"),
        _saturation_check(raw, pulses, steady),
        _dead_time_check(recording, counters, pulses),
        _whole_check(signals, matrix),
        _detector_check(recording, ions),
        _scatter_check(profile, signals, ground, counters),
        _single_check(matrix),
        _glass_check(signals, ground, foreign, deep),
    ]
    if charge is not None:
        text = "charge of the foreign ions found over the charge passed"
        found.append(Check("charge balance", charge, 0.94, 1.06, text))
    return tuple(found)


def unlike_neighbours(matrix: Array) -> NDArray[np.bool_]:
    """Which cycles have less than half or more than twice the counts of those around them."""
    reach = min(5, matrix.size - 1)
    around = sliding_window_view(np.pad(matrix, reach, mode="reflect"), 2 * reach + 1)
    median = np.median(around, axis=-1)
    far = np.abs(matrix - median) > 6 * np.sqrt(median + 1)
    return far & ((matrix < median / 2) | (matrix > 2 * median))


def _swap_check(net: dict[str, Array], reference: Array, used: Array) -> Check:
    """The native ion is the one that fills the deep glass; the foreign one came from the beam."""
    native, foreign = net
    quarter = np.flatnonzero(used).size // 4

    def share_deep(ion: str) -> float:
        signal = (net[ion] / reference)[used]
        ends = max(signal[-quarter:].mean(), 0.0), max(signal[:quarter].mean(), 0.0)
        return ends[0] / max(sum(ends), 1e-300)

    value = share_deep(native) - share_deep(foreign)
    text = "deep minus shallow: share of native signal in the deep quarter less that of foreign"
    return Check("ions not swapped", float(value), 0.0, 1.0, text)


def _dead_time_check(recording: Recording, ions: list[str], pulses: float | None) -> Check:
    """Raw counts of a time-of-flight instrument need their pulses; whole counts may be raw."""

    def left_open(ion: str) -> bool:
        stated, counts = recording.dead_time_corrected[ion], recording.intensity[ion]
        return stated is False or (stated is None and np.array_equal(counts, np.round(counts)))

    asked = pulses is None and recording.unit == "counts"
    open_ = [ion for ion in ions if asked and left_open(ion)]
    text = "channels of counts whose dead time may not be corrected"
    if open_:
        text += f" ({', '.join(open_)}): give the pulses a cycle, or state that there is none"
        text += " (sims.pulses, sims.dead_time)"
    return Check("dead time corrected", float(len(open_)), 0.0, 0.0, text)


def _bulk_check(native: Array) -> Check:
    """A straight line through the deep half beyond the front must be level."""
    x = np.linspace(-0.5, 0.5, native.size)
    change = (x @ native) / (x @ x)
    scatter = np.std(native - native.mean() - change * x) / np.sqrt(x @ x)
    limit = min(max(0.02, 4 * scatter), 0.3)
    text = "relative change of the native signal over the deep half beyond the front"
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
    if pulses is not None and np.isfinite(pulses):
        value = max(c.max() for c in raw.values()) / pulses
        return Check(name, float(value), 0.0, 0.8, "largest counts per primary pulse")
    squares, free = 0.0, 0
    for part in (part for part in steady if part.size > 4):
        x = np.linspace(-1, 1, part.size)
        squares += np.sum((part - Polynomial.fit(x, part, 3)(x)) ** 2) / max(part.mean(), 1)
        free += part.size - 4
    if free < 1:
        return Check(name, 1.0, 0.0, np.inf, "no channel is counted")
    low = max(0.0, 1 - 3.5 * np.sqrt(2 / free))  # chi squared / free scatters by sqrt(2 / free)
    text = "scatter of the counts over that of a Poisson process"
    return Check(name, float(squares / free), low, np.inf, text)


def _whole_check(signals: Signals, matrix: str) -> Check:
    """A cycle that was interrupted has lost its counts, not its ions."""
    text = "cycles whose matrix signal is unlike that of their neighbours"
    if signals.partial.size:
        cycle = signals.partial[0]
        numbers = ", ".join(map(str, signals.partial[:20] + 1))
        text += f": {numbers} ({signals.counts[matrix][cycle]:g} in the first)"
        text += "; leave them out (sims.leave_out)"
    return Check("every cycle whole", float(signals.partial.size), 0.0, 0.0, text)


def _detector_check(recording: Recording, ions: tuple[str, ...]) -> Check:
    cups = [ion for ion in ions if recording.detector.get(ion) == "faraday"]
    text = "channels that are currents of a Faraday cup, without counting errors"
    if cups:
        text += f": {', '.join(cups)}; their errors can come from the scatter (sims.detector)"
    return Check("ions are counted", float(len(cups)), 0.0, 0.0, text)


def _scatter_check(
    profile: Profile, signals: Signals, ground: Ground, counters: list[str]
) -> Check:
    """Second differences, of which a smooth profile has hardly any, against counting errors.

    Without the cycles at the front, where the profile does bend, and where counts are few.
    """
    squares, terms = 0.0, 0
    cycle = np.arange(profile.used.size)
    far = profile.used & (np.abs(cycle - ground.front) > max(5, cycle.size // 20))
    for ion in (ion for ion in (profile.native, profile.foreign) if ion in counters):
        smooth = np.ones(5) / 5
        mean = np.convolve(signals.mended(signals.raw[ion]), smooth, "same")
        excess = signals.variance[ion] / (signals.raw[ion] + 1)
        level = np.convolve(signals.mended(profile.fraction[ion]), smooth, "same")
        variance = mean * excess / profile.scale[ion] ** 2 + (level * ground.flicker) ** 2
        three = far & (mean > 20)
        three = three[2:] & three[1:-1] & three[:-2]
        expected = variance[2:] + 4 * variance[1:-1] + variance[:-2]
        squares += np.sum(np.diff(profile.fraction[ion], 2)[three] ** 2 / expected[three])
        terms += three.sum()
    name, text = "scatter of counting", "scatter of the fractions over that of counting"
    if terms < 20:
        return Check(name, 1.0, 0.0, np.inf, text)
    error = np.sqrt(2 * 35 / 18 / terms)  # neighbouring differences are correlated
    value, low, high = float(squares / terms), max(0.0, 1 - 4 * error), 1.5 + 5 * error
    if value < low:
        text += ": the export is smoothed, or dead time is missing"
    elif value > high:
        text += ": not counted, or rescaled; its errors can come from the scatter (sims.detector)"
    return Check(name, value, low, high, text)


def _single_check(matrix: str) -> Check:
    text = "the matrix signal is a total: native and foreign ions are part of it; take one ion"
    total = matrix.casefold().strip("+- ") in _TOTALS
    text = text if total else "matrix signals that are a total, not one ion"
    return Check("matrix is one ion", float(total), 0.0, 0.0, text)


def _glass_check(signals: Signals, ground: Ground, foreign: str, deep: float) -> Check:
    """What is left of the foreign signal deep in untouched glass."""
    counts = signals.counts[foreign]
    high = max(counts[ground.zone].mean() if ground.zone.any() else 0.0, 1.0)
    error = np.sqrt((counts[ground.bulk].mean() + 1) / ground.bulk.sum()) / high
    limit = FOREIGN_IN_GLASS + 3 * float(error)
    text = f"signal of {foreign} deep in the glass over that in the replaced zone"
    return Check("no foreign ion in the glass", deep, -limit, limit, text)
