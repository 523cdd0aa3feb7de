"""Diagrams: legible wherever they are shown, and true to what was written."""

import re
import shutil
import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lab.gallery import GALLERY

from attnlib.lab._layout import NAME, TEXT, text_width
from attnlib.lab.diagram import Diagram

SVG = "{http://www.w3.org/2000/svg}"
PHONE = 390


@dataclass(frozen=True)
class Rectangle:
    left: float
    top: float
    right: float
    bottom: float
    what: str = ""

    def overlaps(self, other, by=0.5):
        return (
            min(self.right, other.right) - max(self.left, other.left) > by
            and min(self.bottom, other.bottom) - max(self.top, other.top) > by
        )

    def holds(self, other):
        return (
            self.left <= other.left
            and self.right >= other.right
            and self.top <= other.top
            and self.bottom >= other.bottom
        )


class Drawing:
    """What an SVG of ours shows, read back from its text."""

    def __init__(self, svg):
        root = ElementTree.fromstring(svg)
        self.width, self.height = (float(root.get(k)) for k in ("width", "height"))
        self.groups = {g.get("class"): g for g in root.iter(f"{SVG}g")}
        self.texts = [
            t for name in ("name", "shape-of", "label", "title") for t in self._texts(name)
        ]
        self.labels = list(self._texts("label"))
        self.boxes = [r for name in ("op", "layer") for r in self._rectangles(name)]
        self.wires = self._wires(root)

    def _texts(self, name):
        size = NAME if name == "name" else TEXT
        for text in self.groups.get(name, ()):
            content = "".join(text.itertext())
            width, x, y = text_width(content, size), float(text.get("x")), float(text.get("y"))
            left = x - width / 2 if name == "label" else x
            yield Rectangle(left, y - 0.72 * size, left + width, y + 0.2 * size, content)

    def _rectangles(self, name):
        for r in self.groups.get(name, ()):
            x, y, w, h = (float(r.get(k)) for k in ("x", "y", "width", "height"))
            yield Rectangle(x, y, x + w, y + h, name)

    @staticmethod
    def _wires(root):
        """Each straight piece of a wire as a rectangle of no width."""
        paths = [p.get("d") for p in root.iter(f"{SVG}path") if p.get("class") == "wire"]
        pieces = []
        for path in re.findall("M[^M]+", "".join(paths)):
            points = [tuple(map(float, p.split()[-2:])) for p in re.findall("[MLQ]([^MLQ]+)", path)]
            for (x, y), (u, v) in pairwise(points):
                pieces.append(Rectangle(min(x, u), min(y, v), max(x, u), max(y, v), "wire"))
        return pieces

    def count(self, style, tag):
        return len(self.groups[style].findall(f"{SVG}{tag}")) if style in self.groups else 0

    def check(self):
        """Nothing covers a text, no wire runs through a box, everything is inside the picture."""
        page = Rectangle(0, 0, self.width, self.height)
        for i, text in enumerate(self.texts):
            assert page.holds(text), text
            for other in self.texts[i + 1 :]:
                assert not text.overlaps(other), (text, other)
        for label in self.labels:
            if label.what != "@":
                assert any(box.holds(label) for box in self.boxes), label
        for i, box in enumerate(self.boxes):
            assert page.holds(box), box
            for other in self.boxes[i + 1 :]:
                assert not box.overlaps(other), (box, other)
        for wire in self.wires:
            thick = Rectangle(wire.left - 0.7, wire.top, wire.right + 0.7, wire.bottom, "wire")
            thick = Rectangle(thick.left, thick.top - 0.7, thick.right, thick.bottom + 0.7, "wire")
            for other in (*self.texts, *self.boxes):
                assert not thick.overlaps(other, by=1), (wire, other)


@pytest.mark.parametrize("name", GALLERY)
class TestGallery:
    def test_nothing_overlaps(self, name):
        Drawing(GALLERY[name]().svg()).check()

    def test_fits_a_phone_and_is_small(self, name):
        d = GALLERY[name]()
        assert d.width <= 400  # 13 units of text are 11 px where 340 px are left
        assert len(d._repr_html_().encode()) < 8192
        assert len(d._repr_svg_().encode()) < 8192

    def test_is_the_same_each_time_and_brings_nothing_along(self, name):
        html = GALLERY[name]()._repr_html_()
        assert html == GALLERY[name]()._repr_html_()
        assert not re.search(r"<script|<style|href|url\(|\bid=|[\u4e00-\u9fff]", html)

    def test_every_line_and_text_follows_the_colour_of_the_page(self, name):
        root = ElementTree.fromstring(GALLERY[name]().svg())
        tinted = {"tensor", "weights", "layer"}
        for element in root.iter():
            if element.get("class") not in tinted:
                assert element.get("fill") in (None, "none", "currentColor")
                assert element.get("stroke") in (None, "none", "currentColor")


