"""What a fit compares: experiments, and what a landscape leads one to expect of them.

Together they give residuals whose squares add up to -2 ln L. The simulation runs on a small
design around a centre; in between, profile, front depth and current follow from polynomials
(`emulator`). What enters the expected counts linearly, the levels of the signals and the drift of
the matrix signal, is solved for in every evaluation. Plate, density, voltage and temperature need
no simulations of their own: they scale depth, time and current in closed form.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
from scipy.constants import e, k
from scipy.optimize import least_squares
from scipy.special import xlogy

from .cases import Case
from .checks import Array
from .emulator import TRACE, Emulator, emulate, trace
from .families import Family
from .landscape import Law
from .npp import Charge, Duration, Glass, Run, SimulationError, Voltage, simulate
from .onsager import charge_conductivity, charge_diffusivity
from .parameters import (
    SHARP,
    Assumptions,
    Parameter,
    Parameters,
    copied,
    values_of,
    with_values,
)
from .resolution import as_seen
from .sims import Profile

FREE_OCCUPANCY = (0.3, 0.995)  # within which a fit may move it
_CELLS = 120
_RTOL = 1e-4  # of the time steps: keeps their noise out of the differences


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


class State(NamedTuple):
    """What a model says of one case: the profile against x (m), and j (A/m^2) against time (s)."""

    x: Array
    native: Array
    foreign: Array
    time: Array
    density: Array


@dataclass(frozen=True, eq=False)
class Record:
    """A recorded current density: relative noise of a reading, relative error of the gain."""

    time: Array
    density: Array
    noise: float
    gain_error: float

    def expected(self, state: State) -> Array:
        """At the times of the record; a front in series with the bulk makes 1/j^2 straight."""
        return np.interp(self.time, state.time, state.density**-2) ** -0.5

    def residuals(self, state: State) -> Array:
        """Residuals of the readings and of the gain of electrometer and area that fits best.

        In units of what was read: in units of the model, a model that is too high would shrink
        its residuals, and draw the fit.
        """
        ratio = self.expected(state) / self.density
        prior = (self.noise / self.gain_error) ** 2
        gain = (ratio.sum() + prior) / (ratio @ ratio + prior)
        return np.append((gain * ratio - 1) / self.noise, (gain - 1) / self.gain_error)


class Row(NamedTuple):
    """The used counts of one ion: spread over Poisson, background, expected at fraction one."""

    counts: Array
    spread: Array
    background: Array
    scale: Array


@dataclass(frozen=True, eq=False)
class Experiment:
    """One case with what was measured and, after a fit, what is expected.

    Attributes
    ----------
    case : Case
    profile : Profile
    record : Record or None
        The current under a stated voltage.
    duration : float or None
        When such a run ended (s).
    conductivity : tuple of float, or None
        Decimal logarithm of the bulk conductivity (S/m), and its error.
    spread : dict of str to ndarray
        Standard deviation of the counts of a channel over that of Poisson's law, (cycles,).
    background_error : float
        Standard error of the background (counts a cycle); zero holds it.
    matrix_error : float
        Relative standard error of the sensitivity in replaced over unreplaced glass; zero holds it.
    run : Run or None
        The resolved simulation at the optimum.
    expected : dict of str to ndarray, or None
        Counts a cycle by channel, with the fitted levels, (cycles,).
    """

    case: Case
    profile: Profile
    record: Record | None
    duration: float | None
    conductivity: tuple[float, float] | None
    spread: dict[str, Array]
    background_error: float = 0.0
    matrix_error: float = 0.0
    run: Run | None = None
    expected: dict[str, Array] | None = None

    @property
    def ions(self) -> tuple[str, str]:
        """Channels of the native and the foreign ion."""
        return self.case.native, self.case.foreign

    @property
    def solved(self) -> int:
        """How many numbers are at their best in every evaluation, besides the parameters."""
        free = 5 + 2 * (self.background_error > 0) + 2 * (self.matrix_error > 0)
        return free + (self.record is not None)

    @cached_property
    def _replaced(self) -> Array:
        """Depth (m) of foreign ions found above each edge."""
        y = np.clip(self.profile.fraction[self.case.native], 0, 1)
        return np.append(0.0, np.cumsum((1 - y) * np.diff(self.profile.edges)))

    def edges(self, rate: float) -> Array:
        """Depths (m) of the edges if replaced glass sputters ``rate`` times as fast as stated."""
        edges = self.profile.edges + (rate - 1) * self._replaced
        return edges * (self.profile.edges[-1] / edges[-1])

    @cached_property
    def rows(self) -> dict[str, Row]:
        """By channel."""
        profile, used = self.profile, self.profile.used
        return {
            ion: Row(
                profile.counts[ion][used],
                self.spread[ion][used],
                np.full(used.sum(), profile.background[ion]),
                profile.scale[ion][used],
            )
            for ion in self.ions
        }

    def levels(self, fraction: Mapping[str, Array]) -> tuple[dict[str, Array], Array]:
        """Expected used counts for fractions (cycles,), and residuals of what is known of levels.

        Levels of the two signals, drift of the matrix signal and, unless they are held,
        background and matrix effect are those that fit best, by Fisher scoring: maximum
        likelihood, for they enter linearly. Levels are known to 5 % before the fit.
        """
        drift, replaced = (
            self.profile.drift[self.profile.used],
            1 - fraction[self.case.native][self.profile.used],
        )
        errors = np.array([0.05, 0.05, 1, 1, 1] + [self.background_error] * 2
                          + [self.matrix_error] * 2)  # fmt: skip
        free, parts = errors > 0, []
        for column, (ion, row) in enumerate(self.rows.items()):
            shape = fraction[ion][self.profile.used] * row.scale
            place = np.zeros((shape.size, errors.size))
            place[:, column] = shape
            place[:, 2:5] = shape[:, None] * drift
            place[:, 5 + column] = 1.0
            place[:, 7 + column] = shape * replaced
            parts.append((place[:, free], row.counts, row.spread**-2, row.background + shape))
        X, m, w, start = map(np.concatenate, zip(*parts, strict=True))
        prior = np.diag(errors[free] ** -2)
        a = np.zeros(free.sum())
        for _ in range(3 if self.background_error == 0 else 6):
            expected = np.maximum(start + X @ a, 1e-3)
            now = w / expected
            slope = X.T @ (now * (m - expected)) - prior @ a
            a = a + np.linalg.solve((X.T * now) @ X + prior, slope)
        expected = np.split(np.maximum(start + X @ a, 1e-9), 2)
        return dict(zip(self.rows, expected, strict=True)), (a / errors[free])[2:]


def bulk_diffusivity(case: Case) -> float:
    """D_bulk = sigma kT / (N e^2) (m^2/s) from the conductivity of a case (Nernst-Einstein)."""
    glass = case.glass
    return charge_diffusivity(case.conductivity, glass.ion_density, glass.temperature)


def guess_bulk(case: Case) -> float:
    """D_bulk from the current at the start, when the whole plate is untouched."""
    if case.record is None or not isinstance(case.drive, Voltage):
        raise FitError(
            f"{case.title}: D_bulk is unknown: give glass.conductivity, or a recorded current"
            " under a stated voltage"
        )
    _, current = case.current()
    field = float(np.max(case.drive.value)) / case.glass.thickness
    return bulk_diffusivity(replace(case, conductivity=float(np.mean(current[:3])) / field))


def start_bulk(case: Case) -> float:
    return bulk_diffusivity(case) if case.conductivity is not None else guess_bulk(case)


def observed_plateau(case: Case, profile: Profile) -> float:
    """Mean native fraction between a half and nine tenths of the front depth."""
    native = profile.fraction[case.native]
    below = np.flatnonzero(native < 0.5)
    if below.size < 10:
        raise FitError(f"{case.title}: no front: the native fraction hardly falls below a half")
    front = profile.depth[below[-1]]
    zone = (profile.depth > 0.5 * front) & (profile.depth < 0.9 * front)
    return float(np.clip(np.mean(native[zone]), 1e-3, 0.6))


def _record(case: Case, gain_error: float) -> tuple[Record | None, float | None]:
    """The recorded current of a run under a voltage, and when the run ended."""
    if not isinstance(case.drive, Voltage):
        if case.charge is None:
            raise FitError(f"{case.title}: the charge that has passed is unknown")
        return None, None
    if case.drive.time is not None:
        raise FitError(f"{case.title}: a fit needs a constant voltage, not a record of it")
    duration = case.until.value if isinstance(case.until, Duration) else None
    if case.record is None:
        return None, duration
    time, density = case.current()
    if duration is None:  # the record tells when the charge had passed
        duration = float(time[-1])
    inside = time <= duration * (1 + 1e-9)
    time, density = time[inside], density[inside]
    noise = recording_noise(density)
    if not (np.all(density > 0) and 0 < noise < np.inf):
        raise FitError(
            f"{case.title}: the recorded current must be positive, have five readings at least,"
            " and digits enough to show its noise"
        )
    return Record(time, density, noise, gain_error), duration


def gather(cases: Sequence[Case], errors: Mapping[str, float]) -> tuple[Experiment, ...]:
    """Read what was measured in each case; ``errors`` are relative, of current and conductivity."""
    found, stated = [], set()
    for case in cases:
        profile = case.profile()
        record, duration = _record(case, errors["current"])
        conductivity = None
        if case.conductivity is not None and bulk_diffusivity(case) not in stated:
            # one value stated in several cases is one measurement
            stated.add(bulk_diffusivity(case))
            conductivity = np.log10(case.conductivity), errors["conductivity"] / np.log(10)
        # Where dead time was corrected, counts scatter more than Poisson's law.
        spread = {
            ion: np.maximum(profile.sigma[ion] * profile.scale[ion] / np.sqrt(counts + 1), 1.0)
            for ion, counts in profile.counts.items()
        }
        profile, error = _with_background(case, profile)
        found.append(Experiment(case, profile, record, duration, conductivity, spread, error))
    return tuple(found)


def _with_background(case: Case, profile: Profile) -> tuple[Profile, float]:
    """The profile with a background where none is stated, and the error of that number.

    That of the foreign channel is what it counts deep in the glass; the native channel, which has
    no such place, is taken to have about as much.
    """
    if case.background is not None:
        return profile, 0.0
    level = profile.background[case.foreign]
    return replace(profile, background=dict.fromkeys(profile.background, level)), level + 0.2


# --- what is expected -----------------------------------------------------------------------


class Likelihood:
    """Residuals of all experiments as a function of the parameters; counts its simulations."""

    def __init__(
        self,
        experiments: Sequence[Experiment],
        family: Family,
        assumed: Assumptions = SHARP,
    ):
        self.experiments, self.family, self.assumed = experiments, family, assumed
        self._laws: dict[tuple, Law] = {}
        self._known: dict[tuple, dict[str, Array]] = {}
        self.evaluations = 0
        self.emulators: list[Emulator] = []
        self.reference = [start_bulk(x.case) for x in experiments]
        self._keys = (*family.parameters, "occupancy", "temperature", "log10_D_bulk",
                      "density", "thickness", "voltage", "depth", "rate", "resolution")  # fmt: skip

    def of(self, experiments: Sequence[Experiment]) -> Likelihood:
        """The same polynomials for other data of the same cases."""
        found = copy(self)
        found.experiments, found._known = tuple(experiments), {}
        return found

    # --- simulations

    def settings(self, number: int, values: Mapping[str, float]) -> dict[str, float]:
        """What concerns one case, by short name; a value of its own ends in its number."""
        found = {}
        for key in self._keys:
            own = f"{key}_{number}"
            found[key] = values[own] if own in values else values[key]
        name = self.experiments[number].case.foreign_element
        foreign = values[f"log10_D_{name}"] - self._arrhenius(number, name, values)
        found["log10_D_bulk"] -= self._arrhenius(number, "bulk", values)
        return found | {"log_ratio": foreign - found["log10_D_bulk"]}

    def _arrhenius(self, number: int, name: str, values: Mapping[str, float]) -> float:
        """Decades by which a D lies lower than at the reference temperature."""
        energy = values.get(f"energy_{name}")
        if energy is None:
            return 0.0
        cold = 1 / self.experiments[number].case.glass.temperature - 1 / self.temperature(name)
        return energy * e / k / np.log(10) * cold

    def temperature(self, name: str = "bulk") -> float:
        """Reference (K) of D of an ion: harmonic mean over its cases; all cases for the bulk."""
        own = [x.case.glass.temperature for x in self.experiments
               if name in ("bulk", x.case.foreign_element)]  # fmt: skip
        return len(own) / sum(1 / T for T in own)

    def coordinates(self, settings: Mapping[str, float]) -> dict[str, float]:
        """What a simulation depends on. A temperature that is off scales every energy over kT."""
        scale = dict.fromkeys(self.family.energies, settings["temperature"])
        names = (*self.family.parameters, "occupancy", "log_ratio", "log10_D_bulk")
        return {name: settings[name] / scale.get(name, 1.0) for name in names}

    def landscape(self, number: int, at: Mapping[str, float]) -> Law:
        """Relative D of the native ion by eqn (2) alone, for coordinates ``at``."""
        temperature = self.experiments[number].case.glass.temperature
        key = temperature, *(at[name] for name in (*self.family.parameters, "occupancy"))
        if key not in self._laws:
            self._laws[key] = self.family.law(
                at, 1.0, temperature, at["occupancy"], self.assumed.filling
            )
        return self._laws[key]

    def sed(self, number: int, settings: Mapping[str, float]):
        """The landscape itself, at the temperature that is true; None for a table of D."""
        temperature = self.experiments[number].case.glass.temperature * settings["temperature"]
        occupancy, filling = settings["occupancy"], self.assumed.filling
        return getattr(self.family.law(settings, 1.0, temperature, occupancy, filling), "sed", None)

    def law(self, number: int, at: Mapping[str, float]) -> Law:
        """D of the native ion (m^2/s) against its fraction."""
        base, D_bulk = self.landscape(number, at), 10 ** at["log10_D_bulk"]
        kind, occupancy = self.assumed.prefactor, at["occupancy"]

        def law(y):
            inside = np.clip(y, 1e-4, 1.0)
            factor = {"none": 1.0, "1/y": 1 / inside,
                      "blocking": (1 - occupancy * inside) / (1 - occupancy)}[kind]  # fmt: skip
            return D_bulk * factor * base(y)

        return law

    def foreign(self, number: int, at: Mapping[str, float]) -> float | Law:
        """D of the foreign ion (m^2/s), against its own fraction if it drifts."""
        D = 10 ** (at["log10_D_bulk"] + at["log_ratio"])
        if self.assumed.drift == 1:
            return D
        window, factor = self._plateaus[number], self.assumed.drift

        def law(own):  # without a kink, which would be a second front to resolve
            u = np.maximum(1 - np.asarray(own), 0) / window
            return D * factor ** (2 * u / (1 + u))

        return law

    @cached_property
    def _plateaus(self) -> list[float]:
        return [observed_plateau(x.case, x.profile) for x in self.experiments]

    def run(self, number: int, at: Mapping[str, float], until: Charge | Duration, **how) -> Run:
        """Simulate one case; ``how`` may hold another glass or drive, and the accuracy."""
        case = self.experiments[number].case
        native, foreign = case.native_element, case.foreign_element
        how = {"glass": case.glass, "drive": case.drive, "mesh": _CELLS, "rtol": _RTOL} | how
        ions = {native: self.law(number, at), foreign: self.foreign(number, at)}
        if self.assumed.hop_length > 0:
            how["hop_length"] = dict.fromkeys(ions, self.assumed.hop_length)
        for more in (1, 2):  # a front that is too sharp for some cells may be met with more
            self.evaluations += 1
            try:
                return simulate(ions=ions, native=native, beam=foreign, until=until, **how)
            except SimulationError:
                if how["mesh"] is None or more == 2:
                    raise
                how["mesh"] *= 2

    def resolved(self, number: int, values: Mapping[str, float]) -> Run:
        """The run as the case says, with its error estimate, as accurate as can be shown."""
        experiment, s = self.experiments[number], self.settings(number, values)
        case, until = experiment.case, experiment.case.until
        glass, how = case.glass, {"drive": case.drive}
        if experiment.duration is not None:
            until = Duration(experiment.duration)
        if isinstance(case.drive, Voltage):
            how["drive"] = Voltage(case.drive.value * s["voltage"] / s["temperature"])
        how["glass"] = Glass(glass.thickness * s["thickness"], glass.ion_density * s["density"],
                             glass.permittivity, glass.temperature)  # fmt: skip
        for rtol in (1e-4, 1e-3):
            try:
                at = self.coordinates(s)
                return self.run(number, at, until, mesh=None, rtol=rtol, **how)
            except SimulationError as error:
                failure = error
        raise failure

    def build(
        self,
        parameters: Mapping[str, Parameter],
        widths: Mapping[str, float],
        crossed: bool,
    ) -> None:
        """Simulate the design around ``parameters``; ``widths`` are its half-widths by name."""
        values = values_of(parameters)
        self._known.clear()
        self.emulators = [
            self._emulator(number, values, self._moving(number, parameters), widths, crossed)
            for number in range(len(self.experiments))
        ]

    def _moving(self, number: int, parameters: Mapping[str, Parameter]) -> list[str]:
        """Which coordinates of a case any free parameter moves."""
        free = [p.moves for name, p in parameters.items() if p.vary]
        experiment = self.experiments[number]
        moving = [name for name in (*self.family.parameters, "occupancy") if name in free]
        if "temperature" in free:
            moving += [name for name in self.family.energies if name not in moving]
        foreign = f"log10_D_{experiment.case.foreign_element}"
        if parameters[foreign].vary or "log10_D_bulk" in free:
            moving.append("log_ratio")
        if not isinstance(experiment.case.drive, Voltage):
            moving += ["log10_D_bulk"] * ("log10_D_bulk" in free)
        elif experiment.duration is not None:
            moving.append("log_charge")
        return moving

    def _emulator(self, number, values, moving, widths, crossed) -> Emulator:
        experiment, s = self.experiments[number], self.settings(number, values)
        at = self.coordinates(s)
        if isinstance(experiment.case.drive, Voltage):
            at["log10_D_bulk"] = np.log10(self.reference[number])
        if "log_charge" in moving:
            # one run to the time that counts, which D_bulk scales, tells the charge
            until = Duration(experiment.duration * self._speed(number, s))
            at["log_charge"] = float(np.log(self.run(number, at, until).charge[-1]))
        else:
            at["log_charge"] = np.log(experiment.case.charge)
        steps = {name: widths[name] for name in moving}
        bounds = {name: p[1:3] for name, p in self.family.parameters.items()}
        bounds["occupancy"] = FREE_OCCUPANCY
        for name, width in steps.items():  # the design keeps to the bounds
            if name in bounds:
                low, high = bounds[name]
                at[name] = float(np.clip(at[name], low + width, high - width))

        def one(at):
            return self.run(number, at, Charge(float(np.exp(at["log_charge"]))))

        return emulate(one, at, steps, 2 * experiment.profile.edges[-1], crossed)

    def anchor(self, values: Mapping[str, float], runs: Sequence[Run]) -> None:
        """Shift the polynomials so that they meet resolved runs at ``values``."""
        self._known.clear()
        for number, run in enumerate(runs):
            s = self.settings(number, values)
            charge = run.charge[-1] / s["density"]
            z = self.emulators[number].place(self.coordinates(s) | {"log_charge": np.log(charge)})
            time, density = trace(run)
            speed, longer = self._speed(number, s), self._longer(number, s)
            traced = (
                time * speed - longer * charge * TRACE,
                1 / (s["density"] * speed / density - longer),
            )
            given = self.experiments[number].duration is None
            stretch = s["density"] if given else 1.0
            self.emulators[number] = self.emulators[number].anchored(run, z, stretch, traced)

    # --- from the polynomials to residuals

    def _speed(self, number: int, s: Mapping[str, float]) -> float:
        """How much faster than in the emulator all is under a constant voltage."""
        if not isinstance(self.experiments[number].case.drive, Voltage):
            return 1.0
        return 10 ** s["log10_D_bulk"] / self.reference[number] * s["voltage"] / s["temperature"]

    def _longer(self, number: int, s: Mapping[str, float]) -> float:
        """What a thicker plate adds to 1/j (m^2/A), in the emulator's units."""
        case = self.experiments[number].case
        if not isinstance(case.drive, Voltage):
            return 0.0
        glass = case.glass
        sigma = charge_conductivity(self.reference[number], glass.ion_density, glass.temperature)
        return (s["thickness"] - 1) * glass.thickness / (sigma * case.drive.value)

    def place(self, number: int, s: Mapping[str, float]) -> Array:
        """Where in the design of a case ``s`` lies (half-widths); the charge is solved for."""
        emulator, at = self.emulators[number], self.coordinates(s)
        if "log_charge" not in emulator.names:
            return emulator.place(at)
        goal = self.experiments[number].duration * self._speed(number, s)
        longer, step = self._longer(number, s), emulator.steps[-1]

        def missing(z):
            charge = np.exp(emulator.centre[-1] + step * z[-1])
            return np.log((np.exp(emulator.last_time(z)) + longer * charge) / goal)

        z = emulator.place(at | {"log_charge": emulator.centre[-1]})
        for _ in range(4):  # Newton: ln t is nearly straight in ln Q
            value = missing(z)
            if abs(value) < 1e-13:
                break
            up = z.copy()
            up[-1] += 1e-4
            z[-1] -= np.clip(value * 1e-4 / (missing(up) - value), -3, 3)
        return z

    def state(self, number: int, values: Mapping[str, float]) -> State:
        """What the emulator says of one case."""
        s, emulator = self.settings(number, values), self.emulators[number]
        z = self.place(number, s)
        x, native, foreign, time, density = emulator(z)
        speed, longer = self._speed(number, s), self._longer(number, s)
        if longer:
            charge = np.exp(emulator.centre[-1] + emulator.steps[-1] * z[-1])
            time, density = time + longer * charge * TRACE, 1 / (1 / density + longer)
        if self.experiments[number].duration is None:  # a given charge replaces less of more ions
            x = x / s["density"]
        return State(x, native, foreign, time / speed, density * speed * s["density"])

    def fractions(self, number: int, values: Mapping[str, float], state: State) -> dict[str, Array]:
        """Fractions as the instrument sees them, all cycles."""
        experiment, s = self.experiments[number], self.settings(number, values)
        edges = s["depth"] * experiment.edges(s["rate"])
        resolution = experiment.case.resolution
        if resolution is not None:
            resolution = resolution.scaled(s["resolution"])
        seen = dict(zip(experiment.ions, state[1:3], strict=True))
        return as_seen(state.x, seen, edges, resolution, experiment.profile.lag)

    def expected(self, number: int, values: Mapping[str, float]) -> dict[str, Array]:
        """Expected used counts of one case, native and foreign."""
        state, experiment = self.state(number, values), self.experiments[number]
        counts, _ = experiment.levels(self.fractions(number, values, state))
        return dict(zip(("native", "foreign"), counts.values(), strict=True))

    def blocks(self, values: Mapping[str, float]) -> dict[tuple[int, str], Array]:
        """Residuals by case and kind: native, foreign, levels, current, conductivity."""
        found = {}
        for number in range(len(self.experiments)):
            key = number, *self.settings(number, values).values()
            if key not in self._known:  # a derivative moves one case at a time
                if len(self._known) > 100:
                    self._known.clear()
                self._known[key] = self._blocks(number, values)
            found |= {(number, kind): block for kind, block in self._known[key].items()}
        return found

    def _blocks(self, number: int, values: Mapping[str, float]) -> dict[str, Array]:
        experiment, state = self.experiments[number], self.state(number, values)
        expected, known = experiment.levels(self.fractions(number, values, state))
        found = {}
        for kind, ion in zip(("native", "foreign"), experiment.ions, strict=True):
            row = experiment.rows[ion]
            found[kind] = poisson_residuals(row.counts, expected[ion]) / row.spread
        found["levels"] = known
        if experiment.record is not None:
            found["current"] = experiment.record.residuals(state)
        if experiment.conductivity is not None:
            stated, error = experiment.conductivity
            found["conductivity"] = np.array(
                [(self.log_conductivity(number, values) - stated) / error]
            )
        return found

    def log_conductivity(self, number: int, values: Mapping[str, float]) -> float:
        """Decimal logarithm of the bulk conductivity (S/m) of one case."""
        s, glass = self.settings(number, values), self.experiments[number].case.glass
        density = glass.ion_density * s["density"]
        temperature = glass.temperature * s["temperature"]
        return float(np.log10(charge_conductivity(10 ** s["log10_D_bulk"], density, temperature)))

    def residuals(self, parameters: Mapping[str, Parameter]) -> Array:
        """All of them, those of the priors of free parameters last."""
        values = values_of(parameters)
        priors = [
            (p.value - p.prior.mean) / p.prior.sigma
            for p in parameters.values()
            if p.prior is not None and p.vary
        ]
        return np.concatenate([*self.blocks(values).values(), priors])


