"""The compiled solver: the time loop, its callees and their constants, and nothing else.

One module, because numba's disk cache notices edits only in the file that holds the function.

Scaled units: lengths in nm, fractions of the bulk density N, and the
field as f = e E / kT (1/nm). A flux is a flux over N (nm per unit of time); ``lam2`` is the
squared Debye length (nm^2). Ions are numbered with the native ion last.

Unknowns: cell c holds the amounts q_i = h y_i of the foreign ions and the field at its *right*
face, ``state[c] = (q_0, ..., q_{k-2}, f_{c+1})``. Gauss's law gives the native ion. The field
outside the front surface is zero; the charge attached to the surface, lam2 f_1, is a sheet of ions
of the beam. It is counted in q of the first cell, but is not in the glass: the first cell is
neutral, and no Debye layer of the sheet has to be resolved.

The clock s of a run is the time under a current. Under a voltage it is the charge: the mesh then
keeps pace with the front in every stage of a step, whatever the current does meanwhile, and the
time follows. Rates are d/ds; ``w`` is dx/ds of the nodes.
"""

import math
from collections import namedtuple

import numba
import numpy as np

jit = numba.njit(cache=True, nogil=True, error_model="numpy")

# RODAS3, a stiffly accurate Rosenbrock method of order 3 with an embedded order 2
# (doi 10.1016/S1352-2310(97)83212-8). Its second stage is taken where the first one is.
GAMMA = 0.5
ALPHA = (0.0, 0.0, 1.0, 1.0)
GAMMA_S = (0.5, 1.5, 0.0, 0.0)
A_STAGE = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [2.0, 0.0, 1.0]])
C_STAGE = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [1.0, -1.0, 0.0], [1.0, -1.0, -8.0 / 3.0]])

DONE, TOO_MANY_STEPS, STEP_TOO_SMALL = 0, 1, 2

Setting = namedtuple("Setting", "lam2 table beam potentiostatic idle")
Setting.__doc__ = """What stays the same during a run.

``table`` holds the diffusion coefficients (see ``coefficient``), ``beam`` is the number of the ion
that the beam delivers. Under a voltage ``idle`` keeps the clock going where the current may vanish:
ds = (current + idle) dt.
"""


@jit
def coefficient(y, ion, table):
    """D of one ion at the fraction ``y``.

    ``table[ion, m]`` holds the cubic of D between p = sqrt(y) = m/M and (m + 1)/M, as powers of
    p M - m; of a constant, D and a nan in the first row. Beyond y = 1, where only an excess charge
    leads, and not far, D is straight in p.
    """
    if table[ion, 0, 1] != table[ion, 0, 1]:
        return table[ion, 0, 0]
    last = table.shape[1]
    p = math.sqrt(max(y, 0.0)) * last
    m = min(int(p), last - 1)
    t = min(p - m, 1.0)
    value = table[ion, m, 0] + t * (
        table[ion, m, 1] + t * (table[ion, m, 2] + t * table[ion, m, 3])
    )
    if p > last:
        end = table[ion, m, 1] + 2.0 * table[ion, m, 2] + 3.0 * table[ion, m, 3]
        value += end * (min(p, 1.02 * last) - last)
    return value


@jit
def coefficient_slope(y, ion, table):
    """dD/dy of one ion: the derivative of ``coefficient``."""
    if table[ion, 0, 1] != table[ion, 0, 1] or y <= 1e-12:
        return 0.0
    last = table.shape[1]
    root = math.sqrt(y)
    m = min(int(root * last), last - 1)
    t = min(root * last - m, 1.0)
    change = table[ion, m, 1] + t * (2.0 * table[ion, m, 2] + 3.0 * t * table[ion, m, 3])
    return 0.5 * change * last / root


@jit
def face_width(x, c):
    """Width that the field at the right face of cell c stands for."""
    n = x.size - 1
    if n == 1:
        return x[1] - x[0]
    left = x[1] - x[0] if c == 0 else 0.5 * (x[c + 1] - x[c])
    right = 0.0 if c == n - 1 else 0.5 * (x[c + 2] - x[c + 1])
    return left + right


@jit
def fractions(p, x, state, y):
    """Fill ``y[c, i]`` from the amounts; the native ion from Gauss's law."""
    n, k = state.shape
    left = 0.0
    for c in range(n):
        per_h = 1.0 / (x[c + 1] - x[c])
        rest = 1.0 + p.lam2 * (state[c, k - 1] - left) * per_h
        for i in range(k - 1):
            y[c, i] = state[c, i] * per_h
            rest -= y[c, i]
        y[c, k - 1] = rest
        left = state[c, k - 1]
    y[0, p.beam] -= p.lam2 * state[0, k - 1] / (x[1] - x[0])


@jit
def voltage(width, state):
    """Potential difference in units of kT/e: the fields times the widths they stand for.

    That is phi(0) - phi(d), since the sheet charge sits at the front surface.
    """
    total = 0.0
    for c in range(width.size):
        total += width[c] * state[c, -1]
    return total


