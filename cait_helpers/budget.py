"""The error budget of a fit: what each assumption does to the width, and what the data reject."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from .fit import LandscapeFit, Progress, refit, steps
from .landscape import BOLTZMANN
from .landscape import fwhm as full_width
from .likelihood import FitError, Likelihood, covariance, settle
from .misfit import NOTABLE, judge, sigmas, widened
from .npp import SimulationError
from .parameters import Assumptions, Parameter, Parameters, Prior, copied, free_names, values_of
from .shapes import look, two_components

REJECTED = 10.8  # rise of chi-square that one true alternative in a thousand would show
_MATRIX = 0.01  # relative error of the sensitivity in replaced over unreplaced glass
_BACKGROUND = 0.2  # relative error of a stated background
_HOP = 0.42e-9  # m, between nearest ions
_OCCUPANCY = 0.02  # standard error of an occupancy that nobody has measured


@dataclass(frozen=True)
class Row:
    """One assumption: what is stated, what else may be, and what the width is then.

    Attributes
    ----------
    what, stated, alternative : str
    fwhm, error : float
        Under the alternative, with its standard error from all that is uncertain there (eV).
    shift : float
        Against the fit (eV).
    chi_square : float
        Infinite where the alternative could not be fitted.
    rejected : bool
        By the data, against the alternative that describes them best.
    kind : str
        "noise", "entry" (a number with a prior) or "assumption".
    """

    what: str
    stated: str
    alternative: str
    fwhm: float = np.nan
    error: float = np.nan
    shift: float = np.nan
    chi_square: float = np.inf
    rejected: bool = False
    kind: str = "assumption"

    @property
    def verdict(self) -> str:
        """ "allowed" or "rejected" by the data, or "not fitted", which is neither."""
        if not np.isfinite(self.chi_square):
            return "not fitted"
        return "rejected" if self.rejected else "allowed"


@dataclass(frozen=True, eq=False)
class Budget:
    """Result of :func:`error_budget`.

    Attributes
    ----------
    rows : tuple of Row
        Counting noise first, then entries, then assumptions.
    interval : dict of str to (float, float)
        ``"fwhm"``: 95 %, all that is uncertain and all that the data do not reject (eV); and the
        fit itself where no alternative describes the data.
    fwhm : float
        Of the fit (eV).
    counting : float
        Half the 95 % interval of the fit (eV).
    """

    rows: tuple[Row, ...]
    interval: dict[str, tuple[float, float]]
    fwhm: float
    counting: float

    @property
    def entries(self) -> float:
        """95 % from what the case files state, besides temperature (eV)."""
        own = [r.error for r in self.rows if r.kind == "entry" and r.what != "temperature"]
        return 1.96 * float(np.sqrt(np.sum(np.square(own))))

    @property
    def sentence(self) -> str:
        """What a paper can print."""
        low, high = (1e3 * (end - self.fwhm) for end in self.interval["fwhm"])
        warm = sum(1.96e3 * r.error for r in self.rows if r.what == "temperature")
        trials = [r for r in self.rows if r.kind == "assumption"]
        kept = [r.what for r in trials if r.verdict == "allowed"]
        open_ = ", ".join(f"{r.what} {r.alternative}" for r in trials if r.verdict == "not fitted")
        named = ", ".join(dict.fromkeys(kept)) or "nothing: the data reject every alternative"
        return (
            f"{1e3 * self.fwhm:.0f} meV, +- {1e3 * self.counting:.1f} from counting, +- {warm:.1f}"
            f" from temperature, +- {1e3 * self.entries:.1f} from the other entries,"
            f" {high:+.1f}/{low:+.1f} in all, with what is assumed of {named}"
            + (f"; could not be fitted, so not included: {open_}" if open_ else "")
        )

    def report(self) -> str:
        """The sentence, and one line a row."""
        low, high = (1e3 * end for end in self.interval["fwhm"])
        lines = [
            self.sentence,
            f"total 95 %: {low:.1f} to {high:.1f} meV",
            f"{'what':30} {'stated':>10} {'else':>21} {'FWHM':>7}{'shift':>7}{'error':>6}"
            f"{'chi2':>7}  data",
        ]
        lines += [
            f"{r.what:30} {r.stated:>10} {r.alternative:>21} {1e3 * r.fwhm:7.1f}"
            f"{1e3 * r.shift:+7.1f}{1e3 * r.error:6.1f}{r.chi_square:7.0f}  {r.verdict}"
            for r in self.rows
        ]
        return "\n".join(lines)

    def figure(self) -> Figure:
        """One bar a row, counting noise first; hollow where the data reject it."""
        figure, ax = plt.subplots(figsize=(6.4, 0.8 + 0.24 * len(self.rows)))
        ax.use_sticky_edges = False  # room beside the outermost bar
        for place, r in enumerate(self.rows):
            if r.verdict == "not fitted":
                continue
            middle = 1e3 * (r.fwhm if r.kind == "assumption" else self.fwhm)
            half = 1.96e3 * r.error
            ax.barh(-place, 2 * half, left=middle - half, height=0.6, ec="C0", lw=1,
                    fc="none" if r.rejected else "C0", ls=":" if r.rejected else "-")  # fmt: skip
            ax.plot(middle, -place, "k|", ms=5)
        low, high = (1e3 * end for end in self.interval["fwhm"])
        ax.axvspan(low, high, color="0.92", lw=0, zorder=0)
        ax.axvline(1e3 * self.fwhm, color="k", lw=0.8)
        ax.set_yticks(-np.arange(len(self.rows)), [f"{r.what}: {r.alternative}" for r in self.rows])
        ax.tick_params(axis="y", labelsize="small")
        ax.set_xlabel("FWHM / meV")
        return figure


def _doubtful(likelihood: Likelihood) -> Likelihood:
    """With backgrounds and a matrix effect free within their errors."""
    return likelihood.of([
        replace(
            x,
            matrix_error=_MATRIX,
            background_error=x.background_error
            or _BACKGROUND * max(x.profile.background.values()),
        )
        for x in likelihood.experiments
    ])  # fmt: skip


def _entries(fit: LandscapeFit) -> dict[str, list[str]]:
    """Held parameters with a prior, by what they are: one row each."""
    cases = range(len(fit.experiments))
    names = {
        "temperature": ["temperature"],
        "voltage": ["voltage"],
        "ion density": ["density"],
        "plate thickness": [f"thickness_{n}" for n in cases],
        "sputter rate, replaced": [f"rate_{n}" for n in cases],
    }
    return {
        what: [n for n in own if n in fit.parameters and not fit.parameters[n].vary]
        for what, own in names.items()
    }


def _freed(parameters: Parameters, names: list[str]) -> Parameters:
    found = copied(parameters)
    for name in names:
        found[name].vary = True
    return found


def _width(
    likelihood: Likelihood, parameters: Parameters, square: float, freedom: int | None
) -> tuple[float, float]:
    """FWHM (eV) of the landscape and its standard error; with ``freedom`` widened by a misfit."""
    width = full_width(likelihood.sed(0, likelihood.settings(0, values_of(parameters))))
    if freedom is None:
        spread = covariance(likelihood, parameters)
    else:
        misfit = judge(likelihood, parameters, square, freedom, causes=False)
        spread = widened(likelihood, parameters, misfit, square / freedom)
    own = free_names(parameters).index("fwhm")
    return width, float(np.sqrt(max(spread[own][own], 0.0)))


def _other_family(fit: LandscapeFit, extra: dict[str, Parameter]) -> Parameters:
    found = {"fwhm": replace(fit.parameters["fwhm"])} | extra
    rest = {n: p for n, p in fit.parameters.items() if n not in fit.likelihood.family.parameters}
    return found | copied(rest)


def _trials(fit: LandscapeFit) -> Iterator[tuple[str, str, str, Parameters, Assumptions, str]]:
    """Alternatives to be fitted: a row's first three texts, start, what is assumed, family."""
    base, assumed = fit.parameters, fit.likelihood.assumed
    fillings = {"zero": "sharp", "thermal": "Fermi-Dirac"}
    other = "thermal" if assumed.filling == "zero" else "zero"
    stated = fillings[assumed.filling]
    shift = 0.9 if other == "thermal" else 1.1  # where the width goes
    moved = copied(base)
    moved["fwhm"].value *= shift
    loose, skew = copied(base), {"skew": Parameter(0.0, -1.0, 1.0, moves="skew", key="skew")}
    p = loose["occupancy"]
    p.vary, p.prior = True, p.prior or Prior(p.value, _OCCUPANCY)
    p.min, p.max = max(0.3, p.value - 0.06), min(0.995, p.value + 0.06)
    share = f"{base['occupancy'].value:.3g}"
    for filling, start in ((assumed.filling, base), (other, moved)):
        now, suffix = replace(assumed, filling=filling), ""
        if filling == other:
            suffix = f", {fillings[other]}"
            yield "filling", stated, fillings[other], start, now, fit.family
        if not base["occupancy"].vary:
            free = copied(loose)
            free["fwhm"].value = start["fwhm"].value
            yield "vacancies", share, f"free{suffix}", free, now, fit.family
        if fit.family == "gaussian":
            start = _other_family(fit, copied(skew)) | {"fwhm": replace(start["fwhm"])}
            yield "shape", "gaussian", f"skewed{suffix}", start, now, "skewed"
    if fit.family == "gaussian":
        cut = {"immobile": Parameter(0.003, 0.0, 0.5, moves="immobile", key="immobile")}
        start = _other_family(fit, cut)
        yield "shape", "gaussian", "immobile share", start, assumed, "immobile share"
    for law in ("1/y", "blocking"):
        if assumed.prefactor == "none":
            now = replace(assumed, prefactor=law)
            yield "prefactor", "none", law, base, now, fit.family
    for factor, text in ((2.0, "twice"), (0.5, "half")):
        if assumed.drift == 1:
            now, start = replace(assumed, drift=factor), copied(base)
            for x in fit.experiments:  # the plateau tells D there: it is D elsewhere that moves
                name = f"log10_D_{x.case.foreign_element}"
                start[name].value = base[name].value - np.log10(factor)
            yield "foreign D", "constant", f"{text} at plateau", start, now, fit.family
    if assumed.hop_length == 0:
        now = replace(assumed, hop_length=_HOP)
        yield "drift", "linear", f"hops of {1e9 * _HOP:.2g} nm", base, now, fit.family


