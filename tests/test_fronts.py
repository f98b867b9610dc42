"""The electroneutral front: closed forms, an independent scheme, conservation, inverses."""

from dataclasses import replace

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.constants import e, k

from cait_helpers.fronts import (
    drift_profiles,
    foreign_diffusivity_from_plateau,
    foreign_diffusivity_from_zones,
    front,
    potentiostatic_depth,
    transport,
)
from cait_helpers.landscape import (
    activated_diffusivity,
    gaussian_sed,
    tabulated_diffusivity,
    two_component_sed,
)

PAPER = activated_diffusivity(gaussian_sed(0.250), 1.0, 323.15, 0.9)
K, RB, CS = 10**-3.42, 10**-4.19, 10**-4.89
# Three ways to a front: the paper's law, the same with an immobile share, and a law whose t(y) has
# a second inflection and so a shock inside the fan.
TWO_BANDS = activated_diffusivity(
    two_component_sed(0.1, gaussian_sed(0.05, -0.2), gaussian_sed(0.1)), 1.0, 323.15, 0.9
)
CUT = activated_diffusivity(gaussian_sed(0.250), 1.0, 353.0, 0.9, immobile=0.06)
FRONTS = {"paper": front(PAPER, K), "cut": front(CUT, 3e-5), "two bands": front(TWO_BANDS, 0.1)}
every_front = pytest.mark.parametrize("found", FRONTS.values(), ids=FRONTS.keys())
quietly = settings(deadline=None, derandomize=True, max_examples=40)


def laws():
    """Gaussian landscapes over the range of real and unreal glasses."""
    return st.builds(
        lambda width, temperature, occupancy: activated_diffusivity(
            gaussian_sed(width), 1.0, temperature, occupancy
        ),
        st.floats(0.05, 0.4),
        st.floats(250.0, 500.0),
        st.floats(0.5, 0.99),
    )


ratios = st.floats(-6.0, 2.0).map(lambda exponent: 10.0**exponent)


# --- drift beyond the linear law ---


def test_the_current_of_long_hops_has_its_limits():
    """Short hops are the linear law; the first current is that of the bulk, sinh and all."""
    found, glass = front(PAPER, RB), (10.0, 0.5e-3, 1.38e28, 323.15)
    slow = {"D_native": lambda y: 1e-18 * PAPER(y), "D_foreign": lambda y: 1e-18 * RB + 0 * y}
    found = replace(found, **slow)
    time = np.array([0.0, 1e4, 1e5, 3e5])
    linear, short = (potentiostatic_depth(found, time, *glass, hop) for hop in (0.0, 1e-13))
    np.testing.assert_allclose(short, linear, rtol=2e-3)
    hop, voltage = 5e-9, 2e4
    _, first = potentiostatic_depth(found, 0.0, voltage, *glass[1:], hop)
    field = e * voltage / (k * 323.15) / 0.5e-3
    expected = 1.38e28 * e * 1e-18 * np.sinh(hop * field / 2) / (hop / 2)
    assert float(first) == pytest.approx(expected, rel=1e-9)


# --- coefficients ---


def test_transference_and_interdiffusivity_have_their_limits():
    """t runs from 0 to 1; D~ is the minority ion's at either end; equal ions know no difference."""
    y = np.linspace(0, 1, 11)
    np.testing.assert_allclose(transport(y, 3.0, 3.0)[0], y, rtol=1e-14)
    np.testing.assert_allclose(transport(y, 3.0, 3.0)[1], 3.0, rtol=1e-14)
    np.testing.assert_allclose(transport([0.0, 1.0], PAPER, K)[0], [0.0, 1.0])
    np.testing.assert_allclose(transport([0.0, 1.0], PAPER, K)[1], [PAPER(0.0), K])
    # t_native + t_foreign = 1, by exchange of the roles
    other = transport(1 - y, K, PAPER)[0]
    np.testing.assert_allclose(transport(y, PAPER, K)[0] + other, 1.0, rtol=1e-13)


# --- plateau and speed ---


@pytest.mark.parametrize(
    ("log_m", "plateau", "ratio"),
    [(-3.42, 0.150, 0.30), (-4.19, 0.070, 0.34), (-4.89, 0.030, 0.38)],
)
def test_the_three_ions_of_the_paper_leave_their_plateaus(log_m, plateau, ratio):
    """Li plateaus of 15, 7 and 3 % behind K, Rb, Cs; D_Li there is a third of D_foreign."""
    found = front(PAPER, 10.0**log_m)
    assert found.kind == "shock"
    assert found.plateau == pytest.approx(plateau, abs=5e-4)
    assert found.ratio == pytest.approx(ratio, abs=5e-3)


def test_an_exponential_law_has_the_plateau_of_lambert():
    """r = exp(kappa (y - y0)): d(y r)/dy = 1 is (1 + kappa y) exp(kappa y) = exp(kappa y0).

    With w = 1 + kappa y: w exp(w) = exp(1 + kappa y0), Lambert's W. A plain function without its
    own slope takes the path through numerical differences.
    """
    from scipy.special import lambertw

    kappa, y0 = 10.84, 0.30
    found = front(lambda y: np.exp(kappa * (np.asarray(y) - y0)), 1.0)
    plateau = (lambertw(np.exp(1 + kappa * y0)).real - 1) / kappa
    assert found.plateau == pytest.approx(plateau, rel=1e-10)
    assert found.plateau == pytest.approx(0.19515, abs=2e-5)
    r = np.exp(kappa * (plateau - y0))
    assert found.speed == pytest.approx(1 / (plateau * r + 1 - plateau), rel=1e-12)
    np.testing.assert_allclose(
        found.fan(found.speed * np.array([0.25, 0.5, 0.75])), [0.1034, 0.1467, 0.1742], atol=1e-4
    )


