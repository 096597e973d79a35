"""Order rules that cannot mean anything, each with what to change."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Final

from migemu.scenario.order import Select, Until, parse_numbers
from migemu.scenario.order_names import TYPES
from migemu.scenario.problem import KeyPath, Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.scenario.model import Scenario
    from migemu.scenario.order import Order

MAX_RULES: Final = 1000
"""Each packet asks every rule of its stream."""


def order_problems(scenario: Scenario) -> Iterator[Problem]:
    """Everything that is wrong with a scenario's rules."""
    if len(scenario.order) > MAX_RULES:
        yield Problem(("order",), f"{len(scenario.order)} rules; at most {MAX_RULES} are possible")
    yield from _names(scenario)
    for number, order in enumerate(scenario.order):
        path: KeyPath = ("order", number)
        yield from _attributes(order, path)
        yield from _places(order, path)
        for key, select in _selects(order):
            yield from _exists(scenario, select, (*path, *key))
        yield from _until(scenario, order, order.attributes.until, (*path, "attributes", "until"))
        yield from _until(scenario, order, order.attributes.packet, (*path, "attributes", "packet"))


def _names(scenario: Scenario) -> Iterator[Problem]:
    seen: dict[str, int] = {}
    for number, order in enumerate(scenario.order):
        if order.name in seen:
            text = f'order.{seen[order.name]} is called "{order.name}" already'
            yield Problem(("order", number, "name"), text)
        seen.setdefault(order.name, number)


def _given(order: Order) -> set[str]:
    """Attributes that say something."""
    attributes = order.attributes
    fields = type(attributes).model_fields
    return {name for name, field in fields.items() if getattr(attributes, name) != field.default}


def _attributes(order: Order, path: KeyPath) -> Iterator[Problem]:
    kind, given = TYPES[order.type], _given(order)
    for name in sorted(given - kind.needs - kind.takes):
        takes = ", ".join(sorted(kind.needs | kind.takes)) or "none"
        yield Problem((*path, "attributes", name), f"{order.type} has no such attribute; it takes: {takes}")
    for name in sorted(kind.needs - given):
        yield Problem((*path, "attributes"), f"{order.type} needs the attribute {name}")
    attributes = order.attributes
    if attributes.value and attributes.xor:
        yield Problem((*path, "attributes", "xor"), "give value or xor, not both")
    if attributes.at is not None and attributes.size is not None:
        yield Problem((*path, "attributes", "size"), "give at or size, not both")
    if attributes.size == 0:
        yield Problem((*path, "attributes", "size"), "a piece has at least one byte")
    if order.type == "delay" and not attributes.latency and not attributes.jitter:
        yield Problem((*path, "attributes"), "delay needs latency or jitter")


def _places(order: Order, path: KeyPath) -> Iterator[Problem]:
    """Types and keys that only some streams have."""
    connects = order.select.record == "Connect"
    if order.type == "refuse" and not connects:
        yield Problem((*path, "select"), 'only a connection can be refused: record = "Connect"')
    if order.stream == "return" and (connects or order.type in ("refuse", "move")):
        yield Problem((*path, "stream"), "the return path has no connection of its own")
    if order.select.message and order.stream != "return":
        yield Problem((*path, "select", "message"), 'messages are on the return path: stream = "return"')
    if order.stream == "in" and connects and order.select.channel:
        text = "when it is accepted nobody knows yet which channel it is; use nth, or the record Hello"
        yield Problem((*path, "select", "channel"), text)
    if connects and order.type in ("move", "corrupt", "slice", "truncate"):
        yield Problem((*path, "type"), f"a connection has no bytes to {order.type}; select the Hello")


def _selects(order: Order) -> Iterator[tuple[KeyPath, Select]]:
    yield ("select",), order.select
    yield ("attributes", "until"), order.attributes.until
    yield ("attributes", "packet"), order.attributes.packet
    for number, select in enumerate(order.attributes.order):
        yield ("attributes", "order", number), select


def _exists(scenario: Scenario, select: Select, path: KeyPath) -> Iterator[Problem]:
    """Channels and devices that this migration does not have: such a rule never fires."""
    most = scenario.migration.channels
    numbers = parse_numbers(select.channel) or ()
    if any(first >= most for first, _ in numbers):
        yield Problem((*path, "channel"), f"there are channels 0 to {most - 1}, main and multifd")
    known = [name for device in scenario.device for name in (device.id, device.section_id)]
    if select.device and known and not any(fnmatchcase(name, select.device) for name in known):
        text = f"no device is called {select.device!r}; there is {', '.join(known[::2][:8])}"
        yield Problem((*path, "device"), text)
    if select.nth and any(first == 0 for first, _ in parse_numbers(select.nth) or ()):
        yield Problem((*path, "nth"), "counts from 1")


def _until(scenario: Scenario, order: Order, until: Until, path: KeyPath) -> Iterator[Problem]:
    if until.where and not until.event:
        yield Problem((*path, "where"), "belongs to an event")
    if any("=" not in part for part in until.where.split(",") if until.where):
        yield Problem((*path, "where"), "is written as name=value, with commas between")
    if until.rule and until.event:
        yield Problem((*path, "rule"), "give rule or event, not both")
    others = {other.name for other in scenario.order if other is not order}
    if until.rule and until.rule not in others:
        yield Problem((*path, "rule"), f"no other rule is called {until.rule!r}")
