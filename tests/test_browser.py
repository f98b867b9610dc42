"""The built pages in a real browser, with the network cut: they work for everyone, everywhere."""

from __future__ import annotations

import io
import re
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import page_script
import pytest
from axe_playwright_python.sync_playwright import Axe
from browser import NO_BROWSER, open_browser
from PIL import Image
from playwright.sync_api import TimeoutError
from slim import ROOT, pages
from test_book import HTML

import cait_helpers as cait
from cait_helpers.teaching.explorers import explorer_page

pytestmark = pytest.mark.skipif(**NO_BROWSER)

LAW = {"thickness": 0.5e-3, "ion_density": 1.38e28, "permittivity": 8.0, "temperature": 323.15}
LAW |= {"fwhm": 0.25, "occupancy": 0.9}
PAGES = [*(f"{page}.html" for page in pages()), "genindex.html", "search.html"]
EXPERIMENT = "chapters/experiment.html"
DESKTOP, PHONE = {"width": 1280, "height": 800}, {"width": 375, "height": 667}

TYPESET = """async () => {
  if (!document.querySelector('.math')) return;
  while (!window.MathJax?.startup?.promise) await new Promise(done => setTimeout(done, 20));
  await MathJax.startup.promise;
}"""
DRAWN = """explorer => [
  explorer.querySelector('svg').innerHTML, explorer.querySelector('.explorer-says').textContent,
]"""
CHANGED = """([id, drawn, said]) => {
  const explorer = document.getElementById(id), svg = explorer.querySelector('svg');
  return svg.innerHTML !== drawn && explorer.querySelector('.explorer-says').textContent !== said
    && svg.getAttribute('aria-label') === explorer.querySelector('.explorer-says').textContent;
}"""
SMALLEST_LETTER = """explorer => Math.min(...[...explorer.querySelectorAll('svg text')].map(
  text => parseFloat(getComputedStyle(text).fontSize)))"""
# Words that begin or end outside of their drawing.
BEYOND = """explorer => {
  const { left, right } = explorer.querySelector('svg').getBoundingClientRect();
  return [...explorer.querySelectorAll('svg text')].filter(text => {
    const box = text.getBoundingClientRect();
    return box.width && (box.left < left - 1 || box.right > right + 1);
  }).map(text => text.textContent);
}"""
FITS = """id => document.querySelector(`#${id} svg`).clientWidth
  <= document.getElementById(id).clientWidth"""
ONLY = "<article>%s</article>"
AXE = Axe()
# Formulas and coloured code are thousands of elements with the same few styles on every page: axe
# gets their text, and looks at the colours of code once.
SIMPLER = """() => document.querySelectorAll('mjx-container, .highlight pre').forEach(
  element => { element.textContent = element.textContent; }
)"""
SHOWN = """explorer => {
  const shown = [...explorer.querySelectorAll('img')].filter(img => img.checkVisibility());
  return shown.map(img => [img.src, img.alt, img.naturalWidth > 0]);
}"""


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def origin():
    """The address of a server of the built book, on this machine and on no other."""
    if not (HTML / "index.html").exists():
        pytest.fail(f"there is no book in {HTML}: run `make book` first")
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=HTML))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


class Reader:
    """One tab of a browser whose only network is the book, and what has gone wrong in it."""

    def __init__(self, browser, home: str):
        self.home, self.troubles, self.planted = home, [], None
        self.tab = browser.new_context(viewport=DESKTOP).new_page()
        self.tab.route("**/*", self._answer)
        self.tab.on("pageerror", lambda error: self.troubles.append(f"script error: {error}"))
        self.tab.on("console", self._listen)

    def _answer(self, route):
        url = route.request.url
        if not url.startswith((self.home, "data:", "blob:")):
            self.troubles.append(f"foreign request: {url}")
            route.abort()
        elif self.planted and route.request.is_navigation_request():
            route.fulfill(body=self.planted, content_type="text/html; charset=utf-8")
        else:
            route.continue_()

    def _listen(self, message):
        if message.type == "error":
            self.troubles.append(f"console error: {message.text} ({message.location['url']})")

    def open(self, page: str, planted: str | None = None, typeset: bool = True) -> list[str]:
        """Open a page, or ``planted`` in its place, and return what goes wrong meanwhile."""
        self.troubles, self.planted = [], planted
        self.tab.set_viewport_size(DESKTOP)
        self.tab.goto(f"{self.home}/{page}", wait_until="load")
        if typeset:
            self.tab.add_style_tag(content="* { transition: none !important; }")
            self.tab.evaluate(TYPESET)
        return self.troubles


