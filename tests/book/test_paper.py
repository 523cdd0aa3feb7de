"""From a page of the site to a chapter on paper, without a browser."""

import subprocess

import pytest
from attnbook.languages import EN, ZH
from attnbook.paper import fonts, frame, sheet
from attnbook.paper.contents import Entry, Part, chosen, read
from book.conftest import ROOT

NAVIGATION = """
<nav class="book" id="book"><a class="start" href="index.html">Start of the book</a>
<p class="part">Chapters</p><ul>
<li><a href="notebooks/se.html">Squeeze-and-Excitation <small>2018</small></a></li>
<li><a href="notebooks/cbam.html">CBAM <small>2018</small></a></li></ul>
<p class="part">At hand</p><ul><li><a href="book/api.html">The library</a></li></ul></nav>"""
PAGE = """<article><section id="se">
<h1><span class="section-number">2. </span>SE: one gate<a class="headerlink" href="#se">#</a></h1>
{}</section></article><p class="provenance">Outputs: run.</p>"""
KEYS = {"notebooks/se": "se", "notebooks/cbam": "cbam"}


def outside(path: str) -> str:
    return f"https://site.example/en/{path}"


@pytest.fixture
def on_paper(tmp_path):
    """``on_paper(html)`` → the chapter that a page with this in its first section becomes."""

    def read_(body: str) -> sheet.Sheet:
        (tmp_path / "notebooks").mkdir(exist_ok=True)
        (tmp_path / "notebooks" / "se.html").write_text(PAGE.format(body), "utf8")
        entry = Entry("notebooks/se", "SE")
        return sheet.read(tmp_path, entry, KEYS, tmp_path / "out", outside)

    return read_


def test_the_contents_of_a_built_edition(tmp_path):
    (tmp_path / "index.html").write_text(NAVIGATION, "utf8")
    parts = read(tmp_path)
    assert [part.caption for part in parts] == ["", "Chapters", "At hand"]
    assert parts[1].entries == (
        Entry("notebooks/se", "Squeeze-and-Excitation"),
        Entry("notebooks/cbam", "CBAM"),
    )
    assert chosen(parts, ["book/api"]) == [Part("At hand", (Entry("book/api", "The library"),))]
    with pytest.raises(ValueError, match="no such page: book/nothing"):
        chosen(parts, ["book/nothing"])


def test_title_number_sections_and_provenance(on_paper):
    chapter = on_paper('<section id="se-cost"><h2>Cost</h2></section>')
    assert (chapter.number, chapter.title) == ("2", "SE: one gate")
    assert chapter.sections == [("se--se-cost", "Cost")]
    assert chapter.provenance == "Outputs: run."
    assert "<h1" not in chapter.html


def test_links_within_the_book_lead_to_its_places_and_tell_the_page(on_paper):
    html = on_paper(
        '<p id="here"><a href="cbam.html#cbam-cost">CBAM</a>'
        ' <a href="cbam.html#cbam-cost">again</a> <a href="#here">here</a></p>'
    ).html
    assert '<a href="#cbam--cbam-cost">CBAM<span class="on-page" data-to="cbam--cbam-cost">' in html
    assert '<a href="#cbam--cbam-cost">again</a>' in html  # once a section is enough
    assert '<p id="se--here">' in html
    assert '<a href="#se--here">here</a>' in html


def test_links_out_of_the_book_get_a_number_and_their_address(on_paper):
    chapter = on_paper(
        '<p><a href="https://a.example/x">one</a> <a href="../book/api.html#api-se">two</a>'
        ' <a href="https://a.example/x">one again</a> <a href="https://b.example/">b.example</a>'
        ' <a href="https://arxiv.org/abs/1709.01507">arXiv:1709.01507</a>'
        ' <a href="se.ipynb">notebook</a></p>'
    )
    assert chapter.addresses == [
        "https://a.example/x",
        "https://site.example/en/book/api.html#api-se",
        "https://site.example/en/notebooks/se.ipynb",
    ]
    assert chapter.html.count('<sup class="address">1</sup>') == 2
    assert chapter.html.count("<sup") == 4  # what says its address needs none


def test_the_screen_stays_behind(on_paper):
    html = on_paper(
        '<button class="copy">Copy</button><script>x</script>'
        '<div class="hero"><ul><li>Start</li></ul></div>'
        '<span class="katex"><span class="katex-mathml">x</span>X</span>'
        "<table><thead><tr><th><button>Year</button></th></tr></thead></table>"
        '<div class="map"><svg class="small"></svg></div><a class="headerlink" href="#se">#</a>'
    ).html
    for lost in ("Copy", "<script", "Start", "katex-mathml", 'class="small"', "headerlink"):
        assert lost not in html
    assert "<th>Year</th>" in html


def test_what_is_folded_lies_open(on_paper):
    html = on_paper(
        '<details class="hide"><summary><p class="collapsed">Solution</p>'
        '<p class="expanded">Solution</p></summary><p>because</p></details>'
    ).html
    assert "<details" not in html
    assert html.count("Solution") == 1
    assert '<div class="hide unfolded"><div class="fold-title">' in html
    assert "because" in html


def test_a_column_of_colab_links_goes_other_columns_stay(on_paper):
    colab = '<td><a href="https://colab.research.google.com/x">Colab</a></td>'
    html = on_paper(
        "<table><thead><tr><th>Name</th><th>Colab</th><th>Cost</th></tr></thead>"
        f"<tbody><tr><th>SE</th>{colab}<td>1</td></tr><tr><th>ECA</th>{colab}<td>2</td></tr>"
        "</tbody></table>"
    ).html
    assert "colab" not in html.lower()
    assert "<th>Cost</th>" in html
    assert html.count("<td>") == 2


def test_pictures_are_found_from_the_new_place(on_paper):
    html = on_paper(
        '<a class="reference internal image-reference" href="../_images/a.png">'
        '<img loading="lazy" src="../_images/a.png"/></a>'
    ).html
    assert '<img src="../_images/a.png"/>' in html
    assert "lazy" not in html
    assert "<a " not in html


def test_names_within_pictures_follow_their_ids(on_paper):
    html = on_paper(
        '<svg aria-labelledby="t d"><title id="t">T</title><desc id="d">D</desc>'
        '<marker id="m"></marker><path marker-end="url(#m)"></path><use href="#t"></use></svg>'
    ).html
    assert 'aria-labelledby="se--t se--d"' in html
    assert 'marker-end="url(#se--m)"' in html
    assert 'href="#se--t"' in html


def test_code_says_how_wide_it_is(on_paper):
    html = on_paper("<pre>ab\nabcd</pre><pre>" + "x" * 120 + "\nabc</pre><pre>通道</pre>").html
    assert html.count("--columns: 4") == 2  # Chinese characters take two columns
    assert "--columns: 3" in html  # the long line wraps, whatever the size


def test_the_author_in_both_languages():
    assert frame.author(ROOT, EN).startswith("The authors of ")
    assert frame.author(ROOT, ZH) == f"《{ZH.title}》作者"


def test_a_missing_font_is_named_with_its_package(monkeypatch):
    def other_font(*args, **kwargs):
        return subprocess.CompletedProcess(args, 0, stdout="DejaVu Sans|/x/DejaVuSans.ttf|0")

    monkeypatch.setattr(subprocess, "run", other_font)
    with pytest.raises(fonts.MissingFont, match="Charis SIL is missing: install fonts-sil-charis"):
        fonts.installed(fonts.Face("Charis SIL", "fonts-sil-charis"))
