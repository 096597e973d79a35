"""Asking anew who has the VM: one plain answer counts, whatever else may listen there proves nothing."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from migemu.source import ask
from migemu.source.ask import peer_state
from migemu.wire.probe import ANSWER, QUESTION, Readiness

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Talk = Callable[[asyncio.StreamWriter], object]


@pytest.fixture(autouse=True)
def _soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ask, "SECONDS", 0.3)


@asynccontextmanager
async def listener(talk: Talk) -> AsyncIterator[tuple[str, int]]:
    """Whoever listens there says that to every question, and keeps the connection."""
    writers = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        assert await reader.readexactly(len(QUESTION)) == QUESTION
        talk(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()
    finally:
        for writer in writers:
            writer.transport.abort()
        server.close()


def saying(answer: bytes) -> Talk:
    return lambda writer: writer.write(answer)


async def test_a_destination_that_runs_the_vm_is_believed_before_it_closes() -> None:
    async with listener(saying(Readiness("0.1.0", "running").encode())) as place:
        assert await peer_state(*place) == "running"


async def test_nobody_listening_means_that_the_process_is_gone() -> None:
    async with listener(saying(b"")) as place:
        pass
    assert await peer_state(*place) == "gone"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"SSH-2.0-OpenSSH\r\n",
        Readiness("0.1.0", "migrating").encode(),
        ANSWER + (1024).to_bytes(2) + b"[" * 1024,
        ANSWER + b"\xff\xff" + b" " * (1 << 20),
    ],
    ids=["silence", "another service", "not running", "nested", "too much"],
)
async def test_any_other_answer_proves_nothing(answer: bytes) -> None:
    async with listener(saying(answer)) as place:
        assert await peer_state(*place) == "unknown"


async def test_no_more_is_read_than_an_answer_can_have(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    read = asyncio.StreamReader.read

    async def counted(self: asyncio.StreamReader, n: int = -1) -> bytes:
        asked.append(n)
        return await read(self, n)

    monkeypatch.setattr(asyncio.StreamReader, "read", counted)
    async with listener(saying(b"x" * (1 << 20))) as place:
        await peer_state(*place)
    assert set(asked) == {ask.PIECE}
