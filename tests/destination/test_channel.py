"""A multifd channel: read on only while nothing holds it, and its end told for what it was."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from migemu.destination.channel import RECEIVE_THREAD, TURN_FROM, ChannelProtocol
from migemu.errors import MigemuError, WireError
from migemu.wire.buffers import Buffer, HeapPool
from migemu.wire.encode import encode_packet
from migemu.wire.multifd import DevicePacket, ram_packet, sync_packet
from migemu.wire.reader import PacketReader

if TYPE_CHECKING:
    from migemu.wire.multifd import Packet

SYNC = encode_packet(sync_packet(0))
DATA = encode_packet(DevicePacket("0000:00:01.0/vfio", 0, 0, 0, 0, Buffer.copy_of(b"data")))
LARGE = encode_packet(DevicePacket("0000:00:01.0/vfio", 0, 0, 0, 0, Buffer.copy_of(bytes(TURN_FROM))))
ZERO = encode_packet(ram_packet("ram", np.empty(0, np.uint64), np.array([4096], np.uint64), 1))


class Transport:
    """A connection that only remembers whether it is read."""

    def __init__(self) -> None:
        self.reading = True
        self.aborted = False

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, _name: str) -> None:
        """There is no socket behind it."""


class Receiver:
    """Takes packets, and says what a story wants."""

    def __init__(self) -> None:
        self.packets: list[Packet] = []
        self.syncs = 0
        self.ends: list[MigemuError | None] = []
        self.failures: list[MigemuError] = []
        self.working = False

    def packet(self, _channel: int, packet: Any) -> bool:
        self.packets.append(packet)
        return not self.working

    def busy(self, _channel: int) -> bool:
        return self.working

    def at_sync(self, _channel: int) -> None:
        self.syncs += 1

    def channel_ended(self, _channel: int, error: MigemuError | None) -> None:
        self.ends.append(error)

    def failed(self, error: MigemuError) -> None:
        self.failures.append(error)


class Bench:
    """One channel, its ends in a story's hands."""

    def __init__(self, *, secure: bool = False, turns: bool = False, admit: Any = None) -> None:
        self.transport, self.receiver = Transport(), Receiver()
        reader = PacketReader(HeapPool(), admit=admit)
        loop = asyncio.get_running_loop()
        ends: tuple[Any, Any] = self.transport, self.receiver
        self.channel = ChannelProtocol(2, ends[0], reader, ends[1], loop, secure=secure, turns=turns)

    async def release(self, reason: str) -> None:
        self.channel.release(reason)
        await asyncio.sleep(0)

    def come(self, data: bytes) -> None:
        room = self.channel.get_buffer(-1)
        room[: len(data)] = data
        self.channel.buffer_updated(len(data))

    @property
    def reading(self) -> bool:
        return self.transport.reading


async def test_nothing_is_read_before_the_destination_is_set_up() -> None:
    bench = Bench()
    assert not bench.reading
    await bench.release("setup")
    assert bench.reading


async def test_behind_a_large_packet_it_is_another_channels_turn() -> None:
    bench = Bench(turns=True)
    await bench.release("setup")
    bench.come(LARGE)
    assert (len(bench.receiver.packets), bench.reading) == (1, False)
    await asyncio.sleep(0)
    assert bench.reading, "and when the loop has come round, its own again"
    bench.come(DATA + DATA)
    assert (len(bench.receiver.packets), bench.reading) == (3, True), "small ones hold nobody up"


async def test_a_connection_that_ends_with_its_turn_has_ended() -> None:
    bench = Bench(turns=True)
    await bench.release("setup")
    bench.come(LARGE)
    bench.channel.connection_lost(None)
    await asyncio.sleep(0)
    assert bench.receiver.ends == [None]


