"""Criss-cross attention: every position asks its own column and row; twice, and it has asked all.

Zilong Huang, Xinggang Wang, Lichao Huang, Chang Huang, Yunchao Wei, Wenyu Liu: "CCNet: Criss-Cross
Attention for Semantic Segmentation", ICCV 2019; with Humphrey Shi, Thomas S. Huang: TPAMI 45(6),
2023. arXiv:1811.11721

    q, k, v = W_q x + b_q, W_k x + b_k, W_v x + b_v            1×1: C/r, C/r and C channels
    a_u = softmax over p of q_uᵀ k_p                           p runs over the column and row of u
    y_u = γ · Σ_p a_up v_p + x_u
    RCCA: R times the same module with the same weights

Column and row of a position have H + W − 1 members, as the position itself lies in both: it is
struck out of the column. Two steps connect any two positions, (i, j) → (i, l) → (k, l).

Symbols: C = ``channels``, r = ``reduction``, R = ``recurrences``; W_q, W_k, W_v are ``query``,
``key``, ``value``; the scalar γ is ``gamma`` and starts at 0. The softmax has no square root.

Deviations: none in what is computed. The authors' class repeats once unless told otherwise, and
their training script's option has 0, no attention at all; the paper's result is for R = 2.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CrissCrossAttention", "RecurrentCrissCrossAttention"]


class CrissCrossAttention(nn.Module):
    """CCNet's attention: each position becomes a mixture of its column and its row.

    Args:
        channels: C, the number of channels of the input.
        reduction: r, how many times queries and keys are narrower than the input: ⌊C/r⌋ channels.
            8 in the authors' code.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters: 2·(C·⌊C/r⌋ + ⌊C/r⌋) + C² + C + 1. The bias of ``key`` never learns: it adds the
    same number to all scores of a query, and a constant drops out of the softmax.

    Raises:
        ValueError: if ``channels`` or ``reduction`` is not positive, if ``reduction`` exceeds
            ``channels``, or if the input is not (B, ``channels``, H, W).

    Example:
        >>> attention = CrissCrossAttention(64)
        >>> x = torch.randn(2, 64, 9, 12)
        >>> attention(x).shape, attention.attention(x).shape  # 9 + 12 weights a position
        (torch.Size([2, 64, 9, 12]), torch.Size([2, 9, 12, 21]))
        >>> torch.equal(attention(x), x)  # γ starts at 0
        True
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 8,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if channels < 1 or reduction < 1:
            raise ValueError(
                f"channels and reduction must be positive, got channels={channels}, "
                f"reduction={reduction}"
            )
        if reduction > channels:
            raise ValueError(
                f"reduction must not exceed channels, got channels={channels}, "
                f"reduction={reduction}: queries and keys would be empty"
            )
        self.channels = channels
        self.reduction = reduction
        narrow = channels // reduction
        self.query = nn.Conv2d(channels, narrow, 1, device=device, dtype=dtype)
        self.key = nn.Conv2d(channels, narrow, 1, device=device, dtype=dtype)
        self.value = nn.Conv2d(channels, channels, 1, device=device, dtype=dtype)
        self.gamma = nn.Parameter(torch.zeros(1, device=device, dtype=dtype))

    def attention(self, x: Tensor) -> Tensor:
        """The weights: (B, C, H, W) → (B, H, W, H + W); they sum to 1.

        The first H are those of the position's column, from top to bottom, with a 0 at the
        position itself; the last W are those of its row, from left to right.
        """
        _check_input(x, self.channels)
        q, k = _channels_last(self.query(x)), _channels_last(self.key(x))  # (B, H, W, C/r)
        return _weights(q, k)

    def forward(self, x: Tensor) -> Tensor:
        """γ times the mixture of column and row, plus x: (B, C, H, W) → (B, C, H, W)."""
        _check_input(x, self.channels)
        q, k, v = self._project(x)  # (B, H, W, C/r), the same, (B, H, W, C)
        column, row = _weights(q, k).split([x.shape[2], x.shape[3]], -1)
        y = _mix(column, row, v).permute(0, 3, 1, 2)  # (B, C, H, W), in memory channels last
        return torch.addcmul(
            x, self.gamma, y.contiguous(memory_format=_memory_format(x))
        )  # x + γ·y

    def _project(self, x: Tensor) -> tuple[Tensor, ...]:
        """Queries, keys and values by one convolution, which reads x once: (B, H, W, ·) each."""
        layers = (self.query, self.key, self.value)
        weight = torch.cat([layer.weight for layer in layers])
        bias = torch.cat([cast("Tensor", layer.bias) for layer in layers])
        widths = [layer.out_channels for layer in layers]
        return tuple(map(_channels_last, F.conv2d(x, weight, bias).split(widths, 1)))

    def extra_repr(self) -> str:
        return f"{self.channels}, reduction={self.reduction}"


