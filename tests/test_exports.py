"""SIMS exports are read exactly or refused with the line and what was expected."""

import os
import re
import runpy

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from slim import ROOT

from cait_helpers.exports import read_sims
from cait_helpers.tables import SimsError, read_current, read_source

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


def cameca(ions, time, counts, *, sep=";", depth=True, yield_percent=25.0, short=0):
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
    assert not recording.fractions_tell
    assert saved(plain_csv(IONS, TIME, COUNTS + 0.5)).fractions_tell


@pytest.mark.parametrize("sep", [";", "\t"])
@pytest.mark.parametrize("depth", [True, False])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_cameca_export_is_read_with_a_time_axis_for_each_species(saved, sep, depth, newline):
    """Rates become counts by counting time and yield; 1E-3 counts/s stands for no count."""
    recording = saved(cameca(IONS, TIME, COUNTS, sep=sep, depth=depth), newline)
    assert (recording.format, recording.unit) == ("CAMECA", "counts/s")
    assert recording.exposure["K+"] == 0.5
    same(recording, IONS, TIME, COUNTS, rtol=1e-9)  # the file holds ten digits
    assert (recording.counts("^41K+") == 0).all()
    np.testing.assert_array_equal(recording.time["B+"], TIME + 2)
    assert recording.total_time == 15.0
    assert not recording.fractions_tell  # rates are no whole numbers


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
    """By more than a fifth of a cycle of 2 s."""
    recording = saved(MAGNETIC)
    recording.time["B+"][3] += 0.39
    assert recording.cycles("Li+", "B+")[2] == {"Li+": 0.0, "B+": 1.0}
    recording.time["B+"][3] += 0.02
    with pytest.raises(SimsError, match=r"time of B\+ against that of Li\+ is not constant"):
        recording.cycles("Li+", "B+")


def test_an_interrupted_last_cameca_cycle_keeps_what_was_counted(saved):
    recording = saved(cameca(IONS, TIME, COUNTS, short=2))
    assert [recording.counts(ion).size for ion in IONS] == [6, 6, 6, 5, 5]


def test_the_yield_of_the_multiplier_counts_once_wherever_it_stands(saved):
    """2 s at 25 % are an exposure of half a second."""
    line = "EM yield (%);2.5E+01\n"
    assert saved(line + MAGNETIC).exposure["K+"] == 0.5
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


def every(recording):
    """The counts of all ions; a damaged column is refused when it is asked for."""
    return [recording.counts(ion) for ion in IONS]


def ending(text, cycles):
    """The last of five species is counted in so many cycles."""
    lines = text.split("\n")
    for i in range(9 + cycles, 15):
        lines[i] = ";".join(lines[i].split(";")[:12])
    return "\n".join(lines)


