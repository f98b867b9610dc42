"""The other codes on the same problem: each set up once, then called for its time.

Every function takes a problem, a mesh (nm) and tolerances and returns a callable that solves the
problem from its start and returns ``(Profile, counts)``. What can be prepared is prepared outside
the call, and each code has the form of the equations that suits it best (see :mod:`stencil`).
"""

from __future__ import annotations

import os
from collections.abc import Callable

import numpy as np
import stencil
from numpy.typing import NDArray
from problems import Problem, Profile

os.environ.setdefault("PYBAMM_DISABLE_TELEMETRY", "true")

Solver = Callable[[], tuple[Profile, dict]]


def galvanostatic_start(problem: Problem, mesh: NDArray) -> NDArray:
    """The glass at rest under the field of the start, with its sheet charge."""
    z = np.zeros(2 * (mesh.size - 1))
    z[1::2] = problem.scaled["field"]
    z[0] = problem.scaled["lam2"] * z[1]
    return z


def galvanostatic_profile(problem: Problem, mesh: NDArray, z: NDArray) -> Profile:
    """Fractions from the unknowns of the galvanostatic form."""
    lam2, width = problem.scaled["lam2"], np.diff(mesh)
    foreign, f = z[0 : 2 * width.size : 2].copy(), z[1 : 2 * width.size : 2]
    foreign[0] = (foreign[0] - lam2 * f[0]) / width[0]
    native = 1 - foreign
    native[1:] += lam2 * np.diff(f) / width[1:]
    return Profile(mesh, native, foreign)


def face_widths(mesh: NDArray) -> NDArray:
    """Widths that the fields at the right faces stand for (nm)."""
    return np.array([stencil.face_width(mesh, c) for c in range(mesh.size - 1)])


def potentiostatic_start(problem: Problem, mesh: NDArray) -> NDArray:
    """The same for the potentiostatic form: a straight potential."""
    z = np.zeros(2 * (mesh.size - 1) - 1)
    drop = np.cumsum(face_widths(mesh))[:-1] * problem.scaled["field"]
    z[1::2] = problem.scaled["voltage"] - drop
    return z


def potentiostatic_profile(problem: Problem, mesh: NDArray, z: NDArray) -> Profile:
    """Fractions from the unknowns of the potentiostatic form."""
    p = np.concatenate([[problem.scaled["voltage"]], z[1::2], [0.0]])
    f = -np.diff(p) / face_widths(mesh)
    native = 1 - z[0::2]
    native[1:] += problem.scaled["lam2"] * np.diff(f) / np.diff(mesh)[1:]
    return Profile(mesh, native, z[0::2].copy())


def _arguments(problem: Problem, mesh: NDArray, fitted: bool) -> tuple:
    """What the galvanostatic functions of the stencil take after the unknowns."""
    s = problem.scaled
    return mesh, 1.0, s["lam2"], s["D"], s["d_beam"], fitted


def _explicit(problem: Problem, mesh: NDArray, atol_y: float, atol_f: float, fitted: bool):
    """Rates of the explicit form, their arguments, start, and absolute tolerances."""
    s, cells = problem.scaled, mesh.size - 1
    start = np.append(galvanostatic_start(problem, mesh), stencil.BORDER)
    atol = np.append(np.tile([atol_y, atol_f], cells), atol_y * stencil.BORDER)
    atol[0] *= mesh[1]
    if problem.voltage is None:
        return stencil.galvanostatic, _arguments(problem, mesh, fitted), start[:-1], atol[:-1]
    lag = s["lam2"] / s["D"][-1] * 1e-2
    arguments = (mesh, s["voltage"], s["lam2"], s["D"], s["d_beam"], fitted, lag)
    return stencil.bordered, arguments, start, atol


def ida(
    problem: Problem, mesh: NDArray, rtol: float, atol_y: float, atol_f: float, fitted=False,
    linsolver="band",
) -> Solver:  # fmt: skip
    """SUNDIALS IDA by scikit-SUNDAE: banded, compiled residual, its own banded differences."""
    from sksundae.ida import IDA

    s = problem.scaled
    if problem.voltage is None:
        arguments = _arguments(problem, mesh, fitted)
        start = galvanostatic_start(problem, mesh)
        band = 2
        atol = np.tile([atol_y, atol_f], mesh.size - 1)
        atol[0] *= mesh[1]
        read = galvanostatic_profile

        galvanostatic = stencil.galvanostatic

        def residual(t, z, rate, out):
            galvanostatic(z, *arguments, out)
            out -= rate

    else:
        arguments = (mesh, s["voltage"], s["lam2"], s["D"], s["d_beam"], fitted)
        start = potentiostatic_start(problem, mesh)
        band = 4
        atol = np.tile([atol_y, atol_f], mesh.size)[: start.size]
        read = potentiostatic_profile
        potentiostatic = stencil.potentiostatic

        def residual(t, z, rate, out):
            potentiostatic(z, rate, *arguments, out)

    span = np.array([0.0, s["end"]])

    def solve():
        solver = IDA(
            residual, rtol=rtol, atol=atol, linsolver=linsolver, lband=band, uband=band,
            max_num_steps=10**6,
        )  # fmt: skip
        end = solver.solve(span, start, np.zeros_like(start))
        if not end.success:
            raise RuntimeError(end.message)
        return read(problem, mesh, end.y[-1]), {"residuals": int(end.nfev)}

    return solve


