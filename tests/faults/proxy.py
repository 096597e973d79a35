"""Between a source and a destination: forwards every byte, and breaks the connection that a story names."""

from __future__ import annotations

import queue
import selectors
import socket
import struct
import threading
from contextlib import suppress
from typing import Final

RESET: Final = struct.pack("ii", 1, 0)
SECONDS: Final = 0.05
ANSWERED: Final = 10.0
"""Seconds in which an order is obeyed; a connection whose peer takes nothing may hold it up."""

Answer = queue.SimpleQueue[bool]


class Proxy:
    """Listens on loopback and forwards to `address`; a thread of its own moves the bytes.

    Attributes:
        address: where to connect instead.
    """

    def __init__(self, address: str) -> None:
        host, _, port = address.rpartition(":")
        self._target = host, int(port)
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"127.0.0.1:{self._listener.getsockname()[1]}"
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._listener, selectors.EVENT_READ)
        self._pairs: dict[socket.socket, socket.socket] = {}
        self._kinds: dict[socket.socket, str] = {}
        self._orders: queue.SimpleQueue[tuple[str, str, Answer]] = queue.SimpleQueue()
        self._over = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def break_(self, how: str, kind: str) -> bool:
        """Reset, or half-close towards the destination, the main channel or one multifd channel.

        Returns:
            Whether there was such a connection.
        """
        answer: Answer = queue.SimpleQueue()
        self._orders.put((how, kind, answer))
        return answer.get(timeout=ANSWERED)

    def close(self) -> None:
        """Let go of everything."""
        self._over = True
        self._thread.join(5)

    def _run(self) -> None:
        while not self._over:
            for key, _ in self._selector.select(SECONDS):
                connection = key.fileobj
                assert isinstance(connection, socket.socket)
                if connection is self._listener:
                    self._accept()
                elif connection in self._pairs:
                    self._forward(connection)
            while not self._orders.empty():
                how, kind, answer = self._orders.get()
                answer.put(self._obey(how, kind))
        for connection in [self._listener, *self._pairs]:
            connection.close()
        self._selector.close()

    def _accept(self) -> None:
        source, _ = self._listener.accept()
        try:
            destination = socket.create_connection(self._target, 5)
        except OSError:  # it is gone: whoever asks here must find nobody, as he would there
            source.close()
            self._selector.unregister(self._listener)
            self._listener.close()
            return
        self._kinds[source] = "multifd" if self._kinds else "main"  # a source connects main first
        for one, other in ((source, destination), (destination, source)):
            self._pairs[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _forward(self, one: socket.socket) -> None:
        other = self._pairs[one]
        try:
            data = one.recv(1 << 18)
            if data:
                other.sendall(data)
                return
            self._selector.unregister(one)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            self._drop(one, reset=True)

    def _drop(self, one: socket.socket, *, reset: bool) -> None:
        for connection in (one, self._pairs[one]):
            with suppress(KeyError, ValueError):
                self._selector.unregister(connection)
            if reset:
                with suppress(OSError):
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
            connection.close()
            self._pairs.pop(connection, None)

    def _obey(self, how: str, kind: str) -> bool:
        found = [one for one, known in self._kinds.items() if known == kind and one in self._pairs]
        if not found:
            return False
        if how == "reset":
            self._drop(found[0], reset=True)
            return True
        with suppress(OSError):
            self._pairs[found[0]].shutdown(socket.SHUT_WR)
        with suppress(KeyError, ValueError):
            self._selector.unregister(found[0])
        return True
