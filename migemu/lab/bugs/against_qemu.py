"""The catalogue against a real QEMU: which rows of the hostile-order table are a bug's schedule there.

A row forces the order that the bug needs, and what the destination does is seen from outside: its monitor,
its memory, what its devices were given. Where that cannot tell, the reason stands in the row's place.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from migemu.errors import UsageError
from migemu.qemu.hostile.verdict import Kind, Verdict

BAD: Final = frozenset({Kind.WRONG, Kind.HANG, Kind.BLOCKED, Kind.CRASH})
"""Ends that nobody wants, whatever was sent."""


@dataclass(frozen=True)
class Against:
    """How a bug is looked for in a QEMU."""

    rows: tuple[str, ...]
    """Of the table; it is there if one of them shows it."""
    how: str
    """What is sent, in words."""
    shows: frozenset[Kind] = field(default=BAD)
    """Ends that are the bug."""
    grows: bool = False
    """Whether memory that grows with what is sent is the bug too."""

    def is_it(self, verdict: Verdict) -> bool:
        """Whether this end is the bug."""
        return verdict.kind in self.shows or (self.grows and verdict.grew)


@dataclass(frozen=True)
class Unseen:
    """A bug that cannot be told from outside."""

    why: str


API = "the API it is about (load_finish) was never in a release"
INSIDE = "only a schedule of threads inside the process shows it, and no order on the wire forces that"

TABLE: Final[dict[str, Against | Unseen]] = {
    "B1": Against(("K1", "K2"), "the config arrives before the data: it must be loaded last"),
    "B2": Against(
        ("L1", "L2", "P1", "P2"),
        """everything of the devices arrives, and later the platform's section: a config that is loaded
        before that is harmless on x86 (L) and is this bug on ARM64 (P); in L2 and P2 load-config-after-iter
        is on""",
    ),
    "B3": Against(("L3", "K8"), "the device's packets arrive before the mark and before its pre-copy data"),
    "B4": Against(("L4",), "main closes while a config is loaded: a clean-up with both locks wanted"),
    "B5": Against(("L5",), "main is reset while a load thread waits for a buffer"),
    "B6": Unseen(f"a spurious wake-up is the operating system's: {INSIDE}"),
    "B7": Unseen(API),
    "B8": Against(("L17",), "a device takes a random part of each write"),
    "B10": Against(("L12",), "the last SYNC is sent, its FLUSH is not, and device packets follow the SYNC"),
    "B12": Against(
        ("H1", "H5"),
        "a packet that cannot be is sent after the last barrier, and main goes on to its end",
    ),
    "B13": Against(("A1", "A3", "B5"), "main connects last, or in the middle", BAD | {Kind.WAITS}),
    "B15": Against(
        ("S1", "D2", "D6"),
        "a channel of a source is reset after its hello; of a destination, and a barrier waits for it",
    ),
    "B16": Against(
        ("S2", "F12", "F13"),
        "a source's last channels are refused; connections to a destination close without a byte",
    ),
    "B17": Unseen(
        f"memory that is used after it is freed: {INSIDE}; the destination joins its receivers first"
    ),
    "B18": Against(("L13",), "an older copy of a page comes late, a newer one waits on another channel"),
    "B20": Unseen("a count inside a source; a busy loop is not told from work"),
    "B21": Unseen(f"concurrent senders inside a source: {INSIDE}"),
    "B23": Against(
        ("S3", "S6", "S7"),
        """a source is cancelled, in pre-copy and while it waits for the last word, and a channel is reset: it
        must say cancelled""",
        BAD | {Kind.ERROR, Kind.WAITS},
    ),
    "B29": Against(
        ("K4", "K5", "K12", "K13", "K15", "K15b", "K15c", "K15d", "K29"),
        "an idx twice, invalid, past a hole, beyond and below the config's, far ahead",
    ),
    "B30": Against(("L15", "L16"), "the first of 64 MiB comes last; L16 with a limit of 8 MiB", grows=True),
    "B31": Against(("L14",), "two devices' buffers crossed on two channels"),
    "B34": Against(("L6",), "every connection closes right after the mark: a load thread has not begun yet"),
    "D1": Against(("L7", "K25"), "channels end after the last barrier while a device's data is missing"),
    "D2": Against(("D3",), "a channel closes between two packets, then a barrier waits for it"),
    "D3": Against(
        ("L9", "L9b", "L10"),
        """one device refuses a write, another one's data is missing: before main's end, after it, and with
        a main channel that stays open""",
        BAD | {Kind.WAITS},
    ),
    "D4": Against(
        ("S4", "S5"),
        "eight devices' save threads wait for four channels that nobody reads, and one or three are reset",
        BAD | {Kind.WAITS},
    ),
    "D5": Against(("L11",), "main is at a barrier, a config waits for the BQL, a stray packet for its mutex"),
    "C5": Against(("C5",), "a RAM packet is left out"),
    "C7": Against(("C7",), "a data packet is sent before the setup SYNC"),
    "E3": Against(("E3",), "one channel's setup SYNC is left out, and a data packet follows"),
    "E6": Against(("E6",), "no FLUSH is sent after the setup"),
    "K6": Against(("K6",), "an idx is left out"),
    "K19": Against(("K19",), "SWITCHOVER_START is left out"),
    "K20": Against(("K20",), "SWITCHOVER_START is sent twice"),
    "mark-without-data": Unseen("a proposed command, SEND_NON_ITERABLE, that no QEMU knows (row I2)"),
    "ready-device-waits": Unseen("a matter of time in a hand-off design that no QEMU has"),
}
"""By the bug's name."""


def against(name: str) -> Against:
    """How `name` is looked for.

    Raises:
        UsageError: it cannot be told from outside; with the reason.
    """
    entry = TABLE.get(name, Unseen("no row of the table is its schedule"))
    if isinstance(entry, Unseen):
        raise UsageError(f"{name} cannot be told of a QEMU from outside: {entry.why}")
    return entry


def told(name: str) -> str:
    """In one line, how `name` is looked for, or why it is not."""
    entry = TABLE.get(name)
    if isinstance(entry, Against):
        return f"migemu bugs reproduce {name} --qemu PATH: rows {', '.join(entry.rows)}"
    return f"cannot be told from outside: {entry.why}" if entry else "not tried"
