"""How much a limited view allows: ``python -m benchmarks.sight_bounds``, part of `make sight`.

CBAM, BAM and GAM look through windows of a few positions, criss-cross and coordinate attention see
a row and a column. Whoever sees only that part of the image can answer right no more often than the
best guess from it is right. These shares are counted here, on many images, without training
anything; a mechanism that reaches its bound has learnt all there was to learn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from attnlib.lab.probes import SIZE, TASKS
from benchmarks import records

EXPERIMENT, COMMAND = "sight-bounds", "python -m benchmarks.sight_bounds"
IMAGES = 8192

#: What a position sees: which distances along the column (di) and along the row (dj).
View = Callable[[Tensor, Tensor], Tensor]


def window(reach: int) -> View:
    return lambda di, dj: (di.abs() <= reach) & (dj.abs() <= reach)


def lattice(step: int, reach: int) -> View:
    """Dilated convolutions, one after another."""
    inside = window(reach)
    return lambda di, dj: inside(di, dj) & (di % step == 0) & (dj % step == 0)


def cross(di: Tensor, dj: Tensor) -> Tensor:
    return (di == 0) | (dj == 0)


#: Mechanism → its view: CBAM has one 7×7 convolution, BAM two of 3×3 at dilation 4, GAM two of 7×7.
VIEWS: dict[str, View] = {
    "cbam": window(3),
    "bam": lattice(4, 8),
    "gam": window(6),
    "criss_cross": cross,
    "coordinate": cross,
}
#: The tasks that such a view limits. CBAM and BAM have the mean of each channel besides, which
#: tells nothing in these tasks; what a position of criss-cross attention sees in its row and what
#: in its column are the same to it.
LIMITED: dict[str, tuple[str, ...]] = {
    "cbam": ("place", "cross", "order"),
    "bam": ("place", "cross", "near", "order"),
    "gam": ("context", "place", "cross", "order"),
    "criss_cross": ("channel", "many", "context", "place", "pair"),
    "coordinate": ("channel", "many", "context"),
}


def bound(mechanism: str, task: str) -> float:
    """The share of right answers of the best guess from what ``mechanism`` sees."""
    x, y, mask = TASKS[task].sample(IMAGES // 8 if task == "pair" else IMAGES, seed=0)
    view, answers = VIEWS[mechanism], y[mask]
    if task == "context":
        level = _mean(x[:, 0], view)
        return _share((x[:, 0] > level)[mask] == answers)
    if task in ("channel", "many", "pair"):
        # What is asked is either shown by somebody in view, or unknown.
        shown, asked = _codes(x) if task == "pair" else x.abs().chunk(2, 1)
        known = (asked * _sum(shown, view)).sum(1)[mask] > 0
        return _share(known) + 0.5 * _share(~known)
    evidence = _lines(x, mask, view) if task == "near" else _marks(x, mask, view, task, mechanism)
    return _best_guess(evidence, answers)


def _codes(x: Tensor) -> tuple[Tensor, Tensor]:
    """In ``pair``: a plane for each code, 1 where it is shown; the same where it is asked for."""
    bits = x[:, :6] > 0
    code = (bits * 2 ** torch.arange(6)[:, None, None]).sum(1)  # (B, H, W)
    planes = torch.nn.functional.one_hot(code, 64).movedim(-1, 1)
    return planes * (x[:, 6:7] != 0).float(), planes * x[:, 7:8]


def _marks(x: Tensor, mask: Tensor, view: View, task: str, mechanism: str) -> Tensor:
    """What a position knows of the marks in view: sums of their signs, by where they are."""
    signs = x[:, 0] - (x[:, 1] if task == "cross" else 0)  # (B, H, W)
    image, row, column = mask.nonzero().T
    where = signs.nonzero()  # in each image equally many
    number = len(where) // len(x)
    sign = signs[tuple(where.T)].view(-1, number)[image]
    di = where[:, 1].view(-1, number)[image] - row[:, None]
    dj = where[:, 2].view(-1, number)[image] - column[:, None]
    seen = view(di, dj)
    if mechanism == "criss_cross":
        return seen.sum(1, keepdim=True)  # how many, in row and column together
    if task == "order":
        return torch.where(seen, -dj, 0).sum(1, keepdim=True)
    in_line = di == 0 if task == "place" else (di == 0) | (dj == 0)
    own = (sign * (seen & in_line)).sum(1)
    if task == "place":
        return own[:, None]
    beside = seen & ~in_line  # of two + and two −, those elsewhere say which are left
    return torch.stack([own, ((sign > 0) & beside).sum(1), ((sign < 0) & beside).sum(1)], 1)


def _lines(x: Tensor, mask: Tensor, view: View) -> Tensor:
    """What stands in view in the own row and the own column, position by position."""
    signs = x[:, 0] - x[:, 1]
    steps = [d for d in range(1 - SIZE, SIZE) if d and view(torch.tensor(0), torch.tensor(d))]
    found = []
    for d in steps:
        for axis in (1, 2):
            moved = torch.full_like(signs, 2.0)  # beyond the edge
            here = slice(max(0, -d), SIZE - max(0, d))
            there = slice(max(0, d), SIZE - max(0, -d))
            target, source = [slice(None)] * 3, [slice(None)] * 3
            target[axis], source[axis] = here, there
            moved[tuple(target)] = signs[tuple(source)]
            found.append(moved[mask])
    return torch.stack(found, 1)


def _sum(planes: Tensor, view: View) -> Tensor:
    """Sums over what each position sees, (B, K, H, W) → (B, K, H, W)."""
    at = torch.arange(SIZE)
    rows, columns = (t.flatten() for t in torch.meshgrid(at, at, indexing="ij"))
    seen = view(rows[:, None] - rows, columns[:, None] - columns).float()  # (N, N)
    return (planes.flatten(2) @ seen.mT).view_as(planes)


def _mean(plane: Tensor, view: View) -> Tensor:
    both = torch.stack([plane, torch.ones_like(plane)], 1)
    total, number = _sum(both, view).unbind(1)
    return total / number


def _best_guess(evidence: Tensor, answers: Tensor) -> float:
    """Right answers of whoever gives the more frequent answer for each kind of evidence.

    Which one that is comes from the first half, so that rare evidence is not learnt by heart.
    """
    _, kind = evidence.unique(dim=0, return_inverse=True)
    half = len(kind) // 2
    votes = torch.zeros(int(kind.max()) + 1)
    votes.scatter_add_(0, kind[:half], answers[:half].float() - 0.5)
    vote, truth = votes[kind[half:]], answers[half:]
    right = _share((vote > 0) == truth, vote != 0) + 0.5 * _share(vote == 0)
    return max(right, 0.5)


def _share(right: Tensor, among: Tensor | None = None) -> float:
    return (right if among is None else right & among).double().mean().item()


def main() -> None:
    torch.set_num_threads(1)
    rows: list[dict[str, Any]] = [
        {"mechanism": mechanism, "task": task, "bound": round(bound(mechanism, task), 4)}
        for mechanism, tasks in LIMITED.items()
        for task in tasks
    ]
    for row in rows:
        print(*row.values())
    records.write(EXPERIMENT, COMMAND, rows, images=IMAGES)


if __name__ == "__main__":
    main()
