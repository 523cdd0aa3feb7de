"""The Chinese fonts of the book, made ready for its PDF.

Noto CJK has PostScript outlines. Chromium would put them into a PDF as Type 3 fonts: nameless
drawings that viewers show without hinting. So the characters that the book uses are taken out of
the installed fonts and written as small TrueType fonts, which Chromium embeds as they are.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fontTools import subset
from fontTools.pens.cu2quPen import Cu2QuPen
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTFont, newTable

_ERROR = 1.0  # units of the em's 1000: how far a curve may be from the original
_ALWAYS = "".join(map(chr, range(0x20, 0x7F))) + "•"  # with the marker of lists


@dataclass(frozen=True)
class Face:
    """A font of the book by its installed name, and the Debian package that has it."""

    family: str
    package: str
    weight: int = 400
    convert: bool = False
    only: str = ""  #: the characters that are taken from it, if not all
    alias: str = ""  #: its name in the style sheet, if it has one of its own there

    @property
    def name(self) -> str:
        return self.alias or self.family


#: Signs as wide as a character in a Chinese font: they need a form of their own in each language.
_MARKS = "\u2018\u2019\u201c\u201d\u2014\u2026\u00b7"
FACES = [
    *(
        Face(family, "fonts-noto-cjk", weight, convert=True, only=only, alias=alias)
        for family, only, alias in (
            ("Noto Serif CJK SC", "", ""),
            ("Noto Sans CJK SC", "", ""),
            ("Noto Serif CJK SC", _MARKS, "Chinese Marks"),
            ("Noto Sans CJK JP", _MARKS, "Latin Marks"),  # the same letters, with Latin quotes
        )
        for weight in (400, 700)
    ),
    Face("Charis SIL", "fonts-sil-charis"),
    Face("DejaVu Sans Mono", "fonts-dejavu-core"),
]


class MissingFont(Exception):
    """A font that the book is set in is not installed."""


def installed(face: Face) -> tuple[Path, int]:
    """The file that has a face, and which of the file's fonts it is."""
    weight = "bold" if face.weight >= 600 else "regular"
    try:
        answer = subprocess.run(
            ["fc-match", "--format", "%{family}|%{file}|%{index}", f"{face.family}:{weight}"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    except FileNotFoundError:
        raise MissingFont("fc-match is missing: install fontconfig") from None
    families, file, index = answer.split("|")
    if face.family not in families.split(","):
        raise MissingFont(f"{face.family} is missing: install {face.package}")
    return Path(file), int(index)


def write(text: str, folder: Path) -> list[tuple[Face, Path]]:
    """Write the fonts for the characters of ``text`` into ``folder``; check that all are there."""
    made = []
    used = {*text, *_ALWAYS}
    folder.mkdir(parents=True, exist_ok=True)
    for face in FACES:
        source, index = installed(face)
        if face.convert:
            characters = "".join(sorted(used.intersection(face.only) if face.only else used))
            key = f"{source} {source.stat().st_mtime_ns} {characters}"
            digest = hashlib.sha256(key.encode()).hexdigest()[:12]
            path = folder / f"{face.name.replace(' ', '')}-{face.weight}-{digest}.ttf"
            if not path.exists():
                convert(source, index, characters).save(path)
            made.append((face, path))
    return made


def convert(source: Path, index: int, characters: Iterable[str]) -> TTFont:
    """Some characters of a font with PostScript outlines, as a TrueType font."""
    options = subset.Options(
        layout_features=["kern", "liga", "ccmp", "mark", "halt", "palt", "chws"],
        hinting=False,
        notdef_outline=True,
        name_IDs=["*"],
        recalc_bounds=True,  # and with the bounds the limits that a TrueType font states
        font_number=index,
    )
    font = subset.load_font(str(source), options)
    subsetter = subset.Subsetter(options)
    subsetter.populate(unicodes=[ord(character) for character in characters])
    subsetter.subset(font)
    _to_truetype(font)
    return font


def _to_truetype(font: Any) -> None:
    order = font.getGlyphOrder()
    outlines = font.getGlyphSet()
    glyphs = {}
    for name in order:
        pen = TTGlyphPen(outlines)
        outlines[name].draw(Cu2QuPen(pen, _ERROR, reverse_direction=True))
        glyphs[name] = pen.glyph()
    font["loca"] = newTable("loca")
    table = font["glyf"] = newTable("glyf")
    table.glyphOrder, table.glyphs = order, glyphs
    metrics = font["hmtx"].metrics
    for name, glyph in glyphs.items():
        glyph.recalcBounds(table)
        metrics[name] = (metrics[name][0], glyph.xMin)
    limits = font["maxp"]
    limits.tableVersion = 0x00010000
    for field in (
        "maxTwilightPoints", "maxStorage", "maxFunctionDefs", "maxInstructionDefs",
        "maxStackElements", "maxSizeOfInstructions", "maxComponentElements",
    ):  # fmt: skip
        setattr(limits, field, 0)
    limits.maxZones = 1
    font["post"].formatType = 3.0
    for tag in ("CFF ", "VORG"):
        if tag in font:
            del font[tag]
    font.sfntVersion = "\x00\x01\x00\x00"
