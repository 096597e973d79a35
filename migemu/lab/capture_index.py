"""The index of a capture: one line of JSON for everything that happened on its connections, in its order.

The first line is a head; then each line is one of::

    {"t":0.0012,"conn":1,"record":"Connect","bytes":0}             a packet, record or message was complete
    {"t":0.0013,"conn":1,"file":"mfd0.bin","channel":0}            the connection said what it is
    {"t":0.9311,"conn":0,"record":"Message","bytes":8,"name":"PONG","back":true}    sent, not received
    {"t":1.2050,"conn":1,"closed":""}                              it ended; why, if not as it should

`bytes` are the item's length in the connection's file, or in ``return.bin`` for what was sent back; each file
is its connection's items one behind the other. Times are seconds since the first line.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from migemu.errors import UsageError

if TYPE_CHECKING:
    from migemu.link.order_item import Item

VERSION: Final = 1
KIND: Final = "migemu capture"
INDEX: Final = "index.jsonl"
SCENARIO: Final = "scenario.toml"
RETURN: Final = "return.bin"

_WORDS: Final[tuple[str, ...]] = ("device", "idx", "name", "section", "within", "flags")
"""What an item's line says beyond its place."""


@dataclass(frozen=True, slots=True)
class Head:
    """What a capture says of itself.

    Attributes:
        migemu: the version that recorded it.
        hash: names the scenario.
        ruled: order rules were in force; the order is that of arrival, before them.
        peer: what the destination took its source for: ``auto`` or ``qemu``.
    """

    migemu: str
    hash: str
    ruled: bool
    peer: str = "auto"

    def encode(self) -> str:
        """The first line."""
        said = {"v": VERSION, "kind": KIND, "migemu": self.migemu, "hash": self.hash, "ruled": self.ruled}
        said["peer"] = self.peer
        return json.dumps(said, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Step:
    """One line behind the head; which kind it is, is told by what is set."""

    t: float
    conn: int
    record: str = ""
    bytes: int = 0
    back: bool = False
    file: str = ""
    channel: int | str | None = None
    closed: str | None = None
    more: dict[str, Any] = field(default_factory=dict)
    """device, idx, name, section, within, flags; as far as the item has them."""

    def encode(self) -> str:
        """The line, without its end."""
        said: dict[str, Any] = {"t": round(self.t, 6), "conn": self.conn}
        if self.record:
            said |= {"record": self.record, "bytes": self.bytes, **self.more}
            said |= {"back": True} if self.back else {}
        elif self.file:
            said |= {"file": self.file, "channel": self.channel}
        else:
            said["closed"] = self.closed or ""
        return json.dumps(said, separators=(",", ":"))


def decode_head(line: bytes, source: str) -> Head:
    """Read the first line.

    Raises:
        UsageError: it is not the index of a capture, or of another version.
    """
    said = _object(line)
    if said is None or said.get("kind") != KIND:
        raise UsageError(f"{source} is not the index of a capture")
    if said.get("v") != VERSION:
        raise UsageError(f"{source} is of version {said.get('v')}, this migemu reads {VERSION}")
    return Head(
        str(said.get("migemu")), str(said.get("hash")), bool(said.get("ruled")), str(said.get("peer", "auto"))
    )


def decode_step(line: bytes, source: str) -> Step:
    """Read a line behind the head.

    Raises:
        UsageError: it is not one.
    """
    said = _object(line)
    try:
        return _step(said or {})
    except (KeyError, TypeError, ValueError):
        raise UsageError(f"{source}: not a line of an index: {line[:80]!r}") from None


def _step(said: dict[str, Any]) -> Step:
    t, conn = float(said["t"]), int(said["conn"])
    if "record" in said:
        more = {name: said[name] for name in _WORDS if name in said}
        size = int(said["bytes"])
        if size < 0:
            raise ValueError(size)
        return Step(t, conn, str(said["record"]), size, back=bool(said.get("back")), more=more)
    if "file" in said:
        channel = said["channel"]
        if channel is not None and channel != "main":
            channel = int(channel)
        return Step(t, conn, file=str(said["file"]), channel=channel)
    return Step(t, conn, closed=str(said["closed"]))


def _object(line: bytes) -> dict[str, Any] | None:
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return said if isinstance(said, dict) else None


def words(item: Item) -> dict[str, Any]:
    """What an item's line says beyond its place and length."""
    said: dict[str, Any] = {"device": item.device, "idx": item.idx, "name": item.name}
    said |= {"section": item.section, "within": item.within, "flags": sorted(item.flags)}
    return {name: value for name, value in said.items() if value not in (None, "", [])}
