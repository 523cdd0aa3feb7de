"""The book to take along: a PDF and an archive of each edition, ``python -m attnbook.downloads``.

    :::{downloads}

stands on the page for readers on a slow line. The build cannot know the files, which are made from
its pages, so the directive leaves a marked place that says how they are made. `make downloads`
makes them, puts them into the built site, ``_build/html/downloads/``, and links with their sizes
into the place. A site without the files has no dead links.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
from collections.abc import Iterable
from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

from attnbook.addresses import Addresses
from attnbook.languages import EDITIONS, Edition, edition_of

FOLDER = "downloads"
BEGIN, END = "<!-- downloads -->", "<!-- /downloads -->"
_PLACE = re.compile(f"{BEGIN}.*?{END}", re.DOTALL)

WORDS = {
    "en": {
        "pdf": "The book as a PDF",
        "archive": "The site as an archive, to open from disk",
        "pages": "{} pages, A4",
        "other": "In English",
        "without": "This copy of the site was built without them; <code>make downloads</code> "
        "makes both.",
        "away": "The current ones are at {pdf} and {archive}.",
        "comma": ", ",
    },
    "zh": {
        "pdf": "全书 PDF",
        "archive": "整个网站的压缩包，解压后从磁盘打开",
        "pages": "A4，{} 页",
        "other": "中文版",
        "without": "这份网站在构建时没有生成它们，运行 <code>make downloads</code> 即可生成。",
        "away": "最新版本在 {pdf} 和 {archive}。",
        "comma": "，",
    },
}


def pdf_name(edition: Edition) -> str:
    return f"visual-attention-{edition.code}.pdf"


def archive_name(edition: Edition) -> str:
    return f"visual-attention-{edition.code}.zip"


def size(path: Path) -> str:
    """``5.8 MB``; a megabyte is a million bytes."""
    return f"{path.stat().st_size / 1e6:.1f} MB"


# ------------------------------------------------------------------- what stands in the place


def without(edition: Edition) -> str:
    """On a site that was built without the files."""
    return f"<p>{WORDS[edition.code]['without']}</p>"


def away(edition: Edition, addresses: Addresses) -> str:
    """In the files themselves, which cannot hold each other: where the current ones are."""
    links = {
        kind: f'<a class="reference external" href="{escape(address)}">{escape(address)}</a>'
        for kind, address in (
            ("pdf", addresses.download(pdf_name(edition))),
            ("archive", addresses.download(archive_name(edition))),
        )
    }
    return f"<p>{WORDS[edition.code]['away'].format(**links)}</p>"


def here(edition: Edition, folder: Path, up: str) -> str:
    """Links to the files in ``folder``, ``up`` leading from the page to the root of the site."""
    own = _links(edition, edition, folder, up)
    other = edition.other
    label = f'<span lang="{other.lang}">{WORDS[other.code]["other"]}</span>{edition.colon}'
    links = WORDS[edition.code]["comma"].join(_links(edition, other, folder, up))
    return f"<ul>{''.join(f'<li>{link}</li>' for link in own)}</ul><p>{label}{links}</p>"


def _links(reader: Edition, edition: Edition, folder: Path, up: str) -> list[str]:
    """Links to the files of ``edition``, for whoever reads the page in the language ``reader``."""
    words = WORDS[reader.code]
    pdf, archive = folder / pdf_name(edition), folder / archive_name(edition)
    if edition is reader:
        facts = [words["pages"].format(_page_count(pdf)), size(pdf)], [size(archive)]
        titles = words["pdf"], words["archive"]
    else:
        facts = [size(pdf)], [size(archive)]
        titles = "PDF", "ZIP"
    return [
        f'<a class="reference download" href="{up}{FOLDER}/{path.name}"'
        f' hreflang="{edition.lang}">{title}</a>'
        f"{'（' if reader.code == 'zh' else ' ('}{words['comma'].join(fact)}"
        f"{'）' if reader.code == 'zh' else ')'}"
        for title, path, fact in zip(titles, (pdf, archive), facts, strict=True)
    ]


def _page_count(pdf: Path) -> int:
    from pikepdf import Pdf

    with Pdf.open(pdf) as opened:
        return len(opened.pages)


def fill(html: str, inner: str) -> str:
    """The page with something else in its marked places."""
    return _PLACE.sub(lambda _: BEGIN + inner + END, html)


def offer(site: Path, files: Iterable[Path]) -> None:
    """Put the files into the built site, and links to them into its pages."""
    folder = site / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for path in files:
        shutil.copy(path, folder)
    for edition in EDITIONS:
        for page in sorted((site / edition.code).rglob("*.html")):
            html = page.read_text("utf8")
            if BEGIN in html:
                up = "../" * len(page.relative_to(site).parent.parts)
                page.write_text(fill(html, here(edition, folder, up)), "utf8")


# ------------------------------------------------------------------- command and directive


class Downloads(Directive):
    def run(self) -> list[nodes.Node]:
        edition = edition_of(self.state.document.settings.env.config.language)
        html = (
            '<div class="downloads" data-pagefind-ignore="all">'
            f"{BEGIN}{without(edition)}{END}</div>"
        )
        return [nodes.raw("", html, format="html")]


def setup(app: Any) -> None:
    app.add_directive("downloads", Downloads)


def main(arguments: list[str] | None = None) -> int:
    from attnbook import offline, paper

    parser = argparse.ArgumentParser(prog="python -m attnbook.downloads", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    files = [*paper.print_book(root), *offline.pack_book(root)]
    offer(root / "_build" / "html", files)
    for path in files:
        print(f"{path.name}: {size(path)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
