"""The machinery of the book: one bilingual source, two editions of a site, portable notebooks.

As a Sphinx extension (``_config.yml`` loads it) every module below adds one thing to the build. As
commands: ``python -m attnbook.execute``, ``python -m attnbook.build``, ``python -m
attnbook.structure``.
"""

from __future__ import annotations

from typing import Any

__version__ = "0.1.0"


def setup(app: Any) -> dict[str, Any]:
    # Imported here, so that the commands do not need Sphinx's modules to be loaded.
    from attnbook import (
        anchors,
        api,
        bibliography,
        choose,
        cost,
        downloads,
        editions,
        export,
        head,
        look,
        map,
        mathematics,
        page,
        pictures,
        properties,
        published,
        search,
        sight,
        sight_why,
        speed,
    )

    app.add_config_value("attnbook_site_branch", "gh-pages", "html")
    app.add_config_value("attnbook_both_editions", False, "html")
    for module in (
        editions,
        anchors,
        mathematics,
        bibliography,
        choose,
        page,
        head,
        export,
        map,
        cost,
        properties,
        published,
        pictures,
        api,
        sight,
        sight_why,
        speed,
        downloads,
        look,  # last but one: it sees what the others put into a page
        search,
    ):
        module.setup(app)
    return {"version": __version__, "parallel_read_safe": True, "parallel_write_safe": True}
