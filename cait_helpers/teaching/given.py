"""The numbers that the page's scenes need of a glass, a landscape and a measured run."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..cases import Case
from ..landscape import ActivatedDiffusivity
from ..npp import Duration, Glass, Voltage
from ..sims import Profile


def run_settings(glass: Glass, law: ActivatedDiffusivity, fwhm: float) -> dict[str, float]:
    """What `cait.simulate` of a page takes of a glass and the law of a Gaussian landscape (SI)."""
    return {
        "thickness": glass.thickness,
        "ion_density": glass.ion_density,
        "permittivity": glass.permittivity,
        "temperature": glass.temperature,
        "fwhm": fwhm,
        "occupancy": law.occupancy,
        "D_bulk": law.D_bulk,
    }


def law_settings(glass: Glass, law: ActivatedDiffusivity, fwhm: float) -> dict[str, float]:
    """What the page's landscape takes (SI)."""
    return {"fwhm": fwhm, "occupancy": law.occupancy, "temperature": glass.temperature}


def measured_run(case: Case, profile: Profile) -> dict[str, Any]:
    """Counts of a measured run and what turns a model into counts, for the scenes that compare.

    The drive and the end of the run are those of the case; depths of points are in nm, edges and
    the resolution in m.
    """
    if not isinstance(case.drive, Voltage) or case.drive.time is not None:
        raise ValueError(f"{case.title}: a page simulates runs at a constant voltage only")
    channels = {}
    for name, ion in (("native", case.native), ("foreign", case.foreign)):
        shape = np.shape(profile.counts[ion])
        channels[name] = {
            "counts": np.asarray(profile.counts[ion]).round(3).tolist(),
            "scale": _digits(np.broadcast_to(profile.scale[ion], shape)),
            "background": _digits(np.broadcast_to(profile.background[ion], shape)),
            "edges": _digits(profile.edges + profile.lag[ion]),
        }
    return {
        "channels": channels,
        "depth": _digits(profile.depth * 1e9),
        "used": np.asarray(profile.used).astype(int).tolist(),
        "resolution": case.resolution.sigma,
        "duration": case.until.value if isinstance(case.until, Duration) else None,
    }


def _digits(values: np.ndarray) -> list[float]:
    return [float(f"{value:.6g}") for value in np.asarray(values, dtype=float)]
