"""Plugging a mechanism into a network that nobody here wrote, and taking it out again.

>>> import torch, attnlib
>>> from torch import nn
>>> model = nn.Sequential(nn.Conv2d(3, 32, 3), nn.ReLU(), nn.Conv2d(32, 64, 3)).eval()
>>> x = torch.randn(2, 3, 16, 16)
>>> before = model(x)
>>> model = attnlib.insert(model, "se", after="2", start="identity")
>>> torch.equal(model(x), before)  # nothing has changed yet ...
True
>>> print(attnlib.inserted(model))
after  mechanism  channels  parameters
2      se               64         513
>>> groups = [{"params": attnlib.new_parameters(model), "lr": 0.1}]  # ... until it is trained
>>> model = attnlib.remove(model)

The network is changed in place and keeps every parameter, buffer and name it had. The mechanism
becomes a child of the module it follows, under the reserved name ``attnlib_<key>``, and a forward
hook applies it to that module's output. Hook and child survive ``copy.deepcopy``, ``pickle``,
``torch.compile``, ``torch.export`` and state dicts; insert first, then compile or wrap.

To load the state dict of a network with insertions, insert into a fresh network first.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import Tensor, nn

from attnlib import registry

__all__ = [
    "IdentityStart",
    "Insertion",
    "Insertions",
    "insert",
    "inserted",
    "new_parameters",
    "remove",
]

logger = logging.getLogger("attnlib")

PREFIX = "attnlib_"


class IdentityStart(nn.Module):
    """x + α·(m(x) − x) with one learnt α, which starts at 0: the identity, to the bit.

    In the first step only α has a gradient; the mechanism m learns from the second step on.
    ``insert`` leaves out this wrapper where the mechanism is the identity by itself (γ = 0).
    """

    def __init__(self, mechanism: nn.Module) -> None:
        super().__init__()
        self.mechanism = mechanism
        self.alpha = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.alpha * (self.mechanism(x) - x)


@dataclass(frozen=True)
class Insertion:
    """One inserted mechanism."""

    after: str  #: path of the module whose output it takes
    key: str  #: registry key
    channels: int
    path: str  #: path of the inserted module, the prefix of its state-dict keys
    module: nn.Module  #: the mechanism, or the ``IdentityStart`` around it

    @property
    def parameters(self) -> int:
        return sum(p.numel() for p in self.module.parameters())


class Insertions(tuple[Insertion, ...]):
    """All insertions of a model; prints as a table."""

    def __str__(self) -> str:
        width = max([len("after"), *(len(i.after) for i in self)])
        keys = max([len("mechanism"), *(len(i.key) for i in self)])
        lines = [f"{'after':{width}}  {'mechanism':{keys}}  channels  parameters"]
        for i in self:
            lines.append(f"{i.after:{width}}  {i.key:{keys}}  {i.channels:8}  {i.parameters:10,}")
        return "\n".join(lines)


def insert(
    model: nn.Module,
    name: str,
    after: str | Sequence[str],
    example_input: Any = None,
    start: str = "paper",
    **options: Any,
) -> nn.Module:
    """Put a mechanism after the modules of a model that a pattern names, in place.

    Args:
        model: any network; it is changed and returned.
        name: key of the mechanism, one of ``attnlib.available()``.
        after: one or several patterns of module paths as in ``model.named_modules()``. ``*`` and
            ``?`` stand for characters within one step of a path, ``**`` for any number of steps:
            ``"layer4"``, ``"layer?.*"`` (every block of a ResNet), ``"layer*.*.bn3"`` (the end of
            every residual branch), ``"features.**.conv3"``.
        example_input: an input of the model (a tensor, a tuple of positional arguments or a
            mapping of keyword arguments). The model runs on it once, in eval mode and without
            gradients, to see what the modules put out. Without it channels are read off the
            module: ``out_channels`` or ``num_features`` of itself or of the last layer inside it,
            which is wrong where a block concatenates (DenseNet): give an example there.
        start: ``"paper"``, the mechanism's own initialisation, or ``"identity"``: the model
            computes what it did before, to the bit, until it is trained.
        options: options of the mechanism, such as ``reduction=8``.

    Returns:
        ``model``. ``inserted(model)`` says what was put where.

    Raises:
        ValueError: if the pattern matches nothing, or a module that does not yield a
            (B, C, H, W) tensor, or whose channels cannot be told, or that has this mechanism
            already; or if the mechanism refuses the channels or options. The model is then as
            it was.
        TypeError: if the mechanism has no such option.
    """
    registry.info(name)
    if start not in ("paper", "identity"):
        raise ValueError(f"start must be 'paper' or 'identity', got {start!r}")
    if isinstance(model, torch.jit.ScriptModule):
        raise TypeError("a scripted module cannot be changed; insert before torch.jit.script")

    targets = _targets(model, [after] if isinstance(after, str) else list(after))
    if example_input is None:
        channels = {path: _channels_of(path, module) for path, module in targets.items()}
    else:
        channels = _channels_seen(model, targets, example_input)

    # Everything that can fail comes before the first change.
    plan = []
    taken: set[tuple[int, str]] = set()
    for path, target in targets.items():
        if any(isinstance(h, _Attend) and h.key == name for h in target._forward_hooks.values()):
            raise ValueError(f"{path!r} is already followed by {name!r}")
        like = _like(target, model)
        try:
            with like.device if like is not None else nullcontext():
                module = registry.create(name, channels[path], **options)
        except ValueError as error:
            raise ValueError(f"after {path!r}: {error}") from error
        if start == "identity" and not _is_identity(module, name, channels[path], options):
            module = IdentityStart(module)
        where, home = _home(path, target)
        child = PREFIX + name
        if where:  # a guest, which says how many levels above its home it belongs
            child = _free(f"{child}_{where.count('.') + 1}", home, taken)
        elif hasattr(home, child):
            raise ValueError(f"the reserved name {child!r} is taken in {path!r}")
        taken.add((id(home), child))
        if like is not None:
            module.to(like.device, like.dtype)
        plan.append((path, target, home, child, where, module.train(target.training)))

    for path, target, home, child, where, module in plan:
        home.add_module(child, module)
        inner = f"{where}.{child}" if where else child
        target.register_forward_hook(_Attend(name, channels[path], inner))
        logger.info("%s after %s, %d channels", name, path, channels[path])
    return model


def inserted(model: nn.Module) -> Insertions:
    """What ``insert`` has put into a model, in the order of its modules; prints as a table."""
    return Insertions(
        Insertion(path, h.key, h.channels, f"{path}.{h.path}", module.get_submodule(h.path))
        for path, module in model.named_modules()
        for h in module._forward_hooks.values()
        if isinstance(h, _Attend)
    )


def new_parameters(model: nn.Module) -> list[nn.Parameter]:
    """The parameters of all inserted mechanisms, for an optimiser group of their own."""
    return [p for insertion in inserted(model) for p in insertion.module.parameters()]


def remove(model: nn.Module) -> nn.Module:
    """Take out every mechanism that ``insert`` has put into a model, in place; returns the model.

    What is left is the network as it was, with the weights it has now.
    """
    for _, module in list(model.named_modules()):
        for handle, hook in list(module._forward_hooks.items()):
            if isinstance(hook, _Attend):
                home, _, child = hook.path.rpartition(".")
                del module.get_submodule(home)._modules[child]
                del module._forward_hooks[handle]
    return model


class _Attend:
    """The forward hook: applies the inserted module to the output of the module it follows.

    It holds a path and no module, so that copies of the network find their own copy.
    """

    def __init__(self, key: str, channels: int, path: str) -> None:
        self.key = key
        self.channels = channels
        self.path = path

    def __call__(self, module: nn.Module, args: Any, output: Any) -> Any:
        return module.get_submodule(self.path)(output)


# --- which modules ------------------------------------------------------------------------------


def _targets(model: nn.Module, patterns: list[str]) -> dict[str, nn.Module]:
    """Path → module for every pattern; a module with two paths is taken once."""
    paths = {
        path: module
        for path, module in model.named_modules()
        if path and not any(step.startswith(PREFIX) for step in path.split("."))
    }
    targets = {}
    for pattern in patterns:
        matched = {
            path: module
            for path, module in paths.items()
            if _matches(path.split("."), pattern.split("."))
        }
        if not matched:
            near = get_close_matches(pattern, paths, n=3, cutoff=0.3) or list(paths)[:3]
            raise ValueError(
                f"no module matches {pattern!r}; there is, for instance, "
                f"{', '.join(map(repr, near))}. Paths are those of model.named_modules(); "
                "'*' stays within one step, '**' crosses steps"
            )
        targets.update(matched)
    return {path: module for path, module in paths.items() if path in targets}  # network order


def _matches(steps: list[str], pattern: list[str]) -> bool:
    if not pattern:
        return not steps
    if pattern[0] == "**":
        return any(_matches(steps[i:], pattern[1:]) for i in range(len(steps) + 1))
    return bool(steps) and fnmatchcase(steps[0], pattern[0]) and _matches(steps[1:], pattern[1:])


def _home(path: str, module: nn.Module) -> tuple[str, nn.Module]:
    """Where the new child lives: in the module itself, as a rule.

    But Sequential, ModuleList and ModuleDict run whatever children they have, so there it lives
    deeper: in the last module inside that is none of these. Returns path from module, and module.
    """
    where: list[str] = []
    while isinstance(module, nn.Sequential | nn.ModuleList | nn.ModuleDict):
        if not len(module):
            raise ValueError(f"{path!r} is an empty {type(module).__name__}")
        step, module = list(module.named_children())[-1]
        where.append(step)
    return ".".join(where), module


def _free(name: str, home: nn.Module, taken: set[tuple[int, str]]) -> str:
    """The name, or with a number behind it: two containers can end in one and the same module."""
    names = itertools.chain([name], (f"{name}_{i}" for i in itertools.count(2)))
    return next(n for n in names if not hasattr(home, n) and (id(home), n) not in taken)


def _is_identity(module: nn.Module, name: str, channels: int, options: Mapping[str, Any]) -> bool:
    """Whether a fresh mechanism is the identity as it is: those that end in γ·(…) + x, γ = 0.

    Behind an α = 0 as well, neither α nor γ would ever get a gradient.
    """
    device = next((p.device for p in module.parameters()), torch.device("cpu"))
    if device.type == "meta":  # nothing to compare there
        device = torch.device("cpu")
        with device:
            module = registry.create(name, channels, **options)
    x = torch.linspace(-1, 1, 6 * channels, device=device).reshape(1, channels, 2, 3)
    with torch.no_grad():
        return torch.equal(module.eval()(x), x)


def _like(module: nn.Module, model: nn.Module) -> Tensor | None:
    """A floating tensor of the module, or else of the model: device and dtype to follow."""
    for owner in (module, model):
        for tensor in (*owner.parameters(), *owner.buffers()):
            if tensor.is_floating_point():
                return tensor
    return None


# --- how many channels --------------------------------------------------------------------------

_CHANNELS_FIRST = (nn.Conv2d, nn.ConvTranspose2d, nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d)
_CHANNELS_LAST = (nn.Linear, nn.LayerNorm, nn.Embedding)
_HINT = "give an example_input, on which the model can be run"


def _features(layer: nn.Module) -> int | None:
    """How many features a layer puts out, for the layers whose axis is known."""
    match layer:
        case nn.Conv2d() | nn.ConvTranspose2d():
            return layer.out_channels
        case nn.BatchNorm2d() | nn.InstanceNorm2d():
            return layer.num_features
        case nn.GroupNorm():
            return layer.num_channels
        case nn.Linear():
            return layer.out_features
        case nn.LayerNorm():
            return layer.normalized_shape[-1]
        case nn.Embedding():
            return layer.embedding_dim
    return None


def _channels_of(path: str, module: nn.Module) -> int:
    """The channels of a module's output, read off its attributes."""
    own = getattr(module, "out_channels", None)
    if isinstance(own, int):
        return own
    for layer in reversed(list(_layers(module))):
        features = _features(layer)
        if features is None:
            continue
        if isinstance(layer, _CHANNELS_LAST):
            raise ValueError(
                f"{path!r} ends in a {type(layer).__name__}, whose output has its channels last or "
                f"is no feature map: {_HINT}"
            )
        return features
    raise ValueError(f"cannot tell the channels of {path!r}, a {type(module).__name__}: {_HINT}")


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """The modules inside, without those inserted before."""
    yield module
    for name, child in module.named_children():
        if not name.startswith(PREFIX):
            yield from _layers(child)


