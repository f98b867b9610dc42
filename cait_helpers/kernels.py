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

import numpy as np

from .compiled import jit

# RODAS3, a stiffly accurate Rosenbrock method of order 3 with an embedded order 2
# (doi 10.1016/S1352-2310(97)83212-8). Its second stage is taken where the first one is.
GAMMA = 0.5
ALPHA = (0.0, 0.0, 1.0, 1.0)
GAMMA_S = (0.5, 1.5, 0.0, 0.0)
A_STAGE = np.array([[0.0, 0.0, 0.0], [0.0, 0.0, 0.0], [2.0, 0.0, 0.0], [2.0, 0.0, 1.0]])
C_STAGE = np.array([[0.0, 0.0, 0.0], [4.0, 0.0, 0.0], [1.0, -1.0, 0.0], [1.0, -1.0, -8.0 / 3.0]])

FRONT_CELLS = 60  # a front is some dozens of cells, however many there are elsewhere
DROP_SHARE = 0.3  # of the tolerance, that an error of the amounts may take of the potential
CATCH_UP = 0.45  # of the way to the wanted mesh in a step: all of it would follow the noise

CELL_CHANGE = 0.09  # change of the fractions over a cell: a dozen cells resolve a front
GRADE = 0.35  # growth of the cells with the distance: a ratio of about 1.4 between neighbours
UNTOUCHED = 1e-3  # change of the native fraction below which cells may grow faster still
SMOOTHINGS = 0.3  # a cell: nearly a fifth of the mesh then moves as one
PASSES = 25  # over one distance, if twice as many are too few; then over twice the distance
AT_REST = 1e-3  # of the two cells beside it may a node still move when the first mesh is done
ROUNDING = 1e-9  # of a voltage, that the difference of two integrals may leave of none
TRACE = 1e-30  # of N: no ion at all
DAMPED = 0.7  # of a cell at most may vanish in one step

AT_BACK = 0.2  # foreign ions at the back, where none passes: no run that ends well comes near it

DONE, TOO_MANY_STEPS, STEP_TOO_SMALL, ARRIVED = 0, 1, 2, 3

Setting = namedtuple("Setting", "lam2 table edges half_hops bottom beam potentiostatic clock_floor")
Setting.__doc__ = """What stays the same during a run.

``table`` and ``edges`` hold the diffusion coefficients (see ``coefficient``), ``half_hops`` half of
each ion's hop length (nm; zero for a drift in proportion to the field), ``bottom`` is the share of
the native ions that never moves, ``beam`` the number of the ion that the beam delivers. Under a
voltage ``clock_floor`` keeps the clock going where the current may vanish:
ds = (current + clock_floor) dt.

``half_hops`` is a tuple: numba knows its length, and unrolls the loops over the ions, which saves
a sixth of the time.
"""

Now = namedtuple("Now", "t charge dt_ds dq_ds bend ds_before value integral")
Now.__doc__ = """Where a run stands: time, charge, pace of both; value and integral of the record.

``bend`` is how fast dt/ds changes, over the last step of length ``ds_before``.
"""

Load = namedtuple("Load", "drive swing tilt dq_ds value integral")
Load.__doc__ = (
    """What the drive asks of a step: its value, total change and first slope, and its end."""
)

Room = namedtuple(
    "Room",
    "y D dD_dy numerical_D lower diag upper work stages trial rate rate_s per_time border"
    " width width_end x_end w goal drift size",
)
Room.__doc__ = """The arrays a run works in; see ``make_room``."""


@jit
def make_room(x, k):
    """Room to work in for one mesh and ``k`` ions; the mesh is at rest."""
    n = x.size - 1
    blocks, cells, nodes = (n, k, k), (n, k), n + 1
    return Room(
        np.empty(cells), np.empty(cells), np.empty(cells), np.zeros(cells),
        np.empty(blocks), np.empty(blocks), np.empty(blocks), np.empty((2, k, k)),
        np.empty((4, n, k)), np.empty(cells), np.empty(cells), np.empty(cells), np.empty(cells),
        np.empty(cells), np.empty(n), np.empty(n), x.copy(), np.zeros(nodes), np.empty(nodes),
        np.zeros(nodes), np.empty(n),
    )  # fmt: skip


