"""What a destination is made of: what a session, a virtual run, an exploration or a mutant gives its core."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from migemu.destination.barrier import SyncBarrier
from migemu.destination.finish import Finish
from migemu.destination.incoming import Incoming
from migemu.ram import GuestRam, PageDigests, RamLoad
from migemu.vfio.reassembly import StateBuffers

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from migemu.handoff.base import Handoff
    from migemu.threads.api import Threads
    from migemu.threads.sync import Bql
    from migemu.vfio.flow import Flow
    from migemu.vfio.load import LoadDevice
    from migemu.vfio.model import Platform
    from migemu.vfio.reassembly import BufferLimits


class Memory:
    """Guest RAM of the destination."""

    def __init__(self, ram: GuestRam) -> None:
        self.ram = ram
        self.digests = PageDigests(len(ram.pages), "destination")
        self.load = RamLoad(ram, self.digests)


@dataclass
class Plan:
    """What a destination is made of; a mutant of the bug catalogue exchanges a part."""

    threads: Threads
    channels: int
    machine_name: str
    handoff: type[Handoff]
    ram: GuestRam
    platform: Platform
    patience: float | None
    limits: BufferLimits
    flow: Flow | None
    interrupt_controller_load_time: float
    devices: Callable[[Bql], Sequence[LoadDevice]]
    queue_main: float = float("inf")
    max_commands: int = 100_000
    uuid: bytes | None = None
    buffers: type[StateBuffers] = StateBuffers
    barrier: type[SyncBarrier] = SyncBarrier
    incoming: type[Incoming] = Incoming
    finish: type[Finish] = Finish
