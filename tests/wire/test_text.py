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
