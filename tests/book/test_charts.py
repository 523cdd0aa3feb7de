"""Charts say their numbers in words, fit both widths, and keep their labels apart."""

from __future__ import annotations

import itertools
import re
from pathlib import Path
from xml.etree import ElementTree

import pytest
from attnbook import drawing
from attnbook.charts import WORDS, Axis, Curve, Mark, bars, dots, exact, lines, number

ROOT = Path(__file__).parents[2]
ROWS = {"se": [Mark(1.7, 1.6, 1.9), 3.2], "psa <sequential>": [12.0, None], "gam": [414.0, 900.0]}
PASSES = {"en": ["forward", "training"], "zh": ["前向", "训练"]}
SIZES = [64, 128, 256, 512, 1024]


def chart(kind: str, language: str = "en") -> str:
    if kind == "lines":
        curves = [Curve(f"C^{p}", [(c, c**p) for c in SIZES]) for p in (0, 1, 2)]
        curves += [Curve("here", [(300, 5000.0)], kind="points")]
        curves += [Curve("C³", [(c, c**3) for c in SIZES], kind="guide")]
        x, y = Axis("C", log=True, ticks=SIZES, format=exact), Axis("MACs", log=True)
        return lines(curves, x, y, language=language, title="Growth")
    draw = {"bars": bars, "dots": dots}[kind]
    axis = Axis("copies", log=kind == "bars", low=1.0 if kind == "bars" else None)
    return draw(
        ROWS, PASSES[language], language=language, title="Times", axis=axis, reference=(1.0, "copy")
    )


def parsed(html: str) -> list[ElementTree.Element]:
    """The drawings of a chart; parsing proves that everything is escaped and closed."""
    return list(ElementTree.fromstring(html))


def numbers(drawing: ElementTree.Element, *names: str) -> list[float]:
    return [float(e.get(n)) for e in drawing.iter() for n in names if e.get(n) is not None]


KINDS = ["bars", "dots", "lines"]


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", KINDS)
class TestEveryChart:
    def test_is_a_picture_with_title_and_description(self, kind, language):
        for svg in parsed(chart(kind, language)):
            assert svg.get("role") == "img"
            title, description = svg[0], svg[1]
            assert svg.get("aria-labelledby") == title.get("id")
            assert svg.get("aria-describedby") == description.get("id")
            assert title.text
            assert WORDS[language]["colon"] in description.text

    def test_is_drawn_for_a_wide_column_and_for_a_phone(self, kind, language):
        large, small = parsed(chart(kind, language))
        assert (large.get("class"), small.get("class")) == ("large", "small")
        assert float(small.get("width")) <= 390 - 2 * 16  # the page's margins

    def test_stays_inside_its_frame(self, kind, language):
        for svg in parsed(chart(kind, language)):
            width, height = float(svg.get("width")), float(svg.get("height"))
            assert all(-1 <= x <= width + 1 for x in numbers(svg, "x", "x1", "x2", "cx"))
            assert all(-1 <= y <= height + 1 for y in numbers(svg, "y", "y1", "y2", "cy"))
            for element in svg.iter("text"):
                wide = drawing.width_of(element.text, 12.5)
                x = float(element.get("x"))
                x -= {None: 0, "middle": wide / 2, "end": wide}[element.get("text-anchor")]
                assert x > -2, element.text
                assert x + wide < width + 2, element.text

    def test_has_no_colours_of_its_own_and_no_other_source(self, kind, language):
        html = chart(kind, language)
        assert not re.search(r"#[0-9a-fA-F]{3,6}|rgb|style=|href|url\(", html)

    def test_is_the_same_every_time(self, kind, language):
        assert chart(kind, language) == chart(kind, language)

    def test_names_no_id_twice(self, kind, language):
        ids = re.findall(r'\bid="([^"]+)"', chart(kind, language))
        assert len(ids) == len(set(ids)) == 4


def test_numbers_stand_in_the_description():
    description = parsed(chart("bars"))[0][1].text
    assert description == (
        "se: forward 1.7, training 3.2; psa <sequential>: forward 12, training not recorded; "
        "gam: forward 414, training 900"
    )
    assert "训练未记录" in parsed(chart("bars", "zh"))[0][1].text


def test_a_bar_is_as_long_as_its_value():
    html = bars({"a": [2.0], "b": [4.0]}, ["x"], language="en", title="t")
    for svg in parsed(html):
        a, b = (float(r.get("width")) for r in svg.iter("rect"))
        assert b == pytest.approx(2 * a, rel=0.01)


