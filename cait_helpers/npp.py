"""The Nernst-Planck-Poisson simulation: problem, solve, result."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import e

from . import kernels, laws, reading, scaled
from .checks import LARGEST, as_array, require, require_all, require_name, told
from .conditions import Charge, CurrentDensity, Duration, Glass, Series, Voltage


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


class SimulationError(RuntimeError):
    """The simulation did not reach its end or its accuracy; nothing is returned."""


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
    largest_field : float
        Largest field met during the run (V/m).
    """

    cells: int
    steps: int
    rejected: int
    factorisations: int
    smallest_cell: float
    decay_length: float
    estimated_error: dict[str, float]
    undershoot: float
    largest_field: float


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
        fraction = self.fraction[require_name("ion", ion, self.fraction)]
        x = require_all("x", x, -LARGEST, LARGEST, "m")
        if x.ndim != 1 or (np.diff(x) < 0).any():
            raise ValueError(f"x of shape {x.shape} is not a row of increasing depths")
        return reading.sample(self.nodes, fraction[:, None], x)[:, 0]

    @property
    def doubts(self) -> tuple[str, ...]:
        """What keeps the run from being ``resolved``, each with its figures; empty if nothing does.

        The estimated errors must be below ``rtol``, the mended undershoots below ten times that,
        and the smallest cell at most half the decay length of the front, or half the Debye length
        where that is longer.
        """
        stats, found = self.stats, []
        wrong = {name: e for name, e in stats.estimated_error.items() if not e <= self.rtol}
        if not stats.estimated_error:
            found.append("one mesh tells no error")
        if wrong:
            told = ", ".join(f"{name} {error:.2g}" for name, error in wrong.items())
            found.append(f"estimated errors above rtol = {self.rtol:g}: {told}")
        if not stats.undershoot > -10 * self.rtol:
            found.append(f"a fraction fell to {stats.undershoot:.2g} before it was mended")
        widest = 0.5 * max(stats.decay_length, self.glass.debye_length)
        if not stats.smallest_cell <= widest:
            found.append(
                f"the smallest cell, {stats.smallest_cell:.2g} m, is wider than the front allows,"
                f" {widest:.2g} m"
            )
        return tuple(found)

    @property
    def resolved(self) -> bool:
        """True if the run shows its own accuracy: no ``doubts``."""
        return not self.doubts

    @property
    def flags(self) -> tuple[str, ...]:
        """Where the run leaves what the equations describe, each with its figures; mostly empty."""
        if self.stats.largest_field <= STRONGEST_FIELD:
            return ()
        return (_too_strong(self.stats.largest_field),)

    def amount(self, ion: str) -> float:
        """Number of ions of one kind per area, the sheet charge included (m^-2)."""
        require_name("ion", ion, self.fraction)
        sheet = self.sheet_charge / e if ion == self.beam else 0.0
        return float(self.fraction[ion] @ np.diff(self.nodes) * self.glass.ion_density) + sheet


STRONGEST_FIELD = 3e9  # V/m; films of oxide glass break down near 1e9, and no ion drifts as assumed
_NM = 1e-9
_MOST_CELLS = 2500
_MOST_STUCK = 4  # meshes: what ends on none of these ends on no finer one
_OF_CORNER = 0.25  # of rtol, that a rounded law may change the profile
_CORNER = (
    "D of {} rises by decades within the front, just above an immobile share, and to round that"
    " off would change the profile by more than a quarter of rtol; a larger rtol helps"
)
_ASIDE = "that no foreign ion passes there describes a glass only before any arrives"


def _too_strong(field: float) -> str:
    return f"the field reaches {field:.2g} V/m: beyond {STRONGEST_FIELD:g} V/m no glass is a glass"


