"""Site energy distributions: exact values, limits, round trips, refusals."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.integrate import quad

from cait_helpers.landscape import (
    BOLTZMANN,
    activated_diffusivity,
    activation_energy,
    fermi_level,
    fwhm,
    gaussian_sed,
    log_slope,
    populated_sed,
    sed_from_diffusivity,
    skewed_sed,
    tabulated_diffusivity,
    thermal_filling,
    two_component_sed,
)

PAPER = gaussian_sed(0.250)
BOTH = two_component_sed(0.3, gaussian_sed(0.1), gaussian_sed(0.2, 0.3))
SEDS = {
    "Gaussian": PAPER,
    "long tail up": skewed_sed(0.250, 0.5),
    "long tail down": skewed_sed(0.250, -0.5),
    "two components": BOTH,
}
every_sed = pytest.mark.parametrize("sed", SEDS.values(), ids=SEDS.keys())
quietly = settings(deadline=None, derandomize=True, max_examples=30)
widths = st.floats(0.05, 0.4)
temperatures = st.floats(250.0, 500.0)
occupancies = st.floats(0.5, 0.99)


def test_gaussian_filling_has_its_closed_form():
    """E_F(y) is the quantile of the normal distribution: sigma = 250 meV / 2.3548."""
    sigma = 0.250 / np.sqrt(8 * np.log(2))
    y = np.array([1e-12, 0.1, 0.5, 1.0])
    expected = sigma * stats.norm.ppf(0.9 * y)
    np.testing.assert_allclose(fermi_level(PAPER, y, 0.9), expected, rtol=1e-14)


@pytest.mark.parametrize(
    ("occupancy", "expected"),
    [(0.9, 0.2784), (1 / 1.1, 0.2835), (0.97, 0.3376), (0.80, 0.2385)],
)
def test_activation_energy_rises_by_about_0_3_eV_to_a_tenth_of_the_ions(occupancy, expected):
    """The paper says about 0.3 eV; the number depends on how 10 % vacancies are counted.

    0.9 is a tenth of all sites vacant, 1/1.1 a tenth more sites than ions. Expected values from
    tables of the normal quantile, four digits.
    """
    rise = activation_energy(PAPER, 0.1, occupancy)
    assert rise == pytest.approx(expected, abs=6e-5)
    assert activation_energy(PAPER, 0.1, occupancy, bulk=0.7) == pytest.approx(0.7 + rise)


@pytest.mark.parametrize(
    ("temperature", "to_a_fifth", "to_a_tenth"),
    [(298.15, 3.9425, 4.7059), (323.15, 3.6375, 4.3418), (353.0, 3.3299, 3.9747)],
)
def test_D_falls_by_about_four_decades(temperature, to_a_fifth, to_a_tenth):
    """The paper's four orders of magnitude are reached near room temperature.

    Decades = (Q(0.9) - Q(0.9 y)) sigma / (kT ln 10), with the normal quantiles Q(0.9) = 1.281552,
    Q(0.18) = -0.915365, Q(0.09) = -1.340755.
    """
    D = activated_diffusivity(PAPER, 1e-19, temperature, 0.9)
    decades = np.log10(D.D_bulk / D(np.array([0.2, 0.1])))
    np.testing.assert_allclose(decades, [to_a_fifth, to_a_tenth], atol=6e-5)
    by_hand = 0.10616523 / (BOLTZMANN * temperature * np.log(10))
    by_hand *= np.array([1.2815516 + 0.9153651, 1.2815516 + 1.3407550])
    np.testing.assert_allclose(decades, by_hand, rtol=1e-6)


@every_sed
def test_a_distribution_is_consistent_with_itself(sed):
    """pdf is the derivative of cdf, ppf its inverse, and the whole integrates to one."""
    share = np.array([1e-9, 1e-4, 0.2, 0.5, 0.9, 0.999])
    energy = sed.ppf(share)
    np.testing.assert_allclose(sed.cdf(energy), share, rtol=1e-12)
    h = 1e-5
    slope = (sed.cdf(energy[2:] + h) - sed.cdf(energy[2:] - h)) / (2 * h)
    np.testing.assert_allclose(sed.pdf(energy[2:]), slope, rtol=1e-6)  # h^2 of the difference


@given(widths, st.floats(-2.0, 2.0), st.floats(-1.0, 1.0))
@quietly
def test_every_sed_has_the_width_and_the_middle_it_was_asked_for(width, shape, centre):
    """The numerical width finds the one that went into the construction; shape mirrors."""
    assert fwhm(gaussian_sed(width, centre)) == pytest.approx(width, rel=1e-10)
    sed, mirrored = skewed_sed(width, shape, centre), skewed_sed(width, -shape, -centre)
    assert fwhm(sed) == pytest.approx(width, rel=1e-9)
    assert sed.ppf(0.5) == pytest.approx(centre, abs=1e-12)
    # 1e-9: the width that scales each of the two is a numerical one
    energy = centre + width * np.linspace(-2, 2, 9)
    np.testing.assert_allclose(sed.pdf(energy), mirrored.pdf(-energy), rtol=1e-7, atol=1e-9)


def test_without_asymmetry_the_skewed_sed_is_the_gaussian_and_its_tails_are_as_promised():
    """shape = 0 is the normal distribution; far out the widths stand like exp(2 shape) to one."""
    share = np.array([1e-12, 0.1, 0.5, 0.9])
    np.testing.assert_allclose(skewed_sed(0.25, 0.0).ppf(share), PAPER.ppf(share), atol=1e-10)
    sed = skewed_sed(0.25, 0.4)
    ratio = (sed.ppf(1 - 1e-16) - sed.origin) / (sed.origin - sed.ppf(1e-16))
    assert ratio == pytest.approx(np.exp(0.8), rel=0.02)  # asinh u ~ ln 2u to 1/(4 u^2)


def test_two_equal_components_are_one_and_a_far_pair_counts_its_outer_edges():
    """Limits of the mixture: identical components, and the width across both peaks."""
    same = two_component_sed(0.4, PAPER, PAPER)
    share = np.linspace(0.01, 0.99, 50)
    np.testing.assert_allclose(same.ppf(share), PAPER.ppf(share), atol=1e-15)
    pair = two_component_sed(0.5, gaussian_sed(0.1, -0.5), gaussian_sed(0.1, 0.5))
    assert fwhm(pair) == pytest.approx(1.1, abs=1e-9)


@every_sed
def test_width_of_the_populated_part_equals_the_whole_iff_the_upper_half_maximum_is_filled(sed):
    """A cut of the SED above its upper half maximum leaves the width alone; one below does not."""
    edge = brentq_upper_half(sed)
    assert fwhm(populated_sed(sed, edge + 1e-4)) == pytest.approx(fwhm(sed), rel=1e-9)
    assert fwhm(populated_sed(sed, edge - 1e-4)) < fwhm(sed) - 1e-6


def brentq_upper_half(sed) -> float:
    """Share of the sites below the highest energy at half the maximum density."""
    energy = np.linspace(-1.5, 1.5, 600001)
    density = sed.pdf(energy)
    return float(sed.cdf(energy[np.flatnonzero(density >= density.max() / 2)[-1]]))


def test_the_populated_gaussian_keeps_its_width_down_to_an_occupancy_of_0_8804():
    """The upper half maximum lies at sqrt(2 ln 2) sigma, below which 0.88045 of the sites lie."""
    limit = stats.norm.cdf(np.sqrt(2 * np.log(2)))
    assert limit == pytest.approx(0.88049, abs=1e-4)
    assert fwhm(populated_sed(PAPER, 0.9)) == pytest.approx(0.250, rel=1e-10)
    # 20 % vacancies: the cut, 0.8416 sigma above the middle, is the upper edge
    cut = (np.sqrt(2 * np.log(2)) + stats.norm.ppf(0.8)) * 0.250 / np.sqrt(8 * np.log(2))
    assert fwhm(populated_sed(PAPER, 0.8)) == pytest.approx(cut, rel=1e-10)
    # below half filling the cut is the maximum: half of exp(-E^2/2 sigma^2) is at E^2 + 2 ln 2
    top = stats.norm.ppf(0.3)
    cut = (top + np.sqrt(top**2 + 2 * np.log(2))) * 0.250 / np.sqrt(8 * np.log(2))
    assert fwhm(populated_sed(PAPER, 0.3)) == pytest.approx(cut, rel=1e-8)


def test_the_mobile_part_is_what_lies_between_plateau_and_bulk():
    """Fig. 4 of the paper: the shares of the parts add up, and their densities do."""
    whole = populated_sed(PAPER, 0.9)
    mobile, rest = populated_sed(PAPER, 0.9, low=0.15), populated_sed(PAPER, 0.9, high=0.15)
    assert mobile.share == pytest.approx(0.9 * 0.85)
    assert mobile.share + rest.share == pytest.approx(whole.share) == pytest.approx(0.9)
    assert mobile.bottom == rest.top == fermi_level(PAPER, 0.15, 0.9)
    area, _ = quad(mobile.pdf, mobile.bottom, mobile.top, epsabs=1e-13)
    assert area == pytest.approx(mobile.share, abs=1e-12)
    assert mobile.cdf(mobile.top) == pytest.approx(mobile.share)
    np.testing.assert_allclose(mobile.ppf([0.0, mobile.share]), [mobile.bottom, mobile.top])


# --- thermal filling ---


@every_sed
@pytest.mark.parametrize("level", [-0.8, -0.2, 0.0, 0.15])
def test_thermal_filling_agrees_with_gauss_legendre_quadrature(sed, level):
    """The integral of g/(1 + exp((E - E_F)/kT)), as it stands, by another method."""
    kT = BOLTZMANN * 323.15

    node, weight = np.polynomial.legendre.leggauss(20)
    edges = np.linspace(-3.0, 3.0, 601)
    energy = edges[:-1, None] + 0.005 * (1 + node)
    occupation = 1 / (1 + np.exp((energy - level) / kT))
    expected = 0.005 * np.sum(weight * sed.pdf(energy) * occupation)
    share, slope = thermal_filling(sed, level, 323.15)
    assert share == pytest.approx(expected, rel=1e-12)  # both converge exponentially
    h = 1e-4
    around = [float(thermal_filling(sed, level + s * h, 323.15)[0]) for s in (-2, -1, 1, 2)]
    numeric = (8 * (around[2] - around[1]) - (around[3] - around[0])) / (12 * h)
    assert slope == pytest.approx(numeric, rel=1e-8)


@given(widths, temperatures, occupancies, st.floats(1e-9, 1.0))
@settings(quietly, max_examples=10)
def test_thermal_level_fills_exactly_what_was_asked(width, temperature, occupancy, fraction):
    """Filling the sites up to the Fermi level returns the fraction."""
    sed = gaussian_sed(width)
    level = fermi_level(sed, fraction, occupancy, temperature)
    share, _ = thermal_filling(sed, level, temperature)
    assert share == pytest.approx(occupancy * fraction, rel=1e-11)
    # one table for twelve decades: 1e-10 eV of a fraction's level
    many = fermi_level(
        sed, np.append(np.geomspace(1e-12, 1.0, 7), fraction), occupancy, temperature
    )
    assert many[-1] == pytest.approx(float(level), abs=1e-10)


def test_thermal_filling_has_its_three_limits():
    """Cold: bottom to top. Narrow: one level, E_F = ln(q/(1-q)) kT. Dilute: D grows like y."""
    y = np.array([0.01, 0.3, 0.8])
    wide = gaussian_sed(2.0)
    cold, level = fermi_level(wide, y, 0.9, 200.0), fermi_level(wide, y, 0.9)
    # Sommerfeld: E_F moves by -(pi kT)^2 g'/(6 g), and g'/g = -E/sigma^2; the next order is
    # (kT/sigma)^2 = 4e-4 times a polynomial of E/sigma
    shift = (np.pi * BOLTZMANN * 200.0) ** 2 / 6 * level / wide.sigma**2
    np.testing.assert_allclose(cold - level, shift, rtol=2e-3)
    kT = BOLTZMANN * 500.0
    q = 0.9 * y
    # a width of 10 meV moves the level by sigma^2 (q - 1/2)/kT, to second order in sigma
    level = fermi_level(gaussian_sed(0.010), y, 0.9, 500.0)
    shift = gaussian_sed(0.010).sigma ** 2 * (q - 0.5) / kT
    np.testing.assert_allclose(level - kT * np.log(q / (1 - q)), shift, atol=2e-6)
    dilute = activated_diffusivity(gaussian_sed(0.05), 1e-19, 500.0, 0.5, filling="thermal")
    tiny = np.array([1e-11, 1e-9])
    np.testing.assert_allclose(dilute.log_slope(tiny), 1.0, atol=1e-5)
    assert np.all(dilute(tiny) / tiny == pytest.approx(dilute(1e-10) / 1e-10, rel=1e-5))


@every_sed
def test_thermal_diffusivity_follows_the_thermal_level(sed):
    """D is the activated law of the thermal level; and ``filling`` matters."""
    D = activated_diffusivity(sed, 1e-19, 323.15, 0.9, filling="thermal")
    y = np.array([1e-6, 0.05, 0.5, 0.99])
    level = fermi_level(sed, y, 0.9, 323.15) - fermi_level(sed, 1.0, 0.9, 323.15)
    # 1e-11 eV of the spline is 4e-10 of D
    np.testing.assert_allclose(D(y), 1e-19 * np.exp(level / (BOLTZMANN * 323.15)), rtol=1e-8)
    cold = activated_diffusivity(sed, 1e-19, 323.15, 0.9)
    assert np.all(np.abs(np.log(D(y[:-1]) / cold(y[:-1]))) > 0.05)


# --- diffusivity ---


@given(widths, temperatures, occupancies, st.sampled_from([0.0, 0.07]))
@quietly
def test_D_is_positive_monotone_and_its_slope_is_its_slope(width, temperature, occupancy, cut):
    """Finite from 1e-12 to 1.05, increasing, D(1) = D_bulk, analytic slope = difference."""
    D = activated_diffusivity(gaussian_sed(width), 3e-20, temperature, occupancy, cut)
    y = np.concatenate([np.geomspace(1e-12, 1e-2, 60), np.linspace(0.02, 1.05, 200)])
    values = D(y)
    assert np.all(np.isfinite(values)) and np.all(values > 0)
    # a cut has D constant below it; elsewhere it rises
    assert np.all(np.diff(values[y > cut]) > 0) and np.all(np.diff(values) >= 0)
    assert D(1.0) == pytest.approx(3e-20, rel=1e-14) and D.D_bulk == 3e-20
    # above the taper of the cut and away from the joint at 1; sixth-order differences
    y = np.linspace(cut + 0.1, 0.95, 30)
    np.testing.assert_allclose(D.log_slope(y), log_slope(lambda v: D(v), y), rtol=1e-6)


def test_an_immobile_share_is_the_law_of_the_mobile_ones_and_nothing_below():
    """D_c(y) = D((y - c)/(1 - c)) above the cut; below, a billionth of an already tiny value."""
    free = activated_diffusivity(PAPER, 1e-19, 353.0, 0.9)
    cut = activated_diffusivity(PAPER, 1e-19, 353.0, 0.9, immobile=0.06)
    y = np.array([0.061, 0.07, 0.5, 1.0])
    np.testing.assert_allclose(cut(y), free((y - 0.06) / 0.94), rtol=1e-12)
    assert np.all(cut(np.array([0.0, 0.03, 0.06])) <= 1e-9 * free(1e-4) * (1 + 1e-9))
    assert np.all(cut(np.array([0.0, 0.03, 0.06])) > 0)


def test_above_the_bulk_filling_D_goes_on_smoothly_for_any_occupancy():
    """No overshoot of a simulation may meet an infinity, not even with 1 % vacancies."""
    for occupancy in (0.5, 0.9, 0.99):
        D = activated_diffusivity(PAPER, 1e-19, 250.0, occupancy)
        h = 1e-7
        left, right = np.log(D(1.0) / D(1 - h)) / h, np.log(D(1 + h) / D(1.0)) / h
        assert left == pytest.approx(right, rel=1e-4)  # h times the curvature
        assert np.isfinite(D(1.05))


def test_the_position_of_the_sed_on_the_energy_axis_has_no_effect():
    """Only differences of energies matter: D_0 and E_DC enter through D_bulk alone."""
    y = np.linspace(0.01, 1.0, 20)
    here = activated_diffusivity(PAPER, 1e-19, 323.15, 0.9)
    there = activated_diffusivity(gaussian_sed(0.25, 1.3), 1e-19, 323.15, 0.9)
    np.testing.assert_allclose(here(y), there(y), rtol=1e-12)


def test_laws_are_equal_by_value():
    """A cached table may be keyed on the law: equal values, equal hash, and only then."""
    assert law() == law() and hash(law()) == hash(law()) and law() is not law()
    skewed, other = (law(sed=skewed_sed(0.25, shape)) for shape in (0.5, 1.0))
    assert skewed == law(sed=skewed_sed(0.25, 0.5)) != other
    pairs = [law(sed=two_component_sed(0.3, PAPER, skewed_sed(0.25, 0.5))) for _ in range(2)]
    assert pairs[0] == pairs[1] and hash(pairs[0]) == hash(pairs[1])
    others = (
        skewed,
        other,
        pairs[0],
        law(sed=gaussian_sed(0.26)),
        law(D_bulk=2e-19),
        law(temperature=300.0),
        law(occupancy=0.8),
        law(immobile=0.1),
        law(filling="thermal"),
    )
    assert len({law(), *others}) == 10
    table = tabulated_diffusivity([0.0, 1.0], [1e-20, 1e-19])
    assert table == tabulated_diffusivity([0.0, 1.0], [1e-20, 1e-19])
    assert hash(table) == hash(tabulated_diffusivity([0.0, 1.0], [1e-20, 1e-19]))
    assert table != tabulated_diffusivity([0.0, 1.0], [1e-20, 2e-19])


@given(
    st.lists(st.floats(0.01, 3.0), min_size=2, max_size=12),
    st.lists(st.floats(0.01, 1.0), min_size=12, max_size=12),
)
@quietly
def test_a_table_is_met_and_stays_monotone_between_its_points(rises, gaps):
    """PCHIP in ln D: exact at the points, no overshoot, ends kept outside."""
    y = np.cumsum(gaps[: len(rises)])
    y = y / y[-1]
    D = 1e-22 * np.exp(np.cumsum(rises))
    table = tabulated_diffusivity(y, D)
    np.testing.assert_allclose(table(y), D, rtol=1e-10)
    fine = table(np.linspace(0, 1.05, 400))
    assert np.all(np.diff(fine) >= -1e-12 * fine[:-1])
    assert table(0.0) == pytest.approx(D[0]) and table(1.05) == pytest.approx(table.D_bulk)
    inner = 0.5 * (y[:-1] + y[1:])
    h = 1e-6
    numeric = inner * np.log(table(inner + h) / table(inner - h)) / (2 * h)
    smooth = np.min(np.diff(y)) > 1e-3
    if smooth:
        np.testing.assert_allclose(table.log_slope(inner), numeric, rtol=1e-3, atol=1e-5)


# --- the way back ---


@given(widths, temperatures, occupancies)
@quietly
def test_from_D_back_to_the_sed_and_forth_to_D(width, temperature, occupancy):
    """Eqn (2) inverted: the density is the Gaussian's, and D comes back."""
    sed = gaussian_sed(width)
    D = activated_diffusivity(sed, 1e-19, temperature, occupancy)
    found = sed_from_diffusivity(D, temperature, occupancy)
    whole = sed.pdf(found.energy + fermi_level(sed, 1.0, occupancy))
    np.testing.assert_allclose(found.density, whole, rtol=1e-9)
    again = activated_diffusivity(found, 1e-19, temperature, occupancy)
    y = np.linspace(1e-3, 1.0, 300)
    np.testing.assert_allclose(again(y), D(y), rtol=1e-9)
    energy = np.linspace(*found.span, 50)
    np.testing.assert_allclose(found.ppf(found.cdf(energy)), energy, atol=1e-9)
    np.testing.assert_allclose(
        found.pdf(energy), sed.pdf(energy + fermi_level(sed, 1.0, occupancy)), rtol=1e-5
    )


