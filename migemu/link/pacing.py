"""A slower link than the machine has: one shared budget, a ceiling for each channel, a delay.

The arithmetic knows no clock: it is told the time and answers with seconds. Each rate is a line on which
bytes are booked one behind the other; a packet is through when the last of its bytes is, on the link's line
and on its channel's. What is booked while the line is busy queues, as it would in a network card.

Sleeps end late. A line that stood idle for up to `SLACK` seconds is therefore booked as if it had not:
otherwise every late wake-up would be bandwidth lost for good. More than that is never made up for, so a
pause does not earn a burst.

The kernel can do the ceiling of a channel better than a program can: `set_max_pacing_rate`.
"""

from __future__ import annotations

import socket
import struct
import sys
from typing import NamedTuple

from migemu.errors import ConfigError

SO_MAX_PACING_RATE = 47
"""``asm-generic/socket.h``; Python's socket module does not name it."""

SLACK = 0.005
"""Seconds of a line's idle time that may be made up for."""

_NO_LIMIT = (1 << 64) - 1


class Slot(NamedTuple):
    """When a packet is where. Times are those of the caller's clock, in seconds."""

    sent: float
    """The line has taken the last byte; the sender may go on."""
    arrived: float
    """The last byte reaches the other side."""


class Line:
    """Bytes one behind the other at `rate` bytes/s; None = as fast as they come."""

    def __init__(self, rate: float | None) -> None:
        if rate is not None and rate <= 0:
            raise ConfigError(f"a link rate of {rate:g} bytes/s never ends; leave it out for no limit")
        self.rate = rate
        self._free: float | None = None

    def book(self, now: float, size: int) -> float:
        """Book `size` bytes at time `now`; the time, not before `now`, at which the last is through."""
        if self.rate is None:
            return now
        start = now if self._free is None else max(self._free, now - SLACK)
        self._free = start + size / self.rate
        return max(self._free, now)


class Pacer:
    """A link with N channels.

    Not locked: whoever shares one between threads holds a lock around `slot`.

    Args:
        rate: bytes/s of all channels together; None = no limit.
        per_channel: bytes/s of each channel; None = no limit.
        delay: seconds every byte is under way. It takes nothing from the throughput.

    Raises:
        ConfigError: a rate of 0 or less, or a negative delay.
    """

    def __init__(self, rate: float | None, per_channel: float | None = None, delay: float = 0.0) -> None:
        if delay < 0:
            raise ConfigError(f"a link delay of {delay:g} s lets bytes arrive before they are sent")
        self._link = Line(rate)
        self._per_channel = Line(per_channel).rate
        self._channels: dict[int | str, Line] = {}
        self._delay = delay

    def slot(self, now: float, size: int, channel: int | str = "main") -> Slot:
        """Book `size` bytes of `channel` at time `now`."""
        line = self._channels.get(channel)
        if line is None:
            line = self._channels[channel] = Line(self._per_channel)
        sent = max(self._link.book(now, size), line.book(now, size))
        return Slot(sent, sent + self._delay)

    def delay(self, now: float, size: int, channel: int | str = "main") -> float:
        """Seconds from `now` until the link has taken `size` bytes of `channel`: how long to sleep."""
        return self.slot(now, size, channel).sent - now


def set_max_pacing_rate(sock: socket.socket, rate: float | None) -> None:
    """Have the kernel send no more than `rate` bytes/s on `sock`; None lifts the limit.

    TCP paces by itself since Linux 4.13; no queueing discipline and no privilege is needed. The rate is
    that of one socket's sending, so it bounds each channel and not their sum.

    Raises:
        ConfigError: a rate below 1 byte/s, or a kernel that cannot pace.
    """
    if rate is not None and rate < 1:
        raise ConfigError(f"a channel cannot be paced at {rate:g} bytes/s; leave it out for no limit")
    if sys.platform != "linux":
        raise ConfigError("per-channel pacing by the kernel needs Linux; leave per_channel out")
    # Eight bytes, for rates over 34 Gbit/s; kernels before 5.0 read the low four, on little-endian machines.
    value = struct.pack("=Q", _NO_LIMIT if rate is None else int(rate))
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_MAX_PACING_RATE, value)
    except OSError as error:
        raise ConfigError(f"sockets cannot be paced: {error.strerror}; leave per_channel out") from None