@given(laws(), ratios)
@quietly
def test_the_plateau_is_the_tangent_and_no_other_fraction_is_better(native, m):
    """Welge: t'(y*) = (1 - t(y*))/(1 - y*), which is d(y D)/dy = D_M; and the chord is the lowest.

    A faster foreign ion has no sharp front. The speed is never below 1 and never above 1/r(1).
    """
    found = front(native, m)
    y = np.linspace(1e-3, 0.999, 2000)
    chord = (1 - transport(y, native, m)[0]) / (1 - y)
    assert found.speed >= chord.max() * (1 - 1e-12)
    p = found.plateau
    if 0 < p < 1e-9:
        # Laws stop falling at 1e-12; beside that kink there is a shock but no smooth tangent.
        assert found.kind == "shock" and found.speed == pytest.approx(1.0, abs=1e-8)
    elif found.kind == "shock":
        assert native(p) * (1 + native.log_slope(p)) / m == pytest.approx(1.0, rel=1e-8)
        assert found.ratio == pytest.approx(1 / (1 + native.log_slope(p)), rel=1e-8)
        assert found.speed == pytest.approx((1 - transport(p, native, m)[0]) / (1 - p), rel=1e-9)
        # the exact inverse of the plateau law
        assert foreign_diffusivity_from_plateau(native, p) == pytest.approx(m, rel=1e-8)
    elif found.kind == "wave":
        assert found.plateau == 0 and found.speed == 1
    else:
        # at the bulk t'(1) = 1/r(1), and the fan reaches it
        assert found.plateau == 1 and found.speed == pytest.approx(m, rel=1e-12)
        assert m > 1 / (1 + native.log_slope(1.0)) * (1 - 1e-9)


def test_a_plateau_below_the_smallest_fraction_is_none():
    """A narrow landscape whose tangent would touch below 1e-12: nothing stays behind."""
    found = front(activated_diffusivity(gaussian_sed(0.082), 1.0, 290.0, 0.906), 1e-5)
    assert (found.kind, found.plateau, found.speed) == ("wave", 0.0, 1.0)


# coefficients closer than 0.2 % make a front that is neither sharp nor spread (next test)
@given(st.floats(-6.0, 2.0).filter(lambda v: abs(v) > 1e-3))
@quietly
def test_constant_coefficients_have_a_wave_or_a_fan_and_no_plateau(log_m):
    """m < 1: one jump at s = 1. m > 1: the fan t'(y) = xi in closed form, from 1/m to m."""
    m = 10.0**log_m
    found = front(1.0, m)
    if m < 1:
        assert (found.kind, found.plateau, found.speed) == ("wave", 0.0, 1.0)
        np.testing.assert_array_equal(found.fan([0.0, 0.5, 1.0, 1.0001]), [0.0, 0.0, 0.0, 1.0])
        return
    assert (found.kind, found.plateau) == ("rarefaction", 1.0)
    xi = np.linspace(1 / m, m, 50)
    # t' = r/(1 - (1 - r) y)^2 = xi
    exact = (1 - np.sqrt(1 / (m * xi))) / (1 - 1 / m)
    # rounding over the distance 1 - 1/m between the two coefficients, which may be 2e-3
    np.testing.assert_allclose(found.fan(xi), exact, atol=1e-9)


def test_equal_coefficients_carry_a_step_that_neither_sharpens_nor_spreads():
    """D_native = D_foreign: t = y, linear advection at s = 1, reported as no sharp front."""
    found = front(2.0, 2.0)
    assert found.kind == "rarefaction" and found.speed == 1
    np.testing.assert_allclose(found.fan([0.0, 0.99, 1.01]), [0, 0, 1], atol=1e-11)


def godunov(native, foreign, cells, at):
    """Fractions at x/(J time/N) = ``at``, by Godunov's scheme for N dy/dt + J dt/dx = 0.

    t(y) rises (every coefficient is positive), so the upwind flux is t(y_left): monotone,
    convergent to the entropy solution, and it shares nothing with the code under test.
    Returns the profile and the depth of its steepest place.
    """
    width = 1.6
    h = width / cells
    y = np.ones(cells)
    table = np.unique(np.concatenate([np.geomspace(1e-9, 1e-3, 500), np.linspace(0, 1, 20001)]))
    flux = transport(table, native, foreign)[0]
    fastest = float(np.max(np.diff(flux) / np.diff(table)))
    steps = int(np.ceil(fastest / h / 0.95))
    for _ in range(steps):
        passing = np.concatenate([[0.0], np.interp(y, table, flux)])
        y = y - np.diff(passing) / (h * steps)
    x = (np.arange(cells) + 0.5) * h
    return np.interp(at, x, y), x, y


@every_front
def test_a_godunov_scheme_finds_the_same_front(found):
    """Plateau, speed and fan against a monotone finite-volume scheme, within its mesh error.

    The front's place follows from the mass above the plateau's middle; a first-order scheme on
    cells of h smears the fan by O(h), so the difference must be small and halve with the cells.
    """
    positions = found.speed * np.array([0.25, 0.5, 0.75, 0.9])
    errors = []
    for cells in (400, 800):
        values, x, y = godunov(found.D_native, found.D_foreign, cells, positions)
        errors.append(np.abs(values - found.fan(positions)).max())
        middle = 0.5 * (1 + found.plateau)
        place = np.interp(middle, y, x)  # y rises with depth
        assert place == pytest.approx(found.speed, abs=3 * 1.6 / cells)
        # just behind the captured front, before the fan has fallen
        behind = y[int(0.97 * found.speed / (1.6 / cells))]
        assert behind == pytest.approx(found.fan(0.97 * found.speed), abs=10 / cells)
    assert errors[1] < 0.01
    assert errors[1] < 0.75 * errors[0]


