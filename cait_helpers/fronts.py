"""The electroneutral theory of the replacement front: plateau, fan, travelling wave, eqn (3).

With y the fraction of the native ion, y_M = 1 - y that of the foreign one and one flux J of ions
through every plane, the Nernst-Planck-Poisson equations reduce, for a Debye length far below every
other length, to one conservation law,

    N dy/dt + d/dx [J t(y) - N D~(y) dy/dx] = 0,
    t = D_native y / (D_native y + D_foreign y_M),   D~ = D_native D_foreign / (same sum).

Its drift limit depends on xi = x N / (integral of J dt) alone: y(xi) minimises t(y) - xi y, which
is the lower convex envelope of t (Buckley-Leverett; shocks, fans and plateaus come out of it).
The derivation is the book's own; eqn numbers refer to doi 10.1039/d4cp00262h. Every function raises
a ValueError for a value out of range.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Literal

import numpy as np
import scipy
from numpy.typing import ArrayLike
from scipy.constants import e, k
from scipy.special import expit

from .checks import (
    DIFFUSIVITY,
    ION_DENSITY,
    LARGEST,
    TEMPERATURE,
    THICKNESS,
    Array,
    as_array,
    require,
    require_all,
    require_fit,
    require_kind,
    require_law,
)
from .landscape import SMALLEST, Law, log_slope, tabulated_diffusivity
from .onsager import charge_conductivity, neutral_transport


def _law(name: str, D: float | Law) -> Law:
    if callable(D) and not isinstance(D, type):
        return D
    D = require(name, D, *DIFFUSIVITY)
    return tabulated_diffusivity([0.0, 1.0], [D, D])


def transport(
    fraction: ArrayLike, D_native: float | Law, D_foreign: float | Law
) -> tuple[Array, Array]:
    """Transference number t (1) of the native ion and interdiffusion coefficient D~ (m^2/s).

    Parameters
    ----------
    fraction : array_like, any shape
        Native ions as a fraction y of their bulk density (1), 0 to 1.
    D_native, D_foreign : float or callable
        Diffusion coefficients (m^2/s); a callable takes the fraction of its own ion.
    """
    y = require_all("fraction", fraction, 0.0, 1.0)
    native = require_law("D_native", _law("D_native", D_native), y)
    foreign = require_law("D_foreign", _law("D_foreign", D_foreign), 1 - y)
    return neutral_transport(y, native, foreign)


def _ratio(D_native: Law, D_foreign: Law, fraction: Array) -> tuple[Array, Array]:
    """r = D_native/D_foreign and d ln r / d ln y."""
    y, other = np.maximum(fraction, SMALLEST), np.maximum(1 - fraction, SMALLEST)
    r = require_law("D_native", D_native, y) / require_law("D_foreign", D_foreign, other)
    return r, log_slope(D_native, y) + log_slope(D_foreign, other) * y / other


def _nodes() -> Array:
    """Fractions from 0 to 1, fine at both ends (at 1 not finer than rounding of t(y) allows)."""
    ends = np.geomspace(SMALLEST, 1e-3, 400)
    return np.unique(
        np.concatenate([[0.0], ends, np.linspace(1e-3, 1.0, 2000), 1 - ends[ends > 1e-6]])
    )


def _gauss(low: Array, high: Array, points: int) -> tuple[Array, Array]:
    """Nodes and weights of Gauss and Legendre in each interval, both with a last axis more."""
    node, weight = np.polynomial.legendre.leggauss(points)
    half = 0.5 * (high - low)[..., None]
    return low[..., None] + half * (1 + node), half * weight


def _bisect(below: Callable[[Array], Array], low: Array, high: Array) -> Array:
    """Where ``below`` turns from true to false in [low, high], to round-off; an end if nowhere."""
    for _ in range(60):
        middle = 0.5 * (low + high)
        left = below(middle)
        low, high = np.where(left, middle, low), np.where(left, high, middle)
    return 0.5 * (low + high)


def _lower_hull(x: Array, y: Array) -> list[int]:
    """Indices of the vertices of the lower convex hull of points with increasing x."""
    xs, ys, hull = x.tolist(), y.tolist(), []
    for i in range(len(xs)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (ys[b] - ys[a]) * (xs[i] - xs[b]) < (ys[i] - ys[b]) * (xs[b] - xs[a]):
                break
            hull.pop()
        hull.append(i)
    return hull


@dataclass(frozen=True)
class Front:
    """Exact drift-limit solution of a replacement experiment; made by `front`.

    Attributes
    ----------
    D_native, D_foreign : callable
        Diffusion coefficients (m^2/s), each against the fraction of its own ion.
    kind : {"shock", "wave", "rarefaction"}
        What leads: a jump from the bulk down to a plateau, a jump down to nothing, or a gradual
        start (the foreign ion is faster than the native one: no sharp front).
    plateau : float
        Fraction of the native ion just behind the front: 0 for a wave, 1 for a rarefaction.
    speed : float
        Speed s of the front in units of J/N.
    ratio : float
        D_native / D_foreign at the plateau.
    exchange : callable, optional
        D~ over its Nernst-Planck value, against the fraction of the native ion.
    """

    D_native: Law
    D_foreign: Law
    kind: Literal["shock", "wave", "rarefaction"]
    plateau: float
    speed: float
    ratio: float
    exchange: Law | None = None

    # S = y r + 1 - y with r = D_native/D_foreign is the conductivity over that of foreign ions
    # alone; t = y r / S. The front moves at s = 1/S(plateau), the lowest S there is.

    def _ratio(self, y: Array) -> tuple[Array, Array]:
        return _ratio(self.D_native, self.D_foreign, y)

    def _speed_of(self, y: Array) -> Array:
        """dt/dy: the speed (J/N) at which a fraction travels in a fan."""
        r, slope = self._ratio(y)
        return r * (1 + (1 - y) * slope) / (y * r + 1 - y) ** 2

    @cached_property
    def _envelope(self) -> tuple[Array, Array, Array, list[int]]:
        """Nodes y, the hull's vertices among them, its slopes, and which edges are inner jumps."""
        y = np.unique(np.append(_nodes(), self.plateau))
        for refined in (False, True):
            t = y * self._ratio(y)[0]
            t = t / (t + 1 - y)
            hull = np.array(_lower_hull(y, t))
            slopes = np.diff(t[hull]) / np.diff(y[hull])
            jumps = [
                j
                for j, (a, b) in enumerate(pairwise(hull))
                if b > a + 1
                and y[b] <= self.plateau
                and y[b] - y[a] > 1e-6  # less is rounding of t
                # Straight stretches of t are hull edges as well, but nothing jumps there.
                and np.ptp(self._speed_of(y[a : b + 1])) > 1e-9
            ]
            # Pin the ends of inner jumps down; the leading one is exact already.
            ends = [i for j in jumps for i in hull[j : j + 2] if 0 < y[i] < self.plateau]
            if refined or not ends:
                break
            fine = [np.linspace(y[i - 1], y[i + 1], 5001) for i in ends]
            y = np.unique(np.concatenate([y, *fine]))
        return y, hull, slopes, jumps

    @cached_property
    def shocks(self) -> tuple[tuple[float, float, float], ...]:
        """Every jump, the leading one last: (speed in J/N, fraction behind, fraction ahead)."""
        y, hull, slopes, jumps = self._envelope
        found = [tuple(map(float, (slopes[j], y[hull[j]], y[hull[j + 1]]))) for j in jumps]
        if self.kind != "rarefaction":
            found.append((self.speed, self.plateau, 1.0))
        return tuple(found)

    def fan(self, xi: ArrayLike) -> Array:
        """Fraction y of the native ion in the drift limit: the fan, and 1 ahead of the front.

        Parameters
        ----------
        xi : array_like, any shape
            Depth over the depth J time/N that the passed charge would fill with foreign ions (1),
            not negative. At the very front, xi = ``speed``, the value is the plateau.
        """
        xi = require_all("xi", xi, 0.0, LARGEST)
        y, hull, slopes, _ = self._envelope
        last = int(np.searchsorted(y[hull], self.plateau))
        vertex = hull[np.minimum(np.searchsorted(slopes, xi), last)]
        low, high = y[np.maximum(vertex - 1, 0)], y[np.minimum(vertex + 1, y.size - 1)]
        inside = _bisect(lambda v: self._speed_of(v) < xi, low, np.minimum(high, self.plateau))
        inside = np.where(xi == 0, 0.0, inside)
        return np.where(xi > self.speed, 1.0, inside)

    def depth(self, charge_per_area: ArrayLike, ion_density: float) -> Array:
        """Depth of the front (m) after a charge (C/m^2), at the bulk ion density (m^-3)."""
        charge = require_all("charge_per_area", charge_per_area, 0.0, 1e9)
        return self.speed * charge / (e * require("ion_density", ion_density, *ION_DENSITY))

    def profile(self, x: ArrayLike, charge_per_area: float, ion_density: float) -> Array:
        """Fraction of the native ion in the drift limit, however the charge was spread over time.

        Parameters
        ----------
        x : array_like, any shape
            Depth (m), not negative.
        charge_per_area : float
            Charge that has passed (C/m^2), above zero.
        ion_density : float
            Bulk density N of the native ion (m^-3).
        """
        charge = require("charge_per_area", charge_per_area, 1e-9, 1e9, "C/m^2")
        density = require("ion_density", ion_density, *ION_DENSITY)
        return self.fan(require_all("x", x, 0.0, 1e3) * e * density / charge)

    def width(self, flux_per_N: float) -> float:
        """Distance (m) over which the front decays towards the bulk by a factor of e.

        (D_foreign/v) / (1 - D_foreign/(D_native s)) with v = s J/N the speed of the front and
        both coefficients ahead of it: for constant coefficients the scale of the logistic wave.
        Times the ``exchange`` there, if there is one.
        ``flux_per_N`` is J/N (m/s); a ValueError says if there is no sharp front.
        """
        flux = self._flux(flux_per_N)
        r = float(self._ratio(np.asarray(1.0))[0])
        scale = 1.0 if self.exchange is None else float(self.exchange(1.0))
        return scale * float(self.D_native(1.0)) / (flux * (self.speed * r - 1))

    def _flux(self, flux_per_N: float) -> float:
        if self.kind == "rarefaction":
            raise ValueError("the foreign ion is not slower than the native one: no sharp front")
        return require("flux_per_N", flux_per_N, 1e-40, 1e10, "m/s")

    def wave(self, x: ArrayLike, flux_per_N: float) -> Array:
        """Travelling wave: the finite width that diffusion gives to the leading front.

        The moving-frame balance D~ dy/dx = (J/N)[t(y) - t(plateau) - s (y - plateau)] by
        quadrature. It approaches the bulk exponentially, and a plateau like 1/x; for constant
        coefficients it is y = 1/(1 + exp(-x/w)) with w = ``width`` (Abou-el-leil and Cooper,
        doi 10.1111/j.1151-2916.1979.tb19086.x).

        Parameters
        ----------
        x : array_like, any shape
            Distance (m) from the place where y is half-way between plateau and bulk.
        flux_per_N : float
            J/N (m/s), the current density over e N.

        Returns
        -------
        ndarray, shape of ``x``
            Fraction y (1), accurate to about 1e-8; a ValueError if there is no sharp front.
        """
        flux = self._flux(flux_per_N)
        z_of_x, tail = self._wave
        scaled = require_all("x", x, -LARGEST, LARGEST) * flux
        left, right = z_of_x.x[0], z_of_x.x[-1]
        rise = expit(z_of_x(np.clip(scaled, left, right)))  # at the right end 1 - y is 1e-13
        rise = rise / (1 + np.maximum(left - scaled, 0) * tail)
        return self.plateau + (1 - self.plateau) * rise

    @cached_property
    def _wave(self) -> tuple[scipy.interpolate.CubicHermiteSpline, float]:
        """z = logit of the rise against x J/N, and the scale of the tail behind its range."""
        # A plateau's rise goes like 1/x: the tail takes over long before rounding does.
        z = np.arange(-16.0 if self.kind == "shock" else -30.0, 30.01, 0.02)
        node, weight = _gauss(z[:-1], z[1:], 6)
        x = np.append(0.0, np.cumsum(np.sum(weight * self._dx_dz(node), axis=-1)))
        slope = self._dx_dz(z)
        tail = (1 - expit(z[0])) / slope[0]
        centred = x - x[np.argmin(np.abs(z))]
        return scipy.interpolate.CubicHermiteSpline(centred, z, 1 / slope), float(tail)

    def _dx_dz(self, z: Array) -> Array:
        p = expit(z)
        rise = (1 - self.plateau) * p
        y = np.minimum(self.plateau + rise, 1.0)
        excess = y * self._ratio(y)[0] - self.plateau * self.ratio - rise  # S - S(plateau)
        # The double root at the plateau: integrate dS/dy instead of taking a small difference.
        close = rise < 0.01 * self.plateau
        if close.any():
            node, weight = _gauss(np.full(close.sum(), self.plateau), y[close], 8)
            ratio, slope = self._ratio(node)
            excess[close] = np.sum(weight * (ratio * (1 + slope) - 1), axis=-1)
        scale = 1.0 if self.exchange is None else np.asarray(self.exchange(y), dtype=float)
        native = np.asarray(self.D_native(np.maximum(y, SMALLEST)))
        return scale * native * p / (self.speed * excess)

    @cached_property
    def resistance(self) -> float:
        """Mean resistivity of the replaced zone over that of the bulk glass (1).

        The fan depends on depth over front depth alone, so this is one number, the mean of
        D_native(1) / (D_native y + D_foreign (1 - y)) over the fan.
        """
        # In ln(xi), where the fan is smooth, between its jumps and its start.
        breaks = np.array([float(self._speed_of(np.asarray(0.0))), *(s[0] for s in self.shocks)])
        breaks = -np.log(np.clip(breaks / self.speed, np.exp(-40.0), 1.0))
        edges = np.unique(np.append(np.linspace(0.0, 40.0, 81), breaks))
        node, weight = _gauss(edges[:-1], edges[1:], 12)
        y = self.fan(self.speed * np.exp(-node))
        native = np.asarray(self.D_native(np.maximum(y, SMALLEST)), dtype=float)
        foreign = np.asarray(self.D_foreign(np.maximum(1 - y, SMALLEST)), dtype=float)
        mean = np.sum(weight * np.exp(-node) / (native * y + foreign * (1 - y)))
        return float(self.D_native(1.0)) * float(mean)


