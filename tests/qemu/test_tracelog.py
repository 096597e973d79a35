"""QEMU's own words, as two of its versions write them, read as our events."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from migemu.observe.catalogue import EVENTS
from migemu.qemu import tracelog
from migemu.qemu.traceseen import Seen

if TYPE_CHECKING:
    from migemu.observe.events import Event

DEVICE = "0000:00:01.0/vfio"
SIZES = {(DEVICE, 0): 1000, (DEVICE, 1): 500}

DESTINATION = """\
3671@100.000000:migrate_set_state new state setup
3671@100.000001:multifd_recv_new_channel channel 1
3683@100.000002:multifd_recv_thread_start 1
3671@100.000003:vfio_migration_set_device_state  (device0) state RESUMING
3683@100.000004:multifd_recv_unfill channel 1 packet_num 0 flags 0x1 next packet size 0
3671@100.000005:multifd_recv_sync_main packet num 1
3683@100.000006:multifd_recv_unfill channel 1 packet_num 4 flags 0x0 next packet size 4096
3687@100.000007:vfio_load_bufs_thread_start  (device0)
3687@100.000008:vfio_load_state_device_buffer_starved  (device0) idx 0
3683@100.000009:vfio_load_state_device_buffer_incoming  (device0) idx 1
3683@100.000010:vfio_load_state_device_buffer_incoming  (device0) idx 0
3687@100.000011:vfio_load_state_device_buffer_load_start  (device0) idx 0
3687@100.000012:vfio_load_state_device_buffer_load_end  (device0) idx 0
3683@100.000013:vfio_load_state_device_buffer_incoming  (device0) idx 2
3687@100.000014:vfio_load_state_device_buffer_load_start  (device0) idx 1
3687@100.000015:vfio_load_state_device_buffer_load_end  (device0) idx 1
3687@100.000016:vfio_load_state_device_buffer_end  (device0)
3687@100.100000:vfio_load_device_config_state_start  (device0)
3687@100.170000:vfio_load_device_config_state_end  (device0)
3687@100.170001:vfio_load_bufs_thread_end  (device0)
3671@100.170002:vmstate_downtime_checkpoint dst-precopy-loadvm-completed
3683@100.170003:multifd_recv_thread_end channel 1 packets 96
"""


def read(text: str, side: str = "destination", **known: Any) -> list[Event]:
    seen = Seen(side, {"device0": DEVICE}, SIZES, **known)
    return list(tracelog.read(text.splitlines(), seen, 0.0))


def of(events: list[Event], name: str) -> list[dict[str, Any]]:
    return [event.fields for event in events if event.event == name]


def test_every_event_is_one_of_the_catalogue_with_the_fields_it_must_have() -> None:
    for event in read(DESTINATION):
        assert EVENTS[event.event].required() <= set(event.fields), event


def test_both_ways_of_writing_a_line_say_the_same() -> None:
    (old,) = read("3678@1795399692.622466:vmstate_downtime_checkpoint src-downtime-start")
    (new,) = read("2026-11-23T02:08:12.622466Z vmstate_downtime_checkpoint src-downtime-start")
    assert old.fields == new.fields == {"checkpoint": "src-downtime-start"}
    assert old.t == pytest.approx(new.t)


def test_times_are_put_on_the_monotonic_clock() -> None:
    line = "1@1000.5:migrate_set_state new state active"
    (event,) = tracelog.read([line], Seen("source"), -900.0)
    assert (event.t, event.fields) == (100.5, {"state": "active"})


def test_a_device_packet_is_counted_with_its_channel_and_its_size() -> None:
    packets = [p for p in of(read(DESTINATION), "multifd_recv_packet") if p["kind"] == "device"]
    assert [(p["channel"], p["idx"], p["bytes"], p["config"]) for p in packets] == [
        *((1, 1, 500, False), (1, 0, 1000, False), (1, 2, 0, True)),
    ]


def test_without_thread_numbers_no_channel_is_made_up() -> None:
    lines = [line.split(":", 1)[1] for line in DESTINATION.splitlines()]
    text = "\n".join(f"2026-11-23T02:08:12.6{n:05}Z {line}" for n, line in enumerate(lines))
    events = read(text)
    assert {p["kind"] for p in of(events, "multifd_recv_packet")} == {"ram", "sync"}
    assert len(of(events, "vfio_load_state_device_buffer_incoming")) == 2


def test_queued_bytes_rise_with_a_packet_and_fall_with_a_load() -> None:
    events = read(DESTINATION)
    assert [e["queued"] for e in of(events, "vfio_load_state_device_buffer_incoming")] == [500, 1500]
    (end,) = of(events, "vfio_load_bufs_thread_end")
    assert end == {"device": DEVICE, "bytes": 1500}


def test_the_lock_is_held_for_as_long_as_config_loads_by_the_same_thread() -> None:
    events = read(DESTINATION)
    (held,) = [event for event in events if event.event == "bql_held"]
    (start,) = [event for event in events if event.event == "vfio_load_device_config_state_start"]
    assert held.get("seconds") == pytest.approx(0.07)
    assert held.get("holder") == held.thread  # one kind of thread with all other load threads
    assert held.thread == start.thread == f"load {DEVICE}"


def test_a_sync_packet_carries_no_pages_and_a_ram_packet_its_size() -> None:
    packets = [p for p in of(read(DESTINATION), "multifd_recv_packet") if p["kind"] != "device"]
    assert [(p["kind"], p["bytes"]) for p in packets] == [("sync", 1344), ("ram", 1344 + 4096)]


def test_a_round_ends_when_the_dirty_log_is_read() -> None:
    events = read(
        """\
