"""Weights of others: after conversion, modules here compute what theirs do."""

import inspect

import pytest
import torch
from mechanisms.contract import randomise
from torch import nn

import attnlib
from attnlib.convert import LAYOUTS

fightingcv = pytest.importorskip("fightingcv_attention.attention.SEAttention")
pytorchcv = pytest.importorskip("pytorchcv.models.common.att")


def their(path, *arguments, **settings):
    """An object of one of the two packages, with random weights, in eval mode."""
    module, _, name = path.rpartition(".")
    imported = pytest.importorskip(module)
    return randomise(getattr(imported, name)(*arguments, **settings)).eval()


FCV, CV = "fightingcv_attention.attention", "pytorchcv.models"


def mend(bam):
    """The copied BAM pads by 1 at dilation 2, which crops the map until it is a single value."""
    for module in bam.modules():
        if isinstance(module, nn.Conv2d) and module.dilation != (1, 1):
            module.padding = module.dilation
    return bam


#: name, their module, options that leave no trace in the weights, channels where the weights do
#: not know them, the options that must be found.
CASES = {
    "se, copied": ("se", lambda: their(f"{FCV}.SEAttention.SEAttention", 64, 8), {}, 64),
    "se, pytorchcv": ("se", lambda: their(f"{CV}.common.att.SEBlock", 64), {}, 64),
    "se, pytorchcv, linear": (
        "se",
        lambda: their(f"{CV}.common.att.SEBlock", 60, reduction=7, use_conv=False),
        {},
        60,
    ),
    "cbam, copied": ("cbam", lambda: their(f"{FCV}.CBAM.CBAMBlock", 64, 8, 7), {}, 64),
    "cbam, copied, 49": ("cbam", lambda: their(f"{FCV}.CBAM.CBAMBlock", 64), {}, 64),
    "cbam, pytorchcv": ("cbam", lambda: their(f"{CV}.cbamresnet.CbamBlock", 64), {}, 64),
    "bam, copied": ("bam", lambda: mend(their(f"{FCV}.BAM.BAMBlock", 64)), {}, 64),
    "bam, pytorchcv": ("bam", lambda: their(f"{CV}.bamresnet.BamBlock", 64), {}, 64),
    "eca, copied": ("eca", lambda: their(f"{FCV}.ECAAttention.ECAAttention", 5), {}, 64),
    "shuffle, copied": (
        "shuffle",
        lambda: their(f"{FCV}.ShuffleAttention.ShuffleAttention", 64, G=8),
        {"groups": 8},
        64,
    ),
    "sge, copied": ("sge", lambda: their(f"{FCV}.SGE.SpatialGroupEnhance", 8), {}, 64),
    "psa_parallel, copied": (
        "psa_parallel",
        lambda: their(f"{FCV}.PolarizedSelfAttention.ParallelPolarizedSelfAttention", 64),
        {},
        64,
    ),
    "psa_sequential, copied": (
        "psa_sequential",
        lambda: their(f"{FCV}.PolarizedSelfAttention.SequentialPolarizedSelfAttention", 64),
        {},
        64,
    ),
    "coordinate, copied": (
        "coordinate",
        lambda: their(f"{FCV}.CoordAttention.CoordAtt", 64, 64),
        {},
        64,
    ),
    "coordinate, narrow": (
        "coordinate",
        lambda: their(f"{FCV}.CoordAttention.CoordAtt", 64, 64, 4),
        {},
        64,
    ),
    "position, pytorchcv": ("position", lambda: their(f"{CV}.danet.PosAttBlock", 64), {}, 64),
    "channel, pytorchcv": ("channel", lambda: their(f"{CV}.danet.ChaAttBlock"), {}, 64),
    "criss_cross, copied": (
        "criss_cross",
        lambda: their(f"{FCV}.CrissCrossAttention.CrissCrossAttention", 64),
        {},
        64,
    ),
}


def load(name, state_dict, channels, extra):
    state = attnlib.convert_state_dict(name, state_dict)
    assert state.channels in (channels, None)
    assert state.source in {layout.source for layout in LAYOUTS[name]}
    module = attnlib.create(name, channels, **{**state.options, **extra}).eval()
    module.load_state_dict(state)
    return module


