"""What a module costs, counted rather than timed: parameters, MACs, bytes.

The module runs on fake tensors, which have shapes and storages but no memory, so the counts are
exact, the same on every machine, and cheap at any size.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from attnlib.lab._mode import mode

__all__ = ["Cost", "cost"]


@dataclass(frozen=True)
class Cost:
    """The counts of one module at one input size."""

    input_size: tuple[int, ...]
    dtype: torch.dtype
    parameters: int
    #: Multiply-accumulates of convolutions, linear layers, matrix products and attention kernels in
    #: a forward. Elementwise operations, poolings and normalisations are not counted.
    macs: int
    #: Read x once, write y once, read every parameter once: no implementation can move less.
    bytes_min: int
    #: Memory that a forward without gradients asks for, all tensors summed, views not counted.
    bytes_allocated: int
    #: The most of it that is alive at once, y included.
    peak_bytes: int
    #: The same of forward and backward in training mode: what is saved for the backward and the
    #: gradients of x and of the parameters included, the incoming gradient not.
    #: ``None`` where the module has no backward.
    peak_bytes_training: int | None

    def __str__(self) -> str:
        x = math.prod(self.input_size) * self.dtype.itemsize
        training = self.peak_bytes_training
        lines = [
            ("input x", f"{self.input_size}, {str(self.dtype).removeprefix('torch.')}, {_mb(x)}"),
            ("parameters", f"{self.parameters:,}"),
            ("MACs", f"{self.macs:,}"),
            ("least traffic", f"{_mb(self.bytes_min)}"),
            ("allocated", f"{_mb(self.bytes_allocated)} = {self.bytes_allocated / x:.2f} × x"),
            ("peak, forward", f"{_mb(self.peak_bytes)} = {self.peak_bytes / x:.2f} × x"),
            (
                "peak, training",
                "no backward" if training is None else f"{_mb(training)} = {training / x:.2f} × x",
            ),
        ]
        return "\n".join(f"{name:<16}{value}" for name, value in lines)

    __repr__ = __str__


def cost(module: nn.Module, input_size: Sequence[int], *, dtype: torch.dtype | None = None) -> Cost:
    """Count what ``module`` costs for an input of ``input_size``.

    The forward is counted in eval mode, the training step in train mode. Memory that a kernel asks
    for inside itself (the unfolded input of a convolution, say) is not seen.

    Args:
        module: any module of one input; it is left as it was.
        input_size: of the input, batch included.
        dtype: of the input; default: that of the module's parameters.

    Example:
        >>> counted = cost(nn.Conv2d(64, 64, 3, padding=1), (1, 64, 56, 56))
        >>> f"{counted.parameters:,} {counted.macs:,}"
        '36,928 115,605,504'
        >>> print(counted)
        input x         (1, 64, 56, 56), float32, 0.80 MB
        parameters      36,928
        MACs            115,605,504
        least traffic   1.75 MB
        allocated       0.80 MB = 1.00 × x
        peak, forward   0.80 MB = 1.00 × x
        peak, training  1.75 MB = 2.18 × x
    """
    size = tuple(int(n) for n in input_size)
    if dtype is None:
        floating = (t.dtype for t in (*module.parameters(), *module.buffers()))
        dtype = next((d for d in floating if d.is_floating_point), torch.float32)
    try:
        forward = _run(module, size, dtype, training=False, fake=True)
    except ValueError:
        raise  # the module's own complaint about its input
    except Exception:
        # Steps that depend on values cannot be taken without values.
        forward = _run(module, size, dtype, training=False, fake=False)
    training: _Run | None
    try:
        training = _run(module, size, dtype, training=True, fake=forward.fake)
    except Exception:
        training = None
    parameters = list(module.parameters())
    return Cost(
        input_size=size,
        dtype=dtype,
        parameters=sum(p.numel() for p in parameters),
        macs=forward.macs,
        bytes_min=(
            math.prod(size) * dtype.itemsize
            + forward.output_bytes
            + sum(p.numel() * p.element_size() for p in parameters)
        ),
        bytes_allocated=forward.allocated,
        peak_bytes=forward.peak,
        peak_bytes_training=training.peak if training else None,
    )


def _mb(count: int) -> str:
    return f"{count / 1e6:,.2f} MB"


@dataclass(frozen=True)
class _Run:
    macs: int
    output_bytes: int
    allocated: int
    peak: int
    fake: bool


def _run(
    module: nn.Module, size: tuple[int, ...], dtype: torch.dtype, *, training: bool, fake: bool
) -> _Run:
    """One forward, or forward and backward, under the counters."""
    flops = FlopCounterMode(display=False, custom_mapping=_MORE_FLOPS)
    fake_mode = FakeTensorMode(allow_non_fake_inputs=True) if fake else None
    if not fake:
        module = copy.deepcopy(module)

    def stand_in(tensor: Tensor) -> Tensor:
        return fake_mode.from_tensor(tensor).detach() if fake_mode else tensor.detach().clone()

    tensors = {n: stand_in(b) for n, b in module.named_buffers()}
    for name, parameter in module.named_parameters():
        tensors[name] = stand_in(parameter).requires_grad_(training and parameter.requires_grad)
    device = next((t.device for t in tensors.values()), torch.device("cpu"))
    grad = torch.enable_grad() if training else torch.no_grad()
    with fake_mode or nullcontext(), mode(module, training=training), grad:
        x = torch.zeros(size, dtype=dtype, device=device, requires_grad=training)
        meter = _Meter([x, *tensors.values()])
        with meter, flops if not training else nullcontext():
            y = torch.func.functional_call(module, tensors, (x,))
            outputs = [t for t in pytree.tree_leaves(y) if isinstance(t, Tensor)]
            if training:
                with meter.paused():
                    gradients = [torch.ones_like(t) for t in outputs]
                torch.autograd.backward(outputs, gradients)
        return _Run(
            macs=0 if training else flops.get_total_flops() // 2,
            output_bytes=sum(t.numel() * t.element_size() for t in outputs),
            allocated=meter.allocated,
            peak=meter.peak,
            fake=fake,
        )


class _Meter(TorchDispatchMode):
    """Follow the storages that operations bring into the world, and when they leave it."""

    def __init__(self, outside: Sequence[Tensor]) -> None:
        super().__init__()
        # A weak reference keeps the address from being used again, so it names the storage.
        self.met: dict[int, StorageWeakRef] = {}
        self.alive: dict[int, int] = {}
        self.allocated = self.peak = 0
        for tensor in outside:
            self._meet(tensor)
        self.is_paused = False

    def paused(self) -> _Pause:
        """Inside, new storages belong to somebody else."""
        return _Pause(self)

    def _meet(self, tensor: Tensor) -> int:
        """Size of the storage behind a tensor when it is new, else 0."""
        storage = tensor.untyped_storage()
        if storage._cdata in self.met:
            return 0
        self.met[storage._cdata] = StorageWeakRef(storage)
        return storage.nbytes()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in pytree.tree_leaves(out):
            if isinstance(tensor, Tensor) and (size := self._meet(tensor)) and not self.is_paused:
                self.alive[tensor.untyped_storage()._cdata] = size
                self.allocated += size
        self.alive = {key: size for key, size in self.alive.items() if not self.met[key].expired()}
        self.peak = max(self.peak, sum(self.alive.values()))
        return out


class _Pause:
    def __init__(self, meter: _Meter) -> None:
        self.meter = meter

    def __enter__(self) -> None:
        self.meter.is_paused = True

    def __exit__(self, *_: object) -> None:
        self.meter.is_paused = False


# --- products that torch's counter does not know --------------------------------------------------


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    return sdpa_flop_count(query, key, value)


def _matrix_vector(matrix: Any, vector: Any, *_: Any, **__: Any) -> int:
    return 2 * math.prod(matrix)


def _add_matrix_vector(_bias: Any, matrix: Any, vector: Any, *_: Any, **__: Any) -> int:
    return 2 * math.prod(matrix)


_MORE_FLOPS = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten.mv: _matrix_vector,
    torch.ops.aten.dot: _matrix_vector,
    torch.ops.aten.addmv: _add_matrix_vector,
}
