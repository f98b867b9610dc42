"""How far a simulation can be trusted: random problems of the whole range, against two judges.

    python benchmarks/range_study.py [--draws 300] [--rtol 1e-3] [--seed 1]
                                     [--sequels | --low | --stress]

Each draw is simulated as a user would, with its error estimate. The first judge is the same
problem on four times as many cells at a tenth of the tolerance; the second the exact theory of the
front (`cait.front`, `cait.fronts.potentiostatic_depth`), which leaves out the width of the front
and the Debye length: its error is of the order of either over the depth, and what exceeds the usual
multiple of that must vanish as either over the depth does. Prints how many draws raise an error,
how many are wrong, and how honest the estimates are; `tests/test_range.py` runs a few.
With ``--sequels`` every draw is run, and judged is what follows from it: a second run with a third
ion, or a run with a record in the place of the constant drive. With ``--low`` all draws have
plateaus between 1e-4 and 1e-3, and fronts sharp enough for the theory. With ``--stress`` first,
second and third runs, with up to four ions, are asked for any rtol from 1e-2 to 1e-5; there is no
judge, but whatever comes back must be conserved, not negative and resolved.
"""

import argparse
import time

import numpy as np
from scipy.constants import e, epsilon_0, k

import cait_helpers as cait
from cait_helpers.npp import difference

N = 1.38e28  # m^-3
STRONGEST = 3e9  # V/m; thin films of glass break down near 1e9


