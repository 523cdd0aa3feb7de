"""The two pictures of the opening page that grow with the book: the map and the table of chapters.

    :::{attention-map}      the papers in time, and how each can be read as a change to another
    :::{chapter-table}      what each chapter is about and what its module costs

A paper becomes a link as soon as its chapter stands in ``_toc.yml``; the table has a row for each
chapter that does. The map is drawn twice from the same list, wide and narrow, and the style sheet
shows the one that fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from attnbook import catalogue
from attnbook.contents import NOTEBOOKS, Contents
from attnbook.languages import Edition, edition_of
from attnbook.look import short_title
from attnbook.page import addresses_of


@dataclass(frozen=True)
class Node:
    """A paper on the map."""

    stem: str
    name: str
    year: int  #: of its first version on arXiv
    column: int
    row: int
    what: str  #: what the weights run over, a key of WHAT
    parents: tuple[str, ...] = ()
    mixture: bool = False


#: In the order of their first versions on arXiv.
PAPERS = (
    Node("multihead", "Transformer", 2017, 5, 0, "sequence", mixture=True),
    Node("se", "SE", 2017, 0, 0, "channels"),
    Node("bam", "BAM", 2018, 3, 1, "both", ("se",)),
    Node("cbam", "CBAM", 2018, 2, 1, "both", ("se",)),
    Node("danet", "DANet", 2018, 5, 1, "pairs", ("multihead",), mixture=True),
    Node("ccnet", "CCNet", 2018, 5, 2, "cross", ("danet",), mixture=True),
    Node("sge", "SGE", 2019, 4, 3, "groups", ("se",)),
    Node("eca", "ECA", 2019, 0, 3, "channels", ("se",)),
    Node("shuffle", "Shuffle", 2021, 4, 4, "both", ("sge",)),
    Node("coordinate", "Coordinate", 2021, 1, 4, "strips", ("se",)),
    Node("polarized", "Polarized", 2021, 6, 5, "both", ("multihead",), mixture=True),
    Node("gam", "GAM", 2021, 2, 5, "all", ("cbam",)),
)
WHAT = {
    "en": {
        "channels": "channels",
        "both": "channels, places",
        "groups": "places in groups",
        "strips": "rows, columns",
        "all": "every value",
        "sequence": "all pairs",
        "pairs": "all pairs",
        "cross": "row and column",
    },
    "zh": {
        "channels": "通道",
        "both": "通道与位置",
        "groups": "组内位置",
        "strips": "行与列",
        "all": "逐个元素",
        "sequence": "两两之间",
        "pairs": "两两之间",
        "cross": "所在行列",
    },
}
WORDS = {
    "en": {
        "title": "Map of the twelve papers, 2017 to 2021",
        "gates": "Gates",
        "mixtures": "Mixtures",
        "from": "after {}",
        "year": "Year",
        "attends": "Attends to",
        "kind": "Kind",
        "parameters": "Parameters",
        "macs": "MACs",
        "chapter": "Chapter and paper",
        "colab": "Colab",
        "open": "Open in Colab: {}",
        "comma": ", ",
        "and": " and ",
    },
    "zh": {
        "title": "十二篇论文的地图，2017 至 2021 年",
        "gates": "门控",
        "mixtures": "混合",
        "from": "承接 {}",
        "year": "年份",
        "attends": "关注",
        "kind": "类型",
        "parameters": "参数量",
        "macs": "乘加（MACs）",
        "chapter": "章节与论文",
        "colab": "Colab",
        "open": "在 Colab 中打开：{}",
        "comma": "、",
        "and": "与",
        "channels": "通道",
        "positions": "位置",
    },
}
KIND = {"en": {"gate": "gate", "mixture": "mixture"}, "zh": {"gate": "门控", "mixture": "混合"}}


class Placeholder(nodes.General, nodes.Element):
    """Stands for a picture until all pages are known."""


class Growing(Directive):
    """A directive without options or content."""

    has_content = True

    def run(self) -> list[nodes.Node]:
        return [Placeholder("", kind=self.name)]


# ------------------------------------------------------------------------------------ the map


def draw_map(links: dict[str, str], language: str) -> str:
    """Both drawings; ``links`` maps stems to addresses."""
    return f'<div class="map">{_wide(links, language)}{_narrow(links, language)}</div>'


def _box(
    node: Node,
    x: float,
    y: float,
    size: tuple[float, float],
    lines: list[tuple[str, str]],
    links: dict[str, str],
) -> str:
    """A paper at its place: its name and what it attends to; a link if it has a chapter."""
    width, height = size
    start = (height - 16 * len(lines) + 3) / 2  # the lines stand in the middle of the frame
    text = "".join(
        f'<text class="{kind}" x="{x + width / 2:g}" y="{y + offset:g}" text-anchor="middle" '
        f'font-size="{font if len(words) < 11 else font - 1:g}">{escape(words)}</text>'
        for (kind, words), offset, font in zip(
            lines, (start + 11, start + 27, start + 41), (13.5, 11, 11), strict=False
        )
    )
    frame = _frame(x, y, width, height, round_by=17 if node.mixture else 4)
    if node.stem in links:
        return f'<a class="node" href="{escape(links[node.stem])}">{frame}{text}</a>'
    return f'<g class="node ghost">{frame}{text}</g>'


def _frame(
    x: float, y: float, width: float, height: float, *, round_by: float, kind: str = ""
) -> str:
    named = f' class="{kind}"' if kind else ""
    return (
        f'<rect{named} x="{x:g}" y="{y:g}" width="{width:g}" height="{height:g}" '
        f'rx="{round_by:g}"/>'
    )


def _svg(kind: str, width: float, height: float, body: str, language: str) -> str:
    return (
        f'<svg class="{kind}" viewBox="0 0 {width:g} {height:g}" '
        f'width="{width:g}" height="{height:g}" '
        f'role="group" aria-label="{escape(WORDS[language]["title"])}">{body}</svg>'
    )


def _wide(links: dict[str, str], language: str) -> str:
    words, what = WORDS[language], WHAT[language]
    box, step_x, step_y, left, top = (98.0, 46.0), 105.0, 74.0, 44.0, 34.0
    # Between the gates and the mixtures there is a gap.
    place = {
        n.stem: (left + n.column * step_x + (16 if n.column > 4 else 0), top + n.row * step_y)
        for n in PAPERS
    }
    width = left + 7 * step_x + 18
    height = top + 5 * step_y + box[1] + 12
    split = left + 5 * step_x + 4
    parts = [
        _frame(left - 8, 1, split - left + 3, height - 2, round_by=8, kind="lane"),
        _frame(split + 4, 1, width - split - 5, height - 2, round_by=8, kind="lane"),
        f'<text class="lane-name" x="{left + 4:g}" y="20">{words["gates"]}</text>',
        f'<text class="lane-name" x="{split + 16:g}" y="20">{words["mixtures"]}</text>',
    ]
    years: dict[int, float] = {}
    for node in PAPERS:
        y = place[node.stem][1]
        years[node.year] = min(years.get(node.year, y), y)
    for year, y in years.items():
        parts.append(f'<text class="year" x="0" y="{y + 27:g}">{year}</text>')
    parts += [_edge(node, parent, place, box) for node in PAPERS for parent in node.parents]
    for node in PAPERS:
        lines = [("name", node.name), ("what", what[node.what])]
        parts.append(_box(node, *place[node.stem], box, lines, links))
    return _svg("large", width, height, "".join(parts), language)


def _edge(
    node: Node, parent: str, place: dict[str, tuple[float, float]], box: tuple[float, float]
) -> str:
    """From the parent's foot straight down, or from its side along the row and then down."""
    (x0, y0), (x1, y1) = place[parent], place[node.stem]
    width, height = box
    end_x, end_y = x1 + width / 2, y1 - 5
    if x0 == x1:
        path = f"M{end_x:g} {y0 + height:g}V{end_y:g}"
    else:
        start_y, bend = y0 + height / 2, 10
        path = f"M{x0 + width:g} {start_y:g}H{end_x - bend:g}q{bend} 0 {bend} {bend}V{end_y:g}"
    arrow = f"M{end_x - 4:g} {end_y - 2:g}h8l-4 6.5z"
    return f'<path class="edge" d="{path}"/><path class="tip" d="{arrow}"/>'


