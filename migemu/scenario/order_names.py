"""The vocabulary of order rules: what can be selected, what can be done to it, in which stream.

Names of records, commands, marks and messages are the wire's own, as ``migemu decode`` prints them; a test
holds these tables to those of :mod:`migemu.wire`. Where toxiproxy has a word for a rule's part (name, type,
stream, toxicity, attributes) it is used.
"""

from __future__ import annotations

from typing import Final, NamedTuple

STREAMS: Final = ("in", "out", "return")
"""``in``: what arrives at the destination, before its readers see it. ``out``: what the source is about to
send. ``return``: what the destination is about to answer."""

RECORDS: Final = (
    "Connect",
    "Hello",
    "RamPacket",
    "DevicePacket",
    "FileHeader",
    "Configuration",
    "SectionStart",
    "SectionPart",
    "SectionEnd",
    "SectionFull",
    "Footer",
    "Command",
    "RamBlocks",
    "RamPage",
    "RamZero",
    "RamFlush",
    "RamEos",
    "VfioWord",
    "VfioData",
    "VfioConfig",
    "VfioDataCount",
    "Opaque",
    "Tail",
    "Eof",
    "VmDesc",
    "Message",
    "Close",
)
"""Everything that travels, the beginning and the end of a connection included."""

SECTIONS: Final = ("SectionStart", "SectionPart", "SectionEnd", "SectionFull")
"""Records that open a section; a rule that takes one takes its body and footer along."""

FLAGS: Final = ("config", "data", "sync", "ram", "flush", "eos")
"""``config`` and ``data``: the two kinds of device packets. ``sync`` and ``ram``: those of RAM packets.
``flush`` and ``eos``: the main channel's barrier words."""

COMMANDS: Final = (
    "OPEN_RETURN_PATH",
    "PING",
    "POSTCOPY_ADVISE",
    "POSTCOPY_LISTEN",
    "POSTCOPY_RUN",
    "POSTCOPY_RAM_DISCARD",
    "PACKAGED",
    "ENABLE_COLO",
    "POSTCOPY_RESUME",
    "RECV_BITMAP",
    "SWITCHOVER_START",
    "EXTENSION",
    "SEND_NON_ITERABLE",
    "DIGESTS",
    "START",
    "CLOCK",
    "FAILED",
)

MARKS: Final = (
    "END_OF_STATE",
    "DEV_CONFIG_STATE",
    "DEV_SETUP_STATE",
    "DEV_DATA_STATE",
    "INIT_DATA_SENT",
    "CONFIG_LOAD_READY",
    "DEV_CONFIG_STATE_SIZED",
    "DEV_DATA_COUNT",
)
"""Words of a VFIO section on the main channel."""

MESSAGES: Final = (
    "SHUT",
    "PONG",
    "REQ_PAGES_ID",
    "REQ_PAGES",
    "RECV_BITMAP",
    "RESUME_ACK",
    "SWITCHOVER_ACK",
    "EXTENSION_ACK",
    "CLOCK",
    "LOADED",
    "FAILED",
    "ALIVE",
)
"""Messages of the return path."""

ENDS: Final = ("whole", "half", "reset")
"""How a connection ends: closed, closed for sending only, reset."""


class Kind(NamedTuple):
    """A type of rule."""

    meaning: str
    needs: frozenset[str] = frozenset()
    """Attributes it cannot do without."""
    takes: frozenset[str] = frozenset()
    """Attributes it may have besides."""


def _kind(meaning: str, needs: str = "", takes: str = "") -> Kind:
    return Kind(meaning, frozenset(needs.split()), frozenset(takes.split()))


TYPES: Final = {
    "hold": _kind("wait for an event, a packet or a rule; what is behind it waits too", "until", "timeout"),
    "delay": _kind("wait for a time; what is behind it waits too", "", "latency jitter"),
    "after": _kind("deliver right after another packet; the others overtake it", "packet", "timeout"),
    "before": _kind("deliver before another packet, which waits for it", "packet", "timeout"),
    "sequence": _kind("deliver these packets in this order", "order", "timeout"),
    "move": _kind("deliver on another multifd channel", "to"),
    "duplicate": _kind("deliver more than once", "", "copies"),
    "drop": _kind("do not deliver"),
    "corrupt": _kind("change bytes of it", "", "field offset value xor"),
    "slice": _kind("deliver in pieces, with pauses between them", "", "at size pause"),
    "truncate": _kind("deliver its first bytes and end the connection", "bytes", "how"),
    "close": _kind("end the connection before or behind it", "", "how when"),
    "refuse": _kind("turn the connection away before a byte of it"),
    "stall": _kind("nothing more passes, the connection stays open", "", "timeout"),
}
"""What a rule can do."""
