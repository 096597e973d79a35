"""What goes by on a tapped main channel: sections by name, rounds of RAM, the way into the downtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from migemu.handoff.machine_types import machine_type
from migemu.qemu.receive_tail import runstate, split
from migemu.qemu.tap_rounds import MAIN
from migemu.qemu.tap_skim import PagesPassed
from migemu.wire import records as r
from migemu.wire.mainstream import SWITCHOVER_START

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.qemu.tap_watch import Watch

PAGE_SIZE: Final = 4096
WORD: Final = 8
"""Bytes before a page on the main channel."""

GLOBALSTATE: Final = "globalstate"

STOPPED: Final = ("src-downtime-start", "src-vm-stopped")
"""Checkpoints that SWITCHOVER_START shows to be behind."""


class MainSight:
    """Reads one main channel, on the thread that relays it.

    Attributes:
        complete: EOF has gone by.
        stopped: the guest has been stopped, as far as the wire tells.
        runstate: in which the source's VM was stopped.
        sections: (idstr, instance) of every section that began, in order.
    """

    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self.complete = False
        self.runstate = ""
        self.sections: list[tuple[str, int]] = []
        self._active = False
        self._eos_is_barrier = False
        self.stopped = False
        self._footer_at: float | None = None
        self._tail: r.Tail | None = None
        self._acts = self._table()

    def _table(self) -> dict[type, Callable[[Any], None]]:
        return {
            r.Configuration: self._configuration,
            r.SectionStart: self._section,
            r.SectionFull: self._section_full,
            r.SectionEnd: lambda _: self._guest_stopped(),
            r.Footer: self._footer,
            r.Command: self._command,
            r.RamBlocks: lambda _: self._watch.say("source", "connected", channels=len(self._watch.channels)),
            r.RamPage: lambda page: self._count(1, 0, WORD + len(page.data)),
            r.RamZero: lambda _: self._count(0, 1, WORD + 1),
            PagesPassed: self._pages,
            r.RamFlush: lambda _: self._watch.barrier(MAIN),
            r.RamEos: self._eos,
            r.VfioData: self._vfio_data,
            r.Tail: self._keep_tail,
            r.Opaque: lambda record: self._state_of(record.section.idstr, record.data),
            r.Eof: self._eof,
            r.VmDesc: self._vmdesc,
        }

    def record(self, record: Any) -> None:
        """The next record."""
        act = self._acts.get(type(record))
        if act is not None:
            act(record)

    def _configuration(self, record: r.Configuration) -> None:
        self._eos_is_barrier = not machine_type(record.machine).flush_word
        self._watch.say("source", "peer", what="stream", machine=record.machine)

    def _section(self, record: r.SectionStart | r.SectionFull) -> None:
        self._met(record.section_id, record.idstr, record.instance)

    def _section_full(self, record: r.SectionFull) -> None:
        self._iterables_over()
        self._section(record)

    def _met(self, section: int, idstr: str, instance: int) -> None:
        self.sections.append((idstr, instance))
        where = {"section": section, "idstr": idstr, "instance": instance}
        self._watch.say("destination", "qemu_loadvm_state_section_startfull", **where)

    def _footer(self, _record: r.Footer) -> None:
        if self.stopped and self._footer_at is not None:
            self._footer_at = self._watch.now()

    def _command(self, record: r.Command) -> None:
        self._watch.say("destination", "loadvm_process_command", command=record.number)
        if record.number == SWITCHOVER_START:
            self._guest_stopped()

    def _guest_stopped(self) -> None:
        if self.stopped:
            return
        self.stopped = True
        self._footer_at = self._watch.now()
        self._watch.say("source", "migrate_set_state", state="device")
        for checkpoint in STOPPED:
            self._watch.say("source", "vmstate_downtime_checkpoint", checkpoint=checkpoint)
        self._watch.say("source", "vm_state", running=False, runnable=True)

    def _iterables_over(self) -> None:
        """Only non-iterables are left: the iterables were out at the footer before."""
        if self._footer_at is not None:
            self._watch.said_at(
                self._footer_at, "vmstate_downtime_checkpoint", checkpoint="src-iterable-saved"
            )
            self._footer_at = None
            for device, size in self._watch.packets.over_main():
                told = {"device": device, "bytes": size}
                self._watch.say("source", "vfio_save_complete_precopy_thread_end", **told)

    # RAM

    def _count(self, pages: int, zero: int, size: int) -> None:
        self._watch.ram(MAIN, pages, zero, size)

    def _pages(self, record: PagesPassed) -> None:
        pages, zero = (0, record.count) if record.zero else (record.count, 0)
        self._count(pages, zero, record.count * WORD + pages * PAGE_SIZE + zero)

    def _eos(self, _record: r.RamEos) -> None:
        if self._eos_is_barrier or not self._watch.channels:
            self._watch.barrier(MAIN)
        if not self._active:
            self._active = True
            self._watch.say("source", "migrate_set_state", state="active")

    # devices

    def _vfio_data(self, record: r.VfioData) -> None:
        device, size = record.section.idstr, len(record.data)
        if not self.stopped:
            self._watch.say("source", "vfio_save_iterate", device=device, bytes=size)
            return
        if self._watch.locked(self._watch.packets.on_main, device, size):
            self._watch.say("source", "vfio_save_complete_precopy_thread_start", device=device)

    def _state_of(self, idstr: str, data: bytes) -> None:
        if idstr == GLOBALSTATE:
            self.runstate = runstate(data)

    # the end

    def _keep_tail(self, record: r.Tail) -> None:
        self._iterables_over()
        self._tail = record

    def _eof(self, _record: r.Eof) -> None:
        self._iterables_over()
        self.complete = True
        self._watch.say("source", "vmstate_downtime_checkpoint", checkpoint="src-non-iterable-saved")

    def _vmdesc(self, record: r.VmDesc) -> None:
        for section in split(self._tail, record) if self._tail is not None else ():
            self._met(section.section_id, section.idstr, section.instance)
            self._state_of(section.idstr, section.data)
