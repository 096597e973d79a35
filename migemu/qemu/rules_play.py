"""A scenario's order rules, played to a real QEMU: by our source, or by a tap between two QEMUs.

Our source sends what the scenario says, under its rules, and the destination is watched as for a row of the
hostile-order table. Between two QEMUs a run of `migemu qemu migrate` says what became of it.
"""

from __future__ import annotations

import contextlib
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import xxhash

from migemu.errors import InvariantError, MigemuError, UsageError
from migemu.observe.recorder import Recorder
from migemu.qemu import migration, pair, rules
from migemu.qemu.binary import VFIO_MULTIFD
from migemu.qemu.drive import QemuSession, make_target
from migemu.qemu.hostile.judge import Judge
from migemu.qemu.hostile.pulse import Patience, Pulse
from migemu.qemu.hostile.verdict import Kind, Verdict
from migemu.qemu.memory import SharedRam
from migemu.qemu.peer_bare import bare
from migemu.qemu.side import QemuSide
from migemu.qemu.tap_ruled import through_rules
from migemu.qemu.tap_watch import Watch
from migemu.qemu.translate import Plan
from migemu.scenario import dilated
from migemu.threads.native import NativeThreads

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from migemu.observe.model import Result
    from migemu.qemu.binary import Launcher
    from migemu.qemu.drive_stream import Target
    from migemu.qemu.machine import Machine
    from migemu.scenario import Scenario

LIMIT: Final = 10.0
"""Seconds a migration between two QEMUs may take; one that is not over by then hangs."""

UNBOUNDED: Final = "queue-bounded"
"""The invariant that a QEMU breaks without harm to any state: by default its queue has no limit."""

FLUSH_WORD: Final = (8, 1)
"""The first version whose machines have MULTIFD_FLUSH."""


def fits(scenario: Scenario, launcher: Launcher) -> bool:
    """Whether the rules say anything to this QEMU: devices and barrier words are not of all versions."""
    if launcher.version < VFIO_MULTIFD and rules.about_devices(scenario.order):
        return False
    words = any(order.select.flag == "flush" for order in scenario.order)
    return launcher.version >= FLUSH_WORD or not words


class _Play:
    """A destination of its own, and what our source is to know of it."""

    def __init__(self, scenario: Scenario, launcher: Launcher, folder: Path, limit: float) -> None:
        bare = not scenario.device or launcher.version < VFIO_MULTIFD
        given: dict[str, Any] = {"uuid": None, "device": ()} if bare else {"uuid": scenario.migration_uuid()}
        self._plan = Plan(dilated(scenario.model_copy(update=given)), launcher.version, board=launcher.board)
        self.scenario = self._plan.scenario.model_copy(update={"handoff": self._plan.handoff})
        self._launcher = launcher
        self.folder = folder
        self._limit = limit

    @contextlib.asynccontextmanager
    async def destination(self) -> AsyncIterator[tuple[Machine, SharedRam, Target]]:
        """A machine with the scenario's devices, or one of RAM alone where VFIO is too old."""
        if self.scenario.device:
            with QemuSide.prepare(
                "destination", self._launcher, self._plan, self.folder, keep_state=True
            ) as side:
                target = make_target(self._machine(), None, None, multifd=True)
                async with side.running(self._limit) as machine:
                    yield machine, side.ram, target
            return
        version = "7.2" if self._launcher.version < FLUSH_WORD else None
        asked = self.scenario.migration
        with SharedRam(self.scenario.ram.total_size(), "ram0") as ram:
            target = make_target("none", version, None, multifd=True)
            more: dict[str, Any] = {"channels": asked.channels, "return_path": asked.return_path}
            async with bare(self._launcher, self.folder, ram, "destination", **more) as machine:
                yield machine, ram, target

    def _machine(self) -> str:
        return self._plan.machine().partition(",")[0]


class _Sent:
    """Our source, when it is over."""

    def __init__(self, session: QemuSession, error: MigemuError | None, folder: Path) -> None:
        self._session = session
        self._error = error
        self._folder = folder

    async def close(self) -> None:
        """It has closed everything already."""

    def differences(self) -> str:
        devices = (self._device(number) for number in range(len(self._session.guest.devices)))
        return "; ".join(filter(None, (self._ram(), *devices)))

    def _ram(self) -> str:
        """Compared by the session itself, at the moment that counts."""
        return self._error.message if isinstance(self._error, InvariantError) else ""

    def _device(self, number: int) -> str:
        device, kept = self._session.guest.devices[number], self._folder / f"state{number}.bin"
        state = kept.read_bytes() if kept.exists() else b""
        if xxhash.xxh3_128(state).hexdigest() == device.data_digest():
            return ""
        return f"{device.model.name} was given {len(state)} bytes, not the {device.data_bytes} sent"

    def shut(self) -> int | None:
        return self._session.shut

    def remark(self) -> str:
        """A rule that did not do what it was to do: then this was not the order that was wanted."""
        said = "" if self._error is None else self._error.message
        return said if re.search(r"order rule \S+ .*(never fired|in vain)", said) else ""


async def to_destination(
    scenario: Scenario, launcher: Launcher, folder: Path, patience: Patience | None = None
) -> Verdict:
    """Our source sends under the rules; what the QEMU did.

    Raises:
        PeerError: it did not start.
        UsageError: a rule is not for a source, or the scenario's hand-off not one of QEMU's.
    """
    patience = patience or Patience()
    play = _Play(scenario, launcher, folder, patience.kill)
    recorder = Recorder("source", play.scenario)
    async with play.destination() as (machine, ram, target):
        host, port = (await migration.listen(machine))[4:].rsplit(":", 1)
        memory = Path(f"/proc/self/fd/{ram.fd}")
        session = QemuSession(play.scenario, NativeThreads(recorder.log.sink), target, memory)
        async with Pulse(machine) as pulse:
            error = await session.run(host, int(port))
            sent = _Sent(session, error, folder)
            return _remarked(await Judge(pulse, sent, patience).verdict(), sent.remark())


def _remarked(verdict: Verdict, remark: str) -> Verdict:
    if not remark:
        return verdict
    return replace(verdict, text="; ".join(filter(None, (remark, verdict.text))))


async def between(scenario: Scenario, launcher: Launcher, folder: Path) -> Verdict:
    """Two QEMUs migrate through a tap under the rules; what became of it.

    Raises:
        UsageError: the scenario's hand-off is not one of QEMU's, or the QEMU is too old for its devices.
    """
    if scenario.device and launcher.version < VFIO_MULTIFD:
        raise UsageError(f"QEMU {launcher.version_text} has no VFIO device state over multifd")
    options = pair.PairOptions(
        launcher, launcher, through=through_rules(scenario, Watch(scenario.limits.events)), limit=LIMIT
    )
    outcome = await pair.migrate(scenario, folder, options)
    return judged(outcome.result)


def judged(result: Result) -> Verdict:
    """A run between two QEMUs in the words of the table."""
    why = "; ".join(dict.fromkeys(result.reasons))
    if re.search(r"\(ended with signal (?!9\b)\d+\)", why):
        return Verdict(Kind.CRASH, why)
    broken = {one.name: one for one in result.broken()}
    if "ends" in broken:
        return Verdict(Kind.HANG, broken["ends"].detail, silent=LIMIT)
    lines = {one.line() for one in broken.values()}
    if any(reason not in lines for reason in result.reasons):  # an error, besides what it broke
        return Verdict(Kind.ERROR, why)
    told = "; ".join(one.detail for one in broken.values())
    return Verdict(Kind.WRONG if broken.keys() - {UNBOUNDED} else Kind.OK, told)
