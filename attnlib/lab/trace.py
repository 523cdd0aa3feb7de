"""The shape trace: every step of a module with its output shape in symbols.

``torch.export`` runs the module once with sizes that are symbols instead of numbers, so a shape
such as ``(B, C/r, 1, 1)`` is a statement about every batch and every size, not about one example.
The channel count is fixed when a module is built; its symbols come from the caller, such as
``{"C": 64, "r": 16}``.
"""

from __future__ import annotations

import contextlib
import gc
import io
import logging
import operator
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from attnlib.lab._mode import mode
from attnlib.lab._symbols import Namer
from attnlib.lab._table import markdown_table, text_table

__all__ = ["Row", "Trace", "trace"]

#: Names of the axes that may have any size, by the rank of the input.
_AXES = {2: {0: "B"}, 3: {0: "B", 1: "N"}, 4: {0: "B", 2: "H", 3: "W"}}


@dataclass(frozen=True)
class Row:
    """One step of a forward."""

    path: str  #: the submodule that takes the step, ``""`` for the module itself
    operation: str  #: such as ``"conv 7×7"`` or ``"mean over H, W"``
    shape: str  #: of the output, such as ``"(B, C/r)"``
    parameters: int  #: of the parameters that this step is the first to use
    shared: bool = False  #: whether it uses parameters that an earlier step has used


@dataclass(frozen=True)
class Trace:
    """The steps of a forward; ``print`` it, or read ``rows``."""

    rows: list[Row]
    parameters: int  #: number of parameters of the module, used or not
    symbolic: bool  #: whether the shapes hold for every size
    notes: list[str] = field(default_factory=list)  #: what the symbols stand for

    _HEADER = ("path", "operation", "output shape", "parameters")

    def _cells(self) -> list[tuple[str, str, str, str]]:
        cells = []
        for row in self.rows:
            count = f"{row.parameters:,}" if row.parameters else "shared" if row.shared else ""
            cells.append((row.path, row.operation, row.shape, count))
        return cells

    def __str__(self) -> str:
        total = ("total", "", "", f"{self.parameters:,}")
        table = text_table(self._HEADER, self._cells(), align="lllr", footer=total)
        return "\n".join([table, *self.notes])

    __repr__ = __str__

    def to_markdown(self) -> str:
        """The same as a Markdown table."""
        cells = [(f"`{p}`" if p else "", *rest) for p, *rest in self._cells()]
        total = ("**total**", "", "", f"**{self.parameters:,}**")
        table = markdown_table(self._HEADER, [*cells, total], align="lllr")
        return "\n".join([table, *(f"\n{note}" for note in self.notes)])


def trace(
    module: nn.Module,
    x: Tensor,
    *,
    symbols: Mapping[str, int | str] | None = None,
    axes: Mapping[int, str] | None = None,
) -> Trace:
    """Every step of ``module(x)`` in eval mode, with output shapes in symbols.

    Args:
        module: any module of one input; it is left as it was.
        x: an input; only its shape, dtype and device matter.
        symbols: what the fixed sizes are called, the channel count first, such as
            ``{"C": 64, "r": 16}``; a size is then written as ``C``, ``C/r``, ``2·C``, ``C/2``, ...
            A key that is no plain name settles one number (``{"C/r": 4}``, ``{"8": 8}``), a value
            that is text abbreviates a product of symbols (``{"N": "H·W"}``).
            Default: ``{"C": x.shape[1]}`` for an image, nothing otherwise.
        axes: axis of ``x`` → its name, for the axes that may have any size. Default: B, H, W of an
            image (4 axes), B, N of a sequence (3 axes), B of a vector (2 axes).

    Raises:
        ValueError: if two readings of a size are possible (C = 64, r = 8: is 8 meant as r or as
            C/r?); choose other sizes.

    Example:
        >>> net = nn.Sequential(nn.Conv2d(8, 16, 3, padding=1), nn.ReLU())
        >>> print(trace(net, torch.zeros(1, 8, 5, 5)))
        path  operation  output shape    parameters
        ----  ---------  --------------  ----------
              input      (B, C, H, W)
        0     conv 3×3   (B, 2·C, H, W)       1,168
        1     relu       (B, 2·C, H, W)
        ----  ---------  --------------  ----------
        total                                 1,168
        C = 8; any B, H, W
    """
    if not isinstance(x, Tensor):
        raise TypeError(f"expected an input tensor, got {type(x).__name__}")
    if axes is None:
        axes = _AXES.get(x.dim(), {0: "B"} if x.dim() else {})
    if symbols is None:
        symbols = {"C": x.shape[1]} if x.dim() == 4 else {}
    namer = Namer(symbols, tuple(axes.values()))
    counts = {name: p.numel() for name, p in module.named_parameters(remove_duplicate=False)}
    total = sum(p.numel() for p in module.parameters())
    with mode(module, training=False):
        try:
            graph = _export(module, x, axes)
        except Exception as error:
            rows = _Steps(Namer({}, ()), counts).of_events(_record(module, x))
            notes = [f"the shapes are those of this input: {_reason(error)}"]
            return Trace(rows, total, False, notes + _unused(rows, total))
    fixed = namer.learn_axes(graph.input_shape, axes)
    rows = _Steps(namer, counts).of_events(graph.events)
    notes = [namer.legend(), *fixed, *namer.bounds(graph.ranges)]
    return Trace(rows, total, True, [n for n in notes if n] + _unused(rows, total))


