"""How the list of references is set: labels as the text cites, titles as authors wrote them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from pybtex.database import Entry
from pybtex.plugin import register_plugin
from pybtex.style.formatting.plain import Style as PlainStyle
from pybtex.style.labels import BaseLabelStyle
from pybtex.style.template import field, sentence

from attnbook.citations import citation_of


class AuthorYear(BaseLabelStyle):
    """``Hu et al., 2018``; a letter follows where two sources would look the same."""

    def format_labels(self, sorted_entries: Iterable[Entry]) -> Iterator[str]:
        labels = []
        for entry in sorted_entries:
            citation = citation_of(entry)
            labels.append(f"{citation.authors}, {citation.year}")
        total, seen = Counter(labels), Counter[str]()
        for label in labels:
            seen[label] += 1
            yield label if total[label] == 1 else f"{label}{'abcdefghij'[seen[label] - 1]}"


class Style(PlainStyle):
    """Alphabetical, and capital letters of titles stay."""

    default_label_style = AuthorYear

    def format_title(self, e: Entry, which_field: str, as_sentence: bool = True) -> Any:
        title = field(which_field)
        return sentence[title] if as_sentence else title

    def format_web_refs(self, e: Entry) -> Any:
        """One link to a paper on arXiv, not its address and its number."""
        if "eprint" in e.fields:
            return sentence[self.format_eprint(e)]
        return super().format_web_refs(e)


def setup(app: Any) -> None:
    register_plugin("pybtex.style.formatting", "attnbook", Style)
