"""Site energy distributions, the Fermi level, and the diffusion coefficient they imply.

A site energy distribution (SED) is any object with the methods ``pdf`` (sites per eV, as a share of
all), ``cdf`` (the share below an energy in eV) and ``ppf`` (the energy below which a share lies),
such as a frozen distribution of ``scipy.stats``. Native ions fill its sites from the bottom to the
Fermi level E_F. With y the fraction of the native bulk density and ``occupancy`` the occupied share
of all sites in the bulk (occupancy = 1 - vacancies, vacancies as a share of all sites),

    integral of g(E) up to E_F(y) = occupancy y,     D(y) = D_bulk exp((E_F(y) - E_F(1)) / kT),

which is eqn (2) of doi 10.1039/d4cp00262h. Only energy differences matter: D_bulk absorbs D_0 and
the threshold E_DC, so the position of the SED on the energy axis has no effect.

Every function raises a ValueError for a value that is not in the range its docstring names, or
`checks` for temperature (K), occupancy (1) and diffusion coefficients (m^2/s).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
import scipy  # loads its heavy parts, such as scipy.interpolate, when they are first used
from numpy.typing import ArrayLike
from scipy.constants import e, k
from scipy.special import expit, logit, ndtr

from .checks import (
    DIFFUSIVITY,
    OCCUPANCY,
    TEMPERATURE,
    Array,
    as_array,
    require,
    require_all,
    require_callable,
    require_law,
    require_name,
    told,
)
from .elementary import exp, ndtri

Law = Callable[[ArrayLike], ArrayLike]  # fraction of the ion's bulk density -> D (m^2/s)

BOLTZMANN = k / e  # eV/K
SIGMA_PER_FWHM = 1 / np.sqrt(8 * np.log(2))  # of a Gaussian
SMALLEST = 1e-12  # fractions below count as this one: D stays finite and positive
TAPER = 1e-4  # mobile fraction below which D fades to zero when there is an immobile share
HIGHEST = 1.05  # fractions above are refused; between 1 and here ln D continues straight on

# --- distributions -----------------------------------------------------------------------


def _normal_density(x: Array) -> Array:
    return np.exp(-(x**2) / 2) / np.sqrt(2 * np.pi)


@dataclass(frozen=True)
class GaussianSed:
    """Normal distribution; made by `gaussian_sed`.

    As ``scipy.stats.norm(centre, sigma)``, which takes half a second to import.
    """

    centre: float
    sigma: float

    def _scaled(self, energy: ArrayLike) -> Array:
        return (as_array("energy", energy) - self.centre) / self.sigma

    def pdf(self, energy: ArrayLike) -> Array:
        return _normal_density(self._scaled(energy)) / self.sigma

    def cdf(self, energy: ArrayLike) -> Array:
        return ndtr(self._scaled(energy))

    def ppf(self, share: ArrayLike) -> Array:
        return ndtri(as_array("share", share)) * self.sigma + self.centre


def gaussian_sed(fwhm: float, centre: float = 0.0) -> GaussianSed:
    """Gaussian SED.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum (eV), 0.001 to 2.
    centre : float
        Mean (eV), -100 to 100.
    """
    fwhm = require("fwhm", fwhm, 1e-3, 2.0, "eV")
    centre = require("centre", centre, -100.0, 100.0, "eV")
    return GaussianSed(centre, float(fwhm * SIGMA_PER_FWHM))


@dataclass(frozen=True)
class SkewedSed:
    """Sinh-arcsinh normal distribution; made by `skewed_sed`.

    sinh(asinh((E - origin)/scale) - shape) is a normal variable: smooth, in closed form, and with
    tails as light as a Gaussian's (doi 10.1093/biomet/asp053).
    """

    shape: float
    origin: float
    scale: float

    def _normal(self, energy: ArrayLike) -> tuple[Array, Array]:
        u = (as_array("energy", energy) - self.origin) / self.scale
        return u, np.sinh(np.arcsinh(u) - self.shape)

    def pdf(self, energy: ArrayLike) -> Array:
        u, v = self._normal(energy)
        return _normal_density(v) * np.hypot(1.0, v) / np.hypot(1.0, u) / self.scale

    def cdf(self, energy: ArrayLike) -> Array:
        return ndtr(self._normal(energy)[1])

    def ppf(self, share: ArrayLike) -> Array:
        return self.origin + self.scale * np.sinh(
            np.arcsinh(ndtri(as_array("share", share))) + self.shape
        )


def skewed_sed(fwhm: float, shape: float, centre: float = 0.0) -> SkewedSed:
    """SED with tails of unequal width.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum (eV), 0.001 to 2.
    shape : float
        Asymmetry (1), -2 to 2: far out the upper tail is exp(2 shape) times as wide as the lower
        one. 0 is the Gaussian.
    centre : float
        Median (eV), -100 to 100.
    """
    shape = require("shape", shape, -2.0, 2.0)
    centre = require("centre", centre, -100.0, 100.0, "eV")
    scale = require("fwhm", fwhm, 1e-3, 2.0, "eV") / _full_width(SkewedSed(shape, 0.0, 1.0))
    return SkewedSed(shape, centre - scale * np.sinh(shape), scale)


@dataclass(frozen=True)
class TwoComponentSed:
    """Weighted sum of two SEDs; made by `two_component_sed`."""

    weight: float
    first: Any
    second: Any

    def pdf(self, energy: ArrayLike) -> Array:
        return self.weight * self.first.pdf(energy) + (1 - self.weight) * self.second.pdf(energy)

    def cdf(self, energy: ArrayLike) -> Array:
        return self.weight * self.first.cdf(energy) + (1 - self.weight) * self.second.cdf(energy)

    def ppf(self, share: ArrayLike) -> Array:
        share = as_array("share", share)
        ends = self.first.ppf(share), self.second.ppf(share)
        low, high = np.minimum(*ends), np.maximum(*ends)  # the answer lies in between
        energy = 0.5 * (low + high)
        # Newton in ln(share), which is nearly straight in the lower tail; bisect where it leaves.
        for _ in range(100):
            last, filled = energy, self.cdf(energy)
            low = np.where(filled < share, energy, low)
            high = np.where(filled < share, high, energy)
            with np.errstate(all="ignore"):
                newton = energy - np.log(filled / share) * filled / self.pdf(energy)
            inside = (newton >= low) & (newton <= high)
            energy = np.where(inside, newton, 0.5 * (low + high))
            if np.allclose(energy, last, rtol=0, atol=1e-15, equal_nan=True):
                break
        return energy


def two_component_sed(weight: float, first: Any, second: Any) -> TwoComponentSed:
    """Sum of two SEDs, ``weight`` (0 to 1) being the first one's share of the sites."""
    weight = require("weight", weight, 0.0, 1.0)
    return TwoComponentSed(weight, require_sed("first", first), require_sed("second", second))