def front(
    D_native: float | Law, D_foreign: float | Law, exchange: float | Law | None = None
) -> Front:
    """Exact front of a replacement experiment in the electroneutral drift limit.

    The plateau is the fraction with the highest y (1 - D_native/D_foreign): the tangent from the
    bulk to t(y). Inside (0, 1) it obeys d(y D_native)/dy = D_foreign for a constant D_foreign.
    A plateau below 1e-12 counts as none.

    Parameters
    ----------
    D_native, D_foreign : float or callable
        Diffusion coefficients (m^2/s), positive. A callable takes the fraction of its own ion,
        from 1e-12 to 1 (smooth and defined to 1.003 if it has no ``log_slope``).
        Where the ions are coupled (L_12) these are D_i,mig, which fix t(y) and so the plateau, the
        speed and the fan.
    exchange : float or callable, optional
        D~ over the D_native D_foreign/(...) that both imply, positive: a Haven ratio, or a function
        of the fraction of the native ion (`PairLandscape.exchange`). Only the wave depends on it.

    Returns
    -------
    Front
    """
    native, foreign = _law("D_native", D_native), _law("D_foreign", D_foreign)
    y = _nodes()[1:]
    for name, law in (("D_native", native), ("D_foreign", foreign)):
        require_law(name, law, y)

    def rising(v: Array) -> Array:  # y (1 - r)
        r, slope = _ratio(native, foreign, v)
        return r * (1 + slope) <= 1

    y = np.append(0.0, y)
    gain = y * (1 - _ratio(native, foreign, y)[0])
    best = int(np.flatnonzero(gain >= gain.max() - 1e-15)[-1])
    around = y[best - 1 : best + 2]
    plateau = float(_bisect(rising, around[0], around[-1])) if best > 0 else 0.0
    if plateau < SMALLEST:
        plateau = 0.0
    if plateau >= 1 - 1e-9:
        plateau = 1.0
    ratio = float(_ratio(native, foreign, np.asarray(plateau))[0])
    speed = 1 / (plateau * ratio + (1 - plateau))
    kind = {0.0: "wave", 1.0: "rarefaction"}.get(plateau, "shock")
    if exchange is not None and not callable(exchange):
        exchange = tabulated_diffusivity([0.0, 1.0], [require("exchange", exchange, 1e-6, 1e6)] * 2)
    if exchange is not None:
        require_law("exchange", exchange, y)
    return Front(native, foreign, kind, plateau, speed, ratio, exchange)


