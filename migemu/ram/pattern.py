"""What generated guest pages hold: the same bytes for the same seed, whatever the machine or numpy version.

Pages are copies of a few thousand base pages, each stamped once in every 512 bytes with numbers of its own:
copying is the fastest way to fill memory, and the stamps make every page differ from every other, so that a
page put in the wrong place, or half of it, is seen.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import numpy.typing as npt

_CHUNK = 1024
"""Pages written at once: 4 MiB, which stays in the cache between copy and stamp."""

_STAMPED = np.arange(0, 512, 64)
"""The words of a page that are stamped."""

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MASK = (1 << 64) - 1


def mix(numbers: npt.NDArray[np.uint64]) -> npt.NDArray[np.uint64]:
    """SplitMix64's output function: numbers in, one to one, to numbers that look random."""
    z = (numbers + np.uint64(1)) * _GOLDEN
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def fill_pages(
    words: npt.NDArray[np.uint64], seed: int, zero_fraction: float, *, blank: bool = False
) -> None:
    """Write the pages of `seed` to `words`, shape (pages, 512).

    Args:
        words: the memory to fill.
        seed: any int.
        zero_fraction: 0..1, how likely each page is to be all zero.
        blank: the memory is known to be zero, so zero pages need not be touched.
    """
    base = mix(np.arange(_CHUNK * 512, dtype=np.uint64) + np.uint64(seed & _MASK)).reshape(_CHUNK, 512)
    for first in range(0, len(words), _CHUNK):
        chunk = words[first : first + _CHUNK]
        stamps = mix(np.arange(first, first + len(chunk), dtype=np.uint64) ^ mix(base[0, :1]))
        live = (stamps >> np.uint64(11)) * 2.0**-53 >= zero_fraction
        _write(chunk, base, live, blank=blank)
        rows = np.flatnonzero(live)
        chunk[rows[:, None], _STAMPED] = stamps[rows, None] + _STAMPED.astype(np.uint64)


def _write(
    chunk: npt.NDArray[np.uint64], base: npt.NDArray[np.uint64], live: npt.NDArray[np.bool_], *, blank: bool
) -> None:
    if live.all():
        chunk[:] = base[: len(chunk)]
        return
    chunk[live] = base[: len(chunk)][live]
    if not blank:
        chunk[~live] = 0
