"""What most designs do in a thread per device: write the data in order, then load the config.

Two rules of locking hold for every design. A device's load_bufs_mutex and the BQL are never held together:
who needs both takes the packet out under the mutex first (:meth:`Loading.take_config`) and then the BQL, so
no order between them can be got wrong (B4). And who holds the BQL drops it before he wants a mutex.
"""

from __future__ import annotations

from contextlib import nullcontext
from math import inf
from typing import TYPE_CHECKING, ClassVar

from migemu.handoff.design import Carrier, Loader
from migemu.handoff.machine import Config
from migemu.wire.vfio import unwrap_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from migemu.handoff.design import Design
    from migemu.handoff.machine import Machine, Slot


class Loading:
    """The steps a design is put together from; called without the BQL unless they say otherwise."""

    design: ClassVar[Design]

    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def load_data(self, slot: Slot) -> None:
        """Write the device's data buffers in idx order until the last is in, then say so."""
        patience, now = self.machine.patience, self.machine.threads.now
        last = now()

        def write(idx: int, span: memoryview) -> None:
            nonlocal last
            slot.device.write(idx, span)
            patience.touch()
            last = now()

        slot.buffers.load_data(write, self._deadline(slot))
        self.say_ready(slot, last)

    def _deadline(self, slot: Slot) -> Callable[[], float]:
        """When a wait for the device's next buffer ends.

        Where the config travels on the main channel, a device whose section has not come yet may be
        complete: only who waits for that section can say that nothing moves.
        """
        deadline = self.machine.patience.deadline()
        told_late = self.design.config is Carrier.MAIN
        return lambda: inf if told_late and slot.buffers.data_count is None else deadline()

    def say_ready(self, slot: Slot, since: float | None = None) -> None:
        """All data is in: from here on only the design keeps the config from being loaded.

        Where the config travels on the main channel the data's end is learned late, with the device's own
        section; the device has been ready `since` its last buffer then.
        """
        threads = self.machine.threads
        late = self.design.config is Carrier.MAIN and since is not None
        idle = threads.now() - since if late and since is not None else 0.0
        threads.point("config_ready", device=slot.name, idle=idle)

    def take_config(self, slot: Slot) -> Config:
        """Take the config out of the device's last packet, all data being in."""
        item = slot.buffers.take_config()
        try:
            return Config(unwrap_config(item.payload.view), item.idx)
        finally:
            slot.buffers.done(item)

    def load_config(self, slot: Slot, config: Config) -> None:
        """Load a config; the caller holds the BQL where the design needs it."""
        slot.device.load_config(config.data, config.idx)
        self.machine.patience.touch()

    def load_main_config(self, slot: Slot, config: bytes) -> None:
        """Load a config that came on the main channel; the device checks how much data should be in."""
        count = slot.buffers.data_count
        self.load_config(slot, Config(config, slot.device.next_idx if count is None else count))

    def load_config_packet(self, slot: Slot) -> None:
        """What a device's own thread does for its config: take it out, take the BQL, load it."""
        config = self.take_config(slot)
        with self.config_lock():
            self.load_config(slot, config)

    def config_lock(self) -> AbstractContextManager[object]:
        """What must be held to load a config."""
        return self.machine.bql if self.design.bql_for_config else nullcontext()

    def spawn_loaders(self) -> None:
        """Start a load thread for every device (QEMU: qemu_loadvm_start_load_thread)."""
        for slot in self.machine.slots.values():
            self.machine.pool.submit(f"load {slot.name}", lambda slot=slot: self._load_thread(slot))  # type: ignore[misc]  # mypy cannot infer lambdas with defaults

    def _load_thread(self, slot: Slot) -> None:
        self.machine.threads.point("vfio_load_bufs_thread_start", device=slot.name)
        self.load(slot)
        self.machine.threads.point("vfio_load_bufs_thread_end", device=slot.name, **self._account(slot))

    def _account(self, slot: Slot) -> dict[str, float]:
        """What a load thread says of itself at its end: seconds and bytes."""
        stats = slot.buffers.stats
        told: dict[str, float] = {"bytes": slot.device.data_bytes, "wait": stats.wait_time}
        told["load"] = slot.device.load_time
        if self.design.config_loader is Loader.LOAD_THREAD:
            told["config_load"] = slot.device.config_time
        return told | {"queued_peak": stats.peak_bytes}

    def load(self, slot: Slot) -> None:
        """The body of a device's load thread, where the design has one."""
        raise NotImplementedError(f"{self.design.name} has no load threads")
