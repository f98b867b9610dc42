"""The compiled kernels: derivatives, elimination, orders, conservation, and their plain twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.constants import e
from scipy.integrate import solve_ivp

from cait_helpers import kernels
from cait_helpers import laws as tabulated
from cait_helpers.landscape import activated_diffusivity, gaussian_sed
from cait_helpers.npp import Charge, CurrentDensity, Glass, simulate

N, T = 1.38e28, 323.15
LAM2 = 2e-3  # nm^2, as in glass
D_LI = activated_diffusivity(gaussian_sed(0.250), 1.0, T, 0.9)
quietly = settings(deadline=None, derandomize=True, max_examples=30)
seeds = st.integers(0, 2**32 - 1)


def tables(*laws) -> tuple[np.ndarray, np.ndarray]:
    """The kernels' table of laws given as constants or callables (nm^2 per unit of time)."""
    return tabulated.tabulate({str(i): law for i, law in enumerate(laws)}, 1.0)


def steep(y):
    """A smooth, steep law for a native ion."""
    return np.exp(3.0 * (np.asarray(y) - 1.0))


def problem(seed: int, ions: int, cells: int = 7):
    """A random mesh, motion, state and numerical diffusion; fractions between 0.1 and 0.9."""
    rng = np.random.default_rng(seed)
    x = np.concatenate([[0.0], np.cumsum(rng.uniform(0.3, 2.0, cells))])
    v = np.zeros(cells + 1)
    v[1:-1] = rng.uniform(-0.3, 0.3, cells - 1)
    state = np.empty((cells, ions))
    share = rng.uniform(0.1, 0.9, (cells, ions - 1)) / (ions - 1)
    state[:, :-1] = share * np.diff(x)[:, None]
    state[:, -1] = rng.uniform(0.2, 1.0, cells)
    extra = rng.uniform(0.0, 0.2, (cells, ions))
    laws = [0.07, lambda y: 0.2 * (0.5 + np.asarray(y)), steep][-ions:]
    return x, v, state, extra, tables(*laws)


def setting(table, beam=0, potentiostatic=False, clock_floor=0.0, hops=None) -> kernels.Setting:
    rows, edges = table
    half = (0.0,) * edges.size if hops is None else tuple(0.5 * np.asarray(hops, dtype=float))
    return kernels.Setting(LAM2, rows, edges, half, 0.0, beam, potentiostatic, clock_floor)


def face_widths(x) -> np.ndarray:
    return np.array([kernels.face_width(x, c) for c in range(x.size - 1)])


def change(p, x, v, state, extra, drive=1.0):
    """The right-hand side as a function, with dt/ds and its static part."""
    y, static, out = (np.empty_like(state) for _ in range(3))
    motion = face_widths(v) @ state[:, -1]
    clock = kernels.rhs(p, x, v, state, drive, face_widths(x), motion, extra, y, static, out)
    return out, clock, static


# --- the derivative and its elimination ---


def dense(lower, diag, upper) -> np.ndarray:
    """The block tridiagonal matrix as a whole."""
    n, k, _ = diag.shape
    matrix = np.zeros((n * k, n * k))
    for c in range(n):
        here = slice(c * k, c * k + k)
        matrix[here, here] = diag[c]
        if c > 0:
            matrix[here, (c - 1) * k : c * k] = lower[c]
        if c < n - 1:
            matrix[here, (c + 1) * k : (c + 2) * k] = upper[c]
    return matrix