async def test_behind_a_sync_nothing_is_looked_at_before_the_barrier() -> None:
    bench = Bench()
    await bench.release("setup")
    bench.come(DATA + SYNC + DATA)
    assert (len(bench.receiver.packets), bench.receiver.syncs, bench.reading) == (2, 1, False)
    await bench.release("sync")
    assert (len(bench.receiver.packets), bench.reading) == (3, True)


async def test_a_channel_without_room_waits_until_there_is_some() -> None:
    answers = iter([False, False, True])
    bench = Bench(admit=lambda _: next(answers))
    await bench.release("setup")
    bench.come(DATA)
    await bench.release("queue cap")
    assert (bench.receiver.packets, bench.reading) == ([], False), "asked again, and still no room"
    await bench.release("queue cap")
    assert (len(bench.receiver.packets), bench.reading) == (1, True)


async def test_a_channel_whose_thread_was_given_more_meanwhile_is_not_read_yet() -> None:
    bench = Bench()
    await bench.release("setup")
    bench.receiver.working = True
    bench.come(DATA)
    await bench.release(RECEIVE_THREAD)
    assert not bench.reading
    bench.receiver.working = False
    await bench.release(RECEIVE_THREAD)
    assert bench.reading


async def test_one_hold_gone_leaves_the_other() -> None:
    bench = Bench()
    await bench.release("setup")
    bench.receiver.working = True
    bench.come(SYNC + DATA)
    await bench.release("sync")
    assert (len(bench.receiver.packets), bench.reading) == (1, False)
    bench.receiver.working = False
    await bench.release(RECEIVE_THREAD)
    assert (len(bench.receiver.packets), bench.reading) == (2, True)


async def test_a_close_between_packets_is_an_end_and_one_inside_a_loss() -> None:
    bench = Bench()
    await bench.release("setup")
    bench.come(DATA)
    bench.channel.connection_lost(None)
    assert bench.receiver.ends == [None]
    other = Bench()
    await other.release("setup")
    other.come(DATA[:-1])
    other.channel.connection_lost(None)
    assert "ended inside a DEVICE_STATE packet" in str(other.receiver.ends[0])


async def test_over_tls_a_close_without_a_goodbye_is_a_cut() -> None:
    bench = Bench(secure=True)
    await bench.release("setup")
    bench.channel.connection_lost(None)
    assert "closed without TLS's goodbye" in str(bench.receiver.ends[0])
    other = Bench(secure=True)
    await other.release("setup")
    assert not other.channel.eof_received()
    other.channel.connection_lost(None)
    assert other.receiver.ends == [None]


async def test_what_waits_behind_a_sync_is_read_although_the_peer_has_gone() -> None:
    bench = Bench()
    await bench.release("setup")
    bench.come(SYNC + ZERO)
    bench.channel.connection_lost(None)
    assert bench.receiver.ends == [], "it still has something to bring"
    await bench.release("sync")
    assert (len(bench.receiver.packets), bench.receiver.ends) == (2, [None])


async def test_a_reset_ends_it_at_once_whatever_holds_it() -> None:
    bench = Bench()
    bench.channel.connection_lost(ConnectionResetError("by peer"))
    assert "connection failed: by peer" in str(bench.receiver.ends[0])


async def test_bytes_that_break_the_protocol_end_the_migration_and_are_told_once() -> None:
    bench = Bench()
    await bench.release("setup")
    bench.come(b"\xff" * len(SYNC))
    bench.channel.connection_lost(None)
    assert isinstance(bench.receiver.failures[0], WireError)
    assert bench.receiver.failures[0].channel == 2
    assert (bench.transport.aborted, bench.receiver.ends) == (True, [])


@pytest.mark.parametrize("reason", ["sync", RECEIVE_THREAD])
async def test_a_closed_channel_is_not_read_again(reason: str) -> None:
    bench = Bench()
    await bench.release("setup")
    bench.come(SYNC + DATA)
    bench.channel.close()
    await bench.release(reason)
    assert (len(bench.receiver.packets), bench.reading, bench.receiver.ends) == (1, False, [])