def test_the_fan_of_potassium_is_not_flat():
    """At 5, 25, 50, 75, 90 % of the front's depth; the last digit is checked by Godunov above.

    (A run with the finite width of 0.5 nm on 60 nm gives 0.042, 0.086, 0.115, 0.136, 0.149: the
    plateau is approached like 1/x, and so the drift limit slowly.)
    """
    found = FRONTS["paper"]
    fractions = found.fan(found.speed * np.array([0.05, 0.25, 0.5, 0.75, 0.9]))
    np.testing.assert_allclose(fractions, [0.0385, 0.0840, 0.1131, 0.1335, 0.1438], atol=1e-4)


def test_an_immobile_share_makes_the_plateau_flat():
    """With 6 % immobile and a plateau of 7 % y lies in [6, 7] %, D_Li a tenth of D_foreign."""
    D_foreign = foreign_diffusivity_from_plateau(CUT, 0.07)
    assert D_foreign == pytest.approx(3.2493e-5, rel=1e-4)
    found = front(CUT, float(D_foreign))
    assert found.plateau == pytest.approx(0.07, rel=1e-9)
    assert found.ratio == pytest.approx(0.0989, abs=1e-4)
    fan = found.fan(found.speed * np.linspace(0.01, 1.0, 50))
    assert fan.min() > 0.06 - 1e-5 and fan.max() <= 0.07 + 1e-9
    assert found.fan(0.5 * found.speed) == pytest.approx(0.884 * 0.07, rel=1e-3)


def test_a_second_band_puts_a_shock_inside_the_fan():
    """Non-convex t(y): each inner jump touches t at both ends (equal-slope double tangent)."""
    found = FRONTS["two bands"]
    (speed, behind, ahead), leading = found.shocks
    assert leading == (found.speed, found.plateau, 1.0)
    t = transport(np.array([behind, ahead]), TWO_BANDS, 0.1)[0]
    assert speed == pytest.approx((t[1] - t[0]) / (ahead - behind), rel=1e-12)
    h = 1e-6
    for end in (behind, ahead):
        slope = np.diff(transport(np.array([end - h, end + h]), TWO_BANDS, 0.1)[0]) / (2 * h)
        # the ends are pinned to 2e-7, times t'' of up to some hundred
        assert slope[0] == pytest.approx(speed, rel=1e-4)
    assert ahead - behind > 0.03
    sides = found.fan([speed * (1 - 1e-9), speed * (1 + 1e-6)])
    np.testing.assert_allclose(sides, [behind, ahead], atol=1e-6)


def test_a_tangent_that_is_not_the_lowest_is_no_plateau():
    """Between two bands t(y) has tangents through the bulk that cut it elsewhere: refused."""
    y = np.linspace(0.10, 0.17, 36)
    D_foreign = TWO_BANDS(y) * (1 + TWO_BANDS.log_slope(y))
    reached = np.array([front(TWO_BANDS, m).plateau for m in D_foreign])
    stable = np.abs(reached - y) < 1e-6
    assert 5 < np.count_nonzero(~stable) < 30
    np.testing.assert_allclose(
        foreign_diffusivity_from_plateau(TWO_BANDS, y[stable]), D_foreign[stable]
    )
    for plateau in y[~stable]:
        with pytest.raises(ValueError, match="no single constant D_foreign"):
            foreign_diffusivity_from_plateau(TWO_BANDS, plateau)


def test_a_plateau_on_a_fraction_that_is_tried_is_its_own_tangent():
    """The inverse holds on the points of its own search too, where no other chord is as low."""
    y = np.linspace(1e-3, 1.0, 2000)[100:300:20]
    D_foreign = foreign_diffusivity_from_plateau(PAPER, y)
    np.testing.assert_allclose(D_foreign, PAPER(y) * (1 + PAPER.log_slope(y)), rtol=1e-12)
    np.testing.assert_allclose([front(PAPER, m).plateau for m in D_foreign], y, rtol=1e-8)


# --- conservation ---


@given(laws(), ratios)
@quietly
def test_the_native_ions_that_left_are_the_charge_that_passed(native, m):
    """Mass balance of the drift limit: the integral of 1 - y over depth is Q/(e N)."""
    found = front(native, m)
    edges = np.linspace(0.0, 40.0, 641)
    start = float(found._speed_of(np.asarray(0.0))) / found.speed  # a kink of the fan
    edges = np.unique(np.append(edges, -np.log(np.clip(start, np.exp(-40.0), 1.0))))
    node, weight = np.polynomial.legendre.leggauss(10)
    half = 0.5 * np.diff(edges)[:, None]
    xi = found.speed * np.exp(-(edges[:-1, None] + half * (1 + node)))
    missing = np.sum(half * weight * xi * (1 - found.fan(xi)))
    # Gauss-Legendre in ln xi; a fan starting at y = 0 is only continuous there
    assert missing == pytest.approx(1.0, abs=1e-8)


@every_front
def test_a_profile_in_metres_balances_the_charge(found):
    """221 C/m^2 at 1.38e28 ions per m^3 are 100 nm of full replacement; the front lies deeper."""
    charge, density = 221.0, 1.38e28
    scale = charge / (e * density)
    depth = found.depth(charge, density)
    assert depth == pytest.approx(found.speed * scale)
    x = (np.arange(20000) + 0.5) * depth / 20000
    missing = np.sum(1 - found.profile(x, charge, density)) * depth / 20000
    assert missing == pytest.approx(scale, rel=1e-6)  # midpoint rule across an inner jump
    np.testing.assert_array_equal(
        found.profile(depth * np.array([1.0001, 5.0]), charge, density), 1
    )
    # self-similar: twice the charge, twice the depth
    assert found.profile(2 * x[7777], 2 * charge, density) == pytest.approx(
        found.profile(x[7777], charge, density), rel=1e-12
    )


