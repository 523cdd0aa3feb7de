"""Every mechanism on real pictures, and what the differences are worth: ``python -m
benchmarks.pictures``.

Two small hosts are trained with each mechanism and with none, several times each. Trainings with
the same seed share pictures, starting weights of the host, order of the batches and shifts, so that
each mechanism is compared with none seed by seed (``benchmarks.paired``). The recipe was chosen by
looking at the hosts without attention only, and is the same for all.

    python -m benchmarks.pictures                                # scikit-learn's digits
    python -m benchmarks.pictures --data cifar10 --folder DATA   # CIFAR-10, downloaded into DATA

An interrupted run goes on where it stopped, as long as code and settings are the same.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, pad

import attnlib
from attnlib.lab import cost
from benchmarks import pictures_data, records
from benchmarks.paired import interval, verdict
from benchmarks.pictures_data import Pictures
from benchmarks.pictures_hosts import HOSTS, OPTIONS, with_attention

ROOT = Path(__file__).parent.parent
PARTIAL = ROOT / "_build" / "benchmarks"
FIRST_SEED = 1000  #: the recipe was chosen with others
#: The host without attention once more, from other starting weights: a mechanism that is nothing,
#: to see what a difference between two equals looks like.
PLACEBO = "placebo"


@dataclass(frozen=True)
class Setting:
    """One set of pictures and the recipe it is trained with."""

    data: str
    seeds: int
    per_class: int | None  #: pictures of each class to train with; ``None``: the official split
    width: int  #: channels of the hosts' stem
    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float
    shift: int  #: training pictures move by up to so many pixels each way ...
    flip: bool  #: ... and are mirrored half of the time

    @property
    def experiment(self) -> str:
        return "pictures" if self.data == "digits" else f"pictures_{self.data}"

    @property
    def command(self) -> str:
        more = "" if self.data == "digits" else f" --data {self.data} --folder DATA"
        return f"python -m benchmarks.pictures{more}"


SETTINGS: Mapping[str, Setting] = {
    "digits": Setting(
        data="digits",
        seeds=10,
        per_class=20,
        width=16,
        epochs=25,
        batch_size=50,
        learning_rate=0.01,
        weight_decay=0.01,
        shift=1,
        flip=False,
    ),
    "cifar10": Setting(
        data="cifar10",
        seeds=5,
        per_class=None,
        width=32,
        epochs=20,
        batch_size=250,
        learning_rate=0.01,
        weight_decay=0.01,
        shift=4,
        flip=True,
    ),
}


def load(setting: Setting, folder: Path) -> tuple[Pictures, Pictures | None]:
    """All pictures, or training and test pictures where an official split is kept."""
    if setting.data == "digits":
        return pictures_data.digits(), None
    return pictures_data.cifar10(folder)


def moved(images: Tensor, setting: Setting, generator: torch.Generator) -> Tensor:
    """The pictures of a batch, each shifted (black comes in at the edge) and perhaps mirrored."""
    count, channels, height, width = images.shape
    reach = setting.shift
    corner = torch.randint(0, 2 * reach + 1, (2, count), generator=generator).to(images.device)
    mirrored = torch.rand(count, generator=generator).to(images.device) < 0.5
    y = corner[0][:, None] + torch.arange(height, device=images.device)  # (B, H)
    x = corner[1][:, None] + torch.arange(width, device=images.device)  # (B, W)
    if setting.flip:
        x = torch.where(mirrored[:, None], x.flip(1), x)
    batch = torch.arange(count, device=images.device)[:, None, None, None]
    channel = torch.arange(channels, device=images.device)[None, :, None, None]
    return pad(images, [reach] * 4)[batch, channel, y[:, None, :, None], x[:, None, None, :]]


def parts(
    setting: Setting, pictures: tuple[Pictures, Pictures | None], seed: int
) -> tuple[Pictures, Pictures]:
    """Pictures to train with and to test with: the official split, or one drawn by the seed."""
    everything, test = pictures
    if test is not None:
        return everything, test
    assert setting.per_class is not None
    return pictures_data.split(everything, setting.per_class, seed)


def train(
    host: str,
    mechanism: str | None,
    seed: int,
    setting: Setting,
    pictures: tuple[Pictures, Pictures | None],
    device: str = "cpu",
) -> dict[str, Any]:
    """One training from the first weight to the accuracy on the test pictures, in percent."""
    training, test = (part.to(device) for part in parts(setting, pictures, seed))
    model = started(host, mechanism, seed, training.images.shape[1], setting.width).to(device)
    loss = fit(model, training, seed, setting)
    return {
        "host": host,
        "mechanism": mechanism,
        "seed": seed,
        "accuracy": round(accuracy(model, training, test), 4),
        "training_loss": round(loss, 4),
    }


def fit(model: nn.Module, training: Pictures, seed: int, setting: Setting) -> float:
    """Train the model by the recipe; the mean loss of the last epoch."""
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # faster here
    device = training.images.device
    mean, std = scale(training)
    optimiser = torch.optim.AdamW(
        model.parameters(), lr=setting.learning_rate, weight_decay=setting.weight_decay
    )
    steps = len(training) // setting.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, setting.learning_rate, total_steps=setting.epochs * steps
    )
    generator = torch.Generator().manual_seed(seed)
    losses: list[float] = []
    for epoch in range(setting.epochs):
        order = torch.randperm(len(training), generator=generator)
        for step in range(steps):
            batch = training[order[step * setting.batch_size :][: setting.batch_size].to(device)]
            x = (moved(batch.images, setting, generator) - mean) / std
            loss = cross_entropy(model(x), batch.labels)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            schedule.step()
            if epoch == setting.epochs - 1:
                losses.append(loss.item())
    return fmean(losses)


def scale(training: Pictures) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each colour, (1, C, 1, 1)."""
    return (
        training.images.mean((0, 2, 3), keepdim=True),
        training.images.std((0, 2, 3), keepdim=True),
    )


