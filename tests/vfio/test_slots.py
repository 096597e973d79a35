"""The rules of one device's slots: rows K of the table of real QEMU, and what QEMU does not check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migemu.errors import InvariantError, LimitError, MigemuError, WireError
from migemu.vfio.content import Loose
from migemu.vfio.slots import BufferLimits, Slots

if TYPE_CHECKING:
    from collections.abc import Callable

NAME = "0000:00:01.0/vfio"


def fresh(*, on_multifd: bool = True, **limits: int) -> Slots:
    return Slots(NAME, BufferLimits(**limits), config_on_multifd=on_multifd)


def put(slots: Slots, idx: int, size: int = 10, *, config: bool = False, version: int = 0) -> None:
    slots.put(idx, Loose(memoryview(bytes(size))), size, is_config=config, version=version)


def load(slots: Slots) -> list[int]:
    """Write everything whose turn has come."""
    loaded = []
    while slots.turn_come():
        item = slots.take()
        slots.settle(item)
        loaded.append(item.idx)
    return loaded


def config_at_3(slots: Slots) -> None:
    put(slots, 3, config=True)


def loaded_two(slots: Slots) -> None:
    put(slots, 0)
    put(slots, 1)
    load(slots)


REFUSED: list[tuple[str, Callable[[Slots], None], dict[str, object], str]] = [
    ("K4 duplicate, queued", lambda s: put(s, 5), {"idx": 5}, "queued already"),
    ("K5 duplicate, loaded", loaded_two, {"idx": 1}, "loaded already"),
    ("K11 version", lambda _: None, {"idx": 0, "version": 1}, "unknown version 1"),
    ("K12 idx ffffffff", lambda _: None, {"idx": 0xFFFFFFFF}, "invalid idx"),
    (
        "K14 config flag on an earlier packet",
        lambda s: put(s, 5),
        {"idx": 2, "config": True},
        "below data buffer 5",
    ),
    ("config below what is loaded", loaded_two, {"idx": 0, "config": True}, "loaded already"),
    ("config at a queued idx", lambda s: put(s, 5), {"idx": 5, "config": True}, "queued already"),
    ("K15 idx past the config", config_at_3, {"idx": 4}, "not below the config packet, idx 3"),
    ("data at the config's idx", config_at_3, {"idx": 3}, "not below the config packet, idx 3"),
    ("second config", config_at_3, {"idx": 7, "config": True}, "second config packet, the first had idx 3"),
]


@pytest.mark.parametrize(
    ("before", "packet", "reason"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_packet_without_a_place_is_refused(
    before: Callable[[Slots], None], packet: dict[str, int], reason: str
) -> None:
    slots = fresh()
    before(slots)
    held = slots.stats.queued_bytes
    with pytest.raises(WireError, match=reason) as caught:
        put(slots, **packet)  # type: ignore[arg-type]  # a row of the table
    assert (caught.value.device, caught.value.idx) == (NAME, packet["idx"])
    assert slots.stats.queued_bytes == held


def test_k17_an_empty_buffer_is_a_buffer() -> None:
    slots = fresh()
    put(slots, 0, size=0)
    assert load(slots) == [0]


def test_an_idx_too_far_ahead_meets_a_named_limit_and_grows_nothing() -> None:
    slots = fresh(slots=100)
    loaded_two(slots)
    put(slots, 101)
    for idx in (102, 2**32 - 2):
        with pytest.raises(LimitError, match="slots_per_device is 100") as caught:
            put(slots, idx)
        assert caught.value.limit == "slots_per_device"
    with pytest.raises(LimitError):
        put(slots, 5000, config=True)


def test_the_cap_counts_what_is_being_written_too() -> None:
    slots = fresh(queue_bytes=25)
    put(slots, 0)
    item = slots.take()
    put(slots, 2)
    with pytest.raises(
        LimitError, match=r"10 bytes more would exceed queue_per_device = 25: 20 are queued, idx 1"
    ):
        put(slots, 1)
    slots.settle(item)
    put(slots, 1)
    assert (slots.stats.queued_bytes, slots.stats.peak_bytes) == (20, 20)
    put(slots, 3, size=5)
    assert slots.stats.queued_bytes == 25, "what fits exactly fits"


def test_where_the_config_comes_over_the_main_channel_the_end_is_told() -> None:
    slots = fresh(on_multifd=False)
    with pytest.raises(WireError, match="sends it on the main channel"):
        put(slots, 0, config=True)
    put(slots, 2)
    for count in (2, 2**32):
        with pytest.raises(WireError, match=f"told of {count} data buffers, but idx 2"):
            slots.set_end(count)
    slots.set_end(4)
    slots.set_end(4)
    with pytest.raises(WireError, match="after 4 were told"):
        slots.set_end(5)
    with pytest.raises(WireError, match="not below the end of the data, idx 4"):
        put(slots, 4)
    with pytest.raises(WireError, match="the config packet says it"):
        fresh().set_end(1)
    fresh(on_multifd=False).set_end(2**32 - 1)  # as many as there are indices


def test_the_config_is_handed_out_after_the_last_buffer_is_written() -> None:
    slots = fresh()
    put(slots, 1, config=True)
    put(slots, 0)
    item = slots.take()
    for _ in range(2):
        with pytest.raises(InvariantError, match="config-last"):
            slots.take_config()
    slots.settle(item)
    config = slots.take_config()
    slots.settle(config)
    assert (config.idx, slots.stats.queued_bytes, slots.stats.loaded) == (1, 0, 1)


@pytest.mark.parametrize(
    ("put_in", "missing"),
    [
        ([], "the config packet"),
        ([0, 1], "the config packet"),
        ([0, 2], "data buffer 1"),
        ([5], "data buffer 0"),
    ],
)
def test_what_is_missing_is_named(put_in: list[int], missing: str) -> None:
    slots = fresh()
    for idx in put_in:
        put(slots, idx)
    load(slots)
    assert slots.missing() == missing


def test_nothing_is_missing_while_a_buffer_is_written_or_can_be() -> None:
    slots = fresh()
    put(slots, 0)
    assert slots.missing() is None
    item = slots.take()
    put(slots, 1)
    assert slots.missing() is None, "idx 1 is here, and waits for idx 0 to be written"
    slots.settle(item)
    assert slots.missing() is None


@given(st.permutations(range(8)), st.integers(0, 8))
def test_any_order_of_arrival_loads_by_idx_each_once(order: list[int], pause: int) -> None:
    slots = fresh()
    loaded = []
    for number, idx in enumerate(order):
        put(slots, idx, config=idx == 7)
        if number != pause:
            loaded += load(slots)
    loaded += load(slots)
    assert loaded == list(range(7))
    assert slots.complete
    assert slots.missing() is None
    assert slots.take_config().idx == 7


@given(
    st.lists(st.tuples(st.integers(0, 6), st.booleans(), st.integers(0, 3)), max_size=12),
)
def test_whatever_a_peer_sends_is_refused_or_loaded_in_order(packets: list[tuple[int, bool, int]]) -> None:
    slots = fresh(queue_bytes=8, slots=5)
    loaded: list[int] = []
    for idx, is_config, size in packets:
        try:
            put(slots, idx, size, config=is_config)
        except MigemuError:
            break
        loaded += load(slots)
        assert slots.stats.queued_bytes <= 8
    assert loaded == list(range(len(loaded)))
    dropped = slots.drop()
    assert slots.stats.queued_bytes == 0
    assert len(dropped) == slots.stats.received - len(loaded)
