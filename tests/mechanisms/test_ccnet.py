"""Criss-cross attention against its paper: H + W − 1 keys, and twice is everywhere."""

import pytest
import torch
from hypothesis import strategies as st
from mechanisms.contract import MechanismContract, randomise
from torch.utils.flop_counter import FlopCounterMode

import attnlib
from attnlib import CrissCrossAttention, RecurrentCrissCrossAttention
from attnlib.mechanisms.ccnet import _memory_format

KEY_BIAS = "adds one number to all scores of a query; a constant drops out of the softmax"


def cross(row, column, height, width):
    """The H + W − 1 positions of the column and the row of (row, column), each once."""
    return [(i, column) for i in range(height) if i != row] + [(row, j) for j in range(width)]


def criss_cross_reference(module, x):
    y = torch.empty_like(x)
    B, _, H, W = x.shape
    for b in range(B):
        q, k, v = (
            torch.einsum("oc,chw->ohw", conv.weight[:, :, 0, 0], x[b]) + conv.bias[:, None, None]
            for conv in (module.query, module.key, module.value)
        )
        for i in range(H):
            for j in range(W):
                places = cross(i, j, H, W)
                scores = torch.stack([q[:, i, j] @ k[:, m, n] for m, n in places])
                weights = torch.exp(scores - scores.max())
                weights = weights / weights.sum()
                mixture = sum(w * v[:, m, n] for w, (m, n) in zip(weights, places, strict=True))
                y[b, :, i, j] = module.gamma * mixture + x[b, :, i, j]
    return y


def count(channels, options):
    narrow = channels // options.get("reduction", 8)
    return 2 * (channels * narrow + narrow) + channels**2 + channels + 1


def mix(module, x, attention):
    H = x.shape[2]
    v = module.value(x)
    y = torch.einsum("bijm,bcmj->bcij", attention[..., :H], v)
    y = y + torch.einsum("bijn,bcin->bcij", attention[..., H:], v)
    return x + module.gamma * y


class TestCrissCross(MechanismContract):
    key = "criss_cross"
    variants = [{}, {"reduction": 4}]
    no_gradient = {"key.bias": KEY_BIAS}

    def reference(self, module, x):
        return criss_cross_reference(module, x)

    def apply(self, module, x, attention):
        return mix(module, x, attention)

    def parameter_count(self, channels, options):
        return count(channels, options)

    def valid_options(self):
        return st.tuples(st.integers(1, 12), st.integers(1, 8)).map(
            lambda t: (max(t), {"reduction": t[1]})
        )


class TestRecurrent(MechanismContract):
    key = "ccnet"
    variants = [{}, {"recurrences": 3, "reduction": 4}, {"recurrences": 1}]
    no_gradient = {"criss_cross.key.bias": KEY_BIAS}
    # Up to three passes, each of which rounds what it hands on.
    tolerance = {torch.float16: 2e-2, torch.bfloat16: 2e-1}

    def reference(self, module, x):
        for _ in range(module.recurrences):
            x = criss_cross_reference(module.criss_cross, x)
        return x

    def apply(self, module, x, attention):
        for weights in attention:
            x = mix(module.criss_cross, x, weights)
        return x

    def parameter_count(self, channels, options):
        return count(channels, options)

    def valid_options(self):
        return st.tuples(st.integers(1, 12), st.integers(1, 8), st.integers(1, 3)).map(
            lambda t: (max(t[:2]), {"reduction": t[1], "recurrences": t[2]})
        )


# --- the paper's numbers ------------------------------------------------------------------------


@pytest.mark.parametrize("recurrences", [1, 2, 3])
def test_published_count(recurrences):
    """As many as DANet's position attention, however often it is applied."""
    module = RecurrentCrissCrossAttention(512, recurrences=recurrences)
    assert sum(p.numel() for p in module.parameters()) == 328_321


def test_published_cost():
    """16.5 GFLOP for R = 2 at 512 × 97 × 97: 85 % less than position attention's 108."""

    def flops(key):
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            attnlib.create(key, 512, device="meta")(torch.empty(1, 512, 97, 97, device="meta"))
        return counter.get_total_flops()

    N, H, W, C, narrow = 97 * 97, 97, 97, 512, 64
    once = 2 * N * C * (2 * narrow + C) + 2 * N * (H + W) * (narrow + C)
    assert flops("criss_cross") == once == 8_269_080_832
    assert flops("ccnet") == 2 * once
    assert round(1 - flops("ccnet") / flops("position"), 3) == 0.847


def test_number_of_weights():
    """H + W − 1 for each position, 48.8 times fewer than all pairs at 97 × 97."""
    weights = CrissCrossAttention(8).attention(torch.randn(1, 8, 97, 97))
    assert (weights > 0).sum() == 97 * 97 * (97 + 97 - 1) == 1_815_937
    assert (97 * 97) ** 2 == 88_529_281


# --- the weights --------------------------------------------------------------------------------


def test_order_of_the_weights():
    """Column from top to bottom with a 0 at the position itself, then row from left to right."""
    module = CrissCrossAttention(2, reduction=2, dtype=torch.float64)
    with torch.no_grad():
        module.query.weight.copy_(torch.tensor([[[[1.0]], [[0.0]]]]))
        module.key.weight.copy_(torch.tensor([[[[0.0]], [[1.0]]]]))
        module.query.bias.zero_()
    x = torch.randn(1, 2, 3, 4, dtype=torch.float64)
    weights = module.attention(x)[0, 1, 2]
    scores = x[0, 0, 1, 2] * torch.cat([x[0, 1, :, 2], x[0, 1, 1, :]])
    scores[1] = -torch.inf
    torch.testing.assert_close(weights, scores.softmax(-1))
    assert weights[1] == 0


