"""One play of a row: a QEMU of its own on the side that the row is about, in a folder of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

from migemu.errors import UsageError
from migemu.qemu import rules_play
from migemu.qemu.hostile.destination_bench import DestinationBench
from migemu.qemu.hostile.pulse import Patience
from migemu.qemu.hostile.source_bench import play_to_source
from migemu.qemu.scratch import scratch
from migemu.scenario import loads

if TYPE_CHECKING:
    from migemu.qemu.binary import Launcher
    from migemu.qemu.hostile.table import Row
    from migemu.qemu.hostile.verdict import Verdict


async def play(row: Row, launcher: Launcher, patience: Patience | None = None) -> Verdict:
    """Play `row` to a QEMU, and say what it did.

    Raises:
        PeerError: the QEMU did not start.
        UsageError: it is of another target than the row, or needs the VFIO shim, which cannot be built.
    """
    target = launcher.board.target
    if target != row.bench.target:
        raise UsageError(f"row {row.name} is for {row.bench.target}; {launcher.program} is {target}'s")
    patience = patience or Patience()
    with scratch("row") as folder:
        if row.between:
            return await rules_play.between(loads(row.between, row.name), launcher, folder)
        if row.sink is not None:
            return await play_to_source(row, row.sink, launcher, folder, patience)
        return await DestinationBench(row, launcher, folder, patience).play()
