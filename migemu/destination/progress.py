"""What the destination says of its progress, ten times a second."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.observe.progress import Progress
from migemu.observe.usage import usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migemu.destination.core import Core
    from migemu.wire.reader import PacketReader


def progress_of(core: Core, readers: Mapping[int, PacketReader]) -> Progress:
    """The counters of now; read without locks, so a figure may be a moment old."""
    slots = core.machine.slots.values()
    used = usage()
    return Progress(
        phase=core.incoming.phase,
        ram_sent=core.ram_bytes,
        ram_size=core.memory.ram.size,
        channels=[readers[channel].bytes for channel in sorted(readers)],
        devices={slot.name: slot.device.data_bytes for slot in slots},
        queued={slot.name: slot.buffers.stats.queued_bytes for slot in slots},
        states={slot.name: str(slot.device.state) for slot in slots},
        cpu=used.cpu,
        memory=used.memory,
    )
