"""The modelled link: one shared rate, a ceiling per connection, a delay, and bounded buffers in between.

A connection is two threads: one takes what a side sends and lets it pass at the link's rate, the other hands
it over when it arrives, and stops reading exactly where a real channel would: at SYNC, at a full queue,
behind a busy receive thread. Between them lies what the kernel's socket buffers would hold, so that a
receiver that does not read holds up its sender, but not at once.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.link.pacing import Pacer
    from migemu.threads.api import Threads

T = TypeVar("T")

SOCKET_BUFFERS = 4 << 20
"""Bytes a connection holds between its ends; what Linux gives a busy TCP connection by default."""


class Pipe(Generic[T]):
    """One direction of one connection.

    Args:
        threads: the shared seam.
        name: for people.
        pacer: the link, shared by all connections.
        channel: which of the link's channels this is.
        sent: called when an item has left its sender.
        deliver: called when it has arrived; may block, and then nothing behind it arrives.
    """

    def __init__(
        self,
        threads: Threads,
        name: str,
        pacer: Pacer,
        channel: int | str,
        sent: Callable[[T, int], None],
        deliver: Callable[[T], None],
    ) -> None:
        self._threads = threads
        self._pacer = pacer
        self._channel = channel
        self._sent = sent
        self._deliver = deliver
        # Two locks: a wake-up hands the sleeper its lock, and whoever else wants that one has to queue.
        self._outgoing = threads.lock(f"wire {name} out")
        self._may_send = threads.condition(self._outgoing, f"wire {name} out")
        self._waiting: deque[tuple[T, int]] = deque()
        self._held = 0
        self._incoming = threads.lock(f"wire {name} in")
        self._may_deliver = threads.condition(self._incoming, f"wire {name} in")
        self._flying: deque[tuple[T, int, float]] = deque()
        self._closed = False
        self._all_sent = False
        threads.spawn(f"{name} out", self._send_all)
        threads.spawn(f"{name} in", self._deliver_all)

    def put(self, item: T, size: int) -> None:
        """Send `item`, which is `size` bytes long; never blocks."""
        with self._outgoing:
            self._waiting.append((item, size))
            self._may_send.notify()

    def close(self) -> None:
        """Nothing more will be sent; what is under way still arrives."""
        with self._outgoing:
            self._closed = True
            self._may_send.notify()

    def _send_all(self) -> None:
        while (taken := self._next_to_send()) is not None:
            item, size = taken
            now = self._threads.now()
            slot = self._pacer.slot(now, size, self._channel)
            self._threads.sleep(slot.sent - now)
            with self._incoming:
                self._flying.append((item, size, slot.arrived))
                self._may_deliver.notify()
            self._sent(item, size)
        with self._incoming:
            self._all_sent = True
            self._may_deliver.notify()

    def _next_to_send(self) -> tuple[T, int] | None:
        """The next item, once there is room for it between the ends; None at the end."""
        with self._outgoing:
            while not self._waiting or self._held >= SOCKET_BUFFERS:
                if self._closed and not self._waiting:
                    return None
                self._may_send.wait()
            item, size = self._waiting.popleft()
            self._held += size
            return item, size

    def _deliver_all(self) -> None:
        while (taken := self._next_to_deliver()) is not None:
            item, size, arrives = taken
            self._threads.sleep(arrives - self._threads.now())
            self._deliver(item)
            self._make_room(size)

    def _next_to_deliver(self) -> tuple[T, int, float] | None:
        with self._incoming:
            while not self._flying:
                if self._all_sent:
                    return None
                self._may_deliver.wait()
            return self._flying.popleft()

    def _make_room(self, size: int) -> None:
        """`size` bytes lie between the ends no more."""
        full = self._held >= SOCKET_BUFFERS
        self._held -= size
        if full and self._held < SOCKET_BUFFERS:  # virtual threads change only where they wait
            with self._outgoing:
                self._may_send.notify()
