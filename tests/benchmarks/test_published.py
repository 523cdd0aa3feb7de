"""Published accuracies: each with a source, and nothing subtracted across recipes."""

import re
from pathlib import Path

import pytest
from attnbook import published
from pybtex.database import parse_file

import attnlib
from attnlib.networks.recipes import MACS_V1, recipe

ROOT = Path(__file__).resolve().parents[2]
DATA = published.load(ROOT)
TABLES = {table["id"]: table for table in DATA["tables"]}
CHAPTERS = published.chapters_of(ROOT)
PAGE = (ROOT / "book/atlas/published.md").read_text("utf8")
ROWS = [(table, row) for table in DATA["tables"] for row in table["rows"]]
#: Within which an accuracy of these tasks must lie, so that a slip of the keyboard shows.
PLAUSIBLE = {"top1": (70, 82), "top1-error": (18, 30), "miou": (70, 88), "ap": (75, 82)}


def value_of(table, mechanism, label=None):
    (row,) = [
        r
        for r in TABLES[table]["rows"]
        if (r.get("mechanism", "?"), r.get("label")) == (mechanism, label)
    ]
    return published.accuracies(TABLES[table], row)[0]


def test_names_of_tables_are_unique():
    assert len(TABLES) == len(DATA["tables"])


@pytest.mark.parametrize("table", DATA["tables"], ids=[t["id"] for t in DATA["tables"]])
def test_table_has_one_source_one_recipe_one_metric_one_host(table):
    assert set(table) <= {
        "id",
        "group",
        "metric",
        "compare",
        "source",
        "recipe",
        "evidence",
        "rows",
    }
    assert table["group"] in DATA["groups"]
    assert table["metric"] in PLAUSIBLE
    assert table["source"]["name"]
    assert table["source"]["url"].startswith("https://")
    assert set(table["recipe"]) == {"en", "zh"}
    assert all(table["recipe"].values())
    assert table["evidence"] == "read"


@pytest.mark.parametrize(("table", "row"), ROWS)
def test_row_is_a_number_of_its_tables_recipe(table, row):
    """A row brings no source, recipe, host or metric of its own: then it would be another table."""
    assert set(row) <= {"mechanism", "other", "arxiv", "label", "value", "values", "quoted"}
    assert ("mechanism" in row) != ("other" in row)
    assert ("value" in row) != ("values" in row)
    if row.get("mechanism") is not None:
        assert row["mechanism"] in attnlib.available()
    low, high = PLAUSIBLE[table["metric"]]
    for value in row.get("values", [row.get("value")]):
        assert low < value < high


def test_nothing_is_subtracted_where_recipes_differ():
    for table, row in ROWS:
        found = published.gain(table, row)
        base = [r for r in table["rows"] if r.get("mechanism", "") is None]
        if not base or "quoted" in base[0] or "quoted" in row or not table.get("compare", True):
            assert found is None
        elif row is not base[0] and "value" in row:
            mine, theirs = (published.accuracies(table, r)[0] for r in (row, base[0]))
            assert found == pytest.approx(mine - theirs)


def test_no_two_tables_of_a_group_claim_the_same_recipe():
    for group in DATA["groups"]:
        told = [(t["source"]["name"], t["recipe"]["en"]) for t in published.of_group(DATA, group)]
        assert len(set(told)) == len(told), group


def test_sources_that_can_be_cited_are_in_the_references_and_on_the_page():
    entries = parse_file(str(ROOT / "book/references.bib")).entries
    cited = set(re.findall(r"[a-z]+\d{4}[a-z]+", " ".join(re.findall(r"{cite:p}`(.*?)`", PAGE))))
    wanted = {t["source"]["cite"] for t in DATA["tables"] if "cite" in t["source"]}
    assert wanted <= set(entries)
    assert wanted <= cited


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("group", DATA["groups"])
def test_group_is_drawn(group, language):
    html = published.draw(DATA, group, CHAPTERS, language)
    for table in published.of_group(DATA, group):
        assert table["recipe"][language] in html.replace("&#x27;", "'")
        for row in table["rows"]:
            for value in published.accuracies(table, row):
                assert f"{value:.{published._digits(table)}f}" in html
    assert not re.search(r"[\u4e00-\u9fff]", html) or language == "zh"
    assert html.count("<table") == html.count("</table>") >= 1


def test_every_group_is_on_the_page_in_both_languages():
    for group in DATA["groups"]:
        assert PAGE.count(f":::{{published}} {group}\n") == 2


def test_an_unknown_group_is_named():
    with pytest.raises(ValueError, match=r"no group 'resnet18'.*resnet50"):
        published.draw(DATA, "resnet18", CHAPTERS, "en")


def test_a_quoted_row_says_where_it_comes_from():
    html = published.draw(DATA, "cifar100", CHAPTERS, "zh")
    assert html.count("（引自 Christian-lyc/NAM）") == 2
    assert "+2.91" in html  # coordinate attention, trained beside the baseline
    assert "+3.30" not in html  # CBAM, which was not


