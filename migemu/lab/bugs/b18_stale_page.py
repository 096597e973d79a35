"""B18: an older copy of a page lands over the newer one."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.destination.barrier import SyncBarrier
from migemu.lab.bugs.bug import Bug, Story
from migemu.lab.bugs.real import Real, Run, breaks, scenario
from migemu.lab.bugs.traffic import page
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts
from migemu.lab.system_stream import eof, flush, switchover_start
from migemu.lab.system_traffic import Traffic, sync

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Threads
    from migemu.threads.sync import Abort, Patience


class CountingBarrier(SyncBarrier):
    """FLUSH waits until every channel has met its SYNC, but no channel stops there."""

    def __init__(self, threads: Threads, abort: Abort, patience: Patience, channels: int) -> None:
        super().__init__(threads, abort, patience, channels)
        self._met = [0] * channels

    def arrive(self, channel: int, resume: Callable[[], None]) -> None:
        """Count it and read on at once."""
        with self._lock:
            self._met[channel] += 1
            self._arrived.notify_all()
        resume()

    def _complete(self) -> bool:
        return min(self._met) > self.rounds


OLD, NEW = 0x0D, 0xE3
SCENARIO = stock("devices=0", "ram.size=4 KiB")
TRAFFIC = Traffic(
    channels=((page(0, OLD), sync(), sync()), (sync(), page(0, NEW), sync())),
    main=(flush(), flush(), switchover_start(), eof()),
)

RULES = """
[[order]]
name = "first-copy-on-0"
type = "move"
stream = "out"
select = { flag = "ram", nth = 1 }
attributes = { to = 0 }

[[order]]
name = "second-copy-on-1"
type = "move"
stream = "out"
select = { flag = "ram", nth = 2 }
attributes = { to = 1 }

[[order]]
name = "written-again-before-the-round-ends"
type = "hold"
stream = "out"
required = true
select = { channel = 0, flag = "sync", nth = 2 }
attributes = { until = { event = "progress", where = "ram_sent=5440, ram_pending=4096" } }

[[order]]
name = "first-copy-late"
type = "hold"
select = { flag = "ram", nth = 1 }
attributes = { until = { flag = "ram" }, timeout = "1500 ms" }
"""
FORCED = scenario(
    RULES,
    "devices=0",
    "ram.size=4 KiB",
    "ram.zero_fraction=0",
    "ram.dirty_rate=400 MB/s",
    "migration.max_rounds=1",
)

BUG = Bug(
    name="B18",
    title="a stale page over a newer one",
    story=Story(
        mechanism="""Page 99 goes by channel 0 in round 1 and by channel 1 in round 2. Nothing orders two
        sockets, so without a barrier the old copy may be the one that lands last. The barrier is a SYNC
        on every channel and a FLUSH on the main channel: a receiver stops at SYNC until all have reached
        it.""",
        happened="""Why multifd has had the barrier from the start; explained by Juan Quintela in October
        2023.""",
        fix="The barrier, at first after each section of the stream, since 8.1 once per pass over RAM.",
        versions="""none without it; per round since 8.1 (multifd-flush-after-each-section for older
        machines)""",
        links=("294e5a4034e8", "d4f34485ca8a (RDMA fall-out)"),
    ),
    changed="one guard: a channel is counted at its SYNC but does not stop reading there",
    breaks="data-intact",
    broken=Setup(SCENARIO, Parts(barrier=CountingBarrier), TRAFFIC, ram=bytes([NEW]), name="B18 broken"),
    correct=Setup(SCENARIO, traffic=TRAFFIC, ram=bytes([NEW]), name="B18 correct"),
    instead="the barrier as it is: channel 1 reads its second round only after channel 0 has met SYNC",
    real=Real(
        broken=Run(FORCED, Parts(barrier=CountingBarrier)),
        correct=Run(FORCED),
        shows=breaks("data-intact"),
        how="""the first round does not end before the guest has written the page again; its first copy is
        held back on channel 0 until the second has come on channel 1, or 1.5 seconds""",
    ),
)
