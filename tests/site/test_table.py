"""The tables that sort and filter, in Chromium, on the page "What it costs"."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.browser

PAGE = "{}/book/atlas/cost.html"
TABLE = "table[data-find]"  #: the first one of the page
PHONE = {"width": 390, "height": 844}
HAN = re.compile(r"[\u3400-\u9fff]")
KINDS = {"en": ("gate", "mixture"), "zh": ("门控", "混合")}


@pytest.fixture(params=["en", "zh"])
def edition(request) -> str:
    return request.param


@pytest.fixture
def page(open_page, edition):
    return open_page(PAGE.format(edition))


def names(page) -> list[str]:
    """The first column of the rows that can be seen."""
    return page.locator(f"{TABLE} tbody tr:visible th").all_inner_texts()


def column(page, place: int) -> list[float]:
    cells = page.locator(f"{TABLE} tbody tr:visible > :nth-child({place + 1})")
    return [float(cell.get_attribute("data-value")) for cell in cells.all()]


def heads(page):
    return page.locator(f"{TABLE} thead tr:last-child th")


def test_the_keyboard_sorts(page):
    written = names(page)
    head = heads(page).nth(2)  # parameters
    button = head.locator("button")
    button.focus()
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") == "ascending"
    assert column(page, 2) == sorted(column(page, 2))
    page.keyboard.press("Space")
    assert head.get_attribute("aria-sort") == "descending"
    assert column(page, 2) == sorted(column(page, 2), reverse=True)
    assert page.evaluate("document.activeElement.tagName") == "BUTTON"
    page.keyboard.press("Enter")
    assert head.get_attribute("aria-sort") is None
    assert names(page) == written
    heads(page).nth(0).locator("button").click()
    assert names(page) == sorted(written)
    assert page.locator(f"{TABLE} [aria-sort]").count() == 1


def test_missing_values_stay_at_the_end(page):
    last = heads(page).last  # the training step on a GPU, or what is recorded of it
    values = f"{TABLE} tbody tr > :last-child"
    page.eval_on_selector_all(values, "all => all.slice(2, 4).forEach((c) => c.dataset.value = 5)")
    for _ in range(2):
        last.locator("button").click()
        found = [c.get_attribute("data-value") for c in page.locator(values).all()]
        given = [value for value in found if value]
        assert found[: len(given)] == given


def test_rows_are_found_by_kind_and_by_word(page, edition):
    gate, mixture = KINDS[edition]
    everything = names(page)
    tools = page.locator(".table-tools").first
    tools.locator("select").select_option(mixture)
    mixtures = names(page)
    assert "multihead" in mixtures
    assert "se" not in mixtures
    assert str(len(mixtures)) in tools.locator("[role=status]").inner_text()
    tools.locator("input").fill("PSA")
    assert names(page) == []
    tools.locator("select").select_option("")
    assert names(page) == ["psa_parallel", "psa_sequential"]
    tools.locator("input").fill(f"{gate} sequ")
    assert names(page) == ["psa_sequential"]
    tools.locator("input").fill("")
    assert names(page) == everything


def test_its_words_are_in_the_language_of_the_page(page, edition):
    words = page.locator(".table-tools").first.inner_text()
    words += page.locator(".table-tools input").first.get_attribute("placeholder")
    words += heads(page).first.locator("button").get_attribute("title")
    assert bool(HAN.search(words)) == (edition == "zh")
    if edition == "zh":
        assert not re.search(r"[A-Za-z]", words)


def test_it_scrolls_inside_itself_on_a_phone(open_page, edition):
    page = open_page(PAGE.format(edition), viewport=PHONE)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    place = page.locator(".table-scroll").first
    first = page.locator(f"{TABLE} tbody th").first
    left = first.bounding_box()["x"]
    place.evaluate("(el) => { el.scrollLeft = 200; }")
    assert place.evaluate("(el) => el.scrollLeft") == 200
    assert first.bounding_box()["x"] == pytest.approx(left, abs=1)
    # What passes beneath the first column does not show through.
    assert first.evaluate("(el) => getComputedStyle(el).backgroundColor") != "rgba(0, 0, 0, 0)"


def test_without_javascript_it_is_a_plain_table(open_page, edition):
    page = open_page(PAGE.format(edition), java_script_enabled=False)
    assert page.locator(f"{TABLE} button").count() == 0
    assert page.locator(".table-tools").count() == 0
    assert page.locator(f"{TABLE} tbody tr").count() >= 16


def test_charts_fit_the_width(open_page, edition):
    for viewport, shown in ((PHONE, "small"), ({"width": 1280, "height": 900}, "large")):
        page = open_page(PAGE.format(edition), viewport=viewport)
        charts = page.locator(".chart")
        assert charts.count() >= 5
        for chart in charts.all():
            visible = [
                s.get_attribute("class") for s in chart.locator("svg").all() if s.is_visible()
            ]
            assert visible == [shown]
            size = chart.locator(f"svg.{shown} text").first.evaluate(
                """(el) => parseFloat(getComputedStyle(el).fontSize)
                    * el.ownerSVGElement.getBoundingClientRect().width
                    / el.ownerSVGElement.viewBox.baseVal.width"""
            )
            assert size >= 11  # pixels on the screen
