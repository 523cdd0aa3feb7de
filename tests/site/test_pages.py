"""Every page of both editions, as a reader meets it: in Chromium, light and dark, on a phone."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from attnbook.contents import Contents

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
EDITIONS = ("en", "zh")
PHONE = {"width": 390, "height": 844}
HAN = r"[\u3400-\u9fff]"


def go(page, base_url: str, address: str) -> None:
    page.goto(f"{base_url}/{address}", wait_until="load")


@pytest.mark.parametrize("edition", EDITIONS)
def test_nothing_comes_from_elsewhere(open_page, base_url, pages, edition):
    page = open_page(f"{edition}/index.html")
    errors = []
    page.on("pageerror", lambda error: errors.append(f"{page.url}: {error}"))
    page.on("console", lambda m: errors.append(f"{page.url}: {m.text}") if m.type == "error" else 0)
    for name in pages:
        go(page, base_url, f"{edition}/{name}.html")
    foreign = [url for url in page.requested if not url.startswith((base_url, "data:", "blob:"))]
    assert foreign == []
    assert errors == []


@pytest.mark.parametrize("edition", EDITIONS)
def test_no_page_scrolls_sideways_on_a_phone(open_page, base_url, pages, edition):
    page = open_page(f"{edition}/index.html", viewport=PHONE)
    wide = []
    for name in pages:
        go(page, base_url, f"{edition}/{name}.html")
        width = page.evaluate("document.documentElement.scrollWidth")
        if width > PHONE["width"]:
            wide.append((name, width))
    assert wide == []


@pytest.mark.parametrize("edition", EDITIONS)
def test_formulas_are_set(open_page, base_url, pages, site, edition):
    """A page with formulas shows KaTeX's output, its fonts are there, and no TeX is left over."""
    page = open_page(f"{edition}/index.html")
    with_formulas = 0
    for name in pages:
        go(page, base_url, f"{edition}/{name}.html")
        found = page.evaluate(
            """() => {
                const copy = document.querySelector("article").cloneNode(true);
                copy.querySelectorAll("pre, code, annotation").forEach((el) => el.remove());
                return {
                    spans: document.querySelectorAll("article .math").length,
                    set: document.querySelectorAll("article .math .katex").length,
                    flat: [...document.querySelectorAll("article .katex-html")]
                        .filter((el) => !el.closest("details:not([open])"))
                        .filter((el) => !el.getBoundingClientRect().height).length,
                    text: copy.textContent,
                };
            }"""
        )
        assert found["set"] >= found["spans"], name
        assert found["flat"] == 0, name
        assert not re.search(r"\$\$|\\frac|\\sum|\\mathbb|\\odot|\\\(|\\\[", found["text"]), name
        with_formulas += found["spans"] > 0
    assert with_formulas >= 3


@pytest.mark.parametrize("edition", EDITIONS)
def test_formulas_do_not_need_a_script(browser, base_url, edition):
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    go(page, base_url, f"{edition}/notebooks/se.html")
    formula = page.locator("article .math-block .katex-html, article div.math .katex-html").first
    assert formula.bounding_box()["height"] > 15
    assert page.locator("#book a").count() > 5
    context.close()


@pytest.mark.parametrize("edition", EDITIONS)
def test_text_is_clean(open_page, base_url, pages, edition):
    """No mark-up that should have become something, no gap between two Chinese characters."""
    page = open_page(f"{edition}/index.html")
    faults = []
    for name in pages:
        go(page, base_url, f"{edition}/{name}.html")
        texts = page.evaluate(
            """() => {
                const main = document.querySelector("main");
                const walker = document.createTreeWalker(main, NodeFilter.SHOW_TEXT);
                const found = [];
                while (walker.nextNode()) {
                    const parent = walker.currentNode.parentElement;
                    if (!parent.closest("pre, code, script, style, noscript, .katex"))
                        found.push(walker.currentNode.data);
                }
                return found;
            }"""
        )
        for text in texts:
            if re.search(r"\*\*|\{[a-z:]+\}`|^:::|\]\(", text):
                faults.append((name, "mark-up", text[:80]))
            if re.search(rf"{HAN}\s*\n\s*{HAN}|{HAN} +{HAN}", text):
                faults.append((name, "broken line", text[:80]))
    assert faults == []


