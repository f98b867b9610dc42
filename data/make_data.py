"""Compute the data of this folder: three CAIT runs on Li3B7O12 and their SIMS profiles.

The raw data behind the published profiles are not public. This script makes exports of the same
kind from the published numbers: it simulates each run, lets a model of the SIMS instrument look
at the final profile, and writes what the instrument would have exported. It shares the
Nernst-Planck-Poisson solver with the analysis, and nothing else: landscape, depth resolution,
counting and file formats are written here again, so that a mistake in the analysis cannot hide
in the data.

    python data/make_data.py [folder]      writes the files bit for bit as they stand here
    python data/make_data.py --simulate    runs the simulations again, into truth.json

An adaptive solver repeats itself to the last bit on one kind of processor only. So the runs are
stored, rounded, in truth.json, and the files follow from there; a test simulates the runs anew and
compares them within the accuracy that the solver claims.
"""

import json
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.constants import e, k
from scipy.special import erf, ndtri

from cait_helpers.npp import Charge, Glass, Voltage, simulate

# The glass. Density and permittivity are estimates for this composition; the width of the site
# energy distribution, the vacancy share and the plateaus are those of doi 10.1039/d4cp00262h.
GLASS = Glass(thickness=0.5e-3, ion_density=1.38e28, permittivity=8.0, temperature=323.15)
D_BULK = 1e-18  # m^2/s
FWHM = 0.250  # eV
OCCUPANCY = 0.90  # occupied share of all sites
AREA = 0.20e-4  # m^2

# The instrument.
CYCLE = 2.0  # s
SLICE = 1.0e-9  # m of glass a cycle
CYCLES = 220
PULSES = 65536  # primary pulses a cycle: one shot into each of 256 x 256 pixels
RESOLUTION = 2.5e-9  # m, standard deviation
TRANSIENT = 3.0e-9  # m, decay length of the pre-equilibrium effect
COUNTS = {"Li+": 20000.0, "B+": 9000.0, "Na+": 25.0}  # a cycle, in untouched glass
EXCESS = {"Li+": -0.35, "B+": -0.45, "Na+": 60.0}  # of the signal at the surface
BACKGROUND = 2.0  # counts a cycle and channel
MASS = {"Li+": 7.0160, "B+": 11.0093, "Na+": 22.9898, "K+": 38.9637, "Rb+": 84.9118,
        "Cs+": 132.9054}


@dataclass(frozen=True)
class Experiment:
    """One run and its measurement; ``counts`` is the foreign signal of fully replaced glass."""

    ion: str
    log_ratio: float  # log10 of D_foreign over D_bulk
    voltage: float  # V
    charge: float  # C/m^2
    counts: float
    seed: int


EXPERIMENTS = (
    Experiment("K", -3.42, 10.0, 200.0, 14000.0, 20241),
    Experiment("Rb", -4.19, 10.0, 215.0, 16000.0, 20242),
    Experiment("Cs", -4.89, 20.0, 221.0, 11000.0, 20243),
)


def diffusivity(fraction):
    """Eqn (2) for a Gaussian distribution that is filled from the bottom."""
    width = FWHM / np.sqrt(8 * np.log(2))
    level = width * (ndtri(OCCUPANCY * np.minimum(fraction, 1.0)) - ndtri(OCCUPANCY))
    return D_BULK * np.exp(level * e / (k * GLASS.temperature))


def simulated(experiment):
    """Simulate one experiment, more precisely than the counts could tell.

    Returns lists: cell boundaries (nm), fractions of both ions, time (s), current density (A/m^2).
    """
    run = simulate(
        GLASS,
        ions={"Li": diffusivity, experiment.ion: D_BULK * 10**experiment.log_ratio},
        native="Li",
        beam=experiment.ion,
        drive=Voltage(experiment.voltage),
        until=Charge(experiment.charge),
        rtol=3e-4,
    )
    arrays = {
        "nodes": run.nodes * 1e9,
        "native": run.fraction["Li"],
        "foreign": run.fraction[experiment.ion],
        "time": run.time,
        "current_density": run.current_density,
    }
    return {name: [float(f"{v:.7g}") for v in values] for name, values in arrays.items()}


def stored():
    """The runs of truth.json by foreign ion, as arrays in SI units."""
    runs = json.loads(Path(__file__).with_name("truth.json").read_text())
    for run in runs.values():
        for name, values in run.items():
            run[name] = np.array(values) * (1e-9 if name == "nodes" else 1)
    return runs


