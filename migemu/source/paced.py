"""Connections of the source on a slower link: what they send is held back until the link has carried it.

Each of these stands between whoever sends (save threads, the migration thread) and the connection itself.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.source.agenda import Agenda, Budget
    from migemu.source.channels import Packet
    from migemu.source.links import Courier, MainLink
    from migemu.source.mainwriter import Chunk


class Freed(Protocol):
    """Is told that a channel has written its packet."""

    def done(self, channel: int) -> None:
        """The channel is free."""
        ...


class Written(Protocol):
    """Is told how much of the main channel's bytes have been written."""

    def written(self, size: int) -> None:
        """So much more."""
        ...


class ChannelOutlet(Protocol):
    """What packets of a channel are handed to; an `Outlet` that says when it is free."""

    channels: Freed | None

    def start(self, packet: Packet) -> None:
        """Begin to write `packet`."""
        ...


class ChannelLink(ChannelOutlet, Protocol):
    """A multifd channel's connection."""

    @property
    def channel(self) -> int:
        """Its id."""
        ...


class PacedOutlet:
    """A channel on a link without delay: a packet reaches the kernel once the link has room for it."""

    def __init__(self, link: ChannelLink, budget: Budget, agenda: Agenda, courier: Courier) -> None:
        self._link = link
        self._budget = budget
        self._agenda = agenda
        self._courier = courier

    @property
    def channels(self) -> Freed | None:
        """Who is told that the channel is free: the connection knows when."""
        return self._link.channels

    @channels.setter
    def channels(self, channels: Freed | None) -> None:
        self._link.channels = channels

    def start(self, packet: Packet) -> None:
        """From any thread; the calling one sends itself where it need not wait."""
        sent = self._budget.book(len(packet))
        if self._budget.due(sent):
            self._link.start(packet)
        else:
            self._courier.post(self._agenda.at, sent, self._link.start, packet)


class DelayedOutlet:
    """A channel on a link with a delay: it is free again when the link has taken a packet.

    The packet's bytes are under way for the delay and lie in their buffer meanwhile, so the buffer is given
    back later than the channel. A kernel that does not take what arrives holds the channel up as well.
    """

    def __init__(self, link: ChannelLink, budget: Budget, agenda: Agenda, courier: Courier) -> None:
        self.channels: Freed | None = None
        self._link = link
        self._budget = budget
        self._agenda = agenda
        self._courier = courier
        self._waiting: deque[tuple[Packet, Callable[[], None] | None]] = deque()
        self._taken = False
        link.channels = self

    def start(self, packet: Packet) -> None:
        """From any thread."""
        release, packet.release = packet.release, None
        self._courier.post(self._under_way, self._budget.book(len(packet)), packet, release)

    def _under_way(self, sent: float, packet: Packet, release: Callable[[], None] | None) -> None:
        self._agenda.at(sent, self._take)
        self._agenda.at(sent + self._budget.delay, self._arrive, packet, release)

    def _take(self) -> None:
        """The link has taken the packet: the next may come, unless the kernel is behind."""
        self._taken = True
        self._free()

    def _arrive(self, packet: Packet, release: Callable[[], None] | None) -> None:
        self._waiting.append((packet, release))
        if len(self._waiting) == 1:
            self._link.start(packet)

    def done(self, channel: int) -> None:  # noqa: ARG002  its own, as it knows
        """From the connection: the kernel has the packet."""
        self._courier.post(self._done)

    def _done(self) -> None:
        _, release = self._waiting.popleft()
        if release is not None:
            release()
        if self._waiting:
            self._link.start(self._waiting[0][0])
        self._free()

    def _free(self) -> None:
        if self._taken and not self._waiting and self.channels is not None:
            self._taken = False
            self.channels.done(self._link.channel)


class PacedMain:
    """The main channel: its bytes count as written when the link has taken them and the kernel keeps up."""

    def __init__(self, link: MainLink, budget: Budget, agenda: Agenda, courier: Courier) -> None:
        self.writer: Written | None = None
        self._link = link
        self._budget = budget
        self._agenda = agenda
        self._courier = courier
        self._taken = 0
        self._arrived = 0
        self._in_kernel = 0
        self._told = 0
        link.writer = self

    def start(self, chunks: tuple[Chunk, ...]) -> None:
        """From the migration thread; what is under way for a delay is copied, because its buffer is not."""
        size = sum(len(chunk) for chunk in chunks)
        if self._budget.delay:
            chunks = tuple(bytes(chunk) for chunk in chunks)
        self._courier.post(self._under_way, self._budget.book(size), size, chunks)

    def _under_way(self, sent: float, size: int, chunks: tuple[Chunk, ...]) -> None:
        self._agenda.at(sent, self._take, size)
        self._agenda.at(sent + self._budget.delay, self._arrive, size, chunks)

    def _take(self, size: int) -> None:
        self._taken += size
        if self._budget.delay:
            self._tell()

    def _arrive(self, size: int, chunks: tuple[Chunk, ...]) -> None:
        self._arrived += size
        self._link.start(chunks)

    def written(self, size: int) -> None:
        """From the connection: the kernel has so much more."""
        self._in_kernel += size
        self._tell()

    def _tell(self) -> None:
        if self._in_kernel == self._arrived and self._taken > self._told and self.writer is not None:
            news, self._told = self._taken - self._told, self._taken
            self.writer.written(news)
