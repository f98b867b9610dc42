"""Every numba-jitted function of the package, and nothing else.

One module, because numba's disk cache notices edits only in the file that holds the function.

Scaled units of the transport kernels: lengths in nm, fractions of the bulk density N, and the
field as f = e E / kT (1/nm). A flux is a flux over N (nm per unit of time); ``lam2`` is the
squared Debye length (nm^2). Ions are numbered with the native ion last.

Unknowns: cell c holds the amounts q_i = h y_i of the foreign ions and the field at its *right*
face, ``state[c] = (q_0, ..., q_{k-2}, f_{c+1})``. Gauss's law gives the native ion. The field
outside the front surface is zero; the charge attached to the surface, lam2 f_1, is a sheet of ions
of the beam. It is counted in q of the first cell, but is not in the glass: the first cell is
neutral, and no Debye layer of the sheet has to be resolved.
"""

import math

import numba
import numpy as np

jit = numba.njit(cache=True, nogil=True, error_model="numpy")

# RODAS4, a stiffly accurate Rosenbrock method of order 4 with an embedded order 3
# (Hairer and Wanner, Solving Ordinary Differential Equations II, section IV.10).
GAMMA = 0.25
ALPHA = (0.0, 0.386, 0.21, 0.63, 1.0, 1.0)
GAMMA_T = (0.25, -0.1043, 0.1035, -0.0362, 0.0, 0.0)
A_STAGE = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [1.544, 0.0, 0.0, 0.0, 0.0],
        [0.9466785280815826, 0.2557011698983284, 0.0, 0.0, 0.0],
        [3.314825187068521, 2.896124015972201, 0.9986419139977817, 0.0, 0.0],
        [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895, 0.0],
        [1.221224509226641, 6.019134481288629, 12.53708332932087, -0.687886036105895, 1.0],
    ]
)
C_STAGE = np.array(
    [
        [0.0, 0.0, 0.0, 0.0, 0.0],
        [-5.6688, 0.0, 0.0, 0.0, 0.0],
        [-2.430093356833875, -0.2063599157091915, 0.0, 0.0, 0.0],
        [-0.1073529058151375, -9.594562251023355, -20.47028614809616, 0.0, 0.0],
        [7.496443313967647, -10.24680431464352, -33.99990352819905, 11.7089089320616, 0.0],
        [
            8.083246795921522,
            -7.981132988064893,
            -31.52159432874371,
            16.31930543123136,
            -6.058818238834054,
        ],
    ]
)

DONE, TOO_MANY_STEPS, STEP_TOO_SMALL = 0, 1, 2


@jit
def diffusivity(y, ion, table):
    """D and dD/dy of one ion; ``table[ion, m] = (ln D, dlnD/dp)`` at p = y^(1/4) = m / (M - 1)."""
    if table[ion, 0, 1] != table[ion, 0, 1]:  # nan marks a constant
        return table[ion, 1, 0], 0.0
    last = table.shape[1] - 1
    if y <= 1e-12:
        return math.exp(table[ion, 0, 0]), 0.0
    p = math.sqrt(math.sqrt(y))
    if p >= 1.0:  # straight on in p: only an excess charge takes y past 1, and not far
        value = math.exp(table[ion, last, 0] + table[ion, last, 1] * (min(p, 1.02) - 1.0))
        return value, value * table[ion, last, 1] * p / (4.0 * y)
    m = min(int(p * last), last - 1)
    t = p * last - m
    v0, s0 = table[ion, m, 0], table[ion, m, 1] / last
    v1, s1 = table[ion, m + 1, 0], table[ion, m + 1, 1] / last
    b = 3.0 * (v1 - v0) - 2.0 * s0 - s1
    a = s0 + s1 - 2.0 * (v1 - v0)
    value = math.exp(v0 + t * (s0 + t * (b + t * a)))
    return value, value * (s0 + t * (2.0 * b + 3.0 * t * a)) * last * p / (4.0 * y)