def test_an_exponential_D_is_a_uniform_sed():
    """D = exp(8 y): dE_F/dy = 8 kT, hence g = occupancy/(8 kT) on the whole window."""
    found = sed_from_diffusivity(lambda y: np.exp(8 * np.asarray(y)), 353.0, 0.9)
    np.testing.assert_allclose(found.density, 0.9 / (8 * BOLTZMANN * 353.0), rtol=1e-9)
    assert found.span[0] == pytest.approx(-8 * 0.999 * BOLTZMANN * 353.0)


def test_a_table_survives_the_round_trip():
    """A measured D(y), as a table: to the SED and back within 1e-6."""
    D = activated_diffusivity(PAPER, 1e-19, 323.15, 0.9)
    y = np.linspace(0.05, 1.0, 30)
    table = tabulated_diffusivity(y, D(y))
    found = sed_from_diffusivity(table, 323.15, 0.9)
    assert found.fraction[0] == 0.05 and found.fraction[-1] == 1.0
    again = activated_diffusivity(found, table.D_bulk, 323.15, 0.9)
    fine = np.linspace(0.05, 1.0, 500)
    np.testing.assert_allclose(again(fine), table(fine), rtol=1e-6)


def test_nothing_is_known_outside_the_window():
    """Beyond the mobile window the inverted SED is nan, and whoever needs it there is refused."""
    D = activated_diffusivity(PAPER, 1e-19, 323.15, 0.9)
    found = sed_from_diffusivity(D, 323.15, 0.9, window=(0.15, 1.0))
    low, high = found.span
    for energy in (low - 1e-3, high + 1e-3):
        assert np.isnan(found.pdf(energy)) and np.isnan(found.cdf(energy))
    assert np.isnan(found.ppf(0.9 * 0.14)) and np.isfinite(found.ppf(0.9 * 0.15))
    again = activated_diffusivity(found, 1e-19, 323.15, 0.9)
    assert np.isfinite(again(0.15))
    with pytest.raises(ValueError, match=r"not known where it is filled to 0\.14"):
        again(0.14)
    with pytest.raises(ValueError, match="not known"):
        activated_diffusivity(found, 1e-19, 323.15, 0.9, filling="thermal")(0.5)
    with pytest.raises(ValueError, match="neither is its thermal filling"):
        fermi_level(found, 0.5, 0.9, 323.15)
    with pytest.raises(ValueError, match="not known"):
        fwhm(populated_sed(found, 0.9))
    with pytest.raises(ValueError, match="its fwhm is unknown"):
        fwhm(sed_from_diffusivity(D, 323.15, 0.9, window=(0.9, 1.0)))
    assert fwhm(sed_from_diffusivity(D, 323.15, 0.9)) == pytest.approx(0.25, rel=1e-6)


