"""The event log of a migration between two QEMUs, put together from what each of them left behind.

Three witnesses a side: the shim's log (device states, what was read and written), QEMU's trace points, and
the code that drove the run (RAM, failures, which VM runs). All on CLOCK_MONOTONIC.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from migemu.observe.events import Event
from migemu.observe.join import join
from migemu.observe.result import RunEnd, build_result
from migemu.qemu import tracelog
from migemu.qemu.board import PC, Board
from migemu.qemu.traceseen import Seen
from migemu.scenario import scenario_hash

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.errors import MigemuError
    from migemu.observe.model import Result
    from migemu.qemu.standin import StandIn
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads

SHIM_EVENTS: Final = frozenset(
    {"vfio_migration_set_device_state", "vfio_save_device_state_buffer", "vfio_save_iterate", "error"}
)
"""What is taken over from the shim's log; the rest of it is used up here."""

DATA: Final = "vfio_migration_data"
"""The shim's word on a whole data session: bytes and digest."""


class PairLog:
    """Events of both sides, and the result they make.

    Args:
        scenario: what was asked for.
        handoff: the hand-off design that runs.
        threads: where the time comes from.
        board: both sides' machine.
    """

    def __init__(self, scenario: Scenario, handoff: str, threads: Threads, board: Board = PC) -> None:
        self._threads = threads
        self._scenario = scenario
        self._handoff = handoff
        self._board = board
        self._events: dict[str, list[Event]] = {"source": [], "destination": []}
        self._data: dict[str, dict[str, dict[str, Any]]] = {"source": {}, "destination": {}}
        self._sizes: dict[tuple[str, int], int] = {}
        self._precopy: Counter[str] = Counter()
        self._begin, self._end = 0.0, float("inf")
        self._failed = False
        self._exits: dict[str, int | None] = {}
        self._offset = tracelog.wall_offset()

    def begin(self, now: float) -> None:
        """The migration begins; what the processes did before is not part of it."""
        self._begin = now

    def end(self, now: float) -> None:
        """Everything that counts has happened; the processes are ended next."""
        self._end = now

    def ended(self, side: str, *, killed: bool) -> None:
        """A process ended, by itself or because it had to be killed."""
        self._exits[side] = None if killed else 0

    def vm(self, side: str, now: float, *, running: bool, runnable: bool) -> None:
        """A side's VM runs, or may run."""
        self._add(side, now, "vm_state", running=running, runnable=runnable)

    def verify(self, what: str, *, ok: bool, detail: str = "", device: str | None = None) -> None:
        """Something was compared."""
        named = {} if device is None else {"device": device}
        now = self._threads.now()
        self._add("destination", now, "verify", what=what, ok=ok, detail=detail, **named)

    def failed(self, error: MigemuError) -> None:
        """The run failed."""
        self._failed = True
        side = error.side or "source"
        fields = {"message": error.message, "kind": type(error).__name__, **error.where()}
        self._add(side, self._threads.now(), "error", **fields)

    def _add(self, side: str, t: float, event: str, /, **fields: Any) -> None:
        self._events[side].append(Event(t, side, "driver", event, fields))

    def collect(self, side: str, trace: Path, standin: StandIn) -> None:
        """Read what a process left behind; the source's first, whose devices know the sizes of packets."""
        for told in standin.events():
            self._shim(side, dict(told))
        seen = Seen(side, standin.sections(), self._sizes, Counter(self._precopy))
        seen.interrupt_controller = self._board.interrupt_controller
        if trace.exists():
            with trace.open(errors="replace") as lines:
                self._events[side] += tracelog.read(lines, seen, self._offset)

    def _shim(self, side: str, fields: dict[str, Any]) -> None:
        event, t = fields.pop("event"), fields.pop("t")
        device = fields["device"]
        if event == DATA:
            self._data[side][device] = fields
        elif event == "vfio_save_device_state_buffer":
            self._sizes[device, fields["idx"]] = fields["bytes"]
        elif event == "vfio_save_iterate":
            self._precopy[device] += fields["bytes"]
        if event in SHIM_EVENTS:
            self._events[side].append(Event(t, side, f"device {device}", event, fields))

    def finish(self) -> tuple[list[Event], Result]:
        """The joined events, and the result."""
        if not self._failed:
            self._verify_devices()
        sides = {side: self._during(events) for side, events in self._events.items()}
        events = join(sides["source"], sides["destination"])
        scenario = self._scenario.model_dump(mode="json") | {"handoff": self._handoff}
        needs = bool(self._board.interrupt_controller)  # x86 has no such need
        scenario["platform"]["needs_interrupt_controller"] = needs
        end = RunEnd(exit_code=int(self._failed), exits=self._exits)
        return events, build_result(events, scenario, end, scenario_hash=scenario_hash(self._scenario))

    def _during(self, events: list[Event]) -> list[Event]:
        """Those of the migration: not of starting and ending the processes."""
        kept = [event for event in events if event.thread == "driver" or self._begin <= event.t <= self._end]
        return sorted(kept, key=lambda event: event.t)

    def _verify_devices(self) -> None:
        """What every destination device took in is what its source device gave out."""
        for device in self._scenario.device:
            name = device.section_id
            gave, took = (self._data[side].get(name) for side in ("source", "destination"))
            said = [(told or {}).get("xxh64") for told in (gave, took)]
            sizes = [(told or {}).get("bytes") for told in (gave, took)]
            same = None not in said and said[0] == said[1] and sizes[0] == sizes[1]
            detail = "" if same else f"the source gave {sizes[0]} bytes, the destination took {sizes[1]}"
            self.verify("data", ok=same, device=name, detail=detail)
