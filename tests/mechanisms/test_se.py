"""Squeeze-and-Excitation against its paper."""

import pytest
import torch
from hypothesis import strategies as st
from mechanisms.contract import MechanismContract, randomise
from mechanisms.gradients import by_hand, check_gradients, check_sums_go_by_blocks, memory

import attnlib
from attnlib.mechanisms import se as source


class TestSE(MechanismContract):
    key = "se"
    variants = [{}, {"reduction": 4, "bias": True}]

    def reference(self, module, x):
        y = torch.empty_like(x)
        for b in range(x.shape[0]):
            z = torch.stack([x[b, c].sum() / x[b, c].numel() for c in range(x.shape[1])])
            hidden = module.fc1.weight @ z
            if module.fc1.bias is not None:
                hidden = hidden + module.fc1.bias
            logits = module.fc2.weight @ hidden.clamp(min=0)
            if module.fc2.bias is not None:
                logits = logits + module.fc2.bias
            for c in range(x.shape[1]):
                y[b, c] = x[b, c] / (1 + torch.exp(-logits[c]))
        return y

    def parameter_count(self, channels, options):
        hidden = channels // options.get("reduction", 16)
        biases = channels + hidden if options.get("bias") else 0
        return 2 * channels * hidden + biases

    def valid_options(self):
        return st.tuples(st.integers(8, 40), st.integers(1, 8), st.booleans()).map(
            lambda t: (t[0], {"reduction": t[1], "bias": t[2]})
        )


@pytest.mark.parametrize(("bias", "extra"), [(False, 2_514_944), (True, 2_530_992)])
def test_parameters_in_resnet50(bias, extra):
    """Eq. 5: (2/r)·Σ N_s·C_s² over the four stages of ResNet-50; with biases as released."""
    stages = [(3, 256), (4, 512), (6, 1024), (3, 2048)]
    count = sum(
        n * sum(p.numel() for p in attnlib.create("se", c, bias=bias).parameters())
        for n, c in stages
    )
    assert count == extra


def test_gates_see_every_position_and_channel_and_nothing_is_mixed():
    """A gate depends on every position of every channel; without its gate, a channel is itself."""
    se = attnlib.SqueezeExcitation(8, reduction=2, bias=True, dtype=torch.float64)
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(se.attention(x)[0, 3].sum(), x)
    assert (gradient.abs() > 0).all()
    (gradient,) = torch.autograd.grad((x * se.attention(x).detach())[0, 3].sum(), x)
    assert gradient[0, 3].abs().min() > 0
    assert gradient[0, [0, 1, 2, 4, 5, 6, 7]].abs().max() == 0


def test_untrained_gates_sit_near_one_half():
    """So that n stacked gates without a residual path scale by about 0.5^n."""
    x = torch.randn(8, 256, 14, 14)
    y = x
    for _ in range(16):
        y = attnlib.SqueezeExcitation(256)(y)
    assert 0.8 < (y.std() / x.std()) / 0.5**16 < 1.25


@pytest.mark.parametrize("arguments", [{}, {"bias": True}])
def test_fast_backward(arguments, monkeypatch):
    monkeypatch.setattr("attnlib.mechanisms.se._LARGE", 0)
    check_gradients(
        lambda: randomise(attnlib.SqueezeExcitation(8, reduction=2, **arguments)), channels=8
    )


def test_fast_backward_in_blocks():
    """A large input takes it by itself, in more than one block, the last one smaller."""
    se = attnlib.SqueezeExcitation(256)
    x = torch.randn(3, 256, 40, 50, requires_grad=True)
    dy = torch.randn_like(x)
    y = se(x)
    assert type(y.grad_fn).__name__ == "_ScaleBackward"
    inputs = [x, se.fc1.weight, se.fc2.weight]
    fast = torch.autograd.grad(y, inputs, dy)
    plain = torch.autograd.grad(x * se.attention(x), inputs, dy)
    for f, p in zip(fast, plain, strict=True):
        torch.testing.assert_close(f, p, rtol=1e-3, atol=1e-4)


def test_sums_of_products_go_by_blocks():
    check_sums_go_by_blocks(source._dot)


def test_small_inputs_take_the_plain_form():
    """The switch is at 2^19 entries."""
    se = attnlib.SqueezeExcitation(128)
    assert by_hand(se(torch.randn(1, 128, 64, 64, requires_grad=True)))
    assert not by_hand(se(torch.randn(1, 128, 64, 63, requires_grad=True)))


@pytest.mark.parametrize(
    ("size", "training"),
    [
        ((3, 256, 40, 50), 2.668),  # y, dx, and two of three samples at a time
        ((9, 256, 40, 50), 2.224),
        ((4, 512, 50, 50), 2.257),  # a sample is larger than a block
    ],
)
def test_memory(size, training):
    counted = memory(attnlib.SqueezeExcitation(size[1]), *size)
    assert counted == pytest.approx((1.0, training), abs=0.01)


@pytest.mark.parametrize(
    ("channels", "reduction", "message"),
    [
        (0, 16, "must be positive, got channels=0"),
        (64, 0, "must be positive, got channels=64, reduction=0"),
        (8, 16, "reduction must not exceed channels, got channels=8, reduction=16"),
    ],
)
def test_bad_arguments(channels, reduction, message):
    with pytest.raises(ValueError, match=message):
        attnlib.SqueezeExcitation(channels, reduction=reduction)


def test_smallest_arguments():
    x = torch.randn(2, 1, 3, 4)
    assert attnlib.SqueezeExcitation(1, reduction=1)(x).shape == x.shape
