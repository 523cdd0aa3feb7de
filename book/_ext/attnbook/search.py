"""What readers search: the book's own index, and Pagefind's index of the full text.

Every edition carries ``search-index.js``: titles, headings, glossary, names in the code, counts and
the terms of ``book/index-terms.yml``, each with the place that explains it, and the words of the
book, which answer misspellings. It is a script and not JSON, so that it also loads from a page that
was opened from disk. The finished site carries ``pagefind/`` as well, the full text;
``book/_static/search.js`` asks both.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import unicodedata
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import yaml
from bs4 import BeautifulSoup, Tag

from attnbook import catalogue
from attnbook.languages import EDITIONS, Edition

_WORD = re.compile(r"[A-Za-zÀ-ž][A-Za-zÀ-ž0-9]{2,}")
_COUNT = re.compile(r"\b\d{1,3}(?:,\d{3})+\b")
_HAN = re.compile(r"[\u3400-\u9fff]")
#: Weights of the entries that are found by the same words: the better the place, the higher.
TERM, TITLE, NAME, GLOSSARY, HEADING = 8, 6, 5, 3, 1


def pages_of(folder: Path) -> dict[str, BeautifulSoup]:
    """The pages of an edition that have a text, by address below the edition."""
    found = {}
    for path in sorted(folder.rglob("*.html")):
        relative = path.relative_to(folder).as_posix()
        if relative.startswith("_") or "data-pagefind-body" not in (text := path.read_text("utf8")):
            continue
        found[relative] = BeautifulSoup(text, "html.parser")
    return found


def text_of(tag: Tag) -> str:
    """Its words, without permalinks and without the drawn twin of each formula."""
    parts = []
    for string in tag.strings:
        parents = [p for p in string.parents if isinstance(p, Tag)]
        if any(
            "headerlink" in (p.get("class") or ())
            or p.has_attr("data-pagefind-ignore")
            or p.name in ("script", "style")
            for p in parents
        ):
            continue
        parts.append(string)
    return " ".join("".join(parts).split())


def headings(page: BeautifulSoup) -> list[tuple[str, str]]:
    """Anchor and title of every heading; Sphinx puts the anchor on the section around it."""
    found = []
    for heading in page.select("article h1, article h2, article h3"):
        for number in heading.select(".section-number"):
            number.decompose()
        section = heading.find_parent("section")
        anchor = heading.get("id") or (section.get("id") if section else "")
        found.append((anchor or "", text_of(heading)))
    return found


def glossary_rows(page: BeautifulSoup) -> list[tuple[str, list[str]]]:
    """Anchor of the section, and the English and Chinese terms of every row."""
    found = []
    for row in page.select("article tbody tr"):
        cells = [text_of(cell) for cell in row.find_all(["td", "th"])]
        section = row.find_parent("section")
        if len(cells) >= 2 and section:
            found.append((section.get("id", ""), [cells[0], *cells[1].split("、")]))
    return found


def counts(page: BeautifulSoup) -> dict[str, str]:
    """The large numbers of a page, such as parameter counts, each with its first section."""
    found: dict[str, str] = {}
    for string in page.select_one("article").strings:
        for number in _COUNT.findall(string):
            if number not in found and (section := string.find_parent("section")):
                found[number] = section.get("id", "")
    return found


def build_index(root: Path, pages: dict[str, BeautifulSoup], *, fulltext: bool) -> dict[str, Any]:
    """The edition's own index, as ``search.js`` reads it."""
    order = {name: i for i, name in enumerate(pages)}
    titles: dict[str, str] = {}
    entries: list[list[Any]] = []
    terms: Counter[str] = Counter()
    words: Counter[str] = Counter()

    def add(key: str, page: str, anchor: str, title: str, weight: int) -> None:
        if key and page in order:
            entries.append([key, order[page], anchor, title, weight])

    for name, page in pages.items():
        found = headings(page)
        titles[name] = found[0][1] if found else name
        for i, (anchor, title) in enumerate(found):
            if i:
                add(title, name, anchor, title, HEADING)
            else:
                add(title, name, "", title, TITLE)
                short = re.split(r"：|: ", title)[0]
                if short != title:
                    add(short, name, "", title, TITLE)
        for number, anchor in counts(page).items():
            add(
                number, name, anchor, f"{number} · {dict(found).get(anchor, titles[name])}", HEADING
            )
        article = page.select_one("article")
        text = text_of(article) if article else ""
        words.update(word.lower() for word in _WORD.findall(text))

    if "book/glossary.html" in pages:
        for anchor, row in glossary_rows(pages["book/glossary.html"]):
            for term in row:
                add(term, "book/glossary.html", anchor, " · ".join(row[:2]), GLOSSARY)
                terms[term] += 1
    for chapter in catalogue.load(root)["chapters"]:
        page = f"notebooks/{chapter['chapter']}.html"
        names = [chapter["title"], chapter["title"].partition(":")[0], chapter["arxiv"]]
        names += [value for m in chapter["modules"] for value in (m["name"], m["key"])]
        for name in dict.fromkeys(names):
            add(name, page, "", titles.get(page, ""), NAME)
    for place, listed in index_terms(root).items():
        page, _, anchor = place.partition("#")
        page += ".html"
        known = dict(headings(pages[page])) if page in pages else {}
        for term in listed:
            add(term, page, anchor, known.get(anchor) or titles.get(page, ""), TERM)
            terms[term] += page in order

    return {
        "fulltext": fulltext,
        "pages": [[name, titles[name]] for name in pages],
        "entries": entries,
        "terms": [term for term in terms if _HAN.search(term) and terms[term]],
        # The more frequent first: among equally near words the more frequent is suggested.
        "words": [word for word, _ in words.most_common()],
    }


