"""Make a CAIT experiment whose truth is known, without any code of the analysis.

The data of this folder are simulated by the solver that the analysis fits with. A fit to them
cannot notice an error of that solver. So this module computes an experiment another way: the
electroneutral conservation law of the chapter on the front, in the self-similar coordinate depth
over replaced depth, where a fan stands still, by finite volumes and an off-the-shelf integrator
(scipy's LSODA). It has its own landscape, its own blur, its own counting, and it draws the errors
of crater depth, current and conductivity that a laboratory would have. Nothing is imported from
``cait_helpers``.

    python data/synthetic.py folder seed [fwhm in eV]    writes one triple of experiments
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.constants import e, k
from scipy.integrate import solve_ivp
from scipy.special import ndtr, ndtri

THICKNESS, DENSITY, AREA = 0.5e-3, 1.38e28, 0.2e-4  # m, m^-3, m^2
CYCLES, CYCLE, SLICE = 200, 2.0, 1.0e-9  # 200 cycles of 2 s and 1 nm
COUNTS, MATRIX, BACKGROUND = 20000.0, 9000.0, 2.0  # a cycle, in untouched glass
ERRORS = {"depth": 0.01, "current": 0.01, "conductivity": 0.02}  # relative, one sigma
READING = 0.005  # relative noise of a single reading of the current


@dataclass(frozen=True)
class Truth:
    """What an experiment was made with (eV, K, m^2/s, V, m)."""

    fwhm: float
    temperature: float
    occupancy: float
    D_bulk: float
    D_foreign: float
    voltage: float
    resolution: float
    charge_depth: float  # depth that the passed charge would replace completely


def native_diffusivity(truth, y):
    """Eqn (2) of the paper for a Gaussian filled from the bottom: D_Li(y)."""
    sigma = truth.fwhm / 2.3548200450309493
    level = sigma * (ndtri(truth.occupancy * np.clip(y, 1e-12, 1)) - ndtri(truth.occupancy))
    return truth.D_bulk * np.exp(level * e / (k * truth.temperature))


def foreign_diffusivity(fwhm, temperature, occupancy, D_bulk, plateau):
    """The tangent law d(y D_Li)/dy = D_M at the plateau, with the slope of ndtri written out."""
    sigma = fwhm / 2.3548200450309493 * e / (k * temperature)
    z = ndtri(occupancy * plateau)
    slope = sigma * occupancy * plateau * np.sqrt(2 * np.pi) * np.exp(z**2 / 2)
    return D_bulk * np.exp(sigma * (z - ndtri(occupancy))) * (1 + slope)


def solve(truth, native=native_diffusivity, speed=None):
    """Integrate the conservation law from a depth of 0.05 nm on.

    With xi = x/q and q the replaced depth, dy/d(ln q) = d/dxi [xi y - t + D~/(v q) dy/dxi] - y.
    ``native`` is D_Li(y) of a truth. ``speed`` is v = j/(e N) (m/s) of a run under a constant
    current; without it the voltage gives v. Returns cell edges (m), native fraction of each cell,
    time (s), current density (A/m^2).
    """
    volt = truth.voltage * e / (k * truth.temperature)
    D_M = truth.D_foreign

    # cells: ten in the least width that the front can have, and more with distance from it
    levels = np.geomspace(1e-6, 0.95, 4000)
    ratio = native(truth, levels) / D_M
    plateau = np.argmax(levels * (1 - ratio))  # of the drift limit
    front = 1 / (levels[plateau] * ratio[plateau] + 1 - levels[plateau])
    slowest = speed or volt / (THICKNESS / truth.D_bulk + truth.charge_depth / D_M)
    width = np.clip(D_M / slowest / truth.charge_depth, 1e-6, 0.1)
    edge = [0.0]
    while edge[-1] < 8.0:
        away = abs(edge[-1] - front)
        step = min(width / 10 + 0.03 * max(away - 4 * width, 0), 0.01)
        edge.append(edge[-1] + (step if edge[-1] < front + 0.5 else 0.1 * away))
    edge = np.array(edge)
    middle, size = (edge[1:] + edge[:-1]) / 2, np.diff(edge)

    def conductance(y):  # S/N (m^2/s)
        return native(truth, y) * y + D_M * (1 - y)

    grid = 1 - (1 - np.linspace(0, 1, 4001)) ** 2
    grid = np.unique(np.concatenate([grid, np.geomspace(1e-9, 1e-2, 2000)]))
    slope = (native(truth, grid) - D_M) / conductance(grid)
    diffusion = np.append(0, np.cumsum(np.diff(grid) * (slope[1:] + slope[:-1]) / 2))

    def velocity(q, y):  # from the voltage: (m/s)
        if speed:
            return speed
        path = q * np.sum(size / conductance(y)) + (THICKNESS - q * edge[-1]) / truth.D_bulk
        return (volt - (diffusion[-1] - np.interp(y[0], grid, diffusion))) / path

    def rate(tau, state):
        q, y = np.exp(tau), np.clip(state[:-1], 1e-9, 1)
        v = velocity(q, y)
        face = (y[1:] * size[:-1] + y[:-1] * size[1:]) / (size[1:] + size[:-1])
        D = native(truth, face)
        total = D * face + D_M * (1 - face)
        flux = D * face / total
        flux -= D * D_M / total * np.diff(y) / np.diff(middle) / (v * q)
        through = np.concatenate([[0.0], edge[1:-1] * face - flux, [edge[-1] - 1]])
        return np.append(np.diff(through) / size - y, q / v)

    start = np.log(0.05e-9)
    share = np.clip((edge[1:] - 1) / size, 0, 1)  # one unit of xi is replaced
    state = np.append(share, 0.0)
    span = (start, np.log(truth.charge_depth))
    result = solve_ivp(
        rate, span, state, method="LSODA", lband=1, uband=1, rtol=1e-6, atol=1e-8,
        t_eval=np.linspace(*span, 400),
    )  # fmt: skip
    if not result.success:
        raise RuntimeError(result.message)
    y = result.y[:-1]
    depth = np.exp(result.t)
    speeds = [velocity(q, np.clip(column, 1e-9, 1)) for q, column in zip(depth, y.T, strict=True)]
    first = speed or volt / THICKNESS * truth.D_bulk
    time = result.y[-1] + depth[0] / first
    return (
        edge * depth[-1],
        y[:, -1],
        np.append(0.0, time),
        e * DENSITY * np.append(first, speeds),
    )


def seen(edges, y, sigma):
    """Means over the sputter cycles of the profile blurred by a Gaussian.

    Constant in each cell, so a sum of steps at the edges; each becomes a normal distribution, which
    is integrated over a cycle.
    """
    cuts = np.arange(CYCLES + 1) * SLICE
    inside = edges[1:-1] < cuts[-1] + 10 * sigma
    z = (cuts[:, None] - edges[1:-1][inside]) / sigma
    integral = sigma * (z * ndtr(z) + np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))
    return y[0] + np.diff(integral @ np.diff(y)[inside]) / SLICE


def write(folder, name, truth, solution, rng):
    """Write case file, counts and current of one experiment; returns the case's path."""
    edges, y, time, current = solution
    native = seen(edges, y, truth.resolution)
    progress = np.arange(CYCLES) / CYCLES
    beam = 1 - 0.08 * progress + 0.004 * np.sin(4 * progress)
    rates = {
        "Li+": COUNTS * native * beam + BACKGROUND,
        f"{name}+": 0.7 * COUNTS * (1 - native) * beam + BACKGROUND,
        "B+": MATRIX * beam + BACKGROUND,
    }
    lines = ["time / s, " + ", ".join(rates)]
    counts = np.array([rng.poisson(rate) for rate in rates.values()]).T
    lines += [f"{CYCLE * m:g}, " + ", ".join(map(str, row)) for m, row in enumerate(counts)]
    folder = Path(folder)
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")

    off = {what: 1 + sigma * rng.standard_normal() for what, sigma in ERRORS.items()}
    when = np.linspace(0, time[-1], 200)
    readings = np.interp(when, time, current**-2) ** -0.5  # all but straight: 1/j^2 against time
    readings *= AREA * off["current"]
    readings *= 1 + READING * rng.standard_normal(when.size)
    lines = ["time / s, current / A"]
    lines += [f"{t:.10e}, {i:.6e}" for t, i in zip(when, readings, strict=True)]
    (folder / f"{name}_current.csv").write_text("\n".join(lines) + "\n")
    return off


