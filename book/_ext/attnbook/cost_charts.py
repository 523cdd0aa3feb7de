"""The charts of the page "What it costs"."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from attnbook.charts import Axis, Curve, Mark, bars, exact, figure, lines, number
from attnbook.cost_data import (
    PASSES,
    Row,
    copies,
    is_default,
    main_row,
    said,
    time_source,
    times,
)
from attnbook.cost_words import WORDS

#: Charts of growth: name → quantity and symbol.
CHARTS = {
    "parameters-C": ("parameters", "C"),
    "macs-C": ("macs", "C"),
    "macs-N": ("macs", "N"),
    "peak-N": ("peak", "N"),
}
#: Curves that differ by no more than this at any size are drawn as one.
SAME = 0.05


def draw_chart(name: str, record: Row, time: Row | None, language: str) -> str:
    if name == "time":
        return draw_time(record, time, language)
    if name == "roofline":
        return draw_roofline(record, time, language)
    return draw_growing(record, *CHARTS[name], language)


def draw_growing(record: Row, quantity: str, symbol: str, language: str) -> str:
    """One quantity of all mechanisms over C or N."""
    words = WORDS[language]
    at, scale = record["at"], 1e6 if quantity.startswith("peak") else 1.0
    found: dict[str, list[tuple[float, float]]] = {}
    for row in record["rows"]:
        fixed = (
            row["height"] == at["height"] if symbol == "C" else row["channels"] == at["channels"]
        )
        whole = not is_default(row)
        if not fixed or not row[quantity] or (whole and not quantity.startswith("peak")):
            continue
        name = row["mechanism"]
        name = words["whole"].format(name=name) if whole else name
        size = row["channels"] if symbol == "C" else row["height"] * row["width"]
        found.setdefault(name, []).append((size, row[quantity] / scale))
    styles = {name: i for i, name in enumerate(record["mechanisms"])}
    curves, together = merged({name: sorted(points) for name, points in found.items()}, styles)
    sizes = sorted({size for points in found.values() for size, _ in points})
    start = 2 * max(curve.points[0][1] for curve in curves)  # above them all
    for power, sign in ((1, ""), (2, "²")):
        end = start * (sizes[-1] / sizes[0]) ** power
        guide = [(sizes[0], start), (sizes[-1], end)]
        curves.append(Curve(f"∝ {symbol}{sign}", guide, kind="guide"))
    what = words[f"of_{symbol}"].format(what=words[f"what_{quantity}"])
    same = "".join(
        words["same"].format(first=first, names=words["list"].join(names))
        for first, names in together.items()
    )
    drawing = lines(
        curves,
        Axis(words[symbol], log=True, ticks=sizes, format=exact),
        Axis("MB" if scale > 1 else "", log=True),
        language=language,
        title=what,
    )
    return figure(drawing, words["chart_caption"].format(what=what, same=same))


def merged(
    found: Mapping[str, Sequence[tuple[float, float]]], styles: Mapping[str, int]
) -> tuple[list[Curve], dict[str, list[str]]]:
    """Curves that coincide as one, named after the first; and which names stand for several."""
    groups: list[tuple[list[str], Sequence[tuple[float, float]]]] = []
    for name, points in found.items():
        for names, others in groups:
            if len(points) == len(others) and all(
                abs(y - other) <= SAME * other
                for (_, y), (_, other) in zip(points, others, strict=True)
            ):
                names.append(name)
                break
        else:
            groups.append(([name], points))
    curves, together = [], {}
    for names, points in groups:
        label = names[0] if len(names) == 1 else f"{names[0]} +{len(names) - 1}"
        curves.append(Curve(label, points, style=styles.get(names[0], len(styles))))
        if len(names) > 1:
            together[label] = names
    return curves, together


def draw_time(record: Row, time: Row | None, language: str) -> str:
    """Bars in copies of x, for the CPU with most threads."""
    words = WORDS[language]
    if time is None:
        return f"<p>{words['missing']}</p>"
    threads = max(m["threads"] for m in time["machines"] if m["device"] == "cpu")
    on = said(words, threads)
    rows = {}
    for key in record["mechanisms"]:
        marks = []
        for which in PASSES:
            row = times(time, key, "cpu", threads, which)
            marks.append(_mark(row) if row else Mark(None))
        rows[key] = marks
    shortest = [mark.value for marks in rows.values() for mark in marks if mark.value]
    drawing = bars(
        dict(sorted(rows.items(), key=lambda item: item[1][0].value or 0)),
        [words[which] for which in PASSES],
        language=language,
        title=words["time_title"].format(threads=on),
        axis=Axis(words["time_axis"], log=True, low=min(1.0, *shortest)),
        reference=(1.0, words["copy"]),
    )
    caption = words["time_caption"].format(threads=on)
    return figure(drawing, caption) + time_source(time, words, language)


def _mark(row: Row) -> Mark:
    value, spread = row["times_copy"], row["iqr_s"]
    if spread is None:
        return Mark(value, text=copies(value))
    half = value * spread / row["median_s"] / 2
    return Mark(value, max(value - half, value / 10), value + half, copies(value))


def draw_roofline(record: Row, time: Row | None, language: str) -> str:
    """Rate over intensity, under the roof that bandwidth and product of matrices make."""
    words = WORDS[language]
    if time is None:
        return f"<p>{words['missing']}</p>"
    machine = max((m for m in time["machines"] if m["device"] == "cpu"), key=lambda m: m["threads"])
    bandwidth, peak = machine["copy_bytes_per_s"], machine["product_macs_per_s"]
    curves, left = [], []
    for key, known in record["mechanisms"].items():
        row = main_row(record, key)
        timed = times(time, key, "cpu", machine["threads"], "forward")
        macs = row["macs"] * row["batch"]
        if not macs:
            left.append(key)
        elif timed:
            at = (macs / row["bytes_min"], macs / timed["median_s"] / 1e9)
            style = 0 if known["kind"] == "gate" else 1
            curves.append(Curve(key, [at], kind="points", style=style))
    low = min((c.points[0][0] for c in curves), default=0.01) / 2
    high = max((c.points[0][0] for c in curves), default=100.0) * 2
    ridge = peak / bandwidth
    roof = [(low, low * bandwidth / 1e9), (ridge, peak / 1e9), (max(high, ridge * 2), peak / 1e9)]
    on = said(words, machine["threads"])
    drawing = lines(
        [Curve(words["roof"], roof, kind="guide"), *curves],
        Axis(words["roof_x"], log=True),
        Axis(words["roof_y"], log=True),
        language=language,
        title=words["roof_title"].format(threads=on),
        height=420.0,
    )
    caption = words["roof_caption"].format(
        copy=number(bandwidth / 1e9),
        peak=number(peak / 1e9),
        ridge=number(ridge, 2),
        threads=on,
        left=words["roof_left"].format(names=words["list"].join(left)) if left else "",
    )
    return figure(drawing, caption) + time_source(time, words, language)
