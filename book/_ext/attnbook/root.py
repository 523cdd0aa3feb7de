"""The root of the site: what stands above the two editions.

``book/_root`` holds the files of the root, the chooser of languages and the page for lost addresses
among them. In text files ``{{ site }}``, ``{{ path }}`` (the site's path on its host, ``/`` at the
end) and ``{{ repository }}`` become the addresses of the published book.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from attnbook.addresses import Addresses
from attnbook.languages import EDITIONS, EN

_TEXT = {".html", ".txt", ".xml", ".webmanifest", ".json", ".svg", ".css", ".js"}
#: Pages without a text of their own: nothing for a search engine.
_MACHINE_PAGES = {"genindex", "search", "404"}


def write_root(root: Path, site: Path, addresses: Addresses) -> None:
    """Copy ``book/_root`` to the top of the site, addresses filled in."""
    (site / ".nojekyll").touch()  # GitHub would otherwise drop every folder that begins with "_"
    values = {
        "{{ site }}": addresses.site,
        "{{ path }}": urlsplit(addresses.site).path.rstrip("/") + "/",
        "{{ repository }}": addresses.repository,
    }
    source = root / "book" / "_root"
    for path in sorted(source.rglob("*")) if source.is_dir() else ():
        target = site / path.relative_to(source)
        if path.is_dir():
            target.mkdir(exist_ok=True)
        elif path.suffix in _TEXT:
            text = path.read_text("utf8")
            for name, value in values.items():
                text = text.replace(name, value)
            target.write_text(text, "utf8")
        else:
            shutil.copy(path, target)


def page_names(edition_folder: Path) -> list[str]:
    """Names of the pages of an edition that readers should find, ``notebooks/se`` and the like."""
    names = (
        path.relative_to(edition_folder).with_suffix("").as_posix()
        for path in edition_folder.rglob("*.html")
        if not any(part.startswith("_") for part in path.relative_to(edition_folder).parts)
    )
    return sorted(name for name in names if name not in _MACHINE_PAGES)


def write_sitemap(site: Path, addresses: Addresses) -> None:
    """``sitemap.xml`` with the twin of every page, as search engines ask for."""
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        '<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9" '
        'xmlns:xhtml="http://www.w3.org/1999/xhtml">',
    ]
    for name in page_names(site / EN.code):
        links = [
            f'<xhtml:link rel="alternate" hreflang="{e.lang}" '
            f'href="{escape(addresses.page(e, name))}"/>'
            for e in EDITIONS
        ]
        for edition in EDITIONS:
            lines.append(f"<url><loc>{escape(addresses.page(edition, name))}</loc>")
            lines += [*links, "</url>"]
    lines.append("</urlset>")
    (site / "sitemap.xml").write_text("\n".join(lines) + "\n", "utf8")
    robots = f"User-agent: *\nAllow: /\nSitemap: {addresses.site}/sitemap.xml\n"
    (site / "robots.txt").write_text(robots, "utf8")