@jit
def fractions(x, state, beam, lam2, y):
    """Fill ``y[c, i]`` from the amounts; the native ion from Gauss's law."""
    n, k = state.shape
    left = 0.0
    for c in range(n):
        h = x[c + 1] - x[c]
        rest = 1.0 + lam2 * (state[c, k - 1] - left) / h
        for i in range(k - 1):
            y[c, i] = state[c, i] / h
            rest -= y[c, i]
        y[c, k - 1] = rest
        left = state[c, k - 1]
    y[0, beam] -= lam2 * state[0, k - 1] / (x[1] - x[0])


@jit
def potential_drop(x, state):
    """phi(0) - phi(d) in units of kT/e; the sheet charge sits at the front surface."""
    n, k = state.shape
    total = 0.0
    for c in range(n):
        total += face_width(x, c) * state[c, k - 1]
    return total


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
def rest_field(x, state, lam2, table, beam, potentiostatic, drive):
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
            d = diffusivity(face, i, table)[0]
            conductance += d * face
            diffusion -= d * slope
            rest -= face
            slope_n -= slope
        d = diffusivity(rest, k - 1, table)[0]
        plain[c, 0] = conductance + d * rest
        plain[c, 1] = diffusion - d * slope_n
    current = drive
    if potentiostatic:
        resistance = 0.0
        for c in range(n):
            w = face_width(x, c) / plain[c, 0]
            resistance += w
            current += w * plain[c, 1]
        current /= resistance
    for c in range(n):
        state[c, k - 1] = (current - plain[c, 1]) / plain[c, 0]
    state[0, beam] += lam2 * state[0, k - 1]


@jit
def rhs(x, v, state, drive, potentiostatic, beam, lam2, table, extra, y, out):
    """Time derivative of the state on a mesh that moves with ``v``; returns the current.

    ``drive`` is the current (galvanostatic) or the rate of change of the voltage. Fluxes are
    relative to the moving faces; ``extra`` holds the numerical diffusivities of ``stabilise``.
    """
    n, k = state.shape
    fractions(x, state, beam, lam2, y)
    for c in range(n):
        for i in range(k - 1):
            out[c, i] = 0.0
    mean, motion = 0.0, 0.0
    for c in range(n):  # the right face of cell c
        f = state[c, k - 1]
        if c < n - 1:
            ha, hb = x[c + 1] - x[c], x[c + 2] - x[c + 1]
            wa, dx = hb / (ha + hb), 0.5 * (ha + hb)
            total = v[c + 1]
            smear = 0.0
            for i in range(k):
                face = wa * y[c, i] + (1.0 - wa) * y[c + 1, i]
                slope = (y[c + 1, i] - y[c, i]) / dx
                flux = diffusivity(face, i, table)[0] * (face * f - slope) - v[c + 1] * face
                if i < k - 1:
                    numerical = extra[c, i] * slope
                    smear += numerical
                    flux -= numerical
                    out[c, i] -= flux
                    out[c + 1, i] += flux
                else:
                    flux += smear
                total += flux
        else:
            h = x[n] - x[n - 1]
            total = diffusivity(1.0, k - 1, table)[0] * (f - (1.0 - y[c, k - 1]) / (0.5 * h))
        out[c, k - 1] = total
        w = face_width(x, c)
        mean += w * total
        motion += face_width(v, c) * f
    current = drive
    if potentiostatic:
        current = (mean + lam2 * (drive - motion)) / x[n]
    out[0, beam] += current
    for c in range(n):
        out[c, k - 1] = (current - out[c, k - 1]) / lam2
    return current


