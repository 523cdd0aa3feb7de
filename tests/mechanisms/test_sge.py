"""Spatial Group-wise Enhance against its paper and its authors' code."""

from unittest import mock

import pytest
import torch
from hypothesis import strategies as st
from mechanisms.contract import MechanismContract, randomise
from mechanisms.gradients import check_tracers_see_plain_operations, memory

import attnlib
from attnlib.mechanisms import sge as source


class TestSGE(MechanismContract):
    key = "sge"
    channels = 128
    variants = [{}, {"groups": 8, "eps": 0.1, "bias_init": 0.0}]
    smallest = (1, 2)  # the deviation over positions takes two of them

    def reference(self, module, x):
        y = torch.empty_like(x)
        per = x.shape[1] // module.groups
        for b in range(x.shape[0]):
            for group in range(module.groups):
                part = x[b, group * per : (group + 1) * per].flatten(1)  # (C/G, N)
                n = part.shape[1]
                g = part.sum(1) / n
                c = torch.stack([(g * part[:, i]).sum() for i in range(n)])
                mean = c.sum() / n
                deviation = (((c - mean) ** 2).sum() / (n - 1)).sqrt()
                likeness = (c - mean) / (deviation + module.eps)
                logits = module.weight[group] * likeness + module.bias[group]
                weighed = part / (1 + torch.exp(-logits))
                y[b, group * per : (group + 1) * per] = weighed.view(per, *x.shape[2:])
        return y

    def parameter_count(self, channels, options):
        return 2 * options.get("groups", 64)

    def valid_options(self):
        return st.tuples(
            st.integers(1, 8), st.integers(1, 6), st.floats(1e-6, 1), st.floats(-1, 1)
        ).map(lambda t: (t[0] * t[1], {"groups": t[0], "eps": t[2], "bias_init": t[3]}))


@pytest.mark.parametrize("blocks", [16, 33])
def test_parameters_in_resnet(blocks):
    """ResNet-50 has 16 blocks (+2,048 parameters, as published), ResNet-101 has 33 (+4,224)."""
    module = attnlib.create("sge", 2048)
    assert module.eps == 1e-5
    assert blocks * sum(p.numel() for p in module.parameters()) == {16: 2_048, 33: 4_224}[blocks]


@pytest.mark.parametrize(("start", "gate"), [({}, 0.7310585786), ({"bias_init": 0.0}, 0.5)])
def test_starts_as_one_gate_for_everything(start, gate):
    """γ = 0: σ(1) with the authors' β = 1, σ(0) with the widely copied β = 0."""
    x = torch.randn(2, 128, 5, 6, dtype=torch.float64)
    module = attnlib.create("sge", 128, dtype=torch.float64, **start)
    torch.testing.assert_close(module(x), gate * x, rtol=1e-9, atol=1e-12)
    torch.testing.assert_close(module.attention(x), torch.full_like(x, gate), rtol=1e-9, atol=0)


def test_gates_rise_with_the_likeness_to_the_mean():
    """With γ > 0, positions like the group's mean get more, and those unlike it less."""
    module = attnlib.SpatialGroupEnhance(4, groups=1)
    torch.nn.init.ones_(module.weight)
    x = torch.ones(1, 4, 4, 4)
    x[..., 0, 0] = -1  # points away from the mean
    gates = module.attention(x)
    assert gates[0, 0, 0, 0] < 0.5 < 0.7 < gates[0, 0, 1, 1]


