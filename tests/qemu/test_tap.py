"""The tap between two real QEMUs, and between two of ours: nothing is harmed, everything is named."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from typing import TYPE_CHECKING, Any

import pytest

from migemu.lab.capture import Capture
from migemu.lab.capture_rows import rows
from migemu.lab.capture_write import CaptureWriter
from migemu.qemu import pair
from migemu.qemu.pair import PairOptions
from migemu.qemu.tap import through
from migemu.qemu.tap_ruled import RuledTap
from migemu.qemu.tap_watch import Watch
from migemu.threads.native import NativeThreads
from peering.bench import LIMIT, qemu, scenario

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from migemu.qemu.binary import Launcher
    from migemu.qemu.pair import Outcome
    from migemu.scenario import Scenario

NAMES = [f"0000:00:{n:02x}.0/vfio" for n in range(1, 5)]


async def tapped(
    asked: Scenario, folder: Path, source: Launcher, destination: Launcher, watch: Watch, **more: Any
) -> Outcome:
    tapes = more.pop("tapes", None)
    options = PairOptions(source, destination, through=through(watch, tapes), limit=LIMIT, **more)
    return await pair.migrate(asked, folder, options)


def problems(outcome: Outcome, watch: Watch) -> list[Any]:
    """What is wrong: nothing, when the pair verified all and the tap read all."""
    unverified = [one for one in outcome.result.verification if not one.ok]
    return [
        *outcome.result.reasons,
        *unverified,
        *watch.unseen,
        *([] if watch.completed else ["not completed"]),
    ]


@pytest.mark.qemu
async def test_four_devices_pass_unharmed_and_every_packet_is_named(
    vfio_qemu: Launcher, tmp_path: Path
) -> None:
    watch = Watch()
    outcome = await tapped(scenario(devices=4, channels=4), tmp_path, vfio_qemu, vfio_qemu, watch)
    assert problems(outcome, watch) == []
    assert len(outcome.result.verification) == 5  # RAM and four devices, by what the QEMUs themselves have
    named = sorted((packet.device, packet.idx, packet.config) for packet in watch.packets)
    assert named == [(name, idx, idx == 3) for name in NAMES for idx in range(4)]
    assert {packet.channel for packet in watch.packets} <= {0, 1, 2, 3}
    assert watch.main.runstate == "running"


@pytest.mark.qemu
@pytest.mark.parametrize(
    ("source", "destination", "channels"), [(7, 7, 4), (7, 10, 4), (10, 11, 16), (11, 10, 1), (11, 11, 64)]
)
async def test_any_two_versions_with_any_channels(
    tmp_path: Path, source: int, destination: int, channels: int
) -> None:
    devices = 2 if min(source, destination) >= 10 else 0
    watch, asked = Watch(), scenario(devices=devices, channels=channels)
    outcome = await tapped(asked, tmp_path, qemu(source), qemu(destination), watch)
    assert problems(outcome, watch) == []
    assert watch.channels == set(range(channels))
    assert len(watch.packets) == 4 * devices


@pytest.mark.qemu
@pytest.mark.parametrize("how", ["no multifd", "no way back", "unix socket", "pre-copy"])
async def test_however_they_are_set_up(vfio_qemu: Launcher, tmp_path: Path, how: str) -> None:
    parts: dict[str, Any] = {"devices": 2}
    if how == "no way back":
        parts |= {"migration": "return_path = false", "devices": 0}
    elif how == "pre-copy":
        parts |= {"migration": "switchover_ack = true", "device": 'precopy = true\ninitial_size = "1 MiB"'}
    options: dict[str, Any] = {"multifd": how != "no multifd"}
    if how == "unix socket":
        options["uri"] = f"unix:{tmp_path}/socket"
    watch = Watch()
    outcome = await tapped(scenario(**parts), tmp_path, vfio_qemu, vfio_qemu, watch, **options)
    assert problems(outcome, watch) == []
    assert {packet.device for packet in watch.packets} == set(NAMES[: parts["devices"]])


@pytest.mark.qemu
async def test_what_it_records_is_a_capture_like_any_other(vfio_qemu: Launcher, tmp_path: Path) -> None:
    watch, kept, asked = Watch(), tmp_path / "capture", scenario(devices=2, channels=3)
    tapes = CaptureWriter(kept, asked, NativeThreads().now)
    outcome = await tapped(asked, tmp_path, vfio_qemu, vfio_qemu, watch, tapes=tapes)
    assert tapes.finish() is None
    assert problems(outcome, watch) == []
    read = list(rows(Capture(kept)))
    assert [row.said["device"] for row in read if row.record == "DevicePacket"].count(NAMES[0]) == 4
    answers = [row.said["name"] for row in read if row.channel == "return"]
    assert (answers[0], answers[-1]) == ("PONG", "SHUT")


RULES = """
[[order]]
name = "last-first"
type = "before"
required = true
select = { device = "0000:00:01.0", flag = "config" }
attributes = { packet = { device = "0000:00:01.0", idx = 0 }, timeout = "3 s" }
"""


def under(asked: Scenario, watch: Watch, taps: list[RuledTap]) -> Any:
    """A tap with that scenario's rules, as a pair wants it."""

    @contextlib.asynccontextmanager
    async def between(address: str) -> AsyncIterator[str]:
        taps.append(RuledTap(address, watch, asked))
        yield await taps[0].listen()
        await taps[0].close()

    return between


