"""Put a module into one mode for a while."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from torch import nn

__all__ = ["mode"]


@contextlib.contextmanager
def mode(module: nn.Module, *, training: bool) -> Iterator[None]:
    """Train or eval mode inside, each submodule's own mode again outside."""
    before = [(m, m.training) for m in module.modules()]
    module.train(training)
    try:
        yield
    finally:
        for m, was_training in before:
            m.training = was_training
