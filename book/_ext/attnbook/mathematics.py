"""Formulas, set once when the book is built: KaTeX runs here, not in the reader's browser.

A page carries finished HTML and MathML (which screen readers use), a style sheet and fonts that lie
on the same site; nothing is fetched from elsewhere and nothing moves after the page has loaded. A
formula that KaTeX does not understand stops the build with the name of the page.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import quickjs
import sphinxcontrib.katex
from docutils import nodes
from sphinx.errors import ExtensionError
from sphinx.util.math import get_node_equation_number

#: Fetches the fonts of most formulas early. By a script: a copy that is opened from disk must
#: not try: browsers refuse a preloaded font there, and say so in red.
_PRELOAD = (
    '<script>if (location.protocol !== "file:") for (const href of %s) '
    'document.head.append(Object.assign(document.createElement("link"), '
    '{rel: "preload", as: "font", type: "font/woff2", crossOrigin: "", href}))</script>'
)
STATIC = Path(__file__).parent / "static"
KATEX_VERSION = sphinxcontrib.katex.katex_version


class FormulaError(ExtensionError):
    """A formula that KaTeX cannot set."""


@cache
def _katex() -> Any:
    source = Path(sphinxcontrib.katex.__file__).with_name("katex.min.js")
    engine = quickjs.Context()
    engine.eval(source.read_text("utf8"))
    return engine.eval(
        """(tex, display) => {
            try {
                return "+" + katex.renderToString(tex, {
                    displayMode: display, output: "htmlAndMathml",
                    throwOnError: true, strict: "error",
                });
            } catch (error) { return "-" + error.message; }
        }"""
    )


@cache
def render(tex: str, *, display: bool) -> str:
    """TeX → HTML with MathML; a ``FormulaError`` says what KaTeX did not understand."""
    answer = _katex()(tex, display)
    if answer.startswith("-"):
        raise FormulaError(f"KaTeX cannot set {json.dumps(tex, ensure_ascii=False)}: {answer[1:]}")
    # The picture of a formula and its TeX are noise in search results; its MathML text is not.
    return (
        answer[1:]
        .replace('<span class="katex-html"', '<span class="katex-html" data-pagefind-ignore')
        .replace("<annotation ", "<annotation data-pagefind-ignore ")
    )


def _rendered(translator: Any, node: nodes.Element, *, display: bool) -> str:
    try:
        return render(node.astext(), display=display)
    except FormulaError as error:
        raise FormulaError(f"{translator.builder.current_docname}: {error}") from None


def visit_inline(self: Any, node: nodes.math) -> None:
    self.body.append(self.starttag(node, "span", "", CLASS="math notranslate nohighlight"))
    self.body.append(_rendered(self, node, display=False) + "</span>")
    raise nodes.SkipNode


def visit_block(self: Any, node: nodes.math_block) -> None:
    """A displayed formula, its number beside it; a wide one scrolls inside itself."""
    self.body.append(self.starttag(node, "div", CLASS="math math-block notranslate nohighlight"))
    self.body.append(f'<div class="math-formula">{_rendered(self, node, display=True)}</div>')
    if node["number"]:
        number = get_node_equation_number(self, node)
        self.body.append(f'<span class="eqno">({number})')
        self.add_permalink_ref(node, "#")
        self.body.append("</span>")
    self.body.append("</div>\n")
    raise nodes.SkipNode


def add_style_sheet(
    app: Any, pagename: str, templatename: str, context: dict[str, Any], doctree: Any
) -> None:
    """Only pages with formulas load their style sheet, and early the two fonts of most."""
    if doctree is not None and any(
        isinstance(node, nodes.math | nodes.math_block) for node in doctree.findall()
    ):
        app.add_css_file("katex/katex.min.css")
        app.add_css_file("mathematics.css")
        fonts = [
            context["pathto"](f"_static/katex/fonts/{font}.woff2", 1)
            for font in ("KaTeX_Main-Regular", "KaTeX_Math-Italic")
        ]
        context["metatags"] = f"{context.get('metatags', '')}\n{_PRELOAD % json.dumps(fonts)}"


def on_config_inited(app: Any, config: Any) -> None:
    config.html_math_renderer = "attnbook"
    config.html_static_path = [*config.html_static_path, str(STATIC)]


def setup(app: Any) -> None:
    app.add_html_math_renderer(
        "attnbook", inline_renderers=(visit_inline, None), block_renderers=(visit_block, None)
    )
    app.connect("html-page-context", add_style_sheet)
    app.connect("config-inited", on_config_inited)
