"""The fit: what it finds in data whose truth is known, its noise model, and what it refuses."""

from __future__ import annotations

import runpy
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.constants import e, k
from scipy.ndimage import gaussian_filter1d
from scipy.optimize import minimize
from scipy.stats import poisson
from slim import ROOT

import cait_helpers as cait
from cait_helpers import likelihood
from cait_helpers.likelihood import FitError, Record, State, poisson_residuals, recording_noise

TRUTH = runpy.run_path(str(ROOT / "data" / "make_data.py"))
SETTINGS = settings(deadline=None, derandomize=True, max_examples=60)


@pytest.fixture(scope="module")
def cases():
    return [cait.read_case(ROOT / "data" / f"{ion}_on_lbo.toml") for ion in ("k", "rb", "cs")]


@pytest.fixture(scope="module")
def fit(cases):
    return cait.fit_landscape(cases)


# --- the shipped data --------------------------------------------------------------------


def test_the_joint_fit_covers_the_width_the_data_were_made_with(fit):
    low, high = fit.interval["fwhm"]
    assert low < TRUTH["FWHM"] < high
    assert low < fit.fwhm < high
    assert high - low < 1e-3  # counting noise allows about 0.2 % of 250 meV


def test_the_joint_fit_finds_every_diffusivity(fit):
    """Within three standard errors: with four of them, two would be missed by one fit in six."""
    truth = {"D_bulk": TRUTH["D_BULK"]}
    for experiment in TRUTH["EXPERIMENTS"]:
        truth[f"D_{experiment.ion}"] = TRUTH["D_BULK"] * 10**experiment.log_ratio
    found = {f"D_{ion}": D for ion, D in fit.foreign_diffusivity.items()}
    found["D_bulk"] = fit.bulk_diffusivity
    assert set(found) == set(truth) == set(fit.interval) - {"fwhm"}
    for name, D in truth.items():
        low, high = np.log(fit.interval[name])
        assert abs(np.log(found[name] / D)) < 3 * (high - low) / 3.92
        assert low < np.log(found[name]) < high


def test_the_joint_fit_leaves_nothing_but_noise(fit):
    """Chi-square has a standard deviation of sqrt(2 nu), 3 % of nu; five of them are allowed."""
    assert fit.reduced_chi_square == pytest.approx(1, abs=5 * np.sqrt(2 / fit.degrees_of_freedom))
    assert fit.chi_square == pytest.approx(fit.reduced_chi_square * fit.degrees_of_freedom)


def test_the_runs_of_a_fit_are_resolved_and_carry_the_recorded_charge(fit):
    """Charge: 1 % of the current's scale and of D_bulk are free, so 2 % is allowed."""
    for run, case in ((x.run, x.case) for x in fit.experiments):
        assert run.resolved
        assert run.charge[-1] == pytest.approx(case.charge, rel=0.02)


def test_the_report_names_every_parameter_and_the_assumption(fit):
    report = fit.report()
    for word in ("FWHM", "D_bulk", "D_K", "D_Rb", "D_Cs", "occupied share   0.9", "chi-square"):
        assert word in report
    assert f"{fit.fwhm * 1e3:.1f} meV" in report
    assert report.count("95 %") == 5


def test_the_start_lies_near_the_optimum(cases, fit):
    """The front theory and a scan of seven widths, a factor of 1.4 apart, come before the fit.

    Half a step of the scan in the width; the plateau, read off with 10 %, in D.
    """
    start = {name: p.value for name, p in cait.fit.landscape_parameters(cases).items()}
    assert abs(np.log(start["fwhm"] / fit.fwhm)) < np.log(1.4) / 2
    for ion, D in fit.foreign_diffusivity.items():
        assert abs(np.log(10 ** start[f"log10_D_{ion}"] / D)) < np.log(1.5)


