"""Numba changes no result: whole runs in plain Python, in a process of their own, bit for bit."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np

import cait_helpers as cait
from cait_helpers import kernels, lattice, npp
from cait_helpers.pair import pair_landscape
from cait_helpers.pair_walk import walk_pair

GLASS = npp.Glass(1e-3, 1.4e28, 8.0, 323.15)


def runs():
    """Short runs of the solver, by name: each takes a way through it of its own."""
    sharp = cait.activated_diffusivity(cait.gaussian_sed(0.25), 1e-18, GLASS.temperature, 0.93)
    ions = {"Li": sharp, "Rb": 1e-22}
    first = {"glass": GLASS, "native": "Li", "rtol": 0.1}
    volts = npp.Voltage([10.0, 12.0, 8.0], time=[0.0, 100.0, 300.0])
    back = npp.simulate(
        **first, ions=ions, beam="Rb", drive=npp.Voltage(10.0), until=npp.Charge(100.0), mesh=30
    )
    yield "voltage", back
    yield "second", npp.simulate(
        **first, ions=ions | {"K": 1e-21}, beam="K", drive=npp.CurrentDensity(1.0),
        until=npp.Charge(50.0), mesh=30, start=back,
    )  # fmt: skip
    yield "record", npp.simulate(
        **first, ions=ions, beam="Rb", drive=volts, until=npp.Duration(300.0), mesh=30,
        hop_length={"Rb": 1e-9},
    )  # fmt: skip
    yield "resolved", npp.simulate(
        **first, ions={"Li": 1e-18, "Rb": 1e-19}, beam="Rb", drive=npp.Voltage(5.0),
        until=npp.Charge(20.0),
    )  # fmt: skip
    fixed = np.linspace(0, GLASS.thickness, 41) * np.linspace(0, 1, 41) ** 4
    yield "fixed", npp.simulate(
        **first, ions={"Li": 1e-18, "Rb": 2e-18}, beam="Rb", drive=npp.Voltage(5.0),
        until=npp.Charge(20.0), mesh=fixed,
    )  # fmt: skip


def results():
    """What compiled functions leave behind, by name."""
    found = {}
    for name, run in runs():
        found |= {f"{name} {ion}": fraction for ion, fraction in run.fraction.items()}
        found |= {f"{name} {key}": getattr(run, key) for key in ("x", "time", "current_density")}
    with np.errstate(over="ignore"):  # the generator of random numbers lives on it
        walk = lattice.walk_lattice("sc", 3, size=4, attempts=20_000, blocks=8)
        found["lattice"] = np.array([walk.D_tracer, walk.D_sigma])
        small = {"seed": 2, "size": 4, "jumps": 16, "landscapes": 8}
        sed = cait.gaussian_sed(0.1)
        walk = lattice.walk_landscape(sed, 0.5, 600.0, lattice="square", **small)
        found["landscape"] = np.array([walk.D_tracer, walk.D_sigma])
        pair = walk_pair(pair_landscape(sed, sed, 0.5), 0.5, 600.0, lattice="square", **small)
        found["pair"] = pair.L
        found["watched"] = np.concatenate([a.ravel() for a in lattice.watch_walk("sc", 0.3, 9, 1)])
    return found


def test_whole_runs_are_the_same_in_plain_python(tmp_path):
    """Not a bit differs in meshes, profiles, currents and walks."""
    place = tmp_path / "plain.npz"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1"}
    subprocess.run([sys.executable, Path(__file__), place], env=environment, check=True)
    compiled, plain = results(), np.load(place)
    assert set(compiled) == set(plain)
    for name, values in compiled.items():
        np.testing.assert_array_equal(values, plain[name], err_msg=name)


if __name__ == "__main__":
    assert not hasattr(kernels.advance, "py_func")  # not compiled, indeed
    np.savez(sys.argv[1], **results())
