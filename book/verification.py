"""The verification table of the status page: numbers of the package beside exact ones.

The book's extension computes it with every build, and a line that is not met stops the build. The
tests hold many more; these are the lines that a reader wants to see.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
from scipy.constants import e
from slim import ROOT

import cait_helpers as cait

TEMPERATURE, OCCUPANCY, D_BULK = 323.15, 0.9, 1e-18
GLASS = cait.Glass(0.5e-3, 1.38e28, 8.0, TEMPERATURE)
SED = cait.gaussian_sed(0.250)
LAW = cait.activated_diffusivity(SED, D_BULK, TEMPERATURE, OCCUPANCY)
D_RB = D_BULK * 10**-4.19


@dataclass(frozen=True)
class Line:
    """One comparison: the deviation of ``found`` from ``exact``, and how large it may be."""

    what: str
    found: float
    exact: float
    allowed: float  # relative, or where the unit is "sigma" in standard errors
    error: float | None = None  # standard error of ``found``, of a statistical result

    @property
    def deviation(self) -> float:
        return abs(self.found - self.exact) / (self.error or abs(self.exact))

    @property
    def met(self) -> bool:
        return self.deviation <= self.allowed

    def row(self) -> str:
        unit = " σ" if self.error else ""
        return (
            f"| {self.what} | {self.found:.6g} | {self.exact:.6g} | {self.deviation:.1g}{unit} "
            f"| {self.allowed:g}{unit} |"
        )


def _simulate(law, D_foreign: float, drive, charge: float) -> cait.Run:
    ions = {"Li": law, "Rb": D_foreign}
    return cait.simulate(GLASS, ions, "Li", "Rb", drive, cait.Charge(charge))


def _simulation() -> list[Line]:
    run = _simulate(LAW, D_RB, cait.Voltage(10.0), 215.0)
    front = cait.front(LAW, D_RB)
    entered = run.amount("Rb") - run.initial_amount["Rb"]
    now, before = run.amount("Li") + run.amount("Rb"), sum(run.initial_amount.values())
    fast = _simulate(LAW, D_RB, cait.CurrentDensity(2e-2), 215.0)
    behind = fast.front_depth - 1e-9
    plateau = float(np.interp(behind, fast.x, fast.fraction["Li"]))
    fan = float(front.profile(np.array([behind]), fast.charge[-1], GLASS.ion_density)[0])
    return [
        Line("ions that have entered, against the charge / m⁻²", entered, run.charge[-1] / e, 1e-9),
        Line("mobile ions in the plate, against the anions / m⁻²", now, before, 1e-9),
        Line("voltage across the plate, against the one applied / V", run.voltage[-1], 10.0, 1e-8),
        Line(
            "depth of the front, against the speed of the shock / nm",
            run.front_depth * 1e9,
            float(front.depth(run.charge[-1], GLASS.ion_density)) * 1e9,
            2e-3,
        ),
        Line("fraction behind a thin front, against the tangent and fan", plateau, fan, 1e-2),
    ]


def _wave() -> Line:
    """Constant D: the front is logistic, y = 1/2 to y = 0.9 is D_M ln 9 / ((1 - m) v)."""
    m, D, current = 0.05, 1e-20, 1e-3
    run = _simulate(D, m * D, cait.CurrentDensity(current), 215.0)
    half, high = np.interp([0.5, 0.9], run.fraction["Li"], run.x)
    velocity = current / (e * GLASS.ion_density)
    exact = m * D * np.log(9) / ((1 - m) * velocity)
    return Line("width of a front with constant D / nm", (high - half) * 1e9, exact * 1e9, 1e-2)


def _landscape() -> Line:
    found = cait.sed_from_diffusivity(LAW, TEMPERATURE, OCCUPANCY, window=(0.03, 1.0))
    width = 1e3 * cait.landscape.fwhm(found)
    return Line("FWHM of the SED read back from D(y) / meV", width, 250.0, 1e-3)


def _onsager() -> Line:
    n = np.array([0.1, 0.9]) * GLASS.ion_density
    L = cait.onsager_matrix([2e-21, 1e-21], n, TEMPERATURE, cross=3e26)
    back = cait.onsager.from_diffusivities(*cait.diffusivities(L, n, TEMPERATURE), n, TEMPERATURE)
    return Line("L₁₂ to diffusion coefficients and back / m⁻¹ s⁻¹ J⁻¹", back[0, 1], L[0, 1], 1e-9)


def _haven() -> list[Line]:
    exact = {"sc": 0.653109, "diamond": 0.5}
    walks = {name: cait.walk_lattice(name, vacancies=1, seed=1) for name in exact}
    return [
        Line(f"Haven ratio, one vacancy, {name}", w.haven_ratio, exact[name], 4, w.haven_error)
        for name, w in walks.items()
    ]


def _fit() -> Line:
    """The three shipped data sets, made with 250 meV and counting noise."""
    fit = cait.fit_landscape(
        [cait.read_case(ROOT / "data" / f"{ion}_on_lbo.toml") for ion in ("k", "rb", "cs")]
    )
    error = (fit.interval["fwhm"][1] - fit.interval["fwhm"][0]) / (2 * 1.96)
    return Line("FWHM from the shipped counts / meV", fit.fwhm * 1e3, 250.0, 4, error * 1e3)


@functools.cache
def lines() -> tuple[Line, ...]:
    """Compute every line."""
    return (*_simulation(), _wave(), _landscape(), _onsager(), *_haven(), _fit())


def table() -> str:
    """Return the lines as a Markdown table, or raise ValueError with those that are not met."""
    missed = [line for line in lines() if not line.met]
    if missed:
        raise ValueError("\n".join(["verification failed", *(line.row() for line in missed)]))
    head = "| what | computed | exact | deviation | allowed |\n|---|---|---|---|---|\n"
    return head + "\n".join(line.row() for line in lines())
