"""Explorers: a figure under sliders, in JupyterLab, on the built page and on paper.

One call stores three forms of the same figure. A running kernel offers ipywidgets sliders, and a
`Sweep` is computed for any value while its slider moves. The built page has no kernel and no
network. With a ``scene`` it computes as well: a script of the book (``book/page/scenes.js``) asks
the package's own kernels, compiled for the browser, and draws. Without one, ``<input type=range>``
and a few lines of script (``book/assets/book.js``) choose among the pictures that were drawn when
the cell ran. Without a script, and in a printed book, the first picture stands.
"""

from __future__ import annotations

import base64
import inspect
import io
import itertools
import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipywidgets

from ..checks import LARGEST, POSITIVE, require, require_all

MOST_FRAMES = 36  # every frame is stored in the page, at about 12 kB
_STEPS = 500  # of a slider on a page that computes
_LOGARITHMIC = 20.0  # the slider of a sweep from one value to so many times as much


@dataclass(frozen=True)
class Sweep:
    """A quantity to explore: some of its values on the page, and any in between with a kernel.

    Parameters
    ----------
    frames : sequence of float
        The values that the page offers, at least two, increasing, in ``unit``.
    unit : str
        What stands behind the number on the page; may be empty.
    si : float
        One ``unit`` in the unit that the drawing function expects, for example 1e-9 for nm.
    start : float, optional
        The value that an explorer with a scene opens at, in ``unit``; else the first frame.

    Raises
    ------
    ValueError
        If there are fewer than two frames, if they do not increase, if ``si`` is not positive, or
        if ``start`` lies outside the frames.
    """

    frames: tuple[float, ...]
    unit: str = ""
    si: float = 1.0
    start: float | None = None

    def __post_init__(self) -> None:
        frames = tuple(map(float, require_all("frames", self.frames, -LARGEST, LARGEST)))
        if len(frames) < 2 or not all(a < b for a, b in itertools.pairwise(frames)):
            raise ValueError(f"frames = {self.frames!r}: at least two increasing values are needed")
        require("si", self.si, *POSITIVE)
        start = frames[0] if self.start is None else self.start
        start = require("start", start, frames[0], frames[-1])
        object.__setattr__(self, "frames", frames)
        object.__setattr__(self, "start", float(start))

    @property
    def logarithmic(self) -> bool:
        """Whether the slider goes by powers of ten."""
        return 0 < self.frames[0] * _LOGARITHMIC <= self.frames[-1]

    def text(self, number: float) -> str:
        """A value as it stands on the page."""
        return f"{number:.4g} {self.unit}".rstrip()

    def slider(self) -> ipywidgets.FloatSlider | ipywidgets.FloatLogSlider:
        """A live slider from the first frame to the last, whose number can be typed as well."""
        import ipywidgets

        low, high = self.frames[0], self.frames[-1]
        if self.logarithmic:
            kind, low, high, step = (
                ipywidgets.FloatLogSlider,
                math.log10(low),
                math.log10(high),
                0.01,
            )
        else:
            kind, step = ipywidgets.FloatSlider, 10.0 ** math.floor(math.log10((high - low) / 50))
        return kind(self.start, min=low, max=high, step=step, readout_format=".4g")