@pytest.fixture(scope="module")
def browser():
    with open_browser() as running:
        yield running


@pytest.fixture(scope="module")
def reader(browser, origin):
    return Reader(browser, origin)


def faults_of_mathematics(tab) -> list[str]:
    """Every formula is drawn, and none says that it cannot be."""
    bare = tab.locator(".math:not(:has(mjx-container))")
    # an error of the syntax, and in red a command that does not exist
    wrong = tab.locator("mjx-merror, mjx-mtext[style*='red']")
    return [
        *(f"not typeset: {text[:60]}" for text in bare.all_inner_texts()),
        *(f"mathematics error: {text[:60]}" for text in wrong.all_inner_texts()),
    ]


def disabled(explorer) -> list[str]:
    """Return a fault for each slider and list that nothing has woken."""
    controls = explorer.locator("input[type=range], select").all()
    names = [control.locator("xpath=..").inner_text().strip() for control in controls]
    return [
        f"slider {name!r} is disabled"
        for name, control in zip(names, controls, strict=True)
        if control.is_disabled()
    ]


def faults_of_letters(explorer) -> list[str]:
    """Every word of a drawing is large enough to be read, and all of it is there."""
    name, small = explorer.get_attribute("id"), explorer.evaluate(SMALLEST_LETTER)
    found = [f"{name} has letters of {small} pixels"] if small < 11 else []
    return found + [f"{name} cuts {text!r}" for text in explorer.evaluate(BEYOND)]


def faults_of_scene(tab, explorer, patience: float) -> list[str]:
    """An explorer that computes: from the keyboard each control changes drawing and text."""
    name = explorer.get_attribute("id")
    if found := disabled(explorer):
        return found
    explorer.scroll_into_view_if_needed()
    try:
        explorer.locator("svg").wait_for()
    except TimeoutError:
        return [f"{name} draws nothing: {explorer.locator('.explorer-note').inner_text()}"]
    found += faults_of_letters(explorer)
    for control in explorer.locator("input[type=range], select").all():
        before = explorer.evaluate(DRAWN)
        control.focus()
        tab.keyboard.press("ArrowRight" if control.get_attribute("type") else "ArrowDown")
        for _ in range(20):
            tab.keyboard.press("ArrowRight" if control.get_attribute("type") else "End")
        try:
            tab.wait_for_function(CHANGED, arg=[name, *before], timeout=patience)
        except TimeoutError:
            found.append(f"{name}: {control.get_attribute('id')} does not change picture and text")
    explorer.locator(".explorer-reset").click()
    return found


def faults_of_sliders(tab, patience: float = 30_000) -> list[str]:
    """From the keyboard, every step of every slider shows another picture with another text.

    An explorer that computes answers within ``patience``, in milliseconds.
    """
    found = []
    for explorer in tab.locator(".explorer[data-scene]").all():
        found += faults_of_scene(tab, explorer, patience)
    for explorer in tab.locator(".explorer:not([data-scene])").all():
        if asleep := disabled(explorer):
            found += asleep
            continue
        for slider in explorer.locator("input").all():
            name = slider.locator("xpath=..").inner_text().strip()
            slider.focus()
            before, said = explorer.evaluate(SHOWN), slider.get_attribute("aria-valuetext")
            for _ in range(int(slider.get_attribute("max"))):
                tab.keyboard.press("ArrowRight")
                after, says = explorer.evaluate(SHOWN), slider.get_attribute("aria-valuetext")
                if not (len(before) == len(after) == 1):
                    found.append(f"slider {name!r}: {len(after)} pictures at once")
                elif not after[0][2]:
                    found.append(f"slider {name!r}: a picture that cannot be drawn")
                elif before[0][0] == after[0][0]:
                    found.append(f"slider {name!r} does not change the picture at {says}")
                elif before[0][1] == after[0][1]:
                    found.append(f"slider {name!r} does not change the alt text at {says}")
                if said == says:
                    found.append(f"slider {name!r} does not say where it stands")
                before, said = after, says
    return found


