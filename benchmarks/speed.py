"""Every mechanism beside other people's implementations: ``python -m benchmarks.speed``.

In one process and in turns, round by round: the copy of the input, each peer, and the module of
attnlib with that peer's weights (``benchmarks.peers``). A row holds one module, one pass (forward;
forward and backward), one input and one setting of threads, dtype and layout; ``ratio`` is the
median over the rounds of peer / attnlib, above 1 where attnlib is faster.

The whole is done twice, in processes of their own; ``benchmarks.verdict`` says what holds in both.
Compiled forms and growing sizes are measured in the first run only, with all threads.
Modules that need more than 6 GB are left out.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from attnlib.lab import cost, timing
from attnlib.lab.timing import COPY, _threads
from benchmarks import records, verdict
from benchmarks.peers import CASES, Case, Peer, equal
from benchmarks.verdict import COMPILED

RUNS = 2
MOST_BYTES = 6e9
ROUNDS = {"main": 20, "growing": 5}  #: wanted, also of what is slow; the quick get more
LONGEST = 240.0  #: seconds for a group of modules, however slow they are
SIDES = {256: (14, 28, 112), 512: (17, 33)}  #: growing sizes: channels of the first size → sides


@dataclass(frozen=True)
class Setting:
    """How the tensors are, and with how many threads the CPU works."""

    device: str = "cpu"
    threads: int = 1
    dtype: torch.dtype = torch.float32
    channels_last: bool = False

    def input(self, size: Sequence[int]) -> Tensor:
        x = torch.randn(size, generator=torch.Generator().manual_seed(0))
        x = x.to(self.device, self.dtype)
        if self.channels_last and x.dim() == 4:
            x = x.contiguous(memory_format=torch.channels_last)
        return x

    def module(self, module: nn.Module) -> nn.Module:
        module = module.to(self.device, self.dtype)
        return module.to(memory_format=torch.channels_last) if self.channels_last else module


def settings(threads: Sequence[int]) -> list[Setting]:
    """The CPU with each number of threads; with a CUDA device, three settings on that."""
    found = [Setting(threads=n) for n in threads if n <= (os.cpu_count() or 1)]
    if torch.cuda.is_available():
        cuda = Setting("cuda", torch.get_num_threads())
        found += [cuda, Setting("cuda", cuda.threads, torch.bfloat16)]
        found += [Setting("cuda", cuda.threads, torch.bfloat16, channels_last=True)]
    return found


def compare(
    case: Case,
    size: Sequence[int],
    setting: Setting,
    *,
    seconds: float,
    rounds: int,
    compiled: bool = False,
) -> Iterator[dict[str, Any]]:
    """Rows of one mechanism at one input: the copy, attnlib compiled, and a pair for each peer."""
    channels = size[2] if len(size) == 3 else size[1]
    x = setting.input(size)
    modules: dict[str, nn.Module] = {}
    pairs: list[tuple[Peer, str, str, bool]] = []
    spent = 0.0
    for peer in case.peers:
        theirs, ours = (setting.module(m) for m in case.pair(peer, channels))
        if _too_big(theirs, size) or _too_big(ours, size):
            continue
        name, mine = peer.package, f"attnlib for {peer.package}"
        with _threads(setting.threads):
            start = time.perf_counter()
            same = equal(theirs, ours, x) and not peer.differs
            spent += time.perf_counter() - start  # a forward of each
        modules |= {name: theirs, mine: ours}
        pairs.append((peer, name, mine, same))
        if compiled and COMPILED not in modules:
            torch.compiler.reset()
            modules[COMPILED] = _compiled(ours, x)
    if not modules:
        return
    # A round is a forward of each and then its forward with backward, about three times as long;
    # the warm-up is worth two rounds.
    budget = min(max(seconds, (rounds + 2) * 4 * spent), LONGEST)
    found = timing(modules, x, budget=budget, threads=setting.threads, devices=[setting.device])
    by = {(r["module"], r["pass"]): r for r in found.records}
    common = {
        "mechanism": case.mechanism,
        "size": list(size),
        "device": setting.device,
        "threads": setting.threads,
        "dtype": str(setting.dtype).removeprefix("torch."),
        "channels_last": setting.channels_last,
    }
    yield {**common, "module": COPY, "pass": COPY, **_figures(by[COPY, COPY])}
    for which in ("forward", "forward+backward"):
        if COMPILED in modules:
            yield {**common, "module": COMPILED, "pass": which, **_figures(by[COMPILED, which])}
        for peer, name, mine, same in pairs:
            theirs_r, ours_r = by[name, which], by[mine, which]
            yield {**common, "module": mine, "pass": which, **_figures(ours_r)}
            yield {
                **common,
                "module": name,
                "pass": which,
                **_figures(theirs_r),
                **_ratio(theirs_r, ours_r),
                "same": same,
                **({"differs": peer.differs} if peer.differs else {}),
            }


def _compiled(module: nn.Module, x: Tensor) -> nn.Module:
    """``module`` through Inductor, both passes compiled before anybody looks at the clock."""
    compiled: nn.Module = torch.compile(module, fullgraph=True)  # type: ignore[assignment]
    with torch.no_grad():
        compiled.eval()(x)
    y = compiled.train()(x.detach().clone().requires_grad_())
    y.sum().backward()
    module.zero_grad()
    return compiled


def _too_big(module: nn.Module, size: Sequence[int]) -> bool:
    counted = cost(module, size)
    return max(counted.peak_bytes, counted.peak_bytes_training or 0) > MOST_BYTES


def _figures(record: dict[str, Any]) -> dict[str, Any]:
    """What is kept of a record of ``attnlib.lab.timing``, in milliseconds and megabytes."""
    if record["median_s"] is None:
        return {"ms": None, "copies": None}
    peak = record["peak_bytes"]
    return {
        "ms": _rounded(record["median_s"] * 1e3),
        "iqr_ms": _rounded((record["iqr_s"] or 0.0) * 1e3),
        "rounds": len(record["samples_s"]),
        "copies": _rounded(record["times_copy"]),
        "peak_mb": None if peak is None else _rounded(peak / 1e6),
    }


def _ratio(theirs: dict[str, Any], ours: dict[str, Any]) -> dict[str, Any]:
    """Peer / attnlib, round by round: the median, and the quartiles around it."""
    ratios = sorted(a / b for a, b in zip(theirs["samples_s"], ours["samples_s"], strict=False))
    if len(ratios) < 3:
        return {"ratio": None}
    low, high = ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4]
    return {"ratio": _rounded(median(ratios)), "ratio_quartiles": [_rounded(low), _rounded(high)]}


def _rounded(value: float) -> float:
    """Four significant digits: more would only pretend."""
    return float(f"{value:.4g}") if math.isfinite(value) else value


def run(
    seconds: float, mechanisms: Sequence[str], threads: Sequence[int], *, thorough: bool
) -> list[dict[str, Any]]:
    """One run over everything; a thorough one also compiles, and lets the sizes grow."""
    rows: list[dict[str, Any]] = []
    most = max(s.threads for s in settings(threads))
    for case in CASES:
        if mechanisms and case.mechanism not in mechanisms:
            continue
        for setting in settings(threads):
            more = thorough and setting.threads == most
            for size, what in _sizes(case, growing=more):
                budget = seconds if what == "main" else seconds / 2
                compiled = more and size == case.sizes[0]
                found = compare(
                    case, size, setting, seconds=budget, rounds=ROUNDS[what], compiled=compiled
                )
                for row in found:
                    rows.append({"sizes": what, **row})
                    _say(row)
    return rows


def _sizes(case: Case, *, growing: bool) -> Iterator[tuple[tuple[int, ...], str]]:
    first = case.sizes[0]
    yield from ((size, "main") for size in case.sizes)
    if growing and len(first) == 4:
        yield from (((*first[:2], n, n), "growing") for n in SIDES[first[1]])


def _say(row: dict[str, Any]) -> None:
    size = "×".join(map(str, row["size"]))
    ratio = f"{row['ratio']:6.2f}" if row.get("ratio") else " " * 6
    ms = "over budget" if row["ms"] is None else f"{row['ms']:9.2f} ms ×{row['copies']:6.1f}"
    print(
        f"{row['mechanism']:<15}{size:<14}{row['device']} {row['threads']} {row['dtype']:<9}"
        f"{row['pass']:<17}{row['module']:<38}{ms} {ratio}",
        flush=True,
    )


def renewed(rows: Sequence[dict[str, Any]], record: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a record with those of the mechanisms in ``rows`` in the place of the old ones.

    Rows that stay keep the commit at which they were measured.
    """
    again = {row["mechanism"] for row in rows}
    before = record["made"]["commit"]
    kept = [{"commit": before, **r} for r in record["rows"] if r["mechanism"] not in again]
    order = [case.mechanism for case in CASES]
    both = [*kept, *rows]
    return sorted(both, key=lambda r: (r["run"], order.index(r["mechanism"])))


