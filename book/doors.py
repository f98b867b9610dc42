"""The doors of the page's solver: numbers and pointers in, arrays made of them, a kernel called.

JavaScript hands over 32-bit integers (``i4``), doubles (``f8``) and places in the memory of the
module (``at``). Nothing is computed here: every door is one call of what the package itself calls.
"""

from __future__ import annotations

import numpy as np
from numba import carray, types

from cait_helpers import elementary, kernels, reading

i4, f8, at = types.int32, types.float64, types.CPointer(types.float64)
TWO, THREE = (0.0, 0.0), (0.0, 0.0, 0.0)  # ions, whose drift is in proportion to the field


@elementary.jit
def setting(hops, pieces, table, lam2, beam, potentiostatic):
    """Laws without an edge, and a drive that never pauses."""
    laws = carray(table, (len(hops), pieces, 4))
    none = np.zeros(len(hops))
    return kernels.Setting(lam2, laws, none, hops, 0.0, beam, potentiostatic != 0, 0.0)


def table(pieces, floor, D_bulk, sigma, occupancy, kT, unit, out):
    share = elementary.shares(pieces, floor)
    law = elementary.gaussian_law(share, D_bulk, sigma, occupancy, kT)
    carray(out, (pieces, 4))[:] = elementary.cubic_pieces(law / unit)


def untouched_mesh(surface, thickness, cells, x):
    carray(x, cells + 1)[:] = kernels.untouched_mesh(surface, thickness, cells)


def rest_field(cells, pieces, table, lam2, beam, potentiostatic, x, state, drive):
    p = setting(TWO, pieces, table, lam2, beam, potentiostatic)
    kernels.rest_field(p, carray(x, cells + 1), carray(state, (cells, 2)), drive)


def advance(
    cells, k, pieces, table, lam2, beam, potentiostatic, x, state, drive, t_end, charge_end, tol,
    first_step, surface, max_steps, history, out,
):  # fmt: skip
    nodes, amounts = carray(x, cells + 1), carray(state, (cells, k))
    knots, values = carray(drive, (2, 2))
    passed = carray(history, (max_steps + 1, 4))
    if k == 2:
        found = kernels.advance(
            setting(TWO, pieces, table, lam2, beam, potentiostatic), nodes, amounts, knots, values,
            t_end, charge_end, tol, first_step, surface, True, max_steps, passed,
        )  # fmt: skip
    else:
        found = kernels.advance(
            setting(THREE, pieces, table, lam2, beam, potentiostatic), nodes, amounts, knots,
            values, t_end, charge_end, tol, first_step, surface, True, max_steps, passed,
        )  # fmt: skip
    out[0], out[1], out[2], out[3], out[4], out[5] = found


def fractions(cells, lam2, beam, x, state, y):
    nodes, found = carray(x, cells + 1), carray(y, (cells, 2))
    p = setting(TWO, 0, y, lam2, beam, 0)
    kernels.fractions(p, nodes, carray(state, (cells, 2)), found)


def sample(cells, k, x, y, points, places, out):
    found = reading.sample(carray(x, cells + 1), carray(y, (cells, k)), carray(places, points))
    carray(out, (points, k))[:] = found


def front(cells, x, native, out):
    """Depth of the front, and the native fraction at nine tenths of it."""
    nodes, y = carray(x, cells + 1), carray(native, (cells, 1))
    centres = np.empty(cells)
    for c in range(cells):
        centres[c] = 0.5 * (nodes[c + 1] + nodes[c])
    out[0], out[1] = reading.front_place(centres, carray(native, cells)), np.nan
    if out[0] > 0.0:
        place = np.empty(1)
        place[0] = 0.9 * out[0]
        out[1] = reading.sample(nodes, y, place)[0, 0]


@elementary.jit
def filled_to(energy, sigma, occupancy, kT, thermal):
    """Fraction y of the native ions below a Fermi level, and its slope to the level."""
    weight = elementary.normal_density(energy / sigma) / sigma
    if thermal == 0:
        return elementary.normal_share(energy / sigma) / occupancy, weight / occupancy
    step = 1e-3 * kT
    low = elementary.thermal_share(energy - step, sigma, kT)
    high = elementary.thermal_share(energy + step, sigma, kT)
    share = elementary.thermal_share(energy, sigma, kT)
    return share / occupancy, (high - low) / (2.0 * step * occupancy)


