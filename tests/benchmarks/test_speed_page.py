"""The page of speed is drawn from the record, in both languages."""

from pathlib import Path

import pytest
from attnbook import records, speed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def record():
    return records.load(ROOT, "speed")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_everything_is_drawn(record, language):
    words = speed.WORDS[language]
    mechanisms = {r["mechanism"] for r in record["rows"]}
    chart = speed.chart(record, language)
    table = speed.table(record, language)
    for mechanism in mechanisms:
        assert f"{mechanism} · " in chart
        assert f"<code>{mechanism}</code>" in table
    promised = speed.promises(record, language)
    assert promised.count("<tr>") == 1 + len(record["promises"])
    held = sum(p["state"] == "holds" for p in record["promises"])
    assert str(held) in promised.partition("</strong>")[0]
    for which, draw in zip(speed.PASSES, (speed.compiled, speed.compiled_training), strict=True):
        drawn = draw(record, language)
        assert words["compiled"] in drawn
        assert words["copies_title"].format(which=words[which]) in drawn
    assert speed.compiled(record, language) != speed.compiled_training(record, language)


def test_both_languages_have_the_same_words():
    assert speed.WORDS["en"].keys() == speed.WORDS["zh"].keys()


def test_without_a_cuda_record_the_page_says_how_to_make_one(tmp_path):
    for language in ("en", "zh"):
        assert "make bench" in speed.gpu(tmp_path, language)


def test_another_function_is_shown_and_not_ranked(record):
    rows = [dict(r, same=False) if "same" in r else r for r in record["rows"]]
    table = speed.table({**record, "rows": rows}, "en")
    assert speed.WORDS["en"]["another"] in table


def test_the_source_names_every_commit_of_the_rows(record):
    made, old = record["made"]["commit"], "0123abc"
    rows = [*record["rows"], {"commit": old}]
    for language in ("en", "zh"):
        line = records.source_line({**record, "rows": rows}, language)
        assert f"<code>{made}</code>" in line
        assert f"<code>{old}</code>" in line
        line = records.source_line({**record, "rows": [{}]}, language)
        assert line.count("<code>") == 2  # the command and the commit
