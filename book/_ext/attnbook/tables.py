"""Tables for the pages that a reader can sort and filter (``book/_static/table.js``).

Without JavaScript they are plain tables. The first column names the row and stays in sight while
the rest scrolls sideways. Any ``<table data-sortable>`` is treated so, however it was made; this
module writes the common case.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from itertools import groupby

__all__ = ["Cell", "Column", "sorted_table"]


@dataclass(frozen=True)
class Column:
    name: str
    numeric: bool = False  #: set flush right
    filter: bool = False  #: the reader can choose among its values
    wrap: bool = False  #: may take several lines
    group: str = ""  #: stands above it and its neighbours of the same group


@dataclass(frozen=True)
class Cell:
    """What a cell shows, and what it sorts by where that is something else.

    In a numeric column a cell without a value is one that is missing: it stays at the end.
    """

    html: str
    value: float | str | None = None


def sorted_table(
    columns: Sequence[Column], rows: Sequence[Sequence[Cell | str]], *, find: bool = False
) -> str:
    """The table; a string is text, a ``Cell`` holds HTML. ``find`` adds a box to type in."""
    for row in rows:
        if len(row) != len(columns):
            raise ValueError(f"{len(row)} cells for {len(columns)} columns: {row[0]!r}")
    head = "".join(f'<th scope="col"{_attributes(c, head=True)}>{c.name}</th>' for c in columns)
    body = "".join(
        "<tr>" + "".join(_cell(i, *pair) for i, pair in enumerate(zip(row, columns, strict=True)))
        + "</tr>"
        for row in rows
    )  # fmt: skip
    found = " data-find" if find else ""
    return (
        f'<div class="table-scroll"><table class="sorted-table" data-sortable{found}>'
        f"<thead>{_groups(columns)}<tr>{head}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def _groups(columns: Sequence[Column]) -> str:
    """A row above the heads that names groups of columns, where there are any."""
    if not any(column.group for column in columns):
        return ""
    cells = []
    for name, members in groupby(columns, key=lambda column: column.group):
        span = len(list(members))
        if name:
            cells.append(f'<th scope="colgroup" colspan="{span}" class="group">{name}</th>')
        else:
            cells += ["<td></td>"] * span
    return f"<tr>{''.join(cells)}</tr>"


def _attributes(column: Column, *, head: bool = False) -> str:
    kinds = ["num"] * column.numeric + ["wrap"] * column.wrap
    named = f' class="{" ".join(kinds)}"' if kinds else ""
    return named + " data-filter" * (head and column.filter)


def _cell(place: int, cell: Cell | str, column: Column) -> str:
    value = ""
    if isinstance(cell, str):
        cell = Cell(escape(cell))
    elif cell.value is not None or column.numeric:
        value = f' data-value="{escape(str("" if cell.value is None else cell.value))}"'
    tag, scope = ("th", ' scope="row"') if place == 0 else ("td", "")
    return f"<{tag}{scope}{_attributes(column)}{value}>{cell.html}</{tag}>"