def require_sed(name: str, sed: Any) -> Any:
    if not all(callable(getattr(sed, method, None)) for method in ("pdf", "cdf", "ppf")):
        raise ValueError(f"{name} = {told(sed)} is no SED: it needs the methods pdf, cdf and ppf")
    if isinstance(sed, type):
        raise ValueError(f"{name} = {sed.__name__} is a class, no SED")
    if not hasattr(sed, "span"):  # one that is known on a window only need not know these
        share = np.array([0.1, 0.5, 0.9])
        level = as_array(f"{name}.ppf", sed.ppf(share.copy()))
        if level.shape != share.shape or not (np.diff(level) > 0).all():
            raise ValueError(
                f"{name} is no SED: its ppf gives {level.tolist()} eV for {share.tolist()}"
            )
    return sed


def fwhm(sed: Any) -> float:
    """Full width at half maximum (eV) of any SED: the outermost energies at half the maximum.

    Where the density is cut before it has fallen to half, the cut counts: a `populated_sed` ends
    at its Fermi level. Raises ValueError if the density is unknown where it would fall to half.
    """
    require_sed("sed", sed)
    low, high = getattr(sed, "span", None) or (sed.ppf(SMALLEST), sed.ppf(1 - SMALLEST))
    # The first and last point lie just outside: the density there is zero, or nan if unknown.
    beyond = 1e-9 * (high - low)
    energy = np.linspace(low - beyond, high + beyond, 8001)
    density = sed.pdf(energy)
    top = int(np.nanargmax(density))
    peak = scipy.optimize.minimize_scalar(
        lambda x: -float(sed.pdf(x)),
        bounds=(energy[top - 1], energy[top + 1]),
        method="bounded",
        options={"xatol": 1e-14},
    )
    half = 0.5 * max(density[top], -peak.fun)
    above = np.flatnonzero(density >= half)
    edges = []
    for inside, outside in ((above[0], above[0] - 1), (above[-1], above[-1] + 1)):
        if np.isnan(density[outside]):
            raise ValueError(
                f"the density has not fallen to half its maximum at {energy[outside]:g} eV, the end"
                " of the window on which this SED is known: its fwhm is unknown"
            )
        ends = energy[inside], energy[outside]
        edges.append(scipy.optimize.brentq(lambda x: float(sed.pdf(x)) - half, *ends, xtol=1e-15))
    return edges[1] - edges[0]


