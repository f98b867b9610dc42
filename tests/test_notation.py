"""The notation of the book and the names of the package: one list, complete and without ghosts."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import pkgutil
import re

import pytest
from slim import ROOT

import cait_helpers as cait

NOTATION = (ROOT / "chapters" / "notation.md").read_text(encoding="utf-8")
HEADER = ["symbol", "meaning", "unit", "in the code", "first in"]

# An annotation that stands for numbers. `Any` is a SED, `str` the name of an ion or a file.
NUMERIC = re.compile(
    r"\b(float|int|ArrayLike|Array|NDArray|Law|Voltage|CurrentDensity|Charge|Duration|Resolution)\b"
)
# None of the book's quantities: what figures and explorers have, and finished runs by number.
NOT_QUANTITIES = {"explore.draw", "explore.choices", "Sweep.frames", "Sweep.si", "check.answer"}
NOT_QUANTITIES |= {"simulate_many.kept"}


def rows(text: str) -> list[list[str]]:
    """Return the cells of the rows below every table header of the notation."""
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("|")]
    table = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return [row for row in table if row != HEADER and not set("".join(row)) <= set("-")]


def listed(text: str) -> set[str]:
    """Return the code names of all tables."""
    return {name for row in rows(text) for name in re.findall(r"`([^`]+)`", row[3])}


def members(owner: str) -> dict[str, str]:
    """Return arguments or fields of an exported object, with their annotations."""
    thing = getattr(cait, owner)
    if dataclasses.is_dataclass(thing):
        return {field.name: str(field.type) for field in dataclasses.fields(thing)}
    if inspect.isfunction(thing):
        parameters = inspect.signature(thing).parameters.values()
        return {p.name: str(p.annotation) for p in parameters}
    return {}  # an exception, or the path of the style


def missing(text: str) -> set[str]:
    """Return the quantities of the public names that no row lists, as ``owner.name``."""
    known = listed(text)
    quantities = {
        f"{owner}.{name}"
        for owner in cait.__all__
        for name, annotation in members(owner).items()
        if NUMERIC.search(annotation) and name not in known
    }
    return quantities - known - NOT_QUANTITIES


@functools.cache
def everything() -> dict[str, frozenset[str]]:
    """Return arguments, fields and attributes of whatever a module of the package defines."""
    found: dict[str, set[str]] = {}
    for module in pkgutil.walk_packages(cait.__path__, "cait_helpers."):
        if ".data" in module.name:
            continue
        for name, thing in vars(importlib.import_module(module.name)).items():
            if getattr(thing, "__module__", "").startswith("cait_helpers") and callable(thing):
                found.setdefault(name, set()).update(_members(thing))
    return {name: frozenset(names) for name, names in found.items()}


def _members(thing) -> set[str]:
    names = set()
    if dataclasses.is_dataclass(thing):
        names |= {field.name for field in dataclasses.fields(thing)}
    if inspect.isclass(thing):
        names |= {name for name in vars(thing) if not name.startswith("_")}
    elif inspect.isfunction(thing):
        names |= set(inspect.signature(thing).parameters)
    return names


def ghosts(text: str) -> set[str]:
    """Return the listed code names that nothing in the package has."""
    owners = everything()
    members = frozenset().union(*owners.values())
    return {
        name
        for name in listed(text)
        if (name.split(".")[1] not in owners.get(name.split(".")[0], ()) if "." in name
            else name not in owners and name not in members)
    }  # fmt: skip


def test_every_quantity_of_the_public_names_is_in_the_notation():
    """Numeric arguments of the functions and fields of the classes in ``cait_helpers.__all__``."""
    assert missing(NOTATION) == set()


def test_every_code_name_of_the_notation_exists():
    assert ghosts(NOTATION) == set()


def test_every_row_says_what_it_means_in_which_unit_and_where_it_is_met_first():
    """The place is a page of the book that exists; a row has a symbol or a code name."""
    for row in rows(NOTATION):
        assert len(row) == len(HEADER), row
        symbol, meaning, unit, code, first = row
        assert meaning and unit and (symbol or code), row
        page = re.fullmatch(r"\{doc\}`\w+ <(\w+)>`", first)
        assert page and (ROOT / "chapters" / f"{page[1]}.ipynb").exists(), row


def test_no_symbol_has_two_meanings():
    """Symbols that are alike would leave the reader to guess."""
    symbols = [row[0] for row in rows(NOTATION) if row[0]]
    assert len(symbols) == len(set(symbols))
    assert len(symbols) > 30  # the tables were found


@pytest.mark.parametrize("name", ["`crater_depth`", "`D_bulk`", "`Charge.value`", "`rtol`"])
def test_a_quantity_that_is_struck_out_is_missed(name):
    """The gate itself."""
    assert {found.split(".")[1] for found in missing(NOTATION.replace(name, ""))} == {
        name.strip("`").split(".")[-1]
    }


@pytest.mark.parametrize("name", ["crater_deepness", "Run.value", "Crater.depth"])
def test_a_code_name_that_does_not_exist_is_found(name):
    """The gate itself: a name that nobody has, and one that another class has."""
    assert ghosts(NOTATION.replace("`crater_depth`", f"`{name}`")) == {name}
