"""The guest that keeps dirtying its memory: one thread standing for all vCPUs.

It walks its working set in strides, so that at `rate` bytes/s it dirties `rate` bytes of *different* pages
each second until it has been everywhere: random picks would hit pages that are dirty already and make the
set rate a lie. Of each page it changes one cache line, enough to make the page dirty and its old copy wrong;
some pages it zeroes, as a guest that frees memory does, so that a page which was sent with bytes may have to
become zero again.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from migemu.errors import MigemuError
from migemu.ram.guest import PAGE_SIZE
from migemu.ram.pattern import mix

if TYPE_CHECKING:
    import numpy.typing as npt

    from migemu.ram.dirty import DirtyLog
    from migemu.ram.guest import GuestRam
    from migemu.threads.api import Thread, Threads

ZEROED = 1 / 16
"""Share of a guest's writes that zero a page: memory is freed as well as used."""

_TICK = 0.01
"""Seconds between bursts: short against a round, long against a wake-up."""

_MAX_LAG = 0.1
"""Seconds of writing made up for after a delay. A guest that got no CPU for longer did not write either."""

_BURST = 512
"""Pages written under the lock at once, so that stop() waits some microseconds only."""

_STOP_TIMEOUT = 10.0


class Writer:
    """Dirties guest memory from a thread of its own.

    Args:
        threads: where the thread, its lock and the time come from.
        ram: the memory.
        dirty: told of every written page after it was written (why in that order: `migemu.ram.dirty`).
        rate: bytes/s, counted in whole pages; 0 writes nothing.
        working_set: bytes from the start of RAM that are written, at most all.
        seed: of what is written where.
        zeroed: share of the writes that zero a page, 0..1.
    """

    def __init__(
        self,
        threads: Threads,
        ram: GuestRam,
        dirty: DirtyLog,
        rate: float,
        working_set: int,
        *,
        seed: int,
        zeroed: float = ZEROED,
    ) -> None:
        self._threads = threads
        self._ram = ram
        self._dirty = dirty
        self._rate = rate / PAGE_SIZE
        self._set = min(-(-working_set // PAGE_SIZE), len(ram.pages))
        self._stride = _stride(self._set)
        self._zeroed = zeroed
        self._random = np.random.default_rng(seed & (1 << 64) - 1)
        self._lock = threads.lock("vcpu_mutex")
        self._wake = threads.condition(self._lock, "vcpu stop")
        self._running = False
        self._thread: Thread | None = None
        self._credit = 0.0
        self._last = 0.0
        self._error: Exception | None = None
        self.written = 0
        """Pages written so far."""

    def start(self) -> None:
        """Run the guest, for the first time or again; nothing happens when it runs or has nothing to do."""
        if self._thread is not None or self._rate <= 0 or self._set == 0:
            return
        self._running = True
        self._last = self._threads.now()
        self._thread = self._threads.spawn("vcpu", self._run)

    def stop(self) -> None:
        """Stop the guest: when this returns nothing more is written or marked, until the next start().

        Raises:
            MigemuError: the thread failed, so RAM was not dirtied as asked, or did not end.
        """
        self._running = False
        with self._lock:
            # Writes are made with the lock held, and only while the flag set above is found up under it. So
            # the promise holds from here on, whatever the thread still has to do before it ends.
            self._wake.notify_all()
        thread, self._thread = self._thread, None
        if thread is not None and not thread.join(_STOP_TIMEOUT):
            raise MigemuError(f"the guest's writer thread did not end within {_STOP_TIMEOUT:g} s of its stop")
        error, self._error = self._error, None
        if error is not None:
            raise MigemuError(f"the guest's writer thread failed: {error}") from error

    def _run(self) -> None:
        try:
            with self._lock:
                while self._running:
                    self._burst()
        except Exception as error:  # noqa: BLE001  # a thread must not raise; stop() does
            self._error = error

    def _burst(self) -> None:
        """Write what is due, or sleep until something is. Sleeping gives the lock up."""
        self._earn()
        if self._credit < 1:
            self._wake.wait(max(_TICK, (1 - self._credit) / self._rate))
            return
        count = min(int(self._credit), _BURST, self._set)
        self._credit -= count
        pages = self._walk(count)
        self._write(pages)
        self._dirty.mark(pages)

    def _earn(self) -> None:
        now = self._threads.now()
        most = max(1.0, self._rate * _MAX_LAG)
        self._credit = min(self._credit + (now - self._last) * self._rate, most)
        self._last = now

    def _walk(self, count: int) -> npt.NDArray[np.int64]:
        """The next `count` pages: a stride coprime to their number visits all of them before it repeats."""
        steps = np.arange(self.written, self.written + count, dtype=np.int64)
        return (steps % self._set) * self._stride % self._set

    def _write(self, pages: npt.NDArray[np.int64]) -> None:
        lines = self._ram.words.reshape(-1, 64, 8)
        stamps = mix(np.arange(self.written, self.written + len(pages), dtype=np.uint64))
        line = self._random.integers(0, 64, len(pages))
        lines[pages, line] = stamps[:, None] + np.arange(8, dtype=np.uint64)
        freed = pages[self._random.random(len(pages)) < self._zeroed]
        self._ram.words[freed] = 0
        self.written += len(pages)


def _stride(pages: int) -> int:
    """About the golden section of `pages`, coprime to it: neighbours in time are far apart in memory."""
    stride = max(1, int(pages * 0.618))
    while math.gcd(stride, pages) > 1:
        stride += 1
    return stride
