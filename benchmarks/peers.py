"""The other implementations, each beside the module of attnlib that computes the same.

A case pairs one mechanism with modules of ``fightingcv-attention``, ``pytorchcv`` and torch. They
are built with random weights; the module of attnlib takes over the weights of each by
``attnlib.convert_state_dict``, so that every comparison is between two forms of one function, which
``equal`` proves on the very input that is timed. A peer that computes something else is measured
too, but not ranked.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

import attnlib

FIGHTING, PYTORCHCV, TORCH, COPIED = (
    "fightingcv-attention",
    "pytorchcv",
    "torch.nn",
    "widely copied code",
)
LARGE, SMALL, LONG, SEQUENCE = (8, 256, 56, 56), (32, 512, 7, 7), (2, 512, 65, 65), (8, 784, 256)


@dataclass(frozen=True)
class Peer:
    """Somebody else's module, and what attnlib needs to be told to compute the same."""

    package: str
    build: Callable[[int], nn.Module]
    #: Options that leave no trace in the weights.
    options: dict[str, Any] = field(default_factory=dict)
    #: Why it computes another function than any attnlib offers; such a peer is not ranked.
    differs: str | None = None


@dataclass(frozen=True)
class Case:
    mechanism: str
    peers: tuple[Peer, ...]
    #: Input sizes, the first one first: it counts for the geometric mean.
    sizes: tuple[tuple[int, ...], ...] = (LARGE, SMALL)
    #: Options of attnlib's module where it stands alone (compiled, beside the copy).
    options: dict[str, Any] = field(default_factory=dict)
    #: How the module of attnlib is built from a peer's weights.
    match: Callable[[str, nn.Module, int, dict[str, Any]], nn.Module] | None = None

    def pair(self, peer: Peer, channels: int) -> tuple[nn.Module, nn.Module]:
        """The peer with random weights, and attnlib's module with the same ones."""
        theirs = randomise(peer.build(channels))
        if peer.differs:
            return theirs, attnlib.create(self.mechanism, channels, **self.options)
        return theirs, (self.match or converted)(self.mechanism, theirs, channels, peer.options)


def converted(name: str, theirs: nn.Module, channels: int, options: dict[str, Any]) -> nn.Module:
    """attnlib's module with the weights of ``theirs``."""
    state = attnlib.convert_state_dict(name, theirs.state_dict())
    ours = attnlib.create(name, channels, **{**state.options, **options})
    ours.load_state_dict(state)
    return ours


def _sequence(name: str, theirs: nn.Module, channels: int, options: dict[str, Any]) -> nn.Module:
    """The sequence form, (B, N, C), of multi-head attention."""
    module = converted(name, getattr(theirs, "module", theirs), channels, {"heads": 8})
    sequence: nn.Module = module.get_submodule("sequence")
    return sequence


def randomise(module: nn.Module, seed: int = 0) -> nn.Module:
    """Weights and statistics away from the values that they start from, γ = 0 above all."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for p in module.parameters():
            scale = 0.3 if p.dim() < 2 else 0.6 / math.sqrt(p[0].numel())
            p.copy_(torch.randn(p.shape, generator=generator) * scale)
        for name, buffer in module.named_buffers():
            if name.endswith("running_var"):
                buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
            elif name.endswith("running_mean"):
                buffer.copy_(torch.randn(buffer.shape, generator=generator) * 0.1)
    return module


def equal(theirs: nn.Module, ours: nn.Module, x: Tensor) -> bool:
    """Whether both give the same output, in eval mode, to the rounding of x's dtype."""
    with torch.no_grad():
        a, b = theirs.eval()(x), ours.eval()(x)
    tolerance = 1e-4 if x.dtype == torch.float32 else 3e-2
    return bool((a - b).abs().max() <= tolerance * max(a.abs().max().item(), 1.0))


# --- the peers ------------------------------------------------------------------------------------


def _class(path: str) -> Any:
    module, _, name = path.rpartition(".")
    return getattr(import_module(module), name)


def _fighting(path: str, *arguments: Any, **settings: Any) -> Callable[[int], nn.Module]:
    """Built from the channel count, then ``arguments``."""

    def build(channels: int) -> nn.Module:
        cls = _class(f"fightingcv_attention.attention.{path}")
        module: nn.Module = cls(channels, *arguments, **settings)
        return module

    return build


def _pytorchcv(path: str) -> Callable[[int], nn.Module]:
    def build(channels: int) -> nn.Module:
        module: nn.Module = _class(f"pytorchcv.models.{path}")(channels)
        return module

    return build


def _padded_bam(channels: int) -> nn.Module:
    """The copied BAM with its padding mended: as it stands it runs on 7×7 maps only."""
    bam = _fighting("BAM.BAMBlock")(channels)
    for module in bam.modules():
        if isinstance(module, nn.Conv2d) and module.dilation != (1, 1):
            module.padding = module.dilation
    return bam


