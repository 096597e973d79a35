from __future__ import annotations

import pytest

from migemu.errors import WireError
from migemu.wire.vfio import (
    CONFIG_LOAD_READY,
    END_OF_STATE,
    INIT_DATA_SENT,
    WORDS,
    PciConfigState,
    VfioHeader,
    decode_config_state,
    encode_config_state,
    unwrap_config,
    wrap_config,
)


def test_the_header_is_big_endian() -> None:
    """10.0 had it in host order until shortly before its release (B9)."""
    header = VfioHeader(0, 0x01020304, 1)
    assert header.encode() == bytes.fromhex("00000000 01020304 00000001")
    assert VfioHeader.decode(header.encode() + b"data") == header


def test_a_payload_shorter_than_its_header_is_refused() -> None:
    with pytest.raises(WireError, match=r"packet too short at 8 \(min is 12\)"):
        VfioHeader.decode(bytes(8))
    assert VfioHeader.decode(bytes(12)) == VfioHeader(0, 0, 0), "a header and no data"


def test_which_marks_end_a_section() -> None:
    assert {mark for mark, word in WORDS.items() if word.follows == "end"} == {
        END_OF_STATE,
        INIT_DATA_SENT,
        CONFIG_LOAD_READY,
    }


@pytest.mark.parametrize("config", [b"", b"any bytes", END_OF_STATE.to_bytes(8)])
def test_a_config_state_stands_between_its_marks(config: bytes) -> None:
    assert unwrap_config(wrap_config(config)) == config


BEGIN, END = wrap_config(b"")[:8], wrap_config(b"")[8:]


@pytest.mark.parametrize(
    "payload",
    [b"", BEGIN, BEGIN + END[:-1], BEGIN[1:] + END, bytes(16), BEGIN + bytes(100), bytes(100) + END],
)
def test_a_config_state_without_its_marks_is_refused(payload: bytes) -> None:
    with pytest.raises(WireError, match="between its marks"):
        unwrap_config(payload)


def test_the_plain_pci_form_is_292_bytes() -> None:
    state = PciConfigState(bytes(range(256)), bytes(15) + b"\1")
    assert len(encode_config_state(state)) == 292
    assert decode_config_state(encode_config_state(state)) == state


def test_another_form_is_not_taken_for_the_plain_one() -> None:
    with pytest.raises(WireError, match="276 bytes between its marks, not 4116"):
        decode_config_state(wrap_config(bytes(4116)))
    with pytest.raises(WireError, match="255 and 16"):
        encode_config_state(PciConfigState(bytes(255)))