@jit
def drop_error(x, width, state, y, d, dd, errors):
    """What the ``errors`` of the amounts do to the potential difference at one current.

    Few native ions left behind carry much of the current: errors of the amounts that are small
    among all ions need not be small there. ``y``, ``d`` and ``dd`` as left by ``stabilise``.
    """
    n, k = state.shape
    native = k - 1
    total = 0.0
    for c in range(n - 1):
        conductance, change = 0.0, 0.0
        mobile_n = d[c, native] + dd[c, native] * y[c, native]
        for i in range(k):
            conductance += d[c, i] * max(y[c, i], 0.0)
            if i < native:  # each takes the place of a native ion
                change += (d[c, i] + dd[c, i] * y[c, i] - mobile_n) * errors[c, i]
        total -= width[c] * state[c, native] * change / (conductance * (x[c + 1] - x[c]))
    return total


@jit
def rest_field(p, x, state, drive):
    """Set the fields of the start: electroneutral glass with one current everywhere.

    ``drive`` is the current or the voltage. The sheet charge is attached as ions of the beam.
    """
    n, k = state.shape
    plain = np.empty((n, 2))  # conductance and diffusion current at the right faces
    for c in range(n):
        conductance, diffusion, rest, slope_n = 0.0, 0.0, 1.0, 0.0
        for i in range(k - 1):
            left = state[c, i] / (x[c + 1] - x[c])
            face, slope = left, 0.0
            if c < n - 1:
                ha, hb = x[c + 1] - x[c], x[c + 2] - x[c + 1]
                right = state[c + 1, i] / hb
                face = (hb * left + ha * right) / (ha + hb)
                slope = (right - left) / (0.5 * (ha + hb))
            d = coefficient(face, i, p.table)
            conductance += d * face
            diffusion -= d * slope
            rest -= face
            slope_n -= slope
        d = coefficient(rest, k - 1, p.table)
        plain[c, 0] = conductance + d * rest
        plain[c, 1] = diffusion - d * slope_n
    current = drive
    if p.potentiostatic:
        resistance = 0.0
        for c in range(n):
            r = face_width(x, c) / plain[c, 0]
            resistance += r
            current += r * plain[c, 1]
        current /= resistance
    for c in range(n):
        state[c, k - 1] = (current - plain[c, 1]) / plain[c, 0]
    state[0, p.beam] += p.lam2 * state[0, k - 1]


@jit
def rhs(p, x, w, state, drive, width, motion, extra, y, static, out):
    """Fill ``out`` with d(state)/ds on a mesh that moves with ``w``; returns dt/ds.

    ``drive`` is the current, or the rate of change of the voltage. All rates are (dt/ds)
    ``static`` plus a part that knows no time: what the mesh sweeps over, what the charge brings,
    and the numerical diffusivities ``extra`` of ``stabilise``.

    Under a voltage dt/ds follows from the drop of the potential: the fields times ``width``, those
    of the start of the step, and what the mesh makes of it, ``motion``. Constant weights make the
    drop a linear function of the state, which a Rosenbrock method holds exactly in each stage.
    """
    n, k = state.shape
    native = k - 1
    fractions(p, x, state, y)
    for i in range(native):
        static[0, i] = 0.0
        out[0, i] = 0.0
    conducted, swept = 0.0, 0.0
    ha = x[1] - x[0]
    for c in range(n - 1):  # the right face of cell c
        f = state[c, native]
        hb = x[c + 2] - x[c + 1]
        per_2dx = 1.0 / (ha + hb)
        wa = hb * per_2dx
        total, rest = 0.0, w[c + 1]
        for i in range(k):
            face = wa * y[c, i] + (1.0 - wa) * y[c + 1, i]
            change = 2.0 * per_2dx * (y[c + 1, i] - y[c, i])
            flux = coefficient(face, i, p.table) * (face * f - change)
            total += flux
            shift = w[c + 1] * face
            rest -= shift
            if i < native:
                shift += extra[c, i] * change
                static[c, i] -= flux
                static[c + 1, i] = flux
                out[c, i] += shift
                out[c + 1, i] = -shift
        static[c, native] = total
        out[c, native] = rest
        conducted += width[c] * total
        swept += width[c] * rest
        ha = hb
    # Native ions leave through the back, where their density is N.
    f = state[n - 1, native]
    total = coefficient(1.0, native, p.table) * (f - (1.0 - y[n - 1, native]) / (0.5 * ha))
    static[n - 1, native] = total
    out[n - 1, native] = 0.0
    clock, charging, idle = 1.0, drive, 0.0
    if p.potentiostatic:
        idle, charging = p.idle, 1.0
        conducted += width[n - 1] * total + idle * x[n]
        clock = (x[n] - swept + p.lam2 * motion) / (conducted + p.lam2 * drive)
        static[0, p.beam] -= idle
    out[0, p.beam] += charging
    per_lam2 = 1.0 / p.lam2
    for c in range(n):
        static[c, native] = -(static[c, native] + idle) * per_lam2
        out[c, native] = (charging - out[c, native]) * per_lam2
        for i in range(k):
            out[c, i] += clock * static[c, i]
    return clock


