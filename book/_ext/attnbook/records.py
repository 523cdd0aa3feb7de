"""Measured records (``benchmarks/records``) for the pages that show them, without PyTorch."""

from __future__ import annotations

import json
from html import escape
from pathlib import Path
from typing import Any

FOLDER = "benchmarks/records"


def load(root: Path, experiment: str) -> dict[str, Any]:
    """The record ``<experiment>.json``."""
    path = root / FOLDER / f"{experiment}.json"
    record: dict[str, Any] = json.loads(path.read_text("utf8"))
    return record


def source_line(record: dict[str, Any], language: str) -> str:
    """One line of HTML under a table or chart: what was run, where, when, and the command.

    A row that has a ``commit`` of its own was measured before the others: that is said too.
    """
    made = record["made"]
    before = dict.fromkeys(r["commit"] for r in record.get("rows", ()) if r.get("commit"))
    others = ", ".join(f"<code>{escape(commit)}</code>" for commit in before)
    device, command = escape(made["device"]), f"<code>{escape(record['command'])}</code>"
    if language == "zh":
        text = (
            f"数据：{made['date']} 在 {device} 上运行 {command} 得到，{made['threads']} 线程，"
            f"torch {escape(made['torch'])}，内存分配器 {escape(made['allocator'])}，"
            f"代码版本 <code>{escape(made['commit'])}</code>"
            f"{f'，较早测得的部分为 {others}' if others else ''}。"
        )
    else:
        threads = f"{made['threads']} thread{'s' * (made['threads'] != 1)}"
        text = (
            f"Data: {command}, run on {made['date']}, {device}, {threads}, "
            f"torch {escape(made['torch'])}, {escape(made['allocator'])}, "
            f"repository at <code>{escape(made['commit'])}</code>"
            f"{f' ({others} for what was measured earlier)' if others else ''}."
        )
    return f'<p class="record-source">{text}</p>'
