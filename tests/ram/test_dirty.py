"""The dirty log keeps every mark, whoever makes it and whenever."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from migemu.ram import DirtyLog
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    import numpy.typing as npt

PAGES = 40
MARKS = st.lists(st.lists(st.integers(0, PAGES - 1)) | st.none(), max_size=20)


def test_at_first_every_page_has_to_be_sent(threads: NativeThreads) -> None:
    log = DirtyLog(5, threads)
    assert log.count() == 5
    assert log.fetch_and_clear().tolist() == [0, 1, 2, 3, 4]
    assert log.count() == 0
    log.mark_all()
    assert log.count() == 5


@settings(deadline=None)
@given(MARKS)
def test_a_fetch_brings_what_was_marked_since_the_last_one(steps: list[list[int] | None]) -> None:
    log = DirtyLog(PAGES, NativeThreads())
    expected = set(range(PAGES))
    for step in steps:
        if step is None:
            assert log.fetch_and_clear().tolist() == sorted(expected)
            expected.clear()
        else:
            log.mark(np.array(step, np.int64))
            expected.update(step)
        assert log.count() == len(expected)


def test_no_mark_is_lost_between_writers_and_fetches(threads: NativeThreads) -> None:
    # Each writer marks each of its pages once: all have to come out, each once.
    pages = 1 << 16
    log = DirtyLog(pages, threads)
    log.fetch_and_clear()

    def mark(first: int) -> None:
        for at in range(first, pages, 512):
            log.mark(np.arange(at, at + 256))

    writers = [threads.spawn(f"writer {first}", partial(mark, first)) for first in (0, 256)]
    fetched: list[npt.NDArray[np.int64]] = []
    while any(writer.alive() for writer in writers):
        fetched.append(log.fetch_and_clear())
    fetched.append(log.fetch_and_clear())
    assert np.array_equal(np.sort(np.concatenate(fetched)), np.arange(pages))
