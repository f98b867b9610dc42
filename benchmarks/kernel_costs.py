"""Unit costs of the solver's own kernels, each measured alone, and their sum over a run."""

from __future__ import annotations

import inspect
import time

import numpy as np
from problems import PROBLEMS

import cait_helpers as cait
from cait_helpers import kernels

#: Calls of each kernel in one attempted step of RODAS4 (six stages, one more residual for the
#: change of the residual with the mesh), unless ``run.stats.kernel_calls`` says better.
A_STEP = {
    "rhs": 7, "jacobian": 1, "factorise": 1, "solve": 6, "stabilise": 1, "equidistribute": 1,
    "fill_holes": 1,
}  # fmt: skip


def _names(function) -> list[str]:
    return list(inspect.signature(getattr(function, "py_func", function)).parameters)


def _final(call: dict, cells: int) -> dict:
    """What a run of ``cells`` cells ends with: the arguments of ``kernels.advance``, by name."""
    original = kernels.advance
    names, caught = _names(original), {}

    def spy(*arguments):
        answer = original(*arguments)
        caught.update(zip(names, arguments, strict=True))  # the arrays are advanced in place
        return answer

    kernels.advance = spy
    try:
        cait.simulate(**call, mesh=cells)
    finally:
        kernels.advance = original
    return caught


def _bindings(caught: dict) -> dict:
    """Arguments of the kernels by their names, at the end of the run."""
    n, k = caught["state"].shape
    blocks = {name: np.zeros((n, k, k)) for name in ("lower", "diag", "upper")}
    found = caught | blocks
    for name in ("v", "w", "goal"):
        found[name] = np.zeros(n + 1)
    for name in ("rho", "width"):
        found[name] = np.diff(caught["x"])
    for name in ("y", "extra", "out", "b", "rate", "change"):
        found[name] = np.zeros((n, k))
    kernels.fractions(caught["x"], caught["state"], caught["beam"], caught["lam2"], found["y"])
    return found | {"drive": 1.0, "shift": 10.0, "clock": 1.0, "pace": 1.0}


def _unit(function, arguments: list, groups: int = 15, calls: int = 100) -> float:
    """Median over groups of the time of one call (s), less that of calling at all."""
    function(*arguments)
    seconds = []
    for _ in range(groups):
        start = time.perf_counter()
        for _ in range(calls):
            function(*arguments)
        seconds.append((time.perf_counter() - start) / calls)
    return float(np.median(seconds))


def kernel_sum(name: str = "i", cells: int = 60) -> dict:
    """Counts times unit costs of one run against the time of ``advance`` and of the whole call.

    Returns
    -------
    dict
        ``counts``, ``units`` (s), ``sum`` (s), ``advance`` (s), ``whole`` (s; ``simulate`` on so
        many cells), ``ratio`` (whole over sum), and ``missing``: kernels that this version of
        the solver has not, or that could not be called from the names of their arguments.
    """
    call = PROBLEMS[name].call
    stats = cait.simulate(**call, mesh=cells).stats
    counts = getattr(stats, "kernel_calls", None)
    if counts is None:
        attempts = stats.steps + stats.rejected
        counts = {kernel: attempts * calls for kernel, calls in A_STEP.items()}
    bound = _bindings(_final(call, cells))
    units, missing = {}, []
    for kernel in counts:
        function = getattr(kernels, kernel, None)
        if function is None or not set(_names(function)) <= set(bound):
            missing.append(kernel)
            continue
        if kernel in ("factorise", "solve"):  # they need a matrix that can be factorised
            for block in ("lower", "upper"):
                bound[block][:] = 0.0
            bound["diag"][:] = np.eye(bound["diag"].shape[1])
        units[kernel] = _unit(function, [bound[n] for n in _names(function)])
    whole = _unit(lambda: cait.simulate(**call, mesh=cells), [], groups=15, calls=5)
    total = sum(counts[kernel] * unit for kernel, unit in units.items())
    return {
        "cells": cells,
        "counts": counts,
        "units": units,
        "missing": missing,
        "sum": total,
        "whole": whole,
        "ratio": whole / total,
    }