def last_row_short(text, sep):
    """Cut the last line of data in the middle."""
    return text.rstrip().rsplit(sep, 2)[0] + "\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: expected an export, found an empty file"),
        ("\n\n", "empty file"),
        ("time / s, depth / nm\n0, 1\n1, 2\n", "line 1: expected a time or a depth, and a channel"),
        ("PHI XPS\n1 2 3\n", "line 1: expected 'time / s, .*SurfaceLab.*CAMECA"),
        ("time / s, current / A\n0, 1\n1, 1\n", "line 1: expected a depth profile, found a rec"),
        (TOF.replace("Li+", "total"), "line 1: expected different .* 'total' twice"),
        (TOF.replace("\tLi+", ""), "line 1: expected 6 columns as in the header, found 5"),
        ("\n".join(TOF.split("\n")[:3]), "line 3: expected at least two cycles below"),
        ("\n".join(TOF.split("\n")[:4]), "at least two cycles"),
        (last_row_short(TOF, "\t"), "line 9: expected 6 columns .* found 3"),
        (TOF[:-2] + "\n", "line 9: expected 6 columns"),  # only the trailing tab is missing
        (
            TOF.replace("(Raw)", "(Normalised)", 1),
            "line 3: expected total to be one of .*not .*Normalised",
        ),
        (TOF.replace("4.0000\t", "4.00x0\t"), "line 6: expected a number, found '4.00x0'"),
        (TOF.replace("4.0000\t", "nan\t"), "line 6: expected a number, found 'nan'"),
        (TOF.replace("4.0000\t", "1_4\t"), "line 6: expected a number"),
        (TOF.replace("4.0000\t", "\t"), "line 6: expected a sputter time, not a blank"),
        (TOF.replace("4.0000\t", "4,0000\t"), r"line 6: expected the decimal mark '\.'"),
        (TOF.replace("6.0000\t", "1.0000\t"), "line 7: expected a time that increases"),
        (TOF.replace("\t1000\t", "\t-1000\t"), "line 6: expected total not negative"),
        (PLAIN.replace("4.0000, 1000", "4.0000"), "line 5: expected 6 columns"),
        (PLAIN.replace("4.0000, 1000", "#"), "line 5: expected 6 columns"),
        (PLAIN.split("0.0000")[0], "line 2: expected at least two cycles"),
        (last_row_short(PLAIN, ","), "line 8: expected 6 columns"),
        (MAGNETIC.replace("*** DATA END ***", ""), r"expected '\*\*\* DATA END .* truncated"),
        (MAGNETIC[: MAGNETIC.index("*** DATA END")], "truncated"),
        (MAGNETIC.replace("*** DATA START ***", ""), r"line 1: expected a section '\*\*\* DATA S"),
        (MAGNETIC.replace("I[cnt/s]", "C[at/cm3]"), "line 9: expected total in counts/s .*at/cm3"),
        (MAGNETIC.replace("Depth[nm];I", "I[V];Depth[nm];I"), "line 8: expected one species"),
        (MAGNETIC.replace("Depth[nm];I[cnt/s]", "I[cnt/s];Depth[nm]", 1), "line 9: .* blocks"),
        (ending(MAGNETIC, 0), r"line 9: expected two cycles of \^41K\+, found 0"),
        (ending(MAGNETIC, 1), r"line 10: expected two cycles of \^41K\+, found 1"),
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
        every(saved(text))


# --- other layouts and dialects -------------------------------------------------------------


def hashed(ions, masses, time, counts, *, quantity="Intensity", unfinished=True):
    """SurfaceLab text of version 7: four header lines with ``#``, and an empty last scan."""
    tail = "\t"
    head = ["# Profile Smoothing is Disabled", "#\t\t\t\t" + "\t".join(ions) + tail]
    head += ["#\t\t\t\t" + "\t".join(masses) + tail]
    names = ["#Data Point #", "Sputter Time (s)", "Dose (ions)", "Fluence (ions/cm^2)"]
    head += ["\t".join(names + [quantity] * len(ions)) + tail]
    rows = [
        [f"{k + 1}", f"{t:g}", f"{3e6 * (k + 1):g}", f"{1e11 * (k + 1):g}", *map(str, row)]
        for k, (t, row) in enumerate(zip(time, counts, strict=True))
    ]
    if unfinished:
        end = f"{2 * time[-1] - time[-2]:g}"
        rows.append(
            [f"{len(rows) + 1}", end, "1e8", "1e12", *["inf" if "/" in i else "0" for i in ions]]
        )
    return "\n".join([*head, *["\t".join(row) + tail for row in rows]]) + "\n"


HASHED = hashed(
    ["total", "Li+", "B+", "K+", "K+ / B+", "SiO+", "SiO+", "C_3-, ^13CC_2-", ""],
    ["N/A", "7.016", "11.009", "38.964", "N/A", "43.97", "43.98", "N/A", "1.0"],
    TIME,
    [[9000.5, 40.012, 3000 + k, 4000.25, "inf", 5, 6, k + 2, 1] for k in range(6)],
)


def test_a_surfacelab_7_export_is_read(saved):
    """Time from its column; data point, dose and fluence are no channels; no scan is invented."""
    recording = saved(HASHED, "\r\n")
    assert recording.format == "SurfaceLab"
    assert recording.channels == (
        "total", "Li+", "B+", "K+", "SiO+ (m/z 43.97)", "SiO+ (m/z 43.98)", "C_3-, ^13CC_2-",
    )  # fmt: skip
    np.testing.assert_array_equal(recording.time["Li+"], TIME)
    assert recording.total_time == 12.0
    assert not recording.total_stated
    assert recording.notes == ("the last scan, line 11, is empty: it is no cycle",)
    # whole numbers of boron among fractions of the same kind: corrected
    assert recording.dead_time_corrected == dict.fromkeys(recording.channels, True)
    assert recording.meta["m/z"]["K+"] == 38.964


