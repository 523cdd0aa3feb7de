"""Chromium prints the book, again and again until all page numbers in it are right.

Chromium has margin boxes with page numbers, but cannot yet say in the text on which page something
else is (``target-counter``). So the book is printed once, the places of all anchors are read from
the PDF, their pages are written into the text, and it is printed again, until nothing moves any
more. What is measured before is in ``book/_paper/press.js``.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from pikepdf import Pdf

_MOST_PASSES = 8
_PATIENCE = 900_000  # milliseconds: a long book on a busy machine
_WIDTH = """() => {
    const ruler = document.createElement("div");
    ruler.style.cssText = "position: absolute; width: var(--sheet-width)";
    document.body.append(ruler);
    const width = ruler.getBoundingClientRect().width;
    ruler.remove();
    return Math.round(width);
}"""


class PaperError(Exception):
    """The book cannot be printed as it is."""


def places(printed: bytes) -> dict[str, int]:
    """Every named place of a PDF and the number of its page, from 1."""
    with Pdf.open(io.BytesIO(printed)) as pdf:
        numbers = {page.objgen: i for i, page in enumerate(pdf.pages, 1)}
        return {
            str(name).removeprefix("/"): numbers[place[0].objgen]
            for name, place in pdf.Root.Dests.items()
        }


def press(browser: Any, html: Path) -> bytes:
    """Print a file; every element with ``data-to`` says the page of the place it names."""
    page = browser.new_page(color_scheme="light", reduced_motion="reduce")
    page.set_default_timeout(_PATIENCE)
    try:
        page.goto(html.resolve().as_uri(), wait_until="load")
        page.emulate_media(media="print", color_scheme="light")
        # The window as wide as the text on paper: what is measured is what will be printed.
        page.set_viewport_size({"width": page.evaluate(_WIDTH), "height": 1000})
        page.evaluate("document.fonts.ready")
        for prepare in ("fit", "ragged", "keep"):
            page.evaluate(f"paper.{prepare}()")
        for fault, found in (
            ("pictures are missing", page.evaluate("paper.lostPictures()")),
            ("wider than the page", page.evaluate("paper.tooWide()")),
        ):
            if found:
                raise PaperError(f"{html.name}: {fault}: {'; '.join(found)}")
        return _until_still(page, html.name)
    finally:
        page.close()


def _until_still(page: Any, name: str) -> bytes:
    wanted = set(page.evaluate("paper.places()"))
    known: dict[str, int] = {}
    for _ in range(_MOST_PASSES):
        page.evaluate("(pages) => paper.fill(pages)", known)
        printed: bytes = page.pdf(prefer_css_page_size=True, print_background=True, tagged=True)
        found = places(printed)
        if missing := wanted - set(found):
            raise PaperError(f"{name}: no such place: {', '.join(sorted(missing))}")
        if found == known:
            return printed
        known = found
    raise PaperError(f"{name}: page numbers still move after {_MOST_PASSES} passes")
