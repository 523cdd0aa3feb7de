"""Coordinate Attention: one gate per row and one per column, for every channel.

Qibin Hou, Daquan Zhou, Jiashi Feng: "Coordinate Attention for Efficient Mobile Network Design",
CVPR 2021. arXiv:2103.02907

    z^h = mean of x over W,  z^w = mean of x over H         two strips         (B, C, H), (B, C, W)
    f = δ(BN(F1([z^h, z^w])))                               F1: C → m          (B, m, H + W)
    g^h = σ(F_h(f^h)),  g^w = σ(F_w(f^w))                   F_h, F_w: m → C    (B, C, H), (B, C, W)
    y_c(i, j) = x_c(i, j) · g^h_c(i) · g^w_c(j)                                (B, C, H, W)

Symbols: C = ``channels``, r = ``reduction``, m = max(``min_hidden``, ⌊C/r⌋); [·, ·] puts the strips
end to end and f^h, f^w are the two parts of f. F1 is ``reduce``, F_h and F_w are ``rows`` and
``columns``, δ is hard-swish.

Deviations: none. m, δ and the biases are those of the authors' code (F1's learns nothing in train
mode: BN takes it off again). That code pools adaptively, which exports with the traced size frozen
in; the means here export for every size.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CoordinateAttention", "CoordinateGates"]


class CoordinateGates(NamedTuple):
    """The gates of coordinate attention: ``x * rows * columns`` is its output."""

    rows: Tensor  #: g^h, (B, C, H, 1)
    columns: Tensor  #: g^w, (B, C, 1, W)


class CoordinateAttention(nn.Module):
    """Attention that knows where: gates by row and by column (CoordAtt).

    Args:
        channels: C, the number of channels of the input.
        reduction: r, how many times the shared layer is narrower than the input.
        min_hidden: the least width of the shared layer; its width is max(``min_hidden``, ⌊C/r⌋).
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters: 3·C·m + 3·m + 2·C with m = max(``min_hidden``, ⌊C/r⌋).

    Raises:
        ValueError: if ``channels``, ``reduction`` or ``min_hidden`` is not positive, or if the
            input is not (B, ``channels``, H, W).

    Example:
        >>> coordinate = CoordinateAttention(64)
        >>> coordinate(torch.randn(2, 64, 24, 32)).shape
        torch.Size([2, 64, 24, 32])
        >>> rows, columns = coordinate.attention(torch.randn(2, 64, 24, 32))
        >>> rows.shape, columns.shape
        (torch.Size([2, 64, 24, 1]), torch.Size([2, 64, 1, 32]))
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 32,
        min_hidden: int = 8,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if channels < 1 or reduction < 1 or min_hidden < 1:
            raise ValueError(
                "channels, reduction and min_hidden must be positive, got "
                f"channels={channels}, reduction={reduction}, min_hidden={min_hidden}"
            )
        hidden = max(min_hidden, channels // reduction)
        self.channels = channels
        self.reduction = reduction
        self.min_hidden = min_hidden
        self.reduce = nn.Conv1d(channels, hidden, 1, device=device, dtype=dtype)
        self.norm = nn.BatchNorm1d(hidden, device=device, dtype=dtype)
        self.rows = nn.Conv1d(hidden, channels, 1, device=device, dtype=dtype)
        self.columns = nn.Conv1d(hidden, channels, 1, device=device, dtype=dtype)

    def attention(self, x: Tensor) -> CoordinateGates:
        """The gates of the rows and of the columns, each in (0, 1)."""
        _check_input(x, self.channels)
        return self._gates(*_strips(x))

    def forward(self, x: Tensor) -> Tensor:
        """Scale each position by the gates of its row and column: (B, C, H, W) → (B, C, H, W)."""
        _check_input(x, self.channels)
        if _lean(x, *self.parameters()):
            z_h, z_w, x = _Strips.apply(x)
            return _Scale.apply(x, *self._gates(z_h, z_w))
        return _scale(x, *self._gates(*_strips(x)))

    def _gates(self, z_h: Tensor, z_w: Tensor) -> CoordinateGates:
        f = F.hardswish(self.norm(self.reduce(torch.cat([z_h, z_w], 2))))  # (B, m, H + W)
        f_h, f_w = f.split([z_h.shape[2], z_w.shape[2]], 2)  # (B, m, H), (B, m, W)
        g_h = self.rows(f_h).sigmoid()  # (B, C, H)
        g_w = self.columns(f_w).sigmoid()  # (B, C, W)
        return CoordinateGates(g_h[:, :, :, None], g_w[:, :, None, :])

    def extra_repr(self) -> str:
        return f"{self.channels}, reduction={self.reduction}, min_hidden={self.min_hidden}"


def _check_input(x: Tensor, channels: int) -> None:
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"expected an input of shape (B, {channels}, H, W), got {tuple(x.shape)}")


def _strips(x: Tensor) -> tuple[Tensor, Tensor]:
    return x.mean(3), x.mean(2)  # (B, C, H), (B, C, W)


def _scale(x: Tensor, g_h: Tensor, g_w: Tensor) -> Tensor:
    y = x * g_h
    # Autograd needs y as it is now; otherwise the second product can do without a second map.
    return y * g_w if y.requires_grad else y.mul_(g_w)


# --- the same two steps with a backward that allocates one map of the size of x -------------------
#
# Autograd on the plain form allocates a map for every use of x and adds them up, and on a CPU it is
# these allocations that cost the time. Below, x passes through the first step into the second, so
# its gradient comes back through both: the second makes it, the first adds its own share in place.


def _lean(x: Tensor, *parameters: Tensor) -> bool:
    """Whether eager autograd, and nothing else, will run the backward."""
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch._C._are_functorch_transforms_active()
        and torch.autograd.forward_ad._current_level < 0
        and (x.requires_grad or any(p.requires_grad for p in parameters))
        and x.device.type in ("cpu", "cuda")
        and not torch.is_autocast_enabled(x.device.type)
    )


def _in_place(grad: Tensor) -> bool:
    """Whether this backward may work in place: not under a second derivative, nor under vmap."""
    return not (torch.is_grad_enabled() or torch._C._functorch.is_legacy_batchedtensor(grad))


class _Strips(torch.autograd.Function):
    """x → the means of its rows and of its columns, and x itself."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        return *_strips(x), x.view_as(x)

    @staticmethod
    def backward(ctx: Any, d_h: Tensor, d_w: Tensor, d_x: Tensor) -> Tensor:
        d_h = (d_h / d_x.shape[3])[:, :, :, None]  # (B, C, H, 1)
        d_w = (d_w / d_x.shape[2])[:, :, None, :]  # (B, C, 1, W)
        # d_x is the map that _Scale.backward has just made, and only we hold it.
        return d_x.add_(d_h).add_(d_w) if _in_place(d_x) else d_x + d_h + d_w


class _Scale(torch.autograd.Function):
    """x · g_h · g_w."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, g_h: Tensor, g_w: Tensor) -> Tensor:
        ctx.save_for_backward(x, g_h, g_w)
        return (x * g_h).mul_(g_w)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, g_h, g_w = ctx.saved_tensors
        product = x * grad  # (B, C, H, W)
        d_h = product @ g_w.transpose(2, 3)  # (B, C, H, 1)
        d_w = g_h.transpose(2, 3) @ product  # (B, C, 1, W)
        if _in_place(grad):
            return torch.mul(grad, g_h, out=product).mul_(g_w), d_h, d_w
        return grad * g_h * g_w, d_h, d_w
