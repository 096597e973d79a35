"""The commands of the main stream: what each makes the incoming thread do, answer or remember."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from migemu import __version__
from migemu.errors import LimitError, PeerRefusedError, WireError
from migemu.handoff import agreement
from migemu.wire import extension, records, returnpath
from migemu.wire import mainstream as ms
from migemu.wire.text import decode_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from migemu.handoff.base import Handoff, Machine


class Commands:
    """The part of the incoming thread that obeys commands.

    Args:
        machine: devices, locks, clock.
        handoff: the design under test.
        reply: writes bytes to the return path.
        max_commands: ``limits.max_commands``.

    Attributes:
        return_path: the source reads what is replied.
        extended: the source is migemu.
        digests: what the source says it has sent.
        told_to_start: the source has given up its VM.
        phase: how far the stream is, for errors.
    """

    def __init__(
        self, machine: Machine, handoff: Handoff, reply: Callable[[bytes], None], max_commands: int
    ) -> None:
        self._machine = machine
        self._handoff = handoff
        self._reply = reply
        self._commands, self._max_commands = 0, max_commands
        self._parts = extension.PartsReader()
        self.return_path = False
        self.extended = False
        self.digests: dict[str, Any] | None = None
        self.told_to_start = False
        self.phase = "setup"

    def _command(self, record: records.Command) -> None:
        self._commands += 1  # they are answered and recorded: a peer may not send them for ever
        if self._commands > self._max_commands:
            told = f"more than limits.max_commands = {self._max_commands}"
            raise LimitError(told, limit="limits.max_commands", channel="main")
        acts = {
            ms.OPEN_RETURN_PATH: self._open_return_path,
            ms.PING: self._ping,
            ms.SWITCHOVER_START: self._switchover_start,
            extension.CMD_EXTENSION: self._extension,
            extension.CMD_CLOCK: self._clock,
            extension.CMD_SEND_NON_ITERABLE: self._send_non_iterable,
            extension.CMD_DIGESTS: self._digests,
            extension.CMD_START: self._start,
            extension.CMD_FAILED: self._failed,
        }
        act = acts.get(record.number)
        if act is None:
            raise WireError(f"MIG_CMD {record.number:#x} unknown", channel="main")
        self._machine.threads.point("loadvm_process_command", command=record.number)
        act(record.data)

    def _open_return_path(self, _data: bytes) -> None:
        self.return_path = True

    def _ping(self, data: bytes) -> None:
        if not self.return_path:
            raise WireError("PING before OPEN_RETURN_PATH", channel="main")
        self._reply(returnpath.encode(returnpath.PONG, data))

    def _extension(self, data: bytes) -> None:
        said = extension.decode_announcement(data)
        self.extended = True
        agreement.same_handoff(said["features"], self._handoff.design.name)
        answer = extension.encode_announcement(__version__, extension.FEATURES)
        self._reply(returnpath.encode(extension.RP_EXTENSION_ACK, answer))

    def _clock(self, data: bytes) -> None:
        now = int(self._machine.threads.now() * 1e9)
        answer = extension.encode_clock_reply(extension.decode_clock(data), now)
        self._reply(returnpath.encode(extension.RP_CLOCK, answer))

    def _switchover_start(self, _data: bytes) -> None:
        self.phase = "switchover"
        self._handoff.switchover_start()

    def _send_non_iterable(self, _data: bytes) -> None:
        self.phase = "non-iterable"
        self._handoff.send_non_iterable()

    def _digests(self, data: bytes) -> None:
        whole = self._parts.feed(data)
        if whole is not None:
            self.digests = decode_object(whole, "the digests")

    def _start(self, _data: bytes) -> None:
        if self.phase != "commit":
            raise WireError("START before the end of the stream", channel="main")
        self.told_to_start = True

    def _failed(self, data: bytes) -> None:
        raise gave_up(data)


def gave_up(data: bytes) -> PeerRefusedError:
    """The source's last words, as this side's error."""
    return PeerRefusedError(f"the source failed: {data.decode('utf-8', 'replace')}", channel="main")
