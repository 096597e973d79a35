"""Streams made here: what the recordings do not hold, and what must be refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from migemu.errors import LimitError, TruncatedError, WireError
from migemu.wire import extension as ext
from migemu.wire import mainstream as ms
from migemu.wire import mainwriter as w
from migemu.wire import records as r
from migemu.wire import vfio
from migemu.wire.encode import encode_record
from migemu.wire.limits import WireLimits
from migemu.wire.mainreader import MainReader

if TYPE_CHECKING:
    from migemu.wire.buffers import HeapPool
    from wire.conftest import Drive

HEAD = w.file_header() + w.configuration("none")
DEVICE = "0000:00:01.0/vfio"
BLOCKS = w.ram_blocks([r.RamBlock("ram0", 8192), r.RamBlock("vga", 4096)])
RAM = HEAD + w.section_start(2, "ram", 0, 4) + BLOCKS
PCI = (2).to_bytes(4) + b"\x36\x1b" + bytes(270)
END = w.vfio_word(vfio.END_OF_STATE)


def vfio_section(body: bytes, section_id: int = 7) -> bytes:
    return w.section_full(section_id, DEVICE, 0, 1) + body + w.footer(section_id)


def body_of(records: list[r.Record]) -> list[r.Record]:
    """The records between the first section and its footer."""
    begin = next(i for i, record in enumerate(records) if isinstance(record, (r.SectionFull, r.SectionStart)))
    end = next(i for i, record in enumerate(records) if isinstance(record, r.Footer))
    return records[begin + 1 : end]


def test_a_configuration_with_everything_in_it(drive: Drive) -> None:
    uuid = bytes(range(16))
    raw = w.file_header() + w.configuration("virt", ["x-ignore-shared"], uuid, 14) + w.eof()
    configuration = drive.records(raw)[1]
    assert configuration == r.Configuration("virt", ("x-ignore-shared",), uuid, 14)


def test_a_stream_without_configuration(drive: Drive) -> None:
    assert drive.records(w.file_header() + w.eof()) == [r.FileHeader(), r.Eof()]


def test_shared_blocks_carry_their_guest_address(drive: Drive) -> None:
    blocks = (r.RamBlock("ram0", 8192, gpa=1 << 32), r.RamBlock("vga", 4096, gpa=0))
    raw = w.file_header() + w.configuration("q35", ["x-ignore-shared"])
    raw += w.section_start(1, "ram", 0, 4) + w.ram_blocks(blocks) + w.ram_eos() + w.footer(1) + w.eof()
    assert body_of(drive.records(raw)) == [r.RamBlocks(r.Section("ram"), blocks), r.RamEos(r.Section("ram"))]


def test_huge_blocks_carry_their_page_size_after_postcopy_advise(drive: Drive, pool: HeapPool) -> None:
    blocks = (r.RamBlock("ram0", 1 << 21, page_size=1 << 21), r.RamBlock("vga", 4096))
    raw = HEAD + w.command(ms.POSTCOPY_ADVISE, bytes(16)) + w.section_start(1, "ram", 0, 4)
    raw += w.ram_blocks(blocks) + w.ram_eos() + w.footer(1) + w.eof()
    reader = MainReader(pool, huge_blocks={"ram0"})
    assert body_of(drive.records(raw, reader))[0] == r.RamBlocks(r.Section("ram"), blocks)


def test_pages_of_another_target_page_size(drive: Drive) -> None:
    raw = w.file_header() + w.configuration("virt", target_page_bits=14) + w.section_start(1, "ram", 0, 4)
    raw += w.ram_blocks([r.RamBlock("ram0", 65536)])
    raw += w.ram_page_header("ram0", 16384) + b"p" * 16384 + w.ram_eos() + w.footer(1) + w.eof()
    page = body_of(drive.records(raw))[1]
    assert isinstance(page, r.RamPage)
    assert (page.offset, bytes(page.data.view)) == (16384, b"p" * 16384)


def test_a_section_without_footers(drive: Drive) -> None:
    raw = HEAD + w.section_full(0, "timer", 0, 2) + bytes(24)
    raw += w.section_full(1, DEVICE, 0, 1) + w.vfio_config(PCI) + END + w.eof()
    kinds = [type(record) for record in drive.records(raw)[2:]]
    assert kinds == [r.SectionFull, r.Opaque, r.SectionFull, r.VfioConfig, r.VfioWord, r.Eof]


VFIO_BODIES = [
    [r.VfioWord(r.Section(DEVICE), vfio.DEV_SETUP_STATE)],
    [r.VfioConfig(r.Section(DEVICE), PCI)],
    [r.VfioConfig(r.Section(DEVICE), (2).to_bytes(4) + bytes(4096) + END + b"\x7e msi-x", sized=False)],
    [r.VfioConfig(r.Section(DEVICE), b"any config" * 20_000, sized=True)],
    [r.VfioDataCount(r.Section(DEVICE), 100)],
    [],
]


@pytest.mark.parametrize("body", VFIO_BODIES)
@pytest.mark.parametrize("last", [vfio.END_OF_STATE, vfio.INIT_DATA_SENT, vfio.CONFIG_LOAD_READY])
def test_a_vfio_section_up_to_the_mark_that_ends_it(drive: Drive, body: list[r.Record], last: int) -> None:
    if any(isinstance(record, r.VfioConfig) and not record.sized for record in body):
        last = vfio.END_OF_STATE  # nothing else can end a config state of unknown size
    sent = [*body, r.VfioWord(r.Section(DEVICE), last)]
    raw = HEAD + vfio_section(b"".join(map(encode_record, sent))) + w.eof()
    assert body_of(drive.records(raw)) == sent
    assert body_of(drive.records(raw, step=3)) == sent


def test_large_device_data_goes_straight_into_its_buffer(pool: HeapPool) -> None:
    reader = MainReader(pool)
    head = HEAD + w.section_start(7, DEVICE, 0, 1) + w.vfio_data_header(1 << 20)
    reader.feed(head)
    room = reader.get_buffer()
    assert len(room) == 1 << 20
    room[:4] = b"here"
    (data,) = reader.received(len(room))
    assert isinstance(data, r.VfioData)
    room[4:8] = b"same"
    assert bytes(data.data.view[:8]) == b"heresame"
    assert len(reader.get_buffer()) == 512  # then only a header is asked for


def test_migemus_own_sections_say_their_length(drive: Drive) -> None:
    raw = HEAD + w.section_full(9, "migemu-gic", 2, 1) + w.sized_body(b"gic state") + w.footer(9) + w.eof()
    assert body_of(drive.records(raw)) == [r.Opaque(r.Section("migemu-gic", 2), b"gic state")]
    assert b"".join(map(encode_record, drive.records(raw))) == raw


def test_a_fixed_section_with_a_subsection_behind_it_is_not_fixed(drive: Drive) -> None:
    """A timer of a VM with instruction counting: its size is not the table's, so it is left to the tail."""
    odd = w.section_full(0, "timer", 0, 2) + bytes(24) + b"\x05\x05icountxxxx"
    records = drive.records(HEAD + odd + w.eof() + w.vmdesc({"devices": []}))
    assert records[2:4] == [r.Tail(odd), r.Eof()]