@jit
def jacobian(x, v, state, beam, lam2, table, extra, y, shift, lower, diag, upper):
    """Blocks of ``shift I - d rhs / d state`` at fixed current; ``y`` as left by ``rhs``."""
    n, k = state.shape
    native = k - 1
    for c in range(n):
        for i in range(k):
            for j in range(k):
                lower[c, i, j] = 0.0
                diag[c, i, j] = shift if i == j else 0.0
                upper[c, i, j] = 0.0
    for c in range(n):
        f = state[c, native]
        if c < n - 1:
            ha, hb = x[c + 1] - x[c], x[c + 2] - x[c + 1]
            wa, dx = hb / (ha + hb), 0.5 * (ha + hb)
            for i in range(k):
                face = wa * y[c, i] + (1.0 - wa) * y[c + 1, i]
                slope = (y[c + 1, i] - y[c, i]) / dx
                d, dd = diffusivity(face, i, table)
                drift = d * f + dd * (face * f - slope) - v[c + 1]
                da = wa * drift + d / dx
                db = (1.0 - wa) * drift - d / dx
                df = d * face
                if i < native:
                    da += extra[c, i] / dx
                    db -= extra[c, i] / dx
                    # this ion's balance in the two cells
                    diag[c, i, i] += da / ha
                    upper[c, i, i] += db / hb
                    diag[c, i, native] += df
                    lower[c + 1, i, i] -= da / ha
                    diag[c + 1, i, i] -= db / hb
                    lower[c + 1, i, native] -= df
                    # the total current, less the numerical part that the native ion returns
                    diag[c, native, i] += (da - extra[c, i] / dx) / ha / lam2
                    upper[c, native, i] += (db + extra[c, i] / dx) / hb / lam2
                    diag[c, native, native] += df / lam2
                    if c == 0 and i == beam:  # its fraction counts without the sheet
                        diag[0, i, native] -= da * lam2 / ha
                        lower[1, i, native] += da * lam2 / ha
                        diag[0, native, native] -= (da - extra[0, i] / dx) / ha
                else:
                    for m in range(native):
                        diag[c, native, m] -= da / ha / lam2
                        upper[c, native, m] -= db / hb / lam2
                    diag[c, native, native] += df / lam2 + da / ha - db / hb
                    upper[c, native, native] += db / hb
                    if c > 0:
                        lower[c, native, native] -= da / ha
        else:
            h = x[n] - x[n - 1]
            d = diffusivity(1.0, native, table)[0]
            da = 2.0 * d / h
            for m in range(native):
                diag[c, native, m] -= da / h / lam2
            diag[c, native, native] += d / lam2 + da / h
            if c > 0:
                lower[c, native, native] -= da / h


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
def factorise(lower, diag, upper):
    """Block elimination in place: ``diag`` becomes the inverses, ``upper`` is multiplied by them.

    No pivoting across blocks: the shifted matrix is dominated by its diagonal blocks.
    """
    n, k, _ = diag.shape
    inverse = np.empty((k, k))
    work = np.empty((k, k))
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
                work[i, j] = total
        for i in range(k):
            for j in range(k):
                diag[c, i, j] = inverse[i, j]
                upper[c, i, j] = work[i, j]


@jit
def solve(lower, diag, upper, b):
    """Overwrite ``b`` with the solution, from the blocks left by ``factorise``."""
    n, k = b.shape
    work = np.empty(k)
    for c in range(n):
        for i in range(k):
            work[i] = b[c, i]
            if c > 0:
                for m in range(k):
                    work[i] -= lower[c, i, m] * b[c - 1, m]
        for i in range(k):
            total = 0.0
            for m in range(k):
                total += diag[c, i, m] * work[m]
            b[c, i] = total
    for c in range(n - 2, -1, -1):
        for i in range(k):
            for m in range(k):
                b[c, i] -= upper[c, i, m] * b[c + 1, m]


