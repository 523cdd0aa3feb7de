"""What the look does to the page's own HTML, without a build."""

from __future__ import annotations

import struct

import pytest
from attnbook import look


def formula(tex: str) -> str:
    return (
        '<span class="math notranslate nohighlight"><span class="katex"><span>'
        f'<annotation encoding="application/x-tex">{tex}</annotation></span></span></span>'
    )


@pytest.mark.parametrize(
    ("before", "after", "rest"), [("", "，", "再"), ("(", ")", " and"), ("（", "）。", "又")]
)
def test_punctuation_stays_with_its_formula(before, after, rest):
    body = f"<p>一个数 {before}{formula('x')}{after}{rest}</p>"
    tie = f'<span class="tie">{before}{formula("x")}{after}</span>'
    assert look.tied(body) == f"<p>一个数 {tie}{rest}</p>"


def test_long_and_lonely_formulas_are_left_alone():
    body = f"<p>{formula('x' * 30)}，{formula('y')} 和 {formula('z')}</p>"
    assert look.tied(body) == body


def test_two_formulas_in_a_row_keep_their_text():
    body = f"<p>a {formula('x')},{formula('y')}. b</p>"
    assert look.tied(body).replace('<span class="tie">', "").count("</span>") == 8
    assert look.tied(body).count('class="tie"') == 2


def test_words_of_the_tools_are_in_the_language_of_the_page():
    body = (
        '<summary aria-label="Toggle hidden content"><p>Show code cell source</p></summary>'
        '<a title="Link to this heading">#</a><em>et al.</em><em>通道</em>'
        '<div role="list" class="citation-list">'
    )
    chinese = look.mend(body, "zh")
    assert "本图的代码" in chinese
    assert 'title="本节链接"' in chinese
    assert '<em class="latin">et al.</em><em>通道</em>' in chinese
    assert "Toggle" not in chinese
    assert 'role="list"' not in chinese
    english = look.mend(body, "en")
    assert "Code of this figure" in english
    assert "Link to this heading" in english


def test_the_size_of_a_picture_follows_its_resolution():
    def png(width: int, height: int, per_metre: int | None) -> bytes:
        size = b"IHDR" + struct.pack(">II", width, height) + bytes(5)
        data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + size + bytes(4)
        if per_metre:
            data += struct.pack(">I", 9) + b"pHYs" + struct.pack(">IIB", per_metre, per_metre, 1)
        return data

    assert look.png_size(png(800, 400, 7559)) == (400, 200)  # 192 dots per inch
    assert look.png_size(png(800, 400, None)) == (800, 400)
    assert look.png_size(b"GIF89a") is None


@pytest.mark.parametrize(
    ("title", "short"),
    [
        ("SE：给每个通道一道门", "SE"),
        ("CBAM: first which channel", "CBAM"),
        ("Notation", "Notation"),
    ],
)
def test_short_titles(title, short):
    assert look.short_title(title) == short
