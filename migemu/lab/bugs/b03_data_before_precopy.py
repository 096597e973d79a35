"""B3: stop-copy data over multifd overtakes pre-copy data on the main channel."""

from __future__ import annotations

from migemu.handoff.load_thread import LoadThread
from migemu.lab.bugs.bug import Bug, Story
from migemu.lab.bugs.real import Real, Run, breaks, scenario
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts


class LoadersAtSetup(LoadThread):
    """Starts the load threads when the devices are set up, not at SWITCHOVER_START."""

    def load_setup(self) -> None:
        """Loading begins here."""
        super().load_setup()
        self.spawn_loaders()

    def switchover_start(self) -> None:
        """The mark says nothing any more."""
        self.started = True


ONE_DEVICE_WITH_PRECOPY = (
    "handoff=load-thread",
    "platform.needs_interrupt_controller=false",
    "devices=1",
    "device.0.state_size=64",
    "device.0.precopy=true",
    "device.0.initial_size=64",
)

SCENARIO = stock(*ONE_DEVICE_WITH_PRECOPY)

RULES = """
[[order]]
name = "device-before-sync-0"
type = "after"
select = { channel = 0, flag = "sync", nth = 3 }
attributes = { packet = { record = "DevicePacket", idx = 0 } }

[[order]]
name = "device-before-sync-1"
type = "after"
select = { channel = 1, flag = "sync", nth = 3 }
attributes = { packet = { record = "DevicePacket", idx = 0 } }

[[order]]
name = "no-barrier-after-pre-copy-0"
type = "drop"
select = { channel = 0, flag = "sync", nth = 2 }

[[order]]
name = "no-barrier-after-pre-copy-1"
type = "drop"
select = { channel = 1, flag = "sync", nth = 2 }

[[order]]
name = "no-barrier-after-pre-copy"
type = "drop"
select = { channel = "main", flag = "flush", within = "SectionPart", nth = 1 }

[[order]]
name = "pre-copy-late"
type = "hold"
select = { channel = "main", record = "VfioData", within = "SectionPart", nth = 1 }
attributes = { until = { event = "vfio_load_state_device_buffer_load_end" }, timeout = "5 s" }
"""
FORCED = scenario(RULES, *ONE_DEVICE_WITH_PRECOPY, "migration.max_rounds=1", "timeouts.phase=8 s")

BUG = Bug(
    name="B3",
    title="multifd data loaded before the pre-copy data",
    story=Story(
        mechanism="""A device with pre-copy sends its first data on the main channel while it runs. Its
        stop-copy buffers go over multifd and may arrive while the main channel still carries the earlier
        part; a device's data is one stream, and written in another order it is another state.""",
        happened="""In the design debate: version 1 and 2 had a mark per device, version 3 the common
        command.""",
        fix="""MIG_CMD_SWITCHOVER_START is sent after all data of the running phase; buffers that arrive
        before it only queue, the load threads start at it.""",
        versions="none released; the command is in 10.0",
        links=("4e55cb3cdeb0 (SWITCHOVER_START)", "cover.1731773021 (version 3)"),
    ),
    changed="one order: load threads start at setup instead of at SWITCHOVER_START",
    breaks="data-in-order",
    broken=Setup(SCENARIO, Parts(handoff=LoadersAtSetup), name="B3 broken"),
    correct=Setup(SCENARIO, name="B3 correct"),
    instead="load-thread as it is: what comes early waits in its slot for the mark",
    real=Real(
        broken=Run(FORCED, Parts(handoff=LoadersAtSetup)),
        correct=Run(FORCED),
        shows=breaks("data-in-order"),
        how="""the pre-copy data is held back on the main channel until a multifd buffer is written, or five
        seconds; the RAM barrier behind it is taken out (QEMU's comes in front of it), and the last
        one comes behind that buffer""",
    ),
)
