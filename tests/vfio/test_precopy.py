"""The amount of pre-copy data: what is dirtied, read, dirtied again."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migemu.vfio.precopy import PrecopyStream


def test_initial_bytes_come_first_and_are_not_mixed_with_others() -> None:
    stream = PrecopyStream(initial=100, dirtiable=50, dirty_rate=0.0)
    assert (stream.left(0.0), stream.next_size(0.0, 1000)) == (150, 100)
    stream.read(60)
    assert (stream.initial_left, stream.next_size(0.0, 1000)) == (40, 40)
    stream.read(40)
    assert (stream.offset, stream.next_size(0.0, 30)) == (100, 30)


def test_dirtying_starts_and_stops_with_tracking() -> None:
    stream = PrecopyStream(initial=0, dirtiable=1000, dirty_rate=10.0)
    stream.read(1000)
    assert stream.left(50.0) == 0, "not tracked yet"
    stream.track(50.0)
    assert stream.left(53.0) == 30
    stream.freeze(54.0)
    assert stream.left(900.0) == 40
    stream.track(1000.0)
    assert stream.left(1001.0) == 50


def test_slow_dirtying_is_not_lost_to_rounding() -> None:
    stream = PrecopyStream(initial=0, dirtiable=1000, dirty_rate=0.3)
    stream.read(1000)
    stream.track(0.0)
    assert sum(stream.dirty_left(second / 10) for second in range(20)) == 0
    assert stream.dirty_left(100.0) == pytest.approx(30, abs=1)


@given(
    steps=st.lists(st.tuples(st.floats(0, 5), st.integers(0, 400)), max_size=20),
    rate=st.floats(0, 500),
    size=st.integers(0, 1000),
)
def test_never_more_left_than_there_is_and_nothing_read_that_was_not_there(
    steps: list[tuple[float, int]], rate: float, size: int
) -> None:
    stream = PrecopyStream(initial=7, dirtiable=size, dirty_rate=rate)
    stream.track(0.0)
    now = 0.0
    for elapsed, limit in steps:
        now += elapsed
        before = stream.left(now)
        piece = stream.next_size(now, limit)
        assert 0 <= piece <= min(limit, before)
        stream.read(piece)
        assert stream.left(now) == before - piece
        assert 0 <= stream.left(now) <= size + 7
    assert stream.offset <= 7 + size + rate * now + 1
