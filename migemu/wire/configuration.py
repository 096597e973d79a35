"""The CONFIGURATION record: machine type, and the subsections that some settings add."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from migemu.errors import WireError
from migemu.wire.mainstream import (
    CONFIGURATION_CAPABILITIES,
    CONFIGURATION_PAGE_BITS,
    CONFIGURATION_UUID,
    SUBSECTION,
)
from migemu.wire.records import Configuration
from migemu.wire.text import decode_name

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator

    from migemu.wire.intake import Intake
    from migemu.wire.limits import WireLimits

INSIDE: Final = "the CONFIGURATION record"
SUBSECTION_VERSION: Final = 1
PAGE_BITS: Final = range(10, 17)
"""Target page sizes that exist, 1 KiB to 64 KiB."""


def read_configuration(intake: Intake, limits: WireLimits) -> Generator[str, None, Configuration]:
    """Read the record whose type byte is the next one.

    Raises:
        WireError: an unknown or repeated subsection, or a value nobody has.
        LimitError: a name or list above its limit.
    """
    yield from _need(intake, 5)
    intake.start += 1
    length = limits.check("max_section_string", intake.take_int(4), "machine type name")
    yield from _need(intake, length)
    machine = decode_name(intake.take(length), "machine type name")
    found: dict[str, Any] = {}
    while True:
        # A record always follows, so waiting for its first byte delays nothing.
        yield from _need(intake, 1)
        if intake.peek() != SUBSECTION:
            return Configuration(machine, **found)
        yield from _subsection(intake, limits, found)


def _need(intake: Intake, size: int) -> Iterator[str]:
    while intake.waiting() < size:
        yield INSIDE


def _subsection(intake: Intake, limits: WireLimits, found: dict[str, Any]) -> Iterator[str]:
    yield from _need(intake, 2)
    yield from _need(intake, 2 + intake.peek(1) + 4)
    intake.start += 1
    name = decode_name(intake.take(intake.take_int(1)), "CONFIGURATION subsection")
    version = intake.take_int(4)
    if name not in _SUBSECTIONS or version != SUBSECTION_VERSION:
        raise WireError(f"unknown CONFIGURATION subsection {name!r} version {version}")
    field, read = _SUBSECTIONS[name]
    if field in found:
        raise WireError(f"CONFIGURATION repeats {name}")
    found[field] = yield from read(intake, limits)


def _capabilities(intake: Intake, limits: WireLimits) -> Generator[str, None, tuple[str, ...]]:
    yield from _need(intake, 4)
    count = limits.check("max_capabilities", intake.take_int(4), "capabilities")
    names = []
    for _ in range(count):
        yield from _need(intake, 1)
        yield from _need(intake, 1 + intake.peek())
        names.append(decode_name(intake.take(intake.take_int(1)), "capability"))
    return tuple(names)


def _uuid(intake: Intake, _limits: WireLimits) -> Generator[str, None, bytes]:
    yield from _need(intake, 16)
    return intake.take(16)


def _page_bits(intake: Intake, _limits: WireLimits) -> Generator[str, None, int]:
    yield from _need(intake, 4)
    bits = intake.take_int(4)
    if bits not in PAGE_BITS:
        raise WireError(f"target-page-bits {bits} is no page size of any machine")
    return bits


_SUBSECTIONS: Final[dict[str, tuple[str, Callable[[Intake, WireLimits], Generator[str, None, Any]]]]] = {
    CONFIGURATION_CAPABILITIES: ("capabilities", _capabilities),
    CONFIGURATION_UUID: ("uuid", _uuid),
    CONFIGURATION_PAGE_BITS: ("target_page_bits", _page_bits),
}