def test_the_polynomials_of_the_fit_are_as_good_as_simulations(fit):
    """At the optimum and half-way to the corners of the design, in standard deviations of counting.

    All counts of three profiles together: a tenth of the noise of one number.
    """
    assert fit.emulator_error < 0.2
    values, fitted = {name: p.value for name, p in fit.parameters.items()}, fit.likelihood
    off = values | {name: values[name] + 2 * fit.parameters[name].error for name in fit.free}
    change = {}
    for number, experiment in enumerate(fit.experiments):
        direct, emulated = [], []
        for at in (values, off):
            place = fitted.coordinates(fitted.settings(number, at))
            run = fitted.run(number, place, cait.Duration(experiment.duration))
            state = State(run.x, run.fraction["Li"], run.fraction[run.beam], None, None)
            direct.append(fitted.fractions(number, at, state))
            emulated.append(fitted.fractions(number, at, fitted.state(number, at)))
        for ion in direct[0]:  # differences: both meshes have an error of their own
            miss = (direct[1][ion] - direct[0][ion]) - (emulated[1][ion] - emulated[0][ion])
            scale = experiment.profile.scale[ion] / np.sqrt(experiment.expected[ion])
            change[number, ion] = np.linalg.norm((miss * scale)[experiment.profile.used])
    assert max(change.values()) < 0.1, change


def test_a_fit_stays_within_its_budget_of_simulations(fit):
    assert fit.evaluations <= 400


def test_without_a_conductivity_the_current_tells_D_bulk(cases):
    """The first currents come from untouched glass; the truth is 1e-18 m^2/s.

    The exposed area is known to 1 %, so the interval is at least as wide.
    """
    fit = cait.fit_landscape([replace(cases[1], conductivity=None)])
    low, high = fit.interval["D_bulk"]
    assert low < TRUTH["D_BULK"] < high
    assert high / low > 1.01
    assert fit.interval["fwhm"][0] < TRUTH["FWHM"] < fit.interval["fwhm"][1]


# --- data from a generator of the test's own ---------------------------------------------


def write_case(folder, fwhm: float, seed: int) -> cait.cases.Case:
    """Compute one run: another width, glass, voltage and file format than the shipped ones.

    It shares the solver with the analysis. Landscape (scipy's normal distribution), blur (a
    Gaussian filter on a fine grid) and counting are written here again.
    """
    from scipy.stats import norm

    glass = cait.Glass(0.3e-3, 2.0e28, 10.0, 220.0)
    D_bulk, D_foreign, area, sigma = 3e-18, 3e-18 * 10**-2.6, 0.5e-4, 2e-9
    width = fwhm / np.sqrt(8 * np.log(2))

    def law(y):
        rise = norm.ppf(0.9 * np.minimum(y, 1)) - norm.ppf(0.9)
        return D_bulk * np.exp(width * rise * e / (k * glass.temperature))

    run = cait.simulate(
        glass, {"Na": law, "K": D_foreign}, "Na", "K", cait.Voltage(20.0), cait.Charge(200.0),
        rtol=3e-4,
    )  # fmt: skip
    rng = np.random.default_rng(seed)
    fine = (np.arange(1600) + 0.5) * 0.1e-9
    lines = ["time / s, Na+, K+, Si+"]
    seen = {
        ion: gaussian_filter1d(np.interp(fine, run.x, y), sigma / 0.1e-9, mode="nearest")
        .reshape(160, 10)
        .mean(axis=1)
        for ion, y in run.fraction.items()
    }
    for cycle in range(160):
        expected = 8000 * seen["Na"][cycle] + 1, 6000 * seen["K"][cycle] + 1, 5000
        counts = rng.poisson(expected)
        lines.append(f"{cycle * 1.0:.1f}, " + ", ".join(map(str, counts)))
    (folder / "own.csv").write_text("\n".join(lines) + "\n")
    time = np.linspace(0, run.time[-1], 150)
    current = np.interp(time, run.time, run.current_density) * area
    current *= 1 + 0.01 * rng.standard_normal(time.size)
    rows = [f"{t:.6e}, {i:.6e}" for t, i in zip(time, current, strict=True)]
    (folder / "own_current.csv").write_text("time / s, current / A\n" + "\n".join(rows) + "\n")
    (folder / "own.toml").write_text(
        f"""
title = "K+ on a sodium glass"
profile = "own.csv"
current = "own_current.csv"
[ions]
native = "Na+"
foreign = "K+"
matrix = "Si+"
[glass]
thickness = 0.3e-3
ion_density = 2.0e28
permittivity = 10.0
temperature = 220.0
area = {area}
conductivity = {D_bulk * glass.ion_density * e**2 / (k * glass.temperature)}
[run]
voltage = 20.0
duration = {0.999 * run.time[-1]}
[sims]
crater_depth = 160e-9
resolution = {sigma}
transient = 2e-9
background = 1.0
dead_time = "none"
"""
    )
    return cait.read_case(folder / "own.toml")


