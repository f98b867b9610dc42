"""Two ions on one landscape: exact limits, symmetry, independent integrals, then the figures."""

import itertools

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.constants import e
from scipy.integrate import quad
from scipy.sparse import csr_array, diags_array
from scipy.sparse.linalg import cg
from scipy.special import expit, logit

import cait_helpers as cait
from cait_helpers import onsager
from cait_helpers.fronts import front
from cait_helpers.landscape import (
    BOLTZMANN,
    fermi_level,
    gaussian_sed,
    log_slope,
    skewed_sed,
    thermal_filling,
    two_component_sed,
)
from cait_helpers.lattice import periodic_lattice
from cait_helpers.pair import conductance, fill, pair_landscape

T, OCC = 323.15, 0.9
kT = BOLTZMANN * T
PAPER = gaussian_sed(0.250)
TAIL = skewed_sed(0.2, 0.5)
TWO = two_component_sed(0.3, gaussian_sed(0.1), gaussian_sed(0.2, 0.3))
FCC = 0.781451
QUICK = tuple(phase for phase in Phase if phase is not Phase.shrink)
quietly = settings(deadline=None, derandomize=True, max_examples=12, phases=QUICK)
landscapes = st.builds(
    pair_landscape,
    st.sampled_from([PAPER, TAIL, TWO, gaussian_sed(0.1)]),
    st.sampled_from([PAPER, TAIL, TWO, gaussian_sed(0.02)]),
    st.floats(-1.0, 1.0),
    st.sampled_from([0.0, 0.1]),
    st.floats(0.0, 1.0),
)
fractions = st.floats(1e-4, 1 - 1e-4)
temperatures = st.floats(250.0, 600.0)
occupancies = st.floats(0.3, 0.99)


def decades(pair, y, **options):
    """Decades by which D_native falls from the pure glass to the fractions y."""
    return -np.log10(pair.coefficients(y, T, OCC, **options).D_native)


# --- filling -----------------------------------------------------------------------------


@quietly
@given(landscapes, fractions, temperatures, occupancies)
def test_the_levels_give_both_ions_their_shares(pair, y, temperature, occupancy):
    """The mean occupations over the sites are occ y and occ (1 - y); vacancies are the rest."""
    energies, weights = pair.sites(temperature)
    native, foreign = pair.occupation(*energies, y, temperature, occupancy)
    assert weights @ native == pytest.approx(occupancy * y, rel=1e-10)
    assert weights @ foreign == pytest.approx(occupancy * (1 - y), rel=1e-10)
    assert np.all((native >= 0) & (foreign >= 0) & (native + foreign <= 1 + 1e-15))


@pytest.mark.parametrize("correlation", [-0.8, 0.99])
def test_another_quadrature_finds_the_same_shares(correlation):
    """Nested adaptive integrals over the native energy and the foreign one given it.

    They share nothing with the module but the levels: the copula in its conditional form.
    """
    pair = pair_landscape(PAPER, TAIL, correlation)
    level_1, level_2 = pair.levels(0.2, T, OCC)
    rest = np.sqrt(1 - correlation**2)

    def share(x):
        a_1 = np.exp((level_1 - PAPER.ppf(stats.norm.cdf(x))) / kT)

        def inner(z):
            a_2 = np.exp((level_2 - TAIL.ppf(stats.norm.cdf(correlation * x + rest * z))) / kT)
            return stats.norm.pdf(z) * a_1 / (1 + a_1 + a_2)

        points = np.linspace(-6, 6, 9)
        parts = itertools.pairwise(points)
        return stats.norm.pdf(x) * sum(quad(inner, *ends, epsabs=1e-9)[0] for ends in parts)

    nodes, weights = np.polynomial.legendre.leggauss(60)
    found = sum(w * 6 * share(6 * x) for x, w in zip(nodes, weights, strict=True))
    assert found == pytest.approx(OCC * 0.2, abs=2e-8)


@pytest.mark.parametrize("sed", [PAPER, TAIL, TWO], ids=["Gaussian", "tail", "two components"])
def test_a_pure_glass_is_filled_as_fermi_and_dirac_say(sed):
    """Without the other ion only its own distribution counts, whatever the correlation is."""
    expected = fermi_level(sed, 1.0, OCC, T)
    for correlation in (0.6, -1.0):
        found = pair_landscape(sed, PAPER, correlation).levels(1.0, T, OCC)[0]
        assert found == pytest.approx(expected, abs=1e-9 if sed is not TWO else 1e-5)


