from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from migemu.errors import UsageError
from migemu.observe import result as results
from migemu.observe.catalogue import CHECKPOINTS
from migemu.observe.events import Event, EventLog
from migemu.observe.join import join
from migemu.observe.result import RunEnd

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.observe.model import Result
    from observe.story import Story

MIB = 1024**2


def test_a_good_run_is_completed_with_nothing_to_say(story: Story) -> None:
    result = story.result()
    assert (result.verdict, result.exit_code, result.reasons) == ("completed", 0, ())
    assert (result.seed, result.handoff, result.runnable, result.missing) == (
        7,
        "load-ready",
        "destination",
        (),
    )
    assert result.versions.migemu


def test_the_downtime_is_cut_at_qemus_checkpoints(story: Story) -> None:
    times = story.result().times
    assert times.downtime == pytest.approx(0.086)
    assert times.setup == pytest.approx(0.010)
    assert times.precopy == pytest.approx(0.090)
    assert times.total == pytest.approx(0.190)
    cut = list(times.parts.model_dump().values())
    assert cut == pytest.approx([0.005, 0.040, 0.005, 0.030, 0.003, 0.001, 0.002])


def test_a_clock_error_never_makes_a_part_negative_nor_the_sum_wrong(story: Story) -> None:
    """The destination seems to have loaded everything before the source had saved it."""

    def skew(event: Event) -> Event:
        early = event.get("checkpoint") == "dst-precopy-loadvm-completed"
        return replace(event, t=event.t - 0.0305) if early else event

    times = story.spoil(skew).result().times
    assert times.parts.load_remainder == 0
    assert sum(times.parts.model_dump().values()) == pytest.approx(times.downtime)


def test_ram_and_its_rate_come_from_the_rounds(story: Story) -> None:
    ram = story.result().ram
    assert (ram.rounds, ram.pages, ram.zero_pages, ram.bytes) == (2, 500, 100, 2_000_000)
    assert ram.bandwidth == pytest.approx(2_000_000 / 0.080)


def test_a_devices_time_is_split_into_waiting_loading_and_not_being_allowed(story: Story) -> None:
    first, second = story.result().devices
    assert (first.data_bytes, first.sent_bytes, first.config_bytes, first.buffers) == (
        3 * MIB,
        3 * MIB,
        4096,
        3,
    )
    assert first.load == pytest.approx(0.015)
    assert first.wait == pytest.approx(0.014)  # 105 to 134 ms but for three writes of 5 ms
    assert first.ready_wait == pytest.approx(0.013)
    assert first.config_load == pytest.approx(0.009)
    assert first.total == pytest.approx(0.0592)
    assert first.transfer == pytest.approx(0.020)
    assert first.save == pytest.approx(0.034)
    assert first.queued_peak == MIB
    assert second.ready_wait == pytest.approx(0.023)


def test_where_details_were_not_kept_a_load_threads_own_account_stands_in(story: Story) -> None:
    account = {"wait": 1.0, "load": 2.0, "queued_peak": 6 * MIB}

    def told(event: Event) -> Event:
        return (
            replace(event, fields=event.fields | account)
            if event.event.endswith("bufs_thread_end")
            else event
        )

    kept, cut = story.spoil(told).result().devices[0], suppressed(story, 0).devices[0]
    assert [kept.wait, kept.load] == pytest.approx([0.014, 0.015])
    assert (cut.wait, cut.load) == (1.0, 2.0)
    assert kept.queued_peak == cut.queued_peak == 6 * MIB
    assert cut.ready_wait == kept.ready_wait


def test_a_device_that_learned_late_that_it_is_ready_was_ready_before(story: Story) -> None:
    """Where the config travels on the main channel, so does the word on where the data ends."""

    def late(event: Event) -> Event:
        return (
            replace(event, fields=event.fields | {"idle": 0.007}) if event.event == "config_ready" else event
        )

    assert story.spoil(late).result().devices[0].ready_wait == pytest.approx(0.020)


def test_a_config_loaded_after_the_load_thread_ended_is_part_of_the_total(story: Story) -> None:
    """As under ``non-iterable``, where the incoming thread loads it."""
    first = story.move("vfio_load_bufs_thread_end", -25).result().devices[0]
    assert first.total == pytest.approx(0.059)


def test_what_went_over_the_main_channel_is_what_the_save_said_of_itself(story: Story) -> None:
    story.without("vfio_save_device_state_buffer", "multifd_send_packet", "multifd_recv_packet")
    result = story.result()
    assert result.devices[0].sent_bytes == 3 * MIB
    assert result.channels == ()
    assert story.without("vfio_save_complete_precopy_thread_end").result().devices[0].sent_bytes == 0


def test_a_device_without_state_has_no_throughput(story: Story) -> None:
    def empty(event: Event) -> Event:
        loads = event.event.endswith(("load_start", "load_end"))
        return replace(event, fields=event.fields | {"bytes": 0}) if loads else event

    assert story.spoil(empty).result().throughput.device_state is None


def test_channels_share_what_was_sent(story: Story) -> None:
    zero, one = story.result().channels
    assert (zero.packets, zero.bytes, zero.device_bytes) == (5, 5 * MIB, 4 * MIB)
    assert (one.packets, one.bytes, one.device_bytes) == (3, 3 * MIB, 2 * MIB)
    assert zero.share == pytest.approx(5 / 8)


