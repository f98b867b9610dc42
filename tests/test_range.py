"""The solver over its whole range: a few of the draws of ``benchmarks/range_study.py``."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import range_study


def test_random_problems_are_right_within_rtol_or_raise():
    """Against a finer mesh and the exact front; the error estimates are honest, and none is lost.

    A dozen draws, fixed by the seed; ``benchmarks/range_study.py`` makes hundreds.
    """
    found = range_study.study(12, 1e-3, seed=7)
    assert found["failed"] == [] and found["wrong"] == [] and found["unjudged"] == []
    assert found["honest"] == 1.0
    assert found["judged"] > 3


def test_draws_cover_the_range():
    """Currents and voltages, shocks, waves and rarefactions, thin plates and thick ones."""
    drawn = list(range_study.draws(60, seed=1))
    assert {front.kind for front, _ in drawn} == {"shock", "wave", "rarefaction"}
    assert len({type(call["drive"]) for _, call in drawn}) == 2
    thickness = [call["glass"].thickness for _, call in drawn]
    assert min(thickness) < 1e-6 and max(thickness) > 1e-4
