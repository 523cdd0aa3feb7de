"""One Chinese word for one thing: the terms of the glossary, enforced.

``book/glossary.md`` holds tables whose first column is the English term and whose second the
Chinese; ``、`` or ``/`` part several that may be used. Where an English block uses a term, its
Chinese twin must use one of them or leave the term in English. A term with a remark in brackets,
``key (of attention)``, is a word that has other meanings too: it is explained there and not
enforced.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from attnbook.checks import Book, Page, Problem, twins
from attnbook.prose import INLINE

_BOLD = re.compile(r"[*_`]")
_REMARK = re.compile(r"[（(].*?[)）]")


@dataclass(frozen=True)
class Term:
    english: tuple[str, ...]
    chinese: tuple[str, ...]

    def pattern(self) -> re.Pattern[str]:
        words = "|".join(re.escape(word).replace(r"\ ", r"[\s-]+") for word in self.english)
        return re.compile(rf"(?<![\w-])(?:{words})s?(?![\w-])", re.IGNORECASE)


def terms(page: Page) -> list[Term]:
    """The terms of the glossary's English tables."""
    found = []
    for cell in page.prose("en"):
        for part in cell.parts:
            row = part.text.strip()
            if part.kind != "text" or not row.startswith("|"):
                continue
            columns = [_REMARK.sub("", _BOLD.sub("", c)).strip() for c in row.strip("|").split("|")]
            if len(columns) < 2 or not re.search(r"[\u4e00-\u9fff]", columns[1]):
                continue  # head of the table, or the line under it
            if _REMARK.search(row.strip("|").split("|")[0]):
                continue
            english = tuple(word.strip() for word in re.split(r"[,/]", columns[0]) if word.strip())
            chinese = tuple(
                word.strip() for word in re.split(r"[、，/]", columns[1]) if word.strip()
            )
            found.append(Term(english, chinese))
    return found


def terms_are_used(book: Book) -> Iterator[Problem]:
    glossary = next((page for page in book.pages if page.file == "book/glossary.md"), None)
    if glossary is None:
        return
    vocabulary = [(term, term.pattern()) for term in terms(glossary)]
    for page in book.pages:
        if page is glossary:
            continue
        for english, chinese in twins(page):
            words = INLINE.sub(" ", english.source)
            for term, pattern in vocabulary:
                match = pattern.search(words)
                if match and not any(word in chinese.source for word in term.chinese):
                    if pattern.search(chinese.source):
                        continue
                    yield page.problem(
                        chinese,
                        f"{match[0]!r} is {' or '.join(term.chinese)} in this book's glossary",
                    )


BOOK_CHECKS = [terms_are_used]
