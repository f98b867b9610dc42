"""Glasses and ions by name, so that a chapter changes its system in one word.

What a source states is marked with it; everything else is chosen, for want of a published value,
and marked as such in ``Preset.origin``. Chosen foreign coefficients leave plateaus like those of
the borate; they are a place to start, not a prediction.
"""

from __future__ import annotations

from dataclasses import dataclass

from .npp import Glass

_LBO = {"K": 10**-3.42, "Rb": 10**-4.19, "Cs": 10**-4.89}  # over D_bulk: plateaus of 15, 7, 3 %
_PHOSPHATES = {"K": 1e-2, "Rb": 5e-3, "Cs": 3e-3, "H": 3e-3}
_PAPER, _APS = "doi 10.1039/d4cp00262h", "doi 10.1039/d4ta02421d"

# Name: native ion, ions per m^3, width of the SED (eV), foreign ions over D_bulk, source of the
# width, what the density comes from.
_SYSTEMS = {
    "LBO": ("Li", 1.38e28, 0.250, _LBO, _PAPER, "Li3B7O12 at 2.2 g/cm^3"),
    "NCP": (
        "Na", 8.3e27, 0.280, _LBO,
        f"{_PAPER}, for a sodium calcium phosphate of doi 10.1016/j.mtphys.2018.05.002",
        "25 Na2O, 30 CaO, 45 P2O5 at 2.65 g/cm^3",
    ),
    "NRB": (
        "Na", 4.8e27, 0.320, _LBO,
        f"{_PAPER}, for a sodium rubidium borate of doi 10.1039/c9cp05194e",
        "10 Na2O, 10 Rb2O, 80 B2O3 at 2.3 g/cm^3",
    ),
    "LAGP": (
        "Li", 7.1e27, 0.113, _PHOSPHATES,
        f"{_PAPER}, for doi 10.1021/acs.jpcc.0c11164 (114 meV by protons, {_APS})",
        "Li1.5Al0.5Ge1.5(PO4)3 at 3.3 g/cm^3",
    ),
    "NAGP": ("Na", 6.7e27, 0.122, _PHOSPHATES, _APS, "Na1.5Al0.5Ge1.5(PO4)3 at 3.3 g/cm^3"),
    "KAGP": ("K", 6.4e27, 0.126, _PHOSPHATES, _APS, "K1.5Al0.5Ge1.5(PO4)3 at 3.3 g/cm^3"),
}  # fmt: skip


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
    if name not in _SYSTEMS:
        raise ValueError(f"name = {name!r} is not one of {', '.join(_SYSTEMS)}")
    native, density, fwhm, ratios, width, composition = _SYSTEMS[name]
    D_bulk = 1e-18
    fitted = f"chosen for the plateaus of {_PAPER}, 15, 7 and 3 %"
    return Preset(
        name=name,
        native=native,
        glass=Glass(0.5e-3, density, permittivity=8.0, temperature=323.15),
        fwhm=fwhm,
        occupancy=0.9,
        D_bulk=D_bulk,
        D_foreign={ion: D_bulk * ratio for ion, ratio in ratios.items() if ion != native},
        origin={
            "ion_density": f"chosen: {composition}",
            "thickness": "chosen",
            "permittivity": "chosen",
            "temperature": "chosen",
            "fwhm": width,
            "occupancy": _PAPER if name == "LBO" else f"chosen, as in {_PAPER}",
            "D_bulk": "chosen",
            "D_foreign": fitted if name == "LBO" else "chosen",
        },
    )
