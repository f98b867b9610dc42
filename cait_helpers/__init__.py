"""From raw SIMS depth profiles of ion-replacement experiments to the site energy distribution.

The way of the data: ``read_case`` (``read_sims``, ``normalise``) -> ``simulate`` with the
``activated_diffusivity`` of a site energy distribution -> ``fit_landscape`` -> ``onsager_matrix``
-> ``haven_ratio``. SI units throughout; energies in eV.
"""

from .cases import Case, CaseError, element, read_case
from .explore import explore
from .exports import Recording, SimsError, read_sims
from .figures import style
from .fronts import (
    Front,
    foreign_diffusivity_from_plateau,
    foreign_diffusivity_from_zones,
    front,
    potentiostatic_depth,
)
from .inference import (
    LandscapeFit,
    expected_counts,
    fit_landscape,
    landscape_parameters,
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
from .lattice import LatticeWalk, walk_lattice
from .model import FitError
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
    haven_ratio,
    interdiffusivity,
    onsager_from_diffusivities,
    onsager_matrix,
    tracer_diffusivity,
    transference,
)
from .report import save_report
from .resolution import blur, dowsett_resolution, gaussian_resolution
from .sims import Profile, normalise
from .uncertainty import Posterior, bootstrap, information, likelihood_profile, sample_posterior

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
    "Profile",
    "Recording",
    "Run",
    "SimsError",
    "SimulationError",
    "Voltage",
    "activated_diffusivity",
    "activation_energy",
    "blur",
    "bootstrap",
    "check_admissible",
    "conductivity",
    "diffusivities",
    "dowsett_resolution",
    "element",
    "expected_counts",
    "explore",
    "fermi_level",
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
    "onsager_matrix",
    "populated_sed",
    "potentiostatic_depth",
    "read_case",
    "read_sims",
    "sample_posterior",
    "save_report",
    "sed_from_diffusivity",
    "simulate",
    "skewed_sed",
    "style",
    "tabulated_diffusivity",
    "tracer_diffusivity",
    "transference",
    "two_component_sed",
    "walk_lattice",
]
