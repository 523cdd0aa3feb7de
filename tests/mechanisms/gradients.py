"""Hold a hand-written backward to autograd's, in every way that a network may use it.

What it is written for is memory: ``memory`` counts it, on tensors that have none.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from attnlib.lab import cost


@contextmanager
def _plain_autograd():
    """Mechanisms with a fast backward take the plain operations while somebody traces."""
    with mock.patch("torch.jit.is_tracing", return_value=True):
        yield


def by_hand(y: Tensor) -> bool:
    """Whether a backward of ours lies anywhere behind y."""
    nodes, seen = [y.grad_fn], set()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        if isinstance(node, torch.autograd.function.BackwardCFunction):
            return True
        seen.add(node)
        nodes += [following for following, _ in node.next_functions]
    return False


def check_tracers_see_plain_operations(module: nn.Module, x: Tensor) -> None:
    """Compilers, ``torch.jit.trace`` and forward mode cannot look into a backward of ours."""
    x = x.detach().requires_grad_()
    assert by_hand(module(x))
    with mock.patch("torch.compiler.is_compiling", return_value=True):
        assert not by_hand(module(x))
    with mock.patch("torch.jit.is_tracing", return_value=True):
        assert not by_hand(module(x))
    with torch.autograd.forward_ad.dual_level():
        assert not by_hand(module(x))


def check_sums_go_by_blocks(sum_of_products: Callable[[Tensor, Tensor], Tensor]) -> None:
    """As many samples at once as fit a CPU's cache, at least one; all of them elsewhere."""
    for device, size, blocks in [
        ("cpu", (3, 256, 40, 50), 2),
        ("cpu", (2, 512, 50, 50), 2),
        ("meta", (300, 64, 16, 16), 1),
    ]:
        a = torch.ones(size, device=device)
        with mock.patch("torch.cat", wraps=torch.cat) as cat:
            sum_of_products(a, a)
        assert len(cat.call_args.args[0]) == blocks


def memory(module: nn.Module, *size: int) -> tuple[float, float]:
    """The peaks of inference and of a training step, in maps of the size of x."""
    counted = cost(module, size)
    x = math.prod(size) * counted.dtype.itemsize
    assert counted.peak_bytes_training is not None
    return counted.peak_bytes / x, counted.peak_bytes_training / x


def _gradients(module: nn.Module, x: Tensor, weight: Tensor) -> list[Tensor]:
    module.zero_grad()
    x = x.detach().requires_grad_()
    y = module(x)
    (y * weight).sum().backward()
    return [y.detach(), x.grad, *(p.grad for p in module.parameters() if p.grad is not None)]


def check_gradients(build: Callable[[], nn.Module], channels: int) -> None:
    """Fast and plain backward agree, in first and second derivatives and under transforms."""
    module = build().double()
    for train in (False, True):
        module.train(train)
        for size in [(5, 7), (1, 6), (6, 1)]:
            x = torch.randn(3, channels, *size, dtype=torch.float64)
            weight = torch.randn_like(x)
            layouts = [x, x.contiguous(memory_format=torch.channels_last)]
            layouts.append(x.transpose(2, 3).contiguous().transpose(2, 3))
            for layout in layouts:
                for v in (weight, weight.transpose(2, 3).contiguous().transpose(2, 3)):
                    with _plain_autograd():
                        plain = _gradients(copy.deepcopy(module), layout, v)
                    fast = _gradients(copy.deepcopy(module), layout, v)
                    assert len(fast) == len(plain)
                    for f, p in zip(fast, plain, strict=True):
                        torch.testing.assert_close(f, p, rtol=1e-9, atol=1e-11)
            assert fast[1].shape == x.shape

    _check_low_precision(copy.deepcopy(module).float().eval(), channels)
    module.eval()
    x = torch.randn(2, channels, 3, 4, dtype=torch.float64, requires_grad=True)
    check_tracers_see_plain_operations(module, x)
    _check_not_overwritten(module, x)
    _check_second_derivatives(module, x)
    _check_transforms(module, x)


