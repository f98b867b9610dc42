"""One CAIT run as its case file tells it: conditions, and the names of its data files."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .checks import CHARGE, ION_DENSITY, PERMITTIVITY, TEMPERATURE, THICKNESS, Array, require
from .exports import Recording, read_sims
from .npp import Charge, CurrentDensity, Duration, Glass, Voltage
from .resolution import Resolution
from .sims import Profile, normalise
from .tables import SimsError, read_current

# The keys of a case file, and what a value may be: a text, or a number from, to, in a unit.
KEYS = {
    "title": "text",
    "profile": "text",
    "current": "text",
    "ions.native": "text",
    "ions.foreign": "text",
    "ions.matrix": "text",
    "glass.thickness": THICKNESS,
    "glass.ion_density": ION_DENSITY,
    "glass.permittivity": PERMITTIVITY,
    "glass.temperature": TEMPERATURE,
    "glass.area": (1e-10, 1e-2, "m^2"),
    "glass.conductivity": (1e-25, 1e3, "S/m"),
    "run.voltage": (1e-3, 1e5, "V"),
    "run.current_density": (1e-12, 1e3, "A/m^2"),
    "run.duration": (1e-3, 1e10, "s"),
    "run.charge": CHARGE,
    "sims.crater_depth": (1e-9, 1e-4, "m"),
    "sims.transient": (0, 5e-5, "m"),
    "sims.pulses": (1, 1e15),
    "sims.resolution": "number or table",
    "sims.background": "number or table",
}
_OPTIONAL = {"current", "glass.conductivity", *(key for key in KEYS if key.startswith("run."))}
_OPTIONAL |= {"sims.transient", "sims.pulses", "sims.resolution", "sims.background"}


class CaseError(ValueError):
    """A case file that cannot be used: names file, table.key, value and what is allowed."""


@dataclass(frozen=True, eq=False)
class Case:
    """One CAIT run.

    Attributes
    ----------
    title : str
    path, profile_path, current_path : Path
        The case file, the SIMS export and the recorded current (None if there is none).
    native, foreign, matrix : str
        Channel names of the SIMS export.
    glass : Glass
    area : float
        Exposed area (m^2).
    conductivity : float or None
        Bulk conductivity (S/m).
    drive : Voltage or CurrentDensity
        Constant; or the recorded current, if the file names one and states neither.
    until : Charge or Duration
    charge : float or None
        Charge per area that has passed (C/m^2): given, or the integral of the recorded current,
        or of a constant current density; None if only voltage and duration are known.
    crater_depth, transient : float
        Depths (m).
    resolution : Resolution or None
        Depth resolution of the profile.
    background : float or dict or None
        Counts per cycle, of both ions or by channel.
    pulses : float or None
        Primary ion pulses per cycle; None for no dead-time correction.
    """

    title: str
    path: Path
    native: str
    foreign: str
    matrix: str
    glass: Glass
    area: float
    drive: Voltage | CurrentDensity
    until: Charge | Duration
    charge: float | None
    conductivity: float | None
    crater_depth: float
    transient: float
    resolution: Resolution | None
    background: float | dict[str, float] | None
    pulses: float | None
    profile_path: Path
    current_path: Path | None

    def recording(self) -> Recording:
        """Read the SIMS export; SimsError if it is damaged."""
        return read_sims(self.profile_path)

    def profile(self) -> Profile:
        """Read and normalise the SIMS export; the charge balance is among its checks."""
        return normalise(
            self.recording(),
            self.native,
            self.foreign,
            self.matrix,
            self.crater_depth,
            transient=self.transient,
            background=self.background,
            pulses=self.pulses,
            charge=self.charge,
            ion_density=None if self.charge is None else self.glass.ion_density,
        )

    def current(self) -> tuple[Array, Array]:
        """Time (s) and current density (A/m^2) as recorded, both shape (m,)."""
        if self.current_path is None:
            raise CaseError(f"{self.path}: current is not given, so no current is recorded")
        record = read_current(self.current_path)
        return record.time, record.current / self.area


def element(channel: str) -> str:
    """The element a channel stands for: ``"^41K+"``, ``"K+"`` and ``"39K"`` are ``"K"``."""
    match = re.fullmatch(r"\^?\d*([A-Z][a-z]?)\+?", channel)
    return match[1] if match else channel


def read_case(path: str | Path) -> Case:
    """Read a case file (TOML, SI units).

    Top level ``title``, ``profile`` and optionally ``current`` (file names beside the case file);
    ``[ions] native, foreign, matrix`` (channel names);
    ``[glass] thickness, ion_density, permittivity, temperature, area, conductivity?``;
    ``[run] voltage`` (V) or ``current_density`` (A/m^2), ``duration`` (s) or ``charge`` (C/m^2),
    each of which a recorded current can replace;
    ``[sims] crater_depth, resolution?, background?, transient?, pulses?``, where ``resolution`` is
    a standard deviation (m) or ``{sigma, decay_up, decay_down}``, and ``background`` a number of
    counts per cycle or ``{channel = number}``.

    Raises
    ------
    CaseError
        If a key is unknown or missing, or a value is of the wrong type or out of its range; the
        text names file, table.key, value and what is allowed.
    """
    path = Path(path)
    try:
        case = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CaseError(f"{path}: not a TOML file: {error}") from None
    try:
        return _case(path, case)
    except SimsError as error:  # of the recorded current: it names its own file
        raise CaseError(str(error)) from error
    except ValueError as error:
        raise CaseError(f"{path}: {error}") from error


def _case(path: Path, case: dict[str, object]) -> Case:
    """The case that stands in a parsed file; a ValueError names key, value and what is allowed."""
    values = _checked(case)
    ions, glass, run = (
        {key.removeprefix(table): value for key, value in values.items() if key.startswith(table)}
        for table in ("ions.", "glass.", "run.")
    )
    if len(set(ions.values())) < 3:
        raise _wrong("ions", ions, "three different channels")
    if element(ions["native"]) == element(ions["foreign"]):
        raise _wrong("ions", ions, "a foreign ion of another element than the native one")
    crater_depth, transient = values["sims.crater_depth"], values.get("sims.transient", 0.0)
    require("sims.transient", transient, 0, crater_depth / 2, "m")
    files = {key: path.parent / values[key] for key in ("profile", "current") if key in values}
    for key, file in files.items():
        if not file.is_file():
            raise _wrong(key, values[key], f"a file in {path.parent}")
    area, conductivity = glass.pop("area"), glass.pop("conductivity", None)
    series = None
    if "current" in files:
        record = read_current(files["current"])
        series = record.time, record.current / area

    # the run: what is stated, else what is recorded
    for one, other in (("voltage", "current_density"), ("duration", "charge")):
        if one in run and other in run:
            raise _wrong("run", run, f"one of {one} and {other}, not both")
        if not (one in run or other in run or series):
            raise _wrong("run", run, f"{one} or {other}, or a recorded current")
    charge = _charge(run, series)
    if "voltage" in run:
        drive = Voltage(run["voltage"])
    elif "current_density" in run:
        drive = CurrentDensity(run["current_density"])
    else:
        drive = CurrentDensity(series[1], series[0])
    if "duration" in run:
        until = Duration(run["duration"])
    elif drive.time is not None and charge > np.trapezoid(series[1], series[0]) * (1 + 1e-9):
        until = Duration(float(series[0][-1]))  # a stated charge may exceed the record a little
    else:
        until = Charge(charge)

    return Case(
        title=values["title"],
        path=path,
        **ions,
        glass=Glass(**glass),
        area=area,
        drive=drive,
        until=until,
        charge=charge,
        conductivity=conductivity,
        crater_depth=crater_depth,
        transient=transient,
        resolution=_resolution(values.get("sims.resolution")),
        background=_background(values.get("sims.background"), ions),
        pulses=values.get("sims.pulses"),
        profile_path=files["profile"],
        current_path=files.get("current"),
    )


def _wrong(key: str, value: object, allowed: str) -> ValueError:
    return ValueError(f"{key} = {value!r}; allowed is {allowed}")


def _checked(case: dict[str, object]) -> dict[str, object]:
    """The values by ``table.key``; every key known and none missing, texts and numbers checked."""
    values = {}
    for name, value in case.items():
        if not any(key.startswith(f"{name}.") for key in KEYS):
            values[name] = value
        elif isinstance(value, dict):
            values |= {f"{name}.{key}": cell for key, cell in value.items()}
        else:
            raise _wrong(name, value, f"a table [{name}]")
    for key in values:
        if key not in KEYS:
            table = key.split(".")[0] + "."
            there = [known for known in KEYS if known.startswith(table)]
            allowed = there or dict.fromkeys(known.split(".")[0] for known in KEYS)
            raise ValueError(f"unknown key {key}; allowed are {', '.join(allowed)}")
    for key, kind in KEYS.items():
        if key not in values:
            if key not in _OPTIONAL:
                raise ValueError(f"missing key {key}")
        elif kind == "text":
            if not isinstance(values[key], str) or not values[key].strip():
                raise _wrong(key, values[key], "a text that is not empty")
        elif isinstance(kind, tuple):
            values[key] = _number(key, values[key], *kind)
    return values


def _number(key: str, value: object, low: float, high: float, unit: str = "") -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _wrong(key, value, f"a number in [{low:g}, {high:g}] {unit}".rstrip())
    try:
        return require(key, value, low, high, unit)
    except ValueError as error:
        if key != "glass.temperature" or value > low:
            raise
        hint = f"(a Celsius value? {value:g} °C is {value + 273.15:g} K)"
        raise ValueError(f"{error} {hint}") from None


def _resolution(value: object) -> Resolution | None:
    if value is None:
        return None
    lengths = value if isinstance(value, dict) else {"sigma": value}
    if "sigma" not in lengths or not lengths.keys() <= {"sigma", "decay_up", "decay_down"}:
        raise _wrong("sims.resolution", value, "a number or {sigma, decay_up, decay_down}")
    for key, length in lengths.items():
        _number(f"sims.resolution.{key}", length, 0, 1e-6, "m")
    try:
        return Resolution(**lengths)
    except ValueError as error:
        raise ValueError(f"sims.resolution.{error}") from None


def _background(value: object, ions: dict[str, str]) -> float | dict[str, float] | None:
    if isinstance(value, dict):
        if not value.keys() <= set(ions.values()):
            raise _wrong("sims.background", value, f"by {', '.join(ions.values())}")
        return {ion: _number(f"sims.background.{ion}", v, 0, 1e9) for ion, v in value.items()}
    return None if value is None else _number("sims.background", value, 0, 1e9, "counts")


def _charge(run: dict[str, float], series: tuple[Array, Array] | None) -> float | None:
    """Charge per area (C/m^2) of a run, from what is stated and what is recorded."""
    if series is None:
        if "duration" in run and "current_density" in run:
            return run["current_density"] * run["duration"]
        return run.get("charge")
    time, density = series
    end = run.get("duration", time[-1])
    if end > time[-1]:
        raise ValueError(f"run.duration = {end:g} s; the current is recorded to {time[-1]:g} s")
    inside = np.append(time[time < end], end)
    recorded = float(np.trapezoid(np.interp(inside, time, density), inside))
    if recorded <= 0:
        raise ValueError(f"the recorded current sums up to {recorded:g} C/m^2; give it positive")
    stated = {"charge": run.get("charge", recorded)}
    if "current_density" in run:
        stated["current_density"] = run["current_density"] * end
    for key, value in stated.items():
        if abs(value / recorded - 1) > 0.05:
            raise ValueError(
                f"run.{key} = {run[key]:g} means {value:g} C/m^2; the recorded current sums up to"
                f" {recorded:g} C/m^2 (allowed: within 5 %)"
            )
    return stated["charge"]
