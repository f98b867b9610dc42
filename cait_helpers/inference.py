"""Fit one site energy distribution to one or many CAIT runs, and say how sure one can be.

The simulation is run on a small design around the best parameters so far; in between, profile and
current follow from quadratic polynomials (`_Emulator`), whose error is measured. Everything that
needs many evaluations, the search, the profile likelihood, the posterior, the bootstrap, uses them.
What enters the expected counts linearly, the levels of the signals and the drift of the
matrix signal, is not searched but solved for, inside every evaluation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import lmfit
import numpy as np
from numpy.typing import NDArray
from scipy.constants import e, k
from scipy.interpolate import PchipInterpolator
from scipy.special import xlogy
from tqdm import tqdm

from .cases import Case, element
from .checks import require
from .fronts import foreign_diffusivity_from_plateau
from .landscape import (
    Law,
    activated_diffusivity,
    gaussian_sed,
    skewed_sed,
    tabulated_diffusivity,
    two_component_sed,
)
from .landscape import fwhm as full_width
from .npp import Charge, Duration, Run, SimulationError, Voltage, simulate
from .resolution import Resolution, blur
from .sims import Profile

Array = NDArray[np.float64]

_CELLS = 120
_RTOL = 1e-4  # of the time steps: keeps their noise out of the differences
_SCAN = (0.06, 0.09, 0.13, 0.18, 0.25, 0.34, 0.46)  # eV, widths tried for a start
# Half-widths of the first design, and of the narrowest: large against the noise of the solver.
_STEPS = {"log_ratio": (0.08, 0.015), "log_charge": (0.03, 0.01), "log10_D_bulk": (0.05, 0.02)}
_REACH = 2.5  # how many half-widths beyond its centre a design is believed
_TRACE = np.linspace(0.0, 1.0, 41) ** 1.5  # shares of the charge at which time and current are kept


class FitError(ValueError):
    """A fit that would mislead: failed checks of a profile, or no convergence."""


# --- families of landscapes -----------------------------------------------------------------


@dataclass(frozen=True)
class Family:
    """A family of landscapes that a fit chooses from.

    Attributes
    ----------
    name : str
    parameters : dict of str to (float, float, float, float)
        Start, lowest, highest value, and the half-width of the first design.
    law : callable
        (values, D_bulk, temperature, occupancy) -> native D(y).
    """

    name: str
    parameters: dict[str, tuple[float, float, float, float]]
    law: Callable[[Mapping[str, float], float, float, float], Law]


def _of_sed(make: Callable[[Mapping[str, float]], Any]):
    def law(values, D_bulk, temperature, occupancy):
        immobile = values.get("immobile", 0.0)
        return activated_diffusivity(make(values), D_bulk, temperature, occupancy, immobile)

    return law


def _two(values: Mapping[str, float]) -> Any:
    first, second = values["fwhm"], values["fwhm_second"]
    return two_component_sed(
        1 - values["weight"], gaussian_sed(first), gaussian_sed(second, -values["below"])
    )


_KNOTS = np.array([0.003, 0.01, 0.03, 0.07, 0.15, 0.4, 1.0])


def _monotone(values, D_bulk, temperature, occupancy):
    rises = [10.0 ** values[f"rise_{i}"] for i in range(_KNOTS.size - 1)]
    log_D = -np.append(np.cumsum(rises[::-1])[::-1], 0.0)
    return tabulated_diffusivity(_KNOTS, D_bulk * np.exp(log_D))


_FWHM = {"fwhm": (0.250, 0.02, 0.8, 0.04)}  # the half-width relative for this one
FAMILIES = {
    family.name: family
    for family in (
        Family("gaussian", _FWHM, _of_sed(lambda v: gaussian_sed(v["fwhm"]))),
        Family(
            "skewed",
            _FWHM | {"skew": (0.0, -1.0, 1.0, 0.05)},
            _of_sed(lambda v: skewed_sed(v["fwhm"], v["skew"])),
        ),
        Family(
            "two components",
            _FWHM
            | {
                "fwhm_second": (0.250, 0.02, 0.8, 0.02),
                "below": (0.05, 0.0, 0.6, 0.03),
                "weight": (0.2, 0.0, 0.5, 0.05),
            },
            _of_sed(_two),
        ),
        Family(
            "immobile share",
            _FWHM | {"immobile": (0.002, 0.0, 0.5, 0.002)},
            _of_sed(lambda v: gaussian_sed(v["fwhm"])),
        ),
        Family(
            "monotone D",
            {f"rise_{i}": (0.0, -2.0, 1.5, 0.05) for i in range(_KNOTS.size - 1)},
            _monotone,
        ),
    )
}


# --- what the data say ----------------------------------------------------------------------


def expected_counts(
    run: Run, case: Case, profile: Profile, depth_scale: float = 1.0
) -> dict[str, Array]:
    """Counts a cycle that a run leads one to expect, by channel, each of shape (cycles,).

    ``depth_scale`` is the true over the stated crater depth.
    """
    return {
        ion: blur(
            run.x,
            run.fraction[element(ion)],
            depth_scale * (profile.edges + profile.lag[ion]),
            case.resolution,
        )
        * profile.scale[ion]
        + profile.background[ion]
        for ion in (case.native, case.foreign)
    }


def poisson_residuals(counts: Array, expected: Array) -> Array:
    """Signed roots of the Poisson deviance: their squares add up to -2 ln L, up to a constant."""
    expected = np.maximum(expected, 1e-9)
    deviance = 2 * (expected - counts + xlogy(counts, np.maximum(counts, 1e-300) / expected))
    return np.sign(counts - expected) * np.sqrt(np.maximum(deviance, 0.0))


def recording_noise(values: Array) -> float:
    """Relative standard deviation of a smooth record, from its relative second differences.

    By their median, so that a steep start does not count as noise.
    """
    if len(values) < 5:
        return float("nan")
    bend = np.diff(values, 2) / np.maximum(np.abs(values[1:-1]), 1e-300)
    return float(1.4826 * np.median(np.abs(bend)) / np.sqrt(6))


def bulk_diffusivity(case: Case) -> float:
    """D_bulk = sigma kT / (N e^2) (m^2/s) from the conductivity of a case (Nernst-Einstein)."""
    glass = case.glass
    return case.conductivity * k * glass.temperature / (glass.ion_density * e**2)


def _guess_bulk(case: Case) -> float:
    """D_bulk from the current at the start, when the whole plate is untouched."""
    if case.current_path is None or not isinstance(case.drive, Voltage):
        raise FitError(
            f"{case.title}: D_bulk is unknown: give glass.conductivity, or a recorded current"
            " under a stated voltage"
        )
    _, current = case.current()
    glass = case.glass
    voltage = float(np.max(case.drive.value))
    conductivity = float(np.mean(current[:3])) * glass.thickness / voltage
    return conductivity * k * glass.temperature / (glass.ion_density * e**2)


def observed_plateau(case: Case, profile: Profile) -> float:
    """Mean native fraction between a half and nine tenths of the front depth."""
    native = profile.fraction[case.native]
    below = np.flatnonzero(native < 0.5)
    if below.size < 10:
        raise FitError(f"{case.title}: no front: the native fraction hardly falls below a half")
    front = profile.depth[below[-1]]
    zone = (profile.depth > 0.5 * front) & (profile.depth < 0.9 * front)
    return float(np.clip(np.mean(native[zone]), 1e-3, 0.6))


@dataclass(frozen=True, eq=False)
class _Data:
    """One case with what was measured; ``current`` holds time, current density and its noise."""

    case: Case
    profile: Profile
    current: tuple[Array, Array, float] | None
    duration: float | None
    current_error: float
    excess: dict[str, Array] | None = None

    @cached_property
    def rows(self) -> dict[str, tuple[Array, Array, Array, Array]]:
        """For each ion the used counts, their excess spread over Poisson, background, level.

        The level has a column for itself and three for the drift of the matrix signal.
        """
        profile, used = self.profile, self.profile.used
        found = {}
        for ion in (self.case.native, self.case.foreign):
            counts, scale = profile.counts[ion][used], profile.scale[ion][used]
            # Where dead time was corrected, counts scatter more than Poisson's law.
            spread = profile.sigma[ion][used] * scale / np.sqrt(counts + 1)
            if self.excess is not None:  # counts that were drawn anew
                spread = self.excess[ion]
            level = scale[:, None] * np.column_stack([np.ones(scale.size), profile.drift[used]])
            background = np.full(scale.size, profile.background[ion])
            found[ion] = counts, np.maximum(spread, 1.0), background, level
        return found

    def levels(self, fraction: Mapping[str, Array]) -> dict[str, Array]:
        """Expected used counts for fractions (cycles,), with the levels that fit best, and drift.

        Maximum likelihood by Fisher scoring: five numbers, linear in the expected counts.
        """
        parts, counts, weight, offset = [], [], [], []
        for column, (ion, (found, spread, background, level)) in enumerate(self.rows.items()):
            shape = fraction[ion][self.profile.used, None] * level
            place = np.zeros((found.size, 5))
            place[:, column], place[:, 2:] = shape[:, 0], shape[:, 1:]
            parts.append(place)
            counts.append(found)
            weight.append(spread**-2)
            offset.append(background + shape[:, 0])
        X, m, w, start = map(np.concatenate, (parts, counts, weight, offset))
        prior = np.diag([400.0, 400.0, 1.0, 1.0, 1.0])  # levels are known to 5 % before the fit
        a = np.zeros(5)
        for _ in range(3):
            expected = np.maximum(start + X @ a, 1e-3)
            now = w / expected
            slope = X.T @ (now * (m - expected)) - prior @ a
            a = a + np.linalg.solve((X.T * now) @ X + prior, slope)
        expected = np.maximum(start + X @ a, 1e-9)
        half = self.rows[self.case.native][0].size
        return {
            self.case.native: expected[:half],
            self.case.foreign: expected[half:],
            "drift": a[2:],
        }

    def record(self, state) -> Array:
        """Current density (A/m^2) at the times of the record.

        A front that moves in series with the bulk makes 1/j^2 straight in time.
        """
        return np.interp(self.current[0], state[3], state[4] ** -2) ** -0.5

    def current_residuals(self, state) -> Array:
        """Residuals of the record, with the gain of electrometer and area that fits best.

        In units of what was read: in units of the model, a model that is too high would shrink
        its residuals, and draw the fit.
        """
        _, current, noise = self.current
        ratio = self.record(state) / current
        prior = (noise / self.current_error) ** 2
        gain = (ratio.sum() + prior) / (ratio @ ratio + prior)
        return np.append((gain * ratio - 1) / noise, (gain - 1) / self.current_error)


def _data(cases: Sequence[Case], current_error: float) -> tuple[_Data, ...]:
    found = []
    for case in cases:
        record = duration = None
        if isinstance(case.drive, Voltage):
            if case.drive.time is not None:
                raise FitError(f"{case.title}: a fit needs a constant voltage, not a record of it")
            if isinstance(case.until, Duration):
                duration = case.until.value
            if case.current_path is not None:
                time, current = case.current()
                if duration is None:  # the record tells when the charge had passed
                    duration = float(time[-1])
                inside = time <= duration * (1 + 1e-9)
                record = time[inside], current[inside], recording_noise(current[inside])
                if not (np.all(record[1] > 0) and 0 < record[2] < np.inf):
                    raise FitError(
                        f"{case.title}: the recorded current must be positive, have five readings"
                        " at least, and digits enough to show its noise"
                    )
        elif case.charge is None:
            raise FitError(f"{case.title}: the charge that has passed is unknown")
        found.append(_Data(case, case.profile(), record, duration, current_error))
    return tuple(found)


# --- the model ------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class _Emulator:
    """Quadratic polynomials through simulations of one case, around a centre.

    The profile is kept against depth over front depth, where it hardly moves.
    """

    names: tuple[str, ...]
    centre: Array
    steps: Array
    xi: Array
    coefficients: Array

    @staticmethod
    def features(z: Array) -> Array:
        p = z.size
        cross = [z[i] * z[j] for i in range(p) for j in range(i + 1, p)]
        return np.concatenate([[1.0], z, z**2, cross])

    @staticmethod
    def design(p: int) -> Array:
        rows = [np.zeros(p)]
        for i in range(p):
            rows += [np.eye(p)[i], -np.eye(p)[i]]
        rows += [np.eye(p)[i] + np.eye(p)[j] for i in range(p) for j in range(i + 1, p)]
        return np.array(rows)

    def scaled(self, values: Mapping[str, float]) -> Array:
        return (np.array([values[name] for name in self.names]) - self.centre) / self.steps

    def __call__(self, z: Array) -> tuple[Array, Array, Array, Array, Array]:
        """x (m), native and foreign fractions, time (s) and current density at _TRACE."""
        out = self.features(z) @ self.coefficients
        n, m = self.xi.size, _TRACE.size
        depth = np.exp(out[2 * n])
        trace = np.exp(out[2 * n + 1 :])
        return depth * self.xi, out[:n], out[n : 2 * n], trace[:m], trace[m:]


def _front(run: Run) -> float:
    """Depth (m) behind which the native fraction stays above three quarters."""
    native = run.fraction[run.native]
    below = np.flatnonzero(native < 0.75)
    if below.size == 0 or below[-1] + 1 == native.size:
        return run.replaced_depth
    here = slice(below[-1], below[-1] + 2)
    return float(np.interp(0.75, native[here], run.x[here]))


def _outputs(run: Run, xi: Array) -> Array:
    depth, beam, native = _front(run), run.fraction[run.beam], run.fraction[run.native]
    x = np.clip(xi * depth, run.x[0], run.x[-1])
    share = run.charge / run.charge[-1]
    late = np.append(np.diff(share) > 0, True)
    # under a constant voltage 1/j is all but linear in the charge
    resistance = np.interp(_TRACE, share[late], 1 / run.current_density[late])
    time = PchipInterpolator(share[late], run.time[late])(_TRACE)
    return np.concatenate(
        [
            PchipInterpolator(run.x, native)(x),
            PchipInterpolator(run.x, beam)(x),
            [np.log(depth)],
            np.log(np.maximum(time, 1e-6 * time[-1])),
            -np.log(resistance),
        ]
    )


class _Model:
    """Residuals of all cases as a function of the parameters; counts its simulations."""

    def __init__(self, data: Sequence[_Data], family: Family):
        self.data, self.family = data, family
        self.evaluations = 0
        self.emulators: list[_Emulator] = []
        self.reference = [_start_bulk(d.case) for d in data]

    def physical(self, number: int, values: Mapping[str, float]) -> dict[str, float]:
        """What the simulation of one case depends on."""
        names = (*self.family.parameters, "occupancy", "temperature")
        found = {name: values[f"{name}_{number}"] for name in names}
        bulk = values[f"log10_D_bulk_{number}"]
        foreign = values[f"log10_D_{element(self.data[number].case.foreign)}"]
        return found | {"log_ratio": foreign - bulk, "log10_D_bulk": bulk}

    def law(self, number: int, physical: Mapping[str, float], D_bulk: float) -> Law:
        temperature = self.data[number].case.glass.temperature * physical["temperature"]
        return self.family.law(physical, D_bulk, temperature, physical["occupancy"])

    def run(self, number: int, physical: Mapping[str, float], charge: float | None, **how) -> Run:
        """Simulate to a charge (C/m^2), or as the case says if that is None."""
        case = self.data[number].case
        native, foreign = element(case.native), element(case.foreign)
        D_bulk = 10 ** physical["log10_D_bulk"]
        until = Charge(charge) if charge is not None else case.until
        if charge is None and self.data[number].duration is not None:
            until = Duration(self.data[number].duration)
        self.evaluations += 1
        return simulate(
            case.glass,
            ions={
                native: self.law(number, physical, D_bulk),
                foreign: D_bulk * 10 ** physical["log_ratio"],
            },
            native=native,
            beam=foreign,
            drive=case.drive,
            until=until,
            **{"mesh": _CELLS, "rtol": _RTOL} | how,
        )

    def resolved(self, number: int, values: Mapping[str, float]) -> Run:
        """The run with its error estimate, as accurate as it can be shown to be."""
        physical = self.physical(number, values)
        try:
            return self.run(number, physical, None, mesh=None, rtol=1e-4)
        except SimulationError:
            return self.run(number, physical, None, mesh=None, rtol=1e-3)

    def build(self, parameters: lmfit.Parameters, widths: Mapping[str, float]) -> None:
        """Simulate the design around ``parameters``; ``widths`` are its half-widths by name."""
        values = parameters.valuesdict()
        free = [name for name, p in parameters.items() if p.vary]
        self.emulators = [
            self._emulator(number, values, self._moving(number, parameters, free), widths)
            for number in range(len(self.data))
        ]

    def _moving(self, number: int, parameters: lmfit.Parameters, free: list[str]) -> list[str]:
        """Which of the physical quantities of a case any free parameter moves."""
        before = self.physical(number, parameters.valuesdict())
        trial = parameters.copy()
        for name in free:
            p = parameters[name]
            middle = 0.5 * (p.min + p.max)
            move = 1e-3 * (1 if not np.isfinite(middle) or p.value <= middle else -1)
            trial[name].set(value=p.value + move)
        after = self.physical(number, trial.valuesdict())
        moving = [name for name in before if before[name] != after[name]]
        potential = isinstance(self.data[number].case.drive, Voltage)
        if potential and "log10_D_bulk" in moving:  # D_bulk scales time alone
            moving.remove("log10_D_bulk")
        if any(f"log10_D_{element(self.data[number].case.foreign)}" == name for name in free):
            moving = [*dict.fromkeys([*moving, "log_ratio"])]
        if potential and self.data[number].duration is not None:
            moving.append("log_charge")
        return moving

    def _emulator(self, number, values, moving, widths) -> _Emulator:
        data, physical = self.data[number], self.physical(number, values)
        if isinstance(data.case.drive, Voltage):
            physical["log10_D_bulk"] = np.log10(self.reference[number])
        steps = np.array([widths[name] for name in moving])
        if "log_charge" in moving:
            # one run to the time that counts, which D_bulk scales, tells the charge
            scale = 10 ** values[f"log10_D_bulk_{number}"] / self.reference[number]
            charge = self._charge_at(number, physical, data.duration * scale)
            physical["log_charge"] = np.log(charge)
        else:
            physical["log_charge"] = np.log(data.case.charge)
        for name, width in zip(moving, steps, strict=True):  # the design keeps to the bounds
            if name in self.family.parameters:
                _, low, high, _ = self.family.parameters[name]
                physical[name] = float(np.clip(physical[name], low + width, high - width))
        centre = np.array([physical[name] for name in moving])
        rows, xi = [], None
        design = _Emulator.design(len(moving))
        for row in design:
            at = physical | dict(zip(moving, centre + row * steps, strict=True))
            run = self.run(number, at, float(np.exp(at["log_charge"])))
            if xi is None:
                x = run.x[run.x < 2 * data.profile.edges[-1]]
                xi = np.union1d(x, (x[1:] + x[:-1]) / 2) / _front(run)
            rows.append(_outputs(run, xi))
        table = np.array([_Emulator.features(row) for row in design])
        coefficients = np.linalg.solve(table, np.array(rows))
        return _Emulator(tuple(moving), centre, steps, xi, coefficients)

    def _charge_at(self, number: int, physical: Mapping[str, float], time: float) -> float:
        data = self.data[number]
        case = replace(data.case, until=Duration(time))
        other = _Model([replace(data, case=case, duration=time)], self.family)
        run = other.run(0, physical, None)
        self.evaluations += 1
        return float(run.charge[-1])

    def anchor(self, values: Mapping[str, float], runs: Sequence[Run]) -> None:
        """Shift the polynomials so that they meet resolved runs at ``values``."""
        for number, run in enumerate(runs):
            emulator = self.emulators[number]
            physical = self.physical(number, values) | {"log_charge": np.log(run.charge[-1])}
            miss = _outputs(run, emulator.xi) - emulator.features(
                emulator.scaled(physical)
            ) @ emulator.coefficients
            speed = np.log(self._speed(number, values))
            miss[-2 * _TRACE.size : -_TRACE.size] += speed
            miss[-_TRACE.size :] -= speed
            emulator.coefficients[0] += miss

    def place(self, number: int, values: Mapping[str, float]) -> Array:
        """Where in the design of a case ``values`` lie (half-widths); the charge is solved for."""
        emulator, physical = self.emulators[number], self.physical(number, values)
        if "log_charge" not in emulator.names:
            return emulator.scaled(physical)
        goal = np.log(self.data[number].duration * self._speed(number, values))
        end = emulator.coefficients[:, 2 * emulator.xi.size + _TRACE.size]  # ln of the last time
        z = emulator.scaled(physical | {"log_charge": emulator.centre[-1]})
        for _ in range(4):  # Newton: ln t is nearly straight in ln Q
            up = z.copy()
            up[-1] += 1e-4
            value = emulator.features(z) @ end
            slope = (emulator.features(up) @ end - value) / 1e-4
            z[-1] += np.clip((goal - value) / slope, -3, 3)
        return z

    def _speed(self, number: int, values: Mapping[str, float]) -> float:
        """How much faster than in the emulator all is: under a constant voltage D_bulk scales."""
        if not isinstance(self.data[number].case.drive, Voltage):
            return 1.0
        return 10 ** values[f"log10_D_bulk_{number}"] / self.reference[number]

    def state(self, number: int, values: Mapping[str, float]) -> tuple[Array, ...]:
        """What the emulator says of one case: x, both fractions, time and current density."""
        speed = self._speed(number, values)
        *profile, time, density = self.emulators[number](self.place(number, values))
        return *profile, time / speed, density * speed

    def fractions(self, number: int, values: Mapping[str, float], state) -> dict[str, Array]:
        """Fractions as the instrument sees them, all cycles."""
        data = self.data[number]
        edges = values[f"depth_{number}"] * data.profile.edges
        resolution = data.case.resolution
        if resolution is not None:
            f = values[f"resolution_{number}"]
            resolution = Resolution(
                f * resolution.sigma, f * resolution.decay_up, f * resolution.decay_down
            )
        ions, lag = (data.case.native, data.case.foreign), data.profile.lag
        if not any(lag.values()):
            return dict(zip(ions, blur(state[0], state[1:3], edges, resolution), strict=True))
        return {
            ion: blur(state[0], f, edges + lag[ion], resolution)
            for ion, f in zip(ions, state[1:3], strict=True)
        }

    def blocks(self, values: Mapping[str, float]) -> dict[tuple[int, str], Array]:
        """Residuals by case and kind: native, foreign, current, drift."""
        found = {}
        for number, data in enumerate(self.data):
            state = self.state(number, values)
            expected = data.levels(self.fractions(number, values, state))
            for kind, ion in (("native", data.case.native), ("foreign", data.case.foreign)):
                counts, spread, *_ = data.rows[ion]
                found[number, kind] = poisson_residuals(counts, expected[ion]) / spread
            found[number, "drift"] = expected["drift"]
            if data.current is not None:
                found[number, "current"] = data.current_residuals(state)
        return found

    def residuals(self, parameters: lmfit.Parameters) -> Array:
        values = parameters.valuesdict()
        priors = [
            (values[name] - p.user_data[0]) / p.user_data[1]
            for name, p in parameters.items()
            if p.user_data is not None and p.vary
        ]
        return np.concatenate([*self.blocks(values).values(), priors])


# --- start and parameters -------------------------------------------------------------------


def _start_bulk(case: Case) -> float:
    return bulk_diffusivity(case) if case.conductivity is not None else _guess_bulk(case)


def _start(model: _Model, occupancy: float) -> dict[str, float]:
    """Start values: the front theory gives D_foreign for a width; the counts choose the width."""
    gaussian = _Model(model.data, FAMILIES["gaussian"])
    best, best_square = None, np.inf
    bulk = model.reference[0]
    for fwhm in _SCAN:
        values, square = {"fwhm": fwhm, "log10_D_bulk": float(np.log10(bulk))}, 0.0
        try:
            for number, data in enumerate(model.data):
                physical = {"fwhm": fwhm, "occupancy": occupancy, "temperature": 1.0}
                # The mean over the zone lies a little below the plateau at the front.
                plateau = 1.1 * observed_plateau(data.case, data.profile)
                D = foreign_diffusivity_from_plateau(gaussian.law(number, physical, bulk), plateau)
                ratio = float(np.log10(D / bulk))
                values[f"log10_D_{element(data.case.foreign)}"] = np.log10(bulk) + ratio
                run = gaussian.run(
                    number,
                    physical | {"log_ratio": ratio, "log10_D_bulk": np.log10(bulk)},
                    data.case.charge,
                    rtol=1e-3,
                )
                seen = data.case.native, data.case.foreign
                fraction = {
                    ion: blur(run.x, run.fraction[element(ion)],
                              data.profile.edges + data.profile.lag[ion], data.case.resolution)
                    for ion in seen
                }  # fmt: skip
                expected = data.levels(fraction)
                for ion in seen:
                    counts, spread, *_ = data.rows[ion]
                    square += np.sum((poisson_residuals(counts, expected[ion]) / spread) ** 2)
                if data.duration is not None:
                    time, density = np.exp(_outputs(run, np.ones(1))[3:]).reshape(2, -1)
                    square += (np.log(time[-1] / data.duration) / 0.02) ** 2
                    if data.current is not None:
                        state = None, None, None, time, density
                        square += np.sum(data.current_residuals(state) ** 2)
        except (SimulationError, FitError, ValueError) as error:
            reason = error
            continue
        if square < best_square:
            best, best_square = values, square
    model.evaluations += gaussian.evaluations
    if best is None:
        raise FitError(f"no width between 60 and 460 meV can be simulated: {reason}")
    return best


def landscape_parameters(
    cases: Sequence[Case],
    family: str = "gaussian",
    occupancy: float = 0.9,
    depth_error: float = 0.01,
    current_error: float = 0.01,
    conductivity_error: float = 0.02,
    resolution_error: float = 0.1,
) -> lmfit.Parameters:
    """The parameters of a fit with start values and priors, to be changed before `fit_landscape`.

    Shared by all cases: those of the family (``fwhm`` / eV, ...), ``occupancy`` and
    ``temperature`` (true over stated), which are fixed at first, and ``log10_D_bulk``. Each has a
    twin for each case (``fwhm_0``, ...), tied to it by its ``expr``; freeing the twin gives
    that case a value of its own. One ``log10_D_<element>`` for each foreign ion. Of each case
    ``depth_<n>`` and ``resolution_<n>``, the true over the stated value. A Gaussian prior stands in
    ``user_data`` as (mean, standard deviation); ``min``, ``max``, ``vary``, ``expr`` are lmfit's.

    Parameters are those of `fit_landscape`.
    """
    return _parameters(
        _Model(_data(cases, current_error), _family(family)),
        occupancy,
        {
            "depth": depth_error,
            "conductivity": conductivity_error,
            "resolution": resolution_error,
            "current": current_error,
        },
    )


def _family(family: str) -> Family:
    if family not in FAMILIES:
        raise ValueError(f"family = {family!r}; allowed are {', '.join(FAMILIES)}")
    return FAMILIES[family]


def _parameters(model: _Model, occupancy: float, errors: Mapping[str, float]) -> lmfit.Parameters:
    start = _start(model, occupancy)
    parameters = lmfit.Parameters()
    shared = {
        name: {"value": p[0], "min": p[1], "max": p[2]}
        for name, p in model.family.parameters.items()
    }
    if "fwhm" in shared:
        shared["fwhm"]["value"] = start["fwhm"]
    if "fwhm_second" in shared:
        shared["fwhm_second"]["value"] = start["fwhm"]
    if "rise_0" in shared:  # the Gaussian of the start, at the knots
        law = activated_diffusivity(gaussian_sed(start["fwhm"]), 1.0,
                                    model.data[0].case.glass.temperature, occupancy)  # fmt: skip
        for i, rise in enumerate(np.diff(np.log(law(_KNOTS)))):
            shared[f"rise_{i}"]["value"] = np.log10(rise)
    shared["occupancy"] = {"value": occupancy, "min": 0.3, "max": 0.995, "vary": False}
    shared["temperature"] = {"value": 1.0, "min": 0.9, "max": 1.1, "vary": False}
    shared["log10_D_bulk"] = {"value": start["log10_D_bulk"]}
    for name, settings in shared.items():
        parameters.add(name, **settings)
    stated = {bulk_diffusivity(d.case) for d in model.data if d.case.conductivity is not None}
    if stated:  # one value stated in several cases is one measurement
        spread = errors["conductivity"] / np.log(10) / np.sqrt(len(stated))
        parameters["log10_D_bulk"].user_data = (float(np.mean(np.log10([*stated]))), spread)
    for number, data in enumerate(model.data):
        for name in shared:
            parameters.add(f"{name}_{number}", expr=name)
        name = f"log10_D_{element(data.case.foreign)}"
        if name not in parameters:
            parameters.add(name, start[name])
        # where the charge is stated or recorded its error moves the front like one of the depth
        given = data.duration is None
        spread = np.hypot(errors["depth"], errors["current"] if given else 0.0)
        parameters.add(f"depth_{number}", 1.0, min=0.5, max=1.5)
        parameters[f"depth_{number}"].user_data = (1.0, spread)
        parameters.add(f"resolution_{number}", 1.0, min=0.5, max=2.0)
        parameters[f"resolution_{number}"].set(vary=data.case.resolution is not None)
        parameters[f"resolution_{number}"].user_data = (1.0, errors["resolution"])
    return parameters


# --- the fit --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LandscapeFit:
    """Result of :func:`fit_landscape`.

    Attributes
    ----------
    fwhm : float
        Width of the site energy distribution (eV); nan where the family has none.
    interval : dict of str to (float, float)
        95 % intervals of ``fwhm`` (eV) and of each fitted diffusivity (m^2/s), from the curvature
        of the likelihood; wider by sqrt(reduced chi-square) where that is above one.
    bulk_diffusivity : float
        D of the native ion in untouched glass (m^2/s).
    foreign_diffusivity : dict of str to float
        By element (m^2/s).
    occupancy : float
        Occupied share of all sites: assumed, unless it was freed.
    family : str
        Of the landscape.
    chi_square, degrees_of_freedom : float, int
    evaluations : int
        Simulations that the fit took.
    emulator_error : float
        Distance between the counts expected by the polynomials of the fit and by the resolved
        simulations at the optimum, in standard deviations of counting, all counts together.
    cases : tuple of Case
    profiles : tuple of Profile
    runs : tuple of Run
        The resolved simulations at the optimum.
    expected : tuple of dict of str to ndarray
        For each case the expected counts a cycle by channel, with the fitted levels, (cycles,).
    minimum : lmfit.minimizer.MinimizerResult
        Everything else, correlations included.
    """

    fwhm: float
    interval: dict[str, tuple[float, float]]
    bulk_diffusivity: float
    foreign_diffusivity: dict[str, float]
    occupancy: float
    family: str
    chi_square: float
    degrees_of_freedom: int
    evaluations: int
    emulator_error: float
    cases: tuple[Case, ...]
    profiles: tuple[Profile, ...]
    runs: tuple[Run, ...]
    expected: tuple[dict[str, Array], ...]
    minimum: lmfit.minimizer.MinimizerResult
    model: _Model = field(repr=False)

    @property
    def reduced_chi_square(self) -> float:
        """Near one for a model that describes the data."""
        return self.chi_square / self.degrees_of_freedom

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the fitted parameters."""
        return tuple(self.minimum.var_names)

    @property
    def bayesian_criterion(self) -> float:
        """BIC: chi-square plus ln(number of data) for each parameter; the lower the better."""
        return self.chi_square + len(self.free) * np.log(self.minimum.ndata)

    @property
    def akaike_criterion(self) -> float:
        """AIC: chi-square plus two for each parameter; the lower the better."""
        return self.chi_square + 2 * len(self.free)

    def law(self, number: int = 0) -> Law:
        """D of the native ion against its fraction in one case."""
        values = self.minimum.params.valuesdict()
        physical = self.model.physical(number, values)
        return self.model.law(number, physical, 10 ** physical["log10_D_bulk"])

    def report(self) -> str:
        """Parameters with their 95 % intervals, a line each."""
        lines = []
        if "fwhm" in self.interval:
            low, high = self.interval["fwhm"]
            lines.append(
                f"FWHM of the SED  {self.fwhm * 1e3:.1f} meV  (95 %: {low * 1e3:.1f} to"
                f" {high * 1e3:.1f} meV)"
            )
        lines.append(f"D_bulk           {self.bulk_diffusivity:.4g} m^2/s{self._between('D_bulk')}")
        for ion, D in self.foreign_diffusivity.items():
            lines.append(f"D_{ion:<15}{D:.4g} m^2/s{self._between(f'D_{ion}')}")
        free = self.minimum.params["occupancy"].vary
        lines.append(
            f"occupied share   {self.occupancy:.3g} of all sites, {'fitted' if free else 'assumed'}"
        )
        lines.append(
            f"chi-square       {self.chi_square:.0f} for {self.degrees_of_freedom} degrees of"
            f" freedom ({self.reduced_chi_square:.2f})"
        )
        return "\n".join(lines)

    def _between(self, name: str) -> str:
        if name not in self.interval:
            return ""
        low, high = self.interval[name]
        return f"  (95 %: {low:.4g} to {high:.4g})"


