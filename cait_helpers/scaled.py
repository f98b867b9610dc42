"""One replacement in the units of the kernels: its start, its solution on one mesh, and how two
solutions differ.

Lengths in nm, densities over N, fields as e E / kT (1/nm), potentials in kT/e. The unit of time is
that in which the reference current replaces one nanometre. Ions are numbered, the native one last.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import scipy

from . import kernels, reading
from .checks import Array

MAX_STEPS = 5_000
STEPS_PER_CELL = 5  # are more, where there are more than a thousand cells
STEPS_AT_CORNER = 1_000  # a front with a corner that takes more takes too many
FIRST_STEP = 0.2  # of the first cell's charge
SMALL = 1e-6  # of N: an error of a fraction that never matters
#: What a run may end with. ``STUCK`` ones may come to their end on more cells.
DONE, ARRIVED, SHORT, FLOATING, MANY_STEPS, COLLAPSED = (
    "", "arrived", "short", "floating", "many steps", "collapsed",
)  # fmt: skip
STUCK = (MANY_STEPS, COLLAPSED)


@dataclass(frozen=True)
class Earlier:
    """What an earlier run has left.

    ``amounts`` (cells + 1, ions - 1) is what lies in front of each of the ``nodes``, ``charge``
    (cells,) the charge in front of the right end of each cell, the sheet included.
    """

    nodes: Array
    amounts: Array
    charge: Array
    current: float


@dataclass(frozen=True)
class Problem:
    """What is simulated; ``depth`` is about what will be replaced, ``surface`` the first cell.

    ``slowest`` is the smallest D of the foreign ions in the foot of a front; with a ``corner`` the
    native law jumps inside it.
    """

    setting: kernels.Setting
    knots: Array
    values: Array
    t_end: float
    charge_end: float
    thickness: float
    depth: float
    surface: float
    slowest: float
    corner: bool
    earlier: Earlier | None


@dataclass(frozen=True)
class Solution:
    """The end of a run on one mesh, or where it stopped.

    ``history`` (steps + 1, 4) holds time, charge, current and voltage, ``first`` (ions,) the
    amounts at the start, the first sheet included; ``strongest`` is the largest field of the run.
    """

    ended: str
    nodes: Array
    state: Array
    y: Array
    history: Array
    first: Array
    rejected: int
    factorisations: int
    lowest: float
    strongest: float
    floating: float

    @cached_property
    def x(self) -> Array:
        """Cell centres."""
        return 0.5 * (self.nodes[1:] + self.nodes[:-1])

    @cached_property
    def native(self) -> Array:
        return np.ascontiguousarray(self.y[:, -1])

    @cached_property
    def level(self) -> float:
        """The native fraction that counts as the front; zero without one."""
        return reading.front_level(self.x, self.native)


def drop(nodes: Array, state: Array) -> float:
    """Potential difference over the plate."""
    widths = np.empty(nodes.size - 1)
    kernels.weigh(nodes, np.zeros_like(nodes), state, widths)
    return kernels.voltage(widths, state)


def initial(problem: Problem, cells: int, mesh: Array | None) -> tuple[Array, Array]:
    """Nodes and state at the start, from the native glass or from an earlier run."""
    setting, earlier, k = problem.setting, problem.earlier, problem.setting.table.shape[0]
    nodes = kernels.untouched_mesh(problem.surface, problem.thickness, cells)
    if mesh is not None:
        nodes = mesh.copy()
    state = np.zeros((cells, k))
    if earlier is not None:
        known = earlier.nodes
        # Monotone, so that no ion becomes negative, and exact at both ends, so that none is lost.
        interpolant = scipy.interpolate.PchipInterpolator(known, earlier.amounts, axis=0)
        for _ in range(30 if mesh is None else 0):
            y = np.ones((cells, k))
            y[:, :-1] = np.diff(interpolant(nodes), axis=0) / np.diff(nodes)[:, None]
            y[:, -1] -= y[:, :-1].sum(axis=1)
            goal = np.empty(cells + 1)
            kernels.equidistribute(nodes, y, problem.surface, np.empty(cells), goal)
            nodes = goal
        state[:, :-1] = np.diff(interpolant(np.minimum(nodes, known[-1])), axis=0)
    drive = float(problem.values[0])
    kernels.rest_field(setting, nodes, state, drive)
    if earlier is not None and earlier.current > 0:
        # With the charges that a front narrower than the Debye length cannot do without.
        field = scipy.interpolate.PchipInterpolator(known[1:], earlier.charge / setting.lam2)
        state[0, setting.beam] -= setting.lam2 * state[0, -1]
        state[:, -1] = field(np.clip(nodes[1:], known[1], known[-1]))
        state[:, -1] *= drive / (drop(nodes, state) if setting.potentiostatic else earlier.current)
        state[0, setting.beam] += setting.lam2 * state[0, -1]
    return nodes, state


def solve(problem: Problem, cells: int, mesh: Array | None, rtol: float, tol: float) -> Solution:
    """Run a problem on one mesh: fixed nodes ``mesh``, or ``cells`` that follow the front.

    Parameters
    ----------
    rtol : float
        Foreign fraction at the back that still counts as none.
    tol : float
        Error of one step, over the fractions of some dozens of cells.
    """
    setting = problem.setting
    nodes, state = initial(problem, cells, mesh)
    y = np.empty_like(state)
    kernels.fractions(setting, nodes, state, y)
    first = np.diff(nodes) @ y
    first[setting.beam] += setting.lam2 * state[0, -1]
    most_steps = STEPS_AT_CORNER if problem.corner else max(MAX_STEPS, STEPS_PER_CELL * cells)
    history = np.zeros((most_steps + 1, 4))
    verdict, steps, rejected, factorisations, lowest, strongest = kernels.advance(
        setting, nodes, state, problem.knots, problem.values, problem.t_end, problem.charge_end,
        tol, FIRST_STEP * problem.surface, problem.surface, mesh is None, most_steps, history,
    )  # fmt: skip
    history = history[: steps + 1]
    kernels.fractions(setting, nodes, state, y)
    ended, floating = DONE, 0.0
    # beyond two ions on a place a step has gone astray
    sound = np.isfinite(state).all() and np.abs(y).max() < 2.0
    if mesh is None and sound and y[-1, :-1].sum() > rtol:
        ended = ARRIVED
    elif verdict == kernels.TOO_MANY_STEPS:
        ended = MANY_STEPS
    elif verdict != kernels.DONE or not sound or not np.isfinite(history).all():
        ended = COLLAPSED
        if setting.potentiostatic and sound:
            floating = diffusion_potential(setting, nodes, state)
            if history[-1, 3] < 1.1 * floating:
                ended = FLOATING
    elif problem.charge_end < np.inf and history[-1, 1] < 0.999999 * problem.charge_end:
        ended = SHORT
    return Solution(
        ended, nodes, state, y, history, first, rejected, factorisations, float(lowest),
        float(strongest), floating,
    )  # fmt: skip


def diffusion_potential(setting: kernels.Setting, nodes: Array, state: Array) -> float:
    """What is left of the potential where no current flows."""
    open_circuit = state.copy()
    open_circuit[0, setting.beam] -= setting.lam2 * state[0, -1]
    kernels.rest_field(setting._replace(potentiostatic=False), nodes, open_circuit, 0.0)
    return drop(nodes, open_circuit)


def differences(
    coarse: Solution, fine: Solution, rtol: float, of_worst: float = 0.0
) -> dict[str, float]:
    """Relative differences of two solutions of one problem.

    Fractions behind the front count relative to themselves and 1e-6/rtol, so that an error of rtol
    is rtol of the fraction and 1e-6 of N: their mean, or ``of_worst`` of the worst place if that is
    more.
    """
    # The profile over the zone that foreign ions have reached, a per cent of them at least.
    exchanged = float(np.diff(fine.nodes) @ fine.y[:, :-1].sum(axis=1))
    reached = fine.nodes[1:][fine.native < 0.99]
    depth = max(exchanged, reached.max(initial=fine.nodes[1]))
    nodes = np.union1d(coarse.nodes, fine.nodes)
    middle, width = 0.5 * (nodes[1:] + nodes[:-1]), np.diff(nodes)
    apart = [reading.sample(one.nodes, one.y, middle) for one in (coarse, fine)]
    missed = width @ np.abs(apart[0] - apart[1])
    found = {"profile": float(missed.max() / depth)}
    level = fine.level  # one for both, or two meshes with a high plateau mean two places
    fronts = [reading.deepest_below(one.x, one.native, level) for one in (coarse, fine)]
    if level > 0:
        found["front"] = float(abs(fronts[0] / fronts[1] - 1))
    if level > 0 and fronts[0] > 0 and fine.y.shape[1] == 2:  # with more ions, fronts inside
        # The native ions left behind the front, place by place: two meshes agree at one by chance.
        behind = np.linspace(0.2, 0.9, 36)
        left, right = (
            reading.sample(one.nodes, one.y, behind * front)[:, -1]
            for one, front in zip((coarse, fine), fronts, strict=True)
        )
        small = SMALL / rtol
        apart = np.abs(left - right) / (np.maximum(right, 0) + small)
        found["plateau"] = float(max(apart.mean(), of_worst * apart.max()))
    ends = coarse.history[-1], fine.history[-1]
    largest = np.abs(fine.history).max(axis=0)
    found["drive"] = max(float(abs(ends[0][m] - ends[1][m]) / largest[m]) for m in (0, 1, 3))
    return found
