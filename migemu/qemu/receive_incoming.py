"""What a QEMU's main stream makes the incoming thread do.

A device is made when its section begins, the hand-off is chosen at the switchover, and the device sections
behind it, whose form only their devices know, are cut by the stream's own description.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from migemu.destination.incoming import Incoming
from migemu.destination.mainchannel import End
from migemu.errors import PeerTimeoutError, WireError
from migemu.qemu.receive_pages import PageRun
from migemu.qemu.receive_tail import device_body, is_vfio, runstate, split
from migemu.threads.sync import Patience
from migemu.wire import records as r
from migemu.wire import returnpath
from migemu.wire import vfio as words
from migemu.wire.mainstream import COMMANDS, POSTCOPY_ADVISE, RAM_SECTION, SWITCHOVER_START

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.handoff.base import Slot
    from migemu.qemu.receive_core import QemuCore
    from migemu.wire.tail import TailSection

DESCRIPTION_SECONDS = 1.0
"""How long a description may take to follow EOF; a source may have been told to send none."""


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