@given(laws(), ratios)
@quietly
def test_the_fan_rises_from_nothing_to_the_plateau(native, m):
    """Monotone in depth, 0 at the surface, plateau at the front, 1 beyond."""
    found = front(native, m)
    xi = np.concatenate([[0.0], np.geomspace(1e-6, 1.0, 200)]) * found.speed
    y = found.fan(xi)
    assert y[0] == 0 and np.all(np.diff(y) >= -1e-15) and np.all(y <= found.plateau)
    assert y[-1] == pytest.approx(found.plateau, abs=1e-9)
    assert np.all(found.fan(found.speed * np.array([1.0 + 1e-12, 2.0])) == 1.0)


# --- travelling wave ---


@given(st.floats(-6.0, -0.01), st.floats(-16.0, -8.0))
@quietly
def test_the_wave_of_constant_coefficients_is_the_logistic_function(log_m, log_flux):
    """y = 1/(1 + exp(-(1 - m) v x/D_M)), Abou-el-leil and Cooper 1979."""
    m, flux = 10.0**log_m, 10.0**log_flux
    found = front(1.0, m)
    width = m / (flux * (1 - m))
    assert found.width(flux) == pytest.approx(width, rel=1e-10)
    z = np.linspace(-60, 60, 241)
    np.testing.assert_allclose(found.wave(z * width, flux), 1 / (1 + np.exp(-z)), atol=1e-11)


def test_an_exchange_stretches_the_wave_and_nothing_else():
    """D~ three times as large: three times the width, the same plateau, speed and fan."""
    found, plain = front(PAPER, K, 3.0), front(PAPER, K)
    assert (found.plateau, found.speed, found.shocks) == (plain.plateau, plain.speed, plain.shocks)
    x = np.linspace(-5e-9, 5e-9, 11)
    np.testing.assert_allclose(found.wave(3 * x, 1e-8), plain.wave(x, 1e-8), rtol=1e-9)
    assert found.width(1e-8) == pytest.approx(3 * plain.width(1e-8), rel=1e-12)
    with pytest.raises(ValueError, match="exchange = 0 is outside"):
        front(PAPER, K, 0.0)
    with pytest.raises(ValueError, match="exchange must map an array of fractions to positive"):
        front(PAPER, K, lambda y: -y)


@every_front
def test_the_wave_obeys_the_balance_in_the_moving_frame(found):
    """D~ y' = (J/N)[t(y) - t* - s (y - y*)], y' by differences; half-way at x = 0."""
    flux = 1e-3
    x = np.linspace(-3, 8, 111) * found.width(flux)
    h = 1e-3 * found.width(flux)
    y = found.wave(x, flux)
    slope = 8 * (found.wave(x + h, flux) - found.wave(x - h, flux))
    slope = (slope - (found.wave(x + 2 * h, flux) - found.wave(x - 2 * h, flux))) / (12 * h)
    t, t0 = (transport(v, found.D_native, found.D_foreign)[0] for v in (y, found.plateau))
    expected = flux * (t - t0 - found.speed * (y - found.plateau))
    expected = expected / transport(y, found.D_native, found.D_foreign)[1]
    # 1e-5 of the steepest: what the spline's slope is good for
    np.testing.assert_allclose(slope, expected, atol=1e-5 * slope.max())
    assert found.wave(0.0, flux) == pytest.approx(0.5 * (1 + found.plateau), abs=1e-9)


def test_the_wave_ends_exponentially_ahead_and_algebraically_behind():
    """1 - y falls by e per width ahead; behind a tangent plateau y - y* goes like 1/x.

    The 1/x law continues into the far tail, with 2 D S*/(s t-curvature) as its constant:
    dy/dx = q S''(y*) (1 - y*)/(2 S* D) (y - y*)^2 there, q = J/N.
    """
    found, flux = FRONTS["paper"], 1e-3
    width = found.width(flux)
    assert width == pytest.approx(K / (flux * found.speed) / (1 - K / found.speed), rel=1e-12)
    ahead = 1 - found.wave(np.array([15.0, 16.0]) * width, flux)
    assert ahead[0] / ahead[1] == pytest.approx(np.e, rel=1e-4)
    p, h = found.plateau, 1e-5

    def conductivity_slope(y):  # dS/dy with S = y r + 1 - y
        return PAPER(y) / K * (1 + PAPER.log_slope(y)) - 1

    curvature = (conductivity_slope(p + h) - conductivity_slope(p - h)) / (2 * h)
    rate = 0.5 * flux * curvature * (1 - p) * found.speed / PAPER(p)
    x = -np.array([1e3, 1e5, 1e9]) * width
    tail = found.wave(x, flux) - p
    # corrections are ln(x)/x; 1e-4 is the difference quotient of the curvature
    for value, tolerance in zip(tail * rate * -x, (2e-2, 5e-4, 1e-4), strict=True):
        assert value == pytest.approx(1.0, rel=tolerance)
    assert np.all(np.diff(found.wave(np.linspace(-1e4, 1e4, 999) * width, flux)) >= 0)


def test_a_faster_foreign_ion_has_neither_wave_nor_width():
    """No stationary solution: refused."""
    found = front(1.0, 10.0)
    for call in (found.wave, lambda x, flux: found.width(flux)):
        with pytest.raises(ValueError, match="no sharp front"):
            call(0.0, 1.0)


# --- constant voltage ---


