"""BAM: a channel branch and a dilated spatial branch, added up to one gate per entry.

Jongchan Park, Sanghyun Woo, Joon-Young Lee, In So Kweon: "BAM: Bottleneck Attention Module",
BMVC 2018. arXiv:1807.06514

    Mc = BN(W1 · ReLU(W0 · mean of F over H, W))                        eq. 3    (B, C, 1, 1)
    Ms = BN(f3(f2(f1(f0(F)))))                                          eq. 4    (B, 1, H, W)
    M = σ(Mc + Ms)                                                      eq. 2    (B, C, H, W)
    F' = F + F ⊙ M                                                      eq. 1    (B, C, H, W)

Symbols: F = x, C = ``channels``, r = ``reduction``, d = ``dilation``. W0 is C/r × C, W1 is C × C/r;
f0 is a 1×1 convolution from C to C/r channels, f1 and f2 are 3×3 convolutions at dilation d, f3 is
a 1×1 convolution to one map; ReLU stands behind f0, f1, f2, as in the authors' code (the paper
writes none).

The paper has one BatchNorm at the end of each branch and adds the branches. The authors' code has
one behind every layer *but* the last of each branch, and multiplies: ``norm="hidden",
combine="product"``; their published results belong to that form. The widely copied code adds, with
``norm="hidden", dilation=2, hidden_layers=3, dilated_layers=3``; its padding of 1 shrinks the map
and only fits inputs of 7×7, which we leave out: the padding here always equals the dilation.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["BAM", "BAMAttention"]


class BAMAttention(NamedTuple):
    """What BAM weighs with; its output is x · (1 + gate)."""

    channel: Tensor  #: Mc before the sigmoid, (B, C, 1, 1)
    spatial: Tensor  #: Ms before the sigmoid, (B, 1, H, W)
    gate: Tensor  #: M, (B, C, H, W)


class BAM(nn.Module):
    """Bottleneck Attention Module (BAM).

    Args:
        channels: C, the number of channels of the input.
        reduction: r, how many times both branches are narrower inside than the input; they have
            ⌊C/r⌋ channels there.
        dilation: d, the dilation of the 3×3 convolutions of the spatial branch (eq. 4).
        combine: how the branches meet under the sigmoid: ``"sum"`` as in the paper (eq. 2), or
            ``"product"`` as in the authors' code.
        norm: where BatchNorm stands: at the end of each branch, ``"last"``, as in the paper, or
            behind each layer but the last, ``"hidden"``, as in the authors' code.
        hidden_layers: number of hidden layers of the channel branch.
        dilated_layers: number of dilated convolutions of the spatial branch.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W ≥ 1
        - output: (B, C, H, W)

    Parameters: with c = ⌊C/r⌋, channel branch 2·C·c + C + c, spatial branch C·c + 2·(9·c² + c) +
    2·c + 1; the BatchNorms add 2·C + 2 (``"last"``) or 8·c (``"hidden"``). A hidden layer more adds
    c² + c, a dilated layer more 9·c² + c, each with 2·c for its own BatchNorm if ``"hidden"``.

    In train mode a BatchNorm that gets a single value per channel (the channel branch at batch 1)
    has no variance to divide by: it normalises with its running statistics and leaves them alone.

    Raises:
        ValueError: if ``channels``, ``reduction``, ``dilation``, ``hidden_layers`` or
            ``dilated_layers`` is not positive, if ``reduction`` exceeds ``channels``, if
            ``combine`` or ``norm`` is unknown, or if the input is not (B, ``channels``, H, W).

    Example:
        >>> bam = BAM(64)
        >>> bam(torch.randn(2, 64, 32, 32)).shape
        torch.Size([2, 64, 32, 32])
        >>> [tuple(weights.shape) for weights in bam.attention(torch.randn(2, 64, 32, 32))]
        [(2, 64, 1, 1), (2, 1, 32, 32), (2, 64, 32, 32)]
    """

    def __init__(
        self,
        channels: int,
        *,
        reduction: int = 16,
        dilation: int = 4,
        combine: Literal["sum", "product"] = "sum",
        norm: Literal["last", "hidden"] = "last",
        hidden_layers: int = 1,
        dilated_layers: int = 2,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if min(channels, reduction, dilation, hidden_layers, dilated_layers) < 1:
            raise ValueError(
                "channels, reduction, dilation, hidden_layers and dilated_layers must be positive, "
                f"got channels={channels}, reduction={reduction}, dilation={dilation}, "
                f"hidden_layers={hidden_layers}, dilated_layers={dilated_layers}"
            )
        if combine not in ("sum", "product"):
            raise ValueError(f"combine must be 'sum' or 'product', got {combine!r}")
        if norm not in ("last", "hidden"):
            raise ValueError(f"norm must be 'last' or 'hidden', got {norm!r}")
        hidden = channels // reduction
        if hidden == 0:
            raise ValueError(
                f"reduction must not exceed channels, got channels={channels}, "
                f"reduction={reduction}: both branches would be empty"
            )
        self.channels = channels
        self.reduction = reduction
        self.dilation = dilation
        self.combine = combine
        kw: dict[str, Any] = {"device": device, "dtype": dtype}

        linear = [
            nn.Linear(channels if i == 0 else hidden, hidden, **kw) for i in range(hidden_layers)
        ]
        conv = [nn.Conv2d(channels, hidden, 1, **kw)]
        for _ in range(dilated_layers):
            conv.append(nn.Conv2d(hidden, hidden, 3, padding=dilation, dilation=dilation, **kw))
        # Mc and Ms of eq. 3 and 4; the numbers in the parameters' names count the layers.
        self.channel_branch = nn.Sequential(
            *_hidden(linear, _BatchNorm1d if norm == "hidden" else None, kw),
            nn.Linear(hidden, channels, **kw),
            *([_BatchNorm1d(channels, **kw)] if norm == "last" else []),
        )
        self.spatial_branch = nn.Sequential(
            *_hidden(conv, _BatchNorm2d if norm == "hidden" else None, kw),
            nn.Conv2d(hidden, 1, 1, **kw),
            *([_BatchNorm2d(1, **kw)] if norm == "last" else []),
        )

    def attention(self, x: Tensor) -> BAMAttention:
        """Mc, Ms and the gate M, which lies in (0, 1): (B, C, 1, 1), (B, 1, H, W), (B, C, H, W)."""
        _check_input(x, self.channels)
        mc, ms = self._channel(x.mean((2, 3))), self.spatial_branch(x)
        return BAMAttention(mc, ms, _COMBINE[self.combine](mc, ms).sigmoid())

    def forward(self, x: Tensor) -> Tensor:
        """Add to x its gated self, F + F ⊙ M (eq. 1): (B, C, H, W) → (B, C, H, W)."""
        _check_input(x, self.channels)
        x, mean = _pool(x)
        mc = self._channel(mean)  # (B, C, 1, 1)
        ms = self.spatial_branch(x)  # (B, 1, H, W)
        return _enhance(x, mc, ms, self.combine)

    def _channel(self, mean: Tensor) -> Tensor:
        return self.channel_branch(mean)[:, :, None, None]  # (B, C, 1, 1)

    def extra_repr(self) -> str:
        return (
            f"{self.channels}, reduction={self.reduction}, dilation={self.dilation}, "
            f"combine={self.combine!r}"
        )


def _hidden(layers: list[Any], norm: type[nn.Module] | None, kw: dict[str, Any]) -> list[nn.Module]:
    """Each layer with its BatchNorm, if any, and its ReLU."""
    modules: list[nn.Module] = []
    for layer in layers:
        norms = [norm(layer.weight.shape[0], **kw)] if norm else []
        modules += [layer, *norms, nn.ReLU()]
    return modules


class _SingleValue:
    """BatchNorm that takes its running statistics where a single value has no variance."""

    def forward(self: Any, x: Tensor) -> Tensor:
        if self.training and x.numel() == x.shape[1]:
            return F.batch_norm(
                x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps
            )
        return super().forward(x)  # type: ignore[misc]


class _BatchNorm1d(_SingleValue, nn.BatchNorm1d):
    pass


class _BatchNorm2d(_SingleValue, nn.BatchNorm2d):
    pass


def _check_input(x: Tensor, channels: int) -> None:
    if x.dim() != 4 or x.shape[1] != channels:
        raise ValueError(f"expected an input of shape (B, {channels}, H, W), got {tuple(x.shape)}")


_COMBINE: dict[str, Callable[..., Tensor]] = {"sum": torch.add, "product": torch.mul}


# --- pooling and weighing with fewer passes over the big tensors ---
#
# M is as big as x, and so are the sums and products around it. They are never stored: both ways,
# blocks of samples that fit the processor's cache go through all steps, and backward computes M
# again. A pooling hands x on together with its mean, so that its backward can add the small
# gradient into the big one in place; the x handed on is seen by nobody else.

#: As many numbers go through all steps at once; up to here the plain operations are faster.
_BLOCK = 2**20


def _pool(x: Tensor) -> tuple[Tensor, Tensor]:
    """x and its mean over H and W: (B, C, H, W), (B, C)."""
    if x.requires_grad and torch.is_grad_enabled() and not _traced() and x.numel() > _BLOCK:
        return _Pool.apply(x)
    return x, x.mean((2, 3))


def _enhance(x: Tensor, mc: Tensor, ms: Tensor, combine: str) -> Tensor:
    """F + F ⊙ σ(Mc + Ms), or with the product of the branches."""
    if _traced() or x.numel() <= _BLOCK or not x.dtype == mc.dtype == ms.dtype:
        return x * (1 + _COMBINE[combine](mc, ms).sigmoid())
    return _Enhance.apply(x, mc, ms, combine)


def _traced() -> bool:
    """Whether somebody traces or transforms: then the plain operations serve best."""
    return (
        torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or torch._C._are_functorch_transforms_active()
        or torch.autograd.forward_ad._current_level >= 0
    )


def _overwritable(gradient: Tensor) -> bool:
    """Not if a second derivative is wanted, nor in a batch of gradients (``is_grads_batched``)."""
    batched = torch._C._functorch.is_legacy_batchedtensor(gradient)
    return not (torch.is_grad_enabled() or batched)


class _Pool(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.view_as(x), x.mean((2, 3))

    @staticmethod
    def backward(ctx: Any, dx: Tensor, dmean: Tensor) -> Tensor:
        share = (dmean / (dx.shape[2] * dx.shape[3]))[:, :, None, None]
        return dx.add_(share) if _overwritable(dx) else dx + share


class _Enhance(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, mc: Tensor, ms: Tensor, combine: str) -> Tensor:
        ctx.save_for_backward(x, mc, ms)
        ctx.combine = _COMBINE[combine]
        y = torch.empty_like(x)
        for y_, x_, mc_, ms_ in _blocks(y, x, mc, ms):
            ctx.combine(mc_, ms_, out=y_).sigmoid_().add_(1).mul_(x_)
        return y

    @staticmethod
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, mc, ms = ctx.saved_tensors
        if not _overwritable(dy):
            m = ctx.combine(mc, ms).sigmoid()
            dlogits = dy * x * m * (1 - m)
            dmc, dms = (dlogits * ms, dlogits * mc) if ctx.combine is torch.mul else (dlogits,) * 2
            return dy * (1 + m), dmc.sum((2, 3), True), dms.sum(1, True), None

        dx, dmc, dms = torch.empty_like(x), torch.empty_like(mc), torch.empty_like(ms)
        for dx_, dmc_, dms_, dy_, x_, mc_, ms_ in _blocks(dx, dmc, dms, dy, x, mc, ms):
            m = ctx.combine(mc_, ms_).sigmoid_()
            torch.addcmul(dy_, dy_, m, out=dx_)
            dlogits = (m - m * m).mul_(x_).mul_(dy_)
            if ctx.combine is torch.mul:
                torch.sum(dlogits * ms_, (2, 3), True, out=dmc_)
                torch.sum(dlogits.mul_(mc_), 1, True, out=dms_)
            else:
                torch.sum(dlogits, (2, 3), True, out=dmc_)
                torch.sum(dlogits, 1, True, out=dms_)
        return dx, dmc, dms, None


def _blocks(*tensors: Tensor) -> Any:
    """The tensors cut alike along the batch; on other devices than a CPU in one piece."""
    x = tensors[0]
    samples = max(1, _BLOCK // x.shape[1:].numel()) if x.device.type == "cpu" else len(x)
    return zip(*(t.split(max(1, samples)) for t in tensors), strict=True)
