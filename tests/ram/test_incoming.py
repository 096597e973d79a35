"""Packets become memory: every page where it belongs, nothing elsewhere, and a digest of what is there."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pytest

from migemu.errors import WireError
from migemu.ram import PAGE_SIZE, GuestRam, PageDigests, RamLoad, batches, full_digest
from migemu.wire.buffers import Buffer
from migemu.wire.multifd import NO_OFFSETS, SYNC, ZLIB, RamPacket, ram_packet, sync_packet

if TYPE_CHECKING:
    from migemu.threads.native import NativeThreads
    from migemu.wire.buffers import HeapPool

BLOCKS = [("pc.ram", 8 * PAGE_SIZE), ("pc.rom", 2 * PAGE_SIZE)]


class Target:
    """A destination's RAM."""

    def __init__(self, blocks: list[tuple[str, int]] = BLOCKS) -> None:
        self.ram = GuestRam(blocks)
        self.digests = PageDigests(len(self.ram.pages), "destination")
        self.load = RamLoad(self.ram, self.digests)


def packet(
    normal: list[int],
    zero: tuple[int, ...] = (),
    *,
    block: str = "pc.ram",
    fill: int = 7,
    size: int = PAGE_SIZE,
) -> RamPacket:
    """Pages numbered as in the block, all bytes `fill`."""
    data = Buffer.copy_of(bytes([fill]) * (size * len(normal))) if normal else None
    offsets = [np.array(pages, np.uint64) * np.uint64(PAGE_SIZE) for pages in (normal, list(zero))]
    return ram_packet(block, offsets[0], offsets[1], 0, data)


def test_pages_land_where_their_offsets_say() -> None:
    target = Target()
    target.load.apply(packet([6, 1, 2], fill=3))
    target.load.apply(packet([1], block="pc.rom", fill=4))
    assert target.ram.pages[:, 0].tolist() == [0, 3, 3, 0, 0, 0, 3, 0, 0, 4]
    assert target.digests.unseen().tolist() == [0, 3, 4, 5, 7, 8]


def test_each_page_gets_its_own_bytes() -> None:
    target = Target()
    data = np.random.default_rng(1).integers(0, 256, (3, PAGE_SIZE), np.uint8)
    target.load.place("pc.ram", [PAGE_SIZE * 5, 0, PAGE_SIZE], memoryview(data.tobytes()))
    assert np.array_equal(target.ram.pages[[5, 0, 1]], data)


def test_a_page_that_became_zero_is_zeroed() -> None:
    target = Target()
    target.load.apply(packet([2, 3]))
    target.load.apply(packet([], (2, 4)))
    assert target.ram.pages[:5, 0].tolist() == [0, 0, 0, 7, 0]
    assert target.digests.unseen().tolist() == [0, 1, 5, 6, 7, 8, 9]


def test_ram_that_was_not_blank_is_zeroed_too() -> None:
    target = Target()
    target.ram.fill(seed=1)
    load = RamLoad(target.ram, target.digests)
    load.apply(packet([], (0,)))
    load.zero_page("pc.ram", PAGE_SIZE)
    assert not target.ram.pages[:2].any()
    assert target.ram.pages[2:].any(axis=1).all()