def started(host: str, mechanism: str | None, seed: int, in_channels: int, width: int) -> nn.Module:
    """The network as its training begins."""
    if mechanism == PLACEBO:
        mechanism, seed = None, seed + 500_000
    return with_attention(host, mechanism, in_channels=in_channels, width=width, seed=seed)


@torch.no_grad()
def accuracy(model: nn.Module, training: Pictures, test: Pictures) -> float:
    """How many of the test pictures the trained model gets right, in percent."""
    model.eval()
    mean, std = scale(training)
    right = 0
    for start in range(0, len(test), 500):
        images = test.images[start : start + 500]
        labels = test.labels[start : start + 500]
        right += int((model((images - mean) / std).argmax(1) == labels).sum())
    return 100 * right / len(test)


def counts(setting: Setting, in_channels: int, size: int) -> list[dict[str, Any]]:
    """Parameters and multiply–accumulates for one picture of every host with every mechanism."""
    found = []
    for host in HOSTS:
        for mechanism in (None, *attnlib.available()):
            model = with_attention(
                host, mechanism, in_channels=in_channels, width=setting.width, seed=0
            )
            counted = cost(model.eval(), (1, in_channels, size, size))
            found.append(
                {
                    "host": host,
                    "mechanism": mechanism,
                    "parameters": counted.parameters,
                    "macs": counted.macs,
                }
            )
    return found


def differences(
    rows: Iterable[Mapping[str, Any]], host: str, mechanism: str, other: str | None = None
) -> list[float]:
    """Accuracy with a mechanism minus accuracy with another (or none), seed by seed."""
    by_seed: dict[str | None, dict[int, float]] = {mechanism: {}, other: {}}
    for row in rows:
        if row["host"] == host and row["mechanism"] in by_seed:
            by_seed[row["mechanism"]][row["seed"]] = row["accuracy"]
    return [by_seed[mechanism][seed] - by_seed[other][seed] for seed in sorted(by_seed[other])]


