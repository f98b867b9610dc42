"""The chapter on own profiles executed with cases that are not the book's: no cell fails."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from nbclient import NotebookClient
from slim import ROOT

import cait_helpers as cait
from cait_helpers.resolution import Resolution, blur

CHAPTER = ROOT / "chapters/your_profiles.ipynb"
CYCLES, STEP = 200, 2.0  # cycles, and seconds from one to the next
CRATER, SIGMA = 200e-9, 2.5e-9  # m
DEPTH = 90e-9  # of the front (m), about
BULK = 1e-18  # m^2/s
AREA = 2e-5  # m^2


def measured(foreign: str, log_ratio: float, fwhm: float, voltage: float, seed: int):
    """Counts (cycles,) of native, matrix and foreign, and time (s) and current (A): what was seen.

    Poisson counts of a simulated run behind a Gaussian resolution, on a matrix that drifts.
    """
    rng = np.random.default_rng(seed)
    glass = cait.Glass(thickness=5e-4, ion_density=1.38e28, permittivity=8, temperature=323.15)
    law = cait.activated_diffusivity(cait.gaussian_sed(fwhm), BULK, 323.15, 0.9)
    charge = 1.602e-19 * glass.ion_density * DEPTH
    run = cait.simulate(
        glass, ions={"Li": law, foreign: BULK * 10**log_ratio}, native="Li", beam=foreign,
        drive=cait.Voltage(voltage), until=cait.Charge(charge), rtol=1e-3,
    )  # fmt: skip
    edges = np.linspace(0, CRATER, CYCLES + 1)
    seen = blur(run.x, [run.fraction["Li"], run.fraction[foreign]], edges, Resolution(SIGMA))
    drift = 1 - 0.05 * np.linspace(0, 1, CYCLES)
    counts = [
        rng.poisson(level * drift * np.maximum(fraction, 0))
        for level, fraction in ((2e4, seen[0]), (9e3, np.ones(CYCLES)), (1.2e4, seen[1]))
    ]
    time = np.linspace(0, run.time[-1], 80)
    density = np.interp(time, run.time, run.current_density**-2.0) ** -0.5
    current = density * AREA * (1 + 2e-3 * rng.standard_normal(time.size))
    return counts, time, current


def write_csv(path: Path, counts, labels) -> None:
    rows = [
        f"{STEP * i:g}, " + ", ".join(map(str, row))
        for i, row in enumerate(np.transpose(counts).tolist())
    ]
    path.write_text("\n".join([f"time / s, {', '.join(labels)}", *rows]) + "\n")


def write_cameca(path: Path, counts, labels) -> None:
    """Species in turn, rates with three-digit exponents, half a second of counting each."""
    lines = ["*** DATA FILES ***", "", "Sample ID;own", "", "*** DATA START ***", "", "own.dp"]
    lines += [";;;".join(labels) + ";;;", ";".join(["Time[s];Depth[nm];I[cnt/s]"] * 3)]
    for i, row in enumerate(np.transpose(counts).tolist()):
        cells = [(STEP * i + 0.3 + 0.6 * j, count / 0.5) for j, count in enumerate(row)]
        lines.append(";".join(f"{t:.5E};;{max(rate, 1e-3):.5E}" for t, rate in cells))
    lines += ["*** DATA END ***", "", "*** MEASUREMENT PARAMETERS ***", "",
              f"Total sputtering time (s);{STEP * CYCLES:g}", "EM yield (%);100", "",
              "Species;Mass;CT(s);Detector"]  # fmt: skip
    lines += [f"{label};1.0;0.5;EM" for label in labels]
    path.write_text("\n".join([*lines, "*** DATA FILES END ***"]) + "\n")


def write_case(
    folder: Path, foreign: str, log_ratio: float, fwhm: float, voltage: float = 10.0,
    labels=("Li+", "B+", "{}+"), write=write_csv, name="profile.csv", more="", seed=1,
) -> Path:  # fmt: skip
    """An own case in a folder: export, current and case file; returns the last."""
    folder.mkdir(parents=True)
    counts, time, current = measured(foreign, log_ratio, fwhm, voltage, seed)
    labels = [label.format(foreign) for label in labels]
    write(folder / name, counts, labels)
    table = "\n".join(f"{t:.3f}, {i:.6e}" for t, i in zip(time, current, strict=True))
    (folder / "current.csv").write_text(f"time / s, current / A\n{table}\n")
    native, matrix, channel = labels
    path = folder / "case.toml"
    path.write_text(
        f"""title = "{foreign} on an own glass"
