"""Unit costs of the solver's own kernels, each measured alone, and their sum over a run.

The counts are read off :func:`cait_helpers.kernels.advance`, the units are those of loops in which
a kernel works on the last state of the run. What ``advance`` does beside (combining the stages,
the error norm, bookkeeping) has no share in the sum.
"""

from __future__ import annotations

import time
from contextlib import contextmanager

import numba
import numpy as np
from problems import PROBLEMS

import cait_helpers as cait
from cait_helpers import kernels

# Without a disk cache, which would not notice changes in the kernels.
loop = numba.njit(error_model="numpy")


@loop
def many_rhs(times, p, x, w, state, drive, width, extra, y, static, out):
    for _ in range(times):
        kernels.rhs(p, x, w, state, drive, width, 0.0, extra, y, static, out)


@loop
def many_stabilise(times, p, x, w, state, y, d, dd, extra):
    for _ in range(times):
        kernels.stabilise(p, x, w, state, 1.0, y, d, dd, extra)


@loop
def many_factorise(times, p, x, w, state, extra, y, d, dd, shift, lower, diag, upper, work):
    """With the Jacobian, which the factors overwrite."""
    for _ in range(times):
        kernels.jacobian(p, x, w, state, 1.0, extra, y, d, dd, shift, lower, diag, upper)
        kernels.factorise(lower, diag, upper, work)


@loop
def many_solve(times, lower, diag, upper, rates, b, work):
    for _ in range(times):
        b[:] = rates  # the solution would be solved for again, and vanish
        kernels.solve(lower, diag, upper, b, work)


@loop
def many_copies(times, rates, b):
    for _ in range(times):
        b[:] = rates


@loop
def many_equidistribute(times, x, y, surface, size, goal):
    for _ in range(times):
        kernels.equidistribute(x, y, surface, size, goal)


@loop
def many_rhs_change(times, p, x, w, state, drive, width, extra, y, d, dd, static, out):
    for _ in range(times):
        kernels.rhs_change(p, x, w, state, 1.0, drive, 0.0, width, extra, y, d, dd, static, out)


@loop
def many_drop_error(times, x, width, state, y, d, dd, out):
    for _ in range(times):
        kernels.drop_error(x, width, state, y, d, dd, out)


@loop
def many_pursue(times, x, goal, drift, ds, w):
    for _ in range(times):
        kernels.pursue(x, goal, drift, 1.0, 0.45, ds, w)


@loop
def many_fill_holes(times, p, x, state, y):
    for _ in range(times):
        kernels.fractions(p, x, state, y)
        kernels.fill_holes(p, x, state, y)


def _median(function, groups: int = 25) -> float:
    """Median time of a call (s), after a warm-up."""
    function()
    seconds = []
    for _ in range(groups):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds))


@contextmanager
def _watched(calls: list):
    """Keep the arguments with which ``advance`` is called, as they are before, and its answers."""
    original = kernels.advance

    def watch(*arguments):
        before = [a.copy() if isinstance(a, np.ndarray) else a for a in arguments]
        calls.append((before, original(*arguments)))
        return calls[-1][1]

    kernels.advance = watch
    try:
        yield
    finally:
        kernels.advance = original


def unit_costs(arguments: list, steps: int, times: int = 200) -> dict[str, float]:
    """Seconds of one call of each kernel, at the end of the run of these arguments."""
    p, x, state, _, values, *_, surface, _, _, history = arguments
    n, k = state.shape
    y, d, dd, extra, static, out, b = np.zeros((7, n, k))
    lower, diag, upper = np.zeros((3, n, k, k))
    w, goal, drift = np.zeros(n + 1), np.empty(n + 1), np.zeros(n + 1)
    size, work = np.empty(n), np.empty((2, k, k))
    width = np.array([kernels.face_width(x, c) for c in range(n)])
    kernels.fractions(p, x, state, y)
    kernels.equidistribute(x, y, surface, size, goal)
    w[1:-1] = x[1:-1] / history[steps, 1]  # as the fan moves
    ds = history[steps, 1] - history[steps - 1, 1]
    drive = 0.0 if p.potentiostatic else float(values[0])
    shift = 1.0 / (kernels.GAMMA * ds)
    loops = {
        "stabilise": (many_stabilise, (p, x, w, state, y, d, dd, extra)),
        "rhs": (many_rhs, (p, x, w, state, drive, width, extra, y, static, out)),
        "rhs_change": (
            many_rhs_change,
            (p, x, w, state, drive, width, extra, y, d, dd, static, out),
        ),
        "drop_error": (many_drop_error, (x, width, state, y, d, dd, b)),
        "jacobian + factorise": (
            many_factorise,
            (p, x, w, state, extra, y, d, dd, shift, lower, diag, upper, work),
        ),
        "solve": (many_solve, (lower, diag, upper, out, b, work)),
        "equidistribute": (many_equidistribute, (x, y, surface, size, goal)),
        "pursue": (many_pursue, (x, goal, drift, ds, np.zeros(n + 1))),
        "fractions + fill_holes": (many_fill_holes, (p, x, state, y)),
    }
    units = {
        name: _median(lambda f=function, a=found: f(times, *a)) / times
        for name, (function, found) in loops.items()
    }
    units["solve"] -= _median(lambda: many_copies(times, out, b)) / times
    return units


def counted(potentiostatic: bool, attempts: int, steps: int) -> dict[str, int]:
    """Calls of each kernel in a run.

    Of the four stages three evaluate the rates. Under a voltage there is one more solution for
    the border, and the time of an accepted step takes one more evaluation.
    """
    return {
        "stabilise": attempts,
        "rhs": 3 * attempts + 1 + (steps if potentiostatic else 0),
        "rhs_change": attempts,
        "drop_error": attempts if potentiostatic else 0,
        "jacobian + factorise": attempts,
        "solve": (5 if potentiostatic else 4) * attempts,
        "equidistribute": steps,
        "pursue": attempts,
        "fractions + fill_holes": steps,
    }


def kernel_sum(name: str) -> dict:
    """Counts times unit costs of the runs of one problem, against what these runs take.

    Returns
    -------
    dict
        ``runs``, one for each mesh, with ``cells``, ``counts``, ``units`` (s), ``sum`` (s) and
        ``advance`` (s); over all meshes ``sum``, ``advance`` and their ``ratio``; ``whole`` (s),
        the time of ``simulate``, and ``whole_ratio`` over the sum.
    """
    call, caught = PROBLEMS[name].call, []
    with _watched(caught):
        cait.simulate(**call)
    runs = []
    for before, (_, steps, _, attempts, _) in caught:
        at_end = [a.copy() if isinstance(a, np.ndarray) else a for a in before]

        def again(before=before, at_end=at_end):
            at_end[1][:], at_end[2][:] = before[1], before[2]
            kernels.advance(*at_end)

        seconds = _median(again, 51)
        units = unit_costs(at_end, steps)
        counts = counted(before[0].potentiostatic, attempts, steps)
        runs.append(
            {
                "cells": before[2].shape[0],
                "counts": counts,
                "units": units,
                "sum": sum(counts[kernel] * units[kernel] for kernel in counts),
                "advance": seconds,
            }
        )
    total, seconds = (sum(run[key] for run in runs) for key in ("sum", "advance"))
    whole = _median(lambda: cait.simulate(**call), 51)
    return {
        "runs": runs,
        "sum": total,
        "advance": seconds,
        "ratio": seconds / total,
        "whole": whole,
        "whole_ratio": whole / total,
    }
