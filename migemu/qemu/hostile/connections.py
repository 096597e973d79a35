"""The connections of a scripted source: real, blocking sockets, and what the destination answers on them."""

from __future__ import annotations

import socket
import struct
import time
from typing import TYPE_CHECKING, Final, Self

from migemu.qemu.hostile.shape import CHANNELS
from migemu.wire import mainwriter, returnpath
from migemu.wire.hello import Hello

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.qemu.hostile.shape import Shape

CONNECT_LIMIT: Final = 10.0
"""Seconds a connection may take; then it is a TimeoutError."""
RESET: Final = struct.pack("ii", 1, 0)
"""SO_LINGER that makes a close a reset."""


class Connections:
    """A source's connections, each opened, spoken on and closed when its owner says so.

    Args:
        address: where the destination listens.
        shape: what it is.
    """

    def __init__(self, address: tuple[str, int], shape: Shape) -> None:
        self._address = address
        self.shape = shape
        self.main: socket.socket | None = None
        self.channels: dict[int, socket.socket] = {}
        self.reader = returnpath.ReturnPathReader()
        self.messages: list[returnpath.Message] = []
        self.others: list[socket.socket] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close every connection."""
        for connection in [self.main, *self.channels.values(), *self.others]:
            if connection is not None:
                connection.close()

    def pause(self) -> None:
        """As long as what is late is late."""
        time.sleep(self.shape.late)

    def dial(self) -> socket.socket:
        """One more connection."""
        made = socket.create_connection(self._address, CONNECT_LIMIT)
        made.settimeout(self.shape.patience)
        self.others.append(made)
        return made

    def connect(self, order: Iterable[int | str] = ("main", *range(CHANNELS)), pause: float = 0.02) -> None:
        """Connect the channels in that order, each after the one before has arrived."""
        for place in order:
            if place == "main":
                self.main = self.dial()
                self.main.sendall(mainwriter.file_header())
            else:
                self.hello(int(place))
            time.sleep(pause)

    def hello(self, channel: int, uuid: bytes | None = None) -> None:
        """A multifd channel, greeted."""
        self.channels[channel] = self.dial()
        self.channels[channel].sendall(Hello(self.shape.uuid if uuid is None else uuid, channel).encode())

    def say(self, *parts: bytes) -> None:
        """On the main channel."""
        assert self.main is not None  # noqa: S101  a script that forgot to connect
        self.main.sendall(b"".join(parts))

    def on(self, channel: int, *parts: bytes) -> None:
        """On a multifd channel."""
        self.channels[channel].sendall(b"".join(parts))

    def reset(self, channel: int | str) -> None:
        """Have the kernel reset a connection."""
        victim = self.main if channel == "main" else self.channels[int(channel)]
        assert victim is not None  # noqa: S101  as above
        victim.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
        victim.close()

    # what the destination says

    def refused(self, connection: socket.socket) -> bool:
        """Whether the destination closes or resets this connection while the script has patience."""
        try:
            return connection.recv(1) == b""
        except ConnectionError:
            return True
        except TimeoutError:
            return False

    def hear(self, kind: int) -> bool:
        """Read the return path until that message; False when the destination failed or closed instead."""
        assert self.main is not None  # noqa: S101  as above
        while True:
            if any(message.type == kind for message in self.messages):
                return True
            if any(message.type == returnpath.FAILED for message in self.messages):
                return False
            try:
                said = self.main.recv(65536)
            except OSError:
                return False
            if not said:
                return False
            self.messages += self.reader.feed(said)

    def told(self) -> str:
        """The destination's reason for failing, if it has words for one; a QEMU has none."""
        return ""
