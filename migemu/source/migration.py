"""The migration thread of the source: the whole sequence, from the first byte to the goodbye.

The order is QEMU's (wire sequence of 10.2: setup, iterations, stop, SWITCHOVER_START, iterables,
non-iterables, EOF, description). What migemu adds happens around it and only with a peer that is migemu:
an announcement, clock measurements, digests before EOF, and a commit: the source gives up its VM only
after the destination has said that everything is loaded and verified, and the destination starts only
after the source has given up. So never two VMs run, and whoever fails before that leaves the source's VM.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from migemu import __version__
from migemu.errors import MigemuError, PeerRefusedError, PeerUncertainError
from migemu.handoff import agreement
from migemu.source.precopy import Precopy
from migemu.source.switchover import Switchover
from migemu.wire import extension
from migemu.wire import mainstream as ms

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.handoff.design import Design
    from migemu.scenario import Scenario
    from migemu.source.channels import SendChannels
    from migemu.source.mainwriter import MainWriter
    from migemu.source.ramsend import RamSender
    from migemu.source.returnpath import ReturnPath
    from migemu.source.stream import Stream
    from migemu.source.vm import SourceVm
    from migemu.threads.api import Threads
    from migemu.threads.sync import Abort, Patience, Pool

CLOCK_SAMPLES = 5
"""Clock measurements before the first round; the one with the smallest round trip counts."""


@dataclass
class Parts:
    """What a migration works on, made by whoever owns the sockets."""

    scenario: Scenario
    design: Design
    threads: Threads
    abort: Abort
    patience: Patience
    pool: Pool
    main: MainWriter
    returns: ReturnPath
    channels: SendChannels
    vm: SourceVm
    ram: RamSender
    stream: Stream
    extended: bool = True
    """The peer is migemu: announce the extension and use it."""
    phase: str = field(default="connect")
    peer_state: Callable[[], str] = field(default=lambda: "unknown")
    """Asks the destination anew: ``running``, ``gone``, or ``unknown`` when it cannot be known."""


class Migration:
    """One migration of a source; `run` is the migration thread's body."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts

    def run(self) -> None:
        """Migrate. Ends by completing, or by an abort that names the phase; never raises."""
        parts = self.parts
        try:
            self._migrate()
        except MigemuError as error:
            parts.abort.set(error.at(side="source", phase=parts.phase))
        except Exception as error:  # noqa: BLE001  a thread's last line of defence: nothing may vanish
            parts.abort.set(MigemuError(f"{type(error).__name__}: {error}", side="source", phase=parts.phase))
        if parts.abort.error is not None:
            self._say_why(parts.abort.error)
            self._give_back()

    def _migrate(self) -> None:
        self._enter("setup")
        self._setup()
        self._enter("active")
        Precopy(self.parts).run()
        self._enter("device")
        Switchover(self.parts).run()
        self._finish()
        self._commit()
        self._enter("completed")

    def _enter(self, state: str) -> None:
        """Enter a state of QEMU's MigrationStatus."""
        self.parts.phase = state
        self.parts.threads.point("migrate_set_state", state=state)

    def _say_why(self, error: MigemuError) -> None:
        """Rather than have the destination guess from a close; not if it was the one to say no."""
        parts = self.parts
        if parts.extended and not parts.vm.disowned and not isinstance(error, PeerRefusedError):
            parts.stream.give_up(str(error))

    def _give_back(self) -> None:
        """The migration failed: unless the destination may run the VM, it runs here."""
        self.parts.threads.point("migrate_set_state", state="failed")
        try:
            self.parts.vm.stop()
            self.parts.vm.resume()
        except MigemuError as error:
            self.parts.threads.point("error", message=f"the VM could not be resumed: {error}")

    def _setup(self) -> None:
        parts = self.parts
        parts.stream.begin()
        if parts.extended:
            features = (*extension.FEATURES, agreement.feature(parts.design.name))
            announcement = extension.encode_announcement(__version__, features)
            parts.stream.command(extension.CMD_EXTENSION, announcement)
        if parts.scenario.migration.return_path:
            parts.stream.command(ms.OPEN_RETURN_PATH)
            parts.stream.command(ms.PING, (1).to_bytes(4))
        if parts.extended:
            self._meet()
        parts.ram.sync()
        parts.stream.ram_setup(parts.ram.ram)
        parts.vm.start_precopy()
        for number, device in enumerate(parts.vm.devices):
            parts.stream.device_setup(number, device)

    def _meet(self) -> None:
        """The peer answers the announcement, and the two clocks are compared."""
        returns = self.parts.returns
        returns.wait(lambda: returns.announced is not None, "the destination's answer to the announcement")
        for sample in range(CLOCK_SAMPLES):
            now = int(self.parts.threads.now() * 1e9)
            self.parts.stream.command(extension.CMD_CLOCK, extension.encode_clock(now))
            returns.wait(lambda sample=sample: len(returns.clocks) > sample, "a clock measurement")  # type: ignore[misc]  # mypy cannot infer lambdas with defaults

    def _finish(self) -> None:
        """Digests, EOF, description."""
        parts = self.parts
        if parts.extended:
            for part in extension.split_parts(json.dumps(self._digests()).encode()):
                parts.stream.command(extension.CMD_DIGESTS, part)
        parts.stream.finish(self._description())

    def _digests(self) -> dict[str, Any]:
        """What left here; the destination compares it with what it loaded."""
        devices = {
            device.model.name: {
                "data": device.data_digest(),
                "bytes": device.data_bytes,
                "config": device.config_digest,
            }
            for device in self.parts.vm.devices
        }
        return {"devices": devices, "ram": self.parts.ram.digests.digest()}

    def _description(self) -> dict[str, Any]:
        names = [device.model.name for device in self.parts.vm.devices]
        return {"page_size": 4096, "devices": [{"name": name, "instance_id": 0} for name in names]}

    def _commit(self) -> None:
        """Hand the VM over, or keep it."""
        parts = self.parts
        if not parts.extended:
            self._wait_as_qemu()
            return
        returns = parts.returns
        returns.wait(lambda: returns.loaded is not None, "the destination to load and verify everything")
        self._enter("commit")
        parts.vm.disown()
        try:
            parts.stream.queue_command(extension.CMD_START)
        except MigemuError:
            parts.vm.reclaim()  # it was not even handed to the socket
            raise
        try:
            parts.main.flush()
            parts.vm.say_disowned()
            returns.wait(lambda: returns.shut is not None, "the destination's goodbye (SHUT)")
        except MigemuError as error:
            self._after_doubt(error)

    def _after_doubt(self, error: MigemuError) -> None:
        """START is out, SHUT is not in: who may run the VM?

        A destination that says it failed does not run it, nor does one whose process is gone. In any
        other case it may well run there, so it must not run here.

        Raises:
            MigemuError: always, except where the destination says that the VM runs.
        """
        state = "gone" if isinstance(error, PeerRefusedError) else self.parts.peer_state()
        if self.parts.returns.shut == 0 or state == "running":
            return  # its SHUT may have come since: it has the VM, and may have ended well already
        if state == "gone":
            self.parts.vm.reclaim()
            raise error
        told = "it was told to start the VM, so the VM stays stopped here; look at the destination"
        raise PeerUncertainError(f"{error.message}; {told}") from None

    def _wait_as_qemu(self) -> None:
        """QEMU's own end: SHUT where there is a return path, else the last byte of every channel."""
        self.parts.channels.drain()
        returns = self.parts.returns
        if self.parts.scenario.migration.return_path:
            returns.wait(lambda: returns.shut is not None, "the destination's goodbye (SHUT)")
        if returns.shut:
            raise PeerRefusedError(f"the destination ended with status {returns.shut}")
        self.parts.vm.disown()
        self.parts.vm.say_disowned()
