"""Real threads on a stage: every event, wait and lock is seen, and a thread can be stopped at an event.

Nothing here sleeps. A test waits until something is so (:meth:`Scene.until`), and whatever changes tells it.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from migemu.threads.native import NativeCondition, NativeLock, NativeThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Lock

LIMIT = 20.0
"""Seconds after which a story that does not go on has failed."""


@dataclass(frozen=True)
class Told:
    """One event, and who held the BQL when it was told."""

    event: str
    thread: str
    bql: str | None
    fields: dict[str, Any]

    @property
    def device(self) -> str:
        return str(self.fields.get("device", ""))


@dataclass
class Gate:
    """Stops the threads that come to an event until it is opened."""

    event: str
    fields: dict[str, Any]
    reached: bool = False
    opened: threading.Event = field(default_factory=threading.Event)

    def open(self) -> None:
        self.opened.set()


class SceneLock(NativeLock):
    """A lock that shows who has it and who wants it."""

    def __init__(self, name: str, scene: Scene) -> None:
        super().__init__(name)
        self.holder: str | None = None
        self._scene = scene

    def acquire(self, timeout: float | None = None) -> bool:
        taken = super().acquire(0)
        if not taken:
            with self._scene.waits(self.name, timeout):
                taken = super().acquire(timeout)
        if taken:
            self.holder = self._scene.current()
        return taken

    def release(self) -> None:
        self.holder = None
        super().release()
        self._scene.changed()


class SceneCondition(NativeCondition):
    """A condition that shows who sleeps on it."""

    def __init__(self, lock: NativeLock, name: str, scene: Scene) -> None:
        super().__init__(lock, name)
        self._scene = scene

    def wait(self, timeout: float | None = None) -> bool:
        with self._scene.waits(self.name, timeout):
            return super().wait(timeout)


class Wait:
    """A thread is in a wait for as long as this is entered."""

    def __init__(self, scene: Scene, name: str, timeout: float | None) -> None:
        self._scene, self._name, self._timeout = scene, name, timeout

    def __enter__(self) -> None:
        self._scene.timeouts[self._scene.current()] = self._timeout
        self._scene.waiting[self._scene.current()] = self._name
        self._scene.changed()

    def __exit__(self, *_: object) -> None:
        self._scene.waiting.pop(self._scene.current(), None)


class Scene(NativeThreads):
    """The seam, seen by a test.

    Attributes:
        events: all that was told, in order.
        waiting: what each thread waits for now: the name of a condition, or of a lock.
        timeouts: how long at most, in seconds, its last wait was to be.
    """

    def __init__(self) -> None:
        super().__init__(sink=self._hear, gate=self._stop)
        self.events: list[Told] = []
        self.waiting: dict[str, str] = {}
        self.timeouts: dict[str, float | None] = {}
        self.locks: dict[str, SceneLock] = {}
        self._gates: list[Gate] = []
        self._change = threading.Condition()

    def lock(self, name: str) -> SceneLock:
        made = self.locks[name] = SceneLock(name, self)
        return made

    def condition(self, lock: Lock, name: str) -> SceneCondition:
        assert isinstance(lock, NativeLock)
        return SceneCondition(lock, name, self)

    def waits(self, name: str, timeout: float | None) -> Wait:
        return Wait(self, name, timeout)

    def changed(self) -> None:
        with self._change:
            self._change.notify_all()

    def holder(self, lock: str = "BQL") -> str | None:
        """The thread that has `lock`."""
        made = self.locks.get(lock)
        return None if made is None else made.holder

    def _hear(self, event: str, _time: float, thread: str, fields: dict[str, object]) -> None:
        self.events.append(Told(event, thread, self.holder(), fields))
        self.changed()

    def _stop(self, event: str, fields: dict[str, object]) -> None:
        for gate in self._gates:
            if gate.event == event and gate.fields.items() <= fields.items():
                gate.reached = True
                self.changed()
                assert gate.opened.wait(LIMIT), f"nobody opened the gate at {event}"

    def until(self, predicate: Callable[[], object], what: str) -> None:
        """Wait until `predicate` holds; the test fails when it does not."""
        with self._change:
            if not self._change.wait_for(predicate, LIMIT):
                told = "\n".join(f"{t.event} {t.thread} {t.fields}" for t in self.events[-30:])
                raise AssertionError(f"never: {what}; waiting: {self.waiting}\n{told}")

    def gate(self, event: str, **fields: Any) -> Gate:
        """Stop whoever comes to `event` with these fields."""
        gate = Gate(event, fields)
        self._gates.append(gate)
        return gate

    def until_reached(self, gate: Gate) -> None:
        self.until(lambda: gate.reached, f"a thread at {gate.event} {gate.fields}")

    def open_all(self) -> None:
        for gate in self._gates:
            gate.open()

    def until_waits(self, thread: str, name: str) -> None:
        """Wait until `thread` sleeps on what is called `name`, or wants that lock."""
        self.until(lambda: self.waiting.get(thread) == name, f"{thread} waiting for {name}")

    def told(self, event: str, **fields: Any) -> list[Told]:
        """All events of that name with these fields."""
        return [told for told in self.events if told.event == event and fields.items() <= told.fields.items()]

    def until_told(self, event: str, count: int = 1, **fields: Any) -> None:
        self.until(lambda: len(self.told(event, **fields)) >= count, f"{count} x {event} {fields}")
