"""DANet and CCNet: published counts, and the heads against their parts called by hand."""

import pytest
import torch
from mechanisms.contract import randomise
from networks.counting import macs, on_meta, parameters
from torch import nn

import attnlib
from attnlib.networks import DANet, ResNet, ccnet, danet, recipe
from attnlib.networks.resnet import BasicBlock
from attnlib.networks.segmentation import CCNetHead, CCNetOutput, DANetHead, DANetOutput


@pytest.mark.parametrize(
    ("backbone", "settings", "exact"),
    [
        ("resnet50", {}, 47_586_427),  # pytorchcv's README has both
        ("resnet101", {}, 66_578_555),
        ("resnet50", {"deep_stem": False}, 47_462_651),
        ("resnet50", {"recipe": "paper"}, 47_586_427),
    ],
)
def test_danet_counts(backbone, settings, exact):
    assert parameters(on_meta("danet", backbone=backbone, **settings)) == exact


def test_counts_by_closed_formula():
    attention = 2 * (512 * 64 + 64) + 512 * 512 + 512 + 1
    assert attention == 328_321
    conv = 9 * 512 * 512 + 2 * 512
    wide = 9 * 2048 * 512 + 2 * 512
    score = 512 * 19 + 19
    with torch.device("meta"):
        assert parameters(DANetHead(2048, 19)) == 23_954_619
        assert 2 * wide + 2 * conv + attention + 1 + 3 * score == 23_954_619
        assert parameters(DANetHead(2048, 19, auxiliary=False)) == 23_954_619 - 2 * score
        head = CCNetHead(2048, 19)
    join = 9 * 2560 * 512 + 2 * 512
    assert parameters(head) == wide + attention + conv + join + score
    backbone = 44_549_160 - 2_049_000 + 123_776
    side = 9 * 1024 * 512 + 512 + 2 * 512 + score
    assert parameters(on_meta("ccnet")) == backbone + parameters(head) + side
    assert parameters(on_meta("ccnet", auxiliary=False)) == backbone + parameters(head)


def test_head_rows_of_the_table():
    assert parameters(on_meta("danet")) == recipe("danet", "danet").parameters
    assert recipe("ccnet", "ccnet").placement == "head"


def test_danet_head_flops():
    """562.5 billion, counting a multiply-accumulate as two, for a crop of 769 × 769."""
    with torch.device("meta"):
        head = DANetHead(2048, 19)
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter, torch.no_grad():
        head.eval()(torch.empty(1, 2048, 97, 97, device="meta"))
    assert abs(counter.get_total_flops() / 1e9 - 562.5) < 0.1


