"""The guest of a few bytes, in a real QEMU."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING

import pytest

from migemu.errors import ConfigError
from migemu.qemu import guest
from migemu.qemu.machine import Machine, Setup, running
from migemu.qemu.memory import PAGE, SharedRam
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from migemu.qemu.binary import Launcher

MIB = 1 << 20


@contextlib.asynccontextmanager
async def started(
    launcher: Launcher, folder: Path, ram: SharedRam, *, writes: bool, source: bool = True
) -> AsyncIterator[Machine]:
    rom = guest.firmware(folder / "rom", writes=writes, source=source)
    machine = ["-M", "q35,accel=tcg,memory-backend=pc.ram", "-m", str(ram.size // MIB), *ram.backend()]
    words = [*machine, "-nodefaults", "-display", "none", *rom]
    async with running(Setup(launcher, words, folder, "guest", fds=(ram.fd,), kill_after=60)) as qemu:
        yield qemu


def until(happened: Callable[[], bool], limit: float = 20.0) -> bool:
    """Whether it happens within `limit` seconds."""
    end = time.monotonic() + limit
    while not happened():
        if time.monotonic() > end:
            return False
        time.sleep(0.01)
    return True


@pytest.mark.qemu
async def test_the_halting_guest_runs_and_touches_nothing(any_qemu: Launcher, tmp_path: Path) -> None:
    with SharedRam(16 * MIB) as ram, SharedRam(16 * MIB) as before:
        ram.fill(1)
        before.fill(1)
        async with started(any_qemu, tmp_path, ram, writes=False) as qemu:
            assert (await qemu.execute("query-status"))["running"]
            time.sleep(0.1)  # noqa: ASYNC251  the guest's time, nothing else waits
            assert not len(ram.differing(before))


@pytest.mark.qemu
async def test_the_writing_guest_writes_to_its_working_set_alone_and_stops(
    any_qemu: Launcher, tmp_path: Path
) -> None:
    with SharedRam(16 * MIB) as ram, SharedRam(16 * MIB) as before:
        writer = guest.Writer(ram, 64 * PAGE)
        async with started(any_qemu, tmp_path, ram, writes=True):
            writer.run_at(1 << 30, NativeThreads())
            assert until(lambda: writer.pages() > 200)
            writer.stop()
            stood = writer.counter()
            assert until(lambda: writer.counter() != stood)  # it counts again only when it writes no more
            pages = writer.pages()
            time.sleep(0.1)  # noqa: ASYNC251  the guest's time
            assert writer.pages() == pages
        touched = ram.differing(before)
    first = guest.FIRST_PAGE // PAGE
    assert touched.tolist() == [guest.MAILBOX // PAGE, *range(first, first + 64)]


@pytest.mark.qemu
async def test_on_another_processor_it_runs_but_changes_nothing(any_qemu: Launcher, tmp_path: Path) -> None:
    with SharedRam(16 * MIB) as ram:
        writer = guest.Writer(ram, 64 * PAGE)
        async with started(any_qemu, tmp_path, ram, writes=True, source=False):
            writer.run_at(1 << 30, NativeThreads())
            time.sleep(0.2)  # noqa: ASYNC251  two hundred thousand pages' time
        assert writer.pages() == 0
        assert not ram.words[guest.FIRST_PAGE // PAGE :].any()


@pytest.mark.qemu
async def test_a_slower_pace_is_slower(any_qemu: Launcher, tmp_path: Path) -> None:
    """Counted in the guest's own ticks, so that a busy machine slows both alike."""
    with SharedRam(16 * MIB) as ram:
        writer = guest.Writer(ram)
        async with started(any_qemu, tmp_path, ram, writes=True):
            gaps = []
            for rate in (400 * MIB, 4 * MIB):
                writer.run_at(rate, NativeThreads())
                gaps.append(int(ram.words.view("<u4")[guest.MAILBOX // PAGE][4]))
    assert 10 < gaps[1] / gaps[0] < 1000


@pytest.mark.parametrize("working_set", [0, 16 * MIB])
def test_a_working_set_must_fit_above_the_first_mib(working_set: int) -> None:
    with SharedRam(16 * MIB) as ram, pytest.raises(ConfigError, match="does not fit"):
        guest.Writer(ram, working_set)


def test_a_rom_ends_in_a_jump_to_its_start() -> None:
    for writes in (False, True):
        rom = guest.rom(writes=writes)
        jump = int.from_bytes(rom[0xFFF1:0xFFF3], "little")
        assert (len(rom), rom[0xFFF0], (0xFFF3 + jump) % 0x10000) == (65536, 0xE9, 0)
