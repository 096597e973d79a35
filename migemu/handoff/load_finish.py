"""`load-finish`: version 2 of the series. The incoming thread asks every device again whenever one is ready.

Proposed by Maciej S. Szmigiero in the RFC (16 Apr 2024, cover.1713269378), v1 (06/13, 18 Jun 2024,
659b661eef5e9dc47f06dc7a945c2195e936a441.1718717584.git.maciej.szmigiero@oracle.com) and v2 (08/17,
27 Aug 2024, cover.1724701542), because config load changes the address space and had to run on the main
migration thread (d245c8b6-b765-42e1-a5ec-bdb46494cec4@maciej.szmigiero.name).

How it works. A load thread per device writes the data, then sets "finished" and broadcasts, under one lock
of the migration core (qemu_loadvm_load_finish_ready_lock). When the stream is in, the incoming thread takes
that lock and calls load_finish of every device; whoever is finished gets its config loaded there and then.
If any is not, it sleeps until a broadcast and asks all of them again. It keeps the BQL while it sleeps: the
patch has nothing that would drop it. In v2 loading began at a mark of each device
(DEV_DATA_STATE_COMPLETE); in the thread it became the common MIG_CMD_SWITCHOVER_START, which is used here.

For it: configs are loaded in order of readiness, on the thread that may.
Against it (Peter Xu, Zt9UjvvbeUZQlGNY@x1n and ZvYCGFnI_68B_w3h@x1n): one more global mutex that no handler
asked for; "might not be called again until a broadcast" reads as a ban; and a flag set outside the lock or
an exit without a broadcast is a lost wake-up (B7).
Fate: dropped in v3 for the pool of load threads, see `load-thread`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.base import Handoff
from migemu.handoff.design import Design, Loader

if TYPE_CHECKING:
    from migemu.handoff.base import Config, Machine, Slot


class LoadFinish(Handoff):
    """Load threads take the data; the incoming thread polls, and loads the config of whoever is ready."""

    design = Design(
        name="load-finish",
        summary="load threads take data; the incoming thread polls load_finish until all are loaded (v2)",
        config_loader=Loader.INCOMING_THREAD,
        config_after_iterables=True,
        proposed_in="cover.1724701542.git.maciej.szmigiero@oracle.com, 08/17",
    )

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._ready_lock = machine.threads.lock("load_finish_ready_lock")
        self._ready = machine.threads.condition(self._ready_lock, "load_finish_ready_broadcast")
        self._finished: dict[str, Config] = {}
        self._loaded: set[str] = set()
        machine.abort.watch(self._ready_lock, self._ready)

    def load(self, slot: Slot) -> None:
        """Data in order; then say that the device is finished."""
        self.load_data(slot)
        self.finished(slot)

    def finished(self, slot: Slot) -> None:
        """Set the flag and broadcast, both under the ready lock: else the incoming thread sleeps on (B7)."""
        config = self.take_config(slot)
        with self._ready_lock:
            self._finished[slot.name] = config
            self._ready.notify_all()

    def stream_end(self) -> None:
        """Ask all devices until every one is loaded; the BQL is kept."""
        self.check_started()
        machine = self.machine
        with self.naming_the_late(), self._ready_lock:
            machine.abort.wait_for(self._ready, self._all_loaded, machine.patience, "load_finish")
        machine.abort.check()

    def _all_loaded(self) -> bool:
        """Call load_finish of every device, in the order of their sections, whatever the others say."""
        answers = [self.load_finish(slot) for slot in self.machine.slots.values()]
        return all(answers)

    def load_finish(self, slot: Slot) -> bool:
        """Whether the device is loaded; loads its config if all that was missing is here."""
        config = self._finished.pop(slot.name, None)
        if config is not None:
            self.load_config(slot, config)
            self._loaded.add(slot.name)
        return slot.name in self._loaded
