"""Print the errors and times of a peer on finer and coarser cells, with its tolerances and tighter.

    python benchmarks/ladder.py "SUNDIALS IDA" iii 0.3 0.25 0.2

The settings in ``run.SETTINGS`` are those of the coarsest cells that are in the class with both.
"""

from __future__ import annotations

import sys
import time

import run
from problems import PROBLEMS, in_class, reference


def main(code: str, name: str, *sizes: str) -> None:
    _, options = run.SETTINGS[code][name]
    for size in sizes:
        run.SETTINGS[code][name] = float(size), options
        for tighter in (1.0, 10.0):
            solve, read, settings = run.prepare(code, name, "continuum", 600.0, tighter)
            answer, counts = solve()
            start = time.perf_counter()
            solve()
            seconds = time.perf_counter() - start
            errors = read(answer).errors(reference(name))
            shown = "  ".join(f"{key} {value:.1e}" for key, value in errors.items())
            verdict = "in" if in_class(errors, PROBLEMS[name]) else "out"
            print(f"{settings}: {seconds:.3g} s  {shown}  {verdict}", counts, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
