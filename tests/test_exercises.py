"""`check`: an answer is compared with the package, and a wrong one gets a hint of its own."""

from __future__ import annotations

import re

import nbformat
import numpy as np
import pytest
from slim import chapters

import cait_helpers as cait
from cait_helpers.teaching.exercises import EXERCISES, check


@pytest.mark.parametrize("name", EXERCISES)
def test_the_answer_of_the_package_is_right_and_a_tenth_more_or_less_is_not(name):
    right = EXERCISES[name].answer()
    assert right > 0
    assert check(name, right).startswith("Right: ")
    hints = {check(name, right * factor) for factor in (1 / 1.1, 1.1)}
    assert len(hints) == 2
    for hint in hints:
        assert re.fullmatch(r"Not yet.*\. \S.{20,}\.", hint), hint


@pytest.mark.parametrize("name", EXERCISES)
def test_a_usual_slip_gets_a_hint_of_its_own(name):
    asked = EXERCISES[name]
    for factor, hint in asked.slips.items():
        assert abs(factor - 1) > 3 * asked.tolerance  # far from the right answer
        assert check(name, factor * asked.answer()) == f"Not yet. {hint}"


def test_the_ratio_of_times_turned_round_is_told():
    """10 V * 24 h / 99 h instead of 10 V * 99 h / 24 h."""
    right = EXERCISES["voltage for a day"].answer()
    assert "turned" in check("voltage for a day", 10.0 / (right / 10.0))


def test_the_charge_at_which_the_current_has_fallen_obeys_ohm():
    """j/j0 = L / (L + d/g - d), with the depth d of a zone of conductivity g, uniform: within 10 %.

    The zone is not quite uniform: its plateau falls towards the surface, and its conductivity, too.
    """
    law = cait.activated_diffusivity(cait.gaussian_sed(0.25), 1e-18, 323.15, 0.9)
    D_Rb = 1e-18 * 10**-4.19
    front = cait.front(law, D_Rb)
    charge = EXERCISES["charge behind a current"].answer()
    depth = float(front.depth(charge, 1.38e28))
    y = np.mean(front.profile(np.linspace(0, 0.99 * depth, 200), charge, 1.38e28))
    conductivity = (y * law(y) + (1 - y) * D_Rb) / 1e-18
    assert 0.5e-3 / (0.5e-3 + depth / conductivity) == pytest.approx(0.4, rel=0.1)


def test_three_dots_ask_for_an_answer():
    assert check("voltage for a day", ...) == "Your turn: a number in V, in place of the dots."
    assert check("half the plate", ...) == "Your turn: a number, in place of the dots."


def test_an_unknown_exercise_is_refused_and_the_known_ones_are_named():
    with pytest.raises(ValueError, match=r"'half the plat' is none of .*'half the plate'"):
        check("half the plat", 1.0)


def test_an_answer_that_is_no_number_is_refused():
    with pytest.raises(ValueError, match="answer = 'two' is not a number"):
        check("half the plate", "two")


def test_every_exercise_is_asked_and_solved_in_a_chapter():
    """A name that stands in no chapter is dead; one that is only asked has no tested solution."""
    cells = [
        cell
        for path in chapters()
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
    ]
    stored = {
        name: [o.get("text", "") for c in cells if f'"{name}"' in c.source for o in c.outputs]
        for name in EXERCISES
    }
    for name, texts in stored.items():
        assert any("Your turn" in text for text in texts), name
        assert any("Right: " in text for text in texts), name
