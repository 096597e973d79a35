"""B29: a config idx below what is loaded already."""

from __future__ import annotations

from migemu.lab.bugs.bug import Bug, Hunt, Story
from migemu.lab.bugs.real import BEHIND_THE_LAST_SYNC, ONE_ROUND, Real, Run, hangs, scenario
from migemu.lab.bugs.traffic import A
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts
from migemu.lab.system_traffic import config, data
from migemu.vfio.reassembly import StateBuffers
from migemu.vfio.slots import Slots


class TrustingSlots(Slots):
    """Takes the config's idx as it comes."""

    def _check_duplicate(self, idx: int) -> None:
        """Nothing is checked."""

    def _check_config(self, idx: int) -> None:
        """Nothing is checked."""


class TrustingBuffers(StateBuffers):
    """A reassembly without those checks."""

    slots_type = TrustingSlots


SCENARIO = stock("devices=1", "device.0.state_size=128")
TRAFFIC = Setup(SCENARIO).sent.on([data(A, 0), data(A, 1)], [config(A, 1)])

RULES = f"""
[[order]]
name = "config-idx-1"
type = "corrupt"
select = {{ device = "{A}", flag = "config" }}
attributes = {{ field = "idx", value = 1 }}

[[order]]
name = "behind-the-data"
type = "hold"
select = {{ device = "{A}", flag = "config" }}
attributes = {{ until = {{ event = "vfio_load_state_device_buffer_load_end", idx = 1 }} }}
"""
FORCED = scenario(BEHIND_THE_LAST_SYNC + RULES, ONE_ROUND, "devices=1", "device.0.state_size=128")

BUG = Bug(
    name="B29",
    title="an idx that cannot be: a config below the data",
    story=Story(
        mechanism="""The config's idx says how many data buffers there are. One below the load position
        can never be reached: QEMU's load thread trips an assertion there. The relatives: data above the
        config's idx is queued and never loaded, without an error; a huge idx grows the array to idx + 1
        entries; a duplicate and UINT32_MAX are refused.""",
        happened="Read in the 10.2 source; cases K4, K11 to K15 of the wire table on 10.0 and 11.1.",
        fix="Check an idx against what is loaded, queued and announced, when it comes.",
        versions="10.0 and later; the size limit of 10.1 counts bytes, not slots",
        links=("3228d311ab18 (queuing of received buffers)",),
        evidence="read in the source, seen on real binaries",
    ),
    changed="one guard: the reassembly believes every config idx",
    breaks="wait-without-end",
    broken=Setup(SCENARIO, Parts(buffers=TrustingBuffers), TRAFFIC, name="B29 broken"),
    # A count that is too small and comes before the data it denies is believed: nothing contradicts it until
    # the last buffer comes, which may be after the start. Against that there are digests (C5).
    correct=Setup(SCENARIO, traffic=TRAFFIC, ignored=frozenset({"data-intact"}), name="B29 correct"),
    instead="""the packet is refused and the migration fails with device, channel and idx; where the config
    comes first, the data buffer behind it is, if it comes before the VM starts""",
    hunt=Hunt(length=40),
    real=Real(
        broken=Run(FORCED, Parts(buffers=TrustingBuffers)),
        correct=Run(FORCED),
        shows=hangs,
        how="""the config packet's idx is changed from 2 to 1, and it is delivered when both buffers are
        written""",
    ),
)
