"""Helpers of the device room: a clock that only sleeping moves, an event list, payloads that count."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from migemu.threads.native import NativeCondition, NativeLock, NativeThreads

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Lock
    from migemu.threads.native import NativeThread


class Payload:
    """Bytes that know whether they were given back."""

    def __init__(self, content: bytes) -> None:
        self.view = memoryview(content)
        self.released = 0

    def release(self) -> None:
        self.released += 1


class Bed(NativeCondition):
    """A condition that tells, its lock still held, that somebody is about to sleep on it."""

    def __init__(self, lock: NativeLock, name: str, log: Log) -> None:
        super().__init__(lock, name)
        self._log = log

    def wait(self, timeout: float | None = None) -> bool:
        self._log.point("asleep", on=self.name)
        return super().wait(timeout)


class Log(NativeThreads):
    """Real threads that remember every event."""

    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, object]]] = []
        super().__init__(sink=lambda event, _time, _thread, fields: self.events.append((event, fields)))

    def condition(self, lock: Lock, name: str) -> NativeCondition:
        assert isinstance(lock, NativeLock)
        return Bed(lock, name, self)

    def asleep(self, lock: Lock, count: int = 1) -> None:
        """Wait until somebody sleeps on a condition over `lock` for the `count`-th time."""
        self.wait_for("asleep", count)
        with lock:
            """Whoever said so has let go of the lock, so it sleeps."""

    def told(self, event: str) -> list[dict[str, object]]:
        """The fields of all events of that name."""
        return [fields for name, fields in self.events if name == event]

    def run(self, name: str, target: Callable[[], None]) -> tuple[NativeThread, list[BaseException]]:
        """A thread, and the list its error will be in."""
        errors: list[BaseException] = []

        def guarded() -> None:
            try:
                target()
            except BaseException as error:  # noqa: BLE001 - the test looks at it
                errors.append(error)

        return self.spawn(name, guarded), errors

    def wait_for(self, event: str, count: int = 1) -> None:
        """Wait until `event` has happened `count` times."""
        for _ in range(5000):
            if len(self.told(event)) >= count:
                return
            threading.Event().wait(0.002)
        raise AssertionError(f"{event} never happened {count} times: {self.events}")


class Clock(Log):
    """Time that passes only by sleeping: what a device's model costs, to the microsecond."""

    def __init__(self) -> None:
        super().__init__()
        self.time = 100.0
        self.overshoot = 0.0

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self.time += seconds + self.overshoot


@pytest.fixture
def log() -> Log:
    return Log()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def payload() -> Callable[[bytes], Payload]:
    return Payload
