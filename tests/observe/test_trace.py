from __future__ import annotations

from collections import defaultdict
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from migemu.observe.spans import Slice, Track, sequential
from migemu.observe.timeline import timeline
from migemu.observe.trace import encode, write_trace

if TYPE_CHECKING:
    from pathlib import Path

    from observe.story import Story

FIRST = "0000:00:01.0"
HERE = Track("source", "channels", "channel 0")


class Trace:
    """A trace read back with the perfetto package, by track path."""

    def __init__(self, data: bytes) -> None:
        from perfetto.protos.perfetto.trace.perfetto_trace_pb2 import (  # type: ignore[import-untyped]  # noqa: PLC0415  no py.typed; slow to import
            Trace as Proto,
        )

        self.packets = Proto.FromString(data).packet
        described = [
            packet.track_descriptor for packet in self.packets if packet.HasField("track_descriptor")
        ]
        self.by_id = {track.uuid: track for track in described}
        assert len(self.by_id) == len(described)
        self.events: dict[str, list[Any]] = defaultdict(list)
        for packet in self.packets:
            if packet.HasField("track_event"):
                self.events[self.path(packet.track_event.track_uuid)].append(packet)

    def path(self, uuid: int) -> str:
        track = self.by_id[uuid]
        if track.HasField("process"):
            return str(track.process.process_name)
        return f"{self.path(track.parent_uuid)}/{track.name}"

    def slices(self, path: str) -> list[tuple[str, float, float]]:
        """(name, start ms, end ms) of a track; fails unless begins and ends alternate."""
        kinds = [packet for packet in self.events[path] if packet.track_event.type in (1, 2)]
        assert [packet.track_event.type for packet in kinds] == [1, 2] * (len(kinds) // 2)
        pairs = zip(kinds[::2], kinds[1::2], strict=True)
        return [(b.track_event.name, b.timestamp / 1e6, e.timestamp / 1e6) for b, e in pairs]

    def flows(self) -> dict[int, list[str]]:
        """Where each arrow passes, in the order of time."""
        passed: dict[int, list[tuple[int, str]]] = defaultdict(list)
        for path, packets in self.events.items():
            for packet in packets:
                for flow in packet.track_event.flow_ids:
                    passed[flow].append((packet.timestamp, f"{path}: {packet.track_event.name}"))
        return {flow: [place for _, place in sorted(places)] for flow, places in passed.items()}


@pytest.fixture
def trace(story: Story, tmp_path: Path) -> Trace:
    packet = {
        "device": f"{FIRST}/vfio",
        "channel": 1,
        "idx": 3,
        "bytes": 4096,
        "kind": "device",
        "config": True,
    }
    story.src(138, "multifd_send_packet", "save", **packet)
    story.dst(139, "multifd_recv_packet", "channel 1", **packet)
    arrived = {"device": f"{FIRST}/vfio", "idx": 3, "queued": 4096}
    story.dst(139, "vfio_load_state_device_buffer_incoming", "channel 1", **arrived)
    story.dst(100, "vfio_migration_set_device_state", device=f"{FIRST}/vfio", state="RESUMING")
    story.dst(186, "vfio_migration_set_device_state", device=f"{FIRST}/vfio", state="RUNNING")
    path = tmp_path / "trace"
    assert write_trace(story.joined(), path) > 50
    return Trace(path.read_bytes())


def test_each_channel_device_and_thread_has_a_track_below_its_side(trace: Trace) -> None:
    for path in (
        "source/channels/channel 0",
        "destination/channels/channel 1",
        f"source/devices/{FIRST}",
        f"destination/devices/{FIRST}",
        f"destination/threads/load {FIRST}/vfio",
        "source/migration/downtime",
        "destination/migration/BQL",
        f"destination/queued bytes/{FIRST}",
    ):
        assert trace.events[path], path


def test_times_of_both_sides_are_on_the_sources_clock(trace: Trace) -> None:
    first = trace.slices("source/migration/downtime")[0]
    assert first[0] == "stop"
    assert first[1:] == pytest.approx((100, 105))
    parts = trace.slices("destination/migration/downtime")
    assert [name for name, _, _ in parts] == ["load remainder", "verify + commit", "announce", "start"]
    assert parts[0][1:] == pytest.approx((150, 180))


def test_a_devices_track_tells_waiting_loading_ready_and_config(trace: Trace) -> None:
    told = trace.slices(f"destination/devices/{FIRST}")
    assert [name for name, _, _ in told] == [
        *("wait for 0", "load 0", "wait for 1", "load 1", "wait for 2", "load 2"),
        *("ready, not yet allowed", "config load"),
    ]
    assert told[-2][1:] == pytest.approx((142, 155))
    states = trace.slices(f"destination/VFIO states/{FIRST}")
    assert states[0][0] == "RESUMING"
    assert states[0][1:] == pytest.approx((100, 186))


def test_an_arrow_follows_a_packet_from_sending_to_arrival_to_loading(trace: Trace) -> None:
    arrows = list(trace.flows().values())
    assert [
        f"source/channels/channel 1: {FIRST} 1",
        f"destination/channels/channel 1: {FIRST} 1",
        f"destination/devices/{FIRST}: load 1",
    ] in arrows
    assert [
        f"source/channels/channel 1: {FIRST} config",
        f"destination/channels/channel 1: {FIRST} config",
        f"destination/devices/{FIRST}: config load",
    ] in arrows
    assert [f"destination/devices/{FIRST}: load 2", f"destination/devices/{FIRST}: config load"] in arrows
    assert min(map(len, arrows)) == 2


def test_queued_bytes_rise_with_arrivals_and_fall_with_loads(trace: Trace) -> None:
    track = trace.events[f"destination/queued bytes/{FIRST}"]
    levels = [packet.track_event.counter_value for packet in track]
    assert levels == [*([1024**2, 0] * 3), 4096, 0]  # the config waits too
    uuid = track[0].track_event.track_uuid
    assert trace.by_id[uuid].counter.unit == trace.by_id[uuid].counter.UNIT_SIZE_BYTES


def test_a_mark_carries_its_fields(trace: Trace) -> None:
    marks = {
        packet.track_event.name: packet.track_event for packet in trace.events["source/threads/migration"]
    }
    notes = {note.name: note for note in marks["precopy_round"].debug_annotations}
    assert notes["pages"].int_value == 100
    assert marks["vm_state"].debug_annotations[0].HasField("bool_value")


def test_a_packet_ends_on_its_channel_when_the_next_one_is_taken(untold: Story) -> None:
    for idx, sent, arrived in ((0, 10, 30), (1, 20, 25)):
        untold.src(sent, "multifd_send_packet", channel=0, device="d", idx=idx, bytes=1, kind="device")
        untold.dst(arrived, "multifd_recv_packet", channel=0, device="d", idx=idx, bytes=1, kind="device")
    untold.src(0, "clock_offset", offset=5.0, rtt=0.0001)
    trace = Trace(encode(timeline(untold.joined())))
    first, second = trace.slices("source/channels/channel 0")
    assert (first[0], second[0]) == ("d 0", "d 1")
    assert first[1:] + second[1:] == pytest.approx((10, 20, 20, 25))


def test_slices_of_one_track_never_overlap_whatever_they_were() -> None:
    starts = [number * 37 % 100 / 10 for number in range(100)]
    rough = [Slice(HERE, str(start), start, start + start % 0.7) for start in starts]
    tidy = sequential(rough)
    assert len(tidy) == 100
    assert sum(item.end - item.start for item in tidy) < sum(item.end - item.start for item in rough)
    for before, after in pairwise(tidy):
        assert before.start <= before.end <= after.start


def test_slices_shorter_than_a_nanosecond_still_begin_before_they_end() -> None:
    trace = Trace(encode_slices([(0.5, 0.5), (0.5, 0.5), (0.5, 0.7)]))
    assert len(trace.slices("source/channels/channel 0")) == 3


def encode_slices(spans: list[tuple[float, float]]) -> bytes:
    from migemu.observe.spans import Timeline  # noqa: PLC0415  only here

    return encode(Timeline(sequential(Slice(HERE, "x", start, end) for start, end in spans)))


def test_one_side_alone_and_nothing_at_all_make_a_trace_too(story: Story, untold: Story) -> None:
    story.destination.clear()
    assert Trace(encode(timeline(story.joined()))).events
    assert not Trace(encode(timeline(untold.joined()))).events


def test_channels_and_devices_are_ordered_by_number(story: Story) -> None:
    for channel in (10, 9):
        story.src(20, "multifd_send_packet", channel=channel, idx=9, bytes=1, kind="ram")
    tracks = timeline(story.joined()).tracks()
    channels = [track.name for track in tracks if track[:2] == ("source", "channels")]
    assert channels == ["channel 0", "channel 1", "channel 9", "channel 10"]
    assert tracks[0] == ("source", "migration", "downtime")
