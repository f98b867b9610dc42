"""A case file is read completely, or refused with the key that is wrong."""

import re

import numpy as np
import pytest

from cait_helpers.cases import CaseError, element, read_case
from cait_helpers.npp import Charge, CurrentDensity, Duration, Voltage
from cait_helpers.resolution import Resolution
from cait_helpers.tables import SimsError

CASE = """
title = "K+ on Li3B7O12"
profile = "k.csv"
current = "current.csv"
[ions]
native = "Li+"
foreign = "^41K+"
matrix = "B+"
[glass]
thickness = 0.5e-3
ion_density = 1.38e28
permittivity = 8.0
temperature = 323.15
area = 2e-5
conductivity = 1e-7
[run]
voltage = 20
charge = 100.0
[sims]
crater_depth = 80e-9
resolution = 2e-9
background = 1.5
transient = 3e-9
pulses = 1e6
"""
CYCLES = 80


def profile_text():
    """80 cycles of 2 s, 1 nm each: native ions behind 33 nm, foreign ones before."""
    lines = ["time / s, Li+, B+, ^41K+"]
    rng = np.random.default_rng(5)
    share = 1 / (1 + np.exp(-(np.arange(CYCLES) + 0.5 - 45.2) / 2))
    for i, y in enumerate(share):
        li, b, k = rng.poisson([2e4 * y, 3e4, 8e3 * (1 - y)])
        lines.append(f"{2 * i}, {li}, {b}, {k}")
    return "\n".join(lines) + "\n"


@pytest.fixture
def write(tmp_path):
    """Write a case with its data files, after replacements in the case file."""

    def write(*changes, current="time / s, current / A\n0, 1e-8\n1e5, 1e-8\n3e5, 1e-8\n"):
        text = CASE
        for old, new in changes:
            text, found = re.subn(old, new, text)
            assert found, f"{old} is not in the case file"
        (tmp_path / "k.csv").write_text(profile_text())
        (tmp_path / "current.csv").write_text(current)
        path = tmp_path / "case.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


CHARGE = ("charge = .*", "charge = 150.0")  # what the recorded current says


def test_a_case_holds_what_its_file_says(write):
    case = read_case(write(CHARGE))
    assert case.title == "K+ on Li3B7O12"
    assert (case.native, case.foreign, case.matrix) == ("Li+", "^41K+", "B+")
    assert case.glass.thickness == 0.5e-3
    assert case.glass.temperature == 323.15
    assert (case.area, case.conductivity) == (2e-5, 1e-7)
    assert isinstance(case.drive, Voltage)
    assert case.drive.value == 20.0
    assert case.until == Charge(150.0)
    assert (case.crater_depth, case.transient) == (80e-9, 3e-9)
    assert case.resolution == Resolution(2e-9)
    assert (case.background, case.pulses) == (1.5, 1e6)


def test_optional_keys_may_be_left_out(write):
    case = read_case(
        write(
            ("current = .*", ""),
            ("conductivity = .*", ""),
            ("resolution = (.*\n)*", ""),
        )
    )
    assert case.conductivity is case.resolution is case.background is case.pulses is None
    assert case.transient is case.record is case.sputter_time is None
    assert case.leave_out == ()
    with pytest.raises(CaseError, match="current is not given"):
        case.current()


def test_the_recorded_current_replaces_what_the_run_does_not_state(write):
    """10 nA through 0.2 cm2 for 3e5 s are 150 C/m^2."""
    case = read_case(write(("voltage = .*", ""), ("charge = .*", "")))
    time, density = case.current()
    np.testing.assert_array_equal(time, [0, 1e5, 3e5])
    np.testing.assert_allclose(density, 5e-4)
    assert isinstance(case.drive, CurrentDensity)
    np.testing.assert_array_equal(case.drive.value, density)
    assert case.charge == pytest.approx(150.0, rel=1e-12)
    assert case.until == Charge(case.charge)


def test_a_shorter_run_has_the_charge_up_to_its_end(write):
    case = read_case(write(("charge = .*", "duration = 2e5")))
    assert case.until == Duration(2e5)
    assert case.charge == pytest.approx(100.0, rel=1e-12)


