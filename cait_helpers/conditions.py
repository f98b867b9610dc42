"""What is simulated: the glass, what drives the ions, and where the run stops."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.constants import e, epsilon_0, k

from .checks import (
    CHARGE,
    ION_DENSITY,
    LARGEST,
    PERMITTIVITY,
    TEMPERATURE,
    THICKNESS,
    as_array,
    require,
    require_all,
)


@dataclass(frozen=True)
class Glass:
    """A glass plate with one native mobile ion and a fixed anionic background.

    Parameters
    ----------
    thickness : float
        Plate thickness (m), 50 nm to 5 mm.
    ion_density : float
        Bulk number density N of the native ion (m^-3).
    permittivity : float
        Relative permittivity (1), 1 to 200.
    temperature : float
        Temperature (K), 200 to 1000.

    Raises
    ------
    ValueError
        If a value is not a number in its range.
    """

    thickness: float
    ion_density: float
    permittivity: float
    temperature: float

    def __post_init__(self) -> None:
        require("thickness", self.thickness, *THICKNESS)
        require("ion_density", self.ion_density, *ION_DENSITY)
        require("permittivity", self.permittivity, *PERMITTIVITY)
        require("temperature", self.temperature, *TEMPERATURE)

    @property
    def thermal_voltage(self) -> float:
        """kT/e (V)."""
        return k * self.temperature / e

    @property
    def debye_length(self) -> float:
        """Screening length of the mobile ions, sqrt(eps kT / e^2 N) (m)."""
        permittivity = epsilon_0 * self.permittivity
        return float(np.sqrt(permittivity * k * self.temperature / (e**2 * self.ion_density)))


@dataclass(frozen=True)
class Series:
    """A positive quantity that is constant, or recorded against time.

    Parameters
    ----------
    value : float or array_like, shape (m,)
        The constant, or the recorded values.
    time : array_like, shape (m,), optional
        Times of the recorded values (s), strictly increasing from zero; linear in between.
    """

    value: float | NDArray[np.float64]
    time: NDArray[np.float64] | None = None

    unit = ""

    def __init__(self, value: float | ArrayLike, time: ArrayLike | None = None) -> None:
        name = type(self).__name__
        if time is None:
            value = require(name, value, 1e-30, 1e30, self.unit)
        else:
            value = np.array(as_array(f"{name}: value", value))
            time = np.array(as_array(f"{name}: time", time))
            if time.ndim != 1 or time.shape != value.shape or time.size < 2:
                raise ValueError(
                    f"{name}: value and time need the same shape (m,) with m >= 2,"
                    f" not {value.shape} and {time.shape}"
                )
            if not (time[0] == 0 and np.all(np.diff(time) > 0) and np.isfinite(time[-1])):
                raise ValueError(f"{name}: time must start at 0 s and increase strictly")
            if not (np.all(np.isfinite(value)) and np.all(value >= 0) and np.any(value > 0)):
                raise ValueError(f"{name}: values must be finite, not negative, not all zero")
        object.__setattr__(self, "value", value)
        object.__setattr__(self, "time", time)

    def at(self, time: ArrayLike) -> NDArray[np.float64]:
        """Value at ``time`` (s), any shape; a record keeps its ends beyond them."""
        time = require_all("time", time, -LARGEST, LARGEST, "s")
        if self.time is None:
            return np.full(time.shape, self.value)
        return np.interp(time, self.time, self.value)

    def integral(self, time: float) -> float:
        """Integral from zero to ``time`` (s), in the unit of the quantity times second."""
        time = require("time", time, 0.0, 1e30, "s")
        if self.time is None:
            return self.value * time
        inside = np.append(self.time[self.time < time], time)
        return float(np.trapezoid(self.at(inside), inside))


class Voltage(Series):
    """Potential of the front surface against the grounded back electrode (V)."""

    unit = "V"


class CurrentDensity(Series):
    """Current density of the ion beam (A/m^2)."""

    unit = "A/m^2"


@dataclass(frozen=True)
class Charge:
    """Stop when this charge per area has passed (C/m^2)."""

    value: float

    def __post_init__(self) -> None:
        require("Charge", self.value, *CHARGE)


@dataclass(frozen=True)
class Duration:
    """Stop after this time (s)."""

    value: float

    def __post_init__(self) -> None:
        require("Duration", self.value, 1e-9, 1e12, "s")
