"""A source that gives up says why, behind what it wrote last; the destination hears it before all else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from migemu.errors import CancelledMigrationError
from migemu.source.mainwriter import MainWriter
from migemu.source.stream import Stream
from migemu.threads.native import NativeThreads
from migemu.threads.sync import Abort, Patience
from migemu.wire import extension, mainwriter
from migemu.wire import records as r
from migemu.wire.buffers import HeapPool
from migemu.wire.mainreader import MainReader
from security.incoming import Incoming
from security.scripted import Scripted

if TYPE_CHECKING:
    from migemu.source.mainwriter import Chunk

WHY = "cancelled by SIGINT [side=source]"


class Line:
    """An outlet that keeps what it is given, and has room for ever."""

    def __init__(self) -> None:
        self.bytes = b""
        self.writer: Any = None

    def start(self, chunks: tuple[Chunk, ...]) -> None:
        self.bytes += b"".join(chunks)
        self.writer.written(sum(map(len, chunks)))


@pytest.fixture
def line() -> Line:
    return Line()


@pytest.fixture
def stream(line: Line) -> Stream:
    threads = NativeThreads()
    line.writer = MainWriter(threads, Abort(threads), Patience(threads, 1.0), line)
    return Stream(line.writer, "11.1")


class Device:
    """What a stream wants to know of a device."""

    class model:  # noqa: N801  as a device has it
        name = "0000:00:01.0/vfio"
        instance = 0


def begun(stream: Stream) -> None:
    stream.begin()
    stream.device_setup(0, Device())  # type: ignore[arg-type]  # no more is asked of it


def in_a_section(stream: Stream) -> None:
    begun(stream)
    stream.device_part_begin(0)
    stream.device_data(memoryview(b"data"))


def behind_a_section(stream: Stream) -> None:
    in_a_section(stream)
    stream.device_section_end(0)


def behind_the_end(stream: Stream) -> None:
    begun(stream)
    stream.finish({"page_size": 4096})


@pytest.mark.parametrize("so_far", [begun, in_a_section, behind_a_section, behind_the_end])
def test_wherever_the_stream_is_the_reason_can_be_read(stream: Stream, line: Line, so_far: Any) -> None:
    so_far(stream)
    stream.give_up(WHY)
    assert stream.gave_up
    assert MainReader(HeapPool()).feed(line.bytes)[-1] == r.Command(extension.CMD_FAILED, WHY.encode())


def test_a_stream_that_has_not_begun_says_nothing(stream: Stream, line: Line) -> None:
    stream.give_up(WHY)
    assert (line.bytes, stream.gave_up) == (b"", False)


def test_last_words_wait_for_no_room_and_no_abort() -> None:
    threads = NativeThreads()
    abort, line = Abort(threads), Line()
    main = MainWriter(threads, abort, Patience(threads, 0.01), line, limit=1)
    line.writer = type("Deaf", (), {"written": lambda _self, _size: None})()
    main.write(b"full")
    abort.set(CancelledMigrationError("enough"))
    main.last_words(b"why")
    assert line.bytes == b"fullwhy"


def failed(why: bytes) -> bytes:
    return mainwriter.command(extension.CMD_FAILED, why)


def test_a_destination_that_waits_at_a_barrier_hears_it_at_once() -> None:
    """The records before it would never be acted on: the SYNCs they wait for do not come."""
    with Incoming("timeouts.phase=20 s") as destination, Scripted(destination.address) as source:
        source.connect()
        source.setup()
        source.barrier()
        source.say(failed(WHY.encode()))
        assert WHY in source.told()
        source.close()
        assert f"the source failed: {WHY}" in destination.verdict(source)


def test_it_need_not_be_text() -> None:
    with Incoming() as destination, Scripted(destination.address) as source:
        source.connect()
        source.setup()
        source.say(failed(b"\xff\x00\xfe"))
        source.told()
        source.close()
        assert "the source failed: \N{REPLACEMENT CHARACTER}" in destination.verdict(source)