def test_charge_of_a_constant_current_is_known_and_of_a_voltage_is_not(write):
    changes = ("current = .*", ""), ("charge = .*", "duration = 1e5")
    assert read_case(write(*changes)).charge is None
    case = read_case(write(*changes, ("voltage = .*", "current_density = 1e-3")))
    assert case.charge == pytest.approx(100.0, rel=1e-12)


def test_resolution_and_background_may_be_tables(write):
    case = read_case(
        write(
            CHARGE,
            ("resolution = .*", "resolution = {sigma = 1e-9, decay_up = 5e-10, decay_down = 2e-9}"),
            ("background = .*", 'background = {"Li+" = 1.0, "^41K+" = 0.5}'),
        )
    )
    assert case.resolution == Resolution(1e-9, 5e-10, 2e-9)
    assert case.background == {"Li+": 1.0, "^41K+": 0.5}


def test_a_case_leads_to_its_profile(write):
    """45.2 nm replaced by 100 C/m^2: the charge balance closes, all checks pass."""
    none = ("pulses = .*", 'dead_time = "none"')
    case = read_case(write(("background = .*", ""), none, ("current = .*", "")))
    profile = case.profile()
    assert profile.ok, profile.report()
    assert profile.used.sum() == CYCLES - 4  # two widths of the resolution, not 3 nm
    assert "charge balance" in [check.name for check in profile.checks]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("title = .*", "", "missing key title"),
        ("title = .*", "title = 3", "title = 3; allowed is a text"),
        ("matrix = .*", "", r"missing key ions\.matrix"),
        ("matrix = .*", 'matrix = "Li+"', "ions = .*three different channels"),
        ("area = .*", "aera = 2e-5", r"unknown key glass\.aera; allowed are .*area"),
        (r"\[sims\]", "[sims]\nraster = 1", r"unknown key sims\.raster"),
        (r"\[ions\]", "colour = 1\n[ions]", "unknown key colour; .* title, .*, ions, glass"),
        (r"\[ions\]", "[colours]\nred = 1\n[ions]", "unknown key colours"),
        (r"(?s)\[ions\].*?\[glass\]", "[glass]", r"missing key ions\.native"),
        ("temperature = .*", "temperature = 2000", r"temperature = 2000 K is outside .* K$"),
        ("background = .*", 'background = {"Li+" = "x"}', r"sims\.background\.Li\+ = 'x'"),
        ("resolution = .*", "resolution = '2e-9'", r"sims\.resolution\.sigma = '2e-9'"),
        (
            r"(?s)title.*",
            'title = "K"\nprofile = ""\nions = 1\nglass = 1\nrun = 1\nsims = 1',
            "ions = 1",
        ),
        ("area = .*", 'area = "2e-5"', r"glass\.area = '2e-5'; allowed is a number in .*m\^2"),
        ("area = .*", "area = true", r"glass\.area = True"),
        ("area = .*", "area = nan", r"glass\.area = nan"),
        ("area = .*", "area = 0.2", r"glass\.area = 0\.2 m\^2 is outside"),
        ("thickness = .*", "thickness = 0.5", r"glass\.thickness = 0\.5 m is outside"),
        ("temperature = .*", "temperature = 50", r"glass\.temperature = 50 K.*Celsius.*323\.15 K"),
        ("conductivity = .*", "conductivity = -1", r"glass\.conductivity = -1 S/m"),
        ("voltage = .*", "voltage = -20", r"run\.voltage = -20 V is outside"),
        ("voltage = .*", "voltage = 20\ncurrent_density = 1", "one of voltage and current"),
        ("charge = .*", "charge = 150\nduration = 1", "one of duration and charge"),
        ("charge = .*", "duration = 4e5", r"run\.duration = 400000 s.* recorded to 300000 s"),
        ("charge = .*", "charge = 100", r"run\.charge = 100 .* sums up to 150 C/m\^2"),
        ("crater_depth = .*", "crater_depth = 80", r"sims\.crater_depth = 80 m is outside"),
        ("resolution = .*", "resolution = 2", r"sims\.resolution\.sigma = 2 m is outside"),
        ("resolution = .*", "resolution = {width = 1}", r"sims\.resolution = .*sigma"),
        ("background = .*", 'background = {"Rb+" = 1}', r"sims\.background = .*by Li\+"),
        ("transient = .*", "transient = 50e-9", r"sims\.transient = 5e-08 m is outside"),
        ("pulses = .*", "pulses = 0", r"sims\.pulses = 0 is outside"),
        ("profile = .*", f'profile = "{"k" * 999}"', "profile = 'k+'; allowed is a file in"),
        ("profile = .*", 'profile = "rb.csv"', "profile = 'rb.csv'; allowed is a file in"),
        ("current = .*", 'current = "none.csv"', r"current = 'none\.csv'"),
        ("pulses = .*", "dead_time = 1", r"sims\.dead_time = 1; allowed is 'none'"),
        ("pulses = .*", "leave_out = 3", r"sims\.leave_out = 3; allowed is a list of cycles"),
        ("pulses = .*", "leave_out = [0]", r"sims\.leave_out = \[0\]"),
        ("pulses = .*", 'detector = "cup"', r"sims\.detector = 'cup'; allowed is 'scatter'"),
        ("pulses = .*", 'detector = {"Rb+" = "scatter"}', r"sims\.detector = .*by Li\+"),
        ("pulses = .*", 'depth_axis = "export"', r"sims\.crater_depth and sims\.depth_axis excl"),
        ("crater_depth = .*", 'depth_axis = "x"', r"sims\.depth_axis = 'x'; allowed is 'export'"),
        ("pulses = .*", "sputter_time = -1", r"sims\.sputter_time = -1 s is outside"),
        ("area = .*", "area = " + "9" * 400, r"glass\.area = inf m\^2 is outside"),
        ("area = .*", "area = ", "not a TOML file: .*line 14"),
    ],
)
def test_a_wrong_case_is_refused_with_file_key_value_and_what_is_allowed(write, old, new, expected):
    changes = [(old, new)] if "charge" in old else [CHARGE, (old, new)]
    with pytest.raises(CaseError, match=rf"case\.toml: .*{expected}"):
        read_case(write(*changes))


