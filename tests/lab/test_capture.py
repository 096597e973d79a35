"""Recording and reading again: files, index, order; what is torn, spoilt or another's."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from migemu.errors import UsageError
from migemu.lab.capture import Capture
from migemu.lab.capture_files import Files
from migemu.lab.capture_index import INDEX, Head, Step, decode_head, decode_step
from migemu.lab.capture_read import items, kind_of
from migemu.lab.capture_rows import rows
from migemu.lab.capture_write import CaptureWriter
from migemu.link.order_item import Item, of_message
from migemu.scenario import default
from migemu.wire.hello import Hello
from migemu.wire.multifd import encode_ram_header, sync_packet
from migemu.wire.returnpath import PONG, Message
from wire.conftest import recorded

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDINGS = Path(__file__).parents[1] / "captures"
HELLO = Hello(bytes(16), 3).encode()
SYNC = encode_ram_header(sync_packet(0))


class Clock:
    """A tick every time it is asked."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        self.now += 0.5
        return self.now


def record(folder: Path) -> CaptureWriter:
    """A multifd channel with a SYNC, and a return path."""
    writer = CaptureWriter(folder, default(environ={}), Clock())
    tape = writer.open()
    tape.item(Item("in", None, "Connect"))
    tape.data(memoryview(HELLO[:10]))
    tape.data(memoryview(HELLO[10:]))
    tape.named(3)
    tape.item(Item("in", 3, "Hello", (HELLO,)))
    tape.data(memoryview(SYNC))
    tape.item(Item("in", 3, "RamPacket", (SYNC,), flags=frozenset({"sync"})))
    tape.reply(of_message(Message(PONG, b"\0\0\0\7")))
    tape.closed("")
    return writer


def test_what_was_recorded_is_read_again_in_its_order(tmp_path: Path) -> None:
    assert record(tmp_path).finish() is None
    capture = Capture(tmp_path)
    assert capture.scenario() == default(environ={})
    assert capture.places() == {0: 3}
    told = [(step.t, step.record, step.bytes, step.back) for step in capture.steps() if step.record]
    assert told == [
        (0.5, "Connect", 0, False),
        (1.5, "Hello", 64, False),
        (2.0, "RamPacket", 1344, False),
        (2.5, "Message", 8, True),
    ]
    assert (tmp_path / "mfd3.bin").read_bytes() == HELLO + SYNC


def test_its_rows_carry_what_each_packet_says(tmp_path: Path) -> None:
    record(tmp_path).finish()
    told = [(row.channel, row.offset, row.record, row.size) for row in rows(Capture(tmp_path))]
    assert told == [
        ("conn 0", 0, "Connect", 0),
        (3, 0, "Hello", 64),
        (3, 64, "RamPacket", 1344),
        ("return", 0, "Message", 8),
        (3, 0, "Close", 0),
    ]


def test_a_second_connection_for_one_channel_has_a_file_of_its_own(tmp_path: Path) -> None:
    writer = CaptureWriter(tmp_path, default(environ={}), Clock())
    for content in (b"one", b"two"):
        tape = writer.open()
        tape.data(memoryview(content))
        tape.named(0)
    silent = writer.open()
    silent.data(memoryview(b"abc"))
    writer.finish()
    assert (tmp_path / "mfd0.bin").read_bytes() == b"one"
    assert (tmp_path / "mfd0-conn-1.bin").read_bytes() == b"two"
    assert (tmp_path / "conn-2.bin").read_bytes() == b"abc"


def test_a_full_disk_ends_the_recording_and_says_so_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "mfd3.bin").symlink_to("/dev/full")
    error = record(tmp_path).finish()
    assert f"the recording in {tmp_path} is not whole: No space left on device" in str(error)


def test_a_torn_index_ends_where_it_is_torn(tmp_path: Path) -> None:
    record(tmp_path).finish()
    index = tmp_path / INDEX
    index.write_bytes(index.read_bytes()[:-10])
    assert [step.record for step in Capture(tmp_path).steps() if step.record][-1] == "Message"


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda text: text.replace('"v":1', '"v":9'), "is of version 9, this migemu reads 1"),
        (lambda text: "{}\n" + text, "is not the index of a capture"),
        (
            lambda text: text.replace('"conn":0,"record":"Hello"', '"conn":"x"'),
            "line 4: not a line of an index",
        ),
        (
            lambda text: text.replace('"bytes":1344', '"bytes":1343'),
            "RamPacket of 1343 bytes where channel 3",
        ),
        (lambda text: text.replace('"bytes":1344', '"bytes":-1'), "line 5: not a line of an index"),
    ],
)
def test_an_index_that_does_not_fit_is_refused_by_name(
    tmp_path: Path, spoil: Callable[[str], str], said: str
) -> None:
    record(tmp_path).finish()
    index = tmp_path / INDEX
    index.write_text(spoil(index.read_text()))
    with pytest.raises(UsageError, match=said):
        list(rows(Capture(tmp_path)))


