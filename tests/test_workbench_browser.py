"""The form for own files in a real browser, in JupyterLab and under `make app`: no mouse needed."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager

import nbformat
import psutil
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import NO_BROWSER, open_browser
from playwright.sync_api import TimeoutError, expect
from slim import ROOT
from test_workbench import DATA, RUBIDIUM, TYPED

import cait_helpers as cait
from cait_helpers.entries import QUANTITIES

pytestmark = pytest.mark.skipif(**NO_BROWSER)

PATIENCE = 120_000  # ms: a first fit compiles the solver
UNDER_FOCUS = """() => {
  const on = document.activeElement, label = on.labels?.[0]?.textContent;
  return (on.getAttribute('aria-label') || label || on.textContent || '').trim();
}"""


@contextmanager
def server(command: list[str], address: str, folder):
    """A server on this machine, until the test is over."""
    log = (folder / "log").open("w")
    process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    until = time.monotonic() + 120
    while time.monotonic() < until and process.poll() is None:
        try:
            with urllib.request.urlopen(address):
                break
        except OSError:
            time.sleep(0.2)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
        log.close()


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def app_command() -> list[str]:
    """What `make app` runs, as the Makefile says."""
    lines = subprocess.run(
        ["make", "--no-print-directory", "-n", "-o", ".venv/.ready", "app"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip
    [line] = [line for line in lines if "voila" in line]
    return ["env", *shlex.split(line)]


@pytest.fixture(params=["app", "lab"])
def page(request, tmp_path):
    """The form on a page of its own: a tab, and what has gone wrong in it."""
    port = free_port()
    home = f"http://127.0.0.1:{port}"
    notebook = nbformat.read(ROOT / "book/workbench.ipynb", as_version=4)
    notebook.cells[-1].source = notebook.cells[-1].source.replace(
        'Path.home() / "CAIT reports"', repr(str(tmp_path / "reports"))
    )
    assert str(tmp_path) in notebook.cells[-1].source
    path = tmp_path / "workbench.ipynb"
    nbformat.write(notebook, path)
    if request.param == "app":
        words = [str(path) if word.endswith(".ipynb") else word for word in app_command()]
        command = [*words, f"--port={port}", "--no-browser", "--token=sesame"]
        address = f"{home}/?token=sesame"
    else:
        command = [sys.executable, "-m", "jupyterlab", "--allow-root", f"--port={port}",
                   "--ip=127.0.0.1", "--no-browser", "--IdentityProvider.token=sesame",
                   str(tmp_path)]  # fmt: skip
        address = f"{home}/lab/tree/workbench.ipynb?token=sesame"
    # the solver is compiled before the clock of a browser runs
    cait.fit_landscape([cait.read_case(DATA / "rb_on_lbo.toml")])
    with server(command, f"{home}/login", tmp_path) as process, open_browser() as browser:
        tab = browser.new_page(viewport={"width": 1280, "height": 900})
        tab.set_default_timeout(PATIENCE)
        tab.troubles = watch(tab, home)
        tab.goto(address)
        if request.param == "lab":
            tab.locator(".jp-CodeCell .cm-content").click()
            tab.get_by_text("(ipykernel) | Idle").wait_for()  # the other sign is so from the first
            tab.keyboard.press("Control+Enter")
        tab.locator(".cait-bench[data-lm-suppress-shortcuts] .widget-upload").wait_for()
        tab.kind, tab.server = request.param, process.pid
        yield tab


def watch(tab, home: str) -> list[str]:
    """Errors of scripts and of the console, and requests to any other machine."""
    troubles: list[str] = []

    def answer(route):
        if route.request.url.startswith((home, "data:", "blob:")):
            route.continue_()
        else:
            troubles.append(f"foreign request: {route.request.url}")
            route.abort()

    def listen(message):
        if message.type == "error":
            troubles.append(f"console error: {message.text}")

    tab.route("**/*", answer)
    tab.on("console", listen)
    tab.on("pageerror", lambda error: troubles.append(f"script error: {error}"))
    return troubles


def reach(tab, name: str) -> None:
    """Press the tabulator until something of that name has the focus."""
    seen = []
    for _ in range(90):
        seen.append(tab.evaluate(UNDER_FOCUS))
        if re.fullmatch(name, seen[-1]):
            return
        tab.keyboard.press("Tab")
    raise AssertionError(f"{name} is not reached by the keyboard; there are {seen}")


def drop_rubidium(tab) -> None:
    """Choose the two files of the run, from the keyboard."""
    for _ in range(5):  # JupyterLab takes the focus once more when it has run a cell
        tab.locator(".cait-bench .widget-upload").focus()
        try:
            with tab.expect_file_chooser(timeout=5000) as chooser:
                tab.keyboard.press("Enter")
            break
        except TimeoutError:
            continue
    chooser.value.set_files([DATA / name for name in RUBIDIUM])
    tab.get_by_text("SurfaceLab, 220 cycles").wait_for()


def seconds_of(tab) -> tuple[float, float]:
    """On the clock, and of the processor in the server with its kernel and the browser."""
    server = psutil.Process(tab.server)
    others = [c for c in psutil.Process().children(recursive=True) if "chrom" in c.name()]
    times = [p.cpu_times() for p in (server, *server.children(recursive=True), *others)]
    return time.monotonic(), sum(t.user + t.system for t in times)


def drop(tab, *paths) -> None:
    """Let go of files over the form, as a hand does that drags them there."""
    box = tab.locator(".cait-drop").bounding_box()
    session = tab.context.new_cdp_session(tab)
    for what in ("dragEnter", "dragOver", "drop"):
        session.send("Input.dispatchDragEvent", {
            "type": what, "x": box["x"] + box["width"] / 2, "y": box["y"] + box["height"] / 2,
            "data": {"items": [], "files": [str(p) for p in paths], "dragOperationsMask": 1},
        })  # fmt: skip


def said_under(tab, label: str):
    """The words beneath an entry."""
    entry = tab.locator(".widget-vbox", has=tab.get_by_label(label, exact=True)).last
    return entry.locator(".cait-note")


def type_entries(tab) -> int:
    """Six numbers and one choice from a menu, in the order of the page; how many were typed."""
    order = ["run.voltage", "Composition", "glass.thickness", "glass.area", "glass.temperature",
             "sims.crater_depth", "sims.pulses"]  # fmt: skip
    assert set(order) - {"Composition"} == set(TYPED)
    for key in order:
        if key == "Composition":
            reach(tab, "Composition")
            tab.keyboard.type("Li3")  # JupyterLab keeps the arrows to itself
        else:
            reach(tab, QUANTITIES[key].label)
            tab.keyboard.type(TYPED[key])
            tab.keyboard.press("Tab")
    return len(order) - 1


def faults_of_access(tab) -> list[str]:
    """What axe-core calls serious or critical in the form."""
    options = {"resultTypes": ["violations"], "preload": False}
    found = Axe().run(tab, context=".cait-bench", options=options).response["violations"]
    return [
        f"{violation['id']}: {violation['help']} ({node['target'][0]})"
        for violation in found
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def test_from_dropped_files_to_a_saved_report_without_a_mouse(page, tmp_path, record_property):
    """Two files, six typed numbers and one choice; then fit, look and save."""
    begin = seconds_of(page)
    drop_rubidium(page)
    typed = type_entries(page)
    page.locator("button:enabled", has_text="Fit").wait_for()
    reach(page, "Fit")
    page.keyboard.press("Enter")
    page.get_by_text("Fitted in").wait_for()
    assert page.get_by_text(re.compile(r"distribution is 250\.\d meV wide")).is_visible()
    reach(page, "Save report")
    page.keyboard.press("Enter")
    page.get_by_text("Saved in").wait_for()
    clock, processor = (b - a for a, b in zip(begin, seconds_of(page), strict=True))
    for what, value in (("entries", typed), ("seconds", clock), ("CPU seconds", processor)):
        record_property(what, round(value, 1))
        print(f"{page.kind}: {what} {value:.3g}")
    assert typed <= 6
    [report] = (tmp_path / "reports").glob("*/report.html")
    with page.expect_download() as download:
        page.get_by_text("Download the report").click()
    assert download.value.path().read_bytes() == report.read_bytes()
    assert faults_of_access(page) == []
    assert page.troubles == []


def test_a_wrong_entry_is_answered_beneath_it_until_it_is_mended(page, tmp_path):
    """Files let go over the form; then each slip is typed and mended, in the browser."""
    profile, current = RUBIDIUM
    cropped = tmp_path / "cropped" / profile
    cropped.parent.mkdir()
    lines = (DATA / profile).read_text().splitlines(keepends=True)
    cropped.write_text("".join(lines[: 3 + 150]))
    drop(page, cropped, DATA / current)
    page.get_by_text("SurfaceLab, 150 cycles").wait_for()
    page.get_by_text("a recorded current of 99.24 h").wait_for()
    type_entries(page)
    said_under(page, "Crater depth").filter(has_text="the export is cropped").wait_for()
    assert faults_of_access(page) == []
    fit = page.locator(".cait-bench button", has_text=re.compile("^Fit$"))
    expect(fit).to_be_disabled()

    def enter(label: str, text: str) -> None:
        page.get_by_label(label, exact=True).fill(text)
        page.keyboard.press("Tab")

    def ready() -> None:
        page.locator(".cait-bench button:enabled", has_text=re.compile("^Fit$")).wait_for()
        expect(page.locator(".cait-wrong:visible")).to_have_count(0)  # the checks follow

    enter("Sputter time", "440")
    ready()
    enter("Temperature", "323.15")  # which could be: a question, and no refusal
    asked = said_under(page, "Temperature")
    asked.filter(has_text="323.15 °C is more than is usual. Did you mean 323.15 K?").wait_for()
    for label, wrong, words, right in (
        ("Temperature", "50 K", "Did you mean 50 °C?", "50 °C"),
        ("Thickness", "0.5 m", "Did you mean 0.5 mm?", "0.5 mm"),
        ("Pulses per cycle", "", "Enter the primary pulses per cycle", TYPED["sims.pulses"]),
    ):
        enter(label, wrong)
        said_under(page, label).filter(has_text=words).wait_for()
        expect(fit).to_be_disabled()
        enter(label, right)
        ready()
    for kind, ion in (("Native", "Rb+"), ("Foreign", "Li+")):
        page.get_by_label(f"{kind} ion", exact=True).select_option(ion)
    for kind in ("Native", "Foreign"):
        said_under(page, f"{kind} ion").filter(has_text="the two are swapped").wait_for()
    expect(fit).to_be_disabled()
    assert page.troubles == []
