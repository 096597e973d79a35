"""B30: the queue of a device has no bound."""

from __future__ import annotations

from migemu.lab.bugs.bug import Bug, Story
from migemu.lab.bugs.real import BEHIND_THE_LAST_SYNC, ONE_ROUND, Real, Run, queued_over, scenario
from migemu.lab.bugs.traffic import A
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_payload import SIZE
from migemu.lab.system_traffic import config, data

CAP = 2 * SIZE
ONE = "devices=1", f"device.0.state_size={6 * SIZE}"
LONGER = "timeouts.phase=8 s"
QEMU = stock(*ONE)
CAPPED = stock(*ONE, "limits.on_cap=pause", f"limits.queue_per_device={CAP}")
TRAFFIC = Setup(QEMU).sent.on([*(data(A, idx) for idx in range(1, 6)), config(A, 6)], [data(A, 0)])
BOUND = CAP + 2 * SIZE
"""With back-pressure: the cap, the buffer that is needed next, and a config."""

RULES = f"""
[[order]]
name = "idx-0-alone"
type = "move"
stream = "out"
select = {{ device = "{A}", idx = 0 }}
attributes = {{ to = 1 }}

[[order]]
name = "the-rest-together"
type = "move"
stream = "out"
select = {{ device = "{A}", idx = "1-" }}
attributes = {{ to = 0 }}

[[order]]
name = "idx-0-last"
type = "hold"
select = {{ device = "{A}", idx = 0 }}
attributes = {{ until = {{ event = "vfio_load_state_device_buffer_incoming", idx = 5 }}, timeout = "3 s" }}
"""

BUG = Bug(
    name="B30",
    title="a queue without a bound",
    story=Story(
        mechanism="""Buffer 0 may come last, then nearly all of a device's state has to be kept. Pausing a
        channel is no simple answer: the missing buffer may be the one behind.""",
        happened="Discussed from June 2024 on; Peter Xu's worry was a killed destination, not malice.",
        fix="""A limit in bytes (10.1, off by default) fails the migration. Here a channel is paused as
        long as that cannot starve anyone, and the migration fails only where it would.""",
        versions="""10.0 without any limit; 10.1 and later x-migration-max-queued-buffers-size, unlimited
        by default""",
        links=("300dcf58b72f (PULL, 15 July 2025)",),
    ),
    changed="one guard: limits.queue_per_device is unlimited, QEMU's default",
    breaks="queue-bounded",
    broken=Setup(QEMU, traffic=TRAFFIC, bound=BOUND, name="B30 broken"),
    correct=Setup(CAPPED, traffic=TRAFFIC, bound=BOUND, name="B30 correct"),
    instead="the same with a cap of two buffers and on_cap = pause: channel 0 is held until idx 0 is in",
    real=Real(
        broken=Run(scenario(BEHIND_THE_LAST_SYNC + RULES, ONE_ROUND, LONGER, *ONE)),
        correct=Run(
            scenario(
                BEHIND_THE_LAST_SYNC + RULES,
                ONE_ROUND,
                LONGER,
                *ONE,
                "limits.on_cap=pause",
                f"limits.queue_per_device={CAP}",
            )
        ),
        shows=queued_over(BOUND),
        how="""idx 0 is moved to channel 1 and held back there until idx 5 has come on channel 0, or three
        seconds""",
    ),
)
