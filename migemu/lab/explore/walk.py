"""A walk over all that a system's state is made of, in an order that does not depend on how it came about."""

from __future__ import annotations

import sys
from collections import OrderedDict, defaultdict, deque
from dis import get_instructions
from enum import Enum
from functools import partial
from mmap import mmap
from random import Random
from types import (
    BuiltinFunctionType,
    CodeType,
    FunctionType,
    GeneratorType,
    MethodType,
    ModuleType,
)
from typing import TYPE_CHECKING, Any

from migemu.threads.controlled import ControlledThreads
from migemu.threads.controlled_engine import Engine
from migemu.threads.controlled_sync import ControlledCondition, ControlledLock
from migemu.threads.controlled_task import Clock, Task

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

PLAIN = frozenset({int, str, bool, float, bytes, complex, type(None), range})
"""Counted by value."""

FIXED = (type, ModuleType, CodeType, Enum)
"""Counted by identity, or not at all: there is one of each."""

ITERATORS = tuple(map(type, (iter([]), iter(()), reversed([]), iter({}), iter({}.values()), iter(range(0)))))
"""What `for` goes through; they tell what is left of them when they are copied."""

MACHINERY = (
    "/migemu/threads/controlled",
    *(f"/migemu/lab/explore/{name}.py" for name in ("walk", "fingerprint", "states", "dfs")),
)
"""Frames of these files belong to the engine, not to the system."""

_machinery: dict[CodeType, bool] = {}

_places: dict[CodeType, list[int]] = {}
"""For each word of a code: where the instruction begins that it is part of; the last one: not begun."""


class Walk:
    """One walk; `out` is what was met, in order.

    Args:
        constants: identities of objects that are the same in every run.
        slots: the slots of a class that count; None when the class does not.
        ignore: class and attribute names that do not count.
    """

    def __init__(
        self,
        constants: frozenset[int],
        slots: Callable[[type], tuple[str, ...] | None],
        ignore: frozenset[str],
    ) -> None:
        self.out: list[Any] = []
        self._constants = constants
        self._slots = slots
        self._ignore = ignore
        self._met: dict[int, int] = {}

    def visit(self, thing: Any) -> None:
        """Put `thing` down, and what it leads to."""
        kind = type(thing)
        out = self.out
        if kind in PLAIN:
            out.append(thing)
            return
        identity = id(thing)
        if identity in self._constants:
            out.append(identity)
            return
        number = self._met.get(identity)
        if number is not None:
            out.append(-1 - number)
            return
        self._met[identity] = len(self._met)
        out.append(kind)
        way = WAYS.get(kind)
        if way is None:
            way = WAYS[kind] = _way(kind)
        way(self, thing)

    def thread(self, task: Task, engine: Engine, going: Task | None, due: float | None) -> None:
        """Put down where a thread stands; `going` is the one that runs and can go on."""
        self.out += [task.tid, task.timed_out, task.due, due]
        if task.ended >= 0:
            self.out.append("ended")
        elif task.greenlet is None:
            self.visit(task.target)
        else:
            if task is going or task.blocked_on is None or task in engine.ready:
                self.out.append("goes on")
            else:
                self.visit(task.blocked_on)
            frame = sys._getframe(1) if task is engine.current else task.greenlet.gr_frame
            self._frames(frame)

    def _frames(self, frame: FrameType | None) -> None:
        """The system's frames, the innermost first."""
        while frame is not None:
            code = frame.f_code
            ours = _machinery.get(code)
            if ours is None:
                ours = _machinery[code] = any(part in code.co_filename for part in MACHINERY)
            if not ours:
                self.frame(frame)
            frame = frame.f_back

    def frame(self, frame: FrameType) -> None:
        """A place in the code, and the local variables there."""
        code = frame.f_code
        self.out += [code, (_places.get(code) or _places_in(code))[frame.f_lasti >> 1]]
        for name, value in frame.f_locals.items():
            self.out.append(name)
            self.visit(value)

    # How each kind of thing is put down.

    def _sequence(self, thing: Any) -> None:
        self.out.append(len(thing))
        for item in thing:
            self.visit(item)

    def _mapping(self, thing: dict[Any, Any]) -> None:
        """By key where keys have an order: when an entry was made makes no difference to most programs."""
        self.out.append(len(thing))
        try:
            items = sorted(thing.items(), key=_key)
        except TypeError:
            items = list(thing.items())
        for key, value in items:
            self.visit(key)
            self.visit(value)

    def _set(self, thing: Any) -> None:
        if all(type(item) in PLAIN for item in thing):
            self.out.append(frozenset(thing))
        else:
            self._sequence(thing)

    def _lock(self, thing: ControlledLock) -> None:
        owner = thing.owner
        self.out += [thing.bit, -1 if owner is None else owner.tid]

    def _condition(self, thing: ControlledCondition) -> None:
        self.out += [thing.lock.bit, thing.name]

    def _task(self, thing: Task) -> None:
        self.out.append(thing.tid)

    def _function(self, thing: FunctionType) -> None:
        self.out.append(thing.__code__)
        for cell in thing.__closure__ or ():
            try:
                self.visit(cell.cell_contents)
            except ValueError:
                self.out.append("empty")
        self.visit(thing.__defaults__)
        self.visit(thing.__kwdefaults__)

    def _builtin(self, thing: Any) -> None:
        """A function in C, or a method of something made in C."""
        self.out.append(thing.__name__)
        if not isinstance(thing.__self__, ModuleType):
            self.visit(thing.__self__)

    def _method(self, thing: MethodType) -> None:
        self.visit(thing.__func__)
        self.visit(thing.__self__)

    def _generator(self, thing: GeneratorType[Any, Any, Any]) -> None:
        if thing.gi_frame is not None:
            self.frame(thing.gi_frame)

    def _iterator(self, thing: Any) -> None:
        self._sequence(thing.__reduce__()[1:])

    def _partial(self, thing: partial[Any]) -> None:
        for part in (thing.func, thing.args, thing.keywords):
            self.visit(part)

    def _content(self, thing: Any) -> None:
        """A view or an array."""
        self.out.append(thing.tobytes())

    def _buffer(self, thing: Any) -> None:
        self.out.append(bytes(thing))

    def _random(self, thing: Random) -> None:
        self.out.append(thing.getstate())

    def _digest(self, thing: Any) -> None:
        self.out.append(thing.hexdigest())

    def _fixed(self, thing: object) -> None:
        self.out.append(id(thing))

    def _nothing(self, thing: object) -> None:
        """Engine and seam: what they know is put down thread by thread."""

    def _error(self, thing: BaseException) -> None:
        self.visit(thing.args)
        self._object(thing)

    def _object(self, thing: object) -> None:
        """An instance: its slots and its dictionary, without what does not count."""
        slots = self._slots(type(thing))
        if slots is None:
            return
        for slot in slots:
            self.visit(getattr(thing, slot, None))
        content = getattr(thing, "__dict__", None)
        if content is not None:
            self._attributes(type(thing).__name__, content)
        elif not slots and type(thing).__module__ != "builtins" and not hasattr(type(thing), "__slots__"):
            self.out.append(id(thing))  # made in C: nothing of it can be seen

    def _attributes(self, owner: str, content: dict[str, Any]) -> None:
        for name, value in content.items():
            if f"{owner}.{name}" not in self._ignore:
                self.out.append(name)
                self.visit(value)


