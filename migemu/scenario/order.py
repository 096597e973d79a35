"""``[[order]]``: rules that force an order, or a fault, on real sockets.

A rule selects packets and acts on them; `migemu.link.order` carries it out. The docstring under each field is
its description in the JSON Schema.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final

from pydantic import BaseModel, BeforeValidator, Field, WithJsonSchema

from migemu.scenario import order_names as names
from migemu.scenario.device import STRICT
from migemu.scenario.quantity import OneOf, OptionalSize, OptionalTime, Time, refuse

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import core_schema

Ranges = tuple[tuple[int, int | None], ...]
"""Pairs of first and last number, both included; None has no end."""

_PART: Final = re.compile(r"(\d{1,10})(-(\d{1,10})?)?")


def parse_numbers(text: str) -> Ranges | None:
    """Read ``3``, ``0-4``, ``2-`` or several of them with commas between; None when it is none of these.

    A range that runs backwards is none: nothing is in it, and a rule that never acts is no rule.
    """
    ranges = []
    for part in text.replace(" ", "").split(","):
        match = _PART.fullmatch(part)
        if match is None:
            return None
        first = int(match[1])
        last = first if match[2] is None else None if match[3] is None else int(match[3])
        if last is not None and last < first:
            return None
        ranges.append((first, last))
    return tuple(ranges)


def _read_numbers(value: object) -> object:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    if isinstance(value, str) and (not value or parse_numbers(value) is not None):
        return value
    raise refuse(f'{value!r} is not a number or a range like 3, "0-4", "2-" or "0,2,5"')


def _read_channel(value: object) -> object:
    if value in ("main", "multifd"):
        return value
    try:
        return _read_numbers(value)
    except ValueError:
        raise refuse(f'{value!r} is not "main", "multifd", or channel ids like 1 or "0,2"') from None


def _read_value(value: object) -> object:
    """A number in any base, ``hex:00ff`` for bytes, anything else as text."""
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return str(value)
    return value


_NUMBERS_SCHEMA = WithJsonSchema({"anyOf": [{"type": "integer", "minimum": 0}, {"type": "string"}]})
Numbers = Annotated[str, BeforeValidator(_read_numbers), _NUMBERS_SCHEMA]
Channels = Annotated[str, BeforeValidator(_read_channel), _NUMBERS_SCHEMA]
Value = Annotated[str, BeforeValidator(_read_value), _NUMBERS_SCHEMA]


class _Choice(OneOf):
    """A name out of a list, or nothing."""

    def read(self, value: object) -> str:
        """Accept a known name, or none at all."""
        return "" if value == "" else super().read(value)

    def __get_pydantic_json_schema__(
        self, _schema: core_schema.CoreSchema, _handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"type": "string", "enum": ["", *self.known]}


def _one_of(noun: str, known: Iterable[str]) -> OneOf:
    return _Choice(noun, tuple(known))


class Sparse(BaseModel):
    """Tables of which only what differs from the defaults is written."""

    model_config = STRICT


class Select(Sparse):
    """Which packets. What is left out is not asked for; an empty table selects everything."""

    channel: Channels = ""
    """main, multifd (any of them), or channel ids: 0, "0-3", "1,3"."""
    device: str = ""
    """A device's id or section id; * and ? stand for anything."""
    idx: Numbers = ""
    """Index of a device packet: 0, "0-3", "2-"."""
    flag: Annotated[str, _one_of("flag", names.FLAGS)] = ""
    """config or data (device packets), sync or ram (RAM packets), flush or eos (barrier words)."""
    record: Annotated[str, _one_of("record", names.RECORDS)] = ""
    """What it is, as migemu decode prints it, for example DevicePacket, Hello, SectionFull, Connect."""
    command: Annotated[str, _one_of("command", names.COMMANDS)] = ""
    """A command of the main channel, for example SWITCHOVER_START."""
    mark: Annotated[str, _one_of("mark", names.MARKS)] = ""
    """A VFIO word of the main channel, for example CONFIG_LOAD_READY."""
    message: Annotated[str, _one_of("message", names.MESSAGES)] = ""
    """A message of the return path, for example SHUT."""
    section: str = ""
    """Section of the main channel it belongs to, for example ram; * and ? stand for anything."""
    within: Annotated[str, _one_of("section record", names.SECTIONS)] = ""
    """The record that opened the section it belongs to, for example SectionEnd."""
    nth: Numbers = ""
    """Of those that fit all the rest, the first, second, ...: 1, "2-", "1,3"."""