def test_the_width_of_another_glass_is_covered(tmp_path):
    """150 meV, sodium and potassium, counts in a CSV table from the generator above."""
    fit = cait.fit_landscape([write_case(tmp_path, 0.150, seed=3)])
    low, high = fit.interval["fwhm"]
    assert low < 0.150 < high
    assert high - low < 0.005
    assert fit.foreign_diffusivity["K"] == pytest.approx(3e-18 * 10**-2.6, rel=0.1)
    assert fit.reduced_chi_square == pytest.approx(1, abs=5 * np.sqrt(2 / fit.degrees_of_freedom))


# --- the noise model ---------------------------------------------------------------------

counts = st.lists(st.integers(0, 50_000), min_size=1, max_size=20)
factors = st.floats(0.2, 5.0)


@SETTINGS
@given(counts, factors)
def test_squared_residuals_are_the_poisson_deviance(found, factor):
    """Twice the log-likelihood missing to the model that expects what was counted.

    Computed from scipy's probabilities, which lose a few digits in the difference.
    """
    found = np.array(found, dtype=float)
    expected = factor * (found + 1)
    with np.errstate(all="ignore"):  # scipy meets log(0) where nothing was counted
        exact = 2 * (poisson.logpmf(found, found) - poisson.logpmf(found, expected))
    squares = poisson_residuals(found, expected) ** 2
    np.testing.assert_allclose(squares, exact, rtol=1e-9, atol=1e-6)


@SETTINGS
@given(counts, factors)
def test_a_residual_has_the_sign_of_what_was_found_beyond_the_expected(found, factor):
    found = np.array(found, dtype=float)
    expected = factor * (found + 1)
    np.testing.assert_array_equal(
        np.sign(poisson_residuals(found, expected)), np.sign(found - expected)
    )


def test_a_residual_is_zero_where_the_expected_was_found_and_defined_at_zero_counts():
    """At zero counts the deviance is twice the expected number."""
    assert np.all(poisson_residuals(np.array([1.0, 20.0]), np.array([1.0, 20.0])) == 0)
    (empty,) = poisson_residuals(np.array([0.0]), np.array([8.0]))
    assert empty == pytest.approx(-4)


def test_residuals_of_poisson_counts_have_variance_one():
    """At 100 counts; the mean of 40,000 squares has an error of sqrt(2/40000) = 0.7 %."""
    drawn = np.random.default_rng(5).poisson(100.0, 40_000).astype(float)
    assert np.mean(poisson_residuals(drawn, np.full(40_000, 100.0)) ** 2) == pytest.approx(
        1, abs=0.03
    )


@pytest.mark.parametrize("noise", [1e-4, 0.005, 0.05])
def test_the_noise_of_a_decaying_current_is_found(noise):
    """A record like those of the book. The median of 5000 bends is good to about 2 %."""
    rng = np.random.default_rng(8)
    time = np.linspace(0, 1, 5000)
    current = 1e-8 / np.sqrt(1 + 30 * time) * (1 + noise * rng.standard_normal(time.size))
    assert recording_noise(current) == pytest.approx(noise, rel=0.06)
    assert recording_noise(1e6 * current) == pytest.approx(recording_noise(current))


