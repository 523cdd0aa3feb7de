"""The record of costs is complete, equals what the library gives, and fits the formulas."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path

import pytest
import torch
from attnbook import catalogue, cost_words
from attnbook.cost import draw_gpu, draw_growth, draw_table
from attnbook.cost_charts import CHARTS, draw_chart, merged
from attnbook.cost_data import conditions, is_default, load_time, main_row
from attnbook.formula import html

import attnlib
from attnlib.lab import cost as count_module
from attnlib.lab.timing import COPY
from benchmarks import cost, records
from benchmarks.formulas import FORMULAS, limit, value

ROOT = Path(__file__).parents[2]
KEYS = attnlib.available()
HAN = re.compile(r"[\u3400-\u9fff]")


@cache
def record() -> dict:
    return records.read("cost")


# --- the counts -----------------------------------------------------------------------------------


def test_every_mechanism_is_counted_at_every_size():
    assert tuple(record()["mechanisms"]) == KEYS, "run `make cost`"
    assert set(FORMULAS) == set(KEYS)
    for key in KEYS:
        rows = [r for r in record()["rows"] if r["mechanism"] == key and is_default(r)]
        found = {(r["channels"], r["height"]) for r in rows}
        assert found == set(cost.sizes()), f"{key}: run `make cost`"


@pytest.mark.parametrize("key", KEYS)
def test_the_record_is_what_the_library_gives(key):
    fresh, stored = cost.count(key, cost.CHANNELS, cost.SIDE), main_row(record(), key)
    if record()["made"]["torch"] != torch.__version__:  # another version may allocate otherwise
        for row in (fresh, stored):
            del row["peak"], row["peak_training"]
    assert fresh == stored, "run `make cost`"


@pytest.mark.parametrize("key", KEYS)
def test_the_formulas_are_the_counts(key):
    formula = FORMULAS[key]
    rows = [row for row in record()["rows"] if row["mechanism"] == key]
    for row in rows:
        size = (row["channels"], row["height"])
        options = {k: v for k, v in row["options"].items() if k == "groups"}
        at = {"C": row["channels"], "H": row["height"], "W": row["width"]}
        assert value(key, formula.parameters, **at, **options) == row["parameters"], size
        assert value(key, formula.macs, **at, **options) == row["macs"], size


@pytest.mark.parametrize("key", KEYS)
def test_the_formulas_hold_where_height_and_width_differ(key):
    module, options = cost.create(key, 96)
    counted = count_module(module, (1, 96, 17, 23))
    at = {"C": 96, "H": 17, "W": 23}
    assert value(key, FORMULAS[key].parameters, **at, **options) == counted.parameters
    assert value(key, FORMULAS[key].macs, **at, **options) == counted.macs


@pytest.mark.parametrize("key", KEYS)
def test_the_counts_grow_as_the_formulas_say(key):
    growth = cost.growth(record()["rows"], key)
    assert record()["mechanisms"][key] == cost.describe(record()["rows"], key), "run `make cost`"
    for symbol in "CN":
        for quantity in ("parameters", "macs"):
            at = growth[quantity][symbol]
            assert at["fitted"] == at["formula"]
        for quantity in ("peak", "peak_training"):  # up to what is kept for small maps only
            at = growth[quantity][symbol]
            assert abs(at["fitted"] - at["formula"]) < 0.3, (quantity, symbol)


def test_position_attention_would_need_all_pairs_at_once():
    """The same module without chunks grows with N², so the bound above would catch it."""
    whole = [r for r in record()["rows"] if r["mechanism"] == "position" and not is_default(r)]
    points = [(r["height"] * r["width"], r["peak"]) for r in whole]
    assert len(points) == len(cost.GROWING_SIDES)
    assert cost.power(points) > 1.8


def test_powers():
    assert cost.power([(x, 3 * x**2) for x in (1, 2, 4, 8)]) == pytest.approx(2)
    assert cost.power([(1, 5), (2, 5)]) == 0
    assert cost.power([(1, 0), (2, 0)]) is None
    assert limit("psa_parallel", "4*C*N + 2*C**2", "C") == 2
    assert limit("criss_cross", "N*(H + W)", "N") == 1.5
    assert limit("shuffle", "0", "C") == 0


def test_groups_are_halved_until_they_divide():
    assert cost.create("shuffle", 256)[1] == {}
    assert cost.create("shuffle", 64)[1] == {"groups": 32}
    assert cost.create("sge", 96)[1] == {"groups": 32}
    assert cost.create("gam", 96)[1] == {}


def test_formulas_need_their_symbols_explained():
    with pytest.raises(ValueError, match="no meaning is given for 'q'"):
        value("se", "q*C", C=64, H=7, W=7)
    with pytest.raises(ValueError, match="is no formula"):
        value("se", "C if N else 0", C=64, H=7, W=7)


# --- the same numbers elsewhere in the book -------------------------------------------------------


def test_the_opening_page_says_the_same():
    known = catalogue.load(ROOT)
    assert known["at"] == {k: v for k, v in record()["at"].items() if k != "batch"}
    modules = {m["key"]: m for chapter in known["chapters"] for m in chapter["modules"]}
    assert set(modules) == set(KEYS)
    for key, module in modules.items():
        row = main_row(record(), key)
        assert (module["parameters"], module["macs"]) == (row["parameters"], row["macs"]), key


COST = re.compile(
    r"input x +\(1, (?P<C>\d+), (?P<H>\d+), (?P<W>\d+)\).*\n"
    r"parameters +(?P<parameters>[\d,]+)\nMACs +(?P<macs>[\d,]+)\n"
)
SUMMARY = re.compile(
    r"^(?P<name>\w+) +\[\d+, (?P<C>\d+), (?P<H>\d+), (?P<W>\d+)\] +[-\d,]+$"
    r"[^*]*?^Total params: (?P<parameters>[\d,]+)$",
    re.MULTILINE,
)


def printed(stem: str) -> str:
    """Everything that a chapter's cells have printed."""
    notebook = json.loads((ROOT / "notebooks" / f"{stem}.ipynb").read_text("utf8"))
    outputs = [o for c in notebook["cells"] if c["cell_type"] == "code" for o in c["outputs"]]
    texts = [o.get("text") or o.get("data", {}).get("text/plain", "") for o in outputs]
    return "\n".join("".join(text) for text in texts)


