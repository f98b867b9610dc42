"""From raw SIMS depth profiles of ion-replacement experiments to the site energy distribution.

The way of the data: ``read_case`` (``read_sims``, ``normalise``) -> ``simulate`` with the
``activated_diffusivity`` of a site energy distribution -> ``fit_landscape`` -> ``onsager_matrix``
-> ``haven_ratio``. SI units throughout; energies in eV.
"""

from .cases import Case, CaseError, element, read_case
from .ensemble import simulate_many
from .exercises import check
from .explore import Sweep, explore
from .exports import Recording, SimsError, read_sims
from .figures import style
from .fronts import (
    Front,
    drift_profiles,
    foreign_diffusivity_from_plateau,
    foreign_diffusivity_from_zones,
    front,
    potentiostatic_depth,
)
from .inference import FitError, LandscapeFit, expected_counts, fit_landscape
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
    "interdiffusivity",
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