CUT = """() => {
  const found = [];
  const note = (kind, element) => found.push(
    `${kind}: ${element.textContent.trim().replace(/\\s+/g, ' ').slice(0, 60)}`);
  const wide = (box) => box.checkVisibility() && box.scrollWidth > box.clientWidth + 1;
  const all = (selector) => document.querySelectorAll(`article ${selector}`);
  for (const block of all('pre')) if (wide(block)) note('block', block);
  for (const sheet of all('.pst-scrollable-table-container')) if (wide(sheet)) note('table', sheet);
  for (const box of all('div.math mjx-container')) if (wide(box)) note('formula', box);
  for (const box of all('span.math')) {
    if (getComputedStyle(box).overflow !== 'visible') note('formula', box);
  }
  return found;
}"""
TO_THE_MIDDLE = "e => e.scrollIntoView({block: 'center', behavior: 'instant'})"
UNCUT = "div.math, div.math mjx-container { overflow: visible !important }"


def faults_of_cuts(tab) -> list[str]:
    """No block of code, table or formula ends at an edge with more of it behind.

    Of a displayed formula the ink counts: where a letter of it reaches beyond its box, the picture
    changes as soon as the box cuts nothing.
    """
    found = tab.evaluate(CUT)
    for formula in tab.locator("article div.math").all():
        if not formula.is_visible():
            continue
        # in the middle of the window, and not moved between the two: a picture of half a pixel
        # further down is another picture
        formula.evaluate(TO_THE_MIDDLE)
        if is_cut(tab, formula):
            found.append(f"formula cut: {formula.get_attribute('id')}")
    return found


WEIGHT = """() => {
  if (!document.querySelector('article')) return [0, 0];  // the page of the search has none
  const article = document.querySelector('article').getBoundingClientRect();
  const cells = [...document.querySelectorAll('article .cell_input')];
  const shown = cells.filter((cell) => cell.checkVisibility());
  const code = shown.reduce((sum, cell) => sum + cell.getBoundingClientRect().height, 0);
  const explorer = document.querySelector('article .explorer');
  const depth = explorer ? explorer.getBoundingClientRect().top - article.top : 0;
  return [code / article.height, depth / article.height];
}"""
MOST_CODE, FIRST_EXPLORER = 0.12, 1 / 3  # of the height of a page


def faults_of_weight(tab) -> list[str]:
    """A chapter is read, not its code: little of it lies open, and something moves early on."""
    code, explorer = tab.evaluate(WEIGHT)
    found = [f"{code:.0%} of the page is code"] if code > MOST_CODE else []
    return found + ([f"explorer at {explorer:.0%}"] if explorer > FIRST_EXPLORER else [])


def is_cut(tab, formula) -> bool:
    """Whether a formula looks otherwise where its boxes cut nothing, and as before where they do.

    A page that is still being drawn looks otherwise for other reasons: then it is asked again.
    """
    for _ in range(9):
        seen = ink(tab, formula)
        style = tab.add_style_tag(content=UNCUT)
        free = ink(tab, formula)
        style.evaluate("style => style.remove()")
        if free == seen:
            return False
        if ink(tab, formula) == seen:
            return True
    raise AssertionError(f"never drawn twice alike: {formula.get_attribute('id')}")


