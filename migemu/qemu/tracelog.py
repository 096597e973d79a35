"""What QEMU itself says of a migration: the log of its trace points, read as our events.

Debian's QEMU has its trace points built in with the ``log`` backend: ``-trace NAME`` switches one on and
``-D FILE`` collects them, a line each::

    3678@1795399692.622466:vmstate_downtime_checkpoint src-downtime-start       (10.0: thread, seconds)
    2026-11-23T02:07:57.148129Z vmstate_downtime_checkpoint src-downtime-start  (11.1: no thread)

What the words of each line mean is the table in :mod:`migemu.qemu.tracetable`. Times are the wall clock's;
they are mapped to CLOCK_MONOTONIC by the difference of the two clocks, so that they join with other logs.
"""

from __future__ import annotations

import re
import time
from datetime import datetime
from typing import TYPE_CHECKING, Final

from migemu.observe.events import Event
from migemu.qemu.traceseen import THREAD, Line, Seen
from migemu.qemu.tracetable import HANDLERS, TRACE_POINTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_OLD: Final = re.compile(r"(\d+)@(\d+\.\d+):(\w+) ?(.*)")
_NEW: Final = re.compile(r"(\d{4}-\d\d-\d\dT\S+Z) (\w+) ?(.*)")

_ROLES: Final = (("vfio_load_", "load"), ("config_", "load"), ("vfio_save_", "save"))


def arguments(path: Path, *more: str) -> list[str]:
    """QEMU's options that write the trace points wanted, and `more`, to `path`."""
    traces = [word for name in (*TRACE_POINTS, *more) for word in ("-trace", name)]
    return ["-msg", "timestamp=on", "-D", str(path), *traces]


def wall_offset() -> float:
    """CLOCK_MONOTONIC minus the wall clock, in seconds: QEMU stamps its lines with the latter."""
    return time.clock_gettime(time.CLOCK_MONOTONIC) - time.time()


def read(lines: Iterable[str], seen: Seen, offset: float) -> Iterator[Event]:
    """The events of one process's log.

    Lines of other trace points, and a last one that a kill cut short, give none.

    Args:
        lines: in the order in which they were written.
        seen: the side, what is known beforehand, and what the lines add to it.
        offset: CLOCK_MONOTONIC minus the wall clock, in seconds.
    """
    for text in lines:
        line = parse(text)
        handler = HANDLERS.get(line.point) if line else None
        if line is None or handler is None:
            continue
        try:
            said = list(handler(seen, line))
        except (ValueError, IndexError, KeyError):
            continue  # torn
        for event, fields in said:
            thread = fields.pop(THREAD, None) or _thread(event, fields)
            yield Event(line.t + offset, seen.side, thread, event, fields)


def parse(text: str) -> Line | None:
    """A line of the log taken apart; None if it is something else."""
    old = _OLD.match(text)
    if old:
        return Line(float(old[2]), old[1], old[3], tuple(old[4].split()))
    new = _NEW.match(text)
    if new is None:
        return None
    return Line(datetime.fromisoformat(new[1]).timestamp(), "", new[2], tuple(new[3].split()))


def _thread(event: str, fields: dict[str, object]) -> str:
    """A name for the thread: QEMU's numbers say nothing to people, and 11.1 has none."""
    device = fields.get("device")
    for prefix, name in _ROLES:
        if device and event.startswith(prefix):
            return f"{name} {device}"
    return f"channel {fields['channel']}" if "channel" in fields else "migration"
