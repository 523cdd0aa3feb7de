"""The probes: labels recomputed naively, nothing given away, and who can solve what."""

import pytest
import torch

import attnlib
from attnlib.lab.probes import TASKS, host, train

SIZE = 12


@pytest.fixture(params=list(TASKS))
def task(request):
    return TASKS[request.param]


# --- labels, written naively from an image --------------------------------------------------------


def cues(x, i, j):
    bits = len(x) // 2
    pointer = x[bits:, i, j].argmax()
    shown = x[pointer][x[pointer] != 0]
    return shown[0] > 0


def context(x, i, j):
    return x[0, i, j] > x[0].sum() / x[0].numel()


def place(x, i, j):
    return any(x[0, i, k] == 1 for k in range(SIZE))


def cross(x, i, j):
    on = [(i, k) for k in range(SIZE)] + [(k, j) for k in range(SIZE)]
    plus = sum(int(x[0][p]) for p in on)
    minus = sum(int(x[1][p]) for p in on)
    assert plus + minus == 1
    return plus == 1


def near(x, i, j):
    beside = [
        (k, m)
        for k in range(max(i - 1, 0), min(i + 2, SIZE))
        for m in range(max(j - 1, 0), min(j + 2, SIZE))
        if x[0, k, m] != 0 or x[1, k, m] != 0
    ]
    assert len(beside) == 1
    assert beside != [(i, j)]
    return x[0][beside[0]] == 1


def pair(x, i, j):
    assert x[7, i, j] == 1
    twins = [
        x[6, k, m]
        for k in range(SIZE)
        for m in range(SIZE)
        if x[6, k, m] != 0 and torch.equal(x[:6, k, m], x[:6, i, j])
    ]
    assert len(twins) == 1
    return twins[0] > 0


def order(x, i, j):
    return j < int(x[0].sum(0).argmax())


NAIVE = {
    "channel": cues,
    "many": cues,
    "context": context,
    "place": place,
    "cross": cross,
    "near": near,
    "pair": pair,
    "order": order,
}


def test_labels(task):
    x, y, mask = task.sample(3, seed=0)
    assert x.shape == (3, task.inputs, SIZE, SIZE)
    assert y.shape == mask.shape == (3, SIZE, SIZE)
    for b, i, j in mask.nonzero().tolist():
        assert y[b, i, j] == NAIVE[task.name](x[b], i, j)


def test_both_labels_are_equally_frequent(task):
    _, y, mask = task.sample(512, seed=0)
    assert y[mask].float().mean() == pytest.approx(0.5, abs=0.02)
    assert mask.flatten(1).any(1).all()


def test_the_own_pixel_says_nothing(task):
    """Within each kind of pixel, both labels are equally frequent."""
    x, y, mask = task.sample(2048, seed=0)
    pixels, labels = x.movedim(1, -1)[mask], y[mask].float()
    if task.name == "context":
        right = ((pixels[:, 0] > 0) == labels.bool()).float().mean()
        assert right == pytest.approx(0.6, abs=0.02)
        return
    _, kind = pixels.unique(dim=0, return_inverse=True)
    for k in range(int(kind.max()) + 1):
        chosen = labels[kind == k]
        assert chosen.mean() == pytest.approx(0.5, abs=5 * 0.5 / len(chosen) ** 0.5 + 0.02)


def test_the_own_place_says_nothing(task):
    """At each position, both labels are equally frequent: to know where one is does not help."""
    _, y, mask = task.sample(4096, seed=0)
    asked = mask.sum(0)
    share = (y & mask).sum(0) / asked.clamp(min=1)
    far = (share - 0.5).abs() > 5 * 0.5 / asked.clamp(min=1) ** 0.5
    assert not (far & (asked > 0)).any()