profile = "{name}"
current = "current.csv"
[ions]
native = "{native}"
foreign = "{channel}"
matrix = "{matrix}"
[glass]
thickness = 5e-4
ion_density = 1.38e28
permittivity = 8
temperature = 323.15
area = {AREA}
[run]
voltage = {voltage}
[sims]
crater_depth = {CRATER}
resolution = {SIGMA}
{more}
"""
    )
    return path


def execute(cases: list[Path], report: Path) -> None:
    """The chapter with its two lines changed, in the folder it lies in."""
    notebook = nbformat.read(CHAPTER, as_version=4)
    [cell] = [c for c in notebook.cells if "parameters" in c.metadata.get("tags", [])]
    first = next(c for c in notebook.cells if c.cell_type == "code")
    assert cell is first
    cell.source = f"case_files = {[str(path) for path in cases]}\nreport_folder = {str(report)!r}"
    NotebookClient(
        notebook, timeout=600, resources={"metadata": {"path": str(CHAPTER.parent)}}
    ).execute()


NO_DEAD_TIME = 'dead_time = "none"'


@pytest.mark.parametrize(
    "kind", ["caesium, 200 meV, CSV", "potassium cluster, CAMECA", "three runs"]
)
def test_the_chapter_runs_to_its_end_with_other_cases(kind, tmp_path):
    """For each, the width that was simulated lies near the one that is reported."""
    fwhm = 0.250
    if kind.startswith("caesium"):
        fwhm = 0.200
        cases = [write_case(tmp_path / "Cs", "Cs", -4.4, fwhm, 20.0, more=NO_DEAD_TIME)]
    elif kind.startswith("potassium"):
        labels = ("133Cs 7Li", "133Cs 11B", "133Cs 39K")
        cases = [write_case(tmp_path / "K", "K", -3.42, fwhm, labels=labels, write=write_cameca,
                            name="own.dp_rpc_asc")]  # fmt: skip
    else:
        runs = (("K", -3.42, 10.0), ("Rb", -4.19, 10.0), ("Cs", -4.89, 20.0))
        cases = [
            write_case(tmp_path / ion, ion, ratio, fwhm, voltage, more=NO_DEAD_TIME, seed=seed)
            for seed, (ion, ratio, voltage) in enumerate(runs)
        ]
    report = tmp_path / "report"
    execute(cases, report)
    found = json.loads((report / "fit.json").read_text(encoding="utf-8"))
    assert found["fwhm / eV"] == pytest.approx(fwhm, rel=0.06)  # the occupancy is free
    low, high = found["95 % intervals"]["fwhm"]
    assert low < fwhm < high
    page = (report / "report.html").read_text(encoding="utf-8")
    budget = found["error budget"]
    assert budget["sentence"] in page
    assert budget["95 % interval / eV"][0] < fwhm < budget["95 % interval / eV"][1]
    for number, path in enumerate(cases):
        name = next(p.name for p in path.parent.iterdir() if p.name.startswith(("profile", "own")))
        kept = report / "inputs" / str(number)
        for file in (path.name, name, "current.csv"):
            assert (kept / file).read_bytes() == (path.parent / file).read_bytes()
        assert path.read_text().splitlines()[0].split('"')[1] in page
    assert len(list(report.glob("profile_*.csv"))) == len(cases)
