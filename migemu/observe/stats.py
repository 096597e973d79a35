"""Medians with intervals: what repeated measurements say, and how sure that is."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from migemu.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

LEVEL = 0.95
RESAMPLES = 4000
"""Enough that the interval's ends move by less than a hundredth of its width from seed to seed."""


class Interval(NamedTuple):
    """An estimate and the interval that holds it with 95 % confidence."""

    median: float
    low: float
    high: float

    def overlaps(self, other: Interval) -> bool:
        """Whether the two cannot be told apart by their intervals."""
        return self.low <= other.high and other.low <= self.high


def median_interval(values: Sequence[float], seed: int) -> Interval:
    """The median and its percentile-bootstrap interval.

    One value is its own interval: nothing is known of its spread.

    Raises:
        UsageError: there are no values.
    """
    sample = _sample(values)
    medians = _medians(sample, np.random.default_rng(seed))
    return Interval(float(np.median(sample)), *_ends(medians))


def ratio_interval(values: Sequence[float], base: Sequence[float], seed: int) -> Interval:
    """The ratio of two medians and its interval, from independent resamples of both.

    Raises:
        UsageError: one of the two has no values, or the base's median is zero.
    """
    above, below = _sample(values), _sample(base)
    if np.median(below) == 0:
        raise UsageError("no ratio can be formed to a base whose median is 0")
    chance = np.random.default_rng(seed)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = _medians(above, chance) / _medians(below, chance)
    ratio = float(np.median(above) / np.median(below))
    return Interval(ratio, *_ends(ratios[np.isfinite(ratios)]))


def p95(values: Sequence[float]) -> float:
    """The 95th percentile, between neighbours by their distance.

    Raises:
        UsageError: there are no values.
    """
    return float(np.percentile(_sample(values), 95))


def _sample(values: Sequence[float]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    if not len(values):
        raise UsageError("there are no values to take a median of")
    return np.asarray(values, dtype=np.float64).reshape(-1)


def _medians(
    sample: np.ndarray[tuple[int], np.dtype[np.float64]], chance: np.random.Generator
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Medians of resamples with replacement."""
    drawn = chance.integers(0, len(sample), size=(RESAMPLES, len(sample)))
    medians: np.ndarray[tuple[int], np.dtype[np.float64]] = np.median(sample[drawn], axis=1)
    return medians


def _ends(medians: np.ndarray[tuple[int], np.dtype[np.float64]]) -> tuple[float, float]:
    tail = 50 * (1 - LEVEL)
    low, high = np.percentile(medians, [tail, 100 - tail])
    return float(low), float(high)
