"""The package's kernels as the pages have them: compiled to WebAssembly, in a real browser."""

from __future__ import annotations

import base64
import gzip

import numpy as np
import page_script
import pytest
import wasm
from browser import NO_BROWSER, open_browser

import cait_helpers as cait
from cait_helpers import kernels

GLASS = {"thickness": 0.5e-3, "ion_density": 1.38e28, "permittivity": 8.0}

# The Worker's own source, in the page: its doors and its places in memory are at hand.
LOAD = """text => {
  globalThis.bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  globalThis.doubles = (text) => new Float64Array(bytes(text).buffer);
  wasm = new WebAssembly.Module(bytes(text));
  open();
}"""
# The numbers of those calls that differ from numba's in any bit.
ADVANCE = """calls => calls.flatMap((given, number) => {
  clear();
  const put = (name) => { const list = doubles(given[name]); return room(list.length, list); };
  const [table, x, state, drive] = ["table", "x", "state", "drive"].map(put);
  const { cells, k, most } = given, history = room(4 * (most + 1)), out = room(6);
  call("advance", cells, k, table.size / k / 4, table.at, given.lam2, given.beam,
    given.potentiostatic, x.at, state.at, drive.at, given.t_end, given.charge_end, given.tol,
    given.first, given.surface, most, history.at, out.at);
  const rows = history.numbers.slice(0, 4 * (out.numbers[1] + 1));
  const found = [x.numbers, state.numbers, rows, out.numbers];
  const same = found.every((list, n) => {
    const wanted = doubles(given.found[n]);
    return list.length === wanted.length && list.every((value, m) => Object.is(value, wanted[m]));
  });
  return same ? [] : [number];
})"""


RESOLVED = """given => {
  const found = simulate(given), last = found.time.length - 1;
  return { ...found, time: found.time[last], x: 0, nodes: 0, native: 0, foreign: 0 };
}"""
LISTS = """given => Object.fromEntries(Object.entries({}(given)).map(
  ([name, value]) => [name, typeof value !== "object" ? value : [...value]]))"""
BLUR = """([x, y, edges, sigma]) => {
  clear();
  const put = (list) => room(list.length, list).at, out = room(edges.length - 1);
  call("blur", x.length, put(x), put(y), edges.length, put(edges), sigma, out.at);
  return [...out.numbers];
}"""


def packed(values):
    """The bits of an array, as a text."""
    return base64.b64encode(np.ascontiguousarray(values, dtype=float).tobytes()).decode()


@pytest.fixture(scope="module")
def page():
    """A page of nothing but the module and the source of its Worker."""
    with open_browser() as browser:
        tab = browser.new_page()
        tab.add_script_tag(content=page_script.worker())
        tab.evaluate(LOAD, base64.b64encode(wasm.built()).decode())
        yield tab


def problem(rng, cells=None):
    """Random settings of a run, over more than the range of the pages' sliders."""
    D_bulk = 10 ** rng.uniform(-19.5, -17)
    given = {
        **GLASS,
        "temperature": rng.uniform(273, 373),
        "fwhm": rng.uniform(0.1, 0.4),
        "occupancy": rng.uniform(0.7, 0.97),
        "D_bulk": D_bulk,
        "D_foreign": D_bulk * 10 ** rng.uniform(-5.2, -2.5),
        "charge": rng.uniform(20, 300),
    }
    if rng.random() < 0.7:
        given["voltage"] = 10 ** rng.uniform(0, 2)
    else:
        given["current_density"] = 10 ** rng.uniform(-5, -2)
    return given | ({"cells": cells} if cells else {})


def simulated(given, **more):
    """The same run by the package."""
    glass = cait.Glass(*(given[name] for name in (*GLASS, "temperature")))
    sed = cait.gaussian_sed(given["fwhm"])
    law = cait.activated_diffusivity(sed, given["D_bulk"], given["temperature"], given["occupancy"])
    drive = (
        cait.Voltage(given["voltage"])
        if "voltage" in given
        else cait.CurrentDensity(given["current_density"])
    )
    ions = {"Li": law, "M": given["D_foreign"]}
    until = cait.Charge(given["charge"])
    return cait.simulate(glass, ions, "Li", "M", drive, until, mesh=given.get("cells"), **more)


