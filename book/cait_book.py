"""The Sphinx extension of the book: pages without a network, and what the build knows of itself."""

from __future__ import annotations

import platform
import re
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import api
import bookmap
import cards
import downloads
import figure_faults
import page_script
import tables
from docutils import nodes
from myst_nb.sphinx_ import NbMetadataCollector
from openings import map_of_the_book, read
from picture import landing_explorer
from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style
from pybtex.style.labels import BaseLabelStyle
from slim import ROOT
from sphinx.errors import ExtensionError

from cait_helpers import __version__ as cait_version
from cait_helpers.teaching.exercises import answer_box

# Scripts that Jupyter Book adds for services this book does not use. Left in, the first two
# would declare THEBE_JS_URL twice (an error on every page) and point at a foreign host.
UNUSED = ("THEBE_JS_URL", "sphinx-thebe", "jupyter.widget-state+json")

SHOWN = (
    *("numpy", "scipy", "numba", "matplotlib", "ipywidgets"),
    *("jupyter-book", "sphinx", "myst-nb", "nbval"),
)

SLIDERS = """The points are the counted profile of the rubidium run. Turn both sliders until the
model runs through them. Say first which way the plateau moves when the landscape gets wider. One
other setting comes close; what tells the two apart is the subject of
[the chapter on the fit](chapters/fit.ipynb).

```{raw} html
%s
```
"""
MAP = "```{raw} html\n%s\n```\n"


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


def mend_roles(app, pagename, templatename, context, doctree):
    """Docutils calls the references a list whose entries are none; screen readers stumble."""
    if "body" in context:
        context["body"] = context["body"].replace(
            ' role="list" class="citation-list"', ' class="citation-list"'
        )


def collect_cards(app, pagename, templatename, context, doctree):
    """Remember what other pages may link to: terms, formulas, figures, works."""
    if doctree is not None and app.builder.name == "html":
        app.cards |= cards.cards_of(pagename, context["body"])


def finish(app, exception):
    """Leave out the MathJax bundles that no page loads (15 of 24 MB); write cards and downloads."""
    static = Path(app.outdir, "_static")
    loaded = Path(app.config.mathjax_path).name
    for bundle in Path(static, "mathjax").glob("*.js"):
        if bundle.name != loaded:
            bundle.unlink()
    if exception is None and app.builder.name == "html":
        cards.write(app.cards, static)
        downloads.make(Path(app.outdir))  # last: the pages are among them


def offer_tables(app, config):
    """Offer ``{{ versions }}``, ``{{ verification }}`` and ``{{ map }}`` to the pages."""
    import matplotlib

    matplotlib.use("agg")
    from verification import table  # takes seconds: not for those who only import this module

    versions = {"Python": platform.python_version(), **{name: version(name) for name in SHOWN}}
    rows = ["| package | version |", "|---|---|", *(f"| {n} | {v} |" for n, v in versions.items())]
    config.myst_substitutions = {
        **config.myst_substitutions,
        "versions": "\n".join(rows),
        "verification": table(),
        "map": map_of_the_book(),
        "paths": bookmap.paths(),
        "downloads": downloads.listed(),
        "repository": said_of_the_repository(),
        "version": cait_version,
    }


def said_of_the_repository() -> str:
    """Return where the source is and where to ask, as far as the build knows."""
    source = downloads.repository()
    if source is None:
        return "Questions and corrections are welcome: see [Contributing](CONTRIBUTING.md)."
    return (
        f"The source is at [{source.removeprefix('https://')}]({source}). Questions and "
        f"corrections are welcome as [issues]({source}/issues); see "
        "[Contributing](CONTRIBUTING.md)."
    )


def offer_repository(app, config):
    """Buttons that lead to the source, and to a running copy of a chapter, where it is public."""
    if (source := downloads.repository()) is None:
        return
    options = {
        "repository_url": source,
        "path_to_docs": ".",
        "use_repository_button": True,
        "use_issues_button": True,
        "launch_buttons": {
            "binderhub_url": "https://mybinder.org",
            "notebook_interface": "jupyterlab",
        },
    }
    config.html_theme_options = {**config.html_theme_options, **options}