def seen(nodes, fraction):
    """Mean over each sputter cycle of the profile as the instrument blurs it.

    The profile is constant in each cell of the simulation: a sum of steps, whose blurred means
    are differences of the integral of the error function. Above the surface it goes on.
    """
    edges = np.arange(CYCLES + 1) * SLICE
    steps = np.diff(fraction)
    z = (edges[:, None] - nodes[None, 1:-1]) / RESOLUTION
    primitive = RESOLUTION * (
        0.5 * z * (1 + erf(z / np.sqrt(2))) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi)
    )
    return fraction[0] + np.diff(primitive @ steps) / SLICE


def expected(experiment, result):
    """Counts a cycle and channel that the instrument expects before its dead time."""
    depth = (np.arange(CYCLES) + 0.5) * SLICE
    progress = np.arange(CYCLES) / CYCLES
    drift = 1 - 0.08 * progress + 0.003 * np.sin(9 * progress)  # of the primary beam
    foreign = f"{experiment.ion}+"
    level = COUNTS | {foreign: experiment.counts}
    excess = EXCESS | {foreign: -0.40}
    content = {ion: np.ones(CYCLES) for ion in level}
    content["Li+"] = seen(result["nodes"], result["native"])
    content[foreign] = seen(result["nodes"], result["foreign"])
    surface = np.exp(-depth / TRANSIENT)
    return {
        ion: level[ion] * content[ion] * drift * (1 + excess[ion] * surface) + BACKGROUND
        for ion in sorted(level, key=MASS.get)
    }


def surfacelab(rates, rng, corrected=(), comma=False):
    """ION-TOF SurfaceLab text: three header lines, tabs, dead time counted as it happens."""
    counts = {}
    for ion, rate in rates.items():
        found = rng.binomial(PULSES, -np.expm1(-rate / PULSES))  # one ion a pulse at most
        counts[ion] = -PULSES * np.log1p(-found / PULSES) if ion in corrected else found
    time = np.arange(CYCLES) * CYCLE
    total = np.round(sum(counts.values()) * 1.3)
    quantity = ["Intensity (Raw)"] + [
        "Intensity (Raw. Poisson Corrected)" if ion in corrected else "Intensity (Raw)"
        for ion in counts
    ]
    lines = [
        "\t".join(["", "total", *counts]),
        "\t".join(["", "", *(f"{MASS[ion]:.4f}" for ion in counts)]),
        "\t".join(["Sputter Time (s)", *quantity, ""]),
    ]
    for m in range(CYCLES):
        cells = [f"{time[m]:.4f}", f"{total[m]:g}", *(f"{c[m]:.7g}" for c in counts.values())]
        lines.append("\t".join([*cells, ""]))
    text = "\r\n".join(lines) + "\r\n"
    return text.replace(".", ",") if comma else text


def cameca(rates, rng, name):
    """CAMECA ASCII: one species after another, each with a time axis of its own."""
    count_time, settle = 0.30, 0.20  # s for each species in turn
    species = list(rates)
    sequence = len(species) * (count_time + settle)
    number = int(CYCLES * CYCLE / sequence)
    columns = []
    for place, ion in enumerate(species):
        start = np.arange(number) * sequence + place * (count_time + settle)
        at = np.interp(start + count_time / 2, (np.arange(CYCLES) + 0.5) * CYCLE, rates[ion])
        found = rng.poisson(at / CYCLE * count_time) / count_time  # counts a second
        columns += [start + count_time / 2, np.maximum(found, 1e-3)]  # a zero is written as 1e-3
    rule = "*** {} ***"
    lines = [
        rule.format("DATA FILES"),
        "",
        f"Raw data file name(s);{name}.dp",
        "Sample ID;Li3B7O12",
        "Analysis date;computed",
        "",
        rule.format("DATA START"),
        "",
        f"{name}.dp",
        "".join(f"{ion.rstrip('+')};;;" for ion in species),
        ";".join(["Time[s]", "Depth[nm]", "I[cnt/s]"] * len(species)),
    ]
    for m in range(number):
        pairs = zip(columns[::2], columns[1::2], strict=True)
        lines.append(";".join(f"{t[m]:.5E};;{c[m]:.5E}" for t, c in pairs))
    lines += ["", rule.format("DATA END"), "", rule.format("ACQUISITION PARAMETERS"), ""]
    lines += [
        f"Total sputtering time (s);{CYCLES * CYCLE:g}",
        "Crater depth measurement;Yes",
        f"Total depth (nm);{CYCLES * SLICE * 1e9:g}",
        "",
        rule.format(f"MEASUREMENT CONDITIONS, {name}.dp"),
        "",
        "Species;Mass (amu);Mass (field);Detector;WT(s);Extra WT(s);CT(s);Offset",
    ]
    lines += [f"{ion.rstrip('+')};{MASS[ion]:.4f};0;EM;{settle:.2f};0;{count_time:.2f};0"
              for ion in species]
    return "\r\n".join(lines) + "\r\n"


