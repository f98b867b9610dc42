"""Explorers: a figure under one or two sliders, in JupyterLab, on the built page and on paper.

One call stores three forms of the same figure. A running kernel offers ipywidgets sliders, and a
`Sweep` is computed for any value while its slider moves. The built page has no kernel and no
network: ``<input type=range>`` and a few lines of script (``book/assets/book.js``) choose among
the pictures that were drawn when the cell ran. Without the script, and in a printed book, the
first picture stands.
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

    Raises
    ------
    ValueError
        If there are fewer than two frames, if they do not increase, or if ``si`` is not positive.
    """

    frames: tuple[float, ...]
    unit: str = ""
    si: float = 1.0

    def __post_init__(self) -> None:
        frames = tuple(map(float, require_all("frames", self.frames, -LARGEST, LARGEST)))
        if len(frames) < 2 or not all(a < b for a, b in itertools.pairwise(frames)):
            raise ValueError(f"frames = {self.frames!r}: at least two increasing values are needed")
        require("si", self.si, *POSITIVE)
        object.__setattr__(self, "frames", frames)

    def text(self, number: float) -> str:
        """A value as it stands on the page."""
        return f"{number:.4g} {self.unit}".rstrip()

    def slider(self) -> ipywidgets.FloatSlider | ipywidgets.FloatLogSlider:
        """A live slider from the first frame to the last, whose number can be typed as well."""
        import ipywidgets

        low, high = self.frames[0], self.frames[-1]
        if 0 < low * _LOGARITHMIC <= high:
            kind, low, high, step = (
                ipywidgets.FloatLogSlider,
                math.log10(low),
                math.log10(high),
                0.01,
            )
        else:
            kind, step = ipywidgets.FloatSlider, 10.0 ** math.floor(math.log10((high - low) / 50))
        return kind(self.frames[0], min=low, max=high, step=step, readout_format=".4g")


def explore(draw: Callable[..., str], **choices: Sweep | Iterable[Any] | Mapping[str, Any]) -> None:
    """Show the figure that ``draw`` makes, with a slider for each of its parameters.

    Parameters
    ----------
    draw : callable
        ``draw(**values)`` draws one new matplotlib figure, does not show it, and returns its alt
        text: a sentence that says what is seen there. It also stands below the picture.
    **choices : Sweep, sequence, or mapping of str to value
        One or two parameters of ``draw`` with the values on offer, in the order of the slider. A
        `Sweep` is continuous where a kernel runs. A mapping gives each value a text. The name
        of the parameter, underscores read as spaces, labels the slider.

    Raises
    ------
    ValueError
        If there are not one or two parameters of ``draw`` with at least two values each, if two
        values read the same, if there are more than 36 pictures, or if ``draw`` does not leave
        exactly one new figure and return its alt text.
    """
    from IPython.display import display  # here, because `import cait_helpers` does without it

    options = _validate(draw, choices)
    frames = _frames(draw, options)
    data = _widget(draw, choices, options, frames)._repr_mimebundle_()
    data["text/html"] = _page(options, frames)
    data["image/png"] = frames[0].partition("base64,")[2].partition('"')[0]
    data["text/plain"] = "\n".join(
        f"Explorer of {_label(name)}: {', '.join(texts)}" for name, texts in options.items()
    )
    display(data, raw=True)


def explorer_page(draw: Callable[..., str], **choices: Any) -> str:
    """Return the HTML of an explorer, for a page that no cell makes; arguments as `explore`."""
    options = _validate(draw, choices)
    return _page(options, _frames(draw, options))


def _validate(draw: Callable[..., str], choices: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return for each parameter its values by their text, or raise ValueError."""
    if len(choices) not in (1, 2):
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
    if count > MOST_FRAMES:
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


def _frames(draw: Callable[..., str], options: dict[str, dict[str, Any]]) -> list[str]:
    """Draw the picture of every combination, the last parameter running fastest."""
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
    stored = dict(zip(itertools.product(*places), frames, strict=True))

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
