"""From the events of a run to its timeline: one track per channel, device and thread."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from migemu.observe import devices as dev
from migemu.observe.catalogue import CHECKPOINTS, DETAIL
from migemu.observe.figures import PART_LABELS, PARTS
from migemu.observe.index import Index, hold_of
from migemu.observe.spans import Flow, Level, Mark, Slice, Timeline, Track, sequential

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from migemu.observe.events import Event

SEND, RECV = "multifd_send_packet", "multifd_recv_packet"
STATE = "vfio_migration_set_device_state"


def timeline(events: Sequence[Event]) -> Timeline:
    """The timeline of joined events, or of one side's."""
    index = Index(events)
    names = index.devices()
    slices = [
        *_downtime(index),
        *_bql(index),
        *_sent(index),
        *(item for name in names for item in _device(index, name)),
        *(item for name in names for item in _states(index, name)),
    ]
    marks = [*_received(index), *_threads(index)]
    return Timeline(sequential(slices), marks, list(_levels(index)))


def _downtime(index: Index) -> Iterator[Slice]:
    """The parts of the downtime, each on the side that passed its end."""
    for part, (before, after) in zip(PARTS, pairwise(CHECKPOINTS), strict=True):
        start, end = index.checkpoint(before), index.checkpoint(after)
        side = "source" if after.startswith("src") else "destination"
        if start is not None and end is not None:
            yield Slice(Track(side, "migration", "downtime"), PART_LABELS[part], start, max(start, end))


def _bql(index: Index) -> Iterator[Slice]:
    """Who held the big lock; only holds of a millisecond or more are told."""
    for event in index.of("bql_held"):
        yield Slice(Track(event.side, "migration", "BQL"), str(event.get("holder")), *hold_of(event))


def _flow(packet: Event) -> Flow:
    """A device packet is the same on both sides by device and idx, a RAM packet by its number."""
    subject = packet.get("device") or packet.get("kind", "ram")
    return Flow("packet", str(subject), int(packet.get("idx", -1)))


def _name(packet: Event) -> str:
    what = str(packet.get("device") or packet.get("kind", "ram")).removesuffix("/vfio")
    return f"{what} config" if packet.get("config") else f"{what} {packet.get('idx')}"


def _sent(index: Index) -> Iterator[Slice]:
    """A packet lies on its channel from when it was handed over until it arrived.

    Or until the channel took the next one, whichever was first: what the channel itself was busy with.
    """
    arrived = {_flow(packet): packet.t for packet in index.of(RECV)}
    for packet in index.of(SEND):
        flow, args = _flow(packet), {"bytes": packet.get("bytes")}
        end = max(packet.t, arrived.get(flow, packet.t))
        yield Slice(_channel(packet), _name(packet), packet.t, end, args, (flow,))


def _received(index: Index) -> Iterator[Mark]:
    for packet in index.of(RECV):
        args = {"bytes": packet.get("bytes")}
        yield Mark(_channel(packet), _name(packet), packet.t, args, (_flow(packet),))


def _channel(packet: Event) -> Track:
    return Track(packet.side, "channels", f"channel {packet.get('channel')}")


def _device(index: Index, device: str) -> Iterator[Slice]:
    """Saving on the source; waiting, loading, ready and config on the destination."""
    name = device.removesuffix("/vfio")
    start, end = index.at(dev.SAVE_THREAD_START, device), index.at(dev.SAVE_THREAD_END, device)
    if start is not None and end is not None:
        yield Slice(Track("source", "devices", name), "save", start, end)
    track = Track("destination", "devices", name)
    yield from _loads(index, device, track)
    yield from _config(index, device, track)


def _loads(index: Index, device: str, track: Track) -> Iterator[Slice]:
    """Writing buffers, and waiting for them; the last one has the arrow to the config."""
    spans = dev.load_spans(index, device)
    for place, (start, end, idx) in enumerate(spans, 1):
        last = (Flow("config", device, 0),) if place == len(spans) else ()
        yield Slice(track, f"load {idx}", start, end, flows=(Flow("packet", device, idx), *last))
    started = index.at(dev.LOAD_THREAD_START, device)
    begins = [*([(started, started, -1)] if started is not None else []), *spans]
    for (_, end, _), (start, _, idx) in pairwise(begins):
        if start > end:
            yield Slice(track, f"wait for {idx}", end, start)


def _config(index: Index, device: str, track: Track) -> Iterator[Slice]:
    """Ready but not yet allowed, then the config: where the data's and its own packet's arrows end."""
    ready, span = dev.ready_at(index, device), dev.config_span(index, device)
    if span is None:
        return
    if ready is not None and ready < span[0]:
        yield Slice(track, "ready, not yet allowed", ready, span[0])
    packets = [_flow(packet) for packet in index.of(RECV, device) if packet.get("config")]
    yield Slice(track, "config load", *span, flows=(Flow("config", device, 0), *packets))


def _states(index: Index, device: str) -> Iterator[Slice]:
    """Each VFIO migration state lasts until the next one, the last one until the end."""
    for side in ("source", "destination"):
        track = Track(side, "VFIO states", device.removesuffix("/vfio"))
        changes = [event for event in index.of(STATE, device) if event.side == side]
        ends = [*(event.t for event in changes[1:]), index.events[-1].t]
        for event, end in zip(changes, ends, strict=False):
            yield Slice(track, str(event.get("state")), event.t, max(event.t, end))


def _threads(index: Index) -> Iterator[Mark]:
    """Everything else that happened, in the thread where it happened."""
    silent = DETAIL | {"progress", "bql_held", "events_suppressed", STATE}
    for event in index.events:
        if event.event not in silent:
            name = event.get("checkpoint") or event.event
            yield Mark(Track(event.side, "threads", event.thread or "main"), str(name), event.t, event.fields)


def _levels(index: Index) -> Iterator[Level]:
    """Queued bytes per device, and RAM still to be sent."""
    for device in index.devices():
        track = Track("destination", "queued bytes", device.removesuffix("/vfio"))
        yield from (Level(track, t, depth) for t, depth in dev.queue_depth(index, device))
    for event in index.of("precopy_round"):
        yield Level(Track("source", "queued bytes", "RAM pending"), event.t, float(event.get("pending") or 0))