def _two_components(fit: LandscapeFit, held: list[str]) -> list[Row]:
    """Landscapes of two Gaussians: the middle and half-width of the range that agrees, as a row."""
    cases, assumed, p = fit.experiments, fit.likelihood.assumed, fit.parameters["occupancy"]
    if len({x.case.glass.temperature for x in cases}) > 1:
        return []  # D(y) is not one curve
    occupancy, warm = p.prior or Prior(p.value, _OCCUPANCY), fit.parameters["temperature"]
    kelvin = cases[0].case.glass.temperature * warm.value
    stated, rows = fit.family, []
    try:
        seen = look(_doubtful(fit.likelihood), _freed(fit.parameters, held))
    except SimulationError:
        return [Row("shape", stated, "two components")]
    scale = max(1.0, seen.chi_square / fit.degrees_of_freedom)
    for filling, name in (("zero", "sharp"), ("thermal", "Fermi-Dirac")):
        suffix = "" if filling == assumed.filling else f", {name}"
        low, high, square = two_components(
            seen, fit.fwhm, BOLTZMANN * kelvin, filling, occupancy, scale
        )
        middle, half = (low + high) / 2, (high - low) / 2
        error = float(np.hypot(half / 1.96, middle * warm.prior.sigma if warm.prior else 0.0))
        shape = "shape", stated, f"two components{suffix}"
        rows.append(Row(*shape, middle, error, middle - fit.fwhm, square))
    return rows


