"""CBAM: a gate per channel from mean and maximum over space, then a gate per position likewise.

Sanghyun Woo, Jongchan Park, Joon-Young Lee, In So Kweon: "CBAM: Convolutional Block Attention
Module", ECCV 2018. arXiv:1807.06521

    Mc = σ(MLP(mean of F over H, W) + MLP(max of F over H, W))      eq. 2    (B, C, 1, 1)
    F' = Mc ⊙ F                                                     eq. 1    (B, C, H, W)
    Ms = σ(f[max of F' over C; mean of F' over C])                  eq. 3    (B, 1, H, W)
    F″ = Ms ⊙ F'                                                    eq. 1    (B, C, H, W)

Symbols: F = x, C = ``channels``, MLP = W1 · ReLU(W0 · z) with W0 of C/r × C (``fc1``) and W1 of
C × C/r (``fc2``), r = ``reduction``; f is a convolution of 2 maps to 1 (``conv``) whose side is
``kernel_size``, 7 in the paper.

Where the paper is silent the authors' code decides: the MLP has biases, and the convolution has
none but a BatchNorm behind it. Deviation: eq. 3 names the mean first, the authors' code the
maximum; we do as the code, so that its weights fit. The authors' networks start with that
BatchNorm's weight at zero (``zero_init=True``). The widely copied code has no biases in the MLP, no
BatchNorm, and adds x to the result: ``bias=False, norm=False, residual=True``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CBAM", "CBAMAttention"]


class CBAMAttention(NamedTuple):
    """The two gates of CBAM; its output is x · channel · spatial."""

    channel: Tensor  #: Mc, (B, C, 1, 1)
    spatial: Tensor  #: Ms, (B, 1, H, W)


class CBAM(nn.Module):
    """Convolutional Block Attention Module (CBAM).

    Args:
        channels: C, the number of channels of the input.
        reduction: r, how many times the MLP's hidden layer is narrower than the input (eq. 2); it
            has ⌊C/r⌋ units.
        kernel_size: side of the convolution over the two pooled maps (eq. 3); odd.
        bias: whether the two layers of the MLP have biases.
        norm: whether BatchNorm follows the convolution; without it, the convolution has a bias.
        residual: whether x is added to the result, as in the widely copied code. Inside a residual
            block, which adds its own identity, that counts the input twice.
        zero_init: start with the BatchNorm's weight at zero, so that Ms = 1/2 everywhere, as in
            the authors' networks. Needs ``norm``. The convolution then gets no gradient in the
            first step.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters: 2·C·⌊C/r⌋ + C + ⌊C/r⌋ + 2·k² + 2 with k = ``kernel_size``; C + ⌊C/r⌋ less without
    ``bias``, 1 less without ``norm``.

    In train mode a single value (B = H = W = 1) has no variance: it is normalised with the running
    statistics, which stay as they are.

    Raises:
        ValueError: if ``channels``, ``reduction`` or ``kernel_size`` is not positive, if
            ``reduction`` exceeds ``channels``, if ``kernel_size`` is even, if ``zero_init`` is
            asked for without ``norm``, or if the input is not (B, ``channels``, H, W).

    Example:
        >>> cbam = CBAM(64)
        >>> cbam(torch.randn(2, 64, 32, 32)).shape
        torch.Size([2, 64, 32, 32])
        >>> [tuple(gate.shape) for gate in cbam.attention(torch.randn(2, 64, 32, 32))]
        [(2, 64, 1, 1), (2, 1, 32, 32)]
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        kernel_size: int = 7,
        bias: bool = True,
        norm: bool = True,
        residual: bool = False,
        zero_init: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if channels < 1 or reduction < 1:
            raise ValueError(
                f"channels and reduction must be positive, got channels={channels}, "
                f"reduction={reduction}"
            )
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be positive and odd, got {kernel_size}")
        if zero_init and not norm:
            raise ValueError("zero_init sets the weight of the BatchNorm, so it needs norm=True")
        hidden = channels // reduction
        if hidden == 0:
            raise ValueError(
                f"reduction must not exceed channels, got channels={channels}, "
                f"reduction={reduction}: the hidden layer would be empty"
            )
        self.channels = channels
        self.reduction = reduction
        self.kernel_size = kernel_size
        self.residual = residual
        self.fc1 = nn.Linear(channels, hidden, bias=bias, device=device, dtype=dtype)
        self.fc2 = nn.Linear(hidden, channels, bias=bias, device=device, dtype=dtype)
        self.conv = nn.Conv2d(
            2,
            1,
            kernel_size,
            padding=kernel_size // 2,
            bias=not norm,
            device=device,
            dtype=dtype,
        )
        # The momentum is the authors'.
        self.norm = _BatchNorm2d(1, momentum=0.01, device=device, dtype=dtype) if norm else None
        if self.norm is not None and zero_init:
            nn.init.zeros_(self.norm.weight)

    def attention(self, x: Tensor) -> CBAMAttention:
        """The gates Mc and Ms, each in (0, 1): (B, C, H, W) → (B, C, 1, 1), (B, 1, H, W)."""
        _check_input(x, self.channels)
        channel = self._channel_gate(x.mean((2, 3)), x.amax((2, 3)))
        return CBAMAttention(channel, self._spatial_gate(_channel_maps(x * channel)))

    def forward(self, x: Tensor) -> Tensor:
        """Refine x by channel, then by position (eq. 1): (B, C, H, W) → (B, C, H, W)."""
        _check_input(x, self.channels)
        f, mean, maximum = _pool_positions(x)
        f = _scale(f, self._channel_gate(mean, maximum))  # F'
        f, maps = _pool_channels(f)
        f = _scale(f, self._spatial_gate(maps), last=True)  # F″
        return _add(f, x) if self.residual else f

    def _channel_gate(self, mean: Tensor, maximum: Tensor) -> Tensor:
        """Eq. 2: (B, C), (B, C) → (B, C, 1, 1)."""
        z = torch.stack((mean, maximum))  # (2, B, C): the MLP is shared
        mc = self.fc2(self.fc1(z).relu()).sum(0).sigmoid()  # (B, C)
        return mc[:, :, None, None]  # (B, C, 1, 1)

    def _spatial_gate(self, maps: Tensor) -> Tensor:
        """Eq. 3: (B, 2, H, W) → (B, 1, H, W)."""
        logits = self.conv(maps)  # (B, 1, H, W)
        if self.norm is not None:
            logits = self.norm(logits)
        return logits.sigmoid()

    def extra_repr(self) -> str:
        residual = ", residual=True" if self.residual else ""
        return (
            f"{self.channels}, reduction={self.reduction}, kernel_size={self.kernel_size}{residual}"
        )


