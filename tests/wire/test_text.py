from __future__ import annotations

import pytest

from migemu.errors import LimitError, WireError
from migemu.wire import text
from migemu.wire.limits import DEFAULT_LIMITS


@pytest.mark.parametrize("raw", [b"a\nb", b"\x1b[31m", b"\xff\xfe", b"a\0b"])
def test_a_name_that_would_spoil_a_log_line_is_refused(raw: bytes) -> None:
    with pytest.raises(WireError, match=f"block id is not printable text: {raw.hex()}"):
        text.decode_name(raw, "block id")


def test_names_of_any_language_are_names() -> None:
    assert text.decode_name("Gerät 1".encode(), "device") == "Gerät 1"
    assert text.decode_name(b"", "device") == ""


def test_what_follows_the_first_nul_is_ignored() -> None:
    assert text.padded_name(b"ram0\0\xff\xff", "block id") == "ram0"


@pytest.mark.parametrize("data", [b"", b"{", b"\xff", b"[1]", b"null", b"1" * 5000, b"[" * 100_000])
def test_what_is_no_json_object_is_refused(data: bytes) -> None:
    with pytest.raises(WireError, match="the verdict is not"):
        text.decode_object(data, "the verdict")


def test_a_limit_names_itself() -> None:
    assert DEFAULT_LIMITS.check("max_vmdesc", 16 << 20, "description") == 16 << 20
    with pytest.raises(LimitError, match=r"description: 16777217 is above limits\.max_vmdesc") as caught:
        DEFAULT_LIMITS.check("max_vmdesc", (16 << 20) + 1, "description")
    assert caught.value.limit == "limits.max_vmdesc"


def test_a_padded_name_needs_a_nul_behind_it_and_none_inside() -> None:
    assert text.encode_padded("abc", 4, "block id") == b"abc\0"
    for name in ("abcd", "a\0b"):
        with pytest.raises(WireError, match="does not fit the 4-byte field"):
            text.encode_padded(name, 4, "block id")


def test_a_counted_name_has_at_most_255_bytes() -> None:
    assert text.encode_counted("n" * 255, "block id") == b"\xff" + b"n" * 255
    with pytest.raises(WireError, match="longer than 255"):
        text.encode_counted("n" * 256, "block id")
