"""How sure a fit is: profile likelihood, posterior, bootstrap, and which datum knows what.

None of these needs a new simulation: they use the polynomials of the fit (see `emulator`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import emcee
import numpy as np
from arviz_stats.base import array_stats
from scipy.optimize import brentq
from scipy.stats import chi2

from .checks import Array, require
from .fit import LandscapeFit, Progress, steps
from .likelihood import Experiment, covariance, jacobian, minimise
from .parameters import Prior, copied, values_of, with_values

_TAILS = 20  # degrees of freedom of the proposal of a posterior


def _checked(fit: LandscapeFit, name: str) -> str:
    if name not in fit.free:
        raise ValueError(f"name = {name!r} is not a fitted parameter; those are {fit.free}")
    return name


def likelihood_profile(fit: LandscapeFit, name: str = "fwhm", level: float = 0.95):
    """Interval and curve of the profile likelihood of one parameter.

    The parameter is held, all others are fitted again; the interval ends where chi-square has
    risen by the quantile of ``level`` (3.84 for 0.95), times the reduced chi-square if that is
    above one.

    Parameters
    ----------
    fit : LandscapeFit
    name : str
        One of ``fit.free``.
    level : float
        0.5 to 0.999.

    Returns
    -------
    interval : (float, float)
        In the parameter's own unit; an end is the parameter's bound, or infinite, if the likelihood
        does not fall enough within 30 standard errors.
    value, rise : ndarray
        Every value tried, sorted, and the rise of chi-square there.
    """
    p = fit.parameters[_checked(fit, name)]
    limit = chi2.ppf(require("level", level, 0.5, 0.999), 1) * max(1.0, fit.reduced_chi_square)
    best, sigma, place = p.value, p.error, fit.free.index(name)
    tried = {best: 0.0}
    column = covariance(fit.likelihood, fit.parameters)[:, place]
    along = dict(zip(fit.free, column / column[place], strict=True))

    def rise(value: float) -> float:
        if value not in tried:
            held = copied(fit.parameters)
            for other, slope in along.items():  # where the others go, to first order
                held[other].value += slope * (value - best)
            held[name].value, held[name].vary = value, False
            _, square = minimise(fit.likelihood, held)
            # the prior of a held parameter is left out of the residuals: it counts all the same
            own = ((value - p.prior.mean) / p.prior.sigma) ** 2 if p.prior else 0.0
            tried[value] = float(square + own - fit.chi_square)
        return tried[value]

    ends = []
    for side, bound in ((-1, p.min), (1, p.max)):
        near, step = best, np.sqrt(limit) * sigma  # as far as the curvature says; then in halves
        while True:
            far = float(np.clip(near + side * step, p.min, p.max))
            if rise(far) > limit:
                crossing = brentq(lambda v: rise(v) - limit, near, far, xtol=0.03 * sigma)
                ends.append(float(crossing))
                break
            if far == bound or abs(far - best) > 30 * sigma:
                ends.append(float(bound))
                break
            near, step = far, 0.5 * np.sqrt(limit) * sigma
    value = np.array(sorted(tried))
    return tuple(ends), value, np.array([tried[v] for v in value])


@dataclass(frozen=True, eq=False)
class Posterior:
    """Result of :func:`sample_posterior`.

    Attributes
    ----------
    names : tuple of str
        Fitted parameters.
    samples : ndarray, shape (n, parameters)
        Of equal weight.
    effective : ndarray, shape (parameters,)
        Effective number of samples.
    pareto_k : float
        Shape of the tail of the importance weights: below 0.7 they can be trusted. Above, the
        samples are those of emcee.
    method : str
        "importance" or "emcee".
    """

    names: tuple[str, ...]
    samples: Array
    effective: Array
    pareto_k: float
    method: str

    def interval(self, name: str = "fwhm", level: float = 0.95) -> tuple[float, float]:
        """Central interval of one parameter, of a level from 0.01 to 0.9999."""
        if name not in self.names:
            raise ValueError(f"name = {name!r} is not a sampled parameter; those are {self.names}")
        tail = 50 * (1 - require("level", level, 0.01, 0.9999))
        column = self.samples[:, self.names.index(name)]
        low, high = np.percentile(column, [tail, 100 - tail])
        return float(low), float(high)

    @property
    def correlation(self) -> Array:
        """Correlations of the parameters, (parameters, parameters)."""
        return np.corrcoef(self.samples.T)


def sample_posterior(
    fit: LandscapeFit, samples: int = 20_000, seed: int = 0, progress: Progress = False
) -> Posterior:
    """Sample the posterior: the likelihood of the fit, its priors, flat inside the bounds.

    By importance sampling: Student's t about the optimum, as wide as the curvature says, weighted
    by the posterior with smoothed tails (Pareto, arXiv:1507.02646). Where the tail of the weights
    says that this is no good (k > 0.7), by emcee. Levels, drift and gain, in which the model is
    linear, are taken at their best for each sample, which is the same posterior of the others.

    Parameters
    ----------
    fit : LandscapeFit
    samples : int
        Drawn in all, 1000 to 10 million.
    seed : int
        Of the random numbers.
    progress : bool or callable
        As for `fit_landscape`.
    """
    samples = int(require("samples", samples, 1000, 10_000_000))
    free = [fit.parameters[name] for name in fit.free]
    best, low, high = np.array([(p.value, p.min, p.max) for p in free]).T
    spread = covariance(fit.likelihood, fit.parameters)

    def log_probability(theta: Array) -> float:
        if np.any(theta < low) or np.any(theta > high):
            return -np.inf
        residuals = fit.likelihood.residuals(with_values(fit.parameters, theta))
        found = -0.5 * float(residuals @ residuals)
        return found if np.isfinite(found) else -np.inf

    rng = np.random.default_rng(seed)
    scale = np.sqrt(np.diag(spread))
    values, vectors = np.linalg.eigh(spread / np.outer(scale, scale))
    root = scale[:, None] * vectors * np.sqrt(np.maximum(values, 0.0))
    wide = _TAILS / rng.chisquare(_TAILS, samples)  # a normal variable with heavier tails
    z = rng.standard_normal((samples, best.size)) * np.sqrt(wide)[:, None]
    drawn = best + z @ root.T
    density = -0.5 * (_TAILS + best.size) * np.log1p(np.sum(z**2, axis=1) / _TAILS)
    target = np.empty(samples)
    with steps(progress, "posterior", samples) as tell:
        for i, theta in enumerate(drawn):
            target[i] = log_probability(theta)
            tell(1)
    inside = np.isfinite(target)
    drawn, ratio = drawn[inside], (target - density)[inside]
    smooth, k = array_stats.psislw(ratio.max() - ratio)  # it takes their negatives
    if not k <= 0.7:
        return _by_emcee(
            fit.free, log_probability, (best, spread, low, high), samples, rng, float(k)
        )
    weight = np.exp(smooth - smooth.max())
    weight /= weight.sum()
    effective = 1 / np.sum(weight**2)
    kept = drawn[rng.choice(weight.size, samples, p=weight)]
    return Posterior(fit.free, kept, np.full(best.size, effective), float(k), "importance")


def _by_emcee(names, log_probability, about, samples, rng, k) -> Posterior:
    """Ensemble sampling with differential evolution; a fifth as many steps to settle."""
    best, spread, low, high = about
    walkers = 4 * best.size
    start = rng.multivariate_normal(best, spread, walkers, method="eigh")
    sampler = emcee.EnsembleSampler(
        walkers, best.size, log_probability,
        moves=[(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)],
    )  # fmt: skip
    sampler.random_state = np.random.RandomState(rng.integers(2**31)).get_state()
    length = -(-samples // walkers)
    sampler.run_mcmc(np.clip(start, low, high), length + length // 5)
    chain = sampler.get_chain(discard=length // 5)
    time = emcee.autocorr.integrated_time(chain, quiet=True, tol=0)
    effective = chain.shape[0] * chain.shape[1] / time
    return Posterior(names, chain.reshape(-1, best.size), effective, k, "emcee")


def bootstrap(
    fit: LandscapeFit, repeats: int = 50, seed: int = 0, progress: Progress = False
) -> dict[str, Array]:
    """Parametric bootstrap: make the data anew from the fitted model, and fit them again.

    Counts are drawn as Poisson numbers about the expected ones, with the spread that dead time
    leaves; matrix drift, the record of the current with its gain, and what the priors state
    (crater, resolution, conductivity) within their errors.

    Parameters
    ----------
    fit : LandscapeFit
    repeats : int
        2 to 100,000.
    seed : int
    progress : bool or callable
        As for `fit_landscape`.

    Returns
    -------
    dict of str to ndarray, shape (repeats,)
        The fitted parameters.
    """
    repeats = int(require("repeats", repeats, 2, 100_000))
    rng = np.random.default_rng(seed)
    found = {name: np.empty(repeats) for name in fit.free}
    with steps(progress, "bootstrap", repeats) as tell:
        for repeat in range(repeats):
            again = fit.likelihood.of(
                [_drawn(fit, number, rng) for number in range(len(fit.experiments))]
            )
            trial = copied(fit.parameters)
            for p in trial.values():
                if p.vary and p.prior is not None:
                    p.prior = Prior(rng.normal(p.value, p.prior.sigma), p.prior.sigma)
            best, _ = minimise(again, trial)
            for name in found:
                found[name][repeat] = best[name].value
            tell(1)
    return found


def _drawn(fit: LandscapeFit, number: int, rng: np.random.Generator) -> Experiment:
    """One experiment as it might have come out."""
    experiment, values = fit.experiments[number], values_of(fit.parameters)
    profile, counts = experiment.profile, {}
    drift = 1 + profile.drift @ rng.standard_normal(3)
    for ion, expected in experiment.expected.items():
        level = profile.background[ion]
        mean = np.maximum((expected - level) * drift + level, 0)
        drawn = rng.poisson(mean)
        counts[ion] = np.maximum(mean + (drawn - mean) * experiment.spread[ion], 0)
    record, conductivity = experiment.record, experiment.conductivity
    if record is not None:
        density = record.expected(fit.likelihood.state(number, values))
        gain = 1 + record.gain_error * rng.standard_normal()
        readings = 1 + record.noise * rng.standard_normal(record.time.size)
        record = replace(record, density=density * gain * readings)
    if conductivity is not None:
        error = conductivity[1]
        true = fit.likelihood.log_conductivity(number, values)
        conductivity = rng.normal(true, error), error
    profile = replace(profile, counts=counts)
    return replace(experiment, profile=profile, record=record, conductivity=conductivity)


def information(fit: LandscapeFit) -> dict[str, Array]:
    """Fisher information of each kind of datum about the fitted parameters.

    Returns
    -------
    dict of str to ndarray, shape (parameters, parameters)
        Keys ``"native"``, ``"foreign"`` (counts), ``"current"`` and ``"prior"`` (conductivity
        too); the order of the parameters is that of ``fit.free``. The inverse of the sum is the
        covariance. The levels of the signals and the gain of the current are solved for in all.
    """
    blocks = fit.likelihood.blocks(values_of(fit.parameters))
    rows = jacobian(fit.likelihood, fit.parameters)
    kinds = ("native", "foreign", "current", "prior")
    found = {kind: np.zeros((len(fit.free),) * 2) for kind in kinds}
    at = 0
    for (_, kind), block in blocks.items():
        part = rows[at : at + block.size]
        found[kind if kind in found else "prior"] += part.T @ part
        at += block.size
    found["prior"] += rows[at:].T @ rows[at:]
    return found


def correlation(fit: LandscapeFit) -> Array:
    """Correlations of the fitted parameters from the curvature, in the order of ``fit.free``."""
    together = combine(list(information(fit).values()))
    error = np.sqrt(np.diag(together))
    return together / np.outer(error, error)


def combine(information: Sequence[Array]) -> Array:
    """Covariance from the sum of pieces of information; infinite where nothing is known."""
    total = np.sum(information, axis=0)
    scale = np.sqrt(np.maximum(np.diag(total), 1e-300))
    vectors = np.linalg.eigh(total / np.outer(scale, scale))
    if vectors.eigenvalues[0] < 1e-9:
        return np.full(total.shape, np.inf)
    return np.linalg.inv(total)
