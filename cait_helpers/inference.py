"""Fit one site energy distribution to one or many CAIT runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import lmfit
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from .cases import Case, element
from .checks import require
from .families import FAMILIES, KNOTS, find_family
from .fronts import foreign_diffusivity_from_plateau
from .landscape import Law, activated_diffusivity, gaussian_sed
from .landscape import fwhm as full_width
from .model import (
    FitError,
    Model,
    bulk_diffusivity,
    gather,
    jacobian,
    observed_plateau,
    outputs,
    poisson_residuals,
)
from .npp import Run, SimulationError
from .resolution import blur
from .sims import Profile

Array = NDArray[np.float64]

_SCAN = (0.06, 0.09, 0.13, 0.18, 0.25, 0.34, 0.46)  # eV, widths tried for a start
# Half-widths of the first design, and of the narrowest: large against the noise of the solver.
_STEPS = {"log_ratio": (0.08, 0.015), "log_charge": (0.03, 0.01), "log10_D_bulk": (0.05, 0.02)}
_REACH = 2.5  # how many half-widths beyond its centre a design is believed


def expected_counts(
    run: Run, case: Case, profile: Profile, depth_scale: float = 1.0
) -> dict[str, Array]:
    """Counts a cycle that a run leads one to expect, by channel, each of shape (cycles,).

    ``depth_scale`` is the true over the stated crater depth.
    """
    return {
        ion: blur(
            run.x,
            run.fraction[element(ion)],
            depth_scale * (profile.edges + profile.lag[ion]),
            case.resolution,
        )
        * profile.scale[ion]
        + profile.background[ion]
        for ion in (case.native, case.foreign)
    }


# --- start and parameters -------------------------------------------------------------------


def _start(model: Model, occupancy: float) -> dict[str, float]:
    """Start values: the front theory gives D_foreign for a width; the counts choose the width."""
    gaussian = Model(model.data, FAMILIES["gaussian"])
    best, best_square = None, np.inf
    bulk = model.reference[0]
    for fwhm in _SCAN:
        values, square = {"fwhm": fwhm, "log10_D_bulk": float(np.log10(bulk))}, 0.0
        try:
            for number, data in enumerate(model.data):
                physical = {"fwhm": fwhm, "occupancy": occupancy, "temperature": 1.0}
                # The mean over the zone lies a little below the plateau at the front.
                plateau = 1.1 * observed_plateau(data.case, data.profile)
                D = foreign_diffusivity_from_plateau(gaussian.law(number, physical, bulk), plateau)
                ratio = float(np.log10(D / bulk))
                values[f"log10_D_{element(data.case.foreign)}"] = np.log10(bulk) + ratio
                run = gaussian.run(
                    number,
                    physical | {"log_ratio": ratio, "log10_D_bulk": np.log10(bulk)},
                    data.case.charge,
                    rtol=1e-3,
                )
                seen = data.case.native, data.case.foreign
                fraction = {
                    ion: blur(run.x, run.fraction[element(ion)],
                              data.profile.edges + data.profile.lag[ion], data.case.resolution)
                    for ion in seen
                }  # fmt: skip
                expected = data.levels(fraction)
                for ion in seen:
                    counts, spread, *_ = data.rows[ion]
                    square += np.sum((poisson_residuals(counts, expected[ion]) / spread) ** 2)
                if data.duration is not None:
                    time, density = np.exp(outputs(run, np.ones(1))[3:]).reshape(2, -1)
                    square += (np.log(time[-1] / data.duration) / 0.02) ** 2
                    if data.current is not None:
                        state = None, None, None, time, density
                        square += np.sum(data.current_residuals(state) ** 2)
        except (SimulationError, FitError, ValueError) as error:
            reason = error
            continue
        if square < best_square:
            best, best_square = values, square
    model.evaluations += gaussian.evaluations
    if best is None:
        raise FitError(f"no width between 60 and 460 meV can be simulated: {reason}")
    return best


def landscape_parameters(
    cases: Sequence[Case],
    family: str = "gaussian",
    occupancy: float = 0.9,
    depth_error: float = 0.01,
    current_error: float = 0.01,
    conductivity_error: float = 0.02,
    resolution_error: float = 0.1,
) -> lmfit.Parameters:
    """The parameters of a fit with start values and priors, to be changed before `fit_landscape`.

    Shared by all cases: those of the family (``fwhm`` / eV, ...), ``occupancy`` and
    ``temperature`` (true over stated), which are fixed at first, and ``log10_D_bulk``. Each has a
    twin for each case (``fwhm_0``, ...), tied to it by its ``expr``; freeing the twin gives
    that case a value of its own. One ``log10_D_<element>`` for each foreign ion. Of each case
    ``depth_<n>`` and ``resolution_<n>``, the true over the stated value. A Gaussian prior stands in
    ``user_data`` as (mean, standard deviation); ``min``, ``max``, ``vary``, ``expr`` are lmfit's.

    Parameters are those of `fit_landscape`.
    """
    return _parameters(
        Model(gather(cases, current_error), find_family(family)),
        occupancy,
        {
            "depth": depth_error,
            "conductivity": conductivity_error,
            "resolution": resolution_error,
            "current": current_error,
        },
    )


def _parameters(model: Model, occupancy: float, errors: Mapping[str, float]) -> lmfit.Parameters:
    start = _start(model, occupancy)
    parameters = lmfit.Parameters()
    shared = {
        name: {"value": p[0], "min": p[1], "max": p[2]}
        for name, p in model.family.parameters.items()
    }
    if "fwhm" in shared:
        shared["fwhm"]["value"] = start["fwhm"]
    if "fwhm_second" in shared:
        shared["fwhm_second"]["value"] = start["fwhm"]
    if "rise_0" in shared:  # the Gaussian of the start, at the knots
        law = activated_diffusivity(gaussian_sed(start["fwhm"]), 1.0,
                                    model.data[0].case.glass.temperature, occupancy)  # fmt: skip
        for i, rise in enumerate(np.diff(np.log(law(KNOTS)))):
            shared[f"rise_{i}"]["value"] = np.log10(rise)
    shared["occupancy"] = {"value": occupancy, "min": 0.3, "max": 0.995, "vary": False}
    shared["temperature"] = {"value": 1.0, "min": 0.9, "max": 1.1, "vary": False}
    shared["log10_D_bulk"] = {"value": start["log10_D_bulk"]}
    for name, settings in shared.items():
        parameters.add(name, **settings)
    stated = {bulk_diffusivity(d.case) for d in model.data if d.case.conductivity is not None}
    if stated:  # one value stated in several cases is one measurement
        spread = errors["conductivity"] / np.log(10) / np.sqrt(len(stated))
        parameters["log10_D_bulk"].user_data = (float(np.mean(np.log10([*stated]))), spread)
    for number, data in enumerate(model.data):
        for name in shared:
            parameters.add(f"{name}_{number}", expr=name)
        name = f"log10_D_{element(data.case.foreign)}"
        if name not in parameters:
            parameters.add(name, start[name])
        # where the charge is stated or recorded its error moves the front like one of the depth
        given = data.duration is None
        spread = np.hypot(errors["depth"], errors["current"] if given else 0.0)
        parameters.add(f"depth_{number}", 1.0, min=0.5, max=1.5)
        parameters[f"depth_{number}"].user_data = (1.0, spread)
        parameters.add(f"resolution_{number}", 1.0, min=0.5, max=2.0)
        parameters[f"resolution_{number}"].set(vary=data.case.resolution is not None)
        parameters[f"resolution_{number}"].user_data = (1.0, errors["resolution"])
    return parameters


# --- the fit --------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class LandscapeFit:
    """Result of :func:`fit_landscape`.

    Attributes
    ----------
    fwhm : float
        Width of the site energy distribution (eV); nan where the family has none.
    interval : dict of str to (float, float)
        95 % intervals of ``fwhm`` (eV) and of each fitted diffusivity (m^2/s), from the curvature
        of the likelihood; wider by sqrt(reduced chi-square) where that is above one.
    bulk_diffusivity : float
        D of the native ion in untouched glass (m^2/s).
    foreign_diffusivity : dict of str to float
        By element (m^2/s).
    occupancy : float
        Occupied share of all sites: assumed, unless it was freed.
    family : str
        Of the landscape.
    chi_square, degrees_of_freedom : float, int
    evaluations : int
        Simulations that the fit took.
    emulator_error : float
        Distance between the counts expected by the polynomials of the fit and by the resolved
        simulations at the optimum, in standard deviations of counting, all counts together.
    cases : tuple of Case
    profiles : tuple of Profile
    runs : tuple of Run
        The resolved simulations at the optimum.
    expected : tuple of dict of str to ndarray
        For each case the expected counts a cycle by channel, with the fitted levels, (cycles,).
    minimum : lmfit.minimizer.MinimizerResult
        Everything else, correlations included.
    """

    fwhm: float
    interval: dict[str, tuple[float, float]]
    bulk_diffusivity: float
    foreign_diffusivity: dict[str, float]
    occupancy: float
    family: str
    chi_square: float
    degrees_of_freedom: int
    evaluations: int
    emulator_error: float
    cases: tuple[Case, ...]
    profiles: tuple[Profile, ...]
    runs: tuple[Run, ...]
    expected: tuple[dict[str, Array], ...]
    minimum: lmfit.minimizer.MinimizerResult
    model: Model = field(repr=False)

    @property
    def reduced_chi_square(self) -> float:
        """Near one for a model that describes the data."""
        return self.chi_square / self.degrees_of_freedom

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the fitted parameters."""
        return tuple(self.minimum.var_names)

    @property
    def bayesian_criterion(self) -> float:
        """BIC: chi-square plus ln(number of data) for each parameter; the lower the better."""
        return self.chi_square + len(self.free) * np.log(self.minimum.ndata)

    @property
    def akaike_criterion(self) -> float:
        """AIC: chi-square plus two for each parameter; the lower the better."""
        return self.chi_square + 2 * len(self.free)

    def law(self, number: int = 0) -> Law:
        """D of the native ion against its fraction in one case."""
        values = self.minimum.params.valuesdict()
        physical = self.model.physical(number, values)
        return self.model.law(number, physical, 10 ** physical["log10_D_bulk"])

    def report(self) -> str:
        """Parameters with their 95 % intervals, a line each."""
        lines = []
        if "fwhm" in self.interval:
            low, high = self.interval["fwhm"]
            lines.append(
                f"FWHM of the SED  {self.fwhm * 1e3:.1f} meV  (95 %: {low * 1e3:.1f} to"
                f" {high * 1e3:.1f} meV)"
            )
        lines.append(f"D_bulk           {self.bulk_diffusivity:.4g} m^2/s{self._between('D_bulk')}")
        for ion, D in self.foreign_diffusivity.items():
            lines.append(f"D_{ion:<15}{D:.4g} m^2/s{self._between(f'D_{ion}')}")
        free = self.minimum.params["occupancy"].vary
        lines.append(
            f"occupied share   {self.occupancy:.3g} of all sites, {'fitted' if free else 'assumed'}"
        )
        lines.append(
            f"chi-square       {self.chi_square:.0f} for {self.degrees_of_freedom} degrees of"
            f" freedom ({self.reduced_chi_square:.2f})"
        )
        return "\n".join(lines)

    def _between(self, name: str) -> str:
        if name not in self.interval:
            return ""
        low, high = self.interval[name]
        return f"  (95 %: {low:.4g} to {high:.4g})"


