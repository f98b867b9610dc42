"""The map of the book: its chapters as a drawing whose boxes are links, and paths through it."""

from __future__ import annotations

import textwrap
from html import escape

from openings import Opening, read
from slim import chapters

# Who reads, and which chapters in which order.
PATHS = {
    "a student who is new to it": (
        *("experiment", "landscape", "discretisation", "front"),
        *("counts_to_profiles", "fit", "haven"),
    ),
    "a teacher with four sessions": ("experiment", "landscape", "front", "fit"),
    "a SIMS laboratory with a profile": (
        *("experiment", "counts_to_profiles", "fit", "identifiability", "your_profiles", "trust"),
    ),
    "a reader of the paper": ("front", "fit", "onsager", "haven", "ledger", "trust"),
}
BOX, GAP, ROW = (132, 80), 10, 128  # width and height of a box, pixels between boxes, and rows


def rows(openings: list[Opening]) -> list[list[Opening]]:
    """Return the chapters in rows, each one below all that it needs; few lines cross."""
    names = {opening.name: opening for opening in openings}
    depth: dict[str, int] = {}
    for opening in openings:  # in reading order nothing is needed that comes later
        depth[opening.name] = max((depth[n] + 1 for n in opening.needed if n in names), default=0)
    found: list[list[Opening]] = [[] for _ in range(max(depth.values()) + 1)]
    for opening in openings:
        found[depth[opening.name]].append(opening)
    place = {o.name: k - len(row) / 2 for row in found for k, o in enumerate(row)}
    for row in found[1:]:
        needs = {o.name: [place[n] for n in o.needed if n in names] for o in row}
        row.sort(key=lambda o: sum(needs[o.name]) / len(needs[o.name]))
        place |= {o.name: k - len(row) / 2 for k, o in enumerate(row)}
    return found


def direct(openings: list[Opening]) -> dict[str, list[str]]:
    """Return what each chapter needs and none of its needs needs already."""
    names = {opening.name for opening in openings}
    needs = {o.name: [n for n in o.needed if n in names] for o in openings}

    def behind(name: str) -> set[str]:
        return {n for need in needs[name] for n in (need, *behind(need))}

    return {
        name: [n for n in needed if not any(n in behind(other) for other in needed)]
        for name, needed in needs.items()
    }


def _box(opening: Opening, corner: tuple[float, float], order: int) -> str:
    (x, y), (width, height) = corner, BOX
    paths = " ".join(f"path-{k}" for k, path in enumerate(PATHS.values()) if opening.name in path)
    lines = textwrap.wrap(opening.title.split(":")[0], 20)
    middle = x + width / 2
    spans = "".join(
        f'<tspan x="{middle:g}" y="{y + 18 + 15 * k:g}">{escape(line)}</tspan>'
        for k, line in enumerate(lines)
    )
    return (
        f'<a href="{opening.name}.html" class="{paths}"><title>{order}. '
        f"{escape(plain(opening.question))}</title>"
        f'<rect x="{x:g}" y="{y:g}" width="{width}" height="{height}" rx="7"/>'
        f"<text>{spans}<tspan class='minutes' x='{middle:g}' y='{y + height - 7:g}'>"
        f"{opening.minutes} min</tspan></text></a>"
    )


def plain(question: str) -> str:
    """A question as a tooltip can show it."""
    return question.replace("{cite:t}`gunawan2024`", "the paper").replace("*", "")


def drawing() -> str:
    """Return the map as HTML: radio buttons for the paths, and the drawing."""
    openings = list(map(read, chapters()))
    layers, (width, height) = rows(openings), BOX
    widest = max(map(len, layers))
    total = widest * (width + GAP) + GAP
    corner = {
        o.name: ((total - len(row) * (width + GAP) + GAP) / 2 + k * (width + GAP), 8 + n * ROW)
        for n, row in enumerate(layers)
        for k, o in enumerate(row)
    }
    lines = []
    for name, needs in direct(openings).items():
        x, y = corner[name]
        for needed in needs:
            u, v = corner[needed]
            start, end = (u + width / 2, v + height), (x + width / 2, y)
            bend = (end[1] - start[1]) / 2
            lines.append(
                f'<path d="M{start[0]:g} {start[1]:g} C{start[0]:g} {start[1] + bend:g} '
                f'{end[0]:g} {end[1] - bend:g} {end[0]:g} {end[1]:g}"/>'
            )
    boxes = [_box(o, corner[o.name], n) for n, o in enumerate(openings, start=1)]
    minutes = {o.name: o.minutes for o in openings}
    choices = [f"everything, {sum(minutes.values()) / 60:.0f} hours"]
    choices += [f"{who}, {_hours(sum(minutes[n] for n in path))}" for who, path in PATHS.items()]
    radios = "".join(
        f'<label><input type="radio" name="path" id="choice-{k - 1}"{" checked" * (not k)}> '
        f"{escape(choice)}</label>"
        for k, choice in enumerate(choices)
    )
    return (
        f'<div class="book-map"><fieldset><legend>Show the path for</legend>{radios}</fieldset>'
        '<div class="book-map-sheet" tabindex="0" role="group" aria-label="Map of the chapters">'
        f'<svg viewBox="0 0 {total} {len(layers) * ROW - ROW + height + 16}">'
        f'<g class="needs">{"".join(lines)}</g>{"".join(boxes)}</svg></div></div>'
    )


def _hours(minutes: int) -> str:
    return f"{minutes} minutes" if minutes < 90 else f"{minutes / 60:.1f} hours"


def paths() -> str:
    """Return the paths as a Markdown list, in words, for paper and for screen readers."""
    titles = {o.name: o for o in map(read, chapters())}
    return "\n".join(
        f"- **{who[0].upper()}{who[1:]}** ({_hours(sum(titles[n].minutes for n in path))}): "
        + ", ".join(f"{{doc}}`{n}`" for n in path)
        + "."
        for who, path in PATHS.items()
    )
