"""What the page "What it costs" asks of its two records, `make cost`'s and `make time`'s."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from attnbook import records
from attnbook.charts import exact, number

Row = dict[str, Any]
PASSES = ("forward", "forward+backward")


def load_time(root: Path) -> Row | None:
    """The record of times, if it has been made."""
    exists = (root / records.FOLDER / "time.json").is_file()
    return records.load(root, "time") if exists else None


def is_default(row: Row) -> bool:
    """Whether a row counts the mechanism as the library gives it."""
    return set(row["options"]) <= {"groups"}


def main_row(record: Row, key: str) -> Row:
    """The row of a mechanism at the size of the table."""
    at = record["at"]
    return next(
        row
        for row in record["rows"]
        if row["mechanism"] == key
        and all(row[name] == at[name] for name in ("channels", "height", "width"))
        and is_default(row)
    )


def x_bytes(at: Row) -> int:
    size: int = at["batch"] * at["channels"] * at["height"] * at["width"] * 4
    return size


def count(value: float) -> str:
    """Every digit up to a million, then three."""
    return exact(value) if value < 10**6 else number(value)


def times(time: Row | None, key: str, device: str, threads: int, which: str) -> Row | None:
    """The measured row, if there is one with a result."""
    for row in time["rows"] if time else ():
        if (row["mechanism"], row["device"], row["threads"], row["pass"]) == (
            key, device, threads, which,
        ):  # fmt: skip
            return row if row["median_s"] is not None else None
    return None


def conditions(time: Row | None) -> list[tuple[str, int]]:
    """Devices and numbers of threads for the columns; a GPU always, recorded or not."""
    found = [(m["device"], m["threads"]) for m in time["machines"]] if time else []
    return found if any(device == "cuda" for device, _ in found) else [*found, ("cuda", 1)]


def said(words: dict[str, str], threads: int) -> str:
    return words["thread"] if threads == 1 else words["threads"].format(n=threads)


def time_source(time: Row, words: dict[str, str], language: str) -> str:
    """Under what shows times: where they come from, and whether the machine was busy."""
    busy = time["busy"]
    if busy["load"] <= busy["cores"] / 2:
        return records.source_line(time, language)
    note = words["busy"].format(**busy)
    return records.source_line(time, language) + f'<p class="record-source">{note}</p>'


def copies(value: float) -> str:
    """A time in copies of the input."""
    return f"{value:.1f}" if value < 100 else f"{value:.0f}"
