"""Copies of the chapters for JupyterLab, VS Code and GitHub, which do not know the book's markup.

In a copy a role is a link or a number, a folded solution a ``<details>``, a caption stands below
its figure, a stored picture lies in its cell, and code that the page folds is folded. Copies run
like the chapters, one folder beside ``data``. A copy that somebody has changed is left alone.

    python book/export.py          writes the folder lab
"""

from __future__ import annotations

import base64
import codecs
import hashlib
import json
import re
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import latexcodec  # noqa: F401  (offers the codec that reads accents in BibTeX)
import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_markdown_cell
from openings import read
from pybtex.database import Entry, parse_file
from slim import ROOT, chapters

LAB = ROOT / "lab"
LEDGER = ".copies.json"  # what was written, by the hash of the file
PROSE = ("glossary", "notation")
EQUATION = re.compile(r"\$\$(.*?)\$\$\s*\((eq-[\w-]+)\)", re.DOTALL)
ROLE = re.compile(r"\{(doc|term|eq|numref|ref|download|cite:[pt])\}`([^`]+)`")
PICTURE = re.compile(
    r"^:::\{figure\} *(?P<path>\S+)\n:name: (?P<name>\S+)\n:alt: (?P<alt>.*?)\n+"
    r"(?P<caption>.*?)\s*^:::$",
    re.DOTALL | re.MULTILINE,
)
LABEL = re.compile(r"^\(([\w-]+)\)=$", re.MULTILINE)
DROPDOWN = re.compile(r"^:::\{dropdown\} *(.*?)\n(.*?)^:::\s*?$", re.DOTALL | re.MULTILINE)
ABOUT = """# The chapters, live

Open one and run it with Shift-Enter. Sliders compute any value while they move. Your changes stay:
a chapter that you have changed is not written again.

"""


@dataclass
class Numbers:
    """What the book numbers through all chapters: chapter and number by label."""

    equations: dict[str, tuple[str, int]] = field(default_factory=dict)
    figures: dict[str, tuple[str, int]] = field(default_factory=dict)
    titles: dict[str, str] = field(default_factory=dict)
    works: dict[str, Entry] = field(default_factory=dict)


def number(paths: list[Path]) -> Numbers:
    """Count equations and figures in reading order, as Sphinx does."""
    found = Numbers(works=parse_file(ROOT / "references.bib", "bibtex").entries)
    for path in paths:
        found.titles[path.stem] = read(path).title
        for cell in nbformat.read(path, as_version=4).cells:
            prose = cell.source if cell.cell_type == "markdown" else ""
            for _, label in EQUATION.findall(prose):
                found.equations[label] = path.stem, len(found.equations) + 1
            for picture in PICTURE.finditer(prose):
                found.figures[picture["name"]] = path.stem, len(found.figures) + 1
            if name := cell.metadata.get("mystnb", {}).get("figure", {}).get("name"):
                found.figures[name] = path.stem, len(found.figures) + 1
    for name in PROSE:
        heading, *_ = (ROOT / "chapters" / f"{name}.md").read_text(encoding="utf-8").splitlines()
        found.titles[name] = heading.lstrip("# ")
    return found


def spelt(text: str) -> str:
    """Return a field of the bibliography as it is read."""
    return codecs.decode(text, "ulatex").translate(dict.fromkeys(map(ord, "{}")))


def author(entry: Entry) -> str:
    """Return the authors as a citation in the text names them."""
    names = [spelt(" ".join(person.last_names)) for person in entry.persons["author"]]
    if len(names) > 2:
        return f"{names[0]} *et al.*"
    return " and ".join(names)


def plain(source: str, chapter: str, numbers: Numbers) -> str:
    """Return Markdown without the roles and directives that only the book understands."""

    def linked(text: str, label: str, where: dict[str, tuple[str, int]]) -> str:
        home, count = where[label]
        text = text.format(count)
        return text if home == chapter else f"[{text}]({home}.ipynb)"

    def role(match: re.Match) -> str:
        kind, body = match.groups()
        text, target = re.fullmatch(r"(?:(.*?)\s*<)?(.*?)>?", body, re.DOTALL).groups()
        if kind == "doc":
            suffix = "md" if target in (*PROSE, "references") else "ipynb"
            title = text or numbers.titles.get(target, target)
            return f"[{title}]({target}.{suffix})" if target in numbers.titles else title
        if kind == "term":
            return f"[{text or target}](glossary.md)"
        if kind == "eq":
            return linked("({})", target, numbers.equations)
        if kind == "numref":
            return linked("Fig. {}", target, numbers.figures)
        if kind == "download":
            return f"[{text}]({target})"
        if kind == "ref":
            return f"[{text}](#{target})"
        works = [numbers.works[key.strip()] for key in body.split(",")]
        if kind == "cite:t":
            said = [f"{author(work)} ([{work.fields['year']}](references.md))" for work in works]
            return " and ".join(said)
        said = [f"[{author(work)}, {work.fields['year']}](references.md)" for work in works]
        return f"({'; '.join(said)})"

    def folded(match: re.Match) -> str:
        title, body = match.groups()
        return f"<details><summary>{title}</summary>\n\n{body.strip()}\n\n</details>"

    def tagged(match: re.Match) -> str:
        body, label = match.groups()
        return f"$$\n{body.strip()} \\tag{{{numbers.equations[label][1]}}}\n$$"

    def drawn(match: re.Match) -> str:
        _, count = numbers.figures[match["name"]]
        file = Path(match["path"]).name
        return f"![{match['alt']}](attachment:{file})\n\n**Fig. {count}.** {match['caption']}"

    source = LABEL.sub(r'<a id="\1"></a>', source)
    source = PICTURE.sub(drawn, EQUATION.sub(tagged, source))
    return ROLE.sub(role, DROPDOWN.sub(folded, source))


