"""Rules about how often and where a packet is delivered: drop, duplicate, move."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.link.order_verdict import Drop, Made, Move, Repeat

if TYPE_CHECKING:
    from migemu.link.order_item import Item
    from migemu.link.order_verdict import Verdict, World
    from migemu.scenario import Order


def drop(_order: Order, _world: World) -> Made:
    """Never deliver."""
    verdict = Drop()
    return Made(lambda _item: verdict)


def duplicate(order: Order, _world: World) -> Made:
    """Deliver again, right behind the first; a rule further down may act on the copies (`nth`)."""
    verdict = Repeat(order.attributes.copies)
    return Made(lambda _item: verdict)


def move(order: Order, _world: World) -> Made:
    """Deliver on another multifd channel; what is on the main channel has no other."""
    verdict = Move(order.attributes.to or 0)

    def judge(item: Item) -> Verdict | None:
        elsewhere = isinstance(item.channel, int) and item.channel != verdict.channel
        return verdict if elsewhere else None

    return Made(judge)
