"""One CAIT run as its case file tells it: conditions, and the names of its data files."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from .checks import require
from .exports import Recording, read_sims
from .npp import Charge, CurrentDensity, Duration, Glass, Voltage
from .resolution import Resolution
from .sims import Profile, normalise

Array = NDArray[np.float64]

# table: (required keys, optional keys); "" is the top level
_KEYS = {
    "": (("title", "profile", "ions", "glass", "run", "sims"), ("current",)),
    "ions": (("native", "foreign", "matrix"), ()),
    "glass": (
        ("thickness", "ion_density", "permittivity", "temperature", "area"),
        ("conductivity",),
    ),
    "run": ((), ("voltage", "current_density", "duration", "charge")),
    "sims": (("crater_depth",), ("resolution", "background", "transient", "pulses")),
}


class CaseError(ValueError):
    """A case file that cannot be used: names file, table.key, value and what is allowed."""


@dataclass(frozen=True, eq=False)
class Case:
    """One CAIT run.

    Attributes
    ----------
    title : str
    path : Path
        The case file; the names of the data files are relative to its folder.
    native, foreign, matrix : str
        Channel names of the SIMS export.
    glass : Glass
    area : float
        Exposed area (m^2).
    drive : Voltage or CurrentDensity
        Constant; or the recorded current, if the file names one and states neither.
    until : Charge or Duration
    charge : float or None
        Charge per area that has passed (C/m^2): given, or the integral of the recorded current,
        or of a constant current density; None if only voltage and duration are known.
    conductivity : float or None
        Bulk conductivity (S/m).
    crater_depth, transient : float
        Depths (m).
    resolution : Resolution or None
        Depth resolution of the profile.
    background : float or dict or None
        Counts per cycle, of both ions or by channel.
    pulses : float or None
        Primary ion pulses per cycle; None for no dead-time correction.
    profile_path : Path
    current_path : Path or None
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
        time, current = read_current(self.current_path)
        return time, current / self.area


def element(channel: str) -> str:
    """The element a channel stands for: ``"^41K+"``, ``"K+"`` and ``"39K"`` are ``"K"``."""
    match = re.fullmatch(r"\^?\d*([A-Z][a-z]?)\+?", channel)
    return match[1] if match else channel


