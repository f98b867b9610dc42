"""The entries of one run as widgets, with the words about each beneath it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w

from .advice import Evaluation, evaluate, guess_channels
from .cases import element
from .entries import GROUPS, IONS, QUANTITIES, TEXTS, Note, Quantity, in_unit
from .exports import Recording, read_sims
from .tables import SimsError, read_current
from .teaching.presets import systems

_WORDS = {"wrong": "✗ ", "look": "? ", "missing": "Needed: ", "assumed": "Assumed: ", "read": ""}


@dataclass(frozen=True, eq=False)
class Dropped:
    """A file as it was dropped: kept under its own name, told by its content."""

    path: Path
    kind: str  # "case", "profile", "current", or "" for what cannot be read
    words: str
    recording: Recording | None = None


def look_into(path: Path) -> Dropped:
    """Tell by its content what a file is, and put in words what was found."""
    if path.suffix.lower() == ".toml":
        return Dropped(path, "case", "a case file")
    try:
        record = read_current(path)
        end = record.time[-1] / 3600
        return Dropped(path, "current", f"a recorded current of {end:.4g} h")
    except ValueError as error:
        no_current = str(error)
    try:
        recording = read_sims(path)
    except SimsError as error:
        table = "current" in path.name.lower()
        words = (no_current if table else str(error)).replace(f"{path.parent}/", "")
        return Dropped(path, "", words)
    cycles = max(time.size for time in recording.time.values())
    words = (
        f"{recording.format}, {cycles} cycles, {recording.total_time:.4g} s, channels"
        f" {', '.join(recording.channels)}"
    )
    return Dropped(path, "profile", words, recording)


class Entry:
    """One entry: what is typed or chosen (``value``), its ``unit`` if any, and the words beneath.

    A menu if ``quantity`` is None; else a text, with a menu of units if it is a quantity.
    """

    def __init__(self, label: str, hint: str, quantity: Quantity | str | None, heard: Callable):
        self.quantity, self.unit, self.words = quantity, None, w.HTML()
        if quantity is None:
            self.value = w.Dropdown(options=[("choose", "")])
        else:
            self.value = w.Text(continuous_update=False)
        self.value.description, self.value.tooltip = label, hint
        self.value.style.description_width = "8.5rem"
        self.value.layout.width = "24.4rem"
        row = [self.value]
        if isinstance(quantity, Quantity):
            self.value.layout.width = "17rem"
            self.unit = w.Dropdown(options=list(quantity.units), description=f"Unit of: {label}")
            self.unit.layout.width = "7.2rem"
            self.unit.add_class("cait-unit")
            row.append(self.unit)
        for widget in row:
            widget.layout.max_width = "98%"
            widget.observe(heard, "value")
        self.box = w.VBox([w.HBox(row), self.words])
        self.box.layout.margin = "0 0 .2rem 0"

    def say(self, notes: list[Note], proposed: float | None) -> None:
        """Show words, and what is taken (SI) where nothing is typed."""
        self.words.value = "".join(
            f'<div class="cait-note cait-{note.kind}">{_WORDS[note.kind]}{escape(note.words)}</div>'
            for note in notes
        )
        if self.unit is not None:
            known = proposed is not None
            self.value.placeholder = (
                in_unit(proposed, self.quantity, self.unit.value) if known else ""
            )

    def offer(self, options: list[tuple[str, str]], value: str) -> None:
        """Set the options of a menu, and the one chosen."""
        options = [("choose", ""), *options]
        if list(self.value.options) != options:
            self.value.options = options
        self.value.value = value if value in [v for _, v in options] else ""


class RunForm:
    """The entries of one run, what they come to, and their widgets.

    Attributes
    ----------
    entry : dict of str to Entry
        By key of the case file; ``entry[key].value.value`` is the text, ``.unit.value`` the unit.
    result : Evaluation
    """

    def __init__(self, folder: Path, changed: Callable[[RunForm], None]):
        self.folder, self.quiet, self.kept = folder, False, {}
        self.result = Evaluation(())
        folder.mkdir(parents=True)

        def heard(change: object) -> None:
            if not self.quiet:
                changed(self)

        self.entry = {key: Entry(*words, "", heard) for key, words in TEXTS.items()}
        self.entry |= {
            "profile": Entry("SIMS export", "One of the dropped files.", None, heard),
            "current": Entry("Recorded current", "One of the dropped files.", None, heard),
        }
        for key, label in IONS.items():
            self.entry[key] = Entry(label, "Channel of the export.", None, heard)
        for key, quantity in QUANTITIES.items():
            self.entry[key] = Entry(quantity.label, quantity.hint, quantity, heard)
        self.fill({"glass.permittivity": "8"}, {})
        known = [
            (f"{s['origin']['ion_density'].removeprefix('chosen: ')}", f"{s['ion_density']:g}")
            for s in systems().values()
        ]
        self.preset = w.Dropdown(
            description="Composition", options=[("own value below", ""), *known],
            style={"description_width": "8.5rem"},
            layout={"width": "24.4rem", "max_width": "98%"},
        )  # fmt: skip

        def preset(change: Mapping[str, Any]) -> None:
            if change["new"]:
                self.fill({"glass.ion_density": change["new"]}, {"glass.ion_density": "m⁻³"})
                changed(self)

        self.preset.observe(preset, "value")
        elements = [key for key in TEXTS if key.startswith("ions.")]
        columns = [["title", "profile", "current", *IONS, *elements]]
        columns += [[key for key, q in QUANTITIES.items() if q.group == g] for g in GROUPS]
        columns[-1].append("sims.leave_out")
        heads = ["Files and channels", *GROUPS.values()]
        files, glass, run, sims = (
            [w.HTML(f"<h3>{head}</h3>"), *(self.entry[key].box for key in keys)]
            for head, keys in zip(heads, columns, strict=True)
        )
        glass.insert(1, self.preset)
        self.box = w.Box([w.VBox(files + run), w.VBox(glass + sims)])
        self.box.layout.flex_flow, self.box.layout.grid_gap = "row wrap", "0 2.5rem"

    @property
    def text(self) -> dict[str, str]:
        """The texts as they stand, by key."""
        return {key: row.value.value for key, row in self.entry.items()}

    @property
    def unit(self) -> dict[str, str]:
        """The units as chosen, by key."""
        return {key: row.unit.value for key, row in self.entry.items() if row.unit is not None}

    @property
    def profile(self) -> str:
        """The chosen export, or nothing."""
        return self.entry["profile"].value.value

    @property
    def current(self) -> str:
        """The chosen record of the current, or nothing."""
        return self.entry["current"].value.value

    @property
    def name(self) -> str:
        """What the run is called in menus."""
        return element(self.text["ions.foreign"]) or "new run"

    def fill(self, text: Mapping[str, str], unit: Mapping[str, str]) -> None:
        """Set entries, as if they were typed."""
        self.quiet = True
        for key, row in self.entry.items():
            if key in unit and row.unit is not None:
                row.unit.value = unit[key]
            if key in text:
                row.value.value = text[key]
        self.quiet = False

    def choose(self, files: Mapping[str, Dropped], **chosen: str) -> None:
        """Offer the files, and of the export that is chosen its channels, guessed at first.

        ``profile`` and ``current`` choose among the files, by their labels.
        """
        self.quiet = True
        for kind in ("profile", "current"):
            names = [(label, label) for label, file in files.items() if file.kind == kind]
            self.entry[kind].offer(names, chosen.get(kind, self.text[kind]))
        file = files.get(self.text["profile"])
        channels = file.recording.channels if file else ()
        ions = {key: self.text[key] for key in IONS}
        if file and not any(ions.values()):
            ions = guess_channels(file.recording)
        for key in IONS:
            self.entry[key].offer([(c, c) for c in channels], ions.get(key, ""))
        self.quiet = False

    def evaluate(self, files: Mapping[str, Dropped]) -> None:
        """Write, read and normalise; put the words where they belong."""
        text = self.text
        for kind in ("profile", "current"):
            if text[kind]:
                source = files[text[kind]].path
                text[kind] = source.name
                if kind == "current" and text["profile"] == source.name:
                    text[kind] = f"current {source.name}"
                (self.folder / text[kind]).write_bytes(source.read_bytes())
        result = evaluate(self.folder / "case.toml", text, self.unit, self.kept)
        more = []
        if self.kept:
            keys = ", ".join(self.kept)
            more.append(Note("profile", "read", f"As the case file states them: {keys}."))
        if self.preset.value and self.preset.value == text["glass.ion_density"]:
            of = f"{self.preset.value} m⁻³, of {self.preset.label}."
            more.append(Note("glass.ion_density", "assumed", of))
        self.result = replace(result, notes=(*result.notes, *more))
        for key, row in self.entry.items():
            notes = [note for note in self.result.notes if note.key == key]
            row.say(notes, self.result.proposed.get(key))
