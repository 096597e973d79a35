"""What QEMU itself says of a migration: its trace points, read from its log as our events.

Debian's QEMU has its trace points built in with the ``log`` backend: ``-trace NAME`` switches them on and
``-D FILE`` collects them, one line each::

    3678@1795399692.622466:vmstate_downtime_checkpoint src-downtime-start       (10.0: thread, seconds)
    2026-11-23T02:07:57.148129Z vmstate_downtime_checkpoint src-downtime-start  (11.1: no thread)

The names are ours already (``observe/catalogue.py`` took them from there); this file is the table of what each
line's words mean. Times are the wall clock's and are mapped to CLOCK_MONOTONIC by the difference of the two
clocks when the run began.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from migemu.observe.events import Event

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from pathlib import Path

PACKET_HEADER: Final = 1344
"""Bytes of a multifd RAM or SYNC packet before its pages."""

SYNC: Final = 1
"""The packet flag of a barrier packet."""

WANTED: Final = (
    "migrate_set_state",
    "migration_bitmap_sync_end",
    "multifd_recv_new_channel",
    "multifd_recv_sync_main*",
    "multifd_recv_thread_*",
    "multifd_recv_unfill",
    "multifd_send_fill",
    "multifd_send_ram_fill",
    "multifd_send_sync_main",
    "vfio_load_bufs_thread_*",
    "vfio_load_device_config_state_*",
    "vfio_load_state_device_buffer_*",
    "vfio_migration_set_device_state",
    "vfio_save_complete_precopy_thread_*",
    "vfio_save_setup",
    "vmstate_downtime_checkpoint",
)
"""The trace points to switch on."""

Fields = dict[str, Any]
Row = tuple[str, float, str]

_OLD: Final = re.compile(r"(\d+)@(\d+\.\d+):(\w+) ?(.*)")
_NEW: Final = re.compile(r"(\d{4}-\d\d-\d\dT\S+Z) (\w+) ?(.*)")
_DEVICE: Final = re.compile(r"\((\S+?)\)")


def arguments(path: Path) -> list[str]:
    """QEMU's options that write the trace points wanted to `path`."""
    traces = [word for name in WANTED for word in ("-trace", name)]
    return ["-msg", "timestamp=on", "-D", str(path), *traces]


@dataclass(slots=True)
class Reader:
    """Turns one process's trace lines into events.

    Args:
        side: ``source`` or ``destination``.
        sections: QEMU's name of a VFIO device (the last part of its sysfsdev) to its section id.
        offset: CLOCK_MONOTONIC minus the wall clock, in seconds.
        sizes: bytes of a device's packet by (section, idx), as its source device gave them.
    """

    side: str
    sections: Mapping[str, str]
    offset: float
    sizes: Mapping[tuple[str, int], int] = field(default_factory=dict)
    _channels: dict[str, int] = field(default_factory=dict)
    """Receive threads to their channels; a thread's id is only in old lines."""
    _queued: dict[str, int] = field(default_factory=dict)
    _loaded: dict[str, int] = field(default_factory=dict)
    _config: dict[str, float] = field(default_factory=dict)
    _rounds: int = 0
    _syncs: int = 0
    _pages: list[int] = field(default_factory=lambda: [0, 0, 0])
    """Normal pages, zero pages and packets since the last dirty bitmap."""

    def read(self, lines: Iterable[str]) -> Iterator[Event]:
        """The events of `lines`; lines of unknown trace points, and those torn by a kill, give none."""
        for line in lines:
            found = _parse(line)
            handler = _HANDLERS.get(found[1]) if found else None
            if found is None or handler is None:
                continue
            (thread, wall), _, rest = found
            try:
                for event, fields in handler(self, rest, (thread, wall + self.offset, rest)):
                    yield Event(wall + self.offset, self.side, _thread(event, fields), event, fields)
            except (ValueError, IndexError, KeyError, AttributeError):
                continue  # a last line cut short

    def device(self, rest: str) -> str:
        """The section id of the device a line names: ``(device0)``."""
        named = _DEVICE.search(rest)
        return self.sections[named[1]] if named else ""


def _parse(line: str) -> tuple[tuple[str, float], str, str] | None:
    old = _OLD.match(line)
    if old:
        return (old[1], float(old[2])), old[3], old[4]
    new = _NEW.match(line)
    return (("", datetime.fromisoformat(new[1]).timestamp()), new[2], new[3]) if new else None


