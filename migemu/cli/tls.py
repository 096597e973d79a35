"""``migemu tls``: certificates to try encrypted channels with."""

from __future__ import annotations

import re
from pathlib import Path

import click

from migemu.errors import UsageError
from migemu.link.authority import Authority
from migemu.scenario.tls import NAMES

ALWAYS = ("localhost", "127.0.0.1", "::1")
"""Names of every destination that is tried on one machine."""

NAME = re.compile(r"[A-Za-z0-9._:-]{1,64}")
"""DNS names and addresses; a certificate's common name has no more room."""


@click.group()
def tls() -> None:
    """Certificates to try encrypted channels with."""


@tls.command(short_help="Make a test authority and certificates in DIR.")
@click.argument("folder", metavar="DIR", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--host", "hosts", metavar="HOST", multiple=True, help="A name or address of the destination; repeatable."
)
@click.option(
    "--client", metavar="NAME", default="migemu-source", show_default=True, help="The name of the source."
)
@click.option(
    "--days",
    type=click.FloatRange(min=0.01, max=3650),
    metavar="DAYS",
    default=30.0,
    show_default=True,
    help="How long the certificates are valid.",
)
@click.option("--force", is_flag=True, help="Replace what is there.")
def init(folder: Path, hosts: tuple[str, ...], client: str, days: float, *, force: bool) -> None:
    """Make a test authority and a pair of certificates in DIR, by the names QEMU uses.

    DIR serves both sides: `--set tls.dir=DIR`. The source never needs server-key.pem nor the destination
    client-key.pem, and nobody needs ca-key.pem again: keep each where it belongs.
    """
    for name in (*hosts, client):
        if not NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} is no name for a certificate: letters, digits, and - . : _, 64 at most"
            )
    there = [name for name in NAMES.values() if (folder / name).exists()]
    if there and not force:
        raise UsageError(f"{folder / there[0]} is there already; --force replaces it")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"cannot make {folder}: {error.strerror}") from None
    authority = Authority(days=days)
    authority.write(folder)
    authority.issue(folder, "server", [*hosts, *ALWAYS])
    authority.issue(folder, "client", [client])
    click.echo(f"{folder}: written, valid for {days:g} days; for tests only. --set tls.dir={folder}")
