"""The built site and its archives, opened from disk: no server, no network, no complaint."""

from __future__ import annotations

import zipfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
from attnbook import offline
from attnbook.addresses import Addresses
from attnbook.languages import EDITIONS
from attnbook.versions import Commit
from bs4 import BeautifulSoup

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
COMMIT = Commit("0123456789abcdef" * 2, "2026-11-25")
PAGES = ("index", "notebooks/se", "notebooks/ccnet", "book/glossary", "book/slow-line", "search")
OTHER = {"en": "zh", "zh": "en"}
FORK = {"ATTNBOOK_REPOSITORY": "https://github.com/someone/copy"}


@pytest.fixture(scope="module")
def archives(site, tmp_path_factory) -> dict[str, Path]:
    """The archive of each edition."""
    out, addresses = tmp_path_factory.mktemp("archives"), Addresses.load(ROOT, environment=FORK)
    return {e.code: offline.pack(site, e, addresses, COMMIT, out) for e in EDITIONS}


@pytest.fixture(scope="module")
def places(site, archives, tmp_path_factory) -> dict[tuple[str, str], Path]:
    """Folder of each edition, as built and as unpacked by a reader."""
    found = {}
    for code, archive in archives.items():
        out = tmp_path_factory.mktemp(f"unpacked {code}")  # a space, as folders of readers have
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(out)
        found["built", code] = site / code
        found["archive", code] = out / archive.stem
    return found


@pytest.fixture
def from_disk(browser):
    """``from_disk(path)`` → the page; its ``faults`` lists everything that went wrong in it."""
    context = browser.new_context()
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(f"{page.url}: {error}"))
    page.on("console", lambda m: page.faults.append(f"{page.url}: {m.type}: {m.text}"))
    page.on(
        "requestfailed",  # but for what was still loading when the next page was opened
        lambda r: (
            None
            if r.failure == "net::ERR_ABORTED"
            else page.faults.append(f"{page.url}: {r.url}: {r.failure}")
        ),
    )
    page.on(
        "request",
        lambda r: None if r.url.startswith(("file:", "data:")) else page.faults.append(r.url),
    )

    def open_(path: Path):
        page.goto(path.as_uri(), wait_until="load")
        return page

    yield open_
    context.close()


@pytest.mark.parametrize("edition", ["en", "zh"])
@pytest.mark.parametrize("place", ["built", "archive"])
class TestFromDisk:
    def test_pages_are_complete(self, places, from_disk, place, edition):
        """Style, pictures, fonts of formulas; and the console stays empty."""
        for name in PAGES:
            page = from_disk(places[place, edition] / f"{name}.html")
            assert page.evaluate("getComputedStyle(document.querySelector('.top')).position") == (
                "sticky"
            )
            lost = page.evaluate(
                """async () => {
                    for (const image of document.images) image.loading = "eager";
                    await Promise.allSettled([...document.images].map((i) => i.decode()));
                    return [...document.images].filter((i) => !i.naturalWidth).map((i) => i.src);
                }"""
            )
            assert lost == []
            if page.locator(".katex").count():
                page.evaluate("document.fonts.ready")
                fonts = page.evaluate(
                    "[...document.fonts].filter((f) => f.status === 'loaded').map((f) => f.family)"
                )
                assert {"KaTeX_Main", "KaTeX_Math"} <= set(fonts)
        assert page.faults == []

    def test_links_lead_on(self, places, from_disk, place, edition):
        folder = places[place, edition]
        other = OTHER[edition]
        page = from_disk(folder / "index.html")
        page.click(".book a[href$='notebooks/multihead.html']")
        page.click(".turn .next")
        page.wait_for_url((folder / "notebooks/se.html").as_uri())
        page.click("article a[href*='#equation-eq-se-excite'] >> nth=0")
        assert page.evaluate("document.querySelector(':target').id") == "equation-eq-se-excite"
        if place == "built":  # both editions lie side by side
            page.click("#switch")
            page.wait_for_function(f"location.pathname.includes('/{other}/notebooks/')")
            assert page.evaluate("document.documentElement.dataset.edition") == other
            page.click("#switch")
            page.wait_for_function(f"location.pathname.includes('/{edition}/notebooks/')")
        page.click(".brand")
        page.wait_for_url((folder / "index.html").as_uri())
        assert page.faults == []

    def test_search_answers(self, places, from_disk, place, edition):
        """The book's own index stands in, says so, and its results lead to files."""
        folder = places[place, edition]
        page = from_disk(folder / "book/glossary.html")
        page.keyboard.press("Control+k")
        page.fill("dialog.search input", "通道注意力" if edition == "zh" else "squeeze")
        result = page.locator("dialog.search .search-out ol a").first
        result.wait_for()
        notice = "从磁盘打开" if edition == "zh" else "opened from disk"
        assert notice in page.locator("dialog.search .search-out").inner_text()
        result.click()
        page.wait_for_function("!location.href.includes('glossary')")
        assert page.url.startswith(folder.as_uri())
        assert page.locator("article h1").count() == 1
        assert page.faults == []


@pytest.mark.parametrize("edition", ["en", "zh"])
def test_no_link_of_an_archive_is_dead(places, edition):
    """Links stay in the archive or lead to the published site: that of the fork, on a fork."""
    folder = places["archive", edition]
    for path in sorted(folder.rglob("*.html")):
        soup = BeautifulSoup(path.read_text("utf8"), "html.parser")
        for tag, name in (("a", "href"), ("link", "href"), ("script", "src"), ("img", "src")):
            for element in soup.find_all(tag):
                url = urlsplit(element.get(name) or "#")
                if url.scheme or not url.path:
                    continue
                target = (path.parent / unquote(url.path)).resolve()
                assert target.is_file(), (path.name, element)
                assert target.is_relative_to(folder)
        twin = soup.select_one("#switch")["href"]
        page = path.relative_to(folder).as_posix()
        assert twin == f"https://someone.github.io/copy/{OTHER[edition]}/{page}"
    slow = (folder / "book" / "slow-line.html").read_text("utf8")
    for ending in ("pdf", "zip"):
        file = f"downloads/visual-attention-{edition}.{ending}"
        assert f'href="https://someone.github.io/copy/{file}"' in slow


@pytest.mark.parametrize("edition", ["en", "zh"])
def test_what_an_archive_holds(site, archives, places, edition, tmp_path):
    folder = places["archive", edition]
    names = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert {"index.html", "README.txt", "search-index.js", "notebooks/se.ipynb"} <= names
    assert any(name.startswith("wheels/attnlib-") for name in names)
    assert not any(name.startswith("pagefind/") for name in names)
    assert "0123456789ab (2026-11-25)" in (folder / "README.txt").read_text("utf8")
    assert '"fulltext":false' in (folder / "search-index.js").read_text("utf8")
    assert archives[edition].stat().st_size < 6_000_000
    again = offline.pack(
        site,
        next(e for e in EDITIONS if e.code == edition),
        Addresses.load(ROOT, environment=FORK),
        COMMIT,
        tmp_path,
    )
    assert again.read_bytes() == archives[edition].read_bytes()  # same pages, same archive
