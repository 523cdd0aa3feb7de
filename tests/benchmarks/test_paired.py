"""Intervals of paired differences, compared with SciPy's own test and with what they promise."""

import numpy as np
import pytest
from scipy import stats

from benchmarks.paired import Interval, interval, verdict


@pytest.mark.parametrize("count", [2, 5, 10, 40])
@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.999])
def test_equals_scipys_paired_test(count, confidence):
    generator = np.random.default_rng(count)
    with_it, without = generator.normal(1.0, 2.0, (2, count))
    found = interval(list(with_it - without), confidence=confidence)
    test = stats.ttest_rel(with_it, without)
    expected = test.confidence_interval(confidence)
    assert found.mean == pytest.approx(np.mean(with_it) - np.mean(without))
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert found.p == pytest.approx(test.pvalue)


def test_read_together_each_is_as_wide_as_its_share_of_the_error():
    values = [0.3, -0.2, 0.8, 0.1]
    together, strict = interval(values, comparisons=34), interval(values, confidence=1 - 0.05 / 34)
    assert (together.low, together.high) == pytest.approx((strict.low, strict.high))
    alone = interval(values)
    assert together.low < alone.low < alone.mean < alone.high < together.high
    assert together.p == alone.p


def test_holds_what_it_promises():
    """Of many intervals around differences of mean zero, one in twenty misses zero ..."""
    generator = np.random.default_rng(0)
    families = generator.normal(0.0, 1.0, (150, 34, 10))
    alone = [not interval(list(v)).holds_zero() for v in families.reshape(-1, 10)[:3000]]
    assert np.mean(alone) == pytest.approx(0.05, abs=0.015)
    # ... and of families read together, one in twenty has any that misses it.
    missed = [
        any(not interval(list(v), comparisons=34).holds_zero() for v in family)
        for family in families
    ]
    assert np.mean(missed) == pytest.approx(0.05, abs=0.05)


def test_differences_that_are_all_the_same():
    assert interval([0.5, 0.5, 0.5]) == Interval(0.5, 0.5, 0.5, 0.0)
    assert interval([0.0, 0.0]) == Interval(0.0, 0.0, 0.0, 1.0)


def test_one_difference_is_refused():
    with pytest.raises(ValueError, match="two differences or more, got 1"):
        interval([0.5])


@pytest.mark.parametrize(
    ("alone", "together", "expected"),
    [
        ((-0.1, 0.5), (-0.4, 0.8), "noise"),
        ((0.1, 0.5), (-0.2, 0.8), "hint"),
        ((0.3, 0.7), (0.1, 0.9), "better"),
        ((-0.7, -0.3), (-0.9, -0.1), "worse"),
        ((0.0, 0.5), (-0.2, 0.8), "noise"),
    ],
)
def test_verdict(alone, together, expected):
    def of(ends):
        return Interval(sum(ends) / 2, *ends, 0.5)

    assert verdict(of(alone), of(together)) == expected
