"""What each mechanism can see: ``python -m benchmarks.sight``, or `make sight`.

Every registered mechanism, some of their other forms, and none, each in the same host on every task
of ``attnlib.lab.probes``. A cell is trained once per seed. Where a mechanism has not solved a task,
the first seed is trained again, four times as long and at a gentler learning rate: what then still
fails did not fail for want of steps (a better start can still mend it: ``sight_checks`` has one).

Some failures are no matter of training. A mechanism that commutes with every shuffle of the
positions gives equal outputs to positions that look alike, and in four of the tasks those that are
asked look alike although their answers differ. ``symmetry`` measures which shuffles it is that a
mechanism commutes with, and ``CANNOT`` says what follows.

Rows that are recorded already are kept: an interrupted run goes on where it stopped. ``--again``
measures everything anew, or only the forms that are named.
"""

from __future__ import annotations

import argparse
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch
from torch import Tensor, nn

import attnlib
from attnlib.lab.probes import SIZE, TASKS, Task, train
from benchmarks import records

EXPERIMENT, COMMAND = "sight", "python -m benchmarks.sight"
SEEDS = (0, 1, 2)
RECIPE: dict[str, Any] = {"channels": 32, "steps": 300, "batch": 16, "learning_rate": 1e-2}
#: What changes for the cells that are not solved, with the first seed.
LONGER: dict[str, Any] = {"steps": 1200, "learning_rate": 3e-3}
SOLVED = 0.95  #: mean accuracy from which on a task counts as solved
MARGIN = 0.03  #: above the host alone, to count as anything at all
#: Options of which the papers' values are made for hundreds of channels: in the host of 32, hidden
#: layers, queries, heads and groups are all 8 channels wide, a quarter of the map.
NARROW, WIDTH = ("reduction", "groups", "heads"), 8


