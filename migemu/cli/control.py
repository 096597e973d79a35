"""How a running side is found and told to stop: an abstract Unix socket, so no file is left behind.

Its name is ``migemu-UID-PID``. Only the same user (or root) is listened to. A line of JSON says what runs
there; one line, ``cancel``, ends it.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

PREFIX = "migemu"
SECONDS = 2.0
"""How long either end waits for the other's line."""
LINE = 4096
"""Bytes of the longest line."""
SOCKETS = Path("/proc/net/unix")
_CREDENTIALS = struct.Struct("iII")


@dataclass(frozen=True, slots=True)
class Running:
    """A side that runs on this machine."""

    pid: int
    side: str
    name: str
    address: str
    """Where it listens, or what it connects to."""


def socket_name(pid: int) -> str:
    """The abstract socket of that process."""
    return f"\0{PREFIX}-{os.getuid()}-{pid}"


@asynccontextmanager
async def reachable(
    side: str, name: str, address: Callable[[], str], cancel: Callable[[str], None]
) -> AsyncIterator[None]:
    """As long as the block lasts, `migemu cancel` reaches this side.

    Unless its name is taken: containers may share a network, and so these names, and count processes apart.
    Then a signal is what ends it.
    """
    pid = os.getpid()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listener.bind(socket_name(pid))
    except OSError:
        listener.close()
        yield
        return

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _serve(Running(pid, side, name, address()), cancel, reader, writer)

    server = await asyncio.start_unix_server(serve, sock=listener, limit=LINE)
    try:
        yield
    finally:
        server.close()


async def _serve(
    running: Running,
    cancel: Callable[[str], None],
    reader: asyncio.StreamReader,
    writer: asyncio.StreamWriter,
) -> None:
    with suppress(OSError, ValueError, TimeoutError):
        async with asyncio.timeout(SECONDS):
            if _peer(writer.get_extra_info("socket")) in (os.getuid(), 0):
                writer.write(json.dumps(asdict(running)).encode() + b"\n")
                if await reader.readline() == b"cancel\n":
                    cancel("cancelled by migemu cancel")
                    writer.write(b"done\n")
            await writer.drain()
    writer.close()


def _peer(connection: Any) -> int:
    """The user at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    return int(_CREDENTIALS.unpack(raw)[1])


def running_sides() -> list[Running]:
    """What of this user runs on this machine, in this network namespace."""
    prefix = f"@{PREFIX}-{os.getuid()}-"
    words = [line.split()[-1] for line in SOCKETS.read_text(encoding="utf-8").splitlines()[1:]]
    names = {word.removeprefix(prefix) for word in words if word.startswith(prefix)}
    pids = sorted(int(name) for name in names if name.isdecimal())  # anybody may take such a name
    return [found for pid in pids if (found := tell(pid)) is not None]


def tell(pid: int, line: bytes = b"") -> Running | None:
    """Ask the side `pid` what it is and tell it `line`; None when it is not there (any more)."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(SECONDS)
        try:
            connection.connect(socket_name(pid))
            with connection.makefile("rwb") as stream:
                said = json.loads(stream.readline(LINE))
                stream.write(line)
                stream.flush()
                connection.shutdown(socket.SHUT_WR)
                stream.readline(LINE)
            return Running(**said)
        except (OSError, ValueError, TypeError, RecursionError):
            return None