def read_current(path: str | Path) -> tuple[Array, Array]:
    """Time (s) and current (A), both shape (m,), from a CSV ``time / s, current / A``.

    Raises
    ------
    CaseError
        If the header or a line is not of that form, or time does not start at zero and
        increase; the text names file, line and what was expected.
    """
    path = Path(path)

    def fail(line: int, expected: str, found: str) -> CaseError:
        return CaseError(f"{path}, line {line}: expected {expected}, found {found!r}")

    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    lines = [*enumerate(lines, 1)]
    while lines and not lines[-1][1].strip():
        lines.pop()
    while lines and lines[0][1].startswith("#"):
        lines.pop(0)
    header = lines[0][1] if lines else ""
    if [cell.strip() for cell in header.split(",")] != ["time / s", "current / A"]:
        raise fail(lines[0][0] if lines else 1, "'time / s, current / A'", header)
    rows = []
    for line, text in lines[1:]:
        cells = text.split(",")
        try:
            if len(cells) != 2 or "_" in text:
                raise ValueError
            row = float(cells[0]), float(cells[1])
        except ValueError:
            raise fail(line, "two numbers, time and current", text) from None
        if not np.all(np.isfinite(row)):
            raise fail(line, "two finite numbers", text)
        if not rows and row[0] != 0:
            raise fail(line, "a time that starts at 0 s", text)
        if rows and row[0] <= rows[-1][0]:
            raise fail(line, f"a time after {rows[-1][0]:g} s", text)
        rows.append(row)
    if len(rows) < 2:
        raise fail(lines[-1][0], "at least two lines of data", f"{len(rows)}")
    time, current = np.array(rows).T
    return time, current


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
        case = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise CaseError(f"{path}: not a TOML file: {error}") from None
    _check_keys(path, case)
    ions, glass, run, sims = (case[table] for table in ("ions", "glass", "run", "sims"))

    def wrong(key: str, value: object, allowed: str) -> CaseError:
        return CaseError(f"{path}: {key} = {value!r}; allowed is {allowed}")

    def number(key: str, value: object, low: float, high: float, unit: str = "") -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise wrong(key, value, f"a number in [{low:g}, {high:g}] {unit}".rstrip())
        hint = ""
        if key == "glass.temperature" and value < low:
            hint = f" (a Celsius value? {value:g} °C is {value + 273.15:g} K)"
        try:
            return require(key, value, low, high, unit)
        except ValueError as error:
            raise CaseError(f"{path}: {error}{hint}") from None

    def beside(key: str) -> Path:
        file = path.parent / case[key]
        if not file.is_file():
            raise wrong(key, case[key], f"a file in {path.parent}")
        return file

    texts = {"title": case["title"], "profile": case["profile"]}
    texts |= {"current": case["current"]} if "current" in case else {}
    texts |= {f"ions.{key}": value for key, value in ions.items()}
    for key, value in texts.items():
        if not isinstance(value, str) or not value.strip():
            raise wrong(key, value, "a text that is not empty")
    if len(set(ions.values())) < 3:
        raise wrong("ions", ions, "three different channels")

    plate = Glass(
        thickness=number("glass.thickness", glass["thickness"], 5e-8, 5e-3, "m"),
        ion_density=number("glass.ion_density", glass["ion_density"], 1e25, 1e30, "m^-3"),
        permittivity=number("glass.permittivity", glass["permittivity"], 1, 200),
        temperature=number("glass.temperature", glass["temperature"], 150, 1000, "K"),
    )
    area = number("glass.area", glass["area"], 1e-10, 1e-2, "m^2")
    conductivity = glass.get("conductivity")
    if conductivity is not None:
        conductivity = number("glass.conductivity", conductivity, 1e-25, 1e3, "S/m")

    # the run: what is stated, else what is recorded
    series = None
    current_path = beside("current") if "current" in case else None
    if current_path is not None:
        time, current = read_current(current_path)
        series = time, current / area
    limits = {
        "voltage": (1e-3, 1e5, "V"),
        "current_density": (1e-12, 1e3, "A/m^2"),
        "duration": (1e-3, 1e10, "s"),
        "charge": (1e-6, 1e6, "C/m^2"),
    }
    run = {key: number(f"run.{key}", value, *limits[key]) for key, value in run.items()}
    for one, other in (("voltage", "current_density"), ("duration", "charge")):
        if one in run and other in run:
            raise wrong("run", run, f"one of {one} and {other}, not both")
        if not (one in run or other in run or series):
            raise wrong("run", run, f"{one} or {other}, or a recorded current")
    try:
        charge = _charge(run, series)
        if "voltage" in run:
            drive = Voltage(run["voltage"])
        elif "current_density" in run:
            drive = CurrentDensity(run["current_density"])
        else:
            drive = CurrentDensity(series[1], series[0])
        until = Duration(run["duration"]) if "duration" in run else Charge(charge)
    except ValueError as error:
        raise CaseError(f"{path}: {error}") from None

    resolution = sims.get("resolution")
    if resolution is not None:
        lengths = resolution if isinstance(resolution, dict) else {"sigma": resolution}
        known = {"sigma", "decay_up", "decay_down"}
        if "sigma" not in lengths or not set(lengths) <= known:
            raise wrong("sims.resolution", resolution, "a number or {sigma, decay_up, decay_down}")
        for key, value in lengths.items():
            number(f"sims.resolution.{key}", value, 1e-12 if key == "sigma" else 0, 1e-6, "m")
        try:
            resolution = Resolution(**lengths)
        except ValueError as error:
            raise CaseError(f"{path}: sims.resolution: {error}") from None
    background = sims.get("background")
    if isinstance(background, dict):
        for ion, value in background.items():
            if ion not in ions.values():
                raise wrong("sims.background", background, f"by {', '.join(ions.values())}")
            number(f"sims.background.{ion}", value, 0, 1e9, "counts")
    elif background is not None:
        number("sims.background", background, 0, 1e9, "counts")
    pulses = sims.get("pulses")
    if pulses is not None:
        pulses = number("sims.pulses", pulses, 1, 1e15)
    crater_depth = number("sims.crater_depth", sims["crater_depth"], 1e-9, 1e-4, "m")
    transient = number("sims.transient", sims.get("transient", 0.0), 0, crater_depth / 2, "m")

    return Case(
        title=case["title"],
        path=path,
        **ions,
        glass=plate,
        area=area,
        drive=drive,
        until=until,
        charge=charge,
        conductivity=conductivity,
        crater_depth=crater_depth,
        transient=transient,
        resolution=resolution,
        background=background,
        pulses=pulses,
        profile_path=beside("profile"),
        current_path=current_path,
    )


def _check_keys(path: Path, case: dict[str, object]) -> None:
    for table, (required, optional) in _KEYS.items():
        found = case[table] if table else case
        name = f"{table}." if table else ""
        if not isinstance(found, dict):
            raise CaseError(f"{path}: {table} = {found!r}; allowed is a table [{table}]")
        for key in found:
            if key not in required + optional:
                allowed = ", ".join(required + optional)
                raise CaseError(f"{path}: unknown key {name}{key}; allowed are {allowed}")
        for key in required:
            if key not in found:
                raise CaseError(f"{path}: missing key {name}{key}")


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
    if abs(run.get("charge", recorded) / recorded - 1) > 0.05:
        raise ValueError(
            f"run.charge = {run['charge']:g} C/m^2; the recorded current sums up to"
            f" {recorded:g} C/m^2 (allowed: within 5 %)"
        )
    return run.get("charge", recorded)
