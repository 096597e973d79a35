"""Every row of the hostile-order table, said in rules: ours verifies, or both sides end with an error.

The rows are those that were played against real QEMUs, A (order of connections) to K (device state). A row
that a destination's setting makes (F11, K22) has no rule.
"""

from __future__ import annotations

from typing import Final

import pytest

from e2e.inprocess import DEVICE, migrate

ANY, OK, FAILS = "either", "verified", "fails"


WAITS = frozenset({"after", "before", "hold", "sequence"})
PATIENT = 'timeout = "20 s"'
"""What a packet waits for comes in milliseconds, and on a busy machine when it can."""


def rule(kind: str, select: str = "", attributes: str = "", stream: str = "out") -> str:
    """One rule."""
    if kind in WAITS and "timeout" not in attributes:
        attributes += f", {PATIENT}" if attributes else PATIENT
    return (
        f'[[order]]\ntype = "{kind}"\nstream = "{stream}"\nrequired = true\n'
        f"select = {{ {select} }}\nattributes = {{ {attributes} }}\n"
    )


def hello(kind: str, attributes: str = "", channel: int = 1) -> str:
    return rule(kind, f'record = "Hello", channel = {channel}', attributes)


def connect(kind: str, attributes: str = "", channel: str = "1") -> str:
    return rule(kind, f'record = "Connect", channel = {channel}', attributes)


def device(kind: str, select: str, attributes: str = "", stream: str = "out") -> str:
    return rule(kind, f'device = "{DEVICE}", {select}', attributes, stream)


def ram(field: str, value: str = "", nth: int = 2) -> str:
    """A RAM packet with a wrong field."""
    change = f'field = "{field}"' + (f", value = {value}" if value else "")
    return rule("corrupt", f'flag = "ram", nth = {nth}', change)


def wrong(idx: str, field: str, value: str) -> str:
    """A device packet with a wrong field."""
    return device("corrupt", idx, f'field = "{field}", value = {value}')


MAIN = '"main"'
LATE = 'latency = "300 ms"'
MARK = 'command = "SWITCHOVER_START"'
DATA = 'flag = "data"'
EOF = 'record = "Eof"'

