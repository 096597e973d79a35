"""Memory is bounded by configuration, not by the size of the state."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from e2e.sides import migemu

if TYPE_CHECKING:
    from pathlib import Path

MIB = 1 << 20
CAP = 32 * MIB
ROOM = 8 * MIB
CHANNELS = 4

SLOW_CHANNEL = f"""
[platform]
needs_interrupt_controller = false
[ram]
size = "1 MiB"
working_set = "1 MiB"
[migration]
channels = {CHANNELS}
[limits]
queue_per_device = {CAP // 4}
queue_total = {CAP}
order_room = {ROOM}
[[device]]
count = 4
state_size = "192 MiB"
transition_times = {{ STOP_COPY = "100 ms" }}
[[order]]
name = "slow-channel"
type = "delay"
required = true
select = {{ channel = 1, flag = "data" }}
attributes = {{ latency = "5 ms" }}
"""


def test_one_slow_channel_does_not_make_the_destination_hold_what_the_others_bring(tmp_path: Path) -> None:
    config, out = tmp_path / "slow.toml", tmp_path / "out"
    config.write_text(SLOW_CHANNEL)
    done = migemu("run", str(config), "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    devices = json.loads((out / "result.json").read_text())["devices"]
    assert max(device["queued_peak"] for device in devices) <= CAP // 4
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    told = [e for e in events if e["event"] == "progress" and e["side"] == "destination" and "memory" in e]
    grown = max(e["memory"] for e in told) - told[0]["memory"]
    in_flight = 2 * CHANNELS * MIB  # a packet half read on each channel, and its socket's landing area
    assert (
        grown <= CAP + ROOM + in_flight + 48 * MIB
    )  # and what the program itself comes to need: events, code
