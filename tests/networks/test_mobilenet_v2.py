"""MobileNetV2: torchvision's names, and every way to place attention."""

import pytest
import torch
from mechanisms.contract import randomise
from networks.counting import on_meta, parameters

import attnlib
from attnlib.networks import mobilenet_v2

FIELDS = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def torchvision_names():
    """The keys of torchvision's MobileNetV2, written down from its layout."""

    def norm(name):
        return [f"{name}.{field}" for field in FIELDS]

    names = ["features.0.0.weight", *norm("features.0.1")]
    for index in range(1, 18):
        path, steps = f"features.{index}.conv", 1 if index == 1 else 2
        for step in range(steps):
            names += [f"{path}.{step}.0.weight", *norm(f"{path}.{step}.1")]
        names += [f"{path}.{steps}.weight", *norm(f"{path}.{steps + 1}")]
    names += ["features.18.0.weight", *norm("features.18.1")]
    return [*names, "classifier.1.weight", "classifier.1.bias"]


def test_names_are_torchvisions():
    assert list(on_meta("mobilenet_v2").state_dict()) == torchvision_names()


@pytest.mark.parametrize("key", attnlib.available())
def test_attention_adds_names_and_changes_none(key):
    plain = on_meta("mobilenet_v2").state_dict()
    state = on_meta("mobilenet_v2", attention=key).state_dict()
    assert {name: value.shape for name, value in state.items() if "attention" not in name} == {
        name: value.shape for name, value in plain.items()
    }
    assert len(state) > len(plain)


def test_same_features_as_pytorchcv():
    """A network that nobody here wrote, with the same weights.

    Its first block has a 1×1 convolution that the paper's t = 1 leaves out: made the identity here.
    """
    module = pytest.importorskip("pytorchcv.models.mobilenetv2")
    torch.manual_seed(0)
    other = randomise(module.mobilenetv2_w1()).eval()
    extra = other.features.stage1.unit1.conv1
    with torch.no_grad():
        extra.conv.weight.copy_(torch.eye(32)[:, :, None, None])
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0)):
            getattr(extra.bn, name).fill_(value)
        extra.bn.running_var.fill_(1 - extra.bn.eps)
    mine = mobilenet_v2(num_classes=0).eval()
    theirs = [
        value
        for name, value in other.state_dict().items()
        if name.startswith("features") and "stage1.unit1.conv1" not in name
    ]
    names = mine.state_dict()
    assert [v.shape for v in theirs] == [v.shape for v in names.values()]
    mine.load_state_dict(dict(zip(names, theirs, strict=True)))
    x = torch.randn(1, 3, 224, 224)
    with torch.no_grad():
        expected = other.features(x).flatten(1)
        assert expected.std() > 1e-3
        torch.testing.assert_close(mine(x), expected, rtol=1e-3, atol=1e-4 * expected.abs().max())


@pytest.mark.parametrize(
    ("placement", "count"), [("branch", 17), ("inner", 16), ("stage", 3), ("last", 1)]
)
def test_placements_by_hand(placement, count):
    torch.manual_seed(0)
    network = mobilenet_v2(5, "se", placement=placement, reduction=4, bias=False).eval()
    modules = [m for m in network.modules() if isinstance(m, attnlib.SqueezeExcitation)]
    assert len(modules) == count
    calls = []
    for module in modules:
        module.register_forward_hook(lambda m, args, y: calls.append((m, tuple(args[0].shape[1:]))))
    x = torch.randn(2, 3, 64, 64)

    def run(block, x):
        *lift, project, norm = block.conv
        y = x
        for layer in lift:
            y = layer(y)
        if placement == "inner" and block.attention is not None:
            y = block.attention(y)
        y = norm(project(y))
        if placement == "branch":
            y = block.attention(y)
        return x + y if x.shape == y.shape else y

    with torch.no_grad():
        y = network.features[0](x)
        for index in range(1, 18):
            y = run(network.features[index], y)
            if (placement == "stage" and index in (3, 6, 13)) or (
                placement == "last" and index == 17
            ):
                y = network.attention[str(index)](y)
        y = network.classifier(network.features[18](y).mean((2, 3)))
        by_hand, calls[:] = list(calls), []
        torch.testing.assert_close(network(x), y)
    assert calls == by_hand
    if placement == "stage":  # where the next stage halves the map
        assert [shape for _, shape in calls] == [(24, 16, 16), (32, 8, 8), (96, 4, 4)]


def test_initialisation():
    torch.manual_seed(0)
    network = mobilenet_v2()
    assert network.classifier[1].weight.std().item() == pytest.approx(0.01, rel=0.01)
    assert network.classifier[1].bias.abs().max() == 0
    weight = network.features[18][0].weight  # 1280 × 320 × 1 × 1
    assert weight.std().item() == pytest.approx((2 / 1280) ** 0.5, rel=0.01)


def test_stages_and_sizes():
    network = on_meta("mobilenet_v2", attention="se", stages=[2, 7])
    assert [
        name for name, m in network.named_modules() if isinstance(m, attnlib.SqueezeExcitation)
    ] == ["features.2.attention", "features.3.attention", "features.17.attention"]
    assert mobilenet_v2(num_classes=0).eval()(torch.randn(1, 3, 45, 33)).shape == (1, 1280)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"stages are numbered 1 to 7, got \(8,\)"):
        on_meta("mobilenet_v2", attention="se", stages=[8])
    with pytest.raises(ValueError, match="num_classes must not be negative, got -3"):
        on_meta("mobilenet_v2", num_classes=-3)
    with pytest.raises(TypeError, match="'se' has no option 'ratio'"):
        on_meta("mobilenet_v2", attention="se", ratio=4)


@pytest.mark.parametrize("key", attnlib.available())
def test_trains(key):
    torch.manual_seed(0)
    network = mobilenet_v2(num_classes=4, attention=key).train()
    network(torch.randn(2, 3, 64, 64)).logsumexp(1).sum().backward()
    assert not {name for name, p in network.named_parameters() if p.grad is None}
    assert parameters(network) > 2_223_872 + 4 * 1281
