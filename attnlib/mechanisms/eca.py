"""Efficient Channel Attention: one gate per channel, from a small convolution across channels.

Qilong Wang, Banggu Wu, Pengfei Zhu, Peihua Li, Wangmeng Zuo, Qinghua Hu: "ECA-Net: Efficient
Channel Attention for Deep Convolutional Neural Networks", CVPR 2020. arXiv:1910.03151

    z = mean of x over H, W                  squeeze                        (B, C)
    s = σ(Conv1d_k(z))                       eq. 9, one kernel for all      (B, C)
    y = s ⊙ x                                scale                          (B, C, H, W)
    k = |log2(C)/γ + b/γ|_odd                eq. 12, γ = 2, b = 1

Symbols: C = ``channels``, k = ``kernel_size``, γ = ``gamma``, b = ``b``.

Deviations: none from the equations. "Nearest odd" is ambiguous when log2(C) + b is an even
multiple of γ (C = 8, 128, 2048); as in the paper's listing such ties go up. That listing (Fig. 3)
forgets the sigmoid of eq. 9. The authors' networks set k by hand, stage by stage
(``kernel_size``), and the widely copied code has a bias (``bias=True``).
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from torch import Tensor, nn

__all__ = ["EfficientChannelAttention"]


class EfficientChannelAttention(nn.Module):
    """Efficient Channel Attention (ECA).

    Args:
        channels: C, the number of channels of the input.
        kernel_size: k, how many neighbouring channels decide on one gate (eq. 9); odd.
            ``None`` takes it from ``channels`` by eq. 12.
        gamma: γ of eq. 12; larger gives smaller kernels. Not used when ``kernel_size`` is given.
        b: b of eq. 12. Not used when ``kernel_size`` is given.
        bias: whether the convolution has a bias. Paper and authors' code have none; the widely
            copied code has one.
        padding_mode: what the first and last channels see beyond the edge: ``"zeros"`` as in the
            paper, or ``"circular"``, the other end (timm's "ceca").
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters: k, plus 1 with a bias.

    Raises:
        ValueError: if ``channels``, ``gamma`` or ``kernel_size`` is not positive, if
            ``kernel_size`` is even, if ``padding_mode`` is unknown or wraps around more than once,
            or if the input is not (B, ``channels``, H, W).

    Example:
        >>> eca = EfficientChannelAttention(256)
        >>> eca.kernel_size
        5
        >>> eca(torch.randn(2, 256, 32, 32)).shape
        torch.Size([2, 256, 32, 32])
        >>> eca.attention(torch.randn(2, 256, 32, 32)).shape
        torch.Size([2, 256, 1, 1])
    """

    def __init__(
        self,
        channels: int,
        *,
        kernel_size: int | None = None,
        gamma: float = 2,
        b: float = 1,
        bias: bool = False,
        padding_mode: Literal["zeros", "circular"] = "zeros",
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if channels < 1 or gamma <= 0:
            raise ValueError(
                f"channels and gamma must be positive, got channels={channels}, gamma={gamma}"
            )
        if kernel_size is None:
            kernel_size = adaptive_kernel_size(channels, gamma=gamma, b=b)
        if kernel_size < 1 or kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be positive and odd, got {kernel_size}")
        if padding_mode not in ("zeros", "circular"):
            raise ValueError(f"padding_mode must be 'zeros' or 'circular', got {padding_mode!r}")
        if padding_mode == "circular" and kernel_size // 2 > channels:
            raise ValueError(
                f"kernel_size must not exceed 2·channels + 1 with circular padding, got "
                f"kernel_size={kernel_size}, channels={channels}"
            )
        self.channels = channels
        self.kernel_size = kernel_size
        self.conv = nn.Conv1d(
            1,
            1,
            kernel_size,
            padding=kernel_size // 2,
            bias=bias,
            padding_mode=padding_mode,
            device=device,
            dtype=dtype,
        )

    def attention(self, x: Tensor) -> Tensor:
        """The gates s of eq. 9, each in (0, 1): (B, C, H, W) → (B, C, 1, 1)."""
        _check_input(x, self.channels)
        return self._gates(x.mean((2, 3), keepdim=True))

    def forward(self, x: Tensor) -> Tensor:
        """Scale every channel of x by its gate: (B, C, H, W) → (B, C, H, W)."""
        _check_input(x, self.channels)
        x, z = _pool(x)
        return _scale(x, self._gates(z))

    def _gates(self, z: Tensor) -> Tensor:
        """Eq. 9: (B, C, 1, 1) → (B, C, 1, 1)."""
        z = z.squeeze(3).transpose(1, 2)  # (B, 1, C): the channels are the convolution's axis
        s = self.conv(z).sigmoid()  # (B, 1, C)
        return s.transpose(1, 2).unsqueeze(3)  # (B, C, 1, 1)

    def extra_repr(self) -> str:
        return f"{self.channels}, kernel_size={self.kernel_size}"


def adaptive_kernel_size(channels: int, *, gamma: float = 2, b: float = 1) -> int:
    """The kernel size of eq. 12: the odd number nearest to (log2 C + b)/γ, ties upwards.

    >>> [adaptive_kernel_size(2**n) for n in range(4, 12)]
    [3, 3, 3, 5, 5, 5, 5, 7]
    """
    t = int(abs((math.log2(channels) + b) / gamma))
    return t if t % 2 else t + 1


def _check_input(x: Tensor, channels: int) -> None:
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"expected an input of shape (B, {channels}, H, W), got {tuple(x.shape)}")


# --- pooling and scaling with fewer passes over the big tensors ---
#
# Autograd would form one full-size gradient for the scaling and one for the mean, and add them up.
# In eager training the pooling therefore hands x on together with its mean: its backward gets both
# gradients at once and adds the small one into the big one in place. The x handed on is seen by
# nobody but ``_Scale``, so its gradient may be overwritten.


#: Number of entries of x from which on this pays; below, Python takes longer than the memory.
_LARGE = 2**19


def _pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """x and its mean over H and W: (B, C, H, W), (B, C, 1, 1)."""
    return _Pool.apply(x) if _trains_eagerly(x) else (x, x.mean((2, 3), keepdim=True))


def _scale(x: Tensor, gate: Tensor) -> Tensor:
    """x ⊙ gate: (B, C, H, W), (B, C, 1, 1) → (B, C, H, W)."""
    return _Scale.apply(x, gate) if _trains_eagerly(x) else x * gate


def _trains_eagerly(x: Tensor) -> bool:
    """Whether gradients of a large x are recorded, and nobody traces or transforms."""
    return (
        x.requires_grad
        and torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch._C._are_functorch_transforms_active()
        and torch.autograd.forward_ad._current_level < 0
        and x.numel() >= _LARGE
    )


def _overwritable(gradient: Tensor) -> bool:
    """Not if a second derivative is wanted, nor in a batch of gradients (``is_grads_batched``)."""
    batched = torch._C._functorch.is_legacy_batchedtensor(gradient)
    return not (torch.is_grad_enabled() or batched)


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.view_as(x), x.mean((2, 3), keepdim=True)

    @staticmethod
    def backward(ctx: Any, dx: Tensor, dmean: Tensor) -> Tensor:
        share = dmean / (dx.shape[2] * dx.shape[3])
        return dx.add_(share) if _overwritable(dx) else dx + share


class _Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, gate: Tensor) -> Tensor:
        ctx.save_for_backward(x, gate)
        return x * gate

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor, Tensor]:
        x, gate = ctx.saved_tensors
        return dy * gate, _dot(dy, x)


def _dot(a: Tensor, b: Tensor) -> Tensor:
    """a ⊙ b summed over H and W: (B, C, 1, 1); on a CPU in blocks of samples that fit its cache."""
    samples = max(1, 2**20 // a.shape[1:].numel()) if a.device.type == "cpu" else a.shape[0]
    blocks = zip(a.split(samples), b.split(samples), strict=True)
    return torch.cat([(p * q).sum((2, 3), keepdim=True) for p, q in blocks])
