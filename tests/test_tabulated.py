"""Explorers between computed pictures: what is stored, how well it does, and what is refused."""

from __future__ import annotations

import base64
import json

import matplotlib.pyplot as plt
import numpy as np
import page_script
import pytest
from browser import NO_BROWSER, open_browser
from bs4 import BeautifulSoup

from cait_helpers.teaching import Sweep
from cait_helpers.teaching import tabulated as tab

X = np.linspace(0, 1, 5)


def lines(kind="sum", slope=1.0, rise=0.0):
    """A straight line whose numbers depend on both settings, linear in each."""
    sign = 1 if kind == "sum" else -1
    y = slope * X + sign * rise + slope * rise * X
    return tab.Picture(
        [tab.panel(("x", 0, 1), ("y", -5, 5), tab.curve(X, y, "line"), tab.curve(X, X, hue=0))],
        "{kind} of {slope} and {rise}: {end}, or {end%}.",
        {"end": y[-1]},
    )


CHOICES = {
    "kind": ["sum", "difference"],
    "slope": Sweep((1, 2, 3), "mm", 1e-3),
    "rise": Sweep((0.01, 0.1, 1)),
}
LISTS = {"kind": {"sum": "sum", "difference": "difference"}}


def metres(kind, slope, rise):
    return lines(kind, 1e3 * slope, np.log10(rise))


def stored(packed):
    steps = np.frombuffer(base64.b64decode(packed["data"]), "<u2").reshape(*packed["size"], -1)
    return packed["low"] + (packed["high"] - packed["low"]) * steps / 65534


def test_every_number_is_stored_to_a_part_of_its_range_in_65534():
    data, off = tab.tabulate(metres, CHOICES, LISTS)
    assert off == pytest.approx(0, abs=1e-12)
    for variant, kind in zip(data["variants"], LISTS["kind"], strict=True):
        packed = data["arrays"][variant["arrays"][variant["panels"][0]["curves"][0]["y"]]]
        assert packed["size"] == [3, 3]
        for n, slope in enumerate((1, 2, 3)):
            for m, rise in enumerate((-2, -1, 0)):
                want = lines(kind, slope, rise).panels[0]["curves"][0]["y"]
                step = (packed["high"] - packed["low"]) / 65534
                np.testing.assert_allclose(stored(packed)[n, m], want, atol=0.51 * step)


def test_what_does_not_depend_on_a_slider_is_stored_once():
    """The places of all curves are one array, without the axes of the sliders."""
    data, _ = tab.tabulate(metres, CHOICES, LISTS)
    first, second = data["variants"]
    curves = [*first["panels"][0]["curves"], *second["panels"][0]["curves"]]
    places = {first["arrays"][curve["x"]] for curve in curves}
    assert len(places) == 1
    assert data["arrays"][places.pop()]["size"] == [1, 1]


def test_nodes_that_are_too_far_apart_are_refused():
    """A parabola from 0 to 4 in a panel of height 10: its middle lies a tenth and more off."""

    def curved(slope):
        y = np.full(5, slope**2)
        return tab.Picture([tab.panel(("x", 0, 1), ("y", 0, 9), tab.curve(X, y))], "{slope}")

    with pytest.raises(ValueError, match="every second one left out"):
        tab.tabulate(curved, {"slope": Sweep((0, 1, 2))}, {})
    _, off = tab.tabulate(curved, {"slope": Sweep((0, 0.5, 1, 1.5, 2))}, {})
    assert off == pytest.approx(0.25 / 9)
    _, off = tab.tabulate(curved, {"slope": Sweep((0, 1))}, {})  # the middle is computed
    assert off == pytest.approx(0.25 / 9)


def test_panels_that_depend_on_a_slider_are_refused():
    def changing(slope):
        return tab.Picture([tab.panel(("x", 0, slope), ("y", 0, 1), tab.curve(X, X))], "")

    with pytest.raises(ValueError, match="one layout"):
        tab.tabulate(changing, {"slope": Sweep((1, 2, 3))}, {})


@pytest.mark.parametrize(
    ("x", "y", "kind", "message"),
    [(X, X[1:], "curve", "shapes"), (X, X, "wavy", "kind = 'wavy'")],
)
def test_a_curve_that_is_none_is_refused_by_name(x, y, kind, message):
    with pytest.raises(ValueError, match=message):
        tab.curve(x, y, kind=kind)


def test_between_two_pictures_a_front_lies_between():
    """Fronts at 20 and 40 nm: the mean of both pictures has one front, at 30."""
    x = np.linspace(0, 100, 101)
    places = [tab.riding(x, [front], 1.0) for front in (20.0, 40.0)]
    steps = [np.interp(at, x, x > front) for at, front in zip(places, (20, 40), strict=True)]
    place, y = np.mean(places, axis=0), np.mean(steps, axis=0)
    assert np.interp(0.5, y, place) == pytest.approx(30, abs=1)
    assert set(np.round(y[np.abs(place - 30) > 2], 6)) == {0.0, 1.0}


