"""Injected failures of a data fd, between a device and its real source or sink (the fields of ``Faults``)."""

from __future__ import annotations

import errno
import os
import random
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from migemu.vfio.content import Span
    from migemu.vfio.model import Faults
    from migemu.vfio.pace import Sleeper
    from migemu.vfio.sinks import Sink


class FaultySink:
    """A sink that fails as told.

    Args:
        sink: the real one.
        faults: what to do.
        seed: of the random prefixes.
        sleeper: sleeps through a stall.
    """

    def __init__(self, sink: Sink, faults: Faults, seed: int, sleeper: Sleeper) -> None:
        self._sink = sink
        self._faults = faults
        self._seed = seed
        self._sleeper = sleeper
        self._offset = 0
        self._stalled = False

    def write(self, span: Span) -> int:
        """Write a prefix, after the stall and unless the error is due."""
        self._stall(len(span))
        self._fail(len(span))
        count = self._sink.write(self._prefix(span))
        self._offset += count
        return count

    def commit(self) -> None:
        """As the real sink."""
        self._sink.commit()

    def reset(self) -> None:
        """As the real sink; a reset does not mend the device: an error or a stall comes again."""
        self._sink.reset()
        self._offset = 0
        self._stalled = False

    def close(self) -> None:
        """As the real sink."""
        self._sink.close()

    def _stall(self, size: int) -> None:
        if not self._stalled and self._reached(self._faults.stall_at, size):
            self._stalled = True
            self._sleeper.sleep(self._faults.stall_time)

    def _fail(self, size: int) -> None:
        if self._reached(self._faults.write_error_at, size):
            raise OSError(errno.EIO, os.strerror(errno.EIO))

    def _reached(self, at: int | None, size: int) -> bool:
        return at is not None and self._offset + size > at

    def _prefix(self, span: Span) -> Span:
        if not self._faults.partial_writes or len(span) < 2:
            return span
        return span[: self._rng.randint(1, len(span))]

    @cached_property
    def _rng(self) -> random.Random:
        """Made when it is wanted: seeding takes longer than a small device's whole life in an exploration."""
        return random.Random(self._seed)  # noqa: S311 - repeatable faults, not secrets


class ShortReads:
    """Cuts the sizes of reads to seeded random ones when ``read_partial`` is on."""

    def __init__(self, faults: Faults, seed: int) -> None:
        self._on = faults.read_partial
        self._rng = random.Random(seed)  # noqa: S311 - repeatable faults, not secrets

    def cut(self, size: int) -> int:
        """At least 1 and at most `size` bytes, when `size` is not 0."""
        return self._rng.randint(1, size) if self._on and size > 1 else size
