from __future__ import annotations

import numpy as np
import pytest

from migemu.errors import UsageError
from migemu.observe.stats import Interval, median_interval, p95, ratio_interval


def test_the_interval_holds_the_true_median_nineteen_times_in_twenty() -> None:
    chance = np.random.default_rng(3)
    samples = [chance.lognormal(0, 0.5, 25) for _ in range(200)]
    held = [interval.low <= 1 <= interval.high for interval in (median_interval(list(s), 1) for s in samples)]
    assert 0.90 <= sum(held) / 200 <= 0.99


def test_the_same_seed_gives_the_same_interval_and_more_runs_a_narrower_one() -> None:
    chance = np.random.default_rng(5)
    few, many = list(chance.normal(100, 10, 10)), list(chance.normal(100, 10, 200))
    assert median_interval(few, 1) == median_interval(few, 1)
    (_, few_low, few_high), (_, low, high) = median_interval(few, 1), median_interval(many, 1)
    assert high - low < (few_high - few_low) / 2


def test_one_value_is_its_own_interval() -> None:
    assert median_interval([4.0], 1) == (4.0, 4.0, 4.0)


def test_a_ratio_is_of_medians_and_its_interval_is_wider_than_either() -> None:
    fast, slow = [1.0, 1.1, 0.9, 1.05, 0.95], [2.0, 2.2, 1.8, 2.1, 1.9]
    ratio = ratio_interval(slow, fast, 1)
    assert ratio.median == pytest.approx(2.0)
    assert ratio.low < 2.0 < ratio.high
    assert ratio.low > 1.6
    assert ratio.high < 2.5


def test_a_base_that_is_sometimes_zero_still_has_a_ratio() -> None:
    low, high = ratio_interval([1.0, 2.0], [0.0, 1.0, 1.0], 1)[1:]
    assert np.isfinite([low, high]).all()


def test_p95_lies_between_neighbours() -> None:
    assert p95(range(101)) == 95.0
    assert p95([1.0, 2.0]) == pytest.approx(1.95)


def test_overlap_is_what_cannot_be_told_apart() -> None:
    near, far = Interval(2, 1, 3), Interval(9, 8, 10)
    assert near.overlaps(Interval(4, 3, 5))
    assert not near.overlaps(far)
    assert not far.overlaps(near)


def test_nothing_has_no_median() -> None:
    for call in (lambda: median_interval([], 1), lambda: p95([]), lambda: ratio_interval([], [1], 1)):
        with pytest.raises(UsageError, match="no values"):
            call()
    with pytest.raises(UsageError, match="median is 0"):
        ratio_interval([1], [0], 1)