def drift_profiles(
    D: Callable[[Array], Array],
    start: ArrayLike,
    nodes: ArrayLike,
    replaced: float,
    exchange: Callable[[float, Array], Array] | None = None,
    at: Sequence[float] | None = None,
) -> Array:
    """Fractions of any number of ions behind a beam, in the electroneutral drift limit.

    dy_i/dq + d/dx [D_i y_i / sum_j D_j y_j] = exchange_i, with q = (integral of J dt)/N for the
    time and D_i of all fractions at that place: what `front` solves for two ions whose D_i depend
    on their own fraction. Cells, each sending on the shares of the current that its own content
    asks for: conservative, of first order in the width of the cells, with the right jumps.

    Parameters
    ----------
    D : callable
        Takes the fractions, shape (ions, cells), and returns the diffusion coefficients (m^2/s) in
        the same shape, positive. The last ion is the one that the beam brings.
    start : array_like, shape (ions, cells)
        Fractions (1) before, adding up to one in each cell.
    nodes : array_like, shape (cells + 1,)
        Boundaries of the cells (m), increasing from the surface.
    replaced : float
        Q/(e N) (m), the charge of the run as a depth, above zero.
    exchange : callable, optional
        ``exchange(q, y)``: what each fraction gains by a transformation in place, per metre of q,
        shape (ions, cells), adding up to zero.
    at : sequence of float, optional
        Charges on the way, as depths (m), increasing up to ``replaced``: their fractions are
        returned, not those of the end.

    Returns
    -------
    ndarray, shape (ions, cells), or (charges, ions, cells)

    Raises
    ------
    ValueError
        If the shapes do not fit, or the fractions at the start do not add up to one.
    """
    start = require_all("start", start, 0.0, 1.0)
    nodes = require_all("nodes", nodes, -1.0, 1.0, "m")
    replaced = require("replaced", replaced, 1e-12, 1.0, "m")
    if nodes.ndim != 1:
        raise ValueError(f"nodes has shape {nodes.shape}; it takes (cells + 1,)")
    widths = np.diff(nodes)
    if start.ndim != 2 or start.shape != (len(start), widths.size) or len(start) < 2:
        raise ValueError(f"start has shape {start.shape}; nodes ask for (ions, {widths.size})")
    if not (widths > 0).all():
        raise ValueError("nodes must increase")
    if np.abs(start.sum(axis=0) - 1).max() > 1e-9 or start.min() < 0:
        raise ValueError("start must hold fractions that add up to one in each cell")
    require_law("D", D, start)
    ions = len(start) - 1
    flux = np.zeros((ions, nodes.size))  # at the surface only the beam ion passes

    def fractions(flat: Array) -> Array:
        y = flat.reshape(-1, ions).T
        return np.vstack([y, 1 - y.sum(axis=0)])

    def rate(q: float, flat: Array) -> Array:
        y = fractions(flat)
        shares = np.maximum(y, 0.0)  # less is what the integrator has yet to correct
        shares *= D(shares)
        flux[:, 1:] = shares[:-1] / shares.sum(axis=0)
        change = -np.diff(flux) / (widths / replaced)
        if exchange is not None:
            change += replaced * exchange(q * replaced, y)[:-1]
        return change.T.ravel()

    flat = start[:-1].T.ravel()
    bands = {"lband": min(2 * ions - 1, flat.size - 1), "uband": ions - 1}
    asked = as_array("at", [replaced] if at is None else at) / replaced
    rising = asked.ndim == 1 and asked.size > 0 and (np.diff(asked) > 0).all()
    if not (rising and asked[0] > 0 and asked[-1] <= 1):
        raise ValueError(f"at = {at!r} does not increase from above zero to replaced = {replaced}")
    end = scipy.integrate.solve_ivp(
        rate, (0.0, 1.0), flat, "LSODA", asked, rtol=1e-3, atol=1e-9, **bands
    )
    if not end.success:
        raise RuntimeError(f"drift_profiles: {end.message}")
    found = np.array([fractions(column) for column in end.y.T])
    return found[-1] if at is None else found


