"""From raw SIMS depth profiles of ion-replacement experiments to the site energy distribution.

The way of the data: ``read_case`` (``read_sims``, ``normalise``) -> ``simulate`` with the
``activated_diffusivity`` of a site energy distribution -> ``fit_landscape`` -> ``onsager_matrix``
-> ``haven_ratio``. SI units throughout; energies in eV. What is not named here is reached by its
module, such as ``cait_helpers.onsager.fick_matrix``; modules are imported when they are used.
"""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_MODULE_OF = {
    name: module
    for module, names in {
        "budget": "error_budget",
        "cases": "CaseError read_case",
        "ensemble": "simulate_many",
        "exports": "read_sims",
        "figures": "style",
        "form": "workbench",
        "fronts": "front",
        "fit": "fit_landscape",
        "landscape": "activated_diffusivity fermi_level gaussian_sed sed_from_diffusivity "
        "tabulated_diffusivity",
        "lattice": "walk_lattice",
        "likelihood": "FitError",
        "npp": "Charge CurrentDensity Duration Glass Run SimulationError Voltage simulate",
        "onsager": "diffusivities haven_ratio onsager_matrix",
        "pair": "pair_landscape",
        "parameters": "Prior",
        "report": "save_report",
        "sims": "normalise",
        "tables": "SimsError",
        "uncertainty": "likelihood_profile sample_posterior",
    }.items()
    for name in names.split()
}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    if name in _MODULE_OF:
        value = globals()[name] = getattr(import_module(f".{_MODULE_OF[name]}", __name__), name)
        return value
    if not name.startswith("_"):
        try:
            return import_module(f".{name}", __name__)
        except ModuleNotFoundError as error:
            if error.name != f"{__name__}.{name}":
                raise
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULE_OF.values(), "teaching"})
