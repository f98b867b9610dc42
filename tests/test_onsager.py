"""Onsager coefficients: every formula derived again with sympy, then held against the code."""

import functools

import numpy as np
import pytest
import sympy as sp
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.constants import e, k

from cait_helpers import onsager

T = 323.15
proof = settings(
    deadline=None, derandomize=True, max_examples=60, suppress_health_check=[HealthCheck.too_slow]
)


@st.composite
def cases(draw, ions=2, coupling=0.99, decades=6):
    """Diffusivities, densities and a coupled admissible L of one glass."""
    logs = st.floats(-1, 0)
    D = 1e-19 * 10.0 ** np.array([draw(logs) * decades for _ in range(ions)])
    n = 1.38e28 * 10.0 ** np.array([draw(logs) * decades / 2 for _ in range(ions)])
    # a Gram matrix of unit vectors, diluted with the identity: a correlation matrix
    vectors = np.array([[draw(st.floats(-1, 1)) for _ in range(ions)] for _ in range(ions)])
    norms = np.linalg.norm(vectors, axis=1)
    assume((norms > 1e-3).all())
    vectors /= norms[:, None]
    gram = coupling * (vectors @ vectors.T)
    np.fill_diagonal(gram, 0.0)
    root = np.sqrt(D * n / (k * T))
    return D, n, onsager.onsager_matrix(D, n, T, cross=gram * root * root[:, None])


L11, L12, L22, n1, n2, kT = sp.symbols("L11 L12 L22 n1 n2 kT", positive=True)


def fluxes(slope_1, slope_2, field):
    """Both fluxes for ideal chemical potentials; field = -e dphi/dx."""
    force_1 = -kT * slope_1 / n1 + field
    force_2 = -kT * slope_2 / n2 + field
    return sp.Matrix([[L11, L12], [L12, L22]]) * sp.Matrix([force_1, force_2])


@functools.cache
def eliminated():
    """Transference number and interdiffusion coefficient, from J_1 + J_2 = J solved for E."""
    x, E, J = sp.symbols("x E J")
    flux = fluxes(x, -x, E)
    field = sp.solve(sp.Eq(flux[0] + flux[1], J), E)[0]
    native = sp.expand(sp.simplify(flux[0].subs(E, field)))
    t, D = native.coeff(J), -native.coeff(x)
    assert sp.simplify(native - t * J + D * x) == 0
    return t, D


def numbers(expression, L, n):
    values = {L11: L[0, 0], L12: L[0, 1], L22: L[1, 1], n1: n[0], n2: n[1], kT: k * T}
    return float(sp.lambdify(list(values), expression)(*values.values()))


def test_equations_4_to_7_lead_to_equations_8_and_9():
    """The chain rule with (6) and (7) doubles the tracer's slope; (8) and D_eff = 2 D* follow."""
    # mu_1 carries its two slopes as symbols: (7) ties them, (6) ties the gradients
    slope, gradient, D_eff = sp.symbols("slope gradient D_eff")
    along = slope * gradient + (-slope) * (-gradient)
    assert sp.expand(along - 2 * slope * gradient) == 0
    implied = sp.solve(sp.Eq(along, kT / n1 * gradient), slope)[0]
    assert implied == kT / (2 * n1)
    L = sp.solve(sp.Eq(L11 * along.subs(slope, implied), D_eff * gradient), L11)[0]
    assert sp.simplify(L - D_eff * n1 / kT) == 0
    D_tracer = sp.simplify(L * implied)  # the tracer answers to one of the two equal parts

    D, n = 3e-20, 1e28
    expected = float(L.subs({D_eff: D, n1: n, kT: k * T}))
    assert onsager.onsager_matrix([D, 1e-23], [n, 4e27], T)[0, 0] == pytest.approx(expected, 1e-14)
    ratio = onsager.tracer_diffusivity(D) / D
    assert ratio == pytest.approx(float(D_tracer / D_eff), 1e-14)
    assert onsager.haven_ratio(onsager.tracer_diffusivity(D), D) == 0.5


@proof
@given(cases())
def test_migration_and_chemical_coefficients_are_those_of_the_flux_equations(case):
    """Coefficients of the field and of -dn_i/dx in J_i at dn_1/dx = -dn_2/dx."""
    _, n, L = case
    x, E = sp.symbols("x E")
    J = fluxes(x, -x, E)
    D_mig, D_chem = onsager.diffusivities(L, n, T)
    for i, (density, sign) in enumerate(((n1, 1), (n2, -1))):
        migration = sp.expand(J[i]).coeff(E) * kT / density
        chemical = -sign * sp.expand(J[i]).coeff(x)
        # sums of terms of either sign: rounding is relative to the largest term
        size = k * T * np.abs(L[i]).max() / n.min()
        assert D_mig[i] == pytest.approx(numbers(migration, L, n), rel=1e-12, abs=1e-14 * size)
        assert D_chem[i] == pytest.approx(numbers(chemical, L, n), rel=1e-12, abs=1e-14 * size)


