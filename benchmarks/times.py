"""How long every mechanism takes: ``python -m benchmarks.times``, or `make time`.

Forward, and forward with backward, of every registered mechanism at its defaults on a
(8, 256, 56, 56) input, as multiples of the copy of that input: on the CPU with one thread and with
two, and on CUDA where there is a device. Beside them what the machine can do at most, for the
roofline: the bandwidth of that copy and the rate of a large product of matrices.

The light mechanisms and the heavy ones are timed apart, each beside a copy of their own, so that
the light ones have their turn more often. The record says how busy the machine was before: times
taken on a busy machine are a trial and the page calls them so. The command fails if something did
not fit into the time.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.benchmark import Timer

import attnlib
from attnlib.lab import cost, timing
from attnlib.lab.timing import COPY
from benchmarks import records
from benchmarks.cost import BATCH, CHANNELS, SIDE, create

THREADS = (1, 2)
HEAVY = 10**8  #: MACs of one image from which a mechanism is among the heavy ones
SHARE = 0.2  #: of the time, for the light ones
PRODUCT = 2048  #: rows and columns of the matrices whose product gives the peak rate


def groups() -> dict[str, dict[str, nn.Module]]:
    """Light and heavy mechanisms, each a name → module."""
    found: dict[str, dict[str, nn.Module]] = {"light": {}, "heavy": {}}
    for key in attnlib.available():
        module, _ = create(key, CHANNELS)
        macs = cost(module, (1, CHANNELS, SIDE, SIDE)).macs
        found["heavy" if macs >= HEAVY else "light"][key] = module
    return found


def measure(device: str, threads: int, budget: float) -> Iterator[dict[str, Any]]:
    """The rows of one device and number of threads."""
    x = torch.randn(BATCH, CHANNELS, SIDE, SIDE, device=device)
    for name, modules in groups().items():
        share = budget * (SHARE if name == "light" else 1 - SHARE)
        there = {key: module.to(device) for key, module in modules.items()}
        result = timing(there, x, budget=share, threads=threads, devices=[device])
        print(result, flush=True)
        for row in result.records:
            rest = {k: v for k, v in row.items() if k not in ("module", "samples_s")}
            yield {"mechanism": row["module"], "group": name, **rest}


def machine(device: str, threads: int, rows: list[dict[str, Any]]) -> dict[str, Any]:
    """What can be had at most: bytes per second of the copy, MACs per second of a product."""
    copies = [row["median_s"] for row in rows if row["mechanism"] == COPY]
    moved = 2 * BATCH * CHANNELS * SIDE * SIDE * 4
    a, b = (torch.randn(PRODUCT, PRODUCT, device=device) for _ in range(2))
    timer = Timer("a @ b", globals={"a": a, "b": b}, num_threads=threads)
    seconds = timer.blocked_autorange(min_run_time=1.0).median
    return {
        "device": device,
        "device_name": rows[0]["device_name"],
        "threads": threads,
        "dtype": "float32",
        "copy_bytes_per_s": moved / min(copies),
        "product_macs_per_s": PRODUCT**3 / seconds,
        "product": [PRODUCT] * 3,
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.times", description=__doc__)
    parser.add_argument("--budget", type=float, default=270.0, help="seconds of measuring, in all")
    options = parser.parse_args(arguments)
    runs = [("cpu", threads) for threads in THREADS if threads <= (os.cpu_count() or 1)]
    if torch.cuda.is_available():
        runs.append(("cuda", 1))
    rows: list[dict[str, Any]] = []
    machines = []
    start = time.perf_counter()
    load = os.getloadavg()[0]
    shares = [1 / threads for _, threads in runs]  # one thread takes about twice as long as two
    for (device, threads), share in zip(runs, shares, strict=True):
        mine = list(measure(device, threads, options.budget * share / sum(shares)))
        machines.append(machine(device, threads, mine))
        rows += mine
    at = {"batch": BATCH, "channels": CHANNELS, "height": SIDE, "width": SIDE}
    busy = {"load": round(load, 2), "cores": os.cpu_count()}
    path = records.write("time", "make time", rows, at=at, busy=busy, machines=machines)
    print(f"{path.name}: {len(rows)} times in {time.perf_counter() - start:.0f} s")
    left = sorted({row["mechanism"] for row in rows if row["median_s"] is None})
    if left:
        print(f"over budget, in part: {', '.join(left)}")
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
