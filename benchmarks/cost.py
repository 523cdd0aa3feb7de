"""What every mechanism costs, counted: ``python -m benchmarks.cost``, or `make cost`.

Parameters, MACs, least bytes moved and peak memory of every registered mechanism at its defaults,
at (8, 256, 56, 56) and with C and H·W growing; the powers with which they grow, fitted to these
counts, and those of the formulas in the limit. Nothing is timed (`make time` does that), so the
record is the same on every machine; only the memory depends on the version of torch.

One rule for channels that a default does not divide: the number of groups is halved until it does.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from typing import Any

from torch import nn

import attnlib
from attnlib.lab import cost
from benchmarks import records
from benchmarks.formulas import FORMULAS, limit, value

BATCH, CHANNELS, SIDE = 8, 256, 56
GROWING_CHANNELS = (64, 128, 256, 512, 1024)
GROWING_SIDES = (16, 28, 40, 56, 80)
RULE = "groups that do not divide the channels are halved until they do"
QUANTITIES = ("parameters", "macs", "peak", "peak_training")
#: A mechanism that attnlib computes in pieces, also as its formula is written, for comparison.
WHOLE = {"position": lambda side: {"chunk_size": side**2}}


def create(key: str, channels: int, **options: Any) -> tuple[nn.Module, dict[str, Any]]:
    """The mechanism at its defaults, and what had to be changed for this number of channels."""
    if "groups" in attnlib.info(key).options:
        groups = default = attnlib.create(key, 2**12).groups
        while groups > 1:
            try:
                attnlib.create(key, channels, groups=groups)
                break
            except ValueError:
                groups //= 2
        if groups != default:
            options = {**options, "groups": groups}
    return attnlib.create(key, channels, **options), options


def count(key: str, channels: int, side: int, **options: Any) -> dict[str, Any]:
    """One row of the record."""
    module, changed = create(key, channels, **options)
    counted = cost(module, (BATCH, channels, side, side))
    return {
        "mechanism": key,
        "options": changed,
        "batch": BATCH,
        "channels": channels,
        "height": side,
        "width": side,
        "dtype": "float32",
        "parameters": counted.parameters,
        "macs": counted.macs // BATCH,  # of one image
        "bytes_min": counted.bytes_min,
        "peak": counted.peak_bytes,
        "peak_training": counted.peak_bytes_training,
    }


def sizes() -> list[tuple[int, int]]:
    """All channels at one size, all sizes at one number of channels."""
    both = [(channels, SIDE) for channels in GROWING_CHANNELS]
    return both + [(CHANNELS, side) for side in GROWING_SIDES if side != SIDE]


def count_all(keys: Sequence[str]) -> list[dict[str, Any]]:
    rows = []
    for key in keys:
        print(f"{key} ...", flush=True)
        rows += [count(key, *size) for size in sizes()]
        if key in WHOLE:
            rows += [count(key, CHANNELS, side, **WHOLE[key](side)) for side in GROWING_SIDES]
    return rows


def is_default(row: dict[str, Any]) -> bool:
    """Whether a row counts the mechanism as the library gives it."""
    return set(row["options"]) <= {"groups"}


def power(points: Sequence[tuple[float, float]]) -> float | None:
    """The p of the y ∝ x^p that fits best; ``None`` where there is nothing to count."""
    if any(y <= 0 for _, y in points):
        return None
    xs, ys = [math.log(x) for x, _ in points], [math.log(y) for _, y in points]
    mean_x, mean_y = sum(xs) / len(xs), sum(ys) / len(ys)
    above = sum((x - mean_x) * (y - mean_y) for x, y in zip(xs, ys, strict=True))
    return above / sum((x - mean_x) ** 2 for x in xs)


def series(
    rows: Sequence[dict[str, Any]], key: str, symbol: str
) -> list[tuple[int, dict[str, Any]]]:
    """The rows of one mechanism in which C, or N = H·W, grows."""
    mine = [row for row in rows if row["mechanism"] == key and is_default(row)]
    if symbol == "C":
        return [(row["channels"], row) for row in mine if row["height"] == SIDE]
    grown = [(row["height"] * row["width"], row) for row in mine if row["channels"] == CHANNELS]
    return sorted(grown, key=lambda pair: pair[0])


def growth(rows: Sequence[dict[str, Any]], key: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Quantity → symbol → fitted power, the same fit to the formula, the formula's limit."""
    formula = FORMULAS[key]
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for quantity in QUANTITIES:
        expression = getattr(formula, quantity)
        found[quantity] = {}
        for symbol in ("C", "N"):
            points = series(rows, key, symbol)
            counted = power([(size, row[quantity]) for size, row in points])
            written = power([(size, at(row, expression)) for size, row in points])
            found[quantity][symbol] = {
                "fitted": None if counted is None else round(counted, 3),
                "formula": None if written is None else round(written, 3),
                "limit": limit(key, expression, symbol),
            }
    return found


def at(row: dict[str, Any], expression: str) -> float:
    """A formula at the size of a row."""
    return value(
        row["mechanism"],
        expression,
        C=row["channels"],
        H=row["height"],
        W=row["width"],
        **row["options"],
    )


def meanings(key: str) -> dict[str, str]:
    """The ``where`` of a formula with the values of options in place of their names."""
    return {
        symbol: f"{value(key, symbol, C=CHANNELS, H=SIDE, W=SIDE):g}"
        if meaning in attnlib.info(key).options
        else meaning
        for symbol, meaning in FORMULAS[key].where.items()
    }


def describe(rows: Sequence[dict[str, Any]], key: str) -> dict[str, Any]:
    """What the page needs to know of a mechanism beside its counts."""
    entry, formula = attnlib.info(key), FORMULAS[key]
    return {
        "chapter": entry.chapter,
        "kind": entry.kind,
        "attends": entry.attends,
        "formulas": {quantity: getattr(formula, quantity) for quantity in QUANTITIES},
        "where": meanings(key),
        "growth": growth(rows, key),
    }


def main(arguments: list[str] | None = None) -> int:
    argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__).parse_args(
        arguments
    )
    keys = attnlib.available()
    rows = count_all(keys)
    path = records.write(
        "cost",
        "make cost",
        rows,
        at={"batch": BATCH, "channels": CHANNELS, "height": SIDE, "width": SIDE},
        rule=RULE,
        mechanisms={key: describe(rows, key) for key in keys},
    )
    print(f"{path.name}: {len(rows)} counts of {len(keys)} mechanisms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
