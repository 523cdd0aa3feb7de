"""Efficient Channel Attention against its paper."""

from typing import ClassVar

import pytest
import torch
from hypothesis import strategies as st
from mechanisms.contract import MechanismContract, randomise
from mechanisms.gradients import by_hand, check_gradients, check_sums_go_by_blocks, memory

import attnlib
from attnlib.mechanisms import eca as source
from attnlib.mechanisms.eca import adaptive_kernel_size


class TestECA(MechanismContract):
    key = "eca"
    variants: ClassVar = [
        {},
        {"kernel_size": 1},
        {"kernel_size": 7, "bias": True},
        {"gamma": 1, "b": 3, "padding_mode": "circular"},
    ]

    def reference(self, module, x):
        y = torch.empty_like(x)
        k, channels = module.kernel_size, x.shape[1]
        weight = module.conv.weight.flatten()
        for b in range(x.shape[0]):
            z = [x[b, c].sum() / x[b, c].numel() for c in range(channels)]
            for c in range(channels):
                logit = module.conv.bias[0] if module.conv.bias is not None else 0.0
                for i in range(k):
                    neighbour = c + i - (k - 1) // 2
                    if module.conv.padding_mode == "circular":
                        neighbour %= channels
                    if 0 <= neighbour < channels:
                        logit = logit + weight[i] * z[neighbour]
                y[b, c] = x[b, c] / (1 + torch.exp(-logit))
        return y

    def parameter_count(self, channels, options):
        k = options.get("kernel_size")
        if k is None:
            k = adaptive_kernel_size(channels, gamma=options.get("gamma", 2), b=options.get("b", 1))
        return k + bool(options.get("bias"))

    def valid_options(self):
        return st.tuples(
            st.integers(4, 40),
            st.sampled_from([None, 1, 3, 5, 9]),
            st.booleans(),
            st.sampled_from(["zeros", "circular"]),
        ).map(lambda t: (t[0], {"kernel_size": t[1], "bias": t[2], "padding_mode": t[3]}))


# (log2 C + 1)/2, by hand: C = 4 → 1.5, 8 → 2 (tie), 64 → 3.5, 128 → 4 (tie), 2048 → 6 (tie).
@pytest.mark.parametrize(
    ("channels", "kernel_size"),
    [
        *[(1, 1), (2, 1), (4, 1), (8, 3), (16, 3), (24, 3), (32, 3), (64, 3), (96, 3), (127, 3)],
        *[(128, 5), (160, 5), (256, 5), (320, 5), (512, 5), (1024, 5), (2047, 5), (2048, 7)],
    ],
)
def test_kernel_size_grows_with_channels(channels, kernel_size):
    """Eq. 12 with γ = 2, b = 1; ties (C = 8, 128, 2048) go up, as in the paper's listing."""
    assert adaptive_kernel_size(channels) == kernel_size
    eca = attnlib.EfficientChannelAttention(channels)
    assert eca.kernel_size == kernel_size
    assert eca.conv.weight.shape == (1, 1, kernel_size)


@pytest.mark.parametrize(
    ("gamma", "b", "kernel_size"), [(1, 1, 9), (2, 3, 5), (3, 1, 3), (2, -8, 1), (8, 1, 1)]
)
def test_kernel_size_follows_gamma_and_b(gamma, b, kernel_size):
    """C = 256: (8 + b)/γ; (8 − 8)/2 = 0 is nearest to 1 among the odd sizes that exist."""
    assert attnlib.EfficientChannelAttention(256, gamma=gamma, b=b).kernel_size == kernel_size


def count(channels, repeats, **options):
    modules = [attnlib.create("eca", c, **options) for c in channels]
    return sum(
        n * sum(p.numel() for p in m.parameters()) for n, m in zip(repeats, modules, strict=True)
    )


def test_parameters_in_resnet50():
    """The formula on block outputs gives 86; the released weights (k = 3, 5, 5, 7) have 80."""
    stages, repeats = (256, 512, 1024, 2048), (3, 4, 6, 3)
    assert count(stages, repeats) == 86
    released = sum(
        count([c], [n], kernel_size=k)
        for c, n, k in zip(stages, repeats, (3, 5, 5, 7), strict=True)
    )
    assert released == 80


def test_parameters_in_mobilenet_v2():
    """25 + 34 = 59 by the formula; the released code has k = 1 below 96 channels, 3 from there."""
    outputs, repeats = (16, 24, 32, 64, 96, 160, 320), (1, 2, 3, 4, 3, 3, 1)
    assert count(outputs, repeats) == 3_504_931 - 3_504_872
    released = sum(
        count([c], [n], kernel_size=1 if c < 96 else 3)
        for c, n in zip(outputs, repeats, strict=True)
    )
    assert released == 31 == 3_504_903 - 3_504_872


