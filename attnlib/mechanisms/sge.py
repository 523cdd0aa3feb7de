"""Spatial Group-wise Enhance: each position is weighed by its likeness to its group's mean.

Xiang Li, Xiaolin Hu, Jian Yang: "Spatial Group-wise Enhance: Improving Semantic Feature Learning
in Convolutional Networks", 2019; Yuxuan Li, Xiang Li, Jian Yang: "Spatial Group-wise Enhance:
Enhancing Semantic Feature Learning in CNN", ACCV 2022. arXiv:1905.09646

The C channels fall into G groups of C/G; x_i is the vector of one group at position i.

    g = mean of x_i over the positions             the group's mean vector      (B, G, C/G)
    c_i = ⟨g, x_i⟩                                 likeness to it               (B, G, H, W)
    ĉ_i = (c_i − mean c) / (std c + ε)             normalised over positions    (B, G, H, W)
    y_i = x_i · σ(γ ĉ_i + β)                       one γ, one β per group       (B, C, H, W)

Symbols: C = ``channels``, G = ``groups``, ε = ``eps``; γ is ``weight``, β is ``bias``. The standard
deviation is the unbiased one (divided by H·W − 1) and ε is added to it, as in the authors' code.

Deviations: none from the authors' code, whose γ = 0, β = 1 make every gate σ(1) = 0.73 at the
start. The widely copied code starts from β = 0, that is 0.5: ``bias_init=0`` gives it. On a map of
one position the deviation is 0/0 and both return NaN; here that is a ``ValueError``.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

__all__ = ["SpatialGroupEnhance"]


class SpatialGroupEnhance(nn.Module):
    """Spatial attention in groups of channels by Spatial Group-wise Enhance (SGE).

    Args:
        channels: C, the number of channels of the input.
        groups: G, the number of groups; must divide C.
        eps: ε, added to the standard deviation.
        bias_init: the value that β starts from; γ starts from 0. The authors' code has 1, the
            widely copied code 0.
        device: device of the parameters.
        dtype: dtype of the parameters.

    Shape:
        - input: (B, C, H, W), any H, W with H·W ≥ 2
        - output: (B, C, H, W)

    Parameters: 2·G, whatever C is.

    Raises:
        ValueError: if ``channels``, ``groups`` or ``eps`` is not positive, if ``groups`` does not
            divide ``channels``, or if the input is not (B, ``channels``, H, W) with at
            least two positions.

    Example:
        >>> sge = SpatialGroupEnhance(64, groups=8)
        >>> sge(torch.randn(2, 64, 32, 32)).shape
        torch.Size([2, 64, 32, 32])
        >>> sge.attention(torch.randn(2, 64, 32, 32)).shape  # a group's channels share their gates
        torch.Size([2, 64, 32, 32])
    """

    def __init__(
        self,
        channels: int,
        *,
        groups: int = 64,
        eps: float = 1e-5,
        bias_init: float = 1.0,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        if channels < 1 or groups < 1:
            raise ValueError(
                f"channels and groups must be positive, got channels={channels}, groups={groups}"
            )
        if channels % groups:
            raise ValueError(
                f"groups must divide channels, got channels={channels}, groups={groups}"
            )
        if eps <= 0:
            raise ValueError(f"eps must be positive, got eps={eps}")
        self.channels = channels
        self.groups = groups
        self.eps = eps
        self.weight = nn.Parameter(torch.zeros(groups, device=device, dtype=dtype))
        self.bias = nn.Parameter(torch.full((groups,), bias_init, device=device, dtype=dtype))

    def attention(self, x: Tensor) -> Tensor:
        """The gates σ(γ ĉ + β), the same for all channels of a group: → (B, C, H, W)."""
        groups = self._split(x)  # (B, G, C/G, N)
        gates = _gates(groups, self.weight, self.bias, self.eps).gates  # (B, G, 1, N)
        return gates.expand_as(groups).reshape(x.shape)  # (B, C, H, W)

    def forward(self, x: Tensor) -> Tensor:
        """Weigh each position of each group by its gate: (B, C, H, W) → (B, C, H, W)."""
        groups = self._split(x)  # (B, G, C/G, N)
        if _lean(groups, self.weight, self.bias):
            y = _Enhance.apply(groups, self.weight, self.bias, self.eps)
        else:
            y = groups * _gates(groups, self.weight, self.bias, self.eps).gates
        return y.view(x.shape)  # (B, C, H, W)

    def _split(self, x: Tensor) -> Tensor:
        if x.dim() != 4 or x.shape[1] != self.channels:
            raise ValueError(
                f"expected an input of shape (B, {self.channels}, H, W), got {tuple(x.shape)}"
            )
        if x.shape[2] * x.shape[3] < 2:
            raise ValueError(
                "the likeness is normalised over the positions, which takes at least two of them, "
                f"got {tuple(x.shape)}"
            )
        return x.unflatten(1, (self.groups, -1)).flatten(3)  # (B, G, C/G, N), N = H·W

    def extra_repr(self) -> str:
        return f"{self.channels}, groups={self.groups}, eps={self.eps}"


class _Gates(NamedTuple):
    mean: Tensor  # g (B, G, 1, C/G)
    likeness: Tensor  # ĉ (B, G, 1, N)
    deviation: Tensor  # std c (B, G, 1, 1)
    gates: Tensor  # σ(γ ĉ + β) (B, G, 1, N)


def _gates(x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> _Gates:
    N = x.shape[3]
    g = x.mean(3).unsqueeze(2)  # (B, G, 1, C/G)
    c = _dot(g, x)  # (B, G, 1, N)
    c = c - c.mean(3, keepdim=True)
    # std and var are ten times as slow on a CPU as this norm.
    deviation = torch.linalg.vector_norm(c, dim=3, keepdim=True) / (N - 1) ** 0.5  # (B, G, 1, 1)
    c_hat = c / (deviation + eps)  # (B, G, 1, N)
    logits = torch.addcmul(bias[:, None, None], weight[:, None, None], c_hat)
    return _Gates(g, c_hat, deviation, logits.sigmoid_())


def _dot(g: Tensor, x: Tensor) -> Tensor:
    """⟨g, x_i⟩: (B, G, 1, C/G), (B, G, C/G, N) → (B, G, 1, N)."""
    if torch.compiler.is_compiling() or x.shape[3] < 256:
        # Compilers fuse this; on small maps it is faster than B·G tiny matrix products.
        return (x * g.transpose(2, 3)).sum(2, keepdim=True)
    return g @ x


def _lean(*tensors: Tensor) -> bool:
    """Whether eager autograd, and nothing else, will run the backward of these tensors."""
    return (
        torch.is_grad_enabled()
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()
        and not torch._C._are_functorch_transforms_active()
        and torch.autograd.forward_ad._current_level < 0
        and any(t.requires_grad for t in tensors)
        and len({t.dtype for t in tensors}) == 1
        and tensors[0].device.type in ("cpu", "cuda")
        and not torch.is_autocast_enabled(tensors[0].device.type)
    )


class _Enhance(torch.autograd.Function):
    """y = x · σ(γ ĉ + β) with a backward that allocates one map of the size of x.

    Autograd on the plain form allocates one for every use of x and adds them up, and on a CPU it is
    these allocations that cost the time.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, eps: float) -> Tensor:
        g, c_hat, deviation, gates = _gates(x, weight, bias, eps)
        ctx.save_for_backward(x, weight, bias, g, c_hat, deviation, gates)
        ctx.eps = eps
        return x * gates

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, g, c_hat, deviation, gates = ctx.saved_tensors
        if torch.is_grad_enabled() or torch._C._functorch.is_legacy_batchedtensor(grad):
            # A second derivative, or many gradients at once: autograd on the plain form does both.
            with torch.enable_grad():
                y = x * _gates(x, weight, bias, ctx.eps).gates
                inputs = [t for t in (x, weight, bias) if t.requires_grad]
                grads = iter(torch.autograd.grad(y, inputs, grad, create_graph=True))
            return (*(next(grads) if t.requires_grad else None for t in (x, weight, bias)), None)

        N = x.shape[3]
        buffer = x * grad  # (B, G, C/G, N); becomes the gradient of x below
        d_logits = buffer.sum(2, keepdim=True) * gates * (1 - gates)  # (B, G, 1, N)
        d_weight = (d_logits * c_hat).sum((0, 2, 3))  # (G)
        d_bias = d_logits.sum((0, 2, 3))  # (G)

        # Through ĉ = (c − mean c) / (std c + ε), whose deviation is 0 on a constant map.
        d_c_hat = d_logits * weight[:, None, None]  # (B, G, 1, N)
        slope = (d_c_hat * c_hat).sum(3, keepdim=True) / (deviation * (N - 1))  # (B, G, 1, 1)
        slope = slope.masked_fill(deviation == 0, 0)
        d_c = (d_c_hat - d_c_hat.mean(3, keepdim=True)) / (deviation + ctx.eps) - slope * c_hat

        d_g = d_c @ x.transpose(2, 3) / N  # (B, G, 1, C/G), spread over the N positions
        d_x = torch.mul(grad, gates, out=buffer)
        d_x.addcmul_(g.transpose(2, 3), d_c).add_(d_g.transpose(2, 3))
        return d_x, d_weight, d_bias, None
