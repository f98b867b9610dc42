"""One CAIT run as its case file tells it: conditions, and the names of its data files."""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from .checks import (
    CHARGE,
    ION_DENSITY,
    PERMITTIVITY,
    TEMPERATURE,
    THICKNESS,
    Array,
    require,
    require_kind,
)
from .exports import Recording, read_sims
from .npp import Charge, CurrentDensity, Duration, Glass, Voltage
from .profile_checks import Check
from .resolution import Resolution
from .sims import Profile, normalise
from .tables import Record, SimsError, Source, read_current, read_source

# The keys of a case file, and what a value may be: a text, or a number from, to, in a unit.
KEYS = {
    "title": "text",
    "profile": "text",
    "current": "text",
    "ions.native": "text",
    "ions.foreign": "text",
    "ions.matrix": "text",
    "ions.native_element": "element",
    "ions.foreign_element": "element",
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
    "sims.dead_time": "none",
    "sims.sputter_time": (1e-2, 1e7, "s"),
    "sims.leave_out": "cycles",
    "sims.depth_axis": "export",
    "sims.counting_time": (1e-9, 1e5, "s"),
    "sims.detector": "scatter",
    "sims.resolution": "number or table",
    "sims.background": "number or table",
}
_NEEDED = {"title", "profile", "ions.native", "ions.foreign", "ions.matrix", "sims.crater_depth"}
_NEEDED |= {f"glass.{key}" for key in "thickness ion_density permittivity temperature area".split()}


class CaseError(ValueError):
    """A case file that cannot be used: names file, table.key, value and what is allowed."""