def test_a_file_that_ends_before_its_index_is_named(tmp_path: Path) -> None:
    record(tmp_path).finish()
    (tmp_path / "mfd3.bin").write_bytes(HELLO)
    with pytest.raises(UsageError, match="ends before its index: RamPacket of connection 0 is missing"):
        list(rows(Capture(tmp_path)))


def test_a_line_of_the_index_reads_as_it_was_written() -> None:
    for step in (
        Step(0.25, 2, "DevicePacket", 300, more={"device": "a/vfio", "idx": 4, "flags": ["data"]}),
        Step(0.5, 0, "Message", 8, back=True, more={"name": "PONG"}),
        Step(1.0, 0, file="main.bin", channel="main"),
        Step(1.0, 7, file="conn-7.bin", channel=None),
        Step(2.0, 1, closed="connection failed: reset"),
    ):
        assert decode_step(step.encode().encode(), "x") == step
    head = Head("0.1", "abcd", ruled=True, peer="qemu")
    assert decode_head(head.encode().encode(), "x") == head


def test_a_qemus_recording_is_read_in_an_order_that_keeps_its_barriers() -> None:
    told = [
        (row.channel, row.record, row.said.get("flag_names"))
        for row in rows(Capture(RECORDINGS / "qemu-10.0-none-2ch.tar.xz"))
        if row.record in ("RamFlush", "RamPacket")
    ]
    rounds, syncs = [], 0
    for channel, _, flags in told:
        if channel == "main":
            rounds.append(syncs)
            syncs = 0
        syncs += flags == ["SYNC"]
    assert rounds == [2, 2, 2]


@pytest.mark.parametrize("name", ["qemu-7.2-none-0ch", "qemu-7.2-none-2ch", "qemu-10.0-none-2ch"])
def test_every_byte_of_a_recording_is_in_a_row(name: str) -> None:
    sizes: dict[object, int] = {}
    for row in rows(Capture(RECORDINGS / f"{name}.tar.xz")):
        assert row.offset == sizes.get(row.channel, 0)
        sizes[row.channel] = row.offset + row.size
    files = {
        ("main" if n == "main.bin" else int(n[3:-4])): len(b)
        for n, b in recorded(name).items()
        if "img" not in n
    }
    assert sizes == files


def test_files_are_known_by_their_first_bytes() -> None:
    files = recorded("qemu-10.0-none-2ch")
    assert kind_of(files["main.bin"][:68]) == "main"
    assert kind_of(files["mfd0.bin"][:68]) == "multifd"
    assert kind_of(files["mfd0.bin"][64:132]) == "packets"
    assert kind_of(HELLO) == "multifd"
    assert kind_of(SYNC[:68]) == "packets"
    assert kind_of(b"PK\3\4") == kind_of(b"") == "other"


def test_a_packed_file_of_packets_is_read_as_it_is() -> None:
    files = Files(RECORDINGS / "qemu-10.0-device-state.bin.xz")
    with files.open("qemu-10.0-device-state.bin") as file:
        told = [(found.item.idx, sorted(found.item.flags)) for found in items(file, "x")]
    assert told == [(0, ["data"]), (2, ["data"]), (1, ["data"]), (3, ["config"])]


@pytest.mark.parametrize(
    ("content", "said"),
    [(None, "there is no capture at"), (b"nothing", "holds no connection of a migration")],
)
def test_what_is_no_capture_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "x.bin"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=said):
        list(rows(Capture(path)))


def test_a_spoilt_archive_is_an_error_with_its_name(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.xz"
    path.write_bytes((RECORDINGS / "qemu-7.2-none-0ch.tar.xz").read_bytes()[:500])
    with pytest.raises(UsageError, match=r"cannot read .*x\.tar\.xz"):
        list(rows(Capture(path)))


def test_a_row_is_json(tmp_path: Path) -> None:
    record(tmp_path).finish()
    told = [json.loads(json.dumps(row.plain())) for row in rows(Capture(tmp_path))]
    assert told[3]["name"] == "PONG"
    assert {"t", "channel", "offset", "bytes", "record"} <= told[2].keys()