@pytest.mark.parametrize(
    ("ion", "expected"),
    [
        ("K+ / B+", "line 4: expected an ion, not a ratio of two"),
        ("SiO+", r"'SiO\+' twice: ask for 'SiO\+ \(m/z 43.97\)' or 'SiO\+ \(m/z 43.98\)'"),
        ("column 13", "line 4: expected a channel label, not a blank"),
    ],
)
def test_what_is_no_ion_is_refused_only_if_it_is_asked_for(saved, ion, expected):
    with pytest.raises(SimsError, match=expected):
        saved(HASHED).counts(ion)


def test_a_blank_label_between_two_is_a_channel_without_a_name(saved):
    recording = saved("time / s;Li+;;K+\n0;1;2;3\n2;4;5;6\n")
    with pytest.raises(SimsError, match="line 1: expected a channel label, not a blank"):
        recording.counts("column 3")


def test_counts_without_their_background_are_refused_with_the_reason(saved):
    """What is left has the scatter of what was counted, and nobody knows how much that was."""
    text = surfacelab(IONS, TIME, COUNTS, quantity="Intensity(Background Corrected)")
    with pytest.raises(SimsError, match="errors of what a background was taken from are unknown"):
        saved(text)


def test_whole_counts_of_version_7_leave_open_whether_they_are_corrected(saved):
    text = hashed(IONS, ["N/A"] * 5, TIME, COUNTS.astype(int), unfinished=False)
    assert set(saved(text).dead_time_corrected.values()) == {None}


def test_times_in_the_middle_of_the_scans_are_told_by_the_first(saved):
    """Of images the export states 1.6 s, 4.9 s, ...: the first scan began at zero."""
    recording = saved(surfacelab(IONS, TIME + 1, COUNTS))
    np.testing.assert_array_equal(recording.time["Li+"], TIME)
    assert recording.total_time == 12.0
    assert recording.notes == ("its times are the middles of the scans",)
    later = saved(surfacelab(IONS, TIME + 1.03, COUNTS))  # 1.5 % of a scan off: no middle
    np.testing.assert_allclose(later.time["Li+"], TIME + 1.03)
    assert not later.notes


@pytest.mark.parametrize("layout", [surfacelab, plain_csv])
def test_an_empty_last_cycle_is_no_cycle(saved, layout):
    counts = COUNTS.copy()
    counts[-1] = 0
    recording = saved(layout(IONS, TIME, counts))
    assert recording.time["Li+"].size == 5
    assert recording.total_time == 10.0
    assert "is empty" in recording.notes[0]


def test_a_column_that_nobody_asks_for_may_be_damaged(saved):
    recording = saved(PLAIN.replace("8.0000, 2000", "8.0000, n.a."))
    assert recording.channels == ("Li+", "B+", "K+", "^41K+")
    with pytest.raises(SimsError, match=r"line 7: expected a number, found 'n\.a\.'"):
        recording.counts("total")


def rewritten(sep, header="time / s", mark="."):
    """The table with another separator, header and decimal mark; counts stay whole."""
    lines = [sep.join([header, *IONS])]
    for t, row in zip(TIME, COUNTS, strict=True):
        lines.append(sep.join([f"{t:.1f}".replace(".", mark), *(f"{c:.0f}" for c in row)]))
    return "\n".join(lines) + "\n"


@pytest.mark.parametrize("sep", [",", ";", "\t"])
@pytest.mark.parametrize("header", ["time / s", "Time (s)", "Sputter Time [s]", "# Time (sec)"])
@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "latin-1"])
def test_a_table_is_read_in_every_dialect(saved, sep, header, encoding):
    same(saved(rewritten(sep, header), "\r\n", encoding), IONS, TIME, COUNTS)


@pytest.mark.parametrize("sep", [";", "\t"])
def test_a_german_spreadsheet_is_read(saved, sep):
    same(saved(rewritten(sep, "Zeit / s", ",")), IONS, TIME, COUNTS)


