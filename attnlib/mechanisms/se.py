"""Squeeze-and-Excitation: one gate per channel, computed from the channel means.

Jie Hu, Li Shen, Samuel Albanie, Gang Sun, Enhua Wu: "Squeeze-and-Excitation Networks",
CVPR 2018; TPAMI 42(8), 2020. arXiv:1709.01507

    z = mean of x over H, W        squeeze, eq. 2                (B, C)
    s = σ(W2 · ReLU(W1 · z))       excitation, eq. 3             (B, C)
    y = s ⊙ x                      scale, eq. 4                  (B, C, H, W)

Symbols: C = ``channels``, r = ``reduction``; W1 is C/r × C (``fc1``), W2 is C × C/r (``fc2``).

Deviations: none. The paper's eq. 5 counts weights only and its ablation removes the biases, hence
``bias=False``; the authors' released Caffe models have biases, which ``bias=True`` gives.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

__all__ = ["SqueezeExcitation"]


class SqueezeExcitation(nn.Module):
    """Channel attention by Squeeze-and-Excitation (SE).

    Args:
        channels: C, the number of channels of the input (eq. 1).
        reduction: r, how many times the hidden layer is narrower than the input (eq. 3); the
            hidden layer has ⌊C/r⌋ units.
        bias: whether the two fully connected layers have biases. The paper's text has none; the
            authors' released models do.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters: 2·C·⌊C/r⌋, plus C + ⌊C/r⌋ with biases.

    Raises:
        ValueError: if ``channels`` or ``reduction`` is not positive, if ``reduction`` exceeds
            ``channels``, or if the input is not (B, ``channels``, H, W).

    Example:
        >>> se = SqueezeExcitation(64, reduction=16)
        >>> se(torch.randn(2, 64, 32, 32)).shape
        torch.Size([2, 64, 32, 32])
        >>> se.attention(torch.randn(2, 64, 32, 32)).shape
        torch.Size([2, 64, 1, 1])
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if channels < 1 or reduction < 1:
            raise ValueError(
                f"channels and reduction must be positive, got channels={channels}, "
                f"reduction={reduction}"
            )
        hidden = channels // reduction
        if hidden == 0:
            raise ValueError(
                f"reduction must not exceed channels, got channels={channels}, "
                f"reduction={reduction}: the hidden layer would be empty"
            )
        self.channels = channels
        self.reduction = reduction
        self.fc1 = nn.Linear(channels, hidden, bias=bias, device=device, dtype=dtype)
        self.fc2 = nn.Linear(hidden, channels, bias=bias, device=device, dtype=dtype)

    def attention(self, x: Tensor) -> Tensor:
        """The gates s of eq. 3, each in (0, 1): (B, C, H, W) → (B, C, 1, 1)."""
        _check_input(x, self.channels)
        z = x.mean((2, 3))  # (B, C)
        s = self.fc2(self.fc1(z).relu()).sigmoid()  # (B, C)
        return s[:, :, None, None]  # (B, C, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Scale every channel of x by its gate (eq. 4): (B, C, H, W) → (B, C, H, W)."""
        return x * self.attention(x)

    def extra_repr(self) -> str:
        return f"{self.channels}, reduction={self.reduction}"


def _check_input(x: Tensor, channels: int) -> None:
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"expected an input of shape (B, {channels}, H, W), got {tuple(x.shape)}")
