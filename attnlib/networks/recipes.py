"""Where each mechanism goes in each network, with which options, and what it then counts.

One table, used three ways: the networks build from it, the tests assert it, the book prints it.

>>> from attnlib.networks import recipe
>>> row = recipe("eca", "resnet50")
>>> row.placement, row.parameters
('branch', 25557112)
>>> [row.options_for(channels) for channels in (256, 512, 1024, 2048)]
[{'kernel_size': 3}, {'kernel_size': 5}, {'kernel_size': 5}, {'kernel_size': 7}]

Counts are exact. Parameters are the trainable ones, without BatchNorm's running statistics. MACs
are the multiply-accumulates of convolutions, linear layers and matrix products for one image of
224 × 224 (half of what ``torch.utils.flop_counter`` counts). Three traps when comparing them with
what papers print: some count in units of 2²⁰ ("24.37 M" and "25.56 M" are the same ResNet-50), some
mean ResNet v1 and some v1.5 (3.86 and 4.09 billion MACs), and some include running statistics.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from torch import nn

from attnlib import registry

__all__ = ["PLACEMENTS", "RECIPES", "Plan", "Recipe", "recipe"]

RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152")
HOSTS = (*RESNETS, "mobilenet_v2")

#: The places that the networks offer.
PLACEMENTS: Mapping[str, str] = {
    "branch": "at the end of the residual branch, after its last BatchNorm, before the addition",
    "inner": "inside the block, after its (first) 3×3 convolution with BatchNorm and activation; "
    "in MobileNetV2 only in the blocks that expand",
    "stage": "once after each stage that is followed by a downsampling one, except the stem",
    "last": "once, after the last stage",
    "head": "inside a segmentation head",
}


@dataclass(frozen=True)
class Recipe:
    """One row: a mechanism in a host network, after a source (``"published"``) or as the modules
    default to (``"paper"``)."""

    mechanism: str | None  #: registry key; ``None`` for the host alone
    host: str  #: name of the function in ``attnlib.networks``
    name: str  #: ``"published"`` or ``"paper"``
    placement: str  #: one of ``PLACEMENTS``; empty for the host alone
    #: (C, options) in rising order: from C channels on, the module gets these options.
    steps: tuple[tuple[int, Mapping[str, Any]], ...] = ()
    stages: tuple[int, ...] | None = None  #: numbers of the stages; ``None`` for all
    parameters: int | None = None
    macs: int | None = None
    source: str = ""  #: where the configuration or the count was published

    def options_for(self, channels: int) -> dict[str, Any]:
        """The options of a module that sees ``channels`` channels."""
        chosen: Mapping[str, Any] = {}
        for start, options in self.steps:
            if channels >= start:
                chosen = options
        return dict(chosen)


class Plan:
    """A recipe made concrete for one network: says where modules go, and builds them.

    Args:
        host: name of the host network.
        attention: registry key, or ``None`` for the host alone.
        recipe: ``"published"`` or ``"paper"``.
        placement: overrides the recipe's placement.
        stages: numbers of the stages that get attention (1 is the first), ``None`` for all, or
            for those of the recipe where its placement is kept.
        options: keyword arguments of the mechanism, which override the recipe's.
    """

    def __init__(
        self,
        host: str,
        attention: str | None,
        *,
        recipe: str = "published",
        placement: str | None = None,
        stages: tuple[int, ...] | None = None,
        options: Mapping[str, Any] | None = None,
    ) -> None:
        self.options = dict(options or {})
        if attention is None and (self.options or placement is not None or stages is not None):
            given = [
                *self.options,
                "placement" * (placement is not None),
                "stages" * (stages is not None),
            ]
            names = ", ".join(filter(None, given))
            raise TypeError(f"without attention=... there is no use for {names}")
        self.row = find(attention, host, recipe)
        offered = [p for p in PLACEMENTS if p != "head"]
        if placement is not None and placement not in offered:
            raise ValueError(f"placement must be one of {', '.join(offered)}, got {placement!r}")
        self.placement = self.row.placement if placement is None else placement
        self.stages = self.row.stages if stages is None and placement is None else stages

    def at(self, placement: str, channels: int, *, stage: int) -> nn.Module | None:
        """The module for a place of that kind in that stage, or ``None`` where none goes."""
        if self.placement != placement or (self.stages is not None and stage not in self.stages):
            return None
        assert self.row.mechanism is not None
        options = {**self.row.options_for(channels), **self.options}
        return registry.create(self.row.mechanism, channels, **options)


def host_modules(module: nn.Module) -> Iterator[nn.Module]:
    """Every module of the host, without those inside attention modules, which start themselves."""
    yield module
    for name, child in module.named_children():
        if name != "attention":
            yield from host_modules(child)


class Count(NamedTuple):
    """What a host with a mechanism counts, and who says so."""

    parameters: int
    macs: int | None = None
    source: str = "not published; by this library's closed formula"


Steps = tuple[tuple[int, Mapping[str, Any]], ...]


def _steps(given: Mapping[str, Any] | Steps) -> Steps:
    """The same options for any number of channels are a single step from 0 on."""
    if isinstance(given, Mapping):
        return ((0, given),)
    return given


def _rows(
    mechanism: str,
    placement: str,
    *,
    hosts: tuple[str, ...] = RESNETS,
    source: str,
    published: Mapping[str, Any] | Steps = (),
    paper: Mapping[str, Any] | Steps = (),
    stages: tuple[int, ...] | None = None,
    counts: Mapping[str, Count] | None = None,
    paper_counts: Mapping[str, Count] | None = None,
) -> Iterator[Recipe]:
    """Two rows per host: the published configuration, and the modules' defaults."""
    for host in hosts:
        for name, given, known in (
            ("published", published, counts),
            # Where both configurations are the same, so are the counts.
            ("paper", paper, paper_counts if paper != published or paper_counts else counts),
        ):
            count = (known or {}).get(host)
            yield Recipe(
                mechanism,
                host,
                name,
                placement,
                _steps(given),
                stages,
                count.parameters if count else None,
                count.macs if count else None,
                f"{source} {count.source}." if count else source,
            )