def fit_landscape(
    cases: Sequence[Case],
    occupancy: float = 0.9,
    depth_error: float = 0.01,
    current_error: float = 0.01,
    conductivity_error: float = 0.02,
    resolution_error: float = 0.1,
    family: str = "gaussian",
    parameters: lmfit.Parameters | None = None,
    largest_chi_square: float = 2.0,
    progress: bool = False,
) -> LandscapeFit:
    """Fit one site energy distribution, and a constant D for each foreign ion.

    Maximises the Poisson likelihood of the counts of all native and foreign channels, and of the
    recorded currents where a voltage is stated, over the width of the distribution, D of each
    foreign ion, D_bulk, the depth scale and the resolution of each experiment within their errors,
    the levels of the signals, the drift of the matrix signal, and the gain of the current. The
    model is :func:`simulate`; at the optimum it is repeated with an error estimate.

    Parameters
    ----------
    cases : sequence of Case
        From :func:`read_case`. Runs with one foreign ion share its D.
    occupancy : float
        Occupied share of all sites in untouched glass, 0.3 to 0.995.
    depth_error, current_error, conductivity_error, resolution_error : float
        Relative standard errors of the crater depth, of the exposed area with the electrometer,
        of the bulk conductivity where a case states it, 1e-5 to 0.2, and of the depth resolution.
    family : str
        Of the landscape: "gaussian", "skewed", "two components", "immobile share", "monotone D".
    parameters : lmfit.Parameters, optional
        From :func:`landscape_parameters`, changed at will; stands for all arguments above.
    largest_chi_square : float
        A fit with a reduced chi-square above this is refused: its intervals would mean nothing.
    progress : bool
        Show a bar of the search.

    Returns
    -------
    LandscapeFit

    Raises
    ------
    FitError
        If a check of a profile fails, the cases do not fit together, the fit does not converge, or
        it does not describe the data.
    SimulationError
        If the model cannot be resolved at the optimum.
    """
    cases = tuple(cases)
    require("occupancy", occupancy, 0.3, 0.995)
    errors = {
        "depth": require("depth_error", depth_error, 1e-5, 0.2),
        "current": require("current_error", current_error, 1e-5, 0.2),
        "conductivity": require("conductivity_error", conductivity_error, 1e-5, 0.2),
        "resolution": require("resolution_error", resolution_error, 1e-5, 0.5),
    }
    if not cases or not all(isinstance(case, Case) for case in cases):
        raise ValueError("cases must be one or more results of read_case")
    if len({element(case.native) for case in cases}) > 1:
        raise FitError("the cases have different native ions: they share no landscape")
    if len({case.glass.temperature for case in cases}) > 1:
        raise FitError("the cases have different temperatures: D of an ion is not one number")
    data = _data(cases, current_error)
    for case, d in zip(cases, data, strict=True):
        failed = [check for check in d.profile.checks if not check.passed]
        if failed:
            raise FitError(
                f"{case.title}: {failed[0].name} = {failed[0].value:.3g}, allowed"
                f" {failed[0].low:.3g} to {failed[0].high:.3g}: {failed[0].message}"
            )
    model = _Model(data, _family(family))
    if parameters is None:
        parameters = _parameters(model, occupancy, errors)
    minimum = _search(model, parameters, progress)
    return _result(model, minimum, cases, largest_chi_square)


