"""Chinese typography: what a careful Chinese engineer's eye stumbles over.

* one line per paragraph: a line break between Han characters shows as a gap;
* full-width punctuation in Chinese text;
* punctuation outside bold marks: ``**压缩**（squeeze）``, otherwise the asterisks stay visible;
* a space between Han characters and Latin letters or digits, none beside full-width punctuation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from attnbook.checks import Page, Problem
from attnbook.prose import INLINE, Part, replace_inline

_HAN = r"\u3400-\u4dbf\u4e00-\u9fff"
_WIDE = "，。、；：？！（）《》「」『』【】…"
_EDGE = re.compile(r"\*\*(.+?)\*\*")
_EDGE_PUNCTUATION = "，。、；：？！（）《》「」『』【】…“”‘’,.;:?!()[]\"'"
_ITEM = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s")

#: Stand-ins for what is not Chinese text; both count as Latin letters, or as nothing.
_CODE, _ROLE = "\ue000", "\ue001"
#: A figure's number is shown as “图 1.2”, a source as “Hu et al.”; other roles may be either.
_SHOWN_AS = {"numref": f"图{_ROLE}{_CODE}", "cite:t": _CODE}

_RULES = [
    (re.compile(rf"[{_HAN}]\s?[,;:?!](?![A-Za-z0-9/])"), "half-width punctuation after Chinese"),
    (re.compile(rf"[{_HAN}]\.(?=\s|$)"), "half-width full stop after Chinese"),
    (re.compile(rf"[,;:?!]\s*[{_HAN}]"), "half-width punctuation before Chinese"),
    (re.compile(rf"\([^()]*[{_HAN}][^()]*\)"), "half-width brackets around Chinese"),
    (re.compile(rf"[\"'][{_HAN}]|[{_HAN}][\"']"), "straight quotes beside Chinese; write “ ”"),
    (re.compile(rf"[{_HAN}] +[{_HAN}]"), "a space between two Chinese characters"),
    (re.compile(rf"(?<=\S) +[{_WIDE}]|[{_WIDE}] +(?=\S)"), "a space beside full-width punctuation"),
    (
        re.compile(rf"[{_HAN}][A-Za-z0-9{_CODE}]|[A-Za-z0-9%{_CODE}][{_HAN}]"),
        "no space between Chinese and Latin letters, digits, code or formula",
    ),
]


def plain(text: str) -> str:
    """A line with code, formulas and roles replaced by stand-ins, links by their words."""

    def stand_in(match: re.Match[str]) -> str:
        if match["role"]:
            return _SHOWN_AS.get(match["role"], _ROLE)
        return plain(match["text"]) if match["image"] is not None else _CODE

    return replace_inline(text, stand_in)


def _lines(parts: list[Part]) -> Iterator[Part]:
    """Lines of text, headings and titles of directives: everything that is read as Chinese."""
    for part in parts:
        if part.kind in ("text", "heading") or (part.kind == "open" and part.text):
            yield part


def punctuation_and_spaces(page: Page) -> Iterator[Problem]:
    for cell in page.prose("zh"):
        for part in _lines(cell.parts):
            text = plain(part.text).replace("*", "")
            if text.lstrip().startswith("|"):  # cells of a table are texts of their own
                pieces = [piece.strip() for piece in text.strip().strip("|").split("|")]
            else:
                pieces = [_ITEM.sub("", text)]
            for piece in pieces:
                for pattern, what in _RULES:
                    if match := pattern.search(piece):
                        yield page.problem(cell, f"{what}: {_around(piece, match)}")


def _around(text: str, match: re.Match[str]) -> str:
    shown = text[max(0, match.start() - 8) : match.end() + 8]
    return f"“{shown.replace(_CODE, '`…`').replace(_ROLE, '{…}')}”"


def one_line_per_paragraph(page: Page) -> Iterator[Problem]:
    for cell in page.prose("zh"):
        previous: Part | None = None
        for part in cell.parts:
            if (
                part.kind == "text"
                and previous is not None
                and previous.kind == "text"
                and previous.text.strip()
                and part.text.strip()
                and not _starts_anew(part.text)
                and not previous.text.lstrip().startswith("|")
            ):
                yield page.problem(
                    cell, f"a line break inside a paragraph, before “{part.text.strip()[:16]}”"
                )
            previous = part


def _starts_anew(line: str) -> bool:
    return bool(_ITEM.match(line)) or line.lstrip().startswith(("|", ">"))


def bold_edges(page: Page) -> Iterator[Problem]:
    for cell in page.prose():
        for part in _lines(cell.parts):
            text = INLINE.sub(_CODE, part.text)
            for match in _EDGE.finditer(text):
                inside = match[1]
                if cell.language == "en" and not (_tight(text, match)):
                    continue
                if inside != inside.strip() or (
                    inside[0] in _EDGE_PUNCTUATION
                    or (inside[-1] in _EDGE_PUNCTUATION and _tight(text, match))
                ):
                    yield page.problem(cell, f"punctuation at the edge of bold text: {match[0]!r}")
            if text.count("**") % 2:
                yield page.problem(cell, f"a ** without its twin: {part.text.strip()[:60]!r}")


def _tight(text: str, match: re.Match[str]) -> bool:
    """Is the bold text followed by a character that keeps its closing marks from closing?"""
    after = text[match.end() : match.end() + 1]
    return bool(after) and not after.isspace() and after not in _EDGE_PUNCTUATION


def english_has_no_han(page: Page) -> Iterator[Problem]:
    """A block is written in the language of its tag."""
    if page.stem in ("glossary", "notation"):
        return
    for cell in page.prose("en"):
        text = "\n".join(plain(part.text) for part in _lines(cell.parts))
        if len(re.findall(rf"[{_HAN}]", text)) > len(text) / 4:
            yield page.problem(cell, "a block tagged lang-en is written in Chinese")
    for cell in page.prose("zh"):
        lines = [part.text for part in cell.parts if part.kind == "text"]
        text = "".join(plain(line) for line in lines if not _starts_anew(line))
        if len(text) > 80 and not re.search(rf"[{_HAN}]", text):
            yield page.problem(cell, "a block tagged lang-zh holds no Chinese")


CHECKS = [punctuation_and_spaces, one_line_per_paragraph, bold_edges, english_has_no_han]
