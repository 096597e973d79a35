"""What may go wrong, how it is brought about, and what is then to be said."""

from __future__ import annotations

import io
import signal
import threading
from contextlib import redirect_stdout, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from faults.phases import PHASES
from migemu.cli.cancel import cancel as cancel_command
from migemu.errors import MigemuError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from faults.cells import Cell

LOST = r"connection failed|closed|reset|stream ended|went away|no destination|never came"
LATE = r"nothing moved|did not come|no SYNC|within|not over after"
GONE = r"no complete source|" + LOST
ANY = r"\S"

STOPPED_FOR = 15.0
"""Seconds after which a stopped side goes on at the latest; every time limit of the other has passed then."""

HANDED_OVER = ("before SHUT",)
"""START is out: the destination runs the VM, whatever becomes of the source and of the connections."""
ALL_LOADED = ("after EOF", *HANDED_OVER)
"""A multifd channel has nothing to carry any more."""
BETWEEN_PACKETS = ("non-iterables", "config", "EOF", *ALL_LOADED)
"""On plain TCP a half-closed channel has said goodbye, and all it had to carry may have come."""


@dataclass(frozen=True)
class Fault:
    """Something that goes wrong.

    Attributes:
        name: as the table says it.
        strike: makes it happen; whether there was something to strike.
        told: a pattern that the error of every side that fails must match.
        overrides: settings of the destination that bring it about.
        victim: the side that is killed, and says nothing more.
        by_phase: whether it may happen in any phase; otherwise the settings say when.
        may_complete: phases in which the migration may complete in spite of it.
        proxied: it happens to a connection.
        full: a folder of the cell that lies on a disk with no room; needs root.
    """

    name: str
    strike: Callable[[Cell], bool] = lambda _cell: True
    told: str = ANY
    overrides: tuple[str, ...] = ()
    victim: str | None = None
    by_phase: bool = True
    may_complete: Collection[str] = ()
    proxied: bool = False
    full: str | None = None


def kill(side: str) -> Callable[[Cell], bool]:
    return lambda cell: cell.signal(side, signal.SIGKILL)


def stop(side: str) -> Callable[[Cell], bool]:
    """Stand still until the other side has given up, then go on."""

    def strike(cell: Cell) -> bool:
        struck = cell.signal(side, signal.SIGSTOP)
        other = cell.sides["source" if side == "destination" else "destination"]
        wake = threading.Timer(STOPPED_FOR, cell.signal, (side, signal.SIGCONT))
        wake.start()
        ended = other.finish()
        other.finish = lambda: ended  # type: ignore[method-assign]  # it has been read to its end
        wake.cancel()
        cell.signal(side, signal.SIGCONT)
        return struck

    return strike


def broken(how: str, kind: str) -> Callable[[Cell], bool]:
    def strike(cell: Cell) -> bool:
        assert cell.proxy is not None
        return cell.proxy.break_(how, kind)

    return strike


def cancel(cell: Cell) -> bool:
    """The command itself, in this process: another interpreter's start would take longer than most phases."""
    said = io.StringIO()
    with redirect_stdout(said), suppress(MigemuError):  # it ended by itself
        cancel_command.main([str(cell.sides["source"].process.pid)], standalone_mode=False)
    return "cancelled" in said.getvalue()


def ask_to_end(side: str, number: int) -> Callable[[Cell], bool]:
    return lambda cell: cell.signal(side, number)


KILLS = [
    Fault("kill source", kill("source"), GONE, victim="source", may_complete=HANDED_OVER),
    Fault("kill destination", kill("destination"), LOST, victim="destination"),
    Fault("stop source", stop("source"), f"{LATE}|{LOST}", may_complete=HANDED_OVER),
    Fault("stop destination", stop("destination"), f"{LATE}|{LOST}"),
]

CONNECTIONS = [
    Fault("reset main", broken("reset", "main"), GONE, proxied=True, may_complete=HANDED_OVER),
    Fault("reset multifd", broken("reset", "multifd"), GONE, proxied=True, may_complete=ALL_LOADED),
    Fault(
        "half-close main",
        broken("half-close", "main"),
        f"{GONE}|{LATE}",
        proxied=True,
        may_complete=HANDED_OVER,
    ),
    Fault(
        "half-close multifd",
        broken("half-close", "multifd"),
        f"{GONE}|{LATE}",
        proxied=True,
        may_complete=BETWEEN_PACKETS,
    ),
]

REQUESTS = [
    Fault(
        "Ctrl-C source",
        ask_to_end("source", signal.SIGINT),
        "cancelled by SIGINT",
        may_complete=HANDED_OVER,
    ),
    Fault("SIGTERM destination", ask_to_end("destination", signal.SIGTERM), "cancelled by SIGTERM"),
    Fault("migemu cancel", cancel, "cancelled by migemu cancel", may_complete=HANDED_OVER),
]

SETTINGS = [
    Fault(
        "device write error",
        told="Input/output error",
        overrides=("device.0.injected.write_error_at=1 MiB",),
        by_phase=False,
    ),
    Fault(
        "device partial writes",
        told="nothing: it must complete",
        overrides=("device.*.injected.partial_writes=true",),
        by_phase=False,
        may_complete=PHASES,
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

FAULTS = [*KILLS, *CONNECTIONS, *REQUESTS, *SETTINGS]
"""By rows; those that settings bring about have one cell each."""

STRANGERS = {"connect", "hello", "setup"}
"""Phases in which the two sides do not know each other yet: what ends one, the other sees as a loss."""


def told_to(fault: Fault, phase: str) -> str:
    """What every side that fails must say, as a pattern."""
    return f"{fault.told}|{GONE}" if phase in STRANGERS else fault.told