@pytest.mark.parametrize("hop", [0.0, 1.3])
@pytest.mark.parametrize("potentiostatic", [False, True])
@pytest.mark.parametrize(("ions", "beam"), [(2, 0), (3, 0), (3, 1)])
@quietly
@given(seed=seeds)
def test_the_jacobian_is_the_derivative(ions, beam, potentiostatic, hop, seed):
    """shift I - d rhs/d state against central differences, on moving random meshes.

    Under a voltage dt/ds depends on the state as well, which adds (static part) x (its gradient).
    """
    x, v, state, extra, table = problem(seed, ions)
    n, k = state.shape
    p = setting(table, beam, potentiostatic, 0.1, [hop / (i + 1) for i in range(ions)])
    _, clock, static = change(p, x, v, state, extra)
    y, d, dd, unused = (np.empty((n, k)) for _ in range(4))
    kernels.stabilise(p, x, v, state, clock, y, d, dd, unused)
    lower, diag, upper = np.empty((n, k, k)), np.empty((n, k, k)), np.empty((n, k, k))
    kernels.jacobian(p, x, v, state, clock, extra, y, d, dd, 3.0, lower, diag, upper)
    found = dense(lower, diag, upper)
    step = 1e-6
    expected, gradient = 3.0 * np.eye(n * k), np.empty(n * k)
    motion = face_widths(v) @ state[:, -1]  # of the start of the step

    def around(moved):
        out, static, y = np.empty((n, k)), np.empty((n, k)), np.empty((n, k))
        clock = kernels.rhs(p, x, v, moved, 1.0, face_widths(x), motion, extra, y, static, out)
        return out.ravel(), clock

    for m in range(n * k):
        ahead, back = state.copy(), state.copy()
        ahead.flat[m] += step
        back.flat[m] -= step
        (one, clock_one), (two, clock_two) = around(ahead), around(back)
        expected[:, m] -= (one - two) / (2 * step)
        gradient[m] = (clock_one - clock_two) / (2 * step)
    if potentiostatic:
        expected += np.outer(static.ravel(), gradient)
    # rounding of the difference: 1e-16 |rhs| / step, and |rhs| is about |J| / 10 here
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8 * np.abs(expected).max())


@pytest.mark.parametrize("hop", [0.0, 1.3])
@pytest.mark.parametrize("potentiostatic", [False, True])
@pytest.mark.parametrize(("ions", "beam"), [(2, 0), (3, 0), (3, 1)])
@quietly
@given(seed=seeds)
def test_the_change_of_the_rates_with_the_mesh_is_the_derivative(
    ions, beam, potentiostatic, hop, seed
):
    """d rhs/ds at a fixed state against central differences: the nodes go on, the drive swings.

    Not at y > 1.04, where D is cut off and has no derivative.
    """
    x, v, state, extra, table = problem(seed, ions)
    state[:, -1] = state[0, -1] + 0.01 * (state[:, -1] - state[0, -1])
    n, k = state.shape
    p = setting(table, beam, potentiostatic, 0.1, [hop / (i + 1) for i in range(ions)])
    swing = 0.7
    _, clock, static = change(p, x, v, state, extra)
    y, d, dd, unused, found = (np.empty((n, k)) for _ in range(5))
    kernels.stabilise(p, x, v, state, clock, y, d, dd, unused)
    width, motion = face_widths(x), face_widths(v) @ state[:, -1]
    kernels.rhs_change(p, x, v, state, clock, 1.0, swing, width, extra, y, d, dd, static, found)

    def after(step):
        out = np.empty((n, k))
        kernels.rhs(
            p, x + step * v, v, state, 1.0 + step * swing, width, motion, extra,
            np.empty((n, k)), np.empty((n, k)), out,
        )  # fmt: skip
        return out

    expected = (after(1e-5) - after(-1e-5)) / 2e-5
    np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-8 * np.abs(expected).max())


@quietly
@given(seed=seeds, ions=st.sampled_from([2, 3]))
def test_errors_of_the_amounts_change_the_drop_as_the_resistance(seed, ions):
    """Homogeneous glass at one current: the drop is the resistance, here of two compositions."""
    x, v, state, _, table = problem(seed, ions, 40)
    n, k = state.shape
    p, width = setting(table), face_widths(x)
    y, d, dd, unused = (np.empty((n, k)) for _ in range(4))
    composition = (state[:, :-1] / np.diff(x)[:, None]).mean(axis=0)
    shift = 1e-5 * np.random.default_rng(seed).normal(size=k - 1)

    def drop(composition):
        state[:, :-1] = composition * np.diff(x)[:, None]
        kernels.rest_field(p, x, state, 1.0)
        return width[:-2] @ state[:-2, -1]  # but for the back, where the glass is the untouched one

    expected = (drop(composition + shift) - drop(composition - shift)) / 2
    drop(composition)
    kernels.stabilise(p, x, v, state, 1.0, y, d, dd, unused)
    errors = np.zeros((n, k))
    errors[:-2, :-1] = shift * np.diff(x)[:-2, None]
    found = kernels.drop_error(p, x, width, state, y, d, dd, errors)
    assert found == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("k", [2, 3, 4])
