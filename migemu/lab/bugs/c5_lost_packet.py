"""C5: a RAM packet is lost, and the migration is reported as completed."""

from __future__ import annotations

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.traffic import announcement, digests, page, start
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_faults import PACKET_LOST
from migemu.lab.system_stream import eof, flush, switchover_start
from migemu.lab.system_traffic import Traffic, sync

FIRST, SECOND = 0x11, 0x22
SCENARIO = stock("devices=0", "ram.size=8 KiB", "migration.channels=1")
ROW = page(0, FIRST), page(1, SECOND), sync()
QEMU = Traffic(channels=(ROW,), main=(flush(), switchover_start(), eof()))
MIGEMU = QEMU.saying(announcement(), flush(), switchover_start(), digests(FIRST, SECOND), eof(), start())
RAM = bytes([FIRST, SECOND])
NO_HANG = Rules(faults=frozenset({PACKET_LOST}))

BUG = Bug(
    name="C5",
    title="a lost packet, and success reported",
    story=Story(
        mechanism="""Nothing on QEMU's wire says how many pages there were. A RAM packet that is dropped
        on the way, by a bug or by a middlebox that ends one connection and opens another, leaves its
        pages as they were, and the destination starts the VM.""",
        happened="Case C5 of the wire table: real 7.2, 10.0 and 11.1 complete with wrong RAM and no error.",
        fix="None in QEMU. migemu's sides compare digests before the source gives up its VM.",
        versions="7.2, 10.0 and 11.1",
        evidence="seen on real binaries",
    ),
    changed="one guard: no digests, as with a QEMU as the source",
    breaks="data-intact",
    broken=Setup(SCENARIO, traffic=QEMU, ram=RAM, name="C5 broken"),
    correct=Setup(SCENARIO, traffic=MIGEMU, ram=RAM, name="C5 correct"),
    instead="the announced extension: the digests differ, and the VM stays at the source",
    hunt=Hunt(rules=NO_HANG, length=40),
)