def ink(tab, formula) -> bytes:
    """Return a picture of a formula with some of the paper around it."""
    box = formula.bounding_box()
    clip = {"x": box["x"], "y": box["y"] - 6, "width": box["width"], "height": box["height"] + 12}
    return tab.screenshot(clip=clip)


def faults_of_access(tab, *rules: str) -> list[str]:
    """What axe-core calls serious or critical, by all of its rules or by those given."""
    # Without preload it takes the style sheets as the browser has them.
    options = {"resultTypes": ["violations"], "preload": False}
    if rules:
        options["runOnly"] = {"type": "rule", "values": list(rules)}
    return [
        f"{violation['id']}: {violation['help']} ({node['target'][0]})"
        for violation in AXE.run(tab, options=options).response["violations"]
        if violation["impact"] in ("serious", "critical")
        for node in violation["nodes"]
    ]


def faults_in_the_dark(tab) -> list[str]:
    """The contrast of every text in the dark mode of the pages."""
    theme = "theme => { document.documentElement.dataset.theme = theme; }"
    tab.evaluate(theme, "dark")
    try:
        return faults_of_access(tab, "color-contrast")
    finally:
        tab.evaluate(theme, "light")


def faults_on_a_phone(tab) -> list[str]:
    tab.set_viewport_size(PHONE)
    width = tab.evaluate("document.documentElement.scrollWidth")
    found = [f"{width} pixels wide"] if width > PHONE["width"] else []
    for explorer in tab.locator(".explorer[data-scene]:has(svg)").all():
        explorer.scroll_into_view_if_needed()
        tab.wait_for_function(FITS, arg=explorer.get_attribute("id"))
        found += faults_of_letters(explorer)
    return found


@pytest.mark.parametrize("page", PAGES)
def test_a_page_works_for_every_reader_with_the_network_cut(reader, page):
    """One visit: no error, no foreign request, mathematics, sliders, access, dark, phone."""
    found = {"opening": reader.open(page)}
    found["mathematics"] = faults_of_mathematics(reader.tab)
    found["cut"] = faults_of_cuts(reader.tab)
    found["weight"] = faults_of_weight(reader.tab)
    found["sliders"] = faults_of_sliders(reader.tab)
    found["phone"] = faults_on_a_phone(reader.tab)
    reader.tab.set_viewport_size(DESKTOP)
    reader.tab.evaluate(SIMPLER)
    reader.tab.mouse.move(0, 0)  # it stood on a button, and may now stand on a link
    found["access"] = faults_of_access(reader.tab)
    found["dark"] = faults_in_the_dark(reader.tab)
    assert {what: faults for what, faults in found.items() if faults} == {}


def test_code_is_legible_in_both_modes(reader):
    """A chapter as it is, in every colour that its code is highlighted with."""
    reader.open(EXPERIMENT)
    assert faults_of_access(reader.tab, "color-contrast") == []
    assert faults_in_the_dark(reader.tab) == []


def test_on_a_phone_a_statement_of_the_ledger_has_the_whole_width(reader):
    """And says which of its numbers is the paper's and which was found."""
    reader.open("chapters/ledger.html")
    reader.tab.set_viewport_size(PHONE)
    statement, paper, found, _ = reader.tab.locator("tr:has(.verdict)").first.locator("td").all()
    assert statement.bounding_box()["width"] > 0.85 * PHONE["width"]
    for cell, name in ((paper, "paper: "), (found, "found: ")):
        assert cell.evaluate("td => getComputedStyle(td, '::before').content") == f'"{name}"'


def test_the_book_opens_from_a_disk(browser):
    """Every page by its path, without a server: nothing is missing and nothing is asked for."""
    reader = Reader(browser, HTML.as_uri())
    found = {page: list(reader.open(page, typeset=False)) for page in PAGES}
    assert {page: faults for page, faults in found.items() if faults} == {}
    reader.open(EXPERIMENT)
    assert faults_of_mathematics(reader.tab) == faults_of_sliders(reader.tab) == []


