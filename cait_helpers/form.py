"""The form for own files: from a dropped export to a saved report, in JupyterLab or as a web page.

What the entries mean, and the words about them, are those of `entries`; here are the widgets, the
figures between them, and the thread in which a fit runs so that it can be stopped.
"""

from __future__ import annotations

import base64
import itertools
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from html import escape
from pathlib import Path
from typing import Any

import ipywidgets as w
from IPython.display import display

from .budget import error_budget
from .checks import require
from .entries import IONS, QUANTITIES, entries_of
from .families import FAMILIES
from .figures import channels_figure, check_figure, landscape_figure, steps_figure
from .fit import fit_landscape
from .likelihood import FREE_OCCUPANCY
from .report import save_report
from .report_page import budget_section, numbers, picture
from .run_form import Dropped, RunForm, look_into

_STYLE = """
.cait-bench {font-family: var(--jp-ui-font-family, sans-serif); max-width: 66rem;}
.cait-bench h2 {font-size: 1.25rem; margin: 1.2rem 0 .3rem;}
.cait-bench h3 {font-size: 1rem; margin: .6rem 0 .2rem;}
.cait-bench p, .cait-bench ul {margin: .2rem 0; line-height: 1.45; font-size: .875rem;}
.cait-bench .widget-html-content, .cait-bench .jupyter-widget-html-content {line-height: 1.45;}
.cait-bench img {max-width: 100%; height: auto; background: white;}
.cait-unit label {position: absolute; width: 1px !important; height: 1px; overflow: hidden;
  clip-path: inset(50%);}
.cait-bench a {color: var(--jp-content-link-color, #00609c); text-decoration: underline;}
.cait-drop {border: 2px dashed #6b7280; border-radius: .5rem; padding: .8rem; text-align: center;}
.cait-drop.over {background: rgba(0, 110, 180, .15);}
.cait-note {font-size: .8rem; line-height: 1.35; padding: 0 0 .3rem .6rem; max-width: 24rem;}
.cait-wrong {color: #a40000; border-left: 3px solid #a40000;}
.cait-look {color: #7a4b00; border-left: 3px solid #b87300;}
.cait-missing, .cait-assumed, .cait-read {color: #4b5563; border-left: 3px solid #9ca3af;}
.cait-checks {list-style: none; padding-left: .3rem;}
.cait-result {font-size: 1rem;}
.cait-result table {border-collapse: collapse; font-size: .875rem;}
.cait-result td, .cait-result th {padding: .15rem .6rem; text-align: left;
  border-bottom: 1px solid #d1d5db;}
[data-jp-theme-light="false"] .cait-wrong {color: #ff9b9b;}
[data-jp-theme-light="false"] .cait-look {color: #ffcf7d;}
[data-jp-theme-light="false"] :is(.cait-missing, .cait-assumed, .cait-read) {color: #c3c8d0;}
"""

# A dropped file goes the way of a chosen one: through the hidden input of the button.
_DROP = """
event.preventDefault(); this.classList.remove('over');
const files = event.dataTransfer.files, click = HTMLInputElement.prototype.click;
HTMLInputElement.prototype.click = function () {
  this.files = files; this.dispatchEvent(new Event('change'));
};
this.closest('.cait-bench').querySelector('.widget-upload').click();
HTMLInputElement.prototype.click = click;
"""

# The slider has a label that no screen reader connects with its handle; and a key pressed in the
# form is meant for the form, not for JupyterLab's shortcuts.
_NAMES = """<img alt="" hidden src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="
onload="const bench = this.closest('.cait-bench');
bench.setAttribute('data-lm-suppress-shortcuts', 'true');
const name = () => bench.querySelectorAll('[role=slider]:not([aria-label])').forEach(
  handle => handle.setAttribute('aria-label', 'Left out below the surface, in nm'));
name(); new MutationObserver(name).observe(bench, {childList: true, subtree: true});">"""


def workbench(*files: str | Path, report_folder: str | Path | None = None) -> Workbench:
    """Show the form: files in, a site energy distribution with its errors and a report out.

    Parameters
    ----------
    *files : path
        Exports, recorded currents and case files that are there already, as if dropped.
    report_folder : path, optional
        Where reports are saved, each in a folder of its own; here by default.

    Returns
    -------
    Workbench
        Which the notebook shows. ``bench.fit`` is the last fit, ``bench.cases`` what was fitted.
    """
    bench = Workbench(Path(report_folder).expanduser() if report_folder else Path.cwd())
    folders: dict[Path, list[Path]] = {}  # one at a time: names may repeat
    for path in map(Path, files):
        folders.setdefault(path.parent, []).append(path)
    for paths in folders.values():
        bench.add(*((path.name, path.read_bytes()) for path in paths))
    return bench


