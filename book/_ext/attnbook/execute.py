"""Run notebooks and keep what they printed: ``python -m attnbook.execute [--all] [stem ...]``.

A notebook runs when its code differs from that of its executed pair; where only prose, captions or
tags changed, the pair takes them over and keeps its outputs. ``--all`` runs everything. What a run
leaves in the notebook is the same on every machine but for numbers that are meant to differ: no
paths of the machine, no time stamps of cells, no random ids.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
import time
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell

from attnbook import notebooks
from attnbook.versions import git, head

CELL_TIMEOUT = 120  # seconds
ENVIRONMENT = {
    # Some machines advertise AMX and do not provide it: a bfloat16 matmul then kills Python.
    "ONEDNN_MAX_CPU_ISA": "AVX512_CORE_BF16",
    # Threads that wait by spinning make small operations ten times slower on a busy machine.
    "OMP_WAIT_POLICY": "PASSIVE",
    # What a chapter trains is so small that two threads take longer than one.
    "OMP_NUM_THREADS": "1",
    "PYTHONHASHSEED": "0",
}

#: A chapter's last cell, which is not kept: the kernel says where it runs and what it has spent.
_PROVENANCE = """
import json, os, platform, torch
def cpu():
    try:
        lines = open("/proc/cpuinfo").read().splitlines()
        return next(l.split(":", 1)[1].strip() for l in lines if l.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
device = torch.cuda.get_device_name(0) if torch.cuda.is_available() else cpu()
print(json.dumps({
    "torch": torch.__version__, "python": platform.python_version(), "device": device,
    "threads": torch.get_num_threads(), "system": platform.system(),
    "seconds": round(sum(os.times()[:4]), 1),
}))
"""


def outdated(source: NotebookNode, pair: NotebookNode | None) -> str | None:
    """``"code"`` if the notebook must run, ``"prose"`` if its pair needs new prose only."""
    if pair is None or notebooks.code_of(source) != notebooks.code_of(pair):
        return "code"
    if notebooks.signature(source) != notebooks.signature(pair):
        return "prose"
    metadata = {k: v for k, v in pair.metadata.items() if k not in ("attnbook", "language_info")}
    return "prose" if metadata != source.metadata else None


def execute(source: NotebookNode, folder: Path, root: Path) -> NotebookNode:
    """Run a notebook in ``folder``; attnlib is the one of this checkout.

    Where and with what it ran, and the seconds of CPU from the start of its kernel, are left in its
    metadata.
    """
    for name, value in ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(root), *([inherited] if inherited else [])])
    client = NotebookClient(
        source,
        timeout=CELL_TIMEOUT,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    source.cells.append(new_code_cell(_PROVENANCE))
    client.execute(env={**os.environ, "PYTHONPATH": path})
    answer = source.cells.pop().outputs[0].text
    source.metadata["attnbook"] = {**json.loads(answer), **_state(root)}
    for cell in source.cells:
        if cell.cell_type == "code":
            cell.outputs = clean(cell.outputs, root)
            cell.metadata.pop("execution", None)
    return source


def clean(outputs: list[NotebookNode], root: Path) -> list[NotebookNode]:
    """Outputs without paths and addresses of this machine, each stream in one piece."""
    merged: list[NotebookNode] = []
    for output in outputs:
        last = merged[-1] if merged else None
        stream = output.output_type == "stream"
        if stream and last is not None and last.get("name") == output.name:
            last.text += output.text
        else:
            merged.append(output)
    return [NotebookNode(_without_paths(output, root)) for output in merged]


def _without_paths(value: Any, root: Path) -> Any:
    if isinstance(value, dict):
        return NotebookNode({key: _without_paths(item, root) for key, item in value.items()})
    if isinstance(value, list):
        return [_without_paths(item, root) for item in value]
    if not isinstance(value, str):
        return value
    value = re.sub(r"/\S*?/ipykernel_\d+/\d+\.py", "cell", value)
    value = re.sub(r"/\S*?/site-packages/", "", value)
    value = re.sub(r"\b0x[0-9a-f]{6,16}\b", "0x00000000", value)  # addresses of objects
    value = value.replace(f"{root}/", "")
    home = str(Path.home())
    return value.replace(f"{home}/", "~/") if len(home) > 1 else value


def _state(root: Path) -> dict[str, Any]:
    """When the outputs were made and from which state of the repository."""
    return {
        "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": head(root).short,
        "library_changed_since": bool(git(root, "status", "--porcelain", "attnlib")),
    }


def update(root: Path, stem: str, *, always: bool = False) -> str | None:
    """Bring a notebook's pair up to date; says what changed: ``"code"``, ``"prose"``, ``None``."""
    source = notebooks.read_source(notebooks.source_path(root, stem))
    target = notebooks.pair_path(root, stem)
    pair = notebooks.read_pair(target)
    change = "code" if always else outdated(source, pair)
    if change is None:
        return None
    if change == "code":
        source = execute(source, target.parent, root)
    else:
        assert pair is not None
        outputs = iter([cell for cell in pair.cells if cell.cell_type == "code"])
        for cell in source.cells:
            if cell.cell_type == "code":
                run = next(outputs)
                cell.outputs, cell.execution_count = run.outputs, run.execution_count
        for key in ("attnbook", "language_info"):
            if key in pair.metadata:
                source.metadata[key] = pair.metadata[key]
    notebooks.write_pair(target, source)
    return change


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m attnbook.execute", description=__doc__)
    parser.add_argument(
        "stems", nargs="*", help="notebooks to look at; all of them if none is named"
    )
    parser.add_argument("--all", action="store_true", help="run them even if nothing changed")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository")
    options = parser.parse_args(arguments)
    root = options.root.resolve()

    failed = 0
    for stem in options.stems or notebooks.stems(root):
        start = time.perf_counter()
        try:
            change = update(root, stem, always=options.all)
        except CellExecutionError as error:
            failed += 1
            print(f"{stem}: FAILED after {time.perf_counter() - start:.1f} s\n{error}", flush=True)
            continue
        if change == "code":
            pair = notebooks.read_pair(notebooks.pair_path(root, stem))
            assert pair is not None
            cpu = pair.metadata["attnbook"]["seconds"]
            wall = time.perf_counter() - start
            print(f"{stem}: executed in {wall:.1f} s, of which {cpu} s of CPU", flush=True)
        elif change == "prose":
            print(f"{stem}: code unchanged, took over new prose", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
