"""Counts become fractions within their errors, and each check notices its defect."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cait_helpers import profile_checks
from cait_helpers.exports import Recording
from cait_helpers.resolution import blur, dowsett_resolution
from cait_helpers.sims import (
    charge_found,
    dead_time_correct,
    exchanged_charge,
    normalise,
    reference_drift,
    scatter_variance,
    sputter_depth,
    steady_reference,
)
from cait_helpers.tables import SimsError

N_LI = 1.38e28  # bulk ions (m^-3)
CRATER, LAYER = 200e-9, 100e-9
RESPONSE = dowsett_resolution(0.5e-9, 2e-9, 1.5e-9)


def measured(
    seed=1,
    cycles=200,
    native=20000.0,
    foreign=15000.0,
    matrix=20000.0,
    layer=LAYER,
    drift=0.1,
    flicker=0.0,
    effect=0.0,
    rate_ratio=1.0,
    background=0.0,
    pulses=None,
    corrected=None,
):
    """A recording of a fan up to 0.15, then bulk, and what it holds: edges, fraction, charge."""
    rng = np.random.default_rng(seed)
    x = np.array([0.0, layer, layer + 1e-11, layer + CRATER])
    y = np.array([0.05, 0.15, 1.0, 1.0])
    fine = np.linspace(0, CRATER, 20001)
    rate = rate_ratio + (1 - rate_ratio) * np.interp((fine[1:] + fine[:-1]) / 2, x, y)
    clock = np.append(0, np.cumsum(np.diff(fine) / rate))
    edges = np.interp(np.linspace(0, clock[-1], cycles + 1), clock, fine)
    share = np.clip(blur(x, y, edges, RESPONSE), 0, 1)  # rounding is not a count
    beam = 1 + drift * np.linspace(-1, 1, cycles) + flicker * rng.standard_normal(cycles)
    beam = beam * (1 + effect * (1 - share))
    means = {
        "Li+": native * beam * share + background,
        "K+": foreign * beam * (1 - share) + background,
        "B+": matrix * beam,
    }
    draw = rng.poisson if pulses is None else lambda m: rng.binomial(pulses, -np.expm1(-m / pulses))
    counts = {ion: draw(m).astype(float) for ion, m in means.items()}
    time = 2.0 * np.arange(cycles)
    recording = Recording(
        path=Path("made.txt"),
        format="SurfaceLab",
        unit="counts",
        time=dict.fromkeys(counts, time),
        intensity=counts,
        exposure=dict.fromkeys(counts, 1.0),
        dead_time_corrected=dict.fromkeys(counts, corrected),
        total_time=2.0 * cycles,
        meta={},
    )
    return recording, edges, share, exchanged_charge(edges, 1 - share, N_LI)


def profile_of(recording, charge=None, **settings):
    """Fractions of a made recording; its counts have no dead time, all cycles are to be used."""
    density = None if charge is None else N_LI
    given = {"pulses": np.inf, "transient": 0.0, "background": 0.0} | settings
    return normalise(
        recording, "Li+", "K+", "B+", CRATER, charge=charge, ion_density=density, **given
    )


def failed(profile):
    return [check.name for check in profile.checks if not check.passed]


def test_dead_time_correction_gives_back_the_mean_of_binomial_counts():
    """A pulse counts with probability 1 - exp(-m/P): inverted exactly, and unbiased to 1/P."""
    arrived = np.array([0.0, 1.0, 300.0, 9000.0])
    expected = -1e4 * np.expm1(-arrived / 1e4)
    np.testing.assert_allclose(dead_time_correct(expected, 1e4), arrived, rtol=1e-13)
    for counts in ([-1.0], [1e4], [0.0, 1e4], [np.nan]):
        with pytest.raises(ValueError, match=r"counts (must lie in|= (-1|nan) is outside)"):
            dead_time_correct(counts, 1e4)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    drift=st.floats(-0.2, 0.2),
    flicker=st.sampled_from([0.0, 0.03]),
    layer=st.floats(30e-9, 150e-9),
)
def test_fractions_come_back_within_their_errors(seed, drift, flicker, layer):
    """Known fractions, counted with a beam that drifts and flickers, by less than a factor of two.

    Chi squared of 200 native values: standard deviation 0.1, and the common scale adds up to
    200 (0.001/0.007)^2/200 = 0.02. The foreign error at zero counts is one count, so there
    chi squared is below one.
    """
    recording, edges, share, charge = measured(seed, drift=drift, flicker=flicker, layer=layer)
    profile = profile_of(recording, charge)
    assert profile.ok, profile.report()
    np.testing.assert_allclose(profile.edges, edges, rtol=1e-12)
    native = (profile.fraction["Li+"] - share) / profile.sigma["Li+"]
    foreign = (profile.fraction["K+"] - 1 + share) / profile.sigma["K+"]
    assert 0.6 < np.mean(native**2) < 1.6
    assert np.mean(foreign**2) < 1.6


@pytest.mark.parametrize("foreign", [15000.0, 1.5e6])
def test_scale_errors_are_what_the_scales_scatter(foreign):
    """Sixty recordings: both scales unbiased (5 standard errors), scatter as stated to 40 %.

    With many foreign counts it is the native and the matrix signal that scatter.
    A standard deviation of sixty values has a relative error of 9 %.
    """
    off = []
    for seed in range(60):
        profile = profile_of(measured(seed, drift=0.0, foreign=foreign)[0])
        scale, error = profile.scale, profile.scale_error
        off.append(
            [
                (scale["Li+"][100:].mean() / 20000 - 1) / error["Li+"],
                (scale["K+"][:100].mean() / foreign - 1) / error["K+"],
            ]
        )
    assert np.abs(np.mean(off, axis=0)).max() < 5 / np.sqrt(60)
    np.testing.assert_allclose(np.std(off, axis=0), 1, atol=0.4)


def test_expected_counts_are_fraction_times_scale_plus_background():
    """A background of a tenth of the signal, which is no foreign ion in the glass once stated."""
    recording, edges, *_ = measured(background=1500.0)
    profile = profile_of(recording, background=1500.0)
    np.testing.assert_allclose(np.diff(profile.depth), np.diff(edges)[1:], rtol=1e-9)
    assert profile.edges[0] < profile.depth[0] < profile.edges[1]
    for ion in ("Li+", "K+"):
        expected = profile.fraction[ion] * profile.scale[ion] + profile.background[ion]
        np.testing.assert_allclose(expected, recording.counts(ion), rtol=1e-12, atol=1e-9)
    assert profile.ok


def test_few_counts_give_no_bias():
    """Five counts a cycle in the bulk: the mean of 40 fitted foreign scales is right.

    One scale is off by about 8 %, so the mean by 1.3 %; four times that is allowed.
    """
    scales = [
        profile_of(measured(seed, native=5, foreign=5, matrix=500)[0]).scale["K+"].mean()
        for seed in range(40)
    ]
    assert np.mean(scales) == pytest.approx(5.0, rel=0.052)


def test_dead_time_is_corrected_when_the_pulses_are_known():
    """0.5 arrivals a pulse in the bulk, 40 % of the pulses count.

    Chi squared of 5 x 80 bulk cycles is one to 0.07; without the factor 1/(1 - counts/pulses)
    in the variance it is 1.65.
    """
    chi_squared = []
    for seed in range(5):
        recording, _, share, charge = measured(seed, pulses=40000, corrected=False)
        profile = profile_of(recording, charge, pulses=40000)
        assert profile.ok, profile.report()
        off = (profile.fraction["Li+"] - share) / profile.sigma["Li+"]
        chi_squared.append(np.mean(off[120:] ** 2))
    assert np.mean(chi_squared) == pytest.approx(1, abs=0.28)


def test_the_reference_drops_counting_noise_and_keeps_beam_flicker():
    """Flicker of 5 % against counting noise of 1 %: the reference follows to that 1 %.

    Without flicker, a cubic through 400 cycles is known to sqrt(4/400) of one cycle's noise.
    """
    rng = np.random.default_rng(3)
    beam = 1e4 * (1 + 0.2 * np.linspace(-1, 1, 400) ** 3)
    steady, error = steady_reference(rng.poisson(beam))
    assert np.std(steady / beam) < 0.3e-2
    assert error.max() < 0.3e-2
    beam *= 1 + 0.05 * rng.standard_normal(400)
    followed, error = steady_reference(rng.poisson(beam))
    assert np.std(followed / beam) == pytest.approx(1e-2, rel=0.2)
    np.testing.assert_allclose(error, 1e-2, rtol=0.25)


def test_the_share_of_the_beam_in_the_scatter_is_what_counting_leaves():
    """One in ten up and down by turns: 100 in the square, of which counting has 0, 50 or 200."""
    matrix = 100.0 + 10 * (-1) ** np.arange(200)
    for counting, share in ((0.0, 1.0), (50.0, 0.51), (200.0, 0.0)):
        variance = np.full(200, counting + 1)
        reference, error = steady_reference(matrix, variance=variance)
        np.testing.assert_allclose(error**2 * reference**2 / variance, share, atol=2e-3)
    reference, error = steady_reference(matrix[:5], variance=np.zeros(5))
    np.testing.assert_allclose(reference, matrix[:5], rtol=1e-12)
    assert not error.any()
    with pytest.raises(ValueError, match="matrix"):
        steady_reference(matrix[:4])


@pytest.mark.parametrize("used", [np.ones(9, bool), np.ones(10), np.arange(10) < 4])
def test_a_mask_tells_of_each_cycle_and_of_enough_of_them(used):
    with pytest.raises(ValueError, match=r"used = .* 5 cycles or more of 10"):
        steady_reference(np.ones(10), used)


@pytest.mark.parametrize("corrected", [True, None])
def test_dead_time_is_never_corrected_twice(corrected):
    """The export says so, or its counts are not whole numbers any more."""
    recording, *_ = measured(corrected=corrected)
    if corrected is None:
        recording.intensity["Li+"][3] += 0.25
    with pytest.raises(SimsError, match=r"made\.txt: pulses given, but no dead time left in Li"):
        profile_of(recording, pulses=1e6)


def test_two_sputter_rates_put_the_depths_right():
    """Replaced glass sputters 30 % faster: one rate misplaces the front by 12 nm."""
    recording, edges, _, charge = measured(rate_ratio=1.3)
    profile = profile_of(recording, charge, rate_ratio=1.3)
    assert profile.ok
    # counting noise of 0.7 % a cycle walks to 0.7 % 0.3 sqrt(100) 1 nm = 0.02 nm; the blurred
    # front, where fraction and rate are not proportional, adds up to 0.3 nm
    np.testing.assert_allclose(profile.edges, edges, atol=0.4e-9)
    assert failed(profile_of(recording, charge)) == ["charge balance"]


def test_the_surface_transient_is_flagged_and_left_out():
    """Eight cycles with three times the native signal change nothing behind them."""
    recording, *_, charge = measured()
    recording.intensity["Li+"][:8] *= 3
    profile = profile_of(recording, charge, transient=7.5e-9)
    assert not profile.used[:8].any()
    assert profile.used[8:].all()
    assert profile.ok, profile.report()
    clean = profile_of(measured()[0], transient=7.5e-9)
    np.testing.assert_array_equal(profile.fraction["K+"][8:], clean.fraction["K+"][8:])


@pytest.mark.parametrize(
    ("made", "check"),
    [
        ({"layer": 190e-9}, "bulk level reached"),
        ({"layer": 250e-9}, "mass balance"),
        ({"effect": 0.3}, "matrix flat"),
        ({"drift": 0.6}, "beam steady"),
        ({"pulses": 9000}, "counts not saturated"),
        ({"pulses": 25000}, "counts not saturated"),
    ],
)
def test_each_check_notices_its_defect(made, check):
    recording, *_ = measured(**made)
    profile = profile_of(recording)
    assert check in failed(profile)
    assert not profile.ok
    assert f"FAILED {check}" in profile.report()


def test_the_mass_balance_notices_a_signal_that_is_not_proportional():
    recording, *_ = measured()
    recording.intensity["K+"][:50] *= 1.3
    assert "mass balance" in failed(profile_of(recording))


def test_the_charge_balance_notices_a_wrong_crater_depth():
    recording, *_, charge = measured()
    assert failed(profile_of(recording, 1.15 * charge)) == ["charge balance"]


@pytest.mark.parametrize("factor", [0.9, 1.1])
def test_a_crater_a_tenth_off_fails_the_charge_balance(factor):
    """The stylus is good to a hundredth, the area as well: six hundredths are allowed."""
    recording, *_, charge = measured()
    profile = normalise(
        recording, "Li+", "K+", "B+", factor * CRATER, charge=charge, ion_density=N_LI,
        pulses=np.inf,
    )  # fmt: skip
    assert failed(profile) == ["charge balance"]


@pytest.mark.parametrize("seed", range(5))
def test_exchanged_ions_fail_by_that_name(seed):
    """With a few background counts potassium has a bulk level of a kind."""
    recording, *_ = measured(seed, background=5.0)
    profile = normalise(recording, "K+", "Li+", "B+", CRATER)
    assert "ions not swapped" in failed(profile)
    assert "ions not swapped" not in failed(profile_of(recording))


@pytest.mark.parametrize("corrected", [False, None])
def test_whole_counts_without_pulses_fail_by_name(corrected):
    """Raw, or whole numbers that do not say: only the pulses tell how much is missing."""
    recording, *_, charge = measured(pulses=10**6, corrected=corrected)
    profile = profile_of(recording, charge, pulses=None)
    assert failed(profile) == ["dead time corrected"]
    assert "(Li+, K+, B+): give the pulses" in profile.report()
    assert profile_of(recording, charge, pulses=1e6).ok
    assert profile_of(recording, charge, pulses=np.inf).ok
    corrected = replace(recording, dead_time_corrected=dict.fromkeys(recording.channels, True))
    assert profile_of(corrected, charge, pulses=None).ok


def test_counts_that_are_no_whole_numbers_are_corrected_and_that_is_said():
    recording, *_, charge = measured()
    for counts in recording.intensity.values():
        counts += 0.25
    profile = profile_of(recording, charge, pulses=None)
    assert profile.ok
    assert "dead time of Li+ corrected: its counts are not whole (assumed)" in profile.assumptions


@pytest.mark.parametrize("share", [0.0, 0.4, 2.5])
def test_a_partial_cycle_is_named_and_can_be_left_out(share):
    """An interrupted cycle fails one check, by its number, and nothing else; left out, none."""
    recording, _, y, charge = measured()
    for counts in recording.intensity.values():
        counts[59] = np.round(share * counts[59])
    profile = profile_of(recording, charge)
    assert failed(profile) == ["every cycle whole"]
    assert "cycles whose matrix signal is unlike that of their neighbours: 60 (" in profile.report()
    profile = profile_of(recording, charge, leave_out=[60])
    assert profile.ok, profile.report()
    assert np.flatnonzero(~profile.used).tolist() == [59]
    assert "left out, as stated: cycles 60" in profile.assumptions
    np.testing.assert_allclose(profile.fraction["Li+"][80:90], y[80:90], atol=0.02)


def test_no_cubic_goes_through_the_scatter_of_two_cycles():
    """Where hardly a cycle is left behind the front, the matrix signal alone tells the scatter."""
    matrix = np.random.default_rng(1).poisson(9000, 200).astype(float)
    raw = {"Li+": matrix, "B+": matrix}
    check = profile_checks._saturation_check(raw, None, [matrix[:2], matrix])
    assert check == profile_checks._saturation_check(raw, None, [matrix])
    assert check.passed


def test_cycles_to_leave_out_are_there():
    with pytest.raises(ValueError, match=r"leave_out = 201 is outside \[1, 200\]"):
        profile_of(measured()[0], leave_out=[201])
    with pytest.raises(SimsError, match="19 common cycles"):
        profile_of(measured()[0], leave_out=range(1, 182))


def cupped(seed=2):
    """Lithium and boron as currents of Faraday cups with a noise of 0.5 %, as rates."""
    recording, *_, charge = measured(seed)
    rng = np.random.default_rng(seed)
    for ion in ("Li+", "B+"):
        mean = 1e4 * recording.intensity[ion]
        recording.intensity[ion][:] = mean + 0.005 * mean.max() * rng.standard_normal(mean.size)
    detector = {"Li+": "faraday", "K+": "counter", "B+": "faraday"}
    exposure = {"Li+": 0.4, "K+": 1.0, "B+": 0.4}
    return replace(recording, unit="counts/s", detector=detector, exposure=exposure), charge


def test_currents_of_faraday_cups_are_named():
    recording, charge = cupped()
    profile = profile_of(recording, charge, pulses=None)
    assert failed(profile) == ["ions are counted"]
    assert "without counting errors: Li+, B+;" in profile.report()


def test_errors_of_a_faraday_cup_come_from_its_scatter_if_that_is_stated():
    """Chi squared of eighty bulk cycles; medians of 41 values are good to a fifth."""
    pulls = []
    for seed in range(4):
        recording, charge = cupped(seed)
        stated = recording.detector | {"Li+": "scatter", "B+": "scatter"}
        profile = profile_of(replace(recording, detector=stated), charge, pulses=None)
        assert profile.ok, profile.report()
        assert "errors of Li+ from its scatter, not from counting" in profile.assumptions
        bulk = profile.fraction["Li+"][120:]
        pulls.append(((bulk - bulk.mean()) / profile.sigma["Li+"][120:]) ** 2)
        counts, scale = profile.counts["Li+"], profile.scale["Li+"]
        expected = profile.fraction["Li+"] * scale + profile.background["Li+"]
        np.testing.assert_allclose(expected, counts, rtol=1e-12)
    assert np.mean(pulls) == pytest.approx(1, abs=0.3)


def test_the_scatter_of_a_signal_is_that_of_the_41_values_about_it():
    """25 cycles that alternate by 2 are the most of 41, not of 81; a still signal has its floor."""
    signal = np.full(200, 9.0)
    signal[100:125] += (-1.0) ** np.arange(25)
    variance = scatter_variance(signal)
    assert variance[112] == pytest.approx(1.4826**2 * 16 / 6, rel=1e-12)
    assert variance[60] == pytest.approx(1e-12, rel=1e-9)


@pytest.mark.parametrize(
    ("change", "cause"),
    [
        (lambda c: np.convolve(np.pad(c, 1, "edge"), [1 / 3] * 3, "valid"), "is smoothed"),
        (lambda c: c / 8, "is smoothed"),
        (lambda c: c * 8, "not counted, or rescaled"),
    ],
)
def test_counts_that_scatter_too_little_or_too_much_are_named(change, cause):
    """Smoothed by the instrument's software, averaged, or multiplied: the errors would be wrong."""
    recording, *_, charge = measured()
    recording = replace(
        recording,
        intensity={ion: change(counts) for ion, counts in recording.intensity.items()},
        dead_time_corrected=dict.fromkeys(recording.channels, True),
    )
    profile = profile_of(recording, charge, pulses=None)
    check = next(c for c in profile.checks if c.name == "scatter of counting")
    assert not check.passed
    assert cause in check.message