@every_front
def test_the_mean_resistance_is_the_integral_over_the_fan(found):
    """One number by Gauss-Legendre in ln(xi), against the midpoint rule in xi itself."""
    cells = 20000
    y = found.fan(found.speed * (np.arange(cells) + 0.5) / cells)
    mean = np.mean(1 / (found.D_native(y) * y + found.D_foreign(1 - y) * (1 - y)))
    # a jump or a kink within a cell costs up to 1/cells of its height
    assert found.resistance == pytest.approx(mean, rel=5e-5)
    # y* minimises the conductivity S: the plateau is the most resistive composition
    p = found.plateau
    assert found.resistance < 1 / (found.D_native(p) * p + found.D_foreign(1 - p) * (1 - p))


def test_resistance_of_constant_coefficients_is_exact():
    """Wave: 1/m. Fan of a faster ion: (m^-2 + 2/3 (1 - m^-3))/m, from S = sqrt(r/xi)."""
    assert front(1.0, 1e-3).resistance == pytest.approx(1e3, rel=1e-12)
    # at m = 10: (0.1 * 0.1 + (2/3) 0.1/sqrt(0.1) (10^1.5 - 0.1^1.5))/10
    assert front(0.1, 1.0).resistance == pytest.approx(0.667, rel=1e-10)


@every_front
def test_depth_and_current_under_constant_voltage_belong_together(found):
    """d(depth)/dt = s j/(e N), Ohm's law for both zones, linear start, square-root end."""
    glass = {"voltage": 10.0, "thickness": 0.5e-3, "ion_density": 1.38e28, "temperature": 323.15}
    slow = replace(found.D_native, D_bulk=1e-19)  # the plateau depends on the ratio alone
    scaled = front(slow, 1e-19 * float(found.D_foreign(1.0)))
    assert scaled.plateau == pytest.approx(found.plateau, rel=1e-10)
    bulk = e**2 * 1.38e28 * 1e-19 / (k * 323.15)  # S/m
    start = glass["thickness"] / (found.speed * bulk * 10.0 / (0.5e-3 * e * 1.38e28))  # s
    time = start * np.geomspace(1e-9, 1e-4, 26) / (found.speed * found.resistance * 1e-3)
    h = 1e-4 * time
    depth, current = potentiostatic_depth(scaled, time, **glass)
    later, sooner = (potentiostatic_depth(scaled, time + s * h, **glass)[0] for s in (1, -1))
    np.testing.assert_allclose(
        (later - sooner) / (2 * h), found.speed * current / (e * 1.38e28), rtol=1e-7
    )
    voltage = current * (0.5e-3 - depth + found.resistance * depth) / bulk
    np.testing.assert_allclose(voltage, 10.0, rtol=1e-10)
    none = potentiostatic_depth(scaled, 0.0, **glass)
    assert none[0] == 0 and none[1] == pytest.approx(bulk * 10.0 / 0.5e-3, rel=1e-12)


def test_a_front_that_would_leave_the_glass_is_refused():
    """Beyond the thickness there is no front to report."""
    with pytest.raises(ValueError, match="passed through the glass"):
        potentiostatic_depth(front(1e-12, 1e-13), [0.0, 1e9], 100.0, 1e-6, 1e28, 400.0)
    with pytest.raises(ValueError, match="passed through the glass"):
        potentiostatic_depth(front(1e-13, 1e-12), [0.0, 1e9], 100.0, 1e-6, 1e28, 400.0)


# --- eqn (3) ---


def zones(native, m):
    """The three zones of an exact steady front with J/N = 1, as eqn (3) wants them."""
    found = front(native, m)
    middle = 0.5 * (1 + found.plateau)
    gradient = transport(middle, native, m)[0] - transport(found.plateau, native, m)[0]
    gradient = gradient - found.speed * (middle - found.plateau)
    gradient = gradient / transport(middle, native, m)[1]
    D = [native(v) for v in (1.0, middle, found.plateau)]
    return foreign_diffusivity_from_zones(*D, 1.0, found.plateau, gradient, -1 / D[0]) / m


@pytest.mark.parametrize(("plateau", "expected"), [(0.15, 1.014), (0.07, 1.030), (0.03, 1.019)])
def test_equation_3_is_right_within_three_per_cent_for_a_gaussian_landscape(plateau, expected):
    """On exact fronts, 353 K, a tenth more sites than ions: K, Rb, Cs."""
    native = activated_diffusivity(gaussian_sed(0.25), 1.0, 353.0, 1 / 1.1)
    m = float(foreign_diffusivity_from_plateau(native, plateau))
    assert zones(native, m) == pytest.approx(expected, abs=6e-4)


@pytest.mark.parametrize(
    ("immobile", "m", "plateau", "expected"),
    [(0.15, 1e-3, 0.267, 1.102), (0.07, 3e-4, 0.150, 1.077), (0.03, 1e-4, 0.080, 1.049)],
)
def test_equation_3_is_right_within_ten_per_cent_with_an_immobile_share(
    immobile, m, plateau, expected
):
    """The same with a cut of the mobile sites."""
    native = activated_diffusivity(gaussian_sed(0.25), 1.0, 353.0, 1 / 1.1, immobile=immobile)
    assert front(native, m).plateau == pytest.approx(plateau, abs=6e-4)
    assert zones(native, m) == pytest.approx(expected, abs=6e-4)


@given(st.floats(-6.0, -0.1))
@quietly
def test_equation_3_at_constant_coefficients_is_off_by_1_plus_2m(log_m):
    """The logistic wave, exactly: D_foreign of eqn (3) is D_M/(1 + 2 m)."""
    m = 10.0**log_m
    slope = 0.25 * (1 - m) / m  # of the logistic at its middle, J/N = 1
    value = foreign_diffusivity_from_zones(1.0, 1.0, 1.0, 1.0, 0.0, slope, -1.0)
    assert value == pytest.approx(m / (1 + 2 * m), rel=1e-12)


