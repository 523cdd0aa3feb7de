"""From the pages of the built site to the PDF of each edition."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from attnbook.addresses import Addresses
from attnbook.chromium import launch
from attnbook.downloads import pdf_name
from attnbook.languages import EDITIONS, Edition
from attnbook.paper import frame
from attnbook.paper.finish import finish
from attnbook.paper.press import press
from attnbook.versions import head


def print_edition(
    root: Path, out: Path, browser: Any, edition: Edition, names: Sequence[str] = ()
) -> Path:
    """Print an edition of the built book (or its pages ``names``) into the folder ``out``."""
    folder = root / "_build" / "html" / edition.code
    html = out / f"{edition.code}.html"
    out.mkdir(parents=True, exist_ok=True)
    addresses = Addresses.load(root)
    parts = frame.read_parts(folder, out, addresses, edition, names)
    frame.write(root, folder, parts, html, addresses, edition)
    printed = press(browser, html)
    path = out / pdf_name(edition)
    finish(printed, path, parts, frame.author(root, edition), edition, head(root).date)
    return path


def print_book(
    root: Path,
    out: Path | None = None,
    editions: Sequence[Edition] = EDITIONS,
    names: Sequence[str] = (),
) -> list[Path]:
    """Print the editions of the built book, into ``_build/pdf`` unless told otherwise."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        try:
            out = out or root / "_build" / "pdf"
            return [print_edition(root, out, browser, edition, names) for edition in editions]
        finally:
            browser.close()
