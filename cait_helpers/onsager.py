"""Onsager transport coefficients, the diffusion coefficients they imply, and the Haven ratio.

Number fluxes of k univalent cations answer to the gradients of their electrochemical potentials,
J_i = -sum_j L_ij d(mu_j + e phi)/dx with mu_j = kT ln n_j: L is symmetric (reciprocity) and
positive semidefinite (no negative entropy production). Its unit is m^-1 s^-1 J^-1.

Gunawan, Schäfer and Weitzel (doi 10.1039/d4cp00262h) replace ions one to one, eqns (4)-(6), and
set dmu_1/dn_1 = -dmu_1/dn_2, eqn (7). Then dmu_1 = 2 (dmu_1/dn_1) dn_1 along the profile, twice
what drives a tracer. The effective coefficient belongs to the whole slope, kT/n_1, so
L_11 = D_1,eff n_1/kT, and the tracer's to the half of it, so D_1,eff = 2 D_1*: eqns (8) and (9).
The step that this takes for granted is the implied dmu_1/dn_1 = kT/(2 n_1).

Throughout, ``L`` has the shape (k, k), in m^-1 s^-1 J^-1, and is admissible (`check_admissible`);
``n`` has the shape (k,), number densities in m^-3 above zero; ``temperature`` in K is above zero.
Anything else raises a ValueError.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike
from scipy.constants import e, k

from .checks import LARGEST, POSITIVE, Array, require, require_all, require_fit


def _vector(name: str, values: ArrayLike, size: int | None = None, low: float = -LARGEST) -> Array:
    array = require_all(name, values, low, LARGEST)
    if array.ndim != 1 or array.size == 0 or size not in (None, array.size):
        wanted = "one value an ion" if size is None else f"{size} values, one an ion"
        raise ValueError(f"{name} has shape {array.shape}; it takes {wanted}")
    return array


def _densities(n: ArrayLike, size: int) -> Array:
    return _vector("n", n, size, low=1e-30)


def _thermal_energy(temperature: float) -> float:
    return k * require("temperature", temperature, 1e-3, 1e9, "K")


def _square(name: str, values: ArrayLike) -> Array:
    array = require_all(name, values, -LARGEST, LARGEST)
    if array.ndim != 2 or array.shape[0] != array.shape[1] or array.size == 0:
        raise ValueError(f"{name} has shape {array.shape}; it takes a square matrix (k, k)")
    return array


def _conducting(L: ArrayLike) -> Array:
    L = check_admissible(L)
    if not L.sum() > 1e-12 * np.trace(L):
        raise ValueError(f"L = {L.tolist()} does not conduct: no ion has a share in a current")
    return L


def check_admissible(L: ArrayLike, tolerance: float = 1e-10) -> Array:
    """Return ``L`` if the second law and Onsager's reciprocity allow it.

    Both are judged on the scaled matrix L_ij / sqrt(L_ii L_jj), so that a slow ion beside a fast
    one is not lost in the rounding of the fast one.

    Parameters
    ----------
    L : array_like, shape (k, k)
        Onsager coefficients (m^-1 s^-1 J^-1).
    tolerance : float
        Largest asymmetry and negative eigenvalue of the scaled matrix taken for rounding (1).

    Raises
    ------
    ValueError
        If ``L`` is not square and finite, breaks L_ij = L_ji, or is not positive semidefinite;
        the entry or eigenvalue is named.
    """
    L = _square("L", L)
    tolerance = require("tolerance", tolerance, 0.0, 1.0)
    diagonal = np.diag(L)
    for i, value in enumerate(diagonal):
        if value < 0:
            raise ValueError(f"L[{i}, {i}] = {value:g} is negative: entropy would be destroyed")
        if value == 0 and (L[i].any() or L[:, i].any()):
            raise ValueError(f"L[{i}, {i}] = 0 allows no coupling in row and column {i}")
    scale = np.sqrt(np.where(diagonal > 0, diagonal, 1.0))
    scaled = L / scale / scale[:, None]
    skew = np.abs(scaled - scaled.T)
    i, j = np.unravel_index(skew.argmax(), skew.shape)
    if skew[i, j] > tolerance:
        raise ValueError(
            f"L[{i}, {j}] = {L[i, j]:g} differs from L[{j}, {i}] = {L[j, i]:g}: reciprocity"
        )
    lowest = np.linalg.eigvalsh(scaled)[0]
    if lowest < -tolerance:
        raise ValueError(
            f"L / sqrt(L_ii L_jj) has the eigenvalue {lowest:g}; none below zero is allowed"
        )
    return L


def onsager_matrix(
    D: ArrayLike, n: ArrayLike, temperature: float, cross: ArrayLike | None = None
) -> Array:
    """Onsager coefficients from the effective diffusion coefficients of a CAIT analysis.

    Diagonal L_ii = D_i n_i/kT: eqns (8) and (9) of doi 10.1039/d4cp00262h.

    Parameters
    ----------
    D : array_like, shape (k,)
        Effective diffusion coefficients D_i,eff (m^2/s).
    n : array_like, shape (k,)
        Number densities (m^-3), above zero.
    temperature : float
        Temperature (K), above zero.
    cross : array_like, shape (k, k), or float when k = 2, optional
        Off-diagonal coefficients (m^-1 s^-1 J^-1): symmetric, zero on the diagonal.

    Returns
    -------
    ndarray, shape (k, k)
        L (m^-1 s^-1 J^-1), if it is admissible.
    """
    D = _vector("D", D)
    n = _densities(n, D.size)
    L = np.diag(D * n / _thermal_energy(temperature))
    if cross is not None:
        cross = require_all("cross", cross, -LARGEST, LARGEST)
        if cross.ndim == 0 and D.size == 2:
            cross = cross * (1.0 - np.eye(2))
        if cross.shape != L.shape or np.diag(cross).any():
            raise ValueError(
                f"cross = {cross.tolist()}; it takes a matrix {L.shape} with a zero diagonal, "
                "or one number when there are two ions"
            )
        L = L + cross
    return check_admissible(L)


def diffusivities(L: ArrayLike, n: ArrayLike, temperature: float) -> tuple[Array, Array]:
    """Migration and chemical diffusion coefficient of each ion, for ideal mu_i = kT ln n_i.

    D_i,mig = kT sum_j L_ij / n_i multiplies the field in J_i. D_i,chem multiplies -dn_i/dx when
    the others make room for ion i in proportion to their own densities:
    D_i,chem = kT (L_ii / n_i - sum_{j != i} L_ij / (N - n_i)), N = sum n. For two ions that is the
    one-to-one replacement of eqns (4)-(6) of doi 10.1039/d4cp00262h, kT (L_11/n_1 - L_12/n_2);
    with more ions any other exchange needs `fick_matrix`. The two agree, and one number an ion
    is enough for the Nernst-Planck equation, if and only if L_ij sum to zero over j != i.

    Parameters
    ----------
    L : array_like, shape (k, k)
        Onsager coefficients (m^-1 s^-1 J^-1).
    n, temperature : array_like, shape (k,), and float
        Number densities (m^-3) and temperature (K), above zero.

    Returns
    -------
    D_mig, D_chem : ndarray, shape (k,)
        In m^2/s. With strong coupling either may be negative.
    """
    L = check_admissible(L)
    n = _densities(n, len(L))
    kT = _thermal_energy(temperature)
    coupling = (L - np.diag(np.diag(L))).sum(axis=1)
    others = np.array([np.delete(n, i).sum() for i in range(n.size)])
    others[others == 0] = np.inf  # a single ion: nothing else moves
    own = np.diag(L) / n
    return kT * (own + coupling / n), kT * (own - coupling / others)


def fick_matrix(L: ArrayLike, n: ArrayLike, temperature: float) -> Array:
    """Matrix of the chemical flux, J_i = -sum_j D_ij dn_j/dx with D_ij = kT L_ij / n_j (m^2/s).

    Shape (k, k); not symmetric unless the densities are equal. Parameters as in `diffusivities`.
    """
    L = check_admissible(L)
    return _thermal_energy(temperature) * L / _densities(n, len(L))


def from_diffusivities(
    D_mig: ArrayLike, D_chem: ArrayLike, n: ArrayLike, temperature: float
) -> Array:
    """Onsager coefficients of two ions from the four coefficients of `diffusivities`.

    L_ii = n_i (n_i D_i,mig + n_j D_i,chem) / (N kT), L_12 = n_1 n_2 (D_i,mig - D_i,chem) / (N kT):
    four numbers for three unknowns, so that D_mig - D_chem must be the same for both ions.

    Parameters
    ----------
    D_mig, D_chem : array_like, shape (2,)
        Migration and chemical diffusion coefficients (m^2/s).
    n, temperature : array_like, shape (2,), and float
        Number densities (m^-3) and temperature (K), above zero.

    Returns
    -------
    ndarray, shape (2, 2)
        L (m^-1 s^-1 J^-1), if it is admissible.

    Raises
    ------
    ValueError
        If D_mig - D_chem differs between the ions (reciprocity).
    """
    D_mig = _vector("D_mig", D_mig, 2)
    D_chem = _vector("D_chem", D_chem, 2)
    n = _densities(n, 2)
    split = D_mig - D_chem
    if abs(split[0] - split[1]) > 1e-9 * np.abs([D_mig, D_chem]).max():
        raise ValueError(
            f"D_mig - D_chem = {split[0]:g} and {split[1]:g} m^2/s; reciprocity makes them equal"
        )
    per_kT = 1.0 / (n.sum() * _thermal_energy(temperature))
    L = np.diag(n * (n * D_mig + n[::-1] * D_chem) * per_kT)
    L[0, 1] = L[1, 0] = n.prod() * split.mean() * per_kT
    return check_admissible(L)


def from_fick(fick: ArrayLike, n: ArrayLike, temperature: float) -> Array:
    """Onsager coefficients of any number of ions from the matrix of `fick_matrix`, its inverse.

    L_ij = D_ij n_j / kT, (k, k) in m^-1 s^-1 J^-1; a ValueError says if it is not admissible: the
    k^2 coefficients D_ij are those of k (k + 1)/2 L_ij, so that not every matrix will do.
    """
    fick = _square("fick", fick)
    return check_admissible(fick * _densities(n, len(fick)) / _thermal_energy(temperature))


def from_exchange(
    share: float, exchange: float, sigma: float, n: ArrayLike, temperature: float
) -> Array:
    """Onsager coefficients of two ions from what a profile and a voltage measure.

    L = S [t_1^2, t_1 t_2; t_1 t_2, t_2^2] + (n_1 n_2 D~ / N kT) [1, -1; -1, 1]: a current that
    both ions carry in step, and an exchange without one. The inverse of `transference`,
    `interdiffusivity` and `conductivity`.

    Parameters
    ----------
    share, exchange : float
        Transference number t_1 of the first ion (1), of either sign, and interdiffusion coefficient
        D~ (m^2/s), not negative: the two functions that a profile fixes.
    sigma : float
        Conductivity e^2 S (S/m), above zero: the third, from current and voltage.
    n, temperature : array_like, shape (2,), and float
        Number densities (m^-3) and temperature (K), above zero.

    Returns
    -------
    ndarray, shape (2, 2)
        L (m^-1 s^-1 J^-1), admissible for every such choice.
    """
    t = require("share", share, -1e6, 1e6)
    exchange = require("exchange", exchange, 0.0, LARGEST, "m^2/s")
    total = require("sigma", sigma, *POSITIVE, "S/m") / e**2
    n = _densities(n, 2)
    shares = np.array([t, 1.0 - t])
    swap = n.prod() / n.sum() * exchange / _thermal_energy(temperature)
    return total * np.outer(shares, shares) + swap * np.array([[1.0, -1.0], [-1.0, 1.0]])


def conductivity(L: ArrayLike) -> float:
    """Ionic conductivity sigma = e^2 sum_ij L_ij (S/m) of univalent cations."""
    return float(e**2 * check_admissible(L).sum())


def neutral_transport(
    y: ArrayLike, D_1: ArrayLike, D_2: ArrayLike, coupling: ArrayLike = 0.0
) -> tuple[Array, Array]:
    """Transference number and interdiffusion coefficient of two ions that keep the glass neutral.

    With the field eliminated, J_1 = t_1 J - D~ dn_1/dx. A diagonal L gives the Nernst-Planck
    (Hartley) form D~ = D_1 D_2 / (D_1 y + D_2 (1 - y)): the minority ion's at either end.

    Parameters
    ----------
    y : array_like, any shape
        n_1/N (1), 0 to 1.
    D_1, D_2 : array_like, same shape
        D_i = kT L_ii / n_i (m^2/s).
    coupling : array_like, same shape
        L_12 / sqrt(L_11 L_22) (1), -1 to 1.

    Returns
    -------
    t_1, D : ndarray
        Share of the first ion in the current (1), and D~ (m^2/s).
    """
    y = require_all("y", y, 0.0, 1.0)
    D_1, D_2 = require_all("D_1", D_1, 0.0, LARGEST), require_all("D_2", D_2, 0.0, LARGEST)
    coupling = require_all("coupling", coupling, -1.0, 1.0)
    require_fit(y=y, D_1=D_1, D_2=D_2, coupling=coupling)
    first, second = y * D_1, (1 - y) * D_2
    cross = coupling * np.sqrt(first * second)
    total = first + second + 2 * cross
    if not (total > 0).all():
        raise ValueError("y, D_1, D_2, coupling: somewhere neither ion carries a current")
    return (first + cross) / total, (1 - coupling**2) * D_1 * D_2 / total


def transference(L: ArrayLike) -> Array:
    """Share of each ion in the current of a uniform sample, t_i = sum_j L_ij / sum_ij L_ij.

    Shape (k,), summing to one; a strongly coupled slow ion may have a negative share. ``L`` as in
    `diffusivities`; a ValueError says if it does not conduct.
    """
    L = _conducting(L)
    return L.sum(axis=1) / L.sum()


def interdiffusivity(L: ArrayLike, n: ArrayLike, temperature: float) -> float:
    """Interdiffusion coefficient of two ions that keep the glass neutral.

    D = kT N det(L) / (S n_1 n_2) with S = sum_ij L_ij and N = n_1 + n_2 (m^2/s), by
    `neutral_transport`. Parameters as in `diffusivities` with k = 2; a ValueError says if ``L``
    does not conduct.
    """
    L = _conducting(L)
    if L.shape != (2, 2):
        raise ValueError(f"L has shape {L.shape}; two ions are meant, (2, 2)")
    n = _densities(n, 2)
    own = np.diag(L)
    coupling = np.clip(L[0, 1] / np.sqrt(own.prod()), -1.0, 1.0) if own.all() else 0.0
    D = _thermal_energy(temperature) * own / n
    return float(neutral_transport(n[0] / n.sum(), *D, coupling)[1])


def tracer_diffusivity(D_eff: ArrayLike) -> Array:
    """Tracer diffusion coefficient D* = D_eff / 2 (m^2/s, any shape), eqns (8) and (9).

    Assumes a diagonal L, one-to-one replacement and dmu_1/dn_1 = -dmu_1/dn_2 (see the module's
    head): a statement about driving forces that makes the Haven ratio 1/2 for every glass.
    Correlated jumps, which `lattice` computes, play no part in it.
    """
    return require_all("D_eff", D_eff, 0.0, LARGEST, "m^2/s") / 2


def charge_diffusivity(sigma: float, n: float, temperature: float) -> float:
    """D_sigma = sigma kT / (n e^2) (m^2/s): the Nernst-Einstein relation.

    Parameters
    ----------
    sigma : float
        Conductivity (S/m), above zero.
    n : float
        Number density of the univalent ions that carry it (m^-3), above zero.
    temperature : float
        Temperature (K), above zero.
    """
    sigma = require("sigma", sigma, *POSITIVE, "S/m")
    n = require("n", n, 1e-30, LARGEST, "m^-3")
    return sigma * _thermal_energy(temperature) / (n * e**2)


def charge_conductivity(D_sigma: float, n: float, temperature: float) -> float:
    """sigma = n e^2 D_sigma / kT (S/m), the inverse of `charge_diffusivity`."""
    D_sigma = require("D_sigma", D_sigma, 0.0, LARGEST, "m^2/s")
    return D_sigma / charge_diffusivity(1.0, n, temperature)


def haven_ratio(D_tracer: float, D_sigma: float) -> float:
    """Haven ratio H_R = D* / D_sigma (1) from the tracer and the conductivity (m^2/s).

    D_sigma is the `charge_diffusivity` of the measured conductivity.
    """
    D_tracer = require("D_tracer", D_tracer, 0.0, LARGEST, "m^2/s")
    return D_tracer / require("D_sigma", D_sigma, *POSITIVE, "m^2/s")