def test_one_switch_opens_all_code_of_a_page_and_of_the_next(browser, origin):
    """Folded at first; solutions stay folded whatever the switch says."""
    reader = Reader(browser, origin)
    reader.open(EXPERIMENT)
    code = reader.tab.locator(".tag_hide-input details.hide")
    opened = reader.tab.locator(".tag_hide-input details.hide[open]")
    assert code.count() > 2 and opened.count() == 0
    reader.tab.get_by_label("Show all code").check()
    assert opened.count() == code.count()
    assert reader.tab.locator(".tag_hide-cell details.hide[open]").count() == 0
    reader.open("chapters/front.html")
    assert opened.count() == code.count() > 2
    reader.tab.get_by_label("Show all code").uncheck()
    assert opened.count() == 0


@pytest.mark.parametrize("place", ["a server", "a disk"])
def test_a_link_shows_what_it_leads_to(browser, origin, place):
    """A term, a work, a formula of another page and a figure, under the pointer or the focus."""
    reader = Reader(browser, origin if place == "a server" else HTML.as_uri())
    reader.open(EXPERIMENT)
    card = reader.tab.locator(".card-of-link.placed")
    reader.tab.locator("article a[href='glossary.html#term-CAIT']").first.hover()
    card.get_by_text("an ion beam of low energy charges the surface").wait_for()
    reader.tab.keyboard.press("Escape")
    card.wait_for(state="detached")
    reader.tab.locator("article a[href^='references.html#']").first.focus()
    card.get_by_text("2011").wait_for()
    reader.tab.locator("article a[href='#fig-setup']").first.hover()
    picture = card.locator("img")
    picture.wait_for()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 300
    reader.open("chapters/landscape.html")
    reader.tab.locator("article a.reference.internal[href*='#equation-']").first.focus()
    card.locator("mjx-container").wait_for()
    assert reader.troubles == []


def test_in_the_dark_the_paper_of_a_figure_has_the_colour_of_the_page(reader):
    """No slab of grey: the corner of a figure and of an explorer's picture."""
    reader.open(EXPERIMENT)
    reader.tab.evaluate("document.documentElement.dataset.theme = 'dark'")
    page = reader.tab.evaluate("getComputedStyle(document.body).backgroundColor")
    page = np.array([int(part) for part in re.findall(r"\d+", page)[:3]])
    for picture in ("figure img", ".explorer img:not([hidden])"):
        drawn = io.BytesIO(reader.tab.locator(f"article {picture}").first.screenshot())
        corner = np.array(Image.open(drawn).convert("RGB"))[3, 3]
        assert np.abs(corner.astype(int) - page).max() <= 2, picture


@pytest.mark.parametrize("place", ["a server", "a disk"])
def test_a_term_is_found_from_the_keyboard(browser, origin, place):
    """Control-K, a word, Enter: the chapter that explains it is among the results."""
    reader = Reader(browser, origin if place == "a server" else HTML.as_uri())
    reader.open("index.html")
    reader.tab.keyboard.press("Control+K")
    reader.tab.keyboard.type("plateau")
    reader.tab.keyboard.press("Enter")
    reader.tab.wait_for_url("**/search.html?**")
    # results arrive one by one
    reader.tab.locator('#search-results li a[href*="chapters/front.html"]').first.wait_for()
    assert reader.troubles == []


def test_without_scripts_the_first_picture_stands_and_no_slider_pretends(browser, origin):
    tab = browser.new_context(java_script_enabled=False).new_page()
    tab.goto(f"{origin}/{EXPERIMENT}")
    explorer = tab.locator(".explorer").first
    visible = [image.is_visible() for image in explorer.locator("img").all()]
    assert visible == [True] + [False] * (len(visible) - 1)
    assert all(slider.is_disabled() for slider in explorer.locator("input").all())


