"""Dual attention: every position asks every position, every channel asks every channel.

Jun Fu, Jing Liu, Haijie Tian, Yong Li, Yongjun Bao, Zhiwei Fang, Hanqing Lu: "Dual Attention
Network for Scene Segmentation", CVPR 2019. arXiv:1809.02983

Position attention, X as N = H·W columns of C numbers:

    Q = W_q X + b_q,  K = W_k X + b_k,  V = W_v X + b_v        Q, K: C/r × N, V: C × N
    S = softmax over j of Q_iᵀ K_j                              N × N, every row sums to 1
    Y = γ · V Sᵀ + X                                            C × N

Channel attention, which has no projections:

    A = softmax over j of X_i X_jᵀ                              C × C, every row sums to 1
    Y = γ · A X + X                                             C × N

Symbols: C = ``channels``, r = ``reduction``; W_q, W_k, W_v are ``query``, ``key``, ``value``; the
scalar γ is ``gamma`` and starts at 0. Neither softmax is scaled by a square root.

Deviations: none by default. The authors' code takes softmax(max_j E_ij − E) in the channel
attention, E = X Xᵀ; since a constant drops out of a softmax that is softmax(−E): the order is
turned round, and the *least* similar channel gets the largest weight. ``max_minus=True`` gives it.
The paper's head wraps each branch into convolutions of its own before it adds them up;
``DualAttention`` is the sum without those convolutions.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["ChannelAttention", "DualAttention", "DualWeights", "PositionAttention"]


class PositionAttention(nn.Module):
    """DANet's position attention (PAM): each position becomes a mixture of all positions.

    The N × N weights are not held at once where they are many: queries are taken in chunks, and the
    backward pass computes the weights of a chunk anew, which costs less than reading them back
    would.

    Args:
        channels: C, the number of channels of the input.
        reduction: r, how many times queries and keys are narrower than the input: ⌊C/r⌋ channels.
            The paper is silent; the authors' code has 8.
        chunk_size: how many queries of every sample are handled at once. ``None`` chooses, keeps
            up to 2²² weights for the backward pass, and beyond takes the samples in turn too. The
            result does not depend on it, memory and speed do.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters: 2·(C·⌊C/r⌋ + ⌊C/r⌋) + C² + C + 1. The bias of ``key`` never learns: it adds the
    same number to all scores of a query, and a constant drops out of the softmax.

    Raises:
        ValueError: if ``channels``, ``reduction`` or ``chunk_size`` is not positive, if
            ``reduction`` exceeds ``channels``, or if the input is not (B, ``channels``, H, W).

    Example:
        >>> attention = PositionAttention(64)
        >>> x = torch.randn(2, 64, 9, 12)
        >>> attention(x).shape, attention.attention(x).shape
        (torch.Size([2, 64, 9, 12]), torch.Size([2, 108, 108]))
        >>> torch.equal(attention(x), x)  # γ starts at 0
        True
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 8,
        chunk_size: int | None = None,
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
        if chunk_size is not None and chunk_size < 1:
            raise ValueError(f"chunk_size must be positive or None, got {chunk_size}")
        self.channels = channels
        self.reduction = reduction
        self.chunk_size = chunk_size
        narrow = channels // reduction
        self.query = nn.Conv2d(channels, narrow, 1, device=device, dtype=dtype)
        self.key = nn.Conv2d(channels, narrow, 1, device=device, dtype=dtype)
        self.value = nn.Conv2d(channels, channels, 1, device=device, dtype=dtype)
        self.gamma = nn.Parameter(torch.zeros(1, device=device, dtype=dtype))

    def attention(self, x: Tensor) -> Tensor:
        """The weights S: (B, C, H, W) → (B, N, N), query first; every row sums to 1."""
        _check_input(x, self.channels)
        q, k = self.query(x).flatten(2), self.key(x).flatten(2)  # (B, C/r, N)
        return (q.mT @ k).softmax(-1)  # (B, N, N)

    def forward(self, x: Tensor) -> Tensor:
        """γ·V Sᵀ + X: (B, C, H, W) → (B, C, H, W)."""
        _check_input(x, self.channels)
        q, k = self.query(x).flatten(2), self.key(x).flatten(2)  # (B, C/r, N)
        v = self.value(x).flatten(2)  # (B, C, N)
        y = _mix(q, k, v, self.chunk_size).view_as(x)  # (B, C, H, W)
        return torch.addcmul(x, self.gamma, y)  # x + γ·y

    def extra_repr(self) -> str:
        return f"{self.channels}, reduction={self.reduction}"


