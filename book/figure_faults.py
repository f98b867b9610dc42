"""What lies over the data of a figure: legends and labels that hide a curve, or one another.

The build watches every figure that a chapter draws, each picture of an explorer included, and
leaves a list that the tests read (``_build/figures.jsonl``). The kernels of the chapters start
with `watch`, through the IPython profile that `install` writes.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np

FAULTS = "CAIT_FIGURE_FAULTS"  # the environment tells the kernels where to write
STARTUP = """import sys
sys.path.insert(0, {book!r})
import figure_faults
figure_faults.watch()
del sys.path[0]
"""


def faults(figure) -> list[str]:
    """Return what hides data in a drawn matplotlib figure, as sentences."""
    renderer = figure.canvas.get_renderer()
    found = []
    for axes in figure.axes:
        if not axes.get_visible():
            continue
        legend = axes.get_legend()
        boxes = [(f"legend of {_name(axes)}", legend.get_window_extent(renderer))] if legend else []
        labels = [
            (f"label {text.get_text()!r}", text.get_window_extent(renderer).padded(-1.5))
            for text in axes.texts
            if text.get_visible() and text.get_text().strip() and text.get_bbox_patch() is None
        ]
        sharing = [other for other in figure.axes if _overlap(other, axes)]
        for what, box in (*boxes, *labels):
            found += [
                f"{what} lies over {thing}" for other in sharing for thing in _hit(other, box)
            ]
        everything = [*boxes, *labels]
        found += [
            f"{one} lies over {other}"
            for k, (one, box) in enumerate(everything)
            for other, second in everything[k + 1 :]
            if box.width > 0 and second.width > 0 and box.overlaps(second)
        ]
    return found


def _overlap(one, other) -> bool:
    return one.get_visible() and one.get_window_extent().overlaps(other.get_window_extent())


def _name(axes) -> str:
    return repr(axes.get_title() or axes.get_ylabel() or axes.get_xlabel())


def _hit(axes, box) -> list[str]:
    """Return the curves and points of some axes that pass through a box, in display units."""
    found = []
    for line in axes.lines:
        if not line.get_visible() or _is_guide(line, axes):
            continue
        points = line.get_transform().transform(np.column_stack(line.get_data(orig=False)))
        if _passes(points, box, line.get_linestyle() not in ("None", "none", "")):
            found.append(f"the curve {line.get_label()!r}")
    for marks in axes.collections:
        offsets = marks.get_offsets()
        if marks.get_visible() and len(offsets) > 1 and not len(marks.get_paths()) > 1:
            points = marks.get_offset_transform().transform(np.asarray(offsets))
            if _passes(points, box, joined=False):
                found.append(f"the points {marks.get_label()!r}")
    return found


def _is_guide(line, axes) -> bool:
    """Tell lines that span the axes, drawn to be compared with, from data."""
    return line.get_transform() in (
        axes.get_xaxis_transform(which="grid"),
        axes.get_yaxis_transform(which="grid"),
    )


def _passes(points, box, joined: bool) -> bool:
    from matplotlib.path import Path as Outline

    points = points[np.isfinite(points).all(axis=1)]
    inside = (
        (points[:, 0] > box.x0)
        & (points[:, 0] < box.x1)
        & (points[:, 1] > box.y0)
        & (points[:, 1] < box.y1)
    )
    if inside.any():
        return True
    return joined and len(points) > 1 and Outline(points).intersects_bbox(box, filled=False)


def watch() -> None:
    """Note the faults of every figure that this kernel shows or saves."""
    from matplotlib.backend_bases import FigureCanvasBase

    draw = FigureCanvasBase.print_figure

    def print_figure(canvas, *args, **options):
        figure = canvas.figure
        outcome = draw(canvas, *args, **options)
        found = faults(figure) if hasattr(figure.canvas, "get_renderer") else []
        if found:
            note = {"where": os.environ.get("PWD", ""), "figure": _title(figure), "faults": found}
            with open(os.environ[FAULTS], "a", encoding="utf-8") as notes:
                notes.write(json.dumps(note) + "\n")
        return outcome

    FigureCanvasBase.print_figure = print_figure


def _title(figure) -> str:
    return ", ".join(f"{axes.get_xlabel()} | {axes.get_ylabel()}" for axes in figure.axes)


def install(build: Path) -> None:
    """Let the kernels that this process starts watch their figures."""
    profile = build / "ipython" / "profile_default" / "startup"
    profile.mkdir(parents=True, exist_ok=True)
    script = STARTUP.format(book=str(Path(__file__).parent))
    (profile / "00-figures.py").write_text(script, encoding="utf-8")
    notes = build / "figures.jsonl"
    notes.unlink(missing_ok=True)
    notes.touch()
    os.environ["IPYTHONDIR"] = str(build / "ipython")
    os.environ[FAULTS] = str(notes)