def _number(rest: str, before: str) -> int:
    """The number after the word `before`."""
    words = rest.split()
    return int(words[words.index(before) + 1], 0)


_ROLES: Final = (("vfio_load_", "load"), ("bql_held", "load"), ("vfio_save_", "save"), ("config_", "load"))


def _thread(event: str, fields: Fields) -> str:
    """A name for the thread: QEMU's ids say nothing to people, and 11.1 has none."""
    for prefix, name in _ROLES:
        if event.startswith(prefix) and fields.get("device", fields.get("holder")):
            return f"{name} {fields.get('device', fields.get('holder'))}"
    if "channel" in fields:
        return f"channel {fields['channel']}"
    return "migration"


Handler = "Callable[[Reader, str, Row], Iterator[tuple[str, Fields]]]"


def _named(event: str, field_name: str) -> Callable[[Reader, str, Row], Iterator[tuple[str, Fields]]]:
    """A line whose last word is one field."""

    def handle(_: Reader, rest: str, __: Row) -> Iterator[tuple[str, Fields]]:
        yield event, {field_name: rest.split()[-1]}

    return handle


def _numbered(event: str, word: str) -> Callable[[Reader, str, Row], Iterator[tuple[str, Fields]]]:
    """A line with the number of a channel after `word`."""

    def handle(_: Reader, rest: str, __: Row) -> Iterator[tuple[str, Fields]]:
        yield event, {"channel": _number(rest, word)}

    return handle


def _of_device(event: str) -> Callable[[Reader, str, Row], Iterator[tuple[str, Fields]]]:
    """A line that says that something happened to a device."""

    def handle(reader: Reader, rest: str, _: Row) -> Iterator[tuple[str, Fields]]:
        yield event, {"device": reader.device(rest)}

    return handle


def _packet(event: str) -> Callable[[Reader, str, Row], Iterator[tuple[str, Fields]]]:
    """A RAM or SYNC packet; device packets have no trace point with their channel."""

    def handle(_: Reader, rest: str, __: Row) -> Iterator[tuple[str, Fields]]:
        sync = _number(rest, "flags") & SYNC
        size = 0 if sync else _number(rest, "size")
        yield (
            event,
            {
                "channel": _number(rest, "channel"),
                "idx": _number(rest, "packet_num"),
                "bytes": PACKET_HEADER + size,
                "kind": "sync" if sync else "ram",
            },
        )

    return handle


def _pages(reader: Reader, rest: str, _: Row) -> Iterator[tuple[str, Fields]]:
    words = rest.split()
    for place, number in enumerate((int(words[4]), int(words[7]), 1)):
        reader._pages[place] += number
    return iter(())


def _round(reader: Reader, rest: str, _: Row) -> Iterator[tuple[str, Fields]]:
    """A new dirty bitmap ends the round before it; rounds that found nothing to send are not told."""
    normal, zero, packets = reader._pages
    reader._pages = [0, 0, 0]
    if packets:
        reader._rounds += 1
        size = normal * 4096 + packets * PACKET_HEADER
        pending = _number(rest, "dirty_pages") * 4096
        fields = {"round": reader._rounds, "pages": normal + zero, "zero": zero, "bytes": size}
        yield "precopy_round", fields | {"pending": pending}


def _synced(event: str) -> Callable[[Reader, str, Row], Iterator[tuple[str, Fields]]]:
    def handle(reader: Reader, _: str, __: Row) -> Iterator[tuple[str, Fields]]:
        reader._syncs += 1
        yield event, {"round": reader._syncs}

    return handle


def _recv_thread(reader: Reader, rest: str, row: Row) -> Iterator[tuple[str, Fields]]:
    reader._channels[row[0]] = int(rest.split()[-1])
    return iter(())


def _incoming(reader: Reader, rest: str, row: Row) -> Iterator[tuple[str, Fields]]:
    """A packet is in; for the config packet, which no source device gave, the size is not known."""
    device, idx = reader.device(rest), _number(rest, "idx")
    size = reader.sizes.get((device, idx), 0)
    reader._queued[device] = queued = reader._queued.get(device, 0) + size
    channel = reader._channels.get(row[0]) if row[0] else None
    if channel is not None:
        fields = {"channel": channel, "idx": idx, "bytes": size, "kind": "device", "device": device}
        yield "multifd_recv_packet", fields | ({} if size else {"config": True})
    if size:
        yield (
            "vfio_load_state_device_buffer_incoming",
            {"device": device, "idx": idx, "queued": queued, "bytes": size},
        )


