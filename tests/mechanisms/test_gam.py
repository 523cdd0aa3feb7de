"""Global Attention Mechanism against its paper and the widely copied code."""

import pytest
import torch
from hypothesis import strategies as st
from mechanisms.contract import MechanismContract, randomise
from torch import nn

import attnlib


class TestGAM(MechanismContract):
    key = "gam"
    variants = [
        {},
        {"reduction": 4, "groups": 4, "kernel_size": 3},
        {"reduction": 4, "channel_sigmoid": False},
    ]
    no_gradient = {
        "conv1.bias": "batch normalisation takes off whatever a bias before it adds",
        "conv2.bias": "batch normalisation takes off whatever a bias before it adds",
    }

    def reference(self, module, x):
        """One output at a time: the two layers per position, the convolutions as sums of taps."""

        def convolve(conv, norm, x):
            B, _, H, W = x.shape
            out, k, pad = conv.out_channels, conv.kernel_size[0], conv.kernel_size[0] // 2
            per_in, per_out = x.shape[1] // conv.groups, out // conv.groups
            y = conv.bias[None, :, None, None].expand(B, out, H, W).clone()
            for i in range(H):
                for j in range(W):
                    for u in range(max(0, i - pad), min(H, i - pad + k)):
                        for v in range(max(0, j - pad), min(W, j - pad + k)):
                            tap = conv.weight[:, :, u - i + pad, v - j + pad]  # (out, in/groups)
                            for g in range(conv.groups):
                                rows = slice(g * per_out, (g + 1) * per_out)
                                seen = x[:, g * per_in : (g + 1) * per_in, u, v]
                                y[:, rows, i, j] += seen @ tap[rows].T
            y = (y - norm.running_mean[:, None, None]) / (
                norm.running_var[:, None, None] + norm.eps
            ).sqrt()
            return y * norm.weight[:, None, None] + norm.bias[:, None, None]

        B, C, H, W = x.shape
        out = torch.empty_like(x)
        for b in range(B):
            for i in range(H):
                for j in range(W):
                    hidden = module.fc1.weight @ x[b, :, i, j] + module.fc1.bias
                    gate = module.fc2.weight @ hidden.clamp(min=0) + module.fc2.bias
                    if module.channel_sigmoid:
                        gate = 1 / (1 + (-gate).exp())
                    out[b, :, i, j] = x[b, :, i, j] * gate
        hidden = convolve(module.conv1, module.norm1, out).clamp(min=0)
        gates = 1 / (1 + (-convolve(module.conv2, module.norm2, hidden)).exp())
        order = [
            g * (C // module.groups) + c
            for c in range(C // module.groups)
            for g in range(module.groups)
        ]
        return out * gates[:, order]

    def apply(self, module, x, attention):
        assert attention.channel.shape == attention.spatial.shape == x.shape
        return x * attention.channel * attention.spatial

    def parameter_count(self, channels, options):
        h, k = channels // options.get("reduction", 16), options.get("kernel_size", 7)
        convolutions = 2 * k * k * channels * h // options.get("groups", 1)
        return 2 * channels * h + h + channels + convolutions + 3 * h + 3 * channels

    def valid_options(self):
        return st.tuples(
            st.integers(1, 3),
            st.integers(1, 2),
            st.integers(1, 3),
            st.sampled_from([1, 3, 5]),
            st.booleans(),
        ).map(
            lambda t: (
                t[0] * t[1] * t[2],
                {
                    "groups": t[0],
                    "reduction": t[2],
                    "kernel_size": t[3],
                    "channel_sigmoid": t[4],
                },
            )
        )


class Copied(nn.Module):
    """The widely copied module with its layers' names, retyped so that it runs."""

    def __init__(self, channels, rate=4):
        super().__init__()
        hidden = channels // rate
        self.channel_attention = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels)
        )
        self.spatial_attention = nn.Sequential(
            nn.Conv2d(channels, hidden, 7, padding=3),
            nn.BatchNorm2d(hidden),
            nn.ReLU(),
            nn.Conv2d(hidden, channels, 7, padding=3),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x):
        b, c, h, w = x.shape
        rows = x.permute(0, 2, 3, 1).reshape(b, -1, c)
        x = x * self.channel_attention(rows).view(b, h, w, c).permute(0, 3, 1, 2)
        return x * self.spatial_attention(x).sigmoid()


