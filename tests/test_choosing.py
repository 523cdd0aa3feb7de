"""attnlib.suggest: what it filters by is measured or counted, and nothing is made up."""

import json

import pytest

import attnlib
from attnlib.choosing import fitted_options
from attnlib.lab import cost
from attnlib.lab.probes import TASKS
from benchmarks import evidence


def keys(*size, **limits):
    return [found.key for found in attnlib.suggest(*size, **limits)]


def test_without_demands_everything_is_listed_cheapest_first():
    found = attnlib.suggest(256, 14, 14)
    assert {one.key for one in found} == set(attnlib.available())
    assert [one.macs for one in found] == sorted(one.macs for one in found)


def test_cost_is_that_of_the_module_at_this_size():
    size = (256, 14, 14)
    for one in attnlib.suggest(*size):
        counted = cost(attnlib.create(one.key, 256, **one.options), (1, *size))
        assert (one.parameters, one.macs) == (counted.parameters, counted.macs)
        assert one.peak_bytes == counted.peak_bytes
    se = next(one for one in attnlib.suggest(*size) if one.key == "se")
    assert (se.parameters, se.macs) == (8192, 8192)


@pytest.mark.parametrize("task", TASKS)
def test_only_what_solved_the_task(task):
    record = json.loads(evidence.FILE.read_text("utf8"))["accuracies"]
    assert set(keys(64, 8, 8, see=task)) == {k for k in record if record[k][task] >= 0.95}
    everything = [task, *TASKS]
    assert set(keys(64, 8, 8, see=everything)) <= set(keys(64, 8, 8, see=[task]))


def test_limits():
    free = {one.key: one for one in attnlib.suggest(256, 28, 28)}
    for name in ("parameters", "macs", "peak_bytes"):
        most = sorted(getattr(one, name) for one in free.values())[7]
        limited = attnlib.suggest(256, 28, 28, **{f"max_{name}": most})
        assert {one.key for one in limited} == {
            key for key, one in free.items() if getattr(one, name) <= most
        }


def test_what_is_not_defined_at_this_size_is_left_out():
    assert "sge" not in keys(64, 1, 1)
    assert "sge" in keys(64, 1, 2)


def test_options_fit_the_channels():
    assert fitted_options("se", 256) == {}
    assert fitted_options("se", 8) == {"reduction": 8}
    assert fitted_options("shuffle", 64) == {"groups": 32}
    for key in attnlib.available():
        for channels in (16, 24, 48, 96):
            attnlib.create(key, channels, **fitted_options(key, channels))
    found = {one.key: one for one in attnlib.suggest(48, 4, 4)}
    assert found["sge"].options == {"groups": 16}


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        ((0, 4, 4), {}, "sizes must be positive, got 0, 4, 4"),
        ((8, 4, 4), {"see": "colour"}, "unknown task 'colour': the tasks are channel, many"),
        ((8, 4, 4), {"see": ["place", "taste"]}, "unknown task 'taste'"),
    ],
)
def test_errors(arguments, options, message):
    with pytest.raises(ValueError, match=message):
        attnlib.suggest(*arguments, **options)


def test_it_reads_as_a_line():
    (one, *_) = attnlib.suggest(256, 14, 14, see="channel", max_parameters=10)
    assert str(one).startswith(f'create("{one.key}", C')
    assert "saw channel 100 %" in str(one)


def test_the_evidence_is_that_of_the_record():
    """`make sight` writes both."""
    assert json.loads(evidence.FILE.read_text("utf8")) == evidence.evidence()
