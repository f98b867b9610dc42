"""The form for own files, without a browser: entries, words, runs, fit and report."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import threading
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import cait_helpers as cait
from cait_helpers.advice import evaluate, front_slope, guess_channels
from cait_helpers.cases import KEYS
from cait_helpers.entries import (
    NO_DEAD_TIME,
    QUANTITIES,
    case_text,
    entries_of,
    from_si,
    in_unit,
    parse,
    read_entries,
    to_si,
)
from cait_helpers.form import RunForm

DATA = Path(__file__).parents[1] / "data"
RUBIDIUM = ("rb_on_lbo.txt", "rb_on_lbo_current.csv")
TYPED = {  # what a person types for the shipped rubidium run, in the units of the form
    "glass.thickness": "0.5",
    "glass.area": "20",
    "glass.temperature": "50",
    "run.voltage": "10",
    "sims.crater_depth": "220",
    "sims.pulses": "65536",
}
CHOSEN = {  # what the form guesses from the files, or offers in a menu
    "profile": RUBIDIUM[0],
    "current": RUBIDIUM[1],
    "ions.native": "Li+",
    "ions.foreign": "Rb+",
    "ions.matrix": "B+",
    "glass.ion_density": "1.38e28",
    "glass.permittivity": "8",
}


# --- texts and units ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("0.5", "mm", 0.5e-3),
        ("0,5", "mm", 0.5e-3),
        ("0.5 mm", "m", 0.5e-3),
        ("500 um", "mm", 0.5e-3),
        ("500µm", "mm", 0.5e-3),
        ("5e-4", "m", 0.5e-3),
        ("5 x 10^-4", "m", 0.5e-3),
        ("5·10⁻⁴ m", "nm", 0.5e-3),
        (" 500 000 ", "nm", 0.5e-3),
        (".5", "mm", 0.5e-3),
    ],
)
def test_a_length_is_read_as_people_write_it(text, unit, value):
    units = QUANTITIES["glass.thickness"].units
    number, name = parse(text, units, unit)
    assert to_si(number, units[name]) == value


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("50", "°C", 323.15),
        ("50 °C", "K", 323.15),
        ("50 C", "K", 323.15),
        ("323.15 K", "°C", 323.15),
    ],
)
def test_a_temperature_has_an_offset(text, unit, value):
    units = QUANTITIES["glass.temperature"].units
    number, name = parse(text, units, unit)
    assert to_si(number, units[name]) == value


@pytest.mark.parametrize(
    "text", ["1,234", "12,345,678", "abc", "0.5 inch", "1.2.3", "--1", "", "1_0"]
)
def test_a_text_that_is_no_number_or_could_be_two_is_refused_in_words(text):
    with pytest.raises(ValueError, match=r"not a number|could be|none of the units"):
        parse(text, QUANTITIES["glass.thickness"].units, "mm")


@given(st.sampled_from(sorted(QUANTITIES)), st.floats(0, 1))
def test_a_value_goes_to_the_form_and_back_unchanged(key, share):
    """A case file fills the form; what the form then writes is that case file."""
    quantity = QUANTITIES[key]
    low, high = quantity.usual
    value = float(f"{low + share * (high - low):.6g}")
    text, unit = from_si(value, quantity)
    number, name = parse(text, quantity.units, unit)
    assert to_si(number, quantity.units[name]) == value


def test_what_is_usual_is_allowed():
    for key, quantity in QUANTITIES.items():
        if isinstance(KEYS[key], tuple):
            low, high = KEYS[key][:2]
            assert low <= quantity.usual[0] < quantity.usual[1] <= high, key


@pytest.mark.parametrize("path", sorted(DATA.glob("*_lbo*.toml")), ids=lambda path: path.stem)
def test_a_case_file_survives_the_form(path, tmp_path):
    """Case file -> entries -> case file: the same case."""
    text, unit, kept = entries_of(path)
    table, notes = read_entries(text, unit)
    assert notes == [] == list(kept)
    for name in (text["profile"], text["current"]):
        (tmp_path / name).write_bytes((DATA / name).read_bytes())
    (tmp_path / "case.toml").write_text(case_text(table), encoding="utf-8")
    one, other = cait.read_case(path), cait.read_case(tmp_path / "case.toml")
    for name in ("title", "glass", "area", "charge", "conductivity", "crater_depth", "transient",
                 "resolution", "background", "pulses", "native", "foreign", "matrix"):  # fmt: skip
        assert getattr(one, name) == getattr(other, name), name


# --- guesses --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(DATA.glob("*_lbo*.toml")), ids=lambda path: path.stem)
def test_channels_are_guessed_from_the_shape_of_their_signals(path):
    case = cait.read_case(path)
    expected = {
        "ions.native": case.native,
        "ions.foreign": case.foreign,
        "ions.matrix": case.matrix,
    }
    assert guess_channels(case.recording()) == expected


def test_the_slope_of_a_sharp_front_is_the_resolution():
    """Rubidium's front is 0.1 nm thin, and the instrument has 2.5 nm."""
    case = cait.read_case(DATA / "rb_on_lbo.toml")
    assert front_slope(case.profile()) == pytest.approx(2.5e-9, rel=0.05)