def test_every_command_of_the_table_is_read(drive: Drive) -> None:
    for number, kind in ms.COMMANDS.items():
        if number != ms.PACKAGED:
            data = bytes(min(kind.lengths or {1000}))
            assert drive.records(HEAD + w.command(number, data) + w.eof())[2] == r.Command(number, data)


def test_behind_its_end_a_stream_may_only_give_the_vm_up(drive: Drive) -> None:
    raw = HEAD + w.eof() + w.vmdesc({}) + w.command(ext.CMD_START)
    assert drive.records(raw)[-2:] == [r.VmDesc(b"{}"), r.Command(ext.CMD_START, b"")]


def test_announced_parts_fit_a_command(drive: Drive) -> None:
    parts = ext.split_parts(b"{}" * 100_000)
    raw = HEAD + b"".join(w.command(ext.CMD_DIGESTS, part) for part in parts) + w.eof()
    together = ext.PartsReader()
    wholes = [together.feed(record.data) for record in drive.records(raw) if isinstance(record, r.Command)]
    assert wholes[-1] == b"{}" * 100_000


REFUSED = [
    (b"QEVX\0\0\0\3", "not a migration stream: it begins with 0x51455658"),
    (b"QEVM\0\0\0\2", "unsupported migration stream version 2"),
    (HEAD + b"\x09", "unknown record type 0x09"),
    (HEAD + w.configuration("again"), "unknown record type 0x07"),
    (w.file_header() + b"\x07\0\0\0\4no\xff\xfe", "machine type name is not printable"),
    (HEAD + b"\x05\x03odd\0\0\0\1", "unknown CONFIGURATION subsection 'odd'"),
    (HEAD + b"\x05\x12configuration/uuid\0\0\0\2", "'configuration/uuid' version 2"),
    (
        w.file_header() + w.configuration("m", uuid=bytes(16)) + w.configuration("m", uuid=bytes(16))[6:],
        "CONFIGURATION repeats configuration/uuid",
    ),
    (w.file_header() + w.configuration("m", target_page_bits=40), "target-page-bits 40"),
    (HEAD + w.section_part(5), "unknown section id 5"),
    (HEAD + b"\x08\0\x0c\0\0", "unknown command 0xc of 0 bytes"),
    (HEAD + b"\x08\0\x02\0\3abc", r"command PING has 3 bytes, expected \[4\]"),
    (HEAD + b"\x08\0\x07\0\4abcd", "postcopy is not supported"),
    (HEAD + vfio_section(w.vfio_word(0xFFFFFFFFEF100009)), "unknown VFIO mark 0xffffffffef100009"),
    (
        HEAD + w.section_full(0, "timer", 0, 2) + bytes(24) + w.footer(1),
        "footer of section 1 behind section 0",
    ),
    (HEAD + vfio_section(END) + w.section_full(1, DEVICE, 1, 1) + END + w.eof(), "misses its footer"),
    (
        HEAD + vfio_section(END) + w.section_full(7, "timer", 0, 2) + bytes(25),
        "section id 7 is 0000:00:01.0/vfio",
    ),
    (RAM + w.ram_page_header("", 0, continued=True), "continues a ram block before any"),
    (RAM + w.ram_page_header("pc.ram", 0), "unknown ram block pc.ram; listed: ram0, vga"),
    (RAM + w.ram_page_header("vga", 4096), "offset too long 0x1000"),
    (RAM + w.ram_zero("vga", 0)[:-1] + b"\1", "ZERO page is filled with 1"),
    (RAM + (0x40).to_bytes(8), "XBZRLE, which is not supported"),
    (RAM + (0x1010).to_bytes(8), "unknown ram word 0x1010"),
    (
        HEAD + w.section_start(2, "ram", 0, 4) + w.ram_blocks([r.RamBlock("a", 4096)] * 2),
        "names a block twice",
    ),
    (
        HEAD + w.section_start(2, "ram", 0, 4) + (0x1004).to_bytes(8) + b"\1a" + (8192).to_bytes(8),
        "add up to more than their total, 4096",
    ),
    (
        w.file_header() + w.configuration("m", ["mapped-ram"]) + w.section_start(2, "ram", 0, 4) + BLOCKS,
        "mapped-ram stream needs a seekable file",
    ),
    (HEAD + w.eof() + w.ping(1), "came behind the end"),
    (HEAD + w.eof() + w.vmdesc({}) + b"\0", "came behind the end"),
]


