"""B21: two senders hand their packets to the same channel."""

from __future__ import annotations

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system_source import SourceSetup
from migemu.source.channels import Packet, SendChannels

FOUND = "multifd_send_channel_found"


class OneCallerAssumed(SendChannels):
    """Finds a free channel and takes it, without a lock in between."""

    def send(self, packet: Packet) -> int:
        """Hand `packet` over as if nobody else could be doing the same."""
        with self._mutex:
            self._wait(self._ready, lambda: bool(self._free), "a free multifd channel")
            channel = self._free[0]
        self._threads.point(FOUND, channel=channel)
        with self._mutex:
            if channel in self._free:
                self._free.remove(channel)
            self._busy[channel] = packet
        self._outlets[channel].start(packet)
        return channel


SCENARIO = stock("devices=2", "device.*.state_size=64", "migration.channels=2")

BUG = Bug(
    name="B21",
    title="the hand-over to a channel is not thread safe",
    story=Story(
        mechanism="""multifd_send swaps the caller's buffer with a free channel's without a lock, because
        only the migration thread called it. Save threads are further callers: two of them find the same
        channel free, and the second one's packet takes the place of the first one's.""",
        happened="Seen coming in the series; atomics in versions 1 and 2.",
        fix="A mutex round the hand-over since version 3, without a measurable cost.",
        versions="none released",
        links=("cover.1731773021 (version 3)", "6d644baef203 (send side)"),
    ),
    changed="one lock: finding a free channel and taking it are two holds of the mutex instead of one",
    breaks="one-packet-a-channel",
    broken=SourceSetup(SCENARIO, OneCallerAssumed, name="B21 broken", syncs=0),
    correct=SourceSetup(SCENARIO, name="B21 correct", syncs=0),
    instead="SendChannels as it is: one hold of multifd_send_mutex from the look to the taking",
    hunt=Hunt(rules=Rules(points=frozenset({FOUND}))),
)
