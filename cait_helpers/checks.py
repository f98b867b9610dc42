"""The checks of numbers at the door: a bad one raises a ValueError with its name and value."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

LARGEST = float(np.finfo(float).max)
POSITIVE = (float(np.nextafter(0, 1)), LARGEST)  # any number above zero, as low and high


def require(name: str, value: float, low: float, high: float, unit: str = "") -> float:
    """Return ``value`` as a float, or raise a ValueError that names it and the allowed range."""
    try:
        if isinstance(value, str | bytes | bool):
            raise TypeError
        number = float(value)
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