@dataclass(frozen=True, eq=False)
class Case:
    """One CAIT run.

    Attributes
    ----------
    title : str
    source : Source
        The case file as it was read.
    profile_path : Path
        The SIMS export.
    native, foreign, matrix : str
        Channel names of the SIMS export.
    native_element, foreign_element : str
        What the two ions are: their names in a simulation and a fit.
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
    record : Record or None
        The recorded current.
    crater_depth : float or None
        Depth (m) at the end of the sputter time; None if the depths of the export are taken.
    sputter_time : float or None
        Sputter time of the crater (s), if it is not that of the export.
    transient : float or None
        Depth (m) that is not used; None for the one proposed.
    leave_out : tuple of int
        Numbers of cycles that are not used, from one on.
    resolution : Resolution or None
        Depth resolution of the profile.
    background : float or dict or None
        Counts per cycle, of both ions or by channel.
    pulses : float or None
        Primary ion pulses per cycle; inf for no dead time, None for no correction.
    counting_time : float or None
        Seconds for which a cycle is counted, where the export holds rates and does not say.
    detector : dict of str to str
        ``"scatter"`` by channel: errors from the scatter of the signal.
    """

    title: str
    source: Source
    native: str
    foreign: str
    matrix: str
    native_element: str
    foreign_element: str
    glass: Glass
    area: float
    drive: Voltage | CurrentDensity
    until: Charge | Duration
    charge: float | None
    conductivity: float | None
    crater_depth: float | None
    transient: float | None
    resolution: Resolution | None
    background: float | dict[str, float] | None
    pulses: float | None
    profile_path: Path
    record: Record | None
    sputter_time: float | None = None
    leave_out: tuple[int, ...] = ()
    counting_time: float | None = None
    detector: dict[str, str] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """The case file."""
        return self.source.path

    @property
    def elements(self) -> dict[str, str]:
        """What the native and the foreign channel stand for."""
        return {self.native: self.native_element, self.foreign: self.foreign_element}

    def recording(self) -> Recording:
        """Read the SIMS export, with what the case states about it; SimsError if damaged."""
        found = read_sims(self.profile_path)
        stated: dict[str, object] = {"detector": found.detector | self.detector}
        if self.crater_depth is None:
            axes = found.time if found.axis == "depth" else found.depth
            if not axes:
                raise SimsError(f"{found.path}: sims.depth_axis: the export states no depths")
            end = max(float(depth[-1]) for depth in axes.values())
            stated |= {"time": axes, "axis": "depth", "total_time": end, "total_stated": True}
            if found.axis == "depth":
                stated["total_time"] = found.total_time
        elif self.sputter_time is not None:
            last = max(float(time[-1]) for time in found.time.values())
            if found.axis == "depth" or self.sputter_time < last:
                unit, axis = ("s", "times") if found.axis == "time" else ("m", "depths")
                raise SimsError(
                    f"{found.path}: sims.sputter_time = {self.sputter_time:g} s; the {axis} of the"
                    f" export end at {last:g} {unit}"
                )
            stated |= {"total_time": self.sputter_time, "total_stated": True}
        if self.counting_time is not None:
            told = [ion for ion, one in found.exposure.items() if np.isfinite(one)]
            if told:
                raise SimsError(f"{found.path}: sims.counting_time: the export tells its own")
            stated["exposure"] = dict.fromkeys(found.exposure, self.counting_time)
        return replace(found, **stated)

    def profile(self) -> Profile:
        """Read and normalise the SIMS export; charge and conductivity are among its checks.

        SimsError if the export cannot be used, CaseError if what the case states is not for it.
        """
        recording = self.recording()
        try:
            profile = normalise(
                recording,
                self.native,
                self.foreign,
                self.matrix,
                recording.total_time if self.crater_depth is None else self.crater_depth,
                transient=self.transient,
                background=self.background,
                pulses=self.pulses,
                charge=self.charge,
                ion_density=None if self.charge is None else self.glass.ion_density,
                resolution=self.resolution,
                leave_out=self.leave_out,
            )
        except SimsError:
            raise
        except ValueError as error:
            raise CaseError(f"{self.path}: {error}") from error
        notes = profile.assumptions
        if self.resolution is None:
            notes += ("no depth resolution is stated: that of a sharp profile (assumed)",)
        if self.record is not None:
            notes += self.record.notes
        return replace(profile, checks=profile.checks + self._checks(), assumptions=notes)

    def current(self) -> tuple[Array, Array]:
        """Time (s) and current density (A/m^2) as recorded, both shape (m,)."""
        if self.record is None:
            raise CaseError(f"{self.path}: current is not given, so no current is recorded")
        return self.record.time, self.record.current / self.area

    def first_conductivity(self) -> float | None:
        """Conductivity (S/m) of untouched glass, from the first current under a voltage.

        A front in series with the glass makes 1/j^2 straight in time. None without a record or a
        constant voltage.
        """
        if (
            self.record is None
            or not isinstance(self.drive, Voltage)
            or self.drive.time is not None
        ):
            return None
        time, density = (values[:5] for values in self.current())
        first = density[0]
        if time.size == 5 and density.min() > 0:
            # readings scatter in proportion to themselves, and so most where 1/j^2 is large
            straight = np.polyfit(time, density**-2, 1, w=density**2)
            first = max(straight[1], first**-2 / 4) ** -0.5
        return float(first) * self.glass.thickness / self.drive.value

    def _checks(self) -> tuple[Check, ...]:
        found = self.first_conductivity()
        if found is None or self.conductivity is None:
            return ()
        text = "conductivity of the first current over that stated"
        ratio = found / self.conductivity
        if not 0.85 <= ratio <= 1.18:
            text += ": conductivity, voltage, thickness, area or temperature is off"
        return (Check("first current", ratio, 0.85, 1.18, text),)


SYMBOLS = frozenset(
    """H He Li Be B C N O F Ne Na Mg Al Si P S Cl Ar K Ca Sc Ti V Cr Mn Fe Co Ni Cu Zn Ga Ge As Se
    Br Kr Rb Sr Y Zr Nb Mo Tc Ru Rh Pd Ag Cd In Sn Sb Te I Xe Cs Ba La Ce Pr Nd Pm Sm Eu Gd Tb Dy
    Ho Er Tm Yb Lu Hf Ta W Re Os Ir Pt Au Hg Tl Pb Bi Po At Rn Fr Ra Ac Th Pa U""".split()
)


