"""The built files, without a browser: heads, links, anchors, weight."""

from __future__ import annotations

import gzip
import json
import re
from functools import cache
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from bs4 import BeautifulSoup

pytestmark = pytest.mark.browser  # they need the built site

EDITIONS = {"en": "en", "zh": "zh-CN"}
FIRST_VISIT, NEXT_PAGE = 700_000, 150_000  # bytes after gzip


@cache
def soup(path: Path) -> BeautifulSoup:
    return BeautifulSoup(path.read_text("utf8"), "html.parser")


@cache
def anchors(path: Path) -> frozenset[str]:
    return frozenset(tag["id"] for tag in soup(path).find_all(id=True))


@pytest.mark.parametrize("edition", EDITIONS)
def test_heads(site, pages, edition):
    """Language, one title each, description, canonical address, twins, card."""
    titles = {}
    for name in pages:
        head = soup(site / edition / f"{name}.html").head
        html = head.parent
        assert html["lang"] == EDITIONS[edition]
        title = head.title.string
        assert title not in titles, f"{name} and {titles.get(title)} have the same title"
        titles[title] = name
        assert len(head.find_all("meta", attrs={"name": "viewport"})) == 1
        if name == "search":
            assert head.find("meta", attrs={"name": "robots"})["content"] == "noindex"
            continue
        canonical = head.find("link", rel="canonical")["href"]
        assert canonical.endswith(f"/{edition}/{name}.html")
        site_address = canonical.removesuffix(f"/{edition}/{name}.html")
        alternates = {
            link["hreflang"]: link["href"] for link in head.find_all("link", rel="alternate")
        }
        assert alternates == {
            "en": f"{site_address}/en/{name}.html",
            "zh-CN": f"{site_address}/zh/{name}.html",
            "x-default": f"{site_address}/en/{name}.html",
        }
        description = head.find("meta", attrs={"name": "description"})["content"]
        assert 15 <= len(description) <= 200
        assert bool(re.search(r"[\u3400-\u9fff]", description)) == (edition == "zh")
        card = head.find("meta", property="og:image")["content"]
        assert (site / Path(urlsplit(card).path).name).exists()
        assert head.find("link", rel="icon")


def test_links_and_anchors_resolve(site):
    """Every address on every page of the site, the root's own included."""
    broken = []
    for path in sorted(site.rglob("*.html")):
        if "pagefind" in path.parts:
            continue
        for tag, name in (("a", "href"), ("link", "href"), ("script", "src"), ("img", "src")):
            for element in soup(path).find_all(tag):
                url = urlsplit(element.get(name) or "#")
                if url.scheme or url.netloc:
                    continue
                target = path
                if url.path.startswith("/"):
                    target = site / unquote(url.path).lstrip("/").partition("/")[2]
                elif url.path:
                    target = (path.parent / unquote(url.path)).resolve()
                if not target.is_file():
                    broken.append((path.relative_to(site).as_posix(), element.get(name)))
                elif url.fragment and target.suffix == ".html":
                    found = unquote(url.fragment) in anchors(target)
                    broken += [] if found else [(path.relative_to(site).as_posix(), url.fragment)]
    assert broken == []


def test_both_editions_have_the_same_pages_and_sections(site, pages):
    for name in pages:
        english, chinese = (
            [s["id"] for s in soup(site / e / f"{name}.html").select("article section[id]")]
            for e in EDITIONS
        )
        assert english == chinese, name


@pytest.mark.parametrize("edition", EDITIONS)
def test_every_notebook_has_its_tools(site, edition):
    """Colab and download lead to the notebook in the page's language, the source to the .md."""
    for path in sorted((site / edition / "notebooks").glob("*.html")):
        links = {a.get_text(strip=True): a["href"] for a in soup(path).select(".tools a")}
        assert len(links) == 4
        colab, download, edit, report = links.values()
        assert colab.endswith(f"/{edition}/notebooks/{path.stem}.ipynb")
        assert (path.parent / download).is_file()
        cells = json.loads((path.parent / download).read_text("utf8"))["cells"]
        assert any(cell["cell_type"] == "code" for cell in cells)
        assert edit.endswith(f"/notebooks/{path.stem}.md")
        assert f"{path.stem}.html" in unquote(report)


def weight(path: Path) -> int:
    """Bytes that travel: text is compressed on the way, fonts and pictures already are."""
    data = path.read_bytes()
    packed = path.suffix in {".woff2", ".png", ".webp", ".jpg"}
    return len(data) if packed else len(gzip.compress(data, 6))


@pytest.mark.parametrize("edition", EDITIONS)
def test_pages_are_light(open_page, base_url, site, pages, edition, capsys):
    """What a notebook costs a reader who comes for the first time, and one who turns the page."""
    rows = []
    for name in [page for page in pages if page.startswith("notebooks/")] + ["index"]:
        page = open_page(f"{edition}/{name}.html")
        page.evaluate("window.scrollTo(0, document.documentElement.scrollHeight)")
        page.wait_for_timeout(300)
        own = shared = 0
        for url in {url.split("?")[0].split("#")[0] for url in page.requested}:
            path = site / unquote(url.removeprefix(f"{base_url}/"))
            if url.startswith("data:"):
                continue
            if "_static" in path.parts:
                shared += weight(path)
            else:
                own += weight(path)
        rows.append((name, own + shared, own))
    with capsys.disabled():
        for name, first, following in rows:
            print(
                f"\n{edition}/{name}: first visit {first / 1000:.0f} kB, "
                f"next page {following / 1000:.0f} kB",
                end="",
            )
    assert [row for row in rows if row[1] > FIRST_VISIT or row[2] > NEXT_PAGE] == []


def test_nothing_that_no_page_loads(site):
    """The theme's own assets stay out of the site."""
    for edition in EDITIONS:
        names = {path.name for path in (site / edition / "_static").iterdir()}
        assert {"site.css", "site.js", "search.js", "table.js", "favicon.svg"} <= names
        assert not names & {"scripts", "styles", "vendor", "locales", "pygments.css", "basic.css"}
        assert not (site / edition / "searchindex.js").exists()
