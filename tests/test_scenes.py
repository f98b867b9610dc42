"""The explorers that compute, on a page of their own in a real browser, opened from a disk."""

from __future__ import annotations

import re
from dataclasses import replace

import matplotlib.pyplot as plt
import numpy as np
import page_script
import pytest
from browser import NO_BROWSER, open_browser
from slim import ROOT

import cait_helpers as cait
from cait_helpers import likelihood
from cait_helpers.teaching import Sweep, explorer_page, given
from cait_helpers.teaching.exercises import EXERCISES, answer_box, check

pytestmark = pytest.mark.skipif(**NO_BROWSER)

LAW = {"fwhm": 0.25, "occupancy": 0.9, "temperature": 323.15}
RUN = {"thickness": 0.5e-3, "ion_density": 1.38e28, "permittivity": 8.0, "D_bulk": 1e-18, **LAW}
RUN |= {"D_foreign": 1e-18 * 10**-4.19}
TITLES = "svg => [...svg.querySelectorAll('.title')].map(text => text.textContent)"
SAYS = ".explorer-says"
# One step of the slider for each of 120 frames.
DRAG = """async slider => {
  for (let n = 0; n < 120; n++) {
    slider.value = Math.round(Number(slider.max) * n / 119);
    slider.dispatchEvent(new Event('input', { bubbles: true }));
    await new Promise(requestAnimationFrame);
  }
}"""


def stored(**values):
    plt.figure(figsize=(4, 2))
    plt.plot([0, 1])
    return "The stored picture."


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The address of a page with the explorers of experiment, front and fit, and an answer box."""
    case = cait.read_case(ROOT / "data" / "rb_on_lbo.toml")
    numbers = given.measured_run(case, case.profile())
    run = {**RUN, "voltage": case.drive.value, "charge": case.charge}
    run.pop("D_foreign")
    parts = [
        explorer_page(
            stored, "experiment",
            {"run": RUN, "law": LAW | {"ratio": 10**-4.19}, "deep": 60e-9, "area": 2e-5},
            time=Sweep((1, 250), "h", 3600.0, start=60), voltage=Sweep((5, 20), "V", start=10),
        ),
        explorer_page(
            stored, "front", {"law": LAW}, log10_ratio=Sweep((-5.0, -2.0), start=-3.5),
            replaced=Sweep((10, 120), "nm", 1e-9, start=100),
        ),
        explorer_page(
            stored, "fit", numbers | {"run": run, "foreign": "rubidium"}, "Your own points",
            fwhm=Sweep((150, 350), "meV", 1e-3, start=270),
            log_ratio=Sweep((-5.2, -3.4), start=-4.19),
            D_bulk=Sweep((2e-19, 5e-18), "m²/s", start=1e-18),
            temperature=Sweep((313.15, 333.15), "K", start=323.15),
            depth_scale=Sweep((0.9, 1.1), start=1.0),
        ),
        explorer_page(
            stored, "passing", LAW, lithium_left=Sweep((0.02, 1.0), start=0.3),
        ),
        explorer_page(
            stored, "plateau", {"fwhm": 0.25, "occupancy": 0.9, "D_bulk": 1e-18,
                                "D_foreign": RUN["D_foreign"]},
            temperature=Sweep((273, 373), "K", start=323),
            filled={"sharply": "zero", "Fermi-Dirac": "thermal"},
        ),
        answer_box("voltage for a day"),
    ]  # fmt: skip
    page_script.write()
    css = (ROOT / "book" / "assets" / "book.css").as_uri()
    html = (
        '<!doctype html><html lang="en"><meta charset="utf-8"><title>.</title>'
        f'<link rel="stylesheet" href="{css}"><body>{"".join(parts)}'
        f'<script defer src="{page_script.TARGET.as_uri()}"></script></body></html>'
    )
    target = tmp_path_factory.mktemp("scenes") / "page.html"
    target.write_text(html, encoding="utf-8")
    return target.as_uri()


@pytest.fixture(scope="module")
def browser():
    with open_browser() as running:
        yield running


@pytest.fixture
def tab(browser, page):
    """The page, in which nothing may go wrong."""
    context = browser.new_context()
    tab, troubles = context.new_page(), []
    tab.set_default_timeout(20_000)
    tab.on("pageerror", lambda error: troubles.append(str(error)))
    tab.goto(page)
    yield tab
    context.close()
    assert troubles == []


def explorer(tab, name):
    found = tab.locator(f"#explorer-{name}")
    found.scroll_into_view_if_needed()
    found.locator("svg").wait_for()
    return found


def typed(control, value):
    control.fill(str(value))
    control.press("Enter")


def said(found, word):
    """Wait until the explorer says a word, and return the sentence."""
    found.locator(SAYS, has_text=word).wait_for()
    return found.locator(SAYS).inner_text()


def test_a_run_of_the_page_is_the_run_of_the_package(tab):
    """Front and plateau that the explorer reads out, against `simulate`, at typed settings."""
    found = explorer(tab, "experiment")
    typed(found.locator("input[type=number]").nth(0), 48)
    typed(found.locator("input[type=number]").nth(1), 15)
    sentence = said(found, "After 48 h at 15 V")
    law = cait.activated_diffusivity(cait.gaussian_sed(0.25), 1e-18, 323.15, 0.9)
    run = cait.simulate(
        cait.Glass(0.5e-3, 1.38e28, 8.0, 323.15), {"Li": law, "Rb": RUN["D_foreign"]}, "Li", "Rb",
        cait.Voltage(15.0), cait.Duration(48 * 3600.0),
    )  # fmt: skip
    assert f"front is {run.front_depth * 1e9:.3g} nm deep" in sentence
    assert f"{run.plateau * 100:.3g} % of the lithium is left" in sentence
    assert found.locator("svg").evaluate(TITLES) == ["profile", "current", "landscape at 60 nm"]
    assert found.locator("svg").get_attribute("aria-label") == sentence
    assert found.locator("img").is_hidden()


def test_the_misfit_of_a_measured_run_is_that_of_the_package(tab):
    """Chi-square, plateau and duration at typed settings of all parameters, against the fit's."""
    case = cait.read_case(ROOT / "data" / "rb_on_lbo.toml")
    profile = case.profile()
    found = explorer(tab, "fit")
    settings = {"fwhm": 240, "log_ratio": -4.1, "D_bulk": 8e-19, "temperature": 320}
    settings["depth_scale"] = 1.01
    for name, value in settings.items():
        typed(found.locator(f"#explorer-fit-{name} ~ input[type=number]"), value)
    law = cait.activated_diffusivity(cait.gaussian_sed(0.24), 8e-19, 320.0, 0.9)
    run = cait.simulate(
        replace(case.glass, temperature=320.0), {"Li": law, "Rb": 8e-19 * 10**-4.1}, "Li", "Rb",
        case.drive, cait.Charge(case.charge), rtol=2e-4,
    )  # fmt: skip
    square = np.mean([
        likelihood.poisson_residuals(profile.counts[ion], model)[profile.used] ** 2
        for ion, model in cait.fit.expected_counts(run, case, profile, 1.01).items()
    ])  # fmt: skip
    told = said(found, f"takes {run.time[-1] / 3600:.4g} h")
    chi_square, plateau = map(float, re.search(r"square ([\d.]+) .* of ([\d.]+) %", told).groups())
    assert chi_square == pytest.approx(square, rel=0.01)
    assert plateau == pytest.approx(100 * run.plateau, rel=0.01)


