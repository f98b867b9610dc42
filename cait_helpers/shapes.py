"""What the data say of D(y) whatever the family, and which landscapes of two components agree.

Behind a front the data see D of the native ion at fractions below the plateau, and D in the bulk.
Here ln D is free at a few fractions, beside all that is uncertain of a fit: one more design of
simulations tells how well each is known. After that a landscape of any shape is judged by its D(y)
at these fractions alone, without a simulation.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.interpolate import PchipInterpolator
from scipy.optimize import least_squares
from scipy.special import ndtr, ndtri

from .checks import Array
from .families import Family
from .landscape import SIGMA_PER_FWHM
from .likelihood import Likelihood, jacobian, observed_plateau, settle
from .parameters import Parameter, Parameters, Prior, copied, free_names, values_of

KNOTS = np.array([0.001, 0.003, 0.01, 0.03, 0.07, 0.15])  # and 1, where ln D/D_bulk is zero
_STEP, _REACH = 0.2, 2.5  # half-width of the design in ln D, and how far beyond it is believed
_WIDTHS = {"log_ratio": 0.08, "log_charge": 0.03, "log10_D_bulk": 0.05}
# Two components: logarithm of the second width over the first, distance over the first width and
# share of the second, which lies lower: lowest and highest value.
_BOUNDS = np.array([[-0.7, 0.7], [0.0, 1.2], [0.03, 0.5]])
_LIMIT = 3.84  # rise of chi-square at the ends of a 95 % interval
_HOPELESS = 40.0  # where it has risen so far it does not come down again
# Where a search for the best shape begins: there are several optima.
_STARTS = np.array([[0.0, -0.5, 0.0, 0.0], [-0.7, -0.7, -0.7, 0.0], [-0.7, 0.5, -0.5, 0.0],
                    [0.0, 0.0, 0.8, 0.0], [0.7, 0.7, 0.7, 0.0]])  # fmt: skip


def _bent(family: Family, knots: Array) -> Family:
    """The family with ln D/D_bulk raised at ``knots``, along a smooth curve in ln y."""
    names = [f"bend_{i}" for i in range(knots.size)]
    at = np.log(np.append(knots, 1.0))

    def law(values, D_bulk, temperature, occupancy, filling):
        base = family.law(values, D_bulk, temperature, occupancy, filling)
        curve = PchipInterpolator(at, [*(values[name] for name in names), 0.0])
        return lambda y: base(y) * np.exp(curve(np.log(np.clip(y, knots[0], 1.0))))

    free = {name: (0.0, -3.0, 3.0, _STEP) for name in names}
    return Family(family.name, family.parameters | free, law, family.energies)


@dataclass(frozen=True, eq=False)
class Seen:
    """D(y) as the data see it, of any shape; made by :func:`look`.

    Attributes
    ----------
    knots : ndarray, shape (m,)
        Fractions y.
    log_D : ndarray, shape (m,)
        ln(D(y)/D_bulk) that describes the data best.
    information : ndarray, shape (m, m)
        Half the second derivatives of chi-square, all other parameters at their best.
    chi_square : float
    """

    knots: Array
    log_D: Array
    information: Array
    chi_square: float


def look(likelihood: Likelihood, parameters: Parameters) -> Seen:
    """Free ln D at the fractions that the profiles show, from the optimum of a fit.

    Raises what a simulation raises.
    """
    shown = max(observed_plateau(x.case, x.profile) for x in likelihood.experiments)
    knots = KNOTS[: max(3, np.searchsorted(KNOTS, 2 * shown))]
    bent = Likelihood(likelihood.experiments, _bent(likelihood.family, knots), likelihood.assumed)
    start = copied(parameters)
    for name in (*likelihood.family.parameters, "occupancy", "temperature"):
        start[name].vary = False
    bends = [f"bend_{i}" for i in range(knots.size)]
    vague = Prior(0.0, 2.0)  # keeps in place what no profile shows
    start |= {name: Parameter(0.0, -3.0, 3.0, prior=vague, moves=name) for name in bends}
    widths = _WIDTHS | dict.fromkeys(bends, _STEP)
    for _ in range(3):  # again where the optimum lies outside the design
        bent.build(start, widths, crossed=False)
        near = copied(start)
        for name in bends:
            reach = _REACH * _STEP
            near[name].min, near[name].max = near[name].value - reach, near[name].value + reach
        found, square = settle(bent, near, 12)
        moved = max(abs(found[name].value - start[name].value) for name in bends)
        start = {n: replace(p, value=found[n].value) for n, p in start.items()}
        if moved < 1.5 * _STEP:
            break
    free = free_names(start)
    rows = jacobian(bent, start)
    own = np.isin(free, bends)
    rest = rows[:, ~own]
    kept = rows[:, own] - rest @ np.linalg.lstsq(rest, rows[:, own], rcond=None)[0]
    at = bent.coordinates(bent.settings(0, values_of(start)))
    kelvin = likelihood.experiments[0].case.glass.temperature
    law = bent.family.law(at, 1.0, kelvin, at["occupancy"], likelihood.assumed.filling)
    return Seen(knots, np.log(law(knots)), kept.T @ kept, square)


# --- landscapes of two components -------------------------------------------------------------

_ENERGY = np.linspace(-5.0, 2.8, 781)  # in full widths of the first component
_COARSE = _ENERGY[::20]
_FERMI = np.arange(-20.0, 20.4, 0.8)  # in kT: the weight beyond is 1e-9
_NARROW = 1e-4  # step of derivatives, in units of the bounds


def _parts(shapes: Array, energy: Array) -> tuple[Array, ...]:
    """Both components at energies (b, ...): weights, and energies in standard deviations.

    ``shapes`` (b, 3): ln of the second width over the first, distance, share of the second; all
    energies in full widths of the first.
    """
    ratio, distance, share = shapes.T.reshape(3, -1, *[1] * (energy.ndim - 1))
    second = SIGMA_PER_FWHM * np.exp(ratio)
    return 1 - share, share, energy / SIGMA_PER_FWHM, (energy + distance) / second, second


def _density(shapes: Array, energy: Array) -> Array:
    one, other, first, second, sigma = _parts(shapes, energy)
    density = one / SIGMA_PER_FWHM * np.exp(-(first**2) / 2)
    return (density + other / sigma * np.exp(-(second**2) / 2)) / np.sqrt(2 * np.pi)


def _below(shapes: Array, energy: Array) -> Array:
    """Share of the sites below an energy."""
    one, other, first, second, _ = _parts(shapes, energy)
    return one * ndtr(first) + other * ndtr(second)


def _full_widths(shapes: Array) -> Array:
    """Full widths at half maximum (b,), between the outermost points if there are several."""
    density = _density(shapes, _ENERGY[None, :])
    row, high = np.arange(len(density)), density >= 0.5 * density.max(axis=1, keepdims=True)
    half = 0.5 * density.max(axis=1)
    a, b = np.argmax(high, axis=1), _ENERGY.size - 1 - np.argmax(high[:, ::-1], axis=1)
    below = (density[row, a] - half) / (density[row, a] - density[row, a - 1])
    above = (density[row, b] - half) / (density[row, b] - density[row, b + 1])
    return _ENERGY[b] - _ENERGY[a] + (_ENERGY[1] - _ENERGY[0]) * (below + above)


def _levels(shapes: Array, width: float, shares: Array, kT: float) -> Array:
    """Fermi levels (eV), (b, n), of two Gaussians of a full width (eV), filled to ``shares``.

    ``shapes`` (b, 3); ``shares`` (b, n) of all sites; ``kT`` (eV) is zero for sharp filling.
    """
    unit = width / _full_widths(shapes)[:, None]
    below, kT = _below(shapes, _COARSE[None, :]), kT / unit
    level = np.array([np.interp(ndtri(s), ndtri(b), _COARSE)  # nearly straight
                      for s, b in zip(shares, below, strict=True)])  # fmt: skip
    at, weight = np.zeros(1), np.ones(1)
    if np.any(kT):
        at, weight = _FERMI, 0.2 / np.cosh(_FERMI / 2) ** 2
    for _ in range(40):  # Newton in ln(share)
        around = level[:, :, None] + kT[:, :, None] * at
        slope, filled = _density(shapes, around) @ weight, _below(shapes, around) @ weight
        step = np.clip(np.log(filled / shares) * filled / slope, -0.3, 0.3)
        level = level - step
        if np.max(np.abs(step)) < 1e-6:  # of which the next would be the square
            break
    return unit * level


def _end(widths: Sequence[float], rise: Callable[[float], float], limit: float) -> float:
    """The last of ``widths``, sorted, at which chi-square rises to ``limit``, between two."""
    at = max(n for n, w in enumerate(widths) if rise(w) <= limit)
    inside, outside = widths[at], widths[min(at + 1, len(widths) - 1)]
    for _ in range(4):
        between = 0.5 * (inside + outside)
        if rise(between) <= limit:
            inside = between
        else:
            outside = between
    if rise(outside) <= limit:
        return outside
    share = (limit - rise(inside)) / (rise(outside) - rise(inside))
    return inside + share * (outside - inside)


def two_components(
    seen: Seen, about: float, kT: float, filling: str, occupancy: Prior, scale: float
) -> tuple[float, float, float]:
    """The full widths of two Gaussians that agree with the data to 95 %.

    Returns the lowest and the highest (eV), and chi-square of the best. At each full width, from
    0.4 to 2 times ``about`` (eV), the shape, and the occupancy within its error, are those that
    agree best with what is `Seen`. ``scale`` is the reduced chi-square where that is above one.
    """
    root = np.linalg.cholesky(seen.information + 1e-9 * np.eye(seen.knots.size)).T
    y = np.append(seen.knots, 1.0)
    middle, half = _BOUNDS.mean(axis=1), np.diff(_BOUNDS, axis=1)[:, 0] / 2
    known: dict[float, list[tuple[float, Array]]] = {}  # the best shapes at a full width

    def several(points: Array, width: float) -> Array:
        """Residuals (b, ...) at ``points``: shape in units of its bounds, occupancy in errors."""
        shares = (occupancy.mean + occupancy.sigma * points[:, 3:]) * y
        shapes = middle + half * points[:, :3]
        level = _levels(shapes, width, shares, kT * (filling == "thermal"))
        curve = (level[:, :-1] - level[:, -1:]) / kT - seen.log_D
        return np.column_stack([curve @ root.T, points[:, 3]])

    def missed(p: Array, width: float) -> Array:
        return several(p[None, :], width)[0]

    def slopes(p: Array, width: float) -> Array:
        away = _NARROW * np.eye(4) * np.where(p < 0, 1, -1)[:, None]
        found = several(np.vstack([p, p + away]), width)
        return ((found[1:] - found[0]) / away.sum(axis=1)[:, None]).T

    def rise(width: float, starts: Sequence[Array] = ()) -> float:
        """Least rise of chi-square at a full width; from the best shapes nearby and ``starts``."""
        if width not in known:
            near = min(known, key=lambda w: abs(w - width), default=None)
            found: list[tuple[float, Array]] = []
            for start in [*(x for _, x in known.get(near, [])), *starts]:
                result = least_squares(
                    missed, np.clip(start, -0.97, 0.97), slopes, args=(width,), max_nfev=40,
                    bounds=([-1, -1, -1, -3], [1, 1, 1, 3]), ftol=1e-3, xtol=1e-4,
                )  # fmt: skip
                found.append((2 * float(result.cost), result.x))
            found.sort(key=lambda one: one[0])
            apart = [n for n, (square, _) in enumerate(found)
                     if n == 0 or square > 1.01 * found[n - 1][0] + 0.01]  # fmt: skip
            known[width] = [found[n] for n in apart[:3]]
        return known[width][0][0]

    for grid in about * np.geomspace([1.0, 1.0], [0.4, 2.0], 7).T:  # down, and up
        for width in grid:
            if rise(width, _STARTS) - min(map(rise, known)) > _HOPELESS * scale:
                break
    for _ in range(3):  # closer to the best
        widths = sorted(known)
        at = min(range(len(widths)), key=lambda n: rise(widths[n]))
        for n in (at - 1, at):
            if 0 <= n < len(widths) - 1:
                rise(0.5 * (widths[n] + widths[n + 1]))
    least = min(map(rise, known))
    low, high = (_end(sorted(known)[::side], rise, least + _LIMIT * scale) for side in (-1, 1))
    return low, high, seen.chi_square + least
