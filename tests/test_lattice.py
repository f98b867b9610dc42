"""The lattice gas against exact results: correlation factors, single file, lone particle."""

import itertools
import math
from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from scipy import stats
from scipy.constants import e, k
from scipy.optimize import brentq
from scipy.sparse import csr_array, diags_array, eye_array
from scipy.sparse.linalg import spsolve
from scipy.special import expit

from cait_helpers.lattice import (
    LATTICES,
    exchange_walk,
    hop_walk,
    infinite_lattice,
    periodic_lattice,
    plant,
    walk_landscape,
    walk_lattice,
    watch_walk,
)

EXACT = {
    "chain": 0.0,
    "square": 1 / (math.pi - 1),
    "honeycomb": 1 / 3,
    "sc": 0.653109,
    "bcc": 0.727194,
    "fcc": 0.781451,
    "diamond": 0.5,
}
COORDINATION = {"chain": 2, "square": 4, "honeycomb": 3, "sc": 6, "bcc": 8, "fcc": 12, "diamond": 4}


@cache
def walk(lattice, seed=1, **options):
    return walk_lattice(lattice, seed=seed, **options)


@pytest.mark.parametrize("lattice", LATTICES)
def test_the_neighbour_table_is_the_lattice(lattice):
    """Coordination number, unit steps that add up to zero, and every step undone by its reverse."""
    neighbours, steps, kind = periodic_lattice(lattice, 4)
    assert neighbours.shape == (len(kind), COORDINATION[lattice])
    np.testing.assert_allclose(np.linalg.norm(steps, axis=2), 1.0, rtol=1e-14)
    np.testing.assert_allclose(steps.sum(axis=1), 0.0, atol=1e-14)
    for site, row in enumerate(neighbours):
        assert len(set(row)) == len(row)
        for there, step in zip(row, steps[kind[site]], strict=True):
            back = list(neighbours[there]).index(site)
            np.testing.assert_allclose(steps[kind[there], back], -step, atol=1e-14)


@pytest.mark.parametrize("lattice", LATTICES)
def test_the_anchors_follow_from_the_return_directions_of_the_vacancy(lattice):
    """No random number: solve for the side from which the vacancy comes back to the tracer.

    With the tracer at site 0, h(x) is the mean displacement of its next jump for a vacancy at x:
    the average of h over the neighbours of x, with the jump itself where a neighbour is site 0.
    After a jump the vacancy is where the tracer was, <cos> = -h(y).y, f = (1+<cos>)/(1-<cos>).
    """
    neighbours, steps, kind = periodic_lattice(lattice, LATTICES[lattice][2])
    sites, z = neighbours.shape
    hop = csr_array(
        (np.full(neighbours.size, 1 / z), (np.repeat(np.arange(sites), z), neighbours.ravel())),
        shape=(sites, sites),
    )
    # displacement of the tracer is from site 0 to x: the reverse of the vacancy's step
    jump = np.where((neighbours == 0)[:, :, None], -steps[kind], 0.0).sum(axis=1) / z
    h = spsolve((eye_array(sites) - hop).tocsc()[1:, 1:], jump[1:])
    start = neighbours[0, 0]
    cosine = -h[start - 1] @ steps[kind[0], 0]
    box = (1 + cosine) / (1 - cosine)
    found = infinite_lattice(box, LATTICES[lattice][0].shape[0], sites, 1)
    # second order of the finite box, sites^-(1 + 2/d), times a constant of order one
    assert found == pytest.approx(EXACT[lattice], abs=2e-5)
    assert abs(box - EXACT[lattice]) > 2e-4  # the correction is needed


@pytest.mark.parametrize("lattice", LATTICES)
def test_one_vacancy_gives_the_exact_correlation_factor(lattice):
    """Within three standard errors and 0.5 % (of one, for the chain) of the exact value."""
    result = walk(lattice)
    off = abs(result.haven_ratio - EXACT[lattice])
    assert off < 3 * result.haven_error
    assert off < 0.005 * (EXACT[lattice] or 1.0)
    assert result.haven_error < 0.002
    assert result.haven_ratio == pytest.approx(result.D_tracer / result.D_sigma, rel=1e-12)
    tracer = EXACT[lattice] * conductive(result)
    assert abs(result.D_tracer - tracer) < 3.5 * result.tracer_error


