"""E3: the setup SYNC of a channel is withheld."""

from __future__ import annotations

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.c7_data_before_setup import SCENARIO, SETUP, BitmapAtSetup, BitmapFromTheStart
from migemu.lab.bugs.traffic import page
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts
from migemu.lab.system_stream import eof, flush, switchover_start
from migemu.lab.system_traffic import Traffic, sync

TRAFFIC = Traffic(
    channels=((page(0, 7), sync()), (sync(), sync())),
    main=(SETUP, flush(), switchover_start(), eof()),
).closing()

BUG = Bug(
    name="E3",
    title="the setup SYNC of one channel withheld",
    story=Story(
        mechanism="""The barrier of the setup counts SYNCs without asking whose they are. Where one
        channel's first SYNC does not come, nothing holds that channel back: its first page is taken
        before RAM is set up, its SYNC of the first round stands for that of the setup, and the barrier
        behind it waits for a SYNC that nobody sends.""",
        happened="""Case E3 of the wire table: 10.0 and 11.1 crash (SIGSEGV, 4 of 4 runs), 7.2 hangs.
        Withheld later (E1, E2) it is a hang of all three, with QMP dead.""",
        fix="""None known. Refuse a page before the setup barrier, count a SYNC for the channel it came
        on, and look whether that channel still lives.""",
        versions="10.0 and 11.1 crash, 7.2 hangs",
        evidence="seen on real binaries",
    ),
    changed="one order: what receivers use is made when the main channel sets RAM up, not before they read",
    breaks="lifetime",
    broken=Setup(SCENARIO, Parts(core=BitmapAtSetup), TRAFFIC, ram=bytes([7]), name="E3 broken"),
    correct=Setup(SCENARIO, Parts(core=BitmapFromTheStart), TRAFFIC, ram=bytes([7]), name="E3 correct"),
    instead="""the same with the bitmap there from the start, and the barrier of this destination, which
    counts for each channel: the migration fails with the channel that closed before its SYNC""",
    hunt=Hunt(length=40),
)