def _channels_seen(
    model: nn.Module, targets: Mapping[str, nn.Module], example_input: Any
) -> dict[str, int]:
    """Path → channels of the targets' outputs, seen while the model runs on an example."""
    layers: list[tuple[nn.Module, torch.Size]] = []  # those that have run so far
    channels: dict[str, int] = {}
    errors: list[ValueError] = []

    def watch_layer(layer: nn.Module, args: Any, output: Any) -> None:
        if isinstance(output, Tensor) and output.dim() > 2:
            layers.append((layer, output.shape))

    def watch_target(path: str) -> Any:
        def watch(module: nn.Module, args: Any, output: Any) -> None:
            try:
                seen = _judge(path, output, layers)
                if channels.setdefault(path, seen) != seen:
                    raise ValueError(
                        f"{path!r} runs several times, once with {channels[path]} channels and "
                        f"once with {seen}"
                    )
            except ValueError as error:
                errors.append(error)

        return watch

    handles = [
        layer.register_forward_hook(watch_layer)
        for layer in model.modules()
        if isinstance(layer, _CHANNELS_FIRST + _CHANNELS_LAST)
    ]
    handles += [
        module.register_forward_hook(watch_target(path)) for path, module in targets.items()
    ]
    modes = {module: module.training for module in model.modules()}
    try:
        with torch.no_grad():
            model.eval()
            match example_input:
                case Mapping():
                    model(**example_input)
                case tuple():
                    model(*example_input)
                case _:
                    model(example_input)
    except Exception as error:
        raise ValueError(f"the model does not run on example_input: {error}") from error
    finally:
        for handle in handles:
            handle.remove()
        for module, mode in modes.items():
            module.training = mode
    if errors:
        raise errors[0]
    for path in targets:
        if path not in channels:
            raise ValueError(f"{path!r} is not called when the model runs on example_input")
    return channels


