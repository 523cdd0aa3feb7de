# ruff: noqa: E501 (one construct, one line)
"""A chapter as a plain notebook: what becomes of each construct, and what is found if one stays."""

import pytest
from attnbook.addresses import Addresses
from attnbook.citations import Citation, read
from attnbook.export import export, leftovers, plain
from attnbook.languages import EN, ZH


class Numbered:
    """A chapter with one section, one equation and one figure of its own, and another page."""

    figure_format = "Fig. %s"

    def equation(self, label):
        return {"eq-x-here": ("2.1", ""), "eq-y-there": ("1.4", "https://s/en/y.html#e")}[label]

    def figure(self, label):
        return {"fig-x-here": ("2.1", ""), "fig-y-there": ("1.2", "https://s/en/y.html#f")}[label]

    def section(self, label):
        return {"x-cost": ("Cost", ""), "y-cost": ("Cost of y", "https://s/en/y.html#c")}[label]

    def page(self, name):
        return {"y": ("Page y", "https://s/en/y.html")}[name]

    def image(self, path):
        return f"https://s/en/_images/{path.rpartition('/')[2]}"

    def citation(self, key):
        return {
            "a": Citation("Hu et al.", "2018", "https://a"),
            "b": Citation("Vaswani", "2017", ""),
        }[key]


@pytest.mark.parametrize(
    ("myst", "markdown"),
    [
        ("(x-cost)=\n## Cost", "## Cost"),
        ("see {cite:p}`a,b`.", "see ([Hu et al., 2018](https://a), Vaswani, 2017)."),
        ("{cite:t}`a` say", "[Hu et al. (2018)](https://a) say"),
        ("by {eq}`eq-x-here` and {eq}`eq-y-there`", "by (2.1) and [(1.4)](https://s/en/y.html#e)"),
        ("{numref}`fig-x-here`", "Fig. 2.1"),
        ("{numref}`picture %s <fig-y-there>`", "[picture 1.2](https://s/en/y.html#f)"),
        (
            "{ref}`the price <x-cost>`, {ref}`y-cost`",
            "the price, [Cost of y](https://s/en/y.html#c)",
        ),
        (
            "{doc}`y`, {doc}`words <y>`",
            "[Page y](https://s/en/y.html), [words](https://s/en/y.html)",
        ),
        ("$$\nx\n$$ (eq-x-here)", "$$\nx\n\\tag{2.1}\n$$"),
        ("$$\nx\n$$", "$$\nx\n$$"),
        ("$$ x $$ (eq-x-here)", "$$\nx\n\\tag{2.1}\n$$"),
        (":::{note}\nmind {eq}`eq-x-here`\n:::", "> **Note**\n>\n> mind (2.1)"),
        (
            ":::{admonition} Why $r$?\nso\n\n$$\nx\n$$\n:::",
            "> **Why $r$?**\n>\n> so\n>\n> $$\n> x\n> $$",
        ),
        (
            ":::{dropdown} Solution\nhalf\n:::",
            "<details>\n<summary>Solution</summary>\n\nhalf\n\n</details>",
        ),
        (
            "::::{dropdown} Solution\n:::{tip}\nt\n:::\n::::",
            "<details>\n<summary>Solution</summary>\n\n> **Tip**\n>\n> t\n\n</details>",
        ),
        (
            ":::{div} paper-card\n| a |\n|---|\n| {cite:t}`b` |\n:::",
            "| a |\n|---|\n| Vaswani (2017) |",
        ),
        ("![a dot](../book/_static/dot.png)", "![a dot](https://s/en/_images/dot.png)"),
        ("`{eq}` and `$x$` and $a_b$ stay", "`{eq}` and `$x$` and $a_b$ stay"),
        ("```python\n(x)=\n:::\n```", "```python\n(x)=\n:::\n```"),
        ("costs 5 $ and 7 $", "costs 5 $ and 7 $"),
    ],
)
def test_constructs(myst, markdown):
    assert plain(myst, EN, Numbered()) == markdown


def test_titles_of_admonitions_are_in_the_language():
    assert plain(":::{warning}\n小心\n:::", ZH, Numbered()) == "> **警告**\n>\n> 小心"


def cell(source, kind="markdown", **metadata):
    base = {"cell_type": kind, "id": "i", "metadata": metadata, "source": source}
    return base | (
        {"outputs": [{"output_type": "stream"}], "execution_count": 1} if kind == "code" else {}
    )


@pytest.fixture
def addresses():
    return Addresses("https://g/o/n", "main", "https://s", "gh-pages", "attnlib-9-py3-none-any.whl")


def test_a_notebook_in_one_language_with_outputs_and_its_own_install_cell(addresses):
    notebook = {
        "metadata": {"kernelspec": {"name": "python3"}, "jupytext": {}, "attnbook": {}},
        "cells": [
            cell("Hi", tags=["lang-en"]),
            cell("嗨", tags=["lang-zh"]),
            cell("install", "code"),
            cell(
                "draw()", "code", tags=["hide-cell"],
                figure={"name": "fig-x-here", "alt": "a", "caption": {"en": "By {eq}`eq-x-here`.", "zh": "图"}},
            ),
        ],
    }  # fmt: skip
    out = export(notebook, "notebooks/x", EN, Numbered(), addresses)
    opening, hi, install, draw, caption = out["cells"]
    assert "https://s/en/notebooks/x.html" in opening["source"]
    assert "/zh/notebooks/x.ipynb" in opening["source"]
    assert hi == {"cell_type": "markdown", "id": "i", "metadata": {}, "source": "Hi"}
    assert install["source"] == addresses.install_cell
    assert "https://s/wheels/attnlib-9-py3-none-any.whl" in install["source"]
    assert install["outputs"] == [{"output_type": "stream"}]
    assert draw["metadata"] == {"jupyter": {"source_hidden": True, "outputs_hidden": True}}
    assert caption["source"] == "*Fig. 2.1*: By (2.1)."
    assert set(out["metadata"]) == {"kernelspec", "colab"}
    assert out["metadata"]["colab"]["name"] == "x.ipynb"
    assert leftovers(out) == []


@pytest.mark.parametrize(
    "left",
    [
        "(x-cost)=", "{eq}`eq-x-here`", "{cite:p}`a`", ":::{note}", "> :::{note}", "```{figure} x.png",
        "$$ x $$ (eq-x)", '+++ {"tags": []}', "[y](y.html)", "![y](../y.png)", "see {doc}",
    ],
)  # fmt: skip
def test_leftovers_are_found(left):
    notebook = {"cells": [cell("fine"), cell(f"a\n\n{left}\n\nb")]}
    assert leftovers(notebook), left
    assert leftovers(notebook)[0].startswith("cell 2: ")


@pytest.mark.parametrize(
    "fine",
    [
        "```text\n(x)=\n:::{note}\n```",
        "`{eq}`",
        "$$\n\\frac{a}{b}\n$$",
        "[y](https://y)",
        "set {1, 2}",
    ],
)
def test_plain_markdown_is_no_leftover(fine):
    assert leftovers({"cells": [cell(fine)]}) == []


def test_citations_of_the_book(root):
    sources = read(root / "book" / "references.bib")
    assert sources["hu2018squeeze"] == Citation(
        "Hu et al.", "2018", "https://arxiv.org/abs/1709.01507"
    )
    assert all(source.year and source.url for source in sources.values())
