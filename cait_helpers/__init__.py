"""From raw SIMS depth profiles of ion-replacement experiments to the site energy distribution.

The way of the data: ``read_case`` (``read_sims``, ``normalise``) -> ``simulate`` with the
``activated_diffusivity`` of a site energy distribution -> ``fit_landscape`` -> ``onsager_matrix``
-> ``haven_ratio``. SI units throughout; energies in eV.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from .cases import Case, CaseError, element, read_case
from .ensemble import simulate_many
from .exercises import check
from .explore import Sweep, explore
from .exports import Recording, SimsError, read_sims
from .fronts import (
    Front,
    drift_profiles,
    foreign_diffusivity_from_plateau,
    foreign_diffusivity_from_zones,
    front,
    potentiostatic_depth,
)
from .landscape import (
    activated_diffusivity,
    activation_energy,
    fermi_level,
    fwhm,
    gaussian_sed,
    populated_sed,
    sed_from_diffusivity,
    skewed_sed,
    tabulated_diffusivity,
    two_component_sed,
)
from .lattice import LatticeWalk, walk_landscape, walk_lattice
from .npp import (
    Charge,
    CurrentDensity,
    Duration,
    Glass,
    Run,
    SimulationError,
    Voltage,
    simulate,
)
from .onsager import (
    check_admissible,
    conductivity,
    diffusivities,
    fick_matrix,
    haven_ratio,
    interdiffusivity,
    onsager_from_diffusivities,
    onsager_from_exchange,
    onsager_from_fick,
    onsager_matrix,
    tracer_diffusivity,
    transference,
)
from .presets import Preset, preset
from .resolution import blur, dowsett_resolution, gaussian_resolution
from .sims import Profile, normalise

if TYPE_CHECKING:
    from .figures import style
    from .inference import LandscapeFit, expected_counts, fit_landscape, landscape_parameters
    from .model import FitError
    from .report import save_report
    from .uncertainty import Posterior, bootstrap, information, likelihood_profile, sample_posterior

# These wait until one of them is used, since matplotlib, lmfit and emcee take a second to import
# and a simulation does without them.
_LATER = {
    "figures": ("style",),
    "inference": ("LandscapeFit", "expected_counts", "fit_landscape", "landscape_parameters"),
    "model": ("FitError",),
    "report": ("save_report",),
    "uncertainty": (
        "Posterior",
        "bootstrap",
        "information",
        "likelihood_profile",
        "sample_posterior",
    ),
}

__version__ = "0.1.0"

__all__ = [
    "Case",
    "CaseError",
    "Charge",
    "CurrentDensity",
    "Duration",
    "FitError",
    "Front",
    "Glass",
    "LandscapeFit",
    "LatticeWalk",
    "Posterior",
    "Preset",
    "Profile",
    "Recording",
    "Run",
    "SimsError",
    "SimulationError",
    "Sweep",
    "Voltage",
    "activated_diffusivity",
    "activation_energy",
    "blur",
    "bootstrap",
    "check",
    "check_admissible",
    "conductivity",
    "diffusivities",
    "dowsett_resolution",
    "drift_profiles",
    "element",
    "expected_counts",
    "explore",
    "fermi_level",
    "fick_matrix",
    "fit_landscape",
    "foreign_diffusivity_from_plateau",
    "foreign_diffusivity_from_zones",
    "front",
    "fwhm",
    "gaussian_resolution",
    "gaussian_sed",
    "haven_ratio",
    "information",
    "interdiffusivity",
    "landscape_parameters",
    "likelihood_profile",
    "normalise",
    "onsager_from_diffusivities",
    "onsager_from_exchange",
    "onsager_from_fick",
    "onsager_matrix",
    "populated_sed",
    "potentiostatic_depth",
    "preset",
    "read_case",
    "read_sims",
    "sample_posterior",
    "save_report",
    "sed_from_diffusivity",
    "simulate",
    "simulate_many",
    "skewed_sed",
    "style",
    "tabulated_diffusivity",
    "tracer_diffusivity",
    "transference",
    "two_component_sed",
    "walk_landscape",
    "walk_lattice",
]


def __getattr__(name: str) -> Any:
    for module, names in _LATER.items():
        if name in names:
            value = globals()[name] = getattr(import_module(f".{module}", __name__), name)
            return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
