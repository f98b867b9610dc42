"""The problems of the comparison as plain data, our own call, and the measure of error."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import e, epsilon_0, k
from scipy.interpolate import PchipInterpolator
from scipy.stats import norm

import cait_helpers as cait
from cait_helpers.npp import front_depth

NM = 1e-9


@dataclass(frozen=True)
class Problem:
    """One replacement of the native ion by the ion of a beam (SI units).

    Parameters
    ----------
    name : str
    ratio : float
        D_beam / D_bulk (1).
    temperature : float
        (K)
    thickness : float
        (m)
    depth : float
        Depth that the charge passed would replace completely (m).
    field : float, optional
        Field in the untouched glass (V/m): galvanostatic.
    voltage : float, optional
        (V): potentiostatic.
    duration : float, optional
        Time in which the charge passes under the voltage (s); every code stops there, so that
        none has to search for it.
    profile_class : float
        Error of the profile allowed in the class *continuum* (1); front and plateau: 1 %.
    """

    name: str
    ratio: float
    temperature: float
    thickness: float
    depth: float
    field: float | None = None
    voltage: float | None = None
    duration: float | None = None
    profile_class: float = np.inf
    D_bulk: float = 1e-18
    permittivity: float = 8.0
    ion_density: float = 1.38e28
    fwhm: float = 0.250
    occupancy: float = 0.9

    @property
    def thermal_voltage(self) -> float:
        """kT/e (V)."""
        return k * self.temperature / e

    @cached_property
    def call(self) -> dict:
        """Arguments of :func:`cait_helpers.simulate`."""
        glass = cait.Glass(self.thickness, self.ion_density, self.permittivity, self.temperature)
        law = cait.activated_diffusivity(
            cait.gaussian_sed(self.fwhm),
            self.D_bulk,
            temperature=self.temperature,
            occupancy=self.occupancy,
        )
        if self.voltage is None:
            drift = self.D_bulk * self.field / self.thermal_voltage
            drive = cait.CurrentDensity(drift * self.ion_density * e)
            until = cait.Charge(self.depth * self.ion_density * e)
        else:
            drive, until = cait.Voltage(self.voltage), cait.Duration(self.duration)
        ions = {"Li": law, "M": self.ratio * self.D_bulk}
        return dict(glass=glass, ions=ions, native="Li", beam="M", drive=drive, until=until)

    @cached_property
    def scaled(self) -> dict:
        """The same in the units of :mod:`stencil`, from formulas of its own.

        ``field`` (1/nm) and ``current`` of the start, ``voltage`` (kT/e), ``end`` of the time,
        ``lam2`` (nm^2), ``D`` tabulated, ``d_beam``.
        """
        volts = self.thermal_voltage
        field = (self.field or self.voltage / self.thickness) / volts
        speed = self.D_bulk * field  # the drift of the native ions in untouched glass (m/s)
        y = np.linspace(0.0, 1.0, 8193) ** 4
        quantile = norm.ppf(self.occupancy * np.maximum(y, 1e-12)) - norm.ppf(self.occupancy)
        energy = self.fwhm / np.sqrt(8 * np.log(2)) * quantile  # E_F(y) - E_F(1), eV
        unit = speed * NM
        return dict(
            field=field * NM,
            voltage=None if self.voltage is None else self.voltage / volts,
            end=self.depth / NM if self.voltage is None else self.duration * speed / NM,
            lam2=epsilon_0 * self.permittivity * volts / (e * self.ion_density) / NM**2,
            D=self.D_bulk / unit * np.exp(energy / volts),
            d_beam=self.ratio * self.D_bulk / unit,
        )


PROBLEMS = {
    problem.name: problem
    for problem in (
        Problem("i", 1e-3, 353.15, 200e-9, 100e-9, field=1e5, profile_class=1e-3),
        Problem("ii", 10**-4.19, 323.15, 200e-9, 90e-9, field=2e4),
        Problem("iii", 10**-4.19, 323.15, 0.5e-3, 100e-9, voltage=10.0, duration=373870.8),
    )
}

#: Depth of the front (nm) and plateau in the limit h -> 0, to be met by our solver and by an
#: independent code: IDA, cells halved twice, Richardson's extrapolation (``run.py --limits``).
FRONTS = {"i": 113.1134, "ii": 94.3560, "iii": 104.8089}
PLATEAUS = {"i": 0.161194, "ii": 0.066581, "iii": 0.066847}


@dataclass(frozen=True)
class Profile:
    """Cell boundaries (nm), shape (n + 1,), and the fractions of both ions, shape (n,)."""

    nodes: NDArray[np.float64]
    native: NDArray[np.float64]
    foreign: NDArray[np.float64]

    @cached_property
    def x(self) -> NDArray[np.float64]:
        return 0.5 * (self.nodes[1:] + self.nodes[:-1])

    @cached_property
    def front(self) -> float:
        """Depth at which the native fraction is a half (nm), the deepest; nan without one."""
        depth = front_depth(self.x, self.native, 0.5)
        return depth if 0 < depth < self.x[-1] else float("nan")

    @cached_property
    def plateau(self) -> float:
        """Native fraction at nine tenths of the front's depth."""
        return float(np.interp(0.9 * self.front, self.x, self.native))

    def errors(self, reference: Profile) -> dict[str, float]:
        """Relative errors of ``front``, ``plateau`` and ``profile``.

        That of the profile is the L2 norm of the difference of the foreign fractions over that of
        the reference. Cell means are compared with cell means, so that no code is blamed for what
        a plot does between its cells.
        """
        amount = np.concatenate([[0.0], np.cumsum(reference.foreign * np.diff(reference.nodes))])
        until = np.minimum(self.nodes, reference.nodes[-1])
        mean = np.diff(PchipInterpolator(reference.nodes, amount)(until)) / np.diff(self.nodes)
        width = np.diff(self.nodes)
        norm2 = np.sum(reference.foreign**2 * np.diff(reference.nodes))
        return {
            "front": abs(self.front / reference.front - 1),
            "plateau": abs(self.plateau / reference.plateau - 1),
            "profile": float(np.sqrt(np.sum((self.foreign - mean) ** 2 * width) / norm2)),
        }


def in_class(errors: dict[str, float], problem: Problem) -> bool:
    """Whether a profile belongs to the class *continuum*."""
    return (
        errors["front"] <= 0.01
        and errors["plateau"] <= 0.01
        and errors["profile"] <= problem.profile_class
    )


def profile_of(run: cait.Run) -> Profile:
    """The profile of a run of ours."""
    return Profile(run.nodes / NM, run.fraction[run.native], run.fraction[run.beam])


@lru_cache
def reference(name: str, cells: int = 2000) -> Profile:
    """The continuum limit: our solver on many cells that follow the front.

    That it is the limit of the equations and not ours alone is shown by ``run.py --limits``.
    """
    return profile_of(cait.simulate(**PROBLEMS[name].call, rtol=1e-5, mesh=cells))


def uniform_mesh(problem: Problem, size: float, behind: float, growth: float = 1.15) -> ArrayLike:
    """Cells of ``size`` nm down to ``behind`` (nm), growing geometrically from there."""
    thickness = problem.thickness / NM
    fine = np.arange(np.ceil(behind / size) + 1) * size
    left = thickness - fine[-1]
    # as many cells as bring the last one to the back with the growth asked for
    count = int(np.ceil(np.log1p(left / size * (growth - 1) / growth) / np.log(growth)))
    coarse = np.cumsum(size * growth ** np.arange(1, count + 1))
    return np.concatenate([fine, fine[-1] + coarse * left / coarse[-1]])
