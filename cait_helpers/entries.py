"""What a person enters about one run, in the units they use: to a case file, or to words.

The form of `workbench` without its widgets. An entry is a text and, for a quantity, a unit;
together the entries make the case file that is fitted. What is missing, wrong or doubtful is said
in words that carry the key of the entry they belong to (`Note`), and so is what was assumed.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import numpy as np

from .cases import KEYS, element

Table = dict[str, object]  # of a case file, by ``table.key``


@dataclass(frozen=True)
class Unit:
    """One unit of a menu: SI value = number * factor + offset, over the area if it says so."""

    factor: str = "1"
    offset: str = "0"
    over_area: bool = False


@dataclass(frozen=True)
class Quantity:
    """One number of the form.

    Attributes
    ----------
    key : str
        Of the case file, ``table.key``.
    label, group, hint : str
        What stands before it, the part of the form it belongs to, and what it is.
    units : dict of str to Unit
        The menu; the first is the default.
    usual : (float, float)
        Where the quantity lies in almost every run (SI); outside of it the form asks.
    needed : bool
    """

    key: str
    label: str
    group: str
    units: Mapping[str, Unit]
    usual: tuple[float, float]
    hint: str
    needed: bool = False


@dataclass(frozen=True)
class Note:
    """Words beside one entry: ``"wrong"``, ``"missing"``, ``"look"``, ``"assumed"``, ``"read"``.

    The first two keep the run from being fitted. ``key`` is that of the entry; ``"profile"`` and
    ``"current"`` stand for the files.
    """

    key: str
    kind: str
    words: str


_NM = {"nm": Unit("1e-9"), "µm": Unit("1e-6"), "mm": Unit("1e-3"), "m": Unit()}
_MM = {name: _NM[name] for name in ("mm", "µm", "nm", "m")}
_TIME = {"h": Unit("3600"), "min": Unit("60"), "s": Unit(), "d": Unit("86400")}
_WIDTH = {
    "nm, sigma": Unit("1e-9"),
    "nm, FWHM": Unit("0.42466090014400953e-9"),
}

NO_DEAD_TIME = "no dead time"
QUANTITIES = {
    q.key: q
    for q in (
        Quantity("glass.thickness", "Thickness", "glass", _MM, (2e-5, 3e-3),
                 "From the front of the plate to the electrode.", True),
        Quantity("glass.area", "Exposed area", "glass",
                 {"mm²": Unit("1e-6"), "cm²": Unit("1e-4"), "m²": Unit()}, (1e-7, 1e-3),
                 "Through which the recorded current flows.", True),
        Quantity("glass.temperature", "Temperature", "glass",
                 {"°C": Unit("1", "273.15"), "K": Unit()}, (250, 500),
                 "Of the glass while the ions moved. Energies are in units of kT: no check"
                 " of the data can find a wrong temperature.", True),
        Quantity("glass.ion_density", "Mobile ions", "glass",
                 {"m⁻³": Unit(), "cm⁻³": Unit("1e6"), "nm⁻³": Unit("1e27")}, (1e26, 5e28),
                 "Number density of the native ion in untouched glass.", True),
        Quantity("glass.permittivity", "Permittivity", "glass", {"relative": Unit()}, (3, 40),
                 "It moves the excess charge at the surface, and hardly anything else.", True),
        Quantity("glass.conductivity", "Conductivity", "glass",
                 {"S/m": Unit(), "S/cm": Unit("100")}, (1e-15, 1e-1),
                 "Of untouched glass. May stay empty if the current was recorded under a"
                 " voltage."),
        Quantity("run.voltage", "Voltage", "run",
                 {"V": Unit(), "kV": Unit("1e3"), "mV": Unit("1e-3")}, (0.1, 500),
                 "Between surface and electrode. Empty if a current was held constant."),
        Quantity("run.current_density", "Constant current", "run",
                 {"nA": Unit("1e-9", over_area=True), "µA": Unit("1e-6", over_area=True),
                  "nA/cm²": Unit("1e-5"), "A/m²": Unit()}, (1e-8, 10),
                 "Only if the current was held constant."),
        Quantity("run.duration", "Duration", "run", _TIME, (60, 1e8),
                 "Empty: to the end of the recorded current."),
        Quantity("run.charge", "Charge", "run",
                 {"C/m²": Unit(), "mC": Unit("1e-3", over_area=True),
                  "mC/cm²": Unit("10")}, (0.1, 1e5),
                 "Instead of a duration."),
        Quantity("sims.crater_depth", "Crater depth", "sims",
                 {"nm": _NM["nm"], "µm": _NM["µm"], "m": Unit()}, (3e-8, 1e-5),
                 "At the end of the sputtering, by a profilometer.", True),
        Quantity("sims.sputter_time", "Sputter time", "sims",
                 {"s": Unit(), "min": Unit("60"), "h": Unit("3600")}, (10, 1e6),
                 "After which the crater was measured. Empty: the end of the export."),
        Quantity("sims.pulses", "Pulses per cycle", "sims",
                 {"pulses": Unit(), NO_DEAD_TIME: Unit()}, (1e3, 1e10),
                 "Primary pulses per cycle of a time-of-flight instrument: they"
                 " tell the dead time. If the counts have none left, choose that in the menu."),
        Quantity("sims.counting_time", "Counting time", "sims",
                 {"s": Unit(), "ms": Unit("1e-3")}, (1e-3, 1e3),
                 "Of a cycle, if the export holds rates and does not say."),
        Quantity("sims.resolution", "Depth resolution", "sims", _WIDTH, (3e-10, 2e-8),
                 "Of the instrument in this glass. Empty: read off the slope of the front."),
        Quantity("sims.transient", "Surface transient", "sims",
                 {"nm": _NM["nm"], "µm": _NM["µm"]}, (0, 5e-8),
                 "What is left out below the surface, where sputtering is not yet steady."),
        Quantity("sims.background", "Background", "sims", {"counts": Unit()}, (0, 1e4),
                 "Counts per cycle where there is no ion, of both ions."),
    )
}  # fmt: skip
GROUPS = {"glass": "The glass", "run": "The run", "sims": "The profile"}
TEXTS = {  # entries without a unit: label and hint
    "title": ("Name of the run", "As it stands in the report."),
    "ions.native_element": ("Native element", "Only if the channel does not say it."),
    "ions.foreign_element": ("Foreign element", "Only if the channel does not say it."),
    "sims.leave_out": ("Cycles left out", "Numbers from one on, such as 1, 218-220."),
}
IONS = {"ions.native": "Native ion", "ions.foreign": "Foreign ion", "ions.matrix": "Matrix"}


# --- texts and numbers ----------------------------------------------------------------------

_POWER = re.compile(r"\s*[x×·*]\s*10\s*\^?\s*([+-]?\d+)")
_NUMBER = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)(.*)", re.ASCII | re.DOTALL)
_SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻−", "0123456789--")


def _plain(unit: str) -> str:
    """The name of a unit as it may be typed: ``°C``, ``degC`` and ``C`` are the same."""
    text = unit.translate(_SUPERSCRIPTS).replace("μ", "µ").replace("µ", "u").replace("^", "")
    return text.replace("deg", "").replace("°", "").replace(" ", "").strip()


def parse(text: str, units: Mapping[str, Unit], unit: str) -> tuple[Decimal, str]:
    """The number of a text and its unit: that of the menu, or one of the menu typed behind it.

    ``0,5``, ``1.38 x 10^28``, ``65 536`` and ``0.5 mm`` are read; a ValueError says in words what
    cannot be, or what could mean two things.
    """
    plain = text.strip().translate(_SUPERSCRIPTS).replace("\u202f", " ").replace("\u00a0", " ")
    plain = _POWER.sub(r"e\1", plain)
    plain = re.sub(r"(?<=\d) (?=\d{3}(?!\d))", "", plain)
    if re.fullmatch(r"[+-]?[1-9]\d{0,2}(,\d{3})+\D*", plain):
        whole, cut = plain.replace(",", ""), plain.replace(",", ".", 1)
        raise ValueError(f"{text.strip()} could be {cut} or {whole}: write it without the comma.")
    if "." not in plain:
        plain = plain.replace(",", ".", 1)
    match = _NUMBER.fullmatch(plain)
    if not match:
        raise ValueError(f"“{text.strip()}” is not a number.")
    number, typed = Decimal(match[1]), match[2].strip()
    if typed:
        same = [name for name in units if _plain(name.split(",")[0]) == _plain(typed)]
        if not same:
            raise ValueError(
                f"“{typed}” is none of the units here: {'; '.join(units)}. Choose one in the menu."
            )
        unit = unit if unit in same else same[0]
    return number, unit


def to_si(number: Decimal, unit: Unit, area: float | None = None) -> float:
    """A number in SI units, correctly rounded; ``area`` (m^2) for what is stated of the whole."""
    value = number * Decimal(unit.factor) + Decimal(unit.offset)
    if unit.over_area:
        return float(value) / area
    return float(value)


def from_si(value: float, quantity: Quantity) -> tuple[str, str]:
    """The text and the unit that stand for a value (SI): its default unit if that is exact."""
    for name, unit in quantity.units.items():
        if unit.over_area:
            continue
        number = (Decimal(repr(value)) - Decimal(unit.offset)) / Decimal(unit.factor)
        text = f"{float(number):.10g}"
        if to_si(Decimal(text), unit) == value:
            return text, name
    raise ValueError(f"{quantity.key} = {value!r} has no exact form in {', '.join(quantity.units)}")


def in_unit(value: float, quantity: Quantity, name: str) -> str:
    """A value (SI) to five digits as the number that stands before a unit of the menu."""
    unit = quantity.units[name]
    if unit.over_area:
        return ""
    return f"{(value - float(unit.offset)) / float(unit.factor):.5g}"


def shown(value: float, quantity: Quantity, unit: str) -> str:
    """A value (SI) to four digits, in a unit of the menu or in a handier one that is near it."""
    found = {}
    for name, u in quantity.units.items():
        if name == unit or not (
            u.over_area or u.offset != "0" or quantity.units[unit].offset != "0"
        ):
            number = (value - float(u.offset)) / float(u.factor)
            text = f"{number:.4g} {name.split(',')[0]}".removesuffix(" relative")
            found[text] = abs(np.log10(max(abs(number), 1e-300)) - 1)
    return min(found, key=found.get)


# --- the entries to a table of a case file --------------------------------------------------


def read_entries(text: Mapping[str, str], unit: Mapping[str, str]) -> tuple[Table, list[Note]]:
    """The values of a case file by ``table.key`` from the entries, and what is wrong with them.

    Parameters
    ----------
    text : mapping of str to str
        By key: numbers as typed, names of files (``profile``, ``current``) and channels, a title.
    unit : mapping of str to str
        By key, from the menu of the quantity; missing ones are the default.
    """
    table: Table = {}
    notes: list[Note] = []
    for key in ("profile", "current", *IONS, *TEXTS):
        if text.get(key, "").strip():
            table[key] = text[key].strip()
    if "sims.leave_out" in table:
        try:
            table["sims.leave_out"] = _cycles(table["sims.leave_out"])
        except ValueError as error:
            notes.append(Note("sims.leave_out", "wrong", str(error)))
    if unit.get("sims.pulses") == NO_DEAD_TIME:
        text = {**text, "sims.pulses": ""}
        table["sims.dead_time"] = "none"
    if "profile" not in table:
        notes.append(Note("profile", "missing", "The SIMS export of this run: drop it above."))
    for key in IONS:
        if key not in table and "profile" in table:
            notes.append(Note(key, "missing", "One of the channels."))
    _, area = _value(QUANTITIES["glass.area"], text, unit, None)
    for quantity in QUANTITIES.values():
        words, value = _value(quantity, text, unit, area)
        notes += words
        if value is not None:
            table[quantity.key] = value
    return table, notes + _together(table)


def _value(
    quantity: Quantity, text: Mapping[str, str], unit: Mapping[str, str], area: float | None
) -> tuple[list[Note], float | None]:
    """The value (SI) of one quantity, or None, and the words about it."""
    key, units = quantity.key, quantity.units
    typed = text.get(key, "").strip()
    if not typed:
        return ([Note(key, "missing", quantity.hint)] if quantity.needed else []), None
    try:
        number, name = parse(typed, units, unit.get(key) or next(iter(units)))
    except ValueError as error:
        return [Note(key, "wrong", str(error))], None
    if units[name].over_area and area is None:
        return [Note(key, "missing", f"{name} asks for the exposed area.")], None
    value = to_si(number, units[name], area)
    kind = KEYS[key]
    low, high = kind[:2] if isinstance(kind, tuple) else quantity.usual
    digits = f"{float(number):.6g}"
    others = [
        f"{digits} {other.split(',')[0]}"
        for other, u in units.items()
        if other not in (name, NO_DEAD_TIME) and not (u.over_area and area is None)
        and quantity.usual[0] <= to_si(number, u, area) <= quantity.usual[1]
    ]  # fmt: skip
    question = f" Did you mean {' or '.join(others)}? Then change the unit." if others else ""
    here = digits if name in ("pulses", "relative", "counts") else f"{digits} {name.split(',')[0]}"
    if isinstance(kind, tuple) and not low <= value <= high:
        allowed = f"{shown(low, quantity, name)} to {shown(high, quantity, name)}"
        return [Note(key, "wrong", f"{here} is outside {allowed}.{question}")], None
    notes = []
    if not quantity.usual[0] <= value <= quantity.usual[1]:
        far = "more" if value > quantity.usual[1] else "less"
        notes.append(Note(key, "look", f"{here} is {far} than is usual.{question}"))
    return notes, value


def _cycles(text: str) -> list[int]:
    """The numbers of ``1, 218-220``."""
    found = []
    for part in filter(None, re.split(r"[,;\s]+", re.sub(r"\s*[-–]\s*", "-", text))):
        match = re.fullmatch(r"(\d{1,6})(?:-(\d{1,6}))?", part)
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise ValueError(f"“{part}” is no number of a cycle: write 1, 218-220.")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return found


def _together(table: Table) -> list[Note]:
    """What is wrong between entries that are each right."""
    notes = []
    ions = {key: table[key] for key in IONS if key in table}
    if len(set(ions.values())) < len(ions):
        twice = [key for key in ions if list(ions.values()).count(ions[key]) > 1]
        words = f"{ions[twice[0]]} is chosen twice: the three channels differ."
        notes += [Note(key, "wrong", words) for key in twice]
    elif len(ions) == 3 and element(ions["ions.native"]) == element(ions["ions.foreign"]):
        words = f"{ions['ions.foreign']} is the element of the native ion."
        notes.append(Note("ions.foreign", "wrong", words))
    for one, other in (("voltage", "current_density"), ("duration", "charge")):
        first, second = QUANTITIES[f"run.{one}"], QUANTITIES[f"run.{other}"]
        there = [q.key in table for q in (first, second)]
        if all(there):
            words = f"{first.label} or {second.label.lower()}, not both: leave one empty."
            notes.append(Note(second.key, "wrong", words))
        elif not any(there) and "current" not in table:
            words = f"{first.label} or {second.label.lower()}, or a recorded current."
            notes.append(Note(first.key, "missing", words))
    return notes


def case_text(table: Table) -> str:
    """A table as the text of a case file: TOML, SI units."""
    groups: dict[str, list[str]] = {"": []}
    for key, value in sorted(table.items(), key=lambda item: list(KEYS).index(item[0])):
        name, _, last = key.rpartition(".")
        groups.setdefault(name, []).append(f"{last} = {_toml(value)}")
    parts = ["\n".join(groups.pop(""))]
    parts += [f"[{name}]\n" + "\n".join(lines) for name, lines in groups.items()]
    return "\n\n".join(parts) + "\n"


def _toml(value: object) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, str):
        return json.dumps(value.replace("\x7f", ""), ensure_ascii=False)
    return json.dumps(value)


def entries_of(path: Path) -> tuple[dict[str, str], dict[str, str], Table]:
    """Texts and units of the form that say what a case file says, and what it has no entry for.

    Raises
    ------
    ValueError
        If the file is not TOML.
    """
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path.name}: not a TOML file: {error}") from None
    text, unit, rest = {}, {}, {}
    for name, value in tables.items():
        inside = value.items() if isinstance(value, dict) else [("", value)]
        for key, cell in inside:
            key = f"{name}.{key}".rstrip(".")
            number = isinstance(cell, int | float) and not isinstance(cell, bool)
            if key in QUANTITIES and number:
                text[key], unit[key] = from_si(float(cell), QUANTITIES[key])
            elif key in ("profile", "current", *IONS, *TEXTS) and isinstance(cell, str):
                text[key] = cell
            elif key == "sims.leave_out" and isinstance(cell, list):
                text[key] = ", ".join(map(str, cell))
            elif key == "sims.dead_time" and cell == "none":
                unit["sims.pulses"] = NO_DEAD_TIME
            else:
                rest[key] = cell
    return text, unit, rest