@jit
def jacobian(p, x, w, state, clock, extra, y, d, dd, shift, lower, diag, upper):
    """Blocks of ``shift I - d rhs / d state`` at fixed dt/ds.

    ``y`` as left by ``rhs``; ``d`` and ``dd`` as left by ``stabilise``.
    """
    n, k = state.shape
    native = k - 1
    per_lam2 = 1.0 / p.lam2
    for c in range(n):
        for i in range(k):
            for j in range(k):
                lower[c, i, j] = 0.0
                diag[c, i, j] = 0.0
                upper[c, i, j] = 0.0
            diag[c, i, i] = shift
    per_ha = 1.0 / (x[1] - x[0])
    for c in range(n - 1):
        f = state[c, native]
        per_hb = 1.0 / (x[c + 2] - x[c + 1])
        wa = per_ha / (per_ha + per_hb)
        per_dx = 2.0 * wa * per_hb
        for i in range(k):
            face = wa * y[c, i] + (1.0 - wa) * y[c + 1, i]
            change = per_dx * (y[c + 1, i] - y[c, i])
            diffusion = clock * d[c, i]
            drift = diffusion * f + clock * dd[c, i] * (face * f - change) - w[c + 1]
            da = (wa * drift + diffusion * per_dx) * per_ha
            db = ((1.0 - wa) * drift - diffusion * per_dx) * per_hb
            df = diffusion * face
            if i < native:
                # the total current: the native ion returns what numerical diffusion moves
                diag[c, native, i] += da * per_lam2
                upper[c, native, i] += db * per_lam2
                diag[c, native, native] += df * per_lam2
                if c == 0 and i == p.beam:  # its fraction counts without the sheet
                    diag[0, native, native] -= da
                da += extra[c, i] * per_dx * per_ha
                db -= extra[c, i] * per_dx * per_hb
                # this ion's balance in the two cells
                diag[c, i, i] += da
                upper[c, i, i] += db
                diag[c, i, native] += df
                lower[c + 1, i, i] -= da
                diag[c + 1, i, i] -= db
                lower[c + 1, i, native] -= df
                if c == 0 and i == p.beam:
                    diag[0, i, native] -= da * p.lam2
                    lower[1, i, native] += da * p.lam2
            else:
                for m in range(native):
                    diag[c, native, m] -= da * per_lam2
                    upper[c, native, m] -= db * per_lam2
                diag[c, native, native] += df * per_lam2 + da - db
                upper[c, native, native] += db
                if c > 0:
                    lower[c, native, native] -= da
        per_ha = per_hb
    diffusion = clock * coefficient(1.0, native, p.table)
    da = 2.0 * diffusion * per_ha * per_ha
    for m in range(native):
        diag[n - 1, native, m] -= da * per_lam2
    diag[n - 1, native, native] += diffusion * per_lam2 + da
    if n > 1:
        lower[n - 1, native, native] -= da


@jit
def rhs_change(p, x, w, state, clock, drive, tilt, width, extra, y, d, dd, static, out):
    """Fill ``out`` with the derivative of ``rhs`` in s at a fixed state: the mesh moves on.

    ``clock`` and ``static`` as left by ``rhs``, ``y``, ``d`` and ``dd`` by ``stabilise``; ``tilt``
    is d(current)/ds. Not by differences: the fluxes are small differences of large
    terms, and of two that are alike to six digits the noise would run the step control.
    """
    n, k = state.shape
    native = k - 1
    for i in range(native):
        out[0, i] = 0.0
    per_lam2 = 1.0 / p.lam2
    conducts, conducted, swept = p.lam2 * drive, 0.0, 0.0
    ha, ga = x[1] - x[0], (w[1] - w[0]) / (x[1] - x[0])  # a cell, and how fast it grows
    for c in range(n - 1):
        f = state[c, native]
        hb = x[c + 2] - x[c + 1]
        gb = (w[c + 2] - w[c + 1]) / hb
        per_2dx = 1.0 / (ha + hb)
        wa, stretch = hb * per_2dx, (ha * ga + hb * gb) * per_2dx
        turn = wa * (gb - stretch)
        total, rest = 0.0, 0.0
        for i in range(k):
            # the amounts stay, and the native ion is 1 and what follows from amounts
            left, right = y[c, i], y[c + 1, i]
            dilution_a, dilution_b = -left * ga, -right * gb
            if i == native:
                dilution_a, dilution_b = dilution_a + ga, dilution_b + gb
            face = wa * left + (1.0 - wa) * right
            slope = 2.0 * per_2dx * (right - left)
            face_s = turn * (left - right) + wa * dilution_a + (1.0 - wa) * dilution_b
            slope_s = 2.0 * per_2dx * (dilution_b - dilution_a) - slope * stretch
            flux = dd[c, i] * face_s * (face * f - slope) + d[c, i] * (face_s * f - slope_s)
            total += flux
            shift = w[c + 1] * face_s
            rest -= shift
            if i < native:
                shift += extra[c, i] * slope_s
                moved = shift - clock * flux
                out[c, i] += moved
                out[c + 1, i] = -moved
        out[c, native] = -(clock * total + rest) * per_lam2
        conducted += width[c] * total
        swept += width[c] * rest
        conducts -= width[c] * p.lam2 * static[c, native]
        ha, ga = hb, gb
    total = 4.0 * coefficient(1.0, native, p.table) * (1.0 - y[n - 1, native]) * ga / ha
    out[n - 1, native] = -clock * total * per_lam2
    if p.potentiostatic:
        conducted += width[n - 1] * total
        conducts -= width[n - 1] * p.lam2 * static[n - 1, native]
        clock_s = -(swept + clock * conducted) / conducts
        for c in range(n):
            for i in range(k):
                out[c, i] += clock_s * static[c, i]
    else:
        out[0, p.beam] += tilt
        for c in range(n):
            out[c, native] += tilt * per_lam2


