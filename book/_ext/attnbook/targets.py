"""What the references of a notebook point to, with the numbers and titles that the site shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from docutils import nodes
from sphinx.util import docname_join

from attnbook.addresses import Addresses
from attnbook.citations import Citation, read
from attnbook.languages import Edition


class Targets(Protocol):
    """Answers for one notebook. An address is "" for what stands in the notebook itself."""

    def equation(self, label: str) -> tuple[str, str]:
        """Number and address of an equation."""

    def figure(self, label: str) -> tuple[str, str]:
        """Number and address of a figure."""

    def section(self, label: str) -> tuple[str, str]:
        """Title and address of a section."""

    def page(self, name: str) -> tuple[str, str]:
        """Title and address of a page."""

    def image(self, path: str) -> str:
        """Address of a picture file that the source names."""

    def citation(self, key: str) -> Citation:
        """A source."""

    @property
    def figure_format(self) -> str:
        """``Fig. %s`` in the edition's language."""


class SphinxTargets:
    """The answers of a finished Sphinx build, so that a notebook and its page never disagree."""

    def __init__(self, app: Any, docname: str, edition: Edition, addresses: Addresses) -> None:
        self.env, self.config = app.env, app.config
        self.docname, self.edition, self.addresses = docname, edition, addresses
        self.bibliography: dict[str, Citation] = {}
        for name in app.config.bibtex_bibfiles:
            self.bibliography |= read(Path(app.srcdir) / name)

    def _address(self, docname: str, anchor: str) -> str:
        if docname == self.docname:
            return ""
        return self.addresses.page(self.edition, docname) + (f"#{anchor}" if anchor else "")

    def _number(self, docname: str, kind: str, anchor: str) -> str:
        return ".".join(map(str, self.env.toc_fignumbers[docname][kind][anchor]))

    def equation(self, label: str) -> tuple[str, str]:
        docname, number = self.env.get_domain("math").equations[label]
        anchor = nodes.make_id(f"equation-{label}")
        if self.config.math_numfig and self.config.numfig:
            return self._number(docname, "displaymath", anchor), self._address(docname, anchor)
        return str(number), self._address(docname, anchor)

    def figure(self, label: str) -> tuple[str, str]:
        docname, anchor = self.env.get_domain("std").anonlabels[label]
        return self._number(docname, "figure", anchor), self._address(docname, anchor)

    def section(self, label: str) -> tuple[str, str]:
        docname, anchor, title = self.env.get_domain("std").labels[label]
        return title, self._address(docname, anchor)

    def page(self, name: str) -> tuple[str, str]:
        docname = docname_join(self.docname, name)
        # A page that does not exist is Sphinx's error to report, not ours.
        title = self.env.titles[docname].astext() if docname in self.env.titles else docname
        return title, self.addresses.page(self.edition, docname)

    def image(self, path: str) -> str:
        folder = self.docname.rpartition("/")[0]
        source = path.lstrip("/") if path.startswith("/") else docname_join(f"{folder}/x", path)
        _, published = self.env.images[source]
        return f"{self.addresses.site}/{self.edition.code}/_images/{published}"

    def citation(self, key: str) -> Citation:
        return self.bibliography[key]

    @property
    def figure_format(self) -> str:
        return str(self.config.numfig_format["figure"])