def test_the_interdiffusion_coefficient_is_the_determinant_form():
    """D = kT N det L / (S n_1 n_2), symbol by symbol."""
    _, D = eliminated()
    S = L11 + 2 * L12 + L22
    assert sp.simplify(D - kT * (n1 + n2) * (L11 * L22 - L12**2) / (S * n1 * n2)) == 0


@proof
@given(cases(coupling=0.9))  # away from a singular L, where det L is a difference of equals
def test_eliminating_the_field_gives_the_transference_and_the_interdiffusivity(case):
    """J_1 = t_1 J - D dn_1/dx with the closed form of D, for any coupling."""
    _, n, L = case
    t, D = eliminated()
    t_code = onsager.transference(L)
    assert t_code.sum() == pytest.approx(1.0, abs=1e-12)
    # 1 - c^2 > 0.1 keeps S and det L within a factor 1e2 of their terms
    assert t_code[0] == pytest.approx(numbers(t, L, n), rel=1e-11, abs=1e-13)
    assert onsager.interdiffusivity(L, n, T) == pytest.approx(numbers(D, L, n), rel=1e-11)


@pytest.mark.parametrize("coupling", [-0.6, 0.0, 0.8])
def test_two_ions_that_share_the_sites_move_as_their_matrix_says(coupling):
    """The closed form for a share y of the ions, against the matrix L of both."""
    y, D_1, D_2, N = 0.3, 2e-19, 5e-20, 1e28
    n, cross = np.array([y, 1 - y]) * N, coupling * np.sqrt(y * D_1 * (1 - y) * D_2) * N / (k * T)
    L = np.array([[n[0] * D_1 / (k * T), cross], [cross, n[1] * D_2 / (k * T)]])
    t, D = onsager.neutral_transport(y, D_1, D_2, coupling)
    assert t == pytest.approx(onsager.transference(L)[0], rel=1e-12)
    assert D == pytest.approx(onsager.interdiffusivity(L, n, T), rel=1e-12)
    with pytest.raises(ValueError, match=r"coupling = 1\.5 is outside"):
        onsager.neutral_transport(y, D_1, D_2, 1.5)


@proof
@given(cases(decades=2))
def test_the_map_to_diffusivities_and_back_is_the_identity(case):
    """L -> (D_mig, D_chem) -> L to 1e-12 in the scale sqrt(L_ii L_jj) of each entry."""
    _, n, L = case
    again = onsager.from_diffusivities(*onsager.diffusivities(L, n, T), n, T)
    root = np.sqrt(np.diag(L))
    assert np.abs((again - L) / root / root[:, None]).max() < 1e-12


@proof
@given(cases())
def test_the_map_and_back_survives_ions_of_very_different_speed(case):
    """Six decades between the ions: a slow ion's digits go where L_12 exceeds its own L."""
    _, n, L = case
    again = onsager.from_diffusivities(*onsager.diffusivities(L, n, T), n, T)
    assert np.abs(again - L).max() < 1e-15 * np.abs(L).sum() * (n.sum() / n.min())


@proof
@given(st.integers(1, 5).flatmap(lambda ions: cases(ions=ions)))
def test_the_fick_matrix_and_back_is_the_identity_for_any_number_of_ions(case):
    """L -> D_ij = kT L_ij/n_j -> L to 1e-12 of each entry's scale, over six decades."""
    _, n, L = case
    again = onsager.from_fick(onsager.fick_matrix(L, n, T), n, T)
    root = np.sqrt(np.diag(L))
    assert np.abs((again - L) / root / root[:, None]).max() < 1e-12


@proof
@given(cases(coupling=0.9, decades=2))  # away from a singular L, where S or det L vanish
def test_profile_and_voltage_and_back_is_the_identity(case):
    """L -> (t_1, D~, sigma) -> L, to 1e-12 in the scale sqrt(L_ii L_jj) of each entry."""
    _, n, L = case
    again = onsager.from_exchange(
        onsager.transference(L)[0],
        onsager.interdiffusivity(L, n, T),
        onsager.conductivity(L),
        n,
        T,
    )
    root = np.sqrt(np.diag(L))
    assert np.abs((again - L) / root / root[:, None]).max() < 1e-12