def recorded(monkeypatch, runs):
    """What ``runs()`` hands to `kernels.advance`, and what it gets back, bit by bit."""
    calls, real = [], kernels.advance

    def advance(
        p, x, state, knots, values, t_end, charge_end, tol, first, surface, moving, most, history
    ):
        given = {
            "cells": state.shape[0], "k": state.shape[1], "table": packed(p.table),
            "lam2": p.lam2, "beam": p.beam, "potentiostatic": int(p.potentiostatic),
            "x": packed(x), "state": packed(state), "drive": packed([*knots, *values]),
            "t_end": t_end, "charge_end": charge_end, "tol": tol, "first": first,
            "surface": surface, "most": most,
        }  # fmt: skip
        found = real(
            p, x, state, knots, values, t_end, charge_end, tol, first, surface, moving, most,
            history,
        )  # fmt: skip
        given["found"] = [packed(a) for a in (x, state, history[: found[1] + 1], found)]
        calls.append(given)
        return found

    with monkeypatch.context() as patch:
        patch.setattr(kernels, "advance", advance)
        runs()
    return calls


def two_and_three_ions(count, seed=16):
    """Random runs with one foreign ion, and a second one after half of them."""
    rng = np.random.default_rng(seed)
    for _ in range(count):
        given = problem(rng, int(rng.integers(24, 60)))
        try:
            first = simulated(given)
            if rng.random() < 0.5:
                law = cait.activated_diffusivity(
                    cait.gaussian_sed(given["fwhm"]), given["D_bulk"], first.glass.temperature, 0.9
                )
                ions = {"Li": law, "M": given["D_foreign"], "Q": 0.1 * given["D_foreign"]}
                cait.simulate(
                    first.glass, ions, "Li", "Q", cait.Voltage(20.0), cait.Charge(50.0),
                    start=first, mesh=given["cells"],
                )  # fmt: skip
        except cait.SimulationError:  # a coarse mesh may not do; its call counts all the same
            continue


@pytest.mark.skipif(**NO_BROWSER)
def test_the_module_and_numba_agree_to_the_last_bit(page, monkeypatch):
    """300 random calls of the time loop with two and three ions: nodes, state, history, verdict."""
    calls = recorded(monkeypatch, lambda: two_and_three_ions(220))[:300]
    assert len(calls) == 300
    assert sum(given["k"] == 3 for given in calls) > 50
    assert page.evaluate(ADVANCE, calls) == []


@pytest.mark.skipif(**NO_BROWSER)
def test_the_page_simulates_what_the_package_simulates(page):
    """`cait.simulate` in the page against `simulate(..., mesh=cells)`: 1e-9 of every number."""
    rng = np.random.default_rng(1)
    worst, compared = 0.0, 0
    for _ in range(60):
        given = problem(rng, int(rng.integers(40, 200)))
        there = page.evaluate(LISTS.format("simulate"), given)
        try:
            here = simulated(given)
        except cait.SimulationError:
            assert there["verdict"].startswith("not resolved")
            continue
        pairs = [
            (there["x"], here.x), (there["native"], here.fraction["Li"]),
            (there["foreign"], here.fraction["M"]), (there["time"], here.time),
            (there["charge"], here.charge), (there["current_density"], here.current_density),
            (there["voltage"], here.voltage), (there["front_depth"], here.front_depth),
            (there["plateau"], here.plateau),
        ]  # fmt: skip
        for one, two in pairs:
            off = np.abs(np.array(one) - two) / np.max(np.abs(two))
            worst = max(worst, float(np.max(off, initial=0.0)))
        compared += 1
    assert compared > 50
    assert worst < 1e-9


@pytest.mark.skipif(**NO_BROWSER)
def test_what_the_page_calls_resolved_is_within_a_permille(page):
    """200 random settings of the sliders against `simulate` at rtol = 2e-4."""
    rng = np.random.default_rng(3)
    resolved, worst = 0, 0.0
    for _ in range(200):
        given = problem(rng)
        there = page.evaluate(RESOLVED, given)
        if there["verdict"] != "resolved":
            assert there["verdict"].startswith("not resolved")
            continue
        resolved += 1
        here = simulated(given, rtol=2e-4)
        off = [there["time"] / here.time[-1] - 1]
        if here.front_depth > 0:
            off.append(there["front_depth"] / here.front_depth - 1)
            off.append((there["plateau"] - here.plateau) / max(here.plateau, 0.03))
        worst = max(worst, float(np.max(np.abs(off))))
    assert resolved > 150
    assert worst < 1e-3


