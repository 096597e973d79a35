"""A destination for a real source that takes what it likes, and ends connections when a row says so."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Final, Self

from migemu.errors import PeerTimeoutError
from migemu.qemu.hostile.connections import RESET
from migemu.qemu.hostile.shape import CHANNELS
from migemu.wire.hello import HELLO_SIZE, Hello, identify

if TYPE_CHECKING:
    from collections.abc import Callable

PATIENCE: Final = 10.0
"""Seconds a step may take until the row is over: the source does not do what it should."""

MARK: Final = b"\x08\x00\x0b\x00\x00"
"""SWITCHOVER_START on the main channel."""

CHUNK: Final = 1 << 18


class Sink:
    """Listens; every step is a row's.

    Args:
        ask: put a command to the source's monitor, and wait for the answer.
    """

    def __init__(self, ask: Callable[[str], object]) -> None:
        self.ask = ask
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=CHANNELS + 1)
        self.listener.settimeout(PATIENCE)
        self.port = int(self.listener.getsockname()[1])
        self.main: socket.socket | None = None
        self.channels: dict[int, socket.socket] = {}
        self.marked = threading.Event()
        self._threads: list[threading.Thread] = []
        self._full = threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        self._full.set()
        for connection in (self.listener, self.main, *self.channels.values()):
            if connection is not None:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RDWR)
                connection.close()
        for thread in self._threads:
            thread.join(PATIENCE)

    def pause(self, seconds: float = 1.0) -> None:
        """Let the source go on as far as it can."""
        time.sleep(seconds)

    def accept(self, count: int = CHANNELS + 1) -> None:
        """Take so many connections; a source connects main first, its other channels in any order."""
        for _ in range(count):
            connection, _address = self.listener.accept()
            connection.settimeout(PATIENCE)
            if self.main is None:
                self.main = connection
                continue
            hello = connection.recv(HELLO_SIZE, socket.MSG_WAITALL)
            if identify(hello[:4]) == "multifd":
                self.channels[Hello.decode(hello).channel] = connection

    def drain(self, *which: int | str) -> None:
        """Read and forget from now on: what is named, else everything."""
        for name in which or ("main", *self.channels):
            connection = self.main if name == "main" else self.channels[int(name)]
            if connection is not None:
                thread = threading.Thread(target=self._drain, args=(connection,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _drain(self, connection: socket.socket) -> None:
        last = b""
        watched = connection is self.main
        with contextlib.suppress(OSError):
            while not self._full.is_set() or watched:
                data = connection.recv(CHUNK)
                if not data:
                    return
                if watched and MARK in last + data:
                    self.marked.set()
                last = data[-len(MARK) :]

    def until_mark(self) -> None:
        """Wait for SWITCHOVER_START, and read the channels no further.

        Raises:
            PeerTimeoutError: it did not come.
        """
        if not self.marked.wait(PATIENCE):
            raise PeerTimeoutError("SWITCHOVER_START did not come", side="source")
        self._full.set()

    def reset(self, channel: int) -> None:
        """Have the kernel reset a connection."""
        victim = self.channels[channel]
        victim.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        victim.shutdown(socket.SHUT_RD)  # whoever reads it must let go of it first
        victim.close()

    def close_door(self) -> None:
        """Whoever connects from now on is refused."""
        self.listener.close()
