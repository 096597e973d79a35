"""B1: a device's config is loaded before its last data buffer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.load_thread import LoadThread
from migemu.handoff.machine import Config
from migemu.lab.bugs.bug import Bug, Story
from migemu.lab.bugs.real import Real, Run, breaks, scenario
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts
from migemu.wire.vfio import unwrap_config

if TYPE_CHECKING:
    from migemu.wire.multifd import DevicePacket


class ConfigOnArrival(LoadThread):
    """Loads the config packet when it comes: the order by idx does not hold for it."""

    def device_packet(self, packet: DevicePacket) -> None:
        """A config is loaded at once, everything else queued."""
        if not packet.is_config:
            super().device_packet(packet)
            return
        config = Config(unwrap_config(packet.data.view), packet.idx)
        with self.config_lock():
            self.load_config(self.machine.slot(packet.device), config)


SCENARIO = stock(
    "handoff=load-thread",
    "platform.needs_interrupt_controller=false",
    "devices=1",
    "device.0.state_size=128",
)

RULES = """
[[order]]
name = "config-first"
type = "after"
select = { flag = "data" }
attributes = { packet = { flag = "config" } }
"""
FORCED = scenario(
    RULES,
    "handoff=load-thread",
    "platform.needs_interrupt_controller=false",
    "devices=1",
    "device.0.state_size=128",
)

BUG = Bug(
    name="B1",
    title="config loaded before the last data buffer",
    story=Story(
        mechanism="""Loading the config activates the device. It travels as one more packet over multifd,
        on whichever channel is free, so it may arrive before data buffers that left before it; loaded on
        arrival, it activates a device of which half is missing.""",
        happened="A design rule since the RFC of 16 April 2024, not a bug that was shipped.",
        fix="""The config packet carries the highest idx; the load thread that writes the data in idx
        order loads it last.""",
        versions="none affected",
        links=("cover.1713269378 (RFC)", "3228d311ab18 (queuing of received buffers)"),
    ),
    changed="one order: the config packet is loaded when it arrives, not after the last data buffer",
    breaks="config-last",
    broken=Setup(SCENARIO, Parts(handoff=ConfigOnArrival), name="B1 broken"),
    correct=Setup(SCENARIO, name="B1 correct"),
    instead="load-thread as it is: the config waits in its slot until every buffer before it is written",
    real=Real(
        broken=Run(FORCED, Parts(handoff=ConfigOnArrival)),
        correct=Run(FORCED),
        shows=breaks("config-last"),
        how="every data buffer is delivered behind the config packet",
    ),
)