@jit
def stabilise(x, v, state, beam, lam2, table, y, extra):
    """Numerical diffusivity of each foreign ion at each face, frozen for one step.

    Central fluxes oscillate where the flow relative to the mesh outruns diffusion across a cell
    (ahead of the front, where cells are large). There the flux turns to upwind, limited so that
    smooth monotone data keep the second-order central flux. The native ion makes room for what
    numerical diffusion moves.
    """
    n, k = state.shape
    native = k - 1
    fractions(x, state, beam, lam2, y)
    for c in range(n - 1):
        f = state[c, native]
        ha, hb = x[c + 1] - x[c], x[c + 2] - x[c + 1]
        wa, dx = hb / (ha + hb), 0.5 * (ha + hb)
        total = 0.0
        for i in range(k):
            face = wa * y[c, i] + (1.0 - wa) * y[c + 1, i]
            total += diffusivity(face, i, table)[0] * max(face, 0.0)
        face_n = wa * y[c, native] + (1.0 - wa) * y[c + 1, native]
        dn, ddn = diffusivity(face_n, native, table)
        for i in range(native):
            extra[c, i] = 0.0
            face = wa * y[c, i] + (1.0 - wa) * y[c + 1, i]
            d, dd = diffusivity(face, i, table)
            share = d * max(face, 0.0) / total
            change = d + dd * face
            speed = f * (change - share * (change - dn - ddn * face_n)) - v[c + 1]
            physical = d * (1.0 - share) + dn * share
            needed = 0.5 * dx * abs(speed) - physical
            if needed <= 0.0:
                continue
            slope = (y[c + 1, i] - y[c, i]) / dx
            smooth = 0.0
            if abs(slope) * dx > 1e-6:
                smooth = 1.0
                if c > 0:
                    before = (y[c, i] - y[c - 1, i]) / (0.5 * (x[c + 1] - x[c - 1]))
                    smooth = min(smooth, before / slope)
                if c < n - 2:
                    after = (y[c + 2, i] - y[c + 1, i]) / (0.5 * (x[c + 3] - x[c + 1]))
                    smooth = min(smooth, after / slope)
            extra[c, i] = needed * (1.0 - max(0.0, smooth))


@jit
def fill_holes(x, state, beam, lam2, y):
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
        fractions(x, state, beam, lam2, y)
        if holes == 0:
            break
    return lowest


