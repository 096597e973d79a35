"""``migemu cancel``: end a migration that runs on this machine; the source's VM goes on."""

from __future__ import annotations

import click

from migemu.cli.control import Running, running_sides, tell
from migemu.errors import MigemuError, UsageError


@click.command()
@click.argument("which", metavar="[PID|HOST:PORT]", required=False)
def cancel(which: str | None) -> None:
    """End a migration that runs on this machine, as Ctrl-C there would.

    Name it by the process id of either side or by the destination's address; without a name it is the only
    one there is. The source's VM goes on, unless it has been given up already.
    """
    sides = [side for side in running_sides() if which is None or which in (str(side.pid), side.address)]
    if not sides:
        raise MigemuError("no migration runs here" + (f" as {which}" if which else ""))
    if len({side.address for side in sides}) > 1:
        listed = "; ".join(describe(side) for side in sides)
        raise UsageError(f"several migrations run here, name one of them: {listed}")
    chosen = next((side for side in sides if side.side == "source"), sides[0])
    if tell(chosen.pid, b"cancel\n") is None:
        raise MigemuError(f"it ended by itself meanwhile: {describe(chosen)}")
    click.echo(f"cancelled: {describe(chosen)}")


def describe(side: Running) -> str:
    """A side in one line."""
    word = "to" if side.side == "source" else "at"
    return f"{side.side} {side.pid} of {side.name}, {word} {side.address}"