def conductive(result):
    """Exact D_sigma of the box: an attempt succeeds where the neighbour holds a particle."""
    z, d = COORDINATION[result.lattice], LATTICES[result.lattice][0].shape[0]
    return result.vacancies * z / (2 * d * (result.sites - 1))


@pytest.mark.parametrize("vacancies", [1, 7, 0.2, 0.6])
def test_the_charge_diffuses_as_without_correlations(vacancies):
    """D_sigma from the mean field, z (share of vacancies)/2d, holds exactly at every share."""
    result = walk("honeycomb", vacancies=vacancies, size=12, attempts=16_000_000)
    assert abs(result.D_sigma - conductive(result)) < 3 * result.sigma_error
    assert result.sigma_error < 2e-3 * result.D_sigma


def test_the_window_of_the_collective_displacement_does_not_matter():
    """Squared over 16 attempts or over 320: uncorrelated, also where vacancies block each other."""
    neighbours, steps, kind = periodic_lattice("square", 8)
    means = []
    for short in (16, 320):
        vacant, occupant = np.arange(0, 64, 2), np.full(64, -1)
        occupant[1::2] = np.arange(32)
        sums = np.zeros((64, 3))
        state = np.array([5], dtype=np.uint64)
        for block in sums:
            exchange_walk(neighbours, steps, kind, occupant, vacant, state, 100, 320, short, block)
        ratio = sums[:, 1] / sums[:, 2]  # a jump adds one
        means.append((ratio.mean(), ratio.std(ddof=1) / 8))
    for mean, error in means:
        assert abs(mean - 1.0) < 3 * error
        assert error < 0.03


def test_a_lone_particle_has_the_haven_ratio_one():
    """All sites vacant but one: tracer and charge are the same walk, D = z/2d."""
    result = walk("sc", vacancies=63, size=4)
    assert abs(result.haven_ratio - 1.0) < 3 * result.haven_error
    assert result.haven_error < 0.01
    assert abs(result.D_tracer - 1.0) < 3 * result.tracer_error


def test_a_single_file_has_the_haven_ratio_zero_at_any_share():
    """Particles in a chain cannot pass: D* = 0, though half of the sites are vacant."""
    result = walk("chain", vacancies=0.5, size=32, attempts=32_000_000)
    assert abs(result.haven_ratio) < 3 * result.haven_error
    assert result.haven_error < 0.005


def test_more_vacancies_bring_the_haven_ratio_up_in_any_box():
    """Dilute value < share 1/4 < one, and boxes of 36 and 256 sites agree to 1/36."""
    small, large = (
        walk("square", vacancies=0.25, size=size, attempts=32_000_000) for size in (6, 16)
    )
    error = math.hypot(small.haven_error, large.haven_error)
    # what the docstring of infinite_lattice promises of the small box
    assert abs(small.haven_ratio - large.haven_ratio) < 3 * error + 1 / small.sites
    assert EXACT["square"] + 10 * error < small.haven_ratio < 1 - 10 * error


def test_equal_seeds_repeat_the_walk_in_any_thread():
    """The generator's state travels with the call."""
    with ThreadPoolExecutor(2) as pool:
        runs = list(pool.map(lambda s: walk_lattice("fcc", 3, s, 4, 4_000_000), [4, 4, 5]))
    assert runs[0] == runs[1] == walk_lattice("fcc", 3, 4, 4, 4_000_000)
    assert runs[0].haven_ratio != runs[2].haven_ratio