@jit
def equidistribute(x, y, surface, rho, goal):
    """Nodes ``goal`` of the mesh that the solution asks for.

    The wanted cell size is small where the fractions change and near the front surface, grows
    at a limited rate away from there, faster in untouched glass; the nodes share it out evenly.
    """
    n = x.size - 1
    k = y.shape[1]
    size = rho
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
    for c in range(n):
        rho[c] = 1.0 / size[c]
    for _ in range(n // 5):
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
    goal[n] = x[n]
    share = total / n
    c = 0
    passed = 0.0
    cell = rho[0] * (x[1] - x[0])
    for m in range(1, n):
        while passed + cell < m * share and c < n - 1:
            passed += cell
            c += 1
            cell = rho[c] * (x[c + 1] - x[c])
        goal[m] = x[c] + (m * share - passed) / rho[c]


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
    x,
    state,
    lam2,
    table,
    beam,
    potentiostatic,
    knots,
    values,
    t_end,
    charge_end,
    tol,
    first_step,
    surface,
    moving,
    max_steps,
    history,
):
    """Integrate until ``t_end`` or until ``charge_end`` has passed, in place.

    ``history[m] = (time, charge, current, voltage)`` before step m; the last row is the end.
    Returns (verdict, steps, rejected, factorisations, smallest fraction before it was mended).
    """
    n, k = state.shape
    native = k - 1
    y = np.empty((n, k))
    extra = np.zeros((n, k))
    lower, diag, upper = np.empty((n, k, k)), np.empty((n, k, k)), np.empty((n, k, k))
    stages = np.empty((6, n, k))
    argument, rate, rate_t = np.empty((n, k)), np.empty((n, k)), np.empty((n, k))
    unit = np.empty((n, k))
    x_stage, v_stage = np.empty(n + 1), np.empty(n + 1)
    v, bend = np.zeros(n + 1), np.zeros(n + 1)
    rho, goal, drift = np.empty(n), np.empty(n + 1), np.zeros(n + 1)
    start = 0.0
    for c in range(n):
        start += state[c, beam]
    t, dt, dt_before, charge = 0.0, first_step, 0.0, 0.0
    current, trend, memory, strongest = 0.0, 0.0, 0.0, 0.0
    steps, rejected, factorisations, lowest = 0, 0, 0, 0.0
    value, integral = recorded(0.0, knots, values)
    history[0, 0], history[0, 1], history[0, 3] = 0.0, 0.0, potential_drop(x, state)
    fractions(x, state, beam, lam2, y)
    equidistribute(x, y, surface, rho, goal)
    while steps + rejected < max_steps:
        remaining = t_end - t
        if dt > remaining:
            dt = remaining
        elif dt > 0.5 * remaining:
            dt = 0.5 * remaining
        small = 1e-6 * dt
        value_end, integral_end = recorded(t + dt, knots, values)
        drive = (value_end - value) / dt if potentiostatic else (integral_end - integral) / dt
        # The mesh moves on with the charge as it did, and half of the way to where it should be
        # now: a tracking filter, because the goal is known only through a discrete solution and
        # so is noisy. Under a voltage the current falls, and the nodes decelerate with it.
        pace, slope = drive, 0.0
        if potentiostatic:
            pace, slope = max(0.0, current + 0.5 * dt_before * trend), trend
        catch_up = 0.0 if memory == 0.0 else min(1.0, dt / memory)
        damp = 1.0 if moving else 0.0
        for m in range(1, n):
            v[m] = pace * drift[m] + 0.5 * catch_up * (goal[m] - x[m]) / dt
            bend[m] = slope * drift[m]
        for c in range(n):
            shrink = v[c] - v[c + 1] + 0.5 * dt * (bend[c] - bend[c + 1])
            shrink *= dt / (x[c + 1] - x[c])
            if shrink * damp > 0.7:
                damp = 0.7 / shrink
        for m in range(n + 1):
            v[m] *= damp
            bend[m] *= damp
            v_stage[m] = v[m] + small * bend[m]
            x_stage[m] = x[m] + small * v[m]

        stabilise(x, v, state, beam, lam2, table, y, extra)
        now = rhs(x, v, state, drive, potentiostatic, beam, lam2, table, extra, y, rate)
        history[steps, 2] = now
        shift = 1.0 / (GAMMA * dt)
        jacobian(x, v, state, beam, lam2, table, extra, y, shift, lower, diag, upper)
        factorise(lower, diag, upper)
        factorisations += 1
        rhs(x_stage, v_stage, state, drive, potentiostatic, beam, lam2, table, extra, y, rate_t)
        for c in range(n):
            for i in range(k):
                rate_t[c, i] = (rate_t[c, i] - rate[c, i]) / small
        border = 0.0
        if potentiostatic:
            for c in range(n):
                for i in range(k):
                    unit[c, i] = 1.0 / lam2 if i == native else 0.0
            unit[0, beam] = 1.0
            solve(lower, diag, upper, unit)
            for c in range(n):
                border += (face_width(x, c) * shift + face_width(v, c)) * unit[c, native]
        for s in range(6):
            if s > 0:
                for c in range(n):
                    for i in range(k):
                        total = state[c, i]
                        for q in range(s):
                            total += A_STAGE[s, q] * stages[q, c, i]
                        argument[c, i] = total
                step = ALPHA[s] * dt
                for m in range(n + 1):
                    v_stage[m] = v[m] + step * bend[m]
                    x_stage[m] = x[m] + step * (v[m] + 0.5 * step * bend[m])
                rhs(
                    x_stage, v_stage, argument, drive, potentiostatic, beam, lam2, table, extra, y,
                    rate,
                )  # fmt: skip
            b = stages[s]
            for c in range(n):
                for i in range(k):
                    total = rate[c, i] + GAMMA_T[s] * dt * rate_t[c, i]
                    for q in range(s):
                        total += C_STAGE[s, q] / dt * stages[q, c, i]
                    b[c, i] = total
            wanted = 0.0
            if potentiostatic:
                for c in range(n):
                    wanted += face_width(x, c) * b[c, native]
            solve(lower, diag, upper, b)
            if potentiostatic:
                # The border: the drop of the potential fixes the change of the current.
                for c in range(n):
                    weight = face_width(x, c) * shift + face_width(v, c)
                    wanted -= weight * b[c, native]
                for c in range(n):
                    for i in range(k):
                        b[c, i] += wanted / border * unit[c, i]
        error, scale = 0.0, 0.0
        for c in range(n):
            h = x_stage[c + 1] - x_stage[c]
            for i in range(k):
                argument[c, i] += stages[5, c, i]
                if i == native:
                    strongest = max(strongest, abs(argument[c, i]))
                    scale = max(abs(argument[c, i]), 0.6 * scale, 1e-8 * strongest)
                    relative = stages[5, c, i] / (4.0 * tol * scale + 1e-300)
                else:
                    relative = stages[5, c, i] / (tol * h)
                error += relative * relative
        error = math.sqrt(error / (n * k))
        if not error < 1.0:
            rejected += 1
            dt *= 0.3 if not error < 1e6 else max(0.2, 0.9 * error**-0.25)
            if dt < 1e-14 * (t + first_step):
                return STEP_TOO_SMALL, steps, rejected, factorisations, lowest
            continue
        if potentiostatic:
            # Send through the little charge that brings the potential back onto the voltage.
            drop, response = 0.0, 0.0
            for c in range(n):
                weight = face_width(x_stage, c)
                drop += weight * argument[c, native]
                response += weight * unit[c, native]
            for c in range(n):
                for i in range(k):
                    argument[c, i] += (value_end - drop) / response * unit[c, i]
        # Accepted, unless the charge aimed at lies elsewhere.
        charge_new = -start
        for c in range(n):
            charge_new += argument[c, beam]
        beyond = charge_new - charge_end
        if beyond > 1e-9 * charge_end:
            dt *= 1.0 - beyond / (charge_new - charge)
            continue
        finished = beyond > -1e-9 * charge_end or dt >= remaining
        for c in range(n):
            for i in range(k):
                state[c, i] = argument[c, i]
        for m in range(n + 1):
            x[m] = x_stage[m]
        trend = 0.0
        if dt_before > 0.0:
            trend = 2.0 * ((charge_new - charge) / dt - current) / (dt + dt_before)
        current = (charge_new - charge) / dt
        t += dt
        charge = charge_new
        value, integral = value_end, integral_end
        fractions(x, state, beam, lam2, y)
        lowest = min(lowest, fill_holes(x, state, beam, lam2, y))
        steps += 1
        history[steps, 0] = t
        history[steps, 1] = charge
        history[steps, 3] = potential_drop(x, state)
        if finished:
            history[steps, 2] = rhs(
                x, v, state, drive, potentiostatic, beam, lam2, table, extra, y, rate
            )
            return DONE, steps, rejected, factorisations, lowest
        equidistribute(x, y, max(surface, 0.03 * charge), rho, goal)
        dt_before = dt
        memory = max(dt, 0.7 * memory)  # a shrinking step must not speed up the filter
        if current > 0.0:  # a record may pause
            for m in range(1, n):
                drift[m] += 0.3 * (goal[m] - x[m]) / (current * memory)
        dt *= min(2.0, max(0.2, 0.7 * (error + 1e-12) ** -0.25))
    return TOO_MANY_STEPS, steps, rejected, factorisations, lowest


