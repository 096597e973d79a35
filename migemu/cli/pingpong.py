"""``migemu run --ping-pong N``: two processes that live on hand a VM to each other, N times.

Odd rounds go one way and even rounds the other. What must stay flat is what each process holds: open files,
threads, memory. Every digest of every round must agree.
"""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from migemu.errors import MigemuError
from migemu.scenario import dump_toml

if TYPE_CHECKING:
    from migemu.scenario import Scenario

WARM = 10
"""Rounds after which a process holds what it needs: pools are filled, modules imported."""
MIB = 1 << 20
MEMORY_SLACK = 32 * MIB
"""Bytes by which memory may differ between two rounds: allocators keep some."""
LINE_LIMIT = 1 << 20

PING_PONG = click.option(
    "--ping-pong",
    "rounds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Migrate back and forth N times between two processes that live on; watch what they hold.",
)


@dataclass
class Account:
    """What one process held after each round."""

    rounds: list[dict[str, int]] = field(default_factory=list)

    def after(self, number: int, name: str) -> int:
        """How much of `name` it held after that round."""
        return self.rounds[number][name]

    def warm(self) -> int:
        """The round to compare the last one with: after the warm-up, and in the same role."""
        last = len(self.rounds) - 1
        return min(last, WARM + (last - WARM) % 2)

    def grown(self) -> list[str]:
        """What is not flat, from the end of the warm-up on."""
        first = self.warm()
        found = [name for name in ("files", "threads") if self.after(-1, name) > self.after(first, name)]
        most = self.after(first, "memory") * 1.1 + MEMORY_SLACK
        return found + ["memory"] * (self.after(-1, "memory") > most)


class Host:
    """One of the two processes."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self.process = process
        self.account = Account()

    def order(self, **what: object) -> None:
        """Have it do its part of a round."""
        assert self.process.stdin is not None  # noqa: S101  it is a pipe
        self.process.stdin.write(json.dumps(what).encode() + b"\n")

    async def answer(self, limit: float) -> dict[str, Any]:
        """What it says next.

        Raises:
            MigemuError: it died, or said nothing in time.
        """
        assert self.process.stdout is not None  # noqa: S101  it is a pipe
        try:
            line = await asyncio.wait_for(self.process.stdout.readline(), limit)
        except TimeoutError:
            raise MigemuError(f"{self.name} said nothing for {limit:g} s") from None
        if not line:
            raise MigemuError(f"{self.name} ended with {await self.process.wait()}")
        said: dict[str, Any] = json.loads(line)
        return said


def ping_pong(scenario: Scenario, rounds: int) -> None:
    """Hand the VM over `rounds` times.

    Raises:
        MigemuError: a round failed, a digest differs, or something grows.
    """
    with tempfile.TemporaryDirectory(prefix="migemu-") as folder:
        config = Path(folder) / "scenario.toml"
        config.write_text(dump_toml(scenario), encoding="utf-8")
        hosts = asyncio.run(_play(config, scenario, rounds))
    for host in hosts:
        click.echo(f"{host.name}: {_told(host.account)}")
    grown = [f"{what} of {host.name}" for host in hosts for what in host.account.grown()]
    if grown:
        raise MigemuError(f"not flat over {rounds} migrations: {', '.join(grown)}")
    click.echo(f"{rounds} migrations back and forth, every digest right; files, threads and memory flat")


def _told(account: Account) -> str:
    """What a process held when it was warm, and in the end."""
    warm = account.warm()
    pairs = [(name, account.after(warm, name), account.after(-1, name)) for name in ("files", "threads")]
    parts = [f"{name} {first} to {last}" for name, first, last in pairs]
    sizes = " to ".join(f"{account.after(at, 'memory') / MIB:.1f} MiB" for at in (warm, -1))
    return f"{', '.join(parts)}, memory {sizes}"


async def _play(config: Path, scenario: Scenario, rounds: int) -> list[Host]:
    hosts = [await _start(f"host {name}", config) for name in "AB"]
    try:
        for number in range(rounds):
            away, home = hosts if number % 2 == 0 else hosts[::-1]
            await _round(number, away, home, scenario.timeouts.total + scenario.timeouts.connect)
            if (number + 1) % max(1, rounds // 10) == 0:
                click.echo(f"{number + 1} of {rounds}: {home.name} has the VM; {_told(home.account)}")
    finally:
        for host in hosts:
            if host.process.returncode is None:
                host.process.kill()
            await host.process.wait()
    return hosts


async def _start(name: str, config: Path) -> Host:
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "migemu.cli.pingpong_worker",
        str(config),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        limit=LINE_LIMIT,
    )
    return Host(name, process)


async def _round(number: int, away: Host, home: Host, limit: float) -> None:
    """One migration from `away` to `home`.

    Raises:
        MigemuError: it failed, or a digest differs.
    """
    home.order(role="destination", round=number)
    port = (await home.answer(limit))["listening"]
    away.order(role="source", round=number, port=port)
    for host in (away, home):
        said = await host.answer(limit)
        if said["ended"] is not None or not all(said["verified"]):
            raise MigemuError(f"round {number + 1}, {host.name}: {said['ended'] or 'a digest differs'}")
        host.account.rounds.append({name: said[name] for name in ("files", "threads", "memory")})
    if not said["verified"]:
        raise MigemuError(f"round {number + 1}: nothing was verified")
