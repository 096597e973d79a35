"""The barrier behind a pass over RAM: one SYNC a channel, each with a number of its own, and said so."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from migemu.lab.virtual.memory import VirtualRamSender
from migemu.source.ramsend import RamSender, SyncSender
from migemu.wire.multifd import encode_ram_header, sync_packet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migemu.source.channels import Packet


class Channels:
    """Three channels, which become free last one first."""

    def __init__(self) -> None:
        self.headers: list[bytes] = []

    def send_on_each(self, make: Callable[[int], Packet]) -> Iterator[int]:
        for channel in (2, 1, 0):
            self.headers.append(bytes(make(channel).header))
            yield channel


@pytest.mark.parametrize("kind", [SyncSender, RamSender, VirtualRamSender])
def test_every_sync_has_the_next_number_whichever_channel_it_takes(kind: type[SyncSender]) -> None:
    events: list[tuple[str, Any, Any]] = []
    threads: Any = SimpleNamespace(
        point=lambda event, **said: events.append((event, said.get("channel"), said.get("idx")))
    )
    channels: Any = Channels()
    sender = object.__new__(kind)
    SyncSender.__init__(sender, threads, channels)
    sender.sync()
    sender.sync()
    assert channels.headers == [encode_ram_header(sync_packet(number)) for number in range(6)]
    sent = [(channel, idx) for event, channel, idx in events if event == "multifd_send_packet"]
    assert sent == [(2, 0), (1, 1), (0, 2), (2, 3), (1, 4), (0, 5)]
    assert (sender.packets, sender.syncs) == (6, 2)
