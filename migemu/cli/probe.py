"""``migemu probe``: is a destination listening there, and ready?"""

from __future__ import annotations

import socket
from pathlib import Path
from typing import TYPE_CHECKING

import click

from migemu.cli.address import parse_target
from migemu.errors import MigemuError, PeerError, PeerTimeoutError
from migemu.threads.native import NativeThreads
from migemu.wire.probe import QUESTION, STATES, Readiness, decode_readiness

if TYPE_CHECKING:
    import ssl

    from migemu.threads.api import Threads

PAUSE = 0.25
"""Seconds between two questions while waiting."""
ANSWER_TIME = 2.0
"""Seconds that one answer may take."""


def ask(
    threads: Threads, host: str, port: int, timeout: float, context: ssl.SSLContext | None = None
) -> Readiness:
    """Ask the destination at `host` and `port` how it is; all of it takes `timeout` seconds at most.

    With a TLS `context` the question is asked as a source would ask it: whoever may not migrate there may
    not know either.

    Raises:
        PeerError: nothing listens there, or what does is not a migemu destination.
        PeerTimeoutError: something listens and says nothing.
        WireError: something answered, but not as a destination does.
    """
    end = threads.now() + timeout
    try:
        with _connected(host, port, timeout, context) as connection:
            connection.sendall(QUESTION)
            return _answer(connection, threads, end)
    except TimeoutError as error:
        raise PeerTimeoutError(f"{host}:{port} did not answer within {timeout:g} s") from error
    except OSError as error:
        raise PeerError(f"no destination at {host}:{port}: {error.strerror or error}") from error


def _connected(host: str, port: int, timeout: float, context: ssl.SSLContext | None) -> socket.socket:
    connection = socket.create_connection((host, port), timeout)
    if context is None:
        return connection
    try:
        return context.wrap_socket(connection, server_hostname=host)
    except BaseException:
        connection.close()
        raise


def _answer(connection: socket.socket, threads: Threads, end: float) -> Readiness:
    have = b""
    while (readiness := decode_readiness(have)) is None:
        connection.settimeout(max(end - threads.now(), 0.001))  # 0 would mean: do not wait at all
        more = connection.recv(4096)
        if not more:
            raise PeerError("it listens there, but closed without an answer: not a migemu destination")
        have += more
    return readiness


def ask_until(
    threads: Threads,
    host: str,
    port: int,
    timeout: float,
    wait: float,
    context: ssl.SSLContext | None = None,
) -> Readiness:
    """Ask again and again for up to `wait` seconds; the last refusal is the one that is raised."""
    end = threads.now() + wait
    while True:
        try:
            return ask(threads, host, port, timeout, context)
        except MigemuError:
            if threads.now() + PAUSE >= end:
                raise
        threads.sleep(PAUSE)


def seconds(text: str | None, otherwise: float) -> float:
    """A time as people write it."""
    if text is None:
        return otherwise
    # The models of a scenario take longer to import than a probe to run, and a health check asks for ever.
    from migemu.scenario.units import parse_time  # noqa: PLC0415

    return parse_time(text)


def certificates(folder: str | None) -> ssl.SSLContext | None:
    """What a source with the certificates in `folder` speaks TLS with."""
    if folder is None:
        return None
    from migemu.link.tls import context  # noqa: PLC0415  as above
    from migemu.scenario.tls import Tls  # noqa: PLC0415

    return context(Tls(dir=Path(folder).absolute()), "source")


@click.command()
@click.argument("address", metavar="HOST:PORT")
@click.option("--timeout", metavar="TIME", help="How long one answer may take; default: 2 s.")
@click.option("--wait", metavar="TIME", help="Keep asking for so long; default: ask once.")
@click.option(
    "--tls",
    "folder",
    metavar="DIR",
    help="Ask over TLS, with the client's certificate in DIR (see migemu tls).",
)
def probe(address: str, timeout: str | None, wait: str | None, folder: str | None) -> None:
    """Ask whether a destination is ready at HOST:PORT; the exit code is 0 if so, else 1.

    The question leaves a running migration alone. It is for health checks and scripts.
    """
    host, port = parse_target(address)
    patience, limit = seconds(wait, 0.0), seconds(timeout, ANSWER_TIME)
    readiness = ask_until(NativeThreads(), host, port, limit, patience, certificates(folder))
    click.echo(f"{address}: a migemu {readiness.migemu} destination {STATES[readiness.state]}")
