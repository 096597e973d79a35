"""`loadvm-thread`: the stream is loaded in a thread that takes the BQL only for START and FULL sections.

Peter Xu was working on it during the debate (19 Sep 2024, ZuyTjQJujZo6tw9p@x1n: once it is ready "you can
simply take BQL in whichever thread that loads it") and posted it as "migration: Threadify loadvm process":
RFC 27 Aug 2025 (20250827205949.364606-1-peterx@redhat.com), v1 22 Oct 2025
(20251022192612.2737648-1-peterx@redhat.com).

How it works. What is QEMU's main thread elsewhere is a thread of its own here, so it need not hold the BQL
to keep the main loop out. It takes it for CPU synchronisation and for device START and FULL sections, from
header to footer; it holds it neither for the rest of the stream nor while it waits for the network between
sections or for the SYNC barrier. A load thread that wants the BQL for its config finds it free nearly
always. A patch of the series removes the unlock-lock dance in VFIO's switchover-start handler.

For it: no coroutine, no yield in RAM load (e65cec5e5d), and the BQL is free for who needs it.
Against it: a network that stalls inside a FULL section holds the BQL in a blocking read (the cover names
it; it does so here too); shutdown assertions were still being found in January 2026 (Fabiano Rosas). As for
`load-thread`, config may precede the interrupt controller (B2).
Fate: not in QEMU 10.2, which still uses the coroutine.
"""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING

from migemu.handoff.base import Handoff
from migemu.handoff.design import Design

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

    from migemu.handoff.base import Machine, Slot


class LoadvmThread(Handoff):
    """As `load-thread`, but the thread that loads the stream holds the BQL for whole sections only."""

    design = Design(
        name="loadvm-thread",
        summary="the stream is loaded in a thread that takes the BQL for START and FULL sections only",
        proposed_in="20250827205949.364606-1-peterx@redhat.com",
    )

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._in_section = False

    def load(self, slot: Slot) -> None:
        """Data in order, then the config under the BQL."""
        self.load_data(slot)
        self.load_config_packet(slot)

    @contextmanager
    def stream(self) -> Iterator[None]:
        """The records are acted on without the BQL; setup before and the bottom half after have it."""
        self.machine.bql.release()
        try:
            yield
        finally:
            self._in_section = False
            if not self.machine.bql.held():
                self.machine.bql.acquire()

    def section_begins(self, *, whole: bool) -> None:
        """START and FULL take the BQL."""
        if whole and not self._in_section:
            self.machine.bql.acquire()
            self._in_section = True

    def section_ends(self) -> None:
        """And give it back at their footer."""
        if self._in_section:
            self._in_section = False
            self.machine.bql.release()

    def idle(self) -> AbstractContextManager[None]:
        """Nothing is held between sections; inside one the read blocks with the BQL, the known risk."""
        return nullcontext() if self._in_section else self.machine.without_bql()

    def at_barrier(self) -> AbstractContextManager[None]:
        """RAM's START has a barrier too, and nothing there needs the BQL."""
        return self.machine.without_bql()