def test_the_example_of_se():
    d = GALLERY["se"]()
    drawing = Drawing(d.svg())
    assert [t.what for t in drawing.texts] == [
        *("X", "z", "s", "Y"),
        *("C×H×W", "C×1×1", "C×1×1", "C×H×W"),
        *("mean over H, W", "FC, C → C/r", "ReLU", "FC, C/r → C", "σ"),
    ]
    assert drawing.count("layer", "rect") == 2
    assert drawing.count("op", "rect") == 3
    assert drawing.count("merge", "circle") == 1
    assert repr(d) == "Diagram('Squeeze-and-Excitation', 10 nodes)"


def test_the_main_path_is_one_straight_line():
    d = Diagram("gate")
    x = d.tensor("x", "C×H×W")
    (x.op("σ") * x).tensor("y", "C×H×W")  # whichever way round it is written
    drawing = Drawing(d.svg())
    left = min(wire.left for wire in drawing.wires)
    straight = [w for w in drawing.wires if w.left == w.right == left]
    x_bottom, merge_top = straight[0].top, straight[0].bottom
    assert merge_top - x_bottom > 40  # past the operation without a bend
    assert all(box.left > left for box in drawing.boxes)


def test_branches_stand_in_the_order_of_the_arguments():
    d = Diagram("order")
    x = d.tensor("x")
    first, second = x.op("first"), x.op("second")
    d.concat(second, first)
    left, right = sorted(Drawing(d.svg()).labels, key=lambda t: t.left)
    assert (left.what, right.what) == ("second", "first")


def test_shared_layer_takes_each_branch_straight_through():
    d = Diagram("shared")
    x = d.tensor("x")
    a, b = d.shared("one MLP", x.op("a long mean"), x.op("max"))
    d.add(a.op("after a"), b.op("after b"))
    drawing = Drawing(d.svg())
    places = {t.what: (t.left + t.right) / 2 for t in drawing.labels}
    assert places["a long mean"] == pytest.approx(places["after a"], abs=0.2)
    assert places["max"] == pytest.approx(places["after b"], abs=0.2)
    assert drawing.count("layer", "rect") == 1
    drawing.check()


def test_matrix_product_and_several_sources():
    d = Diagram("attention")
    q, k, v = (d.tensor(name, "N×d") for name in "QKV")
    ((q @ k).op("softmax").weights("A", "N×N") @ v).tensor("Y", "N×d")
    drawing = Drawing(d.svg())
    drawing.check()
    assert [t.what for t in drawing.labels].count("@") == 2
    assert all(wire.top > 5 for wire in drawing.wires)  # nothing leads into the sources


@pytest.mark.parametrize(
    ("shape", "marks"),
    [
        ("C×H×W", {"rect": 1, "path": 3}),  # four sheets
        ("B×C×H×W", {"rect": 1, "path": 3}),
        ("C/r×H×W", {"rect": 1, "path": 1}),
        ("2×H×W", {"rect": 1, "path": 1}),
        ("1×H×W", {"rect": 1, "path": 0}),
        ("C×1×1", {"rect": 1, "path": 1}),  # a bar and the lines between its cells
        ("N×N", {"rect": 1, "path": 1}),
        ("1", {"rect": 1, "path": 0}),
    ],
)
def test_form_follows_shape(shape, marks):
    d = Diagram("form")
    d.tensor("t", shape)
    group = Drawing(d.svg()).groups["tensor"]
    assert {tag: len(group.findall(f"{SVG}{tag}")) for tag in ("rect", "path")} == marks


