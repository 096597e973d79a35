"""A run whose destination another machine takes: as verified as here, and nothing stays behind there."""

from __future__ import annotations

import asyncio
import io
import json
import socket
import subprocess
import sys
from contextlib import contextmanager
from types import SimpleNamespace
from typing import IO, TYPE_CHECKING, Any

import pytest

from migemu.cli import host
from migemu.cli.at import _follow
from migemu.errors import MigemuError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

SMALL = ("--set", "devices=2", "--set", "device.*.state_size=4 MiB", "--set", "ram.size=64 MiB")


def migemu(*words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "migemu", *words]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@contextmanager
def hosting() -> Iterator[str]:
    """A host on a port of its own; its address. It must end well when it is told to."""
    command = [sys.executable, "-m", "migemu", "host", "--listen", "127.0.0.1:0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield f"127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        finally:
            process.terminate()
            code = process.wait(30)
        assert code == 0


@contextmanager
def asking(address: str, line: bytes) -> Iterator[IO[bytes]]:
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), 10) as connection:
        connection.sendall(line)
        with connection.makefile("rb") as answers:
            yield answers


def order(text: str = "ram.size = '8 MiB'\nram.working_set = '1 MiB'") -> bytes:
    return json.dumps({"scenario": text}).encode() + b"\n"


def listening(answers: IO[bytes]) -> Any:
    return next(told for line in answers if (told := json.loads(line))["event"] == "listening")


def test_the_result_is_as_whole_as_that_of_one_machine(tmp_path: Path) -> None:
    with hosting() as address:
        done = migemu("at", address, "run", *SMALL, "--out", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["verdict"], result["missing"], result["runnable"]) == ("completed", [], "destination")
    assert all(check["ok"] for check in result["verification"])
    assert len(result["verification"]) == 5  # data and config of two devices, and RAM
    assert result["times"]["downtime"] > 0


def test_a_study_of_several_runs_finds_its_destinations_there(tmp_path: Path) -> None:
    study = (
        "sweep",
        *SMALL,
        "--scan",
        "channels=1,2",
        "--runs",
        "1",
        "--warmup",
        "0",
        "--out",
        str(tmp_path),
    )
    with hosting() as address:
        done = migemu("at", address, *study)
    assert done.returncode == 0, done.stdout + done.stderr
    sweep = json.loads((tmp_path / "sweep.json").read_text())
    assert "channels" in json.dumps(sweep)
    assert (tmp_path / "report.html").exists()


def test_what_fails_there_is_told_here() -> None:
    with hosting() as address:
        done = migemu("at", address, "run", *SMALL, "--set", "device.0.injected.write_error_at=1 MiB")
    assert done.returncode == 1
    assert "Input/output error" in done.stdout


def test_nobody_says_from_elsewhere_where_this_machine_writes(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    with hosting() as address:
        done = migemu("at", address, "run", *SMALL, "--set", f"device.0.keep={kept}")
    assert done.returncode == 1
    assert "it writes no file for others" in " ".join(done.stdout.split())
    assert not kept.exists()


def test_one_destination_at_a_time_and_it_ends_with_its_asker() -> None:
    with hosting() as address:
        with asking(address, order()) as first:
            port = listening(first)["port"]
            with asking(address, order()) as second:
                assert json.loads(second.readline()) == {"refused": "it has another one just now"}
            assert "is migrating" in migemu("probe", address).stdout
            with pytest.raises(OSError, match="in use"):
                socket.create_server(("127.0.0.1", port))
        assert "waits" in wait_until_free(address)
        socket.create_server(("127.0.0.1", port)).close()


def wait_until_free(address: str) -> str:
    for _ in range(50):
        said = migemu("probe", address).stdout
        if "waits" in said:
            return said
    return said


@pytest.mark.parametrize("line", [b"GET / HTTP/1.1\r\n", b"[1, 2]\n", b'{"scenario": 3}\n', b"{}   \n"])
def test_what_is_no_order_is_refused_and_the_host_lives_on(line: bytes) -> None:
    with hosting() as address:
        with asking(address, line) as answers:
            assert json.loads(answers.readline()) == {"refused": "that is no order"}
        assert migemu("probe", address).returncode == 0


def test_a_wrong_scenario_comes_back_as_the_destinations_own_words() -> None:
    with hosting() as address, asking(address, order("chanels = 3")) as answers:
        told = json.loads(answers.readline())
    assert (told["exit"], told["events"]) == (2, 0)
    assert "chanels" in told["said"]


def test_without_a_host_the_run_says_where_it_looked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    done = migemu("at", address, "run", *SMALL)
    assert done.returncode == 1
    assert f"no host at {address}" in " ".join(done.stdout.split())


def test_others_may_start_destinations_only_where_a_person_said_so() -> None:
    done = migemu("host", "--listen", "0.0.0.0:0")
    assert done.returncode == 2
    assert "--insecure" in done.stderr


async def test_an_asker_that_reads_nothing_does_not_keep_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "TAKE_SECONDS", 0.2)
    near, far = socket.socketpair()
    _, writer = await asyncio.open_connection(sock=near)
    words = asyncio.StreamReader()
    words.feed_data(b"done")
    words.feed_eof()

    async def lines() -> AsyncIterator[bytes]:
        for _ in range(100):
            yield b"x" * 100_000

    process: Any = SimpleNamespace(stdout=lines(), stderr=words)
    with far:
        said = await asyncio.wait_for(host._relay(process, writer), 20)
    assert said == "done"
    assert writer.is_closing()


@pytest.mark.parametrize(
    "said",
    [
        b"SSH-2.0-OpenSSH",
        b"[]",
        b"[" * 9000,
        b'{"exit": 0}',
        b'{"exit": "none", "events": 0}',
        b'{"exit": 0, "events": -1}',
        b'{"exit": 0, "events": 1e99}',
        b'{"exit": 0, "events": 100}\nshort',
    ],
)
def test_what_no_host_says_is_an_error_of_one_line(said: bytes) -> None:
    with pytest.raises(MigemuError):
        _follow(io.BytesIO(said), "there", None)
