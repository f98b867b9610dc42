"""Explorers between computed pictures, for what no solver of the page computes.

A chapter computes its picture, panels of curves and a sentence with numbers, on a grid of the
sliders' values. The page draws straight lines from node to node of the grid, and says how well
that does. The physics stays in the chapter, and the same panels make the picture on paper.
"""

from __future__ import annotations

import base64
import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .explorers import Sweep, _text, explore

COARSEST = 0.10  # of a panel's height: what every second node left out may move a curve by
_LEVELS = 65534  # of a stored number between the least and the greatest of its array; one is NaN
_COLOURS = ("k", "C0", "C1", "C2", "C4")  # of the hues of a page, book/assets/book.css
_LINES = ("-", "-", "--", "-.", "-")


@dataclass(frozen=True)
class Picture:
    """Panels, and the sentence that says what is seen in them.

    Parameters
    ----------
    panels : sequence of dict
        As `panel` makes them. Their number, names and axes may depend on what is chosen from a
        list, but not on what a slider sweeps over.
    says : str
        With ``{name}`` for a number or a setting, and ``{name%}`` for a share as a percentage.
    numbers : mapping of str to float
        The numbers of the sentence.
    """

    panels: Sequence[Mapping[str, Any]]
    says: str
    numbers: Mapping[str, float] = field(default_factory=dict)


def panel(
    x: tuple[str, float, float],
    y: tuple[str, float, float],
    *curves: Mapping[str, Any],
    title: str = "",
    log: str = "",
    share: float = 1.0,
) -> dict[str, Any]:
    """One panel: its axes as (label, low, high), those with powers of ten named in ``log``."""
    axes = {
        side: {"label": label, "low": low, "high": high, "log": side in log}
        for side, (label, low, high) in (("x", x), ("y", y))
    }
    return {**axes, "title": title, "share": share, "curves": list(curves)}


def curve(
    x: ArrayLike, y: ArrayLike, name: str = "", hue: int = 1, kind: str = "curve"
) -> dict[str, Any]:
    """A line through points; of ``kind`` "dashed" or "thin" as well, or "dots" without a line."""
    kinds = ("curve", "dashed", "thin", "dots")
    if kind not in kinds:
        raise ValueError(f"kind = {kind!r} is none of {', '.join(kinds)}")
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 1 or x.shape != y.shape:
        raise ValueError(f"x and y have the shapes {x.shape} and {y.shape}, not one and the same")
    return {"x": x, "y": y, "name": name, "hue": hue, "kind": kind}


def riding(
    x: ArrayLike, fronts: Sequence[float], width: ArrayLike, count: int = 24
) -> NDArray[np.float64]:
    """Places that go along with ``fronts``, so that a picture between two others has them between.

    From the first to the last of ``x``, ``count`` places between two fronts, close together where
    a curve bends into a front, and none within ``width`` of one: it is drawn as a straight line.
    """
    x = np.asarray(x, dtype=float)
    centres = np.asarray(fronts, dtype=float)
    sides = np.stack([centres - width, centres + width], axis=1).ravel()
    ends = np.maximum.accumulate(np.clip([x[0], *sides, x[-1]], x[0], x[-1]))
    shares = 0.5 - 0.5 * np.cos(np.linspace(0, np.pi, count))
    return np.concatenate([a + (b - a) * shares for a, b in ends.reshape(-1, 2)])


def explore_between(
    picture: Callable[..., Picture], name: str, /, **choices: Sweep | Mapping[str, Any] | Iterable
) -> None:
    """Show what ``picture`` draws under sliders that are continuous on the page as well.

    Parameters
    ----------
    picture : callable
        ``picture(**values)`` returns a `Picture`. It is called at every combination of the nodes
        of the sweeps and of what the lists offer.
    name : str
        Of the explorer, in the address of the page.
    **choices : Sweep, sequence, or mapping of str to value
        As in `explore`; the frames of a sweep are the nodes.

    Raises
    ------
    ValueError
        If the panels depend on a slider in anything but their numbers, or if the nodes are too
        far apart: if every second one left out would move a curve by more than a tenth of the
        height of its panel.
    """
    lists = {
        key: {text: value for text, value in _offers(given)}
        for key, given in choices.items()
        if not isinstance(given, Sweep)
    }

    def draw(**values: Any) -> str:
        found = picture(**values)
        drawn(found.panels)
        return _filled(found, _settings(choices, lists, values))

    data, off = tabulate(picture, choices, lists)
    counts = " × ".join(str(len(axis["nodes"])) for axis in data["axes"] if "nodes" in axis)
    note = (
        f"The page draws straight lines between {counts} computed settings. With every second "
        f"one left out no curve would move by more than {100 * off:.2g} % of its panel."
    )
    explore(draw, "table", data, name=name, note=note, **choices)


