"""What Chromium leaves open in a PDF: bookmarks, author, language, how a reader opens it.

And its size: Chromium writes every object of the tagged text by itself. Packed into streams, and in
the order in which a browser asks for pages, the file is half as large and opens while it loads.
"""

from __future__ import annotations

import io
from pathlib import Path

from pikepdf import Array, Dictionary, Name, ObjectStreamMode, OutlineItem, Pdf

from attnbook.languages import Edition
from attnbook.paper.frame import Chapters

SUBJECT = {
    "en": "Attention modules of vision networks: derived, built, measured, tested",
    "zh": "视觉网络的注意力模块：推导、搭建、测量、检验",
}
KEYWORDS = "attention, computer vision, PyTorch, squeeze-and-excitation, CBAM"


def finish(
    printed: bytes, out: Path, parts: list[Chapters], author: str, edition: Edition, date: str
) -> None:
    """Write the printed book to ``out``, with everything that a reader's program asks for."""
    with Pdf.open(io.BytesIO(printed)) as pdf:
        _bookmarks(pdf, parts)
        with pdf.open_metadata() as metadata:
            metadata["dc:title"] = edition.title
            metadata["dc:creator"] = [author]
            metadata["dc:description"] = SUBJECT[edition.code]
            metadata["dc:language"] = [edition.lang]
            metadata["pdf:Keywords"] = KEYWORDS
        for name, value in (
            ("Title", edition.title), ("Author", author),
            ("Subject", SUBJECT[edition.code]), ("Keywords", KEYWORDS),
        ):  # fmt: skip
            pdf.docinfo[f"/{name}"] = value
        for name in ("CreationDate", "ModDate"):
            if date:  # that of the commit: what is printed twice is the same
                pdf.docinfo[f"/{name}"] = f"D:{date.replace('-', '')}000000Z"
        pdf.Root.Lang = edition.lang
        pdf.Root.PageMode = Name.UseOutlines
        pdf.Root.ViewerPreferences = Dictionary(DisplayDocTitle=True)
        out.parent.mkdir(parents=True, exist_ok=True)
        pdf.save(out, object_stream_mode=ObjectStreamMode.generate, linearize=True)


def _bookmarks(pdf: Pdf, parts: list[Chapters]) -> None:
    """Part, chapter, section; only the parts are open at first."""

    def item(title: str, place: str) -> OutlineItem:
        return OutlineItem(title, Array(pdf.Root.Dests[f"/{place}"]))

    with pdf.open_outline() as outline:
        outline.root.clear()
        for part in parts:
            above = outline.root
            if part.caption:
                group = item(part.caption, part.sheets[0].key)
                outline.root.append(group)
                above = group.children
            for sheet in part.sheets:
                title = f"{sheet.number}  {sheet.title}" if sheet.number else sheet.title
                chapter = item(title, sheet.key)
                chapter.is_closed = True
                chapter.children.extend(item(name, place) for place, name in sheet.sections)
                above.append(chapter)
