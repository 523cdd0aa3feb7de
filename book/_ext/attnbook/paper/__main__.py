"""Print the built book: ``python -m attnbook.paper``, or `make pdf`.

    _build/pdf/visual-attention-en.pdf    _build/pdf/visual-attention-zh.pdf

It wants Chromium, and the fonts of three packages of Debian: fonts-noto-cjk, fonts-sil-charis,
fonts-dejavu-core. With names of pages (``notebooks/se``) only these are printed.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

from attnbook.downloads import size
from attnbook.languages import EDITIONS
from attnbook.paper.fonts import MissingFont
from attnbook.paper.press import PaperError
from attnbook.paper.printing import print_book


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m attnbook.paper", description=__doc__)
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the repository")
    parser.add_argument("--edition", choices=[e.code for e in EDITIONS], help="only this one")
    parser.add_argument("--out", type=Path, help="the folder, instead of _build/pdf")
    parser.add_argument("pages", nargs="*", metavar="page", help="only these pages")
    options = parser.parse_args(arguments)
    for edition in EDITIONS:
        if options.edition in (None, edition.code):
            start = time.perf_counter()
            try:
                (path,) = print_book(options.root.resolve(), options.out, [edition], options.pages)
            except (MissingFont, PaperError) as error:
                print(f"FAILED: {error}")
                return 1
            print(f"{path}: {size(path)}, {time.perf_counter() - start:.0f} s", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