def test_the_mean_of_the_image_gives_nothing_away():
    for name in ("place", "cross", "near", "order"):
        means = TASKS[name].sample(64, seed=0)[0].mean((2, 3))
        assert torch.equal(means, means[:1].expand_as(means)), name
    means = TASKS["pair"].sample(64, seed=0)[0].mean((2, 3))
    assert means[:, 6].abs().max() == 0  # as many + as −


def test_no_row_and_no_column_gives_the_neighbour_away():
    marks = TASKS["near"].sample(64, seed=0)[0][:, :2]
    for axis in (2, 3):
        assert torch.equal(marks.sum(axis), torch.ones(64, 2, SIZE))


def test_a_seed_fixes_the_images(task):
    first, again, other = (task.sample(4, seed=s) for s in (1, 1, 2))
    assert all(torch.equal(a, b) for a, b in zip(first, again, strict=True))
    assert not torch.equal(first[0], other[0])


# --- the host -------------------------------------------------------------------------------------


def test_the_host_sees_one_pixel_at_a_time():
    net = host(16, inputs=3).eval()
    x = torch.randn(1, 3, SIZE, SIZE, requires_grad=True)
    (gradient,) = torch.autograd.grad(net(x)[0, 4, 7], x)
    seen = gradient.abs().sum((0, 1)).nonzero()
    assert seen.tolist() == [[4, 7]]


def test_the_host_holds_the_attention():
    net = host(16, lambda channels: attnlib.SqueezeExcitation(channels, reduction=4), inputs=3)
    assert net.attention.channels == 16
    x = torch.randn(1, 3, SIZE, SIZE, requires_grad=True)
    (gradient,) = torch.autograd.grad(net.eval()(x)[0, 4, 7], x)
    assert gradient.abs().sum((0, 1)).count_nonzero() > 100


# --- training -------------------------------------------------------------------------------------


def test_a_seed_fixes_a_run():
    torch.manual_seed(7)
    before = torch.random.get_rng_state()
    first = train("channel", seeds=(3, 4), steps=5)
    assert torch.equal(torch.random.get_rng_state(), before)
    torch.manual_seed(8)
    assert train("channel", seeds=(3, 4), steps=5).accuracies == first.accuracies
    assert len(first.accuracies) == 2
    assert first.mean == pytest.approx(sum(first.accuracies) / 2)
    assert first.spread == pytest.approx(abs(first.accuracies[0] - first.accuracies[1]) / 2**0.5)
    assert str(first).startswith("channel: ")
    assert first.seconds > 0


def solves(name, key=None, *, steps=150, **options):
    factory = None if key is None else lambda channels: attnlib.create(key, channels, **options)
    return train(name, factory, seeds=(0,), steps=steps).mean


@pytest.mark.parametrize("name", list(TASKS))
def test_the_host_alone_solves_nothing(name):
    assert solves(name, steps=80) < (0.63 if name == "context" else 0.54)


@pytest.mark.parametrize(
    ("name", "able", "unable"),
    [
        ("channel", ("se", {"reduction": 4}), None),
        ("context", ("se", {"reduction": 4}), None),
        ("many", ("position", {"reduction": 4}), ("se", {"reduction": 16})),
        ("place", ("coordinate", {"reduction": 4}), ("se", {"reduction": 4})),
        ("cross", ("criss_cross", {"reduction": 4}), ("position", {"reduction": 4})),
        ("near", ("cbam", {"reduction": 4}), ("criss_cross", {"reduction": 4})),
        ("pair", ("position", {"reduction": 4}), ("criss_cross", {"reduction": 4})),
        ("order", None, ("coordinate", {"reduction": 4})),
    ],
)
def test_who_solves_what(name, able, unable):
    if able:
        assert solves(name, able[0], **able[1]) > 0.9
    if unable:
        assert solves(name, unable[0], steps=80, **unable[1]) < (0.75 if name == "many" else 0.56)


def test_unknown_task():
    with pytest.raises(ValueError, match="unknown task 'colour': the tasks are channel, many"):
        train("colour")