def test_a_run_without_drive_or_end_is_refused(write):
    for gone, wanted in (("voltage", "voltage or current_density"), ("charge", "duration or")):
        with pytest.raises(CaseError, match=rf"run = .*{wanted}"):
            read_case(write(("current = .*", ""), (f"{gone} = .*", "")))


def test_a_damaged_current_is_refused_with_its_file_and_line(write):
    with pytest.raises(CaseError, match=r"current\.csv, line 3: expected a number, found 'x'"):
        read_case(write(CHARGE, current="time / s, current / A\n0, 1\n2, x\n"))


def test_a_current_of_the_wrong_sign_is_refused(write):
    current = "time / s, current / A\n0, -1e-8\n3e5, -1e-8\n"
    with pytest.raises(CaseError, match=r"case\.toml: .*-1e-08 A at 0 s: give it positive"):
        read_case(write(CHARGE, current=current))


@pytest.mark.parametrize(
    ("channel", "name"),
    [
        ("K+", "K"),
        ("^41K+", "K"),
        ("133Cs", "Cs"),
        ("Li", "Li"),
        ("CsLi+", "Li"),
        ("133Cs 85Rb", "Rb"),
        ("Cs_2K+", "K"),
        ("133Cs2", "Cs"),
        ("Li_2O+", "Li"),
        ("K+ + ^41K+", "K"),
        ("Sr++", "Sr"),
        ("LiB+", "LiB+"),
        ("total", "total"),
        ("K+ (m/z 38.96)", "K"),
        ("", ""),
    ],
)
def test_a_channel_names_its_element(channel, name):
    assert element(channel) == name


def test_two_isotopes_of_one_element_are_no_pair_of_ions(write):
    """The model names ions by their element."""
    with pytest.raises(CaseError, match="another element"):
        read_case(write(('foreign = ".*"', 'foreign = "^6Li+"')))


# --- what a case can state about its profile ------------------------------------------------

NONE = ("pulses = .*", 'dead_time = "none"')


def stated(write, *lines, **files):
    """A case without dead time, with more lines under [sims]."""
    more = "\n".join(lines)
    return read_case(write(CHARGE, NONE, ("transient = .*", f"transient = 4e-9\n{more}"), **files))


def test_no_dead_time_is_a_statement(write):
    case = stated(write)
    assert case.pulses == np.inf
    assert {check.name: check.passed for check in case.profile().checks}["dead time corrected"]
    with pytest.raises(CaseError, match=r"sims\.dead_time and sims\.pulses exclude each other"):
        read_case(write(CHARGE, ("pulses = .*", 'pulses = 1e6\ndead_time = "none"')))