def test_a_kernel_shows_the_picture_and_the_sentence_of_any_setting(monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: shown.append(data))
    tab.explore_between(metres, "two-lines", **CHOICES)
    page = BeautifulSoup(shown[0]["text/html"], "html.parser")
    assert page.select_one(".explorer")["id"] == "explorer-two-lines"
    assert page.img["alt"] == "sum of 1 and 0.01: -3, or -300 %."
    note = page.select_one(".explorer-source").get_text()
    assert "between 3 × 3 computed settings" in note
    assert json.loads(page.select_one(".explorer")["data-given"])["axes"][0]["texts"]
    assert plt.get_fignums() == []


# The scripts of the page without their Worker, so that their functions are at hand.
@pytest.fixture(scope="module")
def scripts():
    parts = [page_script.SOURCES / name for name in ("client.js", "plot.js", "scenes.js")]
    text = "\n".join(part.read_text(encoding="utf-8") for part in parts)
    with open_browser() as browser:
        page = browser.new_page()
        page.add_script_tag(content=f'const MODULE = "", WORKER = "";\n{text}')
        yield page


@pytest.mark.skipif(**NO_BROWSER)
def test_the_page_draws_what_lies_between_the_nodes(scripts):
    """Linear in the slope and in the logarithm of the rise: exact but for the steps of storage."""
    data, _ = tab.tabulate(metres, CHOICES, LISTS)
    data = json.loads(json.dumps(data))
    rng = np.random.default_rng(2)
    for kind in LISTS["kind"]:
        for slope, rise in zip(rng.uniform(1, 3, 5), rng.uniform(-2, 0, 5), strict=True):
            values = {"kind": kind, "slope": slope * 1e-3, "rise": 10**rise}
            found = scripts.evaluate("([values, data]) => table(values, data)", [values, data])
            want = lines(kind, slope, rise)
            there = found["panels"][0]["curves"][0]
            np.testing.assert_allclose(there["y"], want.panels[0]["curves"][0]["y"], atol=2e-4)
            np.testing.assert_allclose(there["x"], X, atol=2e-5)
            end = want.numbers["end"]
            assert found["says"].startswith(f"{kind} of {slope:.3g} and ")
            assert float(found["says"].split(": ")[1].split(",")[0].replace("−", "-")) == (
                pytest.approx(end, rel=6e-3, abs=2e-3)
            )


@pytest.mark.skipif(**NO_BROWSER)
def test_the_residuals_of_the_page_are_those_of_counts(scripts):
    """Signed roots of Poisson's deviance as the fit has them, where nothing was counted as well."""
    from cait_helpers.likelihood import poisson_residuals

    rng = np.random.default_rng(4)
    expected = 10 ** rng.uniform(-2, 4, 400)
    counts = np.append(0.0, rng.poisson(expected[1:]))
    there = scripts.evaluate("([c, m]) => residuals(c, m)", [counts.tolist(), expected.tolist()])
    want = poisson_residuals(counts, expected)
    np.testing.assert_allclose(there, want, rtol=1e-9, atol=1e-6)


@pytest.mark.skipif(**NO_BROWSER)
@pytest.mark.parametrize("thermal", [False, True])
def test_the_sites_of_the_page_are_those_of_the_landscape(scripts, thermal):
    """Density and filling that the page draws, against `gaussian_sed` and the Fermi function."""
    import cait_helpers as cait
    from cait_helpers.landscape import BOLTZMANN, SIGMA_PER_FWHM

    sed, kT = cait.gaussian_sed(0.25), BOLTZMANN * 323.15
    y = np.linspace(0.01, 1, 300)
    levels = cait.fermi_level(sed, y, 0.9)
    land = {
        "fraction": y.tolist(), "energy": levels.tolist(), "bulk": float(levels[-1]),
        "kT": kT, "sigma": 0.25 * float(SIGMA_PER_FWHM),
    }  # fmt: skip
    found = scripts.evaluate(
        "([land, thermal]) => Object.fromEntries(Object.entries(filled(land, 0.3, thermal))"
        ".map(([name, value]) => [name, value.length ? [...value] : value]))",
        [land, thermal],
    )
    energy = np.array(found["meV"]) / 1e3 + levels[-1]
    np.testing.assert_allclose(found["density"], sed.pdf(energy), rtol=1e-9, atol=1e-12)
    level = found["level"] / 1e3 + levels[-1]
    share = 1 / (1 + np.exp((energy - level) / kT)) if thermal else energy <= level
    np.testing.assert_allclose(found["occupied"], sed.pdf(energy) * share, rtol=1e-9, atol=1e-12)
    assert level == pytest.approx(float(cait.fermi_level(sed, 0.3, 0.9)), abs=2e-4)