def test_a_smooth_record_has_no_noise_even_if_it_starts_steeply():
    time = np.linspace(0, 1, 200)
    assert recording_noise(1 / np.sqrt(1 + 1000 * time)) < 2e-4


@pytest.mark.parametrize("off", [0.97, 1.0, 1.03])
def test_the_noise_of_a_record_does_not_draw_the_fit(off):
    """A thousand noisy records: chi-square does not depend on the height of the model.

    The gain takes the height up, at the price of its prior; residuals in units of the model would
    fall by 2 * 200 times the excess, more than that price.
    """
    rng = np.random.default_rng(3)
    time = np.linspace(1.0, 2.0, 200)
    truth = 1e-4 / np.sqrt(time)
    state = State(None, None, None, time, off * truth)
    total = []
    for _ in range(1000):
        density = truth * (1 + 0.02 * rng.standard_normal(200))
        total.append(np.sum(Record(time, density, 0.02, 0.01).residuals(state) ** 2))
    price = (off - 1) ** 2 / (0.01**2 + 0.02**2 / 200)
    assert np.mean(total) == pytest.approx(200 + price, rel=0.03)


def test_levels_and_drift_are_those_of_the_largest_likelihood(fit):
    """Few counts, a third off their level, with a drift: found by a minimiser of its own as well.

    Levels are known to 5 % beforehand, the drift has coefficients of variance one.
    """
    experiment, rng = fit.experiments[0], np.random.default_rng(4)
    profile, ions = experiment.profile, experiment.ions
    seen = {ion: np.clip(profile.fraction[ion], 0.02, 1) for ion in ions}
    true = 1.3 * (1 + 0.2 * np.linspace(-1, 1, profile.depth.size) ** 2)
    scale = {ion: 0.004 * profile.scale[ion] for ion in ions}
    counts = {ion: rng.poisson(scale[ion] * seen[ion] * true) + 0.0 for ion in ions}
    poor = replace(
        profile,
        counts=counts,
        scale=scale,
        background=dict.fromkeys(ions, 3.0),
        drift=100 * profile.drift,
    )
    spread = {ion: np.ones(profile.depth.size) for ion in ions}
    drawn = replace(experiment, profile=poor, spread=spread)

    def penalty(a):
        total = 200 * a[:2] @ a[:2] + a[2:] @ a[2:] / 2
        for level, ion in zip(a, ions, strict=False):
            change = 1 + level + poor.drift @ a[2:]
            mean = np.maximum(3 + scale[ion] * seen[ion] * change, 1e-9)[poor.used]
            total += np.sum(mean - counts[ion][poor.used] * np.log(mean))
        return total

    best = minimize(penalty, np.zeros(5), method="BFGS", options={"gtol": 1e-6}).x
    _, drift = drawn.levels(seen)
    np.testing.assert_allclose(drift, best[2:], atol=1e-3)


def test_counts_after_dead_time_scatter_as_their_errors_say(tmp_path):
    """Half of all pulses count in the bulk: corrected counts scatter by twice Poisson's variance.

    Of 300 counts the mean square is good to 8 %.
    """
    pulses, rng = 10_000, np.random.default_rng(6)
    rows = ["time / s, Li+, K+, B+"]
    for cycle in range(400):
        share = 0.15 if cycle < 100 else 1.0
        arrived = np.array([7000 * share + 1, 5000 * (1 - share) + 1, 3000])
        found = rng.binomial(pulses, -np.expm1(-arrived / pulses))
        rows.append(f"{cycle}, " + ", ".join(map(str, found)))
    (tmp_path / "k.csv").write_text("\n".join(rows) + "\n")
    text = (ROOT / "data" / "k_on_lbo.toml").read_text().replace("k_on_lbo.txt", "k.csv")
    text = text.replace('current = "k_on_lbo_current.csv"\n', "").replace("65536", str(pulses))
    (tmp_path / "k.toml").write_text(text)
    (drawn,) = likelihood.gather(
        [cait.read_case(tmp_path / "k.toml")], {"current": 0.01, "conductivity": 0.02}
    )
    row = drawn.rows["Li+"]
    bulk, expected = slice(-250, None), np.full(250, 7001.0)
    residual = poisson_residuals(row.counts[bulk], expected)
    assert np.mean(residual**2) > 1.2
    assert np.mean((residual / row.spread[bulk]) ** 2) == pytest.approx(1, abs=0.2)


