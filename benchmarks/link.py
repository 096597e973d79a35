"""Do the program's pacing and the kernel's own rate agree? One workload over both, in interleaved pairs.

``migemu run --link rate=R`` paces in the program; ``migemu netns --rate R run`` has the kernel hold a veth
to R. Measured at the destination: bytes of all multifd packets over the time from the first to the last.
The kernel counts headers: of 1514 bytes on the veth 1448 are ours, so 0.956 is what to expect. Also
measured: the ceiling of one channel and the delay, against what was set.

Run it as root from the project's root: ``python -m benchmarks.link [--rates '200 Mbit/s' ...] [--pairs N]``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.turns import in_turns

from migemu.observe.stats import median_interval
from migemu.scenario import format_rate, parse_rate

PAYLOAD = 1448 / 1514
"""TCP payload in a full Ethernet frame with time stamps: what a rate that counts headers leaves."""

WORKLOAD = (
    "ram.size=32 MiB",
    "ram.dirty_rate=0 B/s",
    "ram.working_set=1 MiB",
    "devices=2",
    "device.*.state_size=32 MiB",
    "device.*.write_rate=unlimited",
    "device.*.config_load_time=0",
    "migration.switchover_ack=false",
    "device.*.precopy=false",
)


def run(*words: str, link: str | None = None) -> list[dict[str, Any]]:
    """A migration's events."""
    with tempfile.TemporaryDirectory() as folder:
        sets = [word for setting in WORKLOAD for word in ("--set", setting)]
        paced = ["--link", link] if link is not None else []
        command = [sys.executable, "-m", "migemu", *words, "run", *sets, *paced, "--out", folder]
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
        if done.returncode:
            sys.exit(f"{' '.join(command)}: {done.stderr or done.stdout}")
        return [json.loads(line) for line in (Path(folder) / "events.jsonl").read_text().splitlines()]


def achieved(events: list[dict[str, Any]], channel: int | None = None) -> float:
    """Bytes a second at the destination, of one channel or of all."""
    packets = [e for e in events if e["event"] == "multifd_recv_packet" and channel in (None, e["channel"])]
    data = [packet for packet in packets if packet["bytes"]]  # the first SYNCs come long before
    size: int = sum(packet["bytes"] for packet in data[1:])
    begin, end = data[0]["t"], data[-1]["t"]
    return size / float(end - begin)


def paced(rate: str) -> float:
    """Bytes a second where the program paces."""
    return achieved(run(link=f"rate={rate}"))


def held(rate: str) -> float:
    """Bytes a second where the kernel holds a veth to the rate."""
    return achieved(run("netns", "--rate", rate))


def rates(wanted: list[str], pairs: int) -> None:
    """The link's rate, by both."""
    heads = ("--link / rate", "netns / rate", "--link / netns")
    print(f"\nexpected of netns / rate: {PAYLOAD:.3f}\n{'rate':>14}", *(f"{head:>23}" for head in heads))
    for text in wanted:
        rate = parse_rate(text)
        both = in_turns(pairs, partial(paced, text), partial(held, text))
        found = [(ours / rate, kernel / rate, ours / kernel) for ours, kernel in both]
        shown = [median_interval([pair[place] for pair in found], 1) for place in range(3)]
        print(f"{format_rate(rate):>14}", *(f"{i.median:8.3f} [{i.low:.3f}, {i.high:.3f}]" for i in shown))


def ceilings(wanted: list[str], pairs: int) -> None:
    """One channel's ceiling, by the kernel's pacing of its socket."""
    print(f"\n{'per_channel':>14} {'each channel / ceiling':>26}")
    for text in wanted:
        found = []
        for _ in range(pairs):
            events = run(link=f"per_channel={text}")
            found += [achieved(events, channel) / parse_rate(text) for channel in range(6)]
        shown = median_interval(found, 1)
        print(f"{text:>14} {shown.median:12.3f}, at most {max(found):.3f}")


def delays(wanted: list[str], pairs: int) -> None:
    """The smallest round trip of a clock measurement, over twice the delay."""
    print(f"\n{'delay':>14} {'round trip ms':>16}")
    for text in wanted:
        trips = []
        for _ in range(pairs):
            events = run(link=f"delay={text}")
            trips.append(min(event["rtt"] for event in events if event["event"] == "clock_offset"))
        print(f"{text:>14} {median_interval(trips, 1).median * 1000:16.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rates", nargs="*", default=["200 Mbit/s", "500 Mbit/s", "1 Gbit/s", "2 Gbit/s"])
    parser.add_argument("--ceilings", nargs="*", default=["50 Mbit/s", "200 Mbit/s"])
    parser.add_argument("--delays", nargs="*", default=["1 ms", "10 ms"])
    parser.add_argument("--pairs", type=int, default=10)
    chosen = parser.parse_args()
    rates(chosen.rates, chosen.pairs)
    ceilings(chosen.ceilings, chosen.pairs)
    delays(chosen.delays, chosen.pairs)


if __name__ == "__main__":
    main()
