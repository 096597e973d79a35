"""K6: an idx never comes."""

from __future__ import annotations

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.traffic import A
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts
from migemu.vfio.reassembly import StateBuffers


class WaitsOn(StateBuffers):
    """A load thread that is not told that every channel has ended."""

    def channels_ended(self, why: str = "") -> None:
        """Nobody is told."""


SCENARIO = stock("devices=1", "device.0.state_size=192")
TRAFFIC = Setup(SCENARIO).sent.without(f"idx 1 of {A}").closing()

BUG = Bug(
    name="K6",
    title="an idx that never comes",
    story=Story(
        mechanism="""One data buffer of a device is missing and every channel has closed. The load thread
        sleeps for the buffer, the main thread for the load thread; the wait for the pool has no time
        limit.""",
        happened="""Case K6 of the wire table: the destination hangs, its QMP dead; so it does for a
        missing config (K7), a config past a hole (K13), and when nothing is sent at all (K25).""",
        fix="None in QEMU. Here the end of the last channel tells every load thread what will never come.",
        versions="10.0 and 11.1",
        evidence="seen on real binaries",
    ),
    changed="one wake-up: the end of all channels is not told to the load threads, as in QEMU",
    breaks="wait-without-end",
    broken=Setup(SCENARIO, Parts(buffers=WaitsOn), TRAFFIC, name="K6 broken"),
    correct=Setup(SCENARIO, traffic=TRAFFIC, name="K6 correct"),
    instead="the migration fails with the missing idx by name",
    hunt=Hunt(length=80),
)
