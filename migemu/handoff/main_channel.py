"""`main-channel`: before the series. Everything over the main channel, one device after the other.

QEMU up to 9.2, and every later one whose x-migration-multifd-transfer is off: that property and
send-switchover-start are off for machine types up to 9.2, so a 10.0 program running such a machine does
this too. It is the "disabled" row of every published table.

How it works. The migration thread reads the stopped devices one after the other into their END sections;
the incoming thread writes each block into the device as it meets it, and loads each config where it meets
that: in the device's own non-iterable section, behind the interrupt controller's (d329f5032e17, March 2021,
put it there). All of it under the BQL, dropped only while the stream has no bytes.

For it: no thread, no reassembly, no mark, no order that could be got wrong.
Against it: one connection tops out near 15 Gbit/s, one reader and one writer thread serve all devices, and
the second device's state is not even read while the first one's is on its way: 1783 ms of downtime for four
devices where the series had 1068 ms (Maciej S. Szmigiero, 1 Oct 2024).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.base import Handoff
from migemu.handoff.design import Carrier, Design, Loader

if TYPE_CHECKING:
    from migemu.handoff.base import Machine, Slot


class MainChannel(Handoff):
    """The incoming thread loads data and config as it meets them."""

    design = Design(
        name="main-channel",
        summary="all state over the main channel, loaded by the incoming thread (QEMU up to 9.2)",
        data=Carrier.MAIN,
        config=Carrier.MAIN,
        switchover_start=False,
        data_loader=Loader.INCOMING_THREAD,
        config_loader=Loader.INCOMING_THREAD,
        config_after_iterables=True,
        since="9.1",
        proposed_in="QEMU's own way before cover.1713269378.git.maciej.szmigiero@oracle.com",
    )

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._stopped: set[str] = set()

    def device_end(self, slot: Slot) -> None:
        """From here on the device's blocks are of its stopped state."""
        self._stopped.add(slot.name)

    def main_data(self, slot: Slot, view: memoryview) -> None:
        """Write a block at once: the next one, nothing else can come."""
        if slot.name in self._stopped:
            slot.device.write(slot.device.next_idx, view)
        else:
            slot.device.write_precopy(view)
        self.machine.patience.touch()

    def end_of_state(self, slot: Slot) -> None:
        """The end of the device's END section is the end of its data."""
        if slot.name in self._stopped and slot.device.config_digest is None:
            self.say_ready(slot)

    def main_config(self, slot: Slot, config: bytes) -> None:
        """Load the config where it is met."""
        self.load_main_config(slot, config)
