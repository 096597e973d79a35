"""The hand-off designs of the debate, one file each.

Who loads a device's config state on the destination, when, and under which lock: reading this package is
reading the debate on qemu-devel (September and October 2024) and what became of it. :data:`HANDOFFS` lists
the designs in the order in which they were proposed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import ConfigError
from migemu.handoff.load_ready import LoadReady
from migemu.handoff.load_thread import LoadThread
from migemu.handoff.non_iterable import NonIterable

if TYPE_CHECKING:
    from migemu.handoff.base import Handoff

HANDOFFS: dict[str, type[Handoff]] = {
    handoff.design.name: handoff for handoff in (NonIterable, LoadThread, LoadReady)
}


def handoff(name: str) -> type[Handoff]:
    """The design called `name`.

    Raises:
        ConfigError: there is none.
    """
    try:
        return HANDOFFS[name]
    except KeyError:
        raise ConfigError(f"unknown hand-off {name!r}; there are: {', '.join(HANDOFFS)}") from None
