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

from typing import Any

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
        return self._excite(x.mean((2, 3)))

    def forward(self, x: Tensor) -> Tensor:
        """Scale every channel of x by its gate (eq. 4): (B, C, H, W) → (B, C, H, W)."""
        _check_input(x, self.channels)
        x, z = _squeeze(x)
        return _scale(x, self._excite(z))

    def _excite(self, z: Tensor) -> Tensor:
        """Eq. 3: (B, C) → (B, C, 1, 1)."""
        s = self.fc2(self.fc1(z).relu()).sigmoid()  # (B, C)
        return s[:, :, None, None]  # (B, C, 1, 1)

    def extra_repr(self) -> str:
        return f"{self.channels}, reduction={self.reduction}"


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


def _squeeze(x: Tensor) -> tuple[Tensor, Tensor]:
    """x and its mean over H and W (eq. 2): (B, C, H, W), (B, C)."""
    return _Squeeze.apply(x) if _trains_eagerly(x) else (x, x.mean((2, 3)))


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


class _Squeeze(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.view_as(x), x.mean((2, 3))

    @staticmethod
    def backward(ctx: Any, dx: Tensor, dz: Tensor) -> Tensor:
        share = (dz / (dx.shape[2] * dx.shape[3]))[:, :, None, None]
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
