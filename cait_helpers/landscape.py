"""Site energy distributions, the Fermi level, and the diffusion coefficient they imply.

A site energy distribution (SED) is any object with ``pdf``, ``cdf`` and ``ppf`` in eV, such as a
frozen distribution of ``scipy.stats``. Native ions fill its sites from the bottom to the Fermi
level E_F. With y the fraction of the native bulk density and ``occupancy`` the occupied share of
all sites in the bulk (occupancy = 1 - vacancies, vacancies as a share of all sites),

    integral of g(E) up to E_F(y) = occupancy y,     D(y) = D_bulk exp((E_F(y) - E_F(1)) / kT),

which is eqn (2) of doi 10.1039/d4cp00262h. Only energy differences matter: D_bulk absorbs D_0 and
the threshold E_DC, so the position of the SED on the energy axis has no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats
from scipy.constants import e, k
from scipy.interpolate import CubicHermiteSpline, PchipInterpolator
from scipy.optimize import brentq, minimize_scalar
from scipy.special import ndtr, ndtri

Array = NDArray[np.float64]

BOLTZMANN = k / e  # eV/K
SIGMA_PER_FWHM = 1 / np.sqrt(8 * np.log(2))  # of a Gaussian
SMALLEST = 1e-12  # fractions below count as this one: D stays finite and positive
TAPER = 1e-4  # mobile fraction below which D fades to zero when there is an immobile share
HIGHEST = 1.05  # fractions above are refused; between 1 and here ln D continues straight on


def number(name: str, value: float, low: float, high: float, unit: str = "") -> float:
    """Return ``value`` as a float in [low, high], or raise a ValueError that names it."""
    try:
        result = float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {value!r} is not a number") from None
    if not low <= result <= high:  # False for nan as well
        raise ValueError(f"{name} = {result:g} {unit} is outside [{low:g}, {high:g}] {unit}")
    return result


def within(name: str, values: ArrayLike, low: float, high: float) -> Array:
    """Return ``values`` as an array if all of them lie in [low, high], else raise ValueError."""
    result = np.asarray(values, dtype=float)
    bad = ~((result >= low) & (result <= high))  # True for nan as well
    if bad.any():
        raise ValueError(f"{name} = {result[bad].flat[0]:g} is outside [{low:g}, {high:g}]")
    return result


# --- distributions -----------------------------------------------------------------------


def gaussian_sed(fwhm: float, centre: float = 0.0) -> Any:
    """Gaussian SED as a frozen ``scipy.stats.norm``.

    Parameters
    ----------
    fwhm : float
        Full width at half maximum (eV), 0.001 to 2.
    centre : float
        Mean (eV).

    Raises
    ------
    ValueError
        If a value is out of range.
    """
    fwhm = number("fwhm", fwhm, 1e-3, 2.0, "eV")
    centre = number("centre", centre, -100.0, 100.0, "eV")
    return stats.norm(loc=centre, scale=fwhm * SIGMA_PER_FWHM)


@dataclass(frozen=True)
class SkewedSed:
    """Sinh-arcsinh normal distribution; made by `skewed_sed`.

    asinh((E - origin)/scale) is shifted by ``shape`` before it is a normal variable's: smooth, in
    closed form, and with tails as light as a Gaussian's (doi 10.1093/biomet/asp053).
    """

    shape: float
    origin: float
    scale: float

    def _bend(self, energy: ArrayLike) -> tuple[Array, Array]:
        u = (np.asarray(energy, dtype=float) - self.origin) / self.scale
        v = np.arcsinh(u) - self.shape
        return np.sinh(v), np.cosh(v) / np.hypot(1.0, u)

    def pdf(self, energy: ArrayLike) -> Array:
        """Density (1/eV)."""
        normal, slope = self._bend(energy)
        return np.exp(-0.5 * normal**2) * slope / (np.sqrt(2 * np.pi) * self.scale)

    def cdf(self, energy: ArrayLike) -> Array:
        """Share of the sites below ``energy`` (eV)."""
        return ndtr(self._bend(energy)[0])

    def ppf(self, share: ArrayLike) -> Array:
        """Energy (eV) below which ``share`` of the sites lies."""
        return self.origin + self.scale * np.sinh(np.arcsinh(ndtri(share)) + self.shape)


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
        Median (eV).

    Raises
    ------
    ValueError
        If a value is out of range.
    """
    target = number("fwhm", fwhm, 1e-3, 2.0, "eV")
    shape = number("shape", shape, -2.0, 2.0)
    centre = number("centre", centre, -100.0, 100.0, "eV")
    scale = target / _full_width(SkewedSed(shape, 0.0, 1.0))
    return SkewedSed(shape, centre - scale * np.sinh(shape), scale)


