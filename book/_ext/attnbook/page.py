"""Where a page leads: its twin in the other language, Colab, its source, a report about it.

The templates in ``book/_templates`` receive these names:

    other_url       the same page in the other language
    colab_url       the page's notebook in Colab, in the page's language (notebooks only)
    download_url    the same notebook, beside the page (notebooks only)
    edit_url        the source of the page in the repository
    report_url      a new issue with page and commit filled in
    repository_url  the repository
    provenance      a line of HTML: with what, where and when the outputs and the page were made
    addresses       every address of the book (attnbook.addresses)
"""

from __future__ import annotations

import json
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from attnbook.addresses import Addresses
from attnbook.languages import EN, Edition, edition_of
from attnbook.versions import Commit, head

_REPORT_TITLE = {"en": "Problem on the page: {}", "zh": "页面问题：{}"}
_REPORT_BODY = {
    "en": "Page: {url}\nBuilt from: {commit}\n\nWhat is wrong, and what should stand there?\n",
    "zh": "页面：{url}\n构建自：{commit}\n\n哪里有问题？应该是什么？\n",
}


@cache
def addresses_of(root: Path) -> Addresses:
    return Addresses.load(root)


def is_notebook(app: Any, docname: str) -> bool:
    """Whether a page of this build comes from an executed notebook."""
    return docname in app.env.found_docs and app.env.doc2path(docname).endswith(".ipynb")


def source_of(app: Any, docname: str) -> str:
    """The file that a person edits to change the page, as a path in the repository."""
    path = Path(app.env.doc2path(docname)).relative_to(app.srcdir)
    return path.with_suffix(".md").as_posix()


def twin(app: Any, docname: str, edition: Edition) -> str:
    """The same page in the other edition: relative where both stand side by side."""
    if app.config.attnbook_both_editions:
        up = "../" * (docname.count("/") + 1)
        return f"{up}{edition.other.code}/{docname}.html"
    return addresses_of(Path(app.srcdir)).page(edition.other, docname)


def provenance(
    record: dict[str, Any] | None, commit: Commit, addresses: Addresses, edition: Edition
) -> str:
    """One line of HTML about the outputs (``record``, of notebooks only) and about the page."""

    def link(short: str) -> str:
        return f'<a href="{escape(addresses.commit(short))}"><code>{short}</code></a>'

    chinese = edition is not EN
    parts = []
    if record:
        machine = escape(record["device"])
        versions = f"torch {escape(record['torch'])}, Python {escape(record['python'])}"
        if chinese:
            line = (
                f"输出于 {record['date']} 在 {machine}（{record['threads']} 线程）上运行得到，"
                f"{versions.replace(', ', '，')}"
            )
            line += f"，代码库版本 {link(record['commit'])}" if record["commit"] else ""
        else:
            threads = f"{record['threads']} thread{'s' * (record['threads'] != 1)}"
            line = f"Outputs: run on {record['date']}, {machine}, {threads}, {versions}"
            line += f", repository at {link(record['commit'])}" if record["commit"] else ""
        parts.append(line)
    if commit.id:
        parts.append(
            f"页面构建自 {link(commit.short)}（{commit.date}）"
            if chinese
            else f"Page built from {link(commit.short)} ({commit.date})"
        )
    stop = "。" if chinese else "."
    return ("" if chinese else " ").join(part + stop for part in parts)


def on_page_context(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    root = Path(app.srcdir)
    edition = edition_of(app.config.language)
    addresses = addresses_of(root)
    commit = head(root)
    context["addresses"] = addresses
    context["repository_url"] = addresses.repository
    context["other_url"] = twin(app, pagename, edition)
    if pagename not in app.env.found_docs:
        return

    url = addresses.page(edition, pagename)
    title = app.env.titles[pagename].astext()
    context["edit_url"] = addresses.edit(source_of(app, pagename))
    context["report_url"] = addresses.report(
        _REPORT_TITLE[edition.code].format(title),
        _REPORT_BODY[edition.code].format(url=url, commit=commit.id or "?"),
    )
    record = None
    if is_notebook(app, pagename):
        context["colab_url"] = addresses.colab(edition, pagename)
        context["download_url"] = f"{pagename.rpartition('/')[2]}.ipynb"
        pair = json.loads(Path(app.env.doc2path(pagename)).read_text("utf8"))
        record = pair["metadata"].get("attnbook")
    context["provenance"] = provenance(record, commit, addresses, edition)


def setup(app: Any) -> None:
    app.connect("html-page-context", on_page_context, priority=600)
