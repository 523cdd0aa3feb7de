"""Both editions of the small book, built: what readers, browsers and search engines get."""

import html
import json
import os
import re
import shutil
import subprocess
import sys

import pytest
from attnbook.addresses import Addresses
from attnbook.export import leftovers
from attnbook.root import write_root, write_sitemap
from attnbook.wheel import build_wheel
from book.conftest import build_edition

PAGES = ["index", "notebooks/demo", "book/page", "book/references"]
SITE = "https://attnlib.github.io/visual-attention"


def read(site, edition, page):
    return (site / edition / f"{page}.html").read_text("utf8")


def article(text):
    """The page's own content, without what the template puts around it."""
    return re.search(r"<article.*?</article>", text, re.DOTALL)[0]


@pytest.mark.parametrize("page", PAGES)
def test_sections_have_the_same_addresses_in_both_editions(mini_site, page):
    ids = [
        re.findall(
            r'<(?:section|figure|div class="math)[^>]*? id="([^"]+)"',
            article(read(mini_site, e, page)),
        )
        for e in ("en", "zh")
    ]
    assert ids[0] == ids[1]
    assert not [i for i in ids[0] if re.fullmatch(r"id\d+", i)]


def test_permalinks_use_the_explicit_label(mini_site):
    for edition in ("en", "zh"):
        text = article(read(mini_site, edition, "notebooks/demo"))
        assert '<section id="demo-derivation">' in text
        assert 'href="#demo-derivation"' in text


@pytest.mark.parametrize("page", PAGES)
def test_each_edition_holds_its_own_language(mini_site, page):
    english = article(read(mini_site, "en", page))
    assert not re.search(r"[\u4e00-\u9fff]", english)
    assert re.search(r"[\u4e00-\u9fff]", article(read(mini_site, "zh", page)))
    assert "lang-en" not in english
    assert "+++" not in re.sub(r"<pre>.*?</pre>", "", english, flags=re.DOTALL)


@pytest.mark.parametrize("page", PAGES)
def test_heads_name_language_twin_and_canonical(mini_site, page):
    for edition, lang in (("en", "en"), ("zh", "zh-CN")):
        text = read(mini_site, edition, page)
        assert f'<html lang="{lang}"' in text
        for hreflang, folder in (("en", "en"), ("zh-CN", "zh"), ("x-default", "en")):
            assert (
                f'<link rel="alternate" hreflang="{hreflang}" href="{SITE}/{folder}/{page}.html" />'
                in text
            )
        (canonical,) = re.findall(r'<link rel="canonical" href="([^"]+)"', text)
        assert canonical == f"{SITE}/{edition}/{page}.html"
        (description,) = re.findall(r'<meta name="description" content="([^"]+)"', text)
        assert bool(re.search(r"[\u4e00-\u9fff]", description)) == (edition == "zh")


@pytest.mark.parametrize("page", PAGES)
def test_the_switch_leads_to_the_same_page(mini_site, page):
    for edition, other in (("en", "zh"), ("zh", "en")):
        (link,) = re.findall(r'<a [^>]*rel="alternate"[^>]*>', read(mini_site, edition, page))
        href = re.search(r'href="([^"]+)"', link)[1]
        folder = (mini_site / edition / page).parent
        assert (folder / href).resolve() == (mini_site / other / f"{page}.html").resolve()


def test_the_list_of_references_uses_the_labels_of_the_text(mini_site):
    for edition in ("en", "zh"):
        text = article(read(mini_site, edition, "book/references"))
        assert re.search(
            r'id="ref-hu2018squeeze".*?<span class="label">.*?Hu et al\., 2018<', text, re.DOTALL
        )
        assert "Squeeze-and-Excitation Networks" in text
        assert text.count(">arXiv:1709.01507</a>") == 1
        assert ">https://arxiv.org/abs/1709.01507<" not in text
        chapter = article(read(mini_site, edition, "notebooks/demo"))
        assert 'href="../book/references.html#ref-hu2018squeeze"' in chapter


def test_formulas_are_finished_and_nothing_is_fetched_for_them(mini_site):
    text = read(mini_site, "zh", "notebooks/demo")
    assert text.count('class="katex-display"') == 2
    assert "mathjax" not in re.sub(r"(tex2jax|mathjax)_ignore", "", text.lower())
    assert "\\frac" not in re.sub(
        r"<annotation.*?</annotation>", "", article(text), flags=re.DOTALL
    )
    assert (mini_site / "zh" / "_static" / "katex" / "fonts" / "KaTeX_Main-Regular.woff2").is_file()
    assert "katex" not in read(mini_site, "zh", "index")
    for preload in re.findall(r'<link rel="preload" href="([^"]+)" as="font"', text):
        assert (mini_site / "zh" / "notebooks" / preload).is_file()


def test_equations_and_figures_are_numbered_and_linked(mini_site):
    for edition, figure in (("en", "Fig. 1.1"), ("zh", "图 1.1")):
        text = article(read(mini_site, edition, "notebooks/demo"))
        assert '<a class="reference internal" href="#equation-eq-demo-mean">(1.1)</a>' in text
        assert '<span class="eqno">(1.2)' in text
        assert (
            f'href="#fig-demo-structure"><span class="std std-numref">{figure}</span></a>' in text
        )
        other = article(read(mini_site, edition, "book/page"))
        assert 'href="../notebooks/demo.html#equation-eq-demo-mean">(1.1)</a>' in other


