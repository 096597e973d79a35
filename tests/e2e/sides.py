"""Real processes on real sockets: what the end-to-end stories share."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 60
"""Seconds any process of a story has; none comes near unless it hangs."""

SMALL = """
name = "small"
[ram]
size = "8 MiB"
dirty_rate = "4 MiB/s"
working_set = "2 MiB"
[migration]
channels = 3
packet_size = "64 KiB"
[platform]
interrupt_controller_load_time = "1 ms"
[timeouts]
connect = "10 s"
phase = "3 s"
[[device]]
count = 2
state_size = "3 MiB"
config_size = 700
config_load_time = "2 ms"
"""


@dataclass
class Side:
    """One process of a migration and what it has said."""

    process: subprocess.Popen[str]
    folder: Path
    events: list[dict[str, Any]] = field(default_factory=list)

    def wait_for(self, name: str, **fields: Any) -> dict[str, Any]:
        """Read events until one of that name and those fields comes."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            event: dict[str, Any] = json.loads(line)
            self.events.append(event)
            if event["event"] == name and fields.items() <= event.items():
                return event
        pytest.fail(f"ended without {name} {fields}: {self.finish()}")

    def finish(self) -> tuple[int, str]:
        """Wait for the end; exit code and stderr."""
        out, err = self.process.communicate(timeout=LIMIT)
        self.events += [json.loads(line) for line in out.splitlines()]
        return self.process.returncode, err.strip()

    def named(self, name: str) -> list[dict[str, Any]]:
        """Every event of that name so far."""
        return [event for event in self.events if event["event"] == name]

    def last_vm(self) -> tuple[bool, bool]:
        """(running, runnable) as this side said last; a side that never spoke cannot run."""
        said = self.named("vm_state")
        return (said[-1]["running"], said[-1]["runnable"]) if said else (False, False)


@dataclass
class Bench:
    """Starts sides and leaves none behind."""

    folder: Path
    config: Path
    sides: list[Side] = field(default_factory=list)

    def start(self, *arguments: str) -> Side:
        """A migemu process that prints its events."""
        folder = self.folder / f"side{len(self.sides)}"
        command = [sys.executable, "-m", "migemu", *arguments, "--json", "--out", str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        side = Side(process, folder)
        self.sides.append(side)
        return side

    def destination(self, *more: str, host: str = "127.0.0.1") -> tuple[Side, str]:
        """A destination that listens, and where."""
        side = self.start("destination", str(self.config), "--listen", f"{host}:0", *more)
        event = side.wait_for("listening")
        return side, f"{event['host']}:{event['port']}"

    def source(self, address: str, *more: str) -> Side:
        """A source that migrates to `address`."""
        return self.start("source", str(self.config), "--connect", address, *more)


def migemu(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a verb to its end."""
    command = [sys.executable, "-m", "migemu", *arguments]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env=os.environ | (environ or {}),
    )


def eventually(predicate: Any, seconds: float = 10.0) -> bool:
    """Poll until `predicate()` holds; False when it did not within `seconds`."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if predicate():
            return True
        time.sleep(0.01)
    return False
