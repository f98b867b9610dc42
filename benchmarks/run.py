"""Time this solver beside its peers, and write what comes out (``make bench``).

    python benchmarks/run.py                     # everything
    python benchmarks/run.py --problems i        # one problem; --budget 100 for less patience
    python benchmarks/run.py --only ours         # our own solver alone, no peer needed
    python benchmarks/run.py --rungs "SUNDIALS IDA" iii 0.3 0.25 0.2   # a peer on these cells
    python benchmarks/run.py --limits            # the continuum limits, by IDA and by ours

Writes ``results.json`` (see :mod:`results` for its layout), ``results.md`` and ``results.png``.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import importlib.metadata
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import lru_cache
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
STARTED = time.perf_counter()  # before any import that counts for a first call

CLASSES = ("continuum", "today")
#: Our solver at its default tolerance, and at the loosest of these that is in the class.
OURS = ("ours", LOOSEST := "ours, loosest")
LADDER = (1e-2, 5e-3, 3e-3, 2e-3, 1e-3, 3e-4, 1e-4)
LOOSE = (1e-3, 1e-3, 1e-4)
#: code -> problem -> (cell size in nm, options). The coarsest cells and loosest tolerances found by
#: hand (``--rungs``) that are in the class; the row of each says whether ten times tighter ones
#: are as well, so that none passes by errors that cancel. PyBaMM on (iii) takes half a minute; FiPy
#: did not end in a minute on any; LSODA on (iii), with a dense Jacobian, not even on the cells of
#: *today*, which are those of 1 nm.
SETTINGS = {
    "SUNDIALS IDA": {
        "i": (0.18, (*LOOSE, True)),
        "ii": (0.12, (*LOOSE, True)),
        "iii": (0.18, (3e-5, 1e-3, 1e-3, True)),
    },
    "SciPy LSODA": {
        "i": (0.16, (1e-3, 1e-3, 3e-4, True)),
        "ii": (0.11, (1e-3, 1e-3, 3e-4, True)),
        "iii": (0.20, (*LOOSE, True)),
    },
    "SciPy BDF": {
        "i": (0.18, (*LOOSE, True)),
        "ii": (0.12, (*LOOSE, True)),
        "iii": (0.20, (*LOOSE, True)),
    },
    "SciPy Radau": {
        "i": (0.18, (*LOOSE, True)),
        "ii": (0.11, (*LOOSE, True)),
        "iii": (0.20, (*LOOSE, True)),
    },
    "PyBaMM IDAKLU": {
        "i": (0.18, (*LOOSE, True)),
        "ii": (0.11, (*LOOSE, True)),
        "iii": (0.20, (1e-4, 1e-4, 1e-5, True)),
    },
    "FiPy": {"i": (0.2, (0.02, 2)), "ii": (0.14, (0.1, 3)), "iii": (0.2, (0.1, 3))},
}
BATCH, PAUSE = 20, 1.0  # s: one busy second of the machine must not decide on a quick code
GROWTH = 1.4
MARGIN = 1.01  # the fine cells end this much behind the final front


def setting(code: str, problem: str, kind: str, tighter: float = 1.0):
    """Cell size and options of a peer, with tolerances (or steps) divided by ``tighter``."""
    size, (*tolerances, last) = SETTINGS[code][problem]
    if code == "FiPy" and kind == "today":
        tolerances, last = [1.0], 3
    tightened = (*(tolerance / tighter for tolerance in tolerances), last)
    return (size if kind == "continuum" else 1.0), tightened


def told(code: str, size: float, options: tuple) -> str:
    """The settings in words."""
    if code == "FiPy":
        return f"h {size:g} nm, steps of {options[0]:g} nm of charge, {options[1]} sweeps, fitted"
    rtol, atol_y, atol_f, fitted = options
    flux = "fitted" if fitted else "central"
    return f"h {size:g} nm, rtol {rtol:g}, atol {atol_y:g} and {atol_f:g}/nm, {flux} fluxes"


def prepare_ours(name: str, rtol: float):
    """The same for our own code."""
    from problems import PROBLEMS, profile_of

    import cait_helpers as cait

    call = PROBLEMS[name].call

    def solve():
        run = cait.simulate(**call, rtol=rtol)
        return run, {"cells": run.stats.cells, "steps": run.stats.steps}

    return solve, profile_of, f"rtol {rtol:g}, estimate on"


def prepare(code: str, name: str, kind: str, budget: float, tighter: float = 1.0):
    """A callable that solves the problem with a code, and a note of its settings."""
    if code == "ours":
        return prepare_ours(name, 1e-3)
    if code == LOOSEST:
        return prepare_ours(name, tolerances(name)["loosest"])
    import peers
    from problems import FRONTS, PROBLEMS, uniform_mesh

    problem = PROBLEMS[name]
    size, options = setting(code, name, kind, tighter)
    mesh = uniform_mesh(problem, size, MARGIN * FRONTS[name], GROWTH)
    if code == "SUNDIALS IDA":
        solve = peers.ida(problem, mesh, *options)
    elif code == "SciPy LSODA":
        solve = peers.lsoda(problem, mesh, *options)
    elif code == "PyBaMM IDAKLU":
        solve = peers.pybamm_idaklu(problem, mesh, *options)
    elif code == "FiPy":
        solve = peers.fipy(problem, mesh, *options, budget=budget)
    else:
        solve = peers.scipy_ivp(code.split()[1], problem, mesh, *options)

    def counted():
        profile, counts = solve()
        return profile, {"cells": mesh.size - 1, **counts}

    return counted, lambda profile: profile, told(code, size, options)


@lru_cache
def tolerances(name: str) -> dict:
    """Errors of our runs at the tolerances of ``LADDER``, and the loosest one in the class.

    ``loosest`` is in the class with every tighter one.
    """
    from problems import PROBLEMS, in_class, reference

    rungs = []
    for rtol in LADDER:
        solve, read, _ = prepare_ours(name, rtol)
        run, counts = solve()
        errors = read(run).errors(reference(name))
        rungs.append(
            {"rtol": rtol, "errors": errors, "in_class": in_class(errors, PROBLEMS[name])} | counts
        )
    outside = [rung["rtol"] for rung in rungs if not rung["in_class"]]
    passing = [rtol for rtol in LADDER if rtol < min(outside, default=1.0)]
    return {"rungs": rungs, "loosest": max(passing)}


def timed(solve, repeats: int, patience: float) -> tuple[dict, object]:
    """Medians of at most ``repeats`` runs that fit into ``patience`` (s), after a warm-up.

    Beside the time of the wall that of the processor, which a busy machine does not stretch.
    """
    start, cpu = time.perf_counter(), time.process_time()
    answer = solve()
    seconds, work = [time.perf_counter() - start], [time.process_time() - cpu]
    if seconds[0] < patience / 2:
        seconds.clear(), work.clear()
        while len(seconds) < repeats and (
            not seconds or sum(seconds) + statistics.median(seconds) < patience
        ):
            start, cpu = time.perf_counter(), time.process_time()
            answer = solve()
            seconds.append(time.perf_counter() - start)
            work.append(time.process_time() - cpu)
            if len(seconds) % BATCH == 0 and sum(seconds[-BATCH:]) < PAUSE:
                time.sleep(PAUSE)
    found = {
        "seconds": statistics.median(seconds),
        "cpu_seconds": statistics.median(work),
        "repeats": len(seconds),
    }
    return found, answer


def once(code: str, name: str, kind: str, budget: float) -> dict:
    """First call and peak memory of a fresh process (this one)."""
    solve, _, _ = prepare(code, name, kind, budget)
    solve()
    return {"first_call": time.perf_counter() - STARTED, "peak_memory": peak_memory()}


def peak_memory() -> float:
    """Largest memory of this process (MB)."""
    status = Path("/proc/self/status")
    if status.exists():  # getrusage would count the parent, of which a process begins as a copy
        (line,) = (x for x in status.read_text().splitlines() if x.startswith("VmHWM"))
        return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def fresh(arguments: list[str], patience: float, **environment: str) -> dict:
    """Run this file in a process of its own and read the JSON that it prints last."""
    command = [sys.executable, str(HERE / "run.py"), *arguments]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=patience, check=True,
            env={**os.environ, **environment},
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        return {}
    except subprocess.CalledProcessError as error:
        return {"failed": (error.stderr.strip().splitlines() or ["?"])[-1]}
    return json.loads(done.stdout.splitlines()[-1])


def compare(code: str, name: str, kind: str, budget: float) -> dict:
    """One row: time, errors, whether it is in the class."""
    from problems import PROBLEMS, in_class, reference

    row = {"code": code, "problem": name, "class": kind, "budget": budget}
    # Tried in a process of its own first, which can be ended when its time is over.
    if code != LOOSEST:
        row |= fresh(["--once", code, name, kind, "--budget", str(budget)], budget + 20.0)
        if "failed" in row or "first_call" not in row:
            return {"failed": f"not within {budget:g} s"} | row
    solve, read, row["settings"] = prepare(code, name, kind, budget)
    repeats, patience = (200, 10.0) if code in OURS else (9, 0.1 * budget)
    times, (answer, counts) = timed(solve, repeats, patience)
    row |= times | counts
    row["errors"] = read(answer).errors(reference(name))
    row["in_class"] = in_class(row["errors"], PROBLEMS[name])
    if code in OURS:
        row["estimate"] = answer.stats.estimated_error
        row["resolved"] = answer.resolved
    elif kind == "continuum" and code != "FiPy" and row["seconds"] < 0.1 * budget:
        # No peer is in the class by errors that happen to cancel.
        solve, read, _ = prepare(code, name, kind, budget, tighter=10.0)
        tight = read(solve()[0]).errors(reference(name))
        row["tighter"] = {"errors": tight, "in_class": in_class(tight, PROBLEMS[name])}
    return row


def add_ratios(rows: list[dict]) -> None:
    """Times over ours on the same problem, of the wall and of the processor."""
    for code, prefix in (("ours", ""), (LOOSEST, "loosest_")):
        ours = {row["problem"]: row for row in rows if row["code"] == code and "seconds" in row}
        for row in rows:
            own = ours.get(row["problem"])
            if own and "seconds" in row:
                row[f"{prefix}ratio"] = row["seconds"] / own["seconds"]
                row[f"{prefix}cpu_ratio"] = row["cpu_seconds"] / own["cpu_seconds"]


def versions() -> dict:
    """Of Python and of all that was timed; the machine by its processor alone."""
    packages = ("numpy", "scipy", "numba", "scikit-sundae", "pybamm", "pybammsolvers", "fipy")
    model = platform.processor()
    if os.path.exists("/proc/cpuinfo"):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), model)
    found = {"processor": model, "cores": os.cpu_count(), "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = None
    return found


def median_call(repeats: int, **call) -> tuple[float, object]:
    """Median time of one of our runs (s), and the last run."""
    import cait_helpers as cait

    times, run = timed(lambda: cait.simulate(**call), repeats, 20.0)
    return times["seconds"], run


def scaling() -> dict:
    """Cost against the depth over the front's width, and against the thickness."""
    from dataclasses import replace

    import numpy as np
    from problems import NM, PROBLEMS

    depths = []
    for depth in (5, 20, 80, 320, 1280):
        problem = replace(PROBLEMS["i"], depth=depth * NM, thickness=4 * depth * NM + 5e-8)
        seconds, run = median_call(31, **problem.call)
        width = problem.ratio * problem.thermal_voltage / problem.field / NM
        depths.append(
            {"depth_over_width": depth / width, "seconds": seconds, "cells": run.stats.cells}
        )
    thickness = []
    for size in (1e-4, 2e-4, 5e-4, 1e-3, 2e-3):
        # the same field and the same charge at each thickness
        problem = PROBLEMS["iii"]
        scale = size / problem.thickness
        problem = replace(problem, thickness=size, voltage=problem.voltage * scale)
        call = problem.call
        from scipy.constants import e

        import cait_helpers as cait

        call["until"] = cait.Charge(problem.depth * problem.ion_density * e)
        seconds, run = median_call(31, **call)
        thickness.append({"thickness": size, "seconds": seconds, "cells": run.stats.cells})
    times = [row["seconds"] for row in thickness]
    logs = np.log([row["depth_over_width"] for row in depths])
    spent = np.array([row["seconds"] for row in depths])
    slope = np.polyfit(logs, np.log(spent), 1)[0]
    return {
        "depth": depths,
        "thickness": thickness,
        "thickness_spread": max(times) / min(times),
        "depth_exponent": float(slope),
    }


