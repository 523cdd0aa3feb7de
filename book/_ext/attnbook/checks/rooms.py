"""Every chapter has the same rooms in the same order: a reader always knows where they are."""

from __future__ import annotations

from collections.abc import Iterator

from attnbook.checks import Page, Problem

ROOMS = (
    "card", "question", "derivation", "build", "trace", "plug", "see", "time", "wrong", "exercises",
    "summary", "references",
)  # fmt: skip
_LONGEST_DESCRIPTION = {"en": 170, "zh": 100}


def rooms_in_order(page: Page) -> Iterator[Problem]:
    if not page.is_chapter:
        return
    found = []
    label = ""
    for cell in page.prose("en"):
        for part in cell.parts:
            if part.kind == "label":
                label = part.text
            elif part.kind == "heading" and part.level <= 2:
                found.append(label)
    wanted = [page.stem, *(f"{page.stem}-{room}" for room in ROOMS)]
    for missing in [name for name in wanted if name not in found]:
        yield page.problem(None, f"the room ({missing})= is missing")
    for extra in [name for name in found if name not in wanted]:
        yield page.problem(None, f"({extra})= is a heading of a room's rank, but no room; lower it")
    kept = [name for name in found if name in wanted]
    if set(kept) == set(wanted) and kept != wanted:
        yield page.problem(None, f"the rooms stand in another order: {', '.join(kept)}")


def one_title(page: Page) -> Iterator[Problem]:
    titles = [
        p for cell in page.prose("en") for p in cell.parts if p.kind == "heading" and p.level == 1
    ]
    if len(titles) != 1:
        yield page.problem(None, f"a page has one title, this one has {len(titles)}")


def described(page: Page) -> Iterator[Problem]:
    """The description that search engines and link previews show."""
    texts = page.metadata.get("description")
    if not isinstance(texts, dict) or set(texts) != {"en", "zh"}:
        yield page.problem(None, "needs `description:` with `en:` and `zh:` at the top of the file")
        return
    for language, longest in _LONGEST_DESCRIPTION.items():
        count = len(texts[language])
        if not 0 < count <= longest:
            message = f"description in {language} has {count} characters, of 1 to {longest}"
            yield page.problem(None, message)


CHECKS = [rooms_in_order, one_title, described]
