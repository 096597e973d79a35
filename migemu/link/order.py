"""The order rules of one side, armed: what they are asked, what they wait for, what came of them.

Sans I/O. Whoever owns the connections makes a lane for each stream of each of them and puts items into it;
time and a way to the event loop are handed in. All of it runs on the thread that owns the connections; only
:meth:`Orders.event` may be called from anywhere.
"""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

from migemu.errors import MigemuError, ScheduleError
from migemu.link.order_lane import Lane
from migemu.link.order_rule import Rule
from migemu.link.order_select import event_matcher, selector
from migemu.link.order_verdict import Trigger

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from migemu.link.order_item import Channel, Item
    from migemu.link.order_lane import Outlet
    from migemu.link.order_verdict import Wait
    from migemu.scenario import Order, Until
    from migemu.threads.api import Threads

    class Timer(Protocol):
        """What `Later` returns."""

        def cancel(self) -> None:
            """It is not to be called any more."""
            ...

    Later = Callable[[float, Callable[[], None]], Timer]
    Post = Callable[[Callable[[], None]], object]

PATIENCE_SHARE: Final = 0.5
"""A wait that does not say how long it may last ends after this part of timeouts.phase, so that it ends
before the side that waits gives up."""


class Orders:
    """The rules of one side.

    Args:
        rules: of the streams that this side has.
        seed: all chance follows from it.
        patience: seconds of the side's phase timeout.
        room: bytes that one connection may keep aside or read ahead.
        threads: for events and time.
        later: has a function called after some seconds, on the thread that owns the connections.
        post: from any thread: has a function called on that thread.
        broken: told when a rule cannot be applied.

    Attributes:
        limit: seconds a wait lasts when its rule does not say.
        names: events that some rule waits for.
    """

    def __init__(
        self,
        rules: Iterable[Order],
        *,
        seed: int,
        patience: float,
        room: int,
        threads: Threads,
        later: Later,
        post: Post,
        broken: Callable[[MigemuError], object],
    ) -> None:
        self.limit = patience * PATIENCE_SHARE
        self.room = room
        self.later = later
        self._seed = seed
        self._threads = threads
        self._post = post
        self._broken = broken
        self._lanes: list[Lane] = []
        self._events: list[tuple[str, Callable[[Mapping[str, Any]], bool], Trigger]] = []
        self._packets: list[tuple[Callable[[Item], bool], Trigger]] = []
        self._by_rule: dict[str, list[Trigger]] = {}
        self._sections: dict[tuple[str, Channel], list[Trigger]] = {}
        self._ended = False
        self._rules: dict[str, list[Any]] = {}
        self._armed: list[Rule] = []
        for order in rules:
            rule = Rule(order, self)
            self._armed.append(rule)
            self._rules.setdefault(order.stream, []).append(rule)
        self.names = frozenset(name for name, _, _ in self._events)

    # what rules are made with

    def trigger(self, until: Until, stream: str) -> Trigger:
        """Something that is met once `until` has happened."""
        trigger = Trigger(until.event or until.rule or "a packet")
        if until.event:
            self._events.append((until.event, event_matcher(until), trigger))
        elif until.rule:
            self._by_rule.setdefault(until.rule, []).append(trigger)
        else:
            self._packets.append((selector(until, until.stream or stream), trigger))
        return trigger

    def random(self, order: Order, item: Item, what: str) -> Random:
        """Chance that follows from the seed, the rule, the packet and what it is for; from no clock."""
        if item.record == "DevicePacket":  # which channel is free is the clock's doing
            packet: tuple[Any, ...] = (item.device, item.idx, *sorted(item.flags))
        else:
            packet = (item.record, item.channel, item.number)
        return Random(repr((self._seed, order.name, what, packet)))  # noqa: S311  chance, not a secret

    # what lanes need

    def make_lane(self, stream: str, channel: Channel, outlet: Outlet) -> Lane:
        """A lane for one stream of one connection."""
        lane = Lane(self, stream, channel, outlet)
        self._lanes.append(lane)
        return lane

    def rules_of(self, stream: str) -> Sequence[Any]:
        """The armed rules of a stream, in the order of the scenario."""
        return self._rules.setdefault(stream, [])

    def lane(self, stream: str, channel: Channel) -> Lane | None:
        """The open lane of a channel."""
        fits = (lane for lane in self._lanes if lane.stream == stream and lane.channel == channel)
        return next((lane for lane in fits if not lane.closed), None)

    def now(self) -> float:
        """The clock, in seconds."""
        return self._threads.now()

    def fired(self, rule: Any, item: Item) -> None:
        """Say that a rule acts on an item."""
        if rule.tells:
            place = {"channel": item.channel, "device": item.device, "idx": item.idx}
            known = {name: value for name, value in place.items() if value not in (None, "")}
            self._threads.point(
                "order_rule_fired",
                rule=rule.name,
                type=rule.type,
                stream=item.stream,
                record=item.record,
                times=rule.fired,
                **known,
            )

    def passed(self, item: Item) -> None:
        """An item has been delivered, or is gone for good: what waited for it goes on.

        What waited for the head of a section goes on behind its footer.
        """
        met = [trigger for fits, trigger in self._packets if fits(item)]
        met += [trigger for name in item.fired for trigger in self._by_rule.get(name, ())]
        met += item.marks
        place = item.stream, item.channel
        if item.opens:
            self._sections[place] = met
            return
        if item.closes or not item.inside:
            met = self._sections.pop(place, []) + met
        for trigger in met:
            trigger.meet()

    def wait(self, verdict: Wait, rule: Any, go: Callable[[], None]) -> None:
        """Have `go` called once: when the trigger is met, or when the time is up."""
        over = False

        def end(*, expired: bool) -> None:
            nonlocal over
            if over:
                return
            over = True
            if expired and verdict.trigger is not None:
                rule.expired += 1
                self._threads.point("order_rule_expired", rule=rule.name, seconds=verdict.seconds)
            go()

        timer = self.later(verdict.seconds, lambda: end(expired=True))

        def met() -> None:
            timer.cancel()
            end(expired=False)

        if verdict.trigger is not None:
            verdict.trigger.when(met)

    def broken(self, error: Exception) -> None:
        """A rule cannot be applied: that is this side's failure, with a name."""
        if not isinstance(error, MigemuError):
            error = MigemuError(f"an order rule failed: {type(error).__name__}: {error}")
        self._broken(error)

    # what happens on this side

    def event(self, name: str, fields: Mapping[str, Any]) -> None:
        """From any thread: an event that some rule waits for."""
        self._post(lambda: self._event(name, fields))

    def _event(self, name: str, fields: Mapping[str, Any]) -> None:
        met = [trigger for event, fits, trigger in self._events if event == name and fits(fields)]
        for trigger in met:
            trigger.meet()

    # the end

    def busy(self, stream: str) -> bool:
        """Whether anything still waits in a lane of this stream."""
        return any(not lane.idle and not lane.stalled for lane in self._lanes if lane.stream == stream)

    def finish(self) -> MigemuError | None:
        """Say what came of every rule; the error of a run whose required rule fell short."""
        if self._ended:
            return None
        self._ended = True
        for rule in self._armed:
            self._threads.point(
                "order_rule_ended",
                rule=rule.name,
                type=rule.type,
                stream=rule.stream,
                fired=rule.fired,
                expired=rule.expired,
                required=rule.required,
                ok=rule.done,
            )
        short = [rule.shortfall() for rule in self._armed if rule.required and not rule.done]
        return ScheduleError("; ".join(short)) if short else None
