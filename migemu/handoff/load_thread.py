"""`load-thread`: QEMU 10.0. The core owns a pool of load threads; each loads data, then config, itself.

Proposed by Maciej S. Szmigiero in v3 of the series (17 Nov 2024, cover.1731773021), merged 6 Mar 2025
for QEMU 10.0 (pool: b1937fd1eb83; mark: 4e55cb3cdeb0). It came out of Peter Xu's acceptance of dedicated
threads (Zv8J1uAWIxzCgErh@x1n), provided the migration core owns them as it owns the source's.

How it works. MIG_CMD_SWITCHOVER_START says that all pre-copy data is in and starts one thread per device.
Each writes its buffers in idx order; the packet with the highest idx is the config, and the thread takes
the BQL itself to load it. After the main stream's end the core waits for the pool with the BQL dropped.

For it: devices finish in order of readiness, no device waits for another's data; no handler had to learn
a polling protocol; the BQL can be pushed further down later.
Against it: config loads are still serial, by the BQL; the lock order load_bufs_mutex before BQL must be
kept everywhere (B4); and config may be loaded before the non-iterable state is in, which the ARM64
interrupt controller does not survive (B2; Avihai Horon on v3, 9 Dec 2024): see `load-ready`.
On a machine type before 10.0 the property is off and QEMU does what `main-channel` does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.base import Handoff
from migemu.handoff.design import Design

if TYPE_CHECKING:
    from migemu.handoff.base import Slot


class LoadThread(Handoff):
    """Data and config in the device's own load thread, the BQL only round the config."""

    design = Design(
        name="load-thread",
        summary="a load thread per device takes the BQL itself for the config (QEMU 10.0)",
        older="main-channel",
        proposed_in="cover.1731773021.git.maciej.szmigiero@oracle.com; merged 6 Mar 2025",
    )

    def load(self, slot: Slot) -> None:
        """Data in order, then the config under the BQL."""
        self.load_data(slot)
        self.load_config_packet(slot)
