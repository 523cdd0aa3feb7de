"""DANet's position and channel attention against their paper, and against the authors' form."""

from unittest import mock

import pytest
import torch
from hypothesis import strategies as st
from mechanisms.contract import MechanismContract, randomise
from mechanisms.gradients import by_hand, check_tracers_see_plain_operations
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

import attnlib
from attnlib import ChannelAttention, DualAttention, PositionAttention
from attnlib.mechanisms import danet as source

KEY_BIAS = "adds one number to all scores of a query; a constant drops out of the softmax"


def softmax(scores):
    weights = torch.exp(scores - scores.max())
    return weights / weights.sum()


def position_reference(module, x):
    """What position attention adds to x, position by position."""
    y = torch.empty_like(x)
    B, C, H, W = x.shape
    for b in range(B):
        X = x[b].reshape(C, H * W)
        Q, K, V = (
            conv.weight[:, :, 0, 0] @ X + conv.bias[:, None]
            for conv in (module.query, module.key, module.value)
        )
        for i in range(H * W):
            weights = softmax(torch.stack([Q[:, i] @ K[:, j] for j in range(H * W)]))
            y[b, :, i // W, i % W] = module.gamma * (V @ weights)
    return y


def channel_reference(module, x, max_minus=False):
    """What channel attention adds to x, channel by channel."""
    y = torch.empty_like(x)
    for b in range(x.shape[0]):
        for i in range(x.shape[1]):
            scores = torch.stack([(x[b, i] * x[b, j]).sum() for j in range(x.shape[1])])
            if max_minus:
                scores = scores.max() - scores
            weights = softmax(scores)
            y[b, i] = module.gamma * sum(w * m for w, m in zip(weights, x[b], strict=True))
    return y


def position_count(channels, options):
    narrow = channels // options.get("reduction", 8)
    return 2 * (channels * narrow + narrow) + channels**2 + channels + 1


def mix_positions(x, weights):
    return torch.einsum("bij,bcj->bci", weights, x.flatten(2)).view_as(x)


def mix_channels(x, weights):
    return torch.einsum("bij,bjn->bin", weights, x.flatten(2)).view_as(x)


class TestPosition(MechanismContract):
    key = "position"
    variants = [{}, {"reduction": 4, "chunk_size": 6}]
    no_gradient = {"key.bias": KEY_BIAS}

    def reference(self, module, x):
        return x + position_reference(module, x)

    def apply(self, module, x, attention):
        return x + module.gamma * mix_positions(module.value(x), attention)

    def parameter_count(self, channels, options):
        return position_count(channels, options)

    def valid_options(self):
        return st.tuples(st.integers(1, 12), st.integers(1, 8), st.integers(1, 40)).map(
            lambda t: (max(t[:2]), {"reduction": t[1], "chunk_size": t[2]})
        )


class TestChannel(MechanismContract):
    key = "channel"
    variants = [{}, {"max_minus": True}]

    def reference(self, module, x):
        return x + channel_reference(module, x, module.max_minus)

    def apply(self, module, x, attention):
        return x + module.gamma * mix_channels(x, attention)

    def parameter_count(self, channels, options):
        return 1

    def valid_options(self):
        return st.tuples(st.integers(1, 12), st.booleans()).map(
            lambda t: (t[0], {"max_minus": t[1]})
        )


class TestDual(MechanismContract):
    key = "danet"
    variants = [
        {},
        {"reduction": 4, "chunk_size": 6, "max_minus": True, "shared_residual": True},
    ]
    no_gradient = {"position.key.bias": KEY_BIAS}

    def reference(self, module, x):
        added = position_reference(module.position, x) + channel_reference(
            module.channel, x, module.channel.max_minus
        )
        return x + added if module.shared_residual else x + x + added

    def apply(self, module, x, attention):
        y = module.position.gamma * mix_positions(module.position.value(x), attention.position)
        y = y + module.channel.gamma * mix_channels(x, attention.channel)
        return y + (x if module.shared_residual else 2 * x)

    def parameter_count(self, channels, options):
        return position_count(channels, options) + 1

    def valid_options(self):
        return st.tuples(
            st.integers(1, 10),
            st.integers(1, 8),
            st.integers(1, 40),
            st.booleans(),
            st.booleans(),
        ).map(
            lambda t: (
                max(t[:2]),
                {
                    "reduction": t[1],
                    "chunk_size": t[2],
                    "max_minus": t[3],
                    "shared_residual": t[4],
                },
            )
        )


# --- the paper's numbers ------------------------------------------------------------------------


def test_published_counts():
    assert sum(p.numel() for p in PositionAttention(512).parameters()) == 328_321
    assert sum(p.numel() for p in ChannelAttention(512).parameters()) == 1


@pytest.mark.parametrize(
    ("key", "flops"), [("position", 108_152_013_952), ("channel", 9_866_051_584)]
)
def test_published_cost(key, flops):
    """108.15 and 9.87 GFLOP at 512 × 97 × 97, two for each multiplication with its addition."""
    module = attnlib.create(key, 512, device="meta")
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        module(torch.empty(1, 512, 97, 97, device="meta"))
    assert counter.get_total_flops() == flops


# --- the start of training ----------------------------------------------------------------------


@pytest.mark.parametrize("key", ["position", "channel"])
def test_untrained_module_is_the_identity(key):
    x = torch.randn(2, 32, 5, 7)
    assert torch.equal(attnlib.create(key, 32)(x), x)


def test_untrained_sum_is_twice_x_or_x():
    x = torch.randn(2, 32, 5, 7)
    assert torch.equal(DualAttention(32)(x), 2 * x)
    assert torch.equal(DualAttention(32, shared_residual=True)(x), x)


def test_only_gamma_learns_in_the_first_step():
    """With γ = 0 nothing behind it has a gradient; after one step everything has."""
    module = PositionAttention(32)
    x, target = torch.randn(2, 2, 32, 5, 7)
    (module(x) * target).sum().backward()
    assert {n for n, p in module.named_parameters() if p.grad.abs().max() > 0} == {"gamma"}
    with torch.no_grad():
        module.gamma -= 0.1 * module.gamma.grad
    (module(x) * target).sum().backward()
    assert all(p.grad.abs().max() > 0 for n, p in module.named_parameters() if n != "key.bias")


# --- what depends on what -----------------------------------------------------------------------


def sees(module, x, channel, row, column):
    """Which inputs the output at one place depends on, by its gradient: (C, H, W) of booleans."""
    x = x.requires_grad_()
    (gradient,) = torch.autograd.grad(module(x)[0, channel, row, column], x)
    return gradient[0].abs() > 1e-12


def test_every_position_sees_every_position():
    module = randomise(PositionAttention(8, dtype=torch.float64))
    assert sees(module, torch.randn(1, 8, 4, 5, dtype=torch.float64), 3, 1, 2).all()


def test_channel_mixes_channels_at_each_position():
    """With its weights held, channel attention joins the channels of a position, not positions."""
    module = randomise(ChannelAttention(8, dtype=torch.float64))
    x = 0.3 * torch.randn(1, 8, 4, 5, dtype=torch.float64)
    held = module.attention(x)
    module.attention = lambda _: held
    seen = sees(module, x, 3, 1, 2)
    assert seen[:, 1, 2].all()
    assert seen.sum() == 8


# --- softmax(E) and softmax(max − E) ------------------------------------------------------------


def test_max_minus_turns_the_order_round():
    x = 0.3 * torch.randn(2, 16, 5, 7, dtype=torch.float64)
    E = torch.einsum("bihw,bjhw->bij", x, x)
    paper = ChannelAttention(16).attention(x)
    code = ChannelAttention(16, max_minus=True).attention(x)
    torch.testing.assert_close(code, (E.amax(-1, keepdim=True) - E).softmax(-1))
    assert torch.equal(paper.argsort(-1), E.argsort(-1))
    assert torch.equal(code.argsort(-1), E.argsort(-1, descending=True))


def test_weight_of_a_channel_on_itself():
    """A map of many positions: near 1 by the paper, near nothing by the authors' code."""
    x = torch.randn(1, 64, 20, 20)
    itself = torch.eye(64, dtype=torch.bool)
    assert ChannelAttention(64).attention(x)[0][itself].min() > 0.999
    assert ChannelAttention(64, max_minus=True).attention(x)[0][itself].max() < 1e-12


def test_no_weight_below_the_normal_range():
    x = torch.randn(1, 64, 40, 40)
    E = torch.einsum("bihw,bjhw->bij", x, x)
    tiny = torch.finfo(torch.float32).tiny
    naive = (-E).softmax(-1)
    assert ((naive > 0) & (naive < tiny)).any()
    weights = ChannelAttention(64, max_minus=True).attention(x)
    assert not ((weights > 0) & (weights < tiny)).any()
    torch.testing.assert_close(weights, naive)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("max_minus", [False, True])
def test_scores_of_a_large_map_keep_their_digits(dtype, max_minus):
    """Similar maps of 60 × 60 positions: scores near 360 that differ by a few units.

    Half precision knows multiples of 1/4 there, bfloat16 of 2.
    """
    x = (0.3 * torch.randn(1, 1, 60, 60) + 0.03 * torch.randn(1, 16, 60, 60)).to(dtype)
    module = ChannelAttention(16, max_minus=max_minus)
    exact = module.attention(x.double())
    assert exact.max() < 0.9
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (module.attention(x.float()) - exact).abs().max() < 1e-4
    # The last rounding, of the weight itself, is all that is lost.
    rounding = torch.finfo(dtype).eps * exact.max()
    assert (module.to(dtype).attention(x) - exact).abs().max() < rounding


# --- chunks -------------------------------------------------------------------------------------


def plain_position(module, x):
    """The authors' way: all N × N weights at once."""
    q, k, v = (conv(x).flatten(2) for conv in (module.query, module.key, module.value))
    weights = torch.softmax(torch.bmm(q.permute(0, 2, 1), k), -1)
    return module.gamma * torch.bmm(v, weights.permute(0, 2, 1)).view_as(x) + x


@pytest.mark.parametrize("chunk_size", [None, 1, 5, 34, 35, 1000])
def test_chunks_change_nothing(chunk_size):
    module = randomise(PositionAttention(16, chunk_size=chunk_size, dtype=torch.float64))
    x = torch.randn(2, 16, 5, 7, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(x)
    leaves = [x, *(p for n, p in module.named_parameters() if n != "key.bias")]
    y, expected = module(x), plain_position(module, x)
    torch.testing.assert_close(y, expected)
    torch.testing.assert_close(
        torch.autograd.grad((y * weight).sum(), leaves),
        torch.autograd.grad((expected * weight).sum(), leaves),
    )


@pytest.mark.parametrize(
    ("device", "batch", "positions", "share"),
    [
        ("cpu", 5, 1024, (1, 1024)),
        ("cpu", 5, 1025, (1, 513)),
        ("cpu", 3, 2048, (1, 512)),
        ("cpu", 17, 512, (4, 512)),
        ("cpu", 17, 511, (4, 511)),
        ("meta", 2, 2048, (1, 2048)),
        ("meta", 1, 2049, (1, 1025)),
        ("meta", 1025, 64, (1024, 64)),
    ],
)
def test_share_of_a_chunk(device, batch, positions, share):
    """As many samples as make 2^20 weights on a CPU, 2^22 elsewhere; if one has more, a fair part
    of its queries."""
    q = torch.zeros(batch, 1, positions, device=device)
    with mock.patch.object(source._Mixture, "apply") as mixture:
        source._mix(q, q, q, None)
    assert mixture.call_args.args[3:] == share


def test_weights_that_are_worth_keeping():
    """Up to 2^22 of them."""
    q = torch.zeros(4, 1, 1024)
    with mock.patch.object(source._Mixture, "apply") as mixture:
        source._mix(q, q, q, None)
    assert not mixture.called


def test_one_chunk_is_no_chunk():
    """Where all queries fit, autograd on the plain form keeps their weights."""
    x = torch.randn(2, 8, 5, 7)
    for chunk_size, chunks in [(34, True), (35, False), (None, False)]:
        assert by_hand(PositionAttention(8, chunk_size=chunk_size)(x)) == chunks


def test_chunks_of_samples(monkeypatch):
    """Samples in turn, each with all queries or some, make no difference either."""
    whole = randomise(PositionAttention(8, dtype=torch.float64))
    x = torch.randn(5, 8, 3, 4, dtype=torch.float64, requires_grad=True)
    weight = torch.randn_like(x)
    (expected,) = torch.autograd.grad((whole(x) * weight).sum(), x)
    for share in [(1, 12), (2, 12), (5, 12), (1, 5), (2, 5)]:
        monkeypatch.setattr(source, "_share", lambda *_, share=share: share)
        y = whole(x)
        assert by_hand(y) == (share != (5, 12))
        torch.testing.assert_close(y, plain_position(whole, x))
        torch.testing.assert_close(torch.autograd.grad((y * weight).sum(), x)[0], expected)


def test_tracers_see_no_chunks():
    module = PositionAttention(8, chunk_size=4)
    x = torch.randn(2, 8, 3, 4)
    check_tracers_see_plain_operations(module, x)


def test_chunks_under_transforms():
    """Directional derivatives, gradients and batches by torch.func are those of one chunk."""
    module = randomise(PositionAttention(8, chunk_size=4, dtype=torch.float64))
    whole = randomise(PositionAttention(8, chunk_size=12, dtype=torch.float64))
    x, v = torch.randn(2, 2, 8, 3, 4, dtype=torch.float64)
    for found, expected in zip(*(_transforms(m, x, v) for m in (module, whole)), strict=True):
        torch.testing.assert_close(found, expected)


def _transforms(module, x, v):
    yield torch.func.jvp(module, (x,), (v,))[1]
    yield torch.func.grad(lambda t: module(t).cos().sum())(x)
    yield torch.vmap(module)(x[:, None])


def test_empty_batch():
    x = torch.randn(0, 8, 5, 7)
    assert DualAttention(8)(x).shape == x.shape


def test_chunks_have_second_derivatives():
    module = randomise(PositionAttention(8, chunk_size=4, dtype=torch.float64))
    x = torch.randn(1, 8, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(module, (x,), fast_mode=True)


@pytest.mark.filterwarnings("ignore:There is a performance drop")
def test_chunks_under_function_transforms():
    module = randomise(PositionAttention(8, chunk_size=4, dtype=torch.float64))
    x = torch.randn(3, 1, 8, 2, 3, dtype=torch.float64)
    torch.testing.assert_close(
        torch.func.vmap(module)(x), torch.stack([module(example) for example in x])
    )
    squares = torch.func.vmap(torch.func.grad(lambda example: module(example).square().sum()))(x)
    leaf = x.clone().requires_grad_()
    (expected,) = torch.autograd.grad(sum(module(example).square().sum() for example in leaf), leaf)
    torch.testing.assert_close(squares, expected)


def peak(function):
    """The largest number of bytes that are allocated at once during ``function()``."""
    with profile(profile_memory=True) as run:
        function()
    level = highest = 0
    events = [e for e in run.profiler.kineto_results.events() if e.name() == "[memory]"]
    for event in sorted(events, key=lambda e: e.start_ns()):
        level += event.nbytes()
        highest = max(highest, level)
    return highest


@pytest.mark.parametrize("training", [False, True], ids=["forward", "training"])
def test_a_quarter_of_the_memory(training):
    """Chunks need at most a quarter of what all weights at once need, at a head's usual size."""
    module = PositionAttention(512).requires_grad_(training)
    x = torch.randn(2, 512, 65, 65, requires_grad=training)

    def run(form):
        y = form(x)
        if training:
            y.sum().backward()

    assert 4 * peak(lambda: run(module)) <= peak(lambda: run(lambda x: plain_position(module, x)))


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "channels", "arguments", "message"),
    [
        ("position", 0, {}, "must be positive, got channels=0, reduction=8"),
        ("position", 64, {"reduction": 0}, "must be positive, got channels=64, reduction=0"),
        (
            "position",
            8,
            {"reduction": 9},
            "reduction must not exceed channels, got channels=8, reduction=9",
        ),
        ("position", 8, {"chunk_size": 0}, "chunk_size must be positive or None, got 0"),
        ("channel", -1, {}, "channels must be positive, got channels=-1"),
        ("danet", 8, {"reduction": 9}, "reduction must not exceed channels"),
        ("danet", 8, {"chunk_size": 0}, "chunk_size must be positive or None, got 0"),
    ],
)
def test_bad_arguments(key, channels, arguments, message):
    with pytest.raises(ValueError, match=message):
        attnlib.create(key, channels, **arguments)


def test_narrowest():
    """One channel of queries is allowed."""
    assert PositionAttention(8, reduction=8).query.weight.shape == (1, 8, 1, 1)


def test_representation():
    text = repr(DualAttention(32, shared_residual=True))
    assert "shared_residual=True" in text
    assert "32, reduction=8" in text
    assert "32, max_minus=False" in text


def test_smallest_arguments():
    x = torch.randn(2, 1, 3, 4)
    assert DualAttention(1, reduction=1, chunk_size=1)(x).shape == x.shape


@pytest.mark.parametrize("max_minus", [False, True])
def test_dual_attention_hands_its_option_on(max_minus):
    assert attnlib.DualAttention(16, max_minus=max_minus).channel.max_minus is max_minus
