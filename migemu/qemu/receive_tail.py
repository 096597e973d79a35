"""The device sections of a QEMU's stream: named by the stream's own description, VFIO's looked into.

What stands in a section of the tail is its device's business; only a VFIO device's is ours. Over multifd it
holds one mark, otherwise the device's config state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from migemu.errors import WireError
from migemu.wire.tail import TailSection, split_tail
from migemu.wire.vfio import CONFIG_LOAD_READY, DEV_CONFIG_STATE, END_OF_STATE, WORDS, unwrap_config

if TYPE_CHECKING:
    from migemu.wire.records import Tail, VmDesc

VFIO: Final = "vfio"
"""The idstr of a VFIO device without a path; with one it ends in ``/vfio``."""

RUNSTATE: Final = slice(4, 36)
"""Where ``globalstate`` names the state in which the source's VM was stopped: NUL-padded text."""


def is_vfio(idstr: str) -> bool:
    """Whether that section is a VFIO device's."""
    return idstr == VFIO or idstr.endswith(f"/{VFIO}")


class DeviceBody(NamedTuple):
    """What a VFIO device's section of the tail says."""

    config: bytes | None = None
    """The config state, without its marks; None: it travels over multifd."""
    ready: bool = False
    """CONFIG_LOAD_READY: the platform is in, the config may be loaded."""


def device_body(section: TailSection) -> DeviceBody:
    """Read a VFIO device's section.

    Raises:
        WireError: it is none of the three forms QEMU sends.
    """
    mark = int.from_bytes(section.data[:8])
    if mark == DEV_CONFIG_STATE:
        return DeviceBody(config=unwrap_config(section.data))
    if len(section.data) != 8 or mark not in (END_OF_STATE, CONFIG_LOAD_READY):
        name = WORDS[mark].name if mark in WORDS else section.data[:8].hex()
        told = f"a VFIO section of {len(section.data)} bytes that begins with {name}"
        raise WireError(told, device=section.idstr, channel="main")
    return DeviceBody(ready=mark == CONFIG_LOAD_READY)


def split(tail: Tail, description: VmDesc) -> list[TailSection]:
    """The sections of the tail.

    Raises:
        WireError: tail and description do not fit together.
    """
    return split_tail(tail.data, description.json)


def runstate(globalstate: bytes) -> str:
    """The run state in a ``globalstate`` section: ``running``, ``paused``, ``prelaunch`` and so on."""
    return globalstate[RUNSTATE].split(b"\0")[0].decode("ascii", "replace")