@quietly
@given(seed=seeds)
def test_block_elimination_solves_the_system(k, seed):
    """``factorise`` and ``solve`` against numpy's dense solver, for two to four ions."""
    rng = np.random.default_rng(seed)
    n = 9
    lower, upper = rng.normal(size=(2, n, k, k))
    diag = rng.normal(size=(n, k, k)) + 12.0 * np.eye(k)  # dominant: no pivoting across blocks
    matrix, b = dense(lower, diag, upper), rng.normal(size=(n, k))
    expected = np.linalg.solve(matrix, b.ravel())
    upper[-1] = lower[0] = 0.0  # outside the matrix
    work = np.empty((2, k, k))
    kernels.factorise(lower, diag, upper, work)
    kernels.solve(lower, diag, upper, b, work)
    np.testing.assert_allclose(b.ravel(), expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("k", [2, 3, 4])
@quietly
@given(seed=seeds)
def test_small_matrices_are_inverted(k, seed):
    """a^-1 a = 1, also where the first pivot is zero."""
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(k, k)) + 3 * np.roll(np.eye(k), 1, axis=0)
    a[0, 0] = 0.0
    inverse = np.empty((k, k))
    kernels.invert(a.copy(), inverse)
    tolerance = 1e-14 * np.linalg.cond(a) ** 2
    np.testing.assert_allclose(inverse @ a, np.eye(k), rtol=0, atol=1e-13 + tolerance)


# --- what the right-hand side must obey ---


@pytest.mark.parametrize(("ions", "beam"), [(2, 0), (3, 0), (3, 1)])
@quietly
@given(seed=seeds)
def test_the_right_hand_side_creates_and_destroys_no_ions(ions, beam, seed):
    """Foreign ions change by the beam's current and nothing else, on a mesh that moves."""
    x, v, state, extra, table = problem(seed, ions)
    out, clock, _ = change(setting(table, beam), x, v, state, extra, drive=0.7)
    assert clock == 1.0  # the time itself
    expected = np.where(np.arange(ions - 1) == beam, 0.7, 0.0)
    np.testing.assert_allclose(out[:, :-1].sum(axis=0), expected, rtol=0, atol=1e-13)


@quietly
@given(seed=seeds)
def test_the_potential_rises_at_the_rate_of_the_drive(seed):
    """Potentiostatic: d/dt of the potential drop, on a moving mesh, is the rate asked for.

    The clock is the charge: one unit of ions a unit of it, but for the floor of the clock.
    """
    x, v, state, extra, table = problem(seed, 2)
    rate, floor = 0.4, 0.2
    p = setting(table, potentiostatic=True, clock_floor=floor)
    out, clock, _ = change(p, x, v, state, extra, drive=rate)
    ds = 1e-6
    drops = [
        kernels.voltage(face_widths(x + s * ds * v), state + s * ds * out) for s in (-1.0, 1.0)
    ]
    # out is as large as 1/lam2 = 500, so the difference rounds off at 1e-16 500 / 1e-6
    assert (drops[1] - drops[0]) / (2 * ds) == pytest.approx(rate * clock, abs=1e-6)
    assert out[:, 0].sum() == pytest.approx(1.0 - floor * clock, abs=1e-12)


@quietly
@given(seed=seeds)
def test_a_moving_mesh_does_not_disturb_uniform_glass(seed):
    """Free-stream preservation: amounts change with the cell's size, fields not at all."""
    x, v, _, extra, _ = problem(seed, 2)
    state = np.empty((x.size - 1, 2))
    fraction, f = 0.4, 0.8
    state[:, 0] = fraction * np.diff(x)
    state[:, 1] = f
    state[0, 0] += LAM2 * f  # the sheet
    laws = tables(0.05, 0.9)
    flux = 0.05 * fraction * f
    p = setting(laws)
    out, _, _ = change(p, x, v, state, extra, drive=flux + 0.9 * (1 - fraction) * f)
    # the ends differ: beam and sheet in front, the glass behind the back
    np.testing.assert_allclose(out[1:-1, 0], fraction * np.diff(v)[1:-1], rtol=0, atol=1e-13)
    np.testing.assert_allclose(out[:-1, 1] * LAM2, 0.0, rtol=0, atol=1e-13)