@proof
@given(
    st.integers(-2000, 3000).map(lambda m: m / 1000),
    st.integers(0, 1000).map(lambda m: m * 1e-21),
    st.floats(1e-12, 1e-6),
    st.floats(0.01, 0.99),
)
def test_every_profile_and_conductivity_belongs_to_an_admissible_matrix(t, D, sigma, y):
    """(t_1, D~, sigma) -> L -> (t_1, D~, sigma), whatever they are, beyond 0 < t_1 < 1 as well."""
    n = 1.38e28 * np.array([y, 1 - y])
    L = onsager.check_admissible(onsager.from_exchange(t, D, sigma, n, T))
    size = np.abs(L).sum() * e**2 / sigma  # of the terms that cancel in S
    assert onsager.conductivity(L) == pytest.approx(sigma, rel=1e-13 * size)
    if L.sum() > 1e-9 * np.trace(L):
        assert onsager.transference(L)[0] == pytest.approx(t, abs=1e-12 * size**2)
        found = onsager.interdiffusivity(L, n, T)
        rounding = 1e-14 * k * T * n.sum() / n.prod() * L[0, 0] * L[1, 1] / L.sum() * size
        assert found == pytest.approx(D, rel=1e-12 * size, abs=rounding)


@proof
@given(st.integers(1, 4).flatmap(lambda ions: cases(ions=ions)))
def test_sums_over_ions_agree_between_the_two_languages(case):
    """sigma = e^2/kT sum n_i D_i,mig, and the lumped partner leaves total fluxes consistent."""
    _, n, L = case
    D_mig, D_chem = onsager.diffusivities(L, n, T)
    size = e**2 * np.abs(L).sum()
    sigma = e**2 / (k * T) * (n * D_mig).sum()
    assert onsager.conductivity(L) == pytest.approx(sigma, abs=1e-13 * size)
    # the partner of ion i, all others in their own proportions, seen through the Fick matrix
    fick = onsager.fick_matrix(L, n, T)
    for i in range(n.size):
        gradient = -n / ((n.sum() - n[i]) or 1.0)  # a single ion has no partner
        gradient[i] = 1.0
        rounding = 1e-12 * np.abs(fick[i] * gradient).max()
        assert D_chem[i] == pytest.approx(fick[i] @ gradient, abs=rounding)


@proof
@given(cases(ions=3, coupling=0.0))
def test_without_coupling_every_coefficient_is_the_effective_one(case):
    """Diagonal L: D_mig = D_chem = D_eff, and shares and interdiffusion are Nernst-Planck's."""
    D, n, L = case
    for found in onsager.diffusivities(L, n, T):
        np.testing.assert_allclose(found, D, rtol=1e-14)
    np.testing.assert_allclose(np.diag(onsager.fick_matrix(L, n, T)), D, rtol=1e-14)
    np.testing.assert_allclose(onsager.transference(L), D * n / (D * n).sum(), rtol=1e-13)
    D, n, L = D[:2], n[:2], L[:2, :2]
    hartley = D.prod() * n.sum() / (D * n).sum()
    assert onsager.interdiffusivity(L, n, T) == pytest.approx(hartley, rel=1e-13)


@proof
@given(cases(ions=3))
def test_the_entropy_production_of_an_admissible_matrix_is_never_negative(case):
    """x.L.x >= 0 for the forces that make it smallest, the eigenvectors; renumbering is inert."""
    _, n, L = case
    assert np.linalg.eigvalsh(L)[0] >= -1e-12 * np.trace(L)
    order = np.array([2, 0, 1])
    D_mig, D_chem = onsager.diffusivities(L, n, T)
    moved = onsager.diffusivities(L[np.ix_(order, order)], n[order], T)
    size = k * T * np.abs(L).max() / n.min()
    np.testing.assert_allclose(moved[0], D_mig[order], rtol=1e-12, atol=1e-14 * size)
    np.testing.assert_allclose(moved[1], D_chem[order], rtol=1e-12, atol=1e-14 * size)


def test_one_number_couples_two_ions_and_leaves_the_diagonal():
    D, n = np.array([1e-19, 3e-20]), [1e28, 2e27]
    single = onsager.onsager_matrix(D, n, T)
    cross = 0.5 * np.sqrt(np.prod(np.diag(single)))
    L = onsager.onsager_matrix(D, n, T, cross=cross)
    np.testing.assert_array_equal(L, np.add(single, [[0, cross], [cross, 0]]))


def test_the_diffusivity_of_charge_is_that_of_nernst_and_einstein():
    """One kind of ion without coupling: sigma = e^2 L, and D_sigma is its D."""
    ((L,),) = onsager.onsager_matrix([1e-19], [1e28], T)
    sigma = onsager.charge_conductivity(1e-19, 1e28, T)
    assert sigma == pytest.approx(e**2 * L, rel=1e-14)
    assert onsager.charge_diffusivity(sigma, 1e28, T) == pytest.approx(1e-19, rel=1e-14)


