"""How sure a fit is: profile likelihood, posterior, bootstrap, and which datum knows what.

None of these needs a new simulation: they use the polynomials of the fit (see `inference`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace

import emcee
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import chi2
from tqdm import tqdm

from .checks import require
from .inference import LandscapeFit, minimise
from .model import Model, jacobian

Array = NDArray[np.float64]


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
        In the parameter's own unit; an end is the parameter's bound if the likelihood does not
        fall enough before it.
    value, rise : ndarray
        Every value tried, sorted, and the rise of chi-square there.
    """
    p = fit.minimum.params[_checked(fit, name)]
    limit = chi2.ppf(require("level", level, 0.5, 0.999), 1) * max(1.0, fit.reduced_chi_square)
    best, sigma = p.value, p.stderr
    tried = {best: 0.0}
    rows = jacobian(fit.model, fit.minimum.params)
    column = np.linalg.pinv(rows.T @ rows, hermitian=True)[:, fit.free.index(name)]
    along = dict(zip(fit.free, column / column[fit.free.index(name)], strict=True))

    def rise(value: float) -> float:
        if value not in tried:
            held = fit.minimum.params.copy()
            for other, slope in along.items():  # where the others go, to first order
                held[other].value += slope * (value - best)
            held[name].set(value=value, vary=False)
            found = minimise(fit.model, held)
            # the prior of a held parameter is left out of the residuals: it counts all the same
            own = ((value - p.user_data[0]) / p.user_data[1]) ** 2 if p.user_data else 0.0
            tried[value] = float(found.chisqr + own - fit.chi_square)
        return tried[value]

    ends = []
    for side, bound in ((-1, p.min), (1, p.max)):
        near, step = best, np.sqrt(limit) * sigma
        while True:
            far = float(np.clip(near + side * step, p.min, p.max))
            if rise(far) > limit:
                crossing = brentq(lambda v: rise(v) - limit, near, far, xtol=0.03 * sigma)
                ends.append(float(crossing))
                break
            if far == bound or abs(far - best) > 30 * sigma:
                ends.append(far)
                break
            near, step = far, 0.5 * step
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
    autocorrelation : ndarray, shape (parameters,)
        Integrated autocorrelation times, in steps of a walker.
    effective : ndarray, shape (parameters,)
        Effective number of samples.
    acceptance : float
        Share of accepted steps.
    """

    names: tuple[str, ...]
    samples: Array
    autocorrelation: Array
    effective: Array
    acceptance: float

    def interval(self, name: str = "fwhm", level: float = 0.95) -> tuple[float, float]:
        """Central interval of one parameter."""
        tail = 50 * (1 - level)
        column = self.samples[:, self.names.index(name)]
        low, high = np.percentile(column, [tail, 100 - tail])
        return float(low), float(high)

    @property
    def correlation(self) -> Array:
        """Correlations of the parameters, (parameters, parameters)."""
        return np.corrcoef(self.samples.T)


def sample_posterior(
    fit: LandscapeFit, samples: int = 20_000, seed: int = 0, progress: bool = True
) -> Posterior:
    """Sample the posterior: the likelihood of the fit, its priors, flat inside the bounds.

    By emcee's ensemble sampler with differential evolution, started from the curvature at the
    optimum. Levels, drift and gain, in which the model is linear, are not sampled but taken at
    their best for each sample, which for a linear model is the same posterior of the others.

    Parameters
    ----------
    fit : LandscapeFit
    samples : int
        Kept in all, 1000 to 10 million; a fifth as many are spent to settle.
    seed : int
        Of the random numbers.
    progress : bool
        Show a bar.
    """
    samples = int(require("samples", samples, 1000, 10_000_000))
    names, parameters = fit.free, fit.minimum.params.copy()
    low = np.array([parameters[name].min for name in names])
    high = np.array([parameters[name].max for name in names])
    best = np.array([parameters[name].value for name in names])

    def log_probability(theta: Array) -> float:
        if np.any(theta < low) or np.any(theta > high):
            return -np.inf
        for name, value in zip(names, theta.tolist(), strict=True):
            parameters[name].value = value
        found = -0.5 * float(np.sum(fit.model.residuals(parameters) ** 2))
        return found if np.isfinite(found) else -np.inf

    rng = np.random.default_rng(seed)
    curvature = jacobian(fit.model, fit.minimum.params)
    covariance = np.linalg.pinv(curvature.T @ curvature, hermitian=True)
    walkers = 4 * len(names)
    start = rng.multivariate_normal(best, covariance, walkers, method="eigh")
    start = np.clip(start, low, high)
    sampler = emcee.EnsembleSampler(
        walkers,
        len(names),
        log_probability,
        moves=[(emcee.moves.DEMove(), 0.8), (emcee.moves.DESnookerMove(), 0.2)],
    )
    sampler.random_state = np.random.RandomState(seed).get_state()
    kept = -(-samples // walkers)
    settle = kept // 5
    steps = sampler.sample(start, iterations=kept + settle)
    total = kept + settle
    for _ in tqdm(steps, total=total, desc="posterior", disable=not progress, file=sys.stdout):
        pass
    chain = sampler.get_chain(discard=settle)
    time = emcee.autocorr.integrated_time(chain, quiet=True, tol=0)
    return Posterior(
        names=names,
        samples=chain.reshape(-1, len(names)),
        autocorrelation=time,
        effective=chain.shape[0] * chain.shape[1] / time,
        acceptance=float(np.mean(sampler.acceptance_fraction)),
    )


def bootstrap(
    fit: LandscapeFit, repeats: int = 50, seed: int = 0, progress: bool = False
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
    progress : bool
        Show a bar.

    Returns
    -------
    dict of str to ndarray, shape (repeats,)
        The fitted parameters.
    """
    repeats = int(require("repeats", repeats, 2, 100_000))
    rng = np.random.default_rng(seed)
    parameters, values = fit.minimum.params, fit.minimum.params.valuesdict()
    model = fit.model
    found = {name: np.empty(repeats) for name in fit.free}
    each = tqdm(range(repeats), desc="bootstrap", disable=not progress, file=sys.stdout)
    for repeat in each:
        data = []
        for number, d in enumerate(model.data):
            profile, used = d.profile, d.profile.used
            drift = 1 + profile.drift @ rng.standard_normal(3)
            counts = {}
            for ion, expected in fit.expected[number].items():
                level = profile.background[ion]
                mean = np.maximum((expected - level) * drift + level, 0)
                spread = np.ones(mean.size)
                spread[used] = d.rows[ion][1]
                drawn = rng.poisson(mean)
                counts[ion] = np.maximum(mean + (drawn - mean) * spread, 0)
            current = d.current
            if current is not None:
                time, _, noise = current
                model_density = d.record(model.state(number, values))
                gain = 1 + d.current_error * rng.standard_normal()
                readings = 1 + noise * rng.standard_normal(time.size)
                current = time, model_density * gain * readings, noise
            data.append(
                replace(
                    d,
                    profile=replace(profile, counts=counts),
                    current=current,
                    excess={ion: d.rows[ion][1] for ion in counts},
                )
            )
        trial = parameters.copy()
        for p in trial.values():
            if p.vary and p.user_data is not None:
                p.user_data = (p.value + p.user_data[1] * rng.standard_normal(), p.user_data[1])
        again = Model(data, model.family)
        again.emulators = model.emulators
        again.reference = model.reference
        best = minimise(again, trial).params
        for name in found:
            found[name][repeat] = best[name].value
    return found


