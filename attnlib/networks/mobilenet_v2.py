"""MobileNetV2, with any mechanism of the registry at the place its paper chose.

Mark Sandler, Andrew Howard, Menglong Zhu, Andrey Zhmoginov, Liang-Chieh Chen: "MobileNetV2:
Inverted Residuals and Linear Bottlenecks", CVPR 2018. arXiv:1801.04381

Parameters are named as in torchvision, so that its state dicts load; attention modules add names
and change none.

>>> import torch
>>> from attnlib.networks import mobilenet_v2
>>> with torch.device("meta"):  # counts need no memory
...     network = mobilenet_v2(attention="eca")
>>> sum(p.numel() for p in network.parameters())
3504903
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor, nn

from attnlib.networks.recipes import Plan, host_modules

__all__ = ["MobileNetV2", "mobilenet_v2"]

#: Per stage: expansion factor, output channels, number of blocks, stride of the first.
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Expand by 1×1, convolve each channel by 3×3, project linearly by 1×1; add the input."""

    def __init__(
        self,
        in_channels: int,
        channels: int,
        plan: Plan,
        *,
        stage: int,
        expansion: int,
        stride: int,
    ) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.shortcut = stride == 1 and in_channels == channels
        self.conv = nn.Sequential(
            *([_conv_bn_relu(in_channels, hidden, 1)] if expansion > 1 else []),
            _conv_bn_relu(hidden, hidden, 3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, channels, 1, bias=False),
            nn.BatchNorm2d(channels),
        )
        self.inner = plan.placement == "inner"
        self.attention: nn.Module | None = None
        if not self.inner:
            self.attention = plan.at("branch", channels, stage=stage)
        elif expansion > 1:
            self.attention = plan.at("inner", hidden, stage=stage)

    def forward(self, x: Tensor) -> Tensor:
        projection = len(self.conv) - 2
        y = x
        for index, layer in enumerate(self.conv):
            if index == projection and self.attention is not None and self.inner:
                y = self.attention(y)
            y = layer(y)
        if self.attention is not None and not self.inner:
            y = self.attention(y)
        return x + y if self.shortcut else y


class MobileNetV2(nn.Module):
    """MobileNetV2; build it with ``mobilenet_v2``.

    Args:
        num_classes: width of the classifier; 0 leaves it out, and ``forward`` returns the pooled
            features.
        attention: key of a mechanism, or ``None``.
        recipe: ``"published"``, the configuration whose counts and results were reported, or
            ``"paper"``, the modules' defaults. See ``attnlib.networks.recipes``.
        placement: overrides the recipe's placement: ``"branch"``, ``"inner"``, ``"stage"`` or
            ``"last"``.
        stages: which of the stages 1 to 7 get attention; ``None`` for all that the placement has.
        classifier_dropout: probability before the classifier.
        options: options of the mechanism, which override the recipe's.

    Shape:
        - input: (B, 3, H, W)
        - output: (B, num_classes), or (B, 1280) without classifier
    """

    def __init__(
        self,
        num_classes: int = 1000,
        attention: str | None = None,
        *,
        recipe: str = "published",
        placement: str | None = None,
        stages: Sequence[int] | None = None,
        classifier_dropout: float = 0.2,
        **options: Any,
    ) -> None:
        super().__init__()
        if num_classes < 0:
            raise ValueError(f"num_classes must not be negative, got {num_classes}")
        if stages is not None and not set(stages) <= set(range(1, 8)):
            raise ValueError(f"stages are numbered 1 to 7, got {tuple(stages)}")
        plan = Plan(
            "mobilenet_v2",
            attention,
            recipe=recipe,
            placement=placement,
            stages=None if stages is None else tuple(stages),
            options=options,
        )
        channels = 32
        layers: list[nn.Module] = [_conv_bn_relu(3, channels, 3, stride=2)]
        attention_after = {}
        for stage, (expansion, out_channels, depth, stride) in enumerate(STAGES, start=1):
            for index in range(depth):
                layers.append(
                    InvertedResidual(
                        channels,
                        out_channels,
                        plan,
                        stage=stage,
                        expansion=expansion,
                        stride=stride if index == 0 else 1,
                    )
                )
                channels = out_channels
            if stage == len(STAGES):
                module = plan.at("last", channels, stage=stage)
            elif stage > 1 and STAGES[stage][3] == 2:  # the next stage halves the map
                module = plan.at("stage", channels, stage=stage)
            else:
                module = None
            if module is not None:
                attention_after[str(len(layers) - 1)] = module
        layers.append(_conv_bn_relu(channels, 1280, 1))
        self.features = nn.Sequential(*layers)
        #: Keyed by the number of the block in ``features`` that it follows.
        self.attention = nn.ModuleDict(attention_after)
        self.classifier = (
            nn.Sequential(nn.Dropout(classifier_dropout), nn.Linear(1280, num_classes))
            if num_classes
            else nn.Identity()
        )

        for module in host_modules(self):
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=0.01)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        for index, layer in enumerate(self.features):
            x = layer(x)
            if str(index) in self.attention:
                x = self.attention[str(index)](x)
        return self.classifier(x.mean((2, 3)))  # (B, num_classes)


def _conv_bn_relu(
    in_channels: int, out_channels: int, kernel_size: int, *, stride: int = 1, groups: int = 1
) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding=kernel_size // 2,
            groups=groups,
            bias=False,
        ),
        nn.BatchNorm2d(out_channels),
        nn.ReLU6(inplace=True),
    )


def mobilenet_v2(
    num_classes: int = 1000, attention: str | None = None, **settings: Any
) -> MobileNetV2:
    """MobileNetV2, optionally with attention; ``settings`` are the arguments of ``MobileNetV2``."""
    return MobileNetV2(num_classes, attention, **settings)
