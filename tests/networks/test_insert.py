"""Plugging into networks that nobody here wrote, and out again."""

import copy
import logging
import pickle
from functools import partial

import pytest
import torch
from torch import Tensor, nn

import attnlib
from attnlib import ChannelAttention
from attnlib.networks import resnet18
from attnlib.networks.insert import IdentityStart

densenet = pytest.importorskip("pytorchcv.models.densenet")
mobilenetv2 = pytest.importorskip("pytorchcv.models.mobilenetv2")
resnet = pytest.importorskip("pytorchcv.models.resnet")


def small() -> nn.Module:
    """A user's own network, with every kind of thing that a path can name."""
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Sequential(nn.Conv2d(16, 64, 3, stride=2, padding=1), nn.ReLU()),
        nn.Conv2d(64, 32, 1),
    ).eval()


def snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {key: value.clone() for key, value in model.state_dict().items()}


def assert_untouched(model: nn.Module, before: dict[str, Tensor], modes: list[bool]) -> None:
    after = model.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[key], before[key]) for key in before)
    assert [m.training for m in model.modules()] == modes
    assert not any(m._forward_hooks for m in model.modules())


def wake(model: nn.Module) -> nn.Module:
    """Move every inserted mechanism away from the identity, so that it could be missed."""
    for insertion in attnlib.inserted(model):
        with torch.no_grad():
            for name, parameter in insertion.module.named_parameters():
                if parameter.dim() == 0 or "gamma" in name:
                    parameter.fill_(0.7)
    return model


# --- networks of others -------------------------------------------------------------------------

HOSTS = {
    "resnet": (lambda: resnet.resnet18(), "features.stage?.unit?.body", 224),
    "resnet, stages": (lambda: resnet.resnet18(), "features.stage?", 224),
    "mobilenet": (lambda: mobilenetv2.mobilenetv2_wd4(), "features.stage*.unit*.conv3", 224),
    "densenet, units": (lambda: densenet.densenet121(), "features.stage4.unit*", 224),
    "densenet, transitions": (lambda: densenet.densenet121(), "features.stage?.trans?", 224),
    "sequential": (small, "*", 16),
    "torchvision's names": (lambda: resnet18(num_classes=10), "layer?.?", 64),
}


@pytest.mark.parametrize("host", HOSTS)
def test_identity_start_is_bit_equal(host):
    build, pattern, size = HOSTS[host]
    torch.manual_seed(0)
    model = build().eval()
    x = torch.randn(1, 3, size, size)
    before = snapshot(model)
    with torch.no_grad():
        y = model(x)
        result = attnlib.insert(model, "se", pattern, x, start="identity", reduction=2)
        assert result is model
        assert attnlib.inserted(model)
        assert torch.equal(model(x), y)
        after = model.state_dict()
        assert all(torch.equal(after[key], before[key]) for key in before)
        assert not torch.allclose(wake(model)(x), y)
        attnlib.remove(model)
        assert torch.equal(model(x), y)
    assert_untouched(model, before, [False] * len(list(model.modules())))


GAMMA = {"position", "channel", "criss_cross", "ccnet"}


@pytest.mark.parametrize("key", attnlib.available())
def test_every_mechanism_starts_as_the_identity(key):
    """Those that do so by themselves (γ = 0) get no α, behind which γ could not learn."""
    model = nn.Sequential(nn.Conv2d(3, 128, 3), nn.Conv2d(128, 8, 1)).eval()
    x = torch.randn(2, 3, 9, 8)
    y = model(x)
    attnlib.insert(model, key, "0", x, start="identity")
    (insertion,) = attnlib.inserted(model)
    assert isinstance(insertion.module, IdentityStart) == (key not in GAMMA)
    assert torch.equal(model(x), y)
    (model.train()(x) ** 2).sum().backward()  # it trains, and not only what was there before
    assert any(p.grad is not None and p.grad.abs().max() > 0 for p in attnlib.new_parameters(model))


def test_paper_start_is_the_mechanism_applied_to_the_output():
    model = small()
    x = torch.randn(2, 3, 8, 8)
    inner = model[:4](x)
    attnlib.insert(model, "se", "3", start="paper")
    (insertion,) = attnlib.inserted(model)
    assert torch.equal(model(x), model[4](insertion.module(inner)))


