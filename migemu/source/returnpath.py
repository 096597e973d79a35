"""What comes back on the main connection: PONG, SWITCHOVER_ACK, SHUT, and what migemu adds to them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu.errors import LimitError, MigemuError, PeerRefusedError, WireError
from migemu.wire import extension, returnpath
from migemu.wire.text import decode_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Threads
    from migemu.threads.sync import Abort, Patience


class ReturnPath:
    """Messages arrive on the event loop; the migration thread waits for them here.

    Args:
        threads: the concurrency seam.
        abort: ends waits.
        patience: how long silence may last.
        most: ``limits.max_commands``: messages that may come in one migration.
    """

    def __init__(self, threads: Threads, abort: Abort, patience: Patience, most: int = 100_000) -> None:
        self._threads = threads
        self._abort = abort
        self._patience = patience
        self._count, self._most = 0, most
        self._lock = threads.lock("return path")
        self._came = threads.condition(self._lock, "return path message")
        self._parts = extension.PartsReader()
        self.pongs: list[int] = []
        self.acks = 0
        self.shut: int | None = None
        self.lost: MigemuError | None = None
        """Why nothing more will come."""
        self.announced: dict[str, Any] | None = None
        self.loaded: dict[str, Any] | None = None
        self.clocks: list[tuple[float, float, float]] = []
        abort.watch(self._lock, self._came)

    def message(self, message: returnpath.Message) -> None:
        """Act on one message; called on the event loop.

        Raises:
            WireError: a message that does not belong here.
            PeerRefusedError: the destination says why it failed.
        """
        now = self._threads.now()
        with self._lock:
            self._note(message, now)
            self._came.notify_all()
        self._patience.touch()

    def _note(self, message: returnpath.Message, now: float) -> None:
        handlers: dict[int, Callable[[bytes, float], None]] = {
            returnpath.PONG: lambda data, _: self.pongs.append(int.from_bytes(data)),
            returnpath.SWITCHOVER_ACK: lambda _data, _: self._ack(),
            returnpath.SHUT: lambda data, _: self._shut(int.from_bytes(data)),
            extension.RP_EXTENSION_ACK: lambda data, _: self._announce(data),
            extension.RP_CLOCK: self._clock,
            extension.RP_LOADED: lambda data, _: self._loaded(data),
            extension.RP_FAILED: lambda data, _: self._failed(data),
            extension.RP_ALIVE: lambda _data, _: None,
        }
        self._count += 1
        if self._count > self._most:
            told = f"the destination sent more than limits.max_commands = {self._most} messages"
            raise LimitError(told, limit="limits.max_commands", channel="return path")
        handler = handlers.get(message.type)
        if handler is None:
            raise WireError(f"unexpected return path message {message.type}", channel="return path")
        handler(message.data, now)

    def _ack(self) -> None:
        self.acks += 1
        self._threads.point("source_return_path_thread_switchover_acked", acks=self.acks)

    def _shut(self, status: int) -> None:
        self.shut = status
        self._threads.point("source_return_path_thread_shut", status=status)

    def _announce(self, data: bytes) -> None:
        self.announced = extension.decode_announcement(data)

    def _clock(self, data: bytes, now: float) -> None:
        sent, theirs = extension.decode_clock_reply(data)
        self.clocks.append((sent / 1e9, theirs / 1e9, now))
        rtt = now - sent / 1e9
        self._threads.point("clock_offset", offset=theirs / 1e9 - (sent / 1e9 + rtt / 2), rtt=rtt)

    def _loaded(self, data: bytes) -> None:
        whole = self._parts.feed(data)
        if whole is not None:
            self.loaded = decode_object(whole, "the destination's digests")

    def _failed(self, data: bytes) -> None:
        reason = data.decode("utf-8", "replace")
        raise PeerRefusedError(f"the destination failed: {reason}")

    def end(self, error: MigemuError) -> None:
        """Nothing more will come; called on the event loop."""
        with self._lock:
            self.lost = error
            self._came.notify_all()

    def wait(self, predicate: Callable[[], bool], what: str) -> None:
        """Wait for `predicate` over what has come.

        Raises:
            PeerTimeoutError: nothing moved for as long as patience allows.
            MigemuError: the side was aborted.
        """
        with self._lock:
            self._abort.wait_for(
                self._came, lambda: predicate() or self.lost is not None, self._patience, what
            )
            if self.lost is not None and not predicate():
                raise self.lost
        if self.shut:
            raise PeerRefusedError(f"the destination ended with status {self.shut}")
