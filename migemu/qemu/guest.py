"""A guest of a few bytes: what runs in a QEMU that is migrated for the sake of the migration.

A firmware image made here, so that no foreign firmware runs, writes to RAM that is to be compared, or ends
up in a recording. Two guests: one halts at once (it is *running* as far as QEMU and its devices go, costs no
processor time, and never touches RAM), the other writes to page after page of a working set at a given pace.

The writing guest takes its orders from one page of RAM, the mailbox, that the host sees too:

====== ==== ===============================================================
offset size meaning
====== ==== ===============================================================
0      8    the guest's time stamp counter, while it writes nothing else
8      4    address of the working set's first byte
12     4    address after its last byte
16     4    ticks of that counter from one page to the next; 0: write nothing
20     4    pages written so far, modulo 2**32
====== ==== ===============================================================

After a migration the writing guest must not change the RAM that is compared, although it runs at once. It
asks the processor which one it is (CPUID's stepping, which is no part of a machine's state) and adds 1 to a
page on the source's, 0 on any other. Asking and adding is one translation block, which TCG never stops in the
middle.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from migemu.errors import ConfigError, PeerTimeoutError
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

START_LIMIT: Final = 10.0
"""Seconds a guest is given to begin."""

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
    "833d1010000000 744f"  # 06 next: if [ticks] is 0 go to idle
    "0f31 89c1 29f9"  # 0f rdtsc; ecx = eax - edi: ticks since the last page was due
    "81f900000040 734e"  # 15 if 2**30 or more go to begin: never mind what was missed
    "3b0d10100000 724e"  # 1d if less than [ticks] go to pause
    "033d10100000 eb00"  # 25 edi += [ticks]; a jump, so that a translation block begins here
    "b801000000 0fa2 83e00f"  # 2d eax = stepping of the processor
    "83f801 0f94c0 0fb6c0"  # 37 eax = 1 if it is the source's, else 0
    "0106 010514100000"  # 40 [esi] += eax; [count] += eax
    "81c600100000"  # 48 esi += 4096
    "3b350c100000 72b0"  # 4e if below [end] go to next
    "8b3508100000 eba8"  # 56 esi = [first]; go to next
    "0f31 a300100000 891504100000"  # 5e idle: rdtsc; [counter] = edx:eax
    "89c7 8b3508100000"  # 6b begin: edi = eax; esi = [first]
    "f390 eb8f"  # 73 pause; go to next
)
"""32-bit code: write to a page whenever one is due."""

_SOURCE_STEPPING: Final = 1
"""The stepping of the processor on which the guest writes; 37 above compares with it."""


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


def firmware(path: Path, *, writes: bool, source: bool = True) -> list[str]:
    """QEMU's options for that guest; the image is put at `path`."""
    path.write_bytes(rom(writes=writes))
    stepping = _SOURCE_STEPPING if source else _SOURCE_STEPPING + 1
    return ["-bios", str(path), "-cpu", f"qemu64,stepping={stepping}"]


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
        """The low half of its time stamp counter, as it last said; it stands while the guest writes."""
        return int(self._words[0])

    def run_at(self, rate: float, threads: Threads, sample: float = 0.05) -> None:
        """Let the running guest dirty `rate` bytes a second, in whole pages; 0 stops it.

        How fast its counter ticks is measured first, for `sample` seconds.

        Raises:
            ConfigError: the pace is slower or faster than the counter can measure.
            PeerTimeoutError: the guest does not run.
        """
        self.stop()
        if rate <= 0:
            return
        self._settle(threads)
        begin, ticks = threads.now(), self.counter()
        threads.sleep(sample)
        passed = (self.counter() - ticks) % 2**32
        per_page = round(passed / (threads.now() - begin) * PAGE / rate)
        if not 0 < per_page < 2**30:
            raise ConfigError(f"a guest cannot be paced to dirty {rate:g} bytes a second")
        self._words[4] = per_page

    def _settle(self, threads: Threads) -> None:
        """Wait until the guest's counter moves: it runs, and heard that it is to stop."""
        seen, end = self.counter(), threads.now() + START_LIMIT
        while self.counter() == seen:
            if threads.now() > end:
                raise PeerTimeoutError(f"the guest did not run within {START_LIMIT:g} s", side="source")
            threads.sleep(0.001)

    def stop(self) -> None:
        """Let it write no more."""
        self._words[4] = 0
