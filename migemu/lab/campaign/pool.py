"""A pool of processes that can lose one: the piece of work that was lost with it is done again by another.

Made for work that is a pure function: running a piece twice changes nothing but the time. A killed process
closes its end of the pipe, which is how its loss is noticed; the other processes go on.
"""

from __future__ import annotations

import pickle
import signal
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing import connection, get_context, resource_tracker
from traceback import format_exc
from typing import Any

from migemu.errors import MigemuError, UsageError

MOST_LOSSES = 3
"""Workers that one piece of work may cost; then it is the piece that kills them."""

LOOK_SECONDS = 5.0
"""Between two looks at whether silent workers are alive at all."""

JOIN_SECONDS = 10.0
"""For a killed process to be gone."""

OnLost = Callable[[str], None]
"""Is told of a lost worker, in a sentence."""


@dataclass
class Piece:
    """A call that is to be made."""

    number: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]
    losses: int = 0


@dataclass
class Worker:
    """One process, and what it is doing."""

    process: Any
    pipe: connection.Connection
    piece: Piece | None = None


@dataclass
class Pool:
    """Processes that make calls side by side.

    Args:
        jobs: how many processes.
        on_lost: is told when one was lost.
    """

    jobs: int
    on_lost: OnLost = lambda _told: None
    workers: list[Worker] = field(default_factory=list)
    _again: deque[Piece] = field(default_factory=deque)

    def each(
        self, function: Callable[..., Any], calls: Iterable[tuple[Any, ...]]
    ) -> Generator[tuple[int, Any]]:
        """Call `function` with each of the arguments; what came of it, as it is finished.

        Args:
            function: of a module's top level.
            calls: arguments; the next ones are asked for only when a process is free for them.

        Yields:
            Which call, from 0, and its value.

        Raises:
            MigemuError: a call failed, or killed `MOST_LOSSES` workers.
        """
        waiting = (Piece(number, function, arguments) for number, arguments in enumerate(calls))
        try:
            while self._hand_out(waiting):
                for worker in self._ready():
                    yield from self._take(worker)
        finally:
            self.close()

    def _hand_out(self, waiting: Iterator[Piece]) -> bool:
        """Give every free process something to do; whether anything is being done now."""
        while (worker := self._free()) is not None:
            piece = self._again.popleft() if self._again else next(waiting, None)
            if piece is None:
                break
            worker.piece = piece
            with suppress(OSError):  # it died idle; the pipe tells so when it is read
                worker.pipe.send((piece.function, piece.arguments))
        return any(worker.piece for worker in self.workers)

    def _free(self) -> Worker | None:
        """An idle process, a new one if there may be more."""
        idle = next((worker for worker in self.workers if worker.piece is None), None)
        if idle is None and len(self.workers) < self.jobs:
            idle = start_worker()
            self.workers.append(idle)
        return idle

    def _ready(self) -> list[Worker]:
        """Processes that have answered or died."""
        pipes = {worker.pipe: worker for worker in self.workers if worker.piece}
        return [pipes[pipe] for pipe in connection.wait(list(pipes), LOOK_SECONDS) if pipe in pipes]

    def _take(self, worker: Worker) -> Iterator[tuple[int, Any]]:
        piece = worker.piece
        assert piece is not None  # noqa: S101  only busy ones are waited for
        try:
            done, value = worker.pipe.recv()
        except (EOFError, OSError):
            self._lost(worker, piece)
            return
        worker.piece = None
        if not done:
            raise value
        yield piece.number, value

    def _lost(self, worker: Worker, piece: Piece) -> None:
        """Put the work of a dead process back to the front."""
        self.workers.remove(worker)
        end_worker(worker)
        piece.losses += 1
        told = f"worker {worker.process.pid} was lost ({_how(worker.process.exitcode)})"
        if piece.losses >= MOST_LOSSES:
            raise MigemuError(f"{told}, the {MOST_LOSSES}rd with the same piece of work: {_short(piece)}")
        self._again.append(piece)
        self.on_lost(f"{told}; what it was doing is done again")

    def close(self) -> None:
        """End every process, whatever it is doing."""
        for worker in self.workers:
            end_worker(worker)
        self.workers.clear()
        self._again.clear()


def start_worker() -> Worker:
    """A fresh process: a fork would carry along whatever threads and loops the caller has."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs,), name="migemu worker", daemon=True)
    with deaf_children():
        process.start()
    theirs.close()  # else its death would not close the pipe
    return Worker(process, ours)


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes that are started in here do not hear Ctrl-C; it waits until all are started.

    It reaches the whole group, and whoever is just importing things would only fill the screen; the parent
    decides.
    """
    resource_tracker.ensure_running()  # when it starts it unblocks the signal, once
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end_worker(worker: Worker) -> None:
    """Kill a process and wait until it is gone; what it did is nobody's."""
    worker.pipe.close()
    worker.process.kill()
    worker.process.join(JOIN_SECONDS)


def serve(pipe: connection.Connection) -> None:
    """What a process does: calls, until there are no more."""
    while True:
        try:
            told = pipe.recv_bytes()
        except EOFError:
            return
        with suppress(BrokenPipeError):  # the parent is gone, and nobody wants to know any more
            pipe.send(guarded(_call, told))


def _call(told: bytes) -> Any:
    """Make the call that has come; what cannot be imported here is an error like any other."""
    function, arguments = pickle.loads(told)  # noqa: S301  from our own parent
    return function(*arguments)


def guarded(function: Callable[..., Any], *arguments: Any) -> tuple[bool, Any]:
    """Call `function`; an error becomes one that survives the way to another process.

    Returns:
        True and its value, or False and the error.
    """
    try:
        return True, function(*arguments)
    except UsageError as error:
        return False, UsageError(str(error))
    except MigemuError as error:
        return False, MigemuError(str(error))
    except Exception as error:  # noqa: BLE001  told where somebody can read it
        told = MigemuError(f"a worker met {type(error).__name__}: {error}")
        told.add_note(format_exc())
        return False, told


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"exit code {code}"


def _short(piece: Piece) -> str:
    """The last arguments say which piece it is: a shard's first item and count."""
    return " ".join(map(str, piece.arguments[1:])) or str(piece.number)
