"""All the gates of one destination, and how a scenario's rules get there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.link.order_arm import arm, rules_for
from migemu.link.order_gate import Gate

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from migemu.errors import MigemuError
    from migemu.link.order import Orders
    from migemu.link.order_follow import Follow
    from migemu.link.order_tape import Tapes
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads
    from migemu.wire.buffers import Pool
    from migemu.wire.limits import WireLimits


class Gates:
    """Makes the gates of one destination.

    Args:
        orders: the armed rules.
        threads: the seam, listened to where rules wait for events.
        pool: where payloads are put.
        limits: what may be announced.
        tapes: where connections are recorded, if they are.
        armed: whether there are rules at all; without any nothing is read ahead.
        follow: the recorded order that packets keep to, if there is one.
    """

    def __init__(
        self,
        orders: Orders,
        threads: Threads,
        pool: Pool,
        limits: WireLimits,
        tapes: Tapes | None,
        *,
        armed: bool,
        follow: Follow | None = None,
    ) -> None:
        self.orders = orders
        self.threads = threads
        self._pool = pool
        self._limits = limits
        self._tapes = tapes
        self._follow = follow
        self._room = orders.room if armed or follow is not None else 0
        self._gates: list[Gate] = []

    def __call__(self, inner: asyncio.BufferedProtocol) -> Gate:
        """The gate in front of `inner`."""
        tape = None if self._tapes is None else self._tapes.open()
        gate = Gate(self.orders, inner, self._pool, self._limits, self._room, tape, self._follow)
        self._gates.append(gate)
        return gate

    def open_up(self) -> None:
        """The migration has failed: nothing is held back any more, and what comes is read and dropped.

        A connection that is closed with bytes unread is reset, and its last words are lost.
        """
        for gate in self._gates:
            gate.lane.close()
            gate.throttle()

    def answering(self) -> bool:
        """Whether an answer still waits for its turn; rules bound how long that can be."""
        return self.orders.busy("return")

    def finish(self) -> MigemuError | None:
        """The migration is over: why it is not well, although it went well."""
        recorded = None if self._tapes is None else self._tapes.finish()
        followed = None if self._follow is None else self._follow.finish(self.threads)
        return self.orders.finish() or followed or recorded


def make_gates(
    scenario: Scenario,
    threads: Threads,
    loop: asyncio.AbstractEventLoop,
    pool: Pool,
    limits: WireLimits,
    broken: Callable[[MigemuError], object],
    tapes: Tapes | None = None,
    follow: Follow | None = None,
) -> Gates | None:
    """The gates of a destination of `scenario`, armed; None when nothing asks for any."""
    rules = rules_for(scenario, "destination")
    if not rules and tapes is None and follow is None:
        return None
    orders, threads = arm(rules, scenario, threads, loop, broken)
    if follow is not None:
        follow.begin(orders.limit, orders.later)
    return Gates(orders, threads, pool, limits, tapes, armed=bool(rules), follow=follow)
