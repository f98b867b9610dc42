"""The built pages: complete, accessible, self-contained and light. They come from ``make book``."""

from __future__ import annotations

import json
import math
import re
import subprocess
import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import api
import downloads
import export
import figure_faults
import nbformat
import openings
import pytest
import tables
import verification
from bs4 import BeautifulSoup
from slim import ROOT, chapters, pages

HTML = ROOT / "_build" / "html"
HEAVIEST_PAGE = 1.5e6  # bytes
MOST_ADDED = 0.3e6  # by sliders that compute

# Elements that fetch something when a page is opened, and the attribute that says from where.
FETCHING = {
    "script": "src",
    "link": "href",
    "img": "src",
    "iframe": "src",
    "source": "src",
    "video": "src",
    "object": "data",
}
FOREIGN = re.compile(r"(https?:)?//", re.IGNORECASE)


def faults(page: BeautifulSoup) -> list[str]:
    """Return what is wrong with a page by itself."""
    return [*faults_of_images(page), *faults_of_sources(page), *faults_of_text(page)]


def faults_of_images(page: BeautifulSoup) -> list[str]:
    found = []
    for image in page.find_all("img"):
        alt, source = image.get("alt", "").strip(), image.get("src", "")
        name = source[:40]
        if not alt:
            found.append(f"image {name} has no alt text")
        elif alt in unquote(source) or re.search(r"\.(png|svg|jpe?g|gif|webp)$", alt):
            found.append(f"image {name} has a file name for its alt text: {alt}")
        drawn_by_cell = image.find_parent(class_="cell_output") is not None
        if drawn_by_cell and not image.find_parent(["figure", lambda tag: is_explorer(tag)]):
            found.append(f"image {name} of a cell is neither in a figure nor in an explorer")
    for figure in page.find_all("figure"):
        caption = figure.find("figcaption")
        if caption is None or not caption.get_text(strip=True).strip("#"):
            found.append(f"figure {figure.get('id')} has no caption")
    return found


def is_explorer(tag) -> bool:
    return "explorer" in tag.get("class", [])


def faults_of_sources(page: BeautifulSoup) -> list[str]:
    found = []
    for element, attribute in FETCHING.items():
        for tag in page.find_all(element):
            if FOREIGN.match(tag.get(attribute, "")):
                found.append(f"<{element}> fetches {tag[attribute]}")
    for script in page.find_all("script"):
        if re.search(FOREIGN.pattern + r"\w", strip_comments(script.get_text())):
            found.append(f"a script names a foreign host: {script.get_text().strip()[:60]}")
    for style in page.find_all("style"):
        found += [f"a style fetches {url}" for url in foreign_urls(style.get_text())]
    return found


def strip_comments(script: str) -> str:
    return re.sub(r"(^|\s)//[^\n]*|/\*.*?\*/", "", script, flags=re.DOTALL)


def foreign_urls(style: str) -> list[str]:
    """Return what a style sheet would fetch from elsewhere."""
    fetched = re.findall(r"url\(\s*['\"]?([^'\")]+)|@import\s+['\"]([^'\"]+)", style)
    return [url for pair in fetched for url in pair if FOREIGN.match(url)]


def faults_of_text(page: BeautifulSoup) -> list[str]:
    found = []
    if "traceback (most recent call last)" in page.get_text().lower():
        found.append("the page shows a traceback")
    if page.select(".cell_output .stderr, .cell_output .traceback"):
        found.append("a cell shows a warning or an error")
    if page.select(".problematic, .system-message"):
        found.append("the page shows a Sphinx message")
    return found


def dead_links(name: str, pages: dict[str, BeautifulSoup], exists) -> list[str]:
    """Return the links of one page to pages, files and anchors that do not exist.

    ``pages`` maps a path relative to the book's root to its page, and ``exists`` tells of any
    other relative path whether there is such a file.
    """
    found = []
    for link in pages[name].find_all("a", href=True):
        target = urlsplit(link["href"])
        if target.scheme or target.netloc:
            continue
        path = name
        if target.path:
            path = str(resolve(Path(name).parent, unquote(target.path)))
        if path in pages:
            if target.fragment and not has_anchor(pages[path], unquote(target.fragment)):
                found.append(f"{link['href']}: no such anchor")
        elif not exists(path):
            found.append(f"{link['href']}: no such file")
    return found


def resolve(folder: Path, path: str) -> Path:
    """Join without the file system, so that ``..`` works for paths that do not exist."""
    parts: list[str] = []
    for part in (folder / path).parts:
        if part == ".." and parts:
            parts.pop()
        elif part != ".":
            parts.append(part)
    return Path(*parts)