def test_rows_stand_in_the_order_of_the_catalogue_not_of_the_numbers():
    html = published.draw(DATA, "resnet50", CHAPTERS, "en")
    found = re.findall(r'<th scope="row"><a href="../../notebooks/(\w+)', html)
    matrix = found[: found.index("eca") + 2]
    order = list(dict.fromkeys(CHAPTERS.values()))
    assert matrix == sorted(matrix, key=order.index)


def insight(host, mechanism):
    return value_of(f"insight-{host}", mechanism) - value_of(f"insight-{host}", None)


#: What the text of the page says, and the same from the data.
SAID = {
    "1.51": value_of("se-table-2", "se") - value_of("se-table-2", None),
    "1.02": value_of("se-table-10", "se", "r = 16") - value_of("se-table-10", None),
    "0.80": insight(50, "se"),
    "1.16": value_of("timm-33ts", "se") - value_of("timm-33ts", None),
    "0.51": insight(50, "bam"),
    "1.24": insight(50, "cbam"),
    "0.15": insight(101, "cbam"),
    "0.27": insight(101, "se"),
    "0.60": insight(101, "sge"),
    "75.20": value_of("se-table-2", None),
    "76.15": value_of("moskomule", None),
    "76.38": value_of("insight-50", None),
    "76.70": value_of("se-table-10", None),
    "77.72": value_of("pytorchcv-50", None),
    "2.5 ": value_of("pytorchcv-50", None) - value_of("se-table-2", None),
    "77.62": value_of("cbam-authors", "cbam"),
    "79.83": value_of("pytorchcv-50", "cbam"),
    "2.28": value_of("eca-table-3-50", "eca") - value_of("se-table-2", None),
    "77.48": value_of("eca-table-3-50", "eca"),
    "1.10": value_of("eca-table-3-50", "eca") - value_of("insight-50", None),
    "0.78": value_of("eca-table-3-50", "eca") - value_of("se-table-10", None),
    "76.98": value_of("one-set-of-weights", "cbam", "MXNet"),
    "2.91": value_of("ema-cifar100", "coordinate") - value_of("ema-cifar100", None),
    "2.0": value_of("coordinate-mobilenetv2", "coordinate")
    - value_of("coordinate-mobilenetv2", None),
    "1.2": value_of("coordinate-mobilenext", "coordinate")
    - value_of("coordinate-mobilenext", None),
    "2.6": value_of("coordinate-cityscapes", "coordinate")
    - value_of("coordinate-cityscapes", None),
    "77.45": value_of("timm-26ts", "eca"),
}


@pytest.mark.parametrize(("said", "value"), SAID.items())
def test_numbers_of_the_text_follow_from_the_data(said, value):
    digits = len(said.strip().partition(".")[2])
    assert f"{value:.{digits}f}" == said.strip()
    for language in PAGE.split('"lang-zh"'):
        assert said in language


def test_spread_of_three_runs():
    (row,) = [r for r in TABLES["ccnet-authors"]["rows"] if r["mechanism"] == "ccnet"]
    assert f"{max(row['values']) - min(row['values']):.2f}" == "1.34"
    assert PAGE.count("1.34") == 2


def test_no_gate_gains_more_than_the_text_says_on_resnet50():
    gains = [
        published.gain(t, r)
        for t in published.of_group(DATA, "resnet50")
        for r in t["rows"]
        if published.gain(t, r) is not None
    ]
    assert f"{max(gains):.2f}" == "1.51"


def test_orders_that_the_text_speaks_of():
    for series in ("timm-33ts", "timm-26ts"):
        assert value_of(series, "se") > value_of(series, "eca")
    assert value_of("eca-table-3-50", "eca") > value_of("eca-table-3-50", "se")
    assert value_of("mmseg-101", "danet") > value_of("mmseg-101", "ccnet")
    assert 0 < value_of("mmseg-50", "ccnet") - value_of("mmseg-50", "danet") < 0.05


def test_units():
    """The table of traps is arithmetic on the library's own counts."""
    plain, se = recipe(None, "resnet50"), recipe("se", "resnet50")
    assert plain.parameters == 25_557_032
    assert f"{plain.parameters / 1e6:.2f}" == "25.56"
    assert f"{plain.parameters / 2**20:.2f}" == "24.37"
    assert f"{se.parameters / 2**20:.2f}" == "26.77"
    assert MACS_V1["resnet50"] == 3_857_973_248
    assert f"{plain.macs / 1e9:.3f}" == "4.089"
    assert f"{(35_616_808 + 53_120) / 1e6:.1f}" == "35.7"
    assert f"{35_616_808 / 1e6:.1f}" == "35.6"
    for number in ("25,557,032", "28,071,976", "3,857,973,248", "53,120", "35,616,808"):
        assert PAGE.count(number) == 2
