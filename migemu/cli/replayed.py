"""The destination that a replay starts for itself."""

from __future__ import annotations

import asyncio
import signal
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from migemu.cli.address import parse_address
from migemu.errors import ConfigError, MigemuError, PeerRefusedError, UsageError
from migemu.lab.capture_read import items
from migemu.observe import events
from migemu.scenario import Tls, dump_toml, with_overrides

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from migemu.lab.capture import Capture
    from migemu.observe.events import Event
    from migemu.scenario import Scenario

LISTEN_SECONDS: Final = 30.0
LAST_SECONDS: Final = 20.0
"""How long it has to end once everything was played, or to say why it failed."""
LINE_LIMIT: Final = 1 << 20


class Destination:
    """A destination process that takes what a replay sends, in the recorded order.

    Args:
        capture: what is played; the effective scenario is in it, or it is a QEMU's.
        scratch: a folder of this run.
        overrides: over the scenario.
        subscriber: told of its events.
    """

    def __init__(
        self,
        capture: Capture,
        scratch: Path,
        overrides: tuple[str, ...],
        subscriber: Callable[[Event], None],
    ) -> None:
        self._subscriber = subscriber
        self._process: asyncio.subprocess.Process | None = None
        self._address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._reader: asyncio.Task[None] | None = None
        self._said = ""
        self._arguments = self._command(capture, scratch, overrides)

    def _command(self, capture: Capture, scratch: Path, overrides: tuple[str, ...]) -> list[str]:
        recorded = capture.scenario()
        sets = [word for override in overrides for word in ("--set", override)]
        if recorded is None:  # a QEMU's: everything is what the stream says
            channels = sum(isinstance(channel, int) for channel in capture.places().values())
            return ["--peer", "qemu", "--channels", str(channels), *sets]
        config = scratch / "scenario.toml"
        config.write_text(dump_toml(here(capture, recorded, overrides)), encoding="utf-8")
        peer = ["--peer", "qemu"] if capture.head is not None and capture.head.peer == "qemu" else []
        follow = ["--follow", str(capture.files.path)] if capture.head is not None else []
        return [str(config), *follow, *peer]

    async def listening(self) -> tuple[str, int] | None:
        """Start it; where it listens, or None when it ended instead."""
        command = [sys.executable, "-m", "migemu", "destination", *self._arguments]
        self._process = await asyncio.create_subprocess_exec(
            *command,
            *("--listen", "127.0.0.1:0", "--json"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
            limit=LINE_LIMIT,
        )
        self._reader = asyncio.ensure_future(self._read(self._process))
        either: set[asyncio.Future[Any]] = {self._address, self._reader}
        await asyncio.wait(either, timeout=LISTEN_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        return parse_address(self._address.result()) if self._address.done() else None

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None  # noqa: S101  both are pipes
        assert process.stderr is not None  # noqa: S101
        words = asyncio.ensure_future(process.stderr.read())
        async for line in process.stdout:
            event = events.Event.decode(line)
            if event.event == "listening" and not self._address.done():
                self._address.set_result(f"{event.get('host')}:{event.get('port')}")
            self._subscriber(event)
        self._said = (await words).decode(errors="replace").strip().removeprefix("migemu: ")

    async def finish(self, *, patient: bool) -> MigemuError | None:
        """Wait for its end; why it failed, if it did."""
        process, reader = self._process, self._reader
        if process is None or reader is None:
            return None
        patience = LAST_SECONDS if patient else LAST_SECONDS / 4
        try:
            await asyncio.wait_for(asyncio.gather(asyncio.shield(reader), process.wait()), patience)
        except TimeoutError:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGKILL)
            await process.wait()
            return PeerRefusedError(f"the destination did not end within {patience:g} s")
        code = await process.wait()
        if code == 0:
            return None
        error = ConfigError if code == ConfigError.exit_code else PeerRefusedError
        return error(f"the destination failed: {self._said or f'exit code {code}'}")


def here(capture: Capture, recorded: Scenario, overrides: tuple[str, ...]) -> Scenario:
    """The recorded scenario as it runs here.

    Without TLS, whose bytes were recorded as they were read; without the source's files, which need not be
    here; and what was kept then is not written again.
    """
    devices = tuple(device.model_copy(update={"keep": None}) for device in recorded.device)
    ram = recorded.ram
    if ram.file is not None:
        ram = ram.model_copy(update={"size": ram_size(capture), "file": None, "working_set": None})
    changed = recorded.model_copy(update={"device": devices, "ram": ram, "tls": Tls()})
    return with_overrides(changed, overrides, side="destination")


def ram_size(capture: Capture) -> int:
    """Bytes of the RAM that was migrated, as the recorded stream says.

    Raises:
        UsageError: it does not get so far.
    """
    name = capture.connections()[0]
    with capture.files.open(name) as file:
        for found in items(file, name):
            if found.item.record == "RamBlocks":
                return sum(block["used_length"] for block in found.said["blocks"])
    raise UsageError(f"{name} of the capture ends before it says how much RAM there is")