@jit
def coefficient(y, ion, p):
    """D of one ion at the fraction ``y``, and dD/dy.

    ``table[ion, m]`` holds the cubic of D between r = m/M and (m + 1)/M, as powers of r M - m; of a
    constant, D and a nan in the first row. r is the square root of y. A law with an edge has half
    of the pieces above it, where r^2 is the share of the way from the edge to 1, then half below.
    Beyond y = 1, where only an excess charge leads, and not far, D is straight in r.
    """
    table, edge = p.table, p.edges[ion]
    if table[ion, 0, 1] != table[ion, 0, 1]:
        return table[ion, 0, 0], 0.0
    last, first = table.shape[1], 0
    per_range = 1.0 / (1.0 - edge)
    if edge > 0.0:
        last //= 2
        if y < edge:
            first, per_range, edge = last, 1.0 / edge, 0.0
    root = math.sqrt(max(y - edge, 0.0) * per_range)
    r = root * last
    m = min(int(r), last - 1)
    t = min(r - m, 1.0)
    m += first
    c1, c2, c3 = table[ion, m, 1], table[ion, m, 2], table[ion, m, 3]
    value = table[ion, m, 0] + t * (c1 + t * (c2 + t * c3))
    slope = c1 + t * (2.0 * c2 + 3.0 * t * c3)
    if r > last:
        value += slope * (min(r, 1.02 * last) - last)
    if root < 1e-6:
        return value, 0.0
    return value, 0.5 * slope * last / root * per_range


@jit
def drift(f, half_hop):
    """sinh(a f)/a and its slope cosh(a f), for half a hop length a; in plain arithmetic.

    A field lowers the barrier of a hop ahead, and raises that of one back, by its work over half
    a hop: as good as ``f`` for small fields.
    """
    if half_hop == 0.0:
        return f, 1.0
    u, doublings = half_hop * f, 0
    while abs(u) > 0.5 and doublings < 12:
        u, doublings = 0.5 * u, doublings + 1
    v = u * u
    sine = u * (1.0 + v / 6.0 * (1.0 + v / 20.0 * (1.0 + v / 42.0 * (1.0 + v / 72.0
        * (1.0 + v / 110.0 * (1.0 + v / 156.0))))))  # fmt: skip
    cosine = math.sqrt(1.0 + sine * sine)
    for _ in range(doublings):
        sine, cosine = 2.0 * sine * cosine, 1.0 + 2.0 * sine * sine
    return sine / half_hop, cosine


@jit
def drift_excess(f, half_hop):
    """The drift over that in proportion to the field: one and more."""
    return 1.0 if half_hop == 0.0 or f == 0.0 else drift(f, half_hop)[0] / f


@jit
def face_width(x, c):
    """Width that the field at the right face of cell c stands for."""
    n = x.size - 1
    left = x[1] - x[0] if c == 0 else 0.5 * (x[c + 1] - x[c])
    right = 0.0 if c == n - 1 else 0.5 * (x[c + 2] - x[c + 1])
    return left + right


@jit
def weigh(x, w, state, width):
    """Fill the ``width`` of each face; returns how fast the moving mesh changes the drop."""
    motion = 0.0
    for c in range(width.size):
        width[c] = face_width(x, c)
        motion += face_width(w, c) * state[c, -1]
    return motion


@jit
def fractions(p, x, state, y):
    """Fill ``y[c, i]`` from the amounts; the native ion from Gauss's law."""
    n, k = state.shape[0], len(p.half_hops)
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
def drop_error(p, x, width, state, y, D, dD_dy, errors):
    """What the ``errors`` of the amounts do to the potential difference at one current.

    Few native ions left behind carry much of the current: errors of the amounts that are small
    among all ions need not be small there. ``y``, ``D`` and ``dD_dy`` as left by ``stabilise``.
    """
    n, k = state.shape[0], len(p.half_hops)
    native = k - 1
    total = 0.0
    for c in range(n - 1):
        conductance, change, f = 0.0, 0.0, state[c, native]
        pull = drift(f, p.half_hops[native])[0]
        mobile_n = (D[c, native] + dD_dy[c, native] * y[c, native]) * pull
        for i in range(k):
            pull, gain = drift(f, p.half_hops[i])
            conductance += D[c, i] * max(y[c, i], 0.0) * gain
            if i < native:  # each takes the place of a native ion
                mobile = (D[c, i] + dD_dy[c, i] * y[c, i]) * pull
                change += (mobile - mobile_n) * errors[c, i]
        total -= width[c] * change / (conductance * (x[c + 1] - x[c]))
    return total


