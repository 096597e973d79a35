"""The hand-off designs of the debate, one file each.

Who loads a device's config state on the destination, when, and under which lock: reading this package is
reading the debate on qemu-devel (September and October 2024) and what became of it. :data:`HANDOFFS` lists
the designs in the order of the debate, and last what was merged.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import ConfigError
from migemu.handoff.ack import Ack
from migemu.handoff.blocking_wait import BlockingWait
from migemu.handoff.bql_yield import BqlYield
from migemu.handoff.incoming_complete import IncomingComplete
from migemu.handoff.load_finish import LoadFinish
from migemu.handoff.load_ready import LoadReady
from migemu.handoff.load_thread import LoadThread
from migemu.handoff.loadvm_thread import LoadvmThread
from migemu.handoff.main_channel import MainChannel
from migemu.handoff.non_iterable import NonIterable
from migemu.handoff.post_load_jobs import PostLoadJobs
from migemu.handoff.recv_loads import RecvLoads
from migemu.handoff.recv_loads_nonblocking import RecvLoadsNonblocking
from migemu.handoff.reentrant import Reentrant

if TYPE_CHECKING:
    from migemu.handoff.base import Handoff

DEBATE: tuple[type[Handoff], ...] = (
    MainChannel,
    LoadFinish,
    BlockingWait,
    Ack,
    NonIterable,
    BqlYield,
    LoadvmThread,
    Reentrant,
    PostLoadJobs,
    IncomingComplete,
    RecvLoads,
    RecvLoadsNonblocking,
    LoadThread,
    LoadReady,
)
"""Every design, in the order of the debate."""

HANDOFFS: dict[str, type[Handoff]] = {handoff.design.name: handoff for handoff in DEBATE}
"""The designs by name."""


def handoff(name: str) -> type[Handoff]:
    """The design called `name`.

    Raises:
        ConfigError: there is none.
    """
    try:
        return HANDOFFS[name]
    except KeyError:
        raise ConfigError(f"unknown hand-off {name!r}; there are: {', '.join(HANDOFFS)}") from None