@given(*(st.floats(0.01, 1.0) for _ in range(4)), st.floats(0.0, 10.0))
@quietly
def test_equation_3_solves_the_three_flux_balances_it_comes_from(D_front, D_rep, n_D, field, grad):
    """J_B = J_F gives the field of the replaced zone, J_B = J_D then the coefficient."""
    D_B, n_B, E_B = 1.0, 1.2, -field
    foreign = foreign_diffusivity_from_zones(D_B, D_front, D_rep, n_B, n_D, grad, E_B)
    J = -D_B * n_B * E_B
    # the field at the front from J_F = -D_F (grad n + n_F E_F), mean of both sides
    E_F = (-J / D_front - grad) / (0.5 * (n_B + n_D))
    E_D = 2 * E_F - E_B
    assert -(D_rep * n_D + foreign * (n_B - n_D)) * E_D == pytest.approx(J, rel=1e-9)


def test_densities_may_be_given_as_fractions():
    """Only ratios of densities enter: the same result in m^-3 and as fractions, and in arrays."""
    fractions = foreign_diffusivity_from_zones(1.0, 0.01, 1e-4, 1.0, 0.1, [1.0, 5.0], -2.0)
    for N in (1.38e28, 1.5e-30):
        absolute = foreign_diffusivity_from_zones(
            1.0, 0.01, 1e-4, N, 0.1 * N, N * np.array([1.0, 5.0]), -2.0
        )
        assert fractions.shape == (2,)
        np.testing.assert_allclose(fractions, absolute, rtol=1e-13)


# --- refusals ---


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: front(0.0, 1.0), "D_native = 0"),
        (lambda: front(1.0, np.nan), "D_foreign = nan"),
        (lambda: front(1.0, "slow"), "D_foreign = 'slow' is not a number"),
        (lambda: front(lambda y: -np.asarray(y), 1.0), "D_native must map"),
        (lambda: front(1.0, lambda y: 3.0), "D_foreign must map"),
        (lambda: front(PAPER, K).fan(-0.1), "xi = -0.1"),
        (lambda: front(PAPER, K).fan(np.nan), "xi = nan"),
        (lambda: front(PAPER, K).profile(-1e-9, 1.0, 1e28), "x = -1e-09"),
        (lambda: front(PAPER, K).profile(1e-9, 0.0, 1e28), "charge_per_area = 0"),
        (lambda: front(PAPER, K).depth(1.0, 1.0), "ion_density = 1"),
        (lambda: front(PAPER, K).wave(0.0, 0.0), "flux_per_N = 0"),
        (lambda: transport(1.5, 1.0, 1.0)[0], "fraction = 1.5"),
        (lambda: foreign_diffusivity_from_plateau(PAPER, 0.0), "plateau = 0"),
        (lambda: foreign_diffusivity_from_plateau(lambda y: 1 + 0 * y, 0.2), "plateau = 0.2: no"),
        (lambda: foreign_diffusivity_from_plateau(CUT, 0.03), "plateau = 0.03: no"),
        (
            lambda: potentiostatic_depth(front(1.0, 0.1), -1.0, 1.0, 1.0, 1e28, 300.0),
            "time = -1",
        ),
        (
            lambda: foreign_diffusivity_from_zones(1.0, 1.0, 1.0, 1.0, 1.0, 1.0, -1.0),
            "n_replaced is not below",
        ),
        (
            lambda: foreign_diffusivity_from_zones(1.0, 1.0, 1.0, 1.0, 0.1, 1.0, 1.0),
            "field_bulk = 1",
        ),
        (
            lambda: foreign_diffusivity_from_zones(1.0, 10.0, 1.0, 1.0, 0.1, 0.0, -1.0),
            "is not positive",
        ),
    ],
)
def test_bad_input_is_refused_by_name(call, message):
    """Every refusal names the argument and its value."""
    with pytest.raises(ValueError, match=message):
        call()


def test_a_foreign_ion_with_a_landscape_of_its_own_is_a_mirror_problem():
    """D_foreign may depend on its own fraction: the tangent is that of t(y) all the same."""
    foreign = tabulated_diffusivity([0.0, 0.5, 1.0], [1e-4, 2e-4, 4e-4])
    found = front(PAPER, foreign)
    y = np.linspace(1e-3, 0.999, 4000)
    chord = (1 - transport(y, PAPER, foreign)[0]) / (1 - y)
    assert found.kind == "shock"
    assert found.speed == pytest.approx(chord.max(), rel=1e-6)  # chord is flat at its maximum
    assert found.plateau == pytest.approx(y[np.argmax(chord)], abs=5e-4)
    flat = front(PAPER, lambda z: np.full(np.shape(z), K))
    assert flat.plateau == pytest.approx(front(PAPER, K).plateau, rel=1e-9)


# --- several ions, cell by cell ---

LEVELS = np.geomspace(1e-9, 1.04, 4000)
LOG_D = np.log(PAPER(LEVELS))


def paper(y):
    return np.exp(np.interp(np.maximum(y, 1e-9), LEVELS, LOG_D))


def segregated(y):
    """Li, Rb, Cs, stacked: every ion's level is that of all ions below its own top."""
    return np.stack([paper(y[0]), RB * paper(y[0] + y[1]), np.full_like(y[0], CS)])


def intermixed(y):
    """Li, Rb, Cs with constant coefficients for both foreign ions."""
    return np.stack([paper(y[0]), np.full_like(y[0], RB), np.full_like(y[0], CS)])


def two(D_foreign):
    return lambda y: np.stack([paper(y[0]), np.full_like(y[0], D_foreign)])


def untouched(cells):
    return np.stack([np.ones(cells), np.zeros(cells)])