def attached(source: str, folder: Path) -> dict[str, dict[str, str]]:
    """Return the pictures that prose shows, as a cell holds them: a copy needs no other file."""
    return {
        path.name: {"image/png": base64.b64encode(path.read_bytes()).decode()}
        for path in (folder / picture["path"] for picture in PICTURE.finditer(source))
    }


def fold(solution: NotebookNode, cells: list[NotebookNode]) -> None:
    """Put the code of a solution, and what it prints, into the fold above it or one of its own.

    As a cell it would lie open on GitHub, and its output in JupyterLab as soon as it runs.
    """
    printed = "".join(output.get("text", "") for output in solution.outputs)
    code = f"```python\n{solution.source}\n```\n\n"
    code += f"It prints\n\n```\n{printed.rstrip()}\n```\n\n" if printed else ""
    above = cells[-1]
    if above.cell_type == "markdown" and above.source.rstrip().endswith("</details>"):
        above.source = f"{above.source.rstrip().removesuffix('</details>')}{code}</details>"
    else:
        folded = f"<details><summary>Solution</summary>\n\n{code}</details>"
        cells.append(new_markdown_cell(folded, id=solution.id))


def copy(path: Path, numbers: Numbers) -> str:
    """Return a chapter as a notebook that any front end shows."""
    notebook = nbformat.read(path, as_version=4)
    cells = []
    for cell in notebook.cells:
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            if pictures := attached(cell.source, path.parent):
                cell.attachments = pictures
            cell.source = plain(cell.source, path.stem, numbers)
        elif "hide-cell" in tags:
            fold(cell, cells)
            continue
        elif "hide-input" in tags or "remove-input" in tags:
            cell.metadata["jupyter"] = {"source_hidden": True}
        cells.append(cell)
        if figure := cell.metadata.get("mystnb", {}).get("figure"):
            _, count = numbers.figures[figure["name"]]
            caption = plain(figure["caption"], path.stem, numbers)
            cells.append(new_markdown_cell(f"**Fig. {count}.** {caption}", id=f"{cell.id}-caption"))
    notebook.cells = cells
    return nbformat.writes(notebook) + "\n"


def prose(name: str, numbers: Numbers) -> str:
    """Return a page of definitions without its directive."""
    text = (ROOT / "chapters" / f"{name}.md").read_text(encoding="utf-8")
    text = re.sub(r"^:::\{glossary\}\n(.*?)^:::", r"\1", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"^([^\s#|].*)\n  ", r"**\1**: ", text, flags=re.MULTILINE)
    return plain(textwrap.dedent(text), name, numbers)


def references(numbers: Numbers) -> str:
    lines = ["# References", ""]
    order = sorted(numbers.works.values(), key=lambda work: (author(work), work.fields["year"]))
    for work in order:
        clean = {key: spelt(value) for key, value in work.fields.items()}
        where = clean.get("journal") or clean.get("booktitle") or clean.get("publisher", "")
        doi = f" [doi](https://doi.org/{clean['doi']})" if "doi" in clean else ""
        lines.append(f"- {author(work)} ({clean['year']}). {clean['title']}. *{where}*.{doi}")
    return "\n".join(lines) + "\n"


def copies() -> dict[str, str]:
    """Return the text of every file of the folder by its name."""
    paths = chapters()
    numbers = number(paths)
    listed = [f"- [{numbers.titles[path.stem]}]({path.name})" for path in paths]
    return {
        "README.md": ABOUT + "\n".join(listed) + "\n",
        "references.md": references(numbers),
        **{f"{name}.md": prose(name, numbers) for name in PROSE},
        **{path.name: copy(path, numbers) for path in paths},
    }


def write(folder: Path = LAB) -> list[str]:
    """Write the copies, and return the names of those that somebody has changed and that stay."""
    folder.mkdir(exist_ok=True)
    ledger = folder / LEDGER
    known = json.loads(ledger.read_text(encoding="utf-8")) if ledger.exists() else {}
    kept = []
    for name, text in copies().items():
        target = folder / name
        if target.exists() and _hash(target.read_text(encoding="utf-8")) != known.get(name):
            kept.append(name)
            continue
        target.write_text(text, encoding="utf-8")
        known[name] = _hash(text)
    ledger.write_text(json.dumps(known, indent=1), encoding="utf-8")
    return kept


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


if __name__ == "__main__":
    for name in write(Path(sys.argv[1]) if len(sys.argv) > 1 else LAB):
        print(f"{name} is yours: left as it is")