class ChannelAttention(nn.Module):
    """DANet's channel attention (CAM): each channel becomes a mixture of all channels.

    The scores are inner products of whole maps, numbers of the size of H·W: they are computed in
    float32 where x has a narrower type, whose few digits would decide the softmax.

    Args:
        channels: C, the number of channels of the input; only checked, nothing depends on it.
        max_minus: the authors' code: softmax(max_j E_ij − E_ij) = softmax(−E) instead of the
            paper's softmax(E), so that the least similar channel gets the largest weight.
        device: device of the parameter.
        dtype: dtype of the parameter.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters: 1.

    Raises:
        ValueError: if ``channels`` is not positive or the input is not (B, ``channels``, H, W).

    Example:
        >>> attention = ChannelAttention(64)
        >>> x = torch.randn(2, 64, 9, 12)
        >>> attention(x).shape, attention.attention(x).shape
        (torch.Size([2, 64, 9, 12]), torch.Size([2, 64, 64]))
    """

    def __init__(
        self,
        channels: int,
        *,
        max_minus: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if channels < 1:
            raise ValueError(f"channels must be positive, got channels={channels}")
        self.channels = channels
        self.max_minus = max_minus
        self.gamma = nn.Parameter(torch.zeros(1, device=device, dtype=dtype))

    def attention(self, x: Tensor) -> Tensor:
        """The weights A: (B, C, H, W) → (B, C, C); every row sums to 1."""
        _check_input(x, self.channels)
        X = x.flatten(2)  # (B, C, N)
        if not self.max_minus:
            return _scores(X, X).softmax(-1).to(x.dtype)  # (B, C, C)
        # Many of these weights lie below the normal range of numbers, where a product takes
        # several times as long on some CPUs. They are as good as nothing.
        A = _scores(-X, X).softmax(-1)  # (B, C, C)
        return F.threshold(A, torch.finfo(A.dtype).tiny, 0.0).to(x.dtype)

    def forward(self, x: Tensor) -> Tensor:
        """γ·A X + X: (B, C, H, W) → (B, C, H, W)."""
        return torch.addcmul(x, self.gamma, self.mixture(x))  # x + γ·A X

    def mixture(self, x: Tensor) -> Tensor:
        """A X, every channel as a mixture of all: (B, C, H, W) → (B, C, H, W)."""
        return (self.attention(x) @ x.flatten(2)).view_as(x)

    def extra_repr(self) -> str:
        return f"{self.channels}, max_minus={self.max_minus}"


class DualWeights(NamedTuple):
    """The weights of both branches."""

    position: Tensor  #: (B, N, N)
    channel: Tensor  #: (B, C, C)


class DualAttention(nn.Module):
    """DANet's two attentions side by side, added up.

    In the paper's head each branch has its own convolutions before and after the attention. This
    is the part between them, on one and the same map, as a module for any network.

    Args:
        channels: C, the number of channels of the input.
        reduction: r of the position attention.
        max_minus: the authors' form of the channel attention, see ``ChannelAttention``.
        shared_residual: the paper adds the outputs of two branches, each of which adds its own
            input, so that x counts twice: 2x before training. ``True`` adds x once: x before
            training, which is what a network that is already trained wants.
        chunk_size: queries handled at once by the position attention, see there.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters: 2·(C·⌊C/r⌋ + ⌊C/r⌋) + C² + C + 2.

    Raises:
        ValueError: as ``PositionAttention`` and ``ChannelAttention``.

    Example:
        >>> attention = DualAttention(64, shared_residual=True)
        >>> x = torch.randn(2, 64, 9, 12)
        >>> torch.equal(attention(x), x)
        True
        >>> attention.attention(x).channel.shape
        torch.Size([2, 64, 64])
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 8,
        max_minus: bool = False,
        shared_residual: bool = False,
        chunk_size: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.shared_residual = shared_residual
        self.position = PositionAttention(
            channels, reduction=reduction, chunk_size=chunk_size, device=device, dtype=dtype
        )
        self.channel = ChannelAttention(channels, max_minus=max_minus, device=device, dtype=dtype)

    def attention(self, x: Tensor) -> DualWeights:
        """The weights of both branches: (B, C, H, W) → (B, N, N) and (B, C, C)."""
        return DualWeights(self.position.attention(x), self.channel.attention(x))

    def forward(self, x: Tensor) -> Tensor:
        """Position attention plus channel attention: (B, C, H, W) → (B, C, H, W)."""
        if self.shared_residual:
            return torch.addcmul(self.position(x), self.channel.gamma, self.channel.mixture(x))
        return self.position(x) + self.channel(x)

    def extra_repr(self) -> str:
        return f"shared_residual={self.shared_residual}"


def _mix(q: Tensor, k: Tensor, v: Tensor, chunk_size: int | None) -> Tensor:
    """V Sᵀ with S = softmax(Qᵀ K): (B, d, N), (B, d, N), (B, C, N) → (B, C, N)."""
    if torch.compiler.is_compiling() or torch.jit.is_tracing():
        # A graph has no loop over chunks; this one call is fused where the backend can.
        q, k, v = (t.mT.unsqueeze(1) for t in (q, k, v))  # (B, 1, N, ·)
        return F.scaled_dot_product_attention(q, k, v, scale=1.0).squeeze(1).mT
    B, _, N = q.shape
    samples, queries = _share(B, N, chunk_size, q.device.type)
    # Forward mode cannot look into a backward of ours.
    everything = samples >= B and queries >= N
    if everything or torch.autograd.forward_ad._current_level >= 0:
        return v @ (q.mT @ k).softmax(-1).mT
    return _Mixture.apply(q, k, v, samples, queries)


def _share(B: int, N: int, chunk_size: int | None, device: str) -> tuple[int, int]:
    """How many samples are handled at once, and how many queries of each of them."""
    if chunk_size is not None:
        return B, chunk_size
    if B * N * N <= 2**22:  # 16 MiB of weights: worth keeping
        return B, N
    # 2^20 weights are 4 MiB: they stay near a CPU's cores. A GPU wants larger products. Few
    # samples with many queries multiply faster than many samples with few.
    most = 2**20 if device == "cpu" else 2**22
    samples = max(most // N**2, 1)
    chunks = math.ceil(N**2 / most)
    return samples, math.ceil(N / chunks)


class _Mixture(torch.autograd.Function):
    """V Sᵀ by chunks of queries; the backward pass computes each chunk of S again."""

    generate_vmap_rule = True

    @staticmethod
    def forward(q: Tensor, k: Tensor, v: Tensor, samples: int, queries: int) -> Tensor:
        y = torch.empty_like(v)  # (B, C, N)
        for some, rows in _chunks(q, samples, queries):
            S = (q[some, :, rows].mT @ k[some]).softmax(-1)  # (b, n, N)
            y[some, :, rows] = v[some] @ S.mT  # (b, C, n)
        return y

    @staticmethod
    def setup_context(ctx, inputs, output) -> None:  # type: ignore[no-untyped-def]
        *qkv, ctx.samples, ctx.queries = inputs
        ctx.save_for_backward(*qkv, output)

    @staticmethod
    def backward(ctx, g):  # type: ignore[no-untyped-def]
        q, k, v, y = ctx.saved_tensors
        dq, dk, dv = torch.empty_like(q), torch.zeros_like(k), torch.zeros_like(v)
        # The softmax's backward pass wants Σ_j S_ij dS_ij of each row, which is g_iᵀ y_i.
        mean = (g * y).sum(1)[:, :, None]  # (B, N, 1)
        for some, rows in _chunks(q, ctx.samples, ctx.queries):
            S = (q[some, :, rows].mT @ k[some]).softmax(-1)  # (b, n, N)
            dv[some].baddbmm_(g[some, :, rows], S)
            dE = (g[some, :, rows].mT @ v[some]).sub_(mean[some, rows]).mul_(S)  # (b, n, N)
            dk[some].baddbmm_(q[some, :, rows], dE)
            dq[some, :, rows] = k[some] @ dE.mT
        return dq, dk, dv, None, None


def _chunks(q: Tensor, samples: int, queries: int) -> Iterator[tuple[slice, slice]]:
    for first in range(0, q.shape[0], samples):
        for i in range(0, q.shape[2], queries):
            yield slice(first, first + samples), slice(i, i + queries)


def _scores(q: Tensor, k: Tensor) -> Tensor:
    """Q Kᵀ in float32 or better, also under autocast: twice (B, C, N) → (B, C, C)."""
    wide, device = torch.promote_types(q.dtype, torch.float32), q.device.type
    if torch.amp.is_autocast_available(device) and torch.is_autocast_enabled(device):
        with torch.autocast(device, enabled=False):
            return q.to(wide) @ k.to(wide).mT
    return q.to(wide) @ k.to(wide).mT


def _check_input(x: Tensor, channels: int) -> None:
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"expected an input of shape (B, {channels}, H, W), got {tuple(x.shape)}")
