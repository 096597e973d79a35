"""What the first words of a main channel tell of its source: migemu or QEMU, its machine, its RAM.

A source that is migemu announces itself with its first command. A QEMU goes on to the setup of ``ram``, whose
section ends, flushed, before anything that has to be acted on: so it can be read to there before there is
anything to load it into. Whether its barriers are FLUSH words is seen there as well, which the machine type's
name cannot tell of ``none``.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from migemu.errors import ConnectionLostError, MigemuError
from migemu.handoff.machine_types import MachineType, machine_type
from migemu.wire import records as r
from migemu.wire.extension import CMD_EXTENSION

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.wire.mainreader import MainReader

MAGIC: Final = b"QEVM"

UNNAMED: Final = "none"
"""What a stream without CONFIGURATION counts as: QEMU's machine without a version."""


@dataclass(slots=True)
class Opening:
    """What has come so far."""

    machine: str = UNNAMED
    """The machine type's name."""
    uuid: bytes | None = None
    blocks: tuple[r.RamBlock, ...] = ()
    flush: bool = False
    """The setup's barrier is a FLUSH word: multifd is on, and so is every later barrier."""
    migemu: bool = False
    """The source announced migemu's extension."""
    complete: bool = False
    """It is known what the source is."""
    records: list[r.Record] = field(default_factory=list)
    """All of it, in order, to be acted on."""

    @property
    def version(self) -> MachineType:
        """The machine type."""
        return machine_type(self.machine)

    def take(self, records: Iterable[r.Record]) -> None:
        """Look at what came next."""
        for record in records:
            self.records.append(record)
            if not self.complete:
                self._look(record)

    def _look(self, record: r.Record) -> None:
        if isinstance(record, r.Configuration):
            self.machine, self.uuid = record.machine, record.uuid
        elif isinstance(record, r.RamBlocks):
            self.blocks = record.blocks
        elif isinstance(record, r.RamFlush):
            self.flush = True
        elif isinstance(record, r.Command) and record.number == CMD_EXTENSION:
            self.migemu = self.complete = True
        elif isinstance(record, r.RamEos | r.Eof):
            self.complete = True


class OpeningProtocol(asyncio.BufferedProtocol):
    """Reads a main channel behind its magic until its opening is complete, and no further.

    Args:
        transport: the connection, paused.
        reader: the main stream's; whoever reads on uses it too.

    Attributes:
        opening: what came.
        done: set when it is complete, or failed.
    """

    def __init__(self, transport: asyncio.Transport, reader: MainReader) -> None:
        self._transport = transport
        self._reader = reader
        self.opening = Opening()
        self.done: asyncio.Future[Opening] = asyncio.get_running_loop().create_future()

    def begin(self) -> None:
        """Take the connection over."""
        self._transport.set_protocol(self)
        self.opening.take(self._reader.feed(MAGIC))
        self._transport.resume_reading()

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        """Where the next socket bytes go."""
        return self._reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        """Look at every record that is complete."""
        try:
            self.opening.take(self._reader.received(nbytes))
        except MigemuError as error:
            self._fail(error.at(channel="main"))
            return
        if self.opening.complete and not self.done.done():
            self._transport.pause_reading()
            self.done.set_result(self.opening)

    def _fail(self, error: MigemuError) -> None:
        self._transport.pause_reading()
        if not self.done.done():
            self.done.set_exception(error)

    def eof_received(self) -> bool:
        """The source went away."""
        self._fail(ConnectionLostError("closed in its first words", channel="main"))
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """As for its end, or worse."""
        self._fail(ConnectionLostError(f"lost in its first words: {exc or 'closed'}", channel="main"))
