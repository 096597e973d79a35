"""What stands in for parts of the destination in an exploration; nothing, and production's own code runs.

The bug catalogue's mutants are such parts. They reach a destination only from here, that is from the lab.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from migemu.destination.core import Core
from migemu.vfio.load import LoadDevice

if TYPE_CHECKING:
    from migemu.destination.barrier import SyncBarrier
    from migemu.destination.finish import Finish
    from migemu.destination.incoming import Incoming
    from migemu.destination.plan import Plan
    from migemu.handoff.base import Handoff
    from migemu.vfio.reassembly import StateBuffers


@dataclass(frozen=True)
class Parts:
    """Classes to be used instead of production's own; None leaves that one alone."""

    handoff: type[Handoff] | None = None
    buffers: type[StateBuffers] | None = None
    barrier: type[SyncBarrier] | None = None
    incoming: type[Incoming] | None = None
    finish: type[Finish] | None = None
    core: type[Core] = Core
    device: type[LoadDevice] = LoadDevice

    @property
    def untouched(self) -> bool:
        """Whether it is production's own code that runs."""
        return self == PRODUCTION

    def put_into(self, plan: Plan) -> Plan:
        """The plan with these parts."""
        names = ("handoff", "buffers", "barrier", "incoming", "finish")
        told = {name: getattr(self, name) for name in names}
        return replace(plan, **{name: part for name, part in told.items() if part is not None})


PRODUCTION = Parts()
"""Nothing is exchanged."""
