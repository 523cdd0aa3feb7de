"""Read the book's own Markdown: the small agreed subset of MyST, line by line and within a line.

Not a Markdown parser. Chapters and pages use few constructs, in one way each (the page for
maintainers lists them), so that this reader, and with it the structure test and the export to plain
notebooks, can be simple and exact.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

LABEL = re.compile(r"^\(([\w-]+)\)=\s*$")
HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*$")
DIRECTIVE = re.compile(r"^(:{3,}|`{3,})\{([\w:-]+)\}\s*(.*?)\s*$")
CODE_FENCE = re.compile(r"^(`{3,}|~{3,})\s*([\w+-]*)\s*$")
MATH_OPEN = re.compile(r"^\$\$(?!\$)")
MATH_CLOSE = re.compile(r"\$\$\s*(?:\(([\w-]+)\))?\s*$")

#: What stands within a line: role, code, formula, link or picture, in this order of precedence.
INLINE = re.compile(
    r"\{(?P<role>[a-z][\w:]*)\}`(?P<target>[^`]+)`"
    r"|(?P<ticks>`+)(?P<code>(?!`).+?(?<!`))(?P=ticks)(?!`)"
    r"|(?<![\\$])\$(?!\s)(?P<math>(?:[^$\\]|\\.)+?)(?<!\s)\$(?![\d$])"
    r"|(?P<image>!?)\[(?P<text>(?:[^\[\]]|\[[^\]]*\])*)\]\((?P<url>[^()\s]*(?:\([^()\s]*\)[^()\s]*)*)\)"
)
TARGET = re.compile(r"^(?P<text>.*?)\s*<(?P<target>[^<>]+)>$", re.DOTALL)


@dataclass(frozen=True)
class Part:
    """One construct of a prose block.

    ``kind`` is ``label``, ``heading``, ``math``, ``code``, ``open`` or ``close`` (of a directive),
    ``text``.
    """

    kind: str
    line: int  #: index of its first line in the block
    text: str = (
        ""  #: label's name, heading's words, formula, code, directive's argument, text's line
    )
    name: str = ""  #: directive's name, code's language, equation's label
    level: int = 0  #: of a heading
    nested: int = 0  #: how many directives are open around it


def parts(source: str) -> Iterator[Part]:
    """The constructs of a block, in order; empty lines are ``text`` too."""
    lines = source.split("\n")
    open_fences: list[str] = []
    i = 0
    while i < len(lines):
        line, start = lines[i], i
        nested = len(open_fences)
        i += 1
        if open_fences and line.strip() == open_fences[-1]:
            open_fences.pop()
            yield Part("close", start, nested=nested - 1)
        elif match := DIRECTIVE.match(line):
            yield Part("open", start, match[3], match[2], nested=nested)
            open_fences.append(match[1])
        elif match := CODE_FENCE.match(line):
            while i < len(lines) and lines[i].strip() != match[1]:
                i += 1
            code = "\n".join(lines[start + 1 : i])
            i += 1
            yield Part("code", start, code, match[2], nested=nested)
        elif MATH_OPEN.match(line):
            body = line[2:]
            while not (end := MATH_CLOSE.search(body)) and i < len(lines):
                body += "\n" + lines[i]
                i += 1
            tex = body[: end.start()] if end else body
            yield Part("math", start, tex.strip(), (end[1] or "") if end else "", nested=nested)
        elif match := LABEL.match(line):
            yield Part("label", start, match[1], nested=nested)
        elif match := HEADING.match(line):
            yield Part("heading", start, match[2], level=len(match[1]), nested=nested)
        else:
            yield Part("text", start, line, nested=nested)


def target_of(role_text: str) -> tuple[str | None, str]:
    """``words <label>`` → words and label; a bare ``label`` → ``None`` and label."""
    match = TARGET.match(role_text)
    return (match["text"], match["target"]) if match else (None, role_text.strip())


def replace_inline(
    text: str, inline: Callable[[re.Match[str]], str], plain: Callable[[str], str] = str
) -> str:
    """Rewrite a line: ``inline`` gets every match of ``INLINE``, ``plain`` what is between."""
    done, out = 0, []
    for match in INLINE.finditer(text):
        out += [plain(text[done : match.start()]), inline(match)]
        done = match.end()
    return "".join([*out, plain(text[done:])])


def roles(source: str) -> Iterator[tuple[str, str]]:
    """Name and content of every role in a block."""
    for part in parts(source):
        if part.kind in ("text", "heading"):
            for match in INLINE.finditer(part.text):
                if match["role"]:
                    yield match["role"], match["target"]
                elif match["image"] is not None and match["text"]:
                    yield from roles(match["text"])