def test_a_group_sees_itself_everywhere_and_nothing_of_the_others():
    module = randomise(attnlib.create("sge", 12, groups=3, dtype=torch.float64))
    x = torch.randn(2, 12, 3, 4, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(module.attention(x)[0, 4, 1, 2], x)
    assert (gradient[0, 4:8].abs() > 0).all()
    assert gradient[0, :4].abs().max() == gradient[0, 8:].abs().max() == 0
    assert gradient[1].abs().max() == 0
    (gradient,) = torch.autograd.grad(module(x)[0, 4, 1, 2], x)
    assert (gradient[0, 4:8].abs() > 0).all()
    assert gradient[0, :4].abs().max() == gradient[0, 8:].abs().max() == 0


@pytest.mark.parametrize("size", [(15, 17), (16, 16)])
def test_likeness_on_small_and_large_maps(size):
    """Two forms of the same inner product, by which is faster; the switch is at 256 positions."""
    contract = TestSGE()
    module = contract.built({"groups": 8}, dtype=torch.float64)
    x = torch.randn(1, 128, *size, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(module(x), contract.reference(module, x), rtol=1e-10, atol=1e-10)
    g, groups = torch.randn(2, 3, 1, 5), torch.randn(2, 3, 5, size[0] * size[1])
    expected = torch.einsum("bgoc,bgcn->bgon", g, groups)
    likeness = source._dot(g.requires_grad_(), groups)
    torch.testing.assert_close(likeness, expected)
    form = type(likeness.grad_fn).__name__
    assert form == ("SumBackward1" if size == (15, 17) else "UnsafeViewBackward0")
    with mock.patch("torch.compiler.is_compiling", return_value=True):  # a compiler fuses this one
        assert type(source._dot(g, groups).grad_fn).__name__ == "SumBackward1"


def test_channels_of_a_group_share_their_gates():
    module = randomise(attnlib.create("sge", 12, groups=3))
    gates = module.attention(torch.randn(2, 12, 3, 4)).unflatten(1, (3, 4))
    assert torch.equal(gates, gates[:, :, :1].expand_as(gates))
    assert not torch.equal(gates[:, 0], gates[:, 1])


def test_a_constant_map_has_gates_and_gradients(monkeypatch):
    """The deviation is zero there: ε keeps the gates finite, and the gradients must be too."""
    module = randomise(attnlib.create("sge", 8, groups=2, dtype=torch.float64))
    x = torch.ones(1, 8, 3, 3, dtype=torch.float64, requires_grad=True)
    y = module(x)
    expected = module.bias.sigmoid().repeat_interleave(4)[None, :, None, None].expand_as(y)
    torch.testing.assert_close(y, expected)
    grad, inputs = torch.randn_like(x), [x, *module.parameters()]
    ours = torch.autograd.grad(y, inputs, grad)
    monkeypatch.setattr(source, "_lean", lambda *tensors: False)
    for a, b in zip(ours, torch.autograd.grad(module(x), inputs, grad), strict=True):
        assert a.isfinite().all()
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_backward_equals_autograd_on_the_plain_form(layout, monkeypatch):
    module = randomise(attnlib.create("sge", 24, groups=4, dtype=torch.float64))
    x = torch.randn(3, 24, 5, 4, dtype=torch.float64).contiguous(memory_format=layout)
    x.requires_grad_()
    grad = torch.randn_like(x)
    inputs = [x, *module.parameters()]
    lean = module(x)
    assert "Enhance" in repr(lean.grad_fn.next_functions), "the plain form ran instead"
    ours = torch.autograd.grad(lean, inputs, grad)
    monkeypatch.setattr(source, "_lean", lambda *tensors: False)
    plain = module(x)
    torch.testing.assert_close(lean, plain, rtol=1e-12, atol=1e-12)
    for a, b in zip(ours, torch.autograd.grad(plain, inputs, grad), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-12)
    assert ours[0].stride() == x.stride()


def test_tracers_see_plain_operations():
    module = attnlib.SpatialGroupEnhance(8, groups=2)
    x = torch.randn(2, 8, 4, 5, requires_grad=True)
    check_tracers_see_plain_operations(module, x)


@pytest.mark.parametrize(
    ("size", "inference", "training"),
    [((3, 256, 40, 50), 1.25, 3.751), ((2, 256, 16, 16), 1.25, 3.757)],
)
def test_memory(size, inference, training):
    counted = memory(attnlib.SpatialGroupEnhance(size[1]), *size)
    assert counted == pytest.approx((inference, training), abs=0.01)


def test_mixed_dtypes_take_the_plain_form():
    """Features of half precision with float32 parameters: the result is float32, dx is not."""
    module = randomise(attnlib.SpatialGroupEnhance(8, groups=2))
    x = torch.randn(2, 8, 4, 5).bfloat16().requires_grad_()
    y = module(x)
    y.float().square().sum().backward()
    assert x.grad.dtype == torch.bfloat16
    exact = x.detach().float().requires_grad_()
    module(exact).square().sum().backward()
    torch.testing.assert_close(x.grad.float(), exact.grad, rtol=0.1, atol=0.1)


def test_second_derivatives():
    module = randomise(attnlib.create("sge", 6, groups=2, dtype=torch.float64))
    x = torch.randn(1, 6, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(module, (x,))


def test_function_transforms():
    """Per-sample gradients through torch.func equal one backward per sample."""
    module = randomise(attnlib.create("sge", 6, groups=2, dtype=torch.float64))
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
    module = randomise(attnlib.create("sge", 4, groups=2, dtype=torch.float64))
    x = torch.randn(1, 4, 2, 2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian
    torch.testing.assert_close(jacobian(module, x, vectorize=True), jacobian(module, x))


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode], ids=lambda m: m.__name__)
def test_without_gradients(mode):
    """Other forms run there, and when everything is frozen: the same numbers, and x untouched."""
    module = randomise(attnlib.create("sge", 24, groups=4, dtype=torch.float64)).eval()
    x = torch.randn(2, 24, 5, 6, dtype=torch.float64)
    expected, before = module(x).detach(), x.clone()
    with mode():
        torch.testing.assert_close(module(x), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(module.requires_grad_(False)(x), expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(x, before)


def test_frozen_parts():
    """Gradients of the input with frozen parameters, and of the parameters for a plain input."""
    module = randomise(attnlib.create("sge", 8, groups=2, dtype=torch.float64))
    x = torch.randn(2, 8, 3, 3, dtype=torch.float64)
    y = module(x)
    assert "_EnhanceBackward" in str(y.grad_fn.next_functions)
    y.sum().backward()
    assert module.weight.grad.abs().min() > 0
    module.requires_grad_(False)
    x.requires_grad_()
    module(x).sum().backward()
    assert x.grad.abs().min() > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"channels": 0}, "channels and groups must be positive, got channels=0, groups=64"),
        ({"groups": 0}, "channels and groups must be positive, got channels=128, groups=0"),
        ({"channels": 96}, "groups must divide channels, got channels=96, groups=64"),
        ({"channels": 32}, "groups must divide channels, got channels=32, groups=64"),
        ({"eps": 0.0}, "eps must be positive, got eps=0.0"),
        ({"eps": -1e-5}, "eps must be positive, got eps=-1e-05"),
    ],
)
def test_bad_arguments(given, message):
    with pytest.raises(ValueError, match=message):
        attnlib.create("sge", **{"channels": 128, **given})


def test_one_position_is_refused():
    """The authors' code and its copies return NaN here: the deviation of one number is 0/0."""
    module = attnlib.create("sge", 64)
    for method in (module, module.attention):
        with pytest.raises(ValueError, match=r"at least two of them, got \(2, 64, 1, 1\)"):
            method(torch.randn(2, 64, 1, 1))


def test_smallest_arguments():
    x = torch.randn(2, 1, 3, 4)
    assert attnlib.SpatialGroupEnhance(1, groups=1)(x).shape == x.shape
