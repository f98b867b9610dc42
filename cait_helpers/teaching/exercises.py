"""Answers to the exercises, and what a wrong one says about the physics behind it."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from html import escape
from types import EllipsisType

import numpy as np
from scipy.constants import e, k
from scipy.optimize import brentq

from ..checks import LARGEST, require
from ..fronts import front
from ..landscape import activated_diffusivity, activation_energy, gaussian_sed
from ..npp import Charge, Glass, Run, Voltage, simulate


@dataclass(frozen=True)
class Exercise:
    """A question with one number for its answer.

    ``low`` and ``high`` say what an answer that is too small or too large overlooks; ``slips`` say
    it of answers that are wrong by a factor which a usual mistake makes.
    """

    answer: Callable[[], float]  # computed by the package, when somebody asks
    unit: str
    low: str
    high: str
    slips: Mapping[float, str] = field(default_factory=dict)
    tolerance: float = 0.02  # relative


def check(exercise: str, answer: float | EllipsisType) -> str:
    """Compare an answer with that of the package; if it is wrong, give a physical hint.

    Parameters
    ----------
    exercise : str
        Name of the exercise, as its chapter gives it.
    answer : float or ...
        Your number, in the unit that the chapter asks for; ``...`` as long as there is none.

    Returns
    -------
    str
        "Right" with the number of the package, or "Not yet" with a hint.

    Raises
    ------
    ValueError
        If there is no such exercise, or the answer is not a number.
    """
    if exercise not in EXERCISES:
        raise ValueError(f"exercise = {exercise!r} is none of {sorted(EXERCISES)}")
    asked = EXERCISES[exercise]
    if answer is ...:
        return f"Your turn: a number{asked.unit and f' in {asked.unit}'}, in place of the dots."
    right = asked.answer()
    ratio = require("answer", answer, -LARGEST, LARGEST) / right
    if abs(ratio - 1) <= asked.tolerance:
        return f"Right: {right:.3g} {asked.unit}".rstrip() + "."
    for factor, hint in asked.slips.items():
        if abs(ratio / factor - 1) <= asked.tolerance:
            return f"Not yet. {hint}"
    return f"Not yet, too small. {asked.low}" if ratio < 1 else f"Not yet, too large. {asked.high}"


# The glass and the rubidium run of the chapters; D in m^2/s.
_TEMPERATURE, _OCCUPANCY, _BULK, _RUBIDIUM = 323.15, 0.9, 1e-18, 1e-18 * 10**-4.19
_SED = gaussian_sed(0.250)


@functools.cache
def _run(thickness: float = 0.5e-3) -> Run:
    law = activated_diffusivity(_SED, _BULK, _TEMPERATURE, _OCCUPANCY)
    glass = Glass(thickness, 1.38e28, 8.0, _TEMPERATURE)
    ions = {"Li": law, "Rb": _RUBIDIUM}
    return simulate(glass, ions, "Li", "Rb", Voltage(10.0), Charge(215.0))


def _charge_at(share: float) -> float:
    """Charge per area (C/m^2) at which the current has fallen to a share of its first value."""
    run = _run()
    current = run.current_density / run.current_density[0]
    return float(np.interp(-share, -current, run.charge))


def _plateau(temperature: float) -> float:
    return front(activated_diffusivity(_SED, _BULK, temperature, _OCCUPANCY), _RUBIDIUM).plateau


def _reported_width() -> float:
    """FWHM (meV) with which a sharp filling falls from y = 1 to 0.1 as a thermal one of 250 meV."""
    warm = activated_diffusivity(_SED, _BULK, _TEMPERATURE, _OCCUPANCY, filling="thermal")
    rise = k / e * _TEMPERATURE * np.log(warm(1.0) / warm(0.1))
    return float(1e3 * rise / activation_energy(gaussian_sed(1.0), 0.1, _OCCUPANCY))


def _width_behind_three_decades() -> float:
    """FWHM (meV) of the Gaussian with which D falls by three decades from y = 1 to 0.5."""
    fall = k / e * _TEMPERATURE * np.log(1e3)
    return float(1e3 * fall / activation_energy(gaussian_sed(1.0), 0.5, _OCCUPANCY))


EXERCISES = {
    # experiment
    "half the plate": Exercise(
        lambda: _run(0.25e-3).time[-1] / _run().time[-1],
        "",
        low="Most of the time the replaced zone limits the current, and that is no thinner now.",
        high="While the replaced zone is still thin, half the glass carries twice the current.",
    ),
    "voltage for a day": Exercise(
        lambda: 10.0 * _run().time[-1] / 86400.0,
        "V",
        low="The same charge in less time needs a larger current, in proportion.",
        high="The run is over before the day is: the current is proportional to the voltage.",
        slips={0.0587: "You have turned the ratio of the two times round."},
    ),
    "charge behind a current": Exercise(
        lambda: _charge_at(0.4),
        "C/m^2",
        low="With so little glass replaced the current is still higher.",
        high="With so much glass replaced the current is lower already.",
    ),
    # landscape
    "plateau of five per cent": Exercise(
        lambda: brentq(lambda T: _plateau(T) - 0.05, 300.0, 400.0),
        "K",
        low="A plateau is where D of lithium has fallen below that of rubidium. In the cold the "
        "landscape is wide in units of kT, D falls fast, and more lithium stays.",
        high="In such heat the landscape is narrow in units of kT: D falls slowly, and the "
        "plateau is lower still.",
        slips={72 / 345: "In kelvin: the landscape is measured in units of kT."},
        tolerance=0.005,
    ),
    "sharp width": Exercise(
        _reported_width,
        "meV",
        low="Thermal filling makes D fall further; a sharp landscape that does so is wider.",
        high="Compare the fall of D between the same two fractions, 1 and 0.1.",
        slips={250 / 276: "That width went in; filled sharply it makes D fall less far."},
    ),
    "width behind a fall": Exercise(
        _width_behind_three_decades,
        "meV",
        low="A narrower landscape has its levels closer together, and D falls less far.",
        high="A wider landscape has its levels further apart, and D falls further.",
        slips={1 / np.log(10): "Three decades are 6.9 kT and not 3 kT."},
    ),
}


def answer_box(exercise: str) -> str:
    """Return the HTML of a field for the answer, checked on the page as `check` does it."""
    asked = EXERCISES[exercise]
    numbers = {
        "answer": asked.answer(),
        "unit": asked.unit,
        "low": asked.low,
        "high": asked.high,
        "slips": [[factor, hint] for factor, hint in asked.slips.items()],
        "tolerance": asked.tolerance,
    }
    unit = escape(asked.unit)
    return (
        f'<div class="answer" data-exercise="{escape(json.dumps(numbers))}"><label>Your answer '
        f'<input type="number" step="any" autocomplete="off" disabled> {unit}</label> '
        "<output></output></div>"
    )
