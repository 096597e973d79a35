"""One of the two hosts of ``migemu run --ping-pong``: a process that lives through many migrations.

It reads orders as JSON, one a line, from standard input and answers each on standard output. Every order is
one migration, in which it is the source or the destination.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from migemu.destination.session import Session as Destination
from migemu.scenario import dilated, load
from migemu.source.session import Session as Source
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from migemu.errors import MigemuError
    from migemu.scenario import Scenario

STATM = Path("/proc/self/statm")
FILES = Path("/proc/self/fd")


class Host:
    """Does what it is ordered to.

    Args:
        scenario: what is migrated; each round has a seed of its own.
    """

    def __init__(self, scenario: Scenario) -> None:
        self._scenario = scenario
        self._verified: list[bool] = []

    async def obey(self) -> None:
        """Take orders until there are no more."""
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            order = json.loads(line)
            error = await self._migrate(order)
            tell(ended=str(error) if error else None, verified=self._verified, **resources())

    async def _migrate(self, order: dict[str, Any]) -> MigemuError | None:
        self._verified = []
        number = order["round"]
        scenario = dilated(self._scenario).model_copy(update={"seed": self._scenario.seed + number})
        threads = NativeThreads(self._sink)
        if order["role"] == "destination":
            return await Destination(scenario, threads).run("127.0.0.1", 0)
        return await Source(scenario, threads).run("127.0.0.1", order["port"])

    def _sink(self, event: str, _t: float, _thread: str, fields: dict[str, object]) -> None:
        """Nothing is kept: what lasts here would look like a leak."""
        if event == "listening":
            tell(listening=fields["port"])
        elif event == "verify":
            self._verified.append(bool(fields["ok"]))


def resources() -> dict[str, int]:
    """What this process holds: open files, threads, bytes of memory."""
    gc.collect()
    resident = int(STATM.read_text(encoding="utf-8").split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return {"files": len(list(FILES.iterdir())), "threads": threading.active_count(), "memory": resident}


def tell(**what: object) -> None:
    """An answer."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    uvloop.run(Host(load(sys.argv[1])).obey())