@quietly
@given(
    st.sampled_from([PAPER, TAIL, TWO]), st.floats(-1.0, 1.0), st.floats(400.0, 900.0), fractions
)
def test_half_the_steps_change_nothing(sed, correlation, temperature, y):
    """The sites that stand for all: levels from four times as many; see `PairLandscape.sites`."""
    pair = pair_landscape(sed, PAPER, correlation)
    factor = BOLTZMANN * temperature
    coarse = pair.sites(temperature)
    finer = pair.sites(temperature / 2)  # the steps go with kT
    found = [fill(E / factor, w, logit(y), OCC) for E, w in (coarse, finer)]
    np.testing.assert_allclose(
        found[0].level, found[1].level, rtol=0, atol=1e-8 if sed is not TWO else 2e-4
    )


@quietly
@given(landscapes, fractions, temperatures, occupancies)
def test_exchanging_the_ions_exchanges_their_coefficients(pair, y, temperature, occupancy):
    """(SED_1, SED_2, y) against (SED_2, SED_1, 1 - y): a mirror image, to rounding."""
    mirror = pair_landscape(
        pair.foreign, pair.native, pair.correlation, pair.mismatch, 1 - pair.adapted
    )
    options = {"haven": 0.6, "lattice_factor": FCC}
    one = pair.coefficients(y, temperature, occupancy, 2.0, 3e-2, **options)
    two = mirror.coefficients(1 - y, temperature, occupancy, 3e-2, 2.0, **options)
    for name in ("D", "chemical", "level"):
        for this, that in (("native", "foreign"), ("foreign", "native")):
            expected = getattr(two, f"{name}_{that}")
            assert getattr(one, f"{name}_{this}") == pytest.approx(expected, rel=1e-7, abs=1e-10)
    np.testing.assert_allclose(one.L, two.L[::-1, ::-1], rtol=1e-7)
    assert one.interdiffusivity == pytest.approx(two.interdiffusivity, rel=1e-7)


def test_few_vacancies_leave_a_fermi_function_of_the_differences():
    """v -> 0: y = <1/(1 + exp((E_1 - E_2 - mu_1 + mu_2)/kT))>, to first order in the vacancies.

    The differences are Gaussian with the variance 2 sigma^2 (1 - correlation).
    """
    correlation = 0.4
    pair = pair_landscape(PAPER, PAPER, correlation)
    differences = gaussian_sed(0.250 * np.sqrt(2 * (1 - correlation)))
    y = np.array([0.05, 0.3, 0.5, 0.8])
    off = []
    for vacancies in (4e-3, 2e-3, 1e-3):
        level_1, level_2 = pair.levels(y, T, 1 - vacancies)
        off.append(np.abs(thermal_filling(differences, level_1 - level_2, T)[0] - y).max())
    assert off[2] < 1.2e-3
    assert off[0] / off[1] > 1.7 and off[1] / off[2] > 1.7


# --- the two pictures of the paper, and what lies beyond -----------------------------------------


@pytest.mark.parametrize("sed", [PAPER, TAIL, TWO], ids=["Gaussian", "tail", "two components"])
def test_alike_sites_give_constant_coefficients(sed):
    """Correlation 1, equal SEDs: ideal mixing, mu_1 - mu_2 = kT ln(y/(1-y)); exact, also in K."""
    pair = pair_landscape(sed, sed, 1.0)
    y = np.array([1e-6, 0.03, 0.1, 0.5, 0.999])
    for factor in (1.0, FCC, 0.0):
        found = pair.coefficients(y, T, OCC, 1e-19, 1e-23, lattice_factor=factor)
        np.testing.assert_allclose(found.D_native, 1e-19, rtol=1e-11)
        np.testing.assert_allclose(found.D_foreign, 1e-23, rtol=1e-11)
        np.testing.assert_allclose(found.thermodynamic, 1.0, rtol=1e-9)
    level_1, level_2 = pair.levels(y, T, OCC)
    np.testing.assert_allclose((level_1 - level_2) / kT, logit(y), atol=1e-12)
    wave = front(*pair.laws(T, OCC, 1.0, 0.1))
    assert wave.kind == "wave" and wave.plateau == 0


