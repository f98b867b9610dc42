"""How well a model describes the data: how improbable the rest is, where it sits, and its cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq
from scipy.stats import chi2, norm

from .checks import Array
from .likelihood import FitError, Likelihood, covariance, jacobian, minimise
from .npp import SimulationError
from .parameters import Parameter, Parameters, copied, free_names, values_of
from .shapes import look

_SHARE = 0.4  # of the excess of chi-square that an entry must take away to be its cause
_CHARGE = 0.014  # relative error of charge found over passed, by crater and area
NOTABLE = 3.0  # standard deviations beyond which a misfit is said, and its cause looked for


def sigmas(square: float, freedom: float) -> float:
    """Standard deviations of a normal variable as improbable as a chi-square."""
    probability = chi2.sf(square, freedom)
    if probability > 1e-300:
        return float(norm.isf(min(probability, 1 - 1e-16)))
    spread = 2 / (9 * freedom)  # by Wilson and Hilferty, where no number is as small
    return float(((square / freedom) ** (1 / 3) - 1 + spread) / np.sqrt(spread))


@dataclass(frozen=True)
class Block:
    """Residuals of one kind in one case: their chi-square, number, and how improbable it is."""

    case: str
    kind: str
    chi_square: float
    number: int
    autocorrelation: float

    @property
    def sigmas(self) -> float:
        return sigmas(self.chi_square, self.number)


@dataclass(frozen=True)
class Misfit:
    """What the model leaves unexplained.

    Attributes
    ----------
    probability, sigmas : float
        That a right model leaves as much or more; the same in standard deviations.
    blocks : tuple of Block
        By case and kind: native, foreign, levels, current, conductivity, entries (how far the
        fit went from what is stated), charge (of a profile that fails this check; in no sum).
    autocorrelation : float
        Of the residuals of neighbouring cycles: zero for noise.
    discrepancy : float
        Relative scatter of the model, beside that of the counts, that would explain the misfit.
    depths : tuple of float
        Where the counts of the worst block are described worst (m).
    cause : str
        The entry that the data would have otherwise, and by how much; empty if there is no need.
    """

    probability: float
    sigmas: float
    blocks: tuple[Block, ...]
    autocorrelation: float
    discrepancy: float
    depths: tuple[float, float]
    cause: str

    @property
    def notable(self) -> bool:
        return self.sigmas > NOTABLE or max(b.sigmas for b in self.blocks) > NOTABLE + 1

    @property
    def worst(self) -> Block:
        return max(self.blocks, key=lambda b: b.sigmas)

    def report(self) -> str:
        """Nothing to say for a good fit; else how improbable, where, and the likeliest cause."""
        if not self.notable:
            return ""
        chance = f"{self.probability:.1g}" if self.probability > 1e-12 else "< 1e-12"
        where = ""
        if self.worst.kind in ("native", "foreign"):
            where = ", worst from {:.0f} to {:.0f} nm".format(*(1e9 * x for x in self.depths))
        lines = [
            f"misfit           {self.sigmas:.1f} standard deviations (probability {chance}),"
            f" most in: {self.worst.kind} of {self.worst.case}"
            f" ({self.worst.sigmas:.1f}{where}); residuals correlated by"
            f" {self.autocorrelation:.2f}, as of a model off by {100 * self.discrepancy:.1f} %"
        ]
        if self.cause:
            lines.append(f"likeliest cause  {self.cause}")
        return "\n".join(lines)


def _neighbours(r: Array) -> float:
    return float(np.mean(r[1:] * r[:-1])) if r.size > 2 else 0.0


def _entries(likelihood: Likelihood, parameters: Parameters) -> list[Block]:
    """What the data ask of the entries of each case, against what is stated of them."""
    pulls: dict[str, list[float]] = {}
    for name, p in parameters.items():
        if p.vary and p.prior is not None:
            number = name.rpartition("_")[2]
            case = likelihood.experiments[int(number)].case.title if number.isdigit() else "all"
            pulls.setdefault(case, []).append((p.value - p.prior.mean) / p.prior.sigma)
    return [Block(case, "entries", float(np.square(own).sum()), len(own), 0.0)
            for case, own in pulls.items()]  # fmt: skip


def _charges(likelihood: Likelihood) -> dict[Block, str]:
    """Profiles that hold another charge than has passed, and what to say of them."""
    found = {}
    for x in likelihood.experiments:
        for check in x.profile.checks:
            if check.name == "charge balance" and not check.passed:
                off = ((check.value - 1) / _CHARGE) ** 2
                text = f"charge against depth: the profile of {x.case.title} holds"
                text += f" {check.value:.2f} times the charge that has passed (crater, area,"
                text += " ion density or sputter rate)"
                found[Block(x.case.title, "charge", off, 1, 0.0)] = text
    return found


def judge(
    likelihood: Likelihood,
    parameters: Parameters,
    square: float,
    freedom: int,
    causes: bool = True,
) -> Misfit:
    """Goodness of fit at the optimum; ``causes`` are looked for if it is notable."""
    found, values, counted, product = [], values_of(parameters), [], []
    rest = likelihood.blocks(values)
    for (number, kind), r in rest.items():
        title = likelihood.experiments[number].case.title
        found.append(Block(title, kind, float(r @ r), r.size, _neighbours(r)))
        if kind in ("native", "foreign"):
            counted.append((r, likelihood.expected(number, values)[kind]))
            product += (r[1:] * r[:-1]).tolist()
    unbalanced = _charges(likelihood)
    found += _entries(likelihood, parameters) + list(unbalanced)
    r, level = (np.concatenate(part) for part in zip(*counted, strict=True))
    goal = freedom / square * float(r @ r) if square > 0 else r.size

    def missing(tau: float) -> float:
        return float(np.sum(r**2 / (1 + tau**2 * level))) - goal

    tau = brentq(missing, 0.0, 10.0) if missing(0.0) > 0 > missing(10.0) else 0.0
    worst = max((key for key in rest if key[1] in ("native", "foreign")),
                key=lambda key: np.mean(rest[key] ** 2))  # fmt: skip
    run = np.convolve(rest[worst] ** 2, np.ones(10), "valid")
    experiment = likelihood.experiments[worst[0]]
    depth = experiment.profile.depth[experiment.profile.used]
    first = int(np.argmax(run))
    misfit = Misfit(
        probability=float(chi2.sf(square, freedom)),
        sigmas=sigmas(square, freedom),
        blocks=tuple(found),
        autocorrelation=float(np.sum(product) / np.sum(r**2)),
        discrepancy=float(tau),
        depths=(float(depth[first]), float(depth[min(first + 9, depth.size - 1)])),
        cause="",
    )
    if not (causes and misfit.notable):
        return misfit
    cause = likeliest_cause(likelihood, parameters, square, freedom)
    return replace(misfit, cause="; ".join((*unbalanced.values(), cause)))


# --- causes ---------------------------------------------------------------------------------


def _loose(
    parameters: Mapping[str, Parameter], stem: str, titles: Sequence[str]
) -> tuple[Parameters, dict[str, str]]:
    """An entry freed from what is stated of it, in each case alone; what is free, with its case."""
    found = copied(parameters)
    names = {f"{stem}_{n}": title for n, title in enumerate(titles)}
    if stem == "density":
        names = {stem: "all"}
    if stem == "voltage":  # it has one common error, but may be wrong in one case
        found |= {name: replace(found[stem]) for name in names}
        found[stem].vary = False
    if stem == "resolution":  # without a resolution there is none to free
        names = {name: title for name, title in names.items() if found[name].vary}
    for name in names:
        p = found[name]
        p.vary, p.prior, p.min, p.max = True, None, 0.3, 3.0
    return found, names


def _shares(ratios: Sequence[float], titles: Sequence[str]) -> str:
    """One ratio for all cases, or those that are not one with their cases."""
    if len(set(ratios)) == 1:
        return str(ratios[0])
    told = zip(ratios, titles, strict=True)
    return " and ".join(f"{ratio} ({title})" for ratio, title in told if ratio != 1)


def likeliest_cause(
    likelihood: Likelihood, parameters: Parameters, square: float, freedom: int
) -> str:
    """What takes away most of chi-square: one entry, freed, or another shape of D(y).

    Each leaves its own signature: no entry bends D(y) alone, and no shape moves the first current.

    Named as the cause only if it takes away a fair share of what is too much.
    """
    excess = square - freedom
    titles, tried = [x.case.title for x in likelihood.experiments], []

    def attempt(trial: Likelihood, start: Parameters) -> tuple[Parameters, float]:
        try:
            return minimise(trial, start)
        except FitError:
            return start, np.inf

    for stem, text in (
        ("voltage", "the voltage: {} of what is stated"),
        ("resolution", "the resolution: {} of what is stated"),
        ("density", "ion density, charge against depth: {} of what is stated"),
        ("depth", "the crater depth: {} of what is stated"),
        ("rate", "the sputter rate of the replaced glass: {} of that of the glass"),
    ):
        start, names = _loose(parameters, stem, titles)
        if not names:
            continue
        found, now = attempt(likelihood, start)
        ratios = [round(found[name].value, 2) for name in names]
        text = text.format(_shares(ratios, [*names.values()]))
        if stem == "resolution" and 0.36 < np.median(ratios) < 0.5:
            text += " (entered as a full width? 0.42 of it is the standard deviation)"
        tried.append((square - now, text))
    xs = likelihood.experiments
    if any(x.conductivity is not None for x in xs):
        bare = likelihood.of([replace(x, conductivity=None) for x in xs])
        found, now = attempt(bare, parameters)
        stated = next(n for n, x in enumerate(xs) if x.conductivity is not None)
        log_ratio = bare.log_conductivity(stated, values_of(found)) - xs[stated].conductivity[0]
        tried.append((square - now, "the conductivity: current and charge ask for"
                                    f" {10**log_ratio:.2f} of what is stated"))  # fmt: skip
    level = [max(x.profile.background.values()) for x in xs]
    wide = likelihood.of([
        replace(x, background_error=3 * b + 10) for x, b in zip(xs, level, strict=True)
    ])  # fmt: skip
    tried.append((square - attempt(wide, parameters)[1], "the background"))
    wide = likelihood.of([replace(x, matrix_error=0.2) for x in xs])
    effect = "a matrix effect: replaced and unreplaced glass counted with other sensitivities"
    tried.append((square - attempt(wide, parameters)[1], effect))
    if likelihood.family.energies:  # a table of D has any shape
        with suppress(SimulationError):
            shape = "the shape of the landscape: D falls otherwise than that of any"
            shape += f" {likelihood.family.name} one"
            tried.append((square - look(likelihood, parameters).chi_square, shape))
    best = max(gain for gain, _ in tried)
    if best < 10:
        return "none of the entries alone; see the assumptions in error_budget"
    alike = [text for gain, text in tried if gain > 0.9 * best]  # some leave the same trace
    alone = f"{'; or '.join(alike)} (chi-square falls by {best:.0f})"
    if best < _SHARE * excess:
        return f"none of the entries alone: most of the misfit stays with {alone}"
    return alone


# --- what a misfit does to the errors -------------------------------------------------------


def widened(likelihood: Likelihood, parameters: Parameters, misfit: Misfit, reduced: float):
    """Covariance of the free parameters with what a misfit adds, (parameters, parameters).

    A model that is off by as much as the residuals show, over as many cycles as they are
    correlated, moves the optimum: C J^T S J C with S the residuals' own covariance.
    """
    plain = covariance(likelihood, parameters)
    if not misfit.notable or not free_names(parameters):
        return plain * max(1.0, reduced)
    rows, at, middle = jacobian(likelihood, parameters), 0, np.zeros_like(plain)
    for block in (b for b in misfit.blocks if b.kind not in ("entries", "charge")):
        part = rows[at : at + block.number]
        at += block.number
        excess = max(block.chi_square / block.number - 1, 0.0)
        middle += (1 + excess * (block.kind not in ("native", "foreign"))) * part.T @ part
        if excess > 0 and block.kind in ("native", "foreign"):
            rho = float(np.clip(block.autocorrelation / excess, 0.0, 0.97))
            away = np.abs(np.subtract.outer(np.arange(block.number), np.arange(block.number)))
            middle += excess * part.T @ (rho**away) @ part
    rest = likelihood.residuals(parameters)[at:]
    for row, r in zip(rows[at:], rest, strict=True):
        middle += max(1.0, r**2) * np.outer(row, row)
    return plain @ middle @ plain
