"""The checks of numbers at the door: a bad one raises a ValueError with its name and value.

The range of a quantity that several doors ask for stands here, as low, high and unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import Any, SupportsFloat

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LARGEST = 1e100  # in SI units nothing of a glass comes near; products of three do not overflow
POSITIVE = (1 / LARGEST, LARGEST)  # any number above zero
TEMPERATURE = (200.0, 1000.0, "K")  # an experiment's value in Celsius lies below
THICKNESS = (5e-8, 5e-3, "m")
ION_DENSITY = (1e25, 1e30, "m^-3")
PERMITTIVITY = (1.0, 200.0)
CHARGE = (1e-6, 1e6, "C/m^2")
OCCUPANCY = (0.01, 0.999)  # occupied share of all sites in the bulk
DIFFUSIVITY = (1e-60, 1e6, "m^2/s")


def told(value: object) -> str:
    """Return a value as a message shows it, in one line, however long it is."""
    try:
        text = " ".join(repr(value).split())
    except Exception:  # an integer of more than 4300 digits, for one
        text = f"<{type(value).__name__}>"
    return text if len(text) <= 200 else f"{text[:150]} ... {text[-20:]}"


def require(name: str, value: float, low: float, high: float, unit: str = "") -> float:
    """Return ``value`` as a float, or raise a ValueError that names it and the allowed range."""
    try:
        if type(value) is not float and (np.ndim(value) or not _real(value)):  # slow to ask
            raise TypeError
        number = float(value)
    except OverflowError:  # an integer of hundreds of digits
        number = math.inf if value > 0 else -math.inf
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {told(value)} is not a number") from None
    if not low <= number <= high:  # False for nan as well
        suffix = f" {unit}" if unit else ""
        raise ValueError(f"{name} = {number:g}{suffix} is outside [{low:g}, {high:g}]{suffix}")
    return number


def _real(value: object) -> bool:
    """Whether a thing is one real number: no text, truth value, date, complex or masked one."""
    if isinstance(value, np.ndarray | np.generic):
        return value.dtype.kind in "iuf" and not np.ma.is_masked(value)
    return isinstance(value, SupportsFloat) and not isinstance(value, bool)


def as_array(name: str, values: ArrayLike) -> NDArray[np.float64]:
    """Return ``values`` as an array of floats; ValueError if anything in it is no real number."""
    try:
        array = np.asarray(values)
        if array.dtype.kind == "O" and array.size and all(map(_real, array.flat)):
            array = array.astype(float)
        if np.ma.is_masked(values) or array.dtype.kind not in "iuf":
            raise TypeError
    except OverflowError:
        raise ValueError(f"{name} = {told(values)} is outside the range of numbers") from None
    except (TypeError, ValueError):
        raise ValueError(f"{name} = {told(values)} is not an array of numbers") from None
    return array.astype(float, copy=False)


def require_all(
    name: str, values: ArrayLike, low: float, high: float, unit: str = ""
) -> NDArray[np.float64]:
    """Return ``values`` as an array of floats if `require` accepts them all."""
    array = as_array(name, values)
    bad = ~((array >= low) & (array <= high))  # True for nan as well
    if bad.any():
        require(name, array[bad].flat[0], low, high, unit)
    return array


def require_law(name: str, D: Any, fraction: Array) -> Array:
    """Return the values of a law D(y) at fractions, in their shape; ValueError if it is none.

    The law gets an array of its own, whatever it does with it. What it raises passes.
    """
    require_callable(name, D)
    try:
        found = D(fraction.copy())
    except TypeError as error:
        raise ValueError(f"{name} takes no array of fractions: {error}") from error
    values = as_array(name, found)
    if values.shape != fraction.shape:
        raise ValueError(
            f"{name} must map an array of fractions to one number each, shape {fraction.shape},"
            f" not {values.shape}"
        )
    bad = ~((values > 0) & (values < math.inf))
    if bad.any():
        raise ValueError(
            f"{name} must map an array of fractions to positive values, not to"
            f" {values[bad].flat[0]:g} at {fraction[bad].flat[0]:.3g}"
        )
    return values


def require_callable(name: str, value: Any) -> Callable:
    """Return ``value`` if it is a function."""
    if not callable(value) or isinstance(value, type):
        raise ValueError(f"{name} = {told(value)} is not a function")
    return value


def require_kind(name: str, value: Any, *kinds: type) -> Any:
    """Return ``value`` if it is of one of the classes."""
    if not isinstance(value, kinds):
        allowed = " or ".join(kind.__name__ for kind in kinds)
        raise ValueError(f"{name} = {told(value)} is not of the class {allowed}")
    return value


def require_name(name: str, value: Any, allowed: Collection[str]) -> str:
    """Return ``value`` if it is one of the allowed texts."""
    if not isinstance(value, str) or value not in allowed:
        raise ValueError(f"{name} = {told(value)} is not one of {', '.join(map(str, allowed))}")
    return value


def require_fit(**arrays: Array) -> None:
    """ValueError unless the shapes of the arrays can be broadcast to one."""
    try:
        np.broadcast_shapes(*(np.shape(a) for a in arrays.values()))
    except ValueError:
        shapes = ", ".join(str(np.shape(a)) for a in arrays.values())
        raise ValueError(f"the shapes of {', '.join(arrays)} do not fit: {shapes}") from None


def require_whole(name: str, value: int, low: int, high: float = math.inf) -> int:
    """Return ``value`` as an int if it is a whole number in the range."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise ValueError(f"{name} = {told(value)} is not a whole number in [{low}, {high}]")
    return int(value)
