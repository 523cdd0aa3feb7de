"""The page "What each can see": the tasks as pictures and the matrix mechanism × task.

    :::{sight-tasks}        one image of each task, what is asked and what it takes
    :::{sight-table}        accuracies, from benchmarks/records/sight.json (`make sight`)

A cell says by a sign, by words for screen readers and by its number whether the task was solved;
colour only repeats it.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from attnbook import records
from attnbook.languages import edition_of
from attnbook.tables import Cell, Column, sorted_table

EXPERIMENT = "sight"

#: Outcome → sign, its meaning in both languages. The order is that of the legend.
OUTCOMES: dict[str, tuple[str, dict[str, str]]] = {
    "solved": ("●", {"en": "solved", "zh": "解决"}),
    "late": ("◕", {"en": "solved in the longer training", "zh": "加长训练后解决"}),
    "partly": ("◐", {"en": "partly", "zh": "部分解决"}),
    "nothing": ("○", {"en": "no better than the host alone", "zh": "不比单独的宿主好"}),
    "cannot": ("×", {"en": "cannot, by symmetry", "zh": "由对称性可知做不到"}),
}
WORDS = {
    "en": {
        "none": "no attention",
        "authors' code": "authors’ code",
        "with positions": "with positions",
        "mechanism": "mechanism",
        "longer": "longer: ",
        "image": "One image of the task “{task}”, 12 × 12 positions. {picture}",
    },
    "zh": {
        "none": "没有注意力",
        "authors' code": "官方代码",
        "with positions": "带位置编码",
        "mechanism": "机制",
        "longer": "加长：",
        "image": "任务“{task}”的一张图像，12 × 12 个位置。{picture}",
    },
}

#: Task → language → what is asked, what it takes, and what the picture shows.
TASKS: dict[str, dict[str, tuple[str, str, str]]] = {
    "channel": {
        "en": (
            "Which sign does my cue have?",
            "Two cues, A and B; throughout an image each is + or −. Half of the positions show one "
            "of them with its sign, the others name one and must tell the sign. One mean per "
            "channel is enough.",
            "Letters with a sign show a cue; framed letters ask for one.",
        ),
        "zh": (
            "我这个线索是什么符号？",
            "两个线索 A、B，在一张图里各自恒为 + 或 −。一半位置给出线索连同符号，另一半只写线索，"
            "要答出符号。每个通道一个均值就够了。",
            "带符号的字母给出线索，加框的字母提问。",
        ),
    },
    "many": {
        "en": (
            "The same with eight cues.",
            "Eight independent signs have to pass at once: many for a narrow bottleneck.",
            "Letters A to H with a sign show a cue; framed letters ask for one.",
        ),
        "zh": (
            "同上，但有八个线索。",
            "八个相互独立的符号要同时通过，狭窄的瓶颈难以容纳。",
            "带符号的字母 A 到 H 给出线索，加框的字母提问。",
        ),
    },
    "context": {
        "en": (
            "Am I brighter than the image?",
            "Images differ in brightness more than pixels do, so that a position must know the "
            "mean of all. Its own value alone is right in 60 %.",
            "Shades of grey; a filled dot where the pixel is brighter than the mean, a ring "
            "where it is darker.",
        ),
        "zh": (
            "我比整张图亮吗？",
            "不同图之间的亮度差别大于像素之间的差别，所以一个位置必须知道全图的均值。只凭自己的值，"
            "能答对 60 %。",
            "深浅不同的灰格；比均值亮的格里是实心点，暗的是圆圈。",
        ),
    },
    "place": {
        "en": (
            "Is there a mark in my row?",
            "Half of the rows have one mark, at any column: where something is along one axis.",
            "Six marks, each in a row of its own; every other position of the twelve rows asks.",
        ),
        "zh": (
            "我这一行有标记吗？",
            "一半的行里各有一个标记，列不定：要知道东西在一个方向上的位置。",
            "六个标记，各占一行；十二行里的其余位置都提问。",
        ),
    },
    "cross": {
        "en": (
            "Which sign has the mark in my row or column?",
            "Two marks +, two −, no two in a line; asked where exactly one of them is in line.",
            "Four marks with signs; positions that share a row or a column with just one ask.",
        ),
        "zh": (
            "与我同行或同列的标记是什么符号？",
            "两个 +，两个 −，互不同行同列；只问恰好与其中一个同行或同列的位置。",
            "四个带符号的标记；恰好与其中一个同行或同列的位置提问。",
        ),
    },
    "near": {
        "en": (
            "Which sign has the mark beside me?",
            "Every row and every column holds one + and one −, so that only the eight neighbours "
            "tell; asked where exactly one of them is a mark.",
            "Twenty-four marks with signs; positions with just one mark beside them ask.",
        ),
        "zh": (
            "我旁边的标记是什么符号？",
            "每行每列都恰有一个 + 和一个 −，只有周围八格能给出答案；只问旁边恰有一个标记的位置。",
            "二十四个带符号的标记；旁边恰有一个标记的位置提问。",
        ),
    },
    "pair": {
        "en": (
            "Which sign has the position with my code?",
            "Half of the 64 codes of six bits, each at two places: one with a sign, one asking. "
            "Content has to meet content, wherever it is.",
            "Numbers with a sign show a code; framed numbers ask for the sign of their twin.",
        ),
        "zh": (
            "与我编码相同的位置是什么符号？",
            "六位编码共 64 个，取一半，各出现两次：一处带符号，一处提问。"
            "要凭内容找到对方，不论它在哪里。",
            "带符号的数给出编码，加框的数询问同一编码的符号。",
        ),
    },
    "order": {
        "en": (
            "Am I left of the mark?",
            "One mark; asked up to three columns away from it, in all rows. Positions have to be "
            "compared.",
            "One mark; the three columns left of it answer yes, the three right of it no.",
        ),
        "zh": (
            "我在标记的左边吗？",
            "只有一个标记；问它左右各三列以内的位置，各行都问。要能比较位置的左右。",
            "一个标记；左边三列答“是”，右边三列答“否”。",
        ),
    },
}
LEGEND = {
    "en": "In the pictures a frame is a position that is asked: filled where the answer is yes or "
    "+, empty where it is no or −.",
    "zh": "图中加框的是被提问的位置：答案为“是”或 + 的填实，为“否”或 − 的留空。",
}


def outcome(cell: dict[str, Any], record: dict[str, Any]) -> str:
    """Which of ``OUTCOMES`` a row of the record is."""
    if cell["mean"] >= record["solved"]:
        return "solved"
    if cell["cannot"]:
        return "cannot"
    if cell.get("longer", {}).get("accuracy", 0) >= record["solved"]:
        return "late"
    alone = next(
        r["mean"] for r in record["rows"] if r["name"] == "none" and r["task"] == cell["task"]
    )
    best = max(cell["mean"], cell.get("longer", {}).get("accuracy", 0))
    return "partly" if best >= alone + record["margin"] else "nothing"


# --- the matrix -----------------------------------------------------------------------------------


def draw_table(record: dict[str, Any], language: str, link: Callable[[str], str]) -> str:
    """A row for each form of each mechanism; ``link`` gives the address of a page."""
    tasks = list(record["tasks"])
    columns = [Column(WORDS[language]["mechanism"])]
    columns += [Column(f"<code>{escape(task)}</code>", numeric=True) for task in tasks]
    cells: dict[str, dict[str, dict[str, Any]]] = {}
    for row in record["rows"]:
        cells.setdefault(row["name"], {})[row["task"]] = row
    rows = [
        [
            _name(found[tasks[0]], language, link),
            *(_cell(found[t], record, language) for t in tasks),
        ]
        for found in cells.values()
    ]
    table = sorted_table(columns, rows).replace("sorted-table", "sorted-table sight", 1)
    legend = "".join(
        f'<li><span class="{kind}" aria-hidden="true">{sign}</span> {words[language]}</li>'
        for kind, (sign, words) in OUTCOMES.items()
    )
    return f'<ul class="sight-legend">{legend}</ul>{table}{records.source_line(record, language)}'


def _name(row: dict[str, Any], language: str, link: Callable[[str], str]) -> Cell:
    words = WORDS[language]
    if row["mechanism"] is None:
        return Cell(f'<span class="form">{words["none"]}</span>', "")
    key, _, form = row["name"].partition(", ")
    html = f'<a href="{escape(link("notebooks/" + row["chapter"]))}"><code>{escape(key)}</code></a>'
    if form:
        html += f'<span class="form">{words[form]}</span>'
    return Cell(html, row["name"])


def _cell(cell: dict[str, Any], record: dict[str, Any], language: str) -> Cell:
    kind = outcome(cell, record)
    sign, words = OUTCOMES[kind]
    html = (
        f'<span class="{kind}"><span aria-hidden="true">{sign}</span>'
        f'<span class="visually-hidden">{words[language]} </span></span> '
        f"{_percent(cell['mean'])}<small> ± {_percent(cell['spread'])}</small>"
    )
    if "longer" in cell:
        accuracy = cell["longer"]["accuracy"]
        html += f'<small class="longer">{WORDS[language]["longer"]}{_percent(accuracy)}</small>'
    return Cell(html, cell["mean"])


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


# --- the pictures ---------------------------------------------------------------------------------

_SIDE, _EDGE = 22, 1  #: of a position, and around the image


def draw_tasks(record: dict[str, Any], language: str) -> str:
    cards = []
    for name, task in record["tasks"].items():
        question, ability, picture = TASKS[name][language]
        words = WORDS[language]["image"].format(task=name, picture=picture)
        cards.append(
            f'<figure id="sight-task-{name}">{draw_image(task, words)}<figcaption>'
            f"<b><code>{name}</code> {escape(question)}</b> {escape(ability)}</figcaption></figure>"
        )
    return f'<div class="sight-tasks">{"".join(cards)}</div>'


def draw_image(task: dict[str, Any], words: str) -> str:
    """One image of a task with its answers, as inline SVG; ``words`` describe it."""
    cells = [line.split() for line in task["cells"]]
    answers = [line.split() for line in task["answers"]]
    levels = [float(c) for line in cells for c in line if "." in c and c != "."]
    low, high = (min(levels), max(levels)) if levels else (0.0, 1.0)
    height, width = (len(cells) * _SIDE + 2 * _EDGE, len(cells[0]) * _SIDE + 2 * _EDGE)
    parts = [f'<rect class="ground" width="{width}" height="{height}" rx="3"/>']
    for i, (line, asked) in enumerate(zip(cells, answers, strict=True)):
        for j, (cell, answer) in enumerate(zip(line, asked, strict=True)):
            x, y = j * _SIDE + _EDGE, i * _SIDE + _EDGE
            if "." in cell and cell != ".":
                shade = (float(cell) - low) / (high - low)
                parts.append(_shade(x, y, shade, answer))
            else:
                parts.append(_position(x, y, cell, answer))
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{escape(words)}">{"".join(parts)}</svg>'
    )


def _position(x: int, y: int, cell: str, answer: str) -> str:
    drawn = ""
    text = "" if cell == "." else cell.replace("-", "−")
    if answer != ".":
        # A frame around what is written there; small where nothing is.
        inset = 2.0 if text else 6.0
        side = _SIDE - 2 * inset
        drawn = (
            f'<rect class="{"yes" if answer == "1" else "no"}" x="{x + inset:g}" '
            f'y="{y + inset:g}" width="{side:g}" height="{side:g}" rx="2"/>'
        )
    if text == "#":
        return f'<circle class="mark" cx="{x + _SIDE / 2:g}" cy="{y + _SIDE / 2:g}" r="6.5"/>'
    if not text:
        return drawn
    kind = "shown" if answer == "." else "yes" if answer == "1" else "no"
    size = {1: 17 if text in "+−" else 12}.get(len(text), 10.5)
    middle = y + _SIDE / 2 + size * 0.36
    return drawn + (
        f'<text class="{kind}" x="{x + _SIDE / 2:g}" y="{middle:.1f}" font-size="{size}" '
        f'text-anchor="middle">{text}</text>'
    )


def _shade(x: int, y: int, shade: float, answer: str) -> str:
    """A pixel of a brightness between 0 and 1, and whether it is brighter than the image."""
    grey = round(40 + 190 * shade)
    ink = "#111" if grey > 128 else "#fff"
    middle = f'cx="{x + _SIDE / 2:g}" cy="{y + _SIDE / 2:g}" r="4"'
    dot = f'fill="{ink}"' if answer == "1" else f'fill="none" stroke="{ink}" stroke-width="1.2"'
    return (
        f'<rect x="{x}" y="{y}" width="{_SIDE}" height="{_SIDE}" fill="rgb({grey},{grey},{grey})"/>'
        f"<circle {middle} {dot}/>"
    )


# --- the directives -------------------------------------------------------------------------------


class _FromRecord(Directive):
    has_content = True

    def draw(self, record: dict[str, Any], language: str) -> str:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        root = Path(env.srcdir)
        env.note_dependency(str(root / records.FOLDER / f"{EXPERIMENT}.json"))
        record = records.load(root, EXPERIMENT)
        html = self.draw(record, edition_of(env.config.language).code)
        return [nodes.raw("", html, format="html")]


class SightTable(_FromRecord):
    def draw(self, record: dict[str, Any], language: str) -> str:
        here = posixpath.dirname(self.state.document.settings.env.docname)
        return draw_table(
            record, language, lambda page: posixpath.relpath(page, here or ".") + ".html"
        )


class SightTasks(_FromRecord):
    def draw(self, record: dict[str, Any], language: str) -> str:
        return draw_tasks(record, language) + f"<p>{LEGEND[language]}</p>"


def setup(app: Any) -> None:
    app.add_directive("sight-table", SightTable)
    app.add_directive("sight-tasks", SightTasks)