def explore(
    draw: Callable[..., str],
    scene: str = "",
    given: Mapping[str, Any] | None = None,
    own: str = "",
    name: str = "",
    note: str = "",
    **choices: Sweep | Iterable[Any] | Mapping[str, Any],
) -> None:
    """Show the figure that ``draw`` makes, with a slider for each of its parameters.

    Parameters
    ----------
    draw : callable
        ``draw(**values)`` draws one new matplotlib figure, does not show it, and returns its alt
        text: a sentence that says what is seen there. It also stands below the picture.
    scene : str
        Name of the scene that draws the same on the page, for any value of a `Sweep`. Only the
        opening picture is stored then.
    given : mapping, optional
        Numbers and lists of numbers that the scene needs besides the sliders.
    own : str
        What readers may paste on the page to be drawn beside the model; nothing if empty.
    name : str
        Of the explorer in the address of the page, if not that of its scene.
    note : str
        What stands below the controls of a scene; nothing if empty.
    **choices : Sweep, sequence, or mapping of str to value
        One or two parameters of ``draw`` (any number with a scene) with the values on offer, in
        the order of the slider. A `Sweep` is continuous where a kernel runs. A mapping gives each
        value a text. The name of the parameter, underscores read as spaces, labels the slider.

    Raises
    ------
    ValueError
        If there are not one or two parameters of ``draw`` with at least two values each, if two
        values read the same, if there are more than 36 pictures, or if ``draw`` does not leave
        exactly one new figure and return its alt text.
    """
    from IPython.display import display  # here, because `import cait_helpers` does without it

    options = _validate(draw, choices, scene)
    frames = _frames(draw, options, scene, choices)
    data = _widget(draw, choices, options, frames)._repr_mimebundle_()
    data["text/html"] = (
        _computed_page(scene, given or {}, own, name or scene, note, choices, options, frames[0])
        if scene
        else _page(options, frames)
    )
    data["image/png"] = frames[0].partition("base64,")[2].partition('"')[0]
    data["text/plain"] = "\n".join(
        f"Explorer of {_label(parameter)}: {_offer(choices[parameter], texts, scene)}"
        for parameter, texts in options.items()
    )
    display(data, raw=True)


def explorer_page(
    draw: Callable[..., str],
    scene: str = "",
    given: Mapping[str, Any] | None = None,
    own: str = "",
    name: str = "",
    note: str = "",
    **choices: Any,
) -> str:
    """Return the HTML of an explorer, for a page that no cell makes; arguments as `explore`."""
    options = _validate(draw, choices, scene)
    frames = _frames(draw, options, scene, choices)
    if scene:
        settings = given or {}, own, name or scene, note
        return _computed_page(scene, *settings, choices, options, frames[0])
    return _page(options, frames)


def _offer(choice: Any, texts: Mapping[str, Any], scene: str) -> str:
    if scene and isinstance(choice, Sweep):
        return f"{choice.frames[0]:.4g} to {choice.text(choice.frames[-1])}"
    return ", ".join(texts)


def _validate(
    draw: Callable[..., str], choices: dict[str, Any], scene: str = ""
) -> dict[str, dict[str, Any]]:
    """Return for each parameter its values by their text, or raise ValueError."""
    if not choices or (len(choices) > 2 and not scene):
        raise ValueError(f"choices = {sorted(choices)}: one or two parameters are allowed")
    options = {}
    for name, given in choices.items():
        if isinstance(given, Sweep):
            given = {given.text(number): number * given.si for number in given.frames}
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise ValueError(f"{name} = {given!r} is neither a sequence nor a mapping of values")
        values = list(given.values() if isinstance(given, Mapping) else given)
        texts = list(given) if isinstance(given, Mapping) else [_text(value) for value in values]
        if len(values) < 2:
            raise ValueError(f"{name} = {given!r} offers {len(values)} value(s): at least 2 needed")
        if len(set(texts)) < len(texts) or not all(isinstance(t, str) and t for t in texts):
            raise ValueError(f"{name} = {texts}: every value needs a text of its own")
        options[name] = dict(zip(texts, values, strict=True))
    count = math.prod(map(len, options.values()))
    if count > MOST_FRAMES and not scene:
        raise ValueError(f"choices make {count} pictures: at most {MOST_FRAMES} are allowed")
    try:
        inspect.signature(draw).bind(**options)
    except TypeError as error:
        raise ValueError(f"draw cannot be called with {sorted(options)}: {error}") from None
    return options


def _text(value: Any) -> str:
    return format(value, ".4g") if isinstance(value, float) else str(value)


