"""ResNets: torchvision's names, pytorchcv's numbers, and every way to place attention."""

import pytest
import torch
from networks.counting import on_meta, parameters
from torch import nn

import attnlib
from attnlib.networks import ResNet, resnet18
from attnlib.networks.resnet import BasicBlock, Bottleneck


def torchvision_names(depths, convolutions):
    """The keys of torchvision's ResNets, written down from its layout."""

    def norm(name):
        return [
            f"{name}.{field}"
            for field in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
        ]

    names = ["conv1.weight", *norm("bn1")]
    for stage, depth in enumerate(depths, start=1):
        for block in range(depth):
            path = f"layer{stage}.{block}"
            for i in range(1, convolutions + 1):
                names += [f"{path}.conv{i}.weight", *norm(f"{path}.bn{i}")]
            if block == 0 and (stage > 1 or convolutions == 3):
                names += [f"{path}.downsample.0.weight", *norm(f"{path}.downsample.1")]
    return [*names, "fc.weight", "fc.bias"]


@pytest.mark.parametrize(
    ("host", "depths", "convolutions"),
    [
        ("resnet18", (2, 2, 2, 2), 2),
        ("resnet34", (3, 4, 6, 3), 2),
        ("resnet50", (3, 4, 6, 3), 3),
        ("resnet101", (3, 4, 23, 3), 3),
        ("resnet152", (3, 8, 36, 3), 3),
    ],
)
def test_names_are_torchvisions(host, depths, convolutions):
    assert list(on_meta(host).state_dict()) == torchvision_names(depths, convolutions)


@pytest.mark.parametrize("key", attnlib.available())
def test_attention_adds_names_and_changes_none(key):
    plain = on_meta("resnet18").state_dict()
    state = on_meta("resnet18", attention=key).state_dict()
    assert {name: value.shape for name, value in state.items() if "attention" not in name} == {
        name: value.shape for name, value in plain.items()
    }
    assert len(state) > len(plain)


def test_a_plain_state_dict_loads_into_a_network_with_attention():
    plain, attentive = resnet18(num_classes=3), resnet18(num_classes=3, attention="eca")
    result = attentive.load_state_dict(plain.state_dict(), strict=False)
    assert not result.unexpected_keys
    assert all(".attention." in key for key in result.missing_keys)


# --- networks that nobody here wrote, with the same weights -------------------------------------


def take_over(theirs, mine, key=None):
    """Copy a ResNet of pytorchcv into one of ours; attention goes through convert_state_dict."""
    state, attention = {}, {}
    for name, value in theirs.state_dict().items():
        *path, field = name.removeprefix("features.").split(".")
        match path:
            case ["init_block", "conv", kind]:
                state[f"{'conv1' if kind == 'conv' else 'bn1'}.{field}"] = value
            case [stage, unit, *rest] if rest[0] == "bam":  # before a stage is after the last one
                place = f"attention.layer{int(stage[5:]) - 1}"
                attention.setdefault(place, {})[".".join([*rest[1:], field])] = value
            case [stage, unit, "se" | "cbam", *rest]:
                place = f"layer{stage[5:]}.{int(unit[4:]) - 1}.attention"
                attention.setdefault(place, {})[".".join([*rest, field])] = value
            case [stage, unit, *rest] if stage.startswith("stage"):
                rest = rest[1:] if rest[0] == "res_unit" else rest
                rest = rest[1:] if rest[0] == "body" else rest
                layer, kind = rest
                if layer == "identity_conv":
                    layer = f"downsample.{0 if kind == 'conv' else 1}"
                else:
                    layer = layer.replace("conv", kind)
                state[f"layer{stage[5:]}.{int(unit[4:]) - 1}.{layer}.{field}"] = value
            case ["output"]:
                state[f"fc.{field}"] = value
            case _:
                raise AssertionError(name)
    for place, weights in attention.items():
        for name, value in attnlib.convert_state_dict(key, weights).items():
            state[f"{place}.{name}"] = value
    mine.load_state_dict(state)


@pytest.mark.parametrize(
    ("theirs", "key", "host", "settings"),
    [
        ("resnet.resnet18", None, "resnet18", {}),
        ("resnet.resnet50", None, "resnet50", {"version": "1"}),
        ("resnet.resnet50b", None, "resnet50", {}),
        ("seresnet.seresnet18", "se", "resnet18", {"bias": True}),
        ("cbamresnet.cbam_resnet18", "cbam", "resnet18", {}),
        ("cbamresnet.cbam_resnet50", "cbam", "resnet50", {}),
        ("bamresnet.bam_resnet50", "bam", "resnet50", {}),
    ],
)
def test_same_output_as_pytorchcv(theirs, key, host, settings):
    """So every layer, stride and attention module stands where theirs does."""
    file, _, name = theirs.partition(".")
    module = pytest.importorskip(f"pytorchcv.models.{file}")
    torch.manual_seed(0)
    other = getattr(module, name)(num_classes=7).eval()
    randomise(other)
    mine = getattr(attnlib.networks, host)(num_classes=7, attention=key, **settings).eval()
    take_over(other, mine, key)
    assert parameters(mine) == parameters(other)
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = other(x)
        scale = expected.abs().max()
        torch.testing.assert_close(mine(x) / scale, expected / scale, rtol=1e-4, atol=1e-4)


def test_versions_differ_in_the_stride_only():
    one, half = (on_meta("resnet50", version=v).layer2[0] for v in ("1", "1.5"))
    assert [one.conv1.stride, one.conv2.stride] == [(2, 2), (1, 1)]
    assert [half.conv1.stride, half.conv2.stride] == [(1, 1), (2, 2)]
    assert on_meta("resnet50", version=1.5).layer2[0].conv2.stride == (2, 2)


