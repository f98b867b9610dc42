"""What the pages offer to take away, made with them: package, notebooks, data, the book itself."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile

import export
import licences
from slim import ROOT

from cait_helpers import __version__

WHEEL = f"cait_helpers-{__version__}-py3-none-any.whl"
PDF = ROOT / "_build" / "book.pdf"  # where `make pdf` has left it
IGNORED = shutil.ignore_patterns("__pycache__")
NOTEBOOKS, DATA, PAGES = "cait-notebooks.zip", "cait-data.zip", "cait-pages.zip"
LICENCES = "licences.txt"
SCRIPTS = {"cait.js", "cards.js"}  # what this build itself writes beside the files of assets


def listed() -> str:
    """Return the list of the first page. The printed book is on it when it has been printed."""
    offers = {
        WHEEL: "the package",
        NOTEBOOKS: "the chapters as notebooks, with their data",
        DATA: "the data alone, with their origin",
        PAGES: "these pages; unpack the archive and open `index.html`, no network is needed",
        LICENCES: "whose work these pages carry, and under which licences",
    }
    if PDF.exists():
        offers[PDF.name] = "the book to print"
    items = [f'<li><a href="downloads/{n}">{n}</a>: {what}</li>' for n, what in offers.items()]
    html = re.sub(r"`(.*?)`", r"<code>\1</code>", "".join(items))
    return f"```{{raw}} html\n<ul>{html}</ul>\n```"


def make(html: Path) -> None:
    """Write every file on the list below the pages, the archive of the pages last."""
    folder = html / "downloads"
    folder.mkdir(exist_ok=True)
    _wheel(folder)
    ours = SCRIPTS | {path.name for path in (ROOT / "book" / "assets").iterdir()}
    (folder / LICENCES).write_text(licences.listed(html / "_static", ours), encoding="utf-8")
    data = [path for path in (ROOT / "data").iterdir() if path.is_file()]
    with ZipFile(folder / DATA, "w", ZIP_DEFLATED) as archive:
        for path in sorted(data):
            archive.write(path, f"data/{path.name}")
        archive.write(ROOT / "LICENSE-TEXT.md", "LICENSE-TEXT.md")
    with ZipFile(folder / NOTEBOOKS, "w", ZIP_DEFLATED) as archive:
        for name, text in export.copies().items():
            archive.writestr(f"lab/{name}", text)
        for path in sorted(data):
            archive.write(path, f"data/{path.name}")
        for name in ("benchmarks/results.json", "benchmarks/studies.json"):
            archive.write(ROOT / name, name)
        archive.write(ROOT / "requirements.lock", "requirements.lock")
        archive.write(folder / WHEEL, WHEEL)
        archive.write(ROOT / "LICENSE", "LICENSE")
    if PDF.exists():
        shutil.copy(PDF, folder / PDF.name)
    with ZipFile(folder / PAGES, "w", ZIP_DEFLATED) as archive:
        for path in sorted(html.rglob("*")):
            if path.is_file() and path.name != PAGES:
                archive.write(path, path.relative_to(html))


def _wheel(folder: Path) -> None:
    """Build the wheel, from a copy of what it holds: nothing is left in the working tree."""
    with tempfile.TemporaryDirectory() as copy:
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(ROOT / name, copy)
        for name in ("cait_helpers", "data"):
            shutil.copytree(ROOT / name, Path(copy, name), ignore=IGNORED)
        options = ["--no-deps", "--no-build-isolation", "--no-index", "--quiet", "--wheel-dir"]
        command = [sys.executable, "-m", "pip", "wheel", *options, str(folder), copy]
        subprocess.run(command, check=True)


def repository() -> str | None:
    """Return the public address of the source, where there is one: the build reads it off.

    A continuous integration names it; a clone has it as its remote.
    """
    if name := os.environ.get("GITHUB_REPOSITORY"):
        return f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{name}"
    command = ["git", "-C", str(ROOT), "remote", "get-url", "origin"]
    try:
        remote = subprocess.run(command, capture_output=True, text=True).stdout.strip()
    except OSError:
        return None
    found = re.fullmatch(r"(?:https://|git@)(github\.com|gitlab\.com)[/:](.+?)(?:\.git)?", remote)
    return f"https://{found[1]}/{found[2]}" if found else None
