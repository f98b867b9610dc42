"""The checks of numbers at the door: a bad one raises a ValueError with its name and value.

The range of a quantity that several doors ask for stands here, as low, high and unit.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LARGEST = float(np.finfo(float).max)
POSITIVE = (float(np.nextafter(0, 1)), LARGEST)  # any number above zero
TEMPERATURE = (200.0, 1000.0, "K")  # an experiment's value in Celsius lies below
THICKNESS = (5e-8, 5e-3, "m")
ION_DENSITY = (1e25, 1e30, "m^-3")
PERMITTIVITY = (1.0, 200.0)
CHARGE = (1e-6, 1e6, "C/m^2")
OCCUPANCY = (0.01, 0.999)  # occupied share of all sites in the bulk
DIFFUSIVITY = (1e-60, 1e6, "m^2/s")


def require(name: str, value: float, low: float, high: float, unit: str = "") -> float:
    """Return ``value`` as a float, or raise a ValueError that names it and the allowed range."""
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        number = float("inf")
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {value!r} is not a number") from None
    if not low <= number <= high:  # False for nan as well
        suffix = f" {unit}" if unit else ""
        raise ValueError(f"{name} = {number:g}{suffix} is outside [{low:g}, {high:g}]{suffix}")
    return number


def require_all(
    name: str, values: ArrayLike, low: float, high: float, unit: str = ""
) -> NDArray[np.float64]:
    """Return ``values`` as an array of floats if `require` accepts them all."""
    try:
        array = np.asarray(values, dtype=float)
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {values!r} is not an array of numbers") from None
    bad = ~((array >= low) & (array <= high))  # True for nan as well
    if bad.any():
        require(name, array[bad].flat[0], low, high, unit)
    return array


def require_whole(name: str, value: int, low: int, high: float = math.inf) -> int:
    """Return ``value`` as an int if it is a whole number in the range."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise ValueError(f"{name} = {value!r} is not a whole number in [{low}, {high}]")
    return int(value)