def test_a_bar_on_a_logarithmic_axis_starts_at_its_lower_end():
    axis = Axis("", log=True, low=1.0)
    html = bars({"a": [10.0], "b": [100.0]}, ["x"], language="en", title="t", axis=axis)
    for svg in parsed(html):
        a, b = (float(r.get("width")) for r in svg.iter("rect"))
        assert b == pytest.approx(2 * a, rel=0.01)


def test_series_differ_in_more_than_colour():
    css = (ROOT / "book" / "_static" / "site.css").read_text("utf8")
    for i in range(1, drawing.TONES):
        assert re.search(rf"\.chart \.bar\.t{i} \{{ (fill|fill-opacity):", css)
    markers = {
        re.sub(r"[\d.]+", "0", drawing.marker(5, 5, i, tone=0)) for i in range(len(drawing.SHAPES))
    }
    assert len(markers) == len(drawing.SHAPES) >= drawing.TONES
    assert len(set(drawing.DASHES)) == len(drawing.DASHES) >= drawing.TONES


def test_every_line_is_named_at_its_end():
    for svg in parsed(chart("lines")):
        words = [e.text for e in svg.iter("text")]
        for name in ("C^0", "C^1", "C^2", "C³", "here"):
            assert words.count(name) == 1


def test_rows_must_fit_the_series():
    with pytest.raises(ValueError, match="2 values for 1 series"):
        bars({"a": [1.0, 2.0]}, ["x"], language="en", title="t")
    with pytest.raises(ValueError, match="needs rows"):
        bars({}, ["x"], language="en", title="t")
    with pytest.raises(ValueError, match="needs points"):
        lines([], Axis(""), Axis(""), language="en", title="t")


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0"), (0.0042, "0.0042"), (1.7, "1.7"), (-0.25, "−0.25"), (999.4, "999"), (999.9, "1 k"),
     (12_845, "12.8 k"), (1_040_000, "1.04 M"), (999_960, "1 M"), (5.3e9, "5.3 G")],
)  # fmt: skip
def test_numbers_keep_three_digits(value, words):
    assert number(value) == words


def test_exact_counts_keep_every_digit():
    assert exact(1048576) == "1,048,576"


def test_ticks_are_round_and_inside():
    assert drawing.nice_ticks(0, 61) == [0, 20, 40, 60]
    assert drawing.nice_ticks(-1.2, 2.1, 4) == [-1, 0, 1, 2]
    assert drawing.log_ticks(1, 500) == [1, 10, 100]
    assert drawing.log_ticks(0.9, 60) == [1, 2, 5, 10, 20, 50]
    assert drawing.log_ticks(1, 1e12) == [1, 1e2, 1e4, 1e6, 1e8, 1e10, 1e12]


def test_labels_are_spread_apart_and_keep_their_order():
    placed = drawing.spread([10, 11, 12, 90], 15, 0, 100)
    assert placed == sorted(placed)
    assert all(b - a >= 15 - 1e-9 for a, b in itertools.pairwise(placed))
    assert placed[0] >= 0
    assert placed[-1] <= 100
    assert drawing.spread([99, 98, 20], 15, 0, 100) == [100, 85, 20]


def test_labels_of_crowded_points_do_not_overlap():
    points = [(100 + 6 * i, 100 + 5 * (i % 3), f"mechanism {i}") for i in range(8)]
    placed = drawing.place_labels(points, drawing.Box(0, 0, 400, 300), 12)
    boxes = []
    for (x, y, anchor, _), (_, _, words) in zip(placed, points, strict=True):
        width = drawing.width_of(words, 12)
        left = x - {"start": 0, "end": width, "middle": width / 2}[anchor]
        boxes.append(drawing.Box(left, y - 10, left + width, y + 2))
    overlaps = [a.overlap(b) for i, a in enumerate(boxes) for b in boxes[:i]]
    assert max(overlaps) == 0


def test_a_thin_line_reaches_beyond_the_whisker():
    marks = [Mark(1.0, 0.5, 1.5, outer=(-3.0, 5.0)), Mark(1.0, 0.5, 1.5)]
    html = dots({"a": marks[:1], "b": marks[1:]}, ["x"], language="en", title="t")
    for svg in parsed(html):
        (thin,) = [e for e in svg.iter("line") if "outer" in (e.get("class") or "")]
        whiskers = [e for e in svg.iter("line") if "whisker" in (e.get("class") or "")]
        ends = sorted(float(thin.get(k)) for k in ("x1", "x2"))
        reach = sorted(float(e.get(k)) for e in whiskers for k in ("x1", "x2"))
        assert 0 < ends[0] < reach[0] < reach[-1] < ends[1] < float(svg.get("width"))
