"""axe-core finds nothing serious on any page: both editions, light and dark."""

from __future__ import annotations

from pathlib import Path

import pytest

pytestmark = pytest.mark.browser

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "best-practice"]
#: The drawn twin of a formula is hidden from assistive technology and has thousands of elements.
RUN = """async (options) => {
    const result = await axe.run({ exclude: [[".katex-html"]] }, options);
    return result.violations
        .filter((v) => ["serious", "critical"].includes(v.impact))
        .map((v) => [v.id, v.nodes.slice(0, 3).map((n) => n.target.join(" "))]);
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
        page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true; })")
        page.evaluate(axe)
        if name == "book/glossary":
            page.keyboard.press("/")
            page.wait_for_selector("dialog.search[open] input")
            page.keyboard.type("attention")
            page.wait_for_selector("dialog.search ol a")
        faults += [(name, *finding) for finding in page.evaluate(RUN, options)]
    assert faults == []