# --- words ----------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path):
    for name in RUBIDIUM:
        (tmp_path / name).write_bytes((DATA / name).read_bytes())
    return tmp_path


def words(folder, unit=(), **changed) -> dict[str, list[str]]:
    """What is said beside each entry after ``changed``, without what was assumed."""
    text = CHOSEN | TYPED | {key.replace("__", "."): value for key, value in changed.items()}
    result = evaluate(folder / "case.toml", text, dict(unit))
    said: dict[str, list[str]] = {}
    for note in result.notes:
        if note.kind != "assumed":
            said.setdefault(note.key, []).append(note.words)
    assert result.ready == all(note.kind not in ("wrong", "missing") for note in result.notes)
    return said


def test_nothing_is_wrong_with_the_shipped_rubidium_run(folder):
    assert words(folder) == {}


@pytest.mark.parametrize(
    ("changed", "unit", "key", "said"),
    [
        ({"glass__temperature": "50"}, {"glass.temperature": "K"}, "glass.temperature", "50 °C"),
        ({"glass__temperature": "323.15"}, {}, "glass.temperature", "323.15 K"),
        ({"glass__thickness": "0.5"}, {"glass.thickness": "m"}, "glass.thickness", "0.5 mm"),
        ({"glass__thickness": "0.0005"}, {}, "glass.thickness", "0.0005 m"),
        ({"glass__area": "20 cm2"}, {}, "glass.area", "20 mm²"),
        ({"glass__area": "20 cm2"}, {}, "glass.area", "area in mm² entered as cm²"),
        ({"glass__area": "0.2"}, {}, "glass.area", "area in cm² entered as mm²"),
        ({"sims__crater_depth": "220 um"}, {}, "sims.crater_depth", "220 nm"),
        ({"sims__crater_depth": "150"}, {}, "sims.crater_depth", "crater of 221 nm"),
        ({"sims__pulses": ""}, {}, "sims.pulses", "Enter the primary pulses"),
        ({"sims__pulses": "6000"}, {}, "sims.pulses", "reach 16739"),
        ({"ions__native": "Rb+", "ions__foreign": "Li+"}, {}, "ions.native", "swapped"),
        ({"ions__native": "Rb+", "ions__foreign": "Li+"}, {}, "ions.foreign", "swapped"),
        ({"ions__matrix": "Li+"}, {}, "ions.matrix", "chosen twice"),
        ({"ions__matrix": ""}, {}, "ions.matrix", "One of the channels"),
        ({"run__current_density": "10"}, {}, "run.current_density", "not both"),
        ({"run__voltage": "", "current": ""}, {}, "run.voltage", "or a recorded current"),
        ({"glass__area": "1,234"}, {}, "glass.area", "could be 1.234 or 1234"),
        ({"profile": "gone.txt"}, {}, "profile", "gone.txt"),
    ],
    ids=lambda value: "" if isinstance(value, dict) else value,
)
def test_a_wrong_entry_is_answered_where_it_was_typed(folder, changed, unit, key, said):
    assert any(said in text for text in words(folder, unit, **changed)[key])


def test_a_duration_beyond_the_record_is_answered_at_the_duration(folder):
    text = words(folder, {"run.duration": "d"}, run__duration="120")["run.duration"][0]
    assert "recorded to 357264 s" in text
    assert "run.duration" not in text  # the words of the form, not those of the file


def test_an_export_that_was_cropped_is_answered(folder):
    """130 of 220 cycles: the crater of 220 nm was reached later than the file ends."""
    lines = (folder / RUBIDIUM[0]).read_text().splitlines(keepends=True)
    (folder / RUBIDIUM[0]).write_text("".join(lines[: 3 + 150]))
    assert "cropped" in words(folder)["sims.crater_depth"][0]


@pytest.mark.parametrize("key", ["sims.resolution", "sims.transient", "sims.background"])
def test_what_is_left_empty_is_proposed_and_said(folder, key):
    result = evaluate(folder / "case.toml", CHOSEN | TYPED, {})
    assert key in result.proposed
    assert {note.kind for note in result.notes if note.key == key} == {"assumed"}
    unit = next(iter(QUANTITIES[key].units))
    text = {key: in_unit(result.proposed[key], QUANTITIES[key], unit)}
    typed = evaluate(folder / "case.toml", CHOSEN | TYPED | text, {})
    assert key not in typed.proposed
    assert typed.profile.used.sum() == result.profile.used.sum()
    assert typed.case.resolution == result.case.resolution