@pytest.mark.qemu
async def test_a_real_destination_takes_a_config_before_its_first_data_packet(
    vfio_qemu: Launcher, tmp_path: Path
) -> None:
    """K2 of the wire's table, with a real source: the order is forced in between."""
    watch, asked, taps = Watch(), scenario(devices=2, channels=2, device=RULES), list[RuledTap]()
    options = PairOptions(vfio_qemu, vfio_qemu, through=under(asked, watch, taps), limit=LIMIT)
    outcome = await pair.migrate(asked.model_copy(update={"order": ()}), tmp_path, options)
    assert problems(outcome, watch) == []
    assert taps[0].error is None
    order = [packet.idx for packet in watch.packets.of(NAMES[0])]
    assert order.index(3) < order.index(0)


async def started(*command: str) -> asyncio.subprocess.Process:
    """One of our processes."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "migemu", *command, stdout=asyncio.subprocess.PIPE, limit=1 << 22
    )


async def listening(process: asyncio.subprocess.Process) -> str:
    """Where it says that it listens."""
    assert process.stdout is not None
    async for line in process.stdout:
        event = json.loads(line)
        if event["event"] == "listening":
            return f"{event['host']}:{event['port']}"
    pytest.fail("it ended without listening")


@pytest.mark.parametrize("rules", ["", RULES])
async def test_two_of_ours_cannot_tell_that_it_is_there(tmp_path: Path, rules: str) -> None:
    """And the tap's own verb keeps events, result and packets."""
    config, out, ruled = tmp_path / "two.toml", tmp_path / "out", tmp_path / "rules.toml"
    config.write_text(
        'handoff = "load-thread"\n[platform]\nneeds_interrupt_controller = false\n'
        '[ram]\nsize = "4 MiB"\nworking_set = "1 MiB"\n[[device]]\ncount = 2\nstate_size = "3000000 B"\n'
    )
    ruled.write_text(rules)
    more = ["--rules", str(ruled)] if rules else []
    anywhere = ("--listen", "127.0.0.1:0")
    destination = await started("destination", str(config), *anywhere, "--json")
    address = await listening(destination)
    tap = await started("tap", *anywhere, "--connect", address, "--out", str(out), "--json", *more)
    source = await started("source", str(config), "--connect", await listening(tap), "--json")
    for process in (source, destination, tap):
        await asyncio.wait_for(process.communicate(), LIMIT)
    assert [source.returncode, destination.returncode, tap.returncode] == [0, 0, 0]
    assert json.loads((out / "result.json").read_text())["verdict"] == "completed"
    named = (out / "packets.txt").read_text().splitlines()
    assert [line.split()[0] for line in named].count(NAMES[1]) == 4
    reported = await started("report", str(out))
    assert await asyncio.wait_for(reported.wait(), LIMIT) == 0
    page = (out / "report.html").read_text()
    assert all(line in page for line in named)  # and the devices' own table has what went by
    assert page.count("2.86 MiB") >= 2
