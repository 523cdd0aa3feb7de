"""axe-core finds nothing serious on any page: both editions, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
#: What axe need not look at one by one: the drawn twin of a formula is hidden from assistive
#: technology, and the words of code differ in colour only, which has a test of its own.
PREPARE = """() => {
    document.querySelectorAll("details").forEach((fold) => { fold.open = true; });
    document.querySelectorAll(".katex-html").forEach((drawn) => drawn.replaceChildren("x"));
    document.querySelectorAll("pre").forEach((code) => { code.textContent = code.textContent; });
}"""
RUN = """async (options) => {
    const result = await axe.run(document, options);
    return result.violations
        .filter((v) => ["serious", "critical"].includes(v.impact))
        .map((v) => [v.id, v.nodes.slice(0, 3).map((n) => n.target.join(" "))]);
}"""
CODE_COLOURS = """() => {
    const light = (colour) => {
        const [r, g, b] = colour.match(/[\\d.]+/g).slice(0, 3).map((v) => {
            const c = v / 255;
            return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
        });
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const found = {};
    for (const span of document.querySelectorAll("article .cell_input pre span")) {
        const ground = getComputedStyle(span.closest(".highlight")).backgroundColor;
        const [a, b] = [light(getComputedStyle(span).color), light(ground)];
        found[span.className] = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    }
    return found;
}"""


@pytest.fixture(scope="module")
def axe() -> str:
    import axe_playwright_python

    return (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf8")


@pytest.mark.parametrize("edition", ["en", "zh"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_finding(open_page, base_url, pages, axe, edition, scheme):
    """All rules in light; what can differ in dark is contrast."""
    rules = {"type": "tag", "values": RULES}
    if scheme == "dark":
        rules = {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}
    options = {"resultTypes": ["violations"], "runOnly": rules}
    page = open_page(f"{edition}/index.html", color_scheme=scheme)
    faults = []
    for name in [*pages, "../index", "../404"]:
        page.goto(f"{base_url}/{edition}/{name}.html", wait_until="load")
        page.evaluate(PREPARE)
        page.evaluate(axe)
        if name == "book/glossary":
            page.keyboard.press("/")
            page.wait_for_selector("dialog.search[open] input")
            page.keyboard.type("attention")
            page.wait_for_selector("dialog.search ol a")
        faults += [(name, *finding) for finding in page.evaluate(RUN, options)]
    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_code_is_legible(open_page, scheme):
    """Every kind of word in code stands out from the ground by 4.5 to 1."""
    page = open_page("en/notebooks/se.html", color_scheme=scheme)
    contrasts = page.evaluate(CODE_COLOURS)
    assert len(contrasts) > 8
    assert {kind: ratio for kind, ratio in contrasts.items() if ratio < 4.5} == {}
