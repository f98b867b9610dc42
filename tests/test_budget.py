"""The error budget: what each assumption does to the width, and what the data reject."""

from __future__ import annotations

import re
import types
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chi2
from slim import ROOT

import cait_helpers as cait
from cait_helpers import budget as budgets
from cait_helpers.likelihood import FREE_OCCUPANCY
from cait_helpers.parameters import copied, values_of
from cait_helpers.shapes import look


@pytest.fixture(scope="module")
def fit():
    return cait.fit_landscape([cait.read_case(ROOT / "data" / "rb_on_lbo.toml")])


@pytest.fixture(scope="module")
def told():
    return []


@pytest.fixture(scope="module")
def budget(fit, told):
    return cait.error_budget(fit, progress=lambda share, what: told.append((share, what)))


def row(budget, what, alternative):
    (found,) = [r for r in budget.rows if (r.what, r.alternative) == (what, alternative)]
    return found


def test_a_fit_may_carry_a_free_occupancy_to_its_bound(fit):
    """A wrong alternative does; the runs around that place are runs of real glasses still."""
    likelihood, parameters = fit.likelihood.of(fit.experiments), copied(fit.parameters)
    parameters["occupancy"].vary, parameters["occupancy"].value = True, FREE_OCCUPANCY[1]
    widths = {"fwhm": 0.02, "occupancy": 0.02, "log_ratio": 0.05, "log_charge": 0.03}
    likelihood.build(parameters, widths, crossed=False)
    values = likelihood.settings(0, values_of(parameters))
    place = dict(zip(likelihood.emulators[0].names, likelihood.place(0, values), strict=True))
    assert 0 < place["occupancy"] <= 1 + 1e-9  # not beyond what was simulated


def test_the_temperature_enters_the_width_in_proportion(budget):
    """1 K of 323 K is 0.31 % of the width: every energy is measured in kT."""
    assert row(budget, "temperature", "+- 0.31 %").error == pytest.approx(0.25 / 323.15, rel=0.05)


def test_counting_is_the_smallest_part_of_the_total(fit, budget):
    low, high = budget.interval["fwhm"]
    assert budget.counting == pytest.approx(np.diff(fit.interval["fwhm"])[0] / 2)
    assert high - low > 10 * budget.counting
    assert low < 0.250 < high


def test_one_profile_does_not_tell_sharp_from_thermal_filling(budget):
    """A Gaussian filled thermally looks as one filled sharply that is 30 meV wider."""
    thermal = row(budget, "filling", "Fermi-Dirac")
    assert not thermal.rejected
    assert -0.035 < thermal.shift < -0.025


def test_the_data_show_the_D_that_they_were_made_with_whatever_its_shape(fit):
    """ln D(y) free at a few fractions comes back as that of 250 meV, within what is known of it."""
    seen = look(fit.likelihood, fit.parameters)
    law = cait.activated_diffusivity(cait.gaussian_sed(0.25), 1.0, 323.15, 0.9)
    off = seen.log_D - np.log(law(seen.knots))
    assert off @ seen.information @ off < chi2.ppf(0.999, off.size)
    assert seen.information.diagonal().max() ** -0.5 < 0.02
    assert seen.chi_square <= fit.chi_square + 1


def test_the_data_reject_a_prefactor_of_one_over_y(budget):
    assert row(budget, "prefactor", "1/y").rejected
    assert row(budget, "prefactor", "1/y").shift > 0.05


def test_an_alternative_that_could_not_be_fitted_is_neither_allowed_nor_rejected(budget):
    """It is named in the sentence, and takes no part in the interval."""
    lost = replace(row(budget, "filling", "Fermi-Dirac"), fwhm=np.nan, chi_square=np.inf)
    without = replace(budget, rows=(*budget.rows, replace(lost, alternative="lost")))
    assert lost.verdict == "not fitted"
    assert "could not be fitted, so not included: filling lost" in without.sentence
    assert without.report().splitlines()[-1].endswith("not fitted")
    assert without.figure().axes[0].get_xlabel() == "FWHM / meV"


