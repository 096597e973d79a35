"""A migration between two processes: what must have arrived, and what it leaves behind."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest

from e2e.sides import Bench, migemu

if TYPE_CHECKING:
    from pathlib import Path


def test_two_processes_migrate_and_agree_on_every_digest(bench: Bench) -> None:
    destination, address = bench.destination()
    source = bench.source(address)
    assert source.finish() == (0, "")
    assert destination.finish() == (0, "")
    verified = destination.named("verify")
    assert [v["ok"] for v in verified] == [True] * 5  # data and config of two devices, RAM
    assert source.last_vm() == (False, False)
    assert destination.last_vm() == (True, True)


def test_run_keeps_result_events_and_the_scenario_that_reproduces_it(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "kept"
    done = migemu("run", str(bench.config), "--set", "seed=9", "--out", str(out))
    assert done.returncode == 0, done.stderr
    result = json.loads((out / "result.json").read_text())
    assert result["verdict"] == "completed"
    assert result["runnable"] == "destination"
    assert all(check["ok"] is not False for check in result["invariants"])
    scenario = tomllib.loads((out / "scenario.toml").read_text())
    assert scenario["seed"] == 9
    times = [json.loads(line)["t"] for line in (out / "events.jsonl").read_text().splitlines()]
    assert times == sorted(times)
    again = migemu("run", str(out / "scenario.toml"))
    assert again.returncode == 0, again.stderr


def test_json_is_one_object_a_line_from_both_sides(bench: Bench) -> None:
    done = migemu("run", str(bench.config), "--json")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert {event["side"] for event in events} == {"source", "destination"}
    assert {event["v"] for event in events} == {1}
    assert done.returncode == 0


def test_state_and_config_are_any_files_and_arrive_byte_for_byte(tmp_path: Path) -> None:
    state, config, kept = tmp_path / "vf.bin", tmp_path / "vf.config", tmp_path / "loaded.bin"
    state.write_bytes(bytes(range(251)) * 9000)
    config.write_bytes(b"\x07" * 333)
    scenario = tmp_path / "files.toml"
    scenario.write_text(
        '[ram]\nsize = "1 MiB"\nworking_set = "1 MiB"\n[migration]\nchannels = 2\npacket_size = "64 KiB"\n'
        f'[[device]]\nstate = "{state}"\nconfig = "{config}"\nkeep = "{kept}"\n'
    )
    done = migemu("run", str(scenario))
    assert done.returncode == 0, done.stderr + done.stdout
    assert kept.read_bytes() == state.read_bytes()


@pytest.mark.parametrize(
    "overrides",
    [
        ["channels=1"],
        ["channels=17", "devices=5"],
        ["device.*.state_size=0"],
        ["device.*.config_size=0"],
        ["ram.size=0", "ram.working_set=0"],
        ["handoff=non-iterable"],
        ["digest=sha256"],
        ["device.*.injected.partial_writes=true", "device.*.injected.read_partial=true"],
        ["device.*.precopy=true", "device.*.initial_size=300 KiB", "migration.switchover_ack=true"],
        ["device.*.p2p=false", "migration.packet_size=4 KiB"],
    ],
    ids=" ".join,
)
def test_every_shape_of_scenario_ends_verified(bench: Bench, overrides: list[str]) -> None:
    sets = [word for override in overrides for word in ("--set", override)]
    done = migemu("run", str(bench.config), *sets)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "digests agree" in done.stdout


def test_the_channels_may_be_throttled_by_a_queue_cap_of_a_few_packets(bench: Bench, tmp_path: Path) -> None:
    out = tmp_path / "capped"
    # Data may come before RAM's last SYNC: no packet behind a SYNC is needed before one in front of another.
    caps = (
        "limits.queue_per_device=256 KiB",
        "limits.queue_total=512 KiB",
        "device.*.write_rate=20 MB/s",
        "device.*.transition_times.STOP_COPY=0",
    )
    sets = [word for cap in caps for word in ("--set", cap)]
    done = migemu("run", str(bench.config), *sets, "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    peaks = [device["queued_peak"] for device in json.loads((out / "result.json").read_text())["devices"]]
    assert max(peaks) <= 256 * 1024


def test_a_cap_that_fails_as_qemu_does_names_itself_on_both_sides(bench: Bench) -> None:
    config = ("--set", "limits.on_cap=fail", "--set", "limits.queue_per_device=128 KiB")
    slow = ("--set", "device.*.write_rate=5 MB/s")
    destination, address = bench.destination(*config, *slow)
    source = bench.source(address)
    code, said = destination.finish()
    assert code == 1
    assert "queue_per_device" in said
    code, said = source.finish()
    assert code == 1
    assert "queue_per_device" in said
    assert source.last_vm() == (True, True)
    assert destination.last_vm() == (False, False)