@pytest.mark.parametrize("sed", [PAPER, TAIL], ids=["Gaussian", "tail"])
def test_a_foreign_ion_that_does_not_mind_leaves_the_segregated_picture(sed):
    """Width of the foreign SED to 0: D_foreign constant, the native ions at their own level.

    D_native = exp((E_F(y) - E_F(1))/kT) (1 - occ y)/((1 - occ) y), E_F with thermal filling.
    """
    pair = pair_landscape(sed, gaussian_sed(0.001), 0.0)
    y = np.array([0.01, 0.1, 0.3, 0.7, 1.0])
    found = pair.coefficients(y, T, OCC)
    level = fermi_level(sed, y, OCC, T)
    expected = np.exp((level - level[-1]) / kT) * (1 - OCC * y) / ((1 - OCC) * y)
    # what is left of the width, 0.015 kT, enters squared
    np.testing.assert_allclose(found.D_native, expected, rtol=5e-4)
    np.testing.assert_allclose(found.D_foreign, 1.0, rtol=5e-4)


@pytest.mark.parametrize(
    ("correlation", "expected"),
    [(1.0, (0.0, 0.0)), (0.5, (1.4, 1.8)), (0.0, (2.25, 2.9))],
)
def test_the_native_ions_slow_down_by_decades(correlation, expected):
    """Two Gaussians of 250 meV, 323 K: decades to y = 0.1 and 0.03 of an independent reckoning."""
    pair = cait.pair_landscape(PAPER, PAPER, correlation)
    np.testing.assert_allclose(decades(pair, [0.1, 0.03]), expected, atol=0.05)


@pytest.mark.parametrize("m, plateau", [(1e-1, 0.172), (1e-2, 0.0597), (1e-3, 0.0106)])
def test_mixed_ions_leave_a_plateau_unless_the_sites_are_alike(m, plateau):
    """17, 6 and 1 % at correlation 0; the effective medium cancels in the transference number."""
    pair = pair_landscape(PAPER, PAPER, 0.0)
    for factor in (1.0, FCC):
        found = front(*pair.laws(T, OCC, 1.0, m, lattice_factor=factor))
        assert found.kind == "shock"
        # both pure glasses have the same K here, so that D_foreign/D_native keeps its meaning
        assert found.plateau == pytest.approx(plateau, rel=5e-3)


def test_a_mismatch_slows_both_ions_and_means_nothing_on_sites_of_one_kind():
    """100 meV between adapted and other sites; none where all sites are adapted to one ion."""
    plain = pair_landscape(PAPER, PAPER, 0.5)
    y = [0.03, 0.5]
    mismatched = pair_landscape(PAPER, PAPER, 0.5, mismatch=0.1, adapted=0.5)
    assert np.all(decades(mismatched, y) > decades(plain, y) + 0.2)
    for adapted in (0.0, 1.0):
        same = pair_landscape(PAPER, PAPER, 0.5, mismatch=0.3, adapted=adapted)
        np.testing.assert_allclose(decades(same, y), decades(plain, y), atol=1e-9)


def test_the_conductivity_has_a_minimum_between_two_like_ions():
    """The mixed alkali effect: equal ions at correlation 0, the half-and-half glass conducts least.

    Less than either pure glass by more than a decade, although all distributions are equal.
    """
    y = np.array([0.01, 0.25, 0.5, 0.75, 0.99])
    found = pair_landscape(PAPER, PAPER, 0.0).coefficients(y, T, OCC)
    conductivity = found.L.sum(axis=(1, 2))
    conductivity /= conductivity[0]
    np.testing.assert_allclose(conductivity, conductivity[::-1], rtol=1e-9)
    assert np.argmin(conductivity) == 2
    pure = y * found.D_native + (1 - y) * found.D_foreign
    assert pure[2] < 0.1


# --- the network of resistors --------------------------------------------------------------------


def box_conductance(vacant, size, lattice="fcc"):
    """Kirchhoff's laws for resistors v(a) v(b) in a periodic box, in units of <v>^2 if all equal.

    Least dissipation at a uniform mean gradient along x.
    """
    neighbours, steps, kind = periodic_lattice(lattice, size)
    sites, z = neighbours.shape
    here, there = np.repeat(np.arange(sites), z), neighbours.ravel()
    g, u = vacant[here] * vacant[there], steps[kind][:, :, 0].ravel()
    off = csr_array((g, (here, there)), shape=(sites, sites))
    diagonal = off.sum(axis=1)
    kirchhoff = (diags_array(diagonal) - off).tocsr()
    potential, info = cg(
        kirchhoff, np.bincount(here, g * u, sites), rtol=1e-9, M=diags_array(1 / diagonal)
    )
    assert info == 0
    drop = u + potential[there] - potential[here]
    return g @ drop**2 / (g.size / sites * (u @ u) / g.size) / sites


