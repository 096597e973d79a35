"""The slots of one device's reassembly: which packets are here, which may still come, which must not.

Plain data and rules, no lock and no wait: :mod:`migemu.vfio.reassembly` holds the mutex round every call. A
slot costs memory only when it is filled, so a huge idx cannot make anything grow; how far ahead an idx may
lie is bounded all the same (bug B29), and so are the bytes (bug B30).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from migemu.errors import InvariantError, LimitError, WireError

if TYPE_CHECKING:
    from migemu.vfio.content import Payload

IDX_INVALID: Final = 0xFFFFFFFF
"""The idx QEMU refuses: its array would have 2^32 slots."""


SLOTS: Final = 65536
"""How far ahead an idx may lie unless told otherwise: 64 GiB of state in packets of 1 MiB."""


@dataclass(frozen=True, slots=True)
class BufferLimits:
    """What a peer may make one device's reassembly hold."""

    queue_bytes: int | None = None
    """``queue_per_device``: bytes queued at once; more fails the migration, as in QEMU. None for no limit."""

    slots: int = SLOTS
    """``slots_per_device``: how far an idx may lie ahead of the next one to be loaded."""

    run: int = 0
    """Bytes up to which small buffers that are here in a row are handed out together: with packets of a few
    KiB, threads that took each by itself would do little but hand locks to one another."""


@dataclass(slots=True)
class BufferStats:
    """What went through, so far."""

    received: int = 0
    """Packets, the config's included."""
    loaded: int = 0
    """Data buffers written."""
    queued_bytes: int = 0
    """Held now, the buffer being written included."""
    peak_bytes: int = 0
    """The most that was ever held."""
    starved: int = 0
    """How often the loader had to wait for a buffer."""
    wait_time: float = 0.0
    """How long it waited in all, in seconds."""


class Loadable(NamedTuple):
    """A packet handed out to be written; it stays counted until it is settled."""

    idx: int
    payload: Payload
    size: int
    """Bytes of its content."""


