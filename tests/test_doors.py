"""Hostile calls of the public functions, in the short form of `benchmarks/hostile.py`."""

import datetime
import sys
from pathlib import Path

import numpy as np
import pytest

import cait_helpers as cait
from cait_helpers import checks

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import hostile


def test_hostile_values_are_refused_by_name_or_computed_with():
    """One argument at a time becomes nan, text, a date, a matrix, a law that raises, ...

    Every fault of the whole campaign that was ever found came back in a share like this one.
    """
    count, faults = hostile.campaign(share=0.12)
    assert count > 1000
    assert not faults, "\n".join(faults)


def test_the_campaign_finds_faults():
    """A door that takes everything, one that lets a library raise, and one that names nothing."""

    def open_door(width):
        return 1.0

    def raw_door(width):
        return np.linalg.inv(width)[0, 0]

    def mute_door(width):
        raise ValueError("bad input")

    for call in (open_door, raw_door, mute_door):
        door = hostile.Door("a door", call, {"width": 1.0})
        assert hostile.verdict(door, "width", "never", "text", lambda: "0.5")


def test_every_public_name_has_a_door():
    """What the campaign leaves out stands here, with the reason."""
    files = {"error_budget", "fit_landscape", "likelihood_profile", "sample_posterior"}  # a fit
    pages = {"save_report", "style", "workbench"}  # draw or write: tested where they are
    classes = {"CaseError", "FitError", "Run", "SimsError", "SimulationError"}
    called = {door.name.rpartition(".")[2].split(",")[0] for door in hostile.doors()}
    assert set(cait.__all__) - files - pages - classes <= called


@pytest.mark.parametrize(
    "value",
    [np.True_, True, "1", b"1", 1 + 0j, np.datetime64("2024-01-01"), datetime.date(2024, 1, 1)],
)
def test_what_only_looks_like_a_number_is_none(value):
    """numpy and float() take a truth value for 1, a date for days and a text for its digits."""
    with pytest.raises(ValueError, match=r"width = .* is not a number"):
        checks.require("width", value, 0, 10)
    with pytest.raises(ValueError, match=r"width = .* is not an array of numbers"):
        checks.require_all("width", [value, value], 0, 10)


def test_a_masked_entry_is_no_number():
    """numpy computes with what lies under a mask."""
    masked = np.ma.array([1.0, 2.0], mask=[False, True])
    with pytest.raises(ValueError, match=r"width = .* is not an array of numbers"):
        checks.require_all("width", masked, 0, 10)


@pytest.mark.parametrize("form", [np.float32, np.int8, ">f8", float, int, object])
def test_numbers_in_any_other_form_are_numbers(form):
    """float32, small integers, foreign byte order, read-only and every second entry."""
    values = np.array([1, 9, 2, 9], dtype=form)
    values.flags.writeable = False
    found = checks.require_all("width", values[::2], 0, 10)
    assert found.dtype == np.float64
    assert found.tolist() == [1.0, 2.0]
    assert checks.require("width", values[0], 0, 10) == 1.0


def test_a_law_that_writes_into_its_argument_changes_no_result():
    """The law gets an array of its own."""

    def law(y):
        return 1e-19 * (1e-3 + y)

    def writing(y):
        D = law(y)
        if isinstance(y, np.ndarray):
            y[...] = 0.3
        return D

    a, b = cait.front(law, 1e-22), cait.front(writing, 1e-22)
    assert (a.plateau, a.speed, a.ratio) == (b.plateau, b.speed, b.ratio)


def test_messages_stay_short():
    """An integer of five thousand digits cannot even be printed."""
    for value in (10**5000, "x" * 10**6, list(range(10**5))):
        with pytest.raises(ValueError, match=r"^width = ") as refused:
            checks.require("width", value, 0, 10)
        assert len(str(refused.value)) < 300