# --- lattice gas ---


@jit
def splitmix(state):
    """Two random integers of 32 bits from the splitmix64 generator held in ``state[0]``.

    With the state in the caller's hands a walk is reproducible and independent of threads.
    """
    state[0] += np.uint64(0x9E3779B97F4A7C15)
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z >> np.uint64(32), z & np.uint64(0xFFFFFFFF)


@jit
def exchange_walk(neighbours, steps, kind, occupant, vacant, state, windows, half, short, sums):
    """Exchange vacancies with random neighbours and add up squared displacements.

    ``neighbours[site, m]`` lies at the unit vector ``steps[kind[site], m]`` (three components)
    from its site; ``occupant[site]`` is a particle or -1, ``vacant[v]`` a site. An attempt picks
    a vacancy and a neighbour, and is lost when that is vacant too. Over ``windows`` of two halves
    of ``half`` attempts each, ``sums`` gains
    [0] the particles' squared displacements over the window less the mean of those over its two
    halves: ``half`` times the slope of the tracer curve, free of its offset;
    [1] the squared collective displacement over every ``short`` attempts; [2] the jumps.
    """
    particles = occupant.size - vacant.size
    long = np.zeros((particles, 3))  # displacement since the start of the window
    late = np.zeros((particles, 3))  # and since the start of its half
    seen = np.full(particles, -1)  # the half in which a particle has last moved
    picks = np.uint64(vacant.size)
    ways = np.uint64(neighbours.shape[1])
    total = np.zeros(3)
    for part in range(2 * windows):
        for _ in range(half // short):
            total[:] = 0.0
            for _ in range(short):
                high, low = splitmix(state)
                v = np.int64((high * picks) >> np.uint64(32))
                m = np.int64((low * ways) >> np.uint64(32))
                here = vacant[v]
                there = neighbours[here, m]
                p = occupant[there]
                if p < 0:
                    continue
                if seen[p] != part:
                    late[p] = 0.0
                    if seen[p] // 2 != part // 2:
                        long[p] = 0.0
                    seen[p] = part
                sums[0] += 0.5  # |long + u|^2 - |long|^2 less half of the same for late
                for axis in range(3):
                    u = -steps[kind[here], m, axis]
                    sums[0] += u * (2.0 * long[p, axis] - late[p, axis])
                    long[p, axis] += u
                    late[p, axis] += u
                    total[axis] += u
                sums[2] += 1.0
                occupant[here] = p
                occupant[there] = -1
                vacant[v] = there
            sums[1] += total[0] ** 2 + total[1] ** 2 + total[2] ** 2


@jit
def plant(tree, leaf, value):
    """Set a leaf of a binary tree whose every node holds the sum of its two children."""
    node = tree.size // 2 + leaf
    tree[node] = value
    while node > 1:
        node //= 2
        tree[node] = tree[2 * node] + tree[2 * node + 1]


@jit
def hop_walk(
    neighbours, steps, kind, rate, occupant, tree, state, last, windows, shorts, short, sums
):
    """Let ions hop on sites of unequal energy and add up squared displacements.

    An ion leaves ``site`` for each vacant neighbour at ``rate[site]``. An attempt picks an ion
    with a probability proportional to its rate from ``tree`` (`plant`; a leaf a site, its rate
    where occupied, else zero) and any neighbour, and is lost when that is occupied; it takes the
    mean time between attempts, so that no clock is drawn. Over ``windows`` of two halves of
    ``shorts`` times ``short`` jumps each, ``sums`` gains
    [0] the ions' squared displacements as in `exchange_walk`: half a window times the slope;
    [1] for each ``short`` jumps the squared collective displacement R and twice its product with
    the ``last`` one: ``short`` jumps times the slope; [2] the time; [3] the attempts.
    """
    leaves = tree.size // 2
    ions = 0
    for p in occupant:
        ions = max(ions, p + 1)
    long = np.zeros((ions, 3))
    late = np.zeros((ions, 3))
    seen = np.full(ions, -1)
    ways = neighbours.shape[1]
    total = np.zeros(3)
    for part in range(2 * windows):
        for _ in range(shorts):
            total[:] = 0.0
            jumps = 0
            while jumps < short:
                sums[2] += 1.0 / (ways * tree[1])
                sums[3] += 1.0
                high, low = splitmix(state)
                left = (high + low * 2.0**-32) * 2.0**-32 * tree[1]
                node = 1
                while node < leaves:
                    node *= 2
                    if left >= tree[node] and tree[node + 1] > 0.0:
                        left -= tree[node]
                        node += 1
                here = node - leaves
                # what is left of the random number chooses the neighbour
                m = min(int(ways * left / tree[node]), ways - 1)
                there = neighbours[here, m]
                if occupant[there] >= 0:
                    continue
                jumps += 1
                p = occupant[here]
                if seen[p] != part:
                    late[p] = 0.0
                    if seen[p] // 2 != part // 2:
                        long[p] = 0.0
                    seen[p] = part
                sums[0] += 0.5
                for axis in range(3):
                    u = steps[kind[here], m, axis]
                    sums[0] += u * (2.0 * long[p, axis] - late[p, axis])
                    long[p, axis] += u
                    late[p, axis] += u
                    total[axis] += u
                occupant[there] = p
                occupant[here] = -1
                plant(tree, here, 0.0)
                plant(tree, there, rate[there])
            for axis in range(3):
                sums[1] += total[axis] * (total[axis] + 2.0 * last[axis])
                last[axis] = total[axis]
