"""Cards behind links: the term, formula, figure or work that a link leads to, shown in place.

The build collects what can be linked to into one script, ``_static/cards.js``. A page loads it
when somebody points at such a link, from a disk as well as from a server (see book.js).
"""

from __future__ import annotations

import json
from pathlib import Path

from bs4 import BeautifulSoup, Tag

SCRIPT = "cards.js"


def cards_of(page: str, body: str) -> dict[str, str]:
    """Return the HTML of every card of a page by ``page#anchor``.

    Parameters
    ----------
    page : str
        Name of the page without suffix, relative to the root of the book.
    body : str
        Its HTML, in which the pictures are named relative to the page.
    """
    soup = BeautifulSoup(body, "html.parser")
    found: dict[str, Tag | None] = {}
    for term in soup.select("dl.glossary dt[id]"):
        found[term["id"]] = term.find_next_sibling("dd")
    for thing in soup.select("div.math[id], figure[id], div.citation[id]"):
        found[thing["id"]] = thing
    return {f"{page}#{anchor}": _plain(thing, page) for anchor, thing in found.items() if thing}


def _plain(thing: Tag, page: str) -> str:
    """Strip what belongs to the page alone: anchors, references back, the label of a work."""
    for label in thing.select("span.label"):  # the link itself says as much
        label.decompose()
    for link in thing.select("a.headerlink"):
        link.decompose()
    for link in thing.select("a"):
        link.unwrap()
    for element in (thing, *thing.select("[id]")):
        element.attrs.pop("id", None)
        element.attrs.pop("role", None)
    for image in thing.select("img[src]"):
        if not image["src"].startswith("data:"):
            image["src"] = "_images/" + image["src"].rpartition("/")[2]
    return str(thing)


def write(cards: dict[str, str], folder: Path) -> None:
    """Write the script into the static folder of a built book."""
    # No markup of a script survives in here: "</" would end the element of a page that inlines it.
    text = json.dumps(cards, ensure_ascii=False, indent=0, sort_keys=True).replace("</", "<\\/")
    (folder / SCRIPT).write_text(f"window.CARDS = {text};\n", encoding="utf-8")
