"""The source's VM: what stops, in which order, and what runs again when a migration fails.

QEMU stops a VM in two sweeps over its devices, so that no device of a peer-to-peer pair writes into one
that has stopped already: first every device that can goes quiescent, then the vCPUs and all devices stop
(``vfio_vmstate_change_prepare``, ``vfio_vmstate_change``). A device in pre-copy goes to STOP_COPY in the
second sweep, one after the other (hazard D7); others do so in their save threads.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.vfio.states import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from migemu.ram import Writer
    from migemu.threads.api import Threads
    from migemu.vfio.save import SaveDevice

QUIESCE = {State.RUNNING: State.RUNNING_P2P, State.PRE_COPY: State.PRE_COPY_P2P}
"""First sweep: where a device with P2P goes."""

STOP = {
    State.RUNNING: State.STOP,
    State.RUNNING_P2P: State.STOP,
    State.PRE_COPY: State.STOP_COPY,
    State.PRE_COPY_P2P: State.STOP_COPY,
}
"""Second sweep."""


class SourceVm:
    """Guest RAM's writer and the devices, run and stopped together.

    Attributes:
        running: whether the VM runs now.
        disowned: the destination was told to start it; it may never run here again.
    """

    def __init__(self, threads: Threads, writer: Writer, devices: Sequence[SaveDevice]) -> None:
        self._threads = threads
        self._writer = writer
        self.devices = devices
        self.running = False
        self.disowned = False

    def start(self) -> None:
        """Run the VM for the first time."""
        self._writer.start()
        self._say(running=True)

    def start_precopy(self) -> None:
        """Devices that can be read while they run begin to track what changes."""
        for device in self.devices:
            self._threads.point("vfio_save_setup", device=device.model.name)
            if device.model.precopy:
                device.set_state(State.PRE_COPY)

    def stop(self) -> None:
        """Stop the VM: when this returns nothing of it changes any more."""
        for device in self.devices:
            if device.model.p2p and device.state in QUIESCE:
                device.set_state(QUIESCE[device.state])
        self._writer.stop()
        for device in self.devices:
            if device.state in STOP:
                device.set_state(STOP[device.state])
        self._say(running=False)

    def resume(self) -> None:
        """The migration failed: the VM runs here, as if nothing had been."""
        if self.disowned:
            return
        for device in self.devices:
            if device.state is State.ERROR:
                device.reset()
            elif device.state is not State.RUNNING:
                device.set_state(State.RUNNING)
        self._writer.start()
        self._say(running=True)

    def disown(self) -> None:
        """From here on only the destination may run the VM."""
        self.disowned = True

    def say_disowned(self) -> None:
        """The destination has been told: from here on the events say so too."""
        self._say(running=False)

    def reclaim(self) -> None:
        """The destination is known to be gone: the VM may run here again."""
        self.disowned = False

    def shut_down(self) -> None:
        """End the process's part in the VM: its writer stops, its devices close."""
        self._writer.stop()
        for device in self.devices:
            device.close()

    def _say(self, *, running: bool) -> None:
        self.running = running
        self._threads.point("vm_state", running=running, runnable=not self.disowned)
