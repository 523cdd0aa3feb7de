"""Build one edition: ``python -m attnbook.edition en|zh OUT``, in a process of its own.

It is the build that ``jupyter-book build .`` makes, with the language set; no ``conf.py`` is
written.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
from pathlib import Path

from attnbook.languages import EDITIONS


def build(root: Path, code: str, out: Path, work: Path, *, strict: bool = True) -> int:
    """Build the edition ``code`` of the book at ``root`` into ``out``, by way of ``work``."""
    from jupyter_book.sphinx import build_sphinx

    edition = next(edition for edition in EDITIONS if edition.code == code)
    html = work / "html"  # MyST-NB writes beside this folder, hence the detour
    shutil.rmtree(work, ignore_errors=True)
    os.chdir(root)
    result = build_sphinx(
        root,
        html,
        path_config=root / "_config.yml",
        noconfig=True,
        confoverrides={
            "language": edition.sphinx,
            "attnbook_both_editions": True,
            "nitpicky": True,
            "latex_individualpages": False,
        },
        doctreedir=work / "doctrees",
        freshenv=True,
        warningiserror=strict,
        keep_going=True,
        quiet=True,
    )
    if not isinstance(result, int) or result:
        return 1
    out.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(out, ignore_errors=True)
    (html / ".buildinfo").unlink(missing_ok=True)
    html.rename(out)
    return 0


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m attnbook.edition", description=__doc__)
    parser.add_argument("edition", choices=[edition.code for edition in EDITIONS])
    parser.add_argument("out", type=Path)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository")
    options = parser.parse_args(arguments)
    root = options.root.resolve()
    work = root / "_build" / "editions" / options.edition
    return build(root, options.edition, options.out.resolve(), work)


if __name__ == "__main__":
    sys.exit(main())