def test_the_levels_while_a_front_passes_are_those_of_the_package(tab):
    """The native level below that of the bulk, at a typed share; the handle moves the share."""
    found = explorer(tab, "passing")
    typed(found.locator("input[type=number]"), 0.1)
    level, bulk = cait.fermi_level(cait.gaussian_sed(0.25), (0.1, 1.0), 0.9)
    assert f"is {1e3 * (bulk - level):.3g} meV below" in said(found, "With 10 %")
    found.locator(".handle").scroll_into_view_if_needed()
    handle = found.locator(".handle").bounding_box()
    tab.mouse.move(handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2)
    tab.mouse.down()
    tab.mouse.move(handle["x"] + 60, handle["y"], steps=3)
    tab.mouse.up()
    found.locator(SAYS).get_by_text("With 10 %").wait_for(state="detached")
    assert float(found.locator("input[type=number]").input_value()) > 0.1


@pytest.mark.parametrize("filled", ["sharply", "Fermi-Dirac"])
def test_the_plateau_of_a_warmer_glass_is_that_of_the_package(tab, filled):
    found = explorer(tab, "plateau")
    found.locator("select").select_option(filled)
    typed(found.locator("input[type=number]"), 350)
    law = cait.activated_diffusivity(
        cait.gaussian_sed(0.25), 1e-18, 350.0, 0.9,
        filling="zero" if filled == "sharply" else "thermal",
    )  # fmt: skip
    plateau = 100 * cait.front(law, RUN["D_foreign"]).plateau
    word = "sharply" if filled == "sharply" else "Fermi and Dirac"
    found.locator(SAYS, has_text=word).wait_for()
    assert f"rubidium is at {plateau:.3g} %" in said(found, "At 350 K")


def test_settings_stand_in_the_address_and_a_link_carries_them(tab, page):
    found = explorer(tab, "front")
    typed(found.locator("input[type=number]").nth(0), -4.5)
    said(found, "−4.5")
    assert tab.evaluate("location.hash") == "#explorer-front:log10_ratio=-4.5"
    other = tab.context.new_page()
    other.goto(f"{page}#explorer-front:log10_ratio=-4.5&replaced=50")
    found = explorer(other, "front")
    assert "for 50 nm" in said(found, "−4.5")
    found.locator(".explorer-reset").click()
    assert "for 100 nm" in said(found, "−3.5")
    assert other.evaluate("location.hash") == "#explorer-front"


