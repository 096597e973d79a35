"""Options of verbs that record a migration, or keep to a recorded one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from migemu.observe.recorder import prepare

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.link.order_follow import Follow
    from migemu.link.order_tape import Tapes
    from migemu.scenario import Scenario
    from migemu.threads.api import Threads

_FOLDER = click.Path(path_type=Path)

RECORD = click.option(
    "--record",
    type=_FOLDER,
    metavar="DIR",
    help="Keep there what went over every connection, in its order; migemu decode and replay read it.",
)

FOLLOW = click.option(
    "--follow",
    type=_FOLDER,
    metavar="DIR",
    help="Take packets only in the order of the capture in DIR; for what migemu replay sends.",
)


def recording(folder: Path | None, scenario: Scenario, peer: str) -> Callable[[Threads], Tapes | None]:
    """Makes what records a migration of `scenario`, as a person wrote it, from such a peer.

    Raises:
        UsageError: `folder` cannot be made or written; better now than when it is over.
    """
    if folder is not None:
        prepare(folder)

    def make(threads: Threads) -> Tapes | None:
        if folder is None:
            return None
        from migemu.lab.capture_write import CaptureWriter  # noqa: PLC0415  only for those who record

        return CaptureWriter(folder, scenario, threads.now, peer)

    return make


def following(folder: Path | None) -> Callable[[], Follow | None]:
    """Makes what keeps to a recorded order.

    Raises:
        UsageError: there is no capture in `folder`, or one that does not tell its order.
    """
    if folder is None:
        return lambda: None
    from migemu.lab.replay_order import recorded_order  # noqa: PLC0415  only for those who follow

    return recorded_order(folder)
