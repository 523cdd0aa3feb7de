"""Probes: small tasks, each of which asks for one ability, and a host that has none of them.

The host is a stack of 1×1 convolutions, so that every position decides from its own pixel alone.
Whatever a position learns about the rest of the image, the attention module in the middle must have
brought to it. Neither a position's own pixel nor its place says anything about its label
(``context`` excepted, where guessing from the pixel is right in 60 % of the cases), so the host
alone is at 50 %.

Nothing is downloaded: images are drawn from a generator, and a seed fixes everything.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import mean, stdev

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional as F

__all__ = ["TASKS", "Host", "Result", "Task", "host", "train"]

SIZE = 12  #: height and width of the images
Sample = tuple[Tensor, Tensor, Tensor]  #: image, label of every position, which positions count


@dataclass(frozen=True)
class Task:
    """Images in which some positions have a label, 0 or 1."""

    name: str
    question: str  #: what a position must answer
    ability: str  #: what it takes
    inputs: int  #: channels of an image
    draw: Callable[[int, Generator], Sample]  #: (number, generator) → x, y, mask

    def sample(self, number: int, seed: int) -> Sample:
        """``number`` images: x (B, inputs, 12, 12); y and mask (B, 12, 12)."""
        return self.draw(number, Generator().manual_seed(seed))


@dataclass(frozen=True)
class Result:
    """Accuracies on fresh images, one per seed."""

    task: str
    accuracies: tuple[float, ...]
    seconds: float  #: per run

    @property
    def mean(self) -> float:
        return mean(self.accuracies)

    @property
    def spread(self) -> float:
        """Standard deviation over the seeds."""
        return stdev(self.accuracies) if len(self.accuracies) > 1 else 0.0

    def __str__(self) -> str:
        return f"{self.task}: {100 * self.mean:.1f} ± {100 * self.spread:.1f} %"

    __repr__ = __str__


class Host(nn.Module):
    """1×1 convolutions around an attention module; see ``host``."""

    def __init__(self, inputs: int, channels: int, attention: nn.Module | None) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(inputs, channels, 1), nn.BatchNorm2d(channels), nn.ReLU()
        )
        self.attention = attention
        self.head = nn.Sequential(
            nn.Conv2d(channels, channels, 1),
            nn.BatchNorm2d(channels),
            nn.ReLU(),
            nn.Conv2d(channels, 1, 1),
        )

    def forward(self, x: Tensor) -> Tensor:
        h = self.stem(x)  # (B, C, H, W)
        if self.attention is not None:
            h = h + self.attention(h)
        return self.head(h)[:, 0]  # (B, H, W)


def host(
    channels: int = 32,
    factory: Callable[[int], nn.Module] | None = None,
    *,
    inputs: int = 16,
) -> Host:
    """A network that sees one pixel at a time, with ``factory(channels)`` in its middle.

    The attention module stands on a residual path, ``h + attention(h)``, as in the networks that it
    comes from; without a factory there is none.

    Example:
        >>> net = host(32, inputs=5)
        >>> net(torch.zeros(2, 5, 12, 12)).shape
        torch.Size([2, 12, 12])
    """
    return Host(inputs, channels, None if factory is None else factory(channels))


def train(
    task: str | Task,
    factory: Callable[[int], nn.Module] | None = None,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    steps: int = 400,
    channels: int = 32,
    batch: int = 64,
    learning_rate: float = 1e-2,
) -> Result:
    """Train the host on a task once per seed, and test it on images that it has not seen.

    A seed fixes the weights and the images, so a run on one machine repeats exactly. torch's global
    generator is left as it was.

    Args:
        task: one of ``TASKS``, or its name.
        factory: builds the attention module from the channel count, such as
            ``lambda channels: attnlib.create("se", channels)``; ``None``: the host alone.
        seeds: one run for each.
        steps: of AdamW with a one-cycle learning rate.
        channels: C of the host.
        batch: images per step.
        learning_rate: its maximum.
    """
    if isinstance(task, str):
        if task not in TASKS:
            raise ValueError(f"unknown task {task!r}: the tasks are {', '.join(TASKS)}")
        task = TASKS[task]
    accuracies = []
    start = time.perf_counter()
    for seed in seeds:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            net = host(channels, factory, inputs=task.inputs)
            _fit(net, task, seed, steps, batch, learning_rate)
        accuracies.append(_accuracy(net, task))
    return Result(task.name, tuple(accuracies), (time.perf_counter() - start) / len(accuracies))


def _fit(net: Host, task: Task, seed: int, steps: int, batch: int, learning_rate: float) -> None:
    optimiser = torch.optim.AdamW(net.parameters(), lr=learning_rate, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, learning_rate, total_steps=steps)
    generator = Generator().manual_seed(1000 + seed)
    net.train()
    for _ in range(steps):
        x, y, mask = task.draw(batch, generator)
        loss = F.binary_cross_entropy_with_logits(net(x)[mask], y[mask].float())
        optimiser.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimiser.step()
        schedule.step()


def _accuracy(net: Host, task: Task, number: int = 512) -> float:
    x, y, mask = task.sample(number, seed=999_983)  # no seed of training
    net.eval()
    with torch.no_grad():
        right = (net(x) > 0) == y.bool()
    return right[mask].float().mean().item()


# --- the tasks ------------------------------------------------------------------------------------


def _uniform(generator: Generator, *size: int) -> Tensor:
    return torch.rand(size, generator=generator)


def _signs(generator: Generator, *size: int) -> Tensor:
    return 2.0 * torch.randint(2, size, generator=generator) - 1


def _shuffled(generator: Generator, *size: int) -> Tensor:
    """A random permutation along the last axis."""
    return _uniform(generator, *size).argsort(-1)


def _cues(number: int, generator: Generator, bits: int) -> Sample:
    """Each of ``bits`` cues is + or − throughout an image; half of the positions show one of them.

    The others point at one cue, and must say its sign. The means of the channels over the image are
    all that is needed.
    """
    half = _signs(generator, (number + 1) // 2, bits)
    state = torch.cat([half, -half])[:number]  # (B, K); a guess is right half of the time
    pointer = torch.randint(bits, (number, SIZE, SIZE), generator=generator)
    one_hot = F.one_hot(pointer, bits).movedim(-1, 1).float()  # (B, K, H, W)
    shows = _uniform(generator, number, 1, SIZE, SIZE) < 0.5
    cue = one_hot * state[:, :, None, None]
    x = torch.cat([torch.where(shows, cue, 0.0), torch.where(shows, 0.0, one_hot)], 1)
    y = cue.sum(1) > 0
    return x, y, ~shows[:, 0]


def _channel(number: int, generator: Generator) -> Sample:
    return _cues(number, generator, 2)


def _many(number: int, generator: Generator) -> Sample:
    return _cues(number, generator, 8)


def _context(number: int, generator: Generator) -> Sample:
    """Brighter than the image's mean? The brightness of the image varies more than the pixels."""
    level = 3 * torch.randn(number, 1, 1, generator=generator)
    pixels = torch.randn(number, SIZE, SIZE, generator=generator)
    pixels = pixels - pixels.mean((1, 2), keepdim=True)
    return (level + pixels)[:, None], pixels > 0, torch.ones_like(pixels, dtype=torch.bool)


