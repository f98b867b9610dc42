"""Whose work the pages carry: every file that others wrote, by package, version and licence."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from importlib.metadata import Distribution, distribution
from pathlib import Path

from sphinx.errors import ExtensionError

# The packages whose files a build copies below the pages, with the name of their licence.
PACKAGES = {
    "Sphinx": "BSD-2-Clause",
    "sphinx-book-theme": "BSD-3-Clause",
    "pydata-sphinx-theme": "BSD-3-Clause",
    "sphinx-mathjax-offline": "Apache-2.0",
    "sphinx-copybutton": "MIT",
    "sphinx-design": "MIT",
    "sphinx-thebe": "MIT",
    "sphinx-togglebutton": "MIT",
    "myst-nb": "BSD-3-Clause",
}
# What those files hold of others: a file of the pages, what it says of itself, and the licence.
EMBEDDED = {
    "Bootstrap with Popper": ("scripts/bootstrap.js.LICENSE.txt", r"Bootstrap v(5\.3\.\d+)", "MIT"),
    "Font Awesome Free": (
        "scripts/fontawesome.js.LICENSE.txt",
        r"Font Awesome Free (6\.\d+\.\d+)",
        "CC-BY-4.0 (icons), SIL OFL-1.1 (fonts), MIT (code)",
    ),
    "clipboard.js": ("clipboard.min.js", r"clipboard\.js v(2\.\d+\.\d+)", "MIT"),
    "MathJax": ("mathjax/tex-chtml.js", r'VERSION="(3\.\d+\.\d+)"', "Apache-2.0"),
}
# sphinx-mathjax-offline brings no text of its licence; requests, which Sphinx needs, has the same.
SAME_TEXT = {"sphinx-mathjax-offline": "requests"}
# Written by Sphinx and its extensions for this book, from templates under their licences above.
WRITTEN = {
    *("documentation_options.js", "language_data.js", "pygments.css"),
    *("copybutton.js", "basic.css"),
}


def listed(static: Path, ours: set[str]) -> str:
    """Return the list of all works of others below `static`, with their licences in full.

    `ours` are the names of the files that this book brings. Raises `ExtensionError` for a file
    that is neither ours nor one that a package named here holds, byte for byte.
    """
    owners = {name: distribution(name) for name in PACKAGES}
    counts = dict.fromkeys(PACKAGES, 0)
    for path in sorted(static.rglob("*")):
        name = path.relative_to(static).as_posix()
        if path.is_dir() or name in ours | WRITTEN:
            continue
        owner = next((n for n, d in owners.items() if _digest(path) in _digests(d)), None)
        if owner is None:
            raise ExtensionError(f"_static/{name}: neither ours nor of {', '.join(PACKAGES)}")
        counts[owner] += 1
    lines = ["The pages of this book carry work of others.", ""]
    for name, licence in PACKAGES.items():
        files = f"{counts[name]} files" if counts[name] != 1 else "1 file"
        lines.append(f"{name} {owners[name].version}: {licence}, {files}")
    lines += ["", "In these files:", ""]
    for name, (file, pattern, licence) in EMBEDDED.items():
        lines.append(f"{name} {_version(static / file, pattern)}: {licence}")
    for name, owner in owners.items():
        for file, text in _texts(distribution(SAME_TEXT.get(name, owner.name))):
            lines += ["", "", f"{name}: {file}", "-" * 72, text.strip()]
    return "\n".join(lines) + "\n"


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@cache
def _digests(owner: Distribution) -> frozenset[str]:
    """Return what identifies each file of a package that a page may hold."""
    code = (".py", ".pyc", ".so")
    paths = [Path(owner.locate_file(file)) for file in owner.files or ()]
    return frozenset(_digest(p) for p in paths if p.suffix not in code and p.is_file())


def _version(path: Path, pattern: str) -> str:
    found = re.search(pattern, path.read_text(encoding="utf-8"))
    if found is None:
        raise ExtensionError(f"_static: {path.name} does not say its version as {pattern!r}")
    return found[1]


def _texts(owner: Distribution) -> list[tuple[str, str]]:
    """Return the licences that a package holds, its own and those of what is in it."""
    named = [file for file in owner.files or () if re.search(r"LICEN[CS]E", file.name)]
    if not named:
        raise ExtensionError(f"{owner.name} brings no text of its licence")
    paths = [Path(owner.locate_file(file)) for file in named]
    return [(path.name, path.read_text(encoding="utf-8")) for path in paths]
