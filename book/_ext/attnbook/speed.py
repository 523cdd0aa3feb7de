"""The page of measured speed, from the record that `make bench` writes.

:::{speed-chart}       how many times faster than each peer, at each mechanism's first input
:::{speed-compiled}    eager and compiled, in copies of the input
:::{speed-compiled-training}    the same for a training step
:::{speed-promises}    what the library promises, and whether it held in every run
:::{speed-table}       every comparison
:::{speed-gpu}         the same on a CUDA device, or how to record it
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from html import escape
from pathlib import Path
from statistics import median
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from attnbook import records
from attnbook.charts import Axis, Mark, bars, figure
from attnbook.languages import edition_of
from attnbook.tables import Cell, Column, sorted_table

Row = dict[str, Any]
COPY, COMPILED, OURS = "copy of x", "attnlib, compiled", "attnlib for "
PASSES = ("forward", "forward+backward")
TICKS = {  #: of the axes in copies of x
    "forward": (1, 2, 5, 10, 100, 400),
    "forward+backward": (1, 2, 5, 10, 100, 1000),
}
WORDS = {
    "en": {
        "forward": "forward",
        "forward+backward": "training step",
        "faster": "time of the other / time of attnlib",
        "even": "equally fast",
        "chart": "attnlib beside other implementations: how many times faster, {threads}",
        "caption": (
            "How many times faster attnlib is than each other implementation, for the forward pass "
            "and for a training step (forward and backward), at each mechanism's first input. "
            "Median over rounds; the whisker goes from the lowest to the highest quartile of both "
            "runs. {threads}, float32, eager against eager."
        ),
        "copies": "time in copies of x",
        "copies_title": "Eager and compiled, {which}, in copies of the input",
        "copies_caption": (
            "Time of a {which} in multiples of the time that a copy of the input takes, "
            "at (8, 256, 56, 56), eager and compiled. {threads}."
        ),
        "eager": "eager",
        "compiled": "torch.compile",
        "threads": lambda n: f"{n} thread" + "s" * (n > 1),
        "mechanism": "mechanism",
        "input": "input",
        "threads_head": "threads",
        "pass": "pass",
        "other": "other implementation",
        "theirs": "other, ms",
        "ours": "attnlib, ms",
        "ratio": "other / attnlib, both runs",
        "promise": "promise",
        "values": "measured, both runs",
        "bound": "bound",
        "state": "state",
        "holds": "✓ holds",
        "unconfirmed": "~ held in one run only",
        "fails": "✗ does not hold",
        "not measured": "– not measured",
        "peer": "best other / attnlib",
        "mean": "geometric mean, fightingcv-attention / attnlib",
        "peak": "peak memory, attnlib / other",
        "copies_promise": "compiled, copies of x",
        "all": "all mechanisms",
        "count": "{holds} of {all} promises hold in both runs{rest}.",
        "rest": {"unconfirmed": "{n} in one of them", "fails": "{n} in none"},
        "no_gpu": (
            "No CUDA device was at hand when these records were made: times on a GPU are not "
            "recorded. On a machine that has one, <code>make bench</code> records float32, "
            "bfloat16 and channels-last, and this section shows them."
        ),
        "another": "another function, not ranked",
    },
    "zh": {
        "forward": "前向",
        "forward+backward": "训练一步",
        "faster": "对方耗时 / attnlib 耗时",
        "even": "一样快",
        "chart": "attnlib 与其他实现：快多少倍，{threads}",
        "caption": (
            "在每种机制的第一个输入尺寸上，attnlib 比其他各个实现快多少倍：前向，以及训练一步"
            "（前向加反向）。取各轮的中位数；须线从两次运行里最低的四分位到最高的四分位。"
            "{threads}，float32，双方都不编译。"
        ),
        "copies": "耗时，以复制一次 x 为单位",
        "copies_title": "不编译与编译，{which}，以复制一次输入为单位",
        "copies_caption": (
            "{which}的耗时是复制一次输入的多少倍，输入为 (8, 256, 56, 56)，"
            "不编译与编译对照。{threads}。"
        ),
        "eager": "不编译",
        "compiled": "torch.compile",
        "threads": lambda n: f"{n} 线程",
        "mechanism": "机制",
        "input": "输入",
        "threads_head": "线程",
        "pass": "步骤",
        "other": "其他实现",
        "theirs": "对方，毫秒",
        "ours": "attnlib，毫秒",
        "ratio": "对方 / attnlib，两次运行",
        "promise": "承诺",
        "values": "实测，两次运行",
        "bound": "界限",
        "state": "结论",
        "holds": "✓ 成立",
        "unconfirmed": "~ 只在一次运行中成立",
        "fails": "✗ 不成立",
        "not measured": "– 未测",
        "peer": "最快的其他实现 / attnlib",
        "mean": "几何平均，fightingcv-attention / attnlib",
        "peak": "峰值内存，attnlib / 对方",
        "copies_promise": "编译后，相当于复制几次 x",
        "all": "全部机制",
        "count": "{all} 项承诺中有 {holds} 项在两次运行里都成立{rest}。",
        "rest": {"unconfirmed": "{n} 项只在其中一次成立", "fails": "{n} 项两次都不成立"},
        "no_gpu": (
            "制作这些记录时没有 CUDA 设备，所以没有 GPU 上的耗时。在有 CUDA 设备的机器上运行 "
            "<code>make bench</code>，就会记录 float32、bfloat16 和 channels-last 三种情形，"
            "并显示在这一节。"
        ),
        "another": "算的不是同一个函数，不参与排名",
    },
}


def _size(size: list[int]) -> str:
    return "×".join(map(str, size))


def _group(rows: list[Row], *names: str) -> dict[tuple[Any, ...], list[Row]]:
    """Rows that agree in ``names``, in the order in which they first appear."""
    found: dict[tuple[Any, ...], list[Row]] = {}
    for row in rows:
        key = tuple(tuple(row[n]) if isinstance(row[n], list) else row[n] for n in names)
        found.setdefault(key, []).append(row)
    return found


def _main(record: Row) -> list[Row]:
    return [r for r in record["rows"] if r["sizes"] == "main" and r["dtype"] == "float32"]


def _first(rows: list[Row]) -> list[Row]:
    """The rows at each mechanism's first input, with the most threads."""
    first: dict[str, list[int]] = {}
    for row in rows:
        first.setdefault(row["mechanism"], row["size"])
    most = max(r["threads"] for r in rows)
    return [r for r in rows if r["size"] == first[r["mechanism"]] and r["threads"] == most]