@pytest.mark.skipif(**NO_BROWSER)
@pytest.mark.parametrize("filling", ["zero", "thermal"])
def test_the_landscape_of_the_page_is_that_of_the_package(page, filling):
    """Levels, D(y), t(y), the speeds in the fan, plateau and front of random landscapes."""
    rng = np.random.default_rng(5)
    for _ in range(3):
        q = {"fwhm": rng.uniform(0.1, 0.35), "occupancy": rng.uniform(0.7, 0.97)}
        q |= {"temperature": rng.uniform(273, 373), "ratio": 10 ** rng.uniform(-5, -2.5)}
        there = page.evaluate(LISTS.format("landscape"), q | {"thermal": filling == "thermal"})
        sed, warm = cait.gaussian_sed(q["fwhm"]), filling == "thermal"
        law = cait.activated_diffusivity(
            sed, 1.0, q["temperature"], q["occupancy"], filling=filling
        )
        front = cait.front(law, q["ratio"])
        assert there["plateau"] == pytest.approx(front.plateau, rel=1e-7)
        assert there["front_speed"] == pytest.approx(front.speed, rel=1e-7)
        y = np.array(there["fraction"])
        seen = (y > 1e-6) & (y < 1)
        y = y[seen]
        level = cait.fermi_level(sed, y, q["occupancy"], q["temperature"] if warm else 0.0)
        np.testing.assert_allclose(np.array(there["energy"])[seen], level, atol=1e-8)
        np.testing.assert_allclose(np.array(there["log_D"])[seen], np.log(law(y)), atol=1e-6)
        t = cait.fronts.transport(y, law, q["ratio"])[0]
        np.testing.assert_allclose(np.array(there["transference"])[seen], t, rtol=1e-6)
        behind = (y > 1e-4) & (y < front.plateau)
        fan = front.fan(np.array(there["speed"])[seen][behind])
        np.testing.assert_allclose(fan, y[behind], rtol=1e-4)


@pytest.mark.skipif(**NO_BROWSER)
def test_the_page_blurs_as_the_package_does(page):
    """A Gaussian resolution over slices of any width, before and behind the mesh as well."""
    rng = np.random.default_rng(6)
    x, y = np.sort(rng.uniform(0, 100e-9, 80)), rng.uniform(0, 1, 80)
    edges = np.cumsum(rng.uniform(0.2e-9, 3e-9, 90)) - 10e-9
    there = page.evaluate(BLUR, [x.tolist(), y.tolist(), edges.tolist(), 2.5e-9])
    here = cait.resolution.blur(x, y, edges, cait.resolution.gaussian_resolution(2.5e-9))
    np.testing.assert_allclose(there, here, atol=1e-12)


@pytest.mark.skipif(**NO_BROWSER)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"fwhm": 5}, "fwhm = 5 is not a number from 0.001 to 2 eV"),
        ({"temperature": None}, "temperature = null is not a number"),
        ({"voltage": 10, "current_density": 1e-3}, "either voltage or current_density"),
        ({"duration": 10}, "either charge or duration"),
        ({"charge": 1.1e6}, "charge = 1100000 is not a number"),
        ({"charge": 999000}, "charge = 999000 C/m\\^2 is more than nine tenths"),
        ({"cells": 40.5}, "cells = 40.5 is not a whole number"),
        ({"width": 1}, "width is none of thickness"),
    ],
)
def test_the_page_refuses_by_name(page, change, message):
    given = problem(np.random.default_rng(0)) | {"voltage": 10.0} | change
    if "current_density" not in change:
        given.pop("current_density", None)
    with pytest.raises(Exception, match=message):
        page.evaluate("simulate", given)


def test_a_module_that_would_ask_for_more_than_a_page_has_is_not_built():
    """A small object file that imports ``pow``: named, and no module."""
    body = b"".join([wasm.number(1), b"\x03env", b"\x03pow", b"\x00\x00"])
    module = b"\0asm\1\0\0\0" + wasm.number(wasm.IMPORT) + wasm.number(len(body)) + body
    with pytest.raises(SystemExit, match="would import pow"):
        wasm.loadable(module, [])


def test_the_module_is_small_and_imports_its_memory_alone():
    module = wasm.built()
    assert set(wasm.imported(module)) == {"__linear_memory", "__stack_pointer"}
    assert len(gzip.compress(module)) < 40_000


def test_two_builds_of_the_module_are_the_same_bytes(tmp_path):
    """A fresh one, in a folder and with a cache of its own, against the one that the pages have."""
    assert wasm.built(tmp_path) == wasm.built()
