"""The full Nernst-Planck-Poisson problem on a fixed mesh, as the other codes integrate it.

Two ions. Lengths in nm, densities in multiples of the bulk density N, potentials in kT/e and time
in units in which a flux of one replaces one nanometre in one unit; ``lam2`` is the squared Debye
length. Three forms of the same finite volumes, each local, so that a banded matrix is enough:

galvanostatic
    ``z = (q_0, f_1, y_1, f_2, y_2, f_3, ...)``: amount of the beam's ion in a cell and the field
    at its *right* face. Poisson's equation, differentiated in time, is lam2 df/dt = j - sum of
    the fluxes; Gauss's law gives the native ion. In the first cell the unknown is the amount with
    the attached sheet charge, q_0 = h_0 y_0 + lam2 f_1: five diagonals.
potentiostatic
    ``z = (y_0, p_1, y_1, p_2, ..., y_{n-1})`` with the potential between the faces: the total
    current is the same at neighbouring faces, an implicit differential equation (for IDA).
bordered
    ``z = (galvanostatic, BORDER j)``: the current follows its functional of the state within a
    time that is short beside dielectric relaxation, an explicit differential equation (for SciPy).

The compiled functions of the benchmarks are all here, as those of the package are all in its
``kernels.py``: numba's disk cache does not notice changes in other files.
"""

import math

import numba
import numpy as np

BORDER = 1e-12  # unit of the current as an unknown: too small for a pivot, so that no row fills

jit = numba.njit(cache=True, nogil=True, error_model="numpy")


@jit
def diffusivity(y, table):
    """D(y), tabulated at equal distances of y^(1/4) from zero to one, straight on beyond."""
    last = table.size - 1
    place = math.sqrt(math.sqrt(max(y, 0.0))) * last
    m = min(int(place), last - 1)
    return table[m] + (place - m) * (table[m + 1] - table[m])


@jit
def bernoulli(u):
    """u / (exp(u) - 1)."""
    if abs(u) < 1e-4:
        return 1.0 - 0.5 * u + u * u / 12.0
    return u / math.expm1(u)


@jit
def flux(d, left, right, face, f, dx, fitted):
    """d (y f - dy/dx) at a face, central or exponentially fitted."""
    if fitted:
        u = f * dx
        return d / dx * (bernoulli(-u) * left - bernoulli(u) * right)
    return d * (face * f - (right - left) / dx)


@jit
def face_width(x, c):
    """Width over which the field at the right face of cell c counts for the potential (nm)."""
    n = x.size - 1
    left = x[1] - x[0] if c == 0 else 0.5 * (x[c + 1] - x[c])
    right = 0.0 if c == n - 1 else 0.5 * (x[c + 2] - x[c + 1])
    return left + right


@jit
def fluxes(x, y, f, lam2, table, d_beam, fitted, beam_flux, total):
    """Flux of the beam's ion and of all ions at the right faces; ``y`` and ``f`` are (n,)."""
    n = y.size
    here = 1.0 - y[0]  # the first cell is neutral: the attached sheet ends the field
    for c in range(n - 1):
        ha, hb = x[c + 1] - x[c], x[c + 2] - x[c + 1]
        there = 1.0 - y[c + 1] + lam2 * (f[c + 1] - f[c]) / hb
        w, dx = hb / (ha + hb), 0.5 * (ha + hb)
        face = w * here + (1.0 - w) * there
        beam = flux(d_beam, y[c], y[c + 1], w * y[c] + (1.0 - w) * y[c + 1], f[c], dx, fitted)
        beam_flux[c] = beam
        total[c] = beam + flux(diffusivity(face, table), here, there, face, f[c], dx, fitted)
        here = there
    h = x[n] - x[n - 1]
    beam_flux[n - 1] = 0.0
    total[n - 1] = diffusivity(1.0, table) * (f[n - 1] - (1.0 - here) / (0.5 * h))


@jit
def galvanostatic(z, x, j, lam2, table, d_beam, fitted, out):
    """dz/dt of the galvanostatic form."""
    n = x.size - 1
    y, f = z[0::2].copy(), z[1::2].copy()
    y[0] = (y[0] - lam2 * f[0]) / (x[1] - x[0])
    beam, total = np.empty(n), np.empty(n)
    fluxes(x, y, f, lam2, table, d_beam, fitted, beam, total)
    before = j
    for c in range(n):
        width = x[c + 1] - x[c] if c > 0 else 1.0
        out[2 * c] = (before - beam[c]) / width
        out[2 * c + 1] = (j - total[c]) / lam2
        before = beam[c]


@jit
def bordered(z, x, voltage, lam2, table, d_beam, fitted, lag, out):
    """dz/dt of the bordered form; ``lag`` is the time within which the current follows.

    The feedback drives the potential onto ``voltage``.
    """
    n = x.size - 1
    j = z[2 * n] / BORDER
    galvanostatic(z[: 2 * n], x, j, lam2, table, d_beam, fitted, out[: 2 * n])
    wanted = 0.0
    drop = 0.0
    for c in range(n):
        wanted += face_width(x, c) * (j - lam2 * out[2 * c + 1])
        drop += face_width(x, c) * z[2 * c + 1]
    back = lam2 * (voltage - drop) / lag  # a drift off the voltage decays in the same time
    out[2 * n] = ((wanted + back) / x[n] - j) / lag * BORDER


@jit
def potentiostatic(z, rate, x, voltage, lam2, table, d_beam, fitted, out):
    """Residual of the potentiostatic form; ``rate`` is dz/dt."""
    n = x.size - 1
    y = z[0::2].copy()
    f, df = np.empty(n), np.empty(n)
    before, change = voltage, 0.0
    for c in range(n):
        width = face_width(x, c)
        after = z[2 * c + 1] if c < n - 1 else 0.0
        moved = rate[2 * c + 1] if c < n - 1 else 0.0
        f[c] = (before - after) / width
        df[c] = (change - moved) / width
        before, change = after, moved
    beam, total = np.empty(n), np.empty(n)
    fluxes(x, y, f, lam2, table, d_beam, fitted, beam, total)
    # The first cell is neutral, so that as many ions of the beam enter it as native ions leave.
    arriving = total[0]
    for c in range(n):
        out[2 * c] = rate[2 * c] - (arriving - beam[c]) / (x[c + 1] - x[c])
        arriving = beam[c]
        if c < n - 1:
            out[2 * c + 1] = total[c] - total[c + 1] + lam2 * (df[c] - df[c + 1])


@jit
def galvanostatic_bands(z, x, j, lam2, table, d_beam, fitted, bands):
    """Jacobian of the galvanostatic form by differences: ``bands[2 + row - column, column]``."""
    size = z.size
    base, moved, shifted = np.empty(size), np.empty(size), np.empty(size)
    galvanostatic(z, x, j, lam2, table, d_beam, fitted, base)
    bands[:] = 0.0
    for colour in range(5):
        shifted[:] = z
        for m in range(colour, size, 5):
            shifted[m] += 1e-7 * max(abs(z[m]), 1e-3)
        galvanostatic(shifted, x, j, lam2, table, d_beam, fitted, moved)
        for m in range(colour, size, 5):
            for row in range(max(0, m - 2), min(size, m + 3)):
                bands[2 + row - m, m] = (moved[row] - base[row]) / (shifted[m] - z[m])
