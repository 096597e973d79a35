"""``migemu decode``: what went over the wire."""

from __future__ import annotations

import json
from pathlib import Path

import click

from migemu.lab.capture import Capture
from migemu.lab.capture_rows import rows
from migemu.lab.capture_text import HEAD, line


@click.command()
@click.argument("capture", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="One JSON object a line instead of a table.")
def decode(capture: Path, as_json: bool) -> None:  # noqa: FBT001  click's
    """Print what went over the wire, packet by packet.

    CAPTURE is a folder that --record made, an archive of one, or one file: a main channel, or a multifd
    channel with or without its hello; a name that ends with .xz is unpacked. Recordings of a QEMU will do.
    """
    for number, row in enumerate(rows(Capture(capture))):
        if not number and not as_json:
            click.echo(HEAD)
        click.echo(json.dumps(row.plain(), separators=(",", ":")) if as_json else line(row))