def test_only_a_D_that_increases_has_a_sed():
    """Constant, falling, or partly falling D: no filling from the bottom makes it."""
    for D in (
        lambda y: 1 + 0 * np.asarray(y),
        lambda y: 1 / np.asarray(y),
        lambda y: 2 + np.sin(9 * np.asarray(y)),
    ):
        with pytest.raises(ValueError, match="increase strictly"):
            sed_from_diffusivity(D, 323.15, 0.9)


def law(**changes):
    """The paper's law with some arguments changed."""
    values = {"sed": PAPER, "D_bulk": 1e-19, "temperature": 323.15, "occupancy": 0.9}
    return activated_diffusivity(**{**values, **changes})


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: gaussian_sed(0.0), "fwhm = 0 eV is outside"),
        (lambda: gaussian_sed(250), "fwhm = 250 eV is outside"),
        (lambda: gaussian_sed("wide"), "fwhm = 'wide' is not a number"),
        (lambda: skewed_sed(0.25, np.nan), "shape = nan"),
        (lambda: two_component_sed(1.5, PAPER, PAPER), "weight = 1.5"),
        (lambda: two_component_sed(0.5, PAPER, 0.1), "second = 0.1 is no SED"),
        (lambda: law(sed=None), "sed = None is no SED"),
        (lambda: law(D_bulk=0.0), "D_bulk = 0"),
        (lambda: law(temperature=50.0), "temperature = 50 K"),
        (lambda: law(occupancy=1.0), "occupancy = 1"),
        (lambda: law(immobile=-0.1), "immobile = -0.1"),
        (lambda: law(filling="warm"), "filling = 'warm'"),
        (lambda: law()(np.nan), "fraction = nan"),
        (lambda: law()([0.5, 1.2]), "fraction = 1.2 is outside"),
        (lambda: law()(-0.1), "fraction = -0.1"),
        (lambda: fermi_level(PAPER, 0.0, 0.9), "fraction = 0 is outside"),
        (lambda: fermi_level(PAPER, 1.2, 0.9), "fraction = 1.2"),
        (lambda: fermi_level(PAPER, 0.5, 0.9, -1.0), "temperature = -1"),
        (lambda: populated_sed(PAPER, 0.9, low=0.6, high=0.5), "high = 0.5"),
        (lambda: tabulated_diffusivity([0, 1], [1e-19]), "same shape"),
        (lambda: tabulated_diffusivity([1.0], [1e-19]), "m >= 2"),
        (lambda: tabulated_diffusivity([0, 0.5], [1e-20, 1e-19]), "fraction ends at 0.5"),
        (lambda: tabulated_diffusivity([0.5, 0.2, 1], [1, 2, 3]), "entry 1 is 0.2"),
        (lambda: tabulated_diffusivity([0, 1], [0.0, 1e-19]), r"D = 0 m\^2/s is outside"),
        (lambda: tabulated_diffusivity([0, 1], [np.nan, 1e-19]), "D = nan"),
        (lambda: sed_from_diffusivity(law(), 323.15, 0.9, (0.5, 0.2)), r"window\[1\] = 0.2"),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    """Every refusal names the argument and its value."""
    with pytest.raises(ValueError, match=message):
        call()
