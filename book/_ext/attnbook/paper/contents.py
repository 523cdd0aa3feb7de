"""What the book consists of, read from the navigation of its built opening page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from bs4 import BeautifulSoup


@dataclass(frozen=True)
class Entry:
    """A page of the site: its name, ``notebooks/se``, and its title in the navigation."""

    name: str
    short: str

    @property
    def key(self) -> str:
        """Its name on paper, where all pages share one address."""
        return self.name.rpartition("/")[2]


@dataclass(frozen=True)
class Part:
    """Pages under one caption of the contents; the opening page has none."""

    caption: str
    entries: tuple[Entry, ...]


def read(edition_folder: Path) -> list[Part]:
    """The parts of a built edition, in the order of the book."""
    page = BeautifulSoup((edition_folder / "index.html").read_text("utf8"), "html.parser")
    navigation = page.select_one("nav#book")
    assert navigation is not None, f"{edition_folder} has no contents"
    start = navigation.select_one("a.start")
    assert start is not None
    parts = [Part("", (Entry("index", start.get_text(strip=True)),))]
    for caption in navigation.select("p.part"):
        links = caption.find_next_sibling("ul").select("a")
        for year in (small for link in links for small in link.select("small")):
            year.decompose()
        entries = [
            Entry(unquote(link["href"]).removesuffix(".html"), link.get_text(strip=True))
            for link in links
        ]
        parts.append(Part(caption.get_text(strip=True), tuple(entries)))
    keys = [entry.key for part in parts for entry in part.entries]
    assert len(keys) == len(set(keys)), "two pages of one name"
    return parts


def chosen(parts: list[Part], names: Sequence[str]) -> list[Part]:
    """Only the pages named, still in the order of the book."""
    if unknown := set(names) - {entry.name for part in parts for entry in part.entries}:
        raise ValueError(f"no such page: {', '.join(sorted(unknown))}")
    kept = (
        Part(part.caption, tuple(entry for entry in part.entries if entry.name in names))
        for part in parts
    )
    return [part for part in kept if part.entries]
