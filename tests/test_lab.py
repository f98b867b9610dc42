"""An explorer in JupyterLab, in a real browser: any value, computed while the slider moves."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
import urllib.request

import nbformat
import pytest
from browser import NO_BROWSER, open_browser
from nbformat.v4 import new_code_cell, new_notebook
from slim import ROOT, slim

CELL = """
import matplotlib.pyplot as plt
from cait_helpers.teaching import Sweep, explore

def draw(width):
    plt.figure(figsize=(2, 1))
    return f"A line of width {1e9 * width:g} nm"

explore(draw, width=Sweep((1, 11), "nm", 1e-9))
"""


@pytest.fixture
def lab(tmp_path):
    """The address of a JupyterLab whose only notebook holds the cell, not yet executed."""
    notebook = slim(new_notebook(cells=[new_code_cell(CELL.strip())]))  # which names its kernel
    nbformat.write(notebook, tmp_path / "one.ipynb")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = [f"--port={port}", "--ip=127.0.0.1", "--no-browser", "--IdentityProvider.token="]
    command = [sys.executable, "-m", "jupyterlab", "--allow-root", *options, str(tmp_path)]
    log = (tmp_path / "log").open("w")
    server = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=subprocess.STDOUT)
    home, patience = f"http://127.0.0.1:{port}", time.monotonic() + 60
    while time.monotonic() < patience:
        try:
            with urllib.request.urlopen(f"{home}/api"):
                break
        except OSError:
            time.sleep(0.2)
    yield home
    server.terminate()
    server.wait(30)
    log.close()


@pytest.mark.skipif(**NO_BROWSER)
def test_a_sweep_is_computed_while_its_slider_moves_in_jupyterlab(lab):
    """From the keyboard; between the two frames that the page would have, and typed as well."""
    with open_browser() as browser:
        tab = browser.new_page()
        tab.set_default_timeout(90_000)
        tab.route(
            "**/*", lambda route: route.continue_() if lab in route.request.url else route.abort()
        )
        tab.goto(f"{lab}/lab/tree/one.ipynb")
        tab.locator(".jp-CodeCell .cm-content").click()
        tab.locator(".jp-Notebook-ExecutionIndicator[data-status=idle]").wait_for()
        tab.keyboard.press("Control+Enter")
        picture = tab.locator(".jupyter-widgets img")
        picture.wait_for()
        assert picture.get_attribute("alt") == "A line of width 1 nm"
        tab.locator(".noUi-handle").focus()
        for step in (1, 2):
            tab.keyboard.press("ArrowRight")
            tab.locator(
                f".jupyter-widgets img[alt='A line of width {1 + 0.1 * step:g} nm']"
            ).wait_for()
        number = tab.locator(".widget-readout")
        number.fill("7.3")
        number.press("Enter")
        tab.locator(".jupyter-widgets img[alt='A line of width 7.3 nm']").wait_for()