def _judge(path: str, output: Any, layers: list[tuple[nn.Module, torch.Size]]) -> int:
    """The channels of an output, if it is a (B, C, H, W) tensor.

    Its shape alone cannot tell (B, C, H, W) from (B, H, W, C), so the layers that ran before it
    are asked, the latest first: convolutions put channels second, linear layers last.
    """
    if not isinstance(output, Tensor):
        raise ValueError(f"{path!r} returns a {type(output).__name__}, not a (B, C, H, W) tensor")
    shape = tuple(output.shape)
    if len(shape) == 3:
        raise ValueError(
            f"{path!r} returns a tensor of shape {shape}, probably tokens (B, N, C), not "
            "(B, C, H, W): the mechanisms here work on feature maps"
        )
    if len(shape) != 4 or not output.is_floating_point():
        raise ValueError(
            f"{path!r} returns a tensor of shape {shape} and {output.dtype}, not (B, C, H, W)"
        )
    last = ValueError(
        f"{path!r} returns a tensor of shape {shape} whose channels come last, (B, H, W, C), not "
        "(B, C, H, W); choose a module that puts them second"
    )
    for layer, made in reversed(layers):
        features = _features(layer)
        made_first = isinstance(layer, _CHANNELS_FIRST)
        if isinstance(layer, nn.LayerNorm) and type(layer) is not nn.LayerNorm and len(made) == 4:
            # Several libraries have a LayerNorm2d, which permutes; others a channels-last one.
            if made[1] == features == made[3]:
                continue
            made_first = made[1] == features
        if made_first:
            if len(made) == 4 and shape != made and shape == _to_last(made):
                raise last
            return shape[1]
        if len(made) == 4 and shape in (tuple(made), _to_first(made)):
            first_fits, last_fits = shape == _to_first(made), shape == tuple(made)
        else:
            first_fits, last_fits = shape[1] == features, shape[3] == features
        if first_fits and last_fits:
            raise ValueError(
                f"cannot tell whether the output of {path!r}, of shape {shape}, is (B, C, H, W) or "
                "(B, H, W, C): give an example_input of another size"
            )
        if last_fits:
            raise last
        if first_fits:
            return shape[1]
    return shape[1]


def _to_last(shape: Sequence[int]) -> tuple[int, ...]:
    b, c, h, w = shape
    return (b, h, w, c)


def _to_first(shape: Sequence[int]) -> tuple[int, ...]:
    b, h, w, c = shape
    return (b, c, h, w)
