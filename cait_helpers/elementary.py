"""Elementary functions in plain arithmetic, and the law of a Gaussian landscape.

The mathematics library of a machine and that of a browser differ in the last bit, and a time step
that is accepted on one and rejected on the other makes them differ in the sixth digit. Additions,
products, quotients and square roots are exact to the bit everywhere: what a simulation reads is
made of these alone, so that it gives the same numbers on every machine and on the book's pages.

One module, because numba's disk cache notices edits only in the file that holds the function.
"""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .compiled import jit

# ln 2 in two parts, the first with trailing zeros, so that its small multiples are exact.
LN2_HIGH, LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
FRACTION_BITS, HALF_BITS = 0x000FFFFFFFFFFFFF, 0x3FE0000000000000

# Wichura's algorithm AS 241 (doi 10.2307/2347330): numerators and denominators, highest power
# first, of three rational functions for the middle, the tails and the far tails.
MIDDLE = (
    (2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
     4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
     1.3314166789178437745e2, 3.3871328727963666080e0),
    (5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
     2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
     4.2313330701600911252e1, 1.0),
)  # fmt: skip
TAIL = (
    (7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
     1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
     4.63033784615654529590e0, 1.42343711074968357734e0),
    (1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
     1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
     2.05319162663775882187e0, 1.0),
)  # fmt: skip
FAR = (
    (2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
     2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
     5.46378491116411436990e0, 6.65790464350110377720e0),
    (2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
     7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
     5.99832206555887937690e-1, 1.0),
)  # fmt: skip

# ln(erfcx(x) (1 + x/2)), x > 0, in Chebyshev polynomials of (2 - x)/(2 + x), the lowest first.
TAIL_AREA = (
    -6.51326859890854593e-01, 6.41969792356490099e-01, 1.94764732041858048e-02,
    -9.56151478680880920e-03, -9.46595344481988995e-04, 3.66839497852818259e-04,
    4.25233248070113102e-05, -2.02785781126059652e-05, -1.62429000470048249e-06,
    1.30365583573900861e-06, 1.56264415296369918e-08, -8.52380954390647684e-08,
    6.52905380554053834e-09, 5.05934414997609252e-09, -9.91365085261414907e-10,
    -2.27364206826864903e-10, 9.64668900316212330e-11, 2.39513964217508146e-12,
    -6.88726853326215860e-12, 8.95482101169266484e-13, 3.11909228603976136e-13,
    -1.11450531343442504e-13, -9.67480064316207758e-16, 8.45355531607440578e-15,
)  # fmt: skip


@jit
def exponential(x):
    """e to the power of ``x``, to about one unit in the last place; 0 below -708."""
    if not x > -708.0:
        return x if x != x else 0.0
    if x > 709.0:
        return math.inf
    twos = math.floor(x / (LN2_HIGH + LN2_LOW) + 0.5)
    high, low = x - twos * LN2_HIGH, twos * LN2_LOW
    r = high - low
    # exp(r) = 1 + 2 r / (R - r) with R(r^2) = r coth(r/2): even, so five terms do
    square = r * r
    c = r - square * (
        1.66666666666666019037e-01
        + square
        * (
            -2.77777777770155933842e-03
            + square
            * (
                6.61375632143793436117e-05
                + square * (-1.65339022054652515390e-06 + square * 4.13813679705723846039e-08)
            )
        )
    )
    value = 1.0 - ((low - r * c / (2.0 - c)) - high)
    return value * np.int64((np.int64(twos) + 1023) << 52).view(np.float64)


@jit
def logarithm(x):
    """Natural logarithm, to about one unit in the last place."""
    if not x > 0.0:
        return -math.inf if x == 0.0 else math.nan
    if x == math.inf:
        return x
    shift = 0
    if x < 1e-300:  # subnormal numbers hide their exponent
        x, shift = x * 18014398509481984.0, 54
    bits = np.float64(x).view(np.int64)
    twos = (bits >> 52) - 1022
    part = np.int64((bits & FRACTION_BITS) | HALF_BITS).view(np.float64)  # 0.5 to 1
    if part < 0.70710678118654752:
        part, twos = 2.0 * part, twos - 1
    f = part - 1.0
    # ln(1 + f) = 2 artanh(s), s = f / (2 + f)
    s = f / (2.0 + f)
    z = s * s
    w = z * z
    odd = z * (
        6.666666666666735130e-01
        + w
        * (2.857142874366239149e-01 + w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01))
    )
    even = w * (
        3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01)
    )
    half = 0.5 * f * f
    k = float(twos - shift)
    return k * LN2_HIGH - ((half - (s * (half + odd + even) + k * LN2_LOW)) - f)


