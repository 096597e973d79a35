"""A guest's memory migrates while the guest writes to it; the proof holds, and fails when it should."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from migemu.ram import (
    PAGE_SIZE,
    DirtyLog,
    Estimator,
    GuestRam,
    PageDigests,
    Pending,
    RamLoad,
    Reason,
    Writer,
    batches,
    full_digest,
)
from migemu.threads.native import NativeThreads
from migemu.wire.buffers import HeapPool

if TYPE_CHECKING:
    import random
    from collections.abc import Callable

    import numpy.typing as npt

    from migemu.ram import RamBatch


class Migration:
    """Both sides' memory, and a wire that delivers at once."""

    def __init__(self, pages: int, zero_fraction: float = 0.2) -> None:
        self.threads = NativeThreads()
        self.pool = HeapPool()
        self.source, self.target = (GuestRam.of_size(pages * PAGE_SIZE) for _ in range(2))
        self.source.fill(seed=1, zero_fraction=zero_fraction)
        self.dirty = DirtyLog(pages, self.threads)
        self.sent, self.placed = PageDigests(pages, "source"), PageDigests(pages, "destination")
        self.load = RamLoad(self.target, self.placed)

    def round(self, deliver: Callable[[list[RamBatch]], list[RamBatch]] = lambda sent: sent) -> int:
        """One pass over what is dirty; the pages' bytes."""
        found = list(batches(self.source, self.dirty.fetch_and_clear(), self.sent, self.pool))
        for batch in deliver(found):
            self.load.apply(batch.packet(0))
            if batch.pages is not None:
                batch.pages.release()
        return sum(len(batch.normal) for batch in found) * PAGE_SIZE

    def verified(self) -> tuple[bool, bool]:
        """Whether the page digests agree, and whether all memory does."""
        return (
            self.sent.digest() == self.placed.digest(),
            full_digest(self.source) == full_digest(self.target),
        )


def test_memory_arrives_while_it_is_written() -> None:
    migration = Migration(4096)
    writer = Writer(migration.threads, migration.source, migration.dirty, 400 << 20, 8 << 20, seed=2)
    estimator = Estimator(downtime_limit=0.002, max_rounds=30)
    writer.start()
    while True:
        started = migration.threads.now()
        sent = migration.round()
        estimator.round(sent, migration.threads.now() - started)
        if estimator.decide([Pending.of_ram(migration.dirty.count() * PAGE_SIZE)]).switch:
            break
    writer.stop()
    migration.round()
    assert writer.written > 0
    assert migration.dirty.count() == 0
    assert migration.verified() == (True, True)


def test_a_write_that_was_not_marked_shows_only_in_the_full_digest() -> None:
    migration = Migration(64)
    migration.round()
    migration.source.pages[5] += 1
    assert migration.verified() == (True, False)


def test_a_packet_that_got_lost_shows() -> None:
    migration = Migration(300)
    migration.round(lambda sent: sent[1:])
    assert migration.verified() == (False, False)


def test_an_older_copy_over_a_newer_one_shows() -> None:
    # What barriers prevent: a page of one round lands after the same page of the next.
    migration = Migration(8, zero_fraction=0)
    late: list[RamBatch] = []
    migration.round(lambda sent: late.extend(sent) or [])  # type: ignore[func-returns-value]  # keeps them back
    migration.source.pages[3] += 1
    migration.dirty.mark(np.array([3]))
    migration.round(lambda sent: sent + late)
    assert migration.verified() == (False, False)


WRITES = st.lists(st.tuples(st.sets(st.integers(0, 29)), st.booleans()), max_size=6)


@settings(deadline=None)
@given(WRITES, st.randoms(use_true_random=False))
def test_whatever_is_written_between_rounds_both_sides_end_alike(
    rounds: list[tuple[set[int], bool]], order: random.Random
) -> None:
    migration = Migration(30)

    def shuffled(sent: list[RamBatch]) -> list[RamBatch]:
        order.shuffle(sent)
        return sent

    migration.round(shuffled)
    for number, (pages, to_zero) in enumerate(rounds):
        written: npt.NDArray[np.int64] = np.array(sorted(pages), np.int64)
        migration.source.pages[written] = 0 if to_zero else number + 1
        migration.dirty.mark(written)
        migration.round(shuffled)
    assert migration.verified() == (True, True)


def test_a_guest_that_outruns_the_link_is_stopped_in_the_end() -> None:
    estimator = Estimator(downtime_limit=0.1, max_rounds=5)
    dirty = Pending.of_ram(500 << 20)
    for _ in range(4):
        estimator.round(500 << 20, 0.5)
        assert not estimator.decide([dirty]).switch
    estimator.round(500 << 20, 0.5)
    assert estimator.decide([dirty]).reason is Reason.MAX_ROUNDS