@jit
def rhs(p, x, w, state, drive, width, motion, numerical_D, y, per_time, out):
    """Fill ``out`` with d(state)/ds on a mesh that moves with ``w``; returns dt/ds.

    ``drive`` is the current, or the rate of change of the voltage. All rates are (dt/ds)
    ``per_time`` plus a part that knows no time: what the mesh sweeps over, what the charge brings,
    and the numerical diffusivities ``numerical_D`` of ``stabilise``.

    Under a voltage dt/ds follows from the drop of the potential: the fields times ``width``, those
    of the start of the step, and what the mesh makes of it, ``motion``. Constant weights make the
    drop a linear function of the state, which a Rosenbrock method holds exactly in each stage.
    """
    n, k = state.shape[0], len(p.half_hops)
    native = k - 1
    fractions(p, x, state, y)
    for i in range(native):
        per_time[0, i] = 0.0
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
            D, _ = coefficient(face, i, p)
            flux = D * (face * drift(f, p.half_hops[i])[0] - change)
            total += flux
            shift = w[c + 1] * face
            rest -= shift
            if i < native:
                shift += numerical_D[c, i] * change
                per_time[c, i] -= flux
                per_time[c + 1, i] = flux
                out[c, i] += shift
                out[c + 1, i] = -shift
        per_time[c, native] = total
        out[c, native] = rest
        conducted += width[c] * total
        swept += width[c] * rest
        ha = hb
    # Native ions leave through the back, where their density is N.
    f, _ = drift(state[n - 1, native], p.half_hops[native])
    total = coefficient(1.0, native, p)[0] * (f - (1.0 - y[n - 1, native]) / (0.5 * ha))
    per_time[n - 1, native] = total
    out[n - 1, native] = 0.0
    dt_ds, charging, clock_floor = 1.0, drive, 0.0
    if p.potentiostatic:
        clock_floor, charging = p.clock_floor, 1.0
        conducted += width[n - 1] * total + clock_floor * x[n]
        dt_ds = (x[n] - swept + p.lam2 * motion) / (conducted + p.lam2 * drive)
        per_time[0, p.beam] -= clock_floor
    out[0, p.beam] += charging
    per_lam2 = 1.0 / p.lam2
    for c in range(n):
        per_time[c, native] = -(per_time[c, native] + clock_floor) * per_lam2
        out[c, native] = (charging - out[c, native]) * per_lam2
        for i in range(k):
            out[c, i] += dt_ds * per_time[c, i]
    return dt_ds


@jit
def rest_field(p, x, state, drive):
    """Set the fields of the start: electroneutral glass with one current everywhere.

    ``drive`` is the current or the voltage. The sheet charge is attached as ions of the beam. By
    Newton's method, face by face; the first step is all where drift is proportional to the field.
    """
    n, k = state.shape[0], len(p.half_hops)
    plain = Setting(p.lam2, p.table, p.edges, p.half_hops, p.bottom, p.beam, False, 0.0)
    room = make_room(x, k)
    weigh(x, room.w, state, room.width)
    field, current, slope = np.zeros(n), np.empty(n), np.empty(n)
    for again in range(30):
        step = 1.0 if again == 0 else 1e-4
        for trial in range(2):
            for c in range(n):
                state[c, k - 1] = field[c] + trial * step * (1.0 + abs(field[c]))
            sheet = p.lam2 * state[0, k - 1]
            state[0, p.beam] += sheet
            rhs(
                plain, x, room.w, state, 0.0, room.width, 0.0, room.numerical_D, room.y,
                room.per_time, room.rate,
            )  # fmt: skip
            state[0, p.beam] -= sheet
            for c in range(n):
                found = -p.lam2 * room.per_time[c, k - 1]
                if trial == 0:
                    current[c] = found
                else:
                    slope[c] = (found - current[c]) / (step * (1.0 + abs(field[c])))
        wanted = drive
        if p.potentiostatic:
            resistance = 0.0
            for c in range(n):
                wanted += room.width[c] * (current[c] / slope[c] - field[c])
                resistance += room.width[c] / slope[c]
            wanted /= resistance
        change = 0.0
        for c in range(n):
            step = (wanted - current[c]) / slope[c]
            field[c] += step
            change = max(change, abs(step) / (1e-9 + abs(field[c])))
        if change < 1e-9 or max(p.half_hops) == 0.0:
            break
    for c in range(n):
        state[c, k - 1] = field[c]
    state[0, p.beam] += p.lam2 * field[0]