def test_weights_of_one_position_and_of_thin_maps():
    assert CrissCrossAttention(8).attention(torch.randn(1, 8, 1, 1)).tolist() == [[[[0.0, 1.0]]]]
    for size in [(1, 6), (6, 1)]:
        weights = CrissCrossAttention(8).attention(torch.randn(1, 8, *size))
        assert weights.isfinite().all()
        torch.testing.assert_close(weights.sum(-1), torch.ones(1, *size))


# --- what depends on what -----------------------------------------------------------------------


@pytest.mark.parametrize(("recurrences", "places"), [(1, 10), (2, 30), (3, 30)])
def test_once_sees_the_cross_twice_everything(recurrences, places):
    """The paper's figure 1: of 5 × 6 positions the cross has 5 + 6 − 1 = 10.

    On untrained weights γ = 0 would let an output see nothing but itself.
    """
    module = randomise(RecurrentCrissCrossAttention(8, recurrences=recurrences))
    x = torch.randn(1, 8, 5, 6, requires_grad=True)
    (gradient,) = torch.autograd.grad(module(x)[0, :, 1, 4].sum(), x)
    seen = gradient[0].abs().amax(0) > 0
    assert seen.sum() == places
    if recurrences == 1:
        assert seen.nonzero().tolist() == sorted(map(list, cross(1, 4, 5, 6)))


def test_second_pass_has_the_weights_of_the_first():
    module = randomise(RecurrentCrissCrossAttention(16))
    x = torch.randn(2, 16, 4, 5)
    assert torch.equal(module(x), module.criss_cross(module.criss_cross(x)))
    first, second = module.attention(x)
    assert torch.equal(first, module.criss_cross.attention(x))
    assert torch.equal(second, module.criss_cross.attention(module.criss_cross(x)))
    assert not torch.equal(first, second)


# --- the start of training ----------------------------------------------------------------------


@pytest.mark.parametrize("key", ["criss_cross", "ccnet"])
def test_untrained_module_is_the_identity(key):
    x = torch.randn(2, 32, 5, 7)
    assert torch.equal(attnlib.create(key, 32)(x), x)


def test_only_gamma_learns_in_the_first_step():
    module = CrissCrossAttention(32)
    x, target = torch.randn(2, 2, 32, 5, 7)
    (module(x) * target).sum().backward()
    assert {n for n, p in module.named_parameters() if p.grad.abs().max() > 0} == {"gamma"}


# --- another algorithm --------------------------------------------------------------------------


def test_two_attentions_merged_by_log_sum_exp():
    """Softmax over column and row at once = both softmaxes, weighted by exp of log-sum-exp."""
    module = randomise(CrissCrossAttention(16, dtype=torch.float64))
    x = torch.randn(2, 16, 5, 7, dtype=torch.float64)
    q, k, v = module.query(x), module.key(x), module.value(x)
    column = torch.einsum("bchw,bcgw->bhwg", q, k)
    column = column.masked_fill(torch.eye(5, dtype=torch.bool)[:, None], -torch.inf)
    row = torch.einsum("bchw,bchg->bhwg", q, k)
    sizes = torch.stack([column.logsumexp(-1), row.logsumexp(-1)], -1).softmax(-1)[:, None]
    y = sizes[..., 0] * torch.einsum("bhwg,bcgw->bchw", column.softmax(-1), v)
    y = y + sizes[..., 1] * torch.einsum("bhwg,bchg->bchw", row.softmax(-1), v)
    torch.testing.assert_close(module(x), x + module.gamma * y)


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "channels", "arguments", "message"),
    [
        ("criss_cross", 0, {}, "must be positive, got channels=0, reduction=8"),
        ("criss_cross", 64, {"reduction": 0}, "must be positive, got channels=64, reduction=0"),
        (
            "criss_cross",
            8,
            {"reduction": 9},
            "reduction must not exceed channels, got channels=8, reduction=9",
        ),
        ("ccnet", 8, {"reduction": 9}, "reduction must not exceed channels"),
        ("ccnet", 8, {"recurrences": 0}, "recurrences must be positive, got 0"),
    ],
)
def test_bad_arguments(key, channels, arguments, message):
    with pytest.raises(ValueError, match=message):
        attnlib.create(key, channels, **arguments)


def test_narrowest():
    """One channel of queries is allowed."""
    assert CrissCrossAttention(8, reduction=8).query.weight.shape == (1, 8, 1, 1)


def test_layout_of_the_mixture():
    """That of x; of a layout that is both, the one that PyTorch calls contiguous."""
    x = torch.randn(2, 8, 3, 5)
    assert _memory_format(x) == torch.contiguous_format
    assert _memory_format(x.contiguous(memory_format=torch.channels_last)) == torch.channels_last
    assert _memory_format(x[:, :, :1, :1].contiguous()) == torch.contiguous_format


def test_representation():
    text = repr(RecurrentCrissCrossAttention(32))
    assert "recurrences=2" in text
    assert "32, reduction=8" in text


def test_smallest_arguments():
    x = torch.randn(2, 1, 3, 4)
    assert RecurrentCrissCrossAttention(1, reduction=1, recurrences=1)(x).shape == x.shape