def potentiostatic_depth(
    front: Front,
    time: ArrayLike,
    voltage: float,
    thickness: float,
    ion_density: float,
    temperature: float,
    hop_length: float = 0.0,
) -> tuple[Array, Array]:
    """Depth of the front and current density under a constant voltage.

    The glass is a bulk of thickness L - d in series with a replaced zone of depth d whose
    resistivity is R times the bulk's: j = sigma_bulk U / (L - d + R d), and so
    L d + (R - 1) d^2/2 = s sigma_bulk U time/(e N): d grows like time, then like its square root.
    Exact in the drift limit; it leaves out diffusion potentials, of the order of kT/e.

    With one hop length a for both ions the drift is sinh(a e E/2kT)/(a/2) instead of e E/kT. Both
    drift faster by the same factor, so the front is the same; but the zones share the voltage in
    another way, and the current is larger in fields that are strong over a hop.

    Parameters
    ----------
    front : Front
    time : array_like, any shape
        Time since the voltage was put on (s).
    voltage : float
        Voltage across the glass (V).
    thickness : float
        Thickness L (m).
    ion_density : float
        Bulk density N of the native ion (m^-3).
    temperature : float
        Temperature (K).
    hop_length : float
        Hop length a of both ions (m), 0 to 1e-8; 0 is a drift in proportion to the field.

    Returns
    -------
    depth, current_density : ndarray, shape of ``time``
        In m and A/m^2; a ValueError if the front would have passed through the glass.
    """
    require_kind("front", front, Front)
    time = require_all("time", time, 0.0, 1e15)
    voltage = require("voltage", voltage, 1e-6, 1e6, "V")
    thickness = require("thickness", thickness, *THICKNESS)
    ion_density = require("ion_density", ion_density, *ION_DENSITY)
    temperature = require("temperature", temperature, *TEMPERATURE)
    hop_length = require("hop_length", hop_length, 0.0, 1e-8, "m")
    if hop_length > 1e-15:  # less is in proportion to any field
        fields = e * voltage / (k * temperature)
        depth, flux = _hopping_depth(front, time, fields, thickness, hop_length)
        return depth, flux * e * ion_density
    conductivity = charge_conductivity(float(front.D_native(1.0)), ion_density, temperature)
    area = front.speed * conductivity * voltage * time / (e * ion_density)
    inside = thickness**2 + 2 * (front.resistance - 1) * area
    depth = 2 * area / (thickness + np.sqrt(np.maximum(inside, 0)))
    if np.any(inside < 0) or np.any(depth > thickness):
        raise ValueError(f"time = {time.max():g} s: the front has passed through the glass")
    current = conductivity * voltage / (thickness + (front.resistance - 1) * depth)
    return depth, current


