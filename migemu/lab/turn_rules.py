"""Order rules that have real connections deliver in a schedule's order.

A packet waits for the event in front of it: the arrival of another, a buffer written. That is all on the
destination's side of the sockets, so any source will do. What the main channel carries waits in the same way,
but for the moment in which the schedule acts on it: before that nobody has seen it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.design import Carrier
from migemu.lab.system_traffic import buffers_of
from migemu.lab.turns import ARRIVES, BROKEN, CONFIG_BEGINS, CONTROLLER, INCOMING, OBEYS
from migemu.wire import extension, mainstream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.handoff.design import Design
    from migemu.lab.turns import Beat, Turns
    from migemu.scenario import Scenario

SETTINGS = (
    "timeouts.connect=60 s",
    "timeouts.arrival=30 s",
    "timeouts.phase=5 s",
    "timeouts.total=2 min",
    "migration.max_rounds=1",
)
"""Time limits, since a hang has to end there, and a busy machine must not look like one; one round, so that
the third SYNC is the last."""
LAST_SYNC = 3
COMMANDS = {
    mainstream.SWITCHOVER_START: "SWITCHOVER_START",
    extension.CMD_SEND_NON_ITERABLE: "SEND_NON_ITERABLE",
}
"""Commands that a schedule acts on."""


def rules_of(turns: Turns, scenario: Scenario, design: Design) -> str:
    """``[[order]]`` tables.

    Args:
        turns: the order.
        scenario: what is migrated.
        design: says what travels where.
    """
    tables = [
        *_barrier(scenario),
        *_placed(turns, scenario),
        *_packets(turns, scenario, design),
        *_main(turns, design),
    ]
    return "\n".join(tables)


def _table(name: str, kind: str, select: str, attributes: str = "") -> str:
    rows = ["[[order]]", f'name = "{name}"', f'type = "{kind}"', f"select = {{ {select} }}"]
    return "\n".join([*rows, *([f"attributes = {{ {attributes} }}"] if attributes else []), ""])


def _barrier(scenario: Scenario) -> Iterator[str]:
    """The last pass over RAM: with RAM the devices' packets come behind its SYNC, as in an exploration.

    Without RAM an exploration has no barrier there, and a real source's would tie the channels together.
    """
    for channel in range(scenario.migration.channels):
        last = f'channel = {channel}, flag = "sync", nth = {LAST_SYNC}'
        if scenario.ram.size:
            packet = f'channel = {channel}, record = "DevicePacket"'
            yield _table(f"behind-sync-{channel}", "after", packet, f"packet = {{ {last} }}")
        else:
            yield _table(f"no-sync-{channel}", "drop", last)
    if not scenario.ram.size:
        yield _table("no-flush", "drop", 'channel = "main", flag = "flush", within = "SectionEnd"')


def _placed(turns: Turns, scenario: Scenario) -> Iterator[str]:
    """Each packet on the channel on which the schedule has it."""
    if scenario.migration.channels < 2:
        return
    for number, beat in _arrivals(turns):
        yield _table(f"channel-{number}", "move", _packet(beat), f"to = {beat.channel}")


def _arrivals(turns: Turns) -> Iterator[tuple[int, Beat]]:
    return ((number, beat) for number, beat in enumerate(turns.beats) if beat.event == ARRIVES)


def _packet(beat: Beat) -> str:
    return f'device = "{beat.get("device")}", idx = {beat.get("idx")}'


def _packets(turns: Turns, scenario: Scenario, design: Design) -> Iterator[str]:
    for number, beat in _arrivals(turns):
        if number:
            yield _table(f"turn-{number}", "after", _packet(beat), f"packet = {{ {_met(turns, number)} }}")
    if design.data is not Carrier.MULTIFD or not turns.beats:
        return
    for number, device in enumerate(scenario.device):  # and what the schedule ends without
        there = {int(b.get("idx")) for _, b in _arrivals(turns) if b.get("device") == device.section_id}
        count = buffers_of(scenario, device) + (design.config is Carrier.MULTIFD)
        rest = set(range(count)) - there
        if rest:
            idx = ",".join(map(str, sorted(rest)))
            select = f'device = "{device.section_id}", idx = "{idx}"'
            until = f"packet = {{ {_met(turns, len(turns.beats))} }}"
            yield _table(f"rest-{number}", "after", select, until)


def _main(turns: Turns, design: Design) -> Iterator[str]:
    """Marks and sections wait where they are acted on; the first that never is waits for the end."""
    end = len(turns.beats)
    for name, select, place in _stops(turns, design):
        at = end if place is None else place
        if at:
            yield _table(name, "hold", f'channel = "main", {select}', f"until = {{ {_met(turns, at)} }}")
        if place is None:
            return


def _stops(turns: Turns, design: Design) -> Iterator[tuple[str, str, int | None]]:
    brought = dict(turns.brings)
    for number, name in COMMANDS.items():
        if number == mainstream.SWITCHOVER_START:
            yield name.lower(), f'command = "{name}"', turns.place(OBEYS, command=str(number))
            ends = next((at for what, at in brought.items() if what.startswith("SECTION_END")), None)
            yield "section-end", 'record = "SectionEnd", nth = 1', ends
        elif design.send_non_iterable:
            yield name.lower(), f'command = "{name}"', turns.place(OBEYS, command=str(number))
    controller = f'record = "SectionFull", section = "{mainstream.INTERRUPT_CONTROLLER}"'
    yield "interrupt-controller", controller, turns.place(CONTROLLER)
    yield from _configs(turns, design)


def _configs(turns: Turns, design: Design) -> Iterator[tuple[str, str, int]]:
    """What makes the incoming thread load a config: its section, or the end of the stream for all of them."""
    seen: set[str] = set()
    for place, beat in enumerate(turns.beats):
        device = beat.get("device") if design.config is Carrier.MAIN else "any"
        if beat.event in (CONFIG_BEGINS, BROKEN) and beat.thread == INCOMING and device not in seen:
            seen.add(device)
            section = f'record = "SectionFull", section = "{device}"'
            yield f"config-{place}", 'record = "Eof"' if device == "any" else section, place


def _met(turns: Turns, place: int) -> str:
    """The event in front of a place."""
    beat = turns.beats[place - 1]
    told = [f'event = "{beat.event}"']
    where = ["ok=false"] if beat.event == BROKEN else []
    for name, value in beat.fields:
        if name == "device":
            told.append(f'device = "{value}"')
        elif name == "idx":
            told.append(f"idx = {value}")
        else:
            where.append(f"{name}={value}")
    if where:
        told.append(f'where = "{", ".join(where)}"')
    if beat.nth > 1:
        told.append(f"nth = {beat.nth}")
    return ", ".join(told)
