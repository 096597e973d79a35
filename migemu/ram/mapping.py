"""Where guest pages live: anonymous memory, with a user's file laid privately over its start.

RAM is one anonymous mapping. Unlike shared memory it stays free of charge where it is only read. The first
touch of a page, a fault and 4 KiB to zero, costs more than the copy into it, so it can be paid in advance
(`populate`). Huge pages are not asked for: they can halve that cost, but in a virtual machine they often come
from memory its host has yet to find, and one run in three then took five times as long.

A file is mapped over that memory with ``MAP_PRIVATE | MAP_FIXED``: its pages are read when they are first
touched, they can be dropped again while clean, and writes stay in this process. Python's ``mmap`` offers no
``MAP_FIXED``, hence the call through ctypes. The file must keep its size while it is mapped: pages cut off
by a truncation raise SIGBUS in whoever touches them, as with any mapped file.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import stat
from typing import TYPE_CHECKING

import numpy as np

from migemu.errors import ConfigError
from migemu.scenario.units import format_size

if TYPE_CHECKING:
    from pathlib import Path

MAP_FIXED = 0x10
"""``mmap(2)``: replace what is mapped there; the same value on every Linux architecture migemu can meet."""

MADV_POPULATE_WRITE = 23
"""``madvise(2)``, Linux 5.14: fault pages in for writing; Python's ``mmap`` does not name it."""

_POPULATE_STEP = 32 << 20

_MAP_FAILED = ctypes.c_void_p(-1).value


def anonymous(size: int) -> mmap.mmap:
    """`size` bytes (more than 0) of zeroed memory, taken from the machine page by page as it is touched.

    Raises:
        ConfigError: the machine cannot map that much.
    """
    try:
        return mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except (OSError, OverflowError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"guest RAM of {format_size(size)} cannot be mapped: {why}; ask for less") from None


def populate(memory: mmap.mmap) -> None:
    """Take all of `memory` from the machine now; on a kernel that cannot, it is taken as it is touched.

    In steps, because the call keeps the interpreter to itself.
    """
    with contextlib.suppress(OSError):
        for start in range(0, len(memory), _POPULATE_STEP):
            memory.madvise(MADV_POPULATE_WRITE, start, min(_POPULATE_STEP, len(memory) - start))


def file_size(path: Path) -> int:
    """Bytes of the regular file at `path`.

    Raises:
        ConfigError: not there, or not a regular file (a pipe or a device has no size to map).
    """
    try:
        found = path.stat()
    except OSError as error:
        raise ConfigError(f"RAM file {path}: {error.strerror}") from None
    if not stat.S_ISREG(found.st_mode):
        raise ConfigError(f"RAM file {path} is not a regular file; copy it into one first")
    return found.st_size


def overlay(memory: mmap.mmap, path: Path, size: int) -> None:
    """Lay the first `size` bytes of `path` over the start of `memory`, privately.

    Whole pages of the machine are mapped. The rest of the file, less than one of them, is copied, because a
    mapping covers whole pages and what follows the file in `memory` is to stay zero.

    Raises:
        ConfigError: the file cannot be opened, or got shorter since `size` was read.
    """
    mapped = size - size % mmap.PAGESIZE
    try:
        with path.open("rb", buffering=0) as file:
            if mapped:
                _map_fixed(memory, mapped, file.fileno())
            tail = os.pread(file.fileno(), size - mapped, mapped)
    except OSError as error:
        raise ConfigError(f"RAM file {path}: {error.strerror}") from None
    if len(tail) != size - mapped:
        raise ConfigError(f"RAM file {path} got shorter while it was opened; leave it alone during a run")
    memory[mapped:size] = tail


def _map_fixed(memory: mmap.mmap, size: int, fd: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_int64]
    address = np.frombuffer(memory, np.uint8).ctypes.data
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    if libc.mmap(address, size, protection, mmap.MAP_PRIVATE | MAP_FIXED, fd, 0) == _MAP_FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
