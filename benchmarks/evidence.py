"""The evidence behind ``attnlib.suggest``: ``python -m benchmarks.evidence``, part of `make sight`.

The library does not carry the records of the benchmarks; of ``sight.json`` it takes the accuracy of
every mechanism at every task, in its default form.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import attnlib
from benchmarks import records

FILE = Path(attnlib.__file__).parent / "evidence.json"


def evidence() -> dict[str, Any]:
    """What the file should hold."""
    record = records.read("sight")
    accuracies: dict[str, dict[str, float]] = {}
    for row in record["rows"]:
        if row["name"] == row["mechanism"]:  # neither the host alone nor another form
            accuracies.setdefault(row["mechanism"], {})[row["task"]] = row["mean"]
    return {"command": record["command"], "made": record["made"], "accuracies": accuracies}


def main() -> int:
    FILE.write_text(json.dumps(evidence(), indent=1) + "\n", "utf8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
