"""Record, decode, replay: a migration's bytes once more, into destinations of its own and of others."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from e2e.sides import SMALL, Bench, migemu

if TYPE_CHECKING:
    import subprocess

RECORDINGS = Path(__file__).parents[1] / "captures"

TINY = SMALL.replace("8 MiB", "2 MiB").replace("3 MiB", "512 KiB").replace('phase = "3 s"', 'phase = "2 s"')
DEVICE = "0000:00:01.0"


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small migration, recorded."""
    folder = tmp_path_factory.mktemp("recorded")
    config = folder / "tiny.toml"
    config.write_text(TINY)
    done = migemu("run", str(config), "--record", str(folder / "capture"))
    assert done.returncode == 0, done.stderr
    return folder / "capture"


def json_of(done: subprocess.CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_a_recording_decodes_to_everything_that_was_sent(capture: Path) -> None:
    told = json_of(migemu("decode", str(capture), "--json"))
    devices = [row for row in told if row["record"] == "DevicePacket"]
    assert sorted(row["idx"] for row in devices if row["device"] == f"{DEVICE}/vfio") == list(range(9))
    names = [row.get("name") for row in told if row["record"] in ("Command", "Message")]
    assert names.index("LOADED") < names.index("START") < names.index("SHUT")
    sizes = {path.name: path.stat().st_size for path in capture.glob("*.bin")}
    rows = {f"mfd{n}.bin": sum(row["bytes"] for row in told if row["channel"] == n) for n in range(3)}
    assert {name: sizes[name] for name in rows} == rows
    assert [row["t"] for row in told] == sorted(row["t"] for row in told)


def order(capture: Path) -> list[tuple[Any, ...]]:
    """Which packet of which channel arrived after which."""
    rows = json_of(migemu("decode", str(capture), "--json"))
    return [(r["channel"], r["offset"], r["record"]) for r in rows if r["bytes"] and r["channel"] != "return"]


def test_a_replay_is_verified_and_compared_with_what_was_loaded_then(capture: Path) -> None:
    done = migemu("replay", str(capture), "--json")
    assert done.returncode == 0, done.stderr
    told = json_of(done)
    assert told[-1]["ok"]
    assert told[-1]["replay"]["same"]
    assert told[-1]["replay"]["answers"]["SHUT"] == 1
    assert [event["ok"] for event in told if event.get("event") == "verify"] == [True] * 5
    followed = next(event for event in told if event.get("event") == "order_rule_ended")
    assert (followed["rule"], followed["ok"], followed["fired"]) == (
        "recorded-order",
        True,
        len(order(capture)),
    )


def test_every_replay_arrives_in_the_recorded_order(bench: Bench, capture: Path, tmp_path: Path) -> None:
    bench.config.write_text((capture / "scenario.toml").read_text())
    recorded = order(capture)
    for number in range(3):
        again = tmp_path / f"again{number}"
        side, address = bench.destination("--follow", str(capture), "--record", str(again))
        assert migemu("replay", str(capture), "--connect", address).returncode == 0
        assert side.finish() == (0, "")
        assert order(again) == recorded
        assert (again / "mfd1.bin").read_bytes() == (capture / "mfd1.bin").read_bytes()


def test_at_recorded_speed_it_takes_as_long_as_it_took(capture: Path) -> None:
    done = migemu("replay", str(capture), "--speed", "recorded", "--json")
    assert done.returncode == 0, done.stderr
    rows = json_of(migemu("decode", str(capture), "--json"))
    took = rows[-1]["t"] - rows[0]["t"]
    times = [event["t"] for event in json_of(done) if "t" in event]
    assert max(times) - min(times) >= took * 0.9


def test_it_plays_into_any_destination_that_listens(bench: Bench, capture: Path) -> None:
    bench.config.write_text((capture / "scenario.toml").read_text())
    destination, address = bench.destination()
    done = migemu("replay", str(capture), "--connect", address)
    assert done.returncode == 0, done.stderr
    assert "every digest agrees" in done.stdout
    assert destination.finish() == (0, "")
    assert destination.last_vm() == (True, True)


def test_a_byte_that_was_changed_in_between_is_found(capture: Path, tmp_path: Path) -> None:
    spoilt = tmp_path / "spoilt"
    shutil.copytree(capture, spoilt)
    raw = bytearray((spoilt / "mfd0.bin").read_bytes())
    raw[64 + 1344 + 1344 + 100] ^= 1  # a byte of a page: behind the hello, the SYNC and a packet's header
    (spoilt / "mfd0.bin").write_bytes(raw)
    done = migemu("replay", str(spoilt))
    assert done.returncode == 1
    assert "data-intact" in done.stderr
    assert "differs from what was saved: ram" in done.stderr


def test_rules_act_on_what_is_replayed(capture: Path, tmp_path: Path) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(
        f'{TINY}\n[[order]]\ntype = "drop"\nstream = "out"\nselect = {{ command = "SWITCHOVER_START" }}\n'
    )
    done = migemu("replay", str(capture), "--rules", str(rules))
    assert done.returncode == 1
    assert "the stream ended without SWITCHOVER_START" in done.stderr


def test_a_migration_that_failed_fails_again_in_the_same_way(tmp_path: Path) -> None:
    config, folder = tmp_path / "tiny.toml", tmp_path / "capture"
    config.write_text(
        f'{TINY}\n[[order]]\ntype = "truncate"\nstream = "out"\n'
        f'select = {{ device = "{DEVICE}", idx = 3 }}\nattributes = {{ bytes = 1000 }}\n'
    )
    first = migemu("run", str(config), "--record", str(folder))
    again = migemu("replay", str(folder))
    assert (first.returncode, again.returncode) == (1, 1)
    told = "the stream ended inside a DEVICE_STATE packet's data"
    assert told in first.stdout.replace("\n", " ").replace("                ", "")
    assert told in again.stderr


def test_a_recording_made_under_rules_is_played_under_the_same(tmp_path: Path) -> None:
    config, folder = tmp_path / "tiny.toml", tmp_path / "capture"
    config.write_text(
        f'{TINY}\n[[order]]\nname = "first"\ntype = "after"\nrequired = true\n'
        f'select = {{ device = "{DEVICE}", flag = "data" }}\n'
        f'attributes = {{ packet = {{ device = "{DEVICE}", flag = "config" }} }}\n'
    )
    assert migemu("run", str(config), "--record", str(folder)).returncode == 0
    done = migemu("replay", str(folder), "--json")
    assert done.returncode == 0, done.stderr
    ended = {event["rule"]: event for event in json_of(done) if event.get("event") == "order_rule_ended"}
    assert ended["first"]["ok"]
    assert ended["first"]["fired"] > 0
    assert ended["recorded-order"]["ok"]


@pytest.mark.parametrize(
    ("name", "packets"),
    [("qemu-7.2-none-2ch", 103), ("qemu-10.0-none-2ch", 34), ("qemu-10.0-none-0ch", 277)],
)
def test_what_a_real_qemu_sent_plays_into_our_destination(name: str, packets: int) -> None:
    done = migemu("replay", str(RECORDINGS / f"{name}.tar.xz"))
    assert done.returncode == 0, done.stderr
    assert f"replayed        {packets} packets" in done.stdout
    assert "dst-precopy-bh-vm-started" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["replay", "nowhere"], "there is no capture at nowhere"),
        (["replay", str(RECORDINGS / "README.md")], "holds no connection of a migration"),
        (["decode", str(RECORDINGS / "README.md")], "holds no connection of a migration"),
    ],
)
def test_what_is_no_capture_is_a_usage_error(arguments: list[str], said: str) -> None:
    done = migemu(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_nobody_listens(capture: Path) -> None:
    done = migemu("replay", str(capture), "--connect", "127.0.0.1:9")
    assert done.returncode == 1
    assert "no destination at 127.0.0.1:9" in done.stderr
