"""QEMU's trace points and what the words of their lines mean: one table, as ``HANDLERS``.

Most of our events bear the name of a QEMU trace point, so a line is mostly its own event; what QEMU leaves
out (sizes, queued bytes, rounds of RAM) is counted here from what it says. Read off 10.0.13 and 11.1.3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from migemu.qemu.traceseen import INCOMING, THREAD

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from migemu.qemu.traceseen import Line, Said, Seen

PACKET_HEADER: Final = 1344
"""Bytes of a multifd RAM or SYNC packet before its pages."""

PAGE: Final = 4096
"""Bytes of a guest page."""

SYNC: Final = 1
"""The packet flag of a barrier packet."""

DEV_DATA_STATE: Final = 0xFFFFFFFFEF100004
"""The word before a block of device data on the main channel."""

LOAD_START: Final = "vfio_load_state_device_buffer_load_start"
LOAD_END: Final = "vfio_load_state_device_buffer_load_end"


def _last_word(event: str, name: str) -> Handler:
    def handle(_: Seen, line: Line) -> Iterator[Said]:
        yield event, {name: line.words[-1]}

    return handle


def _channel(event: str, before: str) -> Handler:
    def handle(_: Seen, line: Line) -> Iterator[Said]:
        yield event, {"channel": line.after(before)}

    return handle


def _of_device(event: str) -> Handler:
    def handle(seen: Seen, line: Line) -> Iterator[Said]:
        yield event, {"device": seen.device(line)}

    return handle


def _barrier(event: str) -> Handler:
    def handle(seen: Seen, _: Line) -> Iterator[Said]:
        seen.count["barriers"] += 1
        yield event, {"round": seen.count["barriers"]}

    return handle


def _packet(_: Seen, line: Line) -> Iterator[Said]:
    """RAM and SYNC packets as they arrive; device packets pass another trace point, see `_incoming`."""
    sync = bool(line.after("flags") & SYNC)
    size = PACKET_HEADER + (0 if sync else line.after("size"))
    fields = {"channel": line.after("channel"), "idx": line.after("packet_num"), "bytes": size}
    yield "multifd_recv_packet", fields | {"kind": "sync" if sync else "ram"}


def _ram_packet(seen: Seen, line: Line) -> Iterator[Said]:
    """``channel 1 normal pages 31 zero pages 97``: counted until the round ends."""
    seen.count.update(packets=1, normal=int(line.words[4]), zero=int(line.words[7]))
    return iter(())


def _round(seen: Seen, line: Line) -> Iterator[Said]:
    """A look at the dirty log ends the round before it."""
    yield from _ended_round(seen, line.after("dirty_pages") * PAGE)


def _checkpoint(seen: Seen, line: Line) -> Iterator[Said]:
    """With the iterables saved, the last round, of the stopped guest, has ended too."""
    if line.words[-1] == "src-iterable-saved":
        yield from _ended_round(seen, 0)
    yield line.point, {"checkpoint": line.words[-1]}


def _ended_round(seen: Seen, pending: int) -> Iterator[Said]:
    """What was counted since the round before; a round without a page is not worth an event."""
    packets, normal, zero = (seen.count.pop(name, 0) for name in ("packets", "normal", "zero"))
    if packets:
        seen.count["rounds"] += 1
        size = normal * PAGE + packets * PACKET_HEADER
        fields = {"round": seen.count["rounds"], "pages": normal + zero, "zero": zero, "bytes": size}
        yield "precopy_round", fields | {"pending": pending}


def _receive_thread(seen: Seen, line: Line) -> Iterator[Said]:
    if line.thread:
        seen.channels[line.thread] = int(line.words[0])
    return iter(())


def _incoming(seen: Seen, line: Line) -> Iterator[Said]:
    """A device packet is in. One whose size no source device told is the config packet."""
    device, idx = seen.device(line), line.after("idx")
    size = seen.sizes.get((device, idx), 0)
    seen.queued[device] += size
    if line.thread in seen.channels:
        fields = {"channel": seen.channels[line.thread], "idx": idx, "bytes": size, "kind": "device"}
        yield "multifd_recv_packet", fields | {"device": device, "config": not size}
    if size:
        yield line.point, {"device": device, "idx": idx, "queued": seen.queued[device], "bytes": size}


def _starved(seen: Seen, line: Line) -> Iterator[Said]:
    yield line.point, {"device": seen.device(line), "idx": line.after("idx")}


def _load_start(seen: Seen, line: Line) -> Iterator[Said]:
    device, idx = seen.device(line), line.after("idx")
    yield line.point, {"device": device, "idx": idx, "bytes": seen.sizes.get((device, idx), 0)}


def _load_end(seen: Seen, line: Line) -> Iterator[Said]:
    device, idx = seen.device(line), line.after("idx")
    size = seen.sizes.get((device, idx), 0)
    seen.queued[device] -= size
    seen.loaded[device] += size
    yield line.point, {"device": device, "idx": idx, "bytes": size}


def _save_end(seen: Seen, line: Line) -> Iterator[Said]:
    device = seen.device(line)
    size = sum(size for (owner, _), size in seen.sizes.items() if owner == device)
    yield line.point, {"device": device, "bytes": size}


def _main_block(seen: Seen, line: Line) -> Iterator[Said]:
    """A word of a device's main-channel section; with a block of stop-copy data a load begins."""
    device = seen.device(line)
    if line.after("data") == DEV_DATA_STATE and seen.precopy[device] <= 0:
        seen.since[device] = line.t
        yield LOAD_START, {"device": device, "idx": seen.blocks[device], "bytes": 0, THREAD: INCOMING}


