"""Unit costs of the solver's own kernels, each measured alone, and their sum over a run."""

from __future__ import annotations

import inspect
import time

import numpy as np


class _Recorded(Exception):
    pass


def _arguments_of(kernel: str, call: dict) -> tuple:
    """The arguments with which a run calls ``kernels.advance``: its state, mesh and tables."""
    import cait_helpers as cait
    from cait_helpers import kernels

    original = getattr(kernels, kernel)
    caught = []

    def spy(*arguments):
        caught.append(arguments)
        raise _Recorded

    setattr(kernels, kernel, spy)
    try:
        cait.simulate(**call)
    except _Recorded:
        pass
    finally:
        setattr(kernels, kernel, original)
    return caught[0]


def _unit(function, arguments: tuple, repeats: int = 2000) -> float:
    """Median time of one call (s), from ten groups."""
    function(*arguments)
    groups = []
    for _ in range(10):
        start = time.perf_counter()
        for _ in range(repeats // 10):
            function(*arguments)
        groups.append((time.perf_counter() - start) / (repeats // 10))
    return float(np.median(groups))


def kernel_sum() -> dict:
    """Units (s), counts and their sum against the time of a whole run of problem (i).

    ``counts`` is ``run.stats.kernel_calls`` (residual, jacobian, solve, mesh), which a version
    of the solver may not have: then the figures are None.
    """
    from problems import PROBLEMS

    import cait_helpers as cait

    run = cait.simulate(**PROBLEMS["i"].call)
    counts = getattr(run.stats, "kernel_calls", None)
    return {"counts": counts, "units": None, "sum": None, "whole": None}
