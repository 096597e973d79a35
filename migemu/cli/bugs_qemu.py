"""``migemu bugs reproduce NAME --qemu PATH``: a catalogued bug played to a real QEMU destination."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import click

from migemu.errors import UsageError
from migemu.lab import bugs
from migemu.lab.bugs.against_qemu import against
from migemu.qemu import binary, hostile
from migemu.qemu.hostile.playing import play
from migemu.qemu.hostile.report import NOTHING, Played

if TYPE_CHECKING:
    from migemu.lab.bugs import Bug
    from migemu.lab.bugs.against_qemu import Against
    from migemu.qemu.binary import Launcher


def reproduce_on_qemu(name: str, program: str, times: int, *, as_json: bool) -> None:
    """Play bug `name` (or all that can be told from outside) and say what the destination did each time.

    Raises:
        UsageError: there is no such bug, it cannot be told from outside, or there is no such QEMU.
        PeerError: the QEMU did not start.
    """
    launcher = binary.find(program)
    if name != "all":
        bug = bugs.get(name)
        _show(bug, against(bug.name), launcher, times, as_json=as_json)
        return
    for bug in bugs.catalogue():
        try:
            entry = against(bug.name)
        except UsageError as error:
            _skip(bug, error, as_json=as_json)
        else:
            _show(bug, entry, launcher, times, as_json=as_json)


def _show(bug: Bug, entry: Against, launcher: Launcher, times: int, *, as_json: bool) -> None:
    rows = [hostile.ROWS[name] for name in entry.rows]
    version = launcher.version_text
    fitting = [one for one in rows if one.bench.suits(launcher)]
    played = [
        Played(one, version, tuple(asyncio.run(play(one, launcher)) for _ in range(times))) for one in fitting
    ]
    if as_json:
        click.echo(json.dumps(_as_dict(bug, entry, version, played)))
        return
    click.echo(f"{bug.name} on QEMU {version}: {bug.title}")
    click.echo(f"  {' '.join(entry.how.split())}")
    for one in played:
        click.echo(f"  {one.row.name:<4} {'; or '.join(one.told()) or NOTHING}   [{one.row.title}]")
    click.echo(f"  {VERDICTS[shown(entry, played)]}\n")


VERDICTS = {
    True: "the bug shows",
    False: "the bug does not show",
    None: "nothing was played: this version does not have what the bug is about",
}


def shown(entry: Against, played: list[Played]) -> bool | None:
    """Whether one of the plays ended as the bug makes them end; None: there was none."""
    verdicts = [verdict for one in played for verdict in one.verdicts]
    return any(map(entry.is_it, verdicts)) if verdicts else None


def _as_dict(bug: Bug, entry: Against, version: str, played: list[Played]) -> dict[str, Any]:
    return {
        "schema": 1,
        "bug": bug.name,
        "qemu": version,
        "how": " ".join(entry.how.split()),
        "shows": shown(entry, played),
        "rows": [one.plain() for one in played],
    }


def _skip(bug: Bug, error: UsageError, *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"schema": 1, "bug": bug.name, "shows": None, "reason": error.message}))
    else:
        click.echo(f"{error.message}\n")