def test_the_sputter_time_of_the_crater_moves_all_depths(write):
    """Eighty cycles of 2 s; the crater was measured after 200 s."""
    profile = stated(write, "sputter_time = 200.0").profile()
    assert profile.edges[-1] == pytest.approx(80e-9 * 160 / 200, rel=1e-12)
    assert not any("(assumed)" in line for line in profile.assumptions if "crater" in line)
    said = stated(write).profile().assumptions
    assert "crater reached at 160 s, the end of the export (assumed)" in said
    with pytest.raises(SimsError, match=r"k\.csv: sims\.sputter_time = 100 s; the times .* 158 s"):
        stated(write, "sputter_time = 100.0").profile()


def test_an_export_that_was_cut_has_the_profile_of_the_whole_if_its_crater_is_stated(write):
    """The first 60 of 80 cycles: the same depths and fractions; without the key a third deeper."""
    whole = stated(write).profile()
    case = stated(write, "sputter_time = 160.0")
    text = "\n".join(profile_text().split("\n")[:61]) + "\n"
    case.profile_path.write_text(text)
    cut = case.profile()
    np.testing.assert_allclose(cut.edges, whole.edges[:61], rtol=1e-12)
    np.testing.assert_allclose(cut.fraction["Li+"], whole.fraction["Li+"][:60], atol=0.02)
    case = stated(write)
    case.profile_path.write_text(text)
    wrong = case.profile()
    assert wrong.edges[-1] == pytest.approx(80e-9, rel=1e-12)
    assert "crater reached at 120 s, the end of the export (assumed)" in wrong.assumptions


def test_cycles_are_left_out(write):
    case = stated(write, "leave_out = [70, 71]")
    assert case.leave_out == (70, 71)
    assert np.flatnonzero(~case.profile().used[10:]).tolist() == [59, 60]
    with pytest.raises(CaseError, match=r"case\.toml: leave_out = 81 is outside \[1, 80\]"):
        stated(write, "leave_out = [81]").profile()


def test_errors_from_the_scatter_are_a_statement(write):
    assert stated(write, 'detector = "scatter"').detector == dict.fromkeys(
        ("Li+", "^41K+", "B+"), "scatter"
    )
    case = stated(write, 'detector = {"Li+" = "scatter"}')
    assert case.recording().detector == {"Li+": "scatter", "B+": "counter", "^41K+": "counter"}
    assert "errors of Li+ from its scatter, not from counting" in case.profile().assumptions


def test_rates_become_counts_by_the_counting_time(write):
    case = stated(write, "counting_time = 2.0")
    with pytest.raises(SimsError, match=r"sims\.counting_time: the export tells its own"):
        case.profile()
    lines = profile_text().split("\n")
    rates = [lines[0].replace(", ", " / cps, ").replace("time / s / cps", "time / s") + " / cps"]
    for line in lines[1:-1]:
        time, *counts = line.split(", ")
        rates.append(", ".join([time, *(f"{int(c) / 2:g}" for c in counts)]))
    case.profile_path.write_text("\n".join(rates) + "\n")
    np.testing.assert_allclose(case.profile().counts["Li+"][5:], stated_counts(write)[5:])
    case = stated(write)
    case.profile_path.write_text("\n".join(rates) + "\n")
    with pytest.raises(SimsError, match="no counting time for Li"):
        case.profile()


def stated_counts(write):
    """Counts of lithium in the export as it is; the file is written anew."""
    return stated(write).profile().counts["Li+"]


def test_the_depths_of_an_export_are_taken_if_that_is_stated(write):
    """A depth axis in nm: as it is, or stretched to the depth of the crater."""
    changes = CHARGE, NONE, ("crater_depth = .*", 'depth_axis = "export"')
    case = read_case(write(*changes))
    with pytest.raises(SimsError, match=r"sims\.depth_axis: the export states no depths"):
        case.profile()
    text = profile_text().replace("time / s", "depth / nm")
    case.profile_path.write_text(text)
    np.testing.assert_allclose(case.profile().edges, np.arange(0, 161, 2) * 1e-9, atol=1e-20)
    both = ["time / s, depth / nm, " + text.split("\n")[0].split(", ", 1)[1]]
    for line in text.split("\n")[1:-1]:
        time, rest = line.split(", ", 1)
        both.append(f"{time}, {float(time) / 4}, {rest}")
    case.profile_path.write_text("\n".join(both) + "\n")
    np.testing.assert_allclose(case.profile().edges, np.arange(81) / 2 * 1e-9, atol=1e-20)
    case = stated(write)
    case.profile_path.write_text(text)
    np.testing.assert_allclose(case.profile().edges, np.arange(81) * 1e-9, atol=1e-20)
    case = stated(write, "sputter_time = 200.0")
    case.profile_path.write_text(text)
    with pytest.raises(SimsError, match=r"sputter_time = 200 s; the depths of the export end"):
        case.profile()