def test_light_and_dark(open_page, base_url):
    """The system decides until the reader does; the choice holds on the next page."""
    luminance = """() => {
        const of = (c) => c.match(/\\d+/g).slice(0, 3).map(Number).reduce((a, b) => a + b) / 765;
        const style = getComputedStyle(document.body);
        return [of(style.backgroundColor), of(style.color)];
    }"""
    for scheme in ("light", "dark"):
        page = open_page("en/notebooks/se.html", color_scheme=scheme)
        paper, ink = page.evaluate(luminance)
        assert (paper > 0.8 and ink < 0.3) if scheme == "light" else (paper < 0.2 and ink > 0.7)
        page.click("#theme")
        other = "dark" if scheme == "light" else "light"
        assert page.evaluate("document.documentElement.dataset.theme") == other
        go(page, base_url, "zh/book/glossary.html")
        assert page.evaluate("document.documentElement.dataset.theme") == other
        assert (page.evaluate(luminance)[0] > 0.8) == (other == "light")


@pytest.mark.parametrize("edition", EDITIONS)
def test_the_switch_keeps_page_and_section(open_page, base_url, pages, edition):
    other = "zh" if edition == "en" else "en"
    page = open_page(f"{edition}/index.html")
    for name in pages:
        go(page, base_url, f"{edition}/{name}.html")
        ids = page.evaluate(
            "[...document.querySelectorAll('.page-toc.large a')].map((a) => a.hash.slice(1))"
        )
        page.click("#switch")
        page.wait_for_url(f"{base_url}/{other}/{name}.html*")
        assert page.evaluate("document.documentElement.lang") == (
            "zh-CN" if other == "zh" else "en"
        )
        missing = [i for i in ids if not page.evaluate("(i) => !!document.getElementById(i)", i)]
        assert missing == [], name


@pytest.mark.parametrize("edition", EDITIONS)
@pytest.mark.parametrize("viewport", [{"width": 1400, "height": 900}, PHONE], ids=["wide", "phone"])
def test_the_switch_lands_where_the_reader_was(open_page, base_url, edition, viewport):
    other = "zh" if edition == "en" else "en"
    for section in ("se-derivation", "se-trace", "se-wrong", "se-exercises"):
        page = open_page(f"{edition}/notebooks/se.html", viewport=viewport)
        page.evaluate("(id) => document.getElementById(id).scrollIntoView()", section)
        page.wait_for_timeout(150)
        page.click("#switch")
        page.wait_for_url(f"{base_url}/{other}/notebooks/se.html#{section}")
        top = page.evaluate(
            "(id) => document.getElementById(id).getBoundingClientRect().top", section
        )
        assert -5 <= top <= 160, (section, top)


def test_nothing_moves_while_pictures_arrive(open_page, site):
    """Cumulative layout shift of a chapter, read from top to bottom."""
    for edition in EDITIONS:
        page = open_page(f"{edition}/notebooks/se.html", viewport=PHONE)
        page.evaluate(
            """() => {
                window.shift = 0;
                new PerformanceObserver((list) => list.getEntries().forEach((e) => {
                    if (!e.hadRecentInput) window.shift += e.value;
                })).observe({ type: "layout-shift", buffered: true });
            }"""
        )
        height = page.evaluate("document.documentElement.scrollHeight")
        for y in range(0, height, 700):
            page.evaluate("(y) => window.scrollTo(0, y)", y)
            page.wait_for_timeout(20)
        assert page.evaluate("window.shift") < 0.02
        unsized = page.evaluate(
            "[...document.querySelectorAll('article img:not([height])')].map((i) => i.src)"
        )
        assert unsized == []


