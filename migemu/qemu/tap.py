"""A tap: stands between the two ends of a migration, on all its connections, and sees it go by.

The source connects to the tap as if it were the destination; for each connection the tap makes one of its own
to the destination, in the order in which they came (QEMU 7.2 takes the first one for the main channel).
Neither end can tell. What goes by is relayed first and read then, see :mod:`migemu.qemu.tap_relay`.
"""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING, Final

from migemu.errors import UsageError
from migemu.link.sockets import why_not
from migemu.qemu.tap_eyes import Back, There
from migemu.qemu.tap_relay import Connection
from migemu.threads.native import NativeThreads
from migemu.wire.limits import DEFAULT_LIMITS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from migemu.link.order_tape import Tapes
    from migemu.qemu.tap_watch import Watch
    from migemu.wire.limits import WireLimits

BACKLOG: Final = 256
CONNECT_SECONDS: Final = 10.0
"""How long the destination has to accept a connection."""


def parse(text: str) -> tuple[str, str | tuple[str, int]]:
    """``HOST:PORT``, ``tcp:HOST:PORT`` or ``unix:PATH`` as (family, address).

    Raises:
        UsageError: it is none of them.
    """
    if text.startswith("unix:") and text != "unix:":
        return "unix", text.removeprefix("unix:")
    host, _, port = text.removeprefix("tcp:").rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise UsageError(f"{text!r} is not HOST:PORT, tcp:HOST:PORT or unix:PATH")
    return "tcp", (host.strip("[]") or "127.0.0.1", int(port))


def connect(address: str) -> socket.socket:
    """A connection to `address`.

    Raises:
        OSError: nobody is there.
    """
    family, place = parse(address)
    if family == "tcp":
        assert isinstance(place, tuple)  # noqa: S101  by the form of the address
        made = socket.create_connection(place, CONNECT_SECONDS)
    else:
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(CONNECT_SECONDS)
        try:
            made.connect(place)
        except OSError:
            made.close()
            raise
    made.settimeout(None)
    return made


class Tap:
    """One migration's tap.

    Args:
        to: where the destination listens.
        watch: told of what goes by.
        tapes: where it is recorded, if it is.
        limits: what may be announced before the tap looks away.
    """

    def __init__(
        self, to: str, watch: Watch, tapes: Tapes | None = None, limits: WireLimits = DEFAULT_LIMITS
    ) -> None:
        parse(to)
        self._to = to
        self._watch = watch
        self._tapes = tapes
        self._limits = limits
        self._threads = NativeThreads()
        self._lock = self._threads.lock("tap")
        self._changed = self._threads.condition(self._lock, "tap connections")
        self._open: dict[int, Connection] = {}
        self._count = 0
        self._main_over = self._closed = False
        self._listener: socket.socket | None = None

    def listen(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """Begin; the address to migrate to.

        Raises:
            UsageError: it cannot be listened on.
        """
        try:
            family = socket.AF_INET6 if ":" in host else socket.AF_INET
            self._listener = socket.create_server((host, port), family=family, backlog=BACKLOG)
        except OSError as error:
            raise UsageError(f"cannot listen on {host}:{port}: {why_not(error)}") from None
        self._threads.spawn("tap accepts", self._accept)
        name = self._listener.getsockname()
        return f"tcp:{f'[{name[0]}]' if ':' in name[0] else name[0]}:{name[1]}"

    def _accept(self) -> None:
        listener = self._listener
        assert listener is not None  # noqa: S101  it was made before this thread
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return  # closed
            self._join(near)

    def _join(self, near: socket.socket) -> None:
        """Make the other half of a connection; without one the source sees what it would have seen."""
        try:
            far = connect(self._to)
        except OSError as error:
            self._watch.refused(f"no destination at {self._to}: {error.strerror or error}")
            near.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            near.close()
            return
        tape = self._tapes.open() if self._tapes is not None else None
        with self._lock:
            number, self._count = self._count, self._count + 1
        there = There(self._watch, self._limits, tape)
        back = Back(self._watch, there, tape)
        made = Connection(near, far, there, back, lambda: self._ended(number, there))
        with self._lock:
            self._open[number] = made
            late = self._closed
        made.start(self._threads, f"connection {number}")
        if late:  # who closed the tap has not seen this one
            made.cut(at_once=True)

    def _ended(self, number: int, there: There) -> None:
        with self._lock:
            del self._open[number]
            self._main_over |= there.channel == "main"
            self._changed.notify_all()

    def wait(self, seconds: float | None = None) -> bool:
        """Wait until a migration has gone by: its main channel is over, and every other; False: not yet."""
        deadline = None if seconds is None else self._threads.now() + seconds
        with self._lock:
            while not self._main_over or self._open:
                left = None if deadline is None else deadline - self._threads.now()
                if left is not None and left <= 0:
                    return False
                self._changed.wait(left)
        return True

    def close(self) -> None:
        """Take no more connections, and cut those there are."""
        if self._listener is not None:
            with contextlib.suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        with self._lock:
            self._closed = True
            left = list(self._open.values())
        for connection in left:
            connection.cut(at_once=True)
        self._watch.over()


@contextlib.contextmanager
def tapped(to: str, watch: Watch, tapes: Tapes | None = None) -> Iterator[Tap]:
    """A tap before the destination at `to`, for as long as the block lasts."""
    tap = Tap(to, watch, tapes)
    try:
        yield tap
    finally:
        tap.close()


def through(
    watch: Watch, tapes: Tapes | None = None
) -> Callable[[str], contextlib.AbstractAsyncContextManager[str]]:
    """For a pair of QEMUs: puts a tap between them."""

    @contextlib.asynccontextmanager
    async def between(address: str) -> AsyncIterator[str]:
        with tapped(address, watch, tapes) as tap:
            yield tap.listen()

    return between