def lsoda(
    problem: Problem, mesh: NDArray, rtol: float, atol_y: float, atol_f: float, fitted=False
) -> Solver:
    """SciPy's LSODA through odeint (less Python in its loop than solve_ivp): banded differences.

    Under a voltage dense ones: it knows no border.
    """
    from scipy.integrate import odeint

    function, arguments, start, atol = _explicit(problem, mesh, atol_y, atol_f, fitted)
    out = np.empty_like(start)
    bands = {"ml": 2, "mu": 2} if problem.voltage is None else {}
    span = [0.0, problem.scaled["end"]]

    def rhs(t, z):
        function(z, *arguments, out)
        return out

    def solve():
        end, info = odeint(
            rhs, start, span, tfirst=True, rtol=rtol, atol=atol, mxstep=10**6, full_output=True,
            **bands,
        )  # fmt: skip
        if info["message"] != "Integration successful.":
            raise RuntimeError(info["message"])
        counts = {"steps": int(info["nst"][-1]), "residuals": int(info["nfe"][-1])}
        return galvanostatic_profile(problem, mesh, end[-1]), counts

    return solve


def scipy_ivp(
    method: str, problem: Problem, mesh: NDArray, rtol: float, atol_y: float, atol_f: float,
    fitted=False,
) -> Solver:  # fmt: skip
    """SciPy's BDF or Radau with a compiled right-hand side and compiled sparse Jacobian."""
    from scipy.integrate import solve_ivp
    from scipy.sparse import bmat, csc_matrix

    s = problem.scaled
    bordered = problem.voltage is not None
    cells = mesh.size - 1
    function, arguments, start, atol = _explicit(problem, mesh, atol_y, atol_f, fitted)
    size = start.size
    # Places of the bands in compressed columns, and of the border behind them.
    column = np.repeat(np.arange(2 * cells), 5)
    row = column + np.tile(np.arange(-2, 3), 2 * cells)
    inside = (row >= 0) & (row < 2 * cells)
    indices, where = row[inside], inside.reshape(-1, 5)
    bands = np.empty((5, 2 * cells))
    lag, widths = arguments[-1], face_widths(mesh)

    def rhs(t, z):
        out = np.empty(size)
        function(z, *arguments, out)
        return out

    def jacobian(t, z):
        j = z[-1] / stencil.BORDER if bordered else 1.0
        stencil.galvanostatic_bands(
            z[: 2 * cells], mesh, j, s["lam2"], s["D"], s["d_beam"], fitted, bands
        )
        pointer = np.concatenate([[0], np.cumsum(where.sum(axis=1))])
        banded = csc_matrix((bands.T[where], indices, pointer), shape=(2 * cells, 2 * cells))
        if not bordered:
            return banded
        # The current flows into the first cell and all fields; its own rate follows the fluxes.
        weight = np.zeros(2 * cells)
        weight[1::2] = widths * s["lam2"]
        last = -(banded.T @ weight)
        last[1::2] -= s["lam2"] * widths / lag
        last *= stencil.BORDER / (mesh[-1] * lag)
        into = np.zeros((2 * cells, 1))
        into[0], into[1::2] = 1 / stencil.BORDER, 1 / (s["lam2"] * stencil.BORDER)
        # j - lam2 df/dt is the flux of the glass, which does not depend on j
        return bmat([[banded, into], [last[None, :], [[-1 / lag]]]], format="csc")

    def solve():
        end = solve_ivp(
            rhs, (0.0, s["end"]), start, method=method, jac=jacobian, rtol=rtol, atol=atol,
            t_eval=[s["end"]],
        )  # fmt: skip
        if not end.success:
            raise RuntimeError(end.message)
        counts = {"residuals": int(end.nfev), "factorisations": int(end.nlu)}
        return galvanostatic_profile(problem, mesh, end.y[:, -1]), counts

    return solve