def element(channel: str) -> str:
    """The element a channel stands for; the channel itself if that is not clear.

    ``"^41K+"``, ``"39K"``, ``"K+ + ^41K+"`` and ``"K++"`` are ``"K"``; of a cluster with caesium
    or oxygen it is the other element (``"133Cs 85Rb"``, ``"Li_2O+"``).
    """
    require_kind("channel", channel, str)
    label = re.sub(r" \((m/z|column) [^()]*\)$", "", channel)  # told apart by the reader
    found = set(re.findall(r"[A-Z][a-z]?", label))
    rest = re.sub(r"[A-Z][a-z]?|[\d\s^_+\-,.()\[\]{}]", "", label)
    if rest or not found or not found <= SYMBOLS:
        return channel
    for usual in ({"O", "H"}, {"Cs"}):
        found = found - usual or found
    return found.pop() if len(found) == 1 else channel


def read_case(path: str | Path) -> Case:
    """Read a case file (TOML, SI units).

    Top level ``title``, ``profile`` and optionally ``current`` (file names beside the case file);
    ``[ions] native, foreign, matrix`` (channel names), ``native_element?, foreign_element?``
    (where a channel name does not tell);
    ``[glass] thickness, ion_density, permittivity, temperature, area, conductivity?``;
    ``[run] voltage`` (V) or ``current_density`` (A/m^2), ``duration`` (s) or ``charge`` (C/m^2),
    each of which a recorded current can replace;
    ``[sims] crater_depth`` (m) or ``depth_axis = "export"``, ``sputter_time?`` (s, of the crater),
    ``resolution?, background?, transient?, leave_out?, pulses?``, where ``resolution`` is a
    standard deviation (m) or ``{sigma, decay_up, decay_down}``, ``background`` a number of counts
    per cycle or ``{channel = number}``, ``leave_out`` a list of cycles;
    ``dead_time = "none"`` where nothing is to correct, ``counting_time`` (s) of rates, and
    ``detector = "scatter"`` or ``{channel = "scatter"}`` for errors from the scatter.

    Raises
    ------
    CaseError
        If a key is unknown or missing, or a value is of the wrong type or out of its range; the
        text names file, table.key, value and what is allowed.
    """
    path = Path(require_kind("path", path, str, os.PathLike))
    try:
        source = read_source(path)
        case = tomllib.loads(source.data.decode("utf-8-sig").replace("\r\n", "\n"))
    except SimsError as error:
        raise CaseError(str(error)) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise CaseError(f"{path}: not a TOML file: {error}") from None
    try:
        return _case(source, case)
    except SimsError as error:  # of the recorded current: it names its own file
        raise CaseError(str(error)) from error
    except ValueError as error:
        raise CaseError(f"{path}: {error}") from error


