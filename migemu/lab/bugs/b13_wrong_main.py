"""B13: the first connection is taken for the main channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from migemu.destination.reception import Reception
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.real import Real, Run, says, scenario
from migemu.wire.hello import MULTIFD_MAGIC, VM_MAGIC, identify

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable

    from migemu.threads.controlled import ControlledThreads

FIRST_BYTES = {
    "main connection": VM_MAGIC.to_bytes(4),
    "multifd connection 0": MULTIFD_MAGIC.to_bytes(4),
    "multifd connection 1": MULTIFD_MAGIC.to_bytes(4),
}
"""What each of a source's connections says first."""


def by_magic(first: bytes, taken: int) -> str:  # noqa: ARG001  the order says nothing
    """As since 8.0: look at the first four bytes."""
    return identify(first)


def by_order(first: bytes, taken: int) -> str:  # noqa: ARG001  the bytes are not looked at
    """As up to 7.2: the first connection is the main channel."""
    return "multifd" if taken else "main"


class Accepting:
    """A destination that accepts a source's connections, whichever comes first.

    Args:
        decide: main or multifd, from the first bytes and the number of connections so far.
        name: sets the variants apart.
    """

    def __init__(self, decide: Callable[[bytes, int], str], name: str) -> None:
        self.decide = decide
        self.name = name

    def text(self) -> str:
        """What a token's hash is made of."""
        return f"accepting 1\n{self.name}\n{len(FIRST_BYTES)}"

    def __call__(self) -> Arrivals:
        """A system of its own for one schedule."""
        return Arrivals(self.decide)


class Arrivals:
    """One run."""

    def __init__(self, decide: Callable[[bytes, int], str]) -> None:
        self._decide = decide
        self._accepted: list[tuple[str, str]] = []

    def build(self, threads: ControlledThreads) -> None:
        """A thread for each connection, since nothing orders them."""
        self._threads = threads
        self._listener = threads.lock("listening socket")
        threads.invariant("main-is-main", self._look, over=[self._listener])
        for connection in FIRST_BYTES:
            threads.spawn(connection, lambda connection=connection: self._connect(connection))  # type: ignore[misc]  # a default binds the loop variable

    def _connect(self, connection: str) -> None:
        with self._listener:
            place = self._decide(FIRST_BYTES[connection], len(self._accepted))
            self._accepted.append((connection, place))
            self._threads.point("migration_accepted", connection=connection, place=place)

    def _look(self) -> str | None:
        for connection, place in self._accepted:
            if not connection.startswith(place):
                magic = FIRST_BYTES[connection].hex()
                return f"the {connection}, which says {magic}, is taken for {place}"
        return None

    def final(self) -> Hashable:
        """Who is what."""
        return tuple(sorted(self._accepted))


class FirstIsMain(Reception):
    """The real destination's reception without its look at the first bytes."""

    first_seen = False

    def kind_of(self, first: bytes) -> Literal["main", "multifd"]:  # noqa: ARG002  the bytes are not looked at
        """The first connection is the main channel."""
        if self.first_seen:
            return "multifd"
        self.first_seen = True
        return "main"


RULES = """
[[order]]
name = "main-connects-last"
type = "hold"
select = { record = "Connect", nth = 1 }
attributes = { until = { record = "Connect", nth = 2 }, timeout = "5 s" }
"""
FORCED = scenario(RULES)

BUG = Bug(
    name="B13",
    title="the wrong socket taken for the main channel",
    story=Story(
        mechanism="""Connections may be accepted in another order than they were made. The first one was
        taken for the main channel; a multifd channel in its place says 0x11223344 where "QEVM" is
        expected.""",
        happened="Seen in the field; on 7.2 at will: let any multifd connection be accepted before main.",
        fix="Peek at the first four bytes and decide by the magic. Best effort: no peek with TLS or a file.",
        versions="up to 7.2; fixed in 8.0",
        links=("6720c2b32725 (check magic value for deciding the mapping of channels, February 2023)",),
    ),
    changed="one guard: what a connection is follows from the order of arrival, not from its first bytes",
    breaks="main-is-main",
    broken=Accepting(by_order, "B13 broken"),
    correct=Accepting(by_magic, "B13 correct"),
    instead="the identification of migemu.wire.hello, which the destination uses",
    hunt=Hunt(schedules=50, length=8),
    real=Real(
        broken=Run(FORCED, reception=FirstIsMain),
        correct=Run(FORCED),
        shows=says("5145564d", of="connection_refused"),
        how="the first connection, which is the main channel, is held back until the others are accepted",
    ),
)
