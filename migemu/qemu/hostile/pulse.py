"""A QEMU's pulse: its monitor is asked one thing after the other, and how long each answer takes is kept.

A question is never given up: while its main loop is blocked a QEMU answers nothing, and whether it does in
the end is what is wanted.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self

from migemu.errors import PeerError
from migemu.qemu import migration

if TYPE_CHECKING:
    from migemu.qemu.machine import Machine

BEAT: Final = 0.05
"""Seconds between an answer and the next question."""

BLOCKED: Final = 0.5
"""Seconds without an answer after which its main loop does something, and is not just slow."""

FOR_EVER: Final = 3600.0
"""Seconds a question may take; the process is killed long before."""


MOST: Final = 400
"""Characters of a QEMU's words that are told."""

AFTERWARDS: Final = 0.3
"""Seconds a destination that completed is watched for what it may still die of."""


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a destination is watched after the script's last word, in seconds."""

    hang: float = 4.0
    """Without an answer of the monitor: it hangs."""
    wait: float = 2.5
    """With answers, but the migration neither completes nor fails: it waits."""
    closed: float = 1.5
    """After every connection was closed."""
    kill: float = 60.0
    """From the start: the process is killed, come what may."""


class Pulse:
    """Feels it as long as the context lasts.

    Attributes:
        told: the last answer to ``query-migrate``.
        longest: the longest time an answer took, in seconds.
        gone: the process has ended.
        grown: by how much its memory has grown meanwhile, guest RAM left out, in bytes.
    """

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.told: dict[str, Any] = {}
        self.longest = 0.0
        self.gone = False
        self.grown = 0
        self._start = self._memory()
        self._asked: float | None = None
        self._task: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._run())
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while not self.gone:
            self._asked = time.monotonic()
            try:
                self.told = await self.machine.execute("query-migrate", FOR_EVER)
            except PeerError:
                self.gone = True
            self.longest = max(self.longest, time.monotonic() - self._asked)
            self._asked = None
            self.grown = max(self.grown, self._memory() - self._start)
            await asyncio.sleep(BEAT)

    def _memory(self) -> int:
        """Anonymous memory of the process, in bytes; 0 when it is gone. Guest RAM is a shared file."""
        try:
            status = Path(f"/proc/{self.machine.process.pid}/status").read_text(encoding="ascii")
        except OSError:
            return 0
        found = re.search(r"RssAnon:\s+(\d+) kB", status)
        return int(found[1]) * 1024 if found else 0

    def silent(self) -> float:
        """Seconds since the question that has no answer yet; 0 while there is none."""
        return time.monotonic() - self._asked if self._asked is not None else 0.0

    @property
    def ended(self) -> bool:
        """Whether the migration completed or failed, or the process ended."""
        return self.gone or self.told.get("status") in migration.ENDED

    async def settled(self, hang: float, wait: float) -> bool:
        """Whether it ends; False: no answer for `hang` seconds, or answers for `wait` seconds and no end."""
        idle = time.monotonic()
        while not self.ended:
            silent = self.silent()
            if silent > BLOCKED:
                idle = time.monotonic()
            if silent > hang or time.monotonic() - idle > wait:
                return False
            await asyncio.sleep(BEAT / 2)
        return True

    async def answers(self, limit: float) -> bool:
        """Whether the open question is answered within `limit` seconds."""
        for _ in range(round(limit / BEAT)):
            if self.silent() <= BEAT:
                return True
            await asyncio.sleep(BEAT)
        return False


def said(machine: Machine) -> str:
    """All that QEMU said, but for its warnings, without its path; empty where it said nothing."""
    lines = [_PROGRAM.sub("", line.strip()) for line in machine.stderr().splitlines()]
    told = "; ".join(line for line in lines if line and "warning:" not in line)
    return told if len(told) <= MOST else f"{told[:MOST]}\N{HORIZONTAL ELLIPSIS}"


_PROGRAM: Final = re.compile(r"^(\S+Z )?\S*qemu-system-\w+: ")