@pytest.mark.parametrize("potentiostatic", [False, True])
def test_the_field_of_the_start_is_at_rest(potentiostatic):
    """Untouched glass: one field, one current, the sheet of the first ions, nothing changes."""
    x = np.array([0.0, 0.1, 0.4, 1.5, 4.0, 20.0])
    table = tables(1e-3, D_LI)
    state = np.zeros((5, 2))
    drive = 8.0 if potentiostatic else 0.4
    p = setting(table, potentiostatic=potentiostatic)
    kernels.rest_field(p, x, state, drive)
    field = 0.4  # 8 over 20 nm, and D_LI(1) = 1
    np.testing.assert_allclose(state[:, 1], field, rtol=1e-10)
    assert state[0, 0] == pytest.approx(LAM2 * field, rel=1e-10)
    assert kernels.voltage(face_widths(x), state) == pytest.approx(8.0, rel=1e-10)
    still, none = np.zeros(6), np.zeros((5, 2))
    out, clock, _ = change(p, x, still, state, none, 0.0 if potentiostatic else 0.4)
    # the beam's ions gather where they land, 0.4 of them in a unit of time; the fields stay
    np.testing.assert_allclose(out[:, 1] * LAM2, 0.0, rtol=0, atol=1e-10)
    assert out[0, 0] / clock == pytest.approx(0.4, rel=1e-9)
    assert clock == pytest.approx(2.5 if potentiostatic else 1.0, rel=1e-9)


@quietly
@given(seed=seeds, ions=st.sampled_from([2, 3]))
def test_holes_are_filled_from_next_door(seed, ions):
    """No fraction stays negative, every ion and the charge keep their amounts."""
    x, _, state, _, _ = problem(seed, ions, cells=12)
    rng = np.random.default_rng(seed)
    deep = rng.uniform(0, 0.03)
    state[rng.integers(1, 12), 0] = -deep
    y = np.empty_like(state)
    p = setting((np.zeros((ions, 1, 4)), np.zeros(ions)))
    kernels.fractions(p, x, state, y)
    deepest = min(0.0, y.min())
    before, fields = np.diff(x) @ y, state[:, -1].copy()
    lowest = kernels.fill_holes(p, x, state, y)
    assert lowest == pytest.approx(deepest, abs=1e-12)
    np.testing.assert_allclose(np.diff(x) @ y, before, rtol=0, atol=1e-13)
    np.testing.assert_array_equal(state[:, -1], fields)
    assert y.min() > -1e-12


@quietly
@given(seed=seeds)
def test_an_ion_that_is_not_there_stabilises_nothing(seed):
    """Two foreign ions fill the glass: one needs what it would with the other as the native ion."""
    x, w, state, _, _ = problem(seed, 2, cells=12)
    slow, fast = 0.01, 50.0
    y, pair = np.empty_like(state), setting(tables(0.07, slow))
    D, dD, needed = (np.empty_like(state) for _ in range(3))
    kernels.stabilise(pair, x, 9 * w, state, 1.3, y, D, dD, needed)
    full = np.column_stack([state[:, 0], np.diff(x) * y[:, 1], state[:, 1]])
    y, D, dD, found = (np.empty_like(full) for _ in range(4))
    kernels.stabilise(
        setting(tables(0.07, slow, fast)), x, 9 * w, full, 1.3, y, D, dD, found
    )  # fmt: skip
    assert np.abs(y[:, 2]).max() < 1e-12
    np.testing.assert_allclose(found[:-1, 0], needed[:-1, 0], rtol=1e-6, atol=1e-9)


# --- tables ---


def read(table, fractions, ion=1):
    """D and its slope as the kernels read them, shape (m, 2)."""
    return np.array([kernels.coefficient(y, ion, setting(table)) for y in fractions])


@pytest.mark.parametrize("fwhm", [0.05, 0.113, 0.25, 0.4])
def test_the_table_reproduces_a_diffusivity_and_its_slope(fwhm):
    """D(y) over all decades that profiles see: 1e-4 of itself at 1e-4, and 1 % at 1e-5."""
    law = activated_diffusivity(gaussian_sed(fwhm), 1.0, T, 0.9)
    table = tables(1e-3, law)
    for low, high, value, slope in (
        (0.2, 1.0, 2e-6, 3e-4), (1e-2, 0.2, 2e-5, 3e-3), (1e-4, 1e-2, 2e-3, 5e-2),
        (1e-5, 1e-4, 2e-2, 0.3),
    ):  # fmt: skip
        y = np.geomspace(low, 0.999 * high, 500)
        found = read(table, y)
        np.testing.assert_allclose(found[:, 0], law(y), rtol=value)
        np.testing.assert_allclose(found[:, 1], law(y) * law.log_slope(y) / y, rtol=slope)