_full_width = fwhm  # where fwhm is an argument


# --- filling -----------------------------------------------------------------------------


def _level(sed: Any, fraction: ArrayLike, occupancy: float) -> Array:
    """Energy (eV) to which the SED is filled from the bottom; refused where it is unknown."""
    fraction = np.asarray(fraction, dtype=float)
    level = np.asarray(sed.ppf(occupancy * fraction), dtype=float)
    unknown = ~np.isfinite(level)
    if unknown.any():
        raise ValueError(f"the SED is not known where it is filled to {fraction[unknown][0]:g}")
    return level


def thermal_filling(sed: Any, level: ArrayLike, temperature: float) -> tuple[Array, Array]:
    """Share of the sites that is occupied, and its slope, with Fermi-Dirac occupation.

    By parts, integral g f dE = integral G(E_F + kT t) sech^2(t/2)/4 dt with G the ``cdf``: equal
    steps converge exponentially for a smooth SED, and the range of t is known beforehand.

    Parameters
    ----------
    sed : SED
    level : array_like, any shape
        Fermi level (eV).
    temperature : float
        Temperature (K).

    Returns
    -------
    share, slope : ndarray, shape of ``level``
        Occupied share (1) and its derivative to the level (1/eV).
    """
    require_sed("sed", sed)
    kT = BOLTZMANN * require("temperature", temperature, *TEMPERATURE)
    level = require_all("level", level, -1e6, 1e6, "eV")
    # Half of kT, or less when the distribution is not much wider than kT.
    step = min(0.5, 0.15 * (sed.ppf(0.75) - sed.ppf(0.25)) / kT)
    t = np.arange(-40.0, 110.0, step)  # e^-110 against a filling of 1e-30 and more
    share, slope = np.zeros_like(level), np.zeros_like(level)
    for shift, weight in zip(kT * t, step / (4 * np.cosh(t / 2) ** 2), strict=True):
        share += weight * sed.cdf(level + shift)
        slope += weight * sed.pdf(level + shift)
    return share, slope


def _broadened(sed: Any, temperature: float, low: float, high: float) -> InvertedSed:
    """The SED whose filling from the bottom is the thermal one of ``sed``, to about 1e-11 eV.

    It is ``sed`` convolved with minus the derivative of the Fermi function, known on a window
    that holds the shares from ``low`` to ``high``.
    """
    ends = []
    for share, step in ((low, -1.0), (high, 1.0)):
        end, step = float(_level(sed, share, 1.0)), step * BOLTZMANN * temperature
        while (thermal_filling(sed, end, temperature)[0] - share) * step <= 0:
            end, step = end + step, 2 * step
        ends.append(end)
    level = np.linspace(*ends, 2000)
    share, slope = thermal_filling(sed, level, temperature)
    if np.isnan(share).any():
        raise ValueError("the SED is not known at all energies: neither is its thermal filling")
    good = (share > 0) & (share < 1)
    return InvertedSed(level[good], slope[good], share[good], 1.0)


