"""The smallest QEMU that can migrate: ``-M none`` with nothing but RAM, shared with this process.

No firmware, no devices: its stream is RAM, ``timer`` and ``globalstate``. What it costs to migrate is what
RAM costs.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

from migemu.qemu import migration
from migemu.qemu.machine import Setup, running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence
    from pathlib import Path

    from migemu.qemu.binary import Launcher
    from migemu.qemu.machine import Machine
    from migemu.qemu.memory import SharedRam
    from migemu.scenario import Side

UNLIMITED: Final = 1 << 40
"""max-bandwidth, bytes a second."""


@contextlib.asynccontextmanager
async def bare(
    launcher: Launcher,
    folder: Path,
    ram: SharedRam,
    side: Side,
    *more: str,
    channels: int = 0,
    return_path: bool = True,
    kill_after: float = 120.0,
    parameters: dict[str, Any] | None = None,
    fds: Sequence[int] = (),
) -> AsyncIterator[Machine]:
    """Such a machine, ready to migrate from or to.

    Args:
        launcher: the QEMU.
        folder: where its words are kept.
        ram: its memory; the block is called as `ram` says.
        side: a destination waits to be told where to listen.
        more: further arguments.
        channels: multifd channels; 0: multifd is off.
        return_path: whether the destination answers.
        kill_after: seconds until it is ended, come what may.
        parameters: further migration parameters.
        fds: further descriptors it inherits.

    Raises:
        PeerError: it does not start, or refuses one of them.
    """
    words = ["-machine", f"none,memory-backend={ram.block}", "-m", f"{ram.size // 1024}k", *ram.backend()]
    words += ["-nodefaults", "-display", "none", "-S", *more]
    words += ["-incoming", "defer"] if side == "destination" else []
    setup = Setup(launcher, words, folder, side, fds=(ram.fd, *fds), kill_after=kill_after)
    async with running(setup) as machine:
        given = {"max_bandwidth": UNLIMITED} | ({"multifd_channels": channels} if channels else {})
        await migration.set_capabilities(machine, {"multifd": bool(channels), "return-path": return_path})
        await migration.set_parameters(machine, given | (parameters or {}))
        yield machine