# --- what leads from a case to a start ---------------------------------------------------


def test_D_bulk_follows_from_the_conductivity_by_nernst_and_einstein(cases):
    """sigma = N e^2 D/kT; the case files state sigma to four digits."""
    for case in cases:
        assert likelihood.bulk_diffusivity(case) == pytest.approx(TRUTH["D_BULK"], rel=1e-3)


def test_D_bulk_is_guessed_from_the_first_currents(cases):
    """Three readings with a noise of 0.5 % and a decay of a few per cent in between."""
    for case in cases:
        assert likelihood.guess_bulk(case) == pytest.approx(TRUTH["D_BULK"], rel=0.1)


def test_a_temperature_that_is_off_widens_the_landscape_as_it_does_its_parameter(cases, fit):
    """All energies are fitted over kT: 2 % more kelvin are 2 % more of each, however told."""
    parameters = cait.fit.landscape_parameters(cases)
    parameters["temperature"].value = 1.02
    warm = cait.fit_landscape(cases, parameters=parameters)
    assert warm.fwhm == pytest.approx(1.02 * fit.fwhm, rel=1e-4)
    assert warm.fwhm == pytest.approx(warm.parameters["fwhm"].value, rel=1e-6)
    assert cait.landscape.fwhm(warm.sed) == pytest.approx(warm.fwhm, rel=1e-6)
    low, high = warm.interval["fwhm"]
    assert low < warm.fwhm < high


def test_expected_counts_are_scale_and_background_deep_in_the_glass(fit):
    """There the native fraction is one and the foreign one is zero."""
    for run, case, profile in ((x.run, x.case, x.profile) for x in fit.experiments):
        expected = cait.fit.expected_counts(run, case, profile)
        for ion, fraction in ((case.native, 1.0), (case.foreign, 0.0)):
            deep = fraction * profile.scale[ion][-20:] + profile.background[ion]
            np.testing.assert_allclose(expected[ion][-20:], deep, rtol=1e-6)


def test_a_deeper_crater_shows_the_front_in_an_earlier_cycle(fit):
    """The depth scale is the true over the stated crater: the same cycle comes from deeper."""
    x = fit.experiments[1]
    run, case, profile = x.run, x.case, x.profile

    def front_cycle(scale):
        native = cait.fit.expected_counts(run, case, profile, scale)[case.native]
        share = (native - profile.background[case.native]) / profile.scale[case.native]
        return np.interp(0.5, share[60:], np.arange(60, share.size))

    middle = front_cycle(1.0) + 0.5  # cycles count from their middle
    assert front_cycle(1.1) + 0.5 == pytest.approx(middle / 1.1, rel=2e-3)


# --- what is refused ---------------------------------------------------------------------


def test_a_profile_that_fails_a_check_is_not_fitted(cases):
    """A crater a third too deep: the charge found is a third more than what passed."""
    wrong = replace(cases[1], crater_depth=1.36 * cases[1].crater_depth)
    with pytest.raises(cait.FitError, match=r"Rb.*charge balance = 1\.3.*allowed 0\.94 to 1\.06"):
        cait.fit_landscape([wrong])


def test_cases_with_different_native_ions_are_not_fitted_together(cases):
    with pytest.raises(cait.FitError, match="different native ions"):
        cait.fit_landscape([cases[0], replace(cases[1], native_element="Na")])


