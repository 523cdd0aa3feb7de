"""The stored outcome of the last ``make mutation``: enough is killed, and the rest is explained.

That it is of an earlier state of a test is no failure here; ``make mutation`` says so and runs it.
"""

import pytest

pytest.importorskip("yaml")
from mutation import report


@pytest.fixture(scope="module")
def found():
    return report.load()


def test_every_mechanism_was_tested(found):
    assert found
    assert set(found) == set(report.stems())


def test_the_numbers_add_up(found):
    for stem, entry in found.items():
        assert entry["mutants"] - entry["killed"] == len(entry["survivors"]), stem


def test_enough_is_killed(found):
    assert report.total(found).rate >= report.REQUIRED


def test_every_survivor_has_a_reason(found):
    open_ = [
        (stem, s["where"], s["line"], s["becomes"])
        for stem, entry in found.items()
        for s in entry["survivors"]
        if not s["reason"]
    ]
    assert open_ == []


def test_no_reason_without_a_survivor(found):
    """What is killed, or is no longer there, is not listed as equivalent."""
    for stem, entry in found.items():
        survivors = {(s["where"], s["line"], s["becomes"]) for s in entry["survivors"]}
        assert set(report.reasons(stem)) <= survivors, stem
