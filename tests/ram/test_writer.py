"""The guest's writer: its rate, its working set, the order of write and mark, and that stop means stop."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from migemu.errors import MigemuError
from migemu.ram import PAGE_SIZE, DirtyLog, GuestRam, Writer, full_digest
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy.typing as npt

    from migemu.threads.api import Condition, Lock, Thread

MIB = 1 << 20


class SteppedCondition:
    """Sleeping on it moves the clock on; that is where a run ends, too."""

    def __init__(self, clock: SteppedThreads, lock: Lock, name: str) -> None:
        self.name = name
        self._clock = clock
        self._lock = lock

    def wait(self, timeout: float | None = None) -> bool:
        self._lock.release()
        self._clock.time += timeout or 0.0
        self._clock.slept()
        self._lock.acquire()
        return False

    def notify(self, n: int = 1) -> None: ...

    def notify_all(self) -> None: ...


class SteppedThreads(NativeThreads):
    """One spawned thread, run by the test itself, in no time at all."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 0.0
        self.slept: Callable[[], None] = lambda: None
        self.spawned: list[str] = []
        self._target: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self.time

    def condition(self, lock: Lock, name: str) -> Condition:  # type: ignore[override]  # steps
        return SteppedCondition(self, lock, name)

    def spawn(self, name: str, target: Callable[[], None]) -> Thread:  # type: ignore[override]  # runs later
        self._target = target
        self.spawned.append(name)
        return super().spawn(name, lambda: None)

    def run_until(self, time: float, stop: Callable[[], None]) -> None:
        """Run what was spawned; have it stopped by `stop` when it sleeps past `time`."""
        self.slept = lambda: stop() if self.time >= time else None
        self._target()


@pytest.fixture
def stepped() -> SteppedThreads:
    return SteppedThreads()


class SpyLog(DirtyLog):
    """Looks at memory whenever a page is marked."""

    ram: GuestRam
    seen: npt.NDArray[np.uint64]

    def mark(self, pages: npt.NDArray[np.int64]) -> None:
        assert len(np.unique(pages)) == len(pages)
        changed = (self.ram.words[pages] != self.seen[pages]).any(axis=1)
        assert changed.all(), "marked before it was written"
        self.seen[pages] = self.ram.words[pages]
        super().mark(pages)


def guest(threads: NativeThreads, size: int = 4 * MIB) -> tuple[GuestRam, DirtyLog]:
    ram = GuestRam.of_size(size)
    ram.fill(seed=1)
    dirty = DirtyLog(len(ram.pages), threads)
    dirty.fetch_and_clear()
    return ram, dirty


def test_it_dirties_at_its_rate(stepped: SteppedThreads) -> None:
    ram, dirty = guest(stepped, 64 * MIB)
    writer = Writer(stepped, ram, dirty, 10 * MIB, 64 * MIB, seed=1)
    writer.start()
    stepped.run_until(2.0, writer.stop)
    assert writer.written * PAGE_SIZE == pytest.approx(20 * MIB, rel=0.01)
    assert dirty.count() == writer.written  # every write hit a page that was still clean


def test_a_slow_guest_writes_too(stepped: SteppedThreads) -> None:
    ram, dirty = guest(stepped)
    writer = Writer(stepped, ram, dirty, 100, 4 * MIB, seed=1)  # a page every 41 seconds
    writer.start()
    stepped.run_until(125.0, writer.stop)
    assert writer.written == 3


def test_it_stays_in_its_working_set_and_visits_all_of_it(stepped: SteppedThreads) -> None:
    ram, dirty = guest(stepped)
    writer = Writer(stepped, ram, dirty, 50 * MIB, MIB + 1, seed=1)
    writer.start()
    stepped.run_until(1.0, writer.stop)
    assert dirty.fetch_and_clear().tolist() == list(range(257))


def test_a_page_is_marked_after_it_was_written(stepped: SteppedThreads) -> None:
    ram, _ = guest(stepped)
    spy = SpyLog(len(ram.pages), stepped)
    spy.ram, spy.seen = ram, ram.words.copy()
    # Zeroing a page that is zero changes nothing to be seen, so it is left out here.
    writer = Writer(stepped, ram, spy, 100 * MIB, 4 * MIB, seed=1, zeroed=0)
    writer.start()
    stepped.run_until(1.0, writer.stop)
    assert writer.written > 20_000
    assert np.array_equal(spy.seen, ram.words)


def test_some_pages_become_zero_and_others_stop_being_zero(stepped: SteppedThreads) -> None:
    ram, dirty = guest(stepped)
    ram.pages[:512] = 0
    writer = Writer(stepped, ram, dirty, 4 * MIB, 4 * MIB, seed=1)
    writer.start()
    stepped.run_until(1.0, writer.stop)
    assert 10 < np.count_nonzero(~ram.words[512:].any(axis=1)) < 100
    assert np.count_nonzero(~ram.words[:512].any(axis=1)) < 100


def test_the_same_seed_writes_the_same(stepped: SteppedThreads) -> None:
    digests = []
    for seed in (3, 3, 4):
        ram, dirty = guest(stepped)
        writer = Writer(stepped, ram, dirty, 8 * MIB, 4 * MIB, seed=seed)
        writer.start()
        stepped.run_until(stepped.time + 1.0, writer.stop)
        digests.append(full_digest(ram))
    assert digests[0] == digests[1] != digests[2]


def test_time_without_cpu_is_not_made_up_for(stepped: SteppedThreads) -> None:
    ram, dirty = guest(stepped, 64 * MIB)
    writer = Writer(stepped, ram, dirty, 10 * MIB, 64 * MIB, seed=1)
    writer.start()
    stepped.time += 60
    stepped.run_until(stepped.time + 0.005, writer.stop)
    assert writer.written * PAGE_SIZE == MIB  # a tenth of a second's worth


@pytest.mark.parametrize(("rate", "working_set", "size"), [(0, MIB, MIB), (MIB, 0, MIB), (MIB, MIB, 0)])
def test_a_guest_with_nothing_to_do_needs_no_thread(
    threads: NativeThreads, rate: int, working_set: int, size: int
) -> None:
    ram, dirty = guest(threads, size)
    writer = Writer(threads, ram, dirty, rate, working_set, seed=1)
    writer.start()
    writer.stop()
    assert (writer.written, dirty.count()) == (0, 0)


def test_started_twice_it_runs_once(stepped: SteppedThreads) -> None:
    ram, dirty = guest(stepped)
    writer = Writer(stepped, ram, dirty, MIB, MIB, seed=1)
    writer.start()
    writer.start()
    assert stepped.spawned == ["vcpu"]


def test_nothing_is_written_after_stop_until_the_next_start(threads: NativeThreads) -> None:
    ram, dirty = guest(threads)
    writer = Writer(threads, ram, dirty, 1e12, 4 * MIB, seed=1)
    for _ in range(5):
        before = writer.written
        writer.start()
        while writer.written == before:
            threads.sleep(0.001)
        writer.stop()
        dirty.fetch_and_clear()
        stopped = full_digest(ram)
        threads.sleep(0.02)
        assert dirty.count() == 0
        assert full_digest(ram) == stopped
    writer.stop()  # it stands already


def test_a_writer_that_broke_says_so_when_stopped(stepped: SteppedThreads) -> None:
    ram, _ = guest(stepped)
    too_small = DirtyLog(3, stepped)
    writer = Writer(stepped, ram, too_small, 4 * MIB, 4 * MIB, seed=1)
    writer.start()
    stepped.run_until(1.0, writer.stop)
    with pytest.raises(MigemuError, match="writer thread failed: index"):
        writer.stop()