def _end(glass: Glass, drive: Series, until: Charge | Duration) -> tuple[float, float]:
    """Time (s) and charge (C/m^2) of the end, refused where the drive or the plate end before."""
    galvanostatic = isinstance(drive, CurrentDensity)
    longest = np.inf if drive.time is None else drive.time[-1]
    native_charge = e * glass.ion_density * glass.thickness
    if isinstance(until, Duration):
        if until.value > longest * (1 + 1e-12):
            raise ValueError(
                f"until = {until.value:g} s is longer than the record of {longest:g} s"
            )
        if galvanostatic and drive.integral(until.value) > 0.9 * native_charge:
            raise ValueError(
                f"until = {until.value:g} s of this current supplies more than nine tenths of the"
                " native charge of the plate"
            )
        return until.value, np.inf
    if until.value > 0.9 * native_charge:
        raise ValueError(
            f"until = {until.value:g} C/m^2 is more than nine tenths of the native charge of"
            f" the plate, {native_charge:g} C/m^2"
        )
    if not galvanostatic:
        return longest, until.value
    if drive.time is None:  # the time is known, and so the last step
        return until.value / drive.value, until.value
    supplied = drive.integral(longest)
    if until.value > supplied * (1 + 1e-9):
        raise ValueError(
            f"until = {until.value:g} C/m^2 is more than the recorded charge of {supplied:g} C/m^2"
        )
    return longest, until.value


@dataclass(frozen=True)
class _Units:
    """What one unit of the kernels is in SI, and the order of their ions, the native one last."""

    glass: Glass
    names: tuple[str, ...]
    beam: str
    velocity: float  # of a front at the reference current, m/s

    @property
    def charge(self) -> float:
        """C/m^2: what replaces one nanometre."""
        return e * self.glass.ion_density * _NM

    @property
    def current(self) -> float:
        """A/m^2"""
        return e * self.glass.ion_density * self.velocity

    @property
    def field(self) -> float:
        """V/m"""
        return self.glass.thermal_voltage / _NM


def _scale(glass, ions, native, beam, drive, until, start, hop_length, rtol) -> tuple:
    """The problem in the units of the kernels, and these units."""
    names = (*(name for name in ions if name != native), native)
    reference = float(np.max(drive.value))
    potentiostatic = isinstance(drive, Voltage)
    if potentiostatic:
        bulk = laws.value_at(native, ions[native], 1.0)
        velocity = bulk * reference / (glass.thermal_voltage * glass.thickness)
    else:
        velocity = reference / (e * glass.ion_density)
    units = _Units(glass, names, beam, velocity)
    unit_time, unit_D = _NM / velocity, velocity * _NM
    values = np.atleast_1d(np.asarray(drive.value, dtype=float))
    values = values / (glass.thermal_voltage if potentiostatic else reference)
    if drive.time is None:
        knots, values = np.array([0.0, 1e300]), np.repeat(values, 2)
    else:
        knots = drive.time / unit_time
    time, charge = _end(glass, drive, until)
    t_end, charge_end = min(time / unit_time, 1e15), charge / units.charge
    if not potentiostatic and drive.time is None and charge < np.inf:
        t_end = charge_end
    feet = {name: laws.value_at(name, ions[name], laws.AHEAD) / unit_D for name in names[:-1]}
    thickness, debye = glass.thickness / _NM, glass.debye_length / _NM
    depth = min(charge_end, t_end, thickness)
    fastest = max(laws.largest(name, ions[name]) for name in names[:-1]) / unit_D
    most = _OF_CORNER * rtol * depth
    if potentiostatic:  # the current falls as the replaced zone grows
        most /= 1 + depth / thickness * laws.value_at(native, ions[native], 1.0) / unit_D / fastest
    hops = [hop_length.get(name, 0.0) for name in names]
    if hops[-1] < max(hops):  # strong fields speed up the foreign ions more than the native one
        most = 0.0
    table, edges = laws.tabulate({name: ions[name] for name in names}, unit_D, fastest, most)
    # The front is not thinner than its diffusion length, nor than half the Debye length.
    width = max(feet[beam], 0.5 * debye)
    problem = scaled.Problem(
        setting=kernels.Setting(
            lam2=debye * debye,
            table=table,
            edges=edges,
            bottom=laws.immobile_share(table[-1], edges[-1]),
            half_hops=tuple(0.5 * hop / _NM for hop in hops),
            beam=names.index(beam),
            potentiostatic=potentiostatic,
            # a recorded voltage may be zero for a while, as long as the glass is untouched
            clock_floor=1e-3 if potentiostatic and drive.time is not None else 0.0,
        ),
        knots=knots,
        values=values,
        t_end=t_end,
        charge_end=charge_end,
        thickness=thickness,
        depth=depth,
        surface=0.05 * min(width, depth, 1.0),
        slowest=min(feet.values()),
        corner=laws.has_corner(table[-1], edges[-1], fastest),
        earlier=None if start is None else _earlier(start, units),
    )
    return problem, units


