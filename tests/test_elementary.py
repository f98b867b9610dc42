"""Elementary functions in plain arithmetic: as good as a library's, and the law made of them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import special

import cait_helpers as cait
from cait_helpers import elementary, laws


def ulps(found, exact):
    """Largest difference in units of the last place."""
    return np.max(np.abs(found - exact) / np.spacing(np.abs(exact)))


def test_the_exponential_is_right_to_the_last_place():
    """Against numpy from -700 to 700, and close to zero."""
    rng = np.random.default_rng(0)
    x = np.concatenate([rng.uniform(-700, 700, 20_000), rng.uniform(-1, 1, 20_000)])
    assert ulps(elementary.exp(x), np.exp(x)) <= 1.5


def test_the_logarithm_is_right_to_the_last_place():
    """Against numpy over all magnitudes, subnormal numbers included, and close to one."""
    rng = np.random.default_rng(1)
    x = [*np.exp(rng.uniform(-740, 700, 5_000)), *rng.uniform(0.5, 2, 5_000), 5e-324]
    found = np.array([elementary.logarithm(value) for value in x])
    assert ulps(found, np.log(x)) <= 1.5


def test_the_normal_quantile_has_fifteen_digits():
    """Against scipy from the far tail of 1e-300 to that of 1 - 1e-15."""
    rng = np.random.default_rng(2)
    tails = 10.0 ** rng.uniform(-300, 0, 10_000)
    share = np.concatenate(
        [rng.uniform(0, 1, 10_000), tails, 1 - 10.0 ** rng.uniform(-15, -1, 999)]
    )
    np.testing.assert_allclose(elementary.ndtri(share), special.ndtri(share), rtol=2e-15)


def test_the_normal_share_undoes_the_quantile():
    """Against scipy, in the tails relatively."""
    x = np.linspace(-30, 9, 2001)
    found = np.array([elementary.normal_share(value) for value in x])
    np.testing.assert_allclose(found, special.ndtr(x), rtol=1e-12, atol=2e-15)


def test_the_ends_are_those_of_the_libraries():
    ends = [0.0, 1.0, -1.0, 2.0, np.nan, 0.5]
    np.testing.assert_array_equal(elementary.ndtri(ends), special.ndtri(ends))
    np.testing.assert_array_equal(
        elementary.exp([-np.inf, np.inf, np.nan, 0.0]), [0, np.inf, np.nan, 1]
    )
    assert elementary.logarithm(0.0) == -np.inf and np.isnan(elementary.logarithm(-1.0))
    assert elementary.logarithm(np.inf) == np.inf


@settings(deadline=None, derandomize=True)
@given(st.floats(0.05, 0.5), st.floats(0.1, 0.99), st.floats(200, 500))
def test_the_law_of_the_page_is_that_of_the_package_bit_by_bit(fwhm, occupancy, temperature):
    """`gaussian_law` on the fractions of a table, and `activated_diffusivity` there."""
    sed = cait.gaussian_sed(fwhm)
    law = cait.activated_diffusivity(sed, 1e-18, temperature, occupancy)
    kT = cait.landscape.BOLTZMANN * temperature
    share = elementary.shares(laws.PIECES, laws.SMALLEST)
    found = elementary.gaussian_law(share, 1e-18, sed.sigma, occupancy, kT)
    assert np.array_equal(found, law(share))


def test_the_pieces_of_a_table_are_smooth_and_exact_at_its_points():
    """Hermite's cubics of exp(4 t) at equal steps: value and slope meet, error of fourth order."""
    errors = []
    for count in (16, 32):
        t = np.linspace(0.0, 1.0, count + 1)
        pieces = elementary.cubic_pieces(np.exp(4 * t))
        np.testing.assert_allclose(pieces.sum(axis=1)[:-1], pieces[1:, 0], rtol=1e-14)
        slope_end = pieces[:, 1] + 2 * pieces[:, 2] + 3 * pieces[:, 3]
        np.testing.assert_allclose(slope_end[:-1], pieces[1:, 1], rtol=1e-12)
        middle = pieces @ [1.0, 0.5, 0.25, 0.125]
        errors.append(np.max(np.abs(middle / np.exp(4 * (t[:-1] + 0.5 / count)) - 1)))
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.2)