@dataclass(frozen=True, eq=False)
class TwoComponentSed:
    """Weighted sum of two SEDs; made by `two_component_sed`."""

    weight: float
    first: Any
    second: Any

    def pdf(self, energy: ArrayLike) -> Array:
        """Density (1/eV)."""
        return self.weight * self.first.pdf(energy) + (1 - self.weight) * self.second.pdf(energy)

    def cdf(self, energy: ArrayLike) -> Array:
        """Share of the sites below ``energy`` (eV)."""
        return self.weight * self.first.cdf(energy) + (1 - self.weight) * self.second.cdf(energy)

    def ppf(self, share: ArrayLike) -> Array:
        """Energy (eV) below which ``share`` of the sites lies, to round-off."""
        share = np.asarray(share, dtype=float)
        one, two = self.first.ppf(share), self.second.ppf(share)
        low, high = np.minimum(one, two), np.maximum(one, two)  # the answer lies in between
        energy = 0.5 * (low + high)
        inside = (share > 0) & (share < 1)
        # Newton in ln(share), which is nearly straight in the lower tail; bisect where it leaves.
        for _ in range(100):
            filled, density = self.cdf(energy), self.pdf(energy)
            low = np.where(filled < share, energy, low)
            high = np.where(filled < share, high, energy)
            with np.errstate(all="ignore"):
                newton = energy - np.log(filled / share) * filled / density
            good = inside & (newton >= low) & (newton <= high)
            last, energy = energy, np.where(good, newton, 0.5 * (low + high))
            if np.all((np.abs(energy - last) < 1e-15) | ~inside):
                break
        return energy

    def __eq__(self, other: object) -> bool:
        return isinstance(other, TwoComponentSed) and sed_key(self) == sed_key(other)

    def __hash__(self) -> int:
        return hash(sed_key(self))


def two_component_sed(weight: float, first: Any, second: Any) -> TwoComponentSed:
    """Sum of two SEDs, ``weight`` (0 to 1) being the first one's share of the sites."""
    weight = number("weight", weight, 0.0, 1.0)
    return TwoComponentSed(weight, _checked("first", first), _checked("second", second))


def sed_key(sed: Any) -> Hashable:
    """A key that is equal for SEDs equal by value (as far as that can be told)."""
    if isinstance(sed, TwoComponentSed):
        return ("sum of two", sed.weight, sed_key(sed.first), sed_key(sed.second))
    kind = getattr(sed, "dist", None)
    # Only the named distributions of scipy.stats are fixed by name and arguments.
    if kind is not None and type(kind) is type(getattr(stats, kind.name, None)):
        return (kind.name, sed.args, tuple(sorted(sed.kwds.items())))
    return sed


def _checked(name: str, sed: Any) -> Any:
    if not all(callable(getattr(sed, method, None)) for method in ("pdf", "cdf", "ppf")):
        raise ValueError(f"{name} = {sed!r} is no SED: it needs the methods pdf, cdf and ppf")
    return sed


def fwhm(sed: Any) -> float:
    """Full width at half maximum (eV) of any SED: the outermost energies at half the maximum.

    Where the density is cut before it has fallen to half, the cut counts: a populated SED
    (`populated_sed`) ends at its Fermi level.

    Raises
    ------
    ValueError
        If the density is known on a window only and does not fall to half its maximum there.
    """
    return _full_width(_checked("sed", sed))


