"""A QEMU process: started, spoken to over QMP, and always ended.

QMP goes over a socket pair that the process inherits: no path to clean up, and its end is seen at once. Every
wait has a limit, because a QEMU whose main loop is blocked answers nothing for ever (it is so during every
barrier of an incoming migration, and for good in several failures); a kill timer ends the process whatever
happens to the code that waits.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
import signal
import socket
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from qemu.qmp import ExecInterruptedError, ExecuteError, QMPClient, QMPError

from migemu.errors import PeerError, PeerRefusedError, PeerTimeoutError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence
    from pathlib import Path

    from qemu.qmp.events import EventListener

    from migemu.qemu.binary import Launcher

START_LIMIT: Final = 20.0
"""Seconds until the greeting must have come."""

COMMAND_LIMIT: Final = 20.0
"""Seconds one QMP command may take unless its caller knows better."""

QUIT_LIMIT: Final = 3.0
"""Seconds a QEMU that was asked to quit is given before it is killed."""

_STAMP: Final = re.compile(r"^(\S+Z )?qemu-system-\w+: ")
"""What QEMU puts before its messages: the time if asked to, its name."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What to start and for how long."""

    launcher: Launcher
    arguments: Sequence[str]
    """QEMU's, without those for QMP."""
    folder: Path
    """Where its stderr is kept, as NAME.stderr."""
    name: str
    """``source``, ``destination``: what errors and files call it."""
    preload: Path | None = None
    """A library to load before all others."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """Variables beyond the caller's own."""
    fds: tuple[int, ...] = ()
    """Descriptors that the process inherits under the same numbers."""
    kill_after: float = 300.0
    """Seconds after which the process is killed, come what may."""


class Machine:
    """A running QEMU; made by :func:`running`."""

    def __init__(self, setup: Setup, process: asyncio.subprocess.Process, qmp: QMPClient) -> None:
        self.setup = setup
        self.name = setup.name
        self.process = process
        self.qmp = qmp
        self.killed = False
        """Whether it did not end when it was asked to."""

    async def execute(self, command: str, limit: float = COMMAND_LIMIT, /, **arguments: Any) -> Any:
        """Run a QMP command; ``_`` in the names of arguments stands for ``-``.

        Raises:
            PeerRefusedError: QEMU refused it, with its reason.
            PeerTimeoutError: no answer came within `limit` seconds.
            PeerError: QEMU ended.
        """
        words = {name.replace("_", "-"): value for name, value in arguments.items()}
        try:
            async with asyncio.timeout(limit):
                return await self.qmp.execute(command, words)
        except ExecuteError as error:
            raise PeerRefusedError(f"QEMU refuses {command}: {error}", side=self.name) from error
        except TimeoutError:
            raise PeerTimeoutError(
                f"QEMU gave no answer to {command} in {limit:g} s", side=self.name
            ) from None
        except (ExecInterruptedError, QMPError, EOFError, OSError) as error:
            raise await self.gone(f"during {command}") from error

    def listener(self, *events: str) -> contextlib.AbstractContextManager[EventListener]:
        """Collect QMP `events` while the context lasts."""
        return self.qmp.listener(events)

    async def gone(self, when: str) -> PeerError:
        """The error for a QEMU whose QMP connection broke: how it ended and its last words."""
        try:
            async with asyncio.timeout(QUIT_LIMIT):
                code: int | None = await self.process.wait()
        except TimeoutError:
            code = None
        how = (
            "closed QMP"
            if code is None
            else f"ended with signal {-code}"
            if code < 0
            else f"exit code {code}"
        )
        return PeerError(f"QEMU is gone {when} ({how}): {self.last_words()}", side=self.name)

    def stderr(self) -> str:
        """All it wrote to stderr so far."""
        return _stderr_path(self.setup).read_text(errors="replace")

    def last_words(self) -> str:
        """The last line of its stderr that is not a mere warning."""
        lines = [line.strip() for line in self.stderr().splitlines() if line.strip()]
        words = next((line for line in reversed(lines) if "warning:" not in line), "it said nothing")
        return _STAMP.sub("", words)

    async def stop(self) -> None:
        """End the process: asked first, then killed."""
        with contextlib.suppress(PeerError):
            await self.execute("quit", QUIT_LIMIT)
        with contextlib.suppress(QMPError, EOFError, OSError, TimeoutError):
            async with asyncio.timeout(QUIT_LIMIT):
                await self.qmp.disconnect()
        self.killed = not await _end(self.process)


def _stderr_path(setup: Setup) -> Path:
    return setup.folder / f"{setup.name}.stderr"


async def _end(process: asyncio.subprocess.Process) -> bool:
    """Wait for the process for a moment, then kill it; whether it ended by itself."""
    try:
        async with asyncio.timeout(QUIT_LIMIT):
            return await process.wait() != -signal.SIGKILL  # else the kill timer was first
    except TimeoutError:
        _kill(process)
        await process.wait()  # SIGKILL cannot be refused
    return False


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _command(setup: Setup, qmp_fd: int) -> list[str]:
    """QEMU's command line; where setpriv is at hand the process also dies with this one."""
    control = ["-chardev", f"socket,id=qmp,fd={qmp_fd}", "-qmp", "chardev:qmp"]
    words = setup.launcher.command([*control, *setup.arguments], setup.preload)
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "KILL", "--", *words] if setpriv else words


@contextlib.asynccontextmanager
async def running(setup: Setup) -> AsyncIterator[Machine]:
    """A QEMU for as long as the context lasts.

    Raises:
        PeerError: it did not start; with its last words.
    """
    ours, theirs = socket.socketpair()
    with ours:
        with theirs, _stderr_path(setup).open("wb") as stderr:
            process = await asyncio.create_subprocess_exec(
                *_command(setup, theirs.fileno()),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=stderr,
                stderr=stderr,
                env={**setup.launcher.environment(setup.preload), **setup.environment},
                pass_fds=(theirs.fileno(), *setup.fds),
                start_new_session=True,  # Ctrl-C is ours to pass on, and two sides share processors evenly
            )
        timer = asyncio.get_running_loop().call_later(setup.kill_after, _kill, process)
        machine = Machine(setup, process, QMPClient(setup.name))
        try:
            await _connect(machine, ours)
            yield machine
        finally:
            await machine.stop()
            timer.cancel()


async def _connect(machine: Machine, connection: socket.socket) -> None:
    try:
        async with asyncio.timeout(START_LIMIT):
            await machine.qmp.connect(connection)
    except TimeoutError:
        raise PeerTimeoutError(f"QEMU sent no greeting in {START_LIMIT:g} s", side=machine.name) from None
    except (QMPError, EOFError, OSError) as error:
        raise await machine.gone("before its greeting") from error
