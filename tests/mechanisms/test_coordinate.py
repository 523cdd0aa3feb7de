"""Coordinate Attention against its paper and its authors' code."""

import pytest
import torch
from hypothesis import strategies as st
from mechanisms.contract import MechanismContract, randomise
from mechanisms.gradients import check_tracers_see_plain_operations, memory

import attnlib
from attnlib.mechanisms import coordinate as source


class TestCoordinate(MechanismContract):
    key = "coordinate"
    variants = [{}, {"reduction": 4, "min_hidden": 2}, {"reduction": 100, "min_hidden": 1}]
    no_gradient = {"reduce.bias": "batch normalisation takes off whatever a bias before it adds"}

    def reference(self, module, x):
        B, _, H, W = x.shape
        weight = module.reduce.weight[:, :, 0]  # (m, C)
        norm = module.norm
        y = torch.empty_like(x)
        for b in range(B):
            strip = [x[b, :, i].sum(1) / W for i in range(H)]  # a C-vector per row
            strip += [x[b, :, :, j].sum(1) / H for j in range(W)]  # and per column
            f = []
            for z in strip:
                hidden = weight @ z + module.reduce.bias
                hidden = (hidden - norm.running_mean) / (norm.running_var + norm.eps).sqrt()
                hidden = hidden * norm.weight + norm.bias
                f.append(hidden * (hidden + 3).clamp(0, 6) / 6)
            for i in range(H):
                for j in range(W):
                    g_h = module.rows.weight[:, :, 0] @ f[i] + module.rows.bias
                    g_w = module.columns.weight[:, :, 0] @ f[H + j] + module.columns.bias
                    y[b, :, i, j] = x[b, :, i, j] / (1 + (-g_h).exp()) / (1 + (-g_w).exp())
        return y

    def apply(self, module, x, attention):
        assert attention.rows.shape == (*x.shape[:3], 1)
        assert attention.columns.shape == (*x.shape[:2], 1, x.shape[3])
        return x * attention.rows * attention.columns

    def parameter_count(self, channels, options):
        m = max(options.get("min_hidden", 8), channels // options.get("reduction", 32))
        return 3 * channels * m + 3 * m + 2 * channels

    def valid_options(self):
        return st.tuples(st.integers(1, 40), st.integers(1, 40), st.integers(1, 9)).map(
            lambda t: (t[0], {"reduction": t[1], "min_hidden": t[2]})
        )


@pytest.mark.parametrize(
    ("channels", "hidden", "parameters"),
    [(512, 16, 25_648), (280, 8, 7_304), (256, 8, 6_680), (16, 8, 440), (4, 8, 128)],
)
def test_width_of_the_shared_layer(channels, hidden, parameters):
    """m = max(8, ⌊C/32⌋); 25,648 at C = 512 is what the authors' module counts."""
    module = attnlib.create("coordinate", channels)
    assert module.reduce.out_channels == hidden
    assert sum(p.numel() for p in module.parameters()) == parameters


def test_parameters_in_mobilenet_v2():
    """The published 3.95 M: 3,504,872 + 445,776 in the 16 inverted residuals that expand."""
    widths = [96, *[144] * 2, *[192] * 3, *[384] * 4, *[576] * 3, *[960] * 3]
    assert len(widths) == 16
    modules = [attnlib.create("coordinate", width) for width in widths]
    count = sum(p.numel() for module in modules for p in module.parameters())
    assert 3_504_872 + count == 3_950_648


def test_untrained_gates_multiply_to_a_quarter():
    x = torch.randn(8, 256, 14, 14)
    y = attnlib.create("coordinate", 256)(x)
    assert 0.2 < y.std() / x.std() < 0.3


def test_rows_see_their_row_and_columns_their_column():
    """Through the strips alone; what F1, F_h and F_w mix are channels, never positions."""
    module = randomise(attnlib.create("coordinate", 8, dtype=torch.float64)).eval()
    x = torch.randn(1, 8, 4, 5, dtype=torch.float64, requires_grad=True)
    rows, columns = module.attention(x)
    (gradient,) = torch.autograd.grad(rows[0, 3, 1, 0], x, retain_graph=True)
    assert (gradient[0, :, 1].abs() > 0).all()
    assert gradient[0, :, [0, 2, 3]].abs().max() == 0
    (gradient,) = torch.autograd.grad(columns[0, 3, 0, 2], x)
    assert (gradient[0, :, :, 2].abs() > 0).all()
    assert gradient[0, :, :, [0, 1, 3, 4]].abs().max() == 0
    (gradient,) = torch.autograd.grad(module(x)[0, 3, 1, 2], x)
    reached = gradient[0].abs() > 0
    cross = torch.zeros(4, 5, dtype=torch.bool)
    cross[1] = cross[:, 2] = True
    assert torch.equal(reached, cross.expand(8, 4, 5))


def test_position_survives():
    """Moving a bright row moves its gate: what a single mean per channel cannot notice."""
    module = randomise(attnlib.create("coordinate", 8)).eval()
    x = torch.zeros(1, 8, 6, 6)
    x[:, :, 2] = 1
    rows = module.attention(x).rows
    moved = module.attention(x.roll(1, 2)).rows
    torch.testing.assert_close(moved, rows.roll(1, 2))
    assert not torch.allclose(moved, rows)


def test_rows_and_columns_are_not_confused():
    """On a transposed input, exchanged F_h and F_w give the transposed output."""
    module = randomise(attnlib.create("coordinate", 8)).eval()
    x = torch.randn(2, 8, 3, 6)
    y = module(x)
    module.rows, module.columns = module.columns, module.rows
    torch.testing.assert_close(module(x.mT), y.mT)


def test_batch_statistics_join_rows_and_columns():
    """In train mode the normalisation runs over both strips, as in the authors' code."""
    module = randomise(attnlib.create("coordinate", 8, dtype=torch.float64)).train()
    module.norm.momentum = 1.0
    x = torch.randn(3, 8, 4, 5, dtype=torch.float64)
    module(x)
    strips = torch.cat([x.mean(3), x.mean(2)], 2)
    hidden = torch.einsum("mc,bcl->bml", module.reduce.weight[:, :, 0], strips)
    hidden = hidden + module.reduce.bias[:, None]
    torch.testing.assert_close(module.norm.running_mean, hidden.mean((0, 2)))
    torch.testing.assert_close(module.norm.running_var, hidden.transpose(0, 1).flatten(1).var(1))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_backward_equals_autograd_on_the_plain_form(layout, monkeypatch):
    module = randomise(attnlib.create("coordinate", 24, dtype=torch.float64))
    x = torch.randn(3, 24, 5, 4, dtype=torch.float64).contiguous(memory_format=layout)
    x.requires_grad_()
    grad = torch.randn_like(x)
    inputs = [x, *module.parameters()]
    lean = module(x)
    assert type(lean.grad_fn).__name__ == "_ScaleBackward", "the plain form ran instead"
    ours = torch.autograd.grad(lean, inputs, grad)
    monkeypatch.setattr(source, "_lean", lambda *tensors: False)
    plain = module(x)
    assert type(plain.grad_fn).__name__ == "MulBackward0"
    torch.testing.assert_close(lean, plain, rtol=1e-12, atol=1e-12)
    for a, b in zip(ours, torch.autograd.grad(plain, inputs, grad), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    assert ours[0].stride() == x.stride()


def test_backward_leaves_the_incoming_gradient_alone_and_can_be_repeated():
    module = randomise(attnlib.create("coordinate", 8))
    x = torch.randn(2, 8, 4, 5, requires_grad=True)
    y, grad = module(x), torch.randn(2, 8, 4, 5)
    before = grad.clone()
    (first,) = torch.autograd.grad(y, x, grad, retain_graph=True)
    kept = first.clone()
    (second,) = torch.autograd.grad(y, x, grad)
    assert torch.equal(grad, before)
    assert torch.equal(first, kept)
    assert torch.equal(first, second)


def test_tracers_see_plain_operations():
    module = attnlib.CoordinateAttention(8)
    x = torch.randn(2, 8, 4, 5, requires_grad=True)
    check_tracers_see_plain_operations(module, x)


def test_memory():
    """Inference makes y and no other map, training one gradient."""
    counted = memory(attnlib.CoordinateAttention(256), 3, 256, 40, 50)
    assert counted == pytest.approx((1.045, 2.164), abs=0.01)


def test_second_derivatives():
    module = randomise(attnlib.create("coordinate", 3, dtype=torch.float64)).eval()
    x = torch.randn(1, 3, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(module, (x,))


def test_function_transforms():
    """Per-sample gradients through torch.func equal one backward per sample."""
    module = randomise(attnlib.create("coordinate", 6, dtype=torch.float64)).eval()
    x = torch.randn(3, 6, 2, 3, dtype=torch.float64)
    values = dict(module.named_parameters())

    def loss(values, sample):
        return torch.func.functional_call(module, values, (sample[None],)).square().sum()

    together = torch.func.vmap(torch.func.grad(loss), (None, 0))(values, x)
    for i, sample in enumerate(x):
        alone = torch.autograd.grad(loss(values, sample), values.values())
        for a, b in zip(alone, together.values(), strict=True):
            torch.testing.assert_close(a, b[i])


def test_many_gradients_at_once():
    """vmap over the backward, as torch.autograd.functional.jacobian(vectorize=True) does."""
    module = randomise(attnlib.create("coordinate", 3, dtype=torch.float64)).eval()
    x = torch.randn(1, 3, 2, 2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian
    torch.testing.assert_close(jacobian(module, x, vectorize=True), jacobian(module, x))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode], ids=lambda m: m.__name__)
def test_without_gradients(mode):
    """Other forms run there, and when everything is frozen: the same numbers, and x untouched."""
    module = randomise(attnlib.create("coordinate", 24, dtype=torch.float64)).eval()
    x = torch.randn(2, 24, 5, 6, dtype=torch.float64)
    expected, before = module(x).detach(), x.clone()
    with mode():
        torch.testing.assert_close(module(x), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(module.requires_grad_(False)(x), expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(x, before)


def test_frozen_parts():
    """Gradients of the input with frozen parameters, and of the parameters for a plain input."""
    module = randomise(attnlib.create("coordinate", 8, dtype=torch.float64))
    x = torch.randn(2, 8, 3, 3, dtype=torch.float64)
    y = module(x)
    assert "_ScaleBackward" in str([y.grad_fn, y.grad_fn.next_functions])
    y.sum().backward()
    assert module.reduce.weight.grad.abs().min() > 0
    module.requires_grad_(False)
    x.requires_grad_()
    module(x).sum().backward()
    assert x.grad.abs().min() > 0


def test_mixed_dtypes_take_the_plain_form():
    """Autocast, or half-precision features with float32 parameters frozen beside them."""
    module = randomise(attnlib.create("coordinate", 8))
    x = torch.randn(2, 8, 4, 5, requires_grad=True)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        y = module(x)
    y.float().square().sum().backward()
    low = x.grad.clone()
    x.grad = None
    module(x).square().sum().backward()
    torch.testing.assert_close(low, x.grad, rtol=0.1, atol=0.1)


@pytest.mark.parametrize("name", ["channels", "reduction", "min_hidden"])
def test_bad_arguments(name):
    given = {"channels": 64, "reduction": 32, "min_hidden": 8, name: 0}
    message = (
        "channels, reduction and min_hidden must be positive, got "
        f"channels={given['channels']}, reduction={given['reduction']}, "
        f"min_hidden={given['min_hidden']}"
    )
    with pytest.raises(ValueError, match=message):
        attnlib.create("coordinate", **given)


def test_smallest_arguments():
    x = torch.randn(2, 1, 3, 4)
    assert attnlib.CoordinateAttention(1, reduction=1, min_hidden=1)(x).shape == x.shape
