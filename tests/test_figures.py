"""The figures that say why a check fails, and the corner plot."""

from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import pytest
from slim import ROOT

import cait_helpers as cait
from cait_helpers import figures


@pytest.fixture(scope="module")
def case():
    return cait.read_case(ROOT / "data" / "k_on_lbo.toml")


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_every_check_has_a_figure_that_states_its_verdict(case):
    for check in case.profile().checks:
        (ax,) = figures.check_figure(case, check.name).axes
        assert ax.get_title() == f"{check.name}: {check.value:.3g}, ok"
        assert ax.get_xlabel() and ax.get_ylabel() and ax.lines


def test_an_unknown_check_is_named(case):
    with pytest.raises(ValueError, match="name = 'charge' is no check of this profile"):
        figures.check_figure(case, "charge")


def test_the_charge_of_a_crater_too_deep_is_drawn_above_the_band(case):
    wrong = replace(case, crater_depth=1.1 * case.crater_depth)
    (ax,) = figures.check_figure(wrong, "charge balance").axes
    assert "FAILED" in ax.get_title()
    assert ax.lines[0].get_ydata()[-1] == pytest.approx(1.096, abs=0.01)


def test_raw_counts_are_drawn_below_the_line_of_poisson(case):
    """About a quarter of the pulses count a lithium ion: so much of the variance is missing.

    Of 100 cycles the variance is good to 0.14.
    """
    (ax,) = figures.check_figure(replace(case, pulses=None), "dead time corrected").axes
    native = next(line for line in ax.lines if line.get_label() == "Li$^+$")
    x, y = native.get_data()
    assert np.mean(y[x > 12000]) == pytest.approx(0.75, abs=0.15)


def test_a_corner_plot_has_a_panel_for_each_parameter_and_pair():
    rng = np.random.default_rng(1)
    posterior = cait.uncertainty.Posterior(
        ("fwhm", "log10_D_K"), rng.normal([0.25, -21.0], [1e-3, 1e-2], (500, 2)), np.ones(2),
        np.ones(2), 0.4,
    )  # fmt: skip
    figure = figures.corner_figure(posterior)
    assert len(figure.axes) == 3
    low, high = figure.axes[0].get_xlim()
    assert 240 < low < 250 < high < 260  # meV
    assert len(figures.corner_figure(posterior, ["fwhm"]).axes) == 1


def test_a_check_that_fails_is_drawn_with_what_it_has_seen(case):
    """A stated conductivity 30 % too high; a cycle that is not used; the text of an instrument."""
    wrong = replace(case, conductivity=1.3 * case.conductivity)
    (ax,) = figures.check_figure(wrong, "first current").axes
    assert "FAILED" in ax.get_title()
    stated = ax.lines[1].get_ydata()[0]
    assert stated == pytest.approx(1.3 * ax.lines[0].get_ydata()[0], rel=0.02)
    (ax,) = figures.check_figure(replace(case, leave_out=(100,)), "every cycle whole").axes
    assert 100 in ax.lines[1].get_xdata()
    (ax,) = figures.check_figure(case, "scatter of counting").axes
    inside = np.abs(ax.lines[0].get_ydata()) < 2
    assert inside[np.isfinite(ax.lines[0].get_ydata())].mean() > 0.9
    assert figures._ion_text("_K$x") == " _K\\$x"  # no hidden label, and no formula
    assert figures._ion_text("133Cs 85Rb") == "Rb$^+$"
