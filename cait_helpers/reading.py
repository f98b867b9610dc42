"""What is read off a simulated profile: values between the cells, and the depth of its front.

Compiled, and in plain arithmetic, like the kernels; places and lengths in any one unit.
"""

import numpy as np

from .compiled import jit

LEVELS = (0.5, 0.75, 0.9, 0.96)  # native fractions that count as the front, tried in turn


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
            else:
                b = c if c == 0 else c - 1
                slope = (y[b + 1, i] - y[b, i]) / (0.5 * (x[b + 2] - x[b]))
            out[m, i] = y[c, i] + slope * (at[m] - middle)
    return out


@jit
def between(at, x, y):
    """The value at one place of a line through points with increasing ``x``; beyond, its ends."""
    c = 0
    while c < x.size - 2 and x[c + 1] < at:
        c += 1
    share = min(max((at - x[c]) / (x[c + 1] - x[c]), 0.0), 1.0)
    return y[c] + share * (y[c + 1] - y[c])


@jit
def deepest_below(x, y, level):
    """Deepest place where ``y``, straight between its places ``x``, is below ``level``; or zero."""
    c = x.size - 1
    while c >= 0 and not y[c] < level:
        c -= 1
    if c < 0:
        return 0.0
    if c == x.size - 1:
        return x[c]
    return x[c] + (x[c + 1] - x[c]) * (level - y[c]) / (y[c + 1] - y[c])


@jit
def front_level(x, native):
    """The native fraction that counts as the front: the first that is well above those behind it.

    A half; where a high plateau is near that, three quarters, nine tenths, then 0.96. Zero without
    a front, as in a rarefaction.
    """
    for level in LEVELS:
        depth = deepest_below(x, native, level)
        if depth > 0.0:
            behind = between(0.9 * depth, x, native)
            if behind < level - max(0.05, 0.2 * (1.0 - level)):
                return level
    return 0.0


@jit
def front_place(x, native):
    """Depth of the front of a profile; zero without one."""
    return deepest_below(x, native, front_level(x, native))
