"""Dirty pages become packets: one copy of each, at most 128 in one, of one block, zero pages told apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from migemu.ram import PAGE_SIZE, GuestRam, PageDigests, RamBatch, batches, outgoing
from migemu.ram.digest import ZERO_PAGE_HASH, hash_page
from migemu.wire.buffers import Buffer, HeapPool
from migemu.wire.multifd import encode_ram_header, ram_header_size

if TYPE_CHECKING:
    import numpy.typing as npt
    import pytest


class CountingPool:
    """A pool that knows what is on loan."""

    def __init__(self) -> None:
        self.on_loan = 0

    def take(self, size: int) -> Buffer:
        self.on_loan += 1
        return Buffer(memoryview(bytearray(size)), self._back)

    def _back(self) -> None:
        self.on_loan -= 1


def filled(pages: int = 300, zero: npt.NDArray[np.int64] | None = None) -> tuple[GuestRam, PageDigests]:
    ram = GuestRam.of_size(pages * PAGE_SIZE)
    ram.fill(seed=1)
    if zero is not None:
        ram.pages[zero] = 0
    return ram, PageDigests(pages, "source")


def content(batch: RamBatch) -> npt.NDArray[np.uint8]:
    """The bytes of the normal pages as (n, 4096)."""
    data = batch.pages.view if batch.pages is not None else b""
    return np.frombuffer(data, np.uint8).reshape(-1, PAGE_SIZE)


def test_pages_go_in_order_in_packets_of_128(pool: HeapPool) -> None:
    ram, digests = filled()
    sent = list(batches(ram, np.arange(300), digests, pool))
    assert [len(batch.normal) for batch in sent] == [128, 128, 44]
    assert np.array_equal(np.concatenate([batch.normal for batch in sent]), np.arange(300))
    assert np.array_equal(np.concatenate([content(batch) for batch in sent]), ram.pages)


def test_only_the_pages_asked_for_are_sent(pool: HeapPool) -> None:
    ram, digests = filled()
    (batch,) = batches(ram, np.array([3, 17, 299]), digests, pool)
    assert batch.normal_offsets.tolist() == [3 * PAGE_SIZE, 17 * PAGE_SIZE, 299 * PAGE_SIZE]
    assert np.array_equal(content(batch), ram.pages[[3, 17, 299]])
    assert len(digests.unseen()) == 297
    assert list(batches(ram, np.array([], np.int64), digests, pool)) == []


@settings(deadline=None)
@given(st.sets(st.integers(0, 39)), st.sets(st.integers(0, 39), min_size=1), st.integers(1, 128))
def test_every_page_is_normal_or_zero_and_says_so_truly(
    zero: set[int], asked: set[int], per_packet: int
) -> None:
    ram, digests = filled(40, np.array(sorted(zero), np.int64))
    pool = CountingPool()
    normal_seen: set[int] = set()
    zero_seen: set[int] = set()
    for batch in batches(ram, np.array(sorted(asked)), digests, pool, per_packet):
        assert 0 < len(batch.normal) + len(batch.zero) <= per_packet
        assert np.array_equal(content(batch), ram.pages[batch.normal])
        normal_seen.update(batch.normal.tolist())
        zero_seen.update(batch.zero.tolist())
        if batch.pages is not None:
            batch.pages.release()
    assert (normal_seen, zero_seen) == (asked - zero, asked & zero)
    assert pool.on_loan == 0
    assert all(digests.values[page] == hash_page(memoryview(ram.pages[page])) for page in asked)


def test_a_page_that_only_hashes_like_zero_is_sent_with_its_bytes(
    monkeypatch: pytest.MonkeyPatch, pool: HeapPool
) -> None:
    ram, digests = filled(4)
    monkeypatch.setattr(outgoing, "ZERO_PAGE_HASH", hash_page(memoryview(ram.pages[2])))
    (batch,) = batches(ram, np.arange(4), digests, pool)
    assert batch.normal.tolist() == [0, 1, 2, 3]
    assert batch.zero.size == 0


def test_what_the_guest_writes_after_the_copy_is_not_in_it(pool: HeapPool) -> None:
    ram, digests = filled(130)
    packets = batches(ram, np.arange(130), digests, pool)
    first = next(packets)
    before = content(first).copy()
    ram.pages[0] = 0
    ram.pages[129] = 0
    second = next(packets)
    assert np.array_equal(content(first), before)
    assert first.zero.size == 0
    assert second.zero.tolist() == [129], "the second packet was gathered before it was asked for"
    assert digests.values[0] == hash_page(memoryview(before[0]))
    assert digests.values[129] == ZERO_PAGE_HASH


def test_a_packet_never_mixes_blocks(pool: HeapPool) -> None:
    ram = GuestRam([("pc.ram", 3 * PAGE_SIZE), ("none", 0), ("pc.rom", 2 * PAGE_SIZE)])
    ram.fill(seed=1)
    digests = PageDigests(5, "source")
    sent = list(batches(ram, np.array([1, 2, 3, 4]), digests, pool))
    assert [(batch.block.id, batch.normal_offsets.tolist()) for batch in sent] == [
        ("pc.ram", [PAGE_SIZE, 2 * PAGE_SIZE]),
        ("pc.rom", [0, PAGE_SIZE]),
    ]


def test_a_batch_is_a_packet_of_the_wire(pool: HeapPool) -> None:
    ram, digests = filled(130, np.array([1, 5]))
    (batch,) = batches(ram, np.arange(128), digests, pool)
    packet = batch.packet(77)
    assert (packet.block, packet.packet_num, packet.next_packet_size) == ("pc.ram", 77, 126 * PAGE_SIZE)
    assert packet.zero.tolist() == [PAGE_SIZE, 5 * PAGE_SIZE]
    assert packet.pages is not None
    assert len(packet.pages) == 126 * PAGE_SIZE
    assert len(encode_ram_header(packet)) == ram_header_size()


def test_a_batch_of_zero_pages_holds_no_buffer() -> None:
    ram, digests = filled(8, np.arange(8))
    pool = CountingPool()
    (batch,) = batches(ram, np.arange(8), digests, pool)
    assert batch.pages is None
    assert batch.packet(0).pages is None
    assert batch.zero.tolist() == list(range(8))
    assert pool.on_loan == 0
