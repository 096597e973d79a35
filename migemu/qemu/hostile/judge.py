"""How a destination ended, whoever spoke to it: watched until nothing changes any more.

The monitor is asked all the time; what it says, or that it says nothing, decides.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from migemu.qemu.hostile.pulse import AFTERWARDS, said
from migemu.qemu.hostile.verdict import Kind, Verdict, of_process

if TYPE_CHECKING:
    from migemu.qemu.hostile.pulse import Patience, Pulse


class Speaker(Protocol):
    """Whoever spoke to the destination."""

    async def close(self) -> None:
        """Close every connection that is still open."""

    def differences(self) -> str:
        """What a destination that completed has otherwise than it was sent; empty when nothing."""

    def shut(self) -> int | None:
        """What the destination said on the return path at the end; None: nothing."""


@dataclass(slots=True)
class Judge:
    """Of one play.

    Args:
        pulse: the destination's.
        speaker: who spoke to it.
        patience: how long it is watched.
    """

    pulse: Pulse
    speaker: Speaker
    patience: Patience

    async def verdict(self) -> Verdict:
        """Watch until it has ended, hangs, or does nothing any more."""
        pulse, patience = self.pulse, self.patience
        if await pulse.settled(patience.hang, patience.wait):
            await asyncio.sleep(0 if pulse.gone else AFTERWARDS)
            return await self._over()
        hangs = pulse.silent() >= patience.hang
        await self.speaker.close()
        if hangs:
            return await self._come_to()
        ended = await pulse.settled(patience.hang, patience.closed)
        text = said(pulse.machine)
        if ended:
            text = f"when all is closed: {(await self._over()).line()}"
        return self._say(Kind.WAITS, text)

    async def _come_to(self) -> Verdict:
        """Its monitor is silent; with every connection closed it may have nothing to wait for any more."""
        pulse = self.pulse
        if not await pulse.answers(self.patience.closed):
            verdict = self._say(Kind.HANG, said(pulse.machine))
            pulse.machine.process.kill()  # it would not hear that it is to quit
            return verdict
        await asyncio.sleep(AFTERWARDS)
        text = (await self._over()).line() if pulse.ended else said(pulse.machine)
        return self._say(Kind.BLOCKED, text)

    async def _over(self) -> Verdict:
        """It ended: how?"""
        pulse = self.pulse
        process = pulse.machine.process
        if pulse.gone or process.returncode is not None:
            return self._say(*of_process(await process.wait(), said(pulse.machine)))
        if pulse.told.get("status") != "completed":
            return self._say(Kind.ERROR, str(pulse.told.get("error-desc", "")) or said(pulse.machine))
        wrong = self.speaker.differences()
        return self._say(Kind.WRONG if wrong else Kind.OK, wrong or said(pulse.machine))

    def _say(self, kind: Kind, text: str) -> Verdict:
        silent = max(self.pulse.longest, self.pulse.silent())
        return Verdict(kind, text, silent, self.speaker.shut(), self.pulse.grown)
