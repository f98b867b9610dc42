"""The explorers: one set of pictures, chosen by sliders with and without a kernel."""

from __future__ import annotations

import json

import ipywidgets
import matplotlib.pyplot as plt
import pytest
from bs4 import BeautifulSoup
from hypothesis import given, settings
from hypothesis import strategies as st

from cait_helpers.teaching import Sweep, explore, explorers


def draw(width, height=1):
    plt.figure(figsize=(2, 1))
    plt.plot([0, width], [0, height])
    return f"A line to ({width}, {height})"


@pytest.fixture
def shown(monkeypatch):
    """What a cell would display: the mime bundles, in order."""
    bundles = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw: bundles.append(data))
    return bundles


def alts(html):
    return [image["alt"] for image in BeautifulSoup(html, "html.parser").find_all("img")]


def test_a_page_holds_one_picture_for_every_combination_and_the_last_slider_runs_fastest(shown):
    """Two and three values make six pictures, the first one visible."""
    explore(draw, width=[1, 2], height=[3, 4, 5])
    html = shown[0]["text/html"]
    assert alts(html) == [f"A line to ({w}, {h})" for w in (1, 2) for h in (3, 4, 5)]
    hidden = [image.has_attr("hidden") for image in BeautifulSoup(html, "html.parser")("img")]
    assert hidden == [False] + 5 * [True]


def test_without_its_script_a_page_offers_no_slider_that_does_nothing(shown):
    """The sliders are stored disabled, with a label, a text and the range of the values."""
    explore(draw, width={"1 nm": 1, "2 nm": 2, "3 nm": 3})
    page = BeautifulSoup(shown[0]["text/html"], "html.parser")
    (slider,) = page.find_all("input")
    assert slider.has_attr("disabled")
    assert [slider[name] for name in ("type", "min", "max", "value")] == ["range", "0", "2", "0"]
    assert slider.find_parent("label").get_text(strip=True) == "width"
    assert page.output.get_text() == slider["aria-valuetext"] == "1 nm"
    assert json.loads(slider["data-texts"]) == ["1 nm", "2 nm", "3 nm"]


def live(**choices):
    """The widget that a running kernel shows: its picture and its sliders."""
    options = explorers._validate(draw, choices)
    frames = explorers._frames(draw, options)
    picture, *sliders = explorers._widget(draw, choices, options, frames).children
    return picture, sliders, frames


def test_a_running_kernel_shows_the_same_pictures_as_the_page():
    """Moving the live sliders to (i, j) shows the picture that the page stores for (i, j)."""
    picture, sliders, frames = live(width=[1, 2], height=[3, 4, 5])
    for i in range(2):
        for j in range(3):
            sliders[0].value, sliders[1].value = i, j
            assert picture.value.startswith(frames[3 * i + j])
    assert [slider.description for slider in sliders] == ["width", "height"]


def test_a_sweep_is_computed_for_any_value_where_a_kernel_runs():
    """1.7 nm is not a frame of the page; the drawing function gets it in metres."""
    picture, (slider,), frames = live(width=Sweep((1, 2.5, 3), "nm", 1e-9))
    assert slider.description == "width / nm"
    assert picture.value.startswith(frames[0])
    slider.value = 1.7
    assert alts(picture.value) == ["A line to (1.7e-09, 1)"]
    assert picture.value.endswith('aria-live="polite">A line to (1.7e-09, 1)</p>')
    slider.value = 3
    assert picture.value.startswith(frames[2])


def test_a_sweep_and_a_choice_stand_side_by_side():
    picture, sliders, _ = live(width=Sweep((1, 2)), height=["low", "high"])
    sliders[0].value, sliders[1].value = 1.5, 1
    assert alts(picture.value) == ["A line to (1.5, high)"]


@pytest.mark.parametrize(
    ("frames", "kind"),
    [
        ((0, 100), ipywidgets.FloatSlider),
        ((1, 10), ipywidgets.FloatSlider),
        ((-100, 1), ipywidgets.FloatSlider),
        ((200, 2000, 20000), ipywidgets.FloatLogSlider),
    ],
)
def test_a_sweep_over_decades_has_a_logarithmic_slider(frames, kind):
    """It begins at the first frame and reaches the last one exactly, whatever the scale."""
    slider = Sweep(frames).slider()
    assert type(slider) is kind
    assert slider.value == pytest.approx(frames[0], rel=1e-12)
    slider.value = frames[-1]
    assert slider.value == pytest.approx(frames[-1], rel=1e-12)
    assert 50 <= (slider.max - slider.min) / slider.step <= 500.0001  # steps that an eye can follow


