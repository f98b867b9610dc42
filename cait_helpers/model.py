"""The model of a fit: what was measured, and what a landscape leads one to expect.

The simulation runs on a small design around a centre; in between, profile, front depth and
current follow from quadratic polynomials (`Emulator`). What enters the expected counts linearly,
the levels of the signals and the drift of the matrix signal, is solved for in every evaluation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import lmfit
import numpy as np
from numpy.typing import NDArray
from scipy.constants import e, k
from scipy.interpolate import PchipInterpolator
from scipy.special import xlogy

from .cases import Case, element
from .families import Family
from .landscape import Law
from .npp import Charge, Duration, Run, SimulationError, Voltage, front_depth, simulate
from .resolution import Resolution, blur
from .sims import Profile

Array = NDArray[np.float64]

_CELLS = 120
_RTOL = 1e-4  # of the time steps: keeps their noise out of the differences
# shares of the charge at which time and current are kept
_TRACE = np.linspace(0.0, 1.0, 41) ** 1.5


class FitError(ValueError):
    """A fit that would mislead: failed checks of a profile, or no convergence."""


# --- what was measured ----------------------------------------------------------------------


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


def guess_bulk(case: Case) -> float:
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


def start_bulk(case: Case) -> float:
    return bulk_diffusivity(case) if case.conductivity is not None else guess_bulk(case)


@dataclass(frozen=True, eq=False)
class Data:
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


def gather(cases: Sequence[Case], current_error: float) -> tuple[Data, ...]:
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
        found.append(Data(case, case.profile(), record, duration, current_error))
    return tuple(found)


# --- what is expected -----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Emulator:
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
    return front_depth(run.x, run.fraction[run.native], 0.75) or run.replaced_depth


def outputs(run: Run, xi: Array) -> Array:
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


class Model:
    """Residuals of all cases as a function of the parameters; counts its simulations."""

    def __init__(self, data: Sequence[Data], family: Family):
        self.data, self.family = data, family
        self.evaluations = 0
        self.emulators: list[Emulator] = []
        self.reference = [start_bulk(d.case) for d in data]

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

    def _emulator(self, number, values, moving, widths) -> Emulator:
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
        design = Emulator.design(len(moving))
        for row in design:
            at = physical | dict(zip(moving, centre + row * steps, strict=True))
            run = self.run(number, at, float(np.exp(at["log_charge"])))
            if xi is None:
                x = run.x[run.x < 2 * data.profile.edges[-1]]
                xi = np.union1d(x, (x[1:] + x[:-1]) / 2) / _front(run)
            rows.append(outputs(run, xi))
        table = np.array([Emulator.features(row) for row in design])
        coefficients = np.linalg.solve(table, np.array(rows))
        return Emulator(tuple(moving), centre, steps, xi, coefficients)

    def _charge_at(self, number: int, physical: Mapping[str, float], time: float) -> float:
        data = self.data[number]
        case = replace(data.case, until=Duration(time))
        other = Model([replace(data, case=case, duration=time)], self.family)
        run = other.run(0, physical, None)
        self.evaluations += 1
        return float(run.charge[-1])

    def anchor(self, values: Mapping[str, float], runs: Sequence[Run]) -> None:
        """Shift the polynomials so that they meet resolved runs at ``values``."""
        for number, run in enumerate(runs):
            emulator = self.emulators[number]
            physical = self.physical(number, values) | {"log_charge": np.log(run.charge[-1])}
            miss = outputs(run, emulator.xi) - emulator.features(
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


def jacobian(model: Model, parameters: lmfit.Parameters) -> Array:
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
