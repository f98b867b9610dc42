"""SIMS exports are read exactly or refused with the line and what was expected."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from cait_helpers.exports import SimsError, read_sims

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


def test_peak_jumping_channels_keep_their_counts_and_tell_their_lag(saved):
    """The three species are counted a second apart; nothing is interpolated."""
    edges, counts, lags = saved(MAGNETIC).cycles("Li+", "total", "B+")
    middle = (edges[1:] + edges[:-1]) / 2
    np.testing.assert_allclose(np.diff(edges), 2.0)
    np.testing.assert_allclose(middle, saved(MAGNETIC).time["Li+"])
    assert lags == {"Li+": 0.0, "total": -1.0, "B+": 1.0}
    for column, ion in enumerate(IONS[:3]):
        np.testing.assert_allclose(counts[ion], COUNTS[:, column], rtol=1e-9)


def test_species_out_of_sequence_are_refused(saved):
    recording = saved(MAGNETIC)
    recording.time["B+"][3] += 0.9
    with pytest.raises(SimsError, match=r"time of B\+ against that of Li\+ is not constant"):
        recording.cycles("Li+", "B+")


def test_an_interrupted_last_cameca_cycle_keeps_what_was_counted(saved):
    recording = saved(cameca(IONS, TIME, COUNTS, short=2))
    assert [recording.counts(ion).size for ion in IONS] == [6, 6, 6, 5, 5]


def test_the_yield_of_the_multiplier_counts_once_wherever_it_stands(saved):
    """2 s at 50 % are an exposure of 1 s."""
    line = "EM yield (%);5.0E+01\n"
    assert saved(line + MAGNETIC).exposure["K+"] == 1.0
    assert saved(MAGNETIC.replace(";EM ", ";FC ")).exposure["K+"] == 2.0  # a Faraday cup


def test_only_the_rate_that_stands_for_zero_is_a_zero(saved):
    """1E-3 counts/s is how CAMECA writes none; one count in 100 s is one count."""
    text = MAGNETIC.replace("1.000000000E-03", "1.000000000E-02")
    np.testing.assert_allclose(saved(text).intensity["^41K+"], 0.01)


def test_rates_without_a_counting_time_have_an_unknown_exposure(saved):
    assert np.isnan(saved(MAGNETIC.replace("CT(s)", "TC(s)")).exposure["Li+"])


def test_cycles_start_at_the_stated_time_and_end_where_the_next_begins(saved):
    edges, _, lags = saved(plain_csv(IONS, TIME, COUNTS)).cycles("Li+", "K+")
    assert not any(lags.values())
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
