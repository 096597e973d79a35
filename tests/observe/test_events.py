from __future__ import annotations

import json
import math
import threading
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from migemu.errors import UsageError
from migemu.observe import events
from migemu.observe.events import Event, EventLog

if TYPE_CHECKING:
    from pathlib import Path

SEND = "multifd_send_packet"
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False, allow_infinity=False)
)


def log_of(limit: int, count: int) -> EventLog:
    log = EventLog("source", limit)
    for idx in range(count):
        log.sink(SEND, 1.0 + idx, "save", {"device": "d", "channel": idx % 2, "idx": idx, "bytes": 10})
    return log


def test_an_event_is_one_versioned_line_of_json() -> None:
    event = Event(12.5, "source", "migration", "precopy_round", {"round": 1, "bytes": 4096})
    assert event.encode() == (
        '{"v":1,"t":12.5,"side":"source","thread":"migration","event":"precopy_round","round":1,"bytes":4096}'
    )


@given(st.dictionaries(st.sampled_from(["v", "t", "t_", "side", "side__", "device", "idx"]), SCALARS))
def test_any_field_survives_the_way_through_json(fields: dict[str, Any]) -> None:
    """Also those called like the line's own keys: an error's ``side`` is not the event's."""
    event = Event(1.0, "source", "main", "error", fields)
    assert Event.decode(event.encode()) == event


def test_what_json_has_no_word_for_is_written_as_text() -> None:
    line = Event(
        0.0, "source", "main", "progress", {"rate": math.inf, "each": [math.nan], "path": object}
    ).encode()
    body = json.loads(line, parse_constant=pytest.fail)
    assert body["rate"] == "inf"
    assert body["each"] == ["nan"]


def test_a_written_log_is_read_back_by_time(tmp_path: Path) -> None:
    log = EventLog("destination")
    log.sink("vfio_load_setup", 2.0, "incoming", {"device": "b"})
    log.sink("vfio_load_setup", 1.0, "incoming", {"device": "a"})
    log.write(tmp_path / "events.jsonl")
    assert [event.get("device") for event in events.read(tmp_path / "events.jsonl")] == ["a", "b"]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("{nonsense", "not JSON"),
        ('{"v":2,"t":0}', "not an event of version 1"),
        ("[]", "not an event of version 1"),
        ('{"v":1,"t":0,"side":"source","thread":"x"}', "without a usable 'event'"),
        ('{"v":1,"t":"soon","side":"source","thread":"x","event":"y"}', "not JSON"),
        ('{"v":1,"t":null,"side":"source","thread":"x","event":"y"}', "without a usable"),
        ("\xff", "not JSON"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = tmp_path / "events.jsonl"
    path.write_bytes(
        Event(0.0, "source", "x", "y").encode().encode() + b"\n\n" + line.encode("latin-1") + b"\n"
    )
    with pytest.raises(UsageError, match=complaint) as caught:
        events.read(path)
    assert f"{path}, line 3: " in str(caught.value)


def test_a_killed_process_leaves_a_torn_last_line_that_can_be_forgiven(tmp_path: Path) -> None:
    path = tmp_path / "events.jsonl"
    whole = Event(0.0, "source", "x", "y").encode()
    path.write_text(f"{whole}\n{whole[:-7]}")
    assert len(events.read(path, torn=True)) == 1
    with pytest.raises(UsageError, match="line 2"):
        events.read(path)
    path.write_text(f"{whole[:-7]}\n{whole}")
    with pytest.raises(UsageError, match="line 1"):
        events.read(path, torn=True)


def test_a_file_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read events"):
        events.read(tmp_path / "none")


def test_beyond_the_limit_details_are_added_up_and_all_else_is_kept() -> None:
    log = log_of(limit=4, count=10)
    for second in range(8):
        log.sink("precopy_round", 20.0 + second, "migration", {"round": second})
    told = log.events()
    assert [event.get("idx") for event in told if event.event == SEND] == [0, 1, 2, 3]
    assert sum(event.event == "precopy_round" for event in told) == 8
    assert told[-1].event == "events_suppressed"
    assert told[-1].get("count") == log.suppressed() == 6
    rows = {row["channel"]: (row["count"], row["bytes"]) for row in told[-1].get("totals")}
    assert rows == {0: (3, 30), 1: (3, 30)}


def test_a_log_within_its_limit_suppresses_nothing_however_often_it_is_asked() -> None:
    log = log_of(limit=4, count=4)
    assert [log.suppressed() for _ in range(5)] == [0] * 5
    assert {event.event for event in log.events()} == {SEND}
    log.sink(SEND, 9.0, "save", {"device": "d", "channel": 0, "idx": 4, "bytes": 1})
    assert log.suppressed() == 1


def test_an_idx_that_goes_back_is_seen_even_when_it_is_not_kept() -> None:
    log = EventLog("destination", limit=0)
    for idx in (0, 1, 3, 2, 4):
        log.sink(
            "vfio_load_state_device_buffer_load_start", 0.0, "load", {"device": "d", "idx": idx, "bytes": 1}
        )
    (row,) = log.events()[-1].get("totals")
    assert (row["count"], row["backwards"]) == (5, 1)


def test_many_threads_lose_no_event() -> None:
    log = EventLog("source", limit=1000)

    def shout(channel: int) -> None:
        for idx in range(2000):
            log.sink(SEND, 0.0, f"thread {channel}", {"channel": channel, "idx": idx, "bytes": 1})

    threads = [threading.Thread(target=shout, args=(channel,)) for channel in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    *kept, last = log.events()
    assert len(kept) == 1000
    assert last.get("count") == sum(row["count"] for row in last.get("totals")) == 7000


def test_a_subscriber_hears_everything_but_details_until_its_pipe_breaks() -> None:
    heard: list[str] = []

    def listen(event: Event) -> None:
        heard.append(event.event)
        if len(heard) == 2:
            raise BrokenPipeError

    log = EventLog("source", subscriber=listen)
    for name in (SEND, "error", SEND, "precopy_round", "vm_state"):
        log.sink(name, 0.0, "main", {})
    assert heard == ["error", "precopy_round"]
    assert len(log.events()) == 5
