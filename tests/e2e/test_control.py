"""`migemu cancel` finds what runs here, whoever else takes such a name."""

from __future__ import annotations

import os
import socket
from contextlib import closing
from typing import TYPE_CHECKING

from migemu.cli import control

if TYPE_CHECKING:
    import pytest


def taken(name: str) -> socket.socket:
    """Somebody has that abstract socket."""
    holder = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    holder.bind(name)
    holder.listen()
    return holder


async def test_a_side_whose_name_is_taken_runs_all_the_same() -> None:
    """Two containers that share a network and not their process numbers."""
    with closing(taken(control.socket_name(os.getpid()))):
        async with control.reachable("source", "mine", lambda: "", lambda _: None):
            pass


async def test_names_that_nobody_of_ours_takes_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "SECONDS", 0.2)
    with closing(taken(f"\0{control.PREFIX}-{os.getuid()}-nobody")):
        assert all(isinstance(side, control.Running) for side in control.running_sides())
