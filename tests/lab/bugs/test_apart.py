"""Mutants are nowhere near production: what migrates does not even load them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from migemu.lab.bugs.real import hangs
from migemu.observe.events import Event

LOADED = """
import sys
from migemu.cli import VERBS, cli
cli.get_command(None, {verb!r})
print(*[name for name in sys.modules if name.startswith('migemu.lab.bugs')])
"""


def loaded(verb: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", LOADED.format(verb=verb)], capture_output=True, check=True)
    return done.stdout.decode().split()


@pytest.mark.parametrize("verb", ["source", "destination", "run", "tap", "compare", "qemu"])
def test_who_migrates_has_not_loaded_the_catalogue(verb: str) -> None:
    assert loaded(verb) == []


def test_the_catalogue_is_loaded_by_who_asks_for_it() -> None:
    assert "migemu.lab.bugs" in loaded("bugs")


def error(t: float, side: str, kind: str) -> Event:
    return Event(t, side, "main", "error", {"kind": kind, "message": "nothing moved"})


def test_a_hang_is_what_a_time_limit_ended_first_on_either_side() -> None:
    late, other = error(2, "source", "PeerTimeoutError"), error(1, "destination", "WireError")
    assert hangs([late])
    assert hangs([other, late]) is None, "somebody had said why before"
    assert hangs([]) is None