def _hopping_depth(
    front: Front, time: Array, drop: float, thickness: float, hop_length: float
) -> tuple[Array, Array]:
    """Depth (m) and flux (m/s) under ``drop`` = e U/kT, with a drift beyond the linear law.

    A zone of mobility S carries the flux J = S sinh(a f/2)/(a/2) in the field f = e E/kT. At each
    of some depths J is the one whose fields add up to the drop; the time is the integral of
    dd/(s J).
    """
    node, weight = np.polynomial.legendre.leggauss(64)
    fraction = np.asarray(front.fan(0.5 * (node + 1) * front.speed))
    bulk = float(front.D_native(1.0))
    D = np.asarray(front.D_native(fraction))
    mobility = D * fraction + np.asarray(front.D_foreign(1 - fraction)) * (1 - fraction)
    depths = 0.9 * thickness * np.linspace(0.0, 1.0, 2001) ** 2
    flux = np.full(depths.size, bulk * drop / thickness)
    half = 0.5 * hop_length
    for _ in range(100):  # Newton's method in ln J, in which the fields are nearly straight
        fields, slope = np.zeros(depths.size), np.zeros(depths.size)
        zones = [(bulk, thickness - depths)]
        zones += [(S, 0.5 * w * depths) for S, w in zip(mobility, weight, strict=True)]
        for S, width in zones:
            u = half * flux / S
            fields += width * np.arcsinh(u) / half
            slope += width * u / np.hypot(1.0, u) / half
        step = (drop - fields) / slope
        flux = flux * np.exp(np.clip(step, -2.0, 2.0))
        if np.abs(step).max() < 1e-12:
            break
    pace = 1 / (front.speed * flux)
    passed = np.concatenate([[0.0], np.cumsum(0.5 * (pace[1:] + pace[:-1]) * np.diff(depths))])
    if time.max() > passed[-1]:
        raise ValueError(f"time = {time.max():g} s: the front has passed nine tenths of the glass")
    depth = np.interp(time, passed, depths)
    return depth, np.interp(depth, depths, flux)