@pytest.mark.parametrize("immobile", [0.02, 0.1, 0.3, 0.5])
def test_the_table_knows_where_a_law_has_its_edge(immobile):
    """Just above an immobile share D rises as steeply as at zero, and below it nothing moves."""
    law = activated_diffusivity(gaussian_sed(0.25), 1.0, T, 0.9, immobile=immobile)
    for one in (law, lambda y: law(y)):  # told by the law, or found
        table = tables(1e-3, one)
        assert table[1][1] == pytest.approx(immobile, abs=2e-4 if one is not law else 0)
        y = immobile + (1 - immobile) * np.geomspace(2e-3, 0.999, 500)
        np.testing.assert_allclose(read(table, y)[:, 0], law(y), rtol=2e-2)
        y = np.linspace(0.0, 0.99, 50) * immobile
        np.testing.assert_allclose(read(table, y)[:, 0], law(y), rtol=1e-6)
        # a law beside it is none the worse
        y = np.array([0.1, 0.5])
        np.testing.assert_allclose(read(tables(one, D_LI), y)[:, 0], D_LI(y), rtol=1e-5)


@quietly
@given(y=st.floats(1e-9, 1.01), immobile=st.sampled_from([0.0, 0.3]))
def test_the_slope_of_the_table_is_the_slope_of_its_value(y, immobile):
    """dD/dy against central differences, through the pieces, on both sides of an edge."""
    law = activated_diffusivity(gaussian_sed(0.250), 1.0, T, 0.9, immobile=immobile)
    table = tables(0.3, law)
    step = 1e-5 * (y if immobile == 0 else max(abs(y - immobile), 1e-6))
    values = read(table, [y - step, y + step])[:, 0]
    value, slope = read(table, [y])[0]
    # the second derivative jumps where pieces meet: step times it, and rounding 1e-16/1e-5
    tolerance = 1e-4 * abs(slope) + 1e-10 * value / y + 1e-15 / step
    assert (values[1] - values[0]) / (2 * step) == pytest.approx(slope, abs=tolerance)


def test_a_constant_is_a_constant():
    """The marker in the table leads to D and no slope, at any fraction."""
    table = tables(0.3, D_LI)
    for value, slope in read(table, (-0.1, 0.0, 1e-13, 0.5, 1.0, 1.2), ion=0):
        assert value == pytest.approx(0.3, rel=1e-14)
        assert slope == 0.0


def test_a_law_is_continuous_at_both_ends():
    """Below zero and above one the table goes on without a jump, and stays positive."""
    table = tables(0.3, D_LI)
    for edge in (0.0, 1e-12, 1.0):
        a, b = read(table, [edge - 1e-13, edge + 1e-13])[:, 0]
        assert a == pytest.approx(b, rel=1e-6)
    assert read(table, [-0.5])[0, 0] > 0
    assert np.isfinite(read(table, [5.0])).all()


# --- drift beyond the linear law ---


@quietly
@given(f=st.floats(-30, 30), half_hop=st.floats(1e-3, 3.0))
def test_the_drift_is_a_hyperbolic_sine(f, half_hop):
    """sinh(a f)/a and its slope cosh(a f), in plain arithmetic, to the last digits."""
    value, slope = kernels.drift(f, half_hop)
    assert value == pytest.approx(np.sinh(half_hop * f) / half_hop, rel=1e-11)
    assert slope == pytest.approx(np.cosh(half_hop * f), rel=1e-11)


def test_a_hop_of_no_length_drifts_with_the_field():
    """The linear law, and its continuous limit."""
    assert kernels.drift(0.7, 0.0) == (0.7, 1.0)
    assert kernels.drift(0.7, 1e-6) == pytest.approx((0.7, 1.0), rel=1e-12)
    assert kernels.drift_excess(0.0, 0.2) == 1.0
    assert kernels.drift_excess(2.0, 0.5) == pytest.approx(np.sinh(1.0), rel=1e-12)


# --- records, meshes ---