def _label(name: str) -> str:
    return name.replace("_", " ")


def _frames(
    draw: Callable[..., str],
    options: dict[str, dict[str, Any]],
    scene: str = "",
    choices: Mapping[str, Any] | None = None,
) -> list[str]:
    """Draw the picture of every combination, the last parameter running fastest; or the opening."""
    if scene:
        opening = {
            name: _rounded(choice.start * choice.si)
            if isinstance(choice := choices[name], Sweep)
            else next(iter(texts.values()))
            for name, texts in options.items()
        }
        return [_frame(draw, opening)]
    return [
        _frame(draw, dict(zip(options, values, strict=True)))
        for values in itertools.product(*(option.values() for option in options.values()))
    ]


def _frame(draw: Callable[..., str], values: dict[str, Any]) -> str:
    """Draw one picture and return it as an ``<img>`` element with its alt text."""
    import matplotlib.pyplot as plt
    from PIL import Image

    before = set(plt.get_fignums())
    try:
        alt = draw(**values)
        new = [number for number in plt.get_fignums() if number not in before]
        if len(new) != 1:
            raise ValueError(
                f"draw left {len(new)} new figures for {values}, not one: it must not show or close"
            )
        if not isinstance(alt, str) or not alt.strip():
            raise ValueError(f"draw returned {alt!r} for {values}, not the alt text of its figure")
        picture = io.BytesIO()
        plt.figure(new[0]).savefig(picture, format="png")
    finally:
        for number in set(plt.get_fignums()) - before:
            plt.close(number)
    # 64 colours do for line drawings, at a third of the size.
    reduced = io.BytesIO()
    Image.open(picture).convert("RGB").quantize(64).save(reduced, format="png", optimize=True)
    source = base64.b64encode(reduced.getvalue()).decode()
    return f'<img alt="{escape(alt.strip())}" src="data:image/png;base64,{source}">'


def _widget(
    draw: Callable[..., str],
    choices: dict[str, Any],
    options: dict[str, dict[str, Any]],
    frames: list[str],
) -> ipywidgets.Widget:
    """Return the sliders and the picture for a notebook with a running kernel."""
    import ipywidgets

    picture = ipywidgets.HTML(frames[0] + _says(frames[0]))
    sliders, places = {}, []
    for name, given in choices.items():
        if isinstance(given, Sweep):
            slider, place = given.slider(), given.frames
            slider.description = _label(name) + (given.unit and f" / {given.unit}")
        else:
            place = tuple(range(len(options[name])))
            slider = ipywidgets.SelectionSlider(
                options=list(zip(options[name], place, strict=True)), description=_label(name)
            )
        slider.style.description_width = "initial"
        slider.layout.width = "30em"
        sliders[name] = slider
        places.append(place)
    places = list(itertools.product(*places))
    if len(frames) == 1:  # of the opening
        places = [tuple(_rounded(slider.value) for slider in sliders.values())]
    stored = dict(zip(places, frames, strict=True))

    def show(_change: object) -> None:
        place = tuple(_rounded(slider.value) for slider in sliders.values())
        values = {
            name: _rounded(at * given.si)
            if isinstance(given, Sweep)
            else [*options[name].values()][at]
            for (name, given), at in zip(choices.items(), place, strict=True)
        }
        try:
            frame = stored.get(place) or _frame(draw, values)
            picture.value = frame + _says(frame)
        except Exception as error:  # shown, since nobody sees what a callback raises
            message = f"{type(error).__name__}: {error}"
            picture.value = f'<p role="alert">{escape(message)}</p>'

    for slider in sliders.values():
        slider.observe(show, names="value")
    return ipywidgets.VBox([picture, *sliders.values()])


def _says(frame: str) -> str:
    """The alt text of a picture as a sentence below it."""
    alt = frame.partition('alt="')[2].partition('"')[0]  # escaped already
    return f'<p class="explorer-says" aria-live="polite">{alt}</p>'