def test_code_and_output_are_told_apart(open_page):
    for edition, word in (("en", "Output"), ("zh", "输出")):
        page = open_page(f"{edition}/notebooks/se.html")
        output = page.locator(".cell_output:has(.output.stream), .cell_output:has(pre)").first
        label = output.evaluate("(el) => getComputedStyle(el, '::before').content")
        assert label == f'"{word}"'
        assert output.evaluate("(el) => parseFloat(getComputedStyle(el).borderLeftWidth)") >= 2


def test_solutions_are_folded_and_open(open_page):
    page = open_page("en/notebooks/se.html")
    fold = page.locator("details.sd-dropdown").first
    assert not fold.evaluate("(el) => el.open")
    fold.locator("summary").click()
    assert fold.locator("p").first.is_visible()


def test_the_opening_page_grows_with_the_book(open_page):
    """A row and a link on the map for every chapter that is there, and for no other."""
    chapters = sorted(Path(name).name for name in Contents.load(ROOT).chapters)
    for edition in EDITIONS:
        page = open_page(f"{edition}/index.html")
        rows = page.locator("table.papers tbody tr")
        assert rows.count() == len(chapters)
        for drawing in (".map .large", ".map .small"):
            links = page.eval_on_selector_all(
                f"{drawing} a", "(all) => all.map((a) => a.getAttribute('href'))"
            )
            assert sorted(Path(link).stem for link in links) == chapters
        colab = page.eval_on_selector_all(
            "table.papers a[href*='colab.research']", "(all) => all.map((a) => a.href)"
        )
        assert len(colab) == len(chapters)
        assert all(f"/{edition}/notebooks/" in url for url in colab)


def test_the_map_is_legible_on_a_phone(open_page):
    for edition in EDITIONS:
        page = open_page(f"{edition}/index.html", viewport=PHONE)
        assert not page.locator(".map .large").is_visible()
        sizes = page.eval_on_selector_all(
            ".map .small text", "(all) => all.map((t) => t.getBoundingClientRect().height)"
        )
        assert len(sizes) > 24
        assert min(sizes) >= 11
        over = page.evaluate(
            """() => [...document.querySelectorAll(".map .small .node")].filter((node) => {
                const box = node.querySelector("rect").getBoundingClientRect();
                return [...node.querySelectorAll("text")].some((t) => {
                    const r = t.getBoundingClientRect();
                    return r.left < box.left || r.right > box.right || r.bottom > box.bottom;
                });
            }).map((node) => node.textContent)"""
        )
        assert over == []


def test_wide_things_scroll_inside_themselves(open_page):
    page = open_page("zh/notebooks/se.html", viewport=PHONE)
    regions = page.locator("[role=region][tabindex='0']")
    assert regions.count() > 3
    assert all(
        re.search(HAN, regions.nth(i).get_attribute("aria-label") or "")
        for i in range(regions.count())
    )


def test_the_root_lets_the_reader_choose(open_page, base_url):
    page = open_page("", locale="zh-CN")
    assert page.locator(".doors a").first.get_attribute("data-edition") == "zh"
    assert page.url.rstrip("/") == base_url  # nobody is sent anywhere
    page.click("[data-edition=en]")
    page.wait_for_url(f"{base_url}/en/index.html")
    go(page, base_url, "")
    assert page.locator(".doors a").first.get_attribute("data-edition") == "en"
    foreign = [url for url in page.requested if not url.startswith(base_url)]
    assert foreign == []


def test_a_lost_address_gets_a_page_in_both_languages(open_page, base_url):
    page = open_page("zh/notebooks/no-such-chapter.html")
    assert page.locator("section").first.get_attribute("lang") == "zh-CN"
    page.click("section[lang=zh-CN] a >> nth=0")
    page.wait_for_url(f"{base_url}/zh/index.html")
    page = open_page("en/nowhere.html")
    assert page.locator("section").first.get_attribute("lang") == "en"