def fermi_level(sed: Any, fraction: ArrayLike, occupancy: float, temperature: float = 0.0) -> Array:
    """Fermi level of the native ions.

    Parameters
    ----------
    sed : SED
        Site energy distribution (eV).
    fraction : array_like, any shape
        Native ions as a fraction y of their bulk density (1), y > 0 and occupancy * y < 1.
    occupancy : float
        Occupied share of all sites in the bulk (1): 1 - vacancies.
    temperature : float
        0 fills the sites strictly from the bottom up, as eqn (2) of the paper does; at any other
        temperature (K) the occupation is Fermi-Dirac.

    Returns
    -------
    ndarray, shape of ``fraction``
        Fermi level (eV) on the energy axis of ``sed``; a ValueError if it is not known there.
    """
    require_sed("sed", sed)
    occupancy = require("occupancy", occupancy, *OCCUPANCY)
    y = require_all("fraction", fraction, 1e-30, np.nextafter(1 / occupancy, 0))
    temperature = require("temperature", temperature, 0.0, TEMPERATURE[1], "K")
    if temperature and y.size:
        temperature = require("temperature", temperature, *TEMPERATURE)
        sed = _broadened(sed, temperature, occupancy * y.min(), occupancy * y.max())
    return _level(sed, y, occupancy)


def activation_energy(
    sed: Any, fraction: ArrayLike, occupancy: float, bulk: float = 0.0, temperature: float = 0.0
) -> Array:
    """Activation energy E_act(y) = E_DC - E_F(y) (eV), given its value ``bulk`` at y = 1.

    With the default the result is the increase over the bulk. Other parameters as `fermi_level`.
    """
    bulk = require("bulk", bulk, 0.0, 10.0, "eV")
    reference = fermi_level(sed, 1.0, occupancy, temperature)
    return bulk + reference - fermi_level(sed, fraction, occupancy, temperature)


