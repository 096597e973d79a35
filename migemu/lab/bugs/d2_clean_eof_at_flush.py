"""D2: a channel closes cleanly while the main thread waits for its SYNC."""

from __future__ import annotations

from migemu.destination.barrier import SyncBarrier
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_faults import CHANNEL_ENDS
from migemu.lab.system_parts import Parts
from migemu.lab.system_stream import eof, flush, switchover_start
from migemu.lab.system_traffic import Traffic, sync


class CountsPosts(SyncBarrier):
    """Waits for so many posts; that a receive thread has ended is no post."""

    def channel_ended(self, channel: int) -> None:
        """Nobody is told."""


SCENARIO = stock("devices=0", "ram.size=4 KiB")
TRAFFIC = Traffic(channels=((sync(),), (sync(),)), main=(flush(), switchover_start(), eof()))

BUG = Bug(
    name="D2",
    title="a clean end of a channel, and the main thread at a FLUSH",
    story=Story(
        mechanism="""A clean end of file at a packet's boundary ends one receive thread without an error.
        If the main thread is at a FLUSH, with the BQL held, it waits for that channel's SYNC post for
        ever. Even on an error the clean-up posts the receive threads' own semaphores, not the one on
        which the main thread sleeps.""",
        happened="""A hypothesis from reading 10.2.2. Cases D2 to D6 of the wire table (a channel closed
        before the last barrier) hang on real 7.2, 10.0 and 11.1: the main loop is dead until it is
        killed.""",
        fix="""What would mend it: a receive thread that ends posts what the main thread waits for, and
        the main thread then looks whether the channel is alive. The barrier here knows which channels are
        gone.""",
        versions="10.0 to 10.2.2 by reading; 7.2, 10.0 and 11.1 seen to hang",
        evidence="derived from the source; the hang was seen on binaries",
    ),
    changed="one wake-up: the end of a channel is not told to who waits for its SYNC, as in QEMU 10.2",
    breaks="wait-without-end",
    broken=Setup(SCENARIO, Parts(barrier=CountsPosts), TRAFFIC, name="D2 broken"),
    correct=Setup(SCENARIO, traffic=TRAFFIC, name="D2 correct"),
    instead="the barrier as it is: the migration fails with the channel that closed before its SYNC",
    hunt=Hunt(rules=Rules(faults=frozenset({CHANNEL_ENDS})), length=30),
    hypothesis=True,
)