def _full_width(sed: Any) -> float:
    low, high = getattr(sed, "span", None) or (sed.ppf(SMALLEST), sed.ppf(1 - SMALLEST))
    # Interior points: a density at the very edge of its support is a matter of convention.
    energy = low + (high - low) * (np.arange(8000) + 0.5) / 8000
    density = sed.pdf(energy)
    top = int(np.argmax(density))
    near = energy[max(top - 1, 0)], energy[min(top + 1, energy.size - 1)]
    peak = minimize_scalar(
        lambda x: -float(sed.pdf(x)), bounds=near, method="bounded", options={"xatol": 1e-14}
    )
    half = 0.5 * max(-peak.fun, density[top])
    above = np.flatnonzero(density >= half)

    def edge(inside: int, step: int) -> float:
        outside = inside + step
        end = low if step < 0 else high
        if 0 <= outside < energy.size:
            end = energy[outside]
        elif isinstance(sed, InvertedSed):
            raise ValueError(
                f"the density has not fallen to half its maximum at {end:g} eV, the end of the"
                " window on which this SED is known: its fwhm is unknown"
            )
        elif not sed.pdf(end) < half:
            return float(end)
        return brentq(lambda x: float(sed.pdf(x)) - half, energy[inside], end, xtol=1e-15)

    return edge(int(above[-1]), 1) - edge(int(above[0]), -1)


# --- filling -----------------------------------------------------------------------------


def thermal_filling(sed: Any, level: ArrayLike, temperature: float) -> tuple[Array, Array]:
    """Occupied share of the sites at a Fermi level, with Fermi-Dirac occupation.

    Integrated by parts, integral g f dE = integral G(E_F + kT t) sech^2(t/2)/4 dt with G the
    ``cdf``: analytic, so that equal steps converge exponentially for a smooth SED, and bounded, so
    that the range of t is known beforehand.

    Parameters
    ----------
    sed : SED
    level : array_like, any shape
        Fermi level (eV).
    temperature : float
        Temperature (K), above zero.

    Returns
    -------
    share, slope : ndarray, shape of ``level``
        Occupied share of the sites (1) and its derivative to the level (1/eV).
    """
    kT = BOLTZMANN * number("temperature", temperature, 1.0, 5000.0, "K")
    level = np.asarray(level, dtype=float)
    quartiles = sed.ppf(np.array([0.25, 0.75]))
    # Half of kT, or less when the distribution is not much wider than kT.
    step = min(0.5, 0.15 * (quartiles[1] - quartiles[0]) / kT)
    t = np.arange(-40.0, 110.0, step)  # e^-110 against a filling of 1e-30 and more
    weights = step / (4 * np.cosh(t / 2) ** 2)
    share, slope = np.zeros_like(level), np.zeros_like(level)
    for shift, weight in zip(kT * t, weights, strict=True):
        share += weight * sed.cdf(level + shift)
        slope += weight * sed.pdf(level + shift)
    return share, slope


def _thermal_level(sed: Any, temperature: float, low: float, high: float) -> CubicHermiteSpline:
    """Fermi level (eV) against logit(share), for shares in [low, high], to about 1e-11 eV."""
    kT = BOLTZMANN * number("temperature", temperature, 1.0, 5000.0, "K")
    bottom, top = (float(_known(sed.ppf(q), np.asarray(q))) for q in (low, high))
    step = kT
    while thermal_filling(sed, bottom, temperature)[0] >= low:
        bottom, step = bottom - step, 2 * step
    step = kT
    while thermal_filling(sed, top, temperature)[0] <= high:
        top, step = top + step, 2 * step
    level = np.linspace(bottom, top, 2000)
    share, slope = thermal_filling(sed, level, temperature)
    good = (share > 0) & (share < 1)
    level, share, slope = level[good], share[good], slope[good]
    return CubicHermiteSpline(
        np.log(share / (1 - share)), level, share * (1 - share) / slope, extrapolate=False
    )


def fermi_level(sed: Any, fraction: ArrayLike, occupancy: float, temperature: float = 0.0) -> Array:
    """Fermi level of the native ions.

    Parameters
    ----------
    sed : SED
        Site energy distribution (eV).
    fraction : array_like, any shape
        Native ions as a fraction y of their bulk density (1), y > 0 and occupancy * y < 1.
    occupancy : float
        Occupied share of all sites in the bulk (1), 0.01 to 0.999: 1 - vacancies.
    temperature : float
        0 fills the sites strictly from the bottom up, as the paper does (eqn (2) of
        doi 10.1039/d4cp00262h); above zero (K) the occupation is Fermi-Dirac.

    Returns
    -------
    ndarray, shape of ``fraction``
        Fermi level (eV) on the energy axis of ``sed``.

    Raises
    ------
    ValueError
        If a value is out of range, or the SED is not known at the filling asked for.
    """
    _checked("sed", sed)
    occupancy = number("occupancy", occupancy, 0.01, 0.999)
    temperature = number("temperature", temperature, 0.0, 5000.0, "K")
    fraction = within("fraction", fraction, 1e-30, np.nextafter(1 / occupancy, 0))
    share = occupancy * fraction
    if share.size == 0 or temperature == 0:
        return _known(sed.ppf(share), fraction)
    spline = _thermal_level(sed, temperature, float(share.min()), float(share.max()))
    return _known(spline(np.log(share / (1 - share))), fraction)


