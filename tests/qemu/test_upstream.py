"""The reproducers that need nothing but Python do to a QEMU what the page says."""

from __future__ import annotations

import contextlib
import platform
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from peering.bench import qemu

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.qemu.binary import Launcher

pytestmark = pytest.mark.qemu

SCRIPTS = Path(__file__).resolve().parents[2] / "docs/upstream"
FUTEX = {"x86_64": "202 ", "aarch64": "98 "}[platform.machine()]
"""The number of futex(2)."""
GLOBAL = ("-global", "migration.x-multifd=on")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def incoming(launcher: Launcher, port: int, *more: str) -> Iterator[subprocess.Popen[bytes]]:
    """A QEMU as somebody would start it by hand, until it listens."""
    words = ["-M", "none", "-m", "16M", "-nodefaults", "-display", "none", *more]
    command = launcher.command([*words, "-incoming", f"tcp:127.0.0.1:{port}"])
    listening = Path("/proc/net/tcp")
    with subprocess.Popen(command, env=launcher.environment(), stderr=subprocess.DEVNULL) as process:
        for _ in range(400):
            if f":{port:04X} 00000000:0000 0A" in listening.read_text(encoding="ascii"):
                break
            time.sleep(0.05)
        try:
            yield process
        finally:
            process.kill()


def play(script: str, port: int, *words: str) -> None:
    subprocess.run(
        [sys.executable, str(SCRIPTS / script), str(port), *words],
        stderr=subprocess.DEVNULL,
        timeout=20,
        check=False,
    )


def stands_still(pid: int) -> bool:
    """Wait until its main thread sleeps on a lock or semaphore, where it would otherwise poll for events."""
    calls = Path(f"/proc/{pid}/syscall")
    asleep = 0
    for _ in range(400):
        asleep = asleep + 1 if calls.read_text(encoding="ascii").startswith(FUTEX) else 0
        if asleep == 5:
            return True
        time.sleep(0.05)
    return False


@pytest.mark.parametrize("major", [10, 11])
def test_one_packet_crashes_it(major: int) -> None:
    port = free_port()
    with incoming(qemu(major), port, *GLOBAL) as process:
        play("crash_before_setup.py", port)
        assert process.wait(20) == -signal.SIGSEGV


@pytest.mark.parametrize("major", [10, 11])
def test_a_closed_channel_hangs_it_even_against_sigterm(major: int) -> None:
    port = free_port()
    with incoming(qemu(major), port, *GLOBAL) as process:
        play("hang_at_barrier.py", port)
        assert stands_still(process.pid)
        process.send_signal(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(3)


def test_a_channel_that_gets_to_the_barrier_does_not() -> None:
    port = free_port()
    with incoming(qemu(11), port, *GLOBAL) as process:
        play("hang_at_barrier.py", port, "well")
        assert process.wait(20) == 1, "the stream ends too early, and it says so"


def test_four_bytes_end_a_destination_without_multifd() -> None:
    port = free_port()
    with incoming(qemu(11), port) as process, socket.create_connection(("127.0.0.1", port)) as stranger:
        stranger.sendall(bytes.fromhex("11223344"))
        assert process.wait(20) == -signal.SIGABRT


def test_two_main_channels_end_it() -> None:
    port = free_port()
    with incoming(qemu(11), port, *GLOBAL) as process, contextlib.ExitStack() as stack:
        for _ in range(2):
            stranger = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            stranger.sendall(b"QEVM")
        assert process.wait(20) == -signal.SIGABRT