def summary(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """For each host and mechanism: mean accuracy, and what the difference to none is worth."""
    mechanisms = list(dict.fromkeys(row["mechanism"] for row in rows))
    comparisons = len(HOSTS) * (len(mechanisms) - 1)
    found = []
    for host in HOSTS:
        for mechanism in mechanisms:
            values = [
                r["accuracy"] for r in rows if (r["host"], r["mechanism"]) == (host, mechanism)
            ]
            line: dict[str, Any] = {
                "host": host,
                "mechanism": mechanism,
                "mean": round(fmean(values), 3),
                "sd": round(stdev(values), 3),
            }
            if mechanism is not None:
                line |= compared(differences(rows, host, mechanism), comparisons)
            found.append(line)
    return found


def compared(values: Sequence[float], comparisons: int) -> dict[str, Any]:
    """The mean of paired differences with both intervals: read alone, and all read together."""
    alone, together = interval(values), interval(values, comparisons=comparisons)
    return {
        "difference": round(alone.mean, 3),
        "low": round(alone.low, 3),
        "high": round(alone.high, 3),
        "low_together": round(together.low, 3),
        "high_together": round(together.high, 3),
        "p": float(f"{alone.p:.3g}"),
        "verdict": verdict(alone, together),
    }


def judgements(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The two judgements of the article that the book starts from, as differences to be tested.

    Each is asked once, beforehand, so its interval is read alone.
    """
    gain = {host: differences(rows, host, "coordinate") for host in HOSTS}
    asked: list[tuple[str, str, list[float]]] = [
        (
            "coordinate, light minus resnet",
            "the gain of coordinate attention in the light host minus its gain in the ResNet",
            [a - b for a, b in zip(gain["light"], gain["resnet"], strict=True)],
        ),
        *(
            (f"gam minus se, {host}", "GAM minus SE", differences(rows, host, "gam", "se"))
            for host in HOSTS
        ),
    ]
    return [
        {"question": question, "means": means, **compared(values, 1)}
        for question, means, values in asked
    ]


def run(setting: Setting, folder: Path, device: str = "cpu") -> list[dict[str, Any]]:
    """All trainings, seed by seed; those that an interrupted run has done are not done again."""
    mechanisms = (None, PLACEBO, *attnlib.available())
    pictures = load(setting, folder)
    made = {k: v for k, v in records.conditions(device).items() if k != "date"}
    recipe = {k: v for k, v in asdict(setting).items() if k != "seeds"}
    header = json.dumps({"setting": recipe, "options": OPTIONS, **made})
    path = PARTIAL / f"{setting.experiment}.jsonl"
    lines = path.read_text("utf8").splitlines() if path.exists() else []
    if not lines or lines[0] != header:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(header + "\n", "utf8")
        lines = [header]
    seeds = range(FIRST_SEED, FIRST_SEED + setting.seeds)
    rows = [row for row in map(json.loads, lines[1:]) if row["seed"] in seeds]
    done = {(r["seed"], r["host"], r["mechanism"]) for r in rows}
    for seed in seeds:
        for host in HOSTS:
            for mechanism in mechanisms:
                if (seed, host, mechanism) in done:
                    continue
                row = train(host, mechanism, seed, setting, pictures, device)
                rows.append(row)
                with path.open("a", encoding="utf8") as file:
                    file.write(json.dumps(row) + "\n")
        print(f"seed {seed}: {sum(r['seed'] == seed for r in rows)} trainings", flush=True)
    return rows


def record(setting: Setting, rows: list[dict[str, Any]], folder: Path, device: str) -> Path:
    everything, test = load(setting, folder)
    channels, size = everything.images.shape[1], everything.images.shape[-1]
    number = len(everything) if test is None else len(everything) + len(test)
    trained = len(everything) if setting.per_class is None else 10 * setting.per_class
    return records.write(
        setting.experiment,
        setting.command,
        rows,
        device=device,
        setting=asdict(setting),
        pictures={
            "size": [channels, size, size],
            "training": trained,
            "test": number - trained,
        },
        options=OPTIONS,
        counts=counts(setting, channels, size),
        summary=summary(rows),
        judgements=judgements(rows),
    )


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.pictures", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", choices=SETTINGS, default="digits")
    parser.add_argument(
        "--folder", type=Path, default=ROOT / "_build" / "data", help="where CIFAR-10 is or goes"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    setting = SETTINGS[options.data]
    # The digits are small enough for the CPU, where a run gives the same numbers each time.
    device = "cpu" if setting.data == "digits" else options.device
    try:
        rows = run(setting, options.folder, device)
    except pictures_data.DataError as error:
        print(error, file=sys.stderr)
        return 1
    path = record(setting, rows, options.folder, device)
    (PARTIAL / f"{setting.experiment}.jsonl").unlink()  # the next run begins anew
    for line in summary(rows):
        told = f"{line['difference']:+6.2f}  {line['verdict']}" if line["mechanism"] else ""
        print(f"{line['host']:7} {line['mechanism'] or 'none':15} {line['mean']:6.2f} {told}")
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