def recorded_current(result, rng):
    """The electrometer's record: 200 readings with a noise of 0.5 %."""
    time = np.linspace(0, result["time"][-1], 200)
    current = np.interp(time, result["time"], result["current_density"]) * AREA
    current *= 1 + 0.005 * rng.standard_normal(time.size)
    lines = ["# Backside current, computed: see README.md", "time / s, current / A"]
    lines += [f"{t:.3f}, {i:.5e}" for t, i in zip(time, current, strict=True)]
    return "\n".join(lines) + "\n"


def case(experiment, result, profile, channels, pulses, background):
    """The metadata file of one profile."""
    conductivity = D_BULK * GLASS.ion_density * e**2 / (k * GLASS.temperature)
    native, foreign, matrix = channels
    lines = [
        f'title = "{experiment.ion}+ on Li3B7O12 (computed)"',
        f'profile = "{profile}"',
        f'current = "{experiment.ion.lower()}_on_lbo_current.csv"',
        "",
        "[ions]",
        f'native = "{native}"',
        f'foreign = "{foreign}"',
        f'matrix = "{matrix}"',
        "",
        "[glass]",
        f"thickness = {GLASS.thickness}  # m",
        f"ion_density = {GLASS.ion_density:.3g}  # m^-3",
        f"permittivity = {GLASS.permittivity}",
        f"temperature = {GLASS.temperature}  # K",
        f"area = {AREA:.3g}  # m^2",
        f"conductivity = {conductivity:.4g}  # S/m, of the untouched glass",
        "",
        "[run]",
        f"voltage = {experiment.voltage}  # V",
        f"duration = {np.floor(result['time'][-1])}  # s",
        "",
        "[sims]",
        f"crater_depth = {CYCLES * SLICE:.4g}  # m",
        f"resolution = {RESOLUTION:.3g}  # m, standard deviation",
        "transient = 12e-9  # m",
        f"background = {background:.3g}  # counts a cycle",
    ]
    if pulses:
        lines.append(f"pulses = {PULSES}  # primary pulses a cycle: dead time is still to correct")
    return "\n".join(lines) + "\n"


def files():
    """Yield the name and the text of every file."""
    runs = stored()
    for experiment in EXPERIMENTS:
        rng = np.random.default_rng(experiment.seed)
        result = runs[experiment.ion]
        rates = expected(experiment, result)
        stem = f"{experiment.ion.lower()}_on_lbo"
        foreign = f"{experiment.ion}+"
        corrected = tuple(rates) if experiment.ion == "Cs" else ()
        yield f"{stem}.txt", surfacelab(rates, rng, corrected, comma=experiment.ion == "Rb")
        yield f"{stem}_current.csv", recorded_current(result, rng)
        yield f"{stem}.toml", case(
            experiment, result, f"{stem}.txt", ("Li+", foreign, "B+"), not corrected, BACKGROUND
        )
        if experiment.ion == "Rb":
            yield f"{stem}_cameca.asc", cameca(rates, rng, "RB_LBO")
            yield f"{stem}_cameca.toml", case(
                experiment,
                result,
                f"{stem}_cameca.asc",
                ("Li", "Rb", "B"),
                False,
                BACKGROUND * 0.3 / CYCLE,
            )


if __name__ == "__main__":
    if "--simulate" in sys.argv:
        runs = {experiment.ion: simulated(experiment) for experiment in EXPERIMENTS}
        Path(__file__).with_name("truth.json").write_text(json.dumps(runs) + "\n")
    else:
        folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
        for name, text in files():
            (folder / name).write_bytes(text.encode("latin-1"))
            print(name)