@pytest.mark.parametrize(
    ("header", "unit"),
    [("time / min", 60), ("Time (h)", 3600), ("Depth (nm)", 1e-9), ("depth / µm", 1e-6),
     ("depth [A]", 1e-10)],
)  # fmt: skip
def test_an_axis_has_its_unit(saved, header, unit):
    recording = saved(rewritten(",", header))
    np.testing.assert_allclose(recording.time["Li+"], TIME * unit)
    assert recording.axis == ("depth" if unit < 1 else "time")


def test_rates_in_a_table_have_no_counting_time(saved):
    text = PLAIN.replace("Li+,", "Li+ / counts/s,").replace("B+,", "B+ [cps],")
    text = text.replace("K+, ^41K+", "K+ (c/s), ^41K+ / counts")
    recording = saved(text.replace("total", "total / cts/s"))
    assert recording.unit == "counts/s"
    assert np.isnan(recording.exposure["K+"])
    with pytest.raises(SimsError, match="in counts/s"):
        recording.counts("^41K+")


@pytest.mark.parametrize("unit", ["atoms/cm3", "at%", "cm-3", "a.u.", "ppm", "at/cm^3"])
def test_a_concentration_is_refused_with_the_reason(saved, unit):
    recording = saved(PLAIN.replace("Li+", f"Li+ ({unit})"))
    with pytest.raises(SimsError, match=r"expected counts, not .* whose errors nobody can know"):
        recording.counts("Li+")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (surfacelab(["total", "Li+"], TIME, COUNTS[:, :2]).replace("\t2000\t", "\t2.012\t"), 8),
        (plain_csv(["Li+", "B+"], TIME, COUNTS[:, :2]).replace(", 2000", ", 2.012"), 7),
        ("time / s;Li+\n0;12,415\n2;12,530\n4;11,001\n", 2),
        ("time / s;Li+\n0;12.415\n2;12.530\n4;11.001\n", 2),
    ],
)
def test_a_number_that_may_be_a_thousand_times_as_large_is_refused(saved, text, line):
    with pytest.raises(SimsError, match=rf"line {line}: expected a number of one meaning"):
        saved(text).counts("total" if "total" in text else "Li+")


def test_corrected_counts_of_three_decimals_are_no_thousands(saved):
    """SurfaceLab writes six digits: 281.612 counts stand beside 39.0117."""
    counts = [[281.612, 39.0117], [300.125, 40.5]] * 3
    recording = saved(surfacelab(["Li+", "K+"], TIME, counts, quantity="Intensity"))
    np.testing.assert_array_equal(recording.counts("Li+"), [281.612, 300.125] * 3)


def test_a_workbook_is_read(tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="an extra: cait-helpers[excel]")
    book = openpyxl.Workbook()
    book.active.append(["Time (s)", *IONS])
    for t, row in zip(TIME, COUNTS, strict=True):
        book.active.append([float(t), *map(int, row)])
    book.create_sheet("empty")
    book.save(tmp_path / "profile.xlsx")
    same(read_sims(tmp_path / "profile.xlsx"), IONS, TIME, COUNTS)
    book["empty"].append(["notes"])
    book.save(tmp_path / "two.xlsx")
    with pytest.raises(SimsError, match="one sheet with data, found Sheet, empty"):
        read_sims(tmp_path / "two.xlsx")


@pytest.mark.parametrize("data", [b"PK\x03\x04 broken", b"\x00\x01\x02\x00\x00", b"\xff\xfe\x00"])
def test_what_is_no_text_is_refused(saved, data):
    with pytest.raises(SimsError, match=r"cannot be read|binary data|openpyxl"):
        saved(data)


def test_what_is_no_file_is_refused_at_once(tmp_path):
    """To open a pipe would wait for its other end."""
    os.mkfifo(tmp_path / "pipe")
    for name, found in (("pipe", "a device"), (".", "a folder"), ("none", "nothing")):
        with pytest.raises(SimsError, match=f"expected a file, found {found}"):
            read_sims(tmp_path / name)
    (tmp_path / "large").write_bytes(b"1" * (2**25 + 1))
    with pytest.raises(SimsError, match="more than 32 MB"):
        read_sims(tmp_path / "large")


