"""What a plain notebook says of a source: author, year and a link, from ``book/references.bib``."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from pybtex.database import Entry, Person, parse_file
from pybtex.richtext import Text


@dataclass(frozen=True)
class Citation:
    """One source, as it is cited."""

    authors: str  #: ``Hu et al.``
    year: str
    url: str  #: of the paper, "" if none is recorded

    def in_brackets(self) -> str:
        return self._linked(f"{self.authors}, {self.year}")

    def in_text(self) -> str:
        return self._linked(f"{self.authors} ({self.year})")

    def _linked(self, words: str) -> str:
        return f"[{words}]({self.url})" if self.url else words


@cache
def read(path: Path) -> dict[str, Citation]:
    """All entries of a BibTeX file by key."""
    return {key: citation_of(entry) for key, entry in parse_file(str(path)).entries.items()}


def citation_of(entry: Entry) -> Citation:
    """Authors, year and address of one entry."""
    names = [_last_name(person) for person in entry.persons.get("author", [])]
    if len(names) > 2:
        authors = f"{names[0]} et al."
    else:
        authors = " and ".join(names) or entry.fields.get("title", entry.key)
    return Citation(authors, entry.fields.get("year", ""), _url(entry))


def _last_name(person: Person) -> str:
    words = [*person.prelast_names, *person.last_names]
    return str(Text.from_latex(" ".join(words)))


def _url(entry: Entry) -> str:
    if "url" in entry.fields:
        return entry.fields["url"]
    if "doi" in entry.fields:
        return f"https://doi.org/{entry.fields['doi']}"
    return f"https://arxiv.org/abs/{entry.fields['eprint']}" if "eprint" in entry.fields else ""