def has_anchor(page: BeautifulSoup, anchor: str) -> bool:
    return page.find(id=anchor) is not None or page.find("a", attrs={"name": anchor}) is not None


def load(folder: Path) -> dict[str, BeautifulSoup]:
    """Return every page of a built book by its path below the folder."""
    if not (folder / "index.html").exists():
        pytest.fail(f"there is no book in {folder}: run `make book` first")
    paths = [path for path in folder.rglob("*.html") if "_static" not in path.parts]
    return {
        path.relative_to(folder).as_posix(): parse(path.read_text(encoding="utf-8"))
        for path in paths
    }


def parse(html: str) -> BeautifulSoup:
    return BeautifulSoup(html, "html.parser")


@pytest.fixture(scope="module")
def book() -> dict[str, BeautifulSoup]:
    return load(HTML)


def test_the_book_holds_the_pages_of_its_table_of_contents_and_no_other(book):
    made_by_sphinx = {"genindex.html", "search.html"}
    assert set(book) - made_by_sphinx == {f"{page}.html" for page in pages()}


def test_every_page_stands_by_itself_and_can_be_read_without_seeing(book):
    """Real alt texts and captions, nothing fetched from elsewhere, no traceback."""
    assert {name: found for name, page in book.items() if (found := faults(page))} == {}


def test_no_style_sheet_of_the_book_fetches_anything_from_elsewhere(book):
    sheets = list(HTML.rglob("_static/**/*.css"))
    assert sheets
    found = {sheet.name: foreign_urls(sheet.read_text(encoding="utf-8")) for sheet in sheets}
    assert {name: urls for name, urls in found.items() if urls} == {}


def test_no_link_inside_the_book_is_dead(book):
    def exists(path: str) -> bool:
        return (HTML / path).is_file()

    assert {name: dead for name in book if (dead := dead_links(name, book, exists))} == {}


def test_no_page_is_heavy(book):
    """A reader on a phone waits for a page of 1.5 MB: its text, its pictures, its explorers.

    Scripts, styles and fonts are shared by all pages, and fetched once.
    """
    sizes = {}
    for name, page in book.items():
        files = {HTML / name}
        for image in page.find_all("img", src=True):
            if not image["src"].startswith("data:"):
                files.add(HTML / resolve(Path(name).parent, unquote(image["src"])))
        sizes[name] = sum(file.stat().st_size for file in files)
    assert {name: size for name, size in sizes.items() if size > HEAVIEST_PAGE} == {}


def test_what_computes_adds_little_to_a_page(book):
    """The script of the solver, which all pages share, and what a page's own explorers read."""
    shared = (HTML / "_static" / "cait.js").stat().st_size
    added = {
        name: shared + sum(len(one.get("data-given", "")) for one in page.select(".explorer"))
        for name, page in book.items()
    }
    assert {name: size for name, size in added.items() if size > MOST_ADDED} == {}


def test_every_explorer_of_the_book_has_its_script_and_a_picture_for_every_choice(book):
    """One that computes has the script of the solver, its scene, and the picture it opens with."""
    scenes = (ROOT / "book/page/scenes.js").read_text(encoding="utf-8")
    for name, page in book.items():
        for explorer in page.select(".explorer"):
            assert page.select("link[href*='book.css']"), name
            if scene := explorer.get("data-scene"):
                assert page.select("script[src*='cait.js']"), name
                assert re.search(rf"\b{scene}\b", scenes), name
                assert len(explorer.find_all("img")) == 1, name
                assert explorer.select("input[type=range], select"), name
                continue
            assert page.select("script[src*='book.js']"), name
            choices = math.prod(int(slider["max"]) + 1 for slider in explorer.find_all("input"))
            assert len(explorer.find_all("img")) == choices, name


def test_every_figure_and_every_displayed_equation_that_is_cited_has_a_number(book):
    """`Fig. 3` and `(3)`: a reader on paper has no link to follow."""
    for name, page in book.items():
        for figure in page.find_all("figure"):
            assert re.match(r"Fig\. \d+", figure.figcaption.get_text().strip()), (
                name,
                figure["id"],
            )
        for link in page.select("a.reference.internal[href*='#fig-']"):
            assert re.fullmatch(r"Fig\. \d+", link.get_text()), (name, link["href"])
        for link in page.select("a.reference.internal[href*='#equation-']"):
            assert re.fullmatch(r"\(\d+\)", link.get_text()), (name, link["href"])


