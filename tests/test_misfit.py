"""A wrong entry is said: how improbable the fit is, which data carry it, and which entry it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2, norm
from slim import ROOT

import cait_helpers as cait
from cait_helpers.misfit import sigmas
from cait_helpers.npp import Voltage
from cait_helpers.resolution import gaussian_resolution

RUBIDIUM = cait.read_case(ROOT / "data" / "rb_on_lbo.toml")
WRONG = {
    "the voltage": replace(RUBIDIUM, drive=Voltage(11.3)),
    "the conductivity": replace(RUBIDIUM, conductivity=1.14 * RUBIDIUM.conductivity),
    "entered as a full width": replace(RUBIDIUM, resolution=gaussian_resolution(2.355 * 2.5e-9)),
}


@pytest.mark.parametrize("cause", WRONG)
def test_a_wrong_entry_is_named(cause):
    """11.3 V for 10 V, a conductivity 14 % high, a full width for a standard deviation.

    The widened interval still holds the 250 meV that the data were made with.
    """
    fit = cait.fit_landscape([WRONG[cause]])
    assert fit.misfit.notable
    assert cause in fit.misfit.cause
    assert "likeliest cause" in fit.report()
    low, high = fit.interval["fwhm"]
    assert low < 0.250 < high


def test_a_voltage_that_is_wrong_in_one_of_two_cases_is_named_with_it():
    """11.2 V stated for the 10 V of rubidium, and potassium's voltage as it was."""
    potassium = cait.read_case(ROOT / "data" / "k_on_lbo.toml")
    fit = cait.fit_landscape([potassium, replace(RUBIDIUM, drive=Voltage(11.2))])
    assert fit.misfit.notable
    assert f"the voltage: 0.89 ({RUBIDIUM.title}) of what is stated" in fit.misfit.cause
    assert potassium.title not in fit.misfit.cause


def test_a_charge_a_little_off_is_fitted_and_the_contradiction_named():
    """A plate with 8 % more ions than stated, or a crater as much off: depth against charge.

    The profile's own check fails at 6 %; the fit lives with it and says so.
    """
    off = replace(RUBIDIUM, glass=replace(RUBIDIUM.glass, ion_density=1.38e28 * 1.08))
    assert not off.profile().ok
    fit = cait.fit_landscape([off])
    assert fit.misfit.notable
    assert fit.misfit.worst.kind == "charge"
    assert fit.misfit.cause.startswith("charge against depth")
    assert "1.08 times" in fit.report()
    assert fit.fwhm == pytest.approx(0.250, rel=0.01)


def test_a_right_model_has_nothing_to_say():
    fit = cait.fit_landscape([RUBIDIUM])
    assert not fit.misfit.notable
    assert fit.misfit.cause == ""
    assert "misfit" not in fit.report()
    assert abs(fit.misfit.autocorrelation) < 0.2


def test_a_background_that_is_not_stated_is_fitted_and_said():
    """The data have two counts a cycle."""
    fit = cait.fit_landscape([replace(RUBIDIUM, background=None)])
    assert "none is stated" in fit.report()
    assert fit.misfit.sigmas < 4
    low, high = fit.interval["fwhm"]
    assert low < 0.250 < high


@pytest.mark.parametrize("freedom", [1, 20, 600])
def test_standard_deviations_are_those_of_an_equally_improbable_normal_variable(freedom):
    """And where no floating-point number is as small as the probability, still finite."""
    for probability in (0.5, 0.1, 1e-2, 1e-4):
        square = chi2.isf(probability, freedom)
        assert sigmas(square, freedom) == pytest.approx(norm.isf(probability), abs=1e-6)
    assert np.isfinite(sigmas(1e6, freedom))
    assert sigmas(3000.0, freedom) > sigmas(1500.0, freedom)
