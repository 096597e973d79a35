"""Rules that make packets wait: hold, delay, stall; and the orders it makes: after, before, sequence."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.link.order_select import selector
from migemu.link.order_verdict import Made, Stall, Trigger, Wait
from migemu.scenario import Until

if TYPE_CHECKING:
    from migemu.link.order_item import Item
    from migemu.link.order_verdict import Verdict, World
    from migemu.scenario import Order


def hold(order: Order, world: World) -> Made:
    """Stay until something has happened; the connection waits with it, as behind a slow network."""
    trigger = world.trigger(order.attributes.until, order.stream)
    verdict = Wait(_limit(order, world), trigger)
    return Made(lambda _item: verdict)


def delay(order: Order, world: World) -> Made:
    """Stay for a time (toxiproxy: latency), a random part of it from the seed.

    The time counts from when the packet came: behind a slow one the next is not late twice.
    """
    attributes = order.attributes

    def judge(item: Item) -> Verdict:
        extra = world.random(order, item, "jitter").random() * attributes.jitter if attributes.jitter else 0.0
        return Wait(max(0.0, item.came + attributes.latency + extra - world.now()))

    return Made(judge)


def stall(order: Order, _world: World) -> Made:
    """Nothing more passes (toxiproxy: timeout)."""
    verdict = Stall(order.attributes.timeout)
    return Made(lambda _item: verdict)


def after(order: Order, world: World) -> Made:
    """Step out of the line, and in again right behind the other packet."""
    trigger = world.trigger(order.attributes.packet, order.stream)
    verdict = Wait(_limit(order, world), trigger, aside=True)
    return Made(lambda _item: verdict)


def before(order: Order, world: World) -> Made:
    """The other packet is the one that steps out of the line, until ours has passed."""
    ours = Until.model_validate(order.select.model_dump())
    verdict = Wait(_limit(order, world), world.trigger(ours, order.stream), aside=True)
    return Made(lambda _item: verdict, selector(order.attributes.packet, order.stream))


def sequence(order: Order, world: World) -> Made:
    """Each of the packets waits until the one named before it has passed; the rest of the stream goes on."""
    places = [selector(select, order.stream) for select in order.attributes.order]
    turns = [Trigger(f"packet {number} of the sequence") for number in range(len(places) + 1)]
    turns[0].meet()
    limit = _limit(order, world)

    def judge(item: Item) -> Verdict | None:
        fits = [number for number, selects in enumerate(places) if selects(item)]  # each counts for itself
        if not fits:
            return None
        item.marks.append(turns[fits[0] + 1])
        return Wait(limit, turns[fits[0]], aside=True)

    return Made(judge)


def _limit(order: Order, world: World) -> float:
    seconds = order.attributes.timeout
    return world.limit if seconds is None else seconds