@pytest.mark.parametrize("place", ["a server", "a disk"])
def test_the_example_of_the_solver_in_the_page_says_what_the_reference_says(browser, origin, place):
    """The block of code of the reference, run as it stands, against its text and the package."""
    reader = Reader(browser, origin if place == "a server" else HTML.as_uri())
    reader.open("chapters/api.html")
    code = reader.tab.locator(".highlight-js pre").inner_text()
    with reader.tab.expect_console_message() as message:
        reader.tab.evaluate(f"async () => {{ {code} }}")
    said = message.value.text
    assert reader.tab.locator("article code", has_text="resolved: front").inner_text() == said
    law = cait.activated_diffusivity(cait.gaussian_sed(0.25), 1e-18, 323.15, 0.9)
    run = cait.simulate(
        cait.Glass(0.5e-3, 1.38e28, 8.0, 323.15), {"Li": law, "Rb": 6.5e-23}, "Li", "Rb",
        cait.Voltage(10.0), cait.Charge(221.0),
    )  # fmt: skip
    assert said == f"resolved: front at {run.front_depth * 1e9:.1f} nm, plateau {run.plateau:.3f}"
    assert reader.troubles == []


def test_the_reference_names_every_argument_and_entry_of_the_solver_in_the_page(reader):
    """Two tables, against what the solver takes and gives."""
    reader.open("chapters/api.html")
    names = re.findall(r"`(\w+)`", (ROOT / "chapters" / "api.md").read_text(encoding="utf-8"))
    given = {**LAW, "D_bulk": 1e-18, "D_foreign": 6.5e-23, "voltage": 10.0, "duration": 1e5}
    found = reader.tab.evaluate("given => cait.simulate(given).then(Object.keys)", given)
    assert set(found) | set(page_script.CONSTANTS["ranges"]) <= set(names)


def test_on_paper_nothing_is_folded_and_no_slider_is_left(browser, origin):
    """What `make pdf` prints: solutions in the open, and of an explorer its picture."""
    reader = Reader(browser, origin)
    reader.open(EXPERIMENT)
    reader.tab.emulate_media(media="print")
    reader.tab.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert reader.tab.locator("details").count() > 3
    assert reader.tab.locator("details:not([open])").count() == 0
    assert not any(slider.is_visible() for slider in reader.tab.locator(".explorer input").all())
    assert len(reader.tab.locator(".explorer").first.evaluate(SHOWN)) == 1


@pytest.fixture(scope="module")
def healthy() -> str:
    return (HTML / EXPERIMENT).read_text(encoding="utf-8")


def plant(html: str, pattern: str, wrong: str) -> str:
    """Change the first match of a pattern in a page."""
    changed, count = re.subn(pattern, wrong, html, count=1, flags=re.DOTALL)
    assert count == 1
    return changed


def test_a_missing_alt_text_is_found(reader, healthy):
    reader.open(EXPERIMENT, plant(healthy, r'(<div class="explorer".*?<img) alt=".*?"', r"\1"))
    assert any("image-alt" in fault for fault in faults_of_access(reader.tab, "image-alt"))


def test_an_external_script_is_found(reader, healthy):
    wrong = plant(healthy, "</head>", '<script src="https://cdn.example/x.js"></script></head>')
    troubles = reader.open(EXPERIMENT, wrong)
    assert "foreign request: https://cdn.example/x.js" in troubles


def test_a_script_that_fails_is_found(reader, healthy):
    troubles = reader.open(EXPERIMENT, plant(healthy, "</head>", "<script>oh()</script></head>"))
    assert any("oh is not defined" in trouble for trouble in troubles)


def test_a_file_that_is_missing_is_found(reader, healthy):
    troubles = reader.open(EXPERIMENT, plant(healthy, r"book\.css", "gone.css"))
    assert any("404" in trouble for trouble in troubles)


