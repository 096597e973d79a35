"""The incoming side of a QEMU's migration: the house's own core, told by the stream what it is to be.

A QEMU sends no announcement, no digests and no START; its machine, RAM and devices are whatever they are. So
RAM is laid out from the stream's block list, and devices and hand-off come with the stream
(:mod:`migemu.qemu.receive_incoming`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from migemu.destination.core import Core
from migemu.destination.finish import Finish
from migemu.destination.plan import Plan
from migemu.errors import InvariantError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from migemu.handoff.base import Handoff, Slot
    from migemu.qemu.receive_ack import Acks
    from migemu.qemu.receive_check import Verdict
    from migemu.qemu.receive_incoming import QemuIncoming
    from migemu.qemu.receive_keep import Keep
    from migemu.threads.sync import Bql
    from migemu.vfio.load import LoadDevice


@dataclass(kw_only=True)
class QemuPlan(Plan):
    """What differs from a plan for a source that is migemu."""

    flush_word: bool
    """The barrier is FLUSH; else every EOS is one."""
    acks: Acks
    make_device: Callable[[str, int, Bql], LoadDevice]
    choose: Callable[[bool], type[Handoff]]
    """The hand-off, given whether SWITCHOVER_START came and there are channels."""
    check: Callable[[QemuCore], Iterable[Verdict]]
    """Hold what was loaded against what the source has."""
    keep: Keep | None = None


class QemuCore(Core):
    """A destination whose devices come with the stream."""

    plan: QemuPlan
    incoming: QemuIncoming

    def _make_machine(self) -> None:
        self._waiting: list[Callable[[], None]] = []
        super()._make_machine()
        self.incoming.join(self)

    def new_device(self, name: str, instance: int) -> Slot:
        """A device's section begins: make it and let it resume."""
        slot = self.add_device(self.plan.make_device(name, instance, self.bql))
        slot.device.load_setup()
        self._let_in()
        return slot

    def use(self, kind: type[Handoff]) -> Handoff:
        """From now on that hand-off decides."""
        self.machine.platform.config_needs_bql = kind.design.bql_for_config
        self.handoff = kind(self.machine)
        self.handoff.load_setup()
        self._let_in()
        return self.handoff

    def is_known(self, device: str) -> bool:
        """Whether a packet of that device may be read: it is there, or by now it should be."""
        return device in self.machine.slots or self.incoming.decided

    def when_known(self, device: str, call: Callable[[], None]) -> None:
        """Have `call` called, from any thread, once :meth:`is_known` may say otherwise."""
        self._waiting.append(call)
        if self.is_known(device):
            self._let_in()

    def _let_in(self) -> None:
        waiting, self._waiting = self._waiting, []
        for call in waiting:
            call()


class QemuFinish(Finish):
    """The end with a QEMU: what can be verified here is, then SHUT; nobody gives anything up."""

    _core: QemuCore

    def run(self) -> None:
        """Everything after the stream.

        Raises:
            InvariantError: what was loaded is not what the source has.
        """
        self._checkpoint("dst-precopy-loadvm-completed")
        self.loaded = self._digests()
        self._keep()
        self._hold_against_source()
        self._checkpoint("dst-precopy-bh-enter")
        self._start()
        self._goodbye()

    def _keep(self) -> None:
        keep, incoming = self._core.plan.keep, self._core.incoming
        if keep is not None:
            keep.ram(self._core.memory.ram)
            keep.sections(incoming.sections, incoming.description)

    def _hold_against_source(self) -> None:
        wrong = []
        for verdict in self._core.plan.check(self._core):
            named = {} if verdict.device is None else {"device": verdict.device}
            self._core.threads.point(
                "verify", what=verdict.what, ok=verdict.ok, detail=verdict.detail, **named
            )
            if not verdict.ok:
                wrong.append(f"{verdict.name}: {verdict.detail}")
        if wrong:
            raise InvariantError(f"differs from the source: {'; '.join(wrong)}", invariant="data-intact")
