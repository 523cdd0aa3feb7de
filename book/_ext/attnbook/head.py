"""What a page says of itself to browsers, search engines and link previews."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import Any

from docutils import nodes

from attnbook.languages import EDITIONS, EN, Edition, edition_of
from attnbook.page import addresses_of

#: The picture that a link preview shows; it stands at the root of the site.
CARD = "social-card.png"
_LONGEST = 200  # characters of a description


def first_sentences(doctree: nodes.document) -> str:
    """The beginning of the page's first paragraph: its description if it gives none itself."""
    outside = (nodes.table, nodes.Admonition, nodes.figure, nodes.list_item)
    for paragraph in doctree.findall(nodes.paragraph):
        parent = paragraph.parent
        while parent is not None and not isinstance(parent, outside):
            parent = parent.parent
        if parent is None:
            text = " ".join(paragraph.astext().split())
            return text if len(text) <= _LONGEST else text[: _LONGEST - 1].rstrip() + "…"
    return ""


def tags(app: Any, docname: str, edition: Edition, title: str, description: str) -> list[str]:
    """The tags of the page's ``<head>`` that depend on edition and page."""
    addresses = addresses_of(Path(app.srcdir))
    lines = [
        f'<link rel="alternate" hreflang="{e.lang}" href="{addresses.page(e, docname)}" />'
        for e in EDITIONS
    ]
    lines.append(
        f'<link rel="alternate" hreflang="x-default" href="{addresses.page(EN, docname)}" />'
    )
    properties = {
        "og:type": "website" if docname == app.config.root_doc else "article",
        "og:site_name": edition.title,
        "og:title": title,
        "og:description": description,
        "og:url": addresses.page(edition, docname),
        "og:locale": edition.locale,
        "og:locale:alternate": edition.other.locale,
    }
    if (Path(app.srcdir) / "book" / "_root" / CARD).exists():
        properties["og:image"] = f"{addresses.site}/{CARD}"
        lines.append('<meta name="twitter:card" content="summary_large_image" />')
    lines += [
        f'<meta property="{name}" content="{escape(value)}" />'
        for name, value in properties.items()
        if value
    ]
    if description:
        lines.append(f'<meta name="description" content="{escape(description)}" />')
    return lines


def on_page_context(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    edition = edition_of(app.config.language)
    if pagename not in app.env.found_docs:
        # Search and index: found by readers on the site, of no use elsewhere.
        context["metatags"] = (
            context.get("metatags", "") + '\n<meta name="robots" content="noindex" />'
        )
        return
    description = app.env.metadata[pagename].get("description") or first_sentences(doctree)
    title = app.env.titles[pagename].astext()
    context["description"] = description
    lines = tags(app, pagename, edition, title, description)
    context["metatags"] = "\n".join([context.get("metatags", ""), *lines])


def on_config_inited(app: Any, config: Any) -> None:
    """Each edition is its own site for a search engine: pages name themselves as canonical."""
    site = addresses_of(Path(app.srcdir)).site
    config.html_baseurl = f"{site}/{edition_of(config.language).code}/"


def setup(app: Any) -> None:
    app.connect("config-inited", on_config_inited)
    app.connect("html-page-context", on_page_context, priority=600)
