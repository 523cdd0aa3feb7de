"""ResNet-18 to ResNet-152, with any mechanism of the registry at the place its paper chose.

Kaiming He, Xiangyu Zhang, Shaoqing Ren, Jian Sun: "Deep Residual Learning for Image Recognition",
CVPR 2016. arXiv:1512.03385

Version 1.5, the default here and in torchvision, strides in the 3×3 convolution of a bottleneck;
version 1, the paper's, in the first 1×1 convolution. Both have the same parameters. Parameters are
named as in torchvision, so that its state dicts load; attention modules add names and change none.

>>> import torch
>>> from attnlib.networks import resnet50
>>> with torch.device("meta"):  # counts need no memory
...     se_resnet50 = resnet50(attention="se")
>>> sum(p.numel() for p in se_resnet50.parameters())
28071976
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from attnlib.networks.recipes import Plan, host_modules

__all__ = ["ResNet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"]


class BasicBlock(nn.Module):
    """Two 3×3 convolutions and a shortcut; the block of ResNet-18 and -34."""

    expansion = 1

    def __init__(
        self,
        in_channels: int,
        width: int,
        plan: Plan,
        *,
        stage: int,
        stride: int = 1,
        dilations: tuple[int, int] = (1, 1),
        version: str = "1.5",  # one form only: a basic block has no 1×1 convolution
    ) -> None:
        super().__init__()
        before, after = dilations  # of the grids that come in and go out
        self.conv1 = _conv3x3(in_channels, width, stride, before)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, 1, after)
        self.bn2 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, width, stride)
        self.inner = plan.placement == "inner"
        self.attention = plan.at("inner" if self.inner else "branch", width, stage=stage)

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        if self.attention is not None and self.inner:
            y = self.attention(y)
        y = self.bn2(self.conv2(y))
        if self.attention is not None and not self.inner:
            y = self.attention(y)
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class Bottleneck(nn.Module):
    """1×1, 3×3 and 1×1 convolutions and a shortcut; the block of ResNet-50 and deeper."""

    expansion = 4

    def __init__(
        self,
        in_channels: int,
        width: int,
        plan: Plan,
        *,
        stage: int,
        stride: int = 1,
        dilations: tuple[int, int] = (1, 1),
        version: str = "1.5",
    ) -> None:
        super().__init__()
        channels = width * self.expansion
        before, after = dilations  # of the grids that come in and go out
        # The 3×3 convolution works on the grid before the stride if it strides itself.
        stride1, stride2, dilation = (stride, 1, after) if version == "1" else (1, stride, before)
        self.conv1 = nn.Conv2d(in_channels, width, 1, stride1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = _conv3x3(width, width, stride2, dilation)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = _shortcut(in_channels, channels, stride)
        self.inner = plan.placement == "inner"
        self.attention = plan.at(
            "inner" if self.inner else "branch", width if self.inner else channels, stage=stage
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        if self.attention is not None and self.inner:
            y = self.attention(y)
        y = self.bn3(self.conv3(y))
        if self.attention is not None and not self.inner:
            y = self.attention(y)
        return self.relu(y + (x if self.downsample is None else self.downsample(x)))


class ResNet(nn.Module):
    """A residual network; build one with ``resnet18`` … ``resnet152``.

    Args:
        host: name of the network in the table of recipes.
        block: ``BasicBlock`` or ``Bottleneck``.
        depths: number of blocks in each of the four stages.
        num_classes: width of the classifier; 0 leaves it out, and ``forward`` returns the pooled
            features.
        attention: key of a mechanism, or ``None``.
        version: ``"1.5"`` (stride in the 3×3 convolution) or ``"1"`` (in the first 1×1).
        recipe: ``"published"``, the configuration whose counts and results were reported, or
            ``"paper"``, the modules' defaults. See ``attnlib.networks.recipes``.
        placement: overrides the recipe's placement: ``"branch"``, ``"inner"``, ``"stage"`` or
            ``"last"``.
        stages: which of the stages 1 to 4 get attention; ``None`` for all that the placement has.
        output_stride: 32, or 16 or 8 for segmentation: the last stages dilate instead of striding,
            and the same weights compute the same values on a finer grid.
        deep_stem: three 3×3 convolutions (64, 64, 128 channels) in place of the 7×7 one.
        options: options of the mechanism, which override the recipe's.

    Shape:
        - input: (B, 3, H, W)
        - output: (B, num_classes), or (B, C) without classifier
    """

    #: Channels of the four stages' outputs.
    channels: tuple[int, int, int, int]

    def __init__(
        self,
        host: str,
        block: type[BasicBlock] | type[Bottleneck],
        depths: tuple[int, int, int, int],
        num_classes: int = 1000,
        attention: str | None = None,
        *,
        version: str | float = "1.5",
        recipe: str = "published",
        placement: str | None = None,
        stages: Sequence[int] | None = None,
        output_stride: int = 32,
        deep_stem: bool = False,
        **options: Any,
    ) -> None:
        super().__init__()
        version = str(version)
        if version not in ("1", "1.5"):
            raise ValueError(f"version must be '1' or '1.5', got {version!r}")
        if output_stride not in (8, 16, 32):
            raise ValueError(f"output_stride must be 8, 16 or 32, got {output_stride}")
        if num_classes < 0:
            raise ValueError(f"num_classes must not be negative, got {num_classes}")
        if stages is not None and not set(stages) <= {1, 2, 3, 4}:
            raise ValueError(f"stages are numbered 1 to 4, got {tuple(stages)}")
        plan = Plan(
            host,
            attention,
            recipe=recipe,
            placement=placement,
            stages=None if stages is None else tuple(stages),
            options=options,
        )
        channels = 128 if deep_stem else 64
        self.conv1 = _deep_stem() if deep_stem else nn.Conv2d(3, 64, 7, 2, padding=3, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(3, stride=2, padding=1)

        attention_after = {}
        reached, dilation = 4, 1  # stride so far; dilation of the blocks to come
        for stage, depth in enumerate(depths, start=1):
            width = 64 * 2 ** (stage - 1)
            stride = 1 if stage == 1 else 2
            first_dilation = dilation
            if reached * stride > output_stride:
                stride, dilation = 1, 2 * dilation
            reached *= stride
            blocks = []
            for index in range(depth):
                blocks.append(
                    block(
                        channels,
                        width,
                        plan,
                        stage=stage,
                        stride=stride if index == 0 else 1,
                        dilations=(first_dilation if index == 0 else dilation, dilation),
                        version=version,
                    )
                )
                channels = width * block.expansion
            setattr(self, f"layer{stage}", nn.Sequential(*blocks))
            module = plan.at("last" if stage == 4 else "stage", channels, stage=stage)
            if module is not None:
                attention_after[f"layer{stage}"] = module
        first = 64 * block.expansion
        self.channels = (first, 2 * first, 4 * first, 8 * first)
        self.attention = nn.ModuleDict(attention_after)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(channels, num_classes) if num_classes else nn.Identity()

        for module in host_modules(self):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def features(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """The outputs of the four stages, with their attention: strides 4, 8, 16, 32."""
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x1 = self._stage("layer1", x)  # (B, C/8, H/4, W/4)
        x2 = self._stage("layer2", x1)  # (B, C/4, H/8, W/8)
        x3 = self._stage("layer3", x2)  # (B, C/2, H/16, W/16)
        x4 = self._stage("layer4", x3)  # (B, C, H/32, W/32)
        return x1, x2, x3, x4

    def _stage(self, name: str, x: Tensor) -> Tensor:
        x = getattr(self, name)(x)
        return self.attention[name](x) if name in self.attention else x

    def forward(self, x: Tensor) -> Tensor:
        x = self.features(x)[-1]  # (B, C, H/32, W/32)
        return self.fc(self.avgpool(x).flatten(1))  # (B, num_classes)


def _conv3x3(in_channels: int, out_channels: int, stride: int, dilation: int) -> nn.Conv2d:
    return nn.Conv2d(
        in_channels, out_channels, 3, stride, padding=dilation, dilation=dilation, bias=False
    )


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Sequential | None:
    """A 1×1 projection where the branch changes the shape; otherwise the identity."""
    if stride == 1 and in_channels == out_channels:
        return None
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels)
    )


def _deep_stem() -> nn.Sequential:
    return nn.Sequential(
        _conv3x3(3, 64, 2, 1),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        _conv3x3(64, 64, 1, 1),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        _conv3x3(64, 128, 1, 1),
    )


def resnet18(num_classes: int = 1000, attention: str | None = None, **settings: Any) -> ResNet:
    """ResNet-18, optionally with attention; ``settings`` are the arguments of ``ResNet``."""
    return ResNet("resnet18", BasicBlock, (2, 2, 2, 2), num_classes, attention, **settings)


def resnet34(num_classes: int = 1000, attention: str | None = None, **settings: Any) -> ResNet:
    """ResNet-34, optionally with attention; ``settings`` are the arguments of ``ResNet``."""
    return ResNet("resnet34", BasicBlock, (3, 4, 6, 3), num_classes, attention, **settings)


def resnet50(num_classes: int = 1000, attention: str | None = None, **settings: Any) -> ResNet:
    """ResNet-50, optionally with attention; ``settings`` are the arguments of ``ResNet``."""
    return ResNet("resnet50", Bottleneck, (3, 4, 6, 3), num_classes, attention, **settings)


def resnet101(num_classes: int = 1000, attention: str | None = None, **settings: Any) -> ResNet:
    """ResNet-101, optionally with attention; ``settings`` are the arguments of ``ResNet``."""
    return ResNet("resnet101", Bottleneck, (3, 4, 23, 3), num_classes, attention, **settings)


def resnet152(num_classes: int = 1000, attention: str | None = None, **settings: Any) -> ResNet:
    """ResNet-152, optionally with attention; ``settings`` are the arguments of ``ResNet``."""
    return ResNet("resnet152", Bottleneck, (3, 8, 36, 3), num_classes, attention, **settings)
