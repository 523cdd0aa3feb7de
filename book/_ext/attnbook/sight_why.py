"""Why the cells of the matrix are as they are, in two tables of numbers.

    :::{sight-bounds}       what a limited view allows, and what was reached
    :::{sight-checks}       a cause taken away or put in, and what changes

From ``sight-bounds.json`` and ``sight-checks.json``, which `make sight` writes too.
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from attnbook import records
from attnbook.languages import edition_of

#: What a mechanism sees of the map, beside the means of whole channels.
VIEWS = {
    "cbam": {"en": "a window of 7 × 7", "zh": "7 × 7 的窗口"},
    "bam": {"en": "every fourth row and column", "zh": "行、列每四格取一格的位置"},
    "gam": {"en": "two windows of 7 × 7, one on the other", "zh": "两层 7 × 7 的窗口"},
    "criss_cross": {"en": "its row and its column", "zh": "所在的行与列"},
    "coordinate": {"en": "its row and its column", "zh": "所在的行与列"},
}
#: Check → what is changed, in both languages.
CHANGES = {
    "no bottleneck": {"en": "hidden layer of 32 instead of 8", "zh": "隐藏层由 8 改为 32"},
    "squeeze normalised": {"en": "means normalised over the batch", "zh": "均值先做批归一化"},
    "both": {"en": "both of these", "zh": "以上两项一起"},
    "no normalisation": {"en": "without its LayerNorm", "zh": "去掉层归一化"},
    "softmax over the product": {
        "en": "the authors’ softmax, over query · values",
        "zh": "softmax 照官方代码放在乘积上",
    },
    "no maximum": {"en": "mean twice instead of mean and maximum", "zh": "最大值换成均值"},
    "means as scores": {
        "en": "scores divided by the number of positions",
        "zh": "相似度除以位置数",
    },
    "window of 23": {"en": "window of 23 × 23", "zh": "窗口改为 23 × 23"},
    "no dilation": {"en": "dilation 1 instead of 4", "zh": "空洞率由 4 改为 1"},
    "eight pairs": {"en": "8 pairs in the image instead of 32", "zh": "图中只有 8 对，不是 32 对"},
    "sees itself only": {
        "en": "dilation 12: the window holds the position alone",
        "zh": "空洞率 12：窗口里只有自己",
    },
    "started looking around": {
        "en": "started with heads that look at their neighbourhood",
        "zh": "初始化时各个头就看向周围",
    },
}
WORDS = {
    "en": {
        "mechanism": "mechanism", "sees": "sees", "task": "task", "bound": "at most",
        "reached": "reached", "changed": "what is changed", "before": "as it is",
        "after": "changed",
        "authors' code": "authors’ code", "with positions": "with positions",
    },
    "zh": {
        "mechanism": "机制", "sees": "能看见", "task": "任务", "bound": "上限",
        "reached": "实际", "changed": "改动", "before": "原样", "after": "改动后",
        "authors' code": "官方代码", "with positions": "带位置编码",
    },
}  # fmt: skip


def reached(cell: dict[str, Any]) -> float:
    """The better of the mean and the longer training."""
    return max(cell["mean"], cell.get("longer", {}).get("accuracy", 0.0))


def draw_bounds(bounds: dict[str, Any], sight: dict[str, Any], language: str) -> str:
    cells = {(r["name"], r["task"]): r for r in sight["rows"]}
    rows = [
        [
            f"<code>{escape(row['mechanism'])}</code>",
            VIEWS[row["mechanism"]][language],
            f"<code>{escape(row['task'])}</code>",
            f"{100 * row['bound']:.1f}",
            f"{100 * reached(cells[row['mechanism'], row['task']]):.1f}",
        ]
        for row in bounds["rows"]
    ]
    heads = ("mechanism", "sees", "task", "bound", "reached")
    return _table(heads, rows, language) + records.source_line(bounds, language)


def draw_checks(checks: dict[str, Any], sight: dict[str, Any], language: str) -> str:
    cells = {(r["name"], r["task"]): r for r in sight["rows"]}
    rows = []
    for row in checks["rows"]:
        before = cells[row["against"], row["task"]]
        key, _, form = row["against"].partition(", ")
        name = f"<code>{escape(key)}</code>"
        rows.append(
            [
                f"{name}<br/>{WORDS[language][form]}" if form else name,
                f"<code>{escape(row['task'])}</code>",
                CHANGES[row["name"]][language],
                *(f"{100 * r['mean']:.1f} ± {100 * r['spread']:.1f}" for r in (before, row)),
            ]
        )
    heads = ("mechanism", "task", "changed", "before", "after")
    return _table(heads, rows, language) + records.source_line(checks, language)


def _table(heads: tuple[str, ...], rows: list[list[str]], language: str) -> str:
    """The first column names the row, the last two are numbers."""
    last = len(heads) - 2

    def kind(i: int) -> str:
        return ' class="num"' if i >= last else ""

    head = "".join(
        f'<th scope="col"{kind(i)}>{WORDS[language][name]}</th>' for i, name in enumerate(heads)
    )
    body = "".join(
        "<tr>"
        + f'<th scope="row">{row[0]}</th>'
        + "".join(f"<td{kind(i)}>{cell}</td>" for i, cell in enumerate(row) if i)
        + "</tr>"
        for row in rows
    )
    return (
        '<div class="table-scroll" tabindex="0"><table class="sorted-table">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


class _Both(Directive):
    """From a record of its own and that of the matrix."""

    experiment: str
    draw: Any

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        root = Path(env.srcdir)
        for name in (self.experiment, "sight"):
            env.note_dependency(str(root / records.FOLDER / f"{name}.json"))
        own, sight = (records.load(root, name) for name in (self.experiment, "sight"))
        html = type(self).draw(own, sight, edition_of(env.config.language).code)
        return [nodes.raw("", html, format="html")]


class SightBounds(_Both):
    has_content, experiment, draw = True, "sight-bounds", staticmethod(draw_bounds)


class SightChecks(_Both):
    has_content, experiment, draw = True, "sight-checks", staticmethod(draw_checks)


def setup(app: Any) -> None:
    app.add_directive("sight-bounds", SightBounds)
    app.add_directive("sight-checks", SightChecks)
