"""B34: the incoming state is used after it was destroyed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from migemu.errors import CancelledMigrationError
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_actors import Session
from migemu.lab.system_parts import Parts
from migemu.vfio.reassembly import StateBuffers

if TYPE_CHECKING:
    from migemu.errors import MigemuError


class TornDownTwice(Session):
    """Two teardowns: the main loop's own, and one by whoever was told to give up."""

    def run(self) -> None:
        """One after the other."""
        super().run()
        self._core.failed(CancelledMigrationError("given up a second time"))
        self._core.cleanup(math.inf)


class DestroyedOnce(StateBuffers):
    """Its mutex is destroyed at the end; using it again is what C calls undefined."""

    destroyed = False

    def abort(self, error: MigemuError) -> None:
        """Takes the mutex, whether it still exists or not."""
        if self.destroyed:
            detail = "load_bufs_mutex is taken after it was destroyed"
            self.threads.point("invariant", name="lifetime", ok=False, detail=detail, device=self.device)
        super().abort(error)

    def close(self) -> None:
        """The end."""
        super().close()
        self.destroyed = True


SCENARIO = stock("devices=1", "device.0.state_size=64", "migration.channels=1")

BUG = Bug(
    name="B34",
    title="use after destroy",
    story=Story(
        mechanism="""The incoming state was destroyed, and then loading was asked for once more: it took a
        mutex that was destroyed. Cleanup "rushes and frees state while other parts are still using it"
        (Fabiano Rosas).""",
        happened="Version 2, in a test without any VFIO device (28 August 2024).",
        fix="Version 3 ties the lifetime to the device's multifd struct.",
        versions="none released",
        links=("cover.1724701542 (version 2)", "cover.1731773021 (version 3)"),
    ),
    changed="one guard: a second teardown of a device's reassembly is not harmless",
    breaks="lifetime",
    broken=Setup(SCENARIO, Parts(buffers=DestroyedOnce), session=TornDownTwice, name="B34 broken"),
    correct=Setup(SCENARIO, session=TornDownTwice, name="B34 correct"),
    instead="""StateBuffers.close() as it is: harmless when repeated, its lock lives as long as anybody
    has it""",
    hunt=Hunt(schedules=50),
)
