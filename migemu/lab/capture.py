"""A capture as it is read: what happened on its connections, step by step, whoever recorded it.

One of ours has an index. One of a real QEMU is only its connections' files; then the steps are put in an
order that a source could have sent: the main channel up to each barrier, behind every channel's packets up to
their SYNC.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Final

from migemu.errors import UsageError
from migemu.lab.capture_files import Files
from migemu.lab.capture_index import INDEX, RETURN, SCENARIO, Head, Step, decode_head, decode_step, words
from migemu.lab.capture_read import Found, items, kind_of
from migemu.scenario import loads
from migemu.wire.hello import HELLO_SIZE, Hello

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from migemu.link.order_item import Channel
    from migemu.scenario import Scenario

MAIN: Final = "main.bin"
SNIFF: Final = 68
"""Bytes that tell what a file is."""


class Capture:
    """A capture.

    Attributes:
        files: its files.
        head: what its index says of it; None without an index.

    Raises:
        UsageError: there is none at `path`, or it is not one.
    """

    def __init__(self, path: Path) -> None:
        self.files = Files(path)
        self.head: Head | None = None
        if INDEX in self.files:
            with self.files.open(INDEX) as index:
                self.head = decode_head(index.readline(), f"{path}/{INDEX}")

    def scenario(self) -> Scenario | None:
        """The effective scenario it was recorded under.

        Raises:
            ConfigError: it is not one that this version reads.
        """
        if SCENARIO not in self.files:
            return None
        with self.files.open(SCENARIO) as file:
            return loads(file.read().decode(), f"{self.files.path}/{SCENARIO}", environ={})

    def places(self) -> dict[int, Channel]:
        """Which channel each connection is, of those that said so."""
        if self.head is None:
            return {conn: self.channel(name) for conn, name in enumerate(self.connections())}
        return {step.conn: step.channel for step in self._indexed() if step.file}

    def steps(self) -> Iterator[Step]:
        """Everything that happened, in its order.

        Raises:
            UsageError: a line of the index is not one.
            MigemuError: there is no index, and the bytes break the protocol.
        """
        return self._indexed() if self.head is not None else rounds(self)

    def _indexed(self) -> Iterator[Step]:
        with self.files.open(INDEX) as index:
            index.readline()
            for number, line in enumerate(index, start=2):
                if not line.endswith(b"\n"):
                    break  # torn: the process was killed while it wrote
                yield decode_step(line, f"{INDEX}, line {number}")

    def connections(self) -> list[str]:
        """The files that hold a connection's bytes, the main channel's first."""
        known = [name for name in self.files.names if name not in (INDEX, SCENARIO, RETURN)]
        kinds = {name: self._kind(name) for name in known}
        named = [name for name in known if kinds[name] != "other"]
        if not named:
            raise UsageError(f"{self.files.path} holds no connection of a migration")
        return sorted(named, key=lambda name: (kinds[name] != "main", len(name), name))

    def _kind(self, name: str) -> str:
        with self.files.open(name) as file:
            return kind_of(file.read(SNIFF))

    def channel(self, name: str) -> Channel:
        """Which channel that file is; None where it does not say."""
        with self.files.open(name) as file:
            first = file.read(SNIFF)
        kind = kind_of(first)
        if kind == "multifd":
            return Hello.decode(first[:HELLO_SIZE]).channel
        return "main" if kind == "main" else None

    def barrier(self, name: str) -> str:
        """The barrier word of a main channel: FLUSH, or EOS where there is none (machine types up to 8.0)."""
        with self.files.open(name) as file:
            flush = any("flush" in found.item.flags for found in items(file, name))
        return "flush" if flush else "eos"


class Reading:
    """One connection's items, handed out up to a barrier."""

    def __init__(self, conn: int, found: Iterator[Found], barrier: str) -> None:
        self._conn = conn
        self._found = found
        self._barrier = barrier
        self.over = False

    def until_barrier(self) -> Iterator[Step]:
        """The steps up to the next barrier, itself included."""
        for found in self._found:
            item = found.item
            yield Step(0.0, self._conn, item.record, found.size, more=words(item))
            if self._barrier in item.flags:
                return
        self.over = True


def rounds(capture: Capture) -> Iterator[Step]:
    """The steps of a capture without an index, in an order that a source could have sent.

    Raises:
        MigemuError: the bytes break the protocol.
    """
    names = capture.connections()
    with ExitStack() as stack:
        readings = []
        for conn, name in enumerate(names):
            file = stack.enter_context(capture.files.open(name))
            channel = capture.channel(name)
            barrier = capture.barrier(name) if channel == "main" else "sync"
            yield Step(0.0, conn, "Connect")
            yield Step(0.0, conn, file=name, channel=channel)
            readings.append(Reading(conn, items(file, name), barrier))
        while any(not reading.over for reading in readings):
            for reading in [*readings[1:], *readings[:1]]:
                if not reading.over:
                    yield from reading.until_barrier()
    for conn in range(len(names)):
        yield Step(0.0, conn, closed="")