def _earlier(run: Run, units: _Units) -> scaled.Earlier:
    """The end of an earlier run in the units of the next one."""
    nodes = run.nodes / _NM
    amounts = np.zeros((nodes.size, len(units.names) - 1))
    for i, name in enumerate(units.names[:-1]):
        if name in run.fraction:
            inside = np.maximum(run.fraction[name] * np.diff(nodes), 0.0)
            amounts[1:, i] = np.cumsum(inside)
    charge = np.cumsum(run.excess_charge * np.diff(nodes)) + run.sheet_charge / units.charge
    return scaled.Earlier(nodes, amounts, charge, run.current_density[-1] / units.current)


def _reason(problem: scaled.Problem, units: _Units, solution: scaled.Solution) -> str:
    """Why a solution has not come to its end, and where it stopped."""
    time, charge, _, voltage = solution.history[-1]
    current = solution.history[max(len(solution.history) - 2, 0), 2]
    volt = units.glass.thermal_voltage
    native, foreign = solution.native, solution.y[-1, :-1].sum()
    strongest = solution.strongest * units.field
    place = solution.nodes[1 + int(np.argmax(np.abs(solution.state[:, -1])))]
    reason = {
        scaled.ARRIVED: "the foreign ions have come to the back electrode,"
        f" {foreign:.2g} of N; {_ASIDE}",
        scaled.SHORT: "the charge asked for was not reached",
        scaled.FLOATING: f"at {voltage * volt:.3g} V hardly any current flows, for the surface"
        f" floats at {solution.floating * volt:.3g} V by diffusion alone",
        scaled.MANY_STEPS: "too many steps",
        scaled.COLLAPSED: "the time step collapsed",
    }[solution.ended]
    if solution.ended in scaled.STUCK and problem.corner:
        reason += f"; {_CORNER.format(units.names[-1])}"
    elif solution.ended in scaled.STUCK and strongest > STRONGEST_FIELD:
        reason += f"; {_too_strong(strongest)} (now at {place:.3g} nm)"
    elif solution.ended in scaled.STUCK:
        cell = float(np.diff(solution.nodes).min())
        reason += (
            f"; the largest field was {strongest:.2g} V/m, the lowest fraction before it was mended"
            f" {solution.lowest:.2g}, now {native.min():.2g}, the smallest cell {cell:.2g} nm"
        )
    return (
        f"simulate stopped after {time * _NM / units.velocity:.4g} s and"
        f" {charge * units.charge:.4g} C/m^2 ({len(solution.history) - 1} steps,"
        f" {solution.nodes.size - 1} cells): {reason}; the last current density was"
        f" {current * units.current:.3g} A/m^2"
    )


def _run(
    problem: scaled.Problem,
    units: _Units,
    solution: scaled.Solution,
    rtol: float,
    estimate: dict[str, float],
) -> Run:
    """The result in SI, or a SimulationError if the solution has not come to its end."""
    if solution.ended != scaled.DONE:
        raise SimulationError(_reason(problem, units, solution))
    glass, lam2 = units.glass, problem.setting.lam2
    time, charge, current, voltage = solution.history.T
    field, widths = solution.state[:, -1], np.diff(solution.nodes)  # at the right ends of the cells
    excess = lam2 * np.diff(field, prepend=0.0) / widths
    excess[0] = 0.0
    between = np.append(0.5 * (widths[1:] + widths[:-1]), 0.5 * widths[-1]) * field
    # far ahead of the front they decay to where doubles end, and arithmetic with them
    fractions = np.where(np.abs(solution.y.T) < 1e-99, 0.0, solution.y.T)
    amounts = solution.first * _NM * glass.ion_density
    stats = Stats(
        cells=widths.size,
        steps=time.size - 1,
        rejected=solution.rejected,
        factorisations=solution.factorisations,
        smallest_cell=float(widths.min() * _NM),
        # a record may end in a pause
        decay_length=float(problem.slowest / (current[-1] or current.max()) * _NM),
        estimated_error=estimate,
        undershoot=solution.lowest,
        largest_field=solution.strongest * units.field,
    )
    return Run(
        glass=glass,
        native=units.names[-1],
        beam=units.beam,
        nodes=solution.nodes * _NM,
        fraction=dict(zip(units.names, fractions, strict=True)),
        potential=between[::-1].cumsum()[::-1] * glass.thermal_voltage,
        excess_charge=excess,
        sheet_charge=float(lam2 * field[0] * units.charge),
        time=time * (_NM / units.velocity),
        charge=charge * units.charge,
        current_density=current * units.current,
        voltage=voltage * glass.thermal_voltage,
        rtol=rtol,
        stats=stats,
        initial_amount=dict(zip(units.names, amounts.tolist(), strict=True)),
    )