def _place(number: int, generator: Generator) -> Sample:
    """Is there a mark in my row? Half of the rows have one, at any column."""
    marked = _shuffled(generator, number, SIZE) < SIZE // 2  # (B, H)
    column = torch.randint(SIZE, (number, SIZE), generator=generator)
    chosen = F.one_hot(column, SIZE).bool()  # (B, H, W)
    marks = chosen & marked[:, :, None]
    # One position of each row is not asked, so that both answers are equally frequent.
    return _planes(marks), marked[:, :, None].expand_as(marks), ~chosen


def _cross(number: int, generator: Generator) -> Sample:
    """Which sign has the one mark in my row or column? Two marks are +, two are −."""
    row = _shuffled(generator, number, SIZE)[:, :4]
    column = _shuffled(generator, number, SIZE)[:, :4]
    sign = torch.tensor([1.0, 1.0, -1.0, -1.0])
    marks = F.one_hot(row, SIZE)[..., None] * F.one_hot(column, SIZE)[..., None, :]
    marks = (marks * sign[:, None, None]).sum(1)  # (B, H, W)
    in_row, in_column = marks.sum(2), marks.sum(1)
    seen = in_row[:, :, None] + in_column[:, None, :]
    one = (in_row[:, :, None] != 0) != (in_column[:, None, :] != 0)
    return _planes(marks > 0, marks < 0), seen > 0, one


