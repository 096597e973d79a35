"""The invariants of the house, checked after each step of an exploration.

Most are refused by the device itself, as hardware would, and told in an ``invariant`` event; the rest are
looked for here. What the program makes of such a refusal afterwards does not matter: it should not have
come to it.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Protocol

from migemu.errors import InvariantError, LimitError
from migemu.ram.guest import PAGE_SIZE
from migemu.vfio.virtual import VirtualDigest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from migemu.destination.core import Core
    from migemu.threads.controlled import ControlledThreads
    from migemu.vfio.content import Span


class Expected(Protocol):
    """What a run should come to."""

    @property
    def ignored(self) -> frozenset[str]:
        """Invariants that are not looked at."""
        ...

    @property
    def ram(self) -> bytes:
        """The first byte of each page of guest RAM."""
        ...

    @property
    def contents(self) -> Mapping[str, str]:
        """What each device has taken: section id to digest."""
        ...

    @property
    def most_queued(self) -> float:
        """Bytes that may be queued of a device."""
        ...


class Watchman:
    """Hears every event of a run and remembers the first rule that was broken.

    Args:
        core: the destination.
        expected: what must be in when the VM runs, and what is not looked at.
    """

    def __init__(self, core: Core, expected: Expected) -> None:
        self._core = core
        self._expected = expected
        self._buffers = [slot.buffers for slot in core.machine.slots.values()]
        self._most = expected.most_queued
        self.broken: InvariantError | None = None

    def install(self, threads: ControlledThreads) -> None:
        """Hear and look from now on."""
        threads.listen(self.hear)
        threads.invariant("house", self.look)
        if self._most < math.inf:
            threads.invariant("queue-bounded", self._look_at_queues)

    def look(self) -> str | None:
        """Raise what was found; asked after each step."""
        if self.broken is not None:
            raise self.broken
        return None

    def _look_at_queues(self) -> str | None:
        for buffers in self._buffers:
            queued = buffers.slots.stats.queued_bytes
            if queued > self._most:
                return f"{queued} bytes of {buffers.device} are queued, allowed are {self._most:g}"
        return None

    def hear(self, event: str, _now: float, thread: str, fields: dict[str, Any]) -> None:
        """One event."""
        if event == "invariant":
            if not fields.get("ok"):
                self.found(fields["name"], f"{fields.get('detail', '')} (in {thread})", fields.get("device"))
        elif event == "vm_state" and fields.get("running"):
            self._vm_runs()

    def found(self, invariant: str, detail: str, device: str | None = None) -> None:
        """A rule is broken."""
        if self.broken is None and invariant not in self._expected.ignored:
            self.broken = InvariantError(detail, invariant=invariant, device=device)

    def _vm_runs(self) -> None:
        """The destination's VM has been started: everything must be in, byte for byte."""
        for slot in self._core.machine.slots.values():
            if slot.device.config_digest is None:
                self.found("start-after-all", "the VM runs, but the device's config is not in", slot.name)
            if slot.device.data_digest() != self._expected.contents.get(slot.name):
                self.found("data-intact", "the VM runs with other data than was saved", slot.name)
        pages = bytes(self._core.memory.ram.view[::PAGE_SIZE])
        if self._expected.ram and pages != self._expected.ram:
            told = f"the VM runs with RAM {pages.hex(' ')}, saved was {self._expected.ram.hex(' ')}"
            self.found("data-intact", told)
        if self._core.abort.error is not None:
            self.found("one-vm-runs", f"the VM runs although the migration failed: {self._core.abort.error}")

    def check_end(self, *, faultless: bool = False) -> None:
        """A run is over: it ended well, or with an error that says why.

        Args:
            faultless: nothing went wrong, so it must have ended well; that a limit was met is no fault.

        Raises:
            InvariantError: neither.
        """
        core = self._core
        error = core.abort.error
        if not core.running and error is None:
            raise InvariantError("the migration is over, without a VM and without an error", invariant="ends")
        if faultless and error is not None and not isinstance(error, LimitError):
            raise InvariantError(f"nothing went wrong, but the migration failed: {error}", invariant="ends")
        for slot in core.machine.slots.values():
            held = slot.buffers.stats.queued_bytes
            if held:
                raise InvariantError(
                    f"{held} bytes are still queued after cleanup",
                    invariant="queue-bounded",
                    device=slot.name,
                )


def digest_of(spans: Iterable[Span]) -> str:
    """The digest of a device that took these."""
    digest = VirtualDigest()
    for span in spans:
        digest.update(span)
    return digest.hexdigest()