class Until(Select):
    """What is waited for: an event of this side, a packet that passes, or another rule."""

    event: Annotated[str, Field(max_length=100)] = ""
    """An event's name; device, channel, idx and where then say which."""
    where: str = ""
    """Further fields of the event: "checkpoint=dst-precopy-bh-enter, round=2"."""
    rule: str = ""
    """The name of another rule of this side: until it has fired and its packet has gone."""
    stream: Annotated[str, _one_of("stream", names.STREAMS)] = ""
    """Stream of the packet; the rule's own if left out."""


class Attributes(Sparse):
    """What the rule's type needs to know; which of them a type takes is in docs/order-rules.md."""

    until: Until = Until()
    """hold: what is waited for."""
    packet: Until = Until()
    """after, before: the other packet."""
    timeout: OptionalTime = None
    """hold, after, before, sequence: wait no longer, then let it pass; half of timeouts.phase if left out.
    stall: close the connection then; never if left out."""
    latency: Time = 0.0
    """delay: how long."""
    jitter: Time = 0.0
    """delay: up to so much more, at random from the seed."""
    order: Annotated[tuple[Select, ...], Field(strict=False)] = ()
    """sequence: the packets, in the order in which they are delivered."""
    to: Annotated[int | None, Field(ge=0, le=254)] = None
    """move: the multifd channel it goes to."""
    copies: Annotated[int, Field(ge=1, le=1000)] = 1
    """duplicate: how many more."""
    field: str = ""
    """corrupt: a field of the record, for example idx; data is the payload."""
    offset: OptionalSize = None
    """corrupt: bytes from the field's first byte, without a field from the packet's."""
    value: Value = ""
    """corrupt: what to write: a number, text, or hex:00ff."""
    xor: Value = ""
    """corrupt: what to flip: a number or hex:01. Without value and xor one bit is flipped, at random."""
    at: OptionalSize = None
    """slice: cut here, into two pieces."""
    size: OptionalSize = None
    """slice: bytes of a piece; 1 if neither at nor size is given."""
    pause: Time = 0.0
    """slice: time between two pieces."""
    bytes: OptionalSize = None
    """truncate: bytes that are delivered."""
    how: Annotated[str, _one_of("way to end a connection", names.ENDS)] = "whole"
    """close, truncate: whole, half (nothing more is sent, answers still pass) or reset."""
    when: Annotated[str, _one_of("place", ("before", "after"))] = "after"
    """close: before or after the packet."""


class Order(BaseModel):
    """One rule."""

    model_config = STRICT

    name: Annotated[str, Field(max_length=60, pattern=r"^[A-Za-z0-9_.:-]*$")] = ""
    """What events and errors call it; its type and number if left out."""
    type: Annotated[str, OneOf("type of order rule", tuple(names.TYPES))]
    """What it does."""
    stream: Annotated[str, OneOf("stream", names.STREAMS)] = "in"
    """in: what arrives at the destination. out: what the source sends. return: what the destination
    answers."""
    toxicity: Annotated[float, Field(ge=0, le=1)] = 1.0
    """Part of the selected packets it acts on, chosen from the seed."""
    required: bool = False
    """Whether the run fails when the rule never fired, or what it waited for never came."""
    select: Select = Select()
    """Which packets."""
    attributes: Attributes = Attributes()
    """What the type needs to know."""


def named_orders(orders: Iterable[Order]) -> tuple[Order, ...]:
    """Give every rule a name: drop-1 is the first rule, if it drops."""
    return tuple(
        order if order.name else order.model_copy(update={"name": f"{order.type}-{number}"})
        for number, order in enumerate(orders, start=1)
    )
