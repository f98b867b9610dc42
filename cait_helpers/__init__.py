"""From raw SIMS depth profiles of ion-replacement experiments to the site energy distribution.

The way of the data: ``read_sims`` / ``read_case`` -> ``normalise`` -> ``simulate`` (with
``activated_diffusivity`` of a site energy distribution) -> ``fit_landscape`` ->
``onsager_matrix`` -> ``haven_ratio``. SI units throughout; energies in eV.
"""

__version__ = "0.1.0"
