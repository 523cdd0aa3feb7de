"""How long a module takes, beside the copy of its input.

A gate must read its input and write its output, so nothing that computes it can be faster than a
copy of the same tensor: the copy is the floor, and "n × copy" says how far a module is from it.
That ratio travels from machine to machine far better than milliseconds do.

The modules and the copy are measured in turns, a little of each in every round, so that a machine
that slows down for a moment slows all of them.
"""

from __future__ import annotations

import copy
import math
import time
import timeit
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils import _pytree as pytree
from torch.utils.benchmark import Measurement, TaskSpec
from torch.utils.benchmark.utils.timer import timer

from attnlib.lab._machine import allocator, device_name
from attnlib.lab._mode import mode
from attnlib.lab._table import text_table
from attnlib.lab.cost import Cost, cost

__all__ = ["Timing", "timing"]

FORWARD, TRAINING, COPY = "forward", "forward+backward", "copy of x"


@dataclass(frozen=True)
class Timing:
    """Measured times; ``print`` it, ``plot`` it, or read ``records``."""

    #: One dictionary per module, pass and device: ``module``, ``pass``, ``median_s``, ``iqr_s``,
    #: ``samples_s`` (seconds per run, one number a round, so that two modules can be compared
    #: round by round), ``runs``, ``times_copy``, ``peak_bytes``, and the conditions: ``device``,
    #: ``device_name``, ``threads``, ``dtype``, ``shape``, ``channels_last``, ``torch``,
    #: ``allocator``. What the budget did not allow has ``median_s`` ``None``.
    records: list[dict[str, Any]]
    budget: float
    notes: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        devices = dict.fromkeys(r["device"] for r in self.records)
        parts = [self._table([r for r in self.records if r["device"] == d]) for d in devices]
        return "\n\n".join(parts + (["\n".join(self.notes)] if self.notes else []))

    __repr__ = __str__

    def _table(self, records: Sequence[dict[str, Any]]) -> str:
        first = records[0]
        size = math.prod(first["shape"]) * getattr(torch, first["dtype"]).itemsize
        where = f"{first['device_name']}, {first['dtype']}, torch {first['torch']}"
        if first["device"] == "cpu":
            where += f", {first['threads']} thread{'s' * (first['threads'] != 1)}"
            where += f", {first['allocator']}"
        passes = list(dict.fromkeys(r["pass"] for r in records if r["pass"] != COPY))
        header = ["median (interquartile range)"]
        for name in passes:
            header += [name, "× copy", "peak"]
        rows = []
        for name in dict.fromkeys(r["module"] for r in records):
            row = [name]
            for which in passes:
                found = [r for r in records if r["module"] == name and r["pass"] in (which, COPY)]
                if not found or (name == COPY and which != passes[0]):
                    row += ["", "", ""]
                elif found[0]["median_s"] is None:
                    row += ["over budget", "", _mb(found[0]["peak_bytes"])]
                else:
                    ratio = f"{found[0]['times_copy']:.1f}"
                    row += [_spread(found[0]), ratio, _mb(found[0]["peak_bytes"])]
            rows.append(row)
        table = text_table(header, rows, align="l" + "rrr" * len(passes))
        return f"{where}; x is {tuple(first['shape'])}, {_mb(size)}\n{table}"

    def plot(self) -> Any:
        """Bars in multiples of the copy, one panel per device; returns the matplotlib figure."""
        import matplotlib.pyplot as plt

        ink = "#7a7f87"  # legible on white and on near-black
        colours = {FORWARD: "#3b82c4", TRAINING: "#c8702a"}
        devices = list(dict.fromkeys(r["device"] for r in self.records))
        names = list(dict.fromkeys(r["module"] for r in self.records if r["pass"] != COPY))
        passes = list(dict.fromkeys(r["pass"] for r in self.records if r["pass"] != COPY))
        height = 0.9 + 0.28 * len(passes) * len(names)
        figure, panels = plt.subplots(
            len(devices), 1, figsize=(6.4, height * len(devices)), squeeze=False, layout="tight"
        )
        for panel, device in zip(panels[:, 0], devices, strict=True):
            for i, which in enumerate(passes):
                chosen = {
                    r["module"]: r["times_copy"]
                    for r in self.records
                    if r["device"] == device and r["pass"] == which and r["median_s"] is not None
                }
                at = [names.index(n) + (i - (len(passes) - 1) / 2) * 0.38 for n in chosen]
                values = list(chosen.values())
                bars = panel.barh(at, values, 0.34, color=colours[which], label=which)
                panel.bar_label(bars, fmt="%.1f", padding=3, color=ink, fontsize=9)
            panel.axvline(1, color=ink, linewidth=1, linestyle="--")
            panel.set_yticks(range(len(names)), names)
            panel.invert_yaxis()
            panel.margins(x=0.12)
            panel.set_xlabel(f"time on {device.upper()}, in copies of x", color=ink)
            panel.tick_params(colors=ink, length=0)
            panel.set_facecolor("none")
            for side in ("top", "right", "left"):
                panel.spines[side].set_visible(False)
            panel.spines["bottom"].set_color(ink)
        if len(passes) > 1:
            panels[0, 0].legend(frameon=False, labelcolor=ink, fontsize=9)
        figure.patch.set_alpha(0)
        plt.close(figure)  # the cell shows what it returns; open, it would be shown twice
        return figure