def _unused(rows: Sequence[Row], total: int) -> list[str]:
    """A parameter that no step uses is most often a mistake: say so."""
    idle = total - sum(row.parameters for row in rows)
    return [f"{idle:,} parameters are not used by this forward"] if idle else []


def _reason(error: Exception) -> str:
    if "data-dependent" in str(error) or "data dependent" in str(error):
        return "its steps depend on the values, so torch.export cannot follow them"
    first = next(iter(str(error).strip().splitlines()), "").strip()
    return f"torch.export failed with {type(error).__name__}: {first[:100]}"


# --- one run of the module, as a list of events ---------------------------------------------------


@dataclass(frozen=True)
class _Value:
    """A tensor inside a run; ``key`` tells one from another."""

    key: Any
    shape: tuple[Any, ...]


@dataclass(frozen=True)
class _Event:
    """One operation of a run: what went in and what came out."""

    operation: Any  #: an ``OpOverload``
    path: str
    arguments: dict[str, Any]  #: by the names of the operation's schema
    outputs: list[_Value]
    parameter: str | None = None  #: the name, where the event brings a parameter in
    is_input: bool = False


@dataclass(frozen=True)
class _Graph:
    events: list[_Event]
    input_shape: tuple[Any, ...]
    ranges: dict[Any, Any]


def _export(module: nn.Module, x: Tensor, axes: Mapping[int, str]) -> _Graph:
    """Run the module on symbols and list what it did."""
    try:
        return _export_at(module, x, axes, _unmistakable_sizes(module, x, axes))
    except Exception:  # a module that accepts its own sizes only: the caller knows them
        # Sizes 0 and 1 are special to torch.export, which would take them for constants.
        return _export_at(module, x, axes, {axis: max(2, x.shape[axis]) for axis in axes})


def _unmistakable_sizes(module: nn.Module, x: Tensor, axes: Mapping[int, str]) -> dict[int, int]:
    """Sizes for the free axes that equal no other size in sight, nor do their sums and products.

    Where two sizes happen to be equal in the example, torch.export takes them for the same size.
    """
    tensors = (*module.parameters(), *module.buffers(), x)
    taken = {n for t in tensors for n in t.shape} | {n for t in tensors for n in t.stride()}
    chosen: dict[int, int] = {}
    primes = (n for n in range(7, 10_000) if all(n % k for k in range(2, n)))
    for axis in axes:
        for n in primes:
            new = {n, *(n + m for m in chosen.values()), *(n * m for m in chosen.values())}
            if not new & taken:
                chosen[axis] = n
                break
    return chosen


