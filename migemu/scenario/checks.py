"""Combinations that cannot work, each with what to change.

Every check is a generator of problems over a scenario whose fields are valid one by one; `CHECKS` lists
them. Nothing here looks at a file: see :mod:`migemu.scenario.files`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from migemu.scenario.names import MAX_DEVICES, MAX_IDX, VFIO_HEADER_SIZE
from migemu.scenario.order_checks import order_problems
from migemu.scenario.problem import KeyPath, Problem, dotted
from migemu.scenario.units import format_size

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from migemu.scenario.model import Scenario


def combinations(scenario: Scenario) -> list[Problem]:
    """Everything about `scenario` that cannot work, in the order of its sections."""
    return [problem for check in CHECKS for problem in check(scenario)]


def _ram_is_whole_pages(scenario: Scenario) -> Iterator[Problem]:
    ram = scenario.ram
    if ram.file is None and ram.size % ram.page_size:
        near = format_size(ram.size // ram.page_size * ram.page_size)
        yield Problem(
            ("ram", "size"), f"{format_size(ram.size)} is not a multiple of the 4 KiB page; {near} is"
        )


def _working_set_fits(scenario: Scenario) -> Iterator[Problem]:
    ram = scenario.ram
    if ram.file is None and ram.working_set is not None and ram.working_set > ram.size:
        both = f"{format_size(ram.working_set)} is more than ram.size, {format_size(ram.size)}"
        yield Problem(("ram", "working_set"), f'{both}; make it smaller, or "unlimited" for all of RAM')


def _ack_has_a_way_back(scenario: Scenario) -> Iterator[Problem]:
    if scenario.migration.switchover_ack and not scenario.migration.return_path:
        yield Problem(
            ("migration", "switchover_ack"), "the ack travels on the return path; set return_path = true"
        )


def _packets_fit(scenario: Scenario) -> Iterator[Problem]:
    """A packet must be accepted by the receiver and fit each queue, or the first one ends the migration."""
    packet, limits = scenario.migration.packet_size, scenario.limits
    shown = format_size(packet)
    if packet + VFIO_HEADER_SIZE > limits.max_payload:
        most = format_size(limits.max_payload)
        yield Problem(
            ("migration", "packet_size"),
            f"{shown} with its 12-byte header is more than limits.max_payload, {most}",
        )
    for name, cap in (("queue_per_device", limits.queue_per_device), ("queue_total", limits.queue_total)):
        if cap is not None and cap < packet:
            text = (
                f"{format_size(cap)} is less than one packet; make it at least migration.packet_size, {shown}"
            )
            yield Problem(("limits", name), text)


def _every_channel_may_connect(scenario: Scenario) -> Iterator[Problem]:
    needed = scenario.migration.channels + 1
    if scenario.limits.max_connections < needed:
        text = f"{scenario.limits.max_connections} is too few for the main and {needed - 1} multifd channels"
        yield Problem(("limits", "max_connections"), f"{text}; make it at least {needed}")
    if scenario.limits.max_unfinished < needed:
        text = f"a source's {needed} connections may come at once; make it at least {needed}"
        yield Problem(("limits", "max_unfinished"), text)


def _device_count(scenario: Scenario) -> Iterator[Problem]:
    if len(scenario.device) > MAX_DEVICES:
        yield Problem(("device",), f"{len(scenario.device)} devices; at most {MAX_DEVICES} are possible")


def _ids_differ(scenario: Scenario) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for i, device in enumerate(scenario.device):
        if device.id in seen:
            other = seen[device.id]
            yield Problem(
                ("device", i, "id"), f'device.{other} is called "{device.id}" already; {{n}} in an id counts'
            )
        seen.setdefault(device.id, i)


def _files_differ(scenario: Scenario) -> Iterator[Problem]:
    """No file may be written twice, or be written while it is read."""
    inputs: list[tuple[KeyPath, object]] = [(("ram", "file"), scenario.ram.file)]
    for i, device in enumerate(scenario.device):
        inputs += [(("device", i, "state"), device.state), (("device", i, "config"), device.config)]
    used = {os.path.realpath(str(path)): key for key, path in inputs if path is not None}
    for i, device in enumerate(scenario.device):
        if device.keep is None:
            continue
        other = used.setdefault(os.path.realpath(device.keep), ("device", i, "keep"))
        if other != ("device", i, "keep"):
            text = f"{device.keep} is {dotted(other)} already; name another file, {{id}} in it helps"
            yield Problem(("device", i, "keep"), text)


def _precopy_is_complete(scenario: Scenario) -> Iterator[Problem]:
    for i, device in enumerate(scenario.device):
        if not device.precopy:
            given = ("initial_size", "precopy_size", "precopy_dirty_rate")
            for name in (name for name in given if getattr(device, name)):
                text = "has no meaning without pre-copy; set precopy = true, or leave it out"
                yield Problem(("device", i, name), text)
        elif "initial_size" not in device.model_fields_set:
            text = 'a device with pre-copy needs initial_size; "0 B" if it has none'
            yield Problem(("device", i, "initial_size"), text)
        elif device.precopy_size and device.initial_size > device.precopy_size:
            sizes = f"{format_size(device.initial_size)} is more than precopy_size, "
            text = f"{sizes}{format_size(device.precopy_size)}, which includes it"
            yield Problem(("device", i, "initial_size"), text)


def _states_fit(scenario: Scenario) -> Iterator[Problem]:
    packet, most = scenario.migration.packet_size, scenario.limits.max_payload
    for i, device in enumerate(scenario.device):
        if device.state is None and device.state_size > packet * (MAX_IDX - 1):
            text = (
                f"{format_size(device.state_size)} in packets of {format_size(packet)} is beyond a 32-bit idx"
            )
            yield Problem(("device", i, "state_size"), f"{text}; make migration.packet_size larger")
        if device.config is None and device.config_size + VFIO_HEADER_SIZE > most:
            text = f"{format_size(device.config_size)} travels in one packet; limits.max_payload is "
            yield Problem(("device", i, "config_size"), text + format_size(most))


CHECKS: tuple[Callable[[Scenario], Iterator[Problem]], ...] = (
    _ram_is_whole_pages,
    _working_set_fits,
    _ack_has_a_way_back,
    _packets_fit,
    _every_channel_may_connect,
    _device_count,
    _ids_differ,
    _files_differ,
    _precopy_is_complete,
    _states_fit,
    order_problems,
)