def case_text(name, truth, time, off, conductivity):
    """The text of a case file."""
    return f"""title = "{name}+ on a synthetic glass"
profile = "{name}.csv"
current = "{name}_current.csv"
[ions]
native = "Li+"
foreign = "{name}+"
matrix = "B+"
[glass]
thickness = {THICKNESS}
ion_density = {DENSITY}
permittivity = 8.0
temperature = {truth.temperature}
area = {AREA}
conductivity = {float(conductivity)!r}
[run]
voltage = {truth.voltage}
duration = {float(time) * (1 - 1e-8)!r}
[sims]
crater_depth = {CYCLES * SLICE * off["depth"]}
resolution = {truth.resolution}
transient = 6e-9
background = {BACKGROUND}
dead_time = "none"
"""


def triple(folder, seed, fwhm=None):
    """Write three experiments with one landscape; returns their truths by ion.

    The width is drawn from 80 to 350 meV unless given; the plateaus scatter about the published
    ones. Wide landscapes are measured warmer, to be done in days, and narrow ones at a higher
    voltage, for a sharp front, as a laboratory would.
    """
    rng = np.random.default_rng(seed)
    fwhm = rng.uniform(0.080, 0.350) if fwhm is None else fwhm
    temperature = max(323.15, 1300 * fwhm)
    D_bulk = 1e-18 * 10 ** rng.uniform(-0.5, 0.5)
    conductivity = D_bulk * DENSITY * e**2 / (k * temperature)
    conductivity *= 1 + ERRORS["conductivity"] * rng.standard_normal()
    higher = 10 if fwhm < 0.1 else 5 if fwhm < 0.15 else 1
    truths = {}
    for name, level in (("K", 0.15), ("Rb", 0.07), ("Cs", 0.03)):
        level *= rng.uniform(0.8, 1.2)
        truths[name] = truth = Truth(
            fwhm=fwhm,
            temperature=temperature,
            occupancy=0.9,
            D_bulk=D_bulk,
            D_foreign=foreign_diffusivity(fwhm, temperature, 0.9, D_bulk, level),
            voltage=float(rng.choice([10.0, 15.0, 20.0])) * higher,
            resolution=rng.uniform(2e-9, 3e-9),
            charge_depth=rng.uniform(80e-9, 110e-9),
        )
        solution = solve(truth)
        off = write(folder, name, truth, solution, rng)
        text = case_text(name, truth, solution[2][-1], off, conductivity)
        (Path(folder) / f"{name}.toml").write_text(text)
    return truths


if __name__ == "__main__":
    width = float(sys.argv[3]) if len(sys.argv) > 3 else None
    for ion, truth in triple(sys.argv[1], int(sys.argv[2]), width).items():
        print(ion, truth)