def _main_block_in(seen: Seen, line: Line) -> Iterator[Said]:
    device, size = seen.device(line), line.after("size")
    if seen.precopy[device] > 0:
        seen.precopy[device] -= size
        return
    yield LOAD_END, {"device": device, "idx": seen.blocks[device], "bytes": size, THREAD: INCOMING}
    yield seen.held(device, line.t)
    seen.blocks[device] += 1


def _thread_start(seen: Seen, line: Line) -> Iterator[Said]:
    device = seen.device(line)
    seen.loaders.add(device)
    yield line.point, {"device": device}


def _thread_end(seen: Seen, line: Line) -> Iterator[Said]:
    device = seen.device(line)
    yield line.point, {"device": device, "bytes": seen.loaded[device]}


def _config_start(seen: Seen, line: Line) -> Iterator[Said]:
    device = seen.device(line)
    seen.since[device] = line.t
    yield line.point, {"device": device, THREAD: seen.loader(device)}


def _config_end(seen: Seen, line: Line) -> Iterator[Said]:
    device = seen.device(line)
    yield line.point, {"device": device, THREAD: seen.loader(device)}
    yield seen.held(device, line.t)


def _run_state(_: Seen, line: Line) -> Iterator[Said]:
    """``… 6 (prelaunch) new_state 9 (running)``: only whether the VM runs matters here."""
    before, after = (line.words[place] == "(running)" for place in (2, 5))
    if before != after:
        yield "vm_state", {"running": after, "runnable": True}


def _section_in(seen: Seen, line: Line) -> Iterator[Said]:
    """``arm_gicv3 end/0`` (10.0) or ``arm_gicv3`` (11.1): a section, or a part of one, was loaded well."""
    if line.words[0] == seen.interrupt_controller and line.words[1:] in ((), ("end/0",)):
        yield "interrupt_controller_loaded", {THREAD: INCOMING}


def _load_setup(seen: Seen, line: Line) -> Iterator[Said]:
    """Devices tell their own states, step by step; of QEMU's word only the begin of a load is needed."""
    if seen.side == "destination" and line.words[-1] == "RESUMING":
        yield "vfio_load_setup", {"device": seen.device(line)}


if TYPE_CHECKING:
    Handler = Callable[[Seen, Line], Iterator[Said]]

HANDLERS: Final[Mapping[str, Handler]] = {
    "runstate_set": _run_state,
    "migrate_set_state": _last_word("migrate_set_state", "state"),
    "vmstate_downtime_checkpoint": _checkpoint,
    "migration_bitmap_sync_end": _round,
    "multifd_send_ram_fill": _ram_packet,
    "multifd_recv_unfill": _packet,
    "multifd_send_sync_main": _barrier("multifd_send_sync_main"),
    "multifd_recv_sync_main": _barrier("multifd_recv_sync_main"),
    "multifd_recv_sync_main_wait": _channel("multifd_recv_sync_main_wait", "iter"),
    "multifd_recv_sync_main_signal": _channel("multifd_recv_sync_main_signal", "channel"),
    "multifd_recv_new_channel": _channel("multifd_recv_new_channel", "channel"),
    "multifd_recv_thread_start": _receive_thread,
    "multifd_recv_thread_end": _channel("multifd_recv_channel_ended", "channel"),
    "vfio_save_setup": _of_device("vfio_save_setup"),
    "vfio_save_complete_precopy_thread_start": _of_device("vfio_save_complete_precopy_thread_start"),
    "vfio_save_complete_precopy_thread_end": _save_end,
    "vfio_migration_set_device_state": _load_setup,
    "vfio_load_state": _main_block,
    "vfio_load_state_device_data": _main_block_in,
    "vfio_load_bufs_thread_start": _thread_start,
    "vfio_load_bufs_thread_end": _thread_end,
    "vfio_load_state_device_buffer_incoming": _incoming,
    "vfio_load_state_device_buffer_starved": _starved,
    LOAD_START: _load_start,
    LOAD_END: _load_end,
    "vfio_load_state_device_buffer_end": _of_device("config_ready"),
    "vfio_load_device_config_state_start": _config_start,
    "vfio_load_device_config_state_end": _config_end,
    "vmstate_load_state_end": _section_in,
    "vmstate_load_state_success": _section_in,
}
"""What each trace point's line says, in our events."""

SECTION_POINTS: Final = ("vmstate_load_state_end", "vmstate_load_state_success")
"""Wanted only where a platform's section matters: each structure of each section passes them."""

TRACE_POINTS: Final = tuple(name for name in HANDLERS if name not in SECTION_POINTS)
"""What to switch on. QEMU warns of a name it does not know and goes on, so one list serves all versions."""