def test_a_chain_of_sites_is_in_series():
    """f = 0: the medium is exact, K = 1/<1/v>^2."""
    rng = np.random.default_rng(3)
    v, w = rng.uniform(0.01, 1, 500), np.full(500, 1 / 500)
    assert conductance(v, w, 0.0)[0] == pytest.approx(1 / np.mean(1 / v) ** 2, rel=1e-12)
    assert conductance(v, w, 1.0)[0] == pytest.approx(np.mean(v) ** 2, rel=1e-12)


@pytest.mark.parametrize("lattice, f, size", [("fcc", FCC, 12), ("sc", 0.653109, 12)])
def test_the_medium_is_right_to_second_order_in_the_disorder(lattice, f, size):
    """Kirchhoff's laws in twelve boxes: the loss <v>^2 - K, for a spread of v of 5 and 20 %.

    A lone site in a uniform medium is exact to second order in the fluctuations. Left are the
    noise of the boxes (1 %) and the third order.
    """
    rng = np.random.default_rng(1)
    for spread, within in ((0.05, 0.04), (0.2, 0.1)):
        losses = []
        for _ in range(12):
            v = 1 + spread * np.clip(rng.standard_normal(size**3), -4, 4)
            weights = np.full(v.size, 1 / v.size)
            kirchhoff = box_conductance(v, size, lattice)
            losses.append(np.mean(v) ** 2 - np.array([kirchhoff, conductance(v, weights, f)[0]]))
        box, medium = np.mean(losses, axis=0)
        assert medium == pytest.approx(box, rel=within)


def test_the_ratio_of_conductances_is_right_to_a_twentieth_of_a_decade():
    """fcc, correlation 0, 323 K: K falls by six against <v>^2, but hardly with y."""
    pair = pair_landscape(PAPER, PAPER, 0.0)
    rng = np.random.default_rng(0)
    size = 14
    normal = rng.standard_normal((4, 2, size**3))
    found = {}
    for y in (0.1, 1.0):
        medium = pair.coefficients(y, T, OCC, lattice_factor=FCC).conductance
        boxes = []
        for x in normal:
            p = pair.occupation(*(PAPER.sigma * x), y, T, OCC)
            boxes.append(box_conductance(1 - p[0] - p[1], size))
        found[y] = float(medium), float(np.mean(boxes))
        assert found[y][1] < medium < (1 - OCC) ** 2
        assert medium < 1.6 * found[y][1]
    ratios = np.log10(np.array(found[0.1]) / np.array(found[1.0]))
    assert ratios[0] == pytest.approx(ratios[1], abs=0.05)
    assert 0 < ratios[1] < 0.15


# --- transport -----------------------------------------------------------------------------------


@quietly
@given(landscapes, fractions, temperatures, st.floats(0.1, 1.0), st.floats(-6.0, 0.0))
def test_the_matrix_agrees_with_the_onsager_module(pair, y, temperature, haven, log_m):
    """Admissible; its D_mig, transference and D~ (times Theta) are those of `onsager`."""
    N = 1.38e28
    found = pair.coefficients(y, temperature, OCC, 1e-19, 1e-19 * 10**log_m, haven, FCC, N)
    n = N * np.array([y, 1 - y])
    D_mig, D_chem = onsager.diffusivities(found.L, n, temperature)
    assert found.D_native == pytest.approx(D_mig[0], rel=1e-9)
    assert found.D_foreign == pytest.approx(D_mig[1], rel=1e-9)
    if haven == 1:
        np.testing.assert_allclose(D_chem, D_mig, rtol=1e-9)
    ideal = onsager.interdiffusivity(found.L, n, temperature)
    assert found.interdiffusivity == pytest.approx(found.thermodynamic * ideal, rel=1e-6)
    # with the field eliminated the chemical coefficients must give the same D~
    t = onsager.transference(found.L)
    mixed = t[1] * found.chemical_native + t[0] * found.chemical_foreign
    scale = abs(t[1] * found.chemical_native) + abs(t[0] * found.chemical_foreign)
    assert abs(found.interdiffusivity - mixed) < 1e-9 * scale
    assert found.tracer_native == pytest.approx(haven * found.D_native, rel=1e-12)