def chart(record: Row, language: str) -> str:
    """Bars: how many times faster than each peer that computes the same."""
    words = WORDS[language]
    rows = _first(_main(record))
    threads = words["threads"](rows[0]["threads"])
    drawn: dict[str, list[Mark | None]] = {}
    for (mechanism, module), group in _group(rows, "mechanism", "module").items():
        if not group[0].get("same"):
            continue
        marks: list[Mark | None] = []
        for which in PASSES:
            chosen = [r for r in group if r["pass"] == which and r.get("ratio")]
            quartiles = [q for r in chosen for q in r["ratio_quartiles"]]
            if chosen:
                ratio = median(r["ratio"] for r in chosen)
                text = f"{ratio:.2f}" if ratio < 10 else f"{ratio:.1f}"
                marks.append(Mark(ratio, min(quartiles), max(quartiles), text))
            else:
                marks.append(None)
        drawn[f"{mechanism} · {module}"] = marks
    svg = bars(
        drawn,
        [words[which] for which in PASSES],
        language=language,
        title=words["chart"].format(threads=threads),
        axis=Axis(words["faster"], log=True, ticks=(0.5, 1, 2, 5, 10)),
        reference=(1.0, words["even"]),
    )
    return figure(svg, words["caption"].format(threads=threads[0].upper() + threads[1:]))


def compiled(record: Row, language: str, which: str = "forward") -> str:
    """Bars: one pass of the gates in copies of x, eager and compiled."""
    words = WORDS[language]
    rows = [r for r in _first(_main(record)) if r["size"] == [8, 256, 56, 56]]
    drawn: dict[str, list[float | None]] = {}
    for (mechanism,), group in _group(rows, "mechanism").items():
        chosen = [r for r in group if r["pass"] == which and r["copies"]]
        eager = [r["copies"] for r in chosen if r["module"].startswith(OURS)]
        fused = [r["copies"] for r in chosen if r["module"] == COMPILED]
        if eager:
            drawn[mechanism] = [median(eager), median(fused) if fused else None]
    threads = words["threads"](rows[0]["threads"])
    svg = bars(
        drawn,
        [words["eager"], words["compiled"]],
        language=language,
        title=words["copies_title"].format(which=words[which]),
        axis=Axis(words["copies"], log=True, ticks=TICKS[which]),
    )
    return figure(svg, words["copies_caption"].format(which=words[which], threads=threads))


def compiled_training(record: Row, language: str) -> str:
    """The same for a training step."""
    return compiled(record, language, "forward+backward")


