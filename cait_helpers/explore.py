"""Explorers: a figure under one or two sliders, in JupyterLab and on the built page alike.

Every picture is drawn when the cell runs. In JupyterLab ipywidgets sliders choose among them; the
built page, which has no kernel and no network, does the same with ``<input type=range>`` and a few
lines of script (``book/assets/explorer.js``). Without the script the first picture stands.
"""

from __future__ import annotations

import base64
import inspect
import io
import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from html import escape
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import ipywidgets

MOST_FRAMES = 36  # every frame is stored in the page, at about 12 kB


def explore(draw: Callable[..., str], **choices: Iterable[Any] | Mapping[str, Any]) -> None:
    """Show the figure that ``draw`` makes, with a slider for each of its parameters.

    Parameters
    ----------
    draw : callable
        ``draw(**values)`` draws one new matplotlib figure, does not show it, and returns its alt
        text: a sentence that says what is seen there.
    **choices : sequence, or mapping of str to value
        One or two parameters of ``draw`` with the values on offer, in the order of the slider. A
        mapping gives the text of each value, with its unit: ``fwhm={"250 meV": 0.250}``. The name
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
    frames = [
        _frame(draw, dict(zip(options, values, strict=True)))
        for values in itertools.product(*(option.values() for option in options.values()))
    ]
    widget = _widget(options, frames)
    data = widget._repr_mimebundle_()
    data["text/html"] = _page(options, frames)
    data["text/plain"] = "\n".join(
        f"Explorer of {_label(name)}: {', '.join(texts)}" for name, texts in options.items()
    )
    display(data, raw=True)


def _validate(draw: Callable[..., str], choices: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Return for each parameter its values by their text, or raise ValueError."""
    if len(choices) not in (1, 2):
        raise ValueError(f"choices = {sorted(choices)}: one or two parameters are allowed")
    options = {}
    for name, given in choices.items():
        if isinstance(given, str) or not isinstance(given, Iterable):
            raise ValueError(f"{name} = {given!r} is neither a sequence nor a mapping of values")
        values = list(given.values() if isinstance(given, Mapping) else given)
        texts = list(given) if isinstance(given, Mapping) else [_text(value) for value in values]
        if len(values) < 2:
            raise ValueError(f"{name} = {given!r} offers {len(values)} value(s): at least 2 needed")
        if len(set(texts)) < len(texts) or not all(isinstance(t, str) and t for t in texts):
            raise ValueError(f"{name} = {texts}: every value needs a text of its own")
        options[name] = dict(zip(texts, values, strict=True))
    count = len(list(itertools.product(*options.values())))
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


def _widget(options: dict[str, dict[str, Any]], frames: list[str]) -> ipywidgets.Widget:
    """Return the sliders and the picture for a notebook with a running kernel."""
    import ipywidgets

    picture = ipywidgets.HTML(frames[0])
    sliders = [
        ipywidgets.SelectionSlider(
            options=[(text, index) for index, text in enumerate(texts)],
            description=_label(name),
            style={"description_width": "initial"},
        )
        for name, texts in options.items()
    ]

    def show(_change: object) -> None:
        chosen = 0
        for slider in sliders:
            chosen = chosen * len(slider.options) + slider.value
        picture.value = frames[chosen]

    for slider in sliders:
        slider.observe(show, names="value")
    return ipywidgets.VBox([picture, *sliders])


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
        f"{''.join(pictures)}{''.join(controls)}</div>"
    )
