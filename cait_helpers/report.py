"""One folder that holds a fit: what went in, what came out, and with which versions."""

from __future__ import annotations

import json
import platform
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from matplotlib import pyplot as plt

from .budget import Budget
from .figures import landscape_figure
from .fit import LandscapeFit
from .likelihood import Experiment
from .report_page import report_page
from .uncertainty import Posterior, correlation

_PACKAGES = ("numpy", "scipy", "numba", "emcee", "matplotlib")


def save_report(
    fit: LandscapeFit,
    folder: str | Path,
    posterior: Posterior | None = None,
    budget: Budget | None = None,
    assumptions: Sequence[str] = (),
) -> Path:
    """Write a fit into a new or empty folder, as JSON, CSV and PNG that others can read.

    ``report.html`` is the whole report in one file, with all others in it as a zip archive;
    ``fit.json`` holds parameters with intervals and correlations, the checks, what was assumed,
    hashes of the inputs and the versions; ``profile_<n>_<ion>.csv`` depth, counts, expected
    counts, fractions and their errors of each case; ``diffusivity.csv`` D of the native ion;
    ``landscape.png`` the figure; ``posterior.csv`` the samples if given; ``inputs/<n>/`` case
    file, export and current of each case as they were read. The folder appears whole or not at
    all.

    Parameters
    ----------
    fit : LandscapeFit
    folder : path
    posterior : Posterior, optional
    budget : Budget, optional
        Of `error_budget`, of the same fit.
    assumptions : sequence of str
        What was assumed for the user besides what the profiles say, for the page: a line each.

    Returns
    -------
    Path
        The folder.

    Raises
    ------
    FileExistsError
        If the folder holds something already.
    ValueError
        If ``budget`` is that of another fit.
    """
    folder = Path(folder)
    if budget is not None and budget.fwhm != fit.fwhm:
        raise ValueError(
            f"budget is that of a fit of {budget.fwhm * 1e3:.4f} meV; allowed is that of this fit,"
            f" of {fit.fwhm * 1e3:.4f} meV"
        )
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"folder = {str(folder)!r} is not empty: nothing is overwritten")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".report") as place:
        draft = Path(place) / "report"
        draft.mkdir()
        record = _write(fit, draft, posterior, budget)
        files = {
            path.relative_to(draft).as_posix(): path.read_bytes()
            for path in sorted(draft.rglob("*"))
            if path.is_file()
        }
        lines = [
            *assumptions,
            *(f"{case['title']}: {line}" for case in record["cases"] for line in case["assumed"]),
        ]
        page = report_page(fit, files, record["versions"], lines, budget)
        (draft / "report.html").write_text(page, encoding="utf-8")
        if folder.exists():
            folder.rmdir()
        draft.rename(folder)
    return folder


def _write(
    fit: LandscapeFit, folder: Path, posterior: Posterior | None, budget: Budget | None
) -> dict[str, object]:
    """The files of a report but for its page; what ``fit.json`` holds."""
    record = _results(fit) | {"cases": []}
    for number, experiment in enumerate(fit.experiments):
        case, profile = experiment.case, experiment.profile
        record["cases"].append(
            {
                "title": case.title,
                "inputs": _inputs(experiment, folder / "inputs" / str(number)),
                "checks": {
                    c.name: {
                        "value": c.value,
                        "allowed": [x if np.isfinite(x) else None for x in (c.low, c.high)],
                        "passed": c.passed,
                        "message": c.message,
                    }
                    for c in profile.checks
                },
                "assumed": list(profile.assumptions),
            }
        )
        columns = {"depth / nm": profile.depth * 1e9, "used": profile.used}
        for ion in (case.native, case.foreign):
            columns |= {
                f"{ion} counts": profile.counts[ion],
                f"{ion} expected counts": experiment.expected[ion],
                f"{ion} fraction": profile.fraction[ion],
                f"{ion} error of fraction": profile.sigma[ion],
            }
        _csv(folder / f"profile_{number}_{case.foreign_element}.csv", columns)
    if budget is not None:
        record["error budget"] = _budget(budget)
    text = json.dumps(record, indent=1, ensure_ascii=False, default=float, allow_nan=False)
    (folder / "fit.json").write_text(text + "\n", encoding="utf-8")
    y = np.concatenate([np.geomspace(1e-3, 0.1, 41), np.linspace(0.1, 1, 91)[1:]])
    _csv(folder / "diffusivity.csv", {"fraction": y, "D / m^2/s": fit.law()(y)})
    if posterior is not None:
        _csv(folder / "posterior.csv", dict(zip(posterior.names, posterior.samples.T, strict=True)))
    figure = landscape_figure(fit)
    try:
        figure.savefig(folder / "landscape.png", dpi=150)
    finally:
        plt.close(figure)
    return record