def foreign_diffusivity_from_zones(
    D_bulk: ArrayLike,
    D_front: ArrayLike,
    D_replaced: ArrayLike,
    n_bulk: ArrayLike,
    n_replaced: ArrayLike,
    gradient: ArrayLike,
    field_bulk: ArrayLike,
) -> Array:
    """Foreign diffusion coefficient (m^2/s) from three zones, eqn (3) of doi 10.1039/d4cp00262h.

    It equates the native flux of the bulk to the native flux at the front, taken at the mean
    of the densities and of the fields on both sides, and to the total flux of the replaced zone.

    Parameters
    ----------
    D_bulk, D_front, D_replaced : array_like
        Native diffusion coefficients of the three zones (m^2/s); the front's at the density
        (n_bulk + n_replaced)/2.
    n_bulk, n_replaced : array_like
        Native densities (m^-3), or fractions of the bulk density.
    gradient : array_like
        Native gradient at the front (m^-4, or m^-1 with fractions), positive into the glass.
    field_bulk : array_like
        E^B = (e/kT) dphi/dx in the bulk (m^-1), negative for a flux into the glass.

    Returns
    -------
    ndarray, the broadcast shape of the arguments

    Raises
    ------
    ValueError
        If a value has the wrong sign, n_replaced is not below n_bulk, or the denominator is not
        positive: then no field in the replaced zone carries the flux of the bulk.
    """
    D_B = require_all("D_bulk", D_bulk, *DIFFUSIVITY)
    D_F = require_all("D_front", D_front, *DIFFUSIVITY)
    D_D = require_all("D_replaced", D_replaced, *DIFFUSIVITY)
    n_B = require_all("n_bulk", n_bulk, 1e-30, 1e40)
    n_D = require_all("n_replaced", n_replaced, 0.0, 1e40)
    slope = require_all("gradient", gradient, 0.0, 1e60)
    E_B = require_all("field_bulk", field_bulk, -1e30, -1e-30)
    require_fit(
        D_bulk=D_B, D_front=D_F, D_replaced=D_D, n_bulk=n_B, n_replaced=n_D, gradient=slope,
        field_bulk=E_B,
    )  # fmt: skip
    if np.any(n_D >= n_B):
        raise ValueError("n_replaced is not below n_bulk: nothing has been replaced")
    bracket = 4 * D_B / D_F * n_B - 4 / E_B * slope - (n_B + n_D)
    if np.any(bracket <= 0):
        raise ValueError(
            "4 D_bulk/D_front n_bulk - 4 gradient/field_bulk - (n_bulk + n_replaced)"
            f" = {np.min(bracket):g} is not positive: these zones do not belong to one front"
        )
    return D_B * (n_B + n_D) / (n_B - n_D) * n_B / bracket - D_D * n_D / (n_B - n_D)


