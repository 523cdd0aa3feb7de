"""The interface: wholly in the page's language, and reachable by keyboard."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.browser

PHONE = {"width": 390, "height": 844}
HAN = re.compile(r"[\u3400-\u9fff]")
#: What stands in Latin letters in the Chinese interface on purpose.
SAME_IN_BOTH = re.compile(r"^(English|/|#|Colab|notebook|[\d\s.·,()×+-]*|K|M|G)$")
#: Words of the theme and of the tools that must not show in a Chinese page.
LEFTOVERS = (
    "Search this book", "Color mode", "System Settings", "Toggle", "Show code cell",
    "Hide code cell", "Contents", "previous", "next page", "Copy to clipboard", "Link to this",
    "Permalink", "Back to top",
    "By The", "Skip to", "Download", "Open an issue", "Powered", "Built with", "Note", "Warning",
    "Navigation", "Last updated",
)  # fmt: skip

WORDS = """() => {
    const found = [];
    const outside = (el) => !el.closest(
        "article, .katex, code, [lang]:not(html), .provenance, #book li, .page-toc li, .turn b");
    const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walker.nextNode()) {
        const text = walker.currentNode.data.trim();
        const parent = walker.currentNode.parentElement;
        if (text && !parent.closest("script, style, noscript") && outside(parent)) found.push(text);
    }
    for (const el of document.querySelectorAll("[title], [aria-label], [placeholder], [data-dark]"))
        for (const name of ["title", "aria-label", "placeholder", "data-dark", "data-light"])
            if (el.hasAttribute(name) && !el.closest("[lang]:not(html), svg, a.reference"))
                found.push(el.getAttribute(name));
    return found;
}"""


def go(page, base_url: str, address: str) -> None:
    page.goto(f"{base_url}/{address}", wait_until="load")


def open_search(page) -> None:
    if page.locator("#search-here").count():  # the search page has the field in its text
        page.wait_for_selector("#search-here input")
        return
    page.keyboard.press("/")
    page.wait_for_selector("dialog.search[open] input")


def test_the_chinese_interface_is_chinese(open_page, base_url, pages):
    page = open_page("zh/index.html")
    faults = []
    for name in pages:
        go(page, base_url, f"zh/{name}.html")
        open_search(page)
        for text in page.evaluate(WORDS):
            if not HAN.search(text) and not SAME_IN_BOTH.match(text) and not text.isdigit():
                faults.append((name, text))
        visible = page.evaluate(
            """() => {
                const copy = document.body.cloneNode(true);
                copy.querySelectorAll("pre, code, [lang], .citation-list, .katex, script")
                    .forEach((el) => el.remove());
                return [copy.textContent, ...[...copy.querySelectorAll("[title],[aria-label]")]
                    .map((el) => el.title + " " + el.getAttribute("aria-label"))].join("\\n");
            }"""
        )
        faults += [(name, word) for word in LEFTOVERS if re.search(rf"\b{word}\b", visible)]
    assert faults == []


def test_the_english_interface_is_english(open_page, base_url, pages):
    page = open_page("en/index.html")
    faults = []
    for name in pages:
        go(page, base_url, f"en/{name}.html")
        open_search(page)
        faults += [(name, text) for text in page.evaluate(WORDS) if HAN.search(text)]
    assert faults == []


def test_the_keyboard_reaches_everything(open_page):
    """Tab visits every control that can be seen, in order, and shows where it is."""
    for edition in ("en", "zh"):
        page = open_page(f"{edition}/notebooks/se.html")
        page.evaluate("window.controls = 'a[href], button, summary, input, [tabindex=\"0\"]'")
        wanted = page.evaluate(
            """() => [...document.querySelectorAll(window.controls)]
                .filter((el) => el.getClientRects().length).length"""
        )
        page.evaluate("window.visited = new Set()")
        first = None
        unmarked = []
        for step in range(wanted + 5):
            page.keyboard.press("Tab")
            name, ring = page.evaluate(
                """() => {
                    const el = document.activeElement;
                    visited.add(el);
                    const style = getComputedStyle(el);
                    const ring = style.outlineStyle !== "none" && style.outlineWidth !== "0px";
                    return [el === document.body ? "BODY" : el.className || el.tagName, ring];
                }"""
            )
            first = first or name
            if not ring and name != "BODY":
                unmarked.append((step, name))
        assert first == "skip"
        assert unmarked == []
        missed = page.evaluate(
            """() => [...document.querySelectorAll(window.controls)]
                .filter((el) => el.getClientRects().length && !visited.has(el))
                .filter((el) => el.tagName === "SUMMARY" || !el.closest("details:not([open])"))
                .map((el) => el.outerHTML.slice(0, 90))"""
        )
        assert missed == []


def test_the_skip_link_skips(open_page):
    page = open_page("en/notebooks/se.html")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_the_contents_open_as_a_drawer_on_a_phone(open_page, base_url):
    page = open_page("zh/notebooks/se.html", viewport=PHONE)
    assert not page.locator("#book").is_visible()
    page.focus("#menu")
    page.keyboard.press("Enter")
    page.wait_for_selector("dialog.drawer[open] #book")
    assert page.evaluate("document.querySelector('dialog.drawer').contains(document.activeElement)")
    page.keyboard.press("Escape")
    page.wait_for_selector("dialog.drawer", state="detached")
    assert page.evaluate("document.activeElement.id") == "menu"
    page.click("#menu")
    page.click("dialog.drawer a[href$='glossary.html']")
    page.wait_for_url(f"{base_url}/zh/book/glossary.html")


def test_copying_code(open_page):
    page = open_page("en/notebooks/se.html", permissions=["clipboard-read", "clipboard-write"])
    block = page.locator(".cell_input div.highlight").nth(1)
    block.hover()
    block.locator(".copy").click()
    page.wait_for_selector(".copy.done")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied.startswith("import torch")
    assert "Copy" not in copied


def test_the_page_shows_where_the_reader_is(open_page):
    """The weights beside the page's contents sum to one and follow the reader."""
    page = open_page("en/notebooks/se.html", viewport={"width": 1400, "height": 900})
    page.evaluate("document.getElementById('se-wrong').scrollIntoView()")
    page.wait_for_timeout(200)
    weights = page.evaluate(
        "[...document.querySelectorAll('.page-toc.large a')]"
        ".map((a) => [a.hash, parseFloat(a.style.getPropertyValue('--w') || 0)])"
    )
    assert abs(sum(weight for _, weight in weights) - 1) < 0.01
    assert max(weights, key=lambda item: item[1])[0] == "#se-wrong"
