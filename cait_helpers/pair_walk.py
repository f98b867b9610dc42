"""Kinetic Monte Carlo of two ions on one landscape: what `pair` says, measured by jumping.

Native and foreign ions share the sites of a periodic lattice, one at most to a site. An ion leaves
for each vacant neighbour at the rate exp((E - E_0)/kT), E its own energy on the site and E_0 the
energy up to which its pure glass would be filled, times its ``speed``. Nothing is decoupled: sites
remember who has just left. What comes out are occupations, which `pair` gives exactly; the tracer
coefficients; and from the products of collective displacements the matrix

    L_ij kT/N = lim <R_i R_j> / (2 d ions time),

N being the density of both ions together. `pair` has it as (H delta_ij + ...) of Manning, with K
from the medium; the difference between the two is what a mean field leaves out.

D* and L are slopes of displacements that bend for as long as ions remember: at wide landscapes
the longest of these times is beyond any window, D* is an upper bound, and only longer windows
(``jumps``) tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .checks import TEMPERATURE, Array, require, require_name, require_whole
from .landscape import BOLTZMANN
from .lattice import (
    LATTICES,
    fill_at_random,
    periodic_lattice,
    portable_exp,
    ratio_of_means,
    walk_box,
)
from .pair import PairLandscape, fill


@dataclass(frozen=True, eq=False)
class PairWalk:
    """What a walk of two ions has measured; errors are standard errors over the landscapes.

    Coefficients are in units of the squared neighbour distance times the rate of a native ion at
    E_0, native ion first.

    Attributes
    ----------
    y : float
        Native fraction of the ions in the box.
    sites, vacancies : int
        Their numbers in the box.
    D_tracer, tracer_error : ndarray, shape (2,)
        D_i*.
    D_mig, mig_error : ndarray, shape (2,)
        sum_j L_ij kT/n_i.
    L, L_error : ndarray, shape (2, 2)
        L_ij kT/N. L_12 and L_21 are measured apart, from the native ions' present and the foreign
        ions' earlier displacement and the reverse: their difference tests reciprocity.
    haven : ndarray, shape (2,), and haven_error
        D_i*/D_i,mig.
    occupied : ndarray, shape (2, landscapes sites), expected
        Share of the time for which each site held a native, a foreign ion, and the generalised
        Fermi functions of `pair` at the levels of its box.
    jumps : int
    """

    y: float
    sites: int
    vacancies: int
    D_tracer: Array
    tracer_error: Array
    D_mig: Array
    mig_error: Array
    L: Array
    L_error: Array
    haven: Array
    haven_error: Array
    occupied: Array
    expected: Array
    jumps: int


def walk_pair(
    pair: PairLandscape,
    y: float,
    temperature: float,
    occupancy: float = 0.9,
    speed: float = 1.0,
    lattice: str = "fcc",
    seed: int = 1,
    size: int = 8,
    jumps: int = 100,
    landscapes: int = 32,
    reach: float = 1.0,
) -> PairWalk:
    """Let native and foreign ions hop between the sites of a joint landscape.

    Parameters
    ----------
    pair : PairLandscape
        Made by `pair.pair_landscape`.
    y : float
        Native fraction of the ions (1), between 0 and 1.
    temperature : float
        In K.
    occupancy : float
        Occupied share of the sites, between 0 and 1.
    speed : float
        Rate of a foreign ion at its E_0 over that of a native one at its own, 1e-6 to 1e6.
    lattice : str
        As in `walk_lattice`.
    seed : int
        Equal seeds give equal results, in any thread.
    size : int
        Cells of the box along each cell vector, at least 4.
    jumps : int
        D* is the slope between this number of jumps an ion and twice it, at least 16; L that
        between an eighth and a quarter of it.
    landscapes : int
        Boxes, each with its own energies, at least 8; each is walked through twice ``jumps`` to
        come to rest and through four windows of as many.
    reach : float
        Distance of the farthest neighbours, 1 (the nearest only) to 4; with many neighbours the
        mean field of `pair` becomes exact. The box must be wider than twice the reach.

    Returns
    -------
    PairWalk

    Raises
    ------
    ValueError
        If an argument is outside its range, or an ion or the vacancies are left out of the box.
    RuntimeError
        If no ion of a kind has moved.
    """
    if not isinstance(pair, PairLandscape):
        raise ValueError(f"pair = {pair!r} is not made by pair_landscape")
    require_name("lattice", lattice, LATTICES)
    y = require("y", y, np.nextafter(0, 1), np.nextafter(1, 0))
    occupancy = require("occupancy", occupancy, np.nextafter(0, 1), np.nextafter(1, 0))
    kT = BOLTZMANN * require("temperature", temperature, *TEMPERATURE)
    speed = require("speed", speed, 1e-6, 1e6)
    size = require_whole("size", size, 4, 1000)
    jumps = require_whole("jumps", jumps, 16, 10**12)
    landscapes = require_whole("landscapes", landscapes, 8, 10**6)
    reach = require("reach", reach, 1.0, 4.0)
    if size <= 4 * reach > 4:
        raise ValueError(f"size = {size} is too small for reach = {reach:g}: it takes more cells")
    rng = np.random.default_rng(require_whole("seed", seed, 0))
    box = periodic_lattice(lattice, size, reach)
    sites, d = len(box[0]), len(LATTICES[lattice][0])
    ions = round(occupancy * sites)
    native = round(y * ions)
    if not 0 < native < ions < sites:
        raise ValueError(f"y = {y:g} leaves {native} native ions of {ions} on {sites} sites")
    counts = np.array([native, ions - native])
    weights = np.full(sites, 1 / sites)
    guest = np.repeat(np.arange(2), counts)
    state = rng.integers(2**64, size=1, dtype=np.uint64)
    short = -(-jumps * ions // 8)
    sums, held, expected = np.zeros((landscapes, 8)), np.zeros((landscapes, 2, sites)), []
    for block, times in zip(sums, held, strict=True):
        energies = _box(pair, sites, occupancy, kT, rng)
        filling = fill(energies, weights, math.log(native / counts[1]), ions / sites)
        expected.append(filling.occupied)
        occupant = _occupy(filling.occupied, counts, rng)
        rate = portable_exp(energies + np.array([[0.0], [math.log(speed)]]))
        times[:] = walk_box(box, rate, guest, occupant, state, short, block)

    time = sums[:, 6]
    held /= time[:, None, None]
    # the sums hold half of all windows times the slope, and all of them times the slope
    tracer = sums[:, :2] / (d * counts)
    for name, moved in zip(("native", "foreign"), np.abs(sums[:, :2]).sum(axis=0), strict=True):
        if moved == 0:
            raise RuntimeError(f"no {name} ion has moved: take more jumps, or a larger box")
    L = sums[:, 2:6].reshape(-1, 2, 2) / (2 * d * ions)
    mig = L.sum(axis=2) * ions / counts
    return PairWalk(
        native / ions, sites, sites - ions,
        *ratio_of_means(tracer, time[:, None]), *ratio_of_means(mig, time[:, None]),
        *ratio_of_means(L, time[:, None, None]), *ratio_of_means(tracer, mig),
        np.concatenate(list(held), axis=1), np.concatenate(expected, axis=1),
        jumps=64 * short * landscapes,
    )  # fmt: skip


def _box(
    pair: PairLandscape, sites: int, occupancy: float, kT: float, rng: np.random.Generator
) -> Array:
    """Energies (kT) of both ions on the sites of a box, less E_0; shape (2, sites).

    Each of the two independent normal variables takes equal steps of its distribution.
    """
    steps = (np.arange(sites) + 0.5) / sites
    energies = pair.energies(rng.permutation(steps), rng.permutation(steps), rng.permutation(steps))
    bulk = np.array([[pair.native.ppf(occupancy)], [pair.foreign.ppf(occupancy)]])
    return (energies - bulk) / kT


def _occupy(chances: Array, counts: Array, rng: np.random.Generator) -> NDArray[np.int64]:
    """Number of the ion on each site, or -1; the first ``counts[0]`` ions are native."""
    total = chances.sum(axis=0)
    filled = np.flatnonzero(fill_at_random(total, int(counts.sum()), rng))
    native = fill_at_random(chances[0, filled] / total[filled], int(counts[0]), rng)
    occupant = np.full(total.size, -1)
    occupant[filled[native]] = np.arange(counts[0])
    occupant[filled[~native]] = counts[0] + np.arange(counts[1])
    return occupant