def _check_input(x: Tensor, channels: int) -> None:
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"expected an input of shape (B, {channels}, H, W), got {tuple(x.shape)}")


class _BatchNorm2d(nn.BatchNorm2d):
    """BatchNorm that takes its running statistics where a single value has no variance."""

    def forward(self, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)


# --- pooling and scaling with fewer passes over the big tensors ---
#
# Autograd would form a full-size gradient for every use of x and add them up, each in memory of its
# own. In eager training a pooling therefore hands x on together with the pooled values: its
# backward gets all gradients at once and adds the small ones into the big one in place. The tensors
# handed on are seen by nobody but these three functions, so their gradients may be overwritten.


def _pool_positions(x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """x, its mean and its maximum over H and W: (B, C, H, W), (B, C), (B, C)."""
    if _trains_eagerly(x):
        return _PoolPositions.apply(x)
    return x, x.mean((2, 3)), x.amax((2, 3))


def _pool_channels(x: Tensor) -> tuple[Tensor, Tensor]:
    """x, and its maximum and mean over C as two maps: (B, C, H, W), (B, 2, H, W)."""
    if _trains_eagerly(x):
        return _PoolChannels.apply(x)
    return x, _channel_maps(x)


def _scale(x: Tensor, gate: Tensor, *, last: bool = False) -> Tensor:
    """x ⊙ gate, either for use in here or, as the last operation, for the caller."""
    if _trains_eagerly(x):
        return _Scale.apply(x, gate, last)
    if last and not (_traced() or (torch.is_grad_enabled() and gate.requires_grad)):
        return x.mul_(gate)  # in inference, F' is nobody else's: spare the memory
    return x * gate


def _add(f: Tensor, x: Tensor) -> Tensor:
    """F″ + x, in the memory of F″, which nobody else has seen and no backward looks at."""
    return f + x if _traced() else f.add_(x)


def _channel_maps(x: Tensor) -> Tensor:
    return torch.cat((x.amax(1, keepdim=True), _channel_mean(x)), 1)  # (B, 2, H, W)


def _channel_mean(x: Tensor) -> Tensor:
    """Mean over C, (B, 1, H, W): on a CPU a product with ones is four times as fast."""
    exact = x.dtype in (torch.float32, torch.float64) and not torch.is_autocast_enabled("cpu")
    if x.device.type != "cpu" or not exact or _traced():
        return x.mean(1, keepdim=True)
    ones = x.new_full((1, 1, 1), 1 / x.shape[1]).expand(x.shape[0], 1, x.shape[1])
    return (ones @ x.flatten(2)).unflatten(2, x.shape[2:])


def _traced() -> bool:
    """Whether somebody traces or transforms: then the plain operations serve best."""
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    )


