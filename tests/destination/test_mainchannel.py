"""The main channel's protocol: records queue, a full queue stops the reading, the end stands in its place."""

from __future__ import annotations

import asyncio
from typing import Any

from migemu.destination.mainchannel import End, MainProtocol
from migemu.errors import ConnectionLostError, PeerRefusedError
from migemu.threads.native import NativeThreads
from migemu.threads.sync import Abort, Patience, Queue
from migemu.wire import extension
from migemu.wire import mainwriter as w
from migemu.wire import records as r
from migemu.wire.buffers import HeapPool
from migemu.wire.mainreader import MainReader

MAGIC = b"QEVM"
HEAD = w.file_header()[4:] + w.configuration("11.1")
WHOLE = HEAD + w.eof() + w.vmdesc({"page_size": 4096})


class Transport:
    """A connection that remembers what was done with it."""

    def __init__(self) -> None:
        self.reading = True
        self.closing = self.aborted = False
        self.written = b""

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.closing

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.aborted = True


class Bench:
    """One main channel, both of its ends in a story's hands."""

    def __init__(self, *, secure: bool = False, limit: int = 100) -> None:
        threads = NativeThreads()
        self.abort = Abort(threads)
        self.queue: Queue[Any] = Queue(threads, self.abort, "main", limit=limit)
        self.transport = Transport()
        self.ends: list[End] = []
        transport: Any = self.transport
        self.patience = Patience(threads, 1.0)
        reader = MainReader(HeapPool())
        self.main = MainProtocol(
            transport, reader, self.queue, self.patience, self.ends.append, secure=secure
        )
        self.main.feed(MAGIC)

    def come(self, data: bytes) -> None:
        room = self.main.get_buffer(-1)
        room[: len(data)] = data
        self.main.buffer_updated(len(data))

    def queued(self) -> list[Any]:
        found = []
        while (record := self.queue.poll()) is not None:
            found.append(record)
        return found


async def test_records_queue_and_the_end_stands_behind_them() -> None:
    bench = Bench()
    bench.come(WHOLE)
    assert bench.main.eof_received(), "the way back stays open"
    kinds = [type(record) for record in bench.queued()]
    assert kinds == [r.FileHeader, r.Configuration, r.Eof, r.VmDesc, End]
    assert bench.ends == [End(None)]


async def test_a_full_queue_stops_the_reading_until_there_is_room() -> None:
    bench = Bench(limit=2)
    bench.come(WHOLE)
    assert not bench.transport.reading
    bench.queued()
    await asyncio.sleep(0)
    assert bench.transport.reading


async def test_nothing_is_read_again_behind_the_end() -> None:
    bench = Bench(limit=2)
    bench.come(WHOLE)
    bench.main.eof_received()
    bench.queued()
    await asyncio.sleep(0)
    assert not bench.transport.reading


async def test_bytes_that_break_the_protocol_are_the_end_behind_what_was_whole() -> None:
    bench = Bench()
    bench.come(HEAD + b"\x09")
    *before, end = bench.queued()
    assert [type(record) for record in before] == [r.FileHeader, r.Configuration]
    assert "main channel: unknown record type 0x09" in str(end.error)
    assert not bench.transport.reading


async def test_a_stream_that_is_cut_is_told_once_and_as_what_it_was() -> None:
    bench = Bench()
    bench.come(HEAD)
    bench.main.connection_lost(ConnectionResetError("by peer"))
    assert ["connection failed: by peer" in str(end.error) for end in bench.ends] == [True]
    assert bench.main.torn
    other = Bench()
    other.come(HEAD + w.command(1))
    other.main.eof_received()
    other.main.connection_lost(None)
    assert ["without its EOF" in str(end.error) for end in other.ends] == [True]
    assert not other.main.torn


async def test_over_tls_a_close_without_a_goodbye_is_a_cut_even_behind_the_eof() -> None:
    bench = Bench(secure=True)
    bench.come(WHOLE)
    bench.main.connection_lost(None)
    assert isinstance(bench.ends[0].error, ConnectionLostError)
    other = Bench(secure=True)
    other.come(WHOLE)
    assert not other.main.eof_received()
    assert other.ends == [End(None)]


async def test_why_the_source_gives_up_goes_before_all_that_waits() -> None:
    bench = Bench()
    bench.come(HEAD + w.command(extension.CMD_FAILED, b"out of disk"))
    assert isinstance(bench.ends[0].error, PeerRefusedError)
    bench.main.connection_lost(None)
    assert len(bench.ends) == 1


async def test_a_source_that_announced_itself_is_known_before_that_is_acted_on() -> None:
    bench = Bench()
    bench.come(HEAD)
    assert not bench.main.announced
    bench.come(w.command(extension.CMD_EXTENSION, extension.encode_announcement("1", ["clock"])))
    assert bench.main.announced


async def test_what_comes_after_the_last_words_is_read_and_dropped() -> None:
    bench = Bench()
    bench.main.discard()
    bench.come(b"\xff" * 4096)
    assert bench.transport.reading
    assert bench.queued() == []


async def test_answers_go_out_while_the_connection_is_there() -> None:
    bench = Bench()
    bench.main.write(b"one")
    await asyncio.sleep(0)
    bench.main.write_now(b"two")
    bench.transport.closing = True
    bench.main.write_now(b"three")
    assert bench.transport.written == b"onetwo"


async def test_a_peer_that_does_not_take_the_goodbye_is_let_go() -> None:
    bench = Bench()
    await bench.main.close(0.01)
    assert (bench.transport.closing, bench.transport.aborted) == (True, True)
    other = Bench()
    asyncio.get_running_loop().call_soon(other.main.connection_lost, None)
    await other.main.close(30)
    assert not other.transport.aborted
    assert other.ends == [], "our own close is nobody's loss"


async def test_bytes_are_a_sign_of_life() -> None:
    bench = Bench()
    before = bench.patience.last = -1.0
    bench.come(HEAD)
    assert bench.patience.last > before