def wake(module: nn.Module) -> nn.Module:
    """γ away from zero, so that attention takes part."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            if name.endswith("gamma"):
                parameter.fill_(0.5)
    return module.eval()


def test_danet_head_by_hand():
    torch.manual_seed(0)
    head = wake(DANetHead(64, 5, reduction=4, max_minus=True))
    x = torch.randn(2, 64, 6, 7)
    p = head.position_out(head.position(head.position_in(x)))
    c = head.channel_out(head.channel(head.channel_in(x)))
    result = head(x)
    assert isinstance(result, DANetOutput)
    torch.testing.assert_close(result.out, head.classifier(p + c))
    torch.testing.assert_close(result.position, head.position_classifier(p))
    torch.testing.assert_close(result.channel, head.channel_classifier(c))
    assert head.position.query.out_channels == 4
    assert head.channel.max_minus


def test_ccnet_head_by_hand():
    torch.manual_seed(0)
    head = wake(CCNetHead(64, 5, recurrences=3))
    x = torch.randn(2, 64, 6, 7)
    conv, norm, _ = head.conv_in
    y = norm(conv(x))
    y = head.conv_out(head.attention(torch.where(y > 0, y, 0.01 * y)))
    torch.testing.assert_close(head(x), head.classifier(torch.cat([x, y], 1)))
    assert head.attention.recurrences == 3


def test_recipes_decide_the_channel_attention():
    assert on_meta("danet").head.channel.max_minus
    assert not on_meta("danet", recipe="paper").head.channel.max_minus
    assert not on_meta("danet", max_minus=False).head.channel.max_minus
    assert on_meta("ccnet").head.attention.recurrences == 2


@pytest.mark.parametrize("build", [danet, ccnet])
def test_outputs_are_as_large_as_the_image(build):
    torch.manual_seed(0)
    x = torch.randn(1, 3, 40, 56)
    network = wake(build(3, "resnet18"))
    with torch.no_grad():
        result = network(x)
        assert isinstance(result, DANetOutput | CCNetOutput)
        assert all(scores.shape == (1, 3, 40, 56) for scores in result)
        plain = wake(build(3, "resnet18", auxiliary=False))
        plain.load_state_dict(network.state_dict(), strict=False)
        assert torch.equal(plain(x), result.out)
        coarse = build(3, "resnet18", output_stride=16).eval()
        assert coarse.backbone.features(x)[-1].shape == (1, 512, 3, 4)


def test_ccnet_auxiliary_sees_the_third_stage():
    torch.manual_seed(0)
    network = wake(ccnet(3, "resnet18"))
    x = torch.randn(1, 3, 32, 32)
    with torch.no_grad():
        expected = network.auxiliary(network.backbone.features(x)[2])
        expected = nn.functional.interpolate(
            expected, (32, 32), mode="bilinear", align_corners=True
        )
        torch.testing.assert_close(network(x).auxiliary, expected)


def test_danet_head_like_pytorchcv():
    """A head that nobody here wrote, with the same weights."""
    module = pytest.importorskip("pytorchcv.models.danet")
    torch.manual_seed(0)
    theirs = randomise(module.DANetHead(in_channels=64, out_channels=5)).eval()
    source = theirs.state_dict()

    def part(prefix):
        n = len(prefix) + 1
        return {k[n:]: v for k, v in source.items() if k.startswith(f"{prefix}.")}

    state = {}
    for name, branch in (("position", "branch_pa"), ("channel", "branch_ca")):
        for own, other in (("in", "conv1"), ("out", "conv2")):
            for key, value in part(f"{branch}.{other}").items():
                layer, field = key.split(".")
                state[f"{name}_{own}.{0 if layer == 'conv' else 1}.{field}"] = value
        for key, value in attnlib.convert_state_dict(name, part(f"{branch}.att")).items():
            state[f"{name}.{key}"] = value
        for field, value in part(f"{branch}.conv3").items():
            state[f"{name}_classifier.1.{field}"] = value
    for field, value in part("conv").items():
        state[f"classifier.1.{field}"] = value
    mine = DANetHead(64, 5, max_minus=True).eval()
    mine.load_state_dict(state)
    x = torch.randn(2, 64, 6, 7)
    with torch.no_grad():
        for a, b in zip(mine(x), theirs(x), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-3, atol=1e-4)


def test_export_and_compile():
    torch.manual_seed(0)
    backbone = ResNet("resnet18", BasicBlock, (1, 1, 1, 1), 0, output_stride=8)
    network = wake(DANet(backbone, DANetHead(512, 3)))
    x = torch.randn(1, 3, 32, 48)
    with torch.no_grad():
        result = network(x)
        compiled = torch.compile(network, fullgraph=True, backend="aot_eager")(x)
        exported = torch.export.export(network, (x,)).module()(x)
    for a, b, c in zip(result, compiled, exported, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(a, c, rtol=1e-4, atol=1e-4)


def test_bad_arguments():
    with pytest.raises(ValueError, match=r"backbone must be one of resnet18, .*, got 'vgg'"):
        danet(backbone="vgg")
    with pytest.raises(TypeError, match="has no option 'recurrence'"):
        on_meta("ccnet", recurrence=2)
    with pytest.raises(ValueError, match="output_stride must be 8, 16 or 32"):
        ccnet(output_stride=4)


def test_macs_of_danet_are_dominated_by_its_wide_maps():
    """At stride 8 the same backbone costs many times what it costs as a classifier."""
    dilated = on_meta("resnet50", num_classes=0, output_stride=8)
    assert macs(dilated) > 4 * macs(on_meta("resnet50", num_classes=0))