def doubled(D, step, first=100e-9, second=50e-9):
    """Rubidium, then caesium: nodes, and the fractions after the first and the second run."""
    nodes = np.arange(0.0, 200e-9 + step / 2, step)
    y = drift_profiles(two(RB), untouched(nodes.size - 1), nodes, first)
    before = np.vstack([y, np.zeros(y.shape[1])])
    return nodes, before, drift_profiles(D, before, nodes, second)


def bank(b, D_before, D_beam):
    """Li fraction ahead of a front that leaves b: y (1 - D/D_foreign) is the same on both sides.

    It is what the jump lets pass of the current; of the two solutions the higher one, which is
    faster than the front.
    """
    passed = b * (1 - PAPER(b) / D_beam)
    y = np.linspace(front(PAPER, D_before).plateau, 1.0, 100_000)
    return float(y[np.argmin(np.abs(y * (1 - PAPER(y) / D_before) - passed))])


def test_cell_by_cell_the_front_is_that_of_the_tangent():
    """Position, plateau and fan of `front`; the error goes with the width of the cells."""
    exact, off = front(PAPER, RB), []
    for step in (2e-9, 1e-9, 0.5e-9):
        nodes = np.arange(0.0, 120e-9 + step / 2, step)
        x = 0.5 * (nodes[1:] + nodes[:-1])
        y = drift_profiles(two(RB), untouched(x.size), nodes, 100e-9)[0]
        half = float(np.interp(0.5, y, x))
        fan = np.interp([25e-9, 50e-9, 90e-9], x, y) / exact.fan(np.array([0.25, 0.5, 0.9])) - 1
        off.append([half / (exact.speed * 100e-9) - 1, *fan])
    off = np.abs(off)
    assert off[-1, 0] < 0.003 and off[-1].max() < 0.025
    assert (off[1:, 1:] < 0.65 * off[:-1, 1:]).all()  # first order, with a logarithm


@pytest.mark.parametrize("D", [segregated, intermixed])
def test_cell_by_cell_every_ion_is_conserved(D):
    """Rubidium stays, lithium leaves at the back for each caesium ion; to 1e-10."""
    nodes, before, after = doubled(D, 1e-9)
    change = (after - before) @ np.diff(nodes) / 50e-9
    np.testing.assert_allclose(change, [-1.0, 0.0, 1.0], rtol=0, atol=1e-10)
    assert after.min() > -1e-6
    np.testing.assert_allclose(after.sum(axis=0), 1.0, rtol=1e-14)


def test_the_second_of_two_fronts_with_constant_ions_is_that_of_two_ions():
    """Cs on Rb on the glass: position, Li plateau and fan as on the glass, and a bank of Li ahead.

    Behind the front there is no Rb, so that only Li and Cs are left, and the jump lets pass what
    it lets pass on untouched glass; ahead of it Li piles up until the Rb zone lets as much pass.
    """
    nodes, _, y = doubled(intermixed, 0.4e-9)
    x, exact = 0.5 * (nodes[1:] + nodes[:-1]), front(PAPER, CS)
    place = float(np.interp(0.5, y[1][x < 70e-9], x[x < 70e-9]))
    assert place == pytest.approx(exact.speed * 50e-9, rel=0.005)
    # (nearer to the surface the first run has left too little lithium to fill the fan)
    assert np.interp(45e-9, x, y[0]) == pytest.approx(exact.fan(0.9), rel=0.03)
    expected = bank(exact.plateau, RB, CS)
    assert y[0][(x > 52e-9) & (x < 54e-9)].mean() == pytest.approx(expected, rel=0.01)
    assert y[1][x < 45e-9].max() < 1e-6


def characteristic_speeds(D, y, step=1e-6):
    """Eigenvalues of d(shares)/d(fractions) of the first two of three ions."""

    def shares(v):
        full = np.append(v, 1 - v.sum())[:, None]
        flow = (D(full) * full)[:, 0]
        return (flow / flow.sum())[:2]

    columns = [(shares(y + h) - shares(y - h)) / (2 * step) for h in step * np.eye(2)]
    return np.sort(np.linalg.eigvals(np.array(columns).T).real)


def test_the_second_front_of_a_segregated_stack_obeys_the_jump_and_the_tangent():
    """Rankine and Hugoniot for all three ions with one speed, equal to the faster characteristic.

    The state behind the jump is where the computed fan has the speed of the jump.
    """
    nodes, _, y = doubled(segregated, 0.4e-9)
    x = 0.5 * (nodes[1:] + nodes[:-1])
    ahead = int(np.argmax(np.where(x < 140e-9, y[0], 0)))  # the bank
    front_at = float(np.interp(-0.1, -y[2][:ahead], x[:ahead]))
    flat = y[:, ahead]
    speed = front_at / 50e-9
    behind = next(
        y[:, c]
        for c in range(ahead, 0, -1)
        if y[2, c] > 0.05 and characteristic_speeds(segregated, y[:2, c])[1] < speed
    )
    flows = [(segregated(v[:, None])[:, 0] * v) for v in (behind, flat)]
    jump = flows[0] / flows[0].sum() - flows[1] / flows[1].sum()
    speeds = jump / (behind - flat)
    np.testing.assert_allclose(speeds, speeds.mean(), rtol=0.005)
    assert speeds.mean() == pytest.approx(speed, rel=0.02)  # the jump is a few cells wide


