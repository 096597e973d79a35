"""What a source writes on the main channel, in bursts.

A burst is what one read of the main socket brings: its records are queued together, and between two bursts
the stream may stall for as long as a schedule likes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, cast

from migemu.handoff.design import Carrier
from migemu.handoff.machine_types import machine_type
from migemu.lab.system_payload import CONFIG, SIZE, Piece, span_of
from migemu.wire import extension, records
from migemu.wire import mainstream as ms
from migemu.wire import vfio as words

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from migemu.handoff.design import Design
    from migemu.scenario import Scenario
    from migemu.wire.buffers import Buffer

GIC_ID = 99
FIRST_ID = 16
"""Section ids of devices count from here; ``ram`` has 2."""
RAM_ID = 2
RAM = records.Section("ram")


class Burst(NamedTuple):
    """What one read of the main socket brings."""

    label: str
    records: Callable[[], list[Any]]
    """Makes them anew for each run: a payload is given back when it was used."""


def burst(label: str, *what: Any) -> Burst:
    """A burst of records that have no payload to give back."""
    return Burst(label, lambda: list(what))


def together(label: str, bursts: Sequence[Burst]) -> Burst:
    """Several bursts that come in one read."""
    return Burst(label, lambda: [record for one in bursts for record in one.records()])


def prelude(machine: str, devices: Iterable[str]) -> tuple[Any, ...]:
    """Everything before the first round: header, CONFIGURATION, the devices' START sections."""
    found: list[Any] = [records.FileHeader(), records.Configuration(machine)]
    for number, device in enumerate(devices, FIRST_ID):
        section = records.Section(device)
        found.append(records.SectionStart(number, device, 0, 1))
        found.append(records.VfioWord(section, words.DEV_SETUP_STATE))
        found.append(records.VfioWord(section, words.END_OF_STATE))
        found.append(records.Footer(number))
    return tuple(found)


def switchover_start() -> Burst:
    """MIG_CMD_SWITCHOVER_START."""
    return burst("SWITCHOVER_START", records.Command(ms.SWITCHOVER_START, b""))


def send_non_iterable() -> Burst:
    """MIG_CMD_SEND_NON_ITERABLE, the seed's own."""
    return burst("SEND_NON_ITERABLE", records.Command(extension.CMD_SEND_NON_ITERABLE, b""))


def flush() -> Burst:
    """MULTIFD_FLUSH in a PART of RAM: the barrier word."""
    body = records.SectionPart(RAM_ID), records.RamFlush(RAM), records.RamEos(RAM), records.Footer(RAM_ID)
    return burst("FLUSH", *body)


def eof() -> Burst:
    """The end of the stream."""
    return burst("EOF", records.Eof())


def precopy_data(device: str, number: int, offset: int = 0) -> Burst:
    """A PART of a device that sends data while it runs."""

    def make() -> list[Any]:
        section = records.Section(device)
        block = cast("Buffer", Piece(span_of(f"{device} pre-copy", offset)))
        end = records.VfioWord(section, words.END_OF_STATE)
        return [
            records.SectionPart(number),
            records.VfioData(section, block),
            end,
            records.Footer(number),
        ]

    return Burst(f"pre-copy data of {device}", make)


def device_end(device: str, number: int, blocks: int = 0, size: int = SIZE) -> Burst:
    """SECTION_END of a device, with its data where that goes over the main channel."""

    def make() -> list[Any]:
        section = records.Section(device)
        spans = [cast("Buffer", Piece(span_of(device, idx, size))) for idx in range(blocks)]
        found: list[Any] = [records.SectionEnd(number), *(records.VfioData(section, one) for one in spans)]
        return [*found, records.VfioWord(section, words.END_OF_STATE), records.Footer(number)]

    return Burst(f"SECTION_END of {device}", make)


def interrupt_controller() -> Burst:
    """The platform's own non-iterable section, in front of every device's."""
    body = records.Opaque(records.Section(ms.INTERRUPT_CONTROLLER), b"gic")
    section = records.SectionFull(GIC_ID, ms.INTERRUPT_CONTROLLER, 0, 1)
    return burst("interrupt controller", section, body, records.Footer(GIC_ID))


def device_full(device: str, number: int, design: Design, count: int) -> Burst:
    """A device's own non-iterable section, with what the design puts there."""
    section = records.Section(device)
    body: list[Any] = [records.VfioWord(section, words.END_OF_STATE)]
    if design.config is Carrier.MAIN:
        body.insert(0, records.VfioConfig(section, CONFIG, sized=True))
        if design.data is Carrier.MULTIFD:
            body.insert(0, records.VfioDataCount(section, count))
    elif design.config_load_ready:
        body = [records.VfioWord(section, words.CONFIG_LOAD_READY)]
    label = f"{'CONFIG_LOAD_READY' if design.config_load_ready else 'SECTION_FULL'} of {device}"
    return burst(label, records.SectionFull(number, device, 0, 1), *body, records.Footer(number))


def main_channel(
    scenario: Scenario, design: Design, devices: Sequence[tuple[str, int]], *, fine: bool = False
) -> tuple[Burst, ...]:
    """All bursts of a scenario behind its prelude.

    Args:
        scenario: says which marks there are.
        design: says what the non-iterable sections carry.
        devices: section ids with their numbers of data buffers.
        fine: a burst for each section instead of one for each phase: more places to stall, more schedules.
    """
    size = scenario.migration.packet_size
    iterable = [device_end(name, n, _blocks(design, count), size) for n, (name, count) in _numbered(devices)]
    fulls = [device_full(name, n, design, count) for n, (name, count) in _numbered(devices)]
    phase = [send_non_iterable()] if design.send_non_iterable else []
    rest = [*phase, interrupt_controller(), *fulls]
    found = [
        *_running_phase(scenario),
        *([switchover_start()] if machine_type(scenario.machine).switchover_start else []),
        *([flush()] if scenario.ram.size else []),
    ]
    if fine:
        return (*found, *iterable, *rest, eof())
    return (*found, together("SECTION_ENDs", iterable), together("non-iterables and EOF", [*rest, eof()]))


def _running_phase(scenario: Scenario) -> list[Burst]:
    numbered = enumerate(scenario.device, FIRST_ID)
    return [precopy_data(device.section_id, number) for number, device in numbered if device.precopy]


def _numbered(devices: Sequence[tuple[str, int]]) -> Iterable[tuple[int, tuple[str, int]]]:
    return enumerate(devices, FIRST_ID)


def _blocks(design: Design, count: int) -> int:
    return count if design.data is Carrier.MAIN else 0
