"""Glasses and ions by name, so that a chapter changes its system in one word."""

from __future__ import annotations

import functools
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checks import require_name
from ..npp import Glass

# Chosen, if the table gives no origin; the width always has one.
_CHOSEN = (
    "ion_density", "thickness", "permittivity", "temperature", "occupancy", "D_bulk", "D_foreign",
)  # fmt: skip


@dataclass(frozen=True)
class Preset:
    """A glass with its ions; made by `preset`.

    Attributes
    ----------
    name, native : str
    glass : Glass
    fwhm : float
        Width of a Gaussian SED (eV).
    occupancy : float
        Occupied share of the sites in untouched glass (1).
    D_bulk : float
        Native diffusion coefficient there (m^2/s).
    D_foreign : dict of str to float
        Foreign diffusion coefficients (m^2/s).
    origin : dict of str to str
        Where each of the numbers comes from.
    """

    name: str
    native: str
    glass: Glass
    fwhm: float
    occupancy: float
    D_bulk: float
    D_foreign: dict[str, float]
    origin: dict[str, str]


@functools.cache
def systems() -> dict[str, dict[str, Any]]:
    """The tables of data/glasses.toml by name, each with what holds for all of them."""
    package = Path(__file__).parents[1]
    # An installed package holds the folder, a checkout has it beside the package.
    folders = (package / "data", package.parent / "data")
    path = next(path for folder in folders if (path := folder / "glasses.toml").is_file())
    tables = tomllib.loads(path.read_text(encoding="utf-8"))
    common = tables.pop("all")
    return {name: common | table for name, table in tables.items()}


def preset(name: str) -> Preset:
    """Return a system by name.

    Parameters
    ----------
    name : str
        "LBO", lithium borate; "NCP", sodium calcium phosphate; "NRB", sodium rubidium borate;
        "LAGP", "NAGP", "KAGP", alkali aluminium germanium phosphates.

    Raises
    ------
    ValueError
        If there is no such system.
    """
    require_name("name", name, systems())
    s = systems()[name]
    return Preset(
        name=name,
        native=s["native"],
        glass=Glass(s["thickness"], s["ion_density"], s["permittivity"], s["temperature"]),
        fwhm=s["fwhm"],
        occupancy=s["occupancy"],
        D_bulk=s["D_bulk"],
        D_foreign={ion: s["D_bulk"] * 10**decades for ion, decades in s["foreign"].items()},
        origin=dict.fromkeys(_CHOSEN, "chosen") | s["origin"],
    )