def test_cycles_are_left_out_by_number(folder):
    text = CHOSEN | TYPED | {"sims.leave_out": "3, 218-220"}
    assert evaluate(folder / "case.toml", text, {}).case.leave_out == (3, 218, 219, 220)
    assert "number of a cycle" in words(folder, sims__leave_out="all")["sims.leave_out"][0]


def test_no_dead_time_is_a_statement_of_its_own(folder):
    """For counts of which the export does not say that they are corrected."""
    path = folder / RUBIDIUM[0]
    path.write_text(path.read_text().replace("Intensity (Raw)", "Intensity"))
    assert "no dead time" in words(folder, sims__pulses="")["sims.pulses"][0]
    assert words(folder, {"sims.pulses": NO_DEAD_TIME}, sims__pulses="") == {}


def test_a_sputter_time_of_the_crater_mends_a_cropped_export(folder):
    lines = (folder / RUBIDIUM[0]).read_text().splitlines(keepends=True)
    (folder / RUBIDIUM[0]).write_text("".join(lines[: 3 + 190]))
    assert words(folder, sims__sputter_time="440") == {}


# --- the form -------------------------------------------------------------------------------


def fill(run: RunForm, **more: str) -> None:
    for key, value in (TYPED | more).items():
        run.entry[key].value.value = value


def prepared(tmp_path):
    """The form with the shipped rubidium run in it: six entries typed, the rest chosen."""
    bench = cait.workbench(*(DATA / name for name in RUBIDIUM), report_folder=tmp_path)
    [run] = bench.runs
    run.preset.value = next(value for label, value in run.preset.options if "Li3B7O12" in label)
    fill(run)
    return bench


def test_every_entry_is_the_one_that_is_fitted(tmp_path):
    """Each quantity of the form is changed by a little, and the case has that value."""
    bench = prepared(tmp_path)
    [run] = bench.runs
    changes = {
        "glass.thickness": ("0.51", lambda case: case.glass.thickness, 0.51e-3),
        "glass.area": ("20.1", lambda case: case.area, 20.1e-6),
        "glass.temperature": ("51", lambda case: case.glass.temperature, 324.15),
        "glass.ion_density": ("1.39e28", lambda case: case.glass.ion_density, 1.39e28),
        "glass.permittivity": ("7", lambda case: case.glass.permittivity, 7.0),
        "glass.conductivity": ("7.9e-8", lambda case: case.conductivity, 7.9e-8),
        "run.voltage": ("9.9", lambda case: case.drive.value, 9.9),
        "run.duration": ("99", lambda case: case.until.value, 99 * 3600.0),
        "sims.crater_depth": ("221", lambda case: case.crater_depth, 221e-9),
        "sims.sputter_time": ("450", lambda case: case.sputter_time, 450.0),
        "sims.pulses": ("70000", lambda case: case.pulses, 70000.0),
        "sims.resolution": ("3", lambda case: case.resolution.sigma, 3e-9),
        "sims.transient": ("14", lambda case: case.transient, 14e-9),
        "sims.background": ("1", lambda case: case.background, 1.0),
    }
    for key, (text, read, value) in changes.items():
        run.entry[key].value.value = text
        assert read(run.result.case) == value, key
    for key, (_, read, value) in changes.items():  # and none has undone another
        assert read(run.result.case) == value, key


def test_the_band_of_the_transient_is_an_entry(tmp_path):
    bench = prepared(tmp_path)
    bench.transient.value = 17.5
    [run] = bench.runs
    assert run.text["sims.transient"] == "17.5"
    assert run.result.case.transient == 17.5e-9
    run.entry["sims.transient"].value.value = "12"
    assert bench.transient.value == 12