@jit
def invert(a, inverse):
    """Inverse of a small matrix by Gauss-Jordan with row pivoting; ``a`` is destroyed."""
    k = a.shape[0]
    if k == 2:
        det = a[0, 0] * a[1, 1] - a[0, 1] * a[1, 0]
        inverse[0, 0] = a[1, 1] / det
        inverse[0, 1] = -a[0, 1] / det
        inverse[1, 0] = -a[1, 0] / det
        inverse[1, 1] = a[0, 0] / det
        return
    for i in range(k):
        for j in range(k):
            inverse[i, j] = 1.0 if i == j else 0.0
    for p in range(k):
        best = p
        for i in range(p + 1, k):
            if abs(a[i, p]) > abs(a[best, p]):
                best = i
        for j in range(k):
            a[p, j], a[best, j] = a[best, j], a[p, j]
            inverse[p, j], inverse[best, j] = inverse[best, j], inverse[p, j]
        scale = 1.0 / a[p, p]
        for j in range(k):
            a[p, j] *= scale
            inverse[p, j] *= scale
        for i in range(k):
            if i != p:
                factor = a[i, p]
                for j in range(k):
                    a[i, j] -= factor * a[p, j]
                    inverse[i, j] -= factor * inverse[p, j]


@jit
def factorise(lower, diag, upper, work):
    """Block elimination in place: ``diag`` becomes the inverses, ``upper`` is multiplied by them.

    No pivoting across blocks: the shifted matrix is dominated by its diagonal blocks. ``work``,
    shape (2, k, k), is room to work in.
    """
    n, k, _ = diag.shape
    if k == 2:  # the common case, by hand
        u00, u01, u10, u11 = 0.0, 0.0, 0.0, 0.0
        for c in range(n):
            l00, l01, l10, l11 = lower[c, 0, 0], lower[c, 0, 1], lower[c, 1, 0], lower[c, 1, 1]
            d00 = diag[c, 0, 0] - l00 * u00 - l01 * u10
            d01 = diag[c, 0, 1] - l00 * u01 - l01 * u11
            d10 = diag[c, 1, 0] - l10 * u00 - l11 * u10
            d11 = diag[c, 1, 1] - l10 * u01 - l11 * u11
            per_det = 1.0 / (d00 * d11 - d01 * d10)
            d00, d11 = d11 * per_det, d00 * per_det
            d01, d10 = -d01 * per_det, -d10 * per_det
            v00, v01, v10, v11 = upper[c, 0, 0], upper[c, 0, 1], upper[c, 1, 0], upper[c, 1, 1]
            u00, u01 = d00 * v00 + d01 * v10, d00 * v01 + d01 * v11
            u10, u11 = d10 * v00 + d11 * v10, d10 * v01 + d11 * v11
            diag[c, 0, 0], diag[c, 0, 1], diag[c, 1, 0], diag[c, 1, 1] = d00, d01, d10, d11
            upper[c, 0, 0], upper[c, 0, 1], upper[c, 1, 0], upper[c, 1, 1] = u00, u01, u10, u11
        return
    inverse, product = work[0], work[1]
    for c in range(n):
        if c > 0:
            for i in range(k):
                for j in range(k):
                    total = diag[c, i, j]
                    for m in range(k):
                        total -= lower[c, i, m] * upper[c - 1, m, j]
                    diag[c, i, j] = total
        invert(diag[c], inverse)
        for i in range(k):
            for j in range(k):
                total = 0.0
                for m in range(k):
                    total += inverse[i, m] * upper[c, m, j]
                product[i, j] = total
        for i in range(k):
            for j in range(k):
                diag[c, i, j] = inverse[i, j]
                upper[c, i, j] = product[i, j]


