"""The table of recipes: every row builds, and counts what it says."""

import pytest
import torch
from networks.counting import macs, on_meta, parameters

import attnlib
from attnlib.networks import PLACEMENTS, RECIPES, recipe
from attnlib.networks.recipes import HOSTS, MACS_V1, RESNETS, Plan

# Closed formulas for one module of C channels, from the papers; independent of the library.


def hidden(c, r=16):
    return c // r


def se(c):
    return 2 * c * hidden(c)


def cbam(c):
    return 2 * c * hidden(c) + hidden(c) + c + 98 + 2


def bam(c):
    m = hidden(c)
    channel = c * m + m + 2 * m + m * c + c
    spatial = c * m + m + 2 * m + 2 * (9 * m * m + m + 2 * m) + m + 1
    return channel + spatial


def shuffle(c, groups=64):
    return 3 * c // groups


def coordinate(c):
    m = max(8, c // 32)
    return c * m + m + 2 * m + 2 * (m * c + c)


def gam(c):
    m = hidden(c)
    return 2 * c * m + m + c + 98 * c * m + m + c + 2 * m + 2 * c


def psa(c):
    return c + 2 * c * c


def position(c):
    return 2 * (c * (c // 8) + c // 8) + c * c + c + 1


#: Blocks per stage, and the channels at the end of a branch, of the 3×3, and after a stage.
DEPTHS = {
    "resnet18": (2, 2, 2, 2),
    "resnet34": (3, 4, 6, 3),
    "resnet50": (3, 4, 6, 3),
    "resnet101": (3, 4, 23, 3),
    "resnet152": (3, 8, 36, 3),
}


def branches(host):
    first = 64 if host in ("resnet18", "resnet34") else 256
    return [(n, first * 2**i) for i, n in enumerate(DEPTHS[host])]


def widths(host):
    return [(n, 64 * 2**i) for i, n in enumerate(DEPTHS[host])]


def total(formula, sites):
    return sum(n * formula(c) for n, c in sites)


#: Outputs of MobileNetV2's blocks, and what the blocks that expand work on inside.
OUTPUTS = [(1, 16), (2, 24), (3, 32), (4, 64), (3, 96), (3, 160), (1, 320)]
EXPANDED = [(1, 96), (2, 144), (3, 192), (4, 384), (3, 576), (3, 960)]
assert sum(n for n, _ in EXPANDED) == 16

FORMULAS = {
    **{("se", h): total(se, branches(h)) for h in RESNETS},
    **{("cbam", h): total(cbam, branches(h)) for h in RESNETS},
    **{("bam", h): total(bam, [(1, c) for _, c in branches(h)[:3]]) for h in RESNETS},
    **{("sge", h): 128 * sum(DEPTHS[h]) for h in RESNETS},
    **{("shuffle", h): total(shuffle, branches(h)) for h in RESNETS[2:]},
    **{
        ("shuffle", h): DEPTHS[h][0] * shuffle(64, 32) + total(shuffle, branches(h)[1:])
        for h in RESNETS[:2]
    },
    **{("coordinate", h): total(coordinate, branches(h)) for h in RESNETS},
    **{("gam", h): total(gam, branches(h)) for h in RESNETS},
    **{("psa_parallel", h): total(psa, widths(h)) for h in RESNETS},
    **{("position", h): position(branches(h)[-1][1]) for h in RESNETS},
    **{("channel", h): 1 for h in RESNETS},
    **{("danet", h): position(branches(h)[-1][1]) + 1 for h in RESNETS},
    **{("criss_cross", h): position(branches(h)[-1][1]) for h in RESNETS},
    **{("ccnet", h): position(branches(h)[-1][1]) for h in RESNETS},
    ("eca", "resnet18"): 2 * (3 + 5 + 7 + 7),
    ("eca", "resnet34"): 3 * 3 + 4 * 3 + 6 * 5 + 3 * 7,
    ("eca", "resnet50"): 3 * 3 + 4 * 5 + 6 * 5 + 3 * 7,
    ("eca", "resnet101"): 3 * 3 + 4 * 3 + 23 * 5 + 3 * 7,
    ("eca", "resnet152"): 3 * 3 + 8 * 3 + 36 * 5 + 3 * 7,
    ("eca", "mobilenet_v2"): 1 * 10 + 3 * 7,
    ("coordinate", "mobilenet_v2"): total(coordinate, EXPANDED),
    ("se", "mobilenet_v2"): total(lambda c: 2 * c * (c // 24) + c // 24 + c, EXPANDED),
    ("cbam", "mobilenet_v2"): total(cbam, EXPANDED),
    ("bam", "mobilenet_v2"): sum(bam(c) for c in (24, 32, 96)),
    ("shuffle", "mobilenet_v2"): total(lambda c: 3 * c // 4, OUTPUTS),
    ("sge", "mobilenet_v2"): 2 * 4 * 17,
    ("gam", "mobilenet_v2"): total(gam, OUTPUTS),
    ("psa_parallel", "mobilenet_v2"): total(psa, EXPANDED),
    ("position", "mobilenet_v2"): position(320),
}


def same(row):
    """The other row of a pair that is configured alike."""
    published = recipe(row.mechanism, row.host)
    settings = (row.placement, row.steps, row.stages)
    return settings == (published.placement, published.steps, published.stages)


ROWS = [
    row for row in RECIPES if row.placement != "head" and (row.name == "published" or not same(row))
]
IDS = [f"{row.mechanism}-{row.host}-{row.name}" for row in ROWS]


@pytest.mark.parametrize("row", ROWS, ids=IDS)
def test_rows(row):
    network = on_meta(row.host, attention=row.mechanism, recipe=row.name)
    count = parameters(network)
    if row.parameters is not None:
        assert count == row.parameters
    if row.macs is not None:
        assert macs(network) == row.macs
    if row.name == "published" and (row.mechanism, row.host) in FORMULAS:
        base = recipe(None, row.host).parameters
        assert count == base + FORMULAS[row.mechanism, row.host]
    assert row.placement in PLACEMENTS or row.mechanism is None
    assert row.source or row.mechanism is None


def test_rows_configured_alike_count_alike():
    for row in RECIPES:
        if same(row):
            published = recipe(row.mechanism, row.host)
            assert (row.parameters, row.macs) == (published.parameters, published.macs)


def test_every_mechanism_has_a_place_in_every_host():
    for key in attnlib.available():
        for host in HOSTS:
            for name in ("published", "paper"):
                assert recipe(key, host, name).placement in PLACEMENTS
    assert len({(r.mechanism, r.host, r.name) for r in RECIPES}) == len(RECIPES)  # no row twice


def test_v1_has_the_same_parameters_and_the_papers_macs():
    """Trap: "3.86 GFLOPs" is v1; v1.5, which everybody has had since, counts 4.09."""
    for host, expected in MACS_V1.items():
        network = on_meta(host, version="1")
        assert parameters(network) == recipe(None, host).parameters
        assert macs(network) == expected
    assert macs(on_meta("resnet18", version=1)) == recipe(None, "resnet18").macs


# --- what the sources print ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "host", "printed"),
    [
        (None, "resnet50", 24.37),
        (None, "mobilenet_v2", 3.34),
        ("eca", "resnet18", 11.148),
        ("eca", "resnet34", 20.788),
        ("eca", "resnet50", 24.37),
        ("eca", "resnet101", 42.486),
        ("eca", "resnet152", 57.405),
        ("eca", "mobilenet_v2", 3.34),
        ("se", "resnet50", 26.77),
    ],
)
def test_units_of_two_to_the_twentieth(key, host, printed):
    """Trap: ECA-Net's counter prints "M" for 2²⁰, so 24.37 M and 25.56 M are one network."""
    digits = len(str(printed).split(".")[1])
    count = parameters(on_meta(host, attention=key))
    assert abs(count / 2**20 - printed) < 0.6 * 10**-digits


@pytest.mark.parametrize(
    ("reduction", "exact", "printed"),
    [
        (2, 45_676_584, 45.7),
        (4, 35_616_808, 35.7),
        (8, 30_586_920, 30.7),
        (16, 28_071_976, 28.1),
        (32, 26_814_504, 26.9),
    ],
)
def test_se_reduction_ratios(reduction, exact, printed):
    """Trap: the paper's table 10 is up to 0.12 M above, which running statistics (0.05 M) and
    rounding explain for most rows."""
    count = parameters(on_meta("resnet50", attention="se", reduction=reduction))
    assert count == exact
    assert 0 <= printed - count / 1e6 < 0.12


def test_running_statistics_are_no_parameters():
    buffers = on_meta("resnet50").named_buffers()
    assert sum(b.numel() for name, b in buffers if "running" in name) == 53_120


@pytest.mark.parametrize(
    ("settings", "exact"),
    [
        ({"stages": [1]}, 25_557_032 + 24_576),  # the paper's stage 2: 25.6 M
        ({"stages": [2]}, 25_557_032 + 131_072),  # 25.7 M
        ({"stages": [3]}, 25_557_032 + 786_432),  # 26.4 M
        ({"stages": [1, 2, 3]}, 25_557_032 + 942_080),  # without the last stage: 3.7 % more
        ({"placement": "inner"}, 25_557_032 + 157_184),  # after the 3×3: 25.8 M
        ({"bias": True}, 28_088_024),  # the released Caffe models, pytorchcv, timm: 28.09 M
    ],
)
def test_se_ablations(settings, exact):
    """Tables 13 and 15 of the SE paper, whose stages are numbered from the stem."""
    assert parameters(on_meta("resnet50", attention="se", **settings)) == exact


@pytest.mark.parametrize(
    ("host", "exact"),
    [("resnet18", 11_778_592), ("resnet50", 28_088_024), ("resnet101", 49_326_872)],
)
def test_se_with_biases(host, exact):
    assert parameters(on_meta(host, attention="se", bias=True)) == exact


def test_se_macs_in_v1_are_the_papers():
    """3.858 + the layers 0.0025 + pooling and scaling 0.011 = "3.87" billion."""
    count = macs(on_meta("resnet50", attention="se", version="1"))
    assert count == 3_857_973_248 + 2_514_944
    maps = 3 * 256 * 56**2 + 4 * 512 * 28**2 + 6 * 1024 * 14**2 + 3 * 2048 * 7**2
    assert round((count + 2 * maps) / 1e9, 2) == 3.87


def test_mobilenet_with_se_as_coordinate_attention_compares_it():
    assert parameters(on_meta("mobilenet_v2", attention="se", bias=False)) == 3_880_808


def test_gam_needs_groups():
    """Why the paper groups the convolutions in ResNet-50; with 4, as copied, even more so."""
    assert parameters(on_meta("resnet18", attention="gam", reduction=4)) == 29_107_112
    assert round(parameters(on_meta("resnet50", attention="gam", reduction=4)) / 1e6, 1) == 528.6


# --- the plan -----------------------------------------------------------------------------------


def test_options_override_the_recipe():
    network = on_meta("resnet50", attention="eca", kernel_size=9)
    assert parameters(network) == 25_557_032 + 9 * 16


def test_options_follow_the_channels():
    row = recipe("eca", "mobilenet_v2")
    assert row.options_for(16) == row.options_for(95) == {"kernel_size": 1}
    assert row.options_for(96) == row.options_for(320) == {"kernel_size": 3}
    assert recipe("se", "resnet50").options_for(256) == {}


def test_cbam_starts_with_half_a_gate_as_published():
    x = torch.randn(2, 64, 8, 8)
    published = attnlib.networks.resnet18(attention="cbam").layer1[0].attention
    assert torch.equal(published.attention(x).spatial, torch.full((2, 1, 8, 8), 0.5))
    paper = attnlib.networks.resnet18(attention="cbam", recipe="paper").layer1[0].attention
    assert paper.attention(x).spatial.std() > 0


@pytest.mark.parametrize(
    ("arguments", "settings", "error", "message"),
    [
        (("resnet18", "se"), {"recipe": "mine"}, ValueError, "'published' or 'paper', got 'mine'"),
        (("resnet18", "see"), {}, ValueError, "unknown attention mechanism 'see': did you mean"),
        (("vgg", "se"), {}, ValueError, "no recipe for 'se' in 'vgg'; there is one for mobilenet"),
        (("resnet18", "se"), {"placement": "end"}, ValueError, "must be one of branch, inner, sta"),
        (("resnet18", "se"), {"placement": "head"}, ValueError, "placement must be one of"),
        (("resnet18", None), {"stages": (1,)}, TypeError, "without .* no use for stages"),
        (("resnet18", None), {"placement": "branch"}, TypeError, "no use for placement"),
        (("resnet18", None), {"options": {"r": 1}}, TypeError, "no use for r$"),
    ],
)
def test_bad_arguments(arguments, settings, error, message):
    with pytest.raises(error, match=message):
        Plan(*arguments, **settings)