def ensemble(runs: int = 400) -> dict:
    """Runs a second with one thread and with two, of problem (i) with its width varied."""
    import numpy as np
    from problems import PROBLEMS

    import cait_helpers as cait

    call = PROBLEMS["i"].call
    glass = call["glass"]
    rng = np.random.default_rng(1)
    calls = []
    for fwhm in rng.uniform(0.2, 0.3, runs):
        law = cait.activated_diffusivity(
            cait.gaussian_sed(fwhm), 1e-18, temperature=glass.temperature, occupancy=0.9
        )
        calls.append(call | {"ions": call["ions"] | {"Li": law}})
    rates = {}
    for workers in (1, 2):
        medians = []
        for _ in range(3):
            with concurrent.futures.ThreadPoolExecutor(workers) as pool:
                start = time.perf_counter()
                cait.simulate_many(calls, executor=pool)
                medians.append(runs / (time.perf_counter() - start))
        rates[str(workers)] = statistics.median(medians)
    return {
        "runs": runs,
        "runs_per_second": rates,
        "speed_up": rates["2"] / rates["1"],
    }


def double_cait() -> dict:
    """The second run of a double CAIT: rubidium first, then caesium behind it."""
    from problems import PROBLEMS
    from scipy.constants import e

    import cait_helpers as cait

    problem = PROBLEMS["ii"]
    call = dict(problem.call)
    half = cait.Charge(0.5 * problem.depth * problem.ion_density * e)
    law = call["ions"]["Li"]
    slow = {"Rb": 10**-4.19 * problem.D_bulk, "Cs": 10**-4.89 * problem.D_bulk}
    first = cait.simulate(**(call | {"ions": {"Li": law, "Rb": slow["Rb"]}, "beam": "Rb",
                                     "until": half}))  # fmt: skip
    second = call | {"ions": {"Li": law, **slow}, "beam": "Cs", "until": half, "start": first}
    try:
        cait.simulate(**second)  # the solver is compiled for three ions
        seconds, run = median_call(11, **second)
    except cait.SimulationError as error:
        return {"failed": str(error)}
    return {"seconds": seconds, "cells": run.stats.cells, "steps": run.stats.steps,
            "estimate": run.stats.estimated_error}  # fmt: skip


