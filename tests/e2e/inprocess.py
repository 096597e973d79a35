"""Both sides of a migration in one process: real sockets and threads, without starting Python twice."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migemu.destination.session import Session as Destination
from migemu.observe.events import EventLog
from migemu.scenario import loads
from migemu.source.session import Session as Source
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from migemu.errors import MigemuError
    from migemu.observe.events import Event

LIMIT = 30.0
"""Seconds a migration has; none comes near unless it hangs."""

TINY = """
[ram]
size = "1 MiB"
dirty_rate = "8 MiB/s"
working_set = "256 KiB"
[migration]
channels = 3
packet_size = "32 KiB"
[platform]
interrupt_controller_load_time = "1 ms"
[limits]
hello_timeout = "1 s"
[timeouts]
connect = "1500 ms"
arrival = "1 s"
phase = "700 ms"
[[device]]
count = 2
state_size = "256 KiB"
config_size = 300
"""
DEVICE = "0000:00:01.0"


@dataclass
class Migrated:
    """What came of it."""

    source: MigemuError | None
    destination: MigemuError | None
    events: list[Event]

    @property
    def verified(self) -> bool:
        """Whether it went well, every digest compared."""
        compared = [event.get("ok") for event in self.events if event.event == "verify"]
        return self.source is None and self.destination is None and all(compared) and len(compared) == 5

    def named(self, name: str) -> list[Event]:
        """Every event of that name."""
        return [event for event in self.events if event.event == name]

    def may_run(self) -> set[str]:
        """The sides whose VM may run in the end."""
        last = {event.side: event for event in self.events if event.event == "vm_state"}
        return {side for side, event in last.items() if event.get("runnable")}

    def fired(self) -> dict[str, int]:
        """How often each rule acted."""
        return {event.get("rule"): event.get("fired") for event in self.named("order_rule_ended")}


async def migrate(rules: str, *overrides: str, base: str = TINY) -> Migrated:
    """One migration under `rules`."""
    scenario = loads(f"{base}\n{rules}", environ={}, overrides=overrides)
    address: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    logs = EventLog("source"), EventLog("destination", subscriber=lambda event: _listening(event, address))
    destination = Destination(scenario, NativeThreads(logs[1].sink))
    receiving = asyncio.ensure_future(destination.run("127.0.0.1", 0))
    source = Source(scenario, NativeThreads(logs[0].sink))
    sending = asyncio.ensure_future(source.run("127.0.0.1", await address))
    done, late = await asyncio.wait({receiving, sending}, timeout=LIMIT)
    assert not late, f"{len(late)} of {len(done)} sides never ended"
    return Migrated(sending.result(), receiving.result(), [*logs[0].events(), *logs[1].events()])


def _listening(event: Event, address: asyncio.Future[Any]) -> None:
    if event.event == "listening" and not address.done():
        address.set_result(event.get("port"))
