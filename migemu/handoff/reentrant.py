"""`reentrant`: changes of the address space need no BQL, so configs are loaded in parallel.

Maciej S. Szmigiero named it on 20 Sep 2024 (bbed8165-de5c-4ebe-a6cc-ff33f9ea363a@maciej.szmigiero.name) as
the long-term aim, and as better than dropping the BQL deep inside migration code: make QEMU core's
address-space changes thread safe and re-entrant. On 1 Oct he called it feasible but too much of a rabbit
hole for a first version (927023c9-c8ba-4cdf-9d42-bf1109a139af@maciej.szmigiero.name), and in August 2025 he
was still on it, by finer locking inside the PCI config load.

How it works. As `load-thread`, but the thread takes no lock for the config: the platform says that the load
is re-entrant (`Platform.config_needs_bql` is False), so the hardware does not ask for the BQL either.

For it: four devices of 70 ms each take 70 ms instead of 280 ms.
Against it: memory regions, the flat view, KVM slots and MSI routes are all under the BQL today; Peter Xu:
shrinking the sections is realistic, removing the lock is hard. Nor does it bring the interrupt controller
in earlier (B2).
Fate: open research.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.base import Handoff
from migemu.handoff.design import Design

if TYPE_CHECKING:
    from migemu.handoff.base import Slot


class Reentrant(Handoff):
    """Data and config in the device's own load thread, no lock round the config."""

    design = Design(
        name="reentrant",
        summary="a load thread per device loads its config without any lock, in parallel",
        bql_for_config=False,
        proposed_in="bbed8165-de5c-4ebe-a6cc-ff33f9ea363a@maciej.szmigiero.name, 20 Sep 2024",
    )

    def load(self, slot: Slot) -> None:
        """Data in order, then the config."""
        self.load_data(slot)
        self.load_config_packet(slot)
