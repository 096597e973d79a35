"""Asking a destination anew, after the connection of the migration is gone: does it run the VM?"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING

from migemu.errors import MigemuError
from migemu.wire.probe import QUESTION, Readiness, decode_readiness

if TYPE_CHECKING:
    import ssl

SECONDS = 3.0
"""How long a destination has to answer."""
PIECE = 4096
"""Bytes read at a time; a longer answer is refused by its first bytes."""
PAUSE = 0.05
"""Seconds between two questions: a process that is being killed still accepts, and then resets."""


async def peer_state(
    host: str, port: int, context: ssl.SSLContext | None = None, server_name: str | None = None
) -> str:
    """``running``, ``gone`` (nobody listens there any more), or ``unknown``.

    A destination listens until its end, so a refused connection means that its process has ended, and with
    it whatever VM it had. No answer, or another answer, proves nothing.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(SECONDS):
            while True:
                state = await _ask(host, port, context, server_name)
                if state is not None:
                    return state
                await asyncio.sleep(PAUSE)
    return "unknown"


async def _ask(host: str, port: int, context: ssl.SSLContext | None, server_name: str | None) -> str | None:
    """One question; None when it was not answered."""
    try:
        reader, writer = await asyncio.open_connection(host, port, ssl=context, server_hostname=server_name)
    except ConnectionRefusedError:
        return "gone"
    except OSError:
        return None
    try:
        writer.write(QUESTION)
        readiness = await _answer(reader)
    except (OSError, MigemuError):
        return None
    finally:
        writer.close()
    return "running" if readiness is not None and readiness.state == "running" else None


async def _answer(reader: asyncio.StreamReader) -> Readiness | None:
    """The answer as soon as it is whole, whatever follows it; None when the other side closes before."""
    have = b""
    while (readiness := decode_readiness(have)) is None:
        more = await reader.read(PIECE)
        if not more:
            return None
        have += more
    return readiness
