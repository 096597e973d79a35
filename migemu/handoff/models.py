"""A scenario's devices and platform as the models that both sides work with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.vfio.model import DeviceModel, Faults, Platform
from migemu.vfio.states import State

if TYPE_CHECKING:
    from migemu.handoff.design import Design
    from migemu.scenario import Device, Scenario

SEED_STEP = 1_000_003
"""Devices of one scenario hold different content; a prime keeps neighbouring scenario seeds apart too."""


def device_models(scenario: Scenario) -> list[DeviceModel]:
    """The models of all devices, in the scenario's order, which is the order of their sections."""
    return [device_model(scenario, number, device) for number, device in enumerate(scenario.device)]


def device_model(scenario: Scenario, number: int, device: Device) -> DeviceModel:
    """The model of one device."""
    injected = device.injected
    return DeviceModel(
        name=device.section_id,
        seed=scenario.seed * SEED_STEP + number,
        precopy=device.precopy,
        p2p=device.p2p,
        initial_size=device.initial_size,
        precopy_size=device.all_precopy_size() - device.initial_size,
        precopy_dirty_rate=device.precopy_dirty_rate,
        read_rate=device.read_rate,
        write_rate=device.write_rate,
        config_save_time=device.config_save_time,
        config_load_time=device.config_load_time,
        transition_times={State(name): time for name, time in device.transition_times.items()},
        faults=Faults(
            read_partial=injected.read_partial,
            partial_writes=injected.partial_writes,
            write_error_at=injected.write_error_at,
            stall_at=injected.stall_at,
            stall_time=scenario.timeouts.total,
        ),
    )


def platform_of(scenario: Scenario, design: Design) -> Platform:
    """What the platform asks of a config load under `design`.

    The combination of a platform that needs its interrupt controller first with a design that may load
    config earlier is refused in :mod:`migemu.handoff.choice`, or is bug B2 when somebody insists.
    """
    return Platform(
        needs_interrupt_controller=scenario.platform.needs_interrupt_controller,
        config_needs_bql=design.bql_for_config,
    )