def _export_at(
    module: nn.Module, x: Tensor, axes: Mapping[int, str], sizes: Mapping[int, int]
) -> _Graph:
    size = [sizes.get(i, n) for i, n in enumerate(x.shape)]
    example = torch.zeros(size, dtype=x.dtype, device=x.device)
    # AUTO lets a module fix an axis, or tie two of them, instead of failing.
    auto = getattr(torch.export.Dim, "AUTO", None)
    dims = {i: torch.export.Dim(name) if auto is None else auto for i, name in axes.items()}
    with warnings.catch_warnings(), _quiet(), _quick():
        warnings.simplefilter("ignore")
        program = torch.export.export(module, (example,), dynamic_shapes=(dims,))
    signature = program.graph_signature
    events: list[_Event] = []
    values: dict[Any, Any] = {}  # node → its tensor, or tuple of tensors

    def convert(value: Any, node: Any) -> Any:
        if isinstance(value, Tensor):
            return _Value(node, tuple(value.shape))
        if isinstance(value, (list, tuple)) and any(isinstance(v, Tensor) for v in value):
            return [
                _Value((node, i), tuple(v.shape)) if isinstance(v, Tensor) else v
                for i, v in enumerate(value)
            ]
        return value

    def look_up(argument: Any) -> Any:
        return torch.fx.node.map_arg(argument, lambda node: values[node])

    input_shape: tuple[Any, ...] = ()
    for node in program.graph.nodes:
        if node.op == "output":
            continue
        values[node] = convert(node.meta.get("val"), node)
        if node.op == "placeholder":
            is_input = node.name in signature.user_inputs
            name = signature.inputs_to_parameters.get(node.name)
            events.append(_Event(None, "", {}, [values[node]], name, is_input))
            if is_input:
                input_shape = values[node].shape
        elif node.target is operator.getitem and isinstance(values[node.args[0]], list):
            values[node] = values[node.args[0]][node.args[1]]
        elif isinstance(values[node], (_Value, list)) and node.op == "call_function":
            used = _used(node)
            outputs = values[node] if isinstance(values[node], list) else [values[node]]
            outputs = [v for i, v in enumerate(outputs) if used is None or i in used]
            arguments = _bind(node.target, look_up(node.args), look_up(node.kwargs))
            events.append(_Event(node.target, _path(node), arguments, outputs))
    return _Graph(events, input_shape, dict(program.range_constraints))


def _used(node: Any) -> set[int] | None:
    """Which of several outputs are used; ``None``: there is one output."""
    if not isinstance(node.meta.get("val"), (list, tuple)):
        return None
    items = [u for u in node.users if u.target is operator.getitem]
    return {u.args[1] for u in items if u.users} or {u.args[1] for u in items}


def _path(node: Any) -> str:
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    path = str(stack[-1][0]) if stack else ""
    return "" if path.startswith("_") else path.split("@")[0]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """torch.export tells at length what it could not do; the note in the trace says it once."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logging.disable(level)


@contextlib.contextmanager
def _quick() -> Iterator[None]:
    """Half of the time that torch.export takes, saved; what it finds is the same.

    It remembers what each operation did to which shapes: under symbols, shapes hardly ever return,
    and the keys cost more than the operations. And it makes objects by the million that all stay,
    the modules that its first call loads among them: collecting garbage on the way finds none.
    """
    collects = gc.isenabled()
    gc.disable()
    try:
        from torch._dynamo import config  # takes a second, the first time

        with config.patch(fake_tensor_cache_enabled=False):
            yield
    finally:
        if collects:
            gc.enable()


def _record(module: nn.Module, x: Tensor) -> list[_Event]:
    """Run the module on x itself and list what it did, where torch.export could not."""
    events: list[_Event] = []
    keep: list[Any] = []  # an id names a tensor only as long as the tensor lives
    paths: list[str] = [""]

    def value(tensor: Tensor) -> _Value:
        keep.append(tensor)
        return _Value(id(tensor), tuple(tensor.shape))

    def convert(argument: Any) -> Any:
        return torch.utils._pytree.tree_map_only(Tensor, value, argument)

    class Recorder(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            out = func(*args, **(kwargs or {}))
            leaves = torch.utils._pytree.tree_leaves(out)
            outputs = [value(t) for t in leaves if isinstance(t, Tensor)]
            if outputs:
                arguments = _bind(func, convert(args), convert(kwargs or {}))
                events.append(_Event(func, paths[-1], arguments, outputs))
            return out

    handles = []
    for name, child in module.named_modules():
        if name:
            handles += [
                child.register_forward_pre_hook(lambda *_, name=name: paths.append(name)),
                child.register_forward_hook(lambda *_: paths.pop() and None, always_call=True),
            ]
    try:
        # Under inference mode composite operations such as linear arrive whole.
        with torch.inference_mode():
            for name, p in module.named_parameters():
                events.append(_Event(None, "", {}, [value(p)], name))
            events.append(_Event(None, "", {}, [value(x)], is_input=True))
            with Recorder():
                module(x)
    finally:
        for handle in handles:
            handle.remove()
    return events


def _bind(target: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments by name, the defaults of the schema included."""
    schema = getattr(target, "_schema", None)
    if schema is None:
        return {**{str(i): a for i, a in enumerate(args)}, **kwargs}
    bound = {a.name: a.default_value for a in schema.arguments if a.has_default_value()}
    bound.update(zip((a.name for a in schema.arguments), args, strict=False))
    return {**bound, **kwargs}


