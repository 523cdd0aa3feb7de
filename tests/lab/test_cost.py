"""The counts against closed formulas."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import attnlib
from attnlib.lab import cost

MAP = 2 * 24 * 5 * 7 * 4  # bytes of a (2, 24, 5, 7) map in float32


class Function(nn.Module):
    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def counted(function, size=(2, 24, 5, 7), **options):
    return cost(Function(function), size, **options)


# --- multiply-accumulates -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("module", "size", "macs"),
    [
        (nn.Linear(24, 10), (3, 5, 24), 3 * 5 * 24 * 10),
        (nn.Linear(24, 10, bias=False), (24,), 24 * 10),
        (nn.Conv1d(1, 1, 5, padding=2), (3, 1, 24), 3 * 24 * 5),
        (nn.Conv2d(24, 32, 3, padding=1), (2, 24, 5, 7), 2 * 5 * 7 * 24 * 32 * 9),
        (nn.Conv2d(24, 32, 3, padding=1, groups=4), (2, 24, 5, 7), 2 * 5 * 7 * 6 * 32 * 9),
        (nn.Conv2d(24, 24, 7, padding=3, groups=24), (2, 24, 5, 7), 2 * 5 * 7 * 24 * 49),
        (nn.Conv2d(24, 32, 3, stride=2, dilation=2), (2, 24, 9, 9), 2 * 3 * 3 * 24 * 32 * 9),
        (attnlib.SqueezeExcitation(64), (3, 64, 9, 9), 3 * 2 * 64 * 4),
    ],
    ids=str,
)
def test_macs_of_layers(module, size, macs):
    assert cost(module, size).macs == macs


@pytest.mark.parametrize(
    ("function", "macs"),
    [
        (lambda x: x @ x.transpose(2, 3), 2 * 24 * 5 * 5 * 7),
        (lambda x: torch.einsum("bchw,bcvw->bhv", x, x), 2 * 5 * 5 * 24 * 7),
        (lambda x: F.scaled_dot_product_attention(x, x, x), 2 * 24 * (5 * 5 * 7 * 2)),
        (lambda x: x[0, 0] @ x[0, 0, 0], 5 * 7),
        (lambda x: x[0, 0, 0] @ x[0, 0, 0], 7),
        (lambda x: (x * x).sigmoid().mean((2, 3)), 0),
    ],
    ids=["matmul", "einsum", "attention", "matrix-vector", "dot", "elementwise"],
)
def test_macs_of_operations(function, macs):
    assert counted(function).macs == macs


# --- bytes ----------------------------------------------------------------------------------------


def test_least_traffic():
    linear = nn.Linear(24, 10)
    assert cost(linear, (3, 24)).bytes_min == 4 * (3 * 24 + 3 * 10 + 24 * 10 + 10)
    assert cost(linear.double(), (3, 24)).bytes_min == 8 * (3 * 24 + 3 * 10 + 24 * 10 + 10)
    se = cost(attnlib.SqueezeExcitation(64), (2, 64, 9, 9))
    assert se.bytes_min == 4 * (2 * (2 * 64 * 81) + 2 * 64 * 4)


def test_every_new_tensor_is_allocated_and_views_are_not():
    def chain(x):
        y = x.relu().view(2, 24, 35).transpose(1, 2)  # one map
        z = y.reshape(2, 5, 7, 24)  # a copy? no: the strides allow a view
        return (z + 1).sigmoid_()  # one map, written in place

    run = counted(chain)
    assert run.bytes_allocated == 2 * MAP
    assert run.peak_bytes == 2 * MAP


def test_copies_are_allocated():
    assert counted(lambda x: x.transpose(1, 2).reshape(2, -1)).bytes_allocated == MAP
    assert counted(lambda x: x.expand(3, 2, 24, 5, 7)).bytes_allocated == 0
    assert counted(lambda x: x.expand(3, 2, 24, 5, 7).contiguous()).bytes_allocated == 3 * MAP


def test_peak_forgets_what_has_died():
    def chain(x):
        for _ in range(6):
            x = x + 1  # the one before dies when this one stands
        return x

    run = counted(chain)
    assert run.bytes_allocated == 6 * MAP
    assert run.peak_bytes == 2 * MAP


def test_peak_remembers_what_lives():
    run = counted(lambda x: torch.cat([x + i for i in range(6)]))
    assert run.bytes_allocated == run.peak_bytes == 12 * MAP


def test_training_holds_what_the_backward_needs():
    # y = σ(x + 1): σ saves its own output; the backward makes one gradient.
    assert counted(lambda x: (x + 1).sigmoid()).peak_bytes_training == 2 * MAP
    # y = x·x saves x only: y, then two products and their sum.
    assert counted(lambda x: x * x).peak_bytes_training == 4 * MAP
    # Five saved outputs beside y's own, and two gradients at once.
    deep = counted(lambda x: x.exp().exp().exp().exp().exp().exp())
    assert deep.peak_bytes == 2 * MAP
    assert deep.peak_bytes_training == 8 * MAP
    # The gradients of the parameters belong to it.
    linear = nn.Linear(1000, 1000, bias=False)
    assert cost(linear, (1, 1000)).peak_bytes_training >= 4 * 1000 * 1000


def test_no_backward():
    run = counted(lambda x: x.argmax(1))
    assert run.peak_bytes_training is None
    assert "peak, training  no backward" in str(run)


def test_real_allocations_are_the_same():
    """The fake run against torch's own count of a real one."""
    module = attnlib.SqueezeExcitation(64)
    x = torch.randn(2, 64, 9, 9)
    with (
        torch.profiler.profile(profile_memory=True) as profile,
        torch.no_grad(),
    ):
        module(x)
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    asked = sum(max(e.nbytes(), 0) for e in events)
    # A kernel may ask for a few bytes for itself.
    assert cost(module, x.shape).bytes_allocated == pytest.approx(asked, abs=64)


# --- the run itself -------------------------------------------------------------------------------


def test_steps_that_depend_on_values_are_run_for_real():
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn = nn.BatchNorm2d(24)

        def forward(self, x):
            return self.bn(x) if x.sum() >= 0 else x

    net = Gated()
    run = cost(net, (2, 24, 5, 7))
    assert run.parameters == 48
    assert run.peak_bytes >= MAP
    assert net.bn.num_batches_tracked == 0


def test_module_is_left_as_it_was():
    net = nn.Sequential(nn.Conv2d(24, 24, 1), nn.BatchNorm2d(24), nn.Dropout()).train()
    net[2].eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    cost(net, (2, 24, 5, 7))
    assert [m.training for m in net.modules()] == [True, True, True, False]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert all(p.grad is None and type(p) is nn.Parameter for p in net.parameters())


def test_size_costs_nothing():
    run = cost(nn.Conv2d(2048, 2048, 1, bias=False), (64, 2048, 512, 512))
    assert run.macs == 64 * 512 * 512 * 2048 * 2048
    assert run.bytes_allocated == 64 * 2048 * 512 * 512 * 4


def test_errors_are_the_modules_own():
    with pytest.raises(ValueError, match="expected an input of shape"):
        cost(attnlib.SqueezeExcitation(64), (2, 63, 5, 5))


def test_text():
    assert str(cost(attnlib.SqueezeExcitation(256), (8, 256, 56, 56))).splitlines() == [
        "input x         (8, 256, 56, 56), float32, 25.69 MB",
        "parameters      8,192",
        "MACs            65,536",
        "least traffic   51.41 MB",
        "allocated       25.72 MB = 1.00 × x",
        "peak, forward   25.71 MB = 1.00 × x",
        "peak, training  54.62 MB = 2.13 × x",
    ]
