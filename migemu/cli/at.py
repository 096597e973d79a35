"""``migemu at``: the destinations of a run or a study stand elsewhere, where ``migemu host`` takes them."""

from __future__ import annotations

import json
import signal
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

import click

from migemu.cli.address import parse_target
from migemu.cli.compare import compare
from migemu.cli.place import Place
from migemu.cli.run import run
from migemu.cli.sides import destination
from migemu.cli.sweep import sweep
from migemu.errors import ConnectionLostError, MigemuError, PeerError, PeerRefusedError, WireError
from migemu.observe.recorder import EVENTS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONNECT_SECONDS = 10.0
KEEP_ALIVE = 60
"""Seconds of silence after which the kernel asks whether the host's machine is still there."""
MAX_LINE = 1 << 20
"""Bytes of the longest line of a host: an event, or what a destination said at its end."""
MAX_EVENTS = 1 << 30
"""Bytes of the longest log that is fetched from a host."""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """A place whose destinations are a host's."""

    address: str

    @contextmanager
    def place(self) -> Iterator[Place]:
        """The source starts here; a stand-in for the destination speaks with the host."""
        stand_in = [sys.executable, "-m", "migemu.cli.at", self.address]
        yield Place(enter={"destination": stand_in})


@click.group()
@click.argument("address", metavar="HOST:PORT")
@click.pass_context
def at(context: click.Context, address: str) -> None:
    """Have the destinations where `migemu host` listens at HOST:PORT; the sources start here."""
    parse_target(address)
    context.obj = Elsewhere(address)


for verb in (run, compare, sweep):
    at.add_command(verb)


def stand_in(address: str, words: list[str]) -> int:
    """Be the destination that `words` would start, with the host's doing the work; its exit code.

    Raises:
        PeerError: the host is not there, refuses, or goes away.
    """
    host, port = parse_target(address)
    asked = destination.make_context("destination", words[words.index("destination") + 1 :]).params
    order = json.dumps({"scenario": asked["config"].read_text(encoding="utf-8")}).encode() + b"\n"
    try:
        with socket.create_connection((host, port), CONNECT_SECONDS) as connection:
            connection.settimeout(None)  # the destination's own limits hold: it says when it gives up
            connection.setsockopt(
                socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1
            )  # a machine that dies says nothing
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, KEEP_ALIVE)
            for number in (signal.SIGINT, signal.SIGTERM):
                signal.signal(number, lambda *_: connection.shutdown(socket.SHUT_WR))
            connection.sendall(order)
            with connection.makefile("rb") as answers:
                return _follow(answers, host, asked["out"])
    except OSError as error:
        raise PeerError(f"no host at {address}: {error.strerror or error}") from error


def _follow(answers: IO[bytes], host: str, out: Path | None) -> int:
    """Say what the destination says, as if it were here; keep its log in `out`."""
    for line in iter(lambda: answers.readline(MAX_LINE), b""):
        told = _read(line)
        if "refused" in told:
            raise PeerRefusedError(f"the host takes no destination: {told['refused']}")
        if "exit" in told:
            return _ended(told, answers, out)
        if told.get("event") == "listening":
            told["host"] = host  # it listens on every address it has; this one is known to lead there
        print(json.dumps(told, separators=(",", ":")), flush=True)  # noqa: T201  what a destination does
    raise ConnectionLostError("the host went away in the middle of a migration")


def _read(line: bytes) -> dict[str, Any]:
    try:
        told = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise WireError(f"what listens there is no host: {error}") from error
    if not isinstance(told, dict):
        raise WireError("what listens there is no host: it says no JSON objects")
    return told


def _ended(told: dict[str, Any], answers: IO[bytes], out: Path | None) -> int:
    size, code = told.get("events"), told.get("exit")
    if not isinstance(size, int) or not isinstance(code, int) or not 0 <= size <= MAX_EVENTS:
        raise WireError(f"what listens there is no host: exit {code!r} and {size!r} bytes of events")
    log = answers.read(size)
    if len(log) < size:
        raise ConnectionLostError(f"the host went away after {len(log)} of its log's {size} bytes")
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        (out / EVENTS).write_bytes(log)
    sys.stderr.write(str(told.get("said", "")))
    return code


if __name__ == "__main__":
    try:
        code = stand_in(sys.argv[1], sys.argv[2:])
    except MigemuError as error:
        sys.exit(f"migemu: {error}")
    sys.exit(code)
