"""C7: RAM data before the setup barrier."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu.destination.core import Core
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.traffic import page
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts
from migemu.lab.system_stream import RAM, RAM_ID, burst, eof, flush, switchover_start
from migemu.lab.system_traffic import Traffic, sync
from migemu.wire import records

if TYPE_CHECKING:
    from migemu.wire.multifd import RamPacket


class BitmapAtSetup(Core):
    """Has a bitmap of received pages, made when the main channel's RAM section is set up."""

    bitmap = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        acts = self.incoming._acts  # noqa: SLF001  what happens at the RAM block list, and this
        set_up = acts[records.RamBlocks]

        def ram_blocks(record: Any) -> None:
            set_up(record)
            self.bitmap = True

        acts[records.RamBlocks] = ram_blocks

    def _ram_packet(self, channel: int, packet: RamPacket) -> None:
        if len(packet.normal) and not self.bitmap:
            detail = f"channel {channel} marks a page in a bitmap that does not exist yet"
            self.threads.point("invariant", name="lifetime", ok=False, detail=detail)
        super()._ram_packet(channel, packet)


class BitmapFromTheStart(BitmapAtSetup):
    """Makes the bitmap before any channel is read."""

    bitmap = True


SIZE = 4096
SCENARIO = stock("devices=0", f"ram.size={SIZE}")
SETUP = burst(
    "RAM setup",
    records.SectionStart(RAM_ID, "ram", 0, 4),
    records.RamBlocks(RAM, (records.RamBlock("pc.ram", SIZE),)),
    *flush().records()[1:],
)
TRAFFIC = Traffic(
    channels=((page(0, 7), sync(), sync()), (sync(), sync())),
    main=(SETUP, flush(), switchover_start(), eof()),
)

BUG = Bug(
    name="C7",
    title="RAM data before the setup SYNC",
    story=Story(
        mechanism="""The first packet of every channel must be the SYNC of the setup barrier: it keeps the
        receive threads from writing before the main channel has set up RAM. A page in front of it is
        marked in a bitmap that exists only after that setup: a write through a NULL pointer.""",
        happened="Case C7 of the wire table: SIGSEGV in 4 of 4 runs.",
        fix="""None known. A bitmap made before any channel is read, or a page refused before the setup,
        would do.""",
        versions="""10.0 and 11.1 crash; 7.2 does not have that bitmap: it came with multifd zero pages in
        9.0""",
        evidence="seen on real binaries",
    ),
    changed="one order: what receivers use is made when the main channel sets RAM up, not before they read",
    breaks="lifetime",
    broken=Setup(SCENARIO, Parts(core=BitmapAtSetup), TRAFFIC, ram=bytes([7]), name="C7 broken"),
    correct=Setup(SCENARIO, Parts(core=BitmapFromTheStart), TRAFFIC, ram=bytes([7]), name="C7 correct"),
    instead="the same with the bitmap there from the start; this destination needs none and takes the page",
    hunt=Hunt(length=40),
)
