"""What the opening page knows of every mechanism: ``python -m attnbook.catalogue``.

The command asks attnlib for each paper and counts each module at one size; the result is stored in
``book/catalogue.json``, so that building the pages needs no PyTorch. ``--check`` says whether the
stored file is what the library would give now.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

CHANNELS, HEIGHT, WIDTH = 256, 56, 56


def path(root: Path) -> Path:
    return root / "book" / "catalogue.json"


def collect() -> dict[str, Any]:
    """Every registered mechanism, grouped by chapter, in the order of the registry."""
    import attnlib
    from attnlib.lab import cost

    chapters: dict[str, dict[str, Any]] = {}
    for key in attnlib.available():
        entry = attnlib.info(key)
        counted = cost(attnlib.create(key, CHANNELS), (1, CHANNELS, HEIGHT, WIDTH))
        chapter = chapters.setdefault(
            entry.chapter,
            {
                "chapter": entry.chapter,
                "title": entry.title,
                "authors": list(entry.authors),
                "venue": entry.venue,
                "year": entry.year,
                "arxiv": entry.arxiv,
                "modules": [],
            },
        )
        chapter["modules"].append(
            {
                "key": key,
                "name": entry.module.__name__,
                "kind": entry.kind,
                "attends": entry.attends,
                "parameters": counted.parameters,
                "macs": counted.macs,
            }
        )
    at = {"channels": CHANNELS, "height": HEIGHT, "width": WIDTH}
    return {"at": at, "chapters": list(chapters.values())}


def load(root: Path) -> dict[str, Any]:
    """The stored catalogue; an empty one where none has been written yet."""
    if not path(root).is_file():
        return {"at": {}, "chapters": []}
    return json.loads(path(root).read_text("utf8"))


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m attnbook.catalogue", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository")
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    options = parser.parse_args(arguments)
    now = collect()
    if options.check:
        if load(options.root) == now:
            return 0
        print("book/catalogue.json is not what attnlib gives: run `make catalogue`")
        return 1
    text = json.dumps(now, ensure_ascii=False, indent=1)
    path(options.root).write_text(text + "\n", "utf8")
    count = sum(len(chapter["modules"]) for chapter in now["chapters"])
    print(f"book/catalogue.json: {len(now['chapters'])} papers, {count} mechanisms")
    return 0


if __name__ == "__main__":
    sys.exit(main())
