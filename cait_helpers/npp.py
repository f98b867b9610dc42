"""The Nernst-Planck-Poisson simulation: problem, solve, result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from scipy.constants import e, epsilon_0, k

from . import kernels, reading
from .checks import CHARGE, ION_DENSITY, PERMITTIVITY, TEMPERATURE, THICKNESS, require


@dataclass(frozen=True)
class Glass:
    """A glass plate with one native mobile ion and a fixed anionic background.

    Parameters
    ----------
    thickness : float
        Plate thickness (m), 50 nm to 5 mm.
    ion_density : float
        Bulk number density N of the native ion (m^-3).
    permittivity : float
        Relative permittivity (1), 1 to 200.
    temperature : float
        Temperature (K), 150 to 1000.

    Raises
    ------
    ValueError
        If a value is not a number in its range.
    """

    thickness: float
    ion_density: float
    permittivity: float
    temperature: float

    def __post_init__(self) -> None:
        require("thickness", self.thickness, *THICKNESS)
        require("ion_density", self.ion_density, *ION_DENSITY)
        require("permittivity", self.permittivity, *PERMITTIVITY)
        require("temperature", self.temperature, *TEMPERATURE)

    @property
    def thermal_voltage(self) -> float:
        """kT/e (V)."""
        return k * self.temperature / e

    @property
    def debye_length(self) -> float:
        """Screening length of the mobile ions, sqrt(eps kT / e^2 N) (m)."""
        permittivity = epsilon_0 * self.permittivity
        return float(np.sqrt(permittivity * k * self.temperature / (e**2 * self.ion_density)))


@dataclass(frozen=True)
class Series:
    """A positive quantity that is constant, or recorded against time.

    Parameters
    ----------
    value : float or array_like, shape (m,)
        The constant, or the recorded values.
    time : array_like, shape (m,), optional
        Times of the recorded values (s), strictly increasing from zero; linear in between.
    """

    value: float | NDArray[np.float64]
    time: NDArray[np.float64] | None = None

    unit = ""

    def __init__(self, value: float | ArrayLike, time: ArrayLike | None = None) -> None:
        name = type(self).__name__
        if time is None:
            value = require(name, value, 1e-30, 1e30, self.unit)
        else:
            value, time = np.array(value, dtype=float), np.array(time, dtype=float)
            if time.ndim != 1 or time.shape != value.shape or time.size < 2:
                raise ValueError(
                    f"{name}: value and time need the same shape (m,) with m >= 2,"
                    f" not {value.shape} and {time.shape}"
                )
            if not (time[0] == 0 and np.all(np.diff(time) > 0) and np.isfinite(time[-1])):
                raise ValueError(f"{name}: time must start at 0 s and increase strictly")
            if not (np.all(np.isfinite(value)) and np.all(value >= 0) and np.any(value > 0)):
                raise ValueError(f"{name}: values must be finite, not negative, not all zero")
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "time", time)

    def at(self, time: ArrayLike) -> NDArray[np.float64]:
        """Value at ``time`` (s), any shape; a record keeps its ends beyond them."""
        if self.time is None:
            return np.full(np.shape(time), self.value)
        return np.interp(time, self.time, self.value)

    def integral(self, time: float) -> float:
        """Integral from zero to ``time`` (s), in the unit of the quantity times second."""
        if self.time is None:
            return self.value * time
        inside = np.append(self.time[self.time < time], time)
        return float(np.trapezoid(self.at(inside), inside))


class Voltage(Series):
    """Potential of the front surface against the grounded back electrode (V)."""

    unit = "V"


class CurrentDensity(Series):
    """Current density of the ion beam (A/m^2)."""

    unit = "A/m^2"


def front_depth(x: ArrayLike, fraction: ArrayLike, level: float) -> float:
    """Deepest place where a fraction is below ``level``: the depth of a front.

    Parameters
    ----------
    x, fraction : array_like, shape (m,)
        Increasing depths (m) and the native fraction there; straight in between.
    level : float
        The fraction that counts as the front (1).

    Returns
    -------
    float
        Depth (m), at most ``x[-1]``; zero if the fraction is nowhere below ``level``.
    """
    x, fraction = np.asarray(x, dtype=float), np.asarray(fraction, dtype=float)
    return float(reading.deepest_below(x, fraction, level))


@dataclass(frozen=True)
class Charge:
    """Stop when this charge per area has passed (C/m^2)."""

    value: float

    def __post_init__(self) -> None:
        require("Charge", self.value, *CHARGE)


@dataclass(frozen=True)
class Duration:
    """Stop after this time (s)."""

    value: float

    def __post_init__(self) -> None:
        require("Duration", self.value, 1e-9, 1e12, "s")


class SimulationError(RuntimeError):
    """The simulation did not reach its end or its accuracy; nothing is returned."""


class _Stuck(SimulationError):
    """The mesh may have had too few cells for the front."""


@dataclass(frozen=True)
class Stats:
    """What a run cost and how far it can be trusted.

    Attributes
    ----------
    cells, steps, rejected, factorisations : int
        Of the finest run.
    smallest_cell : float
        Smallest cell of the final mesh (m).
    decay_length : float
        D e N / j at the end, with the smallest D of the foreign ions: the length over which the
        front decays into untouched glass (m).
    estimated_error : dict of str to float
        Estimated relative errors of ``"profile"``, ``"plateau"``, ``"front"`` and ``"drive"`` (the
        time that the charge took, or the voltage), from two meshes; empty on a fixed mesh. Without
        a front there is neither ``"plateau"`` nor ``"front"``, with three ions no ``"plateau"``.
    undershoot : float
        Most negative fraction met before it was filled from a neighbouring cell (<= 0).
    """

    cells: int
    steps: int
    rejected: int
    factorisations: int
    smallest_cell: float
    decay_length: float
    estimated_error: dict[str, float]
    undershoot: float


@dataclass(frozen=True)
class Run:
    """Result of :func:`simulate`; arrays over cells are (cells,), over time (steps + 1,).

    Attributes
    ----------
    glass : Glass
    native, beam : str
    nodes : ndarray, shape (cells + 1,)
        Cell boundaries (m); ``x`` gives the centres.
    fraction : dict of str to ndarray
        Density of each ion over the bulk density N, mean of each cell.
    potential : ndarray
        At the cell centres (V); zero at the back.
    excess_charge : ndarray
        Charge density over e N of each cell, without the attached sheet.
    sheet_charge : float
        Charge attached to the front surface (C/m^2).
    initial_amount : dict of str to float
        What ``amount`` was at the start, the first sheet charge included (m^-2).
    time, charge, current_density, voltage : ndarray
        Recorded at the start and after each step (s, C/m^2, A/m^2, V).
    rtol : float
        The accuracy asked for.
    stats : Stats
    """

    glass: Glass
    native: str
    beam: str
    nodes: NDArray[np.float64]
    fraction: dict[str, NDArray[np.float64]]
    potential: NDArray[np.float64]
    excess_charge: NDArray[np.float64]
    sheet_charge: float
    time: NDArray[np.float64]
    charge: NDArray[np.float64]
    current_density: NDArray[np.float64]
    voltage: NDArray[np.float64]
    rtol: float
    stats: Stats
    initial_amount: dict[str, float] = field(repr=False)

    @property
    def x(self) -> NDArray[np.float64]:
        """Cell centres (m)."""
        return 0.5 * (self.nodes[1:] + self.nodes[:-1])

    @property
    def replaced_depth(self) -> float:
        """Depth that the passed charge would replace completely, Q / e N (m)."""
        return float(self.charge[-1] / (e * self.glass.ion_density))

    @property
    def front_depth(self) -> float:
        """Depth of the front (m): the deepest place where the native fraction is a half.

        Where it is not well below a half behind that place (a high plateau), the fraction taken is
        three quarters, nine tenths, then 0.96. Zero without a front, as in a rarefaction.
        """
        return float(reading.front_place(self.x, self.fraction[self.native]))

    @property
    def plateau(self) -> float:
        """Native fraction at nine tenths of the front depth (1); nan without a front."""
        if self.front_depth == 0:
            return float("nan")
        return float(self.at(self.native, [0.9 * self.front_depth])[0])

    def at(self, ion: str, x: ArrayLike) -> NDArray[np.float64]:
        """Fraction of an ion at increasing depths ``x`` (m), shape (m,).

        Straight in each cell, with the cell's mean: closer than a line through the means.
        """
        if ion not in self.fraction:
            raise ValueError(f"ion = {ion!r} is not among {', '.join(self.fraction)}")
        return reading.sample(self.nodes, self.fraction[ion][:, None], np.asarray(x, float))[:, 0]

    @property
    def resolved(self) -> bool:
        """True if the run shows its own accuracy.

        The estimated errors are below ``rtol``, the mended undershoots are below ten times that,
        and the smallest cell is at most half the decay length of the front, or half the Debye
        length where that is longer.
        """
        stats = self.stats
        estimated = stats.estimated_error
        return (
            bool(estimated)
            and max(estimated.values()) <= self.rtol
            and stats.undershoot > -10 * self.rtol
            and stats.smallest_cell <= 0.5 * max(stats.decay_length, self.glass.debye_length)
        )

    def _cumulative(self, ion: str) -> NDArray[np.float64]:
        """Integral of a fraction from the surface to each node (m)."""
        return np.concatenate([[0.0], np.cumsum(self.fraction[ion] * np.diff(self.nodes))])

    def amount(self, ion: str) -> float:
        """Number of ions of one kind per area, the sheet charge included (m^-2)."""
        sheet = self.sheet_charge / e if ion == self.beam else 0.0
        return float(self.fraction[ion] @ np.diff(self.nodes) * self.glass.ion_density) + sheet


_NM = 1e-9
_MOST_CELLS = 1600
_MAX_STEPS = 5_000
_FLOOR = 1e-4


# Tables of D are even in p, the square root of the fraction, and flat below the fractions that rtol
# can tell from zero, where laws like eqn (2) have an infinite slope.
_P = np.linspace(0.0, 1.0, 1281)
_FRACTIONS = np.minimum(np.hypot(_P**2, _FLOOR), 1.0)


def _table(D: Callable) -> NDArray[np.float64]:
    """Cubic pieces of D for :func:`kernels.coefficient`, shape (pieces, 4)."""
    values = np.broadcast_to(np.asarray(D(_FRACTIONS), dtype=float), _P.shape)
    if not np.all((values > 0) & np.isfinite(values)):
        raise ValueError("ions: a diffusivity must be positive and finite for fractions in (0, 1]")
    # Hermite's cubics, with the slopes of ln D so that steep laws stay monotone.
    slope = values * np.gradient(np.log(values), edge_order=2)
    rise = np.diff(values)
    left, right = slope[:-1], slope[1:]
    return np.stack(
        [values[:-1], left, 3 * rise - 2 * left - right, left + right - 2 * rise], axis=1
    )


def _tables(laws: list[float | Callable], unit: float) -> NDArray[np.float64]:
    """The diffusivities of all ions in multiples of ``unit``, as the kernels read them."""
    found = [_table(D) if callable(D) else None for D in laws]
    points = max((law.shape[0] for law in found if law is not None), default=1)
    tables = np.zeros((len(laws), points, 4))
    for table, law, D in zip(tables, found, laws, strict=True):
        if law is not None:
            table[:] = law / unit
        else:  # marked as a constant
            table[0, :2] = D / unit, np.nan
    return tables


def _at(D: float | Callable, fraction: float) -> float:
    return float(np.ravel(D(np.array([fraction])))[0]) if callable(D) else float(D)


@dataclass(frozen=True)
class _Problem:
    """One simulation in the scaled units of the kernels; ``velocity`` and ``slowest`` in SI.

    ``depth`` is about what will be replaced, ``surface`` the first cell.
    """

    glass: Glass
    names: tuple[str, ...]
    setting: kernels.Setting
    velocity: float
    slowest: float
    knots: NDArray[np.float64]
    values: NDArray[np.float64]
    t_end: float
    charge_end: float
    depth: float
    surface: float
    start: Run | None


def _scale(glass, ions, native, beam, drive, until, start) -> _Problem:
    foreign = [name for name in ions if name != native]
    names = (*foreign, native)
    laws = [ions[name] for name in names]
    charge_density = e * glass.ion_density
    native_charge = charge_density * glass.thickness
    series = np.atleast_1d(np.asarray(drive.value, dtype=float))
    potentiostatic = isinstance(drive, Voltage)
    # One unit of time replaces one nanometre at the reference velocity.
    reference = float(np.max(series))
    if potentiostatic:
        velocity = _at(ions[native], 1.0) * reference / (glass.thermal_voltage * glass.thickness)
        values = series / glass.thermal_voltage
    else:
        velocity = reference / charge_density
        values = series / reference
    unit_time = _NM / velocity
    if drive.time is None:
        knots, values = np.array([0.0, 1e300]), np.repeat(values, 2)
        longest = np.inf
    else:
        knots, longest = drive.time / unit_time, drive.time[-1] / unit_time
    t_end, charge_end = np.inf, np.inf
    if isinstance(until, Duration):
        t_end = until.value / unit_time
        if t_end > longest * (1 + 1e-12):
            raise ValueError(
                f"until = {until.value:g} s is longer than the record of {drive.time[-1]:g} s"
            )
        if not potentiostatic and drive.integral(until.value) > 0.9 * native_charge:
            raise ValueError(
                f"until = {until.value:g} s of this current supplies more than nine tenths of the"
                " native charge of the plate"
            )
    else:
        charge_end = until.value / charge_density / _NM
        if until.value > 0.9 * native_charge:
            raise ValueError(
                f"until = {until.value:g} C/m^2 is more than nine tenths of the native charge of"
                f" the plate, {native_charge:g} C/m^2"
            )
        t_end = min(longest, 1e15)
        if not potentiostatic and drive.time is None:  # the time is known, and so the last step
            t_end = charge_end
        elif not potentiostatic:
            supplied = drive.integral(drive.time[-1])
            if until.value > supplied * (1 + 1e-9):
                raise ValueError(
                    f"until = {until.value:g} C/m^2 is more than the recorded charge of"
                    f" {supplied:g} C/m^2"
                )
    unit = velocity * _NM
    # The front is not thinner than its diffusion length, nor than half the Debye length.
    width = max(_at(ions[beam], _FLOOR) / unit, 0.5 * glass.debye_length / _NM)
    depth = min(charge_end, t_end, glass.thickness / _NM)
    return _Problem(
        glass=glass,
        names=names,
        setting=kernels.Setting(
            lam2=(glass.debye_length / _NM) ** 2,
            table=_tables(laws, unit),
            beam=names.index(beam),
            potentiostatic=potentiostatic,
            # a recorded voltage may be zero for a while, as long as the glass is untouched
            clock_floor=1e-3 if potentiostatic and drive.time is not None else 0.0,
        ),
        velocity=velocity,
        slowest=min(_at(ions[name], _FLOOR) for name in foreign),
        knots=knots,
        values=values,
        t_end=t_end,
        charge_end=charge_end,
        depth=depth,
        surface=0.05 * min(width, depth, 1.0),
        start=start,
    )


def _drop(nodes: NDArray[np.float64], state: NDArray[np.float64]) -> float:
    """Potential difference over the plate, in units of kT/e."""
    widths = np.array([kernels.face_width(nodes, c) for c in range(nodes.size - 1)])
    return kernels.voltage(widths, state)


def _initial(problem: _Problem, cells: int, mesh: NDArray[np.float64] | None):
    """Nodes and state at the start, from the native glass or from an earlier run."""
    k = len(problem.names)
    thickness = problem.glass.thickness / _NM
    earlier = problem.start
    if mesh is None:
        nodes = kernels.untouched_mesh(problem.surface, thickness, cells)
    else:
        nodes = mesh / _NM
    state = np.zeros((nodes.size - 1, k))
    if earlier is not None:
        known = earlier.nodes / _NM
        amounts = np.zeros((known.size, k - 1))
        for i, name in enumerate(problem.names[:-1]):
            if name in earlier.fraction:
                inside = np.maximum(earlier.fraction[name] * np.diff(known), 0.0)
                amounts[1:, i] = np.cumsum(inside)
        # Monotone, so that no ion becomes negative, and exact at both ends, so that none is lost.
        interpolant = scipy.interpolate.PchipInterpolator(known, amounts, axis=0)
        for _ in range(30 if mesh is None else 0):
            y = np.ones((cells, k))
            y[:, :-1] = np.diff(interpolant(nodes), axis=0) / np.diff(nodes)[:, None]
            y[:, -1] -= y[:, :-1].sum(axis=1)
            goal = np.empty(cells + 1)
            kernels.equidistribute(nodes, y, problem.surface, np.empty(cells), goal)
            nodes = goal
        state[:, :-1] = np.diff(interpolant(np.minimum(nodes, known[-1])), axis=0)
    setting, drive = problem.setting, float(problem.values[0])
    kernels.rest_field(setting, nodes, state, drive)
    if earlier is not None and earlier.current_density[-1] > 0:
        # With the charges that a front narrower than the Debye length cannot do without.
        charge = np.cumsum(earlier.excess_charge * np.diff(known))
        charge += earlier.sheet_charge / (e * problem.glass.ion_density * _NM)
        field = scipy.interpolate.PchipInterpolator(known[1:], charge / setting.lam2)
        state[0, setting.beam] -= setting.lam2 * state[0, -1]
        state[:, -1] = field(np.clip(nodes[1:], known[1], known[-1]))
        if setting.potentiostatic:
            state[:, -1] *= drive / _drop(nodes, state)
        else:
            unit = e * problem.glass.ion_density * problem.velocity
            state[:, -1] *= drive * unit / earlier.current_density[-1]
        state[0, setting.beam] += setting.lam2 * state[0, -1]
    return nodes, state


def _advance(problem: _Problem, cells: int, mesh, rtol: float, tol: float) -> Run:
    glass, setting = problem.glass, problem.setting
    nodes, state = _initial(problem, cells, mesh)
    y = np.empty_like(state)
    kernels.fractions(setting, nodes, state, y)
    amounts = np.diff(nodes) @ y
    amounts[setting.beam] += setting.lam2 * state[0, -1]
    amounts *= _NM * glass.ion_density
    history = np.zeros((_MAX_STEPS + 1, 4))
    verdict, steps, rejected, factorisations, lowest = kernels.advance(
        setting, nodes, state, problem.knots, problem.values, problem.t_end, problem.charge_end,
        tol, 0.2 * problem.surface, problem.surface, mesh is None, _MAX_STEPS, history,
    )  # fmt: skip
    charge_density = e * glass.ion_density
    time, charge, current, voltage = history[: steps + 1].T
    time = time * (_NM / problem.velocity)
    charge = charge * (charge_density * _NM)
    current = current * (charge_density * problem.velocity)
    voltage = voltage * glass.thermal_voltage
    kernels.fractions(setting, nodes, state, y)
    arrived = float(y[-1, :-1].sum())
    if mesh is None and arrived > rtol:
        raise SimulationError(
            f"simulate stopped after {time[-1]:.4g} s and {charge[-1]:.4g} C/m^2: the foreign ions"
            f" have come to the back electrode, {arrived:.2g} of N; that no foreign ion passes"
            " there describes a glass only before any arrives"
        )
    finite = np.isfinite(state).all() and np.isfinite(history[: steps + 1]).all()
    short = problem.charge_end < np.inf and history[steps, 1] < 0.999999 * problem.charge_end
    if verdict != kernels.DONE or not finite or short:
        reason = {
            kernels.DONE: "the charge asked for was not reached",
            kernels.TOO_MANY_STEPS: f"more than {_MAX_STEPS} steps",
            kernels.STEP_TOO_SMALL: "the time step collapsed",
        }[verdict]
        error = SimulationError if verdict == kernels.DONE else _Stuck
        if setting.potentiostatic and verdict == kernels.STEP_TOO_SMALL:
            # What is left of the potential where no current flows is that of diffusion.
            open_circuit = state.copy()
            open_circuit[0, setting.beam] -= setting.lam2 * state[0, -1]
            kernels.rest_field(setting._replace(potentiostatic=False), nodes, open_circuit, 0.0)
            floating = _drop(nodes, open_circuit) * glass.thermal_voltage
            if voltage[-1] < 1.1 * floating:
                error = SimulationError
                reason = (
                    f"at {voltage[-1]:.3g} V hardly any current flows, for the surface floats at"
                    f" {floating:.3g} V by diffusion alone"
                )
        raise error(
            f"simulate stopped after {time[-1]:.4g} s and {charge[-1]:.4g} C/m^2"
            f" ({steps} steps, {nodes.size - 1} cells): {reason}; the last current density was"
            f" {current[max(steps - 1, 0)]:.3g} A/m^2"
        )
    f = state[:, -1]  # at the right ends of the cells, in 1/nm
    widths = np.diff(nodes)
    excess = setting.lam2 * np.diff(f, prepend=0.0) / widths
    excess[0] = 0.0
    between = np.append(0.5 * (widths[1:] + widths[:-1]), 0.5 * widths[-1]) * f
    stats = Stats(
        cells=nodes.size - 1,
        steps=steps,
        rejected=rejected,
        factorisations=factorisations,
        smallest_cell=float(widths.min() * _NM),
        # a record may end in a pause
        decay_length=problem.slowest * charge_density / (current[-1] or current.max()),
        estimated_error={},
        undershoot=float(lowest),
    )
    return Run(
        glass=glass,
        native=problem.names[-1],
        beam=problem.names[setting.beam],
        nodes=nodes * _NM,
        # far ahead of the front they decay to where doubles end, and arithmetic with them
        fraction=dict(zip(problem.names, np.where(np.abs(y.T) < 1e-99, 0.0, y.T), strict=True)),
        potential=between[::-1].cumsum()[::-1] * glass.thermal_voltage,
        excess_charge=excess,
        sheet_charge=float(setting.lam2 * f[0] * _NM * charge_density),
        time=time,
        charge=charge,
        current_density=current,
        voltage=voltage,
        rtol=rtol,
        stats=stats,
        initial_amount=dict(zip(problem.names, amounts.tolist(), strict=True)),
    )


def _difference(coarse: Run, fine: Run) -> dict[str, float]:
    """Relative differences of two runs of one problem."""
    # Over the zone that foreign ions have reached, a per cent of them at least.
    exchanged = sum(fine.amount(ion) for ion in fine.fraction if ion != fine.native)
    reached = fine.nodes[1:][fine.fraction[fine.native] < 0.99]
    depth = max(exchanged / fine.glass.ion_density, reached.max(initial=fine.nodes[1]))
    fronts = coarse.front_depth, fine.front_depth
    nodes = np.union1d(coarse.nodes, fine.nodes)
    middle, width = 0.5 * (nodes[1:] + nodes[:-1]), np.diff(nodes)
    missed = [
        width @ np.abs(coarse.at(ion, middle) - fine.at(ion, middle)) for ion in fine.fraction
    ]
    difference = {"profile": float(max(missed) / depth)}
    if min(fronts) > 0:
        difference["front"] = abs(fronts[0] / fronts[1] - 1)
    if min(fronts) > 0 and len(fine.fraction) == 2:  # with more ions there are fronts inside
        # The native ions left behind the front, place by place: two meshes agree at one by chance.
        behind = np.linspace(0.2, 0.9, 36)
        left, right = (
            run.at(run.native, behind * front)
            for run, front in zip((coarse, fine), fronts, strict=True)
        )
        enough = max(right.mean(), 0.03)  # of the smallest plateau that matters
        difference["plateau"] = float(np.abs(left - right).mean() / enough)
    difference["drive"] = max(
        float(abs(one[-1] - two[-1]) / two.max())
        for one, two in (
            (coarse.time, fine.time),
            (coarse.charge, fine.charge),
            (coarse.voltage, fine.voltage),
        )
    )
    return difference


def simulate(
    glass: Glass,
    ions: Mapping[str, float | Callable],
    native: str,
    beam: str,
    drive: Voltage | CurrentDensity,
    until: Charge | Duration,
    rtol: float = 1e-3,
    start: Run | None = None,
    mesh: int | ArrayLike | None = None,
) -> Run:
    """Replace the native ion of a glass by the ions of a beam: Nernst, Planck and Poisson in full.

    Solves eqn (1) of doi 10.1039/d4cp00262h for every mobile ion together with Poisson's equation,
    on a mesh that follows the front, with finite volumes and a Rosenbrock method; repeats it on a
    finer mesh until the estimated error is below ``rtol``.

    At the front surface the beam ion enters with the whole current; the field outside is zero. At
    the back the potential is zero, native ions leave, their density is N and no foreign ion passes.

    Parameters
    ----------
    glass : Glass
    ions : mapping of str to float or callable
        Diffusivity of each mobile ion (m^2/s): a constant, or a function of the ion's own fraction
        of N, positive on (0, 1].
    native, beam : str
        The ion that fills the untouched glass, and the ion that the beam delivers.
    drive : Voltage or CurrentDensity
        Potentiostatic or galvanostatic; constant, or a record.
    until : Charge or Duration
        Where to stop.
    rtol : float
        Relative accuracy of front depth, plateau, profile and voltage or time, 1e-5 to 0.1.
    start : Run, optional
        An earlier run of the same glass whose final profiles are the initial ones (sequential
        CAIT).
    mesh : int or array_like of shape (cells + 1,), optional
        One run without refinement: on a mesh of so many cells that follows the front, or on fixed
        cell boundaries from 0 to the thickness (m), to study what a grid does. Such a run has no
        error estimate and is never ``resolved``.

    Returns
    -------
    Run

    Raises
    ------
    ValueError
        If an argument is out of its range; the text names it.
    SimulationError
        If the end or the accuracy is not reached, if foreign ions have come to the back, or if a
        voltage drives no current against the diffusion potential.
    """
    if not isinstance(glass, Glass):
        raise ValueError(f"glass = {glass!r} is not a Glass")
    if not isinstance(ions, Mapping):
        raise ValueError(f"ions = {ions!r} is not a mapping of names to diffusivities")
    if not (start is None or isinstance(start, Run)):
        raise ValueError(f"start = {start!r} is not a Run")
    for name, D in ions.items():
        if not callable(D):
            require(f"ions[{name!r}]", D, 1e-40, 1e-5, "m^2/s")
    for label, name in (("native", native), ("beam", beam)):
        if name not in ions:
            raise ValueError(f"{label} = {name!r} is not among the ions {', '.join(ions)}")
    if native == beam:
        raise ValueError(f"beam = {beam!r} is the native ion")
    if not isinstance(drive, Voltage | CurrentDensity):
        raise ValueError(f"drive = {drive!r} is neither Voltage nor CurrentDensity")
    if not isinstance(until, Charge | Duration):
        raise ValueError(f"until = {until!r} is neither Charge nor Duration")
    require("rtol", rtol, 1e-5, 0.1)
    if start is not None:
        if start.glass != glass:
            raise ValueError("start: the earlier run was made with another glass")
        lost = [name for name in start.fraction if name not in ions]
        if lost or start.native != native:
            raise ValueError(f"start: its ions {', '.join(start.fraction)} must all be in ions")
    problem = _scale(glass, ions, native, beam, drive, until, start)
    # Errors in time add up at the start of a second run, before the mesh has learnt where its
    # fronts go.
    tol = min(0.5 * rtol, 1e-3) if start is None else min(0.1 * rtol, 3e-4)
    if isinstance(mesh, int | np.integer):
        return _advance(problem, int(require("mesh", mesh, 20, 5000, "cells")), None, rtol, tol)
    if mesh is not None:
        mesh = np.array(mesh, dtype=float)
        if mesh.ndim != 1 or mesh.size < 5 or not np.all(np.diff(mesh) > 0):
            raise ValueError("mesh must hold at least five increasing node positions")
        if mesh[0] != 0 or not np.isclose(mesh[-1], glass.thickness, rtol=1e-12):
            raise ValueError(
                f"mesh runs from {mesh[0]:g} to {mesh[-1]:g} m, not from 0 to the thickness"
                f" {glass.thickness:g} m"
            )
        # On nodes that do not follow, the front crosses cell by cell, and errors in time add up.
        return _advance(problem, mesh.size - 1, mesh, rtol, 0.2 * rtol)
    # Two meshes like these often show rtol; where they fail, their error tells how many cells do.
    # A second run has two fronts from its beginning; untouched glass takes cells by its decades.
    decades = max(np.log10(glass.thickness / _NM / (2 * problem.depth)), 0.0)
    cells = round((32 if start is None else 56) * (0.01 / rtol) ** 0.32 * (1 + 0.15 * decades))
    tol *= 1.5**2
    coarse, failure = None, ""
    while cells <= _MOST_CELLS:
        try:
            fine = _advance(problem, cells, None, rtol, tol)
        except _Stuck as error:  # too few cells for this front: more may do
            coarse, failure = None, f"; {error}"
            cells += cells // 2
            continue
        growth = 1.5
        if coarse is not None:
            # Errors fall with the square of the cells, in time because ``tol`` does: so much of
            # the error of the finer mesh is the difference of the two; twice that for safety.
            share = 2.0 / ((fine.stats.cells / coarse.stats.cells) ** 2 - 1)
            error = {key: share * d for key, d in _difference(coarse, fine).items()}
            fine = replace(fine, stats=replace(fine.stats, estimated_error=error))
            failure = f"; with {cells} cells the estimated errors are {error}"
            if fine.resolved:
                return fine
            growth = min(max(1.5, 1.1 * np.sqrt(max(error.values()) / rtol)), 3.0)
        if fine.front_depth == 0:  # which would pull all places back to its own
            most = 1 - fine.fraction[native].min()
            tol = min(tol, min(0.2 * rtol, 6e-4) * max(most, 1e-4))
        coarse, tol = fine, tol / growth**2
        cells = int(growth * cells)
    raise SimulationError(f"simulate did not reach rtol = {rtol:g}{failure}")
