"""Instruments to hold any module under: shapes, cost, time, pictures.

The lab knows nothing of the mechanisms: it takes any ``nn.Module``. What needs matplotlib or
torchinfo loads it on first use.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from attnlib.lab.cost import cost
from attnlib.lab.summary import summary
from attnlib.lab.timing import timing
from attnlib.lab.trace import trace

if TYPE_CHECKING:
    from attnlib.lab import plots as plots
    from attnlib.lab.diagram import Diagram as Diagram


__all__ = ["Diagram", "cost", "plots", "summary", "timing", "trace"]


def __getattr__(name: str) -> Any:
    if name == "Diagram":
        return import_module("attnlib.lab.diagram").Diagram
    if name == "plots":
        return import_module("attnlib.lab.plots")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