def _minimise(model: _Model, parameters: lmfit.Parameters) -> lmfit.minimizer.MinimizerResult:
    return lmfit.Minimizer(model.residuals, parameters, scale_covar=False).minimize(
        method="least_squares", x_scale="jac", ftol=1e-7, xtol=1e-7, tr_solver="lsmr"
    )


def _search(
    model: _Model, parameters: lmfit.Parameters, progress: bool = False
) -> lmfit.minimizer.MinimizerResult:
    """Build a design, minimise inside it, move it there, until it stays; then narrow it."""
    first = {name: p[3] for name, p in model.family.parameters.items()}
    first |= {name: steps[0] for name, steps in _STEPS.items()}
    first |= {"occupancy": 0.02, "temperature": 0.01}
    if "fwhm" in parameters:
        first["fwhm"] *= parameters["fwhm"].value
    least = {name: width / 4 for name, width in first.items()}
    least |= {name: steps[1] for name, steps in _STEPS.items()}
    widths, minimum, narrowed, square = first, None, False, np.inf
    with tqdm(total=8, desc="fit", disable=not progress) as bar:
        for _ in range(16):
            model.build(parameters, widths)
            minimum = _minimise(model, _confined(parameters, widths))
            for name in parameters:
                if parameters[name].vary:
                    parameters[name].value = minimum.params[name].value
            values = parameters.valuesdict()
            moved = max(np.abs(model.place(n, values)).max() for n in range(len(model.data)))
            bar.update()
            # along a direction that the data do not know the optimum may wander: no gain is enough
            still = moved < 1.001 or abs(square - minimum.chisqr) < 0.1
            square = minimum.chisqr
            if still and narrowed:
                bar.update(bar.total - bar.n)
                break
            if still:
                narrowed = True
                error = _errors(model, minimum.params)
                foreign = [s for name, s in error.items() if name.startswith("log10_D_")]
                error["log_ratio"] = max(foreign, default=0.0)
                error["log_charge"] = 2.3 * error.get("log10_D_bulk", 0.0)
                widths = {
                    name: float(np.clip(2 * error.get(name, 0.0), least[name], width))
                    for name, width in first.items()
                }
        else:
            raise FitError("the fit did not converge: its optimum moved on for sixteen rounds")
    values = minimum.params.valuesdict()
    model.anchor(values, [model.resolved(n, values) for n in range(len(model.data))])
    minimum = _minimise(model, _confined(minimum.params, widths))
    if not minimum.success:
        raise FitError(f"the fit did not converge: {minimum.message}")
    for name in minimum.var_names:  # the bounds of the search are not those of the user
        minimum.params[name].set(min=parameters[name].min, max=parameters[name].max)
    for name, error in _errors(model, minimum.params).items():
        minimum.params[name].stderr = error
    return minimum