def test_the_bql_is_accounted_per_holder_and_a_sides_own_sum_is_exact(story: Story) -> None:
    story.dst(187, "bql_total", holder="incoming", seconds=0.5)
    incoming, load, _ = story.result().bql
    assert (incoming.holder, incoming.seconds, incoming.times, incoming.longest) == ("incoming", 0.5, 0, 0.5)
    assert (load.times, load.side) == (1, "destination")
    assert load.seconds == pytest.approx(0.0095)


def test_throughput_is_bytes_over_the_time_they_took(story: Story) -> None:
    rates = story.result().throughput
    assert rates.device_state == pytest.approx(6 * MIB / 0.029)  # 106 to 135 ms
    assert rates.precopy == pytest.approx(2_000_000 / 0.080)


def suppressed(story: Story, limit: int) -> Result:
    """The result when each side's log keeps so many details."""
    logs = []
    for told in (story.source, story.destination):
        log = EventLog(told[0].side, limit)
        for event in sorted(told, key=lambda event: event.t):
            log.sink(event.event, event.t, event.thread, event.fields)
        logs.append(log.events())
    return results.build_result(join(*logs), story.scenario, RunEnd())


def test_sums_do_not_depend_on_how_many_details_were_kept(story: Story) -> None:
    whole = story.result()
    cut = suppressed(story, 5)
    assert cut.suppressed_events == (2 + 12 - 5) + (24 - 5)
    assert cut.channels == whole.channels
    for device, full in zip(cut.devices, whole.devices, strict=True):
        assert (device.data_bytes, device.buffers) == (full.data_bytes, full.buffers)
    assert not cut.broken()


def test_when_the_destination_died_the_source_tells_what_it_knows(story: Story) -> None:
    last_words = {name: index for index, name in enumerate(CHECKPOINTS)}
    story.spoil(lambda event: None if last_words.get(event.get("checkpoint"), 0) > 2 else event)
    story.destination.clear()
    story.src(160, "error", message="main channel: the destination closed the connection")
    end = RunEnd(1, ("destination was ended by signal 9",), {"source": 1, "destination": -9})
    result = story.result(end)
    assert (result.verdict, result.exit_code, result.missing) == ("failed", 1, ("destination",))
    assert result.reasons == (
        "source: main channel: the destination closed the connection",
        "destination was ended by signal 9",
    )
    assert result.times.downtime is None
    assert result.times.parts.save_iterables == pytest.approx(0.040)
    assert result.times.parts.save_non_iterables is None
    assert result.devices[0].sent_bytes == 3 * MIB
    assert result.devices[0].load is None


def test_nothing_at_all_is_a_failed_result_too(untold: Story) -> None:
    result = untold.result(RunEnd(1, ("no peer",)))
    assert (result.verdict, result.runnable, result.missing) == (
        "failed",
        "unknown",
        ("source", "destination"),
    )
    assert [device.data_bytes for device in result.devices] == [0, 0]


def test_a_broken_invariant_fails_a_run_whose_processes_saw_nothing(story: Story) -> None:
    result = story.move("vfio_load_device_config_state_start", -30).result()
    assert (result.verdict, result.exit_code) == ("failed", 1)
    assert any(
        reason.startswith("config-last: BROKEN, device 0000:00:01.0/vfio") for reason in result.reasons
    )


@pytest.mark.parametrize(
    ("source", "destination", "side"),
    [(True, False, "source"), (False, True, "destination"), (True, True, "both"), (False, False, "none")],
)
def test_the_last_word_of_each_side_says_which_vm_may_run(
    untold: Story, *, source: bool, destination: bool, side: str
) -> None:
    untold.src(0, "vm_state", running=True, runnable=not source)
    untold.src(1, "vm_state", running=False, runnable=source)
    untold.dst(1, "vm_state", running=False, runnable=destination)
    assert untold.result().runnable == side


def test_a_result_is_read_back_equal_and_says_its_schema(story: Story, tmp_path: Path) -> None:
    result = story.result()
    results.save(result, tmp_path / "result.json")
    assert results.load(tmp_path / "result.json") == result
    assert json.loads((tmp_path / "result.json").read_text())["schema"] == "migemu.result/1"


def test_a_file_that_is_no_result_is_refused_with_the_place(story: Story, tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    with pytest.raises(UsageError, match="cannot read the result"):
        results.load(path)
    body = story.result().model_dump(mode="json") | {"schema": "migemu.result/2"}
    path.write_text(json.dumps(body))
    with pytest.raises(UsageError, match=r"not a result of this version: schema: "):
        results.load(path)


def test_the_json_schema_names_every_key_a_result_has(story: Story) -> None:
    schema = results.json_schema()
    result = story.result().model_dump(mode="json")
    assert schema["properties"].keys() == result.keys()
    assert schema["properties"]["schema"]["const"] == "migemu.result/1"
    device = schema["$defs"]["DeviceResult"]
    assert device["properties"].keys() == result["devices"][0].keys()
    assert device["additionalProperties"] is False
