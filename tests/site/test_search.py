"""Search, asked as readers ask: terms, names, both scripts, misspellings, keyboard, from disk."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml
from attnbook.search import index_terms
from bs4 import BeautifulSoup

pytestmark = pytest.mark.browser

TABLE = yaml.safe_load((Path(__file__).parent / "queries.yml").read_text("utf8"))
FIRST = """async (query) => {
    const { pages, suggestion } = await attnSearch.search(query);
    const first = pages[0];
    return {
        page: first ? first.url : null,
        sections: first ? [...first.sections.keys()] : [],
        excerpts: pages
            .filter((p) => p.excerpt || [...p.sections.values()].some((s) => s.excerpt)).length,
        suggestion,
    };
}"""


def start(open_page, edition: str):
    page = open_page(f"{edition}/notebooks/se.html")
    page.keyboard.press("Control+k")
    page.wait_for_selector("dialog.search[open] input")
    return page


@pytest.mark.parametrize("edition", ["en", "zh"])
def test_each_query_finds_its_page_first(open_page, pages, edition):
    page = start(open_page, edition)
    asked, faults = 0, []
    for query, place in TABLE[edition].items():
        name, _, section = place.partition("#")
        if name not in pages:
            continue
        asked += 1
        answer = page.evaluate(FIRST, str(query))
        if answer["page"] != f"{name}.html" or (section and section not in answer["sections"][:2]):
            faults.append((query, place, answer))
    assert asked >= 30
    assert faults == []


@pytest.mark.parametrize("edition", ["en", "zh"])
def test_results_come_with_excerpts(open_page, edition):
    page = start(open_page, edition)
    for query in ("ResNet-50", "PyTorch", "批归一化" if edition == "zh" else "batch normalisation"):
        assert page.evaluate(FIRST, query)["excerpts"] >= 1


@pytest.mark.parametrize("edition", ["en", "zh"])
def test_a_near_miss_gets_a_suggestion(open_page, edition):
    page = start(open_page, edition)
    for query, meant in TABLE["near"][edition].items():
        assert page.evaluate(FIRST, query)["suggestion"] == meant, query
    page.fill("dialog.search input", next(iter(TABLE["near"][edition])))
    page.click("dialog.search .suggestion")
    page.wait_for_selector("dialog.search ol a[href*='notebooks/se.html']")
    assert page.input_value("dialog.search input") == "squeeze excitation"


@pytest.mark.parametrize("edition", ["en", "zh"])
def test_what_is_right_is_not_corrected(open_page, pages, edition):
    page = start(open_page, edition)
    for query, place in TABLE[edition].items():
        if place.partition("#")[0] not in pages:
            continue
        assert page.evaluate(FIRST, str(query))["suggestion"] is None, query


def test_what_nobody_wrote_is_not_found(open_page):
    page = start(open_page, "en")
    page.fill("dialog.search input", "zzqxj")
    page.wait_for_selector("text=Nothing found")
    assert page.locator("dialog.search ol a").count() == 0


@pytest.mark.parametrize("edition", ["en", "zh"])
def test_search_by_keyboard(open_page, base_url, edition):
    page = open_page(f"{edition}/book/notation.html")
    page.keyboard.press("/")
    page.wait_for_selector("dialog.search[open]")
    page.keyboard.type("SqueezeExcitation")
    page.wait_for_selector("dialog.search ol a[href*='notebooks/se']")
    page.keyboard.press("ArrowDown")
    assert "notebooks/se" in page.evaluate("document.activeElement.getAttribute('href')")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    assert page.evaluate("document.activeElement.tagName") == "INPUT"
    page.keyboard.press("Enter")
    page.wait_for_url(f"{base_url}/{edition}/notebooks/se.html*")
    page.keyboard.press("Control+k")
    page.wait_for_selector("dialog.search[open]")
    page.keyboard.press("Escape")
    assert not page.locator("dialog.search").is_visible()


def test_results_that_come_late_leave_the_focus_alone(open_page):
    """The text of the last key is searched while the reader is already among the results."""
    page = start(open_page, "en")
    page.keyboard.type("SqueezeExcitation")
    page.wait_for_selector("dialog.search ol a[href*='notebooks/se']")
    page.keyboard.press("ArrowDown")
    at = page.evaluate("document.activeElement.getAttribute('href')")
    page.evaluate(
        """() => {
            document.querySelector("dialog.search ol").dataset.old = "";
            document.querySelector("dialog.search input").dispatchEvent(new Event("input"));
        }"""
    )
    page.wait_for_selector("dialog.search ol:not([data-old])")
    assert "notebooks/se" in at
    assert page.evaluate("document.activeElement.getAttribute('href')") == at


def test_a_slash_in_a_field_is_a_slash(open_page):
    page = start(open_page, "en")
    page.keyboard.type("C/r")
    assert page.input_value("dialog.search input") == "C/r"


@pytest.mark.parametrize("edition", ["en", "zh"])
def test_the_search_page_answers_an_address(open_page, edition):
    """Where a link or a browser's keyword asks: ``search.html?q=…``."""
    page = open_page(f"{edition}/search.html?q=SENet")
    page.wait_for_selector("#search-here ol a")
    assert "notebooks/se.html" in page.locator("#search-here ol a").first.get_attribute("href")


@pytest.mark.parametrize("edition", ["en", "zh"])
def test_a_copy_on_disk_searches_titles_and_says_so(browser, site, edition):
    """Browsers block the full text there: a notice, and the book's own index instead."""
    page = browser.new_page()
    page.goto((site / edition / "notebooks" / "se.html").as_uri())
    page.keyboard.press("/")
    page.wait_for_selector("dialog.search[open] input")
    page.keyboard.type("全局平均池化" if edition == "zh" else "global average pooling")
    page.wait_for_selector("dialog.search ol a")
    notice = page.text_content("dialog.search .notice")
    assert ("磁盘" if edition == "zh" else "disk") in notice
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("^file://.*#se-derivation$"))
    assert page.locator("article .katex").first.is_visible()
    page.click("#switch")
    other = "en" if edition == "zh" else "zh"
    page.wait_for_url(re.compile(f"^file://.*/{other}/notebooks/se.html"))
    page.close()


def test_every_place_of_the_index_exists(site, pages):
    """A term leads to a page and a section that are there."""
    for place in index_terms(Path(__file__).parents[2]):
        name, _, section = place.partition("#")
        assert name in pages, place
        if section:
            html = (site / "en" / f"{name}.html").read_text("utf8")
            assert BeautifulSoup(html, "html.parser").find(id=section), place
    for edition in ("en", "zh"):
        script = (site / edition / "search-index.js").read_text("utf8")
        index = json.loads(script.removeprefix("window.attnSearchIndex=").rstrip(";\n"))
        assert index["fulltext"]
        assert [name for name, _ in index["pages"]] == sorted(
            f"{name}.html" for name in pages if name != "search"
        )
