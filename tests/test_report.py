"""A report is whole or not there, and holds what was read, not what lies there now."""

import hashlib
import json
import math
from dataclasses import replace
from pathlib import Path

import pytest
from slim import ROOT
from test_faults import full_disk

import cait_helpers as cait
from cait_helpers import report
from cait_helpers.budget import Budget, Row
from cait_helpers.tables import Source

NAMES = ("rb_on_lbo.toml", "rb_on_lbo.txt", "rb_on_lbo_current.csv")


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    """The rubidium run in a folder of its own."""
    folder = tmp_path_factory.mktemp("inputs")
    for name in NAMES:
        (folder / name).write_bytes((ROOT / "data" / name).read_bytes())
    return folder


@pytest.fixture(scope="module")
def fit(inputs):
    """A fit, after which its inputs are edited, and one is gone."""
    found = cait.fit_landscape([cait.read_case(inputs / NAMES[0])])
    (inputs / NAMES[0]).write_text("edited")
    (inputs / NAMES[1]).unlink()
    return found


def test_a_report_holds_the_inputs_as_they_were_read(fit, tmp_path):
    folder = cait.save_report(fit, tmp_path / "report")
    record = json.loads((folder / "fit.json").read_text())
    for name in NAMES:
        data = (folder / "inputs" / "0" / name).read_bytes()
        assert data == (ROOT / "data" / name).read_bytes()
        assert record["cases"][0]["inputs"][name] == hashlib.sha256(data).hexdigest()
    assert cait.read_case(folder / "inputs" / "0" / NAMES[0]).profile().ok


def test_a_report_says_what_was_assumed(fit, tmp_path):
    folder = cait.save_report(fit, tmp_path / "report")
    said = "crater reached at 440 s, the end of the export (assumed)"
    assert said in json.loads((folder / "fit.json").read_text())["cases"][0]["assumed"]
    assert said in (folder / "report.html").read_text()


def test_inputs_of_equal_names_are_kept_apart(fit, tmp_path):
    """Two runs whose files are called the same, and a current from another folder."""
    (one,) = fit.experiments
    record = replace(one.case.record, source=Source(Path("/else") / NAMES[1], b"0, 1"))
    case = replace(one.case, source=Source(Path("/other") / NAMES[0], b"other"), record=record)
    recording = replace(one.profile.recording, source=Source(Path("/other") / NAMES[1], b"counts"))
    profile = replace(one.profile, recording=recording)
    two = replace(fit, experiments=(one, replace(one, case=case, profile=profile)))
    folder = cait.save_report(two, tmp_path / "report") / "inputs"
    assert (folder / "0" / NAMES[1]).read_bytes() == (ROOT / "data" / NAMES[1]).read_bytes()
    assert (folder / "1" / NAMES[0]).read_bytes() == b"other"
    assert (folder / "1" / NAMES[1]).read_bytes() == b"counts"
    assert (folder / "1" / f"current_{NAMES[1]}").read_bytes() == b"0, 1"


@pytest.mark.parametrize("there", [False, True])
def test_a_report_that_fails_leaves_nothing_and_can_be_tried_again(
    fit, tmp_path, monkeypatch, there
):
    """A drawing that fails, a disk that is full; and a place below a file, which is no folder."""
    place = tmp_path / "Bericht – Lauf β"
    if there:
        place.mkdir()
    with monkeypatch.context() as broken:
        broken.setattr(report, "landscape_figure", lambda fit: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            cait.save_report(fit, place)
    with full_disk(), pytest.raises(OSError, match="File too large"):
        cait.save_report(fit, place)
    assert [path.name for path in tmp_path.rglob("*")] == ([place.name] if there else [])
    folder = cait.save_report(fit, place)
    with pytest.raises(OSError, match=r"fit\.json"):
        cait.save_report(fit, folder / "fit.json" / "report")
    assert {"fit.json", "landscape.png", "report.html"} < {path.name for path in folder.iterdir()}
    with pytest.raises(FileExistsError, match="is not empty"):
        cait.save_report(fit, folder)


def test_a_report_holds_its_error_budget_and_no_other(fit, tmp_path):
    """Also an alternative that could not be fitted, for which JSON has no number."""
    rows = (
        Row("counting", "", "", fit.fwhm, 3e-4, 0.0, 600.0, False, "noise"),
        Row("filling", "sharp", "thermal", math.nan, 0.0, 0.0, math.inf, False, "assumption"),
    )  # fmt: skip
    budget = Budget(rows, {"fwhm": (0.24, 0.27)}, fit.fwhm, 6e-4)
    folder = cait.save_report(fit, tmp_path / "report", budget=budget)
    found = json.loads((folder / "fit.json").read_text())["error budget"]
    assert found["sentence"] == budget.sentence
    assert found["95 % interval / eV"] == [0.24, 0.27]
    assert [row["verdict"] for row in found["rows"]] == ["allowed", "not fitted"]
    assert found["rows"][1]["chi-square"] is None
    assert budget.sentence in (folder / "report.html").read_text()
    with pytest.raises(ValueError, match="budget is that of a fit of 300"):
        cait.save_report(fit, tmp_path / "other", budget=replace(budget, fwhm=0.3))


def test_every_panel_of_the_figure_has_its_labels(fit):
    from matplotlib import pyplot as plt

    figure = cait.figures.landscape_figure(fit)
    for ax in figure.axes:
        assert ax.get_xlabel() and ax.get_ylabel() and ax.get_title()
    plt.close(figure)
