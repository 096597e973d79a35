"""Faults an exploration may decide besides the engine's own; each only where the rules name its kind."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING, Final

from migemu.threads.controlled_rules import EARLY_TIMEOUT, SPURIOUS_WAKEUP
from migemu.vfio.virtual import VirtualSink

if TYPE_CHECKING:
    from migemu.threads.controlled import ControlledThreads
    from migemu.vfio.content import Span

CHANNEL_ENDS: Final = "channel-ends"
"""A multifd connection closes between two packets, without an error (FIN)."""
CHANNEL_FAILS: Final = "channel-fails"
"""A multifd connection fails between two packets (RST)."""
MAIN_ENDS: Final = "main-ends"
"""The main connection closes before the stream's end."""
PACKET_LOST: Final = "packet-lost"
"""A packet of a multifd channel never comes."""
PARTIAL_WRITE: Final = "partial-write"
"""A device takes only half of what it is given."""
WRITE_ERROR: Final = "write-error"
"""A write into a device fails (EIO)."""
CANCEL: Final = "cancel"
"""A person ends the migration."""

FAULTS: Final = {
    CHANNEL_ENDS: "a multifd connection closes between two packets, without an error",
    CHANNEL_FAILS: "a multifd connection fails between two packets",
    MAIN_ENDS: "the main connection closes before the stream's end",
    PACKET_LOST: "a packet of a multifd channel never comes",
    PARTIAL_WRITE: "a device takes only half of what it is given",
    WRITE_ERROR: "a write into a device fails",
    CANCEL: "a person ends the migration",
    SPURIOUS_WAKEUP: "a wait returns although nobody woke it",
    EARLY_TIMEOUT: "a timed wait is over before those who could still run have run",
}
"""Every kind, with what happens."""

HARMLESS: Final = frozenset({PARTIAL_WRITE, SPURIOUS_WAKEUP, EARLY_TIMEOUT})
"""What no migration may fail for."""


class DecidingSink(VirtualSink):
    """A data fd whose shortcomings are decisions.

    Args:
        threads: of the run.
        device: whose it is, for people.
    """

    def __init__(self, threads: ControlledThreads, device: str) -> None:
        self._threads = threads
        self._device = device

    def write(self, span: Span) -> int:
        """Take all of it, or half of it, or fail."""
        if self._threads.choose(WRITE_ERROR, 2, f"on {self._device}"):
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        size = len(span)
        if size > 1 and self._threads.choose(PARTIAL_WRITE, 2, f"on {self._device}"):
            return size // 2
        return size