def _eca(*kernels: int, first: int) -> Steps:
    """One kernel per stage, whose channels double from ``first``."""
    return tuple((first * 2**i, {"kernel_size": k}) for i, k in enumerate(kernels))


#: The form that BAM's authors released, whose branches are multiplied.
BAM_AUTHORS: Mapping[str, Any] = {"combine": "product", "norm": "hidden"}


def _hosts() -> Iterator[Recipe]:
    """The networks alone: parameters, MACs in the v1.5 form."""
    for host, parameters, macs in (
        ("resnet18", 11_689_512, 1_814_073_344),
        ("resnet34", 21_797_672, 3_663_761_408),
        ("resnet50", 25_557_032, 4_089_184_256),
        ("resnet101", 44_549_160, 7_801_405_440),
        ("resnet152", 60_192_808, 11_513_626_624),
        ("mobilenet_v2", 3_504_872, 300_774_272),
    ):
        for name in ("published", "paper"):
            yield Recipe(None, host, name, "", parameters=parameters, macs=macs)


#: MACs of the bottleneck ResNets in the v1 form, whose stride sits in the first 1×1 convolution:
#: the "3.86 GFLOPs" of the SE and CBAM papers.
MACS_V1: Mapping[str, int] = {
    "resnet50": 3_857_973_248,
    "resnet101": 7_570_194_432,
    "resnet152": 11_282_415_616,
}

