"""What this process has used of the machine."""

from __future__ import annotations

import resource
from typing import NamedTuple


class Usage(NamedTuple):
    """CPU and memory of this process."""

    cpu: float
    """Seconds, user and system."""
    memory: int
    """Resident bytes (Linux: /proc/self/statm)."""


def usage() -> Usage:
    """The figures of now."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    with open("/proc/self/statm", encoding="ascii") as file:  # noqa: PTH123  a Path costs more than the read
        resident = int(file.read().split()[1]) * resource.getpagesize()
    return Usage(used.ru_utime + used.ru_stime, resident)
