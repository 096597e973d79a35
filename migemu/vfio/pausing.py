"""``on_cap = "pause"``: stop reading a channel whose next packet has no room, unless that starves someone.

The buffer a device needs next is always let in, so a device holds at most its cap and one payload more, and
all devices together at most the total cap and one payload for each. Before a channel is left paused,
:func:`migemu.vfio.liveness.stuck` is asked whether everyone a channel is paused for can still go on; if
not, the migration fails with who waits for what. The question is asked again whenever an answer could
change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import LimitError, MigemuError, WireError
from migemu.vfio.liveness import Channel, ChannelState, Head, Queue, lost, story, stuck
from migemu.vfio.slots import IDX_INVALID, SLOTS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from migemu.threads.api import Threads


class PausingFlow:
    """Back-pressure per channel for all devices of one destination.

    Args:
        threads: makes the lock.
        channels: numbers of all multifd channels, connected or not yet.
        per_device: ``queue_per_device``, in bytes; None for no cap.
        total: ``queue_total``, in bytes over all devices; None for no cap.
        slots: ``slots_per_device``: how far ahead of the needed idx a packet may lie.
        on_resume: called with a channel's number when its paused packet has been given room; the receiver
            then asks :meth:`admit` again, which says yes. Called from any thread, with no lock held by the
            flow.

    Attributes:
        held: bytes let in and not loaded yet, over all devices.
        pauses: how often a channel was paused.
    """

    def __init__(
        self,
        threads: Threads,
        channels: Iterable[int],
        *,
        per_device: int | None,
        total: int | None,
        on_resume: Callable[[int], None],
        slots: int = SLOTS,
    ) -> None:
        self._lock = threads.lock("queue_flow")
        self._channels = {number: Channel() for number in channels}
        self._queues: dict[str, Queue] = {}
        self._granted: dict[int, tuple[str, int]] = {}
        self._per_device = per_device
        self._total = total
        self._slots = slots
        self._on_resume = on_resume
        self._paused = 0
        self.held = 0
        self.pauses = 0

    def add_device(self, device: str) -> None:
        """There is a device of that name."""
        self._queues[device] = Queue()

    def admit(self, channel: int, device: str, idx: int, size: int, *, is_config: bool = False) -> bool:
        """Whether the payload may be read now; room for it is set aside with the yes.

        A packet for a device nobody knows or of an impossible idx is let through, to be refused as such.

        Raises:
            LimitError: pausing here would stop everything for ever.
            WireError: a needed buffer was lost: every channel is past it.
        """
        with self._lock:
            if self._granted.pop(channel, None) == (device, idx):
                return True
            self._channels[channel].note(device, idx)
            queue = self._queues.get(device)
            if queue is None or idx >= IDX_INVALID:
                return True
            first_config = is_config and queue.config is None
            if first_config:
                queue.config = idx
            entered = self._let_in(queue, idx, 0 if first_config else size)
            if not entered:
                self._pause(channel, device, idx, size)
            if self._paused:
                self._check_liveness()
            return entered

    def arrived(self, device: str, idx: int, size: int, *, is_config: bool) -> None:  # noqa: ARG002 - the interface
        """A config stops counting, should :meth:`admit` not have been told that it is one."""
        if is_config:
            self._change(lambda: self._exempt(device, idx))

    def loaded(self, device: str, idx: int, size: int, count: int = 1) -> None:  # noqa: ARG002 - the interface
        """Room is free and another idx needed: channels may go on.

        Raises:
            LimitError: what is needed now can never come.
            WireError: a needed buffer was lost.
        """
        with self._lock:
            self._take_out(device, idx, count)
            if not self._paused:
                return
            resumed = self._grant()
            self._check_liveness()
        for channel in resumed:
            self._on_resume(channel)

    def parked(self, channel: int) -> None:
        """As :meth:`migemu.vfio.flow.Flow.parked`.

        Raises:
            LimitError: the barrier can never be passed.
        """
        self._change(lambda: self._set_state(channel, ChannelState.PARKED))

    def unparked(self, channel: int) -> None:
        """As :meth:`migemu.vfio.flow.Flow.unparked`."""
        self._change(lambda: self._set_state(channel, ChannelState.READING))

    def ended(self, channel: int) -> None:
        """As :meth:`migemu.vfio.flow.Flow.ended`.

        Raises:
            LimitError: what others wait for could only have come on it.
            WireError: a needed buffer was lost.
        """
        self._change(lambda: self._set_state(channel, ChannelState.ENDED))

    def paused_channels(self) -> dict[int, tuple[str, int]]:
        """The paused channels' numbers with the (device, idx) each is paused at."""
        with self._lock:
            return {n: (c.head.device, c.head.idx) for n, c in self._channels.items() if c.head is not None}

    def held_back(self, device: str) -> str:
        """As :meth:`migemu.vfio.flow.Flow.held_back`."""
        with self._lock:
            heads = [(n, c.head) for n, c in self._channels.items() if c.head and c.head.device == device]
            told = [f"channel {n} waits with idx {head.idx} for {self._limit(head)}" for n, head in heads]
        return "; ".join(["", *told])

    def _change(self, change: Callable[[], None]) -> None:
        """Apply `change` under the lock, let channels in that have room now, and tell them outside it."""
        with self._lock:
            change()
            resumed = self._grant()
            self._check_liveness()
        for channel in resumed:
            self._on_resume(channel)

    # under the lock

    def _let_in(self, queue: Queue, idx: int, size: int) -> bool:
        """Set room aside if there is some. A duplicate takes none: the reassembly will refuse it."""
        if idx in queue.here or idx < queue.needed:
            return True
        if not self._has_room(queue, idx, size):
            return False
        queue.here[idx] = size
        queue.held += size
        self.held += size
        return True

    def _has_room(self, queue: Queue, idx: int, size: int) -> bool:
        """The needed buffer always has, and the config: it may have to wait for a mark behind other data."""
        if idx in (queue.needed, queue.config):
            return True
        return self._device_has_room(queue, idx, size) and self._total_has_room(size)

    def _device_has_room(self, queue: Queue, idx: int, size: int) -> bool:
        return self._near(queue, idx) and (self._per_device is None or queue.held + size <= self._per_device)

    def _near(self, queue: Queue, idx: int) -> bool:
        return idx - queue.needed < self._slots

    def _total_has_room(self, size: int) -> bool:
        return self._total is None or self.held + size <= self._total

    def _pause(self, number: int, device: str, idx: int, size: int) -> None:
        channel = self._channels[number]
        channel.head = Head(device, idx, size)
        channel.state = ChannelState.PAUSED
        self._paused += 1
        self.pauses += 1

    def _set_state(self, number: int, state: ChannelState) -> None:
        channel = self._channels[number]
        self._paused -= channel.head is not None
        channel.head = None
        channel.state = state

    def _exempt(self, device: str, idx: int) -> None:
        queue = self._queues[device]
        self._free(queue, idx)
        queue.here[idx] = 0
        queue.config = idx

    def _take_out(self, device: str, idx: int, count: int) -> None:
        queue = self._queues[device]
        for gone in range(idx - count + 1, idx + 1):
            self._free(queue, gone)
        queue.needed = max(queue.needed, idx + 1)

    def _free(self, queue: Queue, idx: int) -> None:
        size = queue.here.pop(idx, 0)
        queue.held -= size
        self.held -= size

    def _grant(self) -> list[int]:
        """Let paused packets in that have room now, those needed soonest first; their channels' numbers."""
        if not self._paused:
            return []
        heads = ((number, c.head) for number, c in self._channels.items() if c.head is not None)
        waiting = sorted(
            (head.idx - self._queues[head.device].needed, number, head) for number, head in heads
        )
        return [number for _, number, head in waiting if self._grant_one(number, head)]

    def _grant_one(self, number: int, head: Head) -> bool:
        if not self._let_in(self._queues[head.device], head.idx, head.size):
            return False
        self._set_state(number, ChannelState.READING)
        self._granted[number] = (head.device, head.idx)
        return True

    def _waits_for_total(self, head: Head) -> bool:
        """Whether only the cap over all devices keeps `head` out."""
        return self._device_has_room(self._queues[head.device], head.idx, head.size)

    def _check_liveness(self) -> None:
        if not self._paused:
            return
        if names := stuck(self._channels, self._queues, self._waits_for_total):
            raise self._error(names)

    def _error(self, names: list[str]) -> MigemuError:
        """What to say of the devices `names` that can never go on: the one at the root first."""
        name = next((n for n in names if lost(n, self._channels, self._queues)), None)
        if name is not None:
            told = f"the packet is lost: {story(name, self._channels, self._queues)}"
            return WireError(told, device=name, idx=self._queues[name].needed)
        number, head = next(
            (n, c.head) for n, c in self._channels.items() if c.head and c.head.device in names
        )
        limit = self._limit(head)
        told = f"{limit} is met and nobody could ever go on: {self._stories(names)}; raise {limit}"
        return LimitError(told, limit=limit, device=head.device, channel=number, idx=head.idx)

    def _stories(self, names: list[str]) -> str:
        told = [f"{name}: {story(name, self._channels, self._queues)}" for name in names[:2]]
        return "; ".join([*told, f"{len(names) - 2} devices more wait like these"][: len(names)])

    def _limit(self, head: Head) -> str:
        """The limit that keeps `head` out."""
        if not self._near(self._queues[head.device], head.idx):
            return "slots_per_device"
        return "queue_total" if self._waits_for_total(head) else "queue_per_device"