@jit
def jacobian(p, x, w, state, dt_ds, numerical_D, y, D, dD_dy, shift, lower, diag, upper):
    """Blocks of ``shift I - d rhs / d state`` at fixed dt/ds.

    ``y`` as left by ``rhs``; ``D`` and ``dD_dy`` as left by ``stabilise``.
    """
    n, k = state.shape[0], len(p.half_hops)
    native = k - 1
    per_lam2 = 1.0 / p.lam2
    lower[:], diag[:], upper[:] = 0.0, 0.0, 0.0
    for c in range(n):
        for i in range(k):
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
            diffusion = dt_ds * D[c, i]
            pull, gain = drift(f, p.half_hops[i])
            moved = diffusion * pull + dt_ds * dD_dy[c, i] * (face * pull - change) - w[c + 1]
            by_left = (wa * moved + diffusion * per_dx) * per_ha
            by_right = ((1.0 - wa) * moved - diffusion * per_dx) * per_hb
            by_field = diffusion * face * gain
            if i < native:
                # the total current: the native ion returns what numerical diffusion moves
                diag[c, native, i] += by_left * per_lam2
                upper[c, native, i] += by_right * per_lam2
                diag[c, native, native] += by_field * per_lam2
                if c == 0 and i == p.beam:  # its fraction counts without the sheet
                    diag[0, native, native] -= by_left
                by_left += numerical_D[c, i] * per_dx * per_ha
                by_right -= numerical_D[c, i] * per_dx * per_hb
                # this ion's balance in the two cells
                diag[c, i, i] += by_left
                upper[c, i, i] += by_right
                diag[c, i, native] += by_field
                lower[c + 1, i, i] -= by_left
                diag[c + 1, i, i] -= by_right
                lower[c + 1, i, native] -= by_field
                if c == 0 and i == p.beam:
                    diag[0, i, native] -= by_left * p.lam2
                    lower[1, i, native] += by_left * p.lam2
            else:
                for m in range(native):
                    diag[c, native, m] -= by_left * per_lam2
                    upper[c, native, m] -= by_right * per_lam2
                diag[c, native, native] += by_field * per_lam2 + by_left - by_right
                upper[c, native, native] += by_right
                if c > 0:
                    lower[c, native, native] -= by_left
        per_ha = per_hb
    diffusion = dt_ds * coefficient(1.0, native, p)[0]
    gain = drift(state[n - 1, native], p.half_hops[native])[1]
    by_left = 2.0 * diffusion * per_ha * per_ha
    for m in range(native):
        diag[n - 1, native, m] -= by_left * per_lam2
    diag[n - 1, native, native] += diffusion * gain * per_lam2 + by_left
    lower[n - 1, native, native] -= by_left


@jit
def rhs_change(p, x, w, state, dt_ds, drive, tilt, width, numerical_D, y, D, dD_dy, per_time, out):
    """Fill ``out`` with the derivative of ``rhs`` in s at a fixed state: the mesh moves on.

    ``dt_ds`` and ``per_time`` as left by ``rhs``, ``y``, ``D`` and ``dD_dy`` by ``stabilise``;
    ``tilt`` is d(current)/ds. Not by differences: the fluxes are small differences of large terms,
    and of two that are alike to six digits the noise would run the step control.
    """
    n, k = state.shape[0], len(p.half_hops)
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
            pull, _ = drift(f, p.half_hops[i])
            flux = dD_dy[c, i] * face_s * (face * pull - slope) + D[c, i] * (
                face_s * pull - slope_s
            )
            total += flux
            shift = w[c + 1] * face_s
            rest -= shift
            if i < native:
                shift += numerical_D[c, i] * slope_s
                moved = shift - dt_ds * flux
                out[c, i] += moved
                out[c + 1, i] = -moved
        out[c, native] = -(dt_ds * total + rest) * per_lam2
        conducted += width[c] * total
        swept += width[c] * rest
        conducts -= width[c] * p.lam2 * per_time[c, native]
        ha, ga = hb, gb
    total = 4.0 * coefficient(1.0, native, p)[0] * (1.0 - y[n - 1, native]) * ga / ha
    out[n - 1, native] = -dt_ds * total * per_lam2
    if p.potentiostatic:
        conducted += width[n - 1] * total
        conducts -= width[n - 1] * p.lam2 * per_time[n - 1, native]
        clock_s = -(swept + dt_ds * (conducted + p.lam2 * tilt)) / conducts
        for c in range(n):
            for i in range(k):
                out[c, i] += clock_s * per_time[c, i]
    else:
        out[0, p.beam] += tilt
        for c in range(n):
            out[c, native] += tilt * per_lam2


@jit
def invert(a, inverse):
    """Inverse of a small matrix by Gauss-Jordan with row pivoting; ``a`` is destroyed."""
    k = a.shape[0]
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
def stabilise(p, x, w, state, dt_ds, y, D, dD_dy, numerical_D):
    """Numerical diffusivity of each foreign ion at each face, frozen for one step.

    Central fluxes oscillate where the flow relative to the mesh outruns diffusion across a cell
    (ahead of the front, where cells are large). There the flux turns to upwind, limited so that
    smooth monotone data keep the second-order central flux. The native ion makes room for what
    numerical diffusion moves. Leaves D and dD/dy of all ions at the faces in ``D`` and ``dD_dy``.
    """
    n, k = state.shape[0], len(p.half_hops)
    native = k - 1
    fractions(p, x, state, y)
    for c in range(n - 1):
        f = state[c, native]
        ha, hb = x[c + 1] - x[c], x[c + 2] - x[c + 1]
        wa, dx = hb / (ha + hb), 0.5 * (ha + hb)
        total, face = 0.0, 0.0
        for i in range(k):
            face = wa * y[c, i] + (1.0 - wa) * y[c + 1, i]
            D[c, i], dD_dy[c, i] = coefficient(face, i, p)
            excess = drift_excess(f, p.half_hops[i])
            total += D[c, i] * max(face, 0.0) * excess
        native_face = face
        change_n = (D[c, native] + dD_dy[c, native] * face) * drift_excess(f, p.half_hops[native])
        for i in range(native):
            numerical_D[c, i] = 0.0
            face = wa * y[c, i] + (1.0 - wa) * y[c + 1, i]
            excess = drift_excess(f, p.half_hops[i])
            share = D[c, i] * max(face, 0.0) * excess / total
            change = (D[c, i] + dD_dy[c, i] * face) * excess
            # The others make room for it, on the mean of all that are there: native ions that are
            # not must not lend their diffusion to two foreign ions.
            among, D_others, change_others = max(native_face, 0.0) + TRACE, D[c, native], change_n
            for m in range(native):
                if m != i:
                    there = wa * y[c, m] + (1.0 - wa) * y[c + 1, m]
                    change_m = (D[c, m] + dD_dy[c, m] * there) * drift_excess(f, p.half_hops[m])
                    there = max(there, 0.0) + TRACE
                    among += there
                    D_others += there / among * (D[c, m] - D_others)
                    change_others += there / among * (change_m - change_others)
            speed = dt_ds * f * (change - share * (change - change_others)) - w[c + 1]
            physical = dt_ds * (D[c, i] * (1.0 - share) + D_others * share)
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
            numerical_D[c, i] = needed * (1.0 - max(0.0, smooth))


