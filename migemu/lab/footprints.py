"""What each critical section of a destination uses, said to the search: which steps commute.

Under an opaque lock any two sections clash, so a search tries both orders of, say, two packets for different
slots of one device. Here the locks of production's own reassembly, hand-over queue, thread pool and marks are
declared transparent, and what is used under them is told part by part. No scheduling point comes or goes by
it: schedules and tokens stay what they are.

What this promises, and all it does:

* packet `m` and the loader clash only where the loader looks for `m` (one thread takes a device's buffers,
  and nobody else waits for them); a config at idx `i`, or a count of `i`, clashes with what comes at `i` or
  beyond;
* the highest idx and the byte counts are sums and maxima: updates of them commute. A cap would look at them,
  so with one nothing is declared, and neither with fewer slots than packets;
* who takes a record out of the main queue clashes with who put that one in, and who finds it empty with who
  puts the next one in;
* a device, the end of the migration and each mark are one object each; two config loads that hold the BQL for
  one step commute, while the incoming thread, which holds it on and on, clashes with each of them.

It holds for the classes named in DESIGNS and for production's own parts, nothing else: a mutant of the
catalogue is explored with opaque locks.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu.handoff.load_finish import LoadFinish
from migemu.handoff.load_ready import LoadReady
from migemu.handoff.load_thread import LoadThread
from migemu.handoff.non_iterable import NonIterable
from migemu.lab.footprint_kinds import (
    Bits,
    ToldAbort,
    ToldBuffers,
    ToldDeque,
    ToldDict,
    ToldPool,
    ToldSet,
    ToldSlots,
    tell,
)
from migemu.lab.system_actors import Session
from migemu.threads.sync import Abort
from migemu.vfio.flow import FreeFlow

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.destination.core import Core
    from migemu.lab.system_queue import BurstQueue
    from migemu.threads.controlled import ControlledThreads
    from migemu.threads.controlled_engine import Engine
    from migemu.vfio.reassembly import StateBuffers

DESIGNS: dict[type, tuple[str, ...]] = {
    LoadThread: (),
    LoadReady: ("_ready",),
    LoadFinish: ("_finished",),
    NonIterable: ("_data_in",),
}
"""Designs whose use of locks is known, with what they keep under them by device."""


def declare_session(threads: ControlledThreads, session: Session) -> None:
    """Tell the search that it makes no difference when the session begins to wait for the end.

    Between its first look and its wake-up it does nothing: to look when the end has come is the same. (Its
    wait is the lab's own, not production's; production's waits are tried in both orders.)
    """
    if type(session) is Session and threads.engine.log is not None:
        threads.transparent(session.lock)
        session.over.bit = 0


def declare_abort(threads: ControlledThreads, abort: Abort) -> None:
    """Tell the search of this run when a side's first error and its end are used: no lock guards them.

    Whatever else runs, a mutant's too: whether a cancel comes before or after the end makes a difference.
    """
    if threads.engine.log is not None:
        tell(abort, _told(type(abort)), Bits(threads.engine, "abort"))


_told_aborts: dict[type[Abort], type[ToldAbort]] = {Abort: ToldAbort}


def _told(kind: type[Abort]) -> type[ToldAbort]:
    """A kind of abort, its uses told; made once."""
    if kind not in _told_aborts:
        _told_aborts[kind] = type(kind.__name__, (ToldAbort, kind), {})
    return _told_aborts[kind]


def declare(threads: ControlledThreads, core: Core, queue: BurstQueue, most: dict[str, int]) -> None:
    """Tell the search of this run what the destination's sections use, where that is known.

    Args:
        threads: of the run.
        core: production's own, before any of its threads has begun.
        queue: its main channel's.
        most: the highest idx that comes of each device.
    """
    sets = DESIGNS.get(type(core.handoff))
    free = core.plan.flow is None or type(core.plan.flow) is FreeFlow
    if threads.engine.log is None or sets is None or not free:
        return
    _declare_side(threads, core, queue)
    for name, slot in core.machine.slots.items():
        limits = slot.buffers.slots.limits
        if limits.queue_bytes is None and limits.slots > most.get(name, 0) + 1:
            _declare_device(threads, slot.buffers, name, most.get(name, 0))
    for attribute in sets:
        content = getattr(core.handoff, attribute)
        told = ToldSet(content) if isinstance(content, set) else ToldDict(content)
        told.bits = Bits(threads.engine, attribute)
        setattr(core.handoff, attribute, told)
    if isinstance(core.handoff, LoadFinish):
        threads.transparent(core.handoff._ready_lock)  # noqa: SLF001  what it guards is told from here on


def _declare_side(threads: ControlledThreads, core: Core, queue: BurstQueue) -> None:
    engine = threads.engine
    threads.transparent(queue._lock)  # noqa: SLF001  what it guards is told from here on
    told = ToldDeque(queue._items)  # noqa: SLF001  as above
    told.bits, told.taken = Bits(engine, "main channel"), 0
    queue._items = told  # noqa: SLF001  as above
    threads.transparent(core.pool._lock)  # noqa: SLF001  as above
    tell(core.pool, ToldPool, Bits(engine, "load threads"))
    threads.transparent(core.bql.lock)  # it guards devices; the ear tells of them
    threads.listen(Ear(engine, core.machine.slots).hear)


def _declare_device(threads: ControlledThreads, buffers: StateBuffers, name: str, most: int) -> None:
    bits = Bits(threads.engine, name)
    tell(buffers, ToldBuffers, bits)
    tell(buffers.slots, ToldSlots, bits)
    buffers.slots.__dict__["most"] = most
    threads.transparent(buffers.mutex)


class Ear:
    """Tells of uses of devices by what they say themselves."""

    def __init__(self, engine: Engine, devices: Iterable[str]) -> None:
        self._bits = Bits(engine, "device")
        self._devices = list(devices)

    def hear(self, event: str, _now: float, _thread: str, fields: dict[str, Any]) -> None:
        """One event."""
        if event in {"vfio_load_state_device_buffer_load_start", "vfio_load_device_config_state_start"}:
            self._bits.change(fields["device"])
        elif event == "vm_state":
            for device in self._devices:
                self._bits.change(device)