RECIPES: tuple[Recipe, ...] = (
    *_hosts(),
    # --- at the end of every residual branch ---
    *_rows(
        "se",
        "branch",
        source="Paper, figure 3 and table 10: no biases.",
        counts={
            "resnet18": Count(11_776_552),
            "resnet34": Count(21_954_856),
            "resnet50": Count(28_071_976, 4_091_699_200, "Printed: 28.1 M"),
            "resnet101": Count(49_292_328),
            "resnet152": Count(66_770_984),
        },
    ),
    *_rows(
        "cbam",
        "branch",
        source="Authors' code, Jongchan/attention-module: the gate's BatchNorm starts at 0.",
        published={"zero_init": True},
        counts={
            "resnet18": Count(11_779_392),
            "resnet34": Count(21_960_468),
            "resnet50": Count(28_089_624, 4_095_573_110, "Printed: 28.09 M"),
            "resnet101": Count(49_330_172, None, "Printed: 49.33 M"),
        },
        paper_counts={"resnet50": Count(28_089_624, 4_095_573_110)},
    ),
    *_rows(
        "eca",
        "branch",
        hosts=("resnet18",),
        source="README of BangguWu/ECANet: kernels 3, 5, 7, 7 set by hand.",
        published=_eca(3, 5, 7, 7, first=64),
        counts={"resnet18": Count(11_689_556, None, "Printed: 11.148 (in units of 2²⁰)")},
    ),
    *_rows(
        "eca",
        "branch",
        hosts=("resnet34",),
        source="README of BangguWu/ECANet: kernels 3, 3, 5, 7 set by hand.",
        published=_eca(3, 3, 5, 7, first=64),
        counts={"resnet34": Count(21_797_744, None, "Printed: 20.788 (in units of 2²⁰)")},
    ),
    *_rows(
        "eca",
        "branch",
        hosts=("resnet50",),
        source="README of BangguWu/ECANet: kernels 3, 5, 5, 7 set by hand.",
        published=_eca(3, 5, 5, 7, first=256),
        counts={
            "resnet50": Count(25_557_112, 4_089_270_528, "Printed: 24.37 (in units of 2²⁰)"),
        },
        paper_counts={"resnet50": Count(25_557_118)},
    ),
    *_rows(
        "eca",
        "branch",
        hosts=("resnet101", "resnet152"),
        source="README of BangguWu/ECANet: kernels 3, 3, 5, 7 set by hand.",
        published=_eca(3, 3, 5, 7, first=256),
        counts={
            "resnet101": Count(44_549_317, None, "Printed: 42.486 (in units of 2²⁰)"),
            "resnet152": Count(60_193_042, None, "Printed: 57.405 (in units of 2²⁰)"),
        },
    ),
    *_rows(
        "shuffle",
        "branch",
        hosts=("resnet18", "resnet34"),
        source="The paper has no basic blocks; 64 groups do not divide the first stage's channels.",
        published=((64, {"groups": 32}), (128, {"groups": 64})),
        paper=((64, {"groups": 32}), (128, {})),
    ),
    *_rows(
        "shuffle",
        "branch",
        hosts=("resnet50", "resnet101", "resnet152"),
        source="README of wofmanaf/SA-Net.",
        counts={
            "resnet50": Count(25_557_740, None, "Printed: 25.56 M"),
            "resnet101": Count(44_550_684, None, "Printed: 44.55 M"),
        },
    ),
    *_rows(
        "sge",
        "branch",
        source="README of implus/PytorchInsight.",
        counts={
            "resnet18": Count(11_690_536),
            "resnet50": Count(25_559_080, None, "Printed: 25.56 M"),
            "resnet101": Count(44_553_384, None, "Printed: 44.55 M"),
        },
    ),
    *_rows(
        "coordinate",
        "branch",
        source="An author, houqb/CoordAttention issue 27: after the last 1×1 convolution, as SE.",
    ),
    *_rows(
        "gam",
        "branch",
        source="No authors' code found. The paper groups the convolutions in ResNet-50.",
        counts={"resnet18": Count(16_049_672), "resnet50": Count(151_368_424)},
    ),
    # --- after the 3×3 convolution of every block ---
    *_rows(
        "psa_parallel",
        "inner",
        source="Placement: paper. Options: authors' code, DeLightCMU/PSA, which uses HRNet.",
        published={"spatial_softmax": "product", "channel_out": "linear"},
        counts={"resnet50": Count(28_075_752)},
    ),
    *_rows(
        "psa_sequential",
        "inner",
        source="Placement: paper. Options: authors' code, DeLightCMU/PSA, which uses HRNet.",
        published={"spatial_softmax": "value", "channel_out": "bottleneck"},
    ),
    # --- after stages 1, 2, 3 ---
    *_rows(
        "bam",
        "stage",
        source="Authors' code, Jongchan/attention-module: branches multiplied.",
        published=BAM_AUTHORS,
        counts={
            "resnet50": Count(25_915_099, 4_171_331_328, "Printed: 25.92 M"),
            "resnet101": Count(44_907_227, None, "Printed: 44.91 M"),
        },
    ),
    # --- mixtures: published in segmentation heads, on a single map ---
    *(
        row
        for key in ("position", "channel", "criss_cross", "ccnet")
        for row in _rows(
            key,
            "last",
            hosts=HOSTS,
            source="Not published with a classifier; on the smallest map, where N² is small.",
        )
    ),
    *_rows(
        "danet",
        "last",
        hosts=HOSTS,
        source="Not published with a classifier; adds its input once, not once per branch.",
        published={"shared_residual": True},
    ),
    # Multi-head attention adds no input of its own, so it goes where a shortcut passes it by.
    *_rows(
        "multihead",
        "inner",
        stages=(4,),
        source="Not published in this form; in the last stage, where N² is small.",
        counts={"resnet50": Count(25_557_032 + 3 * 4 * 512**2)},
    ),
    *_rows(
        "multihead",
        "branch",
        hosts=("mobilenet_v2",),
        stages=(6,),
        source="Not published in this form; in the last stage with shortcuts, where N² is small.",
        counts={"mobilenet_v2": Count(3_504_872 + 3 * 4 * 160**2)},
    ),
    # --- MobileNetV2 ---
    *_rows(
        "se",
        "inner",
        hosts=("mobilenet_v2",),
        source="README of houqb/CoordAttention: r = 24.",
        published={"reduction": 24, "bias": True},
        counts={"mobilenet_v2": Count(3_888_208, None, "Printed: 3.89 M")},
    ),
    *_rows(
        "coordinate",
        "inner",
        hosts=("mobilenet_v2",),
        source="README of houqb/CoordAttention.",
        counts={"mobilenet_v2": Count(3_950_648, 306_666_368, "Printed: 3.95 M, 310 M MACs")},
    ),
    *_rows(
        "eca",
        "branch",
        hosts=("mobilenet_v2",),
        source="README of BangguWu/ECANet: kernels 1 below 96 channels, 3 from there on.",
        published=((0, {"kernel_size": 1}), (96, {"kernel_size": 3})),
        counts={"mobilenet_v2": Count(3_504_903, None, "Printed: 3.34 (in units of 2²⁰)")},
        paper_counts={"mobilenet_v2": Count(3_504_931)},
    ),
    *_rows(
        "cbam",
        "inner",
        hosts=("mobilenet_v2",),
        source="README of houqb/CoordAttention names the place, not the options.",
    ),
    *_rows(
        "bam",
        "stage",
        hosts=("mobilenet_v2",),
        source="Not published with this host; the paper's place in ResNets.",
        published=BAM_AUTHORS,
    ),
    *(
        row
        for key in ("shuffle", "sge")
        for row in _rows(
            key,
            "branch",
            hosts=("mobilenet_v2",),
            source="Not published with this host; 4 groups divide every stage's channels.",
            published={"groups": 4},
            paper={"groups": 4},
        )
    ),
    *_rows(
        "gam",
        "branch",
        hosts=("mobilenet_v2",),
        source="Not published with this host; the paper's place in ResNets.",
    ),
    *_rows(
        "psa_parallel",
        "inner",
        hosts=("mobilenet_v2",),
        source="Not published with this host; the paper's place in ResNets.",
        published={"spatial_softmax": "product", "channel_out": "linear"},
    ),
    *_rows(
        "psa_sequential",
        "inner",
        hosts=("mobilenet_v2",),
        source="Not published with this host; the paper's place in ResNets.",
        published={"spatial_softmax": "value", "channel_out": "bottleneck"},
    ),
    # --- segmentation: 19 classes, deep stem, output stride 8 ---
    *_rows(
        "danet",
        "head",
        hosts=("danet",),
        source="Authors' code, junfu1115/DANet.",
        published={"max_minus": True},
        counts={"danet": Count(66_578_555, None, "pytorchcv's README prints this number")},
        paper_counts={"danet": Count(66_578_555)},
    ),
    *_rows("ccnet", "head", hosts=("ccnet",), source="Authors' code, speedinghzl/CCNet."),
)


def recipe(mechanism: str | None, host: str, name: str = "published") -> Recipe:
    """The row for a mechanism in a host.

    Args:
        mechanism: a registry key, or ``None`` for the host alone.
        host: ``"resnet18"`` … ``"resnet152"``, ``"mobilenet_v2"``, ...
        name: ``"published"`` or ``"paper"``.

    Raises:
        ValueError: if there is no such row; the message says what there is.
    """
    if name not in ("published", "paper"):
        raise ValueError(f"recipe must be 'published' or 'paper', got {name!r}")
    if mechanism is not None:
        registry.info(mechanism)  # an unknown key is named with its nearest neighbours
    for row in RECIPES:
        if (row.mechanism, row.host, row.name) == (mechanism, host, name):
            return row
    hosts = sorted({row.host for row in RECIPES if row.mechanism == mechanism})
    raise ValueError(
        f"no recipe for {mechanism!r} in {host!r}; there is one for {', '.join(hosts)}"
    )


find = recipe  # inside Plan, where `recipe` names an argument
