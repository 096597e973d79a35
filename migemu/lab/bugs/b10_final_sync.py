"""B10: the last RAM SYNC parks the receivers, and the device packets behind it are never read."""

from __future__ import annotations

from migemu.destination.core import Core
from migemu.lab.bugs.bug import Bug, Story
from migemu.lab.bugs.real import BEHIND_THE_LAST_SYNC, ONE_ROUND, Real, Run, hangs, scenario
from migemu.lab.stock import stock
from migemu.lab.system import Setup
from migemu.lab.system_parts import Parts


class NobodyStranded(Core):
    """As QEMU: does not see at EOF that channels stand at a SYNC which nothing will release."""

    def _check_stranded(self) -> None:
        """Nothing is checked."""


SCENARIO = stock("devices=1", "device.0.state_size=128", "ram.size=4 KiB")
QEMU = Parts(core=NobodyStranded)
SENT = Setup(SCENARIO).sent

RULES = """
[[order]]
name = "no-flush"
type = "drop"
select = { channel = "main", flag = "flush", within = "SectionEnd" }
"""
SIZES = "devices=1", "device.0.state_size=128", "ram.size=4 KiB"
FORCED = scenario(RULES + BEHIND_THE_LAST_SYNC, ONE_ROUND, *SIZES)

BUG = Bug(
    name="B10",
    title="the final RAM SYNC parks the receive threads in front of device state",
    story=Story(
        mechanism="""At SYNC a receive thread posts and sleeps until the main thread meets the FLUSH mark.
        One commit dropped the FLUSH at completion while the source still sent the SYNC. For RAM that was
        harmless: nothing follows. Device-state packets behind that SYNC on the same channel were never
        read, and the load threads wait for them for ever.""",
        happened="Reported by Maciej S. Szmigiero on 29 October 2024 while testing the series.",
        fix="No SYNC at completion (upstream, December 2024); version 3 had sent it after the device state.",
        versions="since 637280aeb2, uncovered by 3b5948f808e3 (9.2, stable 9.0.4 and 9.1.2); fixed in 10.0",
        links=("637280aeb2", "3b5948f808e3", "1d457daf8681 (Further remove the SYNC on complete)"),
    ),
    changed="one mark: the source leaves out the FLUSH of the last pass over RAM but not its SYNC",
    breaks="wait-without-end",
    broken=Setup(SCENARIO, QEMU, SENT.without("FLUSH"), name="B10 broken"),
    correct=Setup(SCENARIO, QEMU, SENT.without("FLUSH").without("SYNC"), name="B10 correct"),
    instead="""the last pass without SYNC, as upstream. With both SYNC and FLUSH it passes as well; and
    this destination, other than QEMU, sees at EOF that every open channel is stranded, and fails.""",
    real=Real(
        broken=Run(FORCED, QEMU),
        correct=Run(FORCED),
        shows=hangs,
        how="""the FLUSH of the last pass over RAM is dropped, and device packets come behind its SYNC;
        the correct variant here is this destination, which sees that every channel is stranded and says
        so""",
    ),
)