def jacobian(model: _Model, parameters: lmfit.Parameters) -> Array:
    """Derivatives of the residuals, (rows, free parameters), by central differences."""
    trial, columns = parameters.copy(), []
    for p in parameters.values():
        if not p.vary:
            continue
        step = 1e-5 * max(abs(p.value), 0.1)
        ends = np.clip([p.value - step, p.value + step], p.min, p.max)
        found = []
        for end in ends:
            trial[p.name].value = end
            found.append(model.residuals(trial))
        trial[p.name].value = p.value
        columns.append((found[1] - found[0]) / np.diff(ends))
    return np.column_stack(columns)


def _errors(model: _Model, parameters: lmfit.Parameters) -> dict[str, float]:
    """Standard errors by name, from the curvature of the likelihood."""
    rows = jacobian(model, parameters)
    variance = np.diag(np.linalg.pinv(rows.T @ rows, hermitian=True))
    free = [name for name, p in parameters.items() if p.vary]
    return dict(zip(free, np.sqrt(np.maximum(variance, 0)).tolist(), strict=True))


def _confined(parameters: lmfit.Parameters, widths: Mapping[str, float]) -> lmfit.Parameters:
    """Bounds inside which the design is believed."""
    inside = parameters.copy()
    for name, p in inside.items():
        if not p.vary:
            continue
        if name == "log10_D_bulk":
            reach = _REACH * widths["log_charge"] / np.log(10)  # the charge grows more slowly
        elif name.startswith("log10_D_"):
            reach = _REACH * widths["log_ratio"]
        else:
            stem = name.rpartition("_")[0]
            width = widths.get(name, widths.get(stem))
            if width is None:
                continue
            reach = _REACH * width
        p.set(min=max(p.min, p.value - reach), max=min(p.max, p.value + reach))
    return inside


