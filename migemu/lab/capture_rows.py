"""What went over the wire, row by row: a capture in its order, or one file of one."""

from __future__ import annotations

from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any

from migemu.errors import UsageError, WireError
from migemu.lab.capture_index import RETURN
from migemu.lab.capture_read import items
from migemu.wire.tail import split_tail
from migemu.wire.text import decode_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from migemu.lab.capture import Capture
    from migemu.lab.capture_index import Step
    from migemu.lab.capture_read import Found


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that travelled.

    Attributes:
        t: seconds since the recording began; None where nobody took the time.
        channel: ``main``, a multifd channel's id, ``return``, or a connection that never said what it is.
        offset: bytes of its connection before it.
        said: what it says; ``record`` is what it is.
    """

    t: float | None
    channel: int | str
    offset: int
    size: int
    said: dict[str, Any]

    @property
    def record(self) -> str:
        """What it is."""
        return str(self.said["record"])

    def plain(self) -> dict[str, Any]:
        """As one JSON object."""
        time = {} if self.t is None else {"t": self.t}
        return {**time, "channel": self.channel, "offset": self.offset, "bytes": self.size, **self.said}


class Connections:
    """The open files of a capture, each read on as its next item is asked for."""

    def __init__(self, capture: Capture, stack: ExitStack) -> None:
        self._capture = capture
        self._stack = stack
        self._found: dict[int | str, Iterator[Found]] = {}
        self._channels: dict[int | str, int | str] = {"return": "return"}
        self._tail = b""

    def begin(self, conn: int | str, file: str, channel: int | str | None) -> None:
        """That connection's bytes are in `file`."""
        opened: IO[bytes] = self._stack.enter_context(self._capture.files.open(file))
        self._found[conn] = items(opened, file)
        self._channels[conn] = f"conn {conn}" if channel is None else channel

    def row(self, conn: int | str, t: float | None) -> Row | None:
        """The next item of that connection; None at its end."""
        if conn == "return" and conn not in self._found:
            self.begin(conn, RETURN, conn)
        found = next(self._found[conn], None) if conn in self._found else None
        if found is None:
            return None
        channel = self._channels[conn]
        return Row(t, channel, found.offset, found.size, found.said | self._sections(found))

    def happened(self, step: Step, t: float | None) -> Row:
        """A connection began or ended."""
        said: dict[str, Any] = {"record": step.record or "Close"}
        if step.closed:
            said["why"] = step.closed
        return Row(t, self._channels.get(step.conn, f"conn {step.conn}"), 0, 0, said)

    def _sections(self, found: Found) -> dict[str, Any]:
        """The device sections that only the description behind them tells apart."""
        if found.item.record == "Tail":
            self._tail = b"".join(found.item.parts)
        if found.item.record != "VmDesc":
            return {}
        json = b"".join(found.item.parts)[5:]
        with suppress(WireError):
            sections = split_tail(self._tail, json)
            told = [
                {"idstr": one.idstr, "instance": one.instance, "bytes": len(one.data)} for one in sections
            ]
            return {
                "sections": told,
                "devices": len(decode_object(json, "the description").get("devices", [])),
            }
        return {}


def rows(capture: Capture) -> Iterator[Row]:
    """Everything in its order.

    Raises:
        MigemuError: the bytes break the protocol, or are not those of the index.
    """
    if capture.head is None and len(capture.connections()) == 1 and not capture.files.path.is_dir():
        yield from _one_file(capture)
        return
    timed = capture.head is not None
    with ExitStack() as stack:
        connections = Connections(capture, stack)
        for step in capture.steps():
            t = step.t if timed else None
            if step.record and step.bytes:
                row = connections.row("return" if step.back else step.conn, t)
                yield _checked(row, step)
            elif step.file:
                connections.begin(step.conn, step.file, step.channel)
            elif timed:
                yield connections.happened(step, t)
        if capture.head is None and RETURN in capture.files:
            yield from iter(lambda: connections.row("return", None), None)


def _one_file(capture: Capture) -> Iterator[Row]:
    (name,) = capture.connections()
    with ExitStack() as stack:
        connections = Connections(capture, stack)
        channel = capture.channel(name)
        connections.begin(0, name, "packets" if channel is None else channel)
        yield from iter(lambda: connections.row(0, None), None)


def _checked(row: Row | None, step: Step) -> Row:
    """The row, which must be what the index says.

    Raises:
        UsageError: the files are not those of the index.
    """
    if row is None:
        raise UsageError(
            f"the capture ends before its index: {step.record} of connection {step.conn} is missing"
        )
    if (row.record, row.size) != (step.record, step.bytes):
        told = f"{step.record} of {step.bytes} bytes"
        raise UsageError(f"the index says {told} where channel {row.channel} has {row.record} of {row.size}")
    return row
