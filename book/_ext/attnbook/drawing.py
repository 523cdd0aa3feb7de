"""What every chart is drawn from: numbers, scales, ticks, text, and labels that do not collide.

Plain SVG in strings, nothing else: no state, no dependency, the same text on every machine.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

_UNITS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
#: Shapes that tell series apart where colour cannot, in the order in which they are given out.
SHAPES = ("circle", "square", "up", "diamond", "down", "ring", "cross", "frame")
#: Dashes of lines, in the same order.
DASHES = ("", "7 3", "2 3", "9 3 2 3", "13 4", "4 2 1 2 1 2")
TONES = 6  #: colours of the style sheet: classes t0, t1, ...


def number(value: float, digits: int = 3) -> str:
    """A number as charts write it, in three digits: 0.0042, 1.7, 12.8 k, 4.95 M."""
    if value == 0:
        return "0"
    size = abs(value)
    for unit, name in _UNITS:
        if size >= unit * (1 - 0.5 * 10**-digits):
            return f"{_plain(value / unit, digits)} {name}"
    return _plain(value, digits)


def exact(value: float) -> str:
    """A count with every digit: 1,024."""
    return f"{value:,.0f}".replace("-", "−")


def _plain(value: float, digits: int) -> str:
    """``digits`` significant digits, no exponent, no trailing zeros, a proper minus sign."""
    places = max(0, digits - 1 - math.floor(math.log10(abs(value)) + 1e-12))
    text = f"{value:.{places}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return text.replace("-", "−")


def width_of(text: str, size: float) -> float:
    """About how wide a text is: Chinese characters fill a square, Latin letters half of one."""
    wide = dict.fromkeys("ilj.,: '|", 0.34) | dict.fromkeys("mwMW", 0.95)
    return size * sum(1.0 if ord(c) > 0x2E80 else wide.get(c, 0.63) for c in text)


# --- scales ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """From values to pixels: linear or logarithmic."""

    low: float
    high: float
    start: float  #: pixel of ``low``
    end: float
    log: bool = False

    def __call__(self, value: float) -> float:
        low, high, at = self.low, self.high, value
        if self.log:
            low, high, at = math.log10(low), math.log10(high), math.log10(value)
        return self.start + (at - low) / (high - low) * (self.end - self.start)


def nice_ticks(low: float, high: float, count: int = 6) -> list[float]:
    """Round values between ``low`` and ``high``, 1, 2 or 5 times a power of ten apart."""
    rough = (high - low) / max(count, 1)
    power = 10 ** math.floor(math.log10(rough))
    step = next(s * power for s in (1, 2, 5, 10) if s * power >= rough * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def log_ticks(low: float, high: float, count: int = 7) -> list[float]:
    """Powers of ten between ``low`` and ``high``; 2 and 5 times them where there are few."""
    first, last = math.floor(math.log10(low)), math.ceil(math.log10(high))
    inside = [10.0**p for p in range(first, last + 1) if low <= 10.0**p * (1 + 1e-9) <= high * 1.01]
    if len(inside) > count:
        return inside[:: math.ceil(len(inside) / count)]
    if len(inside) > 2:
        return inside
    steps = (s * 10.0**p for p in range(first - 1, last + 1) for s in (1, 2, 5))
    return [s for s in steps if low * (1 - 1e-9) <= s <= high * (1 + 1e-9)]


# --- elements -------------------------------------------------------------------------------------


def text(x: float, y: float, words: str, *, kind: str = "", anchor: str = "start") -> str:
    named = f' class="{kind}"' if kind else ""
    placed = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text{named} x="{x:.1f}" y="{y:.1f}"{placed}>{escape(words)}</text>'


def segment(x0: float, y0: float, x1: float, y1: float, kind: str) -> str:
    return f'<line class="{kind}" x1="{x0:.1f}" y1="{y0:.1f}" x2="{x1:.1f}" y2="{y1:.1f}"/>'


def marker(x: float, y: float, index: int, *, tone: int, size: float = 4.5, title: str = "") -> str:
    """The shape of series ``index`` around a point; ``title`` is shown under the pointer."""
    shape, s = SHAPES[index % len(SHAPES)], size
    said = f"<title>{escape(title)}</title>" if title else ""
    kind = f"marker t{tone % TONES}"
    if shape in ("ring", "frame"):
        kind += " hollow"
    if shape in ("circle", "ring"):
        return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{s:g}">{said}</circle>'
    d = s * 0.92
    path = {
        "square": f"M{x - d:.1f} {y - d:.1f}h{2 * d:.1f}v{2 * d:.1f}h{-2 * d:.1f}z",
        "frame": f"M{x - d:.1f} {y - d:.1f}h{2 * d:.1f}v{2 * d:.1f}h{-2 * d:.1f}z",
        "up": f"M{x:.1f} {y - s * 1.2:.1f}L{x + s * 1.1:.1f} {y + d:.1f}H{x - s * 1.1:.1f}z",
        "down": f"M{x:.1f} {y + s * 1.2:.1f}L{x + s * 1.1:.1f} {y - d:.1f}H{x - s * 1.1:.1f}z",
        "diamond": f"M{x:.1f} {y - s * 1.3:.1f}l{s * 1.3:.1f} {s * 1.3:.1f}"
        f"l{-s * 1.3:.1f} {s * 1.3:.1f}l{-s * 1.3:.1f} {-s * 1.3:.1f}z",
        "cross": f"M{x - d:.1f} {y - d:.1f}l{2 * d:.1f} {2 * d:.1f}"
        f"M{x - d:.1f} {y + d:.1f}l{2 * d:.1f} {-2 * d:.1f}",
    }[shape]
    if shape == "cross":
        kind += " stroked"
    return f'<path class="{kind}" d="{path}">{said}</path>'


# --- labels ---------------------------------------------------------------------------------------


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Positions as near to the wanted ones as possible, ``gap`` apart, between the limits.

    Neighbours that would overlap form a block that settles around the mean of what they want.
    """
    order = sorted(range(len(wanted)), key=lambda i: wanted[i])
    blocks: list[tuple[float, list[int]]] = []  # (top of the block, its members)
    for i in order:
        members = [i]
        top = wanted[i]
        while blocks and blocks[-1][0] + gap * len(blocks[-1][1]) > top:
            members = blocks.pop()[1] + members
            ideal = [wanted[m] - k * gap for k, m in enumerate(members)]
            top = sum(ideal) / len(ideal)
            top = max(low, min(top, high - gap * (len(members) - 1)))
        blocks.append((max(low, min(top, high - gap * (len(members) - 1))), members))
    placed = [0.0] * len(wanted)
    for top, members in blocks:
        for k, member in enumerate(members):
            placed[member] = top + k * gap
    return placed