def test_a_copy_of_a_chapter_numbers_equations_and_figures_as_its_page_does(book):
    """The copies for JupyterLab count by themselves; `(17)` and `Fig. 9` must be the same there."""
    numbers = export.number(chapters())
    assert len(numbers.equations) > 30 and len(numbers.figures) > 30
    for label, (chapter, count) in numbers.equations.items():
        page = book[f"chapters/{chapter}.html"]
        (shown,) = page.select(f"#equation-{label} .eqno")
        assert shown.get_text().strip("#") == f"({count})", label
    for name, (chapter, count) in numbers.figures.items():
        (shown,) = book[f"chapters/{chapter}.html"].select(f"figure#{name} .caption-number")
        assert shown.get_text().strip() == f"Fig. {count}", name


def test_no_legend_and_no_label_lies_over_the_data_of_a_figure():
    """The build has watched every figure and every picture of an explorer."""
    notes = (HTML.parent / "figures.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(note) for note in notes] == []


@pytest.mark.parametrize(
    ("draw", "fault"),
    [
        (lambda ax: ax.legend(loc="center"), "legend of 'y' lies over the curve 'rising'"),
        (lambda ax: ax.text(0.5, 0.5, "here", ha="center"), "label 'here' lies over the curve"),
        (lambda ax: (ax.legend(loc="upper left"), ax.text(0.1, 0.95, "name")), "lies over label"),
    ],
)
def test_what_lies_over_a_curve_is_found(draw, fault):
    """The gate itself, on a straight line."""
    import matplotlib.pyplot as plt

    fig, ax = plt.subplots()
    ax.plot([0, 1], [0, 1], label="rising")
    ax.set(ylabel="y")
    fig.canvas.draw()
    assert figure_faults.faults(fig) == []
    draw(ax)
    fig.canvas.draw()
    assert any(fault in found for found in figure_faults.faults(fig))


@pytest.mark.parametrize(
    ("printed", "rows"),
    [
        ("ion  plateau  D\nK       0.15  1e-3\nRb      0.07  2e-4", 3),
        ("       width  chi^2\nLi   250 meV    1.0\nRb   230 meV    7.3", 3),
        ("75 cycles\nc     width  chi^2\n0.5    0.25     61\n0.0     0.3     83\nas it was", 3),
        ("K   0.15  speed  1.1\nRb  0.07  speed  1.0\nCs  0.03  speed  1.0", 0),  # no head
        ("ion  plateau  D\nK       0.15  1e-3\nRb            2e-4", 0),  # a gap
        ("K    a    b\n1    1    1\n2    1    1\n  x  11%\nRb    a    b\n1    1    1", 0),  # two
        ("two  words  here\nand  more  words\nand  more  words", 0),
    ],
)
def test_columns_that_a_cell_prints_are_a_table_or_stay_as_they_are(printed, rows):
    """A head, at least two blanks between columns, every line complete: else nothing is guessed."""
    found = tables.found(printed)
    assert len(found[1] if found else []) == rows
    if found:
        before, body, after = found
        assert len({len(row) for row in body}) == 1
        said = " ".join([before, *(cell for row in body for cell in row), after])
        assert said.split() == printed.split()


def test_tables_that_cells_have_printed_are_tables_of_the_page(book):
    """The comparison with other codes, with its head; and no text is lost from a page."""
    (shown,) = (
        one for one in book["chapters/discretisation.html"].select("table.printed")
        if "SciPy LSODA" in one.get_text()
    )  # fmt: skip
    assert [cell.get_text().strip() for cell in shown.thead.find_all("th")][:3] == [
        "problem", "code", "cells",
    ]  # fmt: skip


def test_the_reference_shows_every_public_name_with_an_example(book):
    """The build has run the examples; a name without one, or one that fails, stops it."""
    import cait_helpers

    assert list(api.examples()) and set(api.examples()) == set(cait_helpers.__all__)
    shown = book["chapters/api.html"].get_text()
    assert [name for name in cait_helpers.__all__ if f"cait_helpers.{name}" not in shown] == [
        "style"
    ]


def test_the_reference_has_a_heading_for_every_public_name():
    """The modules below its headings are those in which the public names live, each once."""
    import cait_helpers

    homes = {api.home(name) for name in cait_helpers.__all__}
    assert sorted(sum(api.PARTS.values(), ())) == sorted(homes)


def test_an_example_that_comes_out_differently_stops_the_build(monkeypatch):
    monkeypatch.setattr(api, "examples", lambda: {"two": ">>> 1 + 1\n3"})
    with pytest.raises(ValueError, match="two"):
        api.run.__wrapped__()


def test_the_downloads_hold_what_they_promise(book):
    """The archives open, the wheel holds the package, and the notebooks are those of the book."""
    folder = HTML / "downloads"
    held = {name: set(zipfile.ZipFile(folder / name).namelist()) for name in (
        downloads.NOTEBOOKS, downloads.DATA, downloads.PAGES, downloads.WHEEL,
    )}  # fmt: skip
    assert {f"lab/{path.name}" for path in chapters()} <= held[downloads.NOTEBOOKS]
    assert downloads.WHEEL in held[downloads.NOTEBOOKS]
    assert "data/rb_on_lbo.txt" in held[downloads.NOTEBOOKS] & held[downloads.DATA]
    assert {"index.html", "chapters/front.html", "_static/cards.js"} <= held[downloads.PAGES]
    assert {"cait_helpers/npp.py", "cait_helpers/book.mplstyle"} <= held[downloads.WHEEL]
    with zipfile.ZipFile(folder / downloads.NOTEBOOKS) as archive:
        stored = nbformat.reads(archive.read("lab/front.ipynb").decode(), as_version=4)
    assert stored.cells[0].source.startswith("# ")


@pytest.mark.parametrize(
    ("remote", "address"),
    [
        ("git@github.com:someone/glass.git", "https://github.com/someone/glass"),
        ("https://github.com/someone/glass", "https://github.com/someone/glass"),
        ("/some/folder", None),
        ("", None),
    ],
)
def test_the_public_address_of_the_source_is_read_off_the_clone(monkeypatch, remote, address):
    """And never invented: without one the pages have no link to it."""
    monkeypatch.delenv("GITHUB_REPOSITORY", raising=False)
    answer = subprocess.CompletedProcess([], 0, stdout=f"{remote}\n")
    monkeypatch.setattr(downloads.subprocess, "run", lambda *_, **__: answer)
    assert downloads.repository() == address


def test_every_chapter_says_how_long_it_took_to_run(book):
    """Measured by the build, in the opening of the chapter and in the table of the status page."""
    status = book["chapters/status.html"]
    for path in chapters():
        name = f"chapters/{path.stem}"
        (line,) = [p for p in book[f"{name}.html"].find_all("p") if p.get_text()[:5] == "Time."]
        run = re.fullmatch(
            r"Time\. (\d+) minutes to read, (\d+) seconds to run, when this page was built\.",
            line.get_text(),
        )
        assert run, line
        assert int(run[1]) == openings.read(path).minutes
        row = status.select_one(f"table a[href*='{path.stem}']").find_parent("tr")
        measured = [float(cell.get_text()) for cell in row.find_all("td")[3:4]]
        assert float(run[2]) == pytest.approx(measured[0], abs=0.51)


def test_the_map_leads_to_every_chapter_and_names_no_prerequisite_that_comes_later(book):
    """In the reading order nobody meets a chapter that needs one further down."""
    order = [path.stem for path in chapters()]
    for place, path in enumerate(chapters()):
        assert book["chapters/map.html"].find("a", href=f"{path.stem}.html"), path.stem
        needed = [name for name in openings.read(path).needed if name in order]
        assert set(needed) <= set(order[:place]), path.stem


def test_the_status_page_shows_every_line_of_the_verification_and_each_is_met(book):
    shown = book["chapters/status.html"].get_text()
    assert len(verification.lines()) >= 8
    for line in verification.lines():
        assert line.what in shown
        assert line.met, line.row()


def test_a_line_of_the_verification_that_is_not_met_stops_the_build(monkeypatch):
    wrong = verification.Line("one against two", found=1.0, exact=2.0, allowed=0.1)
    monkeypatch.setattr(verification, "lines", lambda: (wrong,))
    with pytest.raises(ValueError, match="one against two"):
        verification.table()


def test_every_article_of_the_references_has_a_doi_and_shows_it(book):
    """A reference is a link to the work; books and their chapters may have none."""
    entries = (ROOT / "references.bib").read_text(encoding="utf-8").split("\n@")
    assert [entry[:40] for entry in entries if "article{" in entry and "doi " not in entry] == []
    shown = book["chapters/references.html"].select(".citation")
    linked = [entry for entry in shown if entry.select("a[href^='https://doi.org/']")]
    without = sum("doi " not in entry for entry in entries)
    assert len(linked) >= max(10, len(shown) - without)


@pytest.mark.parametrize(
    ("pattern", "wrong", "fault"),
    [
        (r'(<div class="explorer".*?<img) alt="[^"]*"', r"\1", "no alt text"),
        (r'(<figure.*?<img) alt="[^"]*"', r"\1", "no alt text"),
        (r"</head>", '<script src="https://cdn.example/x.js"></script></head>', "fetches https"),
    ],
)
def test_a_fault_planted_in_a_built_page_is_found(pattern, wrong, fault):
    """The gate on what it is for: a real page, changed in one place."""
    html = (HTML / "chapters/experiment.html").read_text(encoding="utf-8")
    changed, count = re.subn(pattern, wrong, html, count=1, flags=re.DOTALL)
    assert count == 1
    assert any(fault in text for text in faults(parse(changed)))


def test_a_link_broken_in_a_built_page_is_found(book):
    name = "chapters/experiment.html"
    html = (
        (HTML / name).read_text(encoding="utf-8").replace('href="front.html"', 'href="fromt.html"')
    )
    changed = {**book, name: parse(html)}
    assert dead_links(name, book, lambda path: (HTML / path).is_file()) == []
    assert dead_links(name, changed, lambda path: (HTML / path).is_file())


GOOD = """
<script src="_static/theme.js"></script>
<script>DOCUMENTATION_OPTIONS.pagename = 'x'; // see http://a.b
</script>
<link rel="stylesheet" href="_static/book.css">
<style>a { background: url(_static/a.png) }</style>
<a href="https://doi.org/10.1039/d4cp00262h">paper</a>
<div class="cell_output"><figure id="fig-a"><img src="_images/1.png" alt="A front at 100 nm">
<figcaption>The front.</figcaption></figure></div>
<div class="cell_output"><div class="explorer"><img src="data:," alt="A plateau"></div></div>
"""


def test_a_good_page_has_no_fault():
    assert faults(parse(GOOD)) == []


@pytest.mark.parametrize(
    ("right", "wrong", "fault"),
    [
        ('alt="A front at 100 nm"', "", "no alt text"),
        ('alt="A front at 100 nm"', 'alt=" "', "no alt text"),
        ('alt="A front at 100 nm"', 'alt="_images/1.png"', "file name for its alt"),
        ('alt="A front at 100 nm"', 'alt="../plot.svg"', "file name for its alt"),
        ("The front.", " ", "fig-a has no caption"),
        ("<figcaption>The front.</figcaption>", "", "fig-a has no caption"),
        ("explorer", "stray", "neither in a figure nor in an explorer"),
        ('src="_static/theme.js"', 'src="https://cdn.example/x.js"', "<script> fetches https"),
        ('src="_static/theme.js"', 'src="//cdn.example/x.js"', "<script> fetches //cdn"),
        ('src="_images/1.png"', 'src="http://a.example/1.png"', "<img> fetches http"),
        ('href="_static/book.css"', 'href="https://a.example/x.css"', "<link> fetches https"),
        ("pagename = 'x'", "src = 'https://cdn.example'", "a script names a foreign host"),
        ("url(_static/a.png)", "url('https://a.example/a.png')", "a style fetches"),
        ("<a ", "Traceback (most recent call last): <a ", "shows a traceback"),
        ("<figure", '<div class="output stderr">oh</div><figure', "a warning or an error"),
        ("<a ", '<span class="problematic">{ref}</span><a ', "Sphinx message"),
    ],
)
def test_every_fault_of_a_page_is_found(right, wrong, fault):
    """The gate itself: one defect planted in a good page gives that fault."""
    assert right in GOOD
    found = faults(parse(GOOD.replace(right, wrong)))
    assert any(fault in text for text in found), found


@pytest.mark.parametrize(
    ("href", "dead"),
    [
        ("#sec-a", False),
        ("#sec-b", True),
        ("../README.html", False),
        ("../README.html#top", False),
        ("../README.html#nowhere", True),
        ("../gone.html", True),
        ("../_static/file.png", False),
        ("../_static/gone.png", True),
        ("https://example.org/anything", False),
        ("mailto:someone@example.org", False),
    ],
)
def test_a_link_is_dead_if_its_file_or_its_anchor_is_missing(href, dead):
    small = {
        "README.html": parse('<h1 id="top">Top</h1>'),
        "chapters/front.html": parse(f'<h2 id="sec-a">A</h2><a href="{href}">link</a>'),
    }
    found = dead_links("chapters/front.html", small, {"_static/file.png"}.__contains__)
    assert bool(found) == dead


def test_a_book_that_is_not_built_fails_and_names_the_command(tmp_path):
    """Nothing to look at is not a pass, and not a skip."""
    with pytest.raises(pytest.fail.Exception, match="make book"):
        load(tmp_path)
