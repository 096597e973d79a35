"""A migration as the wire tells it: connections, packets and answers in, the events of both sides out.

The tap stands in the middle, so each event is told of the side that must just have caused it: what the source
sends as the source's, its arrival and what is answered as the destination's. What no byte tells (when the
guest stopped, when the destination's runs) is put where the wire first shows that it has happened: the guest
stopped before SWITCHOVER_START, the destination's runs before SHUT. So a downtime measured here is short by
what passes between.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from migemu.observe.events import EventLog
from migemu.qemu.tap_channel import RamSeen
from migemu.qemu.tap_main import MainSight
from migemu.qemu.tap_packets import Packets
from migemu.qemu.tap_rounds import Rounds
from migemu.threads.native import NativeThreads
from migemu.wire import returnpath

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.errors import MigemuError
    from migemu.qemu.tap_channel import DeviceSeen, PacketSeen
    from migemu.qemu.tap_rounds import Round
    from migemu.threads.api import Threads

LOADED: Final = (
    "dst-precopy-loadvm-completed",
    "dst-precopy-bh-enter",
    "dst-precopy-bh-announced",
    "dst-precopy-bh-vm-started",
)


class Watch:
    """Sees one migration go by; every method may be called from any thread.

    Args:
        limit: detail events kept a side.

    Attributes:
        logs: each side's events.
        packets: every device packet.
        main: what the main channel said.
        status: what SHUT said; None: it did not come.
        unseen: what could not be read, and why.
    """

    def __init__(self, limit: int = 100_000) -> None:
        self.logs = {side: EventLog(side, limit) for side in ("source", "destination")}
        self._threads = {side: NativeThreads(log.sink) for side, log in self.logs.items()}
        self._lock = self._threads["source"].lock("tap watch")
        self.packets = Packets()
        self._rounds = Rounds()
        self.main = MainSight(self)
        self.status: int | None = None
        self.unseen: list[str] = []
        self.channels: set[int] = set()
        self._failed = False

    @property
    def completed(self) -> bool:
        """Whether the destination said so, or nothing said otherwise of a source that wanted no answer."""
        return self.status == 0 or (self.status is None and self.main.complete and not self._failed)

    def say(self, side: str, event: str, /, **fields: Any) -> None:
        """An event of a side, now."""
        self._threads[side].point(event, **fields)

    def said_at(self, t: float, event: str, /, **fields: Any) -> None:
        """An event of the source's that has been understood only now."""
        self.logs["source"].sink(event, t, self._threads["source"].current(), fields)

    def seam(self, side: str) -> Threads:
        """The concurrency seam whose events are that side's."""
        return self._threads[side]

    def now(self) -> float:
        """CLOCK_MONOTONIC in seconds."""
        return self._threads["source"].now()

    def locked(self, call: Callable[..., Any], *args: Any, **named: Any) -> Any:
        """Call it, one thread at a time."""
        with self._lock:
            return call(*args, **named)

    # connections

    def begins(self, channel: int | str | None) -> None:
        """A connection is known to be that channel, or none."""
        if channel == "main":
            self.say("source", "migrate_set_state", state="setup")
        elif isinstance(channel, int):
            self.channels.add(channel)
            self.locked(self._rounds.join, channel)
            self.say("source", "multifd_new_send_channel_async", channel=channel)
            self.say("destination", "multifd_recv_new_channel", channel=channel)

    def ends(self, channel: int | str | None, torn: str) -> None:
        """The source sends no more on a connection; `torn`: inside what it broke off, empty if it did not."""
        if isinstance(channel, int):
            self.say("destination", "multifd_recv_channel_ended", channel=channel)
        if torn and self.status is None:
            self._failed = True
            where = {} if channel is None else {"channel": channel}
            self.say("source", "error", message=torn, **where)

    def refused(self, why: str) -> None:
        """A connection could not be passed on."""
        self._failed = True
        self.say("destination", "connection_refused", reason=why)

    def lost_sight(self, channel: int | str | None, error: MigemuError) -> None:
        """What follows on that channel cannot be read."""
        name = "a connection" if channel is None else f"channel {channel}"
        self.unseen.append(f"{name}: {error.message}")

    # multifd channels

    def packet(self, channel: int, packet: PacketSeen) -> None:
        """A packet went by."""
        if isinstance(packet, RamSeen):
            self._ram_packet(channel, packet)
        else:
            self._device_packet(channel, packet)

    def _device_packet(self, channel: int, packet: DeviceSeen) -> None:
        device, idx, size, config = packet
        if self.locked(self.packets.add, device, idx, channel, size, config=config):
            self.say("source", "vfio_save_complete_precopy_thread_start", device=device)
        if config:
            sent = self.packets.data_bytes(device)
            self.say("source", "vfio_save_complete_precopy_thread_end", device=device, bytes=sent)
        named = {"channel": channel, "device": device, "idx": idx, "bytes": size}
        self._passed(named | {"kind": "device", "config": config})

    def _ram_packet(self, channel: int, packet: RamSeen) -> None:
        number, block, pages, zero, size, sync = packet
        if pages or zero or not sync:
            self.ram(channel, pages, zero, size)
            kind = {"kind": "ram", "block": block}
        else:
            kind = {"kind": "sync"}
        self._passed({"channel": channel, "idx": number, "bytes": size, **kind})
        if sync:
            self.barrier(channel)

    def _passed(self, fields: dict[str, Any]) -> None:
        """Both sides' event of one packet."""
        t, thread = self.now(), f"channel {fields['channel']}"
        self.logs["source"].sink("multifd_send_packet", t, thread, fields)
        self.logs["destination"].sink("multifd_recv_packet", t, thread, fields)

    # rounds of RAM

    def ram(self, channel: int | str, pages: int, zero: int, size: int) -> None:
        """RAM went by on `channel`."""
        self.locked(self._rounds.add, channel, pages, zero, size)

    def barrier(self, channel: int | str) -> None:
        """`channel` passed a barrier."""
        with self._lock:
            self._rounds.barrier(channel)
            whole = list(self._rounds.whole())
        self._tell_rounds(whole)

    def last_round(self) -> None:
        """No RAM comes any more."""
        with self._lock:
            rest = list(self._rounds.rest())
        self._tell_rounds(rest)

    def _tell_rounds(self, rounds: list[tuple[int, Round]]) -> None:
        """One without a page is not told, there may be hundreds; 0 is the one with the guest stopped."""
        for number, done in rounds:
            if done.pages or done.zero:
                said = {"pages": done.pages, "zero": done.zero, "bytes": done.bytes, "pending": 0}
                self.say("source", "precopy_round", round=0 if self.main.stopped else number, **said)

    # the main channel and its answers

    def record(self, record: Any) -> None:
        """A record of the main channel went by."""
        self.main.record(record)

    def message(self, message: returnpath.Message) -> None:
        """The destination answered."""
        if message.type == returnpath.SWITCHOVER_ACK:
            self.say("source", "source_return_path_thread_switchover_acked", acks=1)
        elif message.type == returnpath.SHUT:
            self._shut(int.from_bytes(message.data))

    def _shut(self, status: int) -> None:
        self.status = status
        if status == 0:
            for checkpoint in LOADED:
                self.say("destination", "vmstate_downtime_checkpoint", checkpoint=checkpoint)
            self.say("destination", "vm_state", running=self.main.runstate == "running", runnable=True)
        else:
            self.say("destination", "error", message=f"it ended with status {status}")
        self.say("source", "source_return_path_thread_shut", status=status)
        self.say("source", "vm_state", running=False, runnable=status != 0)
        self.say("source", "migrate_set_state", state="failed" if status else "completed")

    def over(self) -> None:
        """Every connection is closed."""
        self.last_round()
        if self.status is None:
            self.say("source", "migrate_set_state", state="completed" if self.completed else "failed")
