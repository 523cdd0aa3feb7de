"""Places and draws a structure that `attnlib.lab.diagram` has taken apart into runs and branches.

Everything is a box with an axis: the vertical line on which its wire enters at the top and leaves
at the bottom. `left` and `right` say how far it reaches from the axis. A `Run` stacks boxes on one
axis, `Branches` sets runs side by side, as close as their outlines allow, a `Frame` draws a border
around a run. No two boxes share a place, so no label can cover another, and wires run only in the
gaps between them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from itertools import accumulate, pairwise

__all__ = ["Box", "Branches", "Frame", "Item", "Merge", "Operation", "Picture", "Run", "Sheets"]

TEXT = 13  # size of labels and shapes, in units of the drawing; one unit is one pixel at most
NAME = 14.5  # size of tensor names
LINE = 16  # from one line of text to the next
PAD = 8  # between a border and what it encloses
WIRE = 17  # length of a wire between two boxes, arrow head included
BUS = 10  # from a box down to the line on which its wire forks
DROP = 15  # from that line down to the branches
RADIUS = 9.5  # of the circle in which branches merge
GAP = 13  # between branches
CORNER = 6  # radius of a wire's corners

# Advance widths of Arial in thousandths of the text size; other sans-serif faces are close.
_WIDTHS = {
    222: "ijl'|",
    278: "ftI !,./:;[]\\·",
    333: "r()-`·",
    400: "ᵀ°²³¹*",
    500: "cksvxyzJγ",
    611: "FTZ",
    667: "ABEKPSVXY&",
    722: "CDHNRUwΣ",
    778: "GOQ",
    833: "mM",
    944: "W",
    1000: "→←…@%Ω",
}
_WIDTH = {character: width for width, text in _WIDTHS.items() for character in text}


def pieces(text: str) -> list[tuple[str, str]]:
    """Split "M_c" or "g^{h}" into (text, level), where level is "", "_" or "^"."""
    parts: list[tuple[str, str]] = []
    i = 0
    while i < len(text):
        level = text[i] if text[i] in "_^" and i + 1 < len(text) else ""
        if level:
            end = text.find("}", i) if text[i + 1] == "{" else -1
            part, i = (text[i + 2 : end], end + 1) if end > 0 else (text[i + 1], i + 2)
        else:
            end = min((j for j in (text.find(c, i + 1) for c in "_^") if j > 0), default=len(text))
            part, i = text[i:end], end
        parts.append((part, level))
    return parts


def text_width(text: str, size: float = TEXT) -> float:
    """A little more than `text` takes at `size` in any of the faces asked for."""
    total = 0.0
    for part, level in pieces(text):
        total += sum(_WIDTH.get(c, 580) for c in part) * (0.8 if level else 1)
    return total * size / 1000 * 1.06


@dataclass
class Picture:
    """Collects shapes by style and writes them as SVG."""

    frames: list[str] = field(default_factory=list)
    wires: list[str] = field(default_factory=list)
    arrows: dict[str, None] = field(default_factory=dict)  # a dict keeps order, drops repetitions
    shapes: dict[str, list[str]] = field(default_factory=dict)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def wire(self, *points: tuple[float, float], arrow: bool = True) -> None:
        """A line through `points` with rounded corners, all of them horizontal or vertical."""
        path = [f"M{_n(points[0][0])} {_n(points[0][1])}"]
        end = points[-1]
        if arrow:
            self.arrows[_arrow(points[-2], end)] = None
            end = _shorten(points[-2], end, 5)
        stops = [*points[:-1], end]
        for before, corner, after in zip(stops, stops[1:], stops[2:], strict=False):
            radius = min(CORNER, math.dist(before, corner) / 2, math.dist(corner, after) / 2)
            a, b = _shorten(before, corner, radius), _shorten(after, corner, radius)
            path.append(
                f"L{_n(a[0])} {_n(a[1])}Q{_n(corner[0])} {_n(corner[1])} {_n(b[0])} {_n(b[1])}"
            )
        path.append(f"L{_n(end[0])} {_n(end[1])}")
        self.wires.append("".join(path))

    def shape(self, style: str, svg: str) -> None:
        self.shapes.setdefault(style, []).append(svg)

    def text(self, style: str, x: float, y: float, text: str, size: float = TEXT) -> None:
        """`text` with its middle line at height `y`."""
        spans, shift = "", 0.0
        for part, level in pieces(text):
            want = {"": 0.0, "_": 0.25, "^": -0.35}[level] * size
            if level or shift:
                small = f' font-size="{_n(size * 0.8)}"' if level else ""
                spans += f'<tspan dy="{_n(want - shift)}"{small}>{escape(part)}</tspan>'
            else:
                spans += escape(part)
            shift = want
        self.texts.setdefault(style, []).append(
            f'<text x="{_n(x)}" y="{_n(y + 0.35 * size)}">{spans}</text>'
        )

    def body(self) -> str:
        """The shapes, each style in one group.

        Colours are presentation attributes: they survive viewers that strip style sheets, and any
        style sheet of the page overrules them. Lines and text take the colour of the page's text.
        """
        out = []
        if self.frames:
            out.append(
                '<g class="frame" fill="currentColor" fill-opacity=".035" stroke="currentColor" '
                f'stroke-opacity=".45" stroke-dasharray="4 3">{"".join(self.frames)}</g>'
            )
        if self.wires:
            out.append(
                '<path class="wire" fill="none" stroke="currentColor" stroke-width="1.3" '
                f'opacity=".7" d="{"".join(self.wires)}"/>'
                f'<path class="arrow" fill="currentColor" opacity=".8" d="{"".join(self.arrows)}"/>'
            )
        for style, attributes in _SHAPES.items():
            if style in self.shapes:
                out.append(f'<g class="{style}" {attributes}>{"".join(self.shapes[style])}</g>')
        for style, attributes in _TEXTS.items():
            if style in self.texts:
                out.append(
                    f'<g class="{style}" fill="currentColor" {attributes}>'
                    f"{''.join(self.texts[style])}</g>"
                )
        return "".join(out)


# Okabe and Ito's colours, told apart by colour-blind readers; each has its own form as well.
_SHAPES = {
    "op": 'fill="currentColor" fill-opacity=".06" stroke="currentColor" stroke-opacity=".6"',
    "layer": 'fill="#e69f00" fill-opacity=".24" stroke="#c47f00" stroke-width="1.4"',
    "tensor": 'fill="#0072b2" fill-opacity=".2" stroke="#2f8fce" stroke-width="1.2"',
    "weights": 'fill="#009e73" fill-opacity=".32" stroke="#0a9d75" stroke-width="1.6"',
    "merge": 'fill="none" stroke="currentColor" stroke-width="1.5"',
}
_TEXTS = {
    "name": f'font-size="{NAME}" font-style="italic" font-weight="600"',
    "shape-of": f'font-size="{TEXT}" fill-opacity=".85"',
    "label": f'font-size="{TEXT}" text-anchor="middle"',
    "title": f'font-size="{TEXT}" font-weight="600" fill-opacity=".8"',
}


def _n(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")


def _shorten(
    start: tuple[float, float], end: tuple[float, float], by: float
) -> tuple[float, float]:
    length = math.dist(start, end) or 1
    return (
        end[0] - (end[0] - start[0]) / length * by,
        end[1] - (end[1] - start[1]) / length * by,
    )


def _arrow(start: tuple[float, float], end: tuple[float, float]) -> str:
    x, y = _n(end[0]), _n(end[1])
    if start[0] == end[0]:
        return f"M{x} {y}l-3.6-6.5h7.2z"
    sign = "" if start[0] > end[0] else "-"
    return f"M{x} {y}l{sign or ''}6.5-3.6v7.2z"


Point = tuple[float, float]
Cell = tuple[float, float, float, float]  # top, bottom, left end, right end
Tap = tuple[float, float, bool]  # x, y and whether the wire ends there with an arrow head


class Box:
    """Something with a place.

    `taps` are where wires come in from above, `exits` where they leave, `cells` the rectangles that
    it covers; all of them relative to the upper end of its axis.
    """

    left: float
    right: float
    height: float

    def taps(self) -> list[Tap]:
        return [(0, 0, True)]

    def exits(self) -> list[Point]:
        return [(0, self.height)]

    def cells(self) -> list[Cell]:
        return [(0, self.height, -self.left, self.right)]

    def draw(self, picture: Picture, x: float, y: float) -> None:
        raise NotImplementedError


class Item(Box):
    """A box that is one node of the structure."""


class Sheets(Item):
    """A tensor: its form says what kind of tensor it is, the text beside it its name and shape."""

    def __init__(self, style: str, name: str, shape: str) -> None:
        self.style, self.name, self.shape = style, name, shape
        self.marks, self.width, self.tall = _form(shape)
        text = max(text_width(name, NAME), text_width(shape))
        self.left = self.width / 2
        self.right = self.width / 2 + (6 + text if text else 0)
        self.height = max(self.tall, 2 * LINE - 2 if name and shape else 0)
        self.margin = (self.height - self.tall) / 2  # where the text is taller than the form

    def taps(self) -> list[Tap]:
        return [(0, self.margin, True)]

    def exits(self) -> list[Point]:
        return [(0, self.height - self.margin)]

    def draw(self, picture: Picture, x: float, y: float) -> None:
        for mark in self.marks:
            picture.shape(self.style, mark.at(x - self.width / 2, y + self.margin))
        left, middle = x + self.width / 2 + 6, y + self.height / 2
        between = LINE / 2 if self.name and self.shape else 0
        if self.name:
            picture.text("name", left, middle - between, self.name, NAME)
        if self.shape:
            picture.text("shape-of", left, middle + between, self.shape)


class Operation(Item):
    """An operation: a box with rounded ends, or with corners if it has parameters."""

    def __init__(self, style: str, label: str) -> None:
        self.style, self.lines = style, label.split("\n")
        self.left = self.right = max(map(text_width, self.lines)) / 2 + PAD
        self.height = 7 + LINE * len(self.lines)
        self.inlets: list[float] = []  # axes of the branches that come in, if there are several
        self.outlets: list[float] = []  # and of those that go out

    def reach(self) -> None:
        """Widen the box so that every branch meets it."""
        ends = [*self.inlets, *self.outlets, 0.0]
        middle = (min(ends) + max(ends)) / 2
        half = max((max(ends) - min(ends)) / 2 + 12, max(map(text_width, self.lines)) / 2 + PAD)
        self.left, self.right = half - middle, half + middle

    def taps(self) -> list[Tap]:
        return [(x, 0, True) for x in self.inlets or [0]]

    def exits(self) -> list[Point]:
        return [(x, self.height) for x in self.outlets or [0]]

    def draw(self, picture: Picture, x: float, y: float) -> None:
        radius = 3 if self.style == "layer" else min(11.5, self.height / 2)
        picture.shape(
            self.style,
            f'<rect x="{_n(x - self.left)}" y="{_n(y)}" width="{_n(self.left + self.right)}" '
            f'height="{_n(self.height)}" rx="{_n(radius)}"/>',
        )
        middle = x + (self.right - self.left) / 2
        for i, line in enumerate(self.lines):
            picture.text("label", middle, y + 3.5 + LINE * (i + 0.5), line)


class Merge(Item):
    """A circle where branches meet: + adds, × multiplies, ∥ concatenates, @ is a matrix product."""

    def __init__(self, sign: str) -> None:
        self.sign = sign
        self.left = self.right = RADIUS
        self.height = 2 * RADIUS

    def draw(self, picture: Picture, x: float, y: float) -> None:
        cx, cy, r = x, y + RADIUS, RADIUS
        d, span = r * 0.7071, _n(2 * r * 0.7071)
        strokes = {
            "+": f"M{_n(cx - r)} {_n(cy)}h{_n(2 * r)}M{_n(cx)} {_n(cy - r)}v{_n(2 * r)}",
            "×": f"M{_n(cx - d)} {_n(cy - d)}l{span} {span}m0-{span}l-{span} {span}",
            "∥": f"M{_n(cx - 2.5)} {_n(cy - 5)}v10m5 0v-10",
            "@": "",
        }[self.sign]
        picture.shape("merge", f'<circle cx="{_n(cx)}" cy="{_n(cy)}" r="{_n(r)}"/>')
        if strokes:
            picture.shape("merge", f'<path d="{strokes}"/>')
        else:
            picture.text("label", cx, cy - 0.5, self.sign)


class Run(Box):
    """Boxes one below the other, wired in order. An empty run is a bare wire."""

    def __init__(self, items: Sequence[Box]) -> None:
        self.items = list(items)
        for before, item in pairwise(self.items):  # branches on both sides of a shared operation
            if isinstance(item, Branches) and isinstance(before, Operation):
                before.outlets = item.axes if item.ported else []
            if isinstance(before, Branches) and isinstance(item, Operation):
                item.inlets = before.axes
        self._line_up()
        for item in self.items:
            if isinstance(item, Operation) and (item.inlets or item.outlets):
                item.reach()
        self.tops, y = [], 0.0
        for i, item in enumerate(self.items):
            y += self._gap(self.items[i - 1], item) if i else 0
            self.tops.append(y)
            y += item.height
        self.height = y
        self.left = max((item.left for item in self.items), default=4)
        self.right = max((item.right for item in self.items), default=4)

    def cells(self) -> list[Cell]:
        cells: list[Cell] = [(0, self.height, -4, 4)]
        for i, (item, top) in enumerate(zip(self.items, self.tops, strict=True)):
            cells += [(top + a, top + b, left, right) for a, b, left, right in item.cells()]
            if isinstance(item, Branches):  # the wires to and from the branches need room as well
                before = self.tops[i - 1] + self.items[i - 1].height if i else top
                after = self.tops[i + 1] + RADIUS if i + 1 < len(self.items) else top + item.height
                left, right = item.axes[0] - 4, item.axes[-1] + 4
                cells += [(before, top, left, right), (top + item.height, after, left, right)]
        return cells

    def _line_up(self) -> None:
        """Give the branches above and below a shared operation the same axes."""
        for above, item, below in zip(self.items, self.items[1:], self.items[2:], strict=False):
            if (
                isinstance(item, Operation)
                and isinstance(above, Branches)
                and isinstance(below, Branches)
                and below.ported
                and len(above.runs) == len(below.runs)
            ):
                steps = [max(pair) for pair in zip(above.steps, below.steps, strict=True)]
                above.place(steps)
                below.place(steps)
                item.inlets, item.outlets = above.axes, below.axes

    @staticmethod
    def _gap(before: Box, item: Box) -> float:
        if isinstance(before, Branches):
            return 7 if isinstance(item, Merge) else WIRE
        forks = len(item.taps()) > 1 and isinstance(item, Branches)
        if forks and item.ported:  # type: ignore[attr-defined]
            forks = any(len(run.taps()) > 1 for run in item.runs)  # type: ignore[attr-defined]
        if forks:
            return BUS + DROP
        if isinstance(before, Operation) and isinstance(item, Operation):
            return WIRE - 3
        return WIRE

    def taps(self) -> list[Tap]:
        return self.items[0].taps() if self.items else [(0, 0, False)]

    def exits(self) -> list[Point]:
        if not self.items:
            return [(0, 0)]
        return [(x, y + self.tops[-1]) for x, y in self.items[-1].exits()]

    def draw(self, picture: Picture, x: float, y: float) -> None:
        for item, top in zip(self.items, self.tops, strict=True):
            item.draw(picture, x, y + top)
        for i, (before, item) in enumerate(pairwise(self.items)):
            exits = [(x + dx, y + self.tops[i] + dy) for dx, dy in before.exits()]
            top = y + self.tops[i + 1]
            if isinstance(item, Merge):
                _join(picture, exits, x, top)
            elif isinstance(item, Branches) and item.ported:
                for start, run, axis in zip(exits, item.runs, item.axes, strict=True):
                    _fork(
                        picture, start, [(x + axis + dx, top + dy, a) for dx, dy, a in run.taps()]
                    )
            else:
                taps = [(x + dx, top + dy, arrow) for dx, dy, arrow in item.taps()]
                if len(exits) > 1:
                    for start, tap in zip(exits, taps, strict=True):
                        _fork(picture, start, [tap])
                else:
                    _fork(picture, exits[0], taps)


class Branches(Box):
    """Runs side by side between the box that they leave and the box in which they meet.

    `ported` branches leave a split or a shared operation, each by its own exit. If the first is a
    bare wire into a merge, it is the main path: the axis follows it and the others hang to its
    right.
    """

    def __init__(
        self, runs: Sequence[Run], *, ported: bool = False, main_path: bool = False
    ) -> None:
        self.runs, self.ported, self.main_path = list(runs), ported, main_path
        self.height = max(run.height for run in self.runs)
        self.place(self._pack())

    def _pack(self) -> list[float]:
        """The distances between neighbouring axes, as small as the cells of the runs allow."""
        steps: list[float] = []
        placed: list[Cell] = []  # relative to the axis of the last run
        for run in self.runs:
            cells = [(a - 5, b + 5, left, right) for a, b, left, right in self._full(run)]
            if run is not self.runs[0]:
                step = max(
                    right - left + GAP
                    for a, b, _, right in placed
                    for c, d, left, _ in cells
                    if a < d and c < b
                )
                if not self.main_path:  # room for a merge between two of them
                    step = max(step, 2 * (RADIUS + 7))
                steps.append(step)
                placed = [(a, b, left - step, right - step) for a, b, left, right in placed]
            placed += cells
        return steps

    def _full(self, run: Run) -> list[Cell]:
        """The cells of a run, and the wire below it down to the end of the longest run."""
        return [*run.cells(), (run.height, self.height, -4, 4)]

    def place(self, steps: Sequence[float]) -> None:
        """Set the axes of the runs, for the given distances between them."""
        self.steps = list(steps)
        axes = list(accumulate(self.steps, initial=0.0))
        n = len(axes)
        middle = axes[0] if self.main_path else (axes[(n - 1) // 2] + axes[n // 2]) / 2
        self.axes = [axis - middle for axis in axes]
        self.left = max(run.left - axis for run, axis in zip(self.runs, self.axes, strict=True))
        self.right = max(run.right + axis for run, axis in zip(self.runs, self.axes, strict=True))

    def cells(self) -> list[Cell]:
        return [
            (a, b, axis + left, axis + right)
            for run, axis in zip(self.runs, self.axes, strict=True)
            for a, b, left, right in self._full(run)
        ]

    def taps(self) -> list[Tap]:
        return [
            (axis + dx, dy if run.items else self.height, arrow)
            for run, axis in zip(self.runs, self.axes, strict=True)
            for dx, dy, arrow in run.taps()
        ]

    def exits(self) -> list[Point]:
        return [
            (axis + dx, dy if run.items else self.height)
            for run, axis in zip(self.runs, self.axes, strict=True)
            for dx, dy in run.exits()
        ]

    def draw(self, picture: Picture, x: float, y: float) -> None:
        for run, axis in zip(self.runs, self.axes, strict=True):
            run.draw(picture, x + axis, y)


class Frame(Box):
    """A dashed border with a title around a run; `times` says that the part is repeated."""

    def __init__(self, run: Run, title: str, times: str = "") -> None:
        self.run, self.title, self.times = run, title, times
        self.forks = len(run.taps()) > 1
        self.top = (25.0 if title or times else 10.0) + (DROP - 4 if self.forks else 0)
        self.height = self.top + run.height + PAD
        text = self._title_width()
        self.left, self.right = run.left + PAD, run.right + PAD
        # The wire comes in on the axis: the title stands on the side that has room.
        self.before_axis = self.left >= text + 2 * PAD
        if not self.before_axis and text:
            self.right = max(self.right, text + 2 * PAD)

    def _title_width(self) -> float:
        times = text_width(self.times) * 1.06 + 20 if self.times else 0
        return text_width(self.title) * 1.08 + times

    def taps(self) -> list[Tap]:
        if self.forks:
            return [(0, self.top - DROP, False)]
        return [(dx, self.top + dy, arrow) for dx, dy, arrow in self.run.taps()]

    def exits(self) -> list[Point]:
        return [(dx, self.top + dy) for dx, dy in self.run.exits()]

    def draw(self, picture: Picture, x: float, y: float) -> None:
        width = self.left + self.right
        border = f'width="{_n(width)}" height="{_n(self.height)}" rx="7"/>'
        picture.frames.append(f'<rect x="{_n(x - self.left)}" y="{_n(y)}" {border}')
        start = x - self.left + 8 if self.before_axis else x + 8
        picture.text("title", start, y + 12, self.title)
        if self.times:
            at = start + text_width(self.title) * 1.08 + (8 if self.title else 0)
            tag = text_width(self.times) * 1.06 + 10
            picture.shape(
                "op",
                f'<rect x="{_n(at)}" y="{_n(y + 4)}" width="{_n(tag)}" height="17" rx="3"/>',
            )
            picture.text("title", at + 5, y + 12.5, self.times)
            right, bottom = x + self.right + 4, y + self.height + 4
            picture.frames.append(  # a second sheet behind the first
                f'<path fill="none" d="M{_n(right)} {_n(y + 8)}V{_n(bottom - 7)}q0 7-7 7'
                f'H{_n(x - self.left + 8)}"/>'
            )
        if self.forks:
            inner = [(x + dx, y + self.top + dy, arrow) for dx, dy, arrow in self.run.taps()]
            _fork(picture, (x, y + self.top - DROP), inner, bus=0)
        self.run.draw(picture, x, y + self.top)


def _fork(picture: Picture, start: Point, taps: Sequence[Tap], bus: float = BUS) -> None:
    """Wires from one point down to each tap, turning on a common horizontal line."""
    x, y = start
    for tx, ty, arrow in taps:
        if abs(tx - x) < 0.05:
            if ty > y:
                picture.wire((x, y), (x, ty), arrow=arrow)
        elif bus:
            picture.wire((x, y), (x, y + bus), (tx, y + bus), (tx, ty), arrow=arrow)
        else:
            picture.wire((x, y), (tx, y), (tx, ty), arrow=arrow)


def _join(picture: Picture, exits: Sequence[Point], x: float, top: float) -> None:
    """Wires into a merge: from above on the axis, else down to its height and in from the side."""
    for ex, ey in exits:
        if abs(ex - x) < 0.05:
            picture.wire((x, ey), (x, top))
        else:
            side = x + math.copysign(RADIUS, ex - x)
            picture.wire((ex, ey), (ex, top + RADIUS), (side, top + RADIUS))


@dataclass(frozen=True)
class _Mark:
    """A rectangle or the visible L of one behind another, relative to the tensor's corner."""

    template: str
    points: tuple[tuple[float, float], ...]

    def at(self, x: float, y: float) -> str:
        numbers = [_n(value) for px, py in self.points for value in (x + px, y + py)]
        return self.template.format(*numbers)


