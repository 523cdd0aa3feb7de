"""The timing against known sleeps."""

import itertools
import sys
import time
from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensor

from attnlib.lab import cost, timing

TICK = 1e-4


class Clock:
    """Stands still but for a tick per look, and for those who sleep."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        self.now += TICK
        return self.now

    def sleep(self, seconds):
        self.now += seconds


@pytest.fixture
def clock(monkeypatch):
    """A clock for both the instrument and the sleepers: no load on the machine can disturb it."""
    clock = Clock()
    module = sys.modules["attnlib.lab.timing"]
    monkeypatch.setattr(module, "timer", clock)
    monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=clock))
    return clock


class Sleeper(nn.Module):
    """Takes a known time forward, and another one backward."""

    def __init__(self, forward_s, backward_s=0.0, first_s=0.0, sleep=time.sleep):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.times = forward_s, backward_s
        self.first_s = first_s
        self.sleep = sleep
        self.seen = []

    def forward(self, x):
        if isinstance(x, FakeTensor):  # the count of memory, which takes next to no time
            return x * self.weight
        if self.first_s and not self.seen:
            self.sleep(self.first_s)
        self.seen.append((self.training, torch.is_grad_enabled()))
        return _Sleep.apply(x * self.weight, *self.times, self.sleep)


class _Sleep(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, forward_s, backward_s, sleep):
        ctx.backward_s, ctx.sleep = backward_s, sleep
        sleep(forward_s)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        ctx.sleep(ctx.backward_s)
        return gradient, None, None, None


def by_case(result):
    return {(r["module"], r["pass"]): r for r in result.records}


def test_known_times(clock):
    short = Sleeper(0.010, 0.020, sleep=clock.sleep)
    long = Sleeper(0.030, sleep=clock.sleep)
    result = timing({"short": short, "long": long}, torch.randn(4, 8), budget=2.0)
    records = by_case(result)
    expected = {
        ("short", "forward"): 0.010,
        ("short", "forward+backward"): 0.030,
        ("long", "forward"): 0.030,
        ("long", "forward+backward"): 0.030,
    }
    for case, seconds in expected.items():
        assert records[case]["median_s"] == pytest.approx(seconds + TICK), case
        assert records[case]["iqr_s"] < 1e-9
        assert records[case]["runs"] >= 15
    floor = records["copy of x", "copy of x"]
    assert 0 < floor["median_s"] <= TICK
    assert floor["times_copy"] == 1
    for record in result.records:
        ratio = record["median_s"] / floor["median_s"]
        assert record["times_copy"] == pytest.approx(ratio)
    assert 1.8 < clock.now < 2.01  # the budget is used, and kept


def test_modules_take_turns(clock):
    order = []
    modules = {}
    for name in "abc":
        modules[name] = Sleeper(0.010, sleep=clock.sleep)
        modules[name].register_forward_hook(lambda *_, name=name: order.append(name))
    timing(modules, torch.randn(4, 8), budget=1.0, backward=False)
    rounds = order[-30:]
    for i in range(0, 27, 3):
        assert len({*rounds[i : i + 4]}) == 3  # nobody has two turns before all had one


def test_median_and_range(clock):
    durations = itertools.cycle([0.01, 0.02, 0.03, 0.04, 0.10])
    net = Sleeper(0.0)
    net.sleep = lambda seconds: clock.sleep(next(durations))
    records = by_case(timing(net, torch.randn(4, 8), budget=5.0, backward=False))
    assert records["Sleeper", "forward"]["median_s"] == pytest.approx(0.03 + TICK)
    assert records["Sleeper", "forward"]["iqr_s"] == pytest.approx(0.02)


def test_budget_is_kept(clock):
    modules = {str(i): Sleeper(0.2, 0.2, sleep=clock.sleep) for i in range(4)}
    result = timing(modules, torch.randn(4, 8), budget=1.5)
    assert clock.now < 1.5 + 0.2
    records = by_case(result)
    for i in range(4):
        assert records[str(i), "forward"]["median_s"] == pytest.approx(0.2 + TICK)
    skipped = [r for r in result.records if r["median_s"] is None]
    assert skipped
    assert all(r["times_copy"] is None and r["runs"] == 0 for r in skipped)
    assert str(result).count("over budget") == len(skipped)


def test_the_first_run_does_not_count(clock):
    net = Sleeper(0.01, first_s=0.3, sleep=clock.sleep)
    records = by_case(timing(net, torch.randn(4, 8), budget=1.5, backward=False))
    assert records["Sleeper", "forward"]["median_s"] == pytest.approx(0.01 + TICK)
    assert records["Sleeper", "forward"]["iqr_s"] < 1e-9
    # Unless there is no other.
    net = Sleeper(0.01, first_s=0.3, sleep=clock.sleep)
    records = by_case(timing(net, torch.randn(4, 8), budget=0.2, backward=False))
    assert records["Sleeper", "forward"]["median_s"] == pytest.approx(0.31 + TICK)
    assert records["Sleeper", "forward"]["iqr_s"] is None


@pytest.mark.serial
def test_a_real_clock():
    """Bounds that hold on a busy machine; the exact ones are tested above."""
    start = time.perf_counter()
    records = by_case(timing(Sleeper(0.05, 0.1), torch.randn(4, 8), budget=5.0))
    assert time.perf_counter() - start < 15
    assert 0.05 <= records["Sleeper", "forward"]["median_s"] < 0.15
    assert 0.15 <= records["Sleeper", "forward+backward"]["median_s"] < 0.45


def test_each_pass_has_its_mode_and_the_modules_are_left_as_they_were(clock):
    net = nn.Sequential(Sleeper(0.001, sleep=clock.sleep), nn.BatchNorm1d(8), nn.Dropout()).train()
    net[2].eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    threads = torch.get_num_threads()
    x = torch.randn(4, 8, requires_grad=True)
    timing(net, x, budget=0.5, threads=1)
    measured = set(net[0].seen)
    assert measured == {(False, False), (True, True)}
    assert [m.training for m in net.modules()] == [True, True, True, False]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None for p in net.parameters())
    assert x.grad is None
    assert torch.get_num_threads() == threads


def test_records_tell_the_conditions(clock):
    x = torch.randn(2, 8, 5, 7, dtype=torch.float64)
    net = nn.Conv2d(8, 8, 1, dtype=torch.float64)
    result = timing({"conv": net}, x, budget=0.05, threads=1)
    counted = cost(net, x.shape)
    for record in result.records:
        assert record["device"] == "cpu"
        assert record["device_name"]
        assert record["threads"] == 1
        assert record["dtype"] == "float64"
        assert record["shape"] == [2, 8, 5, 7]
        assert record["torch"] == torch.__version__
        assert record["allocator"]
        assert record["channels_last"] is False
    peaks = {r["pass"]: r["peak_bytes"] for r in result.records}
    assert peaks == {
        "copy of x": None,
        "forward": counted.peak_bytes,
        "forward+backward": counted.peak_bytes_training,
    }
    header, *table = str(result).splitlines()
    assert header.startswith(result.records[0]["device_name"])
    assert "float64" in header
    assert "1 thread," in header
    assert torch.__version__ in header
    assert header.endswith("x is (2, 8, 5, 7), 0.0 MB")
    assert [line.split("  ")[0] for line in table[2:]] == ["copy of x", "conv"]


def test_what_is_compiled_has_no_counted_peak(clock):
    net = torch.compile(nn.Linear(8, 8), backend="eager")
    result = timing({"compiled": net, "eager": nn.Linear(8, 8)}, torch.randn(4, 8), budget=0.05)
    records = by_case(result)
    assert records["compiled", "forward"]["median_s"] > 0
    assert records["compiled", "forward"]["peak_bytes"] is None
    assert records["eager", "forward"]["peak_bytes"] == 4 * 8 * 4


def test_forward_only(clock):
    result = timing(nn.Linear(8, 8), torch.randn(4, 8), budget=0.05, backward=False)
    assert [(r["module"], r["pass"]) for r in result.records] == [
        ("copy of x", "copy of x"),
        ("Linear", "forward"),
    ]
    assert "backward" not in str(result)


def test_plot(clock):
    modules = {"a": nn.Linear(8, 8), "b": Sleeper(0.002, sleep=clock.sleep)}
    result = timing(modules, torch.randn(4, 8), budget=0.3)
    (panel,) = result.plot().axes
    assert [t.get_text() for t in panel.get_yticklabels()] == ["a", "b"]
    records = by_case(result)
    widths = [bar.get_width() for bar in panel.patches]
    expected = [
        records[name, which]["times_copy"]
        for which in ("forward", "forward+backward")
        for name in ("a", "b")
    ]
    assert widths == pytest.approx(expected)


def test_bad_arguments():
    x = torch.randn(4, 8)
    with pytest.raises(ValueError, match="there are no modules to time"):
        timing({}, x)
    with pytest.raises(ValueError, match="the budget must be positive, got 0"):
        timing(nn.Linear(8, 8), x, budget=0)
    with pytest.raises(ValueError, match="the name 'copy of x' is taken"):
        timing({"copy of x": nn.Linear(8, 8)}, x)


def test_cuda():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device on this machine")
    result = timing(nn.Conv2d(8, 8, 3), torch.randn(2, 8, 32, 32), budget=1.0)
    assert {r["device"] for r in result.records} == {"cpu", "cuda"}
    assert all(r["peak_bytes"] for r in result.records if r["pass"] != "copy of x")