def number(text: str) -> int:
    return int(text.replace(",", ""))


def written(key: str, match: re.Match[str], quantity: str) -> float:
    at = {name: int(match[name]) for name in "CHW"}
    return value(key, getattr(FORMULAS[key], quantity), **at)


def test_the_chapters_print_the_same():
    chapters = {attnlib.info(key).chapter for key in KEYS}
    found = 0
    for stem in sorted(chapters):
        mine = {k: attnlib.info(k).module.__name__ for k in KEYS if attnlib.info(k).chapter == stem}
        text = printed(stem)
        for match in COST.finditer(text):
            counted = (number(match["parameters"]), number(match["macs"]))
            formulas = [(written(k, match, "parameters"), written(k, match, "macs")) for k in mine]
            assert counted in formulas, f"{stem} prints {match[0]}"
            found += 1
        for match in SUMMARY.finditer(text):
            for key in [k for k, name in mine.items() if name == match["name"]]:
                assert number(match["parameters"]) == written(key, match, "parameters"), stem
                found += 1
    assert found >= 15  # there is something to compare


# --- the times ------------------------------------------------------------------------------------


def test_every_mechanism_is_timed_under_every_condition():
    time = records.read("time")
    assert time["at"] == record()["at"]
    for machine in time["machines"]:
        device, threads = machine["device"], machine["threads"]
        rows = [r for r in time["rows"] if (r["device"], r["threads"]) == (device, threads)]
        passes = {(r["mechanism"], r["pass"]) for r in rows}
        assert passes >= {(k, p) for k in KEYS for p in ("forward", "forward+backward")}
        for row in rows:
            assert row["shape"] == [cost.BATCH, cost.CHANNELS, cost.SIDE, cost.SIDE]
            assert {"device_name", "dtype", "allocator", "torch"} <= row.keys()
            if row["median_s"] is None:
                assert time["busy"]["load"] > time["busy"]["cores"] / 2, "run `make time`"
                continue
            copies = [r for r in rows if r["mechanism"] == COPY and r["group"] == row["group"]]
            assert row["times_copy"] == pytest.approx(row["median_s"] / copies[0]["median_s"])
    assert {m["threads"] for m in time["machines"] if m["device"] == "cpu"} == {1, 2}


