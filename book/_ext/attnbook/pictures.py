"""The page "On real pictures": what ``python -m benchmarks.pictures`` recorded.

:::{pictures-setup}          what was trained, on what, how often
:::{pictures-chart}          the gain of each mechanism over none, with its intervals
:::{pictures-table}          the same as numbers, with what each mechanism adds to its host
:::{pictures-judgements}     the article's judgements as differences to be tested
:::{pictures-followup}       three questions that the result raised
:::{pictures-cifar10}        all of this for CIFAR-10, or the command that records it
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from attnbook import records
from attnbook.charts import Axis, Mark, dots, figure
from attnbook.languages import edition_of
from attnbook.pictures_words import WORDS
from attnbook.published import chapters_of, signed
from attnbook.tables import Cell, Column, sorted_table

DIGITS, FOLLOWUP, CIFAR10 = "pictures", "pictures_followup", "pictures_cifar10"
CIFAR10_COMMAND = "python -m benchmarks.pictures --data cifar10 --folder DATA"
HOSTS = ("light", "resnet")
Record = Mapping[str, Any]


def _lines(record: Record) -> dict[tuple[str, str | None], Record]:
    return {(line["host"], line["mechanism"]): line for line in record["summary"]}


def _mechanisms(record: Record) -> list[str]:
    """What is compared with none: the placebo first, then the mechanisms."""
    return list(dict.fromkeys(line["mechanism"] for line in record["summary"] if line["mechanism"]))


def _name(mechanism: str | None, language: str) -> str:
    return WORDS[language].get(mechanism or "none", mechanism)


def setup_list(record: Record, language: str) -> str:
    """What was trained: one item for each of pictures, hosts, recipe, options, seeds."""
    words, setting = WORDS[language], record["setting"]
    counts = {(c["host"], c["mechanism"]): c for c in record["counts"]}
    options: dict[tuple[str, Any], list[str]] = {}
    for key, given in record["options"].items():
        for name, value in given.items():
            options.setdefault((name, value), []).append(f"<code>{escape(key)}</code>")
    channels, height, width = record["pictures"]["size"]
    told = {
        **setting,
        **{host: f"{counts[host, None]['parameters']:,}" for host in HOSTS},
        "data": words["names"][setting["data"]],
        "training": f"{record['pictures']['training']:,}",
        "test": f"{record['pictures']['test']:,}",
        "size": f"{channels} × {height} × {width}",
        "pixels": words["pixel"][setting["shift"] != 1],
        "flip": words["flip"] if setting["flip"] else "",
        "options": words["join"].join(
            words["option"].format(
                keys=words["comma"].join(keys), name=f"<code>{name}</code>", value=value
            )
            for (name, value), keys in options.items()
        ),
    }
    return f"<ul>{''.join(f'<li>{line.format(**told)}</li>' for line in words['setup'])}</ul>"


def chart(record: Record, language: str) -> str:
    words, lines = WORDS[language], _lines(record)
    rows = {}
    for mechanism in _mechanisms(record):
        marks = []
        for host in HOSTS:
            line = lines[host, mechanism]
            marks.append(
                Mark(
                    line["difference"],
                    line["low"],
                    line["high"],
                    signed(line["difference"]),
                    (line["low_together"], line["high_together"]),
                )
            )
        rows[_name(mechanism, language)] = marks
    drawing = dots(
        rows,
        [words[host] for host in HOSTS],
        language=language,
        title=words["title"].format(data=words["data"][record["setting"]["data"]]),
        axis=Axis(words["axis"], format=lambda v: signed(v, 0) if v else "0"),
        reference=(0.0, words["zero"]),
    )
    caption = words["caption"].format(
        seeds=record["setting"]["seeds"], comparisons=len(HOSTS) * len(rows)
    )
    return figure(drawing, caption)


def _between(low: float, high: float, language: str) -> str:
    return f"{signed(low)}{WORDS[language]['to']}{signed(high)}"


def table(record: Record, chapters: Mapping[str, str], language: str) -> str:
    words, lines = WORDS[language], _lines(record)
    counts = {(c["host"], c["mechanism"]): c for c in record["counts"]}
    rows: list[list[Cell | str]] = []
    for host in HOSTS:
        for mechanism in (None, *_mechanisms(record)):
            line = lines[host, mechanism]
            # The placebo is the host itself.
            counted = counts.get((host, mechanism), counts[host, None])
            name = escape(_name(mechanism, language))
            if mechanism in chapters:
                href = f"../../notebooks/{chapters[mechanism]}.html"
                name = f'<a href="{href}"><code>{name}</code></a>'
            row: list[Cell | str] = [
                Cell(name, mechanism or ""),
                words[host],
                Cell(f"{counted['parameters']:,}", counted["parameters"]),
                Cell(f"{counted['macs'] / 1e6:.2f} M", counted["macs"]),
                Cell(f"{line['mean']:.2f}", line["mean"]),
                Cell(f"{line['sd']:.2f}", line["sd"]),
            ]
            if mechanism is None:
                row += [Cell("–"), "–", "–", "–"]
            else:
                row += [
                    Cell(signed(line["difference"]), line["difference"]),
                    _between(line["low"], line["high"], language),
                    _between(line["low_together"], line["high_together"], language),
                    words[line["verdict"]],
                ]
            rows.append(row)
    numeric, chosen = {2, 3, 4, 5, 6}, {1, 9}
    columns = [
        Column(name, numeric=i in numeric, filter=i in chosen)
        for i, name in enumerate(words["head"])
    ]
    return sorted_table(columns, rows)


def _p(value: float) -> str:
    return f"{value:.3f}" if value >= 0.001 else "&lt; 0.001"


def _head(names: Sequence[str], numeric: Container[int]) -> str:
    return "".join(
        f'<th scope="col" class="num">{name}</th>'
        if i in numeric
        else f'<th scope="col">{name}</th>'
        for i, name in enumerate(names)
    )


def judgements(record: Record, language: str) -> str:
    words = WORDS[language]
    head = _head(words["asked_head"], {1, 2, 3})
    body = "".join(
        f'<tr><th scope="row">{words["asked"][line["question"]]}</th>'
        f'<td class="num">{signed(line["difference"])}</td>'
        f'<td class="num">{_between(line["low"], line["high"], language)}</td>'
        f'<td class="num">{_p(line["p"])}</td><td>{words[line["verdict"]]}</td></tr>'
        for line in record["judgements"]
    )
    return (
        f'<div class="table-scroll" tabindex="0"><table class="asked">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def followup(root: Path, language: str) -> str:
    """What was asked after the result was known, and the answers."""
    record = records.load(root, FOLLOWUP)
    words = WORDS[language]
    widths = {r["host"]: r["width"] for r in record["rows"] if "width" in r}
    head = _head(words["followup_head"], {2, 3})
    body = "".join(
        f'<tr><th scope="row">{words["followup"][line["question"]]}</th>'
        f"<td>{_host_told(line, widths, language)}</td>"
        f'<td class="num">{signed(line["difference"])}</td>'
        f'<td class="num">{_between(line["low"], line["high"], language)}</td>'
        f"<td>{words[line['verdict']]}</td></tr>"
        for line in record["answers"]
    )
    return (
        f'<div class="table-scroll" tabindex="0"><table class="asked">'
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f"{records.source_line(record, language)}"
    )


def _host_told(line: Record, widths: Mapping[str, int], language: str) -> str:
    """The host, with its width where that was changed."""
    words = WORDS[language]
    told: str = words[line["host"]]
    if "wider" in line["question"]:
        told += words["width"].format(widths[line["host"]])
    return told


def cifar10(root: Path, language: str) -> str:
    if not (root / records.FOLDER / f"{CIFAR10}.json").is_file():
        command = f"<code>{CIFAR10_COMMAND}</code>"
        return f"<p>{WORDS[language]['not_recorded'].format(command=command)}</p>"
    record = records.load(root, CIFAR10)
    return (
        setup_list(record, language)
        + chart(record, language)
        + table(record, chapters_of(root), language)
        + judgements(record, language)
        + records.source_line(record, language)
    )


def _digits(draw: Callable[[Record, Path, str], str]) -> Callable[[Path, str], str]:
    def drawn(root: Path, language: str) -> str:
        record = records.load(root, DIGITS)
        return draw(record, root, language)

    return drawn


def _with_source(draw: Callable[[Record, str], str]) -> Callable[[Record, Path, str], str]:
    return lambda record, _, language: (
        draw(record, language) + records.source_line(record, language)
    )


DIRECTIVES: Mapping[str, Callable[[Path, str], str]] = {
    "pictures-setup": _digits(lambda record, _, language: setup_list(record, language)),
    "pictures-chart": _digits(_with_source(chart)),
    "pictures-table": _digits(
        lambda record, root, language: table(record, chapters_of(root), language)
    ),
    "pictures-judgements": _digits(lambda record, _, language: judgements(record, language)),
    "pictures-followup": followup,
    "pictures-cifar10": cifar10,
}


def _directive(draw: Callable[[Path, str], str]) -> type[Directive]:
    class Drawn(Directive):
        def run(self) -> list[nodes.Node]:
            env = self.state.document.settings.env
            root = Path(env.srcdir)
            for name in (DIGITS, FOLLOWUP, CIFAR10):
                env.note_dependency(str(root / records.FOLDER / f"{name}.json"))
            env.note_dependency(str(root / "book/catalogue.json"))
            return [nodes.raw("", draw(root, edition_of(env.config.language).code), format="html")]

    return Drawn


def setup(app: Any) -> None:
    for name, draw in DIRECTIVES.items():
        app.add_directive(name, _directive(draw))