@pytest.mark.parametrize("pulses", [None, 65536, 40000])
def test_scatter_of_counting_is_one_on_average(pulses):
    """Forty recordings, with few and with many counts: 1 to 2 %."""
    found = []
    for seed in range(40):
        counts = 200.0 if seed % 2 else 20000.0
        recording, *_ = measured(seed, native=counts, flicker=0.02, pulses=pulses)
        profile = profile_of(recording, pulses=pulses or np.inf)
        found.append(next(c.value for c in profile.checks if c.name == "scatter of counting"))
    assert np.mean(found) == pytest.approx(1, abs=0.05)


def test_a_total_is_no_matrix():
    recording, *_ = measured()
    recording = replace(
        recording,
        **{
            name: {i.replace("B+", "total"): v for i, v in getattr(recording, name).items()}
            for name in ("time", "intensity", "exposure", "dead_time_corrected")
        },
    )
    profile = normalise(recording, "Li+", "K+", "total", CRATER, pulses=np.inf)
    assert failed(profile) == ["matrix is one ion"]


def test_the_background_of_the_foreign_ion_is_found_deep_in_the_glass():
    """Two counts under 15,000: the mean of fifty cycles, which is said, as is the native one."""
    recording, *_, charge = measured(background=2.0)
    profile = profile_of(recording, charge, background=None)
    assert profile.ok, profile.report()
    assert profile.background["K+"] == pytest.approx(2, abs=4 * np.sqrt(2 / 50))
    assert profile.background["Li+"] == 0
    assert "no background under Li+ (assumed)" in profile.assumptions
    assert any(a.startswith("background of K+ ") for a in profile.assumptions)
    one = profile_of(recording, charge, background={"Li+": 2.0})
    assert one.background == {"Li+": 2.0, "K+": profile.background["K+"]}