@jit
def solve(lower, diag, upper, b, work):
    """Overwrite ``b`` with the solution, from the blocks left by ``factorise``."""
    n, k = b.shape
    if k == 2:
        b0, b1 = 0.0, 0.0
        for c in range(n):
            w0 = b[c, 0] - lower[c, 0, 0] * b0 - lower[c, 0, 1] * b1
            w1 = b[c, 1] - lower[c, 1, 0] * b0 - lower[c, 1, 1] * b1
            b0 = diag[c, 0, 0] * w0 + diag[c, 0, 1] * w1
            b1 = diag[c, 1, 0] * w0 + diag[c, 1, 1] * w1
            b[c, 0], b[c, 1] = b0, b1
        for c in range(n - 2, -1, -1):
            b0, b1 = (
                b[c, 0] - upper[c, 0, 0] * b0 - upper[c, 0, 1] * b1,
                b[c, 1] - upper[c, 1, 0] * b0 - upper[c, 1, 1] * b1,
            )
            b[c, 0], b[c, 1] = b0, b1
        return
    row = work[0, 0]
    for c in range(n):
        for i in range(k):
            row[i] = b[c, i]
            if c > 0:
                for m in range(k):
                    row[i] -= lower[c, i, m] * b[c - 1, m]
        for i in range(k):
            total = 0.0
            for m in range(k):
                total += diag[c, i, m] * row[m]
            b[c, i] = total
    for c in range(n - 2, -1, -1):
        for i in range(k):
            for m in range(k):
                b[c, i] -= upper[c, i, m] * b[c + 1, m]


@jit
def stabilise(p, x, w, state, clock, y, d, dd, extra):
    """Numerical diffusivity of each foreign ion at each face, frozen for one step.

    Central fluxes oscillate where the flow relative to the mesh outruns diffusion across a cell
    (ahead of the front, where cells are large). There the flux turns to upwind, limited so that
    smooth monotone data keep the second-order central flux. The native ion makes room for what
    numerical diffusion moves. Leaves D and dD/dy of all ions at the faces in ``d`` and ``dd``.
    """
    n, k = state.shape
    native = k - 1
    fractions(p, x, state, y)
    for c in range(n - 1):
        f = state[c, native]
        ha, hb = x[c + 1] - x[c], x[c + 2] - x[c + 1]
        wa, dx = hb / (ha + hb), 0.5 * (ha + hb)
        total, face = 0.0, 0.0
        for i in range(k):
            face = wa * y[c, i] + (1.0 - wa) * y[c + 1, i]
            d[c, i] = coefficient(face, i, p.table)
            dd[c, i] = coefficient_slope(face, i, p.table)
            total += d[c, i] * max(face, 0.0)
        change_n = d[c, native] + dd[c, native] * face
        for i in range(native):
            extra[c, i] = 0.0
            face = wa * y[c, i] + (1.0 - wa) * y[c + 1, i]
            share = d[c, i] * max(face, 0.0) / total
            change = d[c, i] + dd[c, i] * face
            speed = clock * f * (change - share * (change - change_n)) - w[c + 1]
            physical = clock * (d[c, i] * (1.0 - share) + d[c, native] * share)
            needed = 0.5 * dx * abs(speed) - physical
            if needed <= 0.0:
                continue
            slope = (y[c + 1, i] - y[c, i]) / dx
            smooth = 0.0
            if abs(slope) * dx > 1e-6:
                smooth = 1.0
                if c > 0:
                    before = (y[c, i] - y[c - 1, i]) / (0.5 * (x[c + 1] - x[c - 1]))
                    smooth = min(smooth, 2.0 * before / slope)
                if c < n - 2:
                    after = (y[c + 2, i] - y[c + 1, i]) / (0.5 * (x[c + 3] - x[c + 1]))
                    smooth = min(smooth, 2.0 * after / slope)
            extra[c, i] = needed * (1.0 - max(0.0, smooth))


@jit
def fill_holes(p, x, state, y):
    """Move the little that an ion lacks in a cell there from a cell nearby: none is negative.

    Conserves every ion. Returns the most negative fraction found; the step control keeps it
    below the time error.
    """
    n, k = state.shape
    native = k - 1
    lowest = 0.0
    for _ in range(5):
        holes = 0
        for c in range(n):
            for i in range(k):
                if y[c, i] >= -1e-14:
                    continue
                holes += 1
                lowest = min(lowest, y[c, i])
                need = -y[c, i] * (x[c + 1] - x[c])
                giver = -1
                for reach in range(1, n):  # the nearest cell that has enough
                    for g in (c - reach, c + reach):
                        if 0 <= g < n and y[g, i] * (x[g + 1] - x[g]) > 2.0 * need:
                            if giver < 0 or y[g, i] > y[giver, i]:
                                giver = g
                    if giver >= 0:
                        break
                if giver < 0:
                    continue
                y[c, i] = 0.0
                y[giver, i] -= need / (x[giver + 1] - x[giver])
                if i == native:  # the most abundant foreign ion goes there, and Gauss gives back
                    other = 0
                    for m in range(native):
                        if y[c, m] > y[c, other]:
                            other = m
                    state[c, other] -= need
                    state[giver, other] += need
                else:
                    state[c, i] += need
                    state[giver, i] -= need
        fractions(p, x, state, y)
        if holes == 0:
            break
    return lowest


