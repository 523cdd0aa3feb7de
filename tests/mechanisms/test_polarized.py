"""Polarized Self-Attention against its paper, its authors' code and the widely copied code."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import strategies as st
from mechanisms.contract import MechanismContract, randomise
from mechanisms.gradients import check_tracers_see_plain_operations, memory
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import attnlib
from attnlib.mechanisms import polarized as source

KEYS = ["psa_parallel", "psa_sequential"]
AUTHORS = {
    "psa_parallel": {"spatial_softmax": "product", "channel_out": "linear"},
    "psa_sequential": {"spatial_softmax": "value", "channel_out": "bottleneck"},
}


def literal(module, x, sequential):
    """The equations as they stand: every projection is applied to the whole map."""

    def project(layer, x):
        return F.conv2d(x, layer.weight[:, :, None, None], layer.bias).flatten(2)

    B, _, H, W = x.shape
    s = project(module.channel_query, x).softmax(2)  # (B, 1, N)
    z = project(module.channel_value, x) @ s.transpose(1, 2)  # (B, C/2, 1)
    channel = module.channel_out(z[:, :, 0]).sigmoid()[:, :, None, None]
    seen = x * channel if sequential else x
    query = project(module.spatial_query, seen).mean(2)[:, None]  # (B, 1, C/2)
    values = project(module.spatial_value, seen)  # (B, C/2, N)
    if module.spatial_softmax == "query":
        logits = query.softmax(2) @ values
    elif module.spatial_softmax == "product":
        logits = (query @ values).softmax(2)
    else:
        logits = query @ values.softmax(2)
    spatial = logits.view(B, 1, H, W).sigmoid()
    return seen * spatial if sequential else x * channel + x * spatial


class Polarized(MechanismContract):
    variants = [
        {},
        {"spatial_softmax": "product", "channel_out": "linear"},
        {"spatial_softmax": "value", "channel_out": "bottleneck", "reduction": 2},
    ]

    def apply(self, module, x, attention):
        assert attention.channel.shape == (*x.shape[:2], 1, 1)
        assert attention.spatial.shape == (x.shape[0], 1, *x.shape[2:])
        if self.key == "psa_sequential":
            return x * attention.channel * attention.spatial
        return x * attention.channel + x * attention.spatial

    def reference(self, module, x):
        """Position by position and channel by channel, from the equations."""
        B, _, H, W = x.shape
        y = torch.empty_like(x)
        for b in range(B):
            points = [x[b, :, i, j] for i in range(H) for j in range(W)]
            weights = torch.stack([module.channel_query(p)[0] for p in points]).exp()
            weights = weights / weights.sum()
            z = sum(w * module.channel_value(p) for w, p in zip(weights, points, strict=True))
            channel = 1 / (1 + (-self.channel_out(module, z)).exp())
            seen = [p * channel for p in points] if self.key == "psa_sequential" else points
            query = sum(module.spatial_query(p) for p in seen) / len(seen)
            values = torch.stack([module.spatial_value(p) for p in seen])  # (N, C/2)
            if module.spatial_softmax == "query":
                logits = values @ (query.exp() / query.exp().sum())
            elif module.spatial_softmax == "product":
                logits = (values @ query).exp() / (values @ query).exp().sum()
            else:
                logits = (values.exp() / values.exp().sum(0)) @ query
            for n, (point, logit) in enumerate(zip(points, logits, strict=True)):
                spatial = 1 / (1 + (-logit).exp())
                both = channel * spatial if self.key == "psa_sequential" else channel + spatial
                y[b, :, n // W, n % W] = point * both
        return y

    @staticmethod
    def channel_out(module, z):
        def norm(layer, v):
            deviation = ((v - v.mean()) ** 2).mean() + layer.eps
            return (v - v.mean()) / deviation.sqrt() * layer.weight + layer.bias

        out = module.channel_out
        if isinstance(out, nn.Linear):
            return out(z)
        if len(out) == 2:
            return norm(out[1], out[0](z))
        return out[3](norm(out[1], out[0](z)).clamp(min=0))

    def parameter_count(self, channels, options):
        h, bias = channels // 2, options.get("bias", False)
        count = 3 * channels * h + channels + bias * (3 * h + 1)
        match options.get("channel_out", "norm"):
            case "norm":
                return count + h * channels + 2 * channels + bias * channels
            case "linear":
                return count + h * channels + bias * channels
            case "bottleneck":
                k = h // options.get("reduction", 4)
                return count + h * k + k + 2 * k + k * channels + channels

    def valid_options(self):
        return st.tuples(
            st.integers(6, 20),
            st.sampled_from(source.SPATIAL_SOFTMAX),
            st.sampled_from(source.CHANNEL_OUT),
            st.integers(1, 3),
            st.booleans(),
        ).map(
            lambda t: (
                t[0],
                {"spatial_softmax": t[1], "channel_out": t[2], "reduction": t[3], "bias": t[4]},
            )
        )


UNFELT = "a softmax over positions takes no notice of what is added to all of them"


class TestParallel(Polarized):
    key = "psa_parallel"


class TestParallelWithBiases(Polarized):
    key = "psa_parallel"
    variants = [{"bias": True}]
    no_gradient = {"channel_query.bias": UNFELT}


class TestSequential(Polarized):
    key = "psa_sequential"


class TestSequentialWithBiases(Polarized):
    key = "psa_sequential"
    variants = [
        {"spatial_softmax": "product", "bias": True},
        {"spatial_softmax": "value", "bias": True},
    ]
    no_gradient = {"channel_query.bias": UNFELT, "spatial_value.bias": UNFELT}


@pytest.mark.parametrize(
    ("key", "given", "parameters"),
    [
        ("psa_parallel", AUTHORS["psa_parallel"], 524_800),
        ("psa_sequential", AUTHORS["psa_sequential"], 443_584),
        ("psa_parallel", {"bias": True}, 527_105),
        ("psa_sequential", {"bias": True}, 527_105),
    ],
)
def test_parameters_of_the_other_codes(key, given, parameters):
    """The authors' two classes and the widely copied ones, at C = 512."""
    module = attnlib.create(key, 512, **given)
    assert sum(p.numel() for p in module.parameters()) == parameters


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("softmax", source.SPATIAL_SOFTMAX)
@pytest.mark.parametrize("out", source.CHANNEL_OUT)
@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
def test_projecting_after_pooling_is_exact(key, softmax, out, bias):
    module = attnlib.create(
        key, 64, spatial_softmax=softmax, channel_out=out, bias=bias, dtype=torch.float64
    )
    randomise(module)
    x = torch.randn(2, 64, 9, 11, dtype=torch.float64)
    expected = literal(module, x, key == "psa_sequential")
    assert ((module(x) - expected).abs().max() / expected.abs().max()) < 1e-14