def ladder() -> dict:
    """What tolerance our solver needs for the class, on each problem."""
    from problems import PROBLEMS

    return {name: tolerances(name) for name in PROBLEMS}


def cold_start() -> dict:
    """Compilation from an empty cache, and a first call from a warm one (fresh processes)."""
    with tempfile.TemporaryDirectory() as cache:
        arguments = ["--once", "ours", "i", "continuum"]
        cold = fresh(arguments, 300.0, NUMBA_CACHE_DIR=cache)
        warm = [fresh(arguments, 300.0, NUMBA_CACHE_DIR=cache) for _ in range(5)]
    return {
        "cold": cold["first_call"],
        "warm": statistics.median(row["first_call"] for row in warm),
        "peak_memory": statistics.median(row["peak_memory"] for row in warm),
    }


def rungs(code: str, name: str, *sizes: str) -> None:
    """Print errors and times of a peer on cells of these sizes, with its tolerances and tighter.

    ``SETTINGS`` holds the coarsest cells that are in the class with both.
    """
    from problems import PROBLEMS, in_class, reference

    _, options = SETTINGS[code][name]
    for size in sizes:
        SETTINGS[code][name] = float(size), options
        for tighter in (1.0, 10.0):
            solve, read, settings = prepare(code, name, "continuum", 600.0, tighter)
            times, (answer, counts) = timed(solve, 1, 600.0)
            errors = read(answer).errors(reference(name))
            shown = "  ".join(f"{key} {value:.1e}" for key, value in errors.items())
            verdict = "in" if in_class(errors, PROBLEMS[name]) else "out"
            print(f"{settings}: {times['seconds']:.3g} s  {shown}  {verdict}", counts, flush=True)


