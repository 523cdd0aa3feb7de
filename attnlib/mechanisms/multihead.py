"""Multi-head attention: h small attentions side by side, each with its own queries, keys, values.

Ashish Vaswani, Noam Shazeer, Niki Parmar, Jakob Uszkoreit, Llion Jones, Aidan N. Gomez, Łukasz
Kaiser, Illia Polosukhin: "Attention Is All You Need", NeurIPS 2017. arXiv:1706.03762

    Attention(Q, K, V) = softmax(Q Kᵀ / √d) V                             eq. 1
    head_i = Attention(Q W_i^Q, K W_i^K, V W_i^V)                         i = 1 … h, d = C/h
    MultiHead(Q, K, V) = Concat(head_1, …, head_h) W^O                    section 3.2.2
    PE(p, 2i) = sin(p / 10000^(2i/C)),  PE(p, 2i + 1) = cos(the same)     section 3.5

Symbols: C = ``channels`` (d_model in the paper), h = ``heads``; the W^Q, W^K, W^V of all heads are
the rows of one matrix, ``qkv``, in this order, so that one product makes all of them; W^O is
``out``. The paper's sequence is a (B, N, C) tensor; a feature map is one with N = H·W.

Deviations: none for sequences. The paper's projections have no biases; ``bias=True`` gives what
``torch.nn.MultiheadAttention`` has. For maps the encoding is two-dimensional: half of the channels
encode the row, the other half the column, each half by the formula above with C/2 for C.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = [
    "MultiHeadAttention",
    "SequenceMultiHeadAttention",
    "positional_encoding",
    "positional_encoding_2d",
    "scaled_dot_product",
]


def scaled_dot_product(
    query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Eq. 1 as it is written, with its weights; ``forward`` uses PyTorch's fused form of it.

    Args:
        query: Q, (..., N, d).
        key: K, (..., M, d).
        value: V, (..., M, e).
        mask: booleans that broadcast to (..., N, M); a query sees the keys where it is ``True``,
            and must see at least one.

    Returns:
        the mixtures (..., N, e) and the weights (..., N, M), which sum to 1 over M.

    Example:
        >>> q, k, v = torch.randn(4, 8), torch.randn(6, 8), torch.randn(6, 16)
        >>> mixture, weights = scaled_dot_product(q, k, v)
        >>> mixture.shape, weights.shape
        (torch.Size([4, 16]), torch.Size([4, 6]))
    """
    scores = query @ key.mT / math.sqrt(query.shape[-1])  # (..., N, M)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    weights = scores.softmax(-1)  # (..., N, M)
    return weights @ value, weights