ROWS: Final[dict[str, tuple[str, str]]] = {
    "A1 main last": (connect("hold", 'until = { record = "Hello", nth = 3 }', MAIN), OK),
    "A2 channels reversed": (
        rule(
            "sequence",
            "",
            'order = [{ record = "Connect", channel = 2 }, { record = "Connect", channel = 1 }]',
        ),
        OK,
    ),
    "A3 main in the middle": (connect("hold", 'until = { record = "Hello", nth = 1 }', MAIN), OK),
    "B1 a channel connects late": (connect("delay", LATE), OK),
    "B2 its hello late": (hello("delay", LATE), OK),
    "B3 its hello in two halves": (hello("slice", 'at = 32, pause = "300 ms"'), OK),
    "B4 its packets late": (rule("delay", 'channel = 1, flag = "sync", nth = 1', LATE), OK),
    "B5 main connects late": (connect("delay", LATE, MAIN), OK),
    "B6 main silent for a while": (rule("delay", 'record = "FileHeader"', LATE), OK),
    "B7 main's magic, then a pause": (rule("slice", 'record = "FileHeader"', 'at = 4, pause = "300 ms"'), OK),
    "B8 three bytes, then a pause": (rule("slice", 'record = "FileHeader"', 'at = 3, pause = "300 ms"'), OK),
    "B9 a pause inside a packet": (rule("slice", 'flag = "ram", nth = 2', 'at = 5000, pause = "300 ms"'), OK),
    "B10 byte by byte": (rule("slice", 'channel = "main"'), OK),
    "C1 a RAM packet twice": (rule("duplicate", 'flag = "ram", nth = 2'), OK),
    "C2 two packets swapped": (
        rule(
            "after", 'channel = 1, flag = "ram", nth = 1', 'packet = { channel = 1, flag = "sync", nth = 2 }'
        ),
        ANY,
    ),
    "C3 on another channel": (rule("move", 'flag = "ram", channel = 0', "to = 2"), OK),
    "C4 behind the next SYNC": (
        rule(
            "after", 'channel = 1, flag = "ram", nth = 1', 'packet = { channel = 1, flag = "sync", nth = 2 }'
        ),
        ANY,
    ),
    "C5 a RAM packet lost": (rule("drop", 'flag = "ram", nth = 2'), FAILS),
    "C6 data after the last SYNC": (
        rule("after", 'flag = "ram", nth = 1', 'packet = { record = "SectionEnd", section = "ram" }'),
        ANY,
    ),
    "C6b and late": (
        rule("after", 'flag = "ram", nth = 1', f"packet = {{ {MARK} }}")
        + rule("delay", 'flag = "ram", nth = 1', LATE),
        ANY,
    ),
    "C7 data before the setup SYNC": (
        rule("after", 'channel = 1, flag = "sync", nth = 1', 'packet = { channel = 1, flag = "ram" }', "in"),
        OK,
    ),
    "D1 a channel never connects": (connect("stall"), FAILS),
    "D2 hello, then closed": (hello("close"), FAILS),
    "D3 closed between packets": (device("close", "idx = 3"), FAILS),
    "D4 closed in a header": (device("truncate", "idx = 3", "bytes = 100"), FAILS),
    "D5 closed in page data": (rule("truncate", 'flag = "ram", nth = 2', "bytes = 2000"), FAILS),
    "D6 reset": (device("close", "idx = 3", 'how = "reset"'), FAILS),
    "D7 main closes in RAM": (rule("close", 'record = "SectionPart", section = "ram"'), FAILS),
    "D8 main closes in the device tail": (rule("close", 'record = "SectionFull", nth = 2'), FAILS),
    "D9 no description": (rule("drop", 'record = "VmDesc"'), ANY),
    "E1 a middle SYNC withheld": (rule("drop", 'channel = 1, flag = "sync", nth = 2'), FAILS),
    "E3 the setup SYNC withheld": (rule("drop", 'channel = 1, flag = "sync", nth = 1'), FAILS),
    "E4 an extra SYNC": (rule("duplicate", 'channel = 1, flag = "sync", nth = 1'), ANY),
    "E6 FLUSH withheld": (rule("drop", 'flag = "flush", nth = "2-"'), FAILS),
    "E8 FLUSH doubled": (rule("duplicate", 'flag = "flush", nth = 2'), FAILS),
    "F1 id = N": (hello("corrupt", 'field = "channel", value = 3'), FAILS),
    "F2 id > N": (hello("corrupt", 'field = "channel", value = 200'), FAILS),
    "F3 an id twice": (hello("corrupt", 'field = "channel", value = 0'), FAILS),
    "F4 another uuid": (hello("corrupt", 'field = "uuid", xor = 1'), FAILS),
    "F5 another version": (hello("corrupt", 'field = "version", value = 2'), FAILS),
    "F6 unknown magic": (hello("corrupt", 'field = "magic", value = "0xdeadbeef"'), FAILS),
    "F7 reserved bytes set": (hello("corrupt", 'field = "reserved", value = "hex:ffff"'), OK),
    "F8 two main connections": (
        connect("duplicate", "", MAIN) + rule("delay", 'record = "Connect", channel = "main", nth = 2', LATE),
        OK,
    ),
    "F10 fewer channels": (connect("stall", "", "2"), FAILS),
    "F12 closed without a byte": (hello("close", 'when = "before"'), FAILS),
    "H1 bad magic": (ram("magic", '"0x11223345"'), FAILS),
    "H2 bad version": (ram("packet_version", "2"), FAILS),
    "H3 too many pages allocated": (ram("pages_alloc", "129"), FAILS),
    "H4 too many pages": (ram("normal", "129"), FAILS),
    "H5 too many zero pages": (ram("zero", "200"), FAILS),
    "H6 unknown block": (ram("block", '"nowhere"'), FAILS),
    "H7 offset too big": (ram("offset", '"0x7fffffff000"'), FAILS),
    "H8 offset not of a page": (ram("offset", "1"), FAILS),
    "H9 a compression that was not agreed": (ram("flags", "2"), FAILS),
    "H10 an unknown flag": (ram("flags", "256"), ANY),
    "H11 wrong next_packet_size": (ram("next_packet_size", "7"), OK),
    "H12 odd packet_num": (ram("packet_num", "99"), OK),
    "H14 SYNC with pages": (ram("flags", "1"), ANY),
    "I2 unknown command": (rule("corrupt", MARK, 'field = "number", value = 12'), FAILS),
    "I3 wrong length": (rule("corrupt", MARK, 'field = "length", value = 3'), FAILS),
    "I4 PING without a return path": (rule("drop", 'command = "OPEN_RETURN_PATH"'), FAILS),
    "I6 unknown section": (
        rule(
            "corrupt", 'record = "SectionPart", section = "ram", nth = 1', 'field = "section_id", value = 99'
        ),
        FAILS,
    ),
    "I7 another section's footer": (
        rule("corrupt", 'record = "Footer", nth = 1', 'field = "section_id", value = 99'),
        FAILS,
    ),
    "I8 another machine": (
        rule("corrupt", 'record = "Configuration"', 'field = "machine", value = "9.9."'),
        FAILS,
    ),
    "I9 unknown record": (
        rule("corrupt", 'record = "SectionEnd", nth = 1', 'field = "record", value = 99'),
        FAILS,
    ),
    "I10 device sections in another order": (
        rule(
            "after",
            f'record = "SectionFull", section = "{DEVICE}/vfio"',
            'packet = { record = "SectionFull", section = "0000:00:02.0/vfio" }',
        ),
        OK,
    ),
    "I11 one left out": (rule("drop", f'record = "SectionFull", section = "{DEVICE}/vfio"'), FAILS),
    "I12 one twice": (rule("duplicate", 'record = "SectionFull", section = "migemu-gic"'), ANY),
    "K1 reversed": (device("after", DATA, f'packet = {{ device = "{DEVICE}", flag = "config" }}'), OK),
    "K2 config long before": (device("after", DATA, f"packet = {{ {EOF} }}", "in"), OK),
    "K3 index 0 late": (device("delay", "idx = 0", LATE), OK),
    "K4 an index twice": (device("duplicate", "idx = 3"), FAILS),
    "K5 an index twice, the first loaded": (
        device("duplicate", "idx = 0") + device("delay", "idx = 0, nth = 2", LATE),
        FAILS,
    ),
    "K6 an index missing": (device("drop", "idx = 3"), FAILS),
    "K7 config missing": (device("drop", 'flag = "config"'), FAILS),
    "K8 data before the mark": (
        rule("hold", MARK, f'until = {{ device = "{DEVICE}", idx = 0 }}', "in"),
        OK,
    ),
    "K10 data after EOF": (device("after", DATA, f"packet = {{ {EOF} }}"), OK),
    "K11 another version": (wrong("idx = 3", "version", "1"), FAILS),
    "K12 the idx that none may have": (wrong("idx = 3", "idx", '"0xffffffff"'), FAILS),
    "K13 config past a hole": (wrong('flag = "config"', "idx", "60"), FAILS),
    "K14 config flag on a data packet": (wrong("idx = 3", "flags", "1"), FAILS),
    "K15 data past the config": (wrong("idx = 3", "idx", "60"), FAILS),
    "K16 payload too short": (wrong("idx = 3", "size", "8"), FAILS),
    "K18 unknown flag bits": (wrong("idx = 3", "flags", "16"), OK),
    "K19 no mark": (rule("drop", MARK), FAILS),
    "K20 two marks": (rule("duplicate", MARK), FAILS),
    "K21 mark before the first RAM part": (
        rule("after", 'record = "SectionPart", section = "ram"', f"packet = {{ {MARK} }}", "in"),
        ANY,
    ),
    "K23 a wrong config": (device("corrupt", 'flag = "config"', 'field = "data"'), FAILS),
    "K25 nothing sent, channels closed": (
        device("drop", 'record = "DevicePacket"') + rule("close", EOF, 'when = "after", how = "half"'),
        FAILS,
    ),
    "K26 another channel already closed": (rule("close", "idx = 2"), ANY),
    "K27 another instance": (wrong("idx = 3", "instance", "5"), ANY),
}


@pytest.mark.parametrize("row", ROWS)
async def test_a_row_ends_verified_or_with_an_error_on_both_sides(row: str) -> None:
    rules, expected = ROWS[row]
    came = await migrate(rules)
    assert all(came.fired().values()), "a rule of the row never fired"
    if expected == OK:
        assert came.verified, (came.source, came.destination)
    if expected == FAILS:
        assert not came.verified
    if came.verified:
        assert came.may_run() == {"destination"}
    else:
        assert came.source is not None
        assert came.destination is not None
        assert came.may_run() == {"source"}, (came.source, came.destination)
