"""Run a mechanism's tests against its mutants, each in a forked child.

Importing torch and collecting the tests takes seconds, so it is done once: ``Session`` is a pytest
plugin that collects a test module and then forks for every mutant. The child throws attnlib away,
imports it anew with the mutant in the place of one file (nothing is written anywhere), puts the new
attnlib wherever the tests hold the old one, and runs test after test until one fails. Those that
have killed most for their time come first.

What compiles or exports is slow: only mutants that have survived the rest are put to it, and none
to Inductor and ONNX.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import io
import json
import os
import resource
import signal
import sys
import time
import types
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr, redirect_stdout
from typing import Any

import pytest

#: Words in the names of tests that come last, and of tests that are left out.
LAST = ("compile", "export")
NEVER = ("inductor", "onnx")
ARGUMENTS = (
    *("-o", "addopts=", "-p", "no:cacheprovider", "-p", "no:terminal"),
    *("-p", "no:xdist", "-p", "no:nbval", "-p", "no:warnings"),
)


def preload() -> None:
    """Import what tests import on first use, and keep torch to one thread: threads do not fork."""
    import hypothesis
    import torch
    import torch._dynamo
    from torch._subclasses.fake_tensor import FakeTensorMode
    from torch.utils import flop_counter  # noqa: F401

    torch.set_num_threads(1)
    # What is imported and cached on first use would otherwise be so in every child.
    with FakeTensorMode():
        torch.ones(1) + 1
    x = torch.ones(1, 2, 2, 2, device="meta")
    (x * x).mean((2, 3)) @ x[0, 0]
    torch.compile(torch.nn.ReLU(), fullgraph=True, backend="aot_eager")(torch.ones(2))
    torch.compiler.reset()
    torch.export.export(torch.nn.ReLU(), (torch.ones(2),)).module()
    torch.testing.assert_close(torch.ones(1), torch.ones(1))  # imports sympy
    phases = (hypothesis.Phase.explicit, hypothesis.Phase.generate)  # no search for a smaller case
    hypothesis.settings.register_profile("mutation", phases=phases, database=None)
    hypothesis.settings.load_profile("mutation")


# --- the mutant in the place of its file --------------------------------------------------------


class _Loader(importlib.machinery.SourceFileLoader):
    def __init__(self, name: str, path: str, code: str) -> None:
        super().__init__(name, path)
        self.code = code

    def get_code(self, fullname: str) -> types.CodeType:
        return compile(self.code, self.path, "exec")  # and no cache is read or written


class _Finder(importlib.abc.MetaPathFinder):
    def __init__(self, module: str, path: str, code: str) -> None:
        self.module, self.path, self.code = module, path, code

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
        if name != self.module:
            return None
        loader = _Loader(name, self.path, self.code)
        return importlib.util.spec_from_file_location(name, self.path, loader=loader)


def _ours(name: str | None) -> bool:
    return (name or "").partition(".")[0] == "attnlib"


def _import_anew() -> None:
    """Drop attnlib, import it, and replace it in all other modules of the tests."""
    for name in [name for name in sys.modules if _ours(name)]:
        del sys.modules[name]
    importlib.import_module("attnlib")
    for module in list(sys.modules.values()):
        if "/tests/" in (getattr(module, "__file__", None) or ""):
            for name, value in vars(module).copy().items():
                setattr(module, name, _renewed(value))


def _renewed(value: Any) -> Any:
    if isinstance(value, types.ModuleType):
        return importlib.import_module(value.__name__) if _ours(value.__name__) else value
    if isinstance(value, type | types.FunctionType) and _ours(value.__module__):
        new: Any = importlib.import_module(value.__module__)
        for part in value.__qualname__.split("."):
            new = getattr(new, part)
        return new
    return value


# --- a forked child -----------------------------------------------------------------------------


def fork(work: Callable[[], str], seconds: float) -> tuple[str, float]:
    """What ``work`` returns in a child, or how the child died; and its seconds of CPU."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(out)
        limit = int(seconds) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        resource.setrlimit(resource.RLIMIT_AS, (2**34, 2**34))
        signal.alarm(3600)  # asleep for ever; a busy machine is no reason to call a mutant killed
        try:
            with redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
                result = work()
        except BaseException as error:
            result = f"{type(error).__name__} outside of tests"
        os.write(into, result.encode())
        os._exit(0)
    os.close(into)
    with os.fdopen(out) as pipe:
        result = pipe.read()
    _, status, usage = os.wait4(child, 0)
    if os.WIFSIGNALED(status):
        result = signal.Signals(os.WTERMSIG(status)).name
    return result, usage.ru_utime + usage.ru_stime


Report = Callable[[str, str, float], None]


class Session:
    """The pytest plugin: in place of running the tests once, run them against every mutant."""

    def __init__(self, module: str, path: str, mutants: Sequence[str], report: Report) -> None:
        self.module, self.path, self.mutants, self.report = module, path, mutants, report
        self.seconds: dict[str, float] = {}  # of CPU, by test
        self.kills: Counter[str] = Counter()
        self.failed = ""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed = report.nodeid

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        session.config.option.tbstyle = "line"  # tracebacks take time, and nobody reads them
        items = [i for i in session.items if not any(word in i.name for word in NEVER)]
        last = [i for i in items if any(word in i.name for word in LAST)]
        first = [i for i in items if i not in last]
        self._time(items)
        limit = 10 + 5 * sum(self.seconds.values())
        for code in self.mutants:
            first.sort(key=self._worth, reverse=True)
            killer, seconds = fork(lambda c=code: self._run(c, [*first, *last]), limit)
            self.kills[killer] += 1
            self.report(code, killer, seconds)
        return True

    def _time(self, items: list[pytest.Item]) -> None:
        """Without a mutation everything passes, and takes so long."""
        with open(self.path, encoding="utf-8") as file:
            original = file.read()
        answer, _ = fork(lambda: self._run(original, items) or json.dumps(self.seconds), 900)
        if not answer.startswith("{"):
            raise RuntimeError(f"{self.module} fails without any mutation: {answer}")
        self.seconds = json.loads(answer)

    def _worth(self, item: pytest.Item) -> float:
        """Kills a second so far; tests of values are trusted from the start."""
        prior = 5 if "test_value" in item.nodeid else 0.05
        return (self.kills[item.nodeid] + prior) / (self.seconds[item.nodeid] + 0.005)

    def _run(self, code: str, items: list[pytest.Item]) -> str:
        """The first test that fails with this code, or an empty text."""
        sys.meta_path.insert(0, _Finder(self.module, self.path, code))
        _import_anew()
        for item in items:
            start = time.process_time()
            item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
            self.seconds[item.nodeid] = time.process_time() - start
            if self.failed:
                return self.failed
        return ""
