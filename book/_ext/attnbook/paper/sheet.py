"""One page of the site becomes one chapter on paper.

What belongs to the screen goes: buttons, link signs, columns of links to Colab. What is folded lies
open. Links within the book lead to the place in the PDF and say on which page it is; links out of
it get a number, and their addresses stand at the end of the chapter.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from posixpath import dirname, join, normpath
from urllib.parse import unquote, urlsplit

from bs4 import BeautifulSoup, Tag

from attnbook.paper.contents import Entry

#: Of the screen only. MathML would be copied beside every formula's picture.
SCREEN = (
    ".headerlink, .katex-mathml, .toctree-wrapper, .sd-summary-state-marker, .hero ul, .map .small,"
    " .chart .small, .table-tools, .banner, .collapsed, script, noscript, style, button, input,"
    " select, textarea, form, dialog, template"
)
_LONG = 24  # characters of code within a line of text: longer ones may be broken anywhere
_WIDEST = 104  # columns: letters that let more fit would be too small to read
_COLAB = "https://colab.research.google.com/"
#: Attributes that name an element of the same page by its id.
_NAMING = ("aria-labelledby", "aria-describedby", "for", "headers")
_URL = re.compile(r"url\(#([^)]+)\)")


@dataclass
class Sheet:
    """A chapter on paper."""

    entry: Entry
    number: str  #: of the chapter, or empty
    title: str
    html: str
    provenance: str
    sections: list[tuple[str, str]] = field(default_factory=list)  #: anchor and title
    addresses: list[str] = field(default_factory=list)  #: in the order of their numbers

    @property
    def key(self) -> str:
        return self.entry.key


def anchor(key: str, identifier: str) -> str:
    """The name of a place in the PDF."""
    return f"{key}--{identifier}"


@dataclass
class _Page:
    """The page at work."""

    soup: BeautifulSoup
    article: Tag
    entry: Entry
    path: Path
    keys: dict[str, str]  #: name → key of every page that is in this book
    outside: Callable[[str], str]  #: name of a page → its address on the site
    addresses: list[str] = field(default_factory=list)


def read(
    edition_folder: Path,
    entry: Entry,
    keys: dict[str, str],
    out: Path,
    outside: Callable[[str], str],
) -> Sheet:
    """The page ``entry`` of the built edition, its pictures as seen from the folder ``out``."""
    path = edition_folder / f"{entry.name}.html"
    soup = BeautifulSoup(path.read_text("utf8"), "html.parser")
    article = soup.article
    assert article is not None
    page = _Page(soup, article, entry, path, keys, outside)
    for button in article.select("th button"):  # a head by which a table is sorted
        button.unwrap()
    for element in article.select(SCREEN):
        element.decompose()
    _unfold(page)
    _drop_colab(page)
    _pictures(page, out)
    _tables(page)
    _code(page)
    heading = article.h1
    assert heading is not None
    number = heading.select_one(".section-number")
    digits = number.extract().get_text().strip(" .") if number else ""
    title = " ".join(heading.extract().get_text().split())
    sections = [
        (anchor(entry.key, section["id"]), section.h2.get_text().strip())
        for section in article.select("section[id]:has(> h2)")
    ]
    _links(page)
    _ids(page)
    provenance = soup.select_one(".provenance")
    return Sheet(
        entry,
        digits,
        title,
        article.decode_contents(),
        provenance.get_text().strip() if provenance else "",
        sections,
        page.addresses,
    )


def _unfold(page: _Page) -> None:
    """What is folded on the screen lies open, under its line."""
    for fold in page.article.select("details"):
        fold.name = "div"
        fold["class"] = [*fold.get("class", []), "unfolded"]
        summary = fold.summary
        if summary:
            summary.name = "div"
            summary["class"] = [*summary.get("class", []), "fold-title"]


def _drop_colab(page: _Page) -> None:
    """Columns of tables that hold nothing but links to Colab: each chapter gives its address."""
    for table in page.article.select("table"):
        rows = [row.find_all(["th", "td"], recursive=False) for row in table.select("tbody > tr")]
        columns = zip(*rows, strict=False)
        for i in reversed([i for i, cells in enumerate(columns) if all(map(_is_colab, cells))]):
            for row in table.select("tr"):
                row.find_all(["th", "td"], recursive=False)[i].decompose()


def _is_colab(cell: Tag) -> bool:
    links = cell.select("a[href]")
    return bool(links) and all(link["href"].startswith(_COLAB) for link in links)


def _pictures(page: _Page, out: Path) -> None:
    for image in page.article.select("img"):
        source = page.path.parent / unquote(urlsplit(image["src"]).path)
        image["src"] = Path(os.path.relpath(source, out)).as_posix()
        del image["loading"]
    for link in page.article.select("a.image-reference"):
        link.unwrap()


def _tables(page: _Page) -> None:
    """A table without words in its head needs none on paper, where heads are said again."""
    for head in page.article.select("table > thead"):
        if not head.get_text().strip():
            head.decompose()


def columns(text: str) -> int:
    """Columns of the longest line that need not wrap; a Chinese character takes two."""
    widths = [
        sum(1 + (unicodedata.east_asian_width(character) in "WF") for character in line)
        for line in text.split("\n")
    ]
    return max((width for width in widths if width <= _WIDEST), default=80) or 80


def _code(page: _Page) -> None:
    """Each block says how wide it is, so that the style sheet can choose letters that fit."""
    for block in page.article.select("pre"):
        block["style"] = f"--columns: {columns(block.get_text())}"
    for code in page.article.select("code"):
        if len(code.get_text()) > _LONG:
            code["class"] = [*code.get("class", []), "long"]


def _links(page: _Page) -> None:
    said: set[tuple[str, str]] = set()  # place and section: its page number once a section
    for link in page.article.select("a[href]"):
        url = urlsplit(link["href"])
        if url.scheme or url.netloc:
            _number(page, link, link["href"])
            continue
        path = join(dirname(page.entry.name), unquote(url.path)) if url.path else page.entry.name
        name = normpath(path.removesuffix(".html"))
        if name not in page.keys:
            fragment = f"#{url.fragment}" if url.fragment else ""
            _number(page, link, page.outside(normpath(path)) + fragment)
            continue
        key = page.keys[name]
        place = anchor(key, unquote(url.fragment)) if url.fragment else key
        link["href"] = f"#{place}"
        del link["title"]
        if key == page.entry.key or link.find_parent(["table", "svg"]) or _is_citation(link):
            continue
        section = link.find_parent("section")
        if (place, str(section and section.get("id"))) in said:
            continue
        said.add((place, str(section and section.get("id"))))
        number = page.soup.new_tag("span", attrs={"class": "on-page", "data-to": place})
        link.append(number)


def _is_citation(link: Tag) -> bool:
    return link.find_parent(class_="bibtex-citation") is not None or "#ref-" in str(link["href"])


def _number(page: _Page, link: Tag, address: str) -> None:
    """A link that leads out of the book: its number, unless its words are its address."""
    link["href"] = address
    if link.find_parent("svg"):
        return
    if _says_address(link.get_text().strip(), address):
        return
    if address not in page.addresses:
        page.addresses.append(address)
    # A word joiner keeps the number on the line of the word it belongs to.
    number = page.soup.new_tag("sup", attrs={"class": "address"})
    number.string = str(page.addresses.index(address) + 1)
    link.insert_after("\u2060", number)


def _says_address(words: str, address: str) -> bool:
    """Whether a link's words are its address, or the number of a paper on arXiv."""
    bare = re.sub(r"^https?://", "", address).rstrip("/")
    paper = re.fullmatch(r"arxiv\.org/abs/([\d.]+)", bare)
    if paper and words.removeprefix("arXiv:") == paper[1]:
        return True
    return re.sub(r"^https?://", "", words).rstrip("/") == bare


def _ids(page: _Page) -> None:
    """All pages share one address on paper: each id gets the name of its page in front."""
    key = page.entry.key
    for element in page.article.find_all(True):
        if "id" in element.attrs:
            element["id"] = anchor(key, element["id"])
        for name in _NAMING:
            if name in element.attrs:
                value = element[name]
                words = value.split() if isinstance(value, str) else value
                element[name] = " ".join(anchor(key, word) for word in words)
        for name, value in list(element.attrs.items()):
            if isinstance(value, str) and "url(#" in value:
                element[name] = _URL.sub(lambda m: f"url(#{anchor(key, m[1])})", value)
        if element.name == "use":
            for name in ("href", "xlink:href"):
                if str(element.get(name, "")).startswith("#"):
                    element[name] = "#" + anchor(key, element[name][1:])
