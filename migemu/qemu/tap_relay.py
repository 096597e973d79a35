"""Bytes from one socket to the other, first; what they mean, afterwards.

One thread a direction and connection, blocked in the kernel most of the time; every call there lets go of the
interpreter. Bytes are received into the buffer of whoever will look at them and sent from it. A large
payload that nobody looks at does not come here at all: it is spliced from one socket to the other through a
pipe, which hands its pages on without a copy.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import socket
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Threads

BLIND_SIZE: Final = 1 << 18
"""Bytes read at a time where nobody looks at them."""

PIPE_SIZE: Final = 1 << 20
"""Bytes of a splice; the most an unprivileged process is given as a rule."""

SET_PIPE_SIZE: Final = 1031
"""fcntl(2), F_SETPIPE_SZ: not in Python's module before 3.10, nor on every system."""

RESET: Final = b"\1\0\0\0\0\0\0\0"
"""struct linger: closing the socket resets the connection."""


class Eye(Protocol):
    """Looks at what goes by in one direction of one connection."""

    @property
    def looks_away(self) -> bool:
        """Whether the bytes that :meth:`get_buffer` has room for need not go there."""
        ...

    def get_buffer(self) -> memoryview:
        """Where the next bytes go."""
        ...

    def seen(self, count: int) -> None:
        """So many bytes went on, and there unless it looked away; must not raise."""
        ...

    def ended(self, why: str) -> None:
        """Nothing more will come: the sender closed (empty), or why."""
        ...


class Blind:
    """Looks at nothing."""

    looks_away = True

    def __init__(self) -> None:
        self._buffer = memoryview(bytearray(BLIND_SIZE))

    def get_buffer(self) -> memoryview:
        """Anywhere."""
        return self._buffer

    def seen(self, count: int) -> None:
        """Whatever it was."""

    def ended(self, why: str) -> None:
        """Nor at the end."""


class Pipe:
    """What pages go through on their way from one socket to another.

    Raises:
        OSError: from any method, as of a socket; the system has no more file descriptors.
    """

    def __init__(self) -> None:
        self._out, self._in = os.pipe()
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._in, SET_PIPE_SIZE, PIPE_SIZE)

    def splice(self, begin: socket.socket, end: socket.socket, most: int) -> int:
        """Hand on what has come, at most so many bytes; 0 at the end."""
        count = left = os.splice(begin.fileno(), self._in, min(most, PIPE_SIZE))
        while left:
            left -= os.splice(self._out, end.fileno(), left)
        return count

    def close(self) -> None:
        """Done."""
        os.close(self._in)
        os.close(self._out)


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
            with contextlib.closing(Pipe()) as pipe:
                while count := _hand_on(begin, end, eye, pipe):
                    eye.seen(count)
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


def _hand_on(begin: socket.socket, end: socket.socket, eye: Eye, pipe: Pipe) -> int:
    """Whatever has come, at least a byte; 0 at the end."""
    view = eye.get_buffer()
    if eye.looks_away:
        return pipe.splice(begin, end, len(view))
    count = begin.recv_into(view)
    end.sendall(view[:count])
    return count
