"""What happens in a controlled run, in migration words: events and waits as people would tell them."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from migemu.wire.mainstream import COMMANDS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BREAKS = "BREAKS "
FAILS = "FAILS: "
"""What a broken invariant and an error of the migration are told with."""

EVENTS: Mapping[str, str] = {
    "main_channel_brings": "brings {what}",
    "migration_accepted": "is taken for {place}",
    "vfio_load_setup": "sets up {device}",
    "vfio_load_state_device_buffer_starved": "finds idx {idx} of {device} missing",
    "vfio_load_state_device_buffer_load_end": "writes idx {idx} of {device}",
    "config_ready": "has all data of {device}",
    "vfio_load_device_config_state_start": "begins to load the config of {device}",
    "vfio_load_device_config_state_end": "has loaded the config of {device}",
    "vfio_load_bufs_thread_start": "begins",
    "vfio_load_bufs_thread_end": "has loaded {device}",
    "interrupt_controller_loaded": "loads the interrupt controller",
    "multifd_recv_sync": "stops at SYNC",
    "multifd_recv_sync_main_wait": "meets FLUSH",
    "multifd_recv_sync_main": "passes the barrier",
    "multifd_recv_channel_ended": "closes",
    "vfio_save_complete_precopy_thread_start": "begins",
    "vfio_save_complete_precopy_thread_end": "has handed over {device}",
    "socket_written": "writes {what}",
    "load_complete_ack": "acknowledges {device}",
    "multifd_new_send_channel": "is {state}",
    "multifd_send_shutdown": "cleans up",
    "multifd_send_channel_found": "finds channel {channel} free",
    "load_finish_ready_broadcast": "has broadcast, the flag not set yet",
    "error": FAILS + "{message}",
}
"""Event to what is said of it; what is not here is not worth a word."""

WAITS: Mapping[str, str] = {
    r"the main channel filled": "the main channel",
    r"load_bufs_buffer_ready (.+)": r"buffers of \1",
    r"load_bufs_iter_done (.+)": r"CONFIG_LOAD_READY of \1",
    r"load_bufs_thread_finished (.+)": r"the end of load \1",
    r"load_finish_ready_broadcast": "a device that is finished",
    r"data in (.+) posted": r"all data of \1",
    r"load threads ended": "the load threads",
    r"all channels at SYNC": "every channel's SYNC",
    r"channel (\d+) read on": r"leave to read on",
    r"save threads ended": "the save threads",
    r"channels_ready": "a free channel",
    r"channels_ready posted": "a token for a free channel",
    r"channel written": "a channel that has written",
    r"channels_created": "every channel to be tried",
    r"migration over": "the end of the migration",
}
"""A condition's name to what is waited for."""

LOCKS: Mapping[str, str] = {
    r"the main channel lock": "looks for what the main channel has brought",
    r"session": "says that the migration is over",
    r"sync barrier": "comes to SYNC",
    r"channel (\d+)": r"has channel \1 read on",
}
"""Locks of the machinery to what they are taken for; QEMU's own are called by their names."""


OWN = ("migration over", "has something to write")
"""Waits with these parts only tell how the machinery is built."""
QUIET = (*OWN, "main channel filled")
"""And so do wake-ups with these."""


def words(note: str) -> str | None:
    """One note of a step's trace, told; None when it is not worth telling."""
    head, _, rest = note.partition(" ")
    if head in PLAIN:
        return PLAIN[head](note)
    fields = {name: short(value) for name, value in fields_of(rest).items()}
    if head in SPECIAL:
        return SPECIAL[head](fields)
    template = EVENTS.get(head)
    return None if template is None else template.format_map(fields)


def _waits(note: str) -> str | None:
    if any(part in note for part in OWN):
        return None
    return f"waits for {waited_for(note.removeprefix('waits on '))}"


def waited_for(condition: str) -> str:
    """What somebody waits for who waits on a condition of this name."""
    return _translated(short(condition), WAITS)


def _translated(text: str, table: Mapping[str, str]) -> str:
    for pattern, said in table.items():
        if (found := re.fullmatch(pattern, text)) is not None:
            return found.expand(said)
    return text


def stands(doing: str) -> str:
    """What a thread stands before, with or without its name: ``incoming takes BQL``."""
    text = short(doing)
    before, takes, lock = text.rpartition("takes ")
    if takes and text.startswith("main channel takes"):
        return f"{before}brings more"
    if takes and (said := _translated(lock, LOCKS)) != lock:
        return before + said
    before, waits, condition = text.rpartition("comes back from waiting on ")
    return f"{before}has waited for {waited_for(condition)}" if waits else text


def stuck(wait: str) -> str:
    """One line of who waits for what."""
    text = short(wait)
    thread, waits, rest = text.partition(" waits on ")
    condition, opens, more = rest.partition(" (")
    return f"{thread} waits for {waited_for(condition)}{opens}{more}" if waits else text


def _wakes(note: str) -> str | None:
    if any(part in note for part in QUIET):
        return None
    return short(note.partition(" from ")[0])


def _meets(note: str) -> str:
    return f"FAULT: {short(note.removeprefix('meets ')).strip()}"


def _spawns(note: str) -> str:
    return short(note).replace("spawns", "starts")


def _packet(fields: Mapping[str, str]) -> str:
    kind = fields.get("kind")
    if kind == "sync":
        return "SYNC arrives"
    if kind == "ram":
        return f"a page of {fields.get('block')} arrives"
    what = "the config, idx" if fields.get("config") == "True" else "idx"
    return f"{what} {fields.get('idx')} of {fields.get('device')} arrives"


def _invariant(fields: Mapping[str, str]) -> str | None:
    return None if fields.get("ok") == "True" else f"{BREAKS}{fields.get('name')}: {fields.get('detail')}"


def _vm(fields: Mapping[str, str]) -> str | None:
    return "starts the VM" if fields.get("running") == "True" else None


def _command(fields: Mapping[str, str]) -> str:
    number = int(fields.get("command", "0"))
    return f"acts on {COMMANDS[number].name if number in COMMANDS else f'command {number}'}"


PLAIN: Mapping[str, Callable[[str], str | None]] = {
    "waits": _waits,
    "wakes": _wakes,
    "meets": _meets,
    "spawns": _spawns,
}
"""Notes that are words already."""

SPECIAL: Mapping[str, Callable[[Mapping[str, str]], str | None]] = {
    "multifd_recv_packet": _packet,
    "invariant": _invariant,
    "vm_state": _vm,
    "loadvm_process_command": _command,
}
"""Events that are told by more than a template."""


def fields_of(rest: str) -> dict[str, str]:
    """An event's ``name=value`` parts in a trace; a value goes on to the next name."""
    found: dict[str, str] = {}
    last = ""
    for part in rest.split(" "):
        name, equals, value = part.partition("=")
        if equals and name.isidentifier():
            last = name
            found[name] = value
        elif last:
            found[last] += f" {part}"
    return found


def short(text: str) -> str:
    """Devices by their name on the bus."""
    return text.replace("/vfio", "")