def _known(level: ArrayLike, fraction: Array) -> Array:
    level = np.asarray(level, dtype=float)
    if not np.all(np.isfinite(level)):
        bad = fraction[~np.isfinite(level)].flat[0]
        raise ValueError(f"the SED is not known where it is filled to {bad:g}")
    return level


def activation_energy(
    sed: Any, fraction: ArrayLike, occupancy: float, bulk: float = 0.0, temperature: float = 0.0
) -> Array:
    """Activation energy E_act(y) = E_DC - E_F(y) (eV), given its value ``bulk`` at y = 1.

    The threshold E_DC is E_F(1) + bulk; with the default the result is the increase over the bulk.
    The other parameters, and the errors raised, are those of `fermi_level`.
    """
    bulk = number("bulk", bulk, 0.0, 10.0, "eV")
    reference = fermi_level(sed, 1.0, occupancy, temperature)
    return bulk + reference - fermi_level(sed, fraction, occupancy, temperature)


@dataclass(frozen=True, eq=False)
class PopulatedSed:
    """The part of an SED between two energies; made by `populated_sed`.

    ``pdf`` is the density of the whole SED (1/eV of all sites) inside and zero outside;
    ``share`` is its integral, the share of all sites.
    """

    sed: Any
    bottom: float
    top: float
    share: float

    @property
    def span(self) -> tuple[float, float]:
        """Lowest and highest energy (eV), the lowest being where 1e-12 of the sites lies below."""
        lowest = _known(self.sed.ppf(SMALLEST), np.asarray(SMALLEST))
        return max(self.bottom, float(lowest)), self.top

    def pdf(self, energy: ArrayLike) -> Array:
        """Density of populated sites (1/eV of all sites)."""
        energy = np.asarray(energy, dtype=float)
        inside = (energy >= self.bottom) & (energy <= self.top)
        return np.where(inside, self.sed.pdf(energy), 0.0)

    def cdf(self, energy: ArrayLike) -> Array:
        """Populated sites below ``energy``, as a share of all sites; ``share`` at the top."""
        energy = np.clip(np.asarray(energy, dtype=float), self.bottom, self.top)
        return self.sed.cdf(energy) - self.sed.cdf(self.bottom)

    def ppf(self, share: ArrayLike) -> Array:
        """Energy (eV) below which ``share`` of all sites lies in this part."""
        share = within("share", share, 0.0, self.share)
        return np.clip(self.sed.ppf(share + self.sed.cdf(self.bottom)), self.bottom, self.top)


def populated_sed(sed: Any, occupancy: float, low: float = 0.0, high: float = 1.0) -> PopulatedSed:
    """Populated part of an SED (PSED), filled from the bottom, as in fig. 4 of the paper.

    Parameters
    ----------
    sed : SED
    occupancy : float
        Occupied share of all sites in the bulk (1), 0.01 to 0.999.
    low, high : float
        Fractions of the bulk density between whose Fermi levels the part lies. The default is the
        PSED of the bulk; ``low`` = plateau leaves its mobile part.
    """
    low = number("low", low, 0.0, 1.0)
    high = number("high", high, np.nextafter(low, 2), 1.0)
    top = float(fermi_level(sed, high, occupancy))
    bottom = float(fermi_level(sed, low, occupancy)) if low > 0 else -np.inf
    return PopulatedSed(sed, bottom, top, occupancy * (high - low))


