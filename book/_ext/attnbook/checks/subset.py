"""Only the agreed subset of Markdown: what site, Jupyter, Colab and GitHub can all show."""

from __future__ import annotations

import re
from collections.abc import Iterator

from attnbook.checks import Book, Page, Problem
from attnbook.prose import INLINE, roles

ROLES = {"cite:p", "cite:t", "eq", "ref", "numref", "doc"}
DIRECTIVES = {"note", "tip", "warning", "important", "admonition", "dropdown", "div"}
#: Pages that run no code are read on the site only, and may hold what the site generates.
PAGE_DIRECTIVES = DIRECTIVES | {"bibliography", "attention-map", "chapter-table",
                               "property-table", "api-reference", "cost-table", "cost-growth",
                               "cost-chart", "cost-gpu",
                               "sight-table", "sight-tasks", "sight-bounds",
                               "sight-checks", "pictures-setup",
                               "pictures-chart", "pictures-table", "pictures-judgements",
                               "pictures-followup", "pictures-cifar10", "published", "choose-table",
                               "speed-chart", "speed-compiled", "speed-compiled-training",
                               "speed-promises", "speed-table", "speed-gpu",
                               "downloads"}  # fmt: skip
TAGS = {
    "lang-en", "lang-zh", "nbval-ignore-output", "hide-cell", "hide-input", "hide-output",
    "raises-exception", "remove-input", "remove-output",
}  # fmt: skip

_FOREIGN = [
    (re.compile(r"\[\^"), "a footnote"),
    (re.compile(r"</?[a-zA-Z][^>]*>"), "raw HTML"),
    (re.compile(r"<!--"), "an HTML comment"),
    (re.compile(r"^%"), "a MyST comment"),
    (re.compile(r"\{\{"), "a substitution"),
    (re.compile(r"\{[a-z:]+\}(?!`)"), "a role without its content"),
]


def roles_and_directives(page: Page) -> Iterator[Problem]:
    allowed = DIRECTIVES if page.is_notebook else PAGE_DIRECTIVES
    for cell in page.prose():
        for role, _ in roles(cell.source):
            if role not in ROLES:
                yield page.problem(cell, f"role {{{role}}} is not one of the agreed ones")
        for part in cell.parts:
            if part.kind == "open" and part.name not in allowed:
                yield page.problem(cell, f"directive {{{part.name}}} is not one of the agreed ones")
        opened = sum(part.kind == "open" for part in cell.parts)
        if opened != sum(part.kind == "close" for part in cell.parts):
            yield page.problem(cell, "a directive is not closed")


def nothing_else(page: Page) -> Iterator[Problem]:
    for cell in page.prose():
        for part in cell.parts:
            if part.kind not in ("text", "heading"):
                continue
            text = INLINE.sub("x", part.text)
            for pattern, what in _FOREIGN:
                if pattern.search(text):
                    yield page.problem(cell, f"{what} is not portable: {part.text.strip()!r}")


def links_are_absolute(page: Page) -> Iterator[Problem]:
    """A relative link would break in Colab; {doc} and {ref} lead to pages and sections."""
    for cell in page.prose():
        for part in cell.parts:
            for match in INLINE.finditer(part.text) if part.kind == "text" else ():
                url = match["url"]
                if url and not match["image"] and not re.match(r"https?://|mailto:", url):
                    yield page.problem(cell, f"link to {url!r}: use {{doc}} or {{ref}}")


def known_tags(page: Page) -> Iterator[Problem]:
    for cell in page.cells:
        for tag in cell.tags:
            if tag not in TAGS:
                yield page.problem(cell, f"unknown tag {tag!r}")


def headings_have_labels(page: Page) -> Iterator[Problem]:
    for cell in page.prose():
        previous = None
        for part in cell.parts:
            if part.kind == "heading":
                if previous is None or previous.kind != "label":
                    yield page.problem(cell, f"heading {part.text!r} has no label line before it")
                if "$" in part.text or "{" in part.text:
                    yield page.problem(cell, f"heading {part.text!r}: plain words only")
            if part.kind != "text" or part.text.strip():
                previous = part
        label = next((p for p in cell.parts if p.kind == "label"), None)
        if label and page.is_notebook:
            for part in cell.parts:
                if part.kind == "label" and not re.match(rf"{page.stem}(-|$)", part.text):
                    yield page.problem(cell, f"label {part.text!r} must begin with '{page.stem}-'")


def equation_labels(page: Page) -> Iterator[Problem]:
    for cell in page.prose():
        for part in cell.parts:
            if part.kind == "math" and part.name and not part.name.startswith(f"eq-{page.stem}-"):
                yield page.problem(
                    cell, f"equation {part.name!r} must be named 'eq-{page.stem}-...'"
                )


def labels_are_unique(book: Book) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for page in book.pages:
        for cell in page.prose("en"):
            for part in cell.parts:
                name = (
                    part.text if part.kind == "label" else part.name if part.kind == "math" else ""
                )
                if name and name in seen:
                    yield page.problem(cell, f"label {name!r} is taken by {seen[name]}")
                elif name:
                    seen[name] = page.file


CHECKS = [
    roles_and_directives, nothing_else, links_are_absolute, known_tags, headings_have_labels,
    equation_labels,
]  # fmt: skip
BOOK_CHECKS = [labels_are_unique]
