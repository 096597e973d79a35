"""A real destination session on real sockets and threads, in this process, and what came of it."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import uvloop

from migemu.destination.session import Session
from migemu.scenario import dilated, loads
from migemu.threads.native import NativeThreads
from migemu.vfio.content import digest_maker
from migemu.wire import returnpath
from security.scripted import CHANNELS, CONFIG, DATA, DEVICE, PAGE, PAGES, UUID, Scripted

if TYPE_CHECKING:
    from types import TracebackType

    from migemu.errors import MigemuError

SCENARIO = f"""
seed = 1
uuid = "{UUID.hex()}"
[ram]
size = {PAGES * PAGE}
[migration]
channels = {CHANNELS}
packet_size = "64 KiB"
[platform]
interrupt_controller_load_time = "1 ms"
[timeouts]
connect = "5 s"
phase = "800 ms"
[[device]]
state_size = {sum(map(len, DATA))}
config_size = {len(CONFIG)}
"""


class Incoming:
    """A destination that listens as long as the block lasts, or until its migration is over.

    Attributes:
        address: where it listens.
        events: what it said, as (event, fields).
        error: what ended it.
    """

    def __init__(self, *overrides: str) -> None:
        self.scenario = dilated(loads(SCENARIO, overrides=overrides))
        self.events: list[tuple[str, dict[str, Any]]] = []
        self.address = ("", 0)
        self.error: MigemuError | None = None
        self._listening = threading.Event()
        self._session: Session | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run, name="destination", daemon=True)

    def _run(self) -> None:
        uvloop.run(self._migrate())

    async def _migrate(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._session = Session(self.scenario, NativeThreads(self._sink))
        self.error = await self._session.run("127.0.0.1", 0)

    def _sink(self, event: str, _t: float, _thread: str, fields: dict[str, Any]) -> None:
        self.events.append((event, fields))
        if event == "listening":
            self.address = fields["host"], fields["port"]
            self._listening.set()

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(10)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._thread.is_alive() and self._loop is not None and self._session is not None:
            self._loop.call_soon_threadsafe(self._session.cancel, "the story is over")
        self.wait()

    def stand_still(self, seconds: float) -> None:
        """Have its event loop do nothing for so long, from now on."""
        assert self._loop is not None
        begun = threading.Event()

        def still() -> None:
            begun.set()
            time.sleep(seconds)

        self._loop.call_soon_threadsafe(still)
        assert begun.wait(10)

    @property
    def session(self) -> Session:
        """The session itself, for a look inside."""
        assert self._session is not None
        return self._session

    def wait(self, seconds: float = 20.0) -> None:
        """Until it is over."""
        self._thread.join(seconds)
        assert not self._thread.is_alive(), "the destination did not end"

    def named(self, event: str) -> list[dict[str, Any]]:
        """The fields of every event of that name."""
        return [fields for name, fields in self.events if name == event]

    def refusals(self) -> list[str]:
        """Why connections were turned away."""
        return [fields["reason"] for fields in self.named("connection_refused")]

    def verdict(self, source: Scripted) -> str:
        """``ok`` when the VM runs here with just what the source had; else the error, one line."""
        if any(message.type == returnpath.SHUT for message in source.messages):
            source.close()
        self.wait()
        running = bool(self.named("vm_state")[-1]["running"])
        assert running == (self.error is None)
        if self.error is not None:
            return str(self.error)
        core = self.session.core
        assert np.array_equal(core.memory.ram.pages, source.ram.pages), "RAM differs and nobody said so"
        wanted = digest_maker("xxh3_128")()
        wanted.update(b"".join(DATA))
        assert core.machine.slots[DEVICE].device.data_digest() == wanted.hexdigest()
        return "ok"
