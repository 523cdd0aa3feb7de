"""The registry: every mechanism under a short key, with what is known of its paper.

>>> import attnlib
>>> attnlib.create("se", 64, reduction=8)
SqueezeExcitation(
  64, reduction=8
  (fc1): Linear(in_features=64, out_features=8, bias=False)
  (fc2): Linear(in_features=8, out_features=64, bias=False)
)
>>> attnlib.info("se").year
2018
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from torch import nn

from attnlib import mechanisms

__all__ = ["Info", "Paper", "available", "create", "info", "register"]


@dataclass(frozen=True)
class Paper:
    """Where a mechanism was published."""

    title: str
    authors: tuple[str, ...]
    venue: str
    year: int
    arxiv: str  #: arXiv id, such as ``"1709.01507"``
    code: str | None  #: the authors' repository, ``None`` where none was found

    @property
    def url(self) -> str:
        return f"https://arxiv.org/abs/{self.arxiv}"


@dataclass(frozen=True)
class Info:
    """What the registry knows of one mechanism."""

    key: str
    module: Callable[..., nn.Module]  #: the class, called as ``module(channels, **options)``
    paper: Paper
    chapter: str  #: stem of the chapter, of the library's file and of its test
    kind: str  #: ``"gate"`` (sigmoid, each weight on its own) or ``"mixture"`` (softmax)
    attends: str  #: what the weights run over: ``"channels"``, ``"positions"`` or both

    @property
    def options(self) -> tuple[str, ...]:
        """Names of the keyword arguments that ``create`` accepts for this mechanism."""
        parameters = inspect.signature(self.module).parameters.values()
        return tuple(p.name for p in parameters if p.kind is p.KEYWORD_ONLY)

    # The fields of the paper, so that ``info(key).title`` reads as one expects.
    @property
    def title(self) -> str:
        return self.paper.title

    @property
    def authors(self) -> tuple[str, ...]:
        return self.paper.authors

    @property
    def venue(self) -> str:
        return self.paper.venue

    @property
    def year(self) -> int:
        return self.paper.year

    @property
    def arxiv(self) -> str:
        return self.paper.arxiv

    @property
    def code(self) -> str | None:
        return self.paper.code


_REGISTRY: dict[str, Info] = {}


def register(
    key: str,
    module: Callable[..., nn.Module],
    *,
    paper: Paper,
    chapter: str,
    kind: str,
    attends: str,
) -> Info:
    """Add a mechanism under ``key``; a key that is taken is a ``ValueError``."""
    if key in _REGISTRY:
        raise ValueError(f"the key {key!r} is taken by {_REGISTRY[key].module.__name__}")
    entry = Info(key, module, paper, chapter, kind, attends)
    _REGISTRY[key] = entry
    return entry


def available() -> tuple[str, ...]:
    """The registered keys, in the order in which they were registered."""
    return tuple(_REGISTRY)


def info(key: str) -> Info:
    """What is known of the mechanism ``key``.

    Raises:
        ValueError: if there is no such key; the message names the nearest ones.
    """
    try:
        return _REGISTRY[key]
    except (KeyError, TypeError):
        near = get_close_matches(str(key).lower(), _REGISTRY, n=3, cutoff=0.5)
        hint = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
        raise ValueError(
            f"unknown attention mechanism {key!r}: {hint}available: {', '.join(_REGISTRY)}"
        ) from None


def create(key: str, channels: int, **options: Any) -> nn.Module:
    """Build the mechanism ``key`` for feature maps of ``channels`` channels.

    Args:
        key: one of ``available()``.
        channels: number of channels of the input.
        options: keyword arguments of the class, ``info(key).options``.

    Raises:
        ValueError: if there is no such key, or an option has a value that is not allowed.
        TypeError: if there is no such option.
    """
    entry = info(key)
    unknown = sorted(set(options) - set(entry.options))
    if unknown:
        raise TypeError(
            f"{key!r} has no option {', '.join(map(repr, unknown))}; "
            f"its options are {', '.join(entry.options)}"
        )
    return entry.module(channels, **options)


register(
    "se",
    mechanisms.SqueezeExcitation,
    paper=Paper(
        "Squeeze-and-Excitation Networks",
        ("Jie Hu", "Li Shen", "Samuel Albanie", "Gang Sun", "Enhua Wu"),
        "CVPR 2018; TPAMI 2020",
        2018,
        "1709.01507",
        "https://github.com/hujie-frank/SENet",
    ),
    chapter="se",
    kind="gate",
    attends="channels",
)
register(
    "cbam",
    mechanisms.CBAM,
    paper=Paper(
        "CBAM: Convolutional Block Attention Module",
        ("Sanghyun Woo", "Jongchan Park", "Joon-Young Lee", "In So Kweon"),
        "ECCV 2018",
        2018,
        "1807.06521",
        "https://github.com/Jongchan/attention-module",
    ),
    chapter="cbam",
    kind="gate",
    attends="channels and positions",
)
register(
    "bam",
    mechanisms.BAM,
    paper=Paper(
        "BAM: Bottleneck Attention Module",
        ("Jongchan Park", "Sanghyun Woo", "Joon-Young Lee", "In So Kweon"),
        "BMVC 2018",
        2018,
        "1807.06514",
        "https://github.com/Jongchan/attention-module",
    ),
    chapter="bam",
    kind="gate",
    attends="channels and positions",
)
register(
    "eca",
    mechanisms.EfficientChannelAttention,
    paper=Paper(
        "ECA-Net: Efficient Channel Attention for Deep Convolutional Neural Networks",
        (
            "Qilong Wang",
            "Banggu Wu",
            "Pengfei Zhu",
            "Peihua Li",
            "Wangmeng Zuo",
            "Qinghua Hu",
        ),
        "CVPR 2020",
        2020,
        "1910.03151",
        "https://github.com/BangguWu/ECANet",
    ),
    chapter="eca",
    kind="gate",
    attends="channels",
)
register(
    "shuffle",
    mechanisms.ShuffleAttention,
    paper=Paper(
        "SA-Net: Shuffle Attention for Deep Convolutional Neural Networks",
        ("Qing-Long Zhang", "Yu-Bin Yang"),
        "ICASSP 2021",
        2021,
        "2102.00240",
        "https://github.com/wofmanaf/SA-Net",
    ),
    chapter="shuffle",
    kind="gate",
    attends="channels and positions",
)

register(
    "sge",
    mechanisms.SpatialGroupEnhance,
    paper=Paper(
        "Spatial Group-wise Enhance: Enhancing Semantic Feature Learning in CNN",
        ("Yuxuan Li", "Xiang Li", "Jian Yang"),
        "arXiv 2019; ACCV 2022",
        2019,
        "1905.09646",
        "https://github.com/implus/PytorchInsight",
    ),
    chapter="sge",
    kind="gate",
    attends="positions",
)

_POLARIZED = Paper(
    "Polarized Self-Attention: Towards High-quality Pixel-wise Regression",
    ("Huajun Liu", "Fuqiang Liu", "Xinyi Fan", "Dong Huang"),
    "arXiv 2021; Neurocomputing 2022",
    2021,
    "2107.00782",
    "https://github.com/DeLightCMU/PSA",
)
register(
    "psa_parallel",
    mechanisms.ParallelPolarizedSelfAttention,
    paper=_POLARIZED,
    chapter="polarized",
    kind="gate",
    attends="channels and positions",
)
register(
    "psa_sequential",
    mechanisms.SequentialPolarizedSelfAttention,
    paper=_POLARIZED,
    chapter="polarized",
    kind="gate",
    attends="channels and positions",
)
register(
    "coordinate",
    mechanisms.CoordinateAttention,
    paper=Paper(
        "Coordinate Attention for Efficient Mobile Network Design",
        ("Qibin Hou", "Daquan Zhou", "Jiashi Feng"),
        "CVPR 2021",
        2021,
        "2103.02907",
        "https://github.com/houqb/CoordAttention",
    ),
    chapter="coordinate",
    kind="gate",
    attends="channels and positions",
)

register(
    "gam",
    mechanisms.GlobalAttention,
    paper=Paper(
        "Global Attention Mechanism: Retain Information to Enhance Channel-Spatial Interactions",
        ("Yichao Liu", "Zongru Shao", "Nico Hoffmann"),
        "arXiv 2021",
        2021,
        "2112.05561",
        None,
    ),
    chapter="gam",
    kind="gate",
    attends="channels and positions",
)
_DANET = Paper(
    "Dual Attention Network for Scene Segmentation",
    ("Jun Fu", "Jing Liu", "Haijie Tian", "Yong Li", "Yongjun Bao", "Zhiwei Fang", "Hanqing Lu"),
    "CVPR 2019",
    2019,
    "1809.02983",
    "https://github.com/junfu1115/DANet",
)
register(
    "position",
    mechanisms.PositionAttention,
    paper=_DANET,
    chapter="danet",
    kind="mixture",
    attends="positions",
)
register(
    "channel",
    mechanisms.ChannelAttention,
    paper=_DANET,
    chapter="danet",
    kind="mixture",
    attends="channels",
)
register(
    "danet",
    mechanisms.DualAttention,
    paper=_DANET,
    chapter="danet",
    kind="mixture",
    attends="channels and positions",
)
_CCNET = Paper(
    "CCNet: Criss-Cross Attention for Semantic Segmentation",
    (
        "Zilong Huang",
        "Xinggang Wang",
        "Lichao Huang",
        "Chang Huang",
        "Yunchao Wei",
        "Wenyu Liu",
    ),
    "ICCV 2019; TPAMI 2023",
    2019,
    "1811.11721",
    "https://github.com/speedinghzl/CCNet",
)
register(
    "criss_cross",
    mechanisms.CrissCrossAttention,
    paper=_CCNET,
    chapter="ccnet",
    kind="mixture",
    attends="positions",
)
register(
    "ccnet",
    mechanisms.RecurrentCrissCrossAttention,
    paper=_CCNET,
    chapter="ccnet",
    kind="mixture",
    attends="positions",
)
register(
    "multihead",
    mechanisms.MultiHeadAttention,
    paper=Paper(
        "Attention Is All You Need",
        (
            "Ashish Vaswani",
            "Noam Shazeer",
            "Niki Parmar",
            "Jakob Uszkoreit",
            "Llion Jones",
            "Aidan N. Gomez",
            "Łukasz Kaiser",
            "Illia Polosukhin",
        ),
        "NeurIPS 2017",
        2017,
        "1706.03762",
        "https://github.com/tensorflow/tensor2tensor",
    ),
    chapter="multihead",
    kind="mixture",
    attends="positions",
)
