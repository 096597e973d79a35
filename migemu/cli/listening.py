"""Who may reach a destination: loopback only, unless TLS or a person says otherwise."""

from __future__ import annotations

import ipaddress
import socket

import click

from migemu.errors import UsageError

MEANING = (
    "everyone who can reach it may read the guest's memory on its way, send other memory, "
    "or keep the source from connecting"
)


def check_listen(host: str, *, secure: bool, insecure: bool) -> None:
    """Refuse to listen in plain text where others can reach it, unless told to; say what it means.

    Raises:
        UsageError: nobody said that it is meant.
    """
    if secure or is_loopback(host):
        return
    if not insecure:
        raise UsageError(
            f"listening on {host} without TLS: {MEANING}; set [tls] (migemu tls init DIR makes a test pair), "
            "listen on 127.0.0.1, or accept that with --insecure"
        )
    click.echo(f"migemu: warning: listening on {host} without TLS: {MEANING}", err=True)


def is_loopback(host: str) -> bool:
    """Whether every address of `host` is this machine's own."""
    try:
        found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        return all(ipaddress.ip_address(str(entry[4][0]).split("%")[0]).is_loopback for entry in found)
    except (OSError, UnicodeError, ValueError):
        return False