def test_ions_that_do_not_move_are_only_room_that_is_missing():
    """A share of 0.2 that stands still: a two-ion front in eight tenths of the density."""
    nodes = np.arange(0.0, 180e-9, 0.5e-9)
    x = 0.5 * (nodes[1:] + nodes[:-1])
    start = np.stack([np.full(x.size, 0.2), np.full(x.size, 0.8), np.zeros(x.size)])

    def D(y):
        return np.stack([np.full(x.size, 1e-30), paper(y[1] / 0.8), np.full(x.size, RB)])

    y, exact = drift_profiles(D, start, nodes, 80e-9), front(PAPER, RB)
    np.testing.assert_allclose(y[0], 0.2, rtol=1e-9)
    assert np.interp(0.4, y[1], x) == pytest.approx(exact.speed * 100e-9, rel=0.005)
    assert np.interp(50e-9, x, y[1]) == pytest.approx(0.8 * exact.fan(0.5), rel=0.02)


@pytest.mark.parametrize("time", [1e-5, 1e5])
def test_mixing_joins_the_two_theories_of_the_front(time):
    """Native ions that mix at once leave nothing behind; those that never do, Welge's plateau."""
    nodes = np.arange(0.0, 130e-9, 1e-9)
    x = 0.5 * (nodes[1:] + nodes[:-1])
    start = np.stack([np.ones(x.size), np.zeros(x.size), np.zeros(x.size)])

    def D(y):
        return np.stack([paper(y[0]), np.ones(x.size), np.full(x.size, RB)])

    def swap(_, y):
        rate = y[0] * y[2] / (time * 100e-9)
        return np.stack([-rate, rate, 0 * rate])

    y = drift_profiles(D, start, nodes, 100e-9, swap)
    native, exact = y[0] + y[1], front(PAPER if time > 1 else 1.0, RB)
    assert np.interp(0.5, native, x) == pytest.approx(exact.speed * 100e-9, rel=0.005)
    assert np.interp(50e-9, x, native) == pytest.approx(exact.fan(0.5), rel=0.04, abs=1e-4)


def test_ions_that_mix_behind_the_front_decay_with_the_age_of_the_layer():
    """ds/dq = -s (1 - s)/tau of ions that stand still: a logistic decay since the front passed."""
    nodes = np.arange(0.0, 130e-9, 1e-9)
    x, tau = 0.5 * (nodes[1:] + nodes[:-1]), 200e-9
    start = np.stack([np.full(x.size, 0.06), np.full(x.size, 0.94), np.zeros(x.size)])

    def D(y):
        return np.stack([np.full(x.size, 1e-30), np.ones(x.size), np.full(x.size, RB)])

    def swap(_, y):
        rate = y[0] * y[2] / tau
        return np.stack([-rate, rate, 0 * rate])

    y = drift_profiles(D, start, nodes, 100e-9, swap)
    age = 100e-9 - 0.94 * x  # but for the little current that the released ions carry
    odds = 0.06 / 0.94 * np.exp(-age / tau)
    inside = x < 95e-9
    np.testing.assert_allclose(y[0][inside], (odds / (1 + odds))[inside], rtol=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"start": np.ones((2, 9))}, r"nodes ask for \(ions, 10\)"),
        ({"start": np.array([[0.5] * 10, [0.5] * 9 + [0.4]])}, "add up to one"),
        ({"nodes": np.zeros(11)}, "nodes must increase"),
        ({"replaced": 0.0}, "replaced = 0 m"),
    ],
)
def test_profiles_that_make_no_sense_are_refused(options, message):
    """The message names the argument and what is allowed."""
    values = {"start": untouched(10), "nodes": np.linspace(0, 1e-8, 11), "replaced": 1e-9}
    with pytest.raises(ValueError, match=message):
        drift_profiles(two(RB), **{**values, **options})


def test_equation_3_follows_from_the_three_zones_symbol_by_symbol():
    """J_B = J_F = J_D with the means of densities and fields at the front, solved for D_foreign."""
    names = "D_B D_F D_D n_B n_D slope E_B E_D D"
    D_B, D_F, D_D, n_B, n_D, slope, E_B, E_D, D = sp.symbols(names)
    bulk = -D_B * n_B * E_B
    at_front = -D_F * (slope + (n_B + n_D) / 2 * (E_B + E_D) / 2)
    replaced = -(D_D * n_D + D * (n_B - n_D)) * E_D
    field = sp.solve(sp.Eq(bulk, at_front), E_D)[0]
    found = sp.solve(sp.Eq(bulk, replaced.subs(E_D, field)), D)[0]
    bracket = 4 * D_B / D_F * n_B - 4 / E_B * slope - (n_B + n_D)
    printed = D_B * (n_B + n_D) / (n_B - n_D) * n_B / bracket - D_D * n_D / (n_B - n_D)
    assert sp.simplify(found - printed) == 0
    values = 1.0, 0.01, 1e-4, 1.0, 0.1, 5.0, -2.0
    number = float(
        found.subs(dict(zip((D_B, D_F, D_D, n_B, n_D, slope, E_B), values, strict=True)))
    )
    assert foreign_diffusivity_from_zones(*values) == pytest.approx(number, rel=1e-12)


def test_profiles_on_the_way_are_those_of_shorter_runs():
    """What is read off on a run to 80 nm is a run to 30 and one to 60, within the steps of each."""
    nodes = np.linspace(0, 120e-9, 61)
    start = untouched(60)
    on_the_way = drift_profiles(two(RB), start, nodes, 80e-9, at=[30e-9, 60e-9])
    assert on_the_way.shape == (2, 2, 60)
    for found, charge in zip(on_the_way, (30e-9, 60e-9), strict=True):
        alone = drift_profiles(two(RB), start, nodes, charge)
        np.testing.assert_allclose(found, alone, atol=5e-3)
    for wrong in ([], [0.0], [30e-9, 20e-9], [90e-9]):
        with pytest.raises(ValueError, match="at = "):
            drift_profiles(two(RB), start, nodes, 80e-9, at=wrong)