class RecurrentCrissCrossAttention(nn.Module):
    """CCNet's recurrent criss-cross attention (RCCA): one module, applied R times.

    Args:
        channels: C, the number of channels of the input.
        recurrences: R, how many times. Once sees the cross, twice sees the whole map.
        reduction: r, see ``CrissCrossAttention``.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters: those of one ``CrissCrossAttention``, whatever R is.

    Raises:
        ValueError: if ``recurrences`` is not positive, and as ``CrissCrossAttention``.

    Example:
        >>> attention = RecurrentCrissCrossAttention(64)
        >>> x = torch.randn(2, 64, 9, 12)
        >>> attention(x).shape
        torch.Size([2, 64, 9, 12])
        >>> [a.shape for a in attention.attention(x)]
        [torch.Size([2, 9, 12, 21]), torch.Size([2, 9, 12, 21])]
    """

    def __init__(
        self,
        channels: int,
        *,
        recurrences: int = 2,
        reduction: int = 8,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if recurrences < 1:
            raise ValueError(f"recurrences must be positive, got {recurrences}")
        self.recurrences = recurrences
        self.criss_cross = CrissCrossAttention(
            channels, reduction=reduction, device=device, dtype=dtype
        )

    def attention(self, x: Tensor) -> tuple[Tensor, ...]:
        """The weights of each of the R passes: (B, C, H, W) → R times (B, H, W, H + W)."""
        weights = [self.criss_cross.attention(x)]
        for _ in range(self.recurrences - 1):
            x = self.criss_cross(x)
            weights.append(self.criss_cross.attention(x))
        return tuple(weights)

    def forward(self, x: Tensor) -> Tensor:
        """R times criss-cross attention: (B, C, H, W) → (B, C, H, W)."""
        for _ in range(self.recurrences):
            x = self.criss_cross(x)
        return x

    def extra_repr(self) -> str:
        return f"recurrences={self.recurrences}"


def _weights(q: Tensor, k: Tensor) -> Tensor:
    """Softmax over column and row, (B, H, W, H + W), of queries and keys (B, H, W, C/r)."""
    row = q @ k.mT  # (B, H, W, W)
    column = (q.transpose(1, 2) @ k.transpose(1, 2).mT).transpose(1, 2)  # (B, H, W, H)
    itself = torch.eye(q.shape[1], dtype=torch.bool, device=q.device)[:, None]  # (H, 1, H)
    column = column.masked_fill(itself, -torch.inf)  # the row has it
    return torch.cat([column, row], -1).softmax(-1)


def _mix(column: Tensor, row: Tensor, v: Tensor) -> Tensor:
    """Σ_p a_p v_p over the column plus the same over the row: (B, H, W, C)."""
    y = (column.transpose(1, 2) @ v.transpose(1, 2)).transpose(1, 2)  # (B, H, W, C)
    return torch.baddbmm(y.flatten(0, 1), row.flatten(0, 1), v.flatten(0, 1)).view_as(v)


def _channels_last(x: Tensor) -> Tensor:
    """(B, C, H, W) → (B, H, W, C) in memory, so that a row is a matrix, and so is a column."""
    return x.permute(0, 2, 3, 1).contiguous()


def _memory_format(x: Tensor) -> torch.memory_format:
    """Channels last if x is; contiguous otherwise, also where it is both."""
    if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        return torch.channels_last
    return torch.contiguous_format


def _check_input(x: Tensor, channels: int) -> None:
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"expected an input of shape (B, {channels}, H, W), got {tuple(x.shape)}")
