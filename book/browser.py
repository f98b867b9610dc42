"""Debian's chromium under playwright's hands: for the tests of the pages and for the PDF."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = f"no browser found ({', '.join(NAMES)}): install one, on Debian `apt install chromium`"
# In a container neither the sandbox nor shared memory of a useful size is there.
FLAGS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--hide-scrollbars"]


def find() -> str | None:
    """Return the path of a browser, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


#: For ``pytest.mark.skipif``. A machine that is there to test fails instead, in `open_browser`.
NO_BROWSER = {"condition": find() is None and not os.environ.get("CI"), "reason": MISSING}


@contextmanager
def open_browser() -> Iterator[Browser]:
    """Start the browser, or raise RuntimeError with a way to install one."""
    path = find()
    if path is None:
        raise RuntimeError(MISSING)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield browser
        browser.close()