@jit
def fill_holes(p, x, state, y):
    """Move the little that an ion lacks in a cell there from a cell nearby: none is negative.

    Nor are there fewer native ions than never move. Conserves every ion. Returns the most that
    lacked, as a negative fraction; the step control keeps it below the time error.
    """
    n, k = state.shape[0], len(p.half_hops)
    native = k - 1
    lowest = 0.0
    for _ in range(5):
        holes = 0
        for c in range(n):
            for i in range(k):
                least = p.bottom if i == native else 0.0
                if y[c, i] >= least - 1e-14:
                    continue
                holes += 1
                lowest = min(lowest, y[c, i] - least)
                need = (least - y[c, i]) * (x[c + 1] - x[c])
                giver = -1
                for reach in range(1, n):  # the nearest cell that has enough
                    for g in (c - reach, c + reach):
                        if 0 <= g < n and (y[g, i] - least) * (x[g + 1] - x[g]) > 2.0 * need:
                            if giver < 0 or y[g, i] > y[giver, i]:
                                giver = g
                    if giver >= 0:
                        break
                if giver < 0:
                    continue
                y[c, i] = least
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
def smooth(rho):
    """Spread each number over its neighbours, as far as the root of 0.15 times their number.

    A pass takes a quarter, a half and a quarter of three numbers, over twice the distance with the
    effect of four passes.
    """
    n = rho.size
    left, reach = SMOOTHINGS * n, 1
    while left >= 1.0:
        passes = int(left)
        if passes > 2 * PASSES:
            passes = PASSES
        for _ in range(passes):
            for first in range(reach):
                before = rho[first]
                for c in range(first, n, reach):
                    here = rho[c]
                    after = rho[c + reach] if c + reach < n else here
                    rho[c] = 0.25 * before + 0.5 * here + 0.25 * after
                    before = here
        left, reach = 0.25 * (left - passes), 2 * reach


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
        size[c] = min(CELL_CHANGE / (steep + 1e-30), surface + GRADE * middle)
    for c in range(1, n):
        change = abs(1.0 - y[c, k - 1])
        grade = GRADE + UNTOUCHED / (UNTOUCHED + change)
        size[c] = min(size[c], size[c - 1] + grade * 0.5 * (x[c + 1] - x[c - 1]))
    for c in range(n - 2, -1, -1):
        size[c] = min(size[c], size[c + 1] + GRADE * 0.5 * (x[c + 2] - x[c]))
    rho = size
    for c in range(n):
        rho[c] = 1.0 / size[c]
    smooth(rho)  # takes the noise of the discrete solution out of the motion of the nodes
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
    # Nodes where 1 + GRADE x / surface are powers of one ratio. The root by Newton's method, from
    # above: plain arithmetic, so that every machine gets the same.
    whole = 1.0 + GRADE * thickness / surface
    ratio, left = whole, cells
    while left > 1:
        ratio, left = math.sqrt(ratio), left // 2
    for _ in range(60):
        power = 1.0
        for _ in range(cells):
            power *= ratio
        ratio *= 1.0 - (1.0 - whole / power) / cells
        if power < whole * (1.0 + 1e-12):
            break
    power = 1.0
    for m in range(cells + 1):
        x[m] = (power - 1.0) * surface / GRADE
        power *= ratio
    x[cells] = thickness
    y = np.ones((cells, 1))
    for _ in range(30):
        equidistribute(x, y, surface, size, goal)
        moved = 0.0
        for m in range(1, cells):
            moved = max(moved, abs(goal[m] - x[m]) / (x[m + 1] - x[m - 1]))
        for m in range(1, cells):
            x[m] = goal[m]
        if moved < AT_REST:
            break
    return x


