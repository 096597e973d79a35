"""The fault matrix: what may go wrong, and when; one cell is one fault at one moment of one migration."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from e2e.sides import LIMIT, SMALL, Bench, Side
from faults.proxy import Proxy

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SLOW = (
    "device.*.write_rate=12 MB/s",
    "device.*.config_load_time=150 ms",
    "device.*.transition_times.STOP=20 ms",
    "device.*.transition_times.RUNNING=100 ms",
    "platform.interrupt_controller_load_time=100 ms",
    "ram.dirty_rate=100 MiB/s",
    "timeouts.connect=8 s",
    "timeouts.phase=2500 ms",
)
"""Each phase lasts long enough to be met, and each wait ends soon."""

CHECKPOINT = "vmstate_downtime_checkpoint"

PHASES: dict[str, tuple[str, str, dict[str, Any]]] = {
    "connect": ("source", "vm_state", {"running": True}),
    "hello": ("destination", "multifd_recv_new_channel", {}),
    "setup": ("source", "migrate_set_state", {"state": "setup"}),
    "precopy round": ("source", "precopy_round", {"round": 1}),
    "switchover": ("source", CHECKPOINT, {"checkpoint": "src-vm-stopped"}),
    "device data": ("destination", "vfio_load_bufs_thread_start", {}),
    "non-iterables": ("destination", "interrupt_controller_loaded", {}),
    "config": ("destination", "vfio_load_device_config_state_start", {}),
    "EOF": ("source", CHECKPOINT, {"checkpoint": "src-non-iterable-saved"}),
    "after EOF": ("destination", CHECKPOINT, {"checkpoint": "dst-precopy-loadvm-completed"}),
    "before SHUT": ("source", "vm_state", {"runnable": False}),
}
"""Which side's event, with which fields, says that the phase is on."""

LOST = r"connection failed|closed|reset|stream ended|went away|no destination|never came"
LATE = r"nothing moved|did not come|no SYNC|within|not over after"
GONE = r"no complete source|" + LOST
ANY = r"\S"


@dataclass
class Fault:
    """Something that goes wrong.

    Attributes:
        name: as the table says it.
        strike: makes it happen.
        told: a pattern that some side's error must match.
        overrides: settings of the destination that bring it about.
        victim: the side that is killed, and says nothing more.
        by_phase: whether it may happen in any phase; otherwise the settings say when.
        survives: the migration completes in spite of it.
        full: a folder of the cell that lies on a disk with no room; needs root.
    """

    name: str
    strike: Callable[[Cell], None] = lambda _cell: None
    told: str = ANY
    overrides: tuple[str, ...] = ()
    victim: str | None = None
    by_phase: bool = True
    survives: bool = False
    proxied: bool = False
    full: str | None = None


@dataclass
class Cell:
    """One migration with one fault, and what came of it."""

    folder: Path
    phase: str
    fault: Fault
    sides: dict[str, Side] = field(default_factory=dict)
    proxy: Proxy | None = None
    problems: list[str] = field(default_factory=list)
    completed: bool = False

    def signal(self, side: str, number: int) -> None:
        """Send a signal to a side."""
        if self.sides[side].process.poll() is None:
            self.sides[side].process.send_signal(number)

    def run(self) -> list[str]:
        """Play it; what is wrong with how it ended."""
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
        (self.folder / "kept").mkdir(exist_ok=True)
        keep = f"device.0.keep={self.folder / 'kept' / 'state'}"
        destination, address = bench.destination(*sets(*SLOW, keep, *self.fault.overrides))
        target = address
        if self.fault.proxied:
            self.proxy = Proxy(address)
            target = self.proxy.address
        self.sides = {"destination": destination, "source": bench.source(target, *sets(*SLOW))}
        if self.fault.by_phase:
            side, event, fields = PHASES[self.phase]
            if not reached(self.sides[side], event, fields):
                self.problems.append(f"{self.phase} was never reached")
        self.fault.strike(self)
        self._judge(address)
        self._retry(bench, address)

    def _judge(self, address: str) -> None:
        ends: dict[str, tuple[int, str]] = {}
        for name, side in self.sides.items():
            try:
                ends[name] = side.finish()
            except subprocess.TimeoutExpired:
                self.problems.append(f"{name} did not end")
                side.process.kill()
                ends[name] = side.finish()
        self.completed = all(code == 0 for code, _ in ends.values())
        able = [name for name in self.sides if self._can_run(name)]
        if len(able) != 1:
            self.problems.append(f"able to run the VM: {able or 'nobody'}")
        self._judge_words(ends)
        if listens(address):
            self.problems.append("somebody still listens there")
        left = [path.name for path in [*self.scratch.iterdir(), *self.folder.glob("kept/*.partial")]]
        if left:
            self.problems.append(f"left behind: {left}")

    def _can_run(self, name: str) -> bool:
        runnable = self.sides[name].last_vm()[1]
        return runnable and not (name == self.fault.victim == "destination")

    def _judge_words(self, ends: dict[str, tuple[int, str]]) -> None:
        said = {name: text for name, (_, text) in ends.items() if name != self.fault.victim}
        if any("Traceback" in text for text in said.values()):
            self.problems.append("a traceback")
        if (ends["source"][0] == 0 and not self.fault.full) or (
            self.fault.victim == "source" and ends["destination"][0] == 0
        ):
            self.completed = True
            return  # too late to hurt: the VM had been handed over
        if self.fault.survives:
            self.problems.append(f"did not survive: {said}")
        told = " ".join(said.values())
        if not re.search(self.fault.told, told):
            self.problems.append(f"nobody names the cause: {told}")

    def _retry(self, bench: Bench, address: str) -> None:
        """The same two sides again, at the same port."""
        again = bench.start("destination", str(bench.config), "--listen", address)
        if not reached(again, "listening", {}):
            self.problems.append(f"cannot listen again: {again.finish()}")
            return
        codes = [side.finish()[0] for side in (bench.source(address), again)]
        if codes != [0, 0]:
            self.problems.append(f"the retry failed: {codes}")


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


