"""What happens when a device's queue is full: the two ways a scenario can choose (``limits.on_cap``).

``fail`` is QEMU's way: exceeding the cap fails the migration. ``pause`` stops reading a channel whose next
packet has no room, as long as that cannot starve anyone (:mod:`migemu.vfio.pausing`).

Receivers ask :meth:`Flow.admit` once they know a packet's header and before they take memory for its
payload; the reassembly tells what arrived and what was loaded. A flow takes no lock but its own and calls
nobody while it holds it, so it may be called with or without any other lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from migemu.errors import LimitError
from migemu.vfio.pausing import PausingFlow
from migemu.vfio.slots import SLOTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from migemu.threads.api import Threads


class Flow(Protocol):
    """The rule by which packets are let in; one for all devices of a destination."""

    def add_device(self, device: str) -> None:
        """There is a device of that name; its reassembly says so when it is made."""
        ...

    def admit(self, channel: int, device: str, idx: int, size: int, *, is_config: bool = False) -> bool:
        """Whether the payload of `size` bytes may be read now.

        False pauses the channel at this packet; the flow's resume callback says when to ask again. A config
        (flag 1 in the packet's VFIO header) is never kept out.

        Raises:
            LimitError: pausing here would stop everything for ever.
        """
        ...

    def arrived(self, device: str, idx: int, size: int, *, is_config: bool) -> None:
        """A packet is complete and about to be put in its slot.

        Raises:
            LimitError: it exceeds the cap over all devices.
        """
        ...

    def loaded(self, device: str, idx: int, size: int, count: int = 1) -> None:
        """`count` packets up to `idx`, `size` bytes in all, have been written: the next idx is wanted."""
        ...

    def held_back(self, device: str) -> str:
        """Which channels are paused at a packet of `device`, and by what: the end of an error's line."""
        ...

    def parked(self, channel: int) -> None:
        """A channel met its SYNC packet: it goes on when all the others have met theirs."""
        ...

    def unparked(self, channel: int) -> None:
        """A channel goes on after the barrier."""
        ...

    def ended(self, channel: int) -> None:
        """A channel will bring nothing more."""
        ...


class FreeFlow:
    """Lets everything in: no cap over all devices. A cap per device is the reassembly's own business."""

    def add_device(self, device: str) -> None:
        """Nothing to count."""

    def admit(self, channel: int, device: str, idx: int, size: int, *, is_config: bool = False) -> bool:  # noqa: ARG002 - the interface
        """Always."""
        return True

    def arrived(self, device: str, idx: int, size: int, *, is_config: bool) -> None:
        """Nothing to count."""

    def loaded(self, device: str, idx: int, size: int, count: int = 1) -> None:
        """Nothing to count."""

    def held_back(self, device: str) -> str:  # noqa: ARG002 - the interface
        """None is."""
        return ""

    def parked(self, channel: int) -> None:
        """No channel is ever paused, so none waits for another."""

    def unparked(self, channel: int) -> None:
        """As for :meth:`parked`."""

    def ended(self, channel: int) -> None:
        """As for :meth:`parked`."""


class TotalCap(FreeFlow):
    """QEMU's way for the cap over all devices: exceeding it fails the migration.

    Args:
        threads: makes the lock.
        total: ``queue_total``, in bytes.
    """

    def __init__(self, threads: Threads, total: int) -> None:
        self._lock = threads.lock("queue_total")
        self._total = total
        self.held = 0

    def arrived(self, device: str, idx: int, size: int, *, is_config: bool) -> None:  # noqa: ARG002 - the interface
        """Count it.

        Raises:
            LimitError: it does not fit.
        """
        with self._lock:
            held = self.held
            if held + size <= self._total:
                self.held += size
                return
        told = f"queuing this buffer of {size} bytes would exceed queue_total = {self._total} ({held} queued)"
        raise LimitError(told, limit="queue_total", device=device, idx=idx)

    def loaded(self, device: str, idx: int, size: int, count: int = 1) -> None:  # noqa: ARG002 - the interface
        """Count them out."""
        with self._lock:
            self.held -= size


def make_flow(
    on_cap: str,
    threads: Threads,
    channels: Iterable[int],
    *,
    per_device: int | None,
    total: int | None,
    on_resume: Callable[[int], None],
    slots: int = SLOTS,
) -> tuple[Flow, int | None]:
    """The flow for ``limits.on_cap`` and the cap each reassembly enforces itself, in bytes.

    Args:
        on_cap: ``fail`` or ``pause``.
        threads: makes locks.
        channels: numbers of all multifd channels.
        per_device: ``queue_per_device``.
        total: ``queue_total``.
        on_resume: see :class:`~migemu.vfio.pausing.PausingFlow`.
        slots: ``slots_per_device``; without pausing each reassembly enforces it itself.
    """
    if on_cap == "pause":
        flow = PausingFlow(
            threads, channels, per_device=per_device, total=total, on_resume=on_resume, slots=slots
        )
        return flow, None
    return (FreeFlow() if total is None else TotalCap(threads, total)), per_device