def _places_in(code: CodeType) -> list[int]:
    """Where a frame stands, by its `f_lasti`.

    CPython counts the cache behind an instruction in or not, and stands at one or the other of the two
    instructions of a call (3.11), as it has come to optimise it.
    """
    names = {instruction.offset: instruction.opname for instruction in get_instructions(code)}
    places: list[int] = []
    last = ""
    for offset in range(0, len(code.co_code), 2):
        name = names.get(offset)
        begins = name is not None and (last, name) != ("PRECALL", "CALL")
        places.append(offset if begins else places[-1])
        last = name or last
    _places[code] = [*places, -1]
    return _places[code]


def _key(item: tuple[Any, Any]) -> Any:
    return item[0]


WAYS: dict[type, Callable[[Walk, Any], None]] = {
    list: Walk._sequence,
    tuple: Walk._sequence,
    deque: Walk._sequence,
    dict: Walk._mapping,
    defaultdict: Walk._mapping,
    OrderedDict: Walk._mapping,
    set: Walk._set,
    frozenset: Walk._set,
    FunctionType: Walk._function,
    MethodType: Walk._method,
    BuiltinFunctionType: Walk._builtin,
    GeneratorType: Walk._generator,
    partial: Walk._partial,
    bytearray: Walk._buffer,
    mmap: Walk._buffer,
    Random: Walk._random,
    Clock: Walk._nothing,
    **dict.fromkeys(ITERATORS, Walk._iterator),
}
"""By exact type; others are looked up once."""


def _way(kind: type) -> Callable[[Walk, Any], None]:
    """How things of a type are put down that has no entry of its own."""
    by_base: list[tuple[Any, Callable[[Walk, Any], None]]] = [
        ((Engine, ControlledThreads), Walk._nothing),
        (FIXED, Walk._fixed),
        (ControlledLock, Walk._lock),
        (ControlledCondition, Walk._condition),
        (Task, Walk._task),
        (BaseException, Walk._error),
        (dict, Walk._mapping),
        ((list, tuple, deque), Walk._sequence),
        ((set, frozenset), Walk._set),
    ]
    if hasattr(kind, "hexdigest") and not kind.__dictoffset__:
        return Walk._digest
    if hasattr(kind, "tobytes"):
        return Walk._content
    return next((way for bases, way in by_base if issubclass(kind, bases)), Walk._object)
