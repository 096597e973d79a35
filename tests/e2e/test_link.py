"""A slower link over real sockets: what arrives in a span is never more than the link carries in it."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from e2e.sides import Bench, migemu

if TYPE_CHECKING:
    from pathlib import Path

MBIT = 1e6 / 8

FIRST_BURST = 10 * 65_536
"""Bytes: TCP's first window on loopback's large segments, which the kernel does not pace."""


def arrivals(bench: Bench, out: Path, *link: str) -> tuple[list[dict[str, Any]], float]:
    """Packets as they came in at the destination, and when the source was connected."""
    done = migemu("run", str(bench.config), "--link", *link, "--out", str(out))
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in (out / "events.jsonl").read_text().splitlines()]
    begin = next(event["t"] for event in events if event["event"] == "connected")
    return [event for event in events if event["event"] == "multifd_recv_packet"], begin


@pytest.mark.parametrize("handoff", ["load-ready", "main-channel"])
def test_all_connections_together_keep_to_the_rate(bench: Bench, tmp_path: Path, handoff: str) -> None:
    bench.config.write_text(bench.config.read_text().replace("[ram]", f'handoff = "{handoff}"\n[ram]', 1))
    packets, begin = arrivals(bench, tmp_path / "out", "rate=300 Mbit/s")
    received = 0
    for packet in packets:
        received += packet["bytes"]
        assert received <= 300 * MBIT * (packet["t"] - begin)
    assert received > 5e6


def test_each_connection_keeps_to_its_ceiling(bench: Bench, tmp_path: Path) -> None:
    packets, begin = arrivals(bench, tmp_path / "out", "per_channel=60 Mbit/s")
    received: Counter[int] = Counter()
    for packet in packets:
        received[packet["channel"]] += packet["bytes"]
    end = packets[-1]["t"]
    assert len(received) == 3
    assert all(size <= FIRST_BURST + 60 * MBIT * (end - begin) for size in received.values())
    assert sum(received.values()) > 3 * FIRST_BURST  # or the ceiling was never met


def test_a_delay_is_there_on_both_ways_and_everything_still_arrives(bench: Bench, tmp_path: Path) -> None:
    _, _ = arrivals(bench, tmp_path / "out", "delay=15 ms")
    result = json.loads((tmp_path / "out" / "result.json").read_text())
    assert result["verdict"] == "completed"
    assert result["times"]["clock_error"] >= 0.015  # half of the smallest round trip
    assert all(verified["ok"] for verified in result["verification"])


def test_a_link_that_is_no_link_is_refused(bench: Bench) -> None:
    done = migemu("run", str(bench.config), "--link", "speed=10 Gbit/s")
    assert done.returncode == 2
    assert "write rate=10 Gbit/s, per_channel=1.5 Gbit/s, delay=1 ms" in done.stderr
