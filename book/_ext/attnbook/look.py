"""What the templates of the site need beside what the theme gives them.

The pages use a layout of their own (``book/_templates/layout.html``) with one style sheet and one
script, instead of the theme's Bootstrap, Font Awesome and half a dozen scripts. This module gives
that layout the contents of the book as plain data and puts the few words that Sphinx, MyST-NB and
the theme write into the page itself into the language of the edition.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import struct
from functools import cache
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import toctree as TocTree
from sphinx.application import Sphinx

from attnbook import catalogue
from attnbook.contents import is_notebook
from attnbook.languages import edition_of

BOOK = Path(__file__).resolve().parents[2]

#: Assets of the theme and of the default extensions. The layout replaces all of them.
REPLACED = re.compile(
    r"^(_static/)?("
    r"styles/|scripts/|pygments\.css|basic\.css|mystnb|togglebutton|copybutton|clipboard|thebe|"
    r"sphinx-thebe|sphinx-design|design-tabs|doctools|documentation_options|sphinx_highlight|"
    r"searchtools|language_data|translations\.js|comments|design-style"
    r")"
)

#: Files and folders of ``_static`` that belong to them.
UNUSED = (
    "images", "locales", "scripts", "styles", "vendor", "file.png", "minus.png", "plus.png",
    "sbt-webpack-macros.html", "webpack-macros.html", "__pycache__", "sphinx-thebe.css",
)  # fmt: skip
_IMAGE = re.compile(r'<img [^>]*src="[^"]*/(?P<name>[^"/]+)"[^>]*>')
_VIEWPORT = re.compile(r'<meta name="viewport"[^>]*>\s*')
#: Emphasis of Latin words in Chinese text: slanted, where Chinese characters get dots.
_EMPHASIS = re.compile(r"<em>([^<\u3400-\u9fff]+)</em>")

#: Words that tools write into the page in English in either edition.
WORDS_ZH = {
    'title="Link to this heading"': 'title="本节链接"',
    'title="Permalink to this heading"': 'title="本节链接"',
    'title="Link to this image"': 'title="本图链接"',
    'title="Link to this table"': 'title="本表链接"',
    'title="Link to this code"': 'title="这段代码的链接"',
    'title="Link to this equation"': 'title="本式链接"',
    'title="Permalink to this equation"': 'title="本式链接"',
    'title="Link to this definition"': 'title="本条定义的链接"',
    'title="Link to this term"': 'title="本条术语的链接"',
    'title="Permalink to this definition"': 'title="本条定义的链接"',
}
#: The folded cells of MyST-NB: what is folded, and what its line says.
FOLDED = {
    "en": {"source": "Code of this figure", "content": "Code of the solution", "output": "Output"},
    "zh": {"source": "本图的代码", "content": "解答的代码", "output": "输出"},
}


@cache
def _digest(name: str) -> str:
    return hashlib.sha1((BOOK / "_static" / name).read_bytes()).hexdigest()[:8]


def contents(app: Sphinx) -> list[dict[str, Any]]:
    """The parts of the book: caption and pages, in the order of ``_toc.yml``."""
    env = app.env
    root = app.config.root_doc
    years = {c["chapter"]: c["year"] for c in catalogue.load(Path(app.srcdir))["chapters"]}
    parts = []
    for tree in env.tocs[root].findall(TocTree):
        pages = []
        for title, name in tree["entries"]:
            if name not in env.titles:
                continue
            stem = name.rpartition("/")[2]
            year = years.get(stem) if is_notebook(name) else None
            title = title or env.titles[name].astext()
            if year:
                title = short_title(title)
            pages.append({"name": name, "title": title, "year": year})
        parts.append({"caption": tree.get("caption") or "", "pages": pages})
    return parts


def short_title(title: str) -> str:
    """The title of a chapter up to its colon."""
    return re.split("：|: ", title)[0]


def sections(app: Sphinx, name: str) -> list[dict[str, Any]]:
    """The sections of a page: id, title and depth (1 or 2), its own title left out."""
    toc = app.env.tocs.get(name)
    if toc is None:
        return []
    found: list[dict[str, Any]] = []

    def walk(node: nodes.Node, depth: int) -> None:
        for item in node.children:
            if not isinstance(item, nodes.list_item):
                continue
            reference = next(item.findall(nodes.reference), None)
            anchor = (reference.get("anchorname") or "") if reference is not None else ""
            if depth in (1, 2) and anchor:
                found.append(
                    {"id": anchor.lstrip("#"), "title": _inline(reference), "depth": depth}
                )
            for child in item.children:
                if isinstance(child, nodes.bullet_list):
                    walk(child, depth + 1)

    walk(toc, 0)
    return found


def _inline(node: nodes.Element) -> str:
    """The text of a title; mathematics as its source without dollars."""
    return node.astext()


def mend(body: str, language: str) -> str:
    """The page's own HTML with the words of the tools in the page's language."""
    fold = FOLDED[language]
    for kind, words in fold.items():
        body = body.replace(f"Show code cell {kind}s", words).replace(
            f"Show code cell {kind}", words
        )
        body = body.replace(f"Hide code cell {kind}s", words).replace(
            f"Hide code cell {kind}", words
        )
    # The summary's own words name it; a label that repeats "hidden content" would hide them.
    body = body.replace('<summary aria-label="Toggle hidden content">', "<summary>")
    # An entry of the bibliography is no list item for assistive technology: no list then.
    body = body.replace('<div role="list" class="citation-list">', '<div class="citation-list">')
    if language == "zh":
        for english, chinese in WORDS_ZH.items():
            body = body.replace(english, chinese)
        body = _EMPHASIS.sub(r'<em class="latin">\1</em>', body)
    return body


_FORMULA = '<span class="math notranslate nohighlight">'
_SPAN = re.compile(r"<span\b|</span>")
_AFTER = re.compile(r"[,.;:!?)\]，。、；：？！）》”]+")
_BEFORE = re.compile(r"[(\[（《“]$")
_TEX = re.compile(r'encoding="application/x-tex">(.*?)</annotation>', re.DOTALL)
_LONGEST_TIE = 24  # characters of TeX: a longer formula must be free to break


def tied(body: str) -> str:
    """Short formulas kept together with the punctuation beside them.

    A browser may break a line between a formula and what follows, so that a comma begins a line.
    """
    out: list[str] = []
    done = 0
    while (start := body.find(_FORMULA, done)) >= 0:
        depth, end = 0, start
        for match in _SPAN.finditer(body, start):
            depth += 1 if match[0] != "</span>" else -1
            if depth == 0:
                end = match.end()
                break
        tex = _TEX.search(body, start, end)
        before = _BEFORE.search(body[max(done, start - 1) : start])
        after = _AFTER.match(body, end)
        left = start - len(before[0]) if before else start
        right = after.end() if after else end
        out.append(body[done:left])
        if (before or after) and tex and len(tex[1]) <= _LONGEST_TIE:
            out.append(f'<span class="tie">{body[left:right]}</span>')
        else:
            out.append(body[left:right])
        done = right
    return "".join([*out, body[done:]])


def png_size(data: bytes) -> tuple[int, int] | None:
    """Width and height of a PNG on the page: its pixels at its own resolution, in 1/96 inch."""
    if data[:8] != b"\x89PNG\r\n\x1a\n":
        return None
    width, height = struct.unpack(">II", data[16:24])
    at = data.find(b"pHYs", 0, 4096)
    per_metre = struct.unpack(">I", data[at + 4 : at + 8])[0] if at > 0 else 0
    scale = 96 / (per_metre * 0.0254) if per_metre else 1.0
    return round(width * scale), round(height * scale)


def sized(match: re.Match[str], files: dict[str, Path]) -> str:
    """An image with its size, so that the page keeps its place while the image arrives."""
    tag = match[0]
    path = files.get(match["name"])
    if path is None or " width=" in tag or not path.is_file():
        return tag
    size = png_size(path.read_bytes())
    if size is None:
        return tag
    return tag.replace("<img ", f'<img width="{size[0]}" height="{size[1]}" loading="lazy" ', 1)


def _page_context(
    app: Sphinx, pagename: str, templatename: str, context: dict[str, Any], doctree: nodes.Node
) -> None:
    language = edition_of(app.config.language).code
    context["edition"] = language
    context["contents"] = contents(app)
    context["sections"] = sections(app, pagename)
    context["digest"] = _digest
    context["css_files"] = [f for f in context.get("css_files", []) if not _replaced(f)]
    context["script_files"] = [f for f in context.get("script_files", []) if not _replaced(f)]
    context["metatags"] = _VIEWPORT.sub("", context.get("metatags", ""))
    if pagename in app.env.titles:
        context["plain_title"] = app.env.titles[pagename].astext()  # without the chapter's number
    if context.get("body"):
        body = tied(mend(context["body"], language))
        files = {name: Path(app.srcdir) / source for source, name in app.builder.images.items()}
        context["body"] = _IMAGE.sub(lambda match: sized(match, files), body)


def _replaced(asset: Any) -> bool:
    """Whether an asset belongs to what the layout replaces; inline scripts are all the theme's."""
    name = getattr(asset, "filename", asset)
    return not name or bool(REPLACED.match(str(name)))


def _on_config_inited(app: Sphinx, config: Any) -> None:
    config.html_use_index = False  # the search has the book's index


def _on_build_finished(app: Sphinx, exception: Exception | None) -> None:
    """Leave out of the site what no page loads: the theme's own assets, the index of its search."""
    if exception is not None or app.builder.name != "html":
        return
    out = Path(app.outdir)
    for path in [*(out / "_static" / name for name in UNUSED), out / "searchindex.js"]:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
    for path in (out / "_static").iterdir():
        if path.is_file() and _replaced(path.name):
            path.unlink()


def setup(app: Sphinx) -> dict[str, Any]:
    # After everything that adds assets or builds context.
    app.connect("html-page-context", _page_context, priority=900)
    app.connect("config-inited", _on_config_inited)
    app.connect("build-finished", _on_build_finished, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
