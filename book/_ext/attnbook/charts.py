"""Charts for the pages: plain data in, inline SVG out.

    bars(rows, series, language="zh", title="...")     horizontal bars, grouped, whiskers if wanted
    dots(rows, series, language="zh", title="...")     a dot and a whisker for each value
    lines(curves, x, y, language="zh", title="...")    lines and labelled points, log-log or linear

Every chart is drawn twice, for a wide column and for a phone, and the style sheet (``.chart``)
shows the one that fits and gives both the colours of the theme. Series are told apart by fill, dash
or shape and by words beside them, never by colour alone. To assistive technology a chart is one
picture with a title and a description; without a description of its own it is described by its
numbers.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from html import escape

from attnbook.drawing import (
    DASHES,
    TONES,
    Box,
    Format,
    Scale,
    exact,
    log_ticks,
    marker,
    nice_ticks,
    number,
    place_labels,
    segment,
    spread,
    text,
    width_of,
    wrapped,
)

__all__ = ["Axis", "Curve", "Mark", "bars", "dots", "exact", "figure", "lines", "number"]

WIDE, NARROW = 720.0, 358.0
SIZE = 12.5  #: of the text, in the units of the drawing
WORDS = {
    "en": {"missing": "not recorded", "colon": ": ", "comma": ", ", "stop": "; ", "to": " to "},
    "zh": {"missing": "未记录", "colon": "：", "comma": "，", "stop": "；", "to": " 至 "},
}


@dataclass(frozen=True)
class Mark:
    """One value of a bar or dot; ``None`` is shown as not recorded."""

    value: float | None
    low: float | None = None  #: ends of the whisker
    high: float | None = None
    text: str = ""  #: stands beside the mark; default: the number
    outer: tuple[float, float] | None = None  #: ends of a thin line beyond the whisker of a dot


@dataclass(frozen=True)
class Axis:
    name: str
    log: bool = False
    ticks: Sequence[float] = ()  #: default: round numbers
    low: float | None = None  #: default: what the data and the ticks need
    high: float | None = None
    format: Format = number


@dataclass(frozen=True)
class Curve:
    """A row of points and how to show them."""

    name: str
    points: Sequence[tuple[float, float]]
    #: ``line``: with markers, named at its end. ``points``: markers only, named beside each one.
    #: ``guide``: a thin line to compare with, named at its end.
    kind: str = "line"
    #: Colour, dash and shape; default: the curve's place among those that are not guides.
    style: int | None = None


#: Rows of bars or dots: name → one mark (or number, or ``None``) for each series.
Rows = Mapping[str, Sequence[Mark | float | None]]
Marks = Mapping[str, Sequence[Mark]]


def figure(chart: str, caption: str) -> str:
    """A chart with its caption (HTML)."""
    return f"<figure>{chart}<figcaption><p>{caption}</p></figcaption></figure>"


def bars(
    rows: Rows,
    series: Sequence[str],
    *,
    language: str,
    title: str,
    description: str = "",
    axis: Axis | None = None,
    reference: tuple[float, str] | None = None,
) -> str:
    """Horizontal bars, one group for each row; ``reference`` is a value to compare with."""
    return _rows(_BARS, rows, series, language, title, description, axis, reference)


def dots(
    rows: Rows,
    series: Sequence[str],
    *,
    language: str,
    title: str,
    description: str = "",
    axis: Axis | None = None,
    reference: tuple[float, str] | None = None,
) -> str:
    """A dot with a whisker for each value, on a line of its own."""
    return _rows(_DOTS, rows, series, language, title, description, axis, reference)


def lines(
    curves: Sequence[Curve],
    x: Axis,
    y: Axis,
    *,
    language: str,
    title: str,
    description: str = "",
    height: float = 300.0,
) -> str:
    """Curves and labelled points in a frame, whose inner part is at least ``height`` high."""
    if not any(curve.points for curve in curves):
        raise ValueError("a chart of lines needs points")
    words = WORDS[language]
    if not description:
        said = []
        for curve in curves:
            if curve.kind == "guide" or not curve.points:
                continue
            ends = [curve.points[0], curve.points[-1]][: len(curve.points)]
            spoken = words["to"].join(f"({x.format(a)}, {y.format(b)})" for a, b in ends)
            said.append(f"{curve.name}{words['colon']}{spoken}")
        description = words["stop"].join(said)
    drawings = [_frame(curves, x, y, width, height) for width in (WIDE, NARROW)]
    return _chart(drawings, title, description)


# --- the picture ----------------------------------------------------------------------------------


def _chart(drawings: Sequence[tuple[float, float, str]], title: str, description: str) -> str:
    """Both drawings in their box, each a picture with title and description."""
    key = hashlib.sha1("".join(d[2] for d in drawings).encode()).hexdigest()[:8]
    parts = []
    for kind, (width, height, body) in zip(("large", "small"), drawings, strict=True):
        name = f"chart-{key}-{kind}"
        parts.append(
            f'<svg class="{kind}" viewBox="0 0 {width:g} {height:.0f}" width="{width:g}" '
            f'height="{height:.0f}" role="img" aria-labelledby="{name}-t" '
            f'aria-describedby="{name}-d"><title id="{name}-t">{escape(title)}</title>'
            f'<desc id="{name}-d">{escape(description)}</desc>{body}</svg>'
        )
    return f'<div class="chart">{"".join(parts)}</div>'


# --- bars and dots --------------------------------------------------------------------------------


def _mark(value: Mark | float | None) -> Mark:
    return value if isinstance(value, Mark) else Mark(value)


def _rows(
    look: _Look,
    rows: Rows,
    series: Sequence[str],
    language: str,
    title: str,
    description: str,
    axis: Axis | None,
    reference: tuple[float, str] | None,
) -> str:
    axis = axis or Axis("")
    marks = {name: [_mark(m) for m in values] for name, values in rows.items()}
    if not marks:
        raise ValueError("a chart needs rows")
    for name, values in marks.items():
        if len(values) != len(series):
            raise ValueError(f"{name!r} has {len(values)} values for {len(series)} series")
    words = WORDS[language]

    def say(mark: Mark) -> str:
        assert axis is not None
        if mark.value is None:
            return words["missing"]
        return mark.text or axis.format(mark.value)

    def spoken(name: str, mark: Mark) -> str:
        if len(series) == 1:
            return say(mark)
        gap = "" if language == "zh" and mark.value is None else " "  # Chinese after Chinese
        return f"{name}{gap}{say(mark)}"

    if not description:
        description = words["stop"].join(
            name
            + words["colon"]
            + words["comma"].join(spoken(s, m) for s, m in zip(series, values, strict=True))
            for name, values in marks.items()
        )
    drawings = [_ruled(look, marks, series, axis, reference, say, w) for w in (WIDE, NARROW)]
    return _chart(drawings, title, description)


def _range(
    marks: Marks, axis: Axis, reference: tuple[float, str] | None, from_zero: bool
) -> tuple[float, float]:
    found = [
        v
        for values in marks.values()
        for m in values
        for v in (m.value, m.low, m.high, *(m.outer or ()))
        if v is not None
    ]
    found += [reference[0]] if reference else []
    found += list(axis.ticks)
    found = [v for v in found if v > 0] if axis.log else found
    low, high = (min(found), max(found)) if found else (0.0, 1.0)
    if axis.log:
        low, high = low * 0.8, high * 1.05
    elif from_zero:
        low, high = min(low, 0.0), max(high, 0.0)
    else:
        space = (high - low or abs(high) or 1.0) * 0.04
        low, high = low - space, high + space
    low = axis.low if axis.low is not None else low
    high = axis.high if axis.high is not None else high
    return (low, high) if high > low else (low, low + 1)


def _ruled(
    look: _Look,
    marks: Marks,
    series: Sequence[str],
    axis: Axis,
    reference: tuple[float, str] | None,
    say: Callable[[Mark], str],
    width: float,
) -> tuple[float, float, str]:
    """Rows of marks over one horizontal axis."""
    wide = width == WIDE
    longest = max(width_of(name, SIZE) for name in marks)
    above = longest > (0.36 if wide else 0.3) * width  # the names stand over their rows then
    left = 2.0 if above else longest + 10
    beside = max(width_of(say(m), SIZE) for values in marks.values() for m in values)
    right = width - (beside + 10 if look.from_zero else 8)
    pitch = 17.0 if len(series) > 1 else 20.0
    group = pitch * len(series) + (8 if len(series) > 1 else 4) + (17 if above else 0)

    parts: list[str] = []
    y = 4.0
    if len(series) > 1:
        items = [(name, width_of(name, SIZE) + 34) for name in series]
        for i, (x, line) in enumerate(wrapped(items, width)):
            parts.append(look.swatch(x + 2, y + 18 * line + 7, i))
            parts.append(text(x + 22, y + 18 * line + 11.5, series[i]))
        y += 18 * (wrapped(items, width)[-1][1] + 1) + 6
    if reference:
        y += 16
    low, high = _range(marks, axis, reference, look.from_zero)
    scale = Scale(low, high, left, right, axis.log)
    top, bottom = y, y + group * len(marks)
    count = max(2, int((right - left) / 75))
    ticks = list(axis.ticks) or (log_ticks if axis.log else nice_ticks)(low, high, count)
    parts += _ticks(scale, ticks, axis, top, bottom)
    if reference:
        at = scale(reference[0])
        parts.append(segment(at, top - 4, at, bottom, "reference"))
        half = width_of(reference[1], SIZE) / 2
        x = min(max(at, half + 1), width - half - 1)
        parts.append(text(x, top - 8, reference[1], kind="quiet", anchor="middle"))
    origin = scale(min(max(low if axis.log else 0.0, low), high))
    for name, values in marks.items():
        line = y + (17 if above else 0)
        middle = line + pitch * len(series) / 2
        if above:
            parts.append(text(left, y + 13, name, kind="name halo"))  # over the reference line
        else:
            parts.append(text(left - 8, middle + 4.5, name, kind="name", anchor="end"))
        for i, mark in enumerate(values):
            at = line + pitch * (i + 0.5)
            if mark.value is None:
                parts.append(text(origin + 6, at + 4.5, say(mark), kind="quiet"))
            else:
                said = f"{name}, {series[i]}: {say(mark)}" if len(series) > 1 else ""
                drawn = look.draw(mark, mark.value, at, i, scale, origin, say(mark), said, width)
                parts.append(drawn)
        y += group
    parts.append(segment(origin, top, origin, bottom, "axis"))
    y = bottom + 22
    if axis.name:
        parts.append(text((left + right) / 2, y + 14, axis.name, kind="quiet", anchor="middle"))
        y += 20
    return width, y, "".join(parts)


def _ticks(
    scale: Scale, ticks: Sequence[float], axis: Axis, top: float, bottom: float
) -> list[str]:
    """Grid lines with their numbers below, as many numbers as there is room for."""
    parts, taken = [], -10.0
    for tick in ticks:
        if not scale.low - 1e-9 <= tick <= scale.high + 1e-9:
            continue
        at, words = scale(tick), axis.format(tick)
        parts.append(segment(at, top, at, bottom, "grid"))
        half = width_of(words, SIZE) / 2
        if at - half >= taken:
            parts.append(text(at, bottom + 16, words, kind="quiet", anchor="middle"))
            taken = at + half + 4
    return parts


def _whisker(mark: Mark, y: float, scale: Scale, kind: str) -> str:
    if mark.low is None or mark.high is None:
        return ""
    x0, x1 = scale(mark.low), scale(mark.high)
    return (
        segment(x0, y, x1, y, kind)
        + segment(x0, y - 4, x0, y + 4, kind)
        + segment(x1, y - 4, x1, y + 4, kind)
    )


def _bar(
    mark: Mark,
    value: float,
    y: float,
    i: int,
    scale: Scale,
    origin: float,
    words: str,
    title: str,
    _width: float,
) -> str:
    x0, x1 = sorted((origin, scale(value)))
    said = f"<title>{escape(title)}</title>" if title else ""
    end = max(x1, scale(mark.high) if mark.high is not None else x1)
    return (
        f'<rect class="bar t{i % TONES}" x="{x0:.1f}" y="{y - 5.5:.1f}" '
        f'width="{max(x1 - x0, 0.8):.1f}" height="11">{said}</rect>'
        + _whisker(mark, y, scale, "whisker")
        + text(end + 5, y + 4.5, words)
    )


def _bar_swatch(x: float, y: float, i: int) -> str:
    return f'<rect class="bar t{i % TONES}" x="{x:.1f}" y="{y - 5:.1f}" width="14" height="10"/>'


def _dot(
    mark: Mark,
    value: float,
    y: float,
    i: int,
    scale: Scale,
    _origin: float,
    words: str,
    title: str,
    width: float,
) -> str:
    at = scale(value)
    ends = [scale(v) for v in (mark.low, mark.high, *(mark.outer or ())) if v is not None]
    start, end = min([at - 6, *(v - 2 for v in ends)]), max([at + 6, *(v + 2 for v in ends)])
    room = width_of(words, SIZE) + 4
    beside = (
        text(end + 3, y + 4.5, words)
        if end + room <= width
        else text(start - 3, y + 4.5, words, anchor="end")
    )
    thin = ""
    if mark.outer is not None:
        thin = segment(scale(mark.outer[0]), y, scale(mark.outer[1]), y, f"outer t{i % TONES}")
    return (
        thin
        + _whisker(mark, y, scale, f"whisker t{i % TONES}")
        + marker(at, y, i, tone=i, title=title)
        + beside
    )


def _dot_swatch(x: float, y: float, i: int) -> str:
    return marker(x + 8, y, i, tone=i)


@dataclass(frozen=True)
class _Look:
    """What rows are drawn with."""

    draw: Callable[[Mark, float, float, int, Scale, float, str, str, float], str]
    swatch: Callable[[float, float, int], str]
    from_zero: bool  #: a bar's length is its value


_BARS = _Look(_bar, _bar_swatch, from_zero=True)
_DOTS = _Look(_dot, _dot_swatch, from_zero=False)


# --- lines ----------------------------------------------------------------------------------------


def _span(values: Sequence[float], axis: Axis) -> tuple[float, float]:
    found = [*values, *axis.ticks]
    low, high = min(found), max(found)
    if axis.log:
        low, high = low / 1.25, high * 1.25
    else:
        space = (high - low or abs(high) or 1.0) * 0.04
        low, high = low - space, high + space
    return (
        axis.low if axis.low is not None else low,
        axis.high if axis.high is not None else high,
    )


def _frame(
    curves: Sequence[Curve], x: Axis, y: Axis, width: float, inner: float
) -> tuple[float, float, str]:
    curves = [curve for curve in curves if curve.points]
    ends = [c for c in curves if c.kind != "points"]
    low_x, high_x = _span([p[0] for c in curves for p in c.points], x)
    low_y, high_y = _span([p[1] for c in curves for p in c.points], y)
    inner = max(inner, 15.0 * len(ends) + 20)
    top = 26.0 if y.name else 10.0
    bottom = top + inner
    count = 7 if width == WIDE else 4
    ticks_y = list(y.ticks) or (log_ticks if y.log else nice_ticks)(low_y, high_y, 8)
    ticks_x = list(x.ticks) or (log_ticks if x.log else nice_ticks)(low_x, high_x, count)
    left = max(width_of(y.format(t), SIZE) for t in ticks_y) + 10
    named = max((width_of(c.name, SIZE) for c in ends), default=0.0)
    right = width - (named + 24 if named else 12)
    sx, sy = Scale(low_x, high_x, left, right, x.log), Scale(low_y, high_y, bottom, top, y.log)

    parts = []
    for tick in ticks_y:
        at = sy(tick)
        parts.append(segment(left, at, right, at, "grid"))
        parts.append(text(left - 6, at + 4.5, y.format(tick), kind="quiet", anchor="end"))
    parts += _ticks(sx, ticks_x, x, top, bottom)
    parts.append(segment(left, bottom, right, bottom, "axis"))
    parts.append(segment(left, top, left, bottom, "axis"))
    if y.name:
        parts.append(text(0, 13, y.name, kind="quiet"))
    height = bottom + 22
    if x.name:
        parts.append(text((left + right) / 2, height + 14, x.name, kind="quiet", anchor="middle"))
        height += 20

    heights = spread([sy(c.points[-1][1]) for c in ends], 14.5, top + 6, bottom - 2)
    places = dict(zip(map(id, ends), heights, strict=True))
    style = 0
    beside: list[tuple[float, float, str]] = []
    over: list[str] = []
    for curve in curves:
        at = [(sx(a), sy(b)) for a, b in curve.points]
        if curve.kind == "guide":
            kind, mine = "guide", 0
        else:
            mine = style if curve.style is None else curve.style
            style += 1
            kind = f"curve t{mine % TONES}"
        if curve.kind != "points":
            path = "M" + "L".join(f"{a:.1f} {b:.1f}" for a, b in at)
            dash = DASHES[mine % len(DASHES)] if curve.kind == "line" else ""
            dashed = f' stroke-dasharray="{dash}"' if dash else ""
            parts.append(f'<path class="{kind}" d="{path}"{dashed}/>')
            end = places[id(curve)]
            x1, y1 = at[-1]
            parts.append(segment(x1 + 6, y1, right + 14, end, "leader"))
            quiet = "quiet" if curve.kind == "guide" else f"named t{mine % TONES}"
            over.append(text(right + 17, end + 4.5, curve.name, kind=quiet))
        if curve.kind != "guide":
            for (a, b), (px, py) in zip(curve.points, at, strict=True):
                said = f"{curve.name}: {x.format(a)}, {y.format(b)}"
                over.append(marker(px, py, mine, tone=mine, title=said))
        if curve.kind == "points":
            beside += [(px, py, curve.name) for px, py in at]
    room = Box(left + 2, top, right + 8 if named else width - 2, bottom - 2)
    found = place_labels(beside, room, SIZE)
    for (px, py, name), (lx, ly, anchor, far) in zip(beside, found, strict=True):
        if far:
            parts.append(segment(px, py, lx, ly - 4.5, "leader"))
        over.append(text(lx, ly, name, kind="halo", anchor=anchor))
    return width, height, "".join([*parts, *over])