def test_timing_writes_what_the_page_reads(monkeypatch, tmp_path):
    from benchmarks import times

    write = records.write
    monkeypatch.setattr(records, "write", lambda *a, **k: write(*a, folder=tmp_path, **k))
    small = {"light": {"se": attnlib.create("se", 16)}, "heavy": {"gam": attnlib.create("gam", 16)}}
    monkeypatch.setattr(times, "groups", lambda: small)
    for name, size in {"BATCH": 1, "CHANNELS": 16, "SIDE": 8, "PRODUCT": 32}.items():
        monkeypatch.setattr(times, name, size)
    failed = times.main(["--budget", "1"])
    made = records.read("time", folder=tmp_path)
    assert failed == any(row["median_s"] is None for row in made["rows"])
    assert made["busy"]["cores"] >= 1
    assert {m["device"] for m in made["machines"]} >= {"cpu"}
    assert all(m["copy_bytes_per_s"] > 0 for m in made["machines"])
    assert {row["mechanism"] for row in made["rows"]} == {COPY, "se", "gam"}


# --- the page -------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "zh"])
class TestPage:
    def test_table_has_a_row_for_every_mechanism(self, language):
        table = draw_table(record(), load_time(ROOT), {"se": "se.html"}, language)
        for key in KEYS:
            assert table.count(f"<code>{key}</code>") == 1
        assert '<a href="se.html"><code>se</code></a>' in table
        assert 'data-value="410688">410,688<' in table
        assert bool(HAN.search(table)) == (language == "zh")

    def test_what_was_not_measured_says_so(self, language):
        words = cost_words.WORDS[language]
        table = draw_table(record(), None, {}, language)
        assert table.count(words["missing"]) == 2 * len(KEYS)  # the two columns of the GPU
        assert "<code>make time</code>" in draw_gpu(None, language)
        assert words["missing"] in draw_chart("time", record(), None, language)
        assert words["missing"] in draw_chart("roofline", record(), None, language)

    def test_growth_shows_every_formula(self, language):
        table = draw_growth(record(), language)
        for formula in FORMULAS.values():
            assert html(formula.parameters) in table
            assert html(formula.macs) in table

    @pytest.mark.parametrize("name", [*CHARTS, "time", "roofline"])
    def test_charts_name_every_mechanism(self, language, name):
        chart = draw_chart(name, record(), load_time(ROOT), language)
        silent = {"shuffle"} if name.startswith("macs") else set()
        assert [k for k in KEYS if k not in chart and k not in silent] == []
        assert bool(HAN.search(chart)) == (language == "zh")

    def test_a_gpu_gets_its_columns(self, language):
        time = {**records.read("time")}
        gpu = {**time["machines"][0], "device": "cuda", "threads": 1, "device_name": "Some GPU"}
        time["machines"] = [*time["machines"], gpu]
        cpu = [r for r in time["rows"] if r["device"] == "cpu" and r["threads"] == 1]
        time["rows"] = time["rows"] + [{**r, "device": "cuda", "times_copy": 77.7} for r in cpu]
        assert conditions(time)[-1] == ("cuda", 1)
        table = draw_table(record(), time, {}, language)
        assert table.count(">77.7<") >= len(KEYS)
        assert "Some GPU" in draw_gpu(time, language)


def test_a_busy_machine_is_mentioned():
    time = {**records.read("time"), "busy": {"load": 0.1, "cores": 2}}
    assert "busy" not in draw_table(record(), time, {}, "en")
    time["busy"] = {"load": 1.5, "cores": 2}
    assert "busy" in draw_table(record(), time, {}, "en")


def test_curves_that_coincide_are_drawn_once():
    found = {"a": [(1, 10), (2, 20)], "b": [(1, 10.4), (2, 20)], "c": [(1, 12), (2, 20)]}
    curves, together = merged(found, {"a": 0, "b": 1, "c": 2})
    assert [c.name for c in curves] == ["a +1", "c"]
    assert [c.style for c in curves] == [0, 2]
    assert together == {"a +1": ["a", "b"]}


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("2*C*c", "2<i>Cc</i>"),
        ("N*(H + W)", "<i>N</i>(<i>H</i> + <i>W</i>)"),
        ("2*(k**2 + 1)*C", "2(<i>k</i><sup>2</sup> + 1)<i>C</i>"),
        ("3*C/G", "3<i>C</i>/<i>G</i>"),
        ("max(8, C//r)", "max(8, ⌊<i>C</i>/<i>r</i>⌋)"),
        ("C - (N - 1)", "<i>C</i> − (<i>N</i> − 1)"),
    ],
)
def test_formulas_are_written_as_mathematics(expression, shown):
    assert html(expression) == shown


def test_only_formulas_are_written():
    with pytest.raises(ValueError, match="is no formula"):
        html("C if N else 0")
