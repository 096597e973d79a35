"""Every error migemu raises on purpose, one tree.

::

    MigemuError                     exit 1
    |-- UsageError                  exit 2: the command line is wrong
    |   `-- ConfigError             exit 2: a scenario is wrong
    |-- WireError                   the peer's bytes break the protocol
    |   `-- TruncatedError          the stream ended inside a record
    |-- PeerError                   the peer or the connection to it
    |   |-- ConnectionLostError     closed or reset before its goodbye
    |   |-- PeerTimeoutError        nothing came within the time limit of a phase
    |   |-- PeerRefusedError        the other side said no, with its reason
    |   `-- PeerUncertainError      told to start, never answered: only the other side may run
    |-- DeviceError                 a device refused or failed
    |   `-- DeviceStateError        a transition or operation its migration state forbids
    |-- LimitError                  a named limit was met (queue cap, lengths, counts)
    |-- InvariantError              an invariant of the house plan was broken
    |-- CancelledMigrationError     a person or signal asked to stop
    `-- ScheduleError               a controlled run: deadlock, lost wake-up, divergence

Each carries where it happened, as far as that is known, and prints as one actionable line.
"""

from __future__ import annotations

from typing import Any, ClassVar


class MigemuError(Exception):
    """Something went wrong that a person can act on.

    Args:
        message: what happened and, where possible, what to do; one line.
        side: ``source`` or ``destination``.
        device: a device's section id, for example ``0000:00:01.0/vfio``.
        channel: ``main`` or a multifd channel id.
        idx: a device-state packet's index.
        phase: where in the migration, for example ``setup`` or ``switchover``.
    """

    exit_code: ClassVar[int] = 1

    def __init__(
        self,
        message: str,
        *,
        side: str | None = None,
        device: str | None = None,
        channel: int | str | None = None,
        idx: int | None = None,
        phase: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.side = side
        self.device = device
        self.channel = channel
        self.idx = idx
        self.phase = phase

    def at(self, **where: Any) -> MigemuError:
        """Fill in what the raiser could not know; what it did know stays."""
        for name, value in where.items():
            if getattr(self, name) is None:
                setattr(self, name, value)
        return self

    def where(self) -> dict[str, Any]:
        """The known parts of the place, in reading order."""
        names = ("side", "phase", "channel", "device", "idx")
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}

    def __str__(self) -> str:
        place = ", ".join(_place(name, value) for name, value in self.where().items())
        return f"{place}: {self.message}" if place else self.message


def _place(name: str, value: object) -> str:
    """One part of a place as a person says it."""
    if name == "side":
        return str(value)
    return "main channel" if (name, value) == ("channel", "main") else f"{name} {value}"


class UsageError(MigemuError):
    """The command line asks for something that does not exist or cannot be combined."""

    exit_code = 2


class ConfigError(UsageError):
    """A scenario file or an override is wrong."""


class WireError(MigemuError):
    """The peer sent bytes that the protocol does not allow."""


class TruncatedError(WireError):
    """The stream ended inside a record."""


class PeerError(MigemuError):
    """The peer, or the connection to it, failed."""


class ConnectionLostError(PeerError):
    """A connection closed or was reset before the migration was over."""


class PeerTimeoutError(PeerError):
    """The peer did nothing for longer than the phase allows."""


class PeerRefusedError(PeerError):
    """The peer reported a failure of its own; the message is its reason."""


class PeerUncertainError(PeerError):
    """The destination was told to start and never answered: the source must stay stopped."""


class DeviceError(MigemuError):
    """A device refused an operation, or failed while doing it."""


class DeviceStateError(DeviceError):
    """The device's migration state does not allow this."""


class LimitError(MigemuError):
    """A limit was met. ``limit`` is the name of the setting that holds it."""

    def __init__(self, message: str, *, limit: str, **where: Any) -> None:
        super().__init__(message, **where)
        self.limit = limit


class InvariantError(MigemuError):
    """An invariant was broken. ``invariant`` is its name in the house plan."""

    def __init__(self, message: str, *, invariant: str, **where: Any) -> None:
        super().__init__(f"invariant {invariant}: {message}", **where)
        self.invariant = invariant


class CancelledMigrationError(MigemuError):
    """The migration was cancelled on request."""


class ScheduleError(MigemuError):
    """A controlled run ended in a deadlock, a lost wake-up, a wait without end, or diverged."""