@dataclass(frozen=True)
class Form:
    """A mechanism, by its key and the options that make it another than the default one."""

    name: str
    mechanism: str | None
    form: dict[str, Any] = field(default_factory=dict)

    def options(self, channels: int) -> dict[str, Any]:
        """All options it is built with: those of the form, and ``NARROW`` by the rule above."""
        if self.mechanism is None:
            return {}
        parameters = inspect.signature(attnlib.info(self.mechanism).module).parameters
        # An option that is 1 by default does not narrow anything.
        narrow = [n for n in NARROW if n in parameters and parameters[n].default != 1]
        return dict.fromkeys(narrow, channels // WIDTH) | self.form

    def factory(self) -> Callable[[int], nn.Module] | None:
        key = self.mechanism
        if key is None:
            return None
        return lambda channels: attnlib.create(key, channels, **self.options(channels))


#: Where paper and code differ in what can be seen: name → mechanism, options.
OTHER_FORMS: dict[str, tuple[str, dict[str, Any]]] = {
    "bam, authors' code": ("bam", {"combine": "product", "norm": "hidden"}),
    "psa_parallel, authors' code": (
        "psa_parallel",
        {"spatial_softmax": "product", "channel_out": "linear"},
    ),
    "psa_sequential, authors' code": (
        "psa_sequential",
        {"spatial_softmax": "value", "channel_out": "bottleneck"},
    ),
    "channel, authors' code": ("channel", {"max_minus": True}),
    "multihead, with positions": ("multihead", {"positions": True}),
}


def forms() -> list[Form]:
    """None, every registered mechanism, and each one's other forms behind it."""
    found = [Form("none", None)]
    for key in attnlib.available():
        found.append(Form(key, key))
        found += [Form(n, k, dict(o)) for n, (k, o) in OTHER_FORMS.items() if k == key]
    return found


# --- what cannot be seen, whatever is learnt ------------------------------------------------------

#: Shuffles that a mechanism commutes with → tasks that it therefore cannot answer. ``lines``:
#: shuffles of whole rows and whole columns.
CANNOT = {
    "positions": ("place", "cross", "near", "order"),
    "lines": ("order",),
    "none": (),
}


def symmetry(module: nn.Module | None, channels: int) -> str:
    """Which shuffles ``module`` commutes with: of all ``positions``, of the ``lines``, or ``none``.

    Measured in float64 with random parameters.
    """
    if module is None:
        return "positions"
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(0)
        module = module.double().eval()
        for parameter in module.parameters():
            parameter.normal_(0, 0.5)
        x = torch.randn(2, channels, 5, 7, dtype=torch.float64)
        places, rows, columns = torch.randperm(35), torch.randperm(5), torch.randperm(7)

        def all_positions(t: Tensor) -> Tensor:
            return t.flatten(2)[:, :, places].view_as(t)

        def lines(t: Tensor) -> Tensor:
            return t[:, :, rows][:, :, :, columns]

        for name, shuffle in (("positions", all_positions), ("lines", lines)):
            if torch.allclose(module(shuffle(x)), shuffle(module(x)), rtol=1e-9, atol=1e-9):
                return name
    return "none"


# --- measuring ------------------------------------------------------------------------------------


def measure(form: Form, task: str, **changed: Any) -> dict[str, Any]:
    """Accuracies of one cell, one per seed, and the seconds of processor time of a run."""
    start = time.process_time()
    result = train(task, form.factory(), **{"seeds": SEEDS, **RECIPE, **changed})
    seconds = (time.process_time() - start) / len(result.accuracies)
    accuracies = [round(a, 4) for a in result.accuracies]
    return {"accuracies": accuracies, "seconds": round(seconds, 1)}


def row(form: Form, task: str) -> dict[str, Any]:
    channels = RECIPE["channels"]
    build = form.factory()
    found = symmetry(build(channels) if build else None, channels)
    cell = measure(form, task)
    return {
        "name": form.name,
        "mechanism": form.mechanism,
        "chapter": form.mechanism and attnlib.info(form.mechanism).chapter,
        "form": form.form,
        "options": form.options(channels),
        "symmetry": found,
        "task": task,
        "cannot": task in CANNOT[found],
        "mean": round(mean(cell["accuracies"]), 4),
        "spread": round(stdev(cell["accuracies"]), 4),
        **cell,
    }


def unsettled(cell: dict[str, Any]) -> bool:
    """Whether a cell is neither solved nor impossible, so that more training might change it."""
    return not cell["cannot"] and cell["mean"] < SOLVED


def longer(form: Form, task: str) -> dict[str, float]:
    cell = measure(form, task, seeds=SEEDS[:1], **LONGER)
    return {"accuracy": cell["accuracies"][0], "seconds": cell["seconds"]}


# --- one image of each task, for the page ---------------------------------------------------------


def sample(task: Task, seed: int = 5) -> dict[str, list[str]]:
    """What stands at every position and what it must answer: lines of words.

    ``A+``, ``A-``: cue A is shown, with its sign; ``A``: it is asked for. ``+``, ``-``, ``#``: a
    mark. ``37+``: the code 37 with its sign; ``37``: the same asked for. A number with a point is
    a brightness. Answers are 1 and 0. A single point: nothing.
    """
    x, y, mask = (t[0] for t in task.sample(1, seed))
    words = {"channel": _cue, "many": _cue, "context": _level, "pair": _code}.get(task.name, _mark)
    every = range(SIZE)
    return {
        "cells": [" ".join(words(x[:, i, j]) for j in every) for i in every],
        "answers": [
            " ".join(str(int(y[i, j])) if mask[i, j] else "." for j in every) for i in every
        ],
    }


def _cue(pixel: Tensor) -> str:
    shown, asked = pixel.chunk(2)
    which = int((shown.abs() + asked).argmax())
    return "ABCDEFGH"[which] + {1.0: "+", -1.0: "-", 0.0: ""}[float(shown[which])]


def _level(pixel: Tensor) -> str:
    return f"{float(pixel[0]):.1f}"


def _code(pixel: Tensor) -> str:
    *bits, sign, asked = pixel.tolist()
    if not sign and not asked:
        return "."
    number = sum(2**k for k, bit in enumerate(bits) if bit > 0)
    return f"{number}{ {1.0: '+', -1.0: '-', 0.0: ''}[sign] }"


def _mark(pixel: Tensor) -> str:
    *marks, _ = pixel.tolist()  # the last plane is 1 everywhere
    names = "#" if len(marks) == 1 else "+-"
    return next((name for name, mark in zip(names, marks, strict=True) if mark), ".")


# --- the record -----------------------------------------------------------------------------------


def recorded(folder: Path) -> list[dict[str, Any]]:
    """The rows of the record that still hold: same recipe, same form and options.

    What was measured under other conditions than those of now keeps its own.
    """
    try:
        old = records.read(EXPERIMENT, folder=folder)
    except FileNotFoundError:
        return []
    if old["recipe"] != {**RECIPE, "seeds": list(SEEDS)} or old["longer"] != LONGER:
        return []
    known = {f.name: f for f in forms()}
    now = records.conditions()
    kept = []
    for cell in old["rows"]:
        form = known.get(cell["name"])
        if form is None or cell["task"] not in TASKS:
            continue
        if cell["options"] != form.options(RECIPE["channels"]):
            continue
        own = {k: v for k, v in old["made"].items() if k != "date" and v != now[k]}
        kept.append({**cell, **{k: v for k, v in own.items() if k not in cell}})
    return kept


def store(rows: list[dict[str, Any]], folder: Path) -> None:
    places = {(f.name, t): n for n, (f, t) in enumerate((f, t) for f in forms() for t in TASKS)}
    records.write(
        EXPERIMENT,
        COMMAND,
        sorted(rows, key=lambda cell: places[cell["name"], cell["task"]]),
        folder=folder,
        recipe={**RECIPE, "seeds": list(SEEDS)},
        longer=LONGER,
        solved=SOLVED,
        margin=MARGIN,
        narrow={"options": list(NARROW), "width": WIDTH},
        tasks={
            t.name: {"question": t.question, "ability": t.ability, **sample(t)}
            for t in TASKS.values()
        },
    )


def main(arguments: list[str] | None = None, folder: Path = records.FOLDER) -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--again", nargs="*", metavar="FORM", help="measure anew (default: all)")
    again = parser.parse_args(arguments).again
    torch.set_num_threads(1)  # the same numbers on every run, and no core taken from anybody

    rows = [] if again == [] else [r for r in recorded(folder) if r["name"] not in (again or ())]
    cells = {(r["name"], r["task"]): r for r in rows}
    pairs = [(form, task) for form in forms() for task in TASKS]
    for form, task in pairs:
        if (form.name, task) not in cells:
            cell = cells[form.name, task] = row(form, task)
            print(f"{form.name:30s} {task:8s} {cell['accuracies']} {cell['seconds']} s", flush=True)
            store(list(cells.values()), folder)
    for form, task in pairs:
        cell = cells[form.name, task]
        if unsettled(cell) and "longer" not in cell:
            cell["longer"] = longer(form, task)
            print(f"{form.name:30s} {task:8s} {cell['mean']} longer {cell['longer']}", flush=True)
            store(list(cells.values()), folder)
    store(list(cells.values()), folder)


if __name__ == "__main__":
    main()
