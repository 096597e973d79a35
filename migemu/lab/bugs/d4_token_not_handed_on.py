"""D4: whoever gets a wake-up token after a failure keeps it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import CancelledMigrationError
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system_faults import CHANNEL_FAILS
from migemu.lab.system_source import SourceSetup
from migemu.source.channels import Packet, SendChannels

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.errors import MigemuError
    from migemu.source.channels import Outlet
    from migemu.threads.api import Threads
    from migemu.threads.sync import Abort, Patience


class TokenChannels(SendChannels):
    """QEMU's multifd_send: a mutex round the wait for a token, one token for each channel that is free.

    A failure posts one token for each channel, and who finds `exiting` set on waking returns.
    """

    hands_on = True

    def __init__(self, threads: Threads, abort: Abort, patience: Patience, outlets: Sequence[Outlet]) -> None:
        super().__init__(threads, abort, patience, outlets)
        self._send_mutex = threads.lock("multifd_send mutex")
        self._count_lock = threads.lock("channels_ready count")
        self._posted = threads.condition(self._count_lock, "channels_ready posted")
        self._tokens = len(outlets)
        abort.on_abort(self._post_for_all)

    def send(self, packet: Packet) -> int:
        """Hand `packet` over to the channel that the token stands for."""
        self._abort.check()
        with self._send_mutex:
            self._take_token()
            self._leave_if_failed()
            with self._mutex:
                channel = self._free.popleft()
                self._busy[channel] = packet
        self._outlets[channel].start(packet)
        return channel

    def _take_token(self) -> None:
        with self._count_lock:
            while not self._tokens:
                self._posted.wait()
            self._tokens -= 1

    def _post(self) -> None:
        with self._count_lock:
            self._tokens += 1
            self._posted.notify()

    def _leave_if_failed(self) -> None:
        if self._abort.error is not None:
            if self.hands_on:
                self._post()
            raise CancelledMigrationError("the channels are exiting")

    def _post_for_all(self, _error: MigemuError) -> None:
        for _ in range(len(self)):
            self._post()

    def done(self, channel: int) -> None:
        """The channel is free: a token for it."""
        super().done(channel)
        self._post()


class KeepsToken(TokenChannels):
    """The token that woke a waiter is gone when it returns."""

    hands_on = False


SCENARIO = stock("devices=3", "device.*.state_size=64", "migration.channels=1")

BUG = Bug(
    name="D4",
    title="more save threads than channels, and a wake-up that is not handed on",
    story=Story(
        mechanism="""With more save threads than channels several wait to send, one of them for a token,
        the others for the send mutex that it holds. When a channel fails each channel posts one token. A
        waiter that gets one sees that the channels are exiting and returns with it; the next one takes
        the mutex and waits for a token. There were as many as channels: later waiters sleep inside the
        send mutex, and the join of the save threads never ends.""",
        happened="A hypothesis from reading 10.2.2.",
        fix="What would mend it: hand the token on before returning, or look at `exiting` in the wait.",
        versions="10.0 to 10.2.2 by reading",
        evidence="a hypothesis: derived from the source, modelled here",
    ),
    changed="one wake-up: a waiter that leaves after a failure does not hand its token on, as in QEMU 10.2",
    breaks="wait-without-end",
    broken=SourceSetup(SCENARIO, KeepsToken, name="D4 broken", syncs=0),
    correct=SourceSetup(SCENARIO, TokenChannels, name="D4 correct", syncs=0),
    instead="""the same with the token handed on. This source has no tokens: every wait for a channel is
    woken by the abort.""",
    hunt=Hunt(schedules=5000, rules=Rules(faults=frozenset({CHANNEL_FAILS}))),
    hypothesis=True,
)
