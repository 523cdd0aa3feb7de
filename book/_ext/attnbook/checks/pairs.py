"""English and Chinese stand in pairs that agree in labels, formulas, sources and structure."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator

from attnbook.checks import Cell, Page, Problem, twins
from attnbook.prose import INLINE, roles, target_of


def every_block_has_one_language(page: Page) -> Iterator[Problem]:
    for cell in page.cells:
        languages = [tag for tag in cell.tags if tag.startswith("lang-")]
        if cell.is_code and languages:
            yield page.problem(
                cell, "a code cell belongs to both languages, but has a language tag"
            )
        elif not cell.is_code and languages not in (["lang-en"], ["lang-zh"]):
            yield page.problem(cell, 'a block of prose needs one tag, "lang-en" or "lang-zh"')


def blocks_come_in_pairs(page: Page) -> Iterator[Problem]:
    """English, then Chinese, with no code between them."""
    waiting: Cell | None = None
    for cell in page.cells:
        if cell.language == "zh" and waiting is None:
            yield page.problem(cell, "a Chinese block without an English block before it")
        elif cell.language != "zh" and waiting is not None:
            yield page.problem(waiting, "an English block without a Chinese block after it")
        waiting = cell if cell.language == "en" else None
    if waiting is not None:
        yield page.problem(waiting, "an English block without a Chinese block after it")


def _labels(cell: Cell) -> list[str]:
    return [part.text for part in cell.parts if part.kind == "label"]


def _headings(cell: Cell) -> list[str]:
    return ["#" * part.level for part in cell.parts if part.kind == "heading"]


def _equations(cell: Cell) -> list[str]:
    return [
        f"{part.name or 'unnumbered'}: {' '.join(part.text.split())}"
        for part in cell.parts
        if part.kind == "math"
    ]


def _directives(cell: Cell) -> list[str]:
    return [part.name for part in cell.parts if part.kind == "open"]


def _code(cell: Cell) -> list[str]:
    return [f"{part.name}: {part.text}" for part in cell.parts if part.kind == "code"]


def _tables(cell: Cell) -> list[str]:
    """Number of columns of every row; escaped bars and bars in code do not part cells."""
    rows = [part.text.strip() for part in cell.parts if part.kind == "text"]
    rows = [INLINE.sub("x", row).replace(r"\|", "") for row in rows if row.startswith("|")]
    return [f"row of {row.strip('|').count('|') + 1} cells" for row in rows]


def _list_items(cell: Cell) -> list[str]:
    texts = (part.text for part in cell.parts if part.kind == "text")
    return [
        match[1].replace("*", "-") for t in texts if (match := re.match(r"\s*([-*]|\d+\.) ", t))
    ]


def _sources(kind: str) -> Callable[[Cell], Counter[str]]:
    def of(cell: Cell) -> Counter[str]:
        found: Counter[str] = Counter()
        for role, content in roles(cell.source):
            if role.partition(":")[0] == kind:
                found.update(target_of(key)[1].lstrip("/") for key in content.split(","))
        return found

    return of


#: What must be equal in both blocks of a pair, and in the same order where order is fixed.
_EQUAL: list[tuple[str, Callable[[Cell], list[str] | Counter[str]]]] = [
    ("labels", _labels),
    ("headings", _headings),
    ("displayed equations", _equations),
    ("directives", _directives),
    ("code blocks", _code),
    ("table rows", _tables),
    ("list items", _list_items),
    ("citations", _sources("cite")),
    ("references to equations", _sources("eq")),
    ("references to figures", _sources("numref")),
    ("references to sections", _sources("ref")),
    ("references to pages", _sources("doc")),
]


def pairs_agree(page: Page) -> Iterator[Problem]:
    for english, chinese in twins(page):
        for what, extract in _EQUAL:
            en, zh = extract(english), extract(chinese)
            if isinstance(en, Counter) and isinstance(zh, Counter):
                # A language may name a source twice where the other says "it".
                en, zh = sorted(en), sorted(zh)
            if en != zh:
                yield page.problem(
                    chinese,
                    f"{what} differ from the English block (line {english.line}): "
                    f"{_difference(en, zh)}",
                )


def _difference(en: list[str], zh: list[str]) -> str:
    only_en = list((Counter(en) - Counter(zh)).elements())
    only_zh = list((Counter(zh) - Counter(en)).elements())
    if not only_en and not only_zh:
        return "another order"
    words = [f"only in English {only_en}"] if only_en else []
    words += [f"only in Chinese {only_zh}"] if only_zh else []
    return "; ".join(words)


CHECKS = [every_block_has_one_language, blocks_come_in_pairs, pairs_agree]
