"""``migemu host``: takes one destination after another, for runs and studies that are directed elsewhere.

The two ends of a sweep stand in two containers, or on two machines, and the source's side knows what comes
next. So the other side runs this: for each migration one connection, over which the scenario comes, and the
destination's events go back as it says them. All that it can be told to start is a destination, and one that
keeps no file.

    asks      JSON line    {"scenario": TOML}
    answers   JSON lines   the destination's events, as they happen
              JSON line    {"exit": code, "said": stderr, "events": N}    and N bytes, its whole log
    or        JSON line    {"refused": why}

The asker's end of stream before that, for whatever reason, ends the destination.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import click

from migemu import __version__
from migemu.cli.address import parse_address
from migemu.cli.listening import check_listen
from migemu.errors import MigemuError, UsageError
from migemu.link.sockets import why_not
from migemu.observe.recorder import CONFIG, EVENTS
from migemu.scenario import loads
from migemu.wire.probe import QUESTION, Readiness

ORDER_LIMIT = 4 << 20
"""Bytes of the longest order; a scenario with 64 devices has a thousandth of it."""
ORDER_SECONDS = 10.0
"""How long an asker has to say what it wants."""
TAKE_SECONDS = 30.0
"""How long an asker may leave events unread; meanwhile nobody else has a destination."""
END_SECONDS = 15.0
"""How long a destination has to end once it was told to."""


@click.command()
@click.option("--listen", required=True, metavar="HOST:PORT", help="Where to take orders.")
@click.option(
    "--insecure", is_flag=True, help="Listen where others can reach it: they could start destinations."
)
def host(listen: str, *, insecure: bool) -> None:
    """Take destinations for `migemu at HOST:PORT ...`, one at a time, until it is stopped."""
    address, port = parse_address(listen)
    check_listen(address, secure=False, insecure=insecure)
    asyncio.run(_serve(address, port))


async def _serve(address: str, port: int) -> None:
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    taking = Host(address)
    try:
        server = await asyncio.start_server(taking.meet, address, port, limit=ORDER_LIMIT)
    except OSError as error:
        raise UsageError(f"cannot listen on {address}:{port}: {why_not(error)}") from None
    heard, number = server.sockets[0].getsockname()[:2]
    click.echo(json.dumps({"event": "hosting", "host": heard, "port": number}))
    await stopped.wait()
    server.close()
    await taking.end()


class Host:
    """One destination at a time, each for one connection.

    Args:
        address: where destinations listen, on a port of their own each.
    """

    def __init__(self, address: str) -> None:
        self._address = f"[{address}]:0" if ":" in address else f"{address}:0"
        self._process: asyncio.subprocess.Process | None = None
        self._busy = False

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer a probe, or carry out an order."""
        try:
            first = await asyncio.wait_for(reader.readexactly(len(QUESTION)), ORDER_SECONDS)
            if first == QUESTION:
                writer.write(Readiness(__version__, "migrating" if self._busy else "waiting").encode())
            else:
                await self._order(first, reader, writer)
            await writer.drain()
        except (OSError, EOFError, TimeoutError, ValueError):
            pass  # it went away, or never said what it wants; there is nobody to tell
        finally:
            writer.close()

    async def _order(self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        rest = await asyncio.wait_for(reader.readline(), ORDER_SECONDS)
        scenario = _scenario(first + rest)
        if scenario is None or self._busy:
            _say(writer, {"refused": "it has another one just now" if self._busy else "that is no order"})
            return
        if (kept := _kept(scenario)) is not None:
            _say(writer, {"refused": f"it writes no file for others: leave keep = {kept!r} out"})
            return
        self._busy = True
        try:
            with tempfile.TemporaryDirectory(prefix="migemu-host-") as scratch:
                await self._take(Path(scratch), scenario, reader, writer)
        finally:
            self._busy = False

    async def _take(
        self, scratch: Path, scenario: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        (scratch / CONFIG).write_text(scenario, encoding="utf-8")
        words = ["destination", str(scratch / CONFIG), "--listen", self._address, "--insecure", "--json"]
        self._process = process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "migemu", *words, "--out", str(scratch)),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=ORDER_LIMIT,
        )
        leaving = asyncio.ensure_future(self._end_with(reader))
        try:
            said = await _relay(process, writer)
            with suppress(TimeoutError):  # it has said its last word: one that does not end is ended
                await asyncio.wait_for(process.wait(), END_SECONDS)
        finally:
            leaving.cancel()
            await self.end()
        code = await process.wait()
        log = scratch / EVENTS
        kept = log.read_bytes() if log.exists() else b""
        _say(writer, {"exit": code, "said": said, "events": len(kept)})
        writer.write(kept)

    async def _end_with(self, reader: asyncio.StreamReader) -> None:
        """End the destination when its asker has nothing more to say, which is when it leaves."""
        with suppress(OSError):  # an asker that leaves with events unread resets the connection
            while await reader.read(1024):
                pass
        await self.end()

    async def end(self) -> None:
        """End the destination, if there is one; it is told first, so that it can tell its source."""
        process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            await asyncio.wait_for(process.wait(), END_SECONDS)
        except TimeoutError:
            process.kill()


async def _relay(process: asyncio.subprocess.Process, writer: asyncio.StreamWriter) -> str:
    """Pass the destination's events on; what it said besides, once it is over."""
    assert process.stdout is not None  # noqa: S101  both are pipes
    assert process.stderr is not None  # noqa: S101
    words = asyncio.ensure_future(process.stderr.read())
    async for line in process.stdout:
        if writer.is_closing():
            continue  # an asker that has left ends the destination; until then its pipe must not fill up
        writer.write(line)
        with suppress(OSError):
            await _taken(writer)
    return (await words).decode(errors="replace")


async def _taken(writer: asyncio.StreamWriter) -> None:
    """Wait until the asker has taken most of what was written; one that reads nothing is taken for gone."""
    try:
        await asyncio.wait_for(writer.drain(), TAKE_SECONDS)
    except TimeoutError:
        writer.transport.abort()


def _scenario(order: bytes) -> str | None:
    """The scenario of an order; None when it is none."""
    try:
        scenario = json.loads(order)["scenario"]
    except (ValueError, LookupError, TypeError, RecursionError):
        return None
    return scenario if isinstance(scenario, str) else None


def _kept(scenario: str) -> str | None:
    """A file that the destination would write its loaded state to: no stranger says where on this machine."""
    try:
        devices = loads(scenario, environ={}).device
    except MigemuError:
        return None  # the destination will say what is wrong with it
    return next((str(device.keep) for device in devices if device.keep is not None), None)


def _say(writer: asyncio.StreamWriter, what: dict[str, Any]) -> None:
    writer.write(json.dumps(what).encode() + b"\n")
