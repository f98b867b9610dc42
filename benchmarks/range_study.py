"""How far a simulation can be trusted: random problems of the whole range, against two judges.

    python benchmarks/range_study.py [draws] [rtol] [seed] [sequels]

Each draw is simulated as a user would, with its error estimate. The first judge is the same
problem on four times as many cells at a tenth of the tolerance; the second the exact theory of the
front (`cait.front`, `cait.fronts.potentiostatic_depth`), which leaves out the width of the front
and the Debye length: its error is of the order of either over the depth. Prints how many draws
raise an error, how many are wrong, and how honest the estimates are; `tests/test_range.py` runs a
few.
With ``sequels`` every draw is run, and judged is what follows from it: a second run with a third
ion, or a run with a record in the place of the constant drive.
"""

import sys

import numpy as np
from scipy.constants import e, k

import cait_helpers as cait
from cait_helpers.npp import difference

N = 1.38e28  # m^-3
STRONGEST = 3e9  # V/m; thin films of glass break down near 1e9


def draws(count: int, seed: int = 1):
    """Random problems, as arguments of `cait.simulate`, each with its exact front.

    The parameters are drawn over the whole range of the solver. Left out are those that describe
    no experiment: a charge that replaces more than half of the glass or pushes the foreign ions
    through four fifths of it, and a field in the replaced zone that no glass bears.
    """
    rng = np.random.default_rng(seed)

    def between(low, high):
        return float(np.exp(rng.uniform(np.log(low), np.log(high))))

    found = 0
    while found < count:
        ratio, thickness, depth = between(1e-6, 1e2), between(1e-7, 2e-3), between(1e-9, 3e-6)
        temperature, voltage = rng.uniform(250, 500), between(0.1, 500)
        D_bulk = between(1e-22, 1e-14)
        law = D_bulk
        if rng.random() < 0.8:
            sed = cait.gaussian_sed(rng.uniform(0.05, 0.4))
            law = cait.activated_diffusivity(sed, D_bulk, temperature, rng.uniform(0.5, 0.99))
        glass = cait.Glass(thickness, N, between(4, 80), temperature)
        potentiostatic = bool(rng.integers(2))
        front = cait.front(law, ratio * D_bulk)
        lead = (
            float(front._speed_of(np.asarray(1.0))) if front.kind == "rarefaction" else front.speed
        )
        field = max(front.resistance, 1 / ratio, 1.0) * voltage / thickness
        if depth > 0.5 * thickness or lead * depth > 0.8 * thickness or field > STRONGEST:
            continue
        found += 1
        ohmic = e**2 * N * D_bulk / (k * temperature) * voltage / thickness
        yield (
            front,
            {
                "glass": glass,
                "ions": {"native": law, "foreign": ratio * D_bulk},
                "native": "native",
                "beam": "foreign",
                "drive": cait.Voltage(voltage) if potentiostatic else cait.CurrentDensity(ohmic),
                "until": cait.Charge(depth * e * N),
            },
        )


def sequels(count: int, rtol: float, seed: int = 1):
    """Second runs with an ion up to a hundred times as fast as the first, and records, in turn."""
    rng = np.random.default_rng(1000 + seed)
    for number, (_, call) in enumerate(draws(count, seed)):
        try:
            first = cait.simulate(**call, rtol=rtol)
        except cait.SimulationError:
            continue
        if number % 2:
            if first.time[-1] > 1e12:  # longer than a Duration may be
                continue
            level, points = float(call["drive"].value), int(rng.integers(5, 14))
            time = np.sort(np.append(rng.uniform(0, 1, points - 2), [0, 1])) * first.time[-1]
            record = type(call["drive"])(level * rng.uniform(0.2, 1.5, points), time)
            yield None, call | {"drive": record, "until": cait.Duration(first.time[-1])}
        else:
            second = call["ions"]["foreign"] * 100 ** rng.uniform(-1, 1)
            until = cait.Charge(call["until"].value * rng.uniform(0.2, 1))
            ions = call["ions"] | {"second": second}
            yield None, call | {"ions": ions, "beam": "second", "start": first, "until": until}