def test_a_number_out_of_range_is_brought_back_and_no_number_is_ignored(tab):
    found = explorer(tab, "front")
    box = found.locator("input[type=number]").nth(0)
    typed(box, -9)
    assert box.input_value() == "-5"
    typed(box, "")
    assert box.input_value() == "-5"


def test_own_points_are_drawn_and_a_line_that_is_none_is_named(tab):
    found = explorer(tab, "fit")
    found.locator("summary").click()
    text = found.locator("textarea")
    text.fill("depth / nm, fraction\n10, 0.05\n50; 0.06\n90\t0.07")
    found.locator("output", has_text="3 points.").wait_for()
    found.locator("svg text", has_text="yours").wait_for()
    text.fill("10, 0.05\n50, a few")
    found.locator("output", has_text="Line 2 of the numbers").wait_for()
    found.locator("svg text", has_text="yours").wait_for(state="detached")


def test_a_slider_that_is_dragged_faster_than_runs_are_made_ends_where_it_is_left(tab):
    """120 settings in as many frames: what is overtaken is dropped, the last one is drawn."""
    found = explorer(tab, "experiment")
    found.locator("input[type=range]").nth(0).evaluate(DRAG)
    assert "at 10 V" in said(found, "After 250 h")
    assert tab.evaluate("cait.solver.queue.size") == 0


def stands(found, reason):
    """The stored picture is there, and a line says why."""
    found.locator(".explorer-note", has_text=reason).wait_for()
    assert found.locator("img").is_visible()
    assert found.locator("svg").is_hidden()
    assert found.locator(SAYS).inner_text() == "The stored picture."


def test_when_the_worker_is_killed_the_stored_picture_stands_and_a_line_says_so(tab):
    found = explorer(tab, "front")
    tab.evaluate("cait.solver.patience = 500; cait.solver.worker.terminate()")
    typed(found.locator("input[type=number]").nth(0), -4)
    stands(found, "no answer")
    assert found.locator("input[type=range]").nth(0).is_disabled()


def test_after_a_trap_the_stored_picture_stands_until_the_next_answer(tab):
    found = explorer(tab, "front")
    tab.evaluate("cait.solver.failing = true")
    typed(found.locator("input[type=number]").nth(0), -4)
    stands(found, "unreachable")
    tab.evaluate("cait.solver.failing = false")
    typed(found.locator("input[type=number]").nth(0), -4.2)
    said(found, "−4.2")
    assert found.locator("svg").is_visible()
    assert found.locator(".explorer-note").is_hidden()


def test_without_webassembly_the_stored_picture_stands_and_a_line_says_so(browser, page):
    tab = browser.new_context().new_page()
    tab.add_init_script("delete globalThis.WebAssembly")
    tab.goto(page)
    found = tab.locator("#explorer-front")
    found.locator(".explorer-note", has_text="WebAssembly").wait_for()
    assert found.locator("img").is_visible()
    assert all(field.is_disabled() for field in found.locator("input, button").all())


def test_a_call_that_is_overtaken_gives_null_and_the_newest_is_answered(tab):
    tab.wait_for_function("window.cait")
    answers = tab.evaluate(
        "law => Promise.all([0.2, 0.21, 0.22].map(fwhm =>"
        " cait.solver.call('landscape', { ...law, fwhm, ratio: 1e-4 }, 'mine')"
        ".then(found => found && found.plateau)))",
        LAW,
    )
    assert answers[1] is None
    assert answers[2] > 0


def test_what_is_no_run_is_refused_by_name_in_the_console(tab):
    tab.wait_for_function("window.cait")
    refusal = tab.evaluate(
        "run => cait.simulate({ ...run, voltage: 10, charge: 100, fwhm: -1 })"
        ".catch(error => [error.message, error.refused])",
        RUN,
    )
    assert refusal == ["fwhm = -1 is not a number from 0.001 to 2 eV", True]


def test_an_answer_on_the_page_gets_what_check_says(tab):
    right = EXERCISES["voltage for a day"].answer()
    box = tab.locator(".answer")
    for factor in (1.0, 1.01, 1.1, 0.9, 0.0587):
        typed(box.locator("input"), right * factor)
        box.locator("input").blur()
        assert box.locator("output").inner_text() == check("voltage for a day", right * factor)


@pytest.mark.parametrize("width", [1000, 375])
def test_letters_are_large_enough_and_nothing_sticks_out(browser, page, width):
    tab = browser.new_context(viewport={"width": width, "height": 700}).new_page()
    tab.goto(page)
    found = explorer(tab, "experiment")
    sizes = found.evaluate(
        "root => [...root.querySelectorAll('svg text')].map(t => parseFloat(getComputedStyle(t)"
        ".fontSize))"
    )
    assert np.min(sizes) >= 11
    assert tab.evaluate("document.documentElement.scrollWidth") <= width
