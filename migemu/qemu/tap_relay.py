"""Bytes from one socket to the other, first; what they mean, afterwards.

One thread a direction and connection, blocked in the kernel most of the time; both calls there let go of the
interpreter while they copy. The bytes are looked at where they were received, once they are on their way.

Splicing them through a pipe instead, without a copy here, was tried and is no gain on loopback: what it saves
here the receiver pays, to whom every page comes as a fragment of its own.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Threads

PIECE: Final = 1 << 18
"""Bytes received at a time: enough for few calls, and still in the cache when they are sent."""

RESET: Final = b"\1\0\0\0\0\0\0\0"
"""struct linger: closing the socket resets the connection."""


class Eye(Protocol):
    """Looks at what goes by in one direction of one connection."""

    def room(self) -> memoryview:
        """Where the next bytes go."""
        ...

    def seen(self, view: memoryview) -> None:
        """These bytes of the last :meth:`room` went on; must not raise."""
        ...

    def ended(self, why: str) -> None:
        """Nothing more will come: the sender closed (empty), or why."""
        ...


class Connection:
    """Two sockets that are one connection for those at their ends.

    Args:
        near: the source's.
        far: the destination's.
        there: looks at what the source sends.
        back: looks at what the destination answers.
        over: called once, from a thread of the connection's, when both directions are.
    """

    def __init__(
        self, near: socket.socket, far: socket.socket, there: Eye, back: Eye, over: Callable[[], object]
    ) -> None:
        self._near = near
        self._far = far
        self._eyes = there, back
        self._over = over
        self._left = 2
        for one in (near, far):
            with contextlib.suppress(OSError):  # not of a Unix socket
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def start(self, threads: Threads, name: str) -> None:
        """Relay in threads of its own."""
        there, back = self._eyes
        lock = threads.lock(f"{name} ends")

        def run(begin: socket.socket, end: socket.socket, eye: Eye) -> None:
            eye.ended(self._relay(begin, end, eye))
            with lock:
                self._left -= 1
                last = not self._left
            if last:
                self._close()

        threads.spawn(f"{name} there", lambda: run(self._near, self._far, there))
        threads.spawn(f"{name} back", lambda: run(self._far, self._near, back))

    def _relay(self, begin: socket.socket, end: socket.socket, eye: Eye) -> str:
        """Until `begin` has no more; empty, or why it was cut short."""
        try:
            while count := begin.recv_into(room := eye.room()):
                end.sendall(room[:count])
                eye.seen(room[:count])
            end.shutdown(socket.SHUT_WR)
        except OSError as error:
            self.cut()
            return str(error.strerror or error)
        return ""

    def cut(self, *, at_once: bool = False) -> None:
        """One end is gone without a word: the other will be reset, as soon as both directions are over.

        Args:
            at_once: also end what is being sent; whoever gets it then sees a goodbye before the reset.
        """
        how = socket.SHUT_RDWR if at_once else socket.SHUT_RD  # what wakes a thread that waits in recv
        for one in (self._near, self._far):
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                one.shutdown(how)

    def _close(self) -> None:
        self._near.close()
        self._far.close()
        self._over()
