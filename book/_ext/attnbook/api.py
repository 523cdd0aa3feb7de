"""The reference of the library, made from its docstrings.

    :::{api-reference} mechanisms      (or registry, networks, plugging, lab)

Signatures and docstrings are shown as they are written, in English in both editions: they are what
``help()`` shows, and a translation would be a second source.
"""

from __future__ import annotations

import importlib
import inspect
from html import escape
from typing import Any

from docutils import nodes
from docutils.parsers.rst import Directive

#: Part of the reference → module and public names; the names are checked by a test.
PARTS: dict[str, list[tuple[str, tuple[str, ...]]]] = {
    "registry": [("attnlib", ("create", "available", "info", "Info", "Paper", "register"))],
    "mechanisms": [
        (
            "attnlib",
            (
                *("SqueezeExcitation", "CBAM", "BAM", "EfficientChannelAttention"),
                *("ShuffleAttention", "ParallelPolarizedSelfAttention"),
                *("SequentialPolarizedSelfAttention", "SpatialGroupEnhance"),
                *("CoordinateAttention", "GlobalAttention", "PositionAttention"),
                *("ChannelAttention", "DualAttention", "CrissCrossAttention"),
                *("RecurrentCrissCrossAttention", "MultiHeadAttention"),
                "SequenceMultiHeadAttention",
            ),
        )
    ],
    "networks": [
        (
            "attnlib.networks",
            ("resnet18", "resnet50", "ResNet", "mobilenet_v2", "danet", "ccnet"),
        )
    ],
    "plugging": [
        ("attnlib", ("insert", "inserted", "new_parameters", "remove", "convert_state_dict"))
    ],
    "lab": [("attnlib.lab", ("trace", "summary", "cost", "timing", "Diagram"))],
}


def entry(module: str, name: str) -> str:
    """One name: its signature as a summary that opens to its docstring."""
    thing = getattr(importlib.import_module(module), name)
    signature = str(inspect.signature(thing)).replace("'", "").replace("torch.", "")
    doc = inspect.getdoc(thing) or ""
    summary, _, rest = doc.partition("\n\n")
    return (
        f'<details class="api" id="api-{name.lower()}"><summary><code lang="en">{module}.'
        f"<strong>{escape(name)}</strong></code> "
        f'<span lang="en">{escape(" ".join(summary.split()))}</span></summary>'
        f'<pre lang="en" tabindex="0">{escape(f"{name}{signature}")}\n\n{escape(rest)}</pre>'
        "</details>"
    )


class ApiReference(Directive):
    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        part = self.arguments[0]
        if part not in PARTS:
            raise self.error(f"no such part of the reference: {part}; there are {', '.join(PARTS)}")
        html = "".join(entry(module, name) for module, names in PARTS[part] for name in names)
        return [nodes.raw("", html, format="html")]


def setup(app: Any) -> None:
    app.add_directive("api-reference", ApiReference)