def fit_landscape(
    cases: Sequence[Case],
    occupancy: float = 0.9,
    depth_error: float = 0.01,
    current_error: float = 0.01,
    conductivity_error: float = 0.02,
    resolution_error: float = 0.1,
    family: str = "gaussian",
    parameters: lmfit.Parameters | None = None,
    largest_chi_square: float = 2.0,
    progress: bool = False,
) -> LandscapeFit:
    """Fit one site energy distribution, and a constant D for each foreign ion.

    Maximises the Poisson likelihood of the counts of all native and foreign channels, and of the
    recorded currents where a voltage is stated, over the width of the distribution, D of each
    foreign ion, D_bulk, the depth scale and the resolution of each experiment within their errors,
    the levels of the signals, the drift of the matrix signal, and the gain of the current. The
    model is :func:`simulate`; at the optimum it is repeated with an error estimate.

    Parameters
    ----------
    cases : sequence of Case
        From :func:`read_case`. Runs with one foreign ion share its D.
    occupancy : float
        Occupied share of all sites in untouched glass, 0.3 to 0.995.
    depth_error, current_error, conductivity_error, resolution_error : float
        Relative standard errors of the crater depth, of the exposed area with the electrometer,
        of the bulk conductivity where a case states it, 1e-5 to 0.2, and of the depth resolution.
    family : str
        Of the landscape: "gaussian", "skewed", "two components", "immobile share", "monotone D".
    parameters : lmfit.Parameters, optional
        From :func:`landscape_parameters`, changed at will; stands for all arguments above.
    largest_chi_square : float
        A fit with a reduced chi-square above this is refused: its intervals would mean nothing.
    progress : bool
        Show a bar of the search.

    Returns
    -------
    LandscapeFit

    Raises
    ------
    FitError
        If a check of a profile fails, the cases do not fit together, the fit does not converge, or
        it does not describe the data.
    SimulationError
        If the model cannot be resolved at the optimum.
    """
    cases = tuple(cases)
    require("occupancy", occupancy, 0.3, 0.995)
    errors = {
        "depth": require("depth_error", depth_error, 1e-5, 0.2),
        "current": require("current_error", current_error, 1e-5, 0.2),
        "conductivity": require("conductivity_error", conductivity_error, 1e-5, 0.2),
        "resolution": require("resolution_error", resolution_error, 1e-5, 0.5),
    }
    if not cases or not all(isinstance(case, Case) for case in cases):
        raise ValueError("cases must be one or more results of read_case")
    if len({element(case.native) for case in cases}) > 1:
        raise FitError("the cases have different native ions: they share no landscape")
    if len({case.glass.temperature for case in cases}) > 1:
        raise FitError("the cases have different temperatures: D of an ion is not one number")
    data = gather(cases, current_error)
    for case, d in zip(cases, data, strict=True):
        failed = [check for check in d.profile.checks if not check.passed]
        if failed:
            raise FitError(
                f"{case.title}: {failed[0].name} = {failed[0].value:.3g}, allowed"
                f" {failed[0].low:.3g} to {failed[0].high:.3g}: {failed[0].message}"
            )
    model = Model(data, find_family(family))
    if parameters is None:
        parameters = _parameters(model, occupancy, errors)
    minimum = _search(model, parameters, progress)
    return _result(model, minimum, cases, largest_chi_square)