def difference(coarse: Run, fine: Run) -> dict[str, float]:
    """Relative differences of two runs of one problem, as ``stats.estimated_error`` names them."""
    found = []
    for run in (coarse, fine):
        y = np.column_stack([run.fraction[name] for name in fine.fraction])
        history = np.column_stack([run.time, run.charge, run.current_density, run.voltage])
        found.append(scaled.Solution("", run.nodes / _NM, y, y, history, y[0], 0, 0, 0.0, 0.0, 0.0))
    return scaled.differences(*found, coarse.rtol)


_CELLS = 32  # of the first mesh, at rtol = 1e-2 by the power below; two meshes tell how many do
_FEWEST = 40  # with fewer a third mesh is needed too often, which costs more than it saves
_CELLS_OF_TWO_FRONTS = 56  # a second run has two fronts from its beginning
_CELLS_POWER = 0.32  # of 1e-2 / rtol: a little more than the third power that the steps ask for
_CELLS_PER_DECADE = 0.15  # untouched glass takes cells by its decades
_SAFETY = 2.1  # times what two meshes tell: at 1.7 one random problem in forty errs by more
_OF_WORST = 0.125  # of the error at one place: two meshes may both miss the tail of a front
_GROWTH = 1.5  # of the cells from mesh to mesh: cheap enough, and far enough apart to tell
_ORDER = 1.5  # of coarse meshes, not 2: the mesh after one that just fails costs twice as much


def _estimate(coarse: scaled.Solution, fine: scaled.Solution, rtol: float) -> dict[str, float]:
    """Errors of the finer of two solutions, ``_SAFETY`` times what the two tell.

    They fall with the square of the cells, in time because the tolerance does: so much of the
    error of the finer mesh is the difference of the two.
    """
    share = _SAFETY / ((fine.nodes.size - 1) ** 2 / (coarse.nodes.size - 1) ** 2 - 1)
    found = scaled.differences(coarse, fine, rtol, _OF_WORST)
    return {key: share * d for key, d in found.items()}


def _refine(problem: scaled.Problem, units: _Units, rtol: float, tol: float) -> Run:
    """Solve on finer and finer meshes until the estimated error is below ``rtol``."""
    decades = max(np.log10(problem.thickness / (2 * problem.depth)), 0.0)
    cells = _CELLS if problem.earlier is None else _CELLS_OF_TWO_FRONTS
    cells = max(cells * (0.01 / rtol) ** _CELLS_POWER, _FEWEST)
    cells = round(cells * (1 + _CELLS_PER_DECADE * decades))
    tol *= _GROWTH**2
    coarse, failure, stuck = None, "", 0
    while cells <= _MOST_CELLS and stuck < _MOST_STUCK:
        fine = scaled.solve(problem, cells, None, rtol, tol)
        if fine.ended in scaled.STUCK:  # too few cells for this front: more may do
            coarse, failure, stuck = None, _reason(problem, units, fine), stuck + 1
            if problem.corner:  # finer meshes see it the better
                break
            cells, tol = cells + cells // 2, tol / _GROWTH**2
            continue
        growth = _GROWTH
        if fine.ended != scaled.DONE:
            raise SimulationError(_reason(problem, units, fine))
        if coarse is not None:
            estimate = _estimate(coarse, fine, rtol)
            run = _run(problem, units, fine, rtol, estimate)
            if run.resolved:
                return run
            failure = f"with {cells} cells: {'; '.join((*run.doubts, *run.flags))}"
            missing = max(estimate.values()) / rtol
            growth = min(1.1 * missing ** (1 / _ORDER), _MOST_CELLS / cells)
            growth = min(max(_GROWTH, growth, 1.1 * np.sqrt(missing)), 3.0)
        if fine.level == 0:  # a front would pull all places back to its own
            most = 1 - fine.native.min()
            tol = min(tol, min(0.2 * rtol, 6e-4) * max(most, 1e-4))
        coarse, tol = fine, tol / growth**2
        cells = int(growth * cells)
    raise SimulationError(f"simulate did not reach rtol = {rtol:g}; {failure}")