def positional_encoding(
    length: int,
    channels: int,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """The sinusoids of section 3.5, (``length``, ``channels``): sine, cosine, sine, ...

    Raises:
        ValueError: if ``channels`` is not a positive even number.

    Example:
        >>> positional_encoding(2, 4)
        tensor([[0.0000, 1.0000, 0.0000, 1.0000],
                [0.8415, 0.5403, 0.0100, 0.9999]])
    """
    if channels < 2 or channels % 2:
        raise ValueError(f"channels must be positive and even, got {channels}")
    # In float32 at least: positions and angles outgrow the digits of half precision.
    exact = torch.promote_types(dtype or torch.get_default_dtype(), torch.float32)
    position = torch.arange(length, device=device, dtype=exact)[:, None]  # (N, 1)
    frequency = 1e4 ** -(torch.arange(0, channels, 2, device=device, dtype=exact) / channels)
    angle = position * frequency  # (N, C/2)
    return torch.stack([angle.sin(), angle.cos()], -1).flatten(1).to(dtype)  # (N, C)


def positional_encoding_2d(
    height: int,
    width: int,
    channels: int,
    *,
    device: torch.device | str | None = None,
    dtype: torch.dtype | None = None,
) -> Tensor:
    """Sinusoids for a map, (H, W, C): the first C/2 channels encode the row, the rest the column.

    Raises:
        ValueError: if ``channels`` is not a positive multiple of 4.

    Example:
        >>> positional_encoding_2d(3, 5, 8).shape
        torch.Size([3, 5, 8])
    """
    if channels < 4 or channels % 4:
        raise ValueError(f"channels must be a positive multiple of 4, got {channels}")
    rows = positional_encoding(height, channels // 2, device=device, dtype=dtype)  # (H, C/2)
    columns = positional_encoding(width, channels // 2, device=device, dtype=dtype)  # (W, C/2)
    return torch.cat(
        [rows[:, None].expand(-1, width, -1), columns.expand(height, -1, -1)], -1
    )  # (H, W, C)


class SequenceMultiHeadAttention(nn.Module):
    """The paper's multi-head attention, for sequences.

    Args:
        channels: C, the width of the model (d_model).
        heads: h, how many attentions; each is C/h wide.
        bias: whether the four projections have biases: the paper has none,
            ``torch.nn.MultiheadAttention`` has.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - query: (B, N, C)
        - key, value: (B, M, C); the query where they are left out (self-attention)
        - mask: booleans that broadcast to (B, h, N, M), ``True`` where a query may look
        - output: (B, N, C)

    Parameters: 4·C², plus 4·C with biases; 1,050,624 for C = 512 with biases.

    Raises:
        ValueError: if ``channels`` or ``heads`` is not positive, if ``heads`` does not divide
            ``channels``, or if an input is not (B, N, ``channels``).

    Example:
        >>> attention = SequenceMultiHeadAttention(64, heads=8)
        >>> sentence = torch.randn(2, 10, 64)
        >>> attention(sentence).shape, attention.attention(sentence).shape
        (torch.Size([2, 10, 64]), torch.Size([2, 8, 10, 10]))
        >>> attention(sentence, torch.randn(2, 7, 64)).shape  # asks another sequence
        torch.Size([2, 10, 64])
        >>> causal = torch.ones(10, 10, dtype=torch.bool).tril()
        >>> attention(sentence, mask=causal).shape
        torch.Size([2, 10, 64])
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int = 8,
        bias: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_arguments(channels, heads)
        self.channels = channels
        self.heads = heads
        self.qkv = nn.Linear(channels, 3 * channels, bias=bias, device=device, dtype=dtype)
        self.out = nn.Linear(channels, channels, bias=bias, device=device, dtype=dtype)

    def attention(
        self, query: Tensor, key: Tensor | None = None, *, mask: Tensor | None = None
    ) -> Tensor:
        """The weights of every head: (B, N, C) → (B, h, N, M); they sum to 1 over M."""
        q, k, v = self._project(query, key, None)
        return scaled_dot_product(q, k, v, mask)[1]

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        *,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Concat(head_1, …, head_h) W^O: (B, N, C) → (B, N, C)."""
        q, k, v = self._project(query, key, value)  # (B, h, N or M, C/h)
        if not torch.compiler.is_compiling() and torch.autograd.forward_ad._current_level >= 0:
            y = scaled_dot_product(q, k, v, mask)[0]  # the fused kernel knows no forward mode
        else:
            y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)  # (B, h, N, C/h)
        return self.out(y.transpose(1, 2).flatten(2))  # (B, N, C)

    def _project(
        self, query: Tensor, key: Tensor | None, value: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values of all heads, each (B, h, N or M, C/h)."""
        for t in (query, key, value):
            if t is not None and (t.dim() != 3 or t.shape[2] != self.channels):
                raise ValueError(
                    f"expected an input of shape (B, N, {self.channels}), got {tuple(t.shape)}"
                )
        if key is None and value is None:
            q, k, v = self.qkv(query).chunk(3, -1)  # one product for all three
        else:
            key = query if key is None else key
            value = key if value is None else value
            weights = self.qkv.weight.chunk(3)
            biases = (None,) * 3 if self.qkv.bias is None else self.qkv.bias.chunk(3)
            q, k, v = map(F.linear, (query, key, value), weights, biases)
        q, k, v = (t.unflatten(-1, (self.heads, -1)).transpose(1, 2) for t in (q, k, v))
        return q, k, v

    def extra_repr(self) -> str:
        return f"{self.channels}, heads={self.heads}"


class MultiHeadAttention(nn.Module):
    """Multi-head self-attention over the positions of a feature map.

    Without the encoding the module is blind to where things are: shuffle the positions of x and
    those of the output are shuffled alike.

    Args:
        channels: C, the number of channels of the input.
        heads: h, how many attentions; each is C/h wide.
        bias: whether the four projections have biases; the paper has none.
        positions: whether to add the two-dimensional sinusoidal encoding to x first.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W); nothing is added to it, the residual path is the network's

    Parameters: 4·C², plus 4·C with biases.

    Raises:
        ValueError: if ``channels`` or ``heads`` is not positive, if ``heads`` does not divide
            ``channels``, if ``positions`` is asked for and 4 does not divide ``channels``, or if
            the input is not (B, ``channels``, H, W).

    Example:
        >>> attention = MultiHeadAttention(64, heads=8, positions=True)
        >>> x = torch.randn(2, 64, 9, 12)
        >>> attention(x).shape, attention.attention(x).shape
        (torch.Size([2, 64, 9, 12]), torch.Size([2, 8, 108, 108]))
    """

    def __init__(
        self,
        channels: int,
        *,
        heads: int = 8,
        bias: bool = False,
        positions: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        _check_arguments(channels, heads)
        if positions and channels % 4:
            raise ValueError(f"positions need channels divisible by 4, got channels={channels}")
        self.channels = channels
        self.positions = positions
        self.sequence = SequenceMultiHeadAttention(
            channels, heads=heads, bias=bias, device=device, dtype=dtype
        )

    def attention(self, x: Tensor) -> Tensor:
        """The weights of every head: (B, C, H, W) → (B, h, N, N), query first."""
        return self.sequence.attention(self._tokens(x))

    def forward(self, x: Tensor) -> Tensor:
        """Multi-head attention over all positions: (B, C, H, W) → (B, C, H, W)."""
        y = self.sequence(self._tokens(x))  # (B, N, C)
        y = y.unflatten(1, x.shape[2:]).permute(0, 3, 1, 2)  # (B, C, H, W), channels last
        return y.contiguous(memory_format=_memory_format(x))

    def _tokens(self, x: Tensor) -> Tensor:
        """The positions as a sequence: (B, C, H, W) → (B, N, C)."""
        _check_input(x, self.channels)
        tokens = x.permute(0, 2, 3, 1).contiguous()  # (B, H, W, C)
        if self.positions:
            _, H, W, C = tokens.shape
            tokens = tokens + positional_encoding_2d(H, W, C, device=x.device, dtype=x.dtype)
        return tokens.flatten(1, 2)  # (B, N, C)

    def extra_repr(self) -> str:
        return f"positions={self.positions}"


def _memory_format(x: Tensor) -> torch.memory_format:
    """Channels last if x is; contiguous otherwise, also where it is both."""
    if x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous():
        return torch.channels_last
    return torch.contiguous_format


def _check_arguments(channels: int, heads: int) -> None:
    if channels < 1 or heads < 1:
        raise ValueError(
            f"channels and heads must be positive, got channels={channels}, heads={heads}"
        )
    if channels % heads:
        raise ValueError(f"heads must divide channels, got channels={channels}, heads={heads}")


def _check_input(x: Tensor, channels: int) -> None:
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"expected an input of shape (B, {channels}, H, W), got {tuple(x.shape)}")