def test_foreign_ions_in_untouched_glass_are_no_background():
    """Fifteen hundred counts of potassium that the glass has held from the start."""
    recording, *_ = measured()
    recording.intensity["K+"] += 1500
    profile = profile_of(recording, background=None)
    assert "no foreign ion in the glass" in failed(profile)
    assert profile.background["K+"] == 0


def test_a_background_stated_too_high_is_noticed():
    recording, *_ = measured(background=2.0)
    stated = {"Li+": 0.0, "K+": 1500.0}
    profile = profile_of(recording, background=stated)
    assert "no foreign ion in the glass" in failed(profile)
    (check,) = (c for c in profile.checks if c.name == "no foreign ion in the glass")
    plateau = recording.intensity["K+"][60:80].mean()
    assert check.value == pytest.approx((2 - 1500) / (plateau - 1500), rel=0.1)


def test_the_transient_is_proposed_until_the_matrix_signal_has_settled():
    """Boron that is 45 % low at first, with a decay of 3 cycles: 4 to 8 decay lengths are cut."""
    for seed in range(5):
        recording, *_ = measured(seed)
        low = 1 - 0.45 * np.exp(-np.arange(200) / 3)
        recording.intensity["B+"] = np.round(low * recording.intensity["B+"])
        profile = profile_of(recording, transient=None)
        assert 12 <= np.argmax(profile.used) <= 24
        assert any(a.endswith("has settled (proposed)") for a in profile.assumptions)
        clean = profile_of(measured(seed)[0], transient=None)
        assert np.argmax(clean.used) <= 4
        all_used = any(a.endswith("all cycles are used") for a in clean.assumptions)
        assert all_used == clean.used.all()


