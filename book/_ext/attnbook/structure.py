"""Check the sources of the book: ``python -m attnbook.structure``.

What must hold before a page is built: both languages say the same, code stands once and has been
run, only the agreed Markdown is used, the Chinese is set as Chinese is set. Each fault is named
with its file and cell. The checks themselves are in ``attnbook.checks``.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from attnbook.addresses import Addresses
from attnbook.checks import (
    Book,
    Problem,
    chinese,
    code,
    figures,
    glossary,
    pairs,
    read_page,
    rooms,
    subset,
)
from attnbook.contents import Contents

PAGE_CHECKS = [
    *pairs.CHECKS, *subset.CHECKS, *code.CHECKS, *figures.CHECKS, *rooms.CHECKS, *chinese.CHECKS
]  # fmt: skip
BOOK_CHECKS = [*subset.BOOK_CHECKS, *figures.BOOK_CHECKS, *glossary.BOOK_CHECKS]


def read_book(root: Path) -> Book:
    addresses = Addresses.load(root, environment={})  # sources are the same on every fork
    contents = Contents.load(root)
    pages = [
        read_page(root, f"{name}.md", addresses, is_chapter=name in contents.chapters)
        for name in contents.pages
        if (root / f"{name}.md").exists()
    ]
    return Book(root, pages)


def contents_are_complete(root: Path) -> Iterator[Problem]:
    """Every page is in ``_toc.yml``, and everything in it is there."""
    named = [f"{name}.md" for name in Contents.load(root).pages]
    there = {
        path.relative_to(root).as_posix()
        for folder in ("notebooks", "book")
        for path in (root / folder).glob("*.md")
    }
    for file in named:
        if not (root / file).exists():
            yield Problem("_toc.yml", None, f"names {file}, which does not exist")
    for file in sorted(there - set(named)):
        yield Problem(file, None, "is not in _toc.yml")
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        if not path.with_suffix(".md").exists():
            yield Problem(path.relative_to(root).as_posix(), None, "has no source beside it")


def problems(root: Path) -> list[Problem]:
    """Everything that is wrong with the sources of the book at ``root``."""
    book = read_book(root)
    found = list(contents_are_complete(root))
    for page in book.pages:
        for check in PAGE_CHECKS:
            found += check(page)
    for book_check in BOOK_CHECKS:
        found += book_check(book)
    return found


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m attnbook.structure", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository")
    parser.add_argument("files", nargs="*", help="only faults of these files")
    options = parser.parse_args(arguments)
    found = problems(options.root.resolve())
    found = [p for p in found if not options.files or p.file in options.files]
    for problem in found:
        print(problem)
    print(f"{len(found)} faults" if found else "no faults")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