def test_projecting_after_the_values_softmax_would_not_be_exact():
    """Why "value" keeps its projection of the map: its softmax comes before the sum."""
    module = randomise(
        attnlib.create("psa_sequential", 16, spatial_softmax="value", dtype=torch.float64)
    )
    x = torch.randn(1, 16, 4, 4, dtype=torch.float64)
    right = module(x)
    module.spatial_softmax = "product"
    assert (right - module(x)).abs().max() > 1e-4


@pytest.mark.parametrize("key", KEYS)
def test_a_hundredth_of_the_work(key):
    """Multiply-adds at C = 256 on 56×56, against every projection applied to the map."""
    module = attnlib.create(key, 256, device="meta")
    x = torch.randn(1, 256, 56, 56, device="meta")
    counts = []
    for function in (module, lambda x: literal(module, x, key == "psa_sequential")):
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            function(x)
        counts.append(counter.get_total_flops() / 2)
    fast, slow = counts
    assert 308e6 < slow < 311e6
    assert slow / fast > 90


def copied(module, x, sequential):
    """The widely copied code, in its own sequence of reshapes, on this module's weights."""
    b, c, h, w = x.shape
    wv = F.conv2d(x, module.channel_value.weight[..., None, None], module.channel_value.bias)
    wq = F.conv2d(x, module.channel_query.weight[..., None, None], module.channel_query.bias)
    wz = wv.reshape(b, c // 2, -1) @ wq.reshape(b, -1, 1).softmax(1)
    channel = module.channel_out(wz.reshape(b, 1, c // 2)).sigmoid().reshape(b, c, 1, 1)
    seen = channel * x if sequential else x
    sv = F.conv2d(seen, module.spatial_value.weight[..., None, None], module.spatial_value.bias)
    sq = F.conv2d(seen, module.spatial_query.weight[..., None, None], module.spatial_query.bias)
    sq = F.adaptive_avg_pool2d(sq, 1).permute(0, 2, 3, 1).reshape(b, 1, c // 2).softmax(-1)
    spatial = (sq @ sv.reshape(b, c // 2, -1)).reshape(b, 1, h, w).sigmoid()
    return spatial * seen if sequential else spatial * x + channel * x


@pytest.mark.parametrize("key", KEYS)
def test_bias_gives_the_widely_copied_code(key):
    module = randomise(attnlib.create(key, 32, bias=True, dtype=torch.float64))
    x = torch.randn(2, 32, 6, 5, dtype=torch.float64)
    torch.testing.assert_close(module(x), copied(module, x, key == "psa_sequential"))


@pytest.mark.parametrize("key", KEYS)
def test_authors_spatial_gates_barely_move(key):
    """A softmax over N positions before the sigmoid: one gate's room is 1/N of what it could be."""
    x = torch.randn(2, 512, 32, 32)
    gates = attnlib.create(key, 512, **AUTHORS[key]).attention(x).spatial
    if key == "psa_parallel":
        assert gates.min() >= 0.5
        assert gates.max() <= torch.tensor(1.0).sigmoid()
        assert abs(gates.mean() - 0.5 - 1 / (4 * 1024)) < 5e-5
    else:
        assert 0.49 < gates.min() < gates.max() < 0.51
    paper = attnlib.create(key, 512).attention(x).spatial
    assert paper.std() > 5 * gates.std()


@pytest.mark.parametrize("key", KEYS)
def test_initialisation_is_the_authors(key):
    """He's normal, fan-in, for the queries and the values; zero biases."""
    module = attnlib.create(key, 512, bias=True)
    for layer in (module.channel_value, module.spatial_query, module.spatial_value):
        assert abs(layer.weight.std() / (2 / 512) ** 0.5 - 1) < 0.02
        assert layer.bias.abs().max() == 0
    assert abs(module.channel_query.weight.std() / (2 / 512) ** 0.5 - 1) < 0.15
    assert module.channel_query.bias.abs().max() == 0


def test_scale_of_the_untrained_modules():
    """About 1 in parallel (a sum of two gates near a half) and a quarter in sequence."""
    x = torch.randn(4, 256, 14, 14)
    assert 0.9 < attnlib.create("psa_parallel", 256)(x).std() / x.std() < 1.15
    assert 0.2 < attnlib.create("psa_sequential", 256)(x).std() / x.std() < 0.35


@pytest.mark.parametrize("key", KEYS)
def test_gates_see_everything(key):
    module = randomise(attnlib.create(key, 8, dtype=torch.float64))
    x = torch.randn(2, 8, 3, 4, dtype=torch.float64, requires_grad=True)
    gates = module.attention(x)
    for gate in (gates.channel[0, 3, 0, 0], gates.spatial[0, 0, 1, 2]):
        (gradient,) = torch.autograd.grad(gate, x, retain_graph=True)
        assert (gradient[0].abs() > 0).all()
        assert gradient[1].abs().max() == 0


def test_only_the_sequential_spatial_branch_sees_the_channel_gates():
    for key, feels in [("psa_parallel", False), ("psa_sequential", True)]:
        module = randomise(attnlib.create(key, 8))
        spatial = module.attention(torch.randn(2, 8, 3, 4)).spatial
        (gradient,) = torch.autograd.grad(
            spatial.sum(), module.channel_value.weight, allow_unused=True
        )
        assert (gradient is not None and bool(gradient.abs().max() > 0)) == feels


LEAN = [(key, options) for key in KEYS for options in Polarized.variants]


@pytest.mark.parametrize(("key", "given"), LEAN)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last], ids=str)
def test_backward_equals_autograd_on_the_plain_form(key, given, layout, monkeypatch):
    module = randomise(attnlib.create(key, 24, dtype=torch.float64, **given))
    x = torch.randn(3, 24, 5, 4, dtype=torch.float64).contiguous(memory_format=layout)
    x.requires_grad_()
    grad = torch.randn_like(x)
    inputs = [x, *module.parameters()]
    lean = module(x)
    assert "_ScaleBackward" in str(lean.grad_fn.next_functions), "the plain form ran instead"
    ours = torch.autograd.grad(lean, inputs, grad)
    monkeypatch.setattr(source, "_lean", lambda *tensors: False)
    plain = module(x)
    assert "_ScaleBackward" not in str(plain.grad_fn.next_functions)
    torch.testing.assert_close(lean, plain, rtol=1e-12, atol=1e-12)
    for a, b in zip(ours, torch.autograd.grad(plain, inputs, grad), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)
    assert ours[0].stride() == x.stride()


@pytest.mark.parametrize("key", KEYS)
def test_backward_leaves_the_incoming_gradient_alone_and_can_be_repeated(key):
    module = randomise(attnlib.create(key, 8))
    x = torch.randn(2, 8, 4, 5, requires_grad=True)
    y, grad = module(x), torch.randn(2, 8, 4, 5)
    before = grad.clone()
    (first,) = torch.autograd.grad(y, x, grad, retain_graph=True)
    kept = first.clone()
    (second,) = torch.autograd.grad(y, x, grad)
    assert torch.equal(grad, before)
    assert torch.equal(first, kept)
    assert torch.equal(first, second)


@pytest.mark.parametrize("key", KEYS)
def test_tracers_see_plain_operations(key):
    module = attnlib.create(key, 8)
    x = torch.randn(2, 8, 4, 5, requires_grad=True)
    check_tracers_see_plain_operations(module, x)


@pytest.mark.parametrize("key", KEYS)
def test_memory(key):
    """Inference makes y and no other map, training one gradient."""
    counted = memory(attnlib.create(key, 256), 3, 256, 40, 50)
    assert counted == pytest.approx((1.004, 2.109), abs=0.01)


@pytest.mark.parametrize("key", KEYS)
def test_second_derivatives(key):
    module = randomise(attnlib.create(key, 4, dtype=torch.float64))
    x = torch.randn(1, 4, 2, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradgradcheck(module, (x,))


@pytest.mark.parametrize("key", KEYS)
def test_function_transforms(key):
    """Per-sample gradients through torch.func equal one backward per sample."""
    module = randomise(attnlib.create(key, 6, dtype=torch.float64))
    x = torch.randn(3, 6, 2, 3, dtype=torch.float64)
    values = dict(module.named_parameters())

    def loss(values, sample):
        return torch.func.functional_call(module, values, (sample[None],)).square().sum()

    together = torch.func.vmap(torch.func.grad(loss), (None, 0))(values, x)
    for i, sample in enumerate(x):
        alone = torch.autograd.grad(loss(values, sample), values.values())
        for a, b in zip(alone, together.values(), strict=True):
            torch.testing.assert_close(a, b[i])


@pytest.mark.parametrize("key", KEYS)
def test_many_gradients_at_once(key):
    """vmap over the backward, as torch.autograd.functional.jacobian(vectorize=True) does."""
    module = randomise(attnlib.create(key, 4, dtype=torch.float64))
    x = torch.randn(1, 4, 2, 2, dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian
    torch.testing.assert_close(jacobian(module, x, vectorize=True), jacobian(module, x))


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode], ids=lambda m: m.__name__)
def test_without_gradients(mode, key):
    """Other forms run there, and when everything is frozen: the same numbers, and x untouched."""
    module = randomise(attnlib.create(key, 24, dtype=torch.float64)).eval()
    x = torch.randn(2, 24, 5, 6, dtype=torch.float64)
    expected, before = module(x).detach(), x.clone()
    with mode():
        torch.testing.assert_close(module(x), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(module.requires_grad_(False)(x), expected, rtol=1e-12, atol=1e-12)
    assert torch.equal(x, before)


@pytest.mark.parametrize("key", KEYS)
def test_frozen_parts(key):
    """Gradients of the input with frozen parameters, and of the parameters for a plain input."""
    module = randomise(attnlib.create(key, 8, dtype=torch.float64))
    x = torch.randn(2, 8, 3, 3, dtype=torch.float64)
    y = module(x)
    assert "_ScaleBackward" in str([y.grad_fn, y.grad_fn.next_functions])
    y.sum().backward()
    assert module.channel_value.weight.grad.abs().min() > 0
    module.requires_grad_(False)
    x.requires_grad_()
    module(x).sum().backward()
    assert x.grad.abs().min() > 0


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"channels": 0}, "channels and reduction must be positive, got channels=0, reduction=4"),
        ({"reduction": 0}, "must be positive, got channels=64, reduction=0"),
        ({"channels": 1}, "channels must be at least 2, got channels=1"),
        (
            {"spatial_softmax": "channels"},
            r"spatial_softmax must be one of \('query', 'value', 'product'\), got 'channels'",
        ),
        (
            {"channel_out": "relu"},
            r"channel_out must be one of \('norm', 'linear', 'bottleneck'\), got 'relu'",
        ),
        (
            {"channels": 6, "channel_out": "bottleneck"},
            "reduction must not exceed half the channels, got channels=6, reduction=4",
        ),
    ],
)
@pytest.mark.parametrize("key", KEYS)
def test_bad_arguments(key, given, message):
    with pytest.raises(ValueError, match=message):
        attnlib.create(key, **{"channels": 64, **given})


def test_the_smallest_bottleneck():
    assert (
        attnlib.create("psa_sequential", 8, channel_out="bottleneck")(torch.randn(1, 8, 2, 2))
        .isfinite()
        .all()
    )


@pytest.mark.parametrize("key", KEYS)
def test_smallest_arguments(key):
    x = torch.randn(2, 2, 3, 4)
    assert attnlib.create(key, 2, reduction=1)(x).shape == x.shape


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("out", ["norm", "linear"])
def test_only_the_bottleneck_has_a_reduction(key, out):
    """Without one, half the channels may be fewer than the reduction that is not used."""
    x = torch.randn(2, 2, 3, 4)
    assert attnlib.create(key, 2, channel_out=out)(x).shape == x.shape


@pytest.mark.parametrize("key", KEYS)
def test_arguments_can_be_read(key):
    module = attnlib.create(key, 16, reduction=2, bias=True)
    assert (module.channels, module.reduction, module.bias) == (16, 2, True)
    assert attnlib.create(key, 16).bias is False