@pytest.mark.parametrize("transient", [None, 0.0, 2e-9, 20e-9])
def test_no_cycle_is_used_within_two_widths_of_the_resolution(transient):
    response = dowsett_resolution(1e-9, 3e-9, 2e-9)
    profile = profile_of(measured()[0], transient=transient, resolution=response)
    start = max(transient or 0, 2 * response.width)
    assert profile.edges[np.argmax(profile.used)] == pytest.approx(start, abs=1e-9)
    said = any("two widths of the resolution" in a for a in profile.assumptions)
    assert said == (transient != 20e-9)


def test_an_end_of_the_crater_that_nobody_states_is_said():
    recording, *_ = measured()
    said = "crater reached at 400 s, the end of the export (assumed)"
    assert said in profile_of(recording).report()
    assert said not in profile_of(replace(recording, total_stated=True)).report()


def test_charge_is_found_cycle_by_cycle():
    recording, *_, charge = measured()
    profile = profile_of(recording, charge)
    found = charge_found(profile, N_LI)
    balance = next(c.value for c in profile.checks if c.name == "charge balance")
    assert found[-1] / charge == balance
    assert np.all(np.diff(found[:90]) > 0)


def test_the_drift_that_is_left_open_is_what_the_reference_scatters():
    """Two hundred matrix signals: the cubic's errors, in the shapes stated, have variance one.

    The variance of 200 values has an error of 10 %.
    """
    used = np.arange(200) >= 10
    truth = 9000 * (1 - 0.1 * np.linspace(-1, 1, 200))
    rng = np.random.default_rng(4)
    found = []
    for _ in range(200):
        matrix = rng.poisson(truth).astype(float)
        reference, _ = steady_reference(matrix, used)
        shapes = np.column_stack([np.ones(200), reference_drift(matrix, used)])
        found.append(np.linalg.lstsq(shapes, reference / truth - 1)[0][1:])
    assert np.all(np.abs(np.var(found, axis=0) - 1) < 0.5)
    assert np.all(np.abs(np.mean(found, axis=0)) < 0.3)