def _check_low_precision(module: nn.Module, channels: int) -> None:
    """Under autocast, and in bfloat16: the gradients have their dtypes and nearly their values."""
    x = torch.randn(3, channels, 5, 7)
    weight = torch.randn_like(x)
    exact = _gradients(module, x, weight)
    for dtype in (torch.float32, torch.bfloat16):  # of the input, as after a convolution
        with torch.autocast("cpu", dtype=torch.bfloat16):
            low = _gradients(copy.deepcopy(module), x.to(dtype), weight)
        assert low[1].dtype == dtype
        assert ((low[1].float() - exact[1]).norm() / exact[1].norm()) < 0.05
    low = _gradients(copy.deepcopy(module).bfloat16(), x.bfloat16(), weight)
    assert low[1].dtype == torch.bfloat16
    assert ((low[1].float() - exact[1]).norm() / exact[1].norm()) < 0.05


def _check_not_overwritten(module: nn.Module, x: Tensor) -> None:
    """Backward twice gives the same gradient twice, and the caller's gradient is left alone."""
    y = module(x)
    dy = torch.randn_like(y)
    before = dy.clone()
    (first,) = torch.autograd.grad(y, x, dy, retain_graph=True)
    (second,) = torch.autograd.grad(y, x, dy)
    assert torch.equal(first, second)
    assert torch.equal(dy, before)
    # Many gradients at once, as for a Jacobian.
    many = torch.randn(2, *y.shape, dtype=y.dtype)
    y = module(x)
    (batched,) = torch.autograd.grad(y, x, many, is_grads_batched=True, retain_graph=True)
    for one, dy_ in zip(batched, many, strict=True):
        (single,) = torch.autograd.grad(y, x, dy_, retain_graph=True)
        torch.testing.assert_close(one, single)
    # Without a gradient for x, as in the first layer of a network.
    parameters = list(module.parameters())
    with_x = torch.autograd.grad(module(x), parameters, dy, allow_unused=True)
    without = torch.autograd.grad(module(x.detach()), parameters, dy, allow_unused=True)
    for a, b in zip(with_x, without, strict=True):
        torch.testing.assert_close(a, b)
    # With frozen parameters, as when only what lies before is trained.
    frozen = copy.deepcopy(module).requires_grad_(False)
    torch.testing.assert_close(torch.autograd.grad(frozen(x), x, dy)[0], first)


def _check_second_derivatives(module: nn.Module, x: Tensor) -> None:
    assert torch.autograd.gradgradcheck(module, (x,), fast_mode=True)
    (gradient,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
    penalty = torch.autograd.grad(gradient.square().sum(), list(module.parameters()))
    with _plain_autograd():
        (gradient,) = torch.autograd.grad(module(x).square().sum(), x, create_graph=True)
        plain = torch.autograd.grad(gradient.square().sum(), list(module.parameters()))
    for f, p in zip(penalty, plain, strict=True):
        torch.testing.assert_close(f, p, rtol=1e-9, atol=1e-9)


def _check_transforms(module: nn.Module, x: Tensor) -> None:
    """Gradients per sample, and a directional derivative: torch.func and forward mode."""
    values: dict[str, Any] = {k: v.detach() for k, v in module.named_parameters()}

    def loss(values: dict[str, Tensor], sample: Tensor) -> Tensor:
        return torch.func.functional_call(module, values, (sample[None],)).square().sum()

    per_sample = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(values, x.detach())
    for name, parameter in module.named_parameters():
        for i, sample in enumerate(x):
            (single,) = torch.autograd.grad(module(sample[None]).square().sum(), parameter)
            torch.testing.assert_close(per_sample[name][i], single, rtol=1e-8, atol=1e-9)

    tangent = torch.randn_like(x)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, tangent)
        forward = torch.autograd.forward_ad.unpack_dual(module(dual)).tangent
    (gradient,) = torch.autograd.grad(module(x), x, torch.ones_like(x))
    torch.testing.assert_close(forward.sum(), (gradient * tangent).sum())
