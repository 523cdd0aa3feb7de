"""Three questions that the digits left open: ``python -m benchmarks.pictures_followup``.

They were asked after the result of ``benchmarks.pictures`` was known, so they explain and do not
prove. Splits, seeds and recipe are the same, and each answer is a paired difference again.

statistics  CBAM falls behind, and more in some seeds than in others. Its spatial gate keeps running
            statistics that move by 1 % a step (the authors' momentum), and a hundred steps are few.
            Here the statistics of every BatchNorm are taken anew from the training pictures before
            the test, for the host alone as well.
wider       GAM gains in the light host, where it multiplies the operations many times over. Here
            the host alone is made so wide that it takes as many.
beside      Multi-head attention replaces the branch it stands in. Here its input is added to it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import attnlib
from attnlib.lab import cost
from benchmarks import pictures, records
from benchmarks.pictures import FIRST_SEED, SETTINGS, Setting, accuracy, compared, fit, parts
from benchmarks.pictures_data import Pictures
from benchmarks.pictures_hosts import HOSTS, with_attention

EXPERIMENT = "pictures_followup"
COMMAND = "python -m benchmarks.pictures_followup"


class Beside(nn.Module):
    """x + m(x)"""

    def __init__(self, mechanism: nn.Module) -> None:
        super().__init__()
        self.mechanism = mechanism

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mechanism(x)


@torch.no_grad()
def take_statistics(model: nn.Module, training: Pictures, batch_size: int) -> None:
    """Set the running statistics of every BatchNorm to their mean over the training pictures."""
    for module in model.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.reset_running_stats()
            module.momentum = None  # the plain mean of all batches
    model.train()
    mean, std = pictures.scale(training)
    order = torch.randperm(len(training), generator=torch.Generator().manual_seed(0))
    for batch in order.split(batch_size):
        model((training.images[batch] - mean) / std)


def macs(host: str, mechanism: str | None, width: int) -> int:
    model = with_attention(host, mechanism, in_channels=1, width=width, seed=0)
    return cost(model.eval(), (1, 1, 8, 8)).macs


def width_for(host: str, wanted: int) -> int:
    """The smallest width whose host alone takes ``wanted`` multiply–accumulates or more."""
    width = 16
    while macs(host, None, width) < wanted:
        width += 1
    return width


def trainings(setting: Setting, seeds: Sequence[int]) -> list[dict[str, Any]]:
    """All of them, as rows of question, host, variant, seed and accuracy."""
    data = pictures.load(setting, Path())
    rows: list[dict[str, Any]] = []
    wide = {host: width_for(host, macs(host, "gam", setting.width)) for host in HOSTS}

    def add(question: str, host: str, variant: str, seed: int, found: float, **more: Any) -> None:
        row = {"question": question, "host": host, "variant": variant, "seed": seed}
        rows.append({**row, "accuracy": round(found, 4), **more})

    for seed in seeds:
        training, test = parts(setting, data, seed)
        for host in HOSTS:
            for mechanism in (None, "cbam"):
                model = pictures.started(host, mechanism, seed, 1, setting.width)
                fit(model, training, seed, setting)
                take_statistics(model, training, setting.batch_size)
                variant = mechanism or "none"
                add("statistics", host, variant, seed, accuracy(model, training, test))

            model = with_attention(host, None, in_channels=1, width=wide[host], seed=seed)
            fit(model, training, seed, setting)
            add("wider", host, "none", seed, accuracy(model, training, test), width=wide[host])

            model = with_attention(host, "multihead", in_channels=1, width=setting.width, seed=seed)
            for insertion in attnlib.inserted(model):
                model.set_submodule(insertion.path, Beside(insertion.module))
            fit(model, training, seed, setting)
            add("beside", host, "multihead", seed, accuracy(model, training, test))
        print(f"seed {seed}", flush=True)
    return rows


def answers(
    rows: Sequence[Mapping[str, Any]], recorded: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Paired differences, with intervals that are read alone; ``recorded`` are the first rows."""

    def new(question: str, host: str, variant: str) -> dict[int, float]:
        wanted = (question, host, variant)
        return {
            r["seed"]: r["accuracy"]
            for r in rows
            if (r["question"], r["host"], r["variant"]) == wanted
        }

    def old(host: str, mechanism: str | None) -> dict[int, float]:
        return {
            r["seed"]: r["accuracy"]
            for r in recorded
            if (r["host"], r["mechanism"]) == (host, mechanism)
        }

    found = []
    for host in HOSTS:
        pairs = {
            "statistics": (new("statistics", host, "cbam"), new("statistics", host, "none")),
            "wider": (new("wider", host, "none"), old(host, None)),
            "gam or wider": (old(host, "gam"), new("wider", host, "none")),
            "beside": (new("beside", host, "multihead"), old(host, None)),
        }
        for question, (mine, theirs) in pairs.items():
            values = [mine[seed] - theirs[seed] for seed in sorted(mine)]
            found.append({"question": question, "host": host, **compared(values, 1)})
    return sorted(found, key=lambda line: list(pairs).index(line["question"]))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog=COMMAND, description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.parse_args(arguments)
    setting = SETTINGS["digits"]
    recorded = records.read("pictures")["rows"]
    rows = trainings(setting, range(FIRST_SEED, FIRST_SEED + setting.seeds))
    found = answers(rows, recorded)
    path = records.write(EXPERIMENT, COMMAND, rows, answers=found)
    for line in found:
        print(f"{line['question']:13} {line['host']:7} {line['difference']:+6.2f}", line["verdict"])
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