def test_a_pristine_glass_gives_a_profile_that_is_not_ok_and_no_exception():
    recording, *_ = measured()
    recording.intensity["Li+"][:] = recording.intensity["B+"]
    profile = profile_of(recording, 100.0)
    assert "front inside the profile" in failed(profile)


@pytest.mark.parametrize("background", [0.0, 1.0])
def test_native_and_foreign_exchanged_is_noticed(background):
    """Potassium has no bulk level to scale it to, with or without counts there."""
    recording, *_ = measured(background=background)
    profile = normalise(recording, "K+", "Li+", "B+", CRATER)
    assert "front inside the profile" in failed(profile)


def test_a_bulk_without_native_counts_fails_its_checks():
    """A dead detector behind cycle 90: there is no bulk level, and the check says so."""
    recording, *_ = measured()
    recording.intensity["Li+"][90:] = 0
    assert "front inside the profile" in failed(profile_of(recording))


def test_a_peak_jumping_recording_is_normalised():
    """Channels 1 s apart in cycles of 20 s: against one common axis they move by 0.05 nm.

    The front rises by 0.2 a nm at most, and counts scatter by 0.01.
    """
    recording, *_ = measured()
    start = {"Li+": 10.0, "K+": 11.0, "B+": 12.0}
    jumping = replace(
        recording,
        format="CAMECA",
        unit="counts/s",
        time={ion: t + 20.0 * np.arange(200) for ion, t in start.items()},
        dead_time_corrected=dict.fromkeys(start),
        total_time=4003.0,
    )
    profile = profile_of(jumping)
    assert profile.ok, profile.report()
    assert profile.lag == pytest.approx({"Li+": 0.0, "K+": CRATER / 4003}, rel=1e-9, abs=0)
    reference = profile_of(recording)
    near = np.interp(profile.depth, reference.depth, reference.fraction["Li+"])
    np.testing.assert_allclose(profile.fraction["Li+"], near, atol=0.05)
    with pytest.raises(SimsError, match=r"no dead time left in Li\+: it holds rates"):
        profile_of(jumping, pulses=1e6)