@pytest.mark.parametrize(("raw", "says"), REFUSED, ids=[says for _, says in REFUSED])
def test_a_broken_stream_is_refused_and_says_why(pool: HeapPool, raw: bytes, says: str) -> None:
    with pytest.raises(WireError, match=says):
        MainReader(pool).feed(raw)


LIMITS = WireLimits(
    max_payload=1000,
    max_section_string=10,
    max_capabilities=1,
    max_command=10,
    max_sections=2,
    max_ram_blocks=2,
    max_pci_config=500,
    max_non_iterable=1000,
    max_vmdesc=100,
)
ABOVE = [
    ("max_section_string", w.file_header() + w.configuration("machine type")),
    ("max_capabilities", w.file_header() + w.configuration("m", ["a", "b"])),
    ("max_command", HEAD + w.command(ext.CMD_DIGESTS, bytes(11))),
    ("max_payload", HEAD + w.section_full(1, DEVICE, 0, 1) + w.vfio_data_header(1 << 62)),
    ("max_payload", HEAD + w.section_full(1, DEVICE, 0, 1) + w.vfio_sized_config(bytes(1001))[:12]),
    ("max_pci_config", HEAD + vfio_section(w.vfio_config(bytes(501)) + END)),
    ("max_pci_config", HEAD + w.section_full(1, DEVICE, 0, 1) + w.vfio_config(bytes(5000))),
    ("max_sections", HEAD + b"".join(vfio_section(END, section_id) for section_id in (1, 2, 3))),
    ("max_ram_blocks", HEAD + w.section_start(2, "ram", 0, 4) + (4096 | 4).to_bytes(8) + bytes(9 * 3)),
    ("max_non_iterable", HEAD + w.section_full(1, "migemu-x", 0, 1) + (1001).to_bytes(4)),
    ("max_non_iterable", HEAD + w.section_full(1, "dma", 0, 1) + bytes(1001)),
    ("max_vmdesc", HEAD + w.eof() + b"\x06" + (101).to_bytes(4)),
]


@pytest.mark.parametrize(("limit", "raw"), ABOVE)
def test_every_announced_length_has_its_limit(pool: HeapPool, limit: str, raw: bytes) -> None:
    with pytest.raises(LimitError, match=f"limits.{limit}") as caught:
        MainReader(pool, LIMITS).feed(raw)
    assert caught.value.limit == f"limits.{limit}"


@pytest.mark.parametrize(
    ("raw", "inside"),
    [
        (b"", "between two records, without its EOF"),
        (b"QEVM", "the file header"),
        (HEAD[:-1], "the CONFIGURATION record"),
        (HEAD, "the CONFIGURATION record"),
        (HEAD + w.command(ms.SWITCHOVER_START), "between two records, without its EOF"),
        (RAM[:-1], "the ram block list"),
        (RAM + w.ram_page_header("ram0", 0) + bytes(4095), "a ram page"),
        (
            HEAD + w.section_full(1, DEVICE, 0, 1) + w.vfio_data_header(1 << 20) + bytes(99),
            "a VFIO data block",
        ),
        (HEAD + w.section_full(1, "dma", 0, 1) + bytes(99), "no description has ended them"),
        (HEAD + w.eof() + w.vmdesc({})[:-1], "the description"),
    ],
)
def test_a_stream_that_ends_early_says_inside_what(pool: HeapPool, raw: bytes, inside: str) -> None:
    reader = MainReader(pool)
    reader.feed(raw)
    with pytest.raises(TruncatedError, match=inside):
        reader.ended()