def draws(count: int, seed: int = 1, low: bool = False):
    """Random problems, as arguments of `cait.simulate`, each with its exact front.

    The parameters are drawn over the whole range of the solver. Left out are those that describe
    no experiment: a charge that replaces more than half of the glass or pushes the foreign ions
    through four fifths of it, and a field in the replaced zone that no glass bears. With ``low``
    only those are kept that leave plateaus of less than a permille behind sharp fronts.
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
        ohmic = e**2 * N * D_bulk / (k * temperature) * voltage / thickness
        if low:
            sharp = 4 * (ratio * D_bulk * e * N / ohmic + glass.debye_length) < 0.01 * depth
            if front.kind != "shock" or not 1e-4 < front.plateau < 1e-3 or not sharp:
                continue
        found += 1
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
    """Second runs with an ion up to a hundred times as fast as the first, and records, in turn.

    Left out are second runs beyond the same limits of charge and field as the first ones, and
    records with voltages that would drive a current backwards: no beam takes ions out of a glass.
    """
    rng = np.random.default_rng(1000 + seed)
    for number, (front, call) in enumerate(draws(count, seed)):
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
            if isinstance(record, cait.Voltage) and _floats(call, record):
                continue
            yield None, call | {"drive": record, "until": cait.Duration(first.time[-1])}
        else:
            second = call["ions"]["foreign"] * 100 ** rng.uniform(-1, 1)
            until = cait.Charge(call["until"].value * rng.uniform(0.2, 1))
            ions = call["ions"] | {"second": second}
            if _beyond(front, call, first, second, until):
                continue
            yield None, call | {"ions": ions, "beam": "second", "start": first, "until": until}


def _floats(call, record) -> bool:
    """Whether a recorded voltage falls to a tenth above the diffusion potential of a whole front.

    That is kT/e times the integral of (D - D_foreign) / (D y + D_foreign (1 - y)) over the native
    fraction y, at which no current flows. Its logarithms ask for even steps of ln y at both ends.
    """
    law, foreign = call["ions"]["native"], call["ions"]["foreign"]
    small = np.geomspace(1e-9, 0.5, 2000)
    y = np.append(small, 1 - small[-2::-1])
    D = law(y) if callable(law) else np.full(y.size, law)
    steps = (D - foreign) / (D * y + foreign * (1 - y))
    floating = call["glass"].thermal_voltage * float(np.trapezoid(steps, y))
    return float(record.value.min()) < 1.1 * floating


def _beyond(front, call, first, second: float, until) -> bool:
    """Whether a second run pushes foreign ions through the glass, or asks for too strong a field.

    They run ahead of the charge like the first front, or as far as the second are faster than the
    native ions, and diffuse ahead of that: a permille of them is seven lengths D/v away, or sooner
    4.4 times the root of D t. The field is at most that in a glass with nothing but the slower
    foreign ion, at the largest current of the first run.
    """
    glass, ions = call["glass"], call["ions"]
    law = ions["native"]
    bulk = float(law(1.0)) if callable(law) else law
    lead = max(second / bulk, ions["foreign"] / bulk, front.speed or 1.0)
    depth = first.replaced_depth + until.value / (e * glass.ion_density)
    slowest = min(second, ions["foreign"])
    current = first.current_density.max()
    field = current * glass.thermal_voltage / (slowest * e * glass.ion_density)
    length = max(second, ions["foreign"]) * e * glass.ion_density / first.current_density[-1]
    tail = min(7 * length, 4.4 * (length * depth) ** 0.5)
    at_back = lead * depth > min(0.8 * glass.thickness, glass.thickness - tail)
    return at_back or field > STRONGEST


def against_theory(front, call, run, rtol: float) -> dict[str, tuple[float, float]]:
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
    # place by place; a plateau is approached like the width over the distance, and S is steep there
    found["plateau"] = (float((np.abs(y - exact) / (exact + 1e-6 / rtol)).mean()), 10 * excuse)
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


def deeper(front, call, run, rtol: float) -> dict[str, float]:
    """Deviation from the theory of a front four times as deep, at the current of the end.

    What the width of a front makes falls there to little more than a quarter, for it goes like
    the width over the depth and the logarithm of that; an error of the solver stays.
    """
    glass, depth = call["glass"], 4 * call["until"].value
    thickness = min(4 * glass.thickness, 5e-3)
    how = {
        "glass": cait.Glass(thickness, N, glass.permittivity, glass.temperature),
        "drive": cait.CurrentDensity(float(run.current_density[-1])),
        "until": cait.Charge(depth),
    }
    again = cait.simulate(**(call | how), rtol=rtol)
    return {name: one[0] for name, one in against_theory(front, call | how, again, rtol).items()}


def study(problems, rtol: float) -> dict:
    """Simulate and judge the ``problems``, pairs of an exact front and arguments.

    Returns
    -------
    dict
        Texts of ``refused`` runs (the model ends there: foreign ions at the back, a voltage that
        drives no current), other ``failed`` ones, ``wrong`` ones (deviations), ``wide`` ones (a
        deviation from the theory that is the front's width) and ``unjudged`` ones (the finer mesh
        failed); ``shares``, the true error over the estimate of each run; ``cells``
        and ``steps`` (medians); ``judged``, how many comparisons with the theory there were of each
        kind; ``runs``.
    """
    found = {key: [] for key in ("refused", "failed", "wrong", "wide", "unjudged")}
    shares, cells, steps, judged = [], [], [], {}
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
        shares.append(max(true.values()) / max(run.stats.estimated_error.values()))
        for name, (deviation, excuse) in against_theory(front, call, run, rtol).items():
            judged[name] = judged.get(name, 0) + 1
            if abs(deviation) > rtol + excuse:
                if name in ("front", "plateau"):
                    if abs(deeper(front, call, run, rtol)[name]) < 0.4 * abs(deviation):
                        found["wide"].append(f"{number}: {name} {deviation:.2g} from theory")
                        continue
                found["wrong"].append(
                    f"{number}: {name} {deviation:.2g} from theory, {excuse:.2g} excused"
                )
    return found | {
        "shares": np.array(shares),
        "cells": float(np.median(cells)),
        "steps": float(np.median(steps)),
        "judged": judged,
        "runs": len(cells) + len(found["refused"]) + len(found["failed"]),
    }


def faults_of(run) -> list[str]:
    """What a run that came back must never show, whatever was asked for; empty if all is well."""
    found = list(run.doubts)
    brought = float(run.charge[-1]) / e
    gained = {ion: run.amount(ion) - run.initial_amount[ion] for ion in run.fraction}
    for ion, number in gained.items():
        wanted = brought if ion == run.beam else 0.0
        if ion != run.native and not abs(number - wanted) < 1e-8 * brought:
            found.append(f"{ion}: {number:.6g} more ions per m^2, not {wanted:.6g}")
        lowest = float(run.fraction[ion].min())
        if not lowest > -1e-12:
            found.append(f"{ion}: a fraction of {lowest:.2g}")
    # No field outside the front: all charge of the glass is the flux through its back.
    glass = run.glass
    charge = sum(run.amount(ion) for ion in run.fraction) - N * glass.thickness
    flux = epsilon_0 * glass.permittivity * run.potential[-1] / (glass.thickness - run.x[-1]) / e
    if not abs(charge - flux) < 1e-8 * brought + 1e-12 * N * glass.thickness:
        found.append(f"charge: {charge:.6g} ions per m^2, not {flux:.6g}")
    return found


def stress(count: int, seed: int = 1) -> dict:
    """Run ``count`` problems of every kind at any rtol, without a judge.

    Returns
    -------
    dict
        ``returned``, how many came back; texts of those with ``faults`` and of the ``refused``
        ones; ``slowest`` (s of the processor), the longest of all calls.
    """
    _, call = next(draws(1))
    for more in ((), ("second",), ("second", "third")):  # compiled before the clock runs
        ions = call["ions"] | dict.fromkeys(more, call["ions"]["foreign"])
        cait.simulate(**call | {"ions": ions})
    rng = np.random.default_rng(2000 + seed)
    found = {"returned": 0, "faults": [], "refused": [], "slowest": 0.0}
    number = 0

    def tried(what: str, call: dict, rtol: float):
        nonlocal number
        if number == count:
            return None
        number, started, run = number + 1, time.process_time(), None
        try:
            run = cait.simulate(**call, rtol=rtol)
        except cait.SimulationError as error:
            found["refused"].append(f"{number} ({what}, rtol = {rtol:.1g}): {error}")
        found["slowest"] = max(found["slowest"], time.process_time() - started)
        if run is not None:
            found["returned"] += 1
            faults = faults_of(run)
            if faults:
                found["faults"].append(f"{number} ({what}, rtol = {rtol:.1g}): {'; '.join(faults)}")
        return run

    for front, call in draws(count, seed):
        rtol = float(10 ** rng.uniform(-5, -2))
        run = tried("first run", call, rtol)
        if run is None:
            continue
        ions, slower, until = call["ions"], call["ions"]["foreign"], call["until"].value
        for name in ("second", "third"):
            D = ions["foreign"] * 100 ** rng.uniform(-1, 1)
            charge = cait.Charge(until * rng.uniform(0.2, 1))
            known = call | {"ions": ions | {"foreign": slower}}
            if _beyond(front, known, run, D, charge):
                break
            ions, slower = ions | {name: D}, min(slower, D)
            again = call | {"ions": ions, "beam": name, "start": run, "until": charge}
            run = tried(f"{name} ion", again, rtol)
            if run is None:
                break
        if number == count:
            break
    return found


def main() -> None:
    """Read the options, run the study and print what it finds."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--draws", type=int, default=300)
    parser.add_argument("--rtol", type=float, default=1e-3)
    parser.add_argument("--seed", type=int, default=1)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--sequels", action="store_true", help="judge what follows from each draw")
    kind.add_argument("--low", action="store_true", help="plateaus between 1e-4 and 1e-3 alone")
    kind.add_argument("--stress", action="store_true", help="every kind at any rtol, no judge")
    options = parser.parse_args()
    if options.stress:
        found = stress(options.draws, options.seed)
        for text in (*found["refused"], *found["faults"]):
            print(text)
        print(
            f"{options.draws} runs: {found['returned']} came back, {len(found['faults'])} of them"
            f" with faults, {len(found['refused'])} refused; the slowest took"
            f" {found['slowest']:.1f} s"
        )
        return
    if options.sequels:
        problems = sequels(options.draws, options.rtol, options.seed)
    else:
        problems = draws(options.draws, options.seed, options.low)
    result = study(problems, options.rtol)
    for key in ("refused", "failed", "unjudged", "wide", "wrong"):
        for text in result[key]:
            print(f"{key} {text}")
    shares = result["shares"]
    print(
        f"{result['runs']} runs at rtol = {options.rtol:g}: {len(result['refused'])} refused,"
        f" {len(result['failed'])} failed, {len(result['unjudged'])} unjudged,"
        f" {len(result['wrong'])} deviations beyond rtol; comparisons with the theory:"
        f" {', '.join(f'{count} {name}' for name, count in result['judged'].items()) or 'none'};"
        f" true error over the estimate: median {np.median(shares):.2f}, above 1 in"
        f" {np.mean(shares > 1):.1%}, above 2 in {np.mean(shares > 2):.1%}; median"
        f" {result['cells']:.0f} cells, {result['steps']:.0f} steps"
    )


if __name__ == "__main__":
    main()
