"""Rules that end a connection: close (whole, half, by reset), truncate, refuse."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from migemu.link.order_verdict import End, Made, Refuse

if TYPE_CHECKING:
    from migemu.link.order_verdict import EndHow, World
    from migemu.scenario import Order


def close(order: Order, _world: World) -> Made:
    """End the connection before or behind the packet (toxiproxy: reset_peer, and a plain close)."""
    verdict = End(_how(order), before=order.attributes.when == "before")
    return Made(lambda _item: verdict)


def truncate(order: Order, _world: World) -> Made:
    """Deliver the first bytes of the packet, then end the connection (toxiproxy: limit_data)."""
    verdict = End(_how(order), most=order.attributes.bytes)
    return Made(lambda _item: verdict)


def refuse(_order: Order, _world: World) -> Made:
    """Turn the connection away before a byte of it."""
    verdict = Refuse()
    return Made(lambda _item: verdict)


def _how(order: Order) -> EndHow:
    return cast("EndHow", order.attributes.how)