def minimise(model: Model, parameters: lmfit.Parameters) -> lmfit.minimizer.MinimizerResult:
    return lmfit.Minimizer(model.residuals, parameters, scale_covar=False).minimize(
        method="least_squares", x_scale="jac", ftol=1e-7, xtol=1e-7, tr_solver="lsmr"
    )


def _search(
    model: Model, parameters: lmfit.Parameters, progress: bool = False
) -> lmfit.minimizer.MinimizerResult:
    """Build a design, minimise inside it, move it there, until it stays; then narrow it."""
    first = {name: p[3] for name, p in model.family.parameters.items()}
    first |= {name: steps[0] for name, steps in _STEPS.items()}
    first |= {"occupancy": 0.02, "temperature": 0.01}
    if "fwhm" in parameters:
        first["fwhm"] *= parameters["fwhm"].value
    least = {name: width / 4 for name, width in first.items()}
    least |= {name: steps[1] for name, steps in _STEPS.items()}
    widths, minimum, narrowed, square = dict(first), None, False, np.inf
    with tqdm(total=8, desc="fit", disable=not progress, file=sys.stdout) as bar:
        for turn in range(16):
            model.build(parameters, widths)
            minimum = minimise(model, _confined(parameters, widths))
            for name in parameters:
                if parameters[name].vary:
                    parameters[name].value = minimum.params[name].value
            values = parameters.valuesdict()
            places = [
                dict(zip(emulator.names, np.abs(model.place(n, values)), strict=True))
                for n, emulator in enumerate(model.emulators)
            ]
            moved = max(max(place.values()) for place in places)
            bar.update()
            # along a direction that the data do not know the optimum may wander: no gain is enough
            still = moved < 1.001 or abs(square - minimum.chisqr) < 0.1
            square = minimum.chisqr
            if still and narrowed:
                bar.update(bar.total - bar.n)
                break
            if still:
                narrowed = True
                error = _errors(model, minimum.params)
                foreign = [s for name, s in error.items() if name.startswith("log10_D_")]
                error["log_ratio"] = max(foreign, default=0.0)
                error["log_charge"] = 2.3 * error.get("log10_D_bulk", 0.0)
                widths = {
                    name: float(np.clip(2 * error.get(name, 0.0), least[name], width))
                    for name, width in first.items()
                }
            else:  # longer strides where the bounds of the design were met
                for name in widths:
                    if max(place.get(name, 0.0) for place in places) > 0.9 * _REACH:
                        widths[name] = min(2 * widths[name], 4 * first[name])
                    elif turn > 4:  # two designs that point to each other: nearer ones will not
                        widths[name] = max(0.6 * widths[name], least[name])
        else:
            raise FitError("the fit did not converge: its optimum moved on for sixteen rounds")
    values = minimum.params.valuesdict()
    model.anchor(values, [model.resolved(n, values) for n in range(len(model.data))])
    minimum = minimise(model, _confined(minimum.params, widths))
    if not minimum.success:
        raise FitError(f"the fit did not converge: {minimum.message}")
    for name in minimum.var_names:  # the bounds of the search are not those of the user
        minimum.params[name].set(min=parameters[name].min, max=parameters[name].max)
    for name, error in _errors(model, minimum.params).items():
        minimum.params[name].stderr = error
    return minimum


