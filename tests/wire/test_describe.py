from __future__ import annotations

import json
from typing import TYPE_CHECKING

from migemu.wire import records as r
from migemu.wire.describe import describe
from migemu.wire.hello import HELLO_SIZE
from migemu.wire.returnpath import PONG, Message

if TYPE_CHECKING:
    from wire.conftest import Captured, Drive


def test_every_recorded_item_can_be_told_as_json(
    captured: Captured, device_state: bytes, drive: Drive
) -> None:
    files = captured("qemu-10.0-none-2ch")
    items = [*drive.records(files["main.bin"]), *drive.packets(files["mfd0.bin"][HELLO_SIZE:])]
    told = [json.loads(json.dumps(describe(item))) for item in [*items, *drive.packets(device_state)]]
    assert told[0] == {"record": "FileHeader", "version": 3}
    assert told[1] == {"record": "Configuration", "machine": "none"}
    assert told[3]["blocks"] == [{"id": "ram0", "used_length": 1 << 20}]
    sync = next(item for item in told if item["record"] == "RamPacket")
    assert (sync["flag_names"], sync["packet_num"]) == (["SYNC"], 0)
    assert told[-1]["data"]["bytes"] == 292
    assert told[-1]["data"]["head"] == "ffffffffef1000020000000236" + "1b9900"
    assert (told[-1]["device"], told[-1]["idx"], told[-1]["config"]) == ("0000:00:01.0/vfio", 3, True)


def test_numbers_are_told_with_their_names() -> None:
    assert describe(r.Command(11, b""))["name"] == "SWITCHOVER_START"
    assert describe(Message(PONG, bytes(4)))["name"] == "PONG"
    word = describe(r.VfioWord(r.Section("0000:00:01.0/vfio"), 0xFFFFFFFFEF100006))
    assert word == {
        "record": "VfioWord",
        "section": {"idstr": "0000:00:01.0/vfio", "instance": 0},
        "word": "0xffffffffef100006",
        "name": "CONFIG_LOAD_READY",
    }


def test_short_payloads_are_told_whole() -> None:
    assert describe(r.Opaque(r.Section("timer"), b"\1\2"))["data"] == {"bytes": 2, "hex": "0102"}
