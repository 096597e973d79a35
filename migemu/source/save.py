"""The save threads: one per device, each reading its data fd and handing packets to free channels.

QEMU: ``vfio_multifd_save_complete_precopy_thread``. Packets are numbered per device; where the design sends
the config over multifd it is the packet with the highest idx, flagged as such.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.handoff.design import Carrier
from migemu.source.channels import Packet
from migemu.vfio.states import State
from migemu.wire.multifd import encode_device_header
from migemu.wire.vfio import FLAG_CONFIG

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.handoff.design import Design
    from migemu.handoff.semaphore import Semaphore
    from migemu.source.channels import SendChannels
    from migemu.threads.api import Threads
    from migemu.vfio.save import SaveDevice


class DeviceSaver:
    """What one device sends after the switchover over multifd.

    Attributes:
        buffers: data packets sent; the config packet, if any, is not among them.
    """

    def __init__(
        self,
        threads: Threads,
        design: Design,
        channels: SendChannels,
        device: SaveDevice,
        packet_size: int,
        wrap_config: Callable[[bytes], bytes],
        saved: Semaphore | None = None,
    ) -> None:
        self._threads = threads
        self._design = design
        self._channels = channels
        self._packet_size = packet_size
        self._wrap_config = wrap_config
        self._saved = saved
        self.device = device
        self.buffers = 0

    def run(self) -> None:
        """The save thread's body."""
        name = self.device.model.name
        self._threads.point("vfio_save_complete_precopy_thread_start", device=name)
        self.device.set_state(State.STOP_COPY)
        while (payload := self.device.read(self._packet_size)) is not None:
            self._send(payload.view, 0, payload.release)
            self.buffers += 1
        if self._design.config is Carrier.MULTIFD:
            self._send(memoryview(self._wrap_config(self.device.save_config())), FLAG_CONFIG, None)
        self._threads.point(
            "vfio_save_complete_precopy_thread_end", device=name, bytes=self.device.stop_copy_bytes
        )
        if self._saved is not None:
            self._saved.post()

    def wait(self) -> None:
        """Wait for this device alone, where the design has a semaphore for it.

        Raises:
            PeerTimeoutError: nothing moved for as long as patience allows.
            MigemuError: the side was aborted.
        """
        if self._saved is not None:
            self._saved.wait(f"the save thread of {self.device.model.name}")

    def _send(self, view: memoryview, flags: int, release: Callable[[], None] | None) -> None:
        name, idx, size = self.device.model.name, self.buffers, len(view)
        header = encode_device_header(name, self.device.model.instance, idx, flags, size)
        channel = self._channels.send(Packet(header, view, release))
        if not flags:
            self._threads.point(
                "vfio_save_device_state_buffer", device=name, idx=idx, bytes=size, channel=channel
            )
        self._threads.point(
            "multifd_send_packet",
            channel=channel,
            device=name,
            idx=idx,
            bytes=size,
            kind="device",
            config=bool(flags),
        )
