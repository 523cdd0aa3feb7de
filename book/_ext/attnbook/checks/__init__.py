"""What the structure test looks for: one module for each kind of fault.

Every check takes a ``Page`` (or the whole ``Book``) and yields ``Problem``s that name file and
cell.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from jupytext.myst import myst_to_notebook
from nbformat import NotebookNode

from attnbook import contents
from attnbook.addresses import Addresses
from attnbook.editions import language_of
from attnbook.notebooks import read_pair
from attnbook.prose import Part, parts


@dataclass(frozen=True)
class Cell:
    """A cell of a notebook, or a block of a page."""

    number: int  #: counted from 1
    line: int  #: its first line in the file, counted from 1
    kind: str  #: ``"code"`` or ``"markdown"``
    source: str
    metadata: dict[str, Any] = field(default_factory=dict)

    @property
    def is_code(self) -> bool:
        return self.kind == "code"

    @property
    def language(self) -> str | None:
        return language_of(self.metadata)

    @property
    def tags(self) -> list[str]:
        return list(self.metadata.get("tags", []))

    @cached_property
    def parts(self) -> list[Part]:
        return [] if self.is_code else list(parts(self.source))


@dataclass(frozen=True)
class Problem:
    """One fault, and where to find it."""

    file: str
    cell: Cell | None
    message: str

    def __str__(self) -> str:
        if self.cell is None:
            return f"{self.file}: {self.message}"
        return f"{self.file}: cell {self.cell.number} (line {self.cell.line}): {self.message}"


@dataclass(frozen=True)
class Page:
    """A source file: a chapter or another notebook, or a page that runs no code."""

    root: Path
    file: str  #: relative to the repository
    cells: list[Cell]
    metadata: dict[str, Any]
    addresses: Addresses
    is_chapter: bool

    @property
    def is_notebook(self) -> bool:
        return contents.is_notebook(self.file)

    @property
    def stem(self) -> str:
        return Path(self.file).stem

    @cached_property
    def pair(self) -> NotebookNode | None:
        """The executed notebook; ``None`` for a page that runs no code."""
        return read_pair((self.root / self.file).with_suffix(".ipynb"))

    def prose(self, language: str | None = None) -> list[Cell]:
        return [
            cell
            for cell in self.cells
            if not cell.is_code and (language is None or cell.language == language)
        ]

    def code(self) -> list[Cell]:
        return [cell for cell in self.cells if cell.is_code]

    def problem(self, cell: Cell | None, message: str) -> Problem:
        return Problem(self.file, cell, message)


@dataclass(frozen=True)
class Book:
    """All pages, in the order of the table of contents."""

    root: Path
    pages: list[Page]


def read_page(root: Path, file: str, addresses: Addresses, *, is_chapter: bool) -> Page:
    notebook = myst_to_notebook((root / file).read_text("utf8"), add_source_map=True)
    lines = notebook.metadata.pop("source_map")
    cells = [
        Cell(number, line + 1, cell.cell_type, cell.source, dict(cell.metadata))
        for number, (cell, line) in enumerate(zip(notebook.cells, lines, strict=True), 1)
    ]
    return Page(root, file, cells, dict(notebook.metadata), addresses, is_chapter)


def twins(page: Page) -> Iterator[tuple[Cell, Cell]]:
    """English blocks with the Chinese block that follows each."""
    prose = page.prose()
    for english, chinese in zip(prose[::2], prose[1::2], strict=False):
        if (english.language, chinese.language) == ("en", "zh"):
            yield english, chinese
