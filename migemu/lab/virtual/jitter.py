"""Times that vary: seeded draws, and the link, devices and locks that take theirs from them.

Every device, channel and lock has a row of draws of its own for each kind of time. What one of them meets
therefore depends on the seed and on what it did before, not on the order in which the others ran: two
designs under the same seed meet the same devices, and can be compared run by run.
"""

from __future__ import annotations

import math
from random import Random
from typing import TYPE_CHECKING, Any

from migemu.link.pacing import Pacer as Link
from migemu.link.pacing import Slot
from migemu.threads.controlled_ordered import HandedLock
from migemu.vfio.device import Device
from migemu.vfio.load import LoadDevice
from migemu.vfio.pace import Pacer
from migemu.vfio.save import SaveDevice

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from migemu.scenario import Scenario
    from migemu.threads.controlled_engine import Engine
    from migemu.vfio.states import State

    Draw = Callable[[], float]


def always_one() -> float:
    """What does not vary."""
    return 1.0


class Draws:
    """All draws of one run."""

    def __init__(self, scenario: Scenario) -> None:
        self._seed = scenario.seed
        self._jitter = scenario.virtual.jitter

    def of(self, kind: str, name: str) -> Draw:
        """The row of `name` for a kind of time: factors with a mean of 1, log-normal."""
        spread: float = getattr(self._jitter, kind)
        if not spread:
            return always_one
        variance = math.log1p(spread * spread)
        sigma = math.sqrt(variance)
        draw = Random(f"{self._seed} {kind} {name}").lognormvariate  # noqa: S311  repeatable, no secret
        return lambda: draw(-variance / 2, sigma)


class VaryingLink(Link):
    """A link on which packets of one size take different times."""

    def __init__(self, draws: Draws, rate: float | None, per_channel: float | None, delay: float) -> None:
        super().__init__(rate, per_channel, delay)
        self._draws = draws
        self._rows: dict[int | str, Draw] = {}

    def slot(self, now: float, size: int, channel: int | str = "main") -> Slot:
        """Book a packet that may take longer or shorter than its size says."""
        row = self._rows.get(channel)
        if row is None:
            row = self._rows[channel] = self._draws.of("link", str(channel))
        slot = super().slot(now, round(size * row()), channel)
        return Slot(slot.sent, slot.sent + (slot.arrived - slot.sent) * row())


class VaryingPacer(Pacer):
    """A data fd whose operations of one size take different times."""

    draw: Draw = staticmethod(always_one)

    def end(self, size: float) -> None:
        """The operation may take longer or shorter than its size says."""
        super().end(size * self.draw())


class Varying(Device):
    """A device whose times vary; mixed into one side's device."""

    fd = ""
    """The kind of time an operation on its data fd takes."""

    def __init__(self, draws: Draws, *args: Any, **named: Any) -> None:
        name = args[0].name
        self._fd, self._transition, self._config_draw = (
            draws.of(kind, name) for kind in (self.fd, "transition", "config")
        )
        super().__init__(*args, **named)

    def _time_to(self, state: State) -> float:
        return super()._time_to(state) * self._transition()

    def _take_time(self, seconds: float, operation: str) -> None:
        super()._take_time(seconds * self._config_draw(), operation)

    def _make_pacer(self, rate: float | None) -> Pacer:
        pacer = VaryingPacer(rate, self.threads, self.sleeper)
        pacer.draw = self._fd
        return pacer


class VaryingSave(Varying, SaveDevice):
    """A source device whose times vary."""

    fd = "read"


class VaryingLoad(Varying, LoadDevice):
    """A destination device whose times vary."""

    fd = "write"


class HeldLock(HandedLock):
    """A lock whose every hold takes some time, as where processors have to do what is done under it."""

    __slots__ = ("_draw", "_hold")

    def __init__(self, engine: Engine, name: str, hold: float, draw: Draw) -> None:
        super().__init__(engine, name, 0)
        self._hold = hold
        self._draw = draw

    def _work(self) -> None:
        """Time passes before the lock is given back."""
        engine = self.engine
        task = engine.current
        if engine.over or engine.building or self.owner is not task:
            return
        task.blocked_on = engine.clock
        engine.block(task, self._hold * self._draw())

    def release(self) -> None:
        """Hand the lock on, when the work is done."""
        self._work()
        super().release()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self._work()
        super().__exit__(kind, error, trace)