def timing(
    modules: Mapping[str, nn.Module] | nn.Module,
    x: Tensor,
    *,
    budget: float = 3.0,
    backward: bool = True,
    threads: int | None = None,
    devices: Sequence[str | torch.device] | None = None,
) -> Timing:
    """Time modules on ``x``, forward and forward with backward, beside the copy of ``x``.

    Forwards run in eval mode without gradients; forward with backward runs in train mode and
    computes the gradients of ``x`` and of all parameters. The modules are left as they were.

    Args:
        modules: name → module, or one module.
        x: the input.
        budget: seconds for everything. A pass that will not fit is reported as over budget, though
            every forward runs at least once.
        backward: whether to time forward with backward too.
        threads: threads on the CPU; default: torch's present number.
        devices: where to run; default: where ``x`` is, and on CUDA too if there is one.

    Peak memory is counted on the CPU (see ``attnlib.lab.cost``; not for compiled modules) and
    measured on CUDA.
    """
    start = time.perf_counter()
    if isinstance(modules, nn.Module):
        modules = {type(modules).__name__: modules}
    if not modules:
        raise ValueError("there are no modules to time")
    if budget <= 0:
        raise ValueError(f"the budget must be positive, got {budget}")
    if COPY in modules:
        raise ValueError(f"the name {COPY!r} is taken by the copy that the modules stand beside")
    if devices is None:
        devices = [x.device]
        if x.device.type == "cpu" and torch.cuda.is_available():
            devices.append(torch.device("cuda"))
    records: list[dict[str, Any]] = []
    for i, device in enumerate(map(torch.device, devices)):
        spent = time.perf_counter() - start
        share = max(0.0, budget - spent) / (len(devices) - i)
        there = {
            n: m if x.device.type == device.type else copy.deepcopy(m).to(device)
            for n, m in modules.items()
        }
        with _threads(threads):
            records += _on_device(there, x.detach().to(device), share, backward)
    return Timing(records, budget)


# --- measuring ------------------------------------------------------------------------------------


@dataclass
class _Case:
    """One thing to measure."""

    module: str
    which: str
    run: Callable[[], Any]
    seconds: float = 0.0  #: what one run is expected to take
    number: int = 1  #: runs per sample
    samples: list[float] = field(default_factory=list)  #: seconds per run
    runs: int = 0
    peak_bytes: int | None = None

    def sample(self, number: int) -> float:
        # The timer of torch waits for CUDA to finish; gc is off inside.
        seconds = timeit.Timer(self.run, timer=timer).timeit(number) / number
        self.runs += number
        return seconds


def _on_device(
    modules: Mapping[str, nn.Module], x: Tensor, budget: float, backward: bool
) -> list[dict[str, Any]]:
    deadline = time.perf_counter() + budget
    target = torch.empty_like(x)
    cases = [_Case(COPY, COPY, lambda: target.copy_(x))]
    cases += [_Case(n, FORWARD, _forward(m, x)) for n, m in modules.items()]
    if backward:
        cases += [_Case(n, TRAINING, _training(m, x)) for n, m in modules.items()]
    with _unchanged(modules):
        _peaks(cases, modules, x)
        _warm_up(cases, modules, deadline)
        _measure(cases, modules, deadline)
    return [_record(case, cases[0], x) for case in cases]


def _forward(module: nn.Module, x: Tensor) -> Callable[[], Any]:
    def run() -> None:
        with torch.no_grad():
            module(x)

    return run


def _training(module: nn.Module, x: Tensor) -> Callable[[], Any]:
    leaf = x.clone().requires_grad_()
    inputs = [leaf, *(p for p in module.parameters() if p.requires_grad)]
    gradients: list[Tensor] = []

    def run() -> None:
        outputs = [t for t in pytree.tree_leaves(module(leaf)) if isinstance(t, Tensor)]
        if not gradients:
            gradients.extend(torch.ones_like(t) for t in outputs)
        # grad() rather than backward(): nothing is left behind in the parameters.
        torch.autograd.grad(outputs, inputs, gradients, allow_unused=True)

    return run


@contextmanager
def _ready(case: _Case, modules: Mapping[str, nn.Module]) -> Iterator[None]:
    if case.which == COPY:
        yield
    else:
        with mode(modules[case.module], training=case.which == TRAINING):
            yield


