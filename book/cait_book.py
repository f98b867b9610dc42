"""The Sphinx extension of the book: pages without a network, their versions, the references."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style
from pybtex.style.labels import BaseLabelStyle

# Scripts that Jupyter Book adds for services this book does not use. Left in, the first two
# would declare THEBE_JS_URL twice (an error on every page) and point at a foreign host.
UNUSED = ("THEBE_JS_URL", "sphinx-thebe", "jupyter.widget-state+json")

SHOWN = (
    *("numpy", "scipy", "numba", "matplotlib", "ipywidgets"),
    *("jupyter-book", "sphinx", "myst-nb", "nbval"),
)


def drop_unused_scripts(app, pagename, templatename, context, doctree):
    """Keep from a page's scripts what the page needs."""

    def describe(script) -> str:
        attributes = getattr(script, "attributes", {})
        parts = (getattr(script, "filename", ""), attributes.get("type"), attributes.get("body"))
        return " ".join(part or "" for part in parts)

    context["script_files"] = [
        script
        for script in context.get("script_files", [])
        if not any(word in describe(script) for word in UNUSED)
    ]


def trim_mathjax(app, exception):
    """Leave out the MathJax bundles that no page loads (15 of 24 MB)."""
    mathjax = Path(app.outdir, "_static", "mathjax")
    loaded = Path(app.config.mathjax_path).name
    for bundle in mathjax.glob("*.js"):
        if bundle.name != loaded:
            bundle.unlink()


def versions_table(app, config):
    """Offer ``{{ versions }}`` to the pages."""
    versions = {"Python": platform.python_version(), **{name: version(name) for name in SHOWN}}
    rows = ["| package | version |", "|---|---|", *(f"| {n} | {v} |" for n, v in versions.items())]
    config.myst_substitutions = {**config.myst_substitutions, "versions": "\n".join(rows)}


class AuthorYear(BaseLabelStyle):
    """Label a work the way that the text cites it."""

    def format_labels(self, entries):
        for entry in entries:
            yield f"{entry.persons['author'][0].rich_last_names[0]} {entry.fields['year']}"


class Works(Style):
    default_label_style = AuthorYear


def setup(app):
    register_plugin("pybtex.style.formatting", "works", Works)
    app.connect("config-inited", versions_table)
    app.connect("html-page-context", drop_unused_scripts, priority=900)
    app.connect("build-finished", trim_mathjax, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