@quietly
@given(seed=seeds)
def test_a_record_is_interpolated_and_integrated(seed):
    """Value and integral against numpy's interpolation and trapezoids."""
    rng = np.random.default_rng(seed)
    knots = np.concatenate([[0.0], np.cumsum(rng.uniform(0.1, 2.0, 5))])
    values = rng.uniform(0.0, 3.0, 6)
    t = rng.uniform(0.0, knots[-1])
    value, integral = kernels.recorded(t, knots, values)
    assert value == pytest.approx(np.interp(t, knots, values), abs=1e-12)
    past = np.append(knots[knots < t], t)
    expected = np.trapezoid(np.interp(past, knots, values), past)
    assert integral == pytest.approx(expected, abs=1e-12)


def front_on(x, place, width):
    y = np.empty((x.size - 1, 2))
    y[:, 1] = 0.5 * (1 + np.tanh((0.5 * (x[1:] + x[:-1]) - place) / width))
    y[:, 0] = 1 - y[:, 1]
    return y


@quietly
@given(place=st.floats(5.0, 500.0), width=st.floats(0.5, 5.0))
def test_the_mesh_gathers_where_the_fractions_change(place, width):
    """Goal nodes increase from end to end; repeated, the front gets its cells."""
    x = np.concatenate([[0.0], np.geomspace(0.05, 1e5, 80)])
    goal, size = np.empty(81), np.empty(80)
    for _ in range(40):
        kernels.equidistribute(x, front_on(x, place, width), 0.05, size, goal)
        assert goal[0] == 0.0 and goal[-1] == x[-1]
        assert np.all(np.diff(goal) > 0)
        x = 0.5 * (x + goal)
    cells = np.diff(x)
    at = np.searchsorted(x, place) - 1
    assert cells[at] < 0.5 * width  # steps of less than a quarter in the fraction
    grown = cells[1:] / cells[:-1]
    assert grown.max() < 3 and grown.min() > 1 / 3


