"""A rule, armed: which items it acts on, how often it has, and whether what it waited for came."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from migemu.link import order_bytes, order_copies, order_end, order_wait
from migemu.link.order_select import selector
from migemu.scenario.order_names import TYPES

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.link.order_item import Item
    from migemu.link.order_verdict import Made, Verdict, World
    from migemu.scenario import Order

FAMILIES: Final[dict[str, Callable[[Order, World], Made]]] = {
    "hold": order_wait.hold,
    "delay": order_wait.delay,
    "stall": order_wait.stall,
    "after": order_wait.after,
    "before": order_wait.before,
    "sequence": order_wait.sequence,
    "drop": order_copies.drop,
    "duplicate": order_copies.duplicate,
    "move": order_copies.move,
    "corrupt": order_bytes.corrupt,
    "slice": order_bytes.slice_up,
    "truncate": order_end.truncate,
    "close": order_end.close,
    "refuse": order_end.refuse,
}
"""What makes each type of rule; the scenario's table of types says what they mean."""

TOLD: Final = 100
"""Times a rule's firing is an event of its own; beyond that it is counted."""


class Rule:
    """One armed rule.

    Attributes:
        name: what people call it.
        fired: items it acted on.
        expired: items that it let go because the time was up, not because what it waited for came.
    """

    def __init__(self, order: Order, world: World) -> None:
        self._order = order
        self._world = world
        made = FAMILIES[order.type](order, world)
        self._judge = made.judge
        self._matches = made.matches or selector(order.select, order.stream)
        self.name = order.name
        self.type = order.type
        self.stream = order.stream
        self.required = order.required
        self.fired = 0
        self.expired = 0

    def consider(self, item: Item) -> Verdict | None:
        """What to do with `item`; None: nothing.

        Raises:
            ConfigError: the rule cannot be applied to it.
        """
        if not self._matches(item) or not self._chosen(item):
            return None
        verdict = self._judge(item)
        if verdict is not None:
            self.fired += 1
            item.fired.append(self.name)
        return verdict

    def _chosen(self, item: Item) -> bool:
        toxicity: float = self._order.toxicity
        return toxicity >= 1 or self._world.random(self._order, item, "toxicity").random() < toxicity

    @property
    def tells(self) -> bool:
        """Whether its latest firing is worth an event."""
        return self.fired <= TOLD

    @property
    def done(self) -> bool:
        """Whether it did what it was for."""
        return bool(self.fired) and not self.expired

    def shortfall(self) -> str:
        """Why it is not done."""
        if not self.fired:
            return f"order rule {self.name} ({self.type}) never fired"
        times = f"{self.expired} of {self.fired} times"
        return f"what order rule {self.name} ({self.type}) waited for did not come in time, {times}"


assert FAMILIES.keys() == TYPES.keys()  # noqa: S101  a type without a maker would fail only when used
