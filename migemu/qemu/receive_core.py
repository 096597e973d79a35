"""The incoming side of a QEMU's migration: the house's own core, told by the stream what it is to be.

A QEMU sends no announcement, no digests and no START; its machine, RAM and devices are whatever they are. So
RAM is laid out from the stream's block list, a device is made when its section begins, the hand-off is chosen
at the switchover, and the device sections behind it, whose form only their devices know, are cut by the
stream's own description.
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from migemu.destination.core import Core, Plan
from migemu.destination.finish import Finish
from migemu.destination.incoming import Incoming
from migemu.destination.mainchannel import End
from migemu.errors import InvariantError, PeerTimeoutError, WireError
from migemu.qemu.receive_pages import PageRun
from migemu.qemu.receive_tail import device_body, is_vfio, runstate, split
from migemu.threads.sync import Patience
from migemu.wire import records as r
from migemu.wire import returnpath
from migemu.wire import vfio as words
from migemu.wire.mainstream import COMMANDS, POSTCOPY_ADVISE, RAM_SECTION, SWITCHOVER_START

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from migemu.handoff.base import Handoff, Slot
    from migemu.qemu.receive_ack import Acks
    from migemu.qemu.receive_check import Verdict
    from migemu.qemu.receive_keep import Keep
    from migemu.threads.sync import Bql
    from migemu.vfio.load import LoadDevice
    from migemu.wire.tail import TailSection

DESCRIPTION_SECONDS = 1.0
"""How long a description may take to follow EOF; a source may have been told to send none."""


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


class QemuIncoming(Incoming):
    """Acts on a QEMU's main stream.

    Attributes:
        decided: the hand-off is chosen, and no new device comes.
        sections: what was met, as JSON-able rows.
        description: the stream's own.
        runstate: in which the source says its VM was stopped.
    """

    decided = False

    def join(self, core: QemuCore) -> None:
        """Be part of `core`."""
        self._core = core
        self._plan = core.plan
        self._flush_word = core.plan.flush_word
        self._tail: r.Tail | None = None
        self._reached: set[str] = set()
        self._full: str | None = None
        self.sections: list[dict[str, Any]] = []
        self.description: bytes | None = None
        self.runstate = ""

    def _table(self) -> dict[type, Callable[[Any], None]]:
        return super()._table() | {
            r.Configuration: lambda _: None,  # looked at in the opening
            r.SectionPart: self._section_part,
            r.Tail: self._keep_tail,
            PageRun: lambda run: run.load(self._memory.load),
            r.VmDesc: self._vmdesc,
        }

    def load_stream(self) -> None:
        """As for any source; what a hand-off wants around the stream begins when it is chosen."""
        self.phase = "active"
        with ExitStack() as self._around:
            while not self._ended:
                self.act(self.next_record())

    def _decide(self, *, multifd: bool) -> None:
        """Loading may begin: choose the hand-off."""
        if self.decided:
            return
        self.decided = True
        kind = self._plan.choose(multifd and self._plan.channels > 0)
        self._handoff = self._core.use(kind)
        self._around.enter_context(self._handoff.stream())

    # sections

    def _met(self, section_id: int, idstr: str, instance: int, version: int, **more: Any) -> None:
        """Name a section."""
        row = {"id": section_id, "idstr": idstr, "instance": instance, "version": version, **more}
        self.sections.append(row)
        self._machine.threads.point(
            "qemu_loadvm_state_section_startfull", section=section_id, idstr=idstr, instance=instance
        )

    def _device(self, name: str) -> Slot | None:
        return self._machine.slot(name) if is_vfio(name) else None

    def _section_start(self, record: r.SectionStart) -> None:
        self._met(record.section_id, record.idstr, record.instance, record.version, kind="START")
        if is_vfio(record.idstr) and record.idstr not in self._machine.slots:
            self._core.new_device(record.idstr, record.instance)
        self._section_ids[record.idstr] = record.section_id
        self._handoff.section_begins(whole=True)

    def _section_part(self, record: r.SectionPart) -> None:
        self._handoff.section_begins(whole=False)
        name = self._name(record.section_id)
        if name == RAM_SECTION and self._plan.acks.round_begins():
            self._acknowledge()
        elif name is not None and is_vfio(name):
            self._plan.acks.part(name)

    def _name(self, section_id: int) -> str | None:
        return next((name for name, known in self._section_ids.items() if known == section_id), None)

    def _section_end(self, record: r.SectionEnd) -> None:
        name = self._name(record.section_id)
        if name is not None and is_vfio(name):
            self._decide(multifd=False)
            self._handoff.section_begins(whole=False)
            self._handoff.device_end(self._machine.slot(name))
        else:
            self._handoff.section_begins(whole=False)

    def _section_full(self, record: r.SectionFull) -> None:
        self._met(record.section_id, record.idstr, record.instance, record.version, kind="FULL")
        self._full = record.idstr
        super()._section_full(record)

    def _opaque(self, record: r.Opaque) -> None:
        self._state_of(record.section.idstr, record.data)

    def _state_of(self, idstr: str, data: bytes) -> None:
        if idstr == "globalstate":
            self.runstate = runstate(data)

    # commands

    def _command(self, record: r.Command) -> None:
        known = COMMANDS.get(record.number)
        if record.number == POSTCOPY_ADVISE:
            return  # postcopy may be used later, or not
        if known is not None and SWITCHOVER_START > record.number > POSTCOPY_ADVISE:
            raise WireError(f"command {known.name}: migemu does not speak it", channel="main")
        super()._command(record)

    def _switchover_start(self, data: bytes) -> None:
        self._decide(multifd=True)
        super()._switchover_start(data)

    # devices

    def _initial_data_in(self, name: str) -> None:
        if self._plan.acks.initial_data(name):
            self._acknowledge()

    def _acknowledge(self) -> None:
        if self.return_path:
            self._reply(returnpath.encode(returnpath.SWITCHOVER_ACK))

    def _vfio_word(self, record: r.VfioWord) -> None:
        if self._full == record.section.idstr and record.word in (
            words.END_OF_STATE,
            words.CONFIG_LOAD_READY,
        ):
            self._reach(self._machine.slot(record.section.idstr))
            return
        super()._vfio_word(record)

    def _vfio_data(self, record: r.VfioData) -> None:
        if self.decided and self._handoff.started and self._handoff.design.data == "multifd":
            record.data.release()
            told = "the source sends device state on the main channel although multifd is on: its "
            told += 'x-migration-multifd-transfer is off, so set handoff = "main-channel" here'
            raise WireError(told, device=record.section.idstr, channel="main")
        super()._vfio_data(record)

    def _reach(self, slot: Slot) -> None:
        """A device's place among the non-iterables was reached; for some hand-offs its config may go in."""
        if slot.name in self._reached:
            return
        self._reached.add(slot.name)
        if self._handoff.design.config_load_ready:
            self._handoff.config_load_ready(slot)

    # the end

    def _keep_tail(self, record: r.Tail) -> None:
        self._tail = record

    def _eof(self, record: r.Eof) -> None:
        if self._tail is None:
            self._await_description()
            self._all_reached(record)

    def _await_description(self) -> None:
        """Nothing behind EOF is needed, but a description is worth keeping."""
        with self._handoff.idle():
            patience = Patience(self._machine.threads, DESCRIPTION_SECONDS)
            try:
                record = self._queue.get(patience)
            except PeerTimeoutError:
                return
        if isinstance(record, r.VmDesc):
            self.description = record.json
        elif isinstance(record, End) and record.error is not None:
            raise record.error

    def _vmdesc(self, record: r.VmDesc) -> None:
        """The device sections can be told apart now."""
        self.description = record.json
        if self._tail is not None:
            for section in split(self._tail, record):
                self._tail_section(section)
            self._all_reached(r.Eof())

    def _tail_section(self, section: TailSection) -> None:
        size = len(section.data)
        where = section.section_id, section.idstr, section.instance, section.version
        self._met(*where, kind="FULL", bytes=size)
        self._state_of(section.idstr, section.data)
        if not is_vfio(section.idstr):
            return
        self._decide(multifd=False)
        self._handoff.section_begins(whole=True)
        slot, body = self._machine.slot(section.idstr), device_body(section)
        self._handoff.device_full(slot)
        if body.config is not None:
            self._handoff.main_config(slot, body.config)
        self._reach(slot)
        self._handoff.section_ends()

    def _all_reached(self, record: r.Eof) -> None:
        """A device without a section of its own has nothing to wait for either."""
        for slot in self._machine.slots.values():
            self._reach(slot)
        super()._eof(record)


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