@jit
def pursue(x, goal, drift, dq_ds, memory, ds, w):
    """Node velocities of one step: on with the charge as before, and part of the way to the goal.

    A tracking filter, because the goal is known only through a discrete solution and so is noisy.
    Of the way to the goal a step goes the less, the less charge it carries of the ``memory``.
    All are slowed down alike if a cell would lose more than ``DAMPED`` of itself.
    """
    n = x.size - 1
    catch_up = CATCH_UP
    if dq_ds > 0.0:  # in a pause there is time to catch up
        catch_up *= min(1.0, dq_ds * ds / memory)
    w[0], w[n] = 0.0, 0.0
    for m in range(1, n):
        w[m] = dq_ds * drift[m] + catch_up * (goal[m] - x[m]) / ds
    damp = 1.0
    for c in range(n):
        shrink = (w[c] - w[c + 1]) * ds / (x[c + 1] - x[c])
        if shrink * damp > DAMPED:
            damp = DAMPED / shrink
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
    """Value and integral from zero at time ``t`` of a record of two knots and more."""
    integral, m = 0.0, 0
    while t > knots[m + 1] and m < knots.size - 2:
        integral += 0.5 * (values[m] + values[m + 1]) * (knots[m + 1] - knots[m])
        m += 1
    slope = (values[m + 1] - values[m]) / (knots[m + 1] - knots[m])
    s = t - knots[m]
    return values[m] + slope * s, integral + s * (values[m] + 0.5 * slope * s)


@jit
def inverse_cube_root(v):
    """v^(-1/3) of a positive number in plain arithmetic, so that every machine gets the same."""
    scale = 1.0
    while v > 1.0:
        v, scale = 0.125 * v, 0.5 * scale
    while v < 0.125:
        v, scale = 8.0 * v, 2.0 * scale
    root = 2.1 - 1.1 * v
    for _ in range(6):  # Newton's method; five would do
        root *= (4.0 - v * root * root * root) / 3.0
    return scale * root


@jit
def aim(p, now, ds, t_end, charge_end):
    """A step that ends where the run ends, or leaves more than a little for the next one."""
    left = (t_end - now.t) / now.dt_ds
    if p.potentiostatic:
        ahead = now.dt_ds * now.dt_ds + 2.0 * now.bend * (t_end - now.t)
        if ahead > 0.0:  # dt/ds goes on changing as it did
            left = 2.0 * (t_end - now.t) / (now.dt_ds + math.sqrt(ahead))
        left = min(left, (charge_end - now.charge) / now.dq_ds)
    if ds > left:
        return left
    return 0.5 * left if ds > 0.5 * left else ds


@jit
def load_of_drive(p, now, ds, knots, values):
    """What the record asks of the next step."""
    # a parabola with the ends and the integral of the record
    time = now.dt_ds * ds
    value, integral = recorded(now.t + time, knots, values)
    swing, mean = value - now.value, (integral - now.integral) / time
    bulge = 6.0 * (mean - now.value - 0.5 * swing)
    if p.potentiostatic:
        if abs(bulge) < ROUNDING * (abs(now.value) + abs(value)):
            bulge = 0.0
        turn = -2.0 * bulge / time
        return Load((swing + bulge) / time, turn, turn / ds, now.dq_ds, value, integral)
    return Load(now.value, swing, (swing + bulge) / ds, mean, value, integral)


@jit
def rosenbrock_step(p, x, state, load, dt_ds, motion, ds, room):
    """The four stages of one step; leaves the end in ``room.trial``, its error in ``stages[3]``.

    ``dt_ds`` as expected; returned is the one of the start. ``border`` is left as the response of
    the state to a change of dt/ds.
    """
    n = x.size - 1
    y, D, dD_dy, numerical_D = room.y, room.D, room.dD_dy, room.numerical_D
    w, width, stages, rate, rate_s = room.w, room.width, room.stages, room.rate, room.rate_s
    lower, diag, upper, work = room.lower, room.diag, room.upper, room.work
    border, trial, drive = room.border, room.trial, load.drive
    stabilise(p, x, w, state, dt_ds, y, D, dD_dy, numerical_D)
    dt_ds = rhs(p, x, w, state, drive, width, motion, numerical_D, y, border, rate)
    shift = 1.0 / (GAMMA * ds)
    jacobian(p, x, w, state, dt_ds, numerical_D, y, D, dD_dy, shift, lower, diag, upper)
    factorise(lower, diag, upper, work)
    rhs_change(
        p, x, w, state, dt_ds, drive, load.tilt, width, numerical_D, y, D, dD_dy, border, rate_s
    )
    response = 0.0
    if p.potentiostatic:  # what a change of dt/ds does
        solve(lower, diag, upper, border, work)
        response = voltage(width, border) * shift - drive
    for s in range(4):
        if s > 1:
            combine(state, A_STAGE[s, 0], stages[0], trial)
            for q in range(1, s):
                combine(trial, A_STAGE[s, q], stages[q], trial)
            for m in range(1, n):
                room.x_end[m] = x[m] + ALPHA[s] * ds * w[m]
            drive = load.drive + ALPHA[s] * load.swing
            rhs(
                p, room.x_end, w, trial, drive, width, motion, numerical_D, y, room.per_time, rate
            )  # fmt: skip
        b = stages[s]
        combine(rate, GAMMA_S[s] * ds, rate_s, b)
        for q in range(s):
            combine(b, C_STAGE[s, q] / ds, stages[q], b)
        wanted = voltage(width, b)
        solve(lower, diag, upper, b, work)
        if p.potentiostatic:  # the drop of the potential fixes the change of dt/ds
            combine(b, (wanted - voltage(width, b) * shift) / response, border, b)
    combine(trial, 1.0, stages[3], trial)
    return dt_ds


