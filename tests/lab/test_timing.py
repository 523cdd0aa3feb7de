"""The timing against known sleeps."""

import time

import pytest
import torch
from torch import nn
from torch._subclasses import FakeTensor

from attnlib.lab import cost, timing

pytestmark = pytest.mark.serial


class Sleeper(nn.Module):
    """Takes a known time forward, and another one backward."""

    def __init__(self, forward_s, backward_s=0.0):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.times = forward_s, backward_s
        self.seen = []

    def forward(self, x):
        if isinstance(x, FakeTensor):  # the count of memory, which takes next to no time
            return x * self.weight
        self.seen.append((self.training, torch.is_grad_enabled()))
        return _Sleep.apply(x * self.weight, *self.times)


class _Sleep(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, forward_s, backward_s):
        ctx.backward_s = backward_s
        time.sleep(forward_s)
        return x.clone()

    @staticmethod
    def backward(ctx, gradient):
        time.sleep(ctx.backward_s)
        return gradient, None, None


def by_case(result):
    return {(r["module"], r["pass"]): r for r in result.records}


def test_known_times():
    result = timing(
        {"short": Sleeper(0.010, 0.020), "long": Sleeper(0.030)}, torch.randn(4, 8), budget=2.0
    )
    records = by_case(result)
    expected = {
        ("short", "forward"): 0.010,
        ("short", "forward+backward"): 0.030,
        ("long", "forward"): 0.030,
        ("long", "forward+backward"): 0.030,
    }
    for case, seconds in expected.items():
        assert seconds <= records[case]["median_s"] < seconds * 1.3 + 0.002, case
        assert records[case]["runs"] >= 3
        assert 0 <= records[case]["iqr_s"] < seconds
    floor = records["copy of x", "copy of x"]
    assert floor["median_s"] < 1e-3
    assert floor["times_copy"] == 1
    for record in result.records:
        ratio = record["median_s"] / floor["median_s"]
        assert record["times_copy"] == pytest.approx(ratio)


def test_budget_is_kept():
    start = time.perf_counter()
    result = timing({str(i): Sleeper(0.2, 0.2) for i in range(4)}, torch.randn(4, 8), budget=1.5)
    assert time.perf_counter() - start < 2.1
    records = by_case(result)
    for i in range(4):
        assert records[str(i), "forward"]["median_s"] == pytest.approx(0.2, rel=0.2)
    skipped = [r for r in result.records if r["median_s"] is None]
    assert skipped
    assert all(r["times_copy"] is None and r["runs"] == 0 for r in skipped)
    assert str(result).count("over budget") == len(skipped)


def test_the_first_run_does_not_count():
    class Slow(Sleeper):
        def forward(self, x):
            time.sleep(0.0 if self.seen else 0.3)
            return super().forward(x)

    (first,) = (
        r
        for r in timing(Slow(0.01), torch.randn(4, 8), budget=1.5, backward=False).records
        if r["pass"] == "forward"
    )
    assert first["median_s"] < 0.02
    assert first["iqr_s"] < 0.02


def test_each_pass_has_its_mode_and_the_modules_are_left_as_they_were():
    net = nn.Sequential(Sleeper(0.001), nn.BatchNorm1d(8), nn.Dropout()).train()
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


def test_records_tell_the_conditions():
    x = torch.randn(2, 8, 5, 7, dtype=torch.float64)
    net = nn.Conv2d(8, 8, 1, dtype=torch.float64)
    result = timing({"conv": net}, x, budget=0.3, threads=1)
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


def test_what_is_compiled_has_no_counted_peak():
    net = torch.compile(nn.Linear(8, 8), backend="eager")
    result = timing({"compiled": net, "eager": nn.Linear(8, 8)}, torch.randn(4, 8), budget=3.0)
    records = by_case(result)
    assert records["compiled", "forward"]["median_s"] > 0
    assert records["compiled", "forward"]["peak_bytes"] is None
    assert records["eager", "forward"]["peak_bytes"] == 4 * 8 * 4


def test_forward_only():
    result = timing(nn.Linear(8, 8), torch.randn(4, 8), budget=0.2, backward=False)
    assert [(r["module"], r["pass"]) for r in result.records] == [
        ("copy of x", "copy of x"),
        ("Linear", "forward"),
    ]
    assert "backward" not in str(result)


def test_plot():
    result = timing({"a": nn.Linear(8, 8), "b": Sleeper(0.002)}, torch.randn(4, 8), budget=0.3)
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