def landscape(points, sigma, occupancy, kT, thermal, foreign, out):
    """Rows of a Gaussian SED and its front, for Fermi levels from far below up to the bulk's.

    The energy from the middle of the SED, the density of sites, the fraction y, ln D/D_bulk, the
    transference number t and dt/dy, with D_foreign/D_bulk = ``foreign``; at the end the plateau
    and the level there: as `cait_helpers.landscape` and `cait_helpers.fronts` have them.
    """
    rows = carray(out, (points + 1, 6))
    bulk = elementary.normal_quantile(occupancy) * sigma
    if thermal != 0:
        low, high = bulk - 40.0 * kT, bulk + 40.0 * kT
        for _ in range(60):
            bulk = 0.5 * (low + high)
            if elementary.thermal_share(bulk, sigma, kT) < occupancy:
                low = bulk
            else:
                high = bulk
    best, gain = 0, 0.0
    for m in range(points):
        energy = bulk - 8.0 * sigma * (1.0 - m / (points - 1.0))
        y, rise = filled_to(energy, sigma, occupancy, kT, thermal)
        log_D = (energy - bulk) / kT
        ratio = elementary.exponential(log_D) / foreign
        sum_ = y * ratio + 1.0 - y
        slope = y / (kT * rise)  # d ln D / d ln y
        rows[m, 0], rows[m, 1] = energy, elementary.normal_density(energy / sigma) / sigma
        rows[m, 2], rows[m, 3], rows[m, 4] = y, log_D, y * ratio / sum_
        rows[m, 5] = ratio * (1.0 + (1.0 - y) * slope) / (sum_ * sum_)
        if y * (1.0 - ratio) > gain:
            best, gain = m, y * (1.0 - ratio)
    # The plateau has the highest y (1 - D/D_foreign): its slope is zero there.
    low, high = rows[max(best - 1, 0), 0], rows[min(best + 1, points - 1), 0]
    for _ in range(50):
        middle = 0.5 * (low + high)
        y, rise = filled_to(middle, sigma, occupancy, kT, thermal)
        ratio = elementary.exponential((middle - bulk) / kT) / foreign
        if ratio * (1.0 + y / (kT * rise)) <= 1.0:
            low = middle
        else:
            high = middle
    y, rise = filled_to(0.5 * (low + high), sigma, occupancy, kT, thermal)
    rows[points, 0], rows[points, 2] = 0.5 * (low + high), y
    rows[points, 3] = (rows[points, 0] - bulk) / kT


def blur(points, x, y, edges, places, sigma, out):
    """Means over slices of a line through points, as an instrument of that resolution sees it."""
    x, y, places = carray(x, points), carray(y, points), carray(places, edges)
    before = 0.0
    for m in range(edges):
        # the integral of the line up to this place: a ramp for each kink
        z, slope = places[m] - x[0], 0.0
        total = y[0] * z
        for c in range(points):
            after = (y[c + 1] - y[c]) / (x[c + 1] - x[c]) if c < points - 1 else 0.0
            u = places[m] - x[c]
            if after != slope and u > -9.0 * sigma:
                ramp = 0.5 * (u * u + sigma * sigma)
                if u < 9.0 * sigma:
                    density = elementary.normal_density(u / sigma)
                    ramp = ramp * elementary.normal_share(u / sigma) + 0.5 * u * sigma * density
                total += (after - slope) * ramp
            slope = after
        if m > 0:
            out[m - 1] = (total - before) / (places[m] - places[m - 1])
        before = total


#: name -> the function and the types of its arguments
DOORS = {
    "table": (table, (i4, f8, f8, f8, f8, f8, f8, at)),
    "untouched_mesh": (untouched_mesh, (f8, f8, i4, at)),
    "rest_field": (rest_field, (i4, i4, at, f8, i4, i4, at, at, f8)),
    "advance": (
        advance,
        (i4, i4, i4, at, f8, i4, i4, at, at, at, f8, f8, f8, f8, f8, i4, at, at),
    ),
    "fractions": (fractions, (i4, f8, i4, at, at, at)),
    "sample": (sample, (i4, i4, at, at, i4, at, at)),
    "front": (front, (i4, at, at, at)),
    "landscape": (landscape, (i4, f8, f8, f8, i4, f8, at)),
    "blur": (blur, (i4, at, at, i4, at, f8, at)),
}
