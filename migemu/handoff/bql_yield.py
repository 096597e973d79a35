"""`bql-yield`: the incoming thread gives up the BQL while it waits, others take it for the last chunk.

Peter Xu, 19 Sep 2024 (ZuyTjQJujZo6tw9p@x1n), as an idea that is "probably not pretty": while the main thread
waits it yields the BQL, so that other threads can take it and load VFIO's final chunk, the config.

How it works. The config is the last packet on multifd, and the device's own load thread loads it under the
BQL. In each device's non-iterable section the incoming thread waits, the BQL dropped, until that device is
loaded completely; meanwhile any device that is ready may take the BQL, so B loads its config although A's
section is the one being waited in. What stands behind that section in the stream waits, whatever it is.

For it: a tiny change to the main thread.
Against it (Maciej S. Szmigiero, bbed8165-de5c-4ebe-a6cc-ff33f9ea363a@maciej.szmigiero.name): dropping the BQL
deep inside migration code is like running the event loop there; a dependency or race is missed easily, and
the deadlock that follows is rare and hard to debug. Rather make the address space re-entrant, see
`reentrant`. And the threads take the BQL whenever they find it free, also while the stream stalls long before
the interrupt controller is in (B2).
Fate: not done as such; v3 drops the BQL in one narrow place, the wait for the pool at the very end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.base import Handoff
from migemu.handoff.design import Design
from migemu.handoff.semaphore import Semaphore

if TYPE_CHECKING:
    from migemu.handoff.base import Machine, Slot


class BqlYield(Handoff):
    """Load threads take data and config; the incoming thread waits for each in its section, without BQL."""

    design = Design(
        name="bql-yield",
        summary="the incoming thread waits in each device's section without the BQL; load threads take it",
        proposed_in="ZuyTjQJujZo6tw9p@x1n, 19 Sep 2024",
    )

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        parts = machine.threads, machine.abort, machine.patience
        self._loaded = {name: Semaphore(*parts, f"loaded {name}") for name in machine.slots}

    def load(self, slot: Slot) -> None:
        """Data in order, the config under the BQL that the incoming thread gave up, then the post."""
        self.load_data(slot)
        self.load_config_packet(slot)
        self._loaded[slot.name].post()

    def device_full(self, slot: Slot) -> None:
        """The device's place among the non-iterables: let the others have the BQL until it is loaded."""
        if not self.started:
            return  # nothing was loaded yet; the stream's end says so
        with self.machine.without_bql():
            self._loaded[slot.name].wait(f"{slot.name} to be loaded")