@jit
def error_in_time(p, t, dt_ds, ds, tol, room):
    """Estimated error of a step over the tolerance."""
    n, k = room.trial.shape[0], len(p.half_hops)
    native = k - 1
    wrong_of, x_end = room.stages[3], room.x_end
    # The field counts by the charge that it stands for: it follows the ions at once.
    error, before = 0.0, 0.0
    for c in range(n):
        per_tol_h = 1.0 / (tol * (x_end[c + 1] - x_end[c]))
        for i in range(k):
            wrong = wrong_of[c, i]
            if i == native:
                wrong, before = p.lam2 * (wrong - before), wrong
            error += (wrong * per_tol_h) ** 2
    error = math.sqrt(error / (min(n, FRONT_CELLS) * k))
    if p.potentiostatic:  # but the current follows the field, and so the time
        drop = drop_error(p, x_end, room.width, room.trial, room.y, room.D, room.dD_dy, wrong_of)
        share = min(1.0, 30.0 * dt_ds * ds / (t + dt_ds * ds))  # short steps are little time
        drop /= DROP_SHARE * tol * voltage(room.width, room.trial)
        error = max(error, share * abs(drop))
    return error


@jit
def beam_ions(p, state, total):
    """``total`` and the ions of the beam, in the glass and on it."""
    for c in range(state.shape[0]):
        total += state[c, p.beam]
    return total


@jit
def current(p, dt_ds, value):
    """The current: under a voltage that of the clock, else the ``value`` of the record."""
    return 1.0 / dt_ds - p.clock_floor if p.potentiostatic else value


@jit
def meet_voltage(p, now, load, dt_ds, motion, ds, start, tol, knots, values, room):
    """Where a step under a voltage ends, and the error of its time over the tolerance.

    The time follows by a parabola through dt/ds at the ends of the step and before it; then the
    little time passes, too little to count, that leaves the voltage of that time.
    """
    value, integral = load.value, load.integral
    for c in range(room.width_end.size):
        room.width_end[c] = face_width(room.x_end, c)
    lift = voltage(room.width_end, room.border)
    t, curved, bend, after = now.t, 0.0, 0.0, dt_ds
    for again in range(3):
        missing = value - voltage(room.width_end, room.trial)
        combine(room.trial, missing / lift, room.border, room.trial)
        if again == 2:
            break
        after = rhs(
            p, room.x_end, room.w, room.trial, load.drive, room.width_end, motion,
            room.numerical_D, room.y, room.per_time, room.rate,
        )  # fmt: skip
        bend = (after - dt_ds) / ds
        if now.ds_before > 0.0:
            curved = (bend - now.bend) / (ds + now.ds_before) * (ds * ds * ds) / 6.0
        t = now.t + 0.5 * (dt_ds + after) * ds - curved
        aimed = value
        value, integral = recorded(t, knots, values)
        if value == aimed:
            break
    charge = beam_ions(p, room.trial, -start)
    dq_ds = (charge - now.charge) / ds
    error = abs(curved) / (0.1 * tol * t)
    return Now(t, charge, after, dq_ds, bend, ds, value, integral), error


@jit
def share_within(p, now, end, dt_ds, ds, t_end, charge_end):
    """The share of a step that stays within the end of the run."""
    within = 1.0
    if end.charge > charge_end:
        within = (charge_end - now.charge) / (end.charge - now.charge)
    if p.potentiostatic and end.t > t_end:  # on the parabola from t, with its slope there
        curve = end.t - now.t - dt_ds * ds
        root = math.sqrt(max((dt_ds * ds) ** 2 + 4.0 * curve * (t_end - now.t), 0.0))
        within = min(within, 2.0 * (t_end - now.t) / (dt_ds * ds + root))
    return within


