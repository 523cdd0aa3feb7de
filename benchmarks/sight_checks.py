"""Why the surprising cells are as they are: ``python -m benchmarks.sight_checks``, in `make sight`.

Each explanation names a cause. Here the cause is taken away, or put in, and nothing else is
changed: same host, same recipe, same seeds as in ``benchmarks.sight``. If the explanation is right,
the result must change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn

import attnlib
from attnlib.lab.probes import TASKS, Task, _pair, train
from benchmarks import records
from benchmarks.sight import RECIPE, SEEDS, WIDTH

EXPERIMENT, COMMAND = "sight-checks", "python -m benchmarks.sight_checks"


@dataclass(frozen=True)
class Check:
    name: str
    against: str  #: name of the form in ``benchmarks.sight`` that it is compared with
    task: str | Task
    factory: Callable[[int], nn.Module]


#: Eight pairs of codes instead of thirty-two: a summary of them is less crowded.
EIGHT = replace(TASKS["pair"], draw=partial(_pair, pairs=8))


class NormalisedSE(attnlib.SqueezeExcitation):
    """SE whose means are normalised over the batch before they are used."""

    def __init__(self, channels: int, **options: Any) -> None:
        super().__init__(channels, **options)
        self.norm = nn.BatchNorm1d(channels)

    def attention(self, x: Tensor) -> Tensor:
        z = self.norm(x.mean((2, 3)))
        return self.fc2(self.fc1(z).relu()).sigmoid()[:, :, None, None]

    def forward(self, x: Tensor) -> Tensor:
        return x * self.attention(x)  # SE's own forward does not go through attention()


class MeanCBAM(attnlib.CBAM):
    """CBAM whose channel gate sees the mean twice instead of mean and maximum."""

    def _channel_gate(self, mean: Tensor, maximum: Tensor) -> Tensor:
        return super()._channel_gate(mean, mean)


class MildChannelAttention(attnlib.ChannelAttention):
    """DANet's channel attention with means over the positions as scores instead of sums."""

    def attention(self, x: Tensor) -> Tensor:
        maps = x.flatten(2)  # (B, C, N)
        return (maps @ maps.mT / maps.shape[2]).softmax(-1)


def looking_around(channels: int) -> nn.Module:
    """Multi-head attention whose heads start by looking at the neighbourhood.

    Queries and keys are the two fastest waves of row and of column, so that a score is a sum of
    cosines of the distance.
    """
    module = attnlib.MultiHeadAttention(channels, heads=channels // WIDTH, positions=True)
    waves = [*range(4), *range(channels // 2, channels // 2 + 4)]
    with torch.no_grad():
        queries_and_keys = module.sequence.qkv.weight[: 2 * channels]
        queries_and_keys.zero_()
        for i in range(2 * channels):
            queries_and_keys[i, waves[i % WIDTH]] = 3.0
    return module


def _of(key: str, **options: Any) -> Callable[[int], nn.Module]:
    return lambda channels: attnlib.create(key, channels, **options)


CHECKS = (
    Check("no bottleneck", "se", "many", _of("se", reduction=1)),
    Check("squeeze normalised", "se", "many", lambda c: NormalisedSE(c, reduction=c // WIDTH)),
    Check("both", "se", "many", lambda c: NormalisedSE(c, reduction=1)),
    Check("eight pairs", "se", EIGHT, _of("se", reduction=4)),
    Check("eight pairs", "psa_parallel", EIGHT, _of("psa_parallel")),
    Check("eight pairs", "channel", EIGHT, _of("channel")),
    Check("eight pairs", "channel, authors' code", EIGHT, _of("channel", max_minus=True)),
    Check("sees itself only", "bam", "pair", _of("bam", reduction=4, dilation=12)),
    Check("squeeze normalised", "se", "pair", lambda c: NormalisedSE(c, reduction=c // WIDTH)),
    Check("window of 23", "cbam", "place", _of("cbam", reduction=4, kernel_size=23)),
    Check("no maximum", "cbam", "context", lambda c: MeanCBAM(c, reduction=c // WIDTH)),
    Check("no dilation", "bam", "near", _of("bam", reduction=4, dilation=1)),
    Check("no normalisation", "psa_parallel", "many", _of("psa_parallel", channel_out="linear")),
    Check(
        "softmax over the product",
        "psa_parallel",
        "many",
        _of("psa_parallel", spatial_softmax="product"),
    ),
    Check("means as scores", "channel", "context", MildChannelAttention),
    Check("started looking around", "multihead, with positions", "near", looking_around),
)


def measure(check: Check) -> dict[str, Any]:
    result = train(check.task, check.factory, seeds=SEEDS, **RECIPE)
    accuracies = [round(a, 4) for a in result.accuracies]
    return {
        "name": check.name,
        "against": check.against,
        "task": result.task,
        "accuracies": accuracies,
        "mean": round(mean(accuracies), 4),
        "spread": round(stdev(accuracies), 4),
    }


def main() -> None:
    torch.set_num_threads(1)
    rows = []
    for check in CHECKS:
        rows.append(measure(check))
        print(*rows[-1].values(), flush=True)
    records.write(EXPERIMENT, COMMAND, rows, recipe={**RECIPE, "seeds": list(SEEDS)})


if __name__ == "__main__":
    main()
