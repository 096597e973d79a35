"""B20: the count of ready channels drifts away from the channels that are ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.stock import stock
from migemu.lab.system_source import SourceSetup, SourceSystem
from migemu.source.channels import Packet, SendChannels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.source.channels import Outlet
    from migemu.threads.api import Threads
    from migemu.threads.controlled import ControlledThreads
    from migemu.threads.sync import Abort, Patience


class CountedChannels(SendChannels):
    """Counts tokens, as QEMU's channels_ready semaphore: one for each channel that may be given something."""

    sync_takes_token = True

    def __init__(self, threads: Threads, abort: Abort, patience: Patience, outlets: Sequence[Outlet]) -> None:
        super().__init__(threads, abort, patience, outlets)
        self.tokens = len(outlets)

    def send(self, packet: Packet) -> int:
        """Take a token; it says that some channel is free."""
        with self._mutex:
            self._wait(self._ready, lambda: self.tokens > 0, "a token")
            self.tokens -= 1
            if not self._may_take(owed=False):
                return self._look_again(packet)
            channel = self._take(owed=False)
            self._busy[channel] = packet
        self._outlets[channel].start(packet)
        return channel

    def _look_again(self, packet: Packet) -> int:
        """A token, but no channel: the sender goes round and round until there is one."""
        self._threads.point("multifd_send_busy_loop", bytes=len(packet))
        raise AssertionError("a token without a channel: the sender spins")

    def _take(self, *, owed: bool) -> int:
        """A channel for a SYNC, when it is owed one; its mutex is held."""
        if owed and self.sync_takes_token:
            self.tokens -= 1
        return super()._take(owed=owed)

    def done(self, channel: int) -> None:
        """The channel may be given something again: one token."""
        with self._mutex:
            self.tokens += 1
        super().done(channel)


class SyncTakesNone(CountedChannels):
    """SYNC does not take the token that the end of its writing gives back."""

    sync_takes_token = False


class CountedSystem(SourceSystem):
    """Compares the count with the channels once everything has been written."""

    def build(self, threads: ControlledThreads) -> None:
        """State the invariant."""
        super().build(threads)
        threads.invariant("tokens-are-channels", self._compare)

    def _compare(self) -> str | None:
        channels = self.channels
        assert isinstance(channels, CountedChannels)  # noqa: S101  the setup says so
        if self.ended and channels.tokens != len(channels):
            return (
                f"{channels.tokens} tokens for {len(channels)} free channels after {self.setup.syncs} rounds"
            )
        return None


SCENARIO = stock("devices=0")

BUG = Bug(
    name="B20",
    title="more tokens than ready channels",
    story=Story(
        mechanism="""A sender takes a token from channels_ready and then looks for the free channel that
        it stands for. The SYNC of each round did not take the channels' tokens, but each channel gave one
        back when it had written it: after k rounds there were k tokens too many for each channel, and
        senders that found a token but no channel went round in a loop.""",
        happened="Upstream, seen as a sender that burns a core.",
        fix="SYNC takes the tokens too.",
        versions="fixed in 8.1 (April 2023)",
        links=("d2026ee11714 (Fix the number of channels ready)",),
    ),
    changed="one guard: a SYNC takes a channel without taking its token",
    breaks="tokens-are-channels",
    broken=SourceSetup(SCENARIO, SyncTakesNone, CountedSystem, name="B20 broken", syncs=2),
    correct=SourceSetup(SCENARIO, CountedChannels, CountedSystem, name="B20 correct", syncs=2),
    instead="""the same count with SYNC taking its tokens; this source has no count, it looks at the free
    list""",
    hunt=Hunt(schedules=200, length=30),
)