def promises(record: Row, language: str) -> str:
    """How many promises hold, and all of them as a table."""
    words = WORDS[language]
    rows: list[list[Cell | str]] = []
    for p in record["promises"]:
        subject = f"<code>{escape(p['mechanism'])}</code>" if p["mechanism"] else words["all"]
        values = [f"{v:.2f}" if v else "–" for v in p["values"]]
        rows.append([
            Cell(subject, p["mechanism"]),
            _size(p["size"]),
            words["copies_promise" if p["kind"] == "copies" else p["kind"]],
            words[p["which"]],
            str(p["threads"]),
            Cell(", ".join(values), min((v for v in p["values"] if v), default=None)),
            Cell(f"{'≥' if p['at_least'] else '≤'} {p['bound']:g}", p["bound"]),
            words[p["state"]],
        ])  # fmt: skip
    columns = [
        Column(words["mechanism"], filter=True),
        Column(words["input"]),
        Column(words["promise"], filter=True, wrap=True),
        Column(words["pass"], filter=True),
        Column(words["threads_head"], filter=True),
        Column(words["values"], numeric=True),
        Column(words["bound"], numeric=True),
        Column(words["state"], filter=True),
    ]
    return _count(record["promises"], words) + sorted_table(columns, rows, find=True)


def _count(found: list[Row], words: dict[str, Any]) -> str:
    states = Counter(p["state"] for p in found)
    parts = [t.format(n=states[s]) for s, t in words["rest"].items() if states[s]]
    mark = "；" if words is WORDS["zh"] else "; "
    rest = "".join(mark + part for part in parts)
    line = words["count"].format(holds=states["holds"], all=len(found), rest=rest)
    return f"<p><strong>{line}</strong></p>"


def table(record: Row, language: str, *, device: str = "cpu") -> str:
    """Every comparison: one row for a mechanism, an input, threads, a pass and a peer."""
    words = WORDS[language]
    rows: list[list[Cell | str]] = []
    every = [r for r in record["rows"] if r["device"] == device]
    names = ("mechanism", "size", "threads", "dtype", "channels_last", "pass", "module")
    groups = _group(every, *names)
    for key, group in groups.items():
        mechanism, size, threads, dtype, last, which, module = key
        if "same" not in group[0] or not group[0]["ms"]:
            continue
        ours = groups.get((*key[:-1], OURS + module), [])
        ratios = [r["ratio"] for r in group if r.get("ratio")]
        shown = ", ".join(f"{r:.2f}" for r in ratios) or "–"
        if not group[0]["same"]:
            shown = words["another"]
        how = f"{dtype}{', channels-last' * last}" if device == "cuda" else str(threads)
        rows.append([
            Cell(f"<code>{escape(mechanism)}</code>", mechanism),
            _size(list(size)),
            how,
            words[which],
            module,
            _ms(group),
            _ms(ours),
            Cell(shown, min(ratios, default=None) if group[0]["same"] else None),
        ])  # fmt: skip
    columns = [
        Column(words["mechanism"], filter=True),
        Column(words["input"], filter=True),
        Column("dtype" if device == "cuda" else words["threads_head"], filter=True),
        Column(words["pass"], filter=True),
        Column(words["other"], filter=True),
        Column(words["theirs"], numeric=True),
        Column(words["ours"], numeric=True),
        Column(words["ratio"], numeric=True),
    ]
    return sorted_table(columns, rows, find=True)


def _ms(rows: list[Row]) -> Cell:
    values = [r["ms"] for r in rows if r["ms"]]
    if not values:
        return Cell("–")
    ms = median(values)
    return Cell(f"{ms:,.0f}" if ms >= 100 else f"{ms:.3g}", ms)


def gpu(root: Path, language: str) -> str:
    """The comparisons on a CUDA device, or the command that records them."""
    if not (root / records.FOLDER / "speed-cuda.json").is_file():
        return f"<p>{WORDS[language]['no_gpu']}</p>"
    record = records.load(root, "speed-cuda")
    return table(record, language, device="cuda") + records.source_line(record, language)


def _directive(draw: Callable[[Path, str], str], *files: str) -> type[Directive]:
    class Drawn(Directive):
        def run(self) -> list[nodes.Node]:
            env = self.state.document.settings.env
            root = Path(env.srcdir)
            for name in files:
                env.note_dependency(str(root / records.FOLDER / f"{name}.json"))
            return [nodes.raw("", draw(root, edition_of(env.config.language).code), format="html")]

    return Drawn


def _of_record(draw: Callable[[Row, str], str]) -> type[Directive]:
    def with_source(root: Path, language: str) -> str:
        record = records.load(root, "speed")
        return draw(record, language) + records.source_line(record, language)

    return _directive(with_source, "speed")


def setup(app: Any) -> None:
    app.add_directive("speed-chart", _of_record(chart))
    app.add_directive("speed-compiled", _of_record(compiled))
    app.add_directive("speed-compiled-training", _of_record(compiled_training))
    app.add_directive("speed-promises", _of_record(promises))
    app.add_directive("speed-table", _of_record(table))
    app.add_directive("speed-gpu", _directive(gpu))
