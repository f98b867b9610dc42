"""The depth resolution of SIMS: blur a model as the instrument does; data are never deconvolved."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import scipy
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from scipy.special import erfcx, ndtr

from .checks import LARGEST, Array, require, require_all, require_kind


@dataclass(frozen=True)
class Resolution:
    """Response of the instrument to a thin layer, against depth, with unit area.

    A Gaussian of standard deviation ``sigma`` (m), convolved with a double exponential that
    rises with ``decay_up`` (m) ahead of the layer and falls with ``decay_down`` (m) behind it
    (the analytic form of Dowsett and coworkers). Zero decay lengths leave the Gaussian.
    """

    sigma: float
    decay_up: float = 0.0
    decay_down: float = 0.0

    def __post_init__(self) -> None:
        require("sigma", self.sigma, 1e-12, 1e-6, "m")
        for name in ("decay_up", "decay_down"):
            value = require(name, getattr(self, name), 0, 1e-6, "m")
            # a shorter tail cannot be seen and would need more digits than there are
            if 0 < value < self.sigma / 20:
                raise ValueError(f"{name} = {value:g} m is below sigma/20: give 0 instead")

    @property
    def shift(self) -> float:
        """Mean of the response (m): how much deeper than it is a layer appears."""
        return self.decay_down - self.decay_up

    @property
    def width(self) -> float:
        """Standard deviation of the response (m)."""
        return float(np.sqrt(self.sigma**2 + self.decay_up**2 + self.decay_down**2))

    def scaled(self, factor: float) -> Resolution:
        """All lengths times ``factor`` (1)."""
        factor = require("factor", factor, 1e-6, 1e6)
        return Resolution(factor * self.sigma, factor * self.decay_up, factor * self.decay_down)

    def density(self, depth: ArrayLike) -> Array:
        """The response (1/m) at a depth (m) relative to the layer."""
        z = require_all("depth", depth, -1e3, 1e3, "m")
        up, down = self.decay_up, self.decay_down
        if up + down == 0:
            return np.exp(-((z / self.sigma) ** 2) / 2) / (self.sigma * np.sqrt(2 * np.pi))
        return (down * self._tail(z, down) + up * self._tail(-z, up)) / (up + down)

    def _tail(self, z: Array, decay: float) -> Array | float:
        """The Gaussian convolved with exp(-z/decay)/decay, z > 0 (1/m)."""
        if decay == 0:
            return 0.0
        a = (self.sigma / decay - z / self.sigma) / np.sqrt(2)
        # far in the tail erfcx overflows: there the exponential alone is left
        far = np.exp(np.minimum(self.sigma**2 / (2 * decay**2) - z / decay, 0)) / decay
        near = np.exp(-((z / self.sigma) ** 2) / 2) * erfcx(np.maximum(a, -12)) / (2 * decay)
        return np.where(a < -12, far, near)

    @property
    def _reach(self) -> float:
        """Where the response ends, to 16 digits (m)."""
        return 9 * self.sigma + 40 * max(self.decay_up, self.decay_down)

    def _bend(self, u: Array) -> Array:
        """What the response adds to the integral of a ramp max(x, 0), u after its kink (m^2).

        The integral of the blurred ramp is the third antiderivative of the density. A tail T
        of the Gaussian G solves T = G - decay T', so its antiderivatives follow from those of
        G. Depths count from the mean of the response, where the integral approaches
        u^2/2 + width^2/2 behind the kink; this is taken off term by term, so that the
        result is zero beyond the reach on both sides and nothing cancels.
        """
        up, down, sigma = self.decay_up, self.decay_down, self.sigma
        side = np.where(u >= 0, -1.0, 1.0)
        z = u + self.shift
        step = side * ndtr(side * z / sigma)  # the distribution function less a step at the kink
        gauss = sigma / np.sqrt(2 * np.pi) * np.exp(-((z / sigma) ** 2) / 2)
        return (
            ((z**2 + sigma**2) * step + z * gauss) / 2
            - self.shift * (z * step + gauss)
            + (up**2 - up * down + down**2) * step
            + (up**4 * self._tail(-z, up) - down**4 * self._tail(z, down)) / ((up + down) or 1.0)
        )


def gaussian_resolution(sigma: float) -> Resolution:
    """A Gaussian depth resolution, standard deviation ``sigma`` (m)."""
    return Resolution(sigma)


def dowsett_resolution(decay_up: float, decay_down: float, sigma: float) -> Resolution:
    """A Gaussian with exponential tails: leading and trailing decay lengths and sigma (m)."""
    return Resolution(sigma, decay_up, decay_down)


def blur(
    x: ArrayLike, f: ArrayLike, edges: ArrayLike, resolution: Resolution | None = None
) -> Array:
    """Mean over each depth slice of a piecewise-linear profile, as the instrument sees it.

    Exact on any mesh, however much finer than the slices its front is: the profile is a sum of
    ramps, and the response to a ramp has a closed form. Outside the mesh the profile keeps its
    first and last value: at the surface, mixing is taken to find more of the same.

    Parameters
    ----------
    x : array_like, shape (n,)
        Nodes (m), strictly increasing, n >= 2.
    f : array_like, shape (n,) or (k, n)
        Values at the nodes, of one profile or of several.
    edges : array_like, shape (m + 1,)
        Edges of the slices (m), strictly increasing.
    resolution : Resolution, optional
        None gives the plain means.

    Returns
    -------
    ndarray, shape (m,) or (k, m)

    Raises
    ------
    ValueError
        If shapes do not fit or nodes or edges do not increase.
    """
    x, edges = require_all("x", x, -1e6, 1e6), require_all("edges", edges, -1e6, 1e6)
    f = require_all("f", f, -LARGEST, LARGEST)
    if resolution is not None:
        require_kind("resolution", resolution, Resolution)
    if x.ndim != 1 or x.size < 2 or f.ndim not in (1, 2) or x.shape != f.shape[-1:]:
        raise ValueError(
            f"x needs a shape (n,) with n >= 2 and f (n,) or (k, n), not {x.shape} and {f.shape}"
        )
    if edges.ndim != 1 or edges.size < 2 or not np.all(np.diff(edges) > 0):
        raise ValueError("edges must have the shape (m + 1,) with m >= 1 and increase strictly")
    if not np.all(np.diff(x) > 0):
        raise ValueError("x must increase strictly")
    rise = f - f[..., :1]  # so that a constant stays exactly what it is
    z = edges - resolution.shift if resolution else edges

    # the integral of the profile up to each edge, and what each kink adds to it
    slope = np.diff(f) / np.diff(x)
    place = np.searchsorted(x, z, side="right") - 1  # -1 above the mesh, where the rise is zero
    cell = np.clip(place, 0, x.size - 2)
    before = scipy.integrate.cumulative_trapezoid(rise, x, axis=-1, initial=0)
    along = z - x[cell]
    integral = before[..., cell] + along * (rise[..., cell] + along * slope[..., cell] / 2)
    beyond = z - x[-1]
    integral = np.where(beyond > 0, before[..., -1:] + beyond * rise[..., -1:], integral)
    integral = np.where(place < 0, 0.0, integral)
    if resolution:
        steep = np.where((place < 0) | (beyond >= 0), 0.0, slope[..., cell])
        integral += steep * resolution.width**2 / 2 + _bent(x, slope, z, resolution)
    return f[..., :1] + np.diff(integral) / np.diff(edges)


def _bent(x: Array, slope: Array, z: Array, resolution: Resolution) -> Array:
    """What the kinks within reach of each edge add to its integral: a table of few entries."""
    kink = np.diff(slope, prepend=0.0, append=0.0)
    first, last = np.searchsorted(x, [z - resolution._reach, z + resolution._reach])
    start = np.append(0, np.cumsum(last - first))
    node = np.arange(start[-1]) + np.repeat(first - start[:-1], last - first)
    bend = resolution._bend(np.repeat(z, last - first) - x[node])
    return (csr_array((bend, node, start), shape=(z.size, x.size)) @ kink.T).T


def as_seen(
    x: ArrayLike,
    fraction: Mapping[str, ArrayLike],
    edges: ArrayLike,
    resolution: Resolution | None = None,
    lag: Mapping[str, float] | None = None,
) -> dict[str, Array]:
    """Fractions as the instrument sees them: `blur` of each ion, in slices of its own.

    Parameters
    ----------
    x : array_like, shape (n,)
        Nodes (m).
    fraction : mapping of str to array_like, shape (n,)
        Values at the nodes, by ion.
    edges : array_like, shape (m + 1,)
        Edges of the slices (m).
    resolution : Resolution, optional
    lag : mapping of str to float, optional
        How much deeper (m) the slices of an ion lie, where ions are counted in turn.

    Returns
    -------
    dict of str to ndarray, shape (m,)
    """
    require_kind("fraction", fraction, Mapping)
    lag = {} if lag is None else require_kind("lag", lag, Mapping)
    late = {ion: require(f"lag[{ion!r}]", lag.get(ion, 0.0), -1.0, 1.0, "m") for ion in fraction}
    if not fraction:
        raise ValueError("fraction = {} holds no ion")
    if not any(late.values()):
        return dict(zip(fraction, blur(x, [*fraction.values()], edges, resolution), strict=True))
    edges = require_all("edges", edges, -1e6, 1e6)
    return {ion: blur(x, f, edges + late[ion], resolution) for ion, f in fraction.items()}
