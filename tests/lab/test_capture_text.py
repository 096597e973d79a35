"""A row of a capture as a person reads it."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

from migemu.lab.capture import Capture
from migemu.lab.capture_rows import Row, rows
from migemu.lab.capture_text import HEAD, TELL, line
from migemu.wire.records import Record

RECORDINGS = Path(__file__).parents[1] / "captures"
SILENT = {"RamFlush", "RamEos", "Eof"}
"""Records that say nothing beyond what they are."""


def told(name: str) -> list[str]:
    return [" ".join(line(row).split()) for row in rows(Capture(RECORDINGS / name))]


def test_a_qemus_main_channel_reads_like_its_story() -> None:
    lines = told("qemu-10.0-none-2ch.tar.xz")
    assert "main 0 8 FileHeader version 3" in lines
    assert "main 17 17 SectionStart 1 ram instance 0 version 4" in lines
    assert "main 34 21 RamBlocks ram0 1048576 bytes" in lines
    assert "main 102 5 Command SWITCHOVER_START" in lines
    assert "0 1408 369984 RamPacket #2 ram0 90 pages 38 zero" in lines
    assert "1 64 1344 RamPacket #1 SYNC" in lines
    assert lines[-1] == "main 316 828 VmDesc 2 devices"


def test_device_packets_say_device_idx_and_kind() -> None:
    lines = told("qemu-10.0-device-state.bin.xz")
    assert lines[0] == "packets 0 1048864 DevicePacket 0000:00:01.0/vfio idx 0 data 1048576 bytes"
    assert lines[-1] == "packets 3146592 580 DevicePacket 0000:00:01.0/vfio idx 3 config 292 bytes"


def test_columns_are_aligned() -> None:
    lines = [line(row) for row in rows(Capture(RECORDINGS / "qemu-7.2-none-2ch.tar.xz"))]
    at = HEAD.index("record")
    assert all(text[at - 1] == " " and text[at] != " " for text in lines)


def test_what_is_odd_about_a_packet_is_said() -> None:
    said = {
        "record": "DevicePacket",
        "device": "a/vfio",
        "instance": 2,
        "version": 1,
        "idx": 4,
        "flags": 6,
        "config": False,
        "data": {"bytes": 3, "hex": "010203"},
    }
    text = " ".join(line(Row(0.0015, 1, 64, 300, said)).split())
    assert text == "1.500 1 64 300 DevicePacket a/vfio idx 4 data 3 bytes instance 2 version 1 flags 0x6"


def test_every_record_of_the_main_channel_has_its_words() -> None:
    assert {kind.__name__ for kind in get_args(Record)} - SILENT <= TELL.keys()
