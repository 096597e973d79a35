"""What is written, byte by byte: the reader shares no code with these expectations."""

from __future__ import annotations

import pytest

from migemu.errors import WireError
from migemu.wire import extension as ext
from migemu.wire import mainwriter as w
from migemu.wire import records as r
from migemu.wire import vfio
from migemu.wire.encode import encode_record

WRITTEN = [
    (w.file_header(), "5145564d 00000003"),
    (w.configuration("none"), "07 00000004 6e6f6e65"),
    (
        w.configuration("m", target_page_bits=12),
        "07 00000001 6d 05 1e" + b"configuration/target-page-bits".hex() + "00000001 0000000c",
    ),
    (
        w.configuration("m", ["a"], b"u" * 16),
        "07 00000001 6d 05 1a"
        + b"configuration/capabilities".hex()
        + "00000001 00000001 01 61 05 12"
        + b"configuration/uuid".hex()
        + "00000001"
        + "75" * 16,
    ),
    (w.section_start(1, "ram", 0, 4), "01 00000001 03 72616d 00000000 00000004"),
    (w.section_part(1), "02 00000001"),
    (w.section_end(1), "03 00000001"),
    (w.section_full(2, "dma", 1, 1), "04 00000002 03 646d61 00000001 00000001"),
    (w.footer(1), "7e 00000001"),
    (w.eof(), "00"),
    (w.vmdesc({"a": 1}), "06 00000008" + b'{"a": 1}'.hex()),
    (w.command(11), "08 000b 0000"),
    (w.ping(7), "08 0002 0004 00000007"),
    (w.command(ext.CMD_SEND_NON_ITERABLE), "08 6d02 0000"),
    (w.ram_blocks([r.RamBlock("ram0", 0x100000)]), "0000000000100004 04 72616d30 0000000000100000"),
    (
        w.ram_blocks([r.RamBlock("a", 0x1000, page_size=0x200000, gpa=1)]),
        "0000000000001004 01 61 0000000000001000 0000000000200000 0000000000000001",
    ),
    (w.ram_page_header("ram0", 0x3000), "0000000000003008 04 72616d30"),
    (w.ram_page_header("ram0", 0x3000, continued=True), "0000000000003028"),
    (w.ram_zero("ram0", 0x3000), "0000000000003002 04 72616d30 00"),
    (w.ram_zero("ram0", 0x3000, continued=True), "0000000000003022 00"),
    (w.ram_flush(), "0000000000000200"),
    (w.ram_eos(), "0000000000000010"),
    (w.vfio_word(vfio.CONFIG_LOAD_READY), "ffffffffef100006"),
    (w.vfio_data_header(5), "ffffffffef100004 0000000000000005"),
    (w.vfio_config(b"cfg"), "ffffffffef100002 636667"),
    (w.vfio_sized_config(b"cfg"), "ffffffffef106d01 00000003 636667"),
    (w.vfio_data_count(3), "ffffffffef106d02 0000000000000003"),
    (w.sized_body(b"gic"), "00000003 676963"),
]


@pytest.mark.parametrize(("raw", "expected"), WRITTEN)
def test_the_bytes_on_the_wire(raw: bytes, expected: str) -> None:
    assert raw == bytes.fromhex(expected)


@pytest.mark.parametrize(
    ("number", "data"),
    [(12, b""), (11, b"x"), (2, b"abc"), (ext.CMD_DIGESTS, bytes(65536))],
)
def test_a_command_no_destination_takes_is_not_written(number: int, data: bytes) -> None:
    with pytest.raises(WireError, match="no command"):
        w.command(number, data)


def test_a_command_has_at_most_the_bytes_that_its_length_can_say() -> None:
    assert w.command(ext.CMD_DIGESTS, bytes(0xFFFF))[:5].hex() == "086d03ffff"


def test_an_id_too_long_for_its_length_byte_is_not_written() -> None:
    with pytest.raises(WireError, match="longer than 255 bytes"):
        w.section_start(1, "x" * 256, 0, 1)


def test_what_is_no_record_has_no_bytes() -> None:
    with pytest.raises(WireError, match="str is no record"):
        encode_record("QEVM")  # type: ignore[arg-type]  # what a confused caller might pass
