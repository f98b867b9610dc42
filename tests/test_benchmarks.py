"""The equations of the comparison are ours: no peer needs to be installed."""

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.constants import e, epsilon_0

import cait_helpers as cait

sys.path.insert(0, str(Path(__file__).parents[1] / "benchmarks"))

import peers
import problems
import results
import stencil
import studies


def disturbed(problem, mesh, seed=1):
    """A state far from rest: fractions between 0.05 and 0.5, fields up to twice the bulk's."""
    rng = np.random.default_rng(seed)
    n = mesh.size - 1
    z = np.empty(2 * n)
    z[0::2] = rng.uniform(0.05, 0.5, n)
    z[1::2] = problem.scaled["field"] * rng.uniform(0.5, 2.0, n)
    z[0] = z[0] * mesh[1] + problem.scaled["lam2"] * z[1]
    return z


@pytest.fixture(params=["i", "ii"])
def problem(request):
    return problems.PROBLEMS[request.param]


def small_mesh(problem):
    return problems.uniform_mesh(problem, 5.0, 100.0, 1.3)


def rate_of(problem, mesh, z, fitted=False):
    s = problem.scaled
    out = np.empty_like(z)
    stencil.galvanostatic(z, mesh, 1.0, s["lam2"], s["D"], s["d_beam"], fitted, out)
    return out


def test_the_stencil_is_the_equations_written_out(problem):
    """Nernst-Planck fluxes, Gauss's law and the displacement current, in numpy and in SI units."""
    mesh = small_mesh(problem)
    z = disturbed(problem, mesh)
    glass, law = problem.call["glass"], problem.call["ions"]["Li"]
    volts, N = glass.thermal_voltage, glass.ion_density
    x, width = mesh * 1e-9, np.diff(mesh) * 1e-9
    field = z[1::2] * volts * 1e9
    eps = epsilon_0 * glass.permittivity
    foreign = N * z[0::2]
    foreign[0] = (z[0] * 1e-9 * N - eps * field[0] / e) / width[0]
    native = N - foreign
    native[1:] += eps * np.diff(field) / e / width[1:]
    centre = 0.5 * (x[1:] + x[:-1])

    def flux(density, D):
        face = np.interp(x[1:-1], centre, density)
        return D(face / N) * (face * field[:-1] / volts - np.diff(density) / np.diff(centre))

    D_foreign = problem.ratio * problem.D_bulk
    beam = np.append(flux(foreign, lambda y: D_foreign), 0.0)
    back = problem.D_bulk * (field[-1] / volts * N - (N - native[-1]) / (x[-1] - centre[-1]))
    total = beam + np.append(flux(native, law), back)
    supplied = N * problem.D_bulk * problem.field / volts
    unit_time = 1e-9 * N / supplied
    expected = np.empty_like(z)
    expected[1::2] = e * (supplied - total) / eps / volts * 1e-9 * unit_time
    expected[0::2] = (np.append(supplied, beam[:-1]) - beam) / width / N * unit_time
    expected[0] *= mesh[1]
    found = rate_of(problem, mesh, z)
    for part in (0, 1):
        # 1e-5: the law between the points of its table
        scale = np.abs(expected[part::2]).max()
        assert np.abs(found[part::2] - expected[part::2]).max() < 1e-5 * scale


def test_our_solver_and_an_integrator_of_scipy_agree_on_one_fixed_mesh():
    """A wide front, cells that resolve it: the same semi-discrete equations, two integrators."""
    problem = problems.Problem("wide", 0.1, 353.15, 200e-9, 60e-9, field=1e5)
    mesh = np.linspace(0.0, 200.0, 201)
    run = cait.simulate(**problem.call, rtol=1e-5, mesh=mesh * 1e-9)
    # SciPy subtracts from memory that it has not filled yet, and does not use the difference
    with np.errstate(invalid="ignore", over="ignore"):
        profile, _ = peers.scipy_ivp("BDF", problem, mesh, 1e-6, 1e-7, 1e-8)()
    # 1e-4: the time errors of both; that of space is shared
    assert np.abs(profile.foreign - run.fraction["M"])[1:].max() < 1e-4
    assert np.abs(profile.native - run.fraction["Li"])[1:].max() < 1e-4