def test_identity_start_moves_to_the_mechanism():
    mechanism = attnlib.SqueezeExcitation(32)
    start = IdentityStart(mechanism)
    x = torch.randn(2, 32, 5, 4)
    assert torch.equal(start(x), x)
    for alpha in (0.25, 1.0):
        nn.init.constant_(start.alpha, alpha)
        torch.testing.assert_close(start(x), (1 - alpha) * x + alpha * mechanism(x))


def test_only_alpha_learns_in_the_first_step():
    model = attnlib.insert(small(), "se", "3", start="identity")
    x = torch.randn(2, 3, 8, 8)
    (model(x) ** 2).sum().backward()
    (insertion,) = attnlib.inserted(model)
    gradients = {name: p.grad for name, p in insertion.module.named_parameters()}
    assert gradients.pop("alpha").abs() > 0
    assert all(g.abs().max() == 0 for g in gradients.values())
    wake(model)
    model.zero_grad()
    (model(x) ** 2).sum().backward()
    assert all(p.grad.abs().max() > 0 for p in insertion.module.parameters())


# --- patterns, channels, report -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("layer4", ["layer4"]),
        ("layer?", ["layer1", "layer2", "layer3", "layer4"]),
        ("layer4.*", ["layer4.0", "layer4.1"]),
        ("layer[12].0", ["layer1.0", "layer2.0"]),
        ("layer*.?", [f"layer{i}.{j}" for i in range(1, 5) for j in range(2)]),
        ("layer1.**.bn?", ["layer1.0.bn1", "layer1.0.bn2", "layer1.1.bn1", "layer1.1.bn2"]),
        ("**.downsample", ["layer2.0.downsample", "layer3.0.downsample", "layer4.0.downsample"]),
        (["layer2.0", "layer1", "layer*"], ["layer1", "layer2", "layer2.0", "layer3", "layer4"]),
    ],
)
def test_patterns(pattern, paths):
    model = attnlib.insert(resnet18(), "eca", pattern)
    assert [i.after for i in attnlib.inserted(model)] == paths


def test_report_and_parameters(caplog):
    model = small()
    with caplog.at_level(logging.INFO, logger="attnlib"):
        attnlib.insert(model, "se", "3", reduction=4)
    assert caplog.messages == ["se after 3, 64 channels"]
    (insertion,) = attnlib.inserted(model)
    assert (insertion.after, insertion.key, insertion.channels) == ("3", "se", 64)
    assert insertion.parameters == 2 * 64 * 16
    assert model.get_submodule(insertion.path) is insertion.module
    new = attnlib.new_parameters(model)
    assert [p.shape for p in new] == [(16, 64), (64, 16)]
    everything = set(model.parameters())
    assert set(new) < everything
    assert len(everything - set(new)) == 8
    assert str(attnlib.inserted(model)) == (
        "after  mechanism  channels  parameters\n3      se               64       2,048"
    )
    assert str(attnlib.inserted(small())) == "after  mechanism  channels  parameters"


def test_channels_with_and_without_an_example_agree():
    x = torch.randn(1, 3, 64, 64)
    for pattern in ("layer?", "layer?.?", "layer?.?.bn2", "layer?.?.conv1", "**.downsample"):
        blind = attnlib.inserted(attnlib.insert(resnet18(), "eca", pattern))
        seen = attnlib.inserted(attnlib.insert(resnet18(), "eca", pattern, x))
        assert [(i.after, i.channels) for i in blind] == [(i.after, i.channels) for i in seen]


def test_activations_need_the_example():
    x = torch.randn(1, 3, 64, 64)
    with pytest.raises(ValueError, match=r"cannot tell the channels of '3\.1', a ReLU: give an ex"):
        attnlib.insert(small(), "se", "3.1")
    (insertion,) = attnlib.inserted(attnlib.insert(small(), "se", "3.1", x))
    assert insertion.channels == 64


def test_own_out_channels_win():
    class Block(nn.Module):
        out_channels = 48

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.block = Block()

    (insertion,) = attnlib.inserted(attnlib.insert(Model(), "se", "block"))
    assert insertion.channels == 48


