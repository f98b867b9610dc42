"""The reference of the public names: their docstrings, and an example each that has been run."""

from __future__ import annotations

import contextlib
import doctest
import functools
import re

from slim import ROOT

import cait_helpers as cait

EXAMPLES = ROOT / "book" / "examples.txt"
# Headings of the page, and the modules whose names stand below them.
PARTS = {
    "From an instrument's tables to profiles": ("exports", "tables", "sims", "cases"),
    "The landscape": ("landscape", "pair"),
    "The simulation": ("conditions", "npp", "ensemble"),
    "The exact front": ("fronts",),
    "The fit and its uncertainty": ("parameters", "likelihood", "fit", "budget", "uncertainty"),
    "Onsager coefficients and the Haven ratio": ("onsager", "lattice"),
    "Reports, figures, a form for own files": ("report", "figures", "form"),
}


def examples() -> dict[str, str]:
    """Return the example of each name, in the order in which they run."""
    _, *parts = re.split(r"^# (\w+)\n", EXAMPLES.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name: text.strip() for name, text in zip(parts[::2], parts[1::2], strict=True)}


@functools.cache
def run() -> None:
    """Run every example in one session, or raise ValueError with what came out instead."""
    told: list[str] = []
    names: dict[str, object] = {"cait": cait}
    parser, runner = doctest.DocTestParser(), doctest.DocTestRunner(verbose=False)
    with contextlib.chdir(ROOT):
        for name, text in examples().items():
            test = parser.get_doctest(text + "\n", names, name, str(EXAMPLES), 0)
            runner.run(test, out=told.append, clear_globs=False)
            names = test.globs
    if told:
        raise ValueError("examples of the reference:\n" + "".join(told))


def home(name: str) -> str:
    """Return the module of the package in which a public name lives."""
    thing = getattr(cait, name)
    return thing.__module__.rpartition(".")[2] if callable(thing) else "figures"  # the style


def page() -> str:
    """Return the reference in MyST: for each part its names, documented and shown at work."""
    shown = examples()
    if set(shown) != set(cait.__all__):
        names = sorted(set(shown) ^ set(cait.__all__))
        raise ValueError(f"{EXAMPLES.name}: {names} have no example, or are no public names")
    run()
    text = []
    for title, modules in PARTS.items():
        text.append(f"## {title}")
        names = [name for name in cait.__all__ if home(name) in modules]
        for name in sorted(names, key=list(shown).index):
            text.append(f"### {name}\n\n{_documented(name)}\n\n```pycon\n{shown[name]}\n```")
    return "\n\n".join(text)


def _documented(name: str) -> str:
    thing = getattr(cait, name)
    if not callable(thing):
        return f"`cait.{name}` is the path of the style of all figures, for `plt.style.use`."
    kind = "autoclass" if isinstance(thing, type) else "autofunction"
    return f"```{{eval-rst}}\n.. {kind}:: cait_helpers.{name}\n```"
