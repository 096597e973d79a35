"""Every pair of {QEMU 7.2, 10.0, 11.1, migemu} that exists: RAM and device bytes are identical.

Two of ours are tests/e2e's business. Devices travel where both ends know them: QEMU from 10.0 on.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import pytest

from migemu.qemu import pair
from migemu.qemu.pair import PairOptions
from peering.bench import ALL, LIMIT, qemu, receive, scenario
from peering.driving import loaded, to_devices, to_none

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.qemu

OURS = 0
"""Stands for migemu among QEMU's major versions."""

NAMES = {7: "QEMU 7.2", 10: "QEMU 10.0", 11: "QEMU 11.1", OURS: "migemu"}
MACHINES = {7: "7.2", 10: "10.0", 11: "11.1"}

PAIRS = [(source, destination) for source, destination in product(NAMES, NAMES) if source or destination]
SAMPLE = [(7, OURS), (11, OURS), (OURS, 10), (OURS, 7), (10, 11), (7, 10)]


def title(majors: tuple[int, int]) -> str:
    return " to ".join(NAMES[major].replace(" ", "-") for major in majors)


@pytest.mark.parametrize("channels", [1, 4, 16] if ALL else [4])
@pytest.mark.parametrize("majors", PAIRS if ALL else SAMPLE, ids=title)
async def test_ram_and_devices_are_identical(tmp_path: Path, majors: tuple[int, int], channels: int) -> None:
    source, destination = majors
    if destination == OURS:
        await from_qemu(source, tmp_path, channels)
    elif source == OURS:
        await to_qemu(destination, tmp_path, channels)
    else:
        await between(source, destination, tmp_path, channels)


def devices(*majors: int) -> int:
    return 0 if 7 in majors else 2


async def from_qemu(major: int, folder: Path, channels: int) -> None:
    got = await receive(
        qemu(major), folder, machine=MACHINES[major], devices=devices(major), channels=channels
    )
    assert (got.error, got.status) == (None, "completed")
    assert list(got.verified().values()) == [True] * (1 + devices(major))


async def to_qemu(major: int, folder: Path, channels: int) -> None:
    if not devices(major):
        got = await to_none(qemu(major), folder, channels)
    else:
        got = await to_devices(qemu(major), folder, MACHINES[major], devices=2, channels=channels)
        assert loaded(got, folder) == [True, True]
    assert (got.error, got.status, got.ram()) == (None, "completed", True)


async def between(source: int, destination: int, folder: Path, channels: int) -> None:
    """Their own migration, so that a difference elsewhere is not taken for ours."""
    asked = scenario("10.0", devices=devices(source, destination), channels=channels)
    options = PairOptions(qemu(source), qemu(destination), limit=LIMIT)
    outcome = await pair.migrate(asked, folder, options)
    assert outcome.result.reasons == ()
    checks = [one.ok for one in outcome.result.verification]
    assert checks == [True] * (1 + devices(source, destination))