@pytest.mark.parametrize("form", ["tensor", "tuple", "mapping"])
def test_forms_of_example(form):
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 32, 3)

        def forward(self, image, scale=1.0):
            return self.conv(image) * scale

    x = torch.randn(1, 3, 8, 8)
    example = {"tensor": x, "tuple": (x, 2.0), "mapping": {"image": x, "scale": 2.0}}[form]
    model = Model()
    y = model.eval()(x)
    attnlib.insert(model, "se", "conv", example, start="identity")
    assert torch.equal(model(x), y)


def test_the_example_leaves_statistics_and_modes_alone():
    model = small().train()
    model[1].eval()  # frozen by the user
    before = snapshot(model)
    modes = [m.training for m in model.modules()]
    attnlib.insert(model, "se", "3", torch.randn(4, 3, 8, 8))
    attnlib.remove(model)
    assert_untouched(model, before, modes)


def test_new_modules_follow_their_place():
    model = small().to(torch.float64)
    model[3].train()
    attnlib.insert(model, "cbam", "*", torch.randn(1, 3, 8, 8, dtype=torch.float64))
    for insertion in attnlib.inserted(model):
        assert {p.dtype for p in insertion.module.parameters()} == {torch.float64}
        assert insertion.module.training == (insertion.after == "3")
    with torch.device("meta"):
        model = attnlib.insert(small(), "se", "3", start="identity")
        attnlib.insert(model, "channel", "4", start="identity")
    assert [type(i.module) for i in attnlib.inserted(model)] == [IdentityStart, ChannelAttention]
    assert all(p.is_meta for p in attnlib.new_parameters(model))


# --- containers, repetition, several mechanisms -------------------------------------------------


def test_containers_still_run_their_own_children_only():
    """A child added to a Sequential would run twice: once as its last step, once in the hook."""
    model = resnet18()
    attnlib.insert(model, "se", ["layer4", "layer4.1"], start="paper").eval()
    assert len(model.layer4) == 2
    outer, inner = attnlib.inserted(model)
    assert (outer.after, inner.after) == ("layer4", "layer4.1")
    assert outer.path != inner.path
    assert outer.module is not inner.module
    calls = []
    for insertion in (outer, inner):
        insertion.module.register_forward_hook(lambda m, args, y: calls.append(m))
    model(torch.randn(1, 3, 64, 64))
    assert calls == [inner.module, outer.module]


def test_containers_that_end_in_one_and_the_same_module():
    relu = nn.ReLU()
    model = nn.Sequential(
        nn.Sequential(nn.Conv2d(3, 16, 1), relu), nn.Sequential(nn.Conv2d(16, 32, 1), relu)
    ).eval()
    x = torch.randn(1, 3, 6, 5)
    attnlib.insert(model, "se", "*", x)
    first, second = attnlib.inserted(model)
    assert [first.channels, second.channels] == [16, 32]
    expected = second.module(relu(model[1][0](first.module(relu(model[0][0](x))))))
    assert torch.equal(model(x), expected)


def test_dictionary_that_runs_its_items():
    """torchvision's dense block is a ModuleDict that concatenates what its children make."""

    class Dense(nn.ModuleDict):
        def forward(self, x):
            for layer in self.values():
                x = torch.cat([x, layer(x)], 1)
            return x

    model = nn.Sequential(Dense({"a": nn.Conv2d(3, 8, 1), "b": nn.Conv2d(11, 8, 1)})).eval()
    x = torch.randn(1, 3, 6, 6)
    y = model(x)
    attnlib.insert(model, "eca", "0", x, start="identity")
    (insertion,) = attnlib.inserted(model)
    assert insertion.channels == 19
    assert torch.equal(model(x), y)


def test_two_mechanisms_after_one_module_run_in_order():
    model = small()
    x = torch.randn(1, 3, 8, 8)
    y = model[:4](x)
    attnlib.insert(model, "se", "3")
    attnlib.insert(model, "eca", "3")
    first, second = attnlib.inserted(model)
    assert [first.key, second.key] == ["se", "eca"]
    assert torch.equal(model(x), model[4](second.module(first.module(y))))


