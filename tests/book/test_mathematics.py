"""Formulas are set when the book is built."""

import re

import pytest
from attnbook.mathematics import KATEX_VERSION, STATIC, FormulaError, render


def test_a_formula_is_html_for_eyes_and_mathml_for_screen_readers():
    html = render("s = \\sigma(W_2 z)", display=False)
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML">' in html
    assert 'class="katex-html" data-pagefind-ignore aria-hidden="true"' in html
    assert "katex-display" not in html
    assert "katex-display" in render("x", display=True)


@pytest.mark.parametrize(
    "tex",
    [
        r"\begin{aligned} z &= c \\ &= x_{11} \end{aligned}",
        r"\mathbf{s} = \operatorname{softmax}\left(\frac{QK^\top}{\sqrt{d}}\right) \tag{7}",
        r"x \odot \underbrace{\sigma(\cdot)}_{\text{gate}}",
        r"\text{门控} = \mathbb{R}^{C \times H \times W}",
    ],
)
def test_what_chapters_use_can_be_set(tex):
    assert "<math" in render(tex, display=True)


@pytest.mark.parametrize("tex", [r"\sofmax(x)", r"\frac{1}{", "x_1_2", r"a $ b"])
def test_a_formula_that_cannot_be_set_is_an_error_that_shows_it(tex):
    with pytest.raises(FormulaError, match=re.escape("KaTeX cannot set")):
        render(tex, display=False)


def test_style_sheet_and_fonts_are_of_the_version_that_sets_the_formulas():
    readme = (STATIC / "katex" / "README").read_text("utf8")
    assert readme.startswith(f"KaTeX {KATEX_VERSION},")
    css = (STATIC / "katex" / "katex.min.css").read_text("utf8")
    assert f'"{KATEX_VERSION}"' in css
    fonts = re.findall(r"url\(([^)]+)\)", css)
    assert len(fonts) == 20
    assert all((STATIC / "katex" / font).is_file() for font in fonts)
