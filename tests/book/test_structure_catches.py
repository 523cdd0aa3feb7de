# ruff: noqa: E501 (one fault, one line)
"""Every fault that the checks look for, put into the small book: it is found, with file and cell."""

import json
import re

import pytest
from attnbook.structure import problems

DEMO, PAGE = "notebooks/demo.md", "book/page.md"
EN, ZH = '+++ {"tags": ["lang-en"]}', '+++ {"tags": ["lang-zh"]}'


def test_the_small_book_is_without_fault(executed_mini):
    assert problems(executed_mini) == []


def found(mini, file, old, new):
    path = mini / file
    text = path.read_text("utf8")
    assert old in text, old
    path.write_text(text.replace(old, new, 1), "utf8")
    # An edit without a run is a fault of its own; here the others are looked for.
    return [str(p) for p in problems(mini) if "run `make notebooks`" not in str(p)]


SOURCE_FAULTS = [
    # pairs
    (DEMO, f"{ZH}\n\n(demo-trace)=\n## 形状追踪\n\n三个数变成一个数。\n", "", "English block without a Chinese"),
    (DEMO, f"{EN}\n\n(demo-trace)=\n## Shape trace\n\nThree numbers become one.\n", "", "without an English block"),
    (DEMO, f"{ZH}\n\n(demo-time)=", "+++\n\n(demo-time)=", "needs one tag"),
    (DEMO, "```{code-cell} python\nx = [1.0", '```{code-cell} python\n:tags: [lang-en]\n\nx = [1.0', "both languages"),
    (DEMO, "(demo-trace)=\n## 形状", "(demo-tracing)=\n## 形状", "labels differ"),
    (DEMO, "## 形状追踪", "### 形状追踪", "headings differ"),
    (DEMO, "常数保持不变：\n\n$$\n\\begin{aligned}\nz &= c", "常数保持不变：\n\n$$\n\\begin{aligned}\nz &= d", "equations differ"),
    (DEMO, "x_{ij}\n$$ (eq-demo-mean)\n\n由", "x_{ij}\n$$ (eq-demo-sum)\n\n由", "equations differ"),
    (DEMO, "由 {eq}`eq-demo-mean`", "由 {eq}`eq-demo-constant`", "references to equations differ"),
    (DEMO, "- {cite:t}`hu2018squeeze`，", "- {cite:t}`vaswani2017attention`，", "citations differ"),
    (DEMO, "见{numref}`fig-demo-structure`", "见{numref}`fig-demo-dot`", "references to figures differ"),
    (DEMO, "按{ref}`推导 <demo-derivation>`", "按{ref}`推导 <demo-card>`", "references to sections differ"),
    (DEMO, "另见{doc}`没有代码的一页 </book/page>`", "另见{doc}`文献 </book/references>`", "references to pages differ"),
    (DEMO, ":::{note}\n对任何", ":::{tip}\n对任何", "directives differ"),
    (DEMO, "| 几乎所有人 | 只除以 `H` |\n", "", "table rows differ"),
    (DEMO, "- 用一个数代表许多数。", "- 用一个数代表许多数。\n- 完。", "list items differ"),
    (PAGE, "```text\n+++ this line is code, no block begins here\n```\n\n+++", "```text\nother\n```\n\n+++", "code blocks differ"),
    # subset
    (DEMO, "Three numbers become one.", "Three {sub}`numbers` become one.", "role {sub}"),
    (DEMO, "Three numbers become one.", ":::{figure} x.png\n:::", "directive {figure}"),
    (PAGE, "The chapter", ":::{grid}\n:::\n\nThe chapter", "directive {grid}"),
    (DEMO, ":::{note}\nThis holds for every `H` and $W$.\n:::", ":::{note}\nThis holds.", "not closed"),
    (DEMO, "Three numbers become one.", "Three numbers[^1] become one.", "footnote"),
    (DEMO, "Three numbers become one.", "Three <b>numbers</b> become one.", "raw HTML"),
    (DEMO, "Three numbers become one.", "Three <!-- --> numbers", "HTML comment"),
    (DEMO, "Three numbers become one.", "% Three numbers", "MyST comment"),
    (DEMO, "Three numbers become one.", "Three {{ numbers }}", "substitution"),
    (DEMO, "Three numbers become one.", "Three [numbers](page.md)", "use {doc} or {ref}"),
    (DEMO, "(demo-trace)=\n## Shape", "## Shape", "has no label line"),
    (DEMO, "## Shape trace", "## Shape trace of $x$", "plain words only"),
    (DEMO, "(demo-summary)=\n## Summary", "(summary)=\n## Summary", "must begin with 'demo-'"),
    (DEMO, "$$ (eq-demo-constant)\n\n:::{note}\nThis", "$$ (eq-constant)\n\n:::{note}\nThis", "must be named 'eq-demo-"),
    (DEMO, "tags: [hide-input]", "tags: [hide-inputs]", "unknown tag 'hide-inputs'"),
    (PAGE, "(page)=\n# A page", "(home)=\n# A page", "'home' is taken by index.md"),
    # code
    (DEMO, "print(z)", "print(z)  # 均值", "code holds no Chinese"),
    (DEMO, "import attnlib\n", "import attnlib as a\n", "must be the install cell"),
    (DEMO, "attnlib-0.1.0", "attnlib-0.0.1", "must be the install cell"),
    # figures
    (DEMO, "  alt: {en: A dot, zh: 一个点}\n", "", "needs `alt` in `en` and `zh`"),
    (DEMO, "alt: {en: A dot, zh: 一个点}", 'alt: {en: A dot, zh: ""}', "empty alt in zh"),
    (DEMO, "{en: A dot, zh: 一个点}", "{en: A dot, zh: A dot}", "is in the other language"),
    (DEMO, "caption: {en: One dot., zh: 一个点。}", "caption: {en: One dot.}", "needs `caption`"),
    (DEMO, "  name: fig-demo-dot", "  name: fig-dot", "must be named 'fig-demo-"),
    (DEMO, "  name: fig-demo-dot", "  name: fig-demo-structure", "is also in"),
    # rooms
    (DEMO, "(demo-see)=\n## See", "(demo-look)=\n## See", "room (demo-see)= is missing"),
    (DEMO, "(demo-see)=\n## See", "(demo-look)=\n## See", "no room; lower it"),
    (DEMO, "We add and divide,", "(demo-more)=\n# More\n\nWe add and divide,", "one title"),
    (DEMO, "  zh: 一个均值，以及由它得到的一切。\n", "", "needs `description:`"),
    (DEMO, "en: One mean, and", f"en: {'One mean, and ' * 20}", "characters, of 1 to"),
    # Chinese
    (DEMO, "三个数变成一个数。", "三个数变成,一个数。", "half-width punctuation after Chinese"),
    (DEMO, "三个数变成一个数。", "三个数变成一个数.", "half-width full stop"),
    (DEMO, "三个数变成一个数。", "三个数(3)变成(一个)数。", "half-width brackets"),
    (DEMO, "三个数变成一个数。", '三个数变成"一个"数。', "straight quotes"),
    (DEMO, "三个数变成一个数。", "三个数 变成一个数。", "space between two Chinese"),
    (DEMO, "三个数变成一个数。", "三个数， 变成一个数。", "space beside full-width"),
    (DEMO, "三个数变成一个数。", "3个数变成一个数。", "no space between Chinese and"),
    (DEMO, "三个数变成一个数。", "`x`变成一个数。", "no space between Chinese and"),
    (DEMO, "三个数变成一个数。", "从$x$ 变成一个数。", "no space between Chinese and"),
    (DEMO, "{numref}`fig-demo-dot` 画", "{numref}`fig-demo-dot`画", "no space between Chinese and"),
    (DEMO, "三个数变成一个数。", "三个数\n变成一个数。", "line break inside a paragraph"),
    (DEMO, "三个数变成一个数。", "**三个数（three）**变成一个数。", "edge of bold text"),
    (DEMO, "三个数变成一个数。", "**“三个数**变成一个数。", "edge of bold text"),
    (DEMO, "三个数变成一个数。", "**三个数变成一个数。", "without its twin"),
    (DEMO, "Three numbers become one.", "三个数变成一个数。" * 9, "lang-en is written in Chinese"),
    (DEMO, "三个数变成一个数。", "Three numbers become one. " * 9, "holds no Chinese"),
]  # fmt: skip


