"""The table of the page "Which one should I use?": what a position must learn, and who can tell it.

    :::{choose-table}

For each task of the page "What each can see" (record ``sight``) the mechanisms that solved it, the
cheapest first, with their parameters and MACs at the size of the page "What it costs" (``cost``).
"""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from attnbook import records
from attnbook.charts import number
from attnbook.languages import edition_of
from attnbook.sight import TASKS

SHOWN = 3  #: mechanisms with their costs; the others are named
WORDS = {
    "en": {
        "need": "a position must know …",
        "cheapest": "solved by, fewest MACs first (accuracy; parameters; MACs of one image)",
        "also": "also ",
        "cell": "{name} ({figures})",
        "nobody": "nobody solved it; nearest: ",
        "at": "at C = {channels}, {height}×{width}",
        "comma": ", ",
        "colon": ": ",
        "stop": "; ",
    },
    "zh": {
        "need": "一个位置必须知道……",
        "cheapest": "能解决的机制，乘加由少到多（正确率；参数量；单张图的乘加）",
        "also": "还有 ",
        "cell": "{name}（{figures}）",
        "nobody": "没有机制能解决；最接近的是 ",
        "at": "C = {channels}，{height}×{width}",
        "comma": "、",
        "colon": "：",
        "stop": "；",
    },
}
#: Task → what one wants to know of one's own network.
NEEDS = {
    "channel": ("what the image says, a number per channel", "整张图说了什么：每个通道一个数"),
    "many": ("the same for many channels at once", "同上，而且许多通道要同时传到"),
    "context": ("its own value against the mean of the image", "自己的值与全图均值相比如何"),
    "place": ("whether something is in its row", "自己这一行有没有某样东西"),
    "cross": ("what is in its row or column", "同行或同列有什么"),
    "near": ("what stands beside it", "旁边是什么"),
    "pair": ("what a matching position elsewhere carries", "别处与自己匹配的位置带着什么"),
    "order": ("whether something is left or right of it", "某样东西在自己左边还是右边"),
}  # fmt: skip


def rows(sight: dict[str, Any], cost: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """Task → all default forms with accuracy and cost, the solvers first, the cheapest first."""
    found: dict[str, list[dict[str, Any]]] = {}
    at = cost["at"]
    counted = {
        row["mechanism"]: row
        for row in cost["rows"]
        if all(row[n] == at[n] for n in ("channels", "height", "width"))
    }
    for task in TASKS:
        cells = [r for r in sight["rows"] if r["task"] == task and r["name"] == r["mechanism"]]
        cells = [
            {**cell, **{n: counted[cell["mechanism"]][n] for n in ("parameters", "macs")}}
            for cell in cells
        ]
        solved = [cell for cell in cells if cell["mean"] >= sight["solved"]]
        found[task] = (
            sorted(solved, key=lambda c: (c["macs"], c["parameters"]))
            or sorted(cells, key=lambda c: -c["mean"])[:1]
        )
    return found


def draw(sight: dict[str, Any], cost: dict[str, Any], language: str) -> str:
    words = WORDS[language]
    which = 0 if language == "en" else 1
    body = []
    for task, cells in rows(sight, cost).items():
        shown = [_cell(cell, words) for cell in cells[:SHOWN]]
        text = words["stop"].join(shown)
        if cells[0]["mean"] < sight["solved"]:
            text = words["nobody"] + text
        if more := cells[SHOWN:]:
            names = words["comma"].join(_code(cell["mechanism"]) for cell in more)
            text += f"{words['stop']}{words['also']}{names}"
        body.append(
            f'<tr><th scope="row" class="wrap">{NEEDS[task][which]} '
            f'<small>({_code(task)})</small></th><td class="wrap">{text}</td></tr>'
        )
    at = words["at"].format(**cost["at"])
    head = f'<th scope="col">{words["need"]}</th><th scope="col">{words["cheapest"]}<br>{at}</th>'
    return (
        f'<div class="table-scroll" tabindex="0"><table class="choose-table"><thead><tr>{head}</tr>'
        f"</thead><tbody>{''.join(body)}</tbody></table></div>"
    )


def _cell(cell: dict[str, Any], words: dict[str, str]) -> str:
    figures = (
        f"{100 * cell['mean']:.0f} %",
        number(cell["parameters"]),
        number(cell["macs"]),
    )
    name = f"<strong>{_code(cell['mechanism'])}</strong>"
    return words["cell"].format(name=name, figures=words["stop"].join(figures))


def _code(name: str) -> str:
    return f"<code>{escape(name)}</code>"


class ChooseTable(Directive):
    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        root = Path(env.srcdir)
        for name in ("sight", "cost"):
            env.note_dependency(str(root / records.FOLDER / f"{name}.json"))
        language = edition_of(env.config.language).code
        sight, cost = records.load(root, "sight"), records.load(root, "cost")
        html = draw(sight, cost, language)
        html += records.source_line(sight, language) + records.source_line(cost, language)
        return [nodes.raw("", html, format="html")]


def setup(app: Any) -> None:
    app.add_directive("choose-table", ChooseTable)
