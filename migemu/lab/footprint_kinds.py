"""Parts of a destination that say what is used of them: subclasses of production's own, and containers.

Each does what its base class does, and adds the objects of a section's footprint (see
:mod:`migemu.lab.footprints` for what that promises).
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from migemu.threads.sync import Abort, Pool
from migemu.vfio.reassembly import StateBuffers
from migemu.vfio.slots import Slots

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.errors import MigemuError
    from migemu.threads.controlled_engine import Engine
    from migemu.threads.controlled_task import Task
    from migemu.threads.sync import Patience
    from migemu.vfio.content import Payload
    from migemu.vfio.slots import Loadable


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

    __slots__ = ("_bits", "_label", "engine")

    def __init__(self, engine: Engine, label: str) -> None:
        self.engine = engine
        self._label = label
        self._bits: dict[object, int] = {}

    def of(self, part: object) -> int:
        """The bit of a part."""
        bit = self._bits.get(part)
        if bit is None:
            bit = self._bits[part] = self.engine.names.bit(f"touched:{self._label} {part}")
        return bit

    def look(self, part: object) -> None:
        """The running step looks at `part`; steps that earlier schedules have had are not looked at again."""
        engine = self.engine
        if engine.steps >= engine.base and not engine.asking:
            engine.seen |= self.of(part)

    def change(self, part: object) -> None:
        """The running step changes `part`."""
        engine = self.engine
        if engine.steps >= engine.base and not engine.asking:
            engine.foot |= self.of(part)


def tell(thing: Any, kind: type, bits: Bits) -> None:
    """Make `thing` one of `kind`, a subclass of its own class that tells what is used."""
    names = [name for owner in kind.__mro__ for name in vars(owner) if name in thing.__dict__]
    told = {name: thing.__dict__.pop(name) for name in dict.fromkeys(names)}
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
    """A pool whose count is a sum: those who change it commute, who waits for its end clashes with each."""

    bits: Bits
    waiter: Task | None = None

    @property
    def _running(self) -> int:
        use = self.bits.change if self.bits.engine.current is self.waiter else self.bits.look
        use("running")
        count: int = self.__dict__["told _running"]
        return count

    @_running.setter
    def _running(self, count: int) -> None:
        self.bits.look("running")
        self.__dict__["told _running"] = count

    def wait(self, patience: Patience) -> None:
        """From now on the calling thread looks at the count."""
        self.waiter = self.bits.engine.current
        super().wait(patience)


class ToldDict(dict[str, Any]):
    """A dictionary each of whose entries is an object of its own."""

    bits: Bits

    def pop(self, key: str, *default: Any) -> Any:
        """As of a dict."""
        use = self.bits.change if super().__contains__(key) else self.bits.look
        use(key)
        return super().pop(key, *default)

    def __setitem__(self, key: str, value: Any) -> None:
        self.bits.change(key)
        super().__setitem__(key, value)


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