# --- diffusion coefficients --------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class ActivatedDiffusivity:
    """D(y) of an SED, eqn (2) of the paper; made by `activated_diffusivity`.

    Equal and of equal hash if all values are equal, so that tables made from it can be cached.
    """

    sed: Any
    D_bulk: float
    temperature: float
    occupancy: float
    immobile: float = 0.0
    filling: Literal["zero", "thermal"] = "zero"

    def _key(self) -> Hashable:
        numbers = (self.D_bulk, self.temperature, self.occupancy, self.immobile, self.filling)
        return (sed_key(self.sed), *numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ActivatedDiffusivity) and self._key() == other._key()

    def __hash__(self) -> int:
        return hash(self._key())

    @property
    def window(self) -> tuple[float, float]:
        """Fractions on which the law is worth inverting: the mobile ions but the last permille."""
        return self.immobile + 1e-3 * (1 - self.immobile), 1.0

    @cached_property
    def _spline(self) -> CubicHermiteSpline:
        low, high = 0.9 * self.occupancy * SMALLEST, 0.5 * (1 + self.occupancy)
        return _thermal_level(self.sed, self.temperature, low, high)

    def _level(self, mobile: Array) -> tuple[Array, Array]:
        """Fermi level (eV) and its derivative to the mobile fraction (eV)."""
        share = self.occupancy * mobile
        if self.filling == "zero":
            level = _known(self.sed.ppf(share), mobile)
            return level, self.occupancy / self.sed.pdf(level)
        logit = np.log(share / (1 - share))
        slope = self._spline(logit, 1) / (share * (1 - share))
        return _known(self._spline(logit), mobile), self.occupancy * slope

    @cached_property
    def _bulk(self) -> tuple[float, float]:
        level, slope = self._level(np.asarray(1.0))
        return float(level), float(slope)

    def _mobile(self, fraction: ArrayLike) -> tuple[Array, Array, Array]:
        """Fraction, mobile fraction, and the same clipped to where D follows the Fermi level."""
        y = within("fraction", fraction, 1 - HIGHEST, HIGHEST)
        mobile = (y - self.immobile) / (1 - self.immobile)
        return y, mobile, np.clip(mobile, TAPER if self.immobile else SMALLEST, 1.0)

    def __call__(self, fraction: ArrayLike) -> Array:
        """D (m^2/s) at ``fraction`` (any shape); ValueError outside [-0.05, 1.05]."""
        _, mobile, clipped = self._mobile(fraction)
        kT = BOLTZMANN * self.temperature
        bulk, slope = self._bulk
        rise = self._level(clipped)[0] - bulk + slope * np.maximum(mobile - 1, 0)
        D = self.D_bulk * np.exp(rise / kT)
        return D * np.clip(mobile / TAPER, 1e-9, 1.0) if self.immobile else D

    def log_slope(self, fraction: ArrayLike) -> Array:
        """d ln D / d ln y (1), from the density of states at the Fermi level, no differences."""
        y, mobile, clipped = self._mobile(fraction)
        per_mobile = self._level(clipped)[1] / (BOLTZMANN * self.temperature)
        per_mobile = np.where(mobile < clipped, 0.0, per_mobile)
        if self.immobile:
            fading = (mobile < TAPER) & (mobile > 1e-9 * TAPER)
            per_mobile = np.where(fading, 1 / np.where(fading, mobile, 1.0), per_mobile)
        return y * per_mobile / (1 - self.immobile)


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
        Diffusion coefficient at y = 1 (m^2/s), 1e-40 to 1e6.
    temperature : float
        Temperature (K), 100 to 2000.
    occupancy : float
        Occupied share of all sites in the bulk (1), 0.01 to 0.999: 1 - vacancies.
    immobile : float
        Share c of the native ions that never moves (1), 0 to 0.9: the law above then holds for the
        mobile fraction (y - c)/(1 - c). Below a mobile fraction of 1e-4 D fades in proportion to
        it, down to 1e-9 of its value there, which is also its value for y < c: positive, and far
        too small to matter.
    filling : {"zero", "thermal"}
        Sites filled strictly from the bottom up (the paper), or with Fermi-Dirac occupation.

    Returns
    -------
    ActivatedDiffusivity
        Callable: fraction (any shape) -> D (m^2/s). Fractions below 1e-12 count as 1e-12; between
        1 and 1.05 (overshoot of a numerical solution) ln D continues with its slope at 1; values
        outside [-0.05, 1.05] raise a ValueError.

    Raises
    ------
    ValueError
        If a value is out of range.
    """
    _checked("sed", sed)
    if filling not in ("zero", "thermal"):
        raise ValueError(f"filling = {filling!r} is neither 'zero' nor 'thermal'")
    return ActivatedDiffusivity(
        sed,
        number("D_bulk", D_bulk, 1e-40, 1e6, "m^2/s"),
        number("temperature", temperature, 100.0, 2000.0, "K"),
        number("occupancy", occupancy, 0.01, 0.999),
        number("immobile", immobile, 0.0, 0.9),
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

    @cached_property
    def D_bulk(self) -> float:
        """D (m^2/s) at y = 1."""
        return float(self(1.0))

    @cached_property
    def _log(self) -> PchipInterpolator:
        return PchipInterpolator(self.fraction, np.log(self.D))

    def __call__(self, fraction: ArrayLike) -> Array:
        """D (m^2/s) at ``fraction`` (any shape); ValueError outside [-0.05, 1.05]."""
        y = within("fraction", fraction, 1 - HIGHEST, HIGHEST)
        return np.exp(self._log(np.clip(y, *self.window)))

    def log_slope(self, fraction: ArrayLike) -> Array:
        """d ln D / d ln y (1); zero outside the table."""
        y = within("fraction", fraction, 1 - HIGHEST, HIGHEST)
        low, high = self.window
        return np.where((y < low) | (y > high), 0.0, y * self._log(np.clip(y, low, high), 1))


def tabulated_diffusivity(fraction: ArrayLike, D: ArrayLike) -> TabulatedDiffusivity:
    """Diffusion coefficient through a table: ln D is piecewise cubic (PCHIP) in the fraction.

    The interpolant is monotone wherever the table is, and makes no extremes of its own.

    Parameters
    ----------
    fraction : array_like, shape (m,)
        Fractions of the bulk density (1), strictly increasing within [0, 1.05], the last one
        at least 1; m >= 2.
    D : array_like, shape (m,)
        Diffusion coefficients (m^2/s), positive.

    Returns
    -------
    TabulatedDiffusivity
        Callable: fraction (any shape) -> D (m^2/s). Outside the table (``window``) D keeps the
        value at its end.

    Raises
    ------
    ValueError
        If the table is not as described.
    """
    y, D = np.array(fraction, dtype=float), np.array(D, dtype=float)
    if y.ndim != 1 or y.shape != D.shape or y.size < 2:
        raise ValueError(
            f"fraction and D need the same shape (m,) with m >= 2, not {y.shape} and {D.shape}"
        )
    within("fraction", y, 0.0, HIGHEST)
    within("D", D, 1e-60, 1e6)
    if not np.all(np.diff(y) > 0):
        where = int(np.argmin(np.diff(y) > 0)) + 1
        raise ValueError(f"fraction must increase strictly: entry {where} is {y[where]:g}")
    if y[-1] < 1:
        raise ValueError(f"fraction ends at {y[-1]:g}: the table must reach the bulk, 1")
    return TabulatedDiffusivity(tuple(y.tolist()), tuple(D.tolist()))


# --- the way back ------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class InvertedSed:
    """SED read off a D(y), known on a window only; made by `sed_from_diffusivity`.

    Energies are relative to the Fermi level of the bulk. ``pdf``, ``cdf`` and ``ppf`` are nan
    outside the window: what lies there is unknown.

    Attributes
    ----------
    energy : ndarray, shape (m,)
        Fermi levels (eV), increasing to 0 at y = 1.
    density : ndarray, shape (m,)
        g at these energies (1/eV), normalised to all sites.
    fraction : ndarray, shape (m,)
        Fractions y that belong to them.
    occupancy : float
        Occupied share of all sites in the bulk.
    """

    energy: Array
    density: Array
    fraction: Array
    occupancy: float
    _level: CubicHermiteSpline = field(repr=False)  # energy against logit(share)
    _logit: CubicHermiteSpline = field(repr=False)  # and back

    @property
    def span(self) -> tuple[float, float]:
        """The window: lowest and highest energy (eV)."""
        return float(self.energy[0]), float(self.energy[-1])

    def ppf(self, share: ArrayLike) -> Array:
        """Energy (eV) below which ``share`` of all sites lies; nan outside the window."""
        share = np.asarray(share, dtype=float)
        inside = (share > 0) & (share < 1)
        share = np.where(inside, share, 0.5)
        logit = _snap(np.log(share / (1 - share)), self._level.x, 1e-12)
        return np.where(inside, self._level(logit), np.nan)

    def cdf(self, energy: ArrayLike) -> Array:
        """Share of all sites below ``energy`` (eV); nan outside the window."""
        energy = _snap(np.asarray(energy, dtype=float), self.energy, 1e-13)
        return 1 / (1 + np.exp(-self._logit(energy)))

    def pdf(self, energy: ArrayLike) -> Array:
        """Density (1/eV of all sites) at ``energy`` (eV); nan outside the window."""
        energy = _snap(np.asarray(energy, dtype=float), self.energy, 1e-13)
        share = self.cdf(energy)
        return share * (1 - share) * self._logit(energy, 1)


def _snap(x: Array, window: Array, slack: float) -> Array:
    """Move what round-off has put just outside the window onto its end."""
    low, high = window[0], window[-1]
    return np.where((x > low - slack) & (x < high + slack), np.clip(x, low, high), x)


def sed_from_diffusivity(
    D: Callable[[ArrayLike], ArrayLike],
    temperature: float,
    occupancy: float,
    window: tuple[float, float] | None = None,
) -> InvertedSed:
    """Eqn (2) of doi 10.1039/d4cp00262h inverted: the SED that a D(y) implies.

    E_F(y) - E_F(1) = kT ln(D(y)/D(1)) and g(E_F) = occupancy dy/dE_F, sites filled from the bottom.

    Parameters
    ----------
    D : callable
        fraction -> diffusion coefficient (m^2/s), strictly increasing on the window.
    temperature : float
        Temperature (K), 100 to 2000.
    occupancy : float
        Occupied share of all sites in the bulk (1), 0.01 to 0.999: 1 - vacancies.
    window : (float, float), optional
        Fractions on which D is known, such as (plateau, 1), both in (0, 1]. The default is
        ``D.window`` if there is one, within [0.001, 1].

    Raises
    ------
    ValueError
        If a value is out of range, or D does not increase strictly on the window: no filling from
        the bottom gives such a D.
    """
    kT = BOLTZMANN * number("temperature", temperature, 100.0, 2000.0, "K")
    occupancy = number("occupancy", occupancy, 0.01, 0.999)
    if window is None:
        low, high = getattr(D, "window", (1e-3, 1.0))
        window = max(low, 1e-3), min(high, 1.0)
    low = number("window[0]", window[0], SMALLEST, 1.0)
    high = number("window[1]", window[1], np.nextafter(low, 2), 1.0)
    ends = np.log(occupancy * np.array([low, high]))
    ends -= np.log1p(-occupancy * np.array([low, high]))
    # A uniform grid in logit(share) is fine at both ends of the distribution.
    logit = np.linspace(*ends, 4001)
    y = 1 / (1 + np.exp(-logit)) / occupancy
    y[0], y[-1] = low, high
    D_y = np.asarray(D(y), dtype=float)
    slope = log_slope(D, y)
    bad = ~(np.isfinite(D_y) & (D_y > 0) & (slope > 0))
    if bad.any():
        raise ValueError(
            f"D does not increase strictly with the fraction: d ln D/d ln y = {slope[bad][0]:g}"
            f" at {y[bad][0]:g}"
        )
    energy = kT * np.log(D_y / float(np.asarray(D(1.0))))
    density = occupancy * y / (kT * slope)
    share = occupancy * y
    to_logit = share * (1 - share) / density  # dE_F / d logit(share)
    if not np.all(np.diff(energy) > 0):
        raise ValueError("D does not increase strictly with the fraction")
    level = CubicHermiteSpline(logit, energy, to_logit, extrapolate=False)
    back = CubicHermiteSpline(energy, logit, 1 / to_logit, extrapolate=False)
    return InvertedSed(energy, density, y, occupancy, level, back)


def log_slope(D: Callable[[ArrayLike], ArrayLike], fraction: ArrayLike) -> Array:
    """d ln D / d ln y (1) of any positive D(y): its own ``log_slope``, or sixth-order differences.

    A function without ``log_slope`` must be smooth, and defined 0.3 % beyond ``fraction``.
    """
    y = np.asarray(fraction, dtype=float)
    own = getattr(D, "log_slope", None)
    if own is not None:
        return np.asarray(own(y), dtype=float)
    h = 1e-3  # of y: rounding is 1e-16/h, truncation h^6 of an undulation of relative length 1

    def difference(steps: int) -> Array:
        up, down = (np.log(np.asarray(D(y * (1 + s * h)), dtype=float)) for s in (steps, -steps))
        return (up - down) / (2 * steps * h)

    return 1.5 * difference(1) - 0.6 * difference(2) + 0.1 * difference(3)