def test_rates_without_counting_times_are_not_normalised():
    recording, *_ = measured()
    with pytest.raises(SimsError, match="no counting time for Li"):
        profile_of(replace(recording, exposure=dict.fromkeys(recording.channels, np.nan)))


def test_too_few_cycles_are_refused():
    with pytest.raises(SimsError, match="19 common cycles, at least 20 are needed"):
        profile_of(measured(cycles=19)[0])
    assert profile_of(measured(cycles=21)[0]).used.sum() == 21


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"crater_depth": 200}, "crater_depth = 200 m is outside"),
        ({"matrix": "Li+"}, "three different channels"),
        ({"native": "Rb+"}, "no channel 'Rb"),
        ({"transient": -1}, "transient = -1 m is outside"),
        ({"background": -1}, "background of Li. = -1 is outside"),
        ({"background": {"Cs+": 1}}, "background names"),
        ({"background": 1e6}, "no counts of Li. above its background"),
        ({"rate_ratio": 0}, "rate_ratio = 0 is outside"),
        ({"rate_ratio": 11}, "rate_ratio = 11 is outside"),
        ({"leave_out": 3}, "leave_out = 3 is not a list of cycles"),
        ({"leave_out": "12"}, "leave_out = '12' is not a list of cycles"),
        ({"charge": 100.0}, "ion_density = None is not a number"),
        ({"charge": -1.0, "ion_density": N_LI}, "charge = -1 C/m.2 is outside"),
    ],
)
def test_a_wrong_setting_is_refused(settings, expected):
    usual = {"native": "Li+", "foreign": "K+", "matrix": "B+", "crater_depth": CRATER}
    with pytest.raises(ValueError, match=expected):
        normalise(measured()[0], **(usual | settings))