def _warm_up(cases: Sequence[_Case], modules: Mapping[str, nn.Module], deadline: float) -> None:
    """Run everything once or twice, and learn how many runs make a sample."""
    start = time.perf_counter()
    budget = max(deadline - start, 1e-3)
    for case in cases:
        forward = next((c for c in cases if c.module == case.module and c.which == FORWARD), case)
        if case.which == TRAINING and time.perf_counter() + 3 * forward.seconds > deadline:
            continue
        with _ready(case, modules):
            first = case.sample(1)
            # The first run pays for what is set up once: it counts only if there is no other.
            again = first * 2 < max(deadline - time.perf_counter(), 0) / len(cases)
            case.seconds = case.sample(1) if again else first
            case.samples = [case.seconds]
        # Some twenty rounds for everybody; a sample of a very short thing takes many runs.
        aim = min(10e-3, budget / len(cases) / 20)
        case.number = min(1000, max(1, int(aim / max(case.seconds, 1e-7))))


def _measure(cases: Sequence[_Case], modules: Mapping[str, nn.Module], deadline: float) -> None:
    """Rounds in which each case has its turn, as many as there is time for."""
    active = [case for case in cases if case.seconds]
    rounds = 0
    while active:
        left = deadline - time.perf_counter()
        while active and sum(case.seconds * case.number for case in active) > left:
            if rounds >= 3:
                return  # better no more rounds than rounds without somebody
            active.remove(max(active, key=lambda case: case.seconds * case.number))
        for case in active:
            with _ready(case, modules):
                seconds = case.sample(case.number)
            if rounds == 0:
                case.samples.clear()  # of the warm-up
            case.samples.append(seconds)
            case.seconds = min(case.seconds, seconds)
        active = active[1:] + active[:1]  # nobody always follows the same neighbour
        rounds += 1


@contextmanager
def _unchanged(modules: Mapping[str, nn.Module]) -> Iterator[None]:
    """Training-mode forwards move running statistics: put them back."""
    buffers = [(b, b.detach().clone()) for m in modules.values() for b in m.buffers()]
    try:
        yield
    finally:
        with torch.no_grad():
            for buffer, before in buffers:
                buffer.copy_(before)


def _peaks(cases: Sequence[_Case], modules: Mapping[str, nn.Module], x: Tensor) -> None:
    """Most memory alive at once beyond x and the parameters, for every case."""
    counted: dict[str, Cost] = {}
    for case in cases:
        if case.which == COPY:
            continue
        if x.device.type == "cuda":
            with _ready(case, modules):
                case.peak_bytes = _peak_on_cuda(case, x.device)
            continue
        module = modules[case.module]
        if hasattr(module, "_orig_mod"):
            continue  # compiled: the operations that will be left cannot be counted beforehand
        if case.module not in counted:
            counted[case.module] = cost(module, tuple(x.shape), dtype=x.dtype)
        both = counted[case.module]
        training = case.which == TRAINING
        case.peak_bytes = both.peak_bytes_training if training else both.peak_bytes


def _peak_on_cuda(case: _Case, device: torch.device) -> int:
    case.run()
    torch.cuda.synchronize(device)
    torch.cuda.reset_peak_memory_stats(device)
    before = torch.cuda.memory_allocated(device)
    case.run()
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device) - before


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


# --- reporting ------------------------------------------------------------------------------------


def _record(case: _Case, floor: _Case, x: Tensor) -> dict[str, Any]:
    measured = None
    if case.samples:
        task = TaskSpec(stmt=case.which, setup="", num_threads=torch.get_num_threads())
        measured = Measurement(1, case.samples, task)
        below = Measurement(1, floor.samples, task).median
    return {
        "module": case.module,
        "pass": case.which,
        "median_s": measured.median if measured else None,
        "iqr_s": measured.iqr if measured and len(case.samples) > 1 else None,
        "samples_s": list(case.samples),
        "runs": case.runs,
        "times_copy": measured.median / below if measured else None,
        "peak_bytes": case.peak_bytes,
        "device": x.device.type,
        "device_name": device_name(x.device),
        "threads": torch.get_num_threads(),
        "dtype": str(x.dtype).removeprefix("torch."),
        "shape": list(x.shape),
        "channels_last": x.dim() == 4
        and not x.is_contiguous()
        and x.is_contiguous(memory_format=torch.channels_last),
        "torch": torch.__version__,
        "allocator": allocator(x.device),
    }


def _mb(count: int | None) -> str:
    return "" if count is None else f"{count / 1e6:,.1f} MB"


def _spread(record: Mapping[str, Any]) -> str:
    median, spread = record["median_s"], record["iqr_s"]
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if median * scale >= 1 or unit == "µs":
            digits = 0 if median * scale >= 100 else 1 if median * scale >= 10 else 2
            range_ = "" if spread is None else f" ({spread * scale:.{digits}f})"
            return f"{median * scale:.{digits}f}{range_} {unit}"
    raise AssertionError("unreachable")
