"""A row of a capture as a person reads it: one aligned line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.lab.capture_rows import Row

HEAD: Final = f"{'time':>10}  {'channel':<8} {'offset':>11} {'bytes':>9}  {'record':<14} what"


def line(row: Row) -> str:
    """Time in ms, channel, offset, bytes, record, and what it says."""
    time = "" if row.t is None else f"{row.t * 1000:.3f}"
    tell = TELL.get(row.record)
    what = tell(row.said) if tell is not None else ""
    return f"{time:>10}  {row.channel:<8} {row.offset:>11} {row.size:>9}  {row.record:<14} {what}".rstrip()


def _ram_packet(said: dict[str, Any]) -> str:
    pages, zero = len(said["normal"]), len(said["zero"])
    parts = [f"#{said['packet_num']}"]
    if pages or zero:
        parts += [said["block"], f"{pages} pages"] + ([f"{zero} zero"] if zero else [])
    return " ".join([*parts, *said["flag_names"]])


def _device_packet(said: dict[str, Any]) -> str:
    parts = [said["device"], f"idx {said['idx']}", "config" if said["config"] else "data"]
    odd = {name: said[name] for name in ("instance", "version") if said[name]}
    odd |= {"flags": f"{said['flags']:#x}"} if said["flags"] not in (0, 1) else {}
    return " ".join([*parts, f"{said['data']['bytes']} bytes", *(f"{k} {v}" for k, v in odd.items())])


def _section(said: dict[str, Any]) -> str:
    named = (
        f" {said['idstr']} instance {said['instance']} version {said['version']}" if "idstr" in said else ""
    )
    return f"{said['section_id']}{named}"


def _payload(said: dict[str, Any]) -> str:
    """The first bytes, as many as a line holds."""
    shown = said.get("hex", said.get("head", ""))
    return f"{said['bytes']} bytes {shown[:32]}{'…' if len(shown) > 32 or 'head' in said else ''}".rstrip()


def _command(said: dict[str, Any]) -> str:
    return f"{said['name']} {_payload(said['data'])}" if said["data"]["bytes"] else str(said["name"])


def _blocks(said: dict[str, Any]) -> str:
    return ", ".join(f"{block['id']} {block['used_length']} bytes" for block in said["blocks"])


def _body(said: dict[str, Any]) -> str:
    return f"{said['section']['idstr']} {_payload(said['data'])}"


def _configuration(said: dict[str, Any]) -> str:
    more = ("capabilities", "uuid", "target_page_bits")
    told = {name: said[name] for name in more if name in said}
    told |= {"uuid": told["uuid"]["hex"]} if "uuid" in told else {}
    return " ".join([said["machine"], *(f"{name} {value}" for name, value in told.items())])


def _description(said: dict[str, Any]) -> str:
    sections = ", ".join(f"{one['idstr']} {one['bytes']} bytes" for one in said.get("sections", ()))
    return f"{said.get('devices', '?')} devices" + (f"; {sections}" if sections else "")


TELL: Final[dict[str, Callable[[dict[str, Any]], str]]] = {
    "Hello": lambda said: f"channel {said['channel']} uuid {said['uuid']}",
    "RamPacket": _ram_packet,
    "DevicePacket": _device_packet,
    "FileHeader": lambda said: f"version {said['version']}",
    "Configuration": _configuration,
    "SectionStart": _section,
    "SectionPart": _section,
    "SectionEnd": _section,
    "SectionFull": _section,
    "Footer": _section,
    "Command": _command,
    "RamBlocks": _blocks,
    "RamPage": lambda said: f"{said['block']} {said['offset']:#x}",
    "RamZero": lambda said: f"{said['block']} {said['offset']:#x}",
    "VfioWord": lambda said: f"{said['section']['idstr']} {said['name']}",
    "VfioData": _body,
    "VfioConfig": _body,
    "VfioDataCount": lambda said: f"{said['section']['idstr']} {said['count']} buffers",
    "Opaque": _body,
    "Tail": lambda said: _payload(said["data"]),
    "VmDesc": _description,
    "Message": _command,
    "Close": lambda said: said.get("why", ""),
}
"""What a record's line says behind its place."""
