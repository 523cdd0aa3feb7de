"""What ``_toc.yml`` says of the book: its pages in order, and which of them are chapters.

There are three kinds of page, and here alone they are told apart:

* a *page* runs no code and is read on the site only;
* a *notebook*, under ``notebooks/``, runs code: it has an executed pair, is compared by nbval and
  goes to Colab and into the download;
* a *chapter* is a notebook about one paper. It stands in a numbered part of the contents, has the
  rooms of a chapter, and is on the map and in the table of the opening page.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

NOTEBOOKS = "notebooks/"


def is_notebook(name: str) -> bool:
    """Whether a page or file, ``notebooks/se`` or ``notebooks/se.md``, runs code."""
    return name.startswith(NOTEBOOKS)


@dataclass(frozen=True)
class Contents:
    """Names of pages, ``book/api`` and the like, in the order of the contents."""

    pages: tuple[str, ...]
    chapters: tuple[str, ...]

    @classmethod
    def load(cls, root: Path) -> Contents:
        """Read ``_toc.yml`` under ``root``."""
        tree = yaml.safe_load((root / "_toc.yml").read_text("utf8"))
        numbered = [part for part in tree.get("parts", ()) if part.get("numbered")]
        return cls(
            pages=tuple(_names(tree)),
            chapters=tuple(name for name in _names(numbered) if is_notebook(name)),
        )

    @property
    def notebooks(self) -> tuple[str, ...]:
        return tuple(name for name in self.pages if is_notebook(name))


def _names(node: object) -> Iterator[str]:
    if isinstance(node, dict):
        for key, value in node.items():
            if key in ("root", "file"):
                yield value
            else:
                yield from _names(value)
    elif isinstance(node, list):
        for item in node:
            yield from _names(item)
