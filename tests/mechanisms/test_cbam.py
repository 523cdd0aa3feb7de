"""CBAM against its paper and its authors' code."""

from typing import ClassVar
from unittest import mock

import pytest
import torch
from hypothesis import strategies as st
from mechanisms.contract import MechanismContract, randomise
from mechanisms.gradients import check_gradients, check_sums_go_by_blocks, memory
from torch import nn

import attnlib
from attnlib.mechanisms import cbam as source

COPIED = {"bias": False, "norm": False, "residual": True}


class TestCBAM(MechanismContract):
    key = "cbam"
    variants: ClassVar = [{}, {"reduction": 8, "kernel_size": 3, "zero_init": True}, COPIED]

    def reference(self, module, x):
        y = torch.empty_like(x)
        channels, height, width = x.shape[1:]

        def linear(layer, z):
            return layer.weight @ z + (0 if layer.bias is None else layer.bias)

        for b in range(x.shape[0]):
            mean = torch.stack([x[b, c].sum() / x[b, c].numel() for c in range(channels)])
            maximum = torch.stack([max(x[b, c].flatten()) for c in range(channels)])
            logits = sum(
                linear(module.fc2, linear(module.fc1, z).clamp(min=0)) for z in (mean, maximum)
            )
            refined = x[b] / (1 + torch.exp(-logits))[:, None, None]
            maps = torch.stack([refined.max(0).values, refined.sum(0) / channels])
            padded = nn.functional.pad(maps, [module.kernel_size // 2] * 4)
            for i in range(height):
                for j in range(width):
                    window = padded[:, i : i + module.kernel_size, j : j + module.kernel_size]
                    logit = (window * module.conv.weight[0]).sum()
                    if module.norm is None:
                        logit = logit + module.conv.bias[0]
                    else:
                        scale = (module.norm.running_var[0] + 1e-5) ** 0.5
                        logit = (logit - module.norm.running_mean[0]) / scale
                        logit = logit * module.norm.weight[0] + module.norm.bias[0]
                    y[b, :, i, j] = refined[:, i, j] / (1 + torch.exp(-logit))
        return y + x if module.residual else y

    def apply(self, module, x, attention):
        y = x * attention.channel * attention.spatial
        return y + x if module.residual else y

    def parameter_count(self, channels, options):
        hidden = channels // options.get("reduction", 16)
        count = 2 * channels * hidden + 2 * options.get("kernel_size", 7) ** 2
        count += channels + hidden if options.get("bias", True) else 0
        return count + (2 if options.get("norm", True) else 1)

    def valid_options(self):
        return st.tuples(
            st.integers(8, 40),
            st.integers(1, 8),
            st.sampled_from([1, 3, 7]),
            st.booleans(),
            st.booleans(),
            st.booleans(),
        ).map(
            lambda t: (
                t[0],
                {
                    "reduction": t[1],
                    "kernel_size": t[2],
                    "bias": t[3],
                    "norm": t[4],
                    "residual": t[5],
                },
            )
        )


def parameters(*args, **options):
    return sum(p.numel() for p in attnlib.CBAM(*args, **options).parameters())


def test_parameters():
    """One module of the authors' code, and of the article's with its two kernel sizes."""
    assert parameters(512) == 33_412
    assert parameters(512, **COPIED) == 32_867
    assert parameters(512, kernel_size=49, **COPIED) == 37_571


@pytest.mark.parametrize(
    ("blocks", "base", "published"),
    [
        ([(2, 64), (2, 128), (2, 256), (2, 512)], 11_689_512, 11_779_392),
        ([(3, 64), (4, 128), (6, 256), (3, 512)], 21_797_672, 21_960_468),
        ([(3, 256), (4, 512), (6, 1024), (3, 2048)], 25_557_032, 28_089_624),
        ([(3, 256), (4, 512), (23, 1024), (3, 2048)], 44_549_160, 49_330_172),
    ],
    ids=["resnet18", "resnet34", "resnet50", "resnet101"],
)
def test_parameters_in_resnets(blocks, base, published):
    assert sum(n * parameters(c) for n, c in blocks) == published - base


@pytest.mark.parametrize("arguments", [{}, COPIED, {"residual": True}])
def test_fast_backward(arguments):
    check_gradients(lambda: randomise(attnlib.CBAM(8, reduction=2, **arguments)), channels=8)


def test_ties_go_to_one_position():
    """A dead channel is all maxima: its gradient goes to one of them, and stays the same in sum."""
    cbam = attnlib.CBAM(8, reduction=2, dtype=torch.float64)
    x = torch.zeros(1, 8, 3, 4, dtype=torch.float64, requires_grad=True)
    cbam.attention(x).channel.sum().backward()
    split = x.grad.sum((2, 3))
    x.grad = None
    gates = []
    cbam._spatial_gate = lambda maps: torch.ones_like(maps[:, :1])
    cbam._channel_gate = lambda mean, maximum: (
        gates.append(attnlib.CBAM._channel_gate(cbam, mean, maximum)) or gates[0]
    )
    cbam(x)
    (gradient,) = torch.autograd.grad(gates[0].sum(), x)
    torch.testing.assert_close(gradient.sum((2, 3)), split)


def test_zero_init_opens_the_spatial_gate_half():
    """σ(0) everywhere, and no gradient for the convolution in the first step."""
    cbam = attnlib.CBAM(32, zero_init=True)
    x = torch.randn(2, 32, 5, 7)
    assert torch.equal(cbam.attention(x).spatial, torch.full((2, 1, 5, 7), 0.5))
    torch.testing.assert_close(cbam(x), x * cbam.attention(x).channel / 2)
    cbam(x).square().sum().backward()
    assert cbam.conv.weight.grad.abs().max() == 0
    assert cbam.norm.weight.grad.abs().max() > 0


def test_batchnorm_starts_at_one_in_a_module_of_its_own():
    norm = attnlib.CBAM(32).norm
    assert norm.weight.item() == 1
    assert norm.bias.item() == 0
    assert norm.momentum == 0.01


def test_channel_gate_sees_everything():
    """Through the mean: every position of every channel."""
    cbam = randomise(attnlib.CBAM(8, reduction=2, dtype=torch.float64)).eval()
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(cbam.attention(x).channel[0, 3].sum(), x)
    assert (gradient.abs() > 0).all()


@pytest.mark.parametrize("kernel_size", [3, 7])
def test_spatial_gate_sees_a_window(kernel_size):
    """Of F', where the channel gate is held: the positions within ⌊k/2⌋ and no other."""
    cbam = attnlib.CBAM(8, reduction=2, kernel_size=kernel_size, dtype=torch.float64).eval()
    f = torch.randn(1, 8, 9, 10, dtype=torch.float64, requires_grad=True)
    maps = torch.cat((f.amax(1, keepdim=True), f.mean(1, keepdim=True)), 1)
    (gradient,) = torch.autograd.grad(cbam._spatial_gate(maps)[0, 0, 4, 5], f)
    seen = gradient[0].abs().amax(0) > 0
    expected = torch.zeros(9, 10, dtype=torch.bool)
    expected[4 - kernel_size // 2 :, 5 - kernel_size // 2 :] = True
    expected[4 + kernel_size // 2 + 1 :] = False
    expected[:, 5 + kernel_size // 2 + 1 :] = False
    assert torch.equal(seen, expected)


def test_gates_are_sequential():
    """The second gate looks at F', not at x: parallel gates give something else."""
    cbam = randomise(attnlib.CBAM(32)).eval()
    x = torch.randn(2, 32, 5, 7)
    channel, spatial = cbam.attention(x)
    maps = torch.cat((x.amax(1, keepdim=True), x.mean(1, keepdim=True)), 1)
    assert not torch.allclose(cbam._spatial_gate(maps), spatial)
    torch.testing.assert_close(cbam(x), x * channel * spatial)


def test_one_value_takes_the_running_statistics_and_leaves_them():
    cbam = randomise(attnlib.CBAM(8, reduction=2)).train()
    cbam.norm.eps = 0.5
    before = {k: v.clone() for k, v in cbam.state_dict().items()}
    x = torch.randn(1, 8, 1, 1)
    y = cbam(x)
    torch.testing.assert_close(y, cbam.eval()(x))
    assert all(torch.equal(before[k], v) for k, v in cbam.state_dict().items())
    cbam.train()(torch.randn(1, 8, 1, 2))
    assert cbam.norm.num_batches_tracked == 1
    assert not torch.equal(before["norm.running_mean"], cbam.norm.running_mean)


@pytest.mark.parametrize("size", [(4, 1, 1, 1), (1, 1, 4, 1), (1, 1, 1, 4), (1, 4, 2, 1)])
def test_two_values_do_have_a_variance(size):
    norm = source._BatchNorm2d(size[1])
    norm(torch.randn(size))
    assert norm.num_batches_tracked == 1


def test_widely_copied_code_with_kernel_49():
    """What the article's default computes, here as an explicit choice."""
    cbam = attnlib.CBAM(32, kernel_size=49, **COPIED).eval()
    x = torch.randn(1, 32, 5, 5)
    channel, spatial = cbam.attention(x)
    torch.testing.assert_close(cbam(x), x * channel * spatial + x)


def test_sums_of_products_go_by_blocks():
    check_sums_go_by_blocks(lambda a, b: source._sum_of_products(a, b, a[:, :1]))


def test_mean_over_channels():
    """A product with ones where that is exact and nobody traces, a mean elsewhere."""
    x = torch.randn(2, 24, 5, 7, requires_grad=True)
    mean = source._channel_mean(x)
    assert "Mean" not in type(mean.grad_fn).__name__
    torch.testing.assert_close(mean, x.mean(1, keepdim=True))
    low = x.bfloat16()
    assert torch.equal(source._channel_mean(low), low.mean(1, keepdim=True))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(source._channel_mean(x), x.mean(1, keepdim=True))
    with mock.patch("torch.compiler.is_compiling", return_value=True):
        assert type(source._channel_mean(x).grad_fn).__name__ == "MeanBackward1"


@pytest.mark.parametrize(
    ("size", "arguments", "inference", "training"),
    [
        ((3, 256, 40, 50), {}, 1.017, 3.030),
        ((4, 512, 50, 50), {}, 1.009, 3.017),
        ((3, 256, 40, 50), COPIED, 1.017, 3.030),
    ],
)
def test_memory(size, arguments, inference, training):
    counted = memory(attnlib.CBAM(size[1], **arguments), *size)
    assert counted == pytest.approx((inference, training), abs=0.01)


def test_last_scaling_writes_over_its_input_in_inference():
    """Also where a frozen module runs with autograd on, and never while somebody traces."""
    x, gate = torch.randn(2, 8, 3, 4), torch.rand(2, 1, 3, 4)
    assert source._scale(x, gate, last=True).data_ptr() == x.data_ptr()
    assert source._scale(x, gate).data_ptr() != x.data_ptr()
    with mock.patch("torch.compiler.is_compiling", return_value=True):
        assert source._scale(x, gate, last=True).data_ptr() != x.data_ptr()


def test_representation():
    assert "residual=True" in repr(attnlib.CBAM(16, residual=True))
    assert "residual" not in repr(attnlib.CBAM(16))


def test_inference_spares_memory_and_the_input():
    """Both ways of inference, with and without autograd, and neither writes into x."""
    cbam = randomise(attnlib.CBAM(32)).eval()
    x = torch.randn(2, 32, 5, 7)
    before = x.clone()
    with torch.no_grad():
        quiet = cbam(x)
    assert torch.equal(x, before)
    torch.testing.assert_close(quiet, cbam(x).detach())
    cbam.requires_grad_(False)
    torch.testing.assert_close(quiet, cbam(x))
    assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("channels", "arguments", "message"),
    [
        (0, {}, "must be positive, got channels=0, reduction=16"),
        (64, {"reduction": 0}, "must be positive, got channels=64, reduction=0"),
        (8, {}, "reduction must not exceed channels, got channels=8, reduction=16"),
        (64, {"kernel_size": 8}, "kernel_size must be positive and odd, got 8"),
        (64, {"kernel_size": -1}, "kernel_size must be positive and odd, got -1"),
        (64, {"zero_init": True, "norm": False}, "zero_init .* needs norm=True"),
    ],
)
def test_bad_arguments(channels, arguments, message):
    with pytest.raises(ValueError, match=message):
        attnlib.CBAM(channels, **arguments)


def test_smallest_arguments():
    x = torch.randn(2, 1, 3, 4)
    assert attnlib.CBAM(1, reduction=1, kernel_size=1)(x).shape == x.shape
