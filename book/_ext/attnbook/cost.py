"""The page "What it costs", from the records that `make cost` and `make time` write.

:::{cost-table}              every mechanism: counts, and times in copies of the input
:::{cost-growth}             formulas, and the powers with which the counts grow
:::{cost-chart} macs-C       MACs, parameters or peak over C or N: see ``cost_charts.CHARTS``
:::{cost-chart} time         times as bars
:::{cost-chart} roofline     what was reached of what the machine can do
:::{cost-gpu}                the same on a CUDA device, or how to record it
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from attnbook import records
from attnbook.charts import number
from attnbook.cost_charts import draw_chart
from attnbook.cost_data import (
    PASSES,
    Row,
    conditions,
    copies,
    count,
    is_default,
    load_time,
    main_row,
    said,
    time_source,
    times,
    x_bytes,
)  # fmt: skip
from attnbook.cost_words import WORDS
from attnbook.formula import html
from attnbook.languages import edition_of
from attnbook.tables import Cell, Column, sorted_table


def draw_table(record: Row, time: Row | None, links: Mapping[str, str], language: str) -> str:
    """Everything at one size, a row for each mechanism."""
    words = WORDS[language]
    columns = [
        Column(words["mechanism"]),
        Column(words["kind"], filter=True),
        Column(words["parameters"], numeric=True),
        Column(words["macs"], numeric=True),
        Column(words["least"], numeric=True),
        *(Column(words[which], numeric=True, group=words["peak_group"]) for which in PASSES),
    ]
    for device, threads in conditions(time):
        group = words[device].format(threads=said(words, threads))
        columns += [Column(words[which], numeric=True, group=group) for which in PASSES]
    x = x_bytes(record["at"])
    rows = []
    for key, known in record["mechanisms"].items():
        row = main_row(record, key)
        cells: list[Cell | str] = [
            Cell(_name(key, links.get(known["chapter"])), key),
            words[known["kind"]],
            Cell(count(row["parameters"]), row["parameters"]),
            Cell(count(row["macs"]), row["macs"]),
            Cell(f"{row['bytes_min'] / 1e6:.1f}", row["bytes_min"]),
            Cell(f"{row['peak'] / x:.2f}", row["peak"]),
            Cell(f"{row['peak_training'] / x:.2f}", row["peak_training"]),
        ]
        for device, threads in conditions(time):
            for which in PASSES:
                timed = times(time, key, device, threads, which)
                if timed is None:
                    cells.append(Cell(f'<span class="quiet">{words["missing"]}</span>'))
                else:
                    cells.append(Cell(copies(timed["times_copy"]), timed["times_copy"]))
        rows.append(cells)
    note = words["table_note"].format(x=f"{x / 1e6:.1f}")
    source = records.source_line(record, language)
    source += time_source(time, words, language) if time else ""
    return f"{sorted_table(columns, rows, find=True)}<p>{note}</p>{source}"


def _name(key: str, link: str | None) -> str:
    name = f"<code>{escape(key)}</code>"
    return f'<a href="{escape(link)}">{name}</a>' if link else name


def draw_growth(record: Row, language: str) -> str:
    """Formulas, and how the counts grow."""
    words = WORDS[language]
    formula, grows = Column(words["formula"]), Column(words["grows"])
    columns = [
        Column(words["mechanism"]),
        Column(words["kind"], filter=True),
        Column(words["where"]),
    ]
    shown = [
        ("parameters", words["parameters"], formula, "C"),
        ("macs", words["macs"], formula, "CN"),
        ("peak", words["peak_long"], grows, "CN"),
        ("peak_training", words["peak_training_long"], grows, "CN"),
    ]
    for _, group, column, symbols in shown:
        columns.append(Column(column.name, group=group))
        columns += [Column(words[f"power_{s}"], numeric=True, group=group) for s in symbols]
    rows = []
    for key, known in record["mechanisms"].items():
        meanings = [f"<i>{s}</i> = {html(m)}" for s, m in known["where"].items()]
        cells: list[Cell | str] = [
            Cell(f"<code>{escape(key)}</code>", key),
            words[known["kind"]],
            Cell(words["sep"].join(meanings)),
        ]
        for quantity, _, _, symbols in shown:
            cells.append(Cell(html(known["formulas"][quantity])))
            cells += [_power(known["growth"][quantity][symbol]) for symbol in symbols]
        rows.append(cells)
    default = [row for row in record["rows"] if is_default(row)]
    sides = sorted({row["height"] for row in default})
    note = words["growth_note"].format(
        C=words["list"].join(str(c) for c in sorted({row["channels"] for row in default})),
        sides=words["list"].join(f"{side}×{side}" for side in sides),
        rule=words["rule"],
    )
    source = records.source_line(record, language)
    return f"{sorted_table(columns, rows)}<p>{note}</p>{source}"


def _power(growth: Row) -> Cell:
    """A fitted power, and its limit where that is another."""
    fitted, limit = growth["fitted"], growth["limit"]
    if fitted is None:
        return Cell("–")
    text = f"{fitted:.2f}"
    if abs(fitted - limit) > 0.05:
        text += f' <span class="quiet">→ {limit:g}</span>'
    return Cell(text, fitted)


def draw_gpu(time: Row | None, language: str) -> str:
    words = WORDS[language]
    found = [m for m in time["machines"] if m["device"] == "cuda"] if time else []
    text = "".join(
        words["gpu"].format(
            name=escape(m["device_name"]),
            copy=number(m["copy_bytes_per_s"] / 1e9),
            peak=number(m["product_macs_per_s"] / 1e9),
        )
        for m in found
    )
    return f"<p>{text or words['no_gpu']}</p>"


# --- Sphinx ---------------------------------------------------------------------------------------


class _FromRecords(Directive):
    has_content = True

    def draw(self, root: Path, record: Row, time: Row | None, language: str) -> str:
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        env = self.state.document.settings.env
        root = Path(env.srcdir)
        for name in ("cost", "time"):
            env.note_dependency(str(root / records.FOLDER / f"{name}.json"))
        language = edition_of(env.config.language).code
        text = self.draw(root, records.load(root, "cost"), load_time(root), language)
        return [nodes.raw("", text, format="html")]


class CostTable(_FromRecords):
    def draw(self, root: Path, record: Row, time: Row | None, language: str) -> str:
        chapters = {known["chapter"] for known in record["mechanisms"].values()}
        links = {stem: f"../../notebooks/{stem}.html" for stem in chapters}
        return draw_table(record, time, links, language)


class CostGrowth(_FromRecords):
    def draw(self, root: Path, record: Row, time: Row | None, language: str) -> str:
        return draw_growth(record, language)


class CostChart(_FromRecords):
    required_arguments = 1

    def draw(self, root: Path, record: Row, time: Row | None, language: str) -> str:
        return draw_chart(self.arguments[0], record, time, language)


class CostGpu(_FromRecords):
    def draw(self, root: Path, record: Row, time: Row | None, language: str) -> str:
        return draw_gpu(time, language)


def setup(app: Any) -> None:
    app.add_directive("cost-table", CostTable)
    app.add_directive("cost-growth", CostGrowth)
    app.add_directive("cost-chart", CostChart)
    app.add_directive("cost-gpu", CostGpu)