@pytest.mark.parametrize(
    ("bad", "says"),
    [
        (packet([1], block="pc.bios"), "unknown ram block pc.bios; this side has pc.ram, pc.rom"),
        (packet([1, 8]), r"ram block pc.ram: offset too long 0x8000 \(max 0x7000\)"),
        (packet([1], (2,), block="pc.rom"), r"ram block pc.rom: offset too long 0x2000 \(max 0x1000\)"),
        (packet([1, 2**52 - 1]), "offset too long 0xfffffffffffff000"),
        (packet([1, 2], size=PAGE_SIZE - 1), "8190 bytes for 2 pages"),
        (packet([1])._replace(pages=None), "0 bytes for 1 pages"),
        (packet([1])._replace(normal=np.array([1], np.uint64)), "offset 0x1 is not at a page"),
        (packet([1])._replace(page_size=65536), "pages of 65536 bytes, expected 4096"),
        (packet([1])._replace(flags=ZLIB), r"compressed pages \(flags 0x2\)"),
    ],
)
def test_a_packet_that_cannot_be_right_changes_nothing(bad: RamPacket, says: str) -> None:
    target = Target()
    target.load.apply(packet([1, 2, 3], fill=5))
    before, digest = full_digest(target.ram), target.digests.digest()
    with pytest.raises(WireError, match=says):
        target.load.apply(bad)
    assert (full_digest(target.ram), target.digests.digest()) == (before, digest)


def test_a_sync_is_no_page_even_with_a_stale_block_in_it() -> None:
    target = Target()
    target.load.apply(sync_packet(3))
    target.load.apply(RamPacket(SYNC, "stale", PAGE_SIZE, NO_OFFSETS, NO_OFFSETS, 3, 128, 4096, None))
    assert len(target.digests.unseen()) == 10


def test_the_main_channel_brings_pages_one_by_one() -> None:
    one, many = Target(), Target()
    many.load.apply(packet([2, 3], (4, 5)))
    many.load.apply(packet([], (3,)))
    many.load.apply(packet([1], block="pc.rom"))
    for page in (2, 3):
        one.load.page("pc.ram", page * PAGE_SIZE, memoryview(bytes([7]) * PAGE_SIZE))
    one.load.page("pc.rom", PAGE_SIZE, memoryview(bytes([7]) * PAGE_SIZE))
    for page in (4, 5, 3):
        one.load.zero_page("pc.ram", page * PAGE_SIZE)
    assert one.digests.digest() == many.digests.digest()
    assert full_digest(one.ram) == full_digest(many.ram)


@pytest.mark.parametrize(
    ("block", "offset", "size"), [("x", 0, 4096), ("pc.rom", 8192, 4096), ("pc.rom", 0, 4095)]
)
def test_a_single_page_is_checked_as_well(block: str, offset: int, size: int) -> None:
    target = Target()
    with pytest.raises(WireError):
        target.load.page(block, offset, memoryview(bytes(size)))
    with pytest.raises(WireError, match="not at a page"):
        target.load.zero_page("pc.ram", 100)
    assert len(target.digests.unseen()) == 10


def test_a_block_of_nothing_takes_nothing() -> None:
    with pytest.raises(WireError, match=r"offset too long 0x0 \(max 0x0\)"):
        Target([("pc.ram", 0)]).load.apply(packet([], (0,)))


def test_the_digest_is_of_the_page_that_stayed() -> None:
    # The same page twice in one packet stands for a lost barrier: the later copy stays.
    target, other = Target(), Target()
    data = bytes([1]) * PAGE_SIZE + bytes([2]) * PAGE_SIZE
    target.load.place("pc.ram", [0, 0], memoryview(data))
    other.load.page("pc.ram", 0, memoryview(target.ram.pages[0]))
    assert target.digests.digest() == other.digests.digest()


def test_channels_place_different_pages_at_the_same_time(threads: NativeThreads, pool: HeapPool) -> None:
    source = GuestRam.of_size(32 << 20)
    source.fill(seed=2, zero_fraction=0.2)
    sent = PageDigests(len(source.pages), "source")
    packets = list(batches(source, np.arange(len(source.pages)), sent, pool))
    target = Target([("pc.ram", source.size)])

    def channel(number: int) -> None:
        for batch in packets[number::4]:
            target.load.apply(batch.packet(0))

    channels = [threads.spawn(f"multifd {number}", partial(channel, number)) for number in range(4)]
    assert all(thread.join(30) for thread in channels)
    assert target.digests.digest() == sent.digest()
    assert full_digest(target.ram) == full_digest(source)
