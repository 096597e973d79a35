"""B8: a short write into the device is taken for an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_faults import PARTIAL_WRITE
from migemu.lab.system_parts import Parts
from migemu.vfio.load import LoadDevice

if TYPE_CHECKING:
    from migemu.destination.core import Core
    from migemu.threads.controlled import ControlledThreads
    from migemu.vfio.content import Span


class WritesOnce(LoadDevice):
    """One write a buffer, and all of it must go."""

    def _write_all(self, span: Span) -> None:
        """A short write is an error."""
        if self._write_some(span) < len(span):
            raise self.fail("short write")


def no_failure(threads: ControlledThreads, core: Core) -> None:
    """A data fd may take a prefix: nothing may fail for that."""

    def look() -> str | None:
        error = core.abort.error
        return None if error is None else f"the migration failed over a short write: {error}"

    threads.invariant("short-write-is-no-error", look)


SCENARIO = stock("devices=1", "device.0.state_size=64", "migration.channels=1")

BUG = Bug(
    name="B8",
    title="a partial write taken for an error",
    story=Story(
        mechanism="""write() to the device's data fd may take a prefix. Version 3 called that an error, so
        a device that takes its state in pieces could not be migrated to.""",
        happened="Version 3; reported by Avihai Horon.",
        fix="A loop over the rest, version 4 (30 January 2025).",
        versions="none released",
        links=("cover.1738171076 (version 4)",),
    ),
    changed="one guard: no loop round the write",
    breaks="short-write-is-no-error",
    broken=Setup(SCENARIO, Parts(device=WritesOnce), watch=no_failure, name="B8 broken"),
    correct=Setup(SCENARIO, watch=no_failure, name="B8 correct"),
    instead="the loop: the rest of the buffer is written before the next one",
    hunt=Hunt(schedules=200, rules=Rules(faults=frozenset({PARTIAL_WRITE}), fault_budget=2)),
)
