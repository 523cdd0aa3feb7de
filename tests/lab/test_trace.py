"""The shape trace against tables written by hand."""

import gc

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import attnlib
from attnlib.lab import trace
from attnlib.lab._symbols import Namer


def steps(module, x, **options):
    """(path, operation, shape) of every row but the first, which is the input."""
    return [(r.path, r.operation, r.shape) for r in trace(module, x, **options).rows[1:]]


class Function(nn.Module):
    """A module of one function, for operations that need no parameters."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


def operations(function, size=(2, 24, 5, 7), **options):
    return [(o, s) for _, o, s in steps(Function(function), torch.zeros(size), **options)]


def test_squeeze_and_excitation():
    """The table, letter by letter: it is what the chapter prints."""
    table = trace(
        attnlib.SqueezeExcitation(64), torch.zeros(2, 64, 8, 8), symbols={"C": 64, "r": 16}
    )
    assert str(table) == "\n".join(
        [
            "path  operation       output shape  parameters",
            "----  --------------  ------------  ----------",
            "      input           (B, C, H, W)",
            "      mean over H, W  (B, C)",
            "fc1   linear          (B, C/r)             256",
            "      relu            (B, C/r)",
            "fc2   linear          (B, C)               256",
            "      sigmoid         (B, C)",
            "      reshape         (B, C, 1, 1)",
            "      multiply        (B, C, H, W)",
            "----  --------------  ------------  ----------",
            "total                                      512",
            "C = 64, r = 16; any B, H, W",
        ]
    )
    assert table.symbolic
    assert table.parameters == 512
    assert [row.parameters for row in table.rows] == [0, 0, 256, 0, 256, 0, 0, 0]
    lines = table.to_markdown().splitlines()
    assert lines[0] == "| path | operation | output shape | parameters |"
    assert lines[1] == "| :--- | :--- | :--- | ---: |"
    assert "| `fc1` | linear | (B, C/r) | 256 |" in lines
    assert lines[-1] == "C = 64, r = 16; any B, H, W"


def test_a_small_network():
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(inplace=True),
        nn.Conv2d(16, 16, 3, padding=4, dilation=4, groups=16),
        nn.Conv2d(16, 32, (1, 7), padding=(0, 3), groups=4),
        nn.MaxPool2d(3, stride=2, padding=1),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Dropout(),
        nn.Linear(32, 10),
    )
    table = trace(net, torch.zeros(1, 3, 32, 32), symbols={"K": 10, "C": 16})
    assert [(r.path, r.operation, r.shape, r.parameters) for r in table.rows] == [
        ("", "input", "(B, 3, H, W)", 0),
        ("0", "conv 3×3, stride 2", "(B, C, ⌈H/2⌉, ⌈W/2⌉)", 432),
        ("1", "batch norm", "(B, C, ⌈H/2⌉, ⌈W/2⌉)", 32),
        ("2", "relu", "(B, C, ⌈H/2⌉, ⌈W/2⌉)", 0),
        ("3", "depthwise conv 3×3, dilation 4", "(B, C, ⌈H/2⌉, ⌈W/2⌉)", 160),
        ("4", "conv 1×7, 4 groups", "(B, 2·C, ⌈H/2⌉, ⌈W/2⌉)", 928),
        ("5", "max pool 3×3, stride 2", "(B, 2·C, ⌈H/4⌉, ⌈W/4⌉)", 0),
        ("6", "average pool to 1 × 1", "(B, 2·C, 1, 1)", 0),
        ("7", "reshape", "(B, 2·C)", 0),
        ("9", "linear", "(B, K)", 330),
    ]
    assert table.parameters == sum(p.numel() for p in net.parameters())


def test_groups_are_folded_into_the_batch():
    def function(x):
        b, c, h, w = x.shape
        groups = x.reshape(b * 6, c // 6, h, w)
        gate = groups.flatten(2).mean(1).softmax(-1)
        return gate.view(b, 6, 1, h, w)

    assert operations(function, (2, 72, 5, 7), symbols={"C": 72, "G": 6}) == [
        ("reshape", "(B·G, C/G, H·W)"),
        ("mean over C/G", "(B·G, H·W)"),
        ("softmax over H·W", "(B·G, H·W)"),
        ("reshape", "(B, G, 1, H, W)"),
    ]


def test_two_axes_in_a_row():
    """Criss-cross attention's softmax runs over H + W, coordinate attention's strip too."""

    def function(x):
        strip = torch.cat([x.mean(3), x.mean(2)], dim=2)
        a, b = strip.softmax(-1).split([x.shape[2], x.shape[3]], dim=2)
        return a[:, :, :, None] * b[:, :, None, :]

    assert operations(function) == [
        ("mean over W", "(B, C, H)"),
        ("mean over H", "(B, C, W)"),
        ("concatenate", "(B, C, H + W)"),
        ("softmax over H + W", "(B, C, H + W)"),
        ("split into 2", "(B, C, H), (B, C, W)"),
        ("reshape", "(B, C, H, 1)"),
        ("reshape", "(B, C, 1, W)"),
        ("multiply", "(B, C, H, W)"),
    ]


def test_positions_attend_to_positions():
    def function(x):
        v = x.flatten(2)
        weights = (v.transpose(1, 2) @ v / 24**0.5).softmax(dim=-1)
        return torch.einsum("bcm, bnm -> bcn", v, weights).view_as(x) + 1

    assert operations(function, symbols={"C": 24, "N": "H·W"}) == [
        ("reshape", "(B, C, N)"),
        ("transpose", "(B, N, C)"),
        ("matmul", "(B, N, N)"),
        ("divide by 4.899", "(B, N, N)"),
        ("softmax over the last axis", "(B, N, N)"),
        ("einsum bcm,bnm→bcn", "(B, C, N)"),
        ("reshape", "(B, C, H, W)"),
        ("add 1", "(B, C, H, W)"),
    ]


def test_heads():
    def function(x):
        q, k, v = x.repeat(1, 1, 3).unflatten(-1, (3, 4, 6)).permute(2, 0, 3, 1, 4)
        return F.scaled_dot_product_attention(q, k, v).transpose(1, 2).flatten(2)

    rows = operations(function, (2, 5, 24), symbols={"C": 24, "h": 4, "C/h": 6})
    assert rows == [
        ("repeat", "(B, N, 3·C)"),
        ("reshape, permute", "(3, B, h, N, C/h)"),
        ("split into 3", "3 × (B, h, N, C/h)"),
        ("scaled dot-product attention", "(B, h, N, C/h)"),
        ("transpose, reshape", "(B, N, C)"),
    ]


def test_channel_shuffle():
    def function(x):
        b, c, h, w = x.shape
        return x.view(b, 2, c // 2, h, w).transpose(1, 2).reshape(b, c, h, w)

    assert operations(function) == [("reshape, transpose, reshape", "(B, C, H, W)")]


def test_an_axis_of_one_entry_is_dropped_not_selected():
    assert operations(lambda x: x.mean(1, keepdim=True)[:, 0] * 2) == [
        ("mean over C", "(B, 1, H, W)"),
        ("reshape", "(B, H, W)"),
        ("multiply by 2", "(B, H, W)"),
    ]
    assert operations(lambda x: x[:, 3] * 2)[0] == ("select", "(B, H, W)")


def test_what_changes_nothing_is_left_out():
    def function(x):
        y = x.contiguous().detach().clone().to(x.dtype)[:]
        return F.dropout(y, training=False).expand_as(x) * torch.zeros_like(x)

    assert operations(function) == [("multiply", "(B, C, H, W)")]


def test_reductions_and_cuts():
    def function(x):
        value, _ = x.max(dim=1, keepdim=True)
        total = x.sum() + x.logsumexp((2, 3)).mean()
        return value[:, :, 1:, ::2].square() + total, torch.maximum(x, x).amax(1), x.norm(dim=3)

    assert operations(function) == [
        ("max over C", "(B, 1, H, W)"),
        ("sum over everything", "()"),
        ("log-sum-exp over H, W", "(B, C)"),
        ("mean over everything", "()"),
        ("add", "()"),
        ("slice", "(B, 1, H − 1, ⌈W/2⌉)"),
        ("square", "(B, 1, H − 1, ⌈W/2⌉)"),
        ("add", "(B, 1, H − 1, ⌈W/2⌉)"),
        ("maximum", "(B, C, H, W)"),
        ("max over C", "(B, H, W)"),
        ("norm over W", "(B, C, H)"),
    ]


def test_shared_parameters_are_counted_once():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(24, 24)

        def forward(self, x):
            return self.fc(x.mean((2, 3))) + self.fc(x.amax((2, 3)))

    table = trace(Twice(), torch.zeros(2, 24, 5, 7))
    linear = [row for row in table.rows if row.operation == "linear"]
    assert [(row.parameters, row.shared) for row in linear] == [(600, False), (0, True)]
    assert "shared" in str(table)
    assert sum(row.parameters for row in table.rows) == table.parameters == 600


def test_parameters_that_are_reshaped_first():
    class Scaled(nn.Module):
        def __init__(self):
            super().__init__()
            self.gamma = nn.Parameter(torch.zeros(24))
            self.weight = nn.Parameter(torch.zeros(24, 24, 3))

        def forward(self, x):
            weight = (self.weight.sum(-1) * self.gamma)[:, :, None, None]
            return F.conv2d(x, weight) * self.gamma.view(1, -1, 1, 1)

    rows = trace(Scaled(), torch.zeros(2, 24, 5, 7)).rows
    assert [(r.operation, r.parameters, r.shared) for r in rows[1:]] == [
        ("conv 1×1", 24 * 24 * 3 + 24, False),
        ("multiply", 0, True),
    ]


def test_parameters_that_the_forward_never_uses():
    class Forgotten(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(24, 24)

        def forward(self, x):
            return x.relu()

    assert trace(Forgotten(), torch.zeros(2, 24, 5, 7)).notes[-1] == (
        "600 parameters are not used by this forward"
    )


def test_module_and_input_are_left_as_they_were():
    net = nn.Sequential(nn.BatchNorm2d(24), nn.Dropout()).train()
    net[1].eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    x = torch.randn(1, 24, 1, 1, requires_grad=True)
    trace(net, x)
    assert [m.training for m in net.modules()] == [True, True, False]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert x.grad is None


@pytest.mark.parametrize("collects", [True, False])
def test_torch_and_python_are_left_as_they_were(collects):
    """To be quick, trace stops collecting garbage and has torch forget; also where it fails."""
    from torch._dynamo import config

    before = gc.isenabled()
    try:
        (gc.enable if collects else gc.disable)()
        trace(nn.Conv2d(3, 4, 1), torch.zeros(1, 3, 5, 5))
        with pytest.raises(RuntimeError):
            trace(nn.Conv2d(3, 4, 1), torch.zeros(1, 5, 5, 5))
        assert gc.isenabled() == collects
        assert config.fake_tensor_cache_enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_the_size_of_the_input_does_not_matter():
    se = attnlib.SqueezeExcitation(64)
    tables = {
        str(trace(se, torch.zeros(size), symbols={"C": 64, "r": 16}))
        for size in [(1, 64, 1, 1), (2, 64, 8, 8), (3, 64, 17, 5)]
    }
    assert len(tables) == 1


def test_sizes_that_happen_to_be_equal_are_not_taken_for_the_same():
    """Here torch.export would believe H = W = 8, and write 8 for both, or W for H."""
    net = attnlib.CrissCrossAttention(64)
    symbols = {"C": 64}
    tables = {
        str(trace(net, torch.zeros(size), symbols=symbols))
        for size in [(2, 64, 8, 8), (64, 64, 9, 9), (2, 64, 6, 9)]
    }
    assert len(tables) == 1
    assert "softmax over H + W  (B, H, W, H + W)" in tables.pop()


# --- modules that do not allow every size ---------------------------------------------------------


def test_a_module_that_fixes_its_size():
    class Fixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.position = nn.Parameter(torch.zeros(9, 7))

        def forward(self, x):
            return x + self.position

    table = trace(Fixed(), torch.zeros(2, 24, 9, 7))
    assert table.rows[-1].shape == "(B, C, 9, 7)"
    assert table.notes == [
        "C = 24; any B",
        "H = 9: this module allows no other",
        "W = 7: this module allows no other",
    ]


def test_a_module_of_squares():
    table = trace(Function(lambda x: x + x.transpose(2, 3)), torch.zeros(2, 24, 9, 9))
    assert table.rows[-1].shape == "(B, C, H, H)"
    assert table.notes == ["C = 24; any B, H", "W = H: this module allows no other"]


def test_a_module_with_a_smallest_size():
    def function(x):
        if x.shape[2] < 5:
            raise ValueError("too small")
        return x * 2

    table = trace(Function(function), torch.zeros(2, 24, 9, 9))
    assert table.notes == ["C = 24; any B, H, W", "H ≥ 5"]


def test_steps_that_depend_on_values_get_concrete_shapes(capfd):
    class Gated(nn.Module):
        def __init__(self):
            super().__init__()
            self.fc = nn.Linear(24, 24)

        def forward(self, x):
            z = self.fc(x.mean((2, 3)))
            return x * 2 if z.sum() > 0 else x

    net = Gated()
    nn.init.ones_(net.fc.weight)
    table = trace(net, torch.ones(1, 24, 5, 7), symbols={"C": 24})
    assert not table.symbolic
    assert [(r.path, r.operation, r.shape, r.parameters) for r in table.rows] == [
        ("", "input", "(1, 24, 5, 7)", 0),
        ("", "mean over axes 2, 3", "(1, 24)", 0),
        ("fc", "linear", "(1, 24)", 600),
        ("", "sum over everything", "()", 0),
        ("", "greater than 0", "()", 0),
        ("", "multiply by 2", "(1, 24, 5, 7)", 0),
    ]
    assert table.notes == [
        "the shapes are those of this input: its steps depend on the values, so torch.export "
        "cannot follow them"
    ]
    assert not any(capfd.readouterr())
    assert not net.fc._forward_hooks


def test_a_module_that_cannot_run_raises_its_own_error():
    with pytest.raises(ValueError, match="expected an input of shape"):
        trace(attnlib.SqueezeExcitation(64), torch.zeros(2, 63, 5, 5), symbols={"C": 64})
    with pytest.raises(TypeError, match="expected an input tensor, got tuple"):
        trace(attnlib.SqueezeExcitation(64), (2, 64, 5, 5))


# --- symbols --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("symbols", "number", "text"),
    [
        ({"C": 64, "r": 16}, 64, "C"),
        ({"C": 64, "r": 16}, 4, "C/r"),
        ({"C": 64, "r": 16}, 128, "2·C"),
        ({"C": 64, "r": 16}, 192, "3·C"),
        ({"C": 64, "r": 16}, 32, "C/2"),
        ({"C": 64, "r": 16}, 1, "1"),
        ({"C": 64, "r": 16}, 2, "2"),
        ({"C": 64, "r": 16}, 3, "3"),
        ({"C": 64, "r": 16}, 7, "7"),
        ({"C": 64, "r": 16}, 1024, "C·r"),
        ({"C": 100, "r": 16}, 6, "⌊C/r⌋"),
        ({"C": 96, "G": 8}, 6, "C/(2·G)"),
        ({"C": 64, "8": 8}, 8, "8"),
        ({"C": 64, "max(8, C/32)": 8}, 8, "max(8, C/32)"),
        ({"C": 3}, 3, "C"),
        ({}, 64, "64"),
    ],
)
def test_a_number_gets_its_simplest_name(symbols, number, text):
    assert Namer(symbols, ("B", "H", "W")).size(number) == text


@pytest.mark.parametrize(
    ("symbols", "number", "message"),
    [
        ({"C": 64, "r": 8}, 8, "C = 64, r = 8 the size 8 may be r or C/r"),
        ({"C": 32, "r": 16}, 2, "the size 2 may be C/r or the number 2"),
        ({"C": 64, "r": 32, "h": 2}, 32, "the size 32 may be r or C/2 or C/h"),
        ({"C": 64, "r": 16}, 8, "the size 8 may be C/8 or r/2 or 2·C/r"),
    ],
)
def test_a_number_with_two_names_is_refused(symbols, number, message):
    with pytest.raises(ValueError, match=message):
        Namer(symbols, ("B", "H", "W")).size(number)


def test_bad_symbols():
    with pytest.raises(ValueError, match="C and r are both 16: choose sizes that differ"):
        Namer({"C": 16, "r": 16}, ("B",))
    with pytest.raises(ValueError, match="the size C must be a positive number, got 0"):
        Namer({"C": 0}, ("B",))
    with pytest.raises(ValueError, match="H is the name of an axis"):
        Namer({"H": 7}, ("B", "H"))


def test_other_axes():
    rows = operations(lambda x: x.mean(-1), (2, 3, 6), axes={0: "B", 2: "T"}, symbols={"C": 3})
    assert rows == [("mean over T", "(B, C)")]
    assert operations(lambda x: x * 2, (4, 6)) == [("multiply by 2", "(B, 6)")]
