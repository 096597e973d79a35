"""The names and bounds a scenario may use, each with where it comes from."""

from __future__ import annotations

from typing import Literal

Side = Literal["source", "destination"]

KIB = 1024
MIB = 1024**2
GIB = 1024**3

VFIO_HEADER_SIZE = 12
"""Bytes in front of a device-state packet's data: version, idx, flags (QEMU's VFIODeviceStatePacket)."""

RAM_PAYLOAD = 512 * KIB
"""Bytes of the largest RAM packet: 128 pages, MULTIFD_PACKET_SIZE in QEMU."""

MAX_DEVICES = 64
MAX_CHANNELS = 255
"""A channel's id is one byte in the multifd hello, and QEMU's x-multifd-channels ends at 255."""

MAX_IDX = 2**32 - 1
"""A packet's idx is 32 bits wide; QEMU keeps the last value for itself."""

MACHINES = ("9.1", "9.2", "10.0", "10.1", "10.2", "11.0", "11.1")
"""Machine types; a type older than a feature's flag does not have the feature, as in QEMU."""

HANDOFFS = (
    "main-channel",
    "load-finish",
    "blocking-wait",
    "ack",
    "non-iterable",
    "bql-yield",
    "loadvm-thread",
    "reentrant",
    "post-load-jobs",
    "incoming-complete",
    "recv-loads",
    "recv-loads-nonblocking",
    "load-thread",
    "load-ready",
)
"""Hand-off designs, in the order of the debate: who may load a device's config, when, under which lock."""

STATES = ("STOP", "RUNNING", "STOP_COPY", "RESUMING", "RUNNING_P2P", "PRE_COPY", "PRE_COPY_P2P")
"""States of the VFIO uAPI that a transition can be asked to reach; ERROR is only ever fallen into."""
