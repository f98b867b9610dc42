"""A fit as one page of HTML: figures, numbers, assumptions and inputs in a single file.

Nothing is fetched and nothing is missing: the figures are drawn into the page, and the tables and
inputs are in it as a zip archive. It reads in any browser and prints.
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from pathlib import Path
from string import Template
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .budget import Budget
from .cases import Case
from .figures import landscape_figure, steps_figure
from .fit import LandscapeFit
from .sims import Profile

_TEMPLATE = Path(__file__).with_name("report.html")
_ROWS = (  # of a case: label, attribute, factor and unit
    ("thickness", "glass.thickness", 1e3, "mm"),
    ("exposed area", "area", 1e6, "mm²"),
    ("temperature", "glass.temperature", 1, "K"),
    ("mobile ions", "glass.ion_density", 1, "m⁻³"),
    ("permittivity", "glass.permittivity", 1, ""),
    ("conductivity", "conductivity", 1, "S/m"),
    ("charge that passed", "charge", 1, "C/m²"),
    ("crater depth", "crater_depth", 1e9, "nm"),
    ("left out below the surface", "transient", 1e9, "nm"),
    ("pulses per cycle", "pulses", 1, ""),
)


def picture(figure: Figure, alt: str, kind: str = "png", dpi: int = 110) -> str:
    """A figure as an ``<img>`` element that holds it, with its alt text; the figure is closed."""
    data = io.BytesIO()
    figure.savefig(data, format=kind, dpi=dpi, bbox_inches="tight")
    plt.close(figure)
    mime = {"png": "image/png", "svg": "image/svg+xml"}[kind]
    source = base64.b64encode(data.getvalue()).decode()
    return f'<img alt="{escape(alt)}" src="data:{mime};base64,{source}">'


def table(rows: Iterable[Sequence[str]], head: Sequence[str] = ()) -> str:
    """Rows of text as a table of HTML, scrolled where a screen is too narrow."""
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    top = f"<thead><tr>{top}</tr></thead>" if top else ""
    return f'<div class="scroll" tabindex="0"><table>{top}<tbody>{body}</tbody></table></div>'


def numbers(fit: LandscapeFit) -> str:
    """The width in one sentence, and the fitted numbers with their intervals, as HTML."""
    text = f"The site energy distribution is {fit.fwhm * 1e3:.1f} meV wide"
    if not np.isfinite(fit.fwhm):
        text = f"A landscape of the family “{fit.family}”, which has no full width"
    elif "fwhm" in fit.interval:
        low, high = (1e3 * end for end in fit.interval["fwhm"])
        text += f" (95 %: {low:.1f} to {high:.1f} meV)"

    def between(name: str, digits: str) -> str:
        if name not in fit.interval:
            return ""
        low, high = fit.interval[name]
        return f"{low:{digits}} to {high:{digits}}"

    rows = [("D of the native ion in untouched glass", f"{fit.bulk_diffusivity:.4g} m²/s",
             between("D_bulk", ".4g"))]  # fmt: skip
    for ion, D in fit.foreign_diffusivity.items():
        rows.append((f"D of {ion}", f"{D:.4g} m²/s", between(f"D_{ion}", ".4g")))
    rows += [
        ("occupied share of the sites", f"{fit.occupancy:.3g}",
         between("occupancy", ".3g") or "assumed"),
        ("family of landscapes", fit.family, ""),
        ("chi-square", f"{fit.chi_square:.0f} for {fit.degrees_of_freedom} degrees of freedom",
         f"reduced {fit.reduced_chi_square:.2f}"),
    ]  # fmt: skip
    return f'<p class="answer">{escape(text)}.</p>' + table(
        rows, ("quantity", "value", "95 % interval")
    )


def case_section(case: Case, profile: Profile) -> str:
    """One run: what was stated, its checks, and the steps of its normalisation, as HTML."""
    rows = [
        ("native, foreign, matrix", f"{case.native}, {case.foreign}, {case.matrix}"),
        ("drive", _drive(case)),
    ]
    for label, attribute, factor, unit in _ROWS:
        value: Any = case
        for name in attribute.split("."):
            value = getattr(value, name, None)
        if value is not None:
            rows.append((label, f"{value * factor:.6g} {unit}".strip()))
    if case.resolution is not None:
        rows.append(
            ("depth resolution, standard deviation", f"{case.resolution.width * 1e9:.4g} nm")
        )
    background = ", ".join(f"{ion} {value:.3g}" for ion, value in profile.background.items())
    rows.append(("background, counts per cycle", background))
    checks = "".join(
        f"<li{'' if c.passed else ' class=failed'}>{'passed' if c.passed else 'FAILED'}:"
        f" {escape(c.name)}, {c.value:.3g} (allowed {c.low:.3g} to {c.high:.3g}).</li>"
        for c in profile.checks
    )
    figure = picture(
        steps_figure(case, profile),
        f"Steps of the normalisation of {case.title}: counts, matrix, depth, fractions.", "svg",
    )  # fmt: skip
    return (
        f"<h3>{escape(case.title)}</h3>{table(rows)}<figure>{figure}<figcaption>The steps: counts"
        " as exported (grey) and without dead time; the matrix signal and its smooth reference;"
        " depth; fractions. The grey band is left out.</figcaption></figure>"
        f"<ul>{checks}</ul>"
    )


def _drive(case: Case) -> str:
    kind = type(case.drive).__name__
    value = np.atleast_1d(case.drive.value)
    unit = "V" if kind == "Voltage" else "A/m²"
    text = f"{value[0]:.4g} {unit}" if value.size == 1 else "as recorded"
    return f"{'voltage' if kind == 'Voltage' else 'current density'} {text}"


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip archive of files by their names, the same bytes for the same files."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as pack:
        for name, content in sorted(files.items()):
            pack.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return data.getvalue()


def report_page(
    fit: LandscapeFit,
    files: Mapping[str, bytes],
    versions: Mapping[str, str],
    assumptions: Sequence[str] = (),
    budget: Budget | None = None,
) -> str:
    """The whole report as one page.

    Parameters
    ----------
    fit : LandscapeFit
    files : mapping of str to bytes
        Everything else that is saved, by its path in the report's folder; those below
        ``inputs/`` are listed with their hashes, and case files are shown.
    versions : mapping of str to str
        Of the software, by name.
    assumptions : sequence of str
        What was assumed for the user, a line each.
    budget : Budget, optional
    """
    cases = [experiment.case for experiment in fit.experiments]
    title = "; ".join(case.title for case in cases)
    inputs = {name: data for name, data in files.items() if name.startswith("inputs/")}
    hashes = [
        (name.removeprefix("inputs/"), f"{len(data):,} bytes", hashlib.sha256(data).hexdigest())
        for name, data in inputs.items()
    ]
    texts = "".join(
        f"<h3>{escape(name.removeprefix('inputs/'))}</h3><pre>{escape(data.decode())}</pre>"
        for name, data in inputs.items()
        if name.endswith(".toml")
    )
    packed = base64.b64encode(archive(files)).decode()
    landscape = picture(
        landscape_figure(fit), "Each profile with the fitted model, and the landscape.", "svg"
    )
    parts = [
        f"<h1>Site energy distribution: {escape(title)}</h1>",
        f'<p class="small">{datetime.now().astimezone():%d %B %Y, %H:%M %Z},'
        f" cait-helpers {escape(versions.get('cait-helpers', ''))}</p>",
        numbers(fit),
        f"<figure>{landscape}<figcaption>Measured fractions with their counting errors, the fitted"
        " model as the instrument sees it (black), and the landscape: filled sites shaded, those"
        " of the ions that have moved darker.</figcaption></figure>",
        f"<h2>How sure?</h2>{budget_section(budget)}" if budget is not None else "",
        "<h2>Assumed</h2><ul>" + "".join(f"<li>{escape(line)}</li>" for line in assumptions)
        + "</ul>" if assumptions else "",
        f"<h2>{'The run' if len(cases) == 1 else 'The runs'}</h2>",
        *(case_section(x.case, x.profile) for x in fit.experiments),
        "<h2>Inputs</h2>", table(hashes, ("file", "size", "SHA-256")), texts,
        f'<p class="screen"><a download="{"-".join(fit.foreign_diffusivity)}_report.zip"'
        f' href="data:application/zip;base64,{packed}">Everything as a zip archive</a>: numbers'
        " (CSV, JSON) and inputs.</p>",
        "<h2>Versions</h2>", table(versions.items()),
    ]  # fmt: skip
    return Template(_TEMPLATE.read_text(encoding="utf-8")).substitute(
        title=escape(title), body="\n".join(filter(None, parts))
    )


def budget_section(budget: Budget) -> str:
    """The error budget: its sentence, its figure, and a line for each assumption, as HTML."""
    rows = [
        (r.what, r.stated, r.alternative, f"{r.fwhm * 1e3:.1f}", f"{r.shift * 1e3:+.1f}",
         f"{r.error * 1e3:.1f}", r.verdict)
        for r in budget.rows
    ]  # fmt: skip
    head = ("what", "stated", "else", "FWHM / meV", "shift / meV", "error / meV", "by the data")
    figure = picture(
        budget.figure(), "One bar for each assumption: the width with it, and its error.", "svg"
    )
    return f"<p>{escape(budget.sentence)}.</p><figure>{figure}</figure>{table(rows, head)}"
