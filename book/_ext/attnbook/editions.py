"""One bilingual source, two editions: keep what belongs to the language that is being built.

Sphinx hands over every source before it parses it (``source-read``). Chapters arrive as the JSON of
the executed notebook, pages as Markdown whose blocks are parted by ``+++`` lines. Both carry their
language as a plain cell tag, ``lang-en`` or ``lang-zh``; what has neither belongs to both.
"""

from __future__ import annotations

import json
import re
from html import escape
from typing import Any

import yaml

from attnbook.languages import EDITIONS, Edition, edition_of

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,}|:{3,})")
_BREAK = re.compile(r"^\+\+\+\s*(\{.*\})?\s*$")
_SVG_TAG = re.compile(r"<svg\b([^>]*)>")
_SVG_NAMES = re.compile(r"\s(?:role|aria-label|aria-labelledby|aria-hidden)=\"[^\"]*\"")


def language_of(metadata: dict[str, Any]) -> str | None:
    """``"en"``, ``"zh"``, or ``None`` for what belongs to both."""
    tags = metadata.get("tags", ())
    return next((edition.code for edition in EDITIONS if edition.tag in tags), None)


def in_language(value: Any, edition: Edition) -> Any:
    """``{"en": a, "zh": b}`` → the edition's own; anything else is the same in both."""
    if isinstance(value, dict) and set(value) == {e.code for e in EDITIONS}:
        return value[edition.code]
    return value


def filter_markdown(text: str, edition: Edition) -> str:
    """A bilingual page → the page in one language.

    Dropped lines are left empty, so that a warning's line number is that of the source.
    """
    lines = text.split("\n")
    start = 0
    if lines[0].rstrip() == "---":
        start = next(i for i, line in enumerate(lines[1:], 1) if line.rstrip() == "---") + 1
        lines[:start] = _front_matter(lines[1 : start - 1], edition, height=start)

    language: str | None = None
    fence = ""
    for i in range(start, len(lines)):
        if not fence and (match := _BREAK.match(lines[i])):
            language = language_of(json.loads(match[1] or "{}"))
            lines[i] = ""
            continue
        fence = _inside_fence(lines[i], fence)
        if language not in (None, edition.code):
            lines[i] = ""
    return "\n".join(lines)


def _inside_fence(line: str, fence: str) -> str:
    """The fence that is open after ``line``, given the one open before it; colons may nest."""
    match = _FENCE.match(line)
    if match and not fence and not match[1].startswith(":"):
        return match[1]
    if match and fence and match[1].startswith(fence) and not line.strip().strip(fence[0]):
        return ""
    return fence


def _front_matter(lines: list[str], edition: Edition, height: int) -> list[str]:
    metadata = yaml.safe_load("\n".join(lines)) or {}
    metadata = {key: in_language(value, edition) for key, value in metadata.items()}
    kept = ["---", json.dumps(metadata, ensure_ascii=False), "---"]  # JSON is YAML
    return kept + [""] * (height - len(kept))


def filter_notebook(notebook: dict[str, Any], edition: Edition) -> dict[str, Any]:
    """A bilingual notebook → the notebook in one language, its figures as MyST-NB wants them."""
    metadata = {key: in_language(value, edition) for key, value in notebook["metadata"].items()}
    cells = [
        _code_cell(cell, edition) if cell["cell_type"] == "code" else cell
        for cell in notebook["cells"]
        if language_of(cell["metadata"]) in (None, edition.code)
    ]
    return {**notebook, "metadata": metadata, "cells": cells}


def figure_of(cell: dict[str, Any], edition: Edition) -> dict[str, str] | None:
    """Name, alternative text and caption of a cell's figure in the edition's language."""
    figure = cell["metadata"].get("figure")
    if figure is None:
        return None
    return {key: in_language(value, edition) for key, value in figure.items()}


def _code_cell(cell: dict[str, Any], edition: Edition) -> dict[str, Any]:
    figure = figure_of(cell, edition)
    if figure is None:
        return cell
    settings = {
        "figure": {key: figure[key] for key in ("name", "caption") if key in figure},
        "image": {"alt": figure.get("alt", "")},
    }
    metadata = {key: value for key, value in cell["metadata"].items() if key != "figure"}
    metadata["mystnb"] = {**metadata.get("mystnb", {}), **settings}
    outputs = [describe_svg(output, figure.get("alt", "")) for output in cell["outputs"]]
    return {**cell, "metadata": metadata, "outputs": outputs}


def describe_svg(output: dict[str, Any], alt: str) -> dict[str, Any]:
    """Give the inline SVG of an output its alternative text; leave other outputs alone."""
    html = output.get("data", {}).get("text/html")
    if html is None:
        return output
    html = html if isinstance(html, str) else "".join(html)

    def label(match: re.Match[str]) -> str:
        attributes = _SVG_NAMES.sub("", match[1])
        return f'<svg role="img" aria-label="{escape(alt)}"{attributes}>'

    data = {**output["data"], "text/html": _SVG_TAG.sub(label, html, count=1)}
    return {**output, "data": data}


def on_source_read(app: Any, docname: str, source: list[str]) -> None:
    edition = edition_of(app.config.language)
    if app.env.doc2path(docname).endswith(".ipynb"):
        notebook = filter_notebook(json.loads(source[0]), edition)
        source[0] = json.dumps(notebook, ensure_ascii=False)
    else:
        source[0] = filter_markdown(source[0], edition)


def on_config_inited(app: Any, config: Any) -> None:
    """Settings of the build that differ by language, and captions of the table of contents."""
    edition = edition_of(config.language)
    config.project = config.html_title = edition.title
    for document in config.external_site_map.values():
        for subtree in document.subtrees:
            if subtree.caption and " | " in subtree.caption:
                english, chinese = subtree.caption.split(" | ")
                subtree.caption = chinese if edition.code == "zh" else english


def setup(app: Any) -> None:
    app.connect("source-read", on_source_read)
    # After sphinx_external_toc (900), which reads _toc.yml.
    app.connect("config-inited", on_config_inited, priority=950)
