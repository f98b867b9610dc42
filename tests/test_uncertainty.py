"""Intervals hold the truth, on experiments that share no code with the analysis."""

from __future__ import annotations

import json
import runpy
import types
from dataclasses import replace

import emcee
import numpy as np
import pytest
from scipy.constants import e, k
from slim import ROOT

import cait_helpers as cait
from cait_helpers import uncertainty
from cait_helpers.parameters import copied
from cait_helpers.uncertainty import combine

synthetic = types.SimpleNamespace(**runpy.run_path(str(ROOT / "data" / "synthetic.py")))

CASES = [cait.read_case(ROOT / "data" / "rb_on_lbo.toml")]


@pytest.fixture(scope="module")
def fit():
    """The rubidium run of the book."""
    return cait.fit_landscape(CASES)


# --- the study, in small -----------------------------------------------------------------


@pytest.mark.parametrize(("fwhm", "level", "voltage"), [(0.25, 0.15, 10.0), (0.113, 0.03, 50.0)])
def test_an_electroneutral_solver_of_its_own_finds_the_same_profile(fwhm, level, voltage):
    """Nernst, Planck and Poisson on 700 cells against the conservation law in depth over charge.

    The two share no line. Compared as counts: all 194 slices together differ by less than a tenth
    of the noise of one number at 20,000 counts in the bulk; the time agrees to 3e-5.
    """
    s, T = synthetic, 323.15
    truth = s.Truth(
        fwhm, T, 0.9, 1e-18, s.foreign_diffusivity(fwhm, T, 0.9, 1e-18, level), voltage, 2.5e-9,
        100e-9,
    )  # fmt: skip
    edges, y, time, _ = s.solve(truth)
    run = cait.simulate(
        cait.Glass(s.THICKNESS, s.DENSITY, 8.0, T),
        {
            "Li": cait.activated_diffusivity(cait.gaussian_sed(fwhm), 1e-18, T, 0.9),
            "M": truth.D_foreign,
        },
        "Li", "M", cait.Voltage(voltage), cait.Charge(100e-9 * s.DENSITY * e), rtol=1e-5, mesh=700,
    )  # fmt: skip
    cuts = np.arange(s.CYCLES + 1) * s.SLICE
    seen = cait.resolution.gaussian_resolution(2.5e-9)
    ours = cait.resolution.blur(run.x, run.fraction["Li"], cuts, seen)[6:]
    theirs = s.seen(edges, y, 2.5e-9)[6:]
    distance = np.sqrt(np.sum((ours - theirs) ** 2 / np.maximum(theirs, 1e-4) * 20000))
    assert distance < 0.1
    assert run.time[-1] == pytest.approx(time[-1], rel=3e-5)


@pytest.mark.parametrize(("seed", "fwhm"), [(1000, 0.280), (1001, 0.320), (1002, 0.113)])
def test_a_published_width_comes_back_within_its_interval(tmp_path, seed, fwhm):
    """A small part of ``benchmarks/intervals.py``: the widths published for three other glasses.

    An interval of 95 % misses one truth in twenty, so one and a half times the interval (one in
    three hundred) is asked here; the study counts.
    """
    synthetic.triple(tmp_path, seed, fwhm)
    fit = cait.fit_landscape([cait.read_case(path) for path in sorted(tmp_path.glob("*.toml"))])
    low, high = fit.interval["fwhm"]
    assert abs(fit.fwhm - fwhm) < 1.5 * (high - low) / 2
    assert (high - low) / 2 < 0.01 * fwhm
    assert fit.reduced_chi_square < 1.2
    assert fit.evaluations <= 400