def count(module):
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("training", [False, True], ids=["eval", "train"])
def test_without_the_sigmoid_it_is_the_widely_copied_code(training):
    """With its r = 4; the parameters come in the same order under other names."""
    ours = attnlib.create("gam", 32, reduction=4, channel_sigmoid=False)
    theirs = Copied(32)
    with torch.no_grad():
        for a, b in zip(ours.parameters(), randomise(theirs).parameters(), strict=True):
            a.copy_(b)
        for a, b in zip(ours.buffers(), theirs.buffers(), strict=True):
            a.copy_(b)
    x = torch.randn(2, 32, 9, 10)
    ours.train(training)
    theirs.train(training)
    torch.testing.assert_close(ours(x), theirs(x), rtol=1e-4, atol=1e-5)
    for a, b in zip(ours.buffers(), theirs.buffers(), strict=True):
        torch.testing.assert_close(a, b)


def test_without_the_sigmoid_the_gates_are_negative_half_the_time():
    x = torch.randn(2, 64, 14, 14)
    copied = attnlib.create("gam", 64, reduction=4, channel_sigmoid=False).attention(x).channel
    assert 0.3 < (copied < 0).float().mean() < 0.7
    paper = attnlib.create("gam", 64).attention(x).channel
    assert 0 < paper.min() < paper.max() < 1


@pytest.mark.parametrize(
    ("channels", "given", "parameters"),
    [
        (512, {"reduction": 4}, 6_556_160),
        (256, {"reduction": 4}, 1_639_680),
        (512, {}, 1_640_576),
        (512, {"reduction": 4, "groups": 4}, 1_739_264),
    ],
)
def test_parameters(channels, given, parameters):
    module = attnlib.create("gam", channels, device="meta", **given)
    assert count(module) == parameters
    if given == {"reduction": 4}:
        assert count(Copied(channels)) == parameters
        assert abs(parameters / channels**2 - 25) < 0.1


@pytest.mark.parametrize(("reduction", "millions"), [(4, 528.6), (16, 151.4)])
def test_parameters_in_every_block_of_resnet50(reduction, millions):
    """25,557,032 without it: the price of not pooling."""
    stages = [(3, 256), (4, 512), (6, 1024), (3, 2048)]
    total = 25_557_032 + sum(
        n * count(attnlib.create("gam", c, reduction=reduction, device="meta")) for n, c in stages
    )
    assert round(total / 1e6, 1) == millions


@pytest.mark.parametrize(("reduction", "total"), [(4, 29_107_112), (16, 16_049_672)])
def test_parameters_in_every_block_of_resnet18(reduction, total):
    """Only r = 16 comes near the 16.04 M that are quoted for the paper."""
    modules = [
        attnlib.create("gam", c, reduction=reduction, device="meta") for c in (64, 128, 256, 512)
    ]
    assert 11_689_512 + 2 * sum(map(count, modules)) == total


def test_shuffle_deals_the_groups_out():
    """Channel c of the gates comes from group c mod groups: 0 4 8 12, 1 5 9 13, ... of 16."""
    module = attnlib.create("gam", 16, reduction=2, groups=4).eval()
    with torch.no_grad():
        module.conv2.weight.zero_()
        module.norm2.bias.copy_(torch.arange(16.0))
    assert module.kernel_size == 7
    gates = module.attention(torch.randn(1, 16, 3, 3)).spatial
    expected = torch.tensor([0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15]).float()
    # conv2.bias is random, so compare the logits with the order rather than with 0..15.
    logits = module.norm2(module.conv2.bias.view(1, 16, 1, 1).detach())[0, :, 0, 0]
    torch.testing.assert_close(gates[0, :, 1, 1], logits[expected.long()].sigmoid())


