"""The pieces of the receiving side, each by itself: acks, device sections, page runs, what is compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from migemu.errors import ConfigError, UsageError, WireError
from migemu.handoff.machine_types import machine_type
from migemu.qemu import receive_check as check
from migemu.qemu.receive_ack import Acks
from migemu.qemu.receive_keep import file_name
from migemu.qemu.receive_pages import PageRun, in_runs
from migemu.qemu.receive_tail import device_body, is_vfio, runstate
from migemu.ram import GuestRam, PageDigests, RamLoad
from migemu.wire import mainwriter
from migemu.wire import records as r
from migemu.wire.buffers import Buffer
from migemu.wire.tail import TailSection
from migemu.wire.vfio import CONFIG_LOAD_READY, END_OF_STATE, wrap_config

if TYPE_CHECKING:
    from pathlib import Path

RAM = r.Section("ram")


def acks(machine: str, *, wanted: bool = True) -> Acks:
    return Acks(machine_type(machine), wanted=wanted)


def test_the_newer_dialect_acknowledges_each_device_at_once() -> None:
    mine = acks("pc-q35-11.1")
    mine.part("a")
    mine.part("b")
    assert [mine.initial_data("a"), mine.round_begins(), mine.initial_data("b")] == [True, False, True]


def test_the_older_dialect_acknowledges_once_when_all_have_asked() -> None:
    mine = acks("pc-q35-11.0", wanted=False)
    assert mine.round_begins() is False
    mine.part("a")
    assert mine.initial_data("a") is False
    mine.part("b")
    assert mine.round_begins() is False  # b is in pre-copy and has not asked
    mine.part("b")
    assert mine.initial_data("b") is False
    assert [mine.round_begins(), mine.round_begins()] == [True, False]


def test_where_no_device_asks_only_the_setting_tells_that_an_ack_is_waited_for() -> None:
    asked, silent = acks("10.0"), acks("10.0", wanted=False)
    assert [asked.round_begins(), asked.round_begins(), asked.round_begins()] == [False, True, False]
    assert [silent.round_begins(), silent.round_begins()] == [False, False]


def test_initial_data_twice_is_no_qemu() -> None:
    mine = acks("10.0")
    mine.initial_data("a")
    with pytest.raises(WireError, match="unexpected INIT_DATA_SENT"):
        mine.initial_data("a")


def section(data: bytes) -> TailSection:
    return TailSection(40, "0000:00:01.0/vfio", 0, 1, data, footer=True)


def test_a_vfio_section_of_the_tail_holds_a_config_or_one_word() -> None:
    assert device_body(section(wrap_config(b"pci"))) == (b"pci", False)
    assert device_body(section(mainwriter.vfio_word(END_OF_STATE))) == (None, False)
    assert device_body(section(mainwriter.vfio_word(CONFIG_LOAD_READY))) == (None, True)
    with pytest.raises(WireError, match="a VFIO section of 16 bytes"):
        device_body(section(mainwriter.vfio_word(END_OF_STATE) * 2))


def test_names_of_sections_and_states() -> None:
    assert [is_vfio(name) for name in ("0000:00:01.0/vfio", "vfio", "ram", "x/vfiox")] == [
        True,
        True,
        False,
        False,
    ]
    assert runstate(b"\0\0\0\x08" + b"running".ljust(100, b"\0")) == "running"
    assert file_name("/rom@etc/acpi/tables") == "_rom@etc_acpi_tables"


def page(offset: int, fill: int) -> r.RamPage:
    data = Buffer(memoryview(bytearray([fill]) * 4096), lambda: None)
    return r.RamPage(RAM, "ram0", offset, data)


def test_pages_that_follow_each_other_go_over_as_one_and_land_in_their_order() -> None:
    zero = r.RamZero(RAM, "ram0", 0)
    records: list[r.Record] = [r.SectionPart(2), page(0, 1), page(4096, 2), zero, r.RamEos(RAM)]
    runs = list(in_runs([*records, page(8192, 3)]))
    assert [type(one).__name__ for one in runs] == ["SectionPart", "PageRun", "RamEos", "PageRun"]
    ram = GuestRam([("ram0", 3 * 4096)])
    load = RamLoad(ram, PageDigests(3, "destination"))
    for run in runs:
        if isinstance(run, PageRun):
            run.load(load)
    assert [int(first) for first in ram.pages[:, 0]] == [0, 2, 3]


def ram_of(fill: int) -> GuestRam:
    ram = GuestRam([("rom", 4096), ("ram0", 3 * 4096)])
    ram.pages[1:] = fill
    return ram


def test_ram_is_compared_with_a_file_page_by_page(tmp_path: Path) -> None:
    file = tmp_path / "mem"
    file.write_bytes(b"\x07" * 5 * 4096)  # longer than the block: a backend may be
    ram = ram_of(7)
    assert check.check_ram(ram, file).ok
    ram.pages[3, 100] ^= 1
    verdict = check.check_ram(ram, file, "ram0")
    assert (verdict.ok, verdict.detail) == (False, "block ram0: 1 pages differ, the first at 0x2000")


def test_what_cannot_be_compared_is_said(tmp_path: Path) -> None:
    short = tmp_path / "short"
    short.write_bytes(b"x")
    with pytest.raises(UsageError, match="has 1 bytes, RAM block ram0 12288"):
        check.check_ram(ram_of(1), short)
    with pytest.raises(UsageError, match=r"no RAM block pc\.ram; the source has rom, ram0"):
        check.check_ram(ram_of(1), short, "pc.ram")
    with pytest.raises(ConfigError, match="No such file"):
        check.check_ram(ram_of(1), tmp_path / "none")


def model(folder: Path, **settings: object) -> Path:
    path = folder / "devices/device0/model.ini"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{key} = {value}\n" for key, value in settings.items()))
    return path


def test_a_make_believe_device_s_bytes_are_made_again_from_its_file(tmp_path: Path) -> None:
    content = check.Content(model(tmp_path, section="s", seed=0xFF00, state_size=20))
    assert content.section == "s"
    made = b"".join(bytes(piece) for piece in content.pieces(20))
    assert made == b"".join((offset ^ 0xFF00).to_bytes(8, "little") for offset in (0, 8, 16))[:20]
    state = tmp_path / "state"
    state.write_bytes(b"state")
    content = check.Content(model(tmp_path, section="s", seed=1, state_file=state))
    pieces = b"".join(bytes(piece) for piece in content.pieces(8 + 5))  # 8 pre-copy bytes before it
    assert (content.least(), pieces) == (5, (0 ^ 1).to_bytes(8, "little") + b"state")


def test_pieces_join_without_a_seam(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check, "PIECE", 64)
    content = check.Content(model(tmp_path, section="s", seed=5, state_size=1000))
    words = np.frombuffer(b"".join(bytes(piece) for piece in content.pieces(1000)), "<u8")
    assert (words == np.arange(0, 1000, 8, dtype=np.uint64) ^ np.uint64(5)).all()


def test_a_folder_without_devices_is_no_stand_in(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="holds no make-believe devices"):
        check.contents(tmp_path)
    model(tmp_path, seed=1)
    with pytest.raises(ConfigError, match="does not describe a device"):
        check.contents(tmp_path)