@pytest.mark.parametrize("placement", ["branch", "inner", "stage", "last"])
@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
def test_placements_by_hand(placement, block):
    """The network computes what its parts, called in the order of the paper, compute."""
    torch.manual_seed(0)
    depths = (1, 1, 2, 1)
    network = ResNet("resnet18", block, depths, 5, "se", placement=placement, reduction=4).eval()
    randomise(network)
    x = torch.randn(2, 3, 64, 64)
    seen = []
    for module in network.modules():
        if isinstance(module, attnlib.SqueezeExcitation):
            module.register_forward_hook(lambda m, args, y: seen.append(m))

    def run(block, x):
        y = block.relu(block.bn1(block.conv1(x)))
        if hasattr(block, "conv3"):
            y = block.relu(block.bn2(block.conv2(y)))
            y = block.attention(y) if placement == "inner" else y
            y = block.bn3(block.conv3(y))
        else:
            y = block.attention(y) if placement == "inner" else y
            y = block.bn2(block.conv2(y))
        y = block.attention(y) if placement == "branch" else y
        return (y + (x if block.downsample is None else block.downsample(x))).relu()

    with torch.no_grad():
        y = network.maxpool(network.bn1(network.conv1(x)).relu())
        for stage in range(1, 5):
            for block in getattr(network, f"layer{stage}"):
                y = run(block, y)
            if (placement == "stage" and stage < 4) or (placement == "last" and stage == 4):
                y = network.attention[f"layer{stage}"](y)
        expected = network.fc(y.mean((2, 3)))
        calls, seen[:] = list(seen), []
        torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)
    assert calls == seen
    assert len(calls) == {"branch": 5, "inner": 5, "stage": 3, "last": 1}[placement]


def randomise(network: nn.Module) -> None:
    """Gates away from their start, BatchNorms away from the identity."""
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight.uniform_(0.5, 1)
                module.bias.normal_(std=0.1)
            elif isinstance(module, nn.Linear):
                module.weight.normal_(std=2 * module.in_features**-0.5)


@pytest.mark.parametrize("output_stride", [8, 16, 32])
@pytest.mark.parametrize("host", ["resnet18", "resnet50"])
def test_output_stride(host, output_stride):
    network = on_meta(host, output_stride=output_stride)
    maps = network.features(torch.empty(1, 3, 96, 128, device="meta"))
    strides = [min(s, output_stride) for s in (4, 8, 16, 32)]
    assert [m.shape[1:] for m in maps] == [
        (c, 96 // s, 128 // s) for c, s in zip(network.channels, strides, strict=True)
    ]
    assert parameters(network) == parameters(on_meta(host))


@pytest.mark.parametrize(
    ("block", "version"), [(BasicBlock, "1.5"), (Bottleneck, "1"), (Bottleneck, "1.5")]
)
def test_dilation_computes_the_same_on_a_finer_grid(block, version):
    """Every fourth position of the dilated map is the map of the striding network."""
    torch.manual_seed(0)
    depths = (1, 1, 2, 2)
    striding = ResNet("resnet18", block, depths, 0, version=version).eval()
    dilated = ResNet("resnet18", block, depths, 0, version=version, output_stride=8).eval()
    dilated.load_state_dict(striding.state_dict())
    with torch.no_grad():
        x = torch.randn(1, 3, 64, 96)
        coarse, fine = striding.features(x)[-1], dilated.features(x)[-1]
    torch.testing.assert_close(fine[..., ::4, ::4], coarse, rtol=1e-4, atol=1e-4)


def test_deep_stem_counts():
    plain, deep = on_meta("resnet50"), on_meta("resnet50", deep_stem=True)
    assert parameters(deep) - parameters(plain) == 123_776
    assert deep.features(torch.empty(1, 3, 64, 64, device="meta"))[0].shape == (1, 256, 16, 16)


def test_without_classifier():
    network = resnet18(num_classes=0).eval()
    assert network(torch.randn(2, 3, 33, 47)).shape == (2, 512)
    assert not any(name.startswith("fc") for name in network.state_dict())


def test_initialisation_leaves_attention_to_itself():
    torch.manual_seed(0)
    network = resnet18(attention="cbam")
    weight = network.layer4[0].conv1.weight
    assert weight.std().item() == pytest.approx((2 / (512 * 9)) ** 0.5, rel=0.02)
    conv = network.layer1[0].attention.conv.weight  # torch's own start, bounded by 98^-0.5
    assert conv.abs().max() <= 98**-0.5


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"version": "2"}, "version must be '1' or '1.5', got '2'"),
        ({"output_stride": 4}, "output_stride must be 8, 16 or 32, got 4"),
        ({"num_classes": -1}, "num_classes must not be negative, got -1"),
        ({"attention": "se", "stages": [0, 1]}, r"stages are numbered 1 to 4, got \(0, 1\)"),
        ({"attention": "shuffle", "groups": 48}, "groups|channels"),
    ],
)
def test_bad_arguments(settings, message):
    with pytest.raises(ValueError, match=message):
        on_meta("resnet50", **settings)


def test_unknown_options():
    with pytest.raises(TypeError, match="'se' has no option 'ratio'"):
        on_meta("resnet50", attention="se", ratio=4)
    with pytest.raises(TypeError, match="no use for reduction"):
        on_meta("resnet50", reduction=4)


@pytest.mark.parametrize("key", attnlib.available())
def test_trains(key):
    """Forward and backward on a small image, batch 2; every parameter gets a gradient."""
    torch.manual_seed(0)
    network = ResNet("resnet18", Bottleneck, (1, 1, 1, 1), 4, key).train()
    network(torch.randn(2, 3, 64, 64)).logsumexp(1).sum().backward()
    missing = {name for name, p in network.named_parameters() if p.grad is None}
    assert not missing
