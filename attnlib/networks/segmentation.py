"""DANet and CCNet: a dilated ResNet whose last map attends to itself before it is classified.

Jun Fu, Jing Liu, Haijie Tian, Yong Li, Yongjun Bao, Zhiwei Fang, Hanqing Lu: "Dual Attention
Network for Scene Segmentation", CVPR 2019. arXiv:1809.02983

Zilong Huang, Xinggang Wang, Lichao Huang, Chang Huang, Yunchao Wei, Wenyu Liu: "CCNet: Criss-Cross
Attention for Semantic Segmentation", ICCV 2019; TPAMI 2023. arXiv:1811.11721

Heads and stem follow the authors' code, with two differences: BatchNorm and leaky ReLU stand for
its fused in-place form in CCNet's head, and CCNet recurs twice, as the paper has it, where the code
defaults to once and its training script passes zero.

>>> import torch
>>> from attnlib.networks import danet
>>> with torch.device("meta"):  # counts need no memory
...     network = danet(backbone="resnet50")
>>> sum(p.numel() for p in network.parameters())
47586427
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from attnlib import registry
from attnlib.networks.recipes import recipe as find_recipe
from attnlib.networks.resnet import ResNet, resnet18, resnet34, resnet50, resnet101, resnet152

__all__ = [
    "CCNet",
    "CCNetHead",
    "CCNetOutput",
    "DANet",
    "DANetHead",
    "DANetOutput",
    "ccnet",
    "danet",
]

BACKBONES: dict[str, Callable[..., ResNet]] = {
    "resnet18": resnet18,
    "resnet34": resnet34,
    "resnet50": resnet50,
    "resnet101": resnet101,
    "resnet152": resnet152,
}


class DANetOutput(NamedTuple):
    """Class scores, (B, num_classes, H, W) each; in training each has its own loss."""

    out: Tensor  #: from the sum of both branches: the prediction
    position: Tensor  #: from the position branch alone
    channel: Tensor  #: from the channel branch alone


class CCNetOutput(NamedTuple):
    """Class scores, (B, num_classes, H, W) each."""

    out: Tensor  #: the prediction
    auxiliary: Tensor  #: from the third stage of the backbone, for a loss of its own


class DANetHead(nn.Module):
    """Two branches, each convolution – attention – convolution, and their sum.

    Args:
        in_channels: channels of the backbone's last map.
        num_classes: number of classes.
        auxiliary: whether each branch has a classifier of its own as well.
        reduction: option of the position attention.
        max_minus: option of the channel attention.

    Shape:
        - input: (B, in_channels, h, w)
        - output: ``DANetOutput`` of (B, num_classes, h, w), or the first of them alone
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        *,
        auxiliary: bool = True,
        reduction: int = 8,
        max_minus: bool = False,
    ) -> None:
        super().__init__()
        width = in_channels // 4
        self.position_in = _conv_bn_relu(in_channels, width)
        self.position = registry.create("position", width, reduction=reduction)
        self.position_out = _conv_bn_relu(width, width)
        self.channel_in = _conv_bn_relu(in_channels, width)
        self.channel = registry.create("channel", width, max_minus=max_minus)
        self.channel_out = _conv_bn_relu(width, width)
        self.classifier = _classifier(width, num_classes)
        self.auxiliary = auxiliary
        if auxiliary:
            self.position_classifier = _classifier(width, num_classes)
            self.channel_classifier = _classifier(width, num_classes)

    def forward(self, x: Tensor) -> DANetOutput | Tensor:
        p = self.position_out(self.position(self.position_in(x)))  # (B, C/4, h, w)
        c = self.channel_out(self.channel(self.channel_in(x)))  # (B, C/4, h, w)
        out = self.classifier(p + c)  # (B, num_classes, h, w)
        if not self.auxiliary:
            return out
        return DANetOutput(out, self.position_classifier(p), self.channel_classifier(c))


