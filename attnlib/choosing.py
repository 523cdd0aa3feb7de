"""Which mechanism can see what is needed, and what each of those costs: a list, not a verdict.

What a mechanism can see is measured: each one stood in the same tiny network on the tasks of
``attnlib.lab.probes``, and ``evidence.json`` beside this file holds the accuracies (the page "What
each can see" of the book explains them). What it costs is counted for the size that is asked about.
Nothing here foretells an accuracy on anybody's data: no measurement does.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from attnlib import registry

__all__ = ["Suggestion", "suggest"]

#: Options that have to suit the number of channels.
_FITTED = ("groups", "reduction", "heads")


@dataclass(frozen=True)
class Suggestion:
    """A mechanism, what it costs at the size asked about, and what it saw."""

    key: str
    options: dict[str, Any]  #: to be given to ``attnlib.create``, where a default does not fit
    parameters: int
    macs: int  #: multiply-accumulates for one image
    peak_bytes: int  #: most memory alive at once in the forward of one image, beyond the input
    saw: dict[str, float]  #: task → accuracy measured (0.5 is guessing)

    def __str__(self) -> str:
        options = "".join(f", {name}={value}" for name, value in self.options.items())
        seen = ", ".join(f"{task} {100 * a:.0f} %" for task, a in self.saw.items())
        return (
            f'create("{self.key}", C{options}): {self.parameters:,} parameters, '
            f"{self.macs / 1e6:,.1f} M MACs, {self.peak_bytes / 1e6:,.1f} MB; saw {seen}"
        )


def suggest(
    channels: int,
    height: int,
    width: int,
    *,
    see: str | Iterable[str] = (),
    at_least: float = 0.95,
    max_parameters: int | None = None,
    max_macs: int | None = None,
    max_peak_bytes: int | None = None,
) -> list[Suggestion]:
    """Mechanisms that saw what is asked for, within the limits, fewest MACs first.

    Args:
        channels: C of the feature map.
        height: H of it.
        width: W of it.
        see: names of tasks that the mechanism must have solved: ``"channel"``, ``"many"``,
            ``"context"``, ``"place"``, ``"cross"``, ``"near"``, ``"pair"``, ``"order"``
            (``attnlib.lab.probes.TASKS``). Without any, only the cost decides.
        at_least: accuracy from which on a task counts as solved.
        max_parameters: most parameters of one module.
        max_macs: most multiply-accumulates for one image.
        max_peak_bytes: most memory that the forward of one image may need beyond its input.

    Returns:
        one entry for each mechanism that is left; an empty list if there is none.

    Raises:
        ValueError: if a size is not positive, or there is no such task.

    Example:
        >>> import attnlib
        >>> for found in attnlib.suggest(64, 32, 32, see="place", max_macs=10**6):
        ...     print(found.key)
        coordinate
    """
    if min(channels, height, width) < 1:
        raise ValueError(f"sizes must be positive, got {channels}, {height}, {width}")
    asked = [see] if isinstance(see, str) else list(see)
    evidence = _evidence()
    tasks = next(iter(evidence.values()))
    if unknown := [task for task in asked if task not in tasks]:
        raise ValueError(f"unknown task {unknown[0]!r}: the tasks are {', '.join(tasks)}")
    found = []
    for key in registry.available():
        saw = evidence.get(key)
        if asked and (saw is None or any(saw[task] < at_least for task in asked)):
            continue
        one = _counted(key, channels, height, width, saw or {})
        if one is None:
            continue
        limits = (
            (one.parameters, max_parameters),
            (one.macs, max_macs),
            (one.peak_bytes, max_peak_bytes),
        )
        if all(most is None or value <= most for value, most in limits):
            found.append(one)
    return sorted(found, key=lambda one: (one.macs, one.parameters))


def fitted_options(key: str, channels: int) -> dict[str, Any]:
    """The options of which the default does not suit ``channels``, halved until they do.

    Raises:
        ValueError: if nothing helps; the module's own complaint.
    """
    parameters = inspect.signature(registry.info(key).module).parameters
    defaults = {
        name: parameters[name].default
        for name in _FITTED
        if name in parameters and isinstance(parameters[name].default, int)
    }
    options = dict(defaults)
    while True:
        try:
            registry.create(key, channels, **options, device="meta")
        except ValueError:
            if max(options.values(), default=1) <= 1:
                raise
            options = {name: max(1, value // 2) for name, value in options.items()}
        else:
            return {name: v for name, v in options.items() if v != defaults[name]}


def _counted(
    key: str, channels: int, height: int, width: int, saw: dict[str, float]
) -> Suggestion | None:
    """``None`` for a mechanism that is not defined at this size."""
    from attnlib.lab.cost import cost

    try:
        options = fitted_options(key, channels)
        module = registry.create(key, channels, **options)
        counted = cost(module, (1, channels, height, width))
    except ValueError:
        return None
    return Suggestion(key, options, counted.parameters, counted.macs, counted.peak_bytes, saw)


@cache
def _evidence() -> dict[str, dict[str, float]]:
    """Mechanism → task → mean accuracy, as `make sight` measured them."""
    import json
    from importlib.resources import files

    text = files("attnlib").joinpath("evidence.json").read_text("utf8")
    accuracies: dict[str, dict[str, float]] = json.loads(text)["accuracies"]
    return accuracies
