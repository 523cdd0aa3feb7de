"""Global Attention Mechanism: channel and spatial gates of full size, with no pooling anywhere.

Yichao Liu, Zongru Shao, Nico Hoffmann: "Global Attention Mechanism: Retain Information to Enhance
Channel-Spatial Interactions", 2021. arXiv:2112.05561

    M_c = σ(W2 · ReLU(W1 · x))     at every position                        (B, C, H, W)
    F = M_c ⊙ x
    M_s = σ(BN(f2(ReLU(BN(f1(F))))))   f1: C → C/r, f2: C/r → C, both k×k   (B, C, H, W)
    y = M_s ⊙ F

Symbols: C = ``channels``, r = ``reduction``, k = ``kernel_size``; W1 and W2 are ``fc1`` and
``fc2``, f1 and f2 ``conv1`` and ``conv2``.

Deviations: the authors have published no code, and r is not spelt out: "the same as BAM" makes it
16, while the code that people copy has 4. That code also leaves out the σ of the channel branch
(``channel_sigmoid=False``), which makes its "attention" unbounded and negative as often as not. To
save parameters in ResNet-50 the paper groups the convolutions and shuffles channels, without
saying where; ``groups`` does as the circulating code does: both convolutions grouped, M_s shuffled.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["GlobalAttention", "GlobalGates"]


class GlobalGates(NamedTuple):
    """The gates of global attention: ``x * channel * spatial`` is its output."""

    channel: Tensor  #: M_c, (B, C, H, W)
    spatial: Tensor  #: M_s, (B, C, H, W)


class GlobalAttention(nn.Module):
    """Attention with a gate for every value, first across channels, then across space (GAM).

    Args:
        channels: C, the number of channels of the input.
        reduction: r, how many times the hidden layers are narrower than the input.
        kernel_size: k, the width of both convolutions; odd.
        groups: the number of groups of both convolutions; more than one also shuffles the channels
            of M_s. Must divide C and ⌊C/r⌋.
        channel_sigmoid: whether M_c goes through a sigmoid (the paper). The widely copied code
            omits it.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters, h = ⌊C/r⌋: 2·C·h + h + C for the channel gates, 2·k²·C·h/groups + 3·h + 3·C for the
    spatial ones: about 100·C²/r, or 25·C² with r = 4.

    In train mode a batch of one 1×1 map leaves batch normalisation a single value per channel,
    which has no deviation: it is then normalised by the running statistics, which stay as they are.

    Raises:
        ValueError: if an argument is not positive, ``reduction`` exceeds ``channels``,
            ``kernel_size`` is even, ``groups`` does not divide both widths, or the input is not
            (B, ``channels``, H, W).

    Example:
        >>> gam = GlobalAttention(64, reduction=4)
        >>> gam(torch.randn(2, 64, 12, 16)).shape
        torch.Size([2, 64, 12, 16])
        >>> gam.attention(torch.randn(2, 64, 12, 16)).spatial.shape
        torch.Size([2, 64, 12, 16])
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        kernel_size: int = 7,
        groups: int = 1,
        channel_sigmoid: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if min(channels, reduction, kernel_size, groups) < 1:
            raise ValueError(
                "channels, reduction, kernel_size and groups must be positive, got "
                f"channels={channels}, reduction={reduction}, kernel_size={kernel_size}, "
                f"groups={groups}"
            )
        hidden = channels // reduction
        if hidden == 0:
            raise ValueError(
                f"reduction must not exceed channels, got channels={channels}, "
                f"reduction={reduction}: the hidden layers would be empty"
            )
        if kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got kernel_size={kernel_size}")
        if channels % groups or hidden % groups:
            raise ValueError(
                f"groups must divide channels and channels // reduction, got groups={groups}, "
                f"channels={channels}, channels // reduction={hidden}"
            )
        self.channels = channels
        self.reduction = reduction
        self.kernel_size = kernel_size
        self.groups = groups
        self.channel_sigmoid = channel_sigmoid

        def conv(inputs: int, outputs: int) -> nn.Conv2d:
            return nn.Conv2d(
                inputs,
                outputs,
                kernel_size,
                padding=kernel_size // 2,
                groups=groups,
                device=device,
                dtype=dtype,
            )

        self.fc1 = nn.Linear(channels, hidden, device=device, dtype=dtype)
        self.fc2 = nn.Linear(hidden, channels, device=device, dtype=dtype)
        self.conv1 = conv(channels, hidden)
        self.norm1 = _BatchNorm2d(hidden, device=device, dtype=dtype)
        self.conv2 = conv(hidden, channels)
        self.norm2 = _BatchNorm2d(channels, device=device, dtype=dtype)

    def attention(self, x: Tensor) -> GlobalGates:
        """The gates M_c and M_s, one for every value of x."""
        _check_input(x, self.channels)
        channel = self._channel(x)
        return GlobalGates(channel, self._spatial(x * channel))

    def forward(self, x: Tensor) -> Tensor:
        """M_s(F) ⊙ F with F = M_c(x) ⊙ x: (B, C, H, W) → (B, C, H, W)."""
        _check_input(x, self.channels)
        x = x * self._channel(x)
        return x * self._spatial(x)

    def _channel(self, x: Tensor) -> Tensor:
        hidden = self.fc1(x.permute(0, 2, 3, 1)).relu_()  # (B, H, W, C/r)
        gates = self.fc2(hidden).permute(0, 3, 1, 2)  # (B, C, H, W)
        return gates.sigmoid() if self.channel_sigmoid else gates

    def _spatial(self, x: Tensor) -> Tensor:
        hidden = self.norm1(self.conv1(x)).relu_()  # (B, C/r, H, W)
        gates = self.norm2(self.conv2(hidden)).sigmoid_()  # (B, C, H, W)
        return gates if self.groups == 1 else _shuffle(gates, self.groups)

    def extra_repr(self) -> str:
        return f"{self.channels}, reduction={self.reduction}, groups={self.groups}"


class _BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation that also knows what to do with a single value per channel."""

    def forward(self, input: Tensor) -> Tensor:
        if self.training and input.shape[0] * input.shape[2] * input.shape[3] == 1:
            return F.batch_norm(
                input, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(input)


def _shuffle(x: Tensor, groups: int) -> Tensor:
    """Deal the channels of the groups out in turn: 0 1 2 3 in two groups becomes 0 2 1 3."""
    return x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)


def _check_input(x: Tensor, channels: int) -> None:
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"expected an input of shape (B, {channels}, H, W), got {tuple(x.shape)}")
