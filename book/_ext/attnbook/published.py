"""The page "What the papers report": accuracies from ``benchmarks/published.yml``.

    :::{published} resnet50

draws one group of the file, that is one host and one task: a column for each source and recipe,
with the gain over the baseline of the same recipe, and below it the numbers that stand alone.
Nothing is subtracted across recipes, and rows stand in the order of the catalogue, not of the
numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import yaml
from docutils import nodes
from docutils.parsers.rst import Directive

from attnbook import catalogue
from attnbook.languages import edition_of

FILE = "benchmarks/published.yml"
Table = Mapping[str, Any]

WORDS: dict[str, dict[str, str]] = {
    "en": {
        "none": "none",
        "mechanism": "mechanism",
        "value": "value",
        "source": "source",
        "recipe": "how it was trained and tested",
        "sources": "Recipes of the columns",
        "alone": "Numbers that stand alone, each from a training of its own: not to be ordered",
        "several": "several trainings",
        "gain": "gain",
        "quoted": "(from {})",
        "colon": ": ",
        "commit": "version",
        "converted": "printed as error; shown is 100 − error",
        "stop": "; ",
        "comma": ", ",
        "and": ", ",
    },
    "zh": {
        "none": "无",
        "mechanism": "机制",
        "value": "数值",
        "source": "来源",
        "recipe": "训练与测试方式",
        "sources": "各列的训练方案",
        "alone": "单独的数字，各出自一次单独的训练，不能互相排序",
        "several": "来自多次训练",
        "gain": "提升",
        "quoted": "（引自 {}）",
        "colon": "：",
        "commit": "版本",
        "converted": "原文给的是错误率，这里写 100 − 错误率",
        "stop": "；",
        "comma": "、",
        "and": "，",
    },
}


def load(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((root / FILE).read_text("utf8"))
    return found


def of_group(data: Mapping[str, Any], group: str) -> list[Table]:
    if group not in data["groups"]:
        raise ValueError(f"no group {group!r} in {FILE}; there are {', '.join(data['groups'])}")
    return [table for table in data["tables"] if table["group"] == group]


def accuracies(table: Table, row: Mapping[str, Any]) -> list[float]:
    """The values of a row, higher is better."""
    values = row["values"] if "values" in row else [row["value"]]
    return [100 - v if table["metric"] == "top1-error" else v for v in values]


def baseline(table: Table) -> float | None:
    """What the rows of this table may be compared with, if anything."""
    if not table.get("compare", True):
        return None
    for row in table["rows"]:
        if "mechanism" in row and row["mechanism"] is None and "quoted" not in row:
            return accuracies(table, row)[0]
    return None


def gain(table: Table, row: Mapping[str, Any]) -> float | None:
    """Accuracy minus the baseline of the same recipe; ``None`` where there is no such thing."""
    base = baseline(table)
    is_baseline = "mechanism" in row and row["mechanism"] is None
    if base is None or is_baseline or "quoted" in row or "values" in row:
        return None
    return accuracies(table, row)[0] - base


def name_of(row: Mapping[str, Any]) -> tuple[str, str]:
    """What the row is about: ("mechanism", key), ("none", "") or ("other", name)."""
    if "other" in row:
        return "other", row["other"]
    return ("none", "") if row["mechanism"] is None else ("mechanism", row["mechanism"])


def draw(data: Mapping[str, Any], group: str, chapters: Mapping[str, str], language: str) -> str:
    """The group as HTML; ``chapters`` leads from a registry key to the stem of its chapter."""
    tables = of_group(data, group)
    columns = [t for t in tables if len(t["rows"]) > 1]
    single = [t for t in tables if len(t["rows"]) == 1]
    host, task = data["groups"][group]["host"], data["groups"][group]["task"][language]
    if not isinstance(host, str):
        host = host[language]
    comma = WORDS[language]["and"]
    parts = [f'<p class="published-title"><b>{escape(host)}</b>{comma}{escape(task)}</p>']
    if columns:
        parts += [_matrix(columns, chapters, language), _sources(columns, language)]
    if single:
        parts.append(_alone(single, chapters, language))
    return f'<div class="published">{"".join(parts)}</div>'


def _places(tables: Sequence[Table], keys: Iterable[str]) -> list[tuple[str, str]]:
    """The rows of a matrix: none, the mechanisms as the registry has them, the others by name."""
    found = {name_of(row) for table in tables for row in table["rows"]}
    others = sorted(name for kind, name in found if kind == "other")
    return [
        *(p for p in [("none", "")] if p in found),
        *(("mechanism", key) for key in keys if ("mechanism", key) in found),
        *(("other", name) for name in others),
    ]


def _heading(
    place: tuple[str, str], row: Mapping[str, Any], chapters: Mapping[str, str], language: str
) -> str:
    kind, name = place
    if kind == "none":
        return escape(WORDS[language]["none"])
    if kind == "mechanism":
        return f'<a href="../../notebooks/{chapters[name]}.html"><code>{escape(name)}</code></a>'
    if "arxiv" in row:
        return f'<a href="https://arxiv.org/abs/{escape(row["arxiv"])}">{escape(name)}</a>'
    return escape(name)


def _digits(table: Table) -> int:
    """As many decimals as were printed, two at most."""
    found = [str(v) for r in table["rows"] for v in r.get("values", [r.get("value")])]
    return min(2, max(len(v.partition(".")[2]) for v in found))


def signed(value: float, digits: int = 2) -> str:
    """With its sign, a proper minus among them; nothing has no sign."""
    if round(value, digits) == 0:
        return f"{0:.{digits}f}"
    return f"{value:+.{digits}f}".replace("-", "−")


def _cell(table: Table, rows: Sequence[Mapping[str, Any]], language: str) -> str:
    digits = _digits(table)
    lines = []
    for row in rows:
        said = WORDS[language]["comma"].join(f"{v:.{digits}f}" for v in accuracies(table, row))
        if "label" in row:
            said = f"<small>{escape(row['label'])}{WORDS[language]['colon']}</small>{said}"
        found = gain(table, row)
        if found is not None:
            word = WORDS[language]["gain"]
            said += (
                f' <span class="gain"><span class="visually-hidden">{word} </span>'
                f"{signed(found, digits)}</span>"
            )
        if "quoted" in row:
            quoted = WORDS[language]["quoted"].format(escape(row["quoted"]))
            said += f'<br><small class="quoted">{quoted}</small>'
        lines.append(said)
    return "<br>".join(lines)


def _title(source: Mapping[str, Any], language: str) -> str:
    name = source["zh"] if language == "zh" and "zh" in source else source["name"]
    # A long name breaks after its slash and nowhere else.
    return f'<a href="{escape(source["url"])}">{escape(name).replace("/", "/<wbr>")}</a>'


def _matrix(tables: Sequence[Table], chapters: Mapping[str, str], language: str) -> str:
    words = WORDS[language]
    head = []
    for table in tables:
        several = "" if table.get("compare", True) else f"<br><small>{words['several']}</small>"
        head.append(f'<th scope="col">{_title(table["source"], language)}{several}</th>')
    body = []
    for place in _places(tables, chapters):
        cells, heading = [], ""
        for table in tables:
            rows = [r for r in table["rows"] if name_of(r) == place]
            if rows:
                heading = _heading(place, rows[0], chapters, language)
            cells.append(f"<td>{_cell(table, rows, language) if rows else '–'}</td>")
        body.append(f'<tr><th scope="row">{heading}</th>{"".join(cells)}</tr>')
    return (
        f'<div class="table-scroll" tabindex="0"><table class="published-matrix"><thead><tr>'
        f'<th scope="col">{words["mechanism"]}</th>{"".join(head)}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def _told(table: Table, language: str) -> str:
    """The recipe, how the number was converted, and which version of the source was read."""
    words = WORDS[language]
    parts = [escape(table["recipe"][language])]
    if table["metric"] == "top1-error":
        parts.append(words["converted"])
    if "commit" in table["source"]:
        parts.append(f"{words['commit']} <code>{escape(str(table['source']['commit']))}</code>")
    return words["stop"].join(parts)


def _sources(tables: Sequence[Table], language: str) -> str:
    words = WORDS[language]
    items = "".join(
        f"<li>{_title(t['source'], language)}{words['colon']}{_told(t, language)}</li>"
        for t in tables
    )
    return (
        f'<p class="published-note">{words["sources"]}</p>'
        f'<ul class="published-sources">{items}</ul>'
    )


def _alone(tables: Sequence[Table], chapters: Mapping[str, str], language: str) -> str:
    words = WORDS[language]
    order = _places(tables, chapters)
    body = []
    for place in order:
        for table in tables:
            (row,) = table["rows"]
            if name_of(row) != place:
                continue
            heading = _heading(place, row, chapters, language)
            body.append(
                f'<tr><th scope="row">{heading}</th><td>{_cell(table, [row], language)}</td>'
                f"<td>{_title(table['source'], language)}</td>"
                f"<td>{_told(table, language)}</td></tr>"
            )
    head = "".join(
        f'<th scope="col">{words[w]}</th>' for w in ("mechanism", "value", "source", "recipe")
    )
    return (
        f'<p class="published-note">{words["alone"]}</p><div class="table-scroll" tabindex="0">'
        f'<table class="published-alone"><thead><tr>{head}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def chapters_of(root: Path) -> dict[str, str]:
    """Registry key → stem of its chapter, in the order of the catalogue."""
    return {
        module["key"]: chapter["chapter"]
        for chapter in catalogue.load(root)["chapters"]
        for module in chapter["modules"]
    }


class Published(Directive):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        root = Path(env.srcdir)
        for file in (FILE, "book/catalogue.json"):
            env.note_dependency(str(root / file))
        language = edition_of(env.config.language).code
        html = draw(load(root), self.arguments[0], chapters_of(root), language)
        return [nodes.raw("", html, format="html")]


def setup(app: Any) -> None:
    app.add_directive("published", Published)
