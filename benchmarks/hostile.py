"""Hostile calls of the public functions: a right answer, or an error that names the argument.

A good call of each function is the base; then one argument at a time becomes a hostile value.
``python benchmarks/hostile.py [share] [door ...]`` makes all calls, or a share of them, and lists
what is not allowed: a raw exception of a library, an error that does not name its argument, a
result that is not finite, a value that no quantity can have but that was accepted, a warning, more
than five seconds of the processor's time. `tests/test_doors.py` is its short form.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import dis
import inspect
import random
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

import cait_helpers as cait
from cait_helpers import (
    fronts,
    landscape,
    lattice,
    onsager,
    pair_walk,
    resolution,
    sims,
    tables,
    teaching,
)

ROOT = Path(__file__).parents[1]
PACKAGE = str(ROOT / "cait_helpers")
LONGEST = 5.0  # s of the processor's time


class TooLong(BaseException):
    """A call that has used up its time; no handler of exceptions takes it for its own."""


class Raised(Exception):
    """What a hostile callable raises."""


@dataclasses.dataclass(frozen=True)
class Door:
    """A function, a good call of it, and how its messages may call an argument otherwise."""

    name: str
    call: Callable
    good: Mapping[str, Any]
    alias: Mapping[str, str] = dataclasses.field(default_factory=dict)
    dear: bool = False  # a call takes long
    unbounded: bool = False  # nan gives nan and infinity is allowed, as in scipy.stats


# --- what is put in the place of a good value ------------------------------------------------

# No quantity is one of these: to accept one is a fault.
NEVER: dict[str, Callable[[], Any]] = {
    "nan": lambda: float("nan"),
    "inf": lambda: float("inf"),
    "-inf": lambda: float("-inf"),
    "numpy nan": lambda: np.float64("nan"),
    "0-d nan": lambda: np.array(np.nan),
    "array of nan": lambda: np.full(3, np.nan),
    "integer of 400 digits": lambda: 10**400,
    "integer of 5000 digits": lambda: 10**5000,
    "list with 400 digits": lambda: [10**400, 1, 2],
    "True": lambda: True,
    "numpy True": lambda: np.True_,
    "array of bool": lambda: np.array([True, False, True]),
    "complex": lambda: 1 + 1j,
    "array of complex": lambda: np.array([1 + 1j, 2, 3]),
    "text": lambda: "0.5",
    "bytes": lambda: b"0.5",
    "list of text": lambda: ["0.1", "0.5", "1"],
    "array of text": lambda: np.array(["0.1", "0.5", "1"]),
    "date": lambda: datetime.datetime(2024, 1, 1),
    "numpy date": lambda: np.datetime64("2024-01-01"),
    "array of dates": lambda: np.array(["2024-01-01", "2024-01-02", "2024-01-03"], "M8[D]"),
    "None": lambda: None,
    "object": object,
    "dict": lambda: {"a": 1},
    "set": lambda: {0.1, 0.5, 1.0},
    "generator": lambda: (x for x in (0.1, 0.5, 1.0)),
    "ragged": lambda: [[1.0], [1.0, 2.0], 3.0],
    "a class": lambda: float,
}
# These may be refused or computed with, as long as the result is finite.
FREE: dict[str, Callable[[], Any]] = {
    "zero": lambda: 0.0,
    "minus one": lambda: -1,
    "empty": lambda: [],
    "one point": lambda: [0.5],
    "three points": lambda: [0.2, 0.5, 1.0],
    "unsorted": lambda: [0.5, 0.1, 1.0, 0.2],
    "matrix": lambda: np.ones((2, 3)),
    "tiny": lambda: 5e-324,
    "huge": lambda: 1e308,
    "Celsius": lambda: 50.0,
    "negative zero": lambda: -0.0,
}
# The same number in another form: the same result, or refused.
SAME: dict[str, Callable[[Any], Any]] = {
    "float32": lambda v: np.asarray(v, np.float32)[()],
    "0-d": lambda v: np.array(v),
    "list": lambda v: np.asarray(v).tolist(),
    "big-endian": lambda v: np.asarray(v).astype(">f8"),
    "read-only": lambda v: _frozen(np.array(v, float)),
    "every second": lambda v: np.repeat(np.asarray(v, float), 2, axis=-1)[..., ::2],
    "masked nowhere": lambda v: np.ma.array(np.asarray(v, float)),
}
SCALED = {"in nano": 1e9, "nano of it": 1e-9, "negative": -1.0}


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _masked(v: Any) -> Any:
    array = np.ma.array(np.asarray(v, float))
    array[..., 0] = np.ma.masked
    return array


def _raise(y):
    raise Raised("the law has raised")


def _write(y):
    D = 1e-19 + 0 * y
    if isinstance(y, np.ndarray):
        y[...] = 0.3
    return D


LAWS: dict[str, tuple[bool, Callable[[Any], Any]]] = {  # whether it is none, and the law
    "nan law": (True, lambda y: np.full(np.shape(y), np.nan)),
    "negative law": (True, lambda y: -np.ones(np.shape(y)) * 1e-19),
    "zero law": (True, lambda y: np.zeros(np.shape(y))),
    "infinite law": (True, lambda y: np.full(np.shape(y), np.inf)),
    "complex law": (True, lambda y: np.full(np.shape(y), 1e-19 + 1e-20j)),
    "text law": (True, lambda y: np.full(np.shape(y), "1e-19")),
    "None law": (True, lambda y: None),
    "law of another shape": (True, lambda y: np.full(7, 1e-19)),
    "raising law": (True, _raise),
    "law without argument": (True, lambda: 1e-19),
    "writing law": (False, _write),
    "constant law": (False, lambda y: 1e-19),
}


class _Sed:
    """A distribution of which one method is spoilt."""

    def __init__(self, **spoilt):
        self.good, self.spoilt = cait.gaussian_sed(0.25), spoilt

    def __getattr__(self, name):
        if name in ("pdf", "cdf", "ppf"):
            return self.spoilt.get(name, getattr(self.good, name))
        raise AttributeError(name)


SEDS: dict[str, Callable[[], Any]] = {
    "ppf of nan": lambda: _Sed(ppf=lambda q: np.full(np.shape(q), np.nan)),
    "ppf that falls": lambda: _Sed(ppf=lambda q: -cait.gaussian_sed(0.25).ppf(q)),
    "ppf of another shape": lambda: _Sed(ppf=lambda q: np.zeros(7)),
    "ppf that raises": lambda: _Sed(ppf=_raise),
    "ppf of complex": lambda: _Sed(ppf=lambda q: np.full(np.shape(q), 1j)),
    "ppf of a point": lambda: _Sed(ppf=lambda q: np.zeros(np.shape(q))),
}


def hostile(value: Any, optional: bool) -> Iterator[tuple[str, str, Callable[[], Any]]]:
    """Kind, name and maker of each hostile value for an argument that is well as ``value``."""
    for name, make in NEVER.items():
        if isinstance(value, str) and name in ("text", "bytes"):
            continue
        if not (name == "None" and optional):
            yield "never", name, make
    for name, make in FREE.items():
        yield "free", name, make
    if hasattr(value, "ppf"):
        for name, make in SEDS.items():
            yield "never", name, make
    elif callable(value):
        for name, (wrong, law) in LAWS.items():
            yield "never" if wrong else "free", name, lambda law=law: law
    elif _is_number(value):
        for name, change in SAME.items():
            if name == "every second" and not np.ndim(value):
                continue
            yield "same", name, lambda change=change: change(value)
        for name, factor in SCALED.items():
            yield "free", name, lambda factor=factor: np.asarray(value, float)[()] * factor
        if np.ndim(value):
            yield "never", "masked", lambda: _masked(value)
            yield "never", "one nan", lambda: _with_nan(value)
            yield "free", "reversed", lambda: np.asarray(value, float)[::-1]
            yield "free", "one less", lambda: np.asarray(value, float)[:-1]


def _is_number(value: Any) -> bool:
    try:
        return np.asarray(value).dtype.kind in "iuf"
    except ValueError:
        return False


def _with_nan(value: Any) -> np.ndarray:
    array = np.array(value, float)
    array.flat[-1] = np.nan
    return array


# --- the verdict -----------------------------------------------------------------------------


def finite(result: Any, depth: int = 0) -> bool:
    """Whether all numbers of a result are."""
    if isinstance(result, np.ndarray | float | complex | np.generic):
        array = np.asarray(result)
        return array.dtype.kind not in "fc" or bool(np.isfinite(array).all())
    if isinstance(result, Mapping):
        return all(finite(v, depth + 1) for v in result.values())
    if isinstance(result, tuple | list):
        return all(finite(v, depth + 1) for v in result)
    if isinstance(result, cait.exports.Recording | sims.Profile | landscape.PopulatedSed):
        return True  # nan where a signal was not recorded; -inf where a landscape has no bottom
    if dataclasses.is_dataclass(result) and depth < 3:
        return all(finite(v, depth + 1) for v in vars(result).values())
    return True


def alike(a: Any, b: Any) -> bool:
    """Whether two results agree to the digits of a float32."""
    if isinstance(a, np.ndarray | float | np.generic):
        return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-4, atol=0, equal_nan=True)
    if isinstance(a, tuple | list):
        return len(a) == len(b) and all(map(alike, a, b))
    return True


def raised_here(error: BaseException) -> bool:
    """Whether a ``raise`` of the package has raised it, not a library below or an operator."""
    trace = error.__traceback__
    while trace.tb_next:
        trace = trace.tb_next
    code = trace.tb_frame.f_code
    return code.co_filename.startswith(PACKAGE) and (
        dis.opname[code.co_code[trace.tb_lasti]] == "RAISE_VARARGS"
    )


def _text(error: BaseException) -> str:
    """The message of an error, also of one that holds an integer too long to be printed."""
    try:
        return str(error)
    except ValueError:
        return "a message that cannot be printed"


OWN = (ValueError, TypeError, cait.SimulationError, cait.FitError, cait.CaseError, cait.SimsError)


# What would be no quantity, and is one here: no dead time; a seed of any length; a lag of no ion.
MEANT = {"pulses": ("inf", "integer of"), "seed": ("integer of",), "lag": ("dict",)}


def verdict(door: Door, argument: str, kind: str, name: str, make: Callable[[], Any]) -> str:
    """Nothing if all is well with a call, else what is not."""

    def stop(*_):
        raise TooLong

    before = signal.signal(signal.SIGPROF, stop)
    try:
        value = make()
    except (TypeError, ValueError, IndexError):  # no such form of this value, as of no number
        return ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            signal.setitimer(signal.ITIMER_PROF, LONGEST)
            try:
                result = door.call(**{**door.good, argument: value})
            finally:
                signal.setitimer(signal.ITIMER_PROF, 0)
    except TooLong:
        return "hangs"
    except Raised:
        return ""
    except Warning as warning:
        return f"warns: {warning}"[:150]
    except Exception as error:
        if door.unbounded and isinstance(error, FloatingPointError):
            return ""  # 1e308 eV over a width
        text = _text(error)
        if not isinstance(error, OWN) or not raised_here(error):
            return f"raw {type(error).__name__}: {text}"[:150]
        if len(text) > 2000:
            return f"a message of {len(text)} letters"
        names = [argument, *door.alias.get(argument, "").split()]
        return "" if any(n in text for n in names) else f"does not name {argument}: {text}"[:150]
    finally:
        signal.signal(signal.SIGPROF, before)
    if door.unbounded and _is_number(value):
        return "" if np.asarray(value).dtype.kind != "b" else f"accepted: {result!r}"
    if not finite(result):
        return f"result not finite: {result!r}"[:150]
    if kind == "never" and not name.startswith(MEANT.get(argument, ("-",))):
        return f"accepted: {result!r}"[:150]
    if kind == "same" and not alike(result, _good(door)):
        return f"another result: {result!r}"[:150]
    return ""


@cache
def _result(name: str) -> Any:
    door = next(d for d in doors() if d.name == name)
    return door.call(**door.good)


def _good(door: Door) -> Any:
    return _result(door.name)


def calls(share: float = 1.0, only: tuple[str, ...] = (), seed: int = 1):
    """Door, argument, kind and name of hostile values; a fixed choice of them for a share."""
    choice = random.Random(seed)
    for door in doors():
        if only and not any(part in door.name for part in only):
            continue
        _good(door)  # compiled before the clock runs
        optional = _optional(door)
        for argument, value in door.good.items():
            for kind, name, make in hostile(value, argument in optional):
                if choice.random() < (share if not door.dear else share / 10):
                    yield door, argument, kind, name, make


def _optional(door: Door) -> set[str]:
    defaults = inspect.signature(door.call).parameters
    return {
        name
        for name, value in door.good.items()
        if value is None or (name in defaults and defaults[name].default is None)
    } | set(door.alias.get("optional", "").split())


def campaign(share: float = 1.0, only: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """The number of calls, and a line for each fault."""
    count, faults = 0, []
    with np.errstate(all="raise", under="ignore"):
        for door, argument, kind, name, make in calls(share, only):
            count += 1
            wrong = verdict(door, argument, kind, name, make)
            if wrong:
                wrong = " ".join(wrong.split())
                faults.append(f"{door.name}({argument} = {name}): {wrong}")
                print(faults[-1], flush=True)
    return count, faults


# --- the doors -------------------------------------------------------------------------------


@cache
def doors() -> tuple[Door, ...]:
    """All doors, each with a good call."""
    y, T, n = np.array([0.1, 0.5, 0.9]), 323.15, [1.0e28, 0.38e28]
    x, edges = np.linspace(0, 1e-7, 11), np.linspace(0, 8e-8, 5)
    sed = cait.gaussian_sed(fwhm=0.25)
    D_Li = cait.activated_diffusivity(sed, D_bulk=1e-18, temperature=T, occupancy=0.9)
    table = cait.tabulated_diffusivity([0.1, 0.5, 1.0], [1e-22, 1e-20, 1e-18])
    glass = cait.Glass(thickness=0.5e-3, ion_density=1.38e28, permittivity=8.0, temperature=T)
    exact = cait.front(D_Li, 6.5e-23)
    L = cait.onsager_matrix([1e-18, 1e-22], n, T)
    D_mig, D_chem = cait.diffusivities(L, n, T)
    series = cait.Voltage([10.0, 12.0, 11.0], [0.0, 10.0, 20.0])
    run = cait.simulate(glass, {"Li": D_Li, "Rb": 6.5e-23}, "Li", "Rb", cait.Voltage(10.0),
                        cait.Charge(50.0), rtol=1e-2)  # fmt: skip
    both = cait.pair_landscape(sed, cait.gaussian_sed(0.15), correlation=0.5)
    record = cait.read_sims(ROOT / "data" / "rb_on_lbo.txt")
    profile = cait.normalise(record, "Li+", "Rb+", "B+", 220e-9)
    matrix = record.intensity["B+"]
    gauss = cait.resolution.gaussian_resolution(2e-9)
    law = {"D": "D", "D_native": "D_native law", "D_foreign": "D_foreign law"}
    activated = dict(sed=sed, D_bulk=1e-18, temperature=T, occupancy=0.9, immobile=0.1)
    simulated = dict(glass=glass, ions={"Li": D_Li, "Rb": 6.5e-23}, native="Li", beam="Rb",
                     drive=cait.Voltage(10.0), until=cait.Charge(20.0), rtol=1e-2, start=None,
                     mesh=None, hop_length=None)  # fmt: skip
    pairs = dict(y=np.array([0.2, 0.8]), temperature=T, occupancy=0.9)

    def simulate_law(D, D_foreign):
        return cait.simulate(**{**simulated, "ions": {"Li": D, "Rb": D_foreign}})

    def door(call, alias=(), dear=False, unbounded=False, called=None, **good):
        name = called or f"{call.__module__.rpartition('.')[2]}.{call.__qualname__}"
        return Door(name, call, good, dict(alias), dear, unbounded)

    sed_alias, file = {"sed": "SED"}, {"path": "0.5"}
    return (
        door(cait.Glass, thickness=5e-4, ion_density=1.38e28, permittivity=8.0, temperature=T),
        door(cait.Voltage, value=[10.0, 12.0], time=[0.0, 9.0],
             alias={"value": "Voltage", "time": "Voltage"}),
        door(cait.CurrentDensity, value=1e-3, time=None, alias={"value": "CurrentDensity",
             "time": "CurrentDensity"}),
        door(cait.Charge, value=221.0, alias={"value": "Charge"}),
        door(cait.Duration, value=3600.0, alias={"value": "Duration"}),
        door(series.at, time=y, called="conditions.Series.at"),
        door(series.integral, time=15.0, called="conditions.Series.integral"),
        door(cait.gaussian_sed, fwhm=0.25, centre=0.1),
        door(landscape.skewed_sed, fwhm=0.25, shape=0.5, centre=0.1),
        door(landscape.two_component_sed, weight=0.3, first=sed, second=cait.gaussian_sed(0.1)),
        door(landscape.fwhm, sed=sed, alias=sed_alias),
        door(landscape.thermal_filling, sed=sed, level=y, temperature=T, alias=sed_alias),
        door(cait.fermi_level, sed=sed, fraction=y, occupancy=0.9, temperature=0.0,
             alias=sed_alias),
        door(cait.fermi_level, sed=sed, fraction=y, occupancy=0.9, temperature=T,
             alias=sed_alias, called="landscape.fermi_level, thermal"),
        door(landscape.activation_energy, sed=sed, fraction=y, occupancy=0.9, bulk=0.5,
             temperature=0.0, alias=sed_alias),
        door(landscape.populated_sed, sed=sed, occupancy=0.9, low=0.1, high=1.0,
             alias=sed_alias),
        door(cait.activated_diffusivity, **activated, alias=sed_alias),
        door(lambda **a: cait.activated_diffusivity(**a)(y), **activated, alias=sed_alias,
             called="landscape.activated_diffusivity(y)"),
        door(D_Li.__call__, fraction=y, called="landscape.ActivatedDiffusivity"),
        door(D_Li.log_slope, fraction=y, called="landscape.ActivatedDiffusivity.log_slope"),
        door(cait.tabulated_diffusivity, fraction=[0.1, 0.5, 1.0], D=[1e-22, 1e-20, 1e-18]),
        door(table.__call__, fraction=y, called="landscape.TabulatedDiffusivity"),
        door(table.log_slope, fraction=y, called="landscape.TabulatedDiffusivity.log_slope"),
        door(cait.sed_from_diffusivity, D=D_Li, temperature=T, occupancy=0.9,
             window=(0.03, 1.0)),
        door(landscape.log_slope, D=table, fraction=y),
        door(sed.pdf, energy=y, unbounded=True, called="landscape.GaussianSed.pdf"),
        door(sed.cdf, energy=y, unbounded=True, called="landscape.GaussianSed.cdf"),
        door(sed.ppf, share=y, unbounded=True, called="landscape.GaussianSed.ppf"),
        door(cait.front, D_native=D_Li, D_foreign=6.5e-23, exchange=0.5, alias=law),
        door(fronts.transport, fraction=y, D_native=D_Li, D_foreign=6.5e-23, alias=law),
        door(fronts.foreign_diffusivity_from_plateau, D_native=D_Li, plateau=0.07,
             alias={"D_native": "D_foreign"}),
        door(fronts.foreign_diffusivity_from_zones, D_bulk=1e-18, D_front=1e-20,
             D_replaced=1e-23, n_bulk=1.38e28, n_replaced=1e27, gradient=1e36, field_bulk=-1e6),
        door(fronts.drift_profiles, D=lambda s: np.ones_like(s) * [[2e-20], [1e-22]],
             start=np.array([[0.99] * 6, [0.01] * 6]), nodes=np.linspace(0, 6e-8, 7),
             replaced=2e-8),
        door(fronts.potentiostatic_depth, front=exact, time=[60.0, 3600.0], voltage=10.0,
             thickness=5e-4, ion_density=1.38e28, temperature=T, hop_length=0.0),
        door(exact.fan, xi=y, called="fronts.Front.fan"),
        door(exact.depth, charge_per_area=221.0, ion_density=1.38e28, called="fronts.Front.depth"),
        door(exact.profile, x=x, charge_per_area=221.0, ion_density=1.38e28,
             called="fronts.Front.profile"),
        door(exact.width, flux_per_N=1e-12, called="fronts.Front.width"),
        door(exact.wave, x=np.linspace(-1e-9, 1e-9, 5), flux_per_N=1e-12,
             called="fronts.Front.wave"),
        door(cait.onsager_matrix, D=[1e-18, 1e-22], n=n, temperature=T, cross=0.0,
             alias={"D": "n L", "cross": "L"}),
        door(onsager.check_admissible, L=L, tolerance=1e-10),
        door(cait.diffusivities, L=L, n=n, temperature=T),
        door(onsager.fick_matrix, L=L, n=n, temperature=T),
        door(onsager.from_diffusivities, D_mig=D_mig, D_chem=D_chem, n=n, temperature=T),
        door(onsager.from_fick, fick=onsager.fick_matrix(L, n, T), n=n, temperature=T,
             alias={"fick": "L"}),
        door(onsager.from_exchange, share=0.9, exchange=1e-21, sigma=1e-6, n=n, temperature=T),
        door(onsager.conductivity, L=L),
        door(onsager.neutral_transport, y=y, D_1=1e-19 * y, D_2=1e-22,
             coupling=0.1),
        door(onsager.transference, L=L),
        door(onsager.interdiffusivity, L=L, n=n, temperature=T),
        door(onsager.tracer_diffusivity, D_eff=1e-18),
        door(onsager.charge_diffusivity, sigma=1e-6, n=1.38e28, temperature=T),
        door(onsager.charge_conductivity, D_sigma=1e-18, n=1.38e28, temperature=T),
        door(cait.haven_ratio, D_tracer=1e-18, D_sigma=2e-18),
        door(cait.walk_lattice, lattice="fcc", vacancies=1, seed=1, size=4, attempts=10**5,
             blocks=8, alias={"blocks": "attempts", "size": "size sites",
             "vacancies": "vacancies occupied"}),
        door(lattice.walk_landscape, sed=sed, fraction=0.5, temperature=T, occupancy=0.9,
             lattice="fcc", seed=1, size=4, jumps=16, landscapes=8, alias=sed_alias, dear=True),
        door(pair_walk.walk_pair, pair=both, y=0.5, temperature=T, occupancy=0.9, speed=1.0,
             lattice="fcc", seed=1, size=4, jumps=16, landscapes=8, reach=1.0, dear=True),
        door(cait.pair_landscape, sed_native=sed, sed_foreign=cait.gaussian_sed(0.1),
             correlation=0.5, mismatch=0.05, adapted=0.5),
        door(both.levels, **pairs, called="pair.PairLandscape.levels", dear=True),
        door(both.occupation, energy_native=0.1, energy_foreign=0.0, y=0.5, temperature=T,
             occupancy=0.9, called="pair.PairLandscape.occupation", dear=True),
        door(both.coefficients, **pairs, D_native=1e-18, D_foreign=1e-21, haven=0.6,
             lattice_factor=0.78, ion_density=1.38e28, called="pair.PairLandscape.coefficients",
             dear=True),
        door(both.laws, temperature=T, occupancy=0.9, D_native=1e-18, D_foreign=1e-21,
             lattice_factor=0.78, called="pair.PairLandscape.laws", dear=True),
        door(both.exchange, temperature=T, occupancy=0.9, haven=0.6,
             called="pair.PairLandscape.exchange", dear=True),
        door(both.energies, first=y, second=y, third=y, called="pair.PairLandscape.energies"),
        door(cait.simulate, **simulated, alias={"start": "start", "mesh": "mesh"}, dear=True),
        door(simulate_law, D=D_Li, D_foreign=lambda y: 6.5e-23 + 0 * y,
             alias={"D": "ions['Li']", "D_foreign": "ions['Rb']"}, called="npp.simulate, a law",
             dear=True),
        door(cait.simulate_many, runs=[simulated], executor=None, progress=False, errors="raise",
             alias={"runs": "runs", "optional": "progress executor"}, dear=True),
        door(run.at, ion="Li", x=x, called="npp.Run.at"),
        door(run.amount, ion="Li", called="npp.Run.amount"),
        door(resolution.gaussian_resolution, sigma=2e-9),
        door(resolution.dowsett_resolution, decay_up=1e-9, decay_down=2e-9, sigma=2e-9),
        door(gauss.scaled, factor=1.1, alias={"factor": "sigma"},
             called="resolution.Resolution.scaled"),
        door(gauss.density, depth=x, called="resolution.Resolution.density"),
        door(resolution.blur, x=x, f=np.linspace(0, 1, 11), edges=edges, resolution=gauss),
        door(resolution.as_seen, x=x, fraction={"Li": np.linspace(0, 1, 11)}, edges=edges,
             resolution=gauss, lag={"Li": 0.0}, alias={"fraction": "x f"}),
        door(sims.dead_time_correct, counts=[10.0, 20.0, 30.0], pulses=1e4),
        door(sims.steady_reference, matrix=matrix, used=None, variance=None),
        door(sims.reference_drift, matrix=matrix, used=np.ones(matrix.size, bool),
             alias={"matrix": "used"}),
        door(sims.front_cycle, native=record.intensity["Li+"]),
        door(sims.settled_cycle, matrix=matrix),
        door(sims.scatter_variance, signal=matrix),
        door(sims.sputter_depth, edges=np.linspace(0, 100.0, 5), crater_depth=2e-7,
             total_time=120.0, native_fraction=[0.1, 0.2, 0.9, 1.0], rate_ratio=1.2),
        door(sims.exchanged_charge, edges=edges, foreign_fraction=[0.9, 0.9, 0.5, 0.0],
             ion_density=1.38e28),
        door(sims.charge_found, profile=profile, ion_density=1.38e28),
        door(cait.normalise, recording=record, native="Li+", foreign="Rb+", matrix="B+",
             crater_depth=220e-9, transient=5e-9, background=0.0, pulses=None, rate_ratio=1.0,
             charge=221.0, ion_density=1.38e28, resolution=None, leave_out=(),
             alias={"native": "native channel", "foreign": "foreign channel",
                    "matrix": "matrix channel", "optional": "leave_out background transient"}),
        door(cait.read_sims, path=ROOT / "data" / "rb_on_lbo.txt", alias=file),
        door(tables.read_current, path=ROOT / "data" / "rb_on_lbo_current.csv", alias=file),
        door(cait.read_case, path=ROOT / "data" / "rb_on_lbo.toml", alias=file),
        door(cait.cases.element, channel="Li+"),
        door(cait.families.find_family, name="gaussian", alias={"name": "family"}),
        door(cait.Prior, mean=0.9, sigma=0.01),
        door(teaching.preset, name=next(iter(teaching.presets.systems()))),
    )  # fmt: skip


def main(arguments: list[str]) -> None:
    share = float(arguments[0]) if arguments else 1.0
    count, faults = campaign(share, tuple(arguments[1:]))
    kinds = collections.Counter(fault.partition("): ")[2].split()[0] for fault in faults)
    print(f"{count} calls of {len(doors())} doors, {len(faults)} faults: {dict(kinds)}")


if __name__ == "__main__":
    main(sys.argv[1:])