@pytest.mark.parametrize("cells", [40, 160, 170, 600, 2500])
def test_the_mesh_is_smoothed_alike_however_many_cells_it_has(cells):
    """One spike becomes a bell with the root of 0.15 times their number, without a ripple."""
    rho = np.zeros(cells)
    rho[cells // 2] = 1.0
    kernels.smooth(rho)
    away = np.arange(cells) - cells // 2
    assert rho.sum() == pytest.approx(1.0, rel=1e-4)  # hardly any has come to the ends
    assert np.sqrt(rho @ away**2) == pytest.approx(np.sqrt(0.15 * cells), rel=0.03)
    bell = np.exp(-0.5 * away**2 / (0.15 * cells)) / np.sqrt(2 * np.pi * 0.15 * cells)
    assert np.abs(rho - bell).max() < 0.05 * bell.max()
    even = np.full(cells, 3.0)
    kernels.smooth(even)
    np.testing.assert_allclose(even, 3.0, rtol=1e-14)
    noise = (-1.0) ** np.arange(cells)
    kernels.smooth(noise)
    assert np.abs(noise[cells // 2]) < 1e-12


def test_untouched_glass_has_a_mesh_at_rest():
    """From the surface's cell to the back, growing steadily; laying it out again moves nothing."""
    x = kernels.untouched_mesh(0.01, 5e5, 60)
    cells = np.diff(x)
    assert x[0] == 0.0 and x[-1] == 5e5 and cells[0] < 0.05
    assert np.all(cells > 0) and np.all(cells[1:] / cells[:-1] < 1.5)
    goal = np.empty(61)
    kernels.equidistribute(x, np.ones((60, 1)), 0.01, np.empty(60), goal)
    # it is laid out until no node moves by more than a thousandth of the cells beside it
    assert np.all(np.abs(goal - x)[1:-1] < 1e-3 * (cells[1:] + cells[:-1]))


@quietly
@given(v=st.floats(1e-12, 1e6))
def test_the_root_that_sets_the_step_is_the_power(v):
    """v^(-1/3) by Newton's method, to the last digit or two, where the step control asks for it."""
    assert kernels.inverse_cube_root(v) == pytest.approx(v ** (-1 / 3), rel=1e-15)


# --- the control of the step ---


def test_errors_at_a_front_count_alike_however_many_cells_there_are_elsewhere():
    """The same errors in forty cells of a mesh of 60, 120 and 240: one error in time."""
    found = []
    for cells in (60, 120, 240):
        x = np.concatenate([[0.0], np.cumsum(np.full(cells, 0.5))])
        room = kernels.make_room(x, 2)
        room.stages[3][:] = 0.0
        room.stages[3][10:50, 0] = 0.5e-3  # a tolerance of 1e-3 in each of them
        p = setting(tables(0.3, 1.0))
        found.append(kernels.error_in_time(p, 1.0, 1.0, 0.1, 1e-3, room))
    assert found == pytest.approx([np.sqrt(40 / (60 * 2))] * 3, rel=1e-12)


# --- orders ---


def rodas(t_end: float, steps: int, stiffness: float):
    """The kernels' tableau, by itself, on a small stiff system with a time in it.

    u' = -s (u - cos t) + w - u^2 + cos^2 t - sin t - cos t, w' = u - w, in the linearised form
    that ``advance`` uses. Returns the two states of the last step: order 3 and order 2.
    """

    def f(t, z):
        u, w = z
        drive = np.cos(t) ** 2 - np.sin(t) - np.cos(t)
        return np.array([-stiffness * (u - np.cos(t)) + w - u**2 + drive, u - w])

    def f_t(t):
        drive = -2 * np.sin(t) * np.cos(t) - np.cos(t) + np.sin(t)
        return np.array([-stiffness * np.sin(t) + drive, 0.0])

    z, dt, t = np.array([1.0, 0.5]), t_end / steps, 0.0
    lower = z
    for _ in range(steps):
        jac = np.array([[-stiffness - 2 * z[0], 1.0], [1.0, -1.0]])
        matrix = np.eye(2) / (kernels.GAMMA * dt) - jac
        stages, argument, slope_t = [], z, f_t(t)
        for s in range(4):
            argument = z + sum((kernels.A_STAGE[s, q] * stages[q] for q in range(s)), np.zeros(2))
            b = f(t + kernels.ALPHA[s] * dt, argument) + kernels.GAMMA_S[s] * dt * slope_t
            b += sum((kernels.C_STAGE[s, q] / dt * stages[q] for q in range(s)), np.zeros(2))
            stages.append(np.linalg.solve(matrix, b))
        lower, z, t = argument, argument + stages[3], t + dt
    return z, lower


@pytest.mark.parametrize("stiffness", [1.0, 10.0])
def test_the_tableau_has_order_three_and_an_embedded_two(stiffness):
    """Halving the step divides the error at a fixed time by 8.

    The embedded solution of order 2 is seen over a single step, where its error goes like dt^3.
    """
    exact = rodas(1.0, 4000, stiffness)[0]
    steps = np.array([32, 64, 128, 256])
    missed = [np.abs(rodas(1.0, n, stiffness)[0] - exact).max() for n in steps]
    slope = np.polyfit(np.log(steps), np.log(missed), 1)[0]
    assert slope == pytest.approx(-3, abs=0.25)
    # local error of the embedded method: one step of dt, against the fine solution
    lengths = 0.01 / np.array([1, 2, 4, 8])
    local = [
        np.abs(rodas(dt, 1, stiffness)[1] - rodas(dt, 50, stiffness)[0]).max() for dt in lengths
    ]
    slope = np.polyfit(np.log(lengths), np.log(local), 1)[0]
    assert slope == pytest.approx(3, abs=0.35)


def test_the_tableau_is_stiffly_accurate():
    """One step far beyond the time constant lands on the slow solution: R(infinity) = 0."""
    z, lower = rodas(0.1, 1, 1e8)
    for u in (z[0], lower[0]):
        assert u == pytest.approx(np.cos(0.1), abs=1e-6)


@pytest.fixture(scope="module")
def mild():
    """A front that a uniform grid resolves: m = 0.1, 6 nm wide, in 120 nm of glass."""
    glass = Glass(120e-9, N, 8.0, T)
    laws = {"Li": lambda y: 1e-18 * steep(y), "K": 1e-19}
    drive = CurrentDensity(e * N * 1e-19 / 6e-9)
    return glass, laws, drive, Charge(e * N * 20e-9)


def test_space_is_second_order(mild):
    """The error of the cell means on uniform grids falls like the square of the cell size."""
    glass, laws, drive, until = mild
    counts = np.array([60, 120, 240, 480])

    def cells(n):
        nodes = np.linspace(0, glass.thickness, n + 1)
        run = simulate(glass, laws, "Li", "K", drive, until, rtol=1e-5, mesh=nodes)
        return run.fraction["Li"]

    exact = cells(1920)
    missed = []
    for n in counts:
        means = exact.reshape(n, -1).mean(axis=1)
        missed.append(np.abs(cells(n) - means)[1:].mean())  # the sheet's cell aside
    slope = np.polyfit(np.log(counts), np.log(missed), 1)[0]
    assert slope == pytest.approx(-2, abs=0.2)


def test_a_tighter_tolerance_is_a_smaller_error_in_time(mild):
    """``advance`` on one fixed mesh: the error falls with rtol, and is below it."""
    glass, laws, drive, until = mild
    nodes = np.linspace(0, glass.thickness, 241)

    def native(rtol):
        run = simulate(glass, laws, "Li", "K", drive, until, rtol=rtol, mesh=nodes)
        return run.fraction["Li"], run.stats.steps

    exact, most = native(1e-5)
    missed, steps = [], []
    for rtol in (1e-1, 1e-2, 1e-3):
        y, count = native(rtol)
        missed.append(np.abs(y - exact).max())
        steps.append(count)
        assert missed[-1] < rtol
    assert missed[2] < 0.1 * missed[0]
    assert steps == sorted(steps) and steps[-1] < most


def test_an_independent_integrator_finds_the_same(mild):
    """The equations written anew: densities and Poisson's potential on a grid, by BDF of scipy.

    All ions of the beam go into the first cell, whose charge is then the sheet.
    """
    glass, laws, drive, until = mild
    cells = 240
    h = glass.thickness / cells * 1e9  # nm
    v = drive.value / (e * N)  # m/s; time in units of nm / v
    scale = 1e-9 * v

    def D_native(y):
        return 1e-18 * steep(y) / scale

    def D_foreign(y):
        return 1e-19 / scale

    lam2 = (glass.debye_length * 1e9) ** 2
    # phi'' = -charge/lam2 with phi' = 0 in front of the first cell and phi = 0 at the back
    poisson = np.diag(np.full(cells, -2.0)) + np.eye(cells, k=1) + np.eye(cells, k=-1)
    poisson[0, 0], poisson[-1, -1] = -1.0, -3.0
    response = np.linalg.inv(poisson / h**2) / -lam2

    def slopes(_, z):
        native, foreign = z[:cells], z[cells:]
        phi = response @ (native + foreign - 1.0)
        f = -np.diff(phi) / h

        def flux(y, D):
            middle = 0.5 * (y[1:] + y[:-1])
            return D(middle) * (middle * f - np.diff(y) / h)

        J_native = flux(native, D_native)
        J_foreign = flux(foreign, D_foreign)
        back = D_native(1.0) * (phi[-1] / (0.5 * h) - (1.0 - native[-1]) / (0.5 * h))
        J_native = np.concatenate([[0.0], J_native, [back]])
        J_foreign = np.concatenate([[1.0], J_foreign, [0.0]])
        return -np.concatenate([np.diff(J_native), np.diff(J_foreign)]) / h

    field = v / 1e-18 * 1e-9  # of the untouched glass (1/nm), held by the first sheet
    start = np.concatenate([np.ones(cells), np.zeros(cells)])
    start[cells] = lam2 * field / h
    end = until.value / (e * N) * 1e9
    with np.errstate(invalid="ignore", over="ignore"):  # BDF's table of differences begins empty
        found = solve_ivp(slopes, (0, end), start, method="BDF", rtol=1e-5, atol=1e-7)
    assert found.success
    native = found.y[:cells, -1]
    run = simulate(
        glass, laws, "Li", "K", drive, until, rtol=1e-4, mesh=np.linspace(0, 120e-9, cells + 1)
    )
    # the first cell holds the sheet there and not here
    np.testing.assert_allclose(run.fraction["Li"][1:], native[1:], rtol=0, atol=1e-3)
    adaptive = simulate(glass, laws, "Li", "K", drive, until)
    x = (np.arange(cells) + 0.5) * h * 1e-9
    y = np.interp(x, adaptive.x, adaptive.fraction["Li"])
    np.testing.assert_allclose(y[1:], native[1:], rtol=0, atol=2e-3)
    phi = response @ (native + found.y[cells:, -1] - 1.0)
    # the sheet lies on the surface, half a cell in front of the first centre
    drop = (phi[0] + 0.5 * (phi[0] - phi[1])) * glass.thermal_voltage
    assert run.voltage[-1] == pytest.approx(drop, rel=1e-3)
    assert adaptive.voltage[-1] == pytest.approx(drop, rel=2e-3)
