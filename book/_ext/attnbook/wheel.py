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
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps"]
        command += ["--no-build-isolation", "--wheel-dir", str(out), str(copy)]
        subprocess.run(command, check=True, env={**os.environ, "SOURCE_DATE_EPOCH": _EPOCH})
    (wheel,) = out.glob("*.whl")
    return wheel
