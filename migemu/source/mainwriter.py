"""The main channel as the migration thread writes it: blocking, bounded, flushed at the marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Condition, Threads
    from migemu.threads.sync import Abort, Patience

Chunk = bytes | memoryview


class MainOutlet(Protocol):
    """The connection behind a :class:`MainWriter`."""

    def start(self, chunks: tuple[Chunk, ...]) -> None:
        """Begin to write; never blocks; `MainWriter.written` follows, in one or several calls."""
        ...


class MainWriter:
    """Queues at most `limit` bytes in front of the socket; a chunk's buffer is free after `flush`."""

    def __init__(
        self, threads: Threads, abort: Abort, patience: Patience, outlet: MainOutlet, limit: int = 4 << 20
    ) -> None:
        self._abort = abort
        self._patience = patience
        self._outlet = outlet
        self._limit = limit
        self._lock = threads.lock("main channel")
        self._moved = threads.condition(self._lock, "main channel written")
        self._queued = 0
        self.bytes_sent = 0
        abort.watch(self._lock, self._moved)

    def write(self, *chunks: Chunk) -> None:
        """Queue `chunks`, waiting while too much is queued already.

        Raises:
            PeerTimeoutError: the destination takes nothing.
            MigemuError: the side was aborted.
        """
        size = sum(len(chunk) for chunk in chunks)
        with self._lock:
            self._wait(self._moved, lambda: self._queued < self._limit)
            self._queued += size
        self._outlet.start(chunks)

    def last_words(self, data: bytes) -> None:
        """Queue `data` behind everything else although the side was aborted; waits for nothing."""
        with self._lock:
            self._queued += len(data)
        self._outlet.start((data,))

    def flush(self) -> None:
        """Wait until everything has left for the kernel."""
        with self._lock:
            self._wait(self._moved, lambda: self._queued == 0)

    def written(self, size: int) -> None:
        """`size` bytes have left; called by the loop that owns the socket."""
        with self._lock:
            self._queued -= size
            self.bytes_sent += size
            self._moved.notify_all()
        self._patience.touch()

    def _wait(self, condition: Condition, predicate: Callable[[], bool]) -> None:
        self._abort.wait_for(condition, predicate, self._patience, "the main channel to drain")
        self._abort.check()