def _buffer(event: str) -> Callable[[Reader, str, Row], Iterator[tuple[str, Fields]]]:
    done = event.endswith("_end")

    def handle(reader: Reader, rest: str, _: Row) -> Iterator[tuple[str, Fields]]:
        device, idx = reader.device(rest), _number(rest, "idx")
        size = reader.sizes.get((device, idx), 0)
        if done:
            reader._queued[device] = reader._queued.get(device, 0) - size
            reader._loaded[device] = reader._loaded.get(device, 0) + size
        yield event, {"device": device, "idx": idx} | ({} if event.endswith("_starved") else {"bytes": size})

    return handle


def _load_end(reader: Reader, rest: str, _: Row) -> Iterator[tuple[str, Fields]]:
    device = reader.device(rest)
    yield "vfio_load_bufs_thread_end", {"device": device, "bytes": reader._loaded.get(device, 0)}


def _config(reader: Reader, rest: str, row: Row) -> Iterator[tuple[str, Fields]]:
    device = reader.device(rest)
    reader._config[device] = row[1]
    yield "vfio_load_device_config_state_start", {"device": device}


def _config_end(reader: Reader, rest: str, row: Row) -> Iterator[tuple[str, Fields]]:
    """QEMU's load thread takes the BQL right before this pair and gives it back right after."""
    device = reader.device(rest)
    yield "vfio_load_device_config_state_end", {"device": device}
    held = row[1] - reader._config.get(device, row[1])
    yield "bql_held", {"holder": device, "seconds": held}


def _device_state(reader: Reader, rest: str, _: Row) -> Iterator[tuple[str, Fields]]:
    """The devices tell their states themselves, arc by arc; here only where loading begins."""
    if reader.side == "destination" and rest.split()[-1] == "RESUMING":
        yield "vfio_load_setup", {"device": reader.device(rest)}


_HANDLERS: Final[dict[str, Callable[[Reader, str, Row], Iterator[tuple[str, Fields]]]]] = {
    "migrate_set_state": _named("migrate_set_state", "state"),
    "vmstate_downtime_checkpoint": _named("vmstate_downtime_checkpoint", "checkpoint"),
    "migration_bitmap_sync_end": _round,
    "multifd_send_ram_fill": _pages,
    "multifd_send_fill": _packet("multifd_send_packet"),
    "multifd_recv_unfill": _packet("multifd_recv_packet"),
    "multifd_send_sync_main": _synced("multifd_send_sync_main"),
    "multifd_recv_sync_main": _synced("multifd_recv_sync_main"),
    "multifd_recv_sync_main_wait": _numbered("multifd_recv_sync_main_wait", "iter"),
    "multifd_recv_sync_main_signal": _numbered("multifd_recv_sync_main_signal", "channel"),
    "multifd_recv_new_channel": _numbered("multifd_recv_new_channel", "channel"),
    "multifd_recv_thread_start": _recv_thread,
    "multifd_recv_thread_end": _numbered("multifd_recv_channel_ended", "channel"),
    "vfio_save_setup": _of_device("vfio_save_setup"),
    "vfio_save_complete_precopy_thread_start": _of_device("vfio_save_complete_precopy_thread_start"),
    "vfio_save_complete_precopy_thread_end": _of_device("vfio_save_complete_precopy_thread_end"),
    "vfio_migration_set_device_state": _device_state,
    "vfio_load_bufs_thread_start": _of_device("vfio_load_bufs_thread_start"),
    "vfio_load_bufs_thread_end": _load_end,
    "vfio_load_state_device_buffer_incoming": _incoming,
    "vfio_load_state_device_buffer_starved": _buffer("vfio_load_state_device_buffer_starved"),
    "vfio_load_state_device_buffer_load_start": _buffer("vfio_load_state_device_buffer_load_start"),
    "vfio_load_state_device_buffer_load_end": _buffer("vfio_load_state_device_buffer_load_end"),
    "vfio_load_state_device_buffer_end": _of_device("config_ready"),
    "vfio_load_device_config_state_start": _config,
    "vfio_load_device_config_state_end": _config_end,
}
"""QEMU's trace points and what their words mean."""
