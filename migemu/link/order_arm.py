"""From a scenario to armed rules: each side takes those of the streams it has in its hands."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from migemu.link.order import Orders
from migemu.link.order_watch import WatchedThreads

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from migemu.errors import MigemuError
    from migemu.scenario import Order, Scenario
    from migemu.threads.api import Threads

STREAMS_OF: Final = {"source": ("out",), "destination": ("in", "return")}

LEAST_ROOM: Final = 1 << 20
"""Bytes each connection may keep aside, however many there are."""


def rules_for(scenario: Scenario, side: str) -> tuple[Order, ...]:
    """The rules that `side` carries out."""
    streams = STREAMS_OF[side]
    return tuple(order for order in scenario.order if order.stream in streams)


def arm(
    rules: Sequence[Order],
    scenario: Scenario,
    threads: Threads,
    loop: asyncio.AbstractEventLoop,
    broken: Callable[[MigemuError], object],
) -> tuple[Orders, Threads]:
    """Arm `rules` on a side that lives on `loop`.

    Args:
        rules: those of this side.
        scenario: already dilated; its seed, timeouts and limits hold.
        threads: the seam.
        loop: owns the connections.
        broken: told when a rule cannot be applied.

    Returns:
        The rules, and the seam that the side must use from here on, so that they hear of its events.
    """
    orders = Orders(
        rules,
        seed=scenario.seed,
        patience=scenario.timeouts.phase,
        room=max(LEAST_ROOM, scenario.limits.order_room // (scenario.migration.channels + 1)),
        threads=threads,
        later=loop.call_later,
        post=lambda call: _post(loop, call),
        broken=broken,
    )
    return orders, WatchedThreads(threads, orders.names, orders.event) if orders.names else threads


def _post(loop: asyncio.AbstractEventLoop, call: Callable[[], None]) -> None:
    with suppress(RuntimeError):  # the loop is closed: nobody waits for anything any more
        loop.call_soon_threadsafe(call)
