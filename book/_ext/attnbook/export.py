"""A notebook as a plain one in one language, for Colab and for download.

Colab, and a Jupyter without extensions, know ordinary Markdown only. Everything that the site's
Markdown can do beyond it becomes something ordinary: labels go, citations and references turn into
words and links that carry the site's own numbers, admonitions into quotations, folded solutions
into ``<details>``, numbered equations into ``\\tag``. Outputs stay, and the first cell installs the
attnlib of this very book.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from attnbook.addresses import Addresses
from attnbook.editions import describe_svg, figure_of, language_of
from attnbook.languages import Edition, edition_of
from attnbook.page import addresses_of, is_notebook
from attnbook.prose import INLINE, Part, parts, replace_inline, target_of
from attnbook.targets import SphinxTargets, Targets

#: Titles of admonitions, in the words that the site uses.
TITLES = {
    "en": {"note": "Note", "tip": "Tip", "warning": "Warning", "important": "Important"},
    "zh": {"note": "备注", "tip": "小技巧", "warning": "警告", "important": "重要"},
}
_OPENING = {
    "en": "From the book *{book}*: [this page on the site]({page}) · [中文版 notebook]({other})",
    "zh": "出自《{book}》：[在网站上阅读本页]({page}) · [this notebook in English]({other})",
}
_HIDDEN = {
    "hide-input": {"source_hidden": True},
    "hide-output": {"outputs_hidden": True},
    "hide-cell": {"source_hidden": True, "outputs_hidden": True},
}


def export(
    notebook: dict[str, Any],
    docname: str,
    edition: Edition,
    targets: Targets,
    addresses: Addresses,
) -> dict[str, Any]:
    """The executed bilingual notebook → a plain notebook in the language of ``edition``."""
    opening = _OPENING[edition.code].format(
        book=edition.title,
        page=addresses.page(edition, docname),
        other=addresses.colab(edition.other, docname),
    )
    cells = [_markdown("about", opening)]
    first_code = True
    for cell in notebook["cells"]:
        if language_of(cell["metadata"]) not in (None, edition.code):
            continue
        if cell["cell_type"] != "code":
            cells.append(_markdown(cell["id"], plain(_text(cell["source"]), edition, targets)))
            continue
        cells.append(_code(cell, edition, addresses.install_cell if first_code else None))
        first_code = False
        figure = figure_of(cell, edition)
        if figure and figure.get("caption"):
            number, _ = targets.figure(figure["name"])
            name = targets.figure_format % number
            caption = _inline(figure["caption"], edition, targets)
            cells.append(_markdown(f"{cell['id']}-caption", f"*{name}*{edition.colon}{caption}"))

    kept = ("kernelspec", "language_info")
    metadata: dict[str, Any] = {
        key: notebook["metadata"][key] for key in kept if key in notebook["metadata"]
    }
    name = f"{docname.rpartition('/')[2]}.ipynb"
    metadata["colab"] = {"name": name, "provenance": [], "toc_visible": True}
    return {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5}


def _text(source: str | list[str]) -> str:
    return source if isinstance(source, str) else "".join(source)


def _markdown(cell_id: str, source: str) -> dict[str, Any]:
    return {"cell_type": "markdown", "id": cell_id, "metadata": {}, "source": source}


def _code(cell: dict[str, Any], edition: Edition, replacement: str | None) -> dict[str, Any]:
    hidden: dict[str, bool] = {}
    for tag in cell["metadata"].get("tags", ()):
        hidden |= _HIDDEN.get(tag, {})
    figure = figure_of(cell, edition)
    outputs = cell["outputs"]
    if figure:
        outputs = [describe_svg(output, figure.get("alt", "")) for output in outputs]
    return {
        "cell_type": "code",
        "execution_count": cell["execution_count"],
        "id": cell["id"],
        "metadata": {"jupyter": hidden} if hidden else {},
        "outputs": outputs,
        "source": replacement or _text(cell["source"]),
    }


def plain(source: str, edition: Edition, targets: Targets) -> str:
    """A block of the book's Markdown → ordinary Markdown."""
    lines: list[str] = []
    quoted: list[bool] = []  # of every open directive: are its lines a quotation?

    def put(text: str) -> None:
        mark = "> " * sum(quoted)
        lines.extend((mark + line).rstrip() for line in text.split("\n"))

    for part in parts(source):
        if part.kind == "open":
            opening = _open(part, edition, targets)
            if part.name == "dropdown" or part.name == "div":
                quoted.append(False)
                put(opening)
            else:
                quoted.append(True)
                put(f"{opening}\n")
        elif part.kind == "close":
            was_quoted = quoted.pop()
            if not was_quoted and _opened_by(source, part) == "dropdown":
                put("\n</details>")
            put("")
        elif part.kind == "math":
            tag = f"\n\\tag{{{targets.equation(part.name)[0]}}}" if part.name else ""
            put(f"$$\n{part.text}{tag}\n$$")
        elif part.kind == "code":
            put(f"```{part.name}\n{part.text}\n```")
        elif part.kind == "heading":
            put(f"{'#' * part.level} {_inline(part.text, edition, targets)}")
        elif part.kind == "text":
            put(_inline(part.text, edition, targets))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip("\n")


