"""`load-ready`: QEMU 10.1. As `load-thread`, but the config waits for a mark among the non-iterables.

Proposed by Maciej S. Szmigiero after Avihai Horon named the ARM64 problem on v3 (9 Dec 2024); left out of
10.0, posted again as the leftovers series (24 Jun 2025, cover.1750787338) and merged in July 2025 for
QEMU 10.1 as x-migration-load-config-after-iter.

How it works. The load thread writes the data as it comes, then sleeps. The device's own non-iterable
section on the main channel carries VFIO_MIG_FLAG_DEV_CONFIG_LOAD_READY; sections are ordered by priority,
so when the mark is met the interrupt controller (GICv3, ITS) is in. The incoming thread drops the BQL,
takes load_bufs_mutex, sets the flag, signals, and takes the BQL back: in QEMU the other order would deadlock
with the load thread, which holds the mutex and wants the BQL (B4).

For it: correct on platforms whose interrupt controller must be in first (B2).
Against it: config can no longer start early, so a device that was ready waits for the slowest section in
front of its mark; Cédric Le Goater called it a workaround. On a machine type before 10.1 the property is off
and QEMU does what `load-thread` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import WireError
from migemu.handoff.base import Handoff
from migemu.handoff.design import Design

if TYPE_CHECKING:
    from migemu.handoff.base import Machine, Slot
    from migemu.threads.api import Condition


class LoadReady(Handoff):
    """Data at once in the device's load thread; config there too, once the main channel allows it."""

    design = Design(
        name="load-ready",
        summary="a load thread per device; config held until CONFIG_LOAD_READY (QEMU 10.1)",
        config_load_ready=True,
        config_after_iterables=True,
        since="10.1",
        older="load-thread",
        proposed_in="cover.1750787338.git.maciej.szmigiero@oracle.com; merged July 2025",
    )

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._ready: set[str] = set()
        self._marks: dict[str, Condition] = {
            slot.name: slot.buffers.condition("load_bufs_iter_done") for slot in machine.slots.values()
        }

    def config_load_ready(self, slot: Slot) -> None:
        """The mark: tell the device's load thread, in the lock order that its thread uses."""
        with self.machine.without_bql(), slot.buffers.mutex:
            if slot.name in self._ready:
                raise WireError("CONFIG_LOAD_READY came twice", device=slot.name, channel="main")
            self._ready.add(slot.name)
            self._marks[slot.name].notify_all()

    def load(self, slot: Slot) -> None:
        """Data in order, then sleep until the mark, then the config under the BQL."""
        self.load_data(slot)
        self._wait_for_mark(slot)
        self.load_config_packet(slot)

    def _wait_for_mark(self, slot: Slot) -> None:
        machine = self.machine
        with slot.buffers.mutex:
            machine.abort.wait_for(
                self._marks[slot.name],
                lambda: slot.name in self._ready,
                machine.patience,
                f"CONFIG_LOAD_READY of {slot.name}",
            )
