"""Notebooks: the source ``notebooks/<stem>.md``, its executed pair ``notebooks/<stem>.ipynb``."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbformat import NotebookNode

_MYST = {"extension": ".md", "format_name": "myst"}


def stems(root: Path) -> list[str]:
    """Stems of all notebooks, in alphabetical order."""
    return sorted(path.stem for path in (root / "notebooks").glob("*.md"))


def source_path(root: Path, stem: str) -> Path:
    return root / "notebooks" / f"{stem}.md"


def pair_path(root: Path, stem: str) -> Path:
    return root / "notebooks" / f"{stem}.ipynb"


def read_source(path: Path) -> NotebookNode:
    """The source as a notebook without outputs, its cell ids made from what the cells say."""
    notebook = jupytext.reads(path.read_text("utf8"), fmt=_MYST)
    seen: Counter[str] = Counter()
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] += 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
    notebook.metadata.kernelspec = {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    }
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def read_pair(path: Path) -> NotebookNode | None:
    """The executed notebook, ``None`` if there is none yet."""
    return nbformat.read(path, as_version=4) if path.exists() else None


def write_pair(path: Path, notebook: NotebookNode) -> None:
    """Write a notebook in one stable form, so that a diff shows what changed and nothing else."""
    nbformat.validate(notebook)
    text = json.dumps(notebook, ensure_ascii=False, indent=1, sort_keys=True)
    path.write_text(text + "\n", "utf8")


def signature(notebook: NotebookNode, *, kind: str | None = None) -> list[tuple[Any, ...]]:
    """What must be equal in the source and its pair: kind, text and metadata of every cell."""
    return [
        (cell.cell_type, cell.source, json.dumps(cell.metadata, sort_keys=True))
        for cell in notebook.cells
        if kind is None or cell.cell_type == kind
    ]


def code_of(notebook: NotebookNode) -> list[str]:
    """The code that was run: what decides whether outputs still belong to the source."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]
