"""The migration commands of QMP: set it up, start it, wait for its end, read its figures.

Progress is watched by polling ``query-migrate``, with a limit on the whole. A destination answers nothing
while it waits at a barrier, so an unanswered poll is no error by itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from migemu.errors import PeerRefusedError, PeerTimeoutError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from migemu.qemu.machine import Machine

POLL: Final = 0.02
"""Seconds between two polls."""

ENDED: Final = frozenset({"completed", "failed", "cancelled", "postcopy-paused"})
"""MigrationStatus values after which nothing more happens by itself."""


async def set_capabilities(machine: Machine, capabilities: Mapping[str, bool]) -> None:
    """Switch migration capabilities on or off.

    Raises:
        PeerRefusedError: this QEMU does not know one, or they do not go together.
    """
    rows = [{"capability": name, "state": on} for name, on in capabilities.items()]
    await machine.execute("migrate-set-capabilities", capabilities=rows)


async def set_parameters(machine: Machine, parameters: Mapping[str, Any]) -> None:
    """Set migration parameters; QEMU's units (ms, bytes a second).

    Raises:
        PeerRefusedError: this QEMU does not know one, or a value is out of range.
    """
    await machine.execute("migrate-set-parameters", **parameters)


async def listen(machine: Machine, uri: str = "tcp:127.0.0.1:0") -> str:
    """Let a QEMU started with ``-incoming defer`` listen; the address to migrate to.

    Port 0 takes any free port; what it was is part of the answer. A QEMU that can (9.1) stays when the load
    fails, so that it can be asked why.
    """
    stay = {"exit_on_error": False} if machine.setup.launcher.version >= (9, 1) else {}
    await machine.execute("migrate-incoming", uri=uri, **stay)
    if not uri.startswith("tcp:"):
        return uri
    told = await machine.execute("query-migrate")
    address = told["socket-address"][0]
    return f"tcp:{address['host']}:{address['port']}"


async def start(machine: Machine, uri: str) -> None:
    """Begin to migrate to `uri`; returns at once."""
    await machine.execute("migrate", uri=uri)


async def wait(machine: Machine, limit: float) -> dict[str, Any]:
    """The last ``query-migrate`` of a migration that ended, well or not.

    Raises:
        PeerTimeoutError: it did not end within `limit` seconds; says in which status it is stuck.
        PeerError: the QEMU ended.
    """
    told: dict[str, Any] = {}
    try:
        async with asyncio.timeout(limit):
            while told.get("status") not in ENDED:
                await asyncio.sleep(POLL if told else 0)
                told = await machine.execute("query-migrate", limit)
    except (TimeoutError, PeerTimeoutError):
        status = told.get("status", "unknown")
        raise PeerTimeoutError(
            f"the migration did not end within {limit:g} s; last status: {status}", side=machine.name
        ) from None
    return told


def require_completed(machine: Machine, told: Mapping[str, Any]) -> None:
    """Raise PeerRefusedError, with QEMU's reason, unless the migration completed."""
    if told.get("status") != "completed":
        reason = told.get("error-desc") or machine.last_words()
        raise PeerRefusedError(f"the migration {told.get('status')}: {reason}", side=machine.name)


@dataclass(frozen=True, slots=True)
class Figures:
    """What ``query-migrate`` says of a completed migration."""

    total: float
    """Seconds."""
    downtime: float
    """Seconds, as the source sees it: until it has written everything, not until the destination runs."""
    setup: float
    """Seconds."""
    ram_bytes: int
    """Transferred for RAM, all channels."""
    rounds: int
    """Times the dirty log was read."""
    vfio_bytes: int
    """Transferred by VFIO devices."""

    @classmethod
    def of(cls, told: Mapping[str, Any]) -> Figures:
        """Read them; what an older QEMU leaves out is 0."""
        ram = told.get("ram", {})
        return cls(
            total=told.get("total-time", 0) / 1000,
            downtime=told.get("downtime", 0) / 1000,
            setup=told.get("setup-time", 0) / 1000,
            ram_bytes=ram.get("transferred", 0),
            rounds=ram.get("dirty-sync-count", 0),
            vfio_bytes=told.get("vfio", {}).get("transferred", 0),
        )
