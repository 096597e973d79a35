"""Recording a migration at the destination: each connection's bytes in a file, and the index of all.

Everything is written as it comes, so a recording takes no memory to speak of; a disk that is slower than the
migration slows the migration. What the disk refuses ends the recording and not the migration, and is said at
the end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu import __version__
from migemu.errors import MigemuError
from migemu.lab.capture_index import INDEX, RETURN, SCENARIO, Head, Step, words
from migemu.scenario import dump_toml, scenario_hash

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from typing import BinaryIO

    from migemu.link.order_item import Channel, Item
    from migemu.scenario import Scenario

FILE_BUFFER = 1 << 18
"""Bytes that are written at a time; larger payloads go straight through."""


class CaptureWriter:
    """One capture; the ``Tapes`` of :mod:`migemu.link.order_tape`.

    Args:
        folder: where it goes; made if it is not there.
        scenario: what is migrated, as a person wrote it.
        now: the clock, in seconds.
        peer: what the destination takes its source for.
    """

    def __init__(
        self, folder: Path, scenario: Scenario, now: Callable[[], float], peer: str = "auto"
    ) -> None:
        self._folder = folder
        self._now = now
        self._began = now()
        self._error: OSError | None = None
        self._files: dict[str, BinaryIO] = {}
        self._tapes: list[ConnectionTape] = []
        ruled = any(order.stream == "in" for order in scenario.order)
        self._guard(self._begin, scenario, Head(__version__, scenario_hash(scenario), ruled, peer))

    def _begin(self, scenario: Scenario, head: Head) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        (self._folder / SCENARIO).write_text(dump_toml(scenario), encoding="utf-8")
        self.write(INDEX, head.encode().encode() + b"\n")

    def _guard(self, call: Callable[..., None], *args: Any) -> None:
        """Do what writes, unless the disk has refused something before."""
        if self._error is None:
            try:
                call(*args)
            except OSError as error:
                self._error = error

    def write(self, name: str, data: bytes | memoryview) -> None:
        """Append to one of the files."""
        self._guard(self._append, name, data)

    def _append(self, name: str, data: bytes | memoryview) -> None:
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = (self._folder / name).open("wb", buffering=FILE_BUFFER)
        file.write(data)

    def step(self, conn: int, record: str = "", **said: Any) -> None:
        """A line of the index."""
        line = Step(self._now() - self._began, conn, record, **said).encode()
        self.write(INDEX, line.encode() + b"\n")

    def name_of(self, channel: Channel, conn: int) -> str:
        """The file of a connection; a second one that claims the same channel gets a name of its own."""
        stem = "main" if channel == "main" else f"conn-{conn}" if channel is None else f"mfd{channel}"
        return f"{stem}.bin" if f"{stem}.bin" not in self._files else f"{stem}-conn-{conn}.bin"

    def open(self) -> ConnectionTape:
        """A connection was accepted."""
        tape = ConnectionTape(self, len(self._tapes))
        self._tapes.append(tape)
        return tape

    def finish(self) -> MigemuError | None:
        """Close the files; why the capture is not whole, if it is not."""
        for tape in self._tapes:
            tape.finish()
        for file in self._files.values():
            try:
                file.close()
            except OSError as error:
                self._error = self._error or error
        if self._error is None:
            return None
        return MigemuError(f"the recording in {self._folder} is not whole: {self._error.strerror}")


class ConnectionTape:
    """One connection of a capture."""

    def __init__(self, writer: CaptureWriter, conn: int) -> None:
        self._writer = writer
        self._conn = conn
        self._file = ""
        self._early = bytearray()

    def named(self, channel: Channel) -> None:
        """It said which channel it is; None: it never will."""
        self._file = self._writer.name_of(channel, self._conn)
        self._writer.write(self._file, bytes(self._early))
        self._early.clear()
        self._writer.step(self._conn, file=self._file, channel=channel)

    def data(self, view: memoryview) -> None:
        """Bytes that arrived."""
        if self._file:
            self._writer.write(self._file, view)
        else:
            self._early += view

    def item(self, item: Item) -> None:
        """What they mean."""
        if item.record not in ("Bytes", "Close"):
            self._writer.step(self._conn, item.record, bytes=item.size, more=words(item))

    def reply(self, item: Item) -> None:
        """A message of the return path is written."""
        for part in item.parts:
            self._writer.write(RETURN, part)
        self._writer.step(self._conn, item.record, bytes=item.size, back=True, more=words(item))

    def closed(self, why: str) -> None:
        """No more bytes will come."""
        self.finish()
        self._writer.step(self._conn, closed=why)

    def finish(self) -> None:
        """Keep also what a connection said that never said what it is."""
        if not self._file and self._early:
            self.named(None)