def test_the_thermodynamic_factor_is_the_slope_of_the_levels():
    """Theta = y (1-y) d(mu_1 - mu_2)/dy / kT against differences; 1 at both ends."""
    pair = pair_landscape(PAPER, TAIL, 0.2)
    y, h = np.array([0.05, 0.4, 0.9]), 1e-4
    up, down = (np.subtract(*pair.levels(y + s * h, T, OCC)) / kT for s in (1, -1))
    found = pair.coefficients(np.append(y, [0.0, 1.0]), T, OCC).thermodynamic
    np.testing.assert_allclose(found[:3], y * (1 - y) * (up - down) / (2 * h), rtol=1e-5)
    np.testing.assert_allclose(found[3:], 1.0, atol=1e-4)
    assert np.all(found[:3] > 1)


@pytest.mark.parametrize("factor", [1.0, FCC])
@pytest.mark.parametrize(
    "pair",
    [
        pair_landscape(PAPER, TAIL, 0.3),
        pair_landscape(gaussian_sed(0.1), PAPER, -1.0, 0.1, 0.3),
        pair_landscape(gaussian_sed(0.45), PAPER, 1.0),
    ],
    ids=["tail", "opposite", "wide"],
)
def test_the_laws_are_the_coefficients_with_their_slopes(pair, factor):
    """Each against its own fraction, and d ln D/d ln y as differences give it."""
    y = np.append(expit(np.linspace(-20, 15, 36) + 0.07), 1.0)
    native, foreign = pair.laws(T, OCC, 2e-19, 3e-22, factor)
    exact = pair.coefficients(y, T, OCC, 2e-19, 3e-22, lattice_factor=factor)
    np.testing.assert_allclose(native(y), exact.D_native, rtol=4e-6)
    np.testing.assert_allclose(foreign(1 - y), exact.D_foreign, rtol=4e-6)
    assert native(1.0) == 2e-19 and foreign(1.0) == 3e-22
    for law, own in ((native, y), (foreign, 1 - y)):
        own = own[(own < 0.99) & (own > 1e-11)]
        slope = log_slope(lambda v, law=law: law(v), own)
        np.testing.assert_allclose(law.log_slope(own), slope, atol=2e-4)
        assert law(-0.05) == law(1e-12)
        step = np.log(law(1.05) / law(1.0))
        assert step == pytest.approx(0.05 * law.log_slope(1.0), rel=1e-9, abs=1e-12)
    # the slope at 1 is that at 1 - 1e-6, where the laws begin to be straight
    ends = [pair.coefficients([v, 1 - v], T, OCC, lattice_factor=factor) for v in (9e-7, 1.1e-6)]
    for law, values in (
        (native, [end.D_native[1] for end in ends]),
        (foreign, [end.D_foreign[0] for end in ends]),
    ):
        slope = np.log(values[0] / values[1]) / 2e-7
        assert law.log_slope(1.0) == pytest.approx(slope, rel=1e-4, abs=1e-6)


def test_a_coupled_front_has_the_plateau_of_an_uncoupled_one_and_its_own_width():
    """The wave obeys N D~ dy/dx = J [t - t_p - s (y - y_p)] with the D~ of the Onsager matrix."""
    pair, flux = pair_landscape(PAPER, PAPER, 0.3), 1e-11
    laws = pair.laws(T, OCC, 1e-18, 1e-20)
    found = front(*laws, pair.exchange(T, OCC, 0.6))
    plain = front(*laws)
    assert (found.plateau, found.speed) == (plain.plateau, plain.speed)
    x = np.linspace(-3, 3, 7) * plain.width(flux)
    h = 1e-3 * plain.width(flux)
    y = found.wave(x, flux)
    slope = (found.wave(x + h, flux) - found.wave(x - h, flux)) / (2 * h)
    exact = pair.coefficients(y, T, OCC, 1e-18, 1e-20, haven=0.6)
    t = onsager_share(exact, y)
    behind = onsager_share(pair.coefficients(found.plateau, T, OCC, 1e-18, 1e-20), found.plateau)
    drive = t - behind - found.speed * (y - found.plateau)
    np.testing.assert_allclose(exact.interdiffusivity * slope, flux * drive, rtol=1e-3)
    assert found.width(flux) == pytest.approx(0.6 * plain.width(flux), rel=1e-4)


def onsager_share(found, y):
    return found.D_native * y / (found.D_native * y + found.D_foreign * (1 - y))


