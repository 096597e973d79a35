"""mark-without-data: a mark on the main channel says nothing about multifd data."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.non_iterable import NonIterable
from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.real import Real, Run, breaks, scenario
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts

if TYPE_CHECKING:
    from migemu.handoff.base import Slot


class BelievesTheMark(NonIterable):
    """Loads the config where it is met: SEND_NON_ITERABLE said that all iterable data was sent."""

    def _wait_for_data(self, slot: Slot) -> None:
        """The mark is enough."""


ONE = "handoff=non-iterable", "devices=1", "device.0.state_size=128"
SCENARIO = stock(*ONE)

RULES = """
[[order]]
name = "data-behind-the-config"
type = "after"
select = { flag = "data" }
attributes = { packet = { event = "invariant", where = "name=config-last, ok=false" }, timeout = "3 s" }
"""
FORCED = scenario(RULES, "timeouts.phase=8 s", *ONE)

BUG = Bug(
    name="mark-without-data",
    title="the seed's proposal without a wait for the data",
    story=Story(
        mechanism="""The proposal: two commands on the main channel, and the config in the device's own
        section behind the second one, when all iterable data has been sent. But device data goes over
        multifd, and nothing orders a multifd connection against the main one. The mark is there, the data
        is not: the config is loaded over half a device.""",
        happened="""Proposed by Peter Xu on 20 September 2024, taken back by him on 27 September for this
        reason.""",
        fix="""Something must wait for the data of each device: a load thread, a semaphore, a count in the
        section.""",
        versions="never built",
        links=("Zu2mvrKOvmD1WtvD@x1n (the proposal)", "ZvYCGFnI_68B_w3h@x1n (taken back)"),
    ),
    changed="one guard: the incoming thread does not wait for the device's data before it loads the config",
    breaks="config-last",
    broken=Setup(SCENARIO, Parts(handoff=BelievesTheMark), name="mark-without-data broken"),
    correct=Setup(SCENARIO, name="mark-without-data correct"),
    instead="""non-iterable as it is here: the section carries the number of buffers, and the config waits
    for them""",
    hunt=Hunt(length=70),
    real=Real(
        broken=Run(FORCED, Parts(handoff=BelievesTheMark)),
        correct=Run(FORCED),
        shows=breaks("config-last"),
        how="the data is kept aside until a config has been loaded without it, or three seconds",
    ),
)
