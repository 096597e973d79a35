"""B31: receive threads that load the devices wait for each other."""

from __future__ import annotations

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.real import Real, Run, breaks, scenario
from migemu.lab.bugs.traffic import A, B
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_traffic import config, data

BLOCKING = stock("handoff=recv-loads", "device.*.state_size=128")
REPAIRED = stock("handoff=recv-loads-nonblocking", "device.*.state_size=128")
TRAFFIC = Setup(BLOCKING).sent.on(
    [data(A, 1), data(B, 0), config(A, 2)],
    [data(B, 1), data(A, 0), config(B, 2)],
)

RULES = f"""
[[order]]
name = "sync-behind-0"
type = "after"
select = {{ channel = 0, flag = "sync", nth = 3 }}
attributes = {{ packet = {{ device = "{B}", flag = "config" }} }}

[[order]]
name = "sync-behind-1"
type = "after"
select = {{ channel = 1, flag = "sync", nth = 3 }}
attributes = {{ packet = {{ device = "{B}", flag = "config" }} }}

[[order]]
type = "move"
stream = "out"
select = {{ device = "{A}", idx = 1 }}
attributes = {{ to = 0 }}

[[order]]
type = "move"
stream = "out"
select = {{ device = "{B}", idx = 0 }}
attributes = {{ to = 0 }}

[[order]]
type = "move"
stream = "out"
select = {{ device = "{B}", idx = 1 }}
attributes = {{ to = 1 }}

[[order]]
type = "move"
stream = "out"
select = {{ device = "{A}", idx = 0 }}
attributes = {{ to = 1 }}

[[order]]
type = "after"
select = {{ device = "{B}", idx = 0 }}
attributes = {{ packet = {{ device = "{A}", idx = 1 }} }}

[[order]]
type = "after"
select = {{ device = "{A}", idx = 0 }}
attributes = {{ packet = {{ device = "{B}", idx = 1 }} }}
"""
SIZES = "device.*.state_size=128", "migration.max_rounds=1"

BUG = Bug(
    name="B31",
    title="receive threads as loaders, in a ring",
    story=Story(
        mechanism="""A receive thread that holds buffer 1 of device A waits for buffer 0 of A before it
        reads on. That buffer stands on the other channel behind buffer 1 of B, whose thread waits for
        buffer 0 of B, which stands behind the first one. Nobody reads, nobody ends.""",
        happened="""Never built: Maciej S. Szmigiero's answer of 1 October 2024 to the wish for no new
        threads.""",
        fix="""Load threads of their own. Peter Xu's repair, never to wait in a receive thread, works as
        well and measured 21 % slower.""",
        versions="none",
        links=("927023c9-c8ba-4cdf-9d42-bf1109a139af@maciej.szmigiero.name", "ZvxqE0i5qGGiSFk0@x1n"),
    ),
    changed="nothing in the code: it is the recv-loads design of the debate, with buffers that cross",
    breaks="wait-without-end",
    broken=Setup(BLOCKING, traffic=TRAFFIC, name="B31 broken"),
    correct=Setup(REPAIRED, traffic=TRAFFIC, name="B31 correct"),
    instead="recv-loads-nonblocking: whoever completes a run of buffers loads it, nobody waits for one",
    hunt=Hunt(length=150, all_of_correct=1000),
    real=Real(
        broken=Run(scenario(RULES, "handoff=recv-loads", *SIZES)),
        correct=Run(scenario(RULES, "handoff=recv-loads-nonblocking", *SIZES)),
        shows=breaks("ends"),
        how="the buffers are moved so that they cross: A1 before B0 on channel 0, B1 before A0 on channel 1",
    ),
)
