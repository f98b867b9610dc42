"""Fit one site energy distribution to one or many CAIT runs."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

import numpy as np
from scipy.constants import e, k
from tqdm import tqdm

from .cases import Case
from .checks import Array, require
from .emulator import trace
from .families import FAMILIES, KNOTS, find_family
from .fronts import foreign_diffusivity_from_plateau
from .landscape import Law, activated_diffusivity, gaussian_sed
from .landscape import fwhm as full_width
from .likelihood import (
    FREE_OCCUPANCY,
    Experiment,
    FitError,
    Likelihood,
    State,
    covariance,
    gather,
    minimise,
    observed_plateau,
    poisson_residuals,
)
from .misfit import Misfit, judge, widened
from .npp import Charge, Duration, Run, SimulationError
from .parameters import Assumptions, Parameter, Parameters, Prior, copied, free_names, values_of
from .profile_checks import Check
from .resolution import as_seen
from .sims import Profile

Progress = bool | Callable[[float, str], None]

_SCAN = (0.06, 0.09, 0.13, 0.18, 0.25, 0.34, 0.46)  # eV, widths tried for a start
# Half-widths of the first design, and of the narrowest: large against the noise of the solver.
_STEPS = {"log_ratio": (0.08, 0.015), "log_charge": (0.03, 0.01), "log10_D_bulk": (0.05, 0.02),
          "energy": (0.05, 0.01)}  # fmt: skip
_REACH = 2.5  # how many half-widths beyond its centre a design is believed
# Charge found over charge passed that a fit can live with: density (2 %), area, current and crater
# (1 % each) and sputter rate (5 %) move it by 6 %; three times that is a wrong entry.
_BALANCE = (0.84, 1.18)


@contextmanager
def steps(progress: Progress, what: str, total: int) -> Iterator[Callable[[int], None]]:
    """A function that counts steps for a bar (True), or for a callable (share done, what).

    The callable may raise, which ends what is under way.
    """
    done = 0

    def tell(more: int = 1) -> None:
        nonlocal done
        done = min(done + more, total)
        progress(done / total, what)

    if callable(progress):
        tell(0)
        yield tell
    else:
        with tqdm(total=total, desc=what, disable=not progress, file=sys.stdout) as bar:
            yield bar.update


def expected_counts(
    run: Run, case: Case, profile: Profile, depth_scale: float = 1.0
) -> dict[str, Array]:
    """Counts a cycle that a run leads one to expect, by channel, each of shape (cycles,).

    ``depth_scale`` is the true over the stated crater depth.
    """
    fraction = {ion: run.fraction[name] for ion, name in case.elements.items()}
    lag = {ion: depth_scale * late for ion, late in profile.lag.items()}
    seen = as_seen(run.x, fraction, depth_scale * profile.edges, case.resolution, lag)
    return {ion: f * profile.scale[ion] + profile.background[ion] for ion, f in seen.items()}


# --- start and parameters -------------------------------------------------------------------


def _try(gaussian: Likelihood, number: int, at: dict[str, float]) -> tuple[float, float]:
    """Chi-square of one case, simulated roughly, with levels, gain and D_bulk at their best.

    And the decades by which all must be faster, for the charge to have passed in the stated time.
    """
    experiment = gaussian.experiments[number]
    case, profile = experiment.case, experiment.profile
    until = Charge(case.charge) if case.charge is not None else Duration(experiment.duration)
    run = gaussian.run(number, at, until, rtol=1e-3)
    fraction = {ion: run.fraction[name] for ion, name in case.elements.items()}
    fraction = as_seen(run.x, fraction, profile.edges, case.resolution, profile.lag)
    expected, _ = experiment.levels(fraction)
    square = sum(
        np.sum((poisson_residuals(row.counts, expected[ion]) / row.spread) ** 2)
        for ion, row in experiment.rows.items()
    )
    if experiment.duration is None:
        return float(square), 0.0
    time, density = trace(run)
    speed = time[-1] / experiment.duration
    if experiment.record is not None:
        state = State(run.x, fraction, fraction, time / speed, density * speed)
        square += np.sum(experiment.record.residuals(state) ** 2)
    return float(square), float(np.log10(speed))


def _start(
    likelihood: Likelihood, occupancy: float
) -> tuple[float, dict[str, float], dict[str, float]]:
    """Start values: the front theory gives D_foreign for a width; the counts choose the width.

    They are the width (eV), and by ion log10 D (m^2/s) and, where there are several temperatures,
    its energy (eV): D is laid through the lines of Arrhenius.
    """
    gaussian = Likelihood(likelihood.experiments, FAMILIES["gaussian"], likelihood.assumed)
    best, points, best_square = None, {}, np.inf
    for fwhm in _SCAN:
        found, square = {"bulk": []}, 0.0
        try:
            for number, experiment in enumerate(likelihood.experiments):
                bulk, inverse = likelihood.reference[number], experiment.case.glass.temperature**-1
                at = {"fwhm": fwhm, "occupancy": occupancy, "log10_D_bulk": float(np.log10(bulk))}
                # The mean over the zone lies a little below the plateau at the front.
                plateau = 1.1 * observed_plateau(experiment.case, experiment.profile)
                law = gaussian.law(number, at)
                D = float(foreign_diffusivity_from_plateau(law, plateau))
                at["log_ratio"] = float(np.log10(D / bulk))
                more, faster = _try(gaussian, number, at)
                square += more
                found["bulk"].append((inverse, np.log10(bulk) + faster))
                name = experiment.case.foreign_element
                found.setdefault(name, []).append((inverse, np.log10(D) + faster))
        except (SimulationError, ValueError) as error:
            reason = error
            continue
        if square < best_square:
            best, points, best_square = fwhm, found, square
    likelihood.evaluations += gaussian.evaluations
    if best is None:
        raise FitError(f"no width between 60 and 460 meV can be simulated: {reason}")
    log10_D, energies = {}, {}
    for name, pairs in points.items():
        inverse, log_D = np.array(pairs).T
        log10_D[name] = float(np.mean(log_D))
        if np.ptp(inverse) > 0:
            slope, level = np.polyfit(inverse - inverse.mean(), log_D, 1)
            energies[name] = float(-slope * np.log(10) * k / e)
            log10_D[name] = float(level)
    return best, log10_D, energies


def landscape_parameters(
    cases: Sequence[Case],
    family: str = "gaussian",
    occupancy: float = 0.9,
    depth_error: float = 0.01,
    current_error: float = 0.01,
    conductivity_error: float = 0.02,
    resolution_error: float = 0.1,
) -> Parameters:
    """The parameters of a fit with start values and priors, to be changed before `fit_landscape`.

    Shared by all cases: those of the family (``fwhm`` / eV, ...), ``occupancy``, and the true over
    the stated ``temperature``, ``density`` and ``voltage``, which are held at first, and
    ``log10_D_bulk``. One ``log10_D_<element>`` for each foreign ion. Of each case ``depth_<n>``,
    ``resolution_<n>``, and, held at first, ``thickness_<n>`` and ``rate_<n>`` (sputter rate of
    replaced glass): the true over the stated value. A shared parameter copied under a name that
    ends in the number of a case (``fwhm_1``) is one that this case has for its own.

    Parameters are those of `fit_landscape`.

    Returns
    -------
    dict of str to Parameter
    """
    errors = _errors_of(depth_error, current_error, conductivity_error, resolution_error)
    require("occupancy", occupancy, *FREE_OCCUPANCY)
    likelihood = Likelihood(_experiments(cases, errors), find_family(family))
    return _parameters(likelihood, occupancy, errors)


def _experiments(cases: Sequence[Case], errors: Mapping[str, float]) -> tuple[Experiment, ...]:
    """What was measured, if the cases can be fitted together and pass their checks."""
    cases = tuple(cases)
    if not cases or not all(isinstance(case, Case) for case in cases):
        raise ValueError("cases must be one or more results of read_case")
    if len({case.native_element for case in cases}) > 1:
        raise FitError("the cases have different native ions: they share no landscape")
    experiments, seen = gather(cases, errors), {}
    for experiment in experiments:
        title, profile = experiment.case.title, experiment.profile
        counts = np.concatenate([*profile.counts.values()]).tobytes()
        if counts in seen:
            raise FitError(f"{title}: its counts are those of another case, {seen[counts]}: one"
                           " measurement counts once")  # fmt: skip
        seen[counts] = title
        for check in profile.checks:
            if not _bearable(check):
                raise FitError(f"{title}: {check.name} = {check.value:.3g}, allowed {check.low:.3g}"
                               f" to {check.high:.3g}: {check.message}")  # fmt: skip
    return experiments


def _bearable(check: Check) -> bool:
    """Passed, or a charge a little off, of which the misfit of the fit tells the cause."""
    slight = check.name == "charge balance" and _BALANCE[0] <= check.value <= _BALANCE[1]
    return check.passed or slight


def _errors_of(depth_error, current_error, conductivity_error, resolution_error):
    return {
        "depth": require("depth_error", depth_error, 1e-5, 0.2),
        "current": require("current_error", current_error, 1e-5, 0.2),
        "conductivity": require("conductivity_error", conductivity_error, 1e-5, 0.2),
        "resolution": require("resolution_error", resolution_error, 1e-5, 0.5),
    }


def _scale(sigma: float, low: float, high: float, vary: bool = False, moves: str = "") -> Parameter:
    """The true over the stated value of something known to a relative error."""
    return Parameter(1.0, low, high, vary, Prior(1.0, sigma), moves=moves)


def _parameters(
    likelihood: Likelihood, occupancy: float, errors: Mapping[str, float]
) -> Parameters:
    (fwhm, log10_D, energies), experiments = _start(likelihood, occupancy), likelihood.experiments
    found = {
        name: Parameter(p[0], p[1], p[2], moves=name, key=name)
        for name, p in likelihood.family.parameters.items()
    }
    for name in {"fwhm", "fwhm_second"} & found.keys():
        found[name].value = fwhm
    if "rise_0" in found:  # the Gaussian of the start, at the knots
        law = activated_diffusivity(gaussian_sed(fwhm), 1.0,
                                    experiments[0].case.glass.temperature, occupancy)  # fmt: skip
        for i, rise in enumerate(np.diff(np.log(law(KNOTS)))):
            found[f"rise_{i}"].value = float(np.log10(rise))
            # no interval by curvature: chi-square is no parabola of a step, or flat
            found[f"rise_{i}"].key = ""
    found["occupancy"] = Parameter(
        occupancy, *FREE_OCCUPANCY, False, moves="occupancy", key="occupancy"
    )
    kelvin = 1 / experiments[0].case.glass.temperature
    found["temperature"] = _scale(kelvin, 0.9, 1.1, moves="temperature")
    found["density"], found["voltage"] = _scale(0.02, 0.5, 2), _scale(0.005, 0.5, 2)
    found["log10_D_bulk"] = Parameter(
        log10_D["bulk"], moves="log10_D_bulk", decades=True, key="D_bulk"
    )
    for name, energy in energies.items():
        found[f"energy_{name}"] = Parameter(energy, 0.0, 5.0, moves="energy", key=f"energy_{name}")
    for number, experiment in enumerate(experiments):
        name = experiment.case.foreign_element
        found[f"log10_D_{name}"] = Parameter(
            log10_D[name], moves="log_ratio", decades=True, key=f"D_{name}"
        )
        # where the charge is stated or recorded its error moves the front like one of the depth
        given = experiment.duration is None
        spread = float(np.hypot(errors["depth"], errors["current"] if given else 0.0))
        found[f"depth_{number}"] = _scale(spread, 0.5, 1.5, vary=True)
        seen = experiment.case.resolution is not None
        found[f"resolution_{number}"] = _scale(errors["resolution"], 0.5, 2, vary=seen)
        found[f"thickness_{number}"] = _scale(0.01, 0.5, 2)
        found[f"rate_{number}"] = _scale(0.05, 0.5, 2)
    return found


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
        of the likelihood; wider by sqrt(reduced chi-square) where that is above one, and by what
        a systematic misfit does. One-sided for a parameter at its bound. What is assumed is not
        in them: see `error_budget`.
    bulk_diffusivity : float
        D of the native ion in untouched glass (m^2/s).
    foreign_diffusivity : dict of str to float
        By element (m^2/s).
    occupancy : float
        Occupied share of all sites: assumed, unless it was freed.
    family : str
        Of the landscape.
    misfit : Misfit
        What the model leaves unexplained: how improbable, where, and the likeliest cause.
    chi_square, degrees_of_freedom : float, int
    evaluations : int
        Simulations that the fit took.
    emulator_error : float
        Distance between the counts expected by the polynomials of the fit and by the resolved
        simulations at the optimum, in standard deviations of counting, all counts together.
    experiments : tuple of Experiment
        Each case with its profile, its resolved simulation and its expected counts.
    parameters : dict of str to Parameter
        At the optimum, with their errors.
    likelihood : Likelihood
        With polynomials that meet the resolved simulations.
    """

    fwhm: float
    interval: dict[str, tuple[float, float]]
    bulk_diffusivity: float
    foreign_diffusivity: dict[str, float]
    occupancy: float
    family: str
    misfit: Misfit
    chi_square: float
    degrees_of_freedom: int
    evaluations: int
    emulator_error: float
    experiments: tuple[Experiment, ...]
    parameters: Parameters
    likelihood: Likelihood = field(repr=False)

    @property
    def reduced_chi_square(self) -> float:
        """Near one for a model that describes the data."""
        return self.chi_square / self.degrees_of_freedom

    @property
    def free(self) -> tuple[str, ...]:
        """Names of the fitted parameters."""
        return free_names(self.parameters)

    @property
    def bayesian_criterion(self) -> float:
        """BIC: chi-square plus ln(number of data) for each parameter; the lower the better."""
        number = self.likelihood.residuals(self.parameters).size
        return self.chi_square + len(self.free) * np.log(number)

    def _coordinates(self, number: int) -> dict[str, float]:
        settings = self.likelihood.settings(number, values_of(self.parameters))
        return self.likelihood.coordinates(settings)

    def law(self, number: int = 0) -> Law:
        """D of the native ion against its fraction in one case."""
        return self.likelihood.law(number, self._coordinates(number))

    @property
    def sed(self):
        """The landscape; None for a table of D, which has none."""
        return self.likelihood.sed(0, self.likelihood.settings(0, values_of(self.parameters)))

    def report(self) -> str:
        """Parameters with their 95 % intervals, a line each."""
        lines = []
        if "fwhm" in self.interval:
            low, high = self.interval["fwhm"]
            lines.append(
                f"FWHM of the SED  {self.fwhm * 1e3:.1f} meV  (95 %: {low * 1e3:.1f} to"
                f" {high * 1e3:.1f} meV)"
            )
        D = {"bulk": self.bulk_diffusivity} | self.foreign_diffusivity
        for ion, value in D.items():
            low, high = self.interval.get(f"D_{ion}", (None, None))
            between = "" if low is None else f"  (95 %: {low:.4g} to {high:.4g})"
            lines.append(f"D_{ion:<15}{value:.4g} m^2/s{between}")
        free = self.parameters["occupancy"].vary
        lines.append(
            f"occupied share   {self.occupancy:.3g} of all sites, {'fitted' if free else 'assumed'}"
        )
        for x in self.experiments:
            if x.background_error > 0:
                level = max(x.profile.background.values())
                lines.append(f"background       {level:.2g} counts a cycle fitted, none is stated"
                             f" ({x.case.title})")  # fmt: skip
        lines.append(
            f"chi-square       {self.chi_square:.0f} for {self.degrees_of_freedom} degrees of"
            f" freedom ({self.reduced_chi_square:.2f})"
        )
        lines += [self.misfit.report()] if self.misfit.notable else []
        return "\n".join(lines)


