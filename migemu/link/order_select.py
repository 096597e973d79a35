"""From what a rule's table says to a question that each packet, or event, answers with yes or no."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from migemu.scenario.order import Until, parse_numbers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from migemu.link.order_item import Channel, Item
    from migemu.scenario.order import Ranges, Select

    Question = Callable[[Item], bool]


def within(ranges: Ranges, number: int) -> bool:
    """Whether `number` is in one of the ranges."""
    return any(first <= number and (last is None or number <= last) for first, last in ranges)


def matcher(select: Select, stream: str) -> Question:
    """Whether an item is one of those selected; `nth` is not looked at."""
    questions: list[Question] = [lambda item: item.stream == stream]
    questions += [question for key, make in _KEYS.items() if (question := _asked(select, key, make))]
    return lambda item: all(question(item) for question in questions)


def _asked(select: Select, key: str, make: Callable[[str], Question]) -> Question | None:
    value = getattr(select, key)
    return make(value) if value else None


def _channel(text: str) -> Question:
    return lambda item: channel_fits(text, item.channel)


def channel_fits(text: str, channel: Channel) -> bool:
    """Whether `channel` is what a rule calls `text`: main, multifd, or ids."""
    if not isinstance(channel, int):
        return channel == text
    return text == "multifd" or within(parse_numbers(text) or (), channel)


def device_fits(text: str, device: str) -> bool:
    """Whether `device`, a section id, is what a rule calls `text`: that, or the bus id; with * and ?."""
    return bool(device) and (fnmatchcase(device, text) or fnmatchcase(device.removesuffix("/vfio"), text))


def _idx(text: str) -> Question:
    ranges = parse_numbers(text) or ()
    return lambda item: item.idx is not None and within(ranges, item.idx)


def _name_of(record: str) -> Callable[[str], Question]:
    return lambda text: lambda item: item.record == record and item.name == text


_KEYS: dict[str, Callable[[str], Question]] = {
    "channel": _channel,
    "device": lambda text: lambda item: device_fits(text, item.device),
    "idx": _idx,
    "flag": lambda text: lambda item: text in item.flags,
    "record": lambda text: lambda item: item.record == text,
    "command": _name_of("Command"),
    "mark": _name_of("VfioWord"),
    "message": _name_of("Message"),
    "section": lambda text: lambda item: fnmatchcase(item.section, text),
    "within": lambda text: lambda item: item.within == text,
}


class Counter:
    """Asks a question of everything that comes, and counts the yeses: `nth` chooses among them."""

    def __init__(self, nth: str) -> None:
        self._ranges = parse_numbers(nth) if nth else None
        self.count = 0

    def hit(self) -> bool:
        """One more fits the rest: is it one of those meant?"""
        self.count += 1
        return self._ranges is None or within(self._ranges, self.count)


def selector(select: Select, stream: str) -> Question:
    """Whether an item is selected; to be asked once of each item, because it counts."""
    fits, counter = matcher(select, stream), Counter(select.nth)
    return lambda item: fits(item) and counter.hit()


def event_matcher(until: Until) -> Callable[[Mapping[str, Any]], bool]:
    """Whether an event with these fields is the one waited for; asked once of each, because it counts."""
    wanted = dict(part.split("=", 1) for part in until.where.split(",") if "=" in part)
    wanted = {name.strip(): value.strip() for name, value in wanted.items()}
    counter, ranges = Counter(until.nth), parse_numbers(until.idx) if until.idx else None

    def fits(fields: Mapping[str, Any]) -> bool:
        return (
            (not until.device or device_fits(until.device, str(fields.get("device", ""))))
            and (not until.channel or channel_fits(until.channel, fields.get("channel")))
            and (ranges is None or within(ranges, int(fields.get("idx", -1))))
            and all(_said(fields.get(name)) == value for name, value in wanted.items())
            and counter.hit()
        )

    return fits


def _said(value: object) -> str:
    """A field's value as people write it."""
    return str(value).lower() if isinstance(value, bool) else str(value)
