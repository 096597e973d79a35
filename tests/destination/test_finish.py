"""What a source says of its digests is read for what it is: anything else matches nothing."""

from __future__ import annotations

from typing import Any

import pytest

from migemu.destination.finish import decode_devices

MINE = {"data": "aa", "config": "bb"}


@pytest.mark.parametrize("devices", [None, [], "0000:00:01.0/vfio", 7, True])
def test_devices_that_are_no_table_are_none(devices: Any) -> None:
    assert decode_devices({"devices": devices}) == {}
    assert decode_devices({}) == {}


def test_a_device_of_another_form_is_left_out_and_the_others_are_read() -> None:
    said: dict[str, Any] = {"a/vfio": MINE, "b/vfio": "aa", "c/vfio": None, "d/vfio": ["data"]}
    assert decode_devices({"devices": said}) == {"a/vfio": MINE}