def experiment(rows: Sequence[dict[str, Any]]) -> str:
    """The record that rows belong to: one that has rows of a CUDA device is another."""
    return "speed-cuda" if any(r["device"] == "cuda" for r in rows) else "speed"


def store(rows: list[dict[str, Any]]) -> None:
    """Write the record, promises included."""
    name = experiment(rows)
    device = "cuda" if name == "speed-cuda" else "cpu"
    found = [promise.data() for promise in verdict.promises(rows)]
    waiting = os.environ.get("OMP_WAIT_POLICY", "default")  # what idle threads do
    records.write(
        name, "make bench", rows, device=device, runs=RUNS, omp_wait_policy=waiting, promises=found
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.speed", description=__doc__)
    parser.add_argument("mechanisms", nargs="*", help="only these; recorded only with --again")
    parser.add_argument("--seconds", type=float, default=2.5, help="for each group of modules")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2], help="on the CPU")
    parser.add_argument("--quick", action="store_true", help="no compiling, no growing sizes")
    parser.add_argument("--again", action="store_true", help="put these into the record anew")
    parser.add_argument("--one", type=Path, help="a single run, into this file")
    options = parser.parse_args(arguments)
    if options.one:
        thorough = not options.quick
        rows = run(options.seconds, options.mechanisms, options.threads, thorough=thorough)
        options.one.write_text(json.dumps(rows))
        return 0
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(1, RUNS + 1):
            print(f"--- run {number} of {RUNS}", flush=True)
            file = Path(folder) / f"{number}.json"
            command = [sys.executable, "-m", "benchmarks.speed", *options.mechanisms]
            command += ["--seconds", str(options.seconds), "--one", str(file)]
            command += ["--threads", *map(str, options.threads)]
            command += ["--quick"] if options.quick or number > 1 else []
            subprocess.run(command, check=True)
            rows += [{"run": number, **row} for row in json.loads(file.read_text())]
    if options.again and not options.quick:
        store(renewed(rows, records.read(experiment(rows))))
    elif not (options.mechanisms or options.quick):
        store(rows)
    print("\n".join(verdict.lines(rows)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
