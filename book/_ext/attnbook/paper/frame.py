"""Title page, contents, chapters: the whole book as one HTML file, ready to be printed."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from attnbook.addresses import Addresses
from attnbook.languages import Edition
from attnbook.paper import contents, fonts, sheet
from attnbook.versions import head


@dataclass(frozen=True)
class Chapters:
    """A part of the book with its chapters as they go on paper."""

    caption: str
    sheets: list[sheet.Sheet]


def read_parts(
    edition_folder: Path, out: Path, addresses: Addresses, edition: Edition, names: Sequence[str]
) -> list[Chapters]:
    """The chapters of a built edition; all of them, or those that ``names`` holds."""
    parts = contents.read(edition_folder)
    if names:
        parts = contents.chosen(parts, names)
    keys = {entry.name: entry.key for part in parts for entry in part.entries}

    def outside(path: str) -> str:
        return f"{addresses.site}/{edition.code}/{path}"

    return [
        Chapters(
            part.caption,
            [sheet.read(edition_folder, entry, keys, out, outside) for entry in part.entries],
        )
        for part in parts
    ]


def author(root: Path, edition: Edition) -> str:
    """Who wrote the book, as ``_config.yml`` has it; in Chinese if that names the book itself."""
    name: str = yaml.safe_load((root / "_config.yml").read_text("utf8"))["author"]
    if edition.code == "zh" and name.startswith("The authors of "):
        return f"《{edition.title}》作者"
    return name


def write(
    root: Path,
    edition_folder: Path,
    parts: list[Chapters],
    out: Path,
    addresses: Addresses,
    edition: Edition,
) -> None:
    """Write the book as the HTML file ``out``."""
    book = root / "book"
    environment = Environment(
        loader=FileSystemLoader([book / "_paper", book / "_templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    # A string of CSS: the escapes of JSON that can occur in a title are its own too.
    environment.filters["css"] = lambda text: json.dumps(text, ensure_ascii=False)
    commit = head(root)

    def from_here(path: Path) -> str:
        return Path(os.path.relpath(path, out.parent)).as_posix()

    environment.filters["from_here"] = from_here
    template = environment.get_template("book.html")
    values = {
        "edition": edition,
        "parts": parts,
        "author": author(root, edition),
        "addresses": addresses,
        "commit": commit,
        "year": (commit.date or "2026")[:4],
        "static": from_here(edition_folder / "_static"),
        "paper_folder": from_here(book / "_paper"),
    }
    # The fonts hold the characters of the book, so it is set up once to see which these are; some
    # words stand in the style sheets.
    sheets = (edition_folder / "_static" / "site.css", book / "_paper" / "paper.css")
    text = template.render(values, fonts=[]) + "".join(path.read_text("utf8") for path in sheets)
    faces = fonts.write(text, root / "_build" / "fonts")
    out.write_text(template.render(values, fonts=faces), "utf8")