@dataclass(frozen=True)
class Box:
    x0: float
    y0: float
    x1: float
    y1: float

    def overlap(self, other: Box) -> float:
        across = min(self.x1, other.x1) - max(self.x0, other.x0)
        down = min(self.y1, other.y1) - max(self.y0, other.y0)
        return across * down if across > 0 and down > 0 else 0.0

    def outside(self, frame: Box) -> float:
        inside = frame.overlap(self)
        return (self.x1 - self.x0) * (self.y1 - self.y0) - inside

    def distance(self, x: float, y: float) -> float:
        return math.hypot(max(self.x0 - x, 0, x - self.x1), max(self.y0 - y, 0, y - self.y1))


_AROUND = [
    (1, 0), (-1, 0), (0, -1), (0, 1), (0.75, -0.75), (0.75, 0.75), (-0.75, -0.75), (-0.75, 0.75),
]  # fmt: skip


def place_labels(
    points: Sequence[tuple[float, float, str]], frame: Box, size: float
) -> list[tuple[float, float, str, bool]]:
    """A place beside each point for its label: x, baseline, anchor, whether it needs a leader.

    Points that have more neighbours choose first; each takes the nearest free place.
    """
    taken = [Box(x - 5, y - 5, x + 5, y + 5) for x, y, _ in points]

    def neighbours(i: int) -> int:
        return sum(math.dist(points[i][:2], other[:2]) < 40 for other in points)

    order = sorted(range(len(points)), key=neighbours, reverse=True)
    answer: list[tuple[float, float, str, bool]] = [(0.0, 0.0, "start", False)] * len(points)
    for i in order:
        x, y, words = points[i]
        width = width_of(words, size) + 2
        best: tuple[float, Box, tuple[float, float, str, bool]] | None = None
        for reach in (8, 16, 26, 38, 52, 68):
            for dx, dy in _AROUND:
                cx, cy = x + dx * reach, y + dy * (reach + size * 0.4)
                anchor = "start" if dx > 0 else "end" if dx < 0 else "middle"
                left = cx - {"start": 0, "end": width, "middle": width / 2}[anchor]
                box = Box(left, cy - size * 0.6, left + width, cy + size * 0.6)
                cost = sum(box.overlap(t) for j, t in enumerate(taken) if j != i)
                cost += 20 * box.outside(frame) + reach * 0.5
                near = sum(box.distance(*p[:2]) <= box.distance(x, y) for p in points) - 1
                far = reach > 8
                cost += near * (12 if far else 30)  # it could be taken for another point's label
                if best is None or cost < best[0] - 1e-9:
                    best = (cost, box, (cx, cy + size * 0.36, anchor, far))
        assert best is not None
        taken.append(best[1])
        answer[i] = best[2]
    return answer


def wrapped(items: Sequence[tuple[str, float]], room: float) -> list[tuple[float, int]]:
    """Left edge and line of items of given widths, set in lines of ``room``."""
    placed, x, line = [], 0.0, 0
    for _, width in items:
        if x and x + width > room:
            x, line = 0.0, line + 1
        placed.append((x, line))
        x += width
    return placed


Format = Callable[[float], str]