def _check_ions(ions, native: str, beam: str, hop_length) -> None:
    """ValueError if ions, their roles or their hop lengths make no sense."""
    if not isinstance(ions, Mapping):
        raise ValueError(f"ions = {told(ions)} is not a mapping of names to diffusivities")
    for name, D in ions.items():
        if not callable(D):
            require(f"ions[{name!r}]", D, 1e-40, 1e-5, "m^2/s")
    for label, name in (("native", native), ("beam", beam)):
        require_name(label, name, ions)
    if native == beam:
        raise ValueError(f"beam = {beam!r} is the native ion")
    if not isinstance(hop_length, Mapping):
        raise ValueError(f"hop_length = {told(hop_length)} is not a mapping of names to lengths")
    for name, length in hop_length.items():
        if name not in ions:
            raise ValueError(f"hop_length: {name!r} is not among the ions {', '.join(ions)}")
        require(f"hop_length[{name!r}]", length, 0.0, 1e-8, "m")


def _check_start(start, glass: Glass, ions, native: str) -> None:
    """ValueError if a run cannot follow the one that it is to start from."""
    if not isinstance(start, Run):
        raise ValueError(f"start = {told(start)} is not a Run")
    if start.glass != glass:
        raise ValueError("start: the earlier run was made with another glass")
    lost = [name for name in start.fraction if name not in ions]
    if lost or start.native != native:
        raise ValueError(f"start: its ions {', '.join(start.fraction)} must all be in ions")


def _checked_nodes(mesh: ArrayLike, thickness: float) -> NDArray[np.float64]:
    """Fixed cell boundaries (m)."""
    nodes = as_array("mesh", mesh)
    if nodes.ndim != 1 or nodes.size < 5 or not np.all(np.diff(nodes) > 0):
        raise ValueError("mesh must hold at least five increasing node positions")
    if nodes[0] != 0 or not np.isclose(nodes[-1], thickness, rtol=1e-12):
        raise ValueError(
            f"mesh runs from {nodes[0]:g} to {nodes[-1]:g} m, not from 0 to the thickness"
            f" {thickness:g} m"
        )
    return nodes


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
    hop_length: Mapping[str, float] | None = None,
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
        of N, positive on (0, 1]. Fractions below 1e-7 count as about 1e-7. Where the front goes
        down to an immobile share of the native ions, D just above that is lowered by what changes
        the profile by less than a quarter of ``rtol``, if that suffices to simulate it.
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
    hop_length : mapping of str to float, optional
        Hop length a (m) of the ions whose drift is not in proportion to the field E but to
        sinh(a e E / 2 kT) / (a / 2), which is as good as e E / kT while a e E is small against kT.

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
        raise ValueError(f"glass = {told(glass)} is not a Glass")
    hop_length = {} if hop_length is None else hop_length
    _check_ions(ions, native, beam, hop_length)
    if not isinstance(drive, Voltage | CurrentDensity):
        raise ValueError(f"drive = {told(drive)} is neither Voltage nor CurrentDensity")
    if not isinstance(until, Charge | Duration):
        raise ValueError(f"until = {told(until)} is neither Charge nor Duration")
    require("rtol", rtol, 1e-5, 0.1)
    if start is not None:
        _check_start(start, glass, ions, native)
    problem, units = _scale(glass, ions, native, beam, drive, until, start, hop_length, rtol)
    tol = min(0.5 * rtol, 1e-3)
    if mesh is None:
        return _refine(problem, units, rtol, tol)
    if isinstance(mesh, int | np.integer):
        cells, nodes = int(require("mesh", mesh, 20, 5000, "cells")), None
    else:
        nodes = _checked_nodes(mesh, glass.thickness) / _NM
        # On nodes that do not follow, the front crosses cell by cell, and errors in time add up.
        cells, tol = nodes.size - 1, 0.2 * rtol
    return _run(problem, units, scaled.solve(problem, cells, nodes, rtol, tol), rtol, {})