def test_an_ion_that_its_channel_does_not_tell_is_stated(write):
    """A cluster, or any text that an instrument writes: the fit knows the element."""
    label = "m85 sum_1 (a+b) x*y"
    header = profile_text().replace("^41K+", label)
    text = ('foreign = ".*"', f'foreign = "{label}"')
    with pytest.raises(CaseError, match=r"ions\.foreign = .*state it as ions\.foreign_element"):
        read_case(write(CHARGE, text))
    case = read_case(write(CHARGE, NONE, (text[0], text[1] + '\nforeign_element = "Rb"')))
    assert case.elements == {"Li+": "Li", label: "Rb"}
    case.profile_path.write_text(header)
    assert case.profile().foreign == label
    with pytest.raises(CaseError, match=r"ions\.foreign_element = 'Xx'; .* symbol of an element"):
        read_case(write(CHARGE, (text[0], 'foreign = "K+"\nforeign_element = "Xx"')))


def test_a_clock_that_is_shifted_is_said_and_the_stated_duration_holds(write):
    current = "time / s, current / A\n0.013, 1e-8\n1e5, 1e-8\n3e5, 1e-8\n"
    case = read_case(write(("charge = .*", "duration = 3e5"), NONE, current=current))
    assert case.record.time[0] == 0
    assert any("its clock is shifted" in line for line in case.profile().assumptions)


def test_the_first_current_belongs_to_the_conductivity(write):
    """1e-7 S/m, 20 V over 0.5 mm and 0.2 cm2 are 8e-8 A; a wrong entry fails by that name."""
    current = "time / s, current / A\n" + "".join(
        f"{t}, {8e-8 / np.sqrt(1 + t / 1e4):.6e}\n" for t in range(0, 60000, 3000)
    )
    found = {}
    for change in ("voltage = 20", "voltage = 25", "thickness = 0.4e-3", "area = 1.5e-5",
                   "conductivity = 7e-8"):  # fmt: skip
        key = change.split(" ")[0]
        case = read_case(write((f"{key} = .*", change), ("charge = .*", ""), NONE, current=current))
        check = case.profile().checks[-1]
        assert check.name == "first current"
        found[change] = check.value
        assert check.passed == (change == "voltage = 20")
    assert found["voltage = 20"] == pytest.approx(1, abs=0.01)
    assert found["voltage = 25"] == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("seed", range(10))
def test_a_current_that_falls_tenfold_at_once_still_tells_the_conductivity(write, seed):
    """Readings good to 1 %: the first of them knows best, and no sound case is refused."""
    rng = np.random.default_rng(seed)
    current = "time / s, current / A\n" + "".join(
        f"{t}, {8e-8 / np.sqrt(1 + t / 120) * (1 + 0.01 * rng.standard_normal()):.6e}\n"
        for t in range(0, 60000, 3000)
    )
    case = read_case(write(("charge = .*", ""), NONE, current=current))
    assert case.first_conductivity() == pytest.approx(case.conductivity, rel=0.04)


def test_a_case_keeps_the_bytes_that_were_read(write):
    path = write(CHARGE)
    case = read_case(path)
    before = path.read_bytes()
    path.write_text("edited")
    assert case.source.data == before
    assert case.record.source.data.startswith(b"time / s")


def test_a_case_file_that_is_none_is_refused(tmp_path):
    with pytest.raises(CaseError, match="expected a file, found a folder"):
        read_case(tmp_path)
    (tmp_path / "a.toml").write_text("a = " + "[" * 5000)
    with pytest.raises(CaseError, match="not a TOML file"):
        read_case(tmp_path / "a.toml")
