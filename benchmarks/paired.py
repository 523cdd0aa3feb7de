"""Was it the mechanism or the seed? Intervals for paired differences.

Two trainings with the same seed share their pictures, their starting weights and the order of their
batches, so what differs between them is the mechanism, and what varies over the seeds is noise. A
t interval over the seeds says how much the mean difference is worth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

from scipy import stats

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Interval:
    """Mean of the differences, and where it could as well lie."""

    mean: float
    low: float
    high: float
    p: float  #: two-sided, for the hypothesis that the true mean is 0

    def holds_zero(self) -> bool:
        return self.low <= 0 <= self.high


def interval(
    differences: Sequence[float], *, comparisons: int = 1, confidence: float = CONFIDENCE
) -> Interval:
    """The t interval of the mean of ``differences``.

    Args:
        differences: one for each seed.
        comparisons: how many intervals are read side by side. The error that is allowed is divided
            among them (Bonferroni), so that all of them hold together with ``confidence``.
        confidence: 0.95 for a 95 % interval.

    Raises:
        ValueError: if there are fewer than two differences: one says nothing about its spread.
    """
    count = len(differences)
    if count < 2:
        raise ValueError(f"an interval needs two differences or more, got {count}")
    mean, error = fmean(differences), stdev(differences) / math.sqrt(count)
    if error == 0:
        return Interval(mean, mean, mean, 1.0 if mean == 0 else 0.0)
    reach = float(stats.t.ppf(1 - (1 - confidence) / (2 * comparisons), count - 1)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, count - 1))
    return Interval(mean, mean - reach, mean + reach, p)


def verdict(alone: Interval, together: Interval) -> str:
    """``noise``; ``hint`` where only the interval read alone leaves out zero; else the sign."""
    if alone.holds_zero():
        return "noise"
    if together.holds_zero():
        return "hint"
    return "better" if alone.mean > 0 else "worse"