def test_a_source_holds_the_bytes_that_were_read(tmp_path):
    path = tmp_path / "a"
    path.write_text("abc")
    source = read_source(path)
    path.write_text("other")
    assert source.data == b"abc"
    assert source.sha256.startswith("ba7816bf")


def test_an_unknown_layout_says_what_was_seen(saved):
    with pytest.raises(SimsError, match=r"found utf-8-sig text that begins with 'PHI XPS' \| '1 2"):
        saved("PHI XPS\n1 2 3\n")
    with pytest.raises(SimsError, match=r"line 1: expected the unit of the axis, .* found 'Time'"):
        saved("Time;Li+\n0;1\n")


@pytest.mark.parametrize("digits", [2, 3])
@pytest.mark.parametrize("spaces", [False, True])
def test_exponents_and_headers_of_other_instrument_computers_are_read(saved, digits, spaces):
    """Exponents of three digits; ``Time [s]``; rates in ``c/s``."""
    text = MAGNETIC.replace("I[cnt/s]", "I[c/s]")
    if digits == 3:
        text = re.sub(r"E([+-])(\d\d)\b", r"E\g<1>0\2", text)
    if spaces:
        text = text.replace("[", " [")
    same(saved(text), IONS, TIME, COUNTS, rtol=1e-9)


def test_the_beam_current_of_a_cameca_export_is_no_channel(saved):
    """It is sampled longer than the species: their lines end in blanks."""
    lines = MAGNETIC.split("\n")
    lines[7] += "Ipr;;;"
    lines[8] = lines[8].rstrip(";") + ";Time[s];Depth[nm];I[A]"
    for k in range(6):
        lines[9 + k] += f";{2 * k:.5E};;1.0E-7"
    lines.insert(15, ";" * 15 + "1.2E+01;;1.0E-7")
    recording = saved("\n".join(lines))
    same(recording, IONS, TIME, COUNTS, rtol=1e-9)
    assert recording.notes == ("Ipr, a current, is no channel",)


def test_species_that_end_earlier_keep_what_was_counted(saved):
    lines = MAGNETIC.split("\n")
    for k in (13, 14):
        lines[k] = ";".join(lines[k].split(";")[:3]) + ";" * 12
    recording = saved("\n".join(lines))
    assert [recording.counts(ion).size for ion in IONS] == [6, 4, 4, 4, 4]
    lines[13] = MAGNETIC.split("\n")[13]  # but nothing is missing in between
    lines[12] = ";".join(lines[12].split(";")[:3])
    with pytest.raises(SimsError, match="line 13: expected a sputter time, not a blank"):
        saved("\n".join(lines)).counts("Li+")


def test_the_exported_depth_of_a_cameca_file_is_kept(saved):
    text = re.sub(r"(\d\.\d{5}E[+]0\d);;", r"\1;\1;", MAGNETIC)
    np.testing.assert_allclose(saved(text).depth["total"], TIME * 1e-9)
    rows = text.replace("Time[s];", "")
    rows = re.sub(r"\d\.\d{5}E[+]0\d;(?=\d\.\d{5}E)", "", rows).replace("Li+;;;", "Li+;;")
    for ion in IONS:
        rows = rows.replace(f"{ion};;;", f"{ion};;")
    recording = saved(rows)
    assert recording.axis == "depth"
    np.testing.assert_allclose(recording.time["total"], TIME * 1e-9)


def test_a_faraday_cup_is_told_from_a_counter(saved):
    detector = saved(MAGNETIC.replace(";EM ", ";FC2", 1)).detector
    assert detector == dict.fromkeys(IONS, "counter") | {"total": "faraday"}


def test_several_profiles_in_one_file_are_refused_by_name(saved):
    second = MAGNETIC.replace("glass.dp", "other.dp")
    line = len(MAGNETIC.splitlines()) + 9  # where the second begins
    several = rf"line {line}: expected one profile in a file, found several: glass\.dp, other"
    with pytest.raises(SimsError, match=several):
        saved(MAGNETIC + second)


