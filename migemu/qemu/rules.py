"""A scenario's order rules where a real QEMU stands in the place of one of our sides, or of both.

Rules for what arrives at a destination act on what its source sends, since a QEMU takes no rules. Its stream
has no ``migemu-gic``; the platform's sections stand for it: of a stream that we make for a QEMU ``timer``,
which every machine has; between two QEMUs their beginning, where a virtual ARM64 machine has its GIC.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from migemu.errors import UsageError
from migemu.wire.mainstream import INTERRUPT_CONTROLLER

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from migemu.scenario.order import Order, Select

PLATFORM: Final = "timer"
"""Section of a QEMU that stands for the interrupt controller in a stream made for it."""


def for_source(orders: Iterable[Order], platform: str = PLATFORM) -> tuple[Order, ...]:
    """The rules of a source that drives a QEMU, or replays what was recorded of one.

    Args:
        orders: those of a scenario.
        platform: the section that stands for the interrupt controller; empty: its own name.

    Raises:
        UsageError: one is about what the destination answers, or waits for an event that only a destination
            of ours tells.
    """
    sections = {"section": platform} if platform else {}
    return tuple(_sent(order, sections) for order in orders)


def _sent(order: Order, platform: dict[str, str]) -> Order:
    if order.stream == "return":
        raise UsageError(
            f"order rule {order.name}: what the other side answers is not a source's to rule; use migemu tap"
        )
    if order.stream == "in" and any(until.event for until in _untils(order)):
        raise UsageError(
            f"order rule {order.name} waits for an event of the destination, which tells none here"
        )
    return _with(order, "out", platform)


def between(orders: Iterable[Order]) -> tuple[Order, ...]:
    """The rules of a tap: it sees what is sent and what arrives at once."""
    return tuple(_between(order) for order in orders)


def _between(order: Order) -> Order:
    whole = {"section": "", "record": "Tail", "within": ""}
    changed = _with(order, "return" if order.stream == "return" else "in", whole)
    if (order.select.record, order.select.channel) != ("Connect", "main"):
        return changed
    # When a connection is accepted nobody knows its channel, but a QEMU makes main's before all others.
    return changed.model_copy(update={"select": order.select.model_copy(update={"channel": "", "nth": "1"})})


def _untils(order: Order) -> Iterator[Any]:
    yield order.attributes.until
    yield order.attributes.packet


def _with(order: Order, stream: str, platform: dict[str, str]) -> Order:
    """The rule on another stream, the platform's section under another name."""

    def named(select: Select) -> Any:
        changes = dict(platform) if select.section == INTERRUPT_CONTROLLER else {}
        if getattr(select, "stream", "") in ("in", "out"):
            changes["stream"] = stream
        return select.model_copy(update=changes)

    given = order.attributes
    attributes = given.model_copy(
        update={
            "until": named(given.until),
            "packet": named(given.packet),
            "order": tuple(named(select) for select in given.order),
        }
    )
    return order.model_copy(
        update={"stream": stream, "select": named(order.select), "attributes": attributes}
    )


def about_devices(orders: Iterable[Order]) -> bool:
    """Whether any rule needs VFIO devices at the destination, or the mark that came with them."""
    selects = [one for order in orders for one in (order.select, *_untils(order), *order.attributes.order)]
    return any(
        one.device
        or one.idx
        or one.mark
        or one.flag in ("config", "data")
        or one.command
        or "vfio" in one.section
        or one.section == INTERRUPT_CONTROLLER
        for one in selects
    )
