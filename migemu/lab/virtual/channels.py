"""Multifd channels of a virtual run: the source's outlets, the destination's readers, a pipe between."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from migemu.destination.channel import RECEIVE_THREAD
from migemu.errors import MigemuError
from migemu.lab.virtual.memory import BLOCK, PAGES_PER_PACKET, Carried, RamPayload
from migemu.lab.virtual.wire import Pipe
from migemu.wire.multifd import (
    COMMON,
    DEVICE_HEADER,
    DEVICE_HEADER_SIZE,
    DEVICE_STATE,
    PAGE_SIZE,
    DevicePacket,
    RamPacket,
    sync_packet,
)
from migemu.wire.text import padded_name
from migemu.wire.vfio import FLAG_CONFIG, VFIO_HEADER

if TYPE_CHECKING:
    from migemu.destination.core import Core
    from migemu.link.pacing import Pacer
    from migemu.source.channels import Packet, SendChannels
    from migemu.threads.api import Threads


NOWHERE = np.zeros(PAGES_PER_PACKET, np.uint64)
"""Where the pages of a packet would be."""


class VirtualChannel:
    """One channel: an outlet of :class:`~migemu.source.channels.SendChannels`, and its reader's holds."""

    def __init__(self, threads: Threads, number: int, pacer: Pacer) -> None:
        self.number = number
        self.channels: SendChannels | None = None
        self.core: Core | None = None
        self._lock = threads.lock(f"channel {number} holds")
        self._freed = threads.condition(self._lock, f"channel {number} reads on")
        self._holds: set[str] = {"setup"}
        self._closed = False
        self.pipe: Pipe[Packet] = Pipe(threads, f"channel {number}", pacer, number, self._sent, self._arrive)

    def start(self, packet: Packet) -> None:
        """From a save thread or the migration thread: send `packet`."""
        self.pipe.put(packet, len(packet))

    def _sent(self, _packet: Packet, _size: int) -> None:
        assert self.channels is not None  # noqa: S101  wired before anything is sent
        self.channels.done(self.number)

    def release(self, reason: str) -> None:
        """From any thread: `reason` no longer holds this channel."""
        if reason == RECEIVE_THREAD and self.core is not None and self.core.busy(self.number):
            return
        with self._lock:
            self._holds.discard(reason)
            self._freed.notify_all()

    def close(self) -> None:
        """The migration is over: nothing is read any more."""
        with self._lock:
            self._closed = True
            self._freed.notify_all()
        self.pipe.close()

    def _arrive(self, packet: Packet) -> None:
        """What the channel protocol does with a packet, on the thread that reads this channel."""
        core = self.core
        assert core is not None  # noqa: S101  wired before anything arrives
        if self._holds:  # virtual threads change only where they wait: a look needs no lock
            self._wait()
        if self._closed:
            return
        try:
            self._hand_over(core, decode(packet))
        except MigemuError as error:
            core.failed(error.at(channel=self.number))

    def _hand_over(self, core: Core, packet: DevicePacket | RamPacket) -> None:
        self._admit(core, packet)
        if not core.packet(self.number, packet):
            self._holds.add(RECEIVE_THREAD)
        if isinstance(packet, RamPacket) and packet.flags:
            self._holds.add("sync")
            core.at_sync(self.number)

    def _admit(self, core: Core, packet: DevicePacket | RamPacket) -> None:
        """Wait at the head of a packet that its device's queue has no room for."""
        flow = core.plan.flow
        if flow is None or not isinstance(packet, DevicePacket):
            return
        config = packet.is_config
        while not flow.admit(self.number, packet.device, packet.idx, len(packet.data.view), is_config=config):
            self._holds.add("queue cap")
            self._wait()

    def _wait(self) -> None:
        with self._lock:
            while self._holds and not self._closed:
                self._freed.wait()


def decode(packet: Packet) -> DevicePacket | RamPacket:
    """What the reader of a real channel would have made of these bytes."""
    payload: Any = packet.payload
    if isinstance(payload, RamPayload):
        return ram_packet_of(payload)
    _, _, flags = COMMON.unpack_from(packet.header)
    if not flags & DEVICE_STATE:
        return sync_packet(0)
    _, _, _, raw, instance, _ = DEVICE_HEADER.unpack_from(packet.header)
    version, idx, marks = VFIO_HEADER.unpack_from(packet.header, DEVICE_HEADER_SIZE)
    data: Any = Carried(payload if payload is not None else memoryview(b""))
    return DevicePacket(padded_name(raw, "device"), instance, version, idx, marks & FLAG_CONFIG, data)


def ram_packet_of(payload: RamPayload) -> RamPacket:
    """A packet that says how many pages came, and holds none."""
    normal, zero = NOWHERE[: payload.pages], NOWHERE[: payload.zero]
    pages: Any = payload
    return RamPacket(0, BLOCK, PAGE_SIZE, normal, zero, payload.packet, PAGES_PER_PACKET, len(payload), pages)
