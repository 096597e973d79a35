"""The main channels of real QEMU, record by record."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.wire import records as r
from migemu.wire.codecs import CODECS, find_codec
from migemu.wire.encode import encode_record
from migemu.wire.hello import HELLO_SIZE
from migemu.wire.mainreader import MainReader
from migemu.wire.mainstream import SWITCHOVER_START
from migemu.wire.multifd import RamPacket
from migemu.wire.tail import split_tail

if TYPE_CHECKING:
    from collections.abc import Iterable

    from migemu.wire.buffers import HeapPool
    from wire.conftest import Captured, Drive

RECORDINGS = [f"qemu-{version}-none-{channels}ch" for version in ("7.2", "10.0") for channels in (0, 2)]
RAM = r.Section("ram")


def apply_records(ram: bytearray, records: Iterable[r.Record]) -> None:
    for record in records:
        if isinstance(record, r.RamPage):
            ram[record.offset : record.offset + 4096] = record.data.view
        elif isinstance(record, r.RamZero):
            ram[record.offset : record.offset + 4096] = bytes(4096)


@pytest.mark.parametrize("name", RECORDINGS)
def test_a_recorded_stream_encodes_again_to_the_same_bytes(
    captured: Captured, drive: Drive, name: str
) -> None:
    raw = captured(name)["main.bin"]
    assert b"".join(map(encode_record, drive.records(raw))) == raw


@pytest.mark.parametrize("version", ["7.2", "10.0"])
def test_ram_without_multifd_is_all_on_the_main_channel(
    captured: Captured, drive: Drive, version: str
) -> None:
    files = captured(f"qemu-{version}-none-0ch")
    ram = bytearray(b"\xff" * (1 << 20))
    apply_records(ram, drive.records(files["main.bin"]))
    assert ram == files["ram0.img"]


def test_ram_of_7_2_with_multifd_is_its_pages_there_and_its_zeros_here(
    captured: Captured, drive: Drive
) -> None:
    files = captured("qemu-7.2-none-2ch")
    ram = bytearray(b"\xff" * (1 << 20))
    for channel in (0, 1):
        for packet in drive.packets(files[f"mfd{channel}.bin"][HELLO_SIZE:]):
            assert isinstance(packet, RamPacket)
            for at, offset in enumerate(packet.normal.tolist()):
                assert packet.pages is not None
                ram[offset : offset + 4096] = packet.pages.view[at * 4096 : at * 4096 + 4096]
    apply_records(ram, drive.records(files["main.bin"]))
    assert ram == files["ram0.img"]


def test_the_stream_of_10_0_with_multifd_word_by_word(captured: Captured, drive: Drive) -> None:
    timer, state = r.Section("timer"), r.Section("globalstate")
    records = drive.records(captured("qemu-10.0-none-2ch")["main.bin"])
    runstate = next(rec.data for rec in records if isinstance(rec, r.Opaque) and rec.section == state)
    assert runstate[4:13] == b"prelaunch"
    assert records[:-1] == [
        r.FileHeader(3),
        r.Configuration("none"),
        r.SectionStart(1, "ram", 0, 4),
        r.RamBlocks(RAM, (r.RamBlock("ram0", 1 << 20),)),
        r.RamFlush(RAM),
        r.RamEos(RAM),
        r.Footer(1),
        r.SectionPart(1),
        r.RamFlush(RAM),
        r.RamEos(RAM),
        r.Footer(1),
        r.Command(SWITCHOVER_START, b""),
        r.SectionEnd(1),
        r.RamFlush(RAM),
        r.RamEos(RAM),
        r.Footer(1),
        r.SectionFull(0, "timer", 0, 2),
        r.Opaque(timer, bytes(24)),
        r.Footer(0),
        r.SectionFull(3, "globalstate", 0, 1),
        r.Opaque(state, runstate),
        r.Footer(3),
        r.Eof(),
    ]


@pytest.mark.parametrize("name", RECORDINGS)
def test_without_their_codecs_the_device_sections_are_a_tail_that_the_description_cuts(
    captured: Captured, drive: Drive, pool: HeapPool, name: str
) -> None:
    raw = captured(name)["main.bin"]
    ram_only = [codec for codec in CODECS if codec.pattern == "ram"]
    records = drive.records(raw, MainReader(pool, codecs=ram_only), step=1000)
    tail, eof, description = records[-3:]
    assert isinstance(tail, r.Tail)
    assert isinstance(description, r.VmDesc)
    assert eof == r.Eof()
    assert b"".join(map(encode_record, records)) == raw
    sections = split_tail(tail.data, description.json)
    assert [(section.idstr, len(section.data), section.footer) for section in sections] == [
        ("timer", 24, True),
        ("globalstate", 104, True),
    ]


def test_the_end_is_known_before_the_source_closes(captured: Captured, pool: HeapPool) -> None:
    """With a return path it waits for SHUT, which is sent when the description is complete."""
    raw = captured("qemu-7.2-none-2ch")["main.bin"]
    for codecs in (CODECS, CODECS[:1]):
        reader = MainReader(pool, codecs=codecs)
        reader.feed(raw[:-1])
        assert not reader.complete
        assert isinstance(reader.feed(raw[-1:])[-1], r.VmDesc)
        assert reader.complete


def test_which_sections_can_be_read_as_they_come() -> None:
    known = ("ram", "0000:00:01.0/vfio", "vfio", "timer", "globalstate", "migemu-gic")
    assert all(find_codec(CODECS, idstr) for idstr in known)
    assert not any(find_codec(CODECS, idstr) for idstr in ("dma", "ramx", "cpu", "slirp"))