def _tensors(arguments: Any) -> list[_Value]:
    return [v for v in torch.utils._pytree.tree_leaves(arguments) if isinstance(v, _Value)]


# --- from events to rows --------------------------------------------------------------------------

#: Operations that only look at the same numbers in another shape.
_SHAPES = {
    **dict.fromkeys(
        ["view", "_unsafe_view", "reshape", "reshape_as", "view_as", "flatten", "unflatten"],
        "reshape",
    ),
    **dict.fromkeys(["unsqueeze", "squeeze"], "reshape"),
    **dict.fromkeys(["transpose", "t", "swapaxes", "swapdims", "numpy_T", "mT"], "transpose"),
    **dict.fromkeys(["permute", "movedim", "moveaxis"], "permute"),
    "slice": "slice",
}
#: Operations that a reader need not see: they change no number and no size that matters.
_SILENT = {
    "alias", "clone", "contiguous", "detach", "detach_", "dropout", "dropout_", "feature_dropout",
    "expand", "expand_as", "to", "_to_copy", "type_as", "lift_fresh_copy", "lift_fresh",
    "_assert_tensor_metadata", "identity", "getitem", "positive", "requires_grad_", "copy_",
}  # fmt: skip
#: Operations that take a tensor only to make another one like it.
_CREATE = {
    "zeros_like", "ones_like", "empty_like", "full_like", "rand_like", "randn_like", "new_zeros",
    "new_ones", "new_empty", "new_full",
}  # fmt: skip
_REDUCTIONS = {
    "mean": "mean", "sum": "sum", "amax": "max", "amin": "min", "max": "max", "min": "min",
    "argmax": "argmax", "argmin": "argmin", "var": "variance", "std": "standard deviation",
    "prod": "product", "logsumexp": "log-sum-exp", "linalg_vector_norm": "norm", "norm": "norm",
    "var_mean": "variance and mean", "std_mean": "standard deviation and mean",
    "softmax": "softmax", "_softmax": "softmax", "log_softmax": "log-softmax",
    "_log_softmax": "log-softmax", "cumsum": "cumulative sum", "aminmax": "min and max",
    "topk": "top k", "sort": "sort",
}  # fmt: skip
_SPLITS = {"chunk", "split", "split_with_sizes", "unbind", "tensor_split"}
_NAMES = {
    "mul": "multiply", "sub": "subtract", "rsub": "subtract", "div": "divide", "neg": "negate",
    "bmm": "matmul", "mm": "matmul", "baddbmm": "matmul", "mv": "matmul", "addmm": "linear",
    "hardswish": "h-swish", "hardsigmoid": "h-sigmoid", "cat": "concatenate",
    "scaled_dot_product_attention": "scaled dot-product attention", "where": "where",
    "addcmul": "multiply, add", "masked_fill": "mask", "rsqrt": "inverse square root",
    "sqrt": "square root", "concat": "concatenate",
    "layer_norm": "layer norm", "batch_norm": "batch norm", "instance_norm": "instance norm",
    "_native_batch_norm_legit_no_training": "batch norm", "cudnn_batch_norm": "batch norm",
    "upsample_bilinear2d": "bilinear upsample", "upsample_nearest2d": "nearest upsample",
}  # fmt: skip
#: Operations that may have a number on their right-hand side.
_WITH_NUMBER = {
    "mul": "multiply by", "add": "add", "sub": "subtract", "div": "divide by", "eq": "equal to",
    "gt": "greater than", "lt": "less than", "ge": "at least", "le": "at most",
}  # fmt: skip