def pybamm_idaklu(
    problem: Problem, mesh: NDArray, rtol: float, atol_y: float, atol_f: float, fitted=False
) -> Solver:
    """PyBaMM's IDAKLU solver (SUNDIALS IDA with sparse KLU, CasADi's exact Jacobian).

    The total-current form, in PyBaMM's own expressions; under a voltage the current is its one
    algebraic unknown. Its own spatial operators would average D and not the fraction at a face.
    """
    import pybamm
    from scipy.sparse import csr_matrix, diags

    s, n = problem.scaled, mesh.size - 1
    h = np.diff(mesh)
    # From cells to inner faces and to all right faces, and back.
    left = h[1:] / (h[1:] + h[:-1])
    faces = pybamm.Matrix(csr_matrix(diags([left, 1 - left], [0, 1], shape=(n - 1, n))))
    dx = 0.5 * (h[1:] + h[:-1])
    slopes = pybamm.Matrix(csr_matrix(diags([-1 / dx, 1 / dx], [0, 1], shape=(n - 1, n))))
    inner = pybamm.Matrix(csr_matrix(diags([np.ones(n - 1)], [0], shape=(n - 1, n))))
    widen = pybamm.Matrix(csr_matrix(diags([np.ones(n - 1)], [0], shape=(n, n - 1))))
    last = np.zeros((n, 1))
    last[-1] = 1.0
    divergence = diags([1 / h, -1 / h[1:]], [0, -1], shape=(n, n)).tolil()
    gauss = diags([s["lam2"] / h, -s["lam2"] / h[1:]], [0, -1], shape=(n, n)).tolil()
    gauss[0, 0] = 0.0  # the attached sheet ends the field
    first = np.zeros((n, 1))
    first[0] = 1 / h[0]

    y, f = pybamm.StateVector(slice(0, n)), pybamm.StateVector(slice(n, 2 * n))
    native = 1 - y + pybamm.Matrix(csr_matrix(gauss)) @ f
    field, place = inner @ f, np.linspace(0.0, 1.0, s["D"].size)
    native_face = faces @ native
    root = pybamm.sqrt(pybamm.sqrt(pybamm.maximum(native_face, 1e-12)))
    d_native = pybamm.Interpolant(place, s["D"], root, interpolator="linear")
    if fitted:
        up = field * pybamm.Vector(dx)  # positive everywhere under a drive
        down = up / (pybamm.exp(up) - 1.0)
        ahead = pybamm.Matrix(csr_matrix(diags([1 / dx], [1], shape=(n - 1, n))))
        here = pybamm.Matrix(csr_matrix(diags([1 / dx], [0], shape=(n - 1, n))))

        def flow(d, c):
            return d * ((down + up) * (here @ c) - down * (ahead @ c))
    else:

        def flow(d, c):
            return d * ((faces @ c) * field - slopes @ c)

    beam, flux = flow(s["d_beam"], y), flow(d_native, native)
    back = np.zeros((1, n))
    back[0, -1] = 1.0
    end = s["D"][-1] * (
        pybamm.Matrix(back) @ f - (1 - pybamm.Matrix(back) @ native) / (0.5 * h[-1])
    )
    total = widen @ (beam + flux) + pybamm.Matrix(last) @ end
    # The first cell is neutral: what enters it is what leaves as native ions.
    pick = np.zeros((1, n - 1))
    pick[0, 0] = 1.0
    arriving = pybamm.Matrix(first) @ (pybamm.Matrix(pick) @ (beam + flux))
    if problem.voltage is None:
        j, algebraic = pybamm.Scalar(1.0), None
    else:
        j = pybamm.StateVector(slice(2 * n, 2 * n + 1))
        algebraic = pybamm.Matrix(face_widths(mesh)[None, :] / mesh[-1]) @ total - j
    rates = (
        arriving - pybamm.Matrix(csr_matrix(divergence)) @ (widen @ beam),
        (j - total) / s["lam2"],
    )
    # PyBaMM checks the shapes of operators of its own only, so a model without physics is
    # discretised and given the equations.
    model = pybamm.BaseModel()
    unknowns = [pybamm.Variable(name, domain="glass") for name in "yf"]
    model.rhs = dict.fromkeys(unknowns, pybamm.Scalar(0.0))
    model.initial_conditions = {
        unknowns[0]: pybamm.Scalar(0.0), unknowns[1]: pybamm.Scalar(s["field"])
    }  # fmt: skip
    if algebraic is not None:
        border = pybamm.Variable("j")
        model.algebraic = {border: border - 1.0}
        model.initial_conditions[border] = pybamm.Scalar(1.0)
    x = pybamm.SpatialVariable("x", domain="glass", coord_sys="cartesian")
    geometry = {"glass": {x: {"min": 0, "max": mesh[-1]}}}
    grid = pybamm.Mesh(geometry, {"glass": pybamm.Uniform1DSubMesh}, {x: n})
    pybamm.Discretisation(grid, {"glass": pybamm.FiniteVolume()}).process_model(model)
    model.concatenated_rhs = pybamm.NumpyConcatenation(*rates)
    if algebraic is not None:
        model.concatenated_algebraic = algebraic
    atol = np.concatenate([np.full(n, atol_y), np.full(n, atol_f), [atol_y]])
    solver = pybamm.IDAKLUSolver(
        rtol=rtol,
        atol=atol[: model.len_rhs_and_alg],
        options={"max_num_steps": 10**6, "compile": False},
    )
    span = [0.0, s["end"]]

    def solve():
        answer = solver.solve(model, span, t_interp=[span[1]])
        if answer.termination != "final time":
            raise RuntimeError(answer.termination)
        z = answer.y[:, -1] if not hasattr(answer.y, "full") else answer.y.full()[:, -1]
        field, foreign = z[n : 2 * n], z[:n]
        native = 1 - foreign
        native[1:] += s["lam2"] * np.diff(field) / h[1:]
        return Profile(mesh, native, foreign), {}

    return solve


