"""The built pages: complete, accessible, self-contained and light. They come from ``make book``."""

from __future__ import annotations

import math
import re
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup
from slim import ROOT, pages

HTML = ROOT / "_build" / "html"
HEAVIEST_PAGE = 1.5e6  # bytes

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
    made_by_sphinx = {"index.html", "genindex.html", "search.html"}
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
    """A reader on a phone waits for a page of 1.5 MB; every frame of an explorer is in it."""
    sizes = {name: (HTML / name).stat().st_size for name in book}
    assert {name: size for name, size in sizes.items() if size > HEAVIEST_PAGE} == {}


def test_every_explorer_of_the_book_has_its_script_and_a_picture_for_every_choice(book):
    for name, page in book.items():
        for explorer in page.select(".explorer"):
            assert page.select("script[src*='book.js']"), name
            assert page.select("link[href*='book.css']"), name
            choices = math.prod(int(slider["max"]) + 1 for slider in explorer.find_all("input"))
            assert len(explorer.find_all("img")) == choices, name


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