def fill_in(app, docname, source):
    """Replace the comments in some pages by what the build makes for them."""
    makers = {
        "index": ("<!-- The sliders are here. -->", lambda: SLIDERS % landing_explorer()),
        "chapters/map": ("<!-- The map is here. -->", lambda: MAP % bookmap.drawing()),
        "chapters/api": ("<!-- The names are here. -->", api.page),
    }
    if docname in makers:
        mark, make = makers[docname]
        if mark not in source[0]:
            raise ValueError(f"{docname} lacks the line {mark}")
        source[0] = source[0].replace(mark, make())
    # On GitHub these lead from the root of a repository to its issues.
    issues = downloads.repository()
    source[0] = re.sub(
        r"\[([^\]]*)\]\(\.\./\.\./issues\)",
        rf"[\1]({issues}/issues)" if issues else r"\1",
        source[0],
    )


def read_two_at_a_time(app):
    """Execute two chapters at once. Pages are written by one process, which collects the cards."""
    for extension in app.extensions.values():
        if extension.parallel_read_safe is None:  # three small ones do not say; none keeps a state
            extension.parallel_read_safe = True
    app.parallel = 2


def write_one_by_one(app, env):
    app.parallel = 1


def start_page_script(app, config):
    """Compile the solver of the pages while the chapters run; the script is there in the end."""
    page_script.TARGET.parent.mkdir(parents=True, exist_ok=True)
    app.page_script = subprocess.Popen([sys.executable, page_script.__file__])
    config.html_static_path.append(str(page_script.TARGET.parent))
    config.html_js_files.append([page_script.TARGET.name, {"defer": "defer"}])


def await_page_script(app, env):
    if app.page_script.wait() != 0:
        raise ExtensionError("the solver of the pages did not compile")


def offer_answer_boxes(app, doctree):
    """Put a field below each cell that waits for a reader's number."""
    for block in list(doctree.findall(nodes.literal_block)):
        asked = re.search(r"^answer = \.\.\..*check\(\"(.+?)\", answer\)", block.astext(), re.S)
        if asked:
            cell = block
            while "cell" not in cell.get("classes", ()):
                cell = cell.parent
            cell.parent.insert(
                cell.parent.index(cell) + 1, nodes.raw("", answer_box(asked[1]), format="html")
            )


def measure_times(app, doctree):
    """Say in the opening of a chapter what this build found, in place of what its author typed."""
    executed = NbMetadataCollector.get_exec_data(app.env, app.env.docname)
    if executed is None:
        return
    opening = read(ROOT / f"{app.env.docname}.ipynb")
    for paragraph in doctree.findall(nodes.paragraph):
        if paragraph.astext().startswith("Time."):
            run = f"{executed['runtime']:.0f} seconds to run, when this page was built"
            (word,) = paragraph.findall(nodes.strong)
            paragraph.children = []
            paragraph += [word, nodes.Text(f" {opening.minutes} minutes to read, {run}.")]
            return


class AuthorYear(BaseLabelStyle):
    """Label a work the way that the text cites it."""

    def format_labels(self, entries):
        for entry in entries:
            yield f"{entry.persons['author'][0].rich_last_names[0]} {entry.fields['year']}"


class Works(Style):
    default_label_style = AuthorYear


def setup(app):
    register_plugin("pybtex.style.formatting", "works", Works)
    app.cards = {}
    app.set_html_assets_policy("always")  # a card may show a formula on a page that has none
    figure_faults.install(Path(app.outdir).parent)
    app.connect("config-inited", offer_tables)
    app.connect("config-inited", start_page_script)
    app.connect("env-updated", await_page_script)
    app.connect("config-inited", offer_repository)
    app.connect("builder-inited", read_two_at_a_time)
    app.connect("env-updated", write_one_by_one)
    app.connect("source-read", fill_in)
    app.connect("doctree-read", measure_times)
    app.connect("doctree-read", offer_answer_boxes)
    app.connect("doctree-read", tables.set_tables)
    app.connect("html-page-context", drop_unused_scripts, priority=900)
    app.connect("html-page-context", mend_roles)
    app.connect("html-page-context", collect_cards)
    app.connect("build-finished", finish, priority=950)  # after those that copy files
    return {"parallel_read_safe": True, "parallel_write_safe": True}