@jit
def accept(p, x, state, room):
    """Take the trial over into ``x`` and ``state``.

    Returns the lowest fraction before mending and the largest field.
    """
    for c in range(state.shape[0]):
        x[c] = room.x_end[c]
        for i in range(state.shape[1]):
            state[c, i] = room.trial[c, i]
    fractions(p, x, state, room.y)
    lowest, strongest = fill_holes(p, x, state, room.y), 0.0
    for c in range(room.width.size):
        room.width[c] = face_width(x, c)
        strongest = max(strongest, abs(state[c, -1]))
    return lowest, strongest


@jit
def learn_mesh(x, charge, passed, memory, surface, first_step, room):
    """Lay out the mesh that the solution asks for, and learn where its nodes drift.

    ``memory`` is the charge over which the drift is told; returned is the one of the next step.
    """
    equidistribute(x, room.y, max(surface, 0.03 * charge), room.size, room.goal)
    if passed <= 1e-9 * charge:  # a record may pause, and a front starts anew thereafter
        for m in range(x.size):
            room.drift[m] = 0.0
        return first_step
    memory = max(passed, 0.95 * memory)  # a shrinking step must not speed up the filter
    for m in range(1, x.size - 1):
        room.drift[m] += 0.25 * (room.goal[m] - x[m]) / memory
    return memory


@jit
def advance(
    p, x, state, knots, values, t_end, charge_end, tol, first_step, surface, moving, max_steps,
    history,
):  # fmt: skip
    """Integrate until ``t_end`` or until ``charge_end`` has passed, in place.

    ``history[m] = (time, charge, current, voltage)`` before step m; the last row is the end.
    Returns (verdict, steps, rejected, factorisations, smallest fraction before it was mended,
    largest field).
    """
    room = make_room(x, state.shape[1])
    weigh(x, room.w, state, room.width)
    start = beam_ions(p, state, 0.0)
    value, integral = recorded(0.0, knots, values)
    now = Now(0.0, 0.0, 1.0, 1.0, 0.0, 0.0, value, integral)
    ds, memory = first_step, first_step
    steps, rejected, attempts, lowest, strongest = 0, 0, 0, 0.0, 0.0
    history[0, 0], history[0, 1], history[0, 3] = 0.0, 0.0, voltage(room.width, state)
    fractions(p, x, state, room.y)
    equidistribute(x, room.y, surface, room.size, room.goal)
    while steps + rejected < max_steps:
        ds = aim(p, now, ds, t_end, charge_end)
        load = load_of_drive(p, now, ds, knots, values)
        if moving:
            pursue(x, room.goal, room.drift, load.dq_ds, memory, ds, room.w)
        motion = weigh(x, room.w, state, room.width)
        dt_ds = rosenbrock_step(p, x, state, load, now.dt_ds, motion, ds, room)
        attempts += 1
        history[steps, 2] = current(p, dt_ds, now.value)
        error = error_in_time(p, now.t, dt_ds, ds, tol, room)
        if p.potentiostatic and error < 1.0:
            end, error_t = meet_voltage(
                p, now, load, dt_ds, motion, ds, start, tol, knots, values, room
            )
            error = max(error, error_t)
        else:
            charge = beam_ions(p, room.trial, -start)
            end = Now(now.t + ds, charge, 1.0, load.dq_ds, 0.0, ds, load.value, load.integral)
        if not (error < 1.0 and end.t > now.t):
            rejected += 1
            ds *= max(0.2, 0.9 * inverse_cube_root(error)) if 1.0 <= error < 1e6 else 0.3
            if ds < 1e-14 * (max(now.t, now.charge) + first_step):
                return STEP_TOO_SMALL, steps, rejected, attempts, lowest, strongest
            continue
        within = share_within(p, now, end, dt_ds, ds, t_end, charge_end)
        if within < 1.0 - 1e-9:
            ds *= within
            continue
        passed, now = end.charge - now.charge, end
        low, strong = accept(p, x, state, room)
        lowest, strongest = min(lowest, low), max(strongest, strong)
        steps += 1
        history[steps, 0], history[steps, 1] = now.t, now.charge
        history[steps, 3] = voltage(room.width, state)
        if now.charge > charge_end * (1.0 - 1e-9) or now.t > t_end * (1.0 - 1e-9):
            dt_ds = rhs(
                p, x, room.w, state, load.drive, room.width, motion,
                room.numerical_D, room.y, room.per_time, room.rate,
            )  # fmt: skip
            history[steps, 2] = current(p, dt_ds, now.value)
            return DONE, steps, rejected, attempts, lowest, strongest
        if moving and room.y[-1, :-1].sum() > AT_BACK:
            history[steps, 2] = current(p, dt_ds, now.value)
            return ARRIVED, steps, rejected, attempts, lowest, strongest
        memory = learn_mesh(x, now.charge, passed, memory, surface, first_step, room)
        ds *= min(2.0, max(0.2, 0.8 * inverse_cube_root(error + 1e-12)))
    return TOO_MANY_STEPS, steps, rejected, attempts, lowest, strongest
