"""Plain tables: one for terminals and notebooks, one in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["markdown_table", "text_table"]

_ALIGN = {"l": str.ljust, "r": str.rjust}


def text_table(
    header: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    align: str,
    footer: Sequence[str] | None = None,
) -> str:
    """Columns in step; ``align`` holds ``l`` or ``r`` for each of them."""
    lines = [header, *rows, *([footer] if footer else [])]
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    if footer:  # its first cell may run on over the empty cells that follow
        widths[0] = max(len(line[0]) for line in [header, *rows])
    rule = ["-" * w for w in widths]

    def join(cells: Sequence[str]) -> str:
        parts = [_ALIGN[a](c, w) for a, c, w in zip(align, cells, widths, strict=True)]
        return "  ".join(parts).rstrip()

    text = [join(header), join(rule), *(join(row) for row in rows)]
    if footer:
        head, rest = footer[0], list(footer[1:])
        line = join(["", *rest])
        text += [join(rule), head + line[len(head) :]]
    return "\n".join(text)


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]], *, align: str) -> str:
    """The same for a page."""
    rule = ["---:" if a == "r" else ":---" for a in align]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"
        for row in [header, rule, *rows]
    )
