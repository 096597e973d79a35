"""What a VFIO device's sections and device-state payloads are made of.

On the main channel a VFIO section is a row of marks, u64 each, some followed by data; :data:`WORDS` says
what follows which and which one ends the section (QEMU: ``VFIO_MIG_FLAG_*``, ``vfio_load_state``). Over
multifd each payload begins with a 12-byte header: version, idx, flags.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from migemu.errors import WireError

END_OF_STATE: Final = 0xFFFFFFFFEF100001
DEV_CONFIG_STATE: Final = 0xFFFFFFFFEF100002
DEV_SETUP_STATE: Final = 0xFFFFFFFFEF100003
DEV_DATA_STATE: Final = 0xFFFFFFFFEF100004
INIT_DATA_SENT: Final = 0xFFFFFFFFEF100005
CONFIG_LOAD_READY: Final = 0xFFFFFFFFEF100006
DEV_CONFIG_STATE_SIZED: Final = 0xFFFFFFFFEF106D01
"""migemu's own: a config state of any size on the main channel (QEMU's tells its size by its content)."""
DEV_DATA_COUNT: Final = 0xFFFFFFFFEF106D02
"""migemu's own: how many data buffers of this device travel over multifd."""

Follows = Literal["nothing", "end", "data", "pci-config", "sized-config", "count"]


class Word(NamedTuple):
    """One mark: its name and what comes after it."""

    name: str
    follows: Follows
    """``nothing``: the next mark. ``end``: the section is over. ``data``: u64 size and bytes. ``pci-config``:
    QEMU's config state up to END_OF_STATE. ``sized-config``: u32 size and bytes. ``count``: u64."""


WORDS: Final = {
    END_OF_STATE: Word("END_OF_STATE", "end"),
    DEV_CONFIG_STATE: Word("DEV_CONFIG_STATE", "pci-config"),
    DEV_SETUP_STATE: Word("DEV_SETUP_STATE", "nothing"),
    DEV_DATA_STATE: Word("DEV_DATA_STATE", "data"),
    INIT_DATA_SENT: Word("INIT_DATA_SENT", "end"),
    CONFIG_LOAD_READY: Word("CONFIG_LOAD_READY", "end"),
    DEV_CONFIG_STATE_SIZED: Word("DEV_CONFIG_STATE_SIZED", "sized-config"),
    DEV_DATA_COUNT: Word("DEV_DATA_COUNT", "count"),
}

FLAG_CONFIG: Final = 1
"""In a device-state header: this payload is the config state, and idx is the device's last."""

VFIO_HEADER: Final = struct.Struct(">III")
VFIO_HEADER_SIZE: Final = VFIO_HEADER.size
VFIO_VERSION: Final = 0

_WORD: Final = struct.Struct(">Q")
_END: Final = _WORD.pack(END_OF_STATE)
_CONFIG: Final = _WORD.pack(DEV_CONFIG_STATE)
_PCI: Final = struct.Struct(">I256s16s")


@dataclass(frozen=True, slots=True)
class VfioHeader:
    """The first 12 bytes of a device-state payload."""

    version: int
    idx: int
    flags: int

    def encode(self) -> bytes:
        """The 12 bytes."""
        return VFIO_HEADER.pack(self.version, self.idx, self.flags)

    @classmethod
    def decode(cls, payload: bytes | memoryview) -> VfioHeader:
        """Read the beginning of `payload`.

        Raises:
            WireError: it is shorter than a header.
        """
        if len(payload) < VFIO_HEADER_SIZE:
            raise WireError(f"packet too short at {len(payload)} (min is {VFIO_HEADER_SIZE})")
        return cls(*VFIO_HEADER.unpack_from(payload))


def wrap_config(data: bytes) -> bytes:
    """A config state as it travels: DEV_CONFIG_STATE, `data`, END_OF_STATE."""
    return _CONFIG + data + _END


def unwrap_config(payload: bytes | memoryview) -> bytes:
    """What is between the marks.

    Raises:
        WireError: the marks are not there.
    """
    raw = bytes(payload)
    if len(raw) < len(_CONFIG) + len(_END) or not raw.startswith(_CONFIG) or not raw.endswith(_END):
        ends = f"{raw[:8].hex()}..{raw[-8:].hex()}" if raw else "empty"
        raise WireError(f"a config state stands between its marks; this one is {ends}")
    return raw[len(_CONFIG) : -len(_END)]


@dataclass(frozen=True, slots=True)
class PciConfigState:
    """The config state of a plain PCI device without MSI-X, as QEMU sends it: 292 bytes with its marks."""

    config: bytes
    """PCI configuration space, 256 bytes."""
    irq_state: bytes = bytes(16)
    """Four i32."""
    version: int = 2
    """Of QEMU's ``PCIDevice`` state."""


def encode_config_state(state: PciConfigState) -> bytes:
    """The 292 bytes.

    Raises:
        WireError: a part is not of its fixed size.
    """
    if (len(state.config), len(state.irq_state)) != (256, 16):
        sizes = f"{len(state.config)} and {len(state.irq_state)}"
        raise WireError(f"a PCI config state has 256 + 16 bytes, not {sizes}")
    return wrap_config(_PCI.pack(state.version, state.config, state.irq_state))


def decode_config_state(payload: bytes | memoryview) -> PciConfigState:
    """Read the 292 bytes.

    Raises:
        WireError: it is another form of config state.
    """
    body = unwrap_config(payload)
    if len(body) != _PCI.size:
        raise WireError(f"a plain PCI config state has {_PCI.size} bytes between its marks, not {len(body)}")
    version, config, irq_state = _PCI.unpack(body)
    return PciConfigState(config, irq_state, version)