def test_label_checks_are_linear_in_the_columns(saved):
    """Twenty thousand channels of one name; by pairs this would take minutes."""
    labels = "\t".join(["K+"] * 20000)
    zeros = "\t".join(["1"] * 20000)
    recording = saved(f"time / s\t{labels}\n0\t{zeros}\n1\t{zeros}\n")
    assert len(recording.channels) == 20000


# --- recorded currents ----------------------------------------------------------------------


@pytest.fixture
def recorded(tmp_path):
    def read(text, encoding="utf-8"):
        (tmp_path / "current.csv").write_bytes(text.encode(encoding))
        return read_current(tmp_path / "current.csv")

    return read


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "line 1: expected an export, found an empty file"),
        ("t, I\n0, 1\n1, 1\n", "line 1: expected the unit of the axis"),
        ("Q / C, U / V\n0, 1\n", "line 1: expected 'time / s, current / A'"),
        ("time / s, current / A, i / A\n0, 1, 1\n1, 1, 1\n", "line 1: expected one 'time / s'"),
        ("time / s, current / A\n0, 1\n", "line 2: expected at least two lines"),
        ("time / s, current / A\n0, 1\n2 1\n", "line 3: expected 2 columns"),
        ("time / s, current / A\n0, 1\n2, 1, 3\n", "line 3: expected 2 columns"),
        ("time / s, current / A\n0, 1\n2, x\n", "line 3: expected a number"),
        ("time / s, current / A\n0, 1\n2, nan\n", "line 3: expected a number"),
        ("time / s, current / A\n0, 1\n2, \n", "line 3: expected a current, found a blank"),
        ("time / s, current / A\n0, 1\n2, 1\n2, 1\n", "line 4: expected a time after 2 s"),
        ("time / s, current / A\n0, 1\n2, 1e400\n", "line 3: expected a number below 1e308"),
    ],
)
def test_a_damaged_current_is_refused_with_its_line(recorded, text, expected):
    with pytest.raises(SimsError, match=rf"current\.csv, {expected}"):
        recorded(text)


@pytest.mark.parametrize(
    ("header", "unit"), [("time / s, current / A", 1), ("# Time (s), I (nA)", 1e-9),
                         ("t [s], Current [pA]", 1e-12)],
)  # fmt: skip
def test_a_current_has_its_unit(recorded, header, unit):
    found = recorded(f"# meter 7\n{header}\n0, 2.5\n3, 1\n")
    np.testing.assert_array_equal(found.time, [0, 3])
    np.testing.assert_allclose(found.current, np.array([2.5, 1]) * unit)
    assert not found.notes


def test_a_german_current_in_hours_is_read(recorded):
    found = recorded("Zeit / h;Strom / nA\n0,0;3,1\n0,5;3\n", "utf-16")
    np.testing.assert_array_equal(found.time, [0, 1800])
    np.testing.assert_allclose(found.current, [3.1e-9, 3e-9])


def test_a_clock_that_started_before_is_shifted_and_said(recorded):
    found = recorded("time / s, current / A\n0.013, 3\n817.563, 2\n")
    np.testing.assert_allclose(found.time, [0, 817.55])
    assert found.notes == ("the recorded current starts at 0.013 s: its clock is shifted to zero",)


# --- any file -------------------------------------------------------------------------------

tables = (
    st.integers(2, 5)
    .flatmap(
        lambda ions: st.lists(
            st.lists(st.integers(0, 10**6), min_size=ions, max_size=ions), min_size=2, max_size=12
        )
    )
    .map(lambda rows: np.array(rows, dtype=float))
    .filter(lambda table: table[-1].any())  # an empty last scan is no cycle
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
        return
    assert len(recording.channels) >= 3
    assert {recording.time[ion].size for ion in recording.channels} == {6}
    for ion in IONS:
        try:
            assert recording.counts(ion).size == 6
        except SimsError as error:
            assert str(path) in str(error)


def test_damaged_files_are_read_or_refused_in_words():
    """The study of `benchmarks/mutations.py`, in small: all layouts, currents and case files."""
    study = runpy.run_path(str(ROOT / "benchmarks" / "mutations.py"))
    found = study["main"](600, seed=3)
    assert found["read"] + found["refused"] == 600
    assert found["read"] > 60