def _opened_by(source: str, close: Part) -> str:
    """Name of the directive that ``close`` ends: the last one opened before it at its depth."""
    opened = [p for p in parts(source) if p.kind == "open" and p.nested == close.nested]
    return [p for p in opened if p.line < close.line][-1].name


def _open(part: Part, edition: Edition, targets: Targets) -> str:
    if part.name == "div":
        return ""
    title = _inline(part.text, edition, targets) or TITLES[edition.code].get(part.name, "")
    if part.name == "dropdown":
        return f"<details>\n<summary>{title}</summary>\n"
    return f"**{title}**"


def _inline(text: str, edition: Edition, targets: Targets) -> str:
    def rewrite(match: re.Match[str]) -> str:
        if match["role"]:
            return _role(match["role"], match["target"], targets)
        if match["image"] is None:
            return match[0]  # code, formula
        words, url = _inline(match["text"], edition, targets), match["url"]
        if match["image"]:
            return f"![{words}]({url if _absolute(url) else targets.image(url)})"
        return f"[{words}]({url})"

    return replace_inline(text, rewrite)


def _absolute(url: str) -> bool:
    return bool(re.match(r"(https?:|mailto:|data:)", url))


def _role(role: str, content: str, targets: Targets) -> str:
    if role == "cite:p":
        return (
            f"({', '.join(targets.citation(k.strip()).in_brackets() for k in content.split(','))})"
        )
    if role == "cite:t":
        return ", ".join(targets.citation(k.strip()).in_text() for k in content.split(","))
    words, target = target_of(content)
    if role == "eq":
        number, url = targets.equation(target)
        return _link(f"({number})", url)
    if role == "numref":
        number, url = targets.figure(target)
        return _link((words or targets.figure_format).replace("{number}", "%s") % number, url)
    if role == "ref":
        title, url = targets.section(target)
    elif role == "doc":
        title, url = targets.page(target)
    else:
        raise ValueError(f"role {{{role}}} has no plain form")
    return _link(words or title, url)


def _link(words: str, url: str) -> str:
    return f"[{words}]({url})" if url else words


_LEFTOVERS = [
    (re.compile(r"^\([\w-]+\)=", re.MULTILINE), "a label"),
    (re.compile(r"\{[a-z][\w:]*\}`"), "a role"),
    (re.compile(r"^[ >]*(:{3,}|`{3,}\{)", re.MULTILINE), "a directive"),
    (re.compile(r"\$\$\s*\([\w-]+\)\s*$", re.MULTILINE), "an equation's label"),
    (re.compile(r"^\+\+\+", re.MULTILINE), "a cell break"),
    (re.compile(r"\]\((?!https?:|mailto:|data:)[^)]*\)"), "a link that is not absolute"),
    (re.compile(r"(?<!`)\{[\w-]+\}(?=\s|$)"), "a MyST construct"),
]


def leftovers(notebook: dict[str, Any]) -> list[str]:
    """What an exported notebook still holds that plain Markdown does not know."""
    found = []
    for number, cell in enumerate(notebook["cells"], 1):
        if cell["cell_type"] != "markdown":
            continue
        blank = re.sub(r"^```.*?^```", "", cell["source"], flags=re.MULTILINE | re.DOTALL)
        blank = INLINE.sub(lambda m: m[0] if m["math"] is None and m["code"] is None else "", blank)
        blank = re.sub(r"^\$\$\n.*?^\$\$$", "", blank, flags=re.MULTILINE | re.DOTALL)
        for pattern, what in _LEFTOVERS:
            if match := pattern.search(blank):
                found.append(f"cell {number}: {what}: {match[0].strip()!r}")
    return found


def on_build_finished(app: Any, exception: Exception | None) -> None:
    """Write every notebook beside its page."""
    if exception or app.builder.name != "html":
        return
    edition, addresses = edition_of(app.config.language), addresses_of(Path(app.srcdir))
    for docname in sorted(app.env.found_docs):
        if not is_notebook(app, docname):
            continue
        notebook = json.loads(Path(app.env.doc2path(docname)).read_text("utf8"))
        targets = SphinxTargets(app, docname, edition, addresses)
        plain_notebook = export(notebook, docname, edition, targets, addresses)
        path = Path(app.outdir) / f"{docname}.ipynb"
        path.write_text(json.dumps(plain_notebook, ensure_ascii=False, indent=1) + "\n", "utf8")


def setup(app: Any) -> None:
    app.connect("build-finished", on_build_finished)
