"""The solver over its whole range: a few of the draws of ``benchmarks/range_study.py``."""

import sys
from itertools import islice
from pathlib import Path

import cait_helpers as cait

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import range_study


def test_random_problems_are_right_within_rtol_or_raise():
    """Against a finer mesh and the exact front; the error estimates are honest, and none is lost.

    A dozen draws, fixed by the seed; ``benchmarks/range_study.py`` makes hundreds.
    """
    found = range_study.study(range_study.draws(12, seed=7), 1e-3)
    assert not any(found[key] for key in ("refused", "failed", "wrong", "unjudged"))
    assert found["shares"].max() < 2
    assert sum(found["judged"].values()) > 3


def test_what_follows_them_is_right_within_rtol_or_raises():
    """Second runs with a third ion, and records; those beyond the model are not drawn."""
    found = range_study.study(range_study.sequels(12, 1e-3, seed=8), 1e-3)
    assert not any(found[key] for key in ("refused", "failed", "wrong", "unjudged"))
    assert found["runs"] == 8  # of twelve; the others are beyond the model
    assert found["shares"].max() < 2


def test_what_comes_back_is_conserved_and_resolved_whatever_was_asked_for():
    """First, second and third runs with up to four ions, at any rtol."""
    found = range_study.stress(12, seed=5)
    assert found["returned"] == 12
    assert not found["faults"]


def test_a_second_run_behind_a_front_narrower_than_the_debye_length():
    """Its charges come along: without them the native ions would be negative there."""
    _, call = next(islice(range_study.draws(13, seed=52), 12, None))
    first = cait.simulate(**call, rtol=1e-2)
    assert first.stats.decay_length < 0.2 * first.glass.debye_length
    ions = call["ions"] | {"second": 40 * call["ions"]["foreign"]}
    until = cait.Charge(0.1 * call["until"].value)
    second = cait.simulate(
        **(call | {"ions": ions, "beam": "second", "until": until}), rtol=1e-2, start=first
    )
    assert second.resolved
    assert second.front_depth > first.front_depth


def test_draws_cover_the_range():
    """Currents and voltages, shocks, waves and rarefactions, thin plates and thick ones."""
    drawn = list(range_study.draws(60, seed=1))
    assert {front.kind for front, _ in drawn} == {"shock", "wave", "rarefaction"}
    assert len({type(call["drive"]) for _, call in drawn}) == 2
    thickness = [call["glass"].thickness for _, call in drawn]
    assert min(thickness) < 1e-6 and max(thickness) > 1e-4
