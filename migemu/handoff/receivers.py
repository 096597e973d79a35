"""Receive threads: one per multifd channel, acting on what came on it, one thing after the other.

Only the designs in which receivers load devices have them; elsewhere the event loop that owns a socket puts
packets in their slots itself. A channel whose thread has something to do is not read, so a slow device slows
everything behind it on its channel, guest RAM included. That is what the debate was about.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

from migemu.threads.sync import Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.handoff.base import Machine

    Act = Callable[[], None]


class Receiver:
    """The thread of one channel.

    It waits for its channel without a limit of its own: that nothing comes is for whoever needs it to say.
    """

    def __init__(self, machine: Machine, channel: int) -> None:
        self._machine = machine
        self._channel = channel
        self._lock = machine.threads.lock(f"multifd_recv {channel}")
        self._came = machine.threads.condition(self._lock, f"multifd_recv {channel} packet")
        self._acts: deque[Act | None] = deque()
        self._forever = Patience(machine.threads, None)
        machine.abort.watch(self._lock, self._came)

    def start(self) -> None:
        """Start the thread."""
        self._machine.pool.submit(f"multifd_recv {self._channel}", self._run)

    def put(self, act: Act | None) -> None:
        """Have the thread do `act` after all that came before it; None ends it."""
        with self._lock:
            self._acts.append(act)
            self._came.notify()

    def busy(self) -> bool:
        """Whether something is still to be done."""
        with self._lock:
            return bool(self._acts)

    def _run(self) -> None:
        while (act := self._next()) is not None:
            act()
            self._done()

    def _next(self) -> Act | None:
        """What came first; it stays in the queue while it is done, so that the thread counts as busy."""
        with self._lock:
            what = f"multifd channel {self._channel}"
            self._machine.abort.wait_for(self._came, lambda: bool(self._acts), self._forever, what)
            self._machine.abort.check()
            return self._acts[0]

    def _done(self) -> None:
        with self._lock:
            self._acts.popleft()
            idle = not self._acts
        if idle:
            self._machine.on_idle(self._channel)


class Receivers:
    """The receive threads of a destination."""

    def __init__(self, machine: Machine) -> None:
        self._receivers = [Receiver(machine, channel) for channel in range(machine.channels)]

    def __len__(self) -> int:
        return len(self._receivers)

    def __getitem__(self, channel: int) -> Receiver:
        return self._receivers[channel]

    def start(self) -> None:
        """Start every thread."""
        for receiver in self._receivers:
            receiver.start()

    def stop(self) -> None:
        """Let every thread end when it has done what came."""
        for receiver in self._receivers:
            receiver.put(None)