def _rounded(number: float) -> float:
    """Twelve digits: a logarithmic slider says 200.00000000000003."""
    return number if isinstance(number, int) else float(f"{number:.12g}")


def _page(options: dict[str, dict[str, Any]], frames: list[str]) -> str:
    """Return the sliders and all pictures for a page without a kernel."""
    pictures = [frames[0], *(frame.replace("<img ", "<img hidden ", 1) for frame in frames[1:])]
    controls = []
    for name, texts in options.items():
        first, *_ = texts
        controls.append(
            f'<div class="explorer-control"><label>{escape(_label(name))} <input type="range" '
            f'min="0" max="{len(texts) - 1}" step="1" value="0" autocomplete="off" disabled '
            f'data-texts="{escape(json.dumps(list(texts)))}" aria-valuetext="{escape(first)}">'
            f"</label><output>{escape(first)}</output></div>"
        )
    label = " and ".join(_label(name) for name in options)
    return (
        f'<div class="explorer" role="group" aria-label="Explorer of {escape(label)}">'
        f"{''.join(pictures)}{_says(frames[0])}"
        f"{''.join(controls)}</div>"
    )


def _computed_page(
    scene: str,
    given: Mapping[str, Any],
    own: str,
    title: str,
    note: str,
    choices: Mapping[str, Any],
    options: Mapping[str, Mapping[str, Any]],
    frame: str,
) -> str:
    """Return the controls of a scene and its opening picture, for a page that computes."""
    controls = []
    for name, texts in options.items():
        choice, label = choices[name], escape(_label(name))
        field = f"explorer-{title}-{name}"
        if isinstance(choice, Sweep):
            low, high = choice.frames[0], choice.frames[-1]
            kind, ends = "linear", (low, high, choice.start)
            if choice.logarithmic:
                kind, ends = "log", tuple(map(math.log10, ends))
            place = round(_STEPS * (ends[2] - ends[0]) / (ends[1] - ends[0]))
            unit = escape(choice.unit)
            controls.append(
                f'<div class="explorer-control" data-name="{name}" data-scale="{kind}" '
                f'data-low="{low!r}" data-high="{high!r}" data-start="{choice.start!r}" '
                f'data-si="{choice.si!r}" data-unit="{unit}">'
                f'<label for="{field}">{label}</label><input type="range" id="{field}" '
                f'min="0" max="{_STEPS}" step="1" value="{place}" autocomplete="off" disabled>'
                '<input type="number" step="any" autocomplete="off" '
                f'value="{choice.start:.6g}" aria-label="{label}{unit and f" in {unit}"}" disabled>'
                f"<span>{unit}</span></div>"
            )
        else:
            offers = "".join(f"<option>{escape(text)}</option>" for text in texts)
            controls.append(
                f'<div class="explorer-control" data-name="{name}"><label for="{field}">{label}'
                f'</label><select id="{field}" autocomplete="off" disabled>{offers}</select></div>'
            )
    pasted = own and (
        f'<details class="explorer-own"><summary>{escape(own)}</summary><p>It stays in this page: '
        "nothing is sent anywhere.</p><textarea rows="
        f'"4" spellcheck="false" aria-label="{escape(own)}" disabled></textarea>'
        "<output></output></details>"
    )
    source = note and f'<p class="explorer-source">{escape(note)}</p>'
    names = " and ".join(_label(name) for name in options)
    return (
        f'<div class="explorer" id="explorer-{title}" role="group" data-scene="{scene}" '
        f'aria-label="Explorer of {escape(names)}" data-given="{escape(json.dumps(given))}">'
        f"{frame}{_says(frame)}"
        '<p class="explorer-note" role="status" hidden></p>'
        f'{"".join(controls)}<button type="button" class="explorer-reset" disabled>Reset</button>'
        f"{source}{pasted}</div>"
    )