def _rect(x: float, y: float, w: float, h: float, rx: float = 1) -> _Mark:
    size = f'width="{_n(w)}" height="{_n(h)}"' + (f' rx="{_n(rx)}"' if rx else "")
    return _Mark(f'<rect x="{{}}" y="{{}}" {size}/>', ((x, y),))


def _lines(*ends: tuple[float, float, float, float]) -> _Mark:
    template = "".join(f"M{{}} {{}}l{_n(dx)} {_n(dy)}" for _, _, dx, dy in ends)
    return _Mark(
        f'<path stroke-opacity=".55" stroke-width="1" d="{template}"/>',
        tuple((x, y) for x, y, _, _ in ends),
    )


def _form(shape: str) -> tuple[list[_Mark], float, float]:
    """The marks that show a tensor of this symbolic shape, and their width and height."""
    dims = [part.strip() for part in shape.split("×")] if shape else []
    if dims and dims[0] == "B" and len(dims) > 1:
        dims = dims[1:]  # the batch is not drawn
    if len(dims) >= 3:
        *_, depth, high, wide = dims
        if high == wide == "1":
            return _vector(depth)
        h, w = (9 if high == "1" else 26), (9 if wide == "1" else 26)
        return _stack(_sheets(depth), w, h)
    if len(dims) == 2:
        rows, columns = (d[:1] in ("N", "H", "W") for d in dims)  # positions, more than channels
        if dims[0] == dims[1] or rows == columns:
            return _grid(5, 5)
        return _grid(5, 3) if rows else _grid(3, 5)
    if dims == ["1"]:
        return [_rect(0, 0, 11, 11)], 11, 30
    return _vector(dims[0] if dims else "")