def test_the_laws_run_in_a_simulation():
    """Lithium behind the front of the full equations, at a field that leaves little diffusion."""
    laws = pair_landscape(PAPER, PAPER, 0.0).laws(T, OCC, 1e-18, 1e-20)
    glass = cait.Glass(thickness=0.5e-3, ion_density=1.38e28, permittivity=8.0, temperature=T)
    run = cait.simulate(
        glass,
        ions=dict(zip(("Li", "K"), laws, strict=True)),
        native="Li",
        beam="K",
        drive=cait.Voltage(500.0),
        until=cait.Charge(200.0),
        rtol=1e-2,
    )
    exact = front(*laws)
    assert run.resolved
    xi = np.array([0.3, 0.5, 0.7]) * exact.speed
    y = np.interp(xi * 200.0 / (e * 1.38e28), run.x, run.fraction["Li"])
    np.testing.assert_allclose(y, exact.fan(xi), rtol=0.015)


# --- doors ---------------------------------------------------------------------------------------

BAD = [
    ({"sed_native": 0.25}, "sed_native = 0.25"),
    ({"sed_foreign": None}, "sed_foreign = None"),
    ({"correlation": 1.01}, r"correlation = 1.01 is outside \[-1, 1\]"),
    ({"correlation": "high"}, "correlation = 'high' is not a number"),
    ({"mismatch": -0.1}, "mismatch = -0.1 eV"),
    ({"adapted": 1.5}, "adapted = 1.5"),
    ({"y": 1.2}, "y = 1.2 is outside"),
    ({"y": np.nan}, "y = nan"),
    ({"temperature": 0.0}, "temperature = 0 K"),
    ({"occupancy": 1.0}, "occupancy = 1 is outside"),
    ({"D_native": 0.0}, "D_native = 0 m"),
    ({"D_foreign": np.inf}, "D_foreign = inf"),
    ({"haven": 0.0}, "haven = 0 is outside"),
    ({"haven": 1.2}, "haven = 1.2"),
    ({"lattice_factor": -0.1}, "lattice_factor = -0.1"),
    ({"ion_density": -1.0}, "ion_density = -1"),
    ({"sed_native": gaussian_sed(2.0), "temperature": 200.0}, "temperature = 200 K is too low for"),
]


@pytest.mark.parametrize(("change", "message"), BAD, ids=[message for _, message in BAD])
def test_bad_input_is_refused_by_name(change, message):
    """Every argument of the door and of the coefficients."""
    arguments = {
        "sed_native": PAPER,
        "sed_foreign": PAPER,
        "correlation": 0.5,
        "y": 0.5,
        "temperature": T,
        "occupancy": OCC,
    } | change
    door = {
        name: arguments.pop(name)
        for name in ("sed_native", "sed_foreign", "correlation", "mismatch", "adapted")
        if name in arguments
    }
    with pytest.raises(ValueError, match=message):
        pair_landscape(**door).coefficients(**arguments)


@quietly
@given(
    st.floats(allow_nan=True, allow_infinity=True),
    st.sampled_from(["correlation", "y", "temperature", "occupancy", "haven", "lattice_factor"]),
)
def test_any_number_is_either_answered_or_refused_by_name(value, name):
    """Finite, positive coefficients, or a ValueError that names the argument."""
    arguments = {"y": 0.3, "temperature": T, "occupancy": OCC}
    correlation = value if name == "correlation" else 0.5
    if name != "correlation":
        arguments[name] = value
    try:
        found = pair_landscape(PAPER, TAIL, correlation).coefficients(**arguments)
    except ValueError as error:
        assert name in str(error)
    else:
        assert np.isfinite(found.L).all()
        assert found.D_native > 0 and found.D_foreign > 0


def test_a_distribution_that_is_known_in_part_is_refused():
    """An inverted D(y) has no energies outside its window."""
    law = cait.activated_diffusivity(PAPER, 1e-19, T, OCC)
    window = cait.sed_from_diffusivity(law, T, OCC)
    with pytest.raises(ValueError, match=r"(?s)sed_foreign .* is not known at all energies"):
        pair_landscape(PAPER, window, 0.5).levels(0.5, T, OCC)


def test_energies_of_a_site_are_checked():
    pair = pair_landscape(PAPER, PAPER, 0.5)
    with pytest.raises(ValueError, match="energy_native = nan eV"):
        pair.occupation(np.nan, 0.0, 0.5, T, OCC)
    far = pair.occupation([-50.0, 50.0], [0.0, 50.0], 0.5, T, OCC)
    np.testing.assert_allclose(far, [[1.0, 0.0], [0.0, 0.0]], atol=1e-30)
    assert expit(0) == 0.5