class Slots:
    """The slots of `device`.

    Args:
        device: section id, for errors.
        limits: what a peer may make it hold.
        config_on_multifd: the config is the packet with the highest idx (QEMU's way), else it comes elsewhere
            and :meth:`set_end` says where the data ends.

    Attributes:
        next: the idx to be handed out next.
        end: the number of data buffers, which is the config's idx; None while it is not known.
        stats: what went through.
    """

    def __init__(self, device: str, limits: BufferLimits, *, config_on_multifd: bool) -> None:
        self.device = device
        self.limits = limits
        self.config_on_multifd = config_on_multifd
        self.next = 0
        self.end: int | None = None
        self.stats = BufferStats()
        self._queue: dict[int, Payload] = {}
        self._config: Payload | None = None
        self._highest = -1
        self._writing: int | None = None

    @property
    def complete(self) -> bool:
        """All data buffers have been handed out and settled."""
        return self.next == self.end and self._writing is None

    def turn_come(self) -> bool:
        """The next data buffer is here, and the one before it has been written."""
        return self._writing is None and self.next in self._queue

    def put(self, idx: int, payload: Payload, size: int, *, is_config: bool, version: int) -> None:
        """Fill the slot `idx`, after every check.

        Raises:
            WireError: the packet has no place here.
            LimitError: a limit is met.
        """
        self._check_version(idx, version)
        self._check_idx(idx)
        self._check_duplicate(idx)
        self._check_config(idx) if is_config else self._check_data(idx)
        self._check_slots(idx)
        self._check_cap(idx, size)
        self._store(idx, payload, size, is_config=is_config)

    def take(self) -> Loadable:
        """Hand out the next data buffer; its turn has come."""
        payload = self._queue.pop(self.next)
        item = Loadable(self.next, payload, len(payload.view))
        self._writing = item.idx
        self.next += 1
        return item

    def take_run(self, first: Loadable) -> list[Loadable]:
        """Hand out with `first` what is here in a row behind it, as far as ``limits.run`` goes."""
        run, size = [first], first.size
        while (payload := self._queue.get(self.next)) is not None:
            size += len(payload.view)
            if size > self.limits.run:
                break
            run.append(self.take())
        return run

    def take_config(self) -> Loadable:
        """Hand out the config.

        Raises:
            InvariantError: data is missing, or there is no config (any more).
        """
        if not self.complete or self._config is None:
            loaded = f"{self.stats.loaded} of {'unknown' if self.end is None else self.end}"
            told = f"config wanted with {loaded} data buffers loaded"
            raise InvariantError(told, invariant="config-last", device=self.device)
        payload, self._config = self._config, None
        return Loadable(self.next, payload, len(payload.view))

    def settle(self, item: Loadable) -> None:
        """`item` is not held any more; those of a run in their order."""
        self.stats.queued_bytes -= item.size
        if self._writing is None:
            return
        self.stats.loaded += 1
        if item.idx == self._writing:
            self._writing = None

    def set_end(self, count: int) -> None:
        """There are `count` data buffers.

        Raises:
            WireError: what has been seen contradicts it.
        """
        if self.config_on_multifd or self.end not in (None, count):
            told = (
                f"told of {count} data buffers where the config packet says it, or after {self.end} were told"
            )
            raise WireError(told, device=self.device)
        if not self._highest < count <= IDX_INVALID:
            raise WireError(
                f"told of {count} data buffers, but idx {self._highest} has come", device=self.device
            )
        self.end = count

    def drop(self) -> list[Payload]:
        """Take out everything that was not handed out."""
        dropped = [*self._queue.values(), *([] if self._config is None else [self._config])]
        self._queue.clear()
        self._config = None
        self.stats.queued_bytes -= sum(len(payload.view) for payload in dropped)
        return dropped

    def missing(self) -> str | None:
        """What must still come on a multifd channel before the loader can go on; None if nothing must."""
        if self._writing is not None or self.complete or self.turn_come():
            return None
        if self._queue or self.end is not None:
            return f"data buffer {self.next}"
        return "the config packet" if self.config_on_multifd else None

    def queued(self) -> str:
        """What is queued, for people."""
        if not self._queue:
            return "nothing is queued"
        first, last = min(self._queue), max(self._queue)
        return f"{len(self._queue)} later ones are queued, idx {first} to {last}"

    def _store(self, idx: int, payload: Payload, size: int, *, is_config: bool) -> None:
        if is_config:
            self._config, self.end = payload, idx
        else:
            self._queue[idx] = payload
        self._highest = max(self._highest, idx)
        self.stats.received += 1
        self.stats.queued_bytes += size
        self.stats.peak_bytes = max(self.stats.peak_bytes, self.stats.queued_bytes)

    def _check_version(self, idx: int, version: int) -> None:
        if version != 0:
            raise self._refused(f"device state packet of unknown version {version}", idx)

    def _check_idx(self, idx: int) -> None:
        if idx >= IDX_INVALID:
            raise self._refused("device state packet with an invalid idx", idx)

    def _check_duplicate(self, idx: int) -> None:
        if idx in self._queue:
            raise self._refused("duplicate packet: a data buffer with this idx is queued already", idx)
        if idx < self.next:
            raise self._refused("duplicate packet: a data buffer with this idx was loaded already", idx)

    def _check_config(self, idx: int) -> None:
        if not self.config_on_multifd:
            raise self._refused(
                "config packet on multifd, but this hand-off sends it on the main channel", idx
            )
        if self.end is not None:
            raise self._refused(f"second config packet, the first had idx {self.end}", idx)
        if idx < self._highest:
            raise self._refused(f"config packet below data buffer {self._highest}: it must be the last", idx)

    def _check_data(self, idx: int) -> None:
        if self.end is not None and idx >= self.end:
            last = "the config packet" if self.config_on_multifd else "the end of the data"
            raise self._refused(f"data buffer not below {last}, idx {self.end}", idx)

    def _check_slots(self, idx: int) -> None:
        if idx - self.next >= self.limits.slots:
            told = f"{idx - self.next} ahead of the next to load, slots_per_device is {self.limits.slots}"
            raise LimitError(told, limit="slots_per_device", device=self.device, idx=idx)

    def _check_cap(self, idx: int, size: int) -> None:
        cap, queued = self.limits.queue_bytes, self.stats.queued_bytes
        if cap is not None and queued + size > cap:
            what = f"{size} bytes more would exceed queue_per_device = {cap}"
            told = f"{what}: {queued} are queued, idx {self.next} is to be loaded next"
            raise LimitError(told, limit="queue_per_device", device=self.device, idx=idx)

    def _refused(self, reason: str, idx: int) -> WireError:
        return WireError(reason, device=self.device, idx=idx)
