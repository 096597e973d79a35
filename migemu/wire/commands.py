"""Reading a COMMAND: which ones there are, and how long each may be, is a table."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final

from migemu.errors import WireError
from migemu.wire import mainstream as ms
from migemu.wire.records import Command

if TYPE_CHECKING:
    from collections.abc import Generator

    from migemu.wire.intake import Intake
    from migemu.wire.limits import WireLimits

COMMAND_HEAD: Final = struct.Struct(">BHH")
INSIDE: Final = "a command"


def read_command(intake: Intake, limits: WireLimits) -> Generator[str, None, Command]:
    """Read the command whose record byte is the next one.

    Raises:
        WireError: unknown, or of a length it does not have; known before its data has come.
        LimitError: longer than allowed.
    """
    while intake.waiting() < COMMAND_HEAD.size:
        yield INSIDE
    _, number, length = COMMAND_HEAD.unpack_from(intake.view, intake.start)
    _check(number, length, limits)
    while intake.waiting() < COMMAND_HEAD.size + length:
        yield INSIDE
    intake.start += COMMAND_HEAD.size
    return Command(number, intake.take(length))


def _check(number: int, length: int, limits: WireLimits) -> None:
    known = ms.COMMANDS.get(number)
    if known is None:
        raise WireError(f"unknown command {number:#x} of {length} bytes")
    if known.lengths is not None and length not in known.lengths:
        raise WireError(f"command {known.name} has {length} bytes, expected {sorted(known.lengths)}")
    if number == ms.PACKAGED:
        raise WireError("command PACKAGED: postcopy is not supported")
    limits.check("max_command", length, f"command {known.name}")