class _CopiedGAM(nn.Module):
    """``GAM_Attention`` as it goes round; no package has it."""

    def __init__(self, channels: int, rate: int = 4) -> None:
        super().__init__()
        hidden = channels // rate
        self.channel_attention = nn.Sequential(
            nn.Linear(channels, hidden), nn.ReLU(inplace=True), nn.Linear(hidden, channels)
        )
        self.spatial_attention = nn.Sequential(
            nn.Conv2d(channels, hidden, 7, padding=3),
            nn.BatchNorm2d(hidden),
            nn.ReLU(inplace=True),
            nn.Conv2d(hidden, channels, 7, padding=3),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        b, c, h, w = x.shape
        rows = x.permute(0, 2, 3, 1).view(b, -1, c)
        gate = self.channel_attention(rows).view(b, h, w, c).permute(0, 3, 1, 2)
        x = x * gate
        return x * self.spatial_attention(x).sigmoid()


class _Twice(nn.Module):
    """The same module applied to its own output, as CCNet does."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.module(self.module(x))
        return y


class _Both(nn.Module):
    """DANet's two attentions added up; pytorchcv has them as two modules."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.position = _pytorchcv("danet.PosAttBlock")(channels)
        self.channel: nn.Module = _class("pytorchcv.models.danet.ChaAttBlock")()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.position(x) + self.channel(x)
        return y


def _dual(name: str, theirs: nn.Module, channels: int, options: dict[str, Any]) -> nn.Module:
    ours = attnlib.create(name, channels, **options)
    for part in ("position", "channel"):
        state = attnlib.convert_state_dict(part, theirs.get_submodule(part).state_dict())
        ours.get_submodule(part).load_state_dict(state)
    return ours


class _SelfAttention(nn.Module):
    """A module of queries, keys and values, called with one sequence for all three."""

    def __init__(self, module: nn.Module, **call: Any) -> None:
        super().__init__()
        self.module, self.call = module, call

    def forward(self, x: Tensor) -> Tensor:
        y = self.module(x, x, x, **self.call)
        return y[0] if isinstance(y, tuple) else y


def _torch_multihead(channels: int) -> nn.Module:
    return _SelfAttention(nn.MultiheadAttention(channels, 8, batch_first=True), need_weights=False)


def _copied_multihead(channels: int) -> nn.Module:
    cls = _class("fightingcv_attention.attention.SelfAttention.ScaledDotProductAttention")
    d = channels // 8
    # Its dropout of 0.1 on the weights would have no counterpart on the other side.
    return _SelfAttention(cls(channels, d, d, 8, dropout=0.0))


def _loose(name: str, theirs: nn.Module, channels: int, options: dict[str, Any]) -> nn.Module:
    """Weights below the name of a wrapper."""
    return converted(name, getattr(theirs, "module", theirs), channels, options)


CASES: tuple[Case, ...] = (
    Case(
        "multihead",
        (Peer(TORCH, _torch_multihead), Peer(FIGHTING, _copied_multihead)),
        (SEQUENCE,),
        match=_sequence,
    ),
    Case(
        "se",
        (
            Peer(FIGHTING, _fighting("SEAttention.SEAttention")),
            Peer(PYTORCHCV, _pytorchcv("common.att.SEBlock")),
        ),
    ),
    Case(
        "cbam",
        (
            Peer(FIGHTING, _fighting("CBAM.CBAMBlock", 16, 7)),
            Peer(PYTORCHCV, _pytorchcv("cbamresnet.CbamBlock")),
        ),
    ),
    Case("bam", (Peer(FIGHTING, _padded_bam), Peer(PYTORCHCV, _pytorchcv("bamresnet.BamBlock")))),
    Case(
        "eca",
        (
            Peer(
                FIGHTING,
                lambda channels: _class("fightingcv_attention.attention.ECAAttention.ECAAttention")(
                    5
                ),
            ),
        ),
    ),
    Case(
        "shuffle",
        (
            Peer(FIGHTING, _fighting("ShuffleAttention.ShuffleAttention", G=8), {"groups": 8}),
            Peer(
                f"{FIGHTING}, G = 64",
                _fighting("ShuffleAttention.ShuffleAttention", G=64),
                {"groups": 64},
            ),
        ),
    ),
    Case(
        "psa_parallel",
        (Peer(FIGHTING, _fighting("PolarizedSelfAttention.ParallelPolarizedSelfAttention")),),
    ),
    Case(
        "psa_sequential",
        (Peer(FIGHTING, _fighting("PolarizedSelfAttention.SequentialPolarizedSelfAttention")),),
    ),
    Case(
        "sge",
        (
            Peer(
                FIGHTING,
                lambda channels: _class("fightingcv_attention.attention.SGE.SpatialGroupEnhance")(
                    64
                ),
            ),
        ),
    ),
    Case(
        "coordinate",
        (
            Peer(
                FIGHTING,
                lambda channels: _class("fightingcv_attention.attention.CoordAttention.CoordAtt")(
                    channels, channels
                ),
            ),
        ),
    ),
    Case("gam", (Peer(COPIED, _CopiedGAM),)),
    Case("position", (Peer(PYTORCHCV, _pytorchcv("danet.PosAttBlock")),), (LONG, SMALL)),
    Case(
        "channel",
        (Peer(PYTORCHCV, lambda channels: _class("pytorchcv.models.danet.ChaAttBlock")()),),
        (LONG, SMALL),
    ),
    # Its two parts are measured at the large input.
    Case("danet", (Peer(PYTORCHCV, _Both, {"max_minus": True}),), (SMALL,), match=_dual),
    Case(
        "criss_cross",
        (Peer(FIGHTING, _fighting("CrissCrossAttention.CrissCrossAttention")),),
        (LONG, SMALL),
    ),
    Case(
        "ccnet",
        (
            Peer(
                FIGHTING,
                lambda channels: _Twice(
                    _fighting("CrissCrossAttention.CrissCrossAttention")(channels)
                ),
                {"recurrences": 2},
            ),
        ),
        (LONG, SMALL),
        match=_loose,
    ),
)