class Stopped(Exception):
    """Raised in the thread of a fit by its progress, when the stop button was pressed."""


class Workbench:
    """The form; made by `workbench`.

    Attributes
    ----------
    runs : list of RunForm
    fit : LandscapeFit or None
        Of the entries as they stand; None after any of them has changed.
    budget : object or None
        The error budget of ``fit``.
    box : ipywidgets.Widget
    """

    def __init__(self, report_folder: Path):
        self._place = tempfile.TemporaryDirectory(prefix="cait-")
        self.folder = Path(self._place.name)
        self.report_folder = report_folder
        self.files: dict[str, Dropped] = {}
        self.runs: list[RunForm] = []
        self.fit = self.budget = self._thread = None
        self._number, self._quiet, self._drawn = 0, False, ()
        self._build()
        self._new_run()
        self._show_runs()
        self._refresh(self.shown)

    def _ipython_display_(self) -> None:
        display(self.box)

    # --- the widgets ---

    def _build(self) -> None:
        self.upload = w.FileUpload(multiple=True, description="Choose files")
        self.upload.layout.width = "10rem"
        self.upload.observe(self._uploaded, "value")
        self.drop = w.HTML(
            f'<div class="cait-drop" ondrop="{escape(_DROP)}" ondragover="event.preventDefault();'
            " this.classList.add('over')\" ondragleave=\"this.classList.remove('over')\">Drop the"
            " SIMS exports here, with the recorded currents and case files if there are any.</div>"
        )
        self.listing = w.HTML()
        self.which = w.Dropdown(description="Run shown", options=[("1", 0)])
        self.which.observe(self._chosen, "value")
        self.another = w.Button(description="Add a run")
        self.another.on_click(lambda _: self._add_run())
        self.remove = w.Button(description="Remove this run")
        self.remove.on_click(lambda _: self._remove_run())
        self.form = w.VBox()
        self.steps = w.HTML()
        self.transient = w.FloatSlider(
            min=0, max=50, step=0.5, description="Left out / nm", continuous_update=False,
            style={"description_width": "8.5rem"}, layout={"width": "min(30rem, 95%)"},
        )  # fmt: skip
        self.transient.observe(self._band_moved, "value")
        self.checks = w.HTML()
        self.check = w.Dropdown(description="Its figure", options=[("none", "")])
        self.check.observe(lambda _: self._draw_check(), "value")
        self.check_figure = w.HTML()
        self.occupancy = w.Text("0.9", description="Occupied sites", continuous_update=False)
        self.family = w.Dropdown(description="Landscape", options=list(FAMILIES))
        for widget in (self.occupancy, self.family):
            widget.style.description_width = "8.5rem"
            widget.observe(lambda _: self._outdated(), "value")
        self.start = w.Button(description="Fit", button_style="primary")
        self.start.on_click(lambda _: self.start_fit())
        self.stop = w.Button(description="Stop", disabled=True)
        self.stop.on_click(lambda _: self._stop.set())
        self.weigh = w.Button(description="Vary every assumption", disabled=True)
        self.weigh.layout.width = "14rem"
        self.weigh.on_click(lambda _: self.start_budget())
        self.shares = w.HTML()
        self.bar = w.FloatProgress(max=1.0, layout={"width": "16rem"})
        self.status, self.outcome = w.HTML(), w.HTML()
        self.save = w.Button(description="Save report", disabled=True)
        self.save.on_click(lambda _: self.save_report())
        self.saved = w.HTML()
        self._stop = threading.Event()

        def head(text: str) -> w.HTML:
            return w.HTML(f"<h2>{text}</h2>")

        def row(*widgets: w.Widget) -> w.Box:
            return w.Box(widgets, layout=w.Layout(flex_flow="row wrap", align_items="center"))

        self.box = w.VBox(
            [
                w.HTML(f"<style>{_STYLE}</style>" + _NAMES),
                head("1. Files"), self.drop, row(self.upload), self.listing,
                head("2. What was done"), row(self.which, self.another, self.remove), self.form,
                head("3. From counts to fractions"), self.steps, self.transient,
                head("4. Checks"), self.checks, self.check, self.check_figure,
                head("5. Fit"), row(self.occupancy, self.family),
                row(self.start, self.stop, self.bar), self.status, self.outcome,
                head("6. How sure?"), row(self.weigh), self.shares,
                head("7. Report"), row(self.save), self.saved,
            ]
        )  # fmt: skip
        self.box.add_class("cait-bench")

    # --- files and runs ---

    def _uploaded(self, change: Mapping[str, Any]) -> None:
        self.add(*((item["name"], bytes(item["content"])) for item in change["new"]))

    def add(self, *files: tuple[str, bytes]) -> None:
        """Take files, each a name and its bytes, and give them to runs by their content."""
        new = {}
        for name, data in files:
            place = self.folder / f"file-{len(self.files)}"
            place.mkdir()
            path = place / (Path(name.replace("\\", "/")).name or "file")
            path.write_bytes(data)
            label, number = path.name, 1
            while label in self.files:
                number += 1
                label = f"{path.name} ({number})"
            new[label] = self.files[label] = look_into(path)
        for file in new.values():
            if file.kind == "case":
                self._take_case(file, new)
        for label in self._untaken(new, "profile"):
            self._run_without("profile").choose(self.files, profile=label)
        for label in self._untaken(new, "current"):
            waiting = [run for run in self.runs if run.profile and not run.current]
            if waiting:
                best = max(waiting, key=lambda run: _alike(run.profile, label))
                best.choose(self.files, current=label)
        self._list_files()
        self._show_runs()
        for run in self.runs:
            self._refresh(run)

    def _untaken(self, new: Mapping[str, Dropped], kind: str) -> list[str]:
        taken = {getattr(run, kind) for run in self.runs}
        return [label for label, file in new.items() if file.kind == kind and label not in taken]

    def _run_without(self, kind: str) -> RunForm:
        """The first run that has no such file, or a new one."""
        free = [run for run in self.runs if not getattr(run, kind)]
        return free[0] if free else self._new_run()

    def _take_case(self, file: Dropped, new: Mapping[str, Dropped]) -> None:
        """Fill the form of a run from a case file; its data files by their names."""
        try:
            text, unit, kept = entries_of(file.path)
        except ValueError:
            return  # the list of files says it
        found = {}
        for kind in ("profile", "current"):
            name = text.pop(kind, None)
            among = [label for label in self._untaken(new, kind) if new[label].path.name == name]
            among = among or [
                label for label in self._untaken(self.files, kind)
                if self.files[label].path.name == name
            ]  # fmt: skip
            if len(among) == 1:
                found[kind] = among[0]
        run = self._run_without("profile")
        run.kept = kept
        run.choose(self.files, **found)
        run.fill(dict.fromkeys(QUANTITIES, "") | text, unit)

    def _new_run(self) -> RunForm:
        run = RunForm(self.folder / f"run-{len(list(self.folder.glob('run-*')))}", self._heard)
        if self.runs:  # most of what was done to one sample was done to the next
            last = self.runs[-1]
            again = {k: v for k, v in last.text.items()
                     if k in QUANTITIES and k not in ("run.duration", "run.charge")}  # fmt: skip
            run.fill(again, last.unit)
        self.runs.append(run)
        run.choose(self.files)
        return run

    def _add_run(self) -> None:
        run = self._new_run()
        self._show_runs(len(self.runs) - 1)
        self._refresh(run)

    def _remove_run(self) -> None:
        if len(self.runs) > 1:
            del self.runs[self._number]
            self._show_runs()
            self._refresh(self.shown)

    @property
    def shown(self) -> RunForm:
        """The run whose entries are on the page."""
        return self.runs[self._number]

    def _show_runs(self, number: int | None = None) -> None:
        self._number = min(self._number if number is None else number, len(self.runs) - 1)
        self._quiet = True
        options = [(f"{n + 1}: {run.name}", n) for n, run in enumerate(self.runs)]
        if list(self.which.options) != options:
            self.which.options = options
        self.which.value = self._number
        self._quiet = False
        self.remove.disabled = len(self.runs) == 1
        if self.form.children != (self.shown.box,):
            self.form.children = [self.shown.box]

    def _list_files(self) -> None:
        items = "".join(
            f'<li class="{"" if file.kind else "cait-wrong"}"><b>{escape(label)}</b>:'
            f" {escape(file.words)}</li>"
            for label, file in self.files.items()
        )
        self.listing.value = f'<div role="status"><ul>{items}</ul></div>'

    # --- what changes when something is entered ---

    def _heard(self, run: RunForm) -> None:
        run.choose(self.files)
        self._show_runs()
        self._refresh(run)

    def _chosen(self, change: Mapping[str, Any]) -> None:
        if change["new"] is not None and not self._quiet:
            self._number = change["new"]
            self.form.children = [self.shown.box]
            self._draw()

    def _refresh(self, run: RunForm) -> None:
        """Evaluate a run again, and draw it if it is shown."""
        run.evaluate(self.files)
        self._outdated()
        if run is self.shown:
            self._draw()

    def _draw(self) -> None:
        run, result = self.shown, self.shown.result
        if result.profile is None:
            self.checks.value = ""
            ions = tuple(run.text[key] for key in IONS)
            if self._drawn != (run.profile, ions):
                self._drawn, self.steps.value = (run.profile, ions), ""
                if run.profile:
                    figure = channels_figure(self.files[run.profile].recording, ions)
                    self.steps.value = picture(figure, "Signals of the channels against time.")
            self.transient.disabled = True
            self._offer_checks([], "")
            return
        self._drawn = ()
        self.steps.value = picture(
            steps_figure(result.case, result.profile),
            "Four panels: counts before and after dead time, the matrix signal with its smooth"
            " reference, depth against time, and the fractions of both ions against depth.",
        )
        run.quiet = True
        edges = result.profile.edges * 1e9
        self.transient.max = max(round(edges[-1] / 4), 1)
        self.transient.value = round(edges[result.profile.used.argmax()], 1)
        self.transient.disabled = run.quiet = False
        lines = [
            f'<li class="{"" if c.passed else "cait-wrong"}">{"✓" if c.passed else "✗"}'
            f" <b>{escape(c.name)}</b>: {c.value:.3g}, allowed {c.low:.3g} to {c.high:.3g}."
            f" {escape(c.message[:1].upper() + c.message[1:])}.</li>"
            for c in result.profile.checks
        ]
        self.checks.value = f"<ul class='cait-checks'>{''.join(lines)}</ul>"
        failed = [c.name for c in result.profile.checks if not c.passed]
        names = [c.name for c in result.profile.checks]
        self._offer_checks(names, failed[0] if failed else "")

    def _offer_checks(self, names: list[str], value: str) -> None:
        self._quiet = True
        self.check.options = [("none", ""), *((name, name) for name in names)]
        self.check.value = value
        self._quiet = False
        self._draw_check()

    def _draw_check(self) -> None:
        if self._quiet:
            return
        result, name = self.shown.result, self.check.value
        self.check_figure.value = ""
        if name and result.profile is not None:
            figure = check_figure(result.case, name, result.profile)
            self.check_figure.value = picture(figure, f"Figure of the check: {name}.")

    def _band_moved(self, change: Mapping[str, Any]) -> None:
        run = self.shown
        if not run.quiet:
            run.fill({"sims.transient": f"{change['new']:g}"}, {"sims.transient": "nm"})
            self._heard(run)

    def _outdated(self) -> None:
        """The numbers on the page are no longer those of the entries."""
        open_ = self._open()
        if not self._busy:
            words = f"Before a fit, see above: {', '.join(open_)}." if open_ else ""
            if self.fit is not None and not open_:
                words = "An entry has changed: fit again."
            self.status.value = self._note("look", words) if words else ""
        self.fit = self.budget = None
        self.save.disabled = self.weigh.disabled = True
        self.start.disabled = self._busy or bool(open_)

    def _open(self) -> list[str]:
        """The labels of all entries that are missing or wrong, by run if there are several."""
        found = {}
        for number, run in enumerate(self.runs, 1):
            where = f" of run {number}" if len(self.runs) > 1 else ""
            for note in run.result.notes:
                if note.kind in ("missing", "wrong"):
                    found[run.entry[note.key].value.description + where] = None
        return list(found)

    # --- fit, budget, report ---

    @property
    def _busy(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def _note(self, kind: str, words: str) -> str:
        return f'<div role="status" class="cait-note cait-{kind}">{escape(words)}</div>'

    def _in_thread(self, work: Callable[[Callable[[float, str], None]], None]) -> None:
        """Run ``work(progress)`` so that the page stays alive; the stop button ends it."""
        self._stop.clear()
        last = 0.0

        def progress(share: float, what: str) -> None:
            nonlocal last
            if self._stop.is_set():
                raise Stopped
            if time.monotonic() > last + 0.1 or share >= 1:
                last = time.monotonic()
                self.bar.value = share
                self.status.value = self._note("read", f"{what}: {share:.0%}")

        def run() -> None:
            try:
                work(progress)
            except Stopped:
                self.status.value = self._note("look", "Stopped: nothing has changed.")
            except ValueError as error:  # FitError and SimulationError are
                self.status.value = self._note("wrong", str(error))
            finally:
                self.bar.value, self.stop.disabled = 0.0, True
                self._thread = None
                self.start.disabled = not all(run.result.ready for run in self.runs)
                self.save.disabled = self.weigh.disabled = self.fit is None

        self.start.disabled = self.save.disabled = self.weigh.disabled = True
        self.stop.disabled = False
        words = "Under way. The first run after an installation compiles the solver: half a minute."
        self.status.value = self._note("read", words)
        self._thread = threading.Thread(target=run, daemon=True)
        self._thread.start()

    def join(self) -> None:
        """Wait for the thread of a fit."""
        thread = self._thread
        if thread is not None:
            thread.join()

    def start_fit(self) -> None:
        """Fit all runs with the entries as they stand, in a thread."""
        if not all(run.result.ready for run in self.runs):
            return  # clicked before the page had heard of the last entry
        cases = [run.result.case for run in self.runs]
        try:
            occupancy = float(self.occupancy.value.replace(",", "."))
            require("Occupied sites", occupancy, *FREE_OCCUPANCY)
        except ValueError as error:
            self.status.value = self._note("wrong", str(error))
            return
        self.fit = self.budget = None
        self.outcome.value = self.shares.value = self.saved.value = ""
        family = self.family.value

        def work(progress: Callable[[float, str], None]) -> None:
            begin = time.monotonic()
            fit = fit_landscape(cases, occupancy=occupancy, family=family, progress=progress)
            if cases != [run.result.case for run in self.runs]:
                words = "An entry has changed while the fit ran: fit again."
                self.status.value = self._note("look", words)
                return
            self.outcome.value = f'<div class="cait-result">{numbers(fit)}</div>' + picture(
                landscape_figure(fit),
                "Each profile with the fitted model, and the site energy distribution.",
            )
            self.fit = fit
            took = time.monotonic() - begin
            self.status.value = self._note("read", f"Fitted in {took:.1f} s.")

        self._in_thread(work)

    def start_budget(self) -> None:
        """Vary every assumption of the fit, in a thread."""
        fit = self.fit

        def work(progress: Callable[[float, str], None]) -> None:
            budget = error_budget(fit, progress=progress)
            if fit is self.fit:  # no entry has changed meanwhile
                self.shares.value = f'<div class="cait-result">{budget_section(budget)}</div>'
                self.budget = budget
                self.status.value = self._note("read", "Every assumption was varied.")

        self._in_thread(work)

    def save_report(self) -> None:
        """Save the report of the fit that is shown, in a new folder."""
        foreign = "-".join(self.fit.foreign_diffusivity)
        folder = self.report_folder / f"{foreign} report {time.strftime('%Y-%m-%d %H.%M.%S')}"
        try:
            save_report(
                self.fit, folder, budget=self.budget,
                assumptions=[
                    f"{run.name}: {QUANTITIES[note.key].label}: {note.words}"
                    for run in self.runs for note in run.result.notes
                    if note.kind in ("assumed", "look") and note.key in QUANTITIES
                    and not any(
                        line.startswith(note.words.rstrip("."))  # the report has it already
                        for line in run.result.profile.assumptions
                    )
                ],
            )  # fmt: skip
        except OSError as error:
            self.saved.value = self._note("wrong", str(error))
            return
        page = base64.b64encode((folder / "report.html").read_bytes()).decode()
        self.saved.value = (
            f"<p role='status'>Saved in {escape(str(folder))}.<br>"
            f"<a download='{foreign}_report.html' href='data:text/html;base64,{page}'>"
            "Download the report</a>: one file with its figures, numbers and inputs.</p>"
        )


def _alike(one: str, other: str) -> int:
    """How many characters two names have in common at their beginning."""
    pairs = zip(one.lower(), other.lower(), strict=False)
    return sum(1 for _ in itertools.takewhile(lambda pair: pair[0] == pair[1], pairs))
