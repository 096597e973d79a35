"""Where bytes are put: the choice between landing and straight in, without any format."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.errors import LimitError
from migemu.wire.intake import LANDING_SIZE, ROOM, STRAIGHT_FROM, Intake

if TYPE_CHECKING:
    from migemu.wire.buffers import Buffer, HeapPool

WINDOW = 100


def put(intake: Intake, data: bytes) -> None:
    room = intake.get_buffer()
    room[: len(data)] = data
    intake.received(len(data))


@pytest.fixture
def intake(pool: HeapPool) -> Intake:
    return Intake(pool, WINDOW)


def test_bytes_land_and_are_taken_in_order(intake: Intake) -> None:
    put(intake, b"\x01\x00\x02rest")
    assert intake.waiting() == 7
    assert intake.peek(2) == 2
    assert intake.take_int(1) == 1
    assert intake.take_int(2) == 2
    assert intake.take(4) == b"rest"
    assert intake.empty()
    assert intake.total == 7


def test_a_small_payload_waits_until_it_has_landed(intake: Intake) -> None:
    put(intake, b"abc")
    assert intake.payload(5) is None
    put(intake, b"de-next")
    payload = intake.payload(5)
    assert payload is not None
    assert bytes(payload.view) == b"abcde"
    assert intake.take(5) == b"-next"


def test_a_small_payload_outlives_the_landing_area(intake: Intake) -> None:
    kept: list[Buffer] = []
    for number in range(200):
        put(intake, bytes([number]) * 10_000)
        payload = intake.payload(10_000)
        assert payload is not None
        kept.append(payload)
    assert all(bytes(payload.view) == bytes([number]) * 10_000 for number, payload in enumerate(kept))


def test_what_has_landed_of_a_large_payload_moves_with_it(intake: Intake) -> None:
    put(intake, b"head")
    assert intake.payload(STRAIGHT_FROM) is None
    room = intake.get_buffer()
    assert len(room) == STRAIGHT_FROM - 4
    room[:] = b"t" * len(room)
    intake.received(len(room))
    payload = intake.payload(STRAIGHT_FROM)
    assert payload is not None
    assert bytes(payload.view[:6]) == b"headtt"
    assert intake.empty()


def test_a_large_payload_that_has_landed_whole_leaves_what_follows_it(intake: Intake) -> None:
    put(intake, b"p" * STRAIGHT_FROM + b"next")
    payload = intake.payload(STRAIGHT_FROM)
    assert payload is not None
    assert set(payload.view) == {ord("p")}
    assert intake.take(4) == b"next"


def test_the_window_is_a_hint_and_never_a_wall(intake: Intake) -> None:
    put(intake, b"p" * STRAIGHT_FROM)
    intake.payload(STRAIGHT_FROM)
    assert len(intake.get_buffer()) == WINDOW
    put(intake, b"h" * WINDOW)
    assert len(intake.get_buffer()) > ROOM  # a header larger than expected: all the room there is


def test_there_is_always_room_while_the_parser_consumes(intake: Intake) -> None:
    for _ in range(100):
        room = intake.get_buffer()
        assert len(room) >= ROOM
        intake.received(len(room))
        intake.start = intake.end - 1000  # a parser that always leaves the beginning of something


def test_there_is_an_end_to_what_nobody_consumes(intake: Intake) -> None:
    while intake.waiting() < LANDING_SIZE:
        intake.received(len(intake.get_buffer()))
    with pytest.raises(LimitError, match="stop reading while parked or blocked"):
        intake.get_buffer()


def test_nothing_is_held_before_the_first_byte_nor_after_closing(intake: Intake, pool: HeapPool) -> None:
    assert pool.free_bytes() == 0
    put(intake, b"x")
    intake.payload(1 << 20)
    intake.close()
    intake.close()
    assert pool.free_bytes() == LANDING_SIZE + (1 << 20)
    assert intake.empty()