def test_a_deep_run_under_a_constant_current_finds_a_narrow_landscape(tmp_path, monkeypatch):
    """180 meV at 304 K, 1.4 um deep: fields and fronts at which a search meets runs that fail."""
    monkeypatch.setitem(synthetic.solve.__globals__, "SLICE", 14e-9)
    fwhm, T, D_bulk, depth = 0.180, 304.0, 1e-18, 1.4e-6
    D_K = synthetic.foreign_diffusivity(fwhm, T, 0.9, D_bulk, 0.15)
    truth = synthetic.Truth(fwhm, T, 0.9, D_bulk, D_K, 50.0, 2.5e-9, depth)
    speed = 50 * e / (k * T) / (synthetic.THICKNESS / D_bulk + depth / (2 * D_K))
    found = synthetic.solve(truth, speed=speed)
    off = synthetic.write(tmp_path, "K", truth, found, np.random.default_rng(5))
    sigma = D_bulk * synthetic.DENSITY * e**2 / (k * T)
    text = synthetic.case_text("K", truth, found[2][-1], off, sigma)
    text = text.replace('current = "K_current.csv"\n', "")
    text = text.replace("voltage = 50.0", f"current_density = {float(found[3][-1])!r}")
    (tmp_path / "K.toml").write_text(text)
    fit = cait.fit_landscape([cait.read_case(tmp_path / "K.toml")])
    low, high = fit.interval["fwhm"]
    assert abs(fit.fwhm - fwhm) < 1.5 * (high - low) / 2
    assert (high - low) / 2 < 0.05 * fwhm
    assert not fit.misfit.notable


def test_counts_that_no_landscape_explains_are_no_success(tmp_path):
    """A bump of foreign ions in the fan, as of a crack: reduced chi-square far above two."""
    synthetic.triple(tmp_path, 3, 0.250)
    rows = (tmp_path / "K.csv").read_text().splitlines()
    for cycle in range(30, 50):
        time, native, foreign, matrix = rows[cycle + 1].split(", ")
        moved = int(0.04 * int(foreign))
        rows[cycle + 1] = f"{time}, {int(native) + moved}, {int(foreign) - moved}, {matrix}"
    (tmp_path / "K.csv").write_text("\n".join(rows) + "\n")
    case = cait.read_case(tmp_path / "K.toml")
    with pytest.raises(cait.FitError, match="does not describe the data: reduced chi-square"):
        cait.fit_landscape([case], largest_chi_square=2.0)
    fit = cait.fit_landscape([case])  # below the limit of 4: said, and the interval is wider
    assert fit.misfit.sigmas > 20
    assert fit.misfit.cause.startswith("none of the entries alone")
    low, high = fit.interval["fwhm"]
    assert low < 0.250 < high


# --- four ways to the same interval ------------------------------------------------------


def test_the_profile_likelihood_agrees_with_the_curvature(fit):
    """The likelihood of the width is all but Gaussian here; and the rise is a parabola."""
    (low, high), value, rise = cait.likelihood_profile(fit, "fwhm")
    expected = fit.interval["fwhm"]
    assert (high - low) == pytest.approx(expected[1] - expected[0], rel=0.1)
    assert low < fit.fwhm < high
    sigma = fit.parameters["fwhm"].error
    near = np.abs(value - fit.fwhm) < 2.5 * sigma
    parabola = ((value - fit.fwhm) / sigma) ** 2
    np.testing.assert_allclose(rise[near], parabola[near], atol=0.5)


def test_a_profile_goes_on_where_the_curvature_says_too_little(fit):
    """A standard error a tenth of the true one is only a shorter stride to the same ends."""
    low, high = cait.likelihood_profile(fit, "fwhm")[0]
    parameters = fit.parameters | {"fwhm": replace(fit.parameters["fwhm"])}
    parameters["fwhm"].error /= 10
    ends = cait.likelihood_profile(replace(fit, parameters=parameters), "fwhm")[0]
    np.testing.assert_allclose(ends, (low, high), rtol=0, atol=0.05 * (high - low))


def test_a_parameter_that_the_data_do_not_know_ends_at_its_bounds(fit):
    """However small its standard error is said to be, after thirty of them."""
    parameters = fit.parameters | {"fwhm": replace(fit.parameters["fwhm"])}
    parameters["fwhm"].error *= 1e-3
    (low, high), value, _ = cait.likelihood_profile(replace(fit, parameters=parameters), "fwhm")
    assert (low, high) == (parameters["fwhm"].min, parameters["fwhm"].max)
    assert np.ptp(value) < 0.07 * parameters["fwhm"].error * 1e3


def test_a_misfit_widens_the_profile_likelihood(fit):
    """Four times the chi-square for the same data: errors are twice as large."""
    low, high = cait.likelihood_profile(fit, "fwhm")[0]
    misfit = replace(fit, degrees_of_freedom=fit.degrees_of_freedom / 4)
    wide = cait.likelihood_profile(misfit, "fwhm")[0]
    factor = np.sqrt(misfit.reduced_chi_square / max(fit.reduced_chi_square, 1))
    assert wide[1] - wide[0] == pytest.approx(factor * (high - low), rel=0.05)


