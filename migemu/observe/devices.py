"""One device's figures, computed from its events.

Spans of detail events are added up; where some of them were not kept, the load thread's own account (the
fields of ``vfio_load_bufs_thread_end``) stands in. Sums of bytes and counts are exact either way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.observe.index import between
from migemu.observe.model import DeviceResult

if TYPE_CHECKING:
    from migemu.observe.events import Event
    from migemu.observe.index import Index

INCOMING = "vfio_load_state_device_buffer_incoming"
LOAD_START = "vfio_load_state_device_buffer_load_start"
LOAD_END = "vfio_load_state_device_buffer_load_end"
CONFIG_START = "vfio_load_device_config_state_start"
CONFIG_END = "vfio_load_device_config_state_end"
SAVED = "vfio_save_device_state_buffer"
LOAD_THREAD_START = "vfio_load_bufs_thread_start"
LOAD_THREAD_END = "vfio_load_bufs_thread_end"
SAVE_THREAD_START = "vfio_save_complete_precopy_thread_start"
SAVE_THREAD_END = "vfio_save_complete_precopy_thread_end"


def load_spans(index: Index, device: str) -> list[tuple[float, float, int]]:
    """(start, end, idx) of every write of a buffer into the device that was kept, by start."""
    begun: dict[int, float] = {}
    spans = []
    pairs = sorted([*index.of(LOAD_START, device), *index.of(LOAD_END, device)], key=lambda e: e.t)
    for event in pairs:
        idx = int(event.get("idx", -1))
        if event.event == LOAD_START:
            begun[idx] = event.t
        elif idx in begun:
            spans.append((begun.pop(idx), event.t, idx))
    return sorted(spans)


def config_span(index: Index, device: str) -> tuple[float, float] | None:
    """(start, end) of loading the config."""
    start, end = index.at(CONFIG_START, device), index.at(CONFIG_END, device)
    return None if start is None or end is None else (start, end)


def ready_at(index: Index, device: str) -> float | None:
    """Since when only the design kept the config from being loaded.

    Where the config travels on the main channel the end of the data is learned late; ``idle`` says how late.
    """
    event = index.first("config_ready", device)
    return None if event is None else event.t - float(event.get("idle") or 0.0)


def queue_depth(index: Index, device: str) -> list[tuple[float, int]]:
    """(time, bytes) waiting in the device's reassembly, after every change that was kept.

    A config that came over multifd waits there too, until it is in.
    """
    names = (INCOMING, LOAD_END, CONFIG_END)
    changes = sorted((e for name in names for e in index.of(name, device)), key=lambda e: e.t)
    depth = 0
    points = []
    for event in changes:
        told = event.get("queued")
        depth = int(told) if told is not None else max(0, depth - int(event.get("bytes") or 0))
        points.append((event.t, depth))
    return points


def device_result(index: Index, device: str) -> DeviceResult:
    """All that is known of one device."""
    end = index.last(LOAD_THREAD_END, device)
    arrivals = index.of(INCOMING, device)
    config = config_span(index, device)
    ready = ready_at(index, device)
    begun = index.at(CONFIG_START, device)
    whole = not index.totals(LOAD_END, device)
    return DeviceResult(
        device=device,
        precopy_bytes=index.sum("vfio_save_iterate", device=device),
        data_bytes=index.sum(LOAD_END, device=device),
        sent_bytes=_sent_bytes(index, device),
        config_bytes=_config_bytes(index, device),
        buffers=index.count(LOAD_END, device),
        save=between(index.at(SAVE_THREAD_START, device), index.at(SAVE_THREAD_END, device)),
        transfer=between(arrivals[0].t, arrivals[-1].t) if arrivals else None,
        total=_total(index, device, end),
        wait=_wait(index, device) if whole else _told(end, "wait"),
        load=_load(index, device) if whole else _told(end, "load"),
        ready_wait=between(ready, begun),
        config_load=between(*config) if config else None,
        queued_peak=_queued_peak(index, device, end),
    )


def _told(end: Event | None, name: str) -> float | None:
    told = end.get(name) if end is not None else None
    return None if told is None else float(told)


def _sent_bytes(index: Index, device: str) -> int:
    """Buffers handed to channels; where all went over the main channel, what the save said of itself."""
    end = index.last(SAVE_THREAD_END, device)
    handed = index.sum(SAVED, device=device)
    return handed or int(end.get("bytes") or 0) if end is not None else handed


def _config_bytes(index: Index, device: str) -> int | None:
    for name in (CONFIG_END, CONFIG_START):
        event = index.first(name, device)
        if event is not None and event.get("bytes") is not None:
            return int(event.get("bytes"))
    return None


def _total(index: Index, device: str, end: Event | None) -> float | None:
    """From the load thread's start (the first buffer where a design has none) to thread and config ended."""
    started = index.at(LOAD_THREAD_START, device)
    if started is None:
        started = index.at(LOAD_START, device)
    ends = [t for t in (index.at(CONFIG_END, device), end.t if end else None) if t is not None]
    return between(started, max(ends)) if ends else None


def _load(index: Index, device: str) -> float | None:
    spans = load_spans(index, device)
    return sum(end - start for start, end, _ in spans) if spans else None


def _wait(index: Index, device: str) -> float | None:
    """Seconds from the start of loading to the last buffer's end that were not spent writing."""
    spans = load_spans(index, device)
    if not spans:
        return None
    started = index.at(LOAD_THREAD_START, device)
    begin = spans[0][0] if started is None else started
    return max(0.0, spans[-1][1] - begin - sum(end - start for start, end, _ in spans))


def _queued_peak(index: Index, device: str, end: Event | None) -> int:
    told = int(_told(end, "queued_peak") or 0)
    kept = (int(event.get("queued") or 0) for event in index.of(INCOMING, device))
    added = (int(row["queued_peak"]) for row in index.totals(INCOMING, device))
    return max([told, *kept, *added])
