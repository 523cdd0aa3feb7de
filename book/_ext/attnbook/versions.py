"""Which state of the repository a page was built from."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path


@dataclass(frozen=True)
class Commit:
    """A commit, or nothing where there is no repository (an unpacked archive)."""

    id: str  #: the whole hash, "" if unknown
    date: str  #: its date, ``2026-11-23``, "" if unknown

    @property
    def short(self) -> str:
        return self.id[:12]


def git(root: Path, *arguments: str) -> str:
    """git's answer, empty where there is no git or no repository."""
    try:
        answer = subprocess.run(
            ["git", "-C", str(root), *arguments], check=True, capture_output=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return ""
    return answer.stdout.strip()


@cache
def head(root: Path) -> Commit:
    """The commit that is checked out; a publishing job names it by ``GITHUB_SHA``."""
    commit = git(root, "rev-parse", "HEAD") or os.environ.get("GITHUB_SHA", "")
    return Commit(commit, git(root, "log", "-1", "--format=%cs"))