def foreign_diffusivity_from_plateau(D_native: Law, plateau: ArrayLike) -> Array:
    """Constant foreign diffusion coefficient (m^2/s) whose front leaves this plateau.

    The exact inverse of `front`: D_foreign = d(y D_native)/dy at y = plateau.

    Parameters
    ----------
    D_native : callable
        Native diffusion coefficient (m^2/s) against its fraction.
    plateau : array_like, any shape
        Fraction of the native ion behind the front (1), between 1e-9 and 1.

    Raises
    ------
    ValueError
        If no constant coefficient leaves such a plateau with this D_native.
    """
    law = _law("D_native", D_native)
    y = require_all("plateau", plateau, 1e-9, np.nextafter(1, 0))
    D = require_law("D_native", law, y)
    foreign = D * (1 + log_slope(law, y))
    at = _nodes()[1:]
    gain = y * (1 - D / foreign)  # of the tangent: the highest, if this is the front
    highest = np.max(at * (1 - np.asarray(law(at)) / foreign[..., None]), axis=-1)
    bad = ~((foreign > 0) & (gain > 0) & (gain >= highest - 1e-12))
    if bad.any():
        raise ValueError(
            f"plateau = {y[bad].flat[0]:g}: no single constant D_foreign leaves such a plateau"
        )
    return foreign
