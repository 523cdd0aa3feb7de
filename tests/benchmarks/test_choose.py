"""The decision page: its examples run, and its table says what the records say."""

import doctest
import re
from pathlib import Path

import pytest
from attnbook import choose, records
from attnbook.sight import TASKS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "book" / "atlas" / "choose.md").read_text("utf8")
EDITIONS = PAGE.split('+++ {"tags": ["lang-zh"]}')


def examples(text):
    return "\n".join(re.findall(r"```python\n(.*?)```", text, re.DOTALL))


def test_examples_run_and_are_the_same_in_both_languages():
    english, chinese = map(examples, EDITIONS)
    assert english == chinese
    test = doctest.DocTestParser().get_doctest(english, {}, "choose.md", None, 0)
    assert len(test.examples) >= 4
    assert doctest.DocTestRunner().run(test).failed == 0


@pytest.mark.parametrize("language", ["en", "zh"])
def test_table(language):
    sight, cost = records.load(ROOT, "sight"), records.load(ROOT, "cost")
    found = choose.rows(sight, cost)
    assert list(found) == list(TASKS) == list(choose.NEEDS)
    for cells in found.values():
        solved = [cell for cell in cells if cell["mean"] >= sight["solved"]]
        assert solved == cells or len(cells) == 1
        assert [c["macs"] for c in cells] == sorted(c["macs"] for c in cells)
    html = choose.draw(sight, cost, language)
    assert html.count("<tr>") == 1 + len(TASKS)
    for cells in found.values():
        assert f"<code>{cells[0]['mechanism']}</code>" in html
    assert (choose.WORDS[language]["nobody"] in html) == any(
        cells[0]["mean"] < sight["solved"] for cells in found.values()
    )
