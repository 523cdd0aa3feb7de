"""A book of two pages to try the machinery on: executed once, copied for tests that change it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
MINI = Path(__file__).parent / "data" / "mini"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def executed_mini(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small book with its chapter executed; not to be changed."""
    from attnbook.execute import update

    folder = tmp_path_factory.mktemp("mini")
    shutil.copytree(MINI, folder, dirs_exist_ok=True)
    config = yaml.safe_load((ROOT / "_config.yml").read_text("utf8"))
    config["sphinx"]["local_extensions"] = {"attnbook": str(ROOT / "book" / "_ext")}
    (folder / "_config.yml").write_text(yaml.safe_dump(config, allow_unicode=True), "utf8")
    shutil.copy(ROOT / "pyproject.toml", folder)
    for name in ("_static", "_templates"):
        shutil.copytree(ROOT / "book" / name, folder / "book" / name)
    assert update(folder, "demo") == "code"
    return folder


@pytest.fixture
def mini(executed_mini: Path, tmp_path: Path) -> Path:
    """A copy of the executed small book, to be changed at will."""
    folder = tmp_path / "book"
    shutil.copytree(executed_mini, folder)
    return folder


def build_edition(root: Path, edition: str, out: Path) -> subprocess.CompletedProcess[str]:
    """Build one edition as `make book` does."""
    command = [sys.executable, "-m", "attnbook.edition", edition, str(out), "--root", str(root)]
    environment = {"PYTHONPATH": str(ROOT / "book" / "_ext"), "PATH": "/usr/bin:/bin"}
    return subprocess.run(command, capture_output=True, text=True, env=environment)


@pytest.fixture(scope="session")
def mini_site(executed_mini: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Both editions of the small book, built."""
    site = tmp_path_factory.mktemp("site")
    for edition in ("en", "zh"):
        result = build_edition(executed_mini, edition, site / edition)
        assert result.returncode == 0, result.stderr
        assert "WARNING" not in result.stderr
    return site
