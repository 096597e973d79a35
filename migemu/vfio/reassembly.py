"""Putting one device's packets back in order, between the receivers and the load thread.

Receivers :meth:`~StateBuffers.insert` in any order; one loader takes data out in idx order, each buffer once,
and writes it to the device with the mutex dropped. Three rules keep it from hanging or lying:

- Whoever changes what a loader waits for wakes it under the mutex, and every wait is a loop over a predicate
  with a deadline (bugs B5 to B7).
- Whatever goes wrong, here or elsewhere, is set with :meth:`~StateBuffers.abort`, which wakes *every*
  condition made over the mutex; the loader then raises that error (hazards D1 and D3).
- A buffer that was handed out belongs to its taker until :meth:`~StateBuffers.done`, also through an abort.

Lock order is load_bufs_mutex before BQL, everywhere; nothing here takes another lock while it holds the
mutex.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from migemu.errors import CancelledMigrationError, MigemuError, PeerTimeoutError, WireError
from migemu.vfio.flow import FreeFlow
from migemu.vfio.mutex import LoadBufsMutex
from migemu.vfio.slots import BufferLimits, Loadable, Slots

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.threads.api import Threads
    from migemu.vfio.content import Payload, Span
    from migemu.vfio.flow import Flow
    from migemu.vfio.slots import BufferStats

    Deadline = Callable[[], float]
    """The time a wait ends at; asked again while waiting, so that progress elsewhere may move it. Infinite
    only in explorations that look for waits without an end."""

__all__ = ["BufferLimits", "Loadable", "StateBuffers"]


class StateBuffers(LoadBufsMutex):
    """The reassembly of one device.

    Args:
        device: section id.
        threads: locks, clock and event log.
        limits: what a peer may make it hold.
        flow: told of arrivals and progress, so that it can pause channels or count over all devices.
        config_on_multifd: the config is a packet, the one with the highest idx (QEMU's way); otherwise it
            comes over the main channel and :meth:`set_data_count` says where the data ends.
    """

    slots_type: ClassVar[type[Slots]] = Slots

    def __init__(
        self,
        device: str,
        threads: Threads,
        *,
        limits: BufferLimits | None = None,
        flow: Flow | None = None,
        config_on_multifd: bool = True,
    ) -> None:
        super().__init__(device, threads)
        self.flow: Flow = flow or FreeFlow()
        self.slots = self.slots_type(device, limits or BufferLimits(), config_on_multifd=config_on_multifd)
        self.buffer_ready = self.condition("load_bufs_buffer_ready")
        self._channels_ended: str | None = None
        self.flow.add_device(device)

    @property
    def stats(self) -> BufferStats:
        """What went through, so far."""
        return self.slots.stats

    @property
    def next_idx(self) -> int:
        """The idx to be handed out next."""
        return self.slots.next

    @property
    def data_count(self) -> int | None:
        """How many data buffers there are, once that is known."""
        return self.slots.end

    @property
    def complete(self) -> bool:
        """All data buffers have been written."""
        return self.slots.complete

    # the receiving side

    def insert(self, idx: int, payload: Payload, is_config: bool = False, version: int = 0) -> bool:  # noqa: FBT001, FBT002 - the fields of a packet's header
        """Put a packet in its slot; never waits but for the mutex. Owns `payload` from here on.

        Args:
            idx: the packet's index.
            payload: its content, without the 12-byte header.
            is_config: the packet carries the config.
            version: the header's version; only 0 is known.

        Returns:
            False when the packet was dropped because the migration has failed already.

        Raises:
            WireError: the peer broke the protocol; the reassembly fails with it.
            LimitError: a limit is met; the reassembly fails with it.
        """
        size = len(payload.view)
        queued = self.stats.queued_bytes + size
        self.threads.point(
            "vfio_load_state_device_buffer_incoming", device=self.device, idx=idx, queued=queued
        )
        try:
            self.flow.arrived(self.device, idx, size, is_config=is_config)
            with self.mutex:
                taken = self._insert(idx, payload, size, is_config=is_config, version=version)
        except MigemuError as error:
            payload.release()
            self.abort(error)
            raise
        if not taken:
            payload.release()
        return taken

    def set_data_count(self, count: int) -> None:
        """Say how many data buffers there are, where the config comes over the main channel.

        Raises:
            WireError: packets seen so far contradict it, or it was said otherwise before.
        """
        try:
            with self.mutex:
                self.slots.set_end(count)
                self._wake_everybody()
        except MigemuError as error:
            self.abort(error)
            raise

    def channels_ended(self, why: str = "every multifd channel has ended") -> None:
        """No multifd channel brings anything more, `why`: what is not here never comes (K6, K7, K13; D1)."""
        with self.mutex:
            self._channels_ended = why
            self._wake_everybody()

    # the loading side

    def try_next(self) -> Loadable | None:
        """The next data buffer, if it is here and nobody is writing another; does not wait.

        Raises:
            MigemuError: what :meth:`abort` was given.
        """
        with self.mutex:
            self.raise_if_failed()
            return self.slots.take() if self.slots.turn_come() else None

    def wait_next(self, deadline: Deadline) -> Loadable | None:
        """The next data buffer in idx order; None when all have been written.

        Raises:
            WireError: the buffer can never come.
            PeerTimeoutError: it did not come in time.
            MigemuError: what :meth:`abort` was given.
        """
        with self.mutex:
            self.raise_if_failed()
            if self.slots.turn_come():
                return self.slots.take()
            if self.complete:
                return None
            # Told with the mutex held, as QEMU traces it: between the look and the sleep nothing comes in.
            idx = self.next_idx
            self.threads.point("vfio_load_state_device_buffer_starved", device=self.device, idx=idx)
            return self._wait_turn(deadline)

    def run_of(self, first: Loadable) -> list[Loadable]:
        """`first`, just handed out, and with it the small buffers that are here in a row behind it."""
        if 2 * first.size > self.slots.limits.run:
            return [first]
        with self.mutex:
            return self.slots.take_run(first)

    def done(self, *items: Loadable) -> None:
        """`items`, one or a run, were written, or never will be: give their memory back, let others through.

        Does not raise, so that it may stand in a ``finally``: what the flow finds fails the reassembly.
        """
        with self.mutex:
            for item in items:
                self.slots.settle(item)
            self.buffer_ready.notify_all()
        for item in items:
            item.payload.release()
        try:
            self.flow.loaded(self.device, items[-1].idx, sum(item.size for item in items), len(items))
        except MigemuError as error:
            self.abort(error)

    def load_data(self, write: Callable[[int, Span], None], deadline: Deadline) -> None:
        """Write every data buffer in order, with the mutex dropped; what the load thread of a device does.

        Raises:
            MigemuError: from `write` or from :meth:`wait_next`; the reassembly fails with it.
        """
        try:
            while (item := self.wait_next(deadline)) is not None:
                run = self.run_of(item)
                try:
                    for one in run:
                        write(one.idx, one.payload.view)
                finally:
                    self.done(*run)
        except MigemuError as error:
            self.abort(error)
            raise

    def take_config(self) -> Loadable:
        """The config packet, once all data has been written. Give it to :meth:`done` as well.

        Raises:
            InvariantError: data is still missing, or the config was taken before.
            MigemuError: what :meth:`abort` was given.
        """
        with self.mutex:
            self.raise_if_failed()
            return self.slots.take_config()

    # the end

    def abort(self, error: MigemuError) -> None:
        """Fail with `error`, unless it has failed before: nothing more is taken in, and every sleeper wakes.

        The first error is the one everybody raises. Must not be called with the BQL held (bug B4).
        """
        with self.mutex:
            if self._error is None:
                self._error = error
            dropped = self.slots.drop()
            self._wake_everybody()
        for payload in dropped:
            payload.release()

    def close(self) -> None:
        """Give everything back; for the end of a migration, good or bad, and harmless when repeated (B34)."""
        self.abort(CancelledMigrationError("the migration is over", device=self.device))

    # under the mutex: each a guard or an order of its own

    def _insert(self, idx: int, payload: Payload, size: int, *, is_config: bool, version: int) -> bool:
        if self.want_exit:
            return False
        self.slots.put(idx, payload, size, is_config=is_config, version=version)
        self._wake_loader(idx)
        return True

    def _wake_loader(self, idx: int) -> None:
        """No other idx changes what a loader waits for."""
        if idx == self.slots.next:
            self.buffer_ready.notify_all()

    def _wait_turn(self, deadline: Deadline) -> Loadable | None:
        """Sleep until the next buffer is here or all have been written."""
        self.stats.starved += 1
        started = self.threads.now()
        try:
            while not self.slots.turn_come() and not self.complete:
                self.raise_if_failed()
                self._raise_if_hopeless()
                self._sleep(deadline)
        finally:
            self.stats.wait_time += self.threads.now() - started
        self.raise_if_failed()
        return self.slots.take() if self.slots.turn_come() else None

    def _raise_if_hopeless(self) -> None:
        missing = self.slots.missing() if self._channels_ended else None
        if missing is not None:
            told = f"{missing} never came and {self._channels_ended}; {self.slots.queued()}"
            raise WireError(told, device=self.device, idx=self.next_idx)

    def _sleep(self, deadline: Deadline) -> None:
        left = deadline() - self.threads.now()
        if left <= 0:
            told = f"data buffer {self.next_idx} did not come within the time limit; {self.slots.queued()}"
            told += f"{self.flow.held_back(self.device)} (timeouts.phase)"
            raise PeerTimeoutError(told, device=self.device, idx=self.next_idx)
        self.buffer_ready.wait(None if left == math.inf else left)
