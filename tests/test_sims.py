"""Counts become fractions within their errors, and each check notices its defect."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cait_helpers.exports import Recording
from cait_helpers.resolution import blur, dowsett_resolution
from cait_helpers.sims import (
    dead_time_correct,
    exchanged_charge,
    normalise,
    reference_drift,
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
    density = None if charge is None else N_LI
    return normalise(
        recording, "Li+", "K+", "B+", CRATER, charge=charge, ion_density=density, **settings
    )


def failed(profile):
    return [check.name for check in profile.checks if not check.passed]


def test_dead_time_correction_gives_back_the_mean_of_binomial_counts():
    """A pulse counts with probability 1 - exp(-m/P): inverted exactly, and unbiased to 1/P."""
    arrived = np.array([0.0, 1.0, 300.0, 9000.0])
    expected = -1e4 * np.expm1(-arrived / 1e4)
    np.testing.assert_allclose(dead_time_correct(expected, 1e4), arrived, rtol=1e-13)
    for counts in ([-1.0], [1e4], [np.nan]):
        with pytest.raises(ValueError, match="counts must lie in"):
            dead_time_correct(counts, 1e4)


@settings(deadline=None, derandomize=True, max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    drift=st.floats(-0.3, 0.3),
    flicker=st.sampled_from([0.0, 0.03]),
    layer=st.floats(30e-9, 150e-9),
)
def test_fractions_come_back_within_their_errors(seed, drift, flicker, layer):
    """Known fractions, counted with a drifting and a flickering beam.

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


def test_scale_errors_are_what_the_scales_scatter():
    """Sixty recordings: both scales unbiased (5 standard errors), scatter as stated to 40 %.

    A standard deviation of sixty values has a relative error of 9 %.
    """
    off = []
    for seed in range(60):
        profile = profile_of(measured(seed, drift=0.0)[0])
        scale, error = profile.scale, profile.scale_error
        off.append(
            [
                (scale["Li+"][100:].mean() / 20000 - 1) / error["Li+"],
                (scale["K+"][:100].mean() / 15000 - 1) / error["K+"],
            ]
        )
    assert np.abs(np.mean(off, axis=0)).max() < 5 / np.sqrt(60)
    np.testing.assert_allclose(np.std(off, axis=0), 1, atol=0.4)


def test_expected_counts_are_fraction_times_scale_plus_background():
    recording, *_ = measured(background=40.0)
    profile = profile_of(recording, background=40.0)
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
        recording, "Li+", "K+", "B+", factor * CRATER, charge=charge, ion_density=N_LI
    )
    assert failed(profile) == ["charge balance"]


@pytest.mark.parametrize("seed", range(5))
def test_exchanged_ions_fail_by_that_name(seed):
    """With a few background counts potassium has a bulk level of a kind."""
    recording, *_ = measured(seed, background=5.0)
    profile = normalise(recording, "K+", "Li+", "B+", CRATER)
    assert "ions not swapped" in failed(profile)
    assert "ions not swapped" not in failed(profile_of(recording))


def test_raw_counts_without_pulses_fail_by_name():
    """The export says that its counts are raw; how much is missing only the pulses tell."""
    recording, *_, charge = measured(pulses=10**6, corrected=False)
    assert failed(profile_of(recording, charge)) == ["dead time corrected"]
    assert profile_of(recording, charge, pulses=1e6).ok
    unsaid = replace(recording, dead_time_corrected=dict.fromkeys(recording.channels))
    assert profile_of(unsaid, charge).ok


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


def test_the_share_of_the_beam_in_the_scatter_is_unbiased_with_few_cycles():
    """24 cycles, of which the cubic takes four: the variance over 500 draws is right to 2 %.

    The error that is stated is the kept share times Poisson's, so it tells the variance found.
    """
    rng = np.random.default_rng(8)
    found = []
    for _ in range(500):
        matrix = rng.poisson(1e4 * (1 + 0.03 * rng.standard_normal(24))).astype(float)
        reference, error = steady_reference(matrix)
        kept = np.mean(error * reference / np.sqrt(matrix + 1))
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
