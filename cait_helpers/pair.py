r"""Two ions on one set of sites: the mixed alkali effect, and what intermixing can leave behind.

**The picture.** A site has an energy for each of the two ions, E_1 for the native and E_2 for the
foreign one, and holds at most one ion. `pair_landscape` draws the two energies from the two site
energy distributions, coupled by a correlation (a Gaussian copula): at 1 a site that is good for one
ion is as good for the other, at 0 it says nothing about the other, at -1 it is bad for it.

**Filling.** In equilibrium the share of the time that ion i spends on a site is a Fermi function
for two kinds of guests (one site, three states: empty, native, foreign),

    p_i = a_i / (1 + a_1 + a_2),   a_i = exp((mu_i - E_i)/kT),   v = 1/(1 + a_1 + a_2),

and the two levels follow from <p_1> = occ y, <p_2> = occ (1 - y), the mean taken over the sites;
y is the native fraction of the ions, occ the occupied share of the sites, which replacement
conserves. v is the chance that the site is vacant. These are exact for ions that do not interact
otherwise. The solution is unique: ln(mean Xi), the sum over sites of ln(1 + a_1 + a_2), is convex.

**Moving.** An ion leaves a site of energy E for each vacant neighbour at a rate w_i exp(E/kT): the
barrier is a common threshold less the energy of the site, eqn (2) of doi 10.1039/d4cp00262h. With
occupations that are independent from site to site (mean field), the flux of ion i from site a to
site b is w_i p_i(a) e^(E_i(a)/kT) v(b) = w_i e^(mu_i(a)/kT) v(a) v(b), so that near equilibrium

    J_i(a -> b) = G_i (mu_i(a) - mu_i(b)),   G_i = (w_i/kT) e^(mu_i/kT) v(a) v(b):

a network of resistors for each ion. Three things follow, and need no approximation but that one.
(1) The flux of an ion answers to its own level only: **L_12 = 0 in mean field**, and D_i,mig =
D_i* = kT L_ii/n_i. (2) Both networks are the same but for a factor, so that the effective
conductance K of the resistors v(a) v(b) is common to both ions,

    D_i = (z a^2 w_i/2d) K e^(mu_i/kT) / (share of the sites that hold ion i),

and cancels in the transference number, t_1 = w_1 e^mu_1/(w_1 e^mu_1 + w_2 e^mu_2): plateaus depend
on the levels alone. (3) K <= <v>^2 = (1 - occ)^2 (try equal gradients everywhere), with equality
for many neighbours. <v>^2 is the default here. On a lattice with few neighbours the vacancies sit
on scattered high sites and K is smaller: the one-site effective medium puts a site v into a
uniform medium u, K = u^2, and asks that on average it changes nothing,

    < (v - u) / (u + g (v - u)) > = 0,   g = (1 - f)/(1 + f),

where g is minus the mean cosine of successive jumps of a tracer with a lone vacancy on that lattice
(the same Green's function, of a dipole on the neighbours of a site) and f its correlation factor:
0.7815 for fcc, 0.6531 for sc; f = 1 is mean field again. Against resistors on boxes of fcc (323 K,
250 meV, occ 0.9) u^2 is too high by a factor of about 1.4, K itself is 1/6 of <v>^2, and the
*ratio* of K to that of the pure glass is right to 0.04 decades; K changes D by 0.1 decades at
y = 0.1, while the levels change it by 2.3.

**Beyond mean field: L_12.** Occupations of neighbouring sites are not independent: an ion that has
jumped leaves its vacancy behind, and is likely to jump back, or to have the other ion jump into it.
So D* < D_sigma (Haven ratio H < 1), and a current of one ion drags the other. Manning's relations
(doi 10.1103/PhysRevB.4.1111) close the problem with H,

    L_ij = (n_i D_i,mig/kT) (H delta_ij + (1 - H) n_j D_j,mig / sum_k n_k D_k,mig),
    D_i* = H D_i,mig.

They are exact where the two ions differ in colour only (correlation 1, equal w): then D_sigma and
D* cannot depend on y, and L_12 = n_1 n_2 (D_sigma - D*)/(N kT). Elsewhere they are an
approximation that the Monte Carlo of `pair_walk` measures. Note what they leave alone: sum_j L_ij,
so that D_i,mig, the transference numbers, and every drift-limit front are those of L_12 = 0.
L_12 > 0 slows the exchange only: D~ carries the factor H.

**What drives diffusion** is the slope of the levels, not of ln n. Along one-to-one replacement

    J_1 = t_1 J - D~ dn_1/dx,   D~ = (det L / S) (dmu_1/dn_1 - dmu_2/dn_1)
                                   = H Theta D_1 D_2/(y D_1 + (1 - y) D_2),
    Theta = y (1 - y) d(mu_1 - mu_2)/dy / kT,

the Nernst-Planck (Hartley) coefficient times the Haven ratio and a thermodynamic factor. Theta is 1
at both ends and for ideal mixing (correlation 1). `simulate`, which multiplies drift and diffusion
by one coefficient an ion, takes H Theta = 1; that touches the width of a front (below a nanometre)
and not its plateau or its speed.

**Limits.** Equal SEDs at correlation 1: mu_1 - mu_2 = kT ln(y/(1-y)), both D constant, no plateau:
the "instantly intermixed" case of the paper, and one special equilibrium. A foreign ion that feels
no difference between sites (width of its SED to 0): D_foreign is constant and the native ions fill
the lowest sites up to their own Fermi level, D_native/D_b = exp((E_F(y) - E_F(1))/kT)
(1 - occ y)/((1 - occ) y) with thermal E_F: the "segregated" case, as an equilibrium, with the
prefactor that eqn (2) leaves out. (In the paper segregation is a delay instead: sites alike for
both ions, not yet mixed. That is a matter of time, not of this module.) Few vacancies: y =
<1/(1 + exp((E_1 - E_2 - mu_1 + mu_2)/kT))>, a Fermi function of the energy *differences*, whose
variance is 2 sigma^2 (1 - correlation).

**Figures** (two Gaussians of 250 meV, 323.15 K, occ 0.9; decades by which D_native falls from y = 1
to 0.1 / 0.03): correlation 1: 0 / 0; 0.5: 1.43 / 1.84; 0: 2.29 / 2.90; -1: 3.57 / 4.24.

**Measured by jumping** (`pair_walk`, benchmarks/pair_study.py, D* from y = 0.97 to 0.1 / 0.03).
With 122 neighbours the mean field is met: at correlation 0, 2.16 +- 0.03 / 2.92 +- 0.07 against
2.20 / 2.81, at 0.5, 1.36 +- 0.02 / 1.71 +- 0.05 against 1.39 / 1.79, at 1 no change. With the
twelve nearest neighbours of fcc the fall is smaller, 1.68 +- 0.03 / 2.4 +- 0.1 and 1.08 +- 0.03 /
1.37 +- 0.08 in the longest windows tried, where it still grows with the window: 0.3 to 0.5 decades
less than the mean field. The medium, which has no memory, explains 0.05 of them.

The idea of joint energies, generalised Fermi functions and a mismatch energy is that of Leiber,
Fischer, Lohmann and Maass, arXiv 2604.27873; the formulas above are derived here. Arguments out of
range raise a ValueError. Energies in eV, temperatures in K, D in m^2/s; levels inside in kT.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy  # loads its heavy parts, such as scipy.interpolate, when they are first used
from numpy.typing import ArrayLike
from scipy.constants import e
from scipy.special import expit, logit, ndtr, ndtri

from .checks import (
    DIFFUSIVITY,
    OCCUPANCY,
    POSITIVE,
    TEMPERATURE,
    Array,
    require,
    require_all,
    require_fit,
)
from .landscape import BOLTZMANN, HIGHEST, SMALLEST, GaussianSed, require_sed

RADIUS = 9.0  # of the normal variables: 1e-18 of the sites lie beyond
ENOUGH = 100_000  # nodes beyond which a steep place between bands is no reason for more
SPAN = np.arange(-6.0, 6.005, 0.01)  # where the sites are, as normal variables
OPEN = (float(np.nextafter(0, 1)), float(np.nextafter(1, 0)))  # numbers between 0 and 1
WIDEST = 500_000  # nodes of the mean over the sites; more are refused
PURE = float(-logit(SMALLEST))  # |logit y| of a glass that counts as pure
NEARLY_PURE = 1e-6  # 1 - y below which ln D is a straight line in y
GRID = np.linspace(-PURE, PURE, 2 * int(np.ceil(PURE / 0.2)) + 1)  # logit y that cubics connect


def _mean(values: Array, weights: Array) -> float:
    # a product of matrices would wake the threads of BLAS, which helps nobody at this size
    return float(np.einsum("i,i->", values, weights))


def _root(
    function: Callable[[float], tuple[float, float]], low: float, high: float, start: float
) -> float:
    """Root of a function that rises from ``low`` to ``high``; it returns its value and slope."""
    x = start if low < start < high else 0.5 * (low + high)
    for _ in range(200):
        value, slope = function(x)
        low, high = (x, high) if value < 0 else (low, x)
        step = -value / slope if slope > 0 else np.inf
        if abs(step) < 1e-8:
            return x + step  # Newton leaves the square of its step
        x = x + step if low < x + step < high else 0.5 * (low + high)
        if high - low < 1e-14:
            break
    return x


@dataclass(frozen=True, eq=False)
class Filling:
    """Two ions on sites of given energies in equilibrium; made by `fill`.

    Attributes
    ----------
    level : ndarray, shape (2,)
        Electrochemical potentials of the native and the foreign ion (kT).
    occupied : ndarray, shape (2, sites)
        Chance that a site holds a native, a foreign ion.
    vacant : ndarray, shape (sites,)
        Chance that it holds none.
    """

    level: Array
    occupied: Array
    vacant: Array


def fill(
    energies: Array, weights: Array, ratio: float, occupancy: float, guess: Array | None = None
) -> Filling:
    """Find the two levels at which both ions have their shares of the sites.

    Two nested roots, each of a monotone function between bounds that hold it: the sum of the
    levels fixes how many sites are occupied, their difference by whom. A site's ions are native
    at the odds exp(mu_1 - mu_2 - E_1 + E_2), so that the difference is within the range of
    E_1 - E_2 of ``ratio``.

    Parameters
    ----------
    energies : ndarray, shape (2, sites)
        Of the native and the foreign ion on each site (kT).
    weights : ndarray, shape (sites,)
        Share of each site, adding up to one.
    ratio : float
        ln(y/(1 - y)), y the native fraction of the ions.
    occupancy : float
        Occupied share of the sites, in (0, 1).
    guess : ndarray, shape (2,), optional
        Levels (kT) from which to start.
    """
    difference = energies[0] - energies[1]
    last = np.inf if guess is None else guess.mean()

    def filled(split: float) -> tuple[float, Array, Array, Array]:
        lowest = -np.logaddexp(0.5 * split - energies[0], -0.5 * split - energies[1])

        def excess(level: float) -> tuple[float, float]:
            p = expit(level - lowest)
            return _mean(p, weights) - occupancy, _mean(p * (1 - p), weights)

        nonlocal last
        empty = logit(occupancy)
        bounds = empty + lowest.min() - 1e-9, empty + lowest.max() + 1e-9
        level = last = _root(excess, *bounds, last)
        p, native = expit(level - lowest), expit(split - difference)
        return level, lowest, p * native, p * expit(difference - split)

    def excess(split: float) -> tuple[float, float]:
        level, lowest, native, foreign = filled(split)
        shares = _mean(native, weights), _mean(foreign, weights)
        slope = _split_response(weights, native, foreign, expit(lowest - level))[1]
        return np.log(shares[0] / shares[1]) - ratio, slope * (1 / shares[0] + 1 / shares[1])

    bounds = ratio + difference.min() - 1e-9, ratio + difference.max() + 1e-9
    split = _root(excess, *bounds, np.inf if guess is None else guess[0] - guess[1])
    level, lowest, native, foreign = filled(split)
    levels = np.array([level + 0.5 * split, level - 0.5 * split])
    return Filling(levels, np.stack([native, foreign]), expit(lowest - level))


def _split_response(
    weights: Array, native: Array, foreign: Array, vacant: Array
) -> tuple[Array, float]:
    """What mu_1 - mu_2 does at constant occupancy: d mu_i, shape (2,), and the share that turns."""
    first, second = _mean(native * vacant, weights), _mean(foreign * vacant, weights)
    steps = np.array([second, -first]) / (first + second)
    return steps, _mean(native * foreign, weights) + float(first * steps[0])


def conductance(vacant: Array, weights: Array, lattice_factor: float) -> tuple[float, Array]:
    """Effective conductance of resistors v(a) v(b), and how the sites' own v enter it.

    Parameters
    ----------
    vacant, weights : ndarray, shape (sites,)
        v of each site and its share of all.
    lattice_factor : float
        Correlation factor f of a tracer with a lone vacancy on the lattice; 1 is mean field.

    Returns
    -------
    K : float
        u^2 with u the effective medium, at most <v>^2.
    pull : ndarray, shape (sites,)
        d ln u / d ln v of each site times its weight, adding up to one.
    """
    g = (1 - lattice_factor) / (1 + lattice_factor)
    if g == 0:
        u = _mean(vacant, weights)
        return u**2, weights * vacant / u

    def surplus(log_u: float) -> tuple[float, float]:
        u = np.exp(log_u)
        below = (1 - g) * u + g * vacant
        return -_mean((vacant - u) / below, weights), _mean(u * vacant / below**2, weights)

    ends = np.log([max(vacant.min(), 1e-300), vacant.max()])
    u = np.exp(_root(surplus, ends[0] - 1e-9, ends[1] + 1e-9, np.log(_mean(vacant, weights))))
    pull = weights * vacant / ((1 - g) * u + g * vacant) ** 2
    return float(u**2), pull / pull.sum()


@dataclass(frozen=True, eq=False)
class PairCoefficients:
    """Transport of two ions on one landscape; made by `PairLandscape.coefficients`.

    All arrays have the shape of ``y``, with two more axes for matrices.

    Attributes
    ----------
    y : ndarray
        Native fraction of the ions (1).
    D_native, D_foreign : ndarray
        Migration coefficients D_i,mig (m^2/s): what multiplies the field, the laws of a simulation.
    tracer_native, tracer_foreign : ndarray
        D_i* = H D_i,mig (m^2/s).
    L : ndarray, shape (..., 2, 2)
        Onsager coefficients (m^-1 s^-1 J^-1), native ion first.
    thermodynamic : ndarray
        Theta = y (1 - y) d(mu_1 - mu_2)/dy / kT (1).
    interdiffusivity : ndarray
        D~ (m^2/s) of one-to-one replacement, with Haven ratio and thermodynamic factor.
    chemical_native, chemical_foreign : ndarray
        D_i,chem (m^2/s): what multiplies -dn_i/dx in J_i at zero field, L_i1 dmu_1/dn_i +
        L_i2 dmu_2/dn_i along the replacement.
    level_native, level_foreign : ndarray
        mu_i less its value in the pure glass of ion i (eV).
    conductance : ndarray
        K, in units where the mean field is (1 - occ)^2 (1).
    """

    y: Array
    D_native: Array
    D_foreign: Array
    tracer_native: Array
    tracer_foreign: Array
    L: Array
    thermodynamic: Array
    interdiffusivity: Array
    chemical_native: Array
    chemical_foreign: Array
    level_native: Array
    level_foreign: Array
    conductance: Array


@dataclass(frozen=True, eq=False)
class PairDiffusivity:
    """D of one of two ions against its own fraction; made by `PairLandscape.laws`."""

    D_bulk: float
    _log: Any  # ln(D/D_bulk) against logit(fraction)
    _edge: float  # d ln D / d fraction at 1

    def _split(self, fraction: ArrayLike) -> tuple[Array, Array, Array]:
        y = require_all("fraction", fraction, 1 - HIGHEST, HIGHEST)
        return y, logit(np.clip(y, SMALLEST, 1 - NEARLY_PURE)), y > 1 - NEARLY_PURE

    def __call__(self, fraction: ArrayLike) -> Array:
        """D (m^2/s) at ``fraction`` (any shape); ValueError outside [-0.05, 1.05]."""
        y, x, pure = self._split(fraction)
        return self.D_bulk * np.exp(np.where(pure, self._edge * (y - 1), self._log(x)))

    def log_slope(self, fraction: ArrayLike) -> Array:
        """d ln D / d ln y (1)."""
        y, x, pure = self._split(fraction)
        inside = np.clip(y, SMALLEST, 1 - NEARLY_PURE)
        slope = np.where(pure, y * self._edge, self._log(x, 1) / (1 - inside))
        return np.where(y < SMALLEST, 0.0, slope)


@dataclass(frozen=True, eq=False)
class _Curves:
    """What depends on the composition, shape (2, m) or (m,); levels in kT."""

    level: Array
    step: Array  # d mu_i / d logit y
    log_D: Array  # ln(K e^mu_i / y_i)
    slope: Array  # d ln D_i / d logit y
    K: Array


def _curves(
    energies: Array, weights: Array, ratios: Array, occupancy: float, factor: float
) -> _Curves:
    level, step, log_K = (np.empty((2, ratios.size)) for _ in range(3))
    guess = None
    for i, ratio in enumerate(ratios):
        if i > 0:
            guess = level[:, i - 1] + step[:, i - 1] * (ratio - ratios[i - 1])
        state = fill(energies, weights, ratio, occupancy, guess)
        K, pull = conductance(state.vacant, weights, factor)
        steps, turned = _split_response(weights, *state.occupied, state.vacant)
        level[:, i] = state.level
        step[:, i] = steps * (occupancy * expit(ratio) * expit(-ratio) / turned)
        log_K[:, i] = (
            np.log(K),
            -2 * sum(step[j, i] * _mean(state.occupied[j], pull) for j in (0, 1)),
        )
    share = np.stack([expit(ratios), expit(-ratios)])
    log_D = level + log_K[0] - np.log(share)
    slope = step + log_K[1] + np.array([[-1.0], [1.0]]) * share[::-1]
    return _Curves(level, step, log_D, slope, np.exp(log_K[0]))


@dataclass(frozen=True)
class PairLandscape:
    """Joint landscape of two ions; made by `pair_landscape`."""

    native: Any
    foreign: Any
    correlation: float
    mismatch: float = 0.0
    adapted: float = 0.5

    def sites(self, temperature: float) -> tuple[Array, Array]:
        """Sites that stand for all: their energies (eV), shape (2, sites), and their weights.

        The normal variables behind the two energies are turned by 45 degrees, into two that are
        independent for any correlation, and each is summed in equal steps: exponentially accurate
        for smooth functions, as long as the steps are small against the distance of ln(1 + a_1 +
        a_2) from a singularity, pi kT of energy along the sum and half of that along the
        difference. Levels are right to 1e-8 kT for distributions with one band, and to 2e-4 kT
        where bands are far apart.
        """
        kT = BOLTZMANN * require("temperature", temperature, *TEMPERATURE)
        native = _energy("sed_native", self.native)
        foreign = _energy("sed_foreign", self.foreign)
        # slopes of the energies, at their steepest and over half a standard deviation
        steepest, gentle = (
            max(np.max(E(SPAN + h) - E(SPAN - h)) for E in (native, foreign)) / (2 * h * kT)
            for h in (0.01, 0.25)
        )
        size = self._axes(steepest)
        nodes = size[0][0].size * size[1][0].size
        slope = max(gentle, steepest * min(1.0, np.sqrt(ENOUGH / nodes)))
        (along, first), (across, second) = self._axes(slope)
        if along.size * across.size > WIDEST:
            raise ValueError(
                f"temperature = {temperature:g} K is too low for this landscape: the energies vary"
                f" by {gentle:.3g} kT per standard deviation"
            )
        weights = np.outer(first, second).ravel()
        kept = weights > np.exp(-0.5 * RADIUS**2)
        weights = weights[kept] / weights[kept].sum()
        energies = np.stack(
            [
                native((along[:, None] + across).ravel()[kept]),
                foreign((along[:, None] - across).ravel()[kept]),
            ]
        )
        if self.mismatch:
            shift = np.array([[0.0, 1.0], [1.0, 0.0]])[:, :, None] * self.mismatch
            energies = (energies[:, None] + shift).reshape(2, -1)
            weights = np.outer([self.adapted, 1 - self.adapted], weights).ravel()
        return energies, weights

    def energies(self, first: ArrayLike, second: ArrayLike, third: ArrayLike) -> Array:
        """Energies (eV) of sites from three independent uniform variables, shape (2, sites).

        Parameters
        ----------
        first, second, third : array_like, shape (sites,)
            Numbers in (0, 1): of the native energy, of the foreign one given it, and of the ion to
            which a site is adapted.
        """
        first, second, third = (
            require_all(name, a, *OPEN)
            for name, a in (("first", first), ("second", second), ("third", third))
        )
        require_fit(first=first, second=second, third=third)
        own = ndtri(first)
        rest = np.sqrt((1 - self.correlation) * (1 + self.correlation))
        other = self.correlation * own + rest * ndtri(second)
        adapted = third < self.adapted
        native = _energy("sed_native", self.native)(own) + self.mismatch * ~adapted
        foreign = _energy("sed_foreign", self.foreign)(other) + self.mismatch * adapted
        return np.stack([native, foreign])

    def _axes(self, slope: float) -> list[tuple[Array, Array]]:
        """Half sum and half difference of the normal variables (times sqrt 2) in equal steps.

        ``slope`` is that of the energies (kT) against their variables; weights are not normalised.
        """
        axes = []
        for spread, reach in ((1 + self.correlation, 1.0), (1 - self.correlation, 0.5)):
            deviation = np.sqrt(spread)
            step = min(0.8, 1.1 * reach / max(slope * deviation, 1e-9))
            count = 0 if deviation < 1e-7 else int(np.ceil(RADIUS / step))
            z = step * np.arange(-count, count + 1)
            axes.append((deviation * z / np.sqrt(2), np.exp(-0.5 * z**2)))
        return axes

    def levels(self, y: ArrayLike, temperature: float, occupancy: float) -> tuple[Array, Array]:
        """Levels mu_1 and mu_2 of the native and the foreign ion (eV), each on its SED's axis.

        Parameters
        ----------
        y : array_like, any shape
            Native fraction of the ions (1), 0 to 1; within 1e-12 of an end it counts as that.
        temperature : float
            Temperature (K), 200 to 1000.
        occupancy : float
            Occupied share of the sites, 0.01 to 0.999, at every y.
        """
        ratios, shape = _ratios(y)
        energies, weights, kT = self._scaled(temperature, occupancy)
        found = _curves(energies, weights, ratios, occupancy, 1.0).level
        return kT * found[0].reshape(shape), kT * found[1].reshape(shape)

    def _scaled(self, temperature: float, occupancy: float) -> tuple[Array, Array, float]:
        require("occupancy", occupancy, *OCCUPANCY)
        energies, weights = self.sites(temperature)
        kT = BOLTZMANN * temperature
        return energies / kT, weights, kT

    def occupation(
        self,
        energy_native: ArrayLike,
        energy_foreign: ArrayLike,
        y: float,
        temperature: float,
        occupancy: float,
    ) -> tuple[Array, Array]:
        """Chances p_1 and p_2 that a site with these energies holds a native, a foreign ion.

        Parameters
        ----------
        energy_native, energy_foreign : array_like
            Energies of the site (eV), of one shape or broadcast against each other.
        y : float
            Native fraction of the ions (1), 0 to 1.
        temperature, occupancy : float
            As in `levels`.

        Returns
        -------
        p_native, p_foreign : ndarray
            Generalised Fermi functions (1); what is left of one is the chance of a vacancy.
        """
        y = require("y", y, 0.0, 1.0)
        levels = self.levels(y, temperature, occupancy)
        kT = BOLTZMANN * temperature
        E_1 = require_all("energy_native", energy_native, -1e3, 1e3, "eV")
        E_2 = require_all("energy_foreign", energy_foreign, -1e3, 1e3, "eV")
        x_1, x_2 = (levels[0] - E_1) / kT, (levels[1] - E_2) / kT
        highest = np.maximum(np.maximum(x_1, x_2), 0.0)
        a_1, a_2 = np.exp(x_1 - highest), np.exp(x_2 - highest)
        Xi = np.exp(-highest) + a_1 + a_2
        return a_1 / Xi, a_2 / Xi

    def coefficients(
        self,
        y: ArrayLike,
        temperature: float,
        occupancy: float,
        D_native: float = 1.0,
        D_foreign: float = 1.0,
        haven: float = 1.0,
        lattice_factor: float = 1.0,
        ion_density: float = 1.0,
    ) -> PairCoefficients:
        """Diffusion and Onsager coefficients in equilibrium; see the head of the module.

        Parameters
        ----------
        y : array_like, any shape
            Native fraction of the ions (1), 0 to 1; within 1e-12 of an end it counts as that.
        temperature, occupancy : float
            As in `levels`.
        D_native, D_foreign : float
            Migration coefficients of each ion in its own pure glass (m^2/s), 1e-60 to 1e6. They
            hold the rates w_i; left at 1, coefficients are relative to the pure glasses.
        haven : float
            Haven ratio H of Manning's relations, above 0, up to 1; 1 is L_12 = 0.
        lattice_factor : float
            Correlation factor f of the lattice for a lone vacancy, 0 (chain) to 1; 1 is the mean
            field, less the effective medium.
        ion_density : float
            Ions of both kinds together (m^-3), above zero; left at 1, L is per ion.
        """
        ratios, shape = _ratios(y)
        haven = require("haven", haven, np.nextafter(0, 1), 1.0)
        density = require("ion_density", ion_density, *POSITIVE, "m^-3")
        curves, level, log_D = self._curves(ratios, temperature, occupancy, lattice_factor)
        share = np.stack([expit(ratios), expit(-ratios)])
        D = _pure_values(D_native, D_foreign)[:, None] * np.exp(curves.log_D - log_D)
        n_D = share * D
        total = n_D.sum(axis=0)
        L = (1 - haven) * n_D[:, None] * n_D[None] / total
        L[0, 0] += haven * n_D[0]
        L[1, 1] += haven * n_D[1]
        drive = curves.step / share.prod(axis=0)  # d mu_i/dy / kT
        chemical = (L * drive).sum(axis=1) * np.array([[1.0], [-1.0]])
        theta = curves.step[0] - curves.step[1]
        exchange = haven * theta * D.prod(axis=0) / total
        kT = BOLTZMANN * temperature
        matrix = np.moveaxis(L, (0, 1), (-2, -1)) * density / (e * kT)
        level = kT * (curves.level - level)
        flat = share[0], *D, *(haven * D), matrix, theta, exchange, *chemical, *level, curves.K
        return PairCoefficients(*(values.reshape(shape + values.shape[1:]) for values in flat))

    def laws(
        self,
        temperature: float,
        occupancy: float,
        D_native: float = 1.0,
        D_foreign: float = 1.0,
        lattice_factor: float = 1.0,
    ) -> tuple[PairDiffusivity, PairDiffusivity]:
        """D of the native and of the foreign ion, each against its own fraction.

        For `simulate` and `front`, with two ions: their fractions add up to one, so that each
        knows the other's. They are D_i,mig of `coefficients`, which no L_12 of Manning's changes,
        through cubics in logit(fraction) that are right to a few 1e-6 of D. Parameters as there.

        Returns
        -------
        native, foreign : PairDiffusivity
            Callables: fraction (any shape) -> D (m^2/s). Fractions below 1e-12 count as 1e-12;
            from 1 - 1e-6 to 1.05 ln D is straight, with its slope at 1; values outside
            [-0.05, 1.05] raise a ValueError.
        """
        curves, _, pure = self._curves(GRID, temperature, occupancy, lattice_factor)
        made = []
        for ion, D in enumerate(_pure_values(D_native, D_foreign)):
            order, sign = (slice(None), 1) if ion == 0 else (slice(None, None, -1), -1)
            log_D = (curves.log_D[ion] - pure[ion])[order]
            law = scipy.interpolate.CubicHermiteSpline(GRID, log_D, sign * curves.slope[ion][order])
            edge = float(law(logit(1 - NEARLY_PURE), 1)) / NEARLY_PURE
            made.append(PairDiffusivity(float(D), law, edge))
        return made[0], made[1]

    def exchange(
        self, temperature: float, occupancy: float, haven: float = 1.0
    ) -> Callable[[ArrayLike], Array]:
        """D~ over its Nernst-Planck value, H Theta, against the fraction of the native ion.

        For `front`. Parameters as in `coefficients`; 1e-12 and less from an end count as the end.
        """
        haven = require("haven", haven, np.nextafter(0, 1), 1.0)
        step = self._curves(GRID, temperature, occupancy, 1.0)[0].step
        theta = scipy.interpolate.CubicSpline(GRID, step[0] - step[1])
        return lambda fraction: haven * theta(_ratios(fraction)[0]).reshape(np.shape(fraction))

    def _curves(
        self, ratios: Array, temperature: float, occupancy: float, lattice_factor: float
    ) -> tuple[_Curves, Array, Array]:
        """Curves at the ratios; level and ln D of each ion in its own pure glass, shape (2, 1)."""
        factor = require("lattice_factor", lattice_factor, 0.0, 1.0)
        energies, weights, _ = self._scaled(temperature, occupancy)
        ends = _curves(energies, weights, np.array([PURE, -PURE]), occupancy, factor)
        found = _curves(energies, weights, ratios, occupancy, factor)
        return found, np.diag(ends.level)[:, None], np.diag(ends.log_D)[:, None]


def _pure_values(D_native: float, D_foreign: float) -> Array:
    stated = {"D_native": D_native, "D_foreign": D_foreign}
    return np.array([require(name, D, *DIFFUSIVITY) for name, D in stated.items()])


def _ratios(y: ArrayLike) -> tuple[Array, tuple[int, ...]]:
    y = require_all("y", y, 0.0, 1.0)
    return logit(np.clip(y, SMALLEST, 1 - SMALLEST)).ravel(), y.shape


def _energy(name: str, sed: Any) -> Callable[[Array], Array]:
    """Energy (eV) of a site as a function of its normal variable."""
    if isinstance(sed, GaussianSed):
        return lambda x: sed.centre + sed.sigma * x
    # Above 8 a share is one to rounding; quintics in steps of 0.005 are right to rounding.
    x = np.linspace(-12.0, 8.0, 4001)
    energy = np.asarray(sed.ppf(ndtr(x)), dtype=float)
    if not np.isfinite(energy).all():
        raise ValueError(f"{name} = {sed!r} is not known at all energies")
    spline = scipy.interpolate.make_interp_spline(x, energy, k=5)
    return lambda z: spline(np.clip(z, x[0], x[-1]))


def pair_landscape(
    sed_native: Any,
    sed_foreign: Any,
    correlation: float,
    mismatch: float = 0.0,
    adapted: float = 0.5,
) -> PairLandscape:
    """Joint site energies of a native and a foreign ion.

    Parameters
    ----------
    sed_native, sed_foreign : SED
        Site energy distribution of each ion (eV); their positions on the energy axis have no
        effect.
    correlation : float
        Correlation of the two energies of a site, -1 to 1: of two normal variables of which each
        energy is an increasing function (Gaussian copula).
    mismatch : float
        Energy (eV), 0 to 2, that a site costs an ion to which it is not adapted, on top of the
        above. The distribution that an ion sees is then the sum of two.
    adapted : float
        Share of the sites adapted to the native ion (1), 0 to 1; the others are adapted to the
        foreign one. In a glass that was molten with both ions it may be their share. At 0 or 1
        the mismatch shifts a level and has no effect.

    Returns
    -------
    PairLandscape
        With the methods ``levels``, ``occupation``, ``coefficients`` and ``laws``.
    """
    return PairLandscape(
        require_sed("sed_native", sed_native),
        require_sed("sed_foreign", sed_foreign),
        require("correlation", correlation, -1.0, 1.0),
        require("mismatch", mismatch, 0.0, 2.0, "eV"),
        require("adapted", adapted, 0.0, 1.0),
    )
