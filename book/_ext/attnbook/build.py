"""Build the whole site: ``python -m attnbook.build``.

    _build/html/          the chooser, sitemap, 404 page, wheels
    _build/html/en/ zh/   the two editions, each notebook beside its page

Notebooks whose code changed run first; both editions are then built at the same time, any warning
is an error; and every step of ``STEPS`` follows on the finished pages.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from attnbook import execute, search
from attnbook.addresses import Addresses
from attnbook.languages import EDITIONS
from attnbook.root import write_root, write_sitemap
from attnbook.wheel import build_wheel


def build_editions(root: Path, site: Path) -> bool:
    """Both editions, in one process each."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "attnbook.edition", edition.code, str(site / edition.code)],
            cwd=root,
        )
        for edition in EDITIONS
    ]
    codes = [process.wait() for process in processes]
    return not any(codes)


#: What happens after both editions stand: name, and a function of repository, site and addresses.
STEPS: list[tuple[str, Callable[[Path, Path, Addresses], object]]] = [
    ("root", write_root),
    ("sitemap", lambda root, site, addresses: write_sitemap(site, addresses)),
    ("search index", lambda root, site, addresses: search.run(root, site)),
    ("wheel", lambda root, site, addresses: build_wheel(root, site / "wheels")),
]


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m attnbook.build", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    site = root / "_build" / "html"

    start = time.perf_counter()

    def say(text: str) -> None:
        print(f"[{time.perf_counter() - start:5.1f} s] {text}", flush=True)

    say("notebooks")
    if execute.main(["--root", str(root)]):
        return 1
    say("editions")
    shutil.rmtree(site, ignore_errors=True)
    if not build_editions(root, site):
        say("FAILED: an edition did not build (see the warnings above)")
        return 1
    addresses = Addresses.load(root)
    for name, step in STEPS:
        say(name)
        step(root, site, addresses)
    say(f"the book stands in {os.path.relpath(site)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