@jit
def equidistribute(x, y, surface, size, goal):
    """Nodes ``goal``, any number of them, of the mesh that the solution asks for.

    The wanted cell size is small where the fractions change and near the front surface, grows
    at a limited rate away from there, faster in untouched glass; the nodes share it out evenly.
    ``size`` is room to work in, one number a cell.
    """
    n = x.size - 1
    cells = goal.size - 1
    k = y.shape[1]
    for c in range(n):
        steep = 0.0
        for i in range(k):
            left = 0.0
            right = 0.0
            if c > 0:
                left = abs(y[c, i] - y[c - 1, i]) / (0.5 * (x[c + 1] - x[c - 1]))
            if c < n - 1:
                right = abs(y[c + 1, i] - y[c, i]) / (0.5 * (x[c + 2] - x[c]))
            steep += 0.5 * (left + right)
        middle = 0.5 * (x[c] + x[c + 1])
        size[c] = min(0.09 / (steep + 1e-30), surface + 0.35 * middle)
    for c in range(1, n):
        change = abs(1.0 - y[c, k - 1])
        grade = 0.35 + 1.0 * 1e-3 / (1e-3 + change)
        size[c] = min(size[c], size[c - 1] + grade * 0.5 * (x[c + 1] - x[c - 1]))
    for c in range(n - 2, -1, -1):
        size[c] = min(size[c], size[c + 1] + 0.35 * 0.5 * (x[c + 2] - x[c]))
    rho = size
    for c in range(n):
        rho[c] = 1.0 / size[c]
    # Smoothing takes the noise of the discrete solution out of the motion of the nodes.
    for _ in range(3 * n // 10):
        before = rho[0]
        for c in range(n):
            here = rho[c]
            after = rho[c + 1] if c < n - 1 else here
            rho[c] = 0.25 * before + 0.5 * here + 0.25 * after
            before = here
    total = 0.0
    for c in range(n):
        total += rho[c] * (x[c + 1] - x[c])
    goal[0] = x[0]
    goal[cells] = x[n]
    share = total / cells
    c = 0
    passed = 0.0
    cell = rho[0] * (x[1] - x[0])
    for m in range(1, cells):
        while passed + cell < m * share and c < n - 1:
            passed += cell
            c += 1
            cell = rho[c] * (x[c + 1] - x[c])
        goal[m] = x[c] + (m * share - passed) / rho[c]


@jit
def untouched_mesh(surface, thickness, cells):
    """The mesh that native glass asks for: a fixed point of ``equidistribute``."""
    x, goal, size = np.empty(cells + 1), np.empty(cells + 1), np.empty(cells)
    for m in range(cells + 1):
        x[m] = surface * (thickness / surface) ** ((m - 1) / (cells - 1))
    x[0], x[cells] = 0.0, thickness
    y = np.ones((cells, 1))
    for _ in range(30):
        equidistribute(x, y, surface, size, goal)
        x[:] = goal
    return x


@jit
def pursue(x, goal, drift, pace, catch_up, ds, w):
    """Node velocities of one step: on with the charge as before, and part of the way to the goal.

    A tracking filter, because the goal is known only through a discrete solution and so is noisy.
    All are slowed down alike if a cell would lose more than seven tenths of itself.
    """
    n = x.size - 1
    w[0], w[n] = 0.0, 0.0
    for m in range(1, n):
        w[m] = pace * drift[m] + catch_up * (goal[m] - x[m]) / ds
    damp = 1.0
    for c in range(n):
        shrink = (w[c] - w[c + 1]) * ds / (x[c + 1] - x[c])
        if shrink * damp > 0.7:
            damp = 0.7 / shrink
    for m in range(1, n):
        w[m] *= damp


@jit
def combine(a, weight, b, out):
    """out = a + weight b."""
    left, right, total = a.reshape(-1), b.reshape(-1), out.reshape(-1)
    for m in range(left.size):
        total[m] = left[m] + weight * right[m]


@jit
def recorded(t, knots, values):
    """Value and integral from zero of a piecewise linear record at time ``t``."""
    integral = 0.0
    for m in range(knots.size - 1):
        width = knots[m + 1] - knots[m]
        slope = (values[m + 1] - values[m]) / width
        if t <= knots[m + 1] or m == knots.size - 2:
            s = t - knots[m]
            return values[m] + slope * s, integral + s * (values[m] + 0.5 * slope * s)
        integral += 0.5 * (values[m] + values[m + 1]) * width
    return values[0], values[0] * t  # a single knot: constant


@jit
def advance(
    p, x, state, knots, values, t_end, charge_end, tol, first_step, surface, moving, max_steps,
    history,
):  # fmt: skip
    """Integrate until ``t_end`` or until ``charge_end`` has passed, in place.

    ``history[m] = (time, charge, current, voltage)`` before step m; the last row is the end.
    Returns (verdict, steps, rejected, factorisations, smallest fraction before it was mended).
    """
    n, k = state.shape
    native = k - 1
    y, d, dd, extra = np.empty((n, k)), np.empty((n, k)), np.empty((n, k)), np.zeros((n, k))
    lower, diag, upper = np.empty((n, k, k)), np.empty((n, k, k)), np.empty((n, k, k))
    stages = np.empty((4, n, k))
    argument, rate, rate_s = np.empty((n, k)), np.empty((n, k)), np.empty((n, k))
    static, border = np.empty((n, k)), np.empty((n, k))
    x_new, w, goal, drift = x.copy(), np.zeros(n + 1), np.empty(n + 1), np.zeros(n + 1)
    width, width_new, size, work = np.empty(n), np.empty(n), np.empty(n), np.empty((2, k, k))
    start = 0.0
    for c in range(n):
        start += state[c, p.beam]
        width[c] = face_width(x, c)
    t, ds, charge, memory = 0.0, first_step, 0.0, first_step
    clock, pace, bend, ds_before = 1.0, 1.0, 0.0, 0.0
    after, change = 1.0, 0.0
    steps, rejected, factorisations, lowest = 0, 0, 0, 0.0
    value, integral = recorded(0.0, knots, values)
    history[0, 0], history[0, 1], history[0, 3] = 0.0, 0.0, voltage(width, state)
    fractions(p, x, state, y)
    equidistribute(x, y, surface, size, goal)
    while steps + rejected < max_steps:
        left = (t_end - t) / clock
        if p.potentiostatic:
            ahead = clock * clock + 2.0 * bend * (t_end - t)
            if ahead > 0.0:  # dt/ds goes on changing as it did
                left = 2.0 * (t_end - t) / (clock + math.sqrt(ahead))
            left = min(left, (charge_end - charge) / pace)
        if ds > left:
            ds = left
        elif ds > 0.5 * left:
            ds = 0.5 * left
        value_end, integral_end = recorded(t + clock * ds, knots, values)
        if p.potentiostatic:
            drive, swing, tilt = (value_end - value) / (clock * ds), 0.0, 0.0
        else:  # a parabola with the ends and the charge of the record
            drive, swing = value, value_end - value
            pace = (integral_end - integral) / ds
            tilt = (swing + 6.0 * (pace - value - 0.5 * swing)) / ds
        if moving:
            catch_up = 0.45  # in a pause there is time to catch up
            if pace > 0.0:
                catch_up *= min(1.0, pace * ds / memory)
            pursue(x, goal, drift, pace, catch_up, ds, w)
        motion = 0.0
        for c in range(n):
            width[c] = face_width(x, c)
            motion += face_width(w, c) * state[c, native]

        # One step of the Rosenbrock method.
        stabilise(p, x, w, state, clock, y, d, dd, extra)
        now = rhs(p, x, w, state, drive, width, motion, extra, y, border, rate)
        history[steps, 2] = 1.0 / now - p.idle if p.potentiostatic else value
        shift = 1.0 / (GAMMA * ds)
        jacobian(p, x, w, state, now, extra, y, d, dd, shift, lower, diag, upper)
        factorise(lower, diag, upper, work)
        factorisations += 1
        rhs_change(
            p, x, w, state, now, drive, tilt, width, extra, y, d, dd, border, rate_s
        )  # fmt: skip
        response = 0.0
        if p.potentiostatic:  # what a change of dt/ds does
            solve(lower, diag, upper, border, work)
            response = voltage(width, border) * shift - drive
        for s in range(4):
            if s > 1:
                combine(state, A_STAGE[s, 0], stages[0], argument)
                for q in range(1, s):
                    combine(argument, A_STAGE[s, q], stages[q], argument)
                for m in range(1, n):
                    x_new[m] = x[m] + ALPHA[s] * ds * w[m]
                drive_s = drive + ALPHA[s] * swing
                rhs(p, x_new, w, argument, drive_s, width, motion, extra, y, static, rate)
            b = stages[s]
            combine(rate, GAMMA_S[s] * ds, rate_s, b)
            for q in range(s):
                combine(b, C_STAGE[s, q] / ds, stages[q], b)
            wanted = voltage(width, b)
            solve(lower, diag, upper, b, work)
            if p.potentiostatic:  # the drop of the potential fixes the change of dt/ds
                combine(b, (wanted - voltage(width, b) * shift) / response, border, b)
        combine(argument, 1.0, stages[3], argument)

        # The field counts by the charge that it stands for: it follows the ions at once.
        error, before = 0.0, 0.0
        for c in range(n):
            per_tol_h = 1.0 / (tol * (x_new[c + 1] - x_new[c]))
            for i in range(k):
                wrong = stages[3, c, i]
                if i == native:
                    wrong, before = p.lam2 * (wrong - before), wrong
                error += (wrong * per_tol_h) ** 2
        # A front is some dozens of cells, however many there are elsewhere.
        error = math.sqrt(error / (min(n, 60) * k))
        if p.potentiostatic:  # but the current follows the field, and so the time
            drop = drop_error(x_new, width, argument, y, d, dd, stages[3])
            share = min(1.0, 30.0 * now * ds / (t + now * ds))  # short steps are little time
            error = max(error, share * abs(drop / (0.3 * tol * voltage(width, argument))))
        t_new = t + ds
        if p.potentiostatic and error < 1.0:
            # The time of the step by a parabola through dt/ds at its ends and before; then let
            # the little time pass, too little to count, that leaves the voltage of that time.
            for c in range(n):
                width_new[c] = face_width(x_new, c)
            lift = voltage(width_new, border)
            curved = 0.0
            for again in range(3):
                missing = value_end - voltage(width_new, argument)
                combine(argument, missing / lift, border, argument)
                if again == 2:
                    break
                after = rhs(
                    p, x_new, w, argument, drive, width_new, motion, extra, y, static, rate
                )  # fmt: skip
                change = (after - now) / ds
                if steps > 0:
                    curved = (change - bend) / (ds + ds_before) * ds**3 / 6.0
                t_new = t + 0.5 * (now + after) * ds - curved
                aimed = value_end
                value_end, integral_end = recorded(t_new, knots, values)
                if value_end == aimed:
                    break
            error = max(error, abs(curved) / (0.1 * tol * t_new))
        if not (error < 1.0 and t_new > t):
            rejected += 1
            ds *= max(0.2, 0.9 * error ** (-1 / 3)) if 1.0 <= error < 1e6 else 0.3
            if ds < 1e-14 * (max(t, charge) + first_step):
                return STEP_TOO_SMALL, steps, rejected, factorisations, lowest
            continue

        # Accepted, unless the end aimed at lies elsewhere.
        charge_new = -start
        for c in range(n):
            charge_new += argument[c, p.beam]
        within = 1.0
        if charge_new > charge_end:
            within = (charge_end - charge) / (charge_new - charge)
        if p.potentiostatic and t_new > t_end:  # on the parabola from t, with its slope there
            curve = t_new - t - now * ds
            root = math.sqrt(max((now * ds) ** 2 + 4.0 * curve * (t_end - t), 0.0))
            within = min(within, 2.0 * (t_end - t) / (now * ds + root))
        if within < 1.0 - 1e-9:
            ds *= within
            continue
        finished = charge_new > charge_end * (1.0 - 1e-9) or t_new > t_end * (1.0 - 1e-9)
        if p.potentiostatic:
            pace = (charge_new - charge) / ds
            clock = after
            bend, ds_before = change, ds
        passed = charge_new - charge
        t, charge, value, integral = t_new, charge_new, value_end, integral_end
        state[:] = argument
        x[:] = x_new
        fractions(p, x, state, y)
        lowest = min(lowest, fill_holes(p, x, state, y))
        for c in range(n):
            width[c] = face_width(x, c)
        steps += 1
        history[steps, 0] = t
        history[steps, 1] = charge
        history[steps, 3] = voltage(width, state)
        if finished:
            now = rhs(p, x, w, state, drive, width, motion, extra, y, static, rate)
            history[steps, 2] = 1.0 / now - p.idle if p.potentiostatic else value
            return DONE, steps, rejected, factorisations, lowest
        equidistribute(x, y, max(surface, 0.03 * charge), size, goal)
        if passed > 1e-9 * charge:
            memory = max(passed, 0.95 * memory)  # a shrinking step must not speed up the filter
            for m in range(1, n):
                drift[m] += 0.25 * (goal[m] - x[m]) / memory
        else:  # a record may pause, and a front starts anew thereafter
            memory = first_step
            drift[:] = 0.0
        ds *= min(2.0, max(0.2, 0.8 * (error + 1e-12) ** (-1 / 3)))
    return TOO_MANY_STEPS, steps, rejected, factorisations, lowest


@jit
def sample(x, y, at):
    """Fractions ``(m, k)`` at the increasing places ``at`` from the cell means ``y``.

    Straight in each cell, with its mean, and a slope that makes no new extremum.
    """
    n, k = y.shape
    out = np.empty((at.size, k))
    c = 0
    for m in range(at.size):
        while c < n - 1 and x[c + 1] <= at[m]:
            c += 1
        middle = 0.5 * (x[c] + x[c + 1])
        for i in range(k):
            slope = 0.0
            if 0 < c < n - 1:
                back, ahead = y[c, i] - y[c - 1, i], y[c + 1, i] - y[c, i]
                if back * ahead > 0.0:
                    mean = (back + ahead) / (0.5 * (x[c + 2] + x[c + 1] - x[c] - x[c - 1]))
                    most = 2.0 * min(abs(back), abs(ahead)) / (x[c + 1] - x[c])
                    slope = min(max(mean, -most), most)
            elif n > 1:
                b = c if c == 0 else c - 1
                slope = (y[b + 1, i] - y[b, i]) / (0.5 * (x[b + 2] - x[b]))
            out[m, i] = y[c, i] + slope * (at[m] - middle)
    return out
