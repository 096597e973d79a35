"""How a destination lets its source go: not before the source can know who has the VM."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migemu.destination.mainchannel import MainProtocol

ASKING_SECONDS = 4.0
"""How long a source asks who has the VM, once it knows that it has to, and a little more."""
GOODBYE_SECONDS = 2.0
"""How long the source has to close after the goodbye."""


async def part(main: MainProtocol, silence: float | None) -> None:
    """Wait until the source has gone, too; a VM that runs here must be found here by who asks for it.

    A source that does not get SHUT asks anew, and takes it that nobody runs the VM where nobody listens.

    Args:
        main: the main channel.
        silence: seconds after which such a source begins to ask; None: it has nothing to ask.
    """
    with suppress(TimeoutError):
        seconds = GOODBYE_SECONDS if silence is None else silence + ASKING_SECONDS
        await asyncio.wait_for(main.gone(), seconds)
    if silence is not None and main.torn:
        await asyncio.sleep(ASKING_SECONDS)