def test_twice_is_an_error_and_inserted_modules_are_not_matched():
    model = attnlib.insert(small(), "se", "3")
    with pytest.raises(ValueError, match="'3' is already followed by 'se'"):
        attnlib.insert(model, "se", "3")
    attnlib.insert(model, "eca", "**", torch.randn(1, 3, 8, 8))
    assert not any("attnlib" in i.after for i in attnlib.inserted(model))


def test_a_shared_module_is_taken_once():
    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.first = self.second = nn.Conv2d(8, 8, 1)

        def forward(self, x):
            return self.second(self.first(x))

    model = attnlib.insert(Model(), "eca", "*", torch.randn(1, 8, 4, 4))
    assert len(attnlib.inserted(model)) == 1


# --- errors leave the model untouched -----------------------------------------------------------


class Tokens(nn.Module):
    """A vision transformer in miniature: (B, N, C)."""

    def __init__(self):
        super().__init__()
        self.patches = nn.Conv2d(3, 32, 4, stride=4)
        self.block = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 32))

    def forward(self, x):
        return self.block(self.patches(x).flatten(2).transpose(1, 2))


class ChannelsLast(nn.Module):
    """A Swin transformer in miniature: (B, H, W, C)."""

    class Embed(nn.Module):
        def __init__(self):
            super().__init__()
            self.proj = nn.Conv2d(3, 32, 4, stride=4)

        def forward(self, x):
            return self.proj(x).permute(0, 2, 3, 1)

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.LayerNorm(32)
            self.mlp = nn.Sequential(nn.Linear(32, 64), nn.GELU(), nn.Linear(64, 32), nn.Dropout())

        def forward(self, x):
            return x + self.mlp(self.norm(x))

    def __init__(self):
        super().__init__()
        self.embed = self.Embed()
        self.block = self.Block()

    def forward(self, x):
        return self.block(self.embed(x))


class ConvNeXt(nn.Module):
    """Linear layers on the last axis inside, (B, C, H, W) outside."""

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.depthwise = nn.Conv2d(32, 32, 7, padding=3, groups=32)
            self.mlp = nn.Sequential(nn.LayerNorm(32), nn.Linear(32, 64), nn.Linear(64, 32))

        def forward(self, x):
            y = self.mlp(self.depthwise(x).permute(0, 2, 3, 1))
            return x + y.permute(0, 3, 1, 2)

    def __init__(self):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 4, stride=4)
        self.block = self.Block()

    def forward(self, x):
        return self.block(self.stem(x))


class Various(nn.Module):
    """Modules whose outputs are no single feature map, or never come."""

    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(8, 8, 1)

        def forward(self, x):
            return self.conv(x), x

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 1)
        self.pair = self.Pair()
        self.unused = nn.Conv2d(8, 8, 1)
        self.relu = nn.ReLU()
        self.wide = nn.Conv2d(8, 24, 1)
        self.head = nn.Linear(24, 5)

    def forward(self, x):
        y = self.relu(self.wide(self.relu(self.pair(self.conv(x))[0])))
        return self.head(y.mean((2, 3)))


@pytest.mark.parametrize(
    ("build", "pattern", "options", "message"),
    [
        (Tokens, "block", {}, r"'block' returns a tensor of shape \(1, 16, 32\), probably tokens"),
        (ChannelsLast, "block", {}, r"'block' .* \(1, 4, 4, 32\) whose channels come last"),
        (ChannelsLast, "embed", {}, r"'embed' .* whose channels come last"),
        (ChannelsLast, "block.mlp.3", {}, r"'block.mlp.3' .* whose channels come last"),
        (ConvNeXt, "block.mlp", {}, r"'block.mlp' .* whose channels come last"),
        (Various, "pair", {}, r"'pair' returns a tuple, not a \(B, C, H, W\) tensor"),
        (Various, "head", {}, r"'head' returns a tensor of shape \(1, 5\)"),
        (Various, "unused", {}, r"'unused' is not called when the model runs"),
        (Various, "relu", {}, r"'relu' runs several times, once with 8 channels and once with 24"),
        (Various, "cnov", {}, r"no module matches 'cnov'; there is, for instance, 'conv'"),
        (Various, ["conv", "nothing.*"], {}, r"no module matches 'nothing\.\*'"),
        (Various, ["wide", "conv"], {}, r"after 'conv': reduction must not exceed channels"),
        (Various, "wide", {"start": "zero"}, "start must be 'paper' or 'identity', got 'zero'"),
        (small, "3", {"name": "sea"}, "unknown attention mechanism 'sea': did you mean 'se'"),
    ],
)
def test_errors_leave_the_model_untouched(build, pattern, options, message):
    model = build().train()
    before = snapshot(model)
    modes = [m.training for m in model.modules()]
    arguments = {"name": "se", "after": pattern, "example_input": torch.randn(1, 3, 16, 16)}
    with pytest.raises(ValueError, match=message):
        attnlib.insert(model, **{**arguments, **options})
    assert_untouched(model, before, modes)


