"""SIMS exports are read exactly or refused, counts become fractions, models are blurred."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import erfc

from cait_helpers.sims import (
    Recording,
    SimsError,
    blur,
    dead_time_correct,
    dowsett_resolution,
    exchanged_charge,
    gaussian_resolution,
    normalise,
    read_sims,
    steady_reference,
)

PROPERTY = settings(deadline=None, derandomize=True, max_examples=60)

# --- writers of the three layouts: the inverse of the readers -------------------------------


def surfacelab(ions, time, counts, *, comma=False, tail=True, quantity="Intensity (Raw)"):
    """SurfaceLab text: counts has shape (cycles, ions)."""
    end = "\t" if tail else ""
    lines = [
        "\t" + "\t".join(ions),
        "\t\t" + "\t".join(f"{7.016 + i:.4f}" for i in range(len(ions) - 1)),
        "Sputter Time (s)" + f"\t{quantity}" * len(ions) + end,
    ]
    for t, row in zip(time, counts, strict=True):
        lines.append(f"{t:.4f}\t" + "\t".join(f"{c:.10g}" for c in row) + end)
    text = "\n".join(lines) + "\n"
    return text.replace(".", ",") if comma else text


def plain_csv(ions, time, counts):
    lines = ["# K+ on Li3B7O12", "time / s, " + ", ".join(ions)]
    for t, row in zip(time, counts, strict=True):
        lines.append(f"{t:.4f}, " + ", ".join(f"{c:.10g}" for c in row))
    return "\n".join(lines) + "\n"


def cameca(ions, time, counts, *, sep=";", depth=True, yield_percent=50.0, short=0):
    """CAMECA ASCII: ion k is counted for 2 s, k seconds into the cycle; ``short`` channels
    are missing in the last cycle."""
    skip = sep if depth else ""
    head = f"Time[s]{sep}" + (f"Depth[nm]{sep}" if depth else "") + f"I[cnt/s]{sep}"
    exposure = 2.0 * yield_percent / 100
    lines = ["*** DATA FILES ***", "", f"Sample ID{sep}glass", "", "*** DATA START ***", ""]
    lines += ["glass.dp", "".join(f"{ion}{sep}{sep}{skip}" for ion in ions), head * len(ions)]
    for i, (t, row) in enumerate(zip(time, counts, strict=True)):
        last = len(ions) - (short if i == len(time) - 1 else 0)
        blocks = [
            f"{t + k:.5E}{sep}{skip}{max(c / exposure, 1e-3):.9E}" for k, c in enumerate(row[:last])
        ]
        lines.append(sep.join(blocks))
    lines += ["", "*** DATA END ***", "", "*** ACQUISITION PARAMETERS ***", ""]
    lines += [f"Total sputtering time (s){sep}{time[-1] + len(ions):.0f}", ""]
    lines += ["*** MEASUREMENT CONDITIONS, glass.dp ***:", ""]
    lines += [sep.join(["Species", "Mass (amu)", "Detector", "WT(s)", "CT(s)"])]
    lines += [sep.join([ion, "7.016", "EM    ", "0.5", "2.0"]) for ion in ions]
    lines += ["", "*** ION DETECTOR PARAMETERS ***", "", f"EM yield (%){sep}{yield_percent:.1E}"]
    return "\n".join(lines) + "\n"


IONS = ["total", "Li+", "B+", "K+", "^41K+"]
TIME = 2.0 * np.arange(6)
COUNTS = np.arange(30.0).reshape(6, 5) * [100, 3, 20, 1, 0]


@pytest.fixture
def saved(tmp_path):
    """Write a text, read it back; the name tells nothing."""

    def read(text, newline="\n", encoding="utf-8"):
        path = tmp_path / "profile.dat"
        data = text if isinstance(text, bytes) else text.replace("\n", newline).encode(encoding)
        path.write_bytes(data)
        return read_sims(path)

    return read


def same(recording, ions, time, counts, rtol=0.0):
    assert recording.channels == tuple(ions)
    for i, ion in enumerate(ions):
        np.testing.assert_allclose(recording.counts(ion), counts[:, i], rtol=rtol)
    np.testing.assert_array_equal(recording.time[ions[0]], time)


# --- reading --------------------------------------------------------------------------------


@pytest.mark.parametrize("tail", [True, False])
@pytest.mark.parametrize("comma", [True, False])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_surfacelab_export_is_read_in_every_dialect(saved, tail, comma, newline):
    """Decimal mark, trailing tab and line ends differ by locale and version."""
    text = surfacelab(IONS, TIME, COUNTS + 0.5, comma=comma, tail=tail)
    recording = saved(text, newline)
    assert (recording.format, recording.unit) == ("SurfaceLab", "counts")
    same(recording, IONS, TIME, COUNTS + 0.5)
    assert recording.total_time == 12.0
    assert recording.meta["m/z"]["Li+"] == 7.016
    assert np.isnan(recording.meta["m/z"]["total"])


@pytest.mark.parametrize(
    ("quantity", "corrected"),
    [
        ("Intensity (Raw)", False),
        ("Intensity (Raw. Poisson Corrected)", True),
        ("Intensity", None),
    ],
)
def test_the_export_tells_whether_dead_time_is_corrected(saved, quantity, corrected):
    """Correcting twice is silent, so the third header line is taken literally."""
    recording = saved(surfacelab(IONS, TIME, COUNTS, quantity=quantity))
    assert recording.dead_time_corrected == dict.fromkeys(IONS, corrected)


def test_a_latin_1_label_is_read(saved):
    """Comments and labels of old exports are not UTF-8."""
    ions = ["total", "Li+", "µ+"]
    recording = saved(surfacelab(ions, TIME, COUNTS[:, :3]), encoding="latin-1")
    assert recording.channels == tuple(ions)


def test_a_csv_with_comments_is_read(saved):
    recording = saved(plain_csv(IONS, TIME, COUNTS))
    assert (recording.format, recording.unit) == ("CSV", "counts")
    same(recording, IONS, TIME, COUNTS)
    assert recording.meta["comments"] == ["K+ on Li3B7O12"]


@pytest.mark.parametrize("sep", [";", "\t"])
@pytest.mark.parametrize("depth", [True, False])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_cameca_export_is_read_with_a_time_axis_for_each_species(saved, sep, depth, newline):
    """Rates become counts by counting time and yield; 1E-3 counts/s stands for no count."""
    recording = saved(cameca(IONS, TIME, COUNTS, sep=sep, depth=depth), newline)
    assert (recording.format, recording.unit) == ("CAMECA", "counts/s")
    assert recording.exposure["K+"] == 1.0
    same(recording, IONS, TIME, COUNTS, rtol=1e-9)  # the file holds ten digits
    assert (recording.counts("^41K+") == 0).all()
    np.testing.assert_array_equal(recording.time["B+"], TIME + 2)
    assert recording.total_time == 15.0


def test_peak_jumping_channels_are_brought_to_one_axis(saved):
    """Counts that rise by 7 a second do so on the common axis as well, wherever it lies."""
    late = TIME[:, None] + np.arange(3)
    edges, counts = saved(cameca(IONS[:3], TIME, 7 * late)).cycles("Li+", "total", "B+")
    middle = (edges[1:] + edges[:-1]) / 2
    np.testing.assert_allclose(np.diff(edges), 2.0)
    for ion in IONS[:3]:
        np.testing.assert_allclose(counts[ion], 7 * middle, rtol=1e-9)


def test_an_interrupted_last_cameca_cycle_keeps_what_was_counted(saved):
    recording = saved(cameca(IONS, TIME, COUNTS, short=2))
    assert [recording.counts(ion).size for ion in IONS] == [6, 6, 6, 5, 5]


def test_cycles_start_at_the_stated_time_and_end_where_the_next_begins(saved):
    edges, _ = saved(plain_csv(IONS, TIME, COUNTS)).cycles("Li+", "K+")
    np.testing.assert_array_equal(edges, [0, 2, 4, 6, 8, 10, 12])


def test_an_unknown_ion_is_refused_with_the_ions_that_are_there(saved):
    recording = saved(plain_csv(IONS, TIME, COUNTS))
    with pytest.raises(SimsError, match=r"profile.dat.*'Rb\+'.*total, Li\+, B\+, K\+, \^41K\+"):
        recording.counts("Rb+")


TOF = surfacelab(IONS, TIME, COUNTS)
MAGNETIC = cameca(IONS, TIME, COUNTS)
PLAIN = plain_csv(IONS, TIME, COUNTS)


def last_row_short(text, sep):
    """Cut the last line of data in the middle."""
    return text.rstrip().rsplit(sep, 2)[0] + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: expected a SIMS export, found an empty file"),
        ("\n\n", "empty file"),
        ("PHI XPS\n1 2 3\n", "line 1: expected 'time / s, .*SurfaceLab.*CAMECA"),
        (TOF.replace("Li+", "total"), "line 1: expected different .* 'total' twice"),
        (TOF.replace("\tLi+", "\t"), "line 1: expected a channel label in column 2 of 5"),
        ("\n".join(TOF.split("\n")[:3]), "line 3: expected at least two cycles below"),
        ("\n".join(TOF.split("\n")[:4]), "at least two cycles"),
        (last_row_short(TOF, "\t"), "line 9: expected 6 columns .* found 3"),
        (TOF[:-2] + "\n", "line 9: expected 6 columns"),  # only the trailing tab is missing
        (TOF.replace("(Raw)", "(Normalised)", 1), "line 3: expected total to be one of"),
        (TOF.replace("4.0000\t", "4.00x0\t"), "line 6: expected a number, found '4.00x0'"),
        (TOF.replace("4.0000\t", "nan\t"), "line 6: expected a number, found 'nan'"),
        (TOF.replace("4.0000\t", "1_4\t"), "line 6: expected a number"),
        (TOF.replace("4.0000\t", "\t"), "line 6: expected a sputter time, not a blank"),
        (TOF.replace("4.0000\t", "4,0000\t"), r"line 6: expected the decimal mark '\.'"),
        (TOF.replace("6.0000\t", "1.0000\t"), "line 7: expected a time that increases"),
        (TOF.replace("\t1000\t", "\t-1000\t"), "line 6: expected total not negative"),
        (PLAIN.replace("Li+", "K+"), r"line 2: expected different .* 'K\+' twice"),
        (PLAIN.replace("4.0000, 1000", "4.0000"), "line 5: expected 6 columns"),
        (PLAIN.replace("4.0000, 1000", "#"), "line 5: expected 6 columns"),
        (PLAIN.split("0.0000")[0], "expected at least two cycles"),
        (last_row_short(PLAIN, ","), "line 8: expected 6 columns"),
        (MAGNETIC.replace("*** DATA END ***", ""), r"expected '\*\*\* DATA END .* truncated"),
        (MAGNETIC[: MAGNETIC.index("*** DATA END")], "truncated"),
        (MAGNETIC.replace("*** DATA START ***", ""), r"a section '\*\*\* DATA START"),
        (MAGNETIC.replace("I[cnt/s]", "C[at/cm3]"), "line 9: expected blocks"),
        (MAGNETIC.replace("Li+;;;", "Li+;;", 1), "line 8: expected one species above each"),
        (MAGNETIC.replace("Li+;;;", "B+;;;", 1), "line 8: expected different channel labels"),
        (MAGNETIC.replace("\n4.00000E+00", "\n4.00x"), "line 12: expected a number"),
        (MAGNETIC.replace("\n4.00000E+00", "\n"), "line 12: expected a sputter time"),
        (MAGNETIC.replace("s);15", "s);6"), "expected at least the 14 s of the data"),
        (MAGNETIC.replace("\n8.0", "\n;\n8.0"), "line 14: expected 15 columns"),
        (MAGNETIC.replace("1.30000E+01;", "1.30000E+01\t"), "line 15: expected 15 columns"),
        (MAGNETIC.split("\n0.0")[0] + "\n\n*** DATA END ***\n", "line 9: expected at least two"),
    ],
)
def test_a_damaged_file_is_refused_with_the_line_and_what_was_expected(saved, text, expected):
    with pytest.raises(SimsError, match=f"profile.dat, .*{expected}"):
        saved(text)


tables = (
    st.integers(2, 5)
    .flatmap(
        lambda ions: st.lists(
            st.lists(st.integers(0, 10**6), min_size=ions, max_size=ions), min_size=2, max_size=12
        )
    )
    .map(lambda rows: np.array(rows, dtype=float))
)
layouts = st.one_of(
    st.builds(
        lambda c, t: lambda *a: surfacelab(*a, comma=c, tail=t), st.booleans(), st.booleans()
    ),
    st.just(plain_csv),
    st.builds(
        lambda s, d: lambda *a: cameca(*a, sep=s, depth=d), st.sampled_from(";\t"), st.booleans()
    ),
)


@PROPERTY
@given(table=tables, layout=layouts, step=st.integers(6, 400))
def test_every_table_survives_the_round_trip(tmp_path_factory, table, layout, step):
    """Any non-negative counts, any cycle time, every layout and dialect."""
    ions, time = IONS[: table.shape[1]], step / 4 * np.arange(len(table))
    path = tmp_path_factory.getbasetemp() / "round_trip"
    path.write_text(layout(ions, time, table), encoding="utf-8")
    same(read_sims(path), ions, time, table, rtol=1e-9)  # CAMECA rates are written as %.9E


@settings(PROPERTY, max_examples=400)
@given(layout=layouts, place=st.floats(0, 1, exclude_max=True), byte=st.integers(0, 255))
@example(layout=plain_csv, place=0.5, byte=ord("#"))
def test_a_changed_byte_never_changes_the_number_of_cycles(tmp_path_factory, layout, place, byte):
    """A digit may become another digit; anything else is the same table or a SimsError."""
    data = bytearray(layout(IONS, TIME, COUNTS).encode())
    data[int(place * len(data))] = byte
    path = tmp_path_factory.getbasetemp() / "mutant"
    path.write_bytes(data)
    try:
        recording = read_sims(path)
    except SimsError as error:
        assert f"{path}, line " in str(error)
    else:
        assert len(recording.channels) == len(IONS)
        assert [recording.time[ion].size for ion in recording.channels] == [6] * 5
        assert [recording.intensity[ion].size for ion in recording.channels] == [6] * 5


# --- from counts to fractions ---------------------------------------------------------------

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


@settings(PROPERTY, max_examples=25)
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


def test_a_bulk_without_native_counts_is_refused():
    recording, *_ = measured()
    recording.intensity["Li+"][90:] = 0
    with pytest.raises(SimsError, match=r"made\.txt: no counts of Li\+ in the bulk"):
        profile_of(recording)


def test_a_peak_jumping_recording_is_normalised(saved):
    """Channels 1 s apart in cycles of 20 s: against one common axis they move by 0.05 nm.

    The front rises by 0.2 a nm at most, and counts scatter by 0.01.
    """
    ions = ["Li+", "K+", "B+"]
    recording, *_ = measured()
    made = np.stack([recording.intensity[ion] for ion in ions], axis=1)
    profile = normalise(saved(cameca(ions, 20.0 * np.arange(200) + 10, made)), *ions, CRATER)
    assert profile.ok, profile.report()
    reference = profile_of(recording)
    near = np.interp(profile.depth, reference.depth, reference.fraction["Li+"])
    np.testing.assert_allclose(profile.fraction["Li+"], near, atol=0.05)


def test_a_cameca_recording_without_counting_times_is_not_normalised(saved):
    text = cameca(["Li+", "K+", "B+"], 2.0 * np.arange(30), np.full((30, 3), 50.0))
    with pytest.raises(SimsError, match="no counting time for Li"):
        profile_of(saved(text.replace("CT(s)", "TC(s)")))


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


# --- the depth resolution -------------------------------------------------------------------

NM = 1e-9
lengths = st.floats(0.3, 5.0).map(lambda value: value * NM)
resolutions = st.one_of(
    st.none(),
    lengths.map(gaussian_resolution),
    st.tuples(lengths, lengths, lengths).map(lambda three: dowsett_resolution(*three)),
    lengths.map(lambda value: dowsett_resolution(0.0, value, value)),
)
steps = st.lists(st.floats(0.01, 8.0), min_size=3, max_size=30)
profiles = steps.flatmap(
    lambda widths: st.tuples(
        st.just(np.cumsum([0.0, *widths]) * NM),
        st.lists(st.floats(0, 1), min_size=len(widths) + 1, max_size=len(widths) + 1).map(np.array),
    )
)
EDGES = np.linspace(0, 60, 61) * NM


@PROPERTY
@given(profile=profiles, value=st.floats(0, 2), resolution=resolutions)
def test_a_constant_stays_exactly_what_it_is(profile, value, resolution):
    x, _ = profile
    np.testing.assert_array_equal(blur(x, np.full(x.size, value), EDGES, resolution), value)


@PROPERTY
@given(profile=profiles, factor=st.floats(-3, 3), resolution=resolutions)
def test_blurring_is_linear(profile, factor, resolution):
    """Slopes reach 1/(0.01 nm): rounding of 1e-16 times 100 cells a slope."""
    x, f = profile
    g = np.sin(x / NM)
    both = blur(x, f + factor * g, EDGES, resolution)
    apart = blur(x, f, EDGES, resolution) + factor * blur(x, g, EDGES, resolution)
    np.testing.assert_allclose(both, apart, atol=1e-11)


@PROPERTY
@given(profile=profiles, resolution=resolutions)
def test_blurring_keeps_the_area_and_the_range(profile, resolution):
    """A profile that is zero at both ends, on slices that reach 40 widths beyond it."""
    x, f = profile
    f = np.concatenate([[0.0, 0.0], f[1:-1], [0.0, 0.0]])
    x = np.concatenate([[x[0] - 5 * NM], x, [x[-1] + 5 * NM]])
    edges = np.linspace(x[0] - 300 * NM, x[-1] + 300 * NM, 400)
    blurred = blur(x, f, edges, resolution)
    area = np.sum(blurred * np.diff(edges))
    np.testing.assert_allclose(area, np.trapezoid(f, x), atol=1e-11 * NM * x.size)
    assert blurred.min() > -1e-11
    assert blurred.max() < f.max() + 1e-11


@PROPERTY
@given(profile=profiles, resolution=resolutions.filter(bool), cell=st.integers(0, 59))
def test_blurring_agrees_with_quadrature(profile, resolution, cell):
    """The convolution integral by Gauss-Legendre on pieces between kinks.

    Within a piece the profile is linear and the response smooth on the scale of its shortest
    length, which the pieces resolve.
    """
    x, f = profile
    node, weight = np.polynomial.legendre.leggauss(12)

    def pieces(low, high, longest):
        cuts = np.linspace(low, high, int((high - low) / longest) + 2)
        half = np.diff(cuts)[:, None] / 2
        return (cuts[:-1, None] + half * (node + 1)).ravel(), (half * weight).ravel()

    short = resolution.sigma
    low, high = EDGES[cell], EDGES[cell + 1]
    z, over_slice = pieces(low, high, short)
    mean = np.zeros_like(z)
    bounds = [x[0] - 260 * NM, *x, max(x[-1], high) + 260 * NM]
    for a, b in pairwise(bounds):
        u, over_depth = pieces(a, b, short)
        mean += resolution.density(z[:, None] - u) @ (over_depth * np.interp(u, x, f))
    expected = mean @ over_slice / (high - low)
    found = blur(x, f, EDGES, resolution)[cell]
    np.testing.assert_allclose(found, expected, atol=1e-9)


@pytest.mark.parametrize("sigma", [0.5 * NM, 3 * NM])
def test_a_step_becomes_an_error_function(sigma):
    """A front of 1e-4 nm on slices of 0.1 nm, against six-point quadrature of the formula.

    Its width shows up as (1e-4/sigma)^2, about 1e-8.
    """
    front = 30 * NM
    x = np.array([0.0, front - 0.5e-4 * NM, front + 0.5e-4 * NM, 60 * NM])
    edges = np.linspace(20 * NM, 40 * NM, 201)
    node, weight = np.polynomial.legendre.leggauss(6)
    z = (edges[1:] + edges[:-1])[:, None] / 2 + np.diff(edges)[:, None] / 2 * node
    expected = erfc((front - z) / (np.sqrt(2) * sigma)) @ weight / 4
    found = blur(x, [0, 0, 1, 1], edges, gaussian_resolution(sigma))
    np.testing.assert_allclose(found, expected, atol=1e-7)


def test_small_tails_approach_the_gaussian():
    """Variances add, so a tail of sigma/20 changes a step by about its shift, sigma/20."""
    x, f = np.array([0, 30, 30.01, 60]) * NM, [0.0, 0.0, 1.0, 1.0]
    plain = blur(x, f, EDGES, gaussian_resolution(1 * NM))
    tailed = blur(x, f, EDGES, dowsett_resolution(0.05 * NM, 0.05 * NM, 1 * NM))
    # equal tails do not shift; the width grows by (1/20)^2
    np.testing.assert_allclose(tailed, plain, atol=1e-3)
    assert np.abs(tailed - plain).max() > 1e-5


@settings(PROPERTY, max_examples=20)
@given(resolution=resolutions.filter(bool))
def test_the_response_has_unit_area_and_the_stated_mean_and_width(resolution):
    """Trapezoid sums of a smooth function that has decayed at both ends: 1e-10."""
    z = np.linspace(-250, 250, 100001) * NM
    density = resolution.density(z)
    area, first = np.trapezoid(density, z), np.trapezoid(z * density, z)
    second = np.trapezoid((z - first) ** 2 * density, z)
    assert area == pytest.approx(1, rel=1e-8)
    assert first == pytest.approx(resolution.shift, abs=1e-8 * NM)
    assert np.sqrt(second) == pytest.approx(resolution.width, rel=1e-8)


def test_the_tail_points_into_the_glass():
    """Mixing drags a buried layer deeper: the long decay is behind it."""
    response = dowsett_resolution(decay_up=0.5 * NM, decay_down=4 * NM, sigma=1 * NM)
    assert response.density(8 * NM) > 100 * response.density(-8 * NM)


@pytest.mark.parametrize(
    ("x", "f", "edges", "expected"),
    [
        ([0, 1], [0, 1, 2], [0, 1], "x and f need one shape"),
        ([0], [0], [0, 1], "x and f need one shape"),
        ([0, 0], [0, 1], [0, 1], "x must increase"),
        ([0, np.nan], [0, 1], [0, 1], "x must increase"),
        ([0, 1], [0, 1], [0], "edges must have"),
        ([0, 1], [0, 1], [1, 0], "edges must have"),
    ],
)
def test_blur_refuses_what_is_not_a_profile(x, f, edges, expected):
    with pytest.raises(ValueError, match=expected):
        blur(x, f, edges)


def test_a_resolution_out_of_range_is_refused():
    with pytest.raises(ValueError, match="sigma = 2 m is outside"):
        gaussian_resolution(2)
    with pytest.raises(ValueError, match="decay_up = -1e-09 m is outside"):
        dowsett_resolution(-1 * NM, 0, 1 * NM)
    with pytest.raises(ValueError, match="below sigma/20"):
        dowsett_resolution(0.01 * NM, 0, 1 * NM)