def test_channel_gates_see_their_position_and_spatial_gates_thirteen_by_thirteen():
    module = randomise(attnlib.create("gam", 8, reduction=2, dtype=torch.float64)).eval()
    x = torch.randn(1, 8, 17, 17, dtype=torch.float64, requires_grad=True)
    gates = module.attention(x)
    (gradient,) = torch.autograd.grad(gates.channel[0, 3, 8, 8], x, retain_graph=True)
    assert (gradient[0, :, 8, 8].abs() > 0).all()
    gradient[0, :, 8, 8] = 0
    assert gradient.abs().max() == 0
    (gradient,) = torch.autograd.grad(gates.spatial[0, 3, 8, 8], x)
    reached = (gradient[0].abs() > 0).any(0)
    window = torch.zeros(17, 17, dtype=torch.bool)
    window[2:15, 2:15] = True  # two 7×7 convolutions
    assert torch.equal(reached, window)


def test_scale_of_the_untrained_module():
    """Two gates near a half: a quarter. The widely copied code has 0.13, its M_c being near 0."""
    x = torch.randn(4, 128, 14, 14)
    assert 0.2 < attnlib.create("gam", 128, reduction=4)(x).std() / x.std() < 0.35
    copied = attnlib.create("gam", 128, reduction=4, channel_sigmoid=False)
    assert copied(x).std() / x.std() < 0.2


def test_one_value_per_channel_in_train_mode():
    """No deviation to divide by: the running statistics serve, and stay as they are."""
    module = randomise(attnlib.create("gam", 32)).train()
    module.norm1.eps = module.norm2.eps = 0.5
    before = {name: buffer.clone() for name, buffer in module.named_buffers()}
    x = torch.randn(1, 32, 1, 1)
    y = module(x)
    torch.testing.assert_close(y, module.eval()(x))
    for name, buffer in module.named_buffers():
        assert torch.equal(buffer, before[name]), name
    for size in [(1, 32, 1, 2), (1, 32, 2, 1), (2, 32, 1, 1), (1, 32, 2, 2), (2, 32, 2, 1)]:
        # two values do have a deviation
        kept = module.norm1.running_mean.clone()
        module.train()(torch.randn(size))
        assert not torch.equal(module.norm1.running_mean, kept)


def test_running_statistics_follow_the_batch():
    module = attnlib.create("gam", 32).train()
    x = torch.randn(4, 32, 6, 6)
    features = module.conv1(x * module.attention(x).channel)
    module.norm1.reset_running_stats()
    module(x)
    torch.testing.assert_close(module.norm1.running_mean, 0.1 * features.mean((0, 2, 3)))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (
            {"channels": 0},
            "must be positive, got channels=0, reduction=16, kernel_size=7, groups=1",
        ),
        ({"reduction": 0}, "must be positive, got channels=64, reduction=0, kernel_size=7"),
        ({"kernel_size": -1}, "must be positive, got channels=64, reduction=16, kernel_size=-1"),
        ({"groups": 0}, "kernel_size=7, groups=0"),
        ({"channels": 8}, "reduction must not exceed channels, got channels=8, reduction=16"),
        ({"kernel_size": 8}, "kernel_size must be odd, got kernel_size=8"),
        ({"groups": 3}, "groups must divide channels and channels // reduction, got groups=3"),
        ({"groups": 8}, r"got groups=8, channels=64, channels // reduction=4"),
    ],
)
def test_bad_arguments(given, message):
    with pytest.raises(ValueError, match=message):
        attnlib.create("gam", **{"channels": 64, **given})


def test_smallest_arguments():
    x = torch.randn(2, 1, 3, 4)
    assert attnlib.create("gam", 1, reduction=1, kernel_size=1, groups=1)(x).shape == x.shape