def test_different_seeds_scatter_as_the_error_says():
    """Sixty seeds: mean square deviation in standard errors is one, and there is no bias."""
    runs = [walk_lattice("sc", seed=s, size=8, attempts=1_000_000) for s in range(60)]
    for name, error, exact in (
        ("haven_ratio", "haven_error", EXACT["sc"]),
        ("D_sigma", "sigma_error", conductive(runs[0])),
    ):
        z = np.array([(getattr(r, name) - exact) / getattr(r, error) for r in runs])
        # chi squared of 60 has a relative standard deviation of 0.18; the mean one of 0.13
        assert 0.5 < np.mean(z**2) < 1.6
        assert abs(z.mean()) < 0.4


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lattice": "hcp"}, "lattice = 'hcp' is not one of chain, square"),
        ({"vacancies": 0}, "vacancies = 0 is not a whole number"),
        ({"vacancies": 1728}, r"in \[1, 1727\]"),
        ({"vacancies": 1.5}, "vacancies = 1.5 is not a share"),
        ({"vacancies": 1e-4}, "take a larger size"),
        ({"vacancies": True}, "vacancies = True"),
        ({"seed": -1}, "seed = -1"),
        ({"size": 3}, "size = 3"),
        ({"blocks": 2}, "blocks = 2"),
        ({"attempts": 1000}, r"attempts = 1000 is not a whole number in \[18432"),
    ],
)
def test_bad_input_is_refused_at_the_door(options, message):
    """The message names the argument, its value and what is allowed."""
    with pytest.raises(ValueError, match=message):
        walk_lattice(**{"lattice": "sc", **options})


def bare_walk(lattice, size, energies, ions, seed=1):
    """Arguments of hop_walk for given energies (kT) and ions on the first sites, and the box."""
    neighbours, steps, kind = periodic_lattice(lattice, size)
    occupant = np.full(kind.size, -1)
    occupant[:ions] = np.arange(ions)
    leaves = 1 << (kind.size - 1).bit_length()
    tree, rate = np.zeros(2 * leaves), np.exp(energies)[None]
    for site in range(ions):
        plant(tree, site, rate[0, site])
    state = np.array([seed], dtype=np.uint64)
    guest = np.zeros(ions, dtype=np.int64)
    return (neighbours, steps, kind, rate, guest, occupant, tree, state, np.zeros((1, 3)))


def network(neighbours, steps, kind, conductance, d):
    """Mean squared displacement a time of a current through bonds (site, neighbour): Kirchhoff."""
    sites, z = neighbours.shape
    step = steps[kind][:, :, :d]
    bonds = csr_array(
        (conductance.ravel(), (np.repeat(np.arange(sites), z), neighbours.ravel())),
        shape=(sites, sites),
    )
    laplace = (diags_array(bonds.sum(axis=1)) - bonds).tocsc()[1:, 1:]
    phi = np.zeros((sites, d))
    pull = (conductance[:, :, None] * step).sum(axis=1)[1:]
    phi[1:] = spsolve(laplace, pull).reshape(pull.shape)
    drop = step + phi[neighbours] - phi[:, None]
    return float((conductance[:, :, None] * drop**2).sum())


@pytest.mark.parametrize("odd", [False, True])
def test_hops_visit_every_arrangement_as_often_as_boltzmann_says(odd):
    """Two ions on a ring of four sites, every second jump: Boltzmann's weight times exit rate.

    A jump changes the parity of the sum of the two sites, so that two jumps keep it.
    """
    energies = np.array([0.0, 1.0, -1.5, 2.0])
    walk = bare_walk("chain", 4, energies, 2)
    occupant, tree, rate = walk[5], walk[6], walk[3][0]
    if not odd:
        occupant[:] = [0, -1, 1, -1]
        plant(tree, 1, 0.0)
        plant(tree, 2, rate[2])
    arrangements = list(itertools.combinations(range(4), 2))
    weight = np.array([np.exp(-energies[list(pair)].sum()) for pair in arrangements])
    exits = np.array(
        [sum(rate[i] * (((i + s) % 4) not in pair) for i in pair for s in (1, 3))
         for pair in arrangements]
    )  # fmt: skip
    sums, seen, held = np.zeros(4), np.zeros((50, 6)), np.zeros((1, 4))
    for block in seen:
        for _ in range(1000):
            hop_walk(*walk, 1, 1, 1, sums, held)
            block[arrangements.index(tuple(np.flatnonzero(occupant >= 0)))] += 1e-3
    same = np.array([sum(pair) % 2 == odd for pair in arrangements])
    expected = np.where(same, weight * exits, 0.0)
    expected /= expected.sum()
    error = seen.std(axis=0, ddof=1) / math.sqrt(50)
    assert (seen[:, ~same] == 0).all()
    assert (np.abs(seen.mean(axis=0) - expected)[same] < 4 * error[same]).all()
    assert error.max() < 0.01
    jumps = 2 * 50 * 1000
    assert jumps / sums[2] == pytest.approx((weight * exits).sum() / weight.sum(), rel=0.02)


