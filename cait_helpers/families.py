"""Families of landscapes that a fit chooses from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from .checks import require_name
from .landscape import (
    Law,
    activated_diffusivity,
    gaussian_sed,
    skewed_sed,
    tabulated_diffusivity,
    two_component_sed,
)


@dataclass(frozen=True)
class Family:
    """A family of landscapes that a fit chooses from.

    Attributes
    ----------
    name : str
    parameters : dict of str to (float, float, float, float)
        Start, lowest, highest value, and the half-width of the first design.
    law : callable
        (values, D_bulk, temperature, occupancy, filling) -> native D(y).
    energies : tuple of str
        The parameters that the law reads in units of kT.
    """

    name: str
    parameters: dict[str, tuple[float, float, float, float]]
    law: Callable[[Mapping[str, float], float, float, float, str], Law]
    energies: tuple[str, ...] = ("fwhm",)


def _of_sed(make: Callable[[Mapping[str, float]], Any]):
    def law(values, D_bulk, temperature, occupancy, filling):
        immobile = values.get("immobile", 0.0)
        return activated_diffusivity(
            make(values), D_bulk, temperature, occupancy, immobile, filling
        )

    return law


def _two(values: Mapping[str, float]) -> Any:
    first, second = values["fwhm"], values["fwhm_second"]
    return two_component_sed(
        1 - values["weight"], gaussian_sed(first), gaussian_sed(second, -values["below"])
    )


KNOTS = np.array([0.003, 0.01, 0.03, 0.07, 0.15, 0.4, 1.0])


def _monotone(values, D_bulk, temperature, occupancy, filling):
    rises = [10.0 ** values[f"rise_{i}"] for i in range(KNOTS.size - 1)]
    log_D = -np.append(np.cumsum(rises[::-1])[::-1], 0.0)
    return tabulated_diffusivity(KNOTS, D_bulk * np.exp(log_D))


_FWHM = {"fwhm": (0.250, 0.02, 0.8, 0.04)}  # the half-width relative for this one
FAMILIES = {
    family.name: family
    for family in (
        Family("gaussian", _FWHM, _of_sed(lambda v: gaussian_sed(v["fwhm"]))),
        Family(
            "skewed",
            _FWHM | {"skew": (0.0, -1.0, 1.0, 0.05)},
            _of_sed(lambda v: skewed_sed(v["fwhm"], v["skew"])),
        ),
        Family(
            "two components",
            _FWHM
            | {
                "fwhm_second": (0.250, 0.02, 0.8, 0.02),
                "below": (0.05, 0.0, 0.6, 0.03),
                "weight": (0.2, 0.0, 0.5, 0.05),
            },
            _of_sed(_two),
            ("fwhm", "fwhm_second", "below"),
        ),
        Family(
            "immobile share",
            _FWHM | {"immobile": (0.01, 0.0, 0.5, 0.005)},
            _of_sed(lambda v: gaussian_sed(v["fwhm"])),
        ),
        Family(
            "monotone D",
            {f"rise_{i}": (0.0, -2.0, 1.5, 0.05) for i in range(KNOTS.size - 1)},
            _monotone,
            (),
        ),
    )
}


def find_family(name: str) -> Family:
    """The family of a name, or a ValueError that lists the names."""
    return FAMILIES[require_name("family", name, FAMILIES)]