def against_theory(front, call, run) -> dict[str, tuple[float, float]]:
    """Relative deviation from the exact theory, and what the width of the front excuses."""
    if front is None:
        return {}
    glass, depth = call["glass"], run.replaced_depth
    excuse = 4 * (run.stats.decay_length + glass.debye_length) / depth
    if front.kind == "rarefaction" or excuse > 0.02:
        return {}
    place = front.speed * depth
    found = {"front": (run.front_depth / place - 1, excuse)}
    inside = np.linspace(0.3, 0.9, 25)
    y = run.at(run.native, inside * run.front_depth)
    exact = front.fan(inside * front.speed)
    scale = max(float(exact.mean()), 0.03)
    # a plateau is approached like the width over the distance, and S is steep there
    found["plateau"] = (float(np.abs(y - exact).mean()) / scale, 10 * excuse)
    if isinstance(call["drive"], cait.Voltage):
        voltage = float(call["drive"].value)
        d, j = cait.fronts.potentiostatic_depth(
            front, run.time[-1], voltage, glass.thickness, N, glass.temperature
        )
        # diffusion potentials are left out: some kT/e of the voltage
        potential = 15 * glass.thermal_voltage / voltage
        found["time"] = (float(d) / place - 1, excuse + potential)
        found["current"] = (float(j) / run.current_density[-1] - 1, excuse + potential)
    return found


def study(problems, rtol: float) -> dict:
    """Simulate and judge the ``problems``, pairs of an exact front and arguments.

    Returns
    -------
    dict
        Texts of ``refused`` runs (the model ends there: foreign ions at the back, a voltage that
        drives no current), other ``failed`` ones, ``wrong`` ones (deviations) and ``unjudged`` ones
        (the finer mesh failed); ``honest``, the share of the runs whose true error is below twice
        the estimate; ``cells`` and ``steps`` (medians); ``judged``, the number of comparisons with
        the theory; ``runs``.
    """
    found = {key: [] for key in ("refused", "failed", "wrong", "unjudged")}
    ratios, cells, steps, judged = [], [], [], 0
    for number, (front, call) in enumerate(problems):
        try:
            run = cait.simulate(**call, rtol=rtol)
        except cait.SimulationError as error:
            refused = "to the back electrode" in str(error) or "diffusion alone" in str(error)
            found["refused" if refused else "failed"].append(f"{number}: {error}")
            continue
        cells.append(run.stats.cells)
        steps.append(run.stats.steps)
        fine = None
        # The judge may be stuck as well. Without a front it takes more care, as the run did.
        for tolerance in (0.1, 0.4) if run.front_depth > 0 else (0.01, 0.1):
            most = min(4 * run.stats.cells, 5000)
            try:
                fine = cait.simulate(**call, rtol=max(tolerance * rtol, 1e-5), mesh=most)
                break
            except cait.SimulationError as error:
                stuck = error
        if fine is None:
            found["unjudged"].append(f"{number}: the finer mesh: {stuck}")
            continue
        true = difference(run, fine)
        if max(true.values()) > rtol:
            found["wrong"].append(f"{number}: {true} from the finer mesh, {run.stats.cells} cells")
        ratios.append(max(true.values()) / max(run.stats.estimated_error.values()))
        for name, (deviation, excuse) in against_theory(front, call, run).items():
            judged += 1
            if abs(deviation) > rtol + excuse:
                found["wrong"].append(
                    f"{number}: {name} {deviation:.2g} from theory, {excuse:.2g} excused"
                )
    return found | {
        "honest": float(np.mean(np.array(ratios) < 2)),
        "cells": float(np.median(cells)),
        "steps": float(np.median(steps)),
        "judged": judged,
        "runs": len(cells) + len(found["refused"]) + len(found["failed"]),
    }


if __name__ == "__main__":
    followed = sys.argv[-1] == "sequels"
    given = [float(text) for text in (sys.argv[1:-1] if followed else sys.argv[1:])]
    count, rtol, seed = (*given, *(300, 1e-3, 1)[len(given) :])
    count, seed = int(count), int(seed)
    result = study(sequels(count, rtol, seed) if followed else draws(count, seed), rtol)
    for key in ("refused", "failed", "unjudged", "wrong"):
        for text in result[key]:
            print(f"{key} {text}")
    print(
        f"{result['runs']} runs at rtol = {rtol:g}: {len(result['refused'])} refused,"
        f" {len(result['failed'])} failed, {len(result['unjudged'])} unjudged,"
        f" {len(result['wrong'])} deviations beyond rtol ({result['judged']} comparisons with the"
        f" theory), true error below twice the estimate in {result['honest']:.1%}; median"
        f" {result['cells']:.0f} cells, {result['steps']:.0f} steps"
    )
