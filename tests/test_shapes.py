"""Landscapes of two components: their levels, and a width that one Gaussian would miss."""

from __future__ import annotations

import runpy
import types
from dataclasses import replace

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.optimize import brentq
from scipy.special import expit, ndtr
from slim import ROOT

import cait_helpers as cait
from cait_helpers import shapes
from cait_helpers.landscape import BOLTZMANN, SIGMA_PER_FWHM

kT = BOLTZMANN * 323.15


def densities(ratio, distance, share):
    """Of both components, by energy in full widths of the first."""
    widths = SIGMA_PER_FWHM * np.array([1.0, ratio])
    return (
        lambda e, c=c, s=s, w=w: w * np.exp(-(((e - c) / s) ** 2) / 2) / (s * np.sqrt(2 * np.pi))
        for c, s, w in zip((0.0, -distance), widths, (1 - share, share), strict=True)
    )


@pytest.mark.parametrize("shape", [(1.0, 0.0, 0.3), (0.7, 0.6, 0.2), (1.4, 0.9, 0.5)])
@pytest.mark.parametrize("warm", [0.0, kT])
def test_levels_fill_the_sites_to_their_shares(shape, warm):
    """Integrated by an adaptive rule, from the level that is found, over the whole landscape."""
    width, wanted = 0.2, np.array([0.003, 0.05, 0.9])
    packed = np.array([[np.log(shape[0]), *shape[1:]]])
    unit = width / shapes._full_widths(packed)[0]
    (levels,) = shapes._levels(packed, width, wanted[None, :], warm)
    for level, share in zip(levels / unit, wanted, strict=True):
        filled = 0.0
        for density in densities(*shape):
            weight = density if warm == 0 else lambda e, d=density, to=level: d(e) * expit(
                (to - e) * unit / warm
            )  # fmt: skip
            end = level if warm == 0 else 4.0
            filled += quad(weight, -6.0, end, limit=200, points=[level] if warm else None)[0]
        assert filled == pytest.approx(share, rel=1e-5)


@pytest.mark.parametrize("shape", [(1.0, 0.0, 0.3), (0.7, 0.6, 0.2), (1.4, 0.9, 0.5)])
def test_the_full_width_lies_between_the_outermost_places_of_half_the_height(shape):
    grid = np.linspace(-5, 3, 80001)
    height = sum(density(grid) for density in densities(*shape))
    above = grid[height >= 0.5 * height.max()]
    (found,) = shapes._full_widths(np.array([[np.log(shape[0]), *shape[1:]]]))
    assert found == pytest.approx(above[-1] - above[0], abs=3e-4)


@pytest.mark.parametrize(
    ("width", "shape", "error"),
    [
        (0.2457, (-0.44, 0.23, 0.41), 0.03),
        (0.1902, (-0.67, 0.09, 0.23), 0.03),
        (0.2399, (-0.66, 0.23, 0.48), 0.1),
        (0.2632, (-0.51, 0.23, 0.44), 0.03),
    ],
)
def test_two_components_hold_the_width_that_D_was_made_with(width, shape, error):
    """Chi-square is zero there, but has other optima nearby, in which a search may end."""
    knots = shapes.KNOTS[:5]
    shares = 0.9 * np.append(knots, 1.0)
    (level,) = shapes._levels(np.array([shape]), width, shares[None, :], 0.0)
    seen = shapes.Seen(knots, (level[:-1] - level[-1]) / kT, np.eye(5) / error**2, 0.0)
    low, high, square = shapes.two_components(seen, 0.25, kT, "zero", cait.Prior(0.9, 0.02), 1.0)
    assert low <= width <= high
    assert square < 0.02


def two_gaussians(fwhm, distance, ratio, share):
    """D(y) of eqn (2), nine of ten sites filled sharply, and the full width; energies in eV."""
    sigma = fwhm * SIGMA_PER_FWHM

    def below(level):
        return (1 - share) * ndtr(level / sigma) + share * ndtr((level + distance) / sigma / ratio)

    grid = np.unique(np.concatenate([np.geomspace(1e-12, 1e-2, 300), np.linspace(1e-2, 1, 400)]))
    level = np.array([brentq(lambda e, y=y: below(e) - 0.9 * y, -3.0, 1.0) for y in grid])

    def law(truth, y):
        found = np.interp(np.log(np.clip(y, 1e-12, 1)), np.log(grid), level - level[-1])
        return truth.D_bulk * np.exp(found / (BOLTZMANN * truth.temperature))

    energy = np.linspace(-1.0, 0.6, 160001)
    height = np.gradient(below(energy))
    above = energy[height >= 0.5 * height.max()]
    return law, float(above[-1] - above[0])


def test_two_components_that_one_describes_as_well_are_in_the_total(tmp_path):
    """A width found 20 meV too low without a word of chi-square: only the shape can be doubted."""
    d = types.SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / "departures.py")))
    law, made = two_gaussians(0.230, 0.146, 0.83, 0.22)
    truth = d.synthetic.Truth(made, 353.15, 0.9, 1e-18, 0.0, 10.0, 2.5e-9, 90e-9)
    truth = replace(truth, D_foreign=d.tangent(law, truth, 0.07))
    exact = d.Departure(False, 0.9, 1.0, 0.0, 1.0, False, False, "", 0.0)
    rng = np.random.default_rng(3)
    d.write(tmp_path, "Rb", truth, law, exact, 7.27e-8, rng)
    fit = cait.fit_landscape([cait.read_case(tmp_path / "Rb.toml")])
    budget = cait.error_budget(fit)
    low, high = budget.interval["fwhm"]
    assert low < made < high
    without = [row for row in budget.rows if not row.alternative.startswith("two components")]
    assert max(row.fwhm + 1.96 * row.error for row in without if row.verdict == "allowed") < made
