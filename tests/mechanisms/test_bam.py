"""BAM against its paper and its authors' code."""

import warnings
from typing import Any, ClassVar

import pytest
import torch
from hypothesis import strategies as st
from mechanisms.contract import MechanismContract, randomise
from mechanisms.gradients import by_hand, check_gradients, memory
from torch import nn

import attnlib
from attnlib.mechanisms import bam as source

AUTHORS = {"combine": "product", "norm": "hidden"}
COPIED = {"norm": "hidden", "dilation": 2, "hidden_layers": 3, "dilated_layers": 3}


def naive(layer, z):
    """One layer of a branch on a (C, H, W) map, by the definition; a vector is a 1×1 map."""
    if isinstance(layer, nn.ReLU):
        return z.clamp(min=0)
    if isinstance(layer, nn.Linear):
        return (layer.weight @ z.flatten() + layer.bias)[:, None, None]
    if isinstance(layer, nn.Conv2d):
        reach = layer.dilation[0] * (layer.kernel_size[0] // 2)
        y = layer.bias[:, None, None].repeat(1, *z.shape[1:])
        for i in range(z.shape[1]):
            for j in range(z.shape[2]):
                for p in range(-reach, reach + 1, layer.dilation[0]):
                    for q in range(-reach, reach + 1, layer.dilation[0]):
                        if 0 <= i + p < z.shape[1] and 0 <= j + q < z.shape[2]:
                            k = (p + reach) // layer.dilation[0], (q + reach) // layer.dilation[0]
                            y[:, i, j] += layer.weight[(..., *k)] @ z[:, i + p, j + q]
        return y
    scale = layer.weight / (layer.running_var + 1e-5) ** 0.5
    shift = layer.bias - layer.running_mean * scale
    return z * scale[:, None, None] + shift[:, None, None]


class BAMContract(MechanismContract):
    key = "bam"

    def input(self, *size, dtype=torch.float32, batch=4):
        """Means that differ between the samples, so that BatchNorm leaves something of them."""
        x = super().input(*size, dtype=dtype, batch=batch)
        return x + torch.randn(batch, self.channels, 1, 1, dtype=dtype)

    def reference(self, module, x):
        y = torch.empty_like(x)
        for b in range(x.shape[0]):
            mc = torch.stack([x[b, c].sum() / x[b, c].numel() for c in range(x.shape[1])])
            for layer in module.channel_branch:
                mc = naive(layer, mc)
            ms = x[b]
            for layer in module.spatial_branch:
                ms = naive(layer, ms)
            logits = mc * ms if module.combine == "product" else mc + ms
            y[b] = x[b] + x[b] / (1 + torch.exp(-logits))
        return y

    def apply(self, module, x, attention):
        logits = attention.channel + attention.spatial
        if module.combine == "product":
            logits = attention.channel * attention.spatial
        torch.testing.assert_close(attention.gate, logits.sigmoid())
        return x * (1 + attention.gate)

    def parameter_count(self, channels, options):
        c = channels // options.get("reduction", 16)
        hidden, dilated = options.get("hidden_layers", 1), options.get("dilated_layers", 2)
        count = 2 * channels * c + channels + c + (hidden - 1) * (c * c + c)
        count += channels * c + c + dilated * (9 * c * c + c) + c + 1
        if options.get("norm") == "hidden":
            return count + 2 * c * (hidden + 1 + dilated)
        return count + 2 * channels + 2

    def valid_options(self):
        return st.tuples(
            st.integers(8, 40),
            st.integers(1, 8),
            st.integers(1, 5),
            st.sampled_from(["sum", "product"]),
            st.sampled_from([self.norm]),
            st.integers(1, 3),
            st.integers(1, 3),
        ).map(
            lambda t: (
                t[0],
                {
                    "reduction": max(t[1], t[0] // 8),  # the naive convolution is slow
                    "dilation": t[2],
                    "combine": t[3],
                    "norm": t[4],
                    "hidden_layers": t[5],
                    "dilated_layers": t[6],
                },
            )
        )


class TestBAM(BAMContract):
    norm = "last"
    variants: ClassVar = [{}, {"reduction": 8, "dilation": 1, "combine": "product"}]
    # In train mode the BatchNorm behind them takes the mean away, and the biases with it.
    no_gradient: ClassVar = dict.fromkeys(
        ["channel_branch.2.bias", "spatial_branch.6.bias"], "BatchNorm follows: it cancels the bias"
    )


class TestBAMAsReleased(BAMContract):
    norm = "hidden"
    variants: ClassVar = [AUTHORS, {"norm": "hidden", "reduction": 8, "dilation": 2}]
    no_gradient: ClassVar = dict.fromkeys(
        ["channel_branch.0.bias", *(f"spatial_branch.{i}.bias" for i in (0, 3, 6))],
        "BatchNorm follows: it cancels the bias",
    )


def parameters(channels: int, **options: Any) -> int:
    return sum(p.numel() for p in attnlib.BAM(channels, **options).parameters())


def test_parameters():
    """The authors' module at the three bottlenecks of ResNet-50; the article's at its demo size."""
    assert [parameters(c, **AUTHORS) for c in (256, 512, 1024)] == [17_361, 68_513, 272_193]
    assert parameters(512, **COPIED) == 80_065


def test_parameters_in_resnets():
    """Three modules in the whole network, before the three downsamplings."""
    modules = sum(parameters(c, **AUTHORS) for c in (256, 512, 1024))
    assert 25_557_032 + modules == 25_915_099  # ResNet-50
    assert 44_549_160 + modules == 44_907_227  # ResNet-101


@pytest.mark.parametrize("arguments", [{}, AUTHORS], ids=["paper", "authors"])
def test_fast_backward(arguments, monkeypatch):
    monkeypatch.setattr("attnlib.mechanisms.bam._BLOCK", 0)
    check_gradients(
        lambda: randomise(attnlib.BAM(8, reduction=2, dilation=1, **arguments)), channels=8
    )


@pytest.mark.parametrize("arguments", [{}, AUTHORS], ids=["paper", "authors"])
def test_fast_backward_is_silent(arguments, monkeypatch):
    """What is written into the gradients has their shapes: PyTorch warns of others."""
    monkeypatch.setattr("attnlib.mechanisms.bam._BLOCK", 0)
    bam = randomise(attnlib.BAM(8, reduction=2, **arguments))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bam(torch.randn(2, 8, 3, 4, requires_grad=True)).sum().backward()


def test_blocks_of_several_samples():
    """A large input takes them by itself, the last one smaller than the others."""
    bam = randomise(attnlib.BAM(8, reduction=2)).eval()
    x = torch.randn(9, 8, 130, 130)
    assert type(bam(x).grad_fn).__name__ == "_EnhanceBackward"
    with torch.no_grad():
        torch.testing.assert_close(bam(x), x * (1 + bam.attention(x).gate))


@pytest.mark.parametrize(
    ("device", "size", "blocks"),
    [("cpu", (3, 256, 40, 50), 2), ("cpu", (2, 512, 50, 50), 2), ("meta", (300, 64, 16, 16), 1)],
)
def test_number_of_blocks(device, size, blocks):
    assert len(list(source._blocks(torch.ones(size, device=device)))) == blocks


def test_small_inputs_take_the_plain_form():
    """Up to 2^20 numbers, and where the branches come in another dtype, as under autocast."""
    bam = randomise(attnlib.BAM(64)).eval()
    assert by_hand(bam(torch.randn(2, 64, 64, 129, requires_grad=True)))
    assert not by_hand(bam(torch.randn(2, 64, 64, 128, requires_grad=True)))
    x = torch.randn(2, 64, 64, 129)
    mc, ms = bam.attention(x)[:2]
    for parts in [(x.double(), mc, ms), (x, mc.double(), ms), (x, mc, ms.double())]:
        y = source._enhance(*parts, "sum")
        assert y.dtype == torch.float64
        assert not by_hand(y)


@pytest.mark.parametrize(
    ("size", "arguments", "inference", "training"),
    [
        ((3, 256, 40, 50), {}, 1.005, 4.202),
        ((9, 256, 40, 50), {}, 1.005, 4.004),
        ((4, 512, 50, 50), AUTHORS, 1.0, 4.0),
    ],
)
def test_memory(size, arguments, inference, training):
    counted = memory(attnlib.BAM(size[1], **arguments), *size)
    assert counted == pytest.approx((inference, training), abs=0.01)


@pytest.mark.parametrize(("dilation", "layers"), [(4, 2), (2, 1), (1, 3)])
def test_receptive_field_of_the_spatial_branch(dilation, layers):
    """A grid with steps of d that reaches d·layers in each direction: 17×17 at d = 4, twice."""
    bam = randomise(
        attnlib.BAM(8, reduction=2, dilation=dilation, dilated_layers=layers, dtype=torch.float64)
    ).eval()
    seen = torch.zeros(21, 21, dtype=torch.bool)
    for seed in range(8):  # ReLU hides some paths for each input
        torch.manual_seed(seed)
        x = torch.randn(1, 8, 21, 21, dtype=torch.float64, requires_grad=True)
        (gradient,) = torch.autograd.grad(bam.attention(x).spatial[0, 0, 10, 10], x)
        seen |= gradient[0].abs().amax(0) > 0
    expected = torch.zeros(21, 21, dtype=torch.bool)
    reach = range(10 - dilation * layers, 10 + dilation * layers + 1, dilation)
    for i in reach:
        expected[i, reach] = True
    assert torch.equal(seen, expected)


def test_channel_branch_sees_everything():
    bam = randomise(attnlib.BAM(8, reduction=2, dtype=torch.float64)).eval()
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(bam.attention(x).channel[0, 3].sum(), x)
    assert (gradient.abs() > 0).all()


@pytest.mark.parametrize("size", [(7, 7), (14, 14), (8, 6), (2, 2), (9, 12), (12, 20), (12, 9)])
def test_sizes_on_which_the_copies_fail(size):
    """Padding 1 shrinks all maps but 7×7; the authors' pooling reads squares only."""
    for options in ({}, AUTHORS, COPIED):
        bam = randomise(attnlib.BAM(32, **options)).eval()
        x = torch.randn(2, 32, *size)
        channel, spatial, gate = bam.attention(x)
        assert spatial.shape == (2, 1, *size)
        torch.testing.assert_close(bam.channel_branch(x.flatten(2).mean(2)), channel[:, :, 0, 0])
        torch.testing.assert_close(bam(x), x + x * gate)


def test_output_lies_between_x_and_twice_x():
    bam = randomise(attnlib.BAM(32)).eval()
    x = torch.randn(2, 32, 5, 7)
    ratio = bam(x) / x
    assert 1 < ratio.min() < ratio.max() < 2


def test_one_value_takes_the_running_statistics_and_leaves_them():
    """At batch 1 the channel branch has one value per channel, the spatial branch H·W of them."""
    for options in ({}, AUTHORS):
        bam = randomise(attnlib.BAM(32, **options)).train()
        for norm in bam.channel_branch:
            norm.eps = 0.5
        before = {k: v.clone() for k, v in bam.channel_branch.state_dict().items()}
        x = torch.randn(1, 32, 5, 7)
        channel = bam.attention(x).channel
        after = bam.channel_branch.state_dict()
        assert all(torch.equal(before[k], after[k]) for k in before)
        torch.testing.assert_close(channel, bam.eval().attention(x).channel)
        counts = [b for k, b in bam.spatial_branch.named_buffers() if "num_batches" in k]
        assert all(count == 1 for count in counts)
        bam.train()(torch.randn(2, 32, 5, 7))
        counts = [b for k, b in bam.channel_branch.named_buffers() if "num_batches" in k]
        assert counts
        assert all(count == 1 for count in counts)


@pytest.mark.parametrize(
    "size", [(4, 1), (2, 3), (4, 1, 1, 1), (1, 1, 4, 1), (1, 1, 1, 4), (1, 4, 2, 1)]
)
def test_two_values_do_have_a_variance(size):
    norm = (source._BatchNorm1d if len(size) == 2 else source._BatchNorm2d)(size[1])
    norm(torch.randn(size))
    assert norm.num_batches_tracked == 1


@pytest.mark.parametrize(
    ("channels", "arguments", "message"),
    [
        (0, {}, "must be positive, got channels=0, reduction=16"),
        (64, {"reduction": 0}, "must be positive, got channels=64, reduction=0"),
        (64, {"dilation": 0}, "must be positive, .* dilation=0"),
        (64, {"hidden_layers": 0}, "must be positive, .* hidden_layers=0"),
        (64, {"dilated_layers": 0}, "must be positive, .* dilated_layers=0"),
        (8, {}, "reduction must not exceed channels, got channels=8, reduction=16"),
        (64, {"combine": "add"}, "combine must be 'sum' or 'product', got 'add'"),
        (64, {"norm": None}, "norm must be 'last' or 'hidden', got None"),
    ],
)
def test_bad_arguments(channels, arguments, message):
    with pytest.raises(ValueError, match=message):
        attnlib.BAM(channels, **arguments)


def test_defaults_are_the_papers():
    bam = attnlib.BAM(32)
    assert (bam.reduction, bam.dilation, bam.combine) == (16, 4, "sum")
    convolutions = [layer for layer in bam.spatial_branch if isinstance(layer, nn.Conv2d)]
    assert [layer.dilation for layer in convolutions] == [(1, 1), (4, 4), (4, 4), (1, 1)]


def test_smallest_arguments():
    x = torch.randn(2, 1, 3, 4)
    assert (
        attnlib.BAM(1, reduction=1, dilation=1, hidden_layers=1, dilated_layers=1)(x).shape
        == x.shape
    )
