"""The main channel of a virtual run, both directions: real records and messages, modelled passage."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu.destination.mainchannel import End
from migemu.errors import MigemuError
from migemu.lab.virtual.memory import Carried
from migemu.lab.virtual.wire import Pipe
from migemu.source.stream import Stream
from migemu.wire.buffers import HeapPool
from migemu.wire.mainreader import MainReader
from migemu.wire.mainwriter import vfio_data_header
from migemu.wire.records import Section, VfioData
from migemu.wire.returnpath import ReturnPathReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.destination.core import Core
    from migemu.link.pacing import Pacer
    from migemu.source.mainwriter import MainWriter
    from migemu.source.returnpath import ReturnPath
    from migemu.threads.api import Threads
    from migemu.vfio.save import SaveDevice

DATA_HEADER = len(vfio_data_header(0))


class DataChunk:
    """A DATA block whose bytes exist only as a place and a size."""

    def __init__(self, device: str, span: Any) -> None:
        self.device = device
        self.span = span

    def __len__(self) -> int:
        return DATA_HEADER + len(self.span)


class VirtualStream(Stream):
    """The source's records; only DATA blocks are not turned into bytes."""

    def __init__(self, main: MainWriter, machine: str, uuid: bytes, devices: Sequence[SaveDevice]) -> None:
        super().__init__(main, machine, uuid)
        self._devices = devices
        self._device = ""

    def device_part_begin(self, number: int) -> None:
        """Remember whose section this is."""
        self._device = self._devices[number].model.name
        super().device_part_begin(number)

    def device_end_begin(self, number: int) -> None:
        """Remember whose section this is."""
        self._device = self._devices[number].model.name
        super().device_end_begin(number)

    def device_data(self, view: Any) -> None:
        """A DATA block, as a place and a size."""
        chunk: Any = DataChunk(self._device, view)
        self._main.write(chunk)
        self._main.flush()


class VirtualMain:
    """The main connection: an outlet of the source's writer, the stream's reader, and the return path."""

    def __init__(self, threads: Threads, pacer: Pacer) -> None:
        self.writer: MainWriter | None = None
        self.returns: ReturnPath | None = None
        self.core: Core | None = None
        self.failure: MigemuError | None = None
        self._reader = MainReader(HeapPool())
        self._answers = ReturnPathReader()
        self._lock = threads.lock("main channel room")
        self._room = threads.condition(self._lock, "main channel room")
        self._full = False
        self.out: Pipe[Any] = Pipe(threads, "main", pacer, "main", self._sent, self._arrive)
        self.back: Pipe[bytes] = Pipe(threads, "return path", pacer, "return", _nothing, self._answer)

    def start(self, chunks: tuple[Any, ...]) -> None:
        """From the migration thread: send `chunks`."""
        for chunk in chunks:
            self.out.put(chunk, len(chunk))

    def reply(self, data: bytes) -> None:
        """From the destination: send `data` on the return path."""
        self.back.put(data, len(data))

    def _sent(self, _chunk: Any, size: int) -> None:
        if self.writer is not None:
            self.writer.written(size)

    def has_room(self) -> None:
        """From the incoming thread: its queue takes more."""
        with self._lock:
            self._full = False
            self._room.notify_all()

    def _arrive(self, chunk: Any) -> None:
        assert self.core is not None  # noqa: S101  wired before anything arrives
        with self._lock:
            while self._full and self.core.abort.error is None:
                self._room.wait(1.0)
        for record in self._records(chunk):
            if self.core.queue.put(record):
                self._full = True

    def _records(self, chunk: Any) -> list[Any]:
        if isinstance(chunk, DataChunk):
            return [VfioData(Section(chunk.device), Carried(chunk.span))]  # type: ignore[arg-type]  # a span without bytes
        if isinstance(chunk, End):
            return [chunk]
        try:
            return list(self._reader.feed(chunk))
        except MigemuError as error:
            return [End(error)]

    def _answer(self, data: bytes) -> None:
        """What the source's connection does with a message."""
        try:
            for message in self._answers.feed(data):
                if self.returns is not None:
                    self.returns.message(message)
        except MigemuError as error:
            self.failure = error
            if self.returns is not None:
                self.returns.end(error)

    def end(self, error: MigemuError | None) -> None:
        """The source has closed its half."""
        closing: Any = End(error)
        closing_size = 0
        self.out.put(closing, closing_size)

    def close(self) -> None:
        """Nothing more is sent in either direction."""
        self.out.close()
        self.back.close()


def _nothing(_item: bytes, _size: int) -> None:
    """Nobody waits for a message of the return path to have left."""
