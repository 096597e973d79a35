"""How often a channel is called while a large payload trickles in; its last byte is not forgotten."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest

from migemu.destination.channel import CALLED_FROM, ChannelProtocol
from migemu.wire.buffers import HeapPool
from migemu.wire.multifd import DevicePacket, encode_device_header
from migemu.wire.reader import PacketReader

if TYPE_CHECKING:
    from migemu.errors import MigemuError

PIECE = 10_000
SIZES = [2 * CALLED_FROM + 12_345, 77, 200_000, 3]
DEVICE = "0000:00:01.0/vfio"


class Arrivals:
    """A receiver that keeps the sizes of packets, and the end."""

    def __init__(self) -> None:
        self.sizes: list[int] = []
        self.over: asyncio.Future[MigemuError | None] = asyncio.get_running_loop().create_future()

    def packet(self, _channel: int, packet: DevicePacket) -> bool:
        self.sizes.append(len(packet.data))
        packet.data.release()
        return True

    def busy(self, _channel: int) -> bool:
        return False

    def channel_ended(self, _channel: int, error: MigemuError | None) -> None:
        self.over.set_result(error)

    def failed(self, error: MigemuError) -> None:
        self.over.set_result(error)


class Counted(ChannelProtocol):
    """Counts how often it was called with bytes."""

    calls = 0

    def buffer_updated(self, nbytes: int) -> None:
        self.calls += 1
        super().buffer_updated(nbytes)


async def connected() -> tuple[socket.socket, socket.socket]:
    """Two ends of one TCP connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.setblocking(False)
    far.setblocking(False)
    return near, far


async def adopt(end: socket.socket, arrivals: Any) -> Counted:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=end)
    protocol = Counted(0, transport, PacketReader(HeapPool()), arrivals, loop)
    transport.set_protocol(protocol)
    protocol.release("setup")
    return protocol


@pytest.mark.asyncio
async def test_a_large_payload_in_small_pieces_costs_few_calls_and_arrives_to_its_last_byte() -> None:
    """Packets of all sizes follow one another, and the one behind a large one is not waited for in vain."""
    near, far = await connected()
    arrivals = Arrivals()
    protocol = await adopt(far, arrivals)
    said = b"".join(encode_device_header(DEVICE, 0, idx, 0, n) + bytes(n) for idx, n in enumerate(SIZES))
    loop = asyncio.get_running_loop()
    for at in range(0, len(said), PIECE):
        await loop.sock_sendall(near, said[at : at + PIECE])
        await asyncio.sleep(0.001)  # whoever is called for every piece is called now
    near.close()
    assert await asyncio.wait_for(arrivals.over, 10) is None
    assert arrivals.sizes == SIZES
    assert protocol.calls < len(said) / PIECE / 4
