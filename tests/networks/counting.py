"""Counts without computing: networks on the meta device, MACs from torch's flop counter."""

from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from attnlib import networks


def on_meta(host: str, *args: Any, **settings: Any) -> nn.Module:
    """A network without memory."""
    with torch.device("meta"):
        return getattr(networks, host)(*args, **settings)


def parameters(module: nn.Module) -> int:
    """Trainable parameters, without BatchNorm's running statistics."""
    return sum(p.numel() for p in module.parameters())


def macs(network: nn.Module, size: int = 224) -> int:
    """Multiply-accumulates of convolutions and matrix products; the counter counts both halves."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network.eval()(torch.empty(1, 3, size, size, device="meta"))
    return counter.get_total_flops() // 2