def _results(fit: LandscapeFit) -> dict[str, object]:
    """What was found, and with which versions."""
    return {
        "family": fit.family,
        "fwhm / eV": fit.fwhm if np.isfinite(fit.fwhm) else None,
        "95 % intervals": {name: list(map(float, ends)) for name, ends in fit.interval.items()},
        "D_bulk / m^2/s": fit.bulk_diffusivity,
        "D_foreign / m^2/s": fit.foreign_diffusivity,
        "occupancy": fit.occupancy,
        "chi_square": fit.chi_square,
        "degrees_of_freedom": fit.degrees_of_freedom,
        "simulations": fit.evaluations,
        "parameters": {
            name: {
                "value": p.value,
                "standard_error": p.error if p.vary else None,
                "fitted": p.vary,
                "prior": [p.prior.mean, p.prior.sigma] if p.prior and p.vary else None,
            }
            for name, p in fit.parameters.items()
        },
        "correlation": {"order": list(fit.free), "matrix": correlation(fit).tolist()},
        "versions": {"python": platform.python_version(), "cait-helpers": version("cait-helpers")}
        | {name: version(name) for name in _PACKAGES},
    }


def _budget(budget: Budget) -> dict[str, object]:
    """What `Budget` holds, in eV; None where an alternative could not be fitted."""
    rows = [
        {
            "what": row.what,
            "stated": row.stated,
            "alternative": row.alternative,
            "verdict": row.verdict,
            "fwhm / eV": row.fwhm if np.isfinite(row.fwhm) else None,
            "error / eV": row.error if np.isfinite(row.error) else None,
            "chi-square": row.chi_square if np.isfinite(row.chi_square) else None,
        }
        for row in budget.rows
    ]
    return {
        "sentence": budget.sentence,
        "95 % interval / eV": budget.interval["fwhm"],
        "counting / eV": budget.counting,
        "entries / eV": budget.entries,
        "rows": rows,
    }


def _inputs(experiment: Experiment, folder: Path) -> dict[str, str]:
    """Write the inputs of a case as they were read; their names and hashes.

    What lies beside or below the case file keeps its place, so that the copy can be read again.
    """
    case, profile = experiment.case, experiment.profile
    sources = {"case": case.source, "profile": profile.source}
    if case.record is not None:
        sources["current"] = case.record.source
    hashes: dict[str, str] = {}
    for role, source in sources.items():
        path = Path(source.path.name)
        if source.path.is_relative_to(case.path.parent):
            path = source.path.relative_to(case.path.parent)
        if ".." in path.parts or path.as_posix() in hashes:
            path = Path(f"{role}_{source.path.name}")
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(source.data)
        hashes[path.as_posix()] = source.sha256
    return hashes


def _csv(path: Path, columns: dict[str, np.ndarray]) -> None:
    rows = np.column_stack(list(columns.values()))
    np.savetxt(path, rows, delimiter=",", fmt="%.8g", header=",".join(columns), comments="")
