"""Two sides kept apart, put together: one result, on one clock, or a word about why not."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

SMALL = ("--set", "devices=1", "--set", "device.*.state_size=2 MiB", "--set", "ram.size=64 MiB")


def migemu(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "migemu", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def migrate(folder: Path, *settings: str) -> tuple[Path, Path]:
    """The two processes by hand, asked by a probe in between; the folders they kept."""
    source, destination = folder / "source", folder / "destination"
    words = [sys.executable, "-m", "migemu", "destination", "--listen", "127.0.0.1:0", "--json"]
    with subprocess.Popen(
        [*words, "--out", str(destination), *SMALL, *settings], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        told = map(json.loads, process.stdout)
        listening = next(event for event in told if event["event"] == "listening")
        address = f"{listening['host']}:{listening['port']}"
        assert "waits for its source" in migemu("probe", address).stdout
        migemu("source", "--connect", address, "--json", "--out", str(source), *SMALL, *settings)
        process.stdout.read()
    return source, destination


def test_the_joined_result_knows_what_neither_side_could(tmp_path: Path) -> None:
    source, destination = migrate(tmp_path)
    done = migemu("join", str(source), str(destination), "--out", str(tmp_path / "both"))
    assert done.returncode == 0, done.stdout + done.stderr
    alone, both = (json.loads((folder / "result.json").read_text()) for folder in (source, tmp_path / "both"))
    assert (alone["times"]["downtime"], alone["missing"]) == (None, ["destination"])
    assert both["times"]["downtime"] > 0
    assert both["missing"] == []
    assert {check["ok"] for check in both["verification"]} == {True}
    assert both["runnable"] == "destination"


def test_a_failed_migration_joins_to_a_failure(tmp_path: Path) -> None:
    source, destination = migrate(tmp_path, "--set", "device.0.injected.write_error_at=1 MiB")
    done = migemu("join", str(source), str(destination))
    assert done.returncode == 1
    assert "Input/output error" in done.stdout


def test_sides_of_two_migrations_are_not_one(tmp_path: Path) -> None:
    source, _ = migrate(tmp_path / "first")
    _, destination = migrate(tmp_path / "second")
    done = migemu("join", str(source), str(destination))
    assert done.returncode == 1
    assert "two different migrations" in done.stderr


@pytest.mark.parametrize("missing", ["events.jsonl", "result.json", "scenario.toml"])
def test_a_folder_that_is_not_a_sides_is_told_by_the_file_it_lacks(tmp_path: Path, missing: str) -> None:
    for name, text in (("events.jsonl", ""), ("result.json", '{"exit_code": 0}'), ("scenario.toml", "")):
        if name != missing:
            (tmp_path / name).write_text(text)
    done = migemu("join", str(tmp_path), str(tmp_path))
    assert done.returncode == 2
    assert missing in done.stderr