@pytest.mark.parametrize(("file", "old", "new", "message"), SOURCE_FAULTS)
def test_fault_in_a_source(mini, file, old, new, message):
    hits = [problem for problem in found(mini, file, old, new) if message in problem]
    assert hits, f"{message!r} is not among {found(mini, file, '', '')}"
    assert hits[0].startswith(f"{file}: ")
    of_the_page = ("room", "one title", "description", "characters")
    if not any(word in message for word in of_the_page):
        assert re.match(rf"{file}: cell \d+ \(line \d+\): ", hits[0])


def test_the_line_that_is_named_is_that_of_the_cell(mini):
    hits = found(mini, DEMO, "print(z)", "print(z)  # 均值")
    line = int(re.search(r"\(line (\d+)\)", hits[0])[1])
    lines = (mini / DEMO).read_text("utf8").split("\n")
    near = [number for number, text in enumerate(lines, 1) if "均值" in text and "#" in text]
    assert 0 < near[-1] - line < 5


def test_rooms_in_another_order(mini):
    path = mini / DEMO
    text = path.read_text("utf8")
    text = text.replace("demo-trace", "demo-x").replace("demo-plug", "demo-trace")
    path.write_text(text.replace("demo-x", "demo-plug"), "utf8")
    assert any("another order" in str(problem) for problem in problems(mini))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("print(z)", "print(2 * z)"),
        ("Three numbers become one.", "Three numbers become 1."),
        (":tags: [hide-cell]", ":tags: [hide-input]"),
        ("en: One dot.", "en: A dot."),
        ("en: One mean,", "en: A mean,"),
        (f"{EN}\n\n(demo-time)=", "```{code-cell} python\n1\n```\n\n" + f"{EN}\n\n(demo-time)="),
    ],
)  # fmt: skip
def test_a_source_that_differs_from_its_executed_notebook(mini, old, new):
    path = mini / DEMO
    text = path.read_text("utf8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf8")
    hits = [str(p) for p in problems(mini) if "run `make notebooks`" in str(p)]
    assert hits
    assert hits[0].startswith(f"{DEMO}: ")


