"""B23: a failure overwrites a cancel."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import CancelledMigrationError
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.explore import Rules
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_faults import CANCEL, CHANNEL_FAILS
from migemu.threads.sync import Abort

if TYPE_CHECKING:
    from migemu.destination.core import Core
    from migemu.errors import MigemuError
    from migemu.threads.controlled import ControlledThreads


class LastErrorCounts(Abort):
    """Any state may become FAILED, also CANCELLING."""

    def set(self, error: MigemuError) -> bool:
        """The last error is what the migration ends with."""
        if self.error is None:
            return super().set(error)
        self.error = error
        return True


def cancel_stays(threads: ControlledThreads, core: Core) -> None:
    """Once a person has cancelled the migration, it ends as cancelled."""
    cancelled: list[str] = []

    def look() -> str | None:
        if isinstance(core.abort.error, CancelledMigrationError):
            cancelled.append(str(core.abort.error))
        elif cancelled:
            return f"was {cancelled[0]!r}, is {str(core.abort.error)!r}"
        return None

    threads.invariant("cancel-stays", look)


def overwritten(threads: ControlledThreads, core: Core) -> None:
    """The mutant."""
    core.abort.__class__ = LastErrorCounts
    cancel_stays(threads, core)


SCENARIO = stock("devices=1", "device.0.state_size=64", "migration.channels=1")

BUG = Bug(
    name="B23",
    title="a cancel overwritten by a failure",
    story=Story(
        mechanism="""Cancelling makes connections fail. Whoever saw that set the state to FAILED, from any
        state, also from CANCELLING: what a person had cancelled was reported as failed, and what waits
        for the end of the cancel waited on.""",
        happened="Upstream, seen when cancelling during connect and switchover.",
        fix="No FAILED while cancelling: a state is changed only from the state that was looked at.",
        versions="fixed in 10.0 (February 2025)",
        links=("Don't set FAILED state when cancelling (Fabiano Rosas, February 2025)",),
    ),
    changed="one guard: an error may take the place of an earlier one",
    breaks="cancel-stays",
    broken=Setup(SCENARIO, watch=overwritten, name="B23 broken"),
    correct=Setup(SCENARIO, watch=cancel_stays, name="B23 correct"),
    instead="the first error is the one that a side ends with",
    hunt=Hunt(rules=Rules(faults=frozenset({CANCEL, CHANNEL_FAILS}), fault_budget=2)),
)
