"""Shuffle Attention against its authors' code."""

from typing import ClassVar

import pytest
import torch
from hypothesis import strategies as st
from mechanisms.contract import MechanismContract, randomise
from mechanisms.gradients import by_hand, check_gradients, memory

import attnlib
from attnlib.mechanisms.shuffle import _blocks, _fusible, _shuffle_attention


def shuffle_order(channels):
    """0, C/2, 1, C/2 + 1, …: the input channel that each output channel comes from."""
    return [c for i in range(channels // 2) for c in (i, channels // 2 + i)]


class TestShuffleAttention(MechanismContract):
    key = "shuffle"
    channels = 128
    variants: ClassVar = [{}, {"groups": 8}]

    def reference(self, module, x):
        gated = torch.empty_like(x)
        half = x.shape[1] // (2 * module.groups)
        for b in range(x.shape[0]):
            for k in range(module.groups):
                for i in range(half):
                    c = 2 * half * k + i
                    z = x[b, c].sum() / x[b, c].numel()
                    logit = module.channel_weight[i] * z + module.channel_bias[i]
                    gated[b, c] = x[b, c] / (1 + torch.exp(-logit))
                    c = c + half
                    mean = x[b, c].sum() / x[b, c].numel()
                    variance = ((x[b, c] - mean) ** 2).sum() / x[b, c].numel()
                    normal = (x[b, c] - mean) / (variance + 1e-5) ** 0.5
                    normal = module.norm.weight[i] * normal + module.norm.bias[i]
                    logit = module.spatial_weight[i] * normal + module.spatial_bias[i]
                    gated[b, c] = x[b, c] / (1 + torch.exp(-logit))
        return gated[:, shuffle_order(x.shape[1])]

    def apply(self, module, x, attention):
        return (x * attention)[:, shuffle_order(x.shape[1])]

    def parameter_count(self, channels, options):
        assert 3 * channels % options.get("groups", 64) == 0
        return 3 * channels // options.get("groups", 64)

    def valid_options(self):
        return st.tuples(st.integers(1, 8), st.integers(1, 3)).map(
            lambda t: (2 * t[0] * t[1], {"groups": t[0]})
        )


@pytest.mark.parametrize(
    ("blocks", "published"),
    [
        ([(3, 256), (4, 512), (6, 1024), (3, 2048)], 25_557_740 - 25_557_032),
        ([(3, 256), (4, 512), (23, 1024), (3, 2048)], 44_550_684 - 44_549_160),
    ],
    ids=["resnet50", "resnet101"],
)
def test_parameters_in_resnets(blocks, published):
    """Not the "300" of the abstract: the authors' code has 708 in ResNet-50, the sum of 3·C/G."""
    count = sum(
        n * sum(p.numel() for p in attnlib.ShuffleAttention(c).parameters()) for n, c in blocks
    )
    assert count == published


def test_parameters_of_the_copied_demo():
    module = attnlib.ShuffleAttention(512, groups=8)
    assert sum(p.numel() for p in module.parameters()) == 192


def test_starts_as_a_scaled_shuffle():
    """W = 0 and b = 1 everywhere: σ(1) times the shuffled input, whatever the input is."""
    module = attnlib.ShuffleAttention(8, groups=2)
    x = torch.randn(2, 8, 5, 7)
    expected = torch.sigmoid(torch.ones(())) * x[:, [0, 4, 1, 5, 2, 6, 3, 7]]
    torch.testing.assert_close(module(x), expected)
    assert module.attention(x).unique().numel() == 1


@pytest.mark.parametrize("groups", [1, 2, 3, 4])
def test_fast_backward(groups, monkeypatch):
    monkeypatch.setattr("attnlib.mechanisms.shuffle._BLOCK", 0)
    check_gradients(lambda: randomise(attnlib.ShuffleAttention(24, groups=groups)), channels=24)


@pytest.mark.parametrize("size", [(47, 24, 33, 30), (3, 24, 210, 210)])
def test_blocks_of_samples(size):
    """Large inputs take them by themselves: several samples with a smaller block at the end."""
    module = randomise(attnlib.ShuffleAttention(24, groups=2))
    x = torch.randn(size, requires_grad=True)
    dy = torch.randn(size)
    fused = module(x)
    assert type(fused.grad_fn).__name__ == "_FusedBackward"
    plain = _shuffle_attention(x, 2, module.norm.eps, *module._vectors())
    torch.testing.assert_close(fused, plain)
    inputs = [x, *module.parameters()]
    for f, p in zip(
        torch.autograd.grad(fused, inputs, dy),
        torch.autograd.grad(plain, inputs, dy),
        strict=True,
    ):
        torch.testing.assert_close(f, p, rtol=1e-4, atol=1e-2 if f.dim() == 1 else 1e-5)


@pytest.mark.parametrize(
    ("device", "size", "blocks"),
    [("cpu", (3, 256, 40, 50), 2), ("cpu", (2, 512, 50, 50), 2), ("meta", (300, 64, 16, 16), 5)],
)
def test_number_of_blocks(device, size, blocks):
    assert len(list(_blocks(torch.ones(size, device=device)))) == blocks


def test_small_inputs_take_the_plain_form():
    """Up to 2^20 numbers, and everything that is not of one and full precision on a CPU."""
    module = randomise(attnlib.ShuffleAttention(64, groups=2))
    assert by_hand(module(torch.randn(2, 64, 64, 129, requires_grad=True)))
    assert not by_hand(module(torch.randn(2, 64, 64, 128, requires_grad=True)))
    x = torch.randn(2, 64, 64, 129)
    assert _fusible(x, module._vectors())
    assert not _fusible(x.to("meta"), module._vectors())
    assert not _fusible(x.double(), module._vectors())
    module.bfloat16()
    assert not _fusible(x.bfloat16(), module._vectors())
    assert not _fusible(x, module._vectors())


@pytest.mark.parametrize(
    ("size", "inference", "training"),
    [
        ((3, 256, 40, 50), 2.335, 4.336),
        ((9, 256, 40, 50), 1.557, 2.891),
        ((4, 512, 50, 50), 1.626, 3.002),
    ],
)
def test_memory(size, inference, training):
    counted = memory(attnlib.ShuffleAttention(size[1]), *size)
    assert counted == pytest.approx((inference, training), abs=0.01)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_layout_is_kept_in_every_dtype(dtype):
    """Also by the plain form, which low precision takes; a shuffle loses it easily."""
    module = randomise(attnlib.ShuffleAttention(8, groups=2)).to(dtype)
    x = torch.randn(2, 8, 5, 7, dtype=dtype)
    y = module(x.contiguous(memory_format=torch.channels_last))
    assert y.is_contiguous(memory_format=torch.channels_last)
    assert module(x).is_contiguous()
    torch.testing.assert_close(y, module(x), rtol=2e-2, atol=2e-2)


def test_precise_far_from_zero():
    """A mean that is large beside the deviation does not blur the normalised values."""
    module = randomise(attnlib.ShuffleAttention(8, groups=2))
    x = 100 + torch.randn(2, 8, 9, 9, dtype=torch.float64)
    exact = module.double()(x)
    torch.testing.assert_close(module.float()(x.float()).double(), exact, rtol=1e-4, atol=1e-4)


def test_receptive_field():
    """Channel 0 lies in a channel half, channel 2 in a spatial half: each sees itself and no other.

    A gate of the channel half hears all positions equally, one of the spatial half hears its own
    position beside the statistics of all.
    """
    module = randomise(attnlib.ShuffleAttention(8, groups=2, dtype=torch.float64))
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64, requires_grad=True)
    for channel, own in [(0, False), (2, True), (5, False), (7, True)]:
        gate = module.attention(x)[0, channel, 1, 2]
        (gradient,) = torch.autograd.grad(gate, x)
        others = [c for c in range(8) if c != channel]
        assert gradient[0, others].abs().max() == 0
        assert gradient[0, channel].abs().min() > 0
        equal = (gradient[0, channel] - gradient[0, channel, 0, 0]).abs().max() < 1e-12
        assert equal != own


def test_groups_share_their_parameters():
    """The same maps in two groups get the same gates."""
    module = randomise(attnlib.ShuffleAttention(12, groups=3))
    gates = module.attention(torch.randn(2, 4, 5, 7).repeat(1, 3, 1, 1))
    torch.testing.assert_close(gates[:, :4], gates[:, 4:8])
    torch.testing.assert_close(gates[:, :4], gates[:, 8:])


def test_order_of_channels_changes():
    """So it cannot be put between pretrained layers without their channels being mixed up."""
    x = torch.arange(8.0)[None, :, None, None] + 1
    order = attnlib.ShuffleAttention(8, groups=2)(x).flatten().div(torch.tensor(1.0).sigmoid())
    assert (order.round() - 1).int().tolist() == [0, 4, 1, 5, 2, 6, 3, 7]


@pytest.mark.parametrize(
    ("channels", "groups", "message"),
    [
        (0, 64, "must be positive, got channels=0, groups=64"),
        (64, 0, "must be positive, got channels=64, groups=0"),
        (1, 1, "2·groups must divide channels, .* got channels=1, groups=1"),
        (64, 64, "2·groups must divide channels, .* got channels=64, groups=64"),
        (24, 8, "2·groups must divide channels, .* got channels=24, groups=8"),
    ],
)
def test_bad_arguments(channels, groups, message):
    with pytest.raises(ValueError, match=message):
        attnlib.ShuffleAttention(channels, groups=groups)


def test_smallest_arguments():
    x = torch.randn(2, 2, 3, 4)
    assert attnlib.ShuffleAttention(2, groups=1)(x).shape == x.shape
