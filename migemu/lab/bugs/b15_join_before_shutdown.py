"""B15: threads are joined while the socket they are stuck in is still open."""

from __future__ import annotations

import math

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system_faults import CHANNEL_FAILS
from migemu.lab.system_source import SourceSetup, SourceSystem


class JoinsFirst(SourceSystem):
    """A lost channel has the threads joined; only then are they told."""

    def lost(self, channel: int) -> None:
        """Join, then shut down."""
        self.pool.join(math.inf)
        super().lost(channel)


SCENARIO = stock("devices=2", "device.*.state_size=64", "migration.channels=1")
RULES = Rules(faults=frozenset({CHANNEL_FAILS}))

BUG = Bug(
    name="B15",
    title="a refused channel leaves both sides hanging",
    story=Story(
        mechanism="""A channel is reset right after it connected. The source's main thread joins the
        threads that send, and those are stuck in a send that nobody will end; the destination's receive
        threads sleep on a semaphore that nobody will post.""",
        happened="16 channels, a SYN flood, a reset on one of them (Li Zhang, December 2021).",
        fix="Shut the sockets down before joining. The destination's half was left open, see D2.",
        versions="fixed in 7.0 on the source",
        links=("077fbb5942b5",),
    ),
    changed="one order: the save threads are joined before they are told that the migration has failed",
    breaks="wait-without-end",
    broken=SourceSetup(SCENARIO, system=JoinsFirst, name="B15 broken"),
    correct=SourceSetup(SCENARIO, name="B15 correct"),
    instead="""the source as it is: a lost channel aborts, which wakes whoever waits for a channel, then
    joins""",
    hunt=Hunt(rules=RULES),
)
