"""One source, two languages: the filter that Sphinx's sources go through."""

import json

from attnbook.editions import describe_svg, filter_markdown, filter_notebook
from attnbook.languages import EN, ZH, edition_of

PAGE = """\
---
description:
  en: One
  zh: 一
license: MIT
---

+++ {"tags": ["lang-en"]}

Hello

```text
+++ {"tags": ["lang-zh"]}
```

after

+++ {"tags": ["lang-zh"]}

你好

+++

both
"""


def words(text):
    return [line for line in text.split("\n")[6:] if line]


def test_a_page_keeps_the_blocks_of_its_language_and_those_of_both():
    fence = ["```text", '+++ {"tags": ["lang-zh"]}', "```"]
    assert words(filter_markdown(PAGE, EN)) == ["Hello", *fence, "after", "both"]
    assert words(filter_markdown(PAGE, ZH)) == ["你好", "both"]


def test_lines_keep_their_numbers_so_that_warnings_point_at_the_source():
    for edition in (EN, ZH):
        filtered = filter_markdown(PAGE, edition).split("\n")
        assert len(filtered) == len(PAGE.split("\n"))
        assert filtered.index("both") == PAGE.split("\n").index("both")


def test_front_matter_is_in_one_language():
    first = filter_markdown(PAGE, ZH).split("\n")[1]
    assert json.loads(first) == {"description": "一", "license": "MIT"}


def test_a_notebook_keeps_its_code_and_one_language():
    def prose(language, source):
        return {
            "cell_type": "markdown",
            "metadata": {"tags": [f"lang-{language}"]},
            "source": source,
        }

    code = {"cell_type": "code", "metadata": {}, "source": "1", "outputs": []}
    notebook = {
        "metadata": {"description": {"en": "One", "zh": "一"}},
        "cells": [prose("en", "Hello"), prose("zh", "你好"), code],
    }
    for edition, text, description in ((EN, "Hello", "One"), (ZH, "你好", "一")):
        filtered = filter_notebook(notebook, edition)
        assert [cell["source"] for cell in filtered["cells"]] == [text, "1"]
        assert filtered["metadata"]["description"] == description


def test_a_figure_gets_name_caption_and_alternative_text_of_its_language():
    figure = {
        "name": "fig-x",
        "alt": {"en": "a dot", "zh": "一个点"},
        "caption": {"en": "One dot.", "zh": "一个点。"},
    }
    svg = {
        "output_type": "display_data",
        "data": {"text/html": ["<svg>", "</svg>"]},
        "metadata": {},
    }
    cell = {"cell_type": "code", "metadata": {"figure": figure}, "source": "", "outputs": [svg]}
    (filtered,) = filter_notebook({"metadata": {}, "cells": [cell]}, ZH)["cells"]
    assert filtered["metadata"] == {
        "mystnb": {"figure": {"name": "fig-x", "caption": "一个点。"}, "image": {"alt": "一个点"}}
    }
    assert filtered["outputs"][0]["data"]["text/html"].startswith(
        '<svg role="img" aria-label="一个点">'
    )
    assert cell["metadata"] == {"figure": figure}  # the source is left alone


def test_svg_takes_one_name_and_keeps_the_rest():
    html = '<div><svg viewBox="0 0 1 1" role="img" aria-label="old"><svg/></svg></div>'
    output = describe_svg({"data": {"text/html": html}}, 'a "new" <name>')
    assert output["data"]["text/html"] == (
        '<div><svg role="img" aria-label="a &quot;new&quot; &lt;name&gt;" viewBox="0 0 1 1">'
        "<svg/></svg></div>"
    )
    assert describe_svg({"data": {"text/plain": "1"}}, "x") == {"data": {"text/plain": "1"}}
    assert describe_svg({"output_type": "stream", "text": "1"}, "x")["text"] == "1"


def test_edition_of_a_sphinx_language():
    assert edition_of("zh_CN") is ZH
    assert edition_of("en") is EN
    assert edition_of(None) is EN
    assert ZH.sphinx == "zh_CN"  # zh-cn would silently give an English interface
    assert EN.other is ZH
    assert ZH.other is EN
