"""What a hand-off design decides, as data: what travels where, who loads it, under which lock."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Carrier(StrEnum):
    """Which connection carries something."""

    MULTIFD = "multifd"
    MAIN = "main channel"


class Loader(StrEnum):
    """Which thread of the destination puts something into a device."""

    LOAD_THREAD = "load thread"
    INCOMING_THREAD = "incoming thread"
    RECEIVE_THREAD = "receive thread"


@dataclass(frozen=True)
class Design:
    """One row of the debate.

    The source reads the first half (what to send where), the destination's class of the same file acts
    out the second; the comparison prints all of it.
    """

    name: str
    summary: str
    data: Carrier = Carrier.MULTIFD
    """What carries a device's stop-copy data."""
    config: Carrier = Carrier.MULTIFD
    """What carries a device's config state; on multifd it is the packet with the highest idx."""
    switchover_start: bool = True
    """Whether loading begins at MIG_CMD_SWITCHOVER_START, so that a stream without it is an error. The
    source sends it to every design whose machine type has it, as QEMU does."""
    send_non_iterable: bool = False
    """Whether MIG_CMD_SEND_NON_ITERABLE (an extension) is sent before the non-iterable sections."""
    config_load_ready: bool = False
    """Whether a device's own non-iterable section carries CONFIG_LOAD_READY."""
    save_semaphore: bool = False
    """Whether the source waits at each device's non-iterable section for that device's save thread alone,
    instead of joining all save threads before the first such section."""
    data_loader: Loader = Loader.LOAD_THREAD
    config_loader: Loader = Loader.LOAD_THREAD
    bql_for_config: bool = True
    """False only where the design says that the address space is re-entrant."""
    config_after_iterables: bool = False
    """Whether config waits until the interrupt controller must be in: safe on platforms that need it."""
    since: str = "10.0"
    """The oldest machine type whose flags allow it."""
    older: str | None = None
    """The design that takes its place on an older machine type, as in QEMU; None: it is refused there."""
    proposed_in: str = ""
    """Message-ID or commit that proposed it."""
