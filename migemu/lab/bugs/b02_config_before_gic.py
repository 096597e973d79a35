"""B2: a device's config is loaded before the interrupt controller (ARM64)."""

from __future__ import annotations

from migemu.lab.bugs.bug import Bug, Story
from migemu.lab.bugs.real import Real, Run, breaks, scenario
from migemu.lab.stock import stock
from migemu.lab.system import Setup

ONE = "devices=1", "device.0.state_size=64"
LONGER = "timeouts.phase=8 s"
TEN = stock("handoff=load-thread", "platform.allow_early_config=true", *ONE)
TEN_ONE = stock("handoff=load-ready", *ONE)

RULES = """
[[order]]
name = "interrupt-controller-late"
type = "hold"
select = { channel = "main", record = "SectionFull", section = "migemu-gic" }
attributes = { until = { event = "vfio_load_device_config_state_start" }, timeout = "3 s" }
"""

BUG = Bug(
    name="B2",
    title="config loaded before the interrupt controller (ARM64)",
    story=Story(
        mechanism="""Enabling MSI in the config load needs the VM's interrupt controller; while its state
        is not in, the kernel call fails. The load thread takes the config as soon as the data is in, and
        the interrupt controller is a non-iterable: its section comes later on the main channel.""",
        happened="""Twice. Before multifd the config was saved in the iterable phase; with multifd again,
        named by Avihai Horon on version 3 (9 December 2024).""",
        fix="""The config waits for a mark among the non-iterables, DEV_CONFIG_LOAD_READY:
        x-migration-load-config-after-iter, July 2025.""",
        versions="before 6.0; 10.0 on ARM64; fixed in 10.1 (off for machine types up to 10.0)",
        links=("d329f5032e17 (March 2021)", "300dcf58b72f (PULL, 15 July 2025)"),
    ),
    changed="""nothing in the code: it is the load-thread design of QEMU 10.0 on a platform that needs its
    interrupt controller first""",
    breaks="config-after-iterables",
    broken=Setup(TEN, name="B2 broken"),
    correct=Setup(TEN_ONE, name="B2 correct"),
    instead="load-ready, QEMU 10.1: the load thread sleeps until CONFIG_LOAD_READY",
    real=Real(
        broken=Run(scenario(RULES, LONGER, "handoff=load-thread", "platform.allow_early_config=true", *ONE)),
        correct=Run(scenario(RULES, LONGER, "handoff=load-ready", *ONE)),
        shows=breaks("config-after-iterables"),
        how="""the interrupt controller's section is held back until a config load has begun, or three
        seconds""",
    ),
)
