"""The scenario's ``[link]`` on the source: one budget for all connections, a ceiling for each, a delay.

What a connection may send is held back until the link would have carried it: the budget of the whole link
and the delay here in the program, the ceiling of a single connection by the kernel (``SO_MAX_PACING_RATE``),
which does it packet by packet and not message by message. Everything happens at the source: what comes
back on the return path is held here for the delay before it is looked at.

What it is not: connecting takes no delay, headers of TCP and IP are not counted, and a delay is only as
fine as the event loop's timers, a millisecond. Without a ``[link]`` none of this is in the way.
"""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Any, Protocol

from migemu.errors import MigemuError
from migemu.link.pacing import set_max_pacing_rate
from migemu.source.agenda import TICK, Agenda, Budget
from migemu.source.paced import DelayedOutlet, PacedMain, PacedOutlet

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from migemu.scenario import Link
    from migemu.source.links import Courier, MainLink
    from migemu.source.paced import ChannelLink, ChannelOutlet
    from migemu.threads.api import Threads
    from migemu.wire.returnpath import Message


class Returns(Protocol):
    """Takes the return path's messages."""

    def message(self, message: Message) -> None:
        """The next one."""
        ...


class DelayedReturns:
    """The return path: a message is looked at when it would have come."""

    def __init__(self, returns: Returns, pacing: Pacing) -> None:
        self._returns = returns
        self._pacing = pacing

    def message(self, message: Message) -> None:
        """From the connection."""
        self._pacing.later(self._take, message)

    def _take(self, message: Message) -> None:
        try:
            self._returns.message(message)
        except MigemuError as error:
            self._pacing.lost(error)


class Pacing:
    """The connections of a source on a scenario's link.

    Args:
        link: what the scenario says, already dilated.
        threads: clock and lock.
        loop: the loop that owns the connections.
        courier: carries calls to it.
        lost: told when the main connection is lost, or says what it may not.
    """

    def __init__(
        self,
        link: Link,
        threads: Threads,
        loop: asyncio.AbstractEventLoop,
        courier: Courier,
        lost: Callable[[MigemuError], None],
    ) -> None:
        self._link = link
        self._threads = threads
        self._courier = courier
        self._lost = lost
        self._budget = Budget(link, threads)
        self._agenda = Agenda(threads, loop)

    def main(self, link: MainLink) -> MainLink | PacedMain:
        """What the main channel's writer writes to."""
        return link if self._free() else PacedMain(link, self._budget, self._agenda, self._courier)

    def outlets(self, links: Sequence[ChannelLink]) -> Sequence[ChannelOutlet]:
        """What packets are handed to, by channel."""
        if self._free():
            return links
        with_link = (self._budget, self._agenda, self._courier)
        if self._link.delay:
            return [DelayedOutlet(link, *with_link) for link in links]
        return [PacedOutlet(link, *with_link) for link in links]

    def _free(self) -> bool:
        return self._link.rate is None and not self._link.delay

    def returns(self, returns: Returns) -> Returns:
        """What the return path's messages go to."""
        return DelayedReturns(returns, self) if self._link.delay else returns

    def ceiling(self, numbers: Iterable[int]) -> None:
        """Have the kernel hold each of these sockets, by file descriptor, to the rate of one channel.

        Raises:
            ConfigError: it cannot.
        """
        if self._link.per_channel is None:
            return
        for number in numbers:
            if number < 0:
                continue  # closed already; whoever owns it hears of that
            with socket.socket(fileno=os.dup(number)) as same:
                set_max_pacing_rate(same, self._link.per_channel)

    def later(self, call: Callable[..., None], *args: Any) -> None:
        """On the loop: call it when what has just come would have come."""
        if self._link.delay:
            self._agenda.at(self._threads.now() + self._link.delay, call, *args)
        else:
            call(*args)

    def lost(self, error: MigemuError) -> None:
        """On the loop: the main connection is lost; that, too, is known later."""
        self.later(self._lost, error)

    async def settled(self) -> None:
        """Wait until nothing is held back any more."""
        left = self._agenda.left()
        if left is not None:
            await asyncio.sleep(left + TICK)