def _offers(given: Mapping[str, Any] | Iterable) -> list[tuple[str, Any]]:
    return list(given.items()) if isinstance(given, Mapping) else [(_text(v), v) for v in given]


def _settings(
    choices: Mapping[str, Any], lists: Mapping[str, Mapping[str, Any]], values: Mapping[str, Any]
) -> dict[str, Any]:
    """The settings as they stand at the sliders."""
    return {
        key: value / choices[key].si
        if isinstance(choices[key], Sweep)
        else next(text for text, one in lists[key].items() if one is value)
        for key, value in values.items()
    }


def _filled(found: Picture, settings: Mapping[str, Any]) -> str:
    numbers = {**settings, **found.numbers}

    def written(match: re.Match) -> str:
        value = numbers[match[1]]
        if isinstance(value, str):
            return value
        return f"{100 * value:.3g} %" if match[2] else f"{value:.3g}"

    return re.sub(r"\{(\w+)(%?)\}", written, found.says)


def drawn(panels: Sequence[Mapping[str, Any]]) -> None:
    """Draw panels side by side as a new figure, with the legend below."""
    import matplotlib.pyplot as plt

    shares = [one["share"] for one in panels]
    size = (6.4 if len(panels) == 1 else 7.2, 3.6)
    fig, axes = plt.subplots(1, len(panels), figsize=size, width_ratios=shares, squeeze=False)
    for ax, one in zip(axes[0], panels, strict=True):
        for each in one["curves"]:
            style = {"dots": "", "dashed": ":"}.get(each["kind"], _LINES[each["hue"]])
            ax.plot(
                each["x"], each["y"], style or "o", color=_COLOURS[each["hue"]],
                lw=0.8 if each["kind"] == "thin" else 1.8, ms=3, label=each["name"] or None,
            )  # fmt: skip
        for side in "xy":
            axis = one[side]
            ax.set(**{f"{side}label": axis["label"], f"{side}lim": (axis["low"], axis["high"])})
            if axis["log"]:
                ax.set(**{f"{side}scale": "log"})
        ax.set_title(one["title"])
    named = {}
    for ax in axes[0]:
        for handle, label in zip(*ax.get_legend_handles_labels(), strict=True):
            named.setdefault(label, handle)
    if named:
        fig.legend(named.values(), named, loc="outside lower center", ncols=min(len(named), 4))