@pytest.mark.filterwarnings("ignore:.torch.jit:DeprecationWarning")
def test_bad_examples_options_and_scripted_models():
    model = small()
    before = snapshot(model)
    with pytest.raises(ValueError, match=r"the model does not run on example_input: .*channels"):
        attnlib.insert(model, "se", "3", torch.randn(1, 4, 8, 8))
    with pytest.raises(TypeError, match="'se' has no option 'ratio'"):
        attnlib.insert(model, "se", "3", ratio=4)
    with pytest.raises(TypeError, match="scripted"):
        attnlib.insert(torch.jit.trace(small(), torch.randn(1, 3, 8, 8)), "se", "3")
    assert_untouched(model, before, [False] * 8)


class Windows(nn.Module):
    """Linear layers on windows of tokens, whose shape says nothing of the map's."""

    class Block(nn.Module):
        def __init__(self, last):
            super().__init__()
            self.mix = nn.Linear(32, 48)
            self.last = last

        def forward(self, x):
            b, c, h, w = x.shape
            windows = x.reshape(b, c, h * w // 4, 4).permute(0, 2, 3, 1).reshape(-1, 4, c)
            y = self.mix(windows).reshape(b, h, w, 48)
            return y if self.last else y.permute(0, 3, 1, 2)

    def __init__(self, last):
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 4, stride=4)
        self.block = self.Block(last)

    def forward(self, x):
        return self.block(self.stem(x))


def test_windows_of_tokens():
    x = torch.randn(1, 3, 16, 24)
    attnlib.insert(model := Windows(last=False), "se", "block", x)
    assert attnlib.inserted(model)[0].channels == 48
    with pytest.raises(ValueError, match="channels come last"):
        attnlib.insert(Windows(last=True), "se", "block", x)


def test_layer_norm_that_permutes_inside():
    """As in torchvision and timm: a LayerNorm by class, on the second axis by deed."""

    class LayerNorm2d(nn.LayerNorm):
        def forward(self, x):
            return super().forward(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)

    model = nn.Sequential(nn.Conv2d(3, 24, 1), LayerNorm2d(24))
    for size in (8, 24):
        twin = copy.deepcopy(model)
        attnlib.insert(twin, "eca", "1", torch.randn(1, 3, 8, size))
        assert attnlib.inserted(twin)[0].channels == 24


def test_linear_layers_on_pooled_vectors_are_no_evidence():
    """A block with attention inside, on maps as wide as they are deep."""
    model = attnlib.insert(resnet18(attention="se"), "eca", "layer1.0", torch.randn(1, 3, 256, 256))
    assert attnlib.inserted(model)[0].channels == 64


@pytest.mark.parametrize("build", [Tokens, ChannelsLast])
def test_without_an_example_transformers_are_refused_as_well(build):
    with pytest.raises(ValueError, match="'block' ends in a Linear, whose output has its channels"):
        attnlib.insert(build(), "se", "block")


def test_linear_layers_inside_a_convolutional_block_are_understood():
    model = ConvNeXt()
    attnlib.insert(model, "se", "block", torch.randn(1, 3, 16, 16))
    assert attnlib.inserted(model)[0].channels == 32
    with pytest.raises(ValueError, match=r"cannot tell whether .*give an example_input of another"):
        attnlib.insert(ConvNeXt(), "se", "block", torch.randn(1, 3, 128, 128))  # a cube: 32×32×32


