"""Code stands once for both languages; its outputs are stored, clean and of this very code."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from attnbook import notebooks
from attnbook.checks import Cell, Page, Problem
from attnbook.execute import outdated

#: Han characters, and the punctuation and full-width forms of Chinese text.
HAN = re.compile(r"[\u3000-\u303f\u3400-\u4dbf\u4e00-\u9fff\uff00-\uffef]")
#: What a chapter may take, in seconds of CPU from the start of its kernel.
SECONDS = 15
#: What another notebook may take: the one on plugging in trains, compiles and exports as well.
SECONDS_OTHERS = 20
MACHINE_PATH = re.compile(
    r"(?<![\w.~/-])/(?:home|root|Users|tmp|var|opt|mnt|work|workspace|usr|private)/[\w.-]+|[A-Z]:\\\w+"
)


def no_han_in_code(page: Page) -> Iterator[Problem]:
    for cell in page.code():
        if match := HAN.search(cell.source):
            yield page.problem(cell, f"code holds no Chinese, but here is {match[0]!r}")


def source_equals_pair(page: Page) -> Iterator[Problem]:
    """The ``.md`` and the executed ``.ipynb`` agree, cell for cell."""
    if not page.is_notebook:
        return
    if page.pair is None:
        yield page.problem(None, "has no executed notebook; run `make notebooks`")
        return
    source = notebooks.read_source(page.root / page.file)
    ours, theirs = notebooks.signature(source), notebooks.signature(page.pair)
    for cell, (mine, stored) in zip(page.cells, zip(ours, theirs, strict=False), strict=False):
        if mine != stored:
            yield page.problem(cell, "differs from the executed notebook; run `make notebooks`")
            return
    if len(ours) != len(theirs):
        yield page.problem(
            None,
            f"has {len(ours)} cells, its executed notebook {len(theirs)}; run `make notebooks`",
        )
    elif outdated(source, page.pair):
        yield page.problem(None, "metadata differ from the executed notebook; run `make notebooks`")


def executed(page: Page) -> Iterator[tuple[Cell, dict]]:  # type: ignore[type-arg]
    """Code cells with what they stored, where source and pair agree in number."""
    if page.pair is None:
        return
    stored = [cell for cell in page.pair.cells if cell.cell_type == "code"]
    if len(stored) == len(page.code()):
        yield from zip(page.code(), stored, strict=True)


def _texts(value: Any) -> Iterator[str]:
    """Every text in an output, pictures left out."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for key, item in value.items():
            if not key.startswith("image/"):
                yield from _texts(item)
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)


def outputs_are_clean(page: Page) -> Iterator[Problem]:
    for cell, stored in executed(page):
        if stored.get("execution_count") is None:
            yield page.problem(cell, "was never executed; run `make notebooks`")
        for output in stored["outputs"]:
            text = "\n".join(_texts(output))
            if output["output_type"] == "error" and "raises-exception" not in cell.tags:
                yield page.problem(
                    cell, f"ended in an error: {output['ename']}: {output['evalue']}"
                )
            if output.get("name") == "stderr":
                yield page.problem(cell, f"wrote to stderr: {output['text'].strip()[:120]!r}")
            if match := MACHINE_PATH.search(text):
                yield page.problem(cell, f"shows a path of the machine it ran on: {match[0]!r}")
            if match := HAN.search(text):
                yield page.problem(cell, f"output holds no Chinese, but here is {match[0]!r}")


def install_cell_first(page: Page) -> Iterator[Problem]:
    """The first code cell installs attnlib, from this book's own address."""
    if not page.is_notebook:
        return
    code = page.code()
    if not code:
        yield page.problem(None, "has no code cell")
    elif code[0].source != page.addresses.install_cell:
        yield page.problem(
            code[0], f"the first code cell must be the install cell:\n{page.addresses.install_cell}"
        )


def notebooks_are_quick(page: Page) -> Iterator[Problem]:
    """A reader who runs a notebook waits seconds, and so does whoever tests all of them."""
    if page.pair is None:
        return
    seconds = page.pair.metadata.get("attnbook", {}).get("seconds")
    allowed = SECONDS if page.is_chapter else SECONDS_OTHERS
    if seconds is not None and seconds > allowed:
        yield page.problem(
            None,
            f"took {seconds} s of CPU when it was executed, {allowed} are allowed: make it quicker "
            "(if the machine was busy, execute it again first)",
        )


CHECKS = [
    no_han_in_code, source_equals_pair, outputs_are_clean, install_cell_first, notebooks_are_quick
]  # fmt: skip
