"""What attnlib promises of its speed, held against a record: ``python -m benchmarks.verdict``.

Every promise is judged in each independent run. It *holds* if it does in all of them and *fails* if
it does in none; what holds in one run and not in another is noise around the bound, *unconfirmed*.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from math import exp, log
from typing import Any

Row = dict[str, Any]
PASSES = ("forward", "forward+backward")
COMPILED = "attnlib, compiled"
#: No peer may be faster beyond noise.
PEER = 0.95
#: Geometric mean of fightingcv-attention / attnlib at each mechanism's first input.
MEANS = {"forward": 2.0, "forward+backward": 1.5}
#: Compiled forward, in copies of the input.
COPIES = {
    **dict.fromkeys(("se", "eca", "sge", "coordinate"), 4.0),
    **dict.fromkeys(("cbam", "shuffle", "psa_parallel", "psa_sequential"), 6.0),
}
#: Peak memory of position attention over the peer's.
PEAK = 0.25


@dataclass(frozen=True)
class Promise:
    kind: str  #: ``peer``, ``mean``, ``peak`` or ``copies``
    mechanism: str  #: ``""`` for the mean over all
    size: tuple[int, ...]
    which: str  #: the pass
    threads: int
    bound: float
    values: tuple[float | None, ...]  #: one per run

    @property
    def at_least(self) -> bool:
        """Whether the bound is a lower one."""
        return self.kind in ("peer", "mean")

    @property
    def state(self) -> str:
        """``holds``, ``unconfirmed``, ``fails`` or ``not measured``."""
        met = [v >= self.bound if self.at_least else v <= self.bound for v in self.values if v]
        if not met or (len(met) < len(self.values) and self.kind != "copies"):
            return "not measured"  # compiled forms are measured in one run only
        return "holds" if all(met) else "unconfirmed" if any(met) else "fails"

    def __str__(self) -> str:
        what = {
            "peer": f"{self.mechanism} {'×'.join(map(str, self.size))}: best peer / attnlib",
            "mean": "geometric mean of fightingcv-attention / attnlib",
            "peak": f"{self.mechanism}: peak memory, attnlib / peer",
            "copies": f"{self.mechanism}, compiled: copies of x",
        }[self.kind]
        values = " and ".join("–" if v is None else f"{v:.2f}" for v in self.values)
        bound = f"{'≥' if self.at_least else '≤'} {self.bound}"
        threads = f"{self.threads} thread{'s' * (self.threads > 1)}"
        return f"{self.state:<13}{what}, {self.which}, {threads}: {values} ({bound})"

    def data(self) -> dict[str, Any]:
        """For the record."""
        return {**asdict(self), "at_least": self.at_least, "state": self.state}


def promises(rows: Sequence[Row]) -> list[Promise]:
    """All of them, judged on the rows of the main sizes on a CPU in float32."""
    rows = [r for r in rows if r["device"] == "cpu" and r["sizes"] == "main"]
    runs = sorted({r.get("run", 1) for r in rows})
    found: list[Promise] = []
    for threads in sorted({r["threads"] for r in rows}):
        by_run = [
            [r for r in rows if r["threads"] == threads and r.get("run", 1) == run] for run in runs
        ]
        found += _promises(by_run, threads)
    return found


def _promises(by_run: Sequence[Sequence[Row]], threads: int) -> Iterator[Promise]:
    def each(value: Callable[[Sequence[Row]], float | None]) -> tuple[float | None, ...]:
        return tuple(value(rows) for rows in by_run)

    for which in PASSES:
        groups = {(r["mechanism"], tuple(r["size"])): None for r in by_run[0] if r.get("same")}
        for m, size in groups:
            values = each(lambda rows, m=m, s=size, w=which: _slowest(rows, m, s, w))
            yield Promise("peer", m, size, which, threads, PEER, values)
        values = each(lambda rows, w=which: _mean(rows, w))
        yield Promise("mean", "", (), which, threads, MEANS[which], values)
        values = each(lambda rows, w=which: _peak(rows, w))
        yield Promise("peak", "position", (), which, threads, PEAK, values)
    if any(r["module"] == COMPILED for r in by_run[0]):
        for m, bound in COPIES.items():
            values = each(lambda rows, m=m: _compiled(rows, m))
            yield Promise("copies", m, (), "forward", threads, bound, values)


def _slowest(
    rows: Sequence[Row], mechanism: str, size: tuple[int, ...], which: str
) -> float | None:
    """The smallest ratio over the peers that compute the same."""
    ratios = [
        r["ratio"]
        for r in rows
        if r["mechanism"] == mechanism
        and tuple(r["size"]) == size
        and r["pass"] == which
        and r.get("same")
        and r.get("ratio")
    ]
    return min(ratios, default=None)


def _mean(rows: Sequence[Row], which: str) -> float | None:
    """Geometric mean over the mechanisms at their first input; each package's default form."""
    first: dict[str, list[int]] = {}
    ratios: dict[str, float] = {}
    for r in rows:
        first.setdefault(r["mechanism"], r["size"])
        if (
            r["module"] == "fightingcv-attention"
            and r["pass"] == which
            and r["size"] == first[r["mechanism"]]
            and r.get("same")
            and r.get("ratio")
        ):
            ratios[r["mechanism"]] = r["ratio"]
    if not ratios:
        return None
    return exp(sum(map(log, ratios.values())) / len(ratios))


def _peak(rows: Sequence[Row], which: str) -> float | None:
    """attnlib's peak over the peer's, where the map of weights is largest."""
    peaks: dict[bool, list[float]] = defaultdict(list)
    for r in rows:
        if r["mechanism"] == "position" and r["pass"] == which and r["size"][2] == 65:
            if r["module"].startswith("attnlib for"):
                peaks[True].append(r["peak_mb"])
            elif r.get("same"):
                peaks[False].append(r["peak_mb"])
    if not (peaks[True] and peaks[False]):
        return None
    return max(peaks[True]) / min(peaks[False])


def _compiled(rows: Sequence[Row], mechanism: str) -> float | None:
    copies = [
        r["copies"]
        for r in rows
        if r["mechanism"] == mechanism
        and r["module"] == COMPILED
        and r["pass"] == "forward"
        and r["ms"] is not None
    ]
    return min(copies, default=None)


def lines(rows: Sequence[Row]) -> list[str]:
    """One line a promise, those that do not hold last."""
    order = {"holds": 0, "not measured": 1, "unconfirmed": 2, "fails": 3}
    return [str(p) for p in sorted(promises(rows), key=lambda p: order[p.state])]


def main() -> int:
    from benchmarks import records

    rows = records.read("speed")["rows"]
    print("\n".join(lines(rows)))
    return 1 if any(p.state == "fails" for p in promises(rows)) else 0


if __name__ == "__main__":
    sys.exit(main())
