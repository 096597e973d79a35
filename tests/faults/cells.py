"""The fault matrix: one cell is one fault at one moment of one migration between two real processes."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest

from e2e.sides import SMALL, Bench, Side
from faults.phases import PATIENT, PHASES, SETTLED, settings
from faults.proxy import Proxy
from faults.stalls import Stalls
from faults.strikes import FAULTS, Fault, told_to

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 300.0
"""Seconds after which whoever is left of a cell is killed, and the cell is red."""
TRIES = 3
"""How often a cell is played until its fault strikes in time, on a machine that runs."""

HOST = "127.0.0.2"
"""Where destinations listen: a port that has to be free again must not be given to anybody's connection
meanwhile, and the kernel gives those of 127.0.0.1."""


@dataclass
class Cell:
    """One migration with one fault, and what came of it.

    Attributes:
        problems: what is wrong with how it ended; empty when all is well.
        struck: there was still something to strike.
        completed: the VM runs at the destination.
    """

    folder: Path
    phase: str
    fault: Fault
    sides: dict[str, Side] = field(default_factory=dict)
    proxy: Proxy | None = None
    problems: list[str] = field(default_factory=list)
    struck: bool = False
    completed: bool = False

    def signal(self, side: str, number: int) -> bool:
        """Send a signal to a side; False when it has ended already."""
        if self.sides[side].process.poll() is not None:
            return False
        self.sides[side].process.send_signal(number)
        return True

    @property
    def late(self) -> bool:
        """The migration was over before the fault struck: nothing was tried out."""
        may = self.phase in self.fault.may_complete
        return self.completed and not (self.struck and may)

    def run(self) -> list[str]:
        """Play it; what is wrong with how it ended."""
        self.folder.mkdir(exist_ok=True)
        config = self.folder / "scenario.toml"
        config.write_text(SMALL)
        self.scratch = self.folder / "tmp"
        self.scratch.mkdir()
        os.environ["TMPDIR"] = str(self.scratch)
        bench = Bench(self.folder, config)
        guard = threading.Timer(LIMIT, lambda: kill_all(bench))
        guard.start()
        try:
            self._play(bench)
        except (pytest.fail.Exception, subprocess.TimeoutExpired) as error:
            self.problems.append(str(error))
        finally:
            guard.cancel()
            self._clear(bench)
        return self.problems

    def _clear(self, bench: Bench) -> None:
        os.environ.pop("TMPDIR")
        if self.fault.full is not None:
            subprocess.run(["umount", "-l", str(self.folder / self.fault.full)], check=True)
        if self.proxy is not None:
            self.proxy.close()
        for side in bench.sides:
            if side.process.poll() is None:
                side.process.kill()
                self.problems.append("a process had to be killed")
            side.process.communicate()

    def _play(self, bench: Bench) -> None:
        if self.fault.full is not None:
            tiny = self.folder / self.fault.full
            tiny.mkdir()
            subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(tiny)], check=True)
        address = self._start(bench)
        self._strike()
        self._judge(address)
        self._retry(bench, address)

    def _start(self, bench: Bench) -> str:
        """Both sides; the address of the destination."""
        (self.folder / "kept").mkdir(exist_ok=True)
        keep = f"device.0.keep={self.folder / 'kept' / 'state'}"
        there = (*settings(self.phase, "destination"), keep, *self.fault.overrides)
        destination, address = bench.destination(*sets(*there), host=HOST)
        target = address
        if self.fault.proxied:
            self.proxy = Proxy(address)
            target = self.proxy.address
        source = bench.source(target, *sets(*settings(self.phase, "source")))
        self.sides = {"destination": destination, "source": source}
        return address

    def _strike(self) -> None:
        if self.fault.by_phase:
            side, event, fields = PHASES[self.phase]
            if not reached(self.sides[side], event, fields):
                self.problems.append(f"{self.phase} was never reached")
        self.struck = self.fault.strike(self)

    def _judge(self, address: str) -> None:
        ends = {name: self._end(name, side) for name, side in self.sides.items()}
        codes = {name: code for name, (code, _) in ends.items() if name != self.fault.victim}
        self.completed = not any(codes.values())
        able = [name for name in self.sides if self._can_run(name)]
        if len(able) != 1:
            self.problems.append(f"able to run the VM: {able or 'nobody'}")
        self._judge_words(ends)
        if listens(address):
            self.problems.append("somebody still listens there")
        left = [path.name for path in [*self.scratch.iterdir(), *self.folder.glob("kept/*.partial")]]
        if left:
            self.problems.append(f"left behind: {left}")

    def _end(self, name: str, side: Side) -> tuple[int, str]:
        """Exit code and last words of a side."""
        try:
            return side.finish()
        except subprocess.TimeoutExpired:
            self.problems.append(f"{name} did not end")
            side.process.kill()
            return side.finish()

    def _can_run(self, name: str) -> bool:
        runnable = self.sides[name].last_vm()[1]
        return runnable and not (name == self.fault.victim == "destination")

    def _judge_words(self, ends: dict[str, tuple[int, str]]) -> None:
        """Every side that failed, and still could speak, names the cause."""
        for name, (code, text) in ends.items():
            if name == self.fault.victim or code == 0:
                continue
            if "Traceback" in text:
                self.problems.append(f"{name}: a traceback")
            if not re.search(told_to(self.fault, self.phase), text):
                self.problems.append(f"{name} does not name the cause: {text}")

    def _retry(self, bench: Bench, address: str) -> None:
        """The same two sides again, at the same port."""
        again = bench.start("destination", str(bench.config), "--listen", address, *sets(*PATIENT))
        if not reached(again, "listening", {}):
            self.problems.append(f"cannot listen again: {again.finish()}")
            return
        ends = [
            self._end(f"retried {side.folder.name}", side)
            for side in (bench.source(address, *sets(*PATIENT)), again)
        ]
        if [code for code, _ in ends] != [0, 0]:
            self.problems.append(f"the retry failed: {ends}")


def played(folder: Path, phase: str, fault: Fault) -> Cell:
    """A cell, played until its fault struck in time, but no more than a few times."""
    for number in range(TRIES):
        cell = Cell(folder / str(number), phase, fault)
        with Stalls() as stalls:
            cell.run()
        if not cell.late and not (cell.problems and stalls.stood_still):
            return cell
    if cell.late:
        cell.problems.append("the migration was always over before the fault struck")
    return cell


def kill_all(bench: Bench) -> None:
    """When a cell takes too long."""
    for side in bench.sides:
        side.process.kill()


def sets(*overrides: str) -> list[str]:
    """As command line words."""
    return [word for override in overrides for word in ("--set", override)]


def reached(side: Side, event: str, fields: dict[str, Any]) -> bool:
    """Read the side's events up to that one; False when it ended before."""
    try:
        side.wait_for(event, **fields)
    except BaseException as error:  # pytest's way of failing is no Exception
        if isinstance(error, KeyboardInterrupt):
            raise
        return False
    return True


def listens(address: str) -> bool:
    """Whether anybody does."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


def every_cell() -> list[tuple[str, Fault]]:
    """Every (phase, fault) there is."""
    everything = [(phase, fault) for fault in FAULTS for phase in PHASES]
    fitting = [(p, f) for p, f in everything if f.by_phase or p == SETTLED]
    return [(p, f) for p, f in fitting if not (f.proxied and p == "connect")]


def cells() -> list[tuple[str, Fault]]:
    """Those that can be played here: only root can fill a disk without filling it."""
    return [(phase, fault) for phase, fault in every_cell() if fault.full is None or os.geteuid() == 0]
