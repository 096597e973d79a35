"""Rows P: an ARM64 machine, whose interrupt controller a device's config must not come before.

Nobody but a QEMU makes a GIC's section, so both sides are one and a tap holds the sections back: both configs
are on their way, and then an early load has its time.
"""

from __future__ import annotations

from typing import Final

from migemu.qemu.hostile.table import Bench, pair_row

AFTER_ITER: Final = (10, 1)
"""The first version whose devices can wait for CONFIG_LOAD_READY."""

SCENARIO: Final = """
handoff = "{handoff}"
[ram]
size = "16 MiB"
[migration]
channels = 2
packet_size = "64 KiB"
[[device]]
count = 2
state_size = "192 KiB"
config_load_time = "10 ms"
[[order]]
name = "configs-first"
type = "hold"
required = true
select = {{ record = "SectionFull", section = "migemu-gic" }}
attributes = {{ until = {{ flag = "config", nth = 2 }} }}
[[order]]
name = "and-loaded"
type = "slice"
required = true
select = {{ record = "SectionFull", section = "migemu-gic" }}
attributes = {{ at = 1, pause = "500 ms" }}
"""

pair_row(
    "P1",
    "ARM64: the interrupt controller comes after the devices' configs",
    Bench(devices=2, target="aarch64"),
    SCENARIO.format(handoff="load-thread"),
)
pair_row(
    "P2",
    "ARM64: the same, the devices wait for CONFIG_LOAD_READY",
    Bench(devices=2, target="aarch64", oldest=AFTER_ITER),
    SCENARIO.format(handoff="load-ready"),
)