def test_the_budget_is_told_in_a_sentence_and_a_line_a_row(fit, budget):
    report = budget.report()
    assert f"{1e3 * fit.fwhm:.0f} meV, +- " in report
    assert "from counting" in report
    assert len(report.splitlines()) == 3 + len(budget.rows)
    assert budget.figure().axes[0].get_xlabel() == "FWHM / meV"


def test_progress_is_told_and_may_stop_the_work(fit, budget, told):
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert (shares[0], shares[-1]) == (0.0, 1.0)
    assert {what for _, what in told} == {"error budget"}

    def enough(share, what):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cait.error_budget(fit, progress=enough)
    with pytest.raises(KeyboardInterrupt):
        cait.fit_landscape([fit.experiments[0].case], progress=enough)


def test_a_fit_without_a_free_width_has_no_budget(fit):
    held = {name: replace(p) for name, p in fit.parameters.items()}
    held["fwhm"].vary = False
    with pytest.raises(ValueError, match="has no free fwhm"):
        cait.error_budget(replace(fit, parameters=held))


def test_where_no_alternative_describes_the_data_the_fit_stays_in_the_total(fit, budget):
    """The landscape has another shape than any that is tried: the least bad is not the truth."""
    rows = [replace(r, chi_square=r.chi_square + 2000) for r in budget.rows]
    away = row(budget, "filling", "Fermi-Dirac")
    rows.append(replace(away, fwhm=0.140, chi_square=away.chi_square + 1000))
    low, high = budgets._judged(fit, rows, 1.0).interval["fwhm"]
    assert low < 0.140
    assert high == pytest.approx(fit.interval["fwhm"][1])


def test_the_first_page_tells_the_budget_of_the_three_runs(monkeypatch):
    """Without the refits, none of which carries an end: two components do."""
    monkeypatch.setattr(budgets, "_trials", lambda fit: iter(()))
    cases = [cait.read_case(ROOT / "data" / f"{ion}_on_lbo.toml") for ion in ("k", "rb", "cs")]
    found = cait.error_budget(cait.fit_landscape(cases))
    low, high = (1e3 * (end - found.fwhm) for end in found.interval["fwhm"])
    warm = 1.96 * row(found, "temperature", "+- 0.31 %").error
    computed = [found.fwhm, found.counting, warm, found.entries]
    page = (ROOT / "index.md").read_text(encoding="utf-8")
    first = re.search(r"is (\d+) meV, ± ([\d.]+) .*?± ([\d.]+) .*?± ([\d.]+) ", page, re.DOTALL)
    assert [float(v) for v in first.groups()] == pytest.approx(1e3 * np.array(computed), abs=0.15)
    total = re.search(r"up to (\d+) meV higher or (\d+) meV lower", page)
    assert [float(v) for v in total.groups()] == pytest.approx([high, -low], abs=1.0)


@pytest.fixture(scope="module")
def thermal(tmp_path_factory):
    """A potassium run with Fermi-Dirac filling, by a generator that shares no code with the fit."""
    import runpy

    folder = tmp_path_factory.mktemp("thermal")
    d = types.SimpleNamespace(**runpy.run_path(str(ROOT / "benchmarks" / "departures.py")))
    s, rng = d.synthetic, np.random.default_rng(3)
    truth = s.Truth(0.250, 323.15, 0.9, 1e-18, 4e-22, 10.0, 2.5e-9, 90e-9)
    law = d.thermal_law(truth)
    exact = d.Departure(True, 0.9, 1.0, 0.0, 1.0, False, False, "", 0.0)
    truth = replace(truth, D_foreign=d.tangent(law, truth, 0.15))
    d.write(folder, "K", truth, law, exact, 7.94e-8, rng)
    return cait.read_case(folder / "K.toml")


def test_thermal_data_come_back_with_thermal_filling(thermal):
    """250 meV within the interval; filled sharply, 276, and nothing in chi-square tells."""
    right = cait.fit_landscape([thermal], filling="thermal")
    low, high = right.interval["fwhm"]
    assert abs(right.fwhm - 0.250) < 1.5 * (high - low) / 2
    wrong = cait.fit_landscape([thermal])
    assert 0.270 < wrong.fwhm < 0.285
    assert wrong.misfit.sigmas < 4