def _sheets(depth: str) -> int:
    if depth.isdigit():
        return min(int(depth), 4)
    return 2 if "/" in depth else 5 if depth[:1] in "23456789" else 4


def _stack(count: int, w: float, h: float) -> tuple[list[_Mark], float, float]:
    step = 3.5
    far = step * (count - 1)
    marks = []
    for i in range(count - 1, 0, -1):  # from the back: of each sheet only the L that is seen
        x, y = step * i, far - step * i
        outline = f"M{{}} {{}}v-{_n(step)}h{_n(w)}v{_n(h)}h-{_n(step)}v-{_n(h - step)}z"
        marks.append(_Mark(f'<path d="{outline}"/>', ((x, y + step),)))
    marks.append(_rect(0, far, w, h))
    return marks, w + far, h + far


def _vector(length: str) -> tuple[list[_Mark], float, float]:
    cells = 1 if length == "1" else 3 if "/" in length else 5
    cell, width = 6.8, 11.0
    marks = [_rect(0, 0, width, cell * cells)]
    if cells > 1:
        marks.append(_lines(*((0.0, cell * i, width, 0.0) for i in range(1, cells))))
    return marks, width, cell * cells


def _grid(rows: int, columns: int) -> tuple[list[_Mark], float, float]:
    cell = 6.5
    w, h = cell * columns, cell * rows
    across = [(0.0, cell * i, w, 0.0) for i in range(1, rows)]
    down = [(cell * i, 0.0, 0.0, h) for i in range(1, columns)]
    return [_rect(0, 0, w, h), _lines(*across, *down)], w, h
