"""What a recorder of connections looks like from here; the one that writes files is in ``lab``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from migemu.errors import MigemuError
    from migemu.link.order_item import Channel, Item


class Tape(Protocol):
    """One connection being recorded."""

    def named(self, channel: Channel) -> None:
        """It is known which channel it is; None: it is none."""
        ...

    def data(self, view: memoryview) -> None:
        """Bytes that arrived."""
        ...

    def item(self, item: Item) -> None:
        """What they mean: the next packet, in its order among those of all connections."""
        ...

    def reply(self, item: Item) -> None:
        """A message of the return path is written."""
        ...

    def closed(self, why: str) -> None:
        """No more bytes will come."""
        ...


class Tapes(Protocol):
    """Everything that is recorded of one migration."""

    def open(self) -> Tape:
        """A connection was accepted."""
        ...

    def finish(self) -> MigemuError | None:
        """The migration is over; why the recording is not whole, if it is not."""
        ...