@pytest.mark.parametrize("case", CASES)
def test_equal_outputs(case):
    name, build, extra, channels = CASES[case]
    torch.manual_seed(0)
    theirs = build().double()
    mine = load(name, theirs.state_dict(), channels, extra).double()
    x = torch.randn(2, channels, 7, 6, dtype=torch.float64)
    with torch.no_grad():
        expected = theirs(x)
        torch.testing.assert_close(mine(x), expected, rtol=1e-9, atol=1e-9)
    assert not torch.allclose(expected, x)
    assert sum(p.numel() for p in mine.parameters()) == sum(p.numel() for p in theirs.parameters())


def test_ccnet_shares_one_module():
    theirs = their(f"{FCV}.CrissCrossAttention.CrissCrossAttention", 64)
    mine = load("ccnet", theirs.state_dict(), 64, {"recurrences": 2})
    x = torch.randn(1, 64, 5, 6)
    torch.testing.assert_close(mine(x), theirs(theirs(x)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("bias", [True, False])
def test_multihead_from_torch(bias):
    theirs = nn.MultiheadAttention(64, 4, bias=bias, batch_first=True).eval()
    mine = load("multihead", theirs.state_dict(), 64, {"heads": 4})
    x = torch.randn(2, 64, 5, 6)
    tokens = x.flatten(2).mT
    expected = theirs(tokens, tokens, tokens)[0].mT.reshape(x.shape)
    torch.testing.assert_close(mine(x), expected, rtol=1e-4, atol=1e-5)


def test_multihead_from_copies():
    theirs = their(f"{FCV}.SelfAttention.ScaledDotProductAttention", 64, 16, 16, 4)
    mine = load("multihead", theirs.state_dict(), 64, {"heads": 4})
    x = torch.randn(2, 64, 5, 6)
    tokens = x.flatten(2).mT
    expected = theirs(tokens, tokens, tokens).mT.reshape(x.shape)
    torch.testing.assert_close(mine(x), expected, rtol=1e-4, atol=1e-4)


# --- authors' modules: their names, their formulas written out ----------------------------------

RENAMED = {
    "cbam": (
        lambda: their(f"{CV}.cbamresnet.CbamBlock", 64),
        {
            "ch_gate.mlp.fc1": "ChannelGate.mlp.1",
            "ch_gate.mlp.fc2": "ChannelGate.mlp.3",
            "sp_gate.conv.conv": "SpatialGate.spatial.conv",
            "sp_gate.conv.bn": "SpatialGate.spatial.bn",
        },
    ),
    "bam": (
        lambda: their(f"{CV}.bamresnet.BamBlock", 64),
        {
            "ch_att.init_fc.fc": "channel_att.gate_c.gate_c_fc_0",
            "ch_att.init_fc.bn": "channel_att.gate_c.gate_c_bn_1",
            "ch_att.final_fc": "channel_att.gate_c.gate_c_fc_final",
            "sp_att.init_conv.conv": "spatial_att.gate_s.gate_s_conv_reduce0",
            "sp_att.init_conv.bn": "spatial_att.gate_s.gate_s_bn_reduce0",
            "sp_att.dil_convs.conv1.conv": "spatial_att.gate_s.gate_s_conv_di_0",
            "sp_att.dil_convs.conv1.bn": "spatial_att.gate_s.gate_s_bn_di_0",
            "sp_att.dil_convs.conv2.conv": "spatial_att.gate_s.gate_s_conv_di_1",
            "sp_att.dil_convs.conv2.bn": "spatial_att.gate_s.gate_s_bn_di_1",
            "sp_att.final_conv": "spatial_att.gate_s.gate_s_conv_final",
        },
    ),
    "position": (lambda: their(f"{CV}.danet.PosAttBlock", 64), {"scale.alpha": "gamma"}),
    "channel": (lambda: their(f"{CV}.danet.ChaAttBlock"), {"scale.alpha": "gamma"}),
}


@pytest.mark.parametrize("name", RENAMED)
def test_authors_names_of_what_pytorchcv_computes_too(name):
    build, names = RENAMED[name]
    state = build().state_dict()
    renamed = {}
    for key, value in state.items():
        layer, _, field = key.rpartition(".")
        renamed[names.get(key) or (f"{names[layer]}.{field}" if layer in names else key)] = value
    assert renamed.keys() != state.keys()
    converted = attnlib.convert_state_dict(name, renamed)
    expected = attnlib.convert_state_dict(name, state)
    assert converted.source.startswith("the authors")
    assert converted.options == expected.options
    assert list(converted) == list(expected)
    assert all(torch.equal(converted[key], expected[key]) for key in expected)


def weights(**shapes):
    generator = torch.Generator().manual_seed(0)
    return {
        key.replace("__", "."): torch.randn(s, generator=generator) * 0.3
        for key, s in shapes.items()
    }


@pytest.mark.parametrize("form", ["parallel", "sequential"])
def test_authors_psa(form):
    """Softmax over positions in both branches; where it stands differs between their classes."""
    c, h, m = 32, 16, 4
    up = (
        {"conv_up__weight": (c, h, 1, 1)}
        if form == "parallel"
        else {
            "conv_up__0__weight": (m, h, 1, 1),
            "conv_up__0__bias": (m,),
            "conv_up__1__weight": (m, 1, 1),
            "conv_up__1__bias": (m, 1, 1),
            "conv_up__3__weight": (c, m, 1, 1),
            "conv_up__3__bias": (c,),
        }
    )
    w = weights(
        conv_q_right__weight=(1, c, 1, 1),
        conv_v_right__weight=(h, c, 1, 1),
        **up,
        conv_q_left__weight=(h, c, 1, 1),
        conv_v_left__weight=(h, c, 1, 1),
    )

    def project(x, name):
        return (w[f"{name}.weight"][:, :, 0, 0] @ x.flatten(2)).unflatten(2, x.shape[2:])

    def channel_gate(x):
        mask = project(x, "conv_q_right").flatten(2).softmax(2)  # (B, 1, N)
        z = project(x, "conv_v_right").flatten(2) @ mask.mT  # (B, h, 1)
        if form == "parallel":
            return (w["conv_up.weight"][:, :, 0, 0] @ z)[..., None].sigmoid()
        z = w["conv_up.0.weight"][:, :, 0, 0] @ z + w["conv_up.0.bias"][:, None]
        z = nn.functional.layer_norm(
            z[..., None], (m, 1, 1), w["conv_up.1.weight"], w["conv_up.1.bias"]
        )
        z = w["conv_up.3.weight"][:, :, 0, 0] @ z[..., 0].relu() + w["conv_up.3.bias"][:, None]
        return z[..., None].sigmoid()

    def spatial_gate(x):
        query = project(x, "conv_q_left").mean((2, 3))[:, None]  # (B, 1, h)
        value = project(x, "conv_v_left").flatten(2)  # (B, h, N)
        mixed = (query @ value).softmax(2) if form == "parallel" else query @ value.softmax(2)
        return mixed.unflatten(2, x.shape[2:]).sigmoid()

    x = torch.randn(2, c, 5, 6)
    y = x * channel_gate(x)
    expected = y + x * spatial_gate(x) if form == "parallel" else y * spatial_gate(y)
    mine = load(f"psa_{form}", w, c, {})
    torch.testing.assert_close(mine(x), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("groups", [1, 4])
def test_copied_gam(groups):
    """No sigmoid in the channel branch; the grouped copies shuffle the gates at the end."""
    c, r = 32, 4
    h = c // r
    theirs = nn.Module()
    theirs.channel_attention = nn.Sequential(nn.Linear(c, h), nn.ReLU(), nn.Linear(h, c))
    theirs.spatial_attention = nn.Sequential(
        nn.Conv2d(c, h, 7, padding=3, groups=groups),
        nn.BatchNorm2d(h),
        nn.ReLU(),
        nn.Conv2d(h, c, 7, padding=3, groups=groups),
        nn.BatchNorm2d(c),
    )
    randomise(theirs).eval()
    mine = load("gam", theirs.state_dict(), c, {})
    x = torch.randn(2, c, 5, 6)
    y = x * theirs.channel_attention(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
    gates = theirs.spatial_attention(y).sigmoid()
    if groups > 1:
        gates = gates.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2)
    torch.testing.assert_close(mine(x), y * gates, rtol=1e-4, atol=1e-5)


def test_authors_eca_has_no_bias():
    state = attnlib.convert_state_dict("eca", {"conv.weight": torch.randn(1, 1, 7)})
    assert state.options == {"kernel_size": 7, "bias": False}


# --- names and errors ---------------------------------------------------------------------------


def test_common_prefixes_are_dropped():
    theirs = their(f"{FCV}.SEAttention.SEAttention", 64)
    plain = attnlib.convert_state_dict("se", theirs.state_dict())
    prefixed = {f"module.layer1.0.se.{k}": v for k, v in theirs.state_dict().items()}
    state = attnlib.convert_state_dict("se", prefixed)
    assert all(torch.equal(state[key], plain[key]) for key in plain)


def test_old_checkpoints_without_counters():
    theirs = their(f"{CV}.cbamresnet.CbamBlock", 64)
    old = {k: v for k, v in theirs.state_dict().items() if "num_batches" not in k}
    assert len(old) < len(theirs.state_dict())
    mine = load("cbam", old, 64, {})
    x = torch.randn(2, 64, 5, 6)
    torch.testing.assert_close(mine(x), theirs(x), rtol=1e-4, atol=1e-5)


def test_tensors_are_copies():
    theirs = their(f"{FCV}.SEAttention.SEAttention", 64)
    state = attnlib.convert_state_dict("se", theirs.state_dict())
    with torch.no_grad():
        state["fc1.weight"].zero_()
    assert theirs.fc[0].weight.abs().max() > 0


@pytest.mark.parametrize(
    ("name", "state", "message"),
    [
        ("se", {}, "these are not the weights of a 'se' known here"),
        ("se", {"a.weight": torch.zeros(2)}, r"a\.weight\. Known: moskomule.*\(fc\.0, fc\.2\)"),
        ("cbam", {"fc.0.weight": torch.zeros(2)}, "not the weights of a 'cbam' known here: fc.0"),
        ("cbam", {"ca.se.0.weight": torch.zeros(4, 64, 1, 1)}, "not the weights of a 'cbam' known"),
        ("danet", {"gamma": torch.zeros(1)}, "None is known; convert its parts one by one"),
        ("see", {}, "unknown attention mechanism 'see'"),
        (
            "se",
            {"fc.0.weight": torch.zeros(4, 64), "fc.2.weight": torch.zeros(64, 5)},
            r"names of moskomule.* but shape \(64, 5\) for 'fc2.weight' of shape \(64, 4\)",
        ),
        (
            "position",
            {
                "query_conv.weight": torch.zeros(8, 64, 1, 1),
                "key_conv.weight": torch.zeros(8, 64, 1, 1),
                "value_conv.weight": torch.zeros(64, 64, 1, 1),
                "gamma": torch.zeros(1),
            },
            "but nothing for 'query.bias' of shape",
        ),
        (
            "cbam",
            {
                "ca.se.0.weight": torch.zeros(4, 64, 1, 1),
                "ca.se.2.weight": torch.zeros(64, 4, 1, 1),
                "sa.conv.weight": torch.zeros(1, 2, 7, 7),
                "sa.conv.bias": torch.zeros(1),
                "sa.conv.mask": torch.zeros(1),
            },
            "but also conv.mask",
        ),
    ],
)
def test_unknown_weights(name, state, message):
    with pytest.raises(ValueError, match=message):
        attnlib.convert_state_dict(name, state)


def test_every_mechanism_is_known_but_the_one_that_nobody_publishes_whole():
    assert set(LAYOUTS) == set(attnlib.available()) - {"danet"}
    assert "fightingcv" in inspect.getdoc(attnlib.convert_state_dict)