def fipy(
    problem: Problem, mesh: NDArray, step: float, sweeps: int, fitted=True, budget=np.inf
) -> Solver:
    """FiPy: both ions and the potential in one coupled matrix, implicit Euler, Newton-like sweeps.

    ``step`` is the largest charge of a step, as the depth that it replaces (nm); the first ones are
    smaller. Under a voltage each sweep corrects the current by the voltage of the last. The drift
    is FiPy's exponential convection (``fitted``) or central, at the potential of the sweep before,
    and implicit in the change of the potential, without which dielectric relaxation would bound
    the step.
    """
    import time

    import fipy as fp
    from fipy.solvers.scipy import LinearLUSolver

    s, h = problem.scaled, np.diff(mesh)
    place = np.linspace(0.0, 1.0, s["D"].size)
    convection = fp.ExponentialConvectionTerm if fitted else fp.CentralDifferenceConvectionTerm

    def solve():
        until = time.perf_counter() + budget
        grid = fp.Grid1D(dx=h)
        x = grid.cellCenters.value[0]
        y = fp.CellVariable(mesh=grid, value=0.0, hasOld=True)
        native = fp.CellVariable(mesh=grid, value=1.0, hasOld=True)
        phi = fp.CellVariable(mesh=grid, value=s["field"] * (mesh[-1] - x), hasOld=True)
        phi.constrain(0.0, where=grid.facesRight)
        native.constrain(1.0, where=grid.facesRight)
        d_native = fp.FaceVariable(mesh=grid, value=s["D"][-1])
        d_beam = fp.FaceVariable(mesh=grid, value=s["d_beam"])
        d_beam.constrain(0.0, where=grid.facesRight)
        supply = fp.CellVariable(mesh=grid, value=0.0)
        one = fp.CellVariable(mesh=grid, value=1.0)
        equations = []
        for ion, d in ((y, d_beam), (native, d_native)):
            drift = d * ion.faceValue
            equations.append(
                fp.TransientTerm(var=ion) + convection(coeff=-d * phi.faceGrad, var=ion)
                == fp.DiffusionTerm(d, var=ion) + fp.DiffusionTerm(drift, var=phi)
                - (drift * phi.faceGrad).divergence
            )  # fmt: skip
        equations[0] = equations[0] - supply
        poisson = (
            fp.DiffusionTerm(s["lam2"], var=phi) + fp.ImplicitSourceTerm(one, var=y)
            + fp.ImplicitSourceTerm(one, var=native) - one
        )  # fmt: skip
        system = equations[0] & equations[1] & poisson
        solver = LinearLUSolver(iterations=1)
        t, dt, steps, current = 0.0, 1e-4, 0, 1.0
        while t < s["end"] * (1 - 1e-12):
            dt = min(dt * 1.3, step / current, s["end"] - t)
            for ion in (y, native, phi):
                ion.updateOld()
            for sweep in range(sweeps):
                if sweep > 0 and problem.voltage is not None:  # at a given state they go together
                    current *= s["voltage"] / phi.value[0]
                supply.setValue(current / h[0], where=grid.cellCenters[0] < h[0])
                # the mean at a face decides the diffusivity, as in all other codes
                at = np.clip(native.arithmeticFaceValue.value, 0, 1) ** 0.25
                d_native.setValue(np.interp(at, place, s["D"]))
                system.sweep(dt=dt, solver=solver)
            t, steps = t + dt, steps + 1
            if time.perf_counter() > until:
                raise TimeoutError(f"{t / s['end']:.0%} of the time after {budget:g} s")
        foreign = np.array(y.value)
        foreign[0] = 1 - native.value[0]  # without the attached sheet
        return Profile(mesh, np.array(native.value), foreign), {"steps": steps}

    return solve