def test_what_is_sputtered_behind_the_last_cycle_goes_at_the_rate_of_the_last():
    """Ten cycles of 1 s in replaced glass that sputters twice as fast, and 10 s more of it.

    The share of the crater that the export shows is a half, whatever the rate.
    """
    edges = np.arange(11.0)
    depth = sputter_depth(edges, CRATER, 20.0, np.zeros(10), rate_ratio=2.0)
    assert depth[-1] == pytest.approx(CRATER / 2, rel=1e-12)
    np.testing.assert_allclose(np.diff(depth), CRATER / 20, rtol=1e-12)
    with pytest.raises(ValueError, match=r"rate_ratio = 1\.5e\+06 is outside"):
        sputter_depth(edges, CRATER, 20.0, np.zeros(10), rate_ratio=1.5e6)


def test_the_share_of_the_beam_in_the_scatter_is_unbiased_with_few_cycles():
    """24 cycles, of which the cubic takes four: the variance over 500 draws is right to 2 %.

    The error that is stated squares to the kept share of Poisson's variance; so it tells the
    variance found.
    """
    rng = np.random.default_rng(8)
    found = []
    for _ in range(500):
        matrix = rng.poisson(1e4 * (1 + 0.03 * rng.standard_normal(24))).astype(float)
        reference, error = steady_reference(matrix)
        kept = np.mean(error**2 * reference**2 / (matrix + 1))
        found.append(matrix.mean() / (1 - kept))
    assert np.mean(found) == pytest.approx(1e4 + 300**2, rel=0.06)


