"""Two small hosts that mechanisms are put into: a light one, as MobileNetV2, and a ResNet.

They are written without a thought of attention; ``with_attention`` plugs a mechanism in afterwards,
at one place for all mechanisms: in every block with a shortcut, where the paper of the family puts
its gate. In the light host that is after the depthwise convolution, on the expanded channels
(coordinate attention in MobileNetV2); in the ResNet at the end of the residual branch, before the
addition (Squeeze-and-Excitation). Blocks without a shortcut stay as they are, because a mixture,
which adds no input of its own, would have nothing beside it there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

import attnlib


def _conv(
    in_channels: int,
    channels: int,
    kernel_size: int,
    *,
    stride: int = 1,
    groups: int = 1,
    activation: bool = True,
) -> nn.Sequential:
    padding = kernel_size // 2
    layers: list[nn.Module] = [
        nn.Conv2d(in_channels, channels, kernel_size, stride, padding, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
    ]
    return nn.Sequential(*layers, nn.ReLU(inplace=True)) if activation else nn.Sequential(*layers)


class InvertedResidual(nn.Module):
    """Expand fourfold by 1×1, convolve each channel by 3×3, project linearly by 1×1."""

    place = "depthwise"

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        hidden = 4 * in_channels
        self.has_shortcut = stride == 1 and in_channels == channels
        self.expand = _conv(in_channels, hidden, 1)
        self.depthwise = _conv(hidden, hidden, 3, stride=stride, groups=hidden)
        self.project = _conv(hidden, channels, 1, activation=False)

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.has_shortcut else y


class Residual(nn.Module):
    """Two 3×3 convolutions and a shortcut, by 1×1 where the shape changes."""

    place = "conv2"
    has_shortcut = True

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        self.conv1 = _conv(in_channels, channels, 3, stride=stride)
        self.conv2 = _conv(channels, channels, 3, activation=False)
        same = stride == 1 and in_channels == channels
        self.shortcut: nn.Module = (
            nn.Identity()
            if same
            else _conv(in_channels, channels, 1, stride=stride, activation=False)
        )
        self.relu = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.relu(self.shortcut(x) + self.conv2(self.conv1(x)))


#: Host → its block, and for each block (channels as a multiple of the width, stride).
HOSTS: Mapping[str, tuple[type[nn.Module], tuple[tuple[int, int], ...]]] = {
    "light": (InvertedResidual, ((1, 1), (2, 2), (2, 1), (2, 1))),
    "resnet": (Residual, ((1, 1), (2, 2), (2, 1))),
}

#: What the modules are asked for in place of their defaults, which are made for maps of 256 and
#: more channels; these hosts have 16 to 128 (32 to 256 on CIFAR-10).
OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "se": {"reduction": 4},
    "cbam": {"reduction": 4},
    "bam": {"reduction": 4},
    "gam": {"reduction": 4},
    "shuffle": {"groups": 4},
    "sge": {"groups": 4},
    "multihead": {"heads": 4},
}


class Host(nn.Module):
    """A stem, the blocks, the mean over the positions, and a classifier.

    Shape:
        - input: (B, C, H, W)
        - output: (B, classes)
    """

    def __init__(self, name: str, *, in_channels: int, width: int, classes: int = 10) -> None:
        super().__init__()
        block, plan = HOSTS[name]
        self.stem = _conv(in_channels, width, 3)
        blocks, channels = [], width
        for multiple, stride in plan:
            blocks.append(block(channels, multiple * width, stride))
            channels = multiple * width
        self.blocks = nn.Sequential(*blocks)
        self.classifier = nn.Linear(channels, classes)

    def places(self) -> list[str]:
        """Paths of the modules that a mechanism follows."""
        return [
            f"blocks.{index}.{block.place}"
            for index, block in enumerate(self.blocks)
            if block.has_shortcut
        ]

    def forward(self, x: Tensor) -> Tensor:
        x = self.blocks(self.stem(x))
        return self.classifier(x.mean((2, 3)))


def with_attention(
    name: str, mechanism: str | None, *, in_channels: int, width: int, seed: int
) -> Host:
    """The host with a mechanism (``None``: with none), every weight drawn by ``seed``.

    The host's own weights are the same for every mechanism.
    """
    torch.manual_seed(seed)
    host = Host(name, in_channels=in_channels, width=width)
    if mechanism is not None:
        example = torch.zeros(1, in_channels, 8, 8)
        options = OPTIONS.get(mechanism, {})
        attnlib.insert(host, mechanism, host.places(), example_input=example, **options)
    return host