def test_a_perfectly_coupled_pair_does_not_interdiffuse():
    """det L = 0: the ions move as one, so there is a current and no exchange."""
    L = np.array([[4.0, 2.0], [2.0, 1.0]]) * 1e29
    assert onsager.interdiffusivity(L, [1e28, 4e27], T) == 0.0
    assert onsager.conductivity(L) == pytest.approx(9e29 * e**2, 1e-14)
    # and ions that move against each other conduct as long as more than rounding is left
    against = np.array([[1.0, 1.6e-12 - 1], [1.6e-12 - 1, 1.0]])
    np.testing.assert_allclose(onsager.transference(against), 0.5)


@pytest.mark.parametrize(
    ("L", "message"),
    [
        ([[1.0, 0.5], [0.4, 1.0]], r"L\[0, 1\] = 0.5 differs from L\[1, 0\] = 0.4"),
        ([[1.0, 1.1], [1.1, 1.0]], "eigenvalue -0.1"),
        # the slow ion's offence is 1e-12 of the largest entry, and still seen
        ([[1.0, 2e-12], [2e-12, 1e-24]], "eigenvalue -1"),
        ([[1.0, 0.0], [0.0, -1e-20]], r"L\[1, 1\] = -1e-20 is negative"),
        ([[1.0, 1e-9], [1e-9, 0.0]], r"L\[1, 1\] = 0 allows no coupling"),
        ([[1.0, 1e-99], [0.0, 0.0]], r"L\[1, 1\] = 0 allows no coupling"),
        ([[1.0, np.nan], [0.0, 1.0]], "L = nan is outside"),
        ([1.0, 2.0], r"shape \(2,\)"),
        (np.ones((3, 2)), r"shape \(3, 2\)"),
        (np.ones((0, 0)), r"shape \(0, 0\)"),
    ],
)
def test_an_inadmissible_matrix_is_refused_by_name(L, message):
    """Reciprocity and the second law, in the scale of the ions concerned."""
    with pytest.raises(ValueError, match=message):
        onsager.check_admissible(L)


def test_coefficients_that_break_reciprocity_are_refused():
    """Four numbers, three unknowns: D_mig - D_chem is common to both ions."""
    with pytest.raises(ValueError, match="reciprocity"):
        onsager.from_diffusivities([2e-19, 1e-21], [1e-19, 1e-21], [1e28, 1e27], T)
    # of the largest of the four, rounding of the last digits passes and a seventh digit does not
    n, D_chem = [1e28, 1e27], [1e-19, 1e-20]
    onsager.from_diffusivities([2e-19, 1.1e-19 * (1 + 1e-12)], D_chem, n, T)
    with pytest.raises(ValueError, match="reciprocity"):
        onsager.from_diffusivities([2e-19, 1.1e-19 * (1 + 1e-7)], D_chem, n, T)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: onsager.onsager_matrix([1e-19], [0.0], T), "n = 0 is outside"),
        (lambda: onsager.onsager_matrix([-1e-19], [1e28], T), r"L\[0, 0\]"),
        (lambda: onsager.onsager_matrix([1e-19, 1e-20], [1e28], T), r"\(1,\); it takes 2 values"),
        (lambda: onsager.onsager_matrix([1e-19], [1e28], 0.0), r"= 0 K .*\[0.001, 1e\+09\]"),
        (lambda: onsager.onsager_matrix([1e-19], [1e28], T, cross=1.0), "cross = 1.0"),
        (lambda: onsager.interdiffusivity(np.eye(3), [1e28] * 3, T), r"shape \(3, 3\)"),
        (lambda: onsager.check_admissible(np.eye(2), 2.0), r"tolerance = 2 .*\[0, 1\]"),
        (lambda: onsager.transference(np.zeros((2, 2))), "does not conduct"),
        (lambda: onsager.from_fick(np.ones((2, 3)), [1e28, 1e28], T), r"shape \(2, 3\)"),
        (lambda: onsager.from_fick([[1, 1], [2, 1]], [1e28] * 2, T), "reciprocity"),
        (lambda: onsager.from_exchange(0.5, -1.0, 1.0, [1e28] * 2, T), "exchange = -1 "),
        (lambda: onsager.from_exchange(0.5, 1e-20, 0.0, [1e28] * 2, T), "sigma = 0 "),
        (lambda: onsager.tracer_diffusivity(-1.0), "D_eff = -1 "),
        (lambda: onsager.haven_ratio(1e-20, 0.0), "D_sigma = 0 "),
        (lambda: onsager.haven_ratio(np.nan, 1e-20), "D_tracer = nan"),
    ],
)
def test_bad_input_is_refused_at_the_door(call, message):
    """The message names the argument and its value."""
    with pytest.raises(ValueError, match=message):
        call()