class CCNetHead(nn.Module):
    """Convolution – criss-cross attention, R times – convolution; then beside the input again.

    Args:
        in_channels: channels of the backbone's last map.
        num_classes: number of classes.
        options: options of the attention: ``recurrences`` (R), ``reduction``.

    Shape:
        - input: (B, in_channels, h, w)
        - output: (B, num_classes, h, w)
    """

    def __init__(self, in_channels: int, num_classes: int, **options: Any) -> None:
        super().__init__()
        width = in_channels // 4
        self.conv_in = _conv_bn_leaky(in_channels, width)
        self.attention = registry.create("ccnet", width, **options)
        self.conv_out = _conv_bn_leaky(width, width)
        self.classifier = nn.Sequential(
            *_conv_bn_leaky(in_channels + width, width),
            nn.Dropout2d(0.1),
            nn.Conv2d(width, num_classes, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv_out(self.attention(self.conv_in(x)))  # (B, C/4, h, w)
        return self.classifier(torch.cat([x, y], 1))  # (B, num_classes, h, w)


class DANet(nn.Module):
    """Dual Attention Network; build it with ``danet``.

    Shape:
        - input: (B, 3, H, W)
        - output: ``DANetOutput`` of (B, num_classes, H, W), or the first of them alone
    """

    def __init__(self, backbone: ResNet, head: DANetHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor) -> DANetOutput | Tensor:
        scores = self.head(self.backbone.features(x)[-1])
        if isinstance(scores, Tensor):
            return _resize(scores, x)
        return DANetOutput(*(_resize(s, x) for s in scores))


class CCNet(nn.Module):
    """Criss-Cross Network; build it with ``ccnet``.

    Shape:
        - input: (B, 3, H, W)
        - output: ``CCNetOutput`` of (B, num_classes, H, W), or the first of them alone
    """

    def __init__(self, backbone: ResNet, head: CCNetHead, auxiliary: nn.Module | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.auxiliary = auxiliary

    def forward(self, x: Tensor) -> CCNetOutput | Tensor:
        *_, x3, x4 = self.backbone.features(x)
        out = _resize(self.head(x4), x)
        if self.auxiliary is None:
            return out
        return CCNetOutput(out, _resize(self.auxiliary(x3), x))


def danet(
    num_classes: int = 19,
    backbone: str = "resnet101",
    *,
    recipe: str = "published",
    auxiliary: bool = True,
    deep_stem: bool = True,
    output_stride: int = 8,
    version: str | float = "1.5",
    **options: Any,
) -> DANet:
    """DANet on a dilated ResNet.

    Args:
        num_classes: number of classes; 19 are those of Cityscapes.
        backbone: ``"resnet18"`` … ``"resnet152"``.
        recipe: ``"published"``, the authors' code, whose channel attention is softmax(max − E), or
            ``"paper"``, softmax(E).
        auxiliary: whether the two branches have classifiers of their own, for their losses; the
            output is then a ``DANetOutput``, otherwise the prediction alone.
        deep_stem: three 3×3 convolutions at the start, as in the authors' backbone.
        output_stride: 8 as published; 16 needs a sixteenth of the memory for the N × N weights.
        version: form of the ResNet, see ``ResNet``.
        options: ``reduction`` of the position and ``max_minus`` of the channel attention.
    """
    trunk = _backbone(backbone, deep_stem, output_stride, version)
    options = {**find_recipe("danet", "danet", recipe).options_for(trunk.channels[-1]), **options}
    head = DANetHead(trunk.channels[-1], num_classes, auxiliary=auxiliary, **options)
    return DANet(trunk, head)


def ccnet(
    num_classes: int = 19,
    backbone: str = "resnet101",
    *,
    recipe: str = "published",
    auxiliary: bool = True,
    deep_stem: bool = True,
    output_stride: int = 8,
    version: str | float = "1.5",
    **options: Any,
) -> CCNet:
    """CCNet on a dilated ResNet.

    Args:
        num_classes: number of classes; 19 are those of Cityscapes.
        backbone: ``"resnet18"`` … ``"resnet152"``.
        recipe: ``"published"`` or ``"paper"``, which agree.
        auxiliary: whether the third stage has a classifier of its own, for a loss; the output is
            then a ``CCNetOutput``, otherwise the prediction alone.
        deep_stem: three 3×3 convolutions at the start, as in the authors' backbone.
        output_stride: 8 as published, or 16, 32.
        version: form of the ResNet, see ``ResNet``.
        options: options of the attention: ``recurrences`` (R, 2 by default), ``reduction``.
    """
    trunk = _backbone(backbone, deep_stem, output_stride, version)
    options = {**find_recipe("ccnet", "ccnet", recipe).options_for(trunk.channels[-1]), **options}
    head = CCNetHead(trunk.channels[-1], num_classes, **options)
    side = None
    if auxiliary:
        width = trunk.channels[-1] // 4
        side = nn.Sequential(
            nn.Conv2d(trunk.channels[-2], width, 3, padding=1),
            nn.BatchNorm2d(width),
            nn.LeakyReLU(0.01),
            nn.Dropout2d(0.1),
            nn.Conv2d(width, num_classes, 1),
        )
    return CCNet(trunk, head, side)


def _backbone(name: str, deep_stem: bool, output_stride: int, version: str | float) -> ResNet:
    if name not in BACKBONES:
        raise ValueError(f"backbone must be one of {', '.join(BACKBONES)}, got {name!r}")
    return BACKBONES[name](
        num_classes=0, deep_stem=deep_stem, output_stride=output_stride, version=version
    )


def _conv_bn_relu(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def _conv_bn_leaky(in_channels: int, out_channels: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.LeakyReLU(0.01, inplace=True),
    )


def _classifier(channels: int, num_classes: int) -> nn.Sequential:
    return nn.Sequential(nn.Dropout2d(0.1), nn.Conv2d(channels, num_classes, 1))


def _resize(scores: Tensor, image: Tensor) -> Tensor:
    """Scores at the size of the image."""
    return F.interpolate(scores, image.shape[2:], mode="bilinear", align_corners=True)
