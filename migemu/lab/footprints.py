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

from collections import deque
from typing import TYPE_CHECKING, Any

from migemu.handoff.load_finish import LoadFinish
from migemu.handoff.load_ready import LoadReady
from migemu.handoff.load_thread import LoadThread
from migemu.handoff.non_iterable import NonIterable
from migemu.threads.sync import Abort, Pool
from migemu.vfio.flow import FreeFlow
from migemu.vfio.reassembly import StateBuffers
from migemu.vfio.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.destination.core import Core
    from migemu.errors import MigemuError
    from migemu.lab.system_queue import BurstQueue
    from migemu.threads.controlled import ControlledThreads
    from migemu.threads.controlled_engine import Engine
    from migemu.vfio.content import Payload
    from migemu.vfio.slots import Loadable

DESIGNS: dict[type, tuple[str, ...]] = {
    LoadThread: (),
    LoadReady: ("_ready",),
    LoadFinish: (),
    NonIterable: ("_data_in",),
}
"""Designs whose use of a device's mutex is known, with their sets of devices that are guarded by it."""


class Told:
    """An attribute that says when it is used; the value stays in the instance's dictionary."""

    def __init__(self, what: str) -> None:
        self._what = what

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = f"told {name}"

    def __get__(self, thing: Any, owner: type) -> Any:
        if thing is None:
            return self
        thing.bits.look(self._what)
        return thing.__dict__[self._name]

    def __set__(self, thing: Any, value: Any) -> None:
        thing.bits.change(self._what)
        thing.__dict__[self._name] = value


class Bits:
    """The objects of one owner in footprints."""

    __slots__ = ("_bits", "_engine", "_label")

    def __init__(self, engine: Engine, label: str) -> None:
        self._engine = engine
        self._label = label
        self._bits: dict[object, int] = {}

    def of(self, part: object) -> int:
        """The bit of a part."""
        bit = self._bits.get(part)
        if bit is None:
            bit = self._bits[part] = self._engine.names.bit(f"touched:{self._label} {part}")
        return bit

    def look(self, part: object) -> None:
        """The running step looks at `part`."""
        self._engine.seen |= self.of(part)

    def change(self, part: object) -> None:
        """The running step changes `part`."""
        self._engine.foot |= self.of(part)


def tell(thing: Any, kind: type, bits: Bits) -> None:
    """Make `thing` one of `kind`, a subclass of its own class that tells what is used."""
    told = {name: thing.__dict__.pop(name) for name in vars(kind) if name in thing.__dict__}
    thing.__class__, thing.bits = kind, bits
    for name, value in told.items():
        setattr(thing, name, value)


class ToldSlots(Slots):
    """Slots of which each is an object of its own."""

    bits: Bits
    most = 0
    """The highest idx of any packet that is sent."""

    def turn_come(self) -> bool:
        """Looks at the slot to be taken next, and whether another is being written."""
        self.bits.look(self.next)
        self.bits.look("writing")
        return super().turn_come()

    @property
    def complete(self) -> bool:
        """Looks whether the data ends at the slot to be taken next."""
        self.bits.look(self.next)
        self.bits.look("writing")
        return super().complete

    def take(self) -> Loadable:
        """Empties a slot.

        The one behind it is now the one that wakes the loader; but nobody waits for buffers except the
        thread that is taking this one, so whether that packet comes before or after makes no difference.
        """
        self.bits.change("writing")
        self.bits.change(self.next)
        return super().take()

    def settle(self, item: Loadable) -> None:
        """Nothing is being written any more."""
        self.bits.change("writing")
        super().settle(item)

    def put(self, idx: int, payload: Payload, size: int, *, is_config: bool, version: int) -> None:
        """Fills a slot; a config also closes all those behind it."""
        self._change_from(idx, whole=is_config)
        super().put(idx, payload, size, is_config=is_config, version=version)

    def set_end(self, count: int) -> None:
        """Closes all slots from `count` on."""
        self._change_from(count, whole=True)
        super().set_end(count)

    def take_config(self) -> Loadable:
        """Empties the last slot."""
        self.bits.look("writing")
        self.bits.change(self.next)
        return super().take_config()

    def drop(self) -> list[Payload]:
        """Empties every slot."""
        self._change_from(0, whole=True)
        return super().drop()

    def missing(self) -> str | None:
        """Looks at every slot."""
        for idx in range(self.most + 2):
            self.bits.look(idx)
        return super().missing()

    def _change_from(self, idx: int, *, whole: bool) -> None:
        beyond = self.most + 2
        self.bits.change(min(idx, beyond))
        for later in range(idx + 1, beyond + 1) if whole else ():
            self.bits.change(later)


class ToldBuffers(StateBuffers):
    """A reassembly whose errors and end are objects of their own."""

    bits: Bits
    _error = Told("error")
    _channels_ended = Told("channels ended")


class ToldAbort(Abort):
    """The first error of a side, one object with its end."""

    bits: Bits
    error: MigemuError | None = Told("error")  # type: ignore[assignment]  # an attribute all the same
    _end = Told("end")

    def settle(self) -> None:
        """The end is decided."""
        self.bits.change("end")
        super().settle()

    def set(self, error: MigemuError) -> bool:
        """The end may be decided."""
        self.bits.change("end")
        return super().set(error)


class ToldPool(Pool):
    """A pool whose count is one object."""

    bits: Bits
    _running = Told("running")


class ToldSet(set[str]):
    """A set each of whose members is an object of its own."""

    __slots__ = ("bits",)

    bits: Bits

    def __contains__(self, member: object) -> bool:
        self.bits.look(member)
        return super().__contains__(member)

    def add(self, member: str) -> None:
        """As of a set."""
        self.bits.change(member)
        super().add(member)


class ToldDeque(deque[Any]):
    """A queue whose places are counted from the first item ever, each an object of its own.

    Who takes an item clashes with who put it in, and who finds the queue empty with who puts in next.
    """

    __slots__ = ("bits", "taken")

    bits: Bits
    taken: int

    def __bool__(self) -> bool:
        self.bits.look(self.taken)
        return super().__len__() > 0

    def __len__(self) -> int:
        length = super().__len__()
        for place in range(self.taken, self.taken + length + 1):
            self.bits.look(place)
        return length

    def extend(self, items: Iterable[Any]) -> None:
        """As of a deque."""
        end = self.taken + super().__len__()
        super().extend(items)
        for place in range(end, self.taken + super().__len__()):
            self.bits.change(place)

    def popleft(self) -> Any:
        """As of a deque."""
        self.bits.change(self.taken)
        self.taken += 1
        return super().popleft()


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
        told = ToldSet(getattr(core.handoff, attribute))
        told.bits = Bits(threads.engine, attribute)
        setattr(core.handoff, attribute, told)


def _declare_side(threads: ControlledThreads, core: Core, queue: BurstQueue) -> None:
    engine = threads.engine
    threads.transparent(queue._lock)  # noqa: SLF001  what it guards is told from here on
    told = ToldDeque(queue._items)  # noqa: SLF001  as above
    told.bits, told.taken = Bits(engine, "main channel"), 0
    queue._items = told  # noqa: SLF001  as above
    threads.transparent(core.pool._lock)  # noqa: SLF001  as above
    tell(core.pool, ToldPool, Bits(engine, "load threads"))
    tell(core.abort, ToldAbort, Bits(engine, "abort"))
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
