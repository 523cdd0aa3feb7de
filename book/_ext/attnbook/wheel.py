"""The wheel of attnlib that the site carries: Colab installs exactly this book's library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

#: 1980-01-01, the earliest date a wheel can hold: the same source always gives the same file.
_EPOCH = "315532800"
_BUILD = "import sys; from setuptools.build_meta import build_wheel; build_wheel(sys.argv[1])"


def build_wheel(root: Path, out: Path) -> Path:
    """Build the wheel into ``out`` from a copy of the package, so that the tree stays clean."""
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "attnlib"
        copy.mkdir()
        for name in ("pyproject.toml", "README.md", "LICENSE"):
            shutil.copy(root / name, copy / name)
        shutil.copytree(
            root / "attnlib", copy / "attnlib", ignore=shutil.ignore_patterns("__pycache__")
        )
        # setuptools itself: pip would take seconds to ask it the same.
        command = [sys.executable, "-c", _BUILD, str(out.resolve())]
        environment = {**os.environ, "SOURCE_DATE_EPOCH": _EPOCH, "PYTHONPATH": ""}
        subprocess.run(command, check=True, cwd=copy, env=environment, stdout=subprocess.DEVNULL)
    (wheel,) = out.glob("*.whl")
    return wheel
