"""From a scenario to a destination's parts, for real sockets."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import TYPE_CHECKING

from migemu.destination.plan import Plan
from migemu.handoff.choice import choose, say
from migemu.handoff.models import device_models, platform_of
from migemu.ram import GuestRam
from migemu.vfio.content import digest_maker
from migemu.vfio.datafd import open_sink
from migemu.vfio.flow import make_flow
from migemu.vfio.load import LoadDevice
from migemu.vfio.slots import BufferLimits
from migemu.wire.limits import WireLimits
from migemu.wire.vfio import wrap_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.scenario import Device, Scenario
    from migemu.threads.api import Threads
    from migemu.threads.sync import Bql
    from migemu.vfio.flow import Flow

UNKNOWN_CONFIG = 64 << 10
"""Bytes set aside for a config that only the source can measure; they are kilobytes in practice."""

RUN = 256 << 10
"""Bytes of small buffers that a load thread takes at a time; packets of QEMU's 1 MiB it takes one by one."""


def make_plan(scenario: Scenario, threads: Threads, resume: Callable[[int], None]) -> Plan:
    """What a destination of `scenario` is made of.

    Args:
        scenario: already dilated.
        threads: the concurrency seam.
        resume: lets a channel that the queue cap paused ask again.

    Raises:
        ConfigError: the machine type or the platform does not allow the hand-off.
    """
    design = choose(scenario)
    say(threads, scenario, design)
    platform = platform_of(scenario, design.design)
    flow, limits = flow_of(scenario, threads, resume)

    def devices(bql: Bql) -> list[LoadDevice]:
        digest = digest_maker(scenario.digest)
        return [
            LoadDevice(model, open_sink(device.keep), threads, bql.lock, platform, digest)
            for model, device in zip(device_models(scenario), scenario.device, strict=True)
        ]

    return Plan(
        threads=threads,
        channels=scenario.migration.channels,
        machine_name=scenario.machine,
        handoff=design,
        ram=GuestRam.of_size(scenario.ram.total_size()),
        platform=platform,
        patience=scenario.timeouts.phase,
        limits=replace(limits, run=RUN),
        flow=flow,
        interrupt_controller_load_time=scenario.platform.interrupt_controller_load_time,
        devices=devices,
        queue_main=scenario.limits.queue_main,
        max_commands=scenario.limits.max_commands,
        uuid=scenario.migration_uuid().bytes,
    )


def flow_of(scenario: Scenario, threads: Threads, resume: Callable[[int], None]) -> tuple[Flow, BufferLimits]:
    """The rule at a queue's cap, and what each device's reassembly enforces itself."""
    limits = scenario.limits
    reserve = always_let_in(scenario) if limits.on_cap == "pause" else 0
    flow, own_cap = make_flow(
        limits.on_cap,
        threads,
        range(scenario.migration.channels),
        per_device=without(limits.queue_per_device, reserve),
        total=without(limits.queue_total, reserve * len(scenario.device)),
        on_resume=resume,
        slots=limits.slots_per_device,
    )
    return flow, BufferLimits(queue_bytes=own_cap, slots=limits.slots_per_device)


def always_let_in(scenario: Scenario) -> int:
    """Bytes a device may be given above what it has room for: the buffer it needs next, and its config."""
    return scenario.migration.packet_size + max(map(config_room, scenario.device), default=0)


def config_room(device: Device) -> int:
    """Bytes its config packet may take; the file it is read from need not be on this side."""
    size = device.config_size if device.config is None else UNKNOWN_CONFIG
    return size + len(wrap_config(b""))


def without(cap: int | None, reserve: int) -> int | None:
    """A cap less what is let in above it: the packet a device needs next always is, or nobody could go on."""
    return None if cap is None else max(0, cap - reserve)


def wire_limits(scenario: Scenario) -> WireLimits:
    """What the peer may announce."""
    return WireLimits(**{field.name: getattr(scenario.limits, field.name) for field in fields(WireLimits)})
