"""The tables that sort and filter, as HTML; Chromium tries them in tests/site/test_table.py."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from attnbook.tables import Cell, Column, sorted_table

COLUMNS = [Column("mechanism"), Column("kind", filter=True), Column("MACs", numeric=True)]
ROWS = [["se <x>", "gate", Cell("<b>16.4</b> k", 16_400)], ["gam", "gate", Cell("–")]]


def parsed(html: str) -> ElementTree.Element:
    # Attributes without a value are HTML, not XML.
    for name in ("data-sortable", "data-find", "data-filter"):
        html = html.replace(f" {name}", f' {name}=""')
    return ElementTree.fromstring(html)


def test_cells_are_escaped_and_sort_by_their_value():
    table = parsed(sorted_table(COLUMNS, ROWS))
    first, second = table.findall(".//tbody/tr")
    assert first.find("th").text == "se <x>"
    assert first.find("th").get("scope") == "row"
    assert first[2].get("data-value") == "16400"
    assert first[2].get("class") == "num"
    assert second[2].get("data-value") == ""  # missing: stays at the end
    assert second[1].get("data-value") is None


def test_heads_say_what_the_reader_may_choose():
    table = parsed(sorted_table(COLUMNS, ROWS, find=True))
    assert [h.get("data-filter") for h in table.findall(".//thead//th")] == [None, "", None]
    assert {h.get("scope") for h in table.findall(".//thead//th")} == {"col"}
    assert table.find(".//table").get("data-find") == ""
    assert "data-find" not in sorted_table(COLUMNS, ROWS)


def test_rows_must_fit_the_columns():
    with pytest.raises(ValueError, match="2 cells for 3 columns: 'se'"):
        sorted_table(COLUMNS, [["se", "gate"]])


def test_groups_of_columns_have_a_row_of_their_own():
    columns = [Column("a"), Column("b", group="x"), Column("c", group="x"), Column("d", group="y")]
    above, heads = parsed(sorted_table(columns, [["1", "2", "3", "4"]])).findall(".//thead/tr")
    assert [(c.tag, c.text, c.get("colspan")) for c in above] == [
        ("td", None, None), ("th", "x", "2"), ("th", "y", "1"),
    ]  # fmt: skip
    assert [h.text for h in heads] == ["a", "b", "c", "d"]
    assert len(parsed(sorted_table(COLUMNS, ROWS)).findall(".//thead/tr")) == 1
