"""``migemu probe``: is a destination listening there, and ready?"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import click

from migemu.cli.options import parse_address
from migemu.errors import MigemuError, PeerError, PeerTimeoutError
from migemu.scenario.units import parse_time
from migemu.threads.native import NativeThreads
from migemu.wire.probe import QUESTION, STATES, Readiness, decode_readiness

if TYPE_CHECKING:
    from migemu.threads.api import Threads

PAUSE = 0.25
"""Seconds between two questions while waiting."""


def ask(threads: Threads, host: str, port: int, timeout: float) -> Readiness:
    """Ask the destination at `host` and `port` how it is; all of it takes `timeout` seconds at most.

    Raises:
        PeerError: nothing listens there, or what does is not a migemu destination.
        PeerTimeoutError: something listens and says nothing.
        WireError: something answered, but not as a destination does.
    """
    end = threads.now() + timeout
    try:
        with socket.create_connection((host, port), timeout) as connection:
            connection.sendall(QUESTION)
            return _answer(connection, threads, end)
    except TimeoutError as error:
        raise PeerTimeoutError(f"{host}:{port} did not answer within {timeout:g} s") from error
    except OSError as error:
        raise PeerError(f"no destination at {host}:{port}: {error}") from error


def _answer(connection: socket.socket, threads: Threads, end: float) -> Readiness:
    have = b""
    while (readiness := decode_readiness(have)) is None:
        connection.settimeout(max(end - threads.now(), 0.001))  # 0 would mean: do not wait at all
        more = connection.recv(4096)
        if not more:
            raise PeerError("it listens there, but closed without an answer: not a migemu destination")
        have += more
    return readiness


def ask_until(threads: Threads, host: str, port: int, timeout: float, wait: float) -> Readiness:
    """Ask again and again for up to `wait` seconds; the last refusal is the one that is raised."""
    end = threads.now() + wait
    while True:
        try:
            return ask(threads, host, port, timeout)
        except MigemuError:
            if threads.now() + PAUSE >= end:
                raise
        threads.sleep(PAUSE)


@click.command()
@click.argument("address", metavar="HOST:PORT")
@click.option("--timeout", default="2 s", show_default=True, help="How long one answer may take.")
@click.option("--wait", default="0 s", show_default=True, help="Keep asking for so long.")
def probe(address: str, timeout: str, wait: str) -> None:
    """Ask whether a destination is ready at HOST:PORT; the exit code is 0 if so, else 1.

    The question leaves a running migration alone. It is for health checks and scripts.
    """
    host, port = parse_address(address)
    readiness = ask_until(NativeThreads(), host, port, parse_time(timeout), parse_time(wait))
    click.echo(f"{address}: a migemu {readiness.migemu} destination {STATES[readiness.state]}")
