"""Fit one site energy distribution to one or many CAIT runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.constants import e, k
from scipy.special import xlogy

from .cases import Case, element
from .checks import require
from .fronts import foreign_diffusivity_from_plateau
from .landscape import activated_diffusivity, gaussian_sed
from .npp import Duration, Run, SimulationError, Voltage, simulate
from .resolution import blur
from .sims import Profile

if TYPE_CHECKING:
    import lmfit

Array = NDArray[np.float64]

# Steps of the finite differences: large against the noise of the solver, small against the
# curvature of the model (a relative change of the width, a change of log10 D).
_STEP = {"fwhm": 8e-3, "log10_D": 0.015, "scale": 1e-3}
_CELLS = 120
_RTOL = 1e-4  # of the time steps: keeps their noise out of the finite differences
_SCAN = (0.06, 0.09, 0.13, 0.18, 0.25, 0.34, 0.46)  # eV, widths tried for a start


class FitError(ValueError):
    """A fit that would mislead: failed checks of a profile, or no convergence."""


@dataclass(frozen=True, eq=False)
class LandscapeFit:
    """Result of :func:`fit_landscape`.

    Attributes
    ----------
    fwhm : float
        Width of the site energy distribution (eV).
    interval : dict of str to (float, float)
        95 % intervals of ``fwhm`` (eV) and of each fitted diffusivity (m^2/s), from the curvature
        of the likelihood; wider by sqrt(reduced chi-square) where that is above one.
    bulk_diffusivity : float
        D of the native ion in untouched glass (m^2/s).
    foreign_diffusivity : dict of str to float
        By element (m^2/s).
    occupancy : float
        Occupied share of all sites that was assumed.
    chi_square, degrees_of_freedom : float, int
    evaluations : int
        Simulations that the fit took.
    cases : tuple of Case
    profiles : tuple of Profile
    runs : tuple of Run
        The resolved simulations at the optimum.
    minimum : lmfit.minimizer.MinimizerResult
        Everything else, correlations included.
    """

    fwhm: float
    interval: dict[str, tuple[float, float]]
    bulk_diffusivity: float
    foreign_diffusivity: dict[str, float]
    occupancy: float
    chi_square: float
    degrees_of_freedom: int
    evaluations: int
    cases: tuple[Case, ...]
    profiles: tuple[Profile, ...]
    runs: tuple[Run, ...]
    minimum: lmfit.minimizer.MinimizerResult

    @property
    def reduced_chi_square(self) -> float:
        """Near one for a model that describes the data."""
        return self.chi_square / self.degrees_of_freedom

    def report(self) -> str:
        """Parameters with their 95 % intervals, a line each."""
        low, high = self.interval["fwhm"]
        lines = [
            f"FWHM of the SED  {self.fwhm * 1e3:.1f} meV  (95 %: {low * 1e3:.1f} to"
            f" {high * 1e3:.1f} meV)",
            f"D_bulk           {self.bulk_diffusivity:.4g} m^2/s" + self._between("D_bulk"),
        ]
        for ion, D in self.foreign_diffusivity.items():
            lines.append(f"D_{ion:<15}{D:.4g} m^2/s" + self._between(f"D_{ion}"))
        lines.append(f"occupied share   {self.occupancy:g} of all sites, assumed")
        lines.append(
            f"chi-square       {self.chi_square:.0f} for {self.degrees_of_freedom} degrees of"
            f" freedom ({self.reduced_chi_square:.2f})"
        )
        return "\n".join(lines)

    def _between(self, name: str) -> str:
        low, high = self.interval[name]
        return f"  (95 %: {low:.4g} to {high:.4g})"


def expected_counts(
    run: Run, case: Case, profile: Profile, depth_scale: float = 1.0
) -> dict[str, Array]:
    """Counts a cycle that a run leads one to expect, by channel, each of shape (cycles,).

    ``depth_scale`` is the true over the stated crater depth.
    """
    edges = depth_scale * profile.edges
    return {
        ion: blur(run.x, run.fraction[element(ion)], edges, case.resolution) * profile.scale[ion]
        + profile.background[ion]
        for ion in (case.native, case.foreign)
    }


def poisson_residuals(counts: Array, expected: Array) -> Array:
    """Signed roots of the Poisson deviance: their squares add up to -2 ln L, up to a constant."""
    expected = np.maximum(expected, 1e-9)
    deviance = 2 * (expected - counts + xlogy(counts, np.maximum(counts, 1e-300) / expected))
    return np.sign(counts - expected) * np.sqrt(np.maximum(deviance, 0.0))


def recording_noise(values: Array) -> float:
    """Relative standard deviation of a smooth record, from its relative second differences.

    By their median, so that a steep start does not count as noise.
    """
    if len(values) < 5:
        return float("nan")
    bend = np.diff(values, 2) / np.maximum(np.abs(values[1:-1]), 1e-300)
    return float(1.4826 * np.median(np.abs(bend)) / np.sqrt(6))


class _Model:
    """Residuals of all cases as a function of the parameters; remembers the latest runs."""

    def __init__(
        self,
        cases: Sequence[Case],
        profiles: Sequence[Profile],
        occupancy: float,
        errors: dict[str, float],
    ):
        self.cases, self.profiles, self.occupancy = cases, profiles, occupancy
        self.errors = errors
        self.evaluations = 0
        self.memory: dict[tuple, Run] = {}
        self.currents, self.ends = [], []
        for case in cases:
            record, end = None, case.until
            if case.current_path is not None and isinstance(case.drive, Voltage):
                time, current = case.current()
                if not isinstance(end, Duration):  # the record tells when the charge had passed
                    end = Duration(float(time[-1]))
                inside = time <= end.value * (1 + 1e-9)
                record = time[inside], current[inside], recording_noise(current[inside])
                if not (np.all(record[1] > 0) and 0 < record[2] < np.inf):
                    raise FitError(
                        f"{case.title}: the recorded current must be positive, have five readings"
                        " at least, and digits enough to show its noise"
                    )
            self.currents.append(record)
            self.ends.append(end)

    def run(
        self, number: int, fwhm: float, D_bulk: float, D_foreign: float, mesh=_CELLS, rtol=_RTOL
    ) -> Run:
        key = (number, fwhm, D_bulk, D_foreign, mesh, rtol)
        if key not in self.memory:
            if len(self.memory) > 64:
                self.memory.clear()
            case = self.cases[number]
            native, foreign = element(case.native), element(case.foreign)
            law = activated_diffusivity(
                gaussian_sed(fwhm), D_bulk, case.glass.temperature, self.occupancy
            )
            self.memory[key] = simulate(
                case.glass,
                ions={native: law, foreign: D_foreign},
                native=native,
                beam=foreign,
                drive=case.drive,
                until=self.ends[number],
                rtol=rtol,
                mesh=mesh,
            )
            self.evaluations += 1
        return self.memory[key]

    def run_at(self, number: int, values: dict[str, float], **how: float | None) -> Run:
        case = self.cases[number]
        D_foreign = 10 ** values[f"log10_D_{element(case.foreign)}"]
        return self.run(number, values["fwhm"], 10 ** values["log10_D_bulk"], D_foreign, **how)

    def resolved(self, number: int, values: dict[str, float]) -> Run:
        """The run with its error estimate, as accurate as it can be shown to be."""
        try:
            return self.run_at(number, values, mesh=None, rtol=1e-4)
        except SimulationError:
            return self.run_at(number, values, mesh=None, rtol=1e-3)

    def residuals(self, parameters: lmfit.Parameters) -> Array:
        values = parameters.valuesdict()
        parts = []
        for number, (case, profile) in enumerate(zip(self.cases, self.profiles, strict=True)):
            run = self.run_at(number, values)
            depth_scale = values[f"depth_{number}"]
            if case.conductivity is not None:
                ratio = 10 ** values["log10_D_bulk"] / bulk_diffusivity(case)
                parts.append([np.log(ratio) / self.errors["conductivity"]])
            parts.append([(depth_scale - 1) / self.errors["depth"]])
            for ion, expected in expected_counts(run, case, profile, depth_scale).items():
                scale = values[f"scale_{number}_{'native' if ion == case.native else 'foreign'}"]
                found = profile.counts[ion][profile.used]
                # Where dead time was corrected, counts scatter more than Poisson's law.
                spread = profile.sigma[ion] * profile.scale[ion] / np.sqrt(profile.counts[ion] + 1)
                parts.append(
                    poisson_residuals(found, scale * expected[profile.used])
                    / np.maximum(spread[profile.used], 1.0)
                )
                parts.append([(scale - 1) / profile.scale_error[ion]])
            if self.currents[number] is not None:
                time, current, noise = self.currents[number]
                gain = values[f"current_{number}"]
                model = gain * np.interp(time, run.time, run.current_density)
                parts.append((current - model) / (noise * model))
                parts.append([(gain - 1) / self.errors["current"]])
        return np.concatenate(parts)


def bulk_diffusivity(case: Case) -> float:
    """D_bulk = sigma kT / (N e^2) (m^2/s) from the conductivity of a case (Nernst-Einstein)."""
    glass = case.glass
    return case.conductivity * k * glass.temperature / (glass.ion_density * e**2)


def observed_plateau(case: Case, profile: Profile) -> float:
    """Mean native fraction between a half and nine tenths of the front depth."""
    native = profile.fraction[case.native]
    below = np.flatnonzero(native < 0.5)
    if below.size < 10:
        raise FitError(f"{case.title}: no front: the native fraction hardly falls below a half")
    front = profile.depth[below[-1]]
    zone = (profile.depth > 0.5 * front) & (profile.depth < 0.9 * front)
    return float(np.clip(np.mean(native[zone]), 1e-3, 0.6))


def _start(model: _Model) -> dict[str, float]:
    """Start values: the front theory gives D_foreign for a width; the counts choose the width."""
    best, best_square = None, np.inf
    parameters = None
    for fwhm in _SCAN:
        values = {"fwhm": fwhm}
        for case, profile in zip(model.cases, model.profiles, strict=True):
            D_bulk = bulk_diffusivity(case) if case.conductivity is not None else _guess_bulk(case)
            values.setdefault("log10_D_bulk", float(np.log10(D_bulk)))
            law = activated_diffusivity(
                gaussian_sed(fwhm), D_bulk, case.glass.temperature, model.occupancy
            )
            # The mean over the zone lies a little below the plateau at the front.
            plateau = 1.1 * observed_plateau(case, profile)
            D_foreign = float(foreign_diffusivity_from_plateau(law, plateau))
            values[f"log10_D_{element(case.foreign)}"] = float(np.log10(D_foreign))
        parameters = _parameters(model, values)
        try:
            square = float(np.sum(model.residuals(parameters) ** 2))
        except SimulationError:
            continue
        if square < best_square:
            best, best_square = values, square
    if best is None:
        raise FitError("no width between 60 and 460 meV can be simulated for these cases")
    return best


def _guess_bulk(case: Case) -> float:
    """D_bulk from the current at the start, when the whole plate is untouched."""
    if case.current_path is None or not isinstance(case.drive, Voltage):
        raise FitError(
            f"{case.title}: D_bulk is unknown: give glass.conductivity, or a recorded current"
            " under a stated voltage"
        )
    _, current = case.current()
    glass = case.glass
    voltage = float(np.max(case.drive.value))
    conductivity = float(np.mean(current[:3])) * glass.thickness / voltage
    return conductivity * k * glass.temperature / (glass.ion_density * e**2)


def _parameters(model: _Model, start: dict[str, float]) -> lmfit.Parameters:
    import lmfit

    parameters = lmfit.Parameters()
    parameters.add("fwhm", start["fwhm"], min=0.02, max=0.8)
    parameters.add("log10_D_bulk", start["log10_D_bulk"])
    for number, (case, profile) in enumerate(zip(model.cases, model.profiles, strict=True)):
        name = f"log10_D_{element(case.foreign)}"
        if name not in parameters:
            parameters.add(name, start[name])
        for ion, channel in (("native", case.native), ("foreign", case.foreign)):
            width = 10 * profile.scale_error[channel]
            parameters.add(f"scale_{number}_{ion}", 1.0, min=1 - width, max=1 + width)
        parameters.add(f"depth_{number}", 1.0, min=0.5, max=1.5)
        if model.currents[number] is not None:
            parameters.add(f"current_{number}", 1.0, min=0.5, max=1.5)
    return parameters


def fit_landscape(
    cases: Sequence[Case],
    occupancy: float = 0.9,
    depth_error: float = 0.01,
    current_error: float = 0.01,
    conductivity_error: float = 0.02,
) -> LandscapeFit:
    """Fit one Gaussian site energy distribution, and a constant D for each foreign ion.

    Maximises the Poisson likelihood of the counts of all native and foreign channels, and of the
    recorded currents where a voltage is stated, over the width of the distribution, D of each
    foreign ion, D_bulk, and the scales of each experiment within their errors: of the two signals,
    of the depth and of the current density. The model is :func:`simulate` on a mesh that follows
    the front; at the optimum it is repeated with an error estimate.

    Parameters
    ----------
    cases : sequence of Case
        From :func:`read_case`. Runs with one foreign ion share its D.
    occupancy : float
        Occupied share of all sites in untouched glass, 0.3 to 0.995.
    depth_error, current_error, conductivity_error : float
        Relative standard errors of the crater depth, of the exposed area with the electrometer, and
        of the bulk conductivity where a case states it, 1e-5 to 0.2.

    Returns
    -------
    LandscapeFit

    Raises
    ------
    FitError
        If a check of a profile fails, the cases do not fit together, or the fit does not converge.
    SimulationError
        If the model cannot be resolved at the optimum.
    """
    import lmfit  # here, because it takes a second

    cases = tuple(cases)
    require("occupancy", occupancy, 0.3, 0.995)
    errors = {
        "depth": require("depth_error", depth_error, 1e-5, 0.2),
        "current": require("current_error", current_error, 1e-5, 0.2),
        "conductivity": require("conductivity_error", conductivity_error, 1e-5, 0.2),
    }
    if not cases or not all(isinstance(case, Case) for case in cases):
        raise ValueError("cases must be one or more results of read_case")
    if len({element(case.native) for case in cases}) > 1:
        raise FitError("the cases have different native ions: they share no landscape")
    if len({case.glass.temperature for case in cases}) > 1:
        raise FitError("the cases have different temperatures: D of an ion is not one number")
    profiles = tuple(case.profile() for case in cases)
    for case, profile in zip(cases, profiles, strict=True):
        failed = [check for check in profile.checks if not check.passed]
        if failed:
            raise FitError(
                f"{case.title}: {failed[0].name} = {failed[0].value:.3g}, allowed"
                f" {failed[0].low:.3g} to {failed[0].high:.3g}: {failed[0].message}"
            )
    model = _Model(cases, profiles, occupancy, errors)
    parameters = _parameters(model, _start(model))
    steps = [
        _STEP["fwhm"]
        if name == "fwhm"
        else abs(_STEP["log10_D" if name.startswith("log10") else "scale"] / p.value)
        for name, p in parameters.items()
    ]
    minimum = lmfit.minimize(
        model.residuals,
        parameters,
        method="least_squares",
        jac="3-point",
        diff_step=steps,
        x_scale="jac",
        ftol=1e-6,
        xtol=1e-6,
    )
    if not minimum.success or minimum.covar is None:
        raise FitError(f"the fit did not converge: {minimum.message}")
    best = minimum.params
    values = best.valuesdict()
    runs = tuple(model.resolved(number, values) for number in range(len(cases)))
    widening = 1.96 * max(1.0, np.sqrt(minimum.redchi))
    # lmfit scales its errors with the reduced chi-square; ours are those of counting
    stderr = {name: p.stderr / np.sqrt(minimum.redchi) for name, p in best.items()}
    fwhm = values["fwhm"]
    interval = {
        "fwhm": (fwhm - widening * stderr["fwhm"], fwhm + widening * stderr["fwhm"]),
    }
    for name in best:
        if name.startswith("log10_"):
            half = widening * stderr[name]
            interval[name.removeprefix("log10_")] = (
                10 ** (values[name] - half),
                10 ** (values[name] + half),
            )
    return LandscapeFit(
        fwhm=fwhm,
        interval=interval,
        bulk_diffusivity=10 ** values["log10_D_bulk"],
        foreign_diffusivity={
            element(case.foreign): 10 ** values[f"log10_D_{element(case.foreign)}"]
            for case in cases
        },
        occupancy=occupancy,
        chi_square=float(minimum.chisqr),
        degrees_of_freedom=int(minimum.nfree),
        evaluations=model.evaluations,
        cases=cases,
        profiles=profiles,
        runs=runs,
        minimum=minimum,
    )