def test_six_typed_entries_fit_the_shipped_rubidium_run_and_save_its_report(tmp_path):
    bench = prepared(tmp_path)
    bench.start_fit()
    bench.join()
    assert bench.fit.fwhm == pytest.approx(0.250, abs=2e-3), bench.status.value
    bench.start_budget()
    bench.join()
    low, high = bench.budget.interval["fwhm"]
    assert low < 0.250 < high, bench.status.value
    assert bench.budget.sentence in bench.shares.value
    bench.save_report()
    [folder] = tmp_path.iterdir()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert f"{bench.fit.fwhm * 1e3:.1f} meV" in page
    assert not re.search(r"(src|href)=.?https?:", page)  # nothing is fetched
    assert "the end of the recorded current" in page  # what was assumed
    assert bench.budget.sentence in page
    packed = base64.b64decode(re.search(r"application/zip;base64,([^\"]+)", page)[1])
    inside = {}
    with zipfile.ZipFile(io.BytesIO(packed)) as pack:
        inside = {Path(name).name: pack.read(name) for name in pack.namelist()}
    for name in RUBIDIUM:
        data = (DATA / name).read_bytes()
        assert inside[name] == data
        assert hashlib.sha256(data).hexdigest() in page
    assert {"fit.json", "profile_0_Rb.csv", "case.toml"} <= inside.keys()

    bench.runs[0].entry["glass.temperature"].value.value = "51"
    assert bench.fit is None
    assert bench.save.disabled
    assert "fit again" in bench.status.value


def test_what_keeps_a_run_from_being_fitted_is_named_at_the_button(tmp_path):
    bench = prepared(tmp_path)
    assert bench.status.value == ""
    entry = bench.runs[0].entry
    entry["glass.area"].value.value = "20 cm2"
    assert bench.start.disabled
    assert "see above: Crater depth, Exposed area." in bench.status.value
    bench.another.click()
    assert "Exposed area of run 1" in bench.status.value
    assert "SIMS export of run 2" in bench.status.value
    bench.remove.click()
    entry["glass.area"].value.value = "20"
    assert bench.status.value == ""


def test_what_was_assumed_stands_in_the_report_once(tmp_path):
    """The words beneath the entries, and those of the profile, are the same."""
    bench = prepared(tmp_path)
    beneath = bench.runs[0].entry["sims.sputter_time"].words.value
    assert "Assumed: crater reached at 440 s, the end of the export.<" in beneath
    bench.start_fit()
    bench.join()
    bench.save_report()
    [folder] = tmp_path.iterdir()
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page.count("crater reached at 440 s") == 1
    assert page.count("the end of the recorded current") == 1


def test_a_fit_is_stopped_from_the_page(tmp_path):
    bench = prepared(tmp_path)
    bench.start_fit()
    bench.stop.click()
    bench.join()
    assert bench.fit is None
    assert "Stopped" in bench.status.value
    assert not bench.start.disabled
    assert bench.save.disabled


def test_an_entry_that_changes_during_a_fit_takes_the_fit_with_it(tmp_path, monkeypatch):
    """The numbers of the first temperature do not stand on the page beside the second."""
    bench, under_way, changed = prepared(tmp_path), threading.Event(), threading.Event()

    def slow(cases, **how):
        under_way.set()
        assert changed.wait(30)
        return object()

    monkeypatch.setattr("cait_helpers.form.fit_landscape", slow)
    bench.start_fit()
    assert under_way.wait(30)
    bench.runs[0].entry["glass.temperature"].value.value = "51"
    changed.set()
    bench.join()
    assert bench.fit is None
    assert "while the fit ran" in bench.status.value


def test_case_files_fill_the_form_for_several_runs():
    paths = [DATA / f"{ion}_on_lbo{end}" for ion in ("rb", "k", "cs")
             for end in (".toml", ".txt", "_current.csv")]  # fmt: skip
    bench = cait.workbench(*paths)
    assert [run.name for run in bench.runs] == ["Rb", "K", "Cs"]
    assert all(run.result.ready for run in bench.runs)
    for run, path in zip(bench.runs, paths[::3], strict=True):
        case = cait.read_case(path)
        assert run.result.case.glass == case.glass
        assert run.result.case.pulses == case.pulses
        assert run.result.case.title == case.title


def test_files_of_one_name_are_kept_apart():
    """Three folders, each with a profile.txt: what is dropped third is read third."""
    bench = cait.workbench()
    for ion in ("rb", "k", "cs"):
        bench.add(
            ("profile.txt", (DATA / f"{ion}_on_lbo.txt").read_bytes()),
            ("current.csv", (DATA / f"{ion}_on_lbo_current.csv").read_bytes()),
        )
    assert [run.name for run in bench.runs] == ["Rb", "K", "Cs"]
    assert [run.profile for run in bench.runs] == [
        "profile.txt", "profile.txt (2)", "profile.txt (3)",
    ]  # fmt: skip
    assert [run.current for run in bench.runs] == [
        "current.csv", "current.csv (2)", "current.csv (3)",
    ]  # fmt: skip


def test_a_file_that_cannot_be_read_is_listed_with_the_reason():
    bench = cait.workbench()
    bench.add(("../../note <b>.txt", b"hello"))
    assert "note &lt;b&gt;.txt" in bench.listing.value
    assert "cait-wrong" in bench.listing.value
    assert bench.start.disabled