def _case(source: Source, case: dict[str, object]) -> Case:
    """The case that stands in a parsed file; a ValueError names key, value and what is allowed."""
    path, values = source.path, _checked(case)
    ions, glass, run = (
        {key.removeprefix(table): value for key, value in values.items() if key.startswith(table)}
        for table in ("ions.", "glass.", "run.")
    )
    channels = {key: ions[key] for key in ("native", "foreign", "matrix")}
    if len(set(channels.values())) < 3:
        raise _wrong("ions", channels, "three different channels")
    elements = {f"{key}_element": _element(key, ions) for key in ("native", "foreign")}
    if len(set(elements.values())) < 2:
        raise _wrong("ions", ions, "a foreign ion of another element than the native one")
    crater_depth, transient = values.get("sims.crater_depth"), values.get("sims.transient")
    if transient is not None and crater_depth is not None:
        require("sims.transient", transient, 0, crater_depth / 2, "m")
    files = {key: path.parent / values[key] for key in ("profile", "current") if key in values}
    for key, file in files.items():
        if not os.path.isfile(file):  # unlike that of pathlib, it takes a name of any length
            raise _wrong(key, values[key], f"a file in {path.parent}")
    area, conductivity = glass.pop("area"), glass.pop("conductivity", None)
    record = recorded = None
    if "current" in files:
        record = read_current(files["current"])
        recorded = _recorded(record, area)

    # the run: what is stated, else what is recorded
    for one, other in (("voltage", "current_density"), ("duration", "charge")):
        if one in run and other in run:
            raise _wrong("run", run, f"one of {one} and {other}, not both")
        if not (one in run or other in run or recorded):
            raise _wrong("run", run, f"{one} or {other}, or a recorded current")
    charge = _charge(run, recorded)
    if "voltage" in run:
        drive = Voltage(run["voltage"])
    elif "current_density" in run:
        drive = CurrentDensity(run["current_density"])
    else:
        drive = recorded
    last = np.inf if drive.time is None else float(drive.time[-1])
    if "duration" in run:
        until = Duration(min(run["duration"], last))
    elif drive.time is not None and charge > drive.integral(last) * (1 + 1e-9):
        until = Duration(last)  # a stated charge may exceed the record a little
    else:
        until = Charge(charge)

    return Case(
        title=values["title"],
        source=source,
        **channels,
        **elements,
        glass=Glass(**glass),
        area=area,
        drive=drive,
        until=until,
        charge=charge,
        conductivity=conductivity,
        crater_depth=crater_depth,
        transient=transient,
        resolution=_resolution(values.get("sims.resolution")),
        background=_background(values.get("sims.background"), channels),
        pulses=np.inf if "sims.dead_time" in values else values.get("sims.pulses"),
        profile_path=files["profile"],
        record=record,
        sputter_time=values.get("sims.sputter_time"),
        leave_out=tuple(values.get("sims.leave_out", ())),
        counting_time=values.get("sims.counting_time"),
        detector=_detector(values.get("sims.detector", {}), channels),
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
    for pair in (("sims.crater_depth", "sims.depth_axis"), ("sims.dead_time", "sims.pulses")):
        if pair[0] in values and pair[1] in values:
            raise ValueError(f"{pair[0]} and {pair[1]} exclude each other")
    needed = _NEEDED - {"sims.crater_depth" if "sims.depth_axis" in values else ""}
    for key, kind in KEYS.items():
        value = values.get(key)
        if value is None:
            if key in needed:
                raise ValueError(f"missing key {key}")
        elif kind == "text":
            if not isinstance(value, str) or not value.strip():
                raise _wrong(key, value, "a text that is not empty")
        elif kind == "element":
            if not isinstance(value, str) or value not in SYMBOLS:
                raise _wrong(key, value, "the symbol of an element, such as 'Rb'")
        elif kind == "cycles":
            if not isinstance(value, list) or not all(type(v) is int and v > 0 for v in value):
                raise _wrong(key, value, "a list of cycles, numbered from 1")
        elif kind in ("none", "export"):
            if value != kind:
                raise _wrong(key, value, repr(kind))
        elif isinstance(kind, tuple):
            values[key] = _number(key, value, *kind)
    return values


def _element(key: str, ions: dict[str, str]) -> str:
    """The element of the native or the foreign ion: stated, or told by its channel."""
    found = ions.get(f"{key}_element", element(ions[key]))
    if found not in SYMBOLS:
        raise _wrong(f"ions.{key}", ions[key], f"one element: state it as ions.{key}_element")
    return found


def _detector(value: object, ions: dict[str, str]) -> dict[str, str]:
    """By channel; one word is for all three."""
    found = value if isinstance(value, dict) else dict.fromkeys(ions.values(), value)
    if not found.keys() <= set(ions.values()) or any(v != "scatter" for v in found.values()):
        raise _wrong("sims.detector", value, f"'scatter', or that by {', '.join(ions.values())}")
    return found


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


def _charge(run: dict[str, float], record: CurrentDensity | None) -> float | None:
    """Charge per area (C/m^2) of a run, from what is stated and what is recorded."""
    if record is None:
        if "duration" in run and "current_density" in run:
            return run["current_density"] * run["duration"]
        return run.get("charge")
    last = record.time[-1]
    end = run.get("duration", last)
    if end > last * 1.001:  # a clock that was shifted, or stopped a moment before
        raise ValueError(f"run.duration = {end:g} s; the current is recorded to {last:g} s")
    recorded = record.integral(end)
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


def _recorded(record: Record, area: float) -> CurrentDensity:
    """A record as current density; a current below zero is refused."""
    below = record.current < 0
    if below.any() or not record.current.any():
        row = int(np.argmax(below))
        raise ValueError(
            f"the recorded current is {record.current[row]:g} A at {record.time[row]:g} s:"
            " give it positive, without its offset"
        )
    return CurrentDensity(record.current / area, record.time)