def _trains_eagerly(x: Tensor) -> bool:
    return x.requires_grad and torch.is_grad_enabled() and not _traced()


def _overwritable(gradient: Tensor) -> bool:
    """Not if a second derivative is wanted, nor in a batch of gradients (``is_grads_batched``)."""
    batched = torch._C._functorch.is_legacy_batchedtensor(gradient)
    return not (torch.is_grad_enabled() or batched)


class _PoolPositions(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maximum, index = x.flatten(2).max(2)
        ctx.save_for_backward(index)
        return x.view_as(x), x.mean((2, 3)), maximum

    @staticmethod
    def backward(ctx: Any, dx: Tensor, dmean: Tensor, dmax: Tensor) -> Tensor:
        (index,) = ctx.saved_tensors
        if not _overwritable(dx):
            dx = dx.clone()
        dx.add_((dmean / (dx.shape[2] * dx.shape[3]))[:, :, None, None])
        batch, channels, _, width = dx.shape
        b = torch.arange(batch, device=dx.device)[:, None]
        c = torch.arange(channels, device=dx.device)
        dx[b, c, index // width, index % width] += dmax
        return dx


class _PoolChannels(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        maximum, index = x.max(1, keepdim=True)
        ctx.save_for_backward(index)
        return x.view_as(x), torch.cat((maximum, _channel_mean(x)), 1)

    @staticmethod
    def backward(ctx: Any, dx: Tensor, dmaps: Tensor) -> Tensor:
        (index,) = ctx.saved_tensors
        if not _overwritable(dx):
            dx = dx.clone()
        dx.add_(dmaps[:, 1:] / dx.shape[1])
        return dx.scatter_add_(1, index, dmaps[:, :1])


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Tensor, last: bool) -> Tensor:
        ctx.save_for_backward(x, gate)
        ctx.last = last
        return x * gate

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor, None]:
        x, gate = ctx.saved_tensors
        dgate = _sum_of_products(dy, x, gate)
        dx = dy.mul_(gate) if _overwritable(dy) and not ctx.last else dy * gate
        return dx, dgate, None


def _sum_of_products(a: Tensor, b: Tensor, like: Tensor) -> Tensor:
    """a ⊙ b summed to the shape of ``like``; on a CPU in blocks of samples that fit its cache."""
    samples = max(1, 2**20 // a.shape[1:].numel()) if a.device.type == "cpu" else a.shape[0]
    blocks = zip(a.split(samples), b.split(samples), like.split(samples), strict=True)
    return torch.cat([(p * q).sum_to_size(r.shape) for p, q, r in blocks])
