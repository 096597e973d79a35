"""Locking and cleanup as QEMU does it, where bugs are about those.

Production's designs never hold a device's mutex and the BQL together, and end their threads by one abort
that wakes everybody. QEMU's load thread keeps load_bufs_mutex while it takes the BQL for the config; its
cleanup runs on the main thread with the BQL held, sets a flag for each device, signals, and waits for that
device's thread. That is correct too, as long as each step is as it is here; the catalogue takes single
steps away.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu.destination.core import Core
from migemu.errors import CancelledMigrationError, ConnectionLostError
from migemu.handoff.load_ready import LoadReady
from migemu.handoff.load_thread import LoadThread
from migemu.handoff.machine import Config
from migemu.threads.sync import Abort
from migemu.wire.vfio import unwrap_config

if TYPE_CHECKING:
    from migemu.errors import MigemuError
    from migemu.handoff.base import Machine, Slot
    from migemu.handoff.loading import Loading
    from migemu.threads.api import Lock


class QemuLoadReady(LoadReady):
    """`load-ready` with QEMU's locking and QEMU's cleanup of a device."""

    def __init__(self, machine: Machine) -> None:
        super().__init__(machine)
        self._running: set[str] = set()
        self._freed: set[str] = set()
        self._finished = {
            slot.name: machine.threads.condition(plain_mutex(slot), f"load_bufs_thread_finished {slot.name}")
            for slot in machine.slots.values()
        }

    def switchover_start(self) -> None:
        """Mark every loader running, then start them."""
        for slot in self.machine.slots.values():
            with self.machine.without_bql(), slot.buffers.mutex:
                self._running.add(slot.name)
        super().switchover_start()

    def load(self, slot: Slot) -> None:
        """Data, mark, config; the last thing a load thread does is to say that it has finished."""
        try:
            self.load_data(slot)
            self._wait_for_mark(slot)
            load_config_keeping_mutex(self, slot)
        finally:
            self._finish(slot)

    def _finish(self, slot: Slot) -> None:
        with slot.buffers.mutex:
            if slot.name in self._freed:
                detail = "the load thread uses load_bufs_mutex after cleanup has freed it"
                self.machine.threads.point(
                    "invariant", name="lifetime", ok=False, detail=detail, device=slot.name
                )
            self._running.discard(slot.name)
            self._finished[slot.name].notify_all()

    def abort(self, error: MigemuError) -> None:
        """The core's flag alone wakes nobody."""

    def cleanup(self) -> None:
        """Each device's own cleanup; on the main thread, BQL held."""
        for slot in self.machine.slots.values():
            self.clean_up(slot)

    def clean_up(self, slot: Slot) -> None:
        """Ask the load thread to leave, wait until it has, free what it used; the BQL dropped meanwhile."""
        with self.machine.without_bql():
            self.want_exit(slot)
            self.await_loader(slot)
        self._freed.add(slot.name)

    def want_exit(self, slot: Slot) -> None:
        """The flag, and every condition the loader may sleep on."""
        slot.buffers.abort(self.machine.abort.error or CancelledMigrationError("the migration is over"))

    def await_loader(self, slot: Slot) -> None:
        """Sleep until the load thread has finished."""
        with slot.buffers.mutex:
            while slot.name in self._running:
                self._finished[slot.name].wait()


class QemuCore(Core):
    """The core's part of the cleanup: devices first, then the pool; BQL held as on QEMU's main thread."""

    def cleanup(self, seconds: float) -> bool:
        """The incoming state is destroyed."""
        if not self.running and self.abort.error is None:
            self.abort.set(ConnectionLostError("the migration was given up", side="destination"))
        joined = self._incoming_thread is None or self._incoming_thread.join(seconds)
        with self.bql:
            self.clean_up_devices_and_pool(seconds)
        for slot in self.machine.slots.values():
            slot.device.close()
        return joined

    def clean_up_devices_and_pool(self, seconds: float) -> None:
        """In this order: a pool whose threads nobody has asked to leave is never empty."""
        self.handoff.cleanup()
        with self.machine.without_bql():
            self.pool.join(seconds)


class RecordingAbort(Abort):
    """An error is recorded, for whoever looks next, and wakes nobody (migrate_set_error)."""

    def set(self, error: MigemuError) -> bool:
        """Record the first one."""
        if self.error is not None:
            return False
        self.error = error
        self._threads.point("error", message=str(error), kind=type(error).__name__, **error.where())
        return True


class RecordingCore(Core):
    """The main thread looks for errors where it looks; the devices' own cleanup wakes the load threads."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.abort.__class__ = RecordingAbort

    def cleanup(self, seconds: float) -> bool:
        """Ask the load threads to leave."""
        self.handoff.abort(self.abort.error or ConnectionLostError("the migration was given up"))
        return super().cleanup(seconds)


class AwaitsEveryLoader(LoadThread):
    """Waits for all load threads, whatever any of them met, and looks for errors afterwards."""

    def stream_end(self) -> None:
        """qemu_loadvm_thread_pool_wait, with the BQL dropped."""
        self.check_started()
        self.await_loaders()
        self.machine.abort.check()

    def await_loaders(self) -> None:
        """Until the last one has ended."""
        pool = self.machine.pool
        with self.machine.without_bql(), pool._lock:  # noqa: SLF001  the wait without its look at errors
            while pool._running:  # noqa: SLF001  as above
                pool._ended.wait()  # noqa: SLF001  as above


def load_config_keeping_mutex(handoff: Loading, slot: Slot) -> None:
    """The mutex first, then the BQL inside it."""
    with slot.buffers.mutex:
        slot.buffers.raise_if_failed()
        item = slot.buffers.slots.take_config()
        with handoff.config_lock():
            handoff.load_config(slot, Config(unwrap_config(item.payload.view), item.idx))
    slot.buffers.done(item)


def plain_mutex(slot: Slot) -> Lock:
    """The device's mutex without its witness: conditions are made over that."""
    inner: Lock = getattr(slot.buffers.mutex, "inner", slot.buffers.mutex)
    return inner
