"""What our own destination makes of the rows of the hostile-order table.

The scripts are those that are played to real QEMUs (migemu/qemu/hostile); what those did stands beside ours
in docs/reliability.md. An outcome is ``ok``, or a part of the error that names the cause.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from migemu.qemu.hostile import ROWS as TABLE
from migemu.qemu.hostile.rows_ram import connected
from migemu.wire import mainwriter
from migemu.wire import vfio as words
from security.scripted import DATA, DEVICE, DEVICE_SECTION, Scripted

if TYPE_CHECKING:
    from collections.abc import Callable

    Script = Callable[[Scripted], None]
    Row = tuple[str, Script, str]

IN_TIME = "A0 A1 A2 A3 B1 B2 B3 B4 B5 B6 B7 B8 B9 B10 C1 C2 C3 C4 C6 C7 D9 E4 H10 H14 H15 I10"
TURNED_AWAY = "F1 F2 F3 F4 F5 F6 F7 F8 F9 F12 F13"
"""A wrong connection is refused, and the migration is not disturbed."""
ANY_ORDER = "K0 K1 K2 K3 K8 K9 K9b K10 K17b K18 K21 K26 K28 L13"

BAD_PACKETS = {
    "H1": "channel 1: received packet magic",
    "H2": "channel 1: received packet version 2",
    "H3": "channel 1: received packet with 129 non-zero",
    "H4": "channel 1: received packet with 121 zero",
    "H5": "unknown ram block",
    "H6": "offset",
    "H7": "compress",
    "H9": "unknown device",
}
NO_SYNC = "no SYNC within 0.8 s on multifd channel(s)"
OUTCOMES = {
    **dict.fromkeys([*IN_TIME.split(), *TURNED_AWAY.split(), *ANY_ORDER.split()], "ok"),
    "C5": "data-intact: differs from what was saved: ram",
    "C6b": "data-intact: differs from what was saved: ram",
    "D1": "missing multifd 3",
    "D2": "channel 3",
    "D3": "phase sync, channel 1: closed before the SYNC",
    "D4": "channel 1: the stream ended inside a RAM packet's header",
    "D5": "channel 1: the stream ended inside a RAM packet's pages",
    "D6": "channel 1: connection failed",
    "D6b": "channel 1: connection failed",
    "D7": "main channel: ",
    "D8": "main channel: ",
    "E1": f"{NO_SYNC} [2]",
    "E2": f"{NO_SYNC} [2]",
    "E3": f"{NO_SYNC} [3]",
    "E6": "at a SYNC that no barrier word followed",
    "E8": f"{NO_SYNC} [0, 1, 2, 3]",
    **BAD_PACKETS,
    **{f"{name}b": text for name, text in BAD_PACKETS.items()},
    "H8": "offset",
    "I2": "main channel: unknown command 0xc",
    "I3": "main channel: command PING has 2 bytes",
    "I4": "main channel: PING before OPEN_RETURN_PATH",
    "I6": "main channel: ",
    "I7": "main channel, device ram: footer of section 9",
    "I8": "machine type pc-q35-10.0, this side is 11.1",
    "I9": "main channel: unknown record type 0x44",
    "I11": "invariant config-after-iterables",
    "K4": "idx 1: duplicate packet",
    "K5": "duplicate packet",
    "K6": DEVICE,
    "K7": DEVICE,
    "K11": "version 1",
    "K12": "invalid idx",
    "K13": DEVICE,
    "K14": "not below the config packet",
    "K15": "not below the config packet",
    "K15b": "it must be the last",
    "K15c": "loaded already",
    "K16": "packet too short at 8",
    "K17": "empty device state packet",
    "K19": "the stream ended without SWITCHOVER_START",
    "K20": "SWITCHOVER_START came twice",
    "K23": "config",
    "K24": "data-intact: differs from what was saved: config of",
    "K25": "every multifd channel has ended",
    "K27": "this machine has instance 0",
    "L5": "main channel: connection failed",
    "L6": "main channel: the main stream ended",
    "L7": "connection failed",
    "L11": "idx 4: data buffer not below the config packet",
    "L12": "every channel still open is at a SYNC that no barrier word followed",
}
"""By the row's name; a row that is not here is about something our destination does not have."""


def i12(s: Scripted) -> None:
    """The mark of a device that still waits comes again."""
    connected(s)
    s.round()
    s.switchover()
    s.on(0, s.data(1))
    s.sections()
    ready = mainwriter.vfio_word(words.CONFIG_LOAD_READY)
    s.say(mainwriter.section_full(DEVICE_SECTION, DEVICE, 0, 1), ready, mainwriter.footer(DEVICE_SECTION))
    s.told()


def k5_at_once(s: Scripted) -> None:
    """A duplicate of what is loaded, and nothing after it."""
    connected(s)
    s.round()
    s.switchover()
    s.on(0, s.data(0))
    time.sleep(s.shape.late)
    s.on(1, s.data(0))
    s.told()


def k14_configs(s: Scripted) -> None:
    """Two configs, and data below neither."""
    connected(s)
    s.round()
    s.switchover()
    s.on(0, s.config(0), s.config(1))
    s.told()


def k29_far(s: Scripted) -> None:
    """The farthest idx there is, and nothing else."""
    connected(s)
    s.round()
    s.switchover()
    s.on(0, s.data(0x7FFFFFFF, DATA[0]))
    s.told()


OURS: list[Row] = [
    ("I12 a device's section twice", i12, "CONFIG_LOAD_READY came twice"),
    ("K5 an idx that was loaded already, and then silence", k5_at_once, "duplicate packet"),
    ("K14 two configs, and no data below them", k14_configs, "second config packet"),
    ("K29 the farthest idx", k29_far, "slots_per_device"),
]
"""Rows of which a QEMU would be played something else, or is waited for in vain."""

ROWS: list[Row] = [
    *(
        (f"{name} {TABLE[name].title}", script, outcome)
        for name, outcome in OUTCOMES.items()
        if (script := TABLE[name].script)
    ),
    *OURS,
]