def _result(model, minimum, cases, largest_chi_square) -> LandscapeFit:
    values = minimum.params.valuesdict()
    solved = sum(5 + (d.current is not None) for d in model.data)
    freedom = int(minimum.nfree) - solved
    reduced = minimum.chisqr / freedom
    if reduced > largest_chi_square:
        raise FitError(
            f"the model does not describe the data: reduced chi-square {reduced:.2f}, allowed"
            f" {largest_chi_square:g}; look at the residuals with largest_chi_square=inf"
        )
    runs = tuple(model.resolved(number, values) for number in range(len(cases)))
    expected, distance = [], 0.0
    for number, (data, run) in enumerate(zip(model.data, runs, strict=True)):
        case, profile = data.case, data.profile
        native, foreign = element(case.native), element(case.foreign)
        state = run.x, run.fraction[native], run.fraction[foreign]
        fractions = model.fractions(number, values, state)
        levels = data.levels(fractions)
        by_emulator = data.levels(model.fractions(number, values, model.state(number, values)))
        counts = {}
        for ion in (case.native, case.foreign):
            distance += np.sum((levels[ion] - by_emulator[ion]) ** 2 / by_emulator[ion])
            counts[ion] = profile.background[ion] + profile.scale[ion] * fractions[ion]
            counts[ion][profile.used] = levels[ion]
        expected.append(counts)
    widening = 1.96 * max(1.0, np.sqrt(reduced))
    interval = {}
    for name in minimum.var_names:
        p = minimum.params[name]
        low, high = p.value - widening * p.stderr, p.value + widening * p.stderr
        if name.startswith("log10_"):
            interval[name.removeprefix("log10_")] = (10**low, 10**high)
        elif name == "fwhm" or not name.startswith(("depth_", "resolution_")):
            interval[name] = (low, high)
    physical = model.physical(0, values)
    try:
        fwhm = full_width(model.law(0, physical, 1e-18).sed)
    except (AttributeError, ValueError):  # no distribution, or not down to its half
        fwhm = float("nan")
    return LandscapeFit(
        fwhm=fwhm,
        interval=interval,
        bulk_diffusivity=10 ** values["log10_D_bulk"],
        foreign_diffusivity={
            element(case.foreign): 10 ** values[f"log10_D_{element(case.foreign)}"]
            for case in cases
        },
        occupancy=values["occupancy"],
        family=model.family.name,
        chi_square=float(minimum.chisqr),
        degrees_of_freedom=freedom,
        evaluations=model.evaluations,
        emulator_error=float(np.sqrt(distance)),
        cases=tuple(cases),
        profiles=tuple(d.profile for d in model.data),
        runs=runs,
        expected=tuple(expected),
        minimum=minimum,
        model=model,
    )