def _narrow(links: dict[str, str], language: str) -> str:
    """On a phone: gates left, mixtures right, in time; each names what it changes."""
    words, what = WORDS[language], WHAT[language]
    names = {node.stem: node.name for node in PAPERS}
    box, width, top, step = (106.0, 60.0), 358.0, 34.0, 70.0
    columns = (4.0, 120.0, 248.0)
    # Rows: gates two abreast, mixtures beside them, years kept together.
    rows: list[list[tuple[Node, int]]] = []
    marks: list[tuple[int, int]] = []
    for year in sorted({node.year for node in PAPERS}):
        gates = [n for n in PAPERS if n.year == year and not n.mixture]
        mixtures = [n for n in PAPERS if n.year == year and n.mixture]
        marks.append((year, len(rows)))
        for i in range(max((len(gates) + 1) // 2, len(mixtures))):
            row = [(n, j) for j, n in enumerate(gates[2 * i : 2 * i + 2])]
            row += [(n, 2) for n in mixtures[i : i + 1]]
            rows.append(row)
    gap = 22.0  # above each year
    parts = []
    y = top
    starts = {row: year for year, row in marks}
    for i, row in enumerate(rows):
        if i in starts:
            parts.append(f'<text class="year" x="6" y="{y + 12:g}">{starts[i]}</text>')
            y += gap
        for node, column in row:
            lines = [("name", node.name), ("what", what[node.what])]
            if node.parents:
                joined = words["comma"].join(names[parent] for parent in node.parents)
                lines.append(("what", words["from"].format(joined)))
            parts.append(_box(node, columns[column], y, box, lines, links))
        y += step
    height = y + 2
    lanes = (
        _frame(0.5, 1, 232, height - 2, round_by=8, kind="lane")
        + _frame(241, 1, 116.5, height - 2, round_by=8, kind="lane")
        + f'<text class="lane-name" x="10" y="20">{words["gates"]}</text>'
        f'<text class="lane-name" x="251" y="20">{words["mixtures"]}</text>'
    )
    return _svg("small", width, height, lanes + "".join(parts), language)


# ------------------------------------------------------------------------------------ the table


def _count(number: int) -> str:
    """A count in the unit that keeps three digits: 8,192, 131 k, 4.95 M, 1.23 G."""
    for unit, name in ((10**9, "G"), (10**6, "M")):
        if number >= unit:
            return (
                f"{number / unit:.3g} {name}"
                if number < 999.5 * unit
                else f"{number / unit:.0f} {name}"
            )
    return f"{number:,}"


def _distinct(values: list[str], glue: str) -> str:
    return glue.join(dict.fromkeys(values))


def draw_table(
    rows: list[dict[str, Any]],
    links: dict[str, str],
    colab: dict[str, str],
    titles: dict[str, str],
    language: str,
) -> str:
    """One row for each chapter of the book, in its order."""
    words = WORDS[language]
    head = "".join(
        f'<th scope="col"{" class=num" * (name in ("parameters", "macs"))}>{words[name]}</th>'
        for name in ("chapter", "year", "attends", "kind", "parameters", "macs", "colab")
    )
    body = []
    for row in rows:
        stem = row["chapter"]
        modules = row["modules"]
        attends = list(dict.fromkeys(a for m in modules for a in m["attends"].split(" and ")))
        opens = words["open"].format(titles[stem])
        several = len({(m["parameters"], m["macs"]) for m in modules}) > 1

        def counts(name: str, modules: list = modules, several: bool = several) -> str:
            if not several:
                return _count(modules[0][name])
            return "<br>".join(
                f'<span class="quiet">{m["key"]}</span> {_count(m[name])}' for m in modules
            )

        body.append(
            "<tr>"
            f'<th scope="row"><a href="{escape(links[stem])}">{escape(titles[stem])}</a>'
            f'<span class="of" lang="en"><a href="https://arxiv.org/abs/{row["arxiv"]}">'
            f"{escape(row['title'])}</a></span></th>"
            f"<td>{row['year']}</td>"
            f"<td>{words['and'].join(words.get(a, a) for a in attends)}</td>"
            f"<td>{_distinct([KIND[language][m['kind']] for m in modules], words['comma'])}</td>"
            f'<td class="num">{counts("parameters")}</td>'
            f'<td class="num">{counts("macs")}</td>'
            f'<td><a href="{escape(colab[stem])}" aria-label="{escape(opens)}">'
            f"{words['colab']}</a></td>"
            "</tr>"
        )
    return (
        f'<div class="table-scroll"><table class="papers"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


# ------------------------------------------------------------------------------------ Sphinx


def chapters_of(app: Any) -> list[str]:
    """Stems of the chapters that are in the book, in the order of its contents."""
    chapters = Contents.load(Path(app.srcdir)).chapters
    return [name.removeprefix(NOTEBOOKS) for name in chapters if name in app.env.found_docs]


def on_doctree_resolved(app: Any, doctree: nodes.document, docname: str) -> None:
    edition: Edition = edition_of(app.config.language)
    for placeholder in list(doctree.findall(Placeholder)):
        stems = chapters_of(app)
        root = Path(app.srcdir)
        links = {stem: app.builder.get_relative_uri(docname, f"notebooks/{stem}") for stem in stems}
        if placeholder["kind"] == "attention-map":
            html = draw_map(links, edition.code)
        else:
            known = {row["chapter"]: row for row in catalogue.load(root)["chapters"]}
            addresses = addresses_of(root)
            html = draw_table(
                [known[stem] for stem in stems if stem in known],
                links,
                {stem: addresses.colab(edition, f"notebooks/{stem}") for stem in stems},
                {s: short_title(app.env.titles[f"notebooks/{s}"].astext()) for s in stems},
                edition.code,
            )
        placeholder.replace_self(nodes.raw("", html, format="html"))


def setup(app: Any) -> None:
    app.add_node(Placeholder)
    app.add_directive("attention-map", Growing)
    app.add_directive("chapter-table", Growing)
    app.connect("doctree-resolved", on_doctree_resolved)