def error_budget(fit: LandscapeFit, progress: Progress = False) -> Budget:
    """Vary every assumption of a fit, and say what the data reject.

    Entries of the case files (temperature, voltage, density, thickness, sputter rate, background,
    sensitivity) are freed within their errors, one at a time and all together; assumptions
    (filling of the sites, vacancies, shape, prefactor, constancy of the foreign D, drift) are
    exchanged, and the cases fitted again, each time with all entries free. Of landscapes of two
    Gaussians a row holds the middle and half-width of the range of full widths that agree to 95 %.

    Parameters
    ----------
    fit : LandscapeFit
        Of a family with a width.
    progress : bool or callable
        As for `fit_landscape`.

    Returns
    -------
    Budget

    Raises
    ------
    ValueError
        If the fit has no width that is free.
    """
    if "fwhm" not in fit.free:
        raise ValueError(f"fit: its family {fit.family!r} has no free fwhm: there is no budget")
    entries, trials = _entries(fit), list(_trials(fit))
    held = [name for own in entries.values() for name in own]
    scale = max(1.0, fit.reduced_chi_square)
    beyond = fit.chi_square + 300 * scale  # what no freed entry mends
    growth = fit.parameters["fwhm"].widened / fit.parameters["fwhm"].error
    rows = []

    def row(what, stated, alternative, likelihood, parameters, kind, counted=0.0, hopeless=False):
        square = float(np.sum(likelihood.residuals(parameters) ** 2))
        found = parameters
        if not hopeless:
            found, square = settle(likelihood, parameters)
        # an entry is judged beside the fit, and widened as that is; an alternative stands alone
        alone = kind in ("all", "assumption") and not hopeless
        freedom = fit.degrees_of_freedom if alone else None
        width, error = _width(likelihood, found, square, freedom)
        error = (1 if alone else growth) * np.sqrt(max(error**2 - counted**2, 0.0))
        shift = width - fit.fwhm
        rows.append(Row(what, stated, alternative, width, error, shift, square, kind=kind))

    with steps(progress, "error budget", len(entries) + len(trials) + 3) as tell:
        likelihood, plain = fit.likelihood, fit.parameters["fwhm"].error
        row("counting", "", "noise", likelihood, fit.parameters, "noise")
        for what, names in entries.items():
            if names:
                error = 100 * fit.parameters[names[0]].prior.sigma
                row(what, "as stated", f"+- {error:.2g} %", likelihood,
                    _freed(fit.parameters, names), "entry", plain)  # fmt: skip
            tell(1)
        row("background, sensitivity", "as stated", f"+- {100 * _MATRIX:.2g} %",
            _doubtful(likelihood), fit.parameters, "entry", plain)  # fmt: skip
        tell(1)
        loose = _freed(fit.parameters, held)
        row("all entries", "as stated", "all free", _doubtful(likelihood), loose, "all")
        tell(1)
        for *named, start, assumed, family in trials:
            try:
                other, found, now = refit(fit, start, assumed, family, hopeless=beyond)
                row(*named, _doubtful(other), _freed(found, held), "assumption",
                    hopeless=now > beyond)  # fmt: skip
            except (FitError, SimulationError):
                rows.append(Row(*named))
            tell(1)
        rows += _two_components(fit, [name for name in held if name != "temperature"])
        tell(1)
    return _judged(fit, rows, scale)


def _judged(fit: LandscapeFit, rows: list[Row], scale: float) -> Budget:
    """Mark what the data reject against the best, and take all that is left together."""
    whole = [r for r in rows if r.kind in ("all", "assumption")]
    best = min(r.chi_square for r in whole)
    scale = min(scale, max(1.0, best / fit.degrees_of_freedom))
    rows = [
        replace(r, rejected=r in whole and REJECTED * scale < r.chi_square - best < np.inf)
        for r in rows
    ]
    kept = [r for r in rows if r.kind in ("all", "assumption") and r.verdict == "allowed"]
    ends = [r.fwhm + side * 1.96 * r.error for r in kept for side in (-1, 1)]
    low, high = fit.interval["fwhm"]
    if sigmas(best, fit.degrees_of_freedom) > NOTABLE:  # none describes the data: none rules it out
        ends += [low, high]
    return Budget(
        rows=tuple(rows),
        interval={"fwhm": (float(min(ends)), float(max(ends)))},
        fwhm=fit.fwhm,
        counting=(high - low) / 2,
    )
