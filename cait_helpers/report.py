"""One folder that holds a fit: what went in, what came out, and with which versions."""

from __future__ import annotations

import json
import platform
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from .cases import element
from .figures import landscape_figure
from .fit import LandscapeFit
from .report_page import report_page
from .uncertainty import Posterior, correlation

_PACKAGES = ("numpy", "scipy", "numba", "emcee", "matplotlib")


def save_report(
    fit: LandscapeFit,
    folder: str | Path,
    posterior: Posterior | None = None,
    budget: object | None = None,
    assumptions: Sequence[str] = (),
) -> Path:
    """Write a fit into a new or empty folder, as JSON, CSV and PNG that others can read.

    ``report.html`` is the whole report in one file, with all others in it as a zip archive;
    ``fit.json`` holds parameters with intervals and correlations, the checks, and the versions;
    ``profile_<n>.csv`` depth, counts, expected counts, fractions and their errors of each case;
    ``diffusivity.csv`` D of the native ion; ``landscape.png`` the figure; ``posterior.csv`` the
    samples if given; ``inputs/`` a copy of case files, exports and currents.

    Parameters
    ----------
    fit : LandscapeFit
    folder : path
    posterior : Posterior, optional
    budget : optional
        Of `error_budget`, for the page.
    assumptions : sequence of str
        What was assumed for the user, for the page: a line each.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder holds something already.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"folder = {str(folder)!r} is not empty: nothing is overwritten")
    inputs = folder / "inputs"
    inputs.mkdir(parents=True)
    for case in (x.case for x in fit.experiments):
        for path in (case.path, case.profile_path, case.current_path):
            if path is not None:
                shutil.copy(path, inputs / path.name)

    fitted = {
        name: {
            "value": p.value,
            "standard_error": p.error if p.vary else None,
            "fitted": p.vary,
            "prior": [p.prior.mean, p.prior.sigma] if p.prior and p.vary else None,
        }
        for name, p in fit.parameters.items()
    }
    record = {
        "family": fit.family,
        "fwhm / eV": fit.fwhm if np.isfinite(fit.fwhm) else None,
        "95 % intervals": {name: list(map(float, ends)) for name, ends in fit.interval.items()},
        "D_bulk / m^2/s": fit.bulk_diffusivity,
        "D_foreign / m^2/s": fit.foreign_diffusivity,
        "occupancy": fit.occupancy,
        "chi_square": fit.chi_square,
        "degrees_of_freedom": fit.degrees_of_freedom,
        "simulations": fit.evaluations,
        "parameters": fitted,
        "correlation": {"order": list(fit.free), "matrix": correlation(fit).tolist()},
        "cases": [
            {
                "title": case.title,
                "files": [p.name for p in (case.path, case.profile_path, case.current_path) if p],
                "checks": {
                    c.name: {
                        "value": c.value,
                        "allowed": [c.low, c.high if np.isfinite(c.high) else None],
                        "passed": c.passed,
                    }
                    for c in profile.checks
                },
            }
            for case, profile in ((x.case, x.profile) for x in fit.experiments)
        ],
        "versions": {"python": platform.python_version(), "cait-helpers": version("cait-helpers")}
        | {name: version(name) for name in _PACKAGES},
    }
    text = json.dumps(record, indent=1, ensure_ascii=False, default=float, allow_nan=False)
    (folder / "fit.json").write_text(text + "\n", encoding="utf-8")

    for number, experiment in enumerate(fit.experiments):
        case, profile = experiment.case, experiment.profile
        columns = {"depth / nm": profile.depth * 1e9, "used": profile.used}
        for ion in (case.native, case.foreign):
            columns |= {
                f"{ion} counts": profile.counts[ion],
                f"{ion} expected counts": experiment.expected[ion],
                f"{ion} fraction": profile.fraction[ion],
                f"{ion} error of fraction": profile.sigma[ion],
            }
        _csv(folder / f"profile_{number}_{element(case.foreign)}.csv", columns)
    y = np.concatenate([np.geomspace(1e-3, 0.1, 41), np.linspace(0.1, 1, 91)[1:]])
    _csv(folder / "diffusivity.csv", {"fraction": y, "D / m^2/s": fit.law()(y)})
    if posterior is not None:
        _csv(folder / "posterior.csv", dict(zip(posterior.names, posterior.samples.T, strict=True)))
    figure = landscape_figure(fit)
    figure.savefig(folder / "landscape.png", dpi=150)
    plt.close(figure)
    files = {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }
    page = report_page(fit, files, record["versions"], assumptions, budget)
    (folder / "report.html").write_text(page, encoding="utf-8")
    return folder


def _csv(path: Path, columns: dict[str, np.ndarray]) -> None:
    rows = np.column_stack(list(columns.values()))
    np.savetxt(path, rows, delimiter=",", fmt="%.8g", header=",".join(columns), comments="")
