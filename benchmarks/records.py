"""Measured results as data: one JSON file per experiment in ``benchmarks/records``.

    {"experiment": ..., "command": ..., "made": {conditions}, "rows": [{...}, ...]}

``made`` says when, with which code and on which machine the rows came out; a row that was measured
under conditions of its own (another device, dtype or number of threads) carries those itself. Pages
of the book read these files; nothing in them is written by hand.
"""

from __future__ import annotations

import json
import platform
import subprocess
import time
from pathlib import Path
from typing import Any

import torch

from attnlib.lab._machine import allocator, device_name

FOLDER = Path(__file__).parent / "records"


def conditions(device: str | torch.device = "cpu") -> dict[str, Any]:
    """Date, commit, versions and machine, for the ``made`` of a record."""
    device = torch.device(device)
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": _commit(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "allocator": allocator(device),
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def write(
    experiment: str,
    command: str,
    rows: list[dict[str, Any]],
    *,
    device: str | torch.device = "cpu",
    folder: Path = FOLDER,
    **more: Any,
) -> Path:
    """Store ``rows`` (and whatever else the experiment wants said) as ``<experiment>.json``."""
    record = {
        "experiment": experiment,
        "command": command,
        "made": conditions(device),
        **more,
        "rows": rows,
    }
    path = folder / f"{experiment}.json"
    path.write_text(_lines(record), "utf8")
    return path


def read(experiment: str, *, folder: Path = FOLDER) -> dict[str, Any]:
    record: dict[str, Any] = json.loads((folder / f"{experiment}.json").read_text("utf8"))
    return record


def _lines(record: dict[str, Any]) -> str:
    """JSON with one row on each line, so that a diff shows which rows changed."""
    head = {key: value for key, value in record.items() if key != "rows"}
    text = json.dumps(head, ensure_ascii=False, indent=1).removesuffix("\n}")
    rows = ",\n  ".join(json.dumps(row, ensure_ascii=False) for row in record["rows"])
    return f'{text},\n "rows": [\n  {rows}\n ]\n}}\n'


def _commit() -> str:
    """The short id of HEAD, with ``+`` where attnlib has been changed since."""
    root = FOLDER.parent.parent

    def git(*arguments: str) -> str:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments], capture_output=True, text=True, check=False
        )
        return answer.stdout.strip()

    head = git("rev-parse", "--short=9", "HEAD")
    return head + ("+" if git("status", "--porcelain", "attnlib", "benchmarks/*.py") else "")
