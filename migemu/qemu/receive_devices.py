"""Devices that only the stream names, and the hand-off that is chosen once loading may begin.

A real QEMU destination has its devices before the migration comes. Here they are made when their sections
begin; what a scenario says of one by that name (speeds, times, where to keep it) holds. Until the switchover
nothing depends on the hand-off, so it is chosen there, by what the source then does.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from migemu.errors import UsageError
from migemu.handoff import HANDOFFS
from migemu.handoff.base import Handoff
from migemu.handoff.choice import for_machine
from migemu.handoff.design import Carrier, Design, Loader
from migemu.handoff.main_channel import MainChannel
from migemu.handoff.models import device_models
from migemu.qemu.receive_keep import KeepingDevice
from migemu.vfio.content import digest_maker
from migemu.vfio.datafd import open_sink
from migemu.vfio.model import DeviceModel, Platform

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.qemu.receive_keep import Keep
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads
    from migemu.threads.sync import Bql
    from migemu.vfio.load import LoadDevice


class Gathering(Handoff):
    """Before the switchover: pre-copy data is written as it comes, packets wait in their device's queue."""

    design = Design(
        name="gathering",
        summary="no hand-off yet: the source decides at the switchover what travels where",
        switchover_start=False,
        since="0.0",
    )


def from_qemu(design: Design) -> bool:
    """Whether that design can act on what a QEMU sends over multifd: data and config, and no mark of ours."""
    told = design.config is Carrier.MULTIFD and not design.send_non_iterable
    return told and design.data is Carrier.MULTIFD and design.data_loader is Loader.LOAD_THREAD


USABLE: Final = (
    MainChannel.design.name,
    *(name for name, one in HANDOFFS.items() if from_qemu(one.design)),
)
"""Hand-offs that work with a source that is a QEMU."""


def check_usable(name: str) -> None:
    """Refuse a hand-off that a QEMU does not speak.

    Raises:
        UsageError: it is one.
    """
    if name not in USABLE:
        raise UsageError(
            f"hand-off {name} needs a source that is migemu; with a QEMU: {', '.join(sorted(USABLE))}"
        )


def chosen(name: str, machine: str, *, multifd: bool) -> type[Handoff]:
    """The hand-off that runs.

    Args:
        name: the one asked for.
        machine: the source's machine type.
        multifd: the source announced device state over multifd (SWITCHOVER_START, and there are channels).
    """
    return for_machine(name, machine) if multifd else MainChannel


class Devices:
    """Makes the destination's devices.

    Args:
        scenario: may say what a device is like.
        threads: the concurrency seam.
        keep: where loaded state is to be kept, if anywhere.

    Attributes:
        platform: x86, where config may be loaded at any time; the hand-off says whether under the BQL.
    """

    def __init__(self, scenario: Scenario, threads: Threads, keep: Keep | None = None) -> None:
        self._threads = threads
        self._keep = keep
        self.platform = Platform(needs_interrupt_controller=False)
        self._digest = digest_maker(scenario.digest)
        self._models = {model.name: model for model in device_models(scenario)}
        self._paths: dict[str, Path | None] = {one.section_id: one.keep for one in scenario.device}

    def make(self, name: str, instance: int, bql: Bql) -> LoadDevice:
        """The device called `name` in the stream."""
        model = replace(self._models.get(name) or DeviceModel(name), instance=instance)
        path = self._keep.device(name, "state") if self._keep is not None else self._paths.get(name)
        device = KeepingDevice(model, open_sink(path), self._threads, bql.lock, self.platform, self._digest)
        device.keep = self._keep
        return device