@pytest.mark.parametrize(("lattice", "size"), [("chain", 6), ("square", 4)])
def test_a_lone_vacancy_among_unequal_sites_is_a_network_of_resistors(lattice, size):
    """One vacancy is one random walker: D_sigma from Kirchhoff's laws, no decoupling needed.

    From j it moves to i at rate_i and stays at j for rate_j / sum: bonds rate_i rate_j / sum.
    """
    energies = np.random.default_rng(3).normal(size=len(periodic_lattice(lattice, size)[2]))
    walk = bare_walk(lattice, size, energies, energies.size - 1)
    neighbours, steps, kind, (rate,) = walk[:4]
    d = LATTICES[lattice][0].shape[0]
    bonds = rate[:, None] * rate[neighbours] / rate.sum()
    exact = network(neighbours, steps, kind, bonds, d)  # <R^2> a time
    sums = np.zeros((40, 4))
    held = np.zeros((1, rate.size))
    hop_walk(*walk, 1, 1, 1000, np.zeros(4), held)
    for block in sums:
        hop_walk(*walk, 100, 1, 200, block, held)
    found = sums[:, 1] / sums[:, 2]
    assert abs(found.mean() - exact) < 3 * found.std(ddof=1) / math.sqrt(40)
    assert found.std(ddof=1) / math.sqrt(40) < 0.03 * exact


SED = stats.norm(scale=0.1)


def test_a_lone_ion_is_the_random_trap_model():
    """D* = D_sigma = z/(2d <1/rate>), whatever the order of the energies."""
    walk = walk_landscape(SED, 1 / 57.6, 600.0, size=4, jumps=16, landscapes=4000)
    assert walk.vacancies == walk.sites - 1
    levels = (SED.ppf((np.arange(64) + 0.5) / 64) - SED.ppf(0.9)) / (600.0 * k / e)
    exact = 12 / 6 / np.mean(np.exp(-levels))
    assert abs(walk.D_tracer - exact) < 3 * walk.tracer_error < 0.1 * exact
    assert abs(walk.D_sigma - exact) < 3 * walk.sigma_error < 0.1 * exact


@pytest.mark.parametrize("lattice", ["fcc", "honeycomb"])
def test_equal_energies_are_the_lattice_gas_without_energies(lattice):
    """A SED of 1e-9 eV: Haven ratio and D_sigma of walk_lattice at the same share."""
    size = {"fcc": 8, "honeycomb": 16}[lattice]
    plain = walk(lattice, vacancies=0.2, attempts=24_000_000)
    flat = walk_landscape(
        stats.norm(scale=1e-9), 0.8, 300.0, 0.999, lattice, size=size, jumps=24, landscapes=128
    )
    assert flat.vacancies == pytest.approx(0.2 * flat.sites, abs=1)
    corrected = infinite_lattice(
        flat.haven_ratio, len(LATTICES[lattice][0]), flat.sites, flat.vacancies
    )
    error = math.hypot(flat.haven_error, plain.haven_error)
    assert abs(corrected - plain.haven_ratio) < 3 * error < 0.05
    assert abs(flat.D_sigma - conductive(flat)) < 3 * flat.sigma_error


