"""From a scenario to a source's parts, for real sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import ConfigError
from migemu.handoff.models import device_models
from migemu.link.pacing import Pacer
from migemu.ram import DirtyLog, GuestRam, PageDigests, Writer
from migemu.ram.writer import ZEROED
from migemu.source.ramsend import RamSender
from migemu.source.vm import SourceVm
from migemu.vfio.content import digest_maker
from migemu.vfio.datafd import open_source
from migemu.vfio.save import SaveDevice
from migemu.wire.buffers import HeapPool

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migemu.scenario import Device, Scenario
    from migemu.source.channels import SendChannels
    from migemu.threads.api import Threads
    from migemu.vfio.model import DeviceModel
    from migemu.wire.buffers import Pool

CONFIG_SEED = 0x636F6E66
"""Set apart from the device's data: the same seed must not make the same bytes twice."""


class Guest:
    """The VM that is to be migrated: RAM, the guest that writes to it, and the devices."""

    sender_kind: type[RamSender] = RamSender

    def __init__(self, scenario: Scenario, threads: Threads) -> None:
        self.pool = HeapPool()
        self.ram = self._make_ram(scenario)
        self.dirty = DirtyLog(len(self.ram.pages), threads)
        self.digests = PageDigests(len(self.ram.pages), "source")
        self.devices = make_devices(scenario, threads, self.pool, self._config_of)
        self.vm = SourceVm(threads, self._writer(scenario, threads), self.devices)

    def _make_ram(self, scenario: Scenario) -> GuestRam:
        return make_ram(scenario)

    def _config_of(self, device: Device, model: DeviceModel) -> bytes:
        return config_of(device, model)

    def _writer(self, scenario: Scenario, threads: Threads) -> Writer:
        ram = scenario.ram
        working_set = self.ram.size if ram.working_set is None else ram.working_set
        zeroed = ZEROED if ram.zero_fraction else 0.0  # who wants no zero pages gets none later either
        return Writer(
            threads, self.ram, self.dirty, ram.dirty_rate, working_set, seed=scenario.seed, zeroed=zeroed
        )

    def sender(self, scenario: Scenario, threads: Threads, channels: SendChannels) -> RamSender:
        """What sends the RAM over `channels`."""
        rate = scenario.migration.max_bandwidth
        pace = None if rate is None else Pacer(rate)
        return self.sender_kind(threads, self.ram, self.dirty, self.digests, self.pool, channels, pace)

    def close(self) -> None:
        """Stop the guest for good and give its memory back."""
        self.vm.shut_down()
        self.ram.close()


def make_ram(scenario: Scenario) -> GuestRam:
    """Guest memory: from the scenario's file, or generated."""
    if scenario.ram.file is not None:
        return GuestRam.of_file(scenario.ram.file, scenario.ram.total_size())
    ram = GuestRam.of_size(scenario.ram.size)
    ram.fill(scenario.seed, scenario.ram.zero_fraction)
    return ram


def make_devices(
    scenario: Scenario, threads: Threads, pool: Pool, config: Callable[[Device, DeviceModel], bytes]
) -> list[SaveDevice]:
    """The devices with their state, from files or generated; `config` makes their config states."""
    digest = digest_maker(scenario.digest)
    models = device_models(scenario)
    return [
        SaveDevice(
            model,
            open_source(device.state, device.state_size, model.seed, pool),
            threads,
            digest,
            config=config(device, model),
        )
        for model, device in zip(models, scenario.device, strict=True)
    ]


def config_of(device: Device, model: DeviceModel) -> bytes:
    """The config state of a device.

    Raises:
        ConfigError: its file cannot be read.
    """
    if device.config is not None:
        return read_file(device.config, model.name)
    pool = HeapPool()
    source = open_source(None, device.config_size, model.seed ^ CONFIG_SEED, pool)
    payload = source.read(0, device.config_size)
    config = bytes(payload.view)
    payload.release()
    return config


def read_file(path: Path, device: str) -> bytes:
    """A config file's bytes."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise ConfigError(f"cannot read the config file {path}: {error.strerror}", device=device) from None
