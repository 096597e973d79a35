"""A guest of a few bytes: what runs in a QEMU that is migrated for the sake of the migration.

A firmware image made here, so that no foreign firmware runs, writes to RAM that is to be compared, or ends up
in a recording. Two guests: one halts at once (it is *running* as far as QEMU and its devices go, costs no
processor time, and never touches RAM), the other writes to page after page of a working set at a given pace.

The writing guest takes its orders from one page of RAM, the mailbox, that the host sees too:

====== ==== =======================================================================
offset size meaning
====== ==== =======================================================================
0      8    the guest's time stamp counter, written all the time
8      4    address of the working set's first byte
12     4    address after its last byte
16     4    ticks of that counter from one page to the next; 0: write nothing
20     4    pages written so far, modulo 2**32
====== ==== =======================================================================
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from migemu.errors import ConfigError
from migemu.qemu.memory import PAGE

if TYPE_CHECKING:
    from pathlib import Path

    from migemu.qemu.memory import SharedRam
    from migemu.threads.api import Threads

ROM_SIZE: Final = 64 * 1024
"""The smallest image QEMU's PC machines take."""

MAILBOX: Final = 0x1000
"""Guest physical address of the mailbox."""

FIRST_PAGE: Final = 0x100000
"""Guest physical address from which a working set may begin: above video memory and ROMs."""

_ROM_BASE: Final = 2**32 - ROM_SIZE
"""Where the image is in the guest's physical memory: its last 16 bytes are the reset vector."""

_FLAT, _TABLE, _RESET = 0x100, 0x800, 0xFFF0
"""Offsets in the image: 32-bit code, segment table, first instruction."""

_HALT: Final = bytes.fromhex("fa f4 ebfd")
"""cli; hlt; and again."""

_PROTECT: Final = bytes.fromhex(
    "fa"  # cli
    "66 2e0f0116 1808"  # lgdt cs:[_TABLE + 24]
    "0f20c0 6683c801 0f22c0"  # set the protection bit in cr0
    "66ea 0001ffff 0800"  # jump to _FLAT through segment 8
)
"""16-bit code at the image's start: into flat 32-bit mode."""

_SEGMENTS: Final = struct.pack(
    "<QQQHI",
    0,
    0x00CF9A000000FFFF,  # 0x08: code, all of 4 GiB
    0x00CF92000000FFFF,  # 0x10: data, all of 4 GiB
    23,  # the table's limit ...
    _ROM_BASE + _TABLE,  # ... and address, for lgdt
)

_WRITE: Final = bytes.fromhex(
    "66b81000 8ed8"  # 00 mov ax, 0x10; mov ds, ax
    "8b1d08100000"  # 06 mov ebx, [first]
    "0f31"  # 0c next: rdtsc
    "a300100000 891504100000"  # 0e mov [counter], edx:eax
    "833d1010000000 7438"  # 19 if [ticks] is 0 go to begin
    "89c1 29f9"  # 22 ecx = eax - edi: ticks since the last page was due
    "81f900000040 732c"  # 26 if more than 2**30 go to begin: never mind what was missed
    "3b0d10100000 722c"  # 2e if less than [ticks] go to pause
    "033d10100000"  # 36 edi += [ticks]
    "ff03 ff0514100000"  # 3c inc [ebx]; inc [count]
    "81c300100000"  # 44 ebx += 4096
    "3b1d0c100000 72ba"  # 4a if below [end] go to next
    "8b1d08100000 ebb2"  # 52 mov ebx, [first]; go to next
    "89c7 8b1d08100000"  # 5a begin: edi = eax; mov ebx, [first]
    "f390 eba6"  # 62 pause; go to next
)
"""32-bit code: write to a page whenever one is due."""


def rom(*, writes: bool) -> bytes:
    """The firmware image of the guest that `writes`, or of the one that halts."""
    image = bytearray(b"\xf4" * ROM_SIZE)
    image[_RESET : _RESET + 3] = b"\xe9" + struct.pack("<h", ROM_SIZE - _RESET - 3)  # jump to the start
    if writes:
        image[: len(_PROTECT)] = _PROTECT
        image[_FLAT : _FLAT + len(_WRITE)] = _WRITE
        image[_TABLE : _TABLE + len(_SEGMENTS)] = _SEGMENTS
    else:
        image[: len(_HALT)] = _HALT
    return bytes(image)


def firmware(path: Path, *, writes: bool) -> list[str]:
    """QEMU's option for that guest; the image is put at `path`."""
    path.write_bytes(rom(writes=writes))
    return ["-bios", str(path)]


class Writer:
    """The host's hand on the writing guest.

    Args:
        ram: its memory.
        working_set: bytes it writes to, whole pages; None: all above the first MiB.

    Raises:
        ConfigError: the working set does not fit.
    """

    def __init__(self, ram: SharedRam, working_set: int | None = None) -> None:
        room = ram.size - FIRST_PAGE
        size = room if working_set is None else working_set // PAGE * PAGE
        if not 0 < size <= room:
            raise ConfigError(f"a working set of {size} bytes does not fit above the first MiB of guest RAM")
        self._words = ram.words.view("<u4").reshape(-1)[MAILBOX // 4 : MAILBOX // 4 + 6]
        self._words[:] = (0, 0, FIRST_PAGE, FIRST_PAGE + size, 0, 0)

    def pages(self) -> int:
        """How many pages it has written, modulo 2**32."""
        return int(self._words[5])

    def counter(self) -> int:
        """The low half of its time stamp counter, as it last said."""
        return int(self._words[0])

    def run_at(self, rate: float, threads: Threads, sample: float = 0.05) -> None:
        """Let the running guest dirty `rate` bytes a second, in whole pages; 0 stops it.

        How fast its counter ticks is measured first, for `sample` seconds.

        Raises:
            ConfigError: the pace is slower or faster than the counter can measure.
        """
        if rate <= 0:
            self._words[4] = 0
            return
        begin, ticks = threads.now(), self.counter()
        threads.sleep(sample)
        passed = (self.counter() - ticks) % 2**32
        per_page = round(passed / (threads.now() - begin) * PAGE / rate)
        if not 0 < per_page < 2**30:
            raise ConfigError(f"a guest cannot be paced to dirty {rate:g} bytes a second")
        self._words[4] = per_page

    def stop(self) -> None:
        """Let it write no more."""
        self._words[4] = 0
