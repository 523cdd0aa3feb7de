"""Weights of other people's modules, for the modules here.

>>> import torch, attnlib
>>> from torch import nn
>>> theirs = nn.Sequential()  # the SELayer that everybody has copied, as far as its weights go
>>> theirs.fc = nn.Sequential(nn.Linear(64, 4, bias=False), nn.ReLU(), nn.Linear(4, 64, bias=False))
>>> state = attnlib.convert_state_dict("se", theirs.state_dict())
>>> state.channels, state.options
(64, {'reduction': 16, 'bias': False})
>>> se = attnlib.create("se", state.channels, **state.options)
>>> se.load_state_dict(state)
<All keys matched successfully>
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor

from attnlib import registry

__all__ = ["ConvertedStateDict", "convert_state_dict"]

State = dict[str, Tensor]


class ConvertedStateDict(dict[str, Tensor]):
    """A state dict for a module of attnlib, with what the weights say of that module."""

    source: str  #: whose module the weights come from
    channels: int | None  #: C, or ``None`` where the weights do not depend on it
    options: dict[str, Any]  #: options of ``attnlib.create`` under which outputs are equal


def convert_state_dict(name: str, state_dict: Mapping[str, Tensor]) -> ConvertedStateDict:
    """Rename and reshape the weights of another implementation into those of attnlib.

    Whose weights they are is seen from their names: the authors' modules, the widely copied ones
    (moskomule's SE; the module ``fightingcv_attention``), those of ``pytorchcv`` and
    ``torch.nn.MultiheadAttention``. Common prefixes such as ``"module."`` are dropped.

    Args:
        name: key of the mechanism, one of ``attnlib.available()``.
        state_dict: the state dict of one module.

    Returns:
        the converted state dict, with ``source``, ``channels`` and ``options``:
        ``attnlib.create(name, C, **state.options)`` computes what the other module does. Three
        numbers leave no trace in the weights and are yours to add: ``groups`` of ``"shuffle"``,
        ``heads`` of ``"multihead"``, ``recurrences`` of ``"ccnet"``; likewise
        ``channel_sigmoid=True`` for those copies of GAM that have the sigmoid. The copied BAM's
        padding of 1 at dilation 2, which crops the map, is not reproduced.

    Raises:
        ValueError: if the names belong to no module known here; the message says what is known.
    """
    registry.info(name)
    layouts = LAYOUTS.get(name, ())
    for state in _without_prefixes(state_dict):
        for layout in layouts:
            names = layout.names(state) if callable(layout.names) else layout.names
            renamed = _rename(layout.merge(state), names)
            if not renamed:
                continue
            return _finish(name, layout, renamed)
    known = "; ".join(f"{a.source} ({_example(a)})" for a in layouts)
    raise ValueError(
        f"these are not the weights of a {name!r} known here: {', '.join(list(state_dict)[:6])}. "
        + (f"Known: {known}" if known else "None is known; convert its parts one by one")
    )


# --- the layouts --------------------------------------------------------------------------------


def _reduction(channels: int, hidden: int) -> int:
    """Some r with ⌊C/r⌋ = hidden."""
    return channels // hidden


class Layout(NamedTuple):
    """How one implementation names its weights, and what it computes in our terms."""

    source: str
    #: Their name of a layer or a parameter → ours; or a function that finds out, ``{}`` for "no".
    names: Mapping[str, str] | Callable[[State], Mapping[str, str]]
    #: From the renamed weights: C (or ``None``) and options.
    describe: Callable[[State], tuple[int | None, dict[str, Any]]]
    #: Done before renaming, where one tensor here is several there.
    merge: Callable[[State], State] = lambda state: state


def _se(state: State) -> tuple[int, dict[str, Any]]:
    hidden, channels = state["fc1.weight"].shape[:2]
    return channels, {"reduction": _reduction(channels, hidden), "bias": "fc1.bias" in state}


def _cbam(**options: Any) -> Callable[[State], tuple[int, dict[str, Any]]]:
    def describe(state: State) -> tuple[int, dict[str, Any]]:
        channels, found = _se(state)
        kernel_size = state["conv.weight"].shape[-1]
        norm = "norm.weight" in state
        return channels, {**found, "kernel_size": kernel_size, "norm": norm, **options}

    return describe


def _bam_names(channel: str, spatial: str) -> Callable[[State], Mapping[str, str]]:
    """The layers of both branches stand in order: layer, norm, …, layer, norm, layer.

    Ours have a ReLU after every norm, so theirs 0, 1, 2, 3, 4, … are ours 0, 1, 3, 4, 6, …
    """

    def names(state: State) -> Mapping[str, str]:
        found = {}
        for prefix, ours in ((channel, "channel_branch"), (spatial, "spatial_branch")):
            layers = dict.fromkeys(k.rpartition(".")[0] for k in state if k.startswith(prefix))
            for index, layer in enumerate(layers):
                found[layer] = f"{ours}.{3 * (index // 2) + index % 2}"
        return found

    return names


def _bam(**options: Any) -> Callable[[State], tuple[int, dict[str, Any]]]:
    def describe(state: State) -> tuple[int, dict[str, Any]]:
        hidden, channels = state["channel_branch.0.weight"].shape
        layers = [sum(k.startswith(b) and "weight" in k for k in state) for b in ("ch", "sp")]
        return channels, {
            "reduction": _reduction(channels, hidden),
            "norm": "hidden",
            "hidden_layers": layers[0] // 2,
            "dilated_layers": layers[1] // 2 - 1,
            **options,
        }

    return describe


def _eca(state: State) -> tuple[None, dict[str, Any]]:
    kernel_size = state["conv.weight"].shape[-1]
    return None, {"kernel_size": kernel_size, "bias": "conv.bias" in state}


def _sge(state: State) -> tuple[None, dict[str, Any]]:
    return None, {"groups": state["weight"].numel()}


def _psa(**options: Any) -> Callable[[State], tuple[int, dict[str, Any]]]:
    def describe(state: State) -> tuple[int, dict[str, Any]]:
        hidden, channels = state["channel_value.weight"].shape[:2]
        found: dict[str, Any] = {"bias": "channel_value.bias" in state, **options}
        if options.get("channel_out") == "bottleneck":
            found["reduction"] = _reduction(hidden, state["channel_out.0.weight"].shape[0])
        return channels, found

    return describe


def _coordinate(state: State) -> tuple[int, dict[str, Any]]:
    hidden, channels = state["reduce.weight"].shape[:2]
    reduction = 32 if max(8, channels // 32) == hidden else _reduction(channels, hidden)
    return channels, {"reduction": reduction, "min_hidden": min(8, hidden)}


def _gam(state: State) -> tuple[int, dict[str, Any]]:
    hidden, channels = state["fc1.weight"].shape
    return channels, {
        "reduction": _reduction(channels, hidden),
        "kernel_size": state["conv1.weight"].shape[-1],
        "groups": channels // state["conv1.weight"].shape[1],
        "channel_sigmoid": False,
    }


def _position(state: State) -> tuple[int, dict[str, Any]]:
    prefix = "criss_cross." if "criss_cross.gamma" in state else ""
    hidden, channels = state[f"{prefix}query.weight"].shape[:2]
    return channels, {"reduction": _reduction(channels, hidden)}


def _multihead(state: State) -> tuple[int, dict[str, Any]]:
    return state["sequence.out.weight"].shape[0], {"bias": "sequence.out.bias" in state}


def _join_qkv(state: State) -> State:
    """Three projections there, one matrix here."""
    joined = dict(state)
    for field in ("weight", "bias"):
        parts = [joined.pop(f"fc_{p}.{field}", None) for p in "qkv"]
        if all(part is not None for part in parts):
            joined[f"fc_qkv.{field}"] = torch.cat([p for p in parts if p is not None])
    return joined


_QKV = {"query_conv": "query", "key_conv": "key", "value_conv": "value"}
_COPIED_PSA = {
    "ch_wv": "channel_value",
    "ch_wq": "channel_query",
    "ch_wz": "channel_out.0",
    "ln": "channel_out.1",
    "sp_wv": "spatial_value",
    "sp_wq": "spatial_query",
}
_AUTHORS_PSA = {
    "conv_q_right": "channel_query",
    "conv_v_right": "channel_value",
    "conv_q_left": "spatial_query",
    "conv_v_left": "spatial_value",
}
_COPIES = "fightingcv-attention and the code it was copied into"
_CPCV = "pytorchcv"

LAYOUTS: dict[str, tuple[Layout, ...]] = {
    "se": (
        Layout(
            f"moskomule/senet.pytorch, {_COPIES}",
            {"fc.0": "fc1", "fc.2": "fc2"},
            _se,
        ),
        Layout(_CPCV, {"conv1": "fc1", "conv2": "fc2"}, _se),
        Layout(f"{_CPCV}, use_conv=False", {"fc1": "fc1", "fc2": "fc2"}, _se),
    ),
    "cbam": (
        Layout(
            "the authors, Jongchan/attention-module",
            {
                "ChannelGate.mlp.1": "fc1",
                "ChannelGate.mlp.3": "fc2",
                "SpatialGate.spatial.conv": "conv",
                "SpatialGate.spatial.bn": "norm",
            },
            _cbam(),
        ),
        Layout(
            _COPIES,
            {"ca.se.0": "fc1", "ca.se.2": "fc2", "sa.conv": "conv"},
            _cbam(residual=True),
        ),
        Layout(
            _CPCV,
            {
                "ch_gate.mlp.fc1": "fc1",
                "ch_gate.mlp.fc2": "fc2",
                "sp_gate.conv.conv": "conv",
                "sp_gate.conv.bn": "norm",
            },
            _cbam(),
        ),
    ),
    "bam": (
        Layout(
            "the authors, Jongchan/attention-module",
            _bam_names("channel_att.gate_c.", "spatial_att.gate_s."),
            _bam(combine="product", dilation=4),
        ),
        Layout(_COPIES, _bam_names("ca.ca.", "sa.sa."), _bam(combine="sum", dilation=2)),
        Layout(_CPCV, _bam_names("ch_att.", "sp_att."), _bam(combine="product", dilation=4)),
    ),
    "eca": (Layout(f"the authors, BangguWu/ECANet; {_COPIES}", {"conv": "conv"}, _eca),),
    "shuffle": (
        Layout(
            f"the authors, wofmanaf/SA-Net; {_COPIES}",
            {
                "cweight": "channel_weight",
                "cbias": "channel_bias",
                "sweight": "spatial_weight",
                "sbias": "spatial_bias",
                "gn": "norm",
            },
            lambda state: (None, {}),
        ),
    ),
    "sge": (
        Layout(
            f"the authors, implus/PytorchInsight; {_COPIES}",
            {"weight": "weight", "bias": "bias"},
            _sge,
        ),
    ),
    "psa_parallel": (
        Layout(
            "the authors, DeLightCMU/PSA, PSA_p",
            {**_AUTHORS_PSA, "conv_up": "channel_out"},
            _psa(spatial_softmax="product", channel_out="linear"),
        ),
        Layout(_COPIES, _COPIED_PSA, _psa()),
    ),
    "psa_sequential": (
        Layout(
            "the authors, DeLightCMU/PSA, PSA_s",
            {**_AUTHORS_PSA, **{f"conv_up.{i}": f"channel_out.{i}" for i in (0, 1, 3)}},
            _psa(spatial_softmax="value", channel_out="bottleneck"),
        ),
        Layout(_COPIES, _COPIED_PSA, _psa()),
    ),
    "coordinate": (
        Layout(
            f"the authors, houqb/CoordAttention; {_COPIES}",
            {"conv1": "reduce", "bn1": "norm", "conv_h": "rows", "conv_w": "columns"},
            _coordinate,
        ),
    ),
    "gam": (
        Layout(
            "the widely copied GAM_Attention",
            {
                "channel_attention.0": "fc1",
                "channel_attention.2": "fc2",
                "spatial_attention.0": "conv1",
                "spatial_attention.1": "norm1",
                "spatial_attention.3": "conv2",
                "spatial_attention.4": "norm2",
            },
            _gam,
        ),
    ),
    "position": (
        Layout("the authors, junfu1115/DANet", {**_QKV, "gamma": "gamma"}, _position),
        Layout(_CPCV, {**_QKV, "scale.alpha": "gamma"}, _position),
    ),
    "channel": (
        Layout(
            "the authors, junfu1115/DANet",
            {"gamma": "gamma"},
            lambda state: (None, {"max_minus": True}),
        ),
        Layout(_CPCV, {"scale.alpha": "gamma"}, lambda state: (None, {"max_minus": True})),
    ),
    "criss_cross": (
        Layout(f"the authors, speedinghzl/CCNet; {_COPIES}", {**_QKV, "gamma": "gamma"}, _position),
    ),
    "ccnet": (
        Layout(
            f"the authors, speedinghzl/CCNet; {_COPIES}",
            {theirs: f"criss_cross.{ours}" for theirs, ours in {**_QKV, "gamma": "gamma"}.items()},
            _position,
        ),
    ),
    "multihead": (
        Layout(
            "torch.nn.MultiheadAttention",
            {
                "in_proj_weight": "sequence.qkv.weight",
                "in_proj_bias": "sequence.qkv.bias",
                "out_proj": "sequence.out",
            },
            _multihead,
        ),
        Layout(
            f"{_COPIES}, ScaledDotProductAttention",
            {"fc_qkv": "sequence.qkv", "fc_o": "sequence.out"},
            _multihead,
            _join_qkv,
        ),
    ),
}


# --- renaming -----------------------------------------------------------------------------------


def _without_prefixes(state_dict: Mapping[str, Tensor]) -> list[State]:
    """The state dict as it is, and without each prefix that all its names share."""
    states = [dict(state_dict)]
    while True:
        heads = {name.partition(".")[0] for name in states[-1]}
        if len(heads) != 1 or not all("." in name for name in states[-1]):
            return states
        states.append({name.partition(".")[2]: value for name, value in states[-1].items()})


def _rename(state: State, names: Mapping[str, str]) -> State | None:
    """Every name replaced, or ``None`` if one is unknown or a layer is missing."""
    renamed = {}
    used = set()
    for name, value in state.items():
        layer, _, field = name.rpartition(".")
        if name in names:
            used.add(name)
            renamed[names[name]] = value
        elif layer and layer in names:
            used.add(layer)
            renamed[f"{names[layer]}.{field}"] = value
        else:
            return None
    optional = {"in_proj_bias"}
    return renamed if used >= set(names) - optional else None


def _finish(name: str, layout: Layout, renamed: State) -> ConvertedStateDict:
    """Shapes as the module here has them, which also proves that the weights fit it."""
    channels, options = layout.describe(renamed)
    if channels is not None:
        probe = registry.create(name, channels, **options, device="meta")
    elif name == "shuffle":  # the weights know C/2G, neither C nor G
        half = renamed["channel_weight"].numel()
        probe = registry.create(name, 2 * half, groups=1, device="meta")
    else:
        some = max(64, options.get("groups", 1))
        probe = registry.create(
            name, some - some % options.get("groups", 1), **options, device="meta"
        )
    converted = ConvertedStateDict()
    for key, expected in probe.state_dict().items():
        value = renamed.pop(key, None)
        if value is None and key.endswith("num_batches_tracked"):
            value = torch.zeros((), dtype=torch.long)  # older than this buffer
        if value is None or value.numel() != expected.numel():
            found = "nothing" if value is None else f"shape {tuple(value.shape)}"
            raise ValueError(
                f"the weights have the names of {layout.source}, but {found} for {key!r} of shape "
                f"{tuple(expected.shape)}"
            )
        converted[key] = value.detach().reshape(expected.shape).clone()
    if renamed:
        raise ValueError(
            f"the weights have the names of {layout.source}, but also {', '.join(renamed)}"
        )
    converted.source = layout.source
    converted.channels = channels
    converted.options = options
    return converted


def _example(layout: Layout) -> str:
    return "by its branches" if callable(layout.names) else ", ".join(layout.names)
