"""Polynomials through simulations of one case, which stand in for it inside a search."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import PchipInterpolator

from .checks import Array
from .npp import Run, front_depth

# shares of the charge at which time and current are kept
TRACE = np.linspace(0.0, 1.0, 41) ** 1.5


def _front(run: Run) -> float:
    """Depth (m) behind which the native fraction stays above three quarters."""
    return front_depth(run.x, run.fraction[run.native], 0.75) or run.replaced_depth


def trace(run: Run) -> tuple[Array, Array]:
    """Time (s) and current density (A/m^2) of a run at the shares TRACE of its charge."""
    share = run.charge / run.charge[-1]
    late = np.append(np.diff(share) > 0, True)
    # under a constant voltage 1/j is all but linear in the charge
    resistance = np.interp(TRACE, share[late], 1 / run.current_density[late])
    time = PchipInterpolator(share[late], run.time[late])(TRACE)
    return np.maximum(time, 1e-6 * time[-1]), 1 / resistance


def _outputs(run: Run, xi: Array, stretch: float = 1.0, traced=None) -> Array:
    """What the polynomials describe: both fractions at ``xi`` fronts, and logarithms."""
    depth = _front(run)
    x = np.clip(xi * depth, run.x[0], run.x[-1])
    fractions = [PchipInterpolator(run.x, run.fraction[ion])(x) for ion in (run.native, run.beam)]
    time, density = traced or trace(run)
    return np.concatenate([*fractions, [np.log(stretch * depth)], np.log(time), np.log(density)])


def _features(z: Array, crossed: bool) -> Array:
    row = z.tolist()
    pairs = [a * b for i, a in enumerate(row) for b in row[i + 1 :]] if crossed else []
    return np.array([1.0, *row, *(a * a for a in row), *pairs])


def _design(p: int, crossed: bool) -> Array:
    """Centre, two ends of each axis, and for the crossed terms one corner of each pair."""
    rows = [np.zeros(p), *np.eye(p), *-np.eye(p)]
    if crossed:
        rows += [np.eye(p)[i] + np.eye(p)[j] for i in range(p) for j in range(i + 1, p)]
    return np.array(rows)


@dataclass(frozen=True, eq=False)
class Emulator:
    """Quadratic polynomials through simulations, around a centre; made by `emulate`.

    The profile is kept against depth over front depth, where it hardly moves.
    """

    names: tuple[str, ...]
    centre: Array
    steps: Array
    crossed: bool
    xi: Array
    coefficients: Array

    def place(self, values: Mapping[str, float]) -> Array:
        """Where in the design ``values`` lie, in half-widths."""
        return (np.array([values[name] for name in self.names]) - self.centre) / self.steps

    def __call__(self, z: Array) -> tuple[Array, Array, Array, Array, Array]:
        """x (m), native and foreign fractions, time (s) and current density at TRACE."""
        out = _features(z, self.crossed) @ self.coefficients
        n, m = self.xi.size, TRACE.size
        scales = np.exp(out[2 * n :])
        return scales[0] * self.xi, out[:n], out[n : 2 * n], scales[1 : m + 1], scales[m + 1 :]

    def last_time(self, z: Array) -> float:
        """Logarithm of the time (s) at the end of the charge."""
        end = self.coefficients[:, 2 * self.xi.size + TRACE.size]
        return float(_features(z, self.crossed) @ end)

    def anchored(self, run: Run, z: Array, stretch: float, traced: tuple) -> Emulator:
        """Shifted so as to meet at ``z`` a run, with depths stretched and another trace."""
        miss = _outputs(run, self.xi, stretch, traced)
        miss -= _features(z, self.crossed) @ self.coefficients
        coefficients = self.coefficients.copy()
        coefficients[0] += miss
        return replace(self, coefficients=coefficients)


def emulate(
    simulate: Callable[[dict[str, float]], Run],
    centre: Mapping[str, float],
    steps: Mapping[str, float],
    deepest: float,
    crossed: bool,
) -> Emulator:
    """Simulate a design around ``centre`` and lay the polynomials through it.

    ``steps`` holds the half-width of each axis; ``deepest`` is the largest depth (m) that
    matters; without ``crossed`` terms an axis costs two runs, and a pair of axes nothing.
    """
    names = tuple(steps)
    middle, step = (np.array([source[name] for name in names]) for source in (centre, steps))
    design, xi, rows = _design(len(names), crossed), None, []
    for row in design:
        run = simulate(dict(centre) | dict(zip(names, (middle + row * step).tolist(), strict=True)))
        if xi is None:
            x = run.x[run.x < deepest]
            xi = np.union1d(x, (x[1:] + x[:-1]) / 2) / _front(run)
        rows.append(_outputs(run, xi))
    table = np.array([_features(row, crossed) for row in design])
    return Emulator(names, middle, step, crossed, xi, np.linalg.solve(table, np.array(rows)))