@pytest.mark.parametrize("fitted", [False, True])
def test_the_stencil_conserves_the_ions_and_the_charge(problem, fitted):
    """The beam's ion gains what it brings; Gauss's law carries the native ion out at the back."""
    s, mesh = problem.scaled, small_mesh(problem)
    z = disturbed(problem, mesh)
    rate = rate_of(problem, mesh, z, fitted)
    width = np.diff(mesh)
    gained = rate[0] + rate[2::2] @ width[1:]
    assert gained == pytest.approx(1.0, rel=1e-12)
    # d/dt of the native ions: minus the beam's, plus the net charge at the back's field
    native = -(gained - s["lam2"] * rate[-1])
    left = 1.0 - s["lam2"] * rate[-1]
    assert native == pytest.approx(-left, rel=1e-12)


def test_fitted_and_central_fluxes_agree_where_cells_are_small():
    """Their difference is of second order in the cell."""
    differences = []
    for dx in (0.02, 0.01):
        left, right, f = 0.4 - 0.3 * dx, 0.4 + 0.3 * dx, 1.5
        pair = [stencil.flux(1.0, left, right, 0.4, f, dx, fitted) for fitted in (False, True)]
        differences.append(abs(pair[0] - pair[1]))
    assert differences[0] / differences[1] == pytest.approx(4.0, rel=0.05)


@pytest.mark.parametrize("u", [1e-6, 1e-3, 0.5, 5.0])
def test_bernoulli_is_what_it_says(u):
    assert stencil.bernoulli(u) == pytest.approx(u / np.expm1(u), rel=1e-9)
    assert stencil.bernoulli(-u) - stencil.bernoulli(u) == pytest.approx(u, rel=1e-9)


def test_the_jacobian_of_the_stencil_lies_within_its_five_diagonals(problem):
    """Against differences of every column, which see what a band would cut off."""
    s, mesh = problem.scaled, small_mesh(problem)
    z = disturbed(problem, mesh)
    bands = np.empty((5, z.size))
    stencil.galvanostatic_bands(z, mesh, 1.0, s["lam2"], s["D"], s["d_beam"], False, bands)
    base = rate_of(problem, mesh, z)
    for m in range(z.size):
        step = 1e-7 * max(abs(z[m]), 1e-3)
        moved = z.copy()
        moved[m] += step
        column = (rate_of(problem, mesh, moved) - base) / (moved[m] - z[m])
        banded = np.zeros(z.size)
        rows = np.arange(max(0, m - 2), min(z.size, m + 3))
        banded[rows] = bands[2 + rows - m, m]
        np.testing.assert_allclose(banded, column, rtol=1e-9, atol=1e-9 * np.abs(base).max())


def test_the_potentiostatic_form_says_what_the_galvanostatic_one_does():
    """Rates of the one, with the current that keeps the voltage, leave no residual of the other."""
    problem = problems.PROBLEMS["iii"]
    s, mesh = problem.scaled, small_mesh(problem)
    widths = peers.face_widths(mesh)
    z = disturbed(problem, mesh)
    z[1::2] *= s["voltage"] / (z[1::2] @ widths)
    z[0] = 0.3 * mesh[1] + s["lam2"] * z[1]
    still = np.empty_like(z)
    stencil.galvanostatic(z, mesh, 0.0, s["lam2"], s["D"], s["d_beam"], False, still)
    j = -s["lam2"] * (widths @ still[1::2]) / mesh[-1]
    rate = np.empty_like(z)
    stencil.galvanostatic(z, mesh, j, s["lam2"], s["D"], s["d_beam"], False, rate)
    assert abs(widths @ rate[1::2]) < 1e-9 * np.abs(rate[1::2] * widths).sum()

    def to_potential(f):
        return -np.cumsum(f * widths)[:-1]

    p, dp = np.empty(z.size - 1), np.empty(z.size - 1)
    p[0::2], dp[0::2] = z[0::2], rate[0::2]
    p[0] = (z[0] - s["lam2"] * z[1]) / mesh[1]
    dp[0] = (rate[0] - s["lam2"] * rate[1]) / mesh[1]
    p[1::2], dp[1::2] = s["voltage"] + to_potential(z[1::2]), to_potential(rate[1::2])
    residual = np.empty_like(p)
    stencil.potentiostatic(
        p, dp, mesh, s["voltage"], s["lam2"], s["D"], s["d_beam"], False, residual
    )
    scale = np.abs(rate[1::2]).max() * s["lam2"]
    np.testing.assert_allclose(residual[1::2], 0.0, atol=1e-8 * scale)
    np.testing.assert_allclose(residual[0::2], 0.0, atol=1e-8 * np.abs(rate[0::2]).max())
    # and the bordered form finds that current: at it, its own rate vanishes
    bordered, out = np.append(z, j * stencil.BORDER), np.empty(z.size + 1)
    lag = 1e-2 * s["lam2"] / s["D"][-1]
    stencil.bordered(bordered, mesh, s["voltage"], s["lam2"], s["D"], s["d_beam"], False, lag, out)
    assert abs(out[-1]) < 1e-6 * j * stencil.BORDER / lag