def test_maps_as_wide_as_they_are_deep_are_no_trouble_for_convolutions():
    model = small()
    attnlib.insert(model, "eca", "*", torch.randn(1, 3, 16, 16))
    assert [i.channels for i in attnlib.inserted(model)] == [16, 16, 16, 64, 32]


def test_a_taken_name_is_refused():
    model = small()
    model[4].attnlib_se = "mine"
    with pytest.raises(ValueError, match="the reserved name 'attnlib_se' is taken in '4'"):
        attnlib.insert(model, "se", ["3", "4"])
    assert not attnlib.inserted(model)
    model = nn.Sequential(nn.Sequential())
    with pytest.raises(ValueError, match=r"cannot tell|empty"):
        attnlib.insert(model, "se", "0")


# --- a network like any other -------------------------------------------------------------------


@pytest.fixture(params=["paper", "identity"])
def model(request):
    model = attnlib.insert(small(), "se", ["1", "3"], start=request.param, reduction=4)
    return wake(attnlib.insert(model, "sge", "3", start=request.param, groups=8))


def test_copies(model):
    x = torch.randn(2, 3, 9, 8)
    y = model(x)
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(twin(x), y)
        for parameter in attnlib.new_parameters(twin):
            nn.init.zeros_(parameter)
        assert not torch.allclose(twin(x), y)  # the twin runs its own modules,
        assert torch.equal(model(x), y)  # not those of the original
        attnlib.remove(twin)
        assert not attnlib.inserted(twin)
        assert attnlib.inserted(model)


def test_state_dicts(model):
    """Also through a wrapper that prefixes every key, as DistributedDataParallel does."""

    class Parallel(nn.Module):
        def __init__(self, module):
            super().__init__()
            self.module = module

        def forward(self, x):
            return self.module(x)

    x = torch.randn(2, 3, 9, 8)
    wrapper = Parallel(model)
    state = wrapper.state_dict()
    assert all(key.startswith("module.") for key in state)
    twin = copy.deepcopy(model)
    for parameter in twin.parameters():
        nn.init.normal_(parameter)
    assert not torch.allclose(twin(x), model(x))
    twin.load_state_dict({key.removeprefix("module."): value for key, value in state.items()})
    assert torch.equal(twin(x), wrapper(x))
    assert [i.after for i in attnlib.inserted(wrapper)] == ["module.1", "module.3", "module.3"]


def test_compile(model):
    torch.compiler.reset()
    x = torch.randn(2, 3, 9, 8)
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), model(x))


@pytest.mark.parametrize("strict", [True, False])
def test_export(model, strict):
    x = torch.randn(2, 3, 9, 8)
    dim = partial(torch.export.Dim, max=64)  # from 4 on the halved map is no single position
    dimensions = ({0: dim("B", min=2), 2: dim("H", min=4), 3: dim("W", min=4)},)
    program = torch.export.export(model, (x,), dynamic_shapes=dimensions, strict=strict)
    z = torch.randn(3, 3, 8, 11)
    torch.testing.assert_close(program.module()(z), model(z))


def test_remove_restores_the_exact_state_dict():
    model = small()
    before = snapshot(model)
    attnlib.insert(model, "se", "*", torch.randn(1, 3, 8, 8), reduction=2)
    attnlib.insert(model, "sge", "3", groups=8)
    assert len(model.state_dict()) > len(before)
    assert attnlib.remove(model) is model
    assert_untouched(model, before, [False] * 8)
    assert attnlib.remove(model) is model  # nothing left to do


def test_training_reaches_the_new_parameters():
    torch.manual_seed(0)
    model = attnlib.insert(small(), "se", "3", start="identity").train()
    new = attnlib.new_parameters(model)
    old = [p for p in model.parameters() if p not in set(new)]
    optimizer = torch.optim.SGD([{"params": old, "lr": 0.0}, {"params": new, "lr": 0.1}])
    x = torch.randn(4, 3, 8, 8)
    before = snapshot(model)
    for _ in range(3):
        optimizer.zero_grad()
        (model(x) ** 2).mean().backward()
        optimizer.step()
    moved = {key for key, value in model.named_parameters() if not torch.equal(value, before[key])}
    assert moved == {key for key, _ in model.named_parameters() if "attnlib" in key}
