"""torchinfo's layer summary, its last lines mended."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from attnlib.lab._mode import mode

__all__ = ["Summary", "summary"]


@dataclass(frozen=True)
class Summary:
    """A summary that prints itself; ``statistics`` is torchinfo's own object."""

    text: str
    statistics: Any

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


def summary(module: nn.Module, input_size: Sequence[int], **options: Any) -> Summary:
    """The layers of a module with output shapes and parameter counts, by torchinfo.

    Two things are mended. The unit of the mult-adds is written as M or G, and a count under a
    million in full (torchinfo 1.8.0 prints ``(Units.MEGABYTES): 0.00``). And its four lines on
    memory are left out: they count the outputs of layers with parameters only, so they miss what an
    attention module mostly moves; ``attnlib.lab.cost`` counts every tensor.

    Args:
        module: any module; it is left as it was.
        input_size: of the input, batch included.
        options: passed on to ``torchinfo.summary``, such as ``depth`` or ``col_names``.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        >>> summary(net, (2, 8, 5, 5)).text.splitlines()[-2]
        'Total mult-adds: 58,400'
    """
    import torchinfo

    tensor = next(iter((*module.parameters(), *module.buffers())), torch.empty(0))
    options = {"device": tensor.device, "verbose": 0, **options}
    with mode(module, training=False), torch.random.fork_rng(devices=[]):
        statistics = torchinfo.summary(module, input_size=tuple(input_size), **options)
    lines = str(statistics).splitlines()
    for i, line in enumerate(lines):
        if line.startswith("Total mult-adds"):
            # What follows is a rule, the four lines on memory and a closing rule.
            lines[i:] = [f"Total mult-adds{_scaled(statistics.total_mult_adds)}", lines[-1]]
            break
    return Summary("\n".join(line.rstrip() for line in lines), statistics)


def _scaled(count: int) -> str:
    for unit, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if count >= scale:
            return f" ({unit}): {count / scale:,.2f}"
    return f": {count:,}"