def kill(side: str) -> Callable[[Cell], None]:
    return lambda cell: cell.signal(side, signal.SIGKILL)


def stop(side: str) -> Callable[[Cell], None]:
    """Stand still until the other side has given up, then go on."""

    def strike(cell: Cell) -> None:
        cell.signal(side, signal.SIGSTOP)
        other = cell.sides["source" if side == "destination" else "destination"]
        wake = threading.Timer(15.0, cell.signal, (side, signal.SIGCONT))
        wake.start()
        ended = other.finish()
        other.finish = lambda: ended  # type: ignore[method-assign]  # it has been read to its end
        wake.cancel()
        cell.signal(side, signal.SIGCONT)

    return strike


def broken(how: str, kind: str) -> Callable[[Cell], None]:
    def strike(cell: Cell) -> None:
        assert cell.proxy is not None
        cell.proxy.break_(how, kind)

    return strike


def cancel(cell: Cell) -> None:
    """As a person would, from another terminal."""
    pid = str(cell.sides["source"].process.pid)
    command = [sys.executable, "-m", "migemu", "cancel", pid]
    subprocess.run(command, capture_output=True, check=False, timeout=LIMIT)


def ask_to_end(side: str, number: int) -> Callable[[Cell], None]:
    return lambda cell: cell.signal(side, number)


FAULTS = [
    Fault("kill source", kill("source"), GONE, victim="source"),
    Fault("kill destination", kill("destination"), LOST, victim="destination"),
    Fault("stop source", stop("source"), f"{LATE}|{LOST}"),
    Fault("stop destination", stop("destination"), f"{LATE}|{LOST}"),
    Fault("reset main", broken("reset", "main"), LOST, proxied=True),
    Fault("reset multifd", broken("reset", "multifd"), LOST, proxied=True),
    Fault("half-close main", broken("half-close", "main"), f"{LOST}|{LATE}", proxied=True),
    Fault("half-close multifd", broken("half-close", "multifd"), f"{LOST}|{LATE}", proxied=True),
    Fault("Ctrl-C source", ask_to_end("source", signal.SIGINT), "cancelled by SIGINT"),
    Fault("SIGTERM destination", ask_to_end("destination", signal.SIGTERM), "cancelled by SIGTERM"),
    Fault("migemu cancel", cancel, "cancelled by migemu cancel"),
    Fault(
        "device write error",
        told="Input/output error",
        overrides=("device.0.injected.write_error_at=1 MiB",),
        by_phase=False,
    ),
    Fault(
        "device partial writes",
        overrides=("device.*.injected.partial_writes=true",),
        by_phase=False,
        survives=True,
    ),
    Fault("full disk, loaded state", told="No space left on device", by_phase=False, full="kept"),
    Fault("full disk, results", told="results could not be written", by_phase=False, full="side0"),
    Fault("device stall", told=LATE, overrides=("device.0.injected.stall_at=1 MiB",), by_phase=False),
    Fault(
        "memory cap met",
        told="queue_per_device",
        overrides=("limits.on_cap=fail", "limits.queue_per_device=128 KiB"),
        by_phase=False,
    ),
]
"""Faults by rows; those that settings bring about have one cell each."""

SETTLED = "device data"
"""The phase in which a fault that settings bring about strikes."""


def cells() -> list[tuple[str, Fault]]:
    """Every (phase, fault) there is."""
    everything = [(phase, fault) for fault in FAULTS for phase in PHASES]
    fitting = [(p, f) for p, f in everything if f.by_phase or p == SETTLED]
    able = [(p, f) for p, f in fitting if f.full is None or os.geteuid() == 0]
    return [(p, f) for p, f in able if not (f.proxied and p == "connect")]