@jit
def rational(coefficients, x):
    """Quotient of two polynomials of the seventh degree."""
    over, under = coefficients
    top, bottom = 0.0, 0.0
    for m in range(8):
        top = top * x + over[m]
        bottom = bottom * x + under[m]
    return top / bottom


@jit
def normal_quantile(share):
    """The number that a standard normal variable undercuts with the probability ``share``."""
    q = share - 0.5
    if abs(q) <= 0.425:
        return q * rational(MIDDLE, 0.180625 - q * q)
    tail = share if q < 0.0 else 1.0 - share
    if not tail > 0.0:
        return math.copysign(math.inf, q) if tail == 0.0 else math.nan
    r = math.sqrt(-logarithm(tail))
    x = rational(TAIL, r - 1.6) if r <= 5.0 else rational(FAR, r - 5.0)
    return -x if q < 0.0 else x


@jit
def normal_density(x):
    """Density of the standard normal distribution."""
    return 0.3989422804014327 * exponential(-0.5 * x * x)


@jit
def normal_share(x):
    """Probability that a standard normal variable is below ``x``, to about 1e-15."""
    far = abs(x) * math.sqrt(0.5)
    t = 2.0 / (2.0 + far)
    u = 2.0 * t - 1.0
    before, total = 0.0, 0.0
    for m in range(len(TAIL_AREA) - 1, 0, -1):  # Clenshaw's recurrence
        before, total = total, 2.0 * u * total - before + TAIL_AREA[m]
    tail = 0.5 * t * exponential(-0.5 * x * x + u * total - before + TAIL_AREA[0])
    return tail if x < 0.0 else 1.0 - tail


@jit
def each_exponential(x):
    out = np.empty(x.size)
    for m in range(x.size):
        out[m] = exponential(x[m])
    return out


@jit
def each_normal_quantile(share):
    out = np.empty(share.size)
    for m in range(share.size):
        out[m] = normal_quantile(share[m])
    return out


def exp(x: ArrayLike) -> NDArray[np.float64]:
    """e to the power of ``x``, any shape, the same bits on every machine."""
    x = np.asarray(x, dtype=float)
    return each_exponential(x.ravel()).reshape(x.shape)


def ndtri(share: ArrayLike) -> NDArray[np.float64]:
    """Normal quantile of ``share``, any shape, the same bits on every machine."""
    share = np.asarray(share, dtype=float)
    return each_normal_quantile(share.ravel()).reshape(share.shape)


@jit
def shares(count, floor):
    """Fractions at equal steps of their square root, from ``floor`` to 1, shape (count + 1,)."""
    out = np.empty(count + 1)
    for m in range(count + 1):
        p = m / count
        out[m] = min(math.sqrt((p * p) * (p * p) + floor * floor), 1.0)
    return out


@jit
def cubic_pieces(values):
    """Hermite's cubics between values at equal steps, shape (pieces, 4): powers of the step.

    The slopes are those of the logarithm, so that steep laws stay monotone.
    """
    last = values.size - 1
    height = np.empty(last + 1)
    for m in range(last + 1):
        height[m] = logarithm(values[m])
    out = np.empty((last, 4))
    left = values[0] * (-1.5 * height[0] + 2.0 * height[1] - 0.5 * height[2])
    for m in range(last):
        if m + 1 < last:
            right = values[m + 1] * (0.5 * (height[m + 2] - height[m]))
        else:
            slope = 1.5 * height[last] - 2.0 * height[last - 1] + 0.5 * height[last - 2]
            right = values[last] * slope
        rise = values[m + 1] - values[m]
        out[m, 0] = values[m]
        out[m, 1] = left
        out[m, 2] = 3.0 * rise - 2.0 * left - right
        out[m, 3] = left + right - 2.0 * rise
        left = right
    return out


@jit
def gaussian_law(fraction, D_bulk, sigma, occupancy, kT):
    """D at each of the fractions: eqn (2) for a Gaussian SED filled from the bottom to the top."""
    bulk = normal_quantile(occupancy) * sigma
    out = np.empty(fraction.size)
    for m in range(fraction.size):
        level = normal_quantile(occupancy * fraction[m]) * sigma
        out[m] = D_bulk * exponential((level - bulk) / kT)
    return out


@jit
def thermal_share(level, sigma, kT):
    """Share of the sites of a Gaussian SED that Fermi and Dirac fill up to ``level``."""
    # The trapezoidal rule converges exponentially once it resolves both functions.
    step = min(0.2, 0.5 * kT / sigma)
    count = int(17.0 / step)
    total = 0.0
    for m in range(count + 1):
        z = -8.5 + m * step
        total += normal_density(z) / (1.0 + exponential((z * sigma - level) / kT))
    return total * step