def information(fit: LandscapeFit) -> dict[str, Array]:
    """Fisher information of each kind of datum about the fitted parameters.

    Returns
    -------
    dict of str to ndarray, shape (parameters, parameters)
        Keys ``"native"``, ``"foreign"`` (counts), ``"current"`` and ``"prior"``; the order of the
        parameters is that of ``fit.free``. The inverse of the sum is the covariance. The levels of
        the signals and the gain of the current are solved for in all of them.
    """
    blocks = fit.model.blocks(fit.minimum.params.valuesdict())
    rows = jacobian(fit.model, fit.minimum.params)
    kinds = ("native", "foreign", "current", "prior")
    found = {kind: np.zeros((len(fit.free),) * 2) for kind in kinds}
    at = 0
    for (_, kind), block in blocks.items():
        part = rows[at : at + block.size]
        found["prior" if kind == "drift" else kind] += part.T @ part
        at += block.size
    found["prior"] += rows[at:].T @ rows[at:]
    return found


def correlation(fit: LandscapeFit) -> Array:
    """Correlations of the fitted parameters from the curvature, in the order of ``fit.free``."""
    covariance = combine(list(information(fit).values()))
    error = np.sqrt(np.diag(covariance))
    return covariance / np.outer(error, error)


def combine(information: Sequence[Array]) -> Array:
    """Covariance from the sum of pieces of information; infinite where nothing is known."""
    total = np.sum(information, axis=0)
    scale = np.sqrt(np.maximum(np.diag(total), 1e-300))
    vectors = np.linalg.eigh(total / np.outer(scale, scale))
    if vectors.eigenvalues[0] < 1e-9:
        return np.full(total.shape, np.inf)
    return np.linalg.inv(total)