def tabulate(
    picture: Callable[..., Picture],
    choices: Mapping[str, Any],
    lists: Mapping[str, Mapping[str, Any]],
) -> tuple[dict[str, Any], float]:
    """Return what the scene "table" of the page reads, and how far its nodes are apart.

    The distance is what leaving out every second node would move a curve by, as a share of its
    panel; of a sweep with two nodes, what the setting in the middle says.
    """
    sweeps = {key: one for key, one in choices.items() if isinstance(one, Sweep)}
    nodes = {
        key: [*one.frames] if len(one.frames) > 2 else [one.frames[0], _middle(one), one.frames[1]]
        for key, one in sweeps.items()
    }
    shape = tuple(map(len, nodes.values()))
    variants: list[dict[str, Any]] = []
    pool: dict[str, int] = {}  # an array that several of them draw is stored once
    worst = 0.0
    for offered in itertools.product(*(one.values() for one in lists.values())):
        chosen = dict(zip(lists, offered, strict=True))
        parts = []
        for place in itertools.product(*nodes.values()):
            at = dict(zip(sweeps, place, strict=True))
            swept = {key: float(f"{at[key] * one.si:.12g}") for key, one in sweeps.items()}
            parts.append(_apart(picture(**chosen, **swept)))
        layout, scales = parts[0][0], parts[0][2]
        if any(part[0] != layout for part in parts):
            raise ValueError(f"the panels at {chosen} do not have one layout at every setting")
        arrays = []
        for n, (low, high, log) in enumerate(scales):
            stacked = np.array([part[1][n] for part in parts]).reshape(*shape, -1)
            if log:
                stacked = np.log10(stacked)
            seen = np.clip(stacked, low, high)  # what lies outside of a panel is not drawn
            for axis, (key, at) in enumerate(nodes.items()):
                worst = max(worst, _distance(seen, axis, sweeps[key], at) / (high - low))
            text = json.dumps(_packed(stacked, log))
            arrays.append(pool.setdefault(text, len(pool)))
        variants.append({**layout, "arrays": arrays})
    if worst > COARSEST:
        raise ValueError(
            f"nodes = {[len(one) for one in nodes.values()]}: with every second one left out a "
            f"curve moves by {100 * worst:.2g} % of its panel, more than {100 * COARSEST:g} %"
        )
    axes = [
        {"name": key, "nodes": nodes[key], "log": one.logarithmic, "si": one.si}
        if isinstance(one, Sweep)
        else {"name": key, "texts": list(lists[key])}
        for key, one in choices.items()
    ]
    stored = [json.loads(text) for text in pool]
    return {"axes": axes, "variants": variants, "arrays": stored}, worst


def _middle(sweep: Sweep) -> float:
    low, high = sweep.frames
    return math.sqrt(low * high) if sweep.logarithmic else 0.5 * (low + high)


def _apart(found: Picture) -> tuple[dict[str, Any], list[NDArray], list[tuple]]:
    """Layout of a picture with the places of its arrays, these, and low, high, log of each."""
    arrays: list[NDArray] = []
    scales: list[tuple[float, float, bool]] = []

    def put(values: ArrayLike, low: float, high: float, log: bool) -> int:
        arrays.append(np.atleast_1d(np.asarray(values, dtype=float)))
        scales.append((*map(math.log10, (low, high)), log) if log else (low, high, log))
        return len(arrays) - 1

    panels = []
    for one in found.panels:
        ends = {side: [one[side][key] for key in ("low", "high", "log")] for side in "xy"}
        curves = [
            each | {side: put(each[side], *ends[side]) for side in "xy"} for each in one["curves"]
        ]
        panels.append({**one, "curves": curves})
    numbers = {key: put(value, -1e300, 1e300, False) for key, value in found.numbers.items()}
    return {"panels": panels, "says": found.says, "numbers": numbers}, arrays, scales


def _distance(stacked: NDArray, axis: int, sweep: Sweep, nodes: Sequence[float]) -> float:
    """How far the nodes of one axis lie from straight lines through their neighbours."""
    at = np.log(nodes) if sweep.logarithmic else np.asarray(nodes, dtype=float)
    rows = np.moveaxis(stacked, axis, 0)
    share = ((at[1:-1] - at[:-2]) / (at[2:] - at[:-2])).reshape(-1, *([1] * (rows.ndim - 1)))
    off = np.abs(rows[1:-1] - (1 - share) * rows[:-2] - share * rows[2:])
    return float(np.nanmax(off, initial=0.0))


def _packed(stacked: NDArray, log: bool) -> dict[str, Any]:
    """An array in steps of 1/65534 of its range, without the axes along which nothing varies."""
    size = list(stacked.shape[:-1])
    for axis, count in enumerate(size):
        first = np.take(stacked, [0], axis)
        if count > 1 and np.array_equal(np.broadcast_to(first, stacked.shape), stacked, True):
            stacked, size[axis] = first, 1
    low, high = (float(edge(stacked)) for edge in (np.nanmin, np.nanmax))
    steps = np.nan_to_num((stacked - low) / ((high - low) or 1.0) * _LEVELS, nan=_LEVELS + 1)
    data = base64.b64encode(np.round(steps).astype("<u2").tobytes()).decode()
    return {"low": low, "high": high, "log": log, "size": size, "data": data}
