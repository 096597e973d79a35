"""Two processes that hand a VM to each other for long hold no more in the end than when they were warm."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from e2e.sides import SMALL, migemu
from migemu.cli.pingpong import MEMORY_SLACK, WARM, Account

if TYPE_CHECKING:
    from pathlib import Path


def test_a_vm_goes_back_and_forth_and_nothing_grows(tmp_path: Path) -> None:
    config = tmp_path / "small.toml"
    config.write_text(SMALL)
    done = migemu("run", str(config), "--ping-pong", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "5 migrations back and forth, every digest right" in done.stdout


def test_a_round_that_fails_ends_it_and_says_which(tmp_path: Path) -> None:
    config = tmp_path / "small.toml"
    config.write_text(SMALL + "[device.injected]\nwrite_error_at = 1000\n")
    done = migemu("run", str(config), "--ping-pong", "3")
    assert done.returncode == 1
    assert "round 1" in done.stderr
    assert "Input/output error" in done.stderr


def account(**last: int) -> Account:
    """Many rounds that hold the same, and a last one."""
    usual = {"files": 14, "threads": 2, "memory": 70 << 20}
    return Account([usual] * (WARM + 8) + [usual | last])


@pytest.mark.parametrize(
    ("last", "told"),
    [
        ({}, []),
        ({"files": 15}, ["files"]),
        ({"threads": 3}, ["threads"]),
        ({"memory": 100 << 20}, []),
        ({"memory": (80 << 20) + MEMORY_SLACK}, ["memory"]),
    ],
)
def test_what_grows_is_named(last: dict[str, int], told: list[str]) -> None:
    assert account(**last).grown() == told
