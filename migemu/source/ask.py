"""Asking a destination anew, after the connection of the migration is gone: does it run the VM?"""

from __future__ import annotations

import asyncio

from migemu.errors import MigemuError
from migemu.wire.probe import QUESTION, decode_readiness

SECONDS = 3.0
"""How long a destination has to answer."""


async def peer_state(host: str, port: int) -> str:
    """``running``, ``gone`` (nobody listens there any more), or ``unknown``.

    A destination listens until its end, so a refused connection means that its process has ended, and with
    it whatever VM it had. No answer, or another answer, proves nothing.
    """
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(host, port)
            writer.write(QUESTION)
            said = await reader.read()
            writer.close()
    except ConnectionRefusedError:
        return "gone"
    except (OSError, TimeoutError):
        return "unknown"
    try:
        readiness = decode_readiness(said)
    except MigemuError:
        return "unknown"
    return "running" if readiness is not None and readiness.state == "running" else "unknown"
