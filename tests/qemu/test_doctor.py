"""What the doctor says of a QEMU, from what the QEMU says of itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migemu.qemu import doctor, facts
from migemu.qemu.binary import Launcher
from migemu.qemu.facts import AFTER_ITER, MULTIFD_TRANSFER, Facts

if TYPE_CHECKING:
    from collections.abc import Callable

Q35 = ("pc-q35-10.0", "pc-q35-9.2")
CAPABILITIES = frozenset({"multifd", "switchover-ack"})


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> Callable[..., doctor.Report]:
    """The doctor's report about a QEMU of which these facts are known."""

    def examine(
        version: tuple[int, ...] = (10, 0, 13), vfio: frozenset[str] | None = None, binds: str = ""
    ) -> doctor.Report:
        async def ask(_: Launcher) -> Facts:
            return Facts(".".join(map(str, version)), "", Q35, CAPABILITIES, vfio, binds)

        monkeypatch.setattr(facts, "ask", ask)
        return asyncio.run(doctor.examine(Launcher(Path("/usr/bin/qemu"), version)))

    return examine


def test_a_qemu_without_the_property_has_no_device_state_over_multifd(
    examined: Callable[..., doctor.Report],
) -> None:
    report = examined((9, 2, 0), frozenset())
    assert report.works(doctor.DEVICES)
    assert not report.works(doctor.DEVICE_STATE)


def test_one_with_it_has_and_10_1_can_hold_config(examined: Callable[..., doctor.Report]) -> None:
    assert examined(vfio=frozenset({MULTIFD_TRANSFER})).works(doctor.DEVICE_STATE)
    assert not examined(vfio=frozenset({MULTIFD_TRANSFER})).works(doctor.LOAD_READY)
    assert examined(vfio=frozenset({MULTIFD_TRANSFER, AFTER_ITER})).works(doctor.LOAD_READY)


def test_devices_that_do_not_bind_carry_no_state_and_the_reason_is_shown(
    examined: Callable[..., doctor.Report],
) -> None:
    report = examined(vfio=frozenset({MULTIFD_TRANSFER}), binds="no C compiler")
    assert not report.works(doctor.DEVICE_STATE)
    assert "  no  make-believe VFIO devices: no C compiler" in [f.line() for f in report.findings]


@pytest.mark.qemu
async def test_a_real_qemu_tells_its_own_version_and_machines(any_qemu: Launcher) -> None:
    known = await facts.ask(any_qemu)
    assert known.version == any_qemu.version_text
    assert known.newest.startswith(f"pc-q35-{any_qemu.version[0]}.")
    assert "multifd" in known.capabilities


@pytest.mark.qemu
async def test_a_make_believe_device_binds_to_a_qemu_of_today(vfio_qemu: Launcher) -> None:
    report = await doctor.examine(vfio_qemu)
    assert report.works(doctor.DEVICES)
    assert report.works(doctor.DEVICE_STATE)


async def test_a_qemu_that_does_not_start_is_one_no(tmp_path: Path) -> None:
    program = tmp_path / "qemu"
    program.write_text("#!/bin/sh\necho broken >&2\nexit 1\n")
    program.chmod(0o755)
    report = await doctor.examine(Launcher(program, (10, 0, 0)))
    assert [finding.ok for finding in report.findings] == [False]
    assert "broken" in report.findings[0].detail
