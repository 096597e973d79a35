"""Telling connections apart: by their first bytes and the hello's uuid and id, in any arrival order.

QEMU 7.2 took the first connection for the main channel (B13), later versions block their main loop on a
connection that says nothing (B2, B6 of the wire table). Here a wrong connection is refused and named, and
the places stay free for the peer that is waited for. Until the migration has begun a source may go away or
never become complete: its places are then free for the next one.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Literal

from migemu import __version__
from migemu.errors import ConnectionLostError, LimitError, MigemuError, PeerError, PeerTimeoutError, WireError
from migemu.link.tls import check_name
from migemu.wire.hello import identify
from migemu.wire.probe import Readiness

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.destination.greeter import Greeter, Place
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads
    from migemu.wire.hello import Hello

REMEMBERED = 8
"""Refusals that are repeated in the error of a source that never came."""


class Reception:
    """The places of one migration: a main channel and its multifd channels.

    Args:
        scenario: channels, uuid, limits.
        threads: for events and time.
        running: whether the VM runs here.
    """

    def __init__(self, scenario: Scenario, threads: Threads, running: Callable[[], bool]) -> None:
        self.threads = threads
        self.hello_timeout = scenario.limits.hello_timeout
        self._uuid = scenario.migration_uuid().bytes
        self._channels = scenario.migration.channels
        self._limits = scenario.limits
        self._arrival = scenario.timeouts.arrival
        self._client_name = scenario.tls.client_name
        self._running = running
        self._unfinished: dict[Greeter, None] = {}
        self._since = 0.0
        self._closed = False
        self._begun = False
        self._refused = 0
        self.places: dict[Place, Greeter] = {}
        self.refusals: deque[MigemuError] = deque(maxlen=REMEMBERED)
        self.complete = self._awaited()

    def _awaited(self) -> asyncio.Future[None]:
        """Done once every place is taken; a new one when a connection goes away after that."""
        return asyncio.get_running_loop().create_future()

    # connections that have not said what they are

    def enter(self, greeter: Greeter) -> None:
        """A connection was accepted; where there are too many, the oldest silent one makes way."""
        if self._closed:
            greeter.drop()
            return
        limit = self._met()
        if limit is not None:
            loser = next(iter(self._unfinished), greeter)
            loser.refuse(LimitError(f"limits.{limit} is met by new connections", limit=f"limits.{limit}"))
            if loser is greeter:
                return
        self._unfinished[greeter] = None

    def _met(self) -> str | None:
        if len(self._unfinished) >= self._limits.max_unfinished:
            return "max_unfinished"
        most = self._limits.max_connections
        return "max_connections" if len(self._unfinished) + len(self.places) >= most else None

    def leave(self, greeter: Greeter) -> None:
        """A connection has finished its greeting, one way or the other."""
        self._unfinished.pop(greeter, None)

    def refused(self, error: MigemuError) -> None:
        """A connection was turned away; the migration it is not part of goes on."""
        self._refused += 1
        self.refusals.append(error)
        most = self._limits.refusals
        if self._refused <= most:
            self.threads.point("connection_refused", reason=str(error))
        elif self._refused == most + 1:
            self.threads.point(
                "connection_refused", reason="more than limits.refusals: only counted from now"
            )

    # places

    def kind_of(self, first: bytes) -> Literal["main", "multifd"]:
        """What a connection is, by its first four bytes, whichever came first (B13).

        Raises:
            WireError: neither.
        """
        return identify(first)

    def place_main(self, greeter: Greeter) -> None:
        """The main channel is here.

        Raises:
            WireError: this migration has one already.
        """
        if self._taken("main"):
            raise WireError("a second main channel; this migration has one already", channel="main")
        self._place("main", greeter)

    def place_multifd(self, hello: Hello, greeter: Greeter) -> None:
        """A multifd channel is here.

        Raises:
            WireError: it is not of this migration, or its place is taken.
        """
        channel = hello.channel
        if not self._is_ours(hello.uuid):
            theirs, ours = hello.uuid.hex(), self._uuid.hex()
            raise WireError(f"the hello's uuid is {theirs}, this VM's is {ours}", channel=channel)
        if channel >= self._channels:
            raise WireError(f"channel id {channel} exceeds channel count {self._channels}", channel=channel)
        if self._taken(channel):
            raise WireError(f"received id {channel} already set up", channel=channel)
        self._place(channel, greeter)
        self.threads.point("multifd_recv_new_channel", channel=channel)

    def _is_ours(self, uuid: bytes) -> bool:
        """Whether a hello with that uuid is of this VM's migration."""
        return uuid == self._uuid

    def _taken(self, place: Place) -> bool:
        """Whether a living connection has that place; a dead one loses it here."""
        if not self._begun:
            self.sweep()
        return place in self.places

    def _place(self, place: Place, greeter: Greeter) -> None:
        self._check_identity(greeter)
        if not self.places:
            self._since = self.threads.now()
        self.places[place] = greeter
        greeter.pause()
        if len(self.places) == self._channels + 1 and not self.complete.done():
            self.complete.set_result(None)

    def _check_identity(self, greeter: Greeter) -> None:
        """Every channel of one migration shows the same certificate."""
        check_name(greeter.who, self._client_name)
        first = next(iter(self.places.values()), greeter)
        if first.who != greeter.who:
            raise PeerError(f"the peer is {greeter.who}, the channels before it were {first.who}")

    def sweep(self) -> None:
        """Free the places of connections that are gone, and of a source that does not become complete."""
        for greeter in [greeter for greeter in self.places.values() if greeter.gone()]:
            if self.lost(greeter):
                greeter.drop()
        if self.places and self.threads.now() - self._since > self._arrival:
            late = f"not complete within timeouts.arrival = {self._arrival:g} s: {self.absent()}"
            self.refused(PeerTimeoutError(late, phase="connect"))
            self._free_all()

    def lost(self, greeter: Greeter) -> bool:
        """A placed connection went away before the migration began: its place is free."""
        place = next((place for place, holder in self.places.items() if holder is greeter), None)
        if place is None:
            return False
        del self.places[place]
        self._again_incomplete()
        self.refused(ConnectionLostError("closed before every channel was connected", channel=place))
        return True

    def _again_incomplete(self) -> None:
        if self.complete.done():
            self.complete = self._awaited()

    def _free_all(self) -> None:
        holders, self.places = list(self.places.values()), {}
        self._again_incomplete()
        for greeter in holders:
            greeter.drop()

    def begin(self) -> dict[Place, Greeter]:
        """The migration runs: whoever comes now is not part of it. Who is."""
        self._begun = True
        return self.places

    # what others are told

    def answer_probe(self) -> bytes:
        """What a readiness probe is told."""
        return Readiness(__version__, self._state()).encode()

    def _state(self) -> str:
        if self._running():
            return "running"
        if self._begun:
            return "migrating"
        return "connecting" if self.places else "waiting"

    def absent(self) -> str:
        """Who has not come."""
        names = ["main"] * ("main" not in self.places)
        names += [f"multifd {channel}" for channel in range(self._channels) if channel not in self.places]
        return f"missing {', '.join(names[:8])}{' …' if len(names) > 8 else ''}"

    def missing(self) -> str:
        """Who has not come yet and who was turned away, for the error that says so."""
        if not self.refusals:
            return self.absent()
        return f"{self.absent()}; refused: {'; '.join(str(error) for error in list(self.refusals)[-3:])}"

    def close(self) -> None:
        """Accept nobody any more, and let go of whoever is still in the greeting."""
        self._closed = True
        for greeter in list(self._unfinished):
            greeter.drop()
        if not self._begun:
            self._free_all()