def _pair(number: int, generator: Generator, pairs: int = 32) -> Sample:
    """Which sign has the position that carries the same code as mine, wherever it is?"""
    bits = 6
    chosen = _shuffled(generator, number, 2**bits)[:, :pairs]  # codes, all different
    code = ((chosen[..., None] >> torch.arange(bits)) & 1) * 2.0 - 1  # (B, pairs, bits)
    sign = torch.tensor([1.0, -1.0]).repeat(pairs // 2)[:, None].expand(number, pairs, 1)
    key = torch.cat([code, sign, torch.zeros_like(sign)], -1)
    query = torch.cat([code, torch.zeros_like(sign), torch.ones_like(sign)], -1)
    at = _shuffled(generator, number, SIZE * SIZE)[:, : 2 * pairs]
    x = torch.zeros(number, SIZE * SIZE, bits + 2)
    x.scatter_(1, at[..., None].expand(-1, -1, bits + 2), torch.cat([key, query], 1))
    y = torch.zeros(number, SIZE * SIZE, dtype=torch.bool)
    y.scatter_(1, at[:, pairs:], sign[..., 0] > 0)
    mask = torch.zeros(number, SIZE * SIZE, dtype=torch.bool)
    mask.scatter_(1, at[:, pairs:], torch.ones(number, pairs, dtype=torch.bool))
    square = (number, SIZE, SIZE)
    return x.movedim(1, 2).reshape(number, -1, SIZE, SIZE), y.view(square), mask.view(square)


def _near(number: int, generator: Generator) -> Sample:
    """Which sign has the one mark beside me, straight or diagonal?

    Each row and each column holds one + and one −, so that no row, no column and no image differs
    from another in what it holds.
    """
    column = _shuffled(generator, number, SIZE)  # of the + in every row
    shift = torch.randint(1, SIZE, (number, 1), generator=generator)
    other = column.gather(1, (torch.arange(SIZE) + shift) % SIZE)  # of the −
    plus, minus = F.one_hot(column, SIZE), F.one_hot(other, SIZE)  # (B, H, W)
    marks = torch.stack([plus, minus], 1).float()
    beside = F.avg_pool2d(marks, 3, 1, 1, divisor_override=1).round()  # how many, of each sign
    one = (beside.sum(1) == 1) & (marks.sum(1) == 0)
    return _planes(plus > 0, minus > 0), beside[:, 0] > 0, one


def _order_of_marks(number: int, generator: Generator) -> Sample:
    """Am I left of the mark? Asked up to three columns away from it.

    A column is asked where the mark could as well have been as far on its other side, so that the
    column alone says nothing; for the same reason every second mark is the first ones' mirror
    image.
    """
    row = torch.randint(SIZE, (number,), generator=generator)
    half = torch.randint(SIZE, ((number + 1) // 2,), generator=generator)
    column = torch.cat([half, SIZE - 1 - half])[:number]
    marks = F.one_hot(row, SIZE)[:, :, None] * F.one_hot(column, SIZE)[:, None, :] > 0
    distance = torch.arange(SIZE) - column[:, None]  # (B, W)
    opposite = torch.arange(SIZE) + distance  # where the mark could have been
    asked = (distance != 0) & (distance.abs() <= 3) & (opposite >= 0) & (opposite < SIZE)
    return (
        _planes(marks),
        (distance < 0)[:, None, :].expand_as(marks),
        asked[:, None, :].expand_as(marks),
    )


def _planes(*masks: Tensor) -> Tensor:
    """Planes of 0 and 1, and one of ones, as an image."""
    ones = torch.ones_like(masks[0])
    return torch.stack([*masks, ones], 1).float()


_ALL = [
    Task("channel", "which of 2 cues holds here?", "one value per channel", 4, _channel),
    Task("many", "which of 8 cues holds here?", "many channels at once", 16, _many),
    Task("context", "am I brighter than the image?", "a statistic of the image", 1, _context),
    Task("place", "is there a mark in my row?", "where along one axis", 2, _place),
    Task("cross", "which sign has the mark in my row or column?", "rows and columns", 3, _cross),
    Task("near", "which sign has the mark beside me?", "the neighbourhood", 3, _near),
    Task("pair", "which sign has the position with my code?", "content meets content", 8, _pair),
    Task("order", "am I left of the mark?", "positions that can be compared", 2, _order_of_marks),
]
TASKS: dict[str, Task] = {task.name: task for task in _ALL}