@pytest.mark.parametrize(
    ("padding_mode", "channel", "seen"),
    [
        ("zeros", 4, {2, 3, 4, 5, 6}),
        ("zeros", 0, {0, 1, 2}),
        ("zeros", 9, {7, 8, 9}),
        ("circular", 0, {8, 9, 0, 1, 2}),
    ],
)
def test_gate_sees_every_position_of_k_channels(padding_mode, channel, seen):
    """Edge channels see fewer neighbours under zero padding, which is what "circular" mends."""
    eca = attnlib.EfficientChannelAttention(
        10, kernel_size=5, padding_mode=padding_mode, dtype=torch.float64
    )
    x = torch.randn(1, 10, 4, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(eca.attention(x)[0, channel].sum(), x)
    strength = gradient[0].abs()
    assert {c for c in range(10) if strength[c].max() > 0} == seen
    assert all(strength[c].min() > 0 for c in seen)


def test_gates_do_not_mix_channels():
    eca = attnlib.EfficientChannelAttention(8, dtype=torch.float64)
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad((x * eca.attention(x).detach())[0, 3].sum(), x)
    assert gradient[0, 3].abs().min() > 0
    assert gradient[0, [0, 1, 2, 4, 5, 6, 7]].abs().max() == 0


def test_channel_order_matters():
    """A permutation of the channels is not the same permutation of the gates."""
    eca = attnlib.EfficientChannelAttention(32)
    x = torch.randn(2, 32, 3, 3)
    order = torch.arange(31, -1, -1)
    order[0], order[5] = order[5].item(), order[0].item()
    assert not torch.allclose(eca(x[:, order]), eca(x)[:, order])


@pytest.mark.parametrize("arguments", [{}, {"bias": True, "padding_mode": "circular"}])
def test_fast_backward(arguments, monkeypatch):
    monkeypatch.setattr("attnlib.mechanisms.eca._LARGE", 0)
    check_gradients(
        lambda: randomise(attnlib.EfficientChannelAttention(8, **arguments)), channels=8
    )


def test_fast_backward_in_blocks():
    """A large input takes it by itself, in more than one block, the last one smaller."""
    eca = attnlib.EfficientChannelAttention(256)
    x = torch.randn(3, 256, 40, 50, requires_grad=True)
    dy = torch.randn_like(x)
    y = eca(x)
    assert type(y.grad_fn).__name__ == "_ScaleBackward"
    inputs = [x, eca.conv.weight]
    fast = torch.autograd.grad(y, inputs, dy)
    plain = torch.autograd.grad(x * eca.attention(x), inputs, dy)
    torch.testing.assert_close(fast[0], plain[0])
    torch.testing.assert_close(fast[1], plain[1], rtol=1e-3, atol=1e-4)


def test_sums_of_products_go_by_blocks():
    check_sums_go_by_blocks(source._dot)


def test_small_inputs_take_the_plain_form():
    """The switch is at 2^19 entries."""
    eca = attnlib.EfficientChannelAttention(128)
    assert by_hand(eca(torch.randn(1, 128, 64, 64, requires_grad=True)))
    assert not by_hand(eca(torch.randn(1, 128, 64, 63, requires_grad=True)))


@pytest.mark.parametrize(
    ("size", "training"),
    [
        ((3, 256, 40, 50), 2.668),  # y, dx, and two of three samples at a time
        ((9, 256, 40, 50), 2.224),
        ((4, 512, 50, 50), 2.251),  # a sample is larger than a block
    ],
)
def test_memory(size, training):
    counted = memory(attnlib.EfficientChannelAttention(size[1]), *size)
    assert counted == pytest.approx((1.0, training), abs=0.01)


def test_batch_of_one_keeps_its_axis():
    eca = attnlib.EfficientChannelAttention(16)
    assert eca.attention(torch.randn(1, 16, 1, 1)).shape == (1, 16, 1, 1)


@pytest.mark.parametrize(
    ("channels", "arguments", "message"),
    [
        (0, {}, "channels and gamma must be positive, got channels=0"),
        (8, {"gamma": 0}, "channels and gamma must be positive, got channels=8, gamma=0"),
        (8, {"kernel_size": 4}, "kernel_size must be positive and odd, got 4"),
        (8, {"kernel_size": -1}, "kernel_size must be positive and odd, got -1"),
        (8, {"padding_mode": "reflect"}, "padding_mode must be 'zeros' or 'circular', got 'ref"),
        (
            2,
            {"kernel_size": 7, "padding_mode": "circular"},
            "must not exceed 2·channels \\+ 1 with circular padding, got kernel_size=7, channels=2",
        ),
    ],
)
def test_bad_arguments(channels, arguments, message):
    with pytest.raises(ValueError, match=message):
        attnlib.EfficientChannelAttention(channels, **arguments)


def test_largest_circular_kernel():
    x = torch.randn(1, 2, 3, 3)
    eca = attnlib.EfficientChannelAttention(2, kernel_size=5, padding_mode="circular")
    assert eca(x).shape == x.shape
    # With zeros any kernel will do.
    assert attnlib.EfficientChannelAttention(2, kernel_size=7)(x).shape == x.shape


def test_only_channels_are_positional():
    with pytest.raises(TypeError):
        adaptive_kernel_size(256, 2)


def test_smallest_arguments():
    x = torch.randn(2, 1, 3, 4)
    assert attnlib.EfficientChannelAttention(1, kernel_size=1, gamma=0.5)(x).shape == x.shape