def limits() -> None:
    """Print the continuum limits of the problems from two codes that share nothing but the physics.

    Ours: many cells that follow the front. IDA: cells of one size, halved, with tight tolerances,
    the central fluxes extrapolated by Richardson (second order). ``problems.FRONTS`` and
    ``PLATEAUS`` hold the figures on which both agree.
    """
    import peers
    from problems import FRONTS, PLATEAUS, PROBLEMS, reference, uniform_mesh

    sizes = {"i": (0.125, 0.0625), "ii": (0.1, 0.05), "iii": (0.1, 0.05)}
    for name, problem in PROBLEMS.items():
        tight = (1e-5, 1e-5, 1e-6) if problem.voltage is None else (1e-6, 1e-4, 1e-4)
        found = []
        for size in sizes[name]:
            mesh = uniform_mesh(problem, size, 1.01 * FRONTS[name], 1.2)
            found.append(peers.ida(problem, mesh, *tight)()[0])
        for what, stored in (("front", FRONTS), ("plateau", PLATEAUS)):
            coarse, fine = (getattr(profile, what) for profile in found)
            limit = fine + (fine - coarse) / 3
            own = getattr(reference(name), what)
            print(
                f"({name}) {what:8} ours {own:.6g}  IDA {coarse:.6g} {fine:.6g} -> {limit:.6g}"
                f"  difference {own / limit - 1:+.1e}  stored {stored[name]:.6g}",
                flush=True,
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--once", nargs=3, metavar=("CODE", "PROBLEM", "CLASS"))
    parser.add_argument("--problems", default="i,ii,iii")
    parser.add_argument("--only", default="")
    parser.add_argument("--budget", type=float, default=600.0, help="seconds a peer may take")
    parser.add_argument("--resume", action="store_true", help="keep what is stored, add the rest")
    parser.add_argument("--rungs", nargs="+", metavar="CODE PROBLEM SIZE")
    parser.add_argument("--limits", action="store_true")
    parser.add_argument("--out", type=Path, default=HERE)
    options = parser.parse_args()
    if options.once:
        print(json.dumps(once(*options.once, options.budget)))
    elif options.rungs:
        rungs(*options.rungs)
    elif options.limits:
        limits()
    else:
        measure_all(options)


def measure_all(options: argparse.Namespace) -> None:
    """Measure, print and store what the options ask for."""
    import numpy as np
    import results

    stored = options.out / "results.json"
    found = {"versions": versions(), "rows": [], "own": {}}
    if options.resume and stored.exists():
        found |= results.load(stored)

    def in_order(row: dict) -> tuple:
        return results.CODES.index(row["code"]), CLASSES.index(row["class"]), row["problem"]

    def save() -> None:
        found["rows"].sort(key=in_order)
        add_ratios(found["rows"])
        stored.write_text(json.dumps(found, indent=1, default=np.generic.item) + "\n")

    for measure in (ladder, scaling, ensemble, double_cait, cold_start):
        if measure.__name__ not in found["own"] and options.only in ("", "ours"):
            found["own"][measure.__name__] = measure()
            print(measure.__name__, found["own"][measure.__name__], flush=True)
            save()
    done = {(row["code"], row["problem"], row["class"]) for row in found["rows"]}
    # The slowest code last, so that the others are stored when it is interrupted.
    for code in [options.only] if options.only else [*OURS, *SETTINGS]:
        for kind in CLASSES:
            for name in options.problems.split(","):
                if (code, name, kind) in done or (code in OURS and kind == "today"):
                    continue
                row = compare(code, name, kind, options.budget)
                found["rows"].append(row)
                print(code, name, kind, row.get("failed", row.get("seconds")), flush=True)
                save()
    (options.out / "results.md").write_text(results.table(found) + "\n")
    figure = results.figure(found)
    figure.savefig(options.out / "results.png", dpi=150)


if __name__ == "__main__":
    main()
