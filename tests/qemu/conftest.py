"""A make-believe device spoken to as QEMU's VFIO code would, and the QEMUs of this machine."""

from __future__ import annotations

import ctypes
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from migemu.qemu import binary, shim
from migemu.qemu.standin import DeviceFile, StandIn
from migemu.vfio.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GET, SET, PROBE = 1 << 16, 1 << 17, 1 << 18
CONFIG_REGION = 7 << 40
"""Offset of the PCI config space in a device fd."""


def request(number: int) -> int:
    """A VFIO ioctl's number."""
    return (ord(";") << 8) | (100 + number)


class Client:
    """What a VMM does with a VFIO device, through the shim's own entry points."""

    def __init__(self, library: Path, standin: StandIn) -> None:
        self.libc = ctypes.CDLL(str(library), use_errno=True)
        self.libc.read.restype = self.libc.write.restype = ctypes.c_ssize_t
        self.libc.pread.restype = self.libc.pwrite.restype = ctypes.c_ssize_t
        self.libc.pread.argtypes = self.libc.pwrite.argtypes = [
            *(ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int64)
        ]
        self.standin = standin
        self.fds: list[int] = []
        self.container = self.check(self.libc.open(b"/dev/vfio/vfio", os.O_RDWR))
        self.group = self.check(self.libc.open(b"/dev/vfio/0", os.O_RDWR))
        self.fds += [self.container, self.group]

    def check(self, result: int) -> int:
        if result < 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return result

    def ioctl(self, fd: int, number: int, *fields: int | bytes) -> bytes:
        """Call with a struct of 32-bit words, or bytes as they are; the struct afterwards."""
        given = b"".join(f if isinstance(f, bytes) else f.to_bytes(4, "little") for f in fields)
        struct = ctypes.create_string_buffer(given, len(given))
        self.result = self.check(self.libc.ioctl(fd, ctypes.c_ulong(request(number)), struct))
        return struct.raw

    def device(self, number: int = 0) -> int:
        """A device's fd, found by its name."""
        self.ioctl(self.group, 6, self.standin.sysfsdev(number).name.encode() + b"\0")
        self.fds.append(self.result)
        return self.result

    def feature(self, device: int, flags: int, data: bytes = bytes(8)) -> bytes:
        return self.ioctl(device, 17, 8 + len(data), flags, data)[8:]

    def move(self, device: int, state: State) -> int:
        """Go to `state`; the data fd that came of it, or -1."""
        answer = self.feature(device, SET | 2, state.number.to_bytes(4, "little") + bytes(4))
        return int.from_bytes(answer[4:8], "little", signed=True)

    def state(self, device: int) -> State:
        return list(State)[int.from_bytes(self.feature(device, GET | 2)[:4], "little")]

    def read(self, fd: int, size: int) -> bytes:
        buffer = ctypes.create_string_buffer(size)
        got = self.check(self.libc.read(fd, buffer, ctypes.c_size_t(size)))
        return buffer.raw[:got]

    def read_all(self, fd: int, size: int = 1 << 20) -> bytes:
        return b"".join(iter(lambda: self.read(fd, size), b""))

    def write_all(self, fd: int, data: bytes) -> list[int]:
        """Write all of it; how much each call took."""
        took: list[int] = []
        while sum(took) < len(data):
            rest = data[sum(took) :]
            took.append(self.check(self.libc.write(fd, rest, ctypes.c_size_t(len(rest)))))
        return took

    def config(self, device: int, offset: int, size: int) -> bytes:
        buffer = ctypes.create_string_buffer(size)
        self.check(self.libc.pread(device, buffer, size, CONFIG_REGION + offset))
        return buffer.raw

    def write_config(self, device: int, offset: int, data: bytes) -> None:
        self.check(self.libc.pwrite(device, data, len(data), CONFIG_REGION + offset))

    def close(self, fd: int) -> None:
        self.check(self.libc.close(fd))

    def told(self, event: str) -> list[dict[str, Any]]:
        return [told for told in self.standin.events() if told["event"] == event]


@pytest.fixture(scope="session")
def library() -> Path:
    if shim.compiler() is None:
        pytest.skip("no C compiler: the VFIO shim cannot be built")
    return shim.build()


@pytest.fixture
def client(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Client]]:
    """Make a client of devices; each of one test's clients is its own, as if in a process of its own."""
    clients: list[Client] = []

    def make(**device: Any) -> Client:
        number = len(clients)
        standin = StandIn(tmp_path / f"vfio{number}", [DeviceFile(section="0000:00:01.0/vfio", **device)])
        monkeypatch.setenv("MIGEMU_VFIO_DIR", str(standin.folder))
        own = shutil.copy(library, tmp_path / f"shim{number}.so")  # another inode is another set of statics
        clients.append(Client(Path(own), standin))
        return clients[-1]

    yield make
    for one in clients:
        for fd in one.fds:
            one.libc.close(fd)


@pytest.fixture
def refused() -> Callable[[int], Any]:
    """Expect an errno: ``with refused(errno.EIO): ...``."""
    return lambda number: pytest.raises(OSError, match=os.strerror(number))


ANY_QEMU = binary.find_all()
VFIO_QEMUS = [one for one in ANY_QEMU if one.version >= binary.VFIO_MULTIFD]
HOW = "run tests/qemu/get-qemu.sh"


@pytest.fixture(scope="session")
def any_qemu() -> binary.Launcher:
    if not ANY_QEMU:
        pytest.skip(f"no QEMU: install qemu-system-x86, or {HOW}")
    return ANY_QEMU[0]


@pytest.fixture(scope="session")
def vfio_qemu(library: Path) -> binary.Launcher:
    """The oldest QEMU with VFIO device state over multifd."""
    if not VFIO_QEMUS:
        pytest.skip(f"no QEMU >= 10: {HOW}")
    return VFIO_QEMUS[-1]


@pytest.fixture(scope="session")
def vfio_qemus(vfio_qemu: binary.Launcher) -> tuple[binary.Launcher, binary.Launcher]:
    """The newest and the oldest of them, of different versions."""
    if VFIO_QEMUS[0].version == vfio_qemu.version:
        pytest.skip("two versions of QEMU >= 10 are needed: MIGEMU_QEMU_SUITE=sid " + HOW)
    return VFIO_QEMUS[0], vfio_qemu