def index_terms(root: Path) -> dict[str, list[str]]:
    """Terms that lead to a place: ``{"notebooks/se#se-derivation": ["bottleneck", …]}``."""
    path = root / "book" / "index-terms.yml"
    return yaml.safe_load(path.read_text("utf8")) if path.is_file() else {}


def write_index(
    root: Path, folder: Path, pages: dict[str, BeautifulSoup], *, fulltext: bool
) -> None:
    index = build_index(root, pages, fulltext=fulltext)
    text = json.dumps(index, ensure_ascii=False, separators=(",", ":"))
    script = f"window.attnSearchIndex={unicodedata.normalize('NFC', text)};\n"
    (folder / "search-index.js").write_text(script, "utf8")


def anchored(page: BeautifulSoup) -> str:
    """The page as Pagefind wants it: the anchor of a section on its heading."""
    # Not of the title: its section is the page.
    for heading in page.select("article h2, article h3, article h4"):
        section = heading.find_parent("section")
        if section and section.get("id") and not heading.get("id"):
            heading["id"] = section["id"]
            del section["id"]
        for link in heading.select(".headerlink"):
            link.decompose()
    return str(page)


def index_fulltext(folder: Path, pages: dict[str, BeautifulSoup], edition: Edition) -> None:
    """Write ``pagefind/`` into an edition.

    The program runs on a copy of the pages and ends by itself. Pagefind's Python interface ends the
    program as soon as it reports, which on a busy machine leaves files empty.
    """
    from pagefind.service import get_executable

    out = folder / "pagefind"
    shutil.rmtree(out, ignore_errors=True)
    with tempfile.TemporaryDirectory() as scratch:
        for name, page in pages.items():
            copy = Path(scratch) / name
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(anchored(page), "utf8")
        command = [str(get_executable()), "--site", scratch, "--output-path", str(out)]
        command += ["--force-language", edition.lang.lower(), "--quiet"]
        subprocess.run(command, check=True, capture_output=True)
    json.loads((out / "pagefind-entry.json").read_text("utf8"))  # the file that leads to all others
    # Pagefind's own interfaces are not used: the site has its own.
    for extra in out.glob("pagefind-*"):
        if extra.name not in ("pagefind-entry.json", "pagefind-worker.js"):
            extra.unlink()


def index_edition(root: Path, site: Path, edition: Edition) -> None:
    folder = site / edition.code
    pages = pages_of(folder)
    write_index(root, folder, pages, fulltext=True)
    index_fulltext(folder, pages, edition)  # changes the pages, so it comes last


def run(root: Path, site: Path) -> None:
    """Index both editions of the finished site, at the same time."""
    with ProcessPoolExecutor(len(EDITIONS)) as pool:
        for done in [pool.submit(index_edition, root, site, edition) for edition in EDITIONS]:
            done.result()


def on_build_finished(app: Any, exception: Exception | None) -> None:
    """The index of an edition built alone; where both are built, ``run`` follows."""
    alone = not app.config.attnbook_both_editions
    if exception is None and app.builder.name == "html" and alone:
        folder = Path(app.outdir)
        write_index(Path(app.srcdir), folder, pages_of(folder), fulltext=False)


def setup(app: Any) -> None:
    app.connect("build-finished", on_build_finished)