def fit_landscape(
    cases: Sequence[Case],
    occupancy: float = 0.9,
    depth_error: float = 0.01,
    current_error: float = 0.01,
    conductivity_error: float = 0.02,
    resolution_error: float = 0.1,
    family: str = "gaussian",
    filling: str = "zero",
    parameters: Mapping[str, Parameter] | None = None,
    largest_chi_square: float = 4.0,
    progress: Progress = False,
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
    filling : {"zero", "thermal"}
        Sites filled strictly from the bottom up (the paper), or with Fermi-Dirac occupation.
    parameters : dict of str to Parameter, optional
        From :func:`landscape_parameters`, changed at will; stands for occupancy and the errors of
        depth and resolution.
    largest_chi_square : float
        A fit with a reduced chi-square above this is refused. Below, a misfit is said
        (``fit.misfit``) and widens the intervals; at 20,000 counts 4 is a model that is off by 3
        to 4 %. Counts that are off by about a per cent leave no misfit to see, and may move the
        width by more than its statistical interval.
    progress : bool or callable
        True shows a bar of the search; a callable is told (share done, what), and may raise.

    Returns
    -------
    LandscapeFit

    Raises
    ------
    FitError
        If a check of a profile fails, the cases do not fit together, the fit does not converge, its
        optimum cannot be resolved, or it does not describe the data; the text names the cause.
    """
    require("occupancy", occupancy, *FREE_OCCUPANCY)
    if not (isinstance(largest_chi_square, int | float) and largest_chi_square > 0):
        raise ValueError(f"largest_chi_square = {largest_chi_square!r}; allowed is a number > 0")
    errors = _errors_of(depth_error, current_error, conductivity_error, resolution_error)
    assumed = Assumptions(filling=filling)
    likelihood = Likelihood(_experiments(cases, errors), find_family(family), assumed)
    if parameters is None:
        parameters = _parameters(likelihood, occupancy, errors)
    found = _search(likelihood, copied(parameters), progress)
    return _result(likelihood, found, largest_chi_square)


def _search(
    likelihood: Likelihood,
    parameters: Parameters,
    progress: Progress,
    anchored: bool = True,
    hopeless: float = np.inf,
) -> Parameters:
    """Build a design, minimise inside it, move it there, until it stays; then narrow it.

    The designs on the way have no crossed terms: they need not be right, but lead there. An
    optimum whose chi-square is ``hopeless`` is not narrowed.
    """
    first = {name: p[3] for name, p in likelihood.family.parameters.items()}
    first |= {name: steps[0] for name, steps in _STEPS.items()} | {"occupancy": 0.02}
    if "fwhm" in parameters:
        first["fwhm"] *= parameters["fwhm"].value
    least = {name: width / 4 for name, width in first.items()}
    least |= {name: steps[1] for name, steps in _STEPS.items()}
    widths, narrowed, square, good = dict(first), False, np.inf, None
    with steps(progress, "fit", 8) as tell:
        for turn in range(20):
            try:
                likelihood.build(parameters, widths, crossed=narrowed)
            except SimulationError as error:  # a step to take back, by half
                if turn > 12:
                    raise FitError(f"the model cannot be simulated: {error}") from error
                for name, p in parameters.items():
                    if good is not None and p.vary:
                        p.value = 0.5 * (p.value + good[name])
                widths = {name: 0.6 * width for name, width in widths.items()}
                continue
            good = values_of(parameters)
            found, now = minimise(likelihood, _confined(parameters, widths), 1e-5)
            for name, p in found.items():
                parameters[name].value = p.value
            values = values_of(parameters)
            places = [
                dict(zip(emulator.names, np.abs(likelihood.place(
                    n, likelihood.settings(n, values))), strict=True))
                for n, emulator in enumerate(likelihood.emulators)
            ]  # fmt: skip
            moved = max((max(place.values(), default=0.0) for place in places), default=0.0)
            tell(1)
            # along a direction that the data do not know the optimum may wander: no gain is enough
            still = moved < 1.001 or abs(square - now) < 0.1
            square = now
            if still and (narrowed or now > hopeless):
                tell(8)
                break
            if still:
                narrowed = True
                error = _errors(likelihood, parameters)
                for name, p in parameters.items():
                    if p.vary and p.moves == "log10_D_bulk":
                        error["log_charge"] = max(2.3 * error[name], error.get("log_charge", 0.0))
                    elif p.vary and p.moves:
                        error[p.moves] = max(error[name], error.get(p.moves, 0.0))
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
            raise FitError("the fit did not converge: its optimum moved on for twenty rounds")
    if anchored:
        values = values_of(parameters)
        try:
            runs = [likelihood.resolved(n, values) for n in range(len(likelihood.experiments))]
        except SimulationError as error:
            raise FitError(f"the model cannot be resolved at the optimum: {error}") from error
        likelihood.anchor(values, runs)
        found, _ = minimise(likelihood, _confined(parameters, widths))
    for name, p in found.items():  # the bounds of the search are not those of the user
        p.min, p.max = parameters[name].min, parameters[name].max
    for name, error in _errors(likelihood, found).items():
        found[name].error = error
    return found


def _errors(likelihood: Likelihood, parameters: Mapping[str, Parameter]) -> dict[str, float]:
    """Standard errors by name, from the curvature of the likelihood."""
    free = free_names(parameters)
    if not free:
        return {}
    variance = np.diag(covariance(likelihood, parameters))
    return dict(zip(free, np.sqrt(np.maximum(variance, 0)).tolist(), strict=True))


def refit(
    fit: LandscapeFit,
    parameters: Parameters,
    assumed: Assumptions | None = None,
    family: str | None = None,
    hopeless: float = np.inf,
) -> tuple[Likelihood, Parameters, float]:
    """Search again from ``parameters`` under other assumptions; likelihood, optimum, chi-square.

    The polynomials are not moved onto resolved runs: it is compared, and chi-square moves by two;
    beyond ``hopeless`` it need not be exact.
    """
    likelihood = Likelihood(
        fit.likelihood.experiments,
        find_family(family or fit.family),
        assumed or fit.likelihood.assumed,
    )
    found = _search(likelihood, copied(parameters), False, anchored=False, hopeless=hopeless)
    return likelihood, found, float(np.sum(likelihood.residuals(found) ** 2))


def _confined(parameters: Mapping[str, Parameter], widths: Mapping[str, float]) -> Parameters:
    """Bounds inside which the design is believed."""
    inside = copied(parameters)
    for p in inside.values():
        if p.moves == "log10_D_bulk":
            reach = _REACH * widths["log_charge"] / np.log(10)  # the charge grows more slowly
        elif p.moves in widths:
            reach = _REACH * widths[p.moves]
        else:
            continue
        p.min, p.max = max(p.min, p.value - reach), min(p.max, p.value + reach)
    return inside


def _expected(likelihood: Likelihood, number: int, values, run: Run) -> tuple[dict, float]:
    """Counts that a run leads to, with the fitted levels; squared distance to the polynomials."""
    experiment = likelihood.experiments[number]
    profile = experiment.profile
    native, foreign = (experiment.case.elements[ion] for ion in experiment.ions)
    state = State(run.x, run.fraction[native], run.fraction[foreign], *trace(run))
    fractions = likelihood.fractions(number, values, state)
    levels, _ = experiment.levels(fractions)
    polynomials = likelihood.expected(number, values).values()
    counts, distance = {}, 0.0
    for ion, other in zip(experiment.ions, polynomials, strict=True):
        distance += np.sum((levels[ion] - other) ** 2 / other)
        counts[ion] = profile.background[ion] + profile.scale[ion] * fractions[ion]
        counts[ion][profile.used] = levels[ion]
    return counts, distance


def _result(
    likelihood: Likelihood, parameters: Parameters, largest_chi_square: float
) -> LandscapeFit:
    values, residuals = values_of(parameters), likelihood.residuals(parameters)
    experiments = likelihood.experiments
    square, free = float(np.sum(residuals**2)), free_names(parameters)
    freedom = residuals.size - len(free) - sum(x.solved for x in experiments)
    reduced = square / freedom
    misfit = judge(likelihood, parameters, square, freedom)
    if reduced > largest_chi_square:
        raise FitError(
            f"the model does not describe the data: reduced chi-square {reduced:.2f}, allowed"
            f" {largest_chi_square:g}; likeliest cause: {misfit.cause or 'unknown'}; look at the"
            " residuals with largest_chi_square=inf"
        )
    done, distance = [], 0.0
    for number, experiment in enumerate(experiments):
        run = likelihood.resolved(number, values)
        expected, apart = _expected(likelihood, number, values, run)
        distance += apart
        done.append(replace(experiment, run=run, expected=expected))
    spread = widened(likelihood, parameters, misfit, reduced)
    for name, variance in zip(free, np.diag(spread), strict=True):
        parameters[name].widened = float(np.sqrt(max(variance, 0.0)))
    interval = {p.key: p.interval() for p in parameters.values() if p.vary and p.key}
    try:
        fwhm = full_width(likelihood.sed(0, likelihood.settings(0, values)))
    except (AttributeError, ValueError):  # no distribution, or not down to its half
        fwhm = float("nan")
    return LandscapeFit(
        fwhm=fwhm,
        interval=interval,
        bulk_diffusivity=10 ** values["log10_D_bulk"],
        foreign_diffusivity={
            x.case.foreign_element: 10 ** values[f"log10_D_{x.case.foreign_element}"]
            for x in experiments
        },
        occupancy=values["occupancy"],
        family=likelihood.family.name,
        misfit=misfit,
        chi_square=square,
        degrees_of_freedom=freedom,
        evaluations=likelihood.evaluations,
        emulator_error=float(np.sqrt(distance)),
        experiments=tuple(done),
        parameters=parameters,
        likelihood=likelihood,
    )
