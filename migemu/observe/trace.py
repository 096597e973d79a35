"""A run's timeline as a Perfetto trace, for https://ui.perfetto.dev (which opens it without uploading it).

Written with the classes of the ``perfetto`` package, imported only when a trace is asked for. Per side
one process; below it groups of tracks; flow arrows from a packet's sending to its arrival, loading and to
the config; counters for queued bytes. Both sides are on the source's clock.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from migemu.observe.spans import GROUPS, Flow, Level, Mark, Slice, Timeline, Track
from migemu.observe.timeline import timeline

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from migemu.observe.events import Event

SEQUENCE = 1
"""All packets are of one sequence: one writer, in the order of time."""

SIDES = ("source", "destination")


def write_trace(events: Sequence[Event], path: str | Path) -> int:
    """Write the trace of joined events to `path`; returns how many slices, marks and levels it has."""
    picture = timeline(events)
    Path(path).write_bytes(encode(picture))
    return len(picture.slices) + len(picture.marks) + len(picture.levels)


def encode(picture: Timeline) -> bytes:
    """The trace as the bytes of a ``.perfetto-trace`` file."""
    from perfetto.trace_builder.proto_builder import (  # type: ignore[import-untyped]  # noqa: PLC0415  no py.typed; half a megabyte that only traces need
        TraceProtoBuilder,
    )

    builder = TraceProtoBuilder()
    ids = _describe(picture.tracks(), {level.track for level in picture.levels}, builder)
    arrows = _arrows([*picture.slices, *picture.marks])
    for step in sorted(_steps(picture), key=lambda step: (step.ns, step.order)):
        packet = builder.add_packet()
        packet.timestamp = step.ns
        packet.trusted_packet_sequence_id = SEQUENCE
        packet.track_event.track_uuid = ids[step.item.track]
        step.fill(packet.track_event, arrows)
    return bytes(builder.serialize())


def _describe(tracks: Sequence[Track], counters: set[Track], builder: Any) -> dict[Track, int]:
    """One descriptor for each side, group and track; returns the tracks' ids."""
    ids: dict[tuple[str, ...], int] = {}
    for track in tracks:
        for depth in (1, 2, 3):
            path = tuple(track[:depth])
            if path not in ids:
                ids[path] = len(ids) + 1
                _descriptor(builder.add_packet(), path, ids, counter=depth == 3 and track in counters)
    return {track: ids[tuple(track)] for track in tracks}


def _descriptor(
    packet: Any, path: tuple[str, ...], ids: dict[tuple[str, ...], int], *, counter: bool
) -> None:
    packet.trusted_packet_sequence_id = SEQUENCE
    track = packet.track_descriptor
    track.uuid = ids[path]
    track.child_ordering = track.EXPLICIT
    if len(path) == 1:
        track.process.pid = SIDES.index(path[0]) + 1
        track.process.process_name = path[0]
        return
    track.name = path[-1]
    track.parent_uuid = ids[path[:-1]]
    track.sibling_order_rank = GROUPS.index(path[1]) if len(path) == 2 else ids[path]
    if counter:
        track.counter.unit = track.counter.UNIT_SIZE_BYTES


def _arrows(items: Iterable[Slice | Mark]) -> dict[Flow, int]:
    """A number for every flow that at least two items share: one end alone is no arrow."""
    shared = Counter(flow for item in items for flow in item.flows)
    return {flow: number for number, (flow, ends) in enumerate(shared.items(), 1) if ends > 1}


@dataclass(frozen=True, slots=True)
class _Step:
    """One packet of the trace: the begin or end of a slice, a mark or a level."""

    ns: int
    order: int
    """Among steps of one moment: ends come before begins, so that slices stay apart."""
    item: Slice | Mark | Level
    ends: bool = False

    def fill(self, event: Any, arrows: dict[Flow, int]) -> None:
        """Write the step as a TrackEvent."""
        if isinstance(self.item, Level):
            event.type = event.TYPE_COUNTER
            event.counter_value = round(self.item.value)
        elif self.ends:
            event.type = event.TYPE_SLICE_END
        else:
            event.type = event.TYPE_SLICE_BEGIN if isinstance(self.item, Slice) else event.TYPE_INSTANT
            event.name = self.item.name
            event.flow_ids.extend(arrows[flow] for flow in self.item.flows if flow in arrows)
            _annotate(event, self.item.args)


def _steps(picture: Timeline) -> list[_Step]:
    """Everything as packets; slices stay apart also where the clock's nanosecond cannot tell them apart."""
    steps = []
    free: dict[Track, int] = {}
    for piece in picture.slices:
        start = max(_ns(piece.start), free.get(piece.track, 0))
        end = free[piece.track] = max(_ns(piece.end), start + 1)
        steps += [_Step(start, 1, piece), _Step(end, 0, piece, ends=True)]
    points: list[Mark | Level] = [*picture.marks, *picture.levels]
    return [*steps, *(_Step(_ns(point.t), 2, point) for point in points)]


def _ns(t: float) -> int:
    return max(0, round(t * 1e9))


def _annotate(event: Any, args: dict[str, Any]) -> None:
    """What the viewer shows when a slice is chosen."""
    for name, value in args.items():
        note = event.debug_annotations.add(name=name)
        if isinstance(value, bool):
            note.bool_value = value
        elif isinstance(value, int):
            note.int_value = value
        elif isinstance(value, float):
            note.double_value = value
        else:
            note.string_value = str(value)