@dataclass(frozen=True)
class PopulatedSed:
    """The part of an SED between two energies (eV), holding ``share`` of all sites."""

    sed: Any
    bottom: float
    top: float
    share: float

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest energy (eV), the lowest being where 1e-12 of the sites lies below."""
        return max(self.bottom, float(_level(self.sed, SMALLEST, 1.0))), self.top

    def pdf(self, energy: ArrayLike) -> Array:
        energy = np.asarray(energy, dtype=float)
        inside = (energy >= self.bottom) & (energy <= self.top)
        return np.where(inside, self.sed.pdf(energy), 0.0)

    def cdf(self, energy: ArrayLike) -> Array:
        return self.sed.cdf(np.clip(energy, self.bottom, self.top)) - self.sed.cdf(self.bottom)

    def ppf(self, share: ArrayLike) -> Array:
        share = require_all("share", share, 0.0, self.share)
        return np.clip(self.sed.ppf(share + self.sed.cdf(self.bottom)), self.bottom, self.top)


def populated_sed(sed: Any, occupancy: float, low: float = 0.0, high: float = 1.0) -> PopulatedSed:
    """Populated part of an SED (PSED), filled from the bottom, as in fig. 4 of the paper.

    Parameters
    ----------
    sed : SED
    occupancy : float
        Occupied share of all sites in the bulk (1).
    low, high : float
        Fractions of the bulk density between whose Fermi levels the part lies, 0 <= low < high
        <= 1. The default is the PSED of the bulk; ``low`` = plateau leaves its mobile part.
    """
    require_sed("sed", sed)
    low = require("low", low, 0.0, 1.0)
    high = require("high", high, np.nextafter(low, 2), 1.0)
    top = float(fermi_level(sed, high, occupancy))
    bottom = float(fermi_level(sed, low, occupancy)) if low > 1e-30 else -np.inf
    return PopulatedSed(sed, bottom, top, occupancy * (high - low))


# --- diffusion coefficients --------------------------------------------------------------


@dataclass(frozen=True)
class ActivatedDiffusivity:
    """D(y) of an SED, eqn (2) of the paper; made by `activated_diffusivity`."""

    sed: Any
    D_bulk: float
    temperature: float
    occupancy: float
    immobile: float = 0.0
    filling: Literal["zero", "thermal"] = "zero"

    @property
    def window(self) -> tuple[float, float]:
        """Fractions on which the law is worth inverting: the mobile ions but the last permille."""
        return self.immobile + 1e-3 * (1 - self.immobile), 1.0

    @cached_property
    def _filled(self) -> Any:
        """The SED to be filled from the bottom."""
        if self.filling == "zero":
            return self.sed
        low, high = 0.9 * self.occupancy * SMALLEST, 0.5 * (1 + self.occupancy)
        return _broadened(self.sed, self.temperature, low, high)

    @cached_property
    def _bulk_level(self) -> float:
        return float(_level(self._filled, 1.0, self.occupancy))

    def _log(self, fraction: ArrayLike, sloped: bool = True) -> tuple[Array, Array, Array]:
        """y, ln(D/D_bulk) and, if asked for, d ln D/dy, from the density of states at the level."""
        y = require_all("fraction", fraction, 1 - HIGHEST, HIGHEST)
        mobile = (y - self.immobile) / (1 - self.immobile)
        inside = np.clip(mobile, TAPER if self.immobile else SMALLEST, 1.0)
        kT = BOLTZMANN * self.temperature
        level = _level(self._filled, inside, self.occupancy)
        log_D = (level - self._bulk_level) / kT
        slope = np.zeros_like(level)
        if sloped or np.any(mobile > 1):
            slope = self.occupancy / (kT * self._filled.pdf(level))
            log_D = log_D + np.maximum(mobile - 1, 0) * slope
        slope = np.where(mobile < inside, 0.0, slope)
        if self.immobile:
            fade = np.clip(mobile / TAPER, 1e-9, 1.0)
            log_D = log_D + np.log(fade)
            slope = np.where((fade > 1e-9) & (fade < 1), 1 / (TAPER * fade), slope)
        return y, log_D, slope / (1 - self.immobile)

    def __call__(self, fraction: ArrayLike) -> Array:
        """D (m^2/s) at ``fraction`` (any shape); ValueError outside [-0.05, 1.05]."""
        return self.D_bulk * exp(self._log(fraction, sloped=False)[1])

    def log_slope(self, fraction: ArrayLike) -> Array:
        """d ln D / d ln y (1)."""
        y, _, slope = self._log(fraction)
        return y * slope


def activated_diffusivity(
    sed: Any,
    D_bulk: float,
    temperature: float,
    occupancy: float,
    immobile: float = 0.0,
    filling: Literal["zero", "thermal"] = "zero",
) -> ActivatedDiffusivity:
    """Diffusion coefficient of the native ion against its own concentration.

    D(y) = D_bulk exp((E_F(y) - E_F(1)) / kT), eqn (2) of doi 10.1039/d4cp00262h.

    Parameters
    ----------
    sed : SED
        Site energy distribution (eV).
    D_bulk : float
        Diffusion coefficient at y = 1 (m^2/s).
    temperature : float
        Temperature (K).
    occupancy : float
        Occupied share of all sites in the bulk (1): 1 - vacancies.
    immobile : float
        Share c of the native ions that never moves (1), 0 to 0.9: the law above then holds for the
        mobile fraction (y - c)/(1 - c). Below a mobile fraction of 1e-4 D fades in proportion to
        it, down to 1e-9 of its value there, which is also its value for y < c.
    filling : {"zero", "thermal"}
        Sites filled strictly from the bottom up (the paper), or with Fermi-Dirac occupation.

    Returns
    -------
    ActivatedDiffusivity
        Callable: fraction (any shape) -> D (m^2/s). Fractions below 1e-12 count as 1e-12; between
        1 and 1.05 (overshoot of a numerical solution) ln D continues with its slope at 1; values
        outside [-0.05, 1.05] raise a ValueError.
    """
    require_name("filling", filling, ("zero", "thermal"))
    return ActivatedDiffusivity(
        require_sed("sed", sed),
        require("D_bulk", D_bulk, *DIFFUSIVITY),
        require("temperature", temperature, *TEMPERATURE),
        require("occupancy", occupancy, *OCCUPANCY),
        require("immobile", immobile, 0.0, 0.9),
        filling,
    )


@dataclass(frozen=True)
class TabulatedDiffusivity:
    """D(y) through given points; made by `tabulated_diffusivity`."""

    fraction: tuple[float, ...]
    D: tuple[float, ...]

    @property
    def window(self) -> tuple[float, float]:
        """Lowest and highest fraction of the table."""
        return self.fraction[0], self.fraction[-1]

    @property
    def D_bulk(self) -> float:
        """D (m^2/s) at y = 1."""
        return float(self(1.0))

    @cached_property
    def _log(self) -> scipy.interpolate.PchipInterpolator:
        return scipy.interpolate.PchipInterpolator(self.fraction, np.log(self.D))

    def __call__(self, fraction: ArrayLike) -> Array:
        """D (m^2/s) at ``fraction`` (any shape); ValueError outside [-0.05, 1.05]."""
        y = require_all("fraction", fraction, 1 - HIGHEST, HIGHEST)
        return np.exp(self._log(np.clip(y, *self.window)))

    def log_slope(self, fraction: ArrayLike) -> Array:
        """d ln D / d ln y (1); zero outside the table."""
        y = require_all("fraction", fraction, 1 - HIGHEST, HIGHEST)
        inside = np.clip(y, *self.window)
        return np.where(inside == y, y * self._log(inside, 1), 0.0)


def tabulated_diffusivity(fraction: ArrayLike, D: ArrayLike) -> TabulatedDiffusivity:
    """Diffusion coefficient through a table: ln D is piecewise cubic (PCHIP) in the fraction.

    The interpolant is monotone wherever the table is, and makes no extremes of its own.

    Parameters
    ----------
    fraction : array_like, shape (m,)
        Fractions of the bulk density (1), strictly increasing within [0, 1.05], the last one
        at least 1; m >= 2.
    D : array_like, shape (m,)
        Diffusion coefficients (m^2/s).

    Returns
    -------
    TabulatedDiffusivity
        Callable: fraction (any shape) -> D (m^2/s). Outside the table D keeps the value at its
        end.
    """
    y = require_all("fraction", fraction, 0.0, HIGHEST)
    D = require_all("D", D, *DIFFUSIVITY)
    if y.ndim != 1 or y.shape != D.shape or y.size < 2:
        raise ValueError(
            f"fraction and D need the same shape (m,) with m >= 2, not {y.shape} and {D.shape}"
        )
    if not np.all(np.diff(y) > 0):
        where = int(np.argmin(np.diff(y) > 0)) + 1
        raise ValueError(f"fraction must increase strictly: entry {where} is {y[where]:g}")
    if y[-1] < 1:
        raise ValueError(f"fraction ends at {y[-1]:g}: the table must reach the bulk, 1")
    return TabulatedDiffusivity(tuple(y.tolist()), tuple(D.tolist()))


# --- the way back ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class InvertedSed:
    """SED known on a window only, nan outside; made by `sed_from_diffusivity`.

    Attributes
    ----------
    energy, density, fraction : ndarray, shape (m,)
        Fermi levels (eV), increasing to 0 in the bulk; g there (1/eV of all sites); fractions y.
    occupancy : float
        Occupied share of all sites in the bulk.
    """

    energy: Array
    density: Array
    fraction: Array
    occupancy: float

    @property
    def span(self) -> tuple[float, float]:
        """The window: lowest and highest energy (eV)."""
        return float(self.energy[0]), float(self.energy[-1])

    @cached_property
    def _splines(self) -> tuple[Callable, Callable]:
        """Energy against logit(share), which is nearly straight in the tails, and back."""
        share = self.occupancy * self.fraction
        x, slope = logit(share), share * (1 - share) / self.density
        hermite = scipy.interpolate.CubicHermiteSpline
        return (
            hermite(x, self.energy, slope, extrapolate=False),
            hermite(self.energy, x, 1 / slope, extrapolate=False),
        )

    def ppf(self, share: ArrayLike) -> Array:
        level, _ = self._splines
        return level(_snap(logit(as_array("share", share)), level.x, 1e-12))

    def cdf(self, energy: ArrayLike) -> Array:
        return expit(self._splines[1](_snap(as_array("energy", energy), self.energy, 1e-13)))

    def pdf(self, energy: ArrayLike) -> Array:
        energy = _snap(as_array("energy", energy), self.energy, 1e-13)
        share = expit(self._splines[1](energy))
        return share * (1 - share) * self._splines[1](energy, 1)


def _snap(x: ArrayLike, window: Array, slack: float) -> Array:
    """Move what round-off has put just outside the window onto its end."""
    nearest = np.clip(x, window[0], window[-1])
    return np.where(np.abs(x - nearest) < slack, nearest, x)


def sed_from_diffusivity(
    D: Law, temperature: float, occupancy: float, window: tuple[float, float] | None = None
) -> InvertedSed:
    """Eqn (2) of doi 10.1039/d4cp00262h inverted: the SED that a D(y) implies.

    E_F(y) - E_F(1) = kT ln(D(y)/D(1)) and g(E_F) = occupancy dy/dE_F, sites filled from the bottom.

    Parameters
    ----------
    D : callable
        fraction -> diffusion coefficient (m^2/s), strictly increasing on the window.
    temperature : float
        Temperature (K).
    occupancy : float
        Occupied share of all sites in the bulk (1): 1 - vacancies.
    window : (float, float), optional
        Fractions on which D is known, such as (plateau, 1), both in (0, 1]. The default is
        ``D.window`` if there is one, within [0.001, 1].

    Raises
    ------
    ValueError
        If D does not increase strictly on the window: no filling from the bottom gives such a D.
    """
    kT = BOLTZMANN * require("temperature", temperature, *TEMPERATURE)
    occupancy = require("occupancy", occupancy, *OCCUPANCY)
    if window is None:
        low, high = getattr(D, "window", (1e-3, 1.0))
        window = max(low, 1e-3), min(high, 1.0)
    window = as_array("window", window)
    if window.shape != (2,):
        raise ValueError(f"window = {window.tolist()} is not a pair of fractions")
    low = require("window[0]", window[0], SMALLEST, 1.0)
    high = require("window[1]", window[1], np.nextafter(low, 2), 1.0)
    # A uniform grid in logit(share) is fine at both ends of the distribution.
    y = expit(np.linspace(logit(occupancy * low), logit(occupancy * high), 4001)) / occupancy
    y[0], y[-1] = low, high
    D_y, slope = require_law("D", D, y), log_slope(D, y)
    good = (slope > 0) & np.append(np.diff(D_y) > 0, True)
    if not good.all():
        raise ValueError(
            "D does not increase strictly with the fraction: d ln D/d ln y ="
            f" {slope[~good][0]:g} at {y[~good][0]:g}"
        )
    energy = kT * np.log(D_y / require_law("D", D, np.ones(1)))
    return InvertedSed(energy, occupancy * y / (kT * slope), y, occupancy)


def log_slope(D: Law, fraction: ArrayLike) -> Array:
    """d ln D / d ln y (1) of any positive D(y): its own ``log_slope``, or sixth-order differences.

    A function without ``log_slope`` must be smooth, and defined 0.3 % beyond ``fraction``.
    """
    y = require_all("fraction", fraction, 0.0, HIGHEST)
    own = getattr(require_callable("D", D), "log_slope", None)
    if own is not None:
        return np.asarray(own(y), dtype=float)
    h = 1e-3  # of y: rounding is 1e-16/h, truncation h^6 of an undulation of relative length 1

    def difference(steps: int) -> Array:
        up, down = (np.log(require_law("D", D, y * (1 + s * h))) for s in (steps, -steps))
        return (up - down) / (2 * steps * h)

    return 1.5 * difference(1) - 0.6 * difference(2) + 0.1 * difference(3)
