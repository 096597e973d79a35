"""The incoming thread: QEMU's main thread while it loads a migration (``qemu_loadvm_state``).

It takes records from the main channel's queue and acts on them with the BQL held; where QEMU's coroutine
would yield to the main loop, that is when the main channel has no bytes, it drops the BQL.
"""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Any, Protocol

from migemu.destination.commands import Commands
from migemu.destination.mainchannel import End
from migemu.errors import ConnectionLostError, MigemuError, WireError
from migemu.handoff import agreement
from migemu.handoff.machine_types import machine_type
from migemu.wire import mainstream as ms
from migemu.wire import records, returnpath
from migemu.wire import vfio as words

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.destination.barrier import SyncBarrier
    from migemu.handoff.base import Handoff, Machine, Slot
    from migemu.ram import GuestRam, RamLoad
    from migemu.threads.sync import Queue


TOLD = 4
"""RAM blocks that an error names; a peer may list thousands."""


class Memory(Protocol):
    """Guest RAM as the incoming thread needs it."""

    ram: GuestRam
    load: RamLoad


class Incoming(Commands):
    """Acts on the main stream's records, in their order.

    Args:
        machine: devices, locks, clock.
        handoff: the design under test.
        queue: the records.
        barrier: where the multifd channels wait for RAM barriers.
        memory: guest RAM.
        reply: writes bytes to the return path.
        machine_name: this side's machine type; the stream's must be the same.
        uuid: this side's; a stream that says its own must say the same.
        max_commands: ``limits.max_commands``.
    """

    def __init__(
        self,
        machine: Machine,
        handoff: Handoff,
        queue: Queue[Any],
        barrier: SyncBarrier,
        memory: Memory,
        reply: Callable[[bytes], None],
        machine_name: str,
        *,
        uuid: bytes | None = None,
        max_commands: int = 100_000,
    ) -> None:
        super().__init__(machine, handoff, reply, max_commands)
        self._queue = queue
        self._barrier = barrier
        self._memory = memory
        self._machine_name = machine_name
        self._uuid = uuid
        self._flush_word = machine_type(machine_name).flush_word
        self._acts = self._table()
        self._unacked = {slot.name for slot in machine.slots.values() if slot.device.model.precopy}
        self._section_ids: dict[str, int] = {}
        self._ended = False
        self.on_eof: Callable[[], None] = lambda: None

    def _table(self) -> dict[type, Callable[[Any], None]]:
        return {
            records.FileHeader: lambda _: None,
            records.Configuration: self._configuration,
            records.SectionStart: self._section_start,
            records.SectionPart: lambda _: self._handoff.section_begins(whole=False),
            records.SectionEnd: self._section_end,
            records.SectionFull: self._section_full,
            records.Footer: lambda _: self._handoff.section_ends(),
            records.Command: self._command,
            records.RamBlocks: self._ram_blocks,
            records.RamPage: self._ram_page,
            records.RamZero: self._ram_zero,
            records.RamFlush: self._ram_flush,
            records.RamEos: self._ram_eos,
            records.VfioWord: self._vfio_word,
            records.VfioData: self._vfio_data,
            records.VfioConfig: self._vfio_config,
            records.VfioDataCount: self._vfio_data_count,
            records.Opaque: self._opaque,
            records.Tail: lambda _: None,
            records.Eof: self._eof,
            records.VmDesc: lambda _: None,
            End: self._end,
        }

    def load_stream(self) -> None:
        """Act on records until the main stream has ended and every device is loaded. BQL held by the caller.

        Raises:
            MigemuError: what ended the migration.
        """
        self._handoff.load_setup()
        self.phase = "active"
        with self._handoff.stream():
            while not self._ended:
                self.act(self.next_record())

    def next_record(self) -> Any:
        """The next record; the BQL is dropped, as the design says, only if there is none yet."""
        record = self._queue.poll()
        if record is None:
            with self._handoff.idle():
                record = self._queue.get(self._machine.patience)
        return record

    def act(self, record: Any) -> None:
        """Act on one record; BQL held.

        Raises:
            MigemuError: it has no place here, or what it asks for failed.
        """
        self._acts[type(record)](record)

    def _configuration(self, record: records.Configuration) -> None:
        try:
            agreement.same_machine(record.machine, self._machine_name)
            agreement.same_vm(record.uuid, self._uuid)
        except WireError:
            self._hear_how_to_answer()
            raise

    def _hear_how_to_answer(self) -> None:
        """The command behind CONFIGURATION opens the way back: without it the source would not learn why."""
        with suppress(MigemuError):
            record = self.next_record()
            if isinstance(record, records.Command):
                self._command(record)

    # sections

    def _section_start(self, record: records.SectionStart) -> None:
        self._handoff.section_begins(whole=True)
        if (slot := self._device(record.idstr)) is not None:
            self._section_ids[slot.name] = record.section_id

    def _section_end(self, record: records.SectionEnd) -> None:
        self._handoff.section_begins(whole=False)
        for name, section_id in self._section_ids.items():
            if section_id == record.section_id:
                self._handoff.device_end(self._machine.slot(name))

    def _section_full(self, record: records.SectionFull) -> None:
        self._handoff.section_begins(whole=True)
        if (slot := self._device(record.idstr)) is not None:
            self._handoff.device_full(slot)

    def _device(self, name: str) -> Slot | None:
        """The VFIO device whose section this is; None for another's section."""
        return self._machine.slot(name) if name.endswith("/vfio") else None

    # RAM

    def _ram_blocks(self, record: records.RamBlocks) -> None:
        ours = {block.id: block.size for block in self._memory.ram.blocks if block.size}
        theirs = {block.id: block.used_length for block in record.blocks}
        wrong = [name for name in {**ours, **theirs} if ours.get(name) != theirs.get(name)]
        if wrong:
            told = [f"{name} {_size(theirs, name)} there, {_size(ours, name)} here" for name in wrong[:TOLD]]
            more = ["..."] if len(wrong) > TOLD else []
            raise WireError(f"RAM blocks differ: {'; '.join(told + more)}", channel="main")

    def _ram_page(self, record: records.RamPage) -> None:
        self._memory.load.place(record.block, [record.offset], record.data.view, [])
        record.data.release()

    def _ram_zero(self, record: records.RamZero) -> None:
        self._memory.load.place(record.block, [], memoryview(b""), [record.offset])

    def _ram_flush(self, _record: records.RamFlush) -> None:
        if not self._flush_word:
            raise WireError("MULTIFD_FLUSH from a machine type whose barrier is EOS", channel="main")
        self._wait_at_barrier()

    def _ram_eos(self, _record: records.RamEos) -> None:
        if not self._flush_word:
            self._wait_at_barrier()

    def _wait_at_barrier(self) -> None:
        with self._handoff.at_barrier():
            self._barrier.wait()

    # devices

    def _vfio_word(self, record: records.VfioWord) -> None:
        slot = self._machine.slot(record.section.idstr)
        if record.word == words.INIT_DATA_SENT:
            self._machine.threads.point("vfio_load_state_init_data_sent", device=slot.name)
            self._initial_data_in(slot.name)
        elif record.word == words.CONFIG_LOAD_READY:
            self._handoff.config_load_ready(slot)
        elif record.word == words.END_OF_STATE:
            self._handoff.end_of_state(slot)

    def _initial_data_in(self, name: str) -> None:
        """INIT_DATA_SENT of one device; the last one acknowledges the switchover (S1)."""
        if name not in self._unacked:
            raise WireError("unexpected INIT_DATA_SENT", device=name, channel="main")
        self._unacked.discard(name)
        if not self._unacked:
            self._reply(returnpath.encode(returnpath.SWITCHOVER_ACK))

    def _vfio_data(self, record: records.VfioData) -> None:
        try:
            self._handoff.main_data(self._machine.slot(record.section.idstr), record.data.view)
        finally:
            record.data.release()

    def _vfio_config(self, record: records.VfioConfig) -> None:
        self._handoff.main_config(self._machine.slot(record.section.idstr), record.data)

    def _vfio_data_count(self, record: records.VfioDataCount) -> None:
        self._handoff.main_data_count(self._machine.slot(record.section.idstr), record.count)

    def _opaque(self, record: records.Opaque) -> None:
        """A platform device of migemu's own: the interrupt controller, or state that asks for nothing."""
        if record.section.idstr != ms.INTERRUPT_CONTROLLER:
            return
        self._machine.threads.sleep(self._machine.interrupt_controller_load_time)
        self._machine.platform.interrupt_controller_loaded()
        self._machine.threads.point("interrupt_controller_loaded")

    # the end

    def _eof(self, _record: records.Eof) -> None:
        self.phase = "eof"
        with self._machine.without_bql():
            self.on_eof()
        self._handoff.stream_end()
        self._ended = True

    def _end(self, record: End) -> None:
        if record.error is not None:
            raise record.error
        before = "it gave up its VM" if self.phase == "commit" else "EOF"
        raise ConnectionLostError(f"the source closed the main channel before {before}", channel="main")


def _size(blocks: dict[str, int], name: str) -> str:
    return f"of {blocks[name]} bytes" if name in blocks else "not"
