"""A process that has closed its output and does not end is ended: nobody waits for it longer than is said."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from migemu.cli import host, replayed

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

SILENT = "#!/bin/sh\nexec sleep 60 >/dev/null 2>&1\n"


def stand_in(monkeypatch: pytest.MonkeyPatch, folder: Path, module: Any) -> None:
    """What `module` starts instead of a destination."""
    program = folder / "silent"
    program.write_text(SILENT)
    program.chmod(0o700)
    monkeypatch.setattr(module, "sys", SimpleNamespace(executable=str(program)))


async def test_a_replay_ends_its_destination(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, replayed)
    monkeypatch.setattr(replayed, "LAST_SECONDS", 0.4)
    monkeypatch.setattr(replayed.Destination, "_command", lambda *_: [])
    capture: Any = None
    destination = replayed.Destination(capture, tmp_path, (), print)
    assert await destination.listening() is None
    error = await asyncio.wait_for(destination.finish(patient=True), 20)
    assert "did not end within 0.4 s" in str(error)


async def test_a_host_ends_its_destination(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    stand_in(monkeypatch, tmp_path, host)
    monkeypatch.setattr(host, "END_SECONDS", 0.4)
    answers: list[bytes] = []
    writer: Any = SimpleNamespace(write=answers.append)
    taking = host.Host("127.0.0.1")
    await asyncio.wait_for(taking._take(tmp_path, "", asyncio.StreamReader(), writer), 20)
    assert b'"exit": -15' in answers[0]
