"""The readers where they live: under a BufferedProtocol, on asyncio's loop and on uvloop's."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
import uvloop

from migemu.wire.buffers import HeapPool
from migemu.wire.encode import encode_packet, encode_record
from migemu.wire.hello import HELLO_SIZE
from migemu.wire.mainreader import MainReader
from migemu.wire.multifd import encode_device_header, encode_ram_header, sync_packet
from migemu.wire.reader import PacketReader

if TYPE_CHECKING:
    from collections.abc import Callable

    from wire.conftest import Captured

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Connection(asyncio.BufferedProtocol):
    """Collects what a reader makes of a socket; passes a barrier a moment after it was met."""

    def __init__(self, reader: MainReader | PacketReader) -> None:
        self.reader = reader
        self.items: list[Any] = []
        self.ended = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002  asyncio's signature
        return self.reader.get_buffer()

    def buffer_updated(self, nbytes: int) -> None:
        self.deliver(self.reader.received(nbytes))

    def deliver(self, items: list[Any]) -> None:
        self.items += items
        if isinstance(self.reader, PacketReader) and self.reader.parked:
            self.transport.pause_reading()
            asyncio.get_running_loop().call_soon(self.go_on, self.reader)

    def go_on(self, reader: PacketReader) -> None:
        self.transport.resume_reading()
        self.deliver(reader.resume())

    def connection_lost(self, exc: Exception | None) -> None:
        self.ended.set_result(exc)


async def receive(reader: MainReader | PacketReader, data: bytes) -> list[Any]:
    """Send `data` through a pair of sockets into `reader`."""
    loop = asyncio.get_running_loop()
    ours, theirs = socket.socketpair()
    theirs.setblocking(False)
    _, connection = await loop.connect_accepted_socket(lambda: Connection(reader), ours)
    await loop.sock_sendall(theirs, data)
    theirs.close()
    assert await connection.ended is None
    reader.ended()
    return connection.items


def on(loop: str, reader: MainReader | PacketReader, data: bytes) -> list[Any]:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        return runner.run(receive(reader, data))


@pytest.mark.parametrize("loop", LOOPS)
def test_a_recorded_main_channel(captured: Captured, loop: str) -> None:
    raw = captured("qemu-10.0-none-0ch")["main.bin"]
    assert b"".join(map(encode_record, on(loop, MainReader(HeapPool()), raw))) == raw


@pytest.mark.parametrize("loop", LOOPS)
def test_a_recorded_multifd_channel(captured: Captured, loop: str) -> None:
    raw = captured("qemu-7.2-none-2ch")["mfd0.bin"][HELLO_SIZE:]
    assert b"".join(map(encode_packet, on(loop, PacketReader(HeapPool()), raw))) == raw


@pytest.mark.parametrize("loop", LOOPS)
def test_packets_of_every_size_between_barriers(loop: str) -> None:
    sizes = [0, 1, 4096, 65535, 65536, 1 << 20, 3, 1 << 21, 100, 300_000]
    sync = encode_ram_header(sync_packet(7))
    raw = b"".join(
        encode_device_header("0000:00:01.0/vfio", 0, idx, 0, size) + bytes([idx]) * size + sync
        for idx, size in enumerate(sizes)
    )
    assert b"".join(map(encode_packet, on(loop, PacketReader(HeapPool()), raw))) == raw