def test_a_chapter_without_executed_notebook(mini):
    (mini / "notebooks" / "demo.ipynb").unlink()
    assert f"{DEMO}: has no executed notebook; run `make notebooks`" in map(str, problems(mini))


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ({"output_type": "error", "ename": "E", "evalue": "v", "traceback": []}, "ended in an error: E: v"),
        ({"output_type": "stream", "name": "stderr", "text": "UserWarning: x"}, "wrote to stderr"),
        ({"output_type": "stream", "name": "stdout", "text": "at /home/me/x.py"}, "a path of the machine"),
        ({"output_type": "stream", "name": "stdout", "text": "C:\\Users"}, "a path of the machine"),
        ({"output_type": "stream", "name": "stdout", "text": "均值"}, "output holds no Chinese"),
        ({"output_type": "display_data", "data": {"image/png": "AA"}, "metadata": {}}, "no `figure:`"),
        ({"output_type": "display_data", "data": {"text/html": "<svg/>"}, "metadata": {}}, "no `figure:`"),
        (None, "never executed"),
    ],
)  # fmt: skip
def test_fault_in_an_output(mini, output, message):
    path = mini / "notebooks" / "demo.ipynb"
    notebook = json.loads(path.read_text("utf8"))
    cell = next(c for c in notebook["cells"] if c["source"].endswith("print(z)"))
    if output is None:
        cell["execution_count"] = None
    else:
        cell["outputs"].append(output)
    path.write_text(json.dumps(notebook), "utf8")
    hits = [str(p) for p in problems(mini) if message in str(p)]
    assert hits
    assert re.match(rf"{DEMO}: cell \d+ \(line \d+\): ", hits[0])