def test_the_interval_of_a_posterior_leaves_out_as_much_on_either_side():
    """Of the numbers 0, 0.001, ..., 1 each hundredth weighs as much."""
    even = np.linspace(0, 1, 1001)[:, None]
    posterior = cait.uncertainty.Posterior(("fwhm",), even, np.ones(1), 0.1, "importance")
    assert posterior.interval("fwhm") == pytest.approx((0.025, 0.975))
    assert posterior.interval("fwhm", 0.5) == pytest.approx((0.25, 0.75))
    for level in (-1, 0, 1, float("nan")):
        with pytest.raises(ValueError, match="level = "):
            posterior.interval("fwhm", level)


def test_the_posterior_agrees_with_the_curvature(fit):
    """Two thousand samples, of which more than half count: the spread is good to 3 %."""
    posterior = cait.sample_posterior(fit, 2000, seed=3)
    assert posterior.method == "importance"
    assert posterior.pareto_k < 0.7
    column = posterior.samples[:, posterior.names.index("fwhm")]
    error = fit.parameters["fwhm"].error
    assert column.std() == pytest.approx(error, rel=0.25)
    assert abs(column.mean() - fit.fwhm) < 0.4 * error
    assert posterior.effective.min() > 1000
    low, high = posterior.interval("fwhm")
    assert low < 0.250 < high
    assert np.all(np.diag(posterior.correlation) == pytest.approx(1))


def test_no_sample_leaves_the_bounds(fit):
    """Of the width at one standard error on either side, of a resolution at half of one."""
    bounded = replace(fit, parameters=copied(fit.parameters))
    for name, reach in (("fwhm", 1.0), ("resolution_0", 0.5)):
        p = bounded.parameters[name]
        p.min, p.max = p.value - reach * p.error, p.value + reach * p.error
    posterior = cait.sample_posterior(bounded, 1000, seed=4)
    for name in ("fwhm", "resolution_0"):
        p, column = bounded.parameters[name], posterior.samples[:, posterior.names.index(name)]
        assert p.min <= column.min() < column.max() <= p.max
    with pytest.raises(ValueError, match=r"samples = 1\.5e\+07 is outside"):
        cait.sample_posterior(fit, 15_000_000)


def test_nothing_is_sampled_where_the_model_yields_no_number(fit, monkeypatch):
    """A likelihood that breaks half a standard error above the best width ends the posterior."""
    sound, p = type(fit.likelihood).residuals, fit.parameters["fwhm"]
    edge = p.value + 0.5 * p.error

    def breaking(self, parameters):
        found = sound(self, parameters)
        return found if parameters["fwhm"].value < edge else np.full_like(found, np.nan)

    monkeypatch.setattr(type(fit.likelihood), "residuals", breaking)
    posterior = cait.sample_posterior(fit, 1000, seed=6)
    assert posterior.samples[:, posterior.names.index("fwhm")].max() < edge


