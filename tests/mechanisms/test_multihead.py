"""Multi-head attention against the paper, and against torch.nn.MultiheadAttention."""

import math
from unittest import mock

import pytest
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from mechanisms.contract import MechanismContract, randomise
from torch import nn

import attnlib
from attnlib import MultiHeadAttention, SequenceMultiHeadAttention
from attnlib.mechanisms.multihead import (
    _memory_format,
    positional_encoding,
    positional_encoding_2d,
    scaled_dot_product,
)


def sinusoid(position, channel, channels):
    """Section 3.5, one number."""
    angle = position / 10000 ** (channel // 2 * 2 / channels)
    return math.cos(angle) if channel % 2 else math.sin(angle)


def sequence_reference(module, query, key, value):
    """Section 3.2 for one sequence, head by head and query by query: (N, C) → (N, C)."""
    C, d = module.channels, module.channels // module.heads
    bias = torch.zeros(3 * C, dtype=query.dtype) if module.qkv.bias is None else module.qkv.bias
    q, k, v = (
        t @ module.qkv.weight[i * C : (i + 1) * C].T + bias[i * C : (i + 1) * C]
        for i, t in enumerate((query, key, value))
    )
    heads = torch.empty_like(q)
    for h in range(module.heads):
        part = slice(h * d, (h + 1) * d)
        for n in range(q.shape[0]):
            scores = torch.stack([q[n, part] @ k[m, part] for m in range(k.shape[0])]) / d**0.5
            weights = torch.exp(scores - scores.max())
            heads[n, part] = (weights / weights.sum()) @ v[:, part]
    y = heads @ module.out.weight.T
    return y if module.out.bias is None else y + module.out.bias


class TestMultiHead(MechanismContract):
    key = "multihead"
    variants = [{}, {"heads": 4, "bias": True, "positions": True}]

    def reference(self, module, x):
        B, C, H, W = x.shape
        y = torch.empty_like(x)
        for b in range(B):
            tokens = x[b].clone()
            if module.positions:
                for c in range(C):
                    for i in range(H):
                        for j in range(W):
                            place = i if c < C // 2 else j
                            tokens[c, i, j] += sinusoid(place, c % (C // 2), C // 2)
            tokens = tokens.reshape(C, H * W).T
            y[b] = sequence_reference(module.sequence, tokens, tokens, tokens).T.reshape(C, H, W)
        return y

    def apply(self, module, x, attention):
        B, C, H, W = x.shape
        if module.positions:
            x = x + positional_encoding_2d(H, W, C, dtype=x.dtype).permute(2, 0, 1)
        values = module.sequence.qkv(x.flatten(2).mT)[..., 2 * C :]
        values = values.view(B, H * W, module.sequence.heads, -1)
        heads = torch.einsum("bhij,bjhd->bihd", attention, values).flatten(2)
        return module.sequence.out(heads).mT.reshape(B, C, H, W)

    def parameter_count(self, channels, options):
        return 4 * channels**2 + (4 * channels if options.get("bias") else 0)

    def valid_options(self):
        return st.tuples(st.integers(1, 4), st.integers(1, 4), st.booleans(), st.booleans()).map(
            lambda t: (
                t[0] * t[1] * (4 if t[3] else 1),
                {"heads": t[0], "bias": t[2], "positions": t[3]},
            )
        )


# --- sequences ----------------------------------------------------------------------------------


@pytest.mark.parametrize("bias", [False, True])
def test_sequence_value(bias):
    """Self-attention, other keys, and keys and values that differ."""
    module = randomise(SequenceMultiHeadAttention(12, heads=3, bias=bias, dtype=torch.float64))
    query, key, value = (torch.randn(2, n, 12, dtype=torch.float64) for n in (5, 7, 7))
    for arguments, (k, v) in {
        (query,): (query, query),
        (query, key): (key, key),
        (query, key, value): (key, value),
    }.items():
        expected = [sequence_reference(module, query[b], k[b], v[b]) for b in range(2)]
        torch.testing.assert_close(module(*arguments), torch.stack(expected))
    expected = [sequence_reference(module, query[b], query[b], query[b] + 1) for b in range(2)]
    torch.testing.assert_close(module(query, value=query + 1), torch.stack(expected))


@pytest.mark.parametrize("bias", [False, True])
def test_equal_to_the_module_of_pytorch(bias):
    ours = randomise(SequenceMultiHeadAttention(16, heads=4, bias=bias))
    theirs = nn.MultiheadAttention(16, 4, bias=bias, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.qkv.weight)
        theirs.out_proj.weight.copy_(ours.out.weight)
        if bias:
            theirs.in_proj_bias.copy_(ours.qkv.bias)
            theirs.out_proj.bias.copy_(ours.out.bias)
    query, key, value = (torch.randn(2, n, 16) for n in (5, 7, 7))
    expected, weights = theirs(query, key, value, average_attn_weights=False)
    torch.testing.assert_close(ours(query, key, value), expected)
    torch.testing.assert_close(ours.attention(query, key), weights)
    causal = torch.ones(5, 5, dtype=torch.bool).tril()
    expected, weights = theirs(query, query, query, attn_mask=~causal, average_attn_weights=False)
    torch.testing.assert_close(ours(query, mask=causal), expected)
    torch.testing.assert_close(ours.attention(query, mask=causal), weights)


def test_published_count():
    """d_model = 512, h = 8: four 512 × 512 matrices; with biases as torch.nn.MultiheadAttention."""

    def count(module):
        return sum(p.numel() for p in module.parameters())

    assert count(SequenceMultiHeadAttention(512)) == 4 * 512**2 == 1_048_576
    assert count(SequenceMultiHeadAttention(512, bias=True)) == 1_050_624
    assert count(nn.MultiheadAttention(512, 8)) == 1_050_624
    assert SequenceMultiHeadAttention(512).heads == 8
    assert MultiHeadAttention(512).sequence.heads == 8


def test_scaled_dot_product():
    """Eq. 1, and why √d: without it the scores of unit vectors have variance d."""
    q, k, v = torch.randn(4000, 64), torch.randn(3, 64), torch.randn(3, 5)
    mixture, weights = scaled_dot_product(q, k, v)
    torch.testing.assert_close(weights.sum(-1), torch.ones(4000))
    torch.testing.assert_close(
        mixture, nn.functional.scaled_dot_product_attention(q[None], k[None], v[None])[0]
    )
    scores = weights.log()
    spread = (scores[:, 0] - scores[:, 1]).std() / (k[0] - k[1]).norm() * 8
    assert 0.95 < spread < 1.05


def test_mask():
    q, k, v = torch.randn(2, 3, 8), torch.randn(2, 4, 8), torch.randn(2, 4, 6)
    mask = torch.tensor([True, False, True, False])
    mixture, weights = scaled_dot_product(q, k, v, mask)
    assert weights[..., ~mask].abs().max() == 0
    torch.testing.assert_close(mixture, scaled_dot_product(q, k[:, mask], v[:, mask])[0])


def test_causal_mask_hides_the_future():
    module = randomise(SequenceMultiHeadAttention(8, heads=2))
    x = torch.randn(1, 6, 8, requires_grad=True)
    y = module(x, mask=torch.ones(6, 6, dtype=torch.bool).tril())
    (gradient,) = torch.autograd.grad(y[0, 2].sum(), x)
    assert (gradient[0].abs().amax(-1) > 0).tolist() == [True] * 3 + [False] * 3


def test_arguments_by_name():
    """Inputs can be named; a mask must be."""
    module = randomise(SequenceMultiHeadAttention(8, heads=2))
    query, key = torch.randn(2, 5, 8), torch.randn(2, 7, 8)
    torch.testing.assert_close(module.attention(query=query, key=key), module.attention(query, key))
    torch.testing.assert_close(module(query=query, key=key), module(query, key))
    mask = torch.ones(5, 7, dtype=torch.bool)
    with pytest.raises(TypeError):
        module.attention(query, key, mask)
    with pytest.raises(TypeError):
        module(query, key, key, mask)


def test_fused_but_for_forward_mode():
    """PyTorch's fused kernel mixes, except under a directional derivative, which it cannot take."""
    module = randomise(SequenceMultiHeadAttention(8, heads=2, dtype=torch.float64))
    x, tangent = torch.randn(2, 2, 5, 8, dtype=torch.float64)
    fused = F.scaled_dot_product_attention
    with mock.patch.object(F, "scaled_dot_product_attention", side_effect=fused) as kernel:
        module(x)
        assert kernel.called
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(x, tangent)
        forward = torch.autograd.forward_ad.unpack_dual(module(dual)).tangent
    (gradient,) = torch.autograd.grad(module(x.requires_grad_()).sum(), x)
    torch.testing.assert_close(forward.sum(), (gradient * tangent).sum())


# --- maps ---------------------------------------------------------------------------------------


def test_every_position_sees_every_position_and_channel():
    module = randomise(MultiHeadAttention(8, heads=2, dtype=torch.float64))
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(module(x)[0, 3, 1, 2], x)
    assert (gradient.abs() > 1e-12).all()


def test_equal_scores_give_the_mean():
    """With every weight 1/N and identities for W^V and W^O, a channel becomes its own mean."""
    module = MultiHeadAttention(8, heads=4, dtype=torch.float64)
    with torch.no_grad():
        module.sequence.qkv.weight.copy_(torch.eye(8).repeat(3, 1))
        module.sequence.qkv.weight[:16].zero_()  # all scores 0: every weight is 1/N
        module.sequence.out.weight.copy_(torch.eye(8))
    x = torch.randn(2, 8, 3, 5, dtype=torch.float64)
    torch.testing.assert_close(module(x), x.mean((2, 3), keepdim=True).expand_as(x))
    uniform = torch.full((2, 4, 15, 15), 1 / 15, dtype=torch.float64)
    torch.testing.assert_close(module.attention(x), uniform)


@pytest.mark.parametrize("positions", [False, True])
def test_blind_to_positions_without_the_encoding(positions):
    """Shuffled positions in, the same shuffled positions out; the encoding breaks that."""
    module = randomise(MultiHeadAttention(8, heads=2, positions=positions, dtype=torch.float64))
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64)
    order = torch.randperm(20)

    def shuffle(x):
        return x.flatten(2)[:, :, order].view_as(x)

    assert torch.allclose(module(shuffle(x)), shuffle(module(x))) == (not positions)


# --- positional encoding ------------------------------------------------------------------------


def test_encoding_is_the_papers():
    table = positional_encoding(40, 12, dtype=torch.float64)
    expected = [[sinusoid(p, c, 12) for c in range(12)] for p in range(40)]
    torch.testing.assert_close(table, torch.tensor(expected, dtype=torch.float64))


def test_encoding_of_a_map():
    table = positional_encoding_2d(3, 5, 8, dtype=torch.float64)
    assert table.shape == (3, 5, 8)
    for i in range(3):
        for j in range(5):
            torch.testing.assert_close(
                table[i, j, :4], positional_encoding(3, 4, dtype=torch.float64)[i]
            )
            torch.testing.assert_close(
                table[i, j, 4:], positional_encoding(5, 4, dtype=torch.float64)[j]
            )


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_encoding_in_half_precision_is_the_rounded_one(dtype):
    """Computed in half precision, position 1001 would not even exist."""
    exact = positional_encoding(1100, 8, dtype=torch.float64)
    assert torch.equal(
        positional_encoding(1100, 8, dtype=dtype), positional_encoding(1100, 8).to(dtype)
    )
    assert (positional_encoding(1100, 8, dtype=dtype).double() - exact).abs().max() < 5e-3


def test_encoding_has_no_parameters():
    assert "positions" not in str(list(MultiHeadAttention(8, positions=True).state_dict()))
    assert positional_encoding(3, 4).dtype == torch.get_default_dtype()
    assert positional_encoding(3, 4, device="meta").is_meta
    assert positional_encoding_2d(3, 4, 8, device="meta").is_meta


def test_encoding_takes_its_sizes_by_name_and_the_rest_only_so():
    assert torch.equal(positional_encoding(length=3, channels=4), positional_encoding(3, 4))
    named = positional_encoding_2d(height=2, width=3, channels=8)
    assert torch.equal(named, positional_encoding_2d(2, 3, 8))
    with pytest.raises(TypeError):
        positional_encoding(3, 4, "cpu")
    with pytest.raises(TypeError):
        positional_encoding_2d(2, 3, 8, "cpu")


# --- errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize("module", [MultiHeadAttention, SequenceMultiHeadAttention])
@pytest.mark.parametrize(
    ("channels", "arguments", "message"),
    [
        (0, {}, "channels and heads must be positive, got channels=0, heads=8"),
        (64, {"heads": 0}, "channels and heads must be positive, got channels=64, heads=0"),
        (64, {"heads": 7}, "heads must divide channels, got channels=64, heads=7"),
        (4, {}, "heads must divide channels, got channels=4, heads=8"),
    ],
)
def test_bad_arguments(module, channels, arguments, message):
    with pytest.raises(ValueError, match=message):
        module(channels, **arguments)


def test_bad_channels_for_positions():
    with pytest.raises(ValueError, match="positions need channels divisible by 4, got channels=6"):
        MultiHeadAttention(6, heads=2, positions=True)
    assert MultiHeadAttention(6, heads=2).positions is False
    for channels in (0, 3):
        with pytest.raises(ValueError, match=f"channels must be positive and even, got {channels}"):
            positional_encoding(2, channels)
    for channels in (0, 6):
        with pytest.raises(ValueError, match=f"positive multiple of 4, got {channels}"):
            positional_encoding_2d(2, 2, channels)


def test_bad_sequences():
    module = SequenceMultiHeadAttention(8)
    good, message = torch.randn(2, 3, 8), r"expected an input of shape \(B, N, 8\), got \("
    for bad in (torch.randn(2, 3, 9), torch.randn(3, 8), torch.randn(2, 8, 3, 8)):
        for arguments in ((bad,), (good, bad), (good, good, bad)):
            with pytest.raises(ValueError, match=message):
                module(*arguments)
    with pytest.raises(ValueError, match=message):
        module.attention(good, bad)
    with pytest.raises(TypeError):
        SequenceMultiHeadAttention(8, 2)


def test_layout_of_the_output():
    """That of x; of a layout that is both, the one that PyTorch calls contiguous."""
    x = torch.randn(2, 8, 3, 5)
    assert _memory_format(x) == torch.contiguous_format
    assert _memory_format(x.contiguous(memory_format=torch.channels_last)) == torch.channels_last
    assert _memory_format(x[:, :, :1, :1].contiguous()) == torch.contiguous_format


def test_representation():
    text = repr(attnlib.create("multihead", 32, positions=True))
    assert "positions=True" in text
    assert "32, heads=8" in text


def test_smallest_arguments():
    x = torch.randn(2, 1, 3, 4)
    assert MultiHeadAttention(1, heads=1)(x).shape == x.shape


@pytest.mark.parametrize("name", ["MultiHeadAttention", "SequenceMultiHeadAttention"])
@pytest.mark.parametrize(
    ("channels", "heads", "message"),
    [
        (0, 1, "must be positive, got channels=0, heads=1"),
        (8, 0, "must be positive, got channels=8, heads=0"),
        (8, 3, "heads must divide channels, got channels=8, heads=3"),
    ],
)
def test_bad_arguments_of_both_forms(name, channels, heads, message):
    with pytest.raises(ValueError, match=message):
        getattr(attnlib, name)(channels, heads=heads)


@pytest.mark.parametrize("channels", [7, 9])
def test_a_sequence_of_another_width(channels):
    module = SequenceMultiHeadAttention(8, heads=2)
    with pytest.raises(ValueError, match=rf"of shape \(B, N, 8\), got \(2, 5, {channels}\)"):
        module(torch.randn(2, 5, channels))