def test_one_measurement_counts_once(cases):
    """Given twice, it would narrow every interval by the root of two."""
    with pytest.raises(cait.FitError, match="are those of another case"):
        cait.fit_landscape([cases[0], replace(cases[0])])


def test_a_profile_without_a_front_has_no_plateau(cases):
    profile = cases[1].profile()
    flat = replace(profile, fraction={ion: np.ones_like(y) for ion, y in profile.fraction.items()})
    with pytest.raises(cait.FitError, match="no front"):
        likelihood.observed_plateau(cases[1], flat)


def test_the_observed_plateau_is_the_mean_behind_the_front(cases):
    """A step from 0.1 to 1 in the middle of the profile."""
    profile = cases[1].profile()
    step = np.where(profile.depth < 110e-9, 0.1, 1.0)
    stepped = replace(profile, fraction={"Li+": step, "Rb+": 1 - step})
    assert likelihood.observed_plateau(cases[1], stepped) == pytest.approx(0.1)


@pytest.mark.parametrize(("name", "value"), [("depth_error", 0.0), ("depth_error", float("nan"))])
def test_priors_of_no_width_are_refused_for_parameters_as_well(cases, name, value):
    with pytest.raises(ValueError, match=rf"^{name} = "):
        cait.fit.landscape_parameters(cases, **{name: value})


def test_D_bulk_must_be_known_from_somewhere(cases):
    """Neither a conductivity nor a current under a known voltage."""
    blind = replace(cases[1], conductivity=None, record=None)
    with pytest.raises(cait.FitError, match=r"D_bulk is unknown.*glass\.conductivity"):
        cait.fit_landscape([blind])


@pytest.mark.parametrize("nothing", [[], [None], ["data/k_on_lbo.toml"]])
def test_only_cases_are_fitted(nothing):
    with pytest.raises(ValueError, match="results of read_case"):
        cait.fit_landscape(nothing)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("occupancy", 0.2),
        ("occupancy", 1.0),
        ("occupancy", float("nan")),
        ("depth_error", 0.0),
        ("current_error", -1.0),
        ("conductivity_error", "2 %"),
        ("largest_chi_square", float("nan")),
        ("largest_chi_square", -1.0),
        ("filling", "warm"),
    ],
)
def test_a_setting_out_of_range_is_named(cases, name, value):
    with pytest.raises(ValueError, match=rf"^{name} = "):
        cait.fit_landscape(cases, **{name: value})


def test_a_stated_charge_does_as_well_as_a_duration(tmp_path):
    """Voltage and recorded current alone: the record tells when the run ended."""
    for name in ("rb_on_lbo.txt", "rb_on_lbo_current.csv"):
        (tmp_path / name).write_bytes((ROOT / "data" / name).read_bytes())
    text = (ROOT / "data" / "rb_on_lbo.toml").read_text()
    path = tmp_path / "rb.toml"
    path.write_text("\n".join(row for row in text.splitlines() if "duration" not in row))
    fit = cait.fit_landscape([cait.read_case(path)])
    assert fit.interval["fwhm"][0] < 0.250 < fit.interval["fwhm"][1]


def test_a_record_too_coarse_for_its_noise_is_refused(tmp_path):
    """Two digits: most neighbours are equal, and the noise would be zero."""
    rows = (ROOT / "data" / "rb_on_lbo_current.csv").read_text().splitlines()
    coarse = rows[:2]
    for row in rows[2:]:
        time, current = row.split(",")
        coarse.append(f"{time}, {float(current):.1e}")
    (tmp_path / "rb_on_lbo_current.csv").write_text("\n".join(coarse))
    (tmp_path / "rb_on_lbo.txt").write_bytes((ROOT / "data" / "rb_on_lbo.txt").read_bytes())
    (tmp_path / "rb.toml").write_bytes((ROOT / "data" / "rb_on_lbo.toml").read_bytes())
    with pytest.raises(FitError, match="recorded current must be positive"):
        cait.fit_landscape([cait.read_case(tmp_path / "rb.toml")])