def test_one_cycle_does_not_fill_the_transient_of_the_charge_balance():
    """A fifth of the layer is transient; the first cycle behind it holds 40 % too much.

    Taken from that cycle alone the charge would be 6 % off; the mean of ten makes it a tenth.
    """
    recording, *_, charge = measured()
    recording.intensity["K+"][20] *= 1.4
    profile = profile_of(recording, charge, transient=20e-9)
    found = next(check.value for check in profile.checks if check.name == "charge balance")
    assert found == pytest.approx(1, abs=0.02)


def test_a_flickering_beam_leaves_the_level_as_uncertain_as_stated():
    """The level over sixty draws scatters as stated to 40 %: errors of single cycles average."""
    off = []
    for seed in range(60):
        recording, *_ = measured(seed, drift=0.0, flicker=0.03)
        profile = profile_of(recording)
        reference, _ = steady_reference(recording.counts("B+"), profile.used)
        off.append((np.mean(profile.scale["Li+"] / reference) - 1) / profile.scale_error["Li+"])
    assert np.std(off) == pytest.approx(1, abs=0.4)


def test_few_counts_do_not_hide_a_signal_that_is_not_proportional():
    """100 foreign counts a cycle: an eighth is known to 2 %, and 13 % too many are seen."""
    recording, *_ = measured(foreign=100.0)
    recording.intensity["K+"][:50] = np.round(1.3 * recording.intensity["K+"][:50])
    check = next(c for c in profile_of(recording).checks if c.name == "mass balance")
    assert 0.05 < check.high < 0.11
    assert not check.passed
