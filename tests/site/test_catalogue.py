"""What the opening page knows of the papers is what the library says."""

from __future__ import annotations

from pathlib import Path

from attnbook import catalogue, map

ROOT = Path(__file__).parents[2]


def test_the_catalogue_is_what_the_library_gives():
    assert catalogue.load(ROOT) == catalogue.collect(), "run `make catalogue`"


def test_the_map_knows_every_paper():
    stems = {node.stem for node in map.PAPERS}
    assert {row["chapter"] for row in catalogue.load(ROOT)["chapters"]} <= stems
    assert {parent for node in map.PAPERS for parent in node.parents} <= stems
    for language in ("en", "zh"):
        assert {node.what for node in map.PAPERS} <= set(map.WHAT[language])


def test_papers_on_the_map_do_not_overlap_and_time_runs_downwards():
    places = [(node.column, node.row) for node in map.PAPERS]
    assert len(set(places)) == len(places)
    rows = {node.stem: node.row for node in map.PAPERS}
    assert all(rows[node.stem] > rows[parent] for node in map.PAPERS for parent in node.parents)
    for one in map.PAPERS:
        assert all(other.row >= one.row for other in map.PAPERS if other.year > one.year)


def test_only_chapters_are_links():
    html = map.draw_map({"se": "notebooks/se.html"}, "zh")
    assert html.count("<a ") == 2  # once in each drawing
    assert html.count('class="node ghost"') == 2 * (len(map.PAPERS) - 1)


def test_counts_keep_three_digits():
    assert [map._count(n) for n in (80, 8192, 999_999, 1_234_567, 25_557_032, 5 * 10**9)] == [
        "80", "8,192", "999,999", "1.23 M", "25.6 M", "5 G",
    ]  # fmt: skip


def test_a_chapter_with_several_modules_shows_each():
    row = {
        "chapter": "polarized", "title": "Polarized <Self>", "year": 2021, "arxiv": "2107.00782",
        "modules": [
            {"key": "a", "kind": "gate", "attends": "channels", "parameters": 10, "macs": 20},
            {"key": "b", "kind": "gate", "attends": "channels", "parameters": 30, "macs": 40},
        ],
    }  # fmt: skip
    names = {"polarized": "x"}
    html = map.draw_table([row], names, names, names, "zh")
    assert "Polarized &lt;Self&gt;" in html
    assert '<span class="quiet">b</span> 30' in html
    assert html.count("通道") == 1