def test_figures_are_figures_with_alternative_text(mini_site):
    for edition, dot, box in (
        ("en", "A dot", 'A box named "x"'),
        ("zh", "一个点", "一个写着“x”的方块"),
    ):
        text = article(read(mini_site, edition, "notebooks/demo"))
        assert re.search(rf'<figure [^>]*id="fig-demo-dot">\s*<img [^>]*alt="{dot}"', text)
        (label,) = re.findall(r'<svg role="img" aria-label="([^"]*)"', text)
        assert html.unescape(label).startswith(box)
        assert text.count("<figcaption>") == 2


@pytest.mark.parametrize("edition", ["en", "zh"])
def test_the_notebook_beside_the_page_is_plain_and_executed(mini_site, edition):
    path = mini_site / edition / "notebooks" / "demo.ipynb"
    notebook = json.loads(path.read_text("utf8"))
    assert leftovers(notebook) == []
    assert f'href="{path.name}" download' in read(mini_site, edition, "notebooks/demo")
    code = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] for cell in code)
    assert {"output_type": "stream", "name": "stdout", "text": "3.0\n"} in code[2]["outputs"]
    prose = "".join(
        cell["source"] for cell in notebook["cells"][1:] if cell["cell_type"] == "markdown"
    )
    assert bool(re.search(r"[\u4e00-\u9fff]", prose)) == (edition == "zh")
    # The numbers that the page shows.
    assert "\\tag{1.1}" in prose
    assert ("图 1.1" if edition == "zh" else "Fig. 1.1") in prose


def test_pages_link_to_their_source_and_to_a_report(mini_site):
    text = html.unescape(read(mini_site, "zh", "notebooks/demo"))
    assert "/edit/main/notebooks/demo.md" in text
    assert "/issues/new?title=%E9%A1%B5%E9%9D%A2%E9%97%AE%E9%A2%98" in text
    assert "zh%2Fnotebooks%2Fdemo.html" in text


def test_pages_say_what_their_outputs_were_made_with(mini_site, executed_mini):
    pair = json.loads((executed_mini / "notebooks" / "demo.ipynb").read_text("utf8"))
    record = pair["metadata"]["attnbook"]
    for edition in ("en", "zh"):
        (line,) = re.findall(
            r'class="provenance">(.*?)</p>', read(mini_site, edition, "notebooks/demo")
        )
        assert record["torch"] in line
        assert record["date"] in line
        assert html.escape(record["device"]) in line


def test_a_formula_that_cannot_be_set_stops_the_build_and_is_named(mini, tmp_path):
    page = mini / "book" / "page.md"
    page.write_text(
        page.read_text("utf8").replace("The chapter", r"With $\nosuchmacro$ the chapter"), "utf8"
    )
    result = build_edition(mini, "en", tmp_path / "out")
    assert result.returncode != 0
    assert "book/page: KaTeX cannot set" in result.stderr
    assert "nosuchmacro" in result.stderr
    assert not (tmp_path / "out").exists()


def test_a_broken_reference_stops_the_build(mini, tmp_path):
    page = mini / "book" / "page.md"
    page.write_text(
        page.read_text("utf8").replace("{eq}`eq-demo-mean`", "{eq}`eq-demo-sum`"), "utf8"
    )
    result = build_edition(mini, "zh", tmp_path / "out")
    assert result.returncode != 0
    assert "eq-demo-sum" in result.stderr


def plain_jupyter_book(source, out):
    """`jupyter-book build .`: warnings are errors; → the pages."""
    environment = {**os.environ, "PYTHONPATH": ""}
    command = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]
    command += ["build", ".", "--path-output", str(out), "-W", "-n", "--keep-going"]
    result = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=source)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "WARNING" not in result.stdout + result.stderr
    return out / "_build" / "html"


def test_plain_jupyter_book_gives_the_english_edition(executed_mini, tmp_path):
    text = (plain_jupyter_book(executed_mini, tmp_path) / "notebooks" / "demo.html").read_text(
        "utf8"
    )
    assert '<html lang="en"' in text
    assert "Demo: one mean" in text
    assert f'href="{SITE}/zh/notebooks/demo.html"' in text  # the twin is not beside it


def test_plain_jupyter_book_builds_this_very_book(root, tmp_path):
    pages = plain_jupyter_book(root, tmp_path)
    assert '<html lang="en"' in (pages / "notebooks" / "se.html").read_text("utf8")
    assert "conf.py" not in os.listdir(root)


def test_the_root_of_the_site(mini_site, mini, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(mini_site, site)
    (mini / "book" / "_root").mkdir()
    (mini / "book" / "_root" / "index.html").write_text(
        '<a href="{{ path }}en/">{{ site }}</a>', "utf8"
    )
    addresses = Addresses.load(mini, environment={})
    write_root(mini, site, addresses)
    write_sitemap(site, addresses)
    assert (site / ".nojekyll").exists()
    assert (site / "index.html").read_text("utf8") == f'<a href="/visual-attention/en/">{SITE}</a>'
    sitemap = (site / "sitemap.xml").read_text("utf8")
    assert sitemap.count("<loc>") == 2 * len(PAGES)
    assert f'hreflang="zh-CN" href="{SITE}/zh/notebooks/demo.html"' in sitemap
    assert "genindex" not in sitemap


def test_the_wheel_is_the_one_that_chapters_install(root, tmp_path):
    wheel = build_wheel(root, tmp_path / "a")
    assert wheel.name == Addresses.load(root, environment={}).wheel_name
    again = build_wheel(root, tmp_path / "b")
    assert wheel.read_bytes() == again.read_bytes()
