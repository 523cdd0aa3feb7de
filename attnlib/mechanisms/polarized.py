"""Polarized Self-Attention: a gate per channel and a gate per position, parallel or in sequence.

Huajun Liu, Fuqiang Liu, Xinyi Fan, Dong Huang: "Polarized Self-Attention: Towards High-quality
Pixel-wise Regression", 2021; Neurocomputing 2022. arXiv:2107.00782

Each branch keeps one axis of x at full length and folds the other one up completely:

    s = softmax over positions of W_q x                               (B, 1, N),  N = H·W
    A_ch = σ(LN(W_z (W_v x · sᵀ)))              channel branch        (B, C, 1, 1)
    t = softmax over channels of mean(W'_q x)                         (B, C/2)
    A_sp = σ(t · W'_v x)                        spatial branch        (B, 1, H, W)

    parallel      y = A_ch ⊙ x + A_sp ⊙ x
    sequential    y = A_sp(A_ch ⊙ x) ⊙ A_ch ⊙ x

Symbols: C = ``channels``; W_q: C → 1 is ``channel_query``, W_v: C → C/2 ``channel_value``, W_z (and
LN) ``channel_out``, W'_q and W'_v: C → C/2 ``spatial_query`` and ``spatial_value``.

Projecting after pooling. No projection is ever applied to the map, because each commutes with the
weighted sum that follows it:

    W_v x · sᵀ + b = W_v (x · sᵀ) + b        since the weights s sum to one
    mean(W'_q x + b) = W'_q mean(x) + b      likewise
    t · (W'_v x + b) = (t W'_v) · x + t · b  the weights fold into one vector of length C
    mean(A_ch ⊙ x) = A_ch ⊙ mean(x)          so A_ch ⊙ x is never built either

Same numbers, a hundredth of the work. The one exception is ``spatial_softmax="value"``, whose
softmax comes between W'_v and the sum.

Deviations: where the paper's softmax of the spatial branch ends is not clear; the reading above is
that of the published notes and of the widely copied code. The authors' code differs from it and
between its two classes. Their parallel one: ``spatial_softmax="product", channel_out="linear"``;
their sequential one: ``spatial_softmax="value", channel_out="bottleneck"``. Where the paper is
silent (biases, initialisation) theirs is the default here. The widely copied code: ``bias=True``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = [
    "ParallelPolarizedSelfAttention",
    "PolarizedGates",
    "SequentialPolarizedSelfAttention",
]

SPATIAL_SOFTMAX = ("query", "value", "product")
CHANNEL_OUT = ("norm", "linear", "bottleneck")


class PolarizedGates(NamedTuple):
    """The gates of polarized self-attention."""

    channel: Tensor  #: A_ch, (B, C, 1, 1)
    spatial: Tensor  #: A_sp, (B, 1, H, W)


class _PolarizedSelfAttention(nn.Module):
    def __init__(
        self,
        channels: int,
        *,
        spatial_softmax: str = "query",
        channel_out: str = "norm",
        reduction: int = 4,
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
        hidden = channels // 2
        if hidden == 0:
            raise ValueError(f"channels must be at least 2, got channels={channels}")
        if spatial_softmax not in SPATIAL_SOFTMAX:
            raise ValueError(
                f"spatial_softmax must be one of {SPATIAL_SOFTMAX}, got {spatial_softmax!r}"
            )
        if channel_out not in CHANNEL_OUT:
            raise ValueError(f"channel_out must be one of {CHANNEL_OUT}, got {channel_out!r}")
        narrow = hidden // reduction
        if channel_out == "bottleneck" and narrow == 0:
            raise ValueError(
                f"reduction must not exceed half the channels, got channels={channels}, "
                f"reduction={reduction}: the bottleneck would be empty"
            )
        self.channels = channels
        self.spatial_softmax = spatial_softmax
        self.reduction = reduction
        self.bias = bias

        def linear(inputs: int, outputs: int, bias: bool = bias) -> nn.Linear:
            return nn.Linear(inputs, outputs, bias=bias, device=device, dtype=dtype)

        def norm(features: int) -> nn.LayerNorm:
            return nn.LayerNorm(features, device=device, dtype=dtype)

        self.channel_query = linear(channels, 1)
        self.channel_value = linear(channels, hidden)
        self.channel_out: nn.Module
        if channel_out == "norm":
            self.channel_out = nn.Sequential(linear(hidden, channels), norm(channels))
        elif channel_out == "linear":
            self.channel_out = linear(hidden, channels)
        else:
            self.channel_out = nn.Sequential(
                linear(hidden, narrow, True),
                norm(narrow),
                nn.ReLU(),
                linear(narrow, channels, True),
            )
        self.spatial_query = linear(channels, hidden)
        self.spatial_value = linear(channels, hidden)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """As the authors do: He's normal initialisation for the queries and the values."""
        for layer in (
            self.channel_query,
            self.channel_value,
            self.spatial_query,
            self.spatial_value,
        ):
            nn.init.kaiming_normal_(layer.weight, mode="fan_in", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def _gates(self, x: Tensor, sequential: bool) -> tuple[Tensor, Tensor, Tensor]:
        """x itself and its gates: (B, C, N) → (B, C, N), (B, C, 1), (B, 1, N)."""
        lean = _lean(x, *self.parameters())
        mix, pool = (_Mix.apply, _Pool.apply) if lean else (_mix, _pool)

        x, logits = mix(x, self.channel_query.weight.expand(x.shape[0], -1, -1))  # (B, 1, N)
        if self.channel_query.bias is not None:
            logits = logits + self.channel_query.bias
        # A row of zeros beside the query's: its softmax is 1/N, and its sum the mean that the
        # spatial branch wants, from the same pass over x.
        s = torch.cat([logits, torch.zeros_like(logits)], 1).softmax(2)  # (B, 2, N)
        x, pooled = pool(x, s)  # (B, 2, C)
        z, mean = pooled.unbind(1)  # (B, C), (B, C)
        channel = self.channel_out(self.channel_value(z)).sigmoid()  # (B, C)

        seen = channel if sequential else torch.ones_like(channel)  # what scales x before we look
        t = self.spatial_query(seen * mean)  # (B, C/2)
        weight, bias = self.spatial_value.weight, self.spatial_value.bias
        if self.spatial_softmax == "value":
            x, values = mix(x, weight * seen[:, None, :])  # (B, C/2, N)
            if bias is not None:
                values = values + bias[:, None]
            spatial = (t[:, None, :] @ values.softmax(2)).sigmoid()  # (B, 1, N)
        else:
            if self.spatial_softmax == "query":
                t = t.softmax(1)
            x, spatial = mix(x, (t @ weight * seen)[:, None, :])  # (B, 1, N)
            if bias is not None:
                spatial = spatial + (t @ bias)[:, None, None]
            if self.spatial_softmax == "product":
                spatial = spatial.softmax(2)
            spatial = spatial.sigmoid()
        return x, channel[:, :, None], spatial

    def _flatten(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise ValueError(
                f"expected an input of shape (B, {self.channels}, H, W), got {tuple(x.shape)}"
            )
        return x.flatten(2)  # (B, C, N)

    def extra_repr(self) -> str:
        return f"{self.channels}, spatial_softmax={self.spatial_softmax!r}"


class ParallelPolarizedSelfAttention(_PolarizedSelfAttention):
    """Polarized self-attention, both branches looking at x: A_ch ⊙ x + A_sp ⊙ x (PSA_p).

    Args:
        channels: C, the number of channels of the input.
        spatial_softmax: what the softmax of the spatial branch runs over. ``"query"``: the C/2
            entries of the pooled query (the paper); ``"product"``: the positions of query · values
            (the authors' parallel code, whose gates are therefore all close to 0.5); ``"value"``:
            the positions of each value (the authors' sequential code).
        channel_out: from the C/2 pooled values to the C logits of the channel branch. ``"norm"``:
            W_z and LayerNorm (the paper); ``"linear"``: W_z alone (the authors' parallel code);
            ``"bottleneck"``: down by ``reduction``, LayerNorm, ReLU, up (their sequential code).
        reduction: how many times the bottleneck is narrower than C/2; unused by the others.
        bias: whether W_q, W_v, W_z, W'_q and W'_v have biases (the bottleneck always has). The
            authors' code has none, the widely copied code has all. W_q's changes nothing: it
            shifts all logits of a softmax alike.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters, h = ⌊C/2⌋: 4·C·h + 3·C; with ``channel_out="linear"`` 4·C·h + C. With biases
    3·h + 1 more, and C more for W_z.

    Raises:
        ValueError: if ``channels`` is less than 2, ``reduction`` is not positive or leaves no
            bottleneck, an option is not one of those listed, or the input is not
            (B, ``channels``, H, W).

    Example:
        >>> psa = ParallelPolarizedSelfAttention(64)
        >>> psa(torch.randn(2, 64, 24, 32)).shape
        torch.Size([2, 64, 24, 32])
        >>> channel, spatial = psa.attention(torch.randn(2, 64, 24, 32))
        >>> channel.shape, spatial.shape
        (torch.Size([2, 64, 1, 1]), torch.Size([2, 1, 24, 32]))
    """

    def attention(self, x: Tensor) -> PolarizedGates:
        """The gates A_ch and A_sp; x · channel + x · spatial is the output."""
        _, channel, spatial = self._gates(self._flatten(x), sequential=False)
        return PolarizedGates(channel[..., None], spatial.unflatten(2, x.shape[2:]))

    def forward(self, x: Tensor) -> Tensor:
        """A_ch ⊙ x + A_sp ⊙ x: (B, C, H, W) → (B, C, H, W)."""
        y, channel, spatial = self._gates(self._flatten(x), sequential=False)
        return _scale(y, channel, spatial, sequential=False).view(x.shape)


class SequentialPolarizedSelfAttention(_PolarizedSelfAttention):
    """Polarized self-attention, the spatial branch looking at A_ch ⊙ x (PSA_s).

    Args:
        channels: C, the number of channels of the input.
        spatial_softmax: what the softmax of the spatial branch runs over. ``"query"``: the C/2
            entries of the pooled query (the paper); ``"value"``: the positions of each value (the
            authors' sequential code); ``"product"``: the positions of query · values (their
            parallel code).
        channel_out: from the C/2 pooled values to the C logits of the channel branch. ``"norm"``:
            W_z and LayerNorm (the paper); ``"bottleneck"``: down by ``reduction``, LayerNorm, ReLU,
            up (the authors' sequential code); ``"linear"``: W_z alone (their parallel code).
        reduction: how many times the bottleneck is narrower than C/2; unused by the others.
        bias: whether W_q, W_v, W_z, W'_q and W'_v have biases (the bottleneck always has). The
            authors' code has none, the widely copied code has all. W_q's changes nothing: it
            shifts all logits of a softmax alike.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters, h = ⌊C/2⌋: 4·C·h + 3·C; with ``channel_out="bottleneck"``, k = ⌊h/reduction⌋:
    3·C·h + 2·C + h·k + 3·k + k·C. With biases 3·h + 1 more, and C more for W_z.

    Raises:
        ValueError: as :class:`ParallelPolarizedSelfAttention`.

    Example:
        >>> psa = SequentialPolarizedSelfAttention(64)
        >>> psa(torch.randn(2, 64, 24, 32)).shape
        torch.Size([2, 64, 24, 32])
        >>> channel, spatial = psa.attention(torch.randn(2, 64, 24, 32))
        >>> channel.shape, spatial.shape
        (torch.Size([2, 64, 1, 1]), torch.Size([2, 1, 24, 32]))
    """

    def attention(self, x: Tensor) -> PolarizedGates:
        """The gates A_ch and A_sp(A_ch ⊙ x); x · channel · spatial is the output."""
        _, channel, spatial = self._gates(self._flatten(x), sequential=True)
        return PolarizedGates(channel[..., None], spatial.unflatten(2, x.shape[2:]))

    def forward(self, x: Tensor) -> Tensor:
        """A_sp(A_ch ⊙ x) ⊙ A_ch ⊙ x: (B, C, H, W) → (B, C, H, W)."""
        y, channel, spatial = self._gates(self._flatten(x), sequential=True)
        return _scale(y, channel, spatial, sequential=True).view(x.shape)


def _mix(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted sums over the channels: (B, C, N), (B, K, C) → x, (B, K, N)."""
    return x, weights @ x


def _pool(x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted sums over the positions: (B, C, N), (B, K, N) → x, (B, K, C)."""
    return x, weights @ x.transpose(1, 2)  # thrice as fast on a CPU as x @ weightsᵀ


def _scale(x: Tensor, channel: Tensor, spatial: Tensor, sequential: bool) -> Tensor:
    if _lean(x, channel, spatial):
        return _Scale.apply(x, channel, spatial, sequential)
    if torch.is_grad_enabled():
        return x * channel * spatial if sequential else x * (channel + spatial)
    # Without autograd the second product can do without a second map.
    y = x * channel
    return y.mul_(spatial) if sequential else y.addcmul_(x, spatial)


# --- the same steps with a backward that allocates one map of the size of x -----------------------
#
# Autograd on the plain form allocates a map for every use of x and adds them up, and on a CPU it is
# these allocations that cost the time. Below, x passes through every step into the next, so its
# gradient comes back through all of them: the last step makes it, the others add to it in place.


def _lean(x: Tensor, *others: Tensor) -> bool:
    """Whether eager autograd, and nothing else, will run the backward."""
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch._C._are_functorch_transforms_active()
        and torch.autograd.forward_ad._current_level < 0
        and (x.requires_grad or any(t.requires_grad for t in others))
        and x.device.type in ("cpu", "cuda")
        and not torch.is_autocast_enabled(x.device.type)
    )


def _in_place(grad: Tensor) -> bool:
    """Whether this backward may work in place: not under a second derivative, nor under vmap."""
    return not (torch.is_grad_enabled() or torch._C._functorch.is_legacy_batchedtensor(grad))


def _add_outer(d_x: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """d_x + aᵀ b. d_x is the map that ``_Scale.backward`` has just made, and only we hold it."""
    a = a.transpose(1, 2)
    return d_x.baddbmm_(a, b) if _in_place(d_x) else torch.baddbmm(d_x, a, b)


class _Mix(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, weights)
        return x.view_as(x), weights @ x

    @staticmethod
    def backward(ctx: Any, d_x: Tensor, d_mixed: Tensor) -> tuple[Tensor, Tensor]:
        x, weights = ctx.saved_tensors
        return _add_outer(d_x, weights, d_mixed), d_mixed @ x.transpose(1, 2)


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(x, weights)
        return x.view_as(x), weights @ x.transpose(1, 2)

    @staticmethod
    def backward(ctx: Any, d_x: Tensor, d_pooled: Tensor) -> tuple[Tensor, Tensor]:
        x, weights = ctx.saved_tensors
        return _add_outer(d_x, d_pooled, weights), d_pooled @ x


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, channel: Tensor, spatial: Tensor, sequential: bool) -> Tensor:
        ctx.save_for_backward(x, channel, spatial)
        ctx.sequential = sequential
        y = x * channel
        return y.mul_(spatial) if sequential else y.addcmul_(x, spatial)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        x, channel, spatial = ctx.saved_tensors
        product = x * grad  # (B, C, N)
        if ctx.sequential:
            d_channel = (spatial @ product.transpose(1, 2)).transpose(1, 2)  # (B, C, 1)
            d_spatial = channel.transpose(1, 2) @ product  # (B, 1, N)
        else:
            d_channel = product.sum(2, keepdim=True)  # (B, C, 1)
            d_spatial = product.sum(1, keepdim=True)  # (B, 1, N)
        if _in_place(grad):
            d_x = torch.mul(grad, channel, out=product)
            d_x = d_x.mul_(spatial) if ctx.sequential else d_x.addcmul_(grad, spatial)
        else:
            d_x = grad * channel * spatial if ctx.sequential else grad * (channel + spatial)
        return d_x, d_channel, d_spatial, None
