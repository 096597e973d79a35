"""What two QEMUs left behind, put together: no process is needed to see that it is judged rightly."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from migemu.errors import PeerTimeoutError
from migemu.qemu import tracelog
from migemu.qemu.pairlog import PairLog
from migemu.qemu.standin import DeviceFile, StandIn
from migemu.scenario import loads
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.observe.model import Result

DEVICE = "0000:00:01.0/vfio"
SCENARIO = f'[[device]]\nid = "{DEVICE[:-5]}"\nstate_size = 1500\n'

SOURCE = """\
1@9.6:runstate_set current_run_state 6 (prelaunch) new_state 9 (running)
1@10.0:vmstate_downtime_checkpoint src-downtime-start
1@10.05:runstate_set current_run_state 9 (running) new_state 7 (finish-migrate)
1@10.1:vmstate_downtime_checkpoint src-vm-stopped
"""
DESTINATION = """\
1@9.0:migrate_set_state new state setup
7@10.2:vfio_load_state_device_buffer_load_start  (device0) idx 0
7@10.3:vfio_load_state_device_buffer_load_end  (device0) idx 0
7@10.4:vfio_load_device_config_state_start  (device0)
7@10.5:vfio_load_device_config_state_end  (device0)
1@10.55:runstate_set current_run_state 5 (inmigrate) new_state 9 (running)
1@10.6:vmstate_downtime_checkpoint dst-precopy-bh-vm-started
"""


def data(direction: str, size: int = 1500, digest: str = "aa") -> dict[str, Any]:
    return {"event": "vfio_migration_data", "direction": direction, "bytes": size, "xxh64": digest}


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> PairLog:
    monkeypatch.setattr(tracelog, "wall_offset", lambda: 0.0)
    log = PairLog(loads(SCENARIO, "test"), "load-thread", NativeThreads())
    log.begin(9.5)
    log.vm("source", 10.7, running=False, runnable=False)
    return log


def left(folder: Path, side: str, trace: str, *told: dict[str, Any]) -> tuple[Path, StandIn]:
    """The files of a process."""
    standin = StandIn(folder / side, [DeviceFile(DEVICE, 1500)])
    lines = [json.dumps({"t": 10.15, "device": DEVICE} | one) for one in told]
    (folder / side / "events.jsonl").write_text("".join(f"{line}\n" for line in lines))
    (folder / f"{side}.trace").write_text(trace)
    return folder / f"{side}.trace", standin


def outcome(
    log: PairLog, folder: Path, took: dict[str, Any] | None, gave: dict[str, Any] | None = None
) -> Result:
    """Collect both sides; the source gave 1500 bytes in one packet unless said otherwise."""
    packet = {"event": "vfio_save_device_state_buffer", "idx": 0, "bytes": 1500}
    log.collect("source", *left(folder, "source", SOURCE, packet, gave or data("save")))
    log.collect("destination", *left(folder, "destination", DESTINATION, *([took] if took else [])))
    return log.finish()[1]


def test_a_device_whose_digest_agrees_is_verified(log: PairLog, tmp_path: Path) -> None:
    result = outcome(log, tmp_path, data("load"))
    assert (result.verdict, [check.ok for check in result.verification]) == ("completed", [True])
    assert result.devices[0].data_bytes == 1500


@pytest.mark.parametrize("took", [data("load", digest="bb"), data("load", size=1499), None])
def test_one_whose_bytes_differ_fails_the_run(
    log: PairLog, tmp_path: Path, took: dict[str, Any] | None
) -> None:
    result = outcome(log, tmp_path, took)
    assert (result.verdict, [check.ok for check in result.verification]) == ("failed", [False])
    assert any("data-intact" in reason and DEVICE in reason for reason in result.reasons)


def test_what_was_before_the_migration_is_not_part_of_it(log: PairLog, tmp_path: Path) -> None:
    outcome(log, tmp_path, data("load"))
    events, result = log.finish()
    assert not [event for event in events if event.get("state") == "setup"]
    assert result.times.downtime == pytest.approx(0.6)


def test_nor_is_what_came_after_its_end(log: PairLog, tmp_path: Path) -> None:
    log.end(10.4)
    assert outcome(log, tmp_path, data("load")).times.parts.start is None


def test_the_vm_stops_on_one_side_and_starts_on_the_other(log: PairLog, tmp_path: Path) -> None:
    assert outcome(log, tmp_path, data("load")).runnable == "destination"


def test_two_vms_that_run_at_a_time_break_the_invariant(log: PairLog, tmp_path: Path) -> None:
    early = DESTINATION.replace("10.55:runstate", "10.01:runstate")
    log.collect("source", *left(tmp_path, "source", SOURCE, data("save")))
    log.collect("destination", *left(tmp_path, "destination", early, data("load")))
    assert "one-vm-runs" in {check.name for check in log.finish()[1].broken()}


def test_a_failure_is_the_reason_and_nothing_is_compared(log: PairLog, tmp_path: Path) -> None:
    log.failed(PeerTimeoutError("no end", side="source"))
    result = outcome(log, tmp_path, None)
    assert (result.verdict, result.exit_code, result.verification) == ("failed", 1, ())
    assert result.reasons[0] == "source: no end"


def test_a_killed_process_breaks_the_promise_that_all_end(log: PairLog, tmp_path: Path) -> None:
    log.ended("source", killed=False)
    log.ended("destination", killed=True)
    assert [check.name for check in outcome(log, tmp_path, data("load")).broken()] == ["ends"]


def test_a_process_that_left_nothing_leaves_the_rest(log: PairLog, tmp_path: Path) -> None:
    log.collect("source", tmp_path / "nonesuch", StandIn(tmp_path / "source", []))
    assert log.finish()[1].verdict == "failed"
