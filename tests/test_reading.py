"""What is read off a profile: values between the cells, and the front."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cait_helpers import reading

quietly = settings(deadline=None, derandomize=True, max_examples=30)
seeds = st.integers(0, 2**32 - 1)


@quietly
@given(seed=seeds)
def test_samples_keep_the_cell_means_and_make_no_extremum(seed):
    """Straight in each cell: exact means, exact for straight profiles, within the neighbours."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([[0.0], np.cumsum(rng.uniform(0.3, 2.0, 9))])
    y = rng.uniform(0.0, 1.0, (9, 2))
    y[:, 1] = 0.1 + 0.05 * (x[1:] + x[:-1])  # straight
    inside = np.array([0.25, 0.75])
    at = (x[:-1, None] + np.diff(x)[:, None] * inside).ravel()
    found = reading.sample(x, y, at)
    np.testing.assert_allclose(found.reshape(9, 2, 2).mean(axis=1), y, rtol=0, atol=1e-14)
    np.testing.assert_allclose(found[:, 1], 0.1 + 0.1 * at, rtol=1e-12)
    for c in range(1, 8):
        near = y[c - 1 : c + 2, 0]
        edge = reading.sample(x, y, np.array([x[c], x[c + 1] - 1e-12]))[:, 0]
        assert np.all((edge >= near.min() - 1e-9) & (edge <= near.max() + 1e-9))


@quietly
@given(seed=seeds)
def test_a_line_is_read_as_numpy_reads_it(seed):
    """At, between and beyond the points."""
    rng = np.random.default_rng(seed)
    x, y = np.cumsum(rng.uniform(0.1, 2.0, 7)), rng.normal(size=7)
    for at in (x[0] - 1, x[0], x[3], x[-1], x[-1] + 1, *rng.uniform(x[0], x[-1], 5)):
        assert reading.between(at, x, y) == pytest.approx(np.interp(at, x, y), abs=1e-12)


def test_the_depth_of_a_front_is_where_the_fraction_last_is_below_the_level():
    """The deepest of two crossings, straight in between; none is zero, open at the end the end."""
    x, y = np.array([1.0, 2.0, 3.0, 4.0, 5.0]), np.array([0.2, 0.9, 0.1, 0.6, 1.0])
    assert reading.deepest_below(x, y, 0.5) == pytest.approx(3.8)
    assert reading.deepest_below(x, y, 0.05) == 0.0
    assert reading.deepest_below(x[:3], y[:3], 0.5) == 3.0


@pytest.mark.parametrize(("plateau", "level"), [(0.1, 0.5), (0.45, 0.75), (0.8, 0.9), (0.9, 0.96)])
def test_the_front_is_found_above_any_plateau(plateau, level):
    """A step from the plateau to the glass; the level is the lowest that is well above it."""
    x = np.linspace(0, 100, 201)
    y = plateau + (1 - plateau) / (1 + np.exp(-(x - 60)))
    assert reading.front_level(x, y) == level
    assert reading.front_place(x, y) == pytest.approx(60, abs=2)


def test_a_rarefaction_has_no_front():
    """Fractions that rise evenly to the glass are nowhere well below a level behind it."""
    x = np.linspace(0, 100, 201)
    assert reading.front_level(x, np.minimum(0.6 + x / 100, 1.0)) == 0.0
    assert reading.front_place(x, np.ones(201)) == 0.0
