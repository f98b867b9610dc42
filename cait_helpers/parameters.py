"""What a fit varies, and what it takes for granted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from .checks import LARGEST, POSITIVE, require


@dataclass(frozen=True)
class Prior:
    """What is known of a parameter beforehand: a normal distribution."""

    mean: float
    sigma: float

    def __post_init__(self) -> None:
        require("mean", self.mean, -LARGEST, LARGEST)
        require("sigma", self.sigma, *POSITIVE)


@dataclass
class Parameter:
    """One number of a fit; change it at will before `fit_landscape`.

    Attributes
    ----------
    value, min, max : float
    vary : bool
        Whether it is fitted.
    prior : Prior or None
    error, widened : float
        Standard error after a fit, by the curvature and with what a misfit adds.
    moves : str
        The coordinate of the simulation that it moves; empty if it needs no simulation.
    decades : bool
        Whether it is the decimal logarithm of what ``key`` names.
    key : str
        Under which its interval is given; empty for what concerns instruments only.
    """

    value: float
    min: float = -np.inf
    max: float = np.inf
    vary: bool = True
    prior: Prior | None = None
    error: float = np.nan
    widened: float = np.nan
    moves: str = ""
    decades: bool = False
    key: str = ""

    def interval(self) -> tuple[float, float]:
        """95 %, of the quantity itself; one-sided, by 1.64 standard errors, at a bound."""
        low, high = self.value - 1.96 * self.widened, self.value + 1.96 * self.widened
        if self.value - self.min < 1e-3 * self.widened:
            low, high = self.min, self.value + 1.645 * self.widened
        elif self.max - self.value < 1e-3 * self.widened:
            low, high = self.value - 1.645 * self.widened, self.max
        low, high = max(low, self.min), min(high, self.max)
        return (10**low, 10**high) if self.decades else (low, high)


Parameters = dict[str, Parameter]


def copied(parameters: Mapping[str, Parameter]) -> Parameters:
    return {name: replace(p) for name, p in parameters.items()}


def values_of(parameters: Mapping[str, Parameter]) -> dict[str, float]:
    return {name: p.value for name, p in parameters.items()}


def free_names(parameters: Mapping[str, Parameter]) -> tuple[str, ...]:
    return tuple(name for name, p in parameters.items() if p.vary)


@dataclass(frozen=True)
class Assumptions:
    """What a fit takes for granted about the glass.

    Attributes
    ----------
    filling : {"zero", "thermal"}
        Sites filled strictly from the bottom up, or with Fermi-Dirac occupation.
    prefactor : {"none", "1/y", "blocking"}
        A factor of the native D beside eqn (2): none; 1/y; the vacant share of the sites.
    drift : float
        By what factor D of a foreign ion changes from fully replaced glass to the plateau.
    hop_length : float
        Of all ions (m), for a drift that is not linear in the field; zero for linear drift.
    """

    filling: str = "zero"
    prefactor: str = "none"
    drift: float = 1.0
    hop_length: float = 0.0

    def __post_init__(self) -> None:
        allowed = {"filling": ("zero", "thermal"), "prefactor": ("none", "1/y", "blocking")}
        for name, choices in allowed.items():
            if getattr(self, name) not in choices:
                value = getattr(self, name)
                raise ValueError(f"{name} = {value!r}; allowed are {', '.join(choices)}")
        require("drift", self.drift, 0.01, 100)
        require("hop_length", self.hop_length, 0.0, 1e-8, "m")


#: The paper's own: filled from the bottom up, eqn (2) alone, linear drift
SHARP = Assumptions()


def with_values(parameters: Mapping[str, Parameter], theta: Sequence[float]) -> Parameters:
    """A copy with other values of the free parameters."""
    found = copied(parameters)
    for name, value in zip(free_names(parameters), theta, strict=True):
        found[name].value = float(value)
    return found