class _Steps:
    """Choose the events that are steps, and put them into words."""

    def __init__(self, namer: Namer, counts: Mapping[str, int]) -> None:
        self.namer = namer
        self.counts = counts
        self.rows: list[Row] = []
        self.met: set[str] = set()  # parameters that a row has counted
        self.data: set[Any] = set()  # values that depend on the input
        self.carried: dict[Any, list[str]] = {}  # value → parameters it brings along
        self.chains: dict[Any, list[str]] = {}  # output of an absorbed shape operation → names

    def of_events(self, events: list[_Event]) -> list[Row]:
        users: dict[Any, list[_Event]] = {}
        for event in events:
            for value in _tensors(event.arguments):
                users.setdefault(value.key, []).append(event)
        for event in events:
            self._take(event, users)
        return self.rows

    def _take(self, event: _Event, users: Mapping[Any, list[_Event]]) -> None:
        keys = [v.key for v in event.outputs]
        if event.is_input:
            self.data.update(keys)
            self.rows.append(Row("", "input", self._shape(event.outputs[0]), 0))
            return
        if event.parameter is not None:
            self.carried[keys[0]] = [event.parameter]
            return
        inputs = _tensors(event.arguments)
        brought = [name for v in inputs for name in self.carried.get(v.key, [])]
        name = _name(event.operation)
        data = [v for v in inputs if v.key in self.data]
        if not data or name in _CREATE:
            # Arithmetic among parameters and constants is not a step of the data.
            self.carried.update(dict.fromkeys(keys, brought))
            return
        self.data.update(keys)
        chain = self.chains.get(data[0].key, [])
        if self._is_silent(event, name, data[0]):
            self.carried.update(dict.fromkeys(keys, brought))
            self.chains.update(dict.fromkeys(keys, chain))
            return
        kind = _kind(event, name, data[0])
        if kind:
            chain = [*chain, kind]
            if self._is_absorbed(event, users):
                self.carried.update(dict.fromkeys(keys, brought))
                self.chains.update(dict.fromkeys(keys, chain))
                return
            words = _chain(chain)
        else:
            words = self._words(event, name, data[0])
        fresh = [n for n in dict.fromkeys(brought) if n not in self.met]
        self.met.update(fresh)
        count = sum(self.counts.get(n, 0) for n in fresh)
        shape = self._shapes(event.outputs)
        self.rows.append(Row(event.path, words, shape, count, bool(brought) and not fresh))

    def _is_silent(self, event: _Event, name: str, source: _Value) -> bool:
        if name in _SILENT:
            return True
        if name == "slice":  # x[:, None] slices too, and takes everything
            return event.outputs[0].shape == source.shape
        return name in _SHAPES and event.outputs[0].shape == source.shape and "view" in name

    def _is_absorbed(self, event: _Event, users: Mapping[Any, list[_Event]]) -> bool:
        """Whether all that is done with the output is to reshape it again, in the same module."""
        following = [e for v in event.outputs for e in users.get(v.key, [])]
        if not following:
            return False
        for e in following:
            name = _name(e.operation)
            if self._is_silent(e, name, event.outputs[0]):
                if not self._is_absorbed(e, users):
                    return False
            elif e.path != event.path or not _kind(e, name, event.outputs[0]):
                return False
            elif (name == "slice") != (_name(event.operation) == "slice"):
                return False  # to cut is more than to look at in another shape
        return True

    # --- words ---

    def _shape(self, value: _Value) -> str:
        return self.namer.shape(value.shape)

    def _shapes(self, values: Sequence[_Value]) -> str:
        shapes = [self._shape(v) for v in values]
        if len(shapes) > 1 and len(set(shapes)) == 1:
            return f"{len(shapes)} × {shapes[0]}"
        return ", ".join(shapes)

    def _words(self, event: _Event, name: str, source: _Value) -> str:
        given = event.arguments
        if "conv" in name:
            return self._convolution(given)
        if name in _REDUCTIONS:
            return self._reduction(name, given, source)
        if "pool" in name:
            return self._pooling(name, given)
        if name in _SPLITS:
            return f"split into {len(event.outputs)}"
        if name == "einsum":
            return f"einsum {given['equation'].replace(' ', '').replace('->', '→')}"
        if name == "pow" and given.get("exponent") == 2:
            return "square"
        if name == "group_norm":
            return f"group norm, {given['num_groups']} groups"
        if name in _WITH_NUMBER:
            other = given.get("other")
            if isinstance(other, (int, float)) and not isinstance(other, bool):
                return f"{_WITH_NUMBER[name]} {other:.4g}"
        return _NAMES.get(name, name.strip("_").replace("_", " "))

    def _convolution(self, given: Mapping[str, Any]) -> str:
        weight, groups = given["weight"].shape, given.get("groups", 1)
        words = "conv " + "×".join(str(n) for n in weight[2:])
        if len(weight) == 3:
            words = f"conv1d {weight[2]}"
        if groups > 1:
            depthwise = weight[1] == 1 and groups == given["input"].shape[1]
            words = f"depthwise {words}" if depthwise else f"{words}, {groups} groups"
        if given.get("transposed"):
            words = f"transposed {words}"
        for option in ("stride", "dilation"):
            value = given.get(option) or [1]
            value = [value] if isinstance(value, int) else list(value)
            if any(n != 1 for n in value):
                words += f", {option} " + "×".join(str(n) for n in dict.fromkeys(value))
        return words

    def _pooling(self, name: str, given: Mapping[str, Any]) -> str:
        kind = "max pool" if "max" in name else "average pool"
        if "output_size" in given:
            sizes = [self.namer.size(n) for n in given["output_size"]]
            return f"{kind} to {' × '.join(sizes)}"
        kernel = given.get("kernel_size", [])
        kernel = [kernel] if isinstance(kernel, int) else list(kernel)
        words = f"{kind} " + "×".join(self.namer.size(n) for n in kernel)
        stride = given.get("stride") or kernel
        stride = [stride] if isinstance(stride, int) else list(stride)
        if any(n != 1 for n in stride):
            words += f", stride {'×'.join(self.namer.size(n) for n in dict.fromkeys(stride))}"
        return words

    def _reduction(self, name: str, given: Mapping[str, Any], source: _Value) -> str:
        over = given.get("dim")
        if over is None or over == []:
            if name in {"max", "min"} and "other" in given:
                return "maximum" if name == "max" else "minimum"
            return f"{_REDUCTIONS[name]} over everything"
        over = [over] if isinstance(over, int) else list(over)
        over = [axis % len(source.shape) for axis in over]
        labels = [self.namer.size(n) for n in source.shape]
        known = [self.namer.is_symbol(t) and labels.count(t) == 1 for t in labels]
        if all(known[axis] for axis in over):
            words = ", ".join(labels[axis] for axis in over)
        elif over == [len(labels) - 1]:
            words = "the last axis"
        else:
            words = f"{'axis' if len(over) == 1 else 'axes'} {', '.join(map(str, over))}"
        return f"{_REDUCTIONS[name]} over {words}"


def _name(operation: Any) -> str:
    """``aten.relu_.default`` → ``relu``."""
    if operation is None:
        return ""
    packet = getattr(operation, "overloadpacket", operation)
    name = str(getattr(packet, "__name__", packet)).rpartition(".")[2]
    return name if name in _SILENT or name.startswith("__") else name.removesuffix("_")


def _kind(event: _Event, name: str, source: _Value) -> str | None:
    """What a shape operation is called; ``None``: it is something else."""
    if name == "select" and source.shape[event.arguments["dim"]] == 1:
        return "reshape"  # x[:, 0] of an axis of one entry drops the axis and nothing else
    return _SHAPES.get(name)


def _chain(names: Sequence[str]) -> str:
    """Several shape operations in a row, in words."""
    distinct = [n for i, n in enumerate(names) if i == 0 or n != names[i - 1]]
    return ", ".join(distinct) if len(distinct) <= 3 else "rearrange"
