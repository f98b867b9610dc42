"""What the travelling mesh saves: one problem, one process, one accuracy.

Prints for the resolved run, its error estimate included, and for fixed uniform meshes: the median
time of several runs, the errors of front and plateau against a fine mesh, and the ratio of times.
"""

import statistics
import time

import numpy as np
from scipy.constants import e

import cait_helpers as cait

REPEATS = 7


def problem(**how):
    """100 nm of charge at a bulk field of 1e5 V/m, D_foreign / D_bulk = 1e-3, 353 K."""
    glass = cait.Glass(200e-9, 1.38e28, 8.0, 353.15)
    law = cait.activated_diffusivity(
        cait.gaussian_sed(0.250), 1e-18, temperature=353.15, occupancy=0.9
    )
    drift = 1e-18 * 1e5 / glass.thermal_voltage
    return cait.simulate(
        glass,
        {"Li": law, "M": 1e-21},
        native="Li",
        beam="M",
        drive=cait.CurrentDensity(drift * glass.ion_density * e),
        until=cait.Charge(100e-9 * glass.ion_density * e),
        **how,
    )


def median_time(**how):
    """Median of several runs (s), after one that is not counted, and the last result."""
    problem(**how)
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run = problem(**how)
        seconds.append(time.perf_counter() - start)
    return statistics.median(seconds), run


def main():
    reference = problem(rtol=1e-5, mesh=1000)
    ways = {"travelling mesh, with estimate": {}, "travelling mesh, 60 cells": {"mesh": 60}}
    for size in (1.0, 0.5, 0.25, 0.125):
        nodes = np.linspace(0, 200e-9, round(200 / size) + 1)
        ways[f"uniform, {size:g} nm"] = {"mesh": nodes}
    print(f"{'mesh':32}{'cells':>6}{'steps':>7}{'ms':>9}{'ratio':>8}{'front':>9}{'plateau':>9}")
    first = None
    for name, how in ways.items():
        seconds, run = median_time(**how)
        first = first or seconds
        errors = [
            abs(getattr(run, what) / getattr(reference, what) - 1)
            for what in ("front_depth", "plateau")
        ]
        print(
            f"{name:32}{run.stats.cells:6}{run.stats.steps:7}{seconds * 1e3:9.2f}"
            f"{seconds / first:8.1f}{errors[0]:9.1e}{errors[1]:9.1e}"
        )


if __name__ == "__main__":
    main()
