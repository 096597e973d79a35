"""The end on the destination: verify, offer to take over, start the VM, say goodbye.

With a source that is migemu the VM starts only after two things: what was loaded is what was saved, and
the source has given up its VM (START). With a QEMU as the source there is neither, as between two QEMUs.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from migemu.errors import InvariantError, PeerTimeoutError, WireError
from migemu.wire import extension, returnpath

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.destination.core import Core


class Finish:
    """Runs on the incoming thread after the stream's end, with the BQL held.

    Attributes:
        running: the VM runs here.
        loaded: digests of what was loaded, as they are said to the source.
        look: has whoever owns the sockets read what has come, and waits until it has.
    """

    def __init__(self, core: Core) -> None:
        self._core = core
        self.running = False
        self.loaded: dict[str, Any] = {}
        self.look: Callable[[], None] = lambda: None

    def run(self) -> None:
        """Everything after EOF.

        Raises:
            InvariantError: what was loaded is not what was saved.
            MigemuError: the source went away before it gave up its VM.
        """
        self._checkpoint("dst-precopy-loadvm-completed")
        self.loaded = self._digests()
        if self._core.incoming.extended:
            self._verify()
            self._offer()
        self._checkpoint("dst-precopy-bh-enter")
        self._start()
        self._goodbye()

    def _checkpoint(self, name: str) -> None:
        self._core.threads.point("vmstate_downtime_checkpoint", checkpoint=name)

    def _digests(self) -> dict[str, Any]:
        devices = {
            slot.name: {
                "data": slot.device.data_digest(),
                "bytes": slot.device.data_bytes,
                "config": slot.device.config_digest,
            }
            for slot in self._core.machine.slots.values()
        }
        return {"devices": devices, "ram": self._core.memory.digests.digest()}

    def _verify(self) -> None:
        """Compare what was loaded with what the source says it saved."""
        theirs = self._core.incoming.digests
        if theirs is None:
            raise WireError("the stream ended without the digests it announced", channel="main")
        wrong = [what for what, ok in self._comparisons(theirs) if not ok]
        if wrong:
            raise InvariantError(f"differs from what was saved: {', '.join(wrong)}", invariant="data-intact")

    def _comparisons(self, theirs: dict[str, Any]) -> list[tuple[str, bool]]:
        told = decode_devices(theirs)
        found = []
        for name, mine in self.loaded["devices"].items():
            for what in ("data", "config"):
                ok = told.get(name, {}).get(what) == mine[what]
                self._core.threads.point("verify", what=what, device=name, ok=ok)
                found.append((f"{what} of {name}", ok))
        ok = theirs.get("ram") == self.loaded["ram"]
        self._core.threads.point("verify", what="ram", ok=ok)
        return [*found, ("ram", ok)]

    def _offer(self) -> None:
        """Everything is here: ask the source to give up its VM, and wait until it has."""
        core = self._core
        core.incoming.phase = "commit"  # before the offer: a source may answer it and be gone at once
        for part in extension.split_parts(json.dumps(self.loaded).encode()):
            core.reply(returnpath.encode(extension.RP_LOADED, part))
        while not core.incoming.told_to_start:
            core.incoming.act(self._next_record())

    def _next_record(self) -> Any:
        """The next record; silence is the end only after a look at what has come and nobody has read yet.

        A process that stood still finds its time over and START unread, and the source, which may not run the
        VM any more, is gone by then.
        """
        core = self._core
        try:
            return core.incoming.next_record()
        except PeerTimeoutError:
            with core.machine.without_bql():
                self.look()
            record = core.queue.poll()
            if record is None:
                raise
            return record

    def _start(self) -> None:
        """Run the VM, unless something has failed meanwhile; what fails from now on comes too late."""
        core = self._core
        self._checkpoint("dst-precopy-bh-announced")
        for slot in core.machine.slots.values():
            slot.device.start()
            slot.device.sink.commit()
        core.abort.settle()
        self.running = True
        core.threads.point("vm_state", running=True, runnable=True)
        self._checkpoint("dst-precopy-bh-vm-started")

    def _goodbye(self) -> None:
        """SHUT: the source may go."""
        if self._core.incoming.return_path:
            self._core.reply(returnpath.encode(returnpath.SHUT, (0).to_bytes(4)))


def decode_devices(digests: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The digests of each device, as far as they are of the form that was agreed."""
    devices = digests.get("devices")
    if not isinstance(devices, dict):
        return {}
    return {name: said for name, said in devices.items() if isinstance(said, dict)}
