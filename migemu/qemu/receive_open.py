"""Letting in a source of which little may be known: any uuid, any number of channels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from migemu.destination.reception import Reception

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migemu.scenario import Scenario
    from migemu.threads.api import Threads

Peer = Literal["auto", "qemu"]

MAX_CHANNELS: Final = 255
"""The hello's channel id is a byte, and QEMU's own limit is this."""

NO_UUID: Final = bytes(16)
"""What a QEMU without ``-uuid`` says."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What a person asked of the receiving side."""

    peer: Peer = "auto"
    channels: int | None = None
    """How many multifd channels to wait for, where that is known."""
    save: Path | None = None
    """Keep RAM, devices and sections there."""
    verify_ram: Path | None = None
    """The source's memory file."""
    ram_block: str | None = None
    """The RAM block it is; None: the largest."""
    verify_devices: Path | None = None
    """The folder of the source's make-believe devices."""


class OpenReception(Reception):
    """Lets a QEMU in, whatever its uuid where none is asked for; every channel must say the same.

    Args:
        scenario: channels, uuid, limits.
        threads: for events and time.
        running: whether the VM runs here.
        wishes: whether anything is known of the source.
    """

    def __init__(
        self, scenario: Scenario, threads: Threads, running: Callable[[], bool], wishes: Wishes
    ) -> None:
        super().__init__(scenario, threads, running)
        self._any = wishes.peer == "qemu" and scenario.uuid is None
        if wishes.peer == "qemu":
            self._channels = MAX_CHANNELS
        self.uuid: bytes | None = None

    def _is_ours(self, uuid: bytes) -> bool:
        channels = [place for place in self.places if place != "main"]
        if channels and self.uuid is not None:
            return uuid == self.uuid
        self.uuid = uuid
        return self._any or uuid == NO_UUID or super()._is_ours(uuid)

    def count(self) -> int:
        """Multifd channels that are here."""
        return sum(place != "main" for place in self.places)

    def whole(self) -> bool:
        """Whether their ids leave no gap and nobody is in the middle of a greeting."""
        return not self._unfinished and all(channel in self.places for channel in range(self.count()))