def test_where_importance_fails_an_ensemble_of_walkers_takes_over(fit, monkeypatch):
    """Four walkers a parameter; what counts is their number over the correlation time."""
    monkeypatch.setattr(uncertainty.array_stats, "psislw", lambda ratio: (ratio, 0.9))
    posterior = cait.sample_posterior(fit, 1000, seed=5)
    assert (posterior.method, posterior.pareto_k) == ("emcee", 0.9)
    walkers = 4 * len(fit.free)
    steps = -(-1000 // walkers)
    assert posterior.samples.shape == (walkers * steps, len(fit.free))
    chain = posterior.samples.reshape(steps, walkers, -1)
    time = emcee.autocorr.integrated_time(chain, quiet=True, tol=0)
    np.testing.assert_allclose(posterior.effective, walkers * steps / time, rtol=1e-9)
    column = posterior.samples[:, posterior.names.index("fwhm")]
    error = fit.parameters["fwhm"].error
    assert column.std() == pytest.approx(error, rel=0.5)
    assert abs(column.mean() - fit.fwhm) < error


def test_the_profile_of_what_is_known_beforehand_holds_its_prior(fit):
    """Of a crater depth the counts know little: its ends are as far as its error says."""
    low, high = cait.likelihood_profile(fit, "depth_0")[0]
    p = fit.parameters["depth_0"]
    assert (low, high) == pytest.approx((p.value - 1.96 * p.error, p.value + 1.96 * p.error),
                                        abs=0.2 * p.error)  # fmt: skip


def test_the_bootstrap_agrees_with_the_curvature(fit):
    """Twelve repeats: their spread is good to 20 %."""
    told = []
    found = cait.uncertainty.bootstrap(fit, 12, 2, lambda share, _: told.append(share))["fwhm"]
    error = fit.parameters["fwhm"].error
    assert 0.5 * error < found.std(ddof=1) < 1.7 * error
    assert abs(found.mean() - fit.fwhm) < error
    assert told == pytest.approx(np.arange(13) / 12)


def test_no_counts_are_drawn_where_none_are_expected(fit):
    """Poisson's law of mean zero is zero, without a background."""
    (experiment,) = fit.experiments
    dark = replace(
        experiment,
        expected={ion: 0 * counts for ion, counts in experiment.expected.items()},
        profile=replace(experiment.profile, background=dict.fromkeys(experiment.expected, 0.0)),
    )
    drawn = uncertainty._drawn(replace(fit, experiments=(dark,)), 0, np.random.default_rng(0))
    assert not any(counts.any() for counts in drawn.profile.counts.values())


def test_the_information_of_all_data_adds_up_to_the_covariance(fit):
    pieces = cait.uncertainty.information(fit)
    error = np.sqrt(np.diag(combine(list(pieces.values()))))
    stated = [fit.parameters[name].error for name in fit.free]
    np.testing.assert_allclose(error, stated, rtol=1e-3)
    assert np.isinf(combine([pieces["current"]])).all()  # a current alone knows too little


def test_an_occupancy_that_is_free_widens_the_interval(fit):
    """Occupancy and width are correlated: the price of not knowing the vacancies."""
    parameters = cait.fit.landscape_parameters(CASES)
    parameters["occupancy"].vary = True
    parameters["occupancy"].prior = cait.Prior(0.9, 0.01)
    free = cait.fit_landscape(CASES, parameters=parameters)
    assert free.parameters["fwhm"].error > 1.5 * fit.parameters["fwhm"].error
    assert free.interval["occupancy"][0] < 0.9 < free.interval["occupancy"][1]
    assert free.interval["fwhm"][0] < 0.25 < free.interval["fwhm"][1]


def test_a_fixed_parameter_stays(fit):
    parameters = cait.fit.landscape_parameters(CASES)
    parameters["fwhm"].value, parameters["fwhm"].vary = 0.251, False
    held = cait.fit_landscape(CASES, parameters=parameters, largest_chi_square=10)
    assert held.fwhm == pytest.approx(0.251)
    assert "fwhm" not in held.interval
    assert held.chi_square > fit.chi_square + 4


def test_an_unknown_parameter_is_named(fit):
    with pytest.raises(ValueError, match="name = 'width' is not a fitted parameter"):
        cait.likelihood_profile(fit, "width")


@pytest.mark.parametrize("family", ["skewed", "immobile share"])
def test_a_larger_family_is_not_preferred_without_need(fit, family):
    """The data are Gaussian: another parameter gains little, and the criteria charge for it."""
    larger = cait.fit_landscape(CASES, family=family)
    assert -0.5 < fit.chi_square - larger.chi_square < 8
    assert larger.bayesian_criterion > fit.bayesian_criterion


# --- the folder --------------------------------------------------------------------------


def test_a_saved_report_holds_inputs_results_and_versions(fit, tmp_path):
    folder = cait.save_report(fit, tmp_path / "report")
    record = json.loads((folder / "fit.json").read_text())
    assert record["fwhm / eV"] == fit.fwhm
    assert record["95 % intervals"]["fwhm"] == list(fit.interval["fwhm"])
    assert {"python", "cait-helpers", "numpy"} <= set(record["versions"])
    assert record["cases"][0]["checks"]["charge balance"]["passed"]
    again = cait.read_case(folder / "inputs" / "0" / "rb_on_lbo.toml")
    np.testing.assert_array_equal(
        again.profile().counts["Li+"], fit.experiments[0].profile.counts["Li+"]
    )
    table = np.genfromtxt(folder / "profile_0_Rb.csv", delimiter=",", names=True)
    assert table.size == fit.experiments[0].profile.depth.size
    assert (folder / "landscape.png").stat().st_size > 10_000
    with pytest.raises(FileExistsError, match="is not empty"):
        cait.save_report(fit, folder)