@pytest.mark.parametrize("name", problems.PROBLEMS)
def test_our_solver_gives_the_limits_of_the_problems(name):
    """The stored limits are those on which IDA and our solver agree (``run.py --limits``)."""
    profile = problems.profile_of(cait.simulate(**problems.PROBLEMS[name].call))
    assert profile.front == pytest.approx(problems.FRONTS[name], rel=1e-3)
    assert profile.plateau == pytest.approx(problems.PLATEAUS[name], rel=5e-3)
    amount = profile.foreign @ np.diff(profile.nodes)
    depth = problems.PROBLEMS[name].depth / problems.NM
    assert amount == pytest.approx(depth, rel=1e-3)


def test_the_measure_of_error_is_zero_for_the_reference_and_sees_a_shift():
    """A front moved by one per cent of its depth is an error of one per cent of the front."""
    nodes = np.linspace(0.0, 200.0, 2001)
    x = 0.5 * (nodes[1:] + nodes[:-1])

    def profile(depth):
        native = 0.1 + 0.9 / (1.0 + np.exp(-(x - depth) / 2.0))
        return problems.Profile(nodes, native, 1.0 - native)

    limit = profile(100.0)
    assert max(limit.errors(limit).values()) < 1e-12
    errors = profile(101.0).errors(limit)
    assert errors["front"] == pytest.approx(0.01, rel=0.02)
    assert 0.01 < errors["profile"] < 0.1


def test_a_row_that_failed_stays_in_the_table():
    found = {"rows": [{"code": "peer", "problem": "i", "class": "continuum", "failed": "why"}]}
    assert "| peer |" in results.table(found) and "why" in results.table(found)


def test_what_was_not_measured_is_in_the_table_too():
    """An interrupted run leaves rows that say so; ours count for both classes."""
    text = results.table({"rows": []})
    assert text.count("not measured") == 2 * 3 * len(results.CODES) - 6


DEPARTURES = """seed   made  found         counting           total held  misfit fit budget  cause
5000  201.7  209.3   209.0- 209.7   171.3- 240.2 yes     1.3   2.0    33.1  thermal 0.861
5001  187.7   99.3    99.0-  99.7    81.3- 120.2 NO      1.3   2.0    33.1  sharp 0.901
5002  187.7  refused: the profile of Rb+ is not native glass at its end; sharp 0.871
held 1 of 2; median half-width 27.1 meV; scatter of the estimates 40.1 meV, 62.7 about the truth
"""


def test_a_study_is_read_with_every_one_of_its_cases():
    read = studies.result("departures", DEPARTURES)
    assert read["found"] == {"held": 1, "fitted": 2, "half": 27.1, "scatter": 40.1, "truth": 62.7}
    ends = [(row["inner_high"], row["low"], row["high"]) for row in read["rows"]]
    assert ends == [(209.7, 171.3, 240.2), (99.7, 81.3, 120.2)]
    with pytest.raises(ValueError, match="of its cases 1 could"):
        studies.result("departures", DEPARTURES.replace("209.0- 209.7", "209.0 - ?"))
    with pytest.raises(ValueError, match="does not end"):
        studies.result("departures", DEPARTURES.partition("held")[0])
