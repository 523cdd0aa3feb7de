"""Shuffle Attention: in each group of channels, half get a channel gate, half a spatial gate.

Qing-Long Zhang, Yu-Bin Yang: "SA-Net: Shuffle Attention for Deep Convolutional Neural Networks",
ICASSP 2021. arXiv:2102.00240

    x = x_1 … x_G, each x_k = (x_k1, x_k2)           G groups, two halves     (B, C/2G, H, W) each
    x'_k1 = σ(W1 ⊙ (mean of x_k1 over H, W) + b1) ⊙ x_k1    channel attention
    x'_k2 = σ(W2 ⊙ GN(x_k2) + b2) ⊙ x_k2                    spatial attention
    y = shuffle of (x'_11, x'_12, …, x'_G1, x'_G2)    channels 0, C/2, 1, C/2 + 1, …  (B, C, H, W)

Symbols: C = ``channels``, G = ``groups``; W1, b1 are ``channel_weight``, ``channel_bias``, and W2,
b2 are ``spatial_weight``, ``spatial_bias``: C/2G numbers each, shared by all groups. GN is
``norm``: every channel on its own is normalised over H and W, then scaled and shifted.

Deviations: none from the authors' code, whose G is 64; the widely copied code takes 8 and carries
a ``reduction`` that it never uses. The output's channels are in another order than the input's.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["ShuffleAttention"]


class ShuffleAttention(nn.Module):
    """Shuffle Attention (SA).

    Args:
        channels: C, the number of channels of the input.
        groups: G, how many groups the channels are split into; each has a channel half and a
            spatial half, so 2·G must divide C.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W), the channels shuffled: 0, C/2, 1, C/2 + 1, …

    Parameters: 3·C/G.

    Every gate starts at σ(1) ≈ 0.731, whatever the input: W1 = W2 = 0 and b1 = b2 = 1.

    Raises:
        ValueError: if ``channels`` or ``groups`` is not positive, if 2·``groups`` does not divide
            ``channels``, or if the input is not (B, ``channels``, H, W).

    Example:
        >>> sa = ShuffleAttention(128)
        >>> sa(torch.randn(2, 128, 32, 32)).shape
        torch.Size([2, 128, 32, 32])
        >>> sa.attention(torch.randn(2, 128, 32, 32)).shape
        torch.Size([2, 128, 32, 32])
    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int = 64,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if channels < 1 or groups < 1:
            raise ValueError(
                f"channels and groups must be positive, got channels={channels}, groups={groups}"
            )
        if channels % (2 * groups):
            raise ValueError(
                f"2·groups must divide channels, so that each group has two halves, got "
                f"channels={channels}, groups={groups}"
            )
        self.channels = channels
        self.groups = groups
        half = channels // (2 * groups)  # C/2G
        self.channel_weight = nn.Parameter(torch.zeros(half, device=device, dtype=dtype))
        self.channel_bias = nn.Parameter(torch.ones(half, device=device, dtype=dtype))
        self.spatial_weight = nn.Parameter(torch.zeros(half, device=device, dtype=dtype))
        self.spatial_bias = nn.Parameter(torch.ones(half, device=device, dtype=dtype))
        self.norm = nn.GroupNorm(half, half, device=device, dtype=dtype)

    def attention(self, x: Tensor) -> Tensor:
        """The gates, each in (0, 1), in the order of x's channels: → (B, C, H, W)."""
        _check_input(x, self.channels)
        channel, spatial = _gates(x, self.groups, self.norm.eps, *self._vectors())
        return torch.stack((channel.expand_as(spatial), spatial), 2).reshape(x.shape)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh both halves of each group, then shuffle: (B, C, H, W) → (B, C, H, W)."""
        _check_input(x, self.channels)
        vectors = self._vectors()
        form = _Fused.apply if _fusible(x, vectors) else _shuffle_attention
        return form(x, self.groups, self.norm.eps, *vectors)

    def _vectors(self) -> tuple[Tensor, ...]:
        """W1, b1, W2, b2, and the scale and shift of GN."""
        return (
            self.channel_weight,
            self.channel_bias,
            self.spatial_weight,
            self.spatial_bias,
            self.norm.weight,
            self.norm.bias,
        )

    def extra_repr(self) -> str:
        return f"{self.channels}, groups={self.groups}"


def _check_input(x: Tensor, channels: int) -> None:
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"expected an input of shape (B, {channels}, H, W), got {tuple(x.shape)}")


def _shuffle_attention(x: Tensor, groups: int, eps: float, *parameters: Tensor) -> Tensor:
    """The equations as they stand: (B, C, H, W) → (B, C, H, W)."""
    channel, spatial = _gates(x, groups, eps, *parameters)
    x1, x2 = _halves(x, groups)  # (B, G, C/2G, H, W)
    y = torch.stack((x1 * channel, x2 * spatial), 2)  # (B, G, 2, C/2G, H, W)
    y = y.reshape(x.shape).unflatten(1, (2, -1)).transpose(1, 2).reshape(x.shape).to(x.dtype)
    if not _traced() and x.is_contiguous(memory_format=torch.channels_last):
        y = y.contiguous(memory_format=torch.channels_last)
    return y


def _gates(x: Tensor, groups: int, eps: float, *parameters: Tensor) -> tuple[Tensor, Tensor]:
    """Channel and spatial gates of all groups: (B, G, C/2G, 1, 1), (B, G, C/2G, H, W)."""
    w1, b1, *_ = parameters
    scale, shift = _affine(groups, *parameters)  # (C/2)
    x1, x2 = _halves(x, groups)  # (B, G, C/2G, H, W)
    channel = (w1 * x1.mean((3, 4)) + b1).sigmoid()  # (B, G, C/2G)
    logits = torch.group_norm(_contiguous(x2), len(scale), scale, shift, eps)  # (B, C/2, H, W)
    return channel[..., None, None], logits.sigmoid().unflatten(1, (groups, -1))


def _halves(x: Tensor, groups: int) -> tuple[Tensor, Tensor]:
    """The channel halves and the spatial halves of all groups: (B, G, C/2G, H, W) each."""
    x1, x2 = x.unflatten(1, (groups, 2, -1)).unbind(2)
    return x1, x2


# --- the same with half the memory ---
#
# Blocks of samples that fit the processor's cache go through all steps, and the last one writes in
# shuffled order. Backward computes the gates of a block again rather than having them stored: kept
# are x and, for each channel, the mean and, of spatial halves, r = (variance + ε)^(-1/2).

#: As many numbers go through all steps at once; up to here the plain form is faster.
_BLOCK = 2**20


def _fusible(x: Tensor, parameters: tuple[Tensor, ...]) -> bool:
    """Whether the form in blocks serves: more than one block, on a CPU, in full precision."""
    full = x.dtype in (torch.float32, torch.float64) and all(p.dtype == x.dtype for p in parameters)
    return x.device.type == "cpu" and full and not _traced() and x.numel() > _BLOCK


def _traced() -> bool:
    """Whether somebody traces or transforms: then the plain operations serve best."""
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    )


class _Fused(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, groups: int, eps: float, *parameters: Tensor) -> Tensor:
        w1, b1, *_ = (p[:, None, None] for p in parameters)
        scale, shift = _affine(groups, *parameters)  # (C/2)
        y = torch.empty_like(x)
        m1 = x.new_empty(len(x), groups, len(w1), 1, 1)  # means of the channel halves
        m2 = x.new_empty(len(x), len(scale))  # (B, C/2), means of the spatial halves
        r = torch.empty_like(m2)
        for x_, y_, m1_, m2_, r_ in _blocks(x, y, m1, m2, r):
            x1, x2 = _halves(x_, groups)  # (b, G, C/2G, H, W)
            torch.mean(x1, (3, 4), keepdim=True, out=m1_)
            gate, *moments = torch.native_group_norm(
                _contiguous(x2), scale, shift, *_norm_sizes(x2), eps
            )  # (b, C/2, H, W)
            for kept, moment in zip((m2_, r_), moments, strict=True):
                kept.copy_(moment)
            product = torch.empty_like(x_)
            p1, p2 = _halves(product, groups)
            torch.mul(x1, (w1 * m1_ + b1).sigmoid_(), out=p1)
            torch.mul(x2, gate.sigmoid_().view(x2.shape), out=p2)
            _in_two(y_, shuffled=True).copy_(_in_two(product))
        ctx.save_for_backward(x, m1, m2, r, *parameters)
        ctx.groups, ctx.eps = groups, eps
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, m1, m2, r, *parameters = ctx.saved_tensors
        groups = ctx.groups
        again = torch.is_grad_enabled()
        if again or torch._C._functorch.is_legacy_batchedtensor(dy):
            # A second derivative, or many gradients at once: autograd on the plain form does both.
            with torch.enable_grad():
                y = _shuffle_attention(x, groups, ctx.eps, *parameters)
                needed = [t for t in (x, *parameters) if t.requires_grad]
                found = iter(torch.autograd.grad(y, needed, dy, create_graph=again))
            dx, *rest = (next(found) if t.requires_grad else None for t in (x, *parameters))
            return dx, None, None, *rest

        N = x.shape[2] * x.shape[3]
        w1, b1, *_ = (p[:, None, None] for p in parameters)
        scale, shift = _affine(groups, *parameters)  # (C/2)
        s = (w1 * m1 + b1).sigmoid_()  # (B, G, C/2G, 1, 1)
        a = r * scale  # GN is a ⊙ x + d: (B, C/2) each
        d = shift - m2 * a
        dx = torch.empty_like(x)
        dz = torch.empty_like(s)  # the gradient of W1 · m + b1
        dscale, dshift = torch.zeros_like(scale), torch.zeros_like(shift)
        every = (x, dy, dx, s, dz, a, d, m2, r)
        for x_, dy_, dx_, s_, dz_, a_, d_, m2_, r_ in _blocks(*every):
            product = torch.empty_like(x_)
            _in_two(product).copy_(_in_two(dy_, shuffled=True))  # dealt back
            (x1, x2), (dx1, dx2) = _halves(x_, groups), _halves(dx_, groups)
            p1, p2 = _halves(product, groups)
            # Channel halves, through s = σ(W1 · m + b1).
            torch.sum(p1 * x1, (3, 4), keepdim=True, out=dz_).mul_(s_ * (1 - s_))
            torch.mul(p1, s_, out=dx1).add_(dz_ * (w1 / N))
            # Spatial halves, through σ(GN(x)).
            x2c = _contiguous(x2)  # (b, C/2, H, W)
            gate = torch.addcmul(d_[..., None, None], x2c, a_[..., None, None]).sigmoid_()
            dlogits = torch.ops.aten.sigmoid_backward(_contiguous(p2).mul_(x2c), gate)
            through, dscale_, dshift_ = torch.ops.aten.native_group_norm_backward(
                dlogits, x2c, m2_, r_, scale, *_norm_sizes(x2), [True, True, True]
            )
            torch.addcmul(through.view(x2.shape), p2, gate.view(x2.shape), out=dx2)
            dscale += dscale_
            dshift += dshift_
        dw1, db1 = (t.sum((0, 1, 3, 4)) for t in (dz * m1, dz))
        dw, dd = (t.unflatten(0, (groups, -1)).sum(0) for t in (dscale, dshift))
        _, _, w2, _, scale, shift = parameters
        return dx, None, None, dw1, db1, dw * scale + dd * shift, dd, dw * w2, dd * w2


def _affine(groups: int, *parameters: Tensor) -> tuple[Tensor, Tensor]:
    """W2 ⊙ GN(x) + b2 is GN itself, with this scale and shift for all groups: (C/2) each."""
    _, _, w2, b2, scale, shift = parameters
    return (w2 * scale).repeat(groups), (w2 * shift + b2).repeat(groups)


def _norm_sizes(x2: Tensor) -> tuple[int, int, int, int]:
    """Samples, channels, positions and groups, as the operators of group norm want them."""
    channels = x2.shape[1] * x2.shape[2]
    return x2.shape[0], channels, x2.shape[3] * x2.shape[4], channels


def _contiguous(x2: Tensor) -> Tensor:
    """A copy in the order of memory: (B, G, C/2G, H, W) → (B, C/2, H, W)."""
    return x2.clone(memory_format=torch.contiguous_format).flatten(1, 2)


def _in_two(x: Tensor, *, shuffled: bool = False) -> Tensor:
    """A view (B, 2, C/2, H, W) of (B, C, H, W), with x's channels in order or shuffled."""
    return x.unflatten(1, (-1, 2)).transpose(1, 2) if shuffled else x.unflatten(1, (2, -1))


def _blocks(*tensors: Tensor) -> Any:
    """The tensors cut alike along the batch, in pieces of at most a block or of one sample."""
    samples = max(1, _BLOCK // max(1, tensors[0].shape[1:].numel()))
    return zip(*(t.split(samples) for t in tensors), strict=True)
