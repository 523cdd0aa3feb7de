"""torchinfo's summary, and what is mended in it."""

import torch
from torch import nn

import attnlib
from attnlib.lab import summary


def test_squeeze_and_excitation():
    text = str(summary(attnlib.SqueezeExcitation(64), (2, 64, 8, 8)))
    rule = "=" * 90
    assert text.splitlines() == [
        rule,
        "Layer (type:depth-idx)                   Output Shape              Param #",
        rule,
        "SqueezeExcitation                        [2, 64, 8, 8]             --",
        "├─Linear: 1-1                            [2, 4]                    256",
        "├─Linear: 1-2                            [2, 64]                   256",
        rule,
        "Total params: 512",
        "Trainable params: 512",
        "Non-trainable params: 0",
        "Total mult-adds: 1,024",
        rule,
    ]


def test_the_unit_is_readable():
    net = nn.Conv2d(64, 64, 3, padding=1, bias=False)
    lines = {
        n: next(s for s in str(summary(net, (n, 64, 56, 56))).splitlines() if "mult" in s)
        for n in (1, 10)
    }
    assert lines == {1: "Total mult-adds (M): 115.61", 10: "Total mult-adds (G): 1.16"}
    assert "Units" not in str(summary(net, (1, 64, 56, 56)))


def test_module_and_generator_are_left_as_they_were():
    net = nn.Sequential(nn.BatchNorm2d(8), nn.Dropout()).train()
    net[1].eval()
    before = {k: v.clone() for k, v in net.state_dict().items()}
    state = torch.random.get_rng_state()
    summary(net, (1, 8, 1, 1))
    assert [m.training for m in net.modules()] == [True, True, False]
    assert all(torch.equal(v, before[k]) for k, v in net.state_dict().items())
    assert torch.equal(torch.random.get_rng_state(), state)


def test_options_and_statistics():
    net = nn.Sequential(nn.Sequential(nn.Linear(8, 8)), nn.Linear(8, 8))
    shallow = summary(net, (2, 8), depth=1, col_names=["num_params"])
    assert shallow.statistics.total_params == 144
    assert "2-1" not in shallow.text
    assert "Output Shape" not in shallow.text
