"""Every picture has a name, a caption and an alternative text, in both languages."""

from __future__ import annotations

from collections.abc import Iterator

from attnbook.checks import Book, Cell, Page, Problem
from attnbook.checks.code import HAN, executed

_BOTH = {"en", "zh"}


def pictures(stored: dict) -> list[dict]:  # type: ignore[type-arg]
    """The outputs of a cell that are pictures."""

    def is_picture(output: dict) -> bool:  # type: ignore[type-arg]
        data = output.get("data", {})
        html = data.get("text/html", "")
        html = html if isinstance(html, str) else "".join(html)
        return any(kind.startswith("image/") for kind in data) or "<svg" in html or "<img" in html

    return [output for output in stored["outputs"] if is_picture(output)]


def pictures_are_figures(page: Page) -> Iterator[Problem]:
    for cell, stored in executed(page):
        count = len(pictures(stored))
        figure = cell.metadata.get("figure")
        if count and figure is None:
            yield page.problem(cell, "draws a picture, but its header has no `figure:`")
        if figure is not None and count != 1:
            yield page.problem(cell, f"has a `figure:` and {count} pictures; it must be one")
        displayed = [
            o for o in stored["outputs"] if o["output_type"] in ("display_data", "execute_result")
        ]
        if figure is not None and len(displayed) > 1:
            yield page.problem(
                cell, "a figure's cell displays one thing, the picture; print the rest"
            )


def figures_are_described(page: Page) -> Iterator[Problem]:
    for cell in page.code():
        figure = cell.metadata.get("figure")
        if figure is None:
            continue
        name = figure.get("name", "")
        if not name.startswith(f"fig-{page.stem}-"):
            yield page.problem(cell, f"figure {name!r} must be named 'fig-{page.stem}-...'")
        for key in ("alt", "caption"):
            yield from _described(page, cell, key, figure.get(key))


def _described(page: Page, cell: Cell, key: str, texts: object) -> Iterator[Problem]:
    if not isinstance(texts, dict) or set(texts) != _BOTH:
        yield page.problem(cell, f"figure needs `{key}` in `en` and `zh`")
        return
    for language in sorted(_BOTH):
        text = texts[language]
        if not isinstance(text, str) or not text.strip():
            yield page.problem(cell, f"figure has an empty {key} in {language}")
        elif bool(HAN.search(text)) != (language == "zh"):
            yield page.problem(cell, f"figure's {key} under `{language}` is in the other language")


def names_are_unique(book: Book) -> Iterator[Problem]:
    seen: dict[str, str] = {}
    for page in book.pages:
        for cell in page.code():
            name = (cell.metadata.get("figure") or {}).get("name")
            if name and name in seen:
                yield page.problem(cell, f"figure {name!r} is also in {seen[name]}")
            elif name:
                seen[name] = page.file


CHECKS = [pictures_are_figures, figures_are_described]
BOOK_CHECKS = [names_are_unique]