def test_a_picture_that_fails_says_why_in_its_place(monkeypatch):
    """Nobody would see what a callback raises; the next good value draws again."""

    def drawn(width):
        if width == 2:
            raise RuntimeError("no <convergence>")
        return draw(width)

    choices = {"width": Sweep((1, 3))}
    options = explorers._validate(drawn, choices)
    frames = explorers._frames(drawn, options)
    picture, slider = explorers._widget(drawn, choices, options, frames).children
    slider.value = 2
    assert picture.value == '<p role="alert">RuntimeError: no &lt;convergence&gt;</p>'
    slider.value = 1
    assert picture.value.startswith(frames[0])


def test_a_printed_book_has_the_first_picture(shown):
    """The same bytes that the page shows first."""
    explore(draw, width=[1, 2])
    first = BeautifulSoup(shown[0]["text/html"], "html.parser").img["src"]
    assert first == "data:image/png;base64," + shown[0]["image/png"]


def test_what_the_picture_shows_also_stands_below_it(shown):
    explore(draw, width=[1, 2])
    page = BeautifulSoup(shown[0]["text/html"], "html.parser")
    assert page.select_one(".explorer-says[aria-live]").get_text() == page.img["alt"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (((1,),), "at least two increasing"),
        (((2, 1),), "at least two increasing"),
        (((1, 1),), "at least two increasing"),
        (((1, float("nan")),), "frames = nan"),
        ((("a", "b"),), "frames"),
        (((1, 2), "nm", 0), "si = 0"),
    ],
)
def test_a_sweep_that_makes_no_slider_is_refused_by_name(arguments, message):
    with pytest.raises(ValueError, match=message):
        Sweep(*arguments)


def test_a_notebook_stores_a_text_that_does_not_change_from_run_to_run(shown):
    """The plain text is what nbval compares; the view holds a random model id."""
    for _ in range(2):
        explore(draw, width=Sweep((0.1, 0.25)))
    assert shown[0]["text/plain"] == shown[1]["text/plain"] == "Explorer of width: 0.1, 0.25"
    assert "application/vnd.jupyter.widget-view+json" in shown[0]


def test_drawing_leaves_no_figure_open_and_others_alone(shown):
    """A figure that was open before is still there, and the explorer's own are closed."""
    mine = plt.figure()
    explore(draw, width=[1, 2])
    assert plt.get_fignums() == [mine.number]


def test_a_drawing_that_fails_leaves_no_figure_open(shown):
    def broken(width):
        plt.figure()
        raise RuntimeError("no convergence")

    with pytest.raises(RuntimeError, match="no convergence"):
        explore(broken, width=[1, 2])
    assert plt.get_fignums() == []


# The text goes through an attribute and back, so nothing in it may end the attribute early.
@given(st.lists(st.text(min_size=1), min_size=2, max_size=5, unique=True))
@settings(deadline=None, derandomize=True)
def test_any_text_survives_the_page(texts):
    """The script reads from the page exactly the texts that were given."""
    texts = [text.replace("\r", " ").replace("\0", " ") for text in texts]  # HTML knows neither
    html = explorers._page({"width": dict.fromkeys(texts)}, ['<img alt="">'])
    page = BeautifulSoup(html, "html.parser")
    assert json.loads(page.input["data-texts"]) == list(dict.fromkeys(texts))


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({}, "one or two parameters"),
        ({"width": [1, 2], "height": [1, 2], "depth": [1, 2]}, "one or two parameters"),
        ({"width": [1]}, r"width = \[1\] offers 1 value"),
        ({"width": 3.0}, "width = 3.0 is neither"),
        ({"width": "12"}, "width = '12' is neither"),
        ({"width": [1.00001, 1.00002]}, "every value needs a text of its own"),
        ({"width": {"": 1, "two": 2}}, "every value needs a text of its own"),
        ({"width": range(7), "height": range(7)}, "49 pictures: at most 36"),
        ({"depth": [1, 2]}, "draw cannot be called with"),
    ],
)
def test_choices_that_make_no_explorer_are_refused_by_name(choices, message):
    with pytest.raises(ValueError, match=message):
        explore(draw, **choices)


def no_figure(width):
    return "nothing"


def two_figures(width):
    plt.figure()
    plt.figure()
    return "two"


def no_alt(width):
    plt.figure(figsize=(1, 1))


def blank_alt(width):
    plt.figure(figsize=(1, 1))
    return " "


@pytest.mark.parametrize(
    ("drawing", "message"),
    [
        (no_figure, "left 0 new figures"),
        (two_figures, "left 2 new figures"),
        (no_alt, "returned None"),
        (blank_alt, "returned ' '"),
    ],
)
def test_a_drawing_without_one_figure_and_its_alt_text_is_refused(drawing, message):
    with pytest.raises(ValueError, match=message):
        explore(drawing, width=[1, 2])
    assert plt.get_fignums() == []
