"""`non-iterable`: the seed. Config over the main channel, held off until MIG_CMD_SEND_NON_ITERABLE.

Proposed by Peter Xu on 20 Sep 2024 (Zu2mvrKOvmD1WtvD@x1n): two commands, MIG_CMD_SWITCHOVER at the
switchover and MIG_CMD_SEND_NON_ITERABLE when only non-iterable sections follow; the config, a few
kilobytes, goes over the main channel like any PCI device's and is loaded in that phase.

For it (Peter): clean phases, all PCI config in one place, no new handler.
Against it (Maciej S. Szmigiero, 848ba96d-c3ca-4fbb-9ec4-92023230c026@maciej.szmigiero.name): config waits
for *all* iterables, and the door to loading configs in parallel shuts.
What ended it: Peter's own retraction on 27 Sep (ZvYCGFnI_68B_w3h@x1n): multifd bypasses the main channel,
so a mark on the main channel cannot prove that the multifd data has been loaded. Something must still wait
for that, per device. Here it is the incoming thread: the device's own section says how many data buffers
travel over multifd (an extension, as the whole proposal is), and the config of a device is loaded when that
many are in. The catalogue's `mark-without-data` shows what happens without it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import WireError
from migemu.handoff.base import Handoff
from migemu.handoff.design import Carrier, Design, Loader

if TYPE_CHECKING:
    from migemu.handoff.base import Machine, Slot
    from migemu.threads.api import Condition


class NonIterable(Handoff):
    """Load threads take the data; the incoming thread loads each config in section order."""

    design = Design(
        name="non-iterable",
        summary="config over the main channel, loaded by the incoming thread after SEND_NON_ITERABLE",
        config=Carrier.MAIN,
        send_non_iterable=True,
        config_loader=Loader.INCOMING_THREAD,
        config_after_iterables=True,
        proposed_in="Zu2mvrKOvmD1WtvD@x1n, 20 Sep 2024; retracted in ZvYCGFnI_68B_w3h@x1n",
    )

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._phase_open = False
        self._data_in: set[str] = set()
        self._loaded: dict[str, Condition] = {
            slot.name: slot.buffers.condition("data loaded") for slot in machine.slots.values()
        }

    def send_non_iterable(self) -> None:
        """Only non-iterable sections follow: configs may be loaded from here on."""
        self._phase_open = True

    def main_config(self, slot: Slot, config: bytes) -> None:
        """Load the config, once the phase is open and the data is in."""
        if not self._phase_open:
            raise WireError("config state before SEND_NON_ITERABLE", device=slot.name, channel="main")
        self._wait_for_data(slot)
        self.load_main_config(slot, config)

    def load(self, slot: Slot) -> None:
        """Data in order; then say so."""
        self.load_data(slot)
        with slot.buffers.mutex:
            self._data_in.add(slot.name)
            self._loaded[slot.name].notify_all()

    def _wait_for_data(self, slot: Slot) -> None:
        machine = self.machine
        with machine.without_bql(), slot.buffers.mutex:
            machine.abort.wait_for(
                self._loaded[slot.name],
                lambda: slot.name in self._data_in,
                machine.patience,
                f"the data of {slot.name}",
            )
