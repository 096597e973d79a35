"""E6: the FLUSH words are left out, and the migration is reported as completed."""

from __future__ import annotations

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.traffic import announcement, digests, page, start
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_stream import eof, switchover_start
from migemu.lab.system_traffic import Traffic, sync

OLD, NEW = 0x0D, 0xE3
SCENARIO = stock("devices=0", "ram.size=4 KiB", "migration.channels=1")
QEMU = Traffic(channels=((page(0, OLD), sync(), page(0, NEW)),), main=(switchover_start(), eof()))
MIGEMU = QEMU.saying(announcement(), switchover_start(), digests(NEW), eof(), start())

BUG = Bug(
    name="E6",
    title="FLUSH withheld: completed, with wrong RAM",
    story=Story(
        mechanism="""Channels stop at SYNC until the main channel brings FLUSH. Without it they stop for
        good: what is behind the SYNC is never read, the main stream ends well, and the VM starts with the
        older pages.""",
        happened="""Case E6 of the wire table: completed with wrong RAM in 4 of 4 runs. B10 is its
        device-state form.""",
        fix="None in QEMU. migemu's sides compare digests before the source gives up its VM.",
        versions="10.0 and 11.1",
        evidence="seen on real binaries",
    ),
    changed="one guard: no digests, as with a QEMU as the source",
    breaks="data-intact",
    broken=Setup(SCENARIO, traffic=QEMU, ram=bytes([NEW]), name="E6 broken"),
    correct=Setup(SCENARIO, traffic=MIGEMU, ram=bytes([NEW]), name="E6 correct"),
    instead="the announced extension: the digests differ, and the VM stays at the source",
    hunt=Hunt(length=40),
)