@pytest.fixture(scope="module")
def stored() -> str:
    """An explorer without a scene: four pictures under one slider."""
    import matplotlib.pyplot as plt

    def draw(power):
        _, ax = plt.subplots(figsize=(2, 1))
        ax.plot([1, 2, 3], [1, 2**power, 3**power])
        return f"A curve of power {power}"

    return explorer_page(draw, power=[1, 2, 3, 4])


def test_pictures_under_a_slider_have_no_fault(reader, healthy, stored):
    reader.open("genindex.html", plant(healthy, r"<article.*</article>", ONLY % stored))
    assert reader.tab.locator(".explorer").count() == 1
    assert faults_of_sliders(reader.tab) == []


def test_a_slider_without_its_script_is_found(reader, healthy, stored):
    """Of the explorer that computes, and of one that has its pictures stored."""
    silent = re.sub(r"<script[^>]*(book|cait)\.js[^>]*></script>", "", healthy)
    reader.open(EXPERIMENT, plant(silent, "</article>", stored.replace("\\", r"\\") + "</article>"))
    controls = reader.tab.locator(".explorer :is(input[type=range], select)").count()
    found = faults_of_sliders(reader.tab)
    assert len(found) == controls > 1
    assert all("is disabled" in fault for fault in found)


def test_a_picture_that_stays_the_same_is_found(reader, healthy, stored):
    """Every picture the same: the slider says that it moves, and nothing is to be seen."""
    same = re.sub(
        r'src="data:image/png;base64,[^"]+"',
        'src="data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA="',
        stored,
    )
    reader.open("genindex.html", plant(healthy, r"<article.*</article>", ONLY % same))
    found = faults_of_sliders(reader.tab)
    assert len(found) == 3
    assert all("does not change the picture" in fault for fault in found)


def test_a_slider_that_moves_nothing_is_found(reader, healthy):
    """The scene is never told: every slider moves, and neither drawing nor text follows."""
    deaf = "document.addEventListener('input', event => event.stopImmediatePropagation(), true)"
    reader.open(EXPERIMENT, plant(healthy, "</head>", f"<script>{deaf}</script></head>"))
    sliders = reader.tab.locator(".explorer[data-scene] input[type=range]").count()
    found = faults_of_sliders(reader.tab, patience=2_000)
    assert sum("does not change picture and text" in fault for fault in found) == sliders > 0


@pytest.mark.parametrize("wrong", [r"\\(\\nonsense", r"\\(\\tau}", r"\\)\\tau"])
def test_mathematics_that_is_not_typeset_is_found(reader, healthy, wrong):
    reader.open(EXPERIMENT, plant(healthy, r"\\\(\\tau", wrong))
    assert faults_of_mathematics(reader.tab)


@pytest.mark.parametrize(
    ("wrong", "fault"),
    [
        (r"<pre>" + "x" * 120 + "</pre></article>", "block: xxx"),
        (
            r"<style>div.math mjx-container { padding: 0 !important; margin: 0 !important }"
            r"</style><div class='math' id='cut'>\\[\\smash{\\frac{\\hat A}{B}}\\]</div></article>",
            "formula cut: cut",
        ),
        (
            r"<style>span.math { overflow: hidden }</style>"
            r"<span class='math'>\\(\\xi^2\\)</span></article>",
            "formula: ",
        ),
    ],
)
def test_what_is_cut_at_an_edge_is_found(reader, healthy, wrong, fault):
    reader.open(EXPERIMENT, plant(healthy, "</article>", wrong))
    assert any(fault in found for found in faults_of_cuts(reader.tab))


def test_text_too_pale_for_the_dark_is_found(reader, healthy):
    reader.open(EXPERIMENT, plant(healthy, r"(<article.*?)<h1>", r'\1<h1 style="color: #333">'))
    assert faults_of_access(reader.tab, "color-contrast") == []
    assert faults_in_the_dark(reader.tab)


def test_a_page_too_wide_for_a_phone_is_found(reader, healthy):
    reader.open(EXPERIMENT, plant(healthy, "</article>", "<p style='width: 500px'>.</p></article>"))
    assert faults_on_a_phone(reader.tab)
