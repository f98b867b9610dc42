"""Kinetic Monte Carlo of a lattice gas: tracer and conductivity diffusion, and the Haven ratio.

Particles on the sites of a periodic lattice, a few sites vacant, no interaction. In `walk_lattice`
all sites are equal: every pair of a particle and a vacancy side by side exchanges at the same
rate. What is left is the geometry of the vacancy mechanism. A jump is often undone by the same
vacancy, so a particle spreads more slowly (D*) than the charge does (D_sigma):
H_R = D*/D_sigma < 1. In `walk_landscape` the sites have the energies of a distribution.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.special import expit

from .checks import OCCUPANCY, TEMPERATURE, require, require_name, require_whole
from .compiled import jit
from .landscape import BOLTZMANN, require_sed

# Cell vectors (rows), sites in the cell, cells along each vector; neighbours at distance 1.
LATTICES = {
    "chain": (np.eye(1), np.zeros((1, 1)), 64),
    "square": (np.eye(2), np.zeros((1, 2)), 32),
    "honeycomb": (np.array([[3**0.5, 0.0], [0.75**0.5, 1.5]]), np.array([[0, 0], [0, -1]]), 24),
    "sc": (np.eye(3), np.zeros((1, 3)), 12),
    "bcc": ((1 - 2 * np.eye(3)) / 3**0.5, np.zeros((1, 3)), 12),
    "fcc": ((1 - np.eye(3)) / 2**0.5, np.zeros((1, 3)), 12),
    "diamond": ((1 - np.eye(3)) * 2 / 3**0.5, np.outer([0, 1], np.ones(3)) / 3**0.5, 10),
}
COLLECTIVE = 16  # attempts over which the collective displacement is squared, see walk_lattice


# --- compiled walks; numba's disk cache notices edits only in the file of the function ---


@jit
def splitmix(state):
    """Two random integers of 32 bits from the splitmix64 generator held in ``state[0]``.

    With the state in the caller's hands a walk is reproducible and independent of threads.
    """
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z >> np.uint64(32), z & np.uint64(0xFFFFFFFF)


@jit
def exchange_walk(neighbours, steps, kind, occupant, vacant, state, windows, half, short, sums):
    """Exchange vacancies with random neighbours and add up squared displacements.

    ``neighbours[site, m]`` lies at the unit vector ``steps[kind[site], m]`` (three components)
    from its site; ``occupant[site]`` is a particle or -1, ``vacant[v]`` a site. An attempt picks
    a vacancy and a neighbour, and is lost when that is vacant too. Over ``windows`` of two halves
    of ``half`` attempts each, ``sums`` gains
    [0] the particles' squared displacements over the window less the mean of those over its two
    halves: ``half`` times the slope of the tracer curve, free of its offset;
    [1] the squared collective displacement over every ``short`` attempts; [2] the jumps.
    """
    particles = occupant.size - vacant.size
    long = np.zeros((particles, 3))  # displacement since the start of the window
    late = np.zeros((particles, 3))  # and since the start of its half
    seen = np.full(particles, -1)  # the half in which a particle has last moved
    picks = np.uint64(vacant.size)
    ways = np.uint64(neighbours.shape[1])
    total = np.zeros(3)
    for part in range(2 * windows):
        for _ in range(half // short):
            total[:] = 0.0
            for _ in range(short):
                high, low = splitmix(state)
                v = np.int64((high * picks) >> np.uint64(32))
                m = np.int64((low * ways) >> np.uint64(32))
                here = vacant[v]
                there = neighbours[here, m]
                p = occupant[there]
                if p < 0:
                    continue
                if seen[p] != part:
                    late[p] = 0.0
                    if seen[p] // 2 != part // 2:
                        long[p] = 0.0
                    seen[p] = part
                sums[0] += 0.5  # |long + u|^2 - |long|^2 less half of the same for late
                for axis in range(3):
                    u = -steps[kind[here], m, axis]
                    sums[0] += u * (2.0 * long[p, axis] - late[p, axis])
                    long[p, axis] += u
                    late[p, axis] += u
                    total[axis] += u
                sums[2] += 1.0
                occupant[here] = p
                occupant[there] = -1
                vacant[v] = there
            sums[1] += total[0] ** 2 + total[1] ** 2 + total[2] ** 2


@jit
def plant(tree, leaf, value):
    """Set a leaf of a binary tree whose every node holds the sum of its two children."""
    node = tree.size // 2 + leaf
    tree[node] = value
    while node > 1:
        node //= 2
        tree[node] = tree[2 * node] + tree[2 * node + 1]


@jit
def hop_walk(
    neighbours,
    steps,
    kind,
    rate,
    guest,
    occupant,
    tree,
    state,
    last,
    windows,
    shorts,
    short,
    sums,
    held,
):
    """Let ions hop on sites of unequal energy and add up squared displacements.

    Ion p is of the species ``guest[p]``, one of k, and leaves ``site`` for each vacant neighbour
    at ``rate[guest[p], site]``. An attempt picks an ion with a probability proportional to its
    rate from ``tree`` (`plant`; a leaf a site, the rate of its ion, or zero) and any neighbour,
    and is lost when that is occupied; it takes the mean time between attempts, so that no clock
    is drawn. Over ``windows`` of two halves of ``shorts`` times ``short`` jumps each, ``sums``
    gains, in this order,
    k: each species' squared displacements as in `exchange_walk`: half a window times the slope;
    k k: for each ``short`` jumps the product R_a R_b of the collective displacements, and twice
    that of R_a and the ``last`` R_b: ``short`` jumps times the slope; the time; the attempts.
    ``held[species, site]`` gains the time for which a site is held by a species.
    """
    species = len(rate)
    clock = species + species * species
    since = np.full(occupant.size, sums[clock])
    leaves = tree.size // 2
    ions = 0
    for p in occupant:
        ions = max(ions, p + 1)
    long = np.zeros((ions, 3))
    late = np.zeros((ions, 3))
    seen = np.full(ions, -1)
    ways = neighbours.shape[1]
    total = np.zeros((species, 3))
    for part in range(2 * windows):
        for _ in range(shorts):
            total[:] = 0.0
            jumps = 0
            while jumps < short:
                sums[clock] += 1.0 / (ways * tree[1])
                sums[clock + 1] += 1.0
                high, low = splitmix(state)
                left = (high + low * 2.0**-32) * 2.0**-32 * tree[1]
                node = 1
                while node < leaves:
                    node *= 2
                    if left >= tree[node] and tree[node + 1] > 0.0:
                        left -= tree[node]
                        node += 1
                here = node - leaves
                # what is left of the random number chooses the neighbour
                m = min(int(ways * left / tree[node]), ways - 1)
                there = neighbours[here, m]
                if occupant[there] >= 0:
                    continue
                jumps += 1
                p = occupant[here]
                a = guest[p]
                if seen[p] != part:
                    late[p] = 0.0
                    if seen[p] // 2 != part // 2:
                        long[p] = 0.0
                    seen[p] = part
                for axis in range(3):
                    u = steps[kind[here], m, axis]
                    sums[a] += u * (0.5 * u + 2.0 * long[p, axis] - late[p, axis])
                    long[p, axis] += u
                    late[p, axis] += u
                    total[a, axis] += u
                held[a, here] += sums[clock] - since[here]
                since[there] = sums[clock]
                occupant[there] = p
                occupant[here] = -1
                plant(tree, here, 0.0)
                plant(tree, there, rate[a, there])
            for axis in range(3):
                for a in range(species):
                    for b in range(species):
                        product = total[a, axis] * (total[b, axis] + 2.0 * last[b, axis])
                        sums[species + a * species + b] += product
            last[:] = total
    for site in range(occupant.size):
        if occupant[site] >= 0:
            held[guest[occupant[site]], site] += sums[clock] - since[site]


# --- what a walk measures ---


@dataclass(frozen=True)
class LatticeWalk:
    """What a walk has measured; errors are standard errors over the blocks.

    Diffusion coefficients are in units of the squared neighbour distance times the exchange
    rate of one particle-vacancy pair, per particle, so D_sigma = sigma kT / (n e^2).
    """

    lattice: str
    sites: int
    vacancies: int
    haven_ratio: float
    haven_error: float
    D_tracer: float
    tracer_error: float
    D_sigma: float
    sigma_error: float
    jumps: int


def periodic_lattice(
    lattice: str, size: int, reach: float = 1.0
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    """Neighbour table of a periodic box of ``size`` cells along each cell vector.

    Neighbours are all sites up to ``reach``, the distance of the nearest being one.

    Returns
    -------
    neighbours : ndarray, shape (sites, z)
        Site numbers.
    steps : ndarray, shape (sites in the cell, z, 3)
        Vectors to them, padded with zeros in one and two dimensions.
    kind : ndarray, shape (sites,)
        Place of each site in its cell, the first index of ``steps``.
    """
    cell, basis, _ = LATTICES[lattice]
    places, d = basis.shape
    cells = np.indices((size,) * d).reshape(d, -1)
    table: list[list[NDArray]] = [[] for _ in range(places)]
    steps: list[list[NDArray]] = [[] for _ in range(places)]
    far = 1 if reach == 1 else math.ceil(2 * reach)
    shifts = itertools.product(range(-far, far + 1), repeat=d)
    hops = itertools.product(range(places), range(places), shifts)
    for here, there, shift in hops:
        step = np.array(shift) @ cell + basis[there] - basis[here]
        if 0.5 < np.linalg.norm(step) < reach + 1e-9:
            target = (cells + np.array(shift)[:, None]) % size
            table[here].append(np.ravel_multi_index(tuple(target), (size,) * d) * places + there)
            steps[here].append(np.pad(step, (0, 3 - d)))
    neighbours = np.array(table).transpose(2, 0, 1).reshape(cells.shape[1] * places, -1)
    return np.ascontiguousarray(neighbours), np.array(steps), np.tile(np.arange(places), size**d)


def relaxation_attempts(lattice: str, size: int) -> float:
    """Attempts of a vacancy in which the slowest wave of the box decays by e: 2 d / k_min^2."""
    cell = LATTICES[lattice][0]
    waves = 2 * np.pi / size * np.linalg.inv(cell).T
    shortest = min(
        np.linalg.norm(np.array(m) @ waves)
        for m in itertools.product((-1, 0, 1), repeat=len(cell))
        if any(m)
    )
    return 2 * len(cell) / shortest**2


def infinite_lattice(ratio: float, dimension: int, sites: int, vacancies: int) -> float:
    """Haven ratio of the infinite lattice from that of a periodic box.

    A moved particle leaves a dipole in the density, and in a box the dipole's periodic images
    pull the particle on. One vacancy stands for the dilute limit: <cos> of successive jumps,
    (H - 1)/(H + 1), is too high by 2/(d sites), and terms in sites^-(1 + 2/d) remain. At a share
    v = vacancies/sites, H is too high by (1 - H v)^2 / (d particles); less than 1/sites remains
    in the boxes tried, from 32 sites up. Both are exact for a chain, where H = 0.
    """
    if vacancies == 1:
        cosine = (ratio - 1) / (ratio + 1) - 2 / (dimension * sites)
        return (1 + cosine) / (1 - cosine)
    share = vacancies / sites
    true = ratio
    for _ in range(50):  # a contraction: its slope is 2 share / (d particles) at most
        true = ratio - (1 - true * share) ** 2 / (dimension * (sites - vacancies))
    return true


def walk_lattice(
    lattice: str,
    vacancies: int | float = 1,
    seed: int = 1,
    size: int | None = None,
    attempts: int = 64_000_000,
    blocks: int = 64,
) -> LatticeWalk:
    """Measure D*, D_sigma and the Haven ratio of a lattice gas by random vacancy exchanges.

    Every particle is a tracer: D* is the slope of the summed squared displacements between n
    and 2 n attempts, with n six times the relaxation of the box, so that what is left of the
    memory is the size of the box, which `infinite_lattice` takes out of H_R and D*. D_sigma is
    the square of their sum, over a few attempts only: without interaction and site energies the
    mean current of any arrangement is zero (neighbouring vacancies lose opposite attempts), so
    that successive jumps are uncorrelated as a whole and a longer window adds nothing but noise.

    Parameters
    ----------
    lattice : str
        "chain", "square", "honeycomb", "sc", "bcc", "fcc" or "diamond".
    vacancies : int or float
        Their number, or as a float in (0, 1) their share of the sites. One vacancy is taken
        for the dilute limit.
    seed : int
        Equal seeds give equal results, in any thread.
    size : int, optional
        Cells of the box along each cell vector, at least 4; about 1000 to 2000 sites if left out.
    attempts : int
        Attempted exchanges in all, shared out over the blocks in whole windows.
    blocks : int
        Blocks of the error estimate, at least 8.

    Returns
    -------
    LatticeWalk

    Raises
    ------
    ValueError
        If an argument is outside its range, or the attempts do not fill one window a block.

    Notes
    -----
    One vacancy, exactly: sc 0.653109, bcc 0.727194, fcc 0.781451, diamond 1/2, honeycomb 1/3,
    square 1/(pi - 1), chain 0 (first table: Compaan and Haven, doi 10.1039/TF9565200786).
    """
    require_name("lattice", lattice, LATTICES)
    cell, basis, usual = LATTICES[lattice]
    size = usual if size is None else require_whole("size", size, 4, 1000)
    sites = size ** len(cell) * len(basis)
    if isinstance(vacancies, float):
        if not 0 < vacancies < 1:
            raise ValueError(f"vacancies = {vacancies:g} is not a share in (0, 1)")
        holes = round(vacancies * sites)
        if not 2 <= holes < sites:
            raise ValueError(f"vacancies = {vacancies:g} of {sites} sites: take a larger size")
    else:
        holes = require_whole("vacancies", vacancies, 1, sites - 1)
    seed = require_whole("seed", seed, 0)
    blocks = require_whole("blocks", blocks, 8, 10**6)
    # an even number of attempts: on lattices of two alternating halves the odd ones differ
    half = math.ceil(6 * relaxation_attempts(lattice, size) * holes / COLLECTIVE) * COLLECTIVE
    windows = require_whole("attempts", attempts, 2 * half * blocks, 10**15) // (2 * half * blocks)

    neighbours, steps, kind = periodic_lattice(lattice, size)
    rng = np.random.default_rng(seed)
    vacant = rng.choice(sites, holes, replace=False)
    occupant = np.full(sites, -1)
    occupant[np.setdiff1d(np.arange(sites), vacant)] = np.arange(sites - holes)
    state = rng.integers(2**64, size=1, dtype=np.uint64)
    sums = np.zeros((blocks, 3))
    for block in sums:
        exchange_walk(
            neighbours, steps, kind, occupant, vacant, state, windows, half, COLLECTIVE, block
        )

    tracer, collective = sums[:, 0] / (windows * half), sums[:, 1] / (2 * windows * half)
    ratio = tracer.mean() / collective.mean()
    haven = infinite_lattice(ratio, len(cell), sites, holes)
    # squared displacement an attempt -> diffusion coefficient a particle
    unit = holes * neighbours.shape[1] / (2 * len(cell) * (sites - holes))

    def error(values: NDArray) -> float:
        return float(np.std(values, ddof=1) / math.sqrt(blocks))

    return LatticeWalk(
        lattice=lattice,
        sites=sites,
        vacancies=holes,
        haven_ratio=float(haven),
        haven_error=error(tracer - ratio * collective) / float(collective.mean()),
        D_tracer=float(haven * collective.mean() * unit),
        tracer_error=error(tracer) * unit,
        D_sigma=float(collective.mean() * unit),
        sigma_error=error(collective) * unit,
        jumps=int(sums[:, 2].sum()),
    )


def watch_walk(
    lattice: str, share: float, frames: int, seed: int, every: int = 2, size: int = 8
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Follow all particles of a small box through a walk of `walk_lattice`, to be looked at.

    Parameters
    ----------
    lattice : str
        As in `walk_lattice`.
    share : float
        Of vacant sites, above 0 and below 1.
    frames, every : int
        Frames, with so many attempted exchanges from one to the next: an even number below half
        of ``size``, so that no way around the box is taken for a short one.
    seed : int
        Equal seeds give equal walks.
    size : int
        Cells of the box along each cell vector, at least 4.

    Returns
    -------
    places : ndarray, shape (frames + 1, particles, d)
        In distances of neighbours; who leaves the periodic box goes on outside.
    jumps : ndarray, shape (frames + 1,)
        Of all particles together since the beginning.
    """
    require_name("lattice", lattice, LATTICES)
    frames, size = require_whole("frames", frames, 1), require_whole("size", size, 4, 1000)
    if require_whole("every", every, 2, (size - 1) // 2) % 2:
        raise ValueError(f"every = {every} is not an even number")
    cell, basis, _ = LATTICES[lattice]
    neighbours, steps, kind = periodic_lattice(lattice, size)
    sites, d = kind.size, len(cell)
    holes = round(require("share", share, 0.0, 1.0) * sites)
    if not 0 < holes < sites:
        raise ValueError(f"share = {share:g} of {sites} sites leaves no vacancy or no particle")
    rng = np.random.default_rng(require_whole("seed", seed, 0))
    vacant = rng.choice(sites, holes, replace=False)
    occupant = np.full(sites, -1)
    occupant[np.setdiff1d(np.arange(sites), vacant)] = np.arange(sites - holes)
    state = rng.integers(2**64, size=1, dtype=np.uint64)
    cells = np.indices((size,) * d).reshape(d, -1).T
    place = (cells[:, None] @ cell + basis).reshape(sites, d)
    here = np.argsort(occupant)[holes:]
    places, jumps = [place[here]], [0]
    back = np.linalg.inv(cell) / size
    for _ in range(frames):
        sums = np.zeros(3)
        exchange_walk(
            neighbours, steps, kind, occupant, vacant, state, 1, every // 2, every // 2, sums
        )
        there = np.argsort(occupant)[holes:]
        turns = (place[there] - place[here]) @ back  # of the box; a frame takes less than half
        places.append(places[-1] + (turns - np.round(turns)) @ (cell * size))
        jumps.append(jumps[-1] + int(sums[2]))
        here = there
    return np.array(places), np.array(jumps)


def walk_landscape(
    sed: Any,
    fraction: float,
    temperature: float,
    occupancy: float = 0.9,
    lattice: str = "fcc",
    seed: int = 1,
    size: int = 8,
    jumps: int = 100,
    landscapes: int = 32,
) -> LatticeWalk:
    """Measure D*, D_sigma and the Haven ratio of ions that hop between sites of a SED.

    The sites of a periodic box have the energies of equal steps of the SED, shuffled. An ion on
    a site of energy E leaves for each vacant neighbour at the rate exp((E - E_0)/kT), E_0 being
    the energy up to which ``occupancy`` would fill the sites at zero temperature: the barrier is a
    common threshold less the energy of the site, the picture of eqn (2) of
    doi 10.1039/d4cp00262h. The rates obey detailed balance, and the sites fill as Fermi and
    Dirac say. Every landscape is one block of the error estimate.

    Parameters
    ----------
    sed : object with ``ppf``
        Site energy distribution (eV).
    fraction : float
        Ions as a fraction of those of the bulk, above 0, up to 1.
    temperature : float
        In K, above zero.
    occupancy : float
        Occupied share of the sites at fraction 1.
    lattice : str
        As in `walk_lattice`.
    seed : int
        Equal seeds give equal results, in any thread.
    size : int
        Cells of the box along each cell vector, at least 4.
    jumps : int
        D* is the slope between this number of jumps an ion and twice it, at least 16; D_sigma
        that between an eighth and a quarter of it.
    landscapes : int
        Boxes, each with its own order of the energies, at least 8; each is walked through twice
        ``jumps`` to come to rest and through four windows of as many.

    Returns
    -------
    LatticeWalk
        Diffusion coefficients in units of the squared neighbour distance times the rate at E_0.

    Raises
    ------
    ValueError
        If an argument is outside its range, or no ion or no vacancy is left.

    Notes
    -----
    Two limits are exact. A lone ion has D = z/(2d <1/rate>); and at any fraction D_sigma is at
    most that of a network of resistors between the sites, with the conductances
    (1 - f_i)(1 - f_j) exp((mu - E_0)/kT) of occupations f without memory.
    """
    require_name("lattice", lattice, LATTICES)
    require_sed("sed", sed)
    fraction = require("fraction", fraction, np.nextafter(0, 1), 1.0)
    occupancy = require("occupancy", occupancy, *OCCUPANCY)
    kT = BOLTZMANN * require("temperature", temperature, *TEMPERATURE)
    size = require_whole("size", size, 4, 1000)
    jumps = require_whole("jumps", jumps, 16, 10**12)
    landscapes = require_whole("landscapes", landscapes, 8, 10**6)
    rng = np.random.default_rng(require_whole("seed", seed, 0))
    neighbours, steps, kind = periodic_lattice(lattice, size)
    sites, d = kind.size, len(LATTICES[lattice][0])
    ions = round(fraction * occupancy * sites)
    if not 0 < ions < sites:
        raise ValueError(f"fraction = {fraction:g} leaves {ions} ions on {sites} sites")
    energies = (sed.ppf((np.arange(sites) + 0.5) / sites) - sed.ppf(occupancy)) / kT
    bounds = energies[0] - 60.0, energies[-1] + 60.0
    level = brentq(lambda mu: expit(mu - energies).sum() - ions, *bounds)

    state = rng.integers(2**64, size=1, dtype=np.uint64)
    short = -(-jumps * ions // 8)
    sums = np.zeros((landscapes, 4))
    for block in sums:
        shuffled = rng.permutation(energies)
        filled = fill_at_random(expit(level - shuffled), ions, rng)
        occupant = np.full(sites, -1)
        occupant[filled] = np.arange(ions)
        rate, guest = portable_exp(shuffled)[None], np.zeros(ions, dtype=np.int64)
        walk_box((neighbours, steps, kind), rate, guest, occupant, state, short, block)

    time = sums[:, 2]
    # the sums hold half of all windows times the slope, and all of them times the slope
    tracer, collective = sums[:, 0] / (d * ions), sums[:, 1] / (2 * d * ions)
    pairs = (tracer, collective), (tracer, time), (collective, time)
    found = itertools.chain.from_iterable(ratio_of_means(*pair) for pair in pairs)
    jumps = 8 * 8 * short * landscapes
    return LatticeWalk(lattice, sites, sites - ions, *map(float, found), jumps)


def walk_box(
    box: tuple[NDArray, NDArray, NDArray],
    rate: NDArray,
    guest: NDArray,
    occupant: NDArray,
    state: NDArray,
    short: int,
    sums: NDArray,
) -> NDArray[np.float64]:
    """Let a filled box come to rest, then measure in ``sums`` over four windows (`hop_walk`).

    ``box`` is what `periodic_lattice` returns, and a window has two halves of eight times
    ``short`` jumps. Returns the time for which each site was held, shape (species, sites).
    """
    sites = np.arange(occupant.size)
    filled = occupant >= 0
    leaving = np.where(filled, rate[np.where(filled, guest[occupant], 0), sites], 0.0)
    walk = *box, rate, guest, occupant, rate_tree(leaving), state, np.zeros((len(rate), 3))
    hop_walk(*walk, 1, 8, short, np.zeros_like(sums), np.zeros_like(rate))
    held = np.zeros_like(rate)
    hop_walk(*walk, 4, 8, short, sums, held)
    return held


def ratio_of_means(values: NDArray, unit: NDArray) -> tuple[NDArray, NDArray]:
    """Ratio of two means over blocks (the first axis), and its standard error."""
    mean = values.mean(axis=0) / unit.mean(axis=0)
    spread = np.std(values - mean * unit, axis=0, ddof=1) / math.sqrt(len(values))
    return mean, np.abs(spread / unit.mean(axis=0))


def portable_exp(energies: NDArray) -> NDArray[np.float64]:
    """Exponential rounded to 24 bits.

    A last digit that differs between processors cannot change a walk then.
    """
    mantissa, exponent = np.frexp(np.exp(energies))
    return np.ldexp(np.round(mantissa * 2**24), exponent - 24)


def rate_tree(rates: NDArray) -> NDArray[np.float64]:
    """Binary tree of `plant` over these leaves, filled up with zeros to a power of two."""
    leaves = 1 << (rates.size - 1).bit_length()
    tree = np.zeros(2 * leaves)
    tree[leaves : leaves + rates.size] = rates
    for node in range(leaves - 1, 0, -1):
        tree[node] = tree[2 * node] + tree[2 * node + 1]
    return tree


def fill_at_random(chance: NDArray, ions: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    """Occupy sites by their chances, then add or remove at random up to the number of ions."""
    filled = rng.random(chance.size) < chance
    while (excess := int(filled.sum()) - ions) != 0:
        site = int(rng.integers(chance.size))
        if filled[site] == (excess > 0) and (rng.random() < chance[site]) != (excess > 0):
            filled[site] = excess < 0
    return filled
