"""Who waits for whom when channels are paused, and whether anybody can ever go on.

What is known for certain: a save thread hands out a device's buffers in order of idx, and a channel delivers
in order. So a channel that has shown an idx of a device cannot bring a lower one of it any more: it has
*passed* that idx. A peer that shows a lower idx later breaks that rule, and from then on nothing is
concluded from what this channel showed of this device.

Live is the least solution of:

- a device is live if the buffer it needs next is here or being read, or if a live channel may still bring it;
- a channel that reads is live;
- a channel paused for a device's cap is live if that device is live: its progress makes room or makes the
  paused packet the needed one;
- a channel paused for the cap over all devices is live if its device is, or any live device holds bytes;
- a channel parked at a SYNC is live if every channel that has not met its SYNC yet is live.

A paused-for device that is not live will never be: nobody could make progress for it.
"""

from __future__ import annotations

import enum
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


TOLD_ONE_BY_ONE: Final = 4
"""Channels up to which an error says of each what it does; of more it says how many do what."""


class Head(NamedTuple):
    """The packet a channel is paused at."""

    device: str
    idx: int
    size: int
    """Bytes of its payload."""


class ChannelState(enum.Enum):
    """What a channel does."""

    READING = "reading"
    PAUSED = "paused"
    PARKED = "parked at its SYNC"
    ENDED = "ended"


BEFORE_SYNC = frozenset({ChannelState.READING, ChannelState.PAUSED})
"""The states of a channel that a parked one waits for."""


@dataclass(slots=True)
class Channel:
    """What is known of one channel."""

    state: ChannelState = ChannelState.READING
    head: Head | None = None
    seen: dict[str, int] = field(default_factory=dict)
    """The highest idx shown, by device."""
    unordered: set[str] = field(default_factory=set)
    """Devices of which it showed an idx after a higher one."""

    def note(self, device: str, idx: int) -> None:
        """The channel shows `idx` of `device`."""
        last = self.seen.get(device, -1)
        if idx < last:
            self.unordered.add(device)
        self.seen[device] = max(last, idx)

    def passed(self, device: str, idx: int) -> bool:
        """Whether it can certainly not bring `idx` of `device` any more."""
        if self.state is ChannelState.ENDED:
            return True
        return device not in self.unordered and self.seen.get(device, -1) >= idx


@dataclass(slots=True)
class Queue:
    """What is known of one device."""

    needed: int = 0
    """The idx to be loaded next."""
    held: int = 0
    """Bytes let in and not loaded yet; the config's do not count."""
    here: dict[int, int] = field(default_factory=dict)
    """Bytes that count by idx, for every packet let in and not loaded yet."""
    config: int | None = None
    """The config's idx, once it is here."""

    def moving(self) -> bool:
        """The buffer needed next is here or being read, so its loader will go on by itself."""
        return self.needed in self.here and self.needed != self.config


def stuck(
    channels: Mapping[int, Channel], queues: Mapping[str, Queue], for_total: Callable[[Head], bool]
) -> list[str]:
    """The devices some channel is paused for that can never go on, in order of their channels.

    Args:
        channels: all channels by number.
        queues: all devices seen so far by name.
        for_total: whether only the cap over all devices keeps a paused packet out.
    """
    wanted = dict.fromkeys(c.head.device for c in channels.values() if c.head is not None)
    doubtful = [name for name in wanted if not _plainly_live(name, queues[name], channels.values())]
    if not doubtful:
        return []
    live = _live_devices(channels, queues, for_total)
    return [name for name in doubtful if name not in live]


def _plainly_live(name: str, queue: Queue, channels: Iterable[Channel]) -> bool:
    """The common case, without looking round corners."""
    return queue.moving() or any(
        c.state is ChannelState.READING and not c.passed(name, queue.needed) for c in channels
    )


def _live_devices(
    channels: Mapping[int, Channel], queues: Mapping[str, Queue], for_total: Callable[[Head], bool]
) -> set[str]:
    """The least solution, by going round until nothing changes."""
    devices: set[str] = set()
    ways: set[int] = set()
    while True:
        before = len(devices) + len(ways)
        anybody_frees = any(queues[name].held for name in devices)
        for number, channel in channels.items():
            if _channel_live(channel, channels, devices, ways) or (
                channel.head is not None and anybody_frees and for_total(channel.head)
            ):
                ways.add(number)
        devices |= {name for name, queue in queues.items() if _device_live(name, queue, channels, ways)}
        if len(devices) + len(ways) == before:
            return devices


def _device_live(name: str, queue: Queue, channels: Mapping[int, Channel], ways: set[int]) -> bool:
    return queue.moving() or any(not channels[way].passed(name, queue.needed) for way in ways)


def _channel_live(
    channel: Channel, channels: Mapping[int, Channel], devices: set[str], ways: set[int]
) -> bool:
    if channel.head is not None:
        return channel.head.device in devices
    if channel.state is ChannelState.PARKED:
        return ways.issuperset(n for n, c in channels.items() if c.state in BEFORE_SYNC)
    return channel.state is ChannelState.READING


def story(device: str, channels: Mapping[int, Channel], queues: Mapping[str, Queue]) -> str:
    """Why `device` cannot get the idx it needs, for people: each channel, or of many how many do what."""
    needed = queues[device].needed
    if len(channels) <= TOLD_ONE_BY_ONE:
        told = ", ".join(f"channel {n} {_why(c, device, needed)}" for n, c in sorted(channels.items()))
    else:
        what = {n: _what(c, device, needed) for n, c in sorted(channels.items())}
        told = f"of the channels {_counted(what)}"
    return f"it needs idx {needed}, but {told}"


def _why(channel: Channel, device: str, needed: int) -> str:
    if channel.state is ChannelState.ENDED:
        return "has ended"
    if channel.passed(device, needed):
        return f"is past it (at idx {channel.seen[device]})"
    if channel.head is not None:
        return f"is paused at idx {channel.head.idx} of {channel.head.device}"
    return f"is {channel.state.value}"


def _what(channel: Channel, device: str, needed: int) -> str:
    passed = channel.state is not ChannelState.ENDED and channel.passed(device, needed)
    return "past it" if passed else channel.state.value


def _counted(channels: dict[int, str]) -> str:
    """How many do what, and which is the first of them."""
    first = {what: number for number, what in reversed(channels.items())}
    count = Counter(channels.values())
    return ", ".join(f"{count[what]} are {what} (the first: {n})" for what, n in reversed(first.items()))


def lost(device: str, channels: Mapping[int, Channel], queues: Mapping[str, Queue]) -> bool:
    """No channel at all may still bring the idx `device` needs: no cap is to blame."""
    return all(channel.passed(device, queues[device].needed) for channel in channels.values())
