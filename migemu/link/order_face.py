"""The transport that the protocol behind a gate sees."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from migemu.link.order_answers import Answers
    from migemu.link.order_gate import Gate


class Face(asyncio.Transport):
    """Stands for the real transport: reading is the gate's business, writing goes through the rules.

    Attributes:
        open: the connection has begun for the protocol behind.
        paused: that protocol takes nothing now.
    """

    def __init__(self, gate: Gate) -> None:
        super().__init__()
        self.open = False
        self.paused = False
        self._gate = gate
        self._real: Any = None
        self._answers: Answers | None = None
        self._closing = False

    def attach(self, real: Any) -> None:
        """The real transport."""
        self._real = real

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """What the real transport knows."""
        return self._real.get_extra_info(name, default)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Another reader takes over."""
        assert isinstance(protocol, asyncio.BufferedProtocol)  # noqa: S101  all of the destination's are
        self._gate.inner = protocol

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The reader."""
        return self._gate.inner

    def is_reading(self) -> bool:
        """Whether the reader takes anything now."""
        return not self.paused

    def pause_reading(self) -> None:
        """Nothing more for now."""
        self.paused = True
        self._gate.throttle()

    def resume_reading(self) -> None:
        """Go on."""
        self.paused = False
        self._gate.resumed()

    def is_closing(self) -> bool:
        """Whether the reader has let go, or the connection is gone."""
        return self._closing

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """The return path of the main channel goes through its rules; all else answers a probe."""
        if self._gate.lane.channel != "main":
            self._real.write(data)
            return
        if self._answers is None:
            self._answers = self._gate.answers(self._real)
        self._answers.write(bytes(data))

    def close(self) -> None:
        """Let go, once what was written has gone."""
        self._closing = True
        self._gate.lane.close()
        if self._answers is not None:
            self._answers.close()
        else:
            self._real.close()

    def abort(self) -> None:
        """Let go at once."""
        self._closing = True
        self._gate.lane.close()
        self._real.abort()

    def lost(self) -> None:
        """The connection is gone."""
        self._closing = True
