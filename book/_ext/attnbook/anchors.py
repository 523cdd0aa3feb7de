"""The same address for the same section in both languages.

A heading has an explicit label, ``(se-cost)=``, and docutils gives it a second id made from its
words: ``#cost`` in English, ``#id3`` in Chinese. Permalinks, the page's contents and the search all
use whichever stands first. Only the explicit one stays, so that the language switch keeps the
section.
"""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.transforms import SphinxTransform


class ExplicitIdsOnly(SphinxTransform):
    """Drop the implicit ids of every section that has an explicit one."""

    default_priority = (
        870  # after docutils' PropagateTargets (260) and Sphinx's sorting of ids (261)
    )

    def apply(self, **kwargs: Any) -> None:
        explicit = {
            node_id
            for name, node_id in self.document.nameids.items()
            if node_id and self.document.nametypes.get(name)
        }
        for section in self.document.findall(nodes.section):
            kept = [node_id for node_id in section["ids"] if node_id in explicit]
            if kept:
                section["ids"] = kept


def setup(app: Any) -> None:
    app.add_transform(ExplicitIdsOnly)