def test_forms_differ_in_size():
    def size(shape):
        d = Diagram("form")
        d.tensor("", shape)
        rect = Drawing(d.svg()).groups["tensor"].find(f"{SVG}rect")
        return float(rect.get("width")), float(rect.get("height"))

    assert size("C×1×1")[0] < size("C×H×W")[0] / 2
    assert size("C/r×1×1")[1] < size("C×1×1")[1]
    assert size("C×H×1")[0] < size("C×H×1")[1]
    assert size("C×1×W")[0] > size("C×1×W")[1]
    assert size("N×C")[0] < size("N×N")[0] == size("N×N")[1] == size("N×C")[1]
    assert size("C×N") == size("C/8×HW") == size("N×C")[::-1]
    assert size("C×C") == size("N×N")


def test_subscripts_and_characters_of_markup():
    d = Diagram('a "b" < c & d')
    d.tensor("x_{12}", "1×H×W").op("⟨g, x_i⟩ < 1 & y^2")
    svg = d.svg()
    root = ElementTree.fromstring(svg)
    assert root.get("aria-label") == root.find(f"{SVG}title").text == 'a "b" < c & d'
    small = [t.text for t in root.iter(f"{SVG}tspan") if t.get("font-size")]
    assert small == ["12", "i", "2"]
    assert "".join(root.find(f".//*[@class='label']/{SVG}text").itertext()) == "⟨g, xi⟩ < 1 & y2"


def test_group_is_framed_once_and_repetition_shows():
    d = Diagram("stack")
    x = d.tensor("x")
    with d.group("block", times="× 3"):
        y = x + x.layer("f")
    y.tensor("y")
    drawing = Drawing(d.svg())
    drawing.check()
    frame = drawing.groups["frame"]
    assert len(frame.findall(f"{SVG}rect")) == len(frame.findall(f"{SVG}path")) == 1
    assert {"block", "× 3"} <= {t.what for t in drawing.texts}


def test_save_writes_a_picture_that_carries_its_own_colours(tmp_path):
    GALLERY["se"]().save(tmp_path / "se.svg")
    text = (tmp_path / "se.svg").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    card = next(r for r in root.iter(f"{SVG}rect") if r.get("class") == "card")
    # Without a style sheet, dark on white; with it, nothing but this picture is changed.
    assert (root.get("color"), card.get("fill")) == ("#1f2328", "#fff")
    rules = re.sub(r"@media\([^)]*\)\{(.*)\}", r"\1", root.find(f"{SVG}style").text)
    assert all(rule.startswith(".attn-alone") for rule in rules.split("}") if rule)


@pytest.mark.browser
@pytest.mark.parametrize(("scheme", "ink"), [("light", (31, 35, 40)), ("dark", (230, 237, 243))])
def test_a_saved_picture_follows_the_screen(browser, tmp_path, scheme, ink):
    GALLERY["se"]().save(tmp_path / "se.svg")
    page = browser.new_page(color_scheme=scheme)
    page.goto((tmp_path / "se.svg").as_uri())
    colour = page.evaluate("getComputedStyle(document.querySelector('text')).fill")
    assert colour == f"rgb{ink}"
    page.close()


def test_branches_that_do_not_nest_are_refused():
    d = Diagram("crossed")
    x = d.tensor("x")
    a, b = x.op("a"), x.op("b")
    both = a + b
    (both * a) + (both * b)
    with pytest.raises(ValueError, match=r"'a', 'b'.*do not nest"):
        d.svg()


def test_group_in_two_places_is_refused():
    d = Diagram("scattered")
    x = d.tensor("x")
    with d.group("half"):
        a, b = x.op("a"), x.op("b")
    (a + b).tensor("y")
    with pytest.raises(ValueError, match="'half' is not one connected part"):
        d.svg()


def test_bad_inputs_are_refused():
    d, other = Diagram("one"), Diagram("other")
    with pytest.raises(ValueError, match="at least one input"):
        d.add()
    with pytest.raises(TypeError, match="not a node of this diagram"):
        d.add(d.tensor("x"), other.tensor("y"))
    with pytest.raises(TypeError, match="not a node"):
        d.op("f", "x")
    with pytest.raises(ValueError, match="empty"):
        other.__class__("nothing").svg()


# Any structure that nests can be drawn.

