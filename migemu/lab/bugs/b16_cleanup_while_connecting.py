"""B16: cleanup runs while channels are still being made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.lab.bugs.bug import Bug, Hunt, Story

if TYPE_CHECKING:
    from collections.abc import Hashable

    from migemu.threads.controlled import ControlledThreads

CHANNELS = 3


class Connecting:
    """A source that makes its channels, one of which is refused.

    Args:
        all_attempted: whether the migration thread waits until every channel has been tried.
        name: sets the variants apart.
    """

    def __init__(self, *, all_attempted: bool, name: str) -> None:
        self.all_attempted = all_attempted
        self.name = name

    def text(self) -> str:
        """What a token's hash is made of."""
        return f"connecting 1\n{self.name}\n{CHANNELS}"

    def __call__(self) -> Channels:
        """A system of its own for one schedule."""
        return Channels(all_attempted=self.all_attempted)


class Channels:
    """One run: a thread for each connection attempt, and the migration thread that waits for them.

    The real source gathers its attempts in one coroutine (``source/dial.py``), which is the correct variant
    by construction; QEMU makes each channel in a thread of its own, and that is what is modelled.
    """

    def __init__(self, *, all_attempted: bool) -> None:
        self._all_attempted = all_attempted
        self._params: list[str] | None = ["being made"] * CHANNELS
        self._attempted = 0
        self._failed = False
        self._late: str | None = None

    def build(self, threads: ControlledThreads) -> None:
        """Spawn the attempts and the migration thread."""
        self._threads = threads
        self._lock = threads.lock("multifd_send_state")
        self._changed = threads.condition(self._lock, "channels_created")
        threads.invariant("lifetime", lambda: self._late, over=[self._lock])
        threads.spawn("migration", self._migrate)
        for channel in range(CHANNELS):
            threads.spawn(f"connect {channel}", lambda channel=channel: self._connect(channel))  # type: ignore[misc]  # a default binds the loop variable

    def _connect(self, channel: int) -> None:
        with self._lock:
            if self._params is None:
                self._late = f"channel {channel} is stored in what cleanup has freed"
                return
            self._params[channel] = "refused" if not channel else "connected"
            self._threads.point("multifd_new_send_channel", channel=channel, state=self._params[channel])
            self._failed = self._failed or not channel
            self._attempted += 1
            self._changed.notify_all()

    def _migrate(self) -> None:
        with self._lock:
            while self._attempted < CHANNELS and (self._all_attempted or not self._failed):
                self._changed.wait()
        with self._lock:
            self._threads.point("multifd_send_shutdown")
            self._params = None

    def final(self) -> Hashable:
        """How far it came."""
        return self._attempted


BUG = Bug(
    name="B16",
    title="cleanup while channels are still being made",
    story=Story(
        mechanism="""One channel failed to connect and that started the cleanup, while the threads of the
        other channels were still connecting: they stored their connection in what had been freed.""",
        happened="QEMU's source, reports of crashes on failed migrations.",
        fix="""A point, "channels_created", that the migration thread waits at until every channel was
        attempted. The price: the start lasts as long as the slowest connect.""",
        versions="fixed in 9.0 (Fabiano Rosas, February 2024)",
        links=("migration/multifd: Move multifd_send_setup into migration thread (series, February 2024)",),
    ),
    changed="one guard: the first failure ends the wait for the channels",
    breaks="lifetime",
    broken=Connecting(all_attempted=False, name="B16 broken"),
    correct=Connecting(all_attempted=True, name="B16 correct"),
    instead="the wait for every attempt, failed or not",
    hunt=Hunt(schedules=200, length=12),
)