@pytest.mark.parametrize(
    ("seconds", "message"),
    [(15.0, None), (15.1, "took 15.1 s of CPU when it was executed, 15 are allowed")],
)  # fmt: skip
def test_a_slow_chapter(mini, seconds, message):
    path = mini / "notebooks" / "demo.ipynb"
    notebook = json.loads(path.read_text("utf8"))
    notebook["metadata"]["attnbook"]["seconds"] = seconds
    path.write_text(json.dumps(notebook), "utf8")
    messages = [str(p) for p in problems(mini)]
    assert len(messages) == (message is not None)
    assert all(m.startswith(f"{DEMO}: {message}") for m in messages)


def test_a_figure_without_a_picture_and_one_with_two(mini):
    path = mini / "notebooks" / "demo.ipynb"
    notebook = json.loads(path.read_text("utf8"))
    structure, dot = [c for c in notebook["cells"] if "figure" in c["metadata"]]
    structure["outputs"] = []
    dot["outputs"] *= 2
    path.write_text(json.dumps(notebook), "utf8")
    messages = [str(p) for p in problems(mini)]
    assert any("`figure:` and 0 pictures" in m for m in messages)
    assert any("`figure:` and 2 pictures" in m for m in messages)
    assert any("displays one thing" in m for m in messages)


def test_contents(mini):
    (mini / "book" / "lost.md").write_text("x", "utf8")
    (mini / "notebooks" / "gone.ipynb").write_text("{}", "utf8")
    path = mini / "_toc.yml"
    path.write_text(path.read_text("utf8").replace("book/page", "book/nowhere"), "utf8")
    messages = [str(p) for p in problems(mini)]
    assert "_toc.yml: names book/nowhere.md, which does not exist" in messages
    assert "book/lost.md: is not in _toc.yml" in messages
    assert "book/page.md: is not in _toc.yml" in messages
    assert "notebooks/gone.ipynb: has no source beside it" in messages


GLOSSARY = """\
---
description:
  en: Words.
  zh: 词汇。
---

+++ {"tags": ["lang-en"]}

(glossary)=
# Glossary

| English | Chinese |
|---|---|
| **channel mean**, channel average | 通道均值、通道平均 |
| key (of attention) | 键 |

+++ {"tags": ["lang-zh"]}

(glossary)=
# 术语表

| 英文 | 中文 |
|---|---|
| **channel mean**, channel average | 通道均值、通道平均 |
| key (of attention) | 键 |
"""


@pytest.mark.parametrize(
    ("english", "chinese", "caught"),
    [
        ("Channel means here.", "这里是通道平均。", False),
        ("The channel-mean here.", "这里是均值。", True),
        ("The channel average here.", "这里是 channel average。", False),
        ("No channel meaning here.", "这里没有。", False),
        ("The key to it.", "这里没有。", False),
        ("The code `channel mean` and $channel mean$.", "代码 `x`。", False),
    ],
)
def test_glossary(mini, english, chinese, caught):
    (mini / "book" / "glossary.md").write_text(GLOSSARY, "utf8")
    path = mini / "_toc.yml"
    path.write_text(path.read_text("utf8") + "      - file: book/glossary\n", "utf8")
    path = mini / DEMO
    text = path.read_text("utf8").replace("Three numbers become one.", english)
    path.write_text(text.replace("三个数变成一个数。", chinese), "utf8")
    hits = [str(p) for p in problems(mini) if "glossary" in str(p)]
    assert bool(hits) == caught, hits
    if caught:
        assert re.fullmatch(
            rf"{DEMO}: cell \d+ \(line \d+\): 'channel-mean' is 通道均值 or 通道平均 in this book's glossary",
            hits[0],
        )