def _errors(model: Model, parameters: lmfit.Parameters) -> dict[str, float]:
    """Standard errors by name, from the curvature of the likelihood."""
    rows = jacobian(model, parameters)
    variance = np.diag(np.linalg.pinv(rows.T @ rows, hermitian=True))
    free = [name for name, p in parameters.items() if p.vary]
    return dict(zip(free, np.sqrt(np.maximum(variance, 0)).tolist(), strict=True))


def _confined(parameters: lmfit.Parameters, widths: Mapping[str, float]) -> lmfit.Parameters:
    """Bounds inside which the design is believed."""
    inside = parameters.copy()
    for name, p in inside.items():
        if not p.vary:
            continue
        if name == "log10_D_bulk":
            reach = _REACH * widths["log_charge"] / np.log(10)  # the charge grows more slowly
        elif name.startswith("log10_D_"):
            reach = _REACH * widths["log_ratio"]
        else:
            stem = name.rpartition("_")[0]
            width = widths.get(name, widths.get(stem))
            if width is None:
                continue
            reach = _REACH * width
        p.set(min=max(p.min, p.value - reach), max=min(p.max, p.value + reach))
    return inside


def _result(model, minimum, cases, largest_chi_square) -> LandscapeFit:
    values = minimum.params.valuesdict()
    solved = sum(5 + (d.current is not None) for d in model.data)
    freedom = int(minimum.nfree) - solved
    reduced = minimum.chisqr / freedom
    if reduced > largest_chi_square:
        raise FitError(
            f"the model does not describe the data: reduced chi-square {reduced:.2f}, allowed"
            f" {largest_chi_square:g}; look at the residuals with largest_chi_square=inf"
        )
    runs = tuple(model.resolved(number, values) for number in range(len(cases)))
    expected, distance = [], 0.0
    for number, (data, run) in enumerate(zip(model.data, runs, strict=True)):
        case, profile = data.case, data.profile
        native, foreign = element(case.native), element(case.foreign)
        state = run.x, run.fraction[native], run.fraction[foreign]
        fractions = model.fractions(number, values, state)
        levels = data.levels(fractions)
        by_emulator = data.levels(model.fractions(number, values, model.state(number, values)))
        counts = {}
        for ion in (case.native, case.foreign):
            distance += np.sum((levels[ion] - by_emulator[ion]) ** 2 / by_emulator[ion])
            counts[ion] = profile.background[ion] + profile.scale[ion] * fractions[ion]
            counts[ion][profile.used] = levels[ion]
        expected.append(counts)
    widening = 1.96 * max(1.0, np.sqrt(reduced))
    interval = {}
    for name in minimum.var_names:
        p = minimum.params[name]
        low, high = p.value - widening * p.stderr, p.value + widening * p.stderr
        if name.startswith("log10_"):
            interval[name.removeprefix("log10_")] = (10**low, 10**high)
        elif name == "fwhm" or not name.startswith(("depth_", "resolution_")):
            interval[name] = (low, high)
    physical = model.physical(0, values)
    try:
        fwhm = full_width(model.law(0, physical, 1e-18).sed)
    except (AttributeError, ValueError):  # no distribution, or not down to its half
        fwhm = float("nan")
    return LandscapeFit(
        fwhm=fwhm,
        interval=interval,
        bulk_diffusivity=10 ** values["log10_D_bulk"],
        foreign_diffusivity={
            element(case.foreign): 10 ** values[f"log10_D_{element(case.foreign)}"]
            for case in cases
        },
        occupancy=values["occupancy"],
        family=model.family.name,
        chi_square=float(minimum.chisqr),
        degrees_of_freedom=freedom,
        evaluations=model.evaluations,
        emulator_error=float(np.sqrt(distance)),
        cases=tuple(cases),
        profiles=tuple(d.profile for d in model.data),
        runs=runs,
        expected=tuple(expected),
        minimum=minimum,
        model=model,
    )