def jacobian(likelihood: Likelihood, parameters: Mapping[str, Parameter]) -> Array:
    """Derivatives of the residuals, (rows, free parameters), by central differences."""
    trial, columns = copied(parameters), []
    for p in trial.values():
        if not p.vary:
            continue
        value, step = p.value, 1e-5 * max(abs(p.value), 0.1)
        ends, found = np.clip([value - step, value + step], p.min, p.max), []
        for end in ends:
            p.value = float(end)
            found.append(likelihood.residuals(trial))
        p.value = value
        columns.append((found[1] - found[0]) / np.diff(ends))
    return np.column_stack(columns)


def minimise(
    likelihood: Likelihood, parameters: Mapping[str, Parameter], tolerance: float = 1e-7
) -> tuple[Parameters, float]:
    """The best values inside the bounds, with the polynomials as they are, and chi-square."""
    free = [p for p in parameters.values() if p.vary]
    if not free:
        return copied(parameters), float(np.sum(likelihood.residuals(parameters) ** 2))
    start, low, high = np.array([(p.value, p.min, p.max) for p in free]).T
    result = least_squares(
        lambda theta: likelihood.residuals(with_values(parameters, theta)),
        np.clip(start, low, high), bounds=(low, high), x_scale="jac",
        ftol=tolerance, xtol=tolerance,
    )  # fmt: skip
    if not result.success:
        raise FitError(f"the fit did not converge: {result.message}")
    return with_values(parameters, result.x), float(2 * result.cost)


def settle(
    likelihood: Likelihood, parameters: Mapping[str, Parameter], rounds: int = 4
) -> tuple[Parameters, float]:
    """The optimum from one nearby, and chi-square: a few steps of Gauss and Newton are enough.

    A step that leads up is halved.
    """
    best, square = copied(parameters), np.inf
    trial, free = best, [name for name, p in best.items() if p.vary]
    for _ in range(rounds):
        r = likelihood.residuals(trial)
        now = float(r @ r)
        if now <= square:
            gain, best, square = square - now, trial, now
            if gain < 0.3:
                break
            rows = jacobian(likelihood, best)
            step = np.linalg.pinv(rows.T @ rows, hermitian=True) @ (rows.T @ r)
        else:
            step = step / 2
        trial = copied(best)
        for name, change in zip(free, step.tolist(), strict=True):
            p = trial[name]
            p.value = float(np.clip(p.value - change, p.min, p.max))
    return best, square


def covariance(likelihood: Likelihood, parameters: Mapping[str, Parameter]) -> Array:
    """Of the free parameters, from the curvature of the likelihood."""
    rows = jacobian(likelihood, parameters)
    return np.linalg.pinv(rows.T @ rows, hermitian=True)