@pytest.mark.parametrize("fraction", [1.0, 0.5, 0.1])
def test_memory_slows_the_charge_below_the_network_without_it(fraction):
    """D_sigma <= Kirchhoff's network of mean occupations <= free jumps, and close to it."""
    found = walk_landscape(SED, fraction, 323.15, size=6, landscapes=16)
    neighbours, steps, kind = periodic_lattice("fcc", 6)
    kT, sites = 323.15 * k / e, kind.size
    levels = (SED.ppf((np.arange(sites) + 0.5) / sites) - SED.ppf(0.9)) / kT
    ions = found.sites - found.vacancies
    mu = brentq(lambda m: expit(m - levels).sum() - ions, -90.0, 90.0)
    rng, bounds = np.random.default_rng(8), []
    for _ in range(16):
        vacant = expit(rng.permutation(levels) - mu)
        bonds = np.exp(mu) * vacant[:, None] * vacant[neighbours]
        bounds.append(network(neighbours, steps, kind, bonds, 3) / (6 * ions))
    error = math.hypot(found.sigma_error, np.std(bonds, ddof=1) / 4)
    free = 2 * np.exp(mu) * (found.vacancies / sites) ** 2 * sites / ions  # z/2d = 2
    assert found.D_sigma < np.mean(bounds) + 3 * error
    assert found.D_sigma > 0.6 * np.mean(bounds)
    assert np.mean(bounds) < free


def test_a_landscape_repeats_for_equal_seeds():
    """The same numbers from the same seed, others from another."""
    runs = [walk_landscape(SED, 0.5, 400.0, size=4, seed=s, jumps=16) for s in (1, 1, 2)]
    assert runs[0] == runs[1] != runs[2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"lattice": "hcp"}, "lattice = 'hcp' is not one of"),
        ({"fraction": 0.0}, "fraction = 0 is outside"),
        ({"fraction": 1e-4}, "fraction = 0.0001 leaves 0 ions on 64 sites"),
        ({"occupancy": 1.0}, "occupancy = 1 is outside"),
        ({"temperature": -1.0}, "temperature = -1 K"),
        ({"jumps": 8}, "jumps = 8"),
        ({"landscapes": 4}, "landscapes = 4"),
    ],
)
def test_a_landscape_that_makes_no_sense_is_refused(options, message):
    """The message names the argument, its value and what is allowed."""
    values = {"fraction": 0.5, "temperature": 300.0, "size": 4, **options}
    with pytest.raises(ValueError, match=message):
        walk_landscape(SED, **values)


@pytest.mark.parametrize("name", ["chain", "square", "honeycomb", "fcc"])
def test_the_ions_that_are_watched_hop_from_site_to_site(name):
    """Two attempts a frame: at most two jumps in all, each to a neighbour, and none on one site."""
    places, jumps = watch_walk(name, 0.2, 60, 1, size=6)
    steps = np.linalg.norm(np.diff(places, axis=0), axis=2)
    assert np.all(steps.max(axis=1) < 2 + 1e-9)
    assert np.all(np.diff(jumps) <= 2)
    single = np.diff(jumps) == 1
    np.testing.assert_allclose(steps[single].sum(axis=1), 1.0)
    apart = np.linalg.norm(places[:, :, None] - places[:, None], axis=3)
    apart[:, *np.diag_indices(places.shape[1])] = 1
    assert apart.min() > 1 - 1e-9


def test_the_ions_that_are_watched_spread_as_the_walk_says():
    """Over 1000 attempts: together they move as free jumps do; one by one by less."""
    walks = [watch_walk("square", 0.1, 250, seed, 4, 10) for seed in range(120)]
    moved = np.array([places[-1] - places[0] for places, _ in walks])
    windows = np.array([np.diff(places.sum(axis=1), axis=0) for places, _ in walks])
    jumps = sum(count[-1] for _, count in walks)
    assert (windows**2).sum() / jumps == pytest.approx(1, abs=0.05)
    one = (moved**2).sum() / jumps
    assert walk_lattice("square", 0.1, attempts=9_000_000).haven_ratio < one < 0.65


@pytest.mark.parametrize(
    ("change", "message"),
    [({"lattice": "cube"}, "lattice"), ({"share": 0.001}, "share"), ({"every": 3}, "every = 3")],
)
def test_a_walk_that_cannot_be_watched_is_refused_by_name(change, message):
    given = {"lattice": "square", "share": 0.1, "frames": 3, "seed": 1} | change
    with pytest.raises(ValueError, match=message):
        watch_walk(**given)
