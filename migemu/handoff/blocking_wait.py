"""`blocking-wait`: one blocking call per device, in the order of the sections.

Peter Xu's preferred simple form (27 Sep 2024, ZvYCGFnI_68B_w3h@x1n, drawn out in ZvxqE0i5qGGiSFk0@x1n on
1 Oct): the config stays where every PCI device has it, in the device's own non-iterable section on the main
channel, and a semaphore per device, on both sides, orders it against the data.

How it works. On the source vfio_save_state waits for the save thread of that one device before it writes
the section. On the destination vfio_load_state waits until all of the device's data has been loaded, then
loads the config. The wait is a plain qemu_sem_wait on the main thread: it keeps the BQL (see `bql-yield`
for the other way). Nothing on the main channel says where the multifd data ends, so the section carries the
number of data buffers (an extension).

For it: the smallest API, no polling, no new mutex; the first device's config load still overlaps the
second one's data.
Against it (Maciej S. Szmigiero, bbed8165-de5c-4ebe-a6cc-ff33f9ea363a@maciej.szmigiero.name): if B is ready
before A, B waits idle for A, and the configs, about 70 ms each, are loaded one after the other. "This sounds
like a performance concern", Peter answered (Zu2mvrKOvmD1WtvD@x1n): how much does it matter when the devices
are saved in parallel anyway? That question is what this laboratory was built to answer.
Fate: not done.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.base import Handoff
from migemu.handoff.design import Carrier, Design, Loader
from migemu.handoff.semaphore import Semaphore

if TYPE_CHECKING:
    from migemu.handoff.base import Machine, Slot


class BlockingWait(Handoff):
    """Load threads take the data; the incoming thread blocks in each device's section until it is in."""

    design = Design(
        name="blocking-wait",
        summary="the incoming thread blocks in each device's section until its data is in, then loads config",
        config=Carrier.MAIN,
        save_semaphore=True,
        config_loader=Loader.INCOMING_THREAD,
        config_after_iterables=True,
        proposed_in="ZvYCGFnI_68B_w3h@x1n, 27 Sep 2024; ZvxqE0i5qGGiSFk0@x1n, 1 Oct 2024",
    )

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        parts = machine.threads, machine.abort, machine.patience
        self._data_in = {name: Semaphore(*parts, f"data in {name}") for name in machine.slots}

    def load(self, slot: Slot) -> None:
        """Data in order, then the post."""
        self.load_data(slot)
        self._data_in[slot.name].post()

    def main_config(self, slot: Slot, config: bytes) -> None:
        """Wait for this device's data, whoever else is ready meanwhile; then load its config."""
        self._data_in[slot.name].wait(f"the data of {slot.name}")
        self.load_main_config(slot, config)
