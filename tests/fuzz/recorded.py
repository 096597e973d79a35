"""A whole destination fed with a migration that a real QEMU sent, and with ways to spoil it."""

from __future__ import annotations

import lzma
import tarfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fuzz.destination import LIMITS, QUEUE, Fed, Outcome, play
from fuzz.tape import Input, apply
from migemu.handoff.machine_types import machine_type
from migemu.qemu.peer import Opening
from migemu.qemu.receive_ack import Acks
from migemu.qemu.receive_core import QemuCore, QemuFinish, QemuPlan
from migemu.qemu.receive_devices import Devices, Gathering, chosen
from migemu.qemu.receive_incoming import QemuIncoming
from migemu.qemu.receive_pages import in_runs
from migemu.ram import GuestRam
from migemu.scenario import loads
from migemu.vfio.slots import BufferLimits
from migemu.wire.buffers import HeapPool
from migemu.wire.hello import HELLO_SIZE
from migemu.wire.mainreader import MainReader

if TYPE_CHECKING:
    from collections.abc import Iterable

    from fuzz.tape import Streams

CAPTURES: Final = Path(__file__).resolve().parents[1] / "captures"
NAMES: Final = ("qemu-10.0-none-2ch", "qemu-7.2-none-2ch", "qemu-10.0-none-0ch", "qemu-7.2-none-0ch")
SCENARIO: Final = loads("")


@cache
def recorded(name: str) -> Streams:
    """The main channel of a recording, then its multifd channels behind their hellos."""
    with tarfile.open(CAPTURES / f"{name}.tar.xz") as archive:
        files = {Path(one.name).name: _content(archive, one) for one in archive if one.name.endswith(".bin")}
    channels = sorted(file for file in files if file.startswith("mfd"))
    return files["main.bin"], *(files[channel][HELLO_SIZE:] for channel in channels)


def _content(archive: tarfile.TarFile, one: tarfile.TarInfo) -> bytes:
    file = archive.extractfile(one)
    assert file is not None
    return file.read()


@cache
def device_packets() -> bytes:
    """DEVICE_STATE packets as a QEMU sent them."""
    return lzma.open(CAPTURES / "qemu-10.0-device-state.bin.xz").read()


@cache
def opening(name: str) -> Opening:
    """What the recording says of its source."""
    said = Opening()
    said.take(MainReader(HeapPool(keep=0), LIMITS).feed(recorded(name)[0]))
    return said


class FromQemu(Fed):
    """The destination that such a source would meet."""

    name = NAMES[0]

    def make_core(self) -> QemuCore:
        """What is fed."""
        return QemuCore(self._qemu_plan(opening(self.name)), lambda _: None, self.release)

    def _qemu_plan(self, said: Opening) -> QemuPlan:
        devices, channels = Devices(SCENARIO, self.threads), len(self.streams) - 1
        return QemuPlan(
            threads=self.threads,
            channels=channels,
            machine_name=said.machine,
            handoff=Gathering,
            ram=GuestRam([(block.id, block.used_length) for block in said.blocks]),
            platform=devices.platform,
            patience=5.0,
            limits=BufferLimits(queue_bytes=QUEUE, slots=1024),
            flow=None,
            interrupt_controller_load_time=0.0,
            devices=lambda _: [],
            max_commands=1000,
            incoming=QemuIncoming,
            finish=QemuFinish,
            flush_word=said.flush or not channels,
            acks=Acks(machine_type(said.machine), wanted=False),
            make_device=devices.make,
            choose=lambda multifd: chosen(SCENARIO.handoff, said.machine, multifd=multifd),
            check=lambda _: [],
        )

    def handed_on(self, records: list[Any]) -> Iterable[Any]:
        """Pages that follow each other as one."""
        return in_runs(records)


KINDS: Final = [type(name, (FromQemu,), {"name": name}) for name in NAMES]


def play_spoiled(data: bytes) -> Outcome:
    """A recording with what `data` asks for done to it: the first byte says which one, and its turns."""
    first = data[0] if data else 0
    turns = (first >> 2) % 16
    kind = KINDS[first % 4]
    wanted = Input(apply(recorded(NAMES[first % 4]), data[1 + turns :]), data[1 : 1 + turns])
    return play(*wanted, kind=kind)