LABELS = st.sampled_from(["σ", "ReLU", "3×3 conv", "mean over\nH, W", "a rather long label"])
NAMES = st.sampled_from(["", "x", "M_c", "A^{ch}"])
SHAPES = st.sampled_from(["C×H×W", "C/r×1×1", "1×H×W", "N×N", "C/2G×H×W", ""])
STEP = st.one_of(
    st.tuples(st.just("op"), LABELS),
    st.tuples(st.just("layer"), LABELS),
    st.tuples(st.just("tensor"), NAMES, SHAPES),
)
PART = st.recursive(
    STEP,
    lambda inner: st.one_of(
        st.tuples(st.just("run"), st.lists(inner, min_size=1, max_size=3)),
        st.tuples(st.just("frame"), LABELS.map(lambda t: t.split("\n")[0]), st.booleans(), inner),
        st.tuples(
            st.just("fork"),
            st.sampled_from("+×@∥o"),
            st.lists(inner, min_size=1, max_size=3),
            st.booleans(),
        ),
    ),
    max_leaves=9,
)


def build(d, x, part):
    kind = part[0]
    if kind == "run":
        for inner in part[1]:
            x = build(d, x, inner)
        return x
    if kind == "frame":
        with d.group(part[1], times="× 2" if part[2] else ""):
            return build(d, x, part[3])
    if kind == "fork":
        ends = [build(d, x, inner) for inner in part[2]]
        if part[3]:
            ends = [x, *ends]
        if part[1] == "o":
            return d.op("of all of them", *ends)
        return d._add("merge", part[1], *ends)
    if kind == "tensor":
        return x.tensor(*part[1:])
    return getattr(x, kind)(part[1])


@settings(max_examples=150, deadline=None)
@given(PART)
@example(("fork", "@", [("op", "σ"), ("op", "σ"), ("op", "ReLU")], False))
def test_whatever_nests_is_drawn_without_overlap(part):
    d = Diagram("random")
    build(d, d.tensor("x", "C×H×W"), part).tensor("y", "C×H×W")
    Drawing(d.svg()).check()


# In a real browser.


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as p:
        chromium = p.chromium.launch(
            executable_path=shutil.which("chromium"),
            args=["--no-sandbox", "--disable-background-networking", "--disable-quic"],
        )
        yield chromium
        chromium.close()


MEASURE = """() => [...document.querySelectorAll('svg')].map(svg => {
  const box = e => {
    const r = e.getBoundingClientRect();
    return [r.left, r.top, r.right, r.bottom];
  };
  const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
  const size = t => parseFloat(getComputedStyle(t).fontSize) * scale;
  return {
    name: svg.querySelector('title').textContent, box: box(svg), scale,
    texts: [...svg.querySelectorAll('text')].map(t => ({
      text: t.textContent, box: box(t), size: size(t), colour: getComputedStyle(t).fill,
      label: t.parentNode.getAttribute('class') === 'label' && t.textContent !== '@' })),
    boxes: [...svg.querySelectorAll('.op rect, .layer rect')].map(box),
  };
})"""


@pytest.mark.browser
@pytest.mark.parametrize("width", [PHONE, 1200])
@pytest.mark.parametrize(
    ("ink", "paper"), [("rgb(34, 40, 50)", "#fff"), ("rgb(206, 214, 221)", "#111")]
)
def test_in_a_browser(browser, width, ink, paper):
    page = browser.new_page(viewport={"width": width, "height": 900})
    pictures = "".join(GALLERY[name]()._repr_html_() for name in GALLERY)
    page.set_content(
        f'<!doctype html><body style="margin:16px;color:{ink};background:{paper}">{pictures}'
    )
    measured = page.evaluate(MEASURE)
    assert len(measured) == len(GALLERY)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    for drawing in measured:
        where = drawing["name"]
        assert drawing["scale"] <= 1.001, where  # never blown up
        outer = Rectangle(*drawing["box"])
        boxes = [Rectangle(*box) for box in drawing["boxes"]]
        texts = [Rectangle(*t["box"], t["text"]) for t in drawing["texts"]]
        for text, facts in zip(texts, drawing["texts"], strict=True):
            assert outer.holds(text), (where, text)
            assert facts["size"] >= 11, (where, text)
            assert facts["colour"] == ink, (where, text)
            if facts["label"]:
                assert any(box.left <= text.left and text.right <= box.right for box in boxes), (
                    where,
                    text,
                )
        for i, text in enumerate(texts):
            for other in texts[i + 1 :]:
                # A line box is taller than its letters, still more under an index.
                assert not (
                    min(text.right, other.right) - max(text.left, other.left) > 0.5
                    and min(text.bottom, other.bottom) - max(text.top, other.top) > 4
                ), (where, text, other)
    page.close()