3682@1.0:multifd_send_ram_fill channel 1 normal pages 31 zero pages 97
3681@1.1:multifd_send_ram_fill channel 0 normal pages 10 zero pages 0
3678@1.2:migration_bitmap_sync_end dirty_pages 79
3678@1.3:migration_bitmap_sync_end dirty_pages 0
3682@1.4:multifd_send_ram_fill channel 1 normal pages 5 zero pages 0
3678@1.5:vmstate_downtime_checkpoint src-iterable-saved
""",
        side="source",
    )
    assert of(events, "precopy_round") == [
        {"round": 1, "pages": 138, "zero": 97, "bytes": 41 * 4096 + 2 * 1344, "pending": 79 * 4096},
        {"round": 2, "pages": 5, "zero": 0, "bytes": 5 * 4096 + 1344, "pending": 0},
    ]


def test_a_save_thread_ends_with_all_its_device_gave() -> None:
    events = read("3@1.0:vfio_save_complete_precopy_thread_end  (device0) ret 1", side="source")
    assert of(events, "vfio_save_complete_precopy_thread_end") == [{"device": DEVICE, "bytes": 1500}]


def test_on_the_main_channel_pre_copy_comes_before_what_is_loaded() -> None:
    block = "1@1.0:vfio_load_state  (device0) data 0xffffffffef100004\n"
    block += "1@1.1:vfio_load_state_device_data  (device0) size {} ret 0\n"
    events = read(block.format(64) + block.format(1000), precopy=Counter({DEVICE: 64}))
    assert of(events, "vfio_load_state_device_buffer_load_end") == [
        {"device": DEVICE, "idx": 0, "bytes": 1000}
    ]


def test_what_the_main_channel_loads_is_loaded_by_its_reader_under_the_lock() -> None:
    text = """\
1@1.0:vfio_load_state  (device0) data 0xffffffffef100004
1@1.1:vfio_load_state_device_data  (device0) size 1000 ret 0
1@1.2:vfio_load_device_config_state_start  (device0)
1@1.4:vfio_load_device_config_state_end  (device0)
"""
    events = read(text)
    assert {event.thread for event in events} == {"incoming"}
    held = [(told["holder"], told["seconds"]) for told in of(events, "bql_held")]
    assert held == [("incoming", pytest.approx(0.1)), ("incoming", pytest.approx(0.2))]


@pytest.mark.parametrize(
    "line",
    [
        "garbage",
        "1@1.0:a_trace_point_nobody_asked_for x",
        "1@1.0:multifd_recv_unfill channel 1 packet_num",
        "1@1.0:vfio_load_bufs_thread_start  (device9)",
        "1@1.0:vfio_load_bufs_thread_start",
    ],
)
def test_what_is_unknown_or_torn_gives_nothing(line: str) -> None:
    assert read(line) == []
