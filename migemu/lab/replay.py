"""Playing a capture: the same bytes in the same order into a destination, in the place of its source.

What the source waited for is waited for: where the recording has an answer of the destination before a
packet, that answer must have come again before the packet is sent. So pings are answered, the announcement is
acknowledged, and START, by which the source gave up its VM, is sent only to a destination that says it has
loaded everything. Whether it has, the destination says: it checks digests that the recording carries.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final

from migemu.errors import ConnectionLostError, MigemuError, PeerRefusedError, PeerTimeoutError
from migemu.lab.replay_link import ReplayLink
from migemu.link.order_item import Item
from migemu.wire import extension, returnpath
from migemu.wire.text import decode_object

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from contextlib import ExitStack

    from migemu.lab.capture import Capture
    from migemu.lab.capture_index import Step
    from migemu.link.order import Orders
    from migemu.wire.returnpath import Message

AHEAD: Final = 8 << 20
"""Bytes of one connection that may wait behind a rule before the replay waits with them."""
UNASKED: Final = ("ALIVE",)
"""Answers that no packet waits for: they come by the clock."""
LAST_WORDS: Final = 0.5
"""Seconds that a destination which closes a connection has to say why."""
OPEN_RETURN_PATH: Final = "OPEN_RETURN_PATH"


@dataclass
class Played:
    """What came of it.

    Attributes:
        packets: sent, of all kinds.
        bytes: of those.
        answers: how often each came.
        loaded: what the destination says it has loaded; None when it never said.
        shut: the status of its goodbye; None when there was none.
    """

    packets: int = 0
    bytes: int = 0
    answers: Counter[str] = field(default_factory=Counter)
    loaded: dict[str, Any] | None = None
    shut: int | None = None


class Player:
    """One replay.

    Args:
        capture: what is played.
        orders: order rules of the stream ``out``, perhaps none.
        patience: seconds without any progress after which it is given up.
        sleep: waits; at recorded speed packets keep their times.
        stack: closes the capture's files.
    """

    def __init__(
        self,
        capture: Capture,
        orders: Orders,
        patience: float,
        stack: ExitStack,
        sleep: Callable[[float], Awaitable[None]] | None = None,
    ) -> None:
        self.played = Played()
        self._capture = capture
        self._orders = orders
        self._patience = patience
        self._stack = stack
        self._sleep = sleep
        self._loop = asyncio.get_running_loop()
        self._links: dict[int, ReplayLink] = {}
        self._files: dict[int, IO[bytes]] = {}
        self._main: ReplayLink | None = None
        self._moved = asyncio.Event()
        self._dialing: set[asyncio.Task[None]] = set()
        self._wanted: Counter[str] = Counter()
        self._parts = extension.PartsReader()
        self._returns = False
        self._failed: MigemuError | None = None
        self._places = capture.places()
        self._address = "", 0

    async def run(self, host: str, port: int) -> Played:
        """Play everything.

        Raises:
            MigemuError: the destination refused it, went away, or stood still.
        """
        self._address = host, port
        began, first = self._loop.time(), None
        try:
            for step in self._capture.steps():
                first = step.t if first is None else first
                if self._sleep is not None:
                    await self._sleep(max(0.0, began + step.t - first - self._loop.time()))
                await self._step(step)
            await self._finish()
        finally:
            for task in self._dialing:
                task.cancel()
            for link in self._links.values():
                link.close()
        return self.played

    async def _step(self, step: Step) -> None:
        if step.back:
            await self._expect(step)
        elif step.record == "Connect":
            await self._connect(step.conn)
        elif step.file:
            self._files[step.conn] = self._stack.enter_context(self._capture.files.open(step.file))
            if step.channel == "main" and self._main is None:
                self._main = self._links[step.conn]
        elif step.record:
            await self._send(step)
        else:
            await self._close(step)

    # connections

    async def _connect(self, conn: int) -> None:
        link = ReplayLink(self._orders, self._places.get(conn), self._moved.set, self._answered)
        self._links[conn] = link
        turn: asyncio.Future[None] = self._loop.create_future()

        def begin(item: Item) -> bool:
            if not item.copied and not turn.done():
                turn.set_result(None)
            return item.copied

        link.turn(begin, lambda rule: self._fail(ConnectionLostError(f"order rule {rule} refused it")))
        connecting = self._loop.create_task(self._dial(link, turn))
        self._dialing.add(connecting)
        if turn.done():
            await connecting
        if self._failed is not None:
            raise self._failed

    async def _dial(self, link: ReplayLink, turn: asyncio.Future[None]) -> None:
        """Connect when the rules allow it; until then the others go on."""
        await turn
        try:
            await self._loop.create_connection(lambda: link, *self._address)
        except OSError as error:
            where = f"{self._address[0]}:{self._address[1]}"
            self._fail(ConnectionLostError(f"no destination at {where}: {error.strerror or error}"))

    async def _close(self, step: Step) -> None:
        """As it was then: with what had come of an unfinished packet, and by a reset if it was one."""
        link, file = self._links.get(step.conn), self._files.get(step.conn)
        if link is None or link is self._main:
            return  # the main connection also carries the answers: it is closed at the end
        if file is not None and (rest := file.read()):
            link.offer(Item("out", link.lane.channel, "Bytes", (rest,), at=1 << 30))
            await self._until(lambda: not link.given or link.waits(), "the end of a connection to be taken")
        link.close(abort=(step.closed or "").startswith("connection failed"))

    # packets

    async def _send(self, step: Step) -> None:
        if step.more.get("name") == "START":
            await self._until(lambda: self.played.loaded is not None, "the destination to load everything")
        self._returns |= step.more.get("name") == OPEN_RETURN_PATH
        link, item = self._links[step.conn], self._item(step)
        if link.lost is not None:
            await self._last_words(link.lost)
        link.offer(item)
        self.played.packets += 1
        self.played.bytes += step.bytes
        await self._until(lambda: not link.given or self._may_go_on(link), "the destination to take a packet")

    def _may_go_on(self, link: ReplayLink) -> bool:
        """A rule holds this connection up, as it would a source's, which goes on with the others."""
        return link.waits() and link.given < AHEAD

    def _item(self, step: Step) -> Item:
        """The packet with its bytes.

        Raises:
            MigemuError: the file ends before it.
        """
        file = self._files.get(step.conn)
        data = file.read(step.bytes) if file is not None else b""
        if len(data) < step.bytes:
            raise MigemuError(f"the capture ends inside a {step.record} of {step.bytes} bytes")
        more = dict(step.more)
        flags = frozenset(more.pop("flags", ()))
        return Item("out", self._links[step.conn].lane.channel, step.record, (data,), flags=flags, **more)

    # answers

    def _answered(self, message: Message) -> None:
        self.played.answers[message.name] += 1
        if message.type == returnpath.SHUT:
            self.played.shut = int.from_bytes(message.data)
        elif message.type == extension.RP_FAILED:
            reason = message.data.decode("utf-8", "replace")
            self._fail(PeerRefusedError(f"the destination failed: {reason}"))
        elif message.type == extension.RP_LOADED and (whole := self._parts.feed(message.data)) is not None:
            self.played.loaded = decode_object(whole, "the destination's digests")

    def _fail(self, error: MigemuError) -> None:
        self._failed = self._failed or error
        self._moved.set()

    async def _last_words(self, error: MigemuError) -> None:
        """A connection is gone: the destination's reason may still be on its way.

        Raises:
            MigemuError: that reason, else `error`.
        """
        end = self._loop.time() + LAST_WORDS
        while self._failed is None and (left := end - self._loop.time()) > 0:
            self._moved.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._moved.wait(), left)
        raise self._failed or error

    async def _expect(self, step: Step) -> None:
        """The recording has an answer here: it must come again."""
        name = str(step.more.get("name"))
        if name in UNASKED or name == "FAILED":
            return
        self._wanted[name] += 1
        wanted = self._wanted[name]
        await self._until(lambda: self.played.answers[name] >= wanted, f"the destination's {name}")

    async def _until(self, met: Callable[[], bool], what: str) -> None:
        """Wait until `met`, while anything moves.

        Raises:
            PeerTimeoutError: nothing moved for as long as patience allows.
            MigemuError: the destination failed, or the main connection is lost.
        """
        while not met():
            if self._failed is not None:
                raise self._failed
            if self._main is not None and self._main.lost is not None:
                raise self._main.lost
            self._moved.clear()
            try:
                await asyncio.wait_for(self._moved.wait(), self._patience)
            except TimeoutError:
                told = f"nothing moved for {self._patience:g} s while waiting for {what}"
                raise PeerTimeoutError(told) from None

    async def _finish(self) -> None:
        """Everything is out: the destination says goodbye where there is a way back."""
        if self._main is None:
            return
        if self._returns and "SHUT" not in self._wanted:
            await self._until(lambda: self.played.shut is not None, "the destination's goodbye (SHUT)")
        await self._until(lambda: not self._orders.busy("out"), "the last packets")
        if self.played.shut:
            raise PeerRefusedError(f"the destination ended with status {self.played.shut}")
        self._main.half_close()
