"""A model is blurred as the instrument does it: exactly, on any mesh."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erfc

from cait_helpers.resolution import as_seen, blur, dowsett_resolution, gaussian_resolution

PROPERTY = settings(deadline=None, derandomize=True, max_examples=60)

NM = 1e-9
lengths = st.floats(0.3, 5.0).map(lambda value: value * NM)
resolutions = st.one_of(
    st.none(),
    lengths.map(gaussian_resolution),
    st.tuples(lengths, lengths, lengths).map(lambda three: dowsett_resolution(*three)),
    lengths.map(lambda value: dowsett_resolution(0.0, value, value)),
)
steps = st.lists(st.floats(0.01, 8.0), min_size=3, max_size=30)
profiles = steps.flatmap(
    lambda widths: st.tuples(
        st.just(np.cumsum([0.0, *widths]) * NM),
        st.lists(st.floats(0, 1), min_size=len(widths) + 1, max_size=len(widths) + 1).map(np.array),
    )
)
EDGES = np.linspace(0, 60, 61) * NM


@PROPERTY
@given(profile=profiles, value=st.floats(0, 2), resolution=resolutions)
def test_a_constant_stays_exactly_what_it_is(profile, value, resolution):
    x, _ = profile
    np.testing.assert_array_equal(blur(x, np.full(x.size, value), EDGES, resolution), value)


@PROPERTY
@given(profile=profiles, factor=st.floats(-3, 3), resolution=resolutions)
def test_blurring_is_linear(profile, factor, resolution):
    """Slopes reach 1/(0.01 nm): rounding of 1e-16 times 100 cells a slope."""
    x, f = profile
    g = np.sin(x / NM)
    both = blur(x, f + factor * g, EDGES, resolution)
    apart = blur(x, f, EDGES, resolution) + factor * blur(x, g, EDGES, resolution)
    np.testing.assert_allclose(both, apart, atol=1e-11)


@PROPERTY
@given(profile=profiles, resolution=resolutions)
def test_blurring_keeps_the_area_and_the_range(profile, resolution):
    """A profile that is zero at both ends, on slices that reach 40 widths beyond it."""
    x, f = profile
    f = np.concatenate([[0.0, 0.0], f[1:-1], [0.0, 0.0]])
    x = np.concatenate([[x[0] - 5 * NM], x, [x[-1] + 5 * NM]])
    edges = np.linspace(x[0] - 300 * NM, x[-1] + 300 * NM, 400)
    blurred = blur(x, f, edges, resolution)
    area = np.sum(blurred * np.diff(edges))
    np.testing.assert_allclose(area, np.trapezoid(f, x), atol=1e-11 * NM * x.size)
    assert blurred.min() > -1e-11
    assert blurred.max() < f.max() + 1e-11


@PROPERTY
@given(profile=profiles, resolution=resolutions.filter(bool), cell=st.integers(0, 59))
def test_blurring_agrees_with_quadrature(profile, resolution, cell):
    """The convolution integral by Gauss-Legendre on pieces between kinks.

    Within a piece the profile is linear and the response smooth on the scale of its shortest
    length, which the pieces resolve.
    """
    x, f = profile
    node, weight = np.polynomial.legendre.leggauss(12)

    def pieces(low, high, longest):
        cuts = np.linspace(low, high, int((high - low) / longest) + 2)
        half = np.diff(cuts)[:, None] / 2
        return (cuts[:-1, None] + half * (node + 1)).ravel(), (half * weight).ravel()

    short = resolution.sigma
    low, high = EDGES[cell], EDGES[cell + 1]
    z, over_slice = pieces(low, high, short)
    mean = np.zeros_like(z)
    bounds = [x[0] - 260 * NM, *x, max(x[-1], high) + 260 * NM]
    for a, b in pairwise(bounds):
        u, over_depth = pieces(a, b, short)
        mean += resolution.density(z[:, None] - u) @ (over_depth * np.interp(u, x, f))
    expected = mean @ over_slice / (high - low)
    found = blur(x, f, EDGES, resolution)[cell]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("sigma", [0.5 * NM, 3 * NM])
def test_a_step_becomes_an_error_function(sigma):
    """A front of 1e-4 nm on slices of 0.1 nm, against six-point quadrature of the formula.

    Its width shows up as (1e-4/sigma)^2, about 1e-8.
    """
    front = 30 * NM
    x = np.array([0.0, front - 0.5e-4 * NM, front + 0.5e-4 * NM, 60 * NM])
    edges = np.linspace(20 * NM, 40 * NM, 201)
    node, weight = np.polynomial.legendre.leggauss(6)
    z = (edges[1:] + edges[:-1])[:, None] / 2 + np.diff(edges)[:, None] / 2 * node
    expected = erfc((front - z) / (np.sqrt(2) * sigma)) @ weight / 4
    found = blur(x, [0, 0, 1, 1], edges, gaussian_resolution(sigma))
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_small_tails_approach_the_gaussian():
    """Variances add, so a tail of sigma/20 changes a step by about its shift, sigma/20."""
    x, f = np.array([0, 30, 30.01, 60]) * NM, [0.0, 0.0, 1.0, 1.0]
    plain = blur(x, f, EDGES, gaussian_resolution(1 * NM))
    tailed = blur(x, f, EDGES, dowsett_resolution(0.05 * NM, 0.05 * NM, 1 * NM))
    # equal tails do not shift; the width grows by (1/20)^2
    np.testing.assert_allclose(tailed, plain, atol=1e-3)
    assert np.abs(tailed - plain).max() > 1e-5


@settings(PROPERTY, max_examples=20)
@given(resolution=resolutions.filter(bool))
def test_the_response_has_unit_area_and_the_stated_mean_and_width(resolution):
    """Trapezoid sums of a smooth function that has decayed at both ends: 1e-10."""
    z = np.linspace(-250, 250, 100001) * NM
    density = resolution.density(z)
    area, first = np.trapezoid(density, z), np.trapezoid(z * density, z)
    second = np.trapezoid((z - first) ** 2 * density, z)
    assert area == pytest.approx(1, rel=1e-8)
    assert first == pytest.approx(resolution.shift, abs=1e-8 * NM)
    assert np.sqrt(second) == pytest.approx(resolution.width, rel=1e-8)


def test_the_tail_points_into_the_glass():
    """Mixing drags a buried layer deeper: the long decay is behind it."""
    response = dowsett_resolution(decay_up=0.5 * NM, decay_down=4 * NM, sigma=1 * NM)
    assert response.density(8 * NM) > 100 * response.density(-8 * NM)


@pytest.mark.parametrize(
    ("x", "f", "edges", "expected"),
    [
        ([0, 1], [0, 1, 2], [0, 1], "x needs a shape"),
        ([0], [0], [0, 1], "x needs a shape"),
        ([0, 0], [0, 1], [0, 1], "x must increase"),
        ([0, np.nan], [0, 1], [0, 1], "x = nan is outside"),
        ([0, 1], [0, 1], [0], "edges must have"),
        ([0, 1], [0, 1], [1, 0], "edges must have"),
    ],
)
def test_blur_refuses_what_is_not_a_profile(x, f, edges, expected):
    with pytest.raises(ValueError, match=expected):
        blur(x, f, edges)


def test_a_resolution_out_of_range_is_refused():
    with pytest.raises(ValueError, match="sigma = 2 m is outside"):
        gaussian_resolution(2)
    with pytest.raises(ValueError, match="decay_up = -1e-09 m is outside"):
        dowsett_resolution(-1 * NM, 0, 1 * NM)
    with pytest.raises(ValueError, match="below sigma/20"):
        dowsett_resolution(0.01 * NM, 0, 1 * NM)


def test_each_ion_is_seen_in_slices_of_its_own():
    """A ramp that is counted 2 nm later is seen 2 nm deeper; without lags both are one blur."""
    x = np.linspace(0, 100, 11) * NM
    ions = {"Li": x / x[-1], "K": 1 - x / x[-1]}
    response = gaussian_resolution(2 * NM)
    seen = as_seen(x, ions, EDGES[10:], response)
    for ion, f in ions.items():
        np.testing.assert_allclose(seen[ion], blur(x, f, EDGES[10:], response), rtol=1e-13)
    later = as_seen(x, ions, EDGES[10:], response, {"K": 2 * NM})
    np.testing.assert_allclose(later["Li"], seen["Li"], rtol=1e-13)
    np.testing.assert_allclose(later["K"], seen["K"] - 0.02, rtol=1e-9)
    assert response.scaled(1.5) == gaussian_resolution(3 * NM)
