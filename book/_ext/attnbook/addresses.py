"""Where the source lives and where the book is published; a fork gets addresses of its own.

The addresses stand in ``_config.yml``. A publishing job on a fork sets ``ATTNBOOK_REPOSITORY``
(``https://github.com/<owner>/<name>``), and where they differ from the usual ``ATTNBOOK_BASEURL``
and ``ATTNBOOK_BRANCH`` (the branch that holds the built site), and every link follows.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import tomllib
import yaml

from attnbook.languages import Edition


@dataclass(frozen=True)
class Addresses:
    """Every address of the book, made from four settings."""

    repository: str  #: of the source, without a slash at the end
    source_branch: str
    site: str  #: of the published book's root, without a slash at the end
    site_branch: str  #: the branch that holds the built site; Colab opens notebooks from it
    wheel_name: str

    @classmethod
    def load(cls, root: Path, environment: Mapping[str, str] = os.environ) -> Addresses:
        """Read ``_config.yml`` and ``pyproject.toml`` under ``root``, then the environment."""
        config = yaml.safe_load((root / "_config.yml").read_text("utf8"))
        project = tomllib.loads((root / "pyproject.toml").read_text("utf8"))["project"]
        repository = config["repository"]["url"].rstrip("/")
        site = config["html"]["baseurl"].rstrip("/")
        branch = config["sphinx"]["config"]["attnbook_site_branch"]

        fork = environment.get("ATTNBOOK_REPOSITORY", "").rstrip("/")
        if fork and fork != repository:
            owner, name = urlsplit(fork).path.strip("/").split("/")
            repository, site = fork, f"https://{owner.lower()}.github.io/{name}"
        return cls(
            repository=repository,
            source_branch=config["repository"].get("branch", "main"),
            site=(environment.get("ATTNBOOK_BASEURL") or site).rstrip("/"),
            site_branch=environment.get("ATTNBOOK_BRANCH") or branch,
            wheel_name=f"{project['name']}-{project['version']}-py3-none-any.whl",
        )

    @property
    def wheel(self) -> str:
        return f"{self.site}/wheels/{self.wheel_name}"

    @property
    def install_cell(self) -> str:
        """The first code cell of every notebook: installs attnlib where it is missing, else silent.

        It never names torch, so that a torch which is installed stays as it is.
        """
        return (
            "try:\n"
            "    import attnlib\n"
            "except ModuleNotFoundError:\n"
            f'    %pip install -q "attnlib[lab] @ {self.wheel}"'
        )

    def download(self, name: str) -> str:
        """A file that the published site offers to take along."""
        return f"{self.site}/downloads/{quote(name)}"

    def page(self, edition: Edition, docname: str) -> str:
        return f"{self.site}/{edition.code}/{quote(docname)}.html"

    def notebook(self, edition: Edition, docname: str) -> str:
        return f"{self.site}/{edition.code}/{quote(docname)}.ipynb"

    def colab(self, edition: Edition, docname: str) -> str:
        slug = urlsplit(self.repository).path.strip("/")
        path = f"{self.site_branch}/{edition.code}/{quote(docname)}.ipynb"
        return f"https://colab.research.google.com/github/{slug}/blob/{path}"

    def source(self, path: str) -> str:
        """The page of a source file in the repository."""
        return f"{self.repository}/blob/{self.source_branch}/{quote(path)}"

    def edit(self, path: str) -> str:
        return f"{self.repository}/edit/{self.source_branch}/{quote(path)}"

    def commit(self, commit: str) -> str:
        return f"{self.repository}/commit/{commit}"

    def report(self, title: str, body: str) -> str:
        return f"{self.repository}/issues/new?{urlencode({'title': title, 'body': body})}"
