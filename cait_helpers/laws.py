"""A law D(y) as the kernels read it: asked once, checked, and turned into cubic pieces."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from . import elementary
from .checks import Array

PIECES = 1280
SMALLEST = 1e-7  # fractions below count as about this one: laws like eqn (2) are steep at zero
AHEAD = 1e-4  # fraction of a foreign ion in the foot of its front
JUMP = 2.0  # of ln D from one point to the next: the law has an edge there
IMMOBILE = 1e-6  # of D(1): what diffuses more slowly below an edge never moves
FASTER = 1.02  # than a front drift the last mobile ions behind it where a law is rounded
ROUNDINGS = tuple(0.1 * 0.7**m for m in range(12))  # of a fraction, in which that grows e-fold
Law = float | Callable


def values_of(name: str, D: Callable, fraction: Array) -> Array:
    """D (m^2/s) of the ion ``name`` at fractions (m,); ValueError if that is no law.

    The law gets an array of its own, whatever it does with it.
    """
    given = fraction.copy()
    try:
        found = D(given)
    except Exception as error:
        raise ValueError(
            f"ions[{name!r}]: the law raised {type(error).__name__} for fractions in (0, 1]:"
            f" {error}"
        ) from error
    try:
        if np.asarray(found).dtype.kind not in "iuf":
            raise TypeError
        values = np.array(np.broadcast_to(found, fraction.shape), dtype=float)
    except (TypeError, ValueError):
        shape = np.shape(found) if isinstance(found, np.ndarray | list | tuple) else ()
        raise ValueError(
            f"ions[{name!r}]: the law must return one real number for each of the fractions, shape"
            f" {fraction.shape}, not {type(found).__name__} of shape {shape}"
        ) from None
    good = (values > 0) & np.isfinite(values)
    if not good.all():
        at = int(np.argmin(good))
        raise ValueError(
            f"ions[{name!r}]: a diffusivity must be positive and finite for fractions in (0, 1],"
            f" not {values[at]:g} m^2/s at {fraction[at]:.3g}"
        )
    return values


def edge_of(name: str, D: Callable, share: Array, values: Array) -> float:
    """Fraction at which the law jumps, such as its immobile share; zero for a law without.

    Between the two points with the largest step of ln D, by bisection.
    """
    own = getattr(D, "immobile", None)
    if isinstance(own, float) and 0 <= own < 1:
        return own
    step = np.abs(np.diff(np.log(values)))
    step[share[1:] < 1e-3] = 0.0  # steep at zero is no jump
    c = int(np.argmax(step))
    if step[c] < JUMP:
        return 0.0
    ends = np.array([share[c], share[c + 1]])
    known = np.log(values[c : c + 2])
    while ends[1] - ends[0] > 1e-12:
        middle = 0.5 * ends.sum()
        found = np.log(values_of(name, D, np.array([middle]))[0])
        side = int(abs(found - known[0]) > abs(known[1] - found))
        ends[side], known[side] = middle, found
    return float(ends[1])


def rounded(fraction: Array, D: Array, edge: float, foreign: float, most: float) -> Array:
    """A law rounded at its edge, where that is inside the front and hardly changes its profile.

    Behind a front the field is that of the foreign ions alone, and the last mobile ions drift
    D y / (D_foreign (y - edge)) times as fast as the front. Where that exceeds one for all of them,
    the front goes down to the edge, whatever D is above it. If D rises there by decades within a
    thousandth of the fraction, the profile has a corner, and time steps are tiny. Rounded, the last
    ions are little faster than the front, and the more so the more there are.

    Parameters
    ----------
    fraction, D : ndarray, shape (m,)
        Native fractions that increase from the edge to 1, and D there.
    edge, foreign : float
        Fraction below which nothing moves, and the largest D of the foreign ions.
    most : float
        Displacement of the front's profile that is allowed (nm): its mean over the fractions where
        one unit of current flows; D in the units of the kernels.

    Returns
    -------
    ndarray, shape (m,)
        D itself if the front ends above the edge, or if the least rounding displaces too much.
    """
    above = fraction - edge
    left = 1 - above / (1 - edge)
    faster = D * fraction / (foreign * above)
    if not faster.min() > FASTER:
        return D
    for rounding in ROUNDINGS:
        rise = above / rounding / np.maximum(1 - 1.25 * (1 - left), 1e-9)
        slow = np.minimum(FASTER * elementary.exp(np.minimum(rise, 500.0)), faster)
        # dx/dy of the travelling wave is D_foreign / (y left (1 - 1/faster))
        change = np.zeros_like(D)
        other = slow < faster
        wave = 1 / (1 - 1 / slow[other]) - 1 / (1 - 1 / faster[other])
        change[other] = foreign * wave / (fraction[other] * left[other])
        step = 0.5 * np.diff(fraction) * (change[1:] + change[:-1])
        moved = np.append(0.0, np.cumsum(step))
        weight = np.gradient(fraction)
        if weight @ np.abs(moved - weight @ moved / weight.sum()) <= most:
            return D * slow / faster
    return D


def has_corner(table: Array, edge: float, foreign: float) -> bool:
    """Whether a front goes down to the edge of a law that :func:`rounded` had to leave as it is.

    ``table`` of one ion. A four-hundredth of the way up from the edge the ions of a rounded law are
    less than three times as fast as the front.
    """
    if immobile_share(table, edge) == 0:
        return False
    above = (1 - edge) / 400
    return float(table[PIECES // 20, 0]) * (edge + above) > 10 * foreign * above


def tabulate(
    laws: dict[str, Law], unit: float, foreign: float = 0.0, most: float = 0.0
) -> tuple[Array, Array]:
    """All laws in multiples of ``unit``, as :func:`kernels.coefficient` reads them.

    Parameters
    ----------
    laws : dict of str to float or callable
        D (m^2/s) of each ion, or D against its fraction.
    unit : float
        (m^2/s)
    foreign, most : float
        See :func:`rounded`, which the last law is if both are positive.

    Returns
    -------
    table : ndarray, shape (ions, pieces, 4)
    edges : ndarray, shape (ions,)
        Fraction at which a law jumps; zero for a law without. If any has an edge, there are twice
        the pieces.
    """
    share = elementary.shares(PIECES, SMALLEST)
    values = {name: values_of(name, D, share) for name, D in laws.items() if callable(D)}
    edges = np.array(
        [
            edge_of(name, D, share, values[name]) if name in values else 0.0
            for name, D in laws.items()
        ]
    )
    count = (2 * PIECES if edges.any() else PIECES) if values else 1
    table = np.zeros((len(laws), count, 4))
    last = list(laws)[-1]
    for place, edge, (name, D) in zip(table, edges, laws.items(), strict=True):
        if name not in values:  # marked as a constant
            place[0, :2] = D / unit, np.nan
        elif edge > 0:
            below = values_of(name, D, edge * np.minimum(share, 1 - SMALLEST))
            place[PIECES:] = elementary.cubic_pieces(below / unit)
            fraction = edge + (1 - edge) * share
            above = values_of(name, D, fraction) / unit
            if name == last and most > 0 and below[0] < IMMOBILE * unit * above[-1]:
                above = rounded(fraction, above, edge, foreign, most)
            place[:PIECES] = elementary.cubic_pieces(above)
        elif count == PIECES:
            place[:] = elementary.cubic_pieces(values[name] / unit)
        else:
            place[:] = elementary.cubic_pieces(
                values_of(name, D, elementary.shares(count, SMALLEST)) / unit
            )
    return table, edges


def immobile_share(table: Array, edge: float) -> float:
    """The edge of a law below which nothing moves, else zero; ``table`` of one ion."""
    return float(edge) if edge > 0 and table[-1, 0] < IMMOBILE * table[PIECES - 1, 0] else 0.0


def value_at(name: str, D: Law, fraction: float) -> float:
    """D (m^2/s) at one fraction."""
    return float(values_of(name, D, np.array([fraction]))[0]) if callable(D) else float(D)


def largest(name: str, D: Law) -> float:
    """Largest D (m^2/s) at any fraction."""
    return float(values_of(name, D, np.linspace(AHEAD, 1.0, 21)).max()) if callable(D) else float(D)
