"""From the stopped VM to the last section: iterables, then non-iterables, as the design says."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from migemu.handoff.design import Carrier
from migemu.handoff.machine_types import machine_type
from migemu.handoff.semaphore import Semaphore
from migemu.source.save import DeviceSaver
from migemu.vfio.states import State
from migemu.wire import extension
from migemu.wire import mainstream as ms
from migemu.wire.vfio import wrap_config

if TYPE_CHECKING:
    from migemu.source.migration import Parts
    from migemu.vfio.save import SaveDevice

INTERRUPT_CONTROLLER_STATE = bytes(range(256)) * 4
"""Its state; what is in it does not matter here, that it is in does."""


class Switchover:
    """Stops the VM and sends the rest."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._savers = [self._saver(device) for device in parts.vm.devices]

    def _saver(self, device: SaveDevice) -> DeviceSaver:
        parts, name = self._parts, device.model.name
        saved = None
        if parts.design.save_semaphore:
            saved = Semaphore(parts.threads, parts.abort, parts.patience, f"saved {name}")
        packet_size = parts.scenario.migration.packet_size
        return DeviceSaver(
            parts.threads, parts.design, parts.channels, device, packet_size, wrap_config, saved
        )

    def run(self) -> None:
        """Everything between the decision and EOF."""
        self._checkpoint("src-downtime-start")
        self._parts.vm.stop()
        self._checkpoint("src-vm-stopped")
        if machine_type(self._parts.scenario.machine).switchover_start:
            self._parts.stream.command(ms.SWITCHOVER_START)
        self._save_iterables()
        self._checkpoint("src-iterable-saved")
        if self._parts.design.send_non_iterable:
            self._parts.stream.command(extension.CMD_SEND_NON_ITERABLE)
        self._save_non_iterables()
        self._parts.pool.wait(self._parts.patience)
        self._checkpoint("src-non-iterable-saved")

    def _checkpoint(self, name: str) -> None:
        self._parts.threads.point("vmstate_downtime_checkpoint", checkpoint=name)

    def _save_iterables(self) -> None:
        """Devices over multifd in their own threads while RAM's last pass shares the channels with them."""
        parts = self._parts
        if parts.design.data is Carrier.MULTIFD:
            for saver in self._savers:
                parts.pool.submit(f"save {saver.device.model.name}", saver.run)
        self._last_ram_pass()
        for number, saver in enumerate(self._savers):
            parts.stream.device_end_begin(number)
            if parts.design.data is Carrier.MAIN:
                self._save_on_main(saver.device)
            parts.stream.device_section_end(number)
        if not parts.design.save_semaphore:
            parts.pool.wait(parts.patience)

    def _last_ram_pass(self) -> None:
        parts = self._parts
        done = parts.ram.send_dirty(paced=False)
        parts.ram.sync()
        parts.stream.ram_barrier(last=True)
        parts.threads.point(
            "precopy_round", round=0, pages=done.pages, zero=done.zero, bytes=done.bytes, pending=0
        )

    def _save_on_main(self, device: SaveDevice) -> None:
        """As before multifd transfer: on the migration thread, one device after the other."""
        name = device.model.name
        self._parts.threads.point("vfio_save_complete_precopy_thread_start", device=name)
        device.set_state(State.STOP_COPY)
        for idx in itertools.count():
            payload = device.read(self._parts.scenario.migration.packet_size)
            if payload is None:
                break
            self._parts.stream.device_data(payload.view)
            size = len(payload.view)
            self._parts.threads.point("vfio_save_device_state_buffer", device=name, idx=idx, bytes=size)
            payload.release()
        self._parts.threads.point(
            "vfio_save_complete_precopy_thread_end", device=name, bytes=device.stop_copy_bytes
        )

    def _save_non_iterables(self) -> None:
        """The interrupt controller first, then each device's own section."""
        parts = self._parts
        if parts.extended:
            number = len(self._savers)
            parts.stream.platform_section(number, ms.INTERRUPT_CONTROLLER, INTERRUPT_CONTROLLER_STATE)
        for number, saver in enumerate(self._savers):
            saver.wait()
            on_main = parts.design.config is Carrier.MAIN
            config = saver.device.save_config() if on_main else None
            parts.stream.device_full(number, saver.device, parts.design, buffers=saver.buffers, config=config)
        parts.main.flush()
