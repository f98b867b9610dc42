"""Runs at several temperatures: one landscape, and an energy for each D."""

from __future__ import annotations

import runpy
import types
from dataclasses import replace

import numpy as np
import pytest
from scipy.constants import e, k
from slim import ROOT

import cait_helpers as cait

d = types.SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / "departures.py")))
ENERGY = {"bulk": 0.62, "K": 0.90}  # eV
MIDDLE = 323.15


def arrhenius(D, energy, T):
    return D * np.exp(-energy * e / k * (1 / T - 1 / MIDDLE))


@pytest.fixture(scope="module")
def series(tmp_path_factory):
    """Potassium at 30 and 70 degrees Celsius in a glass that is filled thermally.

    By a generator that shares no code with the analysis.
    """
    s, rng, cases = d.synthetic, np.random.default_rng(1), []
    for T in (303.15, 343.15):
        folder = tmp_path_factory.mktemp(f"{T:.0f}")
        D_bulk = arrhenius(1e-18, ENERGY["bulk"], T)
        foreign = arrhenius(10**-21.42, ENERGY["K"], T)
        truth = s.Truth(0.25, T, 0.9, D_bulk, foreign, 10.0, 2.5e-9, 90e-9)
        exact = d.Departure(True, 0.9, 1.0, 0.0, 1.0, False, False, "", 0.0)
        sigma = D_bulk * s.DENSITY * e**2 / (k * T)
        d.write(folder, "K", truth, d.thermal_law(truth), exact, sigma, rng)
        cases.append(cait.read_case(folder / "K.toml"))
    return cases


def test_a_series_finds_the_landscape_the_energies_and_the_filling(series):
    """Sharp filling cannot describe both temperatures; thermal filling finds what went in."""
    thermal = cait.fit_landscape(series, filling="thermal")
    low, high = thermal.interval["fwhm"]
    assert abs(thermal.fwhm - 0.250) < 1.5 * (high - low) / 2
    for name, energy in ENERGY.items():
        low, high = thermal.interval[f"energy_{name}"]
        assert abs((low + high) / 2 - energy) < 1.5 * (high - low) / 2
    sharp = cait.fit_landscape(series)
    assert sharp.chi_square > thermal.chi_square + 30


def test_cases_of_one_temperature_have_no_energy(series):
    parameters = cait.fit.landscape_parameters([replace(series[0])])
    assert "energy_bulk" not in parameters
